//! Policies of a domain in Vault's language, among its others: `okmsId, 1, name`.

use minicbor::{Decode, Encode};

use super::{
    kind::{self, Kind, Malformed},
    policy,
};
use crate::{
    model::{OkmsId, Timestamp, VaultPolicy},
    store::engine::Space,
};

/// The range of a domain's policies in Vault's language.
#[must_use]
pub fn all(id: OkmsId) -> (Vec<u8>, Vec<u8>) {
    ([id.as_bytes().as_slice(), &[1]].concat(), [id.as_bytes().as_slice(), &[2]].concat())
}

/// The policy's name in a key.
#[must_use]
pub fn name(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.get(17..)?).ok()
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields<'a> {
    #[b(0)]
    text: &'a str,
    #[n(1)]
    created_at: i64,
    #[n(2)]
    updated_at: i64,
}

impl Kind for VaultPolicy {
    const SPACE: Space = policy::SPACE;
    type Name<'a> = &'a str;

    fn key(id: OkmsId, policy: &str) -> Vec<u8> {
        [id.as_bytes().as_slice(), &[1], policy.as_bytes()].concat()
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        kind::encode(&Fields {
            text: &self.text,
            created_at: self.created_at.unix_nanos(),
            updated_at: self.updated_at.unix_nanos(),
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let fields: Fields<'_> = kind::decode(bytes)?;
        Ok(Self {
            text: fields.text.to_owned(),
            created_at: Timestamp::from_unix_nanos(fields.created_at),
            updated_at: Timestamp::from_unix_nanos(fields.updated_at),
        })
    }
}
