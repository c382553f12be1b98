//! What has changed since the database was last brought up to date: in memory, in front of it.
//!
//! Owns changes by key, and ranges of which nothing older is left. Always holds: a clone costs
//! next to nothing and never changes, so that a snapshot is one; where a key is known here,
//! whatever lies beneath says nothing of it. Never does: I/O.

use std::{cmp::Ordering, collections::BTreeMap, iter::Peekable, ops::Bound};

use redb::StorageError;
use rpds::RedBlackTreeMapSync;

use super::frame::Group;
use crate::store::engine::{Op, Record, Revision, Space};

/// Changes to all spaces, the newest of each key.
#[derive(Clone, Default)]
pub(super) struct Recent(BTreeMap<Space, Changes>);

/// What is known of a key: a record, or that there is none.
pub(super) struct Known<'a>(pub(super) Option<&'a Record>);

/// Changes to one space.
#[derive(Clone, Default)]
pub(super) struct Changes {
    /// A record, or that there is none.
    records: RedBlackTreeMapSync<Vec<u8>, Option<Record>>,
    /// Ranges, from their first key up to a key that is not in them. No two of them meet. What
    /// `records` has of one is newer.
    erased: RedBlackTreeMapSync<Vec<u8>, Vec<u8>>,
}

impl Recent {
    /// Whether there are no changes.
    pub(super) fn is_empty(&self) -> bool {
        self.0.values().all(|changes| changes.records.is_empty() && changes.erased.is_empty())
    }

    /// The spaces that have changed, and how.
    pub(super) fn spaces(&self) -> impl Iterator<Item = (Space, &Changes)> {
        self.0.iter().map(|(space, changes)| (*space, changes))
    }

    /// The changes to a space.
    pub(super) fn of(&self, space: Space) -> Option<&Changes> {
        self.0.get(&space)
    }

    /// What is known of a key, if anything is.
    pub(super) fn get(&self, space: Space, key: &[u8]) -> Option<Known<'_>> {
        self.of(space)?.get(key)
    }

    /// Whether nothing is left of a key because nothing is left of its range.
    pub(super) fn is_erased(&self, space: Space, key: &[u8]) -> bool {
        self.of(space).is_some_and(|it| it.has_erased(key) && !it.records.contains_key(key))
    }

    /// Applies a group that is in the log.
    pub(super) fn add(&mut self, group: Group) {
        let mut revision = group.first;
        for batch in group.batches {
            for op in batch {
                self.apply(op, revision);
            }
            revision = Revision(revision.0 + 1);
        }
    }

    /// Applies one change of the commit `revision`.
    pub(super) fn apply(&mut self, op: Op, revision: Revision) {
        match op {
            Op::Put(space, key, sealed) => {
                self.set(space, key, Some(Record { revision, bytes: sealed.into_bytes() }));
            }
            Op::Delete(space, key) => self.set(space, key, None),
            Op::DeleteRange(space, from, to) => self.erase(space, from, to),
        }
    }

    /// Sets a record, or that there is none.
    pub(super) fn set(&mut self, space: Space, key: Vec<u8>, record: Option<Record>) {
        self.of_mut(space).records.insert_mut(key, record);
    }

    /// Nothing is left of a range.
    pub(super) fn erase(&mut self, space: Space, from: Vec<u8>, to: Vec<u8>) {
        self.of_mut(space).erase(from, to);
    }

    /// These changes with newer ones over them.
    pub(super) fn with(&self, newer: &Self) -> Self {
        if self.is_empty() {
            return newer.clone();
        }
        let mut both = self.clone();
        for (space, changes) in newer.spaces() {
            let both = both.of_mut(space);
            changes.erased().for_each(|(from, to)| both.erase(from.to_vec(), to.to_vec()));
            for (key, record) in changes.records() {
                both.records.insert_mut(key.to_vec(), record.cloned());
            }
        }
        both
    }

    fn of_mut(&mut self, space: Space) -> &mut Changes {
        self.0.entry(space).or_default()
    }
}

