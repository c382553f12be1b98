//! What something is done for, in the words that a policy decision point judges by.

use crate::auth::Action;

macro_rules! purposes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What an operation on secrets is for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Purpose {
            $($(#[$doc])* $variant,)*
        }

        impl Purpose {
            /// Each of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

purposes! {
    /// A value is told.
    Read = "read",
    /// A secret is made or changed.
    Write = "write",
    /// Something becomes unreadable, so that it can be brought back.
    Delete = "delete",
    /// Values are gone for good.
    DestroyVersions = "destroy_versions",
    /// A secret gets a new value in the place of one that is to end.
    Rotate = "rotate",
    /// Everything but values is told.
    ReadMetadata = "read_metadata",
    /// What was deleted can be read again.
    Undelete = "undelete",
    /// A secret gets another owner.
    OwnerUpdate = "owner_update",
}

impl Purpose {
    /// What an action is for where nobody says otherwise; nothing where it is not done to secrets.
    #[must_use]
    pub const fn of(action: Action) -> Option<Self> {
        Some(match action {
            Action::SecretGet | Action::SecretList | Action::SubkeysGet => Self::ReadMetadata,
            Action::VersionGetData => Self::Read,
            Action::SecretCreate
            | Action::SecretCreateEmpty
            | Action::SecretUpdateMetadata
            | Action::SecretPatchMetadata
            | Action::VersionCreate
            | Action::VersionPatch => Self::Write,
            Action::VersionActivate => Self::Undelete,
            Action::VersionDeactivate | Action::VersionDeactivateCurrent => Self::Delete,
            Action::VersionDelete | Action::SecretDelete => Self::DestroyVersions,
            Action::ConfigGet
            | Action::ConfigUpdate
            | Action::PolicyGet
            | Action::PolicyEdit
            | Action::TokenGet
            | Action::TokenEdit
            | Action::UserGet
            | Action::UserEdit
            | Action::CaGet
            | Action::CaEdit
            | Action::AuditGet
            | Action::DomainGet
            | Action::UsageGet
            | Action::CredentialGet
            | Action::CredentialRenew
            | Action::DomainCreate
            | Action::DomainEdit
            | Action::QuotaEdit
            | Action::CredentialCreate
            | Action::CredentialDelete
            | Action::MetricsGet
            | Action::AuditDeviceGet
            | Action::AuditDeviceEdit
            | Action::AuditHash => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What policies call an action on secrets has a purpose, and nothing else has.
    #[test]
    fn what_is_done_to_secrets_has_a_purpose() {
        for action in Action::ALL {
            let is_of_secrets = action.name().starts_with("okms:apikms:secret/");
            assert_eq!(Purpose::of(*action).is_some(), is_of_secrets, "{}", action.name());
        }
    }
}
