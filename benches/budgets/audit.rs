//! What the audit trail costs: reads and durable writes of a server that records into a file, beside
//! one that records nothing.

use std::{fs, time::Duration};

use super::{
    Effort, Outcome,
    client::{self, Dialect, SECRET},
    kv::{Job, Peer, busy},
    note,
    reads::READERS,
    server::{Region, Server},
    table::{Budget, Rounds, Row},
    writes::{WRITERS, Writers},
};

/// Before the first turn.
const WARM_UP: Duration = Duration::from_millis(500);

pub(super) async fn measure(effort: Effort) -> Outcome<Vec<Row>> {
    let (mut with, mut without) = (Audited::create(true).await?, Audited::create(false).await?);
    let (mut reads, mut costs, mut writes) =
        (Rounds::default(), Rounds::default(), Rounds::default());
    for round in 0..=effort.rounds {
        note(format_args!("reads and writes with an audit trail and without, turn {round}"));
        let time = if round == 0 { WARM_UP } else { effort.turn };
        let (one, other) = if round.is_multiple_of(2) {
            let first = with.turn(time).await?;
            (first, without.turn(time).await?)
        } else {
            let first = without.turn(time).await?;
            (with.turn(time).await?, first)
        };
        if round > 0 {
            reads.push(one.reads, other.reads);
            costs.push(one.cpu_micros, other.cpu_micros);
            writes.push(one.writes, other.writes);
        }
    }
    let beside = "with an audit trail in a file, beside none";
    Ok(vec![
        reads.row(format!("reads of a 1 KiB secret {beside}"), "/s", Budget::AtLeast(0.85)),
        costs.row(format!("the server's processor time for one {beside}"), " us", Budget::None),
        writes.row(
            format!("durable writes of 1 KiB, {WRITERS} writers, {beside}"),
            "/s",
            Budget::AtLeast(0.8),
        ),
    ])
}

/// A server that records, or not, with a secret of 1 KiB and those of its writers.
struct Audited {
    region: Region,
    server: Server,
    writers: Writers,
}

/// What one turn of one server came to.
struct Turn {
    reads: f64,
    cpu_micros: f64,
    writes: f64,
}

impl Audited {
    async fn create(records: bool) -> Outcome<Self> {
        let region = Region::create()?;
        // Makes the files: with a trail, as every new region has one.
        let mut server = Server::okmsd(&region, &[]).await?;
        if !records {
            drop(server);
            let config = region.path("okmsd.toml");
            let text = fs::read_to_string(&config)?;
            let device = "[[audit.device]]\nkind = \"file\"\npath = \"audit.log\"\n";
            if !text.contains(device) {
                return Err("a new region has no audit trail".into());
            }
            fs::write(&config, text.replace(device, ""))?;
            server = Server::okmsd(&region, &[]).await?;
        }
        let client = region.client(&server)?;
        client.connect().await?.create(&region.id()?, SECRET, &client::value(1024)).await?;
        let writers = Writers::create(&client, region.id()?).await?;
        Ok(Self { region, server, writers })
    }

    async fn turn(&mut self, time: Duration) -> Outcome<Turn> {
        let peer = Peer::okmsd(&self.region, &self.server)?;
        let before = self.server.cpu_seconds()?;
        let reads = busy(&peer, READERS, Job::Read, time).await?;
        let cpu_micros = reads.share((self.server.cpu_seconds()? - before) * 1e6);
        let writes = self.writers.write(Dialect::Native, time).await?;
        Ok(Turn { reads: reads.rate(), cpu_micros, writes })
    }
}
