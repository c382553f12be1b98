//! The log in front of the database: one write and one sync make a group of batches durable.
//!
//! Owns a file that is written round and round: a header, then a ring of a fixed number of bytes.
//! Positions in the log only grow; the byte at position `p` lies at `p` modulo the ring's length.
//! What lies between the tail (what the database has) and the head is what is replayed when the
//! store is opened.
//!
//! Always holds: a frame is durable before [`Log::append`] returns, and nothing that is not yet in
//! the database is written over; a frame of an earlier round of the ring, of another store or of
//! another opening is never taken for one of this; a tail that a power cut has torn is cut, and
//! damage before a frame that is whole is told. Never does: know what is in a batch, or retry a
//! sync: what a failed one was about is written again, or written over.

use std::io;

use redb::StorageBackend;
use twox_hash::XxHash3_64;

use super::{
    frame::{self, Group, HEAD, Head, SECTOR},
    tables::Standing,
};
use crate::store::engine::{Revision, Space};

/// Where the ring begins in the file.
const RING: u64 = 4096;
const MAGIC: &[u8; 8] = b"okmsdlog";
const VERSION: u64 = 1;
/// The ring's length is a multiple of this, so that a frame never ends between.
const GRAIN: u64 = SECTOR as u64;

/// Which store a log belongs to, and how often that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Random, made with the store.
    pub(super) store: u128,
    /// Grows with every opening.
    pub(super) opening: u64,
}

impl Identity {
    /// Of a database as it is now.
    pub(super) const fn of(standing: &Standing) -> Self {
        Self { store: standing.store, opening: standing.opening }
    }
}

impl Start {
    /// Where a database stands.
    pub(super) const fn of(standing: &Standing) -> Self {
        let Standing { position, revision, is_closed, .. } = *standing;
        Self { position, revision, is_closed }
    }
}

/// Where the database stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// Before this position, the database has everything.
    pub(super) position: u64,
    /// The revision of the last batch that it has.
    pub(super) revision: Revision,
    /// Whether the store was closed, and the log has nothing that the database has not.
    pub(super) is_closed: bool,
}

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
        "the log and the database are copies of different days ({0}): put copies of one moment there, or move the log of a \
         database that was closed away"
    )]
    OfAnotherDay(&'static str),
    /// Its file is shorter than it was made.
    #[error("the log is cut short: put the right one there")]
    Short,
    /// Its header is not what was written.
    #[error("the log's header is damaged: put a sound copy there")]
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
}

/// What a log was opened with.
pub(super) struct Opened {
    pub(super) log: Log,
    /// What the database has not, in order.
    pub(super) groups: Vec<Group>,
    /// The place and the length of the last frame.
    last: Option<(u64, u64)>,
}

impl Log {
    /// Opens the log of a store, or makes one of `ring` bytes where there need be none.
    ///
    /// # Errors
    /// `LogError` says why the store cannot be opened with this log.
    pub(super) fn open(
        storage: Box<dyn StorageBackend>,
        identity: Identity,
        start: Start,
        ring: u64,
        spaces: &[Space],
    ) -> Result<Opened, LogError> {
        let made = match Header::read(&*storage)? {
            Some(header) => header.check(identity, start)?,
            None if start.is_closed => false,
            None if storage.len()? == 0 => return Err(LogError::Missing),
            None => return Err(LogError::Header),
        };
        if !made {
            let seed = seed(identity.store);
            let ring = ring.next_multiple_of(GRAIN).max(GRAIN);
            storage.set_len(RING + ring)?;
            let log = Self { storage, ring, seed, head: start.position, tail: start.position };
            Header { identity, ring }.write(&*log.storage)?;
            return Ok(Opened { log, groups: Vec::new(), last: None });
        }
        let mut opened = Self::read(storage, identity, start, spaces)?;
        let Opened { log, groups, last } = &mut opened;
        let ring = ring.next_multiple_of(GRAIN).max(GRAIN);
        if groups.is_empty() && log.ring != ring {
            // Positions only grow, so that nothing that lies there fits where it comes to lie. The
            // file is never shorter than its header says.
            log.storage.set_len(RING + ring.max(log.ring))?;
            log.ring = ring;
        }
        // The last frame may be one whose sync has failed, and be in nobody's memory but the
        // system's: then it is written again, and durable before anybody sees it.
        log.rewrite(*last)?;
        Header { identity, ring: log.ring }.write(&*log.storage)?;
        Ok(opened)
    }

