//! State that is replaced whole while it is in use.
//!
//! Always holds: whoever has loaded a state sees one and the same until it lets go of it, without
//! waiting for anybody; a state that is replaced says so to all who still use it. Never does:
//! changing a state in place.

use std::{ops::Deref, sync::Arc};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

/// A place for a state.
pub struct Live<T> {
    current: ArcSwap<Current<T>>,
}

/// A state as it was when it was loaded.
pub struct Current<T> {
    state: T,
    replaced: CancellationToken,
}

impl<T> Live<T> {
    /// A place with its first state.
    #[must_use]
    pub fn new(state: T) -> Self {
        Self { current: ArcSwap::new(Current::of(state)) }
    }

    /// The state as it is now.
    #[must_use]
    pub fn load(&self) -> Arc<Current<T>> {
        self.current.load_full()
    }

    /// Puts `state` in the place of the one before.
    pub fn replace(&self, state: T) {
        self.current.swap(Current::of(state)).replaced.cancel();
    }
}

impl<T> Current<T> {
    fn of(state: T) -> Arc<Self> {
        Arc::new(Self { state, replaced: CancellationToken::new() })
    }

    /// Waits until another state is in its place.
    pub async fn until_replaced(&self) {
        self.replaced.cancelled().await;
    }
}

impl<T> Deref for Current<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.state
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    #[test]
    fn a_state_is_replaced_whole_and_says_so() {
        let live = Live::new("a");
        let first = live.load();
        let mut replaced = pin!(first.until_replaced());
        let mut poll = || replaced.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(poll(), Poll::Pending);
        live.replace("b");
        assert_eq!(poll(), Poll::Ready(()));
        assert_eq!(**first, "a", "who has it keeps it");
        assert_eq!(**live.load(), "b");
    }
}
