//! The threads of a device, one that writes and one that makes durable, and the one that looks whether they
//! do so in time.
//!
//! Always holds: lines reach the device in order, each whole, or wait; what the device has not
//! taken comes again, until it does; nobody waits for it much longer than the patience. Never does: hold the
//! lock while the device works.

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    device::{Caught, Device, Disk, Form, Opened},
    lane::{Bells, Condition, Missed},
    state::Shared,
    vault_form,
};

/// So often a device that fails is tried again, and what is due is looked at.
const PAUSE: Duration = Duration::from_millis(250);
/// So often it is looked whether a device is still where it belongs.
const LOOK: Duration = Duration::from_secs(1);
/// The longest time that what was written is not made durable though nobody waits for it.
const UNSYNCED: Duration = Duration::from_secs(1);
/// So often in the time of the patience it is looked who has lost it.
const LOOKS: u32 = 8;

/// What was given to a device and is not durable yet.
struct Piece {
    bytes: Vec<u8>,
    /// The last record in it.
    to: u64,
}

/// The thread that writes, until the recorder stops and nothing waits.
pub(super) struct Writer {
    shared: Arc<Shared>,
    lane: u32,
    bells: Arc<Bells>,
    device: Box<dyn Device>,
    form: Form,
    has_disk: bool,
    /// What is not durable yet, for the case that it must be written again.
    kept: VecDeque<Piece>,
    /// How many bytes that is.
    held: usize,
    /// How long the device is before that.
    base: u64,
    /// What of the last piece the device has taken.
    taken: usize,
    /// When what failed is tried again, and what is due is looked at.
    next_look: Instant,
    /// When it was last looked whether the device is still where it belongs.
    looked: Instant,
    /// What the device is to read for itself is not there yet.
    waits: bool,
    /// It has failed since the recorder was to stop.
    gives_up: bool,
}

