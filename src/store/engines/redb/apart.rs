//! Batches that remove so much that nobody is to wait while it is looked at.
//!
//! Owns the way of such a batch out of its group, to a thread that may wait for the disk, and back
//! into the queue: whatever comes meanwhile overtakes it. Always holds: these are bounded, and one
//! tenant has half of the places at most; who finds none is refused. Never does: judge.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::{
    look::{Found, Looked, look},
    queue::Job,
    shared::Shared,
};
use crate::store::{engine::CommitError, engines::lanes::Queued};

/// Looks at what a batch removes on a thread of `runtime`, and queues it again.
pub(super) fn look_apart(shared: &Arc<Shared>, mut job: Job, runtime: &Handle) {
    let Some(place) = shared.lookers.place_now(&job.tenant()) else {
        // A caller that has stopped waiting does not want to know; so below.
        let _ = job.reply.send(Err(CommitError::Overloaded));
        return;
    };
    let shared = Arc::clone(shared);
    runtime.spawn_blocking(move || {
        let _place = place;
        let view = shared.view.load_full();
        let base = &view.under.base;
        match look(base, &job.batch) {
            Looked { found: Found::Unreadable(error), .. } => {
                tracing::error!(error, "the database cannot be read for a removal");
                shared.report_broken(base.generation);
                let _ = job.reply.send(Err(CommitError::Unavailable(error)));
            }
            looked => {
                // The database need not keep the pages of that moment any longer.
                drop(view);
                job.looked = Some(looked);
                shared.queue.push_again(job);
            }
        }
    });
}
