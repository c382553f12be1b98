//! The processors, and who takes turns at them.
//!
//! Always holds: where several parties are connected, the tasks of one are before the processors
//! as many at a time as there are processors but one, so that another one's request finds a
//! processor that does not work for the first; who is alone has all of them, at no cost. Strangers
//! are never a reason to leave one to them. Never does: look at what the tasks do.

use std::{
    collections::HashMap,
    num::NonZero,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use crate::{
    auth::Party,
    fair::{Bounds, Turns, Weights},
};

/// Who takes turns.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    Party(Party),
    Strangers,
    Proxies,
}

/// The processors that connections share.
pub(super) struct Processors {
    turns: Arc<Turns<Whose>>,
    /// How often each is there.
    there: Mutex<HashMap<Whose, usize>>,
    /// How many of them are there, without strangers.
    parties: AtomicUsize,
}

/// One of a party is there, until this is dropped.
pub(super) struct Presence {
    processors: Arc<Processors>,
    whose: Whose,
}

impl Processors {
    /// Those that this machine has.
    pub(super) fn all(weights: Arc<Weights>) -> Arc<Self> {
        Self::of(std::thread::available_parallelism().map_or(1, NonZero::get), weights)
    }

    fn of(number: usize, weights: Arc<Weights>) -> Arc<Self> {
        let of_one = number.saturating_sub(1).max(1);
        let bounds = Bounds { all: 2 * number, of_one, waiting: usize::MAX };
        let (there, parties) = (Mutex::default(), AtomicUsize::new(0));
        let turns = Turns::weighed(bounds, move |whose| match whose {
            Whose::Party(Party::Tenant(id)) => weights.of(id.as_bytes()),
            _ => 1,
        });
        Arc::new(Self { turns, there, parties })
    }

    /// Somebody of `whose` is there.
    pub(super) fn enter(self: &Arc<Self>, whose: Whose) -> Presence {
        let mut there = self.there();
        *there.entry(whose).or_default() += 1;
        self.count(&there);
        Presence { processors: Arc::clone(self), whose }
    }

    fn leave(&self, whose: Whose) {
        let mut there = self.there();
        if let Some(number) = there.get_mut(&whose) {
            *number -= 1;
            if *number == 0 {
                there.remove(&whose);
            }
        }
        self.count(&there);
    }

    fn count(&self, there: &HashMap<Whose, usize>) {
        let strangers = usize::from(there.contains_key(&Whose::Strangers));
        self.parties.store(there.len() - strangers, Relaxed);
    }

    fn there(&self) -> MutexGuard<'_, HashMap<Whose, usize>> {
        // Every change is one call, so a poisoned lock loses nothing.
        self.there.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there are others than `whose`, for whom a processor is left.
    fn has_others(&self, whose: Whose) -> bool {
        self.parties.load(Relaxed) > usize::from(whose != Whose::Strangers)
    }
}

impl Presence {
    /// Does the work of a task, in turns with other parties. See [`Turns::paced`].
    pub(super) fn paced<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        let (processors, whose) = (Arc::clone(&self.processors), self.whose);
        let turns = Arc::clone(&processors.turns);
        // Boxed, as a future that takes another one as it is keeps room for it twice, and some of these
        // take kilobytes each of ten thousand times.
        turns.paced(whose, move || processors.has_others(whose), Box::pin(work))
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.processors.leave(self.whose);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OkmsId;

    #[test]
    fn who_is_alone_leaves_nothing_to_others() {
        let [one, other] =
            [1, 2].map(|n| Whose::Party(Party::Tenant(OkmsId::from_bytes([n; 16]).unwrap())));
        let processors = Processors::of(4, Arc::default());
        let (first, second) = (processors.enter(one), processors.enter(one));
        assert!(!processors.has_others(one));
        let stranger = processors.enter(Whose::Strangers);
        assert!(!processors.has_others(one) && processors.has_others(Whose::Strangers));
        let theirs = processors.enter(other);
        assert!(processors.has_others(one) && processors.has_others(other));
        drop(first);
        assert!(processors.has_others(other), "one of them is still there");
        drop(second);
        assert!(!processors.has_others(other));
        drop((stranger, theirs));
        assert!(processors.there().is_empty());
    }
}
