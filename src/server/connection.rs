//! One connection, from its accept to its end.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{
    Request,
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::graceful::GracefulConnection,
};
use rustls::{HandshakeKind, pki_types::CertificateDer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{
    activity::{Activity, Deadlines, Verdict},
    handshake::{Bounds, Handshakes},
    knocks::Rates,
    lobby::Seat,
    tls::TlsState,
    watched::Watched,
};
use crate::{
    auth::VerifiedPeer,
    clock::Clock,
    config::Limits,
    http::{Edge, Forwarding, Judge, RequestLimits},
    live::{Current, Live},
    metrics::{Closing, Handshake, Metrics},
    model::{Proxy, Rate},
};

/// How long a connection that was asked to end may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
/// The hard bound of a head, in bytes; the configured one is checked above it, with an answer that
/// says so.
const HEAD_BYTES_HARD: u32 = 64 << 10;
/// HTTP/2 streams at once of a peer without a certificate: it has a few pages to read.
const STREAMS_OF_STRANGER: u32 = 16;
/// What such a peer may send before it is read, in bytes.
const WINDOW_OF_STRANGER: u32 = 64 << 10;

/// What all connections share.
pub struct Shared {
    /// Makes handshakes.
    pub handshakes: Arc<Handshakes>,
    /// Judges what proxies forward.
    pub judge: Arc<dyn Judge>,
    /// What connections go by.
    pub terms: Arc<Live<Terms>>,
    /// The one clock.
    pub clock: Arc<dyn Clock>,
    /// Answers requests.
    pub edge: Arc<Edge>,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// What connections go by. It is replaced whole. Those that are open and would not be let in as the
/// same any more finish what they do, and end.
#[derive(Clone)]
pub struct Terms {
    /// Whom they are believed to be.
    pub tls: TlsState,
    /// What bounds each.
    pub limits: ConnectionLimits,
    /// Whose word is taken about others.
    pub proxies: Arc<[Arc<Proxy>]>,
}

impl Terms {
    /// The proxy that a peer is, if it is one that is listed: by its key, in a certificate of the
    /// region's authority itself.
    pub(super) fn proxy(&self, peer: &VerifiedPeer) -> Option<&Arc<Proxy>> {
        let key = peer.is_of_region().then(|| peer.identity().public_key_sha256())?;
        self.proxy_with(key)
    }

    fn proxy_with(&self, key_sha256: &[u8; 32]) -> Option<&Arc<Proxy>> {
        self.proxies.iter().find(|proxy| proxy.key_sha256 == *key_sha256)
    }
}

/// What bounds a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    handshake: Bounds,
    deadlines: Deadlines,
    request: RequestLimits,
    /// From the signal to stop to the end.
    pub(super) drain: Duration,
    idle_of_stranger: Duration,
    http2_streams: u32,
    http2_resets: usize,
}

impl From<&Limits> for ConnectionLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            handshake: Bounds {
                time: limits.handshake_time.0,
                rates: Rates {
                    of_address: Rate::per_second(limits.address_handshakes_per_second),
                    of_all: Rate::per_second(limits.handshakes_per_second),
                },
            },
            deadlines: Deadlines {
                first_byte: limits.first_byte_time.0,
                head: limits.head_time.0,
                request: limits.request_time.0,
                stall: limits.stall_time.0,
                idle: limits.idle_time.0,
            },
            request: RequestLimits {
                head_bytes: limits.head_bytes.0,
                body_time: limits.body_time.0,
            },
            drain: limits.drain_time.0,
            idle_of_stranger: limits.anonymous_idle_time.0.min(limits.idle_time.0),
            http2_streams: limits.http2_streams,
            http2_resets: limits.http2_resets,
        }
    }
}

