//! Whether what several clients were told could have been told to one client who did it all, one after the other, each thing at
//! some moment between its request and its answer (linearizability). The search is Wing and Gong's, with Lowe's memory of where
//! it has been.

use std::{
    collections::HashSet,
    fmt::Debug,
    hash::Hash,
    time::{Duration, Instant},
};

/// What one thing is, by itself: what it says to each request, in each state.
pub trait Model {
    type State: Clone + Debug + Default + Eq + Hash;
    type Ask: Debug;
    type Told: Debug + PartialEq;

    /// What is there afterwards, and what is answered.
    fn does(state: &Self::State, ask: &Self::Ask) -> (Self::State, Self::Told);
}

/// A request, and what was answered.
pub struct Call<M: Model> {
    pub began: Instant,
    pub ended: Instant,
    pub ask: M::Ask,
    /// Nothing where nobody knows whether it happened; then it may have at any time, up to now, or not at all.
    pub told: Option<M::Told>,
}

impl<M: Model> Debug for Call<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { ask, told, .. } = self;
        let took: Duration = self.ended - self.began;
        write!(f, "{ask:?} → {told:?} in {took:.1?}")
    }
}

/// How far a search has come.
#[derive(Clone, PartialEq, Eq, Hash)]
struct At<S> {
    /// All before it have happened; it has not.
    first: usize,
    /// Those behind it that have happened.
    beyond: Vec<usize>,
    /// Of those of which nobody knows: who has happened.
    open: u64,
    state: S,
}

/// Looks for an order in which all of it, about one thing, makes sense.
///
/// # Errors
/// Says how far the longest one comes, and what does not fit.
pub fn check<M: Model>(calls: Vec<Call<M>>) -> Result<(), String> {
    let (mut known, open): (Vec<_>, Vec<_>) =
        calls.into_iter().partition(|call| call.told.is_some());
    assert!(open.len() < 64, "too many calls of which nobody knows");
    known.sort_by_key(|call| call.began);
    let begin = At { first: 0, beyond: Vec::new(), open: 0, state: M::State::default() };
    let mut deepest = begin.clone();
    let mut seen = HashSet::from([begin.clone()]);
    let mut next = vec![begin];
    while let Some(at) = next.pop() {
        if at.first == known.len() {
            return Ok(());
        }
        if at.first + at.beyond.len() > deepest.first + deepest.beyond.len() {
            deepest = at.clone();
        }
        // Whoever began after another one had ended comes after him.
        let mut until = known[at.first].ended;
        let mut candidates = Vec::new();
        for (nth, call) in known.iter().enumerate().skip(at.first) {
            if call.began > until {
                break;
            }
            if !at.beyond.contains(&nth) {
                until = until.min(call.ended);
                candidates.push(nth);
            }
        }
        let mut go = |at: At<M::State>| {
            if !seen.contains(&at) {
                seen.insert(at.clone());
                next.push(at);
            }
        };
        for (nth, call) in open.iter().enumerate() {
            if at.open & (1 << nth) == 0 && call.began <= until {
                let (state, _) = M::does(&at.state, &call.ask);
                go(At { open: at.open | 1 << nth, state, ..at.clone() });
            }
        }
        // The one that began first is tried first.
        for nth in candidates.into_iter().rev().filter(|nth| known[*nth].began <= until) {
            let (state, told) = M::does(&at.state, &known[nth].ask);
            if Some(&told) != known[nth].told.as_ref() {
                continue;
            }
            let mut after = At { state, beyond: at.beyond.clone(), ..at.clone() };
            after.beyond.push(nth);
            after.beyond.sort_unstable();
            while after.beyond.first() == Some(&after.first) {
                after.beyond.remove(0);
                after.first += 1;
            }
            go(after);
        }
    }
    let around: Vec<_> = known
        .iter()
        .enumerate()
        .skip(deepest.first.saturating_sub(4))
        .take(14)
        .map(|(nth, call)| {
            let has = nth < deepest.first || deepest.beyond.contains(&nth);
            format!("{} {call:?}", if has { "  " } else { "?!" })
        })
        .collect();
    Err(format!(
        "no order fits: {} of {} come before {:?}, and then\n{}",
        deepest.first + deepest.beyond.len(),
        known.len(),
        deepest.state,
        around.join("\n")
    ))
}

/// A number that is written, changed under a condition, and read.
struct Register;

#[derive(Clone, Copy, Debug)]
enum Ask {
    Write(u8),
    Swap(u8, u8),
    Read,
}

#[derive(Debug, PartialEq)]
enum Told {
    Done,
    Differs,
    Is(u8),
}

impl Model for Register {
    type State = u8;
    type Ask = Ask;
    type Told = Told;

    fn does(state: &u8, ask: &Ask) -> (u8, Told) {
        match *ask {
            Ask::Write(to) => (to, Told::Done),
            Ask::Swap(from, to) if *state == from => (to, Told::Done),
            Ask::Swap(..) => (*state, Told::Differs),
            Ask::Read => (*state, Told::Is(*state)),
        }
    }
}

/// Histories of which it is known whether they make sense; a checker that takes everything proves nothing.
#[test]
fn histories_are_judged() {
    use Ask::{Read, Swap, Write};
    use Told::{Differs, Done, Is};
    let zero = Instant::now();
    let judge = |calls: Vec<(u64, u64, Ask, Option<Told>)>| {
        let call = |(from, to, ask, told)| Call::<Register> {
            began: zero + Duration::from_millis(from),
            ended: zero + Duration::from_millis(to),
            ask,
            told,
        };
        check(calls.into_iter().map(call).collect()).is_ok()
    };
    // One after the other.
    assert!(judge(vec![(0, 1, Write(1), Some(Done)), (2, 3, Read, Some(Is(1)))]));
    assert!(!judge(vec![(0, 1, Write(1), Some(Done)), (2, 3, Read, Some(Is(0)))]));
    // At once: both are right.
    assert!(judge(vec![(0, 5, Write(1), Some(Done)), (2, 3, Read, Some(Is(0)))]));
    assert!(judge(vec![(0, 5, Write(1), Some(Done)), (2, 3, Read, Some(Is(1)))]));
    // But what was seen once stays.
    assert!(!judge(vec![
        (0, 9, Write(1), Some(Done)),
        (2, 3, Read, Some(Is(1))),
        (4, 5, Read, Some(Is(0))),
    ]));
    // Two who add to the same.
    assert!(!judge(vec![(0, 5, Swap(0, 1), Some(Done)), (1, 6, Swap(0, 2), Some(Done))]));
    assert!(judge(vec![(0, 5, Swap(0, 1), Some(Done)), (1, 6, Swap(0, 2), Some(Differs))]));
    assert!(judge(vec![(1, 5, Swap(0, 1), Some(Differs)), (0, 6, Write(2), Some(Done))]));
    // What nobody knows of may have happened, late, or not.
    assert!(judge(vec![(0, 1, Write(1), None), (2, 3, Read, Some(Is(0)))]));
    assert!(judge(vec![
        (0, 1, Write(1), None),
        (2, 3, Read, Some(Is(0))),
        (4, 5, Read, Some(Is(1))),
    ]));
    assert!(!judge(vec![
        (0, 1, Write(1), None),
        (2, 3, Read, Some(Is(1))),
        (4, 5, Read, Some(Is(0))),
    ]));
    assert!(!judge(vec![(4, 5, Write(1), None), (2, 3, Read, Some(Is(1)))]));
}
