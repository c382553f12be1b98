//! Who may do what in a tenant: its policies and rules, ready to be asked.
//!
//! Owns the state that every process has of each tenant, and what follows from it for one
//! certificate. Always holds: what is denied in any policy is denied, whatever others allow; what
//! no policy allows is not; a state is replaced whole. Never does: read the store.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::{ArcSwap, ArcSwapOption};
use rpds::HashTrieMapSync;

use super::{
    acl::{self, Acl, Door, InVault, Mounts},
    action::{Action, Actions, Resource},
    cert_rule::Rule,
    glob::Glob,
    holder::{Holder, Untraced},
    patterns::{Extent, Patterns, Verdict},
};
use crate::model::{BuiltIn, CertRule, IamPolicy, OkmsId, ResourcePattern, policy::DEFAULT_POLICY};

/// Whether a pattern of actions names one that this server knows.
#[must_use]
pub fn names_an_action(pattern: &str) -> bool {
    let glob = Glob::new(pattern);
    Action::ALL.iter().any(|action| action.names().iter().any(|name| glob.fits(name)))
}

/// What a policy that is always there allows.
const fn actions(of: BuiltIn) -> Actions {
    match of {
        BuiltIn::Admin => Actions::of(&[
            Action::SecretGet,
            Action::SecretList,
            Action::SecretCreate,
            Action::SecretCreateEmpty,
            Action::SecretDelete,
            Action::SecretUpdateMetadata,
            Action::SecretPatchMetadata,
            Action::VersionGetData,
            Action::SubkeysGet,
            Action::VersionCreate,
            Action::VersionPatch,
            Action::VersionActivate,
            Action::VersionDeactivate,
            Action::VersionDeactivateCurrent,
            Action::VersionDelete,
            Action::ConfigGet,
            Action::ConfigUpdate,
            Action::PolicyGet,
            Action::PolicyEdit,
            Action::TokenGet,
            Action::TokenEdit,
            Action::CredentialGet,
            Action::CredentialRenew,
        ]),
        BuiltIn::ReadOnly => Actions::of(&[
            Action::SecretGet,
            Action::SecretList,
            Action::VersionGetData,
            Action::SubkeysGet,
            Action::ConfigGet,
            Action::CredentialGet,
        ]),
        BuiltIn::Auditor => Actions::of(&[
            Action::SecretGet,
            Action::SecretList,
            Action::SubkeysGet,
            Action::ConfigGet,
            Action::PolicyGet,
            Action::TokenGet,
            Action::CredentialGet,
        ]),
        BuiltIn::Nothing => Actions::of(&[]),
    }
}

/// The policies and rules of all tenants, as the store has them.
#[derive(Debug)]
pub struct AccessDirectory {
    /// Of a certificate that no rule is about.
    default: BuiltIn,
    tenants: ArcSwap<HashTrieMapSync<OkmsId, Arc<Access>>>,
    none: Arc<Access>,
    generations: AtomicU64,
}

impl AccessDirectory {
    /// One in which no tenant has any. Certificates that no rule is about have `default`.
    #[must_use]
    pub fn new(default: BuiltIn) -> Self {
        Self {
            default,
            tenants: ArcSwap::from_pointee(HashTrieMapSync::default()),
            none: Arc::new(Access::new(default, &Written::default())),
            generations: AtomicU64::new(0),
        }
    }

    /// Replaces what a tenant has. Whoever calls it has one turn after the other.
    pub fn replace(&self, id: OkmsId, written: &Written) {
        self.put(id, Access::new(self.default, written));
    }

    /// Lets nobody do anything in a tenant, as what is denied there is not known.
    pub fn close(&self, id: OkmsId) {
        let nobody = Access::new(BuiltIn::Nothing, &Written::default());
        self.put(id, Access { is_closed: true, ..nobody });
    }

