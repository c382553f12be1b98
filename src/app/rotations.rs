//! Rotating what is due, for good.
//!
//! Always holds: what the server does by itself leaves the same records in the audit trail as a request does, with
//! the subject `system:rotation`; several processes over one store may do it at once. Never does: give up.

use std::{convert::Infallible, sync::Arc, time::Duration};

use uuid::Uuid;

use crate::{
    api::Failed,
    audit::{Auditor, Trail},
    auth::{Action, Principal, Thing, Witness},
    clock::{Clock as _, StoreClock},
    config::Rotation,
    metrics::Metrics,
    service::{DueRotation, Service},
};

/// How it is done.
pub(super) struct Rotating {
    /// How often is looked for what is due; none where that is for other processes.
    each: Option<Duration>,
    auditor: Option<Arc<Auditor>>,
    metrics: Arc<Metrics>,
}

/// A rotation's way through the audit trail, which is told where nobody goes on with it.
struct Recorded(Arc<Trail>);

impl Drop for Recorded {
    fn drop(&mut self) {
        self.0.is_left(503);
    }
}

impl Rotating {
    pub(super) fn new(
        config: &Rotation,
        auditor: Option<Arc<Auditor>>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let each = config.enabled.then_some(config.tick.0);
        Self { each, auditor, metrics: Arc::clone(metrics) }
    }

    /// Rotates what is due, for good.
    pub(super) async fn run(self, service: &Service, time: &StoreClock) -> Infallible {
        let Some(each) = self.each else { return std::future::pending().await };
        let mut ticks = tokio::time::interval(each);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match service.rotations.due(time.now()).await {
                Ok(due) => {
                    for due in due {
                        self.rotate(service, time, &due).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "what is to be rotated cannot be found; trying again");
                }
            }
        }
    }

    async fn rotate(&self, service: &Service, time: &StoreClock, due: &DueRotation) {
        let DueRotation { tenant, policy, .. } = due;
        let (now, principal) = (time.now(), Principal::of_rotation(*tenant));
        let actions = [Action::VersionCreate];
        let Ok(permit) = principal.authorize(*tenant, &actions, service.access.directory()) else {
            return;
        };
        let recorded = self.auditor.as_ref().map(|auditor| {
            let trail = auditor.begin(now, &Uuid::new_v4().to_string());
            trail.asks("system", "RotateDueSecret");
            trail.is_of(&principal);
            trail.is_in(*tenant);
            trail.names(Thing::Secret, due.path.as_str());
            Recorded(trail)
        });
        let witness = recorded.as_ref().map(|recorded| Arc::clone(&recorded.0) as Arc<dyn Witness>);
        let rotated = service.rotations.rotate_due(&permit.seen_by(witness), due, now).await;
        let (status, problem) = match rotated {
            Ok(Some(rotated)) => {
                let version = rotated.number.get();
                tracing::info!(domain = %tenant, %policy, version, "a secret was rotated");
                self.metrics.rotation(true);
                (200, None)
            }
            // Somebody else has done it.
            Ok(None) if recorded.as_ref().is_none_or(|recorded| recorded.0.ends_idle()) => return,
            Ok(None) => (409, None),
            Err(error) => {
                tracing::warn!(domain = %tenant, %policy, %error, "a secret cannot be rotated; trying again");
                self.metrics.rotation(false);
                let problem = Failed::from(error).problem;
                (problem.status().as_u16(), Some((problem.id(), problem.code())))
            }
        };
        if let Some(Recorded(trail)) = &recorded
            && trail.ends(status, problem).await.is_err()
        {
            tracing::error!(domain = %tenant, %policy, "the record of a rotation is missing in the audit trail");
        }
    }
}
