//! The handshake: from a TCP stream to a TLS one, or to a line that says why not.
//!
//! Always holds: a handshake runs on threads of its own, so that one that costs much delays other
//! handshakes at most; its time is bounded; who is refused gets the alert, or an HTTP answer where
//! no TLS was spoken; nothing is spent on a peer whose address, or all together, ask too often. Never
//! does: deciding whom to trust.

use std::{cell::RefCell, io, net::SocketAddr, sync::Arc, time::Duration};

use rustls::pki_types::CertificateDer;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    runtime::{Builder, Runtime},
    task_local,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::{
    knocks::{Knocks, Rates, TooMany},
    linger::linger,
    lobby::Seat,
    refused::{NotTls, Silent, advice, reason, words},
};
use crate::{
    audit::{Auditor, Need},
    auth::{Recognized, identity::subject_text},
    http::Refusal,
    metrics::{HandshakeError, Label, Metrics},
    seldom::Seldom,
};

/// Lines about handshakes that failed for one reason: one in this time, which tells how many were
/// left out.
const LINE: Duration = Duration::from_secs(1);
/// The same of records in the audit trail.
const RECORD: Duration = Duration::from_millis(20);

task_local! {
    /// Whose certificate the handshake of this task is about, for the line about it.
    static REFUSED: RefCell<Whose>;
}

/// Whose certificate is refused.
#[derive(Default)]
struct Whose {
    /// What it says.
    subject: Option<String>,
    /// What is known of it, where an authority that is known has signed it.
    recognized: Option<Recognized>,
}

/// Remembers whose certificate is refused, for the line about the handshake.
pub(super) fn remember(leaf: &CertificateDer<'_>, recognized: Option<Recognized>) {
    let whose = Whose { subject: subject_text(leaf), recognized };
    // Outside of a handshake there is nobody to tell.
    let _told = REFUSED.try_with(|cell| cell.replace(whose));
}

/// What makes handshakes.
pub struct Handshakes {
    metrics: Arc<Metrics>,
    auditor: Option<Arc<Auditor>>,
    /// For each reason.
    lines: Box<[Seldom]>,
    /// For each reason, in the audit trail.
    records: Box<[Seldom]>,
    knocks: Arc<Knocks>,
    threads: Threads,
}

/// What bounds handshakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The time of one.
    pub(super) time: Duration,
    /// How many there may be.
    pub(super) rates: Rates,
}

/// Threads for handshakes alone. They end on their own when this is dropped.
struct Threads(Option<Runtime>);

