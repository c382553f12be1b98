//! Domains' own views of the audit trail: kept by blocks, read by pages.
//!
//! Always holds: a domain's records are sealed by its keys, and bounded in bytes and age; the oldest
//! go first. Never does: make records, or know what is in one.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::{Mutex, PoisonError},
};

use super::{
    Error,
    aside::aside,
    cursor::{FORGED, Page},
    records::{bind, keys_of},
    scope::Scope,
    trail_watch::Watch,
};
use crate::{
    auth::{Action, Permit, Resource},
    crypto::Sealed,
    model::{OkmsId, Timestamp},
    store::{
        engine::{Batch, Expect, Op},
        kinds::{Malformed, audit_block},
    },
};

/// The most bytes of records in a block.
const BLOCK: usize = 64 << 10;
/// So many blocks are read at once.
const AT_ONCE: usize = 16;
/// So many blocks are looked at for a page.
const LOOKED_AT: usize = 128;
/// A domain's oldest blocks are looked for again after so long.
const SWEEP_SECONDS: i64 = 600;

/// A record of a domain.
#[derive(Clone, Debug)]
pub struct TrailLine {
    /// Whose view it belongs to.
    pub tenant: OkmsId,
    /// When it happened.
    pub time: Timestamp,
    /// Its number.
    pub seq: u64,
    /// It, without a line feed.
    pub text: String,
}

/// How far a chain was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookedAt {
    /// The chain.
    pub chain: [u8; 8],
    /// What views have in its place: a number is given once in it. That is the chain's own, until a power cut takes
    /// records of it that views have already.
    pub strand: [u8; 8],
    /// The number of the last record that was looked at.
    pub seq: u64,
}

/// What a domain's view may hold.
#[derive(Clone, Copy, Debug)]
pub struct TrailBounds {
    /// The most bytes.
    pub bytes: u64,
    /// The greatest age, in seconds.
    pub age_seconds: u64,
}

/// The use cases on views of the trail.
pub struct Trails {
    pub(super) scope: Scope,
    pub(super) watch: Watch,
    kept: Mutex<HashMap<OkmsId, Kept>>,
}

/// What is known of a domain's view.
#[derive(Clone, Copy, Debug)]
struct Kept {
    bytes: u64,
    /// When the oldest were looked for.
    swept: Timestamp,
}

impl Trails {
    pub(super) fn new(scope: Scope) -> Self {
        Self { watch: Watch::new(scope.clone()), scope, kept: Mutex::default() }
    }

    /// Tells feeds of what is kept, for good.
    pub async fn watch(&self) -> Infallible {
        self.watch.follow().await
    }

    /// How far a chain was looked at.
    ///
    /// # Errors
    /// `Error` where the store cannot be read.
    pub async fn position(&self, chain: [u8; 8]) -> Result<Option<LookedAt>, Error> {
        Ok(self.known(chain).await?.0)
    }

    /// The same, and what the store must have for that to be so still.
    async fn known(&self, chain: [u8; 8]) -> Result<(Option<LookedAt>, Expect), Error> {
        let key = audit_block::position(chain);
        let Some(record) = self.scope.engine().get(audit_block::SPACE, &key).await? else {
            return Ok((None, Expect::Absent));
        };
        let position = || {
            let (seq, strand) = record.bytes.split_first_chunk()?;
            let strand = strand.first_chunk().copied().unwrap_or(chain);
            Some(LookedAt { chain, strand, seq: u64::from_be_bytes(*seq) })
        };
        Ok((position(), Expect::At(record.revision)))
    }

