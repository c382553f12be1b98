//! The pipeline: one request from top to bottom.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Version,
    body::Incoming,
    header::{HOST, HeaderName, HeaderValue, ORIGIN},
    http::{request::Parts, uri::Authority},
};
use uuid::Uuid;

use super::{
    Router,
    arriving::{Arriving, Bounds},
    response::{Body, response},
    router::{Captures, Found, normalized},
    shares::{Place, Room, Share, Shares, Turn},
};
use crate::{
    api::{self, Access, Call, Context, Failed, Problem, Reply, vault},
    auth::{Action, Actions, Permit, Principal, RegionPermit, Unauthenticated, VerifiedPeer, directory},
    clock::Clock,
    domain::Timestamp,
    metrics::Metrics,
    seldom::Seldom,
    service::Error,
};

const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// As many as HTTP/1.1's parser takes. Over HTTP/2 a header costs a byte or two, and ten times as much memory.
const HEADERS_MAX: usize = 100;
/// So often there is a line of one kind in the log.
const LINE_PAUSE: Duration = Duration::from_secs(10);
/// The same for failures, of which a client may ask for the reason by the request's id.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// What is counted of a request whose client has gone before anything was done for it.
const GONE: u16 = 499;
/// The label of requests that no route was found for.
const NO_OPERATION: &str = "none";

/// What bounds a request.
#[derive(Clone, Copy, Debug)]
pub struct EdgeLimits {
    /// Connections at once.
    pub connections: usize,
    /// Requests in progress at once.
    pub in_flight: usize,
    /// The URL and all headers, in bytes.
    pub head_bytes: usize,
    /// A body, in bytes.
    pub body_bytes: usize,
    /// From a request's head to its body's end.
    pub body_time: Duration,
    /// Bodies that arrive and answers that wait, in memory at once, in bytes.
    pub buffer_bytes: usize,
}

/// A request in progress, as whoever keeps the connection's deadlines sees it. It is over when every clone is dropped.
pub trait InProgress: Clone + Send + Sync + 'static {
    /// From here on the answer waits for the peer.
    fn answers(&mut self);

    /// The connection is to end once its answers are told, for the reason that is named.
    fn ends(&self, why: &'static str);
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
    router: Router,
    context: Context,
    clocks: Clocks,
    metrics: Arc<Metrics>,
    limits: EdgeLimits,
    shares: Shares,
    crowded: Seldom,
    failures: Seldom,
}

/// What is known of a connection once its handshake is done.
pub struct Connection {
    /// Or why it is nobody here.
    peer: Result<Arc<VerifiedPeer>, Problem>,
    is_stranger: bool,
    is_beyond_share: bool,
    share: Arc<Share>,
    first_id: Uuid,
    requests: AtomicU64,
}

impl Connection {
    /// Whether the peer is nobody here, be it without a certificate or with one that says nothing to us.
    #[must_use]
    pub const fn is_stranger(&self) -> bool {
        self.is_stranger
    }

    /// A fresh request id: random for each connection, counted within it.
    fn request_id(&self) -> Arc<str> {
        let number = u128::from(self.requests.fetch_add(1, Ordering::Relaxed));
        // The low 48 bits are free of the UUID's version and variant.
        Uuid::from_u128(self.first_id.as_u128() ^ (number & 0xffff_ffff_ffff)).to_string().into()
    }
}

/// A request that is authorized, and what for.
enum Granted {
    Public(api::docs::Page),
    Region(api::okms::RegionOp, RegionPermit),
    Domain(api::okms::DomainOp, Permit),
    Vault(vault::VaultOp, Option<Permit>),
}

/// A request that may be worked on, and all that it holds meanwhile.
struct Ready {
    granted: Granted,
    call: Call,
    /// What its body takes, where it has one.
    room: Option<Room>,
    place: Place,
    turn: Turn,
    /// It stores something: a client that hangs up cannot cancel it half-way.
    is_detached: bool,
}

/// What happens to a request, counted and logged where it is dropped: with the work, so that a change that was made is
/// counted whether its client has stayed for the answer or not.
struct Event {
    metrics: Arc<Metrics>,
    request_id: Arc<str>,
    operation: &'static str,
    started: Instant,
    now: Timestamp,
    status: u16,
}

impl Event {
    fn ends(&mut self, outcome: &Result<(Reply, Room), Problem>) {
        let status = outcome.as_ref().map_or_else(Problem::status, |(reply, _)| reply.status);
        self.status = status.as_u16();
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        self.metrics.request(self.operation, self.status, elapsed);
        tracing::debug!(
            request_id = %self.request_id,
            operation = self.operation,
            status = self.status,
            micros = elapsed.as_micros(),
            "request"
        );
    }
}

