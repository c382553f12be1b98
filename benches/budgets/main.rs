//! The budgets, measured: okmsd beside a reference, in one run on one machine.
//!
//! Owns the order of the measurements and their budgets. Always holds: a figure and its reference
//! are measured in turns, several times, and a ratio is the median of the turns' ratios; every
//! request that counts has succeeded. Never does: fail because something is slow.
//! `scripts/bench.sh` runs it.
//!
//! | module | what is in it |
//! | --- | --- |
//! | `reference` | the servers that okmsd is compared with, each in a process of its own |
//! | `server` | processes: start, readiness, processor time, memory, end |
//! | `client` | a small mTLS client for what is timed request by request |
//! | `kv` | what is asked in words of KV version 2, of okmsd or of `OpenBao` |
//! | `load` | `oha`, for what is counted by the second |
//! | `writes` | 64 writers, and raw redb commits of the same shape |
//! | `mixed` | reads while writes run |
//! | `log` | the store alone, beside a file that is only appended to |
//! | `restart` | a start after a kill |
//! | `churn` | the store's file while the same secrets are written over and over |
//! | `growth`, `lists` | large stores, deep secrets, long lists |
//! | `openbao`, `bao` | `OpenBao` itself beside okmsd, and how it is started |
//! | `tokens` | many tokens |
//! | `footprint` | start-up time and memory |
//! | `table` | medians and the table |

mod bao;
mod churn;
mod client;
mod footprint;
mod growth;
mod kv;
mod lists;
mod load;
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of a few seconds"
)]
mod log;
mod mixed;
mod openbao;
mod reference;
mod restart;
mod server;
#[allow(dead_code, reason = "allocations need the rest")]
mod table;
mod tokens;
mod writes;

use std::{fs, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use okmsd::clock::{Clock, SystemClock};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    client::Dialect,
    load::{Load, Protocol},
    server::{Region, Server},
    table::{Budget, Rounds, Row},
};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How many connections read at once over HTTP/1.1.
const READERS: usize = 32;
/// How many connections, with how many streams each, read at once over HTTP/2.
const MULTIPLEXED: (usize, usize) = (4, 8);
/// How many clients connect at once.
const CONNECTORS: usize = 16;

#[derive(Parser)]
struct Arguments {
    /// The load generator.
    #[arg(long, default_value = "oha")]
    oha: PathBuf,
    /// The program bao, which okmsd is measured beside if it is there.
    #[arg(long)]
    bao: Option<PathBuf>,
    /// Grow the large store to 1,000,000 secrets, and write secrets over for ten minutes.
    #[arg(long)]
    full: bool,
    /// How many secrets the large store holds.
    #[arg(long)]
    secrets: Option<usize>,
    /// How many turns okmsd and the reference take.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long a turn lasts, in seconds.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Measure only what is named here: reads, connections, writes, mixed, log, restart, churn,
    /// growth, tokens, footprint, openbao.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Cargo says so.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    reference: Option<Reference>,
}

/// What this program does in a process of its own.
#[derive(Subcommand)]
enum Reference {
    /// The reference of reads.
    #[command(hide = true)]
    Http { config: PathBuf, answer: PathBuf, listen: SocketAddr },
    /// The reference of new connections.
    #[command(hide = true)]
    Accept { config: PathBuf, answer: PathBuf, listen: SocketAddr },
}

