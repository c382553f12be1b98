//! What is kept beside the access certificates, made for stores of a time when it was not.

use super::{
    Error,
    keyring::open_record,
    records::{credential_is_damaged, open},
};
use crate::{
    crypto::{DomainKeys, RootKey, Sealed},
    model::{Credential, OkmsId},
    store::{
        engine::{Batch, Engine, Op, Snapshot},
        kinds::{Kind, Malformed, credential, region, revocation, tenant},
    },
};

/// How many records are read or written at once.
const AT_ONCE: usize = 1024;

/// An access certificate that was issued.
pub(super) struct Issued {
    pub id: [u8; 16],
    /// What is known of it, but for itself.
    pub credential: Credential,
    pub is_revoked: bool,
}

/// The note of this key, that something is complete.
pub(super) fn note(key: Vec<u8>) -> Op {
    Op::Put(region::SPACE, key, Sealed::public(vec![1]))
}

/// Stores what is made of the access certificates of each domain, unless there is this note that it was.
pub(super) async fn complete(
    engine: &dyn Engine,
    root: &dyn RootKey,
    done: Vec<u8>,
    made_of: fn(OkmsId, &[Issued]) -> Vec<Op>,
) -> Result<(), Error> {
    if engine.get(region::SPACE, &done).await?.is_some() {
        return Ok(());
    }
    let snapshot = engine.snapshot().await?;
    let mut from = vec![0; 16];
    loop {
        let page = snapshot.scan(tenant::SPACE, &from, &[0xff; 17], AT_ONCE).await?;
        let Some((last, _)) = page.last() else { break };
        from = [last, [0].as_slice()].concat();
        for (domain, record) in &page {
            let id = tenant::parse(domain).ok_or(Malformed)?;
            let keys = match open_record(root, id, record) {
                Ok((keys, _)) => keys,
                // What it has cannot be read either, and it does not hide the others.
                Err(error) => {
                    tracing::error!(domain = %id, %error, "a domain's record is damaged");
                    continue;
                }
            };
            let mut ops = made_of(id, &of_domain(&*snapshot, &keys).await?).into_iter();
            loop {
                let ops: Vec<_> = ops.by_ref().take(AT_ONCE).collect();
                if ops.is_empty() {
                    break;
                }
                engine.commit(Batch::of(ops)).await?;
            }
        }
    }
    engine.commit(Batch::of(vec![note(done)])).await?;
    Ok(())
}

async fn of_domain(snapshot: &dyn Snapshot, keys: &DomainKeys) -> Result<Vec<Issued>, Error> {
    let (mut from, to) = credential::after(keys.id(), None);
    let mut found = Vec::new();
    loop {
        let page = snapshot.scan(Credential::SPACE, &from, &to, AT_ONCE).await?;
        for (key, record) in &page {
            let id = credential::parse(key).ok_or(Malformed)?;
            match open::<Credential>(keys, key, &record.bytes) {
                Ok(credential) => {
                    let revocation = revocation::key(&credential.serial);
                    let is_revoked = snapshot.get(revocation::SPACE, &revocation).await?.is_some();
                    let credential = Credential { certificate: None, ..credential };
                    found.push(Issued { id, credential, is_revoked });
                }
                Err(error) => credential_is_damaged(keys, id, &error),
            }
        }
        match page.last() {
            Some((key, _)) if page.len() == AT_ONCE => from = [key, [0].as_slice()].concat(),
            _ => return Ok(found),
        }
    }
}
