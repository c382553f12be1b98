//! What a principal may do: a pure decision that ends in a permit.

use std::{borrow::Cow, sync::Arc};

use super::{
    Party, Principal, Subject,
    access::{AccessDirectory, Grants, Having},
    acl::{Addressed, Capabilities, Door, Given, is_of_secrets},
    acls,
    action::{Action, Actions, Resource},
    holder::Untraced,
    jwt::{Scope, Scopes},
    patterns::Extent,
    pdp::{self, Asker, Docket, Purpose, Question},
    revoked::Revoked,
    since::Since,
    witness::{Detail, Witness},
    word::Word,
};
use crate::model::{Bearer, BuiltIn, CertRule, Circumstances, Fragment, OkmsId, Timestamp};

/// Why a principal may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The principal must not even know whether the domain exists.
    #[error("there is no such domain")]
    UnknownDomain,
    /// The principal may know, but not do this.
    #[error(
        "your certificate does not permit this action; ask the domain's administrator for a policy that does"
    )]
    Forbidden,
    /// The JWT that came along does not give this.
    #[error("the bearer token does not give this scope")]
    OutOfScope(Scope),
    /// It is the operators' own, and no domain can permit it.
    #[error("your certificate does not permit this action; ask an operator of the region")]
    OperatorsOnly,
    /// A rule pins a key, and nobody has looked which certificates this one was renewed from.
    #[error("it is not known which certificates yours was renewed from; repeat the request")]
    Untraced,
}

impl Denied {
    /// Of what is asked for.
    const fn of(actions: Actions) -> Self {
        if actions.without(Actions::OPERATORS).is_empty() {
            Self::OperatorsOnly
        } else {
            Self::Forbidden
        }
    }
}

impl From<Untraced> for Denied {
    fn from(Untraced: Untraced) -> Self {
        Self::Untraced
    }
}

/// By which rules a permit answers.
#[derive(Clone, Debug)]
enum Policy {
    /// Everything is allowed.
    Everything,
    /// What the tenant's policies grant is; where there are more, what all of them grant.
    Granted(Held, Vec<Held>),
    /// Whatever a test says.
    #[cfg(test)]
    Test(fn(Action, Resource<'_>) -> bool),
}

/// Grants, and whether the request has what the block of a policy in Vault's language asks of it.
#[derive(Clone, Debug)]
struct Held {
    grants: Grants,
    is_fit: bool,
}

impl Held {
    const fn new(grants: Grants) -> Self {
        Self { grants, is_fit: false }
    }

    fn allows(&self, action: Action, resource: Resource<'_>, asked: Option<&Addressed>) -> bool {
        self.grants.allows(action, resource, self.door(asked))
    }

    /// Through which door the request comes.
    const fn door<'a>(&self, asked: Option<&'a Addressed>) -> Door<'a> {
        match asked {
            None => Door::Other,
            Some(asked) => Door::Vault { asked, is_fit: self.is_fit },
        }
    }
}

impl Policy {
    const fn of(held: Held) -> Self {
        Self::Granted(held, Vec::new())
    }

    /// Whether it is what the tenant's policies say that are of this generation.
    fn is_of(&self, generation: u64) -> bool {
        self.held().all(|held| held.grants.generation() == generation)
    }

    /// What grants it, where it is not without bounds.
    fn held(&self) -> impl Iterator<Item = &Held> {
        let (one, others): (_, &[Held]) = match self {
            Self::Granted(one, others) => (Some(one), others),
            Self::Everything => (None, &[]),
            #[cfg(test)]
            Self::Test(_) => (None, &[]),
        };
        one.into_iter().chain(others)
    }

    /// The same, to be changed.
    fn held_mut(&mut self) -> impl Iterator<Item = &mut Held> {
        let (one, others): (_, &mut [Held]) = match self {
            Self::Granted(one, others) => (Some(one), others),
            Self::Everything => (None, &mut []),
            #[cfg(test)]
            Self::Test(_) => (None, &mut []),
        };
        one.into_iter().chain(others)
    }

    fn allows(&self, action: Action, resource: Resource<'_>, asked: Option<&Addressed>) -> bool {
        match self {
            #[cfg(test)]
            Self::Test(allows) => allows(action, resource),
            _ => self.held().all(|held| held.allows(action, resource, asked)),
        }
    }