/// How much is measured.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    turn: Duration,
    secrets: usize,
    /// How long secrets are written over and over.
    churn: Duration,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Into::into).and_then(|runtime| {
            runtime.block_on(async {
                match &arguments.reference {
                    Some(Reference::Http { config, answer, listen }) => reference::http(config, answer, *listen).await,
                    Some(Reference::Accept { config, answer, listen }) => {
                        reference::accept(config, answer, *listen).await
                    }
                    None => tokio::select! {
                        outcome = report(&arguments) => outcome,
                        signal = stopped() => Err(signal.err().unwrap_or_else(|| "stopped by a signal".into())),
                    },
                }
            })
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(format_args!("budgets: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn stopped() -> Outcome<()> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn report(arguments: &Arguments) -> Outcome<()> {
    let effort = Effort {
        rounds: arguments.rounds.max(1),
        turn: Duration::from_secs(arguments.seconds.max(1)),
        secrets: arguments
            .secrets
            .unwrap_or(if arguments.full { 1_000_000 } else { 100_000 })
            .max(growth::FEW),
        churn: Duration::from_secs(if arguments.full { 600 } else { 20 }),
    };
    let wants =
        |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == name);
    let load_before = machine::load_average();
    let mut rows = Vec::new();
    if wants("reads") {
        rows.extend(reads(&arguments.oha, effort).await?);
    }
    if wants("connections") {
        rows.extend(connections(&arguments.oha, effort).await?);
    }
    if wants("writes") {
        rows.extend(writes::measure(effort).await?);
    }
    if wants("mixed") {
        rows.extend(Box::pin(mixed::measure(effort)).await?);
    }
    if wants("log") {
        rows.extend(log::measure(effort).await?);
    }
    if wants("restart") {
        rows.extend(restart::measure(effort).await?);
    }
    if wants("churn") {
        rows.extend(churn::measure(effort).await?);
    }
    if wants("growth") {
        rows.extend(growth::measure(effort).await?);
    }
    if wants("tokens") {
        rows.extend(tokens::measure(effort).await?);
    }
    if wants("footprint") {
        rows.extend(footprint::measure(effort).await?);
    }
    if wants("openbao") {
        rows.extend(openbao::measure(&arguments.oha, arguments.bao.as_deref(), effort).await?);
    }
    say(format_args!(
        "{}; {}; {} turns of {} s; load average {load_before} before, {} after\n",
        SystemClock.now().to_rfc3339_seconds(),
        machine::size(),
        effort.rounds,
        effort.turn.as_secs(),
        machine::load_average(),
    ));
    say(table::markdown(&rows));
    Ok(())
}

/// Reads of one secret of 1 KiB over connections that stay open.
async fn reads(oha: &std::path::Path, effort: Effort) -> Outcome<Vec<Row>> {
    let region = Region::create()?;
    let (okmsd, reference) = pair(&region, "http", &[]).await?;
    let mut rows = Vec::new();
    for (protocol, name, least) in [
        (Protocol::Http1(READERS), "HTTP/1.1", 0.9),
        (Protocol::Http2(MULTIPLEXED.0, MULTIPLEXED.1), "HTTP/2", 0.85),
    ] {
        let (mut rates, mut costs, mut dialects) =
            (Rounds::default(), Rounds::default(), Rounds::default());
        for round in 0..effort.rounds {
            note(format_args!("reads over {name}, turn {}", round + 1));
            let (native, kv) = (Target::native(&okmsd, &region)?, Target::kv(&okmsd, &region)?);
            let both = alternate(
                round,
                oha,
                &region,
                &native,
                &native.at(&reference),
                protocol,
                effort.turn,
            )
            .await?;
            rates.push(both.0.rate, both.1.rate);
            costs.push(both.0.cpu_micros, both.1.cpu_micros);
            let both = alternate(round, oha, &region, &kv, &native, protocol, effort.turn).await?;
            dialects.push(both.0.rate, both.1.rate);
        }
        rows.push(rates.row(
            format!("reads of a 1 KiB secret, {name}"),
            "/s",
            Budget::AtLeast(least),
        ));
        rows.push(dialects.row(
            format!("reads of a 1 KiB secret over KV2, beside native ones, {name}"),
            "/s",
            Budget::AtLeast(0.9),
        ));
        rows.push(costs.row(
            format!("the server's processor time for one, {name}"),
            " us",
            Budget::None,
        ));
    }
    Ok(rows)
}

/// New connections, each with a full handshake and one read.
async fn connections(oha: &std::path::Path, effort: Effort) -> Outcome<Vec<Row>> {
    let region = Region::create()?;
    // Clients that can resume a session do.
    let (okmsd, reference) =
        pair(&region, "accept", &[("OKMSD_SERVER__SESSION_CACHE", "0")]).await?;
    let (mut rates, mut costs) = (Rounds::default(), Rounds::default());
    for round in 0..effort.rounds {
        note(format_args!("new connections, turn {}", round + 1));
        let protocol = Protocol::Connect(CONNECTORS);
        let native = Target::native(&okmsd, &region)?;
        let both =
            alternate(round, oha, &region, &native, &native.at(&reference), protocol, effort.turn)
                .await?;
        rates.push(both.0.rate, both.1.rate);
        costs.push(both.0.cpu_micros, both.1.cpu_micros);
    }
    if okmsd.metric("okmsd_handshakes_total{result=\"resumed\"}").await? > 0.0 {
        return Err("sessions were resumed, so that the handshakes were not full ones".into());
    }
    Ok(vec![
        rates.row("new mTLS connections with one read".to_owned(), "/s", Budget::AtLeast(0.95)),
        costs.row("the server's processor time for one".to_owned(), " us", Budget::None),
    ])
}

/// okmsd with one secret of 1 KiB, and a reference that answers the same bytes.
async fn pair(region: &Region, reference: &str, env: &[(&str, &str)]) -> Outcome<(Server, Server)> {
    let okmsd = Server::okmsd(region, env).await?;
    let client = region.client(&okmsd)?;
    let mut connection = client.connect().await?;
    connection.create(&region.id()?, SECRET, &client::value(1024)).await?;
    let body = connection.get(&Dialect::Native.secret_url(&region.id()?, SECRET)).await?;
    let answer = region.path("answer.json");
    fs::write(&answer, body)?;
    let reference = Server::reference(region, reference, &answer).await?;
    Ok((okmsd, reference))
}

const SECRET: &str = "bench/read";

/// A server, and what is read from it.
struct Target<'s> {
    server: &'s Server,
    url: String,
    /// As `name: value`.
    headers: Vec<String>,
}

impl<'s> Target<'s> {
    fn native(server: &'s Server, region: &Region) -> Outcome<Self> {
        Self::plain(server, Dialect::Native, region)
    }

    fn kv(server: &'s Server, region: &Region) -> Outcome<Self> {
        Self::plain(server, Dialect::Kv, region)
    }

    fn plain(server: &'s Server, dialect: Dialect, region: &Region) -> Outcome<Self> {
        Ok(Self { server, url: dialect.secret_url(&region.id()?, SECRET), headers: Vec::new() })
    }

    /// The same from another server.
    fn at<'o>(&self, server: &'o Server) -> Target<'o> {
        Target { server, url: self.url.clone(), headers: self.headers.clone() }
    }
}

