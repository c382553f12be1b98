//! The one way of changing what is stored: read, decide, commit, and again where somebody was
//! faster.
//!
//! Always holds: what a decision stands on, a unit holds: it commits only if that is still as it
//! was read. Writers of one name take turns, so that one process does not overtake itself. Never
//! does: waiting between reading and deciding.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Error,
    announced::{Announced, Committed},
    changes::ChangeName,
    records::{Draft, Reader},
    scope::Scope,
    tries::Tries,
};
use crate::{
    auth::Permit,
    crypto::DomainKeys,
    model::DomainConfig,
    store::{
        engine::{Expect, Record, Space},
        kinds::Kind,
    },
};

/// What a decision stands on.
pub(super) trait Basis: Sync {
    /// What it tells the decision.
    type Facts: Send;

    /// Reads it, and holds what the decision stands on.
    fn read(
        &self,
        reader: &UnitReader<'_>,
    ) -> impl Future<Output = Result<Self::Facts, Error>> + Send;
}

/// A snapshot that a unit reads, and what it holds of it.
pub(super) struct UnitReader<'a> {
    pub records: Reader<'a>,
    pub scope: &'a Scope,
    held: Mutex<Vec<(Space, Vec<u8>, Expect)>>,
}

impl UnitReader<'_> {
    /// The record under `key`, which must be the same, or still be missing, when the unit commits.
    pub(super) async fn hold(&self, space: Space, key: Vec<u8>) -> Result<Option<Record>, Error> {
        let record = self.records.snapshot.get(space, &key).await?;
        self.holds(
            space,
            key,
            record.as_ref().map_or(Expect::Absent, |record| Expect::At(record.revision)),
        );
        Ok(record)
    }

    /// The tenant's defaults and mounts, held.
    pub(super) async fn config(&self) -> Result<Arc<DomainConfig>, Error> {
        let (config, revision) =
            self.scope.config_at(self.records.snapshot, self.records.keys).await?;
        let key = DomainConfig::key(self.records.keys.id(), ());
        self.holds(DomainConfig::SPACE, key, revision.map_or(Expect::Absent, Expect::At));
        Ok(config)
    }

    /// Holds a record that was read already.
    pub(super) fn holds(&self, space: Space, key: Vec<u8>, expect: Expect) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push((space, key, expect));
    }
}

/// One record, for a change that stands on that alone.
pub(super) struct OneRecord(pub Space, pub Vec<u8>);

impl OneRecord {
    /// The record of this kind and name.
    pub(super) fn of<K: Kind>(keys: &DomainKeys, name: K::Name<'_>) -> Self {
        Self(K::SPACE, K::key(keys.id(), name))
    }
}

impl Basis for OneRecord {
    type Facts = Option<Record>;

    async fn read(&self, reader: &UnitReader<'_>) -> Result<Self::Facts, Error> {
        reader.hold(self.0, self.1.clone()).await
    }
}

/// A change, by name: what it is called in metrics, whose turns it takes, and by whose permit it is made.
#[derive(Clone, Copy)]
pub(super) struct Change<'a> {
    pub name: ChangeName,
    pub turns: &'a [&'a str],
    /// None where the server keeps its own house.
    pub by: Option<&'a Permit>,
}

impl Scope {
    /// Reads, lets `decide` draft what to do, and commits that; nothing where nothing was drafted.
    /// `decide` is asked again where another process was faster.
    ///
    /// # Errors
    /// `Error::Contended` where others were faster too often; what reading and deciding say.
    pub(super) async fn unit<B: Basis, T: Send>(
        &self,
        change: Change<'_>,
        keys: &DomainKeys,
        basis: B,
        decide: impl Fn(B::Facts, &mut Draft<'_>) -> Result<T, Error> + Send + Sync,
    ) -> Result<T, Error> {
        self.unit_or(change, keys, basis, decide).await
    }

    /// The same of a decision that has more to say than use cases have.
    ///
    /// # Errors
    /// What deciding says, too.
    pub(super) async fn unit_or<B: Basis, T: Send, E: From<Error>>(
        &self,
        change: Change<'_>,
        keys: &DomainKeys,
        basis: B,
        decide: impl Fn(B::Facts, &mut Draft<'_>) -> Result<T, E> + Send + Sync,
    ) -> Result<T, E> {
        let _turns = self.turns().take(keys.id(), change.turns).await?;
        let witness = change.by.and_then(Permit::witness);
        let mut announced = Announced::new(change.name, witness);
        let mut tries = Tries::new();
        while tries.next().await {
            let snapshot = self.engine().snapshot().await.map_err(Error::from)?;
            let records = Reader { snapshot: &*snapshot, keys };
            let reader = UnitReader { records, scope: self, held: Mutex::default() };
            let facts = basis.read(&reader).await?;
            let held = reader.held.into_inner().unwrap_or_else(PoisonError::into_inner);
            let mut draft = Draft::new(keys, (change.name, witness), held);
            let outcome = decide(facts, &mut draft)?;
            if draft.is_empty() {
                return Ok(outcome);
            }
            // What deciding has asked for was asked for before there were keys, too.
            if change.by.is_some_and(Permit::is_open) {
                return Err(Error::Unjudged.into());
            }
            if announced.commit(self, draft.into_batch()?).await? == Committed::Stored {
                return Ok(outcome);
            }
        }
        Err(Error::Contended.into())
    }
}
