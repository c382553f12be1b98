//! Time as a test has it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use okmsd::{clock::Clock, model::Timestamp};

/// A clock that stands still until the test moves it.
pub struct MockClock(AtomicI64);

impl MockClock {
    /// A clock that shows this second.
    pub fn at(second: i64) -> Self {
        Self(AtomicI64::new(second * 1_000_000_000))
    }

    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000_000, Ordering::SeqCst);
    }
}

impl Clock for MockClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_nanos(self.0.load(Ordering::SeqCst))
    }
}

/// The same for TLS.
#[derive(Debug)]
pub struct TestTime(pub Arc<MockClock>);

impl rustls::time_provider::TimeProvider for TestTime {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        let seconds = self.0.now().unix_seconds().try_into().unwrap();
        Some(rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

impl std::fmt::Debug for MockClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.now().unix_seconds())
    }
}
