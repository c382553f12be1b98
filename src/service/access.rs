//! Policies and mapping rules of a tenant: kept, changed, and told to the directory that requests
//! are judged by.
//!
//! Always holds: a change counts for every request that begins after it was answered, on whatever
//! connection, and soon after in every other process over the same store; a tenant with a record that cannot be read lets nobody in but operators, as what it
//! denies is not known. Never does: decide.

mod stored;
mod vault;

use std::{collections::BTreeSet, convert::Infallible, sync::Arc};

use tokio::sync::Mutex;

use self::stored::{all, find, in_vault, some, users};
use super::{
    Error,
    changes::ChangeName,
    cursor::{self, Page},
    follower::{self, Follower},
    keyring::open_record,
    records::{id_by_time, open},
    scope::Scope,
    unit::{Change, OneRecord},
};
use crate::{
    auth::{AccessDirectory, Action, Permit, Resource, Written, acl::Mounts, names_an_action},
    crypto::DomainKeys,
    model::{
        BuiltIn, CertRule, IamPolicy, Invalid, OkmsId, Timestamp,
        policy::{DEFAULT_POLICY, name},
    },
    store::{
        engine::{Revision, Snapshot, Touched},
        kinds::{Kind, Malformed, config, policy, rule, tenant, user, vault_policy},
    },
};

/// The most policies of a tenant.
const POLICIES_MAX: usize = 2_000;
/// The most rules of a tenant.
const RULES_MAX: usize = 20_000;

/// A policy, and the id that it is found by.
pub type FoundPolicy = ([u8; 16], IamPolicy);

/// The use cases on policies and rules.
pub struct AccessControl {
    scope: Scope,
    directory: Arc<AccessDirectory>,
    /// Held by whoever brings the directory up to date, so that it never goes back.
    turn: Mutex<()>,
    /// The revision from which on it follows the store.
    begun: Revision,
}

impl AccessControl {
    /// The use cases, with every tenant's policies at hand. A certificate that no rule is about has
    /// `default`.
    pub(super) async fn open(scope: Scope, default: BuiltIn) -> Result<Self, Error> {
        let directory = Arc::new(AccessDirectory::new(default));
        let access = Self { scope, directory, turn: Mutex::new(()), begun: Revision(0) };
        let begun = follower::begin(&access).await?;
        Ok(Self { begun, ..access })
    }

    /// Follows the store: whatever another process has changed, and what this one has committed and
    /// could not read back at once. Never ends.
    pub async fn follow(&self) -> Infallible {
        follower::follow(self, self.begun).await
    }

    /// What requests are judged by.
    #[must_use]
    pub const fn directory(&self) -> &Arc<AccessDirectory> {
        &self.directory
    }

