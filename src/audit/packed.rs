//! Files of records that nobody writes any more, packed with gzip, and what reads either kind.
//!
//! Always holds: a packed file has its name, and is durable, before the plain one goes, so that a crash
//! leaves one of them whole; where both are there the plain one counts, and is packed again. What a
//! damaged file has memory and time for is bounded: by [`WINDOW`], and by [`RATIO_MAX`]. Never does:
//! touch a file that is written.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    thread,
    time::Duration,
};

use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};

use crate::durable::{behind, remove, sync_folder};

/// What the name of a packed file ends with.
const ENDING: &str = ".gz";
/// What the name of one ends with that is not whole yet.
const UNFINISHED: &str = ".gz.new";
/// So often it is looked for what could not be packed.
const AGAIN: Duration = Duration::from_secs(60);
/// How much of a packed file's end is in memory, in bytes, while it is read backwards.
const WINDOW: usize = 16 << 20;
/// No file of records packs so well, as each has the hash of another in it; one that seems to was made
/// to fill whoever unpacks it.
const RATIO_MAX: u64 = 512;
/// What a packed file may unpack to, however short it is.
const TEXT_MIN: u64 = 1 << 20;
/// The longest line, in bytes. No honest one is longer.
pub(super) const LINE_MAX: usize = 1 << 20;

/// The name of a file once it is packed.
pub(super) fn name_of(plain: &Path) -> PathBuf {
    behind(plain, ENDING)
}

/// The name without what a packed file has behind it, and whether that was there.
pub(super) fn plain_name(name: &str) -> (&str, bool) {
    name.strip_suffix(ENDING).map_or((name, false), |plain| (plain, true))
}

fn is_packed(path: &Path) -> bool {
    path.to_str().is_some_and(|name| plain_name(name).1)
}

/// Packs one file, in its place.
///
/// # Errors
/// The system's; the file is as it was then.
pub(super) fn pack(plain: &Path) -> io::Result<()> {
    let unfinished = behind(plain, UNFINISHED);
    remove(&unfinished)?;
    let packed = pack_into(plain, &unfinished).and_then(|()| is_same(plain, &unfinished));
    if packed.is_err() {
        let _it_is_removed_later = remove(&unfinished);
    }
    packed?;
    fs::rename(&unfinished, name_of(plain))?;
    sync_folder(plain)?;
    remove(plain)?;
    sync_folder(plain)
}

fn pack_into(plain: &Path, new: &Path) -> io::Result<()> {
    let mut plain = File::open(plain)?;
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    let mut packing = GzEncoder::new(new, Compression::fast());
    io::copy(&mut plain, &mut packing)?;
    packing.finish()?.sync_all()
}

/// Unpacks the one and compares it with the other: the other is not there any more afterwards.
fn is_same(plain: &Path, packed: &Path) -> io::Result<()> {
    let mut plain = BufReader::with_capacity(1 << 16, File::open(plain)?);
    let mut packed = BufReader::with_capacity(1 << 16, unpacking(File::open(packed)?)?);
    loop {
        let (one, other) = (plain.fill_buf()?, packed.fill_buf()?);
        let length = one.len().min(other.len());
        if one.get(..length) != other.get(..length) || length == 0 && one.len() != other.len() {
            return Err(io::Error::other("what was packed is not what was there"));
        }
        if length == 0 {
            return Ok(());
        }
        plain.consume(length);
        packed.consume(length);
    }
}

/// Removes what was packed or was about to be, as far as it is there.
pub(super) fn remove_all(plain: &Path) -> io::Result<()> {
    [plain.to_owned(), name_of(plain), behind(plain, UNFINISHED)]
        .iter()
        .try_for_each(|path| remove(path))
}

/// The thread that packs files once they are full.
#[derive(Debug)]
pub(super) struct Packer(SyncSender<()>);

impl Packer {
    /// One that packs what `files` finds, from now on and whenever it is woken.
    ///
    /// # Errors
    /// The system's, where no thread can be had.
    pub(super) fn start(
        files: impl Fn() -> io::Result<Vec<PathBuf>> + Send + 'static,
    ) -> io::Result<Self> {
        let (wake, woken) = mpsc::sync_channel(1);
        thread::Builder::new().name("audit pack".to_owned()).spawn(move || run(&files, &woken))?;
        let packer = Self(wake);
        packer.wake();
        Ok(packer)
    }

    /// There is another file. Never waits.
    pub(super) fn wake(&self) {
        // If it cannot be told it was told, and did not hear of it yet.
        let _told_already = self.0.try_send(());
    }
}

/// Until whoever wakes it has gone.
fn run(files: &impl Fn() -> io::Result<Vec<PathBuf>>, woken: &Receiver<()>) {
    while woken.recv_timeout(AGAIN) != Err(RecvTimeoutError::Disconnected) {
        let plain = files().unwrap_or_default().into_iter().filter(|path| !is_packed(path));
        for path in plain {
            if let Err(error) = pack(&path) {
                tracing::warn!(
                    file = %path.display(), %error,
                    "a file of the audit trail could not be packed; it stays as it is, and is tried again"
                );
            }
        }
    }
}

