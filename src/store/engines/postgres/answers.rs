//! Answers that are remembered: records, and that there is none.
//!
//! Owns a bounded number of bytes of them. Always holds: what is here was true at a moment, and no commit that was told
//! since has touched it; so once everything up to a revision was told, what is found here and is not newer is the state
//! of that revision. What was read is taken in only if nothing that was told is newer than the moment at which it was
//! read, and if whoever told it is still believed. Never does: I/O; tell how new it is, which is the fence's.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::connect::Primary;
use crate::{
    fair::Tenant,
    store::engine::{Change, Record, Revision, Space, Touched},
};

/// So that few wait for each other.
const SHARDS: usize = 16;
/// What an answer costs beside its key and its bytes, roughly.
const OVERHEAD: usize = 160;
/// So much of what was touched is known of each shard. A read that takes longer than as many commits is not remembered.
const TOUCHED: usize = 256;
/// So much of a key, its domain's, says in which shard it is.
const DOMAIN: usize = size_of::<Tenant>();

/// What is known of a key: a record, or that there is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Known(pub(super) Option<Record>);

/// The answers.
pub(super) struct Answers {
    hasher: RandomState,
    /// Of half a shard; nothing is remembered where it is 0.
    half: usize,
    shards: Vec<Mutex<Shard>>,
}

/// Those of some domains. What was not asked for since the younger half began is dropped when that is full.
struct Shard {
    young: Half,
    old: Half,
    /// What commits have touched of late, the newest last; what they did up to `floor` is not among it.
    touched: VecDeque<(Revision, Touched)>,
    floor: Revision,
    /// Who is believed.
    of: Primary,
}

struct Half {
    by_space: BTreeMap<Space, BTreeMap<Box<[u8]>, Answer>>,
    bytes: usize,
}

#[derive(Clone)]
struct Answer {
    /// It is true from here on.
    since: Revision,
    record: Option<Record>,
}

impl Half {
    const fn new() -> Self {
        Self { by_space: BTreeMap::new(), bytes: 0 }
    }

    fn get(&self, space: Space, key: &[u8]) -> Option<&Answer> {
        self.by_space.get(&space)?.get(key)
    }

    fn put(&mut self, space: Space, key: &[u8], answer: Answer) {
        self.forget(space, key);
        self.bytes += cost(key, &answer);
        self.by_space.entry(space).or_default().insert(key.into(), answer);
    }

    fn forget(&mut self, space: Space, key: &[u8]) {
        let gone = self.by_space.get_mut(&space).and_then(|answers| answers.remove(key));
        self.bytes = self.bytes.saturating_sub(gone.map_or(0, |answer| cost(key, &answer)));
    }

    fn forget_range(&mut self, space: Space, from: &[u8], to: &[u8]) {
        if from >= to {
            return;
        }
        let Some(answers) = self.by_space.get_mut(&space) else { return };
        let bounds = (std::ops::Bound::Included(from), std::ops::Bound::Excluded(to));
        let keys: Vec<_> = answers.range::<[u8], _>(bounds).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.forget(space, &key);
        }
    }
}

fn cost(key: &[u8], answer: &Answer) -> usize {
    OVERHEAD + key.len() + answer.record.as_ref().map_or(0, |record| record.bytes.len())
}

