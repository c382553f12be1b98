//! A look at what a batch would remove, before it is judged.
//!
//! Owns what was found in the ranges of a batch: whether every page of them is sound, and which
//! records the database has there. Always holds: what removes a range is judged with a look at it.
//! Never does: wait for anybody, or look at what is in memory; nothing there is damaged.

use std::collections::BTreeSet;

use redb::StorageError;

use super::{guard::guarded, tables::Base};
use crate::store::engine::{Batch, Op, Revision, Source, Space};

/// So many records of a range are told to the cache by their names; of more it forgets all.
pub(super) const NAMED: usize = 4096;

/// As far as others can wait for it: so many records, and so many bytes.
const RECORDS: usize = 256;
const BYTES: usize = 1 << 20;

/// What was found in the ranges that a batch removes. Nothing, where it removes none.
#[derive(Debug)]
pub(super) struct Looked {
    /// What was looked at had every commit up to here.
    pub(super) base: Revision,
    pub(super) found: Found,
}

#[derive(Debug)]
pub(super) enum Found {
    /// These records.
    Named(BTreeSet<(Space, Vec<u8>)>),
    /// More than are worth naming.
    Many,
    /// A page that is damaged.
    Damaged(Source),
    /// The database cannot be read.
    Unreadable(Source),
}

/// Looks at every page that has something which the batch removes.
pub(super) fn look(base: &Base, batch: &Batch) -> Looked {
    walk(base, batch, usize::MAX, usize::MAX).0
}

/// The same where that is little, else nothing.
pub(super) fn look_shortly(base: &Base, batch: &Batch) -> Option<Looked> {
    let (looked, is_whole) = walk(base, batch, RECORDS, BYTES);
    is_whole.then_some(looked)
}

/// Looks at no more than so many records and bytes, and says whether that was all.
fn walk(base: &Base, batch: &Batch, mut records: usize, mut bytes: usize) -> (Looked, bool) {
    let (mut named, mut are_many, mut is_whole) = (BTreeSet::new(), false, true);
    let mut note = |space, key: &[u8], length| {
        if named.len() < NAMED {
            named.insert((space, key.to_vec()));
        } else {
            are_many = true;
        }
        records = records.saturating_sub(1);
        bytes = bytes.saturating_sub(length);
        records > 0 && bytes > 0
    };
    let looked = |found| Looked { base: base.standing.revision, found };
    for op in &batch.ops {
        let Op::DeleteRange(space, from, to) = op else { continue };
        let walk = || base.look(*space, from, to, |key, length| note(*space, key, length));
        match guarded(walk) {
            Ok(Ok(is_over)) => is_whole &= is_over,
            Ok(Err(error @ StorageError::Corrupted(_))) => {
                return (looked(Found::Damaged(error.into())), true);
            }
            Ok(Err(error)) => return (looked(Found::Unreadable(error.into())), true),
            Err(panicked) => return (looked(Found::Damaged(panicked.into())), true),
        }
        if !is_whole {
            break;
        }
    }
    (looked(if are_many { Found::Many } else { Found::Named(named) }), is_whole)
}
