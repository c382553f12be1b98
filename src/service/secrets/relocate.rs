//! Secrets that go from one place to another with their whole history: one, or all that is in a folder.
//!
//! Always holds: it is one commit, on condition that all of it is as it was read: nobody sees some of it here and some
//! there, and what somebody writes meanwhile goes along, or stays. Each value is sealed for its new place. Never does:
//! more than so many bytes and versions at once, as others wait for the commit.

use std::collections::HashSet;

use super::Secrets;
use crate::{
    auth::{Action, Detail, Permit, Resource, Thing},
    crypto::{DomainKeys, SecretValue},
    model::{Growth, Header, Invalid, MountError, SecretPath, Timestamp, VersionNumber, View},
    service::{
        ChangeName, Error,
        records::{Draft, Reader, SecretMark, open},
        unit::{Basis, Change, UnitReader},
    },
    store::{
        engine::{Expect, Record},
        kinds::{Kind as _, Malformed, header, version::Version},
    },
};

/// The most secrets at once.
const SECRETS_MAX: usize = 1_000;
/// The most versions of all of them.
const VERSIONS_MAX: u32 = 10_000;
/// The most that their values may take together, in bytes.
const BYTES_MAX: u64 = 8 << 20;

const TOO_MUCH: Invalid = Invalid(
    "that is more than goes at once: 1000 secrets, 10000 versions, 8 MiB of values; take the folders in it one by one",
);
const SAME: Invalid = Invalid("it is to go to where it is, or into itself; name another place");

/// What goes, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// One secret.
    Secret(SecretPath, SecretPath),
    /// All that is in a folder, whose name ends in a slash, to the same names in another one.
    Folder(String, String),
}

/// How it goes.
#[derive(Clone, Copy, Debug)]
pub struct Relocation<'a> {
    /// Whether it is gone from where it was.
    pub moves: bool,
    /// Whether what is there already gives way, with all its versions.
    pub overwrites: bool,
    /// The views through which its ends are named: it goes on only while those are there.
    pub through: &'a [View],
}

/// What has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relocated {
    /// So many secrets.
    pub secrets: u32,
    /// With so many versions.
    pub versions: u32,
}

impl Way {
    /// The way between two names, both of secrets or both of folders, which end in a slash.
    ///
    /// # Errors
    /// `Invalid` where one is no path, or they are not alike.
    pub fn between(from: &str, to: &str) -> Result<Self, Invalid> {
        const ALIKE: Invalid =
            Invalid("name two secrets, or two folders, which end in a slash: app/db, or app/");
        match (from.strip_suffix('/'), to.strip_suffix('/')) {
            (Some(one), Some(other)) => {
                let (_, _): (SecretPath, SecretPath) = (one.parse()?, other.parse()?);
                let is_within = from.starts_with(to) || to.starts_with(from);
                if is_within { Err(SAME) } else { Ok(Self::Folder(from.to_owned(), to.to_owned())) }
            }
            (None, None) => {
                let (from, to): (SecretPath, SecretPath) = (from.parse()?, to.parse()?);
                if from == to { Err(SAME) } else { Ok(Self::Secret(from, to)) }
            }
            _ => Err(ALIKE),
        }
    }

    /// Where it begins and where it ends, as rights have it.
    fn ends(&self) -> [Resource<'_>; 2] {
        match self {
            Self::Secret(from, to) => [Resource::Secret(from), Resource::Secret(to)],
            Self::Folder(from, to) => [Resource::AllBelow(from), Resource::AllBelow(to)],
        }
    }

    /// The names whose turns it takes.
    fn names(&self) -> [&str; 2] {
        match self {
            Self::Secret(from, to) => [from.as_str(), to.as_str()],
            Self::Folder(from, to) => [from, to],
        }
    }
}

