//! The threads that make batches durable.
//!
//! Owns the log, the newest state, and what happens when the log fails. One thread judges a group
//! while another waits for the disk with the group before, and what comes meanwhile goes with it.
//! Whoever judges holds what is `prepared`, takes the `log` while it still does, and gives up
//! `prepared` to sync. So groups keep their order.
//!
//! Always holds: a state is published after it is durable and before anybody is told of it;
//! published states never go back; a revision that was tried is never tried again. After a failure
//! of the log, writes are refused and reads go on, until something was written in the place of what
//! failed: only then is it known not to be there. So they are where the log is full and the
//! database cannot be written, until it can. Never does: wait for a caller, write to the
//! database, or let a panic of the store's code end the service.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    apart::look_apart,
    frame::{self, Group, SECTOR},
    judge::{self, Judged, Newest, Verdict},
    log::Log,
    look::{Looked, look, look_shortly},
    pace::Pace,
    queue::{Call, Job, Reply},
    recent::Recent,
    shared::{Shared, State},
    view::{Frozen, Under, View},
};
use crate::store::{
    engine::{Batch, CommitError, Observer, Revision, Source},
    engines::lanes::Limits,
};

/// While batches meet damaged pages, a group is small: each of them is looked at for long.
const WARY_BATCHES: usize = 16;
const WARY_TIME: Duration = Duration::from_secs(10);
/// After so much quiet, what has changed goes into the database.
const QUIET: Duration = Duration::from_secs(2);
/// And after so much time, quiet or not.
const OLDEST: Duration = Duration::from_secs(60);
/// What the database has leaves the log in pieces of so many bytes, with pauses between: whoever
/// writes meanwhile waits for one of them.
const PIECE: u64 = 256 << 10;
const PIECE_PAUSE: Duration = Duration::from_millis(10);
/// How often whoever waits for room in the log looks whether there is hope.
const LOOK: Duration = Duration::from_millis(50);

/// What whoever writes is told while the log fails.
pub(super) const SOON: &str = "writes failed, and are tried again soon";
/// What whoever writes is told when there is no room in the log, and none will come at present.
pub(super) const FULL: &str = "the log is full, and the database cannot be written";

/// What the writers are told once.
pub(super) struct Settings {
    pub(super) group: Limits,
    pub(super) pause_min: Duration,
    pub(super) pause_max: Duration,
}

/// What the threads have in common.
pub(super) struct Writer {
    shared: Arc<Shared>,
    observer: Arc<dyn Observer>,
    settings: Settings,
    /// The log's length, in bytes.
    capacity: u64,
    prepared: Mutex<Prepared>,
    log: Mutex<Appending>,
    pace: Mutex<Pace>,
}

/// What the next group is judged against.
struct Prepared {
    newest: Newest,
    /// The highest revision that was ever tried.
    last: Revision,
    /// The moment of the newest commit.
    moment: Option<u64>,
    /// How many failures of the log the newest state has taken note of.
    failures: u64,
    /// Where the log stands once all that was judged is in it, and where it stood when changes
    /// were last handed to the keeper.
    head: u64,
    handed: u64,
    /// If there were changes since then: the last of them, and when they go at the latest.
    changed: Option<(Instant, Instant)>,
    /// When the next piece of the log is cleared, and up to where all is.
    clear: Option<(Instant, u64)>,
    /// When a batch last met a damaged page.
    damage_met: Option<Instant>,
    /// When to try again, after a failure.
    retry: Option<Instant>,
}

/// The log, and how it has failed.
struct Appending {
    log: Log,
    failures: u64,
    is_failing: bool,
    pause: Duration,
}

