//! Every setting, and its default.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;

use super::{
    postgres::Postgres,
    syslog::{Facility, SyslogAddress},
    units::{
        ByteSize, CrlSource, DefaultPolicy, HttpsAddress, KeyPin, MountName, PdpAddress, Region,
        Span, from_text,
    },
};
use crate::model::{self, OkmsId, Quota, Rate};

/// What the server needs to know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The region's name, as in URNs.
    pub region: Region,
    /// What the server is for.
    pub environment: Environment,
    /// Sockets and TLS.
    pub server: Server,
    /// Certificate authorities.
    pub trust: Trust,
    /// Key providers.
    pub keys: Keys,
    /// The store.
    pub store: Store,
    /// Who may do what where nobody has said so.
    pub access: Access,
    /// Who signs bearers, beside this server.
    pub auth: Auth,
    /// What the dialect of canonical URIs asks of bearers.
    pub secrets_api: SecretsApi,
    /// Who judges what is permitted.
    pub pdp: Pdp,
    /// What helps whoever develops.
    pub dev: Dev,
    /// Tokens of the Vault dialect.
    pub tokens: Tokens,
    /// Secrets that were removed.
    pub secrets: Secrets,
    /// How what is due is rotated.
    pub rotation: Rotation,
    /// How path secrets are served.
    pub path_secrets: PathSecrets,
    /// How reads are counted.
    pub usage: Usage,
    /// Limits on everything.
    pub limits: Limits,
    /// The audit trail.
    pub audit: Audit,
    /// How files are watched.
    pub reload: Reload,
    /// The log.
    pub log: Log,
}

/// What a server is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// People rely on it.
    #[default]
    Production,
    /// Somebody develops with it.
    Dev,
    /// Tests run on it.
    Test,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trust {
    /// The region's own certificate authority, PEM: its certificates name their domain.
    pub region_ca: PathBuf,
    /// Its private key, PEM, where this server issues certificates.
    pub region_ca_key: Option<PathBuf>,
    /// Authorities of customers, each for one domain.
    pub customer_ca: Vec<CustomerCa>,
    /// Proxies whose word is taken about who their clients are.
    pub proxy: Vec<Proxy>,
}

/// `[[trust.customer_ca]]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomerCa {
    /// The authority's certificate, PEM.
    pub certificate: PathBuf,
    /// The domain that every certificate of this authority reaches.
    #[serde(deserialize_with = "from_text")]
    pub domain: OkmsId,
    /// Where its revocation lists are. Where there is one, no certificate of the authority is let in
    /// that is not held against its list.
    #[serde(default)]
    pub crl: Vec<CrlSource>,
    /// The authorities below it whose lists are read as well, PEM.
    #[serde(default)]
    pub crl_issuers: Option<PathBuf>,
    /// What becomes of its certificates when a list is past its end; refused where it is not said.
    #[serde(default)]
    pub crl_stale: Option<StaleCrl>,
}

impl CustomerCa {
    /// An authority whose certificates are not held against any list.
    #[must_use]
    pub const fn new(certificate: PathBuf, domain: OkmsId) -> Self {
        Self { certificate, domain, crl: Vec::new(), crl_issuers: None, crl_stale: None }
    }
}

/// What becomes of an authority's certificates when its list is past its end (`nextUpdate`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StaleCrl {
    /// None is let in until there is a new list.
    Refuse,
    /// The old list goes on.
    Accept,
}

/// `[[trust.proxy]]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// SHA-256 of the public key of its own client certificate, which is of the region's authority.
    pub public_key_sha256: KeyPin,
    /// The header in which it says whose certificate it was shown.
    pub certificate_header: CertificateHeader,
    /// The header in which it says where its client is; not known where there is none.
    #[serde(default)]
    pub address_header: Option<AddressHeader>,
    /// The only domain whose certificates it may forward.
    #[serde(default, deserialize_with = "some_from_text")]
    pub domain: Option<OkmsId>,
}

