//! How often secrets were read: one record each, beside its header, under the same key in a space of
//! its own. It says of which secret it is by when that was made, so that a later one of the same path
//! does not come by another's count.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use super::{
    header,
    kind::{self, Kind, Malformed},
};
use crate::{
    model::{AccessCount, OkmsId, SecretPath, Timestamp},
    store::engine::Space,
};

/// Where these records are.
pub const SPACE: Space = Space::new("access");

/// The count of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// When the secret was made.
    pub of: Timestamp,
    /// The count.
    pub count: AccessCount,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields {
    #[n(0)]
    of: i64,
    #[n(1)]
    last: i64,
    #[n(2)]
    days: BTreeMap<u32, u32>,
}

impl Kind for Access {
    const SPACE: Space = SPACE;
    type Name<'a> = &'a SecretPath;

    fn key(id: OkmsId, path: &SecretPath) -> Vec<u8> {
        header::key(id, path)
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        kind::encode(&Fields {
            of: self.of.unix_nanos(),
            last: self.count.last.unix_nanos(),
            days: self.count.days().collect(),
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let Fields { of, last, days } = kind::decode(bytes)?;
        let count = AccessCount::new(Timestamp::from_unix_nanos(last), days);
        Ok(Self { of: Timestamp::from_unix_nanos(of), count })
    }
}