/// What the writer is to do next.
enum Task {
    Write(Piece),
    /// What is left of the last piece.
    Again,
    Tend(u64),
    /// What was not made durable, once more.
    Restore,
    /// What the device was not given, up to that record.
    CatchUp(u64),
    Stop,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        (lane, bells): (u32, Arc<Bells>),
        device: Box<dyn Device>,
        form: Form,
    ) -> Self {
        Self {
            shared,
            lane,
            bells,
            form,
            has_disk: device.disk().is_some(),
            kept: VecDeque::new(),
            held: 0,
            base: device.length(),
            taken: 0,
            next_look: Instant::now() + PAUSE,
            looked: Instant::now(),
            waits: false,
            gives_up: false,
            device,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            match self.next() {
                Task::Stop => return,
                Task::Write(Piece { bytes, to: last }) => {
                    let bytes = match self.form {
                        Form::Own => bytes,
                        Form::Vault => vault_form::of(&bytes),
                    };
                    self.held += bytes.len();
                    self.kept.push_back(Piece { bytes, to: last });
                    self.taken = 0;
                    let written = self.look().and_then(|_| self.write_last());
                    let is_written = written.is_ok();
                    self.ended(written);
                    // What is due is looked for after each piece, and seldom found.
                    match is_written.then(|| self.tend(last)) {
                        None | Some(Ok(Opened::Same)) => {}
                        Some(tended) => self.ended(tended.map(drop)),
                    }
                }
                Task::Again => {
                    let outcome = self.reopen().and_then(|_| self.write_last());
                    self.ended(outcome);
                }
                Task::Tend(last) => {
                    let outcome = self.tend(last);
                    self.ended(outcome.map(drop));
                }
                Task::CatchUp(to) => {
                    let outcome = self.catch_up(to);
                    self.ended(outcome);
                }
                Task::Restore => {
                    let outcome = self.reopen().and_then(|_| self.restore());
                    self.ended(outcome);
                }
            }
        }
    }

    fn catch_up(&mut self, to: u64) -> io::Result<()> {
        let caught = self.device.catch_up(to)?;
        self.waits = caught == Caught::NotYet;
        if caught == Caught::Up
            && let Some(lane) = self.shared.lock().lanes.get_mut(&self.lane)
        {
            // If more was left out meanwhile, it is more.
            if lane.missed == Missed::UpTo(to) {
                lane.missed = Missed::None;
            }
            lane.written = lane.written.max(to);
        }
        Ok(())
    }

    /// Goes where the device belongs, if it was not looked at lately. Nothing is written elsewhere
    /// meanwhile: somebody may have taken that away.
    fn look(&mut self) -> io::Result<Opened> {
        if self.looked.elapsed() >= LOOK { self.reopen() } else { Ok(Opened::Same) }
    }

    fn tend(&mut self, last: u64) -> io::Result<Opened> {
        let looked = self.look()?;
        let tended = self.device.tend(last)?;
        self.moves_to(tended)?;
        Ok(if tended == Opened::Same { looked } else { tended })
    }

    fn reopen(&mut self) -> io::Result<Opened> {
        let whole = self.device.length().saturating_sub(self.begun() as u64);
        let opened = self.device.reopen(whole, self.base)?;
        // Until it is there, it is looked at each time.
        self.looked = Instant::now();
        self.moves_to(opened)?;
        Ok(opened)
    }

    /// How much the device has taken of the line that it has not taken whole.
    fn begun(&self) -> usize {
        let Some(piece) = self.kept.back().filter(|_| self.is_unfinished()) else { return 0 };
        let taken = piece.bytes.get(..self.taken).unwrap_or_default();
        taken.len() - taken.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
    }

    /// Goes on in what the device writes to now.
    fn moves_to(&mut self, opened: Opened) -> io::Result<()> {
        match opened {
            Opened::Same => Ok(()),
            Opened::Other => {
                let whole = self.taken - self.begun();
                let rest = self.kept.pop_back().filter(|piece| whole < piece.bytes.len());
                self.kept.clear();
                self.held = 0;
                self.base = self.device.length();
                self.taken = 0;
                if let Some(Piece { mut bytes, to }) = rest {
                    bytes.drain(..whole);
                    self.held = bytes.len();
                    self.kept.push_back(Piece { bytes, to });
                }
                self.all_is_durable();
                Ok(())
            }
            Opened::OtherOnly => {
                self.base = self.device.length();
                self.restore()
            }
        }
    }

    /// What was written is durable, by itself or by having been written again.
    fn all_is_durable(&self) {
        let mut state = self.shared.lock();
        if let Some(lane) = state.lanes.get_mut(&self.lane) {
            lane.durable = lane.written;
            if lane.condition == Condition::Torn {
                lane.condition = Condition::Failed;
            }
        }
    }

    fn next(&mut self) -> Task {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        loop {
            let (ends, at) = (state.stops, state.at.seq);
            let Some(lane) = state.lanes.get_mut(&self.lane) else { return Task::Stop };
            let stops = ends || lane.leaves;
            let durable = lane.durable();
            while let Some(piece) = self.kept.front().filter(|piece| piece.to <= durable) {
                self.base += piece.bytes.len() as u64;
                self.held -= piece.bytes.len();
                self.kept.pop_front();
            }
            lane.held = self.held;
            let is_unfinished = self.is_unfinished();
            let is_due = Instant::now() >= self.next_look;
            let has_failed = lane.condition != Condition::Well;
            let task = if has_failed && !is_due && !stops {
                None
            } else if self.gives_up {
                Some(Task::Stop)
            } else if lane.condition == Condition::Torn {
                Some(Task::Restore)
            } else if is_unfinished {
                Some(Task::Again)
            } else if let Missed::UpTo(to) = lane.missed {
                // The next start goes on with it.
                let goes_on = (is_due || !self.waits).then_some(Task::CatchUp(to));
                if stops { Some(Task::Stop) } else { goes_on }
            } else if !lane.buffer.is_empty() {
                let bytes = lane.take();
                lane.held += bytes.len();
                Some(Task::Write(Piece { bytes, to: lane.buffered }))
            } else if stops {
                Some(Task::Stop)
            } else {
                // Of what it does not want it has seen all by now.
                let seen = if lane.wants.is_some() { at } else { lane.written };
                is_due.then_some(Task::Tend(seen))
            };
            self.gives_up = stops;
            if let Some(task) = task {
                lane.writes_since = Some(Instant::now());
                return task;
            }
            let left = self.next_look.saturating_duration_since(Instant::now());
            state = self.bells.writer.wait(state, left).0;
        }
    }

    /// Whether the device has not taken all of the last piece.
    fn is_unfinished(&self) -> bool {
        self.kept.back().is_some_and(|piece| self.taken < piece.bytes.len())
    }

    fn write_last(&mut self) -> io::Result<()> {
        let Some(piece) = self.kept.back() else { return Ok(()) };
        while let Some(rest) = piece.bytes.get(self.taken..).filter(|rest| !rest.is_empty()) {
            self.taken += write(&mut *self.device, rest)?;
        }
        Ok(())
    }

    /// Writes what could not be made durable once more, and makes it so.
    fn restore(&mut self) -> io::Result<()> {
        self.device.cut(self.base)?;
        for piece in &self.kept {
            let mut rest: &[u8] = &piece.bytes;
            while !rest.is_empty() {
                let taken = write(&mut *self.device, rest)?;
                rest = rest.get(taken..).unwrap_or_default();
            }
        }
        self.taken = self.kept.back().map_or(0, |piece| piece.bytes.len());
        self.device.disk().map_or(Ok(()), |disk| disk.sync())?;
        self.all_is_durable();
        Ok(())
    }

    /// What was done has ended.
    fn ended(&mut self, outcome: io::Result<()>) {
        self.next_look = Instant::now() + PAUSE;
        let mut state = self.shared.lock();
        let Some(lane) = state.lanes.get_mut(&self.lane) else { return };
        lane.writes_since = None;
        if let Err(error) = outcome {
            return state.fails(self.lane, &error);
        }
        self.gives_up = false;
        if !self.is_unfinished() {
            let is_new = self.kept.back().filter(|piece| piece.to > lane.written);
            lane.unsynced += is_new.map_or(0, |piece| piece.bytes.len());
            lane.written = self.kept.back().map_or(0, |piece| piece.to).max(lane.written);
        }
        // What was torn meanwhile is not mended by anything but its being written again.
        if lane.condition == Condition::Failed {
            tracing::info!(device = lane.name, "the audit device works again");
            lane.condition = Condition::Well;
        }
        let is_heavy = lane.is_heavy();
        let kept = state.advance();
        if self.has_disk && (is_heavy || state.someone_waits_for_disk(self.lane)) {
            self.bells.syncer.ring();
        }
        drop(state);
        kept.tell();
    }
}

