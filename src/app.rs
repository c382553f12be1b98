//! The composition root: builds every part once, and hands each what it needs.

mod audit;
mod audit_error;
mod certificates;
mod contents;
mod devices;
mod endings;
mod engine;
mod error;
mod export;
mod heads;
mod keeper;
mod keys;
mod lists;
mod lives;
mod pdp;
mod recent;
mod recorded;
mod reload;
mod rotations;
mod secret_file;
mod trail_store;
mod yaml;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket},
    sync::mpsc,
};

pub use self::{
    audit::PURPOSE as AUDIT_PURPOSE,
    audit_error::AuditError,
    engine::{Checked, CommitMetrics, postgres},
    error::AppError,
    export::{export_store, import_store},
    heads::Heads,
    keeper::{Files, Keeper},
    reload::Reloader,
};
use self::{
    audit::{AuditKeeper, Beginning, Begun},
    certificates::{Certificates, authority},
    devices::Devices,
    endings::EndingWatch,
    engine::StoreObserver,
    keys::{KeyKeeper, Source},
    lists::{ListBoard, ListKeeper, ListWork},
    reload::Lives,
    rotations::Rotating,
    secret_file::DevFile,
};
use crate::{
    api::{
        self, Bearers, Context, Dialect, Feeds, PathTerms, Recent, SecretFile, UriHelpers, UriTerms,
    },
    audit::Trail,
    auth::{Principal, anchors::Anchors},
    clock::{Clock, Step, StoreClock},
    config::{Config, Environment, Limits, PathSecrets},
    crypto::{FileRootKey, RootKey as _},
    fair::Weights,
    http::{Clocks, Edge, EdgeLimits},
    live::Live,
    metrics::{DomainFigures, Metrics, Outcome},
    model::{Timestamp, TokenLife},
    pki::CertificateAuthority,
    server::{
        Admin, ConnectionLimits, ForwardedCertificates, Handshakes, Listener, Probed, Shared,
        Stopper, Terms, TlsState, fit_connections,
    },
    service::{self, ChangeName, Ended, Health, OnCommit, Service, Upgrade},
    store::engine::Engine,
    telemetry,
};

/// What a body may hold beside a secret's value.
const BODY_BYTES_BESIDE_VALUE: usize = 64 << 10;

/// So many connections may wait for their accept. Beyond these the kernel drops what comes, and whoever
/// wants in tries again after a second. The kernel has a bound of its own, too.
const BACKLOG: u32 = 4096;

/// So many are told at once of what is asked, of one domain a quarter of it.
const RECENT_FEEDS: usize = 16;

/// How long a start waits for revocation lists that are fetched.
const FIRST_LISTS: Duration = Duration::from_secs(5);

/// A server that is bound and ready to run.
pub struct App {
    listener: Listener,
    address: SocketAddr,
    admin: Admin,
    admin_address: SocketAddr,
    service: Arc<Service>,
    time: Arc<StoreClock>,
    stopper: Stopper,
    endpoint: String,
    reloader: Reloader,
    lists: ListKeeper,
    keys: KeyKeeper,
    endings: EndingWatch,
    audit: AuditKeeper,
    rotating: Rotating,
    times: lives::Times,
}

/// Everything that files must provide, loaded and checked.
struct Materials {
    root: Arc<FileRootKey>,
    authority: Option<CertificateAuthority>,
    certificates: Certificates,
    anchors: Arc<Anchors>,
    keys: Option<Source>,
    pdp: Option<pdp::Known>,
}

impl Materials {
    fn load(config: &Config, clock: &Arc<dyn Clock>) -> Result<Self, AppError> {
        let anchors = Arc::default();
        Ok(Self {
            root: Arc::new(FileRootKey::load(&config.keys.root_key)?),
            authority: authority(config)?,
            certificates: Certificates::load(config, clock, &anchors, &[])?,
            anchors,
            keys: Source::load(config, &**clock)?,
            pdp: pdp::credentials(config)?.map(Live::new).map(Arc::new),
        })
    }
}