/// Why a group, or the whole engine, failed. Every caller of the group gets it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
struct Cause(#[source] Arc<dyn std::error::Error + Send + Sync>);

impl From<Source> for Cause {
    fn from(source: Source) -> Self {
        Self(Arc::from(source))
    }
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        observer: Arc<dyn Observer>,
        settings: Settings,
        log: Log,
    ) -> Self {
        let view = shared.view.load();
        let newest = Newest { recent: view.recent.clone(), revision: view.revision };
        let prepared = Prepared {
            last: newest.revision,
            moment: shared.latest,
            failures: 0,
            head: log.head(),
            handed: view.under.base.standing.position,
            changed: (!newest.recent.is_empty()).then(|| (Instant::now(), Instant::now() + OLDEST)),
            clear: Some((Instant::now() + QUIET, log.tail() + log.capacity())),
            damage_met: None,
            retry: None,
            newest,
        };
        drop(view);
        let (pause, capacity) = (settings.pause_min, log.capacity());
        let appending = Appending { log, failures: 0, is_failing: false, pause };
        shared.queue.look_at(prepared.deadline());
        let (prepared, log) = (Mutex::new(prepared), Mutex::new(appending));
        let pace = Mutex::new(Pace::new(settings.group.bytes));
        Self { shared, observer, settings, capacity, prepared, log, pace }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(&self) {
        let farewell = Farewell(&self.shared);
        loop {
            match self.shared.queue.wait() {
                Call::Ready => self.write(),
                Call::Due => self.look(),
                Call::Closed => break,
            }
        }
        std::mem::forget(farewell);
    }

    /// Hands what is left to the keeper, and says where the log ends. To be called when no thread
    /// runs any more.
    pub(super) fn finish(&self) -> u64 {
        let mut prepared = self.prepared();
        let appending = self.appending();
        self.begins_anew(&mut prepared, &appending);
        while self.shared.is_busy() && self.shared.base() == State::Sound {
            self.shared.wait(LOOK);
        }
        self.hand_over(&mut prepared, &appending);
        appending.log.head()
    }

    /// Gives the log's storage back.
    pub(super) fn close(&self) {
        if let Err(error) = self.appending().log.close() {
            tracing::warn!(%error, "the log was not closed");
        }
    }

    fn prepared(&self) -> MutexGuard<'_, Prepared> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn appending(&self) -> MutexGuard<'_, Appending> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn group_limits(&self, prepared: &Prepared) -> Limits {
        let batches = self.settings.group.batches;
        let wary = prepared.damage_met.is_some_and(|met| met.elapsed() < WARY_TIME);
        // A group of many has room in the log, however small that is, and its frame can be kept.
        let room = usize::try_from(self.kept_max() / 2).unwrap_or(usize::MAX);
        Limits {
            batches: if wary { batches.min(WARY_BATCHES) } else { batches },
            bytes: self.pace().bytes().min(room),
        }
    }

    /// Makes what waits durable, as one group.
    fn write(&self) {
        let mut prepared = self.prepared();
        let mut left = self.group_limits(&prepared);
        let mut jobs = self.shared.queue.take(left);
        if jobs.is_empty() {
            return;
        }
        let started = Instant::now();
        let why = match prepared.retry {
            Some(_) => Some(SOON),
            None => self.make_room(&mut prepared, length_max(&jobs)).err(),
        };
        if let Some(why) = why {
            let replies = jobs.into_iter().map(|job| job.reply).collect();
            return refuse(replies, || CommitError::Unavailable(why.into()));
        }
        let mut judged = Judged::new(prepared.newest.clone());
        let (mut replies, mut bytes) = (Vec::new(), 0);
        while !jobs.is_empty() {
            let weight = weight(&jobs);
            bytes += weight;
            left.batches = left.batches.saturating_sub(jobs.len());
            left.bytes = left.bytes.saturating_sub(weight);
            let view = self.shared.view.load_full();
            let (batches, more): (Vec<_>, Vec<_>) =
                jobs.into_iter().filter_map(|job| self.look_at(&view, job)).unzip();
            replies.extend(more);
            if let Err(source) = judged.judge(&view.under, batches, &mut prepared.last) {
                tracing::error!(error = source, "the database cannot be read for a commit");
                self.shared.report_broken(view.under.base.generation);
                let cause = Cause::from(source);
                return refuse(replies, || CommitError::Unavailable(cause.clone().into()));
            }
            let end = prepared.head + judged.frame_len();
            let room = self.capacity.saturating_sub(end - self.shared.trimmed());
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            jobs = self.shared.queue.more(Limits {
                batches: left.batches,
                bytes: left.bytes.min(room.saturating_sub(left.batches.saturating_mul(4) + SECTOR)),
            });
        }
        if judged.damaged > 0 {
            prepared.damage_met = Some(Instant::now());
        }
        // Whoever is told something must not be ahead of the disk, refusals included.
        let mut appending = self.appending();
        // It may have been judged against what did not become durable.
        if self.begins_anew(&mut prepared, &appending) {
            self.shared.queue.look_at(prepared.deadline());
            return refuse(replies, || CommitError::Unavailable(SOON.into()));
        }
        let moment = self.observer.moment().max(prepared.moment);
        let Some((group, encoded)) = judged.group(moment) else {
            drop((prepared, appending));
            return answer(replies.into_iter().zip(judged.verdicts));
        };
        let Judged { verdicts, newest, touches, operations, .. } = judged;
        appending.log.trim(self.shared.trimmed());
        prepared.head += frame::length(&encoded);
        prepared.newest = newest.clone();
        prepared.moment = moment;
        let now = Instant::now();
        prepared.changed = Some((now, prepared.changed.map_or(now + OLDEST, |(_, by)| by)));
        self.shared.queue.look_at(prepared.deadline());
        self.shared.queue.log_is_busy(true);
        drop(prepared);

        match appending.append(&group, encoded) {
            Ok(()) => {
                self.shared.cache.apply(touches);
                self.show(newest);
                group.tell(&self.shared.feed);
                let applied = verdicts.iter().filter(|verdict| verdict.is_ok()).count();
                self.shared.queue.log_is_busy(false);
                drop(appending);
                let elapsed = started.elapsed();
                self.observer.committed(applied, operations, elapsed);
                answer(replies.into_iter().zip(verdicts));
                self.pace().took(bytes, elapsed);
            }
            Err(error) => {
                let cause = self.fail(error.into(), replies.len());
                self.shared.queue.log_is_busy(false);
                drop(appending);
                refuse(replies, || CommitError::OutcomeUnknown(cause.clone().into()));
            }
        }
    }

    /// A batch with a look at what it removes. Where that would keep the others waiting, it leaves
    /// the group, and comes again when it was looked at.
    fn look_at(&self, view: &View, mut job: Job) -> Option<((Batch, Looked), Reply)> {
        let base = &view.under.base;
        let looked = match (job.looked.take(), job.runtime.take()) {
            (Some(looked), _) => looked,
            // There is nowhere else to do it.
            (None, None) => look(base, &job.batch),
            (None, Some(runtime)) => {
                let Some(looked) = look_shortly(base, &job.batch) else {
                    look_apart(&self.shared, job, &runtime);
                    return None;
                };
                looked
            }
        };
        Some(((job.batch, looked), job.reply))
    }

    /// Publishes a state that is durable.
    fn show(&self, newest: Newest) {
        self.shared.publish(|view| View {
            revision: newest.revision,
            recent: newest.recent,
            under: Arc::clone(&view.under),
        });
    }

    /// Where the log has failed since, takes the published state for the newest, as what was judged
    /// meanwhile is not in it. Says whether it did.
    fn begins_anew(&self, prepared: &mut Prepared, appending: &Appending) -> bool {
        if appending.failures == prepared.failures {
            return false;
        }
        let view = self.shared.view.load();
        prepared.newest = Newest { recent: view.recent.clone(), revision: view.revision };
        prepared.head = appending.log.head();
        prepared.failures = appending.failures;
        prepared.retry = appending.is_failing.then(|| Instant::now() + appending.pause);
        true
    }

    /// The log failed: no more writes for now.
    fn fail(&self, source: Source, batches: usize) -> Cause {
        let cause = Cause::from(source);
        tracing::error!(error = %cause, batches, "a commit failed; the store is read-only until it recovers");
        self.shared.log_is(State::Failing);
        self.observer.commit_failed(batches);
        // Whoever waits for batches finds out.
        self.shared.queue.wake();
        cause
    }

    /// A while has passed: what has changed goes into the database, or a log that has failed is
    /// tried again.
    fn look(&self) {
        let mut prepared = self.prepared();
        let mut appending = self.appending();
        self.begins_anew(&mut prepared, &appending);
        if appending.is_failing {
            if prepared.retry.is_none_or(|retry| retry <= Instant::now()) {
                self.recover(&mut prepared, &mut appending);
            }
        } else {
            let now = Instant::now();
            if prepared.hand_over_at().is_some_and(|at| at <= now) {
                if let Some(tail) = self.hand_over(&mut prepared, &appending) {
                    prepared.clear = Some((now + PIECE_PAUSE, tail + self.capacity));
                }
                // Where the keeper is busy still, after another while.
                prepared.changed = prepared.changed.map(|_| (now, now + QUIET));
            }
            if let Some((_, end)) = prepared.clear.filter(|(at, _)| *at <= now) {
                let pause = self.clear(&mut appending, end);
                prepared.clear = pause.map(|pause| (Instant::now() + pause, end));
            }
        }
        self.shared.queue.look_at(prepared.deadline());
    }

    /// Clears a piece of what the database has by now, up to `end`. Says after what time comes the
    /// next one.
    fn clear(&self, appending: &mut Appending, end: u64) -> Option<Duration> {
        appending.log.trim(self.shared.trimmed());
        match appending.log.clear(PIECE, end) {
            // What is left may be what the keeper is about.
            Ok(true) => Some(if self.shared.is_busy() { QUIET } else { PIECE_PAUSE }),
            Ok(false) => None,
            Err(error) => {
                tracing::warn!(%error, "what the database has could not be cleared from the log");
                Some(self.settings.pause_max)
            }
        }
    }

    /// Writes in the place of what has failed.
    fn recover(&self, prepared: &mut Prepared, appending: &mut Appending) {
        appending.log.trim(self.shared.trimmed());
        let mut newest = prepared.newest.clone();
        let group = judge::nothing(&mut newest, &mut prepared.last, prepared.moment);
        match appending.append(&group, group.encode()) {
            Ok(()) => {
                appending.pause = self.settings.pause_min;
                prepared.retry = None;
                prepared.head = appending.log.head();
                prepared.newest = newest.clone();
                self.show(newest);
                group.tell(&self.shared.feed);
                self.shared.log_is(State::Sound);
                tracing::info!("the store takes writes again");
            }
            Err(error) => {
                appending.pause = (appending.pause * 2).min(self.settings.pause_max);
                prepared.failures = appending.failures;
                prepared.retry = Some(Instant::now() + appending.pause);
                tracing::warn!(%error, pause = ?appending.pause, "the store does not take writes yet");
            }
        }
    }

    /// Waits until a frame of so many bytes has room in the log, and hands changes over where they
    /// are many.
    fn make_room(&self, prepared: &mut Prepared, bytes: u64) -> Result<(), &'static str> {
        let capacity = self.capacity;
        if bytes > capacity - self.kept_max() {
            return Err("the batches are larger than the log");
        }
        let has_room =
            |prepared: &Prepared| prepared.head + bytes - self.shared.trimmed() <= capacity;
        loop {
            let is_due = prepared.head - prepared.handed >= capacity / 2 && !self.shared.is_busy();
            if is_due || !has_room(prepared) {
                let appending = self.appending();
                if self.begins_anew(prepared, &appending) {
                    return Err(SOON);
                }
                self.hand_over(prepared, &appending);
            }
            if has_room(prepared) {
                return Ok(());
            }
            if self.shared.base() != State::Sound {
                self.fills_up(prepared.head);
                return Err(FULL);
            }
            self.shared.wait(LOOK);
        }
    }

    /// Somebody found no room in the log, and the database does not make any. The store takes
    /// nothing more where it is full; a single batch that is too heavy for what is left is refused
    /// alone.
    fn fills_up(&self, head: u64) {
        let trimmed = self.shared.trimmed();
        let left = self.capacity.saturating_sub(head - trimmed);
        if left < self.kept_max() && self.shared.fills_up(trimmed) {
            tracing::error!(
                "the log is full, and the database cannot be written; the store is read-only until it can"
            );
            self.observer.filled_up();
        }
    }

    /// The last frame that the database has stays in the log, unless it is larger than this: that
    /// must not take the others' room.
    const fn kept_max(&self) -> u64 {
        self.capacity / 4
    }

    /// Gives what has changed to the keeper, unless it has something to do already. Says up to where
    /// the log can be written over then.
    fn hand_over(&self, prepared: &mut Prepared, appending: &Appending) -> Option<u64> {
        if self.shared.is_busy() || appending.log.head() == prepared.handed {
            return None;
        }
        let (head, last) = (appending.log.head(), appending.log.last());
        let frozen = Arc::new(Frozen {
            recent: std::mem::take(&mut prepared.newest.recent),
            revision: prepared.newest.revision,
            moment: prepared.moment,
            position: head,
            tail: if head - last > self.kept_max() { head } else { last },
        });
        prepared.handed = frozen.position;
        prepared.changed = None;
        self.shared.publish(|view| View {
            revision: view.revision,
            recent: Recent::default(),
            under: Arc::new(Under {
                frozen: Some(Arc::clone(&frozen)),
                base: Arc::clone(&view.under.base),
            }),
        });
        let tail = frozen.tail;
        self.shared.ask(|work| work.frozen = Some(frozen));
        Some(tail)
    }
}

