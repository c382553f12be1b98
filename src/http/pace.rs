//! How fast each one asks: what is left of the rates of a tenant, and of each key that acts in it.
//!
//! Always holds: a request costs one exchange of a number, whatever the rate, and waits for nobody;
//! who was refused is not charged, so that whoever asks too fast is served at the rate; who pauses
//! is forgotten, connected or not. Never does: refuse operators, or say what the rates are.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use crate::{
    api::Standing,
    metrics::Spent,
    model::{OkmsId, Quota, Rate},
};

/// What is left of everybody's rates.
pub(super) struct Paces {
    began: Instant,
    tenants: Mutex<HashMap<OkmsId, Arc<Pace>>>,
    subjects: Mutex<HashMap<[u8; 32], Arc<Pace>>>,
}

/// What is left of one's rates.
#[derive(Default)]
struct Pace {
    requests: Bucket,
    writes: Bucket,
}

/// Until when what was asked for fills the time, in nanoseconds.
#[derive(Default)]
struct Bucket(AtomicU64);

/// Those that one peer is charged to.
pub(super) struct Paced {
    tenant: OkmsId,
    /// All requests of the tenant.
    asked: Arc<AtomicU64>,
    of_tenant: Arc<Pace>,
    of_subject: Arc<Pace>,
}

impl Paces {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), tenants: Mutex::default(), subjects: Mutex::default() }
    }

    /// Those of a peer of a tenant with this key (SHA-256), all of whose requests are counted in `asked`.
    pub(super) fn of(&self, tenant: OkmsId, key: &[u8; 32], asked: Arc<AtomicU64>) -> Paced {
        let now = self.now();
        Paced {
            tenant,
            asked,
            of_tenant: found(&self.tenants, tenant, now),
            of_subject: found(&self.subjects, *key, now),
        }
    }

    /// Nanoseconds since the start.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The one that is there, or a new one. Where room is needed, those are forgotten that nobody holds
/// and that are as good as new.
fn found<K: Hash + Eq>(all: &Mutex<HashMap<K, Arc<Pace>>>, key: K, now: u64) -> Arc<Pace> {
    // Every change is one call, so a poisoned lock loses nothing.
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pace) = all.get(&key) {
        return Arc::clone(pace);
    }
    if all.len() == all.capacity() {
        all.retain(|_, pace| Arc::strong_count(pace) > 1 || !pace.is_fresh(now));
    }
    Arc::clone(all.entry(key).or_default())
}

impl Paced {
    /// The tenant.
    pub(super) const fn tenant(&self) -> OkmsId {
        self.tenant
    }

    /// Counts a request, and charges it. Tells how it stands with each rate that it counts for: nothing
    /// where none is set.
    ///
    /// # Errors
    /// Which rate is used up.
    pub(super) fn take(
        &self,
        quota: &Quota,
        is_write: bool,
        now: u64,
    ) -> Result<Vec<Standing>, (Spent, Standing)> {
        self.asked.fetch_add(1, Relaxed);
        // The narrowest first: one who asks too fast takes nothing from the tenant's others.
        let rates = [
            (
                Spent::SubjectWrites,
                quota.subject_writes.filter(|_| is_write),
                &self.of_subject.writes,
            ),
            (Spent::Subject, quota.subject_requests, &self.of_subject.requests),
            (Spent::Writes, quota.writes.filter(|_| is_write), &self.of_tenant.writes),
            (Spent::Requests, quota.requests, &self.of_tenant.requests),
        ];
        let rates = rates.map(|(spent, rate, bucket)| Some((spent, rate?, bucket)));
        let mut standings = Vec::new();
        for (at, (spent, rate, bucket)) in rates.iter().flatten().enumerate() {
            match bucket.take(*rate, now) {
                Ok(until) => standings.push(standing(*spent, *rate, Ok(until.saturating_sub(now)))),
                Err(wait) => {
                    for (_, rate, bucket) in rates.iter().flatten().take(at) {
                        bucket.give_back(*rate);
                    }
                    return Err((*spent, standing(*spent, *rate, Err(wait))));
                }
            }
        }
        Ok(standings)
    }
}

/// How one stands: so much of a rate's depth is used, or so long is to be waited for room.
fn standing(spent: Spent, rate: Rate, used: Result<u64, u64>) -> Standing {
    let seconds = |nanos: u64| nanos.div_ceil(1_000_000_000).max(1);
    let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let (left, wait) = match used {
        Ok(used) => (rate.depth().saturating_sub(used).checked_div(rate.step()).unwrap_or(0), used),
        Err(wait) => (0, wait),
    };
    // Where nothing is left, one comes back before all do.
    let wait = if left == 0 && used.is_ok() { wait.min(rate.step()) } else { wait };
    Standing {
        name: spent.label(),
        quota: number(rate.burst()),
        window_seconds: seconds(rate.depth()),
        left: number(left),
        wait_seconds: seconds(wait),
    }
}

impl Pace {
    fn is_fresh(&self, now: u64) -> bool {
        [&self.requests, &self.writes].iter().all(|bucket| bucket.0.load(Relaxed) <= now)
    }
}

impl Bucket {
    /// Charges one, and tells until when it is filled then; or in how many nanoseconds there is room.
    fn take(&self, rate: Rate, now: u64) -> Result<u64, u64> {
        let (step, full) = (rate.step(), now.saturating_add(rate.depth()));
        // So much was charged by another rate: by this one a burst at the most, of which this is one.
        let filled =
            |until: u64| if until > full { full } else { until.max(now).saturating_add(step) };
        let charged = |until| Some(filled(until)).filter(|until| *until <= full);
        let taken = self.0.fetch_update(Relaxed, Relaxed, charged);
        taken.map(filled).map_err(|until| filled(until).saturating_sub(full))
    }