impl Proxy {
    /// What is taken of it.
    #[must_use]
    pub const fn terms(&self) -> model::Proxy {
        let certificates = match self.certificate_header {
            CertificateHeader::ClientCert => model::CertificateHeader::ClientCert,
            CertificateHeader::XForwardedClientCert => {
                model::CertificateHeader::XForwardedClientCert
            }
        };
        let addresses = match self.address_header {
            None => None,
            Some(AddressHeader::XForwardedFor) => Some(model::AddressHeader::XForwardedFor),
            Some(AddressHeader::Forwarded) => Some(model::AddressHeader::Forwarded),
        };
        let KeyPin(key_sha256) = self.public_key_sha256;
        model::Proxy { key_sha256, certificates, addresses, domain: self.domain }
    }
}

/// A header with a client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateHeader {
    /// RFC 9440.
    ClientCert,
    /// Envoy's.
    XForwardedClientCert,
}

/// A header with a client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressHeader {
    /// A list of addresses, of which the last one counts.
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

fn some_from_text<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<OkmsId>, D::Error> {
    from_text(deserializer).map(Some)
}

/// `[keys]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// The file of the root key: 64 hexadecimal characters, closed to others.
    pub root_key: PathBuf,
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// What keeps it.
    pub engine: StoreEngine,
    /// The database file. Where the store is not a file, what this server keeps for itself lies beside that name.
    pub path: PathBuf,
    /// Memory for the database's pages.
    pub cache: ByteSize,
    /// Memory for records that were read lately (ciphertext).
    pub record_cache: ByteSize,
    /// Whether so much of what was read from a store that is shared is remembered, too: each read asks then whether
    /// others have changed anything, once for all that wait at the time, and no more of what is known.
    pub cache_reads: bool,
    /// The log beside the database: so much can be durable and not in that, and is in memory, too.
    pub log: ByteSize,
    /// How many writes may wait for their commit.
    pub queue: usize,
    /// The database that several servers share.
    pub postgres: Postgres,
}

/// What keeps a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreEngine {
    /// A file on one machine.
    #[default]
    Redb,
    /// A PostgreSQL that several servers share.
    Postgres,
}

/// `[secrets]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Secrets {
    /// How long a secret that was removed can be restored; it counts from the removal on.
    pub retention: Span,
    /// How long it is known what has happened to secrets, for those who keep up with that.
    pub events: Span,
}

/// `[rotation]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rotation {
    /// Whether this process rotates secrets whose policies say so.
    pub enabled: bool,
    /// How often it looks for what is due.
    pub tick: Span,
}

/// `[tokens]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tokens {
    /// How long a token lives if its maker asks for no time.
    pub default_ttl: Span,
    /// How long a token lives at most, renewed or not.
    pub max_ttl: Span,
}

/// `[access]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// What a domain's certificate may do that no rule of the domain is about.
    pub default_policy: DefaultPolicy,
    /// Whether users log in without a certificate, too, and go on so with the token that they get.
    pub users_without_certificate: bool,
}

/// `[auth]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Somebody else's tokens.
    pub jwt: Jwt,
}

/// `[auth.jwt]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Jwt {
    /// Who signs them; none are taken where it is not said.
    pub issuer: Option<String>,
    /// The file with the issuer's keys (JWKS).
    pub jwks_file: Option<PathBuf>,
    /// Where the issuer publishes them, in the place of a file.
    pub jwks_url: Option<HttpsAddress>,
    /// The authorities of that address, PEM.
    pub ca: Option<PathBuf>,
    /// For whom they may be.
    pub audience: Vec<String>,
    /// Whether they must say for whom they are.
    pub require_audience: bool,
    /// The claim that names the tenant.
    pub tenant_claim: String,
    /// Whether they count beside a client certificate alone.
    pub certificate: JwtCertificate,
    /// Whether they must be bound to one (RFC 8705).
    pub binding: JwtBinding,
    /// So far clocks may be apart.
    pub leeway: Span,
}

/// Whether there must be a client certificate beside a JWT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JwtCertificate {
    /// Always.
    Required,
    /// One that names its tenant counts without, where its dialect takes such.
    Optional,
}