impl Changes {
    /// What is known of a key, if anything is.
    pub(super) fn get(&self, key: &[u8]) -> Option<Known<'_>> {
        match self.records.get(key) {
            Some(record) => Some(Known(record.as_ref())),
            None => self.has_erased(key).then_some(Known(None)),
        }
    }

    /// All keys that were changed one by one, in their order.
    pub(super) fn records(&self) -> impl Iterator<Item = (&[u8], Option<&Record>)> {
        self.records.iter().map(|(key, record)| (key.as_slice(), record.as_ref()))
    }

    /// The keys from one on, as far as up to another, that were changed one by one.
    pub(super) fn records_in<'a>(
        &'a self,
        from: &'a [u8],
        to: Option<&'a [u8]>,
    ) -> impl Iterator<Item = (&'a [u8], Option<&'a Record>)> {
        let within = (Bound::Included(from), to.map_or(Bound::Unbounded, Bound::Excluded));
        let records = self.records.range::<[u8], _>(within);
        records.map(|(key, record)| (key.as_slice(), record.as_ref()))
    }

    /// All ranges of which nothing older is left.
    pub(super) fn erased(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.erased_from(&[])
    }

    /// Those that begin with a key or behind it.
    pub(super) fn erased_from<'a>(
        &'a self,
        first: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let ranges = self.erased.range::<[u8], _>((Bound::Included(first), Bound::Unbounded));
        ranges.map(|(from, to)| (from.as_slice(), to.as_slice()))
    }

    /// Whether a key lies in a range of which nothing older is left.
    pub(super) fn has_erased(&self, key: &[u8]) -> bool {
        self.erased_around(key).is_some()
    }

    /// The range of which nothing older is left that a key lies in.
    fn erased_around(&self, key: &[u8]) -> Option<(&[u8], &[u8])> {
        let before = (!self.erased.is_empty())
            .then(|| self.erased.range::<[u8], _>(up_to(key)).next_back())
            .flatten();
        before
            .filter(|(_, to)| key < to.as_slice())
            .map(|(from, to)| (from.as_slice(), to.as_slice()))
    }

    fn erase(&mut self, mut from: Vec<u8>, mut to: Vec<u8>) {
        if from >= to {
            return;
        }
        let within = (Bound::Included(&*from), Bound::Excluded(&*to));
        let gone: Vec<_> =
            self.records.range::<[u8], _>(within).map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.records.remove_mut(&key);
        }
        // It takes in every range that it meets.
        while let Some((first, last)) = self.erased.range::<[u8], _>(up_to(&to)).next_back()
            && *last >= from
        {
            let (first, last) = (first.clone(), last.clone());
            self.erased.remove_mut(&first);
            from = from.min(first);
            to = to.max(last);
        }
        self.erased.insert_mut(from, to);
    }
}

/// All keys up to this one, which is among them.
const fn up_to(key: &[u8]) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Unbounded, Bound::Included(key))
}

/// Which way entries are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Up,
    Down,
}

/// Entries in the order of their keys, or in the opposite one.
pub(super) trait Walk<T>: Iterator<Item = Result<(Vec<u8>, T), StorageError>> {
    /// Goes on behind `from <= key < to`, where the last entry was: whatever is left there is not
    /// wanted.
    fn pass(&mut self, from: &[u8], to: &[u8]);
}

impl<T, W: Walk<T> + ?Sized> Walk<T> for Box<W> {
    fn pass(&mut self, from: &[u8], to: &[u8]) {
        (**self).pass(from, to);
    }
}

/// A key, and what it was changed to.
type Changed<'a> = (&'a Vec<u8>, &'a Option<Record>);
type Records<'a> = Peekable<Box<dyn Iterator<Item = Changed<'a>> + 'a>>;

/// After so many entries of one range of which nothing is left, the others are passed over: to find
/// what comes behind costs more than a few of them.
const GONE: usize = if cfg!(test) { 1 } else { 16 };

