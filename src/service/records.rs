//! Records on their way between the model's types and the store's bytes: opened when read, sealed
//! when written.

use std::ops::RangeInclusive;

use crate::{
    auth::{Detail, Witness},
    crypto::{self, Binding, DomainKeys, SecretValue},
    model::{
        Growth, Happening, Header, SecretEvent, SecretPath, Timestamp, Transition, VersionNumber,
        VersionRecord,
    },
    service::{
        Error,
        aside::aside,
        changes::ChangeName,
        secrets::index::{self, Entries},
    },
    store::{
        engine::{Append, Batch, Expect, Op, Read, Snapshot, Space},
        kinds::{
            Kind, access, event, growth, header, value,
            version::{self, Version},
        },
    },
};

/// How many versions are read before others get a turn.
const VERSIONS_AT_ONCE: usize = 64;
/// How many records of versions are read in one go.
const VERSIONS_SCANNED: usize = 256;
/// How many keys are read at once.
const KEYS_AT_ONCE: usize = 1_024;

/// What a record under `key` is sealed for.
pub(super) fn bind(space: Space, key: &[u8]) -> Binding {
    Binding::to(space.name(), key)
}

/// Opens the record that lies under `key`.
pub(super) fn open<K: Kind>(keys: &DomainKeys, key: &[u8], sealed: &[u8]) -> Result<K, Error> {
    Ok(K::decode(&keys.open(&bind(K::SPACE, key), sealed)?)?)
}

/// A fresh id that sorts by its time: a UUID of version 7.
pub(super) fn id_by_time(now: Timestamp) -> Result<[u8; 16], Error> {
    let id = uuid::Builder::from_unix_timestamp_millis(millis(now), &crypto::random()?);
    Ok(id.into_uuid().into_bytes())
}

/// A moment as such an id has it.
pub(super) fn millis(moment: Timestamp) -> u64 {
    u64::try_from(moment.unix_nanos() / 1_000_000).unwrap_or_default()
}

/// What stores a record, sealed.
pub(super) fn put<K: Kind>(keys: &DomainKeys, name: K::Name<'_>, record: &K) -> Result<Op, Error> {
    let key = K::key(keys.id(), name);
    let sealed = keys.seal(&bind(K::SPACE, &key), &record.encode()?)?;
    Ok(Op::Put(K::SPACE, key, sealed))
}

/// Opens the value under `key`, whose data key is in its version's record.
pub(super) fn open_value(
    keys: &DomainKeys,
    key: &[u8],
    version: &Version,
    sealed: &[u8],
) -> Result<SecretValue, Error> {
    let data_key = version.data_key.as_ref().ok_or_else(missing)?;
    Ok(aside(sealed.len(), || keys.open_value(&bind(value::SPACE, key), data_key, sealed))?)
}

/// A snapshot, read with one tenant's keys.
pub(super) struct Reader<'a> {
    pub snapshot: &'a dyn Snapshot,
    pub keys: &'a DomainKeys,
}

