//! Bytes on the wire: what no well-behaved client would send, and what comes back.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use crate::harness::{Client, PATIENCE};

/// A TLS stream of which the test writes every byte.
pub struct Wire {
    stream: TlsStream<TcpStream>,
    received: Vec<u8>,
    is_closed: bool,
}

impl Wire {
    /// A handshake with the client's certificate and protocol, and nothing more.
    pub async fn open(client: &Client) -> Self {
        Self {
            stream: client.tls().await.expect("a handshake"),
            received: Vec::new(),
            is_closed: false,
        }
    }

    /// Sends what the server still takes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = tokio::time::timeout(PATIENCE, async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        });
        // A server may close while it is still being sent something.
        let _closed = sent.await.expect("the server reads or closes");
    }

    /// Reads until `enough` is content with all that came, or the server closes; says whether it
    /// was content.
    pub async fn read_until(&mut self, enough: impl Fn(&[u8]) -> bool) -> bool {
        let end = Instant::now() + PATIENCE;
        while !enough(&self.received) {
            let left = end.saturating_duration_since(Instant::now());
            let read = tokio::time::timeout(left, self.read()).await;
            if !read.unwrap_or_else(|_| {
                panic!("nothing more than {:?}", String::from_utf8_lossy(&self.received))
            }) {
                return false;
            }
        }
        true
    }

    /// Everything that came until the server closed.
    pub async fn until_closed(&mut self) -> &[u8] {
        self.read_until(|_| false).await;
        &self.received
    }

    /// Sends `bytes` again and again until the server closes.
    pub async fn trickle_until_closed(
        &mut self,
        every: Duration,
        bytes: impl AsRef<[u8]>,
    ) -> &[u8] {
        let end = Instant::now() + PATIENCE;
        while !self.is_closed {
            assert!(Instant::now() < end, "never closed");
            match tokio::time::timeout(every, self.read()).await {
                Ok(_) => {}
                Err(_) => self.send(&bytes).await,
            }
        }
        &self.received
    }

    /// What came so far, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }

    /// What came so far.
    pub fn received(&self) -> &[u8] {
        &self.received
    }

    /// The frames that came so far.
    pub fn frames(&self) -> Vec<Frame> {
        frames(&self.received)
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    async fn read(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        let count = self.stream.read(&mut buffer).await.unwrap_or(0);
        self.received.extend_from_slice(&buffer[..count]);
        self.is_closed |= count == 0;
        count > 0
    }
}

/// The statuses of the HTTP/1 answers in `text`.
pub fn statuses(text: &str) -> Vec<u16> {
    let answers = text.match_indices("HTTP/1.1 ");
    answers.filter_map(|(at, prefix)| text[at + prefix.len()..].get(..3)?.parse().ok()).collect()
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const MAX_CONCURRENT_STREAMS: u16 = 3;
pub const INITIAL_WINDOW_SIZE: u16 = 4;

pub const REFUSED_STREAM: u32 = 7;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame of HTTP/2.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of a frame that has one.
    pub fn error(&self) -> Option<u32> {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            _ => return None,
        };
        Some(u32::from_be_bytes(self.payload.get(at..at + 4)?.try_into().unwrap()))
    }

    /// The value of one of the settings in it.
    pub fn setting(&self, name: u16) -> Option<u32> {
        let (pairs, _) = self.payload.as_chunks::<6>();
        let pair = pairs.iter().find(|pair| pair[..2] == name.to_be_bytes())?;
        Some(u32::from_be_bytes(pair[2..].try_into().unwrap()))
    }
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// How an HTTP/2 client begins, with these settings.
pub fn preface(settings: &[(u16, u32)]) -> Vec<u8> {
    let pairs = settings
        .iter()
        .map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat());
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(),
        &frame(SETTINGS, 0, 0, &pairs.collect::<Vec<_>>().concat()),
    ]
    .concat()
}

/// A head's fields as HPACK literals.
pub fn fields(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let pseudo =
        [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)];
    let mut block = Vec::new();
    for (name, value) in pseudo.iter().chain(more) {
        block.push(0);
        for text in [name, value] {
            let short = u8::try_from(text.len()).ok().filter(|length| *length < 127);
            block.push(short.expect("a short text"));
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// A request's head in one frame.
pub fn head(stream: u32, flags: u8, method: &str, path: &str) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, &fields(method, path, &[]))
}

pub fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let [a, b, c, kind, flags, d, e, f, g, rest @ ..] = bytes {
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap();
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        let stream = u32::from_be_bytes([*d, *e, *f, *g]);
        frames.push(Frame { kind: *kind, flags: *flags, stream, payload: payload.to_vec() });
        bytes = rest;
    }
    frames
}

/// The body of a stream's answer, once it has ended.
pub fn body(bytes: &[u8], stream: u32) -> Option<String> {
    let frames = frames(bytes);
    let of_stream = || frames.iter().filter(|frame| frame.stream == stream);
    of_stream()
        .find(|frame| matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0)?;
    let data: Vec<_> = of_stream()
        .filter(|frame| frame.kind == DATA)
        .map(|frame| frame.payload.as_slice())
        .collect();
    Some(String::from_utf8(data.concat()).unwrap())
}