impl Handshakes {
    /// Makes handshakes from now on.
    ///
    /// # Errors
    /// The system's, where no thread can be had.
    pub fn new(metrics: Arc<Metrics>, auditor: Option<Arc<Auditor>>) -> io::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("handshake")
            .enable_all()
            .build()?;
        let each = |pause| (0..HandshakeError::COUNT).map(|_| Seldom::new(pause)).collect();
        let (lines, records) = (each(LINE), each(RECORD));
        let (knocks, threads) = (Arc::new(Knocks::new()), Threads(Some(runtime)));
        Ok(Self { metrics, auditor, lines, records, knocks, threads })
    }

    /// The TLS stream over `stream`, within `bounds`, or nothing where the peer is refused; it is told,
    /// unless it asks too often, and so is the operator.
    pub(super) async fn accept(
        &self,
        (acceptor, bounds): (TlsAcceptor, Bounds),
        stream: TcpStream,
        address: SocketAddr,
        seat: &Arc<Seat>,
    ) -> Option<TlsStream<TcpStream>> {
        let Some(runtime) = &self.threads.0 else { return None };
        let (waiting, knocks) = (Arc::clone(seat), Arc::clone(&self.knocks));
        let handshake = REFUSED.scope(RefCell::default(), async move {
            let admit = || knocks.admit(bounds.rates, address.ip());
            let accepted = accept(&acceptor, admit, stream).await;
            let (error, stream) = match accepted {
                Ok(stream) => return Ok(stream),
                Err(failed) => failed,
            };
            let whose = REFUSED.with(RefCell::take);
            if let Some(stream) = stream {
                // The peer takes its time; whoever waits for this need not.
                tokio::spawn(async move {
                    tokio::select! {
                        () = linger(stream) => {}
                        () = waiting.until_wanted() => {}
                    }
                });
            }
            Err((error, whose))
        });
        let handshake = AbortOnDropHandle::new(runtime.spawn(handshake));
        let (why, whose, error) = match tokio::time::timeout(bounds.time, handshake).await {
            Ok(Ok(Ok(stream))) => return Some(stream),
            Ok(Ok(Err((error, whose)))) => (reason(&error), whose, error),
            // The task cannot panic, and nobody else aborts it.
            Ok(Err(error)) => (HandshakeError::Protocol, Whose::default(), io::Error::other(error)),
            Err(_) => (HandshakeError::TooSlow, Whose::default(), io::Error::other(TooSlow)),
        };
        self.report(why, address, &whose, &error);
        None
    }

    /// Does some work of a handshake that there is none for, on the same threads. None where those have
    /// ended.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let runtime = self.threads.0.as_ref()?;
        AbortOnDropHandle::new(runtime.spawn(async move { work() })).await.ok()
    }

    fn report(&self, why: HandshakeError, address: SocketAddr, whose: &Whose, error: &io::Error) {
        self.metrics.handshake_refused(why);
        let reason = why.label();
        if why == HandshakeError::Silent {
            // Whoever only looks whether the port is open does so all the time.
            return tracing::debug!(peer = %address, reason, %error, "a handshake failed");
        }
        self.record(why, address, whose);
        // Each reason has its own, so that none hides another.
        let Some(left_out) = self.lines.get(why.index()).and_then(Seldom::due) else { return };
        let (error, advice) = (words(error), advice(why, error));
        let subject = whose.subject.as_deref();
        tracing::info!(peer = %address, subject, reason, %error, advice, left_out, "a handshake failed");
    }
}

impl Handshakes {
    /// Puts a handshake that failed into the audit trail.
    fn record(&self, why: HandshakeError, address: SocketAddr, whose: &Whose) {
        let Some(auditor) = &self.auditor else { return };
        let Some(left_out) = self.records.get(why.index()).and_then(Seldom::due) else { return };
        let members = auditor
            .of_refused("handshake", whose.recognized.as_ref())
            .text("client", &address.ip().to_canonical().to_string())
            .maybe("certificate", whose.subject.as_deref())
            .text("effect", "deny")
            .text("problem", why.label())
            .number("left_out", left_out);
        let _if_it_can_be = auditor.recorder.record(&members, Need::Nothing);
    }
}

/// A handshake took too long.
#[derive(Debug, thiserror::Error)]
#[error("the handshake was not finished in time")]
struct TooSlow;

type Unfinished = (io::Error, Option<TcpStream>);

async fn accept(
    acceptor: &TlsAcceptor,
    admit: impl FnOnce() -> Result<(), TooMany>,
    mut stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Unfinished> {
    let mut beginning = [0; NotTls::BYTES];
    let seen = match stream.peek(&mut beginning).await {
        Ok(0) | Err(_) => return Err((io::Error::other(Silent), None)),
        Ok(seen) => beginning.get(..seen).unwrap_or_default(),
    };
    if let Some(what) = NotTls::of(seen) {
        // Whatever it is, what speaks no TLS may understand this.
        let told = stream.write_all(&Refusal::Plain.to_bytes(&Uuid::new_v4().to_string())).await;
        return Err((io::Error::other(what), told.is_ok().then_some(stream)));
    }
    // Closed without a word: the rest would cost what is to be saved.
    admit().map_err(|why| (io::Error::other(why), None))?;
    acceptor.accept(stream).into_fallible().await.map_err(|(error, stream)| (error, Some(stream)))
}

impl Drop for Threads {
    fn drop(&mut self) {
        // A runtime must not be waited for where others run.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
