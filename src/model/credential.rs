//! Access certificates, as the region remembers those that it has issued.

use super::{Invalid, Timestamp};

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
    /// What it is for, in an operator's words.
    pub description: String,
    /// Whom it speaks for beside its domain, as the operator named them.
    pub identities: Vec<String>,
    /// The certificate, DER; there is none of those that were issued before it was kept.
    pub certificate: Option<Vec<u8>>,
    /// The id of the one that asked for it, where it was renewed.
    pub renews: Option<[u8; 16]>,
}

impl Credential {
    /// The days that it was issued for, or as many as were left to its authority.
    #[must_use]
    pub fn days(&self) -> u32 {
        const DAY: i64 = 86_400;
        let seconds = self.ends_at.unix_seconds().saturating_sub(self.issued_at.unix_seconds());
        u32::try_from(seconds.saturating_add(DAY - 1) / DAY).unwrap_or_default().max(1)
    }
}

/// Checks what an operator says of a certificate beside its name.
///
/// # Errors
/// `Invalid` where it is too long, or has characters that do not print.
pub fn check_remarks(description: &str, identities: &[String]) -> Result<(), Invalid> {
    let is_plain = |text: &str| !text.chars().any(char::is_control);
    if description.len() > CREDENTIAL_DESCRIPTION_MAX || !is_plain(description) {
        return Err(Invalid(
            "the description must be text of at most 512 bytes without control characters",
        ));
    }
    let is_identity =
        |text: &String| (1..=CREDENTIAL_IDENTITY_MAX).contains(&text.len()) && is_plain(text);
    if identities.len() > CREDENTIAL_IDENTITIES_MAX || !identities.iter().all(is_identity) {
        return Err(Invalid(
            "identityURNs must be at most 64 texts of 1 to 256 bytes without control characters",
        ));
    }
    Ok(())
}

/// How long before its end a certificate ends soon, in seconds: time enough to see to it.
pub const ENDS_SOON_SECONDS: u32 = 14 * 86_400;
/// The longest description, in bytes.
pub const CREDENTIAL_DESCRIPTION_MAX: usize = 512;
/// The most identities.
pub const CREDENTIAL_IDENTITIES_MAX: usize = 64;
/// The longest identity, in bytes.
pub const CREDENTIAL_IDENTITY_MAX: usize = 256;
