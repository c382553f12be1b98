//! Files that are looked at, again and again, for whether they are others than before.
//!
//! Looking is chosen over being told by the system: it loses nothing, and sees the same on a network
//! file system, in a container, and where Kubernetes swaps a whole folder (`..data`) beneath links.
//! Always holds: what is [due](Watch::look) has stayed the same between two looks, so that a file
//! that somebody is writing is left alone, unless it is written for ever. Never does: open a file.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// So many looks in a row may find something new before it is taken as it is.
const LOOKS_MAX: u32 = 5;

/// What files look like from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks(BTreeMap<PathBuf, Mark>);

/// What a file looks like from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mark {
    File {
        /// With all links followed.
        path: PathBuf,
        device: u64,
        inode: u64,
        length: u64,
        modified: (i64, i64),
        /// Times of modification can be set; this one changes with mode and owner, too.
        changed: (i64, i64),
    },
    Missing(io::ErrorKind),
}

impl Marks {
    /// What these files look like now. It waits for the disk.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        Self(paths.into_iter().map(|path| (path.to_owned(), Mark::of(path))).collect())
    }

    /// Both; of a file in both, what the other says.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// What the same files look like now. It waits for the disk.
    #[must_use]
    pub fn again(&self) -> Self {
        Self::of(self.0.keys().map(PathBuf::as_path))
    }
}

impl Mark {
    fn of(path: &Path) -> Self {
        let found =
            fs::canonicalize(path).and_then(|path| fs::metadata(&path).map(|seen| (path, seen)));
        match found {
            Ok((path, seen)) => Self::File {
                path,
                device: seen.dev(),
                inode: seen.ino(),
                length: seen.len(),
                modified: (seen.mtime(), seen.mtime_nsec()),
                changed: (seen.ctime(), seen.ctime_nsec()),
            },
            Err(error) => Self::Missing(error.kind()),
        }
    }
}

/// What was seen of some files, and what became of it.
#[derive(Debug, Default)]
pub struct Watch {
    /// At the last look.
    seen: Marks,
    /// Looks in a row that found something new.
    restless: u32,
    /// What is in use.
    used: Option<Marks>,
}

impl Watch {
    /// Takes a look that found `marks`, and says whether it is time to use the files: they are others
    /// than those in use, and nobody writes them.
    pub fn look(&mut self, marks: Marks) -> bool {
        self.restless = if marks == self.seen { 0 } else { self.restless + 1 };
        self.seen = marks;
        (self.restless == 0 || self.restless > LOOKS_MAX) && self.used.as_ref() != Some(&self.seen)
    }

    /// The files that are looked at, as they were last.
    #[must_use]
    pub const fn seen(&self) -> &Marks {
        &self.seen
    }

    /// The files are in use as `marks` says; or they could not be used as they are, and it is due to
    /// be tried again with each look.
    pub fn used(&mut self, marks: Marks, in_vain: bool) {
        self.restless = 0;
        self.used = (!in_vain).then(|| marks.clone());
        self.seen = marks;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn marks(path: &Path) -> Marks {
        Marks::of([path])
    }

    #[test]
    fn what_has_changed_and_is_still_is_due_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut watch = Watch::default();
        let mut look = |text: Option<&str>| {
            if let Some(text) = text {
                fs::write(&path, text).unwrap();
            }
            let due = watch.look(marks(&path));
            if due {
                watch.used(watch.seen().clone(), false);
            }
            due
        };
        assert_eq!([look(None), look(None), look(None)], [false, true, false]);
        assert_eq!([look(Some("a")), look(Some("ab")), look(None)], [false, false, true]);
        // What never rests is taken as it is, in the end.
        let restless = (0..12).filter(|n| look(Some(&"x".repeat(n + 3)))).count();
        assert_eq!(restless, 2);
    }

    #[test]
    fn what_is_in_vain_is_due_again() {
        let mut watch = Watch::default();
        assert_eq!([0; 2].map(|_| watch.look(marks(Path::new("/nowhere")))), [false, true]);
        watch.used(watch.seen().clone(), true);
        assert_eq!([0; 2].map(|_| watch.look(watch.seen().again())), [true, true]);
    }

    /// Kubernetes makes a folder with the new files, and moves a new link onto `..data`. The files
    /// can have the same lengths and times as those before.
    #[test]
    fn a_folder_swapped_beneath_links_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["..1", "..2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("tls.crt"), "same").unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/tls.crt", at("tls.crt")).unwrap();
        let before = marks(&at("tls.crt"));
        assert_eq!(before, before.again());
        symlink("..2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_ne!(before, before.again());
    }

    /// A key that was open to all is refused until its mode is right: that heals it.
    #[test]
    fn a_mode_is_seen() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        assert_eq!(marks(&path), marks(&path), "it is not there");
        fs::write(&path, "key").unwrap();
        let before = marks(&path);
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_ne!(before, marks(&path));
    }
}
