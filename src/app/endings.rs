//! Telling the operator in numbers how soon access certificates end, and what domains manage themselves.
//!
//! Always holds: the store is asked once in a while, and never by whoever looks at the figures. What
//! cannot be read is told by the figures of before. Never does: give up.

use std::{convert::Infallible, sync::Arc, time::Duration};

use crate::{
    auth::anchors::Anchors,
    clock::Clock,
    metrics::Metrics,
    model::{ENDS_SOON_SECONDS, Timestamp},
    service::Service,
};

/// How often.
const EACH: Duration = Duration::from_secs(30);

/// Keeps the figures.
pub(super) struct EndingWatch {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    anchors: Arc<Anchors>,
}

impl EndingWatch {
    /// By the machine's clock, as certificates are judged.
    pub(super) fn new(
        clock: &Arc<dyn Clock>,
        metrics: &Arc<Metrics>,
        anchors: &Arc<Anchors>,
    ) -> Self {
        let (clock, metrics) = (Arc::clone(clock), Arc::clone(metrics));
        Self { clock, metrics, anchors: Arc::clone(anchors) }
    }

    /// Keeps them, for good.
    pub(super) async fn run(&self, service: &Service) -> Infallible {
        loop {
            self.metrics.managed_authorities_end(&self.anchors.ends());
            match service.endings.within(self.clock.now(), ENDS_SOON_SECONDS.into()).await {
                Ok(found) => self
                    .metrics
                    .endings()
                    .tell(found.soon, found.earliest.map(Timestamp::unix_seconds)),
                Err(error) => {
                    tracing::warn!(%error, "which access certificates end soon cannot be read; trying again");
                }
            }
            tokio::time::sleep(EACH).await;
        }
    }
}
