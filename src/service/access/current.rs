//! The directory that requests are judged by, kept as the store is.
//!
//! Always holds: it never goes back; a tenant that cannot be read is closed to all but operators,
//! since what is denied there is not known, and tried again, while the others go on; whoever has
//! changed something waits until it counts, or the tenant is closed. One tenant at a time is built
//! by one, aside of the threads that serve. Never does: change what is stored.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::stored::{Found, all, read_policies, users};
use crate::{
    auth::{AccessDirectory, Written, acl::Mounts},
    fair::Turns,
    model::{CertRule, IamPolicy, OkmsId, VaultPolicy},
    service::{
        Error,
        follower::{self, Follower},
        keyring::open_record,
        scope::Scope,
        turns::one_by_one,
    },
    store::{
        engine::{Revision, Snapshot, Touched},
        kinds::{Malformed, config, policy, rule, tenant, user, vault_policy},
    },
};

/// How often tenants that could not be read are looked at.
const TICK: Duration = Duration::from_millis(200);
/// After so many ticks at the most one is tried again.
const TICKS_MAX: u32 = 3_000;

/// The directory, and how far it is.
pub(super) struct Current {
    scope: Scope,
    pub(super) directory: Arc<AccessDirectory>,
    /// Held by whoever brings a tenant up to date.
    turns: Arc<Turns<OkmsId>>,
    tenants: Mutex<Tenants>,
}

#[derive(Default)]
struct Tenants {
    /// As of which revision, at least, a tenant was read.
    read_at: BTreeMap<OkmsId, Revision>,
    /// Those that could not be read.
    behind: BTreeMap<OkmsId, Behind>,
}

/// When a tenant that could not be read is tried again, in ticks.
#[derive(Clone, Copy)]
struct Behind {
    left: u32,
    pause: u32,
}

impl Current {
    pub(super) fn new(scope: Scope, directory: Arc<AccessDirectory>) -> Self {
        Self { scope, directory, turns: one_by_one(), tenants: Mutex::default() }
    }

    /// Follows the store after a revision, for good.
    pub(super) async fn follow(&self, after: Revision) -> Infallible {
        let (never, _) = tokio::join!(follower::follow(self, after), self.catch_up());
        never
    }

    /// Tries those again, from time to time, that could not be read.
    async fn catch_up(&self) -> Infallible {
        loop {
            tokio::time::sleep(TICK).await;
            let due: Vec<_> = {
                let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
                let counted = tenants.behind.iter_mut().map(|(id, behind)| {
                    behind.left = behind.left.saturating_sub(1);
                    (*id, behind.left)
                });
                counted.filter(|(_, left)| *left == 0).map(|(id, _)| id).collect()
            };
            for id in due {
                self.bring_up(id).await;
            }
        }
    }

    /// Brings a tenant up to date after a change that may have happened, and may not: whatever was
    /// known of it counts no more.
    pub(super) async fn bring_up_anew(&self, id: OkmsId) {
        self.with(|tenants| tenants.read_at.remove(&id));
        self.bring_up(id).await;
    }

    /// Tells the directory what the store has of a tenant, as of now or later.
    pub(super) async fn bring_up(&self, id: OkmsId) {
        let wanted = self.scope.engine().revision();
        let _turn = self.turns.turn(id).await;
        // Whoever had the turn before has read what this one waited to read.
        if self.with(|tenants| tenants.read_at.get(&id).is_some_and(|at| *at >= wanted)) {
            return;
        }
        let at = self.scope.engine().revision();
        match self.read(id).await {
            Ok(()) => self.with(|tenants| {
                tenants.read_at.insert(id, at);
                tenants.behind.remove(&id);
            }),
            Err(error) => {
                self.directory.close(id);
                tracing::error!(
                    domain = %id,
                    error = &error as &dyn std::error::Error,
                    "policies or rules cannot be read: operators alone may act in the domain"
                );
                self.with(|tenants| {
                    tenants.read_at.remove(&id);
                    let before = tenants.behind.get(&id).map_or(1, |behind| behind.pause);
                    let pause = (before * 2).min(TICKS_MAX);
                    tenants.behind.insert(id, Behind { left: pause, pause });
                });
            }
        }
    }

