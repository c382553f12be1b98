//! The life of whole secrets: writes that say when one ends, removal that can be undone, and what
//! becomes of a secret whose time is over.
//!
//! Always holds: a secret that was removed is not written here until it is restored; what is over is
//! erased on condition that it is still so. Never does: end a secret by a job: all readers judge that
//! by the clock.

use std::collections::HashMap;

use super::{
    Secret, Secrets, VersionView,
    write::{More, SecretBasis, add_version, leads_to, made},
};
use crate::{
    auth::{Action, Denied, Detail, Permit, Resource, pdp::Purpose},
    crypto::SecretValue,
    model::{
        AccessCount, Header, MetadataPatch, OkmsId, Removal, Rotation, RotationPolicy,
        RotationPolicyId, RotationStatus, SecretPath, Settings, Timestamp, VersionNumber,
        VersionState,
    },
    service::{
        ChangeName, Error, Include, policies,
        records::{Reader, SecretMark, here, open},
        unit::{Change, OneRecord},
    },
    store::kinds::{Kind as _, Malformed, secret_index},
};

/// How many entries are looked at in one go.
const AT_ONCE: usize = 256;

/// What a write expects to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expects {
    /// Whatever there is.
    Anything,
    /// No secret.
    Nothing,
    /// A secret with this current version, and where a moment is said, the one that was created then;
    /// 0 is one without any version.
    Version(u32, Option<Timestamp>),
}

impl Expects {
    /// Whether this secret, or none, is what is expected; where one is there that demands that its version is said,
    /// nothing else will do.
    pub(in crate::service) fn is_met(self, found: Option<&Header>, defaults: &Settings) -> bool {
        match self {
            Self::Anything => found.is_none_or(|header| !header.settings.demands_cas(defaults)),
            Self::Nothing => found.is_none(),
            Self::Version(number, of) => found.is_some_and(|header| {
                header.current_number() == number && of.is_none_or(|of| header.created_at == of)
            }),
        }
    }
}

/// A new version of a secret, which is made where there is none, with all that is to be said of it.
#[derive(Debug)]
pub struct Put {
    /// Changes to what is told of the secret, and to when it ends.
    pub patch: MetadataPatch,
    /// The version's value.
    pub value: SecretValue,
    /// What must be there.
    pub expects: Expects,
    /// Whether a secret of this name may be made.
    pub creates: bool,
}

/// A secret that was written.
#[derive(Debug)]
pub struct Written {
    /// The secret after it.
    pub header: Header,
    /// The new version's number.
    pub number: VersionNumber,
    /// What was current before; nothing where the secret was made.
    pub previous: Option<u32>,
}

/// A secret that was removed and can be restored no longer, as the index has it.
#[derive(Debug)]
pub struct OverSecret {
    /// Whose it is.
    pub tenant: OkmsId,
    /// Its path.
    pub path: SecretPath,
    entry: Vec<u8>,
}

/// A secret as it is, with all that is known of it beside its header.
#[derive(Debug)]
pub struct Described {
    /// Its path.
    pub path: SecretPath,
    /// Its header.
    pub header: Header,
    /// The defaults of its domain and its mount.
    pub defaults: Settings,
    /// How often it was read; nothing where it never was.
    pub accesses: Option<AccessCount>,
    /// When it is to be rotated next, and how it stands, where a policy is attached that there is.
    pub rotation: Option<(Timestamp, RotationStatus)>,
}

impl Secrets {
    /// A secret with one version and its value: `version`, or the current one. It counts as read where
    /// `tells` says that the caller is told the value.
    ///
    /// # Errors
    /// `Error::SecretNotFound`, `Error::SecretRemoved`, `Error::SecretExpired`,
    /// `Error::VersionNotFound` where it can be read no more, each for its reason.
    pub async fn read(
        &self,
        permit: &Permit,
        path: &SecretPath,
        version: Option<VersionNumber>,
        tells: impl FnOnce(&Header, VersionNumber) -> bool,
        now: Timestamp,
    ) -> Result<(Secret, VersionView), Error> {
        permit.check(Action::VersionGetData, Resource::Secret(path))?;
        let secret = match self.load(permit, path, version, Include::Value, now).await {
            // Why there is no such version is told by the secret, where it is gone as a whole.
            Err(Error::VersionNotFound) => {
                gone(&self.load(permit, path, None, Include::Metadata, now).await?.header, now)?;
                return Err(Error::VersionNotFound);
            }
            secret => secret?,
        };
        gone(&secret.header, now)?;
        let Secret { header, version: view } = secret;
        let view = view.ok_or(Error::VersionNotFound)?;
        if view.value.is_some() {
            if tells(&header, view.number) {
                self.counts_read(permit, path, &header, now);
            }
            return Ok((Secret { header, version: None }, view));
        }
        let is_current = header.current == Some(view.number);
        match view.record.deadline().filter(|_| is_current) {
            Some(at) if at <= now => Err(Error::SecretExpired(at)),
            _ => Err(Error::VersionNotFound),
        }
    }

