//! Storage in memory that fails on demand and remembers what was asked of it: two files, the
//! database and its log, on one disk.

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use okmsd::store::engines::redb::StorageBackend;

/// The smallest piece that a disk writes whole.
pub const SECTOR: usize = 512;

/// Which of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    Database,
    Log,
}

/// What is in both files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub database: Vec<u8>,
    pub log: Vec<u8>,
}

impl Image {
    pub fn of(&mut self, file: File) -> &mut Vec<u8> {
        match file {
            File::Database => &mut self.database,
            File::Log => &mut self.log,
        }
    }
}

impl From<Vec<u8>> for Image {
    fn from(database: Vec<u8>) -> Self {
        Self { database, log: Vec::new() }
    }
}

/// What the storage went through, in order.
#[derive(Clone, Debug)]
pub enum Event {
    Write(File, u64, Vec<u8>),
    SetLen(File, u64),
    /// Everything before is durable.
    Sync(File),
    /// The operating system has forgotten what was written since the last sync. It may be on disk
    /// or not, and reads show it all the same.
    LostSync(File),
    /// A word of the test's own.
    Mark(Mark),
}

#[derive(Clone, Copy, Debug)]
pub enum Mark {
    /// The engine was asked to commit so many batches in all.
    Begun(usize),
    /// The engine has acknowledged, or shown, so many batches in all.
    Known(usize),
}

/// How the storage fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not at all.
    None,
    /// From this operation on, nothing can be written or synced.
    Broken(u64),
    /// From this operation on, the disk is full: it takes the first sectors of a write.
    Full(u64),
    /// This one operation fails. What a sync should have saved is forgotten.
    OneBroken(u64),
    /// For this one operation the disk is full: it takes the first sectors of a write. Some disks
    /// say so of a sync only.
    OneFull(u64),
    /// This one sync fails, and what it should have saved is forgotten.
    OneSync(u64),
    /// This one sync ends in a panic.
    OnePanic(u64),
}

#[derive(Clone)]
pub struct Storage(Arc<Mutex<Inner>>, File);

struct Inner {
    image: Image,
    log: Vec<Event>,
    fault: Fault,
    /// The file that fails; both, where none is named.
    victim: Option<File>,
    reads_fail: bool,
    /// Of the reads of the database that find many such bytes, so many go on, and the others wait.
    held: Option<(u8, usize)>,
    /// What a sync takes.
    sync_time: Duration,
    /// A sector that cannot be read.
    bad: Option<usize>,
    /// Bits that were turned over.
    flipped: Vec<usize>,
    operations: u64,
    syncs: u64,
}

impl Storage {
    /// The database's file, beside the log's.
    pub fn new(image: impl Into<Image>) -> Self {
        let (log, fault) = (Vec::new(), Fault::None);
        let inner = Arc::new(Mutex::new(Inner {
            image: image.into(),
            log,
            fault,
            victim: None,
            reads_fail: false,
            held: None,
            sync_time: Duration::ZERO,
            bad: None,
            flipped: Vec::new(),
            operations: 0,
            syncs: 0,
        }));
        Self(inner, File::Database)
    }

    /// What a process finds that starts when this one is killed: the same files, which nobody else
    /// writes to, and what of them is not durable yet.
    pub fn killed(&self) -> Self {
        let next = Self::new(self.image());
        next.inner().log = self.log();
        next
    }

    /// The log's file on the same disk.
    pub fn beside(&self) -> Self {
        Self(Arc::clone(&self.0), File::Log)
    }

    /// Counts operations and syncs from here on.
    pub fn fail(&self, fault: Fault) {
        let mut inner = self.inner();
        (inner.fault, inner.victim) = (fault, None);
        (inner.operations, inner.syncs) = (0, 0);
    }

    /// The same for one file alone.
    pub fn fail_only(&self, file: File, fault: Fault) {
        self.fail(fault);
        self.inner().victim = Some(file);
    }

    /// A sync takes so long from here on.
    pub fn slow(&self, sync_time: Duration) {
        self.inner().sync_time = sync_time;
    }

    pub fn fail_reads(&self, fail: bool) {
        self.inner().reads_fail = fail;
    }

    /// From here on so many reads of the database that find many bytes of this value go on, and the
    /// others wait; or none does.
    pub fn hold_reads(&self, held: Option<(u8, usize)>) {
        self.inner().held = held;
    }

    /// Whether a read waits, or the next one will.
    pub fn is_held(&self) -> bool {
        matches!(self.inner().held, Some((_, 0)))
    }

    /// From here on the sector at this offset cannot be read, or each can again.
    pub fn fail_sector(&self, offset: Option<usize>) {
        self.inner().bad = offset;
    }

    /// Turns one bit of what is stored over, unseen by anybody.
    pub fn flip(&self, bit: usize) {
        let mut inner = self.inner();
        inner.image.database[bit / 8] ^= 1 << (bit % 8);
        inner.flipped.push(bit);
    }

