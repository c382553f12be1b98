//! Figures of the process, as the client libraries of other languages name them.
//!
//! Read here, and not by the `process` feature of prometheus: that brings five crates, an older
//! rustix beside ours among them.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::{Counter, IntGauge, Registry};

use super::registry::register;

/// The process itself.
pub(super) struct Process {
    resident: IntGauge,
    virtual_: IntGauge,
    open_fds: IntGauge,
    threads: IntGauge,
    cpu: Counter,
    /// The ticks of the clock that `cpu` has in it.
    ticks: AtomicU64,
}

impl Process {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help)?);
        Ok(Self {
            resident: gauge("process_resident_memory_bytes", "Resident memory in bytes.")?,
            virtual_: gauge("process_virtual_memory_bytes", "Virtual memory in bytes.")?,
            open_fds: gauge("process_open_fds", "Open file descriptors.")?,
            threads: gauge("process_threads", "Threads.")?,
            cpu: register(
                registry,
                Counter::new("process_cpu_seconds_total", "CPU time used, in seconds.")?,
            )?,
            ticks: AtomicU64::new(0),
        })
    }

    /// Reads `/proc/self`; what cannot be read keeps its last value.
    pub(super) fn read(&self) {
        // Neither is the same on every machine.
        let page_bytes = i64::try_from(rustix::param::page_size()).unwrap_or_default();
        let ticks_per_second = rustix::param::clock_ticks_per_second();
        if let Ok(pages) = std::fs::read_to_string("/proc/self/statm") {
            let mut pages = pages.split(' ').map_while(|number| number.parse::<i64>().ok());
            self.virtual_.set(pages.next().unwrap_or_default() * page_bytes);
            self.resident.set(pages.next().unwrap_or_default() * page_bytes);
        }
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            self.open_fds.set(i64::try_from(files.count()).unwrap_or(i64::MAX));
        }
        // The fields behind the command's name, which may hold anything: state is the first of
        // them.
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields: Vec<_> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let field = |index: usize| {
            fields.get(index).and_then(|text| text.parse::<u32>().ok()).unwrap_or_default()
        };
        self.threads.set(field(17).into());
        // Each tick is counted once, also where two scrapes read at a time.
        let ticks = u64::from(field(11)) + u64::from(field(12));
        let new = ticks.saturating_sub(self.ticks.fetch_max(ticks, Ordering::Relaxed));
        self.cpu.inc_by(
            f64::from(u32::try_from(new).unwrap_or(u32::MAX))
                / f64::from(u32::try_from(ticks_per_second).unwrap_or(100)),
        );
    }
}
