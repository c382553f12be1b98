//! What may be committed together, and what a batch leaves.
//!
//! Always holds: no batch of a group touches what another one touches or asks about, so that the group can be judged at
//! once and has no order; of one tenant nothing overtakes what came before. Pure.

use std::collections::{BTreeMap, HashSet};

use super::lanes::Queued;
use crate::store::engine::{Batch, Expect, Op, Space};

/// Divides what waits into those that can be committed together and those that have to come later.
pub(super) fn divide<J: Queued>(jobs: Vec<J>) -> (Vec<J>, Vec<J>) {
    let mut taken = Taken::default();
    let mut waits = HashSet::new();
    let (mut group, mut later) = (Vec::new(), Vec::new());
    for job in jobs {
        if waits.contains(&job.tenant()) || taken.is_in_the_way_of(job.batch()) {
            waits.insert(job.tenant());
            later.push(job);
        } else {
            taken.add(job.batch());
            group.push(job);
        }
    }
    (group, later)
}

/// What the batches of a group touch and ask about.
#[derive(Default)]
struct Taken {
    /// Whether it is touched, too.
    keys: BTreeMap<(Space, Vec<u8>), bool>,
    /// From where to where, and whether it is touched, too.
    ranges: Vec<(Space, Vec<u8>, Vec<u8>, bool)>,
}

/// A part of what a batch touches or asks about: a key, or a range from there on.
type Part<'a> = (Space, &'a [u8], Option<&'a [u8]>, bool);

fn parts(batch: &Batch) -> impl Iterator<Item = Part<'_>> {
    let asked = batch.preconditions.iter().map(|(space, key, expect)| match expect {
        Expect::Absent | Expect::At(_) => (*space, &**key, None, false),
        Expect::EmptyTo(to) => (*space, &**key, Some(&**to), false),
    });
    let touched = batch.ops.iter().map(|op| match op {
        Op::Put(space, key, _) | Op::Delete(space, key) => (*space, &**key, None, true),
        Op::DeleteRange(space, from, to) => (*space, &**from, Some(&**to), true),
    });
    // What is appended lies behind its prefix, where nothing is put otherwise; it may be removed.
    let appended = batch.appended.iter().map(|append| (append.space, &*append.prefix, None, false));
    asked.chain(touched).chain(appended)
}

impl Taken {
    fn is_in_the_way_of(&self, batch: &Batch) -> bool {
        parts(batch).any(|(space, from, to, touches)| {
            let by_key = match to {
                None => self
                    .keys
                    .get(&(space, from.to_vec()))
                    .is_some_and(|touched| *touched || touches),
                Some(to) if from < to => self
                    .keys
                    .range((space, from.to_vec())..(space, to.to_vec()))
                    .any(|(_, touched)| *touched || touches),
                Some(_) => false,
            };
            by_key
                || self.ranges.iter().any(|(of, begin, end, touched)| {
                    let meets = match to {
                        None => &**begin <= from && from < &**end,
                        Some(to) => &**begin < to && from < &**end,
                    };
                    *of == space && meets && (*touched || touches)
                })
        })
    }

    fn add(&mut self, batch: &Batch) {
        for (space, from, to, touches) in parts(batch) {
            match to {
                None => *self.keys.entry((space, from.to_vec())).or_default() |= touches,
                Some(to) => self.ranges.push((space, from.to_vec(), to.to_vec(), touches)),
            }
        }
    }
}

/// What a batch leaves in the end, whatever the order of its changes: ranges are removed first, then records, then
/// records are written.
#[derive(Default)]
pub(super) struct Folded<'a> {
    pub(super) cuts: Vec<(Space, &'a [u8], &'a [u8])>,
    /// What is written, or nothing where it is removed.
    pub(super) records: BTreeMap<(Space, &'a [u8]), Option<&'a [u8]>>,
}

