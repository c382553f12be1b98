//! Folders whose secrets are being removed, as their mount is gone: from the mount's end until the
//! last of them is done.
//!
//! | key | record |
//! | --- | --- |
//! | zeros, okmsId, folder | when the mount went, and for how many seconds its secrets can be restored (8 bytes each, big-endian) |
//!
//! None is sealed: paths are in keys anyway, and whoever goes on with it after a start looks for it in
//! the whole region.

use crate::{
    crypto::Sealed,
    model::{OkmsId, Timestamp},
    store::engine::{Op, Space},
};

/// Where these records are.
pub const SPACE: Space = Space::new("leaving");

/// The nil id is no tenant's.
const REGION: [u8; 16] = [0; 16];

/// A folder whose secrets are being removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Whose it is.
    pub id: OkmsId,
    /// What the paths of its secrets begin with: a folder with a slash at its end.
    pub folder: String,
    /// When the mount went.
    pub at: Timestamp,
    /// For how many seconds the secrets can be restored.
    pub seconds: u64,
}

impl Leaving {
    /// Its key.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        [&REGION, self.id.as_bytes().as_slice(), self.folder.as_bytes()].concat()
    }

    /// What stores it.
    #[must_use]
    pub fn put(&self) -> Op {
        let (at, seconds) = (self.at.unix_nanos().to_be_bytes(), self.seconds.to_be_bytes());
        Op::Put(SPACE, self.key(), Sealed::public([at, seconds].concat()))
    }

    /// What is stored under a key.
    #[must_use]
    pub fn parse(key: &[u8], bytes: &[u8]) -> Option<Self> {
        let (id, folder) = key.strip_prefix(REGION.as_slice())?.split_first_chunk()?;
        let (at, seconds) = bytes.split_first_chunk()?;
        Some(Self {
            id: OkmsId::from_bytes(*id).ok()?,
            folder: std::str::from_utf8(folder).ok()?.to_owned(),
            at: Timestamp::from_unix_nanos(i64::from_be_bytes(*at)),
            seconds: u64::from_be_bytes(seconds.try_into().ok()?),
        })
    }
}

/// The range of all of them.
#[must_use]
pub fn all() -> (Vec<u8>, Vec<u8>) {
    (REGION.to_vec(), [REGION.as_slice(), &[0xff; 17]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_read_back() {
        let leaving = Leaving {
            id: OkmsId::from_bytes([7; 16]).unwrap(),
            folder: "team/x/".to_owned(),
            at: Timestamp::from_unix_seconds(5),
            seconds: 9,
        };
        let Op::Put(_, key, value) = leaving.put() else { panic!("it is a put") };
        assert_eq!(Leaving::parse(&key, &Vec::from(value.into_bytes())), Some(leaving));
        assert!(all().0 < key && key < all().1);
        assert_eq!(Leaving::parse(&key, &[0; 15]), None);
    }
}