    fn put(&self, id: OkmsId, access: Access) {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed) + 1;
        let access = Arc::new(Access { generation, ..access });
        self.tenants.rcu(|tenants| tenants.insert(id, Arc::clone(&access)));
    }

    /// Whether the same rules of a tenant are about both; `None` where nobody knows: the tenant is
    /// closed, or a rule asks for a line that is not known.
    #[must_use]
    pub fn are_alike(&self, id: OkmsId, one: &Holder<'_>, other: &Holder<'_>) -> Option<bool> {
        let access = self.of(id);
        let mut alike = (!access.is_closed).then_some(true)?;
        for rule in &access.rules {
            alike &= rule.is_about(one).ok()? == rule.is_about(other).ok()?;
        }
        Some(alike)
    }

    /// How many rules a tenant has.
    #[must_use]
    pub fn rules(&self, id: OkmsId) -> usize {
        self.of(id).rules.len()
    }

    /// What a tenant has.
    #[must_use]
    pub(super) fn of(&self, id: OkmsId) -> Arc<Access> {
        self.tenants.load().get(&id).map_or_else(|| Arc::clone(&self.none), Arc::clone)
    }
}

/// All that says who may do what in a tenant, as it is stored.
#[derive(Debug, Default)]
pub struct Written {
    /// The rules, by their names.
    pub rules: Vec<(String, CertRule)>,
    /// The policies in the words of IAM.
    pub policies: Vec<IamPolicy>,
    /// Those in Vault's language, by their names.
    pub in_vault: Vec<(String, acl::Policy)>,
    /// The mounts, through which those speak of the tree.
    pub mounts: Mounts,
}

/// The policies and rules of a tenant.
#[derive(Debug)]
pub(super) struct Access {
    default: BuiltIn,
    /// Grows with each change; 0 of a tenant that never had any.
    generation: u64,
    /// Whether what it says is not known.
    is_closed: bool,
    rules: Vec<Rule>,
    policies: Vec<Policy>,
    in_vault: HashMap<String, acl::Policy>,
    mounts: Arc<Mounts>,
}

/// A policy with its patterns at hand.
#[derive(Debug)]
struct Policy {
    name: String,
    identities: Vec<Glob>,
    /// Whether it is about the domain as a whole.
    is_of_domain: bool,
    secrets: Vec<Glob>,
    allow: Actions,
    deny: Actions,
}

impl Policy {
    fn new(policy: &IamPolicy) -> Self {
        let globs = |texts: &[String]| texts.iter().map(|text| Glob::new(text)).collect::<Vec<_>>();
        let among = |texts: &[String]| {
            let globs = globs(texts);
            let is_named = |action: &Action| {
                action.names().iter().any(|name| globs.iter().any(|glob| glob.fits(name)))
            };
            Action::ALL.iter().copied().filter(is_named).collect::<Actions>()
        };
        let is_of_domain = policy.resources.contains(&ResourcePattern::Domain);
        let mut secrets: Vec<_> = policy
            .resources
            .iter()
            .filter_map(|resource| match resource {
                ResourcePattern::Domain => None,
                ResourcePattern::Secrets(pattern) => Some(Glob::new(pattern)),
            })
            .collect();
        if is_of_domain {
            secrets.push(Glob::new("*"));
        }
        Self {
            name: policy.name.clone(),
            identities: globs(&policy.identities),
            is_of_domain,
            secrets,
            allow: among(&policy.allow).without(among(&policy.except)),
            deny: among(&policy.deny),
        }
    }

    /// Whoever belongs to a tenant may know it, and goes on belonging to it.
    fn of_everybody() -> Self {
        Self {
            name: DEFAULT_POLICY.to_owned(),
            identities: Vec::new(),
            is_of_domain: true,
            secrets: Vec::new(),
            allow: Actions::of(&[Action::DomainGet, Action::CredentialRenew]),
            deny: Actions::of(&[]),
        }
    }

    fn is_about(&self, identities: &[String]) -> bool {
        self.identities.iter().any(|glob| identities.iter().any(|identity| glob.fits(identity)))
    }
}

impl From<BuiltIn> for Policy {
    fn from(one: BuiltIn) -> Self {
        Self {
            name: one.name().to_owned(),
            identities: Vec::new(),
            is_of_domain: true,
            secrets: vec![Glob::new("*")],
            allow: actions(one),
            deny: Actions::of(&[]),
        }
    }
}

