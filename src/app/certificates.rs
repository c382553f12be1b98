//! What TLS goes by, and who issues certificates: loaded from files, and judged.

use std::sync::Arc;

use super::error::AppError;
use crate::{
    auth::Issuer,
    clock::Clock,
    config::Config,
    material,
    metrics::Metrics,
    model::Timestamp,
    pki::CertificateAuthority,
    server::{ClientTrust, Dated, Doubt, Role, ServerTls, Trusted},
};

/// What TLS goes by, loaded and checked.
pub(super) struct Certificates {
    /// The server's own, and the terms of trust.
    pub(super) tls: ServerTls,
    /// When each authority is valid.
    authorities: Vec<Dated>,
}

impl Certificates {
    /// Loads them from the files that `config` names.
    ///
    /// # Errors
    /// `AppError` names the file at fault.
    pub(super) fn load(config: &Config, clock: &Arc<dyn Clock>) -> Result<Self, AppError> {
        let region =
            Trusted { certificate: config.trust.region_ca.clone(), issuer: Issuer::Region };
        let customers = config.trust.customer_ca.iter();
        let customers = customers.map(|ca| Trusted {
            certificate: ca.certificate.clone(),
            issuer: Issuer::Customer(ca.domain),
        });
        let trusted: Vec<_> = std::iter::once(region).chain(customers).collect();
        let (trust, authorities) = ClientTrust::load(&trusted, config.server.client_auth)?;
        Ok(Self { tls: ServerTls::load(&config.server, trust, Arc::clone(clock))?, authorities })
    }

    /// Every certificate with an end.
    fn all(&self) -> impl Iterator<Item = &Dated> {
        std::iter::once(self.tls.state.dated()).chain(&self.authorities)
    }

    /// What is wrong with the certificates, and does not keep a server from starting.
    pub(super) fn doubts(&self, now: Timestamp) -> Vec<Doubt> {
        self.tls
            .doubts
            .iter()
            .cloned()
            .chain(self.all().filter_map(|dated| dated.doubt(now)))
            .collect()
    }

    /// Says what is wrong, and in numbers when each certificate ends.
    pub(super) fn tell(&self, now: Timestamp, metrics: &Metrics) {
        for doubt in self.doubts(now) {
            tracing::warn!(%doubt, "serving all the same");
        }
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
