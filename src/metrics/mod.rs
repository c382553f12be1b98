//! Numbers about the running server, in Prometheus' form.
//!
//! Owns the registry and every metric. Always holds: labels come from closed sets, never from
//! requests' input. Never does: I/O beyond reading the process's own figures when it is scraped.

mod audit;
mod certificates;
mod commits;
mod decisions;
mod endings;
mod handshakes;
mod labels;
mod lists;
mod operation;
mod process;
mod quotas;
mod registry;
mod reloads;
mod store;

use std::{sync::OnceLock, time::Duration};

pub use self::{
    audit::AuditMetrics,
    certificates::Seen,
    commits::Outcome,
    decisions::{Decision, DecisionMetrics},
    endings::EndingMetrics,
    handshakes::{Closing, Forwarded, Handshake, HandshakeError},
    labels::{Counters, Label},
    lists::ListMetrics,
    operation::OperationMetrics,
    quotas::{DomainFigures, QuotaMetrics, Spent},
    reloads::{Reload, ReloadMetrics},
    store::StoreMetrics,
};
use self::{
    certificates::{Lately, Needed, named},
    process::Process,
    registry::register,
};
use crate::model::OkmsId;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

/// Every metric.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    latency: HistogramVec,
    handshakes: Counters<Handshake>,
    refused: Counters<HandshakeError>,
    forwarded: Counters<Forwarded>,
    connections: IntGauge,
    closed: Counters<Closing>,
    store: StoreMetrics,
    corrupt: IntCounter,
    changes: IntCounterVec,
    rotations: IntCounterVec,
    certificates: IntGaugeVec,
    needed: Needed,
    /// Of those that are managed over the API.
    managed: Needed,
    endings: EndingMetrics,
    audit: AuditMetrics,
    quotas: QuotaMetrics,
    reloads: ReloadMetrics,
    decisions: DecisionMetrics,
    lists: ListMetrics,
    operators: Lately,
    clients: Lately,
    ready: IntGauge,
    process: Process,
    clock_steps: IntCounterVec,
    clock_behind: prometheus::Gauge,
    log_lines_lost: IntCounter,
    counts_dropped: IntCounter,
    watched: OnceLock<Watched>,
    domains: OnceLock<DomainsFigures>,
}

/// What tells what domains have.
type DomainsFigures = Box<dyn Fn() -> Vec<(OkmsId, DomainFigures)> + Send + Sync>;

/// What is read whenever the metrics are.
struct Watched {
    lost_lines: fn() -> u64,
    clock_behind: Box<dyn Fn() -> Duration + Send + Sync>,
}

