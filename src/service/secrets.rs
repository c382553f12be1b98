//! Secrets and their versions.

use std::sync::Arc;

use super::{
    Domains, Error, cursor,
    opened::Opened,
    records::{COMMIT_ATTEMPTS, Draft, Reader, commit, missing},
    turns::Turns,
};
use crate::{
    auth::{Action, Permit},
    crypto::{DomainKeys, SecretValue},
    domain::{
        Cas, Header, MetadataPatch, OkmsId, SecretPath, Settings, Timestamp, Transition, VersionNumber, VersionRecord,
        VersionState,
    },
    store::{
        engine::{Engine, ReadError, Snapshot, Space, Wanted},
        keys,
    },
};

/// A secret as it is shown.
#[derive(Debug)]
pub struct Secret {
    /// Its header.
    pub header: Arc<Header>,
    /// The version asked for; `None` where the secret has none yet.
    pub version: Option<VersionView>,
}

/// A version as it is shown.
#[derive(Debug)]
pub struct VersionView {
    /// Its number.
    pub number: VersionNumber,
    /// Its record: the state follows from it and from now.
    pub record: VersionRecord,
    /// Its value, where it was asked for and may be read.
    pub value: Option<SecretValue>,
}

/// A secret that was just created or changed.
#[derive(Debug)]
pub struct Changed {
    /// Its header after the change.
    pub header: Header,
    /// The domain's defaults, which were in force.
    pub domain: Settings,
    /// The version that was added, if one was.
    pub added: Option<(VersionNumber, VersionRecord)>,
}

/// A change to a secret: metadata, a new version, or both in one.
#[derive(Debug)]
pub struct Update {
    /// Changes to the metadata.
    pub patch: MetadataPatch,
    /// The new version's value.
    pub value: Option<SecretValue>,
    /// The current version that the writer expects.
    pub cas: Option<Cas>,
}

/// A page of a list, and the cursor after it unless the list ends there.
pub(super) type Page<T> = (Vec<T>, Option<Vec<u8>>);

/// The use cases on secrets.
pub struct Secrets {
    engine: Arc<dyn Engine>,
    domains: Domains,
    turns: Turns,
    opened: Opened,
}

impl Secrets {
    pub(super) fn new(engine: Arc<dyn Engine>, domains: Domains) -> Self {
        Self { engine, domains, turns: Turns::new(), opened: Opened::new() }
    }

