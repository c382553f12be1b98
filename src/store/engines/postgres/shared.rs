//! What the parts of the engine have in common: who takes writes, when something was made durable last, and how far the
//! history has come.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
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
    /// When the last attempt to make something durable began that was acknowledged.
    acknowledged_at: Mutex<Instant>,
    /// Somebody is to look again who takes writes.
    pub(super) doubted: Notify,
    /// Reads are answered, and writes are refused.
    pub(super) is_read_only: AtomicBool,
    pub(super) feed: Feed,
    /// The last revision that this process was told of, by a commit of its own or by the log.
    last: AtomicU64,
    /// There is more in the log than was read.
    pub(super) news: Notify,
}

impl Shared {
    pub(super) fn new(
        connector: Connector,
        spaces: Spaces,
        (primary, began): (Primary, Instant),
        last: Revision,
    ) -> Self {
        Self {
            connector,
            spaces,
            primary: Mutex::new(primary),
            acknowledged_at: Mutex::new(began),
            doubted: Notify::new(),
            is_read_only: AtomicBool::new(false),
            feed: Feed::after(last),
            last: AtomicU64::new(last.0),
            news: Notify::new(),
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
        *self.primary.lock().unwrap_or_else(PoisonError::into_inner) = primary;
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

    fn acknowledged_at(&self) -> MutexGuard<'_, Instant> {
        self.acknowledged_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was begun then was made durable.
    pub(super) fn acknowledged(&self, began: Instant) {
        let mut last = self.acknowledged_at();
        *last = (*last).max(began);
    }

    /// For how long nothing was made durable.
    pub(super) fn silent(&self) -> Duration {
        self.acknowledged_at().elapsed()
    }

    /// Whether an answer of now, of this server, is of now: a server that was cut off from the others can make nothing durable, and
    /// goes on to tell of the past.
    ///
    /// # Errors
    /// `Stale` where it may not be.
    pub(super) fn is_fresh(&self, of: Primary) -> Result<(), Fault> {
        let is_stale = of != self.primary() || self.silent() > self.options().max_stale;
        if is_stale { Err(Fault::Stale) } else { Ok(()) }
    }

    pub(super) fn health(&self) -> Health {
        if self.silent() > self.options().unready_after {
            Health::Down
        } else if self.is_read_only.load(Ordering::Relaxed) {
            Health::ReadOnly
        } else {
            Health::Ready
        }
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
