//! Rotation policies of a tenant: kept, changed, removed.
//!
//! Always holds: four are there from the start, as if they had been made with the tenant, until it changes them, and
//! again when it removes what it has made of them; a policy that names a secret policy names one that is there
//! when that is said; who lets one make values may write every secret, as those are written by it without asking
//! anybody again. Never does: rotate a secret.

use super::{
    attached::{count, detach_all, is_attached},
    kept::{all, has_room, page},
};
use crate::{
    auth::{Action, Denied, Detail, Permit, Resource, Thing, pdp::Purpose},
    crypto::DomainKeys,
    model::{
        Faults, OkmsId, RotationPatch, RotationPolicy, RotationPolicyId, SecretPolicy,
        SecretPolicyId, Timestamp,
    },
    service::{
        Error,
        changes::ChangeName,
        cursor::Page,
        keyring::open_record,
        records::{Draft, Reader, keys_of, open},
        scope::Scope,
        secrets::{domains, index},
        unit::{Basis, Change, OneRecord, UnitReader},
    },
    store::{
        engine::{Op, Record, Snapshot},
        kinds::{Kind, rotation_event, rotation_policy, secret_index, tenant},
    },
};

/// A policy, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRotationPolicy {
    /// The id that it is found by.
    pub id: RotationPolicyId,
    /// The policy.
    pub policy: RotationPolicy,
    /// How many secrets have it; of more than 1000 so many.
    pub secrets: u64,
}

type Named = (RotationPolicyId, RotationPolicy);

/// The use cases on rotation policies.
pub struct RotationPolicies {
    pub(super) scope: Scope,
}

impl RotationPolicies {
    pub(in crate::service) const fn new(scope: Scope) -> Self {
        Self { scope }
    }

