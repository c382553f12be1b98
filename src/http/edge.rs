//! The pipeline: one request from top to bottom.

use std::{
    future::poll_fn,
    net::IpAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::{
    Method, Request, Response, StatusCode, Version,
    body::Incoming,
    header::{HOST, HeaderName, HeaderValue, ORIGIN},
    http::{
        request::Parts,
        uri::{Authority, Uri},
    },
};
use uuid::Uuid;

use super::{
    Router,
    arriving::{Arriving, Bounds},
    forwarded::{self, Forwarding, Refused},
    pace::{Paced, Paces},
    progress::InProgress,
    refusal::Refusal,
    response::{Body, response},
    router::Match,
    seat::{Seat, Seated},
    shares::{Place, Room, Share, Shares, Turn},
};
use crate::{
    api::{
        Address, Answer, Call, Context, Dialect, Effect, Failed, Handler, Jwts, Operation, Params,
        Problem, Reply, Rows, Standing, TenantName, bearer,
    },
    audit::{Auditor, Missing, Trail, Whom},
    auth::{
        Across, Denied, Party, Permit, Principal, Recognized, RegionPermit, Subject,
        Unauthenticated, VerifiedPeer, Witness, directory,
        jwt::{Refused as JwtRefused, Scopes, Token},
        pdp::{Docket, Request as Judged, Rest},
    },
    clock::Clock,
    metrics::{Closing, Metrics, OperationMetrics, Spent},
    model::{ENDS_SOON_SECONDS, Invalid, OkmsId, Timestamp},
    seldom::Seldom,
    service::Error,
};

/// As many as HTTP/1.1's parser takes. Over HTTP/2 a header costs a byte or two, and ten times as
/// much memory.
const HEADERS_MAX: usize = 100;
/// So often there is a line of one kind in the log.
const LINE_PAUSE: Duration = Duration::from_secs(10);
/// So often there is a line about a failure, of which a client may ask for the reason by the
/// request's id.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// What is counted of a request whose client has gone before anything was done for it.
const GONE: u16 = 499;
/// The label of requests that no route was found for.
const NO_OPERATION: &str = "none";
/// What is said to whoever says of himself what nobody here reads.
const NOT_UNDERSTOOD: &str = "what Authorization says is not understood; send Bearer and the token in it, or leave the header out";

/// What bounds the requests of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// The URL and all headers, in bytes.
    pub head_bytes: usize,
    /// From a request's head to its body's end.
    pub body_time: Duration,
}

/// What bounds all requests.
#[derive(Clone, Copy, Debug)]
pub struct EdgeLimits {
    /// Connections at once.
    pub connections: usize,
    /// Requests in progress at once.
    pub in_flight: usize,
    /// A body, in bytes.
    pub body_bytes: usize,
    /// Bodies that arrive and answers that wait, in memory at once, in bytes.
    pub buffer_bytes: usize,
}

/// The two times that a request lives by.
pub struct Clocks {
    /// The machine's, by which certificates live, as TLS does.
    pub machine: Arc<dyn Clock>,
    /// The store's, which does not run backwards, for everything else.
    pub store: Arc<dyn Clock>,
}

/// The edge of the server: shared by all connections.
pub struct Edge {
    router: Router<Arc<OperationMetrics>>,
    /// Of requests that no route was found for.
    nowhere: Arc<OperationMetrics>,
    /// Answers what is no dialect's.
    plain: &'static dyn Dialect,
    context: Context,
    clocks: Clocks,
    metrics: Arc<Metrics>,
    /// Where there is an audit trail.
    auditor: Option<Arc<Auditor>>,
    limits: EdgeLimits,
    shares: Shares,
    paces: Paces,
    crowded: Seldom,
    failures: Seldom,
    misforwarded: Seldom,
}

/// Whose a request is.
struct Sender {
    /// Or why it is nobody here.
    peer: Result<Arc<VerifiedPeer>, Failed>,
    /// Whose certificate it has shown all the same, if that is known.
    refused: Option<Arc<Recognized>>,
    /// Whether it has shown no certificate at all.
    is_bare: bool,
    share: Arc<Share>,
    /// What records tell of it.
    whom: Whom,
    /// What its requests are charged to, where it is of a tenant.
    paced: Option<Paced>,
    /// Where it is, if that is known.
    client: Option<IpAddr>,
    /// The proxy that says so, where one does.
    proxy: Option<Said>,
}

/// By the word of a proxy.
struct Said {
    peer: Arc<VerifiedPeer>,
    /// The one domain for which that counts, where it does for one alone.
    domain: Option<OkmsId>,
}

/// What is known of a connection once its handshake is done.
pub struct Connection {
    /// Whose its requests are, unless a proxy says otherwise.
    sender: Sender,
    /// The proxy whose connection it is.
    via: Option<Via>,
    is_stranger: bool,
    is_beyond_share: bool,
    limits: RequestLimits,
    first_id: Uuid,
    requests: AtomicU64,
}

/// A proxy that is connected.
struct Via {
    peer: Arc<VerifiedPeer>,
    forwarding: Forwarding,
}

/// Tells when the peer's certificate ends, where that is soon: RFC 3339.
const EXPIRES: HeaderName = HeaderName::from_static("okms-certificate-expires");

impl Connection {
    /// Whether the peer is nobody here, be it without a certificate or with one that says nothing
    /// to us.
    #[must_use]
    pub const fn is_stranger(&self) -> bool {
        self.is_stranger
    }

    /// Does what the connection does, in turns with others.
    pub fn paced<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        self.sender.share.paced(work)
    }

    /// A fresh request id: random for each connection, counted within it.
    fn request_id(&self) -> Arc<str> {
        let number = u128::from(self.requests.fetch_add(1, Ordering::Relaxed));
        // The low 48 bits are free of the UUID's version and variant.
        let id = Uuid::from_u128(self.first_id.as_u128() ^ (number & 0xffff_ffff_ffff));
        Arc::from(&*id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }
}

impl Sender {
    /// Tells whose certificate it has shown that is refused, as far as that is known.
    fn is_told(&self, trail: &Trail) {
        match (&self.peer, &self.refused) {
            (Ok(peer), _) => trail.is_shown(&peer.recognized()),
            (Err(_), Some(refused)) => trail.is_shown(refused),
            (Err(_), None) => {}
        }
    }

