//! Certificates that proxies forward: judged as the handshake judges those that peers show.
//!
//! Always holds: by what is believed now, whatever was believed when the proxy connected; each once in
//! a while, and not for each request; on the threads for handshakes. What can change meanwhile, times
//! and revocations, is asked of every request by the directory. Never does: read headers.

use std::{sync::Arc, time::Duration};

use quick_cache::{Weighter, sync::Cache};
use rustls::pki_types::CertificateDer;

use super::{
    connection::Terms,
    handshake::Handshakes,
    refused::{advice, reason, words},
    trust::{ClientTrust, Unfit},
};
use crate::{
    auth::{Unauthenticated, VerifiedPeer, forwarded::Shown, identity::subject_text},
    clock::Clock,
    http::{Judge, Judgement, Refused},
    live::Live,
    metrics::{Forwarded as Outcome, HandshakeError, Metrics},
    pki::Facts,
    seldom::Seldom,
};

/// How much is remembered, in bytes.
const REMEMBERED: u64 = 8 << 20;
/// What is remembered of a certificate beside its bytes, and those of its names, in bytes.
const EACH: u64 = 1 << 10;
/// How long a certificate that was taken is not judged again, in seconds.
const TAKEN_FOR: i64 = 60;
/// The same for one that was not.
const REFUSED_FOR: i64 = 5;

/// Judges what proxies forward.
pub struct ForwardedCertificates {
    terms: Arc<Live<Terms>>,
    handshakes: Arc<Handshakes>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    judged: Cache<Box<[u8]>, Judged, Bytes>,
    lines: Seldom,
}

/// What became of some certificates.
#[derive(Clone)]
struct Judged {
    /// By whose terms.
    by: ClientTrust,
    /// When, in Unix seconds.
    at: i64,
    /// How often authorities had changed before.
    changes: u64,
    peer: Result<Arc<VerifiedPeer>, Refused>,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Box<[u8]>, Judged> for Bytes {
    fn weight(&self, key: &Box<[u8]>, _: &Judged) -> u64 {
        EACH + 2 * key.len() as u64
    }
}

impl ForwardedCertificates {
    /// Judges by whatever the `terms` are, on the threads for `handshakes`.
    #[must_use]
    pub fn new(
        terms: &Arc<Live<Terms>>,
        handshakes: &Arc<Handshakes>,
        clock: &Arc<dyn Clock>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        Self {
            terms: Arc::clone(terms),
            handshakes: Arc::clone(handshakes),
            clock: Arc::clone(clock),
            metrics: Arc::clone(metrics),
            judged: Cache::with_weighter(1024, REMEMBERED, Bytes),
            lines: Seldom::new(Duration::from_secs(1)),
        }
    }

    async fn peer(&self, shown: &Shown) -> Result<Arc<VerifiedPeer>, Refused> {
        let terms = self.terms.load();
        let (trust, now) = (&terms.tls.trust, self.clock.now().unix_seconds());
        let key = key(shown);
        let known = self.judged.get(&key).filter(|judged| judged.counts(trust, now));
        let judged = if let Some(known) = known {
            known
        } else {
            let changes = trust.changes();
            let peer = self.judge(trust, shown).await;
            let judged = Judged { by: trust.clone(), at: now, changes, peer };
            self.judged.insert(key, judged.clone());
            judged
        };
        let peer = judged.peer?;
        // Whoever is behind that one is not known, and it is nobody itself.
        if terms.proxy(&peer).is_some() {
            let whose = Some(Arc::new(peer.recognized()));
            return Err(Refused { why: Unauthenticated::ProxyBehindProxy, whose });
        }
        Ok(peer)
    }

    async fn judge(
        &self,
        trust: &ClientTrust,
        shown: &Shown,
    ) -> Result<Arc<VerifiedPeer>, Refused> {
        let chain: Vec<_> =
            shown.certificates().iter().map(|der| CertificateDer::from(der.clone())).collect();
        let leaf = chain.first().cloned();
        let (trust, clock) = (trust.clone(), Arc::clone(&self.clock));
        let metrics = Arc::clone(&self.metrics);
        let judge = move || {
            let judged = trust.forwarded(&chain, &*clock, &metrics);
            judged.map_err(|unfit| (unfit, trust.recognizes(&chain).map(Arc::new)))
        };
        // The threads end when the server does.
        let peer = self.handshakes.run(judge).await.ok_or(Unauthenticated::Untrusted)?;
        self.metrics.forwarded(if peer.is_ok() { Outcome::Taken } else { Outcome::Refused });
        peer.map(Arc::new).map_err(|(unfit, whose)| {
            let why = match unfit {
                Unfit::Nobody(why) => why,
                Unfit::Untrusted(error) => self.untrusted(leaf.as_ref(), error),
            };
            Refused { why, whose }
        })
    }

    /// Tells the operator why a certificate is refused; what its holder is told.
    fn untrusted(
        &self,
        leaf: Option<&CertificateDer<'_>>,
        error: rustls::Error,
    ) -> Unauthenticated {
        let error = std::io::Error::other(error);
        let why = reason(&error);
        if let Some(left_out) = self.lines.due() {
            let subject = leaf.and_then(|leaf| subject_text(leaf));
            let (reason, advice, error) = (why.label(), advice(why, &error), words(&error));
            tracing::info!(subject, reason, %error, advice, left_out, "a certificate that a proxy forwards is refused");
        }
        let own = leaf.and_then(|leaf| Facts::read(leaf).ok()).map(|leaf| leaf.validity);
        let now = self.clock.now();
        match why {
            HandshakeError::Expired if own.is_some_and(|own| own.has_expired(now)) => {
                Unauthenticated::Expired
            }
            HandshakeError::Expired => Unauthenticated::AuthorityExpired,
            HandshakeError::NotYetValid if own.is_some_and(|own| !own.has_begun(now)) => {
                Unauthenticated::NotYetValid
            }
            HandshakeError::NotYetValid => Unauthenticated::AuthorityNotYetValid,
            _ => Unauthenticated::Untrusted,
        }
    }
}

impl Judge for ForwardedCertificates {
    fn judge<'a>(&'a self, shown: &'a Shown) -> Judgement<'a> {
        Box::pin(self.peer(shown))
    }
}

impl Judged {
    /// Whether it need not be judged again.
    fn counts(&self, trust: &ClientTrust, now: i64) -> bool {
        let (life, is_current) = match &self.peer {
            Ok(peer) => (TAKEN_FOR, !peer.has_lost_its_authority()),
            // An authority that is new may take it.
            Err(_) => (REFUSED_FOR, self.changes == trust.changes()),
        };
        self.by.is_same(trust) && is_current && (0..life).contains(&now.saturating_sub(self.at))
    }
}

/// All bytes of the certificates, and where each ends.
fn key(shown: &Shown) -> Box<[u8]> {
    let mut key = Vec::with_capacity(shown.certificates().iter().map(|der| der.len() + 8).sum());
    for certificate in shown.certificates() {
        key.extend_from_slice(&certificate.len().to_be_bytes());
        key.extend_from_slice(certificate);
    }
    key.into()
}
