//! okmsd beside `OpenBao`: the same requests of KV version 2 to both, by turns.
//!
//! Both have the same certificates, and each is as it is where nobody says otherwise. okmsd takes
//! the certificate for all that it needs to know; `OpenBao` wants a token beside it, which is worth a
//! row of its own.

use std::{path::Path, time::Duration};

use super::{
    Effort, Outcome, READERS, SECRET, Target, alternate, bao,
    client::{self, Dialect},
    kv::{Job, Peer, Times, busy},
    load::Protocol,
    log, note,
    server::{Region, Server},
    table::{Budget, Rounds, Row},
};

/// How many clients connect, and log in, at once.
const CLIENTS: usize = 16;
/// How many names are in the list.
const NAMES: usize = 1_000;
/// How many clients ask for the list at once.
const LISTERS: usize = 8;
const LIST: &str = "bench/list";
/// How many write, and by how much okmsd is to be faster.
const WRITERS: [(usize, f64); 3] = [(1, 4.0), (16, 10.0), (64, 12.0)];

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
    let peers = Both { okmsd: Peer::okmsd(&region, &okmsd)?, rival };
    for peer in [&peers.okmsd, &peers.rival] {
        fill(peer).await?;
    }
    let mut rows = loaded(oha, &region, (&okmsd, &bao), &peers, effort).await?;
    rows.extend(writes(&region, (&okmsd, &bao), &peers, effort).await?);
    rows.push(
        peers
            .rates("new mTLS connections with one read", CLIENTS, Job::Connect, effort)
            .await?
            .row(
                "new mTLS connections with one read over KV2, beside OpenBao".to_owned(),
                "/s",
                Budget::AtLeast(2.5),
            ),
    );
    rows.push(peers.rates("logins", CLIENTS, Job::Login, effort).await?.row(
        format!("logins by certificate, {CLIENTS} clients, beside OpenBao"),
        "/s",
        Budget::None,
    ));
    Ok(rows)
}

/// The two, as a client finds them.
struct Both {
    okmsd: Peer,
    rival: Peer,
}

impl Both {
    /// A turn of each, in an order that changes from round to round.
    async fn alternate(
        &self,
        round: usize,
        turn: impl AsyncFn(&Peer) -> Outcome<Times>,
    ) -> Outcome<(Times, Times)> {
        if round.is_multiple_of(2) {
            let first = turn(&self.okmsd).await?;
            Ok((first, turn(&self.rival).await?))
        } else {
            let first = turn(&self.rival).await?;
            Ok((turn(&self.okmsd).await?, first))
        }
    }

    /// How often so many clients do something.
    async fn rates(&self, what: &str, clients: usize, job: Job, effort: Effort) -> Outcome<Rounds> {
        let mut rates = Rounds::default();
        for round in 0..effort.rounds {
            note(format_args!("{what}, turn {}", round + 1));
            let turn = async |peer: &Peer| busy(peer, clients, job, effort.turn).await;
            let (ours, theirs) = self.alternate(round, turn).await?;
            rates.push(ours.rate(), theirs.rate());
        }
        Ok(rates)
    }
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
async fn loaded(
    oha: &Path,
    region: &Region,
    (okmsd, bao): (&Server, &Server),
    peers: &Both,
    effort: Effort,
) -> Outcome<Vec<Row>> {
    let bearer = peers.okmsd.login().await?;
    let read: fn(&Peer) -> String = |peer| peer.secret_url(SECRET);
    let list: fn(&Peer) -> String = |peer| peer.list_url(LIST);
    let mut rows = Vec::new();
    for (what, ours, url, connections, budget) in [
        ("reads of a 1 KiB secret over KV2", &peers.okmsd, read, READERS, Budget::AtLeast(12.0)),
        ("the same with a token of okmsd's, too", &bearer, read, READERS, Budget::None),
        ("lists of 1,000 names", &peers.okmsd, list, LISTERS, Budget::AtLeast(10.0)),
    ] {
        let (mut rates, mut costs) = (Rounds::default(), Rounds::default());
        let target = |server, peer: &Peer| Target {
            server,
            url: url(peer),
            headers: peer.headers().iter().map(|(k, v)| format!("{k}: {v}")).collect(),
        };
        for round in 0..effort.rounds {
            note(format_args!("{what}, beside OpenBao, turn {}", round + 1));
            let (ours, theirs) = (target(okmsd, ours), target(bao, &peers.rival));
            let protocol = Protocol::Http1(connections);
            let both = alternate(round, oha, region, &ours, &theirs, protocol, effort.turn).await?;
            rates.push(both.0.rate, both.1.rate);
            costs.push(both.0.cpu_micros, both.1.cpu_micros);
        }
        rows.push(rates.row(format!("{what}, beside OpenBao"), "/s", budget));
        rows.push(costs.row("the server's processor time for one".to_owned(), " us", Budget::None));
    }
    Ok(rows)
}

/// Durable writes, what one of them takes, and reads meanwhile.
async fn writes(
    region: &Region,
    (okmsd, bao): (&Server, &Server),
    peers: &Both,
    effort: Effort,
) -> Outcome<Vec<Row>> {
    // Until every secret has as many versions as are kept.
    for peer in [&peers.okmsd, &peers.rival] {
        busy(peer, 64, Job::Write, Duration::from_secs(1)).await?;
    }
    let mut rows = Vec::new();
    for (writers, least) in WRITERS {
        let (mut rates, mut costs) = (Rounds::default(), Rounds::default());
        let (mut medians, mut tails, mut bare) =
            (Rounds::default(), Rounds::default(), Rounds::default());
        for round in 0..effort.rounds {
            note(format_args!("{writers} writers, beside OpenBao, turn {}", round + 1));
            let before = (okmsd.cpu_seconds()?, bao.cpu_seconds()?);
            let turn = async |peer: &Peer| busy(peer, writers, Job::Write, effort.turn).await;
            let (ours, theirs) = peers.alternate(round, turn).await?;
            rates.push(ours.rate(), theirs.rate());
            let cost = |server: &Server, before, times: &Times| {
                Outcome::Ok((server.cpu_seconds()? - before) * 1e6 / f64::from(times.count()))
            };
            costs.push(cost(okmsd, before.0, &ours)?, cost(bao, before.1, &theirs)?);
            medians.push(ours.percentile(0.5), theirs.percentile(0.5));
            tails.push(ours.percentile(0.99), theirs.percentile(0.99));
            if writers == 1 {
                let trip = busy(&peers.okmsd, 1, Job::Read, effort.turn).await?;
                let (file, time) = (region.path("bare"), effort.turn);
                let syncs = tokio::task::spawn_blocking(move || log::append(&file, 1.0, time));
                let sync = super::table::percentile(&syncs.await??, 0.5);
                bare.push(ours.percentile(0.5), sync + trip.percentile(0.5));
            }
        }
        let what = format!("durable writes of 1 KiB over KV2, {writers} writers, beside OpenBao");
        rows.push(rates.row(what, "/s", Budget::AtLeast(least)));
        rows.push(costs.row("the server's processor time for one".to_owned(), " us", Budget::None));
        if writers == 1 {
            rows.push(medians.row("p50 of one write".to_owned(), " us", Budget::None));
            rows.push(tails.row("p99 of one write".to_owned(), " us", Budget::None));
            rows.push(bare.row(
                "p50 of one write, beside a bare sync and the round trip of a read".to_owned(),
                " us",
                Budget::AtMost(1.5),
            ));
        }
    }
    Ok(rows)
}
