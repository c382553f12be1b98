//! Whether values are in their range, and where files are.

use std::{path::Path, time::Duration};

use super::{fault::ConfigError, schema::Config};
use crate::files;

impl Config {
    /// Gives the configuration back if each value is in its range.
    pub(super) fn check(self) -> Result<Self, ConfigError> {
        const VALUE_BYTES_MAX: usize = 1 << 20;
        const HEAD_BYTES_MAX: usize = 48 << 10;
        const COUNT_MAX: usize = 1_000_000;
        // What is written together has an eighth of it at most, and room for the largest values.
        const LOG_BYTES_MIN: usize = 24 << 20;
        const LOG_BYTES_MAX: usize = 1 << 30;
        const TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
        const SECOND: Duration = Duration::from_secs(1);
        const INTERVAL_MIN: Duration = Duration::from_millis(100);
        const TTL_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);
        for (key, path) in [
            ("server.certificate", Some(&self.server.certificate)),
            ("server.private_key", Some(&self.server.private_key)),
            ("trust.region_ca", Some(&self.trust.region_ca)),
            ("trust.region_ca_key", self.trust.region_ca_key.as_ref()),
            ("keys.root_key", Some(&self.keys.root_key)),
            ("store.path", Some(&self.store.path)),
        ] {
            if path.is_some_and(|path| files::holds_a_key(path)) {
                return Err(ConfigError::Value(
                    key,
                    "is the name of a file; this is what belongs into one",
                ));
            }
        }
        if self.server.endpoint.as_deref().is_some_and(|endpoint| !is_endpoint(endpoint)) {
            return Err(ConfigError::Value(
                "server.endpoint",
                "must be an address such as https://kms.example.com:8443",
            ));
        }
        let limits = &self.limits;
        if limits.value_bytes.0 == 0 || limits.value_bytes.0 > VALUE_BYTES_MAX {
            return Err(ConfigError::Value("limits.value_bytes", "must be from 1 byte to 1 MiB"));
        }
        if limits.head_bytes.0 < 1024 || limits.head_bytes.0 > HEAD_BYTES_MAX {
            return Err(ConfigError::Value("limits.head_bytes", "must be from 1 KiB to 48 KiB"));
        }
        if limits.buffer_bytes.0 < 2 * VALUE_BYTES_MAX {
            return Err(ConfigError::Value("limits.buffer_bytes", "must be at least 2 MiB"));
        }
        if !(LOG_BYTES_MIN..=LOG_BYTES_MAX).contains(&self.store.log.0) {
            return Err(ConfigError::Value("store.log", "must be from 24 MiB to 1 GiB"));
        }
        for (key, number) in [
            ("limits.connections", limits.connections),
            ("limits.in_flight", limits.in_flight),
            ("limits.http2_streams", limits.http2_streams.try_into().unwrap_or(usize::MAX)),
            ("store.queue", self.store.queue),
        ] {
            if number == 0 || number > COUNT_MAX {
                return Err(ConfigError::Value(key, "must be from 1 to 1000000"));
            }
        }
        for (key, time) in [
            ("limits.handshake_time", limits.handshake_time),
            ("limits.first_byte_time", limits.first_byte_time),
            ("limits.head_time", limits.head_time),
            ("limits.body_time", limits.body_time),
            ("limits.request_time", limits.request_time),
            ("limits.idle_time", limits.idle_time),
            ("limits.drain_time", limits.drain_time),
        ] {
            if time.0.is_zero() || time.0 > TIME_MAX {
                return Err(ConfigError::Value(key, "must be more than nothing and at most 24h"));
            }
        }
        let interval = self.reload.interval.0;
        if !interval.is_zero() && !(INTERVAL_MIN..=TIME_MAX).contains(&interval) {
            return Err(ConfigError::Value(
                "reload.interval",
                "must be from 100ms to 24h, or 0s for never",
            ));
        }
        let tokens = &self.tokens;
        if tokens.max_ttl.0 < SECOND || tokens.max_ttl.0 > TTL_MAX {
            return Err(ConfigError::Value(
                "tokens.max_ttl",
                "must be from 1s to ten years (87840h)",
            ));
        }
        if tokens.default_ttl.0 < SECOND || tokens.default_ttl.0 > tokens.max_ttl.0 {
            return Err(ConfigError::Value(
                "tokens.default_ttl",
                "must be from 1s to tokens.max_ttl",
            ));
        }
        Ok(self)
    }

    /// Puts `folder` in front of the paths that are relative.
    pub(super) fn resolve(mut self, folder: &Path) -> Self {
        let paths = [
            &mut self.server.certificate,
            &mut self.server.private_key,
            &mut self.trust.region_ca,
            &mut self.keys.root_key,
            &mut self.store.path,
        ];
        let paths = paths.into_iter().chain(self.trust.region_ca_key.as_mut());
        for path in paths.chain(self.trust.customer_ca.iter_mut().map(|ca| &mut ca.certificate)) {
            // Joining with an absolute path gives that path.
            *path = folder.join(&*path);
        }
        self
    }
}

/// Whether `text` is where clients reach a server: a URL without a user, a query or a fragment.
fn is_endpoint(text: &str) -> bool {
    let rest = text.strip_prefix("https://").unwrap_or_default();
    let is_clean = rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"@?#".contains(&byte));
    is_clean && (1..=255).contains(&rest.len())
}