    /// Writes a new version with what is said of the secret, all or nothing.
    ///
    /// # Errors
    /// `Error::SecretRemoved` in the time in which it can be restored; `Error::Conflict` where another
    /// version was expected, or one had to be; `Error::Refused` where a rule stands against it.
    pub async fn put(
        &self,
        permit: &Permit,
        path: &SecretPath,
        put: &Put,
        now: Timestamp,
    ) -> Result<Written, Error> {
        let may = |action| permit.check(action, Resource::Secret(path));
        // Which of the two it takes is known later; who has neither is not told by the store.
        may(Action::VersionCreate).or_else(|_| may(Action::SecretCreate))?;
        if put.patch.about.owner.is_some() {
            gives(permit, path)?;
        }
        if put.patch.life.attaches() {
            may(Action::VersionCreate)?;
        }
        let basis = SecretBasis::of(path, now)
            .with(More::Added(Some(&put.patch.settings)))
            .attaching(&put.patch.life);
        self.change(ChangeName::PutSecret, permit, basis, |found, defaults, draft| {
            may(if found.is_some() { Action::VersionCreate } else { Action::SecretCreate })?;
            if found.is_some() && !put.patch.is_empty() {
                may(Action::SecretUpdateMetadata)?;
            }
            let previous = found.as_ref().map(|found| found.header.current_number());
            let (before, falling) =
                found.map_or_else(|| (made(permit, now), 0), |found| (found.header, found.falling));
            if let Some(removal) = before.life.removed {
                return Err(Error::SecretRemoved(removal));
            }
            if !put.expects.is_met(previous.map(|_| &before), &defaults) {
                return Err(Error::Conflict(before.current_number()));
            }
            if previous.is_none() && !put.creates {
                return Err(Error::PathRefused);
            }
            let mut header = before.with_patch(&put.patch, now)?;
            if previous.is_none() {
                header.about.owner = header.about.owner.or_else(|| header.created_by.clone());
            }
            let added = (&mut header, falling);
            let (number, _) = add_version(path, added, &put.value, &defaults, draft, now)?;
            draft.put_secret(path, &header)?;
            Ok(Written { header, number, previous })
        })
        .await
    }

    /// Changes what is said of a secret, and when it ends.
    ///
    /// # Errors
    /// `Error::SecretNotFound`, `Error::SecretRemoved`; `Error::Refused` where a rule stands against
    /// it.
    pub async fn amend(
        &self,
        permit: &Permit,
        path: &SecretPath,
        patch: &MetadataPatch,
        now: Timestamp,
    ) -> Result<Header, Error> {
        // That alone is one purpose, and nothing at all is the other.
        if !patch.is_of_owner_alone() {
            permit.check(Action::SecretUpdateMetadata, Resource::Secret(path))?;
        }
        if patch.about.owner.is_some() {
            gives(permit, path)?;
        }
        if patch.life.attaches() {
            // What a policy makes of its value from now on is not asked again.
            permit.check(Action::VersionCreate, Resource::Secret(path))?;
        }
        let basis = SecretBasis::of(path, now).attaching(&patch.life);
        self.change(ChangeName::AmendSecret, permit, basis, |found, _, draft| {
            let before = here(found.map(|found| found.header))?;
            let header = before.with_patch(patch, now)?;
            if header != before {
                draft.put_secret(path, &header)?;
            }
            Ok(header)
        })
        .await
    }