    /// The end of its certificate, where it is to be told at `now`.
    fn expires_soon(&self, now: Timestamp) -> Option<HeaderValue> {
        let end = self.peer.as_ref().ok()?.identity().validity().not_after;
        let left = end.saturating_sub(now.unix_seconds());
        let is_soon = (0..=i64::from(ENDS_SOON_SECONDS)).contains(&left);
        let end = is_soon.then(|| Timestamp::from_unix_seconds(end).to_rfc3339_seconds())?;
        HeaderValue::try_from(&*end).ok()
    }
}

/// A handler, and the permit that it takes.
#[expect(
    clippy::large_enum_variant,
    reason = "each request has one, for a tenant nearly always, and moves it once or twice"
)]
enum Granted {
    Open(for<'a> fn(&'a Context, &'a Call) -> Answer<'a>),
    Region(for<'a> fn(&'a Context, &'a RegionPermit, &'a Call) -> Answer<'a>, RegionPermit),
    Tenant(for<'a> fn(&'a Context, &'a Permit, &'a Call) -> Answer<'a>, Permit),
}

impl Granted {
    fn perform<'a>(&'a self, context: &'a Context, call: &'a Call) -> Answer<'a> {
        match self {
            Self::Open(handler) => handler(context, call),
            Self::Region(handler, permit) => handler(context, permit, call),
            Self::Tenant(handler, permit) => handler(context, permit, call),
        }
    }
}

/// What a request asks for, as its head says it.
struct Asked<'u> {
    operation: &'static Operation,
    dialect: &'static dyn Dialect,
    address: Address<'u>,
}

/// A request that may be worked on, and all that it holds meanwhile.
struct Ready {
    granted: Granted,
    /// Whose words it is answered in.
    dialect: &'static dyn Dialect,
    effect: Effect,
    /// What its body takes, where it has one.
    room: Option<Room>,
    place: Place,
    turn: Held,
}

/// A turn, which is given back while somebody else judges the request, where somebody does.
#[expect(dead_code, reason = "they are held")]
enum Held {
    Turn(Turn),
    Seat(Seated),
}

/// What happens to a request, counted and logged where it is dropped: with the work, so that a
/// change that was made is counted whether its client has stayed for the answer or not.
struct Event {
    metrics: Arc<OperationMetrics>,
    request_id: Arc<str>,
    client: Option<IpAddr>,
    started: Instant,
    status: u16,
    trail: Option<Arc<Trail>>,
    /// Its turn, where somebody else judges it.
    seat: Option<Arc<Seat>>,
    /// How it stands with its rates, as headers tell it.
    standing: Option<StandingHeaders>,
}

/// What tells how one stands with one's rates.
type StandingHeaders = Box<[(HeaderName, HeaderValue); 2]>;

impl Event {
    fn is_of(&mut self, client: Option<IpAddr>) {
        self.client = client;
        if let Some(trail) = &self.trail {
            trail.is_from(client);
        }
    }

    /// The request has ended with this reply. Goes on when that is recorded.
    ///
    /// # Errors
    /// What to say in its place, where it is not.
    async fn ends(&mut self, reply: &Reply) -> Result<(), Problem> {
        self.status = reply.status.as_u16();
        let Some(trail) = &self.trail else { return Ok(()) };
        let missing = match trail.ends(self.status, reply.problem).await {
            Ok(()) => return Ok(()),
            Err(Missing::OfRead) => Problem::Unrecorded,
            Err(Missing::OfChange) => Problem::ChangeUnrecorded,
        };
        self.status = missing.status().as_u16();
        trail.answers_instead(self.status, (missing.id(), missing.code()));
        Err(missing)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        self.metrics.request(self.status, elapsed);
        if let Some(trail) = &self.trail {
            trail.is_left(self.status);
        }
        tracing::debug!(
            request_id = %self.request_id,
            operation = self.metrics.name(),
            client = self.client.map(tracing::field::display),
            status = self.status,
            micros = elapsed.as_micros(),
            "request"
        );
    }
}

