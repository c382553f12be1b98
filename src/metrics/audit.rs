//! How the audit trail stands.

use prometheus::{Error, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::registry::register;

/// Figures of the audit trail.
pub struct AuditMetrics {
    records: IntCounter,
    lost: IntCounter,
    feeds: IntGauge,
    up: IntGaugeVec,
    lost_by_device: IntCounterVec,
}

impl AuditMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, Error> {
        let counter = |name: &str, help: &str| register(registry, IntCounter::new(name, help)?);
        let up = Opts::new("okmsd_audit_device_up", "Whether an audit device takes records.");
        let lost = Opts::new(
            "okmsd_audit_device_lost_records_total",
            "Records that an audit device that is not required did not take.",
        );
        Ok(Self {
            records: counter(
                "okmsd_audit_records_total",
                "Records of the audit trail, those before this process among them.",
            )?,
            lost: counter(
                "okmsd_audit_lost_records_total",
                "Records of requests that changed nothing, for which there was no room while no device took any.",
            )?,
            feeds: register(
                registry,
                IntGauge::new("okmsd_audit_feeds", "Feeds of domains' views that are open.")?,
            )?,
            up: register(registry, IntGaugeVec::new(up, &["device"])?)?,
            lost_by_device: register(registry, IntCounterVec::new(lost, &["device"])?)?,
        })
    }

    /// So many records there are, and so many were lost.
    pub fn tell(&self, records: u64, lost: u64) {
        self.records.inc_by(records.saturating_sub(self.records.get()));
        self.lost.inc_by(lost.saturating_sub(self.lost.get()));
    }

    /// So many feeds are open.
    pub fn tell_feeds(&self, open: usize) {
        self.feeds.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    /// There is no such device any more.
    pub fn forget(&self, device: &str) {
        let _was_never_told = self.up.remove_label_values(&[device]);
        let _was_never_told = self.lost_by_device.remove_label_values(&[device]);
    }

    /// Whether a device takes records, and how many it has not.
    pub fn tell_device(&self, device: &str, is_well: bool, lost: u64) {
        self.up.with_label_values(&[device]).set(is_well.into());
        let counter = self.lost_by_device.with_label_values(&[device]);
        counter.inc_by(lost.saturating_sub(counter.get()));
    }
}
