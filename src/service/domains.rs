//! Domains: the tenants, their keys and their defaults.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use quick_cache::sync::Cache;
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use super::{
    Error, names,
    records::{COMMIT_ATTEMPTS, commit},
    turns::Turns,
};
use crate::{
    auth::{Action, Permit, RegionPermit, Resource},
    crypto::{DomainKeys, Place, RootKey},
    domain::{DomainConfig, Invalid, OkmsId, Settings, SettingsPatch, Timestamp},
    store::{
        codec::{Codec, DomainInfo, DomainRecord},
        engine::{Batch, Engine, Expect, Op, Record, Revision, Snapshot, Space},
        keys,
    },
};

const NAME_MAX: usize = 128;
/// How many domains' configs are kept opened.
const CONFIGS_MAX: usize = 1024;
/// How many shares of all domains clear away what is over by themselves.
const CLEARINGS: usize = 64;

/// A domain as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its id.
    pub id: OkmsId,
    /// The name that an operator gave it.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// The use cases on domains. Cheap to clone.
#[derive(Clone)]
pub struct Domains {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<dyn Engine>,
    root: Arc<dyn RootKey>,
    /// Keys that were unwrapped before. A domain's keys only ever grow, so that an entry is never wrong.
    open: ArcSwap<HashMap<OkmsId, Arc<DomainKeys>>>,
    /// Configs that were opened before; each counts for the revision that it was read at.
    configs: Cache<OkmsId, (Revision, Arc<DomainConfig>)>,
    turns: Turns,
    /// Each held by the one request that clears away tokens that are over, for a share of all domains.
    clearing: Vec<Mutex<()>>,
}

