//! TLS on the main listener: the server's certificate and key.

use std::{fmt, sync::Arc};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, UnixTime},
    server::{NoServerSessionStorage, ServerSessionMemoryCache, StoresServerSessions},
    time_provider::TimeProvider,
};
use tokio_rustls::TlsAcceptor;

use super::{
    error::TlsError,
    fitness::{self, Dated, Doubt, Role},
    trust::{ClientTrust, unix_time},
};
use crate::{
    clock::Clock,
    config,
    files::FileName,
    material,
    pki::{Facts, Validity},
};

/// What handshakes go by. It is replaced whole, as sessions live and die with the trust that made
/// them. Cheap to clone.
#[derive(Clone)]
pub struct TlsState {
    /// Accepts connections.
    pub(super) acceptor: TlsAcceptor,
    /// Tells who a peer is.
    pub(super) trust: ClientTrust,
    /// What the server shows of itself.
    chain: Arc<[CertificateDer<'static>]>,
    session_cache: usize,
    dated: Dated,
}

impl TlsState {
    /// What accepts connections.
    #[must_use]
    pub const fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// What tells who a peer is.
    #[must_use]
    pub const fn trust(&self) -> &ClientTrust {
        &self.trust
    }

    /// When the server's certificate is valid, with all others in its chain.
    #[must_use]
    pub const fn dated(&self) -> &Dated {
        &self.dated
    }

    /// Whether handshakes go by the same with the other. A key is the same where its certificate is.
    #[must_use]
    pub fn is_as(&self, other: &Self) -> bool {
        self.chain == other.chain
            && self.session_cache == other.session_cache
            && self.trust.is_as(&other.trust)
    }
}

/// TLS on the main listener, from its files.
pub struct ServerTls {
    /// What handshakes go by.
    pub state: TlsState,
    /// What is wrong with the certificate, beside its dates.
    pub doubts: Vec<Doubt>,
}

impl ServerTls {
    /// The server's certificate and key from their files, with trust in whom the `trust` names.
    ///
    /// # Errors
    /// `TlsError` names the file at fault.
    pub fn load(
        settings: &config::Server,
        trust: ClientTrust,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TlsError> {
        let (certificate, private_key) =
            (settings.certificate.as_path(), settings.private_key.as_path());
        let chain = material::certificates(certificate)?;
        let key = material::private_key(private_key)?;
        let facts: Vec<_> = chain.iter().map(|certificate| Facts::read(certificate)).collect();
        let readable =
            facts.iter().filter_map(|facts| facts.as_ref().ok().map(|facts| facts.validity));
        let always = Validity { not_before: i64::MIN, not_after: i64::MAX };
        let path = FileName::from(certificate);
        let doubts = facts.first().map(|leaf| fitness::of_server(&path, leaf)).unwrap_or_default();
        let dated = Dated {
            role: Role::Server,
            path,
            validity: readable.fold(always, Validity::and),
            unjudged: None,
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let shown = chain.clone().into();
        let mut config = ServerConfig::builder_with_details(provider, Arc::new(ClockTime(clock)))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Library)?
            .with_client_cert_verifier(trust.verifier())
            .with_single_cert(chain, key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    TlsError::Mismatch(certificate.into(), private_key.into())
                }
                rustls::Error::InvalidCertificate(_) => TlsError::Certificate(certificate.into()),
                _ => TlsError::Key(private_key.into()),
            })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if settings.session_cache == 0 {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else {
            config.session_storage =
                Arc::new(SmallSessions(ServerSessionMemoryCache::new(settings.session_cache)));
            config.send_tls13_tickets = 1;
        }
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let session_cache = settings.session_cache;
        let state = TlsState { acceptor, trust, chain: shown, session_cache, dated };
        Ok(Self { state, doubts })
    }
}

/// What a session may take, in bytes: it holds the client's certificates, and a client can show
/// many.
const SESSION_BYTES: usize = 8 << 10;

/// Sessions that are not too large to be kept. One that is begins with a whole handshake again.
#[derive(Debug)]
struct SmallSessions(Arc<ServerSessionMemoryCache>);

impl StoresServerSessions for SmallSessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        value.len() <= SESSION_BYTES && self.0.put(key, value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.take(key)
    }

    fn can_cache(&self) -> bool {
        self.0.can_cache()
    }
}

/// TLS reads the same clock as everybody else.
struct ClockTime(Arc<dyn Clock>);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(self.0.now().unix_seconds()))
    }
}

impl fmt::Debug for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockTime")
    }
}
