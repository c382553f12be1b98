//! The revocation lists that domains give for their authorities, each as its authority has signed it.
//! The key is the domain's id and the list's, which the authority's record names: who has the one
//! without the other knows that something is missing.

use minicbor::{Decode, Encode};

use super::kind::{self, Kind, Malformed};
use crate::{model::OkmsId, store::engine::Space};

/// Where these records are.
pub const SPACE: Space = Space::new("customer-ca-list");

/// A list, DER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedList(pub Vec<u8>);

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields<'a> {
    #[b(0)]
    #[cbor(with = "minicbor::bytes")]
    list: &'a [u8],
}

impl Kind for SignedList {
    const SPACE: Space = SPACE;
    type Name<'a> = [u8; 16];

    fn key(id: OkmsId, list: [u8; 16]) -> Vec<u8> {
        [*id.as_bytes(), list].concat()
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        kind::encode(&Fields { list: &self.0 })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let fields: Fields<'_> = kind::decode(bytes)?;
        Ok(Self(fields.list.to_vec()))
    }
}
