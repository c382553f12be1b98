//! Reading the files that hold keys, certificates and passwords.
//!
//! Always holds: what was read is wiped when it is dropped; a file with a secret in it is refused
//! where others than its owner and his group could read it; an error names the file, and never
//! shows a "name" that is itself key material. Never does: understand what is in a file.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// The largest file that is read: more than any bundle of authorities.
const BYTES_MAX: u64 = MIB;
const MIB: u64 = 1 << 20;

/// A file that cannot be read, or must not be.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system does not let it be read.
    #[error("{0}: {1}")]
    Io(FileName, #[source] io::Error),
    /// Others than its owner and group can read it, or its group can write it.
    #[error(
        "{0}: is open to others (mode {1:o}); run chmod 600 on it, or chmod 440 where the group must read it"
    )]
    TooOpen(FileName, u32),
    /// More bytes than what belongs there has.
    #[error("{0}: is larger than {1} MiB, which nothing is that belongs here")]
    TooLarge(FileName, u64),
}

/// A file's name as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName(PathBuf);

impl From<&Path> for FileName {
    fn from(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if holds_a_key(&self.0) {
            return f.write_str(
                "(the name of a file is wanted here, and this is what belongs into the file)",
            );
        }
        self.0.display().fmt(f)
    }
}

/// Whether a "name" is the content that belongs into the file, as `--key "$(cat key.pem)"` makes
/// it.
#[must_use]
pub fn holds_a_key(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let last = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let is_hex = last.len() == 64 && last.bytes().all(|byte| byte.is_ascii_hexdigit());
    // PEM or DER once more in base64, as secrets of Kubernetes are.
    let is_base64 = text.len() >= 64
        && ["LS0tLS1", "MI", "MC", "MF", "MH"].iter().any(|front| text.starts_with(front))
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte));
    is_hex
        || is_base64
        || text.contains("-----BEGIN")
        || text.contains(['\n', '\r'])
        || text.len() > 4096
}

/// What is in a file that anybody may read.
///
/// # Errors
/// `FileError` names the file.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    read_up_to(BYTES_MAX, path)
}

/// What is in a file that anybody may read, of at most so many bytes.
///
/// # Errors
/// `FileError` names the file.
pub fn read_up_to(bytes_max: u64, path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let file = File::open(path).map_err(|error| FileError::Io(path.into(), error))?;
    read_whole(bytes_max, path, file)
}

/// What `parse` finds in a file that holds a secret. Its owner may read and write the file, its
/// group may read it (mounted secrets need that), nobody else may do anything. What is wrong with
/// the content is said first: a certificate in a key's place is rightly open to all.
///
/// # Errors
/// `FileError` names the file; the rest is `parse`'s.
pub fn read_private<T, E: From<FileError>>(
    path: &Path,
    parse: impl FnOnce(&[u8]) -> Result<T, E>,
) -> Result<T, E> {
    read_guarded(path, |_| true, parse)
}

/// What `parse` finds in a file that may be open to all, unless `is_secret` says of its content
/// that it must not.
///
/// # Errors
/// As [`read_private`].
pub fn read_guarded<T, E: From<FileError>>(
    path: &Path,
    is_secret: impl FnOnce(&[u8]) -> bool,
    parse: impl FnOnce(&[u8]) -> Result<T, E>,
) -> Result<T, E> {
    let io = |error| FileError::Io(path.into(), error);
    let file = File::open(path).map_err(io)?;
    // Of the file that was opened, whatever bears its name by now.
    let metadata = file.metadata().map_err(io)?;
    let mode = metadata.permissions().mode() & 0o777;
    let bytes = read_whole(BYTES_MAX, path, file)?;
    let parsed = parse(&bytes)?;
    if metadata.is_file() && mode & 0o037 != 0 && is_secret(&bytes) {
        return Err(FileError::TooOpen(path.into(), mode).into());
    }
    Ok(parsed)
}

fn read_whole(bytes_max: u64, path: &Path, file: File) -> Result<Zeroizing<Vec<u8>>, FileError> {
    // Large enough from the beginning, so that no copy is left behind by growing.
    let size = file.metadata().map_or(0, |metadata| metadata.len()).min(bytes_max);
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        usize::try_from(size).unwrap_or_default().saturating_add(1),
    ));
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| FileError::Io(path.into(), error))?;
    if bytes.len() as u64 > bytes_max {
        return Err(FileError::TooLarge(path.into(), bytes_max / MIB));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn secrets_are_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        fs::write(&path, "secret").unwrap();
        for (mode, fine) in [
            (0o600, true),
            (0o400, true),
            (0o440, true),
            (0o644, false),
            (0o604, false),
            (0o660, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let read = read_private(&path, |bytes| Ok::<_, FileError>(bytes.len()));
            assert_eq!(read.is_ok(), fine, "{mode:o}");
            assert!(fine || read.unwrap_err().to_string().contains("chmod 600"));
        }
        assert_eq!(super::read(&path).unwrap().as_slice(), b"secret");
        fs::write(&path, vec![b'x'; (1 << 20) + 1]).unwrap();
        assert!(matches!(super::read(&path), Err(FileError::TooLarge(_, 1))));
    }

    /// `OKMSD_KEYS__ROOT_KEY="$(cat root.key)"` made the key a file's name, and the error said that
    /// name.
    #[test]
    fn a_key_in_the_place_of_a_name_is_not_shown() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----";
        for name in
            [key.to_owned(), format!("/etc/okmsd/{key}"), format!("/etc/okmsd/{}", "0a".repeat(32))]
        {
            let said =
                read_private(Path::new(&name), |_| Ok::<_, FileError>(())).unwrap_err().to_string();
            assert!(
                said.contains("name of a file") && !said.contains("MIGH") && !said.contains("0a0a"),
                "{said}"
            );
        }
        // What `base64 -w0` makes of a PEM file, and the inside of one.
        for front in ["LS0tLS1CRUdJTiBQUklWQVRF", "MIGHAgEAMBMGByqGSM49", "MC4CAQAwBQYDK2VwBCIEIA"]
        {
            assert!(holds_a_key(Path::new(&format!("{front}{}", "Zm9v".repeat(20)))), "{front}");
        }
        assert!(!holds_a_key(Path::new("MIRROR/keys/server.pem")));
        assert!(
            read(Path::new("/nowhere/key.pem"))
                .unwrap_err()
                .to_string()
                .starts_with("/nowhere/key.pem: ")
        );
    }
}
