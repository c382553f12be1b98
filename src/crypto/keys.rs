//! A domain's keys, open in memory.

use std::{fmt, sync::Arc};

use aws_lc_rs::hkdf::{self, HKDF_SHA256, Prk};
use zeroize::Zeroizing;

use super::{Error, RootKey, Salt, WrappedKey, derive::expand, random};
use crate::model::OkmsId;

/// The keys of one domain, by generation. New records use the newest; old ones name theirs.
pub struct DomainKeys {
    id: OkmsId,
    generations: Vec<Generation>,
    salt: Arc<Salt>,
}

pub(super) struct Generation {
    pub(super) number: u32,
    /// Derives the key of each record.
    pub(super) records: Prk,
    /// Wraps the data keys of values.
    pub(super) values: Zeroizing<[u8; 32]>,
}

impl DomainKeys {
    /// A first key for a new domain, open and wrapped.
    ///
    /// # Errors
    /// `Error` where the library or the root key's provider fails.
    pub fn create(root: &dyn RootKey, id: OkmsId) -> Result<(Self, u32, WrappedKey), Error> {
        const FIRST: u32 = 1;
        let key = Zeroizing::new(random::<32>()?);
        let wrapped = root.wrap(id, FIRST, &key)?;
        Ok((Self::of(id, vec![Generation::new(FIRST, &key)?])?, FIRST, wrapped))
    }

    /// Unwraps a domain's keys, oldest first.
    ///
    /// # Errors
    /// `Error::DoesNotOpen` where one was not wrapped for this domain by this root key, or there is
    /// none.
    pub fn unwrap(
        root: &dyn RootKey,
        id: OkmsId,
        wrapped: Vec<(u32, WrappedKey)>,
    ) -> Result<Self, Error> {
        let mut generations = Vec::with_capacity(wrapped.len());
        for (number, key) in wrapped {
            generations.push(Generation::new(number, &*root.unwrap(id, number, &key)?)?);
        }
        Self::of(id, generations)
    }

    fn of(id: OkmsId, generations: Vec<Generation>) -> Result<Self, Error> {
        // The first one is as old as the domain, and lives as long.
        let first = generations.first().ok_or(Error::DoesNotOpen)?;
        let salt = Arc::new(Salt::of_domain(&first.records)?);
        Ok(Self { id, generations, salt })
    }

    /// The domain whose keys these are.
    #[must_use]
    pub const fn id(&self) -> OkmsId {
        self.id
    }

    /// What stands for a word where only who has the keys may know which it is, the same for as long
    /// as the domain lives.
    ///
    /// # Errors
    /// `Error` where the library fails.
    pub fn mark(&self, word: &str) -> Result<[u8; 16], Error> {
        let first = self.generations.first().ok_or(Error::UnknownGeneration)?;
        expand(&first.records, &[b"mark of a word", word.as_bytes()])
    }

    /// What makes what stands for names of the domain's, the same for as long as the domain lives.
    #[must_use]
    pub const fn salt(&self) -> &Arc<Salt> {
        &self.salt
    }

    pub(super) fn newest(&self) -> Result<&Generation, Error> {
        self.generations.last().ok_or(Error::UnknownGeneration)
    }

    pub(super) fn generation(&self, number: u32) -> Result<&Generation, Error> {
        self.generations
            .iter()
            .rev()
            .find(|key| key.number == number)
            .ok_or(Error::UnknownGeneration)
    }
}

impl Generation {
    fn new(number: u32, key: &[u8; 32]) -> Result<Self, Error> {
        let records = hkdf::Salt::new(HKDF_SHA256, b"okmsd domain key v1").extract(key);
        let values = Zeroizing::new(expand::<32>(&records, &[b"wrap data keys"])?);
        Ok(Self { number, records, values })
    }
}

impl fmt::Debug for DomainKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DomainKeys({}, {} generations)", self.id, self.generations.len())
    }
}
