//! A request's body while it arrives: read within bounds, or read on and thrown away.
//!
//! Always holds: what is kept of a body is counted before it is kept. A body that is not wanted is
//! still read for a while, since many clients read an answer only after they have sent everything,
//! and lose it when the connection is reset under them. Over HTTP/2 the answer waits a moment for
//! the body's end. Never does: keeping anything of what it throws away.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::{
    Version,
    body::{Body as _, Incoming},
    header::EXPECT,
    http::request::Parts,
};
use tokio::task::JoinHandle;

use super::shares::{Room, Share};
use crate::api::Problem;

/// What is read of a body that nobody wants: until then, or so many bytes.
const LINGER_TIME: Duration = Duration::from_secs(10);
const LINGER_BYTES: usize = 8 << 20;
/// How long an answer over HTTP/2 waits for the end of a body that nobody wants.
const MOMENT: Duration = Duration::from_millis(500);

/// What bounds a body that is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Its length, in bytes.
    pub(super) bytes: usize,
    /// From its head to its end.
    pub(super) time: Duration,
}

/// A body of which nothing is read yet, or a part.
pub(super) struct Arriving {
    /// None once it is thrown away.
    body: Option<Incoming>,
    /// The client sends nothing before it is asked to.
    is_held_back: bool,
    is_http2: bool,
    /// Throws the rest away, if there is one.
    discarding: Option<JoinHandle<()>>,
}

impl Arriving {
    /// The body behind a head.
    pub(super) fn new(head: &Parts, body: Incoming) -> Self {
        let is_held_back = !body.is_end_stream() && head.headers.contains_key(EXPECT);
        let is_http2 = head.version == Version::HTTP_2;
        Self { body: Some(body), is_held_back, is_http2, discarding: None }
    }

    /// The whole body, and the room that it takes.
    pub(super) async fn read(
        &mut self,
        bounds: Bounds,
        share: &Arc<Share>,
    ) -> Result<(Bytes, Room), Problem> {
        let size = self.body.as_ref().map(hyper::body::Body::size_hint).unwrap_or_default();
        if size.lower() > bounds.bytes as u64 {
            return Err(Problem::BodyTooLarge);
        }
        let told = size
            .upper()
            .and_then(|upper| usize::try_from(upper).ok())
            .filter(|told| *told <= bounds.bytes);
        let mut room = share.reserve(told.unwrap_or_default()).ok_or(Problem::TooManyRequests)?;
        self.is_held_back = false;
        let collected =
            tokio::time::timeout(bounds.time, self.collect(bounds.bytes, told, &mut room));
        let bytes = collected.await.map_err(|_| Problem::BodyTooSlow)??;
        Ok((bytes, room))
    }

    async fn collect(
        &mut self,
        max: usize,
        told: Option<usize>,
        room: &mut Room,
    ) -> Result<Bytes, Problem> {
        let mut kept = BytesMut::new();
        let Some(body) = &mut self.body else { return Ok(Bytes::new()) };
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Problem::BrokenBody)?.into_data() else { continue };
            if kept.len() + data.len() > max {
                return Err(Problem::BodyTooLarge);
            }
            if kept.is_empty() && body.is_end_stream() {
                return if told.is_some() || room.grow(data.len()) {
                    Ok(data)
                } else {
                    Err(Problem::TooManyRequests)
                };
            }
            // A copy: a piece of one byte would keep the whole buffer that it came in.
            let length = kept.len() + data.len();
            if length > kept.capacity() {
                let capacity =
                    told.unwrap_or_else(|| length.max(2 * kept.capacity()).min(max)).max(length);
                if told.is_none() && !room.grow(capacity - kept.capacity()) {
                    return Err(Problem::TooManyRequests);
                }
                kept.reserve(capacity - kept.len());
            }
            kept.extend_from_slice(&data);
        }
        Ok(kept.freeze())
    }

    /// Reads on for a while where something is left, so that the answer arrives, and so that
    /// nothing of it is kept. `guard` lives until that is over.
    pub(super) fn discard<G: Send + 'static>(&mut self, guard: impl FnOnce() -> G) {
        let is_wanted = |body: &mut Incoming| !self.is_held_back && !body.is_end_stream();
        let Some(mut body) = self.body.take_if(is_wanted) else { return };
        let guard = guard();
        self.discarding = Some(tokio::spawn(async move {
            let _guard = guard;
            let all = async {
                let mut left = LINGER_BYTES;
                while let Some(Ok(frame)) = body.frame().await {
                    let length = frame.data_ref().map_or(0, Bytes::len);
                    let Some(rest) = left.checked_sub(length) else { return };
                    left = rest;
                }
            };
            let _in_time = tokio::time::timeout(LINGER_TIME, all).await;
        }));
    }

    /// Waits a moment for the end of what is thrown away, over HTTP/2. A client that sees the head
    /// of an early answer may end its body short of the length that it told, as curl 7.88 does. That
    /// is an error which resets the stream, and takes with it whatever of the answer is not sent yet.
    pub(super) async fn settle(&mut self) {
        if let Some(discarding) = self.discarding.take_if(|_| self.is_http2) {
            let _in_time = tokio::time::timeout(MOMENT, discarding).await;
        }
    }
}