    /// Reads a log, and writes nothing to it.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub(super) fn read(
        storage: Box<dyn StorageBackend>,
        identity: Identity,
        start: Start,
        spaces: &[Space],
    ) -> Result<Opened, LogError> {
        let header = Header::read(&*storage)?.ok_or(LogError::Header)?;
        let ring = header.ring;
        if storage.len()? < RING + ring {
            return Err(LogError::Short);
        }
        let seed = seed(identity.store);
        let mut log = Self { storage, ring, seed, head: start.position, tail: start.position };
        let (mut groups, mut last, mut last_frame) = (Vec::new(), start.revision, None);
        while let Some((head, batches)) = log.frame(log.head)? {
            let damaged = LogError::Damaged(log.offset(log.head));
            let group = Group::decode(&head, &batches, spaces).map_err(|_| damaged)?;
            if group.previous != last || group.first <= last {
                return Err(LogError::Gap(group.first.0));
            }
            last_frame = Some((log.head, head.frame_len()));
            log.head += head.frame_len();
            last = group.last();
            groups.push(group);
        }
        // A database that was closed has everything, but for one that is older than its log by one
        // opening, and looks as if this opening had been interrupted.
        if (!start.is_closed || header.identity.opening == identity.opening)
            && let Some(position) = log.next_whole()?
        {
            return Err(if position < log.tail + log.ring {
                LogError::Damaged(log.offset(log.head))
            } else {
                LogError::OfAnotherDay("the database is older")
            });
        }
        Ok(Opened { log, groups, last: last_frame })
    }

    /// Where the next frame goes.
    pub(super) const fn head(&self) -> u64 {
        self.head
    }

    /// How many bytes there can be that the database has not.
    pub(super) const fn capacity(&self) -> u64 {
        self.ring
    }

    /// The database has everything before `position`.
    pub(super) fn trim(&mut self, position: u64) {
        self.tail = self.tail.max(position);
    }

    /// Makes a group durable. `encoded` is what [`Group::encode`] has made of it.
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
        self.put(self.head, &frame)?;
        self.storage.sync_data()?;
        self.head += length;
        Ok(())
    }

    /// Writes a frame again, of which nobody knows whether the disk has it.
    fn rewrite(&self, frame: Option<(u64, u64)>) -> io::Result<()> {
        let Some((position, length)) = frame else { return Ok(()) };
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        self.get(position, &mut bytes)?;
        self.put(position, &bytes)
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
    identity: Identity,
    ring: u64,
}

impl Header {
    const LEN: usize = 56;

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
        let word = |at: usize| {
            let mut word = [0; 8];
            word.iter_mut().zip(body.iter().skip(at)).for_each(|(to, from)| *to = *from);
            u64::from_le_bytes(word)
        };
        if word(8) != VERSION || word(16) == 0 || !word(16).is_multiple_of(GRAIN) {
            return Ok(None);
        }
        let store = u128::from(word(24)) | u128::from(word(32)) << 64;
        Ok(Some(Self { identity: Identity { store, opening: word(40) }, ring: word(16) }))
    }

    /// Whether the log is one to read; not, where there is nothing in it that counts.
    fn check(&self, identity: Identity, start: Start) -> Result<bool, LogError> {
        if self.identity.store != identity.store {
            return Err(LogError::OfAnotherStore);
        }
        // It is written before the database is, so that it can be one ahead.
        match identity.opening.checked_sub(self.identity.opening) {
            Some(0 | 1) => Ok(true),
            Some(_) if start.is_closed => Ok(false),
            Some(_) => Err(LogError::OfAnotherDay("the log is older")),
            None => Err(LogError::OfAnotherDay("the database is older")),
        }
    }

    fn write(&self, storage: &dyn StorageBackend) -> io::Result<()> {
        let Identity { store, opening } = self.identity;
        let [low, high] = [store, store >> 64]
            .map(|half| u64::try_from(half & u128::from(u64::MAX)).unwrap_or_default());
        let words = [VERSION, self.ring, low, high, opening].map(u64::to_le_bytes).concat();
        let mut sector = [MAGIC.as_slice(), &words].concat();
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
