//! The audit devices of the config, as they are shown.

use crate::{
    api::AuditDeviceView,
    config::{AuditDevice, AuditDeviceKind, AuditFormat, SyslogAddress},
};

/// Those devices, each with a name that no other has.
pub(super) fn views(devices: &[AuditDevice]) -> Vec<AuditDeviceView> {
    let mut views: Vec<AuditDeviceView> = Vec::new();
    for device in devices {
        let kind = kind(device);
        let before = views.iter().filter(|other| other.kind == kind).count();
        let name = if before == 0 { kind.to_owned() } else { format!("{kind}-{}", before + 1) };
        views.push(AuditDeviceView { name, kind, options: options(device) });
    }
    views
}

/// In Vault's words, standard output is a file as well.
const fn kind(device: &AuditDevice) -> &'static str {
    match device.kind {
        AuditDeviceKind::File | AuditDeviceKind::Stdout => "file",
        AuditDeviceKind::Syslog => "syslog",
    }
}

fn options(device: &AuditDevice) -> Vec<(&'static str, String)> {
    let place = match (device.kind, &device.path) {
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
    };
    let format = match device.format {
        AuditFormat::Okmsd => "okmsd",
        AuditFormat::Vault => "vault",
    };
    vec![place, ("format", format.to_owned()), ("required", device.required.to_string())]
}