/// Whether a JWT must be bound to the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JwtBinding {
    /// It is checked where it is there.
    WhenPresent,
    /// One that is not bound is refused.
    Required,
}

/// `[path_secrets]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PathSecrets {
    /// Whether there is anything at their addresses.
    pub enabled: bool,
    /// Whether each request brings a bearer, too.
    pub require_auth: bool,
}

/// `[usage]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Usage {
    /// Whether reads of secrets are counted.
    pub enabled: bool,
    /// How often what was counted is added to the store.
    pub flush: Span,
}

/// `[pdp]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pdp {
    /// Where a policy decision point (`OpenID AuthZEN` 1.0) is asked; nobody is where it is not said.
    pub url: Option<PdpAddress>,
    /// So long an answer may take.
    pub timeout: Span,
    /// The certificate by which this server is known there, PEM.
    pub certificate: Option<PathBuf>,
    /// The key of that, PEM.
    pub private_key: Option<PathBuf>,
    /// The file with the bearer token by which it is known there.
    pub bearer_file: Option<PathBuf>,
    /// The authorities of that address, PEM.
    pub ca: Option<PathBuf>,
}

/// `[secrets_api]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecretsApi {
    /// Whether it is spoken at all.
    pub enabled: bool,
    /// The mounts that URIs name; all where none is told.
    pub allowed_mounts: Vec<MountName>,
    /// How many entries a page of a list has where nobody says.
    pub page_size: u32,
    /// Whether each request brings a bearer, too.
    pub require_auth: bool,
    /// Whether the scopes of a JWT bound what may be done beside a certificate, too.
    pub enforce_scopes: bool,
}

/// `[dev]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dev {
    /// Whether the dialect of canonical URIs tells what was asked of late; where nobody says, `okmsd dev` does.
    pub helpers: Option<bool>,
    /// A file of secrets, YAML.
    pub yaml_file: Option<PathBuf>,
    /// The domain that has it.
    #[serde(deserialize_with = "some_from_text")]
    pub yaml_domain: Option<OkmsId>,
}

impl Dev {
    /// Whether what was asked of late is told.
    #[must_use]
    pub fn tells(&self) -> bool {
        self.helpers.unwrap_or(false)
    }
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections that may be open at once; more wait in the kernel's queue.
    pub connections: usize,
    /// Those of them that may be of peers without a certificate, handshakes included; at most a
    /// quarter. Whoever has been idle for longest gives way to the next.
    pub anonymous_connections: usize,
    /// From accept to the end of the TLS handshake.
    pub handshake_time: Span,
    /// Handshakes in a second of one address, of IPv6 of all that begin with the same 64 bits; ten
    /// seconds' worth may come at once, and more are closed. As many as there are where it is 0, and
    /// so with the next one.
    pub address_handshakes_per_second: u32,
    /// Handshakes in a second of all addresses.
    pub handshakes_per_second: u32,
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
    /// How long a client may take nothing of an answer that waits for it.
    pub stall_time: Span,
    /// From an answer to the next request.
    pub idle_time: Span,
    /// From an answer to the next request of a peer without a certificate.
    pub anonymous_idle_time: Span,
    /// HTTP/2 streams at once on a connection.
    pub http2_streams: u32,
    /// HTTP/2 streams that a client may reset before they are answered.
    pub http2_resets: usize,
    /// Requests in progress at once; more are answered 429.
    pub in_flight: usize,
    /// Bodies that arrive and answers that wait, in memory at once; more are answered 429. A domain
    /// has a quarter of it.
    pub buffer_bytes: ByteSize,
    /// Feeds at once, of one domain a quarter of it; more are answered 429.
    pub feeds: usize,
    /// How long a feed lives, until its client connects again.
    pub feed_time: Span,
    /// From the signal to stop to the end.
    pub drain_time: Span,
    /// Requests of a domain in a second, of which ten seconds' worth may come at once; more are
    /// answered 429. As many as there are where it is 0, and so with the next three. Operators set
    /// another bound for a domain over the API.
    pub domain_requests_per_second: u32,
    /// The same for its changes alone.
    pub domain_writes_per_second: u32,
    /// The same for the requests of one of its keys.
    pub subject_requests_per_second: u32,
    /// The same for the changes of one of its keys.
    pub subject_writes_per_second: u32,
    /// Tokens of a domain that are not over, about; as many as there are where it is 0.
    pub domain_tokens: u32,
    /// Secrets of a domain; as many as there are where it is 0.
    pub domain_secrets: u32,
    /// What the values of all versions of a domain's secrets may take; as much as there is where it is 0.
    pub domain_version_bytes: ByteSize,
}

