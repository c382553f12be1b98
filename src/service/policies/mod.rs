//! Policies of a domain that say how its secrets are renewed: how often ([`RotationPolicies`]), and how their values
//! are made ([`SecretPolicies`]).

mod kept;
mod rotation;
mod secret;

pub use self::{
    rotation::{KnownRotationPolicy, RotationPolicies},
    secret::{KnownSecretPolicy, SecretPolicies},
};
