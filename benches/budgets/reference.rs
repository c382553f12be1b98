//! The servers that okmsd is compared with: the same TLS, and nothing behind it.

use std::{convert::Infallible, fs, net::SocketAddr, path::Path, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::Incoming,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use okmsd::{
    auth::Issuer,
    clock::SystemClock,
    config::Config,
    server::{ClientTrust, ServerTls, Trusted},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::Outcome;

/// Bare hyper: answers every request with the bytes in the file `answer`, and headers like okmsd's.
pub(super) async fn http(config: &Path, answer: &Path, listen: SocketAddr) -> Outcome<()> {
    let (acceptor, listener, body) = start(config, answer, listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, body) = (acceptor.clone(), body.clone());
        tokio::spawn(async move {
            let _best_effort = stream.set_nodelay(true);
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let service = service_fn(move |_: Request<Incoming>| {
                let response = response(body.clone());
                async move { Ok::<_, Infallible>(response) }
            });
            let io = TokioIo::new(stream);
            let _ended = if is_http2 {
                http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await
            } else {
                http1::Builder::new().serve_connection(io, service).await
            };
        });
    }
}

/// A bare acceptor: completes handshakes, and answers one request with the bytes in the file
/// `answer`.
pub(super) async fn accept(config: &Path, answer: &Path, listen: SocketAddr) -> Outcome<()> {
    let (acceptor, listener, body) = start(config, answer, listen).await?;
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let answer = Bytes::from([head.as_bytes(), &body].concat());
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        tokio::spawn(async move {
            let _of_no_interest = answer_one(&acceptor, stream, &answer).await;
        });
    }
}

async fn answer_one(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    answer: &[u8],
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    let mut head = Vec::with_capacity(1024);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    stream.write_all(answer).await?;
    stream.shutdown().await
}

async fn start(
    config: &Path,
    answer: &Path,
    listen: SocketAddr,
) -> Outcome<(TlsAcceptor, TcpListener, Bytes)> {
    let config = Config::load(config, std::env::vars())?;
    let trusted =
        Trusted { certificate: config.trust.region_ca, issuer: Issuer::Region, lists: None };
    let (trust, _) =
        ClientTrust::load(&[trusted], std::sync::Arc::default(), config.server.client_auth)?;
    let tls = ServerTls::load(&config.server, trust, Arc::new(SystemClock))?;
    Ok((tls.state.acceptor().clone(), TcpListener::bind(listen).await?, fs::read(answer)?.into()))
}

fn response(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.reserve(4);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let id = HeaderValue::from_static("00000000-0000-4000-8000-000000000000");
    headers.insert(HeaderName::from_static("x-request-id"), id);
    response
}