    async fn read(&self, id: OkmsId) -> Result<(), Error> {
        let snapshot = self.scope.engine().snapshot().await?;
        let record = snapshot.get(tenant::SPACE, &tenant::key(id)).await?.ok_or(Malformed)?;
        let (keys, _) = open_record(self.scope.root(), id, &record)?;
        // Of what is damaged each is told.
        let policies = all::<IamPolicy>(&*snapshot, &keys, policy::iam(id)).await?;
        let in_vault = all::<VaultPolicy>(&*snapshot, &keys, vault_policy::all(id)).await?;
        let rules = all::<CertRule>(&*snapshot, &keys, rule::all(id)).await?;
        let users = users(&*snapshot, &keys).await?;
        let (config, _) = self.scope.config_at(&*snapshot, &keys).await?;
        let directory = Arc::clone(&self.directory);
        let built = tokio::task::spawn_blocking(move || {
            let policies = whole(policies)?;
            let written = Written {
                rules: named(whole(rules)?, rule::name)?,
                policies: policies.into_iter().map(|(_, policy)| policy).collect(),
                in_vault: read_policies(named(whole(in_vault)?, vault_policy::name)?)?,
                mounts: Mounts::of(&config),
                users,
            };
            directory.replace(id, &written);
            Ok(())
        });
        built.await.map_err(|error| Error::Unavailable(error.into()))?
    }

    fn with<T>(&self, see: impl FnOnce(&mut Tenants) -> T) -> T {
        see(&mut self.tenants.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// All records, if none of them is damaged.
fn whole<K>(found: Vec<Found<K>>) -> Result<Vec<(Vec<u8>, K)>, Error> {
    found.into_iter().map(|(key, record)| Ok((key, record.ok_or(Malformed)?))).collect()
}

fn named<K>(
    found: Vec<(Vec<u8>, K)>,
    name: fn(&[u8]) -> Option<&str>,
) -> Result<Vec<(String, K)>, Error> {
    let named = found
        .into_iter()
        .map(|(key, record)| Ok((name(&key).ok_or(Malformed)?.to_owned(), record)));
    named.collect()
}

impl Follower for Current {
    const WHAT: &'static str = "policies";

    fn scope(&self) -> &Scope {
        &self.scope
    }

    async fn read_all(&self) -> Result<(), Error> {
        // All that those had that were known may be gone.
        let mut ids: BTreeSet<_> = self
            .with(|tenants| tenants.read_at.keys().chain(tenants.behind.keys()).copied().collect());
        let snapshot = self.scope.engine().snapshot().await?;
        let mut from = Vec::new();
        while let Some(key) = first(&*snapshot, &from).await? {
            let id = key.first_chunk::<16>().and_then(|id| OkmsId::from_bytes(*id).ok());
            let Some(id) = id else {
                tracing::error!(
                    "a policy or rule lies under a key of no domain; it is passed over"
                );
                from = [key.as_slice(), &[0]].concat();
                continue;
            };
            ids.insert(id);
            from = [id.as_bytes().as_slice(), &[0xff; 256]].concat();
        }
        for id in ids {
            self.bring_up_anew(id).await;
        }
        Ok(())
    }

    async fn read_again(&self, touched: &[Touched]) -> Result<(), Error> {
        let tenants: BTreeSet<_> = touched.iter().filter_map(tenant_of).collect();
        for id in tenants {
            self.bring_up(id).await;
        }
        Ok(())
    }
}

/// The tenant whose policies, rules or users a change is about.
fn tenant_of(touched: &Touched) -> Option<OkmsId> {
    let (Touched::Put(space, key)
    | Touched::Deleted(space, key)
    | Touched::DeletedRange(space, key, _)) = touched;
    // Mounts are how policies in Vault's language speak of secrets.
    if ![policy::SPACE, rule::SPACE, user::SPACE, config::SPACE].contains(space) {
        return None;
    }
    OkmsId::from_bytes(*key.first_chunk()?).ok()
}

/// The first key of a policy, a rule or a user from one on.
async fn first(snapshot: &dyn Snapshot, from: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let mut first: Option<Vec<u8>> = None;
    for space in [policy::SPACE, rule::SPACE, user::SPACE] {
        let found = snapshot.keys(space, from, &[0xff; 300], None, 1).await?.pop();
        if let Some(key) = found
            && first.as_ref().is_none_or(|first| key < *first)
        {
            first = Some(key);
        }
    }
    Ok(first)
}
