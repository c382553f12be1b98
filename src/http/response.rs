//! Responses on the wire.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    body::{Frame, SizeHint},
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS},
};
use tokio::time::Sleep;

use super::{progress::InProgress, shares::Room};
use crate::api::{Broken, Reply, Stream};

/// What is handed over at once: HTTP takes a piece in whole as soon as the peer takes any of it.
const PIECE: usize = 16 << 10;

/// A response's body.
pub struct Body {
    /// What is there.
    bytes: Bytes,
    /// What follows.
    more: Option<More>,
}

/// The rest of a body, and what lives as long as it does.
struct More {
    stream: Stream,
    end: Pin<Box<Sleep>>,
    /// Where it ends with its connection.
    ending: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    held: Box<dyn Streaming>,
}

/// A request whose answer follows as it comes.
pub(super) trait Streaming: Send {
    /// A piece waits for the peer, or none does.
    fn offers(&mut self, is_offered: bool);
}

impl<P: InProgress> Streaming for (P, Room) {
    fn offers(&mut self, is_offered: bool) {
        if is_offered {
            self.0.answers();
        } else {
            self.0.waits();
        }
    }
}

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
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let Self { bytes, more } = &mut *self;
        // A piece may be empty.
        while bytes.is_empty()
            && let Some(More { stream, end, ending, held }) = more
        {
            held.offers(false);
            let is_ending =
                ending.as_mut().is_some_and(|ending| ending.as_mut().poll(cx).is_ready());
            if is_ending {
                *more = None;
                break;
            }
            if end.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Some(Err(Broken)));
            }
            match ready!(stream.poll(cx)) {
                Some(Ok(piece)) => *bytes = piece,
                Some(Err(broken)) => return Poll::Ready(Some(Err(broken))),
                None => *more = None,
            }
        }
        if let Some(More { held, .. }) = more {
            held.offers(true);
        }
        let length = bytes.len().min(PIECE);
        Poll::Ready((length > 0).then(|| Ok(Frame::data(bytes.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty() && self.more.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.more.is_some() {
            SizeHint::default()
        } else {
            SizeHint::with_exact(self.bytes.len() as u64)
        }
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The response for `reply`, with the headers that every response has. `held` lives until the last
/// byte is on its way: where HTTP keeps a piece for a peer that does not take it, it is kept as
/// well.
pub(super) fn response<P: InProgress>(
    reply: Reply,
    request_id: &str,
    mut held: (P, Room),
) -> Response<Body> {
    // These statuses have no body, whatever a client asked for.
    let is_bare = matches!(
        reply.status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    );
    let is_empty = reply.body.is_empty() || is_bare;
    let body = match reply.more {
        Some(stream) if !is_bare => {
            held.0.streams();
            let end = Box::pin(tokio::time::sleep(stream.time));
            let ending = stream.is_endless.then(|| held.0.ending());
            let more = More { stream, end, ending, held: Box::new(held) };
            Body { bytes: reply.body, more: Some(more) }
        }
        _ if is_empty => Body { bytes: Bytes::new(), more: None },
        _ => {
            held.0.answers();
            Body {
                bytes: Bytes::from_owner(Waiting { bytes: reply.body, _guard: held }),
                more: None,
            }
        }
    };
    let mut response = Response::new(body);
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
