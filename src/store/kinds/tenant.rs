//! Tenants: their keys, wrapped by the root key, and what the region knows of them, sealed under
//! the newest key. No [`super::Kind`]: a tenant's record is what its keys come from, so that it
//! cannot be sealed by them as a whole.

use minicbor::{Decode, Encode, bytes::ByteSlice};

use super::kind::{self, Malformed};
use crate::{
    crypto::{Sealed, WrappedKey},
    model::{OkmsId, TenantAlias, Timestamp},
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
    pub keys: Vec<(u32, WrappedKey)>,
    /// The [`DomainInfo`], sealed for the tenant's space and key.
    pub info: Sealed,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields<'a> {
    #[b(0)]
    keys: Vec<KeyFields<'a>>,
    #[b(1)]
    info: &'a ByteSlice,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct KeyFields<'a> {
    #[n(0)]
    generation: u32,
    #[b(1)]
    key: &'a ByteSlice,
}

impl DomainRecord {
    /// Its bytes, to be stored as they are: what is in them is wrapped and sealed.
    ///
    /// # Errors
    /// `Malformed` where it has no byte form.
    pub fn encode(&self) -> Result<Sealed, Malformed> {
        let keys = self.keys.iter().map(|(generation, key)| KeyFields {
            generation: *generation,
            key: key.as_bytes().into(),
        });
        let fields = Fields { keys: keys.collect(), info: self.info.as_ref().into() };
        Ok(Sealed::public(kind::encode(&fields)?))
    }

    /// The record in these bytes.
    ///
    /// # Errors
    /// `Malformed` where they are not what [`DomainRecord::encode`] makes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let Fields { keys, info } = kind::decode(bytes)?;
        let keys =
            keys.into_iter().map(|key| (key.generation, WrappedKey::from_bytes(key.key.to_vec())));
        Ok(Self { keys: keys.collect(), info: Sealed::public(info.to_vec()) })
    }
}

/// What the region knows of a tenant, beside its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainInfo {
    /// The name that an operator gave it.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// How it is called where domains are tenants.
    pub alias: Option<TenantAlias>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Info<'a> {
    #[b(0)]
    name: &'a str,
    #[n(1)]
    created_at: i64,
    #[b(2)]
    alias: Option<&'a str>,
}

impl DomainInfo {
    /// Its bytes, to be sealed.
    ///
    /// # Errors
    /// `Malformed` where it has no byte form.
    pub fn encode(&self) -> Result<Vec<u8>, Malformed> {
        kind::encode(&Info {
            name: &self.name,
            created_at: self.created_at.unix_nanos(),
            alias: self.alias.as_ref().map(TenantAlias::as_str),
        })
    }

    /// The info in these bytes.
    ///
    /// # Errors
    /// `Malformed` where they are not what [`DomainInfo::encode`] makes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let Info { name, created_at, alias } = kind::decode(bytes)?;
        Ok(Self {
            name: name.to_owned(),
            created_at: Timestamp::from_unix_nanos(created_at),
            alias: alias.map(str::parse).transpose()?,
        })
    }
}
