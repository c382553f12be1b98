//! Feeds: answers that tell what happens as it happens, as server-sent events.
//!
//! Owns what is said on them beside what they tell. Always holds: whoever has one is asked for his
//! right again twice in a second, so that a revoked certificate or another policy ends it, and however long that
//! takes, there is time to tell something before the next time; it waits for its peer with a few pieces at most,
//! and not for long. Never does: know what it tells; its [`Source`] does.

use std::{
    convert::Infallible,
    future::{Future, ready},
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use hyper::header::ACCEPT;
use tokio::{
    sync::mpsc,
    time::{Instant, Interval, MissedTickBehavior, Sleep, interval, sleep_until},
};

use super::{Broken, Call, Context, Reply, Stream, seats::Seat};
use crate::{
    auth::{Permit, Subject},
    model::{Circumstances, Timestamp},
    service::{Error, Service},
};

/// The type of the answer, and what clients ask for it by.
const EVENTS: &str = "text/event-stream";
/// So soon a client comes back whose feed has ended, in milliseconds.
const BEGINNING: &str = "retry: 2000\n\n";
/// So long after rights were asked they are asked again.
const JUDGED: Duration = Duration::from_millis(500);
/// So often something is said at least, so that whoever is between does not take it for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// What is said then: a comment.
const ALIVE: Bytes = Bytes::from_static(b":\n\n");
/// So long a piece waits for a peer that does not take it.
const SLOW: Duration = Duration::from_secs(10);
/// The largest piece, in bytes.
const PIECE: usize = 16 << 10;
/// So many events a source makes ready at once, as what is not taken waits: about as many bytes as wait in pieces.
pub(super) const AT_ONCE: usize = 64;
/// What a proxy has said of a certificate counts for so long.
const BY_PROXY: Duration = Duration::from_secs(60);

/// What a feed tells.
pub(super) trait Source: Send + 'static {
    /// Whether the permit is for it, still.
    fn is_allowed(&self, permit: &Permit) -> bool;

    /// Waits until there is more. It is given up from time to time, and misses nothing by that.
    fn grows(&mut self) -> impl Future<Output = Result<(), Error>> + Send;

    /// What there is more, as events; none where there is no more yet.
    fn next(
        &mut self,
        permit: &Permit,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, Error>> + Send;

    /// The answer of one who has waited as long as he would, and for nothing.
    fn nothing(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// Whether a request asks for events.
pub(super) fn is_asked_for(call: &Call) -> bool {
    let ranges = call.head.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    ranges.flat_map(|ranges| ranges.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_none = |part: &str| {
            part.strip_prefix("q=").is_some_and(|q| q.parse().is_ok_and(|q: f32| q <= 0.0))
        };
        parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(EVENTS)) && !parts.any(is_none)
    })
}

/// Appends an event: a line of text, and what the client says to go on behind it.
pub(super) fn event(events: &mut Vec<u8>, id: &str, line: &str) {
    for part in ["id: ", id, "\ndata: ", line, "\n\n"] {
        events.extend_from_slice(part.as_bytes());
    }
}

/// Appends an event of a kind, in the same way.
pub(super) fn event_of(events: &mut Vec<u8>, id: &str, kind: &str, line: &str) {
    for part in ["event: ", kind, "\n"] {
        events.extend_from_slice(part.as_bytes());
    }
    event(events, id, line);
}

/// The answer that tells what `source` has, to whoever has the permit, for as long as he may.
pub(super) fn open(
    context: &Context,
    seat: Seat,
    permit: &Permit,
    call: &Call,
    source: impl Source,
) -> Reply {
    let is_forwarded =
        matches!(permit.subject(), Subject::Certificate(peer) if peer.is_forwarded());
    let time = seat.time();
    let time = if is_forwarded { time.min(BY_PROXY) } else { time };
    let (sender, stream) = Stream::endless(PIECE, time + 2 * SLOW);
    let heartbeat = HEARTBEAT.min(time / 4);
    let feed = Feed::of(context, seat, permit, call, (source, sender), (time, Some(heartbeat)));
    tokio::spawn(feed.run());
    Reply { more: Some(stream), ..Reply::ok(EVENTS, BEGINNING) }
}

/// The answer that tells once what `source` has, as soon as there is anything, to whoever may be told then; or that
/// there is nothing, after so long. It has no place among the requests in progress meanwhile.
pub(super) fn wait(
    context: &Context,
    seat: Seat,
    permit: &Permit,
    call: &Call,
    (source, time): (impl Source, Duration),
) -> Reply {
    let (sender, stream) = Stream::endless(PIECE, time + 2 * SLOW);
    let feed = Feed::of(context, seat, permit, call, (source, sender), (time, None));
    tokio::spawn(feed.run_once());
    Reply { more: Some(stream), ..Reply::json(Vec::new()) }
}

/// Who has a feed.
struct Holder {
    service: Arc<Service>,
    permit: Permit,
    client: Option<IpAddr>,
    began: Instant,
    /// By the store's clock, and by the machine's.
    began_at: (Timestamp, Timestamp),
}

impl Holder {
    /// Asks for the permit again, as of now. Whether there is one.
    async fn is_renewed(&mut self) -> bool {
        let nanos = i64::try_from(self.began.elapsed().as_nanos()).unwrap_or(i64::MAX);
        let after = |moment: Timestamp| {
            Timestamp::from_unix_nanos(moment.unix_nanos().saturating_add(nanos))
        };
        let (now, machine_now) = (after(self.began_at.0), after(self.began_at.1));
        let circumstances = Circumstances::new(now, self.client);
        let renewed = self.service.renewed(self.permit.clone(), machine_now, circumstances).await;
        let is_renewed = renewed.is_some();
        if let Some(renewed) = renewed {
            self.permit = renewed;
        }
        is_renewed
    }
}

/// What hands pieces on.
type Sender = mpsc::Sender<Result<Bytes, Broken>>;

/// A feed that is being told.
struct Feed<S> {
    holder: Holder,
    source: S,
    sender: Sender,
    end: Pin<Box<Sleep>>,
    judged: Interval,
    /// So often something is said at least, where that may be.
    heartbeat: Option<Duration>,
    /// When something was said last.
    spoke: Instant,
    seat: Seat,
}

/// Why a feed is over.
enum Over {
    /// Nobody takes it any more.
    Gone,
    /// Its peer does not take it in time.
    Slow,
    Time,
    Denied,
    Failed(Error),
}

impl Over {
    fn of(error: Error) -> Self {
        match error {
            Error::Denied(_) | Error::PdpDenied { .. } => Self::Denied,
            error => Self::Failed(error),
        }
    }
}

impl<S: Source> Feed<S> {
    fn of(
        context: &Context,
        seat: Seat,
        permit: &Permit,
        call: &Call,
        (source, sender): (S, Sender),
        (time, heartbeat): (Duration, Option<Duration>),
    ) -> Self {
        let began = Instant::now();
        let mut judged = interval(JUDGED);
        judged.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            holder: Holder {
                service: Arc::clone(&context.service),
                // What it decides from here on is no part of the request any more.
                permit: permit.afterwards(),
                client: call.client,
                began,
                began_at: (call.now, call.machine_now),
            },
            source,
            sender,
            end: Box::pin(sleep_until(began + time)),
            judged,
            heartbeat,
            spoke: began,
            seat,
        }
    }

    async fn run(mut self) {
        let Err(over) = self.tell().await;
        let why = match over {
            Over::Gone | Over::Slow => return,
            Over::Time => ": it has had its time; connect again\n\n",
            Over::Denied => ": you may not see it any more\n\n",
            Over::Failed(error) => {
                tracing::warn!(domain = %self.seat.id(), %error, "a feed breaks off");
                ": it cannot be told any further; connect again\n\n"
            }
        };
        let _if_there_is_room = self.sender.try_send(Ok(Bytes::from_static(why.as_bytes())));
    }

    async fn run_once(mut self) {
        let outcome = self.tell_once().await;
        match outcome {
            Ok(()) | Err(Over::Gone | Over::Slow) => return,
            Err(Over::Failed(error)) => {
                tracing::warn!(domain = %self.seat.id(), %error, "an answer that was waited for breaks off");
            }
            Err(Over::Time | Over::Denied) => {}
        }
        let _whoever_has_gone = self.sender.try_send(Err(Broken));
    }

    async fn tell_once(&mut self) -> Result<(), Over> {
        let answer = loop {
            let next = self.source.next(&self.holder.permit).await;
            if let Some(answer) = next.map_err(Over::of)? {
                break answer;
            }
            match self.wait().await {
                Err(Over::Time) => break self.source.nothing(),
                waited => waited?,
            }
        };
        // It has its time once more to be taken.
        self.end = Box::pin(sleep_until(Instant::now() + SLOW));
        self.say_all(answer).await
    }

    async fn tell(&mut self) -> Result<Infallible, Over> {
        loop {
            let next = self.source.next(&self.holder.permit).await;
            if let Some(events) = next.map_err(Over::of)? {
                self.goes_on().await?;
                self.say_all(events).await?;
                continue;
            }
            self.wait().await?;
        }
    }

    /// Waits until there may be more, or it is to be looked again.
    async fn wait(&mut self) -> Result<(), Over> {
        tokio::select! {
            () = self.sender.closed() => Err(Over::Gone),
            () = self.end.as_mut() => Err(Over::Time),
            _ = self.judged.tick() => {
                self.judge().await?;
                if self.heartbeat.is_some_and(|heartbeat| self.spoke.elapsed() >= heartbeat) {
                    self.say(ALIVE).await?;
                }
                Ok(())
            }
            grown = self.source.grows() => grown.map_err(Over::Failed),
        }
    }

    async fn say_all(&mut self, bytes: Vec<u8>) -> Result<(), Over> {
        let mut bytes = Bytes::from(bytes);
        while !bytes.is_empty() {
            self.say(bytes.split_to(bytes.len().min(PIECE))).await?;
        }
        Ok(())
    }

    /// Looks whether it is over, without waiting for that.
    async fn goes_on(&mut self) -> Result<(), Over> {
        tokio::select! {
            biased;
            () = self.sender.closed() => Err(Over::Gone),
            () = self.end.as_mut() => Err(Over::Time),
            _ = self.judged.tick() => self.judge().await,
            () = ready(()) => Ok(()),
        }
    }

    /// Hands a piece on, as soon as there is room for it.
    async fn say(&mut self, piece: Bytes) -> Result<(), Over> {
        let late = Instant::now() + SLOW;
        loop {
            let is_said = tokio::select! {
                biased;
                () = self.end.as_mut() => return Err(Over::Time),
                _ = self.judged.tick() => false,
                place = self.sender.reserve() => {
                    place.map_err(|_| Over::Gone)?.send(Ok(piece.clone()));
                    true
                }
                () = sleep_until(late) => return Err(Over::Slow),
            };
            if is_said {
                self.spoke = Instant::now();
                return Ok(());
            }
            self.judge().await?;
        }
    }

    async fn judge(&mut self) -> Result<(), Over> {
        let may = self.holder.is_renewed().await && self.source.is_allowed(&self.holder.permit);
        if !may {
            return Err(Over::Denied);
        }
        self.holder.service.settles(&self.holder.permit).await.map_err(Over::of)?;
        // Where somebody else has taken his time, it would be due again before anything is told.
        self.judged.reset();
        Ok(())
    }
}
