//! A store in a stream: out of the engine that the configuration names, or into it.
//!
//! Always holds: a store is taken in whole or not at all, and only by whoever has its root key. Never does: serve.

use std::{
    io::{Read, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use super::{
    engine::{self, name},
    error::AppError,
};
use crate::{
    clock::Clock,
    config::{Config, StoreEngine},
    crypto::{FileRootKey, RootKey as _},
    store::{
        engine::{Engine, Observer},
        engines::postgres::{self, PostgresEngine},
        engines::redb::{FillError, RedbEngine, RedbOptions},
        export::{self, Import, ImportError},
        kinds::{SPACES, region},
    },
};

/// Counts nothing.
struct Unwatched;

impl Observer for Unwatched {
    fn committed(&self, _: usize, _: usize, _: Duration) {}
    fn commit_failed(&self, _: usize) {}
}

/// Writes all records of the store at this moment, and gives their number. A redb store must not be served meanwhile.
///
/// # Errors
/// `AppError` says what stands in the way; what was written is no export then.
pub async fn export_store(
    config: &Config,
    clock: &dyn Clock,
    to: impl Write + Send,
) -> Result<u64, AppError> {
    let engine: Box<dyn Engine> = match config.store.engine {
        StoreEngine::Postgres => {
            let opened = PostgresEngine::open(engine::postgres(config), Arc::new(Unwatched)).await;
            Box::new(opened.map_err(|fault| AppError::Database(name(config), fault))?)
        }
        StoreEngine::Redb => {
            let path = &config.store.path;
            let unopened = |error| AppError::Store(path.clone(), error);
            if !path.try_exists().is_ok_and(|there| there) {
                return Err(AppError::NoStore(path.clone()));
            }
            let log_bytes = config.store.log.0 as u64;
            let options = RedbOptions { log_bytes, ..RedbOptions::new(path) };
            Box::new(RedbEngine::open(&options, Arc::new(Unwatched)).map_err(unopened)?)
        }
    };
    let present = u64::try_from(clock.now().unix_nanos()).ok();
    let exported = export::export(&*engine, &SPACES, present, to).await;
    exported.map_err(|error| AppError::Export(name(config), error))
}

/// Makes a store of what was exported, and gives the number of its records. In PostgreSQL it was made before, and has
/// nothing.
///
/// # Errors
/// `AppError` says what stands in the way; the store is as it was then.
pub async fn import_store(config: &Config, from: impl Read + Send) -> Result<u64, AppError> {
    let root = FileRootKey::load(&config.keys.root_key)?.id();
    let import = Import::open(from, &SPACES).map_err(|error| unread(config, error))?;
    let mut import = import.of((region::SPACE, region::root_key(), root.to_vec()));
    match config.store.engine {
        StoreEngine::Postgres => {
            let filled = postgres::fill(&engine::postgres(config), &mut import).await;
            filled.map_err(|error| match error {
                postgres::FillError::Import(error) => unread(config, error),
                postgres::FillError::Fault(fault) => AppError::Database(name(config), fault),
                error @ postgres::FillError::NotNew => {
                    AppError::NotFilled(name(config), error.into())
                }
            })
        }
        StoreEngine::Redb => {
            let filled = RedbEngine::fill(&config.store.path, &mut import);
            filled.map_err(|error| match error {
                FillError::Import(error) => unread(config, error),
                FillError::Open(error) => AppError::Store(name(config), error),
                error @ FillError::NotNew => AppError::NotFilled(name(config), error.into()),
            })
        }
    }
}

fn unread(config: &Config, error: ImportError) -> AppError {
    match error {
        ImportError::Another => AppError::WrongRootKey(
            config.keys.root_key.as_path().into(),
            Path::new("that was exported").into(),
        ),
        error => AppError::NotFilled(name(config), error.into()),
    }
}
