//! What keeps lines: the contract of a device.

use std::{
    fmt,
    fs::File,
    io,
    sync::{Arc, Mutex, PoisonError},
};

/// What a device writes to from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// What it wrote to before.
    Same,
    /// Another file, and all that was written before is durable.
    Other,
    /// Another file, and what was written before may be lost.
    OtherOnly,
}

/// Whether a device wants the record in a line.
pub type Wants = fn(&[u8]) -> bool;

/// How far a device has come with what it reads for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caught {
    /// It has all that it was to read.
    Up,
    /// It has some of it, and goes on when it is asked again.
    Partly,
    /// What is left cannot be read yet.
    NotYet,
}

/// In which form a device gets records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they are: linked, and signed.
    Own,
    /// As Vault writes them, without what shows that they are all there.
    Vault,
}

/// Something that lines are written to, by one thread.
pub trait Device: Send {
    /// How the log and the figures call it.
    fn name(&self) -> &str;

    /// Takes bytes from the beginning of `bytes`, at least one, and says how many. Lines come whole,
    /// though not at once.
    ///
    /// # Errors
    /// The system's; nothing was taken then, and the same bytes come again.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Between two lines, of which the last one has this number: what is due, such as another file.
    ///
    /// # Errors
    /// The system's.
    fn tend(&mut self, _last: u64) -> io::Result<Opened> {
        Ok(Opened::Same)
    }

    /// Which records it wants; nothing where it is all.
    fn wants(&self) -> Option<Wants> {
        None
    }

    /// Of a device that can read for itself what it was not given: the last record that it has seen.
    fn seen(&self) -> Option<u64> {
        None
    }

    /// Reads for itself what it has not seen up to the record of this number, as much as can be had in a
    /// second.
    ///
    /// # Errors
    /// The system's. What was read is kept, and the rest is asked for again.
    fn catch_up(&mut self, _to: u64) -> io::Result<Caught> {
        Ok(Caught::Up)
    }

    /// Opens it anew, if somebody has moved it away. Behind `whole` bytes of it there is the beginning
    /// of a line that comes again; behind `durable` bytes is what may be lost, and comes again if it
    /// is.
    ///
    /// # Errors
    /// The system's.
    fn reopen(&mut self, _whole: u64, _durable: u64) -> io::Result<Opened> {
        Ok(Opened::Same)
    }

    /// What makes durable what was written, where that takes something.
    fn disk(&self) -> Option<Disk> {
        None
    }

    /// How long it is, in bytes.
    fn length(&self) -> u64 {
        0
    }

    /// Makes a file that could not be made durable as long as it was when that last succeeded: the
    /// system may have forgotten what it could not write. What is cut off comes again.
    ///
    /// # Errors
    /// The system's.
    fn cut(&mut self, _length: u64) -> io::Result<()> {
        Ok(())
    }
}

/// What was written to can be made durable.
pub trait Medium: Send + Sync {
    /// Makes durable what was written before.
    ///
    /// # Errors
    /// The system's. What was written may be lost then.
    fn sync(&self) -> io::Result<()>;
}

impl Medium for File {
    fn sync(&self) -> io::Result<()> {
        sync(self)
    }
}

/// What is written at present, for whoever makes it durable beside the one who writes.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<Arc<dyn Medium>>>);

impl Disk {
    /// That one.
    #[must_use]
    pub fn new(medium: impl Medium + 'static) -> Self {
        Self(Arc::new(Mutex::new(Arc::new(medium))))
    }

    /// Another one from now on. The one before must be durable.
    pub fn replace(&self, medium: impl Medium + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(medium);
    }

    /// Makes durable what was written before.
    ///
    /// # Errors
    /// The system's. What was written may be lost then.
    pub fn sync(&self) -> io::Result<()> {
        let medium = Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner));
        medium.sync()
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk(..)")
    }
}

/// Makes durable what was written to a file before.
///
/// # Errors
/// The system's. What was written may be lost then; each of those who have opened the file is told
/// once.
pub(super) fn sync(file: &File) -> io::Result<()> {
    match file.sync_data() {
        // What has no disk beneath has nothing to be made durable.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        outcome => outcome,
    }
}
