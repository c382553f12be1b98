//! The device that gives each domain its own view of the audit trail, in the store.
//!
//! Always holds: what a domain sees is what happened in it, and what its own callers did elsewhere; a
//! stranger's attempts fill nobody's view but his own, and whoever shows a domain's certificate without having its key
//! takes a small part of its view at most. The view follows the file: what there was no
//! time for, and what was not kept when the process ended, is read from it. So nobody's load takes
//! anything from another's view. Never does: hold up the trail.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::runtime::Handle;

use super::audit_error::AuditError;
use crate::{
    audit::{Behind, Caught, ChainId, Device, Opened, Outline, Position, Wants},
    clock::Clock,
    config::AuditStore,
    model::{OkmsId, Timestamp},
    service::{Error, LookedAt, Service, TrailBounds, TrailLine},
};

/// So long records are gathered before they are stored together.
const GATHER: Duration = Duration::from_millis(250);
/// The most bytes of lines that are stored together.
const AT_ONCE: usize = 1 << 20;
/// So many records at most are looked at before the store is told, so that a start need not read more.
const PASSED: u64 = 4096;
/// So long it is read at a time.
const WHILE: Duration = Duration::from_secs(1);

/// Puts records into the store.
pub(super) struct TrailStore {
    keeper: Keeper,
    takes: AuditStore,
    /// What has the records that were not given; nothing where no device is a file of them.
    file: Option<PathBuf>,
    /// The last record that was looked at, or passed over.
    seen: u64,
    handshakes: Handshakes,
}

/// Of a view's bytes handshakes have one part of so many at once, and another one in the time that it reaches back.
const PART: u64 = 16;

/// What handshakes have taken of each view. One fails before anybody has proven to have the key of its certificate.
struct Handshakes {
    bounds: TrailBounds,
    /// In bytes, at some moment: it gets less as time goes by.
    taken: HashMap<OkmsId, (u64, Timestamp)>,
}

impl Handshakes {
    fn new(bounds: TrailBounds) -> Self {
        Self { bounds, taken: HashMap::new() }
    }

    /// Whether a view takes one more, of so many bytes.
    fn take(&mut self, tenant: OkmsId, bytes: usize, now: Timestamp) -> bool {
        let most = self.bounds.bytes / PART;
        let (taken, since) = self.taken.entry(tenant).or_insert((0, now));
        let seconds = now.unix_seconds().saturating_sub(since.unix_seconds());
        let seconds = u128::try_from(seconds).unwrap_or_default();
        let over = seconds * u128::from(most) / u128::from(self.bounds.age_seconds.max(1));
        if over > 0 {
            (*taken, *since) = (taken.saturating_sub(u64::try_from(over).unwrap_or(u64::MAX)), now);
        }
        let with_it = *taken + bytes as u64;
        let has_room = with_it <= most;
        if has_room {
            *taken = with_it;
        }
        has_room
    }
}

/// How views are kept.
pub(super) struct Keeper {
    pub(super) service: Arc<Service>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) bounds: TrailBounds,
    pub(super) chain: [u8; 8],
    /// What views have in its place.
    pub(super) strand: [u8; 8],
    pub(super) runtime: Handle,
    /// The last record of which the store knows that it was looked at.
    pub(super) told: u64,
}

impl Keeper {
    async fn keep(&mut self, seen: u64, found: &[TrailLine]) -> Result<(), Error> {
        let to = LookedAt { chain: self.chain, strand: self.strand, seq: seen };
        self.service.trails.keep(to, found, self.bounds, self.clock.now()).await?;
        self.told = seen;
        Ok(())
    }

    /// Keeps what was found up to a record. Where that is nothing, the store is told now and then.
    fn keep_up(&mut self, seen: u64, found: &[TrailLine]) -> io::Result<()> {
        if found.is_empty() && seen < self.told + PASSED {
            return Ok(());
        }
        let runtime = self.runtime.clone();
        runtime.block_on(self.keep(seen, found)).map_err(io::Error::other)
    }
}

/// Whether a record may belong in somebody's view, without a look at what it is: nothing in a text of a
/// record looks like a member, as its quotes would be escaped.
fn is_of_somebody(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(has_kind)
}

fn has_kind(text: &str) -> bool {
    KINDS.iter().any(|kind| text.contains(kind))
}

/// The same, where reads of which all goes well belong in none.
fn is_no_read(line: &[u8]) -> bool {
    let is_more = |text: &str| MORE.iter().any(|more| text.contains(more));
    std::str::from_utf8(line)
        .is_ok_and(|text| has_kind(text) && (!text.contains(PERMIT) || is_more(text)))
}

const KINDS: [&str; 5] = [
    "\"type\":\"request\"",
    "\"type\":\"answered\"",
    "\"type\":\"resolved\"",
    "\"type\":\"lost\"",
    "\"type\":\"handshake\"",
];
const PERMIT: &str = "\"effect\":\"permit\"";
/// What one has that is more than a read that goes well: one item of many may be refused, or of all one allowed.
const MORE: [&str; 3] = ["\"changes\":[", "\"effect\":\"deny\"", "\"effect\":\"error\""];

