//! Messages of syslog (RFC 5424): one a record, with the record as it is.
//!
//! Always holds: messages come in the order of the records, each whole, over one connection after
//! the other; one that the connection has cut off comes again over the next. Never does: know
//! whether a listener keeps what it was sent; syslog has no answer.

use std::{
    io::{self, Write as _},
    process,
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::{
    device::{Device, Opened},
    link::{Link, Listener},
};

/// A connection over which a message does not go for so long is given up.
const GIVE_UP: Duration = Duration::from_secs(60);
/// Information, among the severities.
const SEVERITY: u8 = 6;
/// The longest name of a host that a message may have.
const HOST_MAX: usize = 255;

/// Writes records to a listener of syslog messages.
pub struct SyslogDevice {
    name: String,
    listener: Listener,
    /// What comes before and behind the time in a message.
    head: (String, String),
    link: Option<Link>,
    message: Message,
}

/// The message that is under way over the link; empty where none is.
struct Message {
    bytes: Vec<u8>,
    sent: usize,
    begun: Instant,
}

impl SyslogDevice {
    /// One for that listener, whose messages are of that facility.
    #[must_use]
    pub fn new(listener: Listener, facility: u8) -> Self {
        let name = match &listener {
            Listener::Unix(path) => format!("syslog unix:{}", path.display()),
            Listener::Tcp(address) => format!("syslog tcp:{address}"),
            Listener::Tls(address, _) => format!("syslog tls:{address}"),
        };
        let before = format!("<{}>1 ", u16::from(facility) * 8 + u16::from(SEVERITY));
        let behind = format!(" {} okmsd {} audit - ", host(), process::id());
        let message = Message { bytes: Vec::new(), sent: 0, begun: Instant::now() };
        Self { name, listener, head: (before, behind), link: None, message }
    }

    /// Leaves a link that the listener has closed, while nothing lies in it.
    fn look(&mut self) {
        if self.message.bytes.is_empty() && self.link.as_mut().is_some_and(Link::is_closed) {
            self.link = None;
        }
    }

    /// Sends the record, or what is left of it. There is no link any more after an error, but for one
    /// that goes away by itself.
    fn send(&mut self, record: &[u8]) -> io::Result<()> {
        let mut link = if let Some(link) = self.link.take() {
            link
        } else {
            self.message.bytes.clear();
            self.listener.connect()?
        };
        if self.message.bytes.is_empty() {
            self.message.begin(&self.head, record, link.is_stream())?;
        }
        let Message { bytes, sent, begun } = &mut self.message;
        let sent = link.send(bytes, sent);
        let goes_on = match &sent {
            Ok(()) => {
                bytes.clear();
                true
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => begun.elapsed() < GIVE_UP,
            Err(_) => false,
        };
        self.link = goes_on.then_some(link);
        sent
    }
}

impl Device for SyslogDevice {
    fn name(&self) -> &str {
        &self.name
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let record = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        self.look();
        let is_new = self.link.is_none();
        let mut sent = self.send(record);
        // A listener that was started again leaves a link behind that is of no use.
        if sent.is_err() && self.link.is_none() && !is_new {
            sent = self.send(record);
        }
        sent.map(|()| bytes.len().min(record.len() + 1))
    }

    fn tend(&mut self, _last: u64) -> io::Result<Opened> {
        self.look();
        if self.link.is_none() {
            self.link = Some(self.listener.connect()?);
            self.message.bytes.clear();
        }
        Ok(Opened::Same)
    }
}

impl Message {
    fn begin(
        &mut self,
        (before, behind): &(String, String),
        record: &[u8],
        has_length: bool,
    ) -> io::Result<()> {
        let time = time_of(record).unwrap_or("-");
        if has_length {
            let length = before.len() + time.len() + behind.len() + record.len();
            write!(self.bytes, "{length} ")?;
        }
        for part in [before.as_bytes(), time.as_bytes(), behind.as_bytes(), record] {
            self.bytes.extend_from_slice(part);
        }
        self.sent = 0;
        self.begun = Instant::now();
        Ok(())
    }
}

/// When that was, in the form that syslog has from RFC 3339.
fn time_of(record: &[u8]) -> Option<&str> {
    #[derive(Deserialize)]
    struct Timed<'a> {
        time: &'a str,
    }
    let Timed { time } = serde_json::from_slice(record).ok()?;
    let is_plain = |byte: u8| byte.is_ascii_digit() || b"-:.TZ".contains(&byte);
    (!time.is_empty() && time.bytes().all(is_plain)).then_some(time)
}

/// This machine's name, as a message may have it.
fn host() -> String {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_bytes().iter().filter(|byte| byte.is_ascii_graphic());
    let name: String = name.take(HOST_MAX).map(|byte| char::from(*byte)).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}
