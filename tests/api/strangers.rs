//! What a peer is told that is not let in, or does not speak as it should: it must arrive, and say
//! what to do.

use hyper::Method;
use okmsd::pki::Subject;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    harness::{BOTH, Http, Leaf, PATIENCE, START, TestServer, eventually},
    wire::*,
};

/// The text of the one error in an HTTP/1.1 answer that ends the connection.
fn refusal(answer: &str, status: u16) -> String {
    let (head, body) =
        answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    assert_eq!(statuses(answer), [status], "{answer}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(
        head.contains(&format!("x-request-id: {}", body["request_id"].as_str().unwrap())),
        "{answer}"
    );
    assert!(
        head.contains("connection: close") && head.contains("content-type: application/json"),
        "{answer}"
    );
    body["errors"][0].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn plain_http_is_told_so() {
    let server = TestServer::start().await;
    for request in [
        "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
        format!("POST / {}", "x".repeat(100_000)),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("no reset before the answer is read");
        assert!(refusal(&answer, 400).contains("use https://"), "{answer}");
    }
    server.metric_reaches("okmsd_handshakes_refused_total{reason=\"not_tls\"}", 2.0).await;
}

/// The HTTP library refuses these by itself, and says nothing about it.
#[tokio::test]
async fn what_is_no_request_gets_an_answer() {
    let server = TestServer::start().await;
    for (request, status, word) in [
        ("GET /`x HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(), 400, "escape"),
        ("this is no HTTP\r\n\r\n".to_owned(), 400, "no HTTP"),
        ("GET / HTTP/1.1\r\nhost : localhost\r\n\r\n".to_owned(), 400, "headers"),
        (format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(1 << 20)), 431, "fewer headers"),
    ] {
        let mut wire = Wire::open(&server.anonymous()).await;
        wire.send(&request).await;
        wire.until_closed().await;
        assert!(refusal(&wire.text(), status).contains(word), "{}", wire.text());
    }
    // Behind a good one, too.
    let mut wire = Wire::open(&server.anonymous()).await;
    wire.send("GET / HTTP/1.1\r\nhost: localhost\r\n\r\nGET /` HTTP/1.1\r\n\r\n").await;
    wire.until_closed().await;
    assert_eq!(statuses(&wire.text()), [307, 400]);
    assert!(wire.text().contains("escape odd characters"), "{}", wire.text());
}

#[tokio::test]
async fn one_host() {
    let server = TestServer::start().await;
    for (headers, status) in [
        ("", 400),
        ("host: localhost\r\nhost: localhost\r\n", 400),
        ("host: a\r\nhost: b\r\n", 400),
        ("host:\r\n", 400),
        ("host: a b\r\n", 400),
        ("host: user@localhost\r\n", 400),
        ("host: localhost\r\n", 200),
        ("host: [::1]:8443\r\n", 200),
    ] {
        let mut wire = Wire::open(&server.anonymous()).await;
        wire.send(format!("GET /openapi.json HTTP/1.1\r\n{headers}connection: close\r\n\r\n"))
            .await;
        wire.until_closed().await;
        assert_eq!(statuses(&wire.text()), [status], "{headers:?}");
        assert!(
            status == 200 || wire.text().contains("one host, in one Host header"),
            "{headers:?}"
        );
    }
    let mut old = Wire::open(&server.anonymous()).await;
    old.send("GET /openapi.json HTTP/1.0\r\n\r\n").await;
    old.until_closed().await;
    assert!(old.text().starts_with("HTTP/1.0 200"), "HTTP/1.0 knows no Host");
    let two = server.anonymous().over(Http::Two);
    two.send(Method::GET, "/openapi.json", &[], "").await.ok();
    two.send(Method::GET, "/openapi.json", &[("host", "localhost"), ("host", "other")], "")
        .await
        .error(400, 50_405_377);
    two.send(Method::GET, "/openapi.json", &[("host", "evil.example")], "")
        .await
        .error(400, 50_405_377);
    for (asked, status) in
        [("https://localhost", 200), ("https://LOCALHOST:443", 200), ("https://evil.example", 400)]
    {
        let mut wire = Wire::open(&server.anonymous()).await;
        let rest = "HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        wire.send(format!("GET {asked}/openapi.json {rest}")).await;
        wire.until_closed().await;
        assert_eq!(statuses(&wire.text()), [status], "{asked}");
    }
}

/// 64 connections that said nothing kept probes out for five seconds, and more of them for longer.
#[tokio::test]
async fn probes_find_room() {
    let server = TestServer::start().await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(tokio::net::TcpStream::connect(server.admin).await.unwrap());
    }
    let begun = std::time::Instant::now();
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(server.admin(path).await.0, 200);
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
    for (request, status) in [
        ("GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n", "400"),
        ("GET /livez HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n", "400"),
        ("HEAD /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "200"),
        (
            "POST /livez HTTP/1.1\r\nhost: a\r\ncontent-length: 4000000\r\nconnection: close\r\n\r\n",
            "405",
        ),
    ] {
        let mut stream = tokio::net::TcpStream::connect(server.admin).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        if status == "405" {
            stream.write_all(&vec![b'x'; 4_000_000]).await.unwrap();
        }
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{request:?}: {said}");
    }
}

/// An answer that is given before the body was read arrives, whatever the client is still sending.
/// curl took the reset of an HTTP/2 stream for the answer, and many saw only the end of their
/// connection.
#[tokio::test]
async fn early_answers_arrive() {
    let (server, client) = TestServer::with_tenant().await;
    let anonymous = server.anonymous();
    for http in BOTH {
        for size in [2, 100, 70_000, 1 << 20, 5 << 20] {
            if http == Http::One && size > 1 << 20 {
                // This client stops sending and waits;
                // `a_body_that_is_sent_before_anything_is_read` does not.
                continue;
            }
            let body = vec![b'x'; size];
            let mut connection = client.over(http).connect().await;
            connection
                .send(Method::POST, "/nowhere", &[], body.clone())
                .await
                .error(404, 50_417_665);
            let foreign = [("origin", "https://elsewhere.example")];
            let url = client.url("secret");
            connection
                .send(Method::POST, &url, &foreign, body.clone())
                .await
                .error(403, 16_924_673);
            connection.send(Method::DELETE, &url, &[], body.clone()).await.error(405, 50_405_377);
            connection.send(Method::GET, &url, &[], body.clone()).await.ok();
            let status = connection.send(Method::POST, &url, &[], body.clone()).await.status;
            assert_eq!(status, if size > 600_000 { 413 } else { 400 });
            let mut connection = anonymous.over(http).connect().await;
            connection.send(Method::POST, &url, &[], body.clone()).await.error(401, 50_475_011);
            // The connection is as good as before.
            connection.send(Method::POST, &url, &[], body).await.error(401, 50_475_011);
        }
    }
}

/// Over HTTP/2 no RST_STREAM comes before the request has ended: Debian's curl fails on it, though
/// the answer is there.
#[tokio::test]
async fn no_reset_goes_before_the_end() {
    let server = TestServer::start().await;
    let mut wire = Wire::open(&server.anonymous().over(Http::Two)).await;
    wire.send([preface(&[]), head(1, 0, "POST", "/nowhere")].concat()).await;
    assert!(wire.read_until(|bytes| body(bytes, 1).is_some()).await);
    for _ in 0..20 {
        wire.send(frame(DATA, 0, 1, &[b'x'; 1000])).await;
    }
    wire.send(frame(DATA, END_STREAM, 1, b"x")).await;
    wire.send(head(3, END_STREAM, "GET", "/")).await;
    assert!(wire.read_until(|bytes| frames(bytes).iter().any(|frame| frame.stream == 3)).await);
    assert!(wire.frames().iter().all(|frame| frame.kind != RST_STREAM), "{:?}", wire.frames());
}

/// The alert that says why a certificate is refused arrives: in TLS 1.3 the client is already
/// sending its request, and a reset took the alert away from it in most cases.
#[tokio::test]
async fn the_alert_arrives() {
    let server = TestServer::start().await;
    let expired = server.mint(&Leaf { valid: START - 100_000..=START - 1000, ..Leaf::default() });
    let foreign = TestServer::start().await.issue(&Subject::Operator, 30);
    for (pair, reason, word) in
        [(&expired, "expired", "CertificateExpired"), (&foreign, "bad_signature", "")]
    {
        for http in BOTH {
            for round in 0..25 {
                let client = server.client(Some(pair), None, http);
                let mut stream = client.tls().await.unwrap();
                // More than the server reads before it refuses.
                let _refused = stream.write_all(&vec![b'x'; 50_000]).await;
                let read =
                    tokio::time::timeout(PATIENCE, stream.read(&mut [0; 100])).await.unwrap();
                let error = read.expect_err("an alert").to_string();
                assert!(error.contains("alert") && error.contains(word), "round {round}: {error}");
            }
        }
        let count = async || {
            let mut counted = 0.0;
            for reason in reason.split('|') {
                let name = format!("okmsd_handshakes_refused_total{{reason=\"{reason}\"}}");
                counted += server.metric(&name).await;
            }
            counted
        };
        // The client has its alert before the server has counted it.
        eventually("all are counted", async || count().await >= 50.0).await;
        assert_eq!(count().await, 50.0, "{reason}");
    }
}
