//! Which names of domains are taken.
//!
//! Always holds: a name's record is written with its domain, in one commit that fails where the
//! name has a record already. The key is a tag of the name that only the holder of the root key can
//! make, since a domain's name is not to be read off a stolen file. Never does: tell two spellings
//! of one name apart; a name is its bytes.

use super::{Error, keyring::open_record};
use crate::{
    crypto::{RootKey, Sealed},
    store::{
        engine::{Batch, Engine, Op},
        kinds::{Malformed, region, tenant},
    },
};

/// How many domains are looked at in one go.
const PAGE: usize = 256;

/// The key of the record of `name`.
pub(super) fn key(root: &dyn RootKey, name: &str) -> Result<Vec<u8>, Error> {
    Ok(region::name(&root.tag(name.as_bytes())?))
}

/// The note that every domain's name has its record.
pub(super) fn are_complete() -> Op {
    Op::Put(region::SPACE, region::names_are_complete(), Sealed::public(vec![1]))
}

/// Makes the records in a store of a time when there were none. Where two domains have one name
/// already, both stay, and the name is taken.
pub(super) async fn complete(engine: &dyn Engine, root: &dyn RootKey) -> Result<(), Error> {
    let snapshot = engine.snapshot().await?;
    if snapshot.get(region::SPACE, &region::names_are_complete()).await?.is_some() {
        return Ok(());
    }
    let mut from = vec![0; 16];
    loop {
        let page = snapshot.scan(tenant::SPACE, &from, &[0xff; 17], PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        from = [last, [0].as_slice()].concat();
        let mut ops = Vec::with_capacity(page.len());
        for (domain, record) in &page {
            let id = tenant::parse(domain).ok_or(Malformed)?;
            match open_record(root, id, record) {
                Ok((_, domain)) => {
                    let id = Sealed::public(id.as_bytes().to_vec());
                    ops.push(Op::Put(region::SPACE, key(root, &domain.name)?, id));
                }
                // Nobody can read its name, and it does not hide the others.
                Err(error) => tracing::error!(domain = %id, %error, "a domain's record is damaged"),
            }
        }
        engine.commit(Batch { preconditions: Vec::new(), ops }).await?;
    }
    engine.commit(Batch { preconditions: Vec::new(), ops: vec![are_complete()] }).await?;
    Ok(())
}
