//! Numbers about the running server, in Prometheus' form.
//!
//! Owns the registry and every metric. Always holds: labels come from closed sets, never from requests' input.
//! Never does: I/O beyond reading the process's own figures when it is scraped.

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// Why a handshake was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The peer's certificate, or one above it, has ended.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// No authority that is trusted vouches for it.
    UnknownIssuer,
    /// It cannot be used for another reason.
    BadCertificate,
    /// There is none, and TLS asks for one.
    NoCertificate,
    /// The peer refused us: it does not trust the server's certificate, for instance.
    ByPeer,
    /// The peer speaks no TLS.
    NotTls,
    /// The peer speaks a TLS that is not understood.
    Protocol,
    /// The peer left.
    Gone,
    /// It took too long.
    TooSlow,
}

impl Refused {
    /// The reason's name.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::UnknownIssuer => "unknown_issuer",
            Self::BadCertificate => "bad_certificate",
            Self::NoCertificate => "no_certificate",
            Self::ByPeer => "by_peer",
            Self::NotTls => "not_tls",
            Self::Protocol => "protocol",
            Self::Gone => "gone",
            Self::TooSlow => "too_slow",
        }
    }
}

/// How a handshake ended.
#[derive(Clone, Copy, Debug)]
pub enum Handshake {
    /// With a client certificate.
    Certificate,
    /// Without one.
    Anonymous,
    /// With a session that was resumed.
    Resumed,
    /// Refused, or broken off.
    Failed,
    /// Too slow.
    TimedOut,
}

impl Handshake {
    const fn label(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Anonymous => "anonymous",
            Self::Resumed => "resumed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
        }
    }
}

/// Whose certificate a client showed.
#[derive(Clone, Copy, Debug)]
pub enum Seen {
    /// An operator's.
    Operator,
    /// A domain's.
    Client,
}

impl Seen {
    const fn label(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Client => "client",
        }
    }
}

/// The soonest end among certificates that were seen lately: today and the day before, counted from the first.
#[derive(Default)]
struct Soonest {
    since: i64,
    today: Option<i64>,
    yesterday: Option<i64>,
}

impl Soonest {
    /// Takes in an end that was seen at `now`; the soonest.
    fn seen(&mut self, end: i64, now: i64) -> i64 {
        const DAY: i64 = 86_400;
        match now.saturating_sub(self.since) {
            0..DAY => {}
            DAY..=172_799 => (self.since, self.yesterday) = (self.since + DAY, self.today.take()),
            _ => *self = Self { since: now, ..Self::default() },
        }
        let today = self.today.map_or(end, |soonest| soonest.min(end));
        self.today = Some(today);
        self.yesterday.map_or(today, |soonest| soonest.min(today))
    }
}

/// Every metric.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    latency: HistogramVec,
    handshakes: IntCounterVec,
    refused: IntCounterVec,
    connections: IntGauge,
    closed: IntCounterVec,
    commits: IntCounter,
    commit_failures: IntCounter,
    commit_seconds: Histogram,
    commit_batches: Histogram,
    commit_operations: Histogram,
    corrupt: IntCounter,
    certificates: IntGaugeVec,
    operators: Mutex<Soonest>,
    clients: Mutex<Soonest>,
    ready: IntGauge,
    process: Process,
    clock_steps: IntCounterVec,
    clock_behind: prometheus::Gauge,
    log_lines_lost: IntCounter,
    watched: OnceLock<Watched>,
}

/// What is asked when the metrics are.
struct Watched {
    lost_lines: fn() -> u64,
    clock_behind: Box<dyn Fn() -> Duration + Send + Sync>,
}

/// Figures of the process, as the client libraries of other languages name them.
struct Process {
    resident: IntGauge,
    virtual_: IntGauge,
    open_fds: IntGauge,
    threads: IntGauge,
    cpu: prometheus::Counter,
    /// The ticks of the clock that `cpu` has in it.
    ticks: AtomicU64,
}

