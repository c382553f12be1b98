//! One look into a database that nobody is to notice.
//!
//! Always holds: the file is opened for reading only, and nothing is written to it: what redb
//! writes when it opens a database, repairs included, goes to an [`Overlay`]. Never does: wait for
//! whoever has the file open.

use std::{
    fs::{File, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use redb::StorageBackend;

use super::{
    FileError, OpenError, RedbEngine,
    backend::Disk,
    guard::guarded,
    log::{Log, LogError},
    log_path,
    overlay::Overlay,
    recent::{Known, Recent},
    tables::{Generation, Layout, LayoutError, Standing},
};
use crate::store::{
    engine::{Record, Space},
    kinds,
};

/// Memory for pages: one record is all that is wanted.
const CACHE_BYTES: usize = 1 << 20;

impl RedbEngine {
    /// The record under `key` in the database file at `path`, if there is such a file and such a
    /// record.
    ///
    /// # Errors
    /// `FileError::InUse` while another process has it open; others if it is damaged, or of another
    /// version.
    pub fn peek(path: &Path, space: Space, key: &[u8]) -> Result<Option<Record>, OpenError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileError::Io(error).into()),
        };
        // Shared: two may look at once, and a server that starts meanwhile is told so.
        match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FileError::InUse.into()),
            Err(TryLockError::Error(error)) => return Err(FileError::Io(error).into()),
        }
        if file.metadata().map_err(FileError::Io)?.len() == 0 {
            return Err(FileError::Empty.into());
        }
        let disk = Disk::new(Box::new(ReadOnly(file))).map_err(FileError::Io)?;
        let (overlay, fence) = Overlay::new(&disk).map_err(FileError::Io)?;
        let look = || -> Result<_, OpenError> {
            let database = Generation::open(overlay, fence, CACHE_BYTES, 0, &[space])?;
            if database.layout()? == Layout::New {
                return Ok(None);
            }
            let base = database.base()?;
            let recent = changes(path, &base.standing)?;
            let known = recent.get(space, key).or_else(|| base.aside.get(space, key));
            if let Some(Known(record)) = known {
                return Ok(record.cloned());
            }
            Ok(base.get(space, key).map_err(|error| LayoutError::Redb(error.into()))?)
        };
        guarded(look).unwrap_or_else(|panicked| Err(OpenError::Damaged(panicked.into())))
    }
}

/// What the log has that the database has not.
fn changes(path: &Path, standing: &Standing) -> Result<Recent, OpenError> {
    let mut recent = Recent::default();
    let log = match File::open(log_path(path)) {
        Ok(file) => Box::new(ReadOnly(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return if standing.is_closed { Ok(recent) } else { Err(LogError::Missing.into()) };
        }
        Err(error) => return Err(LogError::Io(error).into()),
    };
    if Log::counts(&*log, standing)? {
        let opened = Log::read(log, standing, &kinds::SPACES)?;
        opened.groups.into_iter().for_each(|group| recent.add(group));
    }
    Ok(recent)
}

/// A file that is only read.
#[derive(Debug)]
struct ReadOnly(File);

impl StorageBackend for ReadOnly {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}
