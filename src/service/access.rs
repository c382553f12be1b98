//! Policies and mapping rules of a tenant: kept, changed within the bounds of all together
//! ([`counting`]), and told to the directory that requests are judged by ([`current`]).
//!
//! Always holds: a change counts for every request that begins after it was answered, on whatever
//! connection, and soon after in every other process over the same store; a tenant with a record
//! that cannot be read lets nobody in but operators, as what it denies is not known. Never does:
//! decide.

mod counting;
mod current;
mod roles;
mod stored;
mod vault;

use std::{convert::Infallible, sync::Arc};

use uuid::Uuid;

pub(super) use self::counting::{Counting, Standing};
pub use self::roles::{ByRole, RoleCertificate};
use self::{
    counting::Counts,
    current::Current,
    stored::{find, some},
};
use super::{
    Error,
    changes::ChangeName,
    cursor::{self, Page},
    follower,
    records::{Draft, id_by_time},
    scope::Scope,
    unit::{Basis, Change},
};
use crate::{
    auth::{
        AccessDirectory, Action, Detail, Explanation, Permit, Resource, Thing, Whom,
        names_an_action, names_operators_own,
    },
    crypto::DomainKeys,
    model::{
        BuiltIn, CertRule, Circumstances, IamPolicy, Invalid, OkmsId, SecretPath, Timestamp,
        policy::DEFAULT_POLICY,
    },
    store::{
        engine::Revision,
        kinds::{Kind, policy, rule},
    },
};

/// A policy, and the id that it is found by.
pub type FoundPolicy = ([u8; 16], IamPolicy);

/// The use cases on policies and rules.
pub struct AccessControl {
    scope: Scope,
    current: Current,
    /// The revision from which on it follows the store.
    begun: Revision,
}

impl AccessControl {
    /// The use cases, with every tenant's policies at hand. A certificate that no rule is about has
    /// `default`.
    pub(super) async fn open(scope: Scope, default: BuiltIn) -> Result<Self, Error> {
        let directory = Arc::new(AccessDirectory::new(default));
        let current = Current::new(scope.clone(), directory);
        let begun = follower::begin(&current).await?;
        Ok(Self { scope, current, begun })
    }

    /// Follows the store: whatever another process has changed, and what this one has committed and
    /// could not read back at once. Never ends.
    pub async fn follow(&self) -> Infallible {
        self.current.follow(self.begun).await
    }

    /// Reads everything, as whoever follows the store does that has fallen behind.
    #[cfg(test)]
    pub(super) async fn read_all(&self) -> Result<(), Error> {
        follower::Follower::read_all(&self.current).await
    }

    /// Whether something was made of what a tenant has.
    #[cfg(test)]
    pub(super) fn is_built(&self, id: OkmsId) -> bool {
        self.current.is_built(id)
    }

    /// What requests are judged by.
    #[must_use]
    pub const fn directory(&self) -> &Arc<AccessDirectory> {
        &self.current.directory
    }