impl Edge {
    /// An edge that serves `context` in `dialects`. What is nobody's is answered in the words of
    /// the first.
    #[must_use]
    pub fn new(
        dialects: &[&'static dyn Dialect],
        context: Context,
        clocks: Clocks,
        (metrics, auditor): (Arc<Metrics>, Option<Arc<Auditor>>),
        limits: EdgeLimits,
    ) -> Self {
        let shares = Shares::new(
            limits.connections,
            limits.buffer_bytes,
            limits.in_flight,
            limits.body_bytes,
            Arc::clone(context.service.quotas.weights()),
        );
        Self {
            router: Router::new(dialects, |dialect, operation| {
                let is_served = dialect.serves(operation, &context);
                is_served.then(|| Arc::new(metrics.operation(operation.id)))
            }),
            nowhere: Arc::new(metrics.operation(NO_OPERATION)),
            plain: dialects.first().copied().unwrap_or(&Rows { name: "", bases: &[], routes: &[] }),
            context,
            clocks,
            metrics,
            auditor,
            limits,
            shares,
            paces: Paces::new(),
            crowded: Seldom::new(LINE_PAUSE),
            failures: Seldom::new(FAILURE_PAUSE),
            misforwarded: Seldom::new(LINE_PAUSE),
        }
    }

    /// A new connection of `peer` at `address`, or of nobody for the reason that is told. One beyond
    /// its domain's share is of nobody too: what it asks for is refused, once.
    #[must_use]
    pub fn connect(
        &self,
        peer: Result<VerifiedPeer, Unauthenticated>,
        address: IpAddr,
        limits: RequestLimits,
    ) -> Connection {
        let peer = peer.map(Arc::new);
        let principal = peer
            .as_ref()
            .ok()
            .and_then(|peer| self.principal(peer, self.clocks.machine.now()).ok());
        let party = principal.map(|principal| principal.party());
        let key = peer.as_ref().ok().map(|peer| *peer.identity().public_key_sha256());
        let share = party.zip(key).and_then(|(party, key)| self.shares.of(party, &key));
        let is_beyond_share = party.is_some() && share.is_none();
        if is_beyond_share {
            self.is_beyond(Spent::Connections, party);
        }
        if is_beyond_share && let Some(left_out) = self.crowded.due() {
            let whose = match party {
                Some(Party::Tenant(id)) => id.to_string(),
                _ => "operators".to_owned(),
            };
            tracing::warn!(
                whose,
                left_out,
                "all connections that one domain, or one key of it, may have are taken; more are refused"
            );
        }
        let is_stranger = share.is_none();
        let sender = Sender {
            refused: is_beyond_share
                .then(|| Some(Arc::new(peer.as_ref().ok()?.recognized())))
                .flatten(),
            is_bare: matches!(peer, Err(Unauthenticated::NoCertificate)),
            paced: peer.as_ref().ok().and_then(|peer| self.paced(peer, party)),
            share: share.unwrap_or_else(|| self.shares.of_stranger()),
            whom: Whom::default(),
            peer: if is_beyond_share {
                Err(Problem::TooManyConnections.into())
            } else {
                peer.map_err(Failed::from)
            },
            client: Some(address.to_canonical()),
            proxy: None,
        };
        Connection {
            sender,
            via: None,
            is_stranger,
            is_beyond_share,
            limits,
            first_id: Uuid::new_v4(),
            requests: AtomicU64::new(0),
        }
    }

    /// A new connection of a proxy: it is nobody itself, and each request is of whoever the proxy says
    /// has sent it.
    #[must_use]
    pub fn connect_proxy(
        &self,
        proxy: VerifiedPeer,
        forwarding: Forwarding,
        limits: RequestLimits,
    ) -> Connection {
        let share = self.shares.of_proxy();
        let is_beyond_share = share.is_none();
        let sender = Sender {
            share: share.unwrap_or_else(|| self.shares.of_stranger()),
            whom: Whom::default(),
            peer: Err(Problem::TooManyConnections.into()),
            refused: None,
            is_bare: false,
            paced: None,
            client: None,
            proxy: None,
        };
        Connection {
            sender,
            via: (!is_beyond_share).then(|| Via { peer: Arc::new(proxy), forwarding }),
            is_stranger: is_beyond_share,
            is_beyond_share,
            limits,
            first_id: Uuid::new_v4(),
            requests: AtomicU64::new(0),
        }
    }

    /// Whose a request is that comes through a proxy.
    async fn forwarded(
        &self,
        connection: &Connection,
        Via { peer: proxy, forwarding }: &Via,
        head: &Parts,
        now: Timestamp,
        trail: Option<&Trail>,
    ) -> Result<Sender, Failed> {
        if !fits(head, connection.limits) {
            return Err(Problem::HeadTooLarge.into());
        }
        let shown = forwarded::certificates(&head.headers, &forwarding.proxy);
        let told = shown
            .and_then(|shown| Ok((shown, forwarded::address(&head.headers, &forwarding.proxy)?)));
        let (shown, client) = told.inspect_err(|fault| {
            if let Some(left_out) = self.misforwarded.due() {
                tracing::warn!(%fault, left_out, "a proxy does not say as agreed who its client is");
            }
        })?;
        let is_bare = shown.is_none();
        let mut refused = None;
        let (peer, party) = match (self.vouches(proxy, now), shown) {
            (Err(why), _) => (Err(why), None),
            (Ok(()), None) => (Err(Unauthenticated::NotForwarded.into()), None),
            (Ok(()), Some(shown)) => match forwarding.judge.judge(&shown).await {
                Err(Refused { why, whose }) => {
                    refused = whose;
                    (Err(why.into()), None)
                }
                Ok(peer) => match (self.principal(&peer, now), forwarding.proxy.domain) {
                    (Ok(principal), Some(domain)) if principal.party() != Party::Tenant(domain) => {
                        refused = Some(Arc::new(peer.recognized()));
                        (Err(Unauthenticated::NotOfProxy.into()), None)
                    }
                    (principal, _) => (Ok(peer), principal.ok().map(|one| one.party())),
                },
            },
        };
        let key = peer.as_ref().ok().map(|peer| peer.identity().public_key_sha256());
        let share = self.shares.through(&connection.sender.share, party.zip(key));
        let Some(share) = share else {
            if let (Some(trail), Ok(peer)) = (trail, &peer) {
                trail.is_shown(&peer.recognized());
            }
            self.is_beyond(Spent::Connections, party);
            return Err(Problem::TooManyConnections.into());
        };
        let paced = peer.as_ref().ok().and_then(|peer| self.paced(peer, party));
        let proxy = Some(Said { peer: Arc::clone(proxy), domain: forwarding.proxy.domain });
        Ok(Sender { peer, refused, is_bare, share, whom: Whom::default(), paced, client, proxy })
    }

    /// Goes on if the word of a proxy counts.
    fn vouches(&self, proxy: &VerifiedPeer, now: Timestamp) -> Result<(), Failed> {
        let revoked = self.context.service.revocations.revoked();
        directory::stands(proxy, revoked, now).map_err(|why| {
            let why = format!("the proxy's own certificate is refused: {why}");
            Problem::Unauthenticated.with(&[&why])
        })
    }

    /// Whom a request is of.
    fn principal_of(&self, sender: &Sender, now: Timestamp) -> Result<Principal, Failed> {
        if let Some(proxy) = &sender.proxy {
            self.vouches(&proxy.peer, now)?;
        }
        let peer = sender.peer.as_ref().map_err(Failed::clone)?;
        Ok(self.principal(peer, now)?)
    }

    fn principal(
        &self,
        peer: &Arc<VerifiedPeer>,
        now: Timestamp,
    ) -> Result<Principal, Unauthenticated> {
        directory::principal(peer, self.context.service.revocations.revoked(), now)
    }

    /// What requests of a peer are charged to; those of operators are charged to nobody.
    fn paced(&self, peer: &VerifiedPeer, party: Option<Party>) -> Option<Paced> {
        let Some(Party::Tenant(id)) = party else { return None };
        let asked = self.context.service.usages.requests(id);
        Some(self.paces.of(id, peer.identity().public_key_sha256(), asked))
    }

    /// Charges a request, if there is room for it in all rates that it counts for, and tells how it
    /// stands with them, if there are any.
    fn charge(&self, paced: &Paced, effect: Effect) -> Result<Option<StandingHeaders>, Failed> {
        let quota = self.context.service.quotas.of(paced.tenant());
        let taken = paced.take(&quota, effect != Effect::Read, self.paces.now());
        match taken {
            Ok(rates) if rates.is_empty() => Ok(None),
            Ok(rates) => Ok(Some(Box::new(Standing::headers(&rates)))),
            Err((spent, beyond)) => {
                self.refused(spent, paced.tenant());
                Err(beyond.into())
            }
        }
    }

    /// Counts a request that was refused for what its tenant has taken.
    fn refused(&self, spent: Spent, tenant: OkmsId) {
        let has_own = self.context.service.quotas.has_own(tenant);
        self.metrics.quotas().refused(spent, has_own.then_some(tenant));
    }

    /// The same, if it is a tenant's.
    fn is_beyond(&self, spent: Spent, party: Option<Party>) {
        if let Some(Party::Tenant(id)) = party {
            self.refused(spent, id);
        }
    }

    /// Waits until no request is in progress, not even one whose client has gone.
    pub async fn idle(&self) {
        self.shares.idle(self.limits.in_flight).await;
    }

    /// What happens to a request that begins now.
    fn event(&self, connection: &Connection, id: &Arc<str>, now: Timestamp) -> Event {
        Event {
            metrics: Arc::clone(&self.nowhere),
            request_id: Arc::clone(id),
            client: connection.sender.client,
            started: Instant::now(),
            status: GONE,
            trail: self.auditor.as_ref().map(|auditor| auditor.begin(now, id)),
            seat: None,
            standing: None,
        }
    }

    /// The answer to what the HTTP library has refused before it was a request, which is counted and
    /// recorded like one.
    pub fn refuse(&self, connection: &Connection, refusal: Refusal) -> Bytes {
        let id = connection.request_id();
        let mut event = self.event(connection, &id, self.clocks.store.now());
        event.is_of(connection.sender.client);
        let problem = refusal.problem();
        event.status = problem.status().as_u16();
        if let Some(trail) = &event.trail {
            connection.sender.is_told(trail);
            trail.is_refused(event.status, (problem.id(), problem.code()));
        }
        refusal.to_bytes(&id)
    }

    /// Answers a request.
    pub async fn handle(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        request: Request<Incoming>,
        in_progress: impl InProgress,
    ) -> Response<Body> {
        let id = connection.request_id();
        let (head, body) = request.into_parts();
        let is_head = head.method == Method::HEAD;
        let mut body = Arriving::new(&head, body);
        let now = self.clocks.store.now();
        let machine_now = self.clocks.machine.now();
        let client = connection.sender.client;
        let mut event = self.event(connection, &id, now);
        let mut call = Call {
            head,
            is_head,
            params: Params::default(),
            body: Bytes::new(),
            now,
            machine_now,
            client,
            caller: None,
            request_id: Arc::clone(&id),
        };
        let forwarded = match &connection.via {
            None => None,
            Some(via) => {
                let trail = event.trail.as_deref();
                Some(self.forwarded(connection, via, &call.head, machine_now, trail).await)
            }
        };
        let sender = match &forwarded {
            None => Ok(&connection.sender),
            Some(forwarded) => forwarded.as_ref(),
        };
        let (mut reply, room) = match sender {
            Ok(sender) => {
                call.client = sender.client;
                event.is_of(sender.client);
                let asked = (sender, connection.limits);
                self.answer(asked, call, &mut body, event, &in_progress).await
            }
            Err(failed) => {
                let reply = self.plain.render(failed.clone(), &call);
                event.is_of(client);
                // What was refused stays so, recorded or not.
                let _recorded = event.ends(&reply).await;
                refuse(&connection.sender.share, reply)
            }
        };
        body.discard(|| in_progress.clone());
        body.settle().await;
        let ends = sender.ok().and_then(|sender| sender.expires_soon(machine_now));
        reply.headers.extend(ends.map(|end| (EXPIRES, end)));
        if is_head {
            reply.body.clear();
            reply.more = None;
        }
        if reply.damaged > 0 {
            self.metrics.corrupt_records(reply.damaged);
        }
        if connection.is_beyond_share {
            in_progress.ends(Closing::Share);
        } else if sender.map_or(&connection.sender, |sender| sender).share.is_overdrawn() {
            in_progress.ends(Closing::Refusals);
        }
        response(reply, &id, (in_progress, room))
    }

    /// The answer, and the room that it takes.
    async fn answer(
        self: &Arc<Self>,
        (sender, limits): (&Sender, RequestLimits),
        mut call: Call,
        body: &mut Arriving,
        mut event: Event,
        in_progress: &impl InProgress,
    ) -> (Reply, Room) {
        let mut dialect = self.plain;
        let ready = self
            .ready((sender, limits), &mut call, &mut dialect, body, &mut event, in_progress)
            .await;
        let standing = event.standing.take();
        let (mut reply, room) = match ready {
            Ok(ready) => self.work(sender, ready, call, event).await,
            Err(problem) => {
                let reply = dialect.render(problem, &call);
                // What was refused stays so, recorded or not.
                let _recorded = event.ends(&reply).await;
                refuse(&sender.share, reply)
            }
        };
        reply.headers.extend(standing.into_iter().flat_map(|headers| *headers));
        (reply, room)
    }

    /// Does the work, be it that a change goes on when its client has gone.
    async fn work(
        self: &Arc<Self>,
        sender: &Sender,
        ready: Ready,
        call: Call,
        mut event: Event,
    ) -> (Reply, Room) {
        let (dialect, share) = (ready.dialect, &sender.share);
        if ready.effect == Effect::Read {
            let reads = self.read(share, ready, &call);
            // In HTTP/1.1 it is its connection's task that does it, in turns. A stream's, and that of whom a
            // proxy has sent, takes turns from here on, where no more of them can wait than there are places.
            let (reply, room) = if call.head.version == Version::HTTP_2 || sender.proxy.is_some() {
                share.paced(reads).await
            } else {
                reads.await
            };
            return match event.ends(&reply).await {
                Ok(()) => (reply, room),
                Err(missing) => refuse(share, dialect.render(missing.into(), &call)),
            };
        }
        let (edge, its_share) = (Arc::clone(self), Arc::clone(share));
        let id = Arc::clone(&call.request_id);
        let work = tokio::spawn(share.paced(async move {
            event.status = StatusCode::INTERNAL_SERVER_ERROR.as_u16();
            let (reply, room) = edge.change(&its_share, ready, &call).await;
            match event.ends(&reply).await {
                Ok(()) => (reply, room),
                Err(missing) => refuse(&its_share, dialect.render(missing.into(), &call)),
            }
        }));
        // A task that panicked has nobody who could word it.
        work.await
            .unwrap_or_else(|_| refuse(share, Failed::from(Problem::Internal).into_reply(&id)))
    }

    /// Everything before the work: it may be done, its body is there, and so are a place and a turn
    /// for it. Whoever waits for one of these may lose meanwhile what it had, and is judged again.
    async fn ready(
        &self,
        (sender, limits): (&Sender, RequestLimits),
        call: &mut Call,
        dialect: &mut &'static dyn Dialect,
        body: &mut Arriving,
        event: &mut Event,
        in_progress: &impl InProgress,
    ) -> Result<Ready, Failed> {
        // A copy of it is cheap, and the head is written to.
        let uri = call.head.uri.clone();
        let (asked, mut granted) = self.admit((sender, limits), &uri, call, dialect, event).await?;
        let effect = dialect.effect(asked.operation, &call.head);
        let share = &sender.share;
        let (mut room, mut has_waited) = (None, false);
        if dialect.is_safe(&call.head.method) {
            // Nobody wants it, and while the request waits for its turn it would be kept.
            body.discard(|| in_progress.clone());
        } else {
            let bounds = Bounds { bytes: self.limits.body_bytes, time: limits.body_time };
            let read = noticed(body.read(bounds, share), &mut has_waited).await;
            let (bytes, of_body) = read.inspect_err(|problem| {
                if *problem == Problem::TooManyRequests {
                    self.is_beyond(Spent::Memory, call.caller);
                }
            })?;
            (call.body, room) = (bytes, Some(of_body));
        }
        // Only now: a body may take its time to arrive.
        let place = share.place().ok_or_else(|| {
            self.is_beyond(Spent::Places, call.caller);
            Problem::TooManyRequests
        })?;
        // What stores nothing keeps a processor busy, and does not wait for the disk.
        let turn = noticed(share.turn(effect == Effect::Read), &mut has_waited).await;
        if has_waited {
            granted = self.again(sender, granted, &asked, call, event).await?;
        }
        let turn = match &event.seat {
            Some(seat) => Held::Seat(seat.take(turn)),
            None => Held::Turn(turn),
        };
        Ok(Ready { granted, dialect: *dialect, effect, room, place, turn })
    }

    async fn read(&self, share: &Arc<Share>, ready: Ready, call: &Call) -> (Reply, Room) {
        let Ready { granted, dialect, room, place, turn, .. } = ready;
        let _held = (place, turn);
        let reply = match self.perform(&granted, dialect, call).await {
            Ok(reply) => reply,
            Err(refusal) => return refuse(share, refusal),
        };
        if let Some(mut room) = room {
            room.becomes(memory(&reply));
            return (reply, room);
        }
        // What was only read can be read again.
        let Some(room) = share.reserve(memory(&reply)) else {
            self.is_beyond(Spent::Memory, call.caller);
            return refuse(share, dialect.render(Problem::TooManyRequests.into(), call));
        };
        (reply, room)
    }

    async fn change(&self, share: &Arc<Share>, ready: Ready, call: &Call) -> (Reply, Room) {
        let Ready { granted, dialect, effect, room, place, turn } = ready;
        let _held = (place, turn);
        let busy = || {
            self.is_beyond(Spent::Memory, call.caller);
            refuse(share, dialect.render(Problem::TooManyRequests.into(), call))
        };
        // A body's room becomes its answer's.
        let Some(mut room) = room.or_else(|| share.reserve(0)) else { return busy() };
        if effect == Effect::Take && !room.grow(self.limits.body_bytes) {
            return busy();
        }
        match self.perform(&granted, dialect, call).await {
            Ok(reply) => {
                room.becomes(memory(&reply));
                (reply, room)
            }
            Err(refusal) => refuse(share, refusal),
        }
    }

    /// Everything that is decided on the head alone: limits, route, principal, permit, parameters.
    async fn admit<'u>(
        &self,
        (sender, limits): (&Sender, RequestLimits),
        uri: &'u Uri,
        call: &mut Call,
        dialect: &mut &'static dyn Dialect,
        event: &mut Event,
    ) -> Result<(Asked<'u>, Granted), Failed> {
        let principal = self.principal_of(sender, call.machine_now);
        // Whatever it is refused for.
        match (&event.trail, &principal) {
            (Some(trail), Ok(principal)) => trail.is_of_peer(principal, &sender.whom),
            (Some(trail), Err(_)) => sender.is_told(trail),
            (None, _) => {}
        }
        if !fits(&call.head, limits) {
            return Err(Problem::HeadTooLarge.into());
        }
        if !names_one_host(&call.head) {
            return Err(Problem::BadHost.into());
        }
        let (routes, address) =
            self.router.address(&call.head.method, uri).ok_or(Problem::NoRoute)?;
        *dialect = routes.dialect;
        call.head.method = address.method.clone();
        let (operation, captures) = match routes.find(&address) {
            Match::Operation(operation, metrics, captures) => {
                event.metrics = Arc::clone(metrics);
                if let Some(trail) = &event.trail {
                    trail.asks(dialect.name(), operation.id);
                }
                (operation, captures)
            }
            Match::Methods(methods) => {
                let methods: Vec<_> = methods.iter().map(|(method, ..)| method.as_str()).collect();
                return Err(Failed::unknown_method(&methods));
            }
            Match::Nothing => return Err(Problem::NoRoute.into()),
        };
        let named = event.trail.as_ref().and_then(|trail| {
            let (thing, name) = dialect.named(&address, &captures)?;
            trail.names(thing, &name);
            Some((thing, name))
        });
        if !dialect.is_safe(&call.head.method) && is_foreign(&call.head) {
            return Err(Problem::ForeignOrigin.into());
        }
        call.caller = principal.as_ref().ok().map(Principal::party);
        let effect = dialect.effect(operation, &call.head);
        if self.context.service.is_judged() {
            event.seat = Some(Seat::new(&sender.share, effect == Effect::Read));
        }
        if let (Ok(_), Some(paced)) = (&principal, &sender.paced) {
            event.standing = self.charge(paced, effect)?;
        }
        let principal = match dialect.jwts(operation, &call.head) {
            Jwts::None => principal,
            Jwts::Scoped(_) | Jwts::AsConfigured(_) => {
                let principal = self.with_jwt(sender, principal, call, event, effect).await?;
                self.has_bearer(routes.dialect, &principal, &call.head)?;
                principal
            }
        };
        let trail = event.trail.as_ref();
        let granted = match operation.handler {
            Handler::Open(handler) => Granted::Open(handler),
            Handler::Region(handler) => {
                let asked = (operation, routes.dialect, &address);
                Granted::Region(handler, self.region(&principal?, asked, call, event).await?)
            }
            Handler::Tenant(handler) => {
                let principal = principal.or_else(|nobody| {
                    let visited = dialect.visited(operation, &address, &call.head);
                    let visitor = self.visitor(sender, visited).ok_or(nobody)?;
                    if let Some(trail) = trail {
                        trail.is_of(&visitor);
                    }
                    Ok::<_, Failed>(visitor)
                })?;
                let asked = (operation, routes.dialect, &address);
                let at = self.place(&principal, asked, &call.head).await?;
                if let Some(trail) = trail {
                    let (tenant, across) = at;
                    // A stranger is not told, not even in what is his to read, nor by the time that it takes.
                    let own = [Party::Operator, Party::Tenant(tenant)];
                    let is_own = across != Across::Nowhere || own.contains(&principal.party());
                    let tenants = &self.context.service.tenants;
                    let salt = if is_own { tenants.salt(tenant).await.ok() } else { None };
                    trail.is_in(tenant, salt);
                    if is_own
                        && let Some((thing, name)) = &named
                        && let Some(path) = self.in_tree(tenant, address.mount(), name)
                    {
                        trail.names(*thing, &path);
                    }
                }
                Granted::Tenant(handler, self.permit(&principal, at, asked, call, event).await?)
            }
        };
        if let Some(fault) = address.fault {
            return Err(fault.into());
        }
        call.params = routes.dialect.params(&address, &captures)?;
        Ok((Asked { operation, dialect: routes.dialect, address }, granted))
    }