    /// The same, and which policy decides.
    fn decides(
        &self,
        action: Action,
        resource: Resource<'_>,
        asked: Option<&Addressed>,
    ) -> (bool, Option<Word>) {
        match self {
            Self::Everything => {
                (true, Some(Word { policy: "root".into(), block: None, denies: false }))
            }
            #[cfg(test)]
            Self::Test(allows) => (allows(action, resource), None),
            Self::Granted(..) => {
                let (mut is_allowed, mut permits, mut denies) = (true, None, None);
                for held in self.held() {
                    let (allowed, word) = held.grants.decides(action, resource, held.door(asked));
                    is_allowed &= allowed;
                    if let Some(word) = word {
                        let first = if word.denies { &mut denies } else { &mut permits };
                        first.get_or_insert(word);
                    }
                }
                (is_allowed, if is_allowed { permits } else { denies })
            }
        }
    }

    /// What this grants and `grants` as well.
    fn narrowed_to(self, grants: Grants) -> Self {
        let held = Held::new(grants);
        match self {
            Self::Granted(one, mut others) => {
                others.push(held);
                Self::Granted(one, others)
            }
            Self::Everything => Self::of(held),
            #[cfg(test)]
            Self::Test(_) => Self::of(held),
        }
    }
}

/// How whoever is of one tenant comes to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Across {
    /// Not at all.
    #[default]
    Nowhere,
    /// To a tenant of which his own is the partner: he may do there what he may at home.
    ToTenant,
    /// To the partner of his own, to read what that keeps for all of its tenants: as far as he may read at home.
    ToPartner,
}

/// Proof that a principal may do some things in one tenant. Made by [`Principal::authorize`] alone.
#[derive(Clone, Debug)]
pub struct Permit {
    okms_id: OkmsId,
    /// The tenant whose policies say what may be done.
    home: OkmsId,
    policy: Policy,
    /// By which rules the certificate alone is judged, whatever token it brings.
    of_certificate: Policy,
    /// What the operation has asked for: a use case that does more is not allowed to.
    asked: Actions,
    /// What it is to be for, once it is known what the token allows that comes along.
    pending: Option<Actions>,
    /// Where it was asked for in Vault's dialect, where policies speak of that.
    addressed: Option<Addressed>,
    /// Under which it was asked for.
    circumstances: Circumstances,
    /// For which user its token stands, if it brings one that does.
    user: Option<String>,
    /// For whom its token stands, and to what it is narrowed, if it brings one.
    bearer: Option<Bearer>,
    /// What scopes allow, where they bound it.
    scopes: Option<Scopes>,
    principal: Principal,
    witness: Option<Arc<dyn Witness>>,
    /// What its writes are for.
    writes_for: Purpose,
    /// What somebody else is to judge beside it, where somebody is.
    docket: Option<Docket>,
    /// What has come since it was given, where its holder waits for that.
    since: Option<Since<Policy>>,
}

impl Permit {
    /// The tenant: the only one that the request's work may touch.
    #[must_use]
    pub const fn okms_id(&self) -> OkmsId {
        self.okms_id
    }

