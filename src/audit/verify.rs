//! Checks a trail, line by line: whether it is what was written, all of it, in order.
//!
//! Always holds: whatever was edited, left out, put in or moved before a chain's last checkpoint is
//! found, and so is what is not ours. What comes after that is linked, but nobody has signed it
//! yet: [`Proven`] tells how much that is. A chain of which nothing is signed is nobody's: but for starts alone, as a
//! server signs its start before it serves anybody. Never does: believe a number that a line gives itself.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::chain::{CHECKPOINT, ChainId, Hash, Position, Said, unhex};
use crate::{
    crypto::{SIGNATURE, VerifyingKey, fingerprint},
    model::Timestamp,
};

/// What is wrong with a trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No record at all.
    #[error("this line is no record")]
    Malformed,
    /// The record is another than the one that was written.
    #[error("record {1} of chain {0} was edited")]
    Edited(ChainId, u64),
    /// Records that came before are not there.
    #[error("records {1} to {2} of chain {0} are missing")]
    Missing(ChainId, u64, u64),
    /// A record that came before.
    #[error("record {1} of chain {0} is out of order, or there twice")]
    OutOfOrder(ChainId, u64),
    /// What was signed is not what is there, though each record fits the next.
    #[error("records of chain {0} were replaced between {1} and {2}, or put in")]
    Replaced(ChainId, u64, u64),
    /// It ends before a record that it must have reached, by what is kept apart from it.
    #[error("the end of chain {0} is missing, records {1} to {2} at least")]
    CutOff(ChainId, u64, u64),
    /// Behind the stop of its process, signed, comes something else than a start.
    #[error(
        "record {1} of chain {0} was put in: its server had stopped, and had not started again"
    )]
    AfterStop(ChainId, u64),
    /// Nothing of it is signed, and it is more than a server leaves that was killed as it started.
    #[error(
        "of chain {0} nothing is signed here, records {1} to {2}: whoever can write the file may have made them; a file that \
         was begun a moment ago is verified together with those before it, or later"
    )]
    Unsigned(ChainId, u64, u64),
    /// A checkpoint that the region's key has not signed.
    #[error("checkpoint {1} of chain {0} was not signed by this region, or was edited")]
    Foreign(ChainId, u64),
}

/// What nobody can say of a trail, though what is there fits and was signed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// A server went on behind records that were not signed when it started.
    #[error(
        "records {1} to {2} of chain {0} were signed by nobody when the server started with record {3}: whether \
         they were edited before that is not known"
    )]
    Unsigned(ChainId, u64, u64, u64),
    /// A start has found that the end was cut off.
    #[error(
        "the end of chain {0}, up to record {1}, was missing when the server started with record {2}"
    )]
    Missing(ChainId, u64, u64),
    /// A start has found another record than the one that was kept apart.
    #[error(
        "record {1} of chain {0} was not as it was written when the server started with record {2}"
    )]
    Replaced(ChainId, u64, u64),
}

/// What is known of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Which chain.
    pub chain: ChainId,
    /// The first record that is there.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// Up to which it is signed; 0 where nothing is, and all are starts of servers that were killed at once.
    pub signed: u64,
    /// Whether it ends as a chain does whose process has stopped in order.
    pub is_closed: bool,
}

/// Takes lines, and says what is wrong with them.
#[derive(Debug)]
pub struct Verifier {
    key: VerifyingKey,
    chains: BTreeMap<ChainId, Progress>,
    /// That of the first line.
    first: Option<ChainId>,
    /// What each must have reached.
    due: BTreeMap<ChainId, Position>,
    doubts: Vec<Doubt>,
}

/// What a start says of what was there before.
#[derive(Deserialize)]
struct Start {
    #[serde(default)]
    missing_to: Option<u64>,
    #[serde(default)]
    replaced_at: Option<u64>,
}

#[derive(Debug)]
struct Progress {
    first: u64,
    last: Position,
    signed: u64,
    /// The same, and the checkpoint right behind it, which its signature proves to the byte.
    vouched: u64,
    /// The hashes of the records after the one that is signed.
    unsigned: Vec<Hash>,
    /// The last record does not name the one before it: one of the two was edited.
    doubt: bool,
    /// The last record with which a process has stopped.
    stop: u64,
    /// It begins with its first record, and has starts alone.
    only_starts: bool,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    chain: &'a str,
    seq: u64,
    prev: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
}

