//! The configuration: a TOML file, overlaid by the environment, checked once.
//!
//! Owns every setting, its default and its unit. Always holds: unknown keys are refused, an error names the key or
//! the variable at fault and quotes no value, paths are absolute or relative to the folder of the file. Never does: reading
//! keys or certificates themselves; key material is only ever named by file.
//!
//! Any key can be set in the environment: `OKMSD_SERVER__LISTEN` is `listen` in `[server]`, `OKMSD_REGION` is `region`.
//! Other names that begin with `OKMSD_` are not ours: Kubernetes makes such for a service called okmsd.

use std::{
    fmt, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Deserializer, de};

use crate::{
    domain::OkmsId,
    files::{self, FileName},
};

/// What the server needs to know.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The region's name, as in URNs.
    pub region: Region,
    /// Sockets and TLS.
    pub server: Server,
    /// Certificate authorities.
    pub trust: Trust,
    /// Key providers.
    pub keys: Keys,
    /// The store.
    pub store: Store,
    /// Tokens of the Vault dialect.
    pub tokens: Tokens,
    /// Limits on everything.
    pub limits: Limits,
    /// The log.
    pub log: Log,
}

/// A region's name: letters, digits and `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region(String);

impl Region {
    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if text.is_empty() || !text.bytes().all(is_name) {
            return Err("a region's name is letters, digits and - only");
        }
        Ok(Self(text.to_owned()))
    }
}

/// `[server]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where probes and metrics are, over plain HTTP.
    pub admin_listen: SocketAddr,
    /// The address that clients use, as shown in answers; `https://` and `listen` where absent.
    pub endpoint: Option<String>,
    /// The server's certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub private_key: PathBuf,
    /// Whether TLS refuses peers without a certificate.
    pub client_auth: ClientAuth,
    /// TLS sessions that can be resumed; 0 turns resumption off.
    pub session_cache: usize,
}

/// Whether a client certificate is needed to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// Not to connect, but for everything except the documentation.
    Optional,
    /// TLS refuses peers without one.
    Required,
}

/// `[trust]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trust {
    /// The region's own certificate authority, PEM: its certificates name their domain.
    pub region_ca: PathBuf,
    /// Its private key, PEM, where this server issues certificates.
    pub region_ca_key: Option<PathBuf>,
    /// Authorities of customers, each for one domain.
    pub customer_ca: Vec<CustomerCa>,
}

/// `[[trust.customer_ca]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomerCa {
    /// The authority's certificate, PEM.
    pub certificate: PathBuf,
    /// The domain that every certificate of this authority reaches.
    #[serde(deserialize_with = "from_text")]
    pub domain: OkmsId,
}

/// `[keys]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// The file of the root key: 64 hexadecimal characters, closed to others.
    pub root_key: PathBuf,
}

/// `[store]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// The database file.
    pub path: PathBuf,
    /// Memory for the database's pages.
    pub cache: ByteSize,
    /// Memory for records that were read lately (ciphertext).
    pub record_cache: ByteSize,
    /// Writes that may wait.
    pub queue: usize,
}

/// `[tokens]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tokens {
    /// How long a token lives whose maker asks for nothing.
    pub default_ttl: Span,
    /// How long any lives at most, renewed or not.
    pub max_ttl: Span,
}