impl Secrets {
    /// Takes secrets with all their versions, and all that is said of them, to another place.
    ///
    /// # Errors
    /// `Error::SecretNotFound` where there is none; `Error::SecretExists` where one is at its destination;
    /// `Error::Invalid` where it is too much at once; `Error::Mount` where a view has gone meanwhile.
    pub async fn relocate(
        &self,
        permit: &Permit,
        way: &Way,
        how: Relocation<'_>,
        now: Timestamp,
    ) -> Result<Relocated, Error> {
        let [from, to] = way.ends();
        permit.check(Action::SecretGet, from)?;
        permit.check_beside(Action::VersionGetData, from)?;
        if how.moves {
            permit.check_beside(Action::SecretDelete, from)?;
        }
        for action in [Action::SecretCreate, Action::VersionCreate, Action::SecretUpdateMetadata] {
            permit.check_beside(action, to)?;
        }
        if how.overwrites {
            permit.check_beside(Action::SecretDelete, to)?;
        }
        let thing = if matches!(way, Way::Folder(..)) { Thing::Folder } else { Thing::Secret };
        let [_, there] = way.names();
        permit.learns(Detail::About(thing, there));
        let keys = self.scope.keys(permit).await?;
        let judged = self.judged(permit, &keys, way, how).await?;
        let _turn = self.scope.long_reads().turn(permit.okms_id()).await?;
        let change = Change {
            name: if how.moves { ChangeName::MoveSecrets } else { ChangeName::CopySecrets },
            turns: &way.names(),
            by: Some(permit),
        };
        let basis = Journey { way, how, now };
        self.scope
            .unit(change, &keys, basis, |travellers, draft| {
                if travellers.is_empty() {
                    return Err(Error::SecretNotFound);
                }
                let (mut relocated, mut growth) = (Relocated::default(), Growth::default());
                for traveller in &travellers {
                    // It has come since, and nobody has judged that it may go.
                    if judged.as_ref().is_some_and(|judged| !judged.contains(&traveller.from)) {
                        return Err(Error::Contended);
                    }
                    growth = growth.and(traveller.goes(how, draft, now)?);
                    relocated.secrets += 1;
                    relocated.versions +=
                        u32::try_from(traveller.versions.len()).unwrap_or(u32::MAX);
                }
                self.usages.admit(keys.id(), growth)?;
                draft.tell(Some(growth));
                Ok(relocated)
            })
            .await
    }
}

impl Secrets {
    /// Those of a folder that may go, where somebody judges that of each: a folder that may is not all that is in it.
    /// Nothing where nobody judges, or what goes was judged by its name.
    async fn judged(
        &self,
        permit: &Permit,
        keys: &DomainKeys,
        way: &Way,
        how: Relocation<'_>,
    ) -> Result<Option<HashSet<SecretPath>>, Error> {
        let Way::Folder(from, to) = way else { return Ok(None) };
        if !self.scope.is_judged() {
            return Ok(None);
        }
        let snapshot = self.scope.engine().snapshot().await?;
        let (first, end) = header::below(keys.id(), from);
        let found = snapshot.keys(header::SPACE, &first, &end, None, SECRETS_MAX + 1).await?;
        drop(snapshot);
        if found.len() > SECRETS_MAX {
            return Err(TOO_MUCH.into());
        }
        let mut ways = Vec::with_capacity(found.len());
        for key in found {
            let here = header::parse(keys.id(), &key).ok_or(Malformed)?;
            let there = there(from, to, &here)?;
            ways.push((here, there));
        }
        let mut asked = Vec::new();
        for (here, there) in &ways {
            asked.push((Action::VersionGetData, Resource::Secret(here)));
            asked.push((Action::VersionCreate, Resource::Secret(there)));
            if how.moves {
                asked.push((Action::SecretDelete, Resource::Secret(here)));
            }
            if how.overwrites {
                asked.push((Action::SecretDelete, Resource::Secret(there)));
            }
        }
        for said in self.scope.sift(permit, keys, &asked).await? {
            if let Err(Error::PdpDenied { id, .. }) = &said {
                permit.learns(Detail::Judged { id, is_permitted: false, path: None });
            }
            said?;
        }
        Ok(Some(ways.into_iter().map(|(here, _)| here).collect()))
    }
}

/// Where a secret of a folder goes.
fn there(from: &str, to: &str, path: &SecretPath) -> Result<SecretPath, Error> {
    let name = path.as_str().strip_prefix(from).ok_or(Malformed)?;
    Ok(format!("{to}{name}").parse()?)
}

/// A secret on its way.
struct Traveller {
    from: SecretPath,
    to: SecretPath,
    header: Header,
    versions: Vec<(VersionNumber, Version, Option<SecretValue>)>,
    /// What it takes the place of.
    before: Option<Header>,
}

