//! A file of records, and those before it.
//!
//! Always holds: nobody but its owner may open a file; one process writes it; what was written stays
//! as it is; a pipe that stands in a file's place makes nobody wait. A file that is full or old is
//! renamed after the last record in it, or, where files of that number or a higher one are there, after the next number,
//! so that names sort as records do and no file takes another's place; and is packed then if that
//! is asked for; where it cannot be, it goes on. A file is as old as it is on its disk, whoever has begun it. No record is durable before the name of its file is. Never does: remove a file that it has not named itself.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use rustix::{
    fs::{CWD, OFlags, RenameFlags, renameat_with},
    io::Errno,
    process::geteuid,
};

use super::{
    device::{Device, Disk, Form, Medium, Opened, sync},
    packed::{self, Lines, Packer},
    vault_form,
    verify::read,
};
use crate::durable::{folder, sync_folder};

/// When a file gives way to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Once it has so many bytes.
    pub bytes: u64,
    /// Once it is so old.
    pub age: Duration,
    /// How many of those before are kept; all where it is nothing.
    pub keep: usize,
    /// Whether those are packed.
    pub packs: bool,
}

/// Who has said where a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NamedBy {
    /// Whoever runs the server: it may be a link, or no file at all.
    Config,
    /// Whoever asks over the API: it is a file of our own, and nothing else.
    Client,
}

/// Writes records to a file.
#[derive(Debug)]
pub struct FileDevice {
    path: PathBuf,
    named_by: NamedBy,
    name: String,
    rotation: Rotation,
    file: File,
    own_name: Arc<Name>,
    disk: Disk,
    length: u64,
    /// When it was begun.
    begun: SystemTime,
    /// When a file that could not be renamed is tried again.
    again: Instant,
    packer: Option<Packer>,
}

/// So long a file goes on that could not be renamed, before that is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// The name of a file, for as long as its folder may forget that.
#[derive(Debug)]
struct Name(Mutex<Option<PathBuf>>);

impl Name {
    fn sync(&self) -> io::Result<()> {
        let mut unkept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &*unkept {
            match sync_folder(path) {
                // Whoever may not read a folder can do no more for its names.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                synced => synced?,
            }
        }
        *unkept = None;
        Ok(())
    }
}

/// A file that was opened: to write, and to make durable, each told for itself of what the disk could
/// not take.
struct OpenFile {
    file: File,
    disk: Named,
    length: u64,
    begun: SystemTime,
}

/// A file whose records are durable once its name is as well.
struct Named {
    file: File,
    name: Arc<Name>,
}

impl Medium for Named {
    fn sync(&self) -> io::Result<()> {
        sync(&self.file)?;
        self.name.sync()
    }
}

/// How many digits the number of a record has in the name of a file.
const DIGITS: usize = 20;

