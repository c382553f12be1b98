//! How far the server is with what it rotates by itself: in memory, of one process.
//!
//! Always holds: what could not be rotated is tried again, each time after twice as long. Never does: read the store.

use std::collections::HashMap;

use crate::model::{OkmsId, SecretPath, Timestamp};

/// How long is waited after the first failure, in seconds; twice as long after each other one, up to the most.
const PAUSE: u64 = 60;
const PAUSE_MAX: u64 = 3_600;
/// More secrets that cannot be rotated are tried each time.
const FAILURES_MAX: usize = 100_000;

/// How far the rounds are.
#[derive(Default)]
pub(super) struct Rounds {
    /// The policy at which the last one has stopped.
    pub last: Option<Vec<u8>>,
    /// Where the looks at policies go on that have more than was looked at.
    pub next: HashMap<Vec<u8>, Vec<u8>>,
    /// What could not be rotated.
    failures: HashMap<(OkmsId, SecretPath), Failures>,
}

struct Failures {
    number: u32,
    until: Timestamp,
}

impl Rounds {
    /// A round begins over these policies, which are sorted: in which order.
    pub(super) fn begin(&mut self, policies: &mut [Vec<u8>], now: Timestamp) {
        self.next.retain(|key, _| policies.binary_search(key).is_ok());
        let from = policies.partition_point(|key| Some(key) <= self.last.as_ref());
        policies.rotate_left(from);
        // Long ago; or to come, by a clock that was set back since.
        let latest = now.plus_seconds(PAUSE_MAX);
        self.failures.retain(|_, failures| {
            failures.until <= latest && now < failures.until.plus_seconds(PAUSE_MAX)
        });
    }

    /// A secret was rotated, or need not be.
    pub(super) fn is_well(&mut self, key: &(OkmsId, SecretPath)) {
        self.failures.remove(key);
    }

    /// Whether a secret is not to be tried yet.
    pub(super) fn waits(&self, key: &(OkmsId, SecretPath), now: Timestamp) -> bool {
        self.failures.get(key).is_some_and(|failures| now < failures.until)
    }

    /// A secret could not be rotated.
    pub(super) fn fail(&mut self, key: (OkmsId, SecretPath), now: Timestamp) {
        if self.failures.len() >= FAILURES_MAX && !self.failures.contains_key(&key) {
            return;
        }
        let failures = self.failures.entry(key).or_insert(Failures { number: 0, until: now });
        let pause = PAUSE.saturating_mul(1 << failures.number.min(16)).min(PAUSE_MAX);
        failures.number += 1;
        failures.until = now.plus_seconds(pause);
    }
}