/// `[audit]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// Where records go; there are none without a device.
    pub device: Vec<AuditDevice>,
    /// Whether records tell paths; what stands for them is the same for the same path.
    pub paths: bool,
    /// What becomes of reads while no device takes records.
    pub reads: AuditReads,
    /// Which records each domain sees over the API.
    pub store: AuditStore,
    /// How much of them is kept for a domain.
    pub store_bytes: ByteSize,
    /// How long they are kept.
    pub store_time: Span,
    /// The folder in which devices that are enabled over the API have their files; where there is
    /// none, none is enabled.
    pub folder: Option<PathBuf>,
    /// How long a device may take for a record before it counts as failed.
    pub patience: Span,
    /// So many records at most are not signed.
    pub checkpoint_records: u64,
    /// So long at most a record is not signed.
    pub checkpoint_time: Span,
}

/// Which records each domain sees over the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditStore {
    /// None.
    None,
    /// Those of changes, and of what was refused or failed.
    Changes,
    /// All.
    All,
}

/// What becomes of reads while no required device takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditReads {
    /// They go on, and are recorded later if that can be.
    Recorded,
    /// They are refused.
    Required,
}

/// `[[audit.device]]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditDevice {
    /// What it is.
    pub kind: AuditDeviceKind,
    /// In which form it gets records.
    #[serde(default)]
    pub format: AuditFormat,
    /// The file, where it is one.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// Whether what it does not take was not recorded.
    #[serde(default = "yes")]
    pub required: bool,
    /// So large at most a file becomes before the next one.
    #[serde(default = "rotate_bytes")]
    pub rotate_bytes: ByteSize,
    /// So old at most.
    #[serde(default = "rotate_time")]
    pub rotate_time: Span,
    /// How many of the files before are kept; all where it is 0.
    #[serde(default)]
    pub keep: usize,
    /// Whether those are packed with gzip.
    #[serde(default)]
    pub compress: bool,
    /// Where the listener is, where it is syslog; `/dev/log` where that is not told.
    #[serde(default)]
    pub address: Option<SyslogAddress>,
    /// The authorities of a listener over TLS, PEM.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Whose messages they are to it.
    #[serde(default)]
    pub facility: Option<Facility>,
}

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditDeviceKind {
    /// A file.
    File,
    /// Standard output.
    Stdout,
    /// A listener of syslog messages.
    Syslog,
}

/// In which form a device gets records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditFormat {
    /// Linked and signed.
    #[default]
    Okmsd,
    /// As Vault's devices write them, for tools that read those.
    Vault,
}

const fn yes() -> bool {
    true
}

const fn rotate_bytes() -> ByteSize {
    ROTATE_BYTES
}

const fn rotate_time() -> Span {
    ROTATE_TIME
}

/// So large a file of records becomes where nothing else is said.
pub const ROTATE_BYTES: ByteSize = ByteSize(128 << 20);
/// So old.
pub const ROTATE_TIME: Span = Span(Duration::from_secs(24 * 60 * 60));

/// `[reload]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reload {
    /// How often the files that can be loaded again are looked at; never where it is nothing.
    pub interval: Span,
    /// How often revocation lists with an address are fetched.
    pub crl_interval: Span,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
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
    /// A line of text, for people.
    Text,
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
        Self {
            region_ca: "region_ca.pem".into(),
            region_ca_key: None,
            customer_ca: Vec::new(),
            proxy: Vec::new(),
        }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self { root_key: "root.key".into() }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            engine: StoreEngine::Redb,
            path: "okmsd.redb".into(),
            cache: ByteSize(128 << 20),
            record_cache: ByteSize(64 << 20),
            cache_reads: false,
            log: ByteSize(64 << 20),
            queue: 1024,
            postgres: Postgres::default(),
        }
    }
}

