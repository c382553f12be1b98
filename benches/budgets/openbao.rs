//! okmsd beside `OpenBao`: the same requests of KV version 2 to both, by turns.
//!
//! Both have the same certificates, and each is as it is where nobody says otherwise. okmsd takes
//! the certificate for all that it needs to know; `OpenBao` wants a token beside it, which is worth a
//! row of its own.

use std::{path::Path, time::Duration};

use super::{
    Effort, Outcome, bao,
    client::{self, Dialect, SECRET},
    kv::{Job, OWN, Peer, Times, busy},
    load::Protocol,
    log, note,
    reads::{READERS, Target, alternate},
    server::{Region, Server},
    table::{Budget, Rounds, Row, of_writers, percentile},
};

/// How many clients connect, and log in, at once.
const CLIENTS: usize = 16;
/// How many names are in the list.
const NAMES: usize = 1_000;
/// How many clients ask for the list at once.
const LISTERS: usize = 8;
const LIST: &str = "bench/list";
/// How many write, and by how much okmsd is to be faster.
const WRITERS: [(usize, f64); 3] = [(1, 4.0), (16, 10.0), (MOST_WRITERS, 12.0)];
const MOST_WRITERS: usize = 64;

pub(super) async fn measure(oha: &Path, bao: Option<&Path>, effort: Effort) -> Outcome<Vec<Row>> {
    let what = "okmsd beside OpenBao".to_owned();
    let Some(binary) = bao else {
        return Ok(vec![Row::skipped(what, "--bao does not say where it is")]);
    };
    if !binary.is_file() {
        return Ok(vec![Row::skipped(what, &format!("there is no {}", binary.display()))]);
    }
    let region = Region::create()?;
    let okmsd = Server::okmsd(&region, &[]).await?;
    note("starting OpenBao");
    let (bao, rival) = bao::start(binary, &region).await?;
    let both = Both {
        okmsd: Side { region: &region, server: &okmsd, peer: Peer::okmsd(&region, &okmsd)? },
        rival: Side { region: &region, server: &bao, peer: rival },
    };
    for side in [&both.okmsd, &both.rival] {
        fill(&side.peer).await?;
    }
    let mut rows = loaded(oha, &both, effort).await?;
    rows.extend(writes(&region, &both, effort).await?);
    for (what, job, budget) in [
        ("new mTLS connections with one read over KV2", Job::Connect, Budget::AtLeast(2.5)),
        ("logins by certificate", Job::Login, Budget::None),
    ] {
        let turns = both.turns(what, CLIENTS, job, effort).await?;
        rows.push(turns.rates.row(format!("{what}, beside OpenBao"), "/s", budget));
        rows.push(cost(&turns.costs));
    }
    Ok(rows)
}

/// A server, and how a client finds it.
struct Side<'s> {
    region: &'s Region,
    server: &'s Server,
    peer: Peer,
}

struct Both<'s> {
    okmsd: Side<'s>,
    rival: Side<'s>,
}

/// What turns of both came to: requests a second, the server's processor time for one, and what one
/// took.
#[derive(Default)]
struct Turns {
    rates: Rounds,
    costs: Rounds,
    medians: Rounds,
    tails: Rounds,
}

impl<'s> Side<'s> {
    fn target(&self, url: fn(&Peer) -> String) -> Target<'s> {
        let headers = self.peer.headers().into_iter();
        let headers = headers.map(|(name, value)| format!("{name}: {value}")).collect();
        Target { server: self.server, region: self.region, url: url(&self.peer), headers }
    }

    /// So many clients do something: what each took, and the server's processor time for one.
    async fn turn(&self, clients: usize, job: Job, time: Duration) -> Outcome<(Times, f64)> {
        let before = self.server.cpu_seconds()?;
        let times = busy(&self.peer, clients, job, time).await?;
        let used = self.server.cpu_seconds()? - before;
        let cost = times.share(used * 1e6);
        Ok((times, cost))
    }
}

impl Both<'_> {
    /// Turns of both, in an order that changes from round to round.
    async fn turns(&self, what: &str, clients: usize, job: Job, effort: Effort) -> Outcome<Turns> {
        let mut turns = Turns::default();
        for round in 0..effort.rounds {
            note(format_args!("{what}, beside OpenBao, turn {}", round + 1));
            let turn = async |side: &Side<'_>| side.turn(clients, job, effort.turn).await;
            let (ours, theirs) = if round.is_multiple_of(2) {
                let first = turn(&self.okmsd).await?;
                (first, turn(&self.rival).await?)
            } else {
                let first = turn(&self.rival).await?;
                (turn(&self.okmsd).await?, first)
            };
            turns.rates.push(ours.0.rate(), theirs.0.rate());
            turns.costs.push(ours.1, theirs.1);
            turns.medians.push(ours.0.percentile(0.5), theirs.0.percentile(0.5));
            turns.tails.push(ours.0.percentile(0.99), theirs.0.percentile(0.99));
        }
        Ok(turns)
    }
}

