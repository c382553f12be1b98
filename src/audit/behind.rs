//! What a trail has behind a record, the oldest first, while it is written.
//!
//! Always holds: records come in their order, each once and none left out that is still there, whatever
//! is renamed or packed meanwhile. Never does: wait for what was not written yet, or read from the
//! beginning what lies far behind.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use super::{
    chain::{ChainId, Position},
    file::before,
    packed::{self, Lines},
};

/// How much is looked at for the beginning of a line, in bytes.
const PIECE: usize = 64 << 10;

/// The records behind one, as they are read.
pub struct Behind {
    chain: ChainId,
    /// The number of the last one.
    seq: u64,
    /// The files that were before the one that is written, the next one last.
    files: Vec<PathBuf>,
    /// That one.
    newest: Option<File>,
    lines: Option<Lines>,
}

impl Behind {
    /// Those of the trail at `path` behind that record.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path, chain: ChainId, seq: u64) -> io::Result<Self> {
        // Before it is looked which there are: if it is renamed meanwhile, it is among these as well, and
        // what comes twice is passed over.
        let newest = open(path)?;
        let mut behind = Self { chain, seq, files: Vec::new(), newest: None, lines: None };
        let first = newest.as_ref().map(|newest| number(newest, 0)).transpose()?.flatten();
        behind.newest = newest;
        if first.is_some_and(|(of, first)| of != chain || first <= seq + 1) {
            return Ok(behind);
        }
        for file in before(path)?.into_iter().rev() {
            let first = match Lines::open(&file) {
                // It is more than is kept.
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                lines => lines?.next_line()?.and_then(|line| begins(line.text)),
            };
            let Some((_, first)) = first.filter(|(of, _)| *of == chain) else { break };
            behind.files.push(file);
            if first <= seq + 1 {
                break;
            }
        }
        Ok(behind)
    }

    /// The next one: its number, and its line without a line feed. Nothing where there is none yet.
    ///
    /// # Errors
    /// The system's.
    pub fn next_line(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        loop {
            let Some(lines) = &mut self.lines else {
                match self.next_file()? {
                    Some(lines) => self.lines = Some(lines),
                    None => return Ok(None),
                }
                continue;
            };
            let Some(line) = lines.next_line()?.filter(|line| line.is_whole) else {
                self.lines = None;
                continue;
            };
            match begins(line.text) {
                Some((chain, seq)) if chain == self.chain && seq > self.seq => self.seq = seq,
                _ => continue,
            }
            return Ok(self.lines.as_ref().map(|lines| (self.seq, lines.last())));
        }
    }

    fn next_file(&mut self) -> io::Result<Option<Lines>> {
        let (file, is_packed) = match self.files.last() {
            Some(path) => match packed::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.files.pop();
                    return self.next_file();
                }
                opened => opened?,
            },
            None => match self.newest.take() {
                Some(file) => (file, false),
                None => return Ok(None),
            },
        };
        let path = self.files.pop();
        if let Some(path) = path.filter(|_| is_packed) {
            return Lines::open(&path).map(Some);
        }
        let from = place(&file, self.chain, self.seq)?;
        Lines::of(file, from).map(Some)
    }
}

/// The file that is written; nothing where what is there is no file.
pub(super) fn open(path: &Path) -> io::Result<Option<File>> {
    // A pipe would wait for whoever writes it.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        file => {
            let file = file?;
            Ok(file.metadata()?.is_file().then_some(file))
        }
    }
}

/// Where in a file to begin, so that nothing behind that record is left out.
fn place(file: &File, chain: ChainId, seq: u64) -> io::Result<u64> {
    let (mut low, mut high) = (0, file.metadata()?.len());
    let mut piece = vec![0; PIECE];
    while high - low > PIECE as u64 {
        let middle = low + (high - low) / 2;
        let read = file.read_at(&mut piece, middle)?;
        let feed = piece.iter().take(read).position(|byte| *byte == b'\n');
        let begin = feed.map(|at| middle + at as u64 + 1).filter(|begin| *begin < high);
        let found = begin.map(|begin| number(file, begin)).transpose()?.flatten();
        match (begin, found) {
            (Some(begin), Some((of, number))) if of == chain && number <= seq => low = begin,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// Which record the line is that begins there.
fn number(file: &File, at: u64) -> io::Result<Option<(ChainId, u64)>> {
    let mut beginning = [0; 64];
    let read = file.read_at(&mut beginning, at)?;
    Ok(begins(beginning.get(..read).unwrap_or_default()))
}

/// Which record a line is that begins so, as [`Position`] links it.
fn begins(line: &[u8]) -> Option<(ChainId, u64)> {
    let rest = line.strip_prefix(Position::CHAIN.as_bytes())?;
    let (chain, rest) = rest.split_at_checked(16)?;
    let rest = rest.strip_prefix(Position::SEQ.as_bytes())?;
    let end = rest.iter().position(|byte| *byte == b',')?;
    let digits = std::str::from_utf8(rest.get(..end)?).ok()?;
    Some((ChainId::parse(std::str::from_utf8(chain).ok()?)?, digits.parse().ok()?))
}
