//! The audit trail of a server: its devices, and what becomes of it from start to stop.
//!
//! Always holds: a trail goes on where its file ends; a change of which it does not say how it ended
//! is looked up in the store before anybody is served.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{runtime::Handle, time::MissedTickBehavior};

use super::{
    audit_error::AuditError,
    devices::{self, Enabled, Reopened},
    heads::Heads,
    recent::RecentDevice,
    trail_store::{Keeper, TrailStore},
};
use crate::{
    api::{Feeds, Recent},
    audit::{
        Auditor, ChainId, Device, FileDevice, Fitted, Form, Head, Listener, Members, Need,
        Position, Receipt, Recorder, Rotation, StdoutDevice, SyslogDevice, Tail, Terms, Unended,
        cut_torn,
    },
    clock::Clock,
    config::{
        Audit, AuditDevice, AuditDeviceKind, AuditFormat, AuditReads, AuditStore, Config,
        SyslogAddress,
    },
    crypto::{FileRootKey, Salt, SigningKey},
    material,
    metrics::Metrics,
    model::AuditMark,
    service::{Health, Service, TrailBounds},
};

/// What the key of checkpoints is for.
pub const PURPOSE: &str = "audit checkpoints v1";
/// So often the figures are told, and what is in doubt is looked up.
const FIGURES: Duration = Duration::from_secs(1);

/// Where a trail goes on, once the store is open.
pub(super) struct Beginning {
    fitted: Vec<Fitted>,
    /// The file that it goes on in.
    file: Option<PathBuf>,
    tail: Option<Tail>,
    key: SigningKey,
    config: Audit,
    heads: Arc<Heads>,
    salt: Salt,
    clock: Arc<dyn Clock>,
}

impl Beginning {
    /// Opens the devices; nothing where there are none.
    pub(super) fn open(
        whole: &Config,
        root: &Arc<FileRootKey>,
        clock: &Arc<dyn Clock>,
        recent: Option<&Arc<Recent>>,
    ) -> Result<Option<Self>, AuditError> {
        let config = &whole.audit;
        if config.device.is_empty() {
            return Ok(None);
        }
        let key = SigningKey::of(&**root, PURPOSE)?;
        let heads = Heads::load(whole, key.public()).map_err(in_file(&whole.store.path))?;
        let opened: Vec<_> =
            config.device.iter().map(Opened::of).collect::<Result<_, AuditError>>()?;
        let mut trails = Vec::new();
        for (one, device) in opened.iter().zip(&config.device) {
            if let Opened::File(_, path) = one {
                trails.extend(OwnTrail::of(path, device)?);
            }
        }
        let (mut file, mut tail) = (None, None);
        if let Some(whole) = OwnTrail::furthest(&trails) {
            let apart: Vec<_> = heads.all().iter().map(|head| head.at).collect();
            let end = Tail::of(&whole.path, key.public(), &apart)?;
            tail = end.map(|tail| Tail { torn: whole.torn, ..tail });
            for other in trails.iter().filter(|other| other.path != whole.path) {
                Tail::follow(&other.path, &whole.path)?;
            }
            file = Some(whole.path.clone());
        }
        let fitted = opened.into_iter().zip(&config.device).map(|(one, device)| {
            let form = match device.format {
                AuditFormat::Okmsd => Form::Own,
                AuditFormat::Vault => Form::Vault,
            };
            Ok(Fitted { device: one.into_device()?, is_required: device.required, form })
        });
        let mut fitted = fitted.collect::<Result<Vec<_>, AuditError>>()?;
        fitted.extend(recent.map(|recent| Fitted {
            device: Box::new(RecentDevice(Arc::clone(recent))),
            is_required: true,
            form: Form::Own,
        }));
        Ok(Some(Self {
            fitted,
            file,
            tail,
            key,
            config: config.clone(),
            heads: Arc::new(heads),
            salt: Salt::of_region(&**root)?,
            clock: Arc::clone(clock),
        }))
    }

