//! What the store has of a tenant's policies, rules and users, read and opened.

use crate::{
    auth::acl,
    crypto::DomainKeys,
    model::{User, VaultPolicy},
    service::{Error, records::open, scope::Scope},
    store::{
        engine::Snapshot,
        kinds::{Kind, Malformed, user, vault_policy},
    },
};

/// How many records are read at once.
const BATCH: usize = 512;

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

/// At most so many of the records in a range, by their keys.
pub(super) async fn some<K: Kind>(
    snapshot: &dyn Snapshot,
    keys: &DomainKeys,
    from: &[u8],
    to: &[u8],
    limit: usize,
) -> Result<Vec<(Vec<u8>, K)>, Error> {
    let found = snapshot.scan(K::SPACE, from, to, limit).await?;
    let opened = found.into_iter().map(|(key, record)| {
        let opened = open(keys, &key, &record.bytes)?;
        Ok((key, opened))
    });
    opened.collect()
}

/// All of them.
pub(super) async fn all<K: Kind>(
    snapshot: &dyn Snapshot,
    keys: &DomainKeys,
    (mut from, to): (Vec<u8>, Vec<u8>),
) -> Result<Vec<(Vec<u8>, K)>, Error> {
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

/// The users, and the names of their policies. One that is damaged may do nothing, and shuts out nobody
/// else: what it denied, it denied itself.
pub(super) async fn users(
    snapshot: &dyn Snapshot,
    keys: &DomainKeys,
) -> Result<Vec<(String, Vec<String>)>, Error> {
    let (mut from, to) = user::all(keys.id());
    let mut known = Vec::new();
    loop {
        let page = snapshot.scan(user::SPACE, &from, &to, BATCH).await?;
        let is_last = page.len() < BATCH;
        for (key, record) in page {
            match open::<User>(keys, &key, &record.bytes) {
                Ok(user) => {
                    known.push((user::name(&key).ok_or(Malformed)?.to_owned(), user.policies));
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(domain = %keys.id(), error, "the record of a user is damaged");
                }
            }
            from = [key.as_slice(), &[0]].concat();
        }
        if is_last {
            return Ok(known);
        }
    }
}

/// What the stored policies say, by their names.
pub(super) async fn in_vault(
    snapshot: &dyn Snapshot,
    keys: &DomainKeys,
) -> Result<Vec<(String, acl::Policy)>, Error> {
    let found = all::<VaultPolicy>(snapshot, keys, vault_policy::all(keys.id())).await?;
    let read = found.into_iter().map(|(key, policy)| {
        let name = vault_policy::name(&key).ok_or(Malformed)?.to_owned();
        let policy = acl::Policy::parse(&policy.text);
        Ok((name, policy.map_err(|fault| Error::Corrupt(fault.into()))?))
    });
    read.collect()
}
