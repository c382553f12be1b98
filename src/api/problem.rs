//! The one mapping from what went wrong to what is said: status, published code, text. The Vault dialect has the same
//! bodies in Vault's own words, and 403 for a token that is not good and for a domain that is not the caller's.
//!
//! | what | status | code |
//! | --- | --- | --- |
//! | bad input, CAS | 400 | 50405377 |
//! | no or bad certificate | 401 | 50475011 |
//! | not permitted, foreign origin | 403 | 16924673 |
//! | domain unknown, or not the caller's | 404 | 16994305 |
//! | secret or version unknown | 404 | 17125377 |
//! | route unknown | 404 | 50417665 |
//! | method unknown | 405 | 50405377 |
//! | too slow a body | 408 | 50405377 |
//! | path taken, version deleted | 409 | 50438145 |
//! | too large | 413, 431 | 50405377 |
//! | too many requests | 429 | 50434049 |
//! | not available, outcome unknown | 503 | 50425858 |
//! | our fault | 500 | 50401281 |
//!
//! A code is `major << 24 | minor << 16 | category << 12 | number`.

use std::borrow::Cow;

use hyper::{
    StatusCode,
    header::{ALLOW, HeaderValue, RETRY_AFTER},
};

use super::{Reply, json::Writer};
use crate::{
    auth::{Denied, Unauthenticated},
    domain::{Invalid, MountError},
    service::Error,
};

pub(super) const ARGUMENT: u32 = 50_405_377;
pub(super) const AUTHENTICATION: u32 = 50_475_011;
pub(super) const AUTHORIZATION: u32 = 16_924_673;
pub(super) const DOMAIN_NOT_FOUND: u32 = 16_994_305;
/// In answers that are more than an error as well.
pub const SECRET_NOT_FOUND: u32 = 17_125_377;
pub(super) const ROUTE_NOT_FOUND: u32 = 50_417_665;
const CONFLICT: u32 = 50_438_145;
const TOO_MANY: u32 = 50_434_049;
const UNAVAILABLE: u32 = 50_425_858;
const INTERNAL: u32 = 50_401_281;

/// An answer that is an error.
#[derive(Clone, Debug)]
pub struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: u32,
    pub(super) text: Cow<'static, str>,
    pub(super) retry_after: Option<&'static str>,
    pub(super) allow: Option<String>,
}

impl Problem {
    pub(super) const fn new(status: StatusCode, code: u32, text: &'static str) -> Self {
        Self { status, code, text: Cow::Borrowed(text), retry_after: None, allow: None }
    }

    /// One that may be repeated after so many seconds.
    const fn later(seconds: &'static str, status: StatusCode, code: u32, text: &'static str) -> Self {
        Self { status, code, text: Cow::Borrowed(text), retry_after: Some(seconds), allow: None }
    }

