//! What keeps lines: the contract of a device.

use std::{
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

/// The file that is written at present, for whoever makes it durable beside the one who writes.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Mutex<Arc<File>>>);

impl Disk {
    /// That file.
    #[must_use]
    pub fn new(file: File) -> Self {
        Self(Arc::new(Mutex::new(Arc::new(file))))
    }

    /// Another one from now on. The one before must be durable.
    pub fn replace(&self, file: File) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(file);
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> Arc<File> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes durable what was written before.
    ///
    /// # Errors
    /// The system's. What was written may be lost then.
    pub fn sync(&self) -> io::Result<()> {
        sync(&self.file())
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