    /// A page of the policies, by their ids.
    ///
    /// # Errors
    /// `Error::Invalid` for a cursor that is not of this list.
    pub async fn list(
        &self,
        permit: &Permit,
        only_active: bool,
        cursor: Option<&[u8]>,
        limit: usize,
    ) -> Result<Page<KnownRotationPolicy>, Error> {
        permit.check(Action::ConfigGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        // Counting what has a policy takes a look at each.
        let _turn = self.scope.long_reads().turn(keys.id()).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        let mut found = self.all(&*snapshot, &keys).await?;
        found.retain(|(_, policy)| policy.fields().is_active || !only_active);
        let (found, next) = page(found, cursor, limit)?;
        let mut known = Vec::with_capacity(found.len());
        for (id, policy) in found {
            let secrets = count(&*snapshot, keys.id(), &id).await?;
            known.push(KnownRotationPolicy { id, policy, secrets });
        }
        Ok((known, next))
    }

    /// A policy.
    ///
    /// # Errors
    /// `Error::RotationPolicyNotFound`.
    pub async fn get(
        &self,
        permit: &Permit,
        id: &RotationPolicyId,
    ) -> Result<KnownRotationPolicy, Error> {
        permit.check(Action::ConfigGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        let since = self.since(&*snapshot, keys.id()).await?;
        let policy = find(&Reader { snapshot: &*snapshot, keys: &keys }, id, since).await?;
        let policy = policy.ok_or(Error::RotationPolicyNotFound)?;
        // Whoever waits keeps no snapshot.
        drop(snapshot);
        self.known(keys.id(), id.clone(), policy).await
    }

    /// Makes a policy. One with the name of what is there from the start takes its place; no secret has it that was
    /// not given it since, also where the deletion of one that had its name was cut off.
    ///
    /// # Errors
    /// `Error::Fields` where it breaks a rule; `Error::PolicyExists` where its id is taken;
    /// `Error::Invalid` where there are too many.
    pub async fn create(
        &self,
        permit: &Permit,
        patch: RotationPatch,
        now: Timestamp,
    ) -> Result<KnownRotationPolicy, Error> {
        permit.check(Action::ConfigUpdate, Resource::Tenant)?;
        let (id, policy) = patch.create(now)?;
        if policy.makes_values() {
            may_write_all(permit)?;
        }
        permit.learns(Detail::About(Thing::Policy, id.as_str()));
        let keys = self.scope.keys(permit).await?;
        let is_own = !RotationPolicy::is_built_in(&id);
        if is_own {
            detach_all(&self.scope, permit, &keys, &id, now).await?;
        }
        let basis = Place { id: &id, wanted: policy.fields().secret_policy.as_ref() };
        let change = change(ChangeName::CreateRotationPolicy, permit);
        self.scope
            .unit(change, &keys, basis, |facts: Standing, draft| {
                if facts.record.is_some() {
                    return Err(Error::PolicyExists);
                }
                // Somebody removes one at this very moment.
                if is_own && facts.is_attached {
                    return Err(Error::Contended);
                }
                facts.check()?;
                put(draft, &id, &policy)
            })
            .await?;
        self.known(keys.id(), id, policy).await
    }

    /// Changes a policy. What is due by a new interval is due at once.
    ///
    /// # Errors
    /// `Error::RotationPolicyNotFound`; `Error::Fields` where it would break a rule.
    pub async fn update(
        &self,
        permit: &Permit,
        id: &RotationPolicyId,
        patch: &RotationPatch,
        now: Timestamp,
    ) -> Result<KnownRotationPolicy, Error> {
        permit.check(Action::ConfigUpdate, Resource::Tenant)?;
        // Whether and when secrets that have it are rotated is said by it.
        permit.judges_all(Purpose::Rotate);
        permit.learns(Detail::About(Thing::Policy, id.as_str()));
        let keys = self.scope.keys(permit).await?;
        let since = self.since(&*self.scope.engine().snapshot().await?, keys.id()).await?;
        let wanted = patch.secret_policy.as_ref().and_then(Option::as_ref);
        let change = change(ChangeName::UpdateRotationPolicy, permit);
        let policy = self
            .scope
            .unit(change, &keys, Place { id, wanted }, |facts: Standing, draft| {
                let before = or_built_in(&keys, id, facts.record.as_ref(), since)?;
                let before = before.ok_or(Error::RotationPolicyNotFound)?;
                let policy = patch.clone().apply(&before, now)?;
                if policy != before {
                    if policy.makes_values() {
                        may_write_all(permit)?;
                    }
                    facts.check()?;
                    put(draft, id, &policy)?;
                }
                Ok(policy)
            })
            .await?;
        self.known(keys.id(), id.clone(), policy).await
    }

    /// Removes a policy; of one from the start, what was made of it. Tells how many secrets were detached.
    ///
    /// # Errors
    /// `Error::RotationPolicyNotFound`.
    pub async fn delete(
        &self,
        permit: &Permit,
        id: &RotationPolicyId,
        now: Timestamp,
    ) -> Result<u64, Error> {
        permit.check(Action::ConfigUpdate, Resource::Tenant)?;
        // Whichever have it are detached.
        permit.check(Action::SecretUpdateMetadata, Resource::AllBelow(""))?;
        permit.learns(Detail::About(Thing::Policy, id.as_str()));
        let keys = self.scope.keys(permit).await?;
        let key = at(&keys, id);
        let change = change(ChangeName::DeleteRotationPolicy, permit);
        let basis = Place { id, wanted: None };
        // Before the secrets are detached, so that nobody attaches it meanwhile, who holds it.
        self.scope
            .unit(change, &keys, basis, |facts: Standing, draft: &mut Draft<'_>| {
                if facts.record.is_some() {
                    draft.delete(rotation_policy::SPACE, key.clone());
                    draft.delete(secret_index::SPACE, secret_index::automatic(keys.id(), id));
                }
                if facts.record.is_some() || RotationPolicy::is_built_in(id) {
                    let (from, to) = rotation_event::of_policy(keys.id(), id);
                    draft.extend([Op::DeleteRange(rotation_event::SPACE, from, to)]);
                } else if !facts.is_attached {
                    return Err(Error::RotationPolicyNotFound);
                }
                Ok(())
            })
            .await?;
        // Repeating it does the rest of one that has failed half-way.
        detach_all(&self.scope, permit, &keys, id, now).await
    }

    /// Holds the marks of policies by which the server rotates by itself against all domains' policies, and puts
    /// what is missing; one that should not be there is passed over by who looks.
    ///
    /// # Errors
    /// `Error` where the domains cannot be listed.
    pub async fn check_marks(&self) -> Result<(), Error> {
        for domain in domains(&self.scope).await? {
            match self.mend_marks(domain).await {
                Ok(0) => {}
                Ok(missing) => {
                    tracing::error!(%domain, missing, "policies were not found where they rotate, and are again");
                }
                Err(error) => {
                    tracing::warn!(%domain, %error, "whether policies are found cannot be checked");
                }
            }
        }
        Ok(())
    }

    pub(in crate::service) async fn mend_marks(&self, domain: OkmsId) -> Result<usize, Error> {
        let keys = self.scope.keys_of(domain).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        let mut missing = 0;
        for (id, policy) in stored(&Reader { snapshot: &*snapshot, keys: &keys }).await? {
            let key = secret_index::automatic(domain, &id);
            let is_there = snapshot.get(secret_index::SPACE, &key).await?.is_some();
            if is_there || !policy.is_automatic() {
                continue;
            }
            let change = Change { name: ChangeName::CompleteIndex, turns: &[""], by: None };
            let basis = OneRecord::of::<RotationPolicy>(&keys, &id);
            let decide = |record: Option<Record>, draft: &mut Draft<'_>| {
                let policy = or_built_in(&keys, &id, record.as_ref(), policy.fields().created_at)?;
                if policy.is_some_and(|policy| policy.is_automatic()) {
                    draft.extend([index::put(key.clone())]);
                }
                Ok(())
            };
            self.scope.unit(change, &keys, basis, decide).await?;
            missing += 1;
        }
        Ok(missing)
    }