    /// The same where its holder is at home: for what is kept of him there.
    #[must_use]
    pub fn at_home(&self) -> Cow<'_, Self> {
        if self.home == self.okms_id {
            return Cow::Borrowed(self);
        }
        Cow::Owned(Self { okms_id: self.home, ..self.clone().apart() })
    }

    /// Whether its holder acts where he is not at home.
    #[must_use]
    pub fn is_abroad(&self) -> bool {
        self.home != self.okms_id
    }

    /// Who has it.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        self.principal.subject()
    }

    /// For which user its token stands, if it brings one that does.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The same permit for no more than what these scopes give, where they bound it.
    #[must_use]
    pub fn scoped(self, scopes: Option<Scopes>) -> Self {
        Self { scopes, ..self }
    }

    /// Goes on if scopes, where they bound it, give this one.
    ///
    /// # Errors
    /// `Denied::OutOfScope` if they do not.
    pub fn check_scope(&self, scope: Scope) -> Result<(), Denied> {
        if self.gives(scope) { Ok(()) } else { Err(Denied::OutOfScope(scope)) }
    }

    /// Whether scopes, where they bound it, give this one.
    #[must_use]
    pub fn gives(&self, scope: Scope) -> bool {
        self.scopes.is_none_or(|scopes| scopes.give(scope))
    }

    /// How whoever asks is called in what is kept of secrets: whatever a JWT says, `user:` and a user's name,
    /// or `cert:` and the certificate's serial number in hexadecimal digits. Nobody where it is none of these.
    #[must_use]
    pub fn names_subject(&self) -> Option<String> {
        if let Some(token) = self.principal.token() {
            return Some(token.claims().subject.clone());
        }
        let certificate = || self.principal.subject().certificate();
        match &self.user {
            Some(user) => Some(format!("user:{user}")),
            None => certificate().map(|certificate| format!("cert:{}", certificate.serial())),
        }
    }

    /// Goes on if `action` may be done to `resource`.
    ///
    /// # Errors
    /// `Denied::Forbidden` if it may not; `Denied::OperatorsOnly` where no domain can permit it.
    pub fn check(&self, action: Action, resource: Resource<'_>) -> Result<(), Denied> {
        self.check_at(action, resource, self.addressed.as_ref())
    }

    /// The same of what a request does beside that for which its address stands: in whatever dialect
    /// it comes, policies in Vault's language are asked as in all others.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_beside(&self, action: Action, resource: Resource<'_>) -> Result<(), Denied> {
        self.check_at(action, resource, None)
    }

    fn check_at(
        &self,
        action: Action,
        resource: Resource<'_>,
        asked: Option<&Addressed>,
    ) -> Result<(), Denied> {
        let is_allowed = match self.witness() {
            // Whatever token is looked at, the request is about something else.
            Some(witness) if self.pending.is_none() => {
                let (is_allowed, by) = if self.asked.contains(action) {
                    self.by_policy(|policy| policy.decides(action, resource, asked))
                } else {
                    (false, None)
                };
                witness.decided((action, self.purpose(action)), resource, is_allowed, by);
                is_allowed
            }
            _ => self.allows_at(action, resource, asked),
        };
        match &self.docket {
            // What it was asked before stays a question, whatever is asked in the place of what it refuses.
            Some(docket) if is_allowed => self.note(docket, action, resource),
            _ => {}
        }
        if let Some(since) = self.since.as_ref().filter(|_| is_allowed && self.pending.is_none()) {
            since.allows(action, resource, asked.is_none());
        }
        if is_allowed { Ok(()) } else { Err(Denied::of(Actions::of(&[action]))) }
    }

    /// The same by the tenant's policies alone, whoever else judges what is done: of what is done to no secret, or to
    /// several that are checked one by one.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_here(&self, action: Action, resource: Resource<'_>) -> Result<(), Denied> {
        Self { docket: None, ..self.clone() }.check(action, resource)
    }

    /// The same permit for saying what of many things is to be asked, so that all of it is judged at once; nothing where
    /// nobody else judges it.
    #[must_use]
    pub fn ahead(&self) -> Option<Self> {
        self.docket.is_some().then(|| self.clone().seen_by(None).apart())
    }

    /// Tells whoever else judges that this is to be asked.
    pub fn expects(&self, action: Action, resource: Resource<'_>) {
        if let Some(docket) = &self.docket
            && self.allows(action, resource)
        {
            self.note(docket, action, resource);
        }
    }

    /// Tells whoever else judges that what begins so is listed, where it leaves out what may not be seen.
    pub fn lists(&self, action: Action, prefix: &str) {
        self.expects(action, Resource::Below(prefix));
    }

    /// Has somebody else judge, where somebody does, that all secrets may be written to for that, whichever of them it
    /// will be.
    pub fn judges_all(&self, purpose: Purpose) {
        if let Some(docket) = &self.docket {
            docket.asks((Action::VersionCreate, purpose), Resource::AllBelow(""));
        }
    }

    /// The same permit, whose decisions somebody else is to judge as well.
    #[must_use]
    pub fn judged_by(self, docket: Option<Docket>) -> Self {
        let since = docket.is_some().then(Since::new);
        Self { docket, since, ..self }
    }

    /// Goes on if all that it has allowed is allowed still: for whoever has waited for somebody else's word, as the
    /// certificate may be revoked meanwhile, or a policy be another. From here on it answers by the policies as they are.
    /// Where those are the same, nothing is judged again.
    ///
    /// # Errors
    /// `Denied` where something is not; `Denied::Untraced` where nobody knows.
    pub fn stands(
        &self,
        revoked: &Revoked,
        now: Timestamp,
        access: &AccessDirectory,
    ) -> Result<(), Denied> {
        let Some(since) = &self.since else { return Ok(()) };
        self.principal.still(revoked, now).map_err(|_| Denied::Forbidden)?;
        let Some(policy) = self.policy_since(access)? else { return Ok(()) };
        since.goes_by(policy);
        for allowed in since.allowed() {
            let asked = self.addressed.as_ref().filter(|_| !allowed.is_beside);
            let (action, resource) = (allowed.action, allowed.resource());
            if self.allows_at(action, resource, asked) {
                continue;
            }
            if let Some(witness) = self.witness() {
                let (_, by) = self.by_policy(|policy| policy.decides(action, resource, asked));
                witness.decided((action, self.purpose(action)), resource, false, by);
            }
            return Err(Denied::of(Actions::of(&[action])));
        }
        Ok(())
    }

    /// What its holder's policies are by now, where they have changed. What a block asks of the request beyond its path
    /// counts as not there: nobody has looked at that again.
    fn policy_since(&self, access: &AccessDirectory) -> Result<Option<Policy>, Denied> {
        let generation = access.of(self.home).generation();
        if self.by_policy(|policy| policy.is_of(generation)) {
            return Ok(None);
        }
        let has = self.principal.has(access, self.home)?;
        let of_certificate = Policy::of(Held::new(has.under(&self.circumstances)));
        Ok(Some(match &self.bearer {
            Some(bearer) => Self { of_certificate, ..self.clone() }.policy_of(bearer, access)?,
            None => of_certificate,
        }))
    }

    /// What the rules say by which it answers now.
    fn by_policy<T>(&self, say: impl FnOnce(&Policy) -> T) -> T {
        match self.since.as_ref().and_then(Since::policy) {
            Some(policy) => say(&policy),
            None => say(&self.policy),
        }
    }

    /// What somebody else is to judge, where somebody is.
    #[must_use]
    pub const fn docket(&self) -> Option<&Docket> {
        self.docket.as_ref()
    }

    /// Whether somebody else is to judge something yet.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.docket.as_ref().is_some_and(|docket| !docket.is_settled())
    }

    /// The same permit for an operation whose writes are for that.
    #[must_use]
    pub fn meant_for(&self, purpose: Purpose) -> Cow<'_, Self> {
        if self.writes_for == purpose {
            return Cow::Borrowed(self);
        }
        Cow::Owned(Self { writes_for: purpose, ..self.clone() })
    }

    /// What an action is for, where it is done to secrets.
    const fn purpose(&self, action: Action) -> Option<Purpose> {
        match Purpose::of(action) {
            Some(Purpose::Write) => Some(self.writes_for),
            purpose => purpose,
        }
    }

    fn note(&self, docket: &Docket, action: Action, resource: Resource<'_>) {
        if let Some(purpose) = self.purpose(action)
            && let Some(verdict) = docket.asks((action, purpose), resource)
        {
            let path = match resource {
                Resource::Secret(path) => Some(path.as_str()),
                Resource::Tenant | Resource::Below(_) | Resource::AllBelow(_) => None,
            };
            self.learns(Detail::Judged { id: &verdict.id, is_permitted: true, path });
        }
    }

    /// What somebody else is asked of it, where somebody is: for what is found one by one, and judged together.
    #[must_use]
    pub fn question(&self, action: Action, resource: Resource<'_>) -> Option<Question> {
        self.docket.as_ref()?.question((action, self.purpose(action)?), resource)
    }

    /// The same permit for an operation on a part of a value, or on all of it.
    #[must_use]
    pub fn of_part(&self, part: Option<&Fragment>) -> Cow<'_, Self> {
        self.aimed(|docket| docket.of_part(part))
    }

    /// The same permit for an operation that looks at what begins so, of all there is.
    #[must_use]
    pub fn looking_below(&self, prefix: &str) -> Cow<'_, Self> {
        self.aimed(|docket| docket.looking_below(prefix))
    }

    fn aimed(&self, aim: impl FnOnce(&Docket) -> Docket) -> Cow<'_, Self> {
        let with = |permit, docket| Self { docket: Some(docket), ..permit };
        pdp::aimed(self, self.docket.as_ref(), aim, with)
    }

    /// The same permit for what goes on when its request was answered: nobody sees what it decides, and all of it is
    /// judged again.
    #[must_use]
    pub fn afterwards(&self) -> Self {
        let docket = self.docket.as_ref().map(Docket::anew);
        self.clone().seen_by(None).judged_by(docket)
    }

    /// Who asks, as somebody else is told who is to judge it; nobody where it is the server itself.
    #[must_use]
    pub fn asker(&self) -> Option<Asker> {
        let token = self.principal.token().map(|token| (token.issuer(), token.claims()));
        let identity = self.subject().certificate();
        let claims = token.map(|(_, claims)| claims);
        Some(Asker {
            kind: match (&claims, &self.user) {
                (Some(_), _) => "jwt",
                (None, Some(_)) => "user",
                (None, None) => "certificate",
            },
            id: self.names_subject()?,
            issuer: token.map(|(issuer, _)| issuer.to_owned()),
            client_id: claims.and_then(|claims| claims.client_id.clone()),
            audience: claims.map(|claims| claims.audience.clone()).unwrap_or_default(),
            token_id: claims.and_then(|claims| claims.id.clone()),
            certificate: identity.map(|identity| *identity.sha256()),
            common_name: identity.and_then(|identity| identity.common_name()).map(str::to_owned),
        })
    }

    /// The same permit, of whose decisions `witness` is told.
    #[must_use]
    pub fn seen_by(self, witness: Option<Arc<dyn Witness>>) -> Self {
        if let (Some(witness), Policy::Granted(held, _)) = (&witness, &self.of_certificate) {
            for identity in held.grants.identities() {
                witness.learns(Detail::Identity(identity));
            }
        }
        Self { witness, ..self }
    }

    /// Who sees what is done by it.
    #[must_use]
    pub fn witness(&self) -> Option<&dyn Witness> {
        self.witness.as_deref()
    }

    /// The same for one of the many secrets that its request is about: what is decided of that, and what is done to it,
    /// is told by its own name.
    #[must_use]
    pub fn item(&self, path: &str) -> Self {
        let witness = self.witness.clone().map(|witness| witness.item(path));
        Self { witness, ..self.clone() }.apart()
    }

    /// The same permit, of whose decisions the witness of another one is told.
    #[must_use]
    pub fn seen_as(&self, other: &Self) -> Self {
        Self { witness: other.witness.clone(), ..self.clone() }
    }

    /// The same for a part of its request that is done, or fails, by itself.
    fn apart(self) -> Self {
        let docket = self.docket.as_ref().map(Docket::apart);
        let since = self.since.as_ref().map(Since::apart);
        Self { docket, since, ..self }
    }

    /// Tells that something was found out of its request.
    pub fn learns(&self, detail: Detail<'_>) {
        if let Some(witness) = self.witness() {
            witness.learns(detail);
        }
    }

    /// Whether `action` may be done to `resource`: for lists, which leave out what may not be seen.
    #[must_use]
    pub fn allows(&self, action: Action, resource: Resource<'_>) -> bool {
        self.allows_at(action, resource, self.addressed.as_ref())
    }

    fn allows_at(&self, action: Action, resource: Resource<'_>, asked: Option<&Addressed>) -> bool {
        // What waits for a token may look at that, whatever the certificate may.
        if self.pending.is_some() {
            return action == Action::DomainGet && resource == Resource::Tenant;
        }
        self.asked.contains(action)
            && self.by_policy(|policy| policy.allows(action, resource, asked))
    }

    /// Whether a policy in Vault's language asks something of this request beyond its path.
    #[must_use]
    pub fn asks(&self) -> bool {
        let Some(asked) = &self.addressed else { return false };
        let mut in_vault = self.policy.held().filter_map(|held| held.grants.in_vault());
        in_vault.any(|policies| policies.asks(asked))
    }

    /// The same for a request that has these parameters, by name, and whose answer is to be wrapped
    /// for so many seconds.
    #[must_use]
    pub fn carrying(mut self, given: &[(&str, Given<'_>)], wrapped_for: Option<u64>) -> Self {
        if let Some(asked) = &mut self.addressed {
            asked.wrapped_for = wrapped_for;
            for held in self.policy.held_mut() {
                let in_vault = held.grants.in_vault();
                held.is_fit = in_vault.is_some_and(|policies| policies.fits(asked, given));
            }
        }
        self
    }

    /// Who has it.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The permit that its principal would be given at `now`, for as much as this one is for, where it
    /// goes by the certificate alone. Nobody is told of what it decides. It may be for less, so that it
    /// is to be asked again.
    ///
    /// # Errors
    /// `Denied` where there would be none; so for whatever a token has a part in.
    pub fn renewed(
        &self,
        revoked: &Revoked,
        now: Timestamp,
        access: &AccessDirectory,
        circumstances: Circumstances,
    ) -> Result<Self, Denied> {
        let is_of_certificate =
            self.user.is_none() && self.addressed.is_none() && self.pending.is_none();
        let Some(principal) = is_of_certificate.then(|| self.principal.still(revoked, now)) else {
            return Err(Denied::Forbidden);
        };
        let principal = principal.map_err(|_| Denied::Forbidden)?;
        let at = (self.okms_id, Across::Nowhere);
        let permit = principal.authorized(at, self.asked, access, circumstances, false, || None)?;
        // What was judged is, for as long as whoever judged it has said.
        let docket = self.docket.as_ref().map(Docket::anew);
        Ok(permit.scoped(self.scopes).judged_by(docket))
    }

    /// The permit for whoever brings a token: of the user for whom it stands, narrowed to its
    /// policies. Where no token was on its way, what the certificate may.
    ///
    /// # Errors
    /// `Denied::Forbidden` where that allows nothing of what was asked for.
    pub fn settle(
        &self,
        bearer: &Bearer,
        access: &AccessDirectory,
    ) -> Result<Cow<'_, Self>, Denied> {
        let Some(actions) = self.pending else { return Ok(Cow::Borrowed(self)) };
        if self.is_visitors() && bearer.user.is_none() {
            return Err(Denied::Forbidden);
        }
        let policy = self.policy_of(bearer, access)?;
        let user = bearer.user.clone();
        let kept = self.since.as_ref().map(|_| bearer.clone());
        Ok(Cow::Owned(Self { policy, user, bearer: kept, ..self.clone() }.begin(actions)?))
    }

    /// The permit for these actions, if there is something that they may be done to.
    fn begin(self, actions: Actions) -> Result<Self, Denied> {
        let asked = self.addressed.as_ref();
        if !self.policy.held().all(|held| held.grants.may_begin(actions, asked)) {
            return Err(Denied::of(actions));
        }
        // Whoever may do something in a tenant may know it.
        Ok(Self { asked: actions.with(Action::DomainGet), pending: None, ..self })
    }

    /// What whoever brings another token on this connection may do, to be told.
    ///
    /// # Errors
    /// `Denied::Untraced` where nobody knows.
    pub fn tells_of(&self, bearer: &Bearer, access: &AccessDirectory) -> Result<Self, Denied> {
        Ok(Self { policy: self.policy_of(bearer, access)?, ..self.clone() })
    }

    /// What the user allows for whom a token stands, or the certificate, and each set of policies to
    /// which it is narrowed as well.
    fn policy_of(&self, bearer: &Bearer, access: &AccessDirectory) -> Result<Policy, Denied> {
        if *bearer == Bearer::default() {
            return Ok(self.of_certificate.clone());
        }
        let access = access.of(self.home);
        let (whose, mut policy) = match (&bearer.user, self.subject()) {
            (Some(user), _) => {
                let grants = Arc::clone(&access).of_user(user).under(&self.circumstances);
                (acls::Bearer::User(user.as_str().into()), Policy::of(Held::new(grants)))
            }
            (None, Subject::Certificate(peer)) => {
                let whose = acls::Bearer::Rules(peer.rules(&access)?.into());
                (whose, self.of_certificate.clone())
            }
            (None, Subject::Visitor | Subject::Bearer | Subject::Process | Subject::System(_)) => {
                (acls::Bearer::nobody(), self.of_certificate.clone())
            }
        };
        for names in &bearer.narrowed_to {
            let having = Arc::clone(&access).of_policies(whose.clone(), names);
            policy = policy.narrowed_to(having.under(&self.circumstances));
        }
        Ok(policy)
    }

    /// The same as it would be under other circumstances, to be told.
    #[must_use]
    pub fn tells_under(&self, circumstances: Circumstances) -> Self {
        let mut other = Self { circumstances, ..self.clone() };
        for held in other.policy.held_mut() {
            held.grants = held.grants.under(&circumstances);
        }
        other
    }

    /// Under which circumstances it was asked for.
    #[must_use]
    pub const fn circumstances(&self) -> &Circumstances {
        &self.circumstances
    }

    /// Permits for the same of which each one must allow something, and is judged for itself.
    pub fn parts(&self) -> impl Iterator<Item = Self> {
        let parts = self
            .policy
            .held()
            .map(|held| Self { policy: Policy::of(held.clone()), ..self.clone() });
        let whole = self.policy.held().next().is_none().then(|| self.clone());
        parts.chain(whole)
    }

    /// Whether it is for somebody without a certificate, who may do nothing without a user's token.
    #[must_use]
    pub const fn is_visitors(&self) -> bool {
        matches!(self.principal.subject(), Subject::Visitor)
    }

    /// Whether no policy binds it.
    #[must_use]
    pub const fn is_unbound(&self) -> bool {
        matches!(self.of_certificate, Policy::Everything)
    }

    /// Whether a rule is about its certificate.
    #[must_use]
    pub fn fits(&self, name: &str, rule: &CertRule) -> bool {
        match self.subject() {
            Subject::Certificate(peer) => peer.fits(name, rule).unwrap_or_default(),
            Subject::Visitor | Subject::Bearer | Subject::Process | Subject::System(_) => false,
        }
    }

    /// What the policies in Vault's language give at an address, to be told.
    #[must_use]
    pub fn tells_at(&self, address: &str) -> Capabilities {
        let held = self.policy.held();
        let given = held.map(|held| {
            let in_vault = held.grants.in_vault();
            in_vault.map(|policies| policies.capabilities(address)).unwrap_or_default()
        });
        given.reduce(|one, other| one & other).unwrap_or_default()
    }

    /// What a request would find that is for this and carries nothing a block could ask for, whatever the
    /// operation has asked for: to be told, not to be done.
    #[must_use]
    pub fn tells(&self, action: Action, resource: Resource<'_>) -> bool {
        self.policy.held().all(|held| held.grants.allows(action, resource, Door::Other))
    }

    /// The same of a request that carries whatever blocks ask for: as Vault tells capabilities.
    #[must_use]
    pub fn tells_at_best(&self, action: Action, resource: Resource<'_>) -> bool {
        self.policy.held().all(|held| held.grants.allows(action, resource, Door::Best))
    }

    /// Whether anything could be done to a secret below `prefix`, likewise.
    #[must_use]
    pub fn tells_of_some_below(&self, prefix: &str) -> bool {
        let mut actions = Action::ALL.iter().filter(|action| is_of_secrets(**action));
        actions.any(|action| self.tells_at_best(*action, Resource::Below(prefix)))
    }

    /// What those in the words of IAM say of the domain, asked for in Vault's words where no block
    /// denies it.
    #[must_use]
    pub fn tells_there(&self, action: Action, asked: &Addressed) -> bool {
        self.policy.held().all(|held| held.grants.allows_by_iam(action, asked))
    }

    /// To how much of what lies below `prefix` an action may be done.
    #[must_use]
    pub fn extent(&self, action: Action, prefix: &str) -> Extent {
        if self.allows(action, Resource::AllBelow(prefix)) {
            Extent::Everything
        } else if self.allows(action, Resource::Below(prefix)) {
            Extent::Some
        } else {
            Extent::Nothing
        }
    }

    /// One for tests of what permits are asked for, which allows what `allows` says.
    #[cfg(test)]
    pub(crate) fn of_test(okms_id: OkmsId, allows: fn(Action, Resource<'_>) -> bool) -> Self {
        let (policy, asked) = (Policy::Test(allows), Actions::of(Action::ALL));
        let principal = Principal::of_process();
        let of_certificate = policy.clone();
        Self {
            okms_id,
            home: okms_id,
            policy,
            of_certificate,
            asked,
            pending: None,
            addressed: None,
            circumstances: Circumstances::default(),
            user: None,
            bearer: None,
            scopes: None,
            principal,
            witness: None,
            writes_for: Purpose::Write,
            docket: None,
            since: None,
        }
    }
}

/// Proof that a principal may do some things on the region as a whole. Made by
/// [`Principal::authorize_region`] alone.
#[derive(Clone, Debug)]
pub struct RegionPermit {
    /// What the operation has asked for and the principal may do.
    granted: Actions,
    principal: Principal,
    witness: Option<Arc<dyn Witness>>,
}

impl RegionPermit {
    /// Who has it.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        self.principal.subject()
    }

    /// Goes on if `action` may be done.
    ///
    /// # Errors
    /// `Denied::OperatorsOnly` if it may not.
    pub fn check(&self, action: Action) -> Result<(), Denied> {
        let is_allowed = self.granted.contains(action);
        if let Some(witness) = self.witness() {
            witness.decided((action, None), Resource::Tenant, is_allowed, None);
        }
        if is_allowed { Ok(()) } else { Err(Denied::OperatorsOnly) }
    }

    /// The same permit, of whose decisions `witness` is told.
    #[must_use]
    pub fn seen_by(self, witness: Option<Arc<dyn Witness>>) -> Self {
        Self { witness, ..self }
    }

    /// Who sees what is done by it.
    #[must_use]
    pub fn witness(&self) -> Option<&dyn Witness> {
        self.witness.as_deref()
    }

    /// The only tenant that the principal may know of; `None` for all of them.
    #[must_use]
    pub const fn sees(&self) -> Option<OkmsId> {
        match self.principal.party() {
            Party::Operator => None,
            Party::Tenant(own) => Some(own),
        }
    }
}