impl Appending {
    /// Makes a group durable. It has failed until it has not: nor does a panic leave behind a state
    /// that another thread goes on from.
    fn append(&mut self, group: &Group, encoded: Vec<u8>) -> io::Result<()> {
        self.failures += 1;
        self.is_failing = true;
        self.log.append(group, encoded)?;
        self.failures -= 1;
        self.is_failing = false;
        Ok(())
    }
}

impl Prepared {
    /// When to look after things though nobody writes.
    fn deadline(&self) -> Option<Instant> {
        let clear = self.clear.map(|(at, _)| at);
        self.retry.or_else(|| self.hand_over_at().into_iter().chain(clear).min())
    }

    /// When what has changed goes into the database.
    fn hand_over_at(&self) -> Option<Instant> {
        self.changed.map(|(last, by)| (last + QUIET).min(by))
    }
}

fn weight(jobs: &[Job]) -> usize {
    jobs.iter().map(|job| job.batch.weight()).sum()
}

/// The most that a frame of these can take.
fn length_max(jobs: &[Job]) -> u64 {
    frame::length_max(jobs.len(), weight(jobs))
}

fn refuse(replies: Vec<Reply>, error: impl Fn() -> CommitError) {
    answer(replies.into_iter().map(|reply| (reply, Err(error()))));
}

fn answer(verdicts: impl Iterator<Item = (Reply, Verdict)>) {
    for (reply, verdict) in verdicts {
        // A caller that has stopped waiting does not want to know.
        let _ = reply.send(verdict);
    }
}

/// Refuses what waits, where a thread ends in a panic.
struct Farewell<'a>(&'a Shared);

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        self.0.log_is(State::Down);
        self.0.queue.close();
        let all = Limits { batches: usize::MAX, bytes: usize::MAX };
        let replies = self.0.queue.take(all).into_iter().map(|job| job.reply).collect();
        refuse(replies, || CommitError::Unavailable("the store has stopped".into()));
    }
}
