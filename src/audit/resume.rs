//! Where a trail goes on: its last record, and the changes of which it does not say how they ended.
//!
//! Always holds: what is found is what was written whole. A line that a crash has cut short was
//! promised to nobody, and is cut off. Never does: read more than the last checkpoint makes
//! necessary.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::OpenOptions,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    chain::Position,
    file::FileDevice,
    packed::{LINE_MAX, Text, too_long},
    unended::Unended,
    verify::read,
};
use crate::crypto::VerifyingKey;

/// How much is read at once, in bytes.
const PIECE: u64 = 1 << 20;
/// What one file has more than another at most, in bytes, so that the other gets it.
const BEHIND_MAX: usize = 16 << 20;

/// The end of a trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The last record.
    pub at: Position,
    /// The changes that are open.
    pub unended: Vec<Unended>,
    /// Whether its process has stopped in order.
    pub is_closed: bool,
    /// Whether records were put in: behind its process's stop, which is vouched for, something else comes than a start.
    pub was_put_in: bool,
    /// The records, from the first to the last one, for which nobody vouches: behind the last one that was signed.
    pub unsigned: Option<(u64, u64)>,
    /// The record that is another one than was kept apart.
    pub replaced: Option<u64>,
    /// Bytes of a line that was cut short.
    pub torn: u64,
}

/// Why a trail does not go on.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The system's reason.
    #[error("{0}: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// There is something else in the file.
    #[error("{0}: is no audit trail; move it away, or name another file")]
    Foreign(PathBuf),
}

#[derive(Deserialize)]
struct Of {
    #[serde(default)]
    mark: Option<u16>,
    #[serde(default)]
    changes: Vec<Ended>,
}

/// Who vouches for a record.
struct Voucher {
    at: Position,
    /// Up to which record.
    to: u64,
    /// Whether it is kept apart from the trail.
    is_apart: bool,
}

/// What a record says of a change that was announced.
#[derive(Deserialize)]
struct Ended {
    /// By which record.
    intent: u64,
    /// Nothing where nobody knew.
    happened: Option<bool>,
}

impl Tail {
    /// The end of the trail at `path`, whose checkpoints this key has signed, as it has what is kept `apart` from
    /// it; `None` where nothing was written yet.
    ///
    /// # Errors
    /// `ResumeError` names the file.
    pub fn of(
        path: &Path,
        key: VerifyingKey,
        apart: &[Position],
    ) -> Result<Option<Self>, ResumeError> {
        let io = |error| ResumeError::Io(path.to_owned(), error);
        let torn = cut_torn(path).map_err(io)?;
        let apart = apart.iter().map(|at| Voucher { at: *at, to: at.seq, is_apart: true });
        let mut vouchers: Vec<_> = apart.collect();
        let (mut last, mut first) = (None, 0);
        let mut announced = BTreeMap::new();
        let (mut ended, mut starts) = (Vec::new(), BTreeSet::new());
        // Everything before this record is known to have ended.
        let mut needed = None;
        // Up to which record somebody vouches, and whether the one that was signed is a stop.
        let mut vouched: Option<(u64, bool)> = None;
        let mut replaced = None;
        let mut lines = NewestFirst::of(path)?;
        while let Some(line) = lines.next()? {
            let is_ours = read(&line).ok_or_else(|| lines.foreign())?;
            let of: Of = serde_json::from_slice(&line).map_err(|_| lines.foreign())?;
            let at = is_ours.at;
            last = last.or(Some(at));
            first = at.seq;
            if is_ours.kind == "start" {
                starts.insert(at.seq);
            }
            let of_it = || vouchers.iter().filter(|one| is_of(one.at, at));
            let to = of_it().filter(|one| one.at.hash == at.hash).map(|one| one.to).max();
            vouched = vouched.or(to.map(|to| (to, is_ours.kind == "stop")));
            if of_it().any(|one| one.is_apart && one.at.hash != at.hash) {
                replaced = Some(at.seq);
            }
            let known = of.changes.iter().filter(|change| change.happened.is_some());
            ended.extend(known.map(|change| change.intent));
            if of.mark.is_some() {
                let Position { chain, seq, hash } = at;
                let change = Unended::announced(&line, *chain.as_bytes(), seq, hash);
                announced.insert(seq, change.ok_or_else(|| lines.foreign())?);
            }
            if let Some(said) = is_ours.checkpoint(&line, key) {
                let before = if said.open == 0 { said.at.seq } else { said.open.min(said.at.seq) };
                needed = needed.or(Some(before));
                let to = is_ours.vouches(&said);
                vouchers.push(Voucher { at: said.at, to, is_apart: false });
            }
            if vouched.is_some() && needed.is_some_and(|needed| at.seq <= needed) {
                break;
            }
        }
        for change in ended {
            announced.remove(&change);
        }
        Ok(last.map(|at| {
            let (to, had_stopped) = vouched.unwrap_or((first.saturating_sub(1), false));
            let is_signed = to >= at.seq;
            Self {
                at,
                unended: announced.into_values().collect(),
                is_closed: had_stopped && is_signed,
                was_put_in: had_stopped && !is_signed && !starts.contains(&(to + 1)),
                unsigned: (!is_signed).then_some((to + 1, at.seq)),
                replaced,
                torn,
            }
        }))
    }