/// Whether `config` and all files that it names would do, short of opening the sockets. Nothing is
/// changed, whether a server runs on them or not.
///
/// # Errors
/// `AppError` names what would not.
pub async fn check(config: &Config, clock: &Arc<dyn Clock>) -> Result<Checked, AppError> {
    telemetry::Filter::of(&config.log)?;
    let materials = Materials::load(config, clock)?;
    let checked = engine::check(config, &materials.root.id()).await?;
    let mut doubts: Vec<_> =
        materials.certificates.doubts(clock.now()).iter().map(ToString::to_string).collect();
    doubts.extend_from_slice(materials.certificates.list_faults());
    if doubts.is_empty() { Ok(checked) } else { Err(AppError::Doubtful(doubts.join("\n"))) }
}

/// The parts of a server that are there before it.
pub struct Over {
    /// The store, open.
    pub engine: Arc<dyn Engine>,
    /// Where the engine's observer counts already.
    pub metrics: Arc<Metrics>,
    /// What the engine takes turns by already.
    pub weights: Arc<Weights>,
    /// What is spoken.
    pub dialects: &'static [&'static dyn Dialect],
}

impl App {
    /// Opens the store and binds the sockets.
    ///
    /// # Errors
    /// `AppError` names what stands in the way.
    pub async fn start(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, AppError> {
        let materials = Materials::load(config, &clock)?;
        let metrics = Arc::new(Metrics::new().map_err(|error| AppError::Internal(error.into()))?);
        let time = store_clock(&clock, &metrics);
        let observer = StoreObserver::new(&metrics, &time);
        let upgrade = Arc::new(Upgrade::new(materials.root.clone()));
        let weights = Arc::<Weights>::default();
        let engine = engine::open(config, observer, upgrade, Arc::clone(&weights)).await?;
        let over = Over { engine, metrics, weights, dialects: api::DIALECTS };
        Self::assemble(config, clock, time, materials, over).await
    }

    /// Binds the sockets over these parts; the config's store is not touched.
    ///
    /// # Errors
    /// `AppError` names what stands in the way.
    pub async fn start_on(
        config: &Config,
        clock: Arc<dyn Clock>,
        over: Over,
    ) -> Result<Self, AppError> {
        let materials = Materials::load(config, &clock)?;
        let time = store_clock(&clock, &over.metrics);
        Self::assemble(config, clock, time, materials, over).await
    }

    async fn assemble(
        config: &Config,
        machine: Arc<dyn Clock>,
        time: Arc<StoreClock>,
        materials: Materials,
        over: Over,
    ) -> Result<Self, AppError> {
        let Over { engine, metrics, weights, dialects } = over;
        let trail_clock = Arc::clone(&time) as Arc<dyn Clock>;
        let (trail, recent) = trail(config, &materials.root, &trail_clock)?;
        let Materials { root, authority, certificates, anchors, keys, pdp } = materials;
        certificates.tell(machine.now(), &metrics);
        let issuer = authority.as_ref().map(|issuer| issuer.certificate_pem().to_owned());
        go_on(&time, &*engine);
        let clocks = Clocks { machine: Arc::clone(&machine), store: Arc::clone(&trail_clock) };
        let behind = Arc::clone(&time);
        metrics.watch(telemetry::lost_lines, move || behind.behind());
        let (over, parts) = ((engine, weights), (root, authority, pdp.as_ref()));
        let service = open_service(config, over, parts, &anchors, &metrics).await?;
        let (begun, devices) = audited(config, trail, &service).await?;
        let auditor = begun.as_ref().map(|begun| Arc::clone(&begun.auditor));
        let (socket, address) = bind(config.server.listen)?;
        let (admin, admin_address) = bind(config.server.admin_listen)?;
        let (token_life, visitors) = of_tokens(config);
        let endpoint = config.server.endpoint.clone().unwrap_or_else(|| loopback(address));
        let feeds = Arc::new(Feeds::new(config.limits.feeds, config.limits.feed_time.0));
        let context = Context {
            service: Arc::clone(&service),
            region: config.region.as_str().to_owned(),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            value_bytes: config.limits.value_bytes.0,
            retention_seconds: config.secrets.retention.0.as_secs(),
            wrapped_bytes: config.limits.value_bytes.0 + BODY_BYTES_BESIDE_VALUE,
            token_life: life_of(&token_life),
            visitors: Arc::clone(&visitors),
            bearers: bearers(config, keys.as_ref()),
            uris: uris(config, recent),
            paths: paths(config),
            figures: figures(&service, &metrics),
            feeds: Arc::clone(&feeds),
            audit_devices: Arc::new(devices),
        };
        let (limits, stopper) = (edge_limits(&config.limits), Stopper::default());
        let connections = limits.connections;
        let seen_by = (Arc::clone(&metrics), auditor.clone());
        let edge = Arc::new(Edge::new(dialects, context, clocks, seen_by, limits));
        let handshakes = Handshakes::new(Arc::clone(&metrics), auditor);
        let handshakes = Arc::new(handshakes.map_err(|error| AppError::Internal(error.into()))?);
        let terms = Arc::new(Live::new(terms(config, certificates.tls.state)));
        let lists = Arc::new(ListBoard::new(ListWork::new(certificates.lists, config)));
        let endings = EndingWatch::new(&machine, &metrics, &anchors);
        let reloader = Reloader::new(
            config.clone(),
            issuer,
            Lives {
                terms: Arc::clone(&terms),
                token_life,
                lists: Arc::clone(&lists),
                visitors,
                anchors,
                issuer: keys.as_ref().map(|source| Arc::clone(&source.issuer)),
                pdp,
            },
            Arc::clone(&machine),
            Arc::clone(&metrics),
        );
        let lists = ListKeeper::new(lists, Arc::clone(&machine), Arc::clone(&metrics));
        let keys = KeyKeeper::new(keys, Arc::clone(&machine));
        let judge = ForwardedCertificates::new(&terms, &handshakes, &machine, &metrics);
        let shared = Shared {
            handshakes,
            judge: Arc::new(judge),
            terms,
            clock: machine,
            edge,
            metrics: Arc::clone(&metrics),
        };
        let listener = Listener::new(socket, shared, connections, &config.limits, &stopper);
        let (every, told) = (config.audit.checkpoint_time.0, (Arc::clone(&metrics), feeds));
        let audit = AuditKeeper::new(begun, every, trail_clock, told);
        let rotating = Rotating::new(config, audit.auditor(), &metrics);
        let probed = Probed {
            service: Arc::clone(&service),
            metrics,
            auditor: audit.auditor(),
            stopper: stopper.clone(),
        };
        let admin = admin_at(config.server.admin_listen, admin, probed)?;
        Ok(Self {
            listener,
            address,
            admin,
            admin_address,
            service,
            time,
            stopper,
            endpoint,
            reloader,
            lists,
            keys,
            endings,
            audit,
            rotating,
            times: lives::Times { events: config.secrets.events.0, flush: config.usage.flush.0 },
        })
    }

    /// The use cases, for whoever runs in the same process.
    #[must_use]
    pub const fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Where clients connect.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where probes and scrapers connect.
    #[must_use]
    pub const fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// The store's present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.time.now()
    }