/// Serves `stream` until its peer leaves, a deadline passes, its `seat` is wanted, or what runs is
/// finished once `stop` is cancelled, or once the terms are replaced by some that do not let it in.
pub(super) async fn serve(
    shared: &Shared,
    stream: TcpStream,
    address: SocketAddr,
    seat: Arc<Seat>,
    stop: CancellationToken,
) {
    // Answers are small and whole: waiting to fill a segment only delays them.
    let _best_effort = stream.set_nodelay(true);
    let terms = shared.terms.load();
    let limits = terms.limits;
    let accept = (terms.tls.acceptor.clone(), limits.handshake);
    let stream = tokio::select! {
        stream = shared.handshakes.accept(accept, stream, address, &seat) => stream,
        // Nothing is lost on a peer that has not asked for anything yet.
        () = stop.cancelled() => return,
        () = seat.until_wanted() => return shared.metrics.closing(Closing::Wanted),
    };
    let Some(stream) = stream else { return };
    let (_, tls) = stream.get_ref();
    shared.metrics.handshake(match (tls.handshake_kind(), tls.peer_certificates()) {
        (Some(HandshakeKind::Resumed), _) => Handshake::Resumed,
        (_, Some(_)) => Handshake::Certificate,
        (_, None) => Handshake::Anonymous,
    });
    let is_http2 = tls.alpn_protocol() == Some(b"h2");
    let chain = tls.peer_certificates().map(<[_]>::to_vec);
    let peer = terms.tls.trust.peer(tls.peer_certificates(), &*shared.clock, &shared.metrics);
    // What it is to be taken for by other terms, too.
    let key = peer.as_ref().ok().filter(|peer| peer.is_of_region());
    let key = key.map(|peer| *peer.identity().public_key_sha256());
    let proxy = peer.as_ref().ok().and_then(|peer| terms.proxy(peer).cloned());
    let connection = match (peer, proxy) {
        (Ok(peer), Some(proxy)) => {
            let forwarding = Forwarding { proxy, judge: Arc::clone(&shared.judge) };
            shared.edge.connect_proxy(peer, forwarding, limits.request)
        }
        (peer, _) => shared.edge.connect(peer, address.ip(), limits.request),
    };
    let is_stranger = connection.is_stranger();
    let mut deadlines = limits.deadlines;
    if is_stranger {
        deadlines.idle = limits.idle_of_stranger;
    }
    let activity = Activity::new(deadlines);
    if is_stranger {
        seat.is_stranger(&activity);
    } else {
        seat.is_known();
    }
    let connection = Arc::new(connection);
    let service = {
        let (edge, activity, connection) =
            (Arc::clone(&shared.edge), Arc::clone(&activity), Arc::clone(&connection));
        service_fn(move |request: Request<Incoming>| {
            let (edge, connection, in_progress) =
                (Arc::clone(&edge), Arc::clone(&connection), activity.begin());
            // All that a request needs on its way is some kilobytes. hyper keeps the place of it with
            // each answer that waits for its peer; boxed, it is given back once the answer is there.
            Box::pin(async move {
                Ok::<_, std::convert::Infallible>(
                    edge.handle(&connection, request, in_progress).await,
                )
            })
        })
    };
    let refuse = {
        let (edge, connection) = (Arc::clone(&shared.edge), Arc::clone(&connection));
        Box::new(move |refusal| edge.refuse(&connection, refusal))
    };
    let (told, seated) = (Arc::clone(&activity), Arc::clone(&seat));
    let io = TokioIo::new(Watched::new(stream, is_http2, told, seated, refuse));
    if is_http2 {
        activity.is_multiplexed();
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .max_concurrent_streams(limits.http2_streams)
            .max_pending_accept_reset_streams(limits.http2_resets)
            .max_local_error_reset_streams(limits.http2_resets)
            .max_header_list_size(HEAD_BYTES_HARD);
        if is_stranger {
            builder
                .max_concurrent_streams(limits.http2_streams.min(STREAMS_OF_STRANGER))
                .initial_stream_window_size(WINDOW_OF_STRANGER)
                .initial_connection_window_size(WINDOW_OF_STRANGER);
        }
        let until = until_ending(shared, stop, terms, (chain, key));
        let served = builder.serve_connection(io, service);
        connection.paced(drive(served, shared, &activity, &seat, until)).await;
    } else {
        let served = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_HARD as usize)
            // Our own deadlines know idleness from a slow head.
            .header_read_timeout(None)
            .serve_connection(io, service);
        let until = until_ending(shared, stop, terms, (chain, key));
        connection.paced(drive(served, shared, &activity, &seat, until)).await;
    }
}

/// Waits until a connection is to end: the server stops, or its peer, who came with `chain`, is not
/// who it was any more by the terms that are new, or not the proxy that it was, or none. Others stay,
/// and keep their limits.
async fn until_ending(
    shared: &Shared,
    stop: CancellationToken,
    mut terms: Arc<Current<Terms>>,
    (chain, key): (Option<Vec<CertificateDer<'static>>>, Option<[u8; 32]>),
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = terms.until_replaced() => {}
        }
        let next = shared.terms.load();
        let before = &terms.tls.trust;
        if !next.tls.trust.still_believes(chain.as_deref(), before, shared.clock.now()) {
            return;
        }
        let proxy = |terms: &Terms| terms.proxy_with(key.as_ref()?).cloned();
        if proxy(&next) != proxy(&terms) {
            return;
        }
        terms = next;
    }
}

async fn drive<C>(
    connection: C,
    shared: &Shared,
    activity: &Activity,
    seat: &Seat,
    until_ending: impl Future<Output = ()>,
) where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut connection = pin!(connection);
    let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
    let mut stopping = false;
    let mut ending = pin!(until_ending);
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a connection ended badly");
                }
                return;
            }
            () = timer.as_mut() => match activity.judge() {
                Verdict::Until(next) => timer.as_mut().reset(next),
                Verdict::Close(why) => {
                    shared.metrics.closing(why);
                    break;
                }
            },
            why = activity.over() => {
                shared.metrics.closing(why);
                break;
            }
            () = seat.until_wanted() => return shared.metrics.closing(Closing::Wanted),
            () = ending.as_mut(), if !stopping => {
                stopping = true;
                activity.winds_up();
                // hyper would wait for the beginning of HTTP/2, and close only then.
                if activity.is_untouched() {
                    return;
                }
                connection.as_mut().graceful_shutdown();
            }
        }
    }
    activity.winds_up();
    connection.as_mut().graceful_shutdown();
    let _in_time = tokio::time::timeout(GOODBYE, connection).await;
}
