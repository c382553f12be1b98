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

use super::stored::{Made, all_sealed};
use crate::{
    auth::{
        AccessDirectory, Policy, Rule, Written, WrittenUser,
        acl::{self, Mounts},
    },
    crypto::DomainKeys,
    fair::Turns,
    model::{CertRule, OkmsId, User, VaultPolicy},
    service::{
        Error,
        follower::{self, Follower},
        keyring::open_record,
        records::keys_of,
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
    /// Those that were read.
    read: BTreeMap<OkmsId, AsRead>,
    /// Those that could not be read.
    behind: BTreeMap<OkmsId, Behind>,
}

/// How a tenant was read last.
struct AsRead {
    /// As of which revision, at least.
    at: Revision,
    known: Arc<Known>,
}

/// What was made of a tenant's records: of those that are as they were it is not made again.
#[derive(Default)]
struct Known {
    policies: Made<Arc<Policy>>,
    in_vault: Made<(Arc<str>, Arc<acl::Policy>)>,
    rules: Made<Arc<Rule>>,
    users: Made<(Arc<str>, Arc<WrittenUser>)>,
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
        self.with(|tenants| tenants.read.remove(&id));
        self.bring_up(id).await;
    }

    /// Tells the directory what the store has of a tenant, as of now or later.
    pub(super) async fn bring_up(&self, id: OkmsId) {
        let wanted = self.scope.engine().revision();
        let _turn = self.turns.turn(id).await;
        // Whoever had the turn before has read what this one waited to read.
        if self.with(|tenants| tenants.read.get(&id).is_some_and(|read| read.at >= wanted)) {
            return;
        }
        let at = self.scope.engine().revision();
        match self.read(id).await {
            Ok(known) => self.with(|tenants| {
                tenants.read.insert(id, AsRead { at, known: Arc::new(known) });
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
                    tenants.read.remove(&id);
                    let before = tenants.behind.get(&id).map_or(1, |behind| behind.pause);
                    let pause = (before * 2).min(TICKS_MAX);
                    tenants.behind.insert(id, Behind { left: pause, pause });
                });
            }
        }
    }

    async fn read(&self, id: OkmsId) -> Result<Known, Error> {
        let before = self.with(|tenants| tenants.read.get(&id).map(|read| Arc::clone(&read.known)));
        let snapshot = self.scope.engine().snapshot().await?;
        let keys = self.keys(&*snapshot, id).await?;
        let policies = all_sealed(&*snapshot, policy::SPACE, policy::iam(id)).await?;
        let in_vault = all_sealed(&*snapshot, policy::SPACE, vault_policy::all(id)).await?;
        let rules = all_sealed(&*snapshot, rule::SPACE, rule::all(id)).await?;
        let users = all_sealed(&*snapshot, user::SPACE, user::all(id)).await?;
        let (config, _) = self.scope.config_at(&*snapshot, &keys).await?;
        let directory = Arc::clone(&self.directory);
        let built = tokio::task::spawn_blocking(move || {
            let before = before.unwrap_or_default();
            // Of what is damaged each is told, before the domain is closed for it.
            let policies = before
                .policies
                .again(&keys, policies, |_, policy| Ok(Policy::new(policy).into()))?;
            let in_vault = before.in_vault.again(&keys, in_vault, in_vault_of)?;
            let rules = before.rules.again(&keys, rules, rule_of)?;
            // A user that is damaged may do nothing, and shuts out nobody else: what it denied, it denied itself.
            let users = before.users.again(&keys, users, user_of)?;
            let known = Known {
                policies: policies.whole()?,
                in_vault: in_vault.whole()?,
                rules: rules.whole()?,
                users,
            };
            let written = Written {
                rules: known.rules.all(),
                policies: known.policies.all(),
                in_vault: known.in_vault.all(),
                mounts: Mounts::of(&config),
                users: known.users.all(),
            };
            directory.replace(id, &written);
            Ok(known)
        });
        built.await.map_err(|error| Error::Unavailable(error.into()))?
    }

    /// Adds the tenants that have mounts and are not among these: what is shown by a mount is known of all.
    /// Nothing is made of those that have a config without any, as there may be many.
    async fn add_those_with_mounts(
        &self,
        snapshot: &dyn Snapshot,
        ids: &mut BTreeSet<OkmsId>,
    ) -> Result<(), Error> {
        let everywhere = (Vec::new(), vec![0xff; 17]);
        for key in keys_of(snapshot, config::SPACE, everywhere).await? {
            let id = key.first_chunk::<16>().and_then(|id| OkmsId::from_bytes(*id).ok());
            if let Some(id) = id.filter(|id| !ids.contains(id))
                // What cannot be read is told, and closed, by whoever brings it up.
                && self.has_mounts(snapshot, id).await.unwrap_or(true)
            {
                ids.insert(id);
            }
        }
        Ok(())
    }

    /// Whether something was made of what a tenant has.
    #[cfg(test)]
    pub(super) fn is_built(&self, id: OkmsId) -> bool {
        self.with(|tenants| tenants.read.contains_key(&id))
    }

    async fn has_mounts(&self, snapshot: &dyn Snapshot, id: OkmsId) -> Result<bool, Error> {
        let keys = self.keys(snapshot, id).await?;
        let (config, _) = self.scope.config_at(snapshot, &keys).await?;
        Ok(!config.mounts().is_empty())
    }

    async fn keys(&self, snapshot: &dyn Snapshot, id: OkmsId) -> Result<DomainKeys, Error> {
        let record = snapshot.get(tenant::SPACE, &tenant::key(id)).await?.ok_or(Malformed)?;
        let (keys, _) = open_record(self.scope.root(), id, &record)?;
        Ok(keys)
    }

    fn with<T>(&self, see: impl FnOnce(&mut Tenants) -> T) -> T {
        see(&mut self.tenants.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is made of a policy in Vault's language, by its name.
fn in_vault_of(key: &[u8], policy: &VaultPolicy) -> Result<(Arc<str>, Arc<acl::Policy>), Error> {
    let name = vault_policy::name(key).ok_or(Malformed)?;
    let policy = acl::Policy::kept(&policy.text).map_err(|fault| Error::Corrupt(fault.into()))?;
    Ok((name.into(), policy.into()))
}

fn rule_of(key: &[u8], rule: &CertRule) -> Result<Arc<Rule>, Error> {
    Ok(Rule::new(rule::name(key).ok_or(Malformed)?, rule).into())
}

/// What is made of a user, by its name, as far as it says who may do what.
fn user_of(key: &[u8], user: &User) -> Result<(Arc<str>, Arc<WrittenUser>), Error> {
    let name = user::name(key).ok_or(Malformed)?;
    let (policies, metadata) = (user.policies.clone(), user.metadata.clone());
    Ok((name.into(), WrittenUser { policies, metadata }.into()))
}

impl Follower for Current {
    const WHAT: &'static str = "policies";

    fn scope(&self) -> &Scope {
        &self.scope
    }

    async fn read_all(&self) -> Result<(), Error> {
        // All that those had that were known may be gone.
        let mut ids: BTreeSet<_> = self
            .with(|tenants| tenants.read.keys().chain(tenants.behind.keys()).copied().collect());
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
        self.add_those_with_mounts(&*snapshot, &mut ids).await?;
        drop(snapshot);
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
