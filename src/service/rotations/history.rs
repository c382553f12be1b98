//! What has become of rotations, as a policy tells it; and the rotation of all that a policy is attached to.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    events::{is_of_secret, record, why},
    rotate::{Occasion, Rotate, Rotations, ValueRules},
};
use crate::{
    auth::{Action, Detail, Permit, Resource, Thing, pdp::Purpose},
    model::{
        Faults, RotationEvent, RotationOutcome, RotationPolicy, RotationPolicyId, SecretPath,
        Timestamp,
    },
    service::{
        Error,
        cursor::{self, FORGED, Listing, Page},
        policies,
        records::{Reader, keys_of, open},
        secrets::may_see,
    },
    store::{
        engine::{Read, Snapshot},
        kinds::{
            Malformed, rotation_event,
            secret_index::{self, Part},
        },
    },
};

/// The most secrets that are rotated by one request.
const AT_ONCE_MAX: usize = 100;
/// After so long no other is begun within it.
const BEGIN_TIME: Duration = Duration::from_secs(20);

/// What of a policy's history is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationHistory {
    /// All of it.
    Everything,
    /// What succeeded.
    Rotated,
    /// What failed.
    Failed,
}

impl RotationHistory {
    const fn has(self, outcome: &RotationOutcome) -> bool {
        match self {
            Self::Everything => true,
            Self::Rotated => matches!(outcome, RotationOutcome::Rotated(_)),
            Self::Failed => matches!(outcome, RotationOutcome::Failed(_)),
        }
    }
}

impl Rotations {
    /// A page of what has become of rotations by a policy, the newest first, of secrets that may be seen.
    ///
    /// # Errors
    /// `Error::RotationPolicyNotFound`; `Error::Invalid` for a cursor that is not of this list.
    pub async fn history(
        &self,
        permit: &Permit,
        id: &RotationPolicyId,
        which: RotationHistory,
        cursor: Option<&[u8]>,
        limit: usize,
    ) -> Result<Page<RotationEvent>, Error> {
        permit.check(Action::ConfigGet, Resource::Tenant)?;
        permit.lists(Action::SecretGet, "");
        let keys = self.scope.keys(permit).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        let reader = Reader { snapshot: &*snapshot, keys: &keys };
        if reader.find::<RotationPolicy>(id).await?.is_none() && !RotationPolicy::is_built_in(id) {
            return Err(Error::RotationPolicyNotFound);
        }
        let (from, mut to) = rotation_event::of_policy(keys.id(), id);
        if let Some(cursor) = cursor {
            let last = cursor::open(&keys, Listing::Rotations, cursor)?;
            if last < from || to < last {
                return Err(FORGED.into());
            }
            to = last;
        }
        // There are few.
        let names = keys_of(&*snapshot, rotation_event::SPACE, (from, to)).await?;
        let parts: Vec<_> = names.iter().map(|key| Read::Key(rotation_event::SPACE, key)).collect();
        let mut events = Vec::new();
        let mut last = None;
        for (key, found) in names.iter().zip(snapshot.read(&parts).await?).rev() {
            let Some(found) = found? else { continue };
            // One that is damaged hides no other.
            let event = match open::<RotationEvent>(&keys, key, &found.record.bytes) {
                Err(Error::Corrupt(_)) => continue,
                event => event?,
            };
            if which.has(&event.outcome) && may_see(permit, Resource::Secret(&event.path)) {
                if events.len() == limit {
                    let last: Option<&Vec<u8>> = last;
                    let seal = |last: &Vec<u8>| cursor::seal(&keys, Listing::Rotations, last);
                    return Ok((events, last.map(seal).transpose()?));
                }
                events.push(event);
                last = Some(key);
            }
        }
        Ok((events, None))
    }

