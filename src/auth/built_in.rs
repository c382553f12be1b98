//! The policies that are always there, and what they allow.

use super::{
    action::{Action, Actions},
    chosen::{Chosen, Said, Says, Sum},
    patterns::Verdict,
};
use crate::model::{BuiltIn, policy::DEFAULT_POLICY};

/// Whoever belongs to a tenant may know it, and goes on belonging to it.
pub(super) const fn of_everybody() -> Sum {
    let domain = Says::only(Actions::of(&[Action::DomainGet, Action::CredentialRenew]));
    Sum { domain, ..Sum::NOTHING }
}

/// What a policy says that is always there.
pub(super) const fn says(one: BuiltIn) -> Sum {
    Sum::of_domain(Says::only(actions(one)))
}

/// `some` with such a policy.
pub(super) fn with(some: Chosen, one: BuiltIn) -> Chosen {
    some.also(says(one)).named(one)
}

/// `some` with those that everybody has, and those of them that these names are of.
pub(super) fn with_named(some: Chosen, names: &[String]) -> Chosen {
    let built_in = names.iter().filter_map(|name| BuiltIn::named(name));
    built_in.fold(some.also(of_everybody()), with)
}

/// What a policy that is always there says of an action on a secret, or on the domain.
pub(super) const fn verdict(policy: Sum, action: Action, path: Option<&str>) -> Verdict {
    let says = if path.is_none() { policy.domain } else { policy.secrets };
    says.verdict(action)
}

/// The name of one of those among `some` that says this of an action on a secret, or on the domain.
pub(super) fn by(
    some: &Said,
    action: Action,
    path: Option<&str>,
    said: Verdict,
) -> Option<&'static str> {
    let is_it = |policy: Sum| verdict(policy, action, path) == said;
    let named = BuiltIn::ALL.into_iter().filter(|one| some.has_built_in(*one));
    let named = named.filter(|one| is_it(says(*one))).map(BuiltIn::name).next();
    named.or_else(|| is_it(of_everybody()).then_some(DEFAULT_POLICY))
}

/// What such a policy allows.
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
            Action::UserGet,
            Action::AuditGet,
            Action::UsageGet,
            Action::UserEdit,
            Action::TokenGet,
            Action::TokenEdit,
            Action::CaGet,
            Action::CaEdit,
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
            Action::UserGet,
            Action::AuditGet,
            Action::UsageGet,
            Action::TokenGet,
            Action::CaGet,
            Action::CredentialGet,
        ]),
        BuiltIn::Nothing => Actions::of(&[]),
    }
}
