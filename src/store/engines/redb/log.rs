//! The log in front of the database: one write and one sync make a group of batches durable.
//!
//! Owns a file that is written round and round: a header, then a ring of a fixed number of bytes.
//! Positions in the log only grow; the byte at position `p` lies at `p` modulo the ring's length.
//! What lies between the tail (what the database has) and the head is what is replayed when the
//! store is opened.
//!
//! Always holds: a frame is durable before [`Log::append`] returns, and nothing that is not yet in
//! the database is written over; a frame of an earlier round of the ring, of another store or of a
//! past that is not this store's is never taken for one of this; a tail that a power cut has torn
//! is cut, and damage before a frame that is whole is told. Never does: know what is in a batch, or
//! retry a sync: what a failed one was about is written again, or written over.

use std::io;

use redb::StorageBackend;
use twox_hash::XxHash3_64;

use super::{
    frame::{self, Group, HEAD, Head, SECTOR},
    tables::{Standing, halves},
};
use crate::store::engine::Space;

/// Where the ring begins in the file.
const RING: u64 = 4096;
const MAGIC: &[u8; 8] = b"okmsdlog";
const VERSION: u64 = 2;
/// The ring's length is a multiple of this, so that a frame never ends between.
const GRAIN: u64 = SECTOR as u64;

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The storage failed.
    #[error("the log cannot be read: {0}")]
    Io(#[from] io::Error),
    /// There is none, though the store was not closed.
    #[error(
        "the log is missing, and has changes that the database has not: put it back beside the database"
    )]
    Missing,
    /// It belongs to another store.
    #[error("the log belongs to another store: put the right one there, or move it away")]
    OfAnotherStore,
    /// It is from before the database was opened last, or the other way round.
    #[error(
        "the log and the database are copies of different times ({0}): put copies of one moment there, or move the log of a \
         database that was closed away"
    )]
    OfAnotherDay(&'static str),
    /// Its file is shorter than it was made.
    #[error("the log is cut short: put the right one there")]
    Short,
    /// Its header is not what was written, or not by this version.
    #[error("the log's header is damaged, or of another version: put a sound copy there")]
    Header,
    /// There is damage before something that is whole.
    #[error(
        "the log is damaged at byte {0}, and changes that were acknowledged lie behind it: put a sound copy there"
    )]
    Damaged(u64),
    /// What is whole does not go on where the database, or the frame before it, ends.
    #[error(
        "the log has a gap before revision {0}: the database is not the one that it belongs to"
    )]
    Gap(u64),
}

/// A log that is open for writing.
pub(super) struct Log {
    storage: Box<dyn StorageBackend>,
    ring: u64,
    seed: u64,
    head: u64,
    /// What is before it can be written over.
    tail: u64,
    /// Where the last frame begins.
    last: u64,
    /// From the head up to here there are zeros, durably.
    cleared: u64,
}

/// What a log was opened with.
pub(super) struct Opened {
    pub(super) log: Log,
    /// What the database has not, in order.
    pub(super) groups: Vec<Group>,
}

impl Log {
    /// Opens the log of a store that stood at `before` when it was opened last, or makes one of
    /// `ring` bytes where there need be none. One that has nothing to replay gets that length. From
    /// `now` on it belongs to this opening.
    ///
    /// # Errors
    /// `LogError` says why the store cannot be opened with this log.
    pub(super) fn open(
        storage: Box<dyn StorageBackend>,
        before: &Standing,
        now: &Standing,
        ring: u64,
        spaces: &[Space],
    ) -> Result<Opened, LogError> {
        let ring = ring.next_multiple_of(GRAIN).max(GRAIN);
        let mut opened = if Self::counts(&*storage, before)? {
            Self::read(storage, before, spaces)?
        } else {
            // What lies there may be the store's own, of an opening that is not its past.
            storage.set_len(0)?;
            storage.set_len(RING + ring)?;
            Opened { log: Self::begins(storage, before, before.position, ring), groups: Vec::new() }
        };
        let Opened { log, groups } = &mut opened;
        if groups.is_empty() && log.ring != ring {
            // Positions only grow, so that nothing that lies there fits where it comes to lie.
            if log.ring < ring {
                log.storage.set_len(RING + ring)?;
            }
            (log.ring, log.tail, log.last) = (ring, log.head, log.head);
        }
        if !groups.is_empty() {
            // The last frame may be one whose sync has failed, and be in nobody's memory but the
            // system's: then it is written again, and durable before anybody sees it.
            log.rewrite()?;
        }
        Header::of(before, now, log.ring).write(&*log.storage)?;
        // The file is never shorter than its header says, whatever is durable of both.
        if log.storage.len()? > RING + log.ring {
            log.storage.set_len(RING + log.ring)?;
        }
        Ok(opened)
    }

