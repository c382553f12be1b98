//! Keeping the keys of the issuer whose JWTs are taken: from a file when that changes, with all others, or from
//! an address over TLS, so often, and whenever a token names one that is not known.
//!
//! Always holds: keys that cannot be used leave those before in their place, and are told once for each
//! reason. Never does: judging a token.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::error::AppError;
use crate::{
    api::Issuer,
    auth::jwt::{KeySet, KeySetFault, SET_BYTES_MAX, Terms},
    clock::Clock,
    config::{Config, Environment, HttpsAddress, Jwt, JwtBinding, JwtCertificate},
    files,
    material::{self, MaterialError},
    server::{Authorities, FetchBounds, FetchError, fetch_securely},
};

/// What bounds a fetch. A request may wait for it.
const BOUNDS: FetchBounds = FetchBounds { bytes: SET_BYTES_MAX, time: Duration::from_secs(10) };
/// So often the keys are fetched.
const INTERVAL: Duration = Duration::from_secs(10 * 60);
/// After a fetch in vain, the next one is due no later.
const RETRY: Duration = Duration::from_secs(30);

/// The issuer, and where its keys are.
pub(super) struct Source {
    pub issuer: Arc<Issuer>,
    remote: Option<(HttpsAddress, Authorities)>,
}

impl Source {
    /// That of `config`, with the keys of its file; none where no JWT is taken.
    ///
    /// # Errors
    /// `AppError` names the file at fault.
    pub(super) fn load(config: &Config, clock: &dyn Clock) -> Result<Option<Self>, AppError> {
        let jwt = &config.auth.jwt;
        let Some(terms) = terms(jwt) else { return Ok(None) };
        if terms.stand_alone && config.environment == Environment::Production {
            tracing::warn!(
                "auth.jwt.certificate is \"optional\" in production: whoever steals a JWT needs no certificate for it, \
                 unless it is bound to one"
            );
        }
        let issuer = Arc::new(Issuer::new(terms, jwt.jwks_url.is_some()));
        if let Some(keys) = keys(config)? {
            issuer.has(keys, clock.now());
        }
        let remote = match (&jwt.jwks_url, &jwt.ca) {
            (Some(address), Some(ca)) => {
                let authorities = Authorities::of(material::certificates(ca)?);
                let authorities = authorities
                    .map_err(|error| AppError::KeyServerCa(ca.as_path().into(), error))?;
                Some((address.clone(), authorities))
            }
            _ => None,
        };
        Ok(Some(Self { issuer, remote }))
    }
}

/// The keys in the file that the configuration names, if it names one.
///
/// # Errors
/// `AppError` names the file.
pub(super) fn keys(config: &Config) -> Result<Option<KeySet>, AppError> {
    let Some(path) = config.auth.jwt.jwks_file.as_deref() else { return Ok(None) };
    let keys = KeySet::parse(&files::read(path).map_err(MaterialError::from)?);
    Ok(Some(keys.map_err(|fault| AppError::KeySet(path.into(), fault))?))
}

/// By which rules tokens are taken, if any are.
fn terms(jwt: &Jwt) -> Option<Terms> {
    Some(Terms {
        issuer: jwt.issuer.clone()?,
        audience: jwt.audience.clone(),
        requires_audience: jwt.require_audience,
        tenant_claim: jwt.tenant_claim.clone(),
        requires_binding: jwt.binding == JwtBinding::Required,
        stand_alone: jwt.certificate == JwtCertificate::Optional,
        leeway_seconds: i64::try_from(jwt.leeway.0.as_secs()).unwrap_or(0),
    })
}

/// Why an address gives no keys.
#[derive(Debug, thiserror::Error)]
enum NoKeys {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Keys(#[from] KeySetFault),
}

/// Keeps the keys of a running server.
pub(super) struct KeyKeeper {
    source: Option<Source>,
    clock: Arc<dyn Clock>,
    /// Why there were none, at the last attempt.
    trouble: Option<String>,
}

impl KeyKeeper {
    pub(super) const fn new(source: Option<Source>, clock: Arc<dyn Clock>) -> Self {
        Self { source, clock, trouble: None }
    }

    /// Keeps them until it is dropped. Nobody has `first` any more once they were fetched, or were in vain,
    /// for the first time.
    pub(super) async fn run(mut self, first: mpsc::Sender<()>) -> Infallible {
        let source = self.source.take();
        let Some(Source { issuer, remote: Some((address, authorities)) }) = source else {
            drop(first);
            return std::future::pending().await;
        };
        let mut first = Some(first);
        loop {
            let outcome = self.fetch(&issuer, &address, &authorities).await;
            let pause = if outcome.is_ok() { INTERVAL } else { RETRY };
            self.tell(&address, outcome);
            issuer.has_tried();
            drop(first.take());
            tokio::select! {
                () = issuer.until_asked() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Fetches them, and tells how many there are, if they are others than before.
    async fn fetch(
        &self,
        issuer: &Issuer,
        address: &HttpsAddress,
        authorities: &Authorities,
    ) -> Result<Option<usize>, NoKeys> {
        let bytes = fetch_securely(address.as_str(), BOUNDS, authorities).await?;
        let keys = KeySet::parse(&bytes)?;
        let number = keys.len();
        Ok(issuer.has(keys, self.clock.now()).then_some(number))
    }

    fn tell(&mut self, source: &HttpsAddress, outcome: Result<Option<usize>, NoKeys>) {
        match outcome {
            Ok(new) => {
                let has_healed = self.trouble.take().is_some();
                if let Some(keys) = new {
                    tracing::info!(%source, keys, "the keys of the issuer of JWTs are read");
                } else if has_healed {
                    tracing::info!(%source, "the keys of the issuer of JWTs are as they were");
                }
            }
            Err(error) => {
                let error = error.to_string();
                if self.trouble.as_ref() != Some(&error) {
                    tracing::error!(
                        %source, error,
                        "the keys of the issuer of JWTs cannot be had; those that were had last count for a day"
                    );
                }
                self.trouble = Some(error);
            }
        }
    }
}
