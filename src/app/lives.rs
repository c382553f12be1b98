//! Doing what the time has come for, with secrets: what was removed and can be restored no longer is
//! erased, what was counted of reads is added to the store, and what secrets are found by is held against
//! them.
//!
//! Always holds: nobody waits for it, as readers judge by the clock; several processes over one store
//! may do it at once. Never does: give up.

use std::{convert::Infallible, time::Duration};

use crate::{
    clock::{Clock as _, StoreClock},
    service::Service,
};

/// How often.
const EACH: Duration = Duration::from_secs(60);

/// How often what secrets are found by is checked, and how long after the start for the first time.
const CHECK_EACH: Duration = Duration::from_secs(24 * 3_600);
const CHECK_FIRST: Duration = Duration::from_secs(3_600);
/// The pause between two pages of that.
const CHECK_PAUSE: Duration = Duration::from_millis(5);

/// Does all of it, for good.
pub(super) async fn run(service: &Service, time: &StoreClock) -> Infallible {
    tokio::select! {
        never = sweep(service, time) => never,
        never = check(service) => never,
    }
}

async fn check(service: &Service) -> Infallible {
    tokio::time::sleep(CHECK_FIRST).await;
    loop {
        let checked = match service.secrets.check_index(CHECK_PAUSE).await {
            Ok(()) => service.rotation_policies.check_marks().await,
            failed => failed,
        };
        if let Err(error) = checked {
            tracing::warn!(%error, "what secrets are found by cannot be checked; trying again");
        }
        tokio::time::sleep(CHECK_EACH).await;
    }
}

async fn sweep(service: &Service, time: &StoreClock) -> Infallible {
    loop {
        // Each by itself, so that none keeps the others.
        let done = [
            service.secrets.complete_index().await,
            service.secrets.finish_leaving().await,
            service.secrets.sweep(time.now()).await.map(told),
        ];
        for error in done.into_iter().filter_map(Result::err) {
            tracing::warn!(%error, "secrets whose time is over cannot be erased; trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(EACH) => {}
            () = service.accesses.until_many() => {}
        }
        flush(service).await;
    }
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
