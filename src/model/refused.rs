//! Why the rules refuse a write.

use super::Invalid;

/// A write that the rules refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The write names another current version.
    #[error("another current version was expected")]
    CasMismatch,
    /// The write names none, and must.
    #[error("the current version must be named")]
    CasRequired,
    /// The write of metadata names another version of it.
    #[error("another version of the metadata was expected")]
    MetadataCasMismatch,
    /// The write of metadata names no version of it, and must.
    #[error("the version of the metadata must be named")]
    MetadataCasRequired,
    /// The write that creates metadata names a version of it.
    #[error("a version of metadata was expected that there is none of yet")]
    MetadataCasOnCreate,
    /// All numbers are used.
    #[error("the last version number is used")]
    NumbersUsedUp,
    /// The secret would have so many entries of custom metadata.
    #[error("there would be {0} entries of custom metadata")]
    TooManyEntries(usize),
    /// A rule about metadata is broken.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}
