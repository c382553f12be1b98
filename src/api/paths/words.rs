//! What this dialect says where a request did not end as asked.
//!
//! A code is the problem's own word, or that of its status; what else is known stands in `details`.

use hyper::StatusCode;

use super::super::{Failed, Problem, Reply, json::Writer, problems::Told};
use crate::{
    auth::jwt::Scope,
    model::{Faults, Invalid, Refused, SecretPath, Timestamp},
    service::Error,
};

const NO_TENANT: &str = "an operator's certificate names no tenant: name it, in the address (/v1/t/TENANT/secrets) or in the \
    header X-Tenant-ID";

/// What all custom metadata is to be.
const ENTRIES: &str = "at most 64 entries beside description, tags and owner, with those that stay";

/// The answer that tells it.
pub(super) fn render(failed: Failed, request_id: &str) -> Reply {
    let failed = match (failed.problem, failed.cause.as_deref()) {
        // Who may ask for every domain is told which there are.
        (Problem::DomainNotFound, Some(Error::DomainNotFound)) => {
            failed.told_as(Problem::TenantNotFound)
        }
        // Clients take 404 for a secret that is not there, and some delete their copies then.
        (Problem::DomainNotFound, _) => failed.in_vault(),
        (Problem::NoDomain, _) => {
            let mut failed = failed;
            failed.text = NO_TENANT.into();
            failed
        }
        (Problem::ScopeRequired, _) => failed.in_colons(),
        _ => failed,
    };
    let (code, text, details) = (word(failed.problem), failed.text.clone(), failed.details.clone());
    let reply = failed.into_reply(request_id);
    let body = Writer::object(|out| {
        out.object("error", |out| {
            out.text("code", code);
            out.text("message", &text);
            Told::write(&details, out);
            out.text("request_id", request_id);
        });
    });
    Reply { body: body.into(), content_type: Some("application/json"), ..reply }
}

/// A scope as this dialect spells it.
pub(super) fn scope(scope: Scope) -> String {
    scope.name().replace('.', ":")
}

/// The code of a problem.
pub(super) fn word(problem: Problem) -> &'static str {
    if let Some(word) = problem.word() {
        return word;
    }
    match problem.status() {
        StatusCode::UNAUTHORIZED => "authentication_required",
        StatusCode::FORBIDDEN => "access_denied",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::CONFLICT => "version_conflict",
        StatusCode::PAYLOAD_TOO_LARGE => "payload_too_large",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "head_too_large",
        StatusCode::UNPROCESSABLE_ENTITY => "validation_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limited",
        StatusCode::SERVICE_UNAVAILABLE => "service_unavailable",
        status if status.is_server_error() => "internal_error",
        _ => "invalid_request",
    }
}

/// What is told of a use case on the secret at `path` that did not end as asked.
pub(super) fn of(error: Error, path: &SecretPath) -> Failed {
    let at = |moment: Timestamp| Told::Text(moment.to_rfc3339_seconds().to_string());
    let path = ("path", Told::Text(path.as_str().to_owned()));
    let details = match &error {
        Error::SecretRemoved(removal) => vec![path, ("recoverable_until", at(removal.until))],
        Error::SecretExpired(moment) => vec![path, ("expired_at", at(*moment))],
        Error::SecretNotFound | Error::VersionNotFound | Error::PathRefused => vec![path],
        Error::Conflict(current) => vec![path, ("current_version", Told::Number(*current))],
        Error::Refused(Refused::TooManyEntries(_)) => {
            return Faults::one("metadata", ENTRIES).into();
        }
        Error::Refused(Refused::Invalid(Invalid(rule))) => {
            return Faults::one("metadata", rule).into();
        }
        // Others were faster, again and again.
        Error::Contended => return Problem::KeptChanging.into(),
        _ => return error.into(),
    };
    Failed::from(error).with_details(details)
}

/// The same of a write that would make the secret.
pub(super) fn of_put(error: Error, path: &SecretPath) -> Failed {
    let Error::SecretRemoved(removal) = &error else { return of(error, path) };
    let at = |moment: Timestamp| Told::Text(moment.to_rfc3339_seconds().to_string());
    let details = vec![
        ("path", Told::Text(path.as_str().to_owned())),
        ("deleted_at", at(removal.at)),
        ("recoverable_until", at(removal.until)),
    ];
    Failed::from(Problem::RemovedExists).with_details(details)
}
