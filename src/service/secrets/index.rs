//! Keeping what secrets are found by: a header's entries change in its own commit.

use std::collections::BTreeSet;

use crate::{
    crypto::{DomainKeys, Sealed},
    model::{Header, SecretPath, SecretType},
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
    let about = &header.about;
    let tags = about.tags.iter().map(Trait::Tag);
    let owner = about.owner.as_deref().map(Trait::Owner);
    let of_type = Some(Trait::Type(about.secret_type)).filter(Trait::tells_some);
    for one in tags.chain(owner).chain(of_type) {
        entries.insert(Part::Trait(&one.mark(keys)?).key(id, header.created_at, path));
    }
    if let Some(rotation) = &header.life.rotation {
        entries.insert(Part::Rotates(&rotation.policy).key(id, rotation.anchor, path));
    }
    Ok(entries)
}

/// What secrets are found by that have it in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::service) enum Trait<'a> {
    /// A tag.
    Tag(&'a str),
    /// Whose it is.
    Owner(&'a str),
    /// What it is.
    Type(SecretType),
}

impl Trait<'_> {
    /// Whether it tells some secrets from the others: most are of the usual type, and are found by their paths as well.
    pub(in crate::service) fn tells_some(&self) -> bool {
        *self != Self::Type(SecretType::default())
    }

    /// What stands for it in keys. No tag has a line feed in it.
    pub(in crate::service) fn mark(self, keys: &DomainKeys) -> Result<[u8; 16], Error> {
        Ok(match self {
            Self::Tag(tag) => keys.mark(tag)?,
            Self::Owner(owner) => keys.mark(&format!("owner\n{owner}"))?,
            Self::Type(of) => keys.mark(&format!("type\n{}", of.name()))?,
        })
    }
}

/// The note that every secret is in the index, by all that it is found by.
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
