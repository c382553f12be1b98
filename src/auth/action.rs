//! What can be done, and what to.

use crate::model::SecretPath;

macro_rules! actions {
    (
        $($(#[$doc:meta])* $variant:ident = $name:literal $(| $wider:literal)*,)*
        ; operators: $($(#[$its_doc:meta])* $own:ident = $its_name:literal,)*
    ) => {
        /// Something one may do, under the name that policies use.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[$doc])* $variant,)*
            $($(#[$its_doc])* $own,)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &[Self] = &[$(Self::$variant,)* $(Self::$own,)*];

            /// Those that are for who runs the region, and that nothing in a domain gives.
            pub const OPERATORS: &[Self] = &[$(Self::$own,)*];

            /// The IAM name: a published one, or our own for a part of what one of those is about.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    $(Self::$own => $its_name,)*
                }
            }

            /// The names by which policies speak of it: its own, and the published one of which it
            /// is a part.
            #[must_use]
            pub const fn names(self) -> &'static [&'static str] {
                match self {
                    $(Self::$variant => &[$name $(, $wider)*],)*
                    $(Self::$own => &[$its_name],)*
                }
            }
        }
    };
}

impl Action {
    /// Whether it is for who runs the region alone.
    #[must_use]
    pub const fn is_operators(self) -> bool {
        Actions::OPERATORS.contains(self)
    }
}

actions! {
    /// See a secret's metadata and its versions' states.
    SecretGet = "okms:apikms:secret/get" | "okms:apiovh:secret/get",
    /// See that there is a secret of this name.
    SecretList = "okms:apikms:secret/list" | "okms:apikms:secret/get" | "okms:apiovh:secret/get",
    /// Create a secret.
    SecretCreate = "okms:apikms:secret/create",
    /// Create a secret without any version.
    SecretCreateEmpty = "okms:apikms:secret/createEmpty" | "okms:apikms:secret/create",
    /// Delete a secret with all its versions.
    SecretDelete = "okms:apikms:secret/delete",
    /// Change a secret's settings and custom metadata.
    SecretUpdateMetadata = "okms:apikms:secret/updateMetadata",
    /// Change parts of a secret's settings and custom metadata, and leave the rest.
    SecretPatchMetadata = "okms:apikms:secret/patchMetadata" | "okms:apikms:secret/updateMetadata",
    /// Read a version's value.
    VersionGetData = "okms:apikms:secret/version/getData" | "okms:apiovh:secret/version/getData",
    /// See the names in a version's value.
    SubkeysGet = "okms:apikms:secret/subKeys/get",
    /// Add a version.
    VersionCreate = "okms:apikms:secret/version/create",
    /// Add a version that is made of the current one, which is not told.
    VersionPatch = "okms:apikms:secret/version/patch" | "okms:apikms:secret/version/create",
    /// Make a deactivated version readable.
    VersionActivate = "okms:apikms:secret/version/activate",
    /// Make a version unreadable.
    VersionDeactivate = "okms:apikms:secret/version/deactivate",
    /// Make the current version unreadable, whichever that is.
    VersionDeactivateCurrent = "okms:apikms:secret/version/deactivateCurrent" | "okms:apikms:secret/version/deactivate",
    /// Erase a version's value.
    VersionDelete = "okms:apikms:secret/version/delete",
    /// Read a domain's defaults.
    ConfigGet = "okms:apikms:secretConfig/get",
    /// Change a domain's defaults.
    ConfigUpdate = "okms:apikms:secretConfig/update",
    /// See who may do what in a domain.
    PolicyGet = "okms:apiovh:resource/policy/get",
    /// Say who may do what in a domain.
    PolicyEdit = "okms:apiovh:resource/policy/edit",
    /// See the tokens of a domain that others made, and the accessors of all.
    TokenGet = "okms:apiovh:resource/token/get",
    /// Prolong and end tokens of a domain, and end wrapped answers, that others made.
    TokenEdit = "okms:apiovh:resource/token/edit",
    /// See a domain's users.
    UserGet = "okms:apiovh:resource/user/get",
    /// Make, change and remove a domain's users.
    UserEdit = "okms:apiovh:resource/user/edit",
    /// See whose certificates reach a domain: authorities of customers.
    CaGet = "okms:apiovh:resource/ca/get",
    /// Say whose certificates reach a domain.
    CaEdit = "okms:apiovh:resource/ca/edit",
    /// See what was done in a domain, and by its callers: its part of the audit trail.
    AuditGet = "okms:apiovh:resource/audit/get",
    /// See a domain.
    DomainGet = "okms:apiovh:resource/get",
    /// See what a domain has and takes of the server.
    UsageGet = "okms:apiovh:resource/usage/get",
    /// See a domain's access certificates.
    CredentialGet = "okms:apiovh:resource/credential/get",
    /// Renew the access certificate that asks.
    CredentialRenew = "okms:apiovh:resource/credential/renew",

    ; operators:
    /// Create a domain.
    DomainCreate = "okms:apiovh:resource/create",
    /// Say how a domain is called, and which partner it has.
    DomainEdit = "okms:apiovh:resource/edit",
    /// Say what a domain may take of the server.
    QuotaEdit = "okms:apiovh:resource/quota/edit",
    /// Issue an access certificate for a domain.
    CredentialCreate = "okms:apiovh:resource/credential/create",
    /// Revoke an access certificate.
    CredentialDelete = "okms:apiovh:resource/credential/delete",
    /// See the server's figures, which are about all domains.
    MetricsGet = "okms:apiovh:metrics/get",
    /// See where the records of the audit trail go.
    AuditDeviceGet = "okms:apiovh:audit/device/get",
    /// Enable and disable devices of the audit trail.
    AuditDeviceEdit = "okms:apiovh:audit/device/edit",
    /// Learn what stands for a path in the audit trail.
    AuditHash = "okms:apiovh:audit/hash",
}

/// A set of actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Actions(u64);

const _: () = assert!(Action::ALL.len() <= 64, "a set of actions has 64 bits");

impl Actions {
    /// What nothing in a domain gives.
    pub(super) const OPERATORS: Self = Self::of(Action::OPERATORS);

    /// What reads secrets, and changes nothing.
    pub(super) const READS: Self =
        Self::of(&[Action::SecretGet, Action::SecretList, Action::VersionGetData]);

    pub(super) const fn of(actions: &[Action]) -> Self {
        let (mut bits, mut rest) = (0, actions);
        while let [action, tail @ ..] = rest {
            bits |= 1 << (*action as u64);
            rest = tail;
        }
        Self(bits)
    }

    pub(super) const fn contains(self, action: Action) -> bool {
        self.0 & 1 << (action as u64) != 0
    }

    /// Those that are not among `other`.
    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Those, and this one.
    pub(super) const fn with(self, action: Action) -> Self {
        Self(self.0 | 1 << (action as u64))
    }

    /// Those, and the others.
    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn is_empty(self) -> bool {
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

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        actions.into_iter().fold(Self(0), Self::with)
    }
}
