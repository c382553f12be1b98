//! The device that keeps what was asked of secrets of late, for the dialect of canonical URIs to tell.
//!
//! Always holds: a domain is told what was asked in it, and of strangers nothing; whoever has the answer to a change
//! finds it there, as the device is required. Never does: fail.

use std::{io, sync::Arc};

use super::trail_store::tenants;
use crate::{
    api::Recent,
    audit::{Device, Outline},
    config::AuditStore,
};

/// Gives records to whoever keeps them.
pub(super) struct RecentDevice(pub(super) Arc<Recent>);

impl Device for RecentDevice {
    fn name(&self) -> &'static str {
        "recent"
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in bytes.split(|byte| *byte == b'\n') {
            let Ok(text) = std::str::from_utf8(line) else { continue };
            if !text.contains("\"type\":\"request\"") {
                continue;
            }
            let Some(record) = Outline::of(line) else { continue };
            // What a domain's own do elsewhere is told there.
            let asked = tenants(&record, AuditStore::All).into_iter();
            let asked = asked.filter(|id| record.tenant == Some(&*id.to_string()));
            asked.for_each(|id| self.0.keep(id, text));
        }
        Ok(bytes.len())
    }
}