impl Principal {
    /// A permit for whichever of `actions` the principal may do in the tenant `okms_id`, for a request of
    /// which nothing else is known.
    ///
    /// # Errors
    /// `Denied::UnknownDomain` for a foreign tenant, whether there is one or not;
    /// `Denied::Forbidden` where none of the actions is allowed on anything in it, by what `access`
    /// has of it; `Denied::Untraced` where that cannot be said before somebody has
    /// looked which certificates it was renewed from.
    pub fn authorize(
        &self,
        okms_id: OkmsId,
        actions: &[Action],
        access: &AccessDirectory,
    ) -> Result<Permit, Denied> {
        let (at, circumstances) = ((okms_id, Across::Nowhere), Circumstances::default());
        self.authorize_at(at, actions, access, circumstances, false, || None)
    }

    /// The same for a request that comes there so, under these circumstances, and says in Vault's words what it asks for, where the policies have
    /// those. If it brings a token, the permit is for nothing but looking at that, until
    /// [`Permit::settle`].
    ///
    /// # Errors
    /// As [`Self::authorize`]; `Denied::Forbidden` where a policy denies what is asked for there.
    pub fn authorize_at(
        &self,
        at: (OkmsId, Across),
        actions: &[Action],
        access: &AccessDirectory,
        circumstances: Circumstances,
        brings_token: bool,
        addressed: impl FnOnce() -> Option<Addressed>,
    ) -> Result<Permit, Denied> {
        let actions = Actions::of(actions);
        self.authorized(at, actions, access, circumstances, brings_token, addressed)
    }

