//! Users of a domain. The key is the domain's id and the user's name.

use minicbor::{Decode, Encode};

use super::{
    kind::{self, Kind, Malformed},
    policy::{owned, texts},
};
use crate::{
    model::{OkmsId, PasswordHash, Timestamp, User},
    store::engine::Space,
};

/// Where these records are.
pub const SPACE: Space = Space::new("user");

/// The range of a domain's users.
#[must_use]
pub fn all(id: OkmsId) -> (Vec<u8>, Vec<u8>) {
    (id.as_bytes().to_vec(), [id.as_bytes().as_slice(), &[0xff]].concat())
}

/// The user's name in a key.
#[must_use]
pub fn name(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.get(16..)?).ok()
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields<'a> {
    #[b(0)]
    password: &'a str,
    #[b(1)]
    policies: Vec<&'a str>,
    #[n(2)]
    token_ttl: u64,
    #[n(3)]
    token_max_ttl: u64,
    #[n(4)]
    created_at: i64,
    #[n(5)]
    updated_at: i64,
    #[b(6)]
    metadata: Option<Vec<(&'a str, &'a str)>>,
}

/// The form of one with metadata, which policies can deny by.
const DESCRIBED: u8 = kind::FORM + 1;

impl Kind for User {
    const SPACE: Space = SPACE;
    type Name<'a> = &'a str;

    fn key(id: OkmsId, user: &str) -> Vec<u8> {
        [id.as_bytes().as_slice(), user.as_bytes()].concat()
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let metadata = self.metadata.iter().map(|(name, text)| (&**name, &**text));
        let metadata = Some(metadata.collect::<Vec<_>>()).filter(|all| !all.is_empty());
        let form = if metadata.is_some() { DESCRIBED } else { kind::FORM };
        let fields = Fields {
            password: self.password.expose(),
            policies: texts(&self.policies),
            token_ttl: self.token_ttl,
            token_max_ttl: self.token_max_ttl,
            created_at: self.created_at.unix_nanos(),
            updated_at: self.updated_at.unix_nanos(),
            metadata,
        };
        kind::encode_as(form, &fields)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let fields: Fields<'_> = kind::decode_up_to(DESCRIBED, bytes)?;
        Ok(Self {
            password: PasswordHash::new(fields.password.to_owned()),
            policies: owned(&fields.policies),
            metadata: fields
                .metadata
                .into_iter()
                .flatten()
                .map(|(name, text)| (name.to_owned(), text.to_owned()))
                .collect(),
            token_ttl: fields.token_ttl,
            token_max_ttl: fields.token_max_ttl,
            created_at: Timestamp::from_unix_nanos(fields.created_at),
            updated_at: Timestamp::from_unix_nanos(fields.updated_at),
        })
    }
}