    /// Records that the server starts, how changes ended of which a crash has left that open, and which
    /// the trail has lost. Those devices that were `enabled` over the API get all of that.
    pub(super) async fn begin(
        self,
        service: &Arc<Service>,
        enabled: Vec<Reopened>,
    ) -> Result<(Begun, Enabled), AuditError> {
        let Self { mut fitted, file, tail, key, config, heads, salt, clock } = self;
        let at = match &tail {
            Some(tail) => tail.at,
            None => Position::before_all(ChainId::fresh()?),
        };
        if config.store != AuditStore::None {
            let keeper = Keeper {
                service: Arc::clone(service),
                clock: Arc::clone(&clock),
                bounds: TrailBounds {
                    bytes: config.store_bytes.0 as u64,
                    age_seconds: config.store_time.0.as_secs(),
                },
                chain: *at.chain.as_bytes(),
                strand: *at.chain.as_bytes(),
                runtime: Handle::current(),
                told: at.seq,
            };
            // What is no file cannot be read again.
            let file = file.clone().filter(|file| file.is_file());
            let store = TrailStore::new(keeper, config.store, file, at).await?;
            fitted.push(Fitted { device: Box::new(store), is_required: false, form: Form::Own });
        }
        let pace = (config.patience.0, config.checkpoint_records);
        let open = tail.iter().flat_map(|tail| &tail.unended).map(|change| change.mark);
        let open: Vec<_> = open.collect();
        let recorder = Recorder::start((at, &open), key, fitted, pace);
        let recorder = recorder.map_err(AuditError::Threads)?;
        let mut lanes = Enabled::new();
        for Reopened { name, device, path, file: reopened } in enabled {
            if let Some(whole) = file.as_ref().filter(|_| !device.has_vaults_form) {
                Tail::follow(&path, whole)?;
            }
            let opened = reopened.into_device().map_err(in_file(&path))?;
            let lane =
                recorder.add(devices::fitted(&device, opened)).map_err(AuditError::Threads)?;
            lanes.insert(name, (device, lane));
        }
        let terms = Terms {
            shows_paths: config.paths,
            requires_reads: config.reads == AuditReads::Required,
            salt,
        };
        let auditor = Arc::new(Auditor::new(recorder, terms, clock));
        let start = auditor.of("start").text("release", env!("CARGO_PKG_VERSION"));
        let mut start = goes_on(start, at, &heads);
        let mut open = Vec::new();
        // Asked before anything is recorded, as numbers are given again.
        let lost = service.announced_behind(*at.chain.as_bytes(), at.seq).await;
        let lost = lost.map_err(AuditError::Store)?;
        if let Some(tail) = &tail {
            start = vouched_for(start, tail);
        }
        if let Some(Tail { unended, is_closed, torn, .. }) = tail {
            start = start.truth("after_stop", is_closed).number("torn_bytes", torn);
            for change in unended {
                let happened = service.has_happened(&change.mark).await;
                open.push((change, happened.map_err(AuditError::Store)?));
            }
        }
        let _if_it_can_be = auditor.recorder.record(&start, Need::Nothing);
        for (change, happened) in &open {
            resolved(&auditor, change, *happened);
        }
        if !lost.is_empty() && tells_lost(&auditor, &lost).await {
            // If not, they are told once more.
            let forgotten = service.forget_marks(&lost).await;
            forgotten.unwrap_or_else(|error| tracing::warn!(%error, "lost records are told again"));
        }
        // Signed before anybody is served: behind a stop comes nothing else that nobody has signed.
        if let Some((head, receipt)) = auditor.recorder.head(auditor.now()) {
            keeps(Arc::clone(&auditor), Arc::clone(&heads), head, receipt).await;
        }
        Ok((Begun { auditor, heads, service: Arc::clone(service) }, lanes))
    }
}

/// A trail that goes on.
pub(super) struct Begun {
    pub(super) auditor: Arc<Auditor>,
    heads: Arc<Heads>,
    service: Arc<Service>,
}

/// Records how a change ended that was left open.
fn resolved(auditor: &Auditor, change: &Unended, happened: bool) {
    let members = change.ended(auditor.of("resolved"), happened);
    let _if_it_can_be = auditor.recorder.ended(&members, vec![change.mark.seq]);
}

/// Adds what is known of what was there before: that the end is missing, or which trail there was.
fn goes_on(start: Members, at: Position, heads: &Heads) -> Members {
    match (heads.of(at.chain), heads.all().first()) {
        (Some(head), _) if head.at.seq > at.seq => {
            tracing::error!(
                chain = %at.chain, from = at.seq + 1, to = head.at.seq,
                "the end of the audit trail was cut off: records are missing that were on the disk"
            );
            start.number("missing_to", head.at.seq)
        }
        (None, Some(before)) => {
            let chain = Members::new().text("chain", &before.at.chain.to_string());
            start.object("before", &chain.number("seq", before.at.seq))
        }
        _ => start,
    }
}