    fn authorized(
        &self,
        (okms_id, across): (OkmsId, Across),
        actions: Actions,
        access: &AccessDirectory,
        circumstances: Circumstances,
        brings_token: bool,
        addressed: impl FnOnce() -> Option<Addressed>,
    ) -> Result<Permit, Denied> {
        let (mut home, mut actions) = (okms_id, actions);
        let policy = match self.party() {
            Party::Operator => Policy::Everything,
            // Somebody who might has said that it is to be done.
            Party::Tenant(own)
                if own == okms_id && matches!(self.subject(), Subject::System(_)) =>
            {
                Policy::Everything
            }
            Party::Tenant(own) if own == okms_id || across != Across::Nowhere => {
                if across == Across::ToPartner && own != okms_id {
                    actions = actions.and(Actions::READS);
                    if actions.is_empty() {
                        return Err(Denied::Forbidden);
                    }
                }
                home = own;
                Policy::of(Held::new(self.has(access, own)?.under(&circumstances)))
            }
            Party::Tenant(_) => return Err(Denied::UnknownDomain),
        };
        let known = Actions::of(&[Action::DomainGet]);
        let is_addressed =
            brings_token || policy.held().any(|held| held.grants.in_vault().is_some());
        let addressed = if is_addressed { addressed() } else { None };
        let permit = Permit {
            okms_id,
            home,
            of_certificate: policy.clone(),
            policy,
            asked: known,
            pending: Some(actions),
            addressed,
            circumstances,
            user: None,
            bearer: None,
            scopes: None,
            principal: self.clone(),
            witness: None,
            writes_for: Purpose::Write,
            docket: None,
            since: None,
        };
        if brings_token || permit.is_visitors() { Ok(permit) } else { permit.begin(actions) }
    }