impl Answers {
    /// About so many bytes of answers; none at all if that is 0.
    pub(super) fn new(bytes: usize, of: Primary) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::new(of, Revision(0)))).collect();
        Self { hasher: RandomState::new(), half: bytes / SHARDS / 2, shards }
    }

    /// Whether anything is remembered at all.
    pub(super) const fn is_on(&self) -> bool {
        self.half > 0
    }

    fn shard(&self, key: &[u8]) -> Option<MutexGuard<'_, Shard>> {
        let hash = self.hasher.hash_one(key.get(..DOMAIN).unwrap_or(key));
        let shard = usize::try_from(hash).unwrap_or_default() % SHARDS;
        self.shards.get(shard).map(lock)
    }

    /// Whether there is an answer for this key.
    pub(super) fn has(&self, space: Space, key: &[u8]) -> bool {
        self.shard(key).is_some_and(|shard| {
            shard.young.get(space, key).or_else(|| shard.old.get(space, key)).is_some()
        })
    }

    /// What is under a key at this revision, up to which everything was told; nothing where it is not known.
    pub(super) fn get(&self, space: Space, key: &[u8], at: Revision) -> Option<Known> {
        let mut shard = self.shard(key)?;
        if let Some(answer) = shard.young.get(space, key) {
            return (answer.since <= at).then(|| Known(answer.record.clone()));
        }
        let answer = shard.old.get(space, key).filter(|answer| answer.since <= at)?.clone();
        shard.remember(space, key, answer.clone(), self.half);
        Some(Known(answer.record))
    }

    /// What a server has told of a key, of the moment of this revision.
    pub(super) fn learn(
        &self,
        of: Primary,
        at: Revision,
        space: Space,
        key: &[u8],
        record: Option<&Record>,
    ) {
        let Some(mut shard) = self.shard(key) else { return };
        if shard.of != of || shard.was_touched(space, key, at) {
            return;
        }
        let since = record.map_or(at, |record| record.revision);
        shard.remember(space, key, Answer { since, record: record.cloned() }, self.half);
    }

    /// Forgets what a commit has touched.
    pub(super) fn tell(&self, change: &Change) {
        if !self.is_on() {
            return;
        }
        for touched in &change.touched {
            match touched {
                Touched::Put(space, key) | Touched::Deleted(space, key) => {
                    if let Some(mut shard) = self.shard(key) {
                        shard.young.forget(*space, key);
                        shard.old.forget(*space, key);
                        shard.remember_touched(change.revision, touched.clone());
                    }
                }
                // It may be of many domains.
                Touched::DeletedRange(space, from, to) => {
                    for shard in &self.shards {
                        let mut shard = lock(shard);
                        shard.young.forget_range(*space, from, to);
                        shard.old.forget_range(*space, from, to);
                        shard.remember_touched(change.revision, touched.clone());
                    }
                }
            }
        }
    }

    /// Forgets everything: from now on this one is believed, and what it tells of the moments from this revision on.
    pub(super) fn clear(&self, of: Primary, at: Revision) {
        for shard in &self.shards {
            *lock(shard) = Shard::new(of, at);
        }
    }
}

impl Shard {
    const fn new(of: Primary, floor: Revision) -> Self {
        Self { young: Half::new(), old: Half::new(), touched: VecDeque::new(), floor, of }
    }

    /// Whether a commit after this revision may have touched a key.
    fn was_touched(&self, space: Space, key: &[u8], since: Revision) -> bool {
        let later = self.touched.iter().rev().take_while(|(at, _)| *at > since);
        since < self.floor
            || later.map(|(_, touched)| touched).any(|touched| match touched {
                Touched::Put(of, name) | Touched::Deleted(of, name) => {
                    (*of, &**name) == (space, key)
                }
                Touched::DeletedRange(of, from, to) => {
                    *of == space && **from <= *key && *key < **to
                }
            })
    }

    fn remember_touched(&mut self, at: Revision, touched: Touched) {
        self.touched.push_back((at, touched));
        if self.touched.len() > TOUCHED
            && let Some((at, _)) = self.touched.pop_front()
        {
            self.floor = at;
        }
    }

