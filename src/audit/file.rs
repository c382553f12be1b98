//! A file of records, and those before it.
//!
//! Always holds: nobody but its owner may open a file; one process writes it; what was written stays
//! as it is. A file that is full or old is renamed after the last record in it, so that names sort
//! as records do. Never does: remove a file that it has not named itself.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::device::{Device, Disk, Opened, sync};

/// When a file gives way to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Once it has so many bytes.
    pub bytes: u64,
    /// Once it is so old.
    pub age: Duration,
    /// How many of those before are kept; all where it is nothing.
    pub keep: usize,
}

/// Writes records to a file.
#[derive(Debug)]
pub struct FileDevice {
    path: PathBuf,
    name: String,
    rotation: Rotation,
    file: File,
    disk: Disk,
    length: u64,
    opened: Instant,
}

/// How many digits the number of a record has in the name of a file.
const DIGITS: usize = 20;

impl FileDevice {
    /// The file at `path`, which is made where there is none.
    ///
    /// # Errors
    /// The system's; `ResourceBusy` where another process writes it.
    pub fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        let (file, disk, length) = open(path)?;
        Ok(Self {
            path: path.to_owned(),
            name: format!("file {}", path.display()),
            rotation,
            disk: Disk::new(disk),
            file,
            length,
            opened: Instant::now(),
        })
    }

    /// It as a device, once whoever looks at what is in the file has done so.
    ///
    /// # Errors
    /// The system's.
    pub fn into_device(mut self) -> io::Result<Box<dyn Device>> {
        self.length = self.file.metadata()?.len();
        Ok(Box::new(self))
    }

    /// The files of records at `path`, in order: those before, and the one that is written.
    ///
    /// # Errors
    /// The system's.
    pub fn all(path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut all = before(path)?;
        if path.exists() {
            all.push(path.to_owned());
        }
        Ok(all)
    }

    fn replace(&mut self) -> io::Result<()> {
        let (file, disk, length) = open(&self.path)?;
        self.disk.replace(disk);
        self.file = file;
        self.length = length;
        self.opened = Instant::now();
        Ok(())
    }

    /// Removes files that are more than are kept.
    fn forget(&self) -> io::Result<()> {
        let before = before(&self.path)?;
        let most = match self.rotation.keep {
            0 => 0,
            keep => before.len().saturating_sub(keep),
        };
        before.iter().take(most).try_for_each(fs::remove_file)?;
        folder(&self.path).map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    /// Whether the file that is written is the one at the path.
    fn is_there(&self) -> io::Result<bool> {
        let own = self.file.metadata()?;
        match fs::metadata(&self.path) {
            Ok(there) => Ok((there.dev(), there.ino()) == (own.dev(), own.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Device for FileDevice {
    fn name(&self) -> &str {
        &self.name
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.length += written as u64;
        Ok(written)
    }

    fn tend(&mut self, last: u64) -> io::Result<Opened> {
        let is_full = self.length >= self.rotation.bytes;
        let is_old = self.length > 0 && self.opened.elapsed() >= self.rotation.age;
        if !is_full && !is_old {
            return Ok(Opened::Same);
        }
        sync(&self.file)?;
        fs::rename(&self.path, named_after(&self.path, last))?;
        self.replace()?;
        self.forget()?;
        Ok(Opened::Other)
    }

    fn reopen(&mut self, whole: u64, durable: u64) -> io::Result<Opened> {
        if self.is_there()? {
            return Ok(Opened::Same);
        }
        // On a device that is no file, or does not work, there is nothing to be cut.
        if whole < self.length {
            let _if_it_can_be = self.cut(whole);
        }
        let is_durable = sync(&self.file).is_ok();
        if !is_durable {
            let _if_it_can_be = self.cut(durable);
        }
        self.replace()?;
        Ok(if is_durable { Opened::Other } else { Opened::OtherOnly })
    }

    fn disk(&self) -> Option<Disk> {
        Some(self.disk.clone())
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.length = length;
        Ok(())
    }
}

/// The file, to write and to make durable, and its length. Each is told for itself of what the disk
/// could not take.
fn open(path: &Path) -> io::Result<(File, File, u64)> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => io::ErrorKind::ResourceBusy.into(),
        TryLockError::Error(error) => error,
    })?;
    let disk = OpenOptions::new().append(true).open(path)?;
    let (own, other) = (file.metadata()?, disk.metadata()?);
    if (own.dev(), own.ino()) != (other.dev(), other.ino()) {
        return Err(io::Error::other("it was replaced while it was opened"));
    }
    Ok((file, disk, own.len()))
}

fn folder(path: &Path) -> Option<&Path> {
    path.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

/// The name of a file whose last record has this number: `audit-00000000000000000042.log`.
fn named_after(path: &Path, last: u64) -> PathBuf {
    let (stem, extension) = parts(path);
    path.with_file_name(format!("{stem}-{last:0DIGITS$}{extension}"))
}

fn parts(path: &Path) -> (String, String) {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy()));
    (stem.unwrap_or_default(), extension.unwrap_or_default())
}

fn before(path: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(folder) = folder(path) else { return Ok(Vec::new()) };
    let (stem, extension) = parts(path);
    let is_ours = |name: &str| {
        let number = name
            .strip_prefix(&stem)
            .and_then(|rest| rest.strip_prefix('-')?.strip_suffix(&extension));
        number.is_some_and(|number| {
            number.len() == DIGITS && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_ours) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