/// Adds for which of the records before nobody vouches: from here on they are signed, as they are found.
fn vouched_for(start: Members, tail: &Tail) -> Members {
    let chain = tail.at.chain;
    let start = match tail.unsigned {
        Some((from, to)) if tail.was_put_in => {
            tracing::error!(
                %chain, from, to,
                "records were put into the audit trail behind a server's stop, and no server has written them; `okmsd audit \
                 verify` names the first"
            );
            start.number("unsigned_from", from).number("unsigned_to", to)
        }
        Some((from, to)) => {
            tracing::warn!(
                %chain, from, to,
                "the last records of the audit trail were not signed yet when the server ended, as after a kill; whether \
                 they were edited or put in since is not known, and `okmsd audit verify` names them"
            );
            start.number("unsigned_from", from).number("unsigned_to", to)
        }
        None => start,
    };
    match tail.replaced {
        Some(seq) => {
            tracing::error!(
                %chain, seq,
                "a record of the audit trail is not the one that was written; `okmsd audit verify` names it"
            );
            start.number("replaced_at", seq)
        }
        None => start,
    }
}

/// Records which changes are stored whose records are not there, each by itself. Whether that is
/// durable.
async fn tells_lost(auditor: &Auditor, lost: &[AuditMark]) -> bool {
    tracing::error!(
        changes = lost.len(),
        "the store has changes whose records the audit trail has lost at its end; that is recorded"
    );
    let mut last = None;
    for mark in lost {
        let tenant = mark.tenant.map(|tenant| tenant.to_string());
        let lost = auditor.of("lost").maybe("tenant", tenant.as_deref());
        let lost = lost.number("intent", mark.seq).hex("intent_hash", &mark.hash);
        last = Some(auditor.recorder.lost(&lost.truth("happened", true), mark));
    }
    match last {
        Some(Ok(receipt)) => receipt.kept().await.is_ok(),
        Some(Err(_)) => false,
        None => true,
    }
}

/// A device of the config, before what is in it was looked at.
enum Opened {
    File(FileDevice, PathBuf),
    Other(Box<dyn Device>),
}

impl Opened {
    fn of(device: &AuditDevice) -> Result<Self, AuditError> {
        Ok(match (device.kind, &device.path) {
            (AuditDeviceKind::File, Some(path)) => {
                let rotation = Rotation {
                    bytes: device.rotate_bytes.0 as u64,
                    age: device.rotate_time.0,
                    keep: device.keep,
                    packs: device.compress,
                };
                let file = FileDevice::open(path, rotation);
                Self::File(file.map_err(in_file(path))?, path.clone())
            }
            (AuditDeviceKind::Syslog, _) => Self::Other(Box::new(syslog(device)?)),
            _ => Self::Other(Box::new(StdoutDevice::open().map_err(AuditError::Stdout)?)),
        })
    }

    fn into_device(self) -> Result<Box<dyn Device>, AuditError> {
        match self {
            Self::File(file, path) => file.into_device().map_err(in_file(&path)),
            Self::Other(device) => Ok(device),
        }
    }
}

fn in_file(path: &Path) -> impl Fn(io::Error) -> AuditError {
    move |error| AuditError::File(path.to_owned(), error)
}

/// A file with records as they are, which nobody else writes by now.
struct OwnTrail {
    path: PathBuf,
    is_required: bool,
    /// Bytes of a line that was cut short.
    torn: u64,
    last: Option<Position>,
}

impl OwnTrail {
    /// That of a device, if it has that form.
    fn of(path: &Path, device: &AuditDevice) -> Result<Option<Self>, AuditError> {
        let torn = cut_torn(path).map_err(in_file(path))?;
        if device.format == AuditFormat::Vault {
            return Ok(None);
        }
        let (path, is_required) = (path.to_owned(), device.required);
        Ok(Some(Self { last: Tail::last(&path)?, path, is_required, torn }))
    }

    /// The one that has come furthest of those that must have all, whose chain goes on.
    fn furthest(trails: &[Self]) -> Option<&Self> {
        // Of several the first.
        let required = || trails.iter().rev().filter(|trail| trail.is_required);
        let chain = required().filter_map(|trail| trail.last).next_back().map(|last| last.chain);
        let of_chain = required().filter(|trail| trail.last.map(|last| last.chain) == chain);
        of_chain.max_by_key(|trail| trail.last.map_or(0, |last| last.seq))
    }
}

