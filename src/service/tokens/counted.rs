//! How many tokens a domain has, about: so that nobody fills the store with them, and no key of a domain has
//! so many that others find no room.
//!
//! Always holds: nobody is refused who was not counted anew within a few seconds; those that are
//! over do not count; a key has no more than it leaves free. Some more than the bound can be made, by
//! those who come at the same moment and by other processes, until the next minute. Never does: make writes
//! wait for each other.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use quick_cache::sync::Cache;

use crate::{
    crypto::DomainKeys,
    model::{OkmsId, Timestamp},
    service::{Error, scope::Scope},
    store::{
        engine::ReadError,
        kinds::{token, wrapped::Load},
    },
};

/// Of how many domains it is known.
const DOMAINS_MAX: usize = 1024;
/// A key that had less than a part of so many of all is not remembered, so that few are.
const PARTS: u64 = 1_000;
/// How many ends are read at once.
const PAGE: usize = 4096;
/// For so many seconds it goes on from what was counted.
const KNOWN_SECONDS: u64 = 60;
/// For so many seconds nobody counts again where there is no room.
const FULL_SECONDS: u64 = 2;

/// What is known of domains.
pub(super) struct Counted {
    domains: Cache<OkmsId, Arc<Known>>,
}

#[derive(Default)]
struct Known {
    told: Mutex<Option<Told>>,
    /// Held by the one who counts.
    counting: tokio::sync::Mutex<()>,
}

/// So many there were, those that were made since included.
struct Told {
    number: u64,
    /// How many of each key, about.
    shares: HashMap<u64, u64>,
    /// Whether all were counted, and not as many as there may be alone.
    is_whole: bool,
    at: Timestamp,
}

impl Told {
    /// Nothing yet, of which as much may be counted as there is.
    fn nothing(at: Timestamp) -> Self {
        Self { number: 0, shares: HashMap::new(), is_whole: false, at }
    }

    /// Whether another one of a key has room among `most`: with it the key has about as much as it leaves
    /// free, at the most.
    fn takes(&self, share: u64, most: u64) -> bool {
        let own = self.shares.get(&share).copied().unwrap_or_default();
        let left = most.checked_sub(self.number.saturating_add(1));
        left.is_some_and(|left| own <= left)
    }

    fn add(&mut self, share: u64) {
        self.number += 1;
        *self.shares.entry(share).or_default() += 1;
    }
}

impl Counted {
    pub(super) fn new() -> Self {
        Self { domains: Cache::new(DOMAINS_MAX) }
    }

    /// Counts one more of a key.
    ///
    /// # Errors
    /// `Error::TooManyTokens` where there is no room for it among the `most` that the domain may have.
    pub(super) async fn add(
        &self,
        scope: &Scope,
        keys: &DomainKeys,
        (share, most): (u64, u64),
        now: Timestamp,
    ) -> Result<(), Error> {
        let known = self.of(keys.id());
        let mut fits = known.take(share, most, now);
        if fits.is_none() {
            let _counting = known.counting.lock().await;
            // Somebody else may have counted meanwhile.
            fits = known.take(share, most, now);
            if fits.is_none() {
                let _turn = scope.long_reads().turn(keys.id()).await?;
                known.is(count(scope, keys, most, now).await?);
                fits = known.take(share, most, now);
            }
        }
        if fits == Some(true) { Ok(()) } else { Err(Error::TooManyTokens) }
    }

    /// How many there are, as of the last minute.
    pub(super) async fn number(
        &self,
        scope: &Scope,
        keys: &DomainKeys,
        now: Timestamp,
    ) -> Result<u64, Error> {
        let known = self.of(keys.id());
        if let Some(number) = known.number(now) {
            return Ok(number);
        }
        let _counting = known.counting.lock().await;
        if let Some(number) = known.number(now) {
            return Ok(number);
        }
        let _turn = scope.long_reads().turn(keys.id()).await?;
        let counted = count(scope, keys, u64::MAX, now).await?;
        let number = counted.number;
        known.is(counted);
        Ok(number)
    }

    /// How many there were, where they were counted.
    pub(super) fn last(&self, id: OkmsId) -> Option<u64> {
        self.domains.get(&id)?.with(|told| told.as_ref().map(|told| told.number))
    }

    /// One of a key that was not over was ended.
    pub(super) fn ended(&self, id: OkmsId, share: u64) {
        if let Some(known) = self.domains.get(&id) {
            known.with(|told| {
                let Some(told) = told else { return };
                told.number = told.number.saturating_sub(1);
                if let Some(own) = told.shares.get_mut(&share) {
                    *own = own.saturating_sub(1);
                }
            });
        }
    }

    fn of(&self, id: OkmsId) -> Arc<Known> {
        self.domains.get(&id).unwrap_or_else(|| {
            let known = Arc::<Known>::default();
            self.domains.insert(id, Arc::clone(&known));
            known
        })
    }
}

impl Known {
    /// Takes room for one of a key; whether there is any is not known where that was counted too long ago.
    fn take(&self, share: u64, most: u64, now: Timestamp) -> Option<bool> {
        self.with(|told| {
            let told = told.as_mut()?;
            let (at, takes) = (told.at, told.takes(share, most));
            let is_within = |seconds| at <= now && now < at.plus_seconds(seconds);
            if takes && is_within(KNOWN_SECONDS) {
                told.add(share);
                return Some(true);
            }
            (!takes && is_within(FULL_SECONDS)).then_some(false)
        })
    }

    fn number(&self, now: Timestamp) -> Option<u64> {
        let is_fresh = |told: &Told| {
            told.is_whole && told.at <= now && now < told.at.plus_seconds(KNOWN_SECONDS)
        };
        self.with(|told| told.as_ref().filter(|told| is_fresh(told)).map(|told| told.number))
    }

    fn is(&self, counted: Told) {
        self.with(|told| *told = Some(counted));
    }

    fn with<T>(&self, see: impl FnOnce(&mut Option<Told>) -> T) -> T {
        see(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How many tokens and wrapped answers of a domain are not over, as of `now`: more than `most` are not
/// counted.
async fn count(scope: &Scope, keys: &DomainKeys, most: u64, now: Timestamp) -> Result<Told, Error> {
    let snapshot = scope.engine().snapshot().await?;
    let (mut from, to) = token::ends_after(keys.id(), now, None);
    let mut told = Told::nothing(now);
    while told.number <= most {
        let page = match snapshot.scan(token::SPACE, &from, &to, PAGE).await {
            // Nobody is kept out by a damaged page.
            Err(ReadError::Corrupt(error)) => {
                tracing::error!(domain = %keys.id(), error, "tokens cannot be counted");
                break;
            }
            page => page?,
        };
        for (_, record) in &page {
            told.add(Load::from_bytes(&record.bytes).share);
        }
        let Some((last, _)) = page.last().filter(|_| page.len() == PAGE) else {
            told.is_whole = true;
            break;
        };
        from = [last.as_slice(), &[0]].concat();
        tokio::task::yield_now().await;
    }
    let least = told.number / PARTS;
    told.shares.retain(|_, own| *own > least);
    Ok(told)
}
