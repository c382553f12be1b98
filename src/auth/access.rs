//! Who may do what in a tenant: its policies and rules, ready to be asked.
//!
//! Owns the state that every process has of each tenant, and what follows from it for one
//! certificate, user or token; what Vault's policies say together is put together in [`super::acls`]. Always holds: what is denied in any policy is denied, whatever others allow; what
//! no policy allows is not; a state is replaced whole. Never does: read the store.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::{ArcSwap, ArcSwapOption};
use rpds::HashTrieMapSync;

use super::{
    acl::{self, Door, InVault, Mounts},
    acls::{Acls, Bearer, Namer},
    action::{Action, Actions, Resource},
    built_in::{chosen, of_everybody, verdict, with_named},
    cert_rule::Rule,
    glob::Glob,
    holder::{Holder, Untraced},
    patterns::{Extent, Verdict},
    policies::{Chosen, Policies},
    rules::Rules,
};
use crate::model::{BuiltIn, CertRule, IamPolicy, OkmsId, policy::DEFAULT_POLICY};

/// Whether a pattern of actions names one that this server knows.
#[must_use]
pub fn names_an_action(pattern: &str) -> bool {
    let glob = Glob::new(pattern);
    Action::ALL.iter().any(|action| action.names().iter().any(|name| glob.fits(name)))
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
        let of = |holder| access.rules.about(holder).ok();
        (!access.is_closed).then_some(of(one)? == of(other)?)
    }

    /// The names of a user's policies.
    #[must_use]
    pub fn policies_of_user(&self, id: OkmsId, user: &str) -> Vec<String> {
        self.of(id).users.get(user).cloned().unwrap_or_default()
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
    /// The users, by their names, and the names of their policies.
    pub users: Vec<(String, Vec<String>)>,
}

/// The policies and rules of a tenant.
#[derive(Debug)]
pub(super) struct Access {
    /// Grows with each change; 0 of a tenant that never had any.
    generation: u64,
    /// Whether what it says is not known.
    is_closed: bool,
    rules: Rules,
    /// The policies in the words of IAM that each rule gives.
    given: Vec<Arc<Chosen>>,
    /// What whoever fits no rule has.
    default: Arc<Chosen>,
    built_in: BuiltIn,
    policies: Policies,
    acls: Acls,
    /// What users and tokens have that were asked for.
    bearers: ArcSwap<HashTrieMapSync<Namer, Arc<Standing>>>,
    users: HashMap<String, Vec<String>>,
}

/// What so many users and tokens have is remembered.
const BEARERS_MAX: usize = 1_024;
/// Of so many of the rules that somebody fits it is told what they give.
const TOLD_MAX: usize = 64;

impl Access {
    fn new(default: BuiltIn, written: &Written) -> Self {
        let policies = Policies::new(&written.policies);
        let rules: Rules = written.rules.iter().map(|(name, rule)| Rule::new(name, rule)).collect();
        let given = rules.iter().map(|rule| {
            let named = policies.of(&rule.identity, &rule.policies);
            Arc::new(with_named(named, &rule.policies))
        });
        let given = given.collect();
        // Whoever has no name is still among all.
        let of_nobody = with_named(policies.of("", &[]), &[]).with(&chosen(default));
        Self {
            generation: 0,
            is_closed: false,
            rules,
            given,
            default: Arc::new(of_nobody),
            built_in: default,
            policies,
            acls: Acls::new(&written.in_vault, &written.mounts),
            bearers: ArcSwap::default(),
            users: written.users.iter().cloned().collect(),
        }
    }

    /// What somebody has in a tenant, and may do by it.
    fn grants(self: Arc<Self>, holder: &Holder<'_>) -> Result<Grants, Untraced> {
        if !self.rules.is_empty() && holder.certificate().is_partly_read() {
            // What a rule would say of the names that are left out, nobody knows.
            return Ok(Grants::of(self, Arc::new(of_everybody()), Namer::nobody()));
        }
        let rules = self.rules.about(holder)?;
        Ok(self.grants_of_rules(rules))
    }

