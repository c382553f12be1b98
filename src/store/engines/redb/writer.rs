//! The threads that make batches durable.
//!
//! Owns the log, the newest state, and what happens when the log fails. One thread judges a group
//! while another waits for the disk with the group before: whoever judges holds `newest`, takes the
//! `log` while it still does, and gives `newest` up to sync. So groups keep their order.
//!
//! Always holds: a state is published after it is durable and before anybody is told of it;
//! published states never go back; a revision that was tried is never tried again. After a failure
//! of the log, writes are refused and reads go on, until something was written in the place of what
//! failed: only then is it known not to be there. Never does: wait for a caller, write to the
//! database, or let a panic of the store's code end the service.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    frame::{self, Group},
    judge::{self, Judged, Newest, Verdict},
    log::Log,
    pace::Pace,
    queue::{Call, Job, Limits, Reply},
    recent::Recent,
    shared::{Shared, State},
    view::{Frozen, Under, View},
};
use crate::store::engine::{Batch, CommitError, Observer, Revision, Source};

/// While batches meet damaged pages, a group is small: each of them is looked at for long.
const WARY_BATCHES: usize = 16;
const WARY_TIME: Duration = Duration::from_secs(10);
/// After so much quiet, what has changed goes into the database.
const QUIET: Duration = Duration::from_secs(2);
/// And after so much time, quiet or not.
const OLDEST: Duration = Duration::from_secs(60);
/// How often whoever waits for room in the log looks whether there is hope.
const LOOK: Duration = Duration::from_millis(50);

