//! The one thread that changes the database.
//!
//! Owns the open database, and what happens when it fails. Always holds: what lies beneath the
//! newest changes is replaced only by something that says the same; the log is cut only where the
//! database has everything, durably. After a failure the database is given up: reads go on from
//! its last durable state through an overlay, the changes stay in memory and in the log, and the
//! keeper tries now and then to open the database anew. Only then does the disk decide what became
//! of a commit whose outcome was not known. Never does: answer a caller, or let a panic of the
//! store's code end the service.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    backend::Disk,
    checkpoint,
    guard::guarded,
    overlay::Overlay,
    recent::Recent,
    shared::{Shared, State, Work},
    tables::{Base, Generation, Standing},
    view::Under,
};
use crate::store::engine::{Observer, Source, Space};

/// After a failed read the database is opened anew soon: the storage itself may well be sound. If
/// that does not help, the pause doubles.
const PAUSE_AFTER_READ: Duration = Duration::from_millis(100);

/// What the keeper is told once.
pub(super) struct Settings {
    pub(super) cache_bytes: usize,
    pub(super) spaces: Vec<Space>,
    pub(super) pause_min: Duration,
    pub(super) pause_max: Duration,
}

/// The keeper's own state.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    disk: Arc<Disk>,
    observer: Arc<dyn Observer>,
    settings: Settings,
    mode: Mode,
    /// How many generations of the database there were.
    generations: u64,
    pause: Duration,
    /// The pause after the next failed read, and when the last one was.
    read_pause: Duration,
    read_failed: Option<Instant>,
}

enum Mode {
    Ready(Generation),
    /// The database that reads go to, if there is one, and when to try again.
    Failing(Option<Generation>, Instant),
}

impl Keeper {
    pub(super) fn new(
        shared: Arc<Shared>,
        disk: Arc<Disk>,
        observer: Arc<dyn Observer>,
        settings: Settings,
        database: Generation,
    ) -> Self {
        let (generations, pause) = (database.number, settings.pause_min);
        Self {
            shared,
            disk,
            observer,
            settings,
            mode: Mode::Ready(database),
            generations,
            pause,
            read_pause: PAUSE_AFTER_READ,
            read_failed: None,
        }
    }

