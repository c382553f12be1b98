//! What tenants have, and how often they have asked.
//!
//! Always holds: a tenant is counted by one walk over its headers once somebody asks, and from then on
//! by what commits say ([`super::counts`]); one counts at a time for a tenant, within its share of long
//! reads. Never does: make a request wait for a count, but one that asks for it.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::{Duration, Instant},
};

use super::{Error, aside::aside, quotas::Quotas, records::open, scope::Scope};
use crate::{
    auth::{Action, Permit, Resource},
    crypto::DomainKeys,
    model::{Growth, Header, OkmsId, Usage},
    store::{
        engine::{ChangesError, Entry, ReadError, Revision},
        kinds::header,
    },
};

/// How many headers are read at once.
const PAGE: usize = 1024;
/// So long one who asks waits for a count.
const PATIENCE: Duration = Duration::from_secs(5);

/// The use cases on what tenants have.
pub struct Usages {
    scope: Scope,
    quotas: Arc<Quotas>,
    requests: Mutex<HashMap<OkmsId, Arc<AtomicU64>>>,
}

impl Usages {
    pub(super) fn new(scope: Scope, quotas: Arc<Quotas>) -> Self {
        Self { scope, quotas, requests: Mutex::default() }
    }

    /// What the permit's tenant has; `None` while it is being counted.
    ///
    /// # Errors
    /// `Error::DomainNotFound` where there is no such tenant.
    pub async fn get(&self, permit: &Permit) -> Result<Option<Usage>, Error> {
        permit.check(Action::UsageGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let counted = self.scope.counts().counted(keys.id());
        Ok(tokio::time::timeout(PATIENCE, counted).await.ok())
    }

    /// What a tenant has, where that is known; it is counted where it is not.
    #[must_use]
    pub fn known(&self, id: OkmsId) -> Option<Usage> {
        self.scope.counts().exact(id)
    }

    /// Goes on if a tenant may have so much more. One that is not counted yet may: it is counted
    /// meanwhile. Those who come at the same moment may be admitted together, and what other processes
    /// have written counts once the feed has told it.
    pub(super) fn admit(&self, id: OkmsId, growth: Growth) -> Result<(), Error> {
        let quota = self.quotas.of(id);
        let is_bounded = (growth.secrets > 0 && quota.secrets.is_some())
            || (growth.bytes > 0 && quota.bytes.is_some());
        let usage = is_bounded.then(|| self.scope.counts().at_most(id)).flatten();
        usage.map_or(Ok(()), |usage| quota.admit(usage, growth)).map_err(Error::Excess)
    }

    /// How many requests of a tenant have come to this process: to be added to.
    #[must_use]
    pub fn requests(&self, id: OkmsId) -> Arc<AtomicU64> {
        // Every change is one call, so a poisoned lock loses nothing.
        let mut all = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(id).or_default())
    }

    /// Follows what is committed, and counts whom somebody asks for, a few at once, for good.
    pub async fn run(&self) -> Infallible {
        tokio::select! {
            never = self.follow() => never,
            never = self.count_on() => never,
            never = self.count_on() => never,
            never = self.count_on() => never,
            never = self.count_on() => never,
        }
    }

    async fn follow(&self) -> Infallible {
        let (engine, counts) = (self.scope.engine(), self.scope.counts());
        loop {
            match engine.changes(counts.followed()).await {
                Ok(changes) => changes.iter().for_each(|change| counts.told(change)),
                Err(ChangesError::TooOld) => counts.missed(engine.revision()),
            }
        }
    }

    async fn count_on(&self) -> Infallible {
        let counts = self.scope.counts();
        loop {
            let id = counts.wanted().await;
            let began = Instant::now();
            let found = count(&self.scope, id).await.inspect_err(|error| {
                tracing::warn!(domain = %id, %error, "what a domain has cannot be counted; trying again");
            });
            counts.is(id, found.ok(), began.elapsed());
        }
    }
}

/// What a tenant has, and in the snapshot of which revision.
async fn count(scope: &Scope, id: OkmsId) -> Result<(Revision, Usage), Error> {
    let keys = scope.keys_of(id).await?;
    let _turn = scope.long_reads().turn(id).await?;
    let snapshot = scope.engine().snapshot().await?;
    let (mut from, to) = (header::first(id), header::end(id));
    let mut usage = Usage::default();
    loop {
        let page = match snapshot.scan(header::SPACE, &from, &to, PAGE).await {
            // Nobody is kept out by a damaged page.
            Err(ReadError::Corrupt(error)) => {
                tracing::error!(domain = %id, error, "not all of what a domain has can be counted");
                break;
            }
            page => page?,
        };
        let bytes = page.iter().map(|(key, record)| key.len() + record.bytes.len()).sum();
        usage = aside(bytes, || page.iter().fold(usage, |sum, entry| add(&keys, sum, entry)));
        match page.last().filter(|_| page.len() == PAGE) {
            Some((last, _)) => from = header::behind(last),
            None => break,
        }
        tokio::task::yield_now().await;
    }
    Ok((snapshot.revision(), usage))
}

/// A secret more. One whose header is damaged takes nothing.
fn add(keys: &DomainKeys, sum: Usage, (key, record): &Entry) -> Usage {
    let header = open::<Header>(keys, key, &record.bytes);
    let bytes = header.map_or(0, |header| header.bytes);
    Usage { secrets: sum.secrets + 1, bytes: sum.bytes.saturating_add(bytes) }
}
