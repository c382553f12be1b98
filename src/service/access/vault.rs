//! Policies in Vault's language: the use cases on them.
//!
//! Always holds: a text that is kept is a policy through and through; no two policies of a domain
//! have one name, whichever language they are in. Who may do it is asked at the policy's own address
//! where a request comes through Vault's door, and of all policies elsewhere.

use super::{
    AccessControl,
    counting::Counting,
    is_free_to_choose,
    stored::{find, names},
};
use crate::{
    auth::{Action, Permit, Resource, acl},
    model::{Timestamp, VaultPolicy, policy::name},
    service::{Error, changes::ChangeName},
    store::kinds::{policy, vault_policy},
};

impl AccessControl {
    /// The names of the policies in Vault's language, in their order.
    ///
    /// # Errors
    /// `Error::Denied` where it may not be seen.
    pub async fn vault_policies(&self, permit: &Permit) -> Result<Vec<String>, Error> {
        permit.check(Action::PolicyGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        names(&*snapshot, policy::SPACE, vault_policy::all(keys.id()), vault_policy::name).await
    }

    /// A policy in Vault's language.
    ///
    /// # Errors
    /// `Error::PolicyNotFound`.
    pub async fn vault_policy(&self, permit: &Permit, name: &str) -> Result<VaultPolicy, Error> {
        permit.check(Action::PolicyGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        find(&self.scope, &keys, name).await?.ok_or(Error::PolicyNotFound)
    }

    /// Makes a policy of `text`, or puts it in the place of the one that is there.
    ///
    /// # Errors
    /// `Error::Policy` where the text is none; `Error::Invalid` where the name cannot be, or is taken.
    pub async fn put_vault_policy(
        &self,
        permit: &Permit,
        name_of_policy: &str,
        text: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        permit.check(Action::PolicyEdit, Resource::Tenant)?;
        name(name_of_policy)?;
        is_free_to_choose(name_of_policy)?;
        acl::Policy::parse(text).map_err(Error::Policy)?;
        let keys = self.scope.keys(permit).await?;
        let basis = Counting::of(&keys, name_of_policy).named(name_of_policy);
        self.change(permit, ChangeName::PutVaultPolicy, &keys, basis, |standing, draft| {
            // One that is damaged can be replaced.
            let before: Option<&VaultPolicy> = standing.found.record();
            let created_at = before.map_or(now, |before| before.created_at);
            let policy = VaultPolicy { text: text.to_owned(), created_at, updated_at: now };
            standing.put(draft, name_of_policy, &policy)
        })
        .await
    }

    /// Removes a policy. One that is damaged can be removed, too.
    ///
    /// # Errors
    /// `Error::PolicyNotFound`; `Error::Invalid` where it is always there.
    pub async fn delete_vault_policy(&self, permit: &Permit, name: &str) -> Result<(), Error> {
        permit.check(Action::PolicyEdit, Resource::Tenant)?;
        is_free_to_choose(name)?;
        let keys = self.scope.keys(permit).await?;
        let change = ChangeName::DeleteVaultPolicy;
        self.remove::<VaultPolicy>(permit, &keys, change, name, Error::PolicyNotFound).await
    }
}
