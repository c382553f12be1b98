//! Writing secrets: every write goes one way, which is [`Secrets::change`].

use super::{Changed, Secrets, Update, VersionView};
use crate::{
    auth::{Action, Detail, Permit, Resource},
    crypto::SecretValue,
    model::{
        About, Added, Cas, Faults, Header, Invalid, LifePatch, MetadataPatch, MountError, Refused,
        RotationPolicy, RotationPolicyId, SecretPath, SecretPolicy, SecretPolicyId, SeenVersion,
        Settings, SettingsPatch, Timestamp, Transition, VersionAct, VersionNumber, VersionState,
        View, default_grace,
    },
    service::{
        ChangeName, Error, policies,
        records::{Draft, Reader, SecretMark, open},
        unit::{Basis, Change, OneRecord, UnitReader},
    },
    store::kinds::{Kind as _, header, version::Version},
};

/// How many versions are read before others get a turn.
const VERSIONS_AT_ONCE: usize = 64;

/// How a value was patched.
#[derive(Debug)]
pub enum Patched {
    /// There is a new version.
    Changed(Changed),
    /// The current version cannot be read, so that nothing was changed; for who may see that.
    Unreadable(Header, VersionNumber, SeenVersion),
}

/// A secret, and the view through which it is named: a write goes on only while that is there.
#[derive(Clone, Copy, Debug)]
pub struct Through<'a> {
    /// The secret.
    pub path: &'a SecretPath,
    /// The view.
    pub view: &'a View,
}

/// Which versions a KV2 act is about.
#[derive(Clone, Copy, Debug)]
pub enum Versions<'a> {
    /// The current one.
    Current,
    /// Those of these numbers that there are.
    Numbers(&'a [VersionNumber]),
}

/// What has become of the versions of a secret.
#[derive(Debug)]
pub struct Acted {
    /// Whether there is such a secret.
    pub is_there: bool,
    /// Those of the versions that are kept, by number.
    pub versions: Vec<ActedVersion>,
}

/// What has become of a version.
#[derive(Debug)]
pub struct ActedVersion {
    /// Its number.
    pub number: VersionNumber,
    /// How it is by now.
    pub record: SeenVersion,
    /// Whether it was otherwise before.
    pub is_changed: bool,
}

/// A write of metadata as KV2 has it.
#[derive(Debug)]
pub struct MetadataWrite {
    /// What to change.
    pub patch: MetadataPatch,
    /// The version of the metadata that the writer expects.
    pub cas: Option<u32>,
    /// Whether a secret without versions is made where there is none.
    pub creates: bool,
}