    /// What was charged was for nothing.
    fn give_back(&self, rate: Rate) {
        let back = |until: u64| Some(until.saturating_sub(rate.step()));
        let _always = self.0.fetch_update(Relaxed, Relaxed, back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn id(byte: u8) -> OkmsId {
        OkmsId::from_bytes([byte; 16]).unwrap()
    }

    fn rate(per_second: u64, burst: u64) -> Option<Rate> {
        Rate::new(per_second * 1000, Some(burst)).ok()
    }

    fn paced(paces: &Paces, tenant: OkmsId, key: &[u8; 32]) -> Paced {
        paces.of(tenant, key, Arc::default())
    }

    fn taken(paced: &Paced, quota: &Quota, is_write: bool, now: u64) -> u64 {
        let mut taken = 0;
        while taken < 1000 && paced.take(quota, is_write, now).is_ok() {
            taken += 1;
        }
        taken
    }

    /// A burst, and then the rate; who is refused loses nothing by it, and others are not charged.
    #[test]
    fn a_rate_is_kept() {
        let paces = Paces::new();
        let (one, other) = (paced(&paces, id(1), &[1; 32]), paced(&paces, id(2), &[2; 32]));
        let quota = Quota { requests: rate(10, 20), ..Quota::default() };
        let mut now = 5 * SECOND;
        assert_eq!(taken(&one, &quota, false, now), 20);
        let (spent, beyond) = one.take(&quota, false, now).unwrap_err();
        assert_eq!(spent, Spent::Requests);
        assert_eq!((beyond.quota, beyond.window_seconds, beyond.wait_seconds), (20, 2, 1));
        let told = other.take(&quota, false, now).unwrap();
        assert_eq!((told.len(), told[0].left, told[0].wait_seconds), (1, 19, 1));
        other.of_tenant.requests.give_back(quota.requests.unwrap());
        for _ in 0..5 {
            now += SECOND;
            assert_eq!(taken(&one, &quota, false, now), 10);
        }
        assert_eq!(taken(&other, &quota, false, now), 20);
        assert_eq!(taken(&one, &quota, false, now + 3600 * SECOND), 20, "no more than a burst");
        // One that was very slow counts no more once there is another.
        let slow = Quota { requests: Some(Rate::new(1, Some(1)).unwrap()), ..quota };
        now += 7200 * SECOND;
        assert_eq!(taken(&one, &slow, false, now), 1);
        assert_eq!(one.take(&slow, false, now).unwrap_err().1.wait_seconds, 1000);
        assert_eq!(taken(&one, &quota, false, now + SECOND / 10), 1, "its burst is used up");
        assert_eq!(
            taken(&one, &quota, false, now + SECOND / 5),
            1,
            "and it goes on by the new rate"
        );
        assert_eq!(taken(&one, &Quota::default(), true, now), 1000, "none at all");
    }

    /// One key does not take what its tenant has; changes have a rate of their own.
    #[test]
    fn keys_and_changes_have_rates_of_their_own() {
        let paces = Paces::new();
        let (one, other) = (paced(&paces, id(1), &[1; 32]), paced(&paces, id(1), &[2; 32]));
        let quota = Quota {
            requests: rate(1, 30),
            writes: rate(1, 5),
            subject_requests: rate(1, 10),
            subject_writes: rate(1, 3),
            ..Quota::default()
        };
        assert_eq!(taken(&one, &quota, true, 0), 3);
        assert_eq!(one.take(&quota, true, 0).unwrap_err().0, Spent::SubjectWrites);
        assert_eq!(taken(&other, &quota, true, 0), 2, "what is left of the tenant's");
        assert_eq!(other.take(&quota, true, 0).unwrap_err().0, Spent::Writes);
        assert_eq!(taken(&one, &quota, false, 0), 7, "the refused one was not charged");
        assert_eq!(one.take(&quota, false, 0).unwrap_err().0, Spent::Subject);
        assert_eq!(taken(&other, &quota, false, 0), 8, "the other key has all of its own");
        assert_eq!(taken(&paced(&paces, id(1), &[3; 32]), &quota, false, 0), 10);
        let fourth = paced(&paces, id(1), &[4; 32]);
        assert_eq!(fourth.take(&quota, false, 0).unwrap_err().0, Spent::Requests, "of the tenant");
    }

    /// A new connection is no new rate, and whoever pauses takes no memory.
    #[test]
    fn who_pauses_is_forgotten_and_nobody_else() {
        let paces = Paces::new();
        let slow = Rate::new(1, Some(1)).unwrap();
        let quota = Quota { requests: Some(slow), ..Quota::default() };
        assert_eq!(taken(&paced(&paces, id(1), &[1; 32]), &quota, false, 0), 1);
        assert_eq!(taken(&paced(&paces, id(1), &[1; 32]), &quota, false, 0), 0);
        for number in 0..10_000_u128 {
            let tenant = OkmsId::from_bytes((number + 1).to_be_bytes()).unwrap();
            let mut key = [0; 32];
            key[..16].copy_from_slice(&number.to_be_bytes());
            drop(paced(&paces, tenant, &key));
        }
        assert!(paces.tenants.lock().unwrap().len() < 1000);
        assert!(paces.subjects.lock().unwrap().len() < 1000);
        assert_eq!(
            taken(&paced(&paces, id(1), &[1; 32]), &quota, false, 0),
            0,
            "its time is not over"
        );
    }
}
