//! An answer of a handler.

use bytes::Bytes;
use hyper::{
    StatusCode,
    header::{HeaderName, HeaderValue},
};

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
