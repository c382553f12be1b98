//! Who may try passwords at present: whoever fails too often waits, longer each time.
//!
//! Always holds: names that are no user's count as those that are; a caller is the key of the first
//! certificate of a line, or where there is none an address, so that nobody shuts out anybody else, and
//! nobody is somebody else by renewing. In memory alone, of each process, and bounded: where more callers
//! fail than there is room for, those who failed least recently are forgotten.

use std::hash::{BuildHasher, RandomState};

use quick_cache::sync::Cache;

use super::login::LoginSource;
use crate::{
    model::{OkmsId, Timestamp},
    service::Error,
};

/// How many callers are remembered, by names and by themselves.
const REMEMBERED: usize = 1 << 16;
/// The first wait, in seconds; each failure after it doubles the next one.
const FIRST_WAIT: u64 = 30;
/// The longest wait.
const LONGEST_WAIT: u64 = 15 * 60;
/// After so many quiet seconds beyond a wait, nothing is remembered.
const FORGOTTEN: u64 = 15 * 60;

/// Whoever tries to log in as somebody.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    pub id: OkmsId,
    /// Where it comes from.
    pub source: &'a LoginSource,
    pub name: &'a str,
}

/// What failures are counted for.
#[derive(Clone, Copy)]
struct Limit {
    /// As many failures are without a wait, less one.
    failures: u32,
    /// One failure is taken back in so many seconds, if any is.
    taken_back: Option<u64>,
}

/// Of a caller with one name.
const OF_NAME: Limit = Limit { failures: 5, taken_back: None };
/// Of a caller with all names, who may well stand for many people.
const OF_ALL: Limit = Limit { failures: 50, taken_back: Some(60) };

/// Failures, up to the last one.
#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Timestamp,
}

/// The failures that are remembered.
pub(super) struct Lockout {
    hasher: RandomState,
    failures: Cache<u64, Failures>,
}

impl Lockout {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), failures: Cache::new(REMEMBERED) }
    }

    /// Goes on if the caller need not wait.
    ///
    /// # Errors
    /// `Error::LockedOut` says how long.
    pub(super) fn check(&self, caller: &Caller<'_>, now: Timestamp) -> Result<(), Error> {
        let waits = self.counted(caller).map(|(key, limit)| {
            self.failures.get(&key).map_or(0, |failures| limit.left(failures, now))
        });
        match waits.into_iter().max().unwrap_or_default() {
            0 => Ok(()),
            seconds => Err(Error::LockedOut(seconds)),
        }
    }

    pub(super) fn failed(&self, caller: &Caller<'_>, now: Timestamp) {
        for (key, limit) in self.counted(caller) {
            let before = self.failures.get(&key).map_or(0, |before| limit.standing(before, now));
            let failures = Failures { count: before.saturating_add(1), last: now };
            self.failures.insert(key, failures);
        }
    }

    /// Forgets the failures with this name; with all names they stay, or one who is a user could try
    /// others' names for ever.
    pub(super) fn succeeded(&self, caller: &Caller<'_>) {
        let [(of_name, _), _] = self.counted(caller);
        self.failures.remove(&of_name);
    }

    /// Under which keys the caller's failures are counted, and by which limits.
    fn counted(&self, caller: &Caller<'_>) -> [(u64, Limit); 2] {
        let Caller { id, source, name } = caller;
        let key = |name: Option<&str>| self.hasher.hash_one((id, source, name));
        [(key(Some(name)), OF_NAME), (key(None), OF_ALL)]
    }
}

impl Limit {
    /// How many failures count at `now`.
    fn standing(self, Failures { count, last }: Failures, now: Timestamp) -> u32 {
        let quiet = seconds(last, now);
        if quiet >= self.wait(count) + FORGOTTEN {
            return 0;
        }
        let taken_back = self.taken_back.map_or(0, |each| quiet / each);
        count.saturating_sub(u32::try_from(taken_back).unwrap_or(u32::MAX))
    }

    /// How long the next try has to wait after so many failures, in seconds.
    fn wait(self, count: u32) -> u64 {
        match count.checked_sub(self.failures) {
            None => 0,
            Some(beyond) => (FIRST_WAIT << beyond.min(16)).min(LONGEST_WAIT),
        }
    }

