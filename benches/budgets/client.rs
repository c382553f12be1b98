//! A small client over mTLS and HTTP/1.1.

use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, StatusCode, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Outcome;

/// Connects to one server with one certificate.
#[derive(Clone)]
pub(super) struct Client {
    address: SocketAddr,
    tls: TlsConnector,
}

/// An open connection.
pub(super) struct Connection(SendRequest<Full<Bytes>>);

impl Client {
    pub(super) fn new(address: SocketAddr, ca: &Path, certificate: &Path, key: &Path) -> Outcome<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca)? {
            roots.add(certificate?)?;
        }
        let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
        Ok(Self { address, tls: TlsConnector::from(Arc::new(tls)) })
    }

    pub(super) async fn connect(&self) -> Outcome<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::try_from("localhost")?, stream).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Connection(sender))
    }
}

impl Connection {
    /// Sends a request that must be answered 200.
    pub(super) async fn call(&mut self, request: Request<Full<Bytes>>) -> Outcome<(HeaderMap, Bytes)> {
        // The connection takes the next request once it is done with the last answer.
        self.0.ready().await?;
        let response = self.0.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        if head.status != StatusCode::OK {
            return Err(format!("{}: {}", head.status, String::from_utf8_lossy(&body)).into());
        }
        Ok((head.headers, body))
    }

    pub(super) async fn get(&mut self, url: &str) -> Outcome<(HeaderMap, Bytes)> {
        self.call(request(Method::GET, url, Bytes::new())?).await
    }

    /// Creates a secret with this value.
    pub(super) async fn create(&mut self, id: &str, path: &str, value: &str) -> Outcome<()> {
        let body = format!("{{\"path\":\"{path}\",\"version\":{{\"data\":{value}}}}}");
        self.call(request(Method::POST, &format!("/api/{id}/v2/secret"), body.into())?).await.map(drop)
    }

    /// Adds a version to a secret; `body` is [`Dialect::update`]'s.
    pub(super) async fn update(&mut self, dialect: Dialect, id: &str, path: &str, body: Bytes) -> Outcome<()> {
        let url = match dialect {
            Dialect::Native => format!("/api/{id}/v2/secret/{path}"),
            Dialect::Kv => format!("/api/{id}/v1/secret/data/{path}"),
        };
        self.call(request(Method::PUT, &url, body)?).await.map(drop)
    }
}

/// In which words one asks.
#[derive(Clone, Copy)]
pub(super) enum Dialect {
    Native,
    Kv,
}

impl Dialect {
    /// The body that adds a version with this value.
    pub(super) fn update(self, value: &str) -> Bytes {
        match self {
            Self::Native => format!("{{\"version\":{{\"data\":{value}}}}}").into(),
            Self::Kv => format!("{{\"data\":{value}}}").into(),
        }
    }

    /// Where a secret is read with its value.
    pub(super) fn secret_url(self, id: &str, path: &str) -> String {
        match self {
            Self::Native => format!("/api/{id}/v2/secret/{path}?includeData=true"),
            Self::Kv => format!("/api/{id}/v1/secret/data/{path}"),
        }
    }
}

/// A JSON object of so many bytes.
pub(super) fn value(bytes: usize) -> String {
    let frame = "{\"password\":\"\"}".len();
    format!("{{\"password\":\"{}\"}}", "x".repeat(bytes.saturating_sub(frame)))
}

pub(super) fn request(method: Method, url: &str, body: Bytes) -> Outcome<Request<Full<Bytes>>> {
    Ok(Request::builder().method(method).uri(url).header("host", "localhost").body(Full::new(body))?)
}

/// How long `work` takes.
pub(super) async fn timed<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<Duration> {
    let started = Instant::now();
    work.await?;
    Ok(started.elapsed())
}
