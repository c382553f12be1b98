//! How many secrets each tenant has, and how many bytes of values: in memory, once somebody has asked.
//!
//! Owns the numbers. Always holds: a number is that of a snapshot and of every commit after it, each
//! once, whichever is told first, by this process when it has committed or by the feed; where a commit
//! did not know what it took away, the number is the most that it can be, until all is counted
//! again. Never does: read the store, or wait.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::{
    model::{OkmsId, Usage},
    store::{
        engine::{Change, Revision},
        kinds::growth::{self, Told},
    },
};

/// After a count nobody counts the same again for so many times as long as it has taken.
const REST: u32 = 9;
/// So often somebody who waits asks again.
const AGAIN: Duration = Duration::from_millis(50);

/// What is known of all tenants.
pub(super) struct Counts {
    state: Mutex<State>,
    /// Some tenants are to be counted.
    wanted: Notify,
    /// Some were.
    done: Notify,
}

struct State {
    /// The last commit that the feed has told.
    at: Revision,
    /// Later ones that were told by whoever made them.
    ahead: BTreeSet<Revision>,
    tenants: HashMap<OkmsId, Known>,
    /// Those that are to be counted.
    waiting: VecDeque<OkmsId>,
}

/// What is known of a tenant.
#[derive(Default)]
struct Known {
    /// What it has; at the most, where that is not exact.
    usage: Option<Usage>,
    is_exact: bool,
    /// The snapshot that was counted: it has every commit up to here, also one that is told only now.
    counted_at: Option<Revision>,
    /// What was told since somebody began to count.
    since: Option<Vec<(Revision, Told)>>,
    rests_until: Option<Instant>,
}

impl Counts {
    /// Nothing is known yet of what was committed up to this revision.
    pub(super) fn after(at: Revision) -> Self {
        let state =
            State { at, ahead: BTreeSet::new(), tenants: HashMap::new(), waiting: VecDeque::new() };
        Self { state: Mutex::new(state), wanted: Notify::new(), done: Notify::new() }
    }

    /// What a tenant has, about: at the most, where it is being counted anew. Where nobody knows, or
    /// not exactly, somebody is to count.
    pub(super) fn at_most(&self, id: OkmsId) -> Option<Usage> {
        self.look(id).0
    }

    /// What a tenant has, where that is known. Else as [`Self::at_most`].
    pub(super) fn exact(&self, id: OkmsId) -> Option<Usage> {
        let (usage, is_exact) = self.look(id);
        usage.filter(|_| is_exact)
    }

    fn look(&self, id: OkmsId) -> (Option<Usage>, bool) {
        let mut state = self.state();
        let known = state.tenants.entry(id).or_default();
        let found = (known.usage, known.is_exact);
        if known.begins() {
            state.waiting.push_back(id);
            self.wanted.notify_one();
        }
        found
    }

    /// What a tenant has, once that is known.
    pub(super) async fn counted(&self, id: OkmsId) -> Usage {
        loop {
            let mut done = std::pin::pin!(self.done.notified());
            done.as_mut().enable();
            if let Some(usage) = self.exact(id) {
                return usage;
            }
            // Who has to rest before it is counted is counted when somebody asks.
            let _asked_again = tokio::time::timeout(AGAIN, done).await;
        }
    }

    /// The next tenant that is to be counted.
    pub(super) async fn wanted(&self) -> OkmsId {
        loop {
            {
                let mut state = self.state();
                if let Some(id) = state.waiting.pop_front() {
                    if !state.waiting.is_empty() {
                        self.wanted.notify_one();
                    }
                    return id;
                }
            }
            self.wanted.notified().await;
        }
    }

    /// A tenant was counted in the snapshot of this revision, which was taken after it was wanted, and
    /// that took so long; or it could not be.
    pub(super) fn is(&self, id: OkmsId, found: Option<(Revision, Usage)>, took: Duration) {
        let mut state = self.state();
        let known = state.tenants.entry(id).or_default();
        let since = known.since.take().unwrap_or_default();
        known.rests_until = Instant::now().checked_add(took * REST);
        if let Some((at, usage)) = found {
            known.usage = Some(usage);
            known.is_exact = true;
            known.counted_at = Some(at);
            for (revision, told) in since {
                known.grow(revision, told);
            }
        }
        drop(state);
        self.done.notify_waiters();
    }

    /// This process has made a commit, which says this.
    pub(super) fn happened(&self, revision: Revision, (id, told): (OkmsId, Told)) {
        let mut state = self.state();
        // The feed may be faster.
        if revision > state.at && state.ahead.insert(revision) {
            state.apply(revision, id, told);
        }
    }

    /// The feed tells a commit.
    pub(super) fn told(&self, change: &Change) {
        let mut state = self.state();
        state.at = change.revision;
        let is_known = state.ahead.remove(&change.revision);
        if !is_known && let Some((id, told)) = growth::told(&change.touched) {
            state.apply(change.revision, id, told);
        }
    }

    /// The feed has passed over what was committed up to this revision.
    pub(super) fn missed(&self, up_to: Revision) {
        let mut state = self.state();
        state.at = up_to;
        state.ahead = state.ahead.split_off(&up_to);
        state.ahead.remove(&up_to);
        for known in state.tenants.values_mut() {
            known.usage = None;
            known.is_exact = false;
            if let Some(since) = &mut known.since {
                since.push((up_to, None));
            }
        }
    }

    /// The last commit that the feed has told.
    pub(super) fn followed(&self) -> Revision {
        self.state().at
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole when its lock is given up.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(&mut self, revision: Revision, id: OkmsId, told: Told) {
        // Of whom nobody has asked, nothing is known.
        let Some(known) = self.tenants.get_mut(&id) else { return };
        if let Some(since) = &mut known.since {
            since.push((revision, told));
        }
        known.grow(revision, told);
    }
}

impl Known {
    /// Whether somebody is to count now, who does then.
    fn begins(&mut self) -> bool {
        let rests = self.rests_until.is_some_and(|until| Instant::now() < until);
        let begins = !self.is_exact && self.since.is_none() && !rests;
        if begins {
            self.since = Some(Vec::new());
        }
        begins
    }

    fn grow(&mut self, revision: Revision, told: Told) {
        if Some(revision) <= self.counted_at {
            return;
        }
        match told {
            Some(growth) => self.usage = self.usage.map(|usage| usage.after(growth)),
            None => self.is_exact = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Growth;

    /// A commit is in a snapshot before its maker, or the feed, has told it: a count once took it twice.
    #[test]
    fn what_was_counted_is_not_counted_again_when_it_is_told() {
        let (id, at) = ("5f3c0b0e-7d0c-4c7e-9e57-3a0c5a6b1c2d".parse().unwrap(), Revision);
        let grown = Some(Growth { secrets: 1, bytes: 10 });
        let usage = |secrets| Some(Usage { secrets, bytes: secrets * 10 });
        let counts = Counts::after(at(4));

        assert_eq!(counts.exact(id), None, "and is wanted now");
        counts.happened(at(5), (id, grown));
        counts.is(id, Some((at(6), usage(2).unwrap())), Duration::ZERO);
        assert_eq!(counts.exact(id), usage(2), "both were in the snapshot");
        counts.happened(at(6), (id, grown));
        assert_eq!(counts.exact(id), usage(2), "told late");
        counts.happened(at(7), (id, grown));
        assert_eq!(counts.exact(id), usage(3));
    }
}