impl Access {
    fn new(default: BuiltIn, written: &Written) -> Self {
        let Written { rules, policies, in_vault, mounts } = written;
        Self {
            default,
            generation: 0,
            is_closed: false,
            rules: rules.iter().map(|(name, rule)| Rule::new(name, rule)).collect(),
            policies: policies.iter().map(Policy::new).collect(),
            in_vault: in_vault.iter().cloned().collect(),
            mounts: Arc::new(mounts.clone()),
        }
    }

    /// What whoever is no certificate of any rule may do.
    pub(super) fn default_grants(&self) -> Grants {
        Grants::of(&[&Policy::of_everybody(), &self.default.into()], None)
    }

    /// What the holder of a certificate may do.
    fn grants(&self, holder: &Holder<'_>) -> Result<Grants, Untraced> {
        if !self.rules.is_empty() && holder.certificate().is_partly_read() {
            // What a rule would say of the names that are left out, nobody knows.
            return Ok(Grants::of(&[&Policy::of_everybody()], None));
        }
        let mut rules = Vec::new();
        for rule in &self.rules {
            if rule.is_about(holder)? {
                rules.push(rule);
            }
        }
        let mut names: Vec<&str> =
            rules.iter().flat_map(|rule| rule.policies.iter().map(String::as_str)).collect();
        // Whoever has no name is still among all.
        let mut identities: Vec<_> = rules.iter().map(|rule| rule.identity.clone()).collect();
        if rules.is_empty() {
            names.push(self.default.name());
            identities.push(String::new());
        }
        let built_in = names.iter().filter_map(|name| BuiltIn::named(name)).map(Policy::from);
        let built_in: Vec<_> = std::iter::once(Policy::of_everybody()).chain(built_in).collect();
        let of_identity = self
            .policies
            .iter()
            .filter(|policy| policy.is_about(&identities) || names.contains(&policy.name.as_str()));
        let policies: Vec<_> = built_in.iter().chain(of_identity).collect();
        Ok(Grants::of(&policies, self.in_vault(&rules)))
    }

    /// What Vault's policies say together, of those that these rules name. A template has the values
    /// of the rule that names its policy.
    fn in_vault(&self, rules: &[&Rule]) -> Option<InVault> {
        let named =
            rules.iter().flat_map(|rule| rule.policies.iter().map(move |name| (name, *rule)));
        let mut named = named
            .filter_map(|(name, rule)| Some((name.as_str(), self.in_vault.get(name)?, rule)))
            .peekable();
        named.peek()?;
        Some(InVault::new(Acl::of(named), Arc::clone(&self.mounts)))
    }
}

/// What somebody may do in a tenant, worked out once for a connection.
#[derive(Debug)]
pub(super) struct Grants {
    /// Of each action, by its number.
    actions: Vec<Granted>,
    /// The policies, by their numbers.
    names: Vec<String>,
    /// What the policies in Vault's language say.
    in_vault: Option<InVault>,
    /// What may be done to something in the tenant.
    somewhere: Actions,
}

/// To what an action may be done.
#[derive(Debug)]
struct Granted {
    /// To the tenant itself: whose word that is.
    allowed_on_tenant: Option<u32>,
    denied_on_tenant: Option<u32>,
    allowed: Patterns,
    denied: Patterns,
}

impl Grants {
    fn of(policies: &[&Policy], in_vault: Option<InVault>) -> Self {
        let with = |says: &dyn Fn(&Policy) -> bool| {
            let saying: Vec<_> = (0..).zip(policies).filter(|(_, policy)| says(policy)).collect();
            let of_tenant = saying.iter().find(|(_, policy)| policy.is_of_domain);
            let secrets = saying
                .iter()
                .flat_map(|(whose, policy)| policy.secrets.iter().map(|glob| (glob, *whose)));
            (of_tenant.map(|(whose, _)| *whose), secrets.collect())
        };
        let granted = |action: &Action| {
            let (allowed_on_tenant, allowed) = with(&|policy| policy.allow.contains(*action));
            let (denied_on_tenant, denied) = with(&|policy| policy.deny.contains(*action));
            Granted { allowed_on_tenant, denied_on_tenant, allowed, denied }
        };
        let mut grants = Self {
            actions: Action::ALL.iter().map(granted).collect(),
            names: policies.iter().map(|policy| policy.name.clone()).collect(),
            in_vault,
            somewhere: Actions::of(&[]),
        };
        let may = |action: &Action| {
            let places = [Resource::Tenant, Resource::Below("")];
            places.iter().any(|place| grants.allows(*action, *place, Door::Told))
        };
        grants.somewhere = Action::ALL.iter().copied().filter(may).collect();
        grants
    }