    /// Works until the store is closed, then closes the database.
    pub(super) fn run(mut self) {
        let farewell = Farewell(Arc::clone(&self.shared));
        loop {
            let pause = match &self.mode {
                Mode::Ready(_) => None,
                Mode::Failing(_, retry) => Some(retry.saturating_duration_since(Instant::now())),
            };
            let Work { frozen, broken, closing } = self.shared.next_work(pause);
            if let Some(generation) = broken {
                self.broken(generation);
            }
            if let Mode::Failing(_, retry) = &self.mode
                && (*retry <= Instant::now() || closing.is_some())
            {
                self.recover();
            } else if frozen.is_some() {
                self.bring_up();
            }
            if let Some(end) = closing {
                self.close(end);
                break;
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

    /// Brings the database up to date, and cuts the log.
    fn bring_up(&mut self) {
        let under = Arc::clone(&self.shared.view.load().under);
        let (Mode::Ready(database), Some(frozen)) = (&self.mode, &under.frozen) else { return };
        let started = Instant::now();
        let before = under.base.standing;
        let standing = Standing {
            revision: frozen.revision,
            moment: frozen.moment.max(before.moment),
            position: frozen.position,
            tail: frozen.tail,
            ..before
        };
        let changes = &frozen.recent;
        if let Err(error) = checkpoint::bring_up(database, &under.base, changes, &standing) {
            return self.fail(&*error);
        }
        self.disk.mark_durable();
        match self.base() {
            Ok(base) => {
                self.shared.publish_under(Under { frozen: None, base: Arc::new(base) });
                self.pause = self.settings.pause_min;
                self.shared.base_is(State::Sound);
                self.shared.trim(frozen.tail);
                self.observer.brought_up(started.elapsed());
            }
            Err(error) => self.fail(&*error),
        }
    }

    /// Says that the log ends here, if the database has everything.
    fn close(&mut self, end: u64) {
        let Mode::Ready(database) = &self.mode else { return };
        let view = self.shared.view.load();
        if view.under.frozen.is_some() || !view.recent.is_empty() {
            return;
        }
        let before = view.under.base.standing;
        let standing = Standing {
            revision: view.revision,
            position: end,
            tail: end,
            is_closed: true,
            ..before
        };
        let nothing = Recent::default();
        if let Err(error) = checkpoint::bring_up(database, &view.under.base, &nothing, &standing) {
            tracing::warn!(
                error,
                "the store was not closed cleanly; the log is read when it is opened"
            );
        }
    }

    fn base(&self) -> Result<Base, Source> {
        let (Mode::Ready(database) | Mode::Failing(Some(database), _)) = &self.mode else {
            return Err("no database is open".into());
        };
        Ok(guarded(|| database.base())??)
    }

    /// Shows another opening of the database, which says the same as the one before.
    fn publish(&self, base: Base) {
        let base = Arc::new(base);
        self.shared.publish(|view| {
            let frozen = view.under.frozen.clone();
            let frozen = frozen.filter(|frozen| frozen.revision > base.standing.revision);
            super::view::View {
                revision: view.revision,
                recent: view.recent.clone(),
                under: Arc::new(Under { frozen, base: Arc::clone(&base) }),
            }
        });
    }

    /// The database could not be written.
    fn fail(&mut self, source: &(dyn std::error::Error + Send + Sync + 'static)) {
        tracing::error!(
            error = %source,
            "the database cannot be brought up to date; the log goes on for a while"
        );
        self.fall_back(Instant::now() + self.pause, State::Behind);
        self.pause = (self.pause * 2).min(self.settings.pause_max);
        self.observer.fell_behind();
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
        self.fall_back(due.map_or(retry, |due| due.min(retry)), State::Failing);
    }

    /// Gives up the database, lets reads go on from the last durable state, and tries again at
    /// `retry`.
    fn fall_back(&mut self, retry: Instant, state: State) {
        self.shared.base_is(state);
        let overlay = match self.open_overlay() {
            Ok((database, base)) => {
                self.publish(base);
                Some(database)
            }
            Err(error) => {
                tracing::error!(error, "the last durable state cannot be read");
                self.shared.base_is(State::Down);
                None
            }
        };
        let before = std::mem::replace(&mut self.mode, Mode::Failing(overlay, retry));
        before.abandon();
    }

    fn open_overlay(&mut self) -> Result<(Generation, Base), Source> {
        self.generations += 1;
        let (overlay, fence) = Overlay::new(&self.disk)?;
        let Settings { cache_bytes, spaces, .. } = &self.settings;
        let open = || Generation::open(overlay, fence, *cache_bytes, self.generations, spaces);
        let database = guarded(open)??;
        let base = guarded(|| database.base())??;
        Ok((database, base))
    }

    /// Tries to take up writing again. The overlay stays valid until something is committed:
    /// opening a database changes its header only.
    fn recover(&mut self) {
        match self.reopen() {
            Ok(()) => {
                tracing::info!("the database is open again");
                // Whoever needs room in the log has hope from here on, and waits.
                self.shared.base_is(State::Sound);
                self.bring_up();
            }
            Err(error) => {
                self.pause = (self.pause * 2).min(self.settings.pause_max);
                tracing::warn!(error, pause = ?self.pause, "the database cannot be written yet");
                if let Mode::Failing(Some(_), retry) = &mut self.mode {
                    *retry = Instant::now() + self.pause;
                } else {
                    self.fall_back(Instant::now() + self.pause, State::Failing);
                }
            }
        }
    }

    /// Opens the database on the disk, and takes over what it says.
    fn reopen(&mut self) -> Result<(), Source> {
        self.generations += 1;
        let (lease, fence) = self.disk.lease();
        let Settings { cache_bytes, spaces, .. } = &self.settings;
        let open =
            || Generation::open(lease, fence.clone(), *cache_bytes, self.generations, spaces);
        // Opening writes the header and syncs it, so what the database says from here on is
        // durable: the pages of a commit are synced before its header is written.
        let database = guarded(open)??;
        let viewed = guarded(|| database.base()).map_err(Source::from).and_then(|base| Ok(base?));
        let base = viewed.inspect_err(|_| fence.close())?;
        self.disk.mark_durable();
        let tail = base.standing.tail;
        self.publish(base);
        self.shared.trim(tail);
        // From here on the overlay's pages may be written over.
        std::mem::replace(&mut self.mode, Mode::Ready(database)).abandon();
        Ok(())
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

/// However the keeper ends, nothing more goes into the database.
struct Farewell(Arc<Shared>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.base_is(State::Down);
    }
}
