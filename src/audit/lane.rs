//! What waits for a device, and what it has.
//!
//! Always holds: lines wait in order, whole; what the device has is what it has said.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    bell::Bell,
    device::{Device, Wants},
};

/// What may wait for a device, in bytes.
pub(super) const WAITING: usize = 4 << 20;
/// What may be in memory of one in all, in bytes, what was written and is not durable among it.
const HELD: usize = 32 << 20;
/// What was written and is not durable is in memory, too: so many bytes of it are made durable though
/// nobody waits for that.
const HEAVY: usize = 1 << 20;
/// So much room for lines is kept while none waits, in bytes.
const ROOM: usize = 64 << 10;
/// So often it is looked whether more records come, at most: each time a few others have gone on.
const LOOKS: usize = 4;

/// The bells of a lane's two threads.
#[derive(Debug, Default)]
pub(super) struct Bells {
    pub(super) writer: Bell,
    pub(super) syncer: Bell,
}

/// Writers that wait, and are woken when this is dropped: nobody else has to until then.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// There is one nearly always.
    first: Option<Call>,
    others: Vec<Call>,
}

/// One of them, until somebody else has woken it.
#[derive(Debug)]
struct Call(Option<Arc<Bells>>);

impl Calls {
    /// Those of these that wait.
    pub(super) fn of<'b>(bells: impl Iterator<Item = &'b Arc<Bells>>) -> Self {
        let claimed = bells.filter(|bells| bells.writer.claim());
        let mut claimed = claimed.map(|bells| Call(Some(Arc::clone(bells))));
        Self { first: claimed.next(), others: claimed.collect() }
    }

    /// Wakes them when no more records come of those who are ready: a device is asked once for all of these. By
    /// itself: whoever has claimed them may have to wait for a turn, and others would wait with it.
    pub(super) fn gather(self) {
        for call in self.first.into_iter().chain(self.others) {
            if let Some(bells) = &call.0
                && !bells.writer.has_enough()
            {
                let come = bells.writer.come();
                tokio::spawn(call.gathered(come));
            }
        }
    }
}

impl Call {
    async fn gathered(mut self, mut before: u32) {
        for _ in 0..LOOKS {
            tokio::task::yield_now().await;
            let Some(bells) = &self.0 else { return };
            match bells.writer.come() {
                come if come > before => before = come,
                come if come == before => return,
                // It was woken, and where it waits again, somebody else looks whether more come.
                _ => return self.0 = None,
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(bells) = &self.0 {
            bells.writer.ring();
        }
    }
}

/// What is known of a device.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: String,
    pub(super) bells: Arc<Bells>,
    /// Whether a record that it does not take counts as none.
    pub(super) is_required: bool,
    /// Whether what it was given must be made durable.
    pub(super) has_disk: bool,
    pub(super) buffer: Vec<u8>,
    /// How many bytes the writer has taken that are not durable yet.
    pub(super) held: usize,
    /// Which records are put into the buffer; all where it is nothing.
    pub(super) wants: Option<Wants>,
    /// What becomes of those that find no place.
    pub(super) missed: Missed,
    /// The number of the last record that was put into the buffer.
    pub(super) buffered: u64,
    /// That of the last one that the device has taken.
    pub(super) written: u64,
    /// That of the last one that is durable.
    pub(super) durable: u64,
    pub(super) condition: Condition,
    /// How many bytes were written since the device was last asked to make them durable.
    pub(super) unsynced: usize,
    /// Since when the device works on something.
    pub(super) writes_since: Option<Instant>,
    pub(super) syncs_since: Option<Instant>,
    /// Records that found no place.
    pub(super) lost: u64,
    /// It is to be no device any more: what it was given before it gets, and nothing else.
    pub(super) leaves: bool,
}

/// What becomes of records that find no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    /// They are lost, and counted.
    Lost,
    /// The device reads them for itself; there are none.
    None,
    /// The device is to read for itself up to this one, before it gets what is in the buffer.
    UpTo(u64),
}

/// How a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Well,
    /// It did not take what it was given last.
    Failed,
    /// Nor did it keep what it had taken: what is not durable is to be written again.
    Torn,
}

