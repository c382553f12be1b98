//! Whether values are in their range, and where files are.

use std::{path::Path, time::Duration};

use super::{
    fault::ConfigError,
    postgres::Postgres,
    schema::{
        AuditDevice, AuditDeviceKind, AuditFormat, ClientAuth, Config, JwtCertificate, Pdp,
        StoreEngine,
    },
    syslog::SyslogAddress,
    units::{CrlSource, PdpAddress},
};
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
        const INTERVAL_MIN: Duration = Duration::from_millis(100);
        const PAGE_MAX: u32 = 1_000;
        self.check_files()?;
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
        self.check_postgres()?;
        for (key, number) in [
            ("limits.connections", limits.connections),
            ("limits.in_flight", limits.in_flight),
            ("limits.feeds", limits.feeds),
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
            ("limits.feed_time", limits.feed_time),
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
        self.check_rates()?;
        self.check_lists()?;
        self.check_proxies()?;
        self.check_audit()?;
        if self.access.users_without_certificate && self.server.client_auth == ClientAuth::Required
        {
            return Err(ConfigError::Value(
                "access.users_without_certificate",
                "is for nobody where server.client_auth is \"required\"; set one of them otherwise",
            ));
        }
        self.check_lives()?;
        self.check_jwt()?;
        self.check_pdp()?;
        self.check_dev()?;
        if !(1..=PAGE_MAX).contains(&self.secrets_api.page_size) {
            return Err(ConfigError::Value("secrets_api.page_size", "must be from 1 to 1000"));
        }
        Ok(self)
    }

    /// What helps whoever develops.
    fn check_dev(&self) -> Result<(), ConfigError> {
        if self.dev.yaml_file.is_some() != self.dev.yaml_domain.is_some() {
            return Err(ConfigError::Value(
                "dev.yaml_file",
                "is the file of one domain; set both, or neither, of it and dev.yaml_domain",
            ));
        }
        if self.dev.tells() && self.audit.device.is_empty() {
            return Err(ConfigError::Value(
                "dev.helpers",
                "tells what the audit trail has; set a device of it, [[audit.device]]",
            ));
        }
        Ok(())
    }

    /// Whether a database that is shared can be found, and is given time.
    fn check_postgres(&self) -> Result<(), ConfigError> {
        let postgres = &self.store.postgres;
        if self.store.engine == StoreEngine::Postgres && postgres.hosts.is_empty() {
            return Err(ConfigError::Value(
                "store.postgres.hosts",
                "must name the servers of the database",
            ));
        }
        if postgres.certificate.is_some() != postgres.private_key.is_some() {
            return Err(ConfigError::Value(
                "store.postgres.certificate",
                "needs store.postgres.private_key, and the other way round",
            ));
        }
        for (key, count) in [
            ("store.postgres.read_connections", postgres.read_connections),
            ("store.postgres.view_connections", postgres.view_connections),
        ] {
            if !(1..=100).contains(&count) {
                return Err(ConfigError::Value(key, "must be from 1 to 100"));
            }
        }
        for (key, span) in [
            ("store.postgres.connect_time", postgres.connect_time),
            ("store.postgres.commit_time", postgres.commit_time),
            ("store.postgres.settle_time", postgres.settle_time),
            ("store.postgres.max_stale", postgres.max_stale),
            ("store.postgres.unready_after", postgres.unready_after),
        ] {
            let range = Duration::from_millis(100)..=Duration::from_secs(60);
            if !range.contains(&span.0) {
                return Err(ConfigError::Value(key, "must be from 100ms to 60s"));
            }
        }
        Ok(())
    }

    /// Whether names of files are such.
    fn check_files(&self) -> Result<(), ConfigError> {
        let postgres = &self.store.postgres;
        for (key, path) in [
            ("server.certificate", Some(&self.server.certificate)),
            ("server.private_key", Some(&self.server.private_key)),
            ("trust.region_ca", Some(&self.trust.region_ca)),
            ("trust.region_ca_key", self.trust.region_ca_key.as_ref()),
            ("keys.root_key", Some(&self.keys.root_key)),
            ("store.path", Some(&self.store.path)),
            ("store.postgres.password_file", postgres.password_file.as_ref()),
            ("store.postgres.ca", postgres.ca.as_ref()),
            ("store.postgres.certificate", postgres.certificate.as_ref()),
            ("store.postgres.private_key", postgres.private_key.as_ref()),
            ("auth.jwt.jwks_file", self.auth.jwt.jwks_file.as_ref()),
            ("auth.jwt.ca", self.auth.jwt.ca.as_ref()),
            ("pdp.certificate", self.pdp.certificate.as_ref()),
            ("pdp.private_key", self.pdp.private_key.as_ref()),
            ("pdp.bearer_file", self.pdp.bearer_file.as_ref()),
            ("pdp.ca", self.pdp.ca.as_ref()),
            ("dev.yaml_file", self.dev.yaml_file.as_ref()),
        ] {
            if path.is_some_and(|path| files::holds_a_key(path)) {
                return Err(ConfigError::Value(
                    key,
                    "is the name of a file; this is what belongs into one",
                ));
            }
        }
        Ok(())
    }

    /// Whose tokens are taken.
    fn check_jwt(&self) -> Result<(), ConfigError> {
        const LEEWAY_MAX: Duration = Duration::from_secs(10 * 60);
        const TEXTS_MAX: usize = 16;
        let jwt = &self.auth.jwt;
        let (is_file, is_url) = (jwt.jwks_file.is_some(), jwt.jwks_url.is_some());
        let is_text = |text: &String| !text.is_empty() && !text.contains(char::is_control);
        let fault = |key, text| Err(ConfigError::Value(key, text));
        let Some(issuer) = &jwt.issuer else {
            return if is_file || is_url || jwt.ca.is_some() {
                fault(
                    "auth.jwt.issuer",
                    "must be told: it is what iss says in the tokens that are taken",
                )
            } else {
                Ok(())
            };
        };
        if !is_text(issuer) {
            return fault("auth.jwt.issuer", "must be what iss says in the tokens that are taken");
        }
        match (is_file, is_url) {
            (true, true) => {
                return fault("auth.jwt.jwks_url", "stands beside jwks_file; set one of the two");
            }
            (false, false) => {
                return fault("auth.jwt.issuer", "needs jwks_file or jwks_url, where its keys are");
            }
            _ => {}
        }
        if is_url != jwt.ca.is_some() {
            return fault(
                "auth.jwt.ca",
                "names the file of the authorities of jwks_url (of a public one such as /etc/ssl/certs/ca-certificates.crt); \
                 it is there for that, and for nothing else",
            );
        }
        if !(1..=TEXTS_MAX).contains(&jwt.audience.len()) || !jwt.audience.iter().all(is_text) {
            return fault("auth.jwt.audience", "must be from 1 to 16 names, none of them empty");
        }
        if !is_text(&jwt.tenant_claim) {
            return fault("auth.jwt.tenant_claim", "must be the name of a claim");
        }
        if jwt.leeway.0 > LEEWAY_MAX {
            return fault("auth.jwt.leeway", "must be at most 10m");
        }
        if jwt.certificate == JwtCertificate::Optional
            && self.server.client_auth == ClientAuth::Required
        {
            return fault(
                "auth.jwt.certificate",
                "cannot be \"optional\" where server.client_auth is \"required\"; set one of them otherwise",
            );
        }
        Ok(())
    }

    /// Who judges what is permitted.
    fn check_pdp(&self) -> Result<(), ConfigError> {
        const TIME_MIN: Duration = Duration::from_millis(10);
        const TIME_MAX: Duration = Duration::from_secs(30);
        let Pdp { url, timeout, certificate, private_key, bearer_file, ca } = &self.pdp;
        let fault = |key, text| Err(ConfigError::Value(key, text));
        let is_over_tls = url.as_ref().is_some_and(PdpAddress::is_over_tls);
        let is_said = [certificate, private_key, bearer_file, ca].iter().any(|path| path.is_some());
        if url.is_none() && is_said {
            return fault(
                "pdp.url",
                "must be told: it is where the policy decision point is asked",
            );
        }
        if !(TIME_MIN..=TIME_MAX).contains(&timeout.0) {
            return fault("pdp.timeout", "must be from 10ms to 30s");
        }
        if is_over_tls != ca.is_some() {
            return fault(
                "pdp.ca",
                "names the file of the authorities of pdp.url (of a public one such as /etc/ssl/certs/ca-certificates.crt); it \
                 is there for https://, and for nothing else",
            );
        }
        if certificate.is_some() != private_key.is_some() {
            return fault("pdp.certificate", "stands beside pdp.private_key; set both, or none");
        }
        if certificate.is_some() && !is_over_tls {
            return fault(
                "pdp.certificate",
                "is for an https:// address; set that, or leave this out",
            );
        }
        Ok(())
    }

    /// Which proxies' words are taken.
    fn check_proxies(&self) -> Result<(), ConfigError> {
        let mut keys: Vec<_> = self.trust.proxy.iter().map(|one| one.public_key_sha256.0).collect();
        keys.sort_unstable();
        if keys.is_sorted_by(|one, next| one < next) {
            return Ok(());
        }
        Err(ConfigError::Value(
            "trust.proxy.public_key_sha256",
            "stands in two entries; each proxy is told once, with one header",
        ))
    }

    /// Where the audit trail goes.
    fn check_audit(&self) -> Result<(), ConfigError> {
        const SECOND: Duration = Duration::from_secs(1);
        const MINUTE: Duration = Duration::from_secs(60);
        const ROTATE_BYTES_MIN: usize = 64 << 10;
        let audit = &self.audit;
        for device in &audit.device {
            if (device.kind == AuditDeviceKind::File) != device.path.is_some() {
                return Err(ConfigError::Value(
                    "audit.device.path",
                    "is the name of the file where kind is file, and of nothing else",
                ));
            }
            if device.path.as_ref().and_then(|path| path.extension()).is_some_and(|it| it == "gz") {
                return Err(ConfigError::Value(
                    "audit.device.path",
                    "must not end in .gz, as files do that are packed; compress = true packs those before",
                ));
            }
            let is_syslog = device.kind == AuditDeviceKind::Syslog;
            if !is_syslog && (device.address.is_some() || device.facility.is_some()) {
                return Err(ConfigError::Value(
                    "audit.device.kind",
                    "must be syslog where there is an address or a facility",
                ));
            }
            let is_tls = matches!(device.address, Some(SyslogAddress::Tls(_)));
            if is_tls != device.ca.is_some() {
                return Err(ConfigError::Value(
                    "audit.device.ca",
                    "names the file of the authorities of a listener at a tls: address; it is there for that, and for nothing else",
                ));
            }
            if device.rotate_bytes.0 < ROTATE_BYTES_MIN {
                return Err(ConfigError::Value(
                    "audit.device.rotate_bytes",
                    "must be at least 64 KiB",
                ));
            }
            if device.rotate_time.0 < SECOND {
                return Err(ConfigError::Value("audit.device.rotate_time", "must be at least 1s"));
            }
        }
        let proves = |device: &AuditDevice| device.required && device.format == AuditFormat::Okmsd;
        if !audit.device.is_empty() && !audit.device.iter().any(proves) {
            return Err(ConfigError::Value(
                "audit.device.required",
                "must be true of at least one device whose format is okmsd: else nothing shows that all was recorded",
            ));
        }
        for (key, time) in
            [("audit.patience", audit.patience), ("audit.checkpoint_time", audit.checkpoint_time)]
        {
            if time.0.is_zero() || time.0 > MINUTE {
                return Err(ConfigError::Value(key, "must be more than nothing and at most 60s"));
            }
        }
        if audit.store_bytes.0 < 1 << 20 {
            return Err(ConfigError::Value("audit.store_bytes", "must be at least 1 MiB"));
        }
        if audit.store_time.0 < MINUTE {
            return Err(ConfigError::Value("audit.store_time", "must be at least 60s"));
        }
        if !(1..=100_000).contains(&audit.checkpoint_records) {
            return Err(ConfigError::Value("audit.checkpoint_records", "must be from 1 to 100000"));
        }
        Ok(())
    }

    /// How long tokens live, and what was removed.
    fn check_lives(&self) -> Result<(), ConfigError> {
        const SECOND: Duration = Duration::from_secs(1);
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        const TTL_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);
        if !(DAY..=3650 * DAY).contains(&self.secrets.retention.0) {
            return Err(ConfigError::Value("secrets.retention", "must be from 1d to 3650d"));
        }
        if !(DAY / 24..=365 * DAY).contains(&self.secrets.events.0) {
            return Err(ConfigError::Value("secrets.events", "must be from 1h to 365d"));
        }
        if !(SECOND..=3600 * SECOND).contains(&self.rotation.tick.0) {
            return Err(ConfigError::Value("rotation.tick", "must be from 1s to 1h"));
        }
        if !(SECOND..=3600 * SECOND).contains(&self.usage.flush.0) {
            return Err(ConfigError::Value("usage.flush", "must be from 1s to 1h"));
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
        Ok(())
    }

    fn check_rates(&self) -> Result<(), ConfigError> {
        const RATE_MAX: u32 = 1_000_000;
        let limits = &self.limits;
        for (key, rate) in [
            ("limits.domain_requests_per_second", limits.domain_requests_per_second),
            ("limits.domain_writes_per_second", limits.domain_writes_per_second),
            ("limits.subject_requests_per_second", limits.subject_requests_per_second),
            ("limits.address_handshakes_per_second", limits.address_handshakes_per_second),
            ("limits.handshakes_per_second", limits.handshakes_per_second),
            ("limits.subject_writes_per_second", limits.subject_writes_per_second),
        ] {
            if rate > RATE_MAX {
                return Err(ConfigError::Value(
                    key,
                    "must be from 1 to 1000000, or 0 for no bound",
                ));
            }
        }
        Ok(())
    }

    /// How revocation lists are read.
    fn check_lists(&self) -> Result<(), ConfigError> {
        const SECOND: Duration = Duration::from_secs(1);
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        const NO_LIST: &str = "counts for nothing without crl; name the lists there, or remove it";
        let crl_interval = self.reload.crl_interval.0;
        if !(SECOND..=DAY).contains(&crl_interval) {
            return Err(ConfigError::Value("reload.crl_interval", "must be from 1s to 24h"));
        }
        for ca in self.trust.customer_ca.iter().filter(|ca| ca.crl.is_empty()) {
            if ca.crl_stale.is_some() {
                return Err(ConfigError::Value("trust.customer_ca.crl_stale", NO_LIST));
            }
            if ca.crl_issuers.is_some() {
                return Err(ConfigError::Value("trust.customer_ca.crl_issuers", NO_LIST));
            }
        }
        Ok(())
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
        let jwt = &mut self.auth.jwt;
        let paths = paths.chain(&mut jwt.jwks_file).chain(&mut jwt.ca);
        let Postgres { password_file, ca, certificate, private_key, .. } = &mut self.store.postgres;
        let paths = paths.chain(password_file).chain(ca).chain(certificate).chain(private_key);
        let Pdp { certificate, private_key, bearer_file, ca, .. } = &mut self.pdp;
        let paths = paths
            .chain(certificate)
            .chain(private_key)
            .chain(bearer_file)
            .chain(ca)
            .chain(&mut self.dev.yaml_file);
        let of_customers = self.trust.customer_ca.iter_mut().flat_map(|ca| {
            let lists = ca.crl.iter_mut().filter_map(|source| match source {
                CrlSource::File(path) => Some(path),
                CrlSource::Http(_) => None,
            });
            lists.chain([&mut ca.certificate]).chain(&mut ca.crl_issuers)
        });
        let of_audit = self.audit.device.iter_mut().flat_map(|device| {
            let socket = match &mut device.address {
                Some(SyslogAddress::Unix(path)) => Some(path),
                _ => None,
            };
            device.path.iter_mut().chain(&mut device.ca).chain(socket)
        });
        for path in paths.chain(of_customers).chain(of_audit).chain(&mut self.audit.folder) {
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
