//! What a connection is doing, and until when it may: the deadlines beneath HTTP.
//!
//! A connection is always in one of these states, each with a deadline: silent since its handshake,
//! sending a head, having requests in progress, having answers of which the peer takes nothing, or
//! idle between requests. The connection's task looks at the state from time to time; a request
//! itself only changes a few numbers, and starts no timer.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{http, metrics::Closing};

/// So many bytes at once are a part of an answer; fewer may be no more than what HTTP/2 says about
/// itself.
const SOME: usize = 512;

/// How long a connection may be in each state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deadlines {
    /// Silent since its handshake.
    pub first_byte: Duration,
    /// Sending a head.
    pub head: Duration,
    /// Having a request in progress; measured in steps of this length.
    pub request: Duration,
    /// Taking nothing of any answer that waits.
    pub stall: Duration,
    /// Between requests.
    pub idle: Duration,
}

impl Deadlines {
    /// How often to look: often enough that no deadline is missed by more than a quarter of the
    /// shortest.
    fn tick(&self) -> Duration {
        self.first_byte.min(self.head).min(self.request).min(self.stall).min(self.idle) / 4
    }
}

/// What to do about a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Look again then.
    Until(Instant),
    /// It had its time.
    Close(Closing),
}

/// The state of one connection.
pub(super) struct Activity {
    started: Instant,
    deadlines: Deadlines,
    /// Whether every head is preceded by silence, as on HTTP/1. HTTP/2 sends frames for other ends
    /// too.
    sequential: AtomicBool,
    served: AtomicBool,
    /// Milliseconds after `started`: when the connection last went idle.
    idle_since: AtomicU64,
    /// Milliseconds after `started`, plus one: when the first byte came since then; 0 for none yet.
    first_byte_at: AtomicU64,
    /// Requests in progress, by the parity of the step in which they began.
    in_progress: [AtomicUsize; 2],
    /// The running step, and when it began.
    step: AtomicUsize,
    step_since: AtomicU64,
    /// Answers that follow as they come: each has a deadline of its own.
    streams: AtomicUsize,
    /// Answers that wait for the peer.
    answers: AtomicUsize,
    /// Milliseconds after `started`: when the peer last took something of them.
    taken_at: AtomicU64,
    /// Why the connection is to end, where it is.
    over: OnceLock<Closing>,
    ends: Notify,
    /// It takes no more requests.
    ending: CancellationToken,
}

/// A request in progress, until this is dropped.
pub(super) struct InProgress {
    activity: Arc<Activity>,
    /// The parity of the step in which it began; none once it streams.
    step: Option<usize>,
    answers: bool,
}

