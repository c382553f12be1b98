//! TLS: the server's certificate, whom it trusts, and by whose word a peer is who it says.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{
        NoServerSessionStorage, ServerSessionMemoryCache, VerifierBuilderError, WebPkiClientVerifier,
        danger::ClientCertVerifier,
    },
    time_provider::TimeProvider,
};
use tokio_rustls::TlsAcceptor;

use super::handshake::Remembering;
use crate::{
    auth::{Issuer, Unauthenticated, VerifiedPeer, identity::CertIdentity},
    clock::Clock,
    config,
};

/// TLS that cannot be set up. Each names the file at fault.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not the PEM that it should be.
    #[error("{0}: {1}")]
    Pem(PathBuf, #[source] rustls::pki_types::pem::Error),
    /// A file holds no certificate.
    #[error("{0}: there is no certificate in it")]
    Empty(PathBuf),
    /// A certificate authority cannot be one.
    #[error("{0}: not usable as a certificate authority: {1}")]
    Authority(PathBuf, #[source] rustls::Error),
    /// The verifier refuses the authorities.
    #[error("{0}: not usable to verify client certificates: {1}")]
    Verifier(PathBuf, #[source] VerifierBuilderError),
    /// Two authorities would be mistaken for each other.
    #[error("{0}: has the same subject name as another trusted authority; give each its own name")]
    SameName(PathBuf),
    /// Certificate and key do not fit.
    #[error("{0} with {1}: {2}")]
    Pair(PathBuf, PathBuf, #[source] rustls::Error),
    /// The library lacks what is needed.
    #[error("TLS cannot be set up: {0}")]
    Library(#[source] rustls::Error),
}

/// Whose certificates are believed, and what for.
pub struct ClientTrust {
    /// Verifies a chain against all authorities.
    any: Arc<dyn ClientCertVerifier>,
    /// Verifies a chain against one authority.
    each: Vec<(Issuer, Arc<dyn ClientCertVerifier>)>,
}

/// One authority: its file, and what it is trusted for.
pub struct Trusted {
    /// The authority's certificate, PEM.
    pub certificate: PathBuf,
    /// What its certificates stand for.
    pub issuer: Issuer,
}

impl ClientTrust {
    /// Trust in `authorities`; peers without a certificate are let through unless `client_auth` forbids it.
    ///
    /// # Errors
    /// `TlsError` names the file at fault.
    pub fn load(authorities: &[Trusted], client_auth: config::ClientAuth) -> Result<Self, TlsError> {
        let mut all = RootCertStore::empty();
        let mut each = Vec::new();
        let mut last = PathBuf::new();
        for authority in authorities {
            let path = &authority.certificate;
            let mut own = RootCertStore::empty();
            for certificate in certificates(path)? {
                own.add(certificate).map_err(|error| TlsError::Authority(path.clone(), error))?;
            }
            // Signatures tell authorities apart; clients and people, who see names only, could not.
            if own.roots.iter().any(|root| all.roots.iter().any(|known| known.subject == root.subject)) {
                return Err(TlsError::SameName(path.clone()));
            }
            all.roots.extend(own.roots.iter().cloned());
            each.push((authority.issuer, verifier(own, config::ClientAuth::Required, path)?));
            last.clone_from(path);
        }
        Ok(Self { any: verifier(all, client_auth, &last)?, each })
    }

    /// The peer that presented `chain`, which the handshake has verified: by whose word it is who it is.
    ///
    /// # Errors
    /// `Unauthenticated` where there is no certificate, or one that cannot be told.
    pub fn peer(
        &self,
        chain: Option<&[CertificateDer<'_>]>,
        clock: &dyn Clock,
    ) -> Result<VerifiedPeer, Unauthenticated> {
        let Some([leaf, intermediates @ ..]) = chain else { return Err(Unauthenticated::NoCertificate) };
        let identity = CertIdentity::from_der(leaf).map_err(|error| {
            tracing::info!(%error, "a client certificate that was verified cannot be read");
            Unauthenticated::Unreadable
        })?;
        let issuer = match self.each.as_slice() {
            [(issuer, _)] => *issuer,
            several => {
                // A resumed session can bring a certificate that has ended since. Every request judges that, and says
                // so; here only the signatures are in question.
                let at = unix_time(clock.now().unix_seconds().min(identity.not_after()).max(identity.not_before()));
                let vouches = |verifier: &Arc<dyn ClientCertVerifier>| {
                    verifier.verify_client_cert(leaf, intermediates, at).is_ok()
                };
                several
                    .iter()
                    .find(|(_, verifier)| vouches(verifier))
                    .map(|(issuer, _)| *issuer)
                    .ok_or(Unauthenticated::NoDomain)?
            }
        };
        Ok(VerifiedPeer::after_handshake(identity, issuer))
    }
}

/// What accepts TLS on the main listener.
///
/// # Errors
/// `TlsError` names the file at fault.
pub fn acceptor(
    settings: &config::Server,
    trust: &ClientTrust,
    clock: Arc<dyn Clock>,
) -> Result<TlsAcceptor, TlsError> {
    let chain = certificates(&settings.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&settings.private_key)
        .map_err(|error| TlsError::Pem(settings.private_key.clone(), error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(ClockTime(clock)))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Library)?
        .with_client_cert_verifier(Arc::new(Remembering(Arc::clone(&trust.any))))
        .with_single_cert(chain, key)
        .map_err(|error| TlsError::Pair(settings.certificate.clone(), settings.private_key.clone(), error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A session holds its client certificate, so sessions live and die with the trust that made them.
    if settings.session_cache == 0 {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    } else {
        config.session_storage = ServerSessionMemoryCache::new(settings.session_cache);
        config.send_tls13_tickets = 1;
    }
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |error| TlsError::Pem(path.into(), error);
    let text = fs::read(path).map_err(|error| pem(rustls::pki_types::pem::Error::Io(error)))?;
    let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>().map_err(pem)?;
    if certificates.is_empty() {
        return Err(TlsError::Empty(path.into()));
    }
    Ok(certificates)
}

fn verifier(
    roots: RootCertStore,
    client_auth: config::ClientAuth,
    path: &Path,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match client_auth {
        config::ClientAuth::Optional => builder.allow_unauthenticated(),
        config::ClientAuth::Required => builder,
    };
    builder.build().map_err(|error| TlsError::Verifier(path.into(), error))
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

fn unix_time(seconds: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds.try_into().unwrap_or_default()))
}
