//! Reads while writes run.

use super::{
    Effort, Outcome, SECRET,
    client::{self, Dialect},
    kv::{Job, Peer, busy},
    note,
    server::{Region, Server},
    table::{Budget, Rounds, Row},
};

const READERS: usize = 4;
const WRITERS: usize = 16;

pub(super) async fn measure(effort: Effort) -> Outcome<Vec<Row>> {
    let region = Region::create()?;
    let server = Server::okmsd(&region, &[]).await?;
    let peer = Peer::okmsd(&region, &server)?;
    peer.connect().await?.write(SECRET, Dialect::Kv.update(&client::value(1024))).await?;
    let (mut medians, mut tails) = (Rounds::default(), Rounds::default());
    for round in 0..=effort.rounds {
        note(format_args!("reads while writes run, turn {round}"));
        let alone = busy(&peer, READERS, Job::Read, effort.turn).await?;
        let (beside, _) = tokio::try_join!(
            busy(&peer, READERS, Job::Read, effort.turn),
            busy(&peer, WRITERS, Job::Write, effort.turn),
        )?;
        // The first turn warms up.
        if round > 0 {
            medians.push(beside.percentile(0.5), alone.percentile(0.5));
            tails.push(beside.percentile(0.99), alone.percentile(0.99));
        }
    }
    let what = |at: &str| {
        format!("{at} of a read, {READERS} readers, while {WRITERS} write, beside none who writes")
    };
    Ok(vec![
        medians.row(what("p50"), " us", Budget::None),
        tails.row(what("p99"), " us", Budget::None),
    ])
}
