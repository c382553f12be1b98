//! Access certificates, as the region remembers those that it has issued.

use super::Timestamp;

/// An access certificate that was issued. What is not remembered can be neither listed nor revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The display name, which is the certificate's common name.
    pub name: String,
    /// The serial number, big-endian, without zeros in front.
    pub serial: Vec<u8>,
    /// SHA-256 of its `SubjectPublicKeyInfo`.
    pub key_sha256: [u8; 32],
    /// When it was issued.
    pub issued_at: Timestamp,
    /// From when it is valid.
    pub begins_at: Timestamp,
    /// Until when it is valid.
    pub ends_at: Timestamp,
    /// Whether its key came with a request, so that it was never seen here.
    pub is_from_request: bool,
}
