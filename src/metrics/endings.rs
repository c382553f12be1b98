//! When access certificates end that were issued here.

use prometheus::{Error, IntGaugeVec, Opts, Registry};

use super::registry::register;

/// What "soon" is called.
const SOON: &str = "14d";

/// Figures of certificates that somebody has to see to.
pub struct EndingMetrics {
    soon: IntGaugeVec,
    /// Without labels: it is listed while there is one.
    earliest: IntGaugeVec,
}

impl EndingMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, Error> {
        let soon = Opts::new(
            "okmsd_access_certificates_ending",
            "Access certificates that were issued here, end within this time, and were neither renewed nor revoked.",
        );
        let earliest = Opts::new(
            "okmsd_access_certificate_earliest_end_seconds",
            "When the first access certificate ends that was issued here and was neither renewed nor revoked, in Unix \
             time.",
        );
        Ok(Self {
            soon: register(registry, IntGaugeVec::new(soon, &["within"])?)?,
            earliest: register(registry, IntGaugeVec::new(earliest, &[])?)?,
        })
    }

    /// So many end soon, and the first of all at `earliest`, in Unix seconds, if there is one.
    pub fn tell(&self, soon: u64, earliest: Option<i64>) {
        self.soon.with_label_values(&[SOON]).set(i64::try_from(soon).unwrap_or(i64::MAX));
        match earliest {
            Some(end) => self.earliest.with_label_values::<&str>(&[]).set(end),
            None => self.earliest.reset(),
        }
    }
}
