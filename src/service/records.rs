//! Records on their way between the domain's types and the store's bytes: opened when read, sealed when written.

use std::ops::RangeInclusive;

use crate::{
    crypto::{DomainKeys, Place, SecretValue},
    domain::{DomainConfig, Header, SecretPath, VersionNumber, VersionRecord},
    service::{Error, aside::aside},
    store::{
        codec::Codec,
        engine::{Batch, Expect, Op, Snapshot, Space},
        keys,
    },
};

/// A snapshot, read with one domain's keys.
pub(super) struct Reader<'a> {
    pub snapshot: &'a dyn Snapshot,
    pub keys: &'a DomainKeys,
}

impl Reader<'_> {
    /// The secret's header.
    pub(super) async fn header(&self, path: &SecretPath) -> Result<Option<Header>, Error> {
        let Some(record) = self.snapshot.get(Space::Header, &keys::header(self.keys.id(), path)).await? else {
            return Ok(None);
        };
        Ok(Some(open_header(self.keys, path, &record.bytes)?))
    }

    /// The record of a version that the header says is kept.
    pub(super) async fn version(&self, path: &SecretPath, number: VersionNumber) -> Result<VersionRecord, Error> {
        let key = keys::version(self.keys.id(), path, number.get());
        let record = self.snapshot.get(Space::Version, &key).await?.ok_or_else(missing)?;
        open_version(self.keys, path, number.get(), &record.bytes)
    }

    /// The value of a version that is active.
    pub(super) async fn value(&self, path: &SecretPath, number: VersionNumber) -> Result<SecretValue, Error> {
        let key = keys::version(self.keys.id(), path, number.get());
        let record = self.snapshot.get(Space::Value, &key).await?.ok_or_else(missing)?;
        open_value(self.keys, path, number, &record.bytes)
    }
}

pub(super) fn open_header(keys: &DomainKeys, path: &SecretPath, sealed: &[u8]) -> Result<Header, Error> {
    Ok(Header::decode(&keys.open_record(Place::Header(path), sealed)?)?)
}

pub(super) fn open_version(
    keys: &DomainKeys,
    path: &SecretPath,
    number: u32,
    sealed: &[u8],
) -> Result<VersionRecord, Error> {
    Ok(VersionRecord::decode(&keys.open_record(Place::Version(path, number), sealed)?)?)
}

pub(super) fn open_value(
    keys: &DomainKeys,
    path: &SecretPath,
    number: VersionNumber,
    sealed: &[u8],
) -> Result<SecretValue, Error> {
    Ok(aside(sealed.len(), || keys.open_value(path, number.get(), sealed))?)
}

pub(super) fn missing() -> Error {
    Error::Corrupt("a record that must be there is missing".into())
}

/// Changes to what one tenant has, sealed as they are drafted, to be committed together.
pub(super) struct Draft<'a> {
    pub keys: &'a DomainKeys,
    batch: Batch,
}

impl<'a> Draft<'a> {
    /// No changes yet. They count only if what is `held` is still so.
    pub(super) const fn new(keys: &'a DomainKeys, held: Vec<(Space, Vec<u8>, Expect)>) -> Self {
        Self { keys, batch: Batch { preconditions: held, ops: Vec::new() } }
    }

    /// Whether there is nothing to commit.
    pub(super) fn is_empty(&self) -> bool {
        self.batch.ops.is_empty()
    }

    pub(super) fn into_batch(self) -> Batch {
        self.batch
    }

    pub(super) fn extend(&mut self, ops: impl IntoIterator<Item = Op>) {
        self.batch.ops.extend(ops);
    }

    pub(super) fn config(&mut self, config: &DomainConfig) -> Result<(), Error> {
        let sealed = self.keys.seal_record(Place::Config, &config.encode())?;
        self.batch.ops.push(Op::Put(Space::Config, keys::domain(self.keys.id()), sealed));
        Ok(())
    }

    pub(super) fn header(&mut self, path: &SecretPath, header: &Header) -> Result<(), Error> {
        let sealed = self.keys.seal_record(Place::Header(path), &header.encode())?;
        self.batch.ops.push(Op::Put(Space::Header, keys::header(self.keys.id(), path), sealed));
        Ok(())
    }

    pub(super) fn version(
        &mut self,
        path: &SecretPath,
        number: VersionNumber,
        record: &VersionRecord,
    ) -> Result<(), Error> {
        let sealed = self.keys.seal_record(Place::Version(path, number.get()), &record.encode())?;
        self.batch.ops.push(Op::Put(Space::Version, self.version_key(path, number.get()), sealed));
        Ok(())
    }

    pub(super) fn value(&mut self, path: &SecretPath, number: VersionNumber, value: &SecretValue) -> Result<(), Error> {
        let seal = || self.keys.seal_value(path, number.get(), value);
        let sealed = aside(value.expose().len(), seal)?.into_bytes();
        self.batch.ops.push(Op::Put(Space::Value, self.version_key(path, number.get()), sealed));
        Ok(())
    }

    pub(super) fn erase_value(&mut self, path: &SecretPath, number: VersionNumber) {
        self.batch.ops.push(Op::Delete(Space::Value, self.version_key(path, number.get())));
    }

    /// Removes versions with their values.
    pub(super) fn prune(&mut self, path: &SecretPath, versions: RangeInclusive<u32>) {
        let (first, last) = versions.into_inner();
        let (from, to) = (self.version_key(path, first), self.version_key(path, last.saturating_add(1)));
        self.remove_range([Space::Version, Space::Value], &from, &to);
    }

    /// Removes the secret at `path` with everything in it.
    pub(super) fn remove(&mut self, path: &SecretPath) {
        self.prune(path, 0..=u32::MAX - 1);
        self.batch.ops.push(Op::Delete(Space::Header, keys::header(self.keys.id(), path)));
    }

    /// Removes every secret whose path begins with `prefix`.
    pub(super) fn remove_below(&mut self, prefix: &str) {
        // Versions and values are kept under their secret's path, so that the range is theirs as well.
        let (from, to) = keys::headers_below(self.keys.id(), prefix);
        self.remove_range([Space::Header, Space::Version, Space::Value], &from, &to);
    }

    fn remove_range<const N: usize>(&mut self, spaces: [Space; N], from: &[u8], to: &[u8]) {
        self.extend(spaces.map(|space| Op::DeleteRange(space, from.to_vec(), to.to_vec())));
    }

    fn version_key(&self, path: &SecretPath, number: u32) -> Vec<u8> {
        keys::version(self.keys.id(), path, number)
    }
}