    /// Whether `action` may be done to something in the tenant, so that there is something to ask.
    pub(super) const fn allows_somewhere(&self, action: Action) -> bool {
        self.somewhere.contains(action)
    }

    /// What the policies in Vault's language say, where there are any.
    pub(super) const fn in_vault(&self) -> Option<&InVault> {
        self.in_vault.as_ref()
    }

    /// Whether `action` may be done to `resource`, asked for through `door`.
    pub(super) fn allows(&self, action: Action, resource: Resource<'_>, door: Door<'_>) -> bool {
        let path = match resource {
            Resource::Tenant => None,
            Resource::Secret(path) => Some(path.as_str()),
            Resource::Below(prefix) => return self.extent(action, prefix) != Extent::Nothing,
            Resource::AllBelow(prefix) => {
                return self.extent(action, prefix) == Extent::Everything;
            }
        };
        let of_iam = match self.decide(action, path) {
            None => Verdict::Silent,
            Some((true, _)) => Verdict::Allowed,
            Some((false, _)) => return false,
        };
        let in_vault = self.in_vault.as_ref().map(|policies| policies.says(action, resource, door));
        of_iam.max(in_vault.unwrap_or_default()) == Verdict::Allowed
    }

    /// What is decided about a secret, or about the tenant itself, and by which policy; `None` where
    /// no policy says anything.
    fn decide(&self, action: Action, path: Option<&str>) -> Option<(bool, &str)> {
        let granted = self.actions.get(action as usize)?;
        let (denied, allowed) = match path {
            None => (granted.denied_on_tenant, granted.allowed_on_tenant),
            Some(path) => {
                let denied = granted.denied.find(path);
                (denied, denied.map_or_else(|| granted.allowed.find(path), |_| None))
            }
        };
        let whose = denied.or(allowed)?;
        Some((denied.is_none(), self.names.get(whose as usize)?))
    }

    /// To how much of what lies below `prefix` an action may be done.
    pub(super) fn extent(&self, action: Action, prefix: &str) -> Extent {
        let Some(granted) = self.actions.get(action as usize) else { return Extent::Nothing };
        let in_vault = self.in_vault.as_ref().map(|policies| policies.extents(action, prefix));
        let (allowed, denied) = in_vault.unwrap_or((Extent::Nothing, Extent::Nothing));
        let denied = denied.or(granted.denied.extent(prefix));
        match (allowed.or(granted.allowed.extent(prefix)), denied) {
            (Extent::Nothing, _) | (_, Extent::Everything) => Extent::Nothing,
            (Extent::Everything, Extent::Nothing) => Extent::Everything,
            _ => Extent::Some,
        }
    }
}

/// What a connection remembers of what its certificate may do.
#[derive(Debug, Default)]
pub(super) struct Remembered(ArcSwapOption<(u64, Arc<Grants>)>);

impl Remembered {
    /// What it may do at present.
    pub(super) fn grants(
        &self,
        access: &Access,
        holder: &Holder<'_>,
    ) -> Result<Arc<Grants>, Untraced> {
        if let Some(known) = &*self.0.load()
            && known.0 == access.generation
        {
            return Ok(Arc::clone(&known.1));
        }
        let grants = Arc::new(access.grants(holder)?);
        self.0.store(Some(Arc::new((access.generation, Arc::clone(&grants)))));
        Ok(grants)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        auth::{
            holder::Line,
            test_tools::{identify, upn},
        },
        model::{SecretPath, Timestamp},
    };

    const ACTIONS: [Action; 3] = [Action::SecretGet, Action::VersionGetData, Action::SecretDelete];

    fn policy(identities: &[&str], resources: &[&str], lists: [&[&str]; 3]) -> IamPolicy {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let [allow, except, deny] = lists.map(texts);
        let pattern = |text: &&str| match *text {
            "" => ResourcePattern::Domain,
            path => ResourcePattern::Secrets(path.to_owned()),
        };
        IamPolicy {
            name: "p".to_owned(),
            description: String::new(),
            identities: texts(identities),
            resources: resources.iter().map(pattern).collect(),
            allow,
            except,
            deny,
            created_at: Timestamp::from_unix_seconds(0),
            updated_at: Timestamp::from_unix_seconds(0),
        }
    }