    /// All policies of a tenant, by their ids.
    pub(super) async fn all(
        &self,
        snapshot: &dyn Snapshot,
        keys: &DomainKeys,
    ) -> Result<Vec<Named>, Error> {
        let mut found = stored(&Reader { snapshot, keys }).await?;
        let since = self.since(snapshot, keys.id()).await?;
        for (id, policy) in RotationPolicy::built_ins(since) {
            if !found.iter().any(|(known, _)| *known == id) {
                found.push((id, policy));
            }
        }
        found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found)
    }

    async fn known(
        &self,
        tenant: OkmsId,
        id: RotationPolicyId,
        policy: RotationPolicy,
    ) -> Result<KnownRotationPolicy, Error> {
        let _turn = self.scope.long_reads().turn(tenant).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        let secrets = count(&*snapshot, tenant, &id).await?;
        Ok(KnownRotationPolicy { id, policy, secrets })
    }

    /// Since when the tenant has what is there from the start.
    async fn since(&self, snapshot: &dyn Snapshot, id: OkmsId) -> Result<Timestamp, Error> {
        let record = snapshot.get(tenant::SPACE, &tenant::key(id)).await?;
        let record = record.ok_or(Error::DomainNotFound)?;
        Ok(open_record(self.scope.root(), id, &record)?.1.created_at)
    }
}

/// All policies that are stored.
pub(super) async fn stored(reader: &Reader<'_>) -> Result<Vec<Named>, Error> {
    all(reader, rotation_policy::all(reader.keys.id()), rotation_policy::id).await
}

/// A policy of a tenant, held.
pub(in crate::service) async fn held(
    reader: &UnitReader<'_>,
    id: &RotationPolicyId,
    now: Timestamp,
) -> Result<Option<RotationPolicy>, Error> {
    let keys = reader.records.keys;
    let record = reader.hold(rotation_policy::SPACE, at(keys, id)).await?;
    or_built_in(keys, id, record.as_ref(), now)
}

