//! Answers to what never became a request: whole, in the bytes of HTTP/1.1.
//!
//! Always holds: they look like every other error of this layer, and say that the connection ends.

use bytes::Bytes;

use crate::api::{Failed, Problem};

/// Why there is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is no HTTP, or has a head that cannot be read.
    Unreadable,
    /// Its head is larger than what is kept of one.
    HeadTooLarge,
    /// It came without TLS.
    Plain,
}

impl Refusal {
    /// What is wrong.
    pub(super) const fn problem(self) -> Problem {
        match self {
            Self::Unreadable => Problem::Unreadable,
            Self::HeadTooLarge => Problem::HeadTooLarge,
            Self::Plain => Problem::NoTls,
        }
    }

    /// The answer, with this request id.
    #[must_use]
    pub fn to_bytes(self, id: &str) -> Bytes {
        let reply = Failed::from(self.problem()).into_reply(id);
        let head = format!(
            "HTTP/1.1 {}\r\ncontent-type: {}\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
             x-content-type-options: nosniff\r\nx-request-id: {id}\r\nconnection: close\r\n\r\n",
            reply.status,
            reply.content_type.unwrap_or_default(),
            reply.body.len(),
        );
        [head.as_bytes(), &reply.body].concat().into()
    }
}
