//! What readers, callers, the writers and the keeper have in common.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;

use super::{
    cache::Cache,
    queue::Queue,
    readers::Readers,
    view::{Frozen, Under, View},
};
use crate::{
    fair::Weights,
    store::{engine::Health, feed::Feed},
};

/// The newest view, what waits for the writers and for the keeper, and how the store feels.
pub(super) struct Shared {
    pub(super) view: ArcSwap<View>,
    /// Held by whoever makes a view of the newest one.
    publishing: Mutex<()>,
    pub(super) cache: Cache,
    pub(super) queue: Queue,
    pub(super) feed: Feed,
    /// The latest moment in the store when it was opened.
    pub(super) latest: Option<u64>,
    pub(super) readers: Readers,
    /// The same for what is looked at before it is removed.
    pub(super) lookers: Readers,
    log: AtomicU8,
    base: AtomicU8,
    /// The log has no room, and the database behind it cannot be written.
    full: AtomicBool,
    /// Before this place, the log can be written over.
    trimmed: AtomicU64,
    work: Mutex<Work>,
    /// The keeper waits for work, and the writers for room in the log.
    wake: Condvar,
}

/// How the log, or the database, does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// All is well.
    Sound,
    /// Nothing is written at present. The log can go on for a while when the database is behind.
    Behind,
    /// Reads go on, nothing else does.
    Failing,
    /// Nothing works.
    Down,
}

impl State {
    const ALL: [Self; 4] = [Self::Sound, Self::Behind, Self::Failing, Self::Down];

    fn load(from: &AtomicU8) -> Self {
        let number = usize::from(from.load(Ordering::Acquire));
        Self::ALL.get(number).copied().unwrap_or(Self::Down)
    }
}

/// What the keeper has to do.
#[derive(Default)]
pub(super) struct Work {
    /// Changes that are to go into the database.
    pub(super) frozen: Option<Arc<Frozen>>,
    /// A reader found that this generation of the database does not answer any more.
    pub(super) broken: Option<u64>,
    /// The store is closed: the log ends here.
    pub(super) closing: Option<u64>,
}

impl Work {
    const fn is_some(&self) -> bool {
        self.frozen.is_some() || self.broken.is_some() || self.closing.is_some()
    }
}

impl Shared {
    /// What there is of a store that was just opened.
    pub(super) fn new(
        view: View,
        cache: Cache,
        queue: Queue,
        feed: Feed,
        (latest, weights): (Option<u64>, &Arc<Weights>),
    ) -> Self {
        let trimmed = AtomicU64::new(view.under.base.standing.tail);
        Self {
            view: ArcSwap::from_pointee(view),
            publishing: Mutex::default(),
            cache,
            queue,
            feed,
            latest,
            readers: Readers::new(weights),
            lookers: Readers::new(weights),
            log: AtomicU8::new(0),
            base: AtomicU8::new(0),
            full: AtomicBool::new(false),
            trimmed,
            work: Mutex::default(),
            wake: Condvar::new(),
        }
    }

    pub(super) fn health(&self) -> Health {
        match (State::load(&self.log), State::load(&self.base)) {
            (State::Down, _) | (_, State::Down) => Health::Down,
            (State::Failing, _) | (_, State::Failing) => Health::ReadOnly,
            _ if self.is_full() => Health::ReadOnly,
            _ => Health::Ready,
        }
    }

    /// Whether the log has no room, and the database behind it cannot be written.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// The log has no room while it can be written over before `trimmed` only, and the database
    /// behind it cannot be written. Until that has made room, nothing is taken in. Says whether
    /// this is news.
    pub(super) fn fills_up(&self, trimmed: u64) -> bool {
        let _with_trim = self.work();
        // Room that was made in between is not passed over: nobody would make it again.
        let is_full = trimmed == self.trimmed() && self.base() != State::Sound;
        is_full && !self.full.swap(true, Ordering::AcqRel)
    }

    pub(super) fn log_is(&self, state: State) {
        self.log.store(state as u8, Ordering::Release);
    }

    pub(super) fn base_is(&self, state: State) {
        self.base.store(state as u8, Ordering::Release);
        self.wake.notify_all();
    }

    /// How the database does.
    pub(super) fn base(&self) -> State {
        State::load(&self.base)
    }

    /// Makes a view of the newest one, and shows it to whoever reads from now on.
    pub(super) fn publish(&self, change: impl FnOnce(&View) -> View) {
        let _one_by_one = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let view = change(&self.view.load());
        self.view.store(Arc::new(view));
    }

    /// Publishes what lies beneath the newest changes.
    pub(super) fn publish_under(&self, under: Under) {
        self.publish(|view| View {
            revision: view.revision,
            recent: view.recent.clone(),
            under: Arc::new(under),
        });
    }

    /// Whether nothing is written any more, as the store is closed or has ended.
    pub(super) fn stopped(&self) -> bool {
        self.queue.closed()
    }

    /// The keeper's work.
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the keeper something to do.
    pub(super) fn ask(&self, change: impl FnOnce(&mut Work)) {
        change(&mut self.work());
        self.wake.notify_all();
    }

    /// Whether changes are on their way into the database.
    pub(super) fn is_busy(&self) -> bool {
        self.view.load().under.frozen.is_some()
    }

    /// Waits until something has changed in the keeper's work, or for so long.
    pub(super) fn wait(&self, time: Duration) {
        drop(self.wake.wait_timeout(self.work(), time));
    }

    /// Waits until there is something to do for the keeper, or for so long.
    pub(super) fn next_work(&self, time: Option<Duration>) -> Work {
        let mut work = self.work();
        let until = time.map(|time| Instant::now() + time);
        while !work.is_some() {
            work = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.wake.wait(work).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => break,
                Some(left) => {
                    self.wake.wait_timeout(work, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        std::mem::take(&mut work)
    }

    /// Before this place, the log can be written over.
    pub(super) fn trimmed(&self) -> u64 {
        self.trimmed.load(Ordering::Acquire)
    }

    /// The log can be written over up to `tail`.
    pub(super) fn trim(&self, tail: u64) {
        // Whoever waits looks under the lock: nobody misses it.
        let work = self.work();
        if self.trimmed.fetch_max(tail, Ordering::AcqRel) < tail
            && self.full.swap(false, Ordering::AcqRel)
        {
            tracing::info!("the log has room again, and the store takes writes again");
        }
        drop(work);
        self.wake.notify_all();
    }

    /// A reader found that a generation of the database does not answer.
    pub(super) fn report_broken(&self, generation: u64) {
        self.ask(|work| work.broken = Some(generation));
    }
}
