//! The configuration: a TOML file, overlaid by the environment, checked once.
//!
//! Owns every setting, its default and its unit. Always holds: unknown keys are refused, an error
//! names the key or the variable at fault and quotes no value, paths are absolute or relative to
//! the folder of the file. Never does: reading keys or certificates themselves; key material is
//! only ever named by file.

mod change;
mod check;
mod environment;
mod fault;
mod postgres;
mod schema;
mod syslog;
mod units;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

pub use self::{
    change::Changes,
    environment::environment,
    fault::{ConfigError, Fault, Twins},
    postgres::{DatabaseHost, NoHost, Postgres, RequireSync},
    schema::{
        Access, AddressHeader, Audit, AuditDevice, AuditDeviceKind, AuditFormat, AuditReads,
        AuditStore, Auth, CertificateHeader, ClientAuth, Config, CustomerCa, Environment, Jwt,
        JwtBinding, JwtCertificate, Keys, Limits, Log, LogFormat, PathSecrets, Pdp, Proxy,
        ROTATE_BYTES, ROTATE_TIME, Reload, Rotation, Secrets, SecretsApi, Server, StaleCrl, Store,
        StoreEngine, Tokens, Trust, Usage,
    },
    syslog::{Facility, SyslogAddress},
    units::{
        ByteSize, CrlSource, DefaultPolicy, HttpsAddress, KeyPin, MountName, PdpAddress, Region,
        Span,
    },
};

