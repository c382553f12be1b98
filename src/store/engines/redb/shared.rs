//! What readers, callers and the writer have in common.

use std::sync::atomic::{AtomicU8, Ordering};

use arc_swap::ArcSwap;

use super::{cache::Cache, queue::Queue, readers::Readers, tables::View};
use crate::store::engine::Health;

const READY: u8 = 0;
const READ_ONLY: u8 = 1;
const DOWN: u8 = 2;

/// The newest view, what waits for the writer, and how the store feels.
pub(super) struct Shared {
    pub(super) view: ArcSwap<View>,
    pub(super) cache: Cache,
    pub(super) queue: Queue,
    health: AtomicU8,
    /// The latest moment in the database when it was opened.
    pub(super) latest: Option<u64>,
    pub(super) readers: Readers,
}

impl Shared {
    /// What there is of a database that was just opened.
    pub(super) fn new(view: View, cache: Cache, queue: Queue, latest: Option<u64>) -> Self {
        Self {
            view: ArcSwap::from_pointee(view),
            cache,
            queue,
            health: AtomicU8::new(READY),
            latest,
            readers: Readers::new(),
        }
    }

    pub(super) fn health(&self) -> Health {
        match self.health.load(Ordering::Acquire) {
            READY => Health::Ready,
            READ_ONLY => Health::ReadOnly,
            _ => Health::Down,
        }
    }

    pub(super) fn set_health(&self, health: Health) {
        let health = match health {
            Health::Ready => READY,
            Health::ReadOnly => READ_ONLY,
            Health::Down => DOWN,
        };
        self.health.store(health, Ordering::Release);
    }

    /// Whether the writer has ended for good.
    pub(super) fn stopped(&self) -> bool {
        self.queue.closed()
    }
}