/// What a walk tells next.
enum Next<T> {
    NotAsked,
    Told(Option<T>),
}

/// The entries of `base`, with the changes of one layer over them. Both go in the same direction.
pub(super) struct Over<'a, T, B: Walk<T>> {
    /// What is told of a record.
    tell: fn(&Record) -> T,
    changes: Option<&'a Changes>,
    records: Records<'a>,
    base: B,
    next: Next<B::Item>,
    /// How many entries of it came one behind the other, and are gone.
    gone: usize,
    direction: Direction,
}

impl<'a, T, B: Walk<T>> Over<'a, T, B> {
    /// The entries of `space` with `from <= key < to`.
    pub(super) fn new(
        recent: &'a Recent,
        space: Space,
        from: &'a [u8],
        to: &'a [u8],
        direction: Direction,
        tell: fn(&Record) -> T,
        base: B,
    ) -> Self {
        let changes = recent.of(space);
        let within = (Bound::Included(from), Bound::Excluded(to));
        let records = changes.filter(|_| from < to).map(|it| it.records.range::<[u8], _>(within));
        let records: Box<dyn Iterator<Item = Changed<'a>> + 'a> = match (records, direction) {
            (None, _) => Box::new(std::iter::empty()),
            (Some(records), Direction::Up) => Box::new(records),
            (Some(records), Direction::Down) => Box::new(records.rev()),
        };
        let records = records.peekable();
        Self { tell, changes, records, base, next: Next::NotAsked, gone: 0, direction }
    }

    fn take(&mut self) -> Option<B::Item> {
        match std::mem::replace(&mut self.next, Next::NotAsked) {
            Next::NotAsked => self.base.next(),
            Next::Told(entry) => entry,
        }
    }

    fn peek(&mut self) -> Option<&B::Item> {
        if matches!(self.next, Next::NotAsked) {
            self.next = Next::Told(self.base.next());
        }
        match &self.next {
            Next::Told(entry) => entry.as_ref(),
            Next::NotAsked => None,
        }
    }

    /// Whether the layer's next key comes before that of the base, or is the same.
    fn order(&mut self) -> Option<Ordering> {
        let record = self.records.peek().map(|(key, _)| *key);
        let direction = self.direction;
        match (record, self.peek()) {
            (None, None) => None,
            (Some(_), None) => Some(Ordering::Less),
            (_, Some(Err(_))) | (None, Some(_)) => Some(Ordering::Greater),
            (Some(key), Some(Ok((other, _)))) => Some(match direction {
                Direction::Up => key.cmp(other),
                Direction::Down => other.cmp(key),
            }),
        }
    }

    /// Nothing is left of the range around a key of the base.
    fn passes(&mut self, key: &[u8]) -> bool {
        let range = self.changes.and_then(|changes| changes.erased_around(key));
        self.gone = if range.is_some() { self.gone + 1 } else { 0 };
        if let Some((from, to)) = range.filter(|_| self.gone >= GONE) {
            self.base.pass(from, to);
            self.gone = 0;
        }
        range.is_some()
    }
}

impl<T, B: Walk<T>> Iterator for Over<'_, T, B> {
    type Item = Result<(Vec<u8>, T), StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.order()? == Ordering::Greater {
                match self.take()? {
                    Ok((key, _)) if self.passes(&key) => {}
                    entry => return Some(entry),
                }
            } else {
                if self.order()? == Ordering::Equal {
                    self.take();
                }
                if let Some((key, Some(record))) = self.records.next() {
                    return Some(Ok((key.clone(), (self.tell)(record))));
                }
            }
        }
    }
}

