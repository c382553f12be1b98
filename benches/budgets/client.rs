//! A client of one domain, for what is timed request by request.

#[path = "../../tests/support/mtls.rs"]
pub(super) mod mtls;

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::{Method, Response};
use rustls::{ClientConfig, client::Resumption};

use self::mtls::{Access, Http};
use super::Outcome;

/// The secret that is read.
pub(super) const SECRET: &str = "bench/read";

/// Connects to one server with one certificate.
#[derive(Clone)]
pub(super) struct Client {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
}

/// An open connection.
pub(super) struct Connection(mtls::Connection);

impl Client {
    pub(super) fn new(
        address: SocketAddr,
        ca: &Path,
        certificate: &Path,
        key: &Path,
    ) -> Outcome<Self> {
        let (certificates, key) = (fs::read(certificate)?, fs::read(key)?);
        let access = Access { certificates: &certificates, key: &key };
        Ok(Self { address, tls: Arc::new(mtls::tls(&fs::read(ca)?, Some(&access), Http::One)?) })
    }

    /// The same, which never resumes a session.
    pub(super) fn forgetful(mut self) -> Self {
        Arc::make_mut(&mut self.tls).resumption = Resumption::disabled();
        self
    }

    pub(super) async fn connect(&self) -> Outcome<Connection> {
        Ok(Connection(mtls::Connection::open(self.address, &self.tls).await?))
    }
}

impl Connection {
    /// Sends a request that must succeed.
    pub(super) async fn call(
        &mut self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Outcome<Response<Bytes>> {
        let response = self.0.send(method, url, headers, body).await?;
        if !response.status().is_success() {
            return Err(format!(
                "{}: {}",
                response.status(),
                String::from_utf8_lossy(response.body())
            )
            .into());
        }
        Ok(response)
    }

    pub(super) async fn get(&mut self, url: &str) -> Outcome<Bytes> {
        Ok(self.call(Method::GET, url, &[], Bytes::new()).await?.into_body())
    }

    /// Creates a secret with this value.
    pub(super) async fn create(&mut self, id: &str, path: &str, value: &str) -> Outcome<()> {
        let body = format!("{{\"path\":\"{path}\",\"version\":{{\"data\":{value}}}}}");
        self.call(Method::POST, &format!("/api/{id}/v2/secret"), &[], body.into()).await.map(drop)
    }

    /// Adds a version to a secret; `body` is [`Dialect::update`]'s.
    pub(super) async fn update(
        &mut self,
        dialect: Dialect,
        id: &str,
        path: &str,
        body: Bytes,
    ) -> Outcome<()> {
        self.call(Method::PUT, &dialect.update_url(id, path), &[], body).await.map(drop)
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

    /// Where a version is added.
    pub(super) fn update_url(self, id: &str, path: &str) -> String {
        match self {
            Self::Native => format!("/api/{id}/v2/secret/{path}"),
            Self::Kv => format!("/api/{id}/v1/secret/data/{path}"),
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

pub(super) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// How long `work` takes.
pub(super) async fn timed<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<Duration> {
    let started = Instant::now();
    work.await?;
    Ok(started.elapsed())
}