impl Edge {
    /// An edge that serves `context`.
    #[must_use]
    pub fn new(context: Context, clocks: Clocks, metrics: Arc<Metrics>, limits: EdgeLimits) -> Self {
        let shares = Shares::new(limits.connections, limits.buffer_bytes, limits.in_flight, limits.body_bytes);
        Self {
            router: Router::new(&api::routes()),
            context,
            clocks,
            metrics,
            limits,
            shares,
            crowded: Seldom::new(LINE_PAUSE),
            failures: Seldom::new(FAILURE_PAUSE),
        }
    }

    /// A new connection of `peer`, or of nobody for the reason that is told. One beyond its domain's share is of nobody
    /// too: what it asks for is refused, once.
    #[must_use]
    pub fn connect(&self, peer: Result<VerifiedPeer, Unauthenticated>) -> Connection {
        let principal = peer.as_ref().ok().and_then(|peer| directory::principal(peer, self.clocks.machine.now()).ok());
        let share = principal.and_then(|principal| self.shares.of(principal));
        let is_beyond_share = principal.is_some() && share.is_none();
        if is_beyond_share && let Some(left_out) = self.crowded.due() {
            let whose = match principal {
                Some(Principal::Domain(id)) => id.to_string(),
                _ => "operators".to_owned(),
            };
            tracing::warn!(whose, left_out, "all connections that one domain may have are taken; more are refused");
        }
        Connection {
            is_stranger: share.is_none(),
            share: share.unwrap_or_else(|| self.shares.of_stranger()),
            peer: if is_beyond_share { Err(Problem::CROWDED) } else { peer.map(Arc::new).map_err(Problem::from) },
            is_beyond_share,
            first_id: Uuid::new_v4(),
            requests: AtomicU64::new(0),
        }
    }

    /// Waits until no request is in progress, not even one whose client has gone.
    pub async fn idle(&self) {
        self.shares.idle(self.limits.in_flight).await;
    }

    /// Answers a request.
    pub async fn handle(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        request: Request<Incoming>,
        mut in_progress: impl InProgress,
    ) -> Response<Body> {
        let id = connection.request_id();
        let (head, body) = request.into_parts();
        let is_head = head.method == Method::HEAD;
        let namespace = head.headers.get(&NAMESPACE).cloned();
        let mut body = Arriving::new(&head.headers, body);
        let event = Event {
            metrics: Arc::clone(&self.metrics),
            request_id: Arc::clone(&id),
            operation: NO_OPERATION,
            started: Instant::now(),
            now: self.clocks.store.now(),
            status: GONE,
        };
        let outcome = self.answer(connection, head, &mut body, event, &in_progress).await;
        body.discard(|| in_progress.clone());
        let (mut reply, room) = outcome.unwrap_or_else(|problem| {
            let reply = problem.into_reply(&id);
            let room = connection.share.refuse(reply.body.len());
            (reply, room)
        });
        if is_head {
            reply.body.clear();
        }
        // Vault's clients find it in the answer as they sent it; there is nothing else to it here.
        reply.headers.extend(namespace.map(|namespace| (NAMESPACE, namespace)));
        if reply.damaged > 0 {
            self.metrics.corrupt_records(reply.damaged);
        }
        if connection.is_beyond_share {
            in_progress.ends("share");
        } else if connection.share.is_overdrawn() {
            in_progress.ends("refusals");
        }
        in_progress.answers();
        response(reply, &id, (in_progress, room))
    }

    /// The answer, and the room that it takes.
    async fn answer(
        self: &Arc<Self>,
        connection: &Connection,
        head: Parts,
        body: &mut Arriving,
        mut event: Event,
        in_progress: &impl InProgress,
    ) -> Result<(Reply, Room), Problem> {
        let ready = match self.ready(connection, head, body, &mut event, in_progress).await {
            Ok(ready) => ready,
            Err(problem) => {
                event.status = problem.status().as_u16();
                return Err(problem);
            }
        };
        if !ready.is_detached {
            let outcome = self.read(&connection.share, ready).await;
            event.ends(&outcome);
            return outcome;
        }
        let (edge, share) = (Arc::clone(self), Arc::clone(&connection.share));
        let work = tokio::spawn(async move {
            event.status = StatusCode::INTERNAL_SERVER_ERROR.as_u16();
            let outcome = edge.change(&share, ready).await;
            event.ends(&outcome);
            outcome
        });
        work.await.unwrap_or(Err(Problem::INTERNAL))
    }

