//! Rotating what is due, for good.
//!
//! Always holds: what the server does by itself leaves the same records in the audit trail as a request does, with
//! the subject `system:rotation`; one domain's secrets are rotated one after the other, and beside those of others;
//! several processes over one store may do it at once. Never does: give up.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use tokio::task::JoinSet;

use super::recorded::Recorded;
use crate::{
    api::{self, Failed},
    audit::Auditor,
    auth::{Action, Principal, System},
    clock::{Clock as _, StoreClock},
    config::Config,
    metrics::Metrics,
    model::OkmsId,
    seldom::Seldom,
    service::{DueRotation, ROTATIONS_OF_A_ROUND, Service, ValueRules},
};

/// So many domains have secrets rotated at once.
const DOMAINS_AT_ONCE: usize = 16;
/// So often there is a line about what cannot be rotated.
const LINE_PAUSE: Duration = Duration::from_secs(10);

/// How it is done.
#[derive(Clone)]
pub(super) struct Rotating {
    /// How often is looked for what is due; none where that is for other processes.
    each: Option<Duration>,
    rules: ValueRules,
    auditor: Option<Arc<Auditor>>,
    metrics: Arc<Metrics>,
    lines: Arc<Seldom>,
}

impl Rotating {
    pub(super) fn new(
        config: &Config,
        auditor: Option<Arc<Auditor>>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let each = config.rotation.enabled.then_some(config.rotation.tick.0);
        let rules = api::value_rules(config.limits.value_bytes.0);
        let lines = Arc::new(Seldom::new(LINE_PAUSE));
        Self { each, rules, auditor, metrics: Arc::clone(metrics), lines }
    }

    /// Rotates what is due, for good.
    pub(super) async fn run(self, service: &Arc<Service>, time: &Arc<StoreClock>) -> Infallible {
        let Some(each) = self.each else { return std::future::pending().await };
        // They end with this.
        let (mut working, mut busy) = (JoinSet::new(), BTreeSet::new());
        loop {
            let found = service.rotations.due(time.now()).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "what is to be rotated cannot be found; trying again");
                Vec::new()
            });
            let is_full = found.len() >= ROTATIONS_OF_A_ROUND;
            let mut domains: BTreeMap<OkmsId, Vec<DueRotation>> = BTreeMap::new();
            for due in found {
                domains.entry(due.tenant).or_default().push(due);
            }
            let mut begun = false;
            for (domain, due) in domains {
                if busy.len() < DOMAINS_AT_ONCE && busy.insert(domain) {
                    let (own, service, time) =
                        (self.clone(), Arc::clone(service), Arc::clone(time));
                    working.spawn(async move {
                        for due in due {
                            own.rotate(&service, &time, &due).await;
                        }
                        domain
                    });
                    begun = true;
                }
            }
            // Where there is more than a round, the next one begins with the first that is done.
            let pause = tokio::time::sleep(each);
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    Some(done) = working.join_next() => {
                        match done {
                            Ok(domain) => drop(busy.remove(&domain)),
                            // Whose it was is not known: whoever is at it already is only overtaken.
                            Err(_) => busy.clear(),
                        }
                        if is_full && begun {
                            break;
                        }
                    }
                }
            }
        }
    }

    async fn rotate(&self, service: &Service, time: &StoreClock, due: &DueRotation) {
        let DueRotation { tenant, policy, .. } = due;
        let (now, principal) = (time.now(), Principal::of_system(*tenant, System::Rotation));
        let actions = [Action::VersionCreate];
        let Ok(permit) = principal.authorize(*tenant, &actions, service.access.directory()) else {
            return;
        };
        let what = (&principal, "RotateDueSecret");
        let recorded = match &self.auditor {
            Some(auditor) => {
                let by = (auditor, service);
                Some(Recorded::begin(by, what, (*tenant, &due.path), now).await)
            }
            None => None,
        };
        let permit = permit.seen_by(recorded.as_ref().map(Recorded::witness));
        let (status, problem) = match service
            .rotations
            .rotate_due(&permit, due, self.rules, now)
            .await
        {
            Ok(Some(rotated)) => {
                let version = rotated.number.get();
                tracing::debug!(domain = %tenant, %policy, version, "a secret was rotated");
                self.metrics.rotation(true);
                (200, None)
            }
            // Somebody else has done it.
            Ok(None) if recorded.as_ref().is_none_or(Recorded::ends_idle) => return,
            Ok(None) => (409, None),
            Err(error) => {
                if let Some(left_out) = self.lines.due() {
                    tracing::warn!(domain = %tenant, %policy, %error, left_out, "a secret cannot be rotated; trying again");
                }
                self.metrics.rotation(false);
                let problem = Failed::from(error).problem;
                (problem.status().as_u16(), Some(problem))
            }
        };
        if let Some(recorded) = &recorded
            && recorded.ends(status, problem).await.is_err()
        {
            tracing::error!(domain = %tenant, %policy, "the record of a rotation is missing in the audit trail");
        }
    }
}
