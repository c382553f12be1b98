//! The policies that are always there, and what they allow.

use super::{
    action::{Action, Actions},
    patterns::Verdict,
    policies::{Chosen, Policies, Says},
};
use crate::model::{BuiltIn, policy::DEFAULT_POLICY};

/// Whoever belongs to a tenant may know it, and goes on belonging to it.
pub(super) const fn of_everybody() -> Chosen {
    let says = Says::only(Actions::of(&[Action::DomainGet, Action::CredentialRenew]));
    Chosen::none().also(says, Says::only(Actions::of(&[])))
}

/// A policy that is always there.
pub(super) const fn chosen(one: BuiltIn) -> Chosen {
    let says = Says::only(actions(one));
    Chosen::none().also(says, says).named(one)
}

/// `some` with those that everybody has, and those of them that these names are of.
pub(super) fn with_named(some: Chosen, names: &[String]) -> Chosen {
    let built_in = names.iter().filter_map(|name| BuiltIn::named(name));
    built_in.fold(some.with(&of_everybody()), |all, one| all.with(&chosen(one)))
}

/// What a policy that is always there says of an action on a secret, or on the domain.
pub(super) fn verdict(policy: &Chosen, action: Action, path: Option<&str>) -> Verdict {
    match path {
        None => Policies::says_of_domain(policy, action),
        Some(path) => Policies::new(&[]).says(policy, action, path),
    }
}

/// The name of one of those among `some` that says this of an action on a secret, or on the domain.
pub(super) fn by(
    some: &Chosen,
    action: Action,
    path: Option<&str>,
    says: Verdict,
) -> Option<&'static str> {
    let is_it = |policy: &Chosen| verdict(policy, action, path) == says;
    let named = BuiltIn::ALL.into_iter().filter(|one| some.has_built_in(*one));
    let named = named.filter(|one| is_it(&chosen(*one))).map(BuiltIn::name).next();
    named.or_else(|| is_it(&of_everybody()).then_some(DEFAULT_POLICY))
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
            Action::TokenGet,
            Action::CaGet,
            Action::CredentialGet,
        ]),
        BuiltIn::Nothing => Actions::of(&[]),
    }
}