    /// Rotates what a policy is attached to: these secrets, or all of them; and tells what has become of each. One
    /// that cannot be rotated keeps no other.
    ///
    /// # Errors
    /// `Error::RotationPolicyNotFound`; `Error::Fields` where the policy makes no values, or there are too many.
    pub async fn rotate_all(
        &self,
        permit: &Permit,
        id: &RotationPolicyId,
        paths: Option<Vec<SecretPath>>,
        rules: ValueRules,
        now: Timestamp,
    ) -> Result<Vec<RotationEvent>, Error> {
        // Each of them is judged by itself.
        permit.check_here(Action::VersionCreate, Resource::Below(""))?;
        permit.learns(Detail::About(Thing::Policy, id.as_str()));
        let keys = self.scope.keys(permit).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        let reader = Reader { snapshot: &*snapshot, keys: &keys };
        let policy = policies::find(&reader, id, now).await?;
        let policy = policy.ok_or(Error::RotationPolicyNotFound)?;
        if !policy.fields().auto_generate {
            let rule =
                "true, so that there are new values; or rotate each secret with its new value";
            return Err(Faults::one("auto_generate", rule).into());
        }
        let are_named = paths.is_some();
        let paths = match paths {
            Some(paths) => paths,
            None => attached(&*snapshot, permit, id).await?,
        };
        drop(snapshot);
        if paths.len() > AT_ONCE_MAX {
            return Err(Faults::one("secret_paths", "the paths of 1 to 100 secrets").into());
        }
        if let Some(ahead) = permit.ahead() {
            let ahead = ahead.meant_for(Purpose::Rotate);
            for path in &paths {
                ahead.expects(Action::VersionCreate, Resource::Secret(path));
            }
            self.scope.foresee(&ahead).await?;
        }
        let (begun, by_policy) = (Instant::now(), Rotate::by_policy(rules));
        let mut events = Vec::with_capacity(paths.len());
        for path in paths {
            let by = (&by_policy, Occasion::Policy(id));
            let item = permit.item(path.as_str());
            let item = item.meant_for(Purpose::Rotate);
            let outcome = match item.check(Action::VersionCreate, Resource::Secret(&path)) {
                Ok(()) if begun.elapsed() < BEGIN_TIME => {
                    self.carry_out(&item, &path, by, now).await
                }
                Ok(()) => Err(Error::Busy),
                Err(denied) => Err(denied.into()),
            };
            let (old_version, outcome, is_kept) = match outcome {
                Ok(Some(done)) => (done.previous, RotationOutcome::Rotated(done.number), false),
                Ok(None) => return Err(Error::Contended),
                // As of one that policies do not let him rotate, nobody who has not named it is told of it.
                Err(Error::PdpDenied { .. }) if !are_named => {
                    item.learns(Detail::Failed(None));
                    continue;
                }
                Err(error) => {
                    // What is wrong with the store is wrong with all of them.
                    item.learns(Detail::Failed(None));
                    let Some(why) = why(&error) else { return Err(error) };
                    (0, RotationOutcome::Failed(why.into()), is_of_secret(&error))
                }
            };
            let event = RotationEvent { path, at: now, old_version, outcome, reason: None };
            if is_kept {
                record(&self.scope, &keys, id, &event).await?;
            }
            events.push(event);
        }
        Ok(events)
    }
}

/// The secrets that a policy is attached to and that may be rotated: one more than there may be, where there
/// are too many.
async fn attached(
    snapshot: &dyn Snapshot,
    permit: &Permit,
    id: &RotationPolicyId,
) -> Result<Vec<SecretPath>, Error> {
    let part = Part::Rotates(id.as_str());
    let (mut from, to) = part.all(permit.okms_id());
    let mut paths = Vec::new();
    loop {
        let page = snapshot.keys(secret_index::SPACE, &from, &to, None, AT_ONCE_MAX).await?;
        for key in &page {
            let path = part.parse(permit.okms_id(), key).ok_or(Malformed)?.path;
            if permit.allows(Action::VersionCreate, Resource::Secret(&path)) {
                paths.push(path);
            }
        }
        match page.last().filter(|_| page.len() == AT_ONCE_MAX && paths.len() <= AT_ONCE_MAX) {
            Some(last) => from = [last.as_slice(), &[0]].concat(),
            None => return Ok(paths),
        }
    }
}
