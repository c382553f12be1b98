//! What a principal may do: a pure decision that ends in a permit.

use super::{Party, Principal, Subject};
use crate::model::{OkmsId, SecretPath};

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Something one may do, under the name that policies use.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[$doc])* $variant,)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The published IAM name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

actions! {
    /// See a secret's metadata and its versions' states.
    SecretGet = "okms:apikms:secret/get",
    /// Create a secret.
    SecretCreate = "okms:apikms:secret/create",
    /// Delete a secret with all its versions.
    SecretDelete = "okms:apikms:secret/delete",
    /// Change a secret's settings and custom metadata.
    SecretUpdateMetadata = "okms:apikms:secret/updateMetadata",
    /// Read a version's value.
    VersionGetData = "okms:apikms:secret/version/getData",
    /// See the names in a version's value.
    SubkeysGet = "okms:apikms:secret/subKeys/get",
    /// Add a version.
    VersionCreate = "okms:apikms:secret/version/create",
    /// Make a deactivated version readable.
    VersionActivate = "okms:apikms:secret/version/activate",
    /// Make a version unreadable.
    VersionDeactivate = "okms:apikms:secret/version/deactivate",
    /// Erase a version's value.
    VersionDelete = "okms:apikms:secret/version/delete",
    /// Read a domain's defaults.
    ConfigGet = "okms:apikms:secretConfig/get",
    /// Change a domain's defaults.
    ConfigUpdate = "okms:apikms:secretConfig/update",
    /// See a domain.
    DomainGet = "okms:apiovh:resource/get",
    /// Create a domain.
    DomainCreate = "okms:apiovh:resource/create",
    /// Issue an access certificate for a domain.
    CredentialCreate = "okms:apiovh:resource/credential/create",
    /// See a domain's access certificates.
    CredentialGet = "okms:apiovh:resource/credential/get",
    /// Renew the access certificate that asks.
    CredentialRenew = "okms:apiovh:resource/credential/renew",
    /// Revoke an access certificate.
    CredentialDelete = "okms:apiovh:resource/credential/delete",
    /// See the server's figures, which are about all domains.
    MetricsGet = "okms:apiovh:metrics/get",
}

/// A set of actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Actions(u64);

const _: () = assert!(Action::ALL.len() <= 64, "a set of actions has 64 bits");

impl Actions {
    const fn of(actions: &[Action]) -> Self {
        let (mut bits, mut rest) = (0, actions);
        while let [action, tail @ ..] = rest {
            bits |= 1 << (*action as u64);
            rest = tail;
        }
        Self(bits)
    }