    fn fits(pattern: &str, text: &str) -> bool {
        Glob::new(pattern).fits(text)
    }

    /// What IAM says, policy by policy, as its page tells it: an action is allowed where some policy
    /// allows it and does not except it, unless some policy denies it.
    fn told(policies: &[IamPolicy], who: &str, action: Action, path: &str) -> bool {
        let of = |policy: &&IamPolicy| {
            policy.identities.iter().any(|glob| fits(glob, who))
                && policy.resources.iter().any(|resource| match resource {
                    ResourcePattern::Domain => true,
                    ResourcePattern::Secrets(glob) => fits(glob, path),
                })
        };
        let named = |globs: &[String]| {
            globs.iter().any(|glob| action.names().iter().any(|name| fits(glob, name)))
        };
        let mut about = policies.iter().filter(of);
        let mut others = about.clone();
        !about.any(|policy| named(&policy.deny))
            && others.any(|policy| named(&policy.allow) && !named(&policy.except))
    }

    fn directory(
        rules: &[(String, CertRule)],
        policies: &[IamPolicy],
    ) -> (AccessDirectory, OkmsId) {
        let (directory, id) =
            (AccessDirectory::new(BuiltIn::Admin), OkmsId::from_bytes([1; 16]).unwrap());
        directory.replace(id, &written(rules, policies));
        (directory, id)
    }

    /// What somebody may do who has no rule of its own.
    fn grants(directory: &AccessDirectory, id: OkmsId) -> Grants {
        let someone = identify(&[upn("someone")]).unwrap();
        directory.of(id).grants(&Holder::new(&someone, None)).unwrap()
    }

    fn written(rules: &[(String, CertRule)], policies: &[IamPolicy]) -> Written {
        Written { rules: rules.to_vec(), policies: policies.to_vec(), ..Written::default() }
    }

    fn rule(identity: &str) -> (String, CertRule) {
        (identity.to_owned(), CertRule::default())
    }

