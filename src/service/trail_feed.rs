//! A domain's view of the audit trail as it grows.
//!
//! Always holds: whoever goes on behind a record is told of all that came into the trail after it,
//! in its order, whenever their requests have begun: of one chain each once, and of several in the
//! order of their times. Never does: wait while it holds what a block takes of memory.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::sync::broadcast::{self, error::TryRecvError};

use super::{
    Error,
    aside::aside,
    records::{bind, keys_of},
    scope::Scope,
    trails::{REACH_NANOS, Trails, text_of},
};
use crate::{
    auth::{Action, Permit, Resource},
    model::{Invalid, OkmsId, Timestamp},
    store::kinds::audit_block::{self, Place},
};

/// What is said of an id that is none of ours.
const FORGED: Invalid = Invalid("Last-Event-ID is not one of this feed; connect again without it");

/// From where on a view is told.
#[derive(Clone, Debug)]
pub enum Since {
    /// What comes from now on.
    Now,
    /// The records that are of this moment or later.
    Moment(Timestamp),
    /// What comes behind a record: as [`Followed`] has said it of that.
    Behind(Vec<u8>),
}

/// A record, and how to go on behind it.
#[derive(Clone, Debug)]
pub struct Followed {
    /// For [`Since::Behind`].
    pub id: Vec<u8>,
    /// It, without a line feed.
    pub text: String,
}

/// A view that is being told.
pub struct TrailFeed {
    scope: Scope,
    id: OkmsId,
    news: broadcast::Receiver<Place>,
    /// Blocks that are to be told.
    waiting: VecDeque<Place>,
    /// Of each chain the number with which its last block begins, among those that were taken.
    taken: HashMap<[u8; 8], u64>,
    /// The block in which it begins, and how many of its records were told before.
    told: Option<(Place, u32)>,
}

impl Trails {
    /// Follows the view of the permit's tenant.
    ///
    /// # Errors
    /// `Error::Invalid` for what is behind no record.
    pub async fn follow(&self, permit: &Permit, since: Since) -> Result<TrailFeed, Error> {
        permit.check(Action::AuditGet, Resource::Tenant)?;
        let behind = match &since {
            Since::Behind(id) => Some(parse(id)?),
            Since::Now | Since::Moment(_) => None,
        };
        let (id, _) = (permit.okms_id(), self.scope.keys(permit).await?);
        // Before it is looked what there is: what comes meanwhile is told.
        let mut feed = TrailFeed {
            scope: self.scope.clone(),
            id,
            news: self.watch.listen(id),
            waiting: VecDeque::new(),
            taken: HashMap::new(),
            told: behind.map(|(place, line)| (place, line.saturating_add(1))),
        };
        let from = match (since, behind) {
            (Since::Moment(from), _) => from,
            (_, Some((place, _))) => {
                feed.taken.insert(place.chain(), place.seq().saturating_sub(1));
                place.time()
            }
            _ => return Ok(feed),
        };
        // A request that began before may have ended after.
        let reach = Timestamp::from_unix_nanos(from.unix_nanos().saturating_sub(REACH_NANOS));
        let range = (audit_block::between(id, reach, reach).0, audit_block::all(id).1);
        let _turn = self.scope.long_reads().turn(id).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        let all = keys_of(&*snapshot, audit_block::SPACE, range).await?;
        let all = all.iter().filter_map(|key| Place::of(key));
        for place in in_order(all.filter(|place| !is_before(*place, behind))) {
            feed.take(place);
        }
        Ok(feed)
    }
}

impl TrailFeed {
    /// Waits until there is more. Whoever gives up waiting has missed nothing.
    ///
    /// # Errors
    /// `Error::Overloaded` where so much has come meanwhile that some of it is not known any more.
    pub async fn grows(&mut self) -> Result<(), Error> {
        while self.waiting.is_empty() {
            let place = self.news.recv().await.map_err(|_| Error::Overloaded)?;
            self.take(place);
        }
        Ok(())
    }

    /// Those records of the next block that `takes` takes; none where there is no more yet. The
    /// permit is the one of that moment.
    ///
    /// # Errors
    /// As [`Self::grows`]; `Error` where it may not be seen any more, or not be read.
    pub async fn next(
        &mut self,
        permit: &Permit,
        takes: impl Fn(&str) -> bool + Send,
    ) -> Result<Option<Vec<Followed>>, Error> {
        permit.check(Action::AuditGet, Resource::Tenant)?;
        loop {
            match self.news.try_recv() {
                Ok(place) => self.take(place),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Closed | TryRecvError::Lagged(_)) => {
                    return Err(Error::Overloaded);
                }
            }
        }
        let Some(place) = self.waiting.pop_front().filter(|_| permit.okms_id() == self.id) else {
            return Ok(None);
        };
        let skipped = match self.told {
            Some((first, told)) if first == place => told,
            _ => 0,
        };
        let keys = self.scope.keys(permit).await?;
        let key = place.key(self.id);
        let Some(record) = self.scope.engine().get(audit_block::SPACE, &key).await? else {
            // It was too old, or too much.
            return Ok(Some(Vec::new()));
        };
        let length = record.bytes.len();
        let text = aside(length, || keys.open(&bind(audit_block::SPACE, &key), &record.bytes))?;
        let text = text_of(&text)?;
        let found = aside(length, || {
            let lines = (0_u32..).zip(text.lines()).skip(skipped as usize);
            let taken = lines.filter(|(_, line)| takes(line));
            let told = |(line, text): (u32, &str)| Followed {
                id: [place.as_bytes().as_slice(), &line.to_be_bytes()].concat(),
                text: text.to_owned(),
            };
            taken.map(told).collect()
        });
        Ok(Some(found))
    }

    /// Takes a block, if it was not taken before.
    fn take(&mut self, place: Place) {
        let is_new = self.taken.get(&place.chain()).is_none_or(|last| *last < place.seq());
        if is_new {
            self.taken.insert(place.chain(), place.seq());
            self.waiting.push_back(place);
        }
    }
}

/// Whether all of a block was told before that record was, or comes before it.
fn is_before(place: Place, behind: Option<(Place, u32)>) -> bool {
    behind.is_some_and(|(told, _)| {
        if place.chain() == told.chain() {
            place.seq() < told.seq()
        } else {
            place.time() < told.time()
        }
    })
}

/// The blocks of each chain by their numbers; the chains as they have begun.
fn in_order(all: impl Iterator<Item = Place>) -> impl Iterator<Item = Place> {
    let mut chains: BTreeMap<[u8; 8], Vec<Place>> = BTreeMap::new();
    for place in all {
        chains.entry(place.chain()).or_default().push(place);
    }
    let mut chains: Vec<_> = chains.into_values().collect();
    for chain in &mut chains {
        chain.sort_unstable_by_key(Place::seq);
    }
    chains.sort_by_key(|chain| chain.first().map(Place::time));
    chains.into_iter().flatten()
}

fn parse(id: &[u8]) -> Result<(Place, u32), Error> {
    let (place, line) = id.split_last_chunk::<4>().ok_or(FORGED)?;
    let place = place.try_into().map_err(|_| FORGED)?;
    Ok((Place::from_bytes(place), u32::from_be_bytes(*line)))
}
