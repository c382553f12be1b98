//! The command line's way to a running server: its API, with the operator certificate.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Uri,
    header::{self, HeaderValue},
    http::uri,
};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::folder;
use crate::config::{self, Config};

/// The largest answer taken, in bytes.
const ANSWER_BYTES: usize = 16 << 20;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How to reach the server. What is not given is taken from the region's folder.
#[derive(Args)]
pub(super) struct Client {
    /// The region's folder, as `okmsd init` or `okmsd dev` made it.
    #[arg(long, default_value = "okmsd-dev")]
    dir: PathBuf,
    /// The server's address, for instance <https://secrets.example:8443>.
    #[arg(long)]
    endpoint: Option<String>,
    /// The certificate authority of the server's certificate, PEM [default: `region_ca.pem` in the folder].
    #[arg(long)]
    ca: Option<PathBuf>,
    /// The operator certificate, PEM [default: `operator_certificate.pem` in the folder].
    #[arg(long)]
    cert: Option<PathBuf>,
    /// Its private key, PEM [default: `operator_privatekey.pem` in the folder].
    #[arg(long)]
    key: Option<PathBuf>,
}

impl Client {
    /// Sends a request and gives back the answer's JSON.
    pub(super) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Error> {
        Ok(self.page(method, path, body, None).await?.0)
    }

    /// All entries of a list.
    pub(super) async fn list(&self, path: &str) -> Result<Vec<Value>, Error> {
        let (mut entries, mut cursor) = (Vec::new(), None);
        loop {
            let (page, next) = self.page(Method::GET, path, None, cursor).await?;
            entries.extend(page.as_array().into_iter().flatten().cloned());
            if next.is_none() {
                return Ok(entries);
            }
            cursor = next;
        }
    }

    /// Sends a request and gives back the answer's JSON, with the cursor of the next page.
    async fn page(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        cursor: Option<HeaderValue>,
    ) -> Result<(Value, Option<HeaderValue>), Error> {
        let endpoint: Uri = self.endpoint()?.parse().map_err(|error| format!("the endpoint is no URL: {error}"))?;
        if endpoint.scheme() != Some(&uri::Scheme::HTTPS) {
            return Err("the endpoint must begin with https://".into());
        }
        let authority = endpoint.authority().ok_or("the endpoint names no host")?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = authority.port_u16().unwrap_or(443);
        let failed = |error: std::io::Error| format!("{authority}: {error}");
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(failed)?;
        let connector = TlsConnector::from(Arc::new(self.tls()?));
        let stream = connector.connect(ServerName::try_from(host)?, stream).await.map_err(failed)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut request = Request::builder().method(method);
        if let Some(cursor) = cursor {
            request = request.header("x-pagination-cursor", cursor);
        }
        let request = request
            .uri(format!("{}{path}", endpoint.path().trim_end_matches('/')))
            .header(header::HOST, authority.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let next = response.headers().get("x-pagination-cursor-next").cloned();
        let bytes = Limited::new(response.into_body(), ANSWER_BYTES).collect().await?.to_bytes();
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if !status.is_success() {
            let texts = answer.get("errors").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            let text = texts.collect::<Vec<_>>().join("; ");
            return Err(format!("the server says {status}: {text}").into());
        }
        Ok((answer, next))
    }

    /// The certificate authority's PEM text.
    pub(super) fn ca_pem(&self) -> Result<String, Error> {
        Ok(folder::read(&self.ca_path())?)
    }

    fn endpoint(&self) -> Result<String, Error> {
        if let Some(endpoint) = &self.endpoint {
            return Ok(endpoint.clone());
        }
        let config = Config::load(&self.dir.join("okmsd.toml"), config::environment())?;
        Ok(config.server.endpoint.unwrap_or_else(|| {
            let mut listen = config.server.listen;
            if listen.ip().is_unspecified() {
                listen.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
            }
            format!("https://{listen}")
        }))
    }

    fn tls(&self) -> Result<ClientConfig, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca_path())? {
            roots.add(certificate)?;
        }
        let cert = self.cert.clone().unwrap_or_else(|| self.dir.join("operator_certificate.pem"));
        let key = self.key.clone().unwrap_or_else(|| self.dir.join("operator_privatekey.pem"));
        let key_der = PrivateKeyDer::from_pem_file(&key).map_err(|error| format!("{}: {error}", key.display()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates(&cert)?, key_der)
            .map_err(|error| format!("{} with {}: {error}", cert.display(), key.display()))?)
    }

    fn ca_path(&self) -> PathBuf {
        self.ca.clone().unwrap_or_else(|| self.dir.join("region_ca.pem"))
    }
}

/// The text of a member of an answer.
pub(crate) fn text<'a>(answer: &'a Value, name: &str) -> Option<&'a str> {
    answer.get(name)?.as_str()
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = folder::read(path)?;
    let found = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    Ok(found.map_err(|error| format!("{}: {error}", path.display()))?)
}
