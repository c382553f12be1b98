//! The pipeline: one request from top to bottom.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Method, Request, Response,
    body::{Body as _, Incoming},
    header::{HOST, HeaderName, HeaderValue, ORIGIN},
    http::request::Parts,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::{
    Problem, Router,
    response::{Body, response},
    router::{Captures, Found, normalized},
};
use crate::{
    api::{self, Access, Call, Context, Reply, vault},
    auth::{Action, Actions, Permit, Principal, RegionPermit, Unauthenticated, VerifiedPeer, directory},
    clock::Clock,
    domain::Timestamp,
    metrics::Metrics,
    service::Error,
};

/// Bodies and answers up to this size are not counted.
const SMALL: usize = 16 << 10;
/// What is counted of the larger ones, in bytes.
const UNIT: usize = 1 << 10;
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// The label of requests that no route was found for.
const NO_OPERATION: &str = "none";

/// What bounds a request.
#[derive(Clone, Copy, Debug)]
pub struct EdgeLimits {
    /// Requests in progress at once.
    pub in_flight: usize,
    /// The URL and all headers, in bytes.
    pub head_bytes: usize,
    /// A body, in bytes.
    pub body_bytes: usize,
    /// From a request's head to its body's end.
    pub body_time: Duration,
    /// Large bodies and answers in memory at once, in bytes.
    pub buffer_bytes: usize,
}

/// The edge of the server: shared by all connections.
pub struct Edge {
    router: Router,
    context: Context,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    limits: EdgeLimits,
    in_flight: Arc<Semaphore>,
    buffers: Arc<Semaphore>,
}

/// What is known of a connection once its handshake is done.
pub struct Connection {
    peer: Result<Arc<VerifiedPeer>, Unauthenticated>,
    first_id: Uuid,
    requests: AtomicU64,
}