fn cost(costs: &Rounds) -> Row {
    costs.row("the server's processor time for one".to_owned(), " us", Budget::None)
}

/// The secret that is read, and the folder that is listed.
async fn fill(peer: &Peer) -> Outcome<()> {
    let mut caller = peer.connect().await?;
    caller.write(SECRET, Dialect::Kv.update(&client::value(1024))).await?;
    for number in 0..NAMES {
        let path = format!("{LIST}/name-{number:04}");
        caller.write(&path, Dialect::Kv.update("{\"a\":\"b\"}")).await?;
    }
    if caller.count(LIST).await? != NAMES {
        return Err("the list lacks names".into());
    }
    Ok(())
}

/// What `oha` asks for: one secret, without a token and with one, and the list.
async fn loaded(oha: &Path, both: &Both<'_>, effort: Effort) -> Outcome<Vec<Row>> {
    let bearer = Side { peer: both.okmsd.peer.login().await?, ..both.okmsd };
    let read: fn(&Peer) -> String = |peer| peer.secret_url(SECRET);
    let list: fn(&Peer) -> String = |peer| peer.list_url(LIST);
    let mut rows = Vec::new();
    for (what, ours, url, connections, budget) in [
        ("reads of a 1 KiB secret over KV2", &both.okmsd, read, READERS, Budget::AtLeast(12.0)),
        ("the same with a token of okmsd's, too", &bearer, read, READERS, Budget::None),
        ("lists of 1,000 names", &both.okmsd, list, LISTERS, Budget::AtLeast(10.0)),
    ] {
        let (ours, theirs) = (ours.target(url), both.rival.target(url));
        let (mut rates, mut costs) = (Rounds::default(), Rounds::default());
        for round in 0..effort.rounds {
            note(format_args!("{what}, beside OpenBao, turn {}", round + 1));
            let protocol = Protocol::Http1(connections);
            let (ours, theirs) =
                alternate(round, oha, &ours, &theirs, protocol, effort.turn).await?;
            rates.push(ours.rate, theirs.rate);
            costs.push(ours.cpu_micros, theirs.cpu_micros);
        }
        rows.push(rates.row(format!("{what}, beside OpenBao"), "/s", budget));
        rows.push(cost(&costs));
    }
    Ok(rows)
}

/// Durable writes, and what one of them takes.
async fn writes(region: &Region, both: &Both<'_>, effort: Effort) -> Outcome<Vec<Row>> {
    // Until every secret has as many versions as are kept, which are 10 on both.
    for side in [&both.okmsd, &both.rival] {
        let mut writes = 0;
        while writes < MOST_WRITERS * OWN * 10 {
            let (times, _) = side.turn(MOST_WRITERS, Job::Write, effort.turn).await?;
            writes += times.count();
        }
    }
    let mut rows = Vec::new();
    for (writers, least) in WRITERS {
        let what = format!("durable writes of 1 KiB over KV2, {}", of_writers(writers));
        let turns = both.turns(&what, writers, Job::Write, effort).await?;
        rows.push(turns.rates.row(format!("{what}, beside OpenBao"), "/s", Budget::AtLeast(least)));
        rows.push(cost(&turns.costs));
        if writers == 1 {
            rows.push(turns.medians.row("p50 of one".to_owned(), " us", Budget::None));
            rows.push(turns.tails.row("p99 of one".to_owned(), " us", Budget::None));
            rows.push(beside_a_sync(region, &both.okmsd, effort).await?);
        }
    }
    Ok(rows)
}

/// One write, beside what it cannot do without: a sync and the way there and back.
async fn beside_a_sync(region: &Region, okmsd: &Side<'_>, effort: Effort) -> Outcome<Row> {
    let mut rounds = Rounds::default();
    for round in 0..effort.rounds {
        note(format_args!("one writer beside a bare sync, turn {}", round + 1));
        let (write, _) = okmsd.turn(1, Job::Write, effort.turn).await?;
        let (read, _) = okmsd.turn(1, Job::Read, effort.turn).await?;
        let (file, time) = (region.path("bare"), effort.turn);
        let syncs = tokio::task::spawn_blocking(move || log::append(&file, 1.0, time)).await??;
        rounds.push(write.percentile(0.5), percentile(&syncs, 0.5) + read.percentile(0.5));
    }
    Ok(rounds.row(
        "p50 of one, beside a bare sync and the round trip of a read".to_owned(),
        " us",
        Budget::AtMost(1.5),
    ))
}