impl Metrics {
    /// Metrics in a registry of their own.
    ///
    /// # Errors
    /// The library's, where two metrics collide: a mistake in this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| registered(&registry, IntCounter::new(name, help)?);
        let gauge = |name: &str, help: &str| registered(&registry, IntGauge::new(name, help)?);
        let counters = |name: &str, help: &str, labels: &[&str]| {
            registered(&registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            registered(&registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.into()))?)
        };
        let seconds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
        let sizes = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
        let latency = HistogramOpts::new(
            "okmsd_request_duration_seconds",
            "Time from a request's head to its answer, by operation.",
        );
        Ok(Self {
            requests: counters("okmsd_requests_total", "Requests by operation and status.", &["operation", "status"])?,
            latency: registered(&registry, HistogramVec::new(latency.buckets(seconds.into()), &["operation"])?)?,
            handshakes: counters("okmsd_handshakes_total", "TLS handshakes by result.", &["result"])?,
            refused: counters("okmsd_handshakes_refused_total", "TLS handshakes that failed, by reason.", &["reason"])?,
            connections: gauge("okmsd_connections", "Connections that are open.")?,
            closed: counters("okmsd_connections_closed_total", "Connections that a deadline closed.", &["deadline"])?,
            commits: counter("okmsd_commits_total", "Durable commits.")?,
            commit_failures: counter("okmsd_commit_failures_total", "Commits that failed.")?,
            commit_seconds: histogram("okmsd_commit_duration_seconds", "Time of a durable commit.", &seconds)?,
            commit_batches: histogram("okmsd_commit_batches", "Writes that became durable together.", &sizes)?,
            commit_operations: histogram("okmsd_commit_operations", "Record changes in a commit.", &sizes)?,
            corrupt: counter("okmsd_corrupt_records_total", "Damaged records that reads found.")?,
            certificates: registered(
                &registry,
                IntGaugeVec::new(
                    Opts::new(
                        "okmsd_certificate_not_after_seconds",
                        "When certificates end, in Unix time: the server's and its authorities'; of those that \
                         operators and clients showed within two days, the one that ends first.",
                    ),
                    &["certificate", "domain"],
                )?,
            )?,
            operators: Mutex::default(),
            clients: Mutex::default(),
            ready: gauge("okmsd_ready", "1 while the server takes reads and writes.")?,
            process: Process {
                resident: gauge("process_resident_memory_bytes", "Resident memory in bytes.")?,
                virtual_: gauge("process_virtual_memory_bytes", "Virtual memory in bytes.")?,
                open_fds: gauge("process_open_fds", "Open file descriptors.")?,
                threads: gauge("process_threads", "Threads.")?,
                cpu: registered(
                    &registry,
                    prometheus::Counter::new("process_cpu_seconds_total", "CPU time used, in seconds.")?,
                )?,
                ticks: AtomicU64::new(0),
            },
            clock_steps: counters("okmsd_clock_steps_total", "Steps of the machine's clock.", &["direction"])?,
            clock_behind: registered(
                &registry,
                prometheus::Gauge::new(
                    "okmsd_clock_behind_seconds",
                    "How far the machine's clock is behind the store's time, which does not run backwards.",
                )?,
            )?,
            log_lines_lost: counter("okmsd_log_lines_lost_total", "Log lines that could not be written in time.")?,
            watched: OnceLock::new(),
            registry,
        })
    }

    /// A request was answered.
    pub fn request(&self, operation: &'static str, status: u16, elapsed: Duration) {
        let status = status_label(status);
        self.requests.with_label_values(&[operation, status]).inc();
        self.latency.with_label_values(&[operation]).observe(elapsed.as_secs_f64());
    }

    /// A handshake ended.
    pub fn handshake(&self, result: Handshake) {
        self.handshakes.with_label_values(&[result.label()]).inc();
    }

    /// A handshake was refused, or broken off.
    pub fn refused(&self, why: Refused) {
        self.handshake(if why == Refused::TooSlow { Handshake::TimedOut } else { Handshake::Failed });
        self.refused.with_label_values(&[why.label()]).inc();
    }

    /// A connection was opened.
    pub fn connection_opened(&self) {
        self.connections.inc();
    }

    /// A connection was closed.
    pub fn connection_closed(&self) {
        self.connections.dec();
    }

    /// A deadline closed a connection.
    pub fn deadline(&self, which: &'static str) {
        self.closed.with_label_values(&[which]).inc();
    }

    /// Reads found damaged records.
    pub fn corrupt_records(&self, number: usize) {
        self.corrupt.inc_by(u64::try_from(number).unwrap_or(u64::MAX));
    }

    /// A certificate that the server lives by ends at `end`; `domain` is that of a customer's authority. Of several,
    /// the one that ends first counts.
    pub fn certificate_ends(&self, certificate: &'static str, domain: &str, end: i64) {
        let gauge = self.certificates.with_label_values(&[certificate, domain]);
        let known = Some(gauge.get()).filter(|known| *known != 0);
        gauge.set(known.map_or(end, |known| known.min(end)));
    }

    /// A client showed a certificate that ends at `end`. One that is over already says nothing about the future.
    pub fn certificate_seen(&self, whose: Seen, end: i64, now: i64) {
        if end < now {
            return;
        }
        let seen = match whose {
            Seen::Operator => &self.operators,
            Seen::Client => &self.clients,
        };
        let soonest = seen.lock().unwrap_or_else(PoisonError::into_inner).seen(end, now);
        self.certificates.with_label_values(&[whose.label(), ""]).set(soonest);
    }

    /// Writes became durable together.
    pub fn committed(&self, batches: usize, operations: usize, elapsed: Duration) {
        self.commits.inc();
        self.commit_seconds.observe(elapsed.as_secs_f64());
        self.commit_batches.observe(u32::try_from(batches).unwrap_or(u32::MAX).into());
        self.commit_operations.observe(u32::try_from(operations).unwrap_or(u32::MAX).into());
    }

    /// A commit failed.
    pub fn commit_failed(&self) {
        self.commit_failures.inc();
    }

    /// The machine's clock made a step: `back` or `ahead`.
    pub fn clock_step(&self, direction: &'static str) {
        self.clock_steps.with_label_values(&[direction]).inc();
    }

    /// Where to ask for the lines that the log has lost, and how far the machine's clock is behind.
    pub fn watch(&self, lost_lines: fn() -> u64, clock_behind: impl Fn() -> Duration + Send + Sync + 'static) {
        let _watched_already = self.watched.set(Watched { lost_lines, clock_behind: Box::new(clock_behind) });
    }

    /// Everything, in Prometheus' text form.
    #[must_use]
    pub fn render(&self, ready: bool) -> Vec<u8> {
        self.ready.set(ready.into());
        self.process.read();
        if let Some(watched) = self.watched.get() {
            self.clock_behind.set((watched.clock_behind)().as_secs_f64());
            self.log_lines_lost.inc_by((watched.lost_lines)().saturating_sub(self.log_lines_lost.get()));
        }
        let mut text = Vec::new();
        // Writing into memory fails only for metrics without values, of which there are none.
        let _infallible = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }
}

