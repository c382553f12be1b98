//! The native dialect: `OVHcloud`'s OKMS Secret API, and the control plane beside it.
//!
//! Bodies are camelCase as published; the guide's `snake_case` and its flat body on create are taken too.

mod control;
mod parse;
mod render;
mod secrets;

use super::{Call, Context, Reply};
use crate::{
    auth::{Action, Actions, Permit, RegionPermit},
    service::Error,
};

/// What can be asked of one domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DomainOp {
    /// A page of secrets.
    ListSecrets,
    /// A new secret.
    CreateSecret,
    /// A secret with one version.
    GetSecret,
    /// New metadata, a new version, or both.
    PutSecret,
    /// A secret's end.
    DeleteSecret,
    /// A page of versions.
    ListVersions,
    /// A new version.
    CreateVersion,
    /// One version.
    GetVersion,
    /// A version's new state.
    PutVersion,
    /// The domain's defaults.
    GetConfig,
    /// New defaults.
    PutConfig,
    /// The domain itself.
    GetDomain,
    /// A new access certificate.
    CreateCredential,
}

impl DomainOp {
    /// The published operation id, where there is one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ListSecrets => "ListSecretV2",
            Self::CreateSecret => "PostSecretV2",
            Self::GetSecret => "GetSecretV2",
            Self::PutSecret => "PutSecretV2",
            Self::DeleteSecret => "DeleteSecretV2",
            Self::ListVersions => "ListSecretVersionV2",
            Self::CreateVersion => "PostSecretVersionV2",
            Self::GetVersion => "GetSecretVersionV2",
            Self::PutVersion => "PutSecretVersionV2",
            Self::GetConfig => "GetSecretConfigV2",
            Self::PutConfig => "PutSecretConfigV2",
            Self::GetDomain => "GetResource",
            Self::CreateCredential => "PostCredential",
        }
    }

    /// The actions of which at least one is needed. Which of them a request really takes is known once its body is
    /// read; the use case then asks the permit.
    #[must_use]
    pub const fn actions(self) -> Actions {
        Actions::of(self.action_list())
    }

    /// The actions, as a list.
    #[must_use]
    pub const fn action_list(self) -> &'static [Action] {
        match self {
            Self::ListSecrets | Self::ListVersions => &[Action::SecretGet],
            Self::CreateSecret => &[Action::SecretCreate],
            Self::GetSecret | Self::GetVersion => &[Action::SecretGet, Action::VersionGetData],
            Self::PutSecret => &[Action::VersionCreate, Action::SecretUpdateMetadata],
            Self::DeleteSecret => &[Action::SecretDelete],
            Self::CreateVersion => &[Action::VersionCreate],
            Self::PutVersion => &[Action::VersionActivate, Action::VersionDeactivate, Action::VersionDelete],
            Self::GetConfig => &[Action::ConfigGet],
            Self::PutConfig => &[Action::ConfigUpdate],
            Self::GetDomain => &[Action::DomainGet],
            Self::CreateCredential => &[Action::CredentialCreate],
        }
    }
}

/// What can be asked of the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegionOp {
    /// The domains that the caller may see.
    ListDomains,
    /// A new domain.
    CreateDomain,
}

impl RegionOp {
    /// The operation's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ListDomains => "ListResources",
            Self::CreateDomain => "PostResource",
        }
    }

    /// The action that it takes.
    #[must_use]
    pub const fn action(self) -> Action {
        match self {
            Self::ListDomains => Action::DomainGet,
            Self::CreateDomain => Action::DomainCreate,
        }
    }
}

/// Does `op` in the permit's domain.
///
/// # Errors
/// What the use case says, or `Error::Invalid` for input that cannot be understood.
pub async fn domain(op: DomainOp, context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Error> {
    match op {
        DomainOp::ListSecrets => secrets::list(context, permit, call).await,
        DomainOp::CreateSecret => secrets::create(context, permit, call).await,
        DomainOp::GetSecret => secrets::get(context, permit, call).await,
        DomainOp::PutSecret => secrets::update(context, permit, call).await,
        DomainOp::DeleteSecret => secrets::delete(context, permit, call).await,
        DomainOp::ListVersions => secrets::list_versions(context, permit, call).await,
        DomainOp::CreateVersion => secrets::create_version(context, permit, call).await,
        DomainOp::GetVersion => secrets::get_version(context, permit, call).await,
        DomainOp::PutVersion => secrets::set_state(context, permit, call).await,
        DomainOp::GetConfig => secrets::get_config(context, permit).await,
        DomainOp::PutConfig => secrets::put_config(context, permit, call).await,
        DomainOp::GetDomain => control::get_domain(context, permit).await,
        DomainOp::CreateCredential => control::create_credential(context, permit, call).await,
    }
}

/// Does `op` on the region.
///
/// # Errors
/// As [`domain`].
pub async fn region(op: RegionOp, context: &Context, permit: &RegionPermit, call: &Call) -> Result<Reply, Error> {
    match op {
        RegionOp::ListDomains => control::list_domains(context, permit, call).await,
        RegionOp::CreateDomain => control::create_domain(context, permit, call).await,
    }
}
