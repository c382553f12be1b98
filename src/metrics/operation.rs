//! The figures of one operation.
//!
//! Always holds: after the first request of a kind, counting one is an index and an addition:
//! nothing is searched for by its text, nothing is locked.

use std::{fmt, sync::OnceLock, time::Duration};

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

/// The counters of an operation's requests. Each comes into being with the first request that it
/// counts, so that what was never asked for is not listed.
pub struct OperationMetrics {
    name: &'static str,
    requests: IntCounterVec,
    latency: HistogramVec,
    by_status: [OnceLock<IntCounter>; STATUSES.len() + 1],
    seconds: OnceLock<Histogram>,
}

impl OperationMetrics {
    pub(super) const fn new(
        name: &'static str,
        requests: IntCounterVec,
        latency: HistogramVec,
    ) -> Self {
        Self {
            name,
            requests,
            latency,
            by_status: [const { OnceLock::new() }; STATUSES.len() + 1],
            seconds: OnceLock::new(),
        }
    }

    /// The operation's name: its label.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// A request was answered.
    pub fn request(&self, status: u16, elapsed: Duration) {
        let index =
            STATUSES.binary_search_by_key(&status, |(status, _)| *status).unwrap_or(STATUSES.len());
        let label = STATUSES.get(index).map_or("other", |(_, label)| label);
        if let Some(counter) = self.by_status.get(index) {
            counter.get_or_init(|| self.requests.with_label_values(&[self.name, label])).inc();
        }
        let seconds = self.seconds.get_or_init(|| self.latency.with_label_values(&[self.name]));
        seconds.observe(elapsed.as_secs_f64());
    }
}

impl fmt::Debug for OperationMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperationMetrics({})", self.name)
    }
}

/// The statuses that are told apart, in their order.
const STATUSES: [(u16, &str); 16] = [
    (200, "200"),
    (204, "204"),
    (307, "307"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (408, "408"),
    (409, "409"),
    (413, "413"),
    (429, "429"),
    (431, "431"),
    (499, "499"),
    (500, "500"),
    (503, "503"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn statuses_are_in_order_and_named_by_themselves() {
        assert!(STATUSES.is_sorted_by_key(|(status, _)| *status));
        assert!(STATUSES.iter().all(|(status, label)| status.to_string() == *label));
    }

    #[test]
    fn requests_are_counted_by_operation_and_status() {
        let metrics = Metrics::new().unwrap();
        let (get, _unused) = (metrics.operation("GetSecret"), metrics.operation("ListSecrets"));
        for status in [200, 200, 404, 418, 507] {
            get.request(status, Duration::from_millis(3));
        }
        // Whoever asks for the operation again counts in the same place.
        metrics.operation("GetSecret").request(200, Duration::from_millis(3));
        let text = String::from_utf8(metrics.render(true)).unwrap();
        for line in [
            "okmsd_requests_total{operation=\"GetSecret\",status=\"200\"} 3",
            "okmsd_requests_total{operation=\"GetSecret\",status=\"404\"} 1",
            "okmsd_requests_total{operation=\"GetSecret\",status=\"other\"} 2",
            "okmsd_request_duration_seconds_count{operation=\"GetSecret\"} 6",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
        assert!(!text.contains("ListSecrets") && !text.contains("status=\"503\""));
    }
}
