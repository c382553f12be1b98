//! A quiet domain beside a noisy one: what becomes of a read, a write and a list at a steady low rate
//! while another domain's many connections read, write and list as fast as they can.
//!
//! The noise is made by a process of its own, which gives way to the server and to what is timed: its
//! own work must not be taken for the server's. Noise takes all processors of a small machine, the client's
//! among them, and its disk, whoever serves it: a request waits for those in any case. So the reference, which has
//! the budget, is the same request while the same noise is made at another server on the same machine: the ratio is
//! what sharing the server adds to sharing the machine. Beside it is the request alone, which tells both together.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::MissedTickBehavior};

use super::{
    Effort, Outcome,
    client::{self, Client, Dialect, SECRET, micros, timed},
    kv::{Job, Peer, busy},
    note,
    server::{OKMSD, Region, Server},
    table::{Budget, Rounds, Row, percentile},
};

/// How many connections of the noisy domain do the same.
const NOISY: [(Job, usize); 3] = [(Job::Read, 32), (Job::Write, 32), (Job::List, 8)];
/// How many connections the quiet domain has, and how often each of them asks.
const QUIET: usize = 4;
const PERIOD: Duration = Duration::from_millis(10);
/// How many names there are in the folders that are listed.
const NAMES_OF_NOISY: usize = 500;
const NAMES_OF_QUIET: usize = 100;
/// Until the noise is at its loudest.
const WARM_UP: Duration = Duration::from_millis(700);

pub(super) async fn measure(effort: Effort) -> Outcome<Vec<Row>> {
    let (region, elsewhere) = (Region::create()?, Region::create()?);
    let (server, other) =
        (Server::okmsd(&region, &[]).await?, Server::okmsd(&elsewhere, &[]).await?);
    let ([noisy, quiet], [noisy_elsewhere, _]) =
        (holders(&region, &server)?, holders(&elsewhere, &other)?);
    fill(&quiet.peer(server.address)?, NAMES_OF_QUIET).await?;
    let (here, apart) = ((&noisy, &server), (&noisy_elsewhere, &other));
    for (holder, server) in [here, apart] {
        fill(&holder.peer(server.address)?, NAMES_OF_NOISY).await?;
    }
    let peer = quiet.peer(server.address)?;
    let (mut rows, mut rates) = (Vec::new(), Rounds::default());
    for (job, what) in [(Job::Read, "a read"), (Job::Write, "a write"), (Job::List, "a list")] {
        let mut shared = [0.5, 0.99].map(|at| (at, Rounds::default()));
        let mut whole = Rounds::default();
        for round in 0..=effort.rounds {
            note(format_args!("{what} of a quiet domain beside a noisy one, turn {round}"));
            let alone = steady(&peer, job, effort.turn).await?;
            let (beside, theirs) = if round.is_multiple_of(2) {
                let first = amid(here, &peer, job, effort.turn).await?;
                (first, amid(apart, &peer, job, effort.turn).await?)
            } else {
                let first = amid(apart, &peer, job, effort.turn).await?;
                (amid(here, &peer, job, effort.turn).await?, first)
            };
            // The first turn warms up.
            if round > 0 {
                for (at, rounds) in &mut shared {
                    rounds.push(percentile(&beside.times, *at), percentile(&theirs.times, *at));
                }
                whole.push(percentile(&beside.times, 0.99), percentile(&alone, 0.99));
                rates.push(beside.rate, theirs.rate);
            }
        }
        let [(_, medians), (_, tails)] = shared;
        let whose = "of a quiet domain beside a noisy one";
        let apart = "beside that at another server";
        rows.push(medians.row(format!("p50 of {what} {whose}, {apart}"), " us", Budget::None));
        rows.push(tails.row(format!("p99 of {what} {whose}, {apart}"), " us", Budget::AtMost(1.1)));
        rows.push(whole.row("the same, and alone on the machine".to_owned(), " us", Budget::None));
    }
    let what =
        "requests that the noisy one's server answered meanwhile, the quiet one's, and the other";
    rows.push(rates.row(what.to_owned(), "/s", Budget::None));
    Ok(rows)
}

/// What the quiet one's requests take, in us, amid noise; and how much noise there was.
struct Amid {
    times: Vec<f64>,
    rate: f64,
}

