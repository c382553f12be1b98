//! What has become of rotations by a policy. The key is the domain's id, the policy's id, 0, the moment in
//! nanoseconds since 1970 (8 bytes, big-endian), the new version's number (4 bytes; 0 where there is none), and the
//! secret's path.

use minicbor::{Decode, Encode};

use super::kind::{self, Kind, Malformed};
use crate::{
    model::{OkmsId, RotationEvent, RotationOutcome, RotationPolicyId, Timestamp, VersionNumber},
    store::engine::Space,
};

/// Where these records are.
pub const SPACE: Space = Space::new("rotation-event");

/// The range of a policy's events, the oldest first.
#[must_use]
pub fn of_policy(id: OkmsId, policy: &RotationPolicyId) -> (Vec<u8>, Vec<u8>) {
    let range = |end: u8| [id.as_bytes().as_slice(), policy.as_str().as_bytes(), &[end]].concat();
    (range(0), range(1))
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields<'a> {
    #[b(0)]
    path: &'a str,
    #[n(1)]
    at: i64,
    #[n(2)]
    old_version: u32,
    /// None where there is none.
    #[n(3)]
    new_version: Option<u32>,
    #[b(4)]
    error: Option<&'a str>,
    #[b(5)]
    reason: Option<&'a str>,
}

impl Kind for RotationEvent {
    const SPACE: Space = SPACE;
    type Name<'a> = (&'a RotationPolicyId, &'a Self);

    fn key(id: OkmsId, (policy, event): Self::Name<'_>) -> Vec<u8> {
        let nanos = u64::try_from(event.at.unix_nanos()).unwrap_or_default().to_be_bytes();
        let number = match event.outcome {
            RotationOutcome::Rotated(number) => number.get(),
            RotationOutcome::Failed(_) => 0,
        };
        let path = event.path.as_str().as_bytes();
        [&*of_policy(id, policy).0, &nanos, &number.to_be_bytes(), path].concat()
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let (new_version, error) = match &self.outcome {
            RotationOutcome::Rotated(number) => (Some(number.get()), None),
            RotationOutcome::Failed(error) => (None, Some(&**error)),
        };
        kind::encode(&Fields {
            path: self.path.as_str(),
            at: self.at.unix_nanos(),
            old_version: self.old_version,
            new_version,
            error,
            reason: self.reason.as_deref(),
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let fields: Fields<'_> = kind::decode(bytes)?;
        let outcome = match fields.new_version {
            Some(number) => RotationOutcome::Rotated(VersionNumber::new(number)?),
            None => RotationOutcome::Failed(fields.error.unwrap_or_default().into()),
        };
        Ok(Self {
            path: fields.path.parse()?,
            at: Timestamp::from_unix_nanos(fields.at),
            old_version: fields.old_version,
            outcome,
            reason: fields.reason.map(Into::into),
        })
    }
}
