//! Checks a trail, line by line: whether it is what was written, all of it, in order.
//!
//! Always holds: whatever was edited, left out, put in or moved before a chain's last checkpoint is
//! found, and so is what is not ours. What comes after that is linked, but nobody has signed it
//! yet: [`Proven`] tells how much that is. Never does: believe a number that a line gives itself.

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
    /// A checkpoint that the region's key has not signed.
    #[error("checkpoint {1} of chain {0} was not signed by this region, or was edited")]
    Foreign(ChainId, u64),
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
    /// Up to which it is signed; 0 where nothing is.
    pub signed: u64,
    /// Whether it ends as a chain does whose process has stopped in order.
    pub is_closed: bool,
}

/// Takes lines, and says what is wrong with them.
#[derive(Debug)]
pub struct Verifier {
    key: VerifyingKey,
    chains: BTreeMap<ChainId, Progress>,
    /// What each must have reached.
    due: BTreeMap<ChainId, Position>,
}

#[derive(Debug)]
struct Progress {
    first: u64,
    last: Position,
    signed: u64,
    /// The hashes of the records after the one that is signed.
    unsigned: Vec<Hash>,
    /// The last record does not name the one before it: one of the two was edited.
    doubt: bool,
    /// The last record with which a process has stopped.
    stop: u64,
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
        Self { key, chains: BTreeMap::new(), due: BTreeMap::new() }
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
        let Read { at, prev, kind } = read(line).ok_or(Fault::Malformed)?;
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
            unsigned: Vec::new(),
            doubt: false,
            stop: 0,
        });
        let before = progress.last;
        if seq > before.seq + 1 {
            return Err(Fault::Missing(chain, before.seq + 1, seq - 1));
        }
        if seq <= before.seq {
            return Err(Fault::OutOfOrder(chain, seq));
        }
        let fits = prev == before.hash;
        if progress.doubt {
            // If this one fits, the last one is as it was written, and the one before is not.
            return Err(Fault::Edited(chain, if fits { before.seq - 1 } else { before.seq }));
        }
        progress.doubt = !fits;
        progress.last = at;
        progress.unsigned.push(hash);
        match kind {
            CHECKPOINT => progress.checkpoint(self.key, line, prev),
            "stop" => {
                progress.stop = seq;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What is known of each chain, once all lines were taken.
    ///
    /// # Errors
    /// `Fault` where the last records are not as they were written.
    pub fn finish(self) -> Result<Vec<Proven>, Fault> {
        let proven = |(chain, progress): (ChainId, Progress)| {
            let Progress { first, last, signed, doubt, stop, .. } = progress;
            if doubt {
                return Err(Fault::Edited(chain, last.seq - 1));
            }
            if let Some(due) = self.due.get(&chain).filter(|due| due.seq > last.seq) {
                return Err(Fault::CutOff(chain, last.seq + 1, due.seq));
            }
            let is_closed = stop > 0 && signed == stop && last.seq == stop + 1;
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
    fn checkpoint(&mut self, key: VerifyingKey, line: &[u8], prev: Hash) -> Result<(), Fault> {
        let Position { chain, seq, .. } = self.last;
        let foreign = Fault::Foreign(chain, seq);
        let said: Checkpoint<'_> = serde_json::from_slice(line).map_err(|_| foreign)?;
        let (said, signature) = said.said(chain).ok_or(foreign)?;
        let members = said.with_signature(key, &signature).ok_or(foreign)?;
        let at = said.at;
        // To the byte, so that nothing of it can be another.
        let mut same = Vec::with_capacity(line.len() + 1);
        Position { chain, seq: seq - 1, hash: prev }.link(&members, &mut same);
        if same.strip_suffix(b"\n") != Some(line) || at.seq >= seq {
            return Err(foreign);
        }
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
        Ok(())
    }
}
