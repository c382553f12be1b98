//! Takes records, links them, and hands them to the devices.
//!
//! Always holds: whoever was told that a record is kept can rely on it: each required device has
//! taken it, or has it on its disk, as asked; one that does not within the patience makes all
//! records that are required fail, at once, until it works again. Never does: wait for a device
//! while it holds its lock.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::{Notify, oneshot};

use super::{
    bell::Bell,
    chain::{Position, Said},
    device::{Device, Form},
    head::Head,
    lane::{Bells, Calls, Lane},
    members::Members,
    state::{Shared, State, Unrecorded, Waiter},
    unended::Unended,
    worker::{Syncer, Watch, Writer},
};
use crate::{
    crypto::SigningKey,
    model::{AuditMark, OkmsId, Timestamp},
};

/// How many changes may be under way at once of which the trail does not know yet how they ended.
pub const OPEN_MAX: u16 = 4096;

/// What whoever records something relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: it is recorded if it can be.
    Nothing,
    /// Each required device has taken it.
    Written,
    /// Each required device will have it after a power cut.
    Durable,
}

/// A record that was linked.
#[derive(Debug)]
#[must_use]
pub struct Receipt {
    told: Option<oneshot::Receiver<Result<(), Unrecorded>>>,
    /// The devices' threads that wait for it.
    asleep: Calls,
}

impl Receipt {
    /// That of a record on which nobody relies.
    fn of_nothing() -> Self {
        Self { told: None, asleep: Calls::default() }
    }

    /// Goes on when the record is kept as it was asked for.
    ///
    /// # Errors
    /// `Unrecorded` where it is not, in time; it may be later.
    pub async fn kept(self) -> Result<(), Unrecorded> {
        let Some(told) = self.told else { return Ok(()) };
        self.asleep.gather();
        told.await.unwrap_or(Err(Unrecorded))
    }

    /// Whether the record is kept by now as it was asked for.
    fn has_been_kept(self) -> bool {
        self.told.is_none_or(|mut told| matches!(told.try_recv(), Ok(Ok(()))))
    }
}

/// A device and whether it is required.
pub struct Fitted {
    /// The device.
    pub device: Box<dyn Device>,
    /// Whether a record that it does not take counts as none.
    pub is_required: bool,
    /// In which form it gets records.
    pub form: Form,
}

/// Names a device of a recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneId(u32);

/// Where records go.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    key: SigningKey,
    patience: Duration,
    /// So many records have a checkpoint.
    stretch: u64,
    due: Notify,
}

/// How the trail stands, for the figures.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The last record's number.
    pub records: u64,
    /// Records that were lost, as nobody relied on them.
    pub lost: u64,
    /// Each device: its name, whether it works, the last record that it has taken, and how many it
    /// has lost.
    pub devices: Vec<(String, bool, u64, u64)>,
}