/// The quiet one's requests while somebody is noisy at some server.
async fn amid(
    (noisy, server): (&Holder, &Server),
    peer: &Peer,
    job: Job,
    time: Duration,
) -> Outcome<Amid> {
    let before = answered(server).await?;
    let noise = Noise::begin(noisy, server.address)?;
    tokio::time::sleep(WARM_UP).await;
    let started = Instant::now();
    let times = steady(peer, job, time).await?;
    let took = (started.elapsed() + WARM_UP).as_secs_f64();
    drop(noise);
    Ok(Amid { times, rate: (answered(server).await? - before) / took })
}

/// What the quiet one's requests take, in us.
async fn steady(peer: &Peer, job: Job, time: Duration) -> Outcome<Vec<f64>> {
    let body = Dialect::Kv.update(&client::value(1024));
    let mut tasks = JoinSet::new();
    for number in 0..QUIET {
        let (mut caller, body) = (peer.connect().await?, body.clone());
        tasks.spawn(async move {
            let (started, mut times) = (Instant::now(), Vec::new());
            let mut ticks = tokio::time::interval(PERIOD);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while started.elapsed() < time {
                ticks.tick().await;
                let path = format!("bench/writer-{number:02}/{}", times.len() % 8);
                times.push(micros(timed(caller.work(job, &path, &body)).await?));
            }
            Outcome::Ok(times)
        });
    }
    let mut each = Vec::new();
    while let Some(times) = tasks.join_next().await {
        each.extend(times??);
    }
    Ok(each)
}

/// How many requests the server has answered.
async fn answered(server: &Server) -> Outcome<f64> {
    server.sum("okmsd_requests_total{").await
}

async fn fill(peer: &Peer, names: usize) -> Outcome<()> {
    let (mut caller, body) = (peer.connect().await?, Dialect::Kv.update(&client::value(1024)));
    caller.write(SECRET, body.clone()).await?;
    for number in 0..names {
        caller.write(&super::lists::path(number), body.clone()).await?;
    }
    Ok(())
}

/// Who asks for a domain.
struct Holder {
    id: String,
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Holder {
    fn peer(&self, address: SocketAddr) -> Outcome<Peer> {
        let client = Client::new(address, &self.ca, &self.certificate, &self.key)?;
        Ok(Peer::of(client, &self.id))
    }
}

/// The region's domain, and one more.
fn holders(region: &Region, server: &Server) -> Outcome<[Holder; 2]> {
    let endpoint = format!("https://{}", server.address);
    let dir = region.path("");
    let okmsd = |arguments: &[&str]| -> Outcome<String> {
        let mut command = Command::new(OKMSD);
        command.args(arguments).arg("--dir").arg(&dir).args(["--endpoint", &endpoint]);
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err(format!("okmsd {}: {}", arguments.join(" "), output.status).into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let own = region.id()?;
    let other = okmsd(&["domain", "create", "quiet"])?;
    let out = dir.to_string_lossy().into_owned();
    okmsd(&["cert", "issue", "--domain", &other, "--out", &out])?;
    Ok([own, other].map(|id| Holder {
        ca: region.path("region_ca.pem"),
        certificate: region.path(&format!("{id}_certificate.pem")),
        key: region.path(&format!("{id}_privatekey.pem")),
        id,
    }))
}

/// The process that makes the noise, until this is dropped.
struct Noise(Child);

impl Noise {
    fn begin(holder: &Holder, address: SocketAddr) -> Outcome<Self> {
        let mut command = Command::new("nice");
        command.args(["-n", "10"]).arg(std::env::current_exe()?).arg("noise");
        command.arg(address.to_string()).arg(&holder.id);
        command.args([&holder.ca, &holder.certificate, &holder.key]);
        Ok(Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?))
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        let _already_over = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Makes noise until the process is ended.
pub(super) async fn noise(
    address: SocketAddr,
    id: &str,
    [ca, certificate, key]: [&Path; 3],
) -> Outcome<()> {
    const FOR_EVER: Duration = Duration::from_secs(3600);
    let peer = Peer::of(Client::new(address, ca, certificate, key)?, id);
    let [one, two, three] = NOISY.map(|(job, number)| busy(&peer, number, job, FOR_EVER));
    tokio::try_join!(one, two, three).map(drop)
}