    /// Whether there is a log of the store that stands at `before`, and it has to be read.
    ///
    /// # Errors
    /// `LogError` where it is not the right one, or there is none and has to be one.
    pub(super) fn counts(
        storage: &dyn StorageBackend,
        before: &Standing,
    ) -> Result<bool, LogError> {
        match Header::read(storage)? {
            Some(header) => header.check(before),
            None if before.is_closed => Ok(false),
            None if storage.len()? == 0 => Err(LogError::Missing),
            None => Err(LogError::Header),
        }
    }

    /// A log in which nothing is known from the database's place on.
    fn begins(storage: Box<dyn StorageBackend>, standing: &Standing, tail: u64, ring: u64) -> Self {
        let (head, seed) = (standing.position, seed(standing.store));
        Self { storage, ring, seed, head, tail, last: tail, cleared: head }
    }

    /// Reads the log of a store that stands at `before`, where it [counts](Self::counts), and writes
    /// nothing to it.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub(super) fn read(
        storage: Box<dyn StorageBackend>,
        before: &Standing,
        spaces: &[Space],
    ) -> Result<Opened, LogError> {
        let header = Header::read(&*storage)?.ok_or(LogError::Header)?;
        if storage.len()? < RING + header.ring {
            return Err(LogError::Short);
        }
        // Whoever opened it later may have changed its length, where it had nothing more.
        let is_same_opening = header.opening == before.opening;
        let tail = if is_same_opening { before.tail } else { before.position };
        let mut log = Self::begins(storage, before, tail, header.ring);
        let (mut groups, mut last) = (Vec::new(), before.revision);
        while let Some((head, batches)) = log.frame(log.head)? {
            let damaged = LogError::Damaged(log.offset(log.head));
            let group = Group::decode(&head, &batches, spaces).map_err(|_| damaged)?;
            if group.previous != last || group.first <= last {
                return Err(LogError::Gap(group.first.0));
            }
            log.last = log.head;
            log.head += head.frame_len();
            last = group.last();
            groups.push(group);
        }
        // What goes on behind the database proves itself that the log is its own.
        if groups.is_empty() && tail < log.head && !log.ends(tail, before)? {
            return Err(LogError::OfAnotherDay(
                "the log is older, or damaged where the database ends",
            ));
        }
        // A database that was closed has everything, but for one that is older than its log by one
        // opening, and looks as if this opening had been interrupted.
        if (!before.is_closed || !is_same_opening)
            && let Some(position) = log.next_whole()?
        {
            return Err(if position < log.tail + log.ring {
                LogError::Damaged(log.offset(log.head))
            } else {
                LogError::OfAnotherDay("the database is older")
            });
        }
        Ok(Opened { log, groups })
    }

    /// Whether the frame at `tail` is the last that the database has.
    fn ends(&self, tail: u64, standing: &Standing) -> io::Result<bool> {
        let frame = self.frame(tail)?;
        Ok(frame.is_some_and(|(head, _)| {
            tail + head.frame_len() == standing.position && head.last() == standing.revision
        }))
    }

    /// Where the last frame begins: what proves to a database that has everything up to its end
    /// that this is its log, and not an older one.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// Where the next frame goes.
    pub(super) const fn head(&self) -> u64 {
        self.head
    }

    /// How many bytes there are for what the database has not, and for its last frame.
    pub(super) const fn capacity(&self) -> u64 {
        self.ring
    }

    /// Where what must not be written over begins.
    pub(super) const fn tail(&self) -> u64 {
        self.tail
    }

    /// What is before `tail` can be written over.
    pub(super) fn trim(&mut self, tail: u64) {
        self.tail = self.tail.max(tail);
    }

    /// Makes a group durable. `encoded` is its batches, as [`frame::encode`] puts them.
    ///
    /// # Errors
    /// Where the storage fails: the group may be durable or not, until the next one has been
    /// appended in its place.
    pub(super) fn append(&mut self, group: &Group, encoded: Vec<u8>) -> io::Result<()> {
        let frame = frame::seal(group, encoded, self.head, self.seed);
        let length = frame.len() as u64;
        if self.head + length - self.tail > self.ring {
            return Err(io::Error::other("the log is full"));
        }
        // What a failure leaves there is not zeros.
        let cleared = std::mem::replace(&mut self.cleared, self.head);
        self.put(self.head, &frame)?;
        self.storage.sync_data()?;
        self.cleared = cleared;
        self.last = self.head;
        self.head += length;
        Ok(())
    }

    /// Writes zeros over a piece of what can be written over up to `end`, durably, and says whether
    /// there is more of it. So what was destroyed leaves the log without waiting for others to be
    /// written in its place, and a frame comes to lie where the disk has given room already.
    ///
    /// # Errors
    /// Where the storage fails, which costs nothing that counts.
    pub(super) fn clear(&mut self, bytes: u64, end: u64) -> io::Result<bool> {
        let begin = self.cleared.max(self.head);
        let piece_end = end.min(self.tail + self.ring).min(begin + bytes);
        if begin < piece_end {
            self.put(begin, &vec![0; usize::try_from(piece_end - begin).unwrap_or_default()])?;
            self.storage.sync_data()?;
            self.cleared = piece_end;
        }
        Ok(begin.max(piece_end) < end)
    }

    /// Writes the last frame again, of which nobody knows whether the disk has it.
    fn rewrite(&self) -> io::Result<()> {
        let mut bytes = vec![0; usize::try_from(self.head - self.last).unwrap_or_default()];
        self.get(self.last, &mut bytes)?;
        self.put(self.last, &bytes)
    }

    /// Writes across the ring's end.
    fn put(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let before_end = usize::try_from(self.ring - position % self.ring).unwrap_or(usize::MAX);
        let (front, rest) = bytes.split_at(before_end.min(bytes.len()));
        self.storage.write(self.offset(position), front)?;
        if rest.is_empty() { Ok(()) } else { self.storage.write(RING, rest) }
    }

    /// Gives the storage back to the operating system.
    pub(super) fn close(&self) -> io::Result<()> {
        self.storage.close()
    }

    const fn offset(&self, position: u64) -> u64 {
        RING + position % self.ring
    }

    /// The frame at a position, if there is a whole one.
    fn frame(&self, position: u64) -> io::Result<Option<(Head, Vec<u8>)>> {
        self.whole(position, self.ring - (position - self.tail).min(self.ring))
    }

    /// The same, where it has no more than `room` bytes.
    fn whole(&self, position: u64, room: u64) -> io::Result<Option<(Head, Vec<u8>)>> {
        let mut bytes = [0; HEAD];
        self.get(position, &mut bytes)?;
        let head = Head::parse(&bytes);
        if head.position != position || head.length == 0 || head.frame_len() > room {
            return Ok(None);
        }
        let mut batches = vec![0; head.length as usize];
        self.get(position + HEAD as u64, &mut batches)?;
        Ok(head.fits(&batches, self.seed).then_some((head, batches)))
    }

    /// The position of a whole frame behind the head, in this round of the ring or a later one, if
    /// there is one.
    fn next_whole(&self) -> io::Result<Option<u64>> {
        const AT_ONCE: usize = 1 << 20;
        let end = self.head + self.ring;
        let mut at = self.head;
        let mut chunk = vec![0; AT_ONCE];
        while at < end {
            let length = usize::try_from(end - at).unwrap_or(AT_ONCE).min(AT_ONCE);
            let Some(chunk) = chunk.get_mut(..length) else { break };
            self.get(at, chunk)?;
            for (nth, sector) in chunk.chunks(SECTOR).enumerate() {
                let here = at + nth as u64 * GRAIN;
                let Some(named) = sector.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
                else {
                    continue;
                };
                let is_of_here = named > self.head && named % self.ring == here % self.ring;
                if is_of_here && self.whole(named, self.ring)?.is_some() {
                    return Ok(Some(named));
                }
            }
            at += length as u64;
        }
        Ok(None)
    }

    /// Reads across the ring's end.
    fn get(&self, position: u64, out: &mut [u8]) -> io::Result<()> {
        let before_end = usize::try_from(self.ring - position % self.ring).unwrap_or(usize::MAX);
        let split = before_end.min(out.len());
        let (front, rest) = out.split_at_mut(split);
        self.storage.read(self.offset(position), front)?;
        if !rest.is_empty() {
            self.storage.read(RING, rest)?;
        }
        Ok(())
    }
}

