//! Which authority vouches for a peer, and for what its word is taken.

use crate::{model::OkmsId, pki::Validity};

/// Which CA vouched for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issuer {
    /// The region's own: the domain that a certificate names is believed, if the authority itself
    /// has signed it.
    Region,
    /// Somebody else's: whatever its certificates say, they reach this domain.
    Customer(OkmsId),
}

/// By whose word a peer is who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voucher {
    /// The nearest CA.
    pub issuer: Issuer,
    /// SHA-256 of its `SubjectPublicKeyInfo`.
    pub authority_key: [u8; 32],
    /// Whether it has signed the peer's certificate itself, and not another that signed it.
    pub is_direct: bool,
    /// When the CA's certificate, and all between, are valid.
    pub validity: Validity,
}
