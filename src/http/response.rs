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

/// What is handed over at once. HTTP takes a piece in whole as soon as the peer takes any of it, so that this is what
/// a peer can leave lying after its request has ended.
const PIECE: usize = 16 << 10;

/// A response's body, whole from the start. It keeps `G` until the last piece is handed over, or nobody wants it.
pub struct Body<G> {
    /// What is still to be handed over; never empty.
    bytes: Option<Bytes>,
    is_in_pieces: bool,
    _guard: G,
}

impl<G: Unpin> hyper::body::Body for Body<G> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Self { bytes: rest, is_in_pieces, .. } = self.get_mut();
        let Some(mut bytes) = rest.take() else { return Poll::Ready(None) };
        if bytes.len() <= PIECE && !*is_in_pieces {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        *is_in_pieces = true;
        // A copy, so that a piece that is left lying does not keep the whole.
        let piece = Bytes::copy_from_slice(&bytes.split_to(bytes.len().min(PIECE)));
        *rest = (!bytes.is_empty()).then_some(bytes);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The response for `reply`, with the headers that every response has.
pub(super) fn response<G>(reply: Reply, request_id: &str, guard: G) -> Response<Body<G>> {
    // These statuses have no body, whatever a client asked for.
    let is_bare = matches!(reply.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
    let bytes = (!reply.body.is_empty() && !is_bare).then_some(reply.body);
    let mut response = Response::new(Body { bytes, is_in_pieces: false, _guard: guard });
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