/// The first sector of the file.
struct Header {
    ring: u64,
    store: u128,
    /// Of the opening that writes it, and its run.
    opening: u64,
    run: u64,
    /// The run of the opening before.
    before: u64,
}

impl Header {
    const LEN: usize = 72;

    /// Of the log of a store that stood at `before`, in the opening `now`.
    const fn of(before: &Standing, now: &Standing, ring: u64) -> Self {
        let Standing { store, opening, run, .. } = *now;
        Self { ring, store, opening, run, before: before.run }
    }

    /// The header, if there is a whole one.
    fn read(storage: &dyn StorageBackend) -> Result<Option<Self>, LogError> {
        if storage.len()? < RING {
            return Ok(None);
        }
        let mut bytes = [0; Self::LEN];
        storage.read(0, &mut bytes)?;
        let (body, sum) = bytes.split_at(Self::LEN - 8);
        if !body.starts_with(MAGIC) || sum != XxHash3_64::oneshot(body).to_le_bytes() {
            return Ok(None);
        }
        let mut words = frame::words(body).skip(1);
        let mut next = || words.next().unwrap_or_default();
        let (version, ring) = (next(), next());
        if version != VERSION || ring == 0 || !ring.is_multiple_of(GRAIN) {
            return Ok(None);
        }
        let store = u128::from(next()) | u128::from(next()) << 64;
        Ok(Some(Self { ring, store, opening: next(), run: next(), before: next() }))
    }

