//! The one harness: a server in this process with real TLS on a free port, a temporary store, a certificate authority
//! of its own and a clock that the test moves. Its client checks what every answer must have.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, header::HeaderMap};
use hyper_util::rt::{TokioExecutor, TokioIo};
use okmsd::{
    api::DIALECTS,
    app::{App, AppError, Over, Reloader},
    clock::Clock,
    config::{ByteSize, Config},
    domain::Timestamp,
    metrics::Metrics,
    pki::{CertificateAuthority, KeyKind, KeySource, PrivateKeyPem, Subject},
    server::Stopper,
    store::engine::Engine,
};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// 2025-01-02T03:04:05Z, when every test begins.
pub const START: i64 = 1_735_787_045;
pub const START_TEXT: &str = "2025-01-02T03:04:05Z";

/// How long a test waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A clock that stands still until the test moves it.
pub struct MockClock(AtomicI64);

impl MockClock {
    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000_000, Ordering::SeqCst);
    }
}

impl Clock for MockClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_nanos(self.0.load(Ordering::SeqCst))
    }
}

/// The protocols that every test about the wire runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    One,
    Two,
}

pub const BOTH: [Http; 2] = [Http::One, Http::Two];

/// A certificate with its key, both PEM.
pub struct Pair {
    pub certificate: String,
    pub key: PrivateKeyPem,
}

/// A region's files, and the server that runs on them.
pub struct TestServer {
    pub folder: TempDir,
    pub authority: CertificateAuthority,
    pub authority_key: PrivateKeyPem,
    pub clock: Arc<MockClock>,
    pub config: Config,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub reloader: Reloader,
    stopper: Stopper,
    running: JoinHandle<()>,
}

