//! What a principal may do: a pure decision that ends in a permit.

use super::Principal;
use crate::domain::OkmsId;

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
    /// See the server's figures, which are about all domains.
    MetricsGet = "okms:apiovh:metrics/get",
}

/// A set of actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actions(u32);

impl Actions {
    /// The set of these.
    #[must_use]
    pub const fn of(actions: &[Action]) -> Self {
        let (mut bits, mut rest) = (0, actions);
        while let [action, tail @ ..] = rest {
            bits |= 1 << (*action as u32);
            rest = tail;
        }
        Self(bits)
    }

    /// Whether `action` is in the set.
    #[must_use]
    pub const fn contains(self, action: Action) -> bool {
        self.0 & 1 << (action as u32) != 0
    }

    /// The actions in either set.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The actions in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What a domain's own certificate may do in its domain.
const OF_A_DOMAIN: Actions = Actions::of(&[
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

/// Proof that a principal may do some actions in one domain.
#[derive(Clone, Copy, Debug)]
pub struct Permit {
    okms_id: OkmsId,
    actions: Actions,
}

impl Permit {
    /// The domain: the only one that the request's work may touch.
    #[must_use]
    pub const fn okms_id(&self) -> OkmsId {
        self.okms_id
    }

    /// Goes on if the permit covers `action`.
    ///
    /// # Errors
    /// `Denied::Forbidden` if it does not.
    pub const fn require(&self, action: Action) -> Result<(), Denied> {
        if self.actions.contains(action) { Ok(()) } else { Err(Denied::Forbidden) }
    }
}

/// Proof that a principal may do some actions on the region as a whole.
#[derive(Clone, Copy, Debug)]
pub struct RegionPermit {
    sees: Option<OkmsId>,
}

impl RegionPermit {
    /// The only domain that the principal may know of; `None` for all of them.
    #[must_use]
    pub const fn sees(&self) -> Option<OkmsId> {
        self.sees
    }
}

impl Principal {
    /// A permit for whichever of `actions` the principal may do in the domain `okms_id`.
    ///
    /// # Errors
    /// `Denied::UnknownDomain` for a foreign domain, whether there is one or not; `Denied::Forbidden` where none of
    /// the actions is allowed.
    pub fn authorize(&self, okms_id: OkmsId, actions: Actions) -> Result<Permit, Denied> {
        let actions = match self {
            Self::Operator => actions,
            Self::Domain(own) if *own == okms_id => actions.and(OF_A_DOMAIN),
            Self::Domain(_) => return Err(Denied::UnknownDomain),
        };
        if actions.is_empty() {
            return Err(Denied::Forbidden);
        }
        Ok(Permit { okms_id, actions })
    }

    /// A permit for `action` on the region.
    ///
    /// # Errors
    /// `Denied::Forbidden` for what only operators may do.
    pub fn authorize_region(&self, action: Action) -> Result<RegionPermit, Denied> {
        match self {
            Self::Operator => Ok(RegionPermit { sees: None }),
            Self::Domain(own) if matches!(action, Action::DomainGet) => Ok(RegionPermit { sees: Some(*own) }),
            Self::Domain(_) => Err(Denied::Forbidden),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_what() {
        let id = |byte| OkmsId::from_bytes([byte; 16]).unwrap();
        let (own, foreign) = (id(1), id(2));
        let principal = Principal::Domain(own);
        for action in Action::ALL {
            let actions = Actions::of(&[*action]);
            assert!(Principal::Operator.authorize(foreign, actions).is_ok());
            assert_eq!(principal.authorize(foreign, actions).unwrap_err(), Denied::UnknownDomain);
            let expected = !matches!(action, Action::DomainCreate | Action::CredentialCreate | Action::MetricsGet);
            assert_eq!(principal.authorize(own, actions).is_ok(), expected, "{action:?}");
            assert!(Principal::Operator.authorize_region(*action).is_ok());
            assert_eq!(principal.authorize_region(*action).is_ok(), *action == Action::DomainGet);
        }
        let permit = principal.authorize(own, Actions::of(&[Action::SecretGet, Action::CredentialCreate])).unwrap();
        assert_eq!(permit.okms_id(), own);
        assert!(permit.require(Action::SecretGet).is_ok());
        assert_eq!(permit.require(Action::CredentialCreate), Err(Denied::Forbidden));
        assert_eq!(permit.require(Action::VersionGetData), Err(Denied::Forbidden));
        assert_eq!(principal.authorize_region(Action::DomainGet).unwrap().sees(), Some(own));
    }
}
