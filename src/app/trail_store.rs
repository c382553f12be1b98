//! The device that gives each domain its own view of the audit trail, in the store.
//!
//! Always holds: what a domain sees is what happened in it, and what its own callers did elsewhere; a
//! stranger's attempts fill nobody's view but his own. What was not kept when the process ended is
//! read from the file at the next start.

use std::{io, path::Path, sync::Arc, time::Duration};

use tokio::runtime::Handle;

use super::audit_error::AuditError;
use crate::{
    audit::{Device, Outline, Position, Tail},
    clock::Clock,
    config::AuditStore,
    model::OkmsId,
    service::{Service, TrailBounds, TrailLine},
};

/// So long records are gathered before they are stored together.
const GATHER: Duration = Duration::from_millis(250);
/// The most bytes of lines that are stored together.
const AT_ONCE: usize = 1 << 20;

/// So many bytes at most are looked at before the store is told, so that a start need not read much.
const PASSED: usize = 1 << 20;
/// The most bytes that are read of a file at a start.
const CATCH_UP: usize = 16 << 20;

/// Puts records into the store.
pub(super) struct TrailStore {
    pub(super) service: Arc<Service>,
    pub(super) runtime: Handle,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) takes: AuditStore,
    pub(super) bounds: TrailBounds,
    /// How many bytes were looked at since the store was told how far that has come.
    pub(super) passed: usize,
}

/// A chain, and the number of its last record that was looked at.
type Seen = ([u8; 8], u64);

/// In whose views a record belongs.
fn tenants(record: &Outline<'_>, takes: AuditStore) -> Vec<OkmsId> {
    let is_taken = match takes {
        AuditStore::All => true,
        AuditStore::Changes => record.has_changes || record.effect != Some("permit"),
        AuditStore::None => false,
    };
    if record.kind != "request" || !is_taken {
        return Vec::new();
    }
    let is_stranger = record.problem.is_some_and(|problem| problem.ends_with("DomainNotFound"));
    let target = record.tenant.filter(|_| !is_stranger);
    let both = [target, record.acting_tenant].into_iter().flatten();
    let mut tenants: Vec<OkmsId> = both.filter_map(|id| id.parse().ok()).collect();
    tenants.dedup();
    tenants
}

impl TrailStore {
    /// Keeps what the file has up to `at` and the store has not: what was on its way when the process
    /// ended. At most so much of it that a start is not held up.
    ///
    /// # Errors
    /// `AuditError` where file or store cannot be read.
    pub(super) async fn catch_up(&self, file: &Path, at: Position) -> Result<(), AuditError> {
        let chain = *at.chain.as_bytes();
        let known = self.service.trails.position(chain).await.map_err(AuditError::Store)?;
        let known = known.unwrap_or(at.seq);
        let missed = Tail::behind(file, known, CATCH_UP)?;
        let (last, found) =
            self.among(&missed).map_err(|error| AuditError::File(file.into(), error))?;
        if let Some(last) = last.filter(|_| !found.is_empty()) {
            let kept = self.service.trails.keep(last, &found, self.bounds, self.clock.now()).await;
            // The view of a domain is worth no server that does not start.
            if let Err(error) = kept {
                tracing::error!(%error, "domains do not see what happened before the start");
            }
        }
        Ok(())
    }

    /// The last record of some lines, and those that belong into somebody's view.
    fn among(&self, lines: &[u8]) -> io::Result<(Option<Seen>, Vec<TrailLine>)> {
        let (mut found, mut last) = (Vec::new(), None);
        for text in lines.split(|byte| *byte == b'\n').filter(|text| !text.is_empty()) {
            let record = Outline::of(text).ok_or(io::ErrorKind::InvalidData)?;
            last = Some((*record.chain.as_bytes(), record.seq));
            for tenant in tenants(&record, self.takes) {
                let text = String::from_utf8_lossy(text).into_owned();
                found.push(TrailLine { tenant, time: record.time, seq: record.seq, text });
            }
        }
        Ok((last, found))
    }

    /// Keeps whole lines.
    fn keep(&mut self, lines: &[u8]) -> io::Result<()> {
        let (last, found) = self.among(lines)?;
        let passed = self.passed + lines.len();
        let Some(last) = last.filter(|_| !found.is_empty() || passed >= PASSED) else {
            self.passed = passed;
            return Ok(());
        };
        let trails = &self.service.trails;
        let kept = trails.keep(last, &found, self.bounds, self.clock.now());
        self.runtime.block_on(kept).map_err(io::Error::other)?;
        self.passed = 0;
        Ok(())
    }
}

impl Device for TrailStore {
    fn name(&self) -> &'static str {
        "store"
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let some = bytes.get(..AT_ONCE).unwrap_or(bytes);
        // The first line is whole, however long it is.
        let end = some.iter().rposition(|byte| *byte == b'\n');
        let end = end.or_else(|| bytes.iter().position(|byte| *byte == b'\n'));
        let end = end.map_or(bytes.len(), |at| at + 1);
        self.keep(bytes.get(..end).unwrap_or_default())?;
        if end == bytes.len() {
            std::thread::sleep(GATHER);
        }
        Ok(end)
    }
}