impl Traveller {
    /// Drafts that it is there, and not here any more if it moves; what that adds to what the domain has.
    fn goes(
        &self,
        how: Relocation<'_>,
        draft: &mut Draft<'_>,
        now: Timestamp,
    ) -> Result<Growth, Error> {
        let Self { from, to, header, versions, before } = self;
        let was =
            before.as_ref().map(|before| SecretMark::of(draft.keys, to, before)).transpose()?;
        if before.is_some() {
            draft.remove(to, now);
        }
        for (number, version, value) in versions {
            match value {
                Some(value) => draft.add(to, *number, version.record.clone(), value)?,
                None => draft.put((to, number.get()), version)?,
            }
        }
        // That it has gone is a change of it, and the last one.
        draft.put_secret(to, &header.clone().with_life(header.life.clone(), now))?;
        let growth = draft.settle(was.as_ref());
        if !how.moves {
            return Ok(growth);
        }
        let was = SecretMark::of(draft.keys, from, header)?;
        draft.remove(from, now);
        Ok(growth.and(draft.settle(Some(&was))))
    }
}

/// What a relocation stands on.
struct Journey<'a> {
    way: &'a Way,
    how: Relocation<'a>,
    now: Timestamp,
}

impl Basis for Journey<'_> {
    type Facts = Vec<Traveller>;

    async fn read(&self, reader: &UnitReader<'_>) -> Result<Self::Facts, Error> {
        // Defaults and mounts are held as by all who write.
        let config = reader.config().await?;
        if !self.how.through.iter().all(|view| config.has(view)) {
            return Err(MountError::NotFound.into());
        }
        let mut travellers = Vec::new();
        let (mut versions_left, mut bytes_left) = (VERSIONS_MAX, BYTES_MAX);
        for (from, to, record) in self.named(reader).await? {
            let keys = reader.records.keys;
            let key = Header::key(keys.id(), &from);
            let header: Header = open(keys, &key, &record.bytes)?;
            reader.holds(header::SPACE, key, Expect::At(record.revision));
            // What is over is not there.
            if header.life.is_over(self.now) {
                continue;
            }
            let there = Header::key(keys.id(), &to);
            let before = match reader.hold(header::SPACE, there.clone()).await? {
                None => None,
                Some(record) => {
                    let before: Header = open(keys, &there, &record.bytes)?;
                    if !self.how.overwrites && !before.life.is_over(self.now) {
                        return Err(Error::SecretExists);
                    }
                    Some(before)
                }
            };
            bytes_left = bytes_left.checked_sub(header.bytes).ok_or(TOO_MUCH)?;
            versions_left = versions_left.checked_sub(header.version_count()).ok_or(TOO_MUCH)?;
            let versions = versions(&reader.records, &from, &header).await?;
            travellers.push(Traveller { from, to, header, versions, before });
        }
        Ok(travellers)
    }
}

impl Journey<'_> {
    /// The secrets that go, and where to.
    async fn named(
        &self,
        reader: &UnitReader<'_>,
    ) -> Result<Vec<(SecretPath, SecretPath, Record)>, Error> {
        let (snapshot, keys) = (reader.records.snapshot, reader.records.keys);
        match self.way {
            Way::Secret(from, to) => {
                let record = snapshot.get(header::SPACE, &Header::key(keys.id(), from)).await?;
                Ok(record.map(|record| (from.clone(), to.clone(), record)).into_iter().collect())
            }
            Way::Folder(from, to) => {
                let (first, end) = header::below(keys.id(), from);
                let found = snapshot.scan(header::SPACE, &first, &end, SECRETS_MAX + 1).await?;
                if found.len() > SECRETS_MAX {
                    return Err(TOO_MUCH.into());
                }
                let named = found.into_iter().map(|(key, record)| {
                    let path = header::parse(keys.id(), &key).ok_or(Malformed)?;
                    let there = there(from, to, &path)?;
                    Ok((path, there, record))
                });
                named.collect()
            }
        }
    }
}

/// All versions of a secret that are kept, with their values.
async fn versions(
    reader: &Reader<'_>,
    path: &SecretPath,
    header: &Header,
) -> Result<Vec<(VersionNumber, Version, Option<SecretValue>)>, Error> {
    let kept = reader.versions(path, (header.oldest, header.current_number() + 1)).await?;
    let mut found = Vec::with_capacity(kept.len());
    for (number, version) in kept {
        let value = match version.data_key {
            Some(_) => Some(reader.value(path, number, &version).await?),
            None => None,
        };
        found.push((number, version, value));
    }
    Ok(found)
}
