//! The one thread that changes the database.
//!
//! Owns the open database, the order of commits, and what happens when one fails. Always holds: a
//! state is published after it is durable and before anybody is told of it; published states never
//! go back; a revision that was tried is never tried again. After a failure the database is given
//! up: reads go on from the last durable state through an overlay, writes are refused, and the
//! writer tries now and then to open the database anew. Only then does the disk decide what became
//! of a commit whose outcome was not known. Never does: wait for a caller, or let a panic of the
//! store's code end the service.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    backend::Disk,
    group::{self, Committed, NotCommitted, Verdict},
    guard::guarded,
    overlay::Overlay,
    pace::Pace,
    queue::{Call, Job, Limits, Reply},
    shared::Shared,
    tables::{Generation, View},
};
use crate::store::engine::{Batch, CommitError, Health, Observer, Revision, Source, Space};

/// After a failed read the database is opened anew soon: the storage itself may well be sound. If
/// that does not help, the pause doubles.
const PAUSE_AFTER_READ: Duration = Duration::from_millis(100);
/// While batches meet damaged pages, a group is small: each of them costs the group another try.
const WARY_BATCHES: usize = 16;
const WARY_TIME: Duration = Duration::from_secs(10);

/// What the writer is told once.
pub(super) struct Settings {
    pub(super) cache_bytes: usize,
    pub(super) spaces: Vec<Space>,
    pub(super) group: Limits,
    pub(super) pause_min: Duration,
    pub(super) pause_max: Duration,
}

/// The writer's own state.
pub(super) struct Writer {
    shared: Arc<Shared>,
    disk: Arc<Disk>,
    observer: Arc<dyn Observer>,
    settings: Settings,
    pace: Pace,
    mode: Mode,
    /// The highest revision that was ever tried.
    last: Revision,
    /// How many generations of the database there were.
    generations: u64,
    pause: Duration,
    /// The pause after the next failed read, and when the last one was.
    read_pause: Duration,
    read_failed: Option<Instant>,
    /// When a batch last met a damaged page.
    damage_met: Option<Instant>,
}