impl Activity {
    /// A connection whose handshake has just ended.
    pub(super) fn new(deadlines: Deadlines) -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            deadlines,
            sequential: AtomicBool::new(true),
            served: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            first_byte_at: AtomicU64::new(0),
            in_progress: [AtomicUsize::new(0), AtomicUsize::new(0)],
            step: AtomicUsize::new(0),
            step_since: AtomicU64::new(0),
            streams: AtomicUsize::new(0),
            answers: AtomicUsize::new(0),
            taken_at: AtomicU64::new(0),
            over: OnceLock::new(),
            ends: Notify::new(),
            ending: CancellationToken::new(),
        })
    }

    /// The connection speaks HTTP/2.
    pub(super) fn is_multiplexed(&self) {
        self.sequential.store(false, Relaxed);
    }

    /// A request begins.
    pub(super) fn begin(self: &Arc<Self>) -> InProgress {
        self.served.store(true, Relaxed);
        self.first_byte_at.store(0, Relaxed);
        InProgress::new(Arc::clone(self), Some(self.step.load(Relaxed) % 2))
    }

    /// The connection is to end, for the reason that is named.
    pub(super) fn end(&self, why: Closing) {
        // The first reason is the one.
        let _first = self.over.set(why);
        self.ends.notify_one();
    }

    /// The connection takes no more requests: what has no end of its own ends.
    pub(super) fn winds_up(&self) {
        self.ending.cancel();
    }

    /// Waits until the connection is to end, and says why.
    pub(super) async fn over(&self) -> Closing {
        loop {
            match self.over.get() {
                Some(why) => return *why,
                None => self.ends.notified().await,
            }
        }
    }

    /// Since when the peer has asked for nothing and taken nothing.
    pub(super) fn idle_since(&self) -> Instant {
        self.started
            + Duration::from_millis(self.idle_since.load(Relaxed).max(self.taken_at.load(Relaxed)))
    }

    /// Judges the connection now. For the connection's own task alone.
    pub(super) fn judge(&self) -> Verdict {
        let now = self.millis();
        if self.busy() {
            let step = self.step.load(Relaxed);
            let due = self.step_since.load(Relaxed) + millis(self.deadlines.request);
            let stalled_at = match self.answers.load(Acquire) {
                0 => u64::MAX,
                _ => self.taken_at.load(Relaxed) + millis(self.deadlines.stall),
            };
            if now >= stalled_at {
                return Verdict::Close(Closing::Stall);
            }
            if now < due {
                return self.until(now, due.min(stalled_at));
            }
            // What began in the step before the running one has been there for a whole step.
            if self.counter(Some((step + 1) % 2)).load(Relaxed) > 0 {
                return Verdict::Close(Closing::Request);
            }
            self.step.store(step + 1, Relaxed);
            self.step_since.store(now, Relaxed);
            return self.until(now, now + millis(self.deadlines.request));
        }
        self.step_since.store(now, Relaxed);
        let first_byte_at = self.first_byte_at.load(Relaxed);
        let idle_since = self.idle_since.load(Relaxed);
        let waits_for_head = !self.served.load(Relaxed) || self.sequential.load(Relaxed);
        let (due, name) = match first_byte_at.checked_sub(1) {
            Some(at) if waits_for_head => (at + millis(self.deadlines.head), Closing::Head),
            None if !self.served.load(Relaxed) => {
                (millis(self.deadlines.first_byte), Closing::FirstByte)
            }
            _ => (idle_since + millis(self.deadlines.idle), Closing::Idle),
        };
        if now < due { self.until(now, due) } else { Verdict::Close(name) }
    }

    /// Whether nothing has come since the handshake.
    pub(super) fn is_untouched(&self) -> bool {
        !self.served.load(Relaxed) && self.first_byte_at.load(Relaxed) == 0
    }

    /// The peer has sent something.
    pub(super) fn read_bytes(&self) {
        if self.first_byte_at.load(Relaxed) == 0 && !self.busy() {
            self.first_byte_at.store(self.millis() + 1, Relaxed);
        }
    }

    /// The peer has taken so many bytes.
    pub(super) fn wrote(&self, bytes: usize) {
        if bytes >= SOME {
            self.taken_at.store(self.millis(), Relaxed);
        }
    }

    /// How long the connection is there.
    pub(super) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    fn busy(&self) -> bool {
        self.in_progress.iter().chain([&self.streams]).any(|counter| counter.load(Acquire) > 0)
    }

    fn counter(&self, step: Option<usize>) -> &AtomicUsize {
        let [even, odd] = &self.in_progress;
        match step {
            Some(0) => even,
            Some(_) => odd,
            None => &self.streams,
        }
    }

    fn millis(&self) -> u64 {
        millis(self.started.elapsed())
    }

    fn until(&self, now: u64, due: u64) -> Verdict {
        let wait = Duration::from_millis(due - now).min(self.deadlines.tick());
        Verdict::Until(Instant::now() + wait.max(Duration::from_millis(1)))
    }
}

impl InProgress {
    fn new(activity: Arc<Activity>, step: Option<usize>) -> Self {
        activity.counter(step).fetch_add(1, Relaxed);
        Self { activity, step, answers: false }
    }
}

impl Clone for InProgress {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.activity), self.step)
    }
}

impl http::InProgress for InProgress {
    fn answers(&mut self) {
        if !self.answers {
            self.answers = true;
            // In this order, and only where nothing waited: who is judged has had its time.
            if self.activity.answers.load(Relaxed) == 0 {
                self.activity.taken_at.store(self.activity.millis(), Relaxed);
            }
            self.activity.answers.fetch_add(1, Release);
        }
    }

