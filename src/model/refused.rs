//! Why the rules refuse a write.

use super::Invalid;

/// A write that the rules refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The write names another current version.
    #[error(
        "cas does not match the secret's current version; read the secret again and repeat with that version"
    )]
    CasMismatch,
    /// The write names none, and must.
    #[error("cas is required for this secret; repeat with the current version as cas in the query")]
    CasRequired,
    /// The write of metadata names another version of it.
    #[error("metadata check-and-set parameter does not match the current version")]
    MetadataCasMismatch,
    /// The write of metadata names no version of it, and must.
    #[error("metadata check-and-set parameter required for this call")]
    MetadataCasRequired,
    /// The write that creates metadata names a version of it.
    #[error("metadata_cas must be 0 when creating new metadata")]
    MetadataCasOnCreate,
    /// All numbers are used.
    #[error("the secret has reached version 24000, the last one; create a new secret")]
    NumbersUsedUp,
    /// The secret would have so many entries of custom metadata.
    #[error("customMetadata can hold at most 64 entries, and would have {0}; remove some first")]
    TooManyEntries(usize),
    /// A rule about metadata is broken.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}