impl Lane {
    pub(super) fn new(device: &dyn Device, is_required: bool, from: u64) -> Self {
        Self {
            name: device.name().to_owned(),
            bells: Arc::default(),
            is_required,
            has_disk: device.disk().is_some(),
            buffer: Vec::new(),
            held: 0,
            wants: device.wants(),
            missed: match device.seen() {
                None => Missed::Lost,
                Some(seen) if seen < from => Missed::UpTo(from),
                Some(_) => Missed::None,
            },
            buffered: from,
            written: from,
            durable: from,
            condition: Condition::Well,
            unsynced: 0,
            writes_since: None,
            syncs_since: None,
            lost: 0,
            leaves: false,
        }
    }

    /// Whether a line of so many bytes finds a place.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let waiting = self.buffer.len() + bytes;
        waiting <= WAITING && self.held + waiting <= HELD
    }

    /// Puts a line behind those that wait. Where there must be room for it, there was, or it tells how
    /// something ended that was begun.
    pub(super) fn push(&mut self, line: &[u8], seq: u64) {
        if self.leaves || self.wants.is_some_and(|wants| !wants(line)) {
            return;
        }
        if self.is_required || self.has_room(line.len()) {
            self.buffer.extend_from_slice(line);
            self.buffered = seq;
        } else if self.missed == Missed::Lost {
            self.lost += 1;
        } else {
            // It reads all of this for itself.
            self.buffer = Vec::new();
            self.missed = Missed::UpTo(seq);
        }
    }

    /// What waits. Room for as much stays, if it is not too much: it is needed again at once.
    pub(super) fn take(&mut self) -> Vec<u8> {
        if self.buffer.len() > ROOM {
            return std::mem::take(&mut self.buffer);
        }
        let bytes = self.buffer.clone();
        self.buffer.clear();
        bytes
    }

    /// Whether there is something that the device is to have.
    pub(super) const fn is_behind(&self) -> bool {
        !self.buffer.is_empty() || matches!(self.missed, Missed::UpTo(_))
    }

    /// Whether what was written should become durable, whoever waits for it.
    pub(super) const fn is_heavy(&self) -> bool {
        self.unsynced > HEAVY
    }

    /// Whether it takes what it is given, in time.
    pub(super) fn is_well(&self, patience: Duration) -> bool {
        let hangs = |since: Option<Instant>| since.is_some_and(|since| since.elapsed() > patience);
        self.condition == Condition::Well && !hangs(self.writes_since) && !hangs(self.syncs_since)
    }

    /// The last record that it has taken.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// The last record that it will not lose.
    pub(super) const fn durable(&self) -> u64 {
        if self.has_disk { self.durable } else { self.written }
    }

    /// It has failed; whether that is news.
    pub(super) fn fails(&mut self) -> bool {
        let is_news = self.condition == Condition::Well;
        if is_news {
            self.condition = Condition::Failed;
        }
        is_news
    }

    /// Whether all that it was given is as durable as it gets.
    pub(super) const fn is_done(&self) -> bool {
        self.buffer.is_empty() && self.durable() >= self.buffered
    }
}

#[cfg(test)]
mod tests {
    use std::{
        iter::once,
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    /// A device was asked for every eight records, though many more were about to come.
    #[test]
    fn a_writer_is_woken_when_no_more_come() {
        for rounds in [0, 1, LOOKS - 1, LOOKS, 100] {
            let bells = Arc::new(Bells::default());
            bells.writer.sleeps();
            let call = Calls::of(once(&bells)).first.unwrap();
            assert!(Calls::of(once(&bells)).first.is_none(), "one has claimed it");
            let mut gathered = pin!(call.gathered(1));
            let mut looks = 0;
            while gathered.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                assert!(bells.writer.come() > 0, "it was woken too early");
                looks += 1;
                if looks <= rounds {
                    assert!(!bells.writer.claim());
                }
            }
            assert_eq!(bells.writer.come(), 0, "it is awake");
            assert_eq!(looks, LOOKS.min(rounds + 1));
        }
    }

    /// Whoever had looked for a writer that was woken meanwhile woke it for the first record of the next ones.
    #[test]
    fn who_is_late_leaves_a_writer_to_others() {
        let bells = Arc::new(Bells::default());
        bells.writer.sleeps();
        let call = Calls::of(once(&bells)).first.unwrap();
        let mut gathered = pin!(call.gathered(5));
        let mut poll = || gathered.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending());
        bells.writer.ring();
        bells.writer.sleeps();
        let _others = Calls::of(once(&bells));
        assert!(!bells.writer.claim());
        assert!(poll().is_ready());
        assert_eq!(bells.writer.come(), 1, "it is claimed as before");
    }
}
