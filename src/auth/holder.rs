//! Whom a tenant's rules and policies are asked about: a certificate, and what the region remembers of
//! it: the keys of those that it was renewed from, and the identities that it was issued for.
//!
//! Always holds: what a rule says of a key, it says of every certificate that was renewed from one
//! with that key, before or after the rule was made; where nobody has looked what is remembered, there
//! is no answer. Never does: I/O; `service` looks.

use super::{
    identity::CertIdentity,
    voucher::{Issuer, Voucher},
};
use crate::model::RuleIssuer;

/// What an identity begins with that an operator names when a certificate is issued, and that policies
/// speak of. Names of rules and users are the domain's own.
pub(super) const URN: &str = "urn:";

/// Where a certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its key, and those of the certificates that it was renewed from, the next one before it first:
    /// SHA-256 of each `SubjectPublicKeyInfo`.
    keys: Vec<[u8; 32]>,
    /// The identities that it was issued for.
    identities: Vec<String>,
}

impl Line {
    /// That of a certificate, by the keys of those before it and the identities that it was issued
    /// for.
    #[must_use]
    pub fn new(own: &CertIdentity, before: Vec<[u8; 32]>, mut identities: Vec<String>) -> Self {
        let mut keys = vec![*own.public_key_sha256()];
        keys.extend(before);
        identities.retain(|identity| identity.starts_with(URN));
        Self { keys, identities }
    }

    /// The key of the first certificate, which was renewed from none.
    pub(super) fn first_key(&self) -> Option<&[u8; 32]> {
        self.keys.last()
    }
}

/// A certificate, as rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    certificate: &'a CertIdentity,
    voucher: &'a Voucher,
    line: Option<&'a Line>,
}

/// It is not known yet which certificates one was renewed from, or whom it was issued for, and a rule
/// or a policy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untraced;

impl<'a> Holder<'a> {
    /// The holder of a certificate, who vouches for it, and its line, where that is known.
    #[must_use]
    pub const fn new(
        certificate: &'a CertIdentity,
        voucher: &'a Voucher,
        line: Option<&'a Line>,
    ) -> Self {
        Self { certificate, voucher, line }
    }

    /// What the certificate says.
    pub(super) const fn certificate(&self) -> &'a CertIdentity {
        self.certificate
    }

    /// Its key, and those of the certificates that it was renewed from.
    pub(super) fn keys(&self) -> Result<&'a [[u8; 32]], Untraced> {
        Ok(&self.line.ok_or(Untraced)?.keys)
    }

    /// The identities that it was issued for.
    pub(super) fn identities(&self) -> Result<&'a [String], Untraced> {
        Ok(&self.line.ok_or(Untraced)?.identities)
    }

    /// Whether one of these vouches for it.
    pub(super) fn is_of_one_of(&self, issuers: &[RuleIssuer]) -> bool {
        issuers.iter().any(|issuer| match issuer {
            RuleIssuer::Region => self.voucher.issuer == Issuer::Region,
            RuleIssuer::Key(key) => self.voucher.authority_key == *key,
        })
    }

    /// Whether its key is one of these, or that of a certificate that it was renewed from.
    pub(super) fn has_one_of(&self, keys: &[[u8; 32]]) -> Result<bool, Untraced> {
        Ok(self.keys()?.iter().any(|key| keys.contains(key)))
    }
}
