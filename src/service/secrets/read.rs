//! Reading secrets and versions.

use super::{Secret, Secrets, VersionView};
use crate::{
    auth::{Action, Detail, Permit, Resource},
    crypto::DomainKeys,
    model::{Header, SecretPath, SeenVersion, Timestamp, VersionNumber, VersionState},
    service::{
        Error,
        cursor::{self, Page},
        records::{Reader, missing, open, open_value, or_damaged},
        turns::SharedTurn,
    },
    store::{
        engine::{Found, Read, ReadError, Snapshot},
        kinds::{
            Malformed, header, value,
            version::{self, Version},
        },
    },
};

/// How often a secret is read whose current version changes meanwhile.
const ROUNDS: usize = 16;
/// How many names are looked at in one go, and the most of them for one page.
const NAMES_AT_ONCE: usize = 1024;
const NAMES_MAX: usize = 10_000;
/// More versions than this are a long read.
const LONG_HISTORY: u32 = 256;

/// What of a version is told beside its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Include {
    /// Nothing.
    Metadata,
    /// The names in its value. The caller gets the value and tells no more of it.
    Names,
    /// Its value.
    Value,
    /// Its value, and the secret's own metadata.
    Everything,
}

/// A secret with versions that are kept, and none of their values.
#[derive(Debug)]
pub struct History {
    /// Its header.
    pub header: Header,
    /// The versions, oldest first.
    pub versions: Vec<(VersionNumber, SeenVersion)>,
}

/// The versions of a history that one answer tells of.
#[derive(Clone, Copy)]
enum Span {
    All,
    /// At most so many, the last ones before this number.
    Last(u32, Option<VersionNumber>),
}

impl Span {
    /// The first of them, and the one after the last.
    fn of(self, header: &Header) -> (u32, u32) {
        let (oldest, end) = (header.oldest, header.current_number() + 1);
        match self {
            Self::All => (oldest, end),
            Self::Last(limit, before) => {
                let end = before.map_or(end, |number| number.get().min(end));
                (oldest.max(end.saturating_sub(limit)), end)
            }
        }
    }
}

