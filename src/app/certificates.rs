//! What TLS goes by, and who issues certificates: loaded from files, and judged.

use std::sync::Arc;

use super::{
    error::AppError,
    lists::{self, ListSource},
};
use crate::{
    auth::{Issuer, anchors::Anchors, lists::Lists},
    clock::Clock,
    config::{Config, CustomerCa, StaleCrl},
    material,
    metrics::Metrics,
    model::Timestamp,
    pki::{CertificateAuthority, ListSigner},
    server::{ClientTrust, Dated, Doubt, Role, ServerTls, TlsError, Trusted},
};

/// What TLS goes by, loaded and checked.
pub(super) struct Certificates {
    /// The server's own, and the terms of trust.
    pub(super) tls: ServerTls,
    /// When each authority is valid.
    authorities: Vec<Dated>,
    /// Where the revocation lists of customers' authorities come from.
    pub(super) lists: Vec<ListSource>,
    /// What is wrong with them.
    list_faults: Vec<String>,
}

impl Certificates {
    /// Loads them from the files that `config` names. Revocation lists that are there `before` stay, and
    /// so do authorities that are `managed` over the API.
    ///
    /// # Errors
    /// `AppError` names the file at fault.
    pub(super) fn load(
        config: &Config,
        clock: &Arc<dyn Clock>,
        managed: &Arc<Anchors>,
        before: &[Arc<Lists>],
    ) -> Result<Self, AppError> {
        let certificate = config.trust.region_ca.clone();
        let mut trusted = vec![Trusted { certificate, issuer: Issuer::Region, lists: None }];
        let mut lists = Vec::new();
        for ca in &config.trust.customer_ca {
            let places = places(ca, before)?;
            lists.extend(places.iter().flat_map(|places| {
                ca.crl.iter().map(|from| ListSource {
                    domain: ca.domain,
                    from: from.clone(),
                    lists: Arc::clone(places),
                })
            }));
            trusted.push(Trusted {
                certificate: ca.certificate.clone(),
                issuer: Issuer::Customer(ca.domain),
                lists: places,
            });
        }
        let (trust, authorities) =
            ClientTrust::load(&trusted, Arc::clone(managed), config.server.client_auth)?;
        let tls = ServerTls::load(&config.server, trust, Arc::clone(clock))?;
        let list_faults = lists::read_first(&lists, clock.now());
        Ok(Self { tls, authorities, lists, list_faults })
    }

    /// Every certificate with an end.
    fn all(&self) -> impl Iterator<Item = &Dated> {
        std::iter::once(self.tls.state.dated()).chain(&self.authorities)
    }

    /// What is wrong with the revocation lists that are in files, in words.
    pub(super) fn list_faults(&self) -> &[String] {
        &self.list_faults
    }

    /// What is wrong with the certificates, and does not keep a server from starting.
    pub(super) fn doubts(&self, now: Timestamp) -> Vec<Doubt> {
        self.tls
            .doubts
            .iter()
            .cloned()
            .chain(self.all().filter_map(|dated| dated.doubt(now)))
            .chain(self.authorities.iter().filter_map(Dated::doubt_of_constraints))
            .collect()
    }

    /// Says what is wrong, in numbers when each certificate ends, and which authorities are the
    /// configuration's from now on.
    pub(super) fn tell(&self, now: Timestamp, metrics: &Metrics) {
        for doubt in self.doubts(now) {
            tracing::warn!(%doubt, "serving all the same");
        }
        self.tls.state.trust().tell_configured();
        metrics.certificates_end(self.all().map(|dated| {
            let whose = match dated.role {
                Role::Server => ("server", String::new()),
                Role::RegionCa => ("region_ca", String::new()),
                Role::CustomerCa(domain) => ("customer_ca", domain.to_string()),
            };
            (whose, dated.validity.not_after)
        }));
    }
}

/// The places for the lists that the certificates of a customer's authority are held against, where
/// they are.
fn places(ca: &CustomerCa, before: &[Arc<Lists>]) -> Result<Option<Arc<Lists>>, AppError> {
    if ca.crl.is_empty() {
        return Ok(None);
    }
    let mut signers = Vec::new();
    for path in std::iter::once(&ca.certificate).chain(&ca.crl_issuers) {
        for certificate in material::certificates(path).map_err(TlsError::from)? {
            let signer = ListSigner::of_authority(&certificate);
            signers
                .push(signer.map_err(|fault| TlsError::Authority(path.as_path().into(), fault))?);
        }
    }
    let is_lenient = ca.crl_stale == Some(StaleCrl::Accept);
    Ok(Some(Arc::new(Lists::new(signers, is_lenient, before))))
}

/// The region's authority, where this server issues certificates.
///
/// # Errors
/// `AppError` names the file at fault.
pub(super) fn authority(config: &Config) -> Result<Option<CertificateAuthority>, AppError> {
    let Some(key_path) = &config.trust.region_ca_key else { return Ok(None) };
    let certificate = material::text(&config.trust.region_ca)?;
    let key = material::signing_key(key_path)?;
    let authority = CertificateAuthority::load(&certificate, &key)
        .map_err(|error| AppError::Authority(config.trust.region_ca.as_path().into(), error))?;
    Ok(Some(authority))
}
