//! The audit trail of a server: its devices, and what becomes of it from start to stop.
//!
//! Always holds: a trail goes on where its file ends; a change of which it does not say how it ended
//! is looked up in the store before anybody is served.

use std::{convert::Infallible, path::PathBuf, sync::Arc, time::Duration};

use tokio::runtime::Handle;

use super::{audit_error::AuditError, trail_store::TrailStore};
use crate::{
    audit::{
        Auditor, ChainId, Device, FileDevice, Fitted, Form, Listener, Members, Need, PathHash,
        Position, Recorder, Rotation, StdoutDevice, SyslogDevice, Tail, Terms,
    },
    clock::Clock,
    config::{
        Audit, AuditDevice, AuditDeviceKind, AuditFormat, AuditReads, AuditStore, SyslogAddress,
    },
    crypto::{FileRootKey, RootKey as _, SigningKey},
    material,
    metrics::Metrics,
    service::{Service, TrailBounds},
};

/// What the key of checkpoints is for.
pub const PURPOSE: &str = "audit checkpoints v1";
/// So often the figures are told.
const FIGURES: Duration = Duration::from_secs(1);

/// Where a trail goes on, once the store is open.
pub(super) struct Beginning {
    fitted: Vec<Fitted>,
    /// The file that it goes on in.
    file: Option<PathBuf>,
    tail: Option<Tail>,
    key: SigningKey,
    config: Audit,
    hash: PathHash,
    clock: Arc<dyn Clock>,
}

impl Beginning {
    /// Opens the devices; nothing where there are none.
    pub(super) fn open(
        config: &Audit,
        root: &Arc<FileRootKey>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Self>, AuditError> {
        if config.device.is_empty() {
            return Ok(None);
        }
        let (mut fitted, mut file, mut tail) = (Vec::new(), None, None);
        for one in &config.device {
            let device: Box<dyn Device> = match (one.kind, &one.path) {
                (AuditDeviceKind::File, Some(path)) => {
                    let rotation = Rotation {
                        bytes: one.rotate_bytes.0 as u64,
                        age: one.rotate_time.0,
                        keep: one.keep,
                    };
                    // Only once nobody else writes it is it looked at.
                    let opened = FileDevice::open(path, rotation)
                        .map_err(|error| AuditError::File(path.clone(), error))?;
                    if one.required && one.format == AuditFormat::Okmsd && file.is_none() {
                        file = Some(path.clone());
                        tail = Tail::of(path)?;
                    }
                    opened.into_device().map_err(|error| AuditError::File(path.clone(), error))?
                }
                (AuditDeviceKind::Syslog, _) => Box::new(syslog(one)?),
                _ => Box::new(StdoutDevice::new()),
            };
            let form = match one.format {
                AuditFormat::Okmsd => Form::Own,
                AuditFormat::Vault => Form::Vault,
            };
            fitted.push(Fitted { device, is_required: one.required, form });
        }
        let hash = {
            let root = Arc::clone(root);
            Box::new(move |text: &[u8]| root.tag(text).ok())
        };
        Ok(Some(Self {
            fitted,
            file,
            tail,
            key: SigningKey::of(&**root, PURPOSE)?,
            config: config.clone(),
            hash,
            clock: Arc::clone(clock),
        }))
    }

    /// Records that the server starts, and how changes ended of which a crash has left that open.
    pub(super) async fn begin(self, service: &Arc<Service>) -> Result<Arc<Auditor>, AuditError> {
        let Self { mut fitted, file, tail, key, config, hash, clock } = self;
        let at = match &tail {
            Some(tail) => tail.at,
            None => Position::before_all(ChainId::fresh()?),
        };
        if config.store != AuditStore::None {
            let store = TrailStore {
                service: Arc::clone(service),
                runtime: Handle::current(),
                clock: Arc::clone(&clock),
                takes: config.store,
                bounds: TrailBounds {
                    bytes: config.store_bytes.0 as u64,
                    age_seconds: config.store_time.0.as_secs(),
                },
                passed: 0,
            };
            if let Some(file) = file {
                store.catch_up(&file, at).await?;
            }
            fitted.push(Fitted { device: Box::new(store), is_required: false, form: Form::Own });
        }
        let pace = (config.patience.0, config.checkpoint_records);
        let recorder = Recorder::start(at, key, fitted, pace).map_err(AuditError::Threads)?;
        let terms = Terms {
            shows_paths: config.paths,
            requires_reads: config.reads == AuditReads::Required,
            hash,
        };
        let auditor = Arc::new(Auditor::new(recorder, terms, clock));
        let mut start = auditor.of("start").text("version", env!("CARGO_PKG_VERSION"));
        let mut changes = Vec::new();
        if let Some(Tail { unended, is_closed, torn, .. }) = tail {
            start = start.truth("after_stop", is_closed).number("torn_bytes", torn);
            for change in unended {
                let happened = service.has_happened(&change.mark).await;
                changes.push((change, happened.map_err(AuditError::Store)?));
            }
        }
        let _if_it_can_be = auditor.recorder.record(&start, Need::Nothing);
        for (change, happened) in changes {
            let ended =
                Members::new().number("intent", change.mark.seq).truth("happened", happened);
            let members = auditor
                .of("resolved")
                .text("request_id", &change.request_id)
                .objects("changes", [ended]);
            let _if_it_can_be = auditor.recorder.record(&members, Need::Nothing);
        }
        Ok(auditor)
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

/// Looks after the trail of a server, if it has one.
pub(super) struct AuditKeeper {
    auditor: Option<Arc<Auditor>>,
    every: Duration,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl AuditKeeper {
    /// Signs `every` so often.
    pub(super) const fn new(
        auditor: Option<Arc<Auditor>>,
        every: Duration,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { auditor, every, clock, metrics }
    }

    /// What makes the records.
    pub(super) fn auditor(&self) -> Option<Arc<Auditor>> {
        self.auditor.clone()
    }

    /// Signs what was recorded, from time to time, and tells the figures. Never ends.
    pub(super) async fn run(&self) -> Infallible {
        let Some(auditor) = &self.auditor else { return std::future::pending().await };
        let mut checkpoint = tokio::time::interval(self.every);
        let mut figures = tokio::time::interval(FIGURES);
        loop {
            tokio::select! {
                _ = checkpoint.tick() => auditor.recorder.checkpoint(self.clock.now()),
                () = auditor.recorder.due() => auditor.recorder.checkpoint(self.clock.now()),
                _ = figures.tick() => {
                    let standing = auditor.recorder.standing();
                    self.metrics.audit().tell(standing.records, standing.lost);
                    for (name, is_well, _, lost) in &standing.devices {
                        self.metrics.audit().tell_device(name, *is_well, *lost);
                    }
                }
            }
        }
    }

    /// Records that the server stops.
    pub(super) async fn stop(self) {
        let Some(auditor) = self.auditor else { return };
        let clock = self.clock;
        let stopped = tokio::task::spawn_blocking(move || {
            auditor.recorder.stop(&auditor.of("stop"), clock.now());
        });
        let _a_panic_was_logged = stopped.await;
    }
}
