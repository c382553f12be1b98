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
//! | `policies` | reads under many policies and rules, and changes of those |
//! | `reads` | reads of one secret, over kept connections and over new ones |
//! | `audit` | reads and writes with an audit trail, and without |
//! | `fairness` | a quiet domain beside a noisy one |
//! | `writes` | 64 writers, and raw redb commits of the same shape |
//! | `mixed` | reads while writes run |
//! | `log` | the store alone, beside a file that is only appended to |
//! | `restart` | a start after a kill |
//! | `churn` | the store's file while the same secrets are written over and over |
//! | `growth`, `lists` | large stores, deep secrets, long lists |
//! | `lives` | secrets that are looked for by tags, ends and rotation, among few and among many |
//! | `events` | how soon whoever follows events knows of a write |
//! | `openbao`, `bao` | `OpenBao` itself beside okmsd, and how it is started |
//! | `tokens` | many tokens |
//! | `footprint` | start-up time and memory |
//! | `table` | medians and the table |

mod audit;
mod bao;
mod churn;
mod client;
mod events;
mod fairness;
mod footprint;
mod growth;
mod kv;
mod lists;
mod lives;
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
mod policies;
mod reads;
mod reference;
mod restart;
mod server;
#[allow(dead_code, reason = "allocations need the rest")]
mod table;
mod tokens;
mod writes;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use okmsd::clock::{Clock, SystemClock};
use tokio::signal::unix::{SignalKind, signal};

use self::table::Row;

/// The one of okmsd: the store, and the bare servers, are measured with it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

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
    /// Measure only what is named here: reads, connections, policies, writes, audit, fairness, mixed, log, restart, churn,
    /// growth, lives, events, tokens, footprint, openbao.
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
    /// A noisy domain.
    #[command(hide = true)]
    Noise { address: SocketAddr, id: String, ca: PathBuf, certificate: PathBuf, key: PathBuf },
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
                    Some(Reference::Noise { address, id, ca, certificate, key }) => {
                        fairness::noise(*address, id, [ca, certificate, key]).await
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
    let load_before = machine::load_average();
    let mut rows = Vec::new();
    // What fails late takes nothing away from what was measured before it.
    let outcome = measure(arguments, effort, &mut rows).await;
    say(format_args!(
        "{}; {}; {} turns of {} s; load average {load_before} before, {} after\n",
        SystemClock.now().to_rfc3339_seconds(),
        machine::size(),
        effort.rounds,
        effort.turn.as_secs(),
        machine::load_average(),
    ));
    say(table::markdown(&rows));
    outcome
}

async fn measure(arguments: &Arguments, effort: Effort, rows: &mut Vec<Row>) -> Outcome<()> {
    let wants =
        |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == name);
    if wants("reads") {
        rows.extend(reads::measure(&arguments.oha, effort).await?);
    }
    if wants("connections") {
        rows.extend(reads::connections(&arguments.oha, effort).await?);
    }
    if wants("policies") {
        rows.extend(Box::pin(policies::measure(&arguments.oha, effort)).await?);
    }
    if wants("writes") {
        rows.extend(writes::measure(effort).await?);
    }
    if wants("audit") {
        rows.extend(Box::pin(audit::measure(effort)).await?);
    }
    if wants("fairness") {
        rows.extend(Box::pin(fairness::measure(effort)).await?);
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
    if wants("lives") {
        rows.extend(lives::measure(effort).await?);
    }
    if wants("events") {
        rows.extend(events::measure(effort).await?);
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
    Ok(())
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
