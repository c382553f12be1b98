//! Who is asking, and what they may do.
//!
//! Owns the way from a certificate to a permit: [`forwarded`] knows in which forms proxies tell of one, [`chain`] finds who vouches for a certificate,
//! [`identity`] reads it (with [`names`] and [`claim`]), [`jwt`] judges a token that somebody else has signed, [`directory`] says whom it stands for,
//! unless it was [`revoked`] or is on one of its CA's [`lists`], or the CA is none of the [`anchors`] any more, [`access`] has the tenants' rules
//! ([`rules`]) and policies ([`policies`]), [`policy`] decides, [`pdp`] knows what somebody else is to judge beside it, and a [`Witness`] sees it. Always holds: a [`Principal`] is made
//! by the directory alone, and a [`Permit`] by the policy; the tenant of a request is the permit's,
//! never the URL's. Never does: I/O, HTTP, telling a foreign domain from one that does not exist.

pub mod access;
pub mod acl;
mod acls;
mod action;
pub mod anchors;
mod built_in;
mod cert_rule;
pub mod chain;
mod chosen;
pub mod claim;
pub mod directory;
mod explain;
mod facets;
pub mod forwarded;
mod glob;
pub mod holder;
pub mod identity;
pub mod jwt;
pub mod lists;
pub mod names;
mod object;
mod patterns;
pub mod pdp;
mod policies;
pub mod policy;
pub mod revoked;
mod rules;
mod since;
mod system;
mod voucher;
mod witness;
mod word;

pub use self::{
    access::{AccessDirectory, Written, names_an_action, names_operators_own},
    acls::WrittenUser,
    action::{Action, Resource},
    cert_rule::Rule,
    directory::{Party, Principal, Recognized, Subject, Unauthenticated, VerifiedPeer},
    explain::{Explanation, Whom},
    patterns::Extent,
    policies::Policy,
    policy::{Across, Denied, Permit, RegionPermit},
    revoked::Revoked,
    system::System,
    voucher::{Issuer, Voucher},
    witness::{Announcing, Detail, Fate, Thing, Unwitnessed, Witness},
    word::Word,
};

#[cfg(test)]
mod test_tools;
