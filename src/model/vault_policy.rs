//! A policy in Vault's language, as its author wrote it.

use super::Timestamp;

/// The text of a policy, byte for byte; what it says is read elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultPolicy {
    /// HCL, or JSON where it begins with `{`.
    pub text: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
