//! Putting new certificates and settings in the place of those that a running server goes by.
//!
//! Always holds: everything is loaded and judged before anything is replaced; what is the same stays,
//! so that nobody notices. Never does: decide when.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    certificates::{Certificates, authority},
    error::AppError,
    keys,
    lists::{ListBoard, ListWork},
    pdp,
};
use crate::{
    api::Issuer,
    auth::{anchors::Anchors, jwt::KeySet},
    clock::Clock,
    config::{Changes, Config},
    live::Live,
    metrics::Metrics,
    model::{Proxy, TokenLife},
    server::{ConnectionLimits, Credentials, Terms},
    telemetry::Filter,
};

/// The key of the setting by which this server issues certificates.
const ISSUER: &str = "trust.region_ca_key";
/// What is said of the keys of the issuer of JWTs that are others now.
const ISSUER_KEYS: &str = "auth.jwt.jwks_file";
/// What is said of that by which this server is known to the policy decision point.
const PDP: &str = "pdp";

/// What a running server goes by, and can be replaced.
pub(super) struct Lives {
    pub terms: Arc<Live<Terms>>,
    pub token_life: Arc<Live<TokenLife>>,
    pub lists: Arc<ListBoard>,
    pub visitors: Arc<AtomicBool>,
    pub anchors: Arc<Anchors>,
    /// Whose JWTs are taken, if anybody's are.
    pub issuer: Option<Arc<Issuer>>,
    /// By what this server is known to the policy decision point, if there is one.
    pub pdp: Option<Arc<Live<Credentials>>>,
}

/// Replaces what can be replaced. Cheap to clone.
#[derive(Clone)]
pub struct Reloader(Arc<Inner>);

struct Inner {
    lives: Lives,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// What was configured at the start: of what needs a restart, it counts.
    started: Config,
    /// The authority that issues certificates: it was read at the start.
    issuer: Option<String>,
    /// Those who replace take turns.
    current: Mutex<InForce>,
}

/// The configuration that counts, but for what needs a restart.
struct InForce {
    config: Config,
    generation: u64,
}

/// Files that can be used: loaded and judged, and nothing is replaced yet.
pub(super) struct Fit {
    config: Config,
    certificates: Certificates,
    issuer: Option<String>,
    filter: Filter,
    /// The keys of the issuer of JWTs, where they are in a file.
    keys: Option<KeySet>,
    pdp: Option<Credentials>,
}

/// What has become of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reloaded {
    /// How many states there have been.
    pub generation: u64,
    /// Whether certificates or authorities are others now.
    pub certificates: bool,
    /// Settings that are others now.
    pub settings: Vec<&'static str>,
    /// Settings that are others in the file than in the server.
    pub restart: Vec<&'static str>,
}

impl Reloaded {
    /// Whether anything counts now that did not before.
    pub(super) const fn is_new(&self) -> bool {
        self.certificates || !self.settings.is_empty()
    }
}

impl Reloader {
    pub(super) fn new(
        config: Config,
        issuer: Option<String>,
        lives: Lives,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (started, generation) = (config.clone(), 1);
        metrics.reloads().succeeded(generation, clock.now().unix_seconds());
        let current = Mutex::new(InForce { config, generation });
        Self(Arc::new(Inner { lives, clock, metrics, started, issuer, current }))
    }

    /// Loads everything that `config` names and that can be replaced, and puts it in the place of
    /// what was there. Who is not let in by it any more finishes what he does, and is out. The
    /// number of states so far is told.
    ///
    /// # Errors
    /// `AppError` names the file at fault. Everything goes on as before then.
    pub fn reload(&self, config: &Config) -> Result<u64, AppError> {
        Ok(self.apply(self.load(config)?).generation)
    }

    /// The configuration that counts, but for what needs a restart.
    pub(super) fn config(&self) -> Config {
        self.current().config.clone()
    }

    /// How often to look whether the files are others; never where there is no answer.
    pub(super) fn interval(&self) -> Option<Duration> {
        let interval = self.current().config.reload.interval.0;
        (!interval.is_zero()).then_some(interval)
    }