    /// The last record of the trail at `path`, if there is one.
    ///
    /// # Errors
    /// `ResumeError` names the file.
    pub fn last(path: &Path) -> Result<Option<Position>, ResumeError> {
        let mut newest = NewestFirst::of(path)?;
        let Some(line) = newest.next()? else { return Ok(None) };
        Ok(Some(read(&line).ok_or_else(|| newest.foreign())?.at))
    }

    /// Puts behind the trail at `path` what the one at `whole` has more, where they are of one chain:
    /// a crash came before both had it. At most so much of it that a start is not held up.
    ///
    /// # Errors
    /// `ResumeError` names the file.
    pub fn follow(path: &Path, whole: &Path) -> Result<(), ResumeError> {
        let (Some(own), Some(last)) = (Self::last(path)?, Self::last(whole)?) else {
            return Ok(());
        };
        if own.chain != last.chain || own.seq >= last.seq {
            return Ok(());
        }
        let missed = Self::behind(whole, own.seq, BEHIND_MAX)?;
        let first = missed.split(|byte| *byte == b'\n').next().and_then(read);
        if first.is_some_and(|first| first.prev == own.hash) {
            let append = || {
                let mut file = OpenOptions::new().append(true).open(path)?;
                file.write_all(&missed)?;
                file.sync_all()
            };
            append().map_err(|error| ResumeError::Io(path.to_owned(), error))?;
        }
        Ok(())
    }

    /// The lines of the trail at `path` behind the record of this number, of the newest ones as many as
    /// have `most` bytes.
    ///
    /// # Errors
    /// `ResumeError` names the file.
    pub fn behind(path: &Path, seq: u64, most: usize) -> Result<Vec<u8>, ResumeError> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        let mut newest = NewestFirst::of(path)?;
        while let Some(line) = newest.next()? {
            let at = read(&line).ok_or_else(|| newest.foreign())?.at;
            bytes += line.len();
            if at.seq <= seq || bytes > most {
                break;
            }
            found.push(line);
        }
        let mut lines = Vec::with_capacity(bytes);
        for line in found.iter().rev() {
            lines.extend_from_slice(line);
            lines.push(b'\n');
        }
        Ok(lines)
    }
}

/// Whether two say something of the same record.
fn is_of(one: Position, other: Position) -> bool {
    (one.chain, one.seq) == (other.chain, other.seq)
}

/// Cuts off what is behind the last line feed of a file. How many bytes that was.
///
/// # Errors
/// The system's.
pub fn cut_torn(path: &Path) -> io::Result<u64> {
    // What is no file has no end.
    if !path.is_file() {
        return Ok(0);
    }
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let mut kept = length;
    let mut reader = &file;
    while kept > 0 {
        let from = kept.saturating_sub(PIECE);
        let mut piece = vec![0; usize::try_from(kept - from).unwrap_or_default()];
        reader.seek(SeekFrom::Start(from))?;
        reader.read_exact(&mut piece)?;
        if let Some(at) = piece.iter().rposition(|byte| *byte == b'\n') {
            kept = from + at as u64 + 1;
            break;
        }
        kept = from;
    }
    if kept < length {
        file.set_len(kept)?;
        file.sync_all()?;
    }
    Ok(length - kept)
}

/// The lines of a trail, through all its files, the last one first.
struct NewestFirst {
    files: Vec<PathBuf>,
    /// The file that is read.
    file: PathBuf,
    lines: Option<Backwards>,
}

impl NewestFirst {
    fn of(path: &Path) -> Result<Self, ResumeError> {
        let files = FileDevice::all(path).map_err(|error| ResumeError::Io(path.into(), error))?;
        Ok(Self { files, file: path.to_owned(), lines: None })
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, ResumeError> {
        loop {
            let io = |error| ResumeError::Io(self.file.clone(), error);
            if let Some(lines) = &mut self.lines
                && let Some(line) = lines.next().map_err(io)?
            {
                return Ok(Some(line));
            }
            let Some(file) = self.files.pop() else { return Ok(None) };
            self.file = file;
            let io = |error| ResumeError::Io(self.file.clone(), error);
            self.lines = Some(Backwards::open(&self.file).map_err(io)?);
        }
    }

    /// What is said where the last line is none of ours.
    fn foreign(&self) -> ResumeError {
        ResumeError::Foreign(self.file.clone())
    }
}

/// The lines of a file, the last one first.
struct Backwards {
    text: Text,
    /// What of the file was not read yet.
    left: u64,
    /// What was read and not told yet; ends with a line feed.
    piece: Vec<u8>,
}

impl Backwards {
    fn open(path: &Path) -> io::Result<Self> {
        let text = Text::open(path)?;
        let left = text.length();
        Ok(Self { text, left, piece: Vec::new() })
    }

    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let end = self.piece.len().saturating_sub(1);
            let feed =
                self.piece.get(..end).and_then(|all| all.iter().rposition(|byte| *byte == b'\n'));
            if let Some(at) = feed {
                let line = self.piece.get(at + 1..end).unwrap_or_default().to_vec();
                self.piece.truncate(at + 1);
                return Ok(Some(line));
            }
            if self.left == 0 {
                let line = self.piece.get(..end).unwrap_or_default().to_vec();
                let is_line = !std::mem::take(&mut self.piece).is_empty();
                return Ok(is_line.then_some(line));
            }
            if self.piece.len() > LINE_MAX {
                return Err(too_long());
            }
            let from = self.left.saturating_sub(PIECE);
            let mut piece = self.text.between(from, self.left)?;
            piece.append(&mut self.piece);
            self.piece = piece;
            self.left = from;
        }
    }
}
