//! Doing what the time has come for: secrets that were removed and can be restored no longer are
//! erased, what was counted of reads is added to the store, what secrets are found by is held against
//! them, and access certificates that have ended long ago are forgotten.
//!
//! Always holds: nobody waits for it, as readers judge by the clock; several processes over one store
//! may do it at once; what is erased is in the audit trail, with the subject `system:retention`. Never does: give up.

use std::{convert::Infallible, sync::Arc, time::Duration};

use super::recorded::Recorded;
use crate::{
    api::Failed,
    audit::Auditor,
    auth::{Action, Principal, System},
    clock::{Clock as _, StoreClock},
    model::Timestamp,
    service::{Error, OverSecret, Service},
};

/// How often it is looked for what is to be erased.
const EACH: Duration = Duration::from_secs(60);
/// How often events that are too old are forgotten.
const FORGET_EACH: Duration = Duration::from_secs(600);
/// How often what secrets are found by is checked, and certificates are forgotten, and how long after the start for the first time.
const CHECK_EACH: Duration = Duration::from_secs(24 * 3_600);
const CHECK_FIRST: Duration = Duration::from_secs(3_600);
/// The pause between two pages of that.
const CHECK_PAUSE: Duration = Duration::from_millis(5);

/// How often, and for how long.
#[derive(Clone, Copy)]
pub(super) struct Times {
    /// How long events are kept.
    pub(super) events: Duration,
    /// How often what was counted of reads is added to the store.
    pub(super) flush: Duration,
}

/// Does all of it, for good.
pub(super) async fn run(
    service: &Service,
    time: &StoreClock,
    auditor: Option<&Arc<Auditor>>,
    times: Times,
) -> Infallible {
    tokio::select! {
        never = sweep(service, time, auditor) => never,
        never = count(service, times.flush) => never,
        never = check(service, time) => never,
        never = forget_events(service, time, times.events) => never,
    }
}

/// Forgets what has happened to secrets longer ago than that.
async fn forget_events(service: &Service, time: &StoreClock, kept: Duration) -> Infallible {
    loop {
        tokio::time::sleep(FORGET_EACH).await;
        let nanos = i64::try_from(kept.as_nanos()).unwrap_or(i64::MAX);
        let before = time.now().unix_nanos().saturating_sub(nanos);
        if let Err(error) = service.events.sweep(Timestamp::from_unix_nanos(before)).await {
            tracing::warn!(%error, "events that are too old cannot be forgotten; trying again");
        }
    }
}

async fn check(service: &Service, time: &StoreClock) -> Infallible {
    tokio::time::sleep(CHECK_FIRST).await;
    loop {
        let checked = match service.secrets.check_index(CHECK_PAUSE).await {
            Ok(()) => service.rotation_policies.check_marks().await,
            failed => failed,
        };
        if let Err(error) = checked {
            tracing::warn!(%error, "what secrets are found by cannot be checked; trying again");
        }
        match service.credentials.sweep(time.surely(), CHECK_PAUSE).await {
            Ok(0) => {}
            Ok(certificates) => {
                tracing::info!(certificates, "certificates that have ended long ago are forgotten");
            }
            Err(error) => {
                tracing::warn!(%error, "certificates that have ended cannot be forgotten; trying again");
            }
        }
        tokio::time::sleep(CHECK_EACH).await;
    }
}

async fn sweep(service: &Service, time: &StoreClock, auditor: Option<&Arc<Auditor>>) -> Infallible {
    loop {
        // Each by itself, so that none keeps the others.
        let done = [
            service.secrets.complete_index().await,
            service.secrets.finish_leaving().await,
            erase(service, time, auditor).await.map(told),
        ];
        for error in done.into_iter().filter_map(Result::err) {
            tracing::warn!(%error, "secrets whose time is over cannot be erased; trying again");
        }
        tokio::time::sleep(EACH).await;
    }
}

async fn count(service: &Service, each: Duration) -> Infallible {
    loop {
        tokio::select! {
            () = tokio::time::sleep(each) => {}
            () = service.accesses.until_many() => {}
        }
        flush(service).await;
    }
}

/// Erases the secrets whose time is over, and tells how many.
async fn erase(
    service: &Service,
    time: &StoreClock,
    auditor: Option<&Arc<Auditor>>,
) -> Result<u64, Error> {
    let (mut last, mut erased) = (None, 0);
    loop {
        let over = service.secrets.over(last.as_ref(), time.now()).await?;
        for secret in &over {
            // One that cannot be erased does not hold up the others.
            erased += u64::from(erase_one(service, time, auditor, secret).await);
        }
        last = over.into_iter().last();
        if last.is_none() {
            return Ok(erased);
        }
    }
}

async fn erase_one(
    service: &Service,
    time: &StoreClock,
    auditor: Option<&Arc<Auditor>>,
    secret: &OverSecret,
) -> bool {
    let (now, principal) = (time.now(), Principal::of_system(secret.tenant, System::Retention));
    let directory = service.access.directory();
    let actions = [Action::SecretDelete];
    let Ok(permit) = principal.authorize(secret.tenant, &actions, directory) else { return false };
    let what = (&principal, "EraseRemovedSecret");
    let recorded = match auditor {
        Some(auditor) => {
            let by = (auditor, service);
            Some(Recorded::begin(by, what, (secret.tenant, &secret.path), now).await)
        }
        None => None,
    };
    let permit = permit.seen_by(recorded.as_ref().map(Recorded::witness));
    let erased = service.secrets.erase_over(&permit, secret, now).await;
    let (erased, problem) = match erased {
        Ok(erased) => (erased, None),
        Err(error) => {
            let domain = secret.tenant;
            tracing::error!(%domain, %error, "a secret whose time is over cannot be erased; trying again");
            (false, Some(Failed::from(error).problem))
        }
    };
    let status = problem.map_or(200, |problem| problem.status().as_u16());
    if let Some(recorded) = recorded
        && (erased || problem.is_some() || !recorded.ends_idle())
        && recorded.ends(status, problem).await.is_err()
    {
        let domain = secret.tenant;
        tracing::error!(%domain, "the record of an erasure is missing in the audit trail");
    }
    erased
}

fn told(secrets: u64) {
    if secrets > 0 {
        tracing::info!(secrets, "secrets that were removed are erased");
    }
}

/// Adds what was counted to the store.
pub(super) async fn flush(service: &Service) {
    if let Err(error) = service.accesses.flush().await {
        tracing::warn!(%error, "how often secrets were read cannot be stored; trying again");
    }
}
