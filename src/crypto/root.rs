//! The root key: the one key that is not in the store.

use std::{fmt, path::Path};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Prk, Salt},
};
use zeroize::Zeroizing;

use super::{Error, derive::expand, random};
use crate::{
    files::{self, FileError, FileName},
    model::OkmsId,
};

const FORMAT: u8 = 1;
const KEY_LEN: usize = 32;

/// A domain key as it is stored: wrapped by the root key for one domain and generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey(pub(super) Vec<u8>);

impl WrappedKey {
    /// The wrapped key as it was stored.
    #[must_use]
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Its bytes, which are no secret.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Whatever holds the root key and wraps domain keys with it.
pub trait RootKey: Send + Sync {
    /// A public name of the key: tells a wrong key from a damaged store.
    fn id(&self) -> [u8; 16];

    /// A tag of `text` that tells nothing of it without the key: two texts have the same tag if
    /// they are the same.
    ///
    /// # Errors
    /// `Error::Library` where the provider fails.
    fn tag(&self, text: &[u8]) -> Result<[u8; 16], Error>;

    /// Wraps a domain's key.
    ///
    /// # Errors
    /// `Error::Library` where the provider fails.
    fn wrap(
        &self,
        domain: OkmsId,
        generation: u32,
        key: &[u8; KEY_LEN],
    ) -> Result<WrappedKey, Error>;

    /// Unwraps what [`RootKey::wrap`] made for the same domain and generation.
    ///
    /// # Errors
    /// `Error::DoesNotOpen` where it was made for another, with another key, or was changed.
    fn unwrap(
        &self,
        domain: OkmsId,
        generation: u32,
        key: &WrappedKey,
    ) -> Result<Zeroizing<[u8; KEY_LEN]>, Error>;
}

/// A root key file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// It cannot be read, or must not be.
    #[error("root key file {0}")]
    File(#[from] FileError),
    /// It holds something else.
    #[error("root key file {0}: must hold 64 hexadecimal characters (32 bytes) and nothing else")]
    Malformed(FileName),
    /// The library failed.
    #[error("root key file {0}: {1}")]
    Crypto(FileName, #[source] Error),
}

/// A root key from a file of 64 hexadecimal characters.
pub struct FileRootKey {
    id: [u8; 16],
    wrapping: LessSafeKey,
    tags: Prk,
}

impl FileRootKey {
    /// Reads the key from a file that is closed to others.
    ///
    /// # Errors
    /// `RootKeyError` names the file and what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, RootKeyError> {
        files::read_private(path, |text| {
            let bytes =
                parse_hex(text.trim_ascii()).ok_or_else(|| RootKeyError::Malformed(path.into()))?;
            Self::from_bytes(&bytes).map_err(|error| RootKeyError::Crypto(path.into(), error))
        })
    }

    /// A new random key in the form of the file.
    ///
    /// # Errors
    /// `Error::Library` where there is no randomness.
    pub fn generate() -> Result<Zeroizing<String>, Error> {
        let bytes = Zeroizing::new(random::<KEY_LEN>()?);
        let mut text = Zeroizing::new(String::with_capacity(2 * KEY_LEN + 1));
        for nibble in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
            text.extend(char::from_digit(u32::from(nibble), 16));
        }
        text.push('\n');
        Ok(text)
    }

    pub(crate) fn from_bytes(bytes: &[u8; KEY_LEN]) -> Result<Self, Error> {
        let prk = Salt::new(HKDF_SHA256, b"okmsd root key v1").extract(bytes);
        let wrapping = Zeroizing::new(expand::<KEY_LEN>(&prk, &[b"wrap domain keys"])?);
        let tags = Zeroizing::new(expand::<KEY_LEN>(&prk, &[b"tag texts"])?);
        Ok(Self {
            id: key_id(&prk)?,
            wrapping: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, wrapping.as_slice())?),
            tags: Salt::new(HKDF_SHA256, b"okmsd tags v1").extract(tags.as_slice()),
        })
    }
}

fn key_id(prk: &Prk) -> Result<[u8; 16], Error> {
    expand::<16>(prk, &[b"key id"])
}

fn parse_hex(text: &[u8]) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    let mut bytes = Zeroizing::new([0; KEY_LEN]);
    if text.len() != 2 * KEY_LEN {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = digits else { return None };
        let nibble =
            |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = nibble(high)? << 4 | nibble(low)?;
    }
    Some(bytes)
}

fn aad(domain: OkmsId, generation: u32) -> Aad<Vec<u8>> {
    Aad::from(
        [b"okmsd domain key".as_slice(), domain.as_bytes(), &generation.to_be_bytes()].concat(),
    )
}

