//! Users of a tenant: kept, changed, and known by their passwords.
//!
//! Always holds: of a password there is nothing but what [`Password::hash`] makes of it; whoever logs
//! in learns nothing of who is a user, neither by the answer nor by what it takes. A change of a user's
//! policies counts for every request that begins after it was answered, as [`AccessControl`] has it.
//! Never does: make a token, or say what a user may.

mod lockout;
mod login;
mod passwords;

use std::{collections::BTreeMap, sync::Arc};

pub use self::login::LoginSource;
use self::{
    lockout::{Caller, Lockout},
    passwords::Passwords,
};
use super::{
    AccessControl, Error,
    access::{Counting, Standing},
    changes::ChangeName,
    records::{Draft, Reader, keys_of},
    scope::Scope,
    unit::Change,
};
use crate::{
    auth::{Action, Detail, Permit, Resource},
    crypto::{DomainKeys, Password},
    model::{Timestamp, User, user_name},
    store::kinds::{Kind, Malformed, user},
};

/// What of a user is to change; what is `None` stays.
#[derive(Debug, Default)]
pub struct UserPatch {
    /// The password.
    pub password: Option<Password>,
    /// The policies.
    pub policies: Option<Vec<String>>,
    /// What else there is to know of it: all of it.
    pub metadata: Option<BTreeMap<String, String>>,
    /// How long its tokens live, in seconds; 0 for as long as any.
    pub token_ttl: Option<u64>,
    /// How long they live at most, in seconds; 0 for as long as any.
    pub token_max_ttl: Option<u64>,
}

/// The use cases on users.
pub struct Users {
    scope: Scope,
    access: Arc<AccessControl>,
    passwords: Passwords,
    /// Of those without a certificate, who so keep nobody waiting that has one.
    visitors: Passwords,
    lockout: Lockout,
}

impl Users {
    pub(super) fn new(scope: Scope, access: Arc<AccessControl>) -> Self {
        Self {
            passwords: Passwords::new(scope.weights()),
            visitors: Passwords::new(scope.weights()),
            scope,
            access,
            lockout: Lockout::new(),
        }
    }

