//! Rotation policies of a domain, as far as it has changed what is there from the start. The key is the domain's
//! id and the policy's.

use minicbor::{Decode, Encode};

use super::kind::{self, Kind, Malformed};
use crate::{
    model::{OkmsId, RotationFields, RotationPolicy, RotationPolicyId, SecretPolicyId, Timestamp},
    store::engine::Space,
};

/// Where these records are.
pub const SPACE: Space = Space::new("rotation-policy");

/// The range of a domain's policies.
#[must_use]
pub fn all(id: OkmsId) -> (Vec<u8>, Vec<u8>) {
    (id.as_bytes().to_vec(), [id.as_bytes().as_slice(), &[0xff]].concat())
}

/// The policy's id in a key.
#[must_use]
pub fn id(key: &[u8]) -> Option<RotationPolicyId> {
    std::str::from_utf8(key.get(16..)?).ok()?.parse().ok()
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields<'a> {
    #[b(0)]
    name: &'a str,
    #[b(1)]
    description: &'a str,
    #[b(2)]
    interval: &'a str,
    #[b(3)]
    grace_period: &'a str,
    #[b(4)]
    warn_before: &'a str,
    #[n(5)]
    auto_generate: bool,
    #[b(6)]
    secret_policy: Option<&'a str>,
    #[n(7)]
    is_active: bool,
    #[n(8)]
    created_at: i64,
    #[n(9)]
    updated_at: i64,
}

impl Kind for RotationPolicy {
    const SPACE: Space = SPACE;
    type Name<'a> = &'a RotationPolicyId;

    fn key(id: OkmsId, policy: &RotationPolicyId) -> Vec<u8> {
        [id.as_bytes().as_slice(), policy.as_str().as_bytes()].concat()
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let policy = self.fields();
        kind::encode(&Fields {
            name: &policy.name,
            description: &policy.description,
            interval: policy.interval.as_typed(),
            grace_period: policy.grace_period.as_typed(),
            warn_before: policy.warn_before.as_typed(),
            auto_generate: policy.auto_generate,
            secret_policy: policy.secret_policy.as_ref().map(SecretPolicyId::as_str),
            is_active: policy.is_active,
            created_at: policy.created_at.unix_nanos(),
            updated_at: policy.updated_at.unix_nanos(),
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let fields: Fields<'_> = kind::decode(bytes)?;
        Ok(Self::new(RotationFields {
            name: fields.name.to_owned(),
            description: fields.description.to_owned(),
            interval: fields.interval.parse()?,
            grace_period: fields.grace_period.parse()?,
            warn_before: fields.warn_before.parse()?,
            auto_generate: fields.auto_generate,
            secret_policy: fields.secret_policy.map(str::parse).transpose()?,
            is_active: fields.is_active,
            created_at: Timestamp::from_unix_nanos(fields.created_at),
            updated_at: Timestamp::from_unix_nanos(fields.updated_at),
        })?)
    }
}