impl Domains {
    /// Checks that the store was made with this root key, or marks a new store.
    pub(super) async fn open(engine: Arc<dyn Engine>, root: Arc<dyn RootKey>) -> Result<Self, Error> {
        let key = root_key_record();
        match engine.snapshot().await?.get(Space::Region, &key).await? {
            Some(record) if record.bytes == root.id() => names::complete(&*engine, &*root).await?,
            Some(_) => return Err(Error::WrongRootKey),
            None => {
                let batch = Batch {
                    preconditions: vec![(Space::Region, key.clone(), Expect::Absent)],
                    ops: vec![Op::Put(Space::Region, key, root.id().to_vec()), names::are_complete()],
                };
                engine.commit(batch).await?;
            }
        }
        let open = ArcSwap::from_pointee(HashMap::new());
        let configs = Cache::new(CONFIGS_MAX);
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                root,
                open,
                configs,
                turns: Turns::new(),
                clearing: (0..CLEARINGS).map(|_| Mutex::new(())).collect(),
            }),
        })
    }

    /// Creates a domain. No two have one name, however many are created at once.
    ///
    /// # Errors
    /// `Error::Invalid` for a name that is empty, long, or not printable; `Error::DomainExists` for one that is taken.
    pub async fn create(&self, _: &RegionPermit, name: &str, now: Timestamp) -> Result<Domain, Error> {
        let name = name.trim();
        if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
            return Err(Invalid("a domain's name is text of 1 to 128 bytes without control characters").into());
        }
        let id = OkmsId::from_bytes(Uuid::new_v4().into_bytes())?;
        let (keys, generation, wrapped) = DomainKeys::create(&*self.inner.root, id)?;
        let info = DomainInfo { name: name.to_owned(), created_at: now };
        let record = DomainRecord {
            keys: vec![(generation, wrapped.0)],
            info: keys.seal_record(Place::Domain, &info.encode())?,
        };
        let (key, name_key) = (keys::domain(id), names::key(&*self.inner.root, name)?);
        let batch = Batch {
            preconditions: vec![
                (Space::Domain, key.clone(), Expect::Absent),
                (Space::Region, name_key.clone(), Expect::Absent),
            ],
            ops: vec![
                Op::Put(Space::Domain, key, record.encode()),
                Op::Put(Space::Region, name_key, id.as_bytes().to_vec()),
            ],
        };
        // The id is random, so that only the name can be taken.
        if !commit(&*self.inner.engine, batch).await? {
            return Err(Error::DomainExists);
        }
        Ok(Domain { id, name: info.name, created_at: now })
    }

    /// The domain of this name, for those who may know of all domains.
    ///
    /// # Errors
    /// `Error::DomainNotFound` where there is none.
    pub async fn by_name(&self, permit: &RegionPermit, name: &str) -> Result<Domain, Error> {
        let snapshot = self.inner.engine.snapshot().await?;
        let key = names::key(&*self.inner.root, name.trim())?;
        let record = snapshot.get(Space::Region, &key).await?.ok_or(Error::DomainNotFound)?;
        let id = record.bytes.as_slice().try_into().map_err(|_| crate::store::codec::Malformed)?;
        let id = OkmsId::from_bytes(id)?;
        if permit.sees().is_some_and(|own| own != id) {
            return Err(Error::DomainNotFound);
        }
        self.show(id).await
    }

    /// The domain of the permit.
    ///
    /// # Errors
    /// `Error::DomainNotFound` where there is none.
    pub async fn get(&self, permit: &Permit) -> Result<Domain, Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        self.show(permit.okms_id()).await
    }

    /// A page of the domains that the permit may see, by id, and the last id that it covers unless the list ends there.
    /// A domain whose record is damaged is left out, so that it does not hide the others.
    ///
    /// # Errors
    /// `Error` where the store cannot be read.
    pub async fn list(
        &self,
        permit: &RegionPermit,
        after: Option<OkmsId>,
        limit: usize,
    ) -> Result<(Vec<Domain>, Option<OkmsId>), Error> {
        if let Some(own) = permit.sees() {
            return match self.show(own).await {
                Ok(domain) => Ok((vec![domain], None)),
                Err(Error::DomainNotFound) => Ok((Vec::new(), None)),
                Err(error) => Err(error),
            };
        }
        let from = after.map_or_else(|| vec![0; 16], |id| [id.as_bytes().as_slice(), &[0]].concat());
        let snapshot = self.inner.engine.snapshot().await?;
        let entries = snapshot.scan(Space::Domain, &from, &[0xff; 17], limit + 1).await?;
        let more = entries.len() > limit;
        let (mut domains, mut last) = (Vec::with_capacity(entries.len()), None);
        for (key, record) in entries.into_iter().take(limit) {
            let id = keys::parse_domain(&key).ok_or(crate::store::codec::Malformed)?;
            match self.open_record(id, &record) {
                Ok((_, domain)) => domains.push(domain),
                Err(error) => tracing::error!(domain = %id, %error, "a domain's record is damaged"),
            }
            last = Some(id);
        }
        Ok((domains, last.filter(|_| more)))
    }

    /// The domain's defaults.
    ///
    /// # Errors
    /// `Error::DomainNotFound` where there is no such domain.
    pub async fn settings(&self, permit: &Permit) -> Result<Settings, Error> {
        permit.check(Action::ConfigGet, Resource::Tenant)?;
        Ok(self.config(permit).await?.settings.clone())
    }

    /// Changes the domain's defaults, and tells them as they are then.
    ///
    /// # Errors
    /// `Error::DomainNotFound` where there is no such domain.
    pub async fn update_settings(&self, permit: &Permit, patch: &SettingsPatch) -> Result<Settings, Error> {
        permit.check(Action::ConfigUpdate, Resource::Tenant)?;
        self.change_config(permit, |config| {
            config.settings = patch.apply(&config.settings);
            Ok((config.settings.clone(), Vec::new()))
        })
        .await
    }

    /// The domain's defaults and mounts.
    pub(super) async fn config(&self, permit: &Permit) -> Result<Arc<DomainConfig>, Error> {
        let keys = self.keys(permit).await?;
        let snapshot = self.inner.engine.snapshot().await?;
        Ok(self.config_at(&*snapshot, &keys).await?.0)
    }

    /// The domain's defaults and mounts in this snapshot, and their revision.
    pub(super) async fn config_at(
        &self,
        snapshot: &dyn Snapshot,
        keys: &DomainKeys,
    ) -> Result<(Arc<DomainConfig>, Option<Revision>), Error> {
        let id = keys.id();
        let Some(record) = snapshot.get(Space::Config, &keys::domain(id)).await? else {
            return Ok((Arc::default(), None));
        };
        if let Some((known, config)) = self.inner.configs.get(&id)
            && known == record.revision
        {
            return Ok((config, Some(known)));
        }
        let config = Arc::new(DomainConfig::decode(&keys.open_record(Place::Config, record.bytes)?)?);
        self.inner.configs.insert(id, (record.revision, Arc::clone(&config)));
        Ok((config, Some(record.revision)))
    }

    /// The one way of writing a domain's defaults and mounts: `decide` changes them, and may bring more to do in the
    /// same commit. It is asked again where another process was faster.
    pub(super) async fn change_config<T>(
        &self,
        permit: &Permit,
        decide: impl Fn(&mut DomainConfig) -> Result<(T, Vec<Op>), Error>,
    ) -> Result<T, Error> {
        let keys = self.keys(permit).await?;
        let key = keys::domain(permit.okms_id());
        let _turn = self.inner.turns.take(permit.okms_id(), "").await?;
        for _ in 0..COMMIT_ATTEMPTS {
            let snapshot = self.inner.engine.snapshot().await?;
            let (before, revision) = self.config_at(&*snapshot, &keys).await?;
            let mut config = DomainConfig::clone(&before);
            let (outcome, mut ops) = decide(&mut config)?;
            ops.push(Op::Put(Space::Config, key.clone(), keys.seal_record(Place::Config, &config.encode())?));
            let expect = revision.map_or(Expect::Absent, Expect::At);
            let batch = Batch { preconditions: vec![(Space::Config, key.clone(), expect)], ops };
            if commit(&*self.inner.engine, batch).await? {
                return Ok(outcome);
            }
        }
        Err(Error::Contended)
    }

    /// The turn of clearing away what is over in a domain; `None` while somebody has it.
    pub(super) fn clearing(&self, id: OkmsId) -> Option<MutexGuard<'_, ()>> {
        let [.., last] = id.as_bytes();
        self.inner.clearing.get(usize::from(*last) % CLEARINGS)?.try_lock().ok()
    }

    /// The store beneath.
    pub(super) fn engine(&self) -> &dyn Engine {
        &*self.inner.engine
    }

    /// The keys of the permit's domain, which is thereby known to exist.
    pub(super) async fn keys(&self, permit: &Permit) -> Result<Arc<DomainKeys>, Error> {
        let id = permit.okms_id();
        if let Some(keys) = self.inner.open.load().get(&id) {
            return Ok(Arc::clone(keys));
        }
        let (keys, _) = self.load(id).await?;
        let keys = Arc::new(keys);
        self.inner.open.rcu(|open| {
            let mut open = HashMap::clone(open);
            open.insert(id, Arc::clone(&keys));
            open
        });
        Ok(keys)
    }

    async fn show(&self, id: OkmsId) -> Result<Domain, Error> {
        Ok(self.load(id).await?.1)
    }

    async fn load(&self, id: OkmsId) -> Result<(DomainKeys, Domain), Error> {
        let snapshot = self.inner.engine.snapshot().await?;
        let record = snapshot.get(Space::Domain, &keys::domain(id)).await?.ok_or(Error::DomainNotFound)?;
        self.open_record(id, &record)
    }

    fn open_record(&self, id: OkmsId, record: &Record) -> Result<(DomainKeys, Domain), Error> {
        open_record(&*self.inner.root, id, record)
    }
}

/// Where the public name of the root key is kept that a store was made with.
#[must_use]
pub fn root_key_record() -> Vec<u8> {
    keys::region("root-key")
}

pub(super) fn open_record(root: &dyn RootKey, id: OkmsId, record: &Record) -> Result<(DomainKeys, Domain), Error> {
    let record = DomainRecord::decode(&record.bytes)?;
    let keys = DomainKeys::unwrap(root, id, record.keys)?;
    let info = DomainInfo::decode(&keys.open_record(Place::Domain, record.info)?)?;
    Ok((keys, Domain { id, name: info.name, created_at: info.created_at }))
}