impl Config {
    /// Reads the file at `path`, overlaid by `environment`.
    ///
    /// # Errors
    /// `ConfigError` names the key, variable or file at fault.
    pub fn load(
        path: &Path,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|error| ConfigError::Read(path.into(), error))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let in_file = |error| ConfigError::File(path.into(), Fault::in_text(error, &text));
        // Once without the environment, so that an error tells the line.
        toml::from_str::<Self>(&text).map_err(in_file)?;
        let table = toml::from_str(&text).map_err(in_file)?;
        let overlaid = environment::overlay(table, environment)?;
        let config = Self::deserialize(overlaid)
            .map_err(|fault| ConfigError::Environment(path.into(), fault))?;
        Ok(config.check()?.resolve(folder))
    }

    /// The files that a running server loads again together. Revocation lists are loaded one by one.
    pub fn live_files(&self) -> impl Iterator<Item = &Path> {
        let Server { certificate, private_key, .. } = &self.server;
        let Trust { region_ca, region_ca_key, customer_ca, proxy: _ } = &self.trust;
        let Pdp { certificate: own, private_key: its_key, bearer_file, ca, .. } = &self.pdp;
        let of_pdp = [own, its_key, bearer_file, ca].into_iter().flatten();
        [certificate, private_key, region_ca]
            .into_iter()
            .chain(region_ca_key)
            .chain(&self.auth.jwt.jwks_file)
            .chain(of_pdp)
            .chain(
                customer_ca
                    .iter()
                    .flat_map(|ca| [&ca.certificate].into_iter().chain(&ca.crl_issuers)),
            )
            .map(PathBuf::as_path)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("okmsd.toml");
        fs::write(&path, text).unwrap();
        Config::load(&path, environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn an_empty_file_is_the_default() {
        let config = load("", &[]).unwrap();
        assert_eq!(config.server.listen.port(), 8443);
        assert!(config.store.path.is_absolute() && config.store.path.ends_with("okmsd.redb"));
    }

    #[test]
    fn the_environment_wins() {
        let text = "[server]\nlisten = \"127.0.0.1:1\"\n[limits]\nvalue_bytes = \"64KiB\"";
        let config = load(
            text,
            &[
                ("OKMSD_SERVER__LISTEN", "127.0.0.1:2"),
                ("OKMSD_LIMITS__IN_FLIGHT", "7"),
                ("OKMSD_REGION", "eu-1"),
                ("OKMSD_LIMITS__IDLE_TIME", "500ms"),
                ("HOME", "/"),
                ("OKMSD_PORT", "tcp://10.0.0.1:8443"),
            ],
        )
        .unwrap();
        assert_eq!((config.server.listen.port(), config.limits.in_flight), (2, 7));
        assert_eq!((config.limits.value_bytes.0, config.region.as_str()), (65_536, "eu-1"));
        assert_eq!(config.limits.idle_time.0, Duration::from_millis(500));
    }

    /// `OKMSD_REGION=2024` became a number, and the server did not start.
    #[test]
    fn a_region_may_be_called_2024() {
        assert_eq!(load("", &[("OKMSD_REGION", "2024")]).unwrap().region.as_str(), "2024");
    }

    /// A key that went astray, into the environment, a value or the place of the config file
    /// itself, was shown by the error, and the error goes to the log collector.
    #[test]
    fn errors_quote_no_value() {
        let secret = "correct-horse-battery-staple";
        let pem = format!("-----BEGIN PRIVATE KEY-----{secret}-----END PRIVATE KEY-----");
        let hex = "0123456789abcdef".repeat(4);
        let keys = include_str!("schema.rs")
            .lines()
            .skip_while(|line| !line.starts_with("pub struct Server"));
        let keys = keys.filter_map(|line| {
            line.trim().strip_prefix("pub ")?.split_once(':').map(|(key, _)| key)
        });
        let sections = ["server", "trust", "keys", "store", "limits", "log"];
        let keys: Vec<_> =
            keys.filter(|key| key.chars().all(|c| c.is_ascii_lowercase() || c == '_')).collect();
        assert!(keys.len() > 25, "the test finds the keys");
        for value in [secret, &pem, &hex, &pem.replace("-----", "\n")] {
            let mut said = Vec::new();
            for (section, key) in
                sections.iter().flat_map(|section| keys.iter().map(move |key| (section, key)))
            {
                let name = format!("OKMSD_{}__{}", section.to_uppercase(), key.to_uppercase());
                said.extend(load("", &[(&name, value)]).err());
                said.extend(
                    load(&format!("[{section}]\n{key} = \"{}\"", value.replace('\n', "\\n")), &[])
                        .err(),
                );
                said.extend(load(&format!("[{section}]\n{key} = {value}"), &[]).err());
            }
            said.extend(load(value, &[]).err());
            said.extend(load(&format!("region = \"a\"\nregion = \"{value}\""), &[]).err());
            said.extend(load("", &[("OKMSD_REGION", &format!("x {value}"))]).err());
            assert!(said.len() > 200);
            for error in said {
                let (shown, printed) = (error.to_string(), format!("{error:?}"));
                for part in [value, secret, &hex] {
                    assert!(!shown.contains(part) && !printed.contains(part), "{shown}");
                }
            }
        }
    }

    /// An entry of a customer's authority that says `more`.
    fn customer_ca(more: &str) -> String {
        let entry = "certificate = \"x\"\ndomain = \"5b1d7c3e-2f5a-4c57-9b3e-0d8f6a1c2e44\"";
        format!("[[trust.customer_ca]]\n{entry}\n{more}\n")
    }

    /// An entry of a proxy that says `more`.
    fn proxy(key: &str, more: &str) -> String {
        let entry = format!("public_key_sha256 = \"{key}\"\ncertificate_header = \"client-cert\"");
        format!("[[trust.proxy]]\n{entry}\n{more}\n")
    }

    fn jwt(text: &str) -> String {
        format!("[auth.jwt]\n{text}\n")
    }

    /// Case 120: a setting of two names is not set to two things, whatever each of them is.
    #[test]
    fn twins_say_one_thing() {
        let jwt = jwt("issuer = \"x\"\njwks_file = \"x\"");
        let own = ["REQUIRE_AUTH", "ENFORCE_SCOPES"].map(|key| format!("OKMSD_SECRETS_API__{key}"));
        let named = [
            ("SECRETS_API_REQUIRE_AUTH", &*own[0], "true", "false"),
            ("SECRETS_ENFORCE_SCOPES", &*own[1], "True", "false"),
            ("SECRETS_AUDIENCE", "OKMSD_AUTH__JWT__AUDIENCE", "a, b", "a"),
        ];
        for (other, own, one, two) in named {
            for pair in [[(other, one), (own, two)], [(own, one), (other, two)]] {
                let said = load(&jwt, &pair).unwrap_err().to_string();
                assert!(said.contains(other) && said.contains(own), "{said}");
            }
            assert!(load(&jwt, &[(other, one), (own, one)]).is_ok(), "{other}");
        }
        let config = load(&jwt, &named.map(|(other, _, one, _)| (other, one))).unwrap();
        assert_eq!(config.auth.jwt.audience, ["a", "b"]);
        let truths =
            SecretsApi { require_auth: true, enforce_scopes: true, ..SecretsApi::default() };
        assert_eq!(config.secrets_api, truths);
        let of_file = "[secrets_api]\nrequire_auth = true";
        let over = load(of_file, &[("SECRETS_API_REQUIRE_AUTH", "false")]).unwrap();
        assert!(!over.secrets_api.require_auth, "the environment wins");
        let config = load("", &[("OKMSD_ENVIRONMENT", "test"), ("ENVIRONMENT", "dev")]).unwrap();
        assert_eq!(config.environment, Environment::Test);
    }

    /// An audit device that says this.
    fn device(text: &str) -> String {
        format!("[[audit.device]]\n{text}\n")
    }

    #[test]
    fn lists_are_files_or_addresses() {
        let text = customer_ca("crl = [\"a/b.crl\", \"http://pki.example.com:8080/ca.crl?x=1\"]");
        let config = load(&text, &[]).unwrap();
        let [file, address] = config.trust.customer_ca[0].crl.as_slice() else { panic!("two") };
        assert!(matches!(file, CrlSource::File(path) if path.is_absolute()));
        assert!(matches!(address, CrlSource::Http(url) if url.ends_with("?x=1")));
        assert_eq!(address.to_string(), "http://pki.example.com:8080/ca.crl", "no query is shown");
    }

    #[test]
    fn errors_name_what_is_wrong() {
        for (text, environment, names) in [
            ("[server]\nlisen = 1", None, "lisen"),
            ("[limits]\nidle_time = 5", None, "line 2: limits.idle_time"),
            ("[server]\nclient_auth = \"maybe\"", None, "`optional` or `required`"),
            ("[server", None, "line 1"),
            (
                "",
                Some(("OKMSD_SERVER__PRIVATE_KEY", "-----BEGIN PRIVATE KEY-----")),
                "config key server.private_key",
            ),
            ("", Some(("OKMSD_LIMITS__IN_FLIGHT", "many")), "limits.in_flight"),
            ("[limits]\nvalue_bytes = \"2MiB\"", None, "limits.value_bytes"),
            ("[store]\nlog = \"23MiB\"", None, "store.log: must be from 24 MiB to 1 GiB"),
            ("[store]\nlog = \"1025MiB\"", None, "store.log: must be from 24 MiB to 1 GiB"),
            ("[limits]\nhead_bytes = \"5 parsecs\"", None, "512KiB"),
            ("[[trust.customer_ca]]\ncertificate = \"x\"\ndomain = \"y\"", None, "UUID"),
            ("region = \"a b\"", None, "region's name"),
            (
                "[server]\nclient_auth = \"required\"\n[access]\nusers_without_certificate = true",
                None,
                "access.users_without_certificate",
            ),
            (&proxy("0a", ""), None, "64 hexadecimal digits"),
            (&proxy(&"0a".repeat(32), "address_header = \"via\""), None, "`x-forwarded-for`"),
            (&proxy(&"0a".repeat(32), "domain = \"y\""), None, "UUID"),
            (&proxy(&"0a".repeat(32), "header = \"x\""), None, "header"),
            (&proxy(&"0a".repeat(32), "").repeat(2), None, "two entries"),
            (&jwt("issuer = \"x\""), None, "auth.jwt.issuer: needs jwks_file or jwks_url"),
            (&jwt("jwks_file = \"x\""), None, "auth.jwt.issuer: must be told"),
            ("", Some(("OKMSD_AUTH__JWT__CA", "x")), "auth.jwt.issuer: must be told"),
            (
                &jwt("issuer = \"x\"\njwks_file = \"x\"\njwks_url = \"https://x/\"\nca = \"x\""),
                None,
                "one of the two",
            ),
            (&jwt("issuer = \"x\"\njwks_url = \"https://x/\""), None, "auth.jwt.ca"),
            (&jwt("issuer = \"x\"\njwks_file = \"x\"\nca = \"x\""), None, "auth.jwt.ca"),
            (&jwt("jwks_url = \"http://x/\""), None, "https://"),
            (&jwt("jwks_url = \"https://a@x/\""), None, "without a user"),
            (&jwt("issuer = \"x\"\njwks_file = \"x\"\naudience = []"), None, "auth.jwt.audience"),
            (&jwt("issuer = \"x\"\njwks_file = \"x\"\nleeway = \"11m\""), None, "auth.jwt.leeway"),
            (&jwt("certificate = \"none\""), None, "`required` or `optional`"),
            (&jwt("binding = \"x\""), None, "`when-present` or `required`"),
            (
                &format!(
                    "[server]\nclient_auth = \"required\"\n{}",
                    jwt("issuer = \"x\"\njwks_file = \"x\"\ncertificate = \"optional\"")
                ),
                None,
                "auth.jwt.certificate",
            ),
            ("environment = \"staging\"", None, "`production`, `dev`, `test`"),
            ("[dev]\nyaml_file = \"x.yaml\"", None, "dev.yaml_file: is the file of one domain"),
            ("[dev]\nyaml_domain = \"x\"", None, "UUID"),
            ("[dev]\nhelpers = true", None, "dev.helpers: tells what the audit trail has"),
            ("[usage]\nflush = \"0s\"", None, "usage.flush"),
            ("", Some(("OKMSD_USAGE__FLUSH", "2h")), "usage.flush"),
            ("[secrets_api]\npage_size = 0", None, "secrets_api.page_size"),
            ("", Some(("OKMSD_SECRETS_API__PAGE_SIZE", "1001")), "secrets_api.page_size"),
            ("[secrets_api]\nallowed_mounts = [\"a//b\"]", None, "secrets_api.allowed_mounts"),
            ("", Some(("SECRETS_API_REQUIRE_AUTH", "1")), "secrets_api.require_auth"),
            ("[tokens]\nmax_ttl = \"1h\"", None, "tokens.default_ttl"),
            ("[tokens]\ndefault_ttl = \"999ms\"", None, "tokens.default_ttl"),
            ("[tokens]\nmax_ttl = \"900000h\"", None, "tokens.max_ttl"),
            ("", Some(("OKMSD_SERVER__LISEN", "x")), "lisen"),
            ("", Some(("OKMSD_LIMITS__IN_FLIGHT", "0")), "limits.in_flight"),
            (
                &device("kind = \"syslog\"\naddress = \"udp:x:1\""),
                None,
                "tls:logs.example.com:6514",
            ),
            (&device("kind = \"syslog\"\nfacility = \"kern\""), None, "local0 to local7"),
            (&device("kind = \"syslog\"\naddress = \"tls:x:1\""), None, "audit.device.ca"),
            (&device("kind = \"syslog\"\nca = \"x\""), None, "audit.device.ca"),
            (&device("kind = \"syslog\"\npath = \"x\""), None, "audit.device.path"),
            (&device("kind = \"file\"\npath = \"a.gz\""), None, "must not end in .gz"),
            (&device("kind = \"stdout\"\nfacility = \"user\""), None, "must be syslog"),
            (&device("kind = \"stdout\"\nrequired = false"), None, "audit.device.required"),
            (&device("kind = \"stdout\"\nformat = \"vault\""), None, "format is okmsd"),
            ("[reload]\ninterval = \"10ms\"", None, "reload.interval"),
            ("", Some(("OKMSD_RELOAD__INTERVAL", "25h")), "reload.interval"),
            ("[reload]\ncrl_interval = \"0s\"", None, "reload.crl_interval"),
            (&customer_ca("crl = [\"https://x/y.crl\"]"), None, "http://"),
            (&customer_ca("crl = [\"ldap://x/y\"]"), None, "http://"),
            (&customer_ca("crl = [\"http://user@x/y\"]"), None, "without a user"),
            (&customer_ca("crl = [\"\"]"), None, "name of a file"),
            (&customer_ca("crl_stale = \"accept\""), None, "crl_stale"),
            (&customer_ca("crl_issuers = \"x\""), None, "crl_issuers"),
            (&customer_ca("crl = [\"x\"]\ncrl_stale = \"maybe\""), None, "`refuse` or `accept`"),
        ] {
            let error = load(text, environment.as_slice()).unwrap_err().to_string();
            assert!(error.contains(names), "{text}: {error}");
        }
        assert!(
            Config::load(Path::new("/nowhere/x.toml"), std::iter::empty())
                .unwrap_err()
                .to_string()
                .contains("nowhere")
        );
    }
}
