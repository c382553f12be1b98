//! What is remembered of access certificates is forgotten some time after they have ended.
//!
//! Always holds: a certificate that has not ended long ago is remembered, and so are all that it was renewed
//! from, as rules may be about their keys. Never does: hold anybody up; each step is a small commit, and nobody
//! stands on what it removes.

use std::time::Duration;

use super::{AT_ONCE, Credentials};
use crate::{
    crypto::DomainKeys,
    model::{Credential, Timestamp},
    pki::Serial,
    service::{
        Error,
        announced::Announced,
        changes::ChangeName,
        lines,
        records::{credential_is_damaged, open},
        secrets::domains,
    },
    store::{
        engine::{Batch, Op, Snapshot},
        kinds::{Kind, Malformed, credential, ending},
    },
};

/// How long after its end a certificate is forgotten, in seconds.
const REMEMBERED_SECONDS: i64 = 30 * 86_400;
/// So many records are removed in one commit.
const OPS_AT_ONCE: usize = 1_024;

impl Credentials {
    /// Forgets the certificates that have ended long ago, but for those that one was renewed from which
    /// has not, and their revocations; and takes what was revoked by its serial number alone out of the
    /// order of what ends next. Says how many certificates were forgotten.
    ///
    /// # Errors
    /// `Error` where the store cannot be read or takes no change.
    pub async fn sweep(&self, now: Timestamp, pause: Duration) -> Result<u64, Error> {
        let cutoff = now.unix_seconds().saturating_sub(REMEMBERED_SECONDS);
        let cutoff = Timestamp::from_unix_seconds(cutoff);
        let mut forgotten = 0;
        for id in domains(&self.scope).await? {
            match self.scope.keys_of(id).await {
                Ok(keys) => forgotten += self.sweep_domain(&keys, cutoff, pause).await?,
                Err(error) => {
                    tracing::error!(domain = %id, %error, "a domain's keys cannot be had");
                }
            }
        }
        self.revocations.sweep(cutoff).await?;
        Ok(forgotten)
    }

    async fn sweep_domain(
        &self,
        keys: &DomainKeys,
        cutoff: Timestamp,
        pause: Duration,
    ) -> Result<u64, Error> {
        let (mut from, to) = credential::after(keys.id(), None);
        let (mut forgotten, mut ops) = (0, Vec::new());
        loop {
            let snapshot = self.scope.engine().snapshot().await?;
            let page = snapshot.scan(Credential::SPACE, &from, &to, AT_ONCE).await?;
            for (key, record) in &page {
                let id = credential::parse(key).ok_or(Malformed)?;
                let credential = match open::<Credential>(keys, key, &record.bytes) {
                    Ok(credential) => credential,
                    Err(error) => {
                        credential_is_damaged(keys, id, &error);
                        continue;
                    }
                };
                ops.extend(self.waits_in_vain(&*snapshot, keys, (&id, &credential)).await?);
                if credential.renews.is_none() {
                    let line = over(&*snapshot, keys, (id, credential.ends_at), cutoff).await?;
                    forgotten += line.0;
                    ops.extend(line.1);
                }
                if ops.len() >= OPS_AT_ONCE {
                    self.remove(&mut ops).await?;
                }
            }
            drop(snapshot);
            self.remove(&mut ops).await?;
            match page.last() {
                Some((key, _)) if page.len() == AT_ONCE => from = [key, [0].as_slice()].concat(),
                _ => return Ok(forgotten),
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// What takes a certificate that is revoked out of the order of what ends next, where it is there.
    async fn waits_in_vain(
        &self,
        snapshot: &dyn Snapshot,
        keys: &DomainKeys,
        (id, credential): (&[u8; 16], &Credential),
    ) -> Result<Vec<Op>, Error> {
        let serial = Serial::from_be_bytes(&credential.serial);
        if !serial.is_some_and(|serial| self.revocations.revoked().contains(serial)) {
            return Ok(Vec::new());
        }
        let place = ending::in_domain(keys.id(), credential.ends_at, id);
        let waits = snapshot.get(ending::SPACE, &place).await?.is_some();
        let leaves = waits.then(|| ending::leave(keys.id(), id, credential.ends_at));
        Ok(leaves.into_iter().flatten().collect())
    }

    /// Removes records, in their order.
    async fn remove(&self, ops: &mut Vec<Op>) -> Result<(), Error> {
        while !ops.is_empty() {
            let some = ops.drain(..ops.len().min(OPS_AT_ONCE)).collect();
            let batch = Batch::of(some);
            Announced::new(ChangeName::SweepCredentials, None).commit(&self.scope, batch).await?;
        }
        Ok(())
    }
}

/// How many of a line are over, the first one included, and what removes them: that one last, as it leads to
/// the others.
async fn over(
    snapshot: &dyn Snapshot,
    keys: &DomainKeys,
    first: ([u8; 16], Timestamp),
    cutoff: Timestamp,
) -> Result<(u64, Vec<Op>), Error> {
    let domain = keys.id();
    let members = lines::members(snapshot, domain, &first.0).await?;
    let (over, is_first_over) = lines::over(members, first, cutoff);
    let (mut ops, mut count) = (Vec::new(), 0);
    let mut forget = |id: &[u8; 16], end, place: Option<Op>| {
        ops.extend(ending::leave(domain, id, end));
        ops.push(Op::Delete(Credential::SPACE, Credential::key(domain, id)));
        ops.extend(place);
        count += 1;
    };
    for member in &over {
        forget(&member.id, member.end, Some(lines::leave(domain, &first.0, member)));
    }
    if is_first_over {
        forget(&first.0, first.1, None);
    }
    Ok((count, ops))
}
