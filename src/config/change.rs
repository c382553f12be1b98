//! What differs between two configurations, and what of it can be had without a restart.

use super::schema::{
    Access, Audit, Auth, Config, Dev, Keys, Limits, Log, PathSecrets, Pdp, Reload, Rotation,
    Secrets, SecretsApi, Server, Store, Tokens, Trust, Usage,
};

/// Keys whose values differ between a configuration and the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Those that a running server takes.
    pub live: Vec<&'static str>,
    /// Those that count after a restart.
    pub restart: Vec<&'static str>,
}

/// Each key, and how a running server takes a change of it. One that is not named here does not
/// compile.
macro_rules! keys {
    ($($section:ident: $kind:ident { $($key:ident: $how:ident,)* })*) => {
        impl Config {
            /// What is another with `next`.
            #[must_use]
            pub fn changes(&self, next: &Self) -> Changes {
                let Self { region, environment, $($section,)* } = self;
                let mut changes = Changes::default();
                if *region != next.region {
                    changes.restart.push("region");
                }
                if *environment != next.environment {
                    changes.restart.push("environment");
                }
                $({
                    let $kind { $($key,)* } = $section;
                    $(if *$key != next.$section.$key {
                        changes.$how.push(concat!(stringify!($section), ".", stringify!($key)));
                    })*
                })*
                changes
            }
        }

        #[cfg(test)]
        const RESTART: &[&str] = &["region", "environment", $($(keys!(@ $how $section $key),)*)*];
    };
    (@ restart $section:ident $key:ident) => { concat!(stringify!($section), ".", stringify!($key)) };
    (@ live $section:ident $key:ident) => { "" };
}

keys! {
    server: Server {
        listen: restart,
        admin_listen: restart,
        endpoint: restart,
        certificate: live,
        private_key: live,
        client_auth: live,
        session_cache: live,
    }
    trust: Trust {
        region_ca: live,
        // Who issues certificates is read at the start.
        region_ca_key: restart,
        customer_ca: live,
        proxy: live,
    }
    keys: Keys {
        root_key: restart,
    }
    store: Store {
        engine: restart,
        path: restart,
        cache: restart,
        record_cache: restart,
        cache_reads: restart,
        log: restart,
        queue: restart,
        postgres: restart,
    }
    access: Access {
        // The directory is made with it.
        default_policy: restart,
        users_without_certificate: live,
    }
    auth: Auth {
        // Who signs is one as long as the server runs; what is in the file of its keys is live.
        jwt: restart,
    }
    path_secrets: PathSecrets {
        // The API is made with it.
        enabled: restart,
        require_auth: restart,
    }
    usage: Usage {
        enabled: restart,
        flush: restart,
    }
    pdp: Pdp {
        // What is in the files is live; who judges is one as long as the server runs.
        url: restart,
        timeout: restart,
        certificate: restart,
        private_key: restart,
        bearer_file: restart,
        ca: restart,
    }
    secrets_api: SecretsApi {
        // The API is made with it.
        enabled: restart,
        allowed_mounts: restart,
        page_size: restart,
        require_auth: restart,
        enforce_scopes: restart,
    }
    dev: Dev {
        // The API is made with it.
        helpers: restart,
        yaml_file: restart,
        yaml_domain: restart,
    }
    secrets: Secrets {
        // The API is made with it.
        retention: restart,
        events: restart,
    }
    rotation: Rotation {
        enabled: restart,
        tick: restart,
    }
    tokens: Tokens {
        default_ttl: live,
        max_ttl: live,
    }
    limits: Limits {
        // What is sized by it stands.
        connections: restart,
        anonymous_connections: restart,
        handshake_time: live,
        address_handshakes_per_second: live,
        handshakes_per_second: live,
        first_byte_time: live,
        head_time: live,
        head_bytes: live,
        body_time: live,
        // The API is made with it.
        value_bytes: restart,
        request_time: live,
        stall_time: live,
        idle_time: live,
        anonymous_idle_time: live,
        http2_streams: live,
        http2_resets: live,
        in_flight: restart,
        buffer_bytes: restart,
        feeds: restart,
        feed_time: restart,
        drain_time: live,
        // What counts for a domain can be set over the API.
        domain_requests_per_second: restart,
        domain_writes_per_second: restart,
        subject_requests_per_second: restart,
        subject_writes_per_second: restart,
        domain_tokens: restart,
        domain_secrets: restart,
        domain_version_bytes: restart,
    }
    audit: Audit {
        // The trail goes on from start to stop.
        device: restart,
        paths: restart,
        reads: restart,
        store: restart,
        store_bytes: restart,
        store_time: restart,
        folder: restart,
        patience: restart,
        checkpoint_records: restart,
        checkpoint_time: restart,
    }
    reload: Reload {
        interval: live,
        crl_interval: live,
    }
    log: Log {
        // How the lines look is chosen when the log is set up.
        format: restart,
        filter: live,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{LogFormat, Span};

    #[test]
    fn a_change_is_told_by_its_key() {
        let before = Config::default();
        assert_eq!(before.changes(&before), Changes::default());
        let mut next = before.clone();
        next.region = "eu-1".parse().unwrap();
        next.limits.idle_time = Span(Duration::from_secs(1));
        next.log.format = LogFormat::Text;
        next.log.filter = "debug".to_owned();
        assert_eq!(
            before.changes(&next),
            Changes {
                live: vec!["limits.idle_time", "log.filter"],
                restart: vec!["region", "log.format"],
            }
        );
    }

    /// An operator must not have to try which change counts when.
    #[test]
    fn the_readme_names_what_needs_a_restart() {
        let text = include_str!("../../README.md").replace('\n', " ");
        let (_, rest) = text.split_once("These need a restart: ").unwrap();
        let (named, _) = rest.split_once("`. ").unwrap();
        let mut named: Vec<_> = named.split('`').skip(1).step_by(2).collect();
        let mut needed: Vec<_> = RESTART.iter().copied().filter(|key| !key.is_empty()).collect();
        named.sort_unstable();
        needed.sort_unstable();
        assert_eq!(named, needed);
    }
}
