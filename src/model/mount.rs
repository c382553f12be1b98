//! Mounts: named views on subtrees of a domain.
//!
//! A mount that is made at `team/a` shows the secrets below `team/a/` under their names without
//! that. It can be moved: then it has another name and shows the same secrets.
//! [`MountPath::is_whole_tree`] tells the two that are always there and show the domain as it is:
//! `secret`, and `ibmcloud/kv` as clients of IBM spell it.

use std::{fmt, str::FromStr};

use super::{Invalid, SecretPath, Settings};

/// The longest path of a mount, in bytes: it leaves room for names below it.
const MOUNT_PATH_MAX: usize = 128;
/// The longest description, in bytes.
const DESCRIPTION_MAX: usize = 256;
/// The views on the whole tree, which nobody has to make. The first one is the one that lists show.
const WHOLE_TREE: [&str; 2] = ["secret", "ibmcloud/kv"];

/// Where a mount is, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPath(SecretPath);

impl MountPath {
    /// The path's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether this is one of the views on the whole tree.
    #[must_use]
    pub fn is_whole_tree(&self) -> bool {
        WHOLE_TREE.contains(&self.as_str())
    }

    /// The view that is there without anybody having made it, if there is one.
    #[must_use]
    pub fn built_in(&self) -> Option<View> {
        self.is_whole_tree().then_some(View { mount: None })
    }

    /// Whether one of the two paths is the other, or lies below it.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.covers(other.as_str()) || other.covers(self.as_str())
    }

    /// Whether `path` is this one, or lies below it.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        path == self.as_str() || self.name_below(path).is_some()
    }

    /// What follows this one and a slash in `path`; `None` where that does not lie below it.
    #[must_use]
    pub fn name_below<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(self.as_str())?.strip_prefix('/')
    }

    /// Whether the secret at `path` lies below this one, and not at it.
    #[must_use]
    pub fn holds(&self, path: &SecretPath) -> bool {
        self.name_below(path.as_str()).is_some()
    }

    /// The views on the whole tree.
    pub fn whole_trees() -> impl Iterator<Item = Self> {
        WHOLE_TREE.into_iter().filter_map(|text| text.parse().ok())
    }
}

impl FromStr for MountPath {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let path: SecretPath = text.parse()?;
        if text.len() > MOUNT_PATH_MAX {
            return Err(Invalid("a mount's path has at most 128 bytes; choose a shorter one"));
        }
        Ok(Self(path))
    }
}

impl fmt::Display for MountPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a mount shows, and under which name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The mount's name and the subtree; `None` for the views on the whole tree, which are there
    /// for good.
    mount: Option<(MountPath, MountPath)>,
}

impl View {
    /// The name of the mount that somebody made, if this is the view of one.
    #[must_use]
    pub fn name(&self) -> Option<&MountPath> {
        self.mount.as_ref().map(|(name, _)| name)
    }

    fn below(&self) -> Option<&MountPath> {
        self.mount.as_ref().map(|(_, below)| below)
    }

    /// The secret that goes by `name` in this view.
    ///
    /// # Errors
    /// `Invalid` where that is no path.
    pub fn secret(&self, name: &str) -> Result<SecretPath, Invalid> {
        match self.below() {
            None => name.parse(),
            Some(below) => {
                // The name must be a path itself: joined, an empty one would be the mount.
                let _: SecretPath = name.parse()?;
                format!("{below}/{name}").parse()
            }
        }
    }

    /// What the paths of everything in the folder `folder` of this view begin with; "" is the
    /// view's root, and a folder's name has no slash at its end.
    #[must_use]
    pub fn folder(&self, folder: &str) -> String {
        let mut prefix = String::new();
        for part in [self.below().map_or("", MountPath::as_str), folder] {
            if !part.is_empty() {
                prefix.push_str(part);
                prefix.push('/');
            }
        }
        prefix
    }
}

/// A mount that somebody made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its name.
    pub path: MountPath,
    /// The subtree that it shows: where it was made.
    pub below: MountPath,
    /// Where it was moved from last, if it ever was.
    pub moved: Option<Moved>,
    /// What people say of it.
    pub description: String,
    /// Random: tells it from one that is made there later.
    pub uuid: [u8; 16],
    /// Its own defaults for secrets, over the domain's.
    pub settings: Settings,
}

/// A mount's move to another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Random: by which its mover asks about it.
    pub id: [u8; 16],
    /// The name before.
    pub from: MountPath,
}

impl Mount {
    /// What it shows.
    #[must_use]
    pub fn view(&self) -> View {
        View { mount: Some((self.path.clone(), self.below.clone())) }
    }
}

/// Why there can be no such mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountError {
    /// A mount is there, above or below.
    InUse(MountPath),
    /// It is there for good.
    BuiltIn(MountPath),
    /// There is none.
    NotFound,
    /// What it would show is in another one, which was moved.
    Shown(MountPath, MountPath),
}

/// `description` as it is kept.
///
/// # Errors
/// `Invalid` where it is too long or not printable.
pub fn description(text: &str) -> Result<String, Invalid> {
    if text.len() > DESCRIPTION_MAX || !super::text::is_printable(text) {
        return Err(Invalid("a mount's description has at most 256 bytes of printable text"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> MountPath {
        text.parse().unwrap()
    }

    #[test]
    fn grammar() {
        for right in ["secret", "team", "team/a", "ibmcloud/kv", "kv v2"] {
            assert_eq!(path(right).as_str(), right);
        }
        for wrong in ["", "/a", "a/", "a//b", ".."] {
            assert!(wrong.parse::<MountPath>().is_err(), "{wrong}");
        }
        assert!("x".repeat(129).parse::<MountPath>().is_err());
    }

    #[test]
    fn views() {
        assert_eq!(path("secret").built_in().unwrap().secret("a/b").unwrap().as_str(), "a/b");
        assert_eq!(path("ibmcloud/kv").built_in().unwrap().secret("a/b").unwrap().as_str(), "a/b");
        assert!(path("team").built_in().is_none());
        let team = View { mount: Some((path("crew"), path("team"))) };
        assert_eq!(team.secret("a/b").unwrap().as_str(), "team/a/b");
        assert!(
            team.secret("").is_err() && team.secret("/a").is_err() && team.secret("../a").is_err()
        );
        assert_eq!(
            (team.folder(""), team.folder("x/y")),
            ("team/".to_owned(), "team/x/y/".to_owned())
        );
        let whole = path("secret").built_in().unwrap();
        assert_eq!((whole.folder(""), whole.folder("x")), (String::new(), "x/".to_owned()));
    }

    #[test]
    fn neighbours_do_not_meet() {
        for (a, b, meets) in [
            ("a", "a", true),
            ("a", "a/b", true),
            ("a/b", "a", true),
            ("a", "ab", false),
            ("a/b", "a/c", false),
        ] {
            assert_eq!(path(a).meets(&path(b)), meets, "{a} {b}");
        }
        for (at, name) in
            [("a/b", None), ("a/b/", Some("")), ("a/b/c/d", Some("c/d")), ("a/bc", None)]
        {
            assert_eq!(path("a/b").name_below(at), name, "{at}");
        }
    }
}
