//! Which access certificates end next: of those that nobody has revoked, and that have not renewed
//! themselves, so that who is told of one has something to do.
//!
//! Always holds: a certificate takes its place in the commit that issues it, and loses it in the one
//! that revokes or renews it. What was revoked by its serial number alone keeps its place, and is
//! passed over. Never does: decide who sees what of it.

use std::{collections::HashSet, sync::Arc};

use super::{
    Error,
    keyring::open_record,
    records::{credential_is_damaged, open},
    revocations::Revocations,
    scope::Scope,
};
use crate::{
    crypto::{DomainKeys, RootKey, Sealed},
    model::{Credential, OkmsId, Timestamp},
    pki::Serial,
    store::{
        engine::{Batch, Engine, Op, Snapshot},
        kinds::{Kind, Malformed, credential, ending, region, revocation, tenant},
    },
};

/// How many records are read at once.
const AT_ONCE: usize = 1024;
/// How many pages are read at most, so that it costs the same however many there are.
const PAGES: usize = 10;

/// What ends soon in the region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// When the first one ends, of all that have not.
    pub earliest: Option<Timestamp>,
    /// How many end soon; of more than some ten thousand, so many.
    pub soon: u64,
}

/// The use cases on the order in which certificates end.
pub struct Endings {
    scope: Scope,
    revocations: Arc<Revocations>,
}

impl Endings {
    pub(super) const fn new(scope: Scope, revocations: Arc<Revocations>) -> Self {
        Self { scope, revocations }
    }

    /// What ends after `now`, and up to so many seconds later, in all domains: numbers alone, for
    /// the region's figures.
    ///
    /// # Errors
    /// `Error` where the store cannot be read.
    pub async fn within(&self, now: Timestamp, seconds: u64) -> Result<Ending, Error> {
        let (mut from, to) = ending::of_region(now);
        let last = now.plus_seconds(seconds);
        let snapshot = self.scope.engine().snapshot().await?;
        let mut found = Ending::default();
        for _ in 0..PAGES {
            let page = snapshot.scan(ending::SPACE, &from, &to, AT_ONCE).await?;
            for (key, record) in &page {
                let end = ending::end(key).ok_or(Malformed)?;
                let serial = Serial::from_be_bytes(&record.bytes).ok_or(Malformed)?;
                if self.revocations.revoked().contains(serial) {
                    continue;
                }
                found.earliest.get_or_insert(end);
                if end > last {
                    return Ok(found);
                }
                found.soon += 1;
            }
            match page.last() {
                Some((key, _)) if page.len() == AT_ONCE => from = [key, [0].as_slice()].concat(),
                _ => break,
            }
        }
        Ok(found)
    }
}

/// Gives a certificate that is issued its places.
pub(super) fn enter(id: OkmsId, name: &[u8; 16], credential: &Credential) -> [Op; 2] {
    let Credential { ends_at, serial, .. } = credential;
    let put = |key, bytes| Op::Put(ending::SPACE, key, Sealed::public(bytes));
    [
        put(ending::in_domain(id, *ends_at, name), Vec::new()),
        put(ending::in_region(*ends_at, id, name), serial.clone()),
    ]
}

/// Takes a certificate out, which ends at `end`: nobody needs to see to it any more.
pub(super) fn leave(id: OkmsId, name: &[u8; 16], end: Timestamp) -> [Op; 2] {
    let delete = |key| Op::Delete(ending::SPACE, key);
    [delete(ending::in_domain(id, end, name)), delete(ending::in_region(end, id, name))]
}

/// The note that every certificate has its places.
pub(super) fn are_complete() -> Op {
    Op::Put(region::SPACE, region::endings_are_complete(), Sealed::public(vec![1]))
}

/// Gives their places to the certificates of a store of a time when there were none.
pub(super) async fn complete(engine: &dyn Engine, root: &dyn RootKey) -> Result<(), Error> {
    let snapshot = engine.snapshot().await?;
    if snapshot.get(region::SPACE, &region::endings_are_complete()).await?.is_some() {
        return Ok(());
    }
    let mut from = vec![0; 16];
    loop {
        let page = snapshot.scan(tenant::SPACE, &from, &[0xff; 17], AT_ONCE).await?;
        let Some((last, _)) = page.last() else { break };
        from = [last, [0].as_slice()].concat();
        for (domain, record) in &page {
            let id = tenant::parse(domain).ok_or(Malformed)?;
            match open_record(root, id, record) {
                Ok((keys, _)) => complete_domain(engine, &*snapshot, &keys).await?,
                // What it has cannot be read either, and it does not hide the others.
                Err(error) => tracing::error!(domain = %id, %error, "a domain's record is damaged"),
            }
        }
    }
    engine.commit(Batch { preconditions: Vec::new(), ops: vec![are_complete()] }).await?;
    Ok(())
}

async fn complete_domain(
    engine: &dyn Engine,
    snapshot: &dyn Snapshot,
    keys: &DomainKeys,
) -> Result<(), Error> {
    let (mut from, to) = credential::after(keys.id(), None);
    let (mut found, mut renewed) = (Vec::new(), HashSet::new());
    loop {
        let page = snapshot.scan(Credential::SPACE, &from, &to, AT_ONCE).await?;
        for (key, record) in &page {
            let id = credential::parse(key).ok_or(Malformed)?;
            match open::<Credential>(keys, key, &record.bytes) {
                Ok(credential) => {
                    renewed.extend(credential.renews);
                    let revocation = revocation::key(&credential.serial);
                    if snapshot.get(revocation::SPACE, &revocation).await?.is_none() {
                        found.push((id, enter(keys.id(), &id, &credential)));
                    }
                }
                Err(error) => credential_is_damaged(keys, id, &error),
            }
        }
        match page.last() {
            Some((key, _)) if page.len() == AT_ONCE => from = [key, [0].as_slice()].concat(),
            _ => break,
        }
    }
    let mut ops =
        found.into_iter().filter(|(id, _)| !renewed.contains(id)).flat_map(|(_, ops)| ops);
    loop {
        let ops: Vec<_> = ops.by_ref().take(AT_ONCE).collect();
        if ops.is_empty() {
            return Ok(());
        }
        engine.commit(Batch { preconditions: Vec::new(), ops }).await?;
    }
}
