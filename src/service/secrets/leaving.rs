//! Removing what was in a mount that is gone, so that it can be restored.
//!
//! Always holds: what goes on after a start is where it was; what somebody has written since the mount
//! went stays, by the order of commits, whatever clocks say. Never does: hold anybody up, as each step
//! is a small commit on condition that what it stands on is still so.

use super::Secrets;
use crate::{
    crypto::DomainKeys,
    model::Header,
    service::{
        ChangeName, Error,
        records::{Draft, SecretMark, open},
        unit::{Basis, Change, UnitReader},
    },
    store::{
        engine::{Batch, CommitError, Expect, Op, Record, Revision},
        kinds::{
            Malformed, header,
            leaving::{self, Leaving},
        },
    },
};

/// So many secrets are looked at, and removed, in one commit.
pub(super) const AT_ONCE: usize = 64;
/// So many mounts that were left are looked for at a start.
const MOUNTS_MAX: usize = 256;

impl Secrets {
    /// Removes what was in mounts that are gone.
    ///
    /// # Errors
    /// `Error` where the store cannot be read or takes no change.
    pub async fn finish_leaving(&self) -> Result<(), Error> {
        let (from, to) = leaving::all();
        let snapshot = self.scope.engine().snapshot().await?;
        let page = snapshot.scan(leaving::SPACE, &from, &to, MOUNTS_MAX).await?;
        drop(snapshot);
        for (key, record) in page {
            let left = Left::of(&key, &record)?;
            // One domain whose keys cannot be had keeps no other.
            if let Err(error) = self.leave(&left).await {
                let domain = left.mount.id;
                tracing::error!(%domain, %error, "what was in a mount that is gone cannot be removed; trying again");
            }
        }
        Ok(())
    }

    /// Removes what was in this mount, which is gone, if somebody has not done it by now.
    pub(in crate::service) async fn finish_leaving_one(
        &self,
        mount: &Leaving,
    ) -> Result<(), Error> {
        let key = mount.key();
        match self.scope.engine().get(leaving::SPACE, &key).await? {
            Some(record) => self.leave(&Left::of(&key, &record)?).await,
            None => Ok(()),
        }
    }

    async fn leave(&self, left: &Left) -> Result<(), Error> {
        let Leaving { id, folder, .. } = &left.mount;
        let keys = match self.scope.keys_of(*id).await {
            // With the domain all is gone.
            Err(Error::DomainNotFound) => return self.has_left(left).await,
            keys => keys?,
        };
        let (mut from, to) = header::below(*id, folder);
        loop {
            let change = Change { name: ChangeName::LeaveMount, turns: &[], by: None };
            let basis = Page { from: &from, to: &to };
            let decide = |page: Vec<(Vec<u8>, Record)>, draft: &mut Draft<'_>| {
                remove(&keys, left, &page, draft)?;
                Ok(page.last().map(|(key, _)| key.clone()).filter(|_| page.len() == AT_ONCE))
            };
            match self.scope.unit(change, &keys, basis, decide).await? {
                Some(last) => from = [last.as_slice(), &[0]].concat(),
                None => return self.has_left(left).await,
            }
        }
    }

    async fn has_left(&self, left: &Left) -> Result<(), Error> {
        let key = left.mount.key();
        let preconditions = vec![(leaving::SPACE, key.clone(), Expect::At(left.since))];
        let ops = vec![Op::Delete(leaving::SPACE, key)];
        match self.scope.engine().commit(Batch { preconditions, ..Batch::of(ops) }).await {
            // Another mount that was there has gone since, or somebody was faster.
            Err(CommitError::Conflict) => Ok(()),
            done => Ok(done.map(drop)?),
        }
    }
}

/// A mount that is gone, and the commit by which it went.
struct Left {
    mount: Leaving,
    since: Revision,
}

impl Left {
    fn of(key: &[u8], record: &Record) -> Result<Self, Malformed> {
        let mount = Leaving::parse(key, &record.bytes).ok_or(Malformed)?;
        Ok(Self { mount, since: record.revision })
    }
}

/// Drafts the removal of some secrets of a folder that is left.
fn remove(
    keys: &DomainKeys,
    Left { mount, since }: &Left,
    page: &[(Vec<u8>, Record)],
    draft: &mut Draft<'_>,
) -> Result<(), Error> {
    for (key, record) in page {
        if record.revision > *since {
            continue;
        }
        let path = header::parse(keys.id(), key).ok_or(Malformed)?;
        let header: Header = match open(keys, key, &record.bytes) {
            // It is as gone as it can be, and does not hold up the others.
            Err(Error::Corrupt(_)) => continue,
            header => header?,
        };
        if header.life.removed.is_some() {
            continue;
        }
        let was = SecretMark::of(keys, &path, &header)?;
        draft.put_secret(&path, &header.removed(mount.at, mount.seconds))?;
        draft.settle(Some(&was));
    }
    Ok(())
}

/// Some headers, held.
pub(super) struct Page<'a> {
    pub from: &'a [u8],
    pub to: &'a [u8],
}

impl Basis for Page<'_> {
    type Facts = Vec<(Vec<u8>, Record)>;

    async fn read(&self, reader: &UnitReader<'_>) -> Result<Self::Facts, Error> {
        let snapshot = reader.records.snapshot;
        let page = snapshot.scan(header::SPACE, self.from, self.to, AT_ONCE).await?;
        for (key, record) in &page {
            reader.holds(header::SPACE, key.clone(), Expect::At(record.revision));
        }
        Ok(page)
    }
}
