//! What the parts of the engine have in common: who takes writes, when something was made durable last, and how far the
//! history has come.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Notify, oneshot};

use super::{
    answers::Answers,
    connect::{Connector, Primary, Session},
    fault::Fault,
    options::PostgresOptions,
    spaces::Spaces,
};
use crate::store::{
    engine::{Health, ReadError, Revision},
    feed::Feed,
};

/// How long to wait before a server that did not answer is asked again.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Shared {
    pub(super) connector: Connector,
    pub(super) spaces: Spaces,
    /// Who takes writes.
    primary: Mutex<Primary>,
    /// When the last attempt to make something durable began that was acknowledged; never, at first.
    acknowledged_at: Mutex<Option<Instant>>,
    /// When the log of commits was read to its end last, or to where it was read at once.
    followed_at: Mutex<Instant>,
    /// Somebody is to look again who takes writes.
    pub(super) doubted: Notify,
    /// Reads are answered, and writes are refused.
    pub(super) is_read_only: AtomicBool,
    pub(super) feed: Feed,
    /// What was read, and is still so as far as the feed was told.
    pub(super) answers: Answers,
    /// Who waits until all that is committed now was told.
    fences: Mutex<Vec<oneshot::Sender<Revision>>>,
    /// The last revision that this process was told of, by a commit of its own or by the log.
    last: AtomicU64,
    /// There is more in the log than was read.
    pub(super) news: Notify,
    /// Something that is gone is among the records still.
    pub(super) left_over: Notify,
}

impl Shared {
    pub(super) fn new(
        connector: Connector,
        spaces: Spaces,
        primary: Primary,
        last: Revision,
    ) -> Self {
        let answers_bytes = connector.options.answers_bytes;
        Self {
            connector,
            spaces,
            primary: Mutex::new(primary),
            acknowledged_at: Mutex::new(None),
            followed_at: Mutex::new(Instant::now()),
            doubted: Notify::new(),
            is_read_only: AtomicBool::new(false),
            feed: Feed::after(last),
            answers: Answers::new(answers_bytes, primary),
            fences: Mutex::default(),
            last: AtomicU64::new(last.0),
            news: Notify::new(),
            left_over: Notify::new(),
        }
    }

    pub(super) const fn options(&self) -> &PostgresOptions {
        &self.connector.options
    }

    pub(super) fn primary(&self) -> Primary {
        *self.primary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it is this one.
    pub(super) fn elected(&self, primary: Primary) {
        let mut current = self.primary.lock().unwrap_or_else(PoisonError::into_inner);
        if *current != primary {
            *current = primary;
            self.answers.clear(primary, self.last());
        }
    }

    /// Whether a session can be used: it is with whoever takes writes, and has not ended.
    pub(super) fn is_good(&self, session: &Session) -> bool {
        self.is_with_primary(session) && !session.is_closed()
    }

    /// Whether what a session says is said by whoever takes writes.
    pub(super) fn is_with_primary(&self, session: &Session) -> bool {
        session.primary == self.primary()
    }

    /// A session with whoever takes writes, for one kind of work: the one at hand if it is still good, else a new one.
    pub(super) async fn session(&self, at_hand: Option<Session>) -> Result<Session, Fault> {
        match at_hand {
            Some(session) if self.is_good(&session) => Ok(session),
            _ => {
                let opened = self.connector.to(self.primary()).await;
                if opened.is_err() {
                    self.doubted.notify_one();
                }
                opened
            }
        }
    }

    fn acknowledged_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.acknowledged_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was begun then was made durable.
    pub(super) fn acknowledged(&self, began: Instant) {
        let mut last = self.acknowledged_at();
        *last = (*last).max(Some(began));
    }

    /// For how long nothing was made durable.
    pub(super) fn silent(&self) -> Duration {
        self.acknowledged_at().map_or(Duration::MAX, |at| at.elapsed())
    }

    fn followed_at(&self) -> MutexGuard<'_, Instant> {
        self.followed_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that was committed up to then, or as much as was read at once, was told to the feed.
    pub(super) fn followed(&self, at: Instant) {
        *self.followed_at() = at;
    }

    /// For how long the log of commits could not be read.
    fn behind(&self) -> Duration {
        self.followed_at().elapsed()
    }

    /// Whether an answer of now, of this server, is of now: a server that was cut off from the others can make nothing
    /// durable, and goes on to tell of the past.
    ///
    /// # Errors
    /// `Stale` where it may not be.
    pub(super) fn is_of_now(&self, of: Primary) -> Result<(), Fault> {
        let is_stale = of != self.primary() || self.silent() > self.options().max_stale;
        if is_stale { Err(Fault::Stale) } else { Ok(()) }
    }

    /// Whether an answer of now, of this server, can be acted upon: it is of now, and this process knows what others have
    /// changed, such as who may ask.
    ///
    /// # Errors
    /// `Stale` where it may not be of now; `Behind` where others may have changed something unheard.
    pub(super) fn is_fresh(&self, of: Primary) -> Result<(), Fault> {
        self.is_of_now(of)?;
        if self.behind() > self.options().max_stale { Err(Fault::Behind) } else { Ok(()) }
    }

    pub(super) fn health(&self) -> Health {
        if self.silent().max(self.behind()) > self.options().unready_after {
            Health::Down
        } else if self.is_read_only.load(Ordering::Relaxed) {
            Health::ReadOnly
        } else {
            Health::Ready
        }
    }

    /// A revision that the history had reached after this was called, once all up to it was told to the feed and to the
    /// answers; nothing where that cannot be known now. Whoever waits at once is served by one look at the log.
    pub(super) async fn fence(&self) -> Option<Revision> {
        let (told, reached) = oneshot::channel();
        self.fences().push(told);
        self.news.notify_one();
        reached.await.ok()
    }

    pub(super) fn fences(&self) -> MutexGuard<'_, Vec<oneshot::Sender<Revision>>> {
        self.fences.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last revision that this process was told of.
    pub(super) fn last(&self) -> Revision {
        Revision(self.last.load(Ordering::Acquire))
    }

    /// The history has come so far at least.
    pub(super) fn reached(&self, revision: Revision) {
        self.last.fetch_max(revision.0, Ordering::AcqRel);
    }

    /// The history has come so far, whatever was known before: it was set back.
    pub(super) fn set_back(&self, to: Revision) {
        self.last.store(to.0, Ordering::Release);
    }
}

/// As the contract has it.
pub(super) fn unread(fault: Fault) -> ReadError {
    if fault.is_damage() {
        ReadError::Corrupt(Box::new(fault))
    } else {
        ReadError::Unavailable(Box::new(fault))
    }
}

/// The revision that the database has so.
pub(super) fn revision(stored: i64) -> Revision {
    Revision(u64::try_from(stored).unwrap_or(0))
}

/// A revision as the database has it.
pub(super) fn stored(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}

/// So many at the most, as the database counts.
pub(super) fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// What is in a column.
pub(super) fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a tokio_postgres::Row,
    at: usize,
) -> Result<T, Fault> {
    row.try_get(at).map_err(|_| Fault::Lost(format!("column {at} of an answer is of another type")))
}