    /// What whoever fits these rules may do, and no others.
    pub(super) fn grants_of_rules(self: Arc<Self>, rules: Vec<u32>) -> Grants {
        let mut given =
            rules.iter().filter_map(|place| self.given.get(usize::try_from(*place).ok()?));
        let Some(first) = given.next() else { return Grants::default_of(self) };
        // Where one rule fits, or many that give the same, all connections share it.
        let chosen = given.fold(Arc::clone(first), |all, one| {
            if all == *one { all } else { Arc::new(Arc::unwrap_or_clone(all).with(one)) }
        });
        let names_any = |place: &u32| {
            let rule = self.rules.at(*place);
            rule.is_some_and(|rule| rule.policies.iter().any(|name| self.acls.has(name)))
        };
        let namer = Namer::Rules(rules.into_iter().filter(names_any).collect());
        Grants::of(self, chosen, namer)
    }

    /// The rules that are about somebody, by their places.
    pub(super) fn rules_about(&self, holder: &Holder<'_>) -> Result<Vec<u32>, Untraced> {
        self.rules.about(holder)
    }

    /// The place of the rule of this name.
    pub(super) fn place_of(&self, name: &str) -> Option<u32> {
        (0..).zip(self.rules.iter()).find(|(_, rule)| &*rule.name == name).map(|(place, _)| place)
    }

    /// The names of the rules at these places.
    pub(super) fn names_of(&self, rules: &[u32]) -> Vec<String> {
        let rules = rules.iter().filter_map(|place| self.rules.at(*place));
        rules.map(|rule| rule.name.to_string()).collect()
    }

    /// What a user may do, if there is one of this name.
    pub(super) fn user(self: Arc<Self>, user: &str) -> Option<Grants> {
        self.users.contains_key(user).then(|| self.grants_of_user(user))
    }

    /// What each policy in the words of IAM says of an action, of those that a user has, or whoever
    /// fits these rules.
    pub(super) fn said(
        &self,
        user: Option<&str>,
        rules: &[u32],
        action: Action,
        path: Option<&str>,
    ) -> Vec<(String, Verdict)> {
        let of_user = user.and_then(|user| self.users.get(user));
        let rules = rules.iter().take(TOLD_MAX);
        let rules: Vec<_> = rules.filter_map(|place| self.rules.at(*place)).collect();
        let default = [self.built_in.name().to_owned()];
        // Whom the policies are asked about, and which they have by name.
        let mut whom: Vec<(Option<&str>, &[String])> = Vec::new();
        match of_user {
            Some(names) => whom.push((user, names)),
            None if rules.is_empty() => whom.push((Some(""), &default)),
            None => whom.extend(rules.iter().map(|rule| (Some(&*rule.identity), &*rule.policies))),
        }
        let mut said = vec![(DEFAULT_POLICY.to_owned(), verdict(&of_everybody(), action, path))];
        for (identity, names) in whom {
            let told = self.policies.told(identity, names, action, path);
            said.extend(told.into_iter().map(|(name, verdict)| (name.to_owned(), verdict)));
            let built_in = names.iter().filter_map(|name| BuiltIn::named(name));
            said.extend(
                built_in.map(|one| (one.name().to_owned(), verdict(&chosen(one), action, path))),
            );
        }
        said
    }

    /// What a user may do: what the policies grant that it names, and those about an identity of its
    /// name.
    pub(super) fn grants_of_user(self: Arc<Self>, user: &str) -> Grants {
        let names = self.users.get(user).cloned().unwrap_or_default();
        let about = self.policies.of(user, &names);
        self.grants_of_names(&Namer::User(user.into(), names.as_slice().into()), &names, about)
    }

    /// What the policies of these names grant; a template has the values of the bearer.
    pub(super) fn grants_of_policies(self: Arc<Self>, bearer: Bearer, names: &[String]) -> Grants {
        let named = self.policies.named(names);
        self.grants_of_names(&Namer::Bearer(bearer, names.into()), names, named)
    }

