//! Whom a tenant's rules are asked about: a certificate, and the keys of those that it was renewed
//! from.
//!
//! Always holds: what a rule says of a key, it says of every certificate that was renewed from one
//! with that key, before or after the rule was made; where nobody has looked which those are, there
//! is no answer. Never does: I/O; `service` looks.

use super::{
    identity::CertIdentity,
    voucher::{Issuer, Voucher},
};
use crate::model::RuleIssuer;

/// The keys of a certificate and of those that it was renewed from, one after the other: SHA-256 of
/// each `SubjectPublicKeyInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line(Vec<[u8; 32]>);

impl Line {
    /// That of a certificate, and of those before it.
    #[must_use]
    pub fn new(own: &CertIdentity, mut before: Vec<[u8; 32]>) -> Self {
        before.push(*own.public_key_sha256());
        Self(before)
    }
}

/// A certificate, as rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    certificate: &'a CertIdentity,
    voucher: &'a Voucher,
    line: Option<&'a Line>,
}

/// It is not known yet which certificates one was renewed from, and a rule asks.
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
        let Line(line) = self.line.ok_or(Untraced)?;
        Ok(line)
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
