//! What the program does by itself, in the audit trail.
//!
//! Always holds: it leaves the same records as a request does, with what does it as the subject; what nobody goes on
//! with is told. Never does: do it.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    api::Problem,
    audit::{Auditor, Missing, Trail},
    auth::{Principal, Thing, Witness},
    model::{OkmsId, SecretPath, Timestamp},
    service::Service,
};

/// The record of something that the program begins to do as this principal, by this name.
pub(super) fn begun(
    auditor: &Arc<Auditor>,
    (principal, operation): (&Principal, &str),
    now: Timestamp,
) -> Arc<Trail> {
    let trail = auditor.begin(now, &Uuid::new_v4().to_string());
    trail.asks("system", operation);
    trail.is_of(principal);
    trail
}

/// One such thing's way through the audit trail.
pub(super) struct Recorded(Arc<Trail>);

impl Drop for Recorded {
    fn drop(&mut self) {
        self.0.is_left(503);
    }
}

impl Recorded {
    /// Begins to do something to a secret.
    pub(super) async fn begin(
        (auditor, service): (&Arc<Auditor>, &Service),
        what: (&Principal, &str),
        (tenant, path): (OkmsId, &SecretPath),
        now: Timestamp,
    ) -> Self {
        let trail = begun(auditor, what, now);
        trail.is_in(tenant, service.tenants.salt(tenant).await.ok());
        trail.names(Thing::Secret, path.as_str());
        Self(trail)
    }

    /// What sees its changes.
    pub(super) fn witness(&self) -> Arc<dyn Witness> {
        Arc::clone(&self.0) as Arc<dyn Witness>
    }

    /// Whether it may end untold, as it has changed nothing.
    pub(super) fn ends_idle(&self) -> bool {
        self.0.ends_idle()
    }

    /// It has ended so.
    ///
    /// # Errors
    /// `Missing` where the trail does not have it.
    pub(super) async fn ends(&self, status: u16, problem: Option<Problem>) -> Result<(), Missing> {
        self.0.ends(status, problem.map(|problem| (problem.id(), problem.code()))).await
    }
}
