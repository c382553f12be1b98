//! Keeping what has become of rotations, as a policy's history has it.

use crate::{
    crypto::DomainKeys,
    model::{OkmsId, ROTATION_EVENTS_MAX, RotationEvent, RotationPolicy, RotationPolicyId},
    service::{
        ChangeName, Error,
        records::{Draft, keys_of},
        scope::Scope,
        unit::{Change, OneRecord},
    },
    store::{engine::Snapshot, kinds::rotation_event},
};

/// Keeps what has failed in the policy's history, while there is such a policy.
pub(super) async fn record(
    scope: &Scope,
    keys: &DomainKeys,
    id: &RotationPolicyId,
    event: &RotationEvent,
) -> Result<(), Error> {
    let surplus = surplus(&*scope.engine().snapshot().await?, keys.id(), id).await?;
    let change = Change { name: ChangeName::RecordRotation, turns: &[], by: None };
    let basis = OneRecord::of::<RotationPolicy>(keys, id);
    scope
        .unit(change, keys, basis, |found, draft| {
            if found.is_some() || RotationPolicy::is_built_in(id) {
                keep(draft, (id, event), &surplus)?;
            }
            Ok(())
        })
        .await
}

/// Drafts an event of a policy in the place of the oldest.
pub(super) fn keep(
    draft: &mut Draft<'_>,
    (id, event): (&RotationPolicyId, &RotationEvent),
    surplus: &[Vec<u8>],
) -> Result<(), Error> {
    for key in surplus {
        draft.delete(rotation_event::SPACE, key.clone());
    }
    draft.put((id, event), event)
}

/// Whether it is the secret that cannot be rotated, whoever tries: that is kept.
pub(super) const fn is_of_secret(error: &Error) -> bool {
    matches!(
        error,
        Error::Fields(_)
            | Error::Refused(_)
            | Error::Invalid(_)
            | Error::Excess(_)
            | Error::Corrupt(_)
    )
}

/// Why one secret was not rotated, where others may well be.
pub(super) fn why(error: &Error) -> Option<String> {
    match error {
        Error::Fields(faults) => {
            Some(faults.iter().map(|(_, rule)| rule).collect::<Vec<_>>().join("; "))
        }
        Error::SecretNotFound => Some("there is no such secret with this policy".to_owned()),
        Error::Busy => Some("too many are being rotated; try again".to_owned()),
        Error::SecretRemoved(_) | Error::Denied(_) | Error::PdpDenied { .. } | Error::Contended => {
            Some(error.to_string())
        }
        _ if is_of_secret(error) => Some(error.to_string()),
        _ => None,
    }
}

/// The keys of a policy's events that are to go when there is another one.
pub(super) async fn surplus(
    snapshot: &dyn Snapshot,
    id: OkmsId,
    policy: &RotationPolicyId,
) -> Result<Vec<Vec<u8>>, Error> {
    let range = rotation_event::of_policy(id, policy);
    let mut keys = keys_of(snapshot, rotation_event::SPACE, range).await?;
    keys.truncate((keys.len() + 1).saturating_sub(ROTATION_EVENTS_MAX));
    Ok(keys)
}