/// Bounds of buckets of times, in seconds.
const SECONDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
impl Metrics {
    /// Metrics in a registry of their own.
    ///
    /// # Errors
    /// The library's, where two metrics collide: a mistake in this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| register(&registry, IntCounter::new(name, help)?);
        let gauge = |name: &str, help: &str| register(&registry, IntGauge::new(name, help)?);
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let latency = HistogramOpts::new(
            "okmsd_request_duration_seconds",
            "Time from a request's head to its answer, by operation.",
        );
        Ok(Self {
            requests: counters(
                "okmsd_requests_total",
                "Requests by operation and status.",
                &["operation", "status"],
            )?,
            latency: register(
                &registry,
                HistogramVec::new(latency.buckets(SECONDS.into()), &["operation"])?,
            )?,
            handshakes: Counters::register(
                &registry,
                ("okmsd_handshakes_total", "TLS handshakes by result."),
                "result",
            )?,
            refused: Counters::register(
                &registry,
                ("okmsd_handshakes_refused_total", "TLS handshakes that failed, by reason."),
                "reason",
            )?,
            forwarded: Counters::register(
                &registry,
                (
                    "okmsd_forwarded_certificates_total",
                    "Judgements of client certificates that proxies forward, by result; one counts for a minute.",
                ),
                "result",
            )?,
            connections: gauge("okmsd_connections", "Connections that are open.")?,
            closed: Counters::register(
                &registry,
                ("okmsd_connections_closed_total", "Connections that a deadline closed."),
                "deadline",
            )?,
            store: StoreMetrics::register(&registry)?,
            changes: counters(
                "okmsd_changes_total",
                "Commits of changes: what was changed, and whether it is stored, was overtaken and decided anew, or failed.",
                &["change", "outcome"],
            )?,
            rotations: counters(
                "okmsd_rotations_total",
                "Secrets that were due, and that the server has rotated by itself or could not: by outcome.",
                &["outcome"],
            )?,
            corrupt: counter("okmsd_corrupt_records_total", "Damaged records that reads found.")?,
            certificates: register(
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
            needed: Needed::default(),
            managed: Needed::default(),
            endings: EndingMetrics::register(&registry)?,
            audit: AuditMetrics::register(&registry)?,
            quotas: QuotaMetrics::register(&registry)?,
            reloads: ReloadMetrics::register(&registry)?,
            decisions: DecisionMetrics::register(&registry)?,
            lists: ListMetrics::register(&registry)?,
            operators: Lately::default(),
            clients: Lately::default(),
            ready: gauge("okmsd_ready", "1 while the server takes reads and writes.")?,
            process: Process::new(&registry)?,
            clock_steps: counters(
                "okmsd_clock_steps_total",
                "Steps of the machine's clock.",
                &["direction"],
            )?,
            clock_behind: register(
                &registry,
                prometheus::Gauge::new(
                    "okmsd_clock_behind_seconds",
                    "How far the machine's clock is behind the store's time, which does not run backwards.",
                )?,
            )?,
            log_lines_lost: counter(
                "okmsd_log_lines_lost_total",
                "Log lines that could not be written in time.",
            )?,
            counts_dropped: counter("okmsd_access_counts_dropped_total", "Reads not counted.")?,
            watched: OnceLock::new(),
            domains: OnceLock::new(),
            registry,
        })
    }

    /// The figures of one operation. Ask for them once, and keep them: here they are found by name.
    #[must_use]
    pub fn operation(&self, name: &'static str) -> OperationMetrics {
        OperationMetrics::new(name, self.requests.clone(), self.latency.clone())
    }

    /// A handshake ended.
    pub fn handshake(&self, result: Handshake) {
        self.handshakes.count(result);
    }

    /// A handshake was refused, or broken off.
    pub fn handshake_refused(&self, why: HandshakeError) {
        self.handshake(if why == HandshakeError::TooSlow {
            Handshake::TimedOut
        } else {
            Handshake::Failed
        });
        self.refused.count(why);
    }

    /// A client certificate that a proxy forwards was judged.
    pub fn forwarded(&self, result: Forwarded) {
        self.forwarded.count(result);
    }

    /// A connection was opened.
    pub fn connection_opened(&self) {
        self.connections.inc();
    }

    /// A connection was closed.
    pub fn connection_closed(&self) {
        self.connections.dec();
    }

    /// The server closes a connection.
    pub fn closing(&self, why: Closing) {
        self.closed.count(why);
    }

    /// The counters of one change. Ask for them once, and keep them, as with an operation's.
    #[must_use]
    pub fn change(&self, name: &'static str) -> Counters<Outcome> {
        Counters::new(self.changes.clone(), Some(name))
    }

    /// A secret that was due was rotated, or could not be.
    pub fn rotation(&self, is_rotated: bool) {
        let outcome = if is_rotated { "rotated" } else { "failed" };
        self.rotations.with_label_values(&[outcome]).inc();
    }

    /// Reads found this many corrupt records.
    pub fn corrupt_records(&self, number: usize) {
        self.corrupt.inc_by(u64::try_from(number).unwrap_or(u64::MAX));
    }

