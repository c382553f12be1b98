//! Telling the operator in numbers how soon access certificates end.
//!
//! Always holds: the store is asked once in a while, and never by whoever looks at the figures. What
//! cannot be read is told by the figures of before. Never does: give up.

use std::{convert::Infallible, sync::Arc, time::Duration};

use crate::{
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
}

impl EndingWatch {
    /// By the machine's clock, as certificates are judged.
    pub(super) const fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self { clock, metrics }
    }

    /// Keeps them, for good.
    pub(super) async fn run(&self, service: &Service) -> Infallible {
        loop {
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
