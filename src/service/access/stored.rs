//! What the store has of a tenant's policies, rules and users, read and opened.
//!
//! Always holds: one that is damaged hides no other, and is told by its name.

use std::collections::BTreeMap;

use crate::{
    crypto::DomainKeys,
    model::OkmsId,
    service::{
        Error,
        records::{keys_of, open},
        scope::Scope,
    },
    store::{
        engine::{Read, ReadError, Record, Revision, Snapshot, Space},
        kinds::{Kind, Malformed, policy},
    },
};

/// How many records are read at once.
const BATCH: usize = 256;

/// A record by its key; `None` where it is damaged.
pub(super) type Found<K> = (Vec<u8>, Option<K>);

/// The record of this name, if there is one.
pub(super) async fn find<K: Kind>(
    scope: &Scope,
    keys: &DomainKeys,
    name: K::Name<'_>,
) -> Result<Option<K>, Error> {
    let key = K::key(keys.id(), name);
    let Some(record) = scope.engine().get(K::SPACE, &key).await? else { return Ok(None) };
    open(keys, &key, &record.bytes).map(Some)
}

/// A record by its key, as it is stored; an error where that is damaged.
pub(super) type Sealed = (Vec<u8>, Result<Record, Error>);

/// At most so many of the records in a range, as they are stored.
async fn some_sealed(
    snapshot: &dyn Snapshot,
    space: Space,
    (from, to): (&[u8], &[u8]),
    limit: usize,
) -> Result<Vec<Sealed>, Error> {
    match snapshot.scan(space, from, to, limit).await {
        Ok(entries) => Ok(entries.into_iter().map(|(key, record)| (key, Ok(record))).collect()),
        // A page is damaged, and perhaps a few of what is asked for: each by itself.
        Err(ReadError::Corrupt(_)) => {
            let names = snapshot.keys(space, from, to, None, limit).await?;
            let parts: Vec<_> = names.iter().map(|key| Read::Key(space, key)).collect();
            let mut found = Vec::with_capacity(names.len());
            for (key, part) in names.iter().zip(snapshot.read(&parts).await?) {
                match part {
                    Ok(Some(part)) => found.push((key.clone(), Ok(part.record))),
                    Ok(None) => {}
                    Err(error @ ReadError::Corrupt(_)) => {
                        found.push((key.clone(), Err(error.into())));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(found)
        }
        Err(error) => Err(error.into()),
    }
}

/// All records in a range, as they are stored.
pub(super) async fn all_sealed(
    snapshot: &dyn Snapshot,
    space: Space,
    (mut from, to): (Vec<u8>, Vec<u8>),
) -> Result<Vec<Sealed>, Error> {
    let mut found = Vec::new();
    loop {
        let page = some_sealed(snapshot, space, (&from, &to), BATCH).await?;
        let is_last = page.len() < BATCH;
        if let Some((last, _)) = page.last() {
            from = [last.as_slice(), &[0]].concat();
        }
        found.extend(page);
        if is_last {
            return Ok(found);
        }
    }
}

/// What is made of a record; `None`, and a word in the log, where it is damaged.
fn opened<K: Kind, T>(
    keys: &DomainKeys,
    key: &[u8],
    record: Result<Record, Error>,
    make: impl FnOnce(K) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    match record.and_then(|record| make(open(keys, key, &record.bytes)?)) {
        Ok(made) => Ok(Some(made)),
        Err(error @ Error::Corrupt(_)) => {
            tell(keys.id(), key, &error);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// At most so many of the records in a range.
pub(super) async fn some<K: Kind>(
    snapshot: &dyn Snapshot,
    keys: &DomainKeys,
    from: &[u8],
    to: &[u8],
    limit: usize,
) -> Result<Vec<Found<K>>, Error> {
    open_all(keys, some_sealed(snapshot, K::SPACE, (from, to), limit).await?)
}

/// All of them.
pub(super) async fn all<K: Kind>(
    snapshot: &dyn Snapshot,
    keys: &DomainKeys,
    range: (Vec<u8>, Vec<u8>),
) -> Result<Vec<Found<K>>, Error> {
    open_all(keys, all_sealed(snapshot, K::SPACE, range).await?)
}

fn open_all<K: Kind>(keys: &DomainKeys, sealed: Vec<Sealed>) -> Result<Vec<Found<K>>, Error> {
    let opened = sealed.into_iter().map(|(key, record)| {
        let record = opened(keys, &key, record, Ok)?;
        Ok((key, record))
    });
    opened.collect()
}

/// What was made of records, each by its key, and which write of that it was made of.
#[derive(Debug)]
pub(super) struct Made<T> {
    by_key: BTreeMap<Vec<u8>, (Revision, T)>,
    /// Whether some are damaged, of which nothing was made.
    some_are_damaged: bool,
}

impl<T> Default for Made<T> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), some_are_damaged: false }
    }
}

impl<T: Clone> Made<T> {
    /// What is made of these records: what was made of them before, but for those that were written since.
    pub(super) fn again<K: Kind>(
        &self,
        keys: &DomainKeys,
        sealed: Vec<Sealed>,
        make: impl Fn(&[u8], &K) -> Result<T, Error>,
    ) -> Result<Self, Error> {
        let mut made = Vec::with_capacity(sealed.len());
        let mut some_are_damaged = false;
        for (key, record) in sealed {
            let revision = record.as_ref().ok().map(|record| record.revision);
            let known = self.by_key.get(&key).filter(|(of, _)| Some(*of) == revision);
            let one = match known {
                Some((_, made)) => Some(made.clone()),
                None => opened(keys, &key, record, |record| make(&key, &record))?,
            };
            match revision.zip(one) {
                Some(one) => made.push((key, one)),
                None => some_are_damaged = true,
            }
        }
        Ok(Self { by_key: made.into_iter().collect(), some_are_damaged })
    }

    /// The same, if none of the records is damaged.
    pub(super) fn whole(self) -> Result<Self, Error> {
        if self.some_are_damaged { Err(Malformed.into()) } else { Ok(self) }
    }

    /// All that was made, in the order of the keys.
    pub(super) fn all(&self) -> Vec<T> {
        self.by_key.values().map(|(_, made)| made.clone()).collect()
    }
}

/// Says in the log which record is damaged.
fn tell(domain: OkmsId, key: &[u8], error: &Error) {
    let rest = key.get(16..).unwrap_or_default();
    // Names of rules and of policies in Vault's language are text; a policy in IAM's words is known
    // by its id.
    let id = policy::iam_id(key).filter(|_| rest.first() == Some(&0)).map(uuid::Uuid::from_bytes);
    let name = id.map_or_else(
        || String::from_utf8_lossy(rest).chars().filter(|c| !c.is_control()).collect(),
        |id| id.to_string(),
    );
    tracing::error!(
        %domain,
        name,
        error = error as &dyn std::error::Error,
        "a policy, a rule or a user is damaged; put another one in its place, or remove it"
    );
}

/// The names in the keys of a range.
pub(super) async fn names(
    snapshot: &dyn Snapshot,
    space: Space,
    range: (Vec<u8>, Vec<u8>),
    name: impl Fn(&[u8]) -> Option<&str>,
) -> Result<Vec<String>, Error> {
    let keys = keys_of(snapshot, space, range).await?;
    keys.iter().map(|key| Ok(name(key).ok_or(Malformed)?.to_owned())).collect()
}