/// What whoever writes is told while the log fails.
pub(super) const SOON: &str = "writes failed, and are tried again soon";

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
    /// The first and the last change since then.
    changed: Option<(Instant, Instant)>,
    pace: Pace,
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
            changed: (!newest.recent.is_empty()).then(|| (Instant::now(), Instant::now())),
            pace: Pace::new(settings.group.bytes),
            damage_met: None,
            retry: None,
            newest,
        };
        drop(view);
        let (pause, capacity) = (settings.pause_min, log.capacity());
        let appending = Appending { log, failures: 0, is_failing: false, pause };
        let (prepared, log) = (Mutex::new(prepared), Mutex::new(appending));
        Self { shared, observer, settings, capacity, prepared, log }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(&self) {
        let farewell = Farewell(&self.shared);
        loop {
            let prepared = self.prepared();
            match self.shared.queue.next(self.group_limits(&prepared), prepared.deadline()) {
                Call::Group(jobs) => self.write(prepared, jobs),
                Call::Timeout => self.look(prepared),
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

    fn group_limits(&self, prepared: &Prepared) -> Limits {
        let batches = self.settings.group.batches;
        let wary = prepared.damage_met.is_some_and(|met| met.elapsed() < WARY_TIME);
        Limits {
            batches: if wary { batches.min(WARY_BATCHES) } else { batches },
            // A group of many has room in the log, however small that is.
            bytes: prepared
                .pace
                .bytes()
                .min(usize::try_from(self.capacity / 4).unwrap_or(usize::MAX)),
        }
    }

    fn write(&self, mut prepared: MutexGuard<'_, Prepared>, jobs: Vec<Job>) {
        let (batches, replies): (Vec<_>, Vec<_>) =
            jobs.into_iter().map(|job| (job.batch, job.reply)).unzip();
        if prepared.retry.is_some() {
            return refuse(replies, || CommitError::Unavailable(SOON.into()));
        }
        let started = Instant::now();
        let bytes: usize = batches.iter().map(Batch::weight).sum();
        if let Err(why) = self.make_room(&mut prepared, frame::length_max(&batches)) {
            return refuse(replies, || CommitError::Unavailable(why.into()));
        }
        let moment = self.observer.moment().max(prepared.moment);
        let view = self.shared.view.load_full();
        let newest = prepared.newest.clone();
        let judged = judge::judge(&view.under, newest, batches, &mut prepared.last, moment);
        let judged = match judged {
            Ok(judged) => judged,
            Err(source) => {
                tracing::error!(error = source, "the database cannot be read for a commit");
                self.shared.report_broken(view.under.base.generation);
                let cause = Cause::from(source);
                return refuse(replies, || CommitError::Unavailable(cause.clone().into()));
            }
        };
        drop(view);
        let Judged { verdicts, group, newest, touches, operations, damaged } = judged;
        if damaged > 0 {
            prepared.damage_met = Some(Instant::now());
        }
        let encoded = group.as_ref().map(Group::encode);
        // Whoever is told something must not be ahead of the disk, refusals included.
        let mut appending = self.appending();
        // It may have been judged against what did not become durable.
        if self.begins_anew(&mut prepared, &appending) {
            return refuse(replies, || CommitError::Unavailable(SOON.into()));
        }
        let (Some(group), Some(encoded)) = (group, encoded) else {
            drop((prepared, appending));
            return answer(replies.into_iter().zip(verdicts));
        };
        appending.log.trim(self.shared.trimmed());
        prepared.head += frame::length(&encoded);
        prepared.newest = newest;
        prepared.moment = moment;
        let now = Instant::now();
        prepared.changed = Some((prepared.changed.map_or(now, |(first, _)| first), now));
        let newest = prepared.newest.clone();
        drop(prepared);

        match appending.append(&group, encoded) {
            Ok(()) => {
                self.shared.cache.apply(touches);
                self.show(newest);
                group.tell(&self.shared.feed);
                let applied = verdicts.iter().filter(|verdict| verdict.is_ok()).count();
                drop(appending);
                let elapsed = started.elapsed();
                self.observer.committed(applied, operations, elapsed);
                answer(replies.into_iter().zip(verdicts));
                self.prepared().pace.took(bytes, elapsed);
            }
            Err(error) => {
                let cause = self.fail(error.into(), replies.len());
                drop(appending);
                refuse(replies, || CommitError::OutcomeUnknown(cause.clone().into()));
            }
        }
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
        // Whoever waits for a group finds out.
        self.shared.queue.wake();
        cause
    }

    /// A while has passed: what has changed goes into the database, or a log that has failed is
    /// tried again.
    fn look(&self, mut prepared: MutexGuard<'_, Prepared>) {
        let mut appending = self.appending();
        self.begins_anew(&mut prepared, &appending);
        if appending.is_failing {
            if prepared.retry.is_none_or(|retry| retry <= Instant::now()) {
                self.recover(&mut prepared, &mut appending);
            }
        } else {
            self.hand_over(&mut prepared, &appending);
            // Where the keeper is busy still, after another while.
            prepared.changed = prepared.changed.map(|_| (Instant::now(), Instant::now()));
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
                return Err("the log is full, and the database cannot be written");
            }
            self.shared.wait(LOOK);
        }
    }

    /// The last frame that the database has stays in the log, unless it is larger than this: that
    /// must not take the others' room.
    const fn kept_max(&self) -> u64 {
        self.capacity / 16
    }

    /// Gives what has changed to the keeper, unless it has something to do already.
    fn hand_over(&self, prepared: &mut Prepared, appending: &Appending) {
        if self.shared.is_busy() || appending.log.head() == prepared.handed {
            return;
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
        self.shared.ask(|work| work.frozen = Some(frozen));
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
        let quiet = self.changed.map(|(first, last)| (last + QUIET).min(first + OLDEST));
        match (self.retry, quiet) {
            (Some(retry), _) => Some(retry),
            (None, quiet) => quiet,
        }
    }
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
        loop {
            match self.0.queue.next(all, None) {
                Call::Group(jobs) => {
                    let replies = jobs.into_iter().map(|job| job.reply).collect();
                    refuse(replies, || CommitError::Unavailable("the store has stopped".into()));
                }
                Call::Timeout => {}
                Call::Closed => return,
            }
        }
    }
}
