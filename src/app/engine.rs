//! The engine that the configuration chooses.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::error::AppError;
use crate::{
    clock::{Clock as _, StoreClock},
    config::{self, Config, StoreEngine},
    fair::Weights,
    metrics::Metrics,
    service::Upgrade,
    store::{
        engine::{Engine, Observer},
        engines::postgres::{self, PostgresEngine, PostgresHost, PostgresOptions},
        engines::redb::{FileError, OpenError, RedbEngine, RedbOptions},
        kinds::region,
    },
};

/// What [`check`] has looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Everything.
    All,
    /// All but whether the root key is the store's: another process has the store open.
    AllButTheStore,
}

/// What the store is called in messages: its file, or the database.
pub(super) fn name(config: &Config) -> PathBuf {
    match config.store.engine {
        StoreEngine::Redb => config.store.path.clone(),
        StoreEngine::Postgres => format!("postgresql:{}", config.store.postgres.database).into(),
    }
}

/// How the database is reached.
#[must_use]
pub fn postgres(config: &Config) -> PostgresOptions {
    let said = &config.store.postgres;
    let host =
        |host: &config::DatabaseHost| PostgresHost { host: host.host.clone(), port: host.port };
    PostgresOptions {
        password_file: said.password_file.clone(),
        ca: said.ca.clone(),
        certificate: said.certificate.clone().zip(said.private_key.clone()),
        require_sync: match said.require_sync {
            config::RequireSync::Yes => postgres::RequireSync::Yes,
            config::RequireSync::Provider => postgres::RequireSync::Provider,
            config::RequireSync::No => postgres::RequireSync::No,
        },
        read_connections: said.read_connections,
        view_connections: said.view_connections,
        connect_time: said.connect_time.0,
        commit_time: said.commit_time.0,
        settle_time: said.settle_time.0,
        max_stale: said.max_stale.0,
        unready_after: said.unready_after.0,
        queue_batches: config.store.queue,
        answers_bytes: if config.store.cache_reads { config.store.record_cache.0 } else { 0 },
        ..PostgresOptions::new(
            said.hosts.iter().map(host).collect(),
            said.database.clone(),
            said.user.clone(),
        )
    }
}

pub(super) async fn open(
    config: &Config,
    observer: StoreObserver,
    upgrade: Arc<Upgrade>,
    weights: Arc<Weights>,
) -> Result<Arc<dyn Engine>, AppError> {
    let observer = Arc::new(observer);
    if config.store.engine == StoreEngine::Postgres {
        let options = PostgresOptions { weights, ..postgres(config) };
        let engine = PostgresEngine::open(options, observer).await;
        return Ok(Arc::new(engine.map_err(|fault| AppError::Database(name(config), fault))?));
    }
    let path = config.store.path.clone();
    let options = RedbOptions {
        cache_bytes: config.store.cache.0,
        record_cache_bytes: config.store.record_cache.0,
        log_bytes: config.store.log.0 as u64,
        queue_batches: config.store.queue,
        upgrade: Some(upgrade),
        weights,
        ..RedbOptions::new(path.clone())
    };
    let opened = tokio::task::spawn_blocking(move || RedbEngine::open(&options, observer)).await;
    let engine = opened.map_err(|error| AppError::Internal(error.into()))?;
    Ok(Arc::new(engine.map_err(|error| AppError::Store(path, error))?))
}

/// Whether the store, if there is one, was made with the root key of this id. Changes nothing.
pub(super) async fn check(config: &Config, root: &[u8]) -> Result<Checked, AppError> {
    let key = region::root_key();
    let found = if config.store.engine == StoreEngine::Postgres {
        let unread = |fault| AppError::Database(name(config), fault);
        postgres::peek(&postgres(config), region::SPACE, &key).await.map_err(unread)?
    } else {
        match RedbEngine::peek(&config.store.path, region::SPACE, &key) {
            Ok(record) => record,
            Err(OpenError::File(FileError::InUse)) => return Ok(Checked::AllButTheStore),
            Err(error) => return Err(AppError::Store(config.store.path.clone(), error)),
        }
    };
    match found {
        Some(record) if *record.bytes != *root => Err(AppError::WrongRootKey(
            config.keys.root_key.as_path().into(),
            name(config).as_path().into(),
        )),
        _ => Ok(Checked::All),
    }
}

/// Tells the metrics what the engine does, and the engine the time.
pub(super) struct StoreObserver {
    metrics: CommitMetrics,
    time: Arc<StoreClock>,
}

impl StoreObserver {
    pub(super) fn new(metrics: &Arc<Metrics>, time: &Arc<StoreClock>) -> Self {
        Self { metrics: CommitMetrics(Arc::clone(metrics)), time: Arc::clone(time) }
    }
}

impl Observer for StoreObserver {
    fn committed(&self, batches: usize, operations: usize, elapsed: Duration) {
        self.metrics.committed(batches, operations, elapsed);
    }

    fn commit_failed(&self, batches: usize) {
        self.metrics.commit_failed(batches);
    }

    fn brought_up(&self, elapsed: Duration) {
        Observer::brought_up(&self.metrics, elapsed);
    }

    fn fell_behind(&self) {
        Observer::fell_behind(&self.metrics);
    }

    fn filled_up(&self) {
        Observer::filled_up(&self.metrics);
    }

    fn moment(&self) -> Option<u64> {
        u64::try_from(self.time.now().unix_nanos()).ok()
    }
}

/// Tells the metrics what the engine does.
pub struct CommitMetrics(pub Arc<Metrics>);

impl Observer for CommitMetrics {
    fn committed(&self, batches: usize, operations: usize, elapsed: Duration) {
        self.0.store().committed(batches, operations, elapsed);
    }

    fn commit_failed(&self, _: usize) {
        self.0.store().commit_failed();
    }

    fn brought_up(&self, elapsed: Duration) {
        self.0.store().checkpoint(elapsed);
    }

    fn fell_behind(&self) {
        self.0.store().checkpoint_failed();
    }

    fn filled_up(&self) {
        self.0.store().log_full();
    }
}