impl TestServer {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts a server whose config `change` has changed.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let prepared = Prepared::new(change);
        let running = run(&prepared.config, &prepared.clock).await.unwrap();
        prepared.running(running)
    }

    /// Starts a server with one domain, and a client of it.
    pub async fn with_tenant() -> (Self, Client) {
        let server = Self::start().await;
        let client = server.tenant().await;
        (server, client)
    }

    /// Starts a server on an engine that `make` makes. A restart goes back to the config's store.
    pub async fn start_on(
        change: impl FnOnce(&mut Config),
        make: impl FnOnce(&Config, Arc<Metrics>) -> Arc<dyn Engine>,
    ) -> Self {
        Self::start_over(change, |config, metrics| {
            let engine = make(config, Arc::clone(&metrics));
            Over { engine, metrics, dialects: DIALECTS }
        })
        .await
    }

    /// Starts a server over these parts.
    pub async fn start_over(
        change: impl FnOnce(&mut Config),
        make: impl FnOnce(&Config, Arc<Metrics>) -> Over,
    ) -> Self {
        let prepared = Prepared::new(change);
        let over = make(&prepared.config, Arc::new(Metrics::new().unwrap()));
        let clock = Arc::clone(&prepared.clock) as Arc<dyn Clock>;
        let app = App::start_on(&prepared.config, clock, over).await.unwrap();
        prepared.running(spawn(app))
    }

    /// Stops the server as a signal would, and starts another on the same folder.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await.unwrap();
    }

    /// Starts a server on the same folder, once the one before is stopped.
    pub async fn start_again(&mut self) -> Result<(), AppError> {
        (self.address, self.admin, self.reloader, self.stopper, self.running) = run(&self.config, &self.clock).await?;
        Ok(())
    }

    /// Stops the server, and waits until its store is closed.
    pub async fn stop(&mut self) {
        self.stopper.stop();
        tokio::time::timeout(PATIENCE, &mut self.running).await.expect("the server stops").unwrap();
    }

    /// Asks the server to stop, and does not wait.
    pub fn begin_stop(&self) {
        self.stopper.stop();
    }

    /// An access certificate of the region's authority.
    pub fn issue(&self, subject: &Subject, days: u32) -> Pair {
        issue(&self.authority, subject, days)
    }

    /// A certificate of the region's authority with whatever `leaf` says, right or wrong.
    pub fn mint(&self, leaf: &Leaf<'_>) -> Pair {
        mint(&self.authority, &self.authority_key, leaf)
    }

    /// A client with the operator certificate.
    pub fn operator(&self) -> Client {
        self.client(Some(&self.issue(&Subject::Operator, 30)), None, Http::One)
    }

    /// A client without a certificate.
    pub fn anonymous(&self) -> Client {
        self.client(None, None, Http::One)
    }

    /// A new domain, and a client with a certificate of it.
    pub async fn tenant(&self) -> Client {
        let body = format!(r#"{{"name":"{}"}}"#, unique("tenant"));
        let created = self.operator().call(Method::POST, "/v2/okms/resource", &body).await;
        let id = created.json()["id"].as_str().unwrap().to_owned();
        self.client_of(&id, Http::One)
    }

    /// A client with a certificate of the domain `id`.
    pub fn client_of(&self, id: &str, http: Http) -> Client {
        self.client(Some(&self.issue(&Subject::Domain(id.parse().unwrap()), 30)), Some(id), http)
    }

    /// A client with any certificate, or none, that speaks `http`.
    pub fn client(&self, pair: Option<&Pair>, id: Option<&str>, http: Http) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.certificate_pem().as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_details(
            Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            Arc::new(TestTime(Arc::clone(&self.clock))),
        )
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
        let mut tls = match pair {
            Some(pair) => {
                let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes());
                let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
                let key = PrivateKeyDer::from_pem_slice(pair.key.expose().as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        tls.alpn_protocols = vec![match http {
            Http::One => b"http/1.1".to_vec(),
            Http::Two => b"h2".to_vec(),
        }];
        Client { address: self.address, id: id.unwrap_or_default().to_owned(), http, tls: Arc::new(tls) }
    }

    /// A GET on the admin listener: status and text.
    pub async fn admin(&self, path: &str) -> (StatusCode, String) {
        let stream = TcpStream::connect(self.admin).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get(path).header("host", "localhost").body(Full::default()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// The value of a metric's first line that begins with `name`; 0 where there is none.
    pub async fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.admin("/metrics").await;
        let line = text.lines().find(|line| line.starts_with(name));
        line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    /// The client, at the address that the server has now.
    pub fn at(&self, client: &Client) -> Client {
        Client { address: self.address, ..client.clone() }
    }

    /// Waits until the metric's line is at least `least`.
    #[track_caller]
    pub fn metric_reaches(&self, name: &str, least: f64) -> impl Future<Output = ()> {
        eventually(name.to_owned(), async move || self.metric(name).await >= least)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A domain's name that nobody has: no two have one.
pub fn unique(name: &str) -> String {
    static NUMBER: AtomicI64 = AtomicI64::new(0);
    format!("{name} {}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Waits until `condition` holds.
pub async fn eventually(what: impl std::fmt::Display, condition: impl AsyncFn() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !condition().await {
        assert!(std::time::Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A region's files, before its server runs.
struct Prepared {
    folder: TempDir,
    authority: CertificateAuthority,
    authority_key: PrivateKeyPem,
    clock: Arc<MockClock>,
    config: Config,
}

impl Prepared {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let moment = Timestamp::from_unix_seconds(START);
        let (authority, authority_key) = CertificateAuthority::create("test region CA", moment, 3650).unwrap();
        let names = ["localhost".parse().unwrap(), "127.0.0.1".parse().unwrap()];
        let server = authority.issue_server(&names, KeySource::Fresh(KeyKind::P256), moment, 3600).unwrap();
        let write = |name: &str, text: &str| write_private(&folder.path().join(name), text);
        write("region_ca.pem", authority.certificate_pem());
        write("region_ca_privatekey.pem", authority_key.expose());
        write("server_certificate.pem", &server.certificate_pem);
        write("server_privatekey.pem", server.key.unwrap().expose());
        write("root.key", &okmsd::crypto::FileRootKey::generate().unwrap());
        write("okmsd.toml", "[trust]\nregion_ca_key = \"region_ca_privatekey.pem\"\n");
        let mut config = Config::load(&folder.path().join("okmsd.toml"), std::iter::empty()).unwrap();
        config.server.listen = "127.0.0.1:0".parse().unwrap();
        config.server.admin_listen = "127.0.0.1:0".parse().unwrap();
        config.store.cache = ByteSize(8 << 20);
        config.store.record_cache = ByteSize(1 << 20);
        change(&mut config);
        let clock = Arc::new(MockClock(AtomicI64::new(START * 1_000_000_000)));
        Self { folder, authority, authority_key, clock, config }
    }

    fn running(self, (address, admin, reloader, stopper, running): Running) -> TestServer {
        let Self { folder, authority, authority_key, clock, config } = self;
        TestServer { folder, authority, authority_key, clock, config, address, admin, reloader, stopper, running }
    }
}

/// An access certificate of `authority`.
pub fn issue(authority: &CertificateAuthority, subject: &Subject, days: u32) -> Pair {
    let moment = Timestamp::from_unix_seconds(START);
    let issued = authority.issue_access(subject, "test", KeySource::Fresh(KeyKind::P256), moment, days).unwrap();
    Pair { certificate: issued.certificate_pem, key: issued.key.unwrap() }
}

/// What a hand-made certificate says. The rules of [`okmsd::pki`] do not bind it.
pub struct Leaf<'a> {
    pub upns: &'a [&'a str],
    pub valid: std::ops::RangeInclusive<i64>,
    pub usage: ExtendedKeyUsagePurpose,
    pub is_ca: bool,
}

impl Default for Leaf<'_> {
    fn default() -> Self {
        let valid = START - 60..=START + 86_400;
        Self { upns: &[], valid, usage: ExtendedKeyUsagePurpose::ClientAuth, is_ca: false }
    }
}

/// A certificate of `authority` with whatever `leaf` says.
pub fn mint(authority: &CertificateAuthority, key: &PrivateKeyPem, leaf: &Leaf<'_>) -> Pair {
    const UPN: [u64; 10] = [1, 3, 6, 1, 4, 1, 311, 20, 2, 3];
    let issuer_key = KeyPair::from_pem(key.expose()).unwrap();
    let issuer = Issuer::from_ca_cert_pem(authority.certificate_pem(), issuer_key).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "hand-made");
    params.not_before = OffsetDateTime::from_unix_timestamp(*leaf.valid.start()).unwrap();
    params.not_after = OffsetDateTime::from_unix_timestamp(*leaf.valid.end()).unwrap();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![leaf.usage.clone()];
    params.is_ca = if leaf.is_ca { IsCa::Ca(rcgen::BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
    let names = leaf.upns.iter().map(|upn| SanType::OtherName((UPN.to_vec(), (*upn).into())));
    params.subject_alt_names = names.collect();
    let own_key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&own_key, &issuer).unwrap();
    Pair { certificate: certificate.pem(), key: PrivateKeyPem::parse(own_key.serialize_pem()).unwrap() }
}

pub fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

type Running = (SocketAddr, SocketAddr, Reloader, Stopper, JoinHandle<()>);

async fn run(config: &Config, clock: &Arc<MockClock>) -> Result<Running, AppError> {
    Ok(spawn(App::start(config, Arc::clone(clock) as Arc<dyn Clock>).await?))
}

fn spawn(app: App) -> Running {
    (app.address(), app.admin_address(), app.reloader(), app.stopper(), tokio::spawn(app.run()))
}

#[derive(Debug)]
struct TestTime(Arc<MockClock>);

impl rustls::time_provider::TimeProvider for TestTime {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        let seconds = self.0.now().unix_seconds().try_into().unwrap();
        Some(rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

impl std::fmt::Debug for MockClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.now().unix_seconds())
    }
}

/// A client of one domain. Each call is a connection of its own, unless the test opens one.
#[derive(Clone)]
pub struct Client {
    pub address: SocketAddr,
    pub id: String,
    pub http: Http,
    pub tls: Arc<ClientConfig>,
}

/// An answer, checked for what every answer must have.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The JSON of an answer that must be 200.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        self.json()
    }

    /// That the answer is this error; its text.
    #[track_caller]
    pub fn error(&self, status: u16, code: u32) -> String {
        assert_eq!((self.status.as_u16(), self.json()["error_code"].as_u64()), (status, Some(code.into())), "{self:?}");
        self.json()["errors"][0].as_str().unwrap().to_owned()
    }

    /// The value in a secret or a version, as it was written on the wire.
    pub fn data(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Shown {
            data: Option<Box<RawValue>>,
            version: Option<Box<Shown>>,
        }
        let shown: Shown = serde_json::from_slice(&self.body).unwrap();
        let data = shown.data.or_else(|| shown.version?.data);
        data.map(|data| data.get().to_owned())
    }

    /// The warnings; none where there is no such field.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.ok()["warnings"].as_array().cloned().unwrap_or_default();
        warnings.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    /// Everything that a caller can see of the answer, apart from what must differ: the request's id and the date.
    pub fn likeness(&self) -> String {
        let id = self.headers["x-request-id"].to_str().unwrap();
        let mut headers: Vec<_> = self.headers.iter().filter(|(name, _)| *name != "date").collect();
        headers.sort_by_key(|(name, _)| name.as_str());
        format!("{} {headers:?} {}", self.status, self.text()).replace(id, "ID")
    }

    /// The cursor of the next page.
    pub fn next(&self) -> Option<String> {
        self.headers.get("x-pagination-cursor-next").map(|next| next.to_str().unwrap().to_owned())
    }
}

/// Headers that an answer may have. One that is not here is a leak until somebody says why not.
const KNOWN_HEADERS: &[&str] = &[
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "location",
    "retry-after",
    "transfer-encoding",
    "x-content-type-options",
    "x-frame-options",
    "x-pagination-cursor-next",
    "x-request-id",
    "x-vault-namespace",
];

impl Client {
    /// The same certificate over the other protocol.
    pub fn over(&self, http: Http) -> Self {
        let mut tls = (*self.tls).clone();
        tls.alpn_protocols = vec![match http {
            Http::One => b"http/1.1".to_vec(),
            Http::Two => b"h2".to_vec(),
        }];
        Self { http, tls: Arc::new(tls), ..self.clone() }
    }

    /// The path of `rest` in the client's own domain: `secret/foo`.
    pub fn url(&self, rest: &str) -> String {
        format!("/api/{}/v2/{rest}", self.id)
    }

    /// Creates the secret `path` with this value.
    pub async fn create(&self, path: &str, data: &str) -> Answer {
        self.post("secret", &format!(r#"{{"path":"{path}","version":{{"data":{data}}}}}"#)).await
    }

    /// Creates secrets with these paths, over a few connections at once.
    pub async fn create_all(&self, paths: &[String]) {
        let connections = paths.chunks(paths.len().div_ceil(8)).map(|share| {
            let (client, share) = (self.clone(), share.to_vec());
            tokio::spawn(async move {
                let mut connection = client.connect().await;
                for path in share {
                    let body = format!(r#"{{"path":"{path}","version":{{"data":{{}}}}}}"#);
                    connection.send(Method::POST, &client.url("secret"), &[], body).await.ok();
                }
            })
        });
        for task in connections.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }

    /// A page of the list at `rest`.
    pub async fn page(&self, rest: &str, size: &str, cursor: Option<&str>) -> Answer {
        let mut headers = vec![("x-pagination-size", size)];
        headers.extend(cursor.map(|cursor| ("x-pagination-cursor", cursor)));
        self.send(Method::GET, &self.url(rest), &headers, "").await
    }

    /// Whether the server ends the handshake with an alert. In TLS 1.3 it comes after the client's last flight.
    pub async fn is_refused_in_tls(&self) -> bool {
        let Ok(mut stream) = self.tls().await else { return true };
        let request = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let (mut answer, _) = (Vec::new(), stream.write_all(request).await);
        match stream.read_to_end(&mut answer).await {
            Ok(_) => false,
            Err(error) => answer.is_empty() && error.to_string().contains("alert"),
        }
    }

    pub async fn get(&self, rest: &str) -> Answer {
        self.call(Method::GET, &self.url(rest), "").await
    }

    pub async fn post(&self, rest: &str, body: &str) -> Answer {
        self.call(Method::POST, &self.url(rest), body).await
    }

    pub async fn put(&self, rest: &str, body: &str) -> Answer {
        self.call(Method::PUT, &self.url(rest), body).await
    }

    pub async fn delete(&self, rest: &str) -> Answer {
        self.call(Method::DELETE, &self.url(rest), "").await
    }

    pub async fn call(&self, method: Method, path: &str, body: &str) -> Answer {
        self.send(method, path, &[], body.to_owned()).await
    }

    /// Sends a request on a connection of its own.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        self.connect().await.send(method, path, headers, body).await
    }

    /// A TLS stream to the server.
    pub async fn tls(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await
    }

    /// A connection that many requests can use.
    pub async fn connect(&self) -> Connection {
        let stream = TokioIo::new(self.tls().await.expect("a handshake"));
        match self.http {
            Http::One => {
                let (sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
                let driver = tokio::spawn(async move { drop(connection.await) });
                Connection { sender: Sender::One(sender), driver }
            }
            Http::Two => {
                let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await;
                let (sender, connection) = handshake.unwrap();
                let driver = tokio::spawn(async move { drop(connection.await) });
                Connection { sender: Sender::Two(sender), driver }
            }
        }
    }
}

/// An open connection.
pub struct Connection {
    pub sender: Sender,
    /// Ends when the connection does.
    pub driver: JoinHandle<()>,
}

pub enum Sender {
    One(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    Two(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.try_send(method, path, headers, body).await.expect("an answer")
    }

    pub async fn try_send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> hyper::Result<Answer> {
        let mut request = Request::builder().method(&method);
        request = match self.sender {
            Sender::One(_) => request.uri(path).header("host", "localhost"),
            Sender::Two(_) => request.uri(format!("https://localhost{path}")),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let response = match &mut self.sender {
            Sender::One(sender) => {
                sender.ready().await?;
                tokio::time::timeout(PATIENCE, sender.send_request(request)).await.expect("an answer in time")?
            }
            Sender::Two(sender) => {
                sender.ready().await?;
                tokio::time::timeout(PATIENCE, sender.send_request(request)).await.expect("an answer in time")?
            }
        };
        let (head, body) = response.into_parts();
        let answer = Answer { status: head.status, headers: head.headers, body: body.collect().await?.to_bytes() };
        check(&answer, &method);
        Ok(answer)
    }
}

/// The members of Vault's envelope.
pub const ENVELOPE: [&str; 9] =
    ["auth", "data", "lease_duration", "lease_id", "mount_type", "renewable", "request_id", "warnings", "wrap_info"];

/// What every answer must have.
fn check(answer: &Answer, method: &Method) {
    let header = |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap());
    for name in answer.headers.keys() {
        assert!(KNOWN_HEADERS.contains(&name.as_str()), "an unknown header {name}");
    }
    let id = header("x-request-id").expect("a request id");
    assert_eq!(id.len(), 36, "{id}");
    assert_eq!(header("cache-control"), Some("no-store"));
    assert_eq!(header("x-content-type-options"), Some("nosniff"));
    if method == Method::HEAD {
        assert!(answer.body.is_empty());
        return;
    }
    if answer.status.is_client_error() || answer.status.is_server_error() {
        assert_eq!(header("content-type"), Some("application/json"), "{answer:?}");
        let body = answer.json();
        // Vault's health is told by a status and is no error.
        if body.get("server_time_utc").is_some() {
            return;
        }
        let mut keys: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        if keys.len() > 4 {
            // What is there and cannot be read: an error and an envelope in one.
            assert!(ENVELOPE.iter().all(|key| keys.contains(key)), "{answer:?}");
            keys.retain(|key| *key == "request_id" || !ENVELOPE.contains(key));
        } else {
            assert_eq!(body["request_id"], id);
        }
        keys.sort_unstable();
        assert_eq!(keys, ["error_code", "error_id", "errors", "request_id"]);
        assert!(body["error_code"].as_i64().is_some_and(|code| i32::try_from(code).is_ok()));
        assert!(body["errors"].as_array().unwrap().iter().all(|text| !text.as_str().unwrap().is_empty()));
        let later = matches!(answer.status.as_u16(), 429 | 503);
        assert_eq!(header("retry-after").is_some(), later, "{answer:?}");
    }
    if answer.status == StatusCode::NO_CONTENT {
        assert!(answer.body.is_empty());
    }
}
