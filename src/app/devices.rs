//! The audit devices: those of the config, as they are shown, and those that are enabled over the API.
//!
//! Always holds: a device that is enabled writes a file with a plain name in the one folder that the
//! config names, and has taken the record of its being enabled before that is stored; one that is
//! disabled is required by nobody before that is recorded, so that one that fails can be taken away.
//! Never does: touch a device of the config.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::audit_error::AuditError;
use crate::{
    api::{AuditDeviceView, AuditDevices, Doing, Failed, Hashing, NewAuditDevice},
    audit::{Auditor, Device, FileDevice, Fitted, Form, LaneId, Rotation, cut_torn, hashed},
    auth::{Action, RegionPermit},
    config::{
        Audit, AuditDevice, AuditDeviceKind, AuditFormat, ROTATE_BYTES, ROTATE_TIME, SyslogAddress,
    },
    model::{DeviceName, EnabledDevice, Invalid, OkmsId, TrailFileName},
    service::Service,
};

/// So many devices are enabled at most.
const ENABLED_MAX: usize = 8;
/// What the names of the config's devices begin with.
const OF_CONFIG: &str = "config-";

/// Those devices of the config, each with a name that no other has.
fn views(devices: &[AuditDevice]) -> Vec<AuditDeviceView> {
    let mut views: Vec<AuditDeviceView> = Vec::new();
    for device in devices {
        let kind = kind(device);
        let before = views.iter().filter(|other| other.kind == kind).count();
        let number = if before == 0 { String::new() } else { format!("-{}", before + 1) };
        let name = format!("{OF_CONFIG}{kind}{number}");
        let description = "set in the server's config".to_owned();
        let has_vaults_form = device.format == AuditFormat::Vault;
        let options = options(place(device), has_vaults_form, device.required);
        views.push(AuditDeviceView { name, kind, description, options });
    }
    views
}

/// All devices of a server.
pub(super) struct Devices {
    of_config: Vec<AuditDeviceView>,
    folder: Option<PathBuf>,
    auditor: Option<Arc<Auditor>>,
    service: Arc<Service>,
    /// Held by whoever enables or disables one.
    turn: tokio::sync::Mutex<()>,
    enabled: Mutex<Enabled>,
}

/// Those that are enabled, and how the recorder calls them.
pub(super) type Enabled = BTreeMap<DeviceName, (EnabledDevice, LaneId)>;

/// One that was enabled before the start, and gets nothing yet.
pub(super) struct Reopened {
    pub(super) name: DeviceName,
    pub(super) device: EnabledDevice,
    pub(super) path: PathBuf,
    pub(super) file: FileDevice,
}

/// Opens those that were enabled before, but where the config does not let them be.
///
/// # Errors
/// `AuditError` where one of these cannot be opened.
pub(super) async fn reopened(
    config: &Audit,
    service: &Service,
) -> Result<Vec<Reopened>, AuditError> {
    let mut all = Vec::new();
    for (name, device) in service.audit_devices.all().await.map_err(AuditError::Enabled)? {
        let Some(folder) = config.folder.as_ref().filter(|_| !config.device.is_empty()) else {
            tracing::warn!(
                %name,
                "an audit device that was enabled over the API gets no records, as the config has no audit.folder, or no audit.device"
            );
            continue;
        };
        let fault = |error| AuditError::File(folder.join(device.file.as_str()), error);
        let (path, file) = open(folder, &device).map_err(fault)?;
        all.push(Reopened { name, device, path, file });
    }
    Ok(all)
}

impl Devices {
    /// Those of the config, and those that are enabled.
    ///
    /// # Errors
    /// `AuditError` where nobody knows where the folder is.
    pub(super) fn new(
        config: &Audit,
        auditor: Option<Arc<Auditor>>,
        service: &Arc<Service>,
        enabled: Enabled,
    ) -> Result<Self, AuditError> {
        // As a client would have to write it.
        let folder = config.folder.as_ref().map(std::path::absolute).transpose();
        Ok(Self {
            of_config: views(&config.device),
            folder: folder.map_err(|error| AuditError::File("audit.folder".into(), error))?,
            auditor,
            service: Arc::clone(service),
            turn: tokio::sync::Mutex::default(),
            enabled: Mutex::new(enabled),
        })
    }