    /// A page of the domain's secrets, by path. A secret whose header is damaged is listed without it, so that one bad
    /// record does not hide the others.
    ///
    /// # Errors
    /// `Error::Invalid` for a cursor that is not of this list.
    pub async fn list(
        &self,
        permit: &Permit,
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<(SecretPath, Option<Header>)>, Error> {
        permit.require(Action::SecretGet)?;
        let (id, keys) = (permit.okms_id(), self.domains.keys(permit).await?);
        let from = match cursor {
            Some(cursor) => keys::after_header(id, &cursor::parse_secret(&keys, cursor)?),
            None => keys::domain(id),
        };
        let snapshot = self.engine.snapshot().await?;
        let entries = snapshot.scan(Space::Header, &from, &keys::end_of_domain(id), limit + 1).await?;
        let reader = Reader { snapshot: &*snapshot, keys: &keys };
        let more = entries.len() > limit;
        let mut secrets = Vec::with_capacity(entries.len());
        for (key, record) in entries.into_iter().take(limit) {
            let path = keys::parse_header(id, &key).ok_or(crate::store::codec::Malformed)?;
            let header = match reader.open_header(&path, record.bytes) {
                Err(error @ Error::Corrupt(_)) => {
                    tracing::error!(domain = %id, error = &error as &dyn std::error::Error, "a header is damaged");
                    None
                }
                header => Some(header?),
            };
            secrets.push((path, header));
        }
        let next = match secrets.last() {
            Some((path, _)) if more => Some(cursor::after_secret(&keys, path)?),
            _ => None,
        };
        Ok((secrets, next))
    }

    /// A secret with one version: `version`, or the current one.
    ///
    /// # Errors
    /// `Error::SecretNotFound`, `Error::VersionNotFound`.
    pub async fn get(
        &self,
        permit: &Permit,
        path: &SecretPath,
        version: Option<VersionNumber>,
        include_data: bool,
        now: Timestamp,
    ) -> Result<Secret, Error> {
        permit.require(Action::SecretGet)?;
        if include_data {
            permit.require(Action::VersionGetData)?;
        }
        let (id, keys) = (permit.okms_id(), self.domains.keys(permit).await?);
        let snapshot = self.engine.snapshot().await?;
        let reader = Reader { snapshot: &*snapshot, keys: &keys };
        let key = keys::header(id, path);
        if !snapshot.is_near(Space::Header, &key) {
            prefetch(&*snapshot, id, path, version, include_data).await?;
        }
        let record = snapshot.get(Space::Header, &key).await?.ok_or(Error::SecretNotFound)?;
        let header = self.opened.header(key, record.revision, || reader.open_header(path, record.bytes))?;
        let Some(number) = version.or(header.current) else {
            return Ok(Secret { header, version: None });
        };
        if !header.keeps(number) {
            return Err(Error::VersionNotFound);
        }
        let key = keys::version(id, path, number.get());
        let record = snapshot.get(Space::Version, &key).await?.ok_or_else(missing)?;
        let open = || reader.open_version(path, number.get(), record.bytes);
        let record = self.opened.version(key, record.revision, open)?;
        let readable = include_data && record.state(now) == VersionState::Active;
        let value = if readable { Some(reader.value(path, number).await?) } else { None };
        Ok(Secret { header, version: Some(VersionView { number, record, value }) })
    }

    /// Creates a secret with its first version.
    ///
    /// # Errors
    /// `Error::SecretExists` where the path is taken; `Error::Refused` where the metadata breaks a rule.
    pub async fn create(
        &self,
        permit: &Permit,
        path: &SecretPath,
        patch: &MetadataPatch,
        value: &SecretValue,
        now: Timestamp,
    ) -> Result<Changed, Error> {
        permit.require(Action::SecretCreate)?;
        self.change(permit, path, None, |found, domain, draft| {
            if found.is_some() {
                return Err(Error::SecretExists);
            }
            let mut header = Header::new(now).patched(patch, now)?;
            let added = add_version(&mut header, value, &domain, draft, now)?;
            draft.header(&header)?;
            Ok((true, Changed { header, domain, added: Some(added) }))
        })
        .await
    }

    /// Changes a secret's metadata, adds a version, or both. New metadata counts before the CAS is checked; either
    /// everything is stored or nothing.
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
            permit.require(Action::VersionCreate)?;
        }
        if !update.patch.is_empty() {
            permit.require(Action::SecretUpdateMetadata)?;
        }
        self.change(permit, path, None, |found, domain, draft| {
            let mut header = found.ok_or(Error::SecretNotFound)?.header.patched(&update.patch, now)?;
            header.check_cas(update.cas, &domain, update.value.is_some())?;
            let added = match &update.value {
                Some(value) => Some(add_version(&mut header, value, &domain, draft, now)?),
                None => None,
            };
            let changes = added.is_some() || !update.patch.is_empty();
            if changes {
                draft.header(&header)?;
            }
            Ok((changes, Changed { header, domain, added }))
        })
        .await
    }

    /// Removes a secret with all its versions. A secret created there later starts again at version 1.
    ///
    /// # Errors
    /// `Error::SecretNotFound`.
    pub async fn delete(&self, permit: &Permit, path: &SecretPath) -> Result<(), Error> {
        permit.require(Action::SecretDelete)?;
        let (id, keys) = (permit.okms_id(), self.domains.keys(permit).await?);
        let _turn = self.turns.take(id, path.as_str()).await?;
        for _ in 0..COMMIT_ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            // The header is not opened: a damaged secret can still be removed.
            let found = snapshot.get(Space::Header, &keys::header(id, path)).await?.ok_or(Error::SecretNotFound)?;
            if commit(&*self.engine, Draft::removal(&keys, path, found.revision)).await? {
                return Ok(());
            }
        }
        Err(Error::Contended)
    }

    /// A page of a secret's versions, oldest first.
    ///
    /// # Errors
    /// `Error::SecretNotFound`; `Error::Invalid` for a cursor that is not of this list.
    pub async fn versions(
        &self,
        permit: &Permit,
        path: &SecretPath,
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<VersionView>, Error> {
        permit.require(Action::SecretGet)?;
        let (id, keys) = (permit.okms_id(), self.domains.keys(permit).await?);
        let snapshot = self.engine.snapshot().await?;
        let reader = Reader { snapshot: &*snapshot, keys: &keys };
        let (header, _) = reader.header(path).await?.ok_or(Error::SecretNotFound)?;
        let first = match cursor {
            Some(cursor) => cursor::parse_version(&keys, path, cursor)?.get() + 1,
            None => 0,
        };
        let from = keys::version(id, path, first.max(header.oldest));
        let to = keys::version(id, path, header.current_number() + 1);
        let entries = snapshot.scan(Space::Version, &from, &to, limit + 1).await?;
        let more = entries.len() > limit;
        let mut versions = Vec::with_capacity(entries.len());
        for (key, record) in entries.into_iter().take(limit) {
            let number = keys::parse_version(&key).unwrap_or_default();
            let record = reader.open_version(path, number, record.bytes)?;
            versions.push(VersionView { number: VersionNumber::new(number)?, record, value: None });
        }
        let next = match versions.last() {
            Some(version) if more => Some(cursor::after_version(&keys, path, version.number)?),
            _ => None,
        };
        Ok((versions, next))
    }

    /// Puts a version into the state `to`. The second part tells whether it was in another one before.
    ///
    /// # Errors
    /// `Error::SecretNotFound`, `Error::VersionNotFound`; `Error::VersionDeleted`, as deleted is final.
    pub async fn set_state(
        &self,
        permit: &Permit,
        path: &SecretPath,
        number: VersionNumber,
        to: VersionState,
        now: Timestamp,
    ) -> Result<(VersionView, bool), Error> {
        permit.require(match to {
            VersionState::Active => Action::VersionActivate,
            VersionState::Deactivated => Action::VersionDeactivate,
            VersionState::Deleted => Action::VersionDelete,
        })?;
        self.change(permit, path, Some(number), |found, domain, draft| {
            let Found { header, version } = found.ok_or(Error::SecretNotFound)?;
            let before = version.ok_or(Error::VersionNotFound)?;
            let view = |record| VersionView { number, record, value: None };
            let after = match before.transition(to, now, header.settings.life_seconds(&domain)) {
                Transition::None => return Ok((false, (view(before), false))),
                Transition::Changed(after) => after,
                Transition::Erased(after) => {
                    draft.erase_value(number);
                    after
                }
                Transition::Refused => return Err(Error::VersionDeleted),
            };
            draft.version(number, &after)?;
            draft.header(&Header { updated_at: header.updated_at.max(now), ..header })?;
            Ok((true, (view(after), true)))
        })
        .await
    }

    /// The one way of writing: reads the header (with version `number`, where one is named) and the defaults, lets
    /// `decide` draft the changes and commits them if the header is still the same then, else begins anew. `decide`
    /// answers whether there is anything to store.
    async fn change<T>(
        &self,
        permit: &Permit,
        path: &SecretPath,
        number: Option<VersionNumber>,
        decide: impl Fn(Option<Found>, Settings, &mut Draft<'_>) -> Result<(bool, T), Error>,
    ) -> Result<T, Error> {
        let keys: Arc<DomainKeys> = self.domains.keys(permit).await?;
        let _turn = self.turns.take(permit.okms_id(), path.as_str()).await?;
        for _ in 0..COMMIT_ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            let reader = Reader { snapshot: &*snapshot, keys: &keys };
            let (domain, config) = reader.settings().await?;
            let (found, revision) = match reader.header(path).await? {
                Some((header, revision)) => {
                    let version = match number.filter(|number| header.keeps(*number)) {
                        Some(number) => Some(reader.version(path, number).await?),
                        None => None,
                    };
                    (Some(Found { header, version }), Some(revision))
                }
                None => (None, None),
            };
            let mut draft = Draft::new(&keys, path, revision, config);
            let (changes, outcome) = decide(found, domain, &mut draft)?;
            if !changes {
                return Ok(outcome);
            }
            if commit(&*self.engine, draft.into_batch()).await? {
                return Ok(outcome);
            }
        }
        Err(Error::Contended)
    }
}