impl Reader<'_> {
    /// The secret's header; none where there is no such secret any more.
    pub(super) async fn header(
        &self,
        path: &SecretPath,
        now: Timestamp,
    ) -> Result<Option<Header>, Error> {
        let header: Option<Header> = self.find(path).await?;
        Ok(header.filter(|header| !header.life.is_over(now)))
    }

    /// A version that the header says is kept.
    pub(super) async fn version(
        &self,
        path: &SecretPath,
        number: VersionNumber,
    ) -> Result<Version, Error> {
        self.find((path, number.get())).await?.ok_or_else(missing)
    }

    /// The records of those versions from one number on, up to another, that there are, in their order.
    pub(super) async fn versions(
        &self,
        path: &SecretPath,
        (first, end): (u32, u32),
    ) -> Result<Vec<(VersionNumber, Version)>, Error> {
        let key = |number| version::key(self.keys.id(), path, number);
        let (mut from, to) = (key(first), key(end));
        let mut versions = Vec::new();
        loop {
            let page = self.snapshot.scan(version::SPACE, &from, &to, VERSIONS_SCANNED).await?;
            let is_last = page.len() < VERSIONS_SCANNED;
            for (found, record) in page {
                let number = VersionNumber::new(version::number(&found).unwrap_or_default())?;
                versions.push((number, open(self.keys, &found, &record.bytes)?));
                from = key(number.get() + 1);
            }
            if is_last {
                return Ok(versions);
            }
            tokio::task::yield_now().await;
        }
    }

    /// The value of a version that is active.
    pub(super) async fn value(
        &self,
        path: &SecretPath,
        number: VersionNumber,
        version: &Version,
    ) -> Result<SecretValue, Error> {
        let key = version::key(self.keys.id(), path, number.get());
        let record = self.snapshot.get(value::SPACE, &key).await?.ok_or_else(missing)?;
        open_value(self.keys, &key, version, &record.bytes)
    }

    /// What the values of some versions take, in bytes. One whose record is damaged counts for
    /// nothing, and hinders nobody.
    pub(super) async fn bytes_of(
        &self,
        path: &SecretPath,
        versions: RangeInclusive<u32>,
    ) -> Result<u64, Error> {
        let mut sum = 0_u64;
        let keys: Vec<_> =
            versions.map(|number| version::key(self.keys.id(), path, number)).collect();
        for keys in keys.chunks(VERSIONS_AT_ONCE) {
            let parts: Vec<_> = keys.iter().map(|key| Read::Key(version::SPACE, key)).collect();
            let found = self.snapshot.read(&parts).await?;
            for (key, found) in keys.iter().zip(found) {
                let Ok(Some(found)) = found else { continue };
                let version = open::<Version>(self.keys, key, &found.record.bytes);
                sum = sum.saturating_add(version.map_or(0, |version| version.bytes));
            }
            tokio::task::yield_now().await;
        }
        Ok(sum)
    }

    /// The record of this kind and name, if there is one.
    pub(super) async fn find<K: Kind>(&self, name: K::Name<'_>) -> Result<Option<K>, Error> {
        let key = K::key(self.keys.id(), name);
        let Some(record) = self.snapshot.get(K::SPACE, &key).await? else { return Ok(None) };
        open(self.keys, &key, &record.bytes).map(Some)
    }
}

/// The keys of a range.
pub(super) async fn keys_of(
    snapshot: &dyn Snapshot,
    space: Space,
    (mut from, to): (Vec<u8>, Vec<u8>),
) -> Result<Vec<Vec<u8>>, Error> {
    let mut found = Vec::new();
    loop {
        let page = snapshot.keys(space, &from, &to, None, KEYS_AT_ONCE).await?;
        let next = page.last().map(|last| [last.as_slice(), &[0]].concat());
        let is_last = page.len() < KEYS_AT_ONCE;
        found.extend(page);
        match next.filter(|_| !is_last) {
            Some(next) => from = next,
            None => return Ok(found),
        }
    }
}

/// Says that the record of an access certificate is damaged, and left out.
pub(super) fn credential_is_damaged(keys: &DomainKeys, id: [u8; 16], error: &Error) {
    let (domain, credential) = (keys.id(), uuid::Uuid::from_bytes(id));
    tracing::error!(%domain, %credential, %error, "the record of an access certificate is damaged");
}