/// What one turn of one server came to.
struct Turn {
    rate: f64,
    cpu_micros: f64,
}

/// A turn of each, in an order that changes from round to round.
async fn alternate(
    round: usize,
    oha: &std::path::Path,
    region: &Region,
    measured: &Target<'_>,
    reference: &Target<'_>,
    protocol: Protocol,
    time: Duration,
) -> Outcome<(Turn, Turn)> {
    let turn = async |Target { server, url, headers }: &Target<'_>| -> Outcome<Turn> {
        let load = Load { oha, region, server, protocol, headers };
        load.run(url, Duration::from_millis(500)).await?;
        let before = server.cpu_seconds()?;
        let done = load.run(url, time).await?;
        let used = server.cpu_seconds()? - before;
        Ok(Turn { rate: done.rate, cpu_micros: used * 1e6 / done.requests })
    };
    if round.is_multiple_of(2) {
        let first = turn(measured).await?;
        Ok((first, turn(reference).await?))
    } else {
        let first = turn(reference).await?;
        Ok((turn(measured).await?, first))
    }
}

/// What the figures were measured on.
mod machine {
    use std::fs;

    pub(crate) fn size() -> String {
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let model = field("/proc/cpuinfo", "model name")
            .unwrap_or_else(|| std::env::consts::ARCH.to_owned());
        let kib = field("/proc/meminfo", "MemTotal")
            .and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok());
        format!("{cores} cores ({model}), {} GiB", kib.unwrap_or_default() >> 20)
    }

    pub(crate) fn load_average() -> String {
        let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        text.split(' ').next().unwrap_or_default().to_owned()
    }

    fn field(path: &str, name: &str) -> Option<String> {
        let text = fs::read_to_string(path).ok()?;
        let (_, value) = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.trim() == name)?;
        Some(value.trim().to_owned())
    }
}

/// Writes a line of the report.
#[expect(clippy::print_stdout, reason = "the report")]
fn say(line: impl std::fmt::Display) {
    println!("{line}");
}

/// Tells the person at the terminal what goes on.
#[expect(clippy::print_stderr, reason = "progress, apart from the report")]
fn note(line: impl std::fmt::Display) {
    eprintln!("{line}");
}
