//! What tenants may take, where an operator has said so.
//!
//! Always holds: what was set counts for whoever asks after the answer, and soon after in every
//! other process over the same store; a record that cannot be read bounds nobody by itself, so that
//! what counts for everybody does. Never does: count, or refuse.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, PoisonError, RwLock},
};

use super::{
    Error,
    changes::ChangeName,
    follower::{self, Follower, keys_in},
    keyring::open_record,
    records::{Reader, keys_of, missing, open},
    scope::Scope,
    unit::{Change, OneRecord},
};
use crate::{
    auth::{Action, Detail, Permit, Resource, Thing},
    crypto::DomainKeys,
    fair::Weights,
    model::{OkmsId, Quota},
    store::{
        engine::{Record, Revision, Touched},
        kinds::{Kind, quota, tenant},
    },
};

/// What bounds a tenant, and which of it an operator has said of that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounded {
    /// What counts.
    pub whole: Quota,
    /// What was said of this tenant.
    pub own: Quota,
}

/// The use cases on quotas.
pub struct Quotas {
    scope: Scope,
    /// What counts where nothing else was said.
    default: Quota,
    known: RwLock<Arc<HashMap<OkmsId, Quota>>>,
    /// Held by whoever reads what the store has, so that nobody puts what was before in its place.
    turn: tokio::sync::Mutex<()>,
    begun: Revision,
}

impl Quotas {
    /// Reads all that there are.
    pub(super) async fn open(scope: Scope, default: Quota) -> Result<Self, Error> {
        let all = Self {
            scope,
            default,
            known: RwLock::default(),
            turn: tokio::sync::Mutex::new(()),
            begun: Revision(0),
        };
        let begun = follower::begin(&all).await?;
        Ok(Self { begun, ..all })
    }

    /// What bounds a tenant, as of now.
    #[must_use]
    pub fn of(&self, id: OkmsId) -> Quota {
        self.own(id).map_or(self.default, |own| own.or(self.default))
    }

    /// Whether an operator has set bounds for a tenant.
    #[must_use]
    pub fn has_own(&self, id: OkmsId) -> bool {
        self.own(id).is_some()
    }

    /// What turns of each tenant are worth, as it is known.
    #[must_use]
    pub fn weights(&self) -> &Arc<Weights> {
        self.scope.weights()
    }

    /// The tenants for which operators have set bounds.
    #[must_use]
    pub fn owners(&self) -> Vec<OkmsId> {
        self.known().keys().copied().collect()
    }

    fn own(&self, id: OkmsId) -> Option<Quota> {
        self.known().get(&id).copied()
    }

    fn known(&self) -> Arc<HashMap<OkmsId, Quota>> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Follows what other processes set in the same store, for good.
    pub async fn follow(&self) -> Infallible {
        follower::follow(self, self.begun).await
    }

