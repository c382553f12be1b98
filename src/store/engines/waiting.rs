//! What waits for a store that is elsewhere, and who waits for it.
//!
//! Always holds: a batch is answered once; what was taken in is written, also when nothing more is. Never does: writing.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::{Notify, oneshot};

use super::lanes::{Lanes, Limits, Queued};
use crate::{
    fair::Weights,
    store::engine::{Batch, CommitError, Health, Revision},
};

/// How a batch is answered.
pub(super) type Answer = Result<Revision, CommitError>;

/// A batch, and who waits for it.
pub(super) struct Job {
    batch: Batch,
    reply: oneshot::Sender<Answer>,
    pub(super) began: Instant,
}

impl Job {
    pub(super) fn answer(self, answer: Answer) {
        // A caller that has stopped waiting does not want to know.
        let _ = self.reply.send(answer);
    }
}

impl Queued for Job {
    fn batch(&self) -> &Batch {
        &self.batch
    }
}

/// What waits for the writer of an engine whose store is elsewhere.
pub(super) struct Queue {
    state: Mutex<State>,
    news: Notify,
}

struct State {
    waiting: Lanes<Job>,
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(limits: Limits, weights: &Arc<Weights>) -> Self {
        let waiting = Lanes::new(limits, weights);
        Self { state: Mutex::new(State { waiting, is_closed: false }), news: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a batch in, or says at once why not.
    pub(super) fn push(
        &self,
        batch: Batch,
        health: Health,
    ) -> Result<oneshot::Receiver<Answer>, CommitError> {
        if health == Health::Down {
            return Err(CommitError::Unavailable("the store does not answer".into()));
        }
        let (reply, answer) = oneshot::channel();
        let mut state = self.state();
        if state.is_closed {
            return Err(CommitError::Unavailable("the store has stopped".into()));
        }
        let job = Job { batch, reply, began: Instant::now() };
        state.waiting.push(job).map_err(|_| CommitError::Overloaded)?;
        drop(state);
        self.news.notify_one();
        Ok(answer)
    }

    /// Takes nothing in any more. What waits is still written.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.news.notify_one();
    }

    /// What is next, behind what was taken before; nothing where nothing will come.
    pub(super) async fn next(&self, mut held: Vec<Job>, limits: Limits) -> Option<Vec<Job>> {
        loop {
            let news = self.news.notified();
            {
                let mut state = self.state();
                let bytes: usize = held.iter().map(|job| job.batch.weight()).sum();
                let room = Limits {
                    batches: limits.batches.saturating_sub(held.len()),
                    bytes: limits.bytes.saturating_sub(bytes),
                };
                held.extend(state.waiting.take(room, held.is_empty()));
                if !held.is_empty() {
                    return Some(held);
                }
                if state.is_closed {
                    return None;
                }
            }
            news.await;
        }
    }
}