/// What a write reads beside the header.
#[derive(Clone, Copy)]
pub(in crate::service) enum More<'a> {
    Nothing,
    /// The records of those of these versions that are kept.
    Versions(&'a [VersionNumber]),
    /// The current version's record; its value, if it is active now, and what falls off the end when
    /// there is another one, where that is asked for.
    Current {
        with_value: bool,
    },
    /// The record of this version, if it is kept, and its value, if it is active now.
    Pinned(VersionNumber),
    /// What falls off the end when there is another one, under the settings that these changes lead to.
    Added(Option<&'a SettingsPatch>),
    /// The current version's record, the rotation policy, and what falls off the end when another version
    /// takes its place with so many seconds of grace, or with the policy's.
    Rotated(Option<u64>),
}

impl Secrets {
    /// Creates a secret with its first version.
    ///
    /// # Errors
    /// `Error::SecretExists` where the path is taken; `Error::Refused` where the metadata breaks a
    /// rule.
    pub async fn create(
        &self,
        permit: &Permit,
        path: &SecretPath,
        patch: &MetadataPatch,
        value: &SecretValue,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        permit.check(Action::SecretCreate, Resource::Secret(path))?;
        self.change(
            ChangeName::CreateSecret,
            permit,
            SecretBasis::of(path, now),
            |found, defaults, draft| {
                if found.is_some() {
                    return Err(Error::SecretExists);
                }
                let mut header = made(permit, now).with_patch(patch, now)?;
                let added = add_version(path, (&mut header, 0), value, &defaults, draft, now)?;
                draft.put_secret(path, &header)?;
                Ok(Changed { header: Some(header), defaults, added: Some(added) })
            },
        )
        .await
    }

    /// Changes a secret's metadata, adds a version, or both. New metadata counts before the CAS is
    /// checked; either everything is stored or nothing.
    ///
    /// # Errors
    /// `Error::SecretNotFound`; `Error::Refused` where CAS, metadata or numbers stand against it.
    pub async fn update(
        &self,
        permit: &Permit,
        path: &SecretPath,
        update: &Update,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        if update.value.is_some() {
            permit.check(Action::VersionCreate, Resource::Secret(path))?;
        }
        // One of nothing changes nothing, and tells whether there is a secret all the same.
        if update.value.is_none() || !update.patch.is_empty() {
            permit.check(Action::SecretUpdateMetadata, Resource::Secret(path))?;
        }
        let more = match update.value {
            Some(_) => More::Added(Some(&update.patch.settings)),
            None => More::Nothing,
        };
        self.change(
            ChangeName::UpdateSecret,
            permit,
            SecretBasis::of(path, now).with(more),
            |found, defaults, draft| {
                let Existing { header, falling, .. } = found.ok_or(Error::SecretNotFound)?;
                let mut header = header.with_patch(&update.patch, now)?;
                header.check_cas(update.cas, &defaults, update.value.is_some())?;
                let added = match &update.value {
                    Some(value) => {
                        let header = (&mut header, falling);
                        Some(add_version(path, header, value, &defaults, draft, now)?)
                    }
                    None => None,
                };
                if added.is_some() || !update.patch.is_empty() {
                    draft.put_secret(path, &header)?;
                }
                Ok(Changed { header: told(permit, path, header), defaults, added })
            },
        )
        .await
    }

    /// Adds a version to a secret, which is made where there is none.
    ///
    /// # Errors
    /// `Error::Refused` where CAS or numbers stand against it.
    pub async fn write(
        &self,
        permit: &Permit,
        at: Through<'_>,
        value: &SecretValue,
        cas: Option<Cas>,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        // Which of the two it takes is known later; who has neither is not told by the store.
        let may = |action| permit.check(action, Resource::Secret(at.path));
        may(Action::VersionCreate).or_else(|_| may(Action::SecretCreate))?;
        self.change(
            ChangeName::WriteSecret,
            permit,
            SecretBasis::through(at, now).with(More::Added(None)),
            |found, defaults, draft| {
                may(if found.is_some() { Action::VersionCreate } else { Action::SecretCreate })?;
                let (mut header, falling) = found
                    .map_or_else(|| (made(permit, now), 0), |found| (found.header, found.falling));
                header.check_cas(cas, &defaults, true)?;
                let added =
                    add_version(at.path, (&mut header, falling), value, &defaults, draft, now)?;
                draft.put_secret(at.path, &header)?;
                let header = told(permit, at.path, header);
                Ok(Changed { header, defaults, added: Some(added) })
            },
        )
        .await
    }

    /// Adds a version that `merge` makes of the current one.
    ///
    /// # Errors
    /// `Error::SecretNotFound` where there is no version either, or none that can be read, for who
    /// may not see which; `Error::Refused` where CAS or
    /// numbers stand against it; `Error::Invalid` what `merge` says.
    pub async fn patch(
        &self,
        permit: &Permit,
        at: Through<'_>,
        merge: impl Fn(&SecretValue) -> Result<SecretValue, Invalid> + Send + Sync,
        cas: Option<Cas>,
        now: Timestamp,
    ) -> Result<Patched, Error> {
        permit.check(Action::VersionPatch, Resource::Secret(at.path))?;
        let basis = SecretBasis::through(at, now).with(More::Current { with_value: true });
        self.change(ChangeName::PatchSecret, permit, basis, |found, defaults, draft| {
            let Existing { mut header, mut versions, value, falling, .. } =
                found.ok_or(Error::SecretNotFound)?;
            header.check_cas(cas, &defaults, true)?;
            let (number, version) = versions.pop().ok_or(Error::SecretNotFound)?;
            let Some(value) = value else {
                let header = told(permit, at.path, header).ok_or(Error::SecretNotFound)?;
                let record = header.seen(&version.record);
                return Ok(Patched::Unreadable(header, number, record));
            };
            let merged = merge(&value)?;
            let added =
                add_version(at.path, (&mut header, falling), &merged, &defaults, draft, now)?;
            draft.put_secret(at.path, &header)?;
            let header = told(permit, at.path, header);
            Ok(Patched::Changed(Changed { header, defaults, added: Some(added) }))
        })
        .await
    }

    /// Does `act` to versions, and tells what they are by now. What there is not, and what it cannot change, it
    /// passes over.
    ///
    /// # Errors
    /// `Error` where it cannot be stored.
    pub async fn act(
        &self,
        permit: &Permit,
        at: Through<'_>,
        which: Versions<'_>,
        act: VersionAct,
        now: Timestamp,
    ) -> Result<Acted, Error> {
        let action = match act {
            VersionAct::Undelete => Action::VersionActivate,
            VersionAct::Delete if matches!(which, Versions::Current) => {
                Action::VersionDeactivateCurrent
            }
            VersionAct::Delete => Action::VersionDeactivate,
            VersionAct::Destroy => Action::VersionDelete,
        };
        if let Versions::Numbers(numbers) = which {
            permit.learns(Detail::Versions(numbers));
        }
        permit.check(action, Resource::Secret(at.path))?;
        let basis = SecretBasis::through(at, now).with(match which {
            Versions::Current => More::Current { with_value: false },
            Versions::Numbers(numbers) => More::Versions(numbers),
        });
        self.change(ChangeName::ActOnVersions, permit, basis, |found, defaults, draft| {
            let Some(Existing { mut header, versions, .. }) = found else {
                return Ok(Acted { is_there: false, versions: Vec::new() });
            };
            let (mut acted, mut changed) = (Vec::with_capacity(versions.len()), Vec::new());
            for (number, before) in versions {
                let transition = header.act((number, &before.record), act, &defaults, now);
                let own = before.record.clone();
                let led = draft.lead((at.path, &mut header), (number, before), transition)?;
                changed.extend(led.as_ref().map(|_| number));
                let is_changed = led.is_some();
                acted.push((number, led.unwrap_or(own), is_changed));
            }
            if !draft.is_empty() {
                draft.learns(Detail::Versions(&changed));
                draft.put_secret(at.path, &header)?;
            }
            let versions = acted.into_iter();
            let versions = versions.map(|(number, record, is_changed)| ActedVersion {
                number,
                record: header.seen(&record),
                is_changed,
            });
            Ok(Acted { is_there: true, versions: versions.collect() })
        })
        .await
    }

    /// Writes a secret's metadata, and tells the defaults that were in force.
    ///
    /// # Errors
    /// `Error::SecretNotFound` where there is none and none is made; `Error::Refused` where the
    /// metadata's CAS or a rule stands against it.
    pub async fn write_metadata(
        &self,
        permit: &Permit,
        at: Through<'_>,
        write: &MetadataWrite,
        now: Timestamp,
    ) -> Result<Settings, Error> {
        let may = |action| permit.check(action, Resource::Secret(at.path));
        let changes =
            if write.creates { Action::SecretUpdateMetadata } else { Action::SecretPatchMetadata };
        // Whether there is a secret to make is known later; who may do neither is not told by the
        // store.
        match may(changes) {
            Err(_) if write.creates => may(Action::SecretCreateEmpty)?,
            asked => asked?,
        }
        self.change(
            ChangeName::WriteMetadata,
            permit,
            SecretBasis::through(at, now),
            |found, defaults, draft| {
                let before = match found {
                    Some(found) => {
                        may(changes)?;
                        found.header
                    }
                    None if !write.creates => return Err(Error::SecretNotFound),
                    None => {
                        may(Action::SecretCreateEmpty)?;
                        if write.cas.is_some_and(|cas| cas != 0) {
                            return Err(Refused::MetadataCasOnCreate.into());
                        }
                        made(permit, now)
                    }
                };
                before.check_metadata_cas(write.cas, &defaults)?;
                let header = before.with_patch(&write.patch, now)?;
                // In KV2 a patch with an empty map counts as well.
                draft.put_secret(
                    at.path,
                    &if write.patch.is_empty() { header.with_metadata_write(now) } else { header },
                )?;
                Ok(defaults)
            },
        )
        .await
    }

    /// Removes a secret with all its versions. A secret created there later starts again at version
    /// 1.
    ///
    /// # Errors
    /// `Error::SecretNotFound`.
    pub async fn delete(
        &self,
        permit: &Permit,
        path: &SecretPath,
        now: Timestamp,
    ) -> Result<(), Error> {
        permit.check(Action::SecretDelete, Resource::Secret(path))?;
        let keys = self.scope.keys(permit).await?;
        let change =
            Change { name: ChangeName::DeleteSecret, turns: &[path.as_str()], by: Some(permit) };
        // A damaged secret can still be removed; nobody knows then what it took.
        self.scope
            .unit(change, &keys, OneRecord::of::<Header>(&keys, path), |found, draft| {
                let found = found.ok_or(Error::SecretNotFound)?;
                let header =
                    open::<Header>(&keys, &Header::key(keys.id(), path), &found.bytes).ok();
                if header.as_ref().is_some_and(|header| header.life.is_over(now)) {
                    return Err(Error::SecretNotFound);
                }
                draft.remove(path, now);
                let was = header.map(|header| SecretMark::of(&keys, path, &header)).transpose()?;
                let growth = draft.settle(was.as_ref());
                draft.tell(was.map(|_| growth));
                Ok(())
            })
            .await
    }

    /// Puts a version into the state `to`, and shows it to who may see it. The second part tells
    /// whether it was in another one before.
    ///
    /// # Errors
    /// `Error::SecretNotFound`, `Error::VersionNotFound`; `Error::VersionDeleted`, as deleted is
    /// final.
    pub async fn set_state(
        &self,
        permit: &Permit,
        path: &SecretPath,
        number: VersionNumber,
        to: VersionState,
        now: Timestamp,
    ) -> Result<(Option<VersionView>, bool), Error> {
        permit.learns(Detail::Version(number.get()));
        permit.check(leads_to(to), Resource::Secret(path))?;
        let numbers = [number];
        let basis = SecretBasis::of(path, now).with(More::Versions(&numbers));
        self.change(ChangeName::SetVersionState, permit, basis, |found, defaults, draft| {
            let Existing { mut header, mut versions, .. } = found.ok_or(Error::SecretNotFound)?;
            let (_, before) = versions.pop().ok_or(Error::VersionNotFound)?;
            let is_seen = permit.tells(Action::SecretGet, Resource::Secret(path));
            let view = |record| is_seen.then_some(VersionView { number, record, value: None });
            let transition = header.transition((number, &before.record), to, &defaults, now);
            if transition == Transition::Refused {
                return Err(Error::VersionDeleted);
            }
            let own = before.record.clone();
            let Some(after) = draft.lead((path, &mut header), (number, before), transition)? else {
                return Ok((view(header.seen(&own)), false));
            };
            draft.put_secret(path, &header)?;
            Ok((view(header.seen(&after)), true))
        })
        .await
    }

    /// The one way of writing a secret: `decide` drafts the changes, on the header, what else was
    /// read, and the defaults.
    pub(in crate::service) async fn change<T: Send>(
        &self,
        name: ChangeName,
        permit: &Permit,
        basis: SecretBasis<'_>,
        decide: impl Fn(Option<Existing>, Settings, &mut Draft<'_>) -> Result<T, Error> + Send + Sync,
    ) -> Result<T, Error> {
        self.change_or(name, permit, basis, decide).await
    }

    /// The same of a decision that has more to say than use cases have.
    pub(super) async fn change_or<T: Send, E: From<Error>>(
        &self,
        name: ChangeName,
        permit: &Permit,
        basis: SecretBasis<'_>,
        decide: impl Fn(Option<Existing>, Settings, &mut Draft<'_>) -> Result<T, E> + Send + Sync,
    ) -> Result<T, E> {
        let keys = self.scope.keys(permit).await?;
        let change = Change { name, turns: &[basis.path.as_str()], by: Some(permit) };
        self.scope
            .unit_or(change, &keys, basis, |facts, draft| {
                let Entered { found, was, defaults } = facts.enter(basis.path, basis.now, draft)?;
                let outcome = decide(found, defaults, draft)?;
                let growth = draft.settle(was.as_ref());
                self.usages.admit(keys.id(), growth)?;
                draft.tell(Some(growth));
                Ok(outcome)
            })
            .await
    }
}

/// What a write of a secret reads.
#[derive(Clone, Copy)]
pub(in crate::service) struct SecretBasis<'a> {
    path: &'a SecretPath,
    view: Option<&'a View>,
    more: More<'a>,
    /// The policies that it attaches are to be there.
    attached: Option<&'a LifePatch>,
    now: Timestamp,
}

impl<'a> SecretBasis<'a> {
    pub(in crate::service) const fn of(path: &'a SecretPath, now: Timestamp) -> Self {
        Self { path, view: None, more: More::Nothing, attached: None, now }
    }

    pub(super) const fn through(at: Through<'a>, now: Timestamp) -> Self {
        Self { path: at.path, view: Some(at.view), more: More::Nothing, attached: None, now }
    }

    pub(super) const fn attaching(self, patch: &'a LifePatch) -> Self {
        Self { attached: Some(patch), ..self }
    }

    pub(in crate::service) const fn with(self, more: More<'a>) -> Self {
        Self { more, ..self }
    }
}

impl Basis for SecretBasis<'_> {
    type Facts = SecretFacts;

    async fn read(&self, reader: &UnitReader<'_>) -> Result<Self::Facts, Error> {
        let Self { path, view, more, attached, now } = *self;
        // A mount can go, or move, between the request's look at it and here; from here on the
        // config is held.
        let config = reader.config().await?;
        if view.is_some_and(|view| !config.has(view)) {
            return Err(MountError::NotFound.into());
        }
        let key = header::key(reader.records.keys.id(), path);
        if let Some(patch) = attached {
            attaches(reader, patch).await?;
        }
        let defaults = config.defaults(path);
        let Some(record) = reader.hold(header::SPACE, key.clone()).await? else {
            return Ok(SecretFacts { found: None, is_over: false, defaults });
        };
        let header: Header = open(reader.records.keys, &key, &record.bytes)?;
        let is_over = header.life.is_over(now);
        let more = if is_over { More::Nothing } else { more };
        let rotated = match more {
            More::Rotated(grace) => Some(rotated(reader, &header, grace, now).await?),
            _ => None,
        };
        let found = Found { header, rotated };
        let found = find(&reader.records, path, found, (more, &defaults), now).await?;
        Ok(SecretFacts { found: Some(found), is_over, defaults })
    }
}

/// Holds the policies that a write attaches.
///
/// # Errors
/// `Error::Fields` where there is no such one.
async fn attaches(reader: &UnitReader<'_>, patch: &LifePatch) -> Result<(), Error> {
    const RULE: &str = "the id of a policy of the domain; list them";
    let (domain, mut faults) = (reader.records.keys.id(), Faults::default());
    if let Some(Some(id)) = &patch.rotation {
        let is_one = match id.parse::<RotationPolicyId>() {
            Ok(id) => {
                let key = RotationPolicy::key(domain, &id);
                reader.hold(RotationPolicy::SPACE, key).await?.is_some()
                    || RotationPolicy::is_built_in(&id)
            }
            Err(_) => false,
        };
        if !is_one {
            faults.add("options.rotation_policy_id", RULE);
        }
    }
    if let Some(Some(id)) = &patch.secret_policy {
        let is_one = match id.parse::<SecretPolicyId>() {
            Ok(id) => {
                let key = SecretPolicy::key(domain, &id);
                reader.hold(SecretPolicy::SPACE, key).await?.is_some()
            }
            Err(_) => false,
        };
        if !is_one {
            faults.add("options.secret_policy_id", RULE);
        }
    }
    Ok(faults.check(())?)
}

/// What a write stands on.
pub(in crate::service) struct SecretFacts {
    found: Option<Existing>,
    /// Whether what was found counts as nothing, and is erased by whoever writes there.
    is_over: bool,
    defaults: Settings,
}

/// A secret, as a write comes to it.
pub(super) struct Entered {
    pub(super) found: Option<Existing>,
    /// What was there before, for [`Draft::settle`].
    pub(super) was: Option<SecretMark>,
    pub(super) defaults: Settings,
}

impl SecretFacts {
    /// Comes to the secret at `path`. Of what is over nothing is left to whoever does.
    pub(super) fn enter(
        self,
        path: &SecretPath,
        now: Timestamp,
        draft: &mut Draft<'_>,
    ) -> Result<Entered, Error> {
        let Self { found, is_over, defaults } = self;
        let mark = |found: &Existing| SecretMark::of(draft.keys, path, &found.header);
        let was = found.as_ref().map(mark).transpose()?;
        if is_over {
            draft.remove(path, now);
        }
        Ok(Entered { found: found.filter(|_| !is_over), was, defaults })
    }
}

/// A secret that is made: whoever makes it is told of it for good, and owns it until somebody else is to.
pub(super) fn made(permit: &Permit, now: Timestamp) -> Header {
    let subject: Option<Box<str>> = permit.names_subject().map(Into::into);
    let header = Header::new(now);
    let about = About { owner: subject.clone(), ..header.about };
    Header { about, created_by: subject, ..header }
}

/// What a write finds.
pub(in crate::service) struct Existing {
    pub(in crate::service) header: Header,
    /// The versions that the write is about, as far as they are kept.
    pub(in crate::service) versions: Vec<(VersionNumber, Version)>,
    /// The current version's value, where it was asked for and can be read.
    pub(super) value: Option<SecretValue>,
    /// What the values take of the versions that fall off the end when there is another one.
    pub(in crate::service) falling: u64,
    /// What its rotation stands on, where that was asked for.
    pub(in crate::service) rotated: Option<Rotated>,
}

/// What a rotation stands on beside the secret.
pub(in crate::service) struct Rotated {
    /// The policy that is attached to it, if there is such a one.
    pub(in crate::service) policy: Option<RotationPolicy>,
    /// For how many seconds the version before can still be read.
    pub(in crate::service) grace: u64,
}

/// Holds the rotation policy of a secret.
async fn rotated(
    reader: &UnitReader<'_>,
    header: &Header,
    grace: Option<u64>,
    now: Timestamp,
) -> Result<Rotated, Error> {
    let attached = header.life.rotation.as_ref().and_then(|attached| attached.policy.parse().ok());
    let policy = match attached {
        Some(id) => policies::held(reader, &id, now).await?,
        None => None,
    };
    let fields = policy.as_ref().map(RotationPolicy::fields);
    let of_policy = || fields.map_or_else(default_grace, |fields| fields.grace_period.clone());
    let grace = grace.unwrap_or_else(|| of_policy().seconds());
    Ok(Rotated { policy, grace })
}

/// A secret, and what its rotation stands on.
struct Found {
    header: Header,
    rotated: Option<Rotated>,
}

async fn find(
    reader: &Reader<'_>,
    path: &SecretPath,
    Found { header, rotated }: Found,
    (more, defaults): (More<'_>, &Settings),
    now: Timestamp,
) -> Result<Existing, Error> {
    let numbers = match more {
        More::Nothing | More::Added(_) => Vec::new(),
        More::Current { .. } | More::Rotated(_) => header.current.into_iter().collect(),
        More::Pinned(number) => Some(number).filter(|it| header.keeps(*it)).into_iter().collect(),
        More::Versions(numbers) => {
            let mut kept: Vec<_> =
                numbers.iter().copied().filter(|number| header.keeps(*number)).collect();
            kept.sort_unstable();
            kept.dedup();
            kept
        }
    };
    let mut versions = Vec::with_capacity(numbers.len());
    for number in numbers {
        versions.push((number, reader.version(path, number).await?));
        if versions.len().is_multiple_of(VERSIONS_AT_ONCE) {
            tokio::task::yield_now().await;
        }
    }
    let value = match (more, versions.last()) {
        (More::Current { with_value: true } | More::Pinned(_), Some((number, version)))
            if header.seen(&version.record).state(now) == VersionState::Active =>
        {
            Some(reader.value(path, *number, version).await?)
        }
        _ => None,
    };
    let keeps = match more {
        More::Added(Some(patch)) => Some(patch.apply(&header.settings).keeps(defaults)),
        More::Added(None) | More::Current { with_value: true } => {
            Some(header.settings.keeps(defaults))
        }
        More::Rotated(_) => {
            let grace = rotated.as_ref().map_or(0, |rotated| rotated.grace);
            Some(header.keeps_in_rotation(grace, defaults))
        }
        More::Nothing
        | More::Versions(_)
        | More::Pinned(_)
        | More::Current { with_value: false } => None,
    };
    let falling = match keeps.and_then(|keeps| header.prunes(keeps)) {
        Some(pruned) => reader.bytes_of(path, pruned).await?,
        None => 0,
    };
    Ok(Existing { header, versions, value, falling, rotated })
}

/// What leading a version to a state takes.
pub(super) const fn leads_to(to: VersionState) -> Action {
    match to {
        VersionState::Active => Action::VersionActivate,
        VersionState::Deactivated => Action::VersionDeactivate,
        VersionState::Deleted => Action::VersionDelete,
    }
}

/// What a write tells of a secret beside what it has done itself: nothing to who may not see it.
fn told(permit: &Permit, path: &SecretPath, header: Header) -> Option<Header> {
    permit.tells(Action::SecretGet, Resource::Secret(path)).then_some(header)
}

pub(super) fn add_version(
    path: &SecretPath,
    (header, falling): (&mut Header, u64),
    value: &SecretValue,
    domain: &Settings,
    draft: &mut Draft<'_>,
    now: Timestamp,
) -> Result<(VersionNumber, SeenVersion), Error> {
    let added = header.add_version(domain, now)?;
    draft_added(path, (header, falling), value, &added, draft)?;
    Ok((added.number, header.seen(&added.record)))
}

/// Drafts a version that the header has by now, without those that fall off the end.
pub(in crate::service) fn draft_added(
    path: &SecretPath,
    (header, falling): (&mut Header, u64),
    value: &SecretValue,
    added: &Added,
    draft: &mut Draft<'_>,
) -> Result<(), Error> {
    header.bytes = header.bytes.saturating_sub(falling).saturating_add(value.len() as u64);
    draft.add(path, added.number, added.record.clone(), value)?;
    if let Some(pruned) = &added.pruned {
        draft.prune(path, pruned.clone());
    }
    Ok(())
}
