//! The dialects: parse, call a use case, render.
//!
//! Owns the route table, one folder a dialect, and the forms that they share. Always holds: what a handler gets is
//! authorized already, and its input is parsed into types before a use case sees it. Never does: sockets, storage,
//! mapping errors to codes (that is `http::error`).

pub mod docs;
pub(crate) mod json;
pub mod okms;
pub(crate) mod query;
mod routes;

use std::sync::Arc;

use bytes::Bytes;
use hyper::{
    StatusCode,
    header::{HeaderName, HeaderValue},
};

pub use self::routes::{Access, Route, routes};
use crate::{
    auth::Principal,
    domain::{SecretPath, Timestamp, VersionNumber},
    service::Service,
};

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
}

/// A request, routed and authorized.
pub struct Call {
    /// The parameters in its path.
    pub params: Params,
    /// Its query, as sent.
    pub query: String,
    /// Its paging headers, as sent.
    pub paging: Paging,
    /// Its body; empty for methods that have none.
    pub body: Bytes,
    /// The moment at which it counts.
    pub now: Timestamp,
    /// Who sent it, where that is known.
    pub principal: Option<Principal>,
}

/// What a pattern captured.
#[derive(Debug, Default)]
pub struct Params {
    /// `{path}`.
    pub path: Option<SecretPath>,
    /// `{version}`.
    pub version: Option<VersionNumber>,
    /// `{asset}`: a file name, unchecked.
    pub asset: Option<String>,
}

/// The two paging headers.
#[derive(Debug, Default)]
pub struct Paging {
    /// `X-Pagination-Size`.
    pub size: Option<HeaderValue>,
    /// `X-Pagination-Cursor`.
    pub cursor: Option<HeaderValue>,
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
