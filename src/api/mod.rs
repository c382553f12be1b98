//! The dialects: parse, call a use case, render.
//!
//! Owns the route table, one folder a dialect, and the forms that they share. Always holds: what a handler gets is
//! authorized already, and its input is parsed into types before a use case sees it. Never does: sockets, storage,
//! asking for a permit.

mod address;
mod control;
pub mod docs;
pub(crate) mod json;
mod okms;
mod operation;
pub(crate) mod page;
mod problem;
pub(crate) mod query;
pub(crate) mod value;
mod vault;

use std::sync::Arc;

use bytes::Bytes;
use hyper::{
    StatusCode,
    header::{HeaderName, HeaderValue},
    http::request::Parts,
};

use self::address::below;
pub use self::{
    address::{Address, Captures, Params},
    operation::{Answer, Dialect, Effect, Handler, Listed, Operation, Route, Rows, listed},
    problem::{Failed, Problem, SECRET_NOT_FOUND},
};
use crate::{
    auth::Party,
    domain::{OkmsId, SecretPath, Timestamp, TokenLife},
    service::Service,
};

/// The dialects, of which the first whose address a request has answers it.
pub static DIALECTS: &[&dyn Dialect] =
    &[&okms::SECRETS, &control::DOMAIN, &control::REGION, &vault::Vault, &docs::PAGES];

/// What all handlers share.
pub struct Context {
    /// The use cases.
    pub service: Arc<Service>,
    /// The region's name, as in URNs.
    pub region: String,
    /// Where clients reach this server, without a slash at the end.
    pub endpoint: String,
    /// The largest value, in bytes.
    pub value_bytes: usize,
    /// The largest answer that is kept for somebody else, in bytes.
    pub wrapped_bytes: usize,
    /// How long tokens live.
    pub token_life: TokenLife,
    /// The server's figures, in Prometheus' text form.
    pub figures: Box<dyn Fn() -> Vec<u8> + Send + Sync>,
}

impl Context {
    /// A domain's name in policies.
    fn domain_urn(&self, id: OkmsId) -> String {
        format!("urn:v1:{}:resource:okms:{id}", self.region)
    }

    /// A secret's name in policies.
    fn secret_urn(&self, id: OkmsId, path: &SecretPath) -> String {
        format!("{}/secret/{path}", self.domain_urn(id))
    }
}

/// A request on its way.
pub struct Call {
    /// Its URL and headers, as sent, and the method that it means.
    pub head: Parts,
    /// Whose words it is answered in.
    pub dialect: &'static dyn Dialect,
    /// The parameters in its address.
    pub params: Params,
    /// Its body; empty for methods that have none.
    pub body: Bytes,
    /// The moment at which it counts.
    pub now: Timestamp,
    /// The same by the machine's clock, by which certificates live.
    pub machine_now: Timestamp,
    /// Whose it is, where that is known.
    pub caller: Option<Party>,
    /// Its id.
    pub request_id: Arc<str>,
}

impl Call {
    /// Its query, as sent.
    #[must_use]
    pub fn query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }

    /// A header that is not empty.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&HeaderValue> {
        self.head.headers.get(name).filter(|value| !value.is_empty())
    }
}

/// An answer, before the edge adds what every answer has.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The type of the body; none for an empty one.
    pub content_type: Option<&'static str>,
    /// More headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
    /// Damaged records that were found on the way, and left out.
    pub damaged: usize,
}

impl Reply {
    /// 200 with this body.
    #[must_use]
    pub fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: Some(content_type),
            headers: Vec::new(),
            body: body.into(),
            damaged: 0,
        }
    }

    /// 200 with this JSON text.
    #[must_use]
    pub fn json(body: Vec<u8>) -> Self {
        Self::ok("application/json", body)
    }

    /// `status` without a body.
    #[must_use]
    pub const fn empty(status: StatusCode) -> Self {
        Self { status, content_type: None, headers: Vec::new(), body: Bytes::new(), damaged: 0 }
    }
}
