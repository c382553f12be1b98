//! The way to a listener of syslog messages: a datagram for each, or a stream in which each has its
//! length in front (RFC 5425, RFC 6587), with TLS or without.
//!
//! Always holds: nobody waits longer than [`WAIT`] for the other side at a time; a listener over TLS
//! is one whose certificate an authority has signed that was named. Never does: try again; whoever
//! sends does.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    os::unix::net::UnixDatagram,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};

/// The longest time that is waited for the other side at once.
const WAIT: Duration = Duration::from_secs(5);
/// So many addresses of one name are tried.
const ADDRESSES_MAX: usize = 4;
/// What a listener says is looked at so often at most, as it has nothing to say.
const WORDS_MAX: usize = 64;

/// Where messages go.
#[derive(Debug)]
pub enum Listener {
    /// A Unix socket of datagrams.
    Unix(PathBuf),
    /// A host and a port.
    Tcp(String),
    /// The same, and who must be there.
    Tls(String, Vouched),
}

/// Nobody can be known by these authorities and that name.
#[derive(Debug, thiserror::Error)]
#[error("who must be at {0} cannot be told by these authorities: {1}")]
pub struct Unvouched(String, #[source] rustls::Error);

/// Who must be at the other end.
#[derive(Clone, Debug)]
pub struct Vouched {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Listener {
    /// One over TLS, at `address`, a host and a port. Its certificate must be for that host, and from
    /// one of `authorities`.
    ///
    /// # Errors
    /// `Unvouched` where these can be nobody's authorities, or the host's name is none.
    pub fn tls(
        address: String,
        authorities: Vec<CertificateDer<'static>>,
    ) -> Result<Self, Unvouched> {
        match Vouched::by(authorities, &address) {
            Ok(vouched) => Ok(Self::Tls(address, vouched)),
            Err(error) => Err(Unvouched(address, error)),
        }
    }

    /// A new way there.
    pub(super) fn connect(&self) -> io::Result<Link> {
        match self {
            Self::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(WAIT))?;
                Ok(Link::Datagrams(socket))
            }
            Self::Tcp(address) => Ok(Link::Stream(stream(address)?)),
            Self::Tls(address, Vouched { config, name }) => {
                let mut stream = stream(address)?;
                let tls = ClientConnection::new(Arc::clone(config), name.clone());
                let mut tls = tls.map_err(io::Error::other)?;
                shake_hands(&mut stream, &mut tls).map_err(|error| match error.kind() {
                    io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
                    _ => error,
                })?;
                Ok(Link::Tls(stream, Box::new(tls)))
            }
        }
    }
}

impl Vouched {
    fn by(authorities: Vec<CertificateDer<'static>>, address: &str) -> Result<Self, rustls::Error> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host)
            .map_err(|_| rustls::Error::General("its host is no name of one".to_owned()))?;
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config), name })
    }
}

fn stream(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for one in address.to_socket_addrs()?.take(ADDRESSES_MAX) {
        match TcpStream::connect_timeout(&one, WAIT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(WAIT))?;
                stream.set_write_timeout(Some(WAIT))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn shake_hands(stream: &mut TcpStream, tls: &mut ClientConnection) -> io::Result<()> {
    let deadline = Instant::now() + WAIT;
    while tls.is_handshaking() {
        if Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if tls.wants_write() {
            tls.write_tls(stream)?;
        } else {
            hear(stream, tls)?;
        }
    }
    Ok(())
}

/// Takes what the listener says over TLS; how much that was, and nothing once it has closed.
fn hear(stream: &mut TcpStream, tls: &mut ClientConnection) -> io::Result<usize> {
    let taken = tls.read_tls(stream)?;
    let state = match tls.process_new_packets() {
        Ok(state) => state,
        Err(error) => {
            // So that the listener knows why.
            let _if_it_can_be = tls.write_tls(stream);
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
    };
    let words = state.plaintext_bytes_to_read() as u64;
    if words > 0 {
        io::copy(&mut tls.reader().take(words), &mut io::sink())?;
    }
    if taken == 0 && tls.is_handshaking() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(if state.peer_has_closed() { 0 } else { taken })
}

/// A way to a listener.
pub(super) enum Link {
    Datagrams(UnixDatagram),
    Stream(TcpStream),
    Tls(TcpStream, Box<ClientConnection>),
}

impl Link {
    /// Whether messages follow each other without an end of their own.
    pub(super) const fn is_stream(&self) -> bool {
        !matches!(self, Self::Datagrams(_))
    }

    /// Whether the other side has closed it, as far as is known.
    pub(super) fn is_closed(&mut self) -> bool {
        match self {
            // That is told when something is sent.
            Self::Datagrams(_) => false,
            Self::Stream(stream) => is_closed(stream, |stream| stream.read(&mut [0; 512])),
            Self::Tls(stream, tls) => is_closed(stream, |stream| hear(stream, tls)),
        }
    }

    /// Sends what of `message` was not `sent`, and counts on. After `WouldBlock` it goes on with the
    /// same message; after anything else the link is of no more use.
    pub(super) fn send(&mut self, message: &[u8], sent: &mut usize) -> io::Result<()> {
        let rest = |sent: usize| message.get(sent..).filter(|rest| !rest.is_empty());
        match self {
            Self::Datagrams(socket) => {
                socket.send(message)?;
                *sent = message.len();
            }
            Self::Stream(stream) => {
                while let Some(rest) = rest(*sent) {
                    *sent += some(stream.write(rest)?)?;
                }
            }
            Self::Tls(stream, tls) => loop {
                if tls.wants_write() {
                    some(tls.write_tls(stream)?)?;
                } else if let Some(rest) = rest(*sent) {
                    *sent += some(tls.writer().write(rest)?)?;
                } else {
                    break;
                }
            },
        }
        Ok(())
    }
}

fn some(taken: usize) -> io::Result<usize> {
    if taken == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(taken) }
}

/// Whether nothing more comes of `hear`, which takes what is there without waiting.
fn is_closed(
    stream: &mut TcpStream,
    mut hear: impl FnMut(&mut TcpStream) -> io::Result<usize>,
) -> bool {
    let mut listen = || {
        stream.set_nonblocking(true)?;
        for _ in 0..WORDS_MAX {
            match hear(stream) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        stream.set_nonblocking(false)
    };
    listen().is_err()
}
