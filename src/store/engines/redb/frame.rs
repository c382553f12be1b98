//! A group of batches as it lies in the log.
//!
//! A frame begins at a multiple of a sector, which no disk writes in part. It is a head (below),
//! the batches, and zeros up to the next sector. Integers are little-endian.
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | the position in the log: what an earlier round of the ring has left there never fits |
//! | 8 | the checksum of everything else, with the store's own seed |
//! | 4, 4 | the length of the batches in bytes, and how many they are |
//! | 8 | the revision of the first batch; the others follow one by one |
//! | 8 | the last revision before it |
//! | 8 | the moment, in nanoseconds since 1970; 0 for none |

use twox_hash::XxHash3_64;

use crate::{
    crypto::Sealed,
    store::{
        engine::{Change, Op, Revision, Space},
        feed::Feed,
    },
};

/// What no disk writes in part.
pub(super) const SECTOR: usize = 512;
/// A frame's head.
pub(super) const HEAD: usize = 48;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const DELETE_RANGE: u8 = 3;

/// What a frame's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) position: u64,
    sum: u64,
    pub(super) length: u32,
    batches: u32,
    first: u64,
    pub(super) previous: Revision,
    moment: u64,
}

/// A group of batches, each of which has applied.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// The last revision before it.
    pub(super) previous: Revision,
    /// The revision of the first batch; the others follow one by one.
    pub(super) first: Revision,
    /// The changes of each batch.
    pub(super) batches: Vec<Vec<Op>>,
    /// When it was committed, in nanoseconds since 1970.
    pub(super) moment: Option<u64>,
}

impl Group {
    /// The revision of the last batch.
    pub(super) fn last(&self) -> Revision {
        Revision(self.first.0 + (self.batches.len() as u64).saturating_sub(1))
    }

    /// Tells a feed of it.
    pub(super) fn tell(&self, feed: &Feed) {
        let mut revision = self.first;
        for batch in &self.batches {
            feed.tell(Change::of(revision, self.moment, batch));
            revision = Revision(revision.0 + 1);
        }
    }

    /// The batches' bytes, behind room for a head; [`seal`] makes a frame of them.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = room();
        self.batches.iter().for_each(|batch| encode(&mut out, batch));
        out
    }

    /// The group in a frame that is whole.
    ///
    /// # Errors
    /// `Unreadable` for what this program did not write, or a later one.
    pub(super) fn decode(
        head: &Head,
        batches: &[u8],
        spaces: &[Space],
    ) -> Result<Self, Unreadable> {
        let mut input = Input { rest: batches, spaces };
        let mut found = Vec::new();
        for _ in 0..head.batches {
            let ops = input.number()?;
            found.push((0..ops).map(|_| input.op()).collect::<Result<_, _>>()?);
        }
        if !input.rest.is_empty() {
            return Err(Unreadable);
        }
        Ok(Self {
            previous: head.previous,
            first: Revision(head.first),
            batches: found,
            moment: (head.moment > 0).then_some(head.moment),
        })
    }
}

/// Room for a head, which batches come behind.
pub(super) fn room() -> Vec<u8> {
    vec![0; HEAD]
}

/// Puts a batch behind others.
pub(super) fn encode(out: &mut Vec<u8>, batch: &[Op]) {
    out.reserve(4 + batch.iter().map(Op::weight).sum::<usize>());
    number(out, batch.len());
    for op in batch {
        match op {
            Op::Put(space, key, sealed) => {
                begin(out, PUT, *space, key);
                text(out, sealed.as_ref());
            }
            Op::Delete(space, key) => begin(out, DELETE, *space, key),
            Op::DeleteRange(space, from, to) => {
                begin(out, DELETE_RANGE, *space, from);
                text(out, to);
            }
        }
    }
}

/// The length of the frame that is made of what [`Group::encode`] has made.
pub(super) fn length(encoded: &[u8]) -> u64 {
    encoded.len().next_multiple_of(SECTOR) as u64
}

/// The most that a frame of so many batches can take, of so much weight together.
pub(super) const fn length_max(batches: usize, weight: usize) -> u64 {
    (HEAD + 4 * batches + weight).next_multiple_of(SECTOR) as u64
}