    /// Whether the log is one to read; not, where there is nothing in it that counts.
    fn check(&self, standing: &Standing) -> Result<bool, LogError> {
        if self.store != standing.store {
            return Err(LogError::OfAnotherStore);
        }
        let run = match standing.opening.checked_sub(self.opening) {
            Some(0) => self.run,
            Some(_) if standing.is_closed => return Ok(false),
            Some(_) => return Err(LogError::OfAnotherDay("the log is older")),
            // It is written before the database is, so that it can be one ahead.
            None if standing.opening + 1 == self.opening => self.before,
            None => return Err(LogError::OfAnotherDay("the database is older")),
        };
        if run == standing.run {
            Ok(true)
        } else {
            Err(LogError::OfAnotherDay("each has gone on from a copy of its own"))
        }
    }

    fn write(&self, storage: &dyn StorageBackend) -> io::Result<()> {
        let [low, high] = halves(self.store);
        let words = [VERSION, self.ring, low, high, self.opening, self.run, self.before];
        let mut sector = [MAGIC.as_slice(), &words.map(u64::to_le_bytes).concat()].concat();
        sector.extend(XxHash3_64::oneshot(&sector).to_le_bytes());
        sector.resize(SECTOR, 0);
        storage.write(0, &sector)?;
        storage.sync_data()
    }
}

/// What the checksums of a store's frames begin with: nobody else's frames fit.
fn seed(store: u128) -> u64 {
    XxHash3_64::oneshot(&store.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;
    use crate::store::engine::Revision;

    const STANDING: Standing = Standing {
        store: 7,
        opening: 1,
        run: 1,
        revision: Revision(5),
        moment: None,
        position: 0,
        tail: 0,
        is_closed: false,
    };

    /// A log that has a group of two batches for each pair of revisions: the last one before it,
    /// and its own first one. What whoever opens it reads.
    fn read(groups: &[(u64, u64)]) -> Result<Vec<u64>, LogError> {
        let storage = Box::new(InMemoryBackend::new());
        let before = Standing { opening: 0, run: 0, is_closed: true, ..STANDING };
        let mut log = Log::open(storage, &before, &STANDING, 1 << 16, &[])?.log;
        for (previous, first) in groups {
            let group = Group {
                previous: Revision(*previous),
                first: Revision(*first),
                batches: vec![Vec::new(), Vec::new()],
                moment: None,
            };
            log.append(&group, group.encode())?;
        }
        let opened = Log::read(log.storage, &STANDING, &[])?;
        Ok(opened.groups.iter().map(|group| group.first.0).collect())
    }

    /// No start makes a log like these: whole frames, in their places, that do not go on where the
    /// database or the frame before them ends. If one ever does, it is told, and not replayed.
    #[test]
    fn a_gap_is_told() {
        assert_eq!(read(&[(5, 6), (7, 8)]).unwrap(), [6, 8]);
        // Numbers that were tried and did not become durable are no gap.
        assert_eq!(read(&[(5, 9), (10, 20)]).unwrap(), [9, 20]);
        for (groups, gap) in [
            (&[(4, 6)][..], 6),
            (&[(6, 7)], 7),
            (&[(5, 5)], 5),
            (&[(5, 6), (6, 8)], 8),
            (&[(5, 6), (8, 9)], 9),
            (&[(5, 6), (7, 7)], 7),
            (&[(5, 6), (7, 8), (9, 3)], 3),
        ] {
            let found = read(groups);
            assert!(matches!(found, Err(LogError::Gap(at)) if at == gap), "{groups:?}: {found:?}");
        }
    }
}
