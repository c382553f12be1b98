//! How many tokens a domain has, about: so that nobody fills the store with them.
//!
//! Always holds: nobody is refused who was not counted anew within a few seconds; those that are
//! over do not count. Some more than the bound can be made, by those who come at the same moment and
//! by other processes, until the next minute. Never does: make writes wait for each other.

use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::sync::Cache;

use crate::{
    crypto::DomainKeys,
    model::{OkmsId, Timestamp},
    service::{Error, scope::Scope},
    store::{engine::ReadError, kinds::token},
};

/// Of how many domains it is known.
const DOMAINS_MAX: usize = 1024;
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
#[derive(Clone, Copy)]
struct Told {
    number: u64,
    /// Whether all were counted, and not as many as there may be alone.
    is_whole: bool,
    at: Timestamp,
}

impl Counted {
    pub(super) fn new() -> Self {
        Self { domains: Cache::new(DOMAINS_MAX) }
    }

    /// Counts one more.
    ///
    /// # Errors
    /// `Error::TooManyTokens` where the domain has `most` already.
    pub(super) async fn add(
        &self,
        scope: &Scope,
        keys: &DomainKeys,
        most: u64,
        now: Timestamp,
    ) -> Result<(), Error> {
        let known = self.of(keys.id());
        let mut fits = known.take(most, now);
        if fits.is_none() {
            let _counting = known.counting.lock().await;
            // Somebody else may have counted meanwhile.
            fits = known.take(most, now);
            if fits.is_none() {
                let _turn = scope.long_reads().turn(keys.id()).await?;
                known.is(count(scope, keys, most, now).await?, now);
                fits = known.take(most, now);
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
        known.is(counted, now);
        Ok(counted.0)
    }

    /// How many there were, where they were counted.
    pub(super) fn last(&self, id: OkmsId) -> Option<u64> {
        self.domains.get(&id)?.with(|told| told.map(|told| told.number))
    }

    /// One that was not over was ended.
    pub(super) fn ended(&self, id: OkmsId) {
        if let Some(known) = self.domains.get(&id) {
            known.with(|told| {
                if let Some(told) = told {
                    told.number = told.number.saturating_sub(1);
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
    /// Takes room for one; whether there is any is not known where that was counted too long ago.
    fn take(&self, most: u64, now: Timestamp) -> Option<bool> {
        self.with(|told| {
            let told = told.as_mut()?;
            let is_within = |seconds| told.at <= now && now < told.at.plus_seconds(seconds);
            if told.number < most && is_within(KNOWN_SECONDS) {
                told.number += 1;
                return Some(true);
            }
            (told.number >= most && is_within(FULL_SECONDS)).then_some(false)
        })
    }

    fn number(&self, now: Timestamp) -> Option<u64> {
        let is_fresh = |told: &Told| {
            told.is_whole && told.at <= now && now < told.at.plus_seconds(KNOWN_SECONDS)
        };
        self.with(|told| told.filter(is_fresh).map(|told| told.number))
    }

    fn is(&self, (number, is_whole): (u64, bool), at: Timestamp) {
        self.with(|told| *told = Some(Told { number, is_whole, at }));
    }

    fn with<T>(&self, see: impl FnOnce(&mut Option<Told>) -> T) -> T {
        see(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How many tokens and wrapped answers of a domain are not over, and whether these are all: more than
/// `most` are not counted.
async fn count(
    scope: &Scope,
    keys: &DomainKeys,
    most: u64,
    now: Timestamp,
) -> Result<(u64, bool), Error> {
    let snapshot = scope.engine().snapshot().await?;
    let (mut from, to) = token::ends_after(keys.id(), now, None);
    let mut number = 0;
    while number <= most {
        let page = match snapshot.keys(token::SPACE, &from, &to, None, PAGE).await {
            // Nobody is kept out by a damaged page.
            Err(ReadError::Corrupt(error)) => {
                tracing::error!(domain = %keys.id(), error, "tokens cannot be counted");
                break;
            }
            page => page?,
        };
        number += page.len() as u64;
        match page.last().filter(|_| page.len() == PAGE) {
            Some(last) => from = [last.as_slice(), &[0]].concat(),
            None => return Ok((number, true)),
        }
        tokio::task::yield_now().await;
    }
    Ok((number, false))
}
