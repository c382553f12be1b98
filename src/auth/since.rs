//! What becomes of a permit while its holder waits for somebody else's word.
//!
//! Always holds: what it has allowed before is known for as long as it may have to be asked again; of policies that
//! came since, the last ones count, for all parts of a request. Never does: decide.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwapOption;

use super::action::{Action, Resource};
use crate::model::SecretPath;

/// What has come of a permit that goes by `P`, since it was given.
pub(super) struct Since<P> {
    allowed: Arc<Mutex<Vec<Allowed>>>,
    policy: Arc<ArcSwapOption<P>>,
}

/// Something that was allowed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Allowed {
    pub(super) action: Action,
    place: Place,
    /// Whether it was asked beside that for which the request's address stands.
    pub(super) is_beside: bool,
}

#[derive(Clone, PartialEq, Eq)]
enum Place {
    Tenant,
    Secret(SecretPath),
    Below(Box<str>),
    AllBelow(Box<str>),
}

impl Allowed {
    /// What it was done to.
    pub(super) fn resource(&self) -> Resource<'_> {
        match &self.place {
            Place::Tenant => Resource::Tenant,
            Place::Secret(path) => Resource::Secret(path),
            Place::Below(prefix) => Resource::Below(prefix),
            Place::AllBelow(prefix) => Resource::AllBelow(prefix),
        }
    }
}

impl<P> Since<P> {
    /// That of a permit that was just given.
    pub(super) fn new() -> Self {
        Self { allowed: Arc::default(), policy: Arc::default() }
    }

    /// The same for a part of the request that is done, or fails, by itself.
    pub(super) fn apart(&self) -> Self {
        Self { allowed: Arc::default(), policy: Arc::clone(&self.policy) }
    }

    /// This was allowed.
    pub(super) fn allows(&self, action: Action, resource: Resource<'_>, is_beside: bool) {
        let place = match resource {
            Resource::Tenant => Place::Tenant,
            Resource::Secret(path) => Place::Secret(path.clone()),
            Resource::Below(prefix) => Place::Below(prefix.into()),
            Resource::AllBelow(prefix) => Place::AllBelow(prefix.into()),
        };
        let allowed = Allowed { action, place, is_beside };
        let mut known = self.known();
        // What is asked twice is asked one after the other.
        if known.last() != Some(&allowed) {
            known.push(allowed);
        }
    }

    /// All that was.
    pub(super) fn allowed(&self) -> Vec<Allowed> {
        self.known().clone()
    }

    /// The policies that have come since, where others have.
    pub(super) fn policy(&self) -> Option<Arc<P>> {
        self.policy.load_full()
    }

    /// It goes by these from now on.
    pub(super) fn goes_by(&self, policy: P) {
        self.policy.store(Some(Arc::new(policy)));
    }

    fn known(&self) -> MutexGuard<'_, Vec<Allowed>> {
        // Every change is one call, so a poisoned lock loses nothing.
        self.allowed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> Clone for Since<P> {
    fn clone(&self) -> Self {
        Self { allowed: Arc::clone(&self.allowed), policy: Arc::clone(&self.policy) }
    }
}

/// Names of secrets are sensitive.
impl<P> fmt::Debug for Since<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Since")
            .field("has_others", &self.policy().is_some())
            .finish_non_exhaustive()
    }
}