/// `[limits]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at once; more wait in the kernel's queue.
    pub connections: usize,
    /// Those of them that may be of peers without a certificate, handshakes included; at most a quarter. Whoever has been
    /// idle for longest gives way to the next.
    pub anonymous_connections: usize,
    /// From accept to the end of the TLS handshake.
    pub handshake_time: Span,
    /// From the handshake to a connection's first byte.
    pub first_byte_time: Span,
    /// From a head's first byte to its last.
    pub head_time: Span,
    /// A URL with all headers.
    pub head_bytes: ByteSize,
    /// From a request's head to its body's end.
    pub body_time: Span,
    /// A secret's value; a body may be 64 KiB larger.
    pub value_bytes: ByteSize,
    /// From a request's head until its answer is taken; measured in steps of this length.
    pub request_time: Span,
    /// Taking nothing of an answer that waits.
    pub stall_time: Span,
    /// From an answer to the next request.
    pub idle_time: Span,
    /// The same for a peer without a certificate.
    pub anonymous_idle_time: Span,
    /// HTTP/2 streams at once on a connection.
    pub http2_streams: u32,
    /// HTTP/2 streams that a client may reset before they are answered.
    pub http2_resets: usize,
    /// Requests in progress at once; more are answered 429.
    pub in_flight: usize,
    /// Bodies that arrive and answers that wait, in memory at once; more are answered 429. A domain has a quarter of it.
    pub buffer_bytes: ByteSize,
    /// From the signal to stop to the end.
    pub drain_time: Span,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// Which lines are written: a level, or directives such as `okmsd=debug`.
    pub filter: String,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// A length of time: text such as `10s`, `500ms` or `2m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// A number of bytes: a number, or text such as `512KiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub usize);

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("config file {0}: {1}")]
    Read(FileName, #[source] io::Error),
    /// The file is not TOML, or a key in it is wrong.
    #[error("config file {0}: {1}")]
    File(FileName, Fault),
    /// What the environment adds makes it wrong.
    #[error("config file {0} with the environment's OKMSD_ variables: {1}")]
    Environment(FileName, Fault),
    /// A setting is out of its range.
    #[error("config key {0}: {1}")]
    Value(&'static str, &'static str),
}

/// What a parser found, and where: never what stands there. The parser's own error shows the whole line, which may be a
/// key or a password that went astray.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    line: Option<usize>,
    key: Option<String>,
    text: String,
}

impl Fault {
    /// `text` is what was parsed, where it is known.
    fn new(mut error: toml::de::Error, text: Option<&str>) -> Self {
        let line = text.zip(error.span()).and_then(|(text, span)| text.get(..span.start));
        let line = line.map(|before| before.matches('\n').count() + 1);
        let message = without_values(error.message());
        // Without its input, the error tells the key instead of the line.
        error.set_input(None);
        let shown = error.to_string();
        let key = shown.trim_end().rsplit_once("\nin `").and_then(|(_, key)| key.strip_suffix('`'));
        let key = key.filter(|key| key.split('.').all(is_plain)).map(str::to_owned);
        Self { line, key, text: message }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.text)
    }
}

/// A parser's message without the values that it quotes. It says what it wanted last.
fn without_values(message: &str) -> String {
    let named = message.split('`').nth(1).unwrap_or_default();
    if ["unknown field", "duplicate"].iter().any(|beginning| message.starts_with(beginning)) && !is_plain(named) {
        return "there is no such key; the README lists the keys".to_owned();
    }
    let quotes = ["invalid type", "invalid value", "invalid length", "unknown variant"];
    if !quotes.iter().any(|beginning| message.starts_with(beginning)) {
        return message.to_owned();
    }
    let wanted = message.rsplit_once(", expected ").map_or("another value", |(_, wanted)| wanted);
    format!("this value does not fit here, expected {wanted}")
}

/// Whether `text` is where clients reach a server: a URL without a user, a query or a fragment.
fn is_endpoint(text: &str) -> bool {
    let rest = text.strip_prefix("https://").unwrap_or_default();
    let is_clean = rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"@?#".contains(&byte));
    is_clean && (1..=255).contains(&rest.len())
}