impl Default for Secrets {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self { retention: Span(30 * DAY), events: Span(7 * DAY) }
    }
}

impl Default for PathSecrets {
    fn default() -> Self {
        Self { enabled: true, require_auth: false }
    }
}

impl Default for Usage {
    fn default() -> Self {
        Self { enabled: true, flush: Span(Duration::from_secs(60)) }
    }
}

impl Default for Rotation {
    fn default() -> Self {
        Self { enabled: true, tick: Span(Duration::from_secs(15)) }
    }
}

impl Default for Jwt {
    fn default() -> Self {
        Self {
            issuer: None,
            jwks_file: None,
            jwks_url: None,
            ca: None,
            audience: vec!["crud.secrets".to_owned()],
            require_audience: false,
            tenant_claim: "tenant_id".to_owned(),
            certificate: JwtCertificate::Required,
            binding: JwtBinding::WhenPresent,
            leeway: Span(Duration::from_secs(60)),
        }
    }
}

impl Default for SecretsApi {
    fn default() -> Self {
        Self {
            enabled: true,
            allowed_mounts: Vec::new(),
            page_size: 100,
            require_auth: false,
            enforce_scopes: false,
        }
    }
}

impl Default for Pdp {
    fn default() -> Self {
        Self {
            url: None,
            timeout: Span(Duration::from_secs(2)),
            certificate: None,
            private_key: None,
            bearer_file: None,
            ca: None,
        }
    }
}

impl Default for Tokens {
    fn default() -> Self {
        // Vault's own number.
        let ttl = Span(Duration::from_secs(768 * 60 * 60));
        Self { default_ttl: ttl, max_ttl: ttl }
    }
}

impl Limits {
    /// What bounds a domain for which nothing else is set.
    #[must_use]
    pub fn quota(&self) -> Quota {
        let some = |number: u64| Some(number).filter(|number| *number > 0);
        Quota {
            requests: Rate::per_second(self.domain_requests_per_second),
            writes: Rate::per_second(self.domain_writes_per_second),
            subject_requests: Rate::per_second(self.subject_requests_per_second),
            subject_writes: Rate::per_second(self.subject_writes_per_second),
            tokens: some(self.domain_tokens.into()),
            secrets: some(self.domain_secrets.into()),
            bytes: some(self.domain_version_bytes.0 as u64),
            weight: Some(1),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = |seconds| Span(Duration::from_secs(seconds));
        Self {
            connections: 10_000,
            anonymous_connections: 1000,
            handshake_time: seconds(10),
            address_handshakes_per_second: 500,
            handshakes_per_second: 2000,
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
            feeds: 256,
            feed_time: seconds(900),
            drain_time: seconds(20),
            domain_requests_per_second: 0,
            domain_writes_per_second: 0,
            subject_requests_per_second: 0,
            subject_writes_per_second: 0,
            domain_tokens: 100_000,
            domain_secrets: 10_000_000,
            domain_version_bytes: ByteSize(100 << 30),
        }
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            device: Vec::new(),
            paths: true,
            reads: AuditReads::Recorded,
            store: AuditStore::Changes,
            store_bytes: ByteSize(64 << 20),
            store_time: Span(Duration::from_secs(90 * 24 * 60 * 60)),
            folder: None,
            patience: Span(Duration::from_secs(10)),
            checkpoint_records: 1000,
            checkpoint_time: Span(Duration::from_secs(10)),
        }
    }
}

impl Default for Reload {
    fn default() -> Self {
        Self {
            interval: Span(Duration::from_millis(400)),
            crl_interval: Span(Duration::from_secs(10 * 60)),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Json, filter: "info".to_owned() }
    }
}
