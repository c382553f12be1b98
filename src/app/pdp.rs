//! The policy decision point, if there is one: where it is, and by what this server is known there.

use std::{path::Path, sync::Arc};

use super::error::AppError;
use crate::{
    config::{Config, Pdp},
    live::Live,
    material,
    metrics::{Decision, Metrics},
    server::{Credentials, DecisionServer, bearer},
    service::{Decided, Judge, OnDecision, Service},
};

/// By what this server is known to it, as it is now.
pub(super) type Known = Arc<Live<Credentials>>;

/// What is in the files by which it is asked; nothing where nobody is.
///
/// # Errors
/// `AppError` names the file at fault.
pub(super) fn credentials(config: &Config) -> Result<Option<Credentials>, AppError> {
    let Pdp { url: Some(_), certificate, private_key, bearer_file, ca, .. } = &config.pdp else {
        return Ok(None);
    };
    let authorities = ca.as_deref().map(material::certificates).transpose()?;
    let own = match (certificate, private_key) {
        (Some(certificate), Some(key)) => {
            Some((material::certificates(certificate)?, material::private_key(key)?))
        }
        _ => None,
    };
    let token = match bearer_file {
        Some(path) => {
            let token = material::secret_text(path)?;
            let useless = |error| AppError::PdpBearer(path.as_path().into(), error);
            Some(bearer(&token).map_err(useless)?)
        }
        None => None,
    };
    // Where there is no certificate of its own, an authority is all that can be useless.
    let of = certificate.as_deref().or(ca.as_deref()).unwrap_or(Path::new("pdp.ca"));
    let useless = |error| AppError::PdpMaterial(of.into(), error);
    Credentials::new(authorities, own, token).map(Some).map_err(useless)
}

/// Has it judge what permits allow, if there is one.
pub(super) fn judges(
    service: &Service,
    config: &Config,
    credentials: Option<&Known>,
    metrics: &Arc<Metrics>,
) {
    if let (Some(url), Some(credentials)) = (&config.pdp.url, credentials) {
        let point = Arc::new(DecisionServer::new(url.clone(), Arc::clone(credentials)));
        service.is_judged_by(Judge::new(point, config.pdp.timeout.0, counter(metrics)));
    }
}

/// What counts decisions.
fn counter(metrics: &Arc<Metrics>) -> OnDecision {
    let metrics = Arc::clone(metrics);
    Box::new(move |decided, taken| {
        let decision = match decided {
            Decided::Asked(true) => Decision::Permit,
            Decided::Asked(false) => Decision::Deny,
            Decided::Kept(true) => Decision::KeptPermit,
            Decided::Kept(false) => Decision::KeptDeny,
            Decided::Unanswered => Decision::Unanswered,
        };
        metrics.decisions().count(decision, taken.map(|taken| taken.as_secs_f64()));
    })
}
