//! The feed of changes: every commit in order, for whoever follows the store.
//!
//! Owns the latest changes in memory, as keys and never as bytes. Always holds: changes are told in
//! the order of their revisions, each once, and after they are durable; who asks for something that
//! is no longer here is told so, and never passed over. Never does: wait for a follower.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::engine::{Change, Changes, ChangesError, Revision, Touched};

/// So much is remembered, in bytes of keys with what each costs beside them.
const BYTES: usize = 8 << 20;
/// What a change, or one of its keys, costs beside its bytes, roughly.
const EACH: usize = 64;
/// So many changes are told at once.
const AT_ONCE: usize = 1024;

/// The latest changes of one store.
pub struct Feed {
    state: Mutex<State>,
    bytes: usize,
    news: Notify,
}

struct State {
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    /// Everything after this revision is in `changes`.
    floor: Revision,
    /// The last revision that was told.
    last: Revision,
}

impl Feed {
    /// A feed that begins after `revision`.
    #[must_use]
    pub fn after(revision: Revision) -> Self {
        Self::bounded(revision, BYTES)
    }

    fn bounded(revision: Revision, bytes: usize) -> Self {
        let state = State { changes: VecDeque::new(), bytes: 0, floor: revision, last: revision };
        Self { state: Mutex::new(state), bytes, news: Notify::new() }
    }

    /// Tells a commit that is durable. To be called in the order of revisions.
    pub fn tell(&self, change: Change) {
        let change = Arc::new(change);
        let mut state = self.state();
        state.bytes += cost(&change);
        state.last = change.revision;
        state.changes.push_back(change);
        while state.bytes > self.bytes
            && let Some(oldest) = state.changes.pop_front()
        {
            state.bytes -= cost(&oldest);
            state.floor = oldest.revision;
        }
        drop(state);
        self.news.notify_waiters();
    }

    /// Forgets everything up to `revision`, which may be of another history: whoever follows reads anew.
    pub fn skip_to(&self, revision: Revision) {
        let mut state = self.state();
        *state = State { changes: VecDeque::new(), bytes: 0, floor: revision, last: revision };
        drop(state);
        self.news.notify_waiters();
    }

    /// Waits until `is_enough` of the last revision that was told.
    pub async fn until(&self, is_enough: impl Fn(Revision) -> bool) {
        loop {
            let news = self.news.notified();
            if is_enough(self.last()) {
                return;
            }
            news.await;
        }
    }

    /// The changes after `revision`, at least one: waits for it.
    ///
    /// # Errors
    /// `TooOld` where some of them are no longer here, or never were.
    pub async fn changes(&self, revision: Revision) -> Result<Changes, ChangesError> {
        loop {
            let news = self.news.notified();
            {
                let state = self.state();
                // A revision that is to come belongs to another history of the store.
                if revision < state.floor || revision > state.last {
                    return Err(ChangesError::TooOld);
                }
                let first = state.changes.partition_point(|change| change.revision <= revision);
                let found: Changes = state.changes.range(first..).take(AT_ONCE).cloned().collect();
                if !found.is_empty() {
                    return Ok(found);
                }
            }
            news.await;
        }
    }

    /// The last revision that was told.
    #[must_use]
    pub fn last(&self) -> Revision {
        self.state().last
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is whole when its lock is given up.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost(change: &Change) -> usize {
    let keys = change.touched.iter().map(|touched| match touched {
        Touched::Put(_, key) | Touched::Deleted(_, key) => key.len(),
        Touched::DeletedRange(_, from, to) => from.len() + to.len(),
    });
    EACH + keys.map(|bytes| bytes + EACH).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::Sealed,
        store::{engine::Op, kinds::header::SPACE},
    };

    fn put(key: &[u8]) -> Op {
        Op::Put(SPACE, key.to_vec(), Sealed::public(vec![7; 1000]))
    }

    fn revisions(changes: &Changes) -> Vec<u64> {
        changes.iter().map(|change| change.revision.0).collect()
    }

    #[tokio::test]
    async fn what_is_told_is_read_in_order_from_anywhere() {
        let feed = Feed::after(Revision(4));
        for revision in [5, 7, 8] {
            feed.tell(Change::of(Revision(revision), Some(revision), &[put(b"k")]));
        }
        for (after, expected) in
            [(4, vec![5, 7, 8]), (5, vec![7, 8]), (6, vec![7, 8]), (7, vec![8])]
        {
            assert_eq!(revisions(&feed.changes(Revision(after)).await.unwrap()), expected);
        }
        for wrong in [0, 3, 9] {
            assert!(matches!(feed.changes(Revision(wrong)).await, Err(ChangesError::TooOld)));
        }
        let change = feed.changes(Revision(7)).await.unwrap().pop().unwrap();
        assert_eq!(change.touched, [Touched::Put(SPACE, b"k".to_vec())]);
        assert_eq!(change.moment, Some(8));
    }

    #[tokio::test]
    async fn who_is_at_the_end_waits() {
        let feed = std::sync::Arc::new(Feed::after(Revision(0)));
        let follower = tokio::spawn({
            let feed = std::sync::Arc::clone(&feed);
            async move { feed.changes(Revision(0)).await.unwrap() }
        });
        tokio::task::yield_now().await;
        assert!(!follower.is_finished());
        feed.tell(Change::of(Revision(1), None, &[put(b"k")]));
        assert_eq!(revisions(&follower.await.unwrap()), [1]);
    }

    #[tokio::test]
    async fn who_follows_what_was_set_back_reads_anew() {
        let feed = Feed::after(Revision(0));
        feed.tell(Change::of(Revision(9), None, &[put(b"k")]));
        feed.skip_to(Revision(5));
        for before in [0, 9] {
            assert!(matches!(feed.changes(Revision(before)).await, Err(ChangesError::TooOld)));
        }
        feed.until(|last| last == Revision(5)).await;
        feed.tell(Change::of(Revision(6), None, &[put(b"k")]));
        assert_eq!(revisions(&feed.changes(Revision(5)).await.unwrap()), [6]);
    }

    #[tokio::test]
    async fn what_is_too_old_is_said() {
        let feed = Feed::bounded(Revision(0), 10 * (2 * EACH + 1));
        for revision in 1..=100 {
            feed.tell(Change::of(Revision(revision), None, &[put(b"k")]));
        }
        assert!(matches!(feed.changes(Revision(89)).await, Err(ChangesError::TooOld)));
        let kept: Vec<_> = (91..=100).collect();
        assert_eq!(revisions(&feed.changes(Revision(90)).await.unwrap()), kept);
    }
}
