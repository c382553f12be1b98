//! What all use cases on a tenant stand on: the store, the tenant's keys, its config, and the turns
//! of its writers.

use std::sync::{Arc, OnceLock};

use quick_cache::sync::Cache;
use tokio::sync::{Mutex, MutexGuard};

use super::{
    Error,
    changes::ChangeName,
    counts::Counts,
    judge::{Judge, Sifted},
    keyring::KeyRing,
    records::open,
    turns::{LONG_READS, SharedTurns, Turns},
};
use crate::{
    auth::{Action, Permit, Resource},
    crypto::{DomainKeys, RootKey},
    fair::Weights,
    model::{DomainConfig, OkmsId},
    store::{
        engine::{Engine, Revision, Snapshot},
        kinds::Kind,
    },
};

/// How a commit of a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// What was decided is stored.
    Committed,
    /// Somebody was faster: it is decided anew.
    Overtaken,
    /// The store took it not, or may have.
    Failed,
}

/// Who is told of every commit: the change's name, and how it ended.
pub type OnCommit = Box<dyn Fn(ChangeName, Ended) + Send + Sync>;

/// How many tenants' configs are kept opened.
const CONFIGS_MAX: usize = 1024;
/// How many shares of all tenants clear away what has expired by themselves.
const CLEARINGS: usize = 64;

/// Shared by all use cases. Cheap to clone.
#[derive(Clone)]
pub(super) struct Scope(Arc<Inner>);

struct Inner {
    engine: Arc<dyn Engine>,
    keyring: KeyRing,
    /// Configs that were opened before; each counts for the revision that it was read at.
    configs: Cache<OkmsId, (Revision, Arc<DomainConfig>)>,
    turns: Turns,
    long_reads: SharedTurns,
    weights: Arc<Weights>,
    on_commit: OnCommit,
    counts: Counts,
    /// Who judges what permits allow, where somebody does.
    judge: OnceLock<Judge>,
    /// Each held by the one request that clears away what has expired, for a share of all tenants.
    clearing: Vec<Mutex<()>>,
}

impl Scope {
    pub(super) fn new(
        engine: Arc<dyn Engine>,
        root: Arc<dyn RootKey>,
        weights: Arc<Weights>,
        on_commit: OnCommit,
    ) -> Self {
        Self(Arc::new(Inner {
            counts: Counts::after(engine.revision()),
            keyring: KeyRing::new(Arc::clone(&engine), root),
            engine,
            configs: Cache::new(CONFIGS_MAX),
            turns: Turns::new(),
            long_reads: SharedTurns::new(LONG_READS, &weights),
            weights,
            on_commit,
            judge: OnceLock::new(),
            clearing: (0..CLEARINGS).map(|_| Mutex::new(())).collect(),
        }))
    }

    /// The store beneath.
    pub(super) fn engine(&self) -> &dyn Engine {
        &*self.0.engine
    }

    /// The key that wraps all others.
    pub(super) fn root(&self) -> &dyn RootKey {
        self.0.keyring.root()
    }

    /// The keys of the permit's tenant, which is thereby known to exist, if all that the permit was asked may be
    /// done. No turn is held by who asks for them: it may wait for somebody else's word.
    pub(super) async fn keys(&self, permit: &Permit) -> Result<Arc<DomainKeys>, Error> {
        let keys = self.0.keyring.of(permit).await?;
        if let Some(judge) = self.0.judge.get() {
            judge.judge(self.engine(), &keys, permit).await?;
        }
        Ok(keys)
    }

    /// Has all judged at once that the permit says is to be asked by and by.
    pub(super) async fn foresee(&self, permit: &Permit) -> Result<(), Error> {
        if let Some(judge) = self.0.judge.get() {
            let keys = self.0.keyring.of(permit).await?;
            judge.foresee(self.engine(), &keys, permit).await;
        }
        Ok(())
    }

    /// What is said to each of these, of which a request finds many, whatever the permit itself has said; nothing
    /// against any where nobody judges, or where it is the server's own work.
    pub(super) async fn sift(
        &self,
        permit: &Permit,
        keys: &DomainKeys,
        asked: &[(Action, Resource<'_>)],
    ) -> Result<Vec<Sifted>, Error> {
        match self.0.judge.get() {
            Some(judge) if !permit.subject().is_servers_own() => {
                judge.sift(self.engine(), keys, permit, asked).await
            }
            _ => Ok(asked.iter().map(|_| Ok(())).collect()),
        }
    }

    /// Has what permits allow judged by this one, from now on and for ever.
    pub(super) fn is_judged_by(&self, judge: Judge) {
        // There is one at a start, or none.
        let _only_one = self.0.judge.set(judge);
    }

    /// Whether somebody judges what permits allow.
    pub(super) fn is_judged(&self) -> bool {
        self.0.judge.get().is_some()
    }

    /// The keys of a tenant: for what must be known of somebody before there can be a permit.
    pub(super) async fn keys_of(&self, id: OkmsId) -> Result<Arc<DomainKeys>, Error> {
        self.0.keyring.of_tenant(id).await
    }

    /// The turns of those who write one name.
    pub(super) fn turns(&self) -> &Turns {
        &self.0.turns
    }

    /// The turns of reads whose answers can be long.
    pub(super) fn long_reads(&self) -> &SharedTurns {
        &self.0.long_reads
    }

    /// What turns of each tenant are worth.
    pub(super) fn weights(&self) -> &Arc<Weights> {
        &self.0.weights
    }

    /// What tenants have.
    pub(super) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// Tells of a commit.
    pub(super) fn count(&self, change: ChangeName, ended: Ended) {
        (self.0.on_commit)(change, ended);
    }

    /// The turn of clearing away what has expired in a tenant; `None` while somebody has it.
    pub(super) fn clearing(&self, id: OkmsId) -> Option<MutexGuard<'_, ()>> {
        let [.., last] = id.as_bytes();
        self.0.clearing.get(usize::from(*last) % CLEARINGS)?.try_lock().ok()
    }

    /// The tenant's defaults and mounts.
    pub(super) async fn config(&self, permit: &Permit) -> Result<Arc<DomainConfig>, Error> {
        let keys = self.keys(permit).await?;
        let snapshot = self.engine().snapshot().await?;
        Ok(self.config_at(&*snapshot, &keys).await?.0)
    }

    /// The tenant's defaults and mounts in this snapshot, and their revision.
    pub(super) async fn config_at(
        &self,
        snapshot: &dyn Snapshot,
        keys: &DomainKeys,
    ) -> Result<(Arc<DomainConfig>, Option<Revision>), Error> {
        let id = keys.id();
        let key = DomainConfig::key(id, ());
        let Some(record) = snapshot.get(DomainConfig::SPACE, &key).await? else {
            return Ok((Arc::default(), None));
        };
        if let Some((known, config)) = self.0.configs.get(&id)
            && known == record.revision
        {
            return Ok((config, Some(known)));
        }
        let config = Arc::new(open::<DomainConfig>(keys, &key, &record.bytes)?);
        self.0.configs.insert(id, (record.revision, Arc::clone(&config)));
        Ok((config, Some(record.revision)))
    }
}