    fn patterns() -> impl Strategy<Value = Vec<&'static str>> {
        let names = [
            "okms:apikms:secret/get",
            "okms:apikms:secret/*",
            "*",
            "okms:apikms:secret/version/getData",
        ];
        vec(prop::sample::select(names.to_vec()), 0..3)
    }

    fn any_policy() -> impl Strategy<Value = IamPolicy> {
        let resources = ["", "a", "a/*", "a/b", "*b", "a/*/c", "b*", "*"];
        let identities = ["x", "y", "*", "x*"];
        (
            vec(prop::sample::select(identities.to_vec()), 1..3),
            vec(prop::sample::select(resources.to_vec()), 1..3),
            patterns(),
            patterns(),
            patterns(),
        )
            .prop_map(|(identities, resources, allow, except, deny)| {
                policy(&identities, &resources, [&allow, &except, &deny])
            })
    }

    proptest! {
        /// And of folders: where all or nothing below is said, it is so.
        #[test]
        fn it_decides_as_iam_tells(
            policies in vec(any_policy(), 0..6),
            paths in vec("[ab](/[abc]){0,2}", 1..8),
            prefix in "([ab]/)?([abc]/)?",
        ) {
            let (directory, id) = directory(&[rule("x")], &policies);
            let grants = grants(&directory, id);
            for action in ACTIONS {
                for text in &paths {
                    let path: SecretPath = text.parse().unwrap();
                    let is_allowed = told(&policies, "x", action, text);
                    prop_assert_eq!(grants.allows(action, Resource::Secret(&path), Door::Other), is_allowed);
                    if text.starts_with(&prefix) {
                        match grants.extent(action, &prefix) {
                            Extent::Nothing => prop_assert!(!is_allowed),
                            Extent::Everything => prop_assert!(is_allowed),
                            Extent::Some => {}
                        }
                    }
                }
                let of_domain = |policy: &&IamPolicy| policy.resources.contains(&ResourcePattern::Domain);
                let of_domain: Vec<_> = policies.iter().filter(of_domain).cloned().collect();
                prop_assert_eq!(grants.allows(action, Resource::Tenant, Door::Other), told(&of_domain, "x", action, ""));
            }
        }
    }

    /// Identities are told apart byte for byte: folded case once gave somebody else's policies
    /// (CVE-2025-5999, CVE-2025-64761).
    #[test]
    fn names_are_compared_byte_for_byte() {
        let everything = policy(&["Admins"], &[""], [&["*"], &[], &[]]);
        for (identity, is_allowed) in
            [("Admins", true), ("admins", false), ("ADMINS", false), (" Admins", false)]
        {
            let (directory, id) = directory(&[rule(identity)], std::slice::from_ref(&everything));
            let grants = grants(&directory, id);
            assert_eq!(
                grants.allows(Action::SecretGet, Resource::Tenant, Door::Other),
                is_allowed,
                "{identity}"
            );
        }
        for policies in [vec!["admin"], vec!["Admin"], vec!["ADMIN "]] {
            let given = CertRule {
                policies: policies.iter().map(ToString::to_string).collect(),
                ..CertRule::default()
            };
            let (directory, id) = directory(&[("r".to_owned(), given)], &[]);
            let grants = grants(&directory, id);
            let may = grants.allows(Action::SecretDelete, Resource::AllBelow(""), Door::Other);
            assert_eq!(may, policies == ["admin"], "{policies:?}");
        }
    }

    /// What is remembered of a connection is forgotten when the policies change.
    #[test]
    fn what_is_remembered_is_of_the_newest_state() {
        let (directory, id) = directory(&[], &[]);
        let (remembered, who) = (Remembered::default(), identify(&[upn("someone")]).unwrap());
        let may = || {
            remembered.grants(&directory.of(id), &Holder::new(&who, None)).unwrap().allows(
                Action::SecretGet,
                Resource::AllBelow(""),
                Door::Other,
            )
        };
        assert!(may() && may());
        directory.replace(id, &written(&[rule("x")], &[]));
        assert!(!may());
        directory.close(id);
        assert!(!may());
        directory.replace(id, &written(&[], &[]));
        assert!(may());
    }

    /// A certificate that had renewed itself before a rule pinned its key was not under the rule,
    /// and the administrator of the domain: a rule is about all that come from the key.
    #[test]
    fn a_pinned_key_is_that_of_its_renewals() {
        let (first, renewed) = (identify(&[upn("a")]).unwrap(), identify(&[upn("a")]).unwrap());
        let stranger = identify(&[upn("a")]).unwrap();
        let pin = CertRule {
            keys: vec![*first.public_key_sha256()],
            policies: vec!["nothing".to_owned()],
            ..CertRule::default()
        };
        let (directory, id) = directory(&[("pin".to_owned(), pin)], &[]);
        let access = directory.of(id);
        let of_first = Line::new(&first, Vec::new());
        let of_renewed = Line::new(&renewed, vec![*first.public_key_sha256()]);
        let of_stranger = Line::new(&stranger, Vec::new());
        for (who, line, may) in [
            (&first, &of_first, false),
            (&renewed, &of_renewed, false),
            (&stranger, &of_stranger, true),
        ] {
            let grants = access.grants(&Holder::new(who, Some(line))).unwrap();
            let has = grants.allows(Action::SecretGet, Resource::AllBelow(""), Door::Other);
            assert_eq!(has, may);
        }
        // Who has not been looked at is not judged.
        assert_eq!(access.grants(&Holder::new(&first, None)).err(), Some(Untraced));
        let (first, renewed) =
            (Holder::new(&first, Some(&of_first)), Holder::new(&renewed, Some(&of_renewed)));
        assert_eq!(directory.are_alike(id, &first, &renewed), Some(true));
        let stranger = Holder::new(&stranger, Some(&of_stranger));
        assert_eq!(directory.are_alike(id, &first, &stranger), Some(false));
        assert_eq!(directory.are_alike(id, &first, &Holder::new(first.certificate(), None)), None);
        // Of no rules all are true: a renewal came out of its rule while the rule could not be read.
        directory.close(id);
        assert_eq!(directory.are_alike(id, &first, &stranger), None);
    }
}