    fn enabled(&self) -> MutexGuard<'_, Enabled> {
        self.enabled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn enables(&self, permit: &RegionPermit, new: NewAuditDevice) -> Result<(), Failed> {
        permit.check(Action::AuditDeviceEdit)?;
        let auditor = self.auditor.as_ref().ok_or(Invalid(
            "this server keeps no audit trail: its config must have a device (audit.device) before more are enabled here",
        ))?;
        let folder = self.folder.as_ref().ok_or(Invalid(
            "no audit device is enabled here: the server's config names no folder for their files (audit.folder)",
        ))?;
        let NewAuditDevice { name, file_path, is_required, has_vaults_form, description } = new;
        let file = within(folder, &file_path)?;
        let device = EnabledDevice { file, is_required, has_vaults_form, description }.check()?;
        let _turn = self.turn.lock().await;
        self.check_place(&name, &device)?;
        let (place, wanted) = (folder.clone(), device.clone());
        let opened = tokio::task::spawn_blocking(move || {
            Ok(fitted(&wanted, open(&place, &wanted)?.1.into_device()?))
        });
        let opened = opened.await.map_err(io::Error::other).and_then(|opened| opened);
        let lane = opened.and_then(|fitted| auditor.recorder.add(fitted)).map_err(|error| {
            tracing::error!(%name, %error, "an audit device could not be enabled");
            told(&error)
        })?;
        match self.service.audit_devices.put(permit, &name, &device).await {
            Ok(()) => drop(self.enabled().insert(name, (device, lane))),
            Err(error) => {
                auditor.recorder.remove(lane).await;
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Whether there is a place for it.
    fn check_place(&self, name: &DeviceName, device: &EnabledDevice) -> Result<(), Invalid> {
        let enabled = self.enabled();
        if name.as_str().starts_with(OF_CONFIG) {
            return Err(Invalid(
                "names that begin with config- are those of devices of the config",
            ));
        }
        if enabled.contains_key(name) {
            return Err(Invalid("path already in use: there is an audit device of this name"));
        }
        if enabled.len() >= ENABLED_MAX {
            return Err(Invalid(
                "there are 8 audit devices that were enabled here, and no more can be",
            ));
        }
        if enabled.values().any(|(other, _)| other.file == device.file) {
            return Err(Invalid("another audit device writes this file"));
        }
        Ok(())
    }

    async fn disables(&self, permit: &RegionPermit, name: &str) -> Result<(), Failed> {
        permit.check(Action::AuditDeviceEdit)?;
        if self.of_config.iter().any(|device| device.name == name) {
            const OF_CONFIG: &str = "this audit device is set in the server's config (audit.device), and is taken away there alone";
            return Err(Invalid(OF_CONFIG).into());
        }
        let name = DeviceName::parse(name)?;
        let _turn = self.turn.lock().await;
        let found = self.enabled().get(&name).map(|(device, lane)| (device.is_required, *lane));
        // As Vault has it: what is not there is disabled. What the config keeps from being opened can
        // be disabled, too.
        let (Some(auditor), Some((is_required, lane))) = (&self.auditor, found) else {
            return Ok(self.service.audit_devices.delete(permit, &name).await?);
        };
        auditor.recorder.require(lane, false);
        if let Err(error) = self.service.audit_devices.delete(permit, &name).await {
            auditor.recorder.require(lane, is_required);
            return Err(error.into());
        }
        self.enabled().remove(&name);
        auditor.recorder.remove(lane).await;
        Ok(())
    }
}

impl AuditDevices for Devices {
    fn views(&self) -> Vec<AuditDeviceView> {
        let of_config = self.of_config.iter().cloned();
        let enabled = self.enabled();
        let enabled = enabled.iter().map(|(name, (device, _))| {
            let path = self.folder.as_deref().unwrap_or(Path::new("")).join(device.file.as_str());
            let place = ("file_path", path.display().to_string());
            AuditDeviceView {
                name: name.to_string(),
                kind: "file",
                description: device.description.clone(),
                options: options(place, device.has_vaults_form, device.is_required),
            }
        });
        of_config.chain(enabled).collect()
    }

    fn enable<'a>(&'a self, permit: &'a RegionPermit, device: NewAuditDevice) -> Doing<'a> {
        Box::pin(self.enables(permit, device))
    }

    fn disable<'a>(&'a self, permit: &'a RegionPermit, name: &'a str) -> Doing<'a> {
        Box::pin(self.disables(permit, name))
    }

    fn hashed<'a>(&'a self, id: OkmsId, path: &'a str) -> Hashing<'a> {
        Box::pin(async move { Ok(hashed(&*self.service.tenants.salt(id).await?, path)) })
    }
}

/// The name of the file that a client wants: a plain one, or one in the folder as the config has it.
/// Nothing outside of it is so much as looked at.
fn within(folder: &Path, file_path: &str) -> Result<TrailFileName, Invalid> {
    let path = Path::new(file_path);
    match (path.parent(), path.file_name().and_then(|name| name.to_str())) {
        (Some(parent), Some(name)) if path.is_absolute() && parent == folder => {
            TrailFileName::parse(name)
        }
        _ => TrailFileName::parse(file_path),
    }
}

/// Opens the file of a device.
fn open(folder: &Path, device: &EnabledDevice) -> io::Result<(PathBuf, FileDevice)> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // The folder itself may be a link, as the config's word counts; nothing in it is.
    let folder = folder.canonicalize()?;
    if fs::metadata(&folder)?.mode() & 0o022 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "others may write in the folder that audit.folder names",
        ));
    }
    let path = folder.join(device.file.as_str());
    let rotation =
        Rotation { bytes: ROTATE_BYTES.0 as u64, age: ROTATE_TIME.0, keep: 0, packs: false };
    let file = FileDevice::open_own(&path, rotation, form(device))?;
    cut_torn(&path)?;
    Ok((path, file))
}