    /// What is granted to a request that has waited, at this moment, which is that of its work: the
    /// certificate may be revoked meanwhile, its authority be gone, or a policy deny what it asks for.
    async fn again(
        &self,
        sender: &Sender,
        granted: Granted,
        asked: &Asked<'_>,
        call: &mut Call,
        event: &Event,
    ) -> Result<Granted, Failed> {
        let asked = (asked.operation, asked.dialect, &asked.address);
        (call.now, call.machine_now) = (self.clocks.store.now(), self.clocks.machine.now());
        let principal = self.principal_of(sender, call.machine_now);
        Ok(match granted {
            Granted::Open(handler) => Granted::Open(handler),
            Granted::Region(handler, _) => {
                Granted::Region(handler, self.region(&principal?, asked, call, event).await?)
            }
            Granted::Tenant(handler, permit) => {
                let principal = if let Some(token) = permit.principal().token() {
                    token.lives(call.machine_now)?;
                    self.beside(sender, principal, Arc::clone(token), call.machine_now)?
                } else {
                    let visited = permit.is_visitors().then_some(permit.okms_id());
                    principal.or_else(|nobody| self.visitor(sender, visited).ok_or(nobody))?
                };
                let at = self.place(&principal, asked, &call.head).await?;
                Granted::Tenant(handler, self.permit(&principal, at, asked, call, event).await?)
            }
        })
    }