impl RootKey for FileRootKey {
    fn id(&self) -> [u8; 16] {
        self.id
    }

    fn tag(&self, text: &[u8]) -> Result<[u8; 16], Error> {
        expand::<16>(&self.tags, &[text])
    }

    fn wrap(
        &self,
        domain: OkmsId,
        generation: u32,
        key: &[u8; KEY_LEN],
    ) -> Result<WrappedKey, Error> {
        let nonce = random::<NONCE_LEN>()?;
        let mut sealed = Zeroizing::new(key.to_vec());
        let tag = self.wrapping.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            aad(domain, generation),
            &mut sealed,
        )?;
        Ok(WrappedKey([&[FORMAT], nonce.as_slice(), &sealed, tag.as_ref()].concat()))
    }

    fn unwrap(
        &self,
        domain: OkmsId,
        generation: u32,
        key: &WrappedKey,
    ) -> Result<Zeroizing<[u8; KEY_LEN]>, Error> {
        let (head, sealed) =
            key.0.split_first_chunk::<{ 1 + NONCE_LEN }>().ok_or(Error::DoesNotOpen)?;
        let (&[FORMAT], nonce) = head.split_first_chunk::<1>().ok_or(Error::DoesNotOpen)? else {
            return Err(Error::DoesNotOpen);
        };
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Error::DoesNotOpen)?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let open = self.wrapping.open_in_place(nonce, aad(domain, generation), &mut sealed);
        let open: &[u8] = open.map_err(|_| Error::DoesNotOpen)?;
        Ok(Zeroizing::new(open.try_into().map_err(|_| Error::DoesNotOpen)?))
    }
}

impl fmt::Debug for FileRootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileRootKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn id(byte: u8) -> OkmsId {
        OkmsId::from_bytes([byte; 16]).unwrap()
    }

    #[test]
    fn wraps_for_one_domain_and_generation() {
        let root = FileRootKey::from_bytes(&[1; 32]).unwrap();
        let wrapped = root.wrap(id(1), 1, &[9; 32]).unwrap();
        assert_eq!(*root.unwrap(id(1), 1, &wrapped).unwrap(), [9; 32]);
        assert_eq!(root.unwrap(id(2), 1, &wrapped), Err(Error::DoesNotOpen));
        assert_eq!(root.unwrap(id(1), 2, &wrapped), Err(Error::DoesNotOpen));
        let other = FileRootKey::from_bytes(&[2; 32]).unwrap();
        assert_ne!(root.id(), other.id());
        assert_eq!(other.unwrap(id(1), 1, &wrapped), Err(Error::DoesNotOpen));
        for at in 0..wrapped.0.len() {
            let mut edited = wrapped.clone();
            edited.0[at] ^= 1;
            assert_eq!(root.unwrap(id(1), 1, &edited), Err(Error::DoesNotOpen), "byte {at}");
        }
    }

    #[test]
    fn tags_are_of_one_text_and_one_key() {
        let (root, other) = (
            FileRootKey::from_bytes(&[1; 32]).unwrap(),
            FileRootKey::from_bytes(&[2; 32]).unwrap(),
        );
        assert_eq!(
            root.tag(b"billing"),
            FileRootKey::from_bytes(&[1; 32]).unwrap().tag(b"billing")
        );
        assert_ne!(root.tag(b"billing"), root.tag(b"billing "));
        assert_ne!(root.tag(b"billing"), other.tag(b"billing"));
        assert_ne!(root.tag(b"key id").unwrap(), root.id());
    }

    #[test]
    fn the_file_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        let write = |text: &[u8], mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        assert!(matches!(FileRootKey::load(&path), Err(RootKeyError::File(FileError::Io(..)))));
        let text = FileRootKey::generate().unwrap();
        for mode in [0o600, 0o400, 0o440] {
            write(text.as_bytes(), mode);
            FileRootKey::load(&path).unwrap();
            fs::remove_file(&path).unwrap();
        }
        for mode in [0o644, 0o604, 0o660, 0o601] {
            write(text.as_bytes(), mode);
            assert!(
                matches!(FileRootKey::load(&path), Err(RootKeyError::File(FileError::TooOpen(..)))),
                "{mode:o}"
            );
        }
        for wrong in [b"".as_slice(), b"abc", &[b'g'; 64], &[b'a'; 63], &[b'a'; 66], &[0xff; 64]] {
            write(wrong, 0o600);
            assert!(matches!(FileRootKey::load(&path), Err(RootKeyError::Malformed(..))));
        }
    }
}