    /// When the certificates that the server needs end: each is told by what it is and, for a
    /// customer's authority, its domain. Of several alike, the one that ends first counts. Those
    /// that were told before are forgotten.
    pub fn certificates_end(&self, ends: impl Iterator<Item = ((&'static str, String), i64)>) {
        self.needed.replace(&self.certificates, ends);
    }

    /// When the certificates of the authorities end that domains manage over the API, and their
    /// revocation lists, if they were given some; 0 of a list that cannot be read. Those that were
    /// told before are forgotten.
    pub fn managed_authorities_end(&self, ends: &[(OkmsId, i64, Option<i64>)]) {
        let certificates = named(ends.iter().map(|(domain, end, _)| (*domain, *end)));
        let lists = ends.iter().filter_map(|(domain, _, end)| Some((*domain, (*end)?)));
        let told = certificates.into_iter().map(|(domain, end)| (("managed_ca", domain), end));
        self.managed.replace(&self.certificates, told);
        self.lists.are_given(named(lists));
    }

    /// When access certificates end that were issued here.
    #[must_use]
    pub const fn endings(&self) -> &EndingMetrics {
        &self.endings
    }

    /// Who has taken what it may.
    #[must_use]
    pub const fn quotas(&self) -> &QuotaMetrics {
        &self.quotas
    }

    /// What becomes of files that are loaded again.
    #[must_use]
    pub const fn reloads(&self) -> &ReloadMetrics {
        &self.reloads
    }

    /// What a policy decision point has decided.
    #[must_use]
    pub const fn decisions(&self) -> &DecisionMetrics {
        &self.decisions
    }

    /// How fresh revocation lists are.
    #[must_use]
    pub const fn lists(&self) -> &ListMetrics {
        &self.lists
    }

    /// A client showed a certificate that ends at `end`. One that has expired says nothing about
    /// the future.
    pub fn certificate_seen(&self, whose: Seen, end: i64, now: i64) {
        if end < now {
            return;
        }
        let (lately, label) = match whose {
            Seen::Operator => (&self.operators, "operator"),
            Seen::Client => (&self.clients, "client"),
        };
        lately.add(end, now, || self.certificates.with_label_values(&[label, ""]));
    }

    /// What the store does.
    #[must_use]
    pub const fn store(&self) -> &StoreMetrics {
        &self.store
    }

    /// The machine's clock made a step: `back` or `ahead`.
    pub fn clock_step(&self, direction: &'static str) {
        self.clock_steps.with_label_values(&[direction]).inc();
    }

    /// Where to ask for the lines that the log has lost, and how far the machine's clock is behind.
    pub fn watch(
        &self,
        lost_lines: fn() -> u64,
        clock_behind: impl Fn() -> Duration + Send + Sync + 'static,
    ) {
        let _watched_already =
            self.watched.set(Watched { lost_lines, clock_behind: Box::new(clock_behind) });
    }

    /// So many reads were not counted since the start.
    pub fn access_counts_dropped(&self, all: u64) {
        let dropped = &self.counts_dropped;
        dropped.inc_by(all.saturating_sub(dropped.get()));
    }

    /// Where to ask for what domains have.
    pub fn watch_domains(
        &self,
        figures: impl Fn() -> Vec<(OkmsId, DomainFigures)> + Send + Sync + 'static,
    ) {
        let _watched_already = self.domains.set(Box::new(figures));
    }

    /// How the audit trail stands.
    #[must_use]
    pub const fn audit(&self) -> &AuditMetrics {
        &self.audit
    }

    /// Everything, in Prometheus' text form.
    #[must_use]
    pub fn render(&self, ready: bool) -> Vec<u8> {
        self.ready.set(ready.into());
        self.process.read();
        if let Some(watched) = self.watched.get() {
            self.clock_behind.set((watched.clock_behind)().as_secs_f64());
            self.log_lines_lost
                .inc_by((watched.lost_lines)().saturating_sub(self.log_lines_lost.get()));
        }
        if let Some(figures) = self.domains.get() {
            self.quotas.tell(figures());
        }
        let mut text = Vec::new();
        // Writing into memory fails only for metrics without values, of which there are none.
        let _infallible = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }
}
