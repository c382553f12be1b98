//! How a metric comes into a registry.

use prometheus::{Error, Registry, core::Collector};

/// The metric, once it is in the registry.
pub(super) fn register<T: Collector + Clone + 'static>(
    registry: &Registry,
    metric: T,
) -> Result<T, Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
