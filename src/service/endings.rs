//! Which access certificates end next: of those that nobody has revoked, and that have not renewed
//! themselves, so that who is told of one has something to do.
//!
//! Always holds: a certificate takes its place in the commit that issues it, and loses it in the one
//! that revokes or renews it. What was revoked by its serial number alone is passed over, and loses its
//! place when it is revoked by its id as well, or within a day. Never does: decide who sees what of it.

use std::{collections::HashSet, sync::Arc};

use super::{Error, issued::Issued, revocations::Revocations, scope::Scope};
use crate::{
    crypto::Sealed,
    model::{Credential, OkmsId, Timestamp},
    pki::Serial,
    store::{
        engine::Op,
        kinds::{Malformed, ending},
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

/// The places of a domain's certificates.
pub(super) fn places(domain: OkmsId, issued: &[Issued]) -> Vec<Op> {
    let renewed: HashSet<_> = issued.iter().filter_map(|one| one.credential.renews).collect();
    let waiting = issued.iter().filter(|one| !one.is_revoked && !renewed.contains(&one.id));
    waiting.flat_map(|one| enter(domain, &one.id, &one.credential)).collect()
}
