//! Mounts: the use cases on a domain's named views. Their secrets are the domain's own; a mount
//! adds a name and defaults.
//!
//! Always holds: what changes for which secrets an address stands, and so what policies say that name
//! it, takes the right to edit policies as well. Else somebody could shed what one denies at an address by
//! moving what is there, and have what one allows at another by moving it there.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{
    AccessControl, Error, changes::ChangeName, scope::Scope, secrets::Secrets,
    settings::ConfigBasis,
};
use crate::{
    auth::{Action, Detail, Permit, Resource, Thing},
    model::{
        DomainConfig, Mount, MountError, MountPath, Settings, SettingsPatch, Timestamp, View,
        mount_description,
    },
    store::kinds::leaving::Leaving,
};

/// So long whoever disables a mount waits at most until all is removed that was in it.
const AT_MOST: Duration = Duration::from_secs(5);

/// Changes to a mount itself.
#[derive(Clone, Debug, Default)]
pub struct MountPatch {
    /// The new description.
    pub description: Option<String>,
}

/// The use cases on mounts.
pub struct Mounts {
    scope: Scope,
    /// Policies in Vault's language speak of secrets through mounts.
    access: Arc<AccessControl>,
    secrets: Arc<Secrets>,
}

impl Mounts {
    pub(super) const fn new(
        scope: Scope,
        access: Arc<AccessControl>,
        secrets: Arc<Secrets>,
    ) -> Self {
        Self { scope, access, secrets }
    }

