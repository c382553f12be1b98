//! What waits for the writer.
//!
//! Owns the batches between a caller and the writer's thread. Always holds: the queue is bounded by
//! count and by bytes, and a batch that does not fit is refused at once; a batch in the queue is
//! either given to the writer or refused, never forgotten; tenants take turns ([`Lanes`]). Never
//! does: waiting on the caller's side.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::{runtime::Handle, sync::oneshot};

use super::look::Looked;
use crate::{
    fair::Weights,
    store::{
        engine::{Batch, CommitError, Op, Revision},
        engines::lanes::{Lanes, Limits, Queued},
    },
};

/// How the writer answers a batch.
pub(super) type Reply = oneshot::Sender<Result<Revision, CommitError>>;

/// A batch and who waits for it.
pub(super) struct Job {
    pub(super) batch: Batch,
    pub(super) reply: Reply,
    /// What it removes, where that was looked at already.
    pub(super) looked: Option<Looked>,
    /// Where it can be looked at.
    pub(super) runtime: Option<Handle>,
}

impl Job {
    /// A batch that comes from its caller.
    pub(super) fn new(batch: Batch, reply: Reply) -> Self {
        let is_removal = |op: &Op| matches!(op, Op::DeleteRange(..));
        let removes = batch.ops.iter().any(is_removal);
        let runtime = removes.then(|| Handle::try_current().ok()).flatten();
        Self { batch, reply, looked: None, runtime }
    }
}

impl Queued for Job {
    fn batch(&self) -> &Batch {
        &self.batch
    }
}

/// What a writer woke up for.
pub(super) enum Call {
    /// Batches wait.
    Ready,
    /// It is time, or somebody wants the writers to look after things.
    Due,
    /// Nothing waits, and nothing will come.
    Closed,
}

/// Why a batch was not taken.
pub(super) enum NotTaken {
    Full,
    Closed,
}

/// The queue before the writer.
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Lanes<Job>,
    /// When the writers are to look after things though nothing waits.
    due: Option<Instant>,
    woken: bool,
    log: LogState,
    closed: bool,
}

/// What the log does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LogState {
    #[default]
    Idle,
    /// It makes a group durable.
    Busy,
    /// And another group waits for that.
    Awaited,
}

impl Queue {
    pub(super) fn new(limits: Limits, weights: &Arc<Weights>) -> Self {
        let state = State { waiting: Lanes::new(limits, weights), ..State::default() };
        Self { state: Mutex::new(state), wake: Condvar::new() }
    }

    /// Takes a batch in, or says at once why not.
    pub(super) fn push(&self, job: Job) -> Result<(), NotTaken> {
        let mut state = self.state();
        if state.closed {
            return Err(NotTaken::Closed);
        }
        state.waiting.push(job).map_err(|_| NotTaken::Full)?;
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Takes a batch in that was in the queue before, and is not refused for want of room.
    pub(super) fn push_again(&self, job: Job) {
        let mut state = self.state();
        if state.closed {
            drop(state);
            let stopped = CommitError::Unavailable("the store has stopped".into());
            // A caller that has stopped waiting does not want to know.
            let _ = job.reply.send(Err(stopped));
            return;
        }
        state.waiting.add(job);
        drop(state);
        self.wake.notify_one();
    }

    /// Lets a writer look after things.
    pub(super) fn wake(&self) {
        self.state().woken = true;
        self.wake.notify_one();
    }

    /// When a writer is to look after things though nothing waits.
    pub(super) fn look_at(&self, due: Option<Instant>) {
        let mut state = self.state();
        let is_sooner = due.is_some_and(|due| state.due.is_none_or(|before| due < before));
        state.due = due;
        drop(state);
        if is_sooner {
            self.wake.notify_one();
        }
    }

    /// The log makes a group durable, or does so no more.
    pub(super) fn log_is_busy(&self, is_busy: bool) {
        let now = if is_busy { LogState::Busy } else { LogState::Idle };
        // A thread that is woken for nothing takes the processor from those who are answered.
        if std::mem::replace(&mut self.state().log, now) == LogState::Awaited {
            self.wake.notify_one();
        }
    }

    /// Takes nothing in any more. What waits is still given to the writers.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.wake.notify_all();
    }