/// Makes a whole frame of what [`Group::encode`] has made, for a place in the log.
pub(super) fn seal(group: &Group, mut encoded: Vec<u8>, position: u64, seed: u64) -> Vec<u8> {
    let length = encoded.len() - HEAD;
    let head = Head {
        position,
        sum: 0,
        length: u32::try_from(length).unwrap_or(u32::MAX),
        batches: u32::try_from(group.batches.len()).unwrap_or(u32::MAX),
        first: group.first.0,
        previous: group.previous,
        moment: group.moment.unwrap_or_default(),
    };
    let sum = checksum(&head, encoded.get(HEAD..).unwrap_or_default(), seed);
    if let Some(room) = encoded.get_mut(..HEAD) {
        room.copy_from_slice(&Head { sum, ..head }.to_bytes());
    }
    encoded.resize(encoded.len().next_multiple_of(SECTOR), 0);
    encoded
}

/// A whole frame that bears a checksum, but cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("it was not written by this program")]
pub(super) struct Unreadable;

impl Head {
    /// The head at the beginning of a frame.
    pub(super) fn parse(bytes: &[u8; HEAD]) -> Self {
        let mut words = words(bytes);
        let mut next = || words.next().unwrap_or_default();
        let (position, sum, counts) = (next(), next(), next());
        let halves = counts.to_le_bytes();
        let half = |at: usize| {
            let mut number = [0; 4];
            number.iter_mut().zip(halves.iter().skip(at)).for_each(|(to, from)| *to = *from);
            u32::from_le_bytes(number)
        };
        let (first, previous, moment) = (next(), Revision(next()), next());
        Self { position, sum, length: half(0), batches: half(4), first, previous, moment }
    }

    fn to_bytes(self) -> [u8; HEAD] {
        let counts = [self.length.to_le_bytes(), self.batches.to_le_bytes()].concat();
        let words = [self.position, self.sum].map(u64::to_le_bytes).concat();
        let rest = [self.first, self.previous.0, self.moment].map(u64::to_le_bytes).concat();
        let mut bytes = [0; HEAD];
        bytes.iter_mut().zip([words, counts, rest].concat()).for_each(|(to, from)| *to = from);
        bytes
    }

    /// The revision of the last batch.
    pub(super) fn last(&self) -> Revision {
        Revision(self.first + u64::from(self.batches).saturating_sub(1))
    }

    /// Whether these are the batches that were written with it.
    pub(super) fn fits(&self, batches: &[u8], seed: u64) -> bool {
        batches.len() == self.length as usize && checksum(self, batches, seed) == self.sum
    }

    /// The length of the whole frame, in bytes.
    pub(super) fn frame_len(&self) -> u64 {
        (HEAD as u64 + u64::from(self.length)).next_multiple_of(SECTOR as u64)
    }
}

/// The numbers of 8 bytes that lie one behind the other.
pub(super) fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.chunks_exact(8).map(|word| {
        let mut number = [0; 8];
        number.copy_from_slice(word);
        u64::from_le_bytes(number)
    })
}

fn checksum(head: &Head, batches: &[u8], seed: u64) -> u64 {
    let head = Head { sum: XxHash3_64::oneshot_with_seed(seed, batches), ..*head };
    XxHash3_64::oneshot_with_seed(seed, &head.to_bytes())
}

fn begin(out: &mut Vec<u8>, kind: u8, space: Space, key: &[u8]) {
    out.push(kind);
    text(out, space.name().as_bytes());
    text(out, key);
}

fn number(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len());
    out.extend_from_slice(bytes);
}

struct Input<'a> {
    rest: &'a [u8],
    spaces: &'a [Space],
}

impl<'a> Input<'a> {
    fn op(&mut self) -> Result<Op, Unreadable> {
        let (kind, rest) = self.rest.split_first().ok_or(Unreadable)?;
        self.rest = rest;
        let name = self.text()?;
        let space = self.spaces.iter().find(|space| space.name().as_bytes() == name);
        let (space, key) = (*space.ok_or(Unreadable)?, self.text()?.to_vec());
        match *kind {
            PUT => Ok(Op::Put(space, key, Sealed::public(self.text()?.to_vec()))),
            DELETE => Ok(Op::Delete(space, key)),
            DELETE_RANGE => Ok(Op::DeleteRange(space, key, self.text()?.to_vec())),
            _ => Err(Unreadable),
        }
    }

    fn number(&mut self) -> Result<usize, Unreadable> {
        let (number, rest) = self.rest.split_first_chunk().ok_or(Unreadable)?;
        self.rest = rest;
        usize::try_from(u32::from_le_bytes(*number)).map_err(|_| Unreadable)
    }

    fn text(&mut self) -> Result<&'a [u8], Unreadable> {
        let length = self.number()?;
        let (text, rest) = self.rest.split_at_checked(length).ok_or(Unreadable)?;
        self.rest = rest;
        Ok(text)
    }
}