impl Secrets {
    /// A page of the domain's secrets that may be seen, by path: `limit` of them while there are
    /// so many, and fewer only behind thousands of others. A secret whose header is damaged is
    /// listed without it, so that one bad record does not hide the others.
    ///
    /// # Errors
    /// `Error::Invalid` for a cursor that is not of this list.
    pub async fn list(
        &self,
        permit: &Permit,
        cursor: Option<Vec<u8>>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Page<(SecretPath, Option<Header>)>, Error> {
        for action in LISTED {
            permit.check(action, Resource::Below(""))?;
        }
        let (id, keys) = (permit.okms_id(), self.scope.keys(permit).await?);
        let from = match cursor {
            Some(cursor) => header::after(id, &cursor::parse_secret(&keys, &cursor)?),
            None => header::first(id),
        };
        let snapshot = self.scope.engine().snapshot().await?;
        let (seen, last) = seen(permit, &*snapshot, from, limit).await?;
        let names: Vec<_> = seen.iter().map(|path| header::key(id, path)).collect();
        let parts: Vec<_> = names.iter().map(|key| Read::Key(header::SPACE, key)).collect();
        let found = snapshot.read(&parts).await?;
        let mut secrets = Vec::with_capacity(seen.len());
        for ((path, key), found) in seen.into_iter().zip(&names).zip(found) {
            let record = found?.ok_or_else(missing)?.record;
            let header = or_damaged(&keys, open(&keys, key, &record.bytes))?;
            if header.as_ref().is_some_and(|header: &Header| header.life.is_over(now)) {
                continue;
            }
            secrets.push((path, header));
        }
        Ok((secrets, last.map(|last| cursor::after_secret(&keys, &last)).transpose()?))
    }

    /// A secret with one version: `version`, or the current one.
    ///
    /// # Errors
    /// `Error::SecretNotFound`, `Error::VersionNotFound`.
    pub async fn get(
        &self,
        permit: &Permit,
        path: &SecretPath,
        version: Option<VersionNumber>,
        include: Include,
        now: Timestamp,
    ) -> Result<Secret, Error> {
        self.get_unless(permit, path, version, include, |_, _| false, now).await
    }

    /// The same for a caller who may know it: it does not count as read then, and must not be told.
    ///
    /// # Errors
    /// As [`Secrets::get`].
    pub async fn get_unless(
        &self,
        permit: &Permit,
        path: &SecretPath,
        version: Option<VersionNumber>,
        include: Include,
        is_known: impl FnOnce(&Header, &VersionView) -> bool,
        now: Timestamp,
    ) -> Result<Secret, Error> {
        let of = Resource::Secret(path);
        match include {
            Include::Metadata => permit.check(Action::SecretGet, of)?,
            Include::Names => permit.check(Action::SubkeysGet, of)?,
            Include::Value => permit.check(Action::VersionGetData, of)?,
            Include::Everything => {
                permit.check(Action::SecretGet, of)?;
                permit.check(Action::VersionGetData, of)?;
            }
        }
        let secret = self.load(permit, path, version, include, now).await?;
        let read = secret.version.as_ref().filter(|version| version.value.is_some());
        if include != Include::Names && read.is_some_and(|read| !is_known(&secret.header, read)) {
            self.counts_read(permit, path, &secret.header, now);
        }
        Ok(secret)
    }

    /// Counts that a value was read.
    pub(super) fn counts_read(
        &self,
        permit: &Permit,
        path: &SecretPath,
        header: &Header,
        now: Timestamp,
    ) {
        self.accesses.note(&header::key(permit.okms_id(), path), header.created_at, now);
    }

    /// As [`Secrets::get`], for whoever may; not counted as a read.
    pub(super) async fn load(
        &self,
        permit: &Permit,
        path: &SecretPath,
        version: Option<VersionNumber>,
        include: Include,
        now: Timestamp,
    ) -> Result<Secret, Error> {
        let keys = self.scope.keys(permit).await?;
        let key = header::key(keys.id(), path);
        let mut known = self.opened.last_header(&key);
        // What was current when the header was last seen: if it still is, one read tells all.
        let mut guess = version.or_else(|| known.as_ref().and_then(|(_, header)| header.current));
        for _ in 0..ROUNDS {
            let parts =
                self.read_parts(&keys, path, &key, guess, include != Include::Metadata).await?;
            let record = parts.header?.ok_or(Error::SecretNotFound)?.record;
            let opened = || open(&keys, &key, &record.bytes);
            let header = self.opened.header(&key, record.revision, known, opened)?;
            if header.life.is_over(now) {
                return Err(Error::SecretNotFound);
            }
            let Some(number) = version.or(header.current) else {
                return Ok(Secret { header, version: None });
            };
            if !header.keeps(number) {
                return Err(Error::VersionNotFound);
            }
            if parts.number != Some(number) {
                (guess, known) = (Some(number), Some((record.revision, header)));
                continue;
            }
            let record = parts.version?.ok_or_else(missing)?.record;
            let opened = || open(&keys, &parts.key, &record.bytes);
            let version: Version = self.opened.version(&parts.key, record.revision, opened)?;
            let seen = header.seen(&version.record);
            let value = match parts.value {
                Some(value) if seen.state(now) == VersionState::Active => Some(open_value(
                    &keys,
                    &parts.key,
                    &version,
                    &value?.ok_or_else(missing)?.record.bytes,
                )?),
                _ => None,
            };
            permit.learns(Detail::Version(number.get()));
            return Ok(Secret {
                header,
                version: Some(VersionView { number, record: seen, value }),
            });
        }
        // Somebody else adds versions faster than they can be read.
        Err(Error::Contended)
    }

    /// Reads a header, and with it the version `guess`, or the last one there is.
    async fn read_parts(
        &self,
        keys: &DomainKeys,
        path: &SecretPath,
        header: &[u8],
        guess: Option<VersionNumber>,
        with_value: bool,
    ) -> Result<SecretParts, Error> {
        let from = version::key(keys.id(), path, guess.map_or(0, VersionNumber::get));
        let to = if guess.is_some() { Vec::new() } else { version::key(keys.id(), path, u32::MAX) };
        let part = |space| {
            if guess.is_some() { Read::Key(space, &from) } else { Read::Last(space, &from, &to) }
        };
        let wanted = [Read::Key(header::SPACE, header), part(version::SPACE), part(value::SPACE)];
        let wanted = if with_value { wanted.as_slice() } else { wanted.split_at(2).0 };
        let mut parts = self.scope.engine().read(wanted).await?.into_iter();
        let mut next = || parts.next().unwrap_or(Ok(None));
        let (header, mut version, mut value) = (next(), next(), with_value.then(&mut next));
        let (mut key, mut number) = (from, guess);
        if let Ok(Some(Found { key: found, .. })) = &mut version
            && let Some(found) = found.take()
        {
            number = version::number(&found).and_then(|number| VersionNumber::new(number).ok());
            // Its value went with it, if the last one there is belongs to an older version.
            if let Some(Ok(last)) = &mut value
                && last.as_ref().is_some_and(|last| last.key.as_ref() != Some(&found))
            {
                *last = None;
            }
            key = found;
        }
        Ok(SecretParts { header, number, key, version, value })
    }

    /// A page of a secret's versions, oldest first.
    ///
    /// # Errors
    /// `Error::SecretNotFound`; `Error::Invalid` for a cursor that is not of this list.
    pub async fn versions(
        &self,
        permit: &Permit,
        path: &SecretPath,
        cursor: Option<Vec<u8>>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Page<VersionView>, Error> {
        permit.check(Action::SecretGet, Resource::Secret(path))?;
        let (id, keys) = (permit.okms_id(), self.scope.keys(permit).await?);
        let snapshot = self.scope.engine().snapshot().await?;
        let reader = Reader { snapshot: &*snapshot, keys: &keys };
        let header = reader.header(path, now).await?.ok_or(Error::SecretNotFound)?;
        let first = match cursor {
            Some(cursor) => cursor::parse_version(&keys, path, &cursor)?.get() + 1,
            None => 0,
        };
        let from = version::key(id, path, first.max(header.oldest));
        let to = version::key(id, path, header.current_number() + 1);
        let entries = snapshot.scan(version::SPACE, &from, &to, limit + 1).await?;
        let more = entries.len() > limit;
        let mut versions = Vec::with_capacity(entries.len());
        for (key, record) in entries.into_iter().take(limit) {
            let number = version::number(&key).unwrap_or_default();
            let Version { record, .. } = open(&keys, &key, &record.bytes)?;
            let (number, record) = (VersionNumber::new(number)?, header.seen(&record));
            versions.push(VersionView { number, record, value: None });
        }
        let next = match versions.last() {
            Some(version) if more => Some(cursor::after_version(&keys, path, version.number)?),
            _ => None,
        };
        Ok((versions, next))
    }

    /// A secret with the records of all its versions; where it has many, with a turn to hold while
    /// they are in memory.
    ///
    /// # Errors
    /// `Error::SecretNotFound`.
    pub async fn history(
        &self,
        permit: &Permit,
        path: &SecretPath,
        now: Timestamp,
    ) -> Result<(History, Option<SharedTurn>), Error> {
        permit.check(Action::SecretGet, Resource::Secret(path))?;
        let keys = self.scope.keys(permit).await?;
        self.part_of_history(permit, &keys, path, Span::All, now).await
    }

    /// The same of at most `limit` versions, newest first: the newest, or those after a cursor; and the cursor
    /// of the next ones, if there are any.
    ///
    /// # Errors
    /// As [`Secrets::history`]; `Error::Invalid` for a cursor that is not of this list.
    pub async fn newest_versions(
        &self,
        permit: &Permit,
        path: &SecretPath,
        cursor: Option<&[u8]>,
        limit: u32,
        now: Timestamp,
    ) -> Result<(Page<(VersionNumber, SeenVersion)>, Header, Option<SharedTurn>), Error> {
        permit.check(Action::SecretGet, Resource::Secret(path))?;
        let keys = self.scope.keys(permit).await?;
        let before = cursor.map(|cursor| cursor::parse_version(&keys, path, cursor)).transpose()?;
        let span = Span::Last(limit, before);
        let (History { header, mut versions }, turn) =
            self.part_of_history(permit, &keys, path, span, now).await?;
        versions.reverse();
        let (first, _) = span.of(&header);
        let next = match VersionNumber::new(first) {
            Ok(first) if first.get() > header.oldest.max(1) => {
                Some(cursor::after_version(&keys, path, first)?)
            }
            _ => None,
        };
        Ok(((versions, next), header, turn))
    }

    async fn part_of_history(
        &self,
        permit: &Permit,
        keys: &DomainKeys,
        path: &SecretPath,
        span: Span,
        now: Timestamp,
    ) -> Result<(History, Option<SharedTurn>), Error> {
        let mut turn = None;
        loop {
            let snapshot = self.scope.engine().snapshot().await?;
            let reader = Reader { snapshot: &*snapshot, keys };
            let header = reader.header(path, now).await?.ok_or(Error::SecretNotFound)?;
            let (first, end) = span.of(&header);
            let is_long = end.saturating_sub(first) > LONG_HISTORY;
            if !is_long || turn.is_some() {
                return Ok((versions_of(&reader, path, header, span).await?, turn));
            }
            // Whoever waits keeps no snapshot, as that would keep old pages of the store.
            drop(snapshot);
            turn = Some(self.scope.long_reads().turn(permit.okms_id()).await?);
        }
    }
}

/// What a secret's place in a list takes: that it is there, and its metadata.
const LISTED: [Action; 2] = [Action::SecretList, Action::SecretGet];

/// Whether a secret may have one, or some of what is below a folder.
pub(in crate::service) fn may_see(permit: &Permit, resource: Resource<'_>) -> bool {
    LISTED.into_iter().all(|action| permit.allows(action, resource))
}

/// The first secrets from a key on that may be seen, at most `limit` of them, and the path after
/// which the list goes on if it does. What may not be seen is passed over: it would show in pages
/// that are not full how much of it there is.
async fn seen(
    permit: &Permit,
    snapshot: &dyn Snapshot,
    mut from: Vec<u8>,
    limit: usize,
) -> Result<(Vec<SecretPath>, Option<SecretPath>), Error> {
    let (id, mut seen, mut looked_at) = (permit.okms_id(), Vec::new(), 0);
    loop {
        let size = if looked_at == 0 { limit + 1 } else { NAMES_AT_ONCE };
        let names = snapshot.keys(header::SPACE, &from, &header::end(id), None, size).await?;
        let mut last = None;
        for key in &names {
            let path = header::parse(id, key).ok_or(Malformed)?;
            if may_see(permit, Resource::Secret(&path)) {
                if seen.len() == limit {
                    let next = seen.last().cloned();
                    return Ok((seen, next));
                }
                seen.push(path.clone());
            }
            last = Some(path);
        }
        looked_at += names.len();
        let Some(last) = last.filter(|_| names.len() == size) else { return Ok((seen, None)) };
        if looked_at >= NAMES_MAX {
            return Ok((seen, Some(last)));
        }
        from = match hidden_folder(permit, &last) {
            Some(folder) => header::below(id, folder).1,
            None => header::after(id, &last),
        };
        tokio::task::yield_now().await;
    }
}

/// The largest folder around a secret in which nothing may be seen.
fn hidden_folder<'a>(permit: &Permit, path: &'a SecretPath) -> Option<&'a str> {
    let folders: Vec<_> = path.as_str().match_indices('/').map(|(at, _)| at + 1).collect();
    let folder = |end: &usize| path.as_str().get(..*end);
    let may_show =
        |end: &usize| folder(end).is_some_and(|folder| may_see(permit, Resource::Below(folder)));
    // Where nothing may be seen in one, so it is in those within it.
    folder(folders.get(folders.partition_point(may_show))?)
}

/// A secret's header and all its version records.
pub(super) async fn history(
    reader: &Reader<'_>,
    path: &SecretPath,
    now: Timestamp,
) -> Result<History, Error> {
    let header = reader.header(path, now).await?.ok_or(Error::SecretNotFound)?;
    versions_of(reader, path, header, Span::All).await
}

async fn versions_of(
    reader: &Reader<'_>,
    path: &SecretPath,
    header: Header,
    span: Span,
) -> Result<History, Error> {
    let found = reader.versions(path, span.of(&header)).await?;
    let seen = found.into_iter().map(|(number, version)| (number, header.seen(&version.record)));
    let versions = seen.collect();
    Ok(History { header, versions })
}

/// What one read has found of a secret.
struct SecretParts {
    header: Result<Option<Found>, ReadError>,
    /// Which version it is, and under which key.
    number: Option<VersionNumber>,
    key: Vec<u8>,
    version: Result<Option<Found>, ReadError>,
    /// Its value, where it was asked for.
    value: Option<Result<Option<Found>, ReadError>>,
}
