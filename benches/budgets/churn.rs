//! What becomes of the store's file while the same secrets are written over and over.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use okmsd::{
    auth::{Action, Permit, Principal},
    clock::{Clock, SystemClock},
    model::MetadataPatch,
    service::{Service, Update},
};
use tokio::task::JoinSet;

use super::{
    Effort, Outcome,
    growth::{create, open, value},
    note,
    server::{Region, Server},
    table::{Budget, Rounds, Row},
};

const SECRETS: usize = 1_000;
const WRITERS: usize = 50;
/// How often each secret is written before it counts: until it has as many versions as are kept.
const FIRST: usize = 12;

pub(super) async fn measure(effort: Effort) -> Outcome<Vec<Row>> {
    let region = Region::create()?;
    // Makes the files, with the domain.
    drop(Server::okmsd(&region, &[]).await?);
    let service = Arc::new(open(&region).await?);
    let actions = &[Action::SecretCreate, Action::VersionCreate];
    let rights = service.access.directory();
    let permit =
        Arc::new(Principal::of_process().authorize(region.id()?.parse()?, actions, rights)?);
    for number in 0..SECRETS {
        create(&service, &permit, &path(number).parse()?, &MetadataPatch::default()).await?;
    }
    let written = Arc::new(AtomicUsize::new(0));
    let rewrite = async |least: usize, time: Duration| {
        note(format_args!("writing {SECRETS} secrets over and over for {} s", time.as_secs()));
        let end = Instant::now() + time;
        let mut writers = JoinSet::new();
        for first in 0..WRITERS {
            let (service, permit) = (Arc::clone(&service), Arc::clone(&permit));
            writers.spawn(round_and_round(
                service,
                permit,
                first,
                least,
                end,
                Arc::clone(&written),
            ));
        }
        while let Some(done) = writers.join_next().await {
            done??;
        }
        Outcome::Ok(f64::from(u32::try_from(fs::metadata(region.path("okmsd.redb"))?.len() >> 10)?))
    };
    rewrite(FIRST, Duration::ZERO).await?;
    written.store(0, Relaxed);
    let half = rewrite(0, effort.churn / 2).await?;
    let end = rewrite(0, effort.churn / 2).await?;
    let mut sizes = Rounds::default();
    sizes.push(end / 1024.0, half / 1024.0);
    tokio::task::spawn_blocking(move || drop(service)).await?;
    let what = format!(
        "the store's file after {} writes to {SECRETS} secrets, beside half as many",
        written.load(Relaxed)
    );
    Ok(vec![sizes.row(what, " MiB", Budget::AtMost(1.1))])
}

fn path(number: usize) -> String {
    format!("bench/churn/{number:04}")
}

/// Writes to every 50th secret, so many times at least, and until `end`.
async fn round_and_round(
    service: Arc<Service>,
    permit: Arc<Permit>,
    first: usize,
    least: usize,
    end: Instant,
    written: Arc<AtomicUsize>,
) -> Outcome<()> {
    let mut rounds = 0;
    while rounds < least || Instant::now() < end {
        for number in (first..SECRETS).step_by(WRITERS) {
            let update =
                Update { patch: MetadataPatch::default(), value: Some(value()), cas: None };
            let path = path(number).parse()?;
            service.secrets.update(&permit, &path, &update, SystemClock.now()).await?;
            written.fetch_add(1, Relaxed);
        }
        rounds += 1;
    }
    Ok(())
}
