//! The customers' authorities of a domain that are managed over the API, all in one record, so that
//! no two changes of them pass each other. The key is the domain's id.

use minicbor::{Decode, Encode};

use super::kind::{self, Kind, Malformed};
use crate::{
    model::{AddedBy, CustomerCa, CustomerCas, OkmsId, Timestamp},
    store::engine::Space,
};

/// Where these records are.
pub const SPACE: Space = Space::new("customer-ca");

/// The domain in a key.
#[must_use]
pub fn domain(key: &[u8]) -> Option<OkmsId> {
    OkmsId::from_bytes(key.try_into().ok()?).ok()
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields<'a> {
    #[b(0)]
    each: Vec<One<'a>>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct One<'a> {
    #[b(0)]
    name: &'a str,
    #[b(1)]
    #[cbor(with = "minicbor::bytes")]
    certificate: &'a [u8],
    #[b(2)]
    description: &'a str,
    #[n(3)]
    is_operators: bool,
    #[n(4)]
    created_at: i64,
    #[n(5)]
    updated_at: i64,
}

impl Kind for CustomerCas {
    const SPACE: Space = SPACE;
    type Name<'a> = ();

    fn key(id: OkmsId, (): ()) -> Vec<u8> {
        id.as_bytes().to_vec()
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let each = self.iter().map(|(name, one)| One {
            name,
            certificate: &one.certificate,
            description: &one.description,
            is_operators: one.added_by == AddedBy::Operator,
            created_at: one.created_at.unix_nanos(),
            updated_at: one.updated_at.unix_nanos(),
        });
        kind::encode(&Fields { each: each.collect() })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let fields: Fields<'_> = kind::decode(bytes)?;
        let each = fields.each.into_iter().map(|one| {
            let is_operators = one.is_operators;
            let known = CustomerCa {
                certificate: one.certificate.to_vec(),
                description: one.description.to_owned(),
                added_by: if is_operators { AddedBy::Operator } else { AddedBy::Domain },
                created_at: Timestamp::from_unix_nanos(one.created_at),
                updated_at: Timestamp::from_unix_nanos(one.updated_at),
            };
            (one.name.to_owned(), known)
        });
        Ok(Self::from_stored(each)?)
    }
}
