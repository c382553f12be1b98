//! Who is asking, and what they may do.
//!
//! Owns the way from a certificate to a permit: [`chain`] finds who vouches for a certificate,
//! [`identity`] reads it (with [`names`] and [`claim`]), [`directory`] says whom it stands for,
//! [`policy`] decides. Always holds: a [`Principal`] is made by the directory alone, and a
//! [`Permit`] by the policy; the tenant of a request is the permit's, never the URL's. Never does:
//! I/O, HTTP, telling a foreign domain from one that does not exist.

pub mod chain;
pub mod claim;
pub mod directory;
pub mod identity;
pub mod names;
pub mod policy;
pub mod revoked;

pub use self::{
    directory::{Issuer, Party, Principal, Subject, Unauthenticated, VerifiedPeer, Voucher},
    policy::{Action, Denied, Permit, RegionPermit, Resource},
    revoked::Revoked,
};

#[cfg(test)]
mod test_tools;
