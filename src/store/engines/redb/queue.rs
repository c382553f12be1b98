//! What waits for the writer.
//!
//! Owns the batches between a caller and the writer's thread. Always holds: the queue is bounded by count and by
//! bytes, and a batch that does not fit is refused at once; a batch in the queue is either given to the writer or
//! refused, never forgotten. Never does: waiting on the caller's side.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::oneshot;

use crate::store::engine::{Batch, CommitError, Revision};

/// How the writer answers a batch.
pub(super) type Reply = oneshot::Sender<Result<Revision, CommitError>>;

/// How much may be in one place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) batches: usize,
    pub(super) bytes: usize,
}

/// A batch and who waits for it.
pub(super) struct Job {
    pub(super) batch: Batch,
    pub(super) reply: Reply,
}

/// What the writer woke up for.
pub(super) enum Call {
    /// Batches to commit, at least one.
    Group(Vec<Job>),
    /// A reader found that this generation of the database does not answer any more.
    Broken(u64),
    /// The deadline has come.
    Timeout,
    /// Nothing waits, and nothing will come.
    Closed,
}

/// Why a batch was not taken.
pub(super) enum Refusal {
    Full,
    Closed,
}

/// The queue before the writer.
pub(super) struct Queue {
    limits: Limits,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    bytes: usize,
    broken: Option<u64>,
    closed: bool,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default(), wake: Condvar::new() }
    }

    /// Takes a batch in, or says at once why not.
    pub(super) fn push(&self, job: Job) -> Result<(), Refusal> {
        let weight = job.batch.weight();
        let mut state = self.state();
        if state.closed {
            return Err(Refusal::Closed);
        }
        if state.jobs.len() >= self.limits.batches || state.bytes.saturating_add(weight) > self.limits.bytes {
            return Err(Refusal::Full);
        }
        state.bytes += weight;
        state.jobs.push_back(job);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Tells the writer that a database generation does not answer reads.
    pub(super) fn report_broken(&self, generation: u64) {
        self.state().broken = Some(generation);
        self.wake.notify_one();
    }

    /// Takes nothing in any more. What waits is still given to the writer.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.wake.notify_one();
    }

    /// Whether nothing is taken in any more.
    pub(super) fn closed(&self) -> bool {
        self.state().closed
    }

    /// The next thing to do. A group takes what waits, within `limits`, in the order of arrival.
    pub(super) fn next(&self, limits: Limits, deadline: Option<Instant>) -> Call {
        let mut state = self.state();
        loop {
            if let Some(generation) = state.broken.take() {
                return Call::Broken(generation);
            }
            if !state.jobs.is_empty() {
                return Call::Group(state.take(limits));
            }
            if state.closed {
                return Call::Closed;
            }
            state = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return Call::Timeout,
                Some(left) => self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, limits: Limits) -> Vec<Job> {
        let mut group = Vec::new();
        let mut bytes = 0_usize;
        while let Some(job) = self.jobs.front() {
            let weight = job.batch.weight();
            // The first one always goes, however heavy: the queue has let it in.
            if !group.is_empty() && (group.len() >= limits.batches || bytes.saturating_add(weight) > limits.bytes) {
                break;
            }
            bytes = bytes.saturating_add(weight);
            self.bytes = self.bytes.saturating_sub(weight);
            group.extend(self.jobs.pop_front());
        }
        group
    }
}
