//! What a store may be given.

use std::fmt;

use bytes::Bytes;

/// Bytes that are fit for the store: sealed by [`super::DomainKeys`], or declared to be no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Bytes);

impl Sealed {
    pub(super) const fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Bytes that are stored as they are. This is the one way around the cipher, for three things:
    /// what tells nothing (the root key's public name, tags of names, sizes and ends of tokens),
    /// what is wrapped or sealed within already (a tenant's record), and what lay in the store so
    /// before (a record of an earlier layout that does not open). Every caller is a place where a
    /// secret could leave: review them.
    #[must_use]
    pub fn public(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The bytes to store.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl AsRef<[u8]> for Sealed {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}