    /// Changes what a tenant has, and goes on when that counts.
    async fn change<B: Basis, T: Send>(
        &self,
        permit: &Permit,
        name: ChangeName,
        keys: &DomainKeys,
        basis: B,
        decide: impl Fn(B::Facts, &mut Draft<'_>) -> Result<T, Error> + Send + Sync,
    ) -> Result<T, Error> {
        let change = Change { name, turns: &[""], by: Some(permit) };
        let outcome = self.scope.unit(change, keys, basis, decide).await;
        self.follow_up(keys.id(), outcome).await
    }

    /// Goes on when a change of what a tenant has counts that ended like this, or may have been
    /// stored.
    pub(super) async fn follow_up<T: Send>(
        &self,
        id: OkmsId,
        outcome: Result<T, Error>,
    ) -> Result<T, Error> {
        match &outcome {
            Ok(_) => self.current.bring_up(id).await,
            Err(Error::OutcomeUnknown(_)) => self.current.bring_up_anew(id).await,
            Err(_) => {}
        }
        outcome
    }

    /// Whether `whom` may do `action` to the secret at `path`, or to the domain itself, under these
    /// circumstances, and which policies say so. Everybody may ask about itself.
    ///
    /// # Errors
    /// `Error::RuleNotFound` where there is no such rule or user.
    pub async fn explain(
        &self,
        permit: &Permit,
        whom: &Whom<'_>,
        (action, path): (Action, Option<&SecretPath>),
        circumstances: Circumstances,
    ) -> Result<Explanation, Error> {
        let needed = match whom {
            Whom::Oneself => Action::DomainGet,
            Whom::Rule(_) | Whom::User(_) => Action::PolicyGet,
        };
        permit.check(needed, Resource::Tenant)?;
        if let Whom::User(_) = whom {
            permit.check(Action::UserGet, Resource::Tenant)?;
        }
        self.scope.keys(permit).await?;
        let told = self.current.directory.explain(permit, whom, (action, path), circumstances);
        told.ok_or(Error::RuleNotFound)
    }

    /// A page of the policies, in the order in which they were made; of one that is damaged, its id.
    ///
    /// # Errors
    /// `Error::Invalid` for a cursor that is not of this list.
    pub async fn policies(
        &self,
        permit: &Permit,
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<([u8; 16], Option<IamPolicy>)>, Error> {
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
        let id = id_by_time(now)?;
        permit.learns(Detail::About(Thing::Policy, &Uuid::from_bytes(id).to_string()));
        let policy = IamPolicy { created_at: now, updated_at: now, ..policy };
        let basis = Counting::<IamPolicy>::of(&keys, &id).named(&policy.name);
        self.change(permit, ChangeName::CreatePolicy, &keys, basis, |standing, draft| {
            standing.put(draft, &id, &policy)
        })
        .await?;
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
        let basis = Counting::<IamPolicy>::of(&keys, id).named(&policy.name);
        self.change(permit, ChangeName::UpdatePolicy, &keys, basis, |standing, draft| {
            // One that is damaged can be replaced.
            if standing.found.is_empty() {
                return Err(Error::PolicyNotFound);
            }
            let created_at = standing.found.record().map_or(now, |before| before.created_at);
            let policy = IamPolicy { created_at, updated_at: now, ..policy.clone() };
            standing.put(draft, id, &policy)?;
            Ok(policy)
        })
        .await
    }

    /// Removes a policy. One that is damaged can be removed, too.
    ///
    /// # Errors
    /// `Error::PolicyNotFound`.
    pub async fn delete_policy(&self, permit: &Permit, id: &[u8; 16]) -> Result<(), Error> {
        permit.check(Action::PolicyEdit, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        self.remove::<IamPolicy>(permit, &keys, ChangeName::DeletePolicy, id, Error::PolicyNotFound)
            .await
    }

    /// A page of the rules, by name; of one that is damaged, the name alone.
    ///
    /// # Errors
    /// `Error::Invalid` for a cursor that is not of this list.
    pub async fn rules(
        &self,
        permit: &Permit,
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<(String, Option<CertRule>)>, Error> {
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
        self.change_rule(permit, name_of_rule, |_| Ok(rule.clone())).await
    }

    /// Removes a rule. One that is damaged can be removed, too.
    ///
    /// # Errors
    /// `Error::RuleNotFound`.
    pub async fn delete_rule(&self, permit: &Permit, name: &str) -> Result<(), Error> {
        permit.check(Action::PolicyEdit, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        self.remove::<CertRule>(permit, &keys, ChangeName::DeleteRule, name, Error::RuleNotFound)
            .await
    }

    pub(super) async fn remove<K: Counts>(
        &self,
        permit: &Permit,
        keys: &DomainKeys,
        name: ChangeName,
        of: K::Name<'_>,
        missing: Error,
    ) -> Result<(), Error> {
        let basis = Counting::<K>::of(keys, of);
        let is_there = self.change(permit, name, keys, basis, |standing, draft| {
            if !standing.found.is_empty() {
                standing.remove(draft)?;
            }
            Ok(!standing.found.is_empty())
        });
        if is_there.await? { Ok(()) } else { Err(missing) }
    }

    /// A page of the tenant's records in a range, and what each is found by.
    async fn page<K: Kind, N>(
        &self,
        permit: &Permit,
        range: impl Fn(OkmsId) -> (Vec<u8>, Vec<u8>),
        name: impl Fn(&[u8]) -> Option<N>,
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<(N, Option<K>)>, Error> {
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
        // What has no name cannot be asked for by one.
        let found = found.into_iter().filter_map(|(key, found)| Some((name(&key)?, found)));
        Ok((found.collect(), next))
    }
}

fn check_policy(policy: &IamPolicy) -> Result<(), Error> {
    policy.check()?;
    // It would deny less than its author thinks.
    if !policy.deny.iter().chain(&policy.except).all(|pattern| names_an_action(pattern)) {
        return Err(Invalid("except or deny names an action that there is not").into());
    }
    // It would give less than its author thinks.
    let named = [&policy.allow, &policy.except, &policy.deny].into_iter().flatten();
    if named.into_iter().any(|name| names_operators_own(name)) {
        return Err(Invalid(
            "a policy names an action that is the region's operators' alone, and that no policy gives or denies: leave it \
             out, and ask an operator",
        )
        .into());
    }
    is_free_to_choose(&policy.name)
}

/// Goes on with a name that is not that of a policy which is always there.
fn is_free_to_choose(name: &str) -> Result<(), Error> {
    // The last one is Vault's own, for tokens under which something is wrapped.
    if BuiltIn::named(name).is_some()
        || [DEFAULT_POLICY, "root", "response-wrapping"].contains(&name)
    {
        return Err(Invalid(
            "this name is that of a policy which is always there; choose another name",
        )
        .into());
    }
    Ok(())
}
