//! Vault's policies: their texts, and what they decide.
//!
//! Owns the language ([`hcl`], and the JSON form), what a text says ([`document`]), what a block
//! asks of a request ([`parameters`]), values of an identity in paths ([`template`]), and the one
//! block that decides ([`patterns`], [`decide`]), and what that is to the tree ([`views`]). Always holds: of all blocks that fit a path one
//! decides, by Vault's order; names and paths compare byte for byte; a text that would grant more
//! than its author thinks is refused, never taken in part; the cost of a decision follows the length
//! of the path, and that of reading the length of the text. Never does: I/O, a clock, knowing what
//! is at a path.

mod capability;
mod decide;
mod document;
mod hcl;
mod parameters;
mod patterns;
mod template;
mod views;

use self::parameters::Carried;
pub(super) use self::views::{Door, InVault, has_address, is_of_secrets};
pub use self::{
    capability::{Capabilities, Capability, Operation},
    decide::{Acl, Decision, Ruling},
    document::{Policy, Rule},
    hcl::PolicyFault,
    parameters::{Given, Unfit},
    template::{Facts, Nobody},
    views::{Addressed, Mounts},
};

#[cfg(test)]
pub(crate) mod naive;
#[cfg(test)]
mod tests;