    /// Which tenant a request is about, and how whoever sends it comes there.
    async fn place(
        &self,
        principal: &Principal,
        (_, dialect, address): (&Operation, &dyn Dialect, &Address<'_>),
        head: &Parts,
    ) -> Result<(OkmsId, Across), Failed> {
        const TWO: Invalid = Invalid(
            "the header X-Tenant-ID names another tenant than the address; send one of them",
        );
        let tenants = &self.context.service.tenants;
        let called = async |name: &str| {
            let nobody = || match principal.party() {
                Party::Operator => Failed::from(Error::DomainNotFound),
                Party::Tenant(_) => Denied::UnknownDomain.into(),
            };
            tenants.called(name).await?.ok_or_else(nobody)
        };
        let beside = match dialect.names_tenant(head)? {
            Some(name) => Some(called(name).await?),
            None => None,
        };
        let own = match principal.party() {
            Party::Operator => None,
            Party::Tenant(own) => Some(own),
        };
        // An operator with a JWT acts where that is for.
        let only = principal.token().and_then(|token| token.tenant()).filter(|_| own.is_none());
        let named = match &address.tenant {
            Some(TenantName::Id(id)) => Some((*id)?),
            Some(TenantName::Called(name)) => Some(called(name).await?),
            Some(TenantName::Partner) | None => None,
        };
        if let (Some(named), Some(beside)) = (named, beside)
            && named != beside
        {
            return Err(TWO.into());
        }
        let id = named.or(beside).or(own).or(only).ok_or(Problem::NoDomain)?;
        if only.is_some_and(|only| only != id) {
            return Err(Denied::UnknownDomain.into());
        }
        // By their ids alone, all other dialects know of no kin.
        let is_kin = matches!(address.tenant, Some(TenantName::Called(_))) || beside.is_some();
        let across = match own {
            Some(own) if own != id && is_kin => {
                if tenants.partner_of(id).await? != Some(own) {
                    return Err(Denied::UnknownDomain.into());
                }
                Across::ToTenant
            }
            _ => Across::Nowhere,
        };
        if address.tenant != Some(TenantName::Partner) {
            return Ok((id, across));
        }
        match tenants.partner_of(id).await? {
            Some(partner) if own == Some(id) => Ok((partner, Across::ToPartner)),
            // It is its own, or whoever runs the region.
            Some(partner) => Ok((partner, Across::Nowhere)),
            None if tenants.is_partner(id).await? => Ok((id, across)),
            None => Err(Problem::SecretNotFound.into()),
        }
    }

    /// A permit for what the operation does to the region, where whoever is of a domain sees that one, if it
    /// may.
    async fn region(
        &self,
        principal: &Principal,
        asked: (&Operation, &dyn Dialect, &Address<'_>),
        call: &Call,
        event: &Event,
    ) -> Result<RegionPermit, Failed> {
        let trail = event.trail.as_ref();
        let own = match principal.party() {
            Party::Operator => None,
            Party::Tenant(own) => {
                let at = (own, Across::Nowhere);
                Some(self.permit(principal, at, asked, call, event).await?)
            }
        };
        let permit = principal.authorize_region(asked.0.actions, own.as_ref());
        let permit = permit.inspect_err(|_| may_none_of(trail, asked.0))?;
        Ok(permit.seen_by(witness(trail)))
    }

    /// What is named below a mount that somebody has made, by where it is in the domain's tree.
    fn in_tree(&self, tenant: OkmsId, mount: &str, name: &str) -> Option<String> {
        let key = Some(mount)
            .filter(|mount| !mount.is_empty())
            .and_then(|mount| name.strip_prefix(mount)?.strip_prefix('/'))?;
        let below = self.context.service.access.directory().below(tenant, mount)?;
        Some(format!("{below}{key}"))
    }

    /// Whom a request is of in a dialect that takes JWTs, where it brings one: it is judged, and who comes
    /// with it alone is charged. What else its header says is refused.
    async fn with_jwt(
        &self,
        sender: &Sender,
        principal: Result<Principal, Failed>,
        call: &mut Call,
        event: &mut Event,
        effect: Effect,
    ) -> Result<Result<Principal, Failed>, Failed> {
        if principal.is_ok() && !bearer::is_understood(&call.head.headers) {
            return Err(Problem::JwtInvalid.with(&[NOT_UNDERSTOOD]));
        }
        let Some(token) = bearer::jwt(&call.head.headers) else { return Ok(principal) };
        let Some(issuer) = &self.context.bearers.issuer else {
            return if principal.is_ok() {
                Err(Problem::TokenInvalid.into())
            } else {
                Ok(principal)
            };
        };
        let shown = match (&principal, &sender.peer) {
            (Ok(_), Ok(peer)) => Some(peer.identity().sha256()),
            // Whose certificate is refused does not come in by another door.
            _ if !sender.is_bare => return Ok(principal),
            _ if !issuer.terms().stand_alone => return Err(JwtRefused::Alone.into()),
            _ => None,
        };
        let is_alone = shown.is_none();
        let claims = issuer.judge(token, shown, call.machine_now).await?;
        let tenant = match &claims.tenant {
            None => None,
            Some(name) => {
                let called = self.context.service.tenants.called(name).await?;
                Some(called.ok_or(Denied::UnknownDomain)?)
            }
        };
        let token = Arc::new(Token::new(issuer.terms().issuer.clone(), claims, tenant));
        let trail = event.trail.as_ref();
        if let Some(trail) = trail.filter(|_| !is_alone) {
            trail.brings(&token);
        }
        let principal = self.beside(sender, principal, token, call.machine_now)?;
        if is_alone {
            if let Some(trail) = trail {
                trail.is_of(&principal);
            }
            call.caller = Some(principal.party());
            if let Some(paced) = self.paced_by_token(&principal) {
                event.standing = self.charge(&paced, effect)?;
            }
        }
        Ok(Ok(principal))
    }

    /// Goes on if a request that is somebody's brings a bearer, where it must.
    fn has_bearer(
        &self,
        dialect: &dyn Dialect,
        principal: &Result<Principal, Failed>,
        head: &Parts,
    ) -> Result<(), Unauthenticated> {
        if dialect.needs_bearer(&self.context)
            && principal.is_ok()
            && !bearer::is_there(&head.headers)
        {
            return Err(Unauthenticated::NoBearer);
        }
        Ok(())
    }

    /// Whom a request is of that brings a good JWT, beside a certificate or alone. Alone not through a proxy
    /// of another domain.
    fn beside(
        &self,
        sender: &Sender,
        principal: Result<Principal, Failed>,
        token: Arc<Token>,
        now: Timestamp,
    ) -> Result<Principal, Failed> {
        match principal {
            Ok(principal) => Ok(principal.with_token(token).ok_or(Denied::UnknownDomain)?),
            Err(nobody) => {
                let only = sender.proxy.as_ref().and_then(|proxy| proxy.domain);
                let is_of_other = only.is_some() && only != token.tenant();
                let proxy = sender.proxy.as_ref();
                let is_vouched = proxy.is_none_or(|proxy| self.vouches(&proxy.peer, now).is_ok());
                let may = sender.is_bare && !is_of_other && is_vouched;
                may.then(|| directory::bearer(token)).flatten().ok_or(nobody)
            }
        }
    }

    /// What requests of whoever comes with a JWT alone are charged to.
    fn paced_by_token(&self, principal: &Principal) -> Option<Paced> {
        let (Party::Tenant(id), Some(token)) = (principal.party(), principal.token()) else {
            return None;
        };
        let asked = self.context.service.usages.requests(id);
        Some(self.paces.of(id, &token.key(), asked))
    }

    /// What scopes bound whoever asks so, where any do.
    fn scopes(&self, principal: &Principal, jwts: Jwts) -> Option<Scopes> {
        let bearers = &self.context.bearers;
        let token = principal.token().map(|token| token.claims().scopes);
        let is_alone = matches!(principal.subject(), Subject::Bearer);
        match jwts {
            Jwts::None => None,
            Jwts::Scoped(_) => token,
            Jwts::AsConfigured(_) if token.is_some() => {
                token.filter(|_| bearers.enforce_scopes || is_alone)
            }
            // A token of ours has none.
            Jwts::AsConfigured(_) => {
                (bearers.are_required && bearers.enforce_scopes).then(Scopes::default)
            }
        }
    }

    /// Somebody without a certificate who logs in as a user of the tenant, or has, where the operator
    /// lets such in, and where there is an address by which failed logins are counted. Through a proxy of
    /// another domain nobody does.
    fn visitor(&self, sender: &Sender, tenant: Option<OkmsId>) -> Option<Principal> {
        let may = sender.is_bare
            && sender.client.is_some()
            && self.context.visitors.load(Ordering::Relaxed);
        let only = sender.proxy.as_ref().and_then(|proxy| proxy.domain);
        let tenant = tenant.filter(|tenant| may && only.is_none_or(|only| only == *tenant));
        Some(directory::visitor(tenant?))
    }

    /// A permit for the tenant. The first time that a rule asks, the certificates are looked up that
    /// the peer's was renewed from.
    async fn permit(
        &self,
        principal: &Principal,
        at: (OkmsId, Across),
        (operation, dialect, address): (&Operation, &dyn Dialect, &Address<'_>),
        call: &Call,
        event: &Event,
    ) -> Result<Permit, Failed> {
        let (service, trail) = (&self.context.service, event.trail.as_ref());
        let brings_token = principal.token().is_none() && dialect.brings_token(&call.head);
        let authorize = || {
            let directory = service.access.directory();
            let circumstances = call.circumstances();
            principal.authorize_at(
                at,
                operation.actions,
                directory,
                circumstances,
                brings_token,
                || dialect.addressed(address),
            )
        };
        let decided = match authorize() {
            Err(Denied::Untraced) => {
                if let Err(error) = service.credentials.trace(principal).await {
                    let failed = Failed::from(error);
                    if let Some(error) = &failed.cause {
                        self.report(error, &failed, &call.request_id);
                    }
                    return Err(failed);
                }
                authorize()
            }
            decided => decided,
        };
        let permit = decided.inspect_err(|_| may_none_of(trail, operation))?;
        let jwts = dialect.jwts(operation, &call.head);
        let permit = permit.scoped(self.scopes(principal, jwts));
        if let Jwts::Scoped(needed) | Jwts::AsConfigured(needed) = jwts {
            let checked = needed.iter().try_for_each(|scope| permit.check_scope(*scope));
            checked.inspect_err(|_| may_none_of(trail, operation))?;
        }
        let docket = event.seat.as_ref().map(|seat| {
            let request = Judged {
                id: Arc::clone(&call.request_id),
                client: call.client,
                dialect: dialect.name(),
                now: call.now,
                machine_now: call.machine_now,
            };
            Docket::new(request, Some(Arc::clone(seat) as Arc<dyn Rest>))
        });
        Ok(permit.judged_by(docket).seen_by(witness(trail)))
    }

    /// Does the work, or says in the dialect's words why not.
    async fn perform(
        &self,
        granted: &Granted,
        dialect: &dyn Dialect,
        call: &Call,
    ) -> Result<Reply, Reply> {
        let mut performed = granted.perform(&self.context, call).await;
        // Nothing leaves of which somebody was still to be asked.
        if let (Ok(_), Granted::Tenant(_, permit)) = (&performed, granted)
            && let Err(error) = self.context.service.settles(permit).await
        {
            performed = Err(error.into());
        }
        performed.map_err(|failed| {
            let spent = match failed.problem {
                Problem::TooManyTokens => Some(Spent::Tokens),
                Problem::TooManySecrets => Some(Spent::Secrets),
                Problem::TooMuchStored => Some(Spent::Bytes),
                Problem::TooManyFeeds => Some(Spent::Feeds),
                _ => None,
            };
            if let Some(spent) = spent {
                self.is_beyond(spent, call.caller);
            }
            if let Some(error) = &failed.cause {
                self.report(error, &failed, &call.request_id);
            }
            dialect.render(failed, call)
        })
    }

    /// Tells the operator of an error what the caller is not told.
    fn report(&self, error: &Error, failed: &Failed, id: &str) {
        let source = std::error::Error::source(error).map(ToString::to_string);
        match error {
            // Overload is counted; a line for each would add to it.
            Error::Contended | Error::Overloaded | Error::Busy => {}
            Error::Unavailable(_) => {
                tracing::debug!(request_id = id, %error, source, "the store refused");
            }
            _ if failed.is_ours() => {
                if let Some(left_out) = self.failures.due() {
                    tracing::error!(request_id = id, %error, source, left_out, "a request failed on our side");
                } else {
                    tracing::debug!(request_id = id, %error, source, "a request failed on our side");
                }
            }
            _ => {}
        }
        if matches!(error, Error::Corrupt(_)) {
            self.metrics.corrupt_records(1);
        }
    }
}

/// A refusal, with the room that it takes.
fn refuse(share: &Arc<Share>, reply: Reply) -> (Reply, Room) {
    let room = share.refuse(reply.body.len());
    (reply, room)
}

/// Whether a request's head is within its bounds.
fn fits(Parts { uri, headers, .. }: &Parts, limits: RequestLimits) -> bool {
    let each = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let bytes = uri.path().len() + uri.query().unwrap_or_default().len() + each.sum::<usize>();
    bytes <= limits.head_bytes && headers.len() <= HEADERS_MAX
}

/// What `work` comes to, and in `has_waited` whether that took longer than until it was asked.
async fn noticed<T>(work: impl Future<Output = T>, has_waited: &mut bool) -> T {
    let mut work = pin!(work);
    poll_fn(|context| {
        let polled = work.as_mut().poll(context);
        *has_waited |= polled.is_pending();
        polled
    })
    .await
}

fn witness(trail: Option<&Arc<Trail>>) -> Option<Arc<dyn Witness>> {
    trail.map(|trail| Arc::clone(trail) as Arc<dyn Witness>)
}

/// Nothing of what the operation does is allowed.
fn may_none_of(trail: Option<&Arc<Trail>>, operation: &Operation) {
    if let Some(trail) = trail {
        trail.may_none_of(operation.actions);
    }
}

/// What an answer takes of memory: constants that all answers share take none.
fn memory(reply: &Reply) -> usize {
    let body = if reply.body.is_unique() { reply.body.len() } else { 0 };
    body + reply.more.as_ref().map_or(0, |stream| stream.memory)
}

/// RFC 9112, 3.2, and RFC 9113, 8.3.1: two hosts are a way to be taken for somebody else by a
/// proxy, and so is one that can be read in two ways.
pub(crate) fn names_one_host(head: &Parts) -> bool {
    let mut hosts = head.headers.get_all(HOST).iter();
    match (head.version, hosts.next(), hosts.next(), head.uri.authority()) {
        (_, Some(_), Some(_), _) => false,
        (_, Some(told), None, None) => is_host(told.as_bytes()),
        (_, Some(told), None, Some(asked)) => {
            is_host(told.as_bytes())
                && Authority::try_from(told.as_bytes()).is_ok_and(|told| is_same_host(&told, asked))
        }
        (Version::HTTP_2, None, _, asked) => asked.is_some(),
        (version, None, ..) => version == Version::HTTP_10,
    }
}

/// Whether there is nothing in it that a host and a port have not.
fn is_host(text: &[u8]) -> bool {
    !text.is_empty()
        && text.iter().all(|byte| byte.is_ascii_graphic() && !b"@,/?#\\".contains(byte))
}

fn is_same_host(one: &Authority, other: &Authority) -> bool {
    let port = |host: &Authority| host.port_u16().unwrap_or(443);
    one.host().eq_ignore_ascii_case(other.host()) && port(one) == port(other)
}

/// Whether a browser sends the request for a page of somebody else: it would bring the user's
/// certificate along.
fn is_foreign(head: &Parts) -> bool {
    let Some(origin) = head.headers.get(ORIGIN) else { return false };
    let host = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    let host =
        host.or_else(|| head.headers.get(HOST).map(HeaderValue::as_bytes)).unwrap_or_default();
    origin
        .as_bytes()
        .strip_prefix(b"https://")
        .is_none_or(|origin| !origin.eq_ignore_ascii_case(host))
}