    /// A secret without its value.
    ///
    /// # Errors
    /// `Error::SecretNotFound`, and `Error::SecretRemoved` unless removed ones are wanted.
    pub async fn look_at(
        &self,
        permit: &Permit,
        path: &SecretPath,
        with_removed: bool,
        now: Timestamp,
    ) -> Result<Header, Error> {
        permit.check(Action::SecretGet, Resource::Secret(path))?;
        let found = self.load(permit, path, None, Include::Metadata, now).await?;
        let header = Header::clone(&found.header);
        if !with_removed && let Some(removal) = header.life.removed {
            return Err(Error::SecretRemoved(removal));
        }
        Ok(header)
    }

    /// What is known of secrets beside their headers; of those that may be seen alone.
    ///
    /// # Errors
    /// `Error` where the store cannot be read.
    pub async fn describe(
        &self,
        permit: &Permit,
        mut secrets: Vec<(SecretPath, Header)>,
        now: Timestamp,
    ) -> Result<Vec<Described>, Error> {
        secrets.retain(|(path, _)| permit.tells(Action::SecretGet, Resource::Secret(path)));
        let keys = self.scope.keys(permit).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        let (config, _) = self.scope.config_at(&*snapshot, &keys).await?;
        let of: Vec<_> = secrets.iter().map(|(path, header)| (path, header)).collect();
        let counts = self.accesses.of(&*snapshot, &keys, &of).await?;
        let reader = Reader { snapshot: &*snapshot, keys: &keys };
        let mut policies = HashMap::new();
        let mut described = Vec::with_capacity(secrets.len());
        for ((path, header), accesses) in secrets.into_iter().zip(counts) {
            let defaults = config.defaults(&path);
            let rotation = match &header.life.rotation {
                Some(rotation) => rotates(&reader, &mut policies, rotation, now).await?,
                None => None,
            };
            described.push(Described { path, header, defaults, accesses, rotation });
        }
        Ok(described)
    }

    /// Removes a secret for so many seconds, in which it can be restored.
    ///
    /// # Errors
    /// `Error::SecretNotFound`, `Error::SecretRemoved`.
    pub async fn remove(
        &self,
        permit: &Permit,
        path: &SecretPath,
        seconds: u64,
        now: Timestamp,
    ) -> Result<Removal, Error> {
        permit.check(Action::VersionDeactivate, Resource::Secret(path))?;
        let basis = SecretBasis::of(path, now);
        self.change(ChangeName::RemoveSecret, permit, basis, |found, _, draft| {
            let header = here(found.map(|found| found.header))?.removed(now, seconds);
            draft.put_secret(path, &header)?;
            header.life.removed.ok_or(Error::SecretNotFound)
        })
        .await
    }

    /// Takes a removal back; nothing changes where there was none.
    ///
    /// # Errors
    /// `Error::SecretNotFound`.
    pub async fn restore(
        &self,
        permit: &Permit,
        path: &SecretPath,
        now: Timestamp,
    ) -> Result<Header, Error> {
        permit.check(Action::VersionActivate, Resource::Secret(path))?;
        let basis = SecretBasis::of(path, now);
        self.change(ChangeName::RestoreSecret, permit, basis, |found, _, draft| {
            let before = found.ok_or(Error::SecretNotFound)?.header;
            if before.life.removed.is_none() {
                return Ok(before);
            }
            let header = before.restored(now);
            draft.put_secret(path, &header)?;
            Ok(header)
        })
        .await
    }

    /// Leads one version of a secret that was not removed to the state `to`, and tells the secret.
    ///
    /// # Errors
    /// `Error::SecretNotFound`, `Error::SecretRemoved`; `Error::VersionNotFound` where there is no such
    /// version, or it is in that state already or can come to it no more.
    pub async fn set_version(
        &self,
        permit: &Permit,
        path: &SecretPath,
        number: VersionNumber,
        to: VersionState,
        now: Timestamp,
    ) -> Result<Header, Error> {
        permit.learns(Detail::Version(number.get()));
        permit.check(leads_to(to), Resource::Secret(path))?;
        let numbers = [number];
        let basis = SecretBasis::of(path, now).with(More::Versions(&numbers));
        self.change(ChangeName::SetVersionState, permit, basis, |found, defaults, draft| {
            let mut found = found.ok_or(Error::SecretNotFound)?;
            let mut header = here(Some(found.header))?;
            let (_, before) = found.versions.pop().ok_or(Error::VersionNotFound)?;
            let transition = header.transition((number, &before.record), to, &defaults, now);
            let led = draft.lead((path, &mut header), (number, before), transition)?;
            led.ok_or(Error::VersionNotFound)?;
            draft.put_secret(path, &header)?;
            Ok(header)
        })
        .await
    }

