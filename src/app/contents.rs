//! What is in the files that a server goes by, so that one that is cut off is told from one that was made shorter.
//!
//! Always holds: a file that was written over in place, and is a beginning of what it was and no more, is taken
//! for one that is half written, as every line of it may be right: a list of revocations, or the domain that
//! bounds a proxy, would be gone without a word. One that was put in the place of another in one step, by renaming
//! or by a link, is whole. What has a private key in it is not kept: a key that is cut off cannot be read.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{files, pki::pem};

/// What is in some files.
#[derive(Default)]
pub(super) struct Contents(BTreeMap<PathBuf, Content>);

struct Content {
    /// Which file it is, whatever bears its name: the device and the inode.
    file: (u64, u64),
    bytes: Zeroizing<Vec<u8>>,
}

impl Contents {
    /// What is in these files, as far as they can be read. It waits for the disk.
    pub(super) fn of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let read = |path: &Path| {
            let seen = fs::metadata(path).ok()?;
            let bytes = files::read(path).ok().filter(|bytes| !pem::has_private_key(bytes))?;
            Some((path.to_owned(), Content { file: (seen.dev(), seen.ino()), bytes }))
        };
        Self(paths.into_iter().filter_map(read).collect())
    }

    /// A file that has been cut off since.
    pub(super) fn cut_since(&self, before: &Self) -> Option<&Path> {
        let is_cut = |path: &Path, now: &Content| {
            let was = before.0.get(path).filter(|was| was.file == now.file);
            was.is_some_and(|was| {
                now.bytes.len() < was.bytes.len() && was.bytes.starts_with(&now.bytes)
            })
        };
        self.0.iter().find(|(path, now)| is_cut(path, now)).map(|(path, _)| path.as_path())
    }
}
