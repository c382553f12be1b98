//! What a domain keeps of itself beside its secrets: its defaults and its mounts.

use super::{
    Invalid, Mount, MountError, MountPath, SecretPath, Settings,
    mount::{self, View},
};

/// The most mounts of a domain: every write reads them all.
const MOUNTS_MAX: usize = 128;

/// A domain's defaults and mounts. No two mounts meet, so that at most one covers a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainConfig {
    /// The domain's defaults.
    pub settings: Settings,
    /// What people say of the view on the whole tree.
    pub description: String,
    mounts: Vec<Mount>,
}

impl DomainConfig {
    /// The config of these parts, as they were stored.
    #[must_use]
    pub const fn new(settings: Settings, description: String, mounts: Vec<Mount>) -> Self {
        Self { settings, description, mounts }
    }

    /// The mounts that were made, in the order of their paths.
    #[must_use]
    pub fn mounts(&self) -> &[Mount] {
        &self.mounts
    }

    /// What `path` shows, if it is a mount.
    #[must_use]
    pub fn view(&self, path: &MountPath) -> Option<View> {
        path.built_in().or_else(|| self.mounts.iter().find(|mount| mount.path == *path).map(|mount| mount.path.view()))
    }

    /// The mount that covers `path`, which is any text below one.
    #[must_use]
    pub fn mount_above(&self, path: &str) -> Option<MountPath> {
        self.mount_paths().find(|mount| mount.covers(path))
    }

    /// Every mount path there is: the views on the whole tree, then the mounts that were made.
    fn mount_paths(&self) -> impl Iterator<Item = MountPath> {
        MountPath::whole_trees().chain(self.mounts.iter().map(|mount| mount.path.clone()))
    }

    /// The defaults in force for the secret at `path`, through whichever view it is written.
    #[must_use]
    pub fn defaults(&self, path: &SecretPath) -> Settings {
        let mount = self.mounts.iter().find(|mount| mount.path.holds(path));
        mount.map_or_else(|| self.settings.clone(), |mount| mount.settings.over(&self.settings))
    }

    /// The own settings of a mount; those of the domain for a view on the whole tree.
    ///
    /// # Errors
    /// `MountError::NotFound`.
    pub fn settings_of(&mut self, path: &MountPath) -> Result<&mut Settings, MountError> {
        if path.is_whole_tree() {
            return Ok(&mut self.settings);
        }
        self.mount(path).map(|mount| &mut mount.settings)
    }

    /// What people say of a mount.
    ///
    /// # Errors
    /// `MountError::NotFound`.
    pub fn description_of(&mut self, path: &MountPath) -> Result<&mut String, MountError> {
        if path.is_whole_tree() {
            return Ok(&mut self.description);
        }
        self.mount(path).map(|mount| &mut mount.description)
    }

    fn mount(&mut self, path: &MountPath) -> Result<&mut Mount, MountError> {
        self.mounts.iter_mut().find(|mount| mount.path == *path).ok_or(MountError::NotFound)
    }

    /// Makes a mount.
    ///
    /// # Errors
    /// The inner one is `MountError::InUse` where one is there, above or below; the outer one is about its number.
    pub fn enable(&mut self, mount: Mount) -> Result<Result<(), MountError>, Invalid> {
        let met = self.mount_paths().find(|other| other.meets(&mount.path));
        if let Some(met) = met {
            return Ok(Err(MountError::InUse(met)));
        }
        if self.mounts.len() >= MOUNTS_MAX {
            return Err(Invalid("a domain has at most 128 mounts; disable one first"));
        }
        mount::description(&mount.description)?;
        let at = self.mounts.partition_point(|other| other.path.as_str() < mount.path.as_str());
        self.mounts.insert(at, mount);
        Ok(Ok(()))
    }

    /// Removes a mount, not what it shows.
    ///
    /// # Errors
    /// `MountError::NotFound`, `MountError::BuiltIn`.
    pub fn disable(&mut self, path: &MountPath) -> Result<(), MountError> {
        if path.is_whole_tree() {
            return Err(MountError::BuiltIn(path.clone()));
        }
        let at = self.mounts.iter().position(|mount| mount.path == *path).ok_or(MountError::NotFound)?;
        self.mounts.remove(at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::MaxVersions;

    fn mount(path: &str, max: u32) -> Mount {
        let settings = Settings { max_versions: MaxVersions::new(max).unwrap(), ..Settings::default() };
        Mount { path: path.parse().unwrap(), description: String::new(), uuid: [0; 16], settings }
    }

    #[test]
    fn mounts_do_not_meet_and_cover_what_is_below_them() {
        let mut config = DomainConfig::default();
        config.settings.max_versions = MaxVersions::new(5).unwrap();
        for (path, max) in [("team", 3), ("a/b", 0)] {
            assert_eq!(config.enable(mount(path, max)), Ok(Ok(())));
        }
        for taken in ["team", "team/x", "a", "a/b/c", "secret", "ibmcloud", "secret/x"] {
            assert!(matches!(config.enable(mount(taken, 1)), Ok(Err(MountError::InUse(_)))), "{taken}");
        }
        assert_eq!(config.mounts().iter().map(|mount| mount.path.as_str()).collect::<Vec<_>>(), ["a/b", "team"]);
        for (path, max) in [("team/x", 3), ("team", 5), ("teams", 5), ("a/b/x", 5), ("x", 5)] {
            assert_eq!(config.defaults(&path.parse().unwrap()).max_versions.get(), max, "{path}");
        }
        let of = |path: &str| path.parse::<MountPath>().unwrap();
        assert!(config.view(&of("team")).is_some() && config.view(&of("secret")).is_some());
        assert!(config.view(&of("teams")).is_none());
        assert_eq!(config.mount_above("team/foo/bar"), Some(of("team")));
        assert_eq!(config.mount_above("other/foo"), None);
        assert_eq!(config.disable(&of("secret")), Err(MountError::BuiltIn(of("secret"))));
        assert_eq!(config.disable(&of("team")), Ok(()));
        assert_eq!(config.disable(&of("team")), Err(MountError::NotFound));
    }

    #[test]
    fn their_number_is_bounded() {
        let mut config = DomainConfig::default();
        for n in 0..MOUNTS_MAX {
            assert_eq!(config.enable(mount(&format!("m{n}"), 0)), Ok(Ok(())));
        }
        assert!(config.enable(mount("more", 0)).is_err());
    }
}