/// Nothing for a damaged record of a secret, so that one does not hide all others.
pub(super) fn or_damaged<T>(keys: &DomainKeys, read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(Error::Corrupt(error)) => {
            tracing::error!(domain = %keys.id(), error, "a secret in a list is damaged");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The secret, if it was not removed.
pub(super) fn here(header: Option<Header>) -> Result<Header, Error> {
    let header = header.ok_or(Error::SecretNotFound)?;
    match header.life.removed {
        Some(removal) => Err(Error::SecretRemoved(removal)),
        None => Ok(header),
    }
}

pub(super) fn missing() -> Error {
    Error::Corrupt("a record that must be there is missing".into())
}

/// Changes to what one tenant has, sealed as they are drafted, to be committed together.
pub(super) struct Draft<'a> {
    pub keys: &'a DomainKeys,
    witness: Option<&'a dyn Witness>,
    batch: Batch,
    /// What becomes of the secret that is written.
    secret: Written,
    /// Where a version of it was led to last.
    led: Option<Happening>,
    /// Whether another version comes by a rotation.
    rotates: bool,
    /// What has happened to secrets, for whoever keeps up with them.
    events: Vec<SecretEvent>,
}

/// What becomes of a secret.
#[derive(Default)]
enum Written {
    /// None is written.
    #[default]
    None,
    /// It is removed, at this moment.
    Removed(SecretPath, Timestamp),
    /// It is as this says; the second part tells whether it takes the place of one that is removed.
    Kept(SecretPath, SecretMark, bool),
}

/// What of a secret is kept elsewhere than in its own records.
pub(super) struct SecretMark {
    bytes: u64,
    entries: Entries,
    created_at: Timestamp,
    updated_at: Timestamp,
    version: u32,
    is_removed: bool,
}

impl SecretMark {
    /// Whether an entry of the index is its own.
    pub(super) fn has(&self, entry: &[u8]) -> bool {
        self.entries.contains(entry)
    }

    /// What this header asks for.
    pub(super) fn of(keys: &DomainKeys, path: &SecretPath, header: &Header) -> Result<Self, Error> {
        Ok(Self {
            bytes: header.bytes,
            entries: index::entries(keys, path, header)?,
            created_at: header.created_at,
            updated_at: header.updated_at,
            version: header.current_number(),
            is_removed: header.life.removed.is_some(),
        })
    }
}

impl<'a> Draft<'a> {
    /// No changes yet. They count only if what is `held` is still so.
    pub(super) const fn new(
        keys: &'a DomainKeys,
        (name, witness): (ChangeName, Option<&'a dyn Witness>),
        held: Vec<(Space, Vec<u8>, Expect)>,
    ) -> Self {
        let batch = Batch { preconditions: held, ops: Vec::new(), appended: Vec::new() };
        let rotates = matches!(name, ChangeName::RotateSecret);
        Self { keys, witness, batch, secret: Written::None, led: None, rotates, events: Vec::new() }
    }

    /// Whether there is nothing to commit.
    pub(super) fn is_empty(&self) -> bool {
        self.batch.ops.is_empty()
    }

    /// What is to be committed, with what is told of it to whoever keeps up with secrets.
    pub(super) fn into_batch(mut self) -> Result<Batch, Error> {
        if !self.events.is_empty() {
            let (space, prefix) = (event::SPACE, event::prefix(self.keys.id()));
            let value = self.keys.seal(&bind(space, &prefix), &event::encode(&self.events)?)?;
            self.batch.appended.push(Append { space, prefix, value });
        }
        Ok(self.batch)
    }

    pub(super) fn extend(&mut self, ops: impl IntoIterator<Item = Op>) {
        self.batch.ops.extend(ops);
    }

    /// A record of any kind.
    pub(super) fn put<K: Kind>(&mut self, name: K::Name<'_>, record: &K) -> Result<(), Error> {
        self.batch.ops.push(put(self.keys, name, record)?);
        Ok(())
    }

    /// A secret's header.
    pub(super) fn put_secret(&mut self, path: &SecretPath, header: &Header) -> Result<(), Error> {
        let replaces = matches!(self.secret, Written::Removed(..));
        let mark = SecretMark::of(self.keys, path, header)?;
        self.secret = Written::Kept(path.clone(), mark, replaces);
        self.put(path, header)
    }

    /// Brings along what goes with the secret that is written, which `was` there before, if one was;
    /// and says what that adds to what the tenant has.
    pub(super) fn settle(&mut self, was: Option<&SecretMark>) -> Growth {
        let led = self.led.take();
        let (path, is, at, replaces) = match std::mem::take(&mut self.secret) {
            Written::None => return Growth::default(),
            Written::Removed(path, at) => (path, None, at, false),
            Written::Kept(path, mark, replaces) => {
                let at = mark.updated_at;
                (path, Some(mark), at, replaces)
            }
        };
        let before = was.filter(|_| !replaces);
        if let Some(happening) = self.happened(before, is.as_ref(), led) {
            let version = is.as_ref().map_or(0, |is| is.version);
            self.events.push(SecretEvent { happening, path: path.as_str().into(), version, at });
        }
        let nothing = Entries::new();
        let [before, after] =
            [was, is.as_ref()].map(|mark| mark.map_or(&nothing, |mark| &mark.entries));
        self.batch.ops.extend(index::changes(before, after));
        Growth::between(was.map(|mark| mark.bytes), is.as_ref().map(|mark| mark.bytes))
    }

    /// What has happened to the secret that is written; nothing where it is as it was.
    fn happened(
        &self,
        was: Option<&SecretMark>,
        is: Option<&SecretMark>,
        led: Option<Happening>,
    ) -> Option<Happening> {
        let Some(is) = is else { return Some(Happening::Destroyed) };
        let Some(was) = was.filter(|was| was.created_at == is.created_at) else {
            return Some(Happening::Created);
        };
        match (was.is_removed, is.is_removed) {
            _ if is.version > was.version && self.rotates => Some(Happening::Rotated),
            _ if is.version > was.version => Some(Happening::Updated),
            (false, true) => Some(Happening::Deleted),
            (true, false) => Some(Happening::Undeleted),
            _ if led.is_some() => led,
            _ => (is.updated_at != was.updated_at).then_some(Happening::Described),
        }
    }

    /// Says what the change adds to what the tenant has; none where all is to be counted anew.
    pub(super) fn tell(&mut self, told: growth::Told) {
        if told.is_none_or(|growth| !growth.is_nothing()) {
            self.batch.ops.push(growth::op(self.keys.id(), told));
        }
    }

    /// Tells that something was found out of the request that wants it.
    pub(super) fn learns(&self, detail: Detail<'_>) {
        if let Some(witness) = self.witness {
            witness.learns(detail);
        }
    }

    /// Removes a record.
    pub(super) fn delete(&mut self, space: Space, key: Vec<u8>) {
        self.batch.ops.push(Op::Delete(space, key));
    }

    /// A version with its value.
    pub(super) fn add(
        &mut self,
        path: &SecretPath,
        number: VersionNumber,
        record: VersionRecord,
        value: &SecretValue,
    ) -> Result<(), Error> {
        self.learns(Detail::Version(number.get()));
        let key = version::key(self.keys.id(), path, number.get());
        let at = bind(value::SPACE, &key);
        let (data_key, sealed) = aside(value.len(), || self.keys.seal_value(&at, value))?;
        self.batch.ops.push(Op::Put(value::SPACE, key, sealed));
        let (data_key, bytes) = (Some(data_key), value.len() as u64);
        self.put((path, number.get()), &Version { record, data_key, bytes })
    }

    /// A version without its value, and without the only key of that.
    pub(super) fn erase(
        &mut self,
        path: &SecretPath,
        number: VersionNumber,
        record: VersionRecord,
    ) -> Result<(), Error> {
        self.batch
            .ops
            .push(Op::Delete(value::SPACE, version::key(self.keys.id(), path, number.get())));
        self.put((path, number.get()), &Version { record, data_key: None, bytes: 0 })
    }

    /// What leads a version to where a transition does, and what of it that is; nothing where it stays
    /// as it is.
    pub(super) fn lead(
        &mut self,
        (path, header): (&SecretPath, &mut Header),
        (number, before): (VersionNumber, Version),
        transition: Transition,
    ) -> Result<Option<VersionRecord>, Error> {
        match transition {
            Transition::None | Transition::Refused => Ok(None),
            Transition::Changed(record) => {
                self.led = Some(if record.is_deactivated {
                    Happening::Deleted
                } else {
                    Happening::Undeleted
                });
                let after = Version { record: record.clone(), ..before };
                self.put((path, number.get()), &after)?;
                Ok(Some(record))
            }
            Transition::Erased(record) => {
                self.led = Some(Happening::VersionsDestroyed);
                header.bytes = header.bytes.saturating_sub(before.bytes);
                self.erase(path, number, record.clone())?;
                Ok(Some(record))
            }
        }
    }

    /// Removes versions with their values.
    pub(super) fn prune(&mut self, path: &SecretPath, versions: RangeInclusive<u32>) {
        let (first, last) = versions.into_inner();
        let key = |number| version::key(self.keys.id(), path, number);
        let (from, to) = (key(first), key(last.saturating_add(1)));
        self.remove_range([version::SPACE, value::SPACE], &from, &to);
    }

    /// Removes the secret at `path` with everything in it.
    pub(super) fn remove(&mut self, path: &SecretPath, now: Timestamp) {
        self.secret = Written::Removed(path.clone(), now);
        self.prune(path, 0..=u32::MAX - 1);
        let key = header::key(self.keys.id(), path);
        self.batch.ops.push(Op::Delete(access::SPACE, key.clone()));
        self.batch.ops.push(Op::Delete(header::SPACE, key));
    }

    /// Removes every secret whose path begins with `prefix`.
    pub(super) fn remove_below(&mut self, prefix: &str, now: Timestamp) {
        let (happening, path) = (Happening::FolderDestroyed, prefix.into());
        self.events.push(SecretEvent { happening, path, version: 0, at: now });
        // Versions and values are kept under their secret's path, so that the range is theirs as
        // well.
        let (from, to) = header::below(self.keys.id(), prefix);
        self.remove_range([header::SPACE, version::SPACE, value::SPACE, access::SPACE], &from, &to);
        // Somebody may write one of them meanwhile.
        self.tell(None);
    }

    fn remove_range<const N: usize>(&mut self, spaces: [Space; N], from: &[u8], to: &[u8]) {
        self.extend(spaces.map(|space| Op::DeleteRange(space, from.to_vec(), to.to_vec())));
    }
}
