//! What happens to a domain's secrets, for whoever keeps up with them.
//!
//! Always holds: a change and its event are one commit, so that none is missed, whatever stops and starts; whoever
//! goes on behind an event is told of all that came after it, in the order of commits; of what somebody may not see
//! nothing is told, not even that something has happened. Never does: tell a value; tell of ends that come by the
//! clock, as no commit makes those.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{
    Error,
    cursor::{self, Listing},
    follower::{self, Follower, keys_in},
    records::{bind, or_damaged},
    scope::Scope,
    secrets::may_see,
};
use crate::{
    auth::{Action, Permit, Resource},
    crypto::DomainKeys,
    model::{Happening, Invalid, OkmsId, SecretEvent, SecretPath, Timestamp},
    store::{
        engine::{Batch, Revision, Snapshot, Touched},
        kinds::event,
    },
};

/// So many commits are read at once.
const AT_ONCE: usize = 128;
/// So many are looked at for one page.
const LOOKED_AT: usize = 4_096;

/// From where on events are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventsSince {
    /// What comes from now on.
    Now,
    /// All that are kept.
    First,
    /// What comes behind an event, or a page: as that has said it.
    Behind(Vec<u8>),
}

/// An event, and how to go on behind it.
#[derive(Clone, Debug)]
pub struct ToldEvent {
    /// For [`EventsSince::Behind`].
    pub id: Vec<u8>,
    /// It.
    pub event: SecretEvent,
}

/// Some events.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// They, in the order of commits.
    pub events: Vec<ToldEvent>,
    /// How to go on behind all that was looked at.
    pub next: Vec<u8>,
    /// Whether there may be more already.
    pub has_more: bool,
}

/// Behind which of the events of which commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Behind {
    revision: Revision,
    /// So many of its events were told.
    told: u16,
}

/// The use cases on events.
pub struct Events {
    scope: Scope,
    begun: Revision,
    /// Those who wait, by domain.
    news: Mutex<HashMap<OkmsId, watch::Sender<()>>>,
}

/// Events as they come.
pub struct EventFeed {
    news: watch::Receiver<()>,
    behind: Vec<u8>,
    prefix: String,
}

impl Events {
    pub(super) fn new(scope: Scope) -> Self {
        let begun = scope.engine().revision();
        Self { scope, begun, news: Mutex::default() }
    }

    /// A page of the events of secrets whose paths begin with `prefix`, and that may be seen.
    ///
    /// # Errors
    /// `Error::Invalid` for what is behind no event; `Error::EventsGone` where some that came behind it are not kept
    /// any more.
    pub async fn page(
        &self,
        permit: &Permit,
        since: &EventsSince,
        prefix: &str,
        limit: usize,
    ) -> Result<EventPage, Error> {
        let permit = &permit.looking_below(prefix);
        permit.check(Action::SecretGet, Resource::Below(""))?;
        permit.check_beside(Action::SecretList, Resource::Below(""))?;
        let keys = self.scope.keys(permit).await?;
        let mut page = self.found(permit, &keys, since, prefix, limit).await?;
        if self.scope.is_judged() {
            // Each by itself, as each tells of a secret.
            let paths = page.events.iter().map(|told| told.event.path.parse::<SecretPath>());
            let paths: Vec<_> = paths.collect();
            let asked = paths.iter().zip(&page.events).map(|(path, told)| match path {
                Ok(path) => (Action::SecretGet, Resource::Secret(path)),
                Err(_) => (Action::SecretGet, Resource::Below(&told.event.path)),
            });
            let said = self.scope.sift(permit, &keys, &asked.collect::<Vec<_>>()).await?;
            let mut said = said.into_iter();
            page.events.retain(|_| said.next().is_some_and(|said| said.is_ok()));
        }
        Ok(page)
    }