pub(super) fn fold(ops: &[Op]) -> Folded<'_> {
    let mut folded = Folded::default();
    for op in ops {
        match op {
            Op::Put(space, key, value) => {
                folded.records.insert((*space, key), Some(value.as_ref()));
            }
            Op::Delete(space, key) => {
                folded.records.insert((*space, key), None);
            }
            Op::DeleteRange(space, from, to) if from < to => {
                let before: Vec<_> = folded
                    .records
                    .range((*space, &**from)..(*space, &**to))
                    .map(|(at, _)| *at)
                    .collect();
                for at in before {
                    folded.records.remove(&at);
                }
                folded.cuts.push((*space, from, to));
            }
            Op::DeleteRange(..) => {}
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        crypto::Sealed,
        store::{
            engine::Revision,
            kinds::{header, value},
        },
    };

    struct Job(Batch, usize);

    impl Queued for Job {
        fn batch(&self) -> &Batch {
            &self.0
        }
    }

    fn key(tenant: u8, name: u8) -> Vec<u8> {
        [[tenant; 16].as_slice(), &[name]].concat()
    }

    fn arb_op() -> impl Strategy<Value = Op> {
        let space = prop_oneof![Just(header::SPACE), Just(value::SPACE)];
        (space, 0..3_u8, 0..6_u8, 0..6_u8, 0..3_u8).prop_map(|(space, tenant, a, b, kind)| {
            match kind {
                0 => Op::Put(space, key(tenant, a), Sealed::public(vec![a, b])),
                1 => Op::Delete(space, key(tenant, a)),
                _ => Op::DeleteRange(space, key(tenant, a), key(tenant, b)),
            }
        })
    }

    fn arb_batch() -> impl Strategy<Value = Batch> {
        let ops = prop::collection::vec(arb_op(), 0..6);
        let asked = prop::collection::vec((0..3_u8, 0..6_u8, 0..6_u8, 0..3_u8), 0..3);
        (ops, asked).prop_map(|(ops, asked)| {
            let preconditions = asked.into_iter().map(|(tenant, a, b, kind)| {
                let expect = match kind {
                    0 => Expect::Absent,
                    1 => Expect::At(Revision(u64::from(b))),
                    _ => Expect::EmptyTo(key(tenant, b)),
                };
                (header::SPACE, key(tenant, a), expect)
            });
            Batch { preconditions: preconditions.collect(), ..Batch::of(ops) }
        })
    }

    type State = BTreeMap<(Space, Vec<u8>), (u64, Vec<u8>)>;

    fn apply(state: &mut State, ops: &[Op], revision: u64) {
        for op in ops {
            match op {
                Op::Put(space, key, value) => {
                    state.insert((*space, key.clone()), (revision, value.as_ref().to_vec()));
                }
                Op::Delete(space, key) => {
                    state.remove(&(*space, key.clone()));
                }
                Op::DeleteRange(space, from, to) => {
                    state.retain(|(of, key), _| of != space || key < from || key >= to);
                }
            }
        }
    }

    fn holds(state: &State, batch: &Batch) -> bool {
        batch.preconditions.iter().all(|(space, key, expect)| match expect {
            Expect::Absent => !state.contains_key(&(*space, key.clone())),
            Expect::At(revision) => {
                state.get(&(*space, key.clone())).is_some_and(|(at, _)| *at == revision.0)
            }
            Expect::EmptyTo(to) => {
                !state.keys().any(|(of, other)| of == space && other >= key && other < to)
            }
        })
    }

    proptest! {
        /// Folded or as it came, a batch leaves the same.
        #[test]
        fn a_folded_batch_leaves_what_its_changes_leave(ops in prop::collection::vec(arb_op(), 0..30)) {
            let full = || {
                let keys = (0..3).flat_map(|tenant| (0..6).map(move |name| key(tenant, name)));
                keys.flat_map(|key| [((header::SPACE, key.clone()), (0, vec![])), ((value::SPACE, key), (0, vec![]))])
                    .collect::<State>()
            };
            let mut expected = full();
            apply(&mut expected, &ops, 1);
            let folded = fold(&ops);
            let cuts = folded.cuts.iter().map(|(space, from, to)| Op::DeleteRange(*space, from.to_vec(), to.to_vec()));
            let (written, removed): (Vec<_>, Vec<_>) = folded.records.iter().partition(|(_, value)| value.is_some());
            let removed = removed.iter().map(|((space, key), _)| Op::Delete(*space, key.to_vec()));
            let written = written.iter().map(|((space, key), value)| Op::Put(*space, key.to_vec(), Sealed::public(value.unwrap().to_vec())));
            let mut found = full();
            apply(&mut found, &cuts.chain(removed).chain(written).collect::<Vec<_>>(), 1);
            prop_assert_eq!(found, expected);
        }

        /// Whatever is in one group can be judged and applied in any order; and of a tenant nothing overtakes.
        #[test]
        fn a_group_has_no_order(batches in prop::collection::vec(arb_batch(), 1..8)) {
            let jobs: Vec<_> = batches.into_iter().zip(0..).map(|(batch, n)| Job(batch, n)).collect();
            let (group, later) = divide(jobs);
            prop_assert!(!group.is_empty());
            for waiting in &later {
                prop_assert!(!group.iter().any(|job| job.1 > waiting.1 && job.tenant() == waiting.tenant()));
            }
            let mut begun = State::new();
            for (n, name) in (0..6).zip(0_u64..) {
                begun.insert((header::SPACE, key(n % 3, n)), (name, vec![n]));
                begun.insert((value::SPACE, key(n % 3, n)), (name, vec![n]));
            }
            let run = |jobs: &mut dyn Iterator<Item = &Job>| {
                let mut state = begun.clone();
                let mut refused = Vec::new();
                for job in jobs {
                    if holds(&state, &job.0) {
                        apply(&mut state, &job.0.ops, 100 + job.1 as u64);
                    } else {
                        refused.push(job.1);
                    }
                }
                refused.sort_unstable();
                (state, refused)
            };
            let forwards = run(&mut group.iter());
            prop_assert_eq!(&forwards, &run(&mut group.iter().rev()));
            // And all can be judged before the first is applied.
            let judged: Vec<_> = group.iter().filter(|job| !holds(&begun, &job.0)).map(|job| job.1).collect();
            prop_assert_eq!(&forwards.1, &judged);
        }
    }
}