#[derive(Deserialize)]
pub(super) struct Checkpoint<'a> {
    at: u64,
    #[serde(borrow)]
    hash: &'a str,
    open: u64,
    time: &'a str,
    signature: &'a str,
}

impl Checkpoint<'_> {
    /// What it says of a chain, and its signature.
    pub(super) fn said(&self, chain: ChainId) -> Option<(Said, [u8; SIGNATURE])> {
        let at = Position { chain, seq: self.at, hash: unhex(self.hash)? };
        let time = Timestamp::from_rfc3339(self.time)?;
        Some((Said { at, open: self.open, time }, unhex(self.signature)?))
    }
}

/// What a line says of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read<'a> {
    pub(super) at: Position,
    pub(super) prev: Hash,
    pub(super) kind: &'a str,
}

impl Read<'_> {
    /// What it says, signed, if it is a checkpoint of that key: to the byte, so that nothing of it can be
    /// another.
    pub(super) fn checkpoint(&self, line: &[u8], key: VerifyingKey) -> Option<Said> {
        let Position { chain, seq, .. } = self.at;
        let checkpoint: Checkpoint<'_> =
            (self.kind == CHECKPOINT).then(|| serde_json::from_slice(line).ok())??;
        let (said, signature) = checkpoint.said(chain)?;
        let members = said.with_signature(key, &signature)?;
        let mut same = Vec::with_capacity(line.len() + 1);
        let before = Position { chain, seq: seq.checked_sub(1)?, hash: self.prev };
        let mut at = before;
        at.link(&members, &mut same);
        (same.strip_suffix(b"\n") == Some(line) && said.at.seq < seq).then_some(said)
    }

    /// Up to which record that checkpoint vouches: itself, where it is right behind what it says.
    pub(super) fn vouches(&self, said: &Said) -> u64 {
        let is_next = said.at.seq + 1 == self.at.seq && said.at.hash == self.prev;
        said.at.seq + u64::from(is_next)
    }
}

/// What `line`, without its line feed, says of itself.
pub(super) fn read(line: &[u8]) -> Option<Read<'_>> {
    let Line { chain, seq, prev, kind } = serde_json::from_slice(line).ok()?;
    let at = Position { chain: ChainId::parse(chain)?, seq, hash: fingerprint(line) };
    Some(Read { at, prev: unhex(prev)?, kind })
}

impl Verifier {
    /// One for trails of the region with this key.
    #[must_use]
    pub const fn new(key: VerifyingKey) -> Self {
        Self { key, chains: BTreeMap::new(), first: None, due: BTreeMap::new(), doubts: Vec::new() }
    }

    /// From here on a trail is faulty that has not this record, if it has any of that chain.
    pub fn must_reach(&mut self, at: Position) {
        self.due.insert(at.chain, at);
    }

