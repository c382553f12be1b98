//! Why somebody may do something, or may not: which policies say so.
//!
//! Always holds: whether it is allowed is what a request would find that carries nothing but its path,
//! as those of the native dialect do: a block of a policy in Vault's language that asks for
//! parameters, or for the answer to be wrapped, gives nothing, and is told among what is not met; the
//! words are those of the policies that decide. Never does: change anything, or decide anything else
//! by it.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    access::{Access, AccessDirectory, Grants},
    acl::Door,
    action::{Action, Resource},
    directory::Subject,
    patterns::Verdict,
    policy::Permit,
    word::Word,
};
use crate::model::{Circumstances, OkmsId, SecretPath};

/// About whom it is asked.
#[derive(Clone, Debug)]
pub enum Whom<'a> {
    /// The certificate that asks.
    Oneself,
    /// Certificates that fit the rule of this name, and no other.
    Rule(&'a str),
    /// The user of this name, who has logged in.
    User(&'a str),
}

/// What is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Whether it may be done.
    pub is_allowed: bool,
    /// The names of the rules by which it is judged.
    pub rules: Vec<String>,
    /// The identities that its certificate was issued for, where policies speak of such.
    pub identities: Vec<String>,
    /// What decides.
    pub words: Vec<Word>,
    /// The names of policies that would say something, but that they have a condition which does not
    /// hold, or are over, or ask more of a request than its path.
    pub unmet: Vec<String>,
}

impl AccessDirectory {
    /// Whether `whom` may do `action` to the secret at `path`, or to the tenant itself, under these
    /// circumstances, and which policies say so; `None` where there is nobody of that name, or nobody knows.
    #[must_use]
    pub fn explain(
        &self,
        permit: &Permit,
        whom: &Whom<'_>,
        (action, path): (Action, Option<&SecretPath>),
        circumstances: Circumstances,
    ) -> Option<Explanation> {
        let id: OkmsId = permit.okms_id();
        let access = self.of(id);
        let (rules, identities) = match whom {
            // Whom no policy binds no rule is about, either.
            Whom::Oneself if permit.is_unbound() => (Vec::new(), &[][..]),
            Whom::Oneself => match permit.subject() {
                Subject::Certificate(peer) => {
                    (peer.rules(&access).ok()?, peer.issued_for(&access).ok()?)
                }
                // Whoever asks for itself has a certificate.
                Subject::Visitor => return None,
                Subject::Bearer | Subject::Process | Subject::System(_) => (Vec::new(), &[][..]),
            },
            Whom::Rule(name) => (vec![access.place_of(name)?], &[][..]),
            Whom::User(_) => (Vec::new(), &[][..]),
        };
        let grants = match whom {
            Whom::User(name) => Some(Arc::clone(&access).user(name)?.under(&circumstances)),
            Whom::Oneself if permit.is_unbound() => None,
            _ => Some(Arc::clone(&access).of_rules(&rules, identities).under(&circumstances)),
        };
        let resource = path.map_or(Resource::Tenant, Resource::Secret);
        let Some(grants) = grants else {
            let word = Word { policy: "root".into(), block: None, denies: false };
            return Some(Explanation {
                is_allowed: true,
                rules: Vec::new(),
                identities: Vec::new(),
                words: vec![word],
                unmet: Vec::new(),
            });
        };
        let user = if let Whom::User(name) = whom { Some(*name) } else { None };
        let whose = (user, rules.as_slice(), identities);
        let (words, unmet) = words(&access, &grants, whose, (action, path), &circumstances);
        Some(Explanation {
            is_allowed: match whom {
                Whom::Oneself => permit.tells_under(circumstances).tells(action, resource),
                _ => grants.allows(action, resource, Door::Other),
            },
            rules: access.names_of(&rules),
            identities: identities.to_vec(),
            words,
            unmet,
        })
    }
}

/// What those policies say that decide, and which would say something under other circumstances.
fn words(
    access: &Access,
    grants: &Grants,
    (user, rules, identities): (Option<&str>, &[u32], &[String]),
    (action, path): (Action, Option<&SecretPath>),
    circumstances: &Circumstances,
) -> (Vec<Word>, Vec<String>) {
    if action.is_operators() {
        // None gives it, and who has it is bound by none.
        return (Vec::new(), Vec::new());
    }
    let resource = path.map_or(Resource::Tenant, Resource::Secret);
    let asked = (action, path.map(SecretPath::as_str));
    let of_iam = access.said(user, (rules, identities), asked, circumstances);
    let (of_iam, unmet): (Vec<_>, Vec<_>) = of_iam.into_iter().partition(|(.., is_said)| *is_said);
    let of_iam = of_iam.into_iter().map(|(policy, verdict, _)| (policy, None, verdict));
    let in_vault = grants.in_vault().map(|policies| policies.told(action, resource, Door::Other));
    let in_vault = in_vault.into_iter().flatten();
    let in_vault = in_vault.map(|(policy, block, verdict)| (policy, Some(block), verdict));
    let (asking, in_vault): (Vec<_>, Vec<_>) =
        in_vault.partition(|(.., verdict)| *verdict == Verdict::Silent);
    let unmet = unmet.into_iter().map(|(policy, ..)| policy);
    let unmet: BTreeSet<_> = unmet.chain(asking.into_iter().map(|(policy, ..)| policy)).collect();
    let all: Vec<_> = of_iam.chain(in_vault).collect();
    let decisive = all.iter().map(|(.., verdict)| *verdict).max().unwrap_or_default();
    let decides =
        |(.., verdict): &(_, _, Verdict)| *verdict == decisive && *verdict != Verdict::Silent;
    let word = |(policy, block, verdict): (String, _, _)| Word {
        policy: policy.into(),
        block,
        denies: verdict == Verdict::Denied,
    };
    let mut words: Vec<_> = all.into_iter().filter(decides).map(word).collect();
    words.sort();
    words.dedup();
    (words, unmet.into_iter().collect())
}
