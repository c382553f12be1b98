//! Who may do what in a tenant: its policies and rules, ready to be asked.
//!
//! Owns the state that every process has of each tenant, and what follows from it for one
//! certificate, user or token; what Vault's policies say together is put together in [`super::acls`]. Always holds: what is denied in any policy is denied, whatever others allow; what
//! no policy allows is not, and no policy of whatever kind allows what is the operators' own ([`Grants`]); a state is replaced whole; what depends on a request's circumstances is
//! remembered beyond it by nobody. Never does: read the store.

use std::{
    borrow::Cow,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::{ArcSwap, ArcSwapOption};
use rpds::HashTrieMapSync;

use super::{
    acl::{self, Addressed, Door, InVault, Mounts},
    acls::{Acls, Bearer, Namer, Users, WrittenUser},
    action::{Action, Actions, Resource},
    built_in::{self, by as by_built_in, of_everybody, verdict, with_named},
    cert_rule::Rule,
    chosen::{Chosen, Said, Sum},
    glob::Glob,
    holder::{Holder, Untraced},
    patterns::{Extent, Verdict},
    policies::{Policies, Policy},
    rules::Rules,
    word::Word,
};
use crate::model::{BuiltIn, Circumstances, OkmsId, SecretPath, policy::DEFAULT_POLICY};

/// Whether a pattern of actions names one that this server knows.
#[must_use]
pub fn names_an_action(pattern: &str) -> bool {
    let glob = Glob::new(pattern);
    Action::ALL.iter().any(|action| action.names().iter().any(|name| glob.fits(name)))
}

/// Whether it is the name of an action that no policy gives.
#[must_use]
pub fn names_operators_own(name: &str) -> bool {
    Action::OPERATORS.iter().any(|action| action.names().contains(&name))
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

    /// What the paths of all secrets begin with that a mount shows which somebody made.
    #[must_use]
    pub fn below(&self, id: OkmsId, mount: &str) -> Option<String> {
        self.of(id).acls.mounts().below(mount).map(str::to_owned)
    }

    /// The names of a user's policies.
    #[must_use]
    pub fn policies_of_user(&self, id: OkmsId, user: &str) -> Vec<String> {
        let access = self.of(id);
        access.users.get(user).map(|user| user.policies.clone()).unwrap_or_default()
    }

    /// Whether a tenant has rules that were written as roles.
    #[must_use]
    pub fn has_roles(&self, id: OkmsId) -> bool {
        self.of(id).rules.iter().any(|rule| rule.is_role)
    }

    /// What a tenant has.
    #[must_use]
    pub(super) fn of(&self, id: OkmsId) -> Arc<Access> {
        self.tenants.load().get(&id).map_or_else(|| Arc::clone(&self.none), Arc::clone)
    }
}

/// All that says who may do what in a tenant, each ready to be asked by itself.
#[derive(Debug, Default)]
pub struct Written {
    /// The rules.
    pub rules: Vec<Arc<Rule>>,
    /// The policies in the words of IAM.
    pub policies: Vec<Arc<Policy>>,
    /// Those in Vault's language, by their names.
    pub in_vault: Vec<(Arc<str>, Arc<acl::Policy>)>,
    /// The mounts, through which those speak of the tree.
    pub mounts: Mounts,
    /// The users, by their names.
    pub users: Vec<(Arc<str>, Arc<WrittenUser>)>,
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
    users: Users,
}

/// What so many users and tokens have is remembered.
const BEARERS_MAX: usize = 1_024;
/// So many of the identities that somebody has are told.
const IDENTITIES_MAX: usize = 8;
/// Of so many of the rules that somebody fits it is told what they give.
const TOLD_MAX: usize = 64;

impl Access {
    fn new(default: BuiltIn, written: &Written) -> Self {
        let policies = Policies::new(&written.policies);
        let rules: Rules = written.rules.iter().cloned().collect();
        let given = rules.iter().map(|rule| {
            let named = policies.of(&rule.identity, &rule.policies);
            Arc::new(with_named(named, &rule.policies))
        });
        let given = given.collect();
        // Whoever has no name is still among all.
        let of_nobody = built_in::with(with_named(policies.of("", &[]), &[]), default);
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

    /// How often what is known of the tenant had changed when it was this.
    pub(super) const fn generation(&self) -> u64 {
        self.generation
    }

    /// What somebody has in a tenant.
    fn has(self: Arc<Self>, holder: &Holder<'_>) -> Result<Having, Untraced> {
        if self.rules.miss(holder.certificate()) {
            // What a rule would say of the names that are left out, nobody knows.
            return Ok(Having::new(
                self,
                Arc::new(with_named(Chosen::none(), &[])),
                Namer::nobody(),
            ));
        }
        let (rules, identities) = (self.rules.about(holder)?, self.issued_for(holder)?);
        Ok(self.of_rules(&rules, identities))
    }

    /// The identities that a certificate was issued for, where policies speak of such: else nobody
    /// looks.
    pub(super) fn issued_for<'a>(&self, holder: &Holder<'a>) -> Result<&'a [String], Untraced> {
        if self.policies.name_issued() { holder.identities() } else { Ok(&[]) }
    }

    /// What whoever fits these rules has, and no others, and was issued for these identities.
    pub(super) fn of_rules(self: Arc<Self>, rules: &[u32], identities: &[String]) -> Having {
        let mut given =
            rules.iter().filter_map(|place| self.given.get(usize::try_from(*place).ok()?));
        let first = given.next().unwrap_or(&self.default);
        let issued = identities.iter().map(|identity| Arc::new(self.policies.of(identity, &[])));
        let none = Chosen::none();
        let issued: Vec<_> = issued.filter(|chosen| **chosen != none).collect();
        // Where one rule fits, or many that give the same, all connections share it.
        let chosen = given.chain(&issued).fold(Arc::clone(first), |all, one| {
            if all == *one { all } else { Arc::new(Arc::unwrap_or_clone(all).with(one)) }
        });
        let names_any = |place: &u32| {
            let rule = self.rules.at(*place);
            rule.is_some_and(|rule| rule.policies.iter().any(|name| self.acls.has(name)))
        };
        let namer = Namer::Rules(rules.iter().copied().filter(names_any).collect());
        Having::by_rules(self, chosen, namer, (rules, identities))
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

    /// What a user has, if there is one of this name.
    pub(super) fn user(self: Arc<Self>, user: &str) -> Option<Having> {
        self.users.contains_key(user).then(|| self.of_user(user))
    }

    /// What each policy in the words of IAM says of an action, of those that a user has, or whoever
    /// fits these rules and was issued for these identities, and whether it does under these circumstances.
    pub(super) fn said(
        &self,
        user: Option<&str>,
        (rules, identities): (&[u32], &[String]),
        (action, path): (Action, Option<&str>),
        circumstances: &Circumstances,
    ) -> Vec<(String, Verdict, bool)> {
        let of_user = user.and_then(|user| self.users.get(user)).map(|user| &*user.policies);
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
        whom.extend(identities.iter().map(|identity| (Some(identity.as_str()), &[][..])));
        let always = |name: &str, one: Sum| (name.to_owned(), verdict(one, action, path), true);
        let mut said = vec![always(DEFAULT_POLICY, of_everybody())];
        for (identity, names) in whom {
            let told = self.policies.told(identity, names, (action, path), circumstances);
            said.extend(told.into_iter().map(|(name, says, is)| (name.to_owned(), says, is)));
            let built_in = names.iter().filter_map(|name| BuiltIn::named(name));
            said.extend(built_in.map(|one| always(one.name(), built_in::says(one))));
        }
        said
    }

    /// What a user has: the policies that it names, and those about an identity of its name.
    pub(super) fn of_user(self: Arc<Self>, user: &str) -> Having {
        let names = self.users.get(user).map(|user| user.policies.clone()).unwrap_or_default();
        let about = self.policies.of(user, &names);
        self.of_names(&Namer::User(user.into(), names.as_slice().into()), &names, about)
    }

    /// The policies of these names; a template has the values of the bearer.
    pub(super) fn of_policies(self: Arc<Self>, bearer: Bearer, names: &[String]) -> Having {
        let named = self.policies.named(names);
        self.of_names(&Namer::Bearer(bearer, names.into()), names, named)
    }

    fn of_names(self: Arc<Self>, namer: &Namer, names: &[String], chosen: Chosen) -> Having {
        if let Some(known) = self.bearers.load().get(namer) {
            return Having::again(Arc::clone(&self), Arc::clone(known));
        }
        let chosen = with_named(chosen, names);
        let having = Having::new(Arc::clone(&self), Arc::new(chosen), namer.clone());
        self.bearers.rcu(|known| {
            let has_room = known.size() < BEARERS_MAX;
            let known =
                if has_room { HashTrieMapSync::clone(known) } else { HashTrieMapSync::default() };
            known.insert(namer.clone(), Arc::clone(&having.standing))
        });
        having
    }

    /// What the policies in Vault's language say together that somebody names.
    fn in_vault(&self, namer: &Namer) -> Option<Arc<InVault>> {
        self.acls.of(namer, &self.rules, &self.users)
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
    /// The rules that are about it, as many as are told.
    rules: Box<[u32]>,
    /// The identities that it was issued for, likewise.
    identities: Box<[String]>,
    /// What may be done to something in the tenant, whatever the circumstances.
    somewhere: Actions,
    /// What those policies say together, as long as the state is kept.
    acl: Weak<InVault>,
}

/// What somebody has in a tenant, by its policies as they are now: what of it counts is said under the
/// circumstances of a request, and for that alone.
#[derive(Clone, Debug)]
pub(super) struct Having {
    access: Arc<Access>,
    standing: Arc<Standing>,
    in_vault: Option<Arc<InVault>>,
}

impl Having {
    /// What whoever is no certificate of any rule has.
    pub(super) fn default_of(access: Arc<Access>) -> Self {
        let chosen = Arc::clone(&access.default);
        Self::new(access, chosen, Namer::nobody())
    }

    /// By what was worked out before.
    fn again(access: Arc<Access>, standing: Arc<Standing>) -> Self {
        let in_vault = standing.acl.upgrade().or_else(|| access.in_vault(&standing.namer));
        Self { access, standing, in_vault }
    }

    fn new(access: Arc<Access>, chosen: Arc<Chosen>, namer: Namer) -> Self {
        Self::by_rules(access, chosen, namer, (&[], &[]))
    }

    /// What certificates have that these rules are about, and that were issued for these identities.
    fn by_rules(
        access: Arc<Access>,
        chosen: Arc<Chosen>,
        namer: Namer,
        (rules, identities): (&[u32], &[String]),
    ) -> Self {
        let rules = rules.iter().copied().take(IDENTITIES_MAX).collect();
        let identities = identities.iter().take(IDENTITIES_MAX).cloned().collect();
        let in_vault = access.in_vault(&namer);
        let acl = in_vault.as_ref().map(Arc::downgrade).unwrap_or_default();
        let generation = access.generation;
        let said = Said::always(Arc::clone(&chosen));
        let somewhere = Actions::of(&[]);
        let standing = Standing { generation, chosen, namer, rules, identities, somewhere, acl };
        let standing = Arc::new(standing);
        let mut grants = Grants { having: Self { access, standing, in_vault }, said };
        let somewhere = grants.somewhere(Actions::of(Action::ALL));
        if let Some(standing) = Arc::get_mut(&mut grants.having.standing) {
            standing.somewhere = somewhere;
        }
        grants.having
    }

    /// What it allows under these circumstances.
    pub(super) fn under(self, circumstances: &Circumstances) -> Grants {
        let said = self.access.policies.under(&self.standing.chosen, circumstances);
        Grants { having: self, said }
    }
}

/// What somebody may do in a tenant, asked for by one request: all that policies give, in whichever
/// language and through whichever door, comes out of here, and so nothing of it that is the operators'
/// own.
#[derive(Clone, Debug)]
pub(super) struct Grants {
    having: Having,
    /// What the policies in the words of IAM say.
    said: Said,
}

impl Grants {
    /// The same under other circumstances.
    pub(super) fn under(&self, circumstances: &Circumstances) -> Self {
        self.having.clone().under(circumstances)
    }

    /// Of which state of the tenant's policies they are.
    pub(super) fn generation(&self) -> u64 {
        self.having.access.generation()
    }

    /// Whether something of `actions` may be done to something, or what is asked for in Vault's words
    /// may be allowed by its policies; and it is not denied there.
    pub(super) fn may_begin(&self, actions: Actions, asked: Option<&Addressed>) -> bool {
        let actions = actions.without(Actions::OPERATORS);
        let in_vault = self.in_vault().zip(asked).filter(|_| !actions.is_empty());
        // What a block asks of the request beyond its path is looked at once that is there.
        let verdict = in_vault.map(|(policies, asked)| policies.says_at(asked, true));
        match verdict.unwrap_or_default() {
            Verdict::Denied => false,
            Verdict::Allowed => true,
            Verdict::Silent => self.allows_some_of(actions),
        }
    }

    /// Whether some of `actions` may be done to something in the tenant, so that there is something
    /// to ask.
    fn allows_some_of(&self, actions: Actions) -> bool {
        let standing = &self.having.standing;
        let of_them = if standing.chosen.is_conditional() {
            self.somewhere(actions)
        } else {
            standing.somewhere.and(actions)
        };
        !of_them.is_empty()
    }

    /// Those of them that may be done to something in the tenant.
    fn somewhere(&self, actions: Actions) -> Actions {
        let may = |action: &Action| {
            let allows = |place| self.allows(*action, place, Door::Best);
            // What is denied at one address of it may be allowed at another.
            let is_somewhere = || acl::has_address(*action) && allows(Resource::Below(""));
            actions.contains(*action) && (allows(Resource::Tenant) || is_somewhere())
        };
        Action::ALL.iter().copied().filter(may).collect()
    }

    /// What the policies in Vault's language say, where there are any.
    pub(super) fn in_vault(&self) -> Option<&InVault> {
        self.having.in_vault.as_deref()
    }

    /// Whether `action` may be done to `resource`, asked for through `door`.
    pub(super) fn allows(&self, action: Action, resource: Resource<'_>, door: Door<'_>) -> bool {
        if action.is_operators() {
            return false;
        }
        let path = match resource {
            Resource::Tenant => None,
            Resource::Secret(path) => Some(path),
            Resource::Below(prefix) => return self.extent(action, prefix, door) != Extent::Nothing,
            Resource::AllBelow(prefix) => {
                return self.extent(action, prefix, door) == Extent::Everything;
            }
        };
        let (of_iam, in_vault) = self.verdicts(action, path, door);
        of_iam.max(in_vault) == Verdict::Allowed
    }

    /// Whether those in the words of IAM allow an action on the domain, asked for in Vault's words
    /// where no block denies it.
    pub(super) fn allows_by_iam(&self, action: Action, asked: &Addressed) -> bool {
        let (of_iam, in_vault) = self.verdicts(action, None, Door::Vault { asked, is_fit: true });
        !action.is_operators() && of_iam == Verdict::Allowed && in_vault != Verdict::Denied
    }

    /// What the policies in the words of IAM say, and those in Vault's language, which are not asked
    /// where it is denied already.
    fn verdicts(
        &self,
        action: Action,
        path: Option<&SecretPath>,
        door: Door<'_>,
    ) -> (Verdict, Verdict) {
        let Self { having: Having { access, in_vault, .. }, said } = self;
        let of_iam = match path {
            None => said.sum().domain.verdict(action),
            Some(path) => access.policies.says(said, action, path.as_str()),
        };
        let resource = path.map_or(Resource::Tenant, Resource::Secret);
        let in_vault = in_vault.as_ref().filter(|_| of_iam != Verdict::Denied);
        let in_vault = in_vault.map(|policies| policies.says(action, resource, door));
        (of_iam, in_vault.unwrap_or_default())
    }

    /// The same, and which policy decides, where it is one; of lists, none is.
    pub(super) fn decides(
        &self,
        action: Action,
        resource: Resource<'_>,
        door: Door<'_>,
    ) -> (bool, Option<Word>) {
        if action.is_operators() {
            return (false, None);
        }
        let Self { having: Having { access, in_vault, .. }, said } = self;
        let of = match resource {
            Resource::Tenant => None,
            Resource::Secret(path) => Some(path),
            Resource::Below(_) | Resource::AllBelow(_) => {
                return (self.allows(action, resource, door), None);
            }
        };
        let (of_iam, says) = self.verdicts(action, of, door);
        let verdict = of_iam.max(says);
        let denies = verdict == Verdict::Denied;
        let word = || match verdict {
            Verdict::Silent => None,
            _ if verdict == of_iam => {
                let path = of.map(SecretPath::as_str);
                let by = access.policies.by(said, (action, path), verdict);
                let by = by.map(|policy| Cow::Owned(policy.to_owned()));
                let built_in = || by_built_in(said, action, path, verdict).map(Cow::Borrowed);
                let policy = by.or_else(built_in)?;
                Some(Word { policy, block: None, denies })
            }
            _ => {
                let told = in_vault.as_ref()?.told(action, resource, door);
                let (policy, block, _) = told.into_iter().find(|(.., said)| *said == verdict)?;
                Some(Word { policy: policy.into(), block: Some(block), denies })
            }
        };
        (verdict == Verdict::Allowed, word())
    }

    /// The identities that the rules give, and those that the certificate was issued for.
    pub(super) fn identities(&self) -> impl Iterator<Item = &str> {
        let Having { access, standing, .. } = &self.having;
        let rules = standing.rules.iter().filter_map(|place| access.rules.at(*place));
        let rules = rules.map(|rule| &rule.identity);
        rules.chain(&standing.identities).take(IDENTITIES_MAX).map(String::as_str)
    }

    /// To how much of what lies below `prefix` an action may be done, asked for through `door`.
    fn extent(&self, action: Action, prefix: &str, door: Door<'_>) -> Extent {
        let Self { having: Having { access, in_vault, .. }, said } = self;
        let in_vault = in_vault.as_ref().map(|policies| policies.extents(action, prefix, door));
        let (allowed, denied) = in_vault.unwrap_or((Extent::Nothing, Extent::Nothing));
        let of_iam = access.policies.extents(said, action, prefix);
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
    /// What it has at present.
    pub(super) fn has(&self, access: Arc<Access>, holder: &Holder<'_>) -> Result<Having, Untraced> {
        if let Some(known) = &*self.0.load()
            && known.generation == access.generation
        {
            return Ok(Having::again(access, Arc::clone(known)));
        }
        let having = access.has(holder)?;
        self.0.store(Some(Arc::clone(&having.standing)));
        Ok(having)
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
        model::{
            CertRule, Condition, IamPolicy, ResourcePattern, SecretPath, Timestamp, When,
            condition::{Expression, Operator},
        },
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
            when: When::default(),
            created_at: Timestamp::from_unix_seconds(0),
            updated_at: Timestamp::from_unix_seconds(0),
        }
    }

    fn fits(pattern: &str, text: &str) -> bool {
        Glob::new(pattern).fits(text)
    }

    /// A condition of a test's policy, told apart by its first word.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum If {
        Always,
        AtNight,
        InOffice,
        NotInOffice,
        NotBoth,
        Until,
    }

    impl If {
        const ALL: [Self; 6] = [
            Self::Always,
            Self::AtNight,
            Self::InOffice,
            Self::NotInOffice,
            Self::NotBoth,
            Self::Until,
        ];

        fn when(self) -> When {
            let matching = |key: &str, value: &str| Expression {
                operator: Operator::Match,
                values: vec![(key.to_owned(), value.to_owned())],
                conditions: Vec::new(),
            };
            let of = |operator, conditions| Expression { operator, values: Vec::new(), conditions };
            let night = matching("date(UTC).Hour.LT", "6");
            let office = matching("request.IP.IN_RANGE", "10.0.0.0/8");
            let condition = match self {
                Self::Always | Self::Until => None,
                Self::AtNight => Some(night),
                Self::InOffice => Some(office),
                Self::NotInOffice => Some(of(Operator::Not, vec![office])),
                Self::NotBoth => {
                    Some(of(Operator::Not, vec![of(Operator::And, vec![night, office])]))
                }
            };
            let expires_at =
                (self == Self::Until).then(|| Timestamp::from_unix_seconds(10 * 3_600));
            When {
                condition: condition.map(|written| Condition::new(written).unwrap()),
                expires_at,
            }
        }

        /// Whether what is allowed under it is, and whether what is denied is.
        fn says(self, hour: i64, in_office: Option<bool>) -> (bool, bool) {
            let is_night = hour < 6;
            match self {
                Self::Always => (true, true),
                Self::AtNight => (is_night, is_night),
                Self::InOffice => (in_office == Some(true), in_office != Some(false)),
                Self::NotBoth if !is_night => (true, true),
                Self::NotInOffice | Self::NotBoth => {
                    (in_office == Some(false), in_office != Some(true))
                }
                Self::Until => (hour < 10, hour < 10),
            }
        }
    }

    /// The policies as they are at an hour and a place: what says nothing is left out.
    fn left(policies: &[(IamPolicy, If)], hour: i64, in_office: Option<bool>) -> Vec<IamPolicy> {
        let left = policies.iter().map(|(policy, condition)| {
            let (allows, denies) = condition.says(hour, in_office);
            let mut policy = policy.clone();
            policy.allow.retain(|_| allows);
            policy.deny.retain(|_| denies);
            policy
        });
        left.collect()
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
        grants_under(directory, id, &Circumstances::default())
    }

    fn grants_under(directory: &AccessDirectory, id: OkmsId, under: &Circumstances) -> Grants {
        let someone = identify(&[upn("someone")]).unwrap();
        directory.of(id).has(&Holder::new(&someone, &VOUCHER, None)).unwrap().under(under)
    }

    fn written(rules: &[(String, CertRule)], policies: &[IamPolicy]) -> Written {
        let rules = rules.iter().map(|(name, rule)| Arc::new(Rule::new(name, rule)));
        let policies = policies.iter().map(|policy| Arc::new(Policy::new(policy)));
        Written { rules: rules.collect(), policies: policies.collect(), ..Written::default() }
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
            policies in vec((any_policy(), prop::sample::select(If::ALL.to_vec())), 0..6),
            paths in vec("[ab](/[abc]){0,2}", 1..8),
            prefix in "([ab]/)?([abc]/)?",
            hour in 0i64..24,
            in_office: Option<bool>,
        ) {
            let written: Vec<_> = policies
                .iter()
                .map(|(policy, condition)| IamPolicy { when: condition.when(), ..policy.clone() })
                .collect();
            let (directory, id) = directory(&[rule("x")], &written);
            let address = in_office.map(|is_in| if is_in { "::ffff:10.1.2.3" } else { "2001:db8::1" });
            let address = address.map(|address| address.parse().unwrap());
            let now = Timestamp::from_unix_seconds(hour * 3_600 + 59 * 60);
            let grants = grants_under(&directory, id, &Circumstances::new(now, address));
            let policies = left(&policies, hour, in_office);
            for action in ACTIONS {
                for text in &paths {
                    let path: SecretPath = text.parse().unwrap();
                    let is_allowed = told(&policies, "x", action, text);
                    prop_assert_eq!(grants.allows(action, Resource::Secret(&path), Door::Other), is_allowed);
                    if text.starts_with(&prefix) {
                        match grants.extent(action, &prefix, Door::Other) {
                            Extent::Nothing => prop_assert!(!is_allowed),
                            Extent::Everything => prop_assert!(is_allowed),
                            Extent::Some => {}
                        }
                    }
                }
                let of_domain = |policy: &&IamPolicy| policy.resources.contains(&ResourcePattern::Domain);
                let of_domain: Vec<_> = policies.iter().filter(of_domain).cloned().collect();
                prop_assert_eq!(grants.allows(action, Resource::Tenant, Door::Other), told(&of_domain, "x", action, ""));
                let is_somewhere = grants.extent(action, "", Door::Other) != Extent::Nothing
                    || grants.allows(action, Resource::Tenant, Door::Other);
                prop_assert_eq!(grants.allows_some_of(Actions::of(&[action])), is_somewhere);
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

    /// A deny of everything in the domain is one of renewals too: whoever is shut out does not
    /// prolong what it has. To have nothing is not to be denied it.
    #[test]
    fn a_deny_of_everything_takes_the_renewal_as_well() {
        let nothing = CertRule { policies: vec!["nothing".to_owned()], ..CertRule::default() };
        let deny = policy(&["r"], &[""], [&[], &[], &["*"]]);
        let deny_secrets = policy(&["r"], &["*"], [&[], &[], &["*"]]);
        for (policies, may_renew) in [(&[][..], true), (&[deny_secrets], true), (&[deny], false)] {
            let (directory, id) = directory(&[("r".to_owned(), nothing.clone())], policies);
            let grants = grants(&directory, id);
            for action in [Action::CredentialRenew, Action::DomainGet] {
                let may = grants.allows(action, Resource::Tenant, Door::Other);
                assert_eq!(may, may_renew, "{action:?} {policies:?}");
            }
        }
    }

    /// What is remembered of a connection is forgotten when the policies change.
    #[test]
    fn what_is_remembered_is_of_the_newest_state() {
        let (directory, id) = directory(&[], &[]);
        let (remembered, who) = (Remembered::default(), identify(&[upn("someone")]).unwrap());
        let may = || {
            let has = remembered.has(directory.of(id), &Holder::new(&who, &VOUCHER, None)).unwrap();
            let grants = has.under(&Circumstances::default());
            grants.allows(Action::SecretGet, Resource::AllBelow(""), Door::Other)
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
        let of_first = Line::new(&first, Vec::new(), Vec::new());
        let of_renewed = Line::new(&renewed, vec![*first.public_key_sha256()], Vec::new());
        let of_stranger = Line::new(&stranger, Vec::new(), Vec::new());
        for (who, line, may) in [
            (&first, &of_first, false),
            (&renewed, &of_renewed, false),
            (&stranger, &of_stranger, true),
        ] {
            let has = Arc::clone(&access).has(&Holder::new(who, &VOUCHER, Some(line))).unwrap();
            let grants = has.under(&Circumstances::default());
            let has = grants.allows(Action::SecretGet, Resource::AllBelow(""), Door::Other);
            assert_eq!(has, may);
        }
        // Who has not been looked at is not judged.
        assert_eq!(access.has(&Holder::new(&first, &VOUCHER, None)).err(), Some(Untraced));
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

    /// Who a certificate was issued for decided nothing. It is asked for where a policy is about such
    /// identities, and not where one is about everybody, or about names of the domain's own.
    #[test]
    fn policies_are_about_whom_a_certificate_was_issued_for() {
        let someone = identify(&[upn("someone")]).unwrap();
        let issued = ["urn:v1:eu:identity:account:a", "svc", "urn:v1:eu:identity:account:b"];
        let issued = issued.map(str::to_owned).to_vec();
        let (ours, others) =
            (Line::new(&someone, Vec::new(), issued), Line::new(&someone, Vec::new(), Vec::new()));
        let nothing = CertRule { policies: vec!["nothing".to_owned()], ..CertRule::default() };
        let rules = [("r".to_owned(), nothing)];
        for (identities, is_asked, is_theirs) in [
            (&["urn:v1:eu:identity:account:a"][..], true, true),
            (&["urn:v1:eu:identity:account:*"], true, true),
            (&["urn:*"], true, true),
            (&["*:account:b"], true, true),
            (&["u*", "svc"], true, true),
            (&["urn:v1:eu:identity:account:c"], true, false),
            (&["URN:v1:eu:identity:account:a"], false, false),
            // What is no URN is a note.
            (&["svc"], false, false),
            (&["svc*", "b*"], false, false),
        ] {
            let allows = policy(identities, &["a/*"], [&["*"], &[], &[]]);
            let (directory, id) = directory(&rules, &[allows]);
            let may = |line| {
                let has = directory.of(id).has(&Holder::new(&someone, &VOUCHER, line))?;
                let grants = has.under(&Circumstances::default());
                let may = grants.allows(Action::SecretGet, Resource::AllBelow("a/"), Door::Other);
                Ok::<_, Untraced>(may)
            };
            assert_eq!(may(Some(&ours)), Ok(is_theirs), "{identities:?}");
            assert_eq!(may(Some(&others)), Ok(false), "{identities:?}");
            let unknown = if is_asked { Err(Untraced) } else { Ok(false) };
            assert_eq!(may(None), unknown, "{identities:?}");
        }
        // Everybody's are asked for of nobody, and a deny of one of them counts.
        let everybody = policy(&["*"], &["a/*"], [&["*"], &[], &[]]);
        let deny = policy(&["*:account:b"], &["a/*"], [&[], &[], &["*"]]);
        for (policies, expected) in [
            (vec![everybody.clone()], [Ok(true), Ok(true), Ok(true)]),
            (vec![everybody, deny], [Ok(false), Ok(true), Err(Untraced)]),
        ] {
            let (directory, id) = directory(&rules, &policies);
            let may = [Some(&ours), Some(&others), None].map(|line| {
                let has = directory.of(id).has(&Holder::new(&someone, &VOUCHER, line))?;
                let grants = has.under(&Circumstances::default());
                let may = grants.allows(Action::SecretGet, Resource::AllBelow("a/"), Door::Other);
                Ok::<_, Untraced>(may)
            });
            assert_eq!(may, expected, "{policies:?}");
        }
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
        let may = |below: &str| {
            let has = remembered.has(directory.of(id), &who).unwrap();
            let grants = has.under(&Circumstances::default());
            grants.allows(Action::SecretGet, Resource::Below(below), Door::Other)
        };
        assert!(may("a/"));
        assert!(old.upgrade().is_some());
        directory.replace(id, &written(&[rule("x")], &[]));
        assert!(old.upgrade().is_none());
        assert!(!may(""));
    }

    /// What was judged for one request was remembered with the connection: who had asked in time could
    /// go on for as long as it was connected.
    #[test]
    fn what_is_remembered_is_not_what_a_condition_said() {
        let end = Timestamp::from_unix_seconds(100);
        let of =
            |lists: [&[&str]; 3], when: When| IamPolicy { when, ..policy(&["x"], &["a/*"], lists) };
        let until = When { condition: None, expires_at: Some(end) };
        let at = |second| Circumstances::new(Timestamp::from_unix_seconds(second), None);
        let allowed = of([&["*"], &[], &[]], until.clone());
        let denied = of([&[], &[], &["okms:apikms:secret/delete"]], until);
        let (directory, id) = directory(&[rule("x")], &[allowed, denied]);
        let (remembered, someone) = (Remembered::default(), identify(&[upn("someone")]).unwrap());
        let who = Holder::new(&someone, &VOUCHER, None);
        let may = |action, circumstances: &Circumstances| {
            let has = remembered.has(directory.of(id), &who).unwrap();
            let grants = has.under(circumstances);
            grants.allows(action, Resource::AllBelow("a/"), Door::Other)
        };
        for _ in 0..2 {
            assert!(may(Action::SecretGet, &at(99)) && !may(Action::SecretDelete, &at(99)));
            assert!(!may(Action::SecretGet, &at(100)));
            // Where nobody knows, what is allowed is not, and what is denied is.
            let unknown = Circumstances::default();
            assert!(!may(Action::SecretGet, &unknown) && !may(Action::SecretDelete, &unknown));
        }
    }
}
