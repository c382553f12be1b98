//! What a domain keeps of itself beside its secrets: its defaults and its mounts.

use super::{
    Invalid, Mount, MountError, MountPath, Moved, SecretPath, Settings,
    mount::{self, View},
};

/// The most mounts of a domain: every write reads them all.
const MOUNTS_MAX: usize = 128;

/// A domain's defaults and mounts. No two mounts meet, in their names or in what they show, so that
/// at most one has a secret.
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
    ///
    /// # Errors
    /// `Invalid` where the mounts are not in order, or meet.
    pub fn from_stored(
        settings: Settings,
        description: String,
        mounts: Vec<Mount>,
    ) -> Result<Self, Invalid> {
        let is_sorted = mounts.is_sorted_by(|one, next| one.path.as_str() < next.path.as_str());
        let meet = |(at, one): (usize, &Mount)| {
            mounts
                .iter()
                .skip(at + 1)
                .any(|other| one.path.meets(&other.path) || one.below.meets(&other.below))
        };
        if !is_sorted || mounts.len() > MOUNTS_MAX || mounts.iter().enumerate().any(meet) {
            return Err(Invalid("the mounts of a stored config cannot be"));
        }
        Ok(Self { settings, description, mounts })
    }

    /// The mounts that were made, in the order of their paths.
    #[must_use]
    pub fn mounts(&self) -> &[Mount] {
        &self.mounts
    }

    /// What `path` shows, if it is a mount.
    #[must_use]
    pub fn view(&self, path: &MountPath) -> Option<View> {
        path.built_in()
            .or_else(|| self.mounts.iter().find(|mount| mount.path == *path).map(Mount::view))
    }

    /// Whether `view` is one that there is, by that name and with what it shows.
    #[must_use]
    pub fn has(&self, view: &View) -> bool {
        view.name().is_none_or(|name| self.view(name).as_ref() == Some(view))
    }

    /// The mount that was moved last by the move `id`, if it is not moved again.
    #[must_use]
    pub fn find_move(&self, id: [u8; 16]) -> Option<(&Mount, &Moved)> {
        self.mounts
            .iter()
            .find_map(|mount| Some((mount, mount.moved.as_ref().filter(|moved| moved.id == id)?)))
    }

    /// The mount that covers `path`, which is any text below one.
    #[must_use]
    pub fn mount_above(&self, path: &str) -> Option<MountPath> {
        let made =
            self.mounts.iter().map(|mount| &mount.path).find(|mount| mount.covers(path)).cloned();
        made.or_else(|| MountPath::whole_trees().find(|mount| mount.covers(path)))
    }

    /// The mount that is at `path`, above or below it.
    fn mount_meeting(&self, path: &MountPath) -> Option<MountPath> {
        MountPath::whole_trees().find(|other| other.meets(path)).or_else(|| {
            self.mounts.iter().map(|mount| &mount.path).find(|other| other.meets(path)).cloned()
        })
    }

    /// The defaults in force for the secret at `path`, through whichever view it is written.
    #[must_use]
    pub fn defaults(&self, path: &SecretPath) -> Settings {
        let mount = self.mounts.iter().find(|mount| mount.below.holds(path));
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
    /// The inner one is `MountError::InUse` where one is there, above or below, and
    /// `MountError::Shown` where one that was moved shows what this one would; the outer one is
    /// about its number.
    pub fn enable(&mut self, mount: Mount) -> Result<Result<(), MountError>, Invalid> {
        if let Some(met) = self.mount_meeting(&mount.path) {
            return Ok(Err(MountError::InUse(met)));
        }
        if let Some(other) = self.mounts.iter().find(|other| other.below.meets(&mount.below)) {
            return Ok(Err(MountError::Shown(mount.below, other.path.clone())));
        }
        if self.mounts.len() >= MOUNTS_MAX {
            return Err(Invalid("a domain has at most 128 mounts; disable one first"));
        }
        mount::description(&mount.description)?;
        self.insert(mount);
        Ok(Ok(()))
    }

    fn insert(&mut self, mount: Mount) {
        let at = self.mounts.partition_point(|other| other.path.as_str() < mount.path.as_str());
        self.mounts.insert(at, mount);
    }

    /// Gives the mount at `from` the name `to`. What it shows stays where it is.
    ///
    /// # Errors
    /// As [`DomainConfig::disable`]; `MountError::InUse` where a mount is at `to`, above or below,
    /// this one included.
    pub fn rename(
        &mut self,
        from: &MountPath,
        to: &MountPath,
        id: [u8; 16],
    ) -> Result<(), MountError> {
        let at = self.position(from)?;
        if let Some(met) = self.mount_meeting(to) {
            return Err(MountError::InUse(met));
        }
        let mount = self.mounts.remove(at);
        self.insert(Mount {
            path: to.clone(),
            moved: Some(Moved { id, from: from.clone() }),
            ..mount
        });
        Ok(())
    }

    /// Where the mount is that somebody made at `path`.
    fn position(&self, path: &MountPath) -> Result<usize, MountError> {
        if path.is_whole_tree() {
            return Err(MountError::BuiltIn(path.clone()));
        }
        self.mounts.iter().position(|mount| mount.path == *path).ok_or(MountError::NotFound)
    }

    /// Removes a mount, not what it shows.
    ///
    /// # Errors
    /// `MountError::NotFound`, `MountError::BuiltIn`.
    pub fn disable(&mut self, path: &MountPath) -> Result<(), MountError> {
        self.mounts.remove(self.position(path)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MaxVersions;

    fn mount(path: &str, max: u32) -> Mount {
        let settings =
            Settings { max_versions: MaxVersions::new(max).unwrap(), ..Settings::default() };
        let path: MountPath = path.parse().unwrap();
        Mount {
            below: path.clone(),
            path,
            moved: None,
            description: String::new(),
            uuid: [0; 16],
            settings,
        }
    }

    #[test]
    fn mounts_do_not_meet_and_cover_what_is_below_them() {
        let mut config = DomainConfig::default();
        config.settings.max_versions = MaxVersions::new(5).unwrap();
        for (path, max) in [("team", 3), ("a/b", 0)] {
            assert_eq!(config.enable(mount(path, max)), Ok(Ok(())));
        }
        for taken in ["team", "team/x", "a", "a/b/c", "secret", "ibmcloud", "secret/x"] {
            assert!(
                matches!(config.enable(mount(taken, 1)), Ok(Err(MountError::InUse(_)))),
                "{taken}"
            );
        }
        assert_eq!(
            config.mounts().iter().map(|mount| mount.path.as_str()).collect::<Vec<_>>(),
            ["a/b", "team"]
        );
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
    fn a_moved_mount_shows_the_same_under_another_name() {
        let of = |path: &str| path.parse::<MountPath>().unwrap();
        let mut config = DomainConfig::default();
        for (path, max) in [("team", 3), ("a/b", 4)] {
            assert_eq!(config.enable(mount(path, max)), Ok(Ok(())));
        }
        let before = config.view(&of("team")).unwrap();
        for taken in ["team", "team/x", "secret", "secret/x", "a", "a/b/c", "ibmcloud"] {
            assert!(
                matches!(
                    config.rename(&of("team"), &of(taken), [1; 16]),
                    Err(MountError::InUse(_))
                ),
                "{taken}"
            );
        }
        assert_eq!(config.rename(&of("crew"), &of("x"), [1; 16]), Err(MountError::NotFound));
        assert_eq!(
            config.rename(&of("secret"), &of("x"), [1; 16]),
            Err(MountError::BuiltIn(of("secret")))
        );
        assert!(config.has(&before) && config.find_move([1; 16]).is_none());
        assert_eq!(config.rename(&of("team"), &of("a/a"), [1; 16]), Ok(()));
        assert_eq!(
            config.mounts().iter().map(|mount| mount.path.as_str()).collect::<Vec<_>>(),
            ["a/a", "a/b"]
        );
        assert!(
            !config.has(&before),
            "a write that is on its way through the old name does not go on"
        );
        let view = config.view(&of("a/a")).unwrap();
        assert!(config.has(&view) && config.view(&of("team")).is_none());
        assert_eq!(view.secret("x").unwrap().as_str(), "team/x");
        assert_eq!(config.defaults(&"team/x".parse().unwrap()).max_versions.get(), 3);
        assert_eq!(config.mount_above("a/a/x"), Some(of("a/a")));
        assert_eq!(config.find_move([1; 16]).unwrap().1.from, of("team"));
        // Nobody else may show what it shows.
        for taken in ["team", "team/x"] {
            assert_eq!(
                config.enable(mount(taken, 0)),
                Ok(Err(MountError::Shown(of(taken), of("a/a"))))
            );
        }
        // Another mount of the old name shows something else, which is no way for a write on its
        // way either.
        assert_eq!(config.rename(&of("a/b"), &of("team"), [2; 16]), Ok(()));
        assert!(!config.has(&before));
        assert_eq!(config.rename(&of("team"), &of("a/b"), [3; 16]), Ok(()));
        assert_eq!(config.rename(&of("a/a"), &of("team"), [4; 16]), Ok(()));
        assert!(config.has(&before));
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
