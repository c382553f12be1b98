//! What this dialect says where something goes wrong: Vault's own words.

use std::borrow::Cow;

use hyper::StatusCode;

use super::{
    super::problem::{
        ARGUMENT, AUTHENTICATION, AUTHORIZATION, DOMAIN_NOT_FOUND, Problem, ROUTE_NOT_FOUND, SECRET_NOT_FOUND,
    },
    super::{Call, Failed},
    asked,
    failure::Failure,
};
use crate::service::Error;

/// What is said of `problem`, which came up on the way of `call`.
pub(super) fn of(problem: Problem, call: &Call) -> Problem {
    // Without its certificate a token is worth nothing, which Vault says in its way.
    if problem.status == StatusCode::UNAUTHORIZED && asked::token(&call.head.headers).is_some() {
        return Problem::PERMISSION_DENIED;
    }
    // Nothing is said of a method that Vault's router does not know.
    let is_known =
        ["GET", "LIST", "SCAN", "POST", "PUT", "PATCH", "DELETE", "HEAD"].contains(&call.head.method.as_str());
    if problem.status == StatusCode::METHOD_NOT_ALLOWED && !is_known {
        return Problem { text: Cow::Borrowed(""), ..problem };
    }
    problem.in_vault_words()
}

impl Problem {
    /// What the Vault dialect says where the native one says this.
    pub(crate) fn in_vault_words(self) -> Self {
        // Its clients take 404 for a secret that is not there, and some delete their copies then.
        if self.code == DOMAIN_NOT_FOUND {
            return Self { status: StatusCode::FORBIDDEN, ..self };
        }
        let text = match self.status {
            StatusCode::METHOD_NOT_ALLOWED => "1 error occurred:\n\t* unsupported operation\n\n",
            StatusCode::PAYLOAD_TOO_LARGE => "http: request body too large",
            _ => return self,
        };
        Self { text: Cow::Borrowed(text), ..self }
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        let problem = Problem::from(&failure);
        let cause = match failure {
            Failure::Service(error) => Some(error),
            _ => None,
        };
        Self { problem, cause }
    }
}

impl From<&Failure> for Problem {
    fn from(failure: &Failure) -> Self {
        let refused = |text: &str| Self::owned(StatusCode::BAD_REQUEST, ARGUMENT, text);
        match failure {
            Failure::Service(Error::SecretNotFound | Error::VersionNotFound) => {
                Self::new(StatusCode::NOT_FOUND, SECRET_NOT_FOUND, "")
            }
            Failure::Service(Error::Refused(why)) => refused(&Failure::text_of(why)),
            Failure::Service(error) => Self::from(error).in_vault_words(),
            Failure::Refused(text) => refused(text),
            Failure::Unrouted => Self::NO_ROUTE,
            Failure::NoHandler(path) => Self::owned(
                StatusCode::NOT_FOUND,
                ROUTE_NOT_FOUND,
                format!("no handler for route \"{path}\". route entry not found."),
            ),
            Failure::UnsupportedPath => {
                Self::new(StatusCode::NOT_FOUND, ROUTE_NOT_FOUND, "1 error occurred:\n\t* unsupported path\n\n")
            }
            Failure::PermissionDenied => Self::PERMISSION_DENIED,
            Failure::NoNamespace => Self::new(StatusCode::NOT_FOUND, ROUTE_NOT_FOUND, "namespace not found"),
            Failure::BadToken => Self::new(StatusCode::FORBIDDEN, AUTHENTICATION, "bad token"),
            Failure::Preflight(path) => Self::owned(
                StatusCode::FORBIDDEN,
                AUTHORIZATION,
                format!(
                    "preflight capability check returned 403, please ensure client's policies grant access to path \
                     \"{path}/\""
                ),
            ),
            Failure::MediaType(given) => Self::owned(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                ARGUMENT,
                format!("PATCH requires Content-Type of application/merge-patch+json, provided {given}"),
            ),
            Failure::NoList => Self::method_not_allowed(&["LIST"]).in_vault_words(),
            Failure::Silent => Self::new(StatusCode::BAD_REQUEST, ARGUMENT, ""),
        }
    }
}
