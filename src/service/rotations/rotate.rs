//! One secret's rotation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    events::{keep, surplus},
    renewal::{Renewal, refused},
    rounds::Rounds,
};
use crate::{
    auth::{Action, Detail, Permit, Resource, pdp::Purpose},
    crypto::{DomainKeys, SecretValue},
    model::{
        Faults, Header, RotationEvent, RotationOutcome, RotationPolicy, RotationPolicyId,
        SecretPath, SecretType, Settings, Timestamp, VersionNumber, VersionState,
    },
    service::{
        ChangeName, Error, Expects, members, policies,
        records::{Draft, Reader, here},
        scope::Scope,
        secrets::{Existing, More, SecretBasis, Secrets, draft_added},
        values::Values,
    },
    store::kinds::version::Version,
};

/// How often a value is made anew where the one that it was made of is not current any more.
const ROUNDS: usize = 16;

/// What new values must be, given or made.
#[derive(Clone, Copy)]
pub struct ValueRules {
    /// The most bytes.
    pub bytes_max: usize,
    /// What it has of a type's shape.
    pub fits: fn(SecretType, &[u8]) -> Result<(), Faults>,
}

impl ValueRules {
    fn check(&self, kind: SecretType, value: &SecretValue) -> Result<(), Error> {
        if value.len() > self.bytes_max {
            return Err(refused(
                "no larger than this server takes: remove what it has too much of, or give the new value",
            ));
        }
        Ok((self.fits)(kind, value.expose())?)
    }
}

/// How a secret is rotated.
pub struct Rotate {
    /// The new value; where there is none, one is made, if the policy says so.
    pub value: Option<SecretValue>,
    /// What it must be.
    pub rules: ValueRules,
    /// Whether one is made though no policy says so.
    pub generates: bool,
    /// For how many seconds the value before can still be read; where nobody says, the policy does.
    pub grace: Option<u64>,
    /// What must be there.
    pub expects: Expects,
    /// Why it is done, in the words of whoever asks.
    pub reason: Option<Box<str>>,
}

impl Rotate {
    /// As policies have it.
    pub(in crate::service) const fn by_policy(rules: ValueRules) -> Self {
        let expects = Expects::Anything;
        Self { value: None, rules, generates: false, grace: None, expects, reason: None }
    }
}

/// A secret that was rotated.
#[derive(Debug)]
pub struct Rotated {
    /// The secret after it.
    pub header: Header,
    /// The new version.
    pub number: VersionNumber,
    /// The one before; 0 where there was none.
    pub previous: u32,
    /// Until when that can be read; none where it cannot be, or there was none.
    pub grace_ends: Option<Timestamp>,
    /// Whether the value was made here.
    pub is_generated: bool,
    /// When it is to be rotated next, where a policy is attached.
    pub next: Option<Timestamp>,
}