    /// The names of the users, in their order.
    ///
    /// # Errors
    /// `Error::Denied` where they may not be seen.
    pub async fn list(&self, permit: &Permit) -> Result<Vec<String>, Error> {
        permit.check(Action::UserGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let found = self.keys_of_all(&keys).await?;
        found.iter().map(|key| Ok(user::name(key).ok_or(Malformed)?.to_owned())).collect()
    }

    /// A user.
    ///
    /// # Errors
    /// `Error::UserNotFound`.
    pub async fn get(&self, permit: &Permit, name: &str) -> Result<User, Error> {
        permit.check(Action::UserGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        self.find(&keys, name).await?.ok_or(Error::UserNotFound)
    }

    /// Makes a user, or changes the one that is there.
    ///
    /// # Errors
    /// `Error::NoPassword` where it would be made without one; `Error::Invalid` where it breaks a
    /// rule; `Error::Busy` where too many passwords wait.
    pub async fn put(
        &self,
        permit: &Permit,
        name: &str,
        patch: UserPatch,
        now: Timestamp,
    ) -> Result<(), Error> {
        permit.check(Action::UserEdit, Resource::Tenant)?;
        user_name(name)?;
        self.change(permit, name, patch, true, now).await
    }

    /// Changes a user that is there.
    ///
    /// # Errors
    /// `Error::UserNotFound`; `Error::Invalid` where it breaks a rule; `Error::Busy` where too many
    /// passwords wait.
    pub async fn update(
        &self,
        permit: &Permit,
        name: &str,
        patch: UserPatch,
        now: Timestamp,
    ) -> Result<(), Error> {
        permit.check(Action::UserEdit, Resource::Tenant)?;
        self.change(permit, name, patch, false, now).await
    }

    /// Removes a user; its tokens may then do nothing. One that is damaged can be removed, too.
    ///
    /// # Errors
    /// `Error::UserNotFound`.
    pub async fn delete(&self, permit: &Permit, name: &str) -> Result<(), Error> {
        permit.check(Action::UserEdit, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        self.access
            .remove::<User>(permit, &keys, ChangeName::DeleteUser, name, Error::UserNotFound)
            .await
    }

    /// The user of this name and password, for whoever logs in from `source`. Of one without a
    /// certificate a domain that there is not is as good as one without such a user.
    ///
    /// # Errors
    /// `Error::LoginFailed` where there is none, or it has another password; `Error::LockedOut` where
    /// that was so too often; `Error::Busy` where too many passwords wait.
    pub async fn log_in(
        &self,
        permit: &Permit,
        source: &LoginSource,
        name: &str,
        password: Password,
        now: Timestamp,
    ) -> Result<User, Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        permit.learns(Detail::User(name));
        let caller = Caller { id: permit.okms_id(), source, name };
        self.lockout.check(&caller, now)?;
        let passwords = match source {
            LoginSource::Key(_) => &self.passwords,
            LoginSource::Address(_) => &self.visitors,
        };
        let turn = passwords.turn(permit.okms_id()).await?;
        // Others may have failed while this one waited.
        self.lockout.check(&caller, now)?;
        let keys = match self.scope.keys(permit).await {
            Err(Error::DomainNotFound) if matches!(source, LoginSource::Address(_)) => None,
            keys => Some(keys?),
        };
        let found = match (keys, user_name(name)) {
            (Some(keys), Ok(())) => self.find(&keys, name).await?,
            _ => None,
        };
        let kept = found.as_ref().map(|user| user.password.clone());
        let fits = turn.fits(password, kept).await?;
        let Some(user) = found.filter(|_| fits) else {
            self.lockout.failed(&caller, now);
            return Err(Error::LoginFailed);
        };
        self.lockout.succeeded(&caller);
        Ok(user)
    }

    /// How often something was made of a password.
    #[cfg(test)]
    pub(super) fn hashed(&self) -> usize {
        let taken = |of: &Passwords| of.taken.load(std::sync::atomic::Ordering::Relaxed);
        taken(&self.passwords) + taken(&self.visitors)
    }

    async fn find(&self, keys: &DomainKeys, name: &str) -> Result<Option<User>, Error> {
        let snapshot = self.scope.engine().snapshot().await?;
        Reader { snapshot: &*snapshot, keys }.find(name).await
    }

    /// Whether there is a record of this name, damaged or not.
    async fn is_there(&self, keys: &DomainKeys, name: &str) -> Result<bool, Error> {
        let key = User::key(keys.id(), name);
        Ok(self.scope.engine().get(user::SPACE, &key).await?.is_some())
    }

    /// The keys of all users of a tenant.
    async fn keys_of_all(&self, keys: &DomainKeys) -> Result<Vec<Vec<u8>>, Error> {
        let snapshot = self.scope.engine().snapshot().await?;
        keys_of(&*snapshot, user::SPACE, user::all(keys.id())).await
    }

    /// Puts a user in the place of what is there; of nothing if it `makes` one. One that is damaged can
    /// be replaced by one with a password.
    async fn change(
        &self,
        permit: &Permit,
        name: &str,
        patch: UserPatch,
        makes: bool,
        now: Timestamp,
    ) -> Result<(), Error> {
        let keys = &self.scope.keys(permit).await?;
        let UserPatch { password, policies, metadata, token_ttl, token_max_ttl } = patch;
        // Before anything is made of a password.
        if !self.is_there(keys, name).await? && (!makes || password.is_none()) {
            return Err(if makes { Error::NoPassword } else { Error::UserNotFound });
        }
        let password = match password {
            Some(password) => Some(self.passwords.turn(keys.id()).await?.hash(password).await?),
            None => None,
        };
        let change = Change { name: ChangeName::PutUser, turns: &[""], by: Some(permit) };
        let decide = |standing: Standing<User>, draft: &mut Draft<'_>| {
            if standing.found.is_empty() && !makes {
                return Err(Error::UserNotFound);
            }
            let before = standing.found.record().cloned();
            let is_new = before.is_none();
            let before = match (before, &password) {
                (Some(before), _) => before,
                (None, Some(password)) => User {
                    password: password.clone(),
                    policies: Vec::new(),
                    metadata: BTreeMap::new(),
                    token_ttl: 0,
                    token_max_ttl: 0,
                    created_at: now,
                    updated_at: now,
                },
                (None, None) => return Err(Error::NoPassword),
            };
            let user = User {
                password: password.clone().unwrap_or(before.password),
                policies: policies.clone().unwrap_or(before.policies),
                metadata: metadata.clone().unwrap_or(before.metadata),
                token_ttl: token_ttl.unwrap_or(before.token_ttl),
                token_max_ttl: token_max_ttl.unwrap_or(before.token_max_ttl),
                created_at: before.created_at,
                updated_at: now,
            };
            user.check()?;
            standing.put(draft, name, &user)?;
            Ok(is_new || policies.is_some() || metadata.is_some())
        };
        let outcome = self.scope.unit(change, keys, Counting::of(keys, name), decide).await;
        // What a password is, no request is judged by.
        if matches!(outcome, Ok(false)) {
            return Ok(());
        }
        self.access.follow_up(keys.id(), outcome).await.map(drop)
    }
}