/// In whose views a record belongs.
pub(super) fn tenants(record: &Outline<'_>, takes: AuditStore) -> Vec<OkmsId> {
    let is_taken = match (record.kind, takes) {
        (_, AuditStore::None) => false,
        // How a change ended that was left open, and that there was one, is told nowhere else.
        ("request", AuditStore::All) | ("resolved" | "lost" | "handshake" | "answered", _) => true,
        ("request", AuditStore::Changes) => record.has_changes || record.has_refusals,
        _ => false,
    };
    if !is_taken {
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
    /// One that goes on where views were kept up to, in the trail that goes on at `at`, in that file if
    /// it is in one.
    ///
    /// # Errors
    /// `AuditError` where the store cannot be read.
    pub(super) async fn new(
        mut keeper: Keeper,
        takes: AuditStore,
        file: Option<PathBuf>,
        at: Position,
    ) -> Result<Self, AuditError> {
        let known =
            keeper.service.trails.position(keeper.chain).await.map_err(AuditError::Store)?;
        let is_new = known.is_none();
        let known = known.unwrap_or(LookedAt { chain: keeper.chain, strand: keeper.chain, seq: 0 });
        // A power cut may have taken records whose numbers are given again.
        let is_again = known.seq > at.seq;
        keeper.strand = if is_again { *ChainId::fresh()?.as_bytes() } else { known.strand };
        // From here on, whenever the process ends.
        if (is_new || is_again)
            && let Err(error) = keeper.keep(at.seq, &[]).await
        {
            tracing::error!(%error, "domains may not see all that happens from here on");
        }
        keeper.told = if is_new { at.seq } else { known.seq.min(at.seq) };
        let handshakes = Handshakes::new(keeper.bounds);
        Ok(Self { seen: keeper.told, keeper, takes, file, handshakes })
    }

    /// Puts a record, if it belongs in views, to the others.
    fn finds(&mut self, found: &mut Vec<TrailLine>, text: &[u8], record: &Outline<'_>) {
        for tenant in tenants(record, self.takes) {
            let now = self.keeper.clock.now();
            if record.kind == "handshake" && !self.handshakes.take(tenant, text.len(), now) {
                continue;
            }
            let text = String::from_utf8_lossy(text).into_owned();
            found.push(TrailLine { tenant, time: record.time, seq: record.seq, text });
        }
    }

    /// Keeps whole lines.
    fn keep(&mut self, lines: &[u8]) -> io::Result<()> {
        let (mut found, mut seen) = (Vec::new(), self.seen);
        for text in lines.split(|byte| *byte == b'\n').filter(|text| !text.is_empty()) {
            let record = Outline::of(text).ok_or(io::ErrorKind::InvalidData)?;
            seen = record.seq;
            self.finds(&mut found, text, &record);
        }
        self.keeper.keep_up(seen, &found)?;
        self.seen = seen;
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

    fn tend(&mut self, last: u64) -> io::Result<Opened> {
        self.seen = last;
        self.keeper.keep_up(last, &[])?;
        Ok(Opened::Same)
    }

    fn wants(&self) -> Option<Wants> {
        Some(if self.takes == AuditStore::All { is_of_somebody } else { is_no_read })
    }

    fn seen(&self) -> Option<u64> {
        self.file.as_ref().map(|_| self.seen)
    }

    fn catch_up(&mut self, to: u64) -> io::Result<Caught> {
        let Some(file) = &self.file else { return Ok(Caught::Up) };
        let (wants, begun) = (self.wants(), Instant::now());
        let mut behind = Behind::open(file, ChainId::from_bytes(self.keeper.chain), self.seen)?;
        loop {
            let (mut found, mut bytes, mut seen, mut is_over) = (Vec::new(), 0, self.seen, false);
            while seen < to && bytes < AT_ONCE && seen < self.seen + PASSED {
                let Some((seq, text)) = behind.next_line()? else {
                    is_over = true;
                    break;
                };
                // What it has no more will not come.
                seen = seq.min(to);
                if seq > to || !wants.is_some_and(|wants| wants(text)) {
                    continue;
                }
                // What is no record any more is found by whoever verifies the file.
                if let Some(record) = Outline::of(text) {
                    self.finds(&mut found, text, &record);
                    bytes += text.len();
                }
            }
            self.keeper.keep_up(seen, &found)?;
            self.seen = seen;
            if seen >= to {
                return Ok(Caught::Up);
            }
            if is_over {
                return Ok(Caught::NotYet);
            }
            if begun.elapsed() > WHILE {
                return Ok(Caught::Partly);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever had a certificate that is over, and not its key, pushed everything else out of its domain's view.
    #[test]
    fn handshakes_take_a_small_part_of_a_view() {
        let [one, other] =
            [1_u128, 2].map(|id| uuid::Uuid::from_u128(id).to_string().parse().unwrap());
        let bounds = TrailBounds { bytes: 64 << 20, age_seconds: 90 * 86_400 };
        let part = 4 << 20;
        let mut handshakes = Handshakes::new(bounds);
        let mut taken = |tenant, from: i64, to: i64| {
            // As many as there are records of one reason.
            let all = (from * 50..to * 50).map(|at| Timestamp::from_unix_nanos(at * 20_000_000));
            all.filter(|now| handshakes.take(tenant, 700, *now)).count() * 700
        };
        let at_once = taken(one, 0, 1_000);
        assert!((part - 2_000..=part + 2_000).contains(&at_once), "{at_once}");
        // In a ninetieth of the time a ninetieth of as much again, or a little less.
        let in_a_day = taken(one, 1_000, 87_400);
        assert!((part / 100..=part / 90 + 1_400).contains(&in_a_day), "{in_a_day}");
        assert_eq!(taken(other, 87_400, 87_500), 50 * 100 * 700, "another's view has its own");
    }
}