    fn grants_of_names(self: Arc<Self>, namer: &Namer, names: &[String], chosen: Chosen) -> Grants {
        if let Some(known) = self.bearers.load().get(namer) {
            return Grants::again(Arc::clone(&self), Arc::clone(known));
        }
        let chosen = with_named(chosen, names);
        let grants = Grants::of(Arc::clone(&self), Arc::new(chosen), namer.clone());
        self.bearers.rcu(|known| {
            let has_room = known.size() < BEARERS_MAX;
            let known =
                if has_room { HashTrieMapSync::clone(known) } else { HashTrieMapSync::default() };
            known.insert(namer.clone(), Arc::clone(&grants.standing))
        });
        grants
    }

    /// What the policies in Vault's language say together that somebody names.
    fn in_vault(&self, namer: &Namer) -> Option<Arc<InVault>> {
        self.acls.of(namer, &self.rules)
    }
}

/// What somebody has in a tenant, worked out once for a connection: which policies, and no more, so
/// that an old state is not kept by those who ask for nothing.
#[derive(Debug)]
struct Standing {
    /// Of the state that it was worked out by.
    generation: u64,
    chosen: Arc<Chosen>,
    /// Who names policies in Vault's language.
    namer: Namer,
    /// What may be done to something in the tenant.
    somewhere: Actions,
    /// What those policies say together, as long as the state is kept.
    acl: Weak<InVault>,
}

/// What somebody may do in a tenant, by its policies as they are now.
#[derive(Clone, Debug)]
pub(super) struct Grants {
    access: Arc<Access>,
    standing: Arc<Standing>,
    in_vault: Option<Arc<InVault>>,
}

impl Grants {
    /// What whoever is no certificate of any rule may do.
    pub(super) fn default_of(access: Arc<Access>) -> Self {
        let chosen = Arc::clone(&access.default);
        Self::of(access, chosen, Namer::nobody())
    }

    /// By what was worked out before.
    fn again(access: Arc<Access>, standing: Arc<Standing>) -> Self {
        let in_vault = standing.acl.upgrade().or_else(|| access.in_vault(&standing.namer));
        Self { access, standing, in_vault }
    }

    fn of(access: Arc<Access>, chosen: Arc<Chosen>, namer: Namer) -> Self {
        let in_vault = access.in_vault(&namer);
        let acl = in_vault.as_ref().map(Arc::downgrade).unwrap_or_default();
        let generation = access.generation;
        let somewhere = Actions::of(&[]);
        let standing = Arc::new(Standing { generation, chosen, namer, somewhere, acl });
        let mut grants = Self { access, standing, in_vault };
        let may = |action: &Action| {
            let places = [Resource::Tenant, Resource::Below("")];
            places.iter().any(|place| grants.allows(*action, *place, Door::Told))
        };
        let somewhere = Action::ALL.iter().copied().filter(may).collect();
        if let Some(standing) = Arc::get_mut(&mut grants.standing) {
            standing.somewhere = somewhere;
        }
        grants
    }

    /// Whether some of `actions` may be done to something in the tenant, so that there is something
    /// to ask.
    pub(super) fn allows_some_of(&self, actions: Actions) -> bool {
        !self.standing.somewhere.and(actions).is_empty()
    }

    /// What the policies in Vault's language say, where there are any.
    pub(super) fn in_vault(&self) -> Option<&InVault> {
        self.in_vault.as_deref()
    }

    /// Whether `action` may be done to `resource`, asked for through `door`.
    pub(super) fn allows(&self, action: Action, resource: Resource<'_>, door: Door<'_>) -> bool {
        let Self { access, standing, in_vault } = self;
        let of_iam = match resource {
            Resource::Tenant => Policies::says_of_domain(&standing.chosen, action),
            Resource::Secret(path) => access.policies.says(&standing.chosen, action, path.as_str()),
            Resource::Below(prefix) => return self.extent(action, prefix) != Extent::Nothing,
            Resource::AllBelow(prefix) => {
                return self.extent(action, prefix) == Extent::Everything;
            }
        };
        let in_vault = in_vault.as_ref().filter(|_| of_iam != Verdict::Denied);
        let in_vault = in_vault.map(|policies| policies.says(action, resource, door));
        of_iam.max(in_vault.unwrap_or_default()) == Verdict::Allowed
    }

