//! Tenants: their keys, wrapped by the root key, and what the region knows of them, sealed under
//! the newest key.

use minicbor::{Decode, Encode, bytes::ByteSlice};

use super::kind::{self, Kind, Malformed};
use crate::{
    model::{OkmsId, Timestamp},
    store::engine::Space,
};

/// Where these records are.
pub const SPACE: Space = Space::new("domain");

/// A tenant's key is its id.
#[must_use]
pub fn key(id: OkmsId) -> Vec<u8> {
    id.as_bytes().to_vec()
}

/// The id in a key made by [`key`].
#[must_use]
pub fn parse(key: &[u8]) -> Option<OkmsId> {
    OkmsId::from_bytes(key.try_into().ok()?).ok()
}

/// A tenant as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainRecord {
    /// Generations and their wrapped keys, oldest first.
    pub keys: Vec<(u32, Vec<u8>)>,
    /// The sealed info.
    pub info: Vec<u8>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields<'a> {
    #[b(0)]
    keys: Vec<WrappedKey<'a>>,
    #[b(1)]
    info: &'a ByteSlice,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WrappedKey<'a> {
    #[n(0)]
    generation: u32,
    #[b(1)]
    key: &'a ByteSlice,
}

impl DomainRecord {
    /// Its bytes. They are stored as they are: what is in them is wrapped and sealed.
    ///
    /// # Errors
    /// `Malformed` where it has no byte form.
    pub fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let keys = self
            .keys
            .iter()
            .map(|(generation, key)| WrappedKey { generation: *generation, key: (&**key).into() });
        kind::encode(&Fields { keys: keys.collect(), info: (&*self.info).into() })
    }

    /// The record in these bytes.
    ///
    /// # Errors
    /// `Malformed` where they are not what [`DomainRecord::encode`] makes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let Fields { keys, info } = kind::decode(bytes)?;
        let keys = keys.into_iter().map(|key| (key.generation, key.key.to_vec()));
        Ok(Self { keys: keys.collect(), info: info.to_vec() })
    }
}

/// What the region knows of a tenant, beside its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainInfo {
    /// The name that an operator gave it.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Info<'a> {
    #[b(0)]
    name: &'a str,
    #[n(1)]
    created_at: i64,
}

/// It lies within the tenant's record, sealed for that place.
impl Kind for DomainInfo {
    const SPACE: Space = SPACE;
    type Name<'a> = ();

    fn key(id: OkmsId, (): ()) -> Vec<u8> {
        key(id)
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        kind::encode(&Info { name: &self.name, created_at: self.created_at.unix_nanos() })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let Info { name, created_at } = kind::decode(bytes)?;
        Ok(Self { name: name.to_owned(), created_at: Timestamp::from_unix_nanos(created_at) })
    }
}
