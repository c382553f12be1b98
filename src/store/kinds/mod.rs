//! The kinds of records: one file says all of one.
//!
//! Each declares its space, its key and its byte form. [`SPACES`] is the one list of spaces: the
//! engines make their tables of it. Always holds: every key begins with its tenant's 16 bytes; a
//! record is sealed for its space and key ([`crate::crypto::Binding`]), so that no two kinds may
//! share a key.
//!
//! Never does: seal, or decide.

pub mod access;
pub mod audit_block;
pub mod audit_device;
pub mod audit_mark;
pub mod config;
pub mod credential;
pub mod customer_ca;
pub mod customer_ca_list;
pub mod ending;
pub mod event;
pub mod growth;
pub mod header;
pub mod leaving;
pub mod line;
pub mod policy;
pub mod quota;
pub mod region;
pub mod revocation;
pub mod rotation_event;
pub mod rotation_policy;
pub mod rule;
pub mod secret_index;
pub mod secret_policy;
pub mod tally;
pub mod tenant;
pub mod token;
pub mod user;
pub mod value;
pub mod vault_policy;
pub mod version;
pub mod wrapped;

mod kind;
mod settings;

pub use self::kind::{Kind, Malformed, decode, encode};
use crate::store::engine::Space;

/// Every space there is.
pub const SPACES: [Space; 29] = [
    region::SPACE,
    tenant::SPACE,
    config::SPACE,
    header::SPACE,
    secret_index::SPACE,
    access::SPACE,
    leaving::SPACE,
    version::SPACE,
    value::SPACE,
    token::SPACE,
    credential::SPACE,
    policy::SPACE,
    rule::SPACE,
    revocation::SPACE,
    user::SPACE,
    ending::SPACE,
    line::SPACE,
    audit_mark::SPACE,
    customer_ca::SPACE,
    customer_ca_list::SPACE,
    audit_block::SPACE,
    audit_block::PLACES,
    quota::SPACE,
    audit_device::SPACE,
    growth::SPACE,
    rotation_policy::SPACE,
    rotation_event::SPACE,
    secret_policy::SPACE,
    event::SPACE,
];

#[cfg(test)]
mod tests;
