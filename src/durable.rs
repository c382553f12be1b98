//! Files that are there whole or not at all, and names that outlast the power.
//!
//! Always holds: what takes the place of a file was on the disk before. Never does: say what is in a
//! file, or where it is.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// The name with `ending` behind it.
#[must_use]
pub fn behind(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The folder of a file.
#[must_use]
pub fn folder(path: &Path) -> Option<&Path> {
    path.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

/// Makes durable which files the folder of this one has.
///
/// # Errors
/// The system's.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    folder(path).map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Removes a file, if it is there.
///
/// # Errors
/// The system's.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Writes what is to take the place of `path`, on the disk: a file with that mode, `.new` behind its
/// name.
///
/// # Errors
/// The system's.
pub fn draft(path: &Path, bytes: &[u8], mode: u32) -> io::Result<PathBuf> {
    let draft = behind(path, ".new");
    // What an earlier end has left behind must not lend its mode.
    remove(&draft)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(draft)
}

/// Writes a file whole or not at all, whenever the process or the machine ends; durably.
///
/// # Errors
/// The system's; the file may be there in whole then.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    fs::rename(draft(path, bytes, mode)?, path)?;
    sync_folder(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_takes_the_place_of_another_with_its_own_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        fs::write(&path, "old").unwrap();
        // As a process leaves it that was ended in between, open to all.
        fs::write(behind(&path, ".new"), "a longer text that is not whole").unwrap();
        replace(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }
}
