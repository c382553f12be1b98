//! Records on their way between the domain's types and the store's bytes: opened when read, sealed when written.

use std::ops::RangeInclusive;

use crate::{
    crypto::{DomainKeys, Place, SecretValue},
    domain::{Header, SecretPath, VersionNumber, VersionRecord},
    service::{Error, aside::aside},
    store::{
        codec::Codec,
        engine::{Batch, CommitError, Engine, Expect, Op, Revision, Snapshot, Space},
        keys,
    },
};

/// A snapshot, read with one domain's keys.
pub(super) struct Reader<'a> {
    pub snapshot: &'a dyn Snapshot,
    pub keys: &'a DomainKeys,
}

impl Reader<'_> {
    /// The secret's header, and its revision.
    pub(super) async fn header(&self, path: &SecretPath) -> Result<Option<(Header, Revision)>, Error> {
        let Some(record) = self.snapshot.get(Space::Header, &keys::header(self.keys.id(), path)).await? else {
            return Ok(None);
        };
        Ok(Some((self.open_header(path, record.bytes)?, record.revision)))
    }

    pub(super) fn open_header(&self, path: &SecretPath, sealed: Vec<u8>) -> Result<Header, Error> {
        Ok(Header::decode(&self.keys.open_record(Place::Header(path), sealed)?)?)
    }

    /// The record of a version that the header says is kept.
    pub(super) async fn version(&self, path: &SecretPath, number: VersionNumber) -> Result<VersionRecord, Error> {
        let key = keys::version(self.keys.id(), path, number.get());
        let record = self.snapshot.get(Space::Version, &key).await?.ok_or_else(missing)?;
        self.open_version(path, number.get(), record.bytes)
    }

    pub(super) fn open_version(&self, path: &SecretPath, number: u32, sealed: Vec<u8>) -> Result<VersionRecord, Error> {
        Ok(VersionRecord::decode(&self.keys.open_record(Place::Version(path, number), sealed)?)?)
    }

    /// The value of a version that is active.
    pub(super) async fn value(&self, path: &SecretPath, number: VersionNumber) -> Result<SecretValue, Error> {
        let key = keys::version(self.keys.id(), path, number.get());
        let record = self.snapshot.get(Space::Value, &key).await?.ok_or_else(missing)?;
        Ok(aside(record.bytes.len(), || self.keys.open_value(path, number.get(), record.bytes))?)
    }
}

pub(super) fn missing() -> Error {
    Error::Corrupt("a record that must be there is missing".into())
}

/// How often a write that other processes overtook is decided anew.
pub(super) const COMMIT_ATTEMPTS: usize = 16;

/// Commits `batch`; false where another process was faster, so that the write is to be decided anew.
pub(super) async fn commit(engine: &dyn Engine, batch: Batch) -> Result<bool, Error> {
    match engine.commit(batch).await {
        Ok(_) => Ok(true),
        Err(CommitError::Conflict) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Changes to one secret, sealed as they are drafted, to be committed if its header is still as it was read.
pub(super) struct Draft<'a> {
    keys: &'a DomainKeys,
    path: &'a SecretPath,
    batch: Batch,
}

impl<'a> Draft<'a> {
    /// Changes to the secret at `path`, decided on a header and defaults of these revisions, or absent ones.
    pub(super) fn new(
        keys: &'a DomainKeys,
        path: &'a SecretPath,
        header: Option<Revision>,
        config: Option<Revision>,
    ) -> Self {
        let expect = |read: Option<Revision>| read.map_or(Expect::Absent, Expect::At);
        let preconditions = vec![
            (Space::Header, keys::header(keys.id(), path), expect(header)),
            (Space::Config, keys::domain(keys.id()), expect(config)),
        ];
        Self { keys, path, batch: Batch { preconditions, ops: Vec::new() } }
    }

    /// Removes the secret at `path` with everything in it, if its header still has this revision.
    pub(super) fn removal(keys: &'a DomainKeys, path: &'a SecretPath, header: Revision) -> Batch {
        let key = keys::header(keys.id(), path);
        let mut draft = Self { keys, path, batch: Batch::default() };
        draft.batch.preconditions.push((Space::Header, key.clone(), Expect::At(header)));
        draft.prune(0..=u32::MAX - 1);
        draft.batch.ops.push(Op::Delete(Space::Header, key));
        draft.batch
    }

    pub(super) fn into_batch(self) -> Batch {
        self.batch
    }

    pub(super) fn header(&mut self, header: &Header) -> Result<(), Error> {
        let sealed = self.keys.seal_record(Place::Header(self.path), &header.encode())?;
        self.batch.ops.push(Op::Put(Space::Header, keys::header(self.keys.id(), self.path), sealed));
        Ok(())
    }

    pub(super) fn version(&mut self, number: VersionNumber, record: &VersionRecord) -> Result<(), Error> {
        let sealed = self.keys.seal_record(Place::Version(self.path, number.get()), &record.encode())?;
        self.batch.ops.push(Op::Put(Space::Version, self.version_key(number.get()), sealed));
        Ok(())
    }

    pub(super) fn value(&mut self, number: VersionNumber, value: &SecretValue) -> Result<(), Error> {
        let seal = || self.keys.seal_value(self.path, number.get(), value);
        let sealed = aside(value.expose().len(), seal)?.into_bytes();
        self.batch.ops.push(Op::Put(Space::Value, self.version_key(number.get()), sealed));
        Ok(())
    }

    pub(super) fn erase_value(&mut self, number: VersionNumber) {
        self.batch.ops.push(Op::Delete(Space::Value, self.version_key(number.get())));
    }

    /// Removes versions with their values.
    pub(super) fn prune(&mut self, versions: RangeInclusive<u32>) {
        let (first, last) = versions.into_inner();
        for space in [Space::Version, Space::Value] {
            let end = self.version_key(last.saturating_add(1));
            self.batch.ops.push(Op::DeleteRange(space, self.version_key(first), end));
        }
    }

    fn version_key(&self, number: u32) -> Vec<u8> {
        keys::version(self.keys.id(), self.path, number)
    }
}