impl Connection {
    /// A connection of `peer`, or of nobody for the reason that is told.
    #[must_use]
    pub fn new(peer: Result<VerifiedPeer, Unauthenticated>) -> Self {
        Self { peer: peer.map(Arc::new), first_id: Uuid::new_v4(), requests: AtomicU64::new(0) }
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

/// What the event of a request tells when it is closed.
struct Event {
    operation: &'static str,
    started: Instant,
    now: Timestamp,
}

impl Edge {
    /// An edge that serves `context`.
    #[must_use]
    pub fn new(context: Context, clock: Arc<dyn Clock>, metrics: Arc<Metrics>, limits: EdgeLimits) -> Self {
        let in_flight = Arc::new(Semaphore::new(limits.in_flight));
        let buffers = Arc::new(Semaphore::new(limits.buffer_bytes / UNIT));
        Self { router: Router::new(&api::routes()), context, clock, metrics, limits, in_flight, buffers }
    }

    /// Waits until no request is in progress, not even one whose client has gone.
    pub async fn idle(&self) {
        let all = u32::try_from(self.limits.in_flight).unwrap_or(u32::MAX);
        drop(self.in_flight.acquire_many(all).await);
    }

    /// Answers a request. `guard` lives until the answer is handed over.
    pub async fn handle<G: Unpin>(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        request: Request<Incoming>,
        guard: G,
    ) -> Response<Body<(G, Option<OwnedSemaphorePermit>)>> {
        let id = connection.request_id();
        let is_head = request.method() == Method::HEAD;
        let namespace = request.headers().get(&NAMESPACE).cloned();
        let mut event = Event { operation: NO_OPERATION, started: Instant::now(), now: self.clock.now() };
        let outcome = self.answer(connection, request, &mut event, &id).await;
        let (mut reply, room) = outcome.unwrap_or_else(|problem| (problem.into_reply(&id), None));
        if is_head {
            reply.body.clear();
        }
        // Vault's clients find it in the answer as they sent it; there is nothing else to it here.
        reply.headers.extend(namespace.map(|namespace| (NAMESPACE, namespace)));
        if reply.damaged > 0 {
            self.metrics.corrupt_records(reply.damaged);
        }
        let elapsed = event.started.elapsed();
        self.metrics.request(event.operation, reply.status.as_u16(), elapsed);
        tracing::debug!(
            request_id = %id,
            operation = event.operation,
            status = reply.status.as_u16(),
            micros = elapsed.as_micros(),
            "request"
        );
        response(reply, &id, (guard, room))
    }

    /// The answer, and the room that it takes until it is handed over.
    async fn answer(
        self: &Arc<Self>,
        connection: &Connection,
        request: Request<Incoming>,
        event: &mut Event,
        id: &Arc<str>,
    ) -> Result<(Reply, Option<OwnedSemaphorePermit>), Problem> {
        let (head, body) = request.into_parts();
        let (granted, mut call) = self.admit(connection, head, event, id)?;
        let permit = Arc::clone(&self.in_flight).try_acquire_owned().map_err(|_| Problem::BUSY)?;
        let is_read = vault::is_read(&call.head.method);
        if is_read && !vault::is_wrapped(&call) {
            let reply = self.perform(&granted, &call).await?;
            // What was only read can be read again; what was changed is told whatever it costs.
            let room = self.reserve(if reply.body.is_unique() { reply.body.len() } else { 0 })?;
            return Ok((reply, room));
        }
        // What was wrapped is told once, so that there must be room for it before.
        let told_once = match &granted {
            Granted::Vault(vault::VaultOp::Unwrap, _) => self.reserve(self.limits.body_bytes)?,
            _ => None,
        };
        let mut room = None;
        if !is_read {
            let read = self.read_body(body).await;
            (call.body, room) = read.map_err(|problem| match granted {
                Granted::Vault(..) => problem.in_vault_words(),
                _ => problem,
            })?;
        }
        // Detached: a client that hangs up cannot cancel a change half-way.
        let edge = Arc::clone(self);
        let work = tokio::spawn(async move {
            let _held = (permit, room);
            edge.perform(&granted, &call).await
        });
        Ok((work.await.unwrap_or(Err(Problem::INTERNAL))?, told_once))
    }

    /// Everything that is decided on the head alone: limits, route, principal, parameters, permit.
    fn admit(
        &self,
        connection: &Connection,
        mut head: Parts,
        event: &mut Event,
        id: &Arc<str>,
    ) -> Result<(Granted, Call), Problem> {
        let path = head.uri.path();
        if head_bytes(path, head.uri.query().unwrap_or_default(), &head.headers) > self.limits.head_bytes {
            return Err(Problem::HEAD_TOO_LARGE);
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
        let principal =
            connection.peer.as_ref().map_err(|why| *why).and_then(|peer| directory::principal(peer, event.now));
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
                // A token without its certificate is worth nothing, and says so in Vault's way.
                let denied = |why| match vault::token(&head.headers) {
                    Some(_) => Problem::PERMISSION_DENIED,
                    None => Problem::from(why),
                };
                let permit = vault_permit(principal.map_err(denied)?, &captures, op.actions());
                Granted::Vault(op, Some(permit.map_err(Problem::in_vault_words)?))
            }
        };
        let params = captures.params()?;
        let (peer, principal) = (connection.peer.as_ref().ok().map(Arc::clone), principal.ok());
        let call =
            Call { head, params, body: Bytes::new(), now: event.now, principal, peer, request_id: Arc::clone(id) };
        Ok((granted, call))
    }

    async fn perform(&self, granted: &Granted, call: &Call) -> Result<Reply, Problem> {
        let id = &call.request_id;
        let outcome = match granted {
            Granted::Public(page) => return api::docs::show(*page, call).ok_or(Problem::NO_ROUTE),
            Granted::Region(op, permit) => api::okms::region(*op, &self.context, permit, call).await,
            Granted::Domain(op, permit) => api::okms::domain(*op, &self.context, permit, call).await,
            Granted::Vault(op, permit) => {
                let answer = vault::handle(*op, &self.context, permit.as_ref(), call).await;
                return answer.map_err(|failure| match &failure {
                    vault::Failure::Service(error) => {
                        self.report(error, id);
                        Problem::from(&failure)
                    }
                    _ => Problem::from(&failure),
                });
            }
        };
        outcome.map_err(|error| {
            self.report(&error, id);
            Problem::from(&error)
        })
    }

    /// Tells the operator of an error what the caller is not told.
    fn report(&self, error: &Error, id: &str) {
        let problem = Problem::from(error);
        let source = std::error::Error::source(error).map(ToString::to_string);
        match error {
            // Overload is counted; a line for each would add to it.
            Error::Contended | Error::Overloaded | Error::Busy => {}
            Error::Unavailable(_) => tracing::debug!(request_id = id, %error, source, "the store refused"),
            _ if problem.is_ours() => tracing::error!(request_id = id, %error, source, "a request failed on our side"),
            _ => {}
        }
        if matches!(error, Error::Corrupt(_)) {
            self.metrics.corrupt_records(1);
        }
    }

    async fn read_body(&self, body: Incoming) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Problem> {
        let max = self.limits.body_bytes;
        let size = body.size_hint();
        if size.lower() > max as u64 {
            return Err(Problem::BODY_TOO_LARGE);
        }
        let expected = size.upper().and_then(|upper| usize::try_from(upper).ok()).unwrap_or(max).min(max);
        let room = self.reserve(expected)?;
        let collected = tokio::time::timeout(self.limits.body_time, Limited::new(body, max).collect());
        match collected.await.map_err(|_| Problem::BODY_TOO_SLOW)? {
            Ok(body) => Ok((body.to_bytes(), room)),
            Err(error) if error.is::<LengthLimitError>() => Err(Problem::BODY_TOO_LARGE),
            Err(_) => Err(Problem::BODY_BROKEN),
        }
    }

    /// Room for a body or an answer of so many bytes. Small ones are bounded by the number of streams.
    fn reserve(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, Problem> {
        if bytes <= SMALL {
            return Ok(None);
        }
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        Arc::clone(&self.buffers).try_acquire_many_owned(units).map(Some).map_err(|_| Problem::BUSY)
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

/// Whether a browser sends the request for a page of somebody else: it would bring the user's certificate along.
fn is_foreign(head: &Parts) -> bool {
    let Some(origin) = head.headers.get(ORIGIN) else { return false };
    let host = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    let host = host.or_else(|| head.headers.get(HOST).map(HeaderValue::as_bytes)).unwrap_or_default();
    origin.as_bytes().strip_prefix(b"https://").is_none_or(|origin| !origin.eq_ignore_ascii_case(host))
}