    /// How long it still has to at `now`.
    fn left(self, failures: Failures, now: Timestamp) -> u64 {
        self.wait(failures.count).saturating_sub(seconds(failures.last, now))
    }
}

/// Whole seconds from one moment to a later one.
fn seconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.unix_seconds() - from.unix_seconds()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: LoginSource = LoginSource::Key([1; 32]);
    const OTHER: LoginSource = LoginSource::Key([2; 32]);

    fn caller<'a>(source: &'a LoginSource, name: &'a str) -> Caller<'a> {
        Caller { id: OkmsId::from_bytes([1; 16]).unwrap(), source, name }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_000_000 + second)
    }

    fn wait(lockout: &Lockout, caller: &Caller<'_>, second: i64) -> u64 {
        match lockout.check(caller, at(second)) {
            Ok(()) => 0,
            Err(Error::LockedOut(seconds)) => seconds,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn each_failure_after_the_fifth_doubles_the_wait() {
        let (lockout, ann) = (Lockout::new(), caller(&KEY, "ann"));
        let mut second = 0;
        for _ in 0..4 {
            lockout.failed(&ann, at(second));
            assert_eq!(wait(&lockout, &ann, second), 0);
        }
        for expected in [30, 60, 120, 240, 480, 900, 900] {
            lockout.failed(&ann, at(second));
            assert_eq!(wait(&lockout, &ann, second), expected);
            assert_eq!(wait(&lockout, &ann, second + 1), expected - 1);
            second += i64::try_from(expected).unwrap();
            assert_eq!(wait(&lockout, &ann, second), 0, "one more try");
        }
        // Quiet for a quarter of an hour, it all begins anew.
        second += 15 * 60;
        for _ in 0..4 {
            lockout.failed(&ann, at(second));
        }
        assert_eq!(wait(&lockout, &ann, second), 0);
        lockout.failed(&ann, at(second));
        assert_eq!(wait(&lockout, &ann, second), 30);
        // A clock that goes back ends no wait.
        assert_eq!(wait(&lockout, &ann, second - 100), 30);
    }

    #[test]
    fn a_caller_is_a_certificates_key() {
        let (lockout, ann) = (Lockout::new(), caller(&KEY, "ann"));
        for _ in 0..5 {
            lockout.failed(&ann, at(0));
        }
        assert_eq!(wait(&lockout, &ann, 0), 30);
        assert_eq!(wait(&lockout, &caller(&KEY, "bob"), 0), 0);
        assert_eq!(wait(&lockout, &caller(&OTHER, "ann"), 0), 0, "nobody shuts her out");
        let elsewhere = Caller { id: OkmsId::from_bytes([2; 16]).unwrap(), ..caller(&KEY, "ann") };
        assert_eq!(wait(&lockout, &elsewhere, 0), 0);
        lockout.succeeded(&ann);
        assert_eq!(wait(&lockout, &ann, 0), 0);
        for _ in 0..4 {
            lockout.failed(&ann, at(0));
        }
        assert_eq!(wait(&lockout, &ann, 0), 0, "it begins anew");
    }

    #[test]
    fn many_names_are_tried_no_better_than_one() {
        let lockout = Lockout::new();
        let names: Vec<_> = (0..50).map(|number| format!("user {number}")).collect();
        for name in &names[..49] {
            lockout.failed(&caller(&KEY, name), at(0));
        }
        assert_eq!(wait(&lockout, &caller(&KEY, "another"), 0), 0);
        lockout.failed(&caller(&KEY, &names[49]), at(0));
        assert_eq!(wait(&lockout, &caller(&KEY, "another"), 0), 30);
        assert_eq!(wait(&lockout, &caller(&OTHER, "another"), 0), 0);
        // One who is a user gains nothing by logging in.
        lockout.succeeded(&caller(&KEY, "another"));
        assert_eq!(wait(&lockout, &caller(&KEY, "another"), 0), 30);
        // Of many people behind one certificate, some err each day: one failure a minute is taken back.
        lockout.failed(&caller(&KEY, &names[0]), at(120));
        assert_eq!(wait(&lockout, &caller(&KEY, "another"), 120), 0);
    }

    /// Who changes the lower half of an address stays who it is.
    #[test]
    fn an_address_of_version_six_is_known_by_its_network() {
        let at = |text: &str| LoginSource::at(text.parse().unwrap());
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1:2:3"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
    }
}
