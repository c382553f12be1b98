//! How a thread that has nothing to do is woken.
//!
//! Always holds: who is rung for after it has looked, with the lock held, looks again. Ringing for
//! one who does not wait costs nothing: each record rings, and a call of the system each time would
//! cost more than the record.

use std::{
    sync::{
        Condvar, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
    time::Duration,
};

/// The bell of one thread.
#[derive(Debug, Default)]
pub(super) struct Bell {
    bell: Condvar,
    /// [`BUSY`], [`WAITS`] or [`CLAIMED`].
    sleeper: AtomicU8,
}

/// The thread does not wait.
const BUSY: u8 = 0;
/// It waits.
const WAITS: u8 = 1;
/// It waits, and somebody has promised to wake it.
const CLAIMED: u8 = 2;

impl Bell {
    /// Wakes the thread, if it waits.
    pub(super) fn ring(&self) {
        if self.sleeper.swap(BUSY, SeqCst) != BUSY {
            self.bell.notify_one();
        }
    }

    /// Whether the thread waits and nobody has promised to wake it: whoever asks is to do that then.
    pub(super) fn claim(&self) -> bool {
        self.sleeper.compare_exchange(WAITS, CLAIMED, SeqCst, SeqCst).is_ok()
    }

    /// Gives up the lock until the bell rings, or for so long; whether nobody rang.
    pub(super) fn wait<'a, T>(
        &self,
        lock: MutexGuard<'a, T>,
        time: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        self.sleeper.store(WAITS, SeqCst);
        let waited = self.bell.wait_timeout(lock, time);
        let (lock, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        self.sleeper.store(BUSY, SeqCst);
        (lock, waited.timed_out())
    }
}