    /// Keeps records of a chain, which was looked at so far. Those of domains that there
    /// are not, or whose keys are damaged, are left out, and hold up nobody else's. So are those that are kept already,
    /// as the store did not know that when it was told of them.
    ///
    /// # Errors
    /// `Error` where they cannot be stored; nothing was, or nobody knows.
    pub async fn keep(
        &self,
        LookedAt { chain, strand, seq }: LookedAt,
        lines: &[TrailLine],
        bounds: TrailBounds,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (known, expected) = self.known(chain).await?;
        let kept = known.filter(|known| known.strand == strand).map_or(0, |known| known.seq);
        let key = audit_block::position(chain);
        let position = Sealed::public([seq.max(kept).to_be_bytes(), strand].concat());
        let mut ops = vec![Op::Put(audit_block::SPACE, key.clone(), position)];
        let mut by_tenant: BTreeMap<OkmsId, Vec<&TrailLine>> = BTreeMap::new();
        for line in lines.iter().filter(|line| line.seq > kept) {
            by_tenant.entry(line.tenant).or_default().push(line);
        }
        for (tenant, lines) in by_tenant {
            match self.of_tenant(tenant, strand, &lines, bounds, now).await {
                Ok(own) => ops.extend(own),
                Err(Error::DomainNotFound) => {}
                // Nothing of it can be read either. What the store cannot tell now it may tell later.
                Err(error @ Error::Corrupt(_)) => tracing::error!(
                    domain = %tenant, %error, records = lines.len(),
                    "a domain is damaged; its view of the audit trail lacks records"
                ),
                Err(error) => return Err(error),
            }
        }
        // Whatever is still on its way of what nobody knew.
        let preconditions = vec![(audit_block::SPACE, key, expected)];
        match self.scope.engine().commit(Batch { preconditions, ..Batch::of(ops) }).await {
            Ok(_) => Ok(()),
            Err(error) => {
                // What was counted is not there, or nobody knows.
                self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
                Err(error.into())
            }
        }
    }

    /// What keeps a domain's records.
    async fn of_tenant(
        &self,
        tenant: OkmsId,
        strand: [u8; 8],
        lines: &[&TrailLine],
        bounds: TrailBounds,
        now: Timestamp,
    ) -> Result<Vec<Op>, Error> {
        let keys = self.scope.keys_of(tenant).await?;
        let (mut ops, mut added) = (Vec::new(), 0);
        for (time, first, text) in blocks(lines) {
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            let key = audit_block::key(tenant, time, strand, first, length);
            let sealed = keys.seal(&bind(audit_block::SPACE, &key), text.as_bytes())?;
            added += u64::from(length);
            ops.push(place(key.clone()));
            ops.push(Op::Put(audit_block::SPACE, key, sealed));
        }
        ops.extend(self.make_room(tenant, added, bounds, now).await?);
        Ok(ops)
    }

    /// What removes a domain's oldest records, so that there is room for more.
    async fn make_room(
        &self,
        tenant: OkmsId,
        added: u64,
        bounds: TrailBounds,
        now: Timestamp,
    ) -> Result<Vec<Op>, Error> {
        let known = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.get(&tenant).copied()
        };
        let is_swept = |kept: &Kept| {
            now.unix_seconds().saturating_sub(kept.swept.unix_seconds()) < SWEEP_SECONDS
        };
        if let Some(kept) = known.filter(is_swept)
            && kept.bytes + added <= bounds.bytes
        {
            self.set(tenant, Kept { bytes: kept.bytes + added, ..kept });
            return Ok(Vec::new());
        }
        let snapshot = self.scope.engine().snapshot().await?;
        let mut changes = Vec::new();
        let mut all = keys_of(&*snapshot, audit_block::PLACES, audit_block::all(tenant)).await?;
        let (first, end) = audit_block::all(tenant);
        let oldest = snapshot.keys(audit_block::SPACE, &first, &end, None, 1).await?;
        if oldest.first() != all.first() {
            // Of a time when no block had a place of its own.
            all = keys_of(&*snapshot, audit_block::SPACE, (first, end)).await?;
            changes.extend(all.iter().cloned().map(place));
        }
        let bytes_of = |key: &[u8]| u64::from(audit_block::length(key).unwrap_or_default());
        let mut bytes = all.iter().map(|key| bytes_of(key)).sum::<u64>() + added;
        let past = Timestamp::from_unix_seconds(
            now.unix_seconds().saturating_sub_unsigned(bounds.age_seconds),
        );
        let (_, too_old) = audit_block::between(tenant, past, past);
        // Not so little that there is no room the next time.
        let most = if bytes > bounds.bytes { bounds.bytes / 10 * 9 } else { bounds.bytes };
        for key in all {
            if bytes <= most && key >= too_old {
                break;
            }
            bytes -= bytes_of(&key);
            changes.push(Op::Delete(audit_block::PLACES, key.clone()));
            changes.push(Op::Delete(audit_block::SPACE, key));
        }
        self.set(tenant, Kept { bytes, swept: now });
        Ok(changes)
    }

    fn set(&self, tenant: OkmsId, kept: Kept) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant, kept);
    }

    /// A page of the domain's records from one moment on and before another, the oldest first, of
    /// those that `takes` takes.
    ///
    /// # Errors
    /// `Error::Invalid` for a cursor that is none.
    pub async fn list(
        &self,
        permit: &Permit,
        (from, to): (Timestamp, Timestamp),
        cursor: Option<Vec<u8>>,
        limit: usize,
        takes: impl Fn(&str) -> bool + Send,
    ) -> Result<Page<String>, Error> {
        permit.check(Action::AuditGet, Resource::Tenant)?;
        let (id, keys) = (permit.okms_id(), self.scope.keys(permit).await?);
        // A block that begins before may reach into the time.
        let reach = Timestamp::from_unix_nanos(from.unix_nanos().saturating_sub(REACH_NANOS));
        let (first, end) = audit_block::between(id, reach, to);
        let (mut at, mut skipped) = match cursor {
            Some(cursor) => parse(id, &cursor)?,
            None => (first, 0),
        };
        // Many blocks may be opened for few records.
        let _turn = self.scope.long_reads().turn(id).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        let mut found = Vec::new();
        for _ in 0..LOOKED_AT / AT_ONCE {
            let blocks = snapshot.scan(audit_block::SPACE, &at, &end, AT_ONCE).await?;
            for (key, record) in &blocks {
                let length = record.bytes.len();
                let text =
                    aside(length, || keys.open(&bind(audit_block::SPACE, key), &record.bytes))?;
                let text = text_of(&text)?;
                let full = aside(length, || {
                    let mut lines = (0_u32..).zip(text.lines()).skip(skipped as usize);
                    lines.find_map(|(place, line)| {
                        if found.len() == limit {
                            return Some(place);
                        }
                        if takes(line) {
                            found.push(line.to_owned());
                        }
                        None
                    })
                });
                if let Some(place) = full {
                    return Ok((found, Some(after(key, place))));
                }
                skipped = 0;
                at = [key.as_slice(), &[0]].concat();
            }
            if blocks.len() < AT_ONCE {
                return Ok((found, None));
            }
        }
        Ok((found, Some(after(&at, 0))))
    }
}