/// What a write finds.
struct Found {
    header: Header,
    /// The version that the write is about, if it is about one that is kept.
    version: Option<VersionRecord>,
}

/// Asks for all that a read of a secret takes, so that a cold one waits once.
async fn prefetch(
    snapshot: &dyn Snapshot,
    id: OkmsId,
    path: &SecretPath,
    version: Option<VersionNumber>,
    include_data: bool,
) -> Result<(), ReadError> {
    // The current version is the last one.
    let first = keys::version(id, path, version.map_or(0, VersionNumber::get));
    let end = keys::version(id, path, version.map_or(u32::MAX, |number| number.get() + 1));
    let header = keys::header(id, path);
    let wanted = [
        Wanted::Key(Space::Header, &header),
        Wanted::Last(Space::Version, &first, &end),
        Wanted::Last(Space::Value, &first, &end),
    ];
    let (without_value, _) = wanted.split_at(2);
    snapshot.prefetch(if include_data { &wanted } else { without_value }).await
}

fn add_version(
    header: &mut Header,
    value: &SecretValue,
    domain: &Settings,
    draft: &mut Draft<'_>,
    now: Timestamp,
) -> Result<(VersionNumber, VersionRecord), Error> {
    let added = header.add_version(domain, now)?;
    draft.version(added.number, &added.record)?;
    draft.value(added.number, value)?;
    if let Some(pruned) = added.pruned {
        draft.prune(pruned);
    }
    Ok((added.number, added.record))
}
