//! The keys of tenants, unwrapped when they are first asked for.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::{Error, records::bind};
use crate::{
    auth::Permit,
    crypto::{DomainKeys, RootKey},
    model::OkmsId,
    store::{
        engine::{Engine, Record},
        kinds::tenant::{self, DomainInfo, DomainRecord},
    },
};

/// How many tenants' keys are kept unwrapped.
const KEPT_MAX: usize = 16_384;

/// The keys of all tenants.
pub(super) struct KeyRing {
    engine: Arc<dyn Engine>,
    root: Arc<dyn RootKey>,
    /// A tenant's keys only ever grow, so that an entry is never wrong.
    kept: Cache<OkmsId, Arc<DomainKeys>>,
}

impl KeyRing {
    pub(super) fn new(engine: Arc<dyn Engine>, root: Arc<dyn RootKey>) -> Self {
        Self { engine, root, kept: Cache::new(KEPT_MAX) }
    }

    /// The key that wraps all others.
    pub(super) fn root(&self) -> &dyn RootKey {
        &*self.root
    }

    /// The keys of the permit's tenant, which is thereby known to exist.
    pub(super) async fn of(&self, permit: &Permit) -> Result<Arc<DomainKeys>, Error> {
        self.of_tenant(permit.okms_id()).await
    }

    /// The keys of a tenant: for what must be known of somebody before there can be a permit.
    pub(super) async fn of_tenant(&self, id: OkmsId) -> Result<Arc<DomainKeys>, Error> {
        if let Some(keys) = self.kept.get(&id) {
            return Ok(keys);
        }
        let record = self.engine.get(tenant::SPACE, &tenant::key(id)).await?;
        let record = record.ok_or(Error::DomainNotFound)?;
        let keys = Arc::new(DomainKeys::unwrap(
            &*self.root,
            id,
            DomainRecord::decode(&record.bytes)?.keys,
        )?);
        self.kept.insert(id, Arc::clone(&keys));
        Ok(keys)
    }
}

/// The keys in a tenant's record, and what is known of it.
pub(super) fn open_record(
    root: &dyn RootKey,
    id: OkmsId,
    record: &Record,
) -> Result<(DomainKeys, DomainInfo), Error> {
    let DomainRecord { keys, info } = DomainRecord::decode(&record.bytes)?;
    let keys = DomainKeys::unwrap(root, id, keys)?;
    let info = keys.open(&bind(tenant::SPACE, &tenant::key(id)), info.as_ref())?;
    Ok((keys, DomainInfo::decode(&info)?))
}
