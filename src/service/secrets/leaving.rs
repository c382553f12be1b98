//! Removing what was in a mount that is gone, so that it can be restored.
//!
//! Always holds: what goes on after a start is where it was; what somebody has written since the mount
//! went stays. Never does: hold anybody up, as each step is a small commit on condition that what it
//! stands on is still so.

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
        engine::{Batch, Expect, Op, Record},
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
            let leaving = Leaving::parse(&key, &record.bytes).ok_or(Malformed)?;
            // One domain whose keys cannot be had keeps no other.
            if let Err(error) = self.leave(&leaving).await {
                let domain = leaving.id;
                tracing::error!(%domain, %error, "what was in a mount that is gone cannot be removed; trying again");
            }
        }
        Ok(())
    }

    /// Removes what was in a mount that is gone.
    pub(in crate::service) async fn leave(&self, leaving: &Leaving) -> Result<(), Error> {
        let keys = match self.scope.keys_of(leaving.id).await {
            // With the domain all is gone.
            Err(Error::DomainNotFound) => return self.has_left(leaving).await,
            keys => keys?,
        };
        let (mut from, to) = header::below(leaving.id, &leaving.folder);
        loop {
            let change = Change { name: ChangeName::LeaveMount, turns: &[], by: None };
            let basis = Page { from: &from, to: &to };
            let decide = |page: Vec<(Vec<u8>, Record)>, draft: &mut Draft<'_>| {
                remove(&keys, leaving, &page, draft)?;
                Ok(page.last().map(|(key, _)| key.clone()).filter(|_| page.len() == AT_ONCE))
            };
            match self.scope.unit(change, &keys, basis, decide).await? {
                Some(last) => from = [last.as_slice(), &[0]].concat(),
                None => return self.has_left(leaving).await,
            }
        }
    }

    async fn has_left(&self, leaving: &Leaving) -> Result<(), Error> {
        let ops = vec![Op::Delete(leaving::SPACE, leaving.key())];
        self.scope.engine().commit(Batch::of(ops)).await?;
        Ok(())
    }
}

/// Drafts the removal of some secrets of a folder that is left.
fn remove(
    keys: &DomainKeys,
    leaving: &Leaving,
    page: &[(Vec<u8>, Record)],
    draft: &mut Draft<'_>,
) -> Result<(), Error> {
    for (key, record) in page {
        let path = header::parse(keys.id(), key).ok_or(Malformed)?;
        let header: Header = match open(keys, key, &record.bytes) {
            // It is as gone as it can be, and does not hold up the others.
            Err(Error::Corrupt(_)) => continue,
            header => header?,
        };
        if header.life.removed.is_some() || header.updated_at > leaving.at {
            continue;
        }
        let was = SecretMark::of(keys, &path, &header)?;
        draft.put_secret(&path, &header.removed(leaving.at, leaving.seconds))?;
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
