//! The one clock. Everything else takes the time as a parameter.
//!
//! A machine's clock can step: back by seconds when it is set right, ahead by years when its
//! battery is flat. A store's time ([`StoreClock`]) does not run backwards, so that what was done
//! stays done and what is over stays over. After a step back it goes on from the latest moment that
//! it has told, a little slower than the machine's clock (15 seconds for 16), until that has caught
//! up: never frozen, since what has a life would never end then. After a clock that was a year
//! ahead the store's time is ahead for long; the moments that it shows are wrong by that, lives are
//! right to one part in sixteen. That is said in the log at each start, and shown in the metrics.
//! TLS asks the machine's clock, as a certificate's dates are not the store's.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{model::Timestamp, seldom::Seldom};

/// Tells the time: read once a request, and by TLS.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> Timestamp {
        // A clock before 1970 is broken; the epoch then makes every certificate not yet valid,
        // which is refused.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_unix_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// A step that the machine's clock made, back or ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To before the latest moment.
    Back,
    /// Much further than time has gone by.
    Ahead,
}

/// What hears of steps.
type OnStep = Box<dyn Fn(Step) + Send + Sync>;

/// The time within a store: the machine's, except that it never runs backwards.
pub struct StoreClock {
    machine: Arc<dyn Clock>,
    on_step: OnStep,
    told: Mutex<Option<Told>>,
    /// The latest moment that was in the store, and when it was told of it.
    begun: OnceLock<(Timestamp, Instant)>,
    steps: Seldom,
}

/// The latest moment that was told.
#[derive(Clone, Copy)]
struct Told {
    moment: Timestamp,
    /// What the machine's clock showed then.
    machine: Timestamp,
    at: Instant,
    is_behind: bool,
}

/// Differences up to here are no steps: clocks are set right by less, and processors differ by a
/// little.
const STEP_BACK: Duration = Duration::from_millis(100);
const STEP_AHEAD: Duration = Duration::from_secs(60);
/// A start with a clock that is further behind the store is warned of.
const BEHIND_AT_START: Duration = Duration::from_secs(10);

impl StoreClock {
    /// The time of a store of which nothing is known yet.
    pub fn new(machine: Arc<dyn Clock>, on_step: impl Fn(Step) + Send + Sync + 'static) -> Self {
        let steps = Seldom::new(Duration::from_secs(10));
        let (told, begun) = (Mutex::new(None), OnceLock::new());
        Self { machine, on_step: Box::new(on_step), told, begun, steps }
    }

    /// Goes on from the latest moment that is in the store, if the machine's clock is behind it.
    pub fn resume(&self, latest: Timestamp) {
        let machine = self.machine.now();
        // The first one alone counts.
        self.begun.get_or_init(|| (latest, Instant::now()));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let before = told.map_or(machine, |told| told.moment);
        if latest <= before {
            return;
        }
        let behind = between(machine, latest);
        *told = Some(Told { moment: latest, machine, at: Instant::now(), is_behind: true });
        drop(told);
        if behind > BEHIND_AT_START {
            tracing::warn!(
                behind_seconds = behind.as_secs(),
                latest = &*latest.to_rfc3339_seconds(),
                "the machine's clock is behind the latest write in the store; the store's time goes on from there, a \
                 little slower, until the clock has caught up"
            );
            (self.on_step)(Step::Back);
        }
    }

    /// The machine's time, or an earlier moment that has come whatever that clock says: the latest of the
    /// store's when it was opened, with the time that has gone by since. For what is not to be undone, and is
    /// about dates of certificates.
    #[must_use]
    pub fn surely(&self) -> Timestamp {
        let machine = self.machine.now();
        self.begun.get().map_or(machine, |(latest, at)| later(*latest, at.elapsed()).min(machine))
    }

    /// How far the machine's clock is behind the store's time.
    #[must_use]
    pub fn behind(&self) -> Duration {
        let now = self.now();
        between(self.machine.now(), now)
    }

    fn step(&self, step: Step, by: Duration) {
        (self.on_step)(step);
        let Some(left_out) = self.steps.due() else { return };
        let by_seconds = by.as_secs_f64();
        let direction = match step {
            Step::Back => "back, and the store's time does not",
            Step::Ahead => "ahead, and the store's time with it",
        };
        tracing::warn!(by_seconds, left_out, "the machine's clock stepped {direction}");
    }
}

impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: who asks later is told a later moment.
        let (machine, at) = (self.machine.now(), Instant::now());
        let Some(before) = *told else {
            *told = Some(Told { moment: machine, machine, at, is_behind: false });
            return machine;
        };
        let gone = at.duration_since(before.at);
        let behind = between(machine, before.moment);
        let is_behind = behind > if before.is_behind { Duration::ZERO } else { STEP_BACK };
        let slower = gone * 15 / 16;
        let moment = if is_behind {
            later(before.moment, slower).max(machine)
        } else {
            machine.max(before.moment)
        };
        *told = Some(Told { moment, machine, at, is_behind });
        drop(told);
        // Steps are the machine's own, also while it is behind.
        let (back, ahead) = (
            between(machine, before.machine),
            between(before.machine, machine).saturating_sub(gone),
        );
        if back > STEP_BACK {
            self.step(Step::Back, back);
        } else if ahead > STEP_AHEAD {
            self.step(Step::Ahead, ahead);
        }
        moment
    }
}

/// The time from one moment to a later one.
fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::from_nanos(
        u64::try_from(to.unix_nanos().saturating_sub(from.unix_nanos())).unwrap_or_default(),
    )
}

fn later(moment: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
    Timestamp::from_unix_nanos(moment.unix_nanos().saturating_add(by))
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst},
        thread,
    };

    use proptest::prelude::*;

    use super::*;

    struct Machine(AtomicI64);

    impl Clock for Machine {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_nanos(self.0.load(SeqCst))
        }
    }

    const SECOND: i64 = 1_000_000_000;

    fn store() -> (Arc<Machine>, Arc<AtomicUsize>, StoreClock) {
        let (machine, steps) =
            (Arc::new(Machine(AtomicI64::new(1_000 * SECOND))), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&steps);
        let clock = StoreClock::new(Arc::clone(&machine) as Arc<dyn Clock>, move |_| {
            count.fetch_add(1, SeqCst);
        });
        (machine, steps, clock)
    }

    /// A step back is counted once; time goes on meanwhile, and is the machine's again when that
    /// has caught up.
    #[test]
    fn time_goes_on_after_a_step_back() {
        let (machine, steps, clock) = store();
        let before = clock.now();
        machine.0.fetch_sub(10 * SECOND, SeqCst);
        let first = clock.now();
        thread::sleep(Duration::from_millis(30));
        let second = clock.now();
        assert!(before <= first && first < second);
        assert!(between(before, second) < Duration::from_secs(5));
        assert!(clock.behind() > Duration::from_secs(9));
        assert_eq!(steps.load(SeqCst), 1);
        machine.0.fetch_add(20 * SECOND, SeqCst);
        assert_eq!((clock.now(), clock.behind()), (machine.now(), Duration::ZERO));
        machine.0.fetch_add(3_600 * SECOND, SeqCst);
        assert_eq!((clock.now(), steps.load(SeqCst)), (machine.now(), 2));
    }

    /// Steps were not noticed while the machine's clock was behind.
    #[test]
    fn steps_count_while_the_clock_is_behind() {
        let (machine, steps, clock) = store();
        clock.now();
        for (by, count) in [(-900, 1), (300, 2), (-100, 3), (30, 3), (900, 4)] {
            machine.0.fetch_add(by * SECOND, SeqCst);
            clock.now();
            assert_eq!(steps.load(SeqCst), count, "{by}");
        }
    }

    #[test]
    fn a_store_goes_on_from_its_latest_moment() {
        let (machine, steps, clock) = store();
        clock.resume(Timestamp::from_unix_seconds(900));
        assert_eq!((clock.now(), steps.load(SeqCst)), (machine.now(), 0));
        clock.resume(Timestamp::from_unix_seconds(5_000));
        assert!(clock.now() >= Timestamp::from_unix_seconds(5_000));
        assert_eq!(steps.load(SeqCst), 1);
    }

    /// A clock that is years ahead makes nothing over that is not.
    #[test]
    fn what_has_surely_come_is_not_ahead_of_the_store() {
        let (machine, _, clock) = store();
        assert_eq!(clock.surely(), machine.now());
        let latest = Timestamp::from_unix_seconds(900);
        clock.resume(latest);
        let passed = between(latest, clock.surely());
        assert!(passed < Duration::from_secs(60), "{passed:?}");
        machine.0.fetch_add(100_000_000 * SECOND, SeqCst);
        assert!(between(latest, clock.surely()) < Duration::from_secs(60));
        machine.0.store(800 * SECOND, SeqCst);
        assert_eq!(clock.surely(), machine.now());
    }

    proptest! {
        /// Whatever the machine's clock does, time does not run backwards, and is never behind the
        /// machine's.
        #[test]
        fn never_backwards(moves in prop::collection::vec(
            prop_oneof![-100 * SECOND..100 * SECOND, -SECOND / 20..SECOND / 20],
            1..50,
        )) {
            let (machine, _, clock) = store();
            let mut before = clock.now();
            for by in moves {
                machine.0.fetch_add(by, SeqCst);
                let now = clock.now();
                prop_assert!(now >= before && now >= machine.now());
                before = now;
            }
        }
    }
}
