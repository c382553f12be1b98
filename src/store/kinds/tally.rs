//! What a domain's policies, rules and users take together, beside the policies: `okmsId, 255`. Every change
//! of one of them writes it, so that no two changes that stand on the same state both pass.

use minicbor::{Decode, Encode};

use super::{
    kind::{self, Kind, Malformed},
    policy,
};
use crate::{
    model::{OkmsId, Tally},
    store::engine::Space,
};

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields {
    #[n(0)]
    iam: u64,
    #[n(1)]
    vault: u64,
    #[n(2)]
    rules: u64,
    #[n(3)]
    bytes: u64,
    #[n(4)]
    inner_stars: u64,
    #[n(5)]
    #[cbor(default)]
    comparisons: u64,
    #[n(6)]
    users: Option<u64>,
}

impl Kind for Tally {
    const SPACE: Space = policy::SPACE;
    type Name<'a> = ();

    fn key(id: OkmsId, (): ()) -> Vec<u8> {
        [id.as_bytes().as_slice(), &[255]].concat()
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let Self { iam, vault, rules, users, bytes, inner_stars, comparisons } = *self;
        let users = Some(users);
        kind::encode(&Fields { iam, vault, rules, bytes, inner_stars, comparisons, users })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let fields: Fields = kind::decode(bytes)?;
        let Fields { iam, vault, rules, bytes, inner_stars, comparisons, users } = fields;
        // Of the time before users were counted: whoever reads it counts anew.
        let users = users.ok_or(Malformed)?;
        Ok(Self { iam, vault, rules, users, bytes, inner_stars, comparisons })
    }
}