/// Whether a key is a word such as ours, and no value that went astray.
fn is_plain(key: &str) -> bool {
    key.len() <= 32 && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

const PREFIX: &str = "OKMSD_";

/// The process's environment, as far as it is text.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

impl Config {
    /// Reads the file at `path`, overlaid by `environment`.
    ///
    /// # Errors
    /// `ConfigError` names the key, variable or file at fault.
    pub fn load(path: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|error| ConfigError::Read(path.into(), error))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let in_file = |error| ConfigError::File(path.into(), Fault::new(error, Some(&text)));
        // Once without the environment, so that an error tells the line.
        toml::from_str::<Self>(&text).map_err(in_file)?;
        let mut table: toml::Table = toml::from_str(&text).map_err(in_file)?;
        for (name, value) in environment {
            if let Some(key) = name.strip_prefix(PREFIX) {
                overlay(&mut table, key, value);
            }
        }
        let overlaid = |error| ConfigError::Environment(path.into(), Fault::new(error, None));
        let config = Self::deserialize(table).map_err(overlaid)?;
        Ok(config.checked()?.resolved(folder))
    }

    fn checked(self) -> Result<Self, ConfigError> {
        const VALUE_BYTES_MAX: usize = 1 << 20;
        const HEAD_BYTES_MAX: usize = 48 << 10;
        const COUNT_MAX: usize = 1_000_000;
        const TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
        const SECOND: Duration = Duration::from_secs(1);
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
                return Err(ConfigError::Value(key, "is the name of a file; this is what belongs into one"));
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
        let tokens = &self.tokens;
        if tokens.max_ttl.0 < SECOND || tokens.max_ttl.0 > TTL_MAX {
            return Err(ConfigError::Value("tokens.max_ttl", "must be from 1s to ten years (87840h)"));
        }
        if tokens.default_ttl.0 < SECOND || tokens.default_ttl.0 > tokens.max_ttl.0 {
            return Err(ConfigError::Value("tokens.default_ttl", "must be from 1s to tokens.max_ttl"));
        }
        Ok(self)
    }

    fn resolved(mut self, folder: &Path) -> Self {
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

/// Puts `value` where `SECTION__KEY` says.
fn overlay(table: &mut toml::Table, name: &str, value: String) {
    let name = name.to_ascii_lowercase();
    let (section, key) = match name.split_once("__") {
        Some((section, key)) => {
            let section = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            (section.as_table_mut(), key)
        }
        None if name == "region" => (Some(table), name.as_str()),
        None => return,
    };
    // A number or truth value where it reads like one; else text.
    let typed = match toml::from_str::<toml::Table>(&format!("value = {value}")) {
        Ok(mut parsed) => parsed.remove("value").filter(|value| value.is_integer() || value.is_bool()),
        Err(_) => None,
    };
    if let Some(section) = section {
        section.insert(key.to_owned(), typed.unwrap_or(toml::Value::String(value)));
    }
}

impl Default for Region {
    fn default() -> Self {
        Self("local".to_owned())
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 9464)),
            endpoint: None,
            certificate: "server_certificate.pem".into(),
            private_key: "server_privatekey.pem".into(),
            client_auth: ClientAuth::Optional,
            session_cache: 4096,
        }
    }
}

impl Default for Trust {
    fn default() -> Self {
        Self { region_ca: "region_ca.pem".into(), region_ca_key: None, customer_ca: Vec::new() }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self { root_key: "root.key".into() }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self { path: "okmsd.redb".into(), cache: ByteSize(256 << 20), record_cache: ByteSize(64 << 20), queue: 1024 }
    }
}

impl Default for Tokens {
    fn default() -> Self {
        // Vault's own number.
        let ttl = Span(Duration::from_secs(768 * 60 * 60));
        Self { default_ttl: ttl, max_ttl: ttl }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = |seconds| Span(Duration::from_secs(seconds));
        Self {
            connections: 10_000,
            anonymous_connections: 1000,
            handshake_time: seconds(10),
            first_byte_time: seconds(10),
            head_time: seconds(10),
            head_bytes: ByteSize(16 << 10),
            body_time: seconds(30),
            value_bytes: ByteSize(512 << 10),
            request_time: seconds(60),
            stall_time: seconds(10),
            idle_time: seconds(75),
            anonymous_idle_time: seconds(15),
            http2_streams: 100,
            http2_resets: 20,
            in_flight: 1024,
            buffer_bytes: ByteSize(256 << 20),
            drain_time: seconds(20),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Json, filter: "info".to_owned() }
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_unit(&text, &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)])
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(|| de::Error::custom("a time is a whole number and ms, s, m or h, such as \"10s\""))
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(usize),
            Text(String),
        }
        const WRONG: &str = "a size is a number of bytes, or text such as \"512KiB\", \"256MiB\" or \"1GiB\"";
        let bytes = match Either::deserialize(deserializer).map_err(|_| de::Error::custom(WRONG))? {
            Either::Number(bytes) => Some(bytes),
            Either::Text(text) => parse_unit(&text, &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)])
                .and_then(|bytes| usize::try_from(bytes).ok()),
        };
        bytes.map(Self).ok_or_else(|| de::Error::custom(WRONG))
    }
}

