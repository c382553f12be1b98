//! Policies of a domain that say how its secrets are renewed: how often ([`RotationPolicies`]), and how their values
//! are made ([`SecretPolicies`]).

mod attached;
mod due;
mod kept;
mod rotation;
mod secret;

pub(super) use self::rotation::{find, held};
pub use self::{
    due::{AttachedSecret, DueSearch},
    rotation::{KnownRotationPolicy, RotationPolicies},
    secret::{KnownSecretPolicy, SecretPolicies},
};