/// A policy of a tenant, as a reader sees it.
pub(in crate::service) async fn find(
    reader: &Reader<'_>,
    id: &RotationPolicyId,
    since: Timestamp,
) -> Result<Option<RotationPolicy>, Error> {
    Ok(reader.find(id).await?.or_else(|| RotationPolicy::built_in(id, since)))
}

/// The policy in a record; where there is none, the one that is there from the start, if it is one.
pub(super) fn or_built_in(
    keys: &DomainKeys,
    id: &RotationPolicyId,
    record: Option<&Record>,
    since: Timestamp,
) -> Result<Option<RotationPolicy>, Error> {
    match record {
        Some(record) => open(keys, &at(keys, id), &record.bytes).map(Some),
        None => Ok(RotationPolicy::built_in(id, since)),
    }
}

/// Where a policy of a tenant is.
pub(super) fn at(keys: &DomainKeys, id: &RotationPolicyId) -> Vec<u8> {
    RotationPolicy::key(keys.id(), id)
}

/// Stores a policy, and where the server looks for those by which it rotates by itself.
fn put(draft: &mut Draft<'_>, id: &RotationPolicyId, policy: &RotationPolicy) -> Result<(), Error> {
    let key = secret_index::automatic(draft.keys.id(), id);
    if policy.is_automatic() {
        draft.extend([index::put(key)]);
    } else {
        draft.delete(secret_index::SPACE, key);
    }
    draft.put(id, policy)
}

/// Goes on for whoever may write every secret, those to come among them: by a policy all are written to which it is
/// attached, now or later. A secret to which it is attached is judged then.
pub(super) fn may_write_all(permit: &Permit) -> Result<(), Denied> {
    permit.check_here(Action::VersionCreate, Resource::AllBelow(""))
}

/// A change of policies, which take turns, so that they are counted.
pub(super) fn change(name: ChangeName, permit: &Permit) -> Change<'_> {
    Change { name, turns: &[""], by: Some(permit) }
}

/// What a change of a policy stands on: what is under its id, and the secret policy that it is to name.
struct Place<'a> {
    id: &'a RotationPolicyId,
    wanted: Option<&'a SecretPolicyId>,
}

struct Standing {
    record: Option<Record>,
    /// How many the tenant has made, and not changed alone.
    number: usize,
    /// Whether a new one counts among them.
    counts: bool,
    has_wanted: bool,
    /// Whether a secret has it.
    is_attached: bool,
}

impl Standing {
    /// Goes on where the policy may be stored.
    fn check(&self) -> Result<(), Error> {
        if !self.has_wanted {
            return Err(
                Faults::one("secret_policy_id", "the id of a secret policy that there is").into()
            );
        }
        if self.record.is_some() || !self.counts { Ok(()) } else { has_room(self.number) }
    }
}

impl Basis for Place<'_> {
    type Facts = Standing;

    async fn read(&self, reader: &UnitReader<'_>) -> Result<Standing, Error> {
        let keys = reader.records.keys;
        let record = reader.hold(rotation_policy::SPACE, at(keys, self.id)).await?;
        let has_wanted = match self.wanted {
            Some(wanted) => {
                let key = SecretPolicy::key(keys.id(), wanted);
                reader.hold(SecretPolicy::SPACE, key).await?.is_some()
            }
            None => true,
        };
        let range = rotation_policy::all(keys.id());
        let all = keys_of(reader.records.snapshot, rotation_policy::SPACE, range).await?;
        let is_own = |key: &&Vec<u8>| {
            !rotation_policy::id(key).is_some_and(|id| RotationPolicy::is_built_in(&id))
        };
        Ok(Standing {
            record,
            number: all.iter().filter(is_own).count(),
            counts: !RotationPolicy::is_built_in(self.id),
            has_wanted,
            is_attached: is_attached(reader.records.snapshot, keys.id(), self.id).await?,
        })
    }
}
