//! A request's turn, where somebody else judges it: what it waits for then is not its domain's.
//!
//! Always holds: while it waits it has no turn, and it goes on with one; when its work is done it has none for
//! ever.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::shares::{Share, Turn};
use crate::auth::pdp::Rest;

/// A request's seat.
pub(super) struct Seat {
    share: Arc<Share>,
    only_tells: bool,
    held: Mutex<Held>,
}

enum Held {
    /// It has none yet, or not any more.
    Nothing,
    Turn(#[expect(dead_code, reason = "it is held")] Turn),
    /// It waits, and takes another one then.
    Resting,
}

/// Work that has a turn for as long as this is not dropped, but while it waits.
pub(super) struct Seated(Arc<Seat>);

impl Seat {
    /// That of a request that tells what there is, or does more.
    pub(super) fn new(share: &Arc<Share>, only_tells: bool) -> Arc<Self> {
        Arc::new(Self { share: Arc::clone(share), only_tells, held: Mutex::new(Held::Nothing) })
    }

    /// The work begins, with this turn.
    pub(super) fn take(self: &Arc<Self>, turn: Turn) -> Seated {
        *self.held() = Held::Turn(turn);
        Seated(Arc::clone(self))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        *self.0.held() = Held::Nothing;
    }
}

impl Rest for Seat {
    fn begin(&self) {
        let mut held = self.held();
        if matches!(*held, Held::Turn(_)) {
            *held = Held::Resting;
        }
    }

    fn end(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if !matches!(*self.held(), Held::Resting) {
                return;
            }
            let turn = self.share.turn(self.only_tells).await;
            let mut held = self.held();
            // Whoever has given up meanwhile needs none.
            if matches!(*held, Held::Resting) {
                *held = Held::Turn(turn);
            }
        })
    }
}
