//! What this dialect says where a request did not end as asked.

use hyper::StatusCode;

use super::super::{Failed, Problem, Reply, json::Writer, problems::Told};
use crate::{
    model::{MountError, Refused, UriError},
    service::Error,
};

/// The answer that tells it.
pub(super) fn render(failed: Failed, request_id: &str) -> Reply {
    let failed = match failed.problem {
        // Whether there is such a tenant is no business of who may not act in it.
        Problem::DomainNotFound => failed.in_words_of(Problem::TenantDenied),
        Problem::NoDomain => failed.in_words_of(Problem::TenantRequired),
        _ => failed,
    };
    let (code, text, details) = (code(failed.problem), failed.text.clone(), failed.details.clone());
    let reply = failed.into_reply(request_id);
    let body = Writer::object(|out| {
        out.text("error", reply.status.canonical_reason().unwrap_or("Error"));
        out.text("code", code);
        out.text("message", &text);
        Told::write(&details, out);
        out.text("request_id", request_id);
    });
    Reply { body: body.into(), content_type: Some("application/json"), ..reply }
}

/// The code of a problem.
pub(super) fn code(problem: Problem) -> &'static str {
    if let Some(code) = problem.canonical() {
        return code;
    }
    match problem.status() {
        StatusCode::UNAUTHORIZED => "UNAUTHENTICATED",
        StatusCode::FORBIDDEN => "SECRET_AUTHZ_FAILED",
        StatusCode::NOT_FOUND => "NOT_FOUND",
        StatusCode::METHOD_NOT_ALLOWED => "METHOD_NOT_ALLOWED",
        StatusCode::CONFLICT => "VERSION_CONFLICT",
        StatusCode::PAYLOAD_TOO_LARGE => "PAYLOAD_TOO_LARGE",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "HEAD_TOO_LARGE",
        StatusCode::TOO_MANY_REQUESTS => "TOO_MANY_REQUESTS",
        StatusCode::SERVICE_UNAVAILABLE => "UNAVAILABLE",
        status if status.is_server_error() => "INTERNAL",
        _ => "INVALID_FIELD",
    }
}

/// What is told of a use case that did not end as asked.
pub(super) fn of(error: Error) -> Failed {
    told(&error).unwrap_or_else(|| error.into())
}

/// The same of a use case that has asked for our words on its way.
pub(super) fn again(failed: Failed) -> Failed {
    failed.cause.as_deref().and_then(told).unwrap_or(failed)
}

/// What this dialect tells in its own words.
fn told(error: &Error) -> Option<Failed> {
    let problem = match error {
        // What has ended as a whole is not there, in this dialect.
        Error::SecretRemoved(_) | Error::SecretExpired(_) => Problem::SecretNotFound,
        Error::Conflict(current) => {
            let details = vec![("current_version", Told::Number(*current))];
            return Some(Failed::from(Problem::CasConflict).with_details(details));
        }
        Error::Refused(Refused::CasRequired) => Problem::CasDemanded,
        // The mount went meanwhile.
        Error::Mount(MountError::NotFound) => Problem::MountMismatch,
        // Others were faster, again and again.
        Error::Contended => Problem::KeptChanging,
        _ => return None,
    };
    Some(problem.into())
}

/// Why something does not go where something is.
pub(super) fn exists() -> Failed {
    let text = "there is something at toUri already; choose another place, or send overwrite: true";
    Problem::DestinationExists.with(&[text])
}

impl From<UriError> for Failed {
    fn from(error: UriError) -> Self {
        let problem = match error {
            UriError::IllegalSegment(_) => Problem::IllegalSegment,
            UriError::InvalidWildcard => Problem::InvalidWildcard,
            UriError::UnsupportedEngine => Problem::UnsupportedEngine,
            UriError::ProviderNotSupported => Problem::ProviderNotSupported,
            UriError::AmbiguousQuery => Problem::AmbiguousQuery,
            UriError::DoubleMountSource => Problem::DoubleMountSource,
            UriError::UnknownField => Problem::UnknownField,
            UriError::InvalidVersion => Problem::InvalidVersion,
            UriError::FragmentNotAllowed => Problem::FragmentNotAllowed,
            UriError::VersionPinNotAllowed => Problem::VersionPinNotAllowed,
        };
        problem.with(&[&error.to_string()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    /// What use cases say has the code that is published for it.
    #[test]
    fn failures_have_their_codes() {
        for (error, status, expected) in [
            (Error::Refused(Refused::NumbersUsedUp), 400, "VERSIONS_USED_UP"),
            (Error::Refused(Refused::CasRequired), 409, "CAS_REQUIRED"),
            (Error::Conflict(4), 409, "VERSION_CONFLICT"),
            (Error::Contended, 409, "VERSION_CONFLICT"),
            (Error::SecretNotFound, 404, "SECRET_NOT_FOUND"),
            (Error::SecretExpired(Timestamp::from_unix_seconds(0)), 404, "SECRET_NOT_FOUND"),
            (Error::Mount(MountError::NotFound), 400, "TENANT_MOUNT_MISMATCH"),
        ] {
            let told = format!("{error:?}");
            let failed = of(error);
            let problem = failed.problem;
            assert_eq!((problem.status().as_u16(), code(problem)), (status, expected), "{told}");
        }
    }
}
