//! The stream beneath HTTP: it tells the connection's [`Activity`] what comes and goes, gives a
//! body to the HTTP library's own refusals, and lingers when it ends.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    runtime::Handle,
    time::Sleep,
};
use tokio_rustls::server::TlsStream;

use super::{activity::Activity, frames::Frames, linger::linger, lobby::Seat};
use crate::{http::Refusal, metrics::Closing};

/// A TLS stream that is watched.
pub(super) struct Watched {
    /// `None` once it is given up.
    stream: Option<TlsStream<TcpStream>>,
    activity: Arc<Activity>,
    protocol: Protocol,
    /// The peer has said that it sends nothing more.
    is_over: bool,
    /// The peer has sent more than it may: nothing more is read.
    is_flooded: bool,
    /// Until then nothing is read: the peer sends in crumbs.
    pause: Option<Pin<Box<Sleep>>>,
    seat: Arc<Seat>,
    /// What is told in place of what the library says of a request that it refuses.
    refuse: Refuse,
}

/// Makes the answer to what is no request.
pub(super) type Refuse = Box<dyn Fn(Refusal) -> Bytes + Send + Sync>;

/// What is spoken.
enum Protocol {
    Http1 {
        /// What is sent in place of so many bytes of the HTTP library.
        instead: Option<(Bytes, usize)>,
    },
    Http2(Frames),
}

impl Watched {
    /// Watches `stream` for `activity`. The `seat` is kept until the stream has ended.
    pub(super) fn new(
        stream: TlsStream<TcpStream>,
        is_http2: bool,
        activity: Arc<Activity>,
        seat: Arc<Seat>,
        refuse: Refuse,
    ) -> Self {
        let protocol = if is_http2 {
            Protocol::Http2(Frames::new())
        } else {
            Protocol::Http1 { instead: None }
        };
        Self {
            stream: Some(stream),
            activity,
            protocol,
            is_over: false,
            is_flooded: false,
            pause: None,
            seat,
            refuse,
        }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TlsStream<TcpStream>>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Takes note of what was written.
    fn wrote(&mut self, written: usize) {
        self.activity.wrote(written);
        if let Protocol::Http2(frames) = &mut self.protocol {
            frames.send(written);
        }
    }

    /// Sends what goes in place of the library's own refusal; says how much of that is done with,
    /// if there is one.
    fn poll_instead(
        &mut self,
        cx: &mut Context<'_>,
        front: &[u8],
    ) -> Poll<Option<io::Result<usize>>> {
        let Self { stream: Some(stream), protocol: Protocol::Http1 { instead }, refuse, .. } = self
        else {
            return Poll::Ready(None);
        };
        if instead.is_none() {
            *instead = refusal(front).map(|refusal| (refuse(refusal), front.len()));
        }
        let Some((rest, replaced)) = instead else { return Poll::Ready(None) };
        while rest.has_remaining() {
            match ready!(Pin::new(&mut *stream).poll_write(cx, rest)) {
                Ok(0) => return Poll::Ready(Some(Err(io::ErrorKind::WriteZero.into()))),
                Ok(written) => rest.advance(written),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        let replaced = *replaced;
        *instead = None;
        Poll::Ready(Some(Ok(replaced)))
    }
}

/// What the HTTP library refuses by itself, in a head without a body. Our own answers have a
/// request id.
fn refusal(head: &[u8]) -> Option<Refusal> {
    let status = head.strip_prefix(b"HTTP/1.1 ")?.first_chunk()?;
    let refusal = match status {
        b"400" => Refusal::Unreadable,
        b"431" => Refusal::HeadTooLarge,
        _ => return None,
    };
    let has = |text: &[u8]| head.windows(text.len()).any(|window| window == text);
    (has(b"content-length: 0\r\n") && !has(b"x-request-id") && head.ends_with(b"\r\n\r\n"))
        .then_some(refusal)
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_flooded {
            // The connection's task has been told.
            return Poll::Pending;
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let before = buf.filled().len();
        let is_asked = buf.remaining() > 0;
        ready!(self.stream()?.poll_read(cx, buf))?;
        let received = buf.filled().get(before..).unwrap_or_default();
        let Self { activity, protocol, is_over, is_flooded, pause, .. } = &mut *self;
        if received.is_empty() {
            *is_over |= is_asked;
            return Poll::Ready(Ok(()));
        }
        activity.read_bytes();
        if let Protocol::Http2(frames) = protocol {
            if !frames.receive(received, activity.age()) {
                *is_flooded = true;
                activity.end(Closing::Flood);
                buf.set_filled(before);
                return Poll::Pending;
            }
            *pause = frames.pause().map(|time| Box::pin(tokio::time::sleep(time)));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(replaced) = ready!(self.poll_instead(cx, buf)) {
            return Poll::Ready(replaced);
        }
        let written = ready!(self.stream()?.poll_write(cx, buf))?;
        self.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [front] | [front, ..] = bufs
            && let Some(replaced) = ready!(self.poll_instead(cx, front))
        {
            return Poll::Ready(replaced);
        }
        let written = ready!(self.stream()?.poll_write_vectored(cx, bufs))?;
        self.wrote(written);
        Poll::Ready(Ok(written))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else { return };
        if self.is_over || self.seat.is_wanted() {
            return;
        }
        let (stream, seat) = (stream.into_inner().0, Arc::clone(&self.seat));
        // Without a runtime the process ends, and every socket with it.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                tokio::select! {
                    () = linger(stream) => {}
                    () = seat.until_wanted() => {}
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_librarys_own_refusals_are_replaced() {
        let bare = |status: &str| {
            format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        };
        assert_eq!(refusal(bare("400 Bad Request").as_bytes()), Some(Refusal::Unreadable));
        assert_eq!(
            refusal(bare("431 Request Header Fields Too Large").as_bytes()),
            Some(Refusal::HeadTooLarge)
        );
        assert_eq!(refusal(bare("200 OK").as_bytes()), None);
        assert_eq!(refusal(bare("400 Bad Request\r\nx-request-id: 1").as_bytes()), None);
        assert_eq!(refusal(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 7\r\n\r\n"), None);
        assert_eq!(refusal(b""), None);
    }
}