impl Process {
    /// Reads `/proc/self`; what cannot be read keeps its last value.
    fn read(&self) {
        const PAGE_BYTES: i64 = 4096;
        const TICKS_PER_SECOND: f64 = 100.0;
        if let Ok(pages) = std::fs::read_to_string("/proc/self/statm") {
            let mut pages = pages.split(' ').map_while(|number| number.parse::<i64>().ok());
            self.virtual_.set(pages.next().unwrap_or_default() * PAGE_BYTES);
            self.resident.set(pages.next().unwrap_or_default() * PAGE_BYTES);
        }
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            self.open_fds.set(i64::try_from(files.count()).unwrap_or(i64::MAX));
        }
        // The fields behind the command's name, which may hold anything: state is the first of them.
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let field = |index: usize| fields.get(index).and_then(|text| text.parse::<u32>().ok()).unwrap_or_default();
        self.threads.set(field(17).into());
        // Each tick is counted once, also where two scrapes read at a time.
        let ticks = u64::from(field(11)) + u64::from(field(12));
        let new = ticks.saturating_sub(self.ticks.fetch_max(ticks, Ordering::Relaxed));
        self.cpu.inc_by(f64::from(u32::try_from(new).unwrap_or(u32::MAX)) / TICKS_PER_SECOND);
    }
}

fn registered<T: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    metric: T,
) -> Result<T, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

const fn status_label(status: u16) -> &'static str {
    match status {
        200 => "200",
        204 => "204",
        307 => "307",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        405 => "405",
        408 => "408",
        409 => "409",
        413 => "413",
        429 => "429",
        431 => "431",
        499 => "499",
        500 => "500",
        503 => "503",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate that was replaced is forgotten two days after it was last seen.
    #[test]
    fn the_soonest_end_is_that_of_lately() {
        const DAY: i64 = 86_400;
        let mut soonest = Soonest::default();
        let start = 1_700_000_000;
        assert_eq!(soonest.seen(start + 9 * DAY, start), start + 9 * DAY);
        assert_eq!(soonest.seen(start + 90 * DAY, start + 10), start + 9 * DAY);
        assert_eq!(soonest.seen(start + 90 * DAY, start + DAY), start + 9 * DAY);
        assert_eq!(soonest.seen(start + 90 * DAY, start + 2 * DAY), start + 90 * DAY);
        assert_eq!(soonest.seen(start + 80 * DAY, start + 9 * DAY), start + 80 * DAY);
        // A clock that went back begins anew.
        assert_eq!(soonest.seen(start + 95 * DAY, start), start + 95 * DAY);
    }
}