    /// Some secrets of the region whose time is over by now, in the order in which it was, after one of them or from the
    /// first on. None are no more.
    ///
    /// # Errors
    /// `Error` where the store cannot be read.
    pub async fn over(
        &self,
        after: Option<&OverSecret>,
        now: Timestamp,
    ) -> Result<Vec<OverSecret>, Error> {
        let (mut from, to) = secret_index::purges_up_to(now);
        if let Some(after) = after {
            from = [after.entry.as_slice(), &[0]].concat();
        }
        let snapshot = self.scope.engine().snapshot().await?;
        let page = snapshot.keys(secret_index::SPACE, &from, &to, None, AT_ONCE).await?;
        let over = page.into_iter().map(|entry| {
            let (tenant, path) = secret_index::parse_purge(&entry).ok_or(Malformed)?;
            Ok(OverSecret { tenant, path, entry })
        });
        over.collect()
    }

    /// Erases a secret if its time is over, and tells whether it was; or its entry in the index, if that is of another
    /// time. Another process may be at it at the same time.
    ///
    /// # Errors
    /// `Error` where the domain's keys cannot be had, or the store cannot be read or takes no change.
    pub async fn erase_over(
        &self,
        permit: &Permit,
        OverSecret { path, entry, .. }: &OverSecret,
        now: Timestamp,
    ) -> Result<bool, Error> {
        permit.check(Action::SecretDelete, Resource::Secret(path))?;
        let keys = &self.scope.keys(permit).await?;
        let turns = [path.as_str()];
        let change = Change { name: ChangeName::SweepSecrets, turns: &turns, by: Some(permit) };
        let basis = OneRecord::of::<Header>(keys, path);
        self.scope
            .unit(change, keys, basis, |found, draft| {
                let header = found.map(|record| {
                    open::<Header>(keys, &Header::key(keys.id(), path), &record.bytes)
                });
                let header = match header.transpose() {
                    // Nobody knows any more when its time is over.
                    Err(Error::Corrupt(_)) => return Ok(false),
                    header => header?,
                };
                let was = match &header {
                    Some(header) => Some(SecretMark::of(keys, path, header)?),
                    None => None,
                };
                if header.is_some_and(|header| header.life.is_over(now)) {
                    draft.remove(path, now);
                    let growth = draft.settle(was.as_ref());
                    draft.tell(Some(growth));
                    return Ok(true);
                }
                if was.is_none_or(|was| !was.has(entry)) {
                    draft.delete(secret_index::SPACE, entry.clone());
                }
                Ok(false)
            })
            .await
    }
}

/// Goes on if a secret may get another owner.
fn gives(permit: &Permit, path: &SecretPath) -> Result<(), Denied> {
    let permit = permit.meant_for(Purpose::OwnerUpdate);
    permit.check(Action::SecretUpdateMetadata, Resource::Secret(path))
}

/// When a secret is to be rotated next, and how it stands. Each policy is read once.
async fn rotates(
    reader: &Reader<'_>,
    known: &mut HashMap<Box<str>, Option<RotationPolicy>>,
    rotation: &Rotation,
    now: Timestamp,
) -> Result<Option<(Timestamp, RotationStatus)>, Error> {
    if !known.contains_key(&rotation.policy) {
        let found = match rotation.policy.parse::<RotationPolicyId>() {
            Err(_) => None,
            Ok(id) => match policies::find(reader, &id, now).await {
                // What is told of the secret is not refused for the sake of its policy.
                Err(Error::Corrupt(_)) => None,
                policy => policy?,
            },
        };
        known.insert(rotation.policy.clone(), found);
    }
    let policy = known.get(&rotation.policy).and_then(Option::as_ref);
    Ok(policy.map(|policy| {
        (policy.schedule(rotation.anchor).next(), policy.status(rotation.anchor, now))
    }))
}

/// Whether all of a secret can be read no more.
fn gone(header: &Header, now: Timestamp) -> Result<(), Error> {
    if let Some(removal) = header.life.removed {
        return Err(Error::SecretRemoved(removal));
    }
    match header.life.expires_at {
        // Where nothing can be read anyway there is nothing that could have ended.
        Some(at) if at <= now && header.current.is_some() => Err(Error::SecretExpired(at)),
        _ => Ok(()),
    }
}