    /// Whether nothing is taken in any more.
    pub(super) fn closed(&self) -> bool {
        self.state().closed
    }

    /// Waits for the next thing to do. Another writer may do it first.
    pub(super) fn wait(&self) -> Call {
        let mut state = self.state();
        loop {
            let left = state.due.map(|due| due.saturating_duration_since(Instant::now()));
            // First, as there may always be something that waits.
            if std::mem::take(&mut state.woken) || left.is_some_and(|left| left.is_zero()) {
                return if state.closed && state.waiting.is_empty() {
                    Call::Closed
                } else {
                    Call::Due
                };
            }
            if !state.waiting.is_empty() {
                return Call::Ready;
            }
            if state.closed {
                return Call::Closed;
            }
            state = match left {
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Takes what waits, within `limits`, for a new group: of one tenant in the order of arrival.
    /// The first one always goes, however heavy, as the queue has let it in.
    pub(super) fn take(&self, limits: Limits) -> Vec<Job> {
        self.state().waiting.take(limits, true)
    }

    /// Takes more for a group whose turn has not come, within `limits`. While the log is busy, waits
    /// for somebody to come; what is left out when it is not comes with the next group.
    pub(super) fn more(&self, limits: Limits) -> Vec<Job> {
        let mut state = self.state();
        loop {
            let more = state.waiting.take(limits, false);
            let is_idle = state.log == LogState::Idle;
            if !more.is_empty() || is_idle || state.closed || limits.batches == 0 {
                return more;
            }
            state.log = LogState::Awaited;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::{crypto::Sealed, store::kinds::value};

    fn job(tenant: u8, bytes: usize) -> Job {
        let put = Op::Put(value::SPACE, vec![tenant; 16], Sealed::public(vec![0; bytes]));
        let batch = Batch::of(vec![put]);
        Job::new(batch, oneshot::channel().0)
    }

    fn taken(queue: &Queue, batches: usize) -> Vec<u8> {
        let jobs = queue.take(Limits { batches, bytes: usize::MAX });
        jobs.iter().map(|job| job.tenant()[0]).collect()
    }

    fn queue(batches: usize, bytes: usize) -> Queue {
        Queue::new(Limits { batches, bytes }, &Arc::default())
    }

    /// A thousand writers of one tenant made a quiet tenant's write wait for all that they had
    /// queued.
    #[test]
    fn a_quiet_tenant_is_in_the_next_group() {
        let queue = queue(4096, usize::MAX);
        for _ in 0..1000 {
            assert!(queue.push(job(1, 200)).is_ok());
        }
        assert_eq!(taken(&queue, 64), [1; 64]);
        assert!(queue.push(job(2, 200)).is_ok());
        assert!(queue.push(job(3, 5_000_000)).is_ok());
        let next = taken(&queue, 64);
        assert!(next.contains(&2), "{next:?}");
        // A heavy batch has saved up for its turn in the end, and everything comes out.
        let mut rest = Vec::new();
        loop {
            let more = taken(&queue, 64);
            if more.is_empty() {
                break;
            }
            rest.extend(more);
        }
        assert_eq!((rest.contains(&3), next.len() + rest.len()), (true, 938));
    }

    /// Of two who always have something waiting, one that weighs three has three times as much of each group.
    #[test]
    fn who_weighs_more_has_more_of_a_group() {
        let weights = Arc::<Weights>::default();
        let queue = Queue::new(Limits { batches: 4096, bytes: usize::MAX }, &weights);
        for _ in 0..500 {
            assert!(queue.push(job(1, 200)).is_ok() && queue.push(job(2, 200)).is_ok());
        }
        let ones =
            || taken(&queue, 64).into_iter().filter(|tenant| *tenant == 1).collect::<Vec<_>>();
        assert_eq!(ones().len(), 32);
        weights.replace(HashMap::from([([1; 16], 3)]));
        assert_eq!(ones().len(), 48);
    }

    #[test]
    fn tenants_take_turns_by_bytes() {
        let queue = queue(4096, usize::MAX);
        for _ in 0..100 {
            assert!(queue.push(job(1, 100)).is_ok() && queue.push(job(2, 60_000)).is_ok());
        }
        let group = taken(&queue, 54);
        let of = |tenant| group.iter().map(|other| u32::from(*other == tenant)).sum::<u32>();
        assert_eq!((of(1), of(2)), (43, 11));
    }

    /// A large value of a quiet tenant saved up for its turn over eight groups of another's small
    /// ones.
    #[test]
    fn a_quiet_tenants_large_value_is_in_the_next_group() {
        for noisy in 1..=2 {
            let queue = queue(4096, usize::MAX);
            for _ in 0..500 {
                assert!((0..noisy).all(|tenant| queue.push(job(tenant, 200)).is_ok()));
            }
            assert!(queue.push(job(9, (512 << 10) / usize::from(noisy))).is_ok());
            let next = taken(&queue, 64);
            assert!(next.contains(&9), "{next:?}");
        }
    }

    /// A tenant that fills the queue is refused; another one finds room.
    #[test]
    fn a_full_lane_refuses_its_tenant_alone() {
        for queue in [queue(100, usize::MAX), queue(usize::MAX, 100 * 1048)] {
            let fill = |tenant| (0..200).filter(|_| queue.push(job(tenant, 1000)).is_ok()).count();
            assert_eq!((fill(1), fill(2), fill(3)), (50, 25, 13));
            assert!(queue.push(job(4, 1000)).is_ok());
        }
        // What fits an empty queue is taken, though it is more than half of it.
        assert!(queue(10, 1000).push(job(1, 900 - 32)).is_ok());
        assert!(queue(1, 1000).push(job(1, 9)).is_ok());
    }

    /// A group that waits for the log takes in who comes meanwhile, as far as it has room; where
    /// the log is free it waits for nobody.
    #[test]
    fn a_group_grows_while_the_log_is_busy() {
        let queue = queue(4096, usize::MAX);
        let some = Limits { batches: 2, bytes: 4_000 };
        assert!(queue.more(some).is_empty());
        queue.log_is_busy(true);
        std::thread::scope(|scope| {
            let more = scope.spawn(|| queue.more(some).len());
            assert!(queue.push(job(1, 100)).is_ok());
            assert_eq!(more.join().unwrap(), 1);
            let more = scope.spawn(|| queue.more(some).len());
            assert!(queue.push(job(1, 10_000)).is_ok());
            queue.log_is_busy(false);
            assert_eq!(more.join().unwrap(), 0, "what has no room comes with the next group");
        });
        assert_eq!(taken(&queue, 64), [1]);
    }

    /// A tenant that saves up for a heavy batch once ended each group after one turn of the others.
    #[test]
    fn a_heavy_batch_ends_no_group_before_its_turn() {
        let queue = queue(4096, usize::MAX);
        assert!(queue.push(job(1, 500_000)).is_ok());
        for _ in 0..200 {
            assert!(queue.push(job(2, 200)).is_ok());
        }
        let group = queue.take(Limits { batches: 64, bytes: 512 << 10 });
        assert_eq!(group.len(), 64);
    }

    /// Where something always waits, it is time all the same.
    #[test]
    fn what_is_due_comes_before_what_waits() {
        let queue = queue(4096, usize::MAX);
        assert!(queue.push(job(1, 200)).is_ok());
        assert!(matches!(queue.wait(), Call::Ready));
        queue.look_at(Some(Instant::now()));
        assert!(matches!(queue.wait(), Call::Due));
        queue.look_at(None);
        assert!(matches!(queue.wait(), Call::Ready));
        queue.close();
        assert_eq!(taken(&queue, 64), [1]);
        assert!(matches!(queue.wait(), Call::Closed));
    }
}