    /// What the mount at `path` shows; `None` where there is none. That it is there is no secret from those
    /// who may act in the domain at all.
    ///
    /// # Errors
    /// `Error::DomainNotFound`.
    pub async fn view(&self, permit: &Permit, path: &MountPath) -> Result<Option<View>, Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        match path.built_in() {
            Some(view) => Ok(Some(view)),
            None => Ok(self.scope.config(permit).await?.view(path)),
        }
    }

    /// The mounts, and the domain's defaults.
    ///
    /// # Errors
    /// `Error::DomainNotFound`.
    pub async fn list(&self, permit: &Permit) -> Result<Arc<DomainConfig>, Error> {
        permit.check(Action::ConfigGet, Resource::Tenant)?;
        self.scope.config(permit).await
    }

    /// The mounts and defaults, for what everybody is answered who may act in the domain at all: who is to be
    /// shown a mount, [`Self::may_know`] says.
    ///
    /// # Errors
    /// `Error::DomainNotFound`.
    pub async fn config(&self, permit: &Permit) -> Result<Arc<DomainConfig>, Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        self.scope.config(permit).await
    }

    /// Whether somebody may know of a mount that shows this: who may see all mounts, or may do something to
    /// some of what is in it.
    #[must_use]
    pub fn may_know(permit: &Permit, view: &View) -> bool {
        permit.tells_at_best(Action::ConfigGet, Resource::Tenant)
            || permit.tells_of_some_below(&view.folder(""))
    }

    /// Makes a mount. What lies below its path already is in it, and what policies say of its addresses
    /// is said of that.
    ///
    /// # Errors
    /// `Error::Mount` where one is there, above or below, or shows the same; `Error::Invalid` where
    /// there are too many.
    pub async fn enable(
        &self,
        permit: &Permit,
        path: &MountPath,
        description: &str,
        patch: &SettingsPatch,
    ) -> Result<(), Error> {
        permit.check(Action::ConfigUpdate, Resource::Tenant)?;
        permit.check_beside(Action::PolicyEdit, Resource::Tenant)?;
        let enabled = self
            .scope
            .change_config(ChangeName::EnableMount, permit, ConfigBasis, |config, (), _| {
                config.enable(Mount {
                    path: path.clone(),
                    below: path.clone(),
                    moved: None,
                    description: mount_description(description)?,
                    uuid: Uuid::new_v4().into_bytes(),
                    settings: patch.apply(&Settings::default()),
                })??;
                Ok(())
            })
            .await;
        self.access.follow_up(permit.okms_id(), enabled).await
    }

    /// Changes a mount itself.
    ///
    /// # Errors
    /// `Error::Mount` where there is none.
    pub async fn tune(
        &self,
        permit: &Permit,
        path: &MountPath,
        patch: &MountPatch,
    ) -> Result<(), Error> {
        permit.check(Action::ConfigUpdate, Resource::Tenant)?;
        let Some(text) = &patch.description else {
            return match self.view(permit, path).await? {
                Some(_) => Ok(()),
                None => Err(MountError::NotFound.into()),
            };
        };
        self.scope
            .change_config(ChangeName::TuneMount, permit, ConfigBasis, |config, (), _| {
                *config.description_of(path)? = mount_description(text)?;
                Ok(())
            })
            .await
    }

    /// Removes a mount, and what it holds: by `force` for good, else so that it can be restored for so
    /// many seconds. The mount is gone at once; of many secrets some may be removed a moment later.
    ///
    /// # Errors
    /// `Error::Mount` says what stands against it.
    pub async fn disable(
        &self,
        permit: &Permit,
        path: &MountPath,
        force: bool,
        (seconds, now): (u64, Timestamp),
    ) -> Result<(), Error> {
        permit.check(Action::ConfigUpdate, Resource::Tenant)?;
        permit.check_beside(Action::PolicyEdit, Resource::Tenant)?;
        let view = self.scope.config(permit).await?.view(path).ok_or(MountError::NotFound)?;
        let folder = view.folder("");
        let action = if force { Action::SecretDelete } else { Action::VersionDeactivate };
        permit.check(action, Resource::AllBelow(&folder))?;
        let leaving = Leaving { id: permit.okms_id(), folder, at: now, seconds };
        let disabled = self
            .scope
            .change_config(ChangeName::DisableMount, permit, ConfigBasis, |config, (), draft| {
                if !config.has(&view) {
                    return Err(MountError::NotFound.into());
                }
                config.disable(path)?;
                if force {
                    draft.remove_below(&leaving.folder, now);
                } else {
                    draft.extend([leaving.put()]);
                }
                Ok(())
            })
            .await;
        self.access.follow_up(permit.okms_id(), disabled).await?;
        let rest = async {
            if force {
                let keys = self.scope.keys(permit).await?;
                return self.secrets.mend_index(&keys, Duration::ZERO).await.map(drop);
            }
            self.secrets.finish_leaving_one(&leaving).await
        };
        // The mount is gone, and what is left is gone on with later.
        if let Ok(Err(error)) = tokio::time::timeout(AT_MOST, rest).await {
            tracing::warn!(%error, "what was in a mount is removed later");
        }
        Ok(())
    }

    /// Gives a mount another name, under which all its secrets are from then on, and tells the
    /// move's id. It is one change of the mount alone, whatever it holds: its secrets keep their
    /// names in the domain's tree. What policies say goes by the new name from then on.
    ///
    /// # Errors
    /// `Error::Mount` says what stands against it.
    pub async fn rename(
        &self,
        permit: &Permit,
        from: &MountPath,
        to: &MountPath,
    ) -> Result<Uuid, Error> {
        for path in [from, to] {
            permit.learns(Detail::About(Thing::Mount, path.as_str()));
        }
        permit.check(Action::ConfigUpdate, Resource::Tenant)?;
        permit.check_beside(Action::PolicyEdit, Resource::Tenant)?;
        let id = Uuid::new_v4();
        let renamed = self
            .scope
            .change_config(ChangeName::RenameMount, permit, ConfigBasis, |config, (), _| {
                config.rename(from, to, id.into_bytes())?;
                Ok(id)
            })
            .await;
        self.access.follow_up(permit.okms_id(), renamed).await
    }

    /// A mount's own defaults; the domain's for a view on the whole tree.
    ///
    /// # Errors
    /// `Error::Mount` where there is no such mount.
    pub async fn settings(&self, permit: &Permit, path: &MountPath) -> Result<Settings, Error> {
        permit.check(Action::ConfigGet, Resource::Tenant)?;
        let mut config = DomainConfig::clone(&*self.scope.config(permit).await?);
        Ok(config.settings_of(path)?.clone())
    }

    /// Changes a mount's own defaults; the domain's for a view on the whole tree.
    ///
    /// # Errors
    /// `Error::Mount` where there is no such mount.
    pub async fn update_settings(
        &self,
        permit: &Permit,
        path: &MountPath,
        patch: &SettingsPatch,
    ) -> Result<(), Error> {
        permit.check(Action::ConfigUpdate, Resource::Tenant)?;
        self.scope
            .change_config(ChangeName::UpdateMountSettings, permit, ConfigBasis, |config, (), _| {
                let settings = config.settings_of(path)?;
                *settings = patch.apply(settings);
                Ok(())
            })
            .await
    }
}