    /// Tells the directory what the store has of a tenant.
    pub(super) async fn bring_up(&self, id: OkmsId) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        let snapshot = self.scope.engine().snapshot().await?;
        let read = async {
            let record = snapshot.get(tenant::SPACE, &tenant::key(id)).await?;
            let (keys, _) = open_record(self.scope.root(), id, &record.ok_or(Malformed)?)?;
            let policies = all::<IamPolicy>(&*snapshot, &keys, policy::iam(id)).await?;
            let rules = all::<CertRule>(&*snapshot, &keys, rule::all(id)).await?;
            let rules = rules
                .into_iter()
                .map(|(key, rule)| Ok((rule::name(&key).ok_or(Malformed)?.to_owned(), rule)));
            let (config, _) = self.scope.config_at(&*snapshot, &keys).await?;
            Ok::<_, Error>(Written {
                rules: rules.collect::<Result<_, Error>>()?,
                policies: policies.into_iter().map(|(_, policy)| policy).collect(),
                in_vault: in_vault(&*snapshot, &keys).await?,
                mounts: Mounts::of(&config),
                users: users(&*snapshot, &keys).await?,
            })
        };
        match read.await {
            Ok(written) => self.directory.replace(id, &written),
            Err(error @ Error::Corrupt(_)) => {
                tracing::error!(
                    domain = %id,
                    error = &error as &dyn std::error::Error,
                    "a policy or rule is damaged: operators alone may act in the domain"
                );
                self.directory.close(id);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// A page of the policies, in the order in which they were made.
    ///
    /// # Errors
    /// `Error::Invalid` for a cursor that is not of this list.
    pub async fn policies(
        &self,
        permit: &Permit,
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<FoundPolicy>, Error> {
        permit.check(Action::PolicyGet, Resource::Tenant)?;
        self.page(permit, policy::iam, policy::iam_id, cursor, limit).await
    }

    /// A policy.
    ///
    /// # Errors
    /// `Error::PolicyNotFound`.
    pub async fn policy(&self, permit: &Permit, id: &[u8; 16]) -> Result<IamPolicy, Error> {
        permit.check(Action::PolicyGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        find(&self.scope, &keys, id).await?.ok_or(Error::PolicyNotFound)
    }

    /// Makes a policy, and tells its id.
    ///
    /// # Errors
    /// `Error::Invalid` where it breaks a rule, or its name is taken.
    pub async fn create_policy(
        &self,
        permit: &Permit,
        policy: IamPolicy,
        now: Timestamp,
    ) -> Result<FoundPolicy, Error> {
        permit.check(Action::PolicyEdit, Resource::Tenant)?;
        check_policy(&policy)?;
        let keys = self.scope.keys(permit).await?;
        self.is_free(&keys, &policy.name, None).await?;
        let id = id_by_time(now)?;
        let policy = IamPolicy { created_at: now, updated_at: now, ..policy };
        let change = Change { name: ChangeName::CreatePolicy, turns: &[""] };
        self.scope
            .unit(change, &keys, OneRecord::of::<IamPolicy>(&keys, &id), |_, draft| {
                draft.put(&id, &policy)
            })
            .await?;
        self.bring_up(keys.id()).await?;
        Ok((id, policy))
    }

    /// Puts a policy in the place of the one that is there.
    ///
    /// # Errors
    /// `Error::PolicyNotFound`; `Error::Invalid` where it breaks a rule, or its name is taken.
    pub async fn update_policy(
        &self,
        permit: &Permit,
        id: &[u8; 16],
        policy: IamPolicy,
        now: Timestamp,
    ) -> Result<IamPolicy, Error> {
        permit.check(Action::PolicyEdit, Resource::Tenant)?;
        check_policy(&policy)?;
        let keys = self.scope.keys(permit).await?;
        self.is_free(&keys, &policy.name, Some(id)).await?;
        let change = Change { name: ChangeName::UpdatePolicy, turns: &[""] };
        let basis = OneRecord::of::<IamPolicy>(&keys, id);
        let changed = self
            .scope
            .unit(change, &keys, basis, |found, draft| {
                let found = found.ok_or(Error::PolicyNotFound)?;
                let key = IamPolicy::key(keys.id(), id);
                let before: IamPolicy = open(&keys, &key, &found.bytes)?;
                let policy =
                    IamPolicy { created_at: before.created_at, updated_at: now, ..policy.clone() };
                draft.put(id, &policy)?;
                Ok(policy)
            })
            .await?;
        self.bring_up(keys.id()).await?;
        Ok(changed)
    }

    /// Removes a policy. One that is damaged can be removed, too.
    ///
    /// # Errors
    /// `Error::PolicyNotFound`.
    pub async fn delete_policy(&self, permit: &Permit, id: &[u8; 16]) -> Result<(), Error> {
        permit.check(Action::PolicyEdit, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        self.remove::<IamPolicy>(&keys, ChangeName::DeletePolicy, id, Error::PolicyNotFound).await
    }

    /// A page of the rules, by name.
    ///
    /// # Errors
    /// `Error::Invalid` for a cursor that is not of this list.
    pub async fn rules(
        &self,
        permit: &Permit,
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<(String, CertRule)>, Error> {
        permit.check(Action::PolicyGet, Resource::Tenant)?;
        self.page(permit, rule::all, |key| rule::name(key).map(str::to_owned), cursor, limit).await
    }

    /// A rule.
    ///
    /// # Errors
    /// `Error::RuleNotFound`.
    pub async fn rule(&self, permit: &Permit, name: &str) -> Result<CertRule, Error> {
        permit.check(Action::PolicyGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        find(&self.scope, &keys, name).await?.ok_or(Error::RuleNotFound)
    }

    /// Makes a rule, or puts it in the place of the one that is there.
    ///
    /// # Errors
    /// `Error::Invalid` where it breaks a rule.
    pub async fn put_rule(
        &self,
        permit: &Permit,
        name_of_rule: &str,
        rule: &CertRule,
    ) -> Result<(), Error> {
        permit.check(Action::PolicyEdit, Resource::Tenant)?;
        name(name_of_rule)?;
        rule.check()?;
        let keys = self.scope.keys(permit).await?;
        if self.directory.rules(keys.id()) >= RULES_MAX {
            return Err(Invalid("a domain has at most 20000 rules; remove one first").into());
        }
        let change = Change { name: ChangeName::PutRule, turns: &[""] };
        self.scope
            .unit(change, &keys, OneRecord::of::<CertRule>(&keys, name_of_rule), |_, draft| {
                draft.put(name_of_rule, rule)
            })
            .await?;
        self.bring_up(keys.id()).await
    }

    /// Removes a rule. One that is damaged can be removed, too.
    ///
    /// # Errors
    /// `Error::RuleNotFound`.
    pub async fn delete_rule(&self, permit: &Permit, name: &str) -> Result<(), Error> {
        permit.check(Action::PolicyEdit, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        self.remove::<CertRule>(&keys, ChangeName::DeleteRule, name, Error::RuleNotFound).await
    }

    async fn remove<K: Kind>(
        &self,
        keys: &DomainKeys,
        name: ChangeName,
        of: K::Name<'_>,
        missing: Error,
    ) -> Result<(), Error> {
        let key = K::key(keys.id(), of);
        let change = Change { name, turns: &[""] };
        let is_there = self
            .scope
            .unit(change, keys, OneRecord(K::SPACE, key.clone()), |found, draft| {
                if found.is_some() {
                    draft.delete(K::SPACE, key.clone());
                }
                Ok(found.is_some())
            })
            .await?;
        if !is_there {
            return Err(missing);
        }
        self.bring_up(keys.id()).await
    }

    /// A page of the tenant's records in a range, and what each is found by.
    async fn page<K: Kind, N>(
        &self,
        permit: &Permit,
        range: impl Fn(OkmsId) -> (Vec<u8>, Vec<u8>),
        name: impl Fn(&[u8]) -> Option<N>,
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<(N, K)>, Error> {
        let keys = self.scope.keys(permit).await?;
        let (mut from, to) = range(keys.id());
        if let Some(cursor) = cursor {
            from = cursor::parse_record(&from, &cursor)?;
        }
        let snapshot = self.scope.engine().snapshot().await?;
        let mut found = some::<K>(&*snapshot, &keys, &from, &to, limit + 1).await?;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| has_more);
        let next = last.and_then(|(key, _)| cursor::after_record(keys.id(), key));
        let found = found.into_iter().map(|(key, found)| Ok((name(&key).ok_or(Malformed)?, found)));
        Ok((found.collect::<Result<_, Error>>()?, next))
    }

    /// Whether no other policy has the name.
    async fn is_free(
        &self,
        keys: &DomainKeys,
        name: &str,
        except: Option<&[u8; 16]>,
    ) -> Result<(), Error> {
        let snapshot = self.scope.engine().snapshot().await?;
        let known = all::<IamPolicy>(&*snapshot, keys, policy::iam(keys.id())).await?;
        let others = || known.iter().filter(|(key, _)| policy::iam_id(key).as_ref() != except);
        if others().count() >= POLICIES_MAX {
            return Err(Invalid("a domain has at most 2000 policies; remove one first").into());
        }
        let in_vault = vault_policy::all(keys.id()).0;
        let in_vault = [in_vault.as_slice(), name.as_bytes()].concat();
        let is_taken = snapshot.get(policy::SPACE, &in_vault).await?.is_some();
        if is_taken || others().any(|(_, policy)| policy.name == name) {
            return Err(Invalid("another policy has this name").into());
        }
        Ok(())
    }
}

impl Follower for AccessControl {
    const WHAT: &'static str = "policies";

    fn scope(&self) -> &Scope {
        &self.scope
    }

    async fn read_all(&self) -> Result<(), Error> {
        let snapshot = self.scope.engine().snapshot().await?;
        let mut from = Vec::new();
        while let Some(id) = first_tenant(&*snapshot, &from).await? {
            self.bring_up(id).await?;
            from = [id.as_bytes().as_slice(), &[0xff; 256]].concat();
        }
        Ok(())
    }

    async fn read_again(&self, touched: &[Touched]) -> Result<(), Error> {
        let tenants: BTreeSet<_> = touched.iter().filter_map(tenant_of).collect();
        for id in tenants {
            self.bring_up(id).await?;
        }
        Ok(())
    }
}

fn check_policy(policy: &IamPolicy) -> Result<(), Error> {
    policy.check()?;
    // It would deny less than its author thinks.
    if !policy.deny.iter().chain(&policy.except).all(|pattern| names_an_action(pattern)) {
        return Err(Invalid("except or deny names an action that there is not").into());
    }
    is_free_to_choose(&policy.name)
}

/// Goes on with a name that is not that of a policy which is always there.
fn is_free_to_choose(name: &str) -> Result<(), Error> {
    if BuiltIn::named(name).is_some() || [DEFAULT_POLICY, "root"].contains(&name) {
        return Err(Invalid("a policy of this name is always there; choose another name").into());
    }
    Ok(())
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

/// The tenant of the first policy, rule or user from a key on.
async fn first_tenant(snapshot: &dyn Snapshot, from: &[u8]) -> Result<Option<OkmsId>, Error> {
    let mut first: Option<Vec<u8>> = None;
    for space in [policy::SPACE, rule::SPACE, user::SPACE] {
        let found = snapshot.keys(space, from, &[0xff; 300], None, 1).await?.pop();
        if let Some(key) = found
            && first.as_ref().is_none_or(|first| key < *first)
        {
            first = Some(key);
        }
    }
    let id = first.map(|key| {
        let id = key.first_chunk::<16>().copied().ok_or(Malformed)?;
        Ok::<_, Error>(OkmsId::from_bytes(id).map_err(|_| Malformed)?)
    });
    id.transpose()
}
