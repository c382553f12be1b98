//! The handshake: from a TCP stream to a TLS one, or to a line that says why not.
//!
//! Always holds: a handshake runs on threads of its own, so that one that costs much delays other
//! handshakes at most; its time is bounded; who is refused gets the alert, or an HTTP answer where
//! no TLS was spoken. Never does: deciding whom to trust.

use std::{cell::RefCell, io, net::SocketAddr, sync::Arc, time::Duration};

use rustls::{CertificateError, Error, pki_types::CertificateDer};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    runtime::{Builder, Runtime},
    task_local,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::task::AbortOnDropHandle;

use super::{linger::linger, lobby::Seat};
use crate::{
    auth::identity::subject_text,
    http::Refusal,
    metrics::{HandshakeError, Metrics},
    seldom::Seldom,
};

/// The first byte of every TLS handshake.
const HANDSHAKE_RECORD: u8 = 22;
/// Lines about refused handshakes: one in this time, which tells how many were left out.
const LINE: Duration = Duration::from_secs(1);

task_local! {
    /// Whose certificate the handshake of this task is about, for the line about it.
    static SUBJECT: RefCell<Option<String>>;
}

/// Remembers whose certificate is refused, for the line about the handshake.
pub(super) fn remember(leaf: &CertificateDer<'_>) {
    // Outside of a handshake there is nobody to tell.
    let _told = SUBJECT.try_with(|cell| cell.replace(subject_text(leaf)));
}

/// What makes handshakes.
pub struct Handshakes {
    limit: Duration,
    metrics: Arc<Metrics>,
    lines: Seldom,
    threads: Threads,
}

/// Threads for handshakes alone. They end on their own when this is dropped.
struct Threads(Option<Runtime>);

impl Handshakes {
    /// Handshakes, each within `limit`.
    ///
    /// # Errors
    /// The system's, where no thread can be had.
    pub fn new(limit: Duration, metrics: Arc<Metrics>) -> io::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("handshake")
            .enable_all()
            .build()?;
        let lines = Seldom::new(LINE);
        Ok(Self { limit, metrics, lines, threads: Threads(Some(runtime)) })
    }

    /// The TLS stream over `stream`, or nothing where the peer is refused; it is told, and so is
    /// the operator.
    pub(super) async fn accept(
        &self,
        acceptor: TlsAcceptor,
        stream: TcpStream,
        address: SocketAddr,
        seat: &Arc<Seat>,
    ) -> Option<TlsStream<TcpStream>> {
        let Some(runtime) = &self.threads.0 else { return None };
        let waiting = Arc::clone(seat);
        let handshake = SUBJECT.scope(RefCell::default(), async move {
            let accepted = accept(&acceptor, stream).await;
            let (error, stream) = match accepted {
                Ok(stream) => return Ok(stream),
                Err(failed) => failed,
            };
            let subject = SUBJECT.with(RefCell::take);
            if let Some(stream) = stream {
                // The peer takes its time; whoever waits for this need not.
                tokio::spawn(async move {
                    tokio::select! {
                        () = linger(stream) => {}
                        () = waiting.until_wanted() => {}
                    }
                });
            }
            Err((error, subject))
        });
        let handshake = AbortOnDropHandle::new(runtime.spawn(handshake));
        match tokio::time::timeout(self.limit, handshake).await {
            Ok(Ok(Ok(stream))) => return Some(stream),
            Ok(Ok(Err((error, subject)))) => {
                self.report(HandshakeError::from(&error), address, subject.as_deref(), &error);
            }
            // The task cannot panic, and nobody else aborts it.
            Ok(Err(error)) => self.report(HandshakeError::Protocol, address, None, &error),
            Err(elapsed) => self.report(HandshakeError::TooSlow, address, None, &elapsed),
        }
        None
    }

    fn report(
        &self,
        why: HandshakeError,
        address: SocketAddr,
        subject: Option<&str>,
        error: &dyn std::error::Error,
    ) {
        self.metrics.handshake_refused(why);
        if why == HandshakeError::Gone {
            // Whoever only looks whether the port is open does so all the time.
            return tracing::debug!(peer = %address, %error, "a peer left in its handshake");
        }
        let Some(left_out) = self.lines.due() else { return };
        let reason = why.label();
        tracing::warn!(peer = %address, subject, reason, %error, left_out, "a handshake was refused");
    }
}

type Unfinished = (io::Error, Option<TcpStream>);

async fn accept(
    acceptor: &TlsAcceptor,
    mut stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Unfinished> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(0) => return Err((io::ErrorKind::UnexpectedEof.into(), None)),
        Ok(_) if first == [HANDSHAKE_RECORD] => {}
        Ok(_) => {
            // Whatever it is, what speaks no TLS may understand this.
            let told = stream.write_all(&Refusal::Plain.to_bytes()).await;
            return Err((io::Error::other(NotTls), told.is_ok().then_some(stream)));
        }
        Err(error) => return Err((error, None)),
    }
    acceptor.accept(stream).into_fallible().await.map_err(|(error, stream)| (error, Some(stream)))
}

/// What came is no TLS.
#[derive(Debug, thiserror::Error)]
#[error("the peer speaks no TLS")]
struct NotTls;

impl From<&io::Error> for HandshakeError {
    fn from(error: &io::Error) -> Self {
        let inner = error.get_ref();
        if inner.is_some_and(<dyn std::error::Error + Send + Sync>::is::<NotTls>) {
            return Self::NotTls;
        }
        match inner.and_then(|inner| inner.downcast_ref::<Error>()) {
            None => Self::Gone,
            Some(Error::NoCertificatesPresented) => Self::NoCertificate,
            Some(Error::InvalidCertificate(error)) => match error {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    Self::Expired
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    Self::NotYetValid
                }
                CertificateError::UnknownIssuer => Self::UnknownIssuer,
                _ => Self::BadCertificate,
            },
            // The peer does not like ours.
            Some(Error::AlertReceived(_)) => Self::ByPeer,
            Some(_) => Self::Protocol,
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // A runtime must not be waited for where others run.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