    /// Everything before the work: it may be done, its body is there, and so are a place and a turn for it.
    async fn ready(
        &self,
        connection: &Connection,
        head: Parts,
        body: &mut Arriving,
        event: &mut Event,
        in_progress: &impl InProgress,
    ) -> Result<Ready, Problem> {
        let (granted, mut call) = self.admit(connection, head, event)?;
        let share = &connection.share;
        let is_read = vault::is_read(&call.head.method);
        let mut room = None;
        if is_read {
            // Nobody wants it, and while the request waits for its turn it would be kept.
            body.discard(|| in_progress.clone());
        } else {
            let bounds = Bounds { bytes: self.limits.body_bytes, time: self.limits.body_time };
            let read = body.read(bounds, share).await;
            let (bytes, of_body) = read.map_err(|problem| match granted {
                Granted::Vault(..) => problem.in_vault_words(),
                _ => problem,
            })?;
            (call.body, room) = (bytes, Some(of_body));
        }
        // Only now: a body may take its time to arrive.
        let place = share.place().ok_or(Problem::BUSY)?;
        let is_wrapped = vault::is_wrapped(&call);
        // Whatever its method: what stores nothing keeps a processor busy, and does not wait for the disk.
        let only_tells = match &granted {
            Granted::Vault(op, _) => op.only_tells(&call.head.method),
            _ => is_read,
        };
        let turn = share.turn(only_tells && !is_wrapped).await;
        Ok(Ready { granted, call, room, place, turn, is_detached: !is_read || is_wrapped })
    }

    async fn read(&self, share: &Arc<Share>, ready: Ready) -> Result<(Reply, Room), Problem> {
        let reply = self.perform(&ready.granted, &ready.call).await?;
        // What was only read can be read again.
        let room = share.reserve(memory(&reply)).ok_or(Problem::BUSY)?;
        Ok((reply, room))
    }

    async fn change(&self, share: &Arc<Share>, ready: Ready) -> Result<(Reply, Room), Problem> {
        let Ready { granted, call, room, place, turn, .. } = ready;
        let _held = (place, turn);
        // A body's room becomes its answer's.
        let mut room = room.or_else(|| share.reserve(0)).ok_or(Problem::BUSY)?;
        // What was wrapped is told once, so that there must be room for it before.
        let is_told_once = matches!(granted, Granted::Vault(vault::VaultOp::Unwrap, _));
        if is_told_once && !room.grow(self.limits.body_bytes) {
            return Err(Problem::BUSY);
        }
        let reply = self.perform(&granted, &call).await?;
        room.becomes(memory(&reply));
        Ok((reply, room))
    }

    /// Everything that is decided on the head alone: limits, route, principal, parameters, permit.
    fn admit(&self, connection: &Connection, mut head: Parts, event: &mut Event) -> Result<(Granted, Call), Problem> {
        let path = head.uri.path();
        let bytes = head_bytes(path, head.uri.query().unwrap_or_default(), &head.headers);
        if bytes > self.limits.head_bytes || head.headers.len() > HEADERS_MAX {
            return Err(Problem::HEAD_TOO_LARGE);
        }
        if !names_one_host(&head) {
            return Err(Problem::HOST);
        }
        head.method = vault::method(&head);
        let path = normalized(head.uri.path());
        let (access, captures) = match self.router.find(&head.method, &path) {
            Found::Route(access, captures) => (access, captures),
            Found::Methods(methods) => return Err(not_allowed(&head.method, methods)),
            Found::Nothing => return Err(Problem::NO_ROUTE),
        };
        event.operation = access.name();
        if !vault::is_read(&head.method) && is_foreign(&head) {
            return Err(Problem::FOREIGN_ORIGIN);
        }
        let machine_now = self.clocks.machine.now();
        let peer = connection.peer.as_ref().map_err(Problem::clone);
        let principal = peer.and_then(|peer| Ok(directory::principal(peer, machine_now)?));
        let known = principal.as_ref().ok().copied();
        let granted = match access {
            Access::Public(page) => Granted::Public(page),
            Access::Region(op) => Granted::Region(op, principal?.authorize_region(op.action())?),
            Access::Domain(op) => Granted::Domain(op, permit(principal?, &captures, op.actions())?),
            Access::Vault(op) if op.is_open() => Granted::Vault(op, None),
            // Of the region, whatever domain the path names.
            Access::Vault(op @ vault::VaultOp::Metrics) => {
                principal?.authorize_region(Action::MetricsGet)?;
                Granted::Vault(op, None)
            }
            Access::Vault(op) => {
                let denied = |why: Problem| match vault::token(&head.headers) {
                    Some(_) => why.of_token(),
                    None => why,
                };
                let permit = vault_permit(principal.map_err(denied)?, &captures, op.actions());
                Granted::Vault(op, Some(permit.map_err(Problem::in_vault_words)?))
            }
        };
        let params = captures.params()?;
        let peer = connection.peer.as_ref().ok().map(Arc::clone);
        let call = Call {
            head,
            params,
            body: Bytes::new(),
            now: event.now,
            machine_now,
            principal: known,
            peer,
            request_id: Arc::clone(&event.request_id),
        };
        Ok((granted, call))
    }

