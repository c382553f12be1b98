//! From a certificate's identity to the principal that it stands for.

use super::identity::{CertIdentity, DomainClaim};
use crate::domain::{OkmsId, Timestamp};

/// Which certificate authority vouched for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issuer {
    /// The region's own: the domain that its certificates name is believed.
    Region,
    /// Somebody else's: whatever its certificates say, they reach this domain.
    Customer(OkmsId),
}

/// A peer whose certificate chain the handshake has verified.
#[derive(Debug)]
pub struct VerifiedPeer {
    identity: CertIdentity,
    issuer: Issuer,
}

impl VerifiedPeer {
    /// For the connection that has just finished a handshake with client authentication, and nobody else.
    pub(crate) const fn after_handshake(identity: CertIdentity, issuer: Issuer) -> Self {
        Self { identity, issuer }
    }

    /// What the certificate says.
    #[must_use]
    pub const fn identity(&self) -> &CertIdentity {
        &self.identity
    }
}

/// Whom we take a peer to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// One who runs the region: reaches every domain.
    Operator,
    /// A service of one domain.
    Domain(OkmsId),
}

/// Why a request comes from nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// The connection has no client certificate.
    #[error("no client certificate; connect with your access certificate and its private key")]
    NoCertificate,
    /// The certificate's time is over, perhaps since the handshake.
    #[error("the client certificate has expired; get a new one and connect again")]
    Expired,
    /// The certificate's time has not come.
    #[error("the client certificate is not valid yet; check the clocks")]
    NotYetValid,
    /// The certificate's names cannot be read.
    #[error("the client certificate cannot be read; get a new one for your domain")]
    Unreadable,
    /// The certificate is fine, but names no domain here.
    #[error("the client certificate names no okms.domain; use an access certificate issued for your domain")]
    NoDomain,
}

/// The principal that `peer` stands for at `now`. Asked for every request, so that no connection outlives its
/// certificate.
///
/// # Errors
/// `Unauthenticated` says what is missing.
pub fn principal(peer: &VerifiedPeer, now: Timestamp) -> Result<Principal, Unauthenticated> {
    let now = now.unix_seconds();
    if now > peer.identity.not_after() {
        return Err(Unauthenticated::Expired);
    }
    if now < peer.identity.not_before() {
        return Err(Unauthenticated::NotYetValid);
    }
    match peer.issuer {
        Issuer::Customer(domain) => Ok(Principal::Domain(domain)),
        Issuer::Region => match peer.identity.okms_domain() {
            Some(DomainClaim::Any) => Ok(Principal::Operator),
            Some(DomainClaim::One(bytes)) => {
                OkmsId::from_bytes(bytes).map(Principal::Domain).map_err(|_| Unauthenticated::NoDomain)
            }
            None => Err(Unauthenticated::NoDomain),
        },
    }
}
