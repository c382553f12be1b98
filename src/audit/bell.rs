//! How a thread that has nothing to do is woken.
//!
//! Always holds: who is rung for after it has looked, with the lock held, looks again. Ringing for
//! one who does not wait costs nothing: each record rings, and a call of the system each time would
//! cost more than the record.

use std::{
    sync::{
        Condvar, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

/// The bell of one thread.
#[derive(Debug, Default)]
pub(super) struct Bell {
    bell: Condvar,
    is_awaited: AtomicBool,
}

impl Bell {
    /// Wakes the thread, if it waits.
    pub(super) fn ring(&self) {
        if self.is_awaited.swap(false, SeqCst) {
            self.bell.notify_one();
        }
    }

    /// Gives up the lock until the bell rings, or for so long; whether nobody rang.
    pub(super) fn wait<'a, T>(
        &self,
        lock: MutexGuard<'a, T>,
        time: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        self.is_awaited.store(true, SeqCst);
        let waited = self.bell.wait_timeout(lock, time);
        let (lock, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        self.is_awaited.store(false, SeqCst);
        (lock, waited.timed_out())
    }
}
