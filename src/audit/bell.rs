//! How a thread that has nothing to do is woken.
//!
//! Always holds: who is rung for after it has looked, with the lock held, looks again. Ringing for
//! one who does not wait costs nothing: each record rings, and a call of the system each time would
//! cost more than the record.

use std::{
    sync::{
        Condvar, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

/// The bell of one thread.
#[derive(Debug, Default)]
pub(super) struct Bell {
    bell: Condvar,
    /// [`BUSY`], [`WAITS`], or [`CLAIMED`] and how many have come since.
    sleeper: AtomicU32,
}

/// The thread does not wait.
const BUSY: u32 = 0;
/// It waits.
const WAITS: u32 = 1;
/// It waits, and somebody has promised to wake it.
const CLAIMED: u32 = 2;
/// When so many have come since, it is woken, though more may come: the first ones have waited for them.
const ENOUGH: u32 = 8;

impl Bell {
    /// Wakes the thread, if it waits.
    pub(super) fn ring(&self) {
        if self.sleeper.swap(BUSY, SeqCst) != BUSY {
            self.bell.notify_one();
        }
    }

    /// Whether whoever asks is to wake the thread, as that waits: the first one once no more come, and the one with
    /// whom they are enough at once.
    pub(super) fn claim(&self) -> bool {
        let come = |sleeper: u32| match sleeper {
            BUSY => None,
            WAITS => Some(CLAIMED),
            claimed => Some(claimed.saturating_add(1)),
        };
        let was = self.sleeper.fetch_update(SeqCst, SeqCst, come);
        was == Ok(WAITS) || was == Ok(CLAIMED + ENOUGH - 1)
    }

    /// As if the thread waited.
    #[cfg(test)]
    pub(super) fn sleeps(&self) {
        self.sleeper.store(WAITS, SeqCst);
    }

    /// Whether it need not wait for more.
    pub(super) fn has_enough(&self) -> bool {
        self.come() >= ENOUGH
    }

    /// How many have asked since somebody has promised to wake it.
    pub(super) fn come(&self) -> u32 {
        self.sleeper.load(SeqCst).saturating_sub(CLAIMED)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_promises_to_ring_and_the_others_are_counted() {
        let bell = Bell::default();
        assert!(!bell.claim(), "who does not wait is not woken");
        assert_eq!(bell.come(), 0);
        bell.sleeps();
        assert_eq!([bell.claim(), bell.claim(), bell.claim()], [true, false, false]);
        assert_eq!(bell.come(), 2);
        for _ in 3..ENOUGH {
            assert!(!bell.claim() && !bell.has_enough(), "there may be more");
        }
        assert!(bell.claim() && bell.has_enough(), "they are enough");
        assert!(!bell.claim(), "two are to wake it");
        bell.ring();
        assert!(!bell.claim());
        assert_eq!(bell.come(), 0);
    }
}
