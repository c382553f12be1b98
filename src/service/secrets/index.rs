//! Keeping what secrets are found by: a header's entries change in its own commit.

use std::collections::BTreeSet;

use crate::{
    crypto::{DomainKeys, Sealed},
    model::{Header, SecretPath},
    service::Error,
    store::{
        engine::Op,
        kinds::{
            region,
            secret_index::{self, Part},
        },
    },
};

/// The keys of a secret's entries.
pub(in crate::service) type Entries = BTreeSet<Vec<u8>>;

/// The entries that the header of a secret asks for.
pub(in crate::service) fn entries(
    keys: &DomainKeys,
    path: &SecretPath,
    header: &Header,
) -> Result<Entries, Error> {
    let id = keys.id();
    let mut entries = Entries::new();
    if let Some(removal) = header.life.removed {
        entries.insert(secret_index::purge(id, removal.until, path));
    } else if let Some(end) = header.expires_at() {
        entries.insert(Part::Ends.key(id, end, path));
    }
    for tag in header.about.tags.iter() {
        entries.insert(Part::Tag(&keys.mark(tag)?).key(id, header.created_at, path));
    }
    if let Some(rotation) = &header.life.rotation {
        entries.insert(Part::Rotates(&rotation.policy).key(id, rotation.anchor, path));
    }
    Ok(entries)
}

/// The note that every secret that ends is in the index.
pub(in crate::service) fn is_complete() -> Op {
    Op::Put(region::SPACE, region::index_is_complete(), Sealed::public(vec![1]))
}

/// What makes an entry.
pub(in crate::service) fn put(key: Vec<u8>) -> Op {
    Op::Put(secret_index::SPACE, key, Sealed::public(Vec::new()))
}

/// What leads from some entries to others.
pub(in crate::service) fn changes<'a>(
    was: &'a Entries,
    is: &'a Entries,
) -> impl Iterator<Item = Op> + use<'a> {
    let gone = was.difference(is).map(|key| Op::Delete(secret_index::SPACE, key.clone()));
    gone.chain(is.difference(was).cloned().map(put))
}