    /// The events of a page that policies let the permit see.
    async fn found(
        &self,
        permit: &Permit,
        keys: &DomainKeys,
        since: &EventsSince,
        prefix: &str,
        limit: usize,
    ) -> Result<EventPage, Error> {
        let id = keys.id();
        let snapshot = self.scope.engine().snapshot().await?;
        let behind = Behind::of(since, &*snapshot, keys).await?;
        let (mut from, to) = event::from(id, behind.revision);
        let (mut events, mut looked_at) = (Vec::new(), 0);
        loop {
            let page = snapshot.scan(event::SPACE, &from, &to, AT_ONCE).await?;
            looked_at += page.len();
            let is_last = page.len() < AT_ONCE;
            for (key, record) in page {
                let Some((_, revision)) = event::parse(&key) else { continue };
                from = [key.as_slice(), &[0]].concat();
                let opened = opened(keys, &record.bytes);
                let all = or_damaged(keys, opened)?.unwrap_or_default();
                for (event, told) in all.into_iter().zip(1_u16..) {
                    if revision == behind.revision && told <= behind.told {
                        continue;
                    }
                    if !event.path.starts_with(prefix) || !is_seen(permit, &event) {
                        continue;
                    }
                    if events.len() == limit
                        && let Some(next) = events.last().map(|last: &ToldEvent| last.id.clone())
                    {
                        return Ok(EventPage { events, next, has_more: true });
                    }
                    let id = Behind { revision, told }.seal(keys)?;
                    events.push(ToldEvent { id, event });
                }
                if looked_at >= LOOKED_AT && !is_last {
                    let next = Behind::all_of(revision);
                    return Ok(EventPage { events, next: next.seal(keys)?, has_more: true });
                }
            }
            if is_last {
                let next = Behind::all_of(snapshot.revision()).seal(keys)?;
                return Ok(EventPage { events, next, has_more: false });
            }
            tokio::task::yield_now().await;
        }
    }

    /// Follows the events of secrets whose paths begin with `prefix`.
    ///
    /// # Errors
    /// As [`Self::page`].
    pub async fn follow(
        &self,
        permit: &Permit,
        since: &EventsSince,
        prefix: String,
    ) -> Result<EventFeed, Error> {
        let permit = &permit.looking_below(&prefix);
        permit.check(Action::SecretGet, Resource::Below(""))?;
        permit.check_beside(Action::SecretList, Resource::Below(""))?;
        // Before it is looked what there is: what comes meanwhile is told.
        let news = self.listen(permit.okms_id());
        let keys = self.scope.keys(permit).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        let behind = Behind::of(since, &*snapshot, &keys).await?.seal(&keys)?;
        Ok(EventFeed { news, behind, prefix })
    }

    /// What a feed has more, at most so many; the permit is the one of that moment.
    ///
    /// # Errors
    /// As [`Self::page`].
    pub async fn next(
        &self,
        permit: &Permit,
        feed: &mut EventFeed,
        limit: usize,
    ) -> Result<EventPage, Error> {
        if feed.news.has_changed().is_err() {
            feed.news = self.listen(permit.okms_id());
        }
        feed.news.mark_unchanged();
        let since = EventsSince::Behind(feed.behind.clone());
        let page = self.page(permit, &since, &feed.prefix, limit).await?;
        feed.behind.clone_from(&page.next);
        if page.has_more {
            feed.news.mark_changed();
        }
        Ok(page)
    }