/// `<number><unit>` in the smallest unit.
fn parse_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn from_text<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(deserializer: D) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
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

    /// A key that went astray, into the environment, a value or the place of the config file itself, was shown by the
    /// error, and the error goes to the log collector.
    #[test]
    fn errors_quote_no_value() {
        let secret = "correct-horse-battery-staple";
        let pem = format!("-----BEGIN PRIVATE KEY-----{secret}-----END PRIVATE KEY-----");
        let hex = "0123456789abcdef".repeat(4);
        let keys = include_str!("config.rs").lines().skip_while(|line| !line.starts_with("pub struct Server"));
        let keys = keys.filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(':').map(|(key, _)| key));
        let sections = ["server", "trust", "keys", "store", "limits", "log"];
        let keys: Vec<_> = keys.filter(|key| key.chars().all(|c| c.is_ascii_lowercase() || c == '_')).collect();
        assert!(keys.len() > 25, "the test finds the keys");
        for value in [secret, &pem, &hex, &pem.replace("-----", "\n")] {
            let mut said = Vec::new();
            for (section, key) in sections.iter().flat_map(|section| keys.iter().map(move |key| (section, key))) {
                let name = format!("{PREFIX}{}__{}", section.to_uppercase(), key.to_uppercase());
                said.extend(load("", &[(&name, value)]).err());
                said.extend(load(&format!("[{section}]\n{key} = \"{}\"", value.replace('\n', "\\n")), &[]).err());
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

    #[test]
    fn errors_name_what_is_wrong() {
        for (text, environment, names) in [
            ("[server]\nlisen = 1", None, "lisen"),
            ("[limits]\nidle_time = 5", None, "line 2: limits.idle_time"),
            ("[server]\nclient_auth = \"maybe\"", None, "`optional` or `required`"),
            ("[server", None, "line 1"),
            ("", Some(("OKMSD_SERVER__PRIVATE_KEY", "-----BEGIN PRIVATE KEY-----")), "config key server.private_key"),
            ("", Some(("OKMSD_LIMITS__IN_FLIGHT", "many")), "limits.in_flight"),
            ("[limits]\nvalue_bytes = \"2MiB\"", None, "limits.value_bytes"),
            ("[limits]\nhead_bytes = \"5 parsecs\"", None, "512KiB"),
            ("[[trust.customer_ca]]\ncertificate = \"x\"\ndomain = \"y\"", None, "UUID"),
            ("region = \"a b\"", None, "region's name"),
            ("[tokens]\nmax_ttl = \"1h\"", None, "tokens.default_ttl"),
            ("[tokens]\ndefault_ttl = \"999ms\"", None, "tokens.default_ttl"),
            ("[tokens]\nmax_ttl = \"900000h\"", None, "tokens.max_ttl"),
            ("", Some(("OKMSD_SERVER__LISEN", "x")), "lisen"),
            ("", Some(("OKMSD_LIMITS__IN_FLIGHT", "0")), "limits.in_flight"),
        ] {
            let error = load(text, environment.as_slice()).unwrap_err().to_string();
            assert!(error.contains(names), "{text}: {error}");
        }
        assert!(
            Config::load(Path::new("/nowhere/x.toml"), std::iter::empty()).unwrap_err().to_string().contains("nowhere")
        );
    }
}
