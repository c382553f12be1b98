//! The database file as redb sees it.
//!
//! Owns the file handle and the one advisory lock on it. Always holds: while a [`LockedFile`] is
//! not closed, no other process that asks for the lock has the file open; a file that bears the
//! database's name is a whole database. Never does: caching, or a decision about failures.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use redb::StorageBackend;

use crate::durable::{behind, sync_folder};

/// Why the file could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Another process works on it.
    #[error("another process has the database file open")]
    InUse,
    /// There is a file, but nothing in it.
    #[error("the database file is empty: put the right one there, or remove it for a new store")]
    Empty,
    /// The operating system refused.
    #[error("the database file cannot be opened: {0}")]
    Io(#[from] io::Error),
}

/// A file under an exclusive advisory lock.
#[derive(Debug)]
pub(super) struct LockedFile {
    file: File,
}

/// A new database that does not bear its name yet.
pub(super) struct Unnamed {
    made: PathBuf,
    name: PathBuf,
}

impl LockedFile {
    /// Opens and locks the file, readable by its owner only. If it does not exist, gives an empty
    /// file with another name: redb cannot open a database whose making was interrupted, so the
    /// name is given when it is made.
    pub(super) fn open(path: &Path) -> Result<(Self, Option<Unnamed>), FileError> {
        if exists(path)? {
            return Ok((Self::lock(path)?, None));
        }
        let made = behind(path, ".new");
        let locked = Self::lock(&made)?;
        if exists(path)? {
            // Another process was faster between the first look and the lock.
            fs::remove_file(&made)?;
            return Ok((Self::lock(path)?, None));
        }
        locked.file.set_len(0)?;
        Ok((locked, Some(Unnamed { made, name: path.to_owned() })))
    }

    /// Opens and locks a log, which is made where there is none, empty.
    pub(super) fn open_log(path: &Path) -> Result<Self, FileError> {
        let locked = Self::lock(path)?;
        // Each time: whoever made it may have ended before this.
        sync_folder(path)?;
        Ok(locked)
    }

    fn lock(path: &Path) -> Result<Self, FileError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(FileError::InUse),
            Err(TryLockError::Error(error)) => Err(FileError::Io(error)),
        }
    }
}

/// Whether there is a database. A file that cannot be looked at, or is empty, is not taken for
/// "none": whatever it was must not be replaced by a new store.
fn exists(path: &Path) -> Result<bool, FileError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
        Ok(_) if fs::metadata(path)?.len() == 0 => Err(FileError::Empty),
        Ok(_) => Ok(true),
    }
}

impl Unnamed {
    /// Gives the database its name, durably.
    pub(super) fn name(self) -> Result<(), FileError> {
        fs::rename(&self.made, &self.name)?;
        Ok(sync_folder(&self.name)?)
    }
}

impl StorageBackend for LockedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    fn close(&self) -> io::Result<()> {
        // Snapshots may keep the handle for longer than the engine lives; the lock must not wait
        // for them.
        self.file.unlock()
    }
}