impl FileDevice {
    /// The file at `path`, which is made where there is none.
    ///
    /// # Errors
    /// The system's; `ResourceBusy` where another process writes it.
    pub fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        Self::open_as(path, rotation, NamedBy::Config)
    }

    /// The same of a file that somebody has named over the API. It is not gone on with unless it is
    /// empty, or has records in that form.
    ///
    /// # Errors
    /// The system's, too; `InvalidInput` where it is something else, `ResourceBusy` where something
    /// else writes it.
    pub fn open_own(path: &Path, rotation: Rotation, form: Form) -> io::Result<Self> {
        let device = Self::open_as(path, rotation, NamedBy::Client)?;
        let mut lines = Lines::open(path)?;
        let is_ours = match lines.next_line()? {
            None => true,
            Some(line) if form == Form::Own => read(line.text).is_some(),
            Some(line) => vault_form::is_one(line.text),
        };
        if is_ours { Ok(device) } else { Err(foreign()) }
    }

    fn open_as(path: &Path, rotation: Rotation, named_by: NamedBy) -> io::Result<Self> {
        let OpenFile { file, disk, length, begun } = open(path, named_by)?;
        let all = path.to_owned();
        let packer = rotation.packs.then(|| Packer::start(move || before(&all))).transpose()?;
        Ok(Self {
            packer,
            path: path.to_owned(),
            named_by,
            name: format!("file {}", path.display()),
            rotation,
            own_name: Arc::clone(&disk.name),
            disk: Disk::new(disk),
            file,
            length,
            begun,
            again: Instant::now(),
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

    fn goes_on_in(&mut self, OpenFile { file, disk, length, begun }: OpenFile) {
        self.own_name = Arc::clone(&disk.name);
        self.disk.replace(disk);
        self.file = file;
        self.length = length;
        self.begun = begun;
        self.again = Instant::now();
    }

    /// Removes files that are more than are kept.
    fn forget(&self) -> io::Result<()> {
        let before = before(&self.path)?;
        let most = match self.rotation.keep {
            0 => 0,
            keep => before.len().saturating_sub(keep),
        };
        for path in before.iter().take(most) {
            packed::remove_all(&path.with_file_name(packed::plain_name(name(path)).0))?;
        }
        Ok(())
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
        let is_old =
            self.length > 0 && self.begun.elapsed().unwrap_or_default() >= self.rotation.age;
        if !is_full && !is_old || Instant::now() < self.again {
            return Ok(Opened::Same);
        }
        sync(&self.file)?;
        self.own_name.sync()?;
        if let Err(error) = give_way(&self.path, last) {
            self.again = Instant::now() + AGAIN;
            tracing::warn!(
                device = self.name, %error,
                "a full or old file of the audit trail could not be renamed; it goes on, and is tried again in a minute"
            );
            return Ok(Opened::Same);
        }
        self.goes_on_in(open(&self.path, self.named_by)?);
        // Whatever becomes of the files before, this is another one from here on.
        if let Err(error) = self.forget() {
            tracing::warn!(
                device = self.name, %error,
                "files of the audit trail that are more than are kept could not be removed; it is tried again with the next"
            );
        }
        if let Some(packer) = &self.packer {
            packer.wake();
        }
        Ok(Opened::Other)
    }

    fn reopen(&mut self, whole: u64, durable: u64) -> io::Result<Opened> {
        if self.is_there()? {
            return Ok(Opened::Same);
        }
        // If there is no other, this one stays as it is, however often it is looked at.
        let other = open(&self.path, self.named_by)?;
        // On a device that is no file, or does not work, there is nothing to be cut.
        if whole < self.length {
            let _if_it_can_be = self.cut(whole);
        }
        let is_durable = sync(&self.file).is_ok();
        if !is_durable {
            let _if_it_can_be = self.cut(durable);
        }
        self.goes_on_in(other);
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

fn open(path: &Path, named_by: NamedBy) -> io::Result<OpenFile> {
    // A file never waits for anybody. A pipe would, for whoever reads it: for ever, with the thread that
    // is to see that there is a file again.
    let flags = match named_by {
        NamedBy::Config => OFlags::NONBLOCK,
        NamedBy::Client => OFlags::NONBLOCK | OFlags::NOFOLLOW,
    };
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let options = || OpenOptions::new().append(true).custom_flags(flags).to_owned();
    let file = options().create(true).mode(0o600).open(path)?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => io::ErrorKind::ResourceBusy.into(),
        TryLockError::Error(error) => error,
    })?;
    let disk = options().open(path)?;
    let (own, other) = (file.metadata()?, disk.metadata()?);
    if (own.dev(), own.ino()) != (other.dev(), other.ino()) {
        return Err(io::Error::other("it was replaced while it was opened"));
    }
    if named_by == NamedBy::Client {
        // Under no other name, and nobody else's to read or write.
        let is_own = own.is_file() && own.nlink() == 1 && own.mode() & 0o7177 == 0;
        if !is_own || own.uid() != geteuid().as_raw() {
            return Err(foreign());
        }
    }
    // What is no file has no name of its own.
    let name = Arc::new(Name(Mutex::new(own.is_file().then(|| path.to_owned()))));
    // Where a disk does not know it, it counts from what was written last.
    let begun = own.created().or_else(|_| own.modified())?;
    Ok(OpenFile { file, disk: Named { file: disk, name }, length: own.len(), begun })
}

fn foreign() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "it is no file of records that is the server's alone",
    )
}

/// The name of a file whose last record has this number: `audit-00000000000000000042.log`.
fn named_after(path: &Path, last: u64) -> PathBuf {
    let (stem, extension) = parts(path);
    path.with_file_name(format!("{stem}-{last:0DIGITS$}{extension}"))
}

/// Renames the file at `path`, whose last record has this number, and replaces none: those of another chain may have
/// higher numbers.
fn give_way(path: &Path, last: u64) -> io::Result<()> {
    let numbers = before(path)?;
    let numbers = numbers.iter().filter_map(|file| {
        let (stem, extension) = parts(path);
        let number = packed::plain_name(name(file)).0.strip_prefix(&stem)?.strip_prefix('-')?;
        number.strip_suffix(&extension)?.parse::<u64>().ok()
    });
    let number = numbers.max().map_or(last, |highest| last.max(highest.saturating_add(1)));
    let to = named_after(path, number);
    match renameat_with(CWD, path, CWD, &to, RenameFlags::NOREPLACE) {
        // Not every disk can.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => fs::rename(path, to),
        renamed => Ok(renamed?),
    }
}

fn parts(path: &Path) -> (String, String) {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy()));
    (stem.unwrap_or_default(), extension.unwrap_or_default())
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// The files before, in order, each plain or packed. Where one is both, a crash has come in between, and
/// the plain one counts.
pub(super) fn before(path: &Path) -> io::Result<Vec<PathBuf>> {
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
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let (plain, is_packed) = packed::plain_name(name(&path));
        if is_ours(plain) {
            let plain = plain.to_owned();
            if is_packed {
                found.entry(plain).or_insert(path);
            } else {
                found.insert(plain, path);
            }
        }
    }
    Ok(found.into_values().collect())
}
