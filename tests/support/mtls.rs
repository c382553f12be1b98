//! The one client of tests and benchmarks: TLS with a client certificate, and HTTP/1.1 or HTTP/2
//! over it.
//!
//! Never does: judge an answer.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each of those who include this file needs a part of it"
)]

use std::{io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    time_provider::{DefaultTimeProvider, TimeProvider},
};
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The protocol that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    One,
    Two,
}

/// A certificate, or a chain of them, with its key, in PEM.
pub struct Access<'a> {
    pub certificates: &'a [u8],
    pub key: &'a [u8],
}

/// The TLS of a client that trusts the authorities in `ca` (PEM), and has the machine's time.
pub fn tls(ca: &[u8], access: Option<&Access<'_>>, http: Http) -> Result<ClientConfig, Failure> {
    tls_at(ca, access, http, Arc::new(DefaultTimeProvider))
}

/// The TLS of a client with a time of its own.
pub fn tls_at(
    ca: &[u8],
    access: Option<&Access<'_>>,
    http: Http,
    time: Arc<dyn TimeProvider>,
) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_details(provider, time)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut tls = match access {
        Some(access) => {
            let chain = CertificateDer::pem_slice_iter(access.certificates)
                .collect::<Result<Vec<_>, _>>()?;
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(access.key)?)?
        }
        None => builder.with_no_client_auth(),
    };
    speak(&mut tls, http);
    Ok(tls)
}

/// Makes the client speak `http`.
pub fn speak(tls: &mut ClientConfig, http: Http) {
    tls.alpn_protocols = vec![match http {
        Http::One => b"http/1.1".to_vec(),
        Http::Two => b"h2".to_vec(),
    }];
}

/// A TLS stream to the server.
pub async fn stream(
    address: SocketAddr,
    tls: &Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    stream_over(TcpStream::connect(address).await?, tls).await
}

/// The same over a connection that there is.
pub async fn stream_over(
    stream: TcpStream,
    tls: &Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    TlsConnector::from(Arc::clone(tls)).connect(name, stream).await
}

/// An open connection.
pub struct Connection {
    pub sender: Sender,
    /// Ends when the connection does.
    pub driver: JoinHandle<()>,
}

pub enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    /// Connects, and speaks what the server and the client have agreed on.
    pub async fn open(address: SocketAddr, tls: &Arc<ClientConfig>) -> Result<Self, Failure> {
        let stream = stream(address, tls).await?;
        // What greets it is larger than what is kept of it.
        Box::pin(Self::over(stream)).await
    }

    /// The same over a stream that there is.
    pub async fn over(stream: TlsStream<TcpStream>) -> Result<Self, Failure> {
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let stream = TokioIo::new(stream);
        if is_http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            let driver = tokio::spawn(async move { drop(connection.await) });
            return Ok(Self { sender: Sender::Two(sender), driver });
        }
        let (sender, connection) = http1::handshake(stream).await?;
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender: Sender::One(sender), driver })
    }

    /// Sends a request once the connection is done with the last answer, and takes the whole
    /// answer.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response<Bytes>, Failure> {
        let request = Request::builder().method(method);
        let request = match self.sender {
            Sender::One(_) => request.uri(path).header("host", "localhost"),
            Sender::Two(_) => request.uri(format!("https://localhost{path}")),
        };
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(Full::new(body))?;
        let response = match &mut self.sender {
            Sender::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Two(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (head, body) = response.into_parts();
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    }
}

/// A GET over plain HTTP, as on the admin listener.
pub async fn get_plain(address: SocketAddr, path: &str) -> Result<Response<Bytes>, Failure> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(stream).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "localhost").body(Full::default())?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
}
