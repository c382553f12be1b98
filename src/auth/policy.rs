//! What a principal may do: a pure decision that ends in a permit.

use super::{
    Party, Principal, Subject,
    access::{AccessDirectory, Grants},
    acl::{Addressed, Capabilities, Door, Given, InVault},
    action::{Action, Actions, Resource},
    holder::Untraced,
    patterns::{Extent, Verdict},
};
use crate::model::OkmsId;

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
    /// It is about the region, and no domain can permit it.
    #[error("your certificate does not permit this action; ask an operator of the region")]
    OperatorsOnly,
    /// A rule pins a key, and nobody has looked which certificates this one was renewed from.
    #[error("it is not known which certificates yours was renewed from; repeat the request")]
    Untraced,
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
    /// What the tenant's policies grant is.
    Granted(Grants),
    /// Whatever a test says.
    #[cfg(test)]
    Test(fn(Action, Resource<'_>) -> bool),
}

impl Policy {
    fn allows(&self, action: Action, resource: Resource<'_>, door: Door<'_>) -> bool {
        match self {
            Self::Everything => true,
            Self::Granted(grants) => grants.allows(action, resource, door),
            #[cfg(test)]
            Self::Test(allows) => allows(action, resource),
        }
    }

    /// What the policies in Vault's language say, where there are any.
    fn in_vault(&self) -> Option<&InVault> {
        match self {
            Self::Granted(grants) => grants.in_vault(),
            Self::Everything => None,
            #[cfg(test)]
            Self::Test(_) => None,
        }
    }

    /// Whether something of `actions` may be done to something, or what is asked for in Vault's words
    /// may be allowed by its policies; and it is not denied there.
    fn may_begin(&self, actions: &[Action], asked: Option<&Addressed>) -> bool {
        let Self::Granted(grants) = self else { return true };
        let in_vault = self.in_vault().zip(asked);
        // What a block asks of the request beyond its path is looked at once that is there.
        let verdict = in_vault.map(|(policies, asked)| policies.says_at(asked, true));
        match verdict.unwrap_or_default() {
            Verdict::Denied => false,
            Verdict::Allowed => true,
            Verdict::Silent => actions.iter().any(|action| grants.allows_somewhere(*action)),
        }
    }
}

/// Proof that a principal may do some things in one tenant. Made by [`Principal::authorize`] alone.
#[derive(Clone, Debug)]
pub struct Permit {
    okms_id: OkmsId,
    policy: Policy,
    /// What the operation has asked for: a use case that does more is not allowed to.
    asked: Actions,
    /// Where it was asked for in Vault's dialect, and whether the request has what the block of a
    /// policy asks there.
    addressed: Option<(Addressed, bool)>,
    principal: Principal,
}

impl Permit {
    /// The tenant: the only one that the request's work may touch.
    #[must_use]
    pub const fn okms_id(&self) -> OkmsId {
        self.okms_id
    }

    /// Who has it.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        self.principal.subject()
    }

    /// Goes on if `action` may be done to `resource`.
    ///
    /// # Errors
    /// `Denied::Forbidden` if it may not.
    pub fn check(&self, action: Action, resource: Resource<'_>) -> Result<(), Denied> {
        if self.allows(action, resource) { Ok(()) } else { Err(Denied::Forbidden) }
    }

    /// Whether `action` may be done to `resource`: for lists, which leave out what may not be seen.
    #[must_use]
    pub fn allows(&self, action: Action, resource: Resource<'_>) -> bool {
        let door = match &self.addressed {
            None => Door::Other,
            Some((asked, is_fit)) => Door::Vault { asked, is_fit: *is_fit },
        };
        self.asked.contains(action) && self.policy.allows(action, resource, door)
    }

    /// Whether a policy in Vault's language asks something of this request beyond its path.
    #[must_use]
    pub fn asks(&self) -> bool {
        let in_vault = self.policy.in_vault().zip(self.addressed.as_ref());
        in_vault.is_some_and(|(policies, (asked, _))| policies.asks(asked))
    }

    /// The same for a request that has these parameters, by name, and whose answer is to be wrapped
    /// for so many seconds.
    #[must_use]
    pub fn carrying(&self, given: &[(&str, Given<'_>)], wrapped_for: Option<u64>) -> Self {
        let mut permit = self.clone();
        let in_vault = self.policy.in_vault();
        if let (Some(policies), Some((asked, is_fit))) = (in_vault, &mut permit.addressed) {
            *is_fit = policies.fits(asked, given, wrapped_for);
        }
        permit
    }

    /// What the policies in Vault's language give at an address, to be told.
    #[must_use]
    pub fn tells_at(&self, address: &str) -> Capabilities {
        let in_vault = self.policy.in_vault();
        in_vault.map(|policies| policies.capabilities(address)).unwrap_or_default()
    }

    /// What the policies say, whatever the operation has asked for: to be told, not to be done.
    #[must_use]
    pub fn tells(&self, action: Action, resource: Resource<'_>) -> bool {
        self.policy.allows(action, resource, Door::Told)
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
        Self { okms_id, policy, asked, addressed: None, principal: Principal::of_process() }
    }
}

/// Proof that a principal may do some things on the region as a whole. Made by
/// [`Principal::authorize_region`] alone.
#[derive(Clone, Debug)]
pub struct RegionPermit {
    /// What the operation has asked for and the principal may do.
    granted: Actions,
    principal: Principal,
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
    pub const fn check(&self, action: Action) -> Result<(), Denied> {
        if self.granted.contains(action) { Ok(()) } else { Err(Denied::OperatorsOnly) }
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
    /// A permit for whichever of `actions` the principal may do in the tenant `okms_id`.
    ///
    /// # Errors
    /// `Denied::UnknownDomain` for a foreign tenant, whether there is one or not;
    /// `Denied::Forbidden` where none of the actions is allowed on anything in it, by what `access`
    /// has of it; `Denied::Untraced` where that cannot be said before [`Self::trace`].
    pub fn authorize(
        &self,
        okms_id: OkmsId,
        actions: &[Action],
        access: &AccessDirectory,
    ) -> Result<Permit, Denied> {
        self.authorize_at(okms_id, actions, access, || None)
    }

    /// The same for a request that says in Vault's words what it asks for, where the policies have
    /// those.
    ///
    /// # Errors
    /// As [`Self::authorize`]; `Denied::Forbidden` where a policy denies what is asked for there.
    pub fn authorize_at(
        &self,
        okms_id: OkmsId,
        actions: &[Action],
        access: &AccessDirectory,
        addressed: impl FnOnce() -> Option<Addressed>,
    ) -> Result<Permit, Denied> {
        let policy = match self.party() {
            Party::Operator => Policy::Everything,
            Party::Tenant(own) if own == okms_id => Policy::Granted(self.grants(access, own)?),
            Party::Tenant(_) => return Err(Denied::UnknownDomain),
        };
        let addressed = policy.in_vault().and_then(|_| addressed());
        if !policy.may_begin(actions, addressed.as_ref()) {
            return Err(Denied::Forbidden);
        }
        // Whoever may do something in a tenant may know it.
        let asked = Actions::of(actions).with(Action::DomainGet);
        let addressed = addressed.map(|addressed| (addressed, false));
        Ok(Permit { okms_id, policy, asked, addressed, principal: self.clone() })
    }

    /// What the policies of its own tenant grant it.
    fn grants(&self, access: &AccessDirectory, own: OkmsId) -> Result<Grants, Untraced> {
        let access = access.of(own);
        match self.subject() {
            Subject::Certificate(peer) => peer.grants(access),
            Subject::Process => Ok(Grants::default_of(access)),
        }
    }

    /// A permit for whichever of `actions` the principal may do on the region.
    ///
    /// # Errors
    /// `Denied::OperatorsOnly` where it may do none of them.
    pub fn authorize_region(&self, actions: &[Action]) -> Result<RegionPermit, Denied> {
        let asked = Actions::of(actions);
        let granted = match self.party() {
            Party::Operator => asked,
            // Each sees its own.
            Party::Tenant(_) => asked.and(Actions::of(&[Action::DomainGet])),
        };
        if granted.is_empty() {
            return Err(Denied::OperatorsOnly);
        }
        Ok(RegionPermit { granted, principal: self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BuiltIn;

    #[test]
    fn who_may_what() {
        let id = |byte| OkmsId::from_bytes([byte; 16]).unwrap();
        let (own, foreign) = (id(1), id(2));
        let (operator, principal) = (Principal::of_process(), Principal::of_test(own));
        let access = &AccessDirectory::new(BuiltIn::Admin);
        for action in Action::ALL {
            let actions = &[*action];
            assert!(operator.authorize(foreign, actions, access).is_ok());
            assert_eq!(
                principal.authorize(foreign, actions, access).unwrap_err(),
                Denied::UnknownDomain
            );
            let expected = !matches!(
                action,
                Action::DomainCreate
                    | Action::CredentialCreate
                    | Action::CredentialDelete
                    | Action::MetricsGet
            );
            assert_eq!(principal.authorize(own, actions, access).is_ok(), expected, "{action:?}");
            assert!(operator.authorize_region(actions).is_ok());
            assert_eq!(principal.authorize_region(actions).is_ok(), *action == Action::DomainGet);
        }
        let permit = principal
            .authorize(own, &[Action::SecretGet, Action::CredentialCreate], access)
            .unwrap();
        assert_eq!(permit.okms_id(), own);
        let path = "a/b".parse().unwrap();
        for resource in [Resource::Tenant, Resource::Below("a/"), Resource::Secret(&path)] {
            assert!(permit.check(Action::SecretGet, resource).is_ok());
            assert_eq!(
                permit.check(Action::CredentialCreate, resource),
                Err(Denied::Forbidden),
                "not allowed"
            );
            assert_eq!(
                permit.check(Action::VersionGetData, resource),
                Err(Denied::Forbidden),
                "not asked for"
            );
        }
        assert!(permit.check(Action::DomainGet, Resource::Tenant).is_ok());
        assert_eq!(principal.authorize_region(&[Action::DomainGet]).unwrap().sees(), Some(own));
        assert_eq!(operator.authorize_region(&[Action::DomainGet]).unwrap().sees(), None);
    }

    /// A permit for the region said whose it was, and nothing of what it was for: one that was
    /// asked for to look at domains would have done to make one.
    #[test]
    fn a_permit_for_the_region_is_for_what_was_asked_and_allowed() {
        let asked = [Action::DomainGet, Action::DomainCreate];
        let tenant = Principal::of_test(OkmsId::from_bytes([1; 16]).unwrap());
        for (principal, asked, may) in [
            (Principal::of_process(), asked.as_slice(), asked.as_slice()),
            (Principal::of_process(), &[Action::DomainGet], &[Action::DomainGet]),
            (Principal::of_process(), &[Action::MetricsGet], &[Action::MetricsGet]),
            (tenant, &asked, &[Action::DomainGet]),
        ] {
            let permit = principal.authorize_region(asked).unwrap();
            for action in Action::ALL {
                let expected =
                    if may.contains(action) { Ok(()) } else { Err(Denied::OperatorsOnly) };
                assert_eq!(permit.check(*action), expected, "{asked:?} {action:?}");
            }
        }
    }
}
