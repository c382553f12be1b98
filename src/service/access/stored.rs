//! What the store has of a tenant's policies, rules and users, read and opened.
//!
//! Always holds: one that is damaged hides no other, and is told by its name.

use crate::{
    auth::{WrittenUser, acl},
    crypto::DomainKeys,
    model::{OkmsId, User, VaultPolicy},
    service::{
        Error,
        records::{keys_of, open},
        scope::Scope,
    },
    store::{
        engine::{Read, ReadError, Snapshot, Space},
        kinds::{Kind, Malformed, policy, user},
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
    let snapshot = scope.engine().snapshot().await?;
    let Some(record) = snapshot.get(K::SPACE, &key).await? else { return Ok(None) };
    open(keys, &key, &record.bytes).map(Some)
}

/// At most so many of the records in a range.
pub(super) async fn some<K: Kind>(
    snapshot: &dyn Snapshot,
    keys: &DomainKeys,
    from: &[u8],
    to: &[u8],
    limit: usize,
) -> Result<Vec<Found<K>>, Error> {
    let opened = |key: Vec<u8>, record: Result<Option<_>, ReadError>| {
        let record = record.map_err(Error::from);
        let opened = record.and_then(|record: Option<crate::store::engine::Record>| {
            record.map(|record| open(keys, &key, &record.bytes)).transpose()
        });
        match opened {
            Ok(record) => Ok(record.map(|record| (key, Some(record)))),
            Err(error @ Error::Corrupt(_)) => {
                tell(keys.id(), &key, &error);
                Ok(Some((key, None)))
            }
            Err(error) => Err(error),
        }
    };
    let found: Result<Vec<Option<Found<K>>>, Error> = match snapshot
        .scan(K::SPACE, from, to, limit)
        .await
    {
        Ok(entries) => {
            entries.into_iter().map(|(key, record)| opened(key, Ok(Some(record)))).collect()
        }
        // A page is damaged, and perhaps a few of what is asked for: each by itself.
        Err(ReadError::Corrupt(_)) => {
            let names = snapshot.keys(K::SPACE, from, to, None, limit).await?;
            let parts: Vec<_> = names.iter().map(|key| Read::Key(K::SPACE, key)).collect();
            let parts = snapshot.read(&parts).await?;
            let records = parts.into_iter().map(|part| Ok(part?.map(|found| found.record)));
            names.iter().cloned().zip(records).map(|(key, record)| opened(key, record)).collect()
        }
        Err(error) => Err(error.into()),
    };
    Ok(found?.into_iter().flatten().collect())
}

/// All of them.
pub(super) async fn all<K: Kind>(
    snapshot: &dyn Snapshot,
    keys: &DomainKeys,
    (mut from, to): (Vec<u8>, Vec<u8>),
) -> Result<Vec<Found<K>>, Error> {
    let mut found = Vec::new();
    loop {
        let page = some::<K>(snapshot, keys, &from, &to, BATCH).await?;
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

/// The users, as far as they say who may do what. One that is damaged may do nothing, and shuts out nobody
/// else: what it denied, it denied itself.
pub(super) async fn users(
    snapshot: &dyn Snapshot,
    keys: &DomainKeys,
) -> Result<Vec<(String, WrittenUser)>, Error> {
    let found = all::<User>(snapshot, keys, user::all(keys.id())).await?;
    let known = found.into_iter().filter_map(|(key, user)| Some((key, user?)));
    let named = known.map(|(key, User { policies, metadata, .. })| {
        let name = user::name(&key).ok_or(Malformed)?.to_owned();
        Ok((name, WrittenUser { policies, metadata }))
    });
    named.collect()
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

/// What stored policies say, by their names.
pub(super) fn read_policies(
    found: Vec<(String, VaultPolicy)>,
) -> Result<Vec<(String, acl::Policy)>, Error> {
    let read = found.into_iter().map(|(name, policy)| {
        let policy = acl::Policy::kept(&policy.text);
        Ok((name, policy.map_err(|fault| Error::Corrupt(fault.into()))?))
    });
    read.collect()
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
