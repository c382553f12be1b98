//! `sys/audit`: where records of the audit trail go, for operators to see. Devices are set in the
//! server's config alone: who can name a file that a server writes can have it write anything.

use super::{
    super::{Call, Context, Failed, Reply},
    envelope,
};
use crate::auth::{Action, RegionPermit};

pub(super) fn list(context: &Context, permit: &RegionPermit, call: &Call) -> Result<Reply, Failed> {
    permit.check(Action::AuditDeviceGet)?;
    Ok(envelope::also_at_top_level(call, |out| {
        for device in &context.audit_devices {
            let path = format!("{}/", device.name);
            out.object(&path, |out| {
                out.text("description", "");
                out.boolean("local", false);
                out.object("options", |out| {
                    device.options.iter().for_each(|(name, value)| out.text(name, value));
                });
                out.text("path", &path);
                out.text("type", device.kind);
            });
        }
    }))
}
