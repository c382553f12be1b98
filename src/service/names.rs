//! Which names of domains are taken, and for which domains authorities of customers stand.
//!
//! Always holds: a name's record is written with its domain, in one commit that fails where the
//! name has a record already; so is that of an authority, by its name and its key. The key is a tag of the name that only the holder of the root key can
//! make, since a domain's name is not to be read off a stolen file. Never does: tell two spellings
//! of one name apart; a name is its bytes.

use super::{Error, keyring::open_record};
use crate::{
    auth::chain::Authority,
    crypto::{RootKey, Sealed},
    model::OkmsId,
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

/// The key of the record that says whose an alias is.
pub(super) fn alias(root: &dyn RootKey, alias: &str) -> Result<Vec<u8>, Error> {
    // No name of a domain has a NUL.
    Ok(region::alias(&root.tag(&[b"alias\0", alias.as_bytes()].concat())?))
}

/// The key of the record that says for which domain an authority stands.
pub(super) fn customer_ca(root: &dyn RootKey, authority: &Authority) -> Result<Vec<u8>, Error> {
    // The key's hash has one length, so that no two have one text.
    let text = [&b"customer-ca"[..], &[0], &authority.key_sha256(), authority.subject()].concat();
    Ok(region::customer_ca(&root.tag(&text)?))
}

/// What says that a domain has what is named by `key`.
pub(super) fn is_of(key: Vec<u8>, id: OkmsId) -> Op {
    Op::Put(region::SPACE, key, Sealed::public(id.as_bytes().to_vec()))
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
        engine.commit(Batch::of(ops)).await?;
    }
    engine.commit(Batch::of(vec![are_complete()])).await?;
    Ok(())
}
