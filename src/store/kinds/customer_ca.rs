//! The customers' authorities of a domain that are managed over the API, all in one record, so that
//! no two changes of them pass each other. The key is the domain's id.

use minicbor::{Decode, Encode};

use super::kind::{self, Kind, Malformed};
use crate::{
    model::{AddedBy, CustomerCa, CustomerCaList, CustomerCas, OkmsId, Timestamp},
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
    #[n(6)]
    list: Option<List>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct List {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    id: [u8; 16],
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    number: Option<Vec<u8>>,
    #[n(2)]
    this_update: i64,
    #[n(3)]
    next_update: i64,
    #[n(4)]
    revoked: u32,
    #[n(5)]
    is_lenient: bool,
    #[n(6)]
    updated_at: i64,
}

impl From<&CustomerCaList> for List {
    fn from(list: &CustomerCaList) -> Self {
        Self {
            id: list.id,
            number: list.number.clone(),
            this_update: list.this_update,
            next_update: list.next_update,
            revoked: list.revoked,
            is_lenient: list.is_lenient,
            updated_at: list.updated_at.unix_nanos(),
        }
    }
}

impl From<List> for CustomerCaList {
    fn from(list: List) -> Self {
        let List { id, number, this_update, next_update, revoked, is_lenient, updated_at } = list;
        let updated_at = Timestamp::from_unix_nanos(updated_at);
        Self { id, number, this_update, next_update, revoked, is_lenient, updated_at }
    }
}

/// The form of authorities of which one has a list.
const LISTED: u8 = kind::FORM + 1;

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
            list: one.list.as_ref().map(List::from),
        });
        // Whoever passed over a list would let in who is on it.
        let is_listed = self.iter().any(|(_, one)| one.list.is_some());
        let form = if is_listed { LISTED } else { kind::FORM };
        kind::encode_as(form, &Fields { each: each.collect() })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let fields: Fields<'_> = kind::decode_up_to(LISTED, bytes)?;
        let each = fields.each.into_iter().map(|one| {
            let is_operators = one.is_operators;
            let known = CustomerCa {
                certificate: one.certificate.to_vec(),
                description: one.description.to_owned(),
                added_by: if is_operators { AddedBy::Operator } else { AddedBy::Domain },
                created_at: Timestamp::from_unix_nanos(one.created_at),
                updated_at: Timestamp::from_unix_nanos(one.updated_at),
                list: one.list.map(Into::into),
            };
            (one.name.to_owned(), known)
        });
        Ok(Self::from_stored(each)?)
    }
}
