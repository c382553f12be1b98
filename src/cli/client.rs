//! The command line's way to a running server: its API, with the operator certificate.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
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
    AlertDescription, CertificateError, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use zeroize::Zeroizing;

use crate::{
    clock::{Clock, SystemClock},
    config::{self, Config},
    material,
    model::Timestamp,
    pki::Facts,
};

/// The largest answer taken, in bytes.
const ANSWER_BYTES: usize = 16 << 20;
/// How long to wait for the reason of a connection that has ended.
const ALERT_TIME: Duration = Duration::from_secs(2);

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
    /// The certificate authority of the server's certificate, PEM [default: `region_ca.pem` in the
    /// folder].
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
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Error> {
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
        let endpoint: Uri =
            self.endpoint()?.parse().map_err(|error| format!("the endpoint is no URL: {error}"))?;
        if endpoint.scheme() != Some(&uri::Scheme::HTTPS) {
            return Err("the endpoint must begin with https://".into());
        }
        let authority = endpoint.authority().ok_or("the endpoint names no host")?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = authority.port_u16().unwrap_or(443);
        // What is wrong here is told before anybody is asked for anything.
        let connector = TlsConnector::from(Arc::new(self.tls()?));
        let stream = TcpStream::connect((host.as_str(), port)).await;
        // Not the whole authority: some put a password into it.
        let shown =
            authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host);
        let stream = stream.map_err(|error| format!("{shown}: {error}"))?;
        let name = ServerName::try_from(host)
            .map_err(|_| "the endpoint's host is no name and no address")?;
        let stream = connector.connect(name, stream).await;
        let stream = stream.map_err(|error| format!("{shown}: {}", self.reason(&error)))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut request = Request::builder().method(method);
        if let Some(cursor) = cursor {
            request = request.header("x-pagination-cursor", cursor);
        }
        let request = request
            .uri(format!("{}{path}", endpoint.path().trim_end_matches('/')))
            .header(header::HOST, shown)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let response = match sender.send_request(request).await {
            Ok(response) => response,
            Err(error) => {
                // In TLS 1.3 the server refuses a certificate only after the handshake is done
                // here. What ended the connection knows the alert; what waited for the answer knows
                // that there is none.
                let ended = tokio::time::timeout(ALERT_TIME, connection).await;
                let cause = ended.ok().and_then(Result::ok).and_then(Result::err).unwrap_or(error);
                return Err(format!("{shown}: {}", self.reason(&cause)).into());
            }
        };
        let status = response.status();
        let next = response.headers().get("x-pagination-cursor-next").cloned();
        let bytes = Limited::new(response.into_body(), ANSWER_BYTES).collect().await?.to_bytes();
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if !status.is_success() {
            let texts = answer
                .get("errors")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            let text = texts.collect::<Vec<_>>().join("; ");
            return Err(format!("the server says {status}: {text}").into());
        }
        Ok((answer, next))
    }

    /// The certificate and the key, where both are named.
    pub(super) fn pair(&self) -> Option<(&Path, &Path)> {
        self.cert.as_deref().zip(self.key.as_deref())
    }

    /// The certificate authority's PEM text.
    pub(super) fn ca_pem(&self) -> Result<Zeroizing<String>, Error> {
        Ok(material::text(&self.ca_path())?)
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
        let ca = self.ca_path();
        for certificate in material::certificates(&ca)? {
            let unfit =
                |_| format!("{}: holds a certificate that cannot be an authority's", ca.display());
            roots.add(certificate).map_err(unfit)?;
        }
        let (cert, key) = (self.cert_path(), self.key_path());
        let pair = (material::certificates(&cert)?, material::private_key(&key)?);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(pair.0, pair.1);
        // What the library says of a key stays here.
        Ok(config.map_err(|error| {
            let what = match error {
                rustls::Error::InconsistentKeys(_) => {
                    "the certificate and the private key do not belong together"
                }
                _ => "the certificate and the private key cannot be used for TLS",
            };
            format!("{} with {}: {what}", cert.display(), key.display())
        })?)
    }

    /// Why a connection has ended, in words that say what to do.
    fn reason(&self, error: &(dyn std::error::Error + 'static)) -> String {
        let cert = self.cert_path();
        let cert = cert.display();
        let own = self.doubt();
        match tls_error(error) {
            Some(rustls::Error::AlertReceived(alert)) => {
                let why = match own {
                    Some(own) => own,
                    None => match alert {
                        AlertDescription::CertificateExpired => {
                            "its time is over, or has not come; check the clocks"
                        }
                        AlertDescription::UnknownCA => {
                            "it is not of an authority that the server trusts"
                        }
                        AlertDescription::CertificateRequired => {
                            "the server wants a certificate, and got none"
                        }
                        _ => "the server's log says why",
                    }
                    .to_owned(),
                };
                format!("the server refuses the certificate {cert} ({alert:?}): {why}")
            }
            Some(rustls::Error::InvalidCertificate(why)) => {
                let ca = self.ca_path();
                let why = match why {
                    CertificateError::UnknownIssuer => {
                        format!("is not of an authority in {}; see --ca", ca.display())
                    }
                    CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                        "has expired".to_owned()
                    }
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. } => {
                        "is for other names than the endpoint's; see --endpoint".to_owned()
                    }
                    other => format!("is refused here: {other}"),
                };
                format!("the server's certificate {why}")
            }
            Some(other) => other.to_string(),
            // The alert can be lost on the way. What is seen to be wrong from here is told all the
            // same.
            None => match own {
                Some(own) => format!(
                    "the server ended the connection; the certificate {cert} is refused: {own}"
                ),
                None => format!("{error}; the server's log may say why"),
            },
        }
    }

    /// What is wrong with the operator certificate, as far as one can see from here.
    fn doubt(&self) -> Option<String> {
        let certificate = material::certificates(&self.cert_path()).ok()?;
        let facts = Facts::read(certificate.first()?).ok()?;
        let now = SystemClock.now();
        let date = |seconds| Timestamp::from_unix_seconds(seconds).to_rfc3339_seconds();
        let remedy = match &self.cert {
            None => format!(
                "move operator_certificate.pem and operator_privatekey.pem away; okmsd init --dir {} makes new ones",
                self.dir.display()
            ),
            Some(_) => {
                "use one that the region's authority has signed, and that is valid".to_owned()
            }
        };
        if facts.validity.has_expired(now) {
            return Some(format!("it has expired ({}); {remedy}", date(facts.validity.not_after)));
        }
        if !facts.validity.has_begun(now) {
            return Some(format!(
                "it is not valid before {}; check the clock",
                date(facts.validity.not_before)
            ));
        }
        let authorities = material::certificates(&self.ca_path()).ok()?;
        let is_of = |authority: &CertificateDer<'_>| {
            Facts::read(authority).is_ok_and(|authority| authority.subject == facts.issuer)
        };
        if certificate.len() == 1 && !authorities.iter().any(is_of) {
            let ca = self.ca_path();
            return Some(format!("it is not of the authority in {}; {remedy}", ca.display()));
        }
        None
    }

    fn cert_path(&self) -> PathBuf {
        self.cert.clone().unwrap_or_else(|| self.dir.join("operator_certificate.pem"))
    }

    fn key_path(&self) -> PathBuf {
        self.key.clone().unwrap_or_else(|| self.dir.join("operator_privatekey.pem"))
    }

    fn ca_path(&self) -> PathBuf {
        self.ca.clone().unwrap_or_else(|| self.dir.join("region_ca.pem"))
    }
}

/// The text of a member of an answer.
pub(crate) fn text<'a>(answer: &'a Value, name: &str) -> Option<&'a str> {
    answer.get(name)?.as_str()
}

/// What TLS has to say about an error, wherever it is in it.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = inner
            .map(|inner| inner as &(dyn std::error::Error + 'static))
            .or_else(|| error.source());
    }
    None
}
