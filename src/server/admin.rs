//! The admin listener: plain HTTP for probes and metrics, apart from the clients' one, on a thread
//! of its own: probes are answered whatever clients do.
//!
//! | route | answer |
//! | --- | --- |
//! | `GET /livez` | 200 while the process runs |
//! | `GET /readyz` | 200 while reads and writes work and the server is not stopping, else 503 with the reason |
//! | `GET /metrics` | Prometheus' text form |

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    http::request::Parts,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, task::AbortHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Stopper;
use crate::{
    audit::Auditor,
    http::names_one_host,
    metrics::Metrics,
    service::{Health, Service},
};

/// Probes and scrapers are few. The oldest gives way to the next.
const CONNECTIONS: usize = 64;
/// What is read of a body, which nobody wants: until then, or so many bytes.
const BODY_TIME: Duration = Duration::from_secs(5);
const BODY_BYTES: usize = 8 << 20;
/// A connection's longest life: probes and scrapers connect anew.
const LIFE: Duration = Duration::from_secs(30);
const HEAD_TIME: Duration = Duration::from_secs(5);

/// What probes and scrapers are told of.
pub struct Probed {
    /// The use cases.
    pub service: Arc<Service>,
    /// The figures.
    pub metrics: Arc<Metrics>,
    /// The audit trail, where there is one.
    pub auditor: Option<Arc<Auditor>>,
    /// What stops the server.
    pub stopper: Stopper,
}

impl Probed {
    /// Why no requests should be sent here now.
    fn doubt(&self) -> Option<&'static str> {
        let is_recording =
            || self.auditor.as_ref().is_none_or(|auditor| auditor.recorder.is_well());
        if self.stopper.is_stopping() {
            return Some("stopping");
        }
        match self.service.health() {
            Health::ReadOnly => Some("the store takes no writes"),
            Health::Down => Some("the store does not work"),
            Health::Ready if !is_recording() => Some("the audit trail takes no records"),
            Health::Ready => None,
        }
    }
}

/// The admin listener while it serves: until this is dropped, so that probes see the server drain.
pub struct Admin {
    begin: CancellationToken,
    stop: DropGuard,
    thread: JoinHandle<()>,
}

impl Admin {
    /// Serves the admin routes on `socket`, once it is told to [begin](Self::begin): whoever asks
    /// before waits.
    ///
    /// # Errors
    /// The system's, where no thread can be had, or the socket cannot be taken along to it.
    pub fn serve(socket: TcpListener, probed: Probed) -> io::Result<Self> {
        let socket = socket.into_std()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (begin, stop) = (CancellationToken::new(), CancellationToken::new());
        let (begun, stopped) = (begin.clone(), stop.clone());
        let thread = thread::Builder::new().name("admin".to_owned()).spawn(move || {
            runtime.block_on(stopped.run_until_cancelled(async {
                begun.cancelled().await;
                match TcpListener::from_std(socket) {
                    Ok(socket) => accept(socket, probed).await,
                    Err(error) => tracing::error!(%error, "the admin listener does not work"),
                }
            }));
        })?;
        Ok(Self { begin, stop: stop.drop_guard(), thread })
    }

    /// Answers from here on.
    pub fn begin(&self) {
        self.begin.cancel();
    }

    /// Ends the listener, and what it holds of the server with it.
    pub async fn stop(self) {
        let Self { stop, thread, .. } = self;
        drop(stop);
        // A panic there was logged there.
        let _ended = tokio::task::spawn_blocking(move || thread.join()).await;
    }
}

async fn accept(socket: TcpListener, probed: Probed) {
    let probed = Arc::new(probed);
    let mut connections = VecDeque::<AbortHandle>::with_capacity(CONNECTIONS);
    loop {
        let Ok((stream, _)) = socket.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let probed = Arc::clone(&probed);
        let connection = tokio::spawn(async move {
            let answer = service_fn(|request: Request<Incoming>| {
                let (head, body) = request.into_parts();
                let response = answer(&head, &probed);
                async move {
                    // Many clients read an answer only after they have sent everything.
                    let _in_time = tokio::time::timeout(BODY_TIME, discard(body)).await;
                    Ok::<_, Infallible>(response)
                }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .serve_connection(TokioIo::new(stream), answer);
            let _ended = tokio::time::timeout(LIFE, connection).await;
        });
        connections.retain(|connection| !connection.is_finished());
        if connections.len() >= CONNECTIONS
            && let Some(oldest) = connections.pop_front()
        {
            oldest.abort();
        }
        connections.push_back(connection.abort_handle());
    }
}

async fn discard(mut body: Incoming) {
    let mut left = BODY_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
        left = rest;
    }
}

fn answer(head: &Parts, probed: &Probed) -> Response<Full<Bytes>> {
    let doubt = probed.doubt();
    let is_known = matches!(head.uri.path(), "/livez" | "/readyz" | "/metrics");
    let (status, body) = match (&head.method, head.uri.path()) {
        _ if !names_one_host(head) => {
            (StatusCode::BAD_REQUEST, b"name one host, in one Host header\n".to_vec())
        }
        (&Method::GET | &Method::HEAD, "/livez") => (StatusCode::OK, b"ok\n".to_vec()),
        (&Method::GET | &Method::HEAD, "/readyz") => match doubt {
            None => (StatusCode::OK, b"ok\n".to_vec()),
            Some(doubt) => (StatusCode::SERVICE_UNAVAILABLE, format!("{doubt}\n").into_bytes()),
        },
        (&Method::GET | &Method::HEAD, "/metrics") => {
            (StatusCode::OK, probed.metrics.render(doubt.is_none()))
        }
        _ if is_known => (StatusCode::METHOD_NOT_ALLOWED, b"GET it, or HEAD\n".to_vec()),
        _ => (StatusCode::NOT_FOUND, b"here are /livez, /readyz and /metrics\n".to_vec()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response
}
