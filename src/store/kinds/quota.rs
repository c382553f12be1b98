//! What a tenant may take, where an operator has said so. The key is the tenant's id.

use minicbor::{Decode, Encode};

use super::kind::{self, Kind, Malformed};
use crate::{
    model::{OkmsId, Quota, Rate},
    store::engine::Space,
};

/// Where these records are.
pub const SPACE: Space = Space::new("quota");

/// The tenant whose quota is under this key.
#[must_use]
pub fn tenant(key: &[u8]) -> Option<OkmsId> {
    OkmsId::from_bytes(key.try_into().ok()?).ok()
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields {
    #[n(0)]
    requests: Option<RateFields>,
    #[n(1)]
    writes: Option<RateFields>,
    #[n(2)]
    subject_requests: Option<RateFields>,
    #[n(3)]
    tokens: Option<u64>,
    #[n(4)]
    secrets: Option<u64>,
    #[n(5)]
    bytes: Option<u64>,
    #[n(6)]
    subject_writes: Option<RateFields>,
    #[n(7)]
    weight: Option<u64>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct RateFields {
    #[n(0)]
    thousandths: u64,
    #[n(1)]
    burst: u64,
}

impl From<Rate> for RateFields {
    fn from(rate: Rate) -> Self {
        Self { thousandths: rate.thousandths(), burst: rate.burst() }
    }
}

impl TryFrom<RateFields> for Rate {
    type Error = Malformed;

    fn try_from(fields: RateFields) -> Result<Self, Malformed> {
        Ok(Self::new(fields.thousandths, Some(fields.burst))?)
    }
}

impl Kind for Quota {
    const SPACE: Space = SPACE;
    type Name<'a> = ();

    fn key(id: OkmsId, (): ()) -> Vec<u8> {
        id.as_bytes().to_vec()
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let Self {
            requests,
            writes,
            subject_requests,
            subject_writes,
            tokens,
            secrets,
            bytes,
            weight,
        } = *self;
        kind::encode(&Fields {
            requests: requests.map(Into::into),
            writes: writes.map(Into::into),
            subject_requests: subject_requests.map(Into::into),
            tokens,
            secrets,
            bytes,
            subject_writes: subject_writes.map(Into::into),
            weight,
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let fields: Fields = kind::decode(bytes)?;
        let rate = |fields: Option<RateFields>| fields.map(Rate::try_from).transpose();
        Ok(Self {
            requests: rate(fields.requests)?,
            writes: rate(fields.writes)?,
            subject_requests: rate(fields.subject_requests)?,
            tokens: fields.tokens,
            secrets: fields.secrets,
            bytes: fields.bytes,
            subject_writes: rate(fields.subject_writes)?,
            weight: fields.weight,
        }
        .check()?)
    }
}