    /// The record of what the process itself does by this name, where there is an audit trail.
    #[must_use]
    pub fn record(&self, operation: &str, principal: &Principal) -> Option<Arc<Trail>> {
        let auditor = self.audit.auditor()?;
        Some(recorded::begun(&auditor, (principal, operation), self.now()))
    }

    /// Where clients reach the server, as answers say it.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What loads its files again.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// What stops the server.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Serves until the stopper is asked to stop, what was running has finished, and the store is
    /// closed.
    pub async fn run(self) {
        let Self { listener, service, admin, lists, keys, endings, audit, time, rotating, .. } =
            self;
        let times = self.times;
        admin.begin();
        let auditor = audit.auditor();
        let (first, mut each) = mpsc::channel(1);
        let mut keys = pin!(keys.run(first.clone()));
        let mut lists = pin!(lists.run(first));
        // Whoever comes before his authority's list was fetched, or his issuer's keys, is refused, for nothing.
        tokio::select! {
            never = &mut lists => match never {},
            never = &mut keys => match never {},
            _ = tokio::time::timeout(FIRST_LISTS, each.recv()) => {}
        }
        // A task of its own, as it may keep a processor busy.
        let usages = Arc::clone(&service.usages);
        let counting = tokio::spawn(async move { match usages.run().await {} });
        tokio::select! {
            () = listener.run() => {}
            never = lists => match never {},
            never = keys => match never {},
            never = service.revocations.follow() => match never {},
            never = service.access.follow() => match never {},
            never = service.quotas.follow() => match never {},
            never = service.events.follow_store() => match never {},
            never = service.trails.watch() => match never {},
            never = endings.run(&service) => match never {},
            never = lives::run(&service, &time, auditor.as_ref(), times) => match never {},
            never = rotating.run(&service, &time) => match never {},
            never = audit.run() => match never {},
            never = service.customer_cas.follow() => match never {},
        }
        counting.abort();
        let _aborted = counting.await;
        lives::flush(&service).await;
        admin.stop().await;
        audit.stop().await;
        // Closing the store waits for its writer.
        let _closed = tokio::task::spawn_blocking(move || drop(service)).await;
    }
}

