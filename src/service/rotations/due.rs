//! What the server rotates by itself: secrets whose policies say so, once they are due.
//!
//! Always holds: what is due is found by the index, without a look at domains that have none of it; domains come one
//! after the other, however much of one is due; what cannot be rotated keeps no other. Never does: rotate what
//! is not due, was removed, or has ended.

use std::collections::BTreeMap;

use super::{
    events::{is_of_secret, record, why},
    rotate::{Occasion, Rotate, Rotated, Rotations, ValueRules, is_due},
};
use crate::{
    auth::{Action, Permit, Resource},
    model::{
        OkmsId, RotationEvent, RotationOutcome, RotationPolicy, RotationPolicyId, Schedule,
        SecretPath, Timestamp,
    },
    service::{
        Error,
        records::{Reader, keys_of},
    },
    store::{
        engine::Snapshot,
        kinds::{
            Malformed,
            secret_index::{self, Part},
        },
    },
};

/// How many secrets are rotated in one round, of one policy and of all; and how many are found for that.
const ROUND_OF_ONE: usize = 100;
/// The most that are told.
pub const ROUND: usize = 400;
const FOUND_MAX: usize = 4_000;
/// How many entries of the index a round looks at, and how many of one policy.
const LOOKS: usize = 10_000;
const LOOKS_OF_ONE: usize = 1_000;
/// How many entries are read in one go.
const AT_ONCE: usize = 256;

/// A secret that the server is to rotate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueRotation {
    /// Whose it is.
    pub tenant: OkmsId,
    /// By which policy.
    pub policy: RotationPolicyId,
    /// The secret.
    pub path: SecretPath,
}

impl Rotations {
    /// What is due at `now` and was not tried in vain a moment ago: some of each policy, the next policies the next
    /// time where that is too much.
    ///
    /// # Errors
    /// `Error` where the store cannot be read.
    pub async fn due(&self, now: Timestamp) -> Result<Vec<DueRotation>, Error> {
        let snapshot = self.scope.engine().snapshot().await?;
        let range = secret_index::all_automatic();
        let mut policies = keys_of(&*snapshot, secret_index::SPACE, range).await?;
        self.rounds().begin(&mut policies, now);
        let (mut found, mut looks) = (Vec::new(), LOOKS);
        for key in policies {
            let (id, policy) = secret_index::parse_automatic(&key).ok_or(Malformed)?;
            match self.due_of(&*snapshot, (id, &policy), &key, now).await {
                Ok((due, looked_at)) => {
                    looks = looks.saturating_sub(looked_at.max(1));
                    let due = due.into_iter().map(|path| DueRotation {
                        tenant: id,
                        policy: policy.clone(),
                        path,
                    });
                    found.push(due.collect::<Vec<_>>());
                }
                // It keeps no other.
                Err(error) => {
                    tracing::error!(domain = %id, %policy, %error, "what is due by a policy cannot be found");
                }
            }
            self.rounds().last = Some(key);
            if looks == 0 || found.iter().map(Vec::len).sum::<usize>() >= FOUND_MAX {
                break;
            }
        }
        Ok(in_turns(found))
    }

    /// Rotates a secret that was found due, if it still is, as whoever has this permit.
    ///
    /// # Errors
    /// What stands against it; it is tried again later.
    pub async fn rotate_due(
        &self,
        permit: &Permit,
        due: &DueRotation,
        rules: ValueRules,
        now: Timestamp,
    ) -> Result<Option<Rotated>, Error> {
        permit.check(Action::VersionCreate, Resource::Secret(&due.path))?;
        let by_policy = Rotate::by_policy(rules);
        let by = (&by_policy, Occasion::Due(&due.policy));
        let rotated = self.carry_out(permit, &due.path, by, now).await;
        let key = (due.tenant, due.path.clone());
        let Err(error) = &rotated else {
            self.rounds().is_well(&key);
            return rotated;
        };
        self.rounds().fail(key, now);
        // What is the store's fault is not the secret's, and could not be kept either.
        if let Some(why) = why(error).filter(|_| is_of_secret(error)) {
            let event = RotationEvent {
                path: due.path.clone(),
                at: now,
                old_version: 0,
                outcome: RotationOutcome::Failed(why.into()),
                reason: None,
            };
            let keys = self.scope.keys(permit).await?;
            record(&self.scope, &keys, &due.policy, &event).await?;
        }
        rotated
    }

    /// What is due by a policy, and how many secrets were looked at for that.
    async fn due_of(
        &self,
        snapshot: &dyn Snapshot,
        (id, policy): (OkmsId, &RotationPolicyId),
        place: &[u8],
        now: Timestamp,
    ) -> Result<(Vec<SecretPath>, usize), Error> {
        let keys = self.scope.keys_of(id).await?;
        let reader = Reader { snapshot, keys: &keys };
        let fields: Option<RotationPolicy> = reader.find(policy).await?;
        let Some(rules) = fields.filter(RotationPolicy::is_automatic) else {
            return Ok((Vec::new(), 0));
        };
        let interval = rules.fields().interval.seconds();
        let Some(last) = Schedule::last_due(interval, now) else { return Ok((Vec::new(), 0)) };
        let part = Part::Rotates(policy.as_str());
        let (first, to) = part.up_to(id, last);
        let mut from = self.rounds().next.remove(place).unwrap_or(first);
        let (mut due, mut looked_at) = (Vec::new(), 0);
        while due.len() < ROUND_OF_ONE && looked_at < LOOKS_OF_ONE {
            let page = snapshot.keys(secret_index::SPACE, &from, &to, None, AT_ONCE).await?;
            let is_last = page.len() < AT_ONCE;
            for key in page {
                looked_at += 1;
                let path = part.parse(id, &key).ok_or(Malformed)?.path;
                from = [key.as_slice(), &[0]].concat();
                if !self.rounds().waits(&(id, path.clone()), now) {
                    let header = match reader.header(&path, now).await {
                        Err(Error::Corrupt(_)) => None,
                        header => header?,
                    };
                    let Some(header) = header else { continue };
                    match is_due(&reader, &path, &header, Some((policy, &rules)), now).await {
                        Ok(false) => {}
                        // Trying it tells that it is damaged.
                        Ok(true) | Err(Error::Corrupt(_)) => due.push(path),
                        Err(error) => return Err(error),
                    }
                }
            }
            if is_last {
                return Ok((due, looked_at));
            }
            tokio::task::yield_now().await;
        }
        // Others behind them may be due, too: they have their turn before the first come again.
        self.rounds().next.insert(place.to_vec(), from);
        Ok((due, looked_at))
    }
}

/// One of each domain, then the next of each; of a domain by turns of each of its policies; up to a round.
fn in_turns(found: Vec<Vec<DueRotation>>) -> Vec<DueRotation> {
    let mut domains: BTreeMap<OkmsId, Vec<Vec<DueRotation>>> = BTreeMap::new();
    for due in found {
        if let Some(first) = due.first() {
            domains.entry(first.tenant).or_default().push(due);
        }
    }
    let domains = domains.into_values().map(by_turns);
    by_turns(domains.collect()).into_iter().take(ROUND).collect()
}

/// The first of each, then the second of each, and so on.
fn by_turns<T>(lists: Vec<Vec<T>>) -> Vec<T> {
    let mut left: Vec<_> = lists.into_iter().map(Vec::into_iter).collect();
    let mut all = Vec::new();
    loop {
        let before = all.len();
        all.extend(left.iter_mut().filter_map(Iterator::next));
        if all.len() == before {
            return all;
        }
    }
}
