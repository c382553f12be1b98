//! Policies that are attached to secrets, and which secrets are due by them.
//!
//! Always holds: what is told of a secret its header says, to who may see it; who attaches a policy to a secret may write
//! it, as the policy does so from then on. Never does: rotate one.

use super::{
    attached::{has, here, of_secrets, put},
    rotation::{RotationPolicies, at, or_built_in},
};
use crate::{
    auth::{Action, Permit, Resource, pdp::Purpose},
    crypto::DomainKeys,
    model::{
        Header, Life, LifePatch, RotationPolicy, RotationPolicyId, RotationStatus, Schedule,
        SecretPath, Timestamp,
    },
    service::{
        ChangeName, Error,
        cursor::{self, FORGED, Listing, PADDED_TO, Page},
        records::Reader,
        secrets::may_see,
        unit::{Basis, UnitReader},
    },
    store::{
        engine::Record,
        kinds::{
            Kind, Malformed,
            secret_index::{self, Part},
        },
    },
};

/// How many entries of the index are read in one go.
const AT_ONCE: usize = 256;
/// How many of them a page looks at.
const LOOKED_AT_MAX: usize = if cfg!(test) { 300 } else { 2_000 };

/// A secret that a policy is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedSecret {
    /// Its path.
    pub path: SecretPath,
    /// The policy.
    pub policy: RotationPolicyId,
    /// Since when it counts, and for how long the secret has one value.
    pub schedule: Schedule,
    /// How it stands.
    pub status: RotationStatus,
}

/// What of the secrets that have policies is asked for.
#[derive(Clone, Debug, Default)]
pub struct DueSearch {
    /// Those of this policy alone.
    pub policy: Option<RotationPolicyId>,
    /// Those that are due in so many seconds, too.
    pub within_seconds: u64,
    /// Those whose grace is over, too.
    pub with_overdue: bool,
}

impl RotationPolicies {
    /// Attaches a policy to a secret, in the place of any other. One that is attached already goes on counting.
    ///
    /// # Errors
    /// `Error::RotationPolicyNotFound`, `Error::SecretNotFound`, `Error::SecretRemoved`.
    pub async fn attach(
        &self,
        permit: &Permit,
        id: &RotationPolicyId,
        path: &SecretPath,
        now: Timestamp,
    ) -> Result<AttachedSecret, Error> {
        permit.check(Action::ConfigUpdate, Resource::Tenant)?;
        permit.check(Action::SecretUpdateMetadata, Resource::Secret(path))?;
        permit.check(Action::VersionCreate, Resource::Secret(path))?;
        let keys = &self.scope.keys(permit).await?;
        let turns = [path.as_str()];
        let change = of_secrets(ChangeName::AttachPolicy, permit, &turns);
        let patch = LifePatch { rotation: Some(Some(id.as_str().into())), ..LifePatch::default() };
        self.scope
            .unit(change, keys, Pair { id, path }, |(policy, header), draft| {
                let policy = or_built_in(keys, id, policy.as_ref(), now)?;
                let policy = policy.ok_or(Error::RotationPolicyNotFound)?;
                let header = here(keys, path, header, now)?;
                let life = patch.apply(&header.life, now);
                let rotation = life.rotation.clone().ok_or(Error::SecretNotFound)?;
                put(keys, path, header, life, draft, now)?;
                Ok(AttachedSecret {
                    path: path.clone(),
                    policy: id.clone(),
                    schedule: policy.schedule(rotation.anchor),
                    status: policy.status(rotation.anchor, now),
                })
            })
            .await
    }

    /// Detaches a policy from a secret.
    ///
    /// # Errors
    /// `Error::SecretNotFound` where it is not attached; `Error::SecretRemoved`.
    pub async fn detach(
        &self,
        permit: &Permit,
        id: &RotationPolicyId,
        path: &SecretPath,
        now: Timestamp,
    ) -> Result<(), Error> {
        permit.check(Action::ConfigUpdate, Resource::Tenant)?;
        permit.check(Action::SecretUpdateMetadata, Resource::Secret(path))?;
        let keys = &self.scope.keys(permit).await?;
        let turns = [path.as_str()];
        let change = of_secrets(ChangeName::DetachPolicy, permit, &turns);
        self.scope
            .unit(change, keys, Pair { id, path }, |(_, header), draft| {
                let header = here(keys, path, header, now)?;
                if !has(&header, id) {
                    return Err(Error::SecretNotFound);
                }
                let life = Life { rotation: None, ..header.life.clone() };
                put(keys, path, header, life, draft, now)
            })
            .await
    }