    fn remember(&mut self, space: Space, key: &[u8], answer: Answer, half: usize) {
        let bytes = cost(key, &answer);
        // One large record must not drive out all the small ones.
        if bytes > half / 4 {
            return;
        }
        self.old.forget(space, key);
        if self.young.bytes + bytes > half {
            self.old = std::mem::replace(&mut self.young, Half::new());
        }
        self.young.put(space, key, answer);
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::store::kinds::{header, value};

    const US: Primary = Primary { host: 0, timeline: 1 };

    type History = Vec<BTreeMap<u8, Revision>>;

    fn key(n: u8) -> Vec<u8> {
        let mut key = vec![n % 3; DOMAIN];
        key.push(n);
        key
    }

    fn record(at: Revision, n: u8) -> Record {
        Record { revision: at, bytes: vec![n; 40].into() }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put(u8),
        Delete(u8),
        Cut(u8, u8),
        /// So many commits are told.
        Told(usize),
        /// A read so many commits before the last one comes in.
        Learn(u8, usize),
        Get(u8),
    }

    fn arb_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..12_u8).prop_map(Step::Put),
            (0..12_u8).prop_map(Step::Delete),
            (0..12_u8, 0..12_u8).prop_map(|(from, to)| Step::Cut(from, to)),
            (1..4_usize).prop_map(Step::Told),
            (0..12_u8, 0..4_usize).prop_map(|(n, ago)| Step::Learn(n, ago)),
            (0..12_u8).prop_map(Step::Get),
            (0..12_u8).prop_map(Step::Get),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever is committed, told and read in whatever order: an answer at a revision up to which all was told is
        /// what there was at that revision.
        #[test]
        fn an_answer_is_of_the_moment_that_is_asked_for(
            steps in prop::collection::vec(arb_step(), 1..80),
            bytes in prop_oneof![Just(1_usize << 20), Just(SHARDS * 2 * 900)],
        ) {
            let answers = Answers::new(bytes, US);
            let mut history: History = vec![BTreeMap::new()];
            let mut changes = Vec::new();
            let (mut told, mut hits) = (0, HashMap::<u8, u32>::new());
            for step in steps {
                let next = Revision(history.len() as u64);
                let mut state = history.last().unwrap().clone();
                let touched = match step {
                    Step::Put(n) => {
                        state.insert(n, next);
                        Touched::Put(header::SPACE, key(n))
                    }
                    Step::Delete(n) => {
                        state.remove(&n);
                        Touched::Deleted(header::SPACE, key(n))
                    }
                    Step::Cut(from, to) => {
                        let (from, to) = (key(from), key(to));
                        state.retain(|n, _| key(*n) < from || key(*n) >= to);
                        Touched::DeletedRange(header::SPACE, from, to)
                    }
                    Step::Told(count) => {
                        for change in changes.iter().skip(told).take(count) {
                            answers.tell(change);
                        }
                        told = changes.len().min(told + count);
                        continue;
                    }
                    Step::Learn(n, ago) => {
                        let at = history.len().saturating_sub(1 + ago);
                        let found = history[at].get(&n).map(|at| record(*at, n));
                        answers.learn(US, Revision(at as u64), header::SPACE, &key(n), found.as_ref());
                        continue;
                    }
                    Step::Get(n) => {
                        if let Some(Known(found)) = answers.get(header::SPACE, &key(n), Revision(told as u64)) {
                            let expected = history[told].get(&n).map(|at| record(*at, n));
                            prop_assert_eq!(found, expected);
                            *hits.entry(n).or_default() += 1;
                        }
                        prop_assert!(answers.get(value::SPACE, &key(n), next).is_none());
                        continue;
                    }
                };
                history.push(state);
                changes.push(Change { revision: next, moment: None, touched: vec![touched] });
            }
        }
    }

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let answers = Answers::new(SHARDS * 2 * 10_000, US);
        let learn = |n: u16| {
            let key = [&key(0)[..], &n.to_be_bytes()].concat();
            answers.learn(US, Revision(1), header::SPACE, &key, Some(&record(Revision(1), 1)));
            key
        };
        let used = learn(0);
        for n in 1..400 {
            learn(n);
            assert!(answers.get(header::SPACE, &used, Revision(1)).is_some(), "{n}");
        }
        let held = |shard: &Mutex<Shard>| {
            let shard = lock(shard);
            shard.young.bytes + shard.old.bytes
        };
        let held: usize = answers.shards.iter().map(held).sum();
        assert!(held > 10_000 && held <= 20_000, "{held}");
        // One large record changes nothing.
        let large = Record { revision: Revision(1), bytes: vec![0; 9_000].into() };
        answers.learn(US, Revision(1), header::SPACE, &key(0), Some(&large));
        assert!(!answers.has(header::SPACE, &key(0)) && answers.has(header::SPACE, &used));
    }

    #[test]
    fn who_is_believed_no_more_teaches_nothing() {
        let answers = Answers::new(1 << 20, US);
        let learn = |of, at| answers.learn(of, Revision(at), header::SPACE, &key(1), None);
        learn(US, 5);
        assert_eq!(answers.get(header::SPACE, &key(1), Revision(5)), Some(Known(None)));
        let next = Primary { host: 1, timeline: 2 };
        answers.clear(next, Revision(7));
        learn(US, 9);
        learn(next, 6);
        assert!(!answers.has(header::SPACE, &key(1)));
        learn(next, 7);
        assert_eq!(
            answers.get(header::SPACE, &key(1), Revision(6)),
            None,
            "it is of a later moment"
        );
        assert_eq!(answers.get(header::SPACE, &key(1), Revision(7)), Some(Known(None)));
        assert!(!Answers::new(0, US).is_on());
    }
}