    /// Turns every such bit back that was not written over meanwhile.
    pub fn flip_back(&self) {
        let mut inner = self.inner();
        for bit in std::mem::take(&mut inner.flipped) {
            inner.image.database[bit / 8] ^= 1 << (bit % 8);
        }
    }

    /// The length of the database.
    pub fn len(&self) -> usize {
        self.inner().image.database.len()
    }

    pub fn mark(&self, mark: Mark) {
        self.inner().log.push(Event::Mark(mark));
    }

    /// Operations and syncs since the fault was set.
    pub fn counts(&self) -> (u64, u64) {
        let inner = self.inner();
        (inner.operations, inner.syncs)
    }

    pub fn log(&self) -> Vec<Event> {
        self.inner().log.clone()
    }

    /// What a process that starts now would find.
    pub fn image(&self) -> Image {
        self.inner().image.clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Counts an operation, and says whether it has to fail.
    fn failing(&mut self, file: File) -> Fault {
        if self.victim.is_some_and(|victim| victim != file) {
            return Fault::None;
        }
        self.operations += 1;
        match self.fault {
            Fault::Broken(from) | Fault::Full(from) if self.operations > from => self.fault,
            Fault::OneBroken(nth) | Fault::OneFull(nth) if self.operations == nth + 1 => self.fault,
            Fault::OneSync(_) | Fault::OnePanic(_) => self.fault,
            _ => Fault::None,
        }
    }

    fn put(&mut self, file: File, offset: u64, data: &[u8]) {
        write_at(self.image.of(file), offset, data);
        let start = usize::try_from(offset).unwrap();
        if file == File::Database {
            self.flipped.retain(|bit| !(start..start + data.len()).contains(&(bit / 8)));
        }
        self.log.push(Event::Write(file, offset, data.to_vec()));
    }
}

/// Writes into an image, and lets it grow.
pub fn write_at(image: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let start = usize::try_from(offset).unwrap();
    if image.len() < start + data.len() {
        image.resize(start + data.len(), 0);
    }
    image[start..start + data.len()].copy_from_slice(data);
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Storage({:?})", self.1)
    }
}

fn broken() -> io::Error {
    io::Error::other("input/output error")
}

impl StorageBackend for Storage {
    fn len(&self) -> io::Result<u64> {
        Ok(self.inner().image.of(self.1).len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut inner = self.inner();
        let start = usize::try_from(offset).unwrap();
        while let Some((byte, left)) = inner.held.filter(|_| self.1 == File::Database) {
            let found = inner.image.database.get(start..start + out.len()).unwrap_or_default();
            let is_full = |piece: &[u8]| piece.len() == 64 && piece.iter().all(|it| *it == byte);
            if !found.chunks(64).any(is_full) {
                break;
            }
            if left > 0 {
                inner.held = Some((byte, left - 1));
                break;
            }
            drop(inner);
            thread::sleep(Duration::from_millis(1));
            inner = self.inner();
        }
        if inner.reads_fail {
            return Err(broken());
        }
        let bad = inner.bad.filter(|_| self.1 == File::Database);
        if bad.is_some_and(|bad| (start..start + out.len()).contains(&bad)) {
            return Err(broken());
        }
        let found = inner
            .image
            .of(self.1)
            .get(start..start + out.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inner = self.inner();
        match inner.failing(self.1) {
            Fault::Broken(_) | Fault::OneBroken(_) => return Err(broken()),
            Fault::Full(_) | Fault::OneFull(_) if len > inner.image.of(self.1).len() as u64 => {
                return Err(io::ErrorKind::StorageFull.into());
            }
            _ => {}
        }
        inner.image.of(self.1).resize(usize::try_from(len).unwrap(), 0);
        inner.log.push(Event::SetLen(self.1, len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let time = self.inner().sync_time;
        thread::sleep(time);
        let mut inner = self.inner();
        inner.syncs += 1;
        match inner.failing(self.1) {
            Fault::Broken(_) => Err(broken()),
            Fault::OneBroken(_) => {
                inner.log.push(Event::LostSync(self.1));
                Err(broken())
            }
            Fault::OneFull(_) => {
                inner.log.push(Event::LostSync(self.1));
                Err(io::ErrorKind::StorageFull.into())
            }
            Fault::OnePanic(nth) if inner.syncs == nth => panic!("a fault in the storage's code"),
            Fault::OneSync(nth) if inner.syncs == nth => {
                inner.log.push(Event::LostSync(self.1));
                Err(broken())
            }
            _ => {
                inner.log.push(Event::Sync(self.1));
                Ok(())
            }
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut inner = self.inner();
        match inner.failing(self.1) {
            Fault::Broken(_) | Fault::OneBroken(_) => Err(broken()),
            Fault::Full(_) | Fault::OneFull(_) => {
                let fits = data.len() / 2 / SECTOR * SECTOR;
                inner.put(self.1, offset, &data[..fits]);
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => {
                inner.put(self.1, offset, data);
                Ok(())
            }
        }
    }
}