    /// What it has of the policies of its own tenant.
    fn has(&self, access: &AccessDirectory, own: OkmsId) -> Result<Having, Untraced> {
        let access = access.of(own);
        match self.subject() {
            Subject::Certificate(peer) => peer.has(access),
            Subject::Visitor => {
                let nothing = BuiltIn::Nothing.name().to_owned();
                Ok(access.of_policies(acls::Bearer::nobody(), &[nothing]))
            }
            // No rule is about whoever has no certificate.
            Subject::Bearer | Subject::Process | Subject::System(_) => {
                Ok(Having::default_of(access))
            }
        }
    }

    /// A permit for whichever of `actions` the principal may do on the region. `own` is one for the same in its
    /// own tenant, where it is of one.
    ///
    /// # Errors
    /// `Denied` where it may do none of them.
    pub fn authorize_region(
        &self,
        actions: &[Action],
        own: Option<&Permit>,
    ) -> Result<RegionPermit, Denied> {
        let asked = Actions::of(actions);
        let sees_own = || own.is_some_and(|own| own.allows(Action::DomainGet, Resource::Tenant));
        let granted = match self.party() {
            Party::Operator => asked,
            // Each sees its own, if it does.
            Party::Tenant(_) if sees_own() => asked.and(Actions::of(&[Action::DomainGet])),
            Party::Tenant(_) => Actions::of(&[]),
        };
        if granted.is_empty() {
            return Err(Denied::of(asked));
        }
        Ok(RegionPermit { granted, principal: self.clone(), witness: None })
    }
}

#[cfg(test)]
mod tests;
