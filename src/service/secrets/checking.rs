//! What secrets are found by, held against their headers: completed once for stores from before it was kept, and
//! mended where it does not agree.
//!
//! Always holds: the header is what counts; nothing is mended that has changed meanwhile. Never does: change a
//! secret.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Secrets,
    index::{Entries, entries, is_complete, put},
    leaving::{AT_ONCE, Page},
};
use crate::{
    crypto::DomainKeys,
    model::{Header, OkmsId, SecretPath},
    service::{
        ChangeName, Error,
        records::{Draft, SecretMark, keys_of, open},
        scope::Scope,
        tries::Tries,
        unit::{Basis, Change, UnitReader},
    },
    store::{
        engine::{Batch, CommitError, Expect, Op, Read, Record, Space},
        kinds::{Malformed, header, region, secret_index, tenant},
    },
};

/// So many entries of the index are looked at in one commit.
const ENTRIES_AT_ONCE: usize = 256;

impl Secrets {
    /// Puts into the index what is of a time when it had less, once.
    ///
    /// # Errors
    /// `Error` where the store cannot be read or takes no change; it goes on where it was.
    pub async fn complete_index(&self) -> Result<(), Error> {
        let done = region::index_is_complete();
        if self.scope.engine().get(region::SPACE, &done).await?.is_some() {
            return Ok(());
        }
        for id in domains(&self.scope).await? {
            match self.scope.keys_of(id).await {
                Ok(keys) => {
                    self.complete_domain(&keys).await?;
                    self.mend_index(&keys, Duration::ZERO).await?;
                }
                Err(error) => {
                    tracing::error!(domain = %id, %error, "a domain's keys cannot be had");
                }
            }
        }
        let batch = Batch::of(vec![is_complete()]);
        self.scope.engine().commit(batch).await?;
        Ok(())
    }