    /// To how much of what lies below `prefix` an action may be done.
    pub(super) fn extent(&self, action: Action, prefix: &str) -> Extent {
        let in_vault = self.in_vault.as_ref().map(|policies| policies.extents(action, prefix));
        let (allowed, denied) = in_vault.unwrap_or((Extent::Nothing, Extent::Nothing));
        let of_iam = self.access.policies.extents(&self.standing.chosen, action, prefix);
        match (allowed.or(of_iam.0), denied.or(of_iam.1)) {
            (Extent::Nothing, _) | (_, Extent::Everything) => Extent::Nothing,
            (Extent::Everything, Extent::Nothing) => Extent::Everything,
            _ => Extent::Some,
        }
    }
}

/// What a connection remembers of what its certificate has.
#[derive(Debug, Default)]
pub(super) struct Remembered(ArcSwapOption<Standing>);

impl Remembered {
    /// What it may do at present.
    pub(super) fn grants(
        &self,
        access: Arc<Access>,
        holder: &Holder<'_>,
    ) -> Result<Grants, Untraced> {
        if let Some(known) = &*self.0.load()
            && known.generation == access.generation
        {
            return Ok(Grants::again(access, Arc::clone(known)));
        }
        let grants = access.grants(holder)?;
        self.0.store(Some(Arc::clone(&grants.standing)));
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
            test_tools::{VOUCHER, identify, upn},
        },
        model::{ResourcePattern, SecretPath, Timestamp},
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
        directory.of(id).grants(&Holder::new(&someone, &VOUCHER, None)).unwrap()
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
            remembered.grants(directory.of(id), &Holder::new(&who, &VOUCHER, None)).unwrap().allows(
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
            let grants =
                Arc::clone(&access).grants(&Holder::new(who, &VOUCHER, Some(line))).unwrap();
            let has = grants.allows(Action::SecretGet, Resource::AllBelow(""), Door::Other);
            assert_eq!(has, may);
        }
        // Who has not been looked at is not judged.
        assert_eq!(access.grants(&Holder::new(&first, &VOUCHER, None)).err(), Some(Untraced));
        let (first, renewed) = (
            Holder::new(&first, &VOUCHER, Some(&of_first)),
            Holder::new(&renewed, &VOUCHER, Some(&of_renewed)),
        );
        assert_eq!(directory.are_alike(id, &first, &renewed), Some(true));
        let stranger = Holder::new(&stranger, &VOUCHER, Some(&of_stranger));
        assert_eq!(directory.are_alike(id, &first, &stranger), Some(false));
        assert_eq!(
            directory.are_alike(id, &first, &Holder::new(first.certificate(), &VOUCHER, None)),
            None
        );
        // Of no rules all are true: a renewal came out of its rule while the rule could not be read.
        directory.close(id);
        assert_eq!(directory.are_alike(id, &first, &stranger), None);
    }

    /// A connection that asked once held the state of that time, patterns and all, for as long as it
    /// was open: changes between the requests of many of them took up the server's memory.
    #[test]
    fn who_asks_for_nothing_holds_no_old_state() {
        let (directory, id) =
            directory(&[rule("x")], &[policy(&["x"], &["a/*"], [&["*"], &[], &[]])]);
        let (remembered, someone) = (Remembered::default(), identify(&[upn("someone")]).unwrap());
        let who = Holder::new(&someone, &VOUCHER, None);
        let old = Arc::downgrade(&directory.of(id));
        assert!(remembered.grants(directory.of(id), &who).unwrap().allows(
            Action::SecretGet,
            Resource::Below("a/"),
            Door::Other
        ));
        assert!(old.upgrade().is_some());
        directory.replace(id, &written(&[rule("x")], &[]));
        assert!(old.upgrade().is_none());
        assert!(!remembered.grants(directory.of(id), &who).unwrap().allows(
            Action::SecretGet,
            Resource::Below(""),
            Door::Other
        ));
    }
}