/// By whose word a secret is rotated.
#[derive(Clone, Copy)]
pub(super) enum Occasion<'a> {
    /// Somebody asks for this secret.
    Asked,
    /// Somebody asks for what this policy is attached to.
    Policy(&'a RotationPolicyId),
    /// It is due by this policy.
    Due(&'a RotationPolicyId),
}

/// What becomes of an attempt.
enum Attempt {
    Rotated(Box<Rotated>),
    /// What was made was made of what is not current any more.
    Again,
    /// It is not due, or not any more.
    NotDue,
}

/// The use cases on rotations.
pub struct Rotations {
    pub(super) scope: Scope,
    secrets: Arc<Secrets>,
    values: Arc<Values>,
    rounds: Mutex<Rounds>,
}

/// What an attempt has found.
struct Look {
    current: u32,
    policy: Option<RotationPolicyId>,
    /// What is to be made, where it is.
    renewal: Option<Renewal>,
    /// The keys of events of the policy that another one takes the place of.
    surplus: Vec<Vec<u8>>,
}

impl Rotations {
    pub(in crate::service) fn new(
        scope: Scope,
        secrets: Arc<Secrets>,
        values: Arc<Values>,
    ) -> Self {
        Self { scope, secrets, values, rounds: Mutex::default() }
    }

    /// How far the server is with what is due.
    pub(super) fn rounds(&self) -> MutexGuard<'_, Rounds> {
        // Every change is one call, so a poisoned lock loses nothing.
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rotates a secret: it gets a new version, and the one before can be read for the grace, and not after its
    /// own end. One that was removed is not rotated; one that has ended is, and begins anew.
    ///
    /// # Errors
    /// `Error::SecretNotFound`, `Error::SecretRemoved`; `Error::Fields` where a value is needed that nobody
    /// gives, or what is given does not fit; `Error::Conflict` where another version was expected.
    pub async fn rotate(
        &self,
        permit: &Permit,
        path: &SecretPath,
        rotate: &Rotate,
        now: Timestamp,
    ) -> Result<Rotated, Error> {
        let permit = permit.meant_for(Purpose::Rotate);
        permit.check(Action::VersionCreate, Resource::Secret(path))?;
        if let Some(reason) = &rotate.reason {
            permit.learns(Detail::Reason(reason));
        }
        let rotated = self.carry_out(&permit, path, (rotate, Occasion::Asked), now).await?;
        rotated.ok_or(Error::Contended)
    }

    /// Rotates a secret; none where it is not due any more.
    pub(super) async fn carry_out(
        &self,
        permit: &Permit,
        path: &SecretPath,
        (rotate, occasion): (&Rotate, Occasion<'_>),
        now: Timestamp,
    ) -> Result<Option<Rotated>, Error> {
        let keys = self.scope.keys(permit).await?;
        for _ in 0..ROUNDS {
            let Some(look) = self.look(&keys, path, (rotate, occasion), now).await? else {
                return Ok(None);
            };
            let made = match &look.renewal {
                None => None,
                Some(renewal) => {
                    let made = self.values.make(keys.id(), renewal.recipe.clone(), now).await?;
                    Some((members::put(&renewal.before, &made), renewal))
                }
            };
            let attempt = self.attempt(permit, path, (rotate, occasion), (&look, made), now);
            match attempt.await? {
                Attempt::Rotated(rotated) => return Ok(Some(*rotated)),
                Attempt::NotDue => return Ok(None),
                Attempt::Again => {}
            }
        }
        Err(Error::Contended)
    }

    /// Looks at a secret, without holding anything; none where it is not due.
    async fn look(
        &self,
        keys: &DomainKeys,
        path: &SecretPath,
        (rotate, occasion): (&Rotate, Occasion<'_>),
        now: Timestamp,
    ) -> Result<Option<Look>, Error> {
        let snapshot = self.scope.engine().snapshot().await?;
        let reader = Reader { snapshot: &*snapshot, keys };
        let header = match (here(reader.header(path, now).await?), occasion) {
            (Err(Error::SecretNotFound | Error::SecretRemoved(_)), Occasion::Due(_)) => {
                return Ok(None);
            }
            (header, _) => header?,
        };
        let id = attached(&header);
        let policy = match &id {
            Some(id) => policies::find(&reader, id, now).await?,
            None => None,
        };
        match occasion {
            Occasion::Asked => {}
            Occasion::Policy(wanted) if id.as_ref() == Some(wanted) => {}
            Occasion::Policy(_) => return Err(Error::SecretNotFound),
            Occasion::Due(wanted) => {
                let by = policy.as_ref().map(|policy| (wanted, policy));
                if !is_due(&reader, path, &header, by, now).await? {
                    return Ok(None);
                }
            }
        }
        let is_made =
            rotate.generates || policy.as_ref().is_some_and(|it| it.fields().auto_generate);
        let renewal = match &rotate.value {
            Some(_) => None,
            None if is_made => Some(Renewal::of(&reader, path, &header, policy.as_ref()).await?),
            None => {
                return Err(refused(
                    "an object, the new value; it is made here where the secret's rotation policy has auto_generate, or \
                     the request says auto_generate: true",
                ));
            }
        };
        let policy = id.filter(|_| policy.is_some());
        let surplus = match &policy {
            Some(id) => surplus(&*snapshot, keys.id(), id).await?,
            None => Vec::new(),
        };
        Ok(Some(Look { current: header.current_number(), policy, renewal, surplus }))
    }

    async fn attempt(
        &self,
        permit: &Permit,
        path: &SecretPath,
        (rotate, occasion): (&Rotate, Occasion<'_>),
        (look, made): (&Look, Option<(SecretValue, &Renewal)>),
        now: Timestamp,
    ) -> Result<Attempt, Error> {
        let basis = SecretBasis::of(path, now).with(More::Rotated(rotate.grace));
        self.secrets
            .change(ChangeName::RotateSecret, permit, basis, |found, defaults, draft| {
                let is_here = found.as_ref().is_some_and(|it| it.header.life.removed.is_none());
                if matches!(occasion, Occasion::Due(_)) && !is_here {
                    return Ok(Attempt::NotDue);
                }
                let found = found.ok_or(Error::SecretNotFound)?;
                let header = here(Some(found.header.clone()))?;
                let policy = found.rotated.as_ref().and_then(|rotated| rotated.policy.as_ref());
                if let Occasion::Due(id) = occasion {
                    let by = policy.map(|policy| (id, policy));
                    let current = found.versions.last().map(|(_, version)| version);
                    if !is_time(&header, by, now) || !is_live(&header, current, now) {
                        return Ok(Attempt::NotDue);
                    }
                }
                let value = match (&rotate.value, &made) {
                    (Some(given), _) => {
                        expect(rotate.expects, &header, &defaults)?;
                        given
                    }
                    (None, Some((made, renewal))) if renewal.is_of(&found, look.current) => {
                        let expects = expected(rotate.expects, look.current);
                        expect(expects, &header, &defaults)?;
                        made
                    }
                    _ => return Ok(Attempt::Again),
                };
                rotate.rules.check(header.about.secret_type, value)?;
                if policy.is_some() != look.policy.is_some()
                    || look.policy.is_some() && attached(&header) != look.policy
                {
                    return Ok(Attempt::Again);
                }
                let rotated = put(path, (found, value), &defaults, draft, now)?;
                if let Some(id) = &look.policy {
                    let event = RotationEvent {
                        path: path.clone(),
                        at: now,
                        old_version: rotated.previous,
                        outcome: RotationOutcome::Rotated(rotated.number),
                        reason: rotate.reason.clone(),
                    };
                    keep(draft, (id, &event), &look.surplus)?;
                }
                let is_generated = rotate.value.is_none();
                Ok(Attempt::Rotated(Box::new(Rotated { is_generated, ..rotated })))
            })
            .await
    }
}

/// The policy that is attached to a secret.
fn attached(header: &Header) -> Option<RotationPolicyId> {
    header.life.rotation.as_ref().and_then(|attached| attached.policy.parse().ok())
}

/// Whether the server is to rotate a secret by this policy, and now: nothing is brought back that somebody has put
/// an end to, or that has ended by itself.
pub(super) async fn is_due(
    reader: &Reader<'_>,
    path: &SecretPath,
    header: &Header,
    by: Option<(&RotationPolicyId, &RotationPolicy)>,
    now: Timestamp,
) -> Result<bool, Error> {
    let Some(current) = header.current.filter(|_| is_time(header, by, now)) else {
        return Ok(false);
    };
    Ok(is_live(header, Some(&reader.version(path, current).await?), now))
}

fn is_time(
    header: &Header,
    by: Option<(&RotationPolicyId, &RotationPolicy)>,
    now: Timestamp,
) -> bool {
    let (Some((id, policy)), Some(rotation)) = (by, &header.life.rotation) else { return false };
    *rotation.policy == *id.as_str()
        && policy.is_automatic()
        && policy.schedule(rotation.anchor).is_due(now)
}

fn is_live(header: &Header, current: Option<&Version>, now: Timestamp) -> bool {
    let state = |version: &Version| header.seen(&version.record).state(now);
    current.map(state) == Some(VersionState::Active)
}

/// The version that a made value expects: what it was made of, or else what the caller says.
const fn expected(expects: Expects, made_of: u32) -> Expects {
    match expects {
        Expects::Version(..) => expects,
        Expects::Anything | Expects::Nothing => Expects::Version(made_of, None),
    }
}

/// Goes on where the secret is as it is expected to be.
fn expect(expects: Expects, header: &Header, defaults: &Settings) -> Result<(), Error> {
    if expects.is_met(Some(header), defaults) {
        return Ok(());
    }
    Err(Error::Conflict(header.current_number()))
}

/// Drafts the new version and the end of the one before.
fn put(
    path: &SecretPath,
    (found, value): (Existing, &SecretValue),
    defaults: &Settings,
    draft: &mut Draft<'_>,
    now: Timestamp,
) -> Result<Rotated, Error> {
    let Existing { mut header, mut versions, falling, rotated, .. } = found;
    let (policy, grace) = rotated.map_or((None, 0), |rotated| (rotated.policy, rotated.grace));
    let (before, previous) = (versions.pop(), header.current_number());
    let record = before.as_ref().map(|(_, version)| &version.record);
    // What could not be read before has no grace.
    let was_live = is_live(&header, before.as_ref().map(|(_, version)| version), now);
    let (added, retired) = header.rotate(record, grace, defaults, now)?;
    let mut grace_ends = None;
    if let Some((number, before)) = before {
        let after = retired.unwrap_or_else(|| before.record.clone());
        grace_ends = after.deactivate_at.filter(|_| was_live);
        draft.put((path, number.get()), &Version { record: after, ..before })?;
    }
    draft_added(path, (&mut header, falling), value, &added, draft)?;
    draft.put_secret(path, &header)?;
    let rotation = header.life.rotation.as_ref();
    let next = policy.zip(rotation).map(|(policy, it)| policy.schedule(it.anchor).next());
    Ok(Rotated { header, number: added.number, previous, grace_ends, is_generated: false, next })
}