/// The admin listener, on its socket.
fn admin_at(address: SocketAddr, socket: TcpListener, probed: Probed) -> Result<Admin, AppError> {
    Admin::serve(socket, probed).map_err(|error| AppError::Bind(address, error))
}

/// The audit trail, if there is one, and the devices to which it goes.
async fn audited(
    config: &Config,
    trail: Option<Beginning>,
    service: &Arc<Service>,
) -> Result<(Option<Begun>, Devices), AuditError> {
    let before = devices::reopened(&config.audit, service).await?;
    let (begun, enabled) = match trail {
        Some(trail) => {
            let (begun, enabled) = trail.begin(service, before).await?;
            (Some(begun), enabled)
        }
        None => (None, devices::Enabled::new()),
    };
    let auditor = begun.as_ref().map(|begun| Arc::clone(&begun.auditor));
    let devices = Devices::new(&config.audit, auditor, service, enabled)?;
    Ok((begun, devices))
}

/// The store's time goes on where it was.
fn go_on(time: &StoreClock, engine: &dyn Engine) {
    if let Some(latest) = engine.latest() {
        time.resume(Timestamp::from_unix_nanos(i64::try_from(latest).unwrap_or(i64::MAX)));
    }
}

/// The use cases over a store.
async fn open_service(
    config: &Config,
    (engine, weights): (Arc<dyn Engine>, Arc<Weights>),
    (root, authority, pdp): (Arc<FileRootKey>, Option<CertificateAuthority>, Option<&pdp::Known>),
    anchors: &Arc<Anchors>,
    metrics: &Arc<Metrics>,
) -> Result<Arc<Service>, AppError> {
    let anchors = Arc::clone(anchors);
    let default = (config.access.default_policy.0, config.limits.quota(), weights);
    let service =
        Service::open(engine, root, authority, default, anchors, commit_counter(metrics)).await;
    let service = service.map_err(|error| match error {
        service::Error::WrongRootKey => AppError::WrongRootKey(
            config.keys.root_key.as_path().into(),
            engine::name(config).as_path().into(),
        ),
        error => AppError::Service(engine::name(config), error),
    })?;
    if !config.usage.enabled {
        service.accesses.stop();
    }
    pdp::judges(&service, config, pdp, metrics);
    let service = Arc::new(service);
    watch_domains(&service, metrics);
    Ok(service)
}

/// What bounds all requests, as this machine can bear it.
fn edge_limits(limits: &Limits) -> EdgeLimits {
    EdgeLimits {
        connections: fit_connections(limits.connections),
        in_flight: limits.in_flight,
        body_bytes: limits.value_bytes.0 + BODY_BYTES_BESIDE_VALUE,
        buffer_bytes: limits.buffer_bytes.0,
    }
}

/// What tells the server's figures.
fn figures(
    service: &Arc<Service>,
    metrics: &Arc<Metrics>,
) -> Box<dyn Fn() -> Vec<u8> + Send + Sync> {
    let (service, metrics) = (Arc::clone(service), Arc::clone(metrics));
    Box::new(move || {
        metrics.access_counts_dropped(service.accesses.dropped());
        metrics.render(service.health() == Health::Ready)
    })
}

/// Has the metrics tell what domains have for which operators have set bounds.
fn watch_domains(service: &Arc<Service>, metrics: &Metrics) {
    // The store's end waits for whoever holds the service.
    let service = Arc::downgrade(service);
    metrics.watch_domains(move || {
        let Some(service) = service.upgrade() else { return Vec::new() };
        let figures = |id| {
            let usage = service.usages.known(id);
            let figures = DomainFigures {
                requests: service.usages.requests(id).load(Relaxed),
                secrets: usage.map(|usage| usage.secrets),
                bytes: usage.map(|usage| usage.bytes),
                tokens: service.tokens.known_number(id),
            };
            (id, figures)
        };
        service.quotas.owners().into_iter().map(figures).collect()
    });
}

