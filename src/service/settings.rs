//! A tenant's config: its defaults, and the one way of changing them and its mounts.

use std::sync::Arc;

use super::{
    Error,
    changes::ChangeName,
    records::Draft,
    scope::Scope,
    unit::{Basis, Change, UnitReader},
};
use crate::{
    auth::{Action, Permit, Resource},
    model::{DomainConfig, Settings, SettingsPatch},
};

/// The use cases on a tenant's defaults.
pub struct Defaults {
    scope: Scope,
}

impl Defaults {
    pub(super) const fn new(scope: Scope) -> Self {
        Self { scope }
    }

    /// The tenant's defaults.
    ///
    /// # Errors
    /// `Error::DomainNotFound` where there is no such tenant.
    pub async fn get(&self, permit: &Permit) -> Result<Settings, Error> {
        permit.check(Action::ConfigGet, Resource::Tenant)?;
        Ok(self.scope.config(permit).await?.settings.clone())
    }

    /// Changes the tenant's defaults, and tells who may see them what they are then.
    ///
    /// # Errors
    /// `Error::DomainNotFound` where there is no such tenant.
    pub async fn update(
        &self,
        permit: &Permit,
        patch: &SettingsPatch,
    ) -> Result<Option<Settings>, Error> {
        permit.check(Action::ConfigUpdate, Resource::Tenant)?;
        self.scope
            .change_config(ChangeName::UpdateDefaults, permit, ConfigBasis, |config, (), _| {
                config.settings = patch.apply(&config.settings);
                let is_seen = permit.tells(Action::ConfigGet, Resource::Tenant);
                Ok(is_seen.then(|| config.settings.clone()))
            })
            .await
    }
}

/// A tenant's config, held.
pub(super) struct ConfigBasis;

impl Basis for ConfigBasis {
    type Facts = (Arc<DomainConfig>, ());

    async fn read(&self, reader: &UnitReader<'_>) -> Result<Self::Facts, Error> {
        Ok((reader.config().await?, ()))
    }
}

impl Scope {
    /// Changes a tenant's defaults and mounts: `decide` changes them, and may draft more for the
    /// same commit.
    pub(super) async fn change_config<M: Send, T: Send>(
        &self,
        name: ChangeName,
        permit: &Permit,
        basis: impl Basis<Facts = (Arc<DomainConfig>, M)>,
        decide: impl Fn(&mut DomainConfig, M, &mut Draft<'_>) -> Result<T, Error> + Send + Sync,
    ) -> Result<T, Error> {
        let keys = self.keys(permit).await?;
        // No path is empty.
        let change = Change { name, turns: &[""], by: Some(permit) };
        self.unit(change, &keys, basis, |(before, more), draft| {
            let mut config = DomainConfig::clone(&before);
            let outcome = decide(&mut config, more, draft)?;
            draft.put((), &config)?;
            Ok(outcome)
        })
        .await
    }
}
