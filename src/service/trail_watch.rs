//! Who is told when a domain's view of the audit trail grows.
//!
//! Always holds: what is told is stored; whoever does not listen in time is told that, and nothing
//! grows meanwhile. Never does: read what is in a record.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::broadcast;

use super::{
    Error,
    follower::{self, Follower, keys_in},
    scope::Scope,
};
use crate::{
    model::OkmsId,
    store::{
        engine::{Revision, Touched},
        kinds::audit_block::{self, Place},
    },
};

/// So many blocks may wait for one who listens.
const WAITING: usize = 256;

/// Those who listen, by domain.
pub(super) struct Watch {
    scope: Scope,
    begun: Revision,
    by_domain: Mutex<HashMap<OkmsId, broadcast::Sender<Place>>>,
}

impl Watch {
    pub(super) fn new(scope: Scope) -> Self {
        let begun = scope.engine().revision();
        Self { scope, begun, by_domain: Mutex::default() }
    }

    /// From here on, the domain's new blocks.
    pub(super) fn listen(&self, id: OkmsId) -> broadcast::Receiver<Place> {
        let mut by_domain = self.lock();
        by_domain.retain(|_, told| told.receiver_count() > 0);
        by_domain.entry(id).or_insert_with(|| broadcast::channel(WAITING).0).subscribe()
    }

    /// Tells of what is stored, by this process or another one, for good.
    pub(super) async fn follow(&self) -> Infallible {
        follower::follow(self, self.begun).await
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OkmsId, broadcast::Sender<Place>>> {
        self.by_domain.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower for Watch {
    const WHAT: &'static str = "domains' views of the audit trail";

    fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What was missed is not known: whoever listens begins anew.
    async fn read_all(&self) -> Result<(), Error> {
        self.lock().clear();
        Ok(())
    }

    async fn read_again(&self, touched: &[Touched]) -> Result<(), Error> {
        let mut blocks: Vec<_> = keys_in(touched, audit_block::SPACE)
            .filter_map(|key| Some((audit_block::tenant(key)?, Place::of(key)?)))
            .collect();
        if blocks.is_empty() {
            return Ok(());
        }
        blocks.sort_unstable_by_key(|(_, place)| place.seq());
        let by_domain = self.lock();
        for (id, place) in blocks {
            if let Some(told) = by_domain.get(&id) {
                let _nobody_listens_any_more = told.send(place);
            }
        }
        Ok(())
    }
}