    const fn contains(self, action: Action) -> bool {
        self.0 & 1 << (action as u64) != 0
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What an action is done to, within a permit's tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The tenant itself: its defaults, mounts, tokens and certificates.
    Tenant,
    /// A secret, whether there is one or not.
    Secret(&'a SecretPath),
    /// The secrets whose paths begin so. An action that is allowed on some of them is allowed on
    /// this.
    Below(&'a str),
    /// All secrets whose paths begin so, those to come among them.
    AllBelow(&'a str),
}

/// What a tenant's own certificates may do in it.
const OF_A_TENANT: Actions = Actions::of(&[
    Action::SecretGet,
    Action::SecretCreate,
    Action::SecretDelete,
    Action::SecretUpdateMetadata,
    Action::VersionGetData,
    Action::SubkeysGet,
    Action::VersionCreate,
    Action::VersionActivate,
    Action::VersionDeactivate,
    Action::VersionDelete,
    Action::ConfigGet,
    Action::ConfigUpdate,
    Action::DomainGet,
    Action::CredentialGet,
    Action::CredentialRenew,
]);

/// Why a principal may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The principal must not even know whether the domain exists.
    #[error("there is no such domain")]
    UnknownDomain,
    /// The principal may know, but not do this.
    #[error("your certificate does not permit this action; ask an operator of the region")]
    Forbidden,
}

/// By which rules a permit answers.
#[derive(Clone, Copy, Debug)]
enum Policy {
    /// Everything is allowed.
    Everything,
    /// These actions are, on everything.
    Allowed(Actions),
    /// Whatever a test says.
    #[cfg(test)]
    Test(fn(Action, Resource<'_>) -> bool),
}

impl Policy {
    fn allows(self, action: Action, resource: Resource<'_>) -> bool {
        // Today's rules are the same for everything in a tenant.
        let _ = resource;
        match self {
            Self::Everything => true,
            Self::Allowed(actions) => actions.contains(action),
            #[cfg(test)]
            Self::Test(allows) => allows(action, resource),
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
        self.asked.contains(action) && self.policy.allows(action, resource)
    }

    /// One for tests of what permits are asked for, which allows what `allows` says.
    #[cfg(test)]
    pub(crate) fn of_test(okms_id: OkmsId, allows: fn(Action, Resource<'_>) -> bool) -> Self {
        let (policy, asked) = (Policy::Test(allows), Actions::of(Action::ALL));
        Self { okms_id, policy, asked, principal: Principal::of_process() }
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
    /// `Denied::Forbidden` if it may not.
    pub const fn check(&self, action: Action) -> Result<(), Denied> {
        if self.granted.contains(action) { Ok(()) } else { Err(Denied::Forbidden) }
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
    /// `Denied::Forbidden` where none of the actions is allowed on anything in it.
    pub fn authorize(&self, okms_id: OkmsId, actions: &[Action]) -> Result<Permit, Denied> {
        let policy = match self.party() {
            Party::Operator => Policy::Everything,
            Party::Tenant(own) if own == okms_id => Policy::Allowed(OF_A_TENANT),
            Party::Tenant(_) => return Err(Denied::UnknownDomain),
        };
        let may = |action| {
            policy.allows(action, Resource::Tenant) || policy.allows(action, Resource::Below(""))
        };
        if !actions.iter().any(|action| may(*action)) {
            return Err(Denied::Forbidden);
        }
        // Whoever may do something in a tenant may know it.
        let asked = Actions(Actions::of(actions).0 | Actions::of(&[Action::DomainGet]).0);
        Ok(Permit { okms_id, policy, asked, principal: self.clone() })
    }

    /// A permit for whichever of `actions` the principal may do on the region.
    ///
    /// # Errors
    /// `Denied::Forbidden` where it may do none of them.
    pub fn authorize_region(&self, actions: &[Action]) -> Result<RegionPermit, Denied> {
        let asked = Actions::of(actions);
        let granted = match self.party() {
            Party::Operator => asked,
            // Each sees its own.
            Party::Tenant(_) => asked.and(Actions::of(&[Action::DomainGet])),
        };
        if granted.is_empty() {
            return Err(Denied::Forbidden);
        }
        Ok(RegionPermit { granted, principal: self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_what() {
        let id = |byte| OkmsId::from_bytes([byte; 16]).unwrap();
        let (own, foreign) = (id(1), id(2));
        let (operator, principal) = (Principal::of_process(), Principal::of_test(own));
        for action in Action::ALL {
            let actions = &[*action];
            assert!(operator.authorize(foreign, actions).is_ok());
            assert_eq!(principal.authorize(foreign, actions).unwrap_err(), Denied::UnknownDomain);
            let expected = !matches!(
                action,
                Action::DomainCreate
                    | Action::CredentialCreate
                    | Action::CredentialDelete
                    | Action::MetricsGet
            );
            assert_eq!(principal.authorize(own, actions).is_ok(), expected, "{action:?}");
            assert!(operator.authorize_region(actions).is_ok());
            assert_eq!(principal.authorize_region(actions).is_ok(), *action == Action::DomainGet);
        }
        let permit =
            principal.authorize(own, &[Action::SecretGet, Action::CredentialCreate]).unwrap();
        assert_eq!(permit.okms_id(), own);
        let path = "a/b".parse().unwrap();
        for resource in [Resource::Tenant, Resource::Below("a/"), Resource::Secret(&path)] {
            assert!(permit.check(Action::SecretGet, resource).is_ok());
            assert!(permit.check(Action::DomainGet, resource).is_ok());
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
                let expected = if may.contains(action) { Ok(()) } else { Err(Denied::Forbidden) };
                assert_eq!(permit.check(*action), expected, "{asked:?} {action:?}");
            }
        }
    }
}
