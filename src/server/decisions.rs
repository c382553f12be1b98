//! Asking a policy decision point: POST over HTTP/1.1, on connections that stay, over TLS or on this machine.
//!
//! Always holds: what comes is bounded in bytes; only status 200 is an answer, so that one who leads elsewhere has not
//! answered; a request that is dropped takes its connection with it. Never does: decide, or bound the time; whoever
//! asks does.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash as _, Hasher as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::fetch::{FetchError, HEAD_BYTES_MAX, UselessAuthority, trusting, whole};
use crate::{
    auth::pdp::{Answering, Asked, DecisionPoint, NobodyAnswers},
    config::PdpAddress,
    live::{Current, Live},
};

/// The largest answer.
const ANSWER_BYTES_MAX: usize = 128 << 10;
/// So many connections wait for the next request.
const IDLE_MAX: usize = 32;
/// So long they do.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// By what this server is known where it asks, and by what that is known to it.
pub struct Credentials {
    tls: Option<Arc<ClientConfig>>,
    bearer: Option<HeaderValue>,
    /// Two of the same material have the same.
    mark: u64,
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.mark == other.mark
    }
}

/// A bearer token that no header takes.
#[derive(Debug, thiserror::Error)]
#[error("is no bearer token: one line of printable ASCII")]
pub struct UselessBearer;

impl Credentials {
    /// These: authorities where it is asked over TLS, with a certificate and its key where it wants one.
    ///
    /// # Errors
    /// `UselessAuthority` where a certificate or the key cannot be used.
    pub fn new(
        authorities: Option<Vec<CertificateDer<'static>>>,
        certificate: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
        bearer: Option<HeaderValue>,
    ) -> Result<Self, UselessAuthority> {
        let mut hasher = DefaultHasher::new();
        let key = certificate.as_ref().map(|(chain, key)| (chain, key.secret_der()));
        (&authorities, key, bearer.as_ref().map(HeaderValue::as_bytes)).hash(&mut hasher);
        let mark = hasher.finish();
        let Some(authorities) = authorities else { return Ok(Self { tls: None, bearer, mark }) };
        let config = trusting(authorities)?;
        let config = match certificate {
            Some((chain, key)) => config.with_client_auth_cert(chain, key)?,
            None => config.with_no_client_auth(),
        };
        Ok(Self { tls: Some(Arc::new(config)), bearer, mark })
    }
}

/// The header that a bearer token makes.
///
/// # Errors
/// `UselessBearer` where it makes none.
pub fn bearer(token: &str) -> Result<HeaderValue, UselessBearer> {
    let token = token.trim_end_matches(['\r', '\n']);
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    let header = is_token.then(|| HeaderValue::try_from(format!("Bearer {token}")).ok());
    let mut header = header.flatten().ok_or(UselessBearer)?;
    header.set_sensitive(true);
    Ok(header)
}

/// A policy decision point at an address.
pub struct DecisionServer {
    address: PdpAddress,
    credentials: Arc<Live<Credentials>>,
    idle: Mutex<Vec<Idle>>,
}

type Sender = SendRequest<Full<Bytes>>;

/// A connection that stays.
struct Open {
    sender: Sender,
    /// It ends with this, whatever its peer wants.
    _connection: AbortOnDropHandle<()>,
    /// The credentials by which it was made.
    by: Arc<Current<Credentials>>,
}

struct Idle {
    open: Open,
    since: Instant,
}

impl DecisionServer {
    /// The one at `address`, asked by these credentials.
    #[must_use]
    pub const fn new(address: PdpAddress, credentials: Arc<Live<Credentials>>) -> Self {
        Self { address, credentials, idle: Mutex::new(Vec::new()) }
    }

    async fn ask(&self, asked: Asked) -> Result<Bytes, FetchError> {
        let body = Bytes::from(asked.body);
        if let Some(mut open) = self.had().await
            && let Ok(answer) = self.send(&mut open, asked.path, &body).await
        {
            return self.read(open, answer).await;
        }
        // One that had stayed may have ended just then; a new one has not.
        let mut open = self.connect().await?;
        let answer = self.send(&mut open, asked.path, &body).await?;
        self.read(open, answer).await
    }

    async fn send(
        &self,
        open: &mut Open,
        path: &str,
        body: &Bytes,
    ) -> Result<Response<Incoming>, FetchError> {
        let credentials = self.credentials.load();
        let request = Request::post(format!("{}{path}", self.address.base()))
            .header(HOST, self.address.authority())
            .header(USER_AGENT, "okmsd")
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json");
        let request = match &credentials.bearer {
            Some(bearer) => request.header(AUTHORIZATION, bearer),
            None => request,
        };
        let request = request.body(Full::new(body.clone())).map_err(|_| FetchError::Address)?;
        Ok(open.sender.send_request(request).await?)
    }

    async fn read(&self, open: Open, answer: Response<Incoming>) -> Result<Bytes, FetchError> {
        let (head, body) = answer.into_parts();
        if head.status != StatusCode::OK {
            return Err(FetchError::Status(head.status));
        }
        let body = whole(body, ANSWER_BYTES_MAX).await?;
        let mut idle = self.idle();
        idle.retain(|idle| idle.since.elapsed() < IDLE_TIME);
        if idle.len() < IDLE_MAX {
            idle.push(Idle { open, since: Instant::now() });
        }
        Ok(body)
    }

    /// A connection that has stayed.
    async fn had(&self) -> Option<Open> {
        loop {
            let Idle { mut open, since } = self.idle().pop()?;
            let is_fresh =
                since.elapsed() < IDLE_TIME && Arc::ptr_eq(&open.by, &self.credentials.load());
            if is_fresh && open.sender.ready().await.is_ok() {
                return Some(open);
            }
        }
    }

    async fn connect(&self) -> Result<Open, FetchError> {
        let credentials = self.credentials.load();
        let (host, port) = self.address.host();
        let stream = TcpStream::connect((host, port)).await.map_err(FetchError::Connect)?;
        stream.set_nodelay(true).map_err(FetchError::Connect)?;
        match credentials.tls.as_ref().filter(|_| self.address.is_over_tls()) {
            None if self.address.is_over_tls() => Err(FetchError::TlsAddress),
            None => open(stream, credentials).await,
            Some(config) => {
                let name = ServerName::try_from(host.to_owned());
                let name = name.map_err(|_| FetchError::TlsAddress)?;
                let tls = TlsConnector::from(Arc::clone(config)).connect(name, stream).await;
                open(tls.map_err(FetchError::Connect)?, credentials).await
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DecisionPoint for DecisionServer {
    fn evaluate(&self, asked: Asked) -> Answering<'_> {
        Box::pin(async move {
            let answer = self.ask(asked).await;
            answer.map(Into::into).map_err(|error| NobodyAnswers(error.to_string()))
        })
    }
}

async fn open(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    by: Arc<Current<Credentials>>,
) -> Result<Open, FetchError> {
    let builder = &mut http1::Builder::new();
    let (sender, connection) =
        builder.max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(async move {
        // Whoever waits for an answer is told.
        let _ended = connection.await;
    });
    Ok(Open { sender, _connection: AbortOnDropHandle::new(connection), by })
}