/// The device for a listener, which need not be there yet.
fn syslog(device: &AuditDevice) -> Result<SyslogDevice, AuditError> {
    let listener = match device.address.clone().unwrap_or_default() {
        SyslogAddress::Unix(path) => Listener::Unix(path),
        SyslogAddress::Tcp(address) => Listener::Tcp(address),
        SyslogAddress::Tls(address) => {
            let authorities = device.ca.as_deref().map(material::certificates).transpose()?;
            Listener::tls(address, authorities.unwrap_or_default())?
        }
    };
    Ok(SyslogDevice::new(listener, device.facility.unwrap_or_default().0))
}

/// Keeps apart how far the trail has come. If that cannot be done there is more to say, though nothing
/// more is recorded.
async fn keeps(auditor: Arc<Auditor>, heads: Arc<Heads>, head: Head, receipt: Receipt) {
    // What is not durable yet is no head.
    let is_kept = receipt.kept().await.is_ok()
        && tokio::task::spawn_blocking(move || heads.keep(head)).await.unwrap_or(false);
    if !is_kept {
        auditor.recorder.unsaid();
    }
}

/// Looks up in the store how changes ended of which it did not know that itself, and records it: their
/// places are few. Never ends.
async fn settles(Begun { auditor, service, .. }: &Begun) -> Infallible {
    let mut look = tokio::time::interval(FIGURES);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let doubts = auditor.recorder.doubts();
        let marks: Vec<_> = doubts.iter().map(|change| change.mark).collect();
        // As long as the store takes no changes it does not know.
        if marks.is_empty() || service.health() != Health::Ready {
            continue;
        }
        match service.settle(&marks).await {
            Ok(all) => {
                for (change, happened) in doubts.iter().zip(all) {
                    resolved(auditor, change, happened);
                }
            }
            Err(error) => tracing::warn!(
                %error, changes = marks.len(),
                "it is not known yet whether changes have happened; it is asked again"
            ),
        }
    }
}

/// Looks after the trail of a server, if it has one.
pub(super) struct AuditKeeper {
    begun: Option<Begun>,
    every: Duration,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    feeds: Arc<Feeds>,
}

impl AuditKeeper {
    /// Signs `every` so often.
    pub(super) fn new(
        begun: Option<Begun>,
        every: Duration,
        clock: Arc<dyn Clock>,
        (metrics, feeds): (Arc<Metrics>, Arc<Feeds>),
    ) -> Self {
        Self { begun, every, clock, metrics, feeds }
    }

    /// What makes the records.
    pub(super) fn auditor(&self) -> Option<Arc<Auditor>> {
        self.begun.as_ref().map(|begun| Arc::clone(&begun.auditor))
    }

    /// Signs what was recorded, from time to time, and tells the figures. Never ends.
    pub(super) async fn run(&self) -> Infallible {
        let Some(begun) = &self.begun else { return std::future::pending().await };
        tokio::select! {
            never = self.tells(begun) => match never {},
            never = settles(begun) => match never {},
        }
    }

    async fn tells(&self, Begun { auditor, heads, .. }: &Begun) -> Infallible {
        let mut checkpoint = tokio::time::interval(self.every);
        let mut figures = tokio::time::interval(FIGURES);
        let mut known = BTreeSet::new();
        loop {
            tokio::select! {
                _ = checkpoint.tick() => {
                    if let Some((head, receipt)) = auditor.recorder.head(self.clock.now()) {
                        tokio::spawn(keeps(Arc::clone(auditor), Arc::clone(heads), head, receipt));
                    }
                }
                () = auditor.recorder.due() => auditor.recorder.checkpoint(self.clock.now()),
                _ = figures.tick() => {
                    let standing = auditor.recorder.standing();
                    self.metrics.audit().tell(standing.records, standing.lost);
                    self.metrics.audit().tell_feeds(self.feeds.taken());
                    let mut gone = std::mem::take(&mut known);
                    for (name, is_well, _, lost) in standing.devices {
                        self.metrics.audit().tell_device(&name, is_well, lost);
                        gone.remove(&name);
                        known.insert(name);
                    }
                    for name in gone {
                        self.metrics.audit().forget(&name);
                    }
                }
            }
        }
    }

    /// Records that the server stops.
    pub(super) async fn stop(self) {
        let Some(Begun { auditor, heads, .. }) = self.begun else { return };
        let clock = self.clock;
        let stopped = tokio::task::spawn_blocking(move || {
            if let Some(head) = auditor.recorder.stop(&auditor.of("stop"), clock.now()) {
                heads.keep(head);
            }
        });
        let _a_panic_was_logged = stopped.await;
    }
}