    /// Asks for all revocation lists, and the keys of the issuer of JWTs, to be read now, changed or not.
    pub(super) fn ask_for_lists(&self) {
        self.0.lives.lists.ask();
        if let Some(issuer) = &self.0.lives.issuer {
            issuer.wants_keys();
        }
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Loads and judges the files, and replaces nothing.
    pub(super) fn load(&self, config: &Config) -> Result<Fit, AppError> {
        let filter = Filter::of(&config.log)?;
        let lives = &self.0.lives;
        let certificates =
            Certificates::load(config, &self.0.clock, &lives.anchors, &lives.lists.lists())?;
        let issuer = authority(config)?.map(|issuer| issuer.certificate_pem().to_owned());
        self.no_step_back(&certificates)?;
        // Where they are is as it was at the start.
        let keys = keys::keys(&self.0.started)?;
        let pdp = pdp::credentials(&self.0.started)?;
        Ok(Fit { config: config.clone(), certificates, issuer, filter, keys, pdp })
    }

    /// A certificate whose time is over, or has not come, does not take the place of one that clients
    /// accept.
    fn no_step_back(&self, certificates: &Certificates) -> Result<(), AppError> {
        let now = self.0.clock.now();
        let served = self.0.lives.terms.load();
        match certificates.tls.state.dated().doubt(now) {
            Some(doubt) if served.tls.dated().doubt(now).is_none() => {
                Err(AppError::Doubtful(doubt.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Replaces what is new.
    pub(super) fn apply(&self, fit: Fit) -> Reloaded {
        let Fit { config, certificates, issuer, filter, keys, pdp } = fit;
        let Inner { lives, clock, metrics, started, .. } = &*self.0;
        let mut current = self.current();
        let Changes { live: mut settings, .. } = current.config.changes(&config);
        let now = clock.now();
        let before = lives.terms.load();
        let limits = ConnectionLimits::from(&config.limits);
        let is_same = before.tls.is_as(&certificates.tls.state);
        if !is_same {
            certificates.tell(now, metrics);
        }
        let proxies = proxies(&config);
        if !is_same || before.limits != limits || before.proxies != proxies {
            // Sessions go on with the TLS that made them.
            let tls = if is_same { before.tls.clone() } else { certificates.tls.state };
            lives.terms.replace(Terms { tls, limits, proxies });
        }
        lives.lists.replace(ListWork::new(certificates.lists, &config));
        let life = token_life(&config);
        if **lives.token_life.load() != life {
            lives.token_life.replace(life);
        }
        lives.visitors.store(config.access.users_without_certificate, Relaxed);
        if let (Some(issuer), Some(keys)) = (&lives.issuer, keys)
            && issuer.has(keys, now)
        {
            settings.push(ISSUER_KEYS);
        }
        if let (Some(live), Some(pdp)) = (&lives.pdp, pdp)
            && **live.load() != pdp
        {
            live.replace(pdp);
            settings.push(PDP);
        }
        if current.config.log.filter != config.log.filter {
            filter.apply();
        }
        let Changes { mut restart, .. } = started.changes(&config);
        if self.0.issuer != issuer && !restart.contains(&ISSUER) {
            restart.push(ISSUER);
        }
        current.generation += u64::from(!is_same || !settings.is_empty());
        let generation = current.generation;
        current.config = config;
        metrics.reloads().succeeded(generation, now.unix_seconds());
        Reloaded { generation, certificates: !is_same, settings, restart }
    }

    fn current(&self) -> MutexGuard<'_, InForce> {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose word is taken about others.
pub(super) fn proxies(config: &Config) -> Arc<[Arc<Proxy>]> {
    config.trust.proxy.iter().map(|proxy| Arc::new(proxy.terms())).collect()
}

/// How long tokens live.
pub(super) fn token_life(config: &Config) -> TokenLife {
    TokenLife {
        default: config.tokens.default_ttl.0.as_secs(),
        max: config.tokens.max_ttl.0.as_secs(),
    }
}