/// What says where a block is.
fn place(key: Vec<u8>) -> Op {
    Op::Put(audit_block::PLACES, key, Sealed::public(Vec::new()))
}

/// A block's records are of so long a time at most.
const SPAN_NANOS: i64 = 30_000_000_000;
/// A block that has records of some moment begins so long before it at the most, with room to spare.
pub(super) const REACH_NANOS: i64 = 60_000_000_000;

/// The lines of a block.
pub(super) fn text_of(block: &[u8]) -> Result<&str, Error> {
    Ok(std::str::from_utf8(block).map_err(|_| Malformed)?)
}

/// The lines in blocks, each with the time of its earliest one and the number of its first one: records come in the
/// order in which requests end, and tell when they began.
fn blocks(lines: &[&TrailLine]) -> Vec<(Timestamp, u64, String)> {
    let mut blocks = Vec::new();
    let mut block: Option<(Timestamp, Timestamp, u64, String)> = None;
    for line in lines {
        if let Some((earliest, latest, _, text)) = &mut block {
            let (from, to) = ((*earliest).min(line.time), (*latest).max(line.time));
            let span = to.unix_nanos().saturating_sub(from.unix_nanos());
            if span <= SPAN_NANOS && text.len() + line.text.len() < BLOCK {
                (*earliest, *latest) = (from, to);
                text.push('\n');
                text.push_str(&line.text);
                continue;
            }
        }
        blocks.extend(block.replace((line.time, line.time, line.seq, line.text.clone())));
    }
    blocks.extend(block);
    blocks.into_iter().map(|(earliest, _, first, text)| (earliest, first, text)).collect()
}

/// A cursor at a line of the block with this key.
fn after(key: &[u8], line: u32) -> Vec<u8> {
    [key.get(16..).unwrap_or_default(), &line.to_be_bytes()].concat()
}

fn parse(id: OkmsId, cursor: &[u8]) -> Result<(Vec<u8>, u32), Error> {
    let (place, line) = cursor.split_last_chunk::<4>().ok_or(FORGED)?;
    if place.is_empty() || place.len() > audit_block::PLACE + 1 {
        return Err(FORGED.into());
    }
    Ok(([id.as_bytes().as_slice(), place].concat(), u32::from_be_bytes(*line)))
}