    async fn complete_domain(&self, keys: &DomainKeys) -> Result<(), Error> {
        let (mut from, to) = (header::first(keys.id()), header::end(keys.id()));
        loop {
            let change = Change { name: ChangeName::CompleteIndex, turns: &[], by: None };
            let basis = Deadlines { page: Page { from: &from, to: &to } };
            let decide = |(page, deadlines): (Vec<_>, Vec<_>), draft: &mut Draft<'_>| {
                for (path, header) in &deadlines {
                    let was = SecretMark::of(
                        keys,
                        path,
                        &Header { current_deadline: None, ..Header::clone(header) },
                    )?;
                    draft.put_secret(path, header)?;
                    draft.settle(Some(&was));
                }
                Ok(page
                    .last()
                    .map(|(key, _): &(Vec<u8>, Record)| key.clone())
                    .filter(|_| page.len() == AT_ONCE))
            };
            match self.scope.unit(change, keys, basis, decide).await? {
                Some(last) => from = [last.as_slice(), &[0]].concat(),
                None => return Ok(()),
            }
        }
    }

    /// Holds the index of all domains' secrets against their headers, and mends what does not agree; a domain of
    /// which something is damaged keeps no other. Pauses between pages, as nobody waits for it.
    ///
    /// # Errors
    /// `Error` where the domains cannot be listed.
    pub async fn check_index(&self, pause: Duration) -> Result<(), Error> {
        for domain in domains(&self.scope).await? {
            let checked = match self.scope.keys_of(domain).await {
                Ok(keys) => self.mend_index(&keys, pause).await,
                Err(error) => Err(error),
            };
            match checked {
                Ok((0, 0)) => {}
                Ok((wrong, missing)) => {
                    tracing::error!(%domain, wrong, missing, "what secrets are found by was not as they say, and is mended");
                }
                Err(error) => {
                    tracing::warn!(%domain, %error, "what secrets are found by cannot be checked");
                }
            }
        }
        Ok(())
    }

    /// Holds the index of a domain's secrets against their headers, and mends what does not agree;
    /// tells how many entries were wrong, and how many were missing.
    ///
    /// # Errors
    /// `Error` where the store cannot be read or takes no change.
    pub(in crate::service) async fn mend_index(
        &self,
        keys: &DomainKeys,
        pause: Duration,
    ) -> Result<(usize, usize), Error> {
        let (mut wrong, mut missing) = (0, 0);
        let (mut from, to) = secret_index::all(keys.id());
        loop {
            let snapshot = self.scope.engine().snapshot().await?;
            let page =
                snapshot.keys(secret_index::SPACE, &from, &to, None, ENTRIES_AT_ONCE).await?;
            drop(snapshot);
            let Some(last) = page.last() else { break };
            from = [last.as_slice(), &[0]].concat();
            let is_last = page.len() < ENTRIES_AT_ONCE;
            let paths = page.iter().filter_map(|key| secret_index::path(keys.id(), key));
            let of: BTreeMap<_, _> =
                paths.map(|path| (header::key(keys.id(), &path), path)).collect();
            wrong += self
                .mend(keys, of, |asked, _| {
                    let wrong = page.iter().filter(|key| {
                        let path = secret_index::path(keys.id(), key);
                        let entries = path.and_then(|path| asked.get(&path));
                        // Of a header that is damaged nobody knows what it asks for.
                        entries.is_some_and(|entries| !entries.contains(*key))
                    });
                    wrong.map(|key| Op::Delete(secret_index::SPACE, key.clone())).collect()
                })
                .await?;
            if is_last {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        let (mut from, to) = (header::first(keys.id()), header::end(keys.id()));
        loop {
            let snapshot = self.scope.engine().snapshot().await?;
            let page = snapshot.keys(header::SPACE, &from, &to, None, ENTRIES_AT_ONCE).await?;
            drop(snapshot);
            let Some(last) = page.last() else { break };
            from = [last.as_slice(), &[0]].concat();
            let is_last = page.len() < ENTRIES_AT_ONCE;
            let mut of = BTreeMap::new();
            for key in page {
                let path = header::parse(keys.id(), &key).ok_or(Malformed)?;
                of.insert(key, path);
            }
            missing += self
                .mend(keys, of, |asked, there| {
                    let missing = asked.values().flatten().filter(|entry| !there.contains(*entry));
                    missing.map(|key| put(key.clone())).collect()
                })
                .await?;
            if is_last {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        Ok((wrong, missing))
    }

    /// Reads headers and which of the entries that they ask for are there, and commits what `mends`
    /// says if they are still the same; else all of it anew.
    async fn mend(
        &self,
        keys: &DomainKeys,
        of: BTreeMap<Vec<u8>, SecretPath>,
        mends: impl Fn(&BTreeMap<SecretPath, Entries>, &Entries) -> Vec<Op>,
    ) -> Result<usize, Error> {
        let mut tries = Tries::new();
        while tries.next().await {
            let (asked, there, preconditions) = self.compared(keys, &of).await?;
            let ops = mends(&asked, &there);
            let mended = ops.len();
            if mended == 0 {
                return Ok(0);
            }
            match self.scope.engine().commit(Batch { preconditions, ..Batch::of(ops) }).await {
                Ok(_) => return Ok(mended),
                Err(CommitError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Contended)
    }

    /// The entries that headers ask for, which of those are there, and that the headers are as they were read.
    async fn compared(
        &self,
        keys: &DomainKeys,
        of: &BTreeMap<Vec<u8>, SecretPath>,
    ) -> Result<Compared, Error> {
        let snapshot = self.scope.engine().snapshot().await?;
        let parts: Vec<_> = of.keys().map(|key| Read::Key(header::SPACE, key)).collect();
        let (mut asked, mut preconditions) = (BTreeMap::new(), Vec::new());
        for ((key, path), found) in of.iter().zip(snapshot.read(&parts).await?) {
            let (expect, header) = match found? {
                None => (Expect::Absent, None),
                Some(found) => {
                    let header = open::<Header>(keys, key, &found.record.bytes);
                    let Ok(header) = header else { continue };
                    (Expect::At(found.record.revision), Some(header))
                }
            };
            preconditions.push((header::SPACE, key.clone(), expect));
            let entries = match &header {
                Some(header) => entries(keys, path, header)?,
                None => Entries::new(),
            };
            asked.insert(path.clone(), entries);
        }
        let wanted: Vec<_> = asked.values().flatten().collect();
        let parts: Vec<_> =
            wanted.iter().map(|key| Read::Key(secret_index::SPACE, key.as_slice())).collect();
        let mut there = Entries::new();
        for (key, found) in wanted.iter().zip(snapshot.read(&parts).await?) {
            if found?.is_some() {
                there.insert((*key).clone());
            }
        }
        Ok((asked, there, preconditions))
    }
}

/// What headers ask for and what is there, on what conditions.
type Compared = (BTreeMap<SecretPath, Entries>, Entries, Vec<(Space, Vec<u8>, Expect)>);

/// All domains.
pub(in crate::service) async fn domains(scope: &Scope) -> Result<Vec<OkmsId>, Error> {
    let snapshot = scope.engine().snapshot().await?;
    let all = keys_of(&*snapshot, tenant::SPACE, (vec![0; 16], vec![0xff; 17])).await?;
    all.iter().map(|key| Ok(tenant::parse(key).ok_or(Malformed)?)).collect()
}

/// Some headers, held; and those of them whose newest version ends by itself, which they do not know.
struct Deadlines<'a> {
    page: Page<'a>,
}

impl Basis for Deadlines<'_> {
    type Facts = (Vec<(Vec<u8>, Record)>, Vec<(SecretPath, Header)>);

    async fn read(&self, reader: &UnitReader<'_>) -> Result<Self::Facts, Error> {
        let page = self.page.read(reader).await?;
        let keys = reader.records.keys;
        let mut found = Vec::new();
        for (key, record) in &page {
            let path = header::parse(keys.id(), key).ok_or(Malformed)?;
            let Ok(header) = open::<Header>(keys, key, &record.bytes) else { continue };
            let Some(current) = header.current.filter(|_| header.current_deadline.is_none()) else {
                continue;
            };
            let deadline = match reader.records.version(&path, current).await {
                Err(Error::Corrupt(_)) => None,
                version => version?.record.deadline(),
            };
            if deadline.is_some() {
                found.push((path, Header { current_deadline: deadline, ..header }));
            }
        }
        Ok((page, found))
    }
}
