//! The secrets that rotation policies are attached to, by the index.
//!
//! Always holds: the header says which policy a secret has; the index says where to look. Never does: ask a permit.

use crate::{
    auth::Permit,
    crypto::DomainKeys,
    model::{Header, Life, OkmsId, RotationPolicy, RotationPolicyId, SecretPath, Timestamp},
    service::{
        ChangeName, Error,
        records::{self, Draft, SecretMark, open},
        scope::Scope,
        unit::{Basis, Change, UnitReader},
    },
    store::{
        engine::{Record, Snapshot},
        kinds::{
            Kind, Malformed,
            secret_index::{self, Part},
        },
    },
};

/// How many secrets are detached in one go.
const AT_ONCE: usize = 256;
/// Beyond so many they are not counted.
const COUNTED_MAX: usize = 1_000;

/// How many secrets have a policy, up to a bound.
pub(super) async fn count(
    snapshot: &dyn Snapshot,
    id: OkmsId,
    policy: &RotationPolicyId,
) -> Result<u64, Error> {
    Ok(up_to(COUNTED_MAX, snapshot, id, policy).await? as u64)
}

/// Whether any secret has a policy.
pub(super) async fn is_attached(
    snapshot: &dyn Snapshot,
    id: OkmsId,
    policy: &RotationPolicyId,
) -> Result<bool, Error> {
    Ok(up_to(1, snapshot, id, policy).await? > 0)
}

/// How many secrets have a policy, of more than `most` so many.
async fn up_to(
    most: usize,
    snapshot: &dyn Snapshot,
    id: OkmsId,
    policy: &RotationPolicyId,
) -> Result<usize, Error> {
    let (from, to) = Part::Rotates(policy.as_str()).all(id);
    Ok(snapshot.keys(secret_index::SPACE, &from, &to, None, most).await?.len())
}

/// Detaches a policy that was removed from all that have it, and tells how many those were. Where somebody makes it
/// anew meanwhile, what has it by then keeps it.
pub(super) async fn detach_all(
    scope: &Scope,
    permit: &Permit,
    keys: &DomainKeys,
    id: &RotationPolicyId,
    now: Timestamp,
) -> Result<u64, Error> {
    let part = Part::Rotates(id.as_str());
    let (mut from, to) = part.all(keys.id());
    let mut detached = 0;
    loop {
        let snapshot = scope.engine().snapshot().await?;
        let page = snapshot.keys(secret_index::SPACE, &from, &to, None, AT_ONCE).await?;
        drop(snapshot);
        let Some(last) = page.last() else { return Ok(detached) };
        from = [last.as_slice(), &[0]].concat();
        let paths = page.iter().map(|key| Some(part.parse(keys.id(), key)?.path));
        let paths: Vec<_> = paths.collect::<Option<_>>().ok_or(Malformed)?;
        let turns: Vec<_> = paths.iter().map(SecretPath::as_str).collect();
        let change = of_secrets(ChangeName::DetachPolicy, permit, &turns);
        let some = scope
            .unit(change, keys, Secrets { policy: id, paths: &paths }, |found, draft| {
                let Some(records) = found else { return Ok(None) };
                let mut detached = 0;
                for (path, record) in paths.iter().zip(records) {
                    let header = record.map(|record| {
                        open::<Header>(keys, &Header::key(keys.id(), path), &record.bytes)
                    });
                    let header = match header.transpose() {
                        // Nobody knows any more which it had; it keeps nobody else.
                        Err(Error::Corrupt(_)) => None,
                        header => header?.filter(|header| has(header, id)),
                    };
                    let Some(header) = header else { continue };
                    let life = Life { rotation: None, ..header.life.clone() };
                    put(keys, path, header, life, draft, now)?;
                    detached += 1;
                }
                Ok(Some(detached))
            })
            .await?;
        match some {
            Some(some) => detached += some,
            None => return Ok(detached),
        }
    }
}

/// A change of secrets.
pub(super) fn of_secrets<'a>(
    name: ChangeName,
    permit: &'a Permit,
    turns: &'a [&'a str],
) -> Change<'a> {
    Change { name, turns, by: Some(permit) }
}

/// Whether a secret has this policy.
pub(super) fn has(header: &Header, id: &RotationPolicyId) -> bool {
    header.life.rotation.as_ref().is_some_and(|rotation| *rotation.policy == *id.as_str())
}

/// The header in a record, of a secret that is there.
pub(super) fn here(
    keys: &DomainKeys,
    path: &SecretPath,
    record: Option<Record>,
    now: Timestamp,
) -> Result<Header, Error> {
    let header = record.map(|record| open(keys, &Header::key(keys.id(), path), &record.bytes));
    records::here(header.transpose()?.filter(|header: &Header| !header.life.is_over(now)))
}

/// Puts another life in the place of a secret's.
pub(super) fn put(
    keys: &DomainKeys,
    path: &SecretPath,
    header: Header,
    life: Life,
    draft: &mut Draft<'_>,
    now: Timestamp,
) -> Result<(), Error> {
    if life == header.life {
        return Ok(());
    }
    let was = SecretMark::of(keys, path, &header)?;
    let header = header.with_life(life, now);
    draft.put_secret(path, &header)?;
    // Its values are what they were.
    draft.settle(Some(&was));
    Ok(())
}

/// Some secrets, as long as there is no record of a policy.
struct Secrets<'a> {
    policy: &'a RotationPolicyId,
    paths: &'a [SecretPath],
}

impl Basis for Secrets<'_> {
    type Facts = Option<Vec<Option<Record>>>;

    async fn read(&self, reader: &UnitReader<'_>) -> Result<Self::Facts, Error> {
        let keys = reader.records.keys;
        let policy = RotationPolicy::key(keys.id(), self.policy);
        if reader.hold(RotationPolicy::SPACE, policy).await?.is_some() {
            return Ok(None);
        }
        let mut found = Vec::with_capacity(self.paths.len());
        for path in self.paths {
            found.push(reader.hold(Header::SPACE, Header::key(keys.id(), path)).await?);
        }
        Ok(Some(found))
    }
}