    /// Forgets the events of all domains that are older than `before`, but not more of each at once than a few
    /// thousand.
    ///
    /// # Errors
    /// `Error` where the store cannot be read or takes no change.
    pub async fn sweep(&self, before: Timestamp) -> Result<(), Error> {
        let mut from = Vec::new();
        loop {
            let snapshot = self.scope.engine().snapshot().await?;
            let to = [u8::MAX; 17];
            let first = snapshot.keys(event::SPACE, &from, &to, None, 1).await?;
            let Some((id, _)) = first.first().and_then(|key| event::parse(key)) else {
                return Ok(());
            };
            from = event::behind(id);
            let keys = self.scope.keys_of(id).await?;
            if let Some(last) = oldest(&*snapshot, &keys, before).await? {
                let ops = event::forget(id, last).to_vec();
                self.scope.engine().commit(Batch::of(ops)).await?;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Tells whoever waits of what is stored, by this process or another one, for good.
    pub async fn follow_store(&self) -> Infallible {
        follower::follow(self, self.begun).await
    }

    fn listen(&self, id: OkmsId) -> watch::Receiver<()> {
        let mut news = self.lock();
        news.retain(|_, told| told.receiver_count() > 0);
        news.entry(id).or_insert_with(|| watch::channel(()).0).subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OkmsId, watch::Sender<()>>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventFeed {
    /// Waits until there may be more. Whoever gives up waiting has missed nothing.
    pub async fn grows(&mut self) {
        // Whose news have ended begins anew with the next look.
        let _either = self.news.changed().await;
    }

    /// How to go on behind all that was told.
    #[must_use]
    pub fn behind(&self) -> &[u8] {
        &self.behind
    }
}

impl Follower for Events {
    const WHAT: &'static str = "events of domains";

    fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What was missed lies in the store: whoever waits looks there.
    async fn read_all(&self) -> Result<(), Error> {
        for told in self.lock().values() {
            told.send_replace(());
        }
        Ok(())
    }

    async fn read_again(&self, touched: &[Touched]) -> Result<(), Error> {
        let domains: Vec<_> = keys_in(touched, event::SPACE).filter_map(event::parse).collect();
        if domains.is_empty() {
            return Ok(());
        }
        let news = self.lock();
        for (id, _) in domains {
            if let Some(told) = news.get(&id) {
                told.send_replace(());
            }
        }
        Ok(())
    }
}

impl Behind {
    /// Behind all that a commit has done.
    const fn all_of(revision: Revision) -> Self {
        Self { revision, told: u16::MAX }
    }

    /// Where somebody begins or goes on.
    async fn of(
        since: &EventsSince,
        snapshot: &dyn Snapshot,
        keys: &DomainKeys,
    ) -> Result<Self, Error> {
        let newest = snapshot.revision();
        let cursor = match since {
            EventsSince::Now => return Ok(Self::all_of(newest)),
            EventsSince::First => return Ok(Self::all_of(floor(snapshot, keys.id()).await?)),
            EventsSince::Behind(cursor) => cursor,
        };
        let behind = Self::parse(keys, cursor)?;
        // What is to come is of another history of the store.
        if behind.revision < floor(snapshot, keys.id()).await? || behind.revision > newest {
            return Err(Error::EventsGone);
        }
        Ok(behind)
    }

    /// Sealed, as how much a whole region has stored is nobody's business.
    fn seal(self, keys: &DomainKeys) -> Result<Vec<u8>, Error> {
        let Self { revision, told } = self;
        let place = [revision.0.to_be_bytes().as_slice(), &told.to_be_bytes()].concat();
        cursor::seal(keys, Listing::Events, &place)
    }

    fn parse(keys: &DomainKeys, cursor: &[u8]) -> Result<Self, Error> {
        const FORGED: Invalid =
            Invalid("since is not what an answer has said; leave it out to begin now");
        let place = cursor::open(keys, Listing::Events, cursor).map_err(|_| FORGED)?;
        let (revision, told) = place.split_first_chunk().ok_or(FORGED)?;
        let told = told.try_into().map_err(|_| FORGED)?;
        Ok(Self {
            revision: Revision(u64::from_be_bytes(*revision)),
            told: u16::from_be_bytes(told),
        })
    }
}

/// Whether somebody may be told of an event.
fn is_seen(permit: &Permit, event: &SecretEvent) -> bool {
    match event.happening {
        Happening::FolderDestroyed => may_see(permit, Resource::Below(&event.path)),
        _ => event.path.parse().is_ok_and(|path| may_see(permit, Resource::Secret(&path))),
    }
}

fn opened(keys: &DomainKeys, bytes: &[u8]) -> Result<Vec<SecretEvent>, Error> {
    let binding = bind(event::SPACE, &event::prefix(keys.id()));
    Ok(event::decode(&keys.open(&binding, bytes)?)?)
}

/// Up to which revision a domain's events were forgotten.
async fn floor(snapshot: &dyn Snapshot, id: OkmsId) -> Result<Revision, Error> {
    let found = snapshot.get(event::SPACE, &event::floor_key(id)).await?;
    Ok(found.and_then(|record| event::floor(&record.bytes)).unwrap_or(Revision(0)))
}

/// The last of the first commits of a domain, all of which are older than `before`.
async fn oldest(
    snapshot: &dyn Snapshot,
    keys: &DomainKeys,
    before: Timestamp,
) -> Result<Option<Revision>, Error> {
    let (mut from, to) = event::from(keys.id(), Revision(1));
    let (mut last, mut looked_at) = (None, 0);
    loop {
        let page = snapshot.scan(event::SPACE, &from, &to, AT_ONCE).await?;
        looked_at += page.len();
        let is_last = page.len() < AT_ONCE || looked_at >= LOOKED_AT;
        for (key, record) in page {
            // Nobody knows when a damaged one was; it goes with those around it.
            let events = or_damaged(keys, opened(keys, &record.bytes))?.unwrap_or_default();
            if events.iter().any(|event| event.at >= before) {
                return Ok(last);
            }
            last = event::parse(&key).map(|(_, revision)| revision);
            from = [key.as_slice(), &[0]].concat();
        }
        if is_last {
            return Ok(last);
        }
        tokio::task::yield_now().await;
    }
}
