//! Why a text is no URI of a secret.

use super::super::Invalid;

/// What is wrong with a URI, by the code that its dialect has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// It is not of the grammar.
    #[error(transparent)]
    IllegalSegment(Invalid),
    /// A `*` in the path.
    #[error("the URI has a * in its path; it names one secret, and a * in a name is written %2A")]
    InvalidWildcard,
    /// A scheme that is not known, or a known provider with another engine.
    #[error(
        "the URI's scheme is not served; use openbao+kv2, hashicorp+kv2, vault+kv2, okms+kv2 or yaml"
    )]
    UnsupportedEngine,
    /// A provider that others have, and okmsd has not.
    #[error("the URI's provider is not served by okmsd; use openbao+kv2")]
    ProviderNotSupported,
    /// A key twice in its query, or another version beside it.
    #[error("the URI's version is named twice; name it once, as ?version=3")]
    AmbiguousQuery,
    /// A mount in its query.
    #[error("the URI has a mount in its query; the mount is what follows ://")]
    DoubleMountSource,
    /// Any other key in its query.
    #[error("the URI's query has a key that is not known; the only one is version")]
    UnknownField,
    /// A version that is none.
    #[error("a version is a whole number from 1 to 24000")]
    InvalidVersion,
    /// A fragment, where several secrets are meant.
    #[error("a prefix has no fragment; leave out # and what follows")]
    FragmentNotAllowed,
    /// A version, where several secrets are meant.
    #[error("a prefix has no version; leave out ? and what follows")]
    VersionPinNotAllowed,
}

impl UriError {
    pub(super) const fn illegal(text: &'static str) -> Self {
        Self::IllegalSegment(Invalid(text))
    }
}