    /// Takes the next line, without its line feed.
    ///
    /// # Errors
    /// `Fault` names the first record that is not as it was written. Go no further then.
    pub fn line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let record = read(line).ok_or(Fault::Malformed)?;
        let Read { at, prev, kind } = record;
        let Position { chain, seq, hash } = at;
        if seq == 0 || seq == 1 && prev != chain.genesis() {
            return Err(Fault::Edited(chain, seq));
        }
        if self.due.get(&chain).is_some_and(|due| due.seq == seq && due.hash != hash) {
            return Err(Fault::Replaced(chain, seq, seq));
        }
        // Of a chain whose first files are gone, the first record is believed until it is signed.
        let progress = self.chains.entry(chain).or_insert(Progress {
            first: seq,
            last: Position { chain, seq: seq - 1, hash: prev },
            signed: seq - 1,
            vouched: seq - 1,
            unsigned: Vec::new(),
            doubt: false,
            stop: 0,
            only_starts: seq == 1,
        });
        self.first = self.first.or(Some(chain));
        let before = progress.last;
        if seq > before.seq + 1 {
            return Err(Fault::Missing(chain, before.seq + 1, seq - 1));
        }
        if seq <= before.seq {
            return Err(Fault::OutOfOrder(chain, seq));
        }
        if progress.is_closed() && kind != "start" {
            return Err(Fault::AfterStop(chain, seq));
        }
        let fits = prev == before.hash;
        if progress.doubt {
            // If this one fits, the last one is as it was written, and the one before is not.
            return Err(Fault::Edited(chain, if fits { before.seq - 1 } else { before.seq }));
        }
        progress.doubt = !fits;
        progress.last = at;
        progress.unsigned.push(hash);
        progress.only_starts &= kind == "start";
        match kind {
            CHECKPOINT => progress.checkpoint(self.key, line, &record),
            "start" => {
                self.doubts.extend(progress.doubts(line, at));
                Ok(())
            }
            "stop" => {
                progress.stop = seq;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The chain of the first line that was taken.
    #[must_use]
    pub const fn first(&self) -> Option<ChainId> {
        self.first
    }

    /// What nobody can say of what was taken so far.
    #[must_use]
    pub fn doubts(&self) -> &[Doubt] {
        &self.doubts
    }

    /// What is known of each chain, once all lines were taken.
    ///
    /// # Errors
    /// `Fault` where the last records are not as they were written.
    pub fn finish(self) -> Result<Vec<Proven>, Fault> {
        let proven = |(chain, progress): (ChainId, Progress)| {
            let is_closed = progress.is_closed();
            let Progress { first, last, signed, doubt, only_starts, .. } = progress;
            if doubt {
                return Err(Fault::Edited(chain, last.seq - 1));
            }
            if let Some(due) = self.due.get(&chain).filter(|due| due.seq > last.seq) {
                return Err(Fault::CutOff(chain, last.seq + 1, due.seq));
            }
            if signed < first && !only_starts {
                return Err(Fault::Unsigned(chain, first, last.seq));
            }
            Ok(Proven {
                chain,
                first,
                last: last.seq,
                signed: if signed < first { 0 } else { signed },
                is_closed,
            })
        };
        self.chains.into_iter().map(proven).collect()
    }
}

impl Progress {
    /// Whether it ends with the stop of its process, signed.
    const fn is_closed(&self) -> bool {
        self.stop > 0 && self.signed == self.stop && self.last.seq == self.stop + 1
    }

    /// What is not known of what was there before the start that this line is.
    fn doubts(&self, line: &[u8], at: Position) -> impl Iterator<Item = Doubt> {
        let Position { chain, seq, .. } = at;
        let Start { missing_to, replaced_at } =
            serde_json::from_slice(line).unwrap_or(Start { missing_to: None, replaced_at: None });
        let unsigned = (self.vouched + 1 < seq)
            .then(|| Doubt::Unsigned(chain, self.vouched + 1, seq - 1, seq));
        let missing = missing_to.map(|to| Doubt::Missing(chain, to, seq));
        let replaced = replaced_at.map(|at| Doubt::Replaced(chain, at, seq));
        unsigned.into_iter().chain(missing).chain(replaced)
    }

    fn checkpoint(
        &mut self,
        key: VerifyingKey,
        line: &[u8],
        record: &Read<'_>,
    ) -> Result<(), Fault> {
        let Position { chain, seq, .. } = self.last;
        let said = record.checkpoint(line, key).ok_or(Fault::Foreign(chain, seq))?;
        let at = said.at;
        // One that was signed before what is there begins says nothing of that.
        let Some(beyond) = at.seq.checked_sub(self.signed + 1) else { return Ok(()) };
        let place = usize::try_from(beyond).unwrap_or(usize::MAX);
        if self.unsigned.get(place) != Some(&at.hash) {
            if self.doubt && at.seq + 1 == seq {
                return Err(Fault::Edited(chain, at.seq));
            }
            return Err(Fault::Replaced(chain, self.signed + 1, at.seq));
        }
        self.unsigned.drain(..=place);
        self.signed = at.seq;
        self.vouched = record.vouches(&said);
        Ok(())
    }
}