const fn form(device: &EnabledDevice) -> Form {
    if device.has_vaults_form { Form::Vault } else { Form::Own }
}

/// The opened device, as the recorder takes it.
pub(super) fn fitted(device: &EnabledDevice, opened: Box<dyn Device>) -> Fitted {
    Fitted { device: opened, is_required: device.is_required, form: form(device) }
}

/// What a client is told of a file that could not be opened.
fn told(error: &io::Error) -> Invalid {
    Invalid(match error.kind() {
        io::ErrorKind::ResourceBusy => "something else writes this file; choose another name",
        io::ErrorKind::InvalidInput => {
            "something else is there than a file of records that is the server's alone; choose another name"
        }
        _ => "the file could not be opened; the server's log says why",
    })
}

/// In Vault's words, standard output is a file as well.
const fn kind(device: &AuditDevice) -> &'static str {
    match device.kind {
        AuditDeviceKind::File | AuditDeviceKind::Stdout => "file",
        AuditDeviceKind::Syslog => "syslog",
    }
}

/// Where the records of a device go.
fn place(device: &AuditDevice) -> (&'static str, String) {
    match (device.kind, &device.path) {
        (AuditDeviceKind::Syslog, _) => {
            let address = match device.address.clone().unwrap_or_default() {
                SyslogAddress::Unix(path) => format!("unix:{}", path.display()),
                SyslogAddress::Tcp(to) => format!("tcp:{to}"),
                SyslogAddress::Tls(to) => format!("tls:{to}"),
            };
            ("address", address)
        }
        (_, Some(path)) => ("file_path", path.display().to_string()),
        (_, None) => ("file_path", "stdout".to_owned()),
    }
}

fn options(
    place: (&'static str, String),
    has_vaults_form: bool,
    is_required: bool,
) -> Vec<(&'static str, String)> {
    let format = if has_vaults_form { "vault" } else { "okmsd" };
    vec![place, ("format", format.to_owned()), ("required", is_required.to_string())]
}