enum Mode {
    Ready(Generation),
    /// The database that reads go to, if there is one, and when to try again.
    Failing(Option<Generation>, Instant),
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
        disk: Arc<Disk>,
        observer: Arc<dyn Observer>,
        settings: Settings,
        database: Generation,
    ) -> Self {
        let last = shared.view.load().revision;
        let generations = database.number;
        let pause = settings.pause_min;
        let pace = Pace::new(settings.group.bytes);
        Self {
            shared,
            disk,
            observer,
            settings,
            pace,
            mode: Mode::Ready(database),
            last,
            generations,
            pause,
            read_pause: PAUSE_AFTER_READ,
            read_failed: None,
            damage_met: None,
        }
    }

    /// Works until the queue is closed and empty, then closes the database.
    pub(super) fn run(mut self) {
        let farewell = Farewell(Arc::clone(&self.shared));
        loop {
            let deadline = match &self.mode {
                Mode::Ready(_) => None,
                Mode::Failing(_, retry) => Some(*retry),
            };
            match self.shared.queue.next(self.group_limits(), deadline) {
                Call::Group(jobs) => self.write(jobs),
                Call::Broken(generation) => self.broken(generation),
                Call::Timeout => self.recover(),
                Call::Closed => break,
            }
        }
        let Self { mode, disk, .. } = self;
        if let Err(error) = guarded(|| drop(mode)) {
            tracing::error!(%error, "the database was not closed cleanly; it is recovered when it is opened");
        }
        if let Err(error) = disk.close() {
            tracing::warn!(%error, "the database file was not unlocked");
        }
        drop(farewell);
    }

    fn group_limits(&self) -> Limits {
        let batches = self.settings.group.batches;
        let wary = self.damage_met.is_some_and(|met| met.elapsed() < WARY_TIME);
        Limits {
            batches: if wary { batches.min(WARY_BATCHES) } else { batches },
            bytes: self.pace.bytes(),
        }
    }

    fn write(&mut self, jobs: Vec<Job>) {
        let (batches, replies): (Vec<_>, Vec<_>) =
            jobs.into_iter().map(|job| (job.batch, job.reply)).unzip();
        let Mode::Ready(database) = &self.mode else {
            return refuse(replies, || {
                CommitError::Unavailable("writes failed, and are tried again soon".into())
            });
        };
        let started = Instant::now();
        let bytes = batches.iter().map(Batch::weight).sum();
        let result = group::commit(database, batches, &mut self.last, self.observer.moment());
        self.pace.took(bytes, started.elapsed());
        match result {
            Ok(committed) => self.conclude(committed, replies, started),
            Err(NotCommitted::Before(source)) => {
                let cause = self.fail(source, replies.len());
                refuse(replies, || CommitError::Unavailable(cause.clone().into()));
            }
            Err(NotCommitted::Within(source)) => {
                let cause = self.fail(source, replies.len());
                refuse(replies, || CommitError::OutcomeUnknown(cause.clone().into()));
            }
        }
    }

    /// The group is durable: show it, then tell.
    fn conclude(&mut self, committed: Committed, replies: Vec<Reply>, started: Instant) {
        let Committed { verdicts, touches, operations, damaged } = committed;
        if damaged > 0 {
            self.damage_met = Some(Instant::now());
        }
        let newest = verdicts.iter().rev().find_map(|verdict| verdict.as_ref().ok().copied());
        if let Some(newest) = newest {
            self.disk.mark_durable();
            self.shared.cache.apply(touches);
            self.pause = self.settings.pause_min;
            if let Err(error) = self.show() {
                let why = format!("it cannot be read back: {error}");
                tracing::error!(error, "a durable state cannot be read");
                self.fall_back(Instant::now() + self.pause);
                if self.shared.view.load().revision < newest {
                    // Durable, but nobody sees it, and who is told of a commit may rely on seeing
                    // it.
                    self.observer.commit_failed(replies.len());
                    return refuse(replies, || CommitError::OutcomeUnknown(why.clone().into()));
                }
            }
            let applied = verdicts.iter().filter(|verdict| verdict.is_ok()).count();
            self.observer.committed(applied, operations, started.elapsed());
        }
        answer(replies.into_iter().zip(verdicts));
    }

    /// Publishes the newest state of the open database.
    fn show(&self) -> Result<(), Source> {
        let (Mode::Ready(database) | Mode::Failing(Some(database), _)) = &self.mode else {
            return Err("no database is open".into());
        };
        let view = guarded(|| database.view())??;
        self.publish(view);
        Ok(())
    }

    fn publish(&self, view: View) {
        self.shared.view.store(Arc::new(view));
    }

    /// A group failed: no more writes for now.
    fn fail(&mut self, source: Source, batches: usize) -> Cause {
        let cause = Cause::from(source);
        tracing::error!(error = %cause, batches, "a commit failed; the store is read-only until it recovers");
        self.fall_back(Instant::now() + self.pause);
        self.observer.commit_failed(batches);
        cause
    }

    /// A reader says that a database does not answer.
    fn broken(&mut self, generation: u64) {
        // What is due already is not put off: who reads on and on would put it off for ever.
        let (number, due) = match &self.mode {
            Mode::Ready(database) => (database.number, None),
            Mode::Failing(Some(database), retry) => (database.number, Some(*retry)),
            Mode::Failing(None, _) => return,
        };
        if number != generation {
            return;
        }
        if self.read_failed.is_none_or(|failed| failed.elapsed() > 2 * self.settings.pause_max) {
            self.read_pause = PAUSE_AFTER_READ;
        }
        let pause = self.read_pause;
        tracing::error!(
            generation,
            ?pause,
            "the database does not answer reads; it is opened anew"
        );
        self.read_failed = Some(Instant::now());
        self.read_pause = (pause * 2).min(self.settings.pause_max.max(PAUSE_AFTER_READ));
        let retry = Instant::now() + pause;
        self.fall_back(due.map_or(retry, |due| due.min(retry)));
    }

    /// Gives up the database, lets reads go on from the last durable state, and tries again at
    /// `retry`.
    fn fall_back(&mut self, retry: Instant) {
        self.shared.set_health(Health::ReadOnly);
        let overlay = match self.open_overlay() {
            Ok((database, view)) => {
                self.publish(view);
                Some(database)
            }
            Err(error) => {
                tracing::error!(error, "the last durable state cannot be read");
                self.shared.set_health(Health::Down);
                None
            }
        };
        let before = std::mem::replace(&mut self.mode, Mode::Failing(overlay, retry));
        before.abandon();
    }

    fn open_overlay(&mut self) -> Result<(Generation, View), Source> {
        self.generations += 1;
        let (overlay, fence) = Overlay::new(&self.disk)?;
        let Settings { cache_bytes, spaces, .. } = &self.settings;
        let open = || Generation::open(overlay, fence, *cache_bytes, self.generations, spaces);
        let database = guarded(open)??;
        let view = guarded(|| database.view())??;
        Ok((database, view))
    }

    /// Tries to take up writing again. The overlay stays valid until something is committed:
    /// opening a database changes its header only.
    fn recover(&mut self) {
        match self.reopen() {
            Ok(()) => {
                tracing::info!("the store takes writes again");
                self.shared.set_health(Health::Ready);
            }
            Err(error) => {
                self.pause = (self.pause * 2).min(self.settings.pause_max);
                tracing::warn!(error, pause = ?self.pause, "the store does not take writes yet");
                if let Mode::Failing(Some(_), retry) = &mut self.mode {
                    *retry = Instant::now() + self.pause;
                } else {
                    self.fall_back(Instant::now() + self.pause);
                }
            }
        }
    }

    /// Opens the database on the disk, takes over what it says, and proves that it takes writes.
    fn reopen(&mut self) -> Result<(), Source> {
        self.generations += 1;
        let (lease, fence) = self.disk.lease();
        let Settings { cache_bytes, spaces, .. } = &self.settings;
        let open =
            || Generation::open(lease, fence.clone(), *cache_bytes, self.generations, spaces);
        // Opening writes the header and syncs it, so what the database says from here on is
        // durable: the pages of a commit are synced before its header is written.
        let database = guarded(open)??;
        let viewed = guarded(|| database.view()).map_err(Source::from).and_then(|view| Ok(view?));
        let view = viewed.inspect_err(|_| fence.close())?;
        self.disk.mark_durable();
        if view.revision != self.shared.view.load().revision {
            // A commit of unknown outcome turns out to be durable.
            self.shared.cache.clear(view.revision);
        }
        self.last = self.last.max(view.revision);
        self.publish(view);
        // From here on the overlay's pages may be written over.
        std::mem::replace(&mut self.mode, Mode::Ready(database)).abandon();
        self.prove().inspect_err(|_| self.fall_back(Instant::now() + self.pause))
    }

    fn prove(&mut self) -> Result<(), Source> {
        let Mode::Ready(database) = &self.mode else {
            return Err("no database is open".into());
        };
        self.last = Revision(self.last.0 + 1);
        guarded(|| group::commit_nothing(database, self.last))??;
        self.disk.mark_durable();
        self.show()
    }
}

impl Mode {
    fn abandon(self) {
        if let Self::Ready(database) | Self::Failing(Some(database), _) = self {
            // Whatever state a failure left it in: it is gone, and behind its fence.
            let _given_up = guarded(|| database.abandon());
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

/// Refuses what waits, however the writer ends.
struct Farewell(Arc<Shared>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.set_health(Health::Down);
        self.0.queue.close();
        let all = Limits { batches: usize::MAX, bytes: usize::MAX };
        loop {
            match self.0.queue.next(all, None) {
                Call::Group(jobs) => {
                    let replies = jobs.into_iter().map(|job| job.reply).collect();
                    refuse(replies, || CommitError::Unavailable("the store has stopped".into()));
                }
                Call::Broken(_) | Call::Timeout => {}
                Call::Closed => return,
            }
        }
    }
}