impl<T, B: Walk<T>> Walk<T> for Over<'_, T, B> {
    fn pass(&mut self, from: &[u8], to: &[u8]) {
        let is_there = |key: &[u8]| from <= key && key < to;
        // They are in memory.
        while self.records.next_if(|(key, _)| is_there(key)).is_some() {}
        match &self.next {
            // An error is told, too.
            Next::Told(Some(Err(_))) => {}
            Next::Told(Some(Ok((key, _)))) if !is_there(key) => {}
            Next::NotAsked | Next::Told(_) => {
                self.next = Next::NotAsked;
                self.base.pass(from, to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{crypto::Sealed, store::kinds::header::SPACE};

    /// The entries of a plain map.
    struct Listed(Vec<(Vec<u8>, Record)>);

    impl Iterator for Listed {
        type Item = Result<(Vec<u8>, Record), StorageError>;

        fn next(&mut self) -> Option<Self::Item> {
            self.0.pop().map(Ok)
        }
    }

    impl Walk<Record> for Listed {
        fn pass(&mut self, from: &[u8], to: &[u8]) {
            self.0.retain(|(key, _)| key.as_slice() < from || key.as_slice() >= to);
        }
    }

    fn step() -> impl Strategy<Value = Op> {
        let key = || prop::collection::vec(0_u8..4, 1..3);
        prop_oneof![
            4 => (key(), any::<u8>()).prop_map(|(key, byte)| Op::Put(SPACE, key, Sealed::public(vec![byte]))),
            2 => key().prop_map(|key| Op::Delete(SPACE, key)),
            2 => (key(), key()).prop_map(|(from, to)| Op::DeleteRange(SPACE, from, to)),
        ]
    }

    /// A plain map that the same changes are made to.
    fn plain(map: &mut BTreeMap<Vec<u8>, Record>, op: &Op, revision: Revision) {
        match op.clone() {
            Op::Put(_, key, sealed) => {
                map.insert(key, Record { revision, bytes: sealed.into_bytes() });
            }
            Op::Delete(_, key) => {
                map.remove(&key);
            }
            Op::DeleteRange(_, from, to) => map.retain(|key, _| *key < from || *key >= to),
        }
    }

    proptest! {
        /// Changes in two layers over a base say what a plain map says.
        #[test]
        fn layers_say_what_a_map_says(
            beneath in prop::collection::vec(step(), 0..12),
            first in prop::collection::vec(step(), 0..12),
            second in prop::collection::vec(step(), 0..12),
            from in prop::collection::vec(0_u8..4, 0..3),
            to in prop::collection::vec(0_u8..5, 0..3),
        ) {
            let (mut base, mut layers) = (BTreeMap::new(), [Recent::default(), Recent::default()]);
            for op in &beneath {
                plain(&mut base, op, Revision(1));
            }
            let mut map = base.clone();
            for (layer, ops) in layers.iter_mut().zip([&first, &second]) {
                for op in ops {
                    layer.apply(op.clone(), Revision(2));
                    plain(&mut map, op, Revision(2));
                }
            }
            let [lower, upper] = &layers;
            for a in 0..5_u8 {
                for key in std::iter::once(vec![a]).chain((0..5).map(|b| vec![a, b])) {
                    let known = upper.get(SPACE, &key).or_else(|| lower.get(SPACE, &key));
                    let found = known.map_or_else(|| base.get(&key), |Known(record)| record);
                    prop_assert_eq!(found, map.get(&key), "{:?}", key);
                }
            }
            let to = to.max(from.clone());
            let entries = |down: bool| {
                let base = base.range(from.clone()..to.clone());
                let mut base: Vec<_> = base.map(|(key, record)| (key.clone(), record.clone())).collect();
                if !down {
                    base.reverse();
                }
                let base = Listed(base);
                let direction = if down { Direction::Down } else { Direction::Up };
                let lower = Over::new(lower, SPACE, &from, &to, direction, Record::clone, base);
                Over::new(upper, SPACE, &from, &to, direction, Record::clone, lower).collect::<Result<Vec<_>, _>>().unwrap()
            };
            let mut expected: Vec<_> = map.range(from.clone()..to.clone()).map(|(key, record)| (key.clone(), record.clone())).collect();
            prop_assert_eq!(entries(false), expected.clone());
            expected.reverse();
            prop_assert_eq!(entries(true), expected);
        }
    }
}
