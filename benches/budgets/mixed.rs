//! Reads while writes run: as many as there can be, which leave the readers little of the processor,
//! and a steady number.

use std::time::Duration;

use super::{
    Effort, Outcome,
    client::{self, Dialect, SECRET},
    kv::{Job, Peer, busy},
    note,
    server::{Region, Server},
    table::{Budget, Rounds, Row, median},
};

const READERS: usize = 4;
const WRITERS: usize = 16;
/// What the steady ones wait before each write.
const PAUSE: Duration = Duration::from_millis(10);

pub(super) async fn measure(effort: Effort) -> Outcome<Vec<Row>> {
    let region = Region::create()?;
    let server = Server::okmsd(&region, &[]).await?;
    let peer = Peer::okmsd(&region, &server)?;
    peer.connect().await?.write(SECRET, Dialect::Kv.update(&client::value(1024))).await?;
    let mut rows = Vec::new();
    for (job, how) in [(Job::WriteAfter(PAUSE), "steadily"), (Job::Write, "as fast as they can")] {
        let (mut medians, mut tails, mut writes) =
            (Rounds::default(), Rounds::default(), Vec::new());
        for round in 0..=effort.rounds {
            note(format_args!("reads while {WRITERS} write {how}, turn {round}"));
            let alone = busy(&peer, READERS, Job::Read, effort.turn).await?;
            let (beside, written) = tokio::try_join!(
                busy(&peer, READERS, Job::Read, effort.turn),
                busy(&peer, WRITERS, job, effort.turn),
            )?;
            // The first turn warms up.
            if round > 0 {
                medians.push(beside.percentile(0.5), alone.percentile(0.5));
                tails.push(beside.percentile(0.99), alone.percentile(0.99));
                writes.push(written.rate());
            }
        }
        let what = format!("{READERS} read while {WRITERS} write {how}");
        rows.extend([
            Row::alone(format!("{what}: writes"), median(writes), "/s", Budget::None),
            medians.row("p50 of a read, beside nobody who writes".to_owned(), " us", Budget::None),
            tails.row("p99 of a read, beside nobody who writes".to_owned(), " us", Budget::None),
        ]);
    }
    Ok(rows)
}