    pub(crate) const NO_ROUTE: Self = Self::new(
        StatusCode::NOT_FOUND,
        ROUTE_NOT_FOUND,
        "there is nothing at this address; /openapi.json lists what is",
    );
    pub(crate) const BODY_TOO_LARGE: Self =
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, ARGUMENT, "the body is larger than this server takes");
    pub(crate) const BODY_TOO_SLOW: Self =
        Self::new(StatusCode::REQUEST_TIMEOUT, ARGUMENT, "the body took too long to arrive; send it faster");
    pub(crate) const BODY_BROKEN: Self =
        Self::new(StatusCode::BAD_REQUEST, ARGUMENT, "the body ended before it was complete");
    pub(crate) const HEAD_TOO_LARGE: Self = Self::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        ARGUMENT,
        "the URL and the headers are larger than this server takes; send fewer headers",
    );
    pub(crate) const HOST: Self =
        Self::new(StatusCode::BAD_REQUEST, ARGUMENT, "the request must name one host, in one Host header");
    pub(crate) const UNREADABLE: Self = Self::new(
        StatusCode::BAD_REQUEST,
        ARGUMENT,
        "the request is no HTTP that can be read; check the request line and the headers, and escape odd characters",
    );
    pub(crate) const PLAIN: Self =
        Self::new(StatusCode::BAD_REQUEST, ARGUMENT, "this port speaks HTTPS only; use https:// in the address");
    pub(crate) const FOREIGN_ORIGIN: Self =
        Self::new(StatusCode::FORBIDDEN, AUTHORIZATION, "a page of another origin may not change anything here");
    pub(crate) const BUSY: Self = Self::later(
        "1",
        StatusCode::TOO_MANY_REQUESTS,
        TOO_MANY,
        "too many requests are in progress; repeat after the time in Retry-After",
    );
    pub(crate) const CROWDED: Self = Self::later(
        "1",
        StatusCode::TOO_MANY_REQUESTS,
        TOO_MANY,
        "your domain has its share of this server's connections; close some, and repeat after the time in Retry-After",
    );
    pub(crate) const INTERNAL: Self = Self::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        INTERNAL,
        "internal error; tell the operator of the region the request_id",
    );

    /// A token that is not good here, or missing.
    pub(crate) const PERMISSION_DENIED: Self = Self::new(StatusCode::FORBIDDEN, AUTHENTICATION, "permission denied");
    /// An operator asks where only a domain's own certificate tells which domain is meant.
    pub(crate) const NO_DOMAIN: Self = Self::new(
        StatusCode::BAD_REQUEST,
        ARGUMENT,
        "an operator's certificate names no domain: use /api/OKMS_ID/v1, as in VAULT_ADDR=https://HOST/api/OKMS_ID",
    );

    pub(super) fn owned(status: StatusCode, code: u32, text: impl Into<String>) -> Self {
        Self { text: Cow::Owned(text.into()), ..Self::new(status, code, "") }
    }

    pub(crate) fn method_not_allowed(methods: &[&str]) -> Self {
        let allow = Some(methods.join(", "));
        let text = "this address does not know the method; the Allow header lists those that it does";
        Self { allow, ..Self::new(StatusCode::METHOD_NOT_ALLOWED, ARGUMENT, text) }
    }

    /// Its status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether it is our fault, and to be looked at.
    pub(crate) fn is_ours(&self) -> bool {
        self.status.is_server_error()
    }

    /// The answer in the native dialect.
    #[must_use]
    pub fn into_reply(self, request_id: &str) -> Reply {
        let body = Writer::object(|out| {
            out.number("error_code", self.code);
            out.text("error_id", request_id);
            // Vault's word for what is not there is none.
            out.texts("errors", Some(&*self.text).filter(|text| !text.is_empty()));
            out.text("request_id", request_id);
        });
        let mut reply = Reply { status: self.status, ..Reply::json(body) };
        reply.headers.extend(self.retry_after.map(|seconds| (RETRY_AFTER, HeaderValue::from_static(seconds))));
        let allow = self.allow.and_then(|methods| HeaderValue::try_from(methods).ok());
        reply.headers.extend(allow.map(|methods| (ALLOW, methods)));
        reply
    }
}

/// A request that did not end as asked: what is said of it, and what a use case said, as the operator may have to know.
#[derive(Debug)]
pub struct Failed {
    /// What the caller is told.
    pub problem: Problem,
    /// Why, where it is more than the caller's mistake.
    pub cause: Option<Error>,
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        Self { problem, cause: None }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { problem: Problem::from(&error), cause: Some(error) }
    }
}

impl From<Invalid> for Problem {
    fn from(Invalid(text): Invalid) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ARGUMENT, text)
    }
}