/// What a packed file has in it.
struct Unpacking<R> {
    from: MultiGzDecoder<R>,
    /// What may still come.
    left: u64,
}

fn unpacking(file: File) -> io::Result<impl Read + Send> {
    let left = file.metadata()?.len().saturating_mul(RATIO_MAX).max(TEXT_MIN);
    Ok(Unpacking { from: MultiGzDecoder::new(BufReader::new(file)), left })
}

impl<R: BufRead> Read for Unpacking<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidData
            | io::ErrorKind::UnexpectedEof => io::Error::new(
                io::ErrorKind::InvalidData,
                "it is no whole gzip file, or is damaged",
            ),
            _ => error,
        })?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "it unpacks to more than records do")
        })?;
        Ok(read)
    }
}

/// A file, or what it has been packed into since it was found.
pub(super) fn open(path: &Path) -> io::Result<(File, bool)> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_packed(path) => {
            File::open(name_of(path)).map(|file| (file, true)).map_err(|_| error)
        }
        file => Ok((file?, is_packed(path))),
    }
}

/// The lines of a file of records, packed or not, the first one first.
pub struct Lines {
    from: Box<dyn BufRead + Send>,
    line: Vec<u8>,
}

/// A line without its line feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// What is in it.
    pub text: &'a [u8],
    /// Whether it has one; else it was cut short.
    pub is_whole: bool,
}

impl Lines {
    /// Those of this file.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let (file, is_packed) = open(path)?;
        let from: Box<dyn BufRead + Send> = if is_packed {
            Box::new(BufReader::new(unpacking(file)?))
        } else {
            Box::new(BufReader::new(file))
        };
        Ok(Self { from, line: Vec::new() })
    }

    /// Those of a file that is not packed, from a place on.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn of(mut file: File, from: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(from))?;
        Ok(Self { from: Box::new(BufReader::new(file)), line: Vec::new() })
    }

    /// The text of the one that was told last.
    pub(super) fn last(&self) -> &[u8] {
        self.line.strip_suffix(b"\n").unwrap_or(&self.line)
    }

    /// The next one.
    ///
    /// # Errors
    /// The system's, and where it is longer than any record is.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let most = LINE_MAX as u64 + 1;
        if (&mut self.from).take(most).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        if self.line.len() > LINE_MAX {
            return Err(too_long());
        }
        let whole = self.line.strip_suffix(b"\n");
        Ok(Some(Line { text: whole.unwrap_or(&self.line), is_whole: whole.is_some() }))
    }
}

/// What is said of a file with a line that none of ours is as long as.
pub(super) fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it has a line of more than 1 MiB")
}

/// The text of a file of records, packed or not, from any place on.
pub(super) struct Text {
    path: PathBuf,
    length: u64,
    origin: Origin,
}

enum Origin {
    Plain(File),
    /// What of it is in memory, and where that begins.
    Packed(Vec<u8>, u64),
}

impl Text {
    /// That of this file.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let (file, is_packed) = open(path)?;
        if !is_packed {
            let length = file.metadata()?.len();
            return Ok(Self { path: path.to_owned(), length, origin: Origin::Plain(file) });
        }
        let (mut text, mut length, mut begin) = (unpacking(file)?, 0, 0);
        let mut kept = Vec::new();
        loop {
            let read = text.by_ref().take(WINDOW as u64).read_to_end(&mut kept)?;
            length += read as u64;
            let more = kept.len().saturating_sub(WINDOW);
            kept.drain(..more);
            begin += more as u64;
            if read == 0 {
                return Ok(Self {
                    path: path.to_owned(),
                    length,
                    origin: Origin::Packed(kept, begin),
                });
            }
        }
    }

    /// How long it is, in bytes.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// What is between these places, which are no further from each other than [`WINDOW`].
    ///
    /// # Errors
    /// The system's.
    pub(super) fn between(&mut self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let size = usize::try_from(to - from).unwrap_or(usize::MAX);
        match &mut self.origin {
            Origin::Plain(file) => {
                let mut piece = vec![0; size];
                file.seek(SeekFrom::Start(from))?;
                file.read_exact(&mut piece)?;
                Ok(piece)
            }
            Origin::Packed(kept, begin) => {
                if from < *begin {
                    // It is unpacked again up to here: all that is rarely needed lies before.
                    *begin = to.saturating_sub(WINDOW as u64);
                    let mut text = unpacking(open(&self.path)?.0)?;
                    io::copy(&mut text.by_ref().take(*begin), &mut io::sink())?;
                    kept.clear();
                    text.take(to - *begin).read_to_end(kept)?;
                }
                let at = usize::try_from(from - *begin).unwrap_or(usize::MAX);
                let piece = kept.get(at..at.saturating_add(size));
                piece.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
        }
    }
}
