//! A new store of what another one had.
//!
//! Always holds: the file bears its name when all is in it, and not before. Never does: add to a store that is there.

use std::path::Path;

use super::{
    FileError, OpenError, RedbEngine,
    backend::Disk,
    file::LockedFile,
    log_path,
    stored::encode,
    tables::{Generation, Standing, open_for_write, standing},
};
use crate::store::{
    engine::Revision,
    export::{Import, ImportError},
    kinds,
};
use redb::ReadableDatabase as _;

/// Memory for pages, in bytes.
const CACHE_BYTES: usize = 64 << 20;

/// Why a store was not filled. There is none then.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// There is one already.
    #[error(
        "there is a store already: an import makes a new one; move what is there, and its -log, away"
    )]
    NotNew,
    /// What it is filled with.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The file.
    #[error(transparent)]
    Open(#[from] OpenError),
}

fn database(error: impl Into<redb::Error>) -> OpenError {
    OpenError::Database(Box::new(error.into()))
}

impl RedbEngine {
    /// Makes a store at `path` of what is imported, and gives the number of its records.
    ///
    /// # Errors
    /// Where there is one already; what the disk says, or the import. Nothing is there then, under this name.
    pub fn fill(path: &Path, import: &mut Import<'_>) -> Result<u64, FillError> {
        let is_there = |path: &Path| path.try_exists().map_err(FileError::Io);
        if is_there(path).map_err(OpenError::File)?
            || is_there(&log_path(path)).map_err(OpenError::File)?
        {
            return Err(FillError::NotNew);
        }
        let (file, unnamed) = LockedFile::open(path).map_err(OpenError::File)?;
        let unnamed = unnamed.ok_or(FillError::NotNew)?;
        let disk = Disk::new(Box::new(file)).map_err(FileError::Io).map_err(OpenError::File)?;
        let (lease, fence) = disk.lease();
        let made = Generation::open(lease, fence, CACHE_BYTES, 0, &kinds::SPACES)
            .map_err(OpenError::from)?;
        made.prepare(None).map_err(OpenError::from)?;
        let count = write(&made, import)?;
        drop(made);
        unnamed.name().map_err(OpenError::File)?;
        Ok(count)
    }
}

fn write(made: &Generation, import: &mut Import<'_>) -> Result<u64, FillError> {
    let before = standing(&made.database.begin_read().map_err(database)?).map_err(database)?;
    let origin = import.origin();
    let revision = Revision(origin.revision.0 + 1);
    let writing = made.begin().map_err(database)?;
    let mut spaces = open_for_write(&writing, &kinds::SPACES).map_err(database)?;
    let mut count = 0;
    for record in import {
        let (space, key, bytes) = record?;
        let table = spaces.of_mut(space).map_err(database)?;
        table.insert(&*key, &*encode(revision, &bytes)).map_err(database)?;
        count += 1;
    }
    drop(spaces);
    Standing { revision, moment: origin.moment, ..before }.write(&writing).map_err(database)?;
    writing.commit().map_err(database)?;
    Ok(count)
}