impl From<Unauthenticated> for Problem {
    fn from(error: Unauthenticated) -> Self {
        let text = Cow::Owned(error.to_string());
        Self { text, ..Self::new(StatusCode::UNAUTHORIZED, AUTHENTICATION, "") }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::UnknownDomain => Self::from(&Error::DomainNotFound),
            Denied::Forbidden => {
                let text = Cow::Owned(denied.to_string());
                Self { text, ..Self::new(StatusCode::FORBIDDEN, AUTHORIZATION, "") }
            }
        }
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let said = |status, code| Self { text: Cow::Owned(error.to_string()), ..Self::new(status, code, "") };
        match error {
            Error::Denied(denied) => Self::from(*denied),
            Error::DomainNotFound => Self::new(
                StatusCode::NOT_FOUND,
                DOMAIN_NOT_FOUND,
                "there is no such domain for your certificate; check the okmsId",
            ),
            Error::SecretNotFound => Self::new(
                StatusCode::NOT_FOUND,
                SECRET_NOT_FOUND,
                "there is no such secret; check its path, or create it",
            ),
            Error::VersionNotFound => Self::new(
                StatusCode::NOT_FOUND,
                SECRET_NOT_FOUND,
                "the secret has no such version, or it was pruned; list its versions",
            ),
            Error::SecretExists => Self::new(
                StatusCode::CONFLICT,
                CONFLICT,
                "a secret exists at this path; update it, or choose another path",
            ),
            Error::DomainExists => Self::new(
                StatusCode::CONFLICT,
                CONFLICT,
                "a domain of this name exists; choose another name, or list the domains",
            ),
            Error::VersionDeleted => Self::new(
                StatusCode::CONFLICT,
                CONFLICT,
                "the version is deleted, which is final; create a new version",
            ),
            Error::Invalid(invalid) => Self::from(*invalid),
            Error::Refused(_) | Error::CertificateRefused(_) => said(StatusCode::BAD_REQUEST, ARGUMENT),
            Error::Mount(mount) => match mount {
                MountError::InUse(path) => {
                    Self::owned(StatusCode::BAD_REQUEST, ARGUMENT, format!("path is already in use at {path}/"))
                }
                MountError::BuiltIn(path) => {
                    let text = format!("{path}/ shows the whole domain and is there for good");
                    Self::owned(StatusCode::BAD_REQUEST, ARGUMENT, text)
                }
                MountError::Shown(below, by) => {
                    let text = format!(
                        "the secrets below {below}/ are in the mount {by}/, which was moved; choose another path, or \
                         move that mount back"
                    );
                    Self::owned(StatusCode::BAD_REQUEST, ARGUMENT, text)
                }
                MountError::NotFound => {
                    Self::new(StatusCode::BAD_REQUEST, ARGUMENT, "there is no such mount; list them with sys/mounts")
                }
                MountError::HoldsSecrets(path) => Self::owned(
                    StatusCode::BAD_REQUEST,
                    ARGUMENT,
                    format!("{path}/ holds secrets; delete them first, or repeat with ?force=true, which deletes them"),
                ),
            },
            Error::TokenInvalid => Self::PERMISSION_DENIED,
            Error::NotRenewable => Self::new(StatusCode::BAD_REQUEST, ARGUMENT, "lease is not renewable"),
            Error::NothingWrapped => {
                Self::new(StatusCode::BAD_REQUEST, ARGUMENT, "wrapping token is not valid or does not exist")
            }
            Error::NoAuthority => Self::new(
                StatusCode::BAD_REQUEST,
                ARGUMENT,
                "this server issues no certificates; set trust.region_ca_key in its config, or ask another server",
            ),
            Error::Contended | Error::Overloaded => Self::later(
                "1",
                StatusCode::SERVICE_UNAVAILABLE,
                UNAVAILABLE,
                "too many writes wait; nothing was changed, repeat after the time in Retry-After",
            ),
            Error::Busy => Self::BUSY,
            Error::Unavailable(_) => Self::later(
                "5",
                StatusCode::SERVICE_UNAVAILABLE,
                UNAVAILABLE,
                "the store is not available; nothing was changed, repeat later",
            ),
            Error::OutcomeUnknown(_) => Self::later(
                "5",
                StatusCode::SERVICE_UNAVAILABLE,
                UNAVAILABLE,
                "the store failed while it wrote; the change may have happened or not, read before you repeat it",
            ),
            Error::Corrupt(_) | Error::WrongRootKey | Error::Authority(_) => Self::INTERNAL,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::{
        api::{docs::document, json::Object, vault::Failure},
        domain::{MountPath, OkmsId, Refused},
    };

    /// Status, code and text of everything that the document shows as an error.
    fn told() -> BTreeSet<(u16, u32, String)> {
        let document: Value = serde_json::from_slice(&document(None)).unwrap();
        let mut told = BTreeSet::new();
        for operation in
            document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values())
        {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let Some(reference) = response["$ref"].as_str() else { continue };
                let response = document.pointer(&reference[1..]).unwrap();
                for example in response["content"]["application/json"]["examples"].as_object().unwrap().values() {
                    let value = &example["value"];
                    let code = value["error_code"].as_u64().unwrap().try_into().unwrap();
                    // Vault's word for what is not there is none.
                    let text = value["errors"][0].as_str().unwrap_or_default();
                    told.insert((status.parse().unwrap(), code, text.to_owned()));
                }
            }
        }
        told
    }

    /// What the Vault dialect says, and the document shows. The texts of the dialect itself are only repeated here:
    /// `tests/api/openapi.rs` provokes them.
    fn in_vault_words() -> impl Iterator<Item = Problem> {
        let mount = |path: &str| path.parse::<MountPath>().unwrap();
        let not_json = Object::from_body(b"{").err().unwrap();
        let wrong = |name: &str, reason: &str| {
            format!("Field validation failed: error converting input for field \"{name}\": {reason}")
        };
        let by_mapping = [
            Error::SecretNotFound,
            Error::Refused(Refused::CasMismatch),
            Error::Refused(Refused::CasRequired),
            Error::Refused(Refused::MetadataCasMismatch),
            Error::Refused(Refused::MetadataCasRequired),
            Error::Mount(MountError::InUse(mount("team"))),
            Error::Mount(MountError::HoldsSecrets(mount("team"))),
            Error::Mount(MountError::BuiltIn(mount("secret"))),
            Error::Mount(MountError::NotFound),
            Error::TokenInvalid,
            Error::NotRenewable,
            Error::NothingWrapped,
        ];
        let failures = [
            Failure::BadToken,
            Failure::NoNamespace,
            Failure::NoList,
            Failure::Preflight("team".to_owned()),
            Failure::NoHandler("team/data/app/database".to_owned()),
            Failure::MediaType("text/plain".to_owned()),
        ];
        let by_dialect = [
            format!("failed to decode JSON input: {}", not_json.0),
            wrong("version", "expected a whole number"),
            wrong("cas_required", "expected true or false"),
            wrong("increment", "expected a duration such as 3h25m19s"),
            "no data provided".to_owned(),
            "No version number provided".to_owned(),
            "no version number provided".to_owned(),
            "paths is required: the paths to ask about, at most 1000".to_owned(),
            "No secret engine mount at team/".to_owned(),
            "cannot fetch sysview for path \"team/\"".to_owned(),
            "only secrets engines of type kv-v2 are served here; enable one with `-path=NAME kv-v2`".to_owned(),
            "missing token: name the token in the field token".to_owned(),
            "invalid accessor".to_owned(),
            "no matching mount at \"team/\"".to_owned(),
            "No auth engine at team/".to_owned(),
            "cannot fetch sysview for path \"auth/team/\"".to_owned(),
            "1 error occurred:\n\t* invalid token\n\n".to_owned(),
            "'bytes' cannot be less than 1".to_owned(),
            "'bytes' cannot be more than 131072".to_owned(),
            "unsupported encoding format; must be \"hex\" or \"base64\"".to_owned(),
            "the figures are told in Prometheus' form alone: ask for them with ?format=prometheus".to_owned(),
            "endpoint requires response wrapping".to_owned(),
            "error parsing X-Vault-Wrap-TTL header: expected a duration such as 300 or 5m, not negative".to_owned(),
        ];
        let failures = failures.into_iter().chain(by_mapping.map(Failure::Service));
        let failures = failures.chain(by_dialect.map(Failure::Refused));
        let by_edge = [Problem::BODY_TOO_LARGE, Problem::from(Denied::UnknownDomain)].map(Problem::in_vault_words);
        failures.map(|failure| Problem::from(&failure)).chain(by_edge)
    }

    #[test]
    fn the_document_shows_what_is_said() {
        let source = || std::io::Error::other("x").into();
        let problems = [
            Problem::NO_ROUTE,
            Problem::BODY_TOO_LARGE,
            Problem::BODY_TOO_SLOW,
            Problem::BODY_BROKEN,
            Problem::HEAD_TOO_LARGE,
            Problem::HOST,
            Problem::FOREIGN_ORIGIN,
            Problem::BUSY,
            Problem::CROWDED,
            Problem::INTERNAL,
            Problem::from("x".parse::<OkmsId>().unwrap_err()),
            Problem::from(Object::from_body(b"{").err().unwrap()),
            Problem::from(Invalid("the page cursor is not one of this list; repeat without X-Pagination-Cursor")),
            Problem::from(Unauthenticated::NoCertificate),
            Problem::from(Denied::Forbidden),
            Problem::from(Denied::UnknownDomain),
            Problem::from(&Error::SecretNotFound),
            Problem::from(&Error::VersionNotFound),
            Problem::from(&Error::SecretExists),
            Problem::from(&Error::DomainExists),
            Problem::from(&Error::VersionDeleted),
            Problem::from(&Error::Refused(Refused::CasMismatch)),
            Problem::from(&Error::Refused(Refused::CasRequired)),
            Problem::from(&Error::NoAuthority),
            Problem::from(&Error::Overloaded),
            Problem::from(&Error::Unavailable(source())),
            Problem::from(&Error::OutcomeUnknown(source())),
        ];
        let said = problems.into_iter().chain(in_vault_words());
        let said = said.map(|problem| (problem.status.as_u16(), problem.code, problem.text.into_owned()));
        assert_eq!(said.collect::<BTreeSet<_>>(), told());
    }
}
