//! An answer of a handler.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    StatusCode,
    header::{HeaderName, HeaderValue},
};
use tokio::sync::mpsc;

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
    /// What follows the body as it comes, in an answer that is not there at once.
    pub more: Option<Stream>,
    /// Damaged records that were found on the way, and left out.
    pub damaged: usize,
    /// Where it is a refusal: the id of the problem that it tells, and its code.
    pub problem: Option<(&'static str, u32)>,
}

/// The rest of an answer, piece by piece. It ends well where its sender is dropped.
#[derive(Debug)]
pub struct Stream {
    pieces: mpsc::Receiver<Result<Bytes, Broken>>,
    /// How long it may take in all. No other deadline ends it while the peer takes what there is.
    pub time: Duration,
    /// Whether it has no end of its own, so that it ends, well, once its connection is to end.
    pub is_endless: bool,
    /// What it takes of memory, in bytes.
    pub(crate) memory: usize,
}

/// The rest cannot be had: the client sees that the answer breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer breaks off")]
pub struct Broken;

impl Stream {
    /// The largest piece, in bytes.
    pub const PIECE: usize = 64 << 10;
    /// How many pieces wait for the peer before their sender has to.
    const WAITING: usize = 4;

    /// A stream, and what sends it. Sending fails once nobody takes it any more.
    #[must_use]
    pub fn new(time: Duration) -> (mpsc::Sender<Result<Bytes, Broken>>, Self) {
        Self::of_pieces(Self::PIECE, time)
    }

    /// One that has no end of its own, of pieces of so many bytes at most.
    #[must_use]
    pub fn endless(piece: usize, time: Duration) -> (mpsc::Sender<Result<Bytes, Broken>>, Self) {
        let (sender, stream) = Self::of_pieces(piece, time);
        (sender, Self { is_endless: true, ..stream })
    }

    fn of_pieces(piece: usize, time: Duration) -> (mpsc::Sender<Result<Bytes, Broken>>, Self) {
        let (sender, pieces) = mpsc::channel(Self::WAITING);
        (sender, Self { pieces, time, is_endless: false, memory: (Self::WAITING + 1) * piece })
    }

    /// The next piece, once it is there.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        self.pieces.poll_recv(cx)
    }
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
            more: None,
            damaged: 0,
            problem: None,
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
        Self {
            status,
            content_type: None,
            headers: Vec::new(),
            body: Bytes::new(),
            more: None,
            damaged: 0,
            problem: None,
        }
    }
}