    /// What bounds the permit's tenant.
    ///
    /// # Errors
    /// `Error::DomainNotFound` where there is no such tenant; `Error::Corrupt` where the record is
    /// damaged.
    pub async fn get(&self, permit: &Permit) -> Result<Bounded, Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        let own: Option<Quota> = Reader { snapshot: &*snapshot, keys: &keys }.find(()).await?;
        Ok(self.bounded(own.unwrap_or_default()))
    }

    /// Sets what bounds the permit's tenant: what `quota` does not say is as for everybody.
    ///
    /// # Errors
    /// `Error::DomainNotFound` where there is no such tenant.
    pub async fn put(&self, permit: &Permit, quota: Quota) -> Result<Bounded, Error> {
        permit.learns(Detail::About(Thing::Quota, &permit.okms_id().to_string()));
        permit.check(Action::QuotaEdit, Resource::Tenant)?;
        let quota = quota.check()?;
        self.change(permit, ChangeName::PutQuota, |_, _| Ok(Some(quota))).await?;
        Ok(self.bounded(quota))
    }

    /// Forgets what was set for the permit's tenant.
    ///
    /// # Errors
    /// `Error::DomainNotFound` where there is no such tenant.
    pub async fn delete(&self, permit: &Permit) -> Result<(), Error> {
        permit.learns(Detail::About(Thing::Quota, &permit.okms_id().to_string()));
        permit.check(Action::QuotaEdit, Resource::Tenant)?;
        self.change(permit, ChangeName::DeleteQuota, |_, _| Ok(None)).await
    }

    /// Changes some of what was set for the permit's tenant.
    ///
    /// # Errors
    /// `Error::DomainNotFound` where there is no such tenant; `Error::Corrupt` where the record is
    /// damaged.
    pub async fn edit(
        &self,
        permit: &Permit,
        edit: impl Fn(&mut Quota) + Send + Sync,
    ) -> Result<(), Error> {
        permit.check(Action::QuotaEdit, Resource::Tenant)?;
        self.change(permit, ChangeName::PutQuota, |keys, found| {
            let key = Quota::key(keys.id(), ());
            let own = found.map(|found| open::<Quota>(keys, &key, &found.bytes)).transpose()?;
            let mut own = own.unwrap_or_default();
            edit(&mut own);
            let own = own.check()?;
            Ok((own != Quota::default()).then_some(own))
        })
        .await
    }

    async fn change(
        &self,
        permit: &Permit,
        name: ChangeName,
        to: impl Fn(&DomainKeys, Option<&Record>) -> Result<Option<Quota>, Error> + Send + Sync,
    ) -> Result<(), Error> {
        let keys = self.scope.keys(permit).await?;
        let change = Change { name, turns: &[""], by: Some(permit) };
        let basis = OneRecord::of::<Quota>(&keys, ());
        let changed = self
            .scope
            .unit(change, &keys, basis, |found, draft| match to(draft.keys, found.as_ref())? {
                Some(quota) => draft.put((), &quota),
                None if found.is_none() => Ok(()),
                None => {
                    draft.delete(Quota::SPACE, Quota::key(draft.keys.id(), ()));
                    Ok(())
                }
            })
            .await;
        // It may be stored, whatever was said; what is not read here is read by the follower.
        if let Err(error) = self.bring_up(keys.id()).await {
            tracing::warn!(domain = %keys.id(), %error, "a quota cannot be read; trying again");
        }
        changed
    }

    fn bounded(&self, own: Quota) -> Bounded {
        Bounded { whole: own.or(self.default), own }
    }

    /// Learns what the store has of a tenant.
    async fn bring_up(&self, id: OkmsId) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        let own = match self.read(id).await {
            Err(Error::Corrupt(error)) => {
                tracing::error!(domain = %id, error, "a quota is damaged; what counts for everybody counts");
                None
            }
            own => own?,
        };
        let mut known = HashMap::clone(&self.known());
        match own {
            Some(own) => known.insert(id, own),
            None => known.remove(&id),
        };
        let weights = known
            .iter()
            .filter_map(|(id, quota)| Some((*id.as_bytes(), u32::try_from(quota.weight?).ok()?)));
        self.scope.weights().replace(weights.collect());
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
        Ok(())
    }

    async fn read(&self, id: OkmsId) -> Result<Option<Quota>, Error> {
        let snapshot = self.scope.engine().snapshot().await?;
        let record = snapshot.get(tenant::SPACE, &tenant::key(id)).await?.ok_or_else(missing)?;
        let (keys, _) = open_record(self.scope.root(), id, &record)?;
        Reader { snapshot: &*snapshot, keys: &keys }.find(()).await
    }
}

impl Follower for Quotas {
    const WHAT: &'static str = "quotas";

    fn scope(&self) -> &Scope {
        &self.scope
    }

    async fn read_all(&self) -> Result<(), Error> {
        let snapshot = self.scope.engine().snapshot().await?;
        // Those that were known may be gone.
        let mut ids: Vec<_> = self.known().keys().copied().collect();
        let all = keys_of(&*snapshot, quota::SPACE, (Vec::new(), vec![0xff; 17])).await?;
        drop(snapshot);
        ids.extend(all.iter().filter_map(|key| quota::tenant(key)));
        for id in ids {
            self.bring_up(id).await?;
        }
        Ok(())
    }

    async fn read_again(&self, touched: &[Touched]) -> Result<(), Error> {
        for id in keys_in(touched, quota::SPACE).filter_map(quota::tenant) {
            self.bring_up(id).await?;
        }
        Ok(())
    }
}