    fn waits(&mut self) {
        if std::mem::take(&mut self.answers) {
            self.activity.answers.fetch_sub(1, Release);
        }
    }

    fn streams(&mut self) {
        // In this order: it is never seen idle.
        self.activity.streams.fetch_add(1, Relaxed);
        let before = std::mem::take(&mut self.step);
        self.activity.counter(before).fetch_sub(1, Release);
    }

    fn ending(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.activity.ending.clone().cancelled_owned())
    }

    fn ends(&self, why: Closing) {
        self.activity.end(why);
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        // In this order: whoever sees the connection idle must see since when.
        let now = self.activity.millis();
        self.activity.idle_since.store(now, Release);
        if self.answers {
            self.activity.taken_at.store(now, Relaxed);
            self.activity.answers.fetch_sub(1, Release);
        }
        self.activity.counter(self.step).fetch_sub(1, Release);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn activity() -> Arc<Activity> {
        Activity::new(Deadlines {
            first_byte: 2 * SECOND,
            head: 4 * SECOND,
            request: 10 * SECOND,
            stall: 3 * SECOND,
            idle: 20 * SECOND,
        })
    }

    /// Lets the connection's task look whenever it wants to, for `seconds`; what it says in the
    /// end.
    async fn after(activity: &Activity, seconds: u32) -> Option<Closing> {
        let end = Instant::now() + seconds * SECOND;
        loop {
            match activity.judge() {
                Verdict::Close(name) => return Some(name),
                Verdict::Until(_) if Instant::now() >= end => return None,
                Verdict::Until(next) => tokio::time::sleep_until(next.min(end)).await,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_slow_heads() {
        assert_eq!(after(&activity(), 3).await, Some(Closing::FirstByte));
        let slow = activity();
        assert_eq!(after(&slow, 1).await, None);
        slow.read_bytes();
        assert_eq!(after(&slow, 3).await, None);
        slow.read_bytes();
        assert_eq!(after(&slow, 2).await, Some(Closing::Head));
    }

    #[tokio::test(start_paused = true)]
    async fn idle_between_requests() {
        let connection = activity();
        connection.read_bytes();
        drop(connection.begin());
        assert_eq!(after(&connection, 19).await, None);
        drop(connection.begin());
        assert_eq!(after(&connection, 19).await, None);
        connection.read_bytes();
        assert_eq!(after(&connection, 5).await, Some(Closing::Head));
        let multiplexed = activity();
        multiplexed.is_multiplexed();
        drop(multiplexed.begin());
        multiplexed.read_bytes();
        assert_eq!(after(&multiplexed, 19).await, None, "a ping is no head");
        assert_eq!(after(&multiplexed, 2).await, Some(Closing::Idle));
    }

    /// A peer that takes nothing of its answers once kept them, and everything that came with them,
    /// for two minutes.
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken() {
        use crate::http::InProgress as _;
        let connection = activity();
        let mut request = connection.begin();
        assert_eq!(after(&connection, 9).await, None, "work may take its time");
        request.answers();
        assert_eq!(after(&connection, 2).await, None);
        connection.wrote(SOME);
        assert_eq!(after(&connection, 2).await, None);
        let mut other = connection.begin();
        other.answers();
        connection.wrote(20);
        assert_eq!(
            after(&connection, 2).await,
            Some(Closing::Stall),
            "neither another request nor a ping takes anything"
        );
        drop((request, other));
        assert_eq!(after(&connection, 5).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_ends_within_two_steps() {
        let connection = activity();
        let stuck = connection.begin();
        assert_eq!(after(&connection, 9).await, None);
        let other = connection.begin();
        assert_eq!(after(&connection, 25).await, Some(Closing::Request));
        drop((stuck, other));
        let busy = activity();
        for _ in 0..20 {
            let request = busy.begin();
            assert_eq!(after(&busy, 9).await, None, "many short requests are no long one");
            drop(request);
        }
    }
}