    /// A page of the secrets that are due, or soon, in the order of the policies and of their anchors, as far as the
    /// permit may see and rotate them.
    ///
    /// # Errors
    /// `Error::RotationPolicyNotFound`; `Error::Invalid` for a cursor that is not of this list.
    pub async fn due(
        &self,
        permit: &Permit,
        search: &DueSearch,
        cursor: Option<&[u8]>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Page<AttachedSecret>, Error> {
        // It is told what there is to do, and nothing is done.
        let permit = &permit.meant_for(Purpose::ReadMetadata);
        permit.check(Action::VersionCreate, Resource::Below(""))?;
        let keys = self.scope.keys(permit).await?;
        let _turn = self.scope.long_reads().turn(keys.id()).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        let mut policies = self.all(&*snapshot, &keys).await?;
        if let Some(wanted) = &search.policy {
            policies.retain(|(id, _)| id == wanted);
            if policies.is_empty() {
                return Err(Error::RotationPolicyNotFound);
            }
        }
        policies.retain(|(_, policy)| policy.fields().is_active);
        let mut start = cursor.map(|cursor| parse(&keys, cursor)).transpose()?;
        let reader = Reader { snapshot: &*snapshot, keys: &keys };
        let (mut found, mut left) = (Vec::new(), LOOKED_AT_MAX);
        // What was looked at last: the page ends with it if there is more.
        let mut last: Option<(&RotationPolicyId, Vec<u8>)> = None;
        for (id, policy) in &policies {
            let start = match &start {
                Some((after, _)) if after > id => continue,
                Some(_) => start.take().filter(|(after, _)| after == id),
                None => None,
            };
            let interval = policy.fields().interval.seconds();
            let soon = now.plus_seconds(search.within_seconds);
            let Some(due_from) = Schedule::last_due(interval, soon) else { continue };
            let part = Part::Rotates(id.as_str());
            let (mut from, to) = part.up_to(keys.id(), due_from);
            if let Some((_, after)) = start {
                from = from.max([after.as_slice(), &[0]].concat());
            }
            while from < to {
                // One more tells that there are more.
                let wanted = AT_ONCE.min(left).max(1);
                let page = snapshot.keys(secret_index::SPACE, &from, &to, None, wanted).await?;
                let Some(end) = page.last().cloned() else { break };
                for key in page {
                    let end = |last: Option<(&RotationPolicyId, Vec<u8>)>| {
                        last.map(|(id, key)| after(&keys, id, &key)).transpose()
                    };
                    if left == 0 {
                        return Ok((found, end(last)?));
                    }
                    left -= 1;
                    let path = part.parse(keys.id(), &key).ok_or(Malformed)?.path;
                    let secret = self.look(&reader, permit, (id, policy), path, now).await?;
                    let is_wanted = |one: &AttachedSecret| {
                        let is_overdue = one.status == RotationStatus::Overdue;
                        one.schedule.next() <= soon && (search.with_overdue || !is_overdue)
                    };
                    if let Some(secret) = secret.filter(is_wanted) {
                        if found.len() == limit {
                            return Ok((found, end(last)?));
                        }
                        found.push(secret);
                    }
                    last = Some((id, key));
                }
                from = [end.as_slice(), &[0]].concat();
            }
        }
        Ok((found, None))
    }

    /// A secret of the index as its header has it; none where that says otherwise, or the secret is not to be told of.
    async fn look(
        &self,
        reader: &Reader<'_>,
        permit: &Permit,
        (id, policy): (&RotationPolicyId, &RotationPolicy),
        path: SecretPath,
        now: Timestamp,
    ) -> Result<Option<AttachedSecret>, Error> {
        let resource = Resource::Secret(&path);
        if !permit.allows(Action::VersionCreate, resource) || !may_see(permit, resource) {
            return Ok(None);
        }
        let header = match reader.header(&path, now).await {
            Err(Error::Corrupt(_)) => None,
            header => header?,
        };
        // What was removed or has ended is not rotated.
        let header = header.filter(|header| has(header, id) && !header.life.has_ended(now));
        let rotation = header.and_then(|header| header.life.rotation);
        Ok(rotation.map(|rotation| AttachedSecret {
            path,
            policy: id.clone(),
            schedule: policy.schedule(rotation.anchor),
            status: policy.status(rotation.anchor, now),
        }))
    }
}

/// A policy and a secret.
struct Pair<'a> {
    id: &'a RotationPolicyId,
    path: &'a SecretPath,
}

impl Basis for Pair<'_> {
    type Facts = (Option<Record>, Option<Record>);

    async fn read(&self, reader: &UnitReader<'_>) -> Result<Self::Facts, Error> {
        let keys = reader.records.keys;
        let policy = reader.hold(RotationPolicy::SPACE, at(keys, self.id)).await?;
        let header = reader.hold(Header::SPACE, Header::key(keys.id(), self.path)).await?;
        Ok((policy, header))
    }
}

/// Where a page of what is due goes on: sealed, as the caller need not see what was looked at last, and as long as a
/// multiple of some length, so that it does not tell how long its path is.
fn after(keys: &DomainKeys, id: &RotationPolicyId, key: &[u8]) -> Result<Vec<u8>, Error> {
    let mut place = [id.as_str().as_bytes(), &[0], key].concat();
    place.resize(place.len().next_multiple_of(PADDED_TO), 0);
    cursor::seal(keys, Listing::Due, &place)
}

fn parse(keys: &DomainKeys, cursor: &[u8]) -> Result<(RotationPolicyId, Vec<u8>), Error> {
    let place = cursor::open(keys, Listing::Due, cursor)?;
    let mut parts = place.splitn(2, |byte| *byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let (id, mut key) = (part(), part().to_vec());
    // No path has a NUL.
    let end = key.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    key.truncate(end);
    let id: RotationPolicyId =
        std::str::from_utf8(id).ok().and_then(|id| id.parse().ok()).ok_or(FORGED)?;
    let (from, to) = Part::Rotates(id.as_str()).all(keys.id());
    if key < from || to < key { Err(FORGED.into()) } else { Ok((id, key)) }
}
