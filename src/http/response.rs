//! Responses on the wire.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    body::{Frame, SizeHint},
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS},
};

use crate::api::Reply;

/// What is handed over at once: HTTP takes a piece in whole as soon as the peer takes any of it.
const PIECE: usize = 16 << 10;

/// A response's body, whole from the start.
pub struct Body(Bytes);

/// The bytes of an answer, and what is to live as long as any piece of them waits for the peer.
struct Waiting<G> {
    bytes: Bytes,
    _guard: G,
}

impl<G> AsRef<[u8]> for Waiting<G> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.0.len().min(PIECE);
        Poll::Ready((length > 0).then(|| Ok(Frame::data(self.0.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The response for `reply`, with the headers that every response has. `guard` lives until the last byte is on its way:
/// where HTTP keeps a piece for a peer that does not take it, the guard is kept as well.
pub(super) fn response<G: Send + 'static>(reply: Reply, request_id: &str, guard: G) -> Response<Body> {
    // These statuses have no body, whatever a client asked for.
    let is_bare = matches!(reply.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
    let is_empty = reply.body.is_empty() || is_bare;
    let bytes = if is_empty { Bytes::new() } else { Bytes::from_owner(Waiting { bytes: reply.body, _guard: guard }) };
    let mut response = Response::new(Body(bytes));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.reserve(4 + reply.headers.len());
    if let Some(content_type) = reply.content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.extend(reply.headers.into_iter().map(|(name, value)| (Some(name), value)));
    response
}
