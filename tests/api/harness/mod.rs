//! The one harness: a server in this process with real TLS on a free port, a temporary store, a
//! certificate authority of its own and a clock that the test moves. Its client checks what every
//! answer must have.

mod answer;
mod certificates;
mod client;
mod clock;
mod database;
mod log;
#[path = "../../support/mtls.rs"]
mod mtls;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use hyper::{Method, StatusCode};
use okmsd::{
    api::DIALECTS,
    app::{App, AppError, Files, Keeper, Over, Reloader},
    clock::Clock,
    config::{AuditDevice, AuditDeviceKind, AuditFormat, ByteSize, Config, Span},
    metrics::Metrics,
    model::Timestamp,
    pki::{CertificateAuthority, KeyKind, KeySource, PrivateKeyPem, Subject},
    server::Stopper,
    store::{engine::Engine, engines::memory::MemoryEngine},
};
use tempfile::TempDir;
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::task::AbortOnDropHandle;

pub use self::{
    answer::{Answer, ENVELOPE},
    certificates::{Leaf, Pair, issue, mint},
    client::{Client, Connection},
    clock::MockClock,
    log::Lines,
    mtls::{Http, Sender},
};
use self::{clock::TestTime, database::Database, mtls::Access};

/// 2025-01-02T03:04:05Z, when every test begins.
pub const START: i64 = 1_735_787_045;
pub const START_TEXT: &str = "2025-01-02T03:04:05Z";

