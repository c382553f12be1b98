//! Fetching over plain HTTP what is signed: revocation lists. They are at such addresses, as whoever
//! checks certificates for TLS cannot ask TLS for them. And over TLS what is not: the keys of those who sign
//! tokens.
//!
//! Always holds: what comes is bounded in bytes, in time and in how often it leads elsewhere, which is never
//! from TLS to none; one that fetches stops as soon as it is dropped. Never does: believing what was fetched.

use std::{io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, StatusCode, Uri,
    body::{Body as _, Incoming},
    client::conn::http1,
    header::{CONNECTION, HOST, HeaderMap, LOCATION, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore,
    client::WantsClientCert,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

/// How often an address may lead to another.
const REDIRECTS_MAX: usize = 3;
/// The head of an answer.
pub(super) const HEAD_BYTES_MAX: usize = 64 << 10;

/// What bounds a fetch.
#[derive(Clone, Copy, Debug)]
pub struct FetchBounds {
    /// How many bytes may come.
    pub bytes: usize,
    /// From the beginning to the last byte.
    pub time: Duration,
}

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It is none that can be fetched from.
    #[error("it is not an http:// address with a host and without a user")]
    Address,
    /// The same over TLS.
    #[error("it is not an https:// address with a host and without a user")]
    TlsAddress,
    /// There is nobody.
    #[error("its host cannot be reached: {0}")]
    Connect(#[source] io::Error),
    /// Whoever is there speaks no HTTP, or stops in the middle.
    #[error("its host does not answer as it should: {0}")]
    Http(#[from] hyper::Error),
    /// There is nothing.
    #[error("it is answered with status {0}")]
    Status(StatusCode),
    /// It leads on and on.
    #[error("it leads to another address more than {REDIRECTS_MAX} times")]
    Redirects,
    /// More than anybody needs.
    #[error("it is larger than {0} bytes")]
    TooLarge(usize),
    /// It takes too long.
    #[error("it did not come within {0:?}")]
    TooSlow(Duration),
}

/// What an address gives.
enum Answer {
    Whole(Bytes),
    Elsewhere(Uri),
}

/// What is at an `http://` address.
///
/// # Errors
/// [`FetchError`] says why nothing came.
pub async fn fetch(address: &str, bounds: FetchBounds) -> Result<Bytes, FetchError> {
    follow(address, bounds, Way { scheme: "http", port: 80, tls: None }).await
}

/// What is at an `https://` address whose certificate one of these authorities has signed.
///
/// # Errors
/// [`FetchError`] says why nothing came.
pub async fn fetch_securely(
    address: &str,
    bounds: FetchBounds,
    authorities: &Authorities,
) -> Result<Bytes, FetchError> {
    let tls = Some(TlsConnector::from(Arc::clone(&authorities.0)));
    follow(address, bounds, Way { scheme: "https", port: 443, tls }).await
}

/// Who vouches for the hosts that are fetched from.
pub struct Authorities(Arc<ClientConfig>);

/// No authority can be made of a certificate.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct UselessAuthority(#[from] rustls::Error);

impl Authorities {
    /// These.
    ///
    /// # Errors
    /// `UselessAuthority` where one of them can be none.
    pub fn of(certificates: Vec<CertificateDer<'static>>) -> Result<Self, UselessAuthority> {
        Ok(Self(Arc::new(trusting(certificates)?.with_no_client_auth())))
    }
}

/// How TLS is spoken to whom these authorities vouch for.
pub(super) fn trusting(
    authorities: Vec<CertificateDer<'static>>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    Ok(config.with_safe_default_protocol_versions()?.with_root_certificates(roots))
}

/// How an address is reached, and each to which it leads.
struct Way {
    scheme: &'static str,
    port: u16,
    tls: Option<TlsConnector>,
}

impl Way {
    const fn no_address(&self) -> FetchError {
        if self.tls.is_some() { FetchError::TlsAddress } else { FetchError::Address }
    }
}

async fn follow(address: &str, bounds: FetchBounds, way: Way) -> Result<Bytes, FetchError> {
    let follow = async {
        let mut uri = address.parse().map_err(|_| way.no_address())?;
        for _ in 0..=REDIRECTS_MAX {
            match get(&uri, bounds.bytes, &way).await? {
                Answer::Whole(bytes) => return Ok(bytes),
                Answer::Elsewhere(next) => uri = next,
            }
        }
        Err(FetchError::Redirects)
    };
    tokio::time::timeout(bounds.time, follow).await.unwrap_or(Err(FetchError::TooSlow(bounds.time)))
}

async fn get(uri: &Uri, bytes_max: usize, way: &Way) -> Result<Answer, FetchError> {
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
    let authority = authority.filter(|_| uri.scheme_str() == Some(way.scheme));
    let authority = authority.ok_or_else(|| way.no_address())?;
    let host = authority.host().trim_matches(['[', ']']);
    let port = authority.port_u16().unwrap_or(way.port);
    let stream = TcpStream::connect((host, port)).await.map_err(FetchError::Connect)?;
    let Some(tls) = &way.tls else { return ask(stream, uri, bytes_max, way).await };
    let name = ServerName::try_from(host.to_owned()).map_err(|_| way.no_address())?;
    let stream = tls.connect(name, stream).await.map_err(FetchError::Connect)?;
    ask(stream, uri, bytes_max, way).await
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    uri: &Uri,
    bytes_max: usize,
    way: &Way,
) -> Result<Answer, FetchError> {
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await?;
    // It ends with this function, whatever its peer wants.
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, uri.authority().map_or("", |authority| authority.as_str()))
        .header(USER_AGENT, "okmsd")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| way.no_address())?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    match head.status {
        StatusCode::OK => Ok(Answer::Whole(whole(body, bytes_max).await?)),
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::SEE_OTHER
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => {
            elsewhere(uri, &head.headers).map(Answer::Elsewhere).ok_or_else(|| way.no_address())
        }
        status => Err(FetchError::Status(status)),
    }
}

/// Where an answer leads to.
fn elsewhere(from: &Uri, headers: &HeaderMap) -> Option<Uri> {
    let location = headers.get(LOCATION)?.to_str().ok()?;
    if location.starts_with('/') && !location.starts_with("//") {
        return format!("{}://{}{location}", from.scheme_str()?, from.authority()?).parse().ok();
    }
    location.parse().ok()
}

pub(super) async fn whole(mut body: Incoming, bytes_max: usize) -> Result<Bytes, FetchError> {
    let too_large = || FetchError::TooLarge(bytes_max);
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if data.len() > bytes_max - whole.len() {
            return Err(too_large());
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    const BOUNDS: FetchBounds = FetchBounds { bytes: 1000, time: Duration::from_secs(20) };

    /// A host that answers each request with what `answer` makes of its first line, and stays until
    /// its peer leaves.
    async fn host(answer: impl Fn(&str) -> String + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                        break;
                    }
                }
                let text = answer(str::from_utf8(&request).unwrap().lines().next().unwrap_or(""));
                let _gone = stream.write_all(text.as_bytes()).await;
                tokio::spawn(async move { stream.read_to_end(&mut Vec::new()).await });
            }
        });
        format!("http://{address}")
    }

    async fn said(address: &str, bounds: FetchBounds) -> String {
        fetch(address, bounds).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn what_is_there_comes() {
        let host = host(|line| match line {
            "GET /a?b=c HTTP/1.1" => "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlist".into(),
            "GET / HTTP/1.1" => "HTTP/1.1 302 Found\r\nlocation: /a?b=c\r\n\r\n".into(),
            "GET /round HTTP/1.1" => "HTTP/1.1 301 M\r\nlocation: /round\r\n\r\n".into(),
            "GET /tls HTTP/1.1" => "HTTP/1.1 307 M\r\nlocation: https://x/\r\n\r\n".into(),
            "GET /user HTTP/1.1" => "HTTP/1.1 307 M\r\nlocation: http://a@x/\r\n\r\n".into(),
            "GET /bytes HTTP/1.1" => "SSH-2.0\r\n".into(),
            _ => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".into(),
        })
        .await;
        for path in ["/a?b=c", "", "/"] {
            assert_eq!(*fetch(&format!("{host}{path}"), BOUNDS).await.unwrap(), *b"list");
        }
        for (path, words) in [
            ("/round", "more than 3 times"),
            ("/tls", "not an http:// address"),
            ("/user", "not an http:// address"),
            ("/bytes", "does not answer as it should"),
            ("/nothing", "status 404"),
        ] {
            let said = said(&format!("{host}{path}"), BOUNDS).await;
            assert!(said.contains(words), "{path}: {said}");
        }
        for address in ["https://x/", "x", "http://a@127.0.0.1:1/", "/etc/passwd"] {
            assert!(said(address, BOUNDS).await.contains("not an http:// address"), "{address}");
        }
        assert!(said("http://127.0.0.1:1/", BOUNDS).await.contains("cannot be reached"));
    }

    /// One who sends without end, whether he says so before or not, or says nothing.
    #[tokio::test]
    async fn nobody_makes_it_take_much() {
        let chunk = "3e8\r\n".to_owned() + &"x".repeat(1000) + "\r\n1\r\nx\r\n";
        let host = host(move |line| match line {
            "GET /said HTTP/1.1" => "HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n".into(),
            "GET /unsaid HTTP/1.1" => {
                format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunk}")
            }
            "GET /head HTTP/1.1" => format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(1 << 20)),
            "GET /slow HTTP/1.1" => "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nlist".into(),
            _ => String::new(),
        })
        .await;
        for path in ["/said", "/unsaid"] {
            assert_eq!(
                said(&format!("{host}{path}"), BOUNDS).await,
                "it is larger than 1000 bytes"
            );
        }
        let said_of_head = said(&format!("{host}/head"), BOUNDS).await;
        assert!(said_of_head.contains("does not answer"), "{said_of_head}");
        let short = FetchBounds { time: Duration::from_millis(200), ..BOUNDS };
        for path in ["/slow", "/silent"] {
            assert_eq!(said(&format!("{host}{path}"), short).await, "it did not come within 200ms");
        }
    }
}