    async fn perform(&self, granted: &Granted, call: &Call) -> Result<Reply, Problem> {
        let id = &call.request_id;
        let outcome = match granted {
            Granted::Public(page) => api::docs::show(*page, call).ok_or_else(|| Problem::NO_ROUTE.into()),
            Granted::Region(op, permit) => {
                api::okms::region(*op, &self.context, permit, call).await.map_err(Failed::from)
            }
            Granted::Domain(op, permit) => {
                api::okms::domain(*op, &self.context, permit, call).await.map_err(Failed::from)
            }
            Granted::Vault(op, permit) => {
                vault::handle(*op, &self.context, permit.as_ref(), call).await.map_err(Failed::from)
            }
        };
        outcome.map_err(|Failed { problem, cause }| {
            if let Some(error) = cause {
                self.report(&error, &problem, id);
            }
            problem
        })
    }

    /// Tells the operator of an error what the caller is not told.
    fn report(&self, error: &Error, problem: &Problem, id: &str) {
        let source = std::error::Error::source(error).map(ToString::to_string);
        match error {
            // Overload is counted; a line for each would add to it.
            Error::Contended | Error::Overloaded | Error::Busy => {}
            Error::Unavailable(_) => tracing::debug!(request_id = id, %error, source, "the store refused"),
            _ if problem.is_ours() => {
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

fn permit(principal: crate::auth::Principal, captures: &Captures<'_>, actions: Actions) -> Result<Permit, Problem> {
    Ok(principal.authorize(captures.okms_id()?, actions)?)
}

/// A permit in the domain that the path names, or in the principal's own.
fn vault_permit(principal: Principal, captures: &Captures<'_>, actions: Actions) -> Result<Permit, Problem> {
    if captures.has_okms_id() {
        return permit(principal, captures, actions);
    }
    match principal {
        Principal::Domain(own) => Ok(principal.authorize(own, actions)?),
        Principal::Operator => Err(Problem::NO_DOMAIN),
    }
}

fn not_allowed(method: &Method, methods: &[(Method, Access)]) -> Problem {
    let is_vault = methods.iter().any(|(_, access)| matches!(access, Access::Vault(_)));
    let is_known = vault::VaultOp::knows(method);
    let methods: Vec<_> = methods.iter().map(|(method, _)| method.as_str()).collect();
    let problem = Problem::method_not_allowed(&methods);
    match (is_vault, is_known) {
        (false, _) => problem,
        (true, true) => problem.in_vault_words(),
        (true, false) => problem.in_no_words(),
    }
}

fn head_bytes(path: &str, query: &str, headers: &HeaderMap) -> usize {
    let headers = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    path.len() + query.len() + headers.sum::<usize>()
}

/// What an answer takes of memory: constants that all answers share take none.
fn memory(reply: &Reply) -> usize {
    if reply.body.is_unique() { reply.body.len() } else { 0 }
}

/// RFC 9112, 3.2, and RFC 9113, 8.3.1: two hosts are a way to be taken for somebody else by a proxy, and so is one that
/// can be read in two ways.
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
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_graphic() && !b"@,/?#\\".contains(byte))
}

fn is_same_host(one: &Authority, other: &Authority) -> bool {
    let port = |host: &Authority| host.port_u16().unwrap_or(443);
    one.host().eq_ignore_ascii_case(other.host()) && port(one) == port(other)
}

/// Whether a browser sends the request for a page of somebody else: it would bring the user's certificate along.
fn is_foreign(head: &Parts) -> bool {
    let Some(origin) = head.headers.get(ORIGIN) else { return false };
    let host = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    let host = host.or_else(|| head.headers.get(HOST).map(HeaderValue::as_bytes)).unwrap_or_default();
    origin.as_bytes().strip_prefix(b"https://").is_none_or(|origin| !origin.eq_ignore_ascii_case(host))
}