/// How long a test waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The protocols that every test about the wire runs over.
pub const BOTH: [Http; 2] = [Http::One, Http::Two];

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
    _database: Option<Database>,
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
            Over { engine, metrics, weights: Arc::default(), dialects: DIALECTS }
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

    /// Starts a server on a store that is in memory, which is its engine.
    pub async fn in_memory() -> (Self, Arc<dyn Engine>) {
        let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
        let own = Arc::clone(&engine);
        (Self::start_on(|_| {}, move |_, _| own).await, engine)
    }

    /// Two processes over one store, and its engine. The second one does not run yet.
    pub async fn two_processes() -> (Self, Arc<dyn Engine>, App) {
        let (server, engine) = Self::in_memory().await;
        let second = server.beside(&engine).await;
        (server, engine, second)
    }

    /// Another process over the same store, which does not run yet.
    pub async fn beside(&self, engine: &Arc<dyn Engine>) -> App {
        let metrics = Arc::new(Metrics::new().unwrap());
        let over = Over {
            engine: Arc::clone(engine),
            metrics,
            weights: Arc::default(),
            dialects: DIALECTS,
        };
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let mut config = self.config.clone();
        config.audit.device = vec![audit_file(config.store.path.with_file_name("audit_2.log"))];
        App::start_on(&config, clock, over).await.unwrap()
    }

    /// Stops the server as a signal would, and starts another on the same folder.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await.unwrap();
    }

    /// Starts a server on the same folder, once the one before is stopped.
    pub async fn start_again(&mut self) -> Result<(), AppError> {
        (self.address, self.admin, self.reloader, self.stopper, self.running) =
            run(&self.config, &self.clock).await?;
        Ok(())
    }

    /// Stops the server, and waits until its store is closed.
    pub async fn stop(&mut self) {
        self.stopper.stop();
        tokio::time::timeout(PATIENCE, &mut self.running).await.expect("the server stops").unwrap();
    }

    /// Loads the files again when they change, as a server does that runs on its own. The config is
    /// `okmsd.toml`, with the addresses and the store of this one.
    pub fn keep(&self) -> AbortOnDropHandle<()> {
        self.keep_asked(Arc::default())
    }

    /// The same, which loads them at once where it is asked to, as by SIGHUP.
    pub fn keep_asked(&self, asked: Arc<Notify>) -> AbortOnDropHandle<()> {
        let (file, ours) = (self.path("okmsd.toml"), self.config.clone());
        let config = file.clone();
        let load = Box::new(move || {
            let mut config = Config::load(&file, std::iter::empty())?;
            config.server.listen = ours.server.listen;
            config.server.admin_listen = ours.server.admin_listen;
            config.store = ours.store.clone();
            Ok(config)
        });
        let keeper = Keeper::new(self.reloader.clone(), Files { config, load });
        AbortOnDropHandle::new(tokio::spawn(keeper.run(asked)))
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
        let access = pair.map(|pair| Access {
            certificates: pair.certificate.as_bytes(),
            key: pair.key.expose().as_bytes(),
        });
        let time = Arc::new(TestTime(Arc::clone(&self.clock)));
        let tls =
            mtls::tls_at(self.authority.certificate_pem().as_bytes(), access.as_ref(), http, time)
                .unwrap();
        Client {
            address: self.address,
            id: id.unwrap_or_default().to_owned(),
            http,
            tls: Arc::new(tls),
        }
    }

    /// A GET on the admin listener: status and text.
    pub async fn admin(&self, path: &str) -> (StatusCode, String) {
        let answer = mtls::get_plain(self.admin, path).await.unwrap();
        (answer.status(), String::from_utf8(answer.into_body().to_vec()).unwrap())
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

/// An audit trail in this file.
pub fn audit_file(path: PathBuf) -> AuditDevice {
    AuditDevice {
        kind: AuditDeviceKind::File,
        format: AuditFormat::Okmsd,
        path: Some(path),
        required: true,
        rotate_bytes: ByteSize(64 << 20),
        rotate_time: Span(Duration::from_secs(24 * 3600)),
        keep: 0,
        compress: false,
        address: None,
        ca: None,
        facility: None,
    }
}

/// A region's files, before its server runs.
struct Prepared {
    folder: TempDir,
    authority: CertificateAuthority,
    authority_key: PrivateKeyPem,
    clock: Arc<MockClock>,
    config: Config,
    database: Option<Database>,
}

impl Prepared {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let moment = Timestamp::from_unix_seconds(START);
        let (authority, authority_key) =
            CertificateAuthority::create("test region CA", moment, 3650).unwrap();
        let names = ["localhost".parse().unwrap(), "127.0.0.1".parse().unwrap()];
        let server =
            authority.issue_server(&names, KeySource::Fresh(KeyKind::P256), moment, 3600).unwrap();
        let write = |name: &str, text: &str| write_private(&folder.path().join(name), text);
        write("region_ca.pem", authority.certificate_pem());
        write("region_ca_privatekey.pem", authority_key.expose());
        write("server_certificate.pem", &server.certificate_pem);
        write("server_privatekey.pem", server.key.unwrap().expose());
        write("root.key", &okmsd::crypto::FileRootKey::generate().unwrap());
        write("okmsd.toml", "[trust]\nregion_ca_key = \"region_ca_privatekey.pem\"\n");
        let mut config =
            Config::load(&folder.path().join("okmsd.toml"), std::iter::empty()).unwrap();
        config.server.listen = "127.0.0.1:0".parse().unwrap();
        config.server.admin_listen = "127.0.0.1:0".parse().unwrap();
        config.store.cache = ByteSize(8 << 20);
        config.store.record_cache = ByteSize(1 << 20);
        // Whatever a test does, it is recorded.
        config.audit.device = vec![audit_file(folder.path().join("audit.log"))];
        config.audit.folder = Some(folder.path().join("audit"));
        // Every operation is there.
        config.dev.helpers = Some(true);
        // All clients of a test have one address, and its clock may stand still: a walk over all
        // routes once needed more than the 5,000 handshakes that an address may make at once.
        config.limits.address_handshakes_per_second = 0;
        let database = Database::new(&mut config);
        change(&mut config);
        let clock = Arc::new(MockClock::at(START));
        Self { folder, authority, authority_key, clock, config, database }
    }

    fn running(self, (address, admin, reloader, stopper, running): Running) -> TestServer {
        let Self { folder, authority, authority_key, clock, config, database } = self;
        TestServer {
            _database: database,
            folder,
            authority,
            authority_key,
            clock,
            config,
            address,
            admin,
            reloader,
            stopper,
            running,
        }
    }
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