/// How long tokens live, and whether users have some who log in without a certificate.
fn of_tokens(config: &Config) -> (Arc<Live<TokenLife>>, Arc<AtomicBool>) {
    let visitors = AtomicBool::new(config.access.users_without_certificate);
    (Arc::new(Live::new(reload::token_life(config))), Arc::new(visitors))
}

/// What each new connection goes by.
fn terms(config: &Config, tls: TlsState) -> Terms {
    let limits = ConnectionLimits::from(&config.limits);
    Terms { tls, limits, proxies: reload::proxies(config) }
}

/// What is asked of bearers.
fn bearers(config: &Config, keys: Option<&Source>) -> Bearers {
    Bearers {
        issuer: keys.map(|source| Arc::clone(&source.issuer)),
        are_required: config.secrets_api.require_auth,
        enforce_scopes: config.secrets_api.enforce_scopes,
    }
}

/// The file of secrets for whoever develops, where there is one.
fn secret_file(config: &Config) -> Option<Arc<dyn SecretFile>> {
    let (path, domain) = (config.dev.yaml_file.clone()?, config.dev.yaml_domain?);
    let is_writable = config.environment != Environment::Production;
    if !is_writable {
        tracing::warn!(
            "dev.yaml_file is set in production: its domain reads it, and nobody writes it"
        );
    }
    Some(Arc::new(DevFile::new(path, domain, is_writable)))
}

/// Where the audit trail goes on, and what keeps what is asked of late, where that is told.
fn trail(
    config: &Config,
    root: &Arc<FileRootKey>,
    clock: &Arc<dyn Clock>,
) -> Result<(Option<Beginning>, Option<Arc<Recent>>), AuditError> {
    if config.dev.tells() && config.environment == Environment::Production {
        tracing::warn!(
            "dev.helpers is set in production: whoever may see all secrets of a domain is told there who has asked for what"
        );
    }
    let recent = config.dev.tells().then(|| Arc::new(Recent::new(clock.now())));
    Ok((Beginning::open(config, root, clock, recent.as_ref())?, recent))
}

/// What is served of the dialect of canonical URIs.
fn uris(config: &Config, recent: Option<Arc<Recent>>) -> UriTerms {
    let api = &config.secrets_api;
    let feeds = || Arc::new(Feeds::new(RECENT_FEEDS, config.limits.feed_time.0));
    UriTerms {
        are_served: api.enabled,
        mounts: api.allowed_mounts.iter().map(|mount| mount.0.clone()).collect(),
        page_size: api.page_size as usize,
        helpers: recent.map(|recent| UriHelpers { recent, feeds: feeds() }),
        file: secret_file(config),
    }
}

/// What is served of the dialect of path secrets.
fn paths(config: &Config) -> PathTerms {
    let PathSecrets { enabled, require_auth } = config.path_secrets;
    PathTerms { are_served: enabled, need_bearer: require_auth }
}

/// What tells how long tokens live.
fn life_of(life: &Arc<Live<TokenLife>>) -> Box<dyn Fn() -> TokenLife + Send + Sync> {
    let life = Arc::clone(life);
    Box::new(move || **life.load())
}

/// What counts the commits of changes.
fn commit_counter(metrics: &Metrics) -> OnCommit {
    let changes: Vec<_> =
        ChangeName::ALL.iter().map(|change| metrics.change(change.label())).collect();
    Box::new(move |change, ended| {
        // Each has its place among all of them.
        if let Some(counters) = changes.get(change as usize) {
            counters.count(match ended {
                Ended::Committed => Outcome::Committed,
                Ended::Overtaken => Outcome::Overtaken,
                Ended::Failed => Outcome::Failed,
            });
        }
    })
}

fn store_clock(machine: &Arc<dyn Clock>, metrics: &Arc<Metrics>) -> Arc<StoreClock> {
    let metrics = Arc::clone(metrics);
    let on_step = move |step| {
        metrics.clock_step(match step {
            Step::Back => "back",
            Step::Ahead => "ahead",
        });
    };
    Arc::new(StoreClock::new(Arc::clone(machine), on_step))
}

/// An address at which a socket bound to `address` can be reached from this machine.
fn loopback(mut address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("https://{address}")
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A server that starts again takes its port back at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), AppError> {
    let failed = |error| AppError::Bind(address, error);
    let socket = listen(address).map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    Ok((socket, address))
}
