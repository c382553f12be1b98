//! What waits to be written, by tenant.
//!
//! Always holds: what waits is bounded by count and by bytes; tenants take turns, so that the batch of a quiet one waits
//! for the group under way and for a turn of each other, not for all that somebody else has queued, one that weighs more
//! having more of a turn; a tenant may hold as much as is free, half of all where it is alone, so that there is always
//! room for another one; of one tenant all comes out as it came in. Never does: waiting.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    fair::{Tenant, Weights},
    store::engine::{Batch, Op},
};

/// How much may be in one place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) batches: usize,
    pub(super) bytes: usize,
}

/// What waits: a batch, and whatever belongs to it.
pub(super) trait Queued {
    fn batch(&self) -> &Batch;

    /// Whose batch it is: what its first key begins with, as every key begins with its domain's 16
    /// bytes.
    fn tenant(&self) -> Tenant {
        let batch = self.batch();
        let first = batch.preconditions.first().map(|(_, key, _)| key);
        let first = first.or_else(|| {
            batch.ops.first().map(|op| match op {
                Op::Put(_, key, _) | Op::Delete(_, key) | Op::DeleteRange(_, key, _) => key,
            })
        });
        let mut tenant = Tenant::default();
        if let Some(key) = first {
            tenant.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        }
        tenant
    }
}

/// There is no room for it.
pub(super) struct Full;

/// What a tenant's turn is worth, in bytes. A batch counts for a turn at least: a place in the group
/// and its judgement are worth as much, and so beside somebody's many small batches another one has
/// saved up for a large value within a group.
const TURN: usize = 16 << 10;

/// What waits.
pub(super) struct Lanes<J> {
    limits: Limits,
    by_tenant: HashMap<Tenant, Lane<J>>,
    weights: Arc<Weights>,
    /// The tenants that have something in their lanes, the next one first.
    turns: VecDeque<Tenant>,
    batches: usize,
    bytes: usize,
}

/// What one tenant has queued, in the order of arrival.
struct Lane<J> {
    jobs: VecDeque<J>,
    bytes: usize,
    /// What is left of its turn.
    credit: usize,
}

impl<J> Default for Lane<J> {
    fn default() -> Self {
        Self { jobs: VecDeque::new(), bytes: 0, credit: 0 }
    }
}

impl<J> Default for Lanes<J> {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            by_tenant: HashMap::new(),
            weights: Arc::default(),
            turns: VecDeque::new(),
            batches: 0,
            bytes: 0,
        }
    }
}

impl<J: Queued> Lanes<J> {
    pub(super) fn new(limits: Limits, weights: &Arc<Weights>) -> Self {
        Self { limits, weights: Arc::clone(weights), ..Self::default() }
    }

    /// Whether nothing waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.batches == 0
    }

    /// Takes one in, if there is room.
    pub(super) fn push(&mut self, job: J) -> Result<(), Full> {
        let weight = job.batch().weight();
        let free = Limits {
            batches: self.limits.batches.saturating_sub(self.batches),
            bytes: self.limits.bytes.saturating_sub(self.bytes),
        };
        let tenant = job.tenant();
        let held = self.by_tenant.get(&tenant).map_or((0, 0), |lane| (lane.jobs.len(), lane.bytes));
        if free.batches == 0 || weight > free.bytes {
            return Err(Full);
        }
        // As much as would be free then; the first one always fits.
        if held.0 > 0 && (held.0 + 1 > free.batches || held.1 + weight > free.bytes) {
            return Err(Full);
        }
        self.add(job);
        Ok(())
    }

    /// Takes one in that waited before, and is not refused for want of room.
    pub(super) fn add(&mut self, job: J) {
        let (tenant, weight) = (job.tenant(), job.batch().weight());
        let lane = self.by_tenant.entry(tenant).or_default();
        if lane.jobs.is_empty() {
            self.turns.push_back(tenant);
        }
        lane.jobs.push_back(job);
        lane.bytes += weight;
        self.batches += 1;
        self.bytes += weight;
    }

    /// Takes what waits, within `limits`: of one tenant in the order of arrival. The first one of a
    /// new group always goes, however heavy, as it was let in.
    pub(super) fn take(&mut self, limits: Limits, is_new: bool) -> Vec<J> {
        let mut group = Vec::new();
        let mut bytes = 0_usize;
        'group: while let Some(tenant) = self.turns.front().copied() {
            let Some(lane) = self.by_tenant.get_mut(&tenant) else {
                self.turns.pop_front();
                continue;
            };
            let turn = self.weights.of(&tenant) as usize * TURN;
            lane.credit += turn;
            while let Some(job) = lane.jobs.front() {
                let weight = job.batch().weight();
                let is_first = is_new && group.is_empty();
                let cost = weight.max(TURN);
                let is_full = group.len() >= limits.batches;
                // Whoever has to save up for a heavy one ends nobody's group before its turn.
                if !is_full && cost > lane.credit {
                    break;
                }
                if !is_first && (is_full || bytes.saturating_add(weight) > limits.bytes) {
                    // The turn goes on in the next group.
                    lane.credit = lane.credit.saturating_sub(turn);
                    break 'group;
                }
                lane.credit -= cost;
                lane.bytes = lane.bytes.saturating_sub(weight);
                bytes = bytes.saturating_add(weight);
                self.bytes = self.bytes.saturating_sub(weight);
                self.batches -= 1;
                group.extend(lane.jobs.pop_front());
            }
            let rests = !lane.jobs.is_empty();
            self.turns.pop_front();
            if rests {
                self.turns.push_back(tenant);
            } else {
                self.by_tenant.remove(&tenant);
            }
        }
        group
    }
}