/// As [`Device::write`], until it takes something.
fn write(device: &mut dyn Device, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match device.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// The thread that makes durable.
pub(super) struct Syncer {
    pub(super) shared: Arc<Shared>,
    pub(super) lane: u32,
    pub(super) bells: Arc<Bells>,
    pub(super) disk: Disk,
}

impl Syncer {
    pub(super) fn run(self) {
        while let Some(to) = self.next() {
            let outcome = self.disk.sync();
            let mut state = self.shared.lock();
            let Some(lane) = state.lanes.get_mut(&self.lane) else { return };
            lane.syncs_since = None;
            match outcome {
                // What was written again meanwhile is durable by that.
                Ok(()) if lane.condition != Condition::Torn => {
                    lane.durable = lane.durable.max(to);
                    let kept = state.advance();
                    drop(state);
                    kept.tell();
                }
                Ok(()) => {}
                Err(error) => {
                    state.fails(self.lane, &error);
                    if let Some(lane) = state.lanes.get_mut(&self.lane) {
                        lane.condition = Condition::Torn;
                    }
                    self.bells.writer.ring();
                }
            }
        }
    }

    /// Up to which record the file is to be made durable, once it is.
    fn next(&self) -> Option<u64> {
        let mut state = self.shared.lock();
        let mut is_due = false;
        loop {
            let (ends, is_waited_for) = (state.stops, state.someone_waits_for_disk(self.lane));
            let lane = state.lanes.get_mut(&self.lane)?;
            let stops = ends || lane.leaves;
            let is_wanted = is_due || stops || is_waited_for || lane.is_heavy();
            if is_wanted && lane.written > lane.durable && lane.condition != Condition::Torn {
                lane.syncs_since = Some(Instant::now());
                lane.unsynced = 0;
                return Some(lane.written);
            }
            if stops && (lane.is_done() || lane.condition != Condition::Well) {
                return None;
            }
            let pause = if stops { PAUSE } else { UNSYNCED };
            (state, is_due) = self.bells.syncer.wait(state, pause);
        }
    }
}

/// The thread that tells those who have waited too long that their records are not kept.
pub(super) struct Watch {
    pub(super) shared: Arc<Shared>,
    pub(super) patience: Duration,
}

impl Watch {
    pub(super) fn run(self) {
        let pause = (self.patience / LOOKS).max(Duration::from_millis(1));
        let mut state = self.shared.lock();
        // Whoever waits when all others stop is told as well.
        while !state.stops || state.someone_waits() {
            let overdue = state.overdue(self.patience);
            if overdue.is_empty() {
                state = self.shared.watch.wait(state, pause).0;
            } else {
                drop(state);
                overdue.tell();
                state = self.shared.lock();
            }
        }
    }
}
