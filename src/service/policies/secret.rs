//! Secret policies of a tenant: kept, changed, removed, tried out.
//!
//! Always holds: one that a rotation policy names is removed by force alone; what is tried out is stored and logged
//! nowhere; who says how values are made may write every secret. Never does: write a secret.

use std::sync::Arc;

use super::{
    kept::{all, has_room, page},
    rotation::{change, may_write_all, stored},
};
use crate::{
    auth::{Action, Detail, Permit, Resource, Thing},
    model::{SecretPolicy, SecretPolicyId, SecretPolicyPatch, Timestamp},
    service::{
        Error,
        changes::ChangeName,
        cursor::Page,
        records::{Reader, keys_of, open},
        scope::Scope,
        unit::{Basis, UnitReader},
        values::{Made, Values},
    },
    store::{
        engine::Record,
        kinds::{Kind, secret_policy},
    },
};

/// A policy, and the id that it is found by.
pub type KnownSecretPolicy = (SecretPolicyId, SecretPolicy);

/// The use cases on secret policies.
pub struct SecretPolicies {
    scope: Scope,
    values: Arc<Values>,
}

impl SecretPolicies {
    pub(in crate::service) const fn new(scope: Scope, values: Arc<Values>) -> Self {
        Self { scope, values }
    }

    /// A page of the policies, by their ids.
    ///
    /// # Errors
    /// `Error::Invalid` for a cursor that is not of this list.
    pub async fn list(
        &self,
        permit: &Permit,
        cursor: Option<&[u8]>,
        limit: usize,
    ) -> Result<Page<KnownSecretPolicy>, Error> {
        permit.check(Action::ConfigGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        let reader = Reader { snapshot: &*snapshot, keys: &keys };
        let found = all(&reader, secret_policy::all(keys.id()), secret_policy::id).await?;
        page(found, cursor, limit)
    }

    /// A policy.
    ///
    /// # Errors
    /// `Error::SecretPolicyNotFound`.
    pub async fn get(&self, permit: &Permit, id: &SecretPolicyId) -> Result<SecretPolicy, Error> {
        permit.check(Action::ConfigGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        let found = Reader { snapshot: &*snapshot, keys: &keys }.find(id).await?;
        found.ok_or(Error::SecretPolicyNotFound)
    }

    /// Makes a policy.
    ///
    /// # Errors
    /// `Error::Fields` where it breaks a rule; `Error::PolicyExists` where its id is taken;
    /// `Error::Invalid` where there are too many.
    pub async fn create(
        &self,
        permit: &Permit,
        patch: SecretPolicyPatch,
        now: Timestamp,
    ) -> Result<KnownSecretPolicy, Error> {
        permit.check(Action::ConfigUpdate, Resource::Tenant)?;
        may_write_all(permit)?;
        let (id, policy) = patch.create(now)?;
        permit.learns(Detail::About(Thing::Policy, id.as_str()));
        let keys = self.scope.keys(permit).await?;
        let change = change(ChangeName::CreateSecretPolicy, permit);
        self.scope
            .unit(change, &keys, Place(&id), |facts: Standing, draft| {
                if facts.found.is_some() {
                    return Err(Error::PolicyExists);
                }
                has_room(facts.number)?;
                draft.put(&id, &policy)
            })
            .await?;
        Ok((id, policy))
    }

    /// Changes a policy.
    ///
    /// # Errors
    /// `Error::SecretPolicyNotFound`; `Error::Fields` where it would break a rule.
    pub async fn update(
        &self,
        permit: &Permit,
        id: &SecretPolicyId,
        patch: &SecretPolicyPatch,
        now: Timestamp,
    ) -> Result<SecretPolicy, Error> {
        permit.check(Action::ConfigUpdate, Resource::Tenant)?;
        may_write_all(permit)?;
        permit.learns(Detail::About(Thing::Policy, id.as_str()));
        let keys = self.scope.keys(permit).await?;
        let change = change(ChangeName::UpdateSecretPolicy, permit);
        self.scope
            .unit(change, &keys, Place(id), |facts: Standing, draft| {
                let record = facts.found.ok_or(Error::SecretPolicyNotFound)?;
                let key = SecretPolicy::key(keys.id(), id);
                let before: SecretPolicy = open(&keys, &key, &record.bytes)?;
                let policy = patch.clone().apply(&before, now)?;
                if policy != before {
                    draft.put(id, &policy)?;
                }
                Ok(policy)
            })
            .await
    }

    /// Removes a policy. One that a rotation policy names only by `force`: that then makes no values until it names
    /// another. So it is, too, if one in another process comes to name it at this very moment.
    ///
    /// # Errors
    /// `Error::SecretPolicyNotFound`; `Error::PolicyInUse`.
    pub async fn delete(
        &self,
        permit: &Permit,
        id: &SecretPolicyId,
        force: bool,
    ) -> Result<(), Error> {
        permit.check(Action::ConfigUpdate, Resource::Tenant)?;
        permit.learns(Detail::About(Thing::Policy, id.as_str()));
        let keys = self.scope.keys(permit).await?;
        let change = change(ChangeName::DeleteSecretPolicy, permit);
        self.scope
            .unit(change, &keys, Place(id), |facts: Standing, draft| {
                if facts.found.is_none() {
                    return Err(Error::SecretPolicyNotFound);
                }
                if facts.is_named && !force {
                    return Err(Error::PolicyInUse);
                }
                draft.delete(secret_policy::SPACE, SecretPolicy::key(keys.id(), id));
                Ok(())
            })
            .await
    }

    /// What a policy would make. It is for whoever may change it, as it is work.
    ///
    /// # Errors
    /// `Error::SecretPolicyNotFound`; `Error::Busy` where too much is being made.
    pub async fn preview(
        &self,
        permit: &Permit,
        id: &SecretPolicyId,
        now: Timestamp,
    ) -> Result<Made, Error> {
        permit.check(Action::ConfigUpdate, Resource::Tenant)?;
        permit.learns(Detail::About(Thing::Policy, id.as_str()));
        let keys = self.scope.keys(permit).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        let found = Reader { snapshot: &*snapshot, keys: &keys }.find(id).await?;
        drop(snapshot);
        let policy: SecretPolicy = found.ok_or(Error::SecretPolicyNotFound)?;
        self.values.make(keys.id(), policy.fields().recipe.clone(), now).await
    }
}

/// What a change of a policy stands on: what is under its id, and who names it.
struct Place<'a>(&'a SecretPolicyId);

struct Standing {
    found: Option<Record>,
    /// How many there are.
    number: usize,
    is_named: bool,
}

impl Basis for Place<'_> {
    type Facts = Standing;

    async fn read(&self, reader: &UnitReader<'_>) -> Result<Standing, Error> {
        let id = reader.records.keys.id();
        let found = reader.hold(SecretPolicy::SPACE, SecretPolicy::key(id, self.0)).await?;
        let snapshot = reader.records.snapshot;
        let all = keys_of(snapshot, secret_policy::SPACE, secret_policy::all(id)).await?;
        let naming = stored(&reader.records).await?;
        let is_named =
            naming.iter().any(|(_, policy)| policy.fields().secret_policy.as_ref() == Some(self.0));
        Ok(Standing { found, number: all.len(), is_named })
    }
}