impl Recorder {
    /// One that goes on behind `at`, with these changes open from before: nobody else gets the places of
    /// their marks until [`Recorder::ended`] has told how they ended, and that is durable. A checkpoint
    /// follows after each `stretch` records, and whenever it is asked for.
    ///
    /// # Errors
    /// The system's, where no threads can be had.
    pub fn start(
        (at, open): (Position, &[AuditMark]),
        key: SigningKey,
        fitted: Vec<Fitted>,
        (patience, stretch): (Duration, u64),
    ) -> io::Result<Self> {
        let mut held = BTreeSet::new();
        let place = |mark: &AuditMark| (mark.seq, mark.slot);
        let state = State {
            at,
            lanes: BTreeMap::new(),
            next_lane: 0,
            for_writing: VecDeque::new(),
            for_disk: VecDeque::new(),
            open: open.iter().filter(|mark| held.insert(mark.slot)).map(place).collect(),
            doubts: Vec::new(),
            free: (0..OPEN_MAX).rev().filter(|slot| !held.contains(slot)).collect(),
            ending: VecDeque::new(),
            since_checkpoint: 0,
            has_more: false,
            lost: 0,
            line: Vec::new(),
            is_closed: false,
            stops: false,
            threads: 0,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), watch: Bell::default() });
        let watch = Watch { shared: Arc::clone(&shared), patience };
        spawn(&shared, "audit watch", move || watch.run())?;
        let recorder = Self { shared, key, patience, stretch, due: Notify::new() };
        fitted.into_iter().try_for_each(|one| recorder.add(one).map(drop))?;
        Ok(recorder)
    }

    /// Another device, which gets what is recorded from now on.
    ///
    /// # Errors
    /// The system's, where no threads can be had.
    pub fn add(&self, fitted: Fitted) -> io::Result<LaneId> {
        let Fitted { device, is_required, form } = fitted;
        let (lane, bells) = {
            let mut state = self.shared.lock();
            let (lane, from) = (state.next_lane, state.at.seq);
            let new = Lane::new(&*device, is_required, from);
            let bells = Arc::clone(&new.bells);
            state.next_lane += 1;
            state.lanes.insert(lane, new);
            (lane, bells)
        };
        let spawned = self.work(lane, bells, device, form);
        if spawned.is_err() {
            self.shared.lock().lanes.remove(&lane);
            self.shared.lock().advance().tell();
        }
        spawned.map(|()| LaneId(lane))
    }

    fn work(
        &self,
        lane: u32,
        bells: Arc<Bells>,
        device: Box<dyn Device>,
        form: Form,
    ) -> io::Result<()> {
        if let Some(disk) = device.disk() {
            let (shared, bells) = (Arc::clone(&self.shared), Arc::clone(&bells));
            let syncer = Syncer { shared, lane, bells, disk };
            spawn(&self.shared, "audit sync", move || syncer.run())?;
        }
        let writer = Writer::new(Arc::clone(&self.shared), (lane, bells), device, form);
        spawn(&self.shared, "audit", move || writer.run())
    }

    /// Whether a record that this device does not take counts as none, from now on.
    pub fn require(&self, LaneId(lane): LaneId, is_required: bool) {
        let mut state = self.shared.lock();
        if let Some(lane) = state.lanes.get_mut(&lane) {
            lane.is_required = is_required;
        }
        state.advance().tell();
    }

    /// Takes a device away, once it has what it was given, or does not take it in time.
    pub async fn remove(&self, LaneId(lane): LaneId) {
        const LOOK: Duration = Duration::from_millis(5);
        self.require(LaneId(lane), false);
        let deadline = Instant::now() + self.patience;
        while !self.has_left(lane, deadline) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether a device that is to leave has gone by now.
    fn has_left(&self, lane: u32, deadline: Instant) -> bool {
        let mut state = self.shared.lock();
        let Some(leaving) = state.lanes.get_mut(&lane) else { return true };
        leaving.leaves = true;
        let is_over = leaving.is_done() || !leaving.is_well(self.patience);
        leaving.bells.writer.ring();
        leaving.bells.syncer.ring();
        let has_left = is_over || Instant::now() >= deadline;
        if has_left {
            state.lanes.remove(&lane);
            state.advance().tell();
        }
        has_left
    }

    /// Whether records are kept, as far as is known.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let state = self.shared.lock();
        state.is_well(self.patience)
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let state = self.shared.lock();
        let device = |lane: &Lane| {
            (lane.name.clone(), lane.is_well(self.patience), lane.written(), lane.lost)
        };
        Standing {
            records: state.at.seq,
            lost: state.lost,
            devices: state.lanes.values().map(device).collect(),
        }
    }

    /// Records something.
    ///
    /// # Errors
    /// `Unrecorded` where something is relied on that cannot be had.
    pub fn record(&self, members: &Members, need: Need) -> Result<Receipt, Unrecorded> {
        match self.admit(members, need)? {
            Some(mut state) => Ok(self.link(&mut state, members, need)),
            None => Ok(Receipt::of_nothing()),
        }
    }

    /// Records that something is about to be changed in a domain. The mark must become part of the change, so
    /// that the store can tell whether it has happened; [`Recorder::ended`] tells how it ended.
    ///
    /// # Errors
    /// `Unrecorded`: the change must not happen.
    pub fn intend(
        &self,
        members: Members,
        tenant: Option<OkmsId>,
    ) -> Result<(AuditMark, Receipt), Unrecorded> {
        let mut state = self.admit(&members, Need::Written)?.ok_or(Unrecorded)?;
        let slot = state.free.pop().ok_or(Unrecorded)?;
        let receipt = self.link(&mut state, &members.number("mark", slot.into()), Need::Written);
        let Position { chain, seq, hash } = state.at;
        state.open.insert(seq, slot);
        Ok((AuditMark { chain: *chain.as_bytes(), slot, seq, hash, tenant }, receipt))
    }

    /// Records how changes ended, which is known for good. There is always room for it: what was
    /// begun must not stay open.
    ///
    /// # Errors
    /// `Unrecorded` where it is not known whether the record will be kept.
    pub fn ended(&self, members: &Members, changes: Vec<u64>) -> Result<Receipt, Unrecorded> {
        self.end(&mut self.shared.lock(), members, changes)
    }

    fn end(
        &self,
        state: &mut State,
        members: &Members,
        changes: Vec<u64>,
    ) -> Result<Receipt, Unrecorded> {
        if state.is_closed {
            // The next start looks it up.
            return Err(Unrecorded);
        }
        let is_well = state.is_well(self.patience);
        let need = if is_well { Need::Durable } else { Need::Nothing };
        let receipt = self.link(state, members, need);
        let seq = state.at.seq;
        state.doubts.retain(|doubt| !changes.contains(&doubt.mark.seq));
        state.ending.push_back((seq, changes));
        if is_well { Ok(receipt) } else { Err(Unrecorded) }
    }

    /// Nobody knows how these ended, not even the store. They are open until [`Recorder::ended`].
    pub fn doubt(&self, changes: Vec<Unended>) {
        self.shared.lock().doubts.extend(changes);
    }

    /// Those changes.
    #[must_use]
    pub fn doubts(&self) -> Vec<Unended> {
        self.shared.lock().doubts.clone()
    }

    /// Records that the store has a change whose announcement is lost, and keeps the place of its mark
    /// until that is durable.
    ///
    /// # Errors
    /// `Unrecorded` where it is not known whether the record will be kept.
    pub fn lost(&self, members: &Members, mark: &AuditMark) -> Result<Receipt, Unrecorded> {
        let mut state = self.shared.lock();
        // Its own number is given again: it is known by that of the record that tells of it.
        let seq = state.at.seq + 1;
        if let Some(place) = state.free.iter().position(|slot| *slot == mark.slot) {
            state.free.remove(place);
            state.open.insert(seq, mark.slot);
        }
        self.end(&mut state, members, vec![seq])
    }

    /// The state, if a record may be linked; `None` where it is lost, and nobody relies on it.
    fn admit(
        &self,
        members: &Members,
        need: Need,
    ) -> Result<Option<MutexGuard<'_, State>>, Unrecorded> {
        let mut state = self.shared.lock();
        let size = members.as_str().len() + LINE_BESIDE;
        let has_room = state.lanes.values().all(|lane| !lane.is_required || lane.has_room(size));
        if state.is_closed || need != Need::Nothing && !(has_room && state.is_well(self.patience)) {
            return Err(Unrecorded);
        }
        state.lost += u64::from(!has_room);
        Ok(has_room.then_some(state))
    }

    fn link(&self, state: &mut State, members: &Members, need: Need) -> Receipt {
        state.link(members);
        if state.since_checkpoint >= self.stretch {
            self.due.notify_one();
        }
        let asleep = state.lanes.values().filter(|lane| lane.is_behind());
        let asleep = Calls::of(asleep.map(|lane| &lane.bells));
        let queue = match need {
            // Nobody waits, so nobody would wake them.
            Need::Nothing => return Receipt::of_nothing(),
            Need::Written => &mut state.for_writing,
            Need::Durable => &mut state.for_disk,
        };
        let (tell, told) = oneshot::channel();
        queue.push_back(Waiter { seq: state.at.seq, since: Instant::now(), tell });
        Receipt { told: Some(told), asleep }
    }

    /// Signs what there is, if there is anything new, and records are kept: while they are not, they would only be
    /// more.
    pub fn checkpoint(&self, time: Timestamp) {
        if self.is_well() && self.shared.lock().since_checkpoint > 0 {
            let _nobody_waits = self.sign(time, Need::Nothing);
        }
    }

    /// The same, to be kept apart from the trail once the receipt says that it is durable; `None` where
    /// the last one has said it all, or records are not kept.
    pub fn head(&self, time: Timestamp) -> Option<(Head, Receipt)> {
        let has_more = self.is_well() && self.shared.lock().has_more;
        has_more.then(|| self.sign(time, Need::Durable))
    }

    /// What the last head said was not kept.
    pub fn unsaid(&self) {
        self.shared.lock().has_more = true;
    }

    fn sign(&self, time: Timestamp, need: Need) -> (Head, Receipt) {
        let said = {
            let mut state = self.shared.lock();
            state.since_checkpoint = 0;
            let open = state.open.first_key_value().map_or(0, |(seq, _)| *seq);
            Said { at: state.at, open, time }
        };
        let (head, members) = Head::of(&said, &self.key);
        let mut state = self.shared.lock();
        let is_next = state.at == said.at;
        let receipt = self.link(&mut state, &members, need);
        // It is not by itself worth another.
        state.since_checkpoint -= 1;
        state.has_more = need != Need::Durable || !is_next;
        (head, receipt)
    }

    /// Goes on when a checkpoint is due by the number of records.
    pub async fn due(&self) {
        self.due.notified().await;
    }

    /// The last record, signed; there is none behind it. Waits until each device that works has everything, or for as long as
    /// the patience lasts. Gives what is to be kept apart, if it is durable.
    pub fn stop(&self, last: &Members, time: Timestamp) -> Option<Head> {
        if let Ok(Some(mut state)) = self.admit(last, Need::Nothing) {
            let _nobody_waits = self.link(&mut state, last, Need::Nothing);
            state.is_closed = true;
        }
        self.shared.lock().is_closed = true;
        let has_more = self.shared.lock().has_more;
        let head = has_more.then(|| self.sign(time, Need::Durable));
        let deadline = Instant::now() + self.patience;
        self.shared.lock().stops = true;
        loop {
            self.shared.ring_all();
            if self.shared.lock().threads == 0 || Instant::now() >= deadline {
                return head.and_then(|(head, receipt)| receipt.has_been_kept().then_some(head));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.lock().stops = true;
        self.shared.ring_all();
    }
}

/// What a line has beside its members, in bytes, and a little more.
const LINE_BESIDE: usize = 160;

fn spawn(shared: &Arc<Shared>, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    shared.lock().threads += 1;
    let ended = Arc::clone(shared);
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        work();
        ended.lock().threads -= 1;
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        iter::once,
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    /// Where the request that had claimed a writer went on in turns of a noisy domain, a quiet one's record waited
    /// for its next turn.
    #[tokio::test]
    async fn a_writer_is_woken_though_who_has_claimed_it_waits_for_a_turn() {
        let bells = Arc::new(Bells::default());
        bells.writer.sleeps();
        let (_tell, told) = oneshot::channel();
        let receipt = Receipt { told: Some(told), asleep: Calls::of(once(&bells)) };
        assert!(!bells.writer.claim() && bells.writer.come() > 0);
        let mut kept = pin!(receipt.kept());
        assert!(kept.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        // It goes on no more.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(bells.writer.come(), 0, "it is awake");
    }
}
