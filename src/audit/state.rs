//! What the recorder and its threads share.
//!
//! Always holds: each record has its number and its place in every lane at once. Never does: wait
//! for a device.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{bell::Bell, chain::Position, lane::Lane, members::Members, unended::Unended};

/// A record could not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit trail takes no records")]
pub struct Unrecorded;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    /// Of the thread that sees to it that nobody waits too long.
    pub(super) watch: Bell,
}

impl Shared {
    /// Wakes all threads, to look whether they are to stop.
    pub(super) fn ring_all(&self) {
        for lane in self.lock().lanes.values() {
            lane.bells.writer.ring();
            lane.bells.syncer.ring();
        }
        self.watch.ring();
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) at: Position,
    pub(super) lanes: BTreeMap<u32, Lane>,
    /// The number of the next one.
    pub(super) next_lane: u32,
    /// Who waits for a record to be written, in the order of their numbers.
    pub(super) for_writing: VecDeque<Waiter>,
    /// Who waits for one to be durable.
    pub(super) for_disk: VecDeque<Waiter>,
    /// Changes under way: their records, and the places of their marks.
    pub(super) open: BTreeMap<u64, u16>,
    /// Those of which the store did not know how they ended.
    pub(super) doubts: Vec<Unended>,
    /// Places of marks that nobody has.
    pub(super) free: Vec<u16>,
    /// Records by which changes end, and those changes.
    pub(super) ending: VecDeque<(u64, Vec<u64>)>,
    pub(super) since_checkpoint: u64,
    /// Whether there is more than what the last head has said.
    pub(super) has_more: bool,
    /// Records that nobody relied on, and that found no place.
    pub(super) lost: u64,
    /// The last line.
    pub(super) line: Vec<u8>,
    /// Whether the last record was linked, and only what signs it may follow.
    pub(super) is_closed: bool,
    pub(super) stops: bool,
    pub(super) threads: usize,
}

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) seq: u64,
    pub(super) since: Instant,
    pub(super) tell: oneshot::Sender<Result<(), Unrecorded>>,
}

/// Those of whose records it is known what became. They are told without the lock: to wake them takes longer
/// than all that is done with it.
#[must_use]
pub(super) struct Known(Vec<Waiter>, Result<(), Unrecorded>);

impl Known {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells them.
    pub(super) fn tell(self) {
        for waiter in self.0 {
            let _whoever_has_gone = waiter.tell.send(self.1);
        }
    }
}

impl State {
    /// Looks whose records are kept by now.
    pub(super) fn advance(&mut self) -> Known {
        let mut kept = Vec::new();
        let required = || self.lanes.values().filter(|lane| lane.is_required);
        let written = required().map(Lane::written).min().unwrap_or_default();
        let durable = required().map(Lane::durable).min().unwrap_or_default();
        for (queue, to) in [(&mut self.for_writing, written), (&mut self.for_disk, durable)] {
            let is_kept = |waiter: &Waiter| waiter.seq <= to;
            while queue.front().is_some_and(is_kept)
                && let Some(waiter) = queue.pop_front()
            {
                kept.push(waiter);
            }
        }
        while self.ending.front().is_some_and(|(seq, _)| *seq <= durable)
            && let Some((_, changes)) = self.ending.pop_front()
        {
            self.free.extend(changes.iter().filter_map(|change| self.open.remove(change)));
        }
        Known(kept, Ok(()))
    }

    /// Those who have waited longer than that.
    pub(super) fn overdue(&mut self, patience: Duration) -> Known {
        let is_overdue = |waiter: &Waiter| waiter.since.elapsed() > patience;
        let mut overdue = Vec::new();
        for queue in [&mut self.for_writing, &mut self.for_disk] {
            while queue.front().is_some_and(is_overdue)
                && let Some(waiter) = queue.pop_front()
            {
                overdue.push(waiter);
            }
        }
        Known(overdue, Err(Unrecorded))
    }

    /// Whether somebody waits until something is kept.
    pub(super) fn someone_waits(&self) -> bool {
        !self.for_writing.is_empty() || !self.for_disk.is_empty()
    }

    /// Whether somebody waits until what a device has taken is on its disk.
    pub(super) fn someone_waits_for_disk(&self, lane: u32) -> bool {
        let written = self.lanes.get(&lane).map_or(0, Lane::written);
        self.for_disk.front().is_some_and(|waiter| waiter.seq <= written)
    }

    /// A device has failed: nobody waits for it any more.
    pub(super) fn fails(&mut self, lane: u32, error: &io::Error) {
        let Some(lane) = self.lanes.get_mut(&lane) else { return };
        if lane.fails() {
            tracing::error!(
                device = lane.name, required = lane.is_required, %error,
                "an audit device fails; it is tried again"
            );
        }
        if lane.is_required {
            for waiter in self.for_writing.drain(..).chain(self.for_disk.drain(..)) {
                let _whoever_has_gone = waiter.tell.send(Err(Unrecorded));
            }
        }
    }

    pub(super) fn is_well(&self, patience: Duration) -> bool {
        self.lanes.values().all(|lane| !lane.is_required || lane.is_well(patience))
    }

    /// Links a record and gives it to the devices.
    pub(super) fn link(&mut self, members: &Members) {
        self.line.clear();
        self.at.link(members, &mut self.line);
        for lane in self.lanes.values_mut() {
            lane.push(&self.line, self.at.seq);
        }
        self.since_checkpoint += 1;
        self.has_more = true;
    }
}
