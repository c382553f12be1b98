//! What the store does: commits, and bringing its file up to date with its log.

use std::time::Duration;

use prometheus::{Error, Histogram, HistogramOpts, IntCounter, Registry};

use super::{SECONDS, registry::register};

/// Bounds of buckets of numbers.
const SIZES: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// The numbers of the store.
pub struct StoreMetrics {
    commits: IntCounter,
    failures: IntCounter,
    seconds: Histogram,
    batches: Histogram,
    operations: Histogram,
    checkpoint_seconds: Histogram,
    checkpoint_failures: IntCounter,
    log_full: IntCounter,
}

impl StoreMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, Error> {
        let counter = |name: &str, help: &str| register(registry, IntCounter::new(name, help)?);
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.into());
            register(registry, Histogram::with_opts(options)?)
        };
        Ok(Self {
            commits: counter("okmsd_commits_total", "Durable commits.")?,
            failures: counter("okmsd_commit_failures_total", "Commits that failed.")?,
            seconds: histogram(
                "okmsd_commit_duration_seconds",
                "Time of a durable commit.",
                &SECONDS,
            )?,
            batches: histogram(
                "okmsd_commit_batches",
                "Writes that became durable together.",
                &SIZES,
            )?,
            operations: histogram(
                "okmsd_commit_operations",
                "Record changes in a commit.",
                &SIZES,
            )?,
            checkpoint_seconds: histogram(
                "okmsd_checkpoint_duration_seconds",
                "Time in which the store's file was brought up to date with its log.",
                &SECONDS,
            )?,
            checkpoint_failures: counter(
                "okmsd_checkpoint_failures_total",
                "Times that the store's file could not be brought up to date; writes go on until the log is full.",
            )?,
            log_full: counter(
                "okmsd_log_full_total",
                "Times that the log was full, and writes were refused until the store's file could be written again.",
            )?,
        })
    }

    /// Writes became durable together.
    pub fn committed(&self, batches: usize, operations: usize, elapsed: Duration) {
        self.commits.inc();
        self.seconds.observe(elapsed.as_secs_f64());
        self.batches.observe(u32::try_from(batches).unwrap_or(u32::MAX).into());
        self.operations.observe(u32::try_from(operations).unwrap_or(u32::MAX).into());
    }

    /// A commit failed.
    pub fn commit_failed(&self) {
        self.failures.inc();
    }

    /// The store's file was brought up to date with its log.
    pub fn checkpoint(&self, elapsed: Duration) {
        self.checkpoint_seconds.observe(elapsed.as_secs_f64());
    }

    /// It could not be: what is durable lies in the log alone.
    pub fn checkpoint_failed(&self) {
        self.checkpoint_failures.inc();
    }

    /// Nor is there room in the log any more.
    pub fn log_full(&self) {
        self.log_full.inc();
    }
}
