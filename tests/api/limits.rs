//! Limits: every key of `[limits]` is crossed, over HTTP/1.1 and over HTTP/2 where it means
//! something there. What is asserted each time: the offender is cut or told so in the published
//! form, a client that stays below the limit is served, and so is an honest client on another
//! connection meanwhile.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use hyper::Method;
use okmsd::config::{ByteSize, Config, Limits, Span};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    harness::{BOTH, Client, Http, PATIENCE, TestServer, eventually},
    wire::{self, *},
};

/// Each key of `[limits]`, and the tests that cross it.
const CROSSED: &[(&str, &[&str])] = &[
    ("connections", &["connections_beyond_the_limit_wait"]),
    ("anonymous_connections", &["strangers_give_way"]),
    ("handshake_time", &["a_handshake_takes_so_long"]),
    ("address_handshakes_per_second", &["an_address_asks_for_so_many_handshakes"]),
    ("handshakes_per_second", &["all_addresses_ask_for_so_many_handshakes"]),
    ("first_byte_time", &["silence_after_the_handshake"]),
    (
        "head_time",
        &["a_head_takes_so_long", "a_second_head_takes_so_long", "a_preface_is_no_request"],
    ),
    ("head_bytes", &["a_head_is_so_large", "a_head_far_beyond_the_limit"]),
    ("body_time", &["a_body_takes_so_long"]),
    (
        "value_bytes",
        &[
            "a_value_is_so_large",
            "a_body_is_so_large",
            "a_body_that_is_sent_before_anything_is_read",
        ],
    ),
    ("request_time", &["an_answer_is_taken_within_a_time", "an_answer_that_is_taken_byte_by_byte"]),
    ("stall_time", &["a_peer_that_takes_nothing"]),
    ("idle_time", &["idle_connections_are_closed"]),
    ("anonymous_idle_time", &["a_stranger_is_idle"]),
    ("http2_streams", &["streams_at_once"]),
    ("http2_resets", &["rapid_resets", "resets_that_the_server_is_made_to_send"]),
    ("in_flight", &["requests_in_progress", "answers_that_nobody_takes_hold_no_place"]),
    ("buffer_bytes", &["large_answers_and_bodies_at_once"]),
    ("feeds", &["feeds_are_bounded"]),
    ("feed_time", &["a_feed_shows_that_it_lives_and_has_its_time"]),
    ("drain_time", &["a_stuck_client_does_not_hold_the_server"]),
    ("domain_requests_per_second", &["rates_of_the_config_count_for_everybody"]),
    ("domain_writes_per_second", &["rates_of_the_config_count_for_everybody"]),
    ("subject_requests_per_second", &["a_quota_is_kept_and_the_config_counts_for_others"]),
    ("subject_writes_per_second", &["rates_of_the_config_count_for_everybody"]),
    ("domain_tokens", &["tokens_are_bounded"]),
    ("domain_secrets", &["secrets_and_their_values_are_bounded"]),
    ("domain_version_bytes", &["secrets_and_their_values_are_bounded"]),
];

/// A short limit: long enough for an honest client on a busy machine.
pub const SHORT: Duration = Duration::from_secs(1);

/// Sooner than the default of any time limit would act.
pub const SOON: Duration = Duration::from_secs(9);

/// Longer than any test waits.
const LONG: Duration = Duration::from_secs(120);

#[test]
fn every_limit_is_crossed() {
    let shown = format!("{:?}", Limits::default());
    let (_, members) = shown.split_once('{').unwrap();
    let keys: Vec<_> =
        members.split(", ").map(|member| member.split(':').next().unwrap().trim()).collect();
    assert_eq!(keys, CROSSED.iter().map(|(key, _)| *key).collect::<Vec<_>>());
    let tests = concat!(
        include_str!("limits.rs"),
        include_str!("drain.rs"),
        include_str!("shares.rs"),
        include_str!("quotas.rs"),
        include_str!("feeds.rs")
    );
    for name in CROSSED.iter().flat_map(|(_, names)| *names) {
        assert!(tests.contains(&format!("async fn {name}()")), "there is no test {name}");
    }
}

/// A server with these limits, and a client whose secret `kept` holds a word.
pub async fn server(change: impl FnOnce(&mut Limits)) -> (TestServer, Client) {
    let with_long_times = |config: &mut Config| {
        // So that no other limit can do the work of the one that is crossed.
        let limits = &mut config.limits;
        for time in [
            &mut limits.handshake_time,
            &mut limits.first_byte_time,
            &mut limits.head_time,
            &mut limits.body_time,
            &mut limits.request_time,
            &mut limits.stall_time,
            &mut limits.idle_time,
            &mut limits.anonymous_idle_time,
            &mut limits.drain_time,
        ] {
            *time = Span(LONG);
        }
        change(limits);
    };
    let server = TestServer::start_with(with_long_times).await;
    let client = server.tenant().await;
    client.post("secret", r#"{"path":"kept","version":{"data":{"word":"kept"}}}"#).await.ok();
    (server, client)
}

/// Both protocols at once.
pub async fn over_both<F: Future<Output = ()>>(client: &Client, test: impl Fn(Client) -> F) {
    tokio::join!(test(client.over(Http::One)), test(client.over(Http::Two)));
}

/// A client on new connections is served as ever.
pub async fn honest(client: &Client) {
    for http in BOTH {
        let read = client.over(http).get("secret/kept?includeData=true").await.ok();
        assert_eq!(read["version"]["data"]["word"], "kept");
    }
}

/// A GET of `kept`, in the bytes of the client's protocol.
pub fn get(client: &Client, stream: u32) -> Vec<u8> {
    let path = client.url("secret/kept?includeData=true");
    match client.http {
        Http::One => format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes(),
        Http::Two => head(stream, END_STREAM, "GET", &path),
    }
}

pub fn has_get_answer(client: &Client, stream: u32) -> impl Fn(&[u8]) -> bool {
    let http = client.http;
    move |bytes| match http {
        Http::One => String::from_utf8_lossy(bytes).contains(r#""word":"kept""#),
        Http::Two => {
            wire::body(bytes, stream).is_some_and(|body| body.contains(r#""word":"kept""#))
        }
    }
}

/// The head of a POST that creates a secret, with a body that is to come.
pub fn post_head(client: &Client, stream: u32, length: usize) -> Vec<u8> {
    let path = client.url("secret");
    match client.http {
        Http::One => {
            format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n")
                .into_bytes()
        }
        Http::Two => head(stream, 0, "POST", &path),
    }
}

/// A piece of a body.
pub fn piece(client: &Client, stream: u32, bytes: &str, is_last: bool) -> Vec<u8> {
    match client.http {
        Http::One => bytes.as_bytes().to_vec(),
        Http::Two => frame(DATA, u8::from(is_last), stream, bytes.as_bytes()),
    }
}

/// The answer to the stream, or to the only request of a connection, says this.
pub fn says(client: &Client, stream: u32, text: &str) -> impl Fn(&[u8]) -> bool {
    let (http, text) = (client.http, text.to_owned());
    move |bytes| match http {
        Http::One => String::from_utf8_lossy(bytes).contains(&text),
        Http::Two => wire::body(bytes, stream).is_some_and(|body| body.contains(&text)),
    }
}

/// That a limit acted when it should: not much before `limit`, and not when a default would have.
#[track_caller]
pub fn acted_at(begun: Instant, limit: Duration, what: impl std::fmt::Debug) {
    let elapsed = begun.elapsed();
    assert!(
        elapsed >= limit * 9 / 10 && elapsed < SOON,
        "{what:?}: after {elapsed:?} instead of {limit:?}"
    );
}

pub fn closed_by(deadline: &str) -> String {
    format!("okmsd_connections_closed_total{{deadline=\"{deadline}\"}}")
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let (server, client) = server(|limits| limits.connections = 2).await;
    server.metric_reaches("okmsd_connections ", 0.0).await;
    let mut first = client.connect().await;
    let mut second = client.over(Http::Two).connect().await;
    for connection in [&mut first, &mut second] {
        connection.send(Method::GET, &client.url("secret/kept"), &[], "").await.ok();
    }
    let third = client.clone();
    let mut third = tokio::spawn(async move { third.get("secret/kept").await });
    assert!(
        tokio::time::timeout(SHORT / 2, &mut third).await.is_err(),
        "a third connection was let in"
    );
    drop(first);
    tokio::time::timeout(PATIENCE, third).await.expect("room for the third").unwrap().ok();
    drop(second);
    honest(&client).await;
}

#[tokio::test]
async fn a_handshake_takes_so_long() {
    let (server, client) = server(|limits| limits.handshake_time = Span(2 * SHORT)).await;
    let begun = Instant::now();
    let (mut silent, mut garbage, mut partial) = (
        TcpStream::connect(client.address).await.unwrap(),
        TcpStream::connect(client.address).await.unwrap(),
        TcpStream::connect(client.address).await.unwrap(),
    );
    garbage.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    // A handshake record of 512 bytes, of which two come.
    partial.write_all(&[22, 3, 1, 2, 0, 1, 0]).await.unwrap();
    honest(&client).await;
    for (name, stream) in
        [("garbage", &mut garbage), ("silent", &mut silent), ("partial", &mut partial)]
    {
        let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "{name} was not closed");
        acted_at(begun, if name == "garbage" { Duration::ZERO } else { 2 * SHORT }, name);
    }
    server.metric_reaches("okmsd_handshakes_total{result=\"timed_out\"}", 2.0).await;
    server.metric_reaches("okmsd_handshakes_total{result=\"failed\"}", 1.0).await;
    server.metric_reaches("okmsd_connections ", 0.0).await;
    honest(&client).await;
}

/// Handshakes of `client`, one after the other, until one is closed before anything was computed.
async fn until_too_many(server: &TestServer, client: &Client, reason: &str) {
    let mut open = Wire::open(client).await;
    let refused = format!("okmsd_handshakes_refused_total{{reason=\"{reason}\"}}");
    let mut done = 0;
    while client.tls().await.is_ok() {
        done += 1;
        assert!(done < 1000, "as many as there are");
    }
    server.metric_reaches(&refused, 1.0).await;
    // Whoever is in stays in, and what is no TLS costs nothing, and is told.
    open.send(get(client, 1)).await;
    assert!(open.read_until(has_get_answer(client, 1)).await);
    let mut plain = TcpStream::connect(client.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    // A while later there is room again.
    eventually("a handshake", async || client.tls().await.is_ok()).await;
}

/// One address once had as many handshakes as it asked for, while others waited for the threads.
#[tokio::test]
async fn an_address_asks_for_so_many_handshakes() {
    let (server, client) = server(|limits| {
        limits.address_handshakes_per_second = 2;
        limits.handshakes_per_second = 0;
    })
    .await;
    until_too_many(&server, &client, "address_rate").await;
}

#[tokio::test]
async fn all_addresses_ask_for_so_many_handshakes() {
    let (server, client) = server(|limits| {
        limits.address_handshakes_per_second = 0;
        limits.handshakes_per_second = 2;
    })
    .await;
    until_too_many(&server, &client, "rate").await;
}

#[tokio::test]
async fn silence_after_the_handshake() {
    let (server, client) = server(|limits| limits.first_byte_time = Span(SHORT)).await;
    over_both(&client, async |client| {
        let mut patient = Wire::open(&client).await;
        let mut silent = Wire::open(&client).await;
        let begun = Instant::now();
        tokio::time::sleep(SHORT / 4).await;
        if client.http == Http::Two {
            patient.send(preface(&[])).await;
        }
        patient.send(get(&client, 1)).await;
        assert!(
            patient.read_until(has_get_answer(&client, 1)).await,
            "{:?}: {}",
            client.http,
            patient.text()
        );
        honest(&client).await;
        silent.until_closed().await;
        acted_at(begun, SHORT, client.http);
        assert!(!patient.is_closed());
    })
    .await;
    server.metric_reaches(&closed_by("first_byte"), 2.0).await;
}

#[tokio::test]
async fn a_head_takes_so_long() {
    let (server, client) = server(|limits| limits.head_time = Span(SHORT)).await;
    over_both(&client, async |client| {
        let mut slow = Wire::open(&client).await;
        let begun = Instant::now();
        match client.http {
            Http::One => {
                slow.send("GET / HTTP/1.1\r\nhost: localhost\r\n").await;
                slow.trickle_until_closed(SHORT / 20, "x-y: z\r\n").await;
            }
            Http::Two => {
                slow.send(preface(&[])).await;
                slow.send(frame(HEADERS, END_STREAM, 1, &fields("GET", "/", &[]))).await;
                // More than a few CONTINUATIONs would count as a flood, which ends sooner.
                slow.trickle_until_closed(SHORT / 3, frame(CONTINUATION, 0, 1, &[])).await;
            }
        }
        acted_at(begun, SHORT, client.http);
        honest(&client).await;
    })
    .await;
    server.metric_reaches(&closed_by("head"), 1.0).await;
    // Below the limit: a head in two parts.
    let client = client.over(Http::One);
    let mut slow = Wire::open(&client).await;
    let request = get(&client, 1);
    let (front, back) = request.split_at(30);
    slow.send(front).await;
    tokio::time::sleep(SHORT / 4).await;
    slow.send(back).await;
    assert!(slow.read_until(has_get_answer(&client, 1)).await);
}

#[tokio::test]
async fn a_second_head_takes_so_long() {
    let (server, client) = server(|limits| limits.head_time = Span(SHORT)).await;
    let mut slow = Wire::open(&client).await;
    slow.send(get(&client, 1)).await;
    assert!(slow.read_until(has_get_answer(&client, 1)).await);
    let begun = Instant::now();
    slow.send("GET / HT").await;
    slow.until_closed().await;
    acted_at(begun, SHORT, "the second head");
    server.metric_reaches(&closed_by("head"), 1.0).await;
}

/// HTTP/2 without a request: hyper has no deadline for this, neither before the preface nor after
/// it.
#[tokio::test]
async fn a_preface_is_no_request() {
    let (server, client) = server(|limits| limits.head_time = Span(SHORT)).await;
    let client = client.over(Http::Two);
    let begun = Instant::now();
    let mut half = Wire::open(&client).await;
    half.send(&preface(&[])[..10]).await;
    let mut pings = Wire::open(&client).await;
    pings.send(preface(&[])).await;
    pings.trickle_until_closed(SHORT / 20, frame(PING, 0, 0, &[0; 8])).await;
    half.until_closed().await;
    acted_at(begun, SHORT, "two prefaces");
    server.metric_reaches(&closed_by("head"), 2.0).await;
    honest(&client).await;
}

#[tokio::test]
async fn a_head_is_so_large() {
    let (_server, client) = server(|limits| limits.head_bytes = ByteSize(4 << 10)).await;
    over_both(&client, async |client| {
        let mut connection = client.connect().await;
        let path = client.url("secret/kept");
        let (fits, large) = ("x".repeat(3500), "x".repeat(4097));
        connection.send(Method::GET, &path, &[("x-pad", &fits)], "").await.ok();
        connection.send(Method::GET, &path, &[("x-pad", &large)], "").await.error(431, 50_405_377);
        connection
            .send(Method::GET, &format!("{path}?x={large}"), &[], "")
            .await
            .error(431, 50_405_377);
        let many: Vec<_> = (0..90).map(|n| (format!("x-{n}"), "y".repeat(50))).collect();
        let many: Vec<_> =
            many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        connection.send(Method::GET, &path, &many, "").await.error(431, 50_405_377);
        connection.send(Method::GET, &path, &many[..40], "").await.ok();
        // Over HTTP/2 a header takes a byte or two on the wire, and much more here.
        let short: Vec<_> = (0..101).map(|n| format!("x-{n}")).collect();
        let short: Vec<_> = short.iter().map(|name| (name.as_str(), "y")).collect();
        connection.send(Method::GET, &path, &short[..90], "").await.ok();
        let mut connection = client.connect().await;
        connection.send(Method::GET, &path, &short, "").await.error(431, 50_405_377);
    })
    .await;
    honest(&client).await;
}

/// Far beyond the limit the connection's own buffers are the bound: 431 by the HTTP library, or the
/// end.
#[tokio::test]
async fn a_head_far_beyond_the_limit() {
    let (_server, client) = server(|_| {}).await;
    let mut one = Wire::open(&client).await;
    one.send(format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(1 << 20))).await;
    one.until_closed().await;
    assert!(matches!(statuses(&one.text()).as_slice(), [] | [431]), "{}", one.text());
    let client = client.over(Http::Two);
    let mut two = Wire::open(&client).await;
    two.send(preface(&[])).await;
    let mut flood = frame(HEADERS, END_STREAM, 1, &fields("GET", "/", &[]));
    for _ in 0..1000 {
        flood.extend(frame(
            CONTINUATION,
            0,
            1,
            &[&[0, 1, b'x', 120][..], &[b'y'; 120]].concat().repeat(8),
        ));
    }
    two.send(flood).await;
    two.until_closed().await;
    honest(&client).await;
}

#[tokio::test]
async fn a_body_takes_so_long() {
    let (_server, client) = server(|limits| limits.body_time = Span(SHORT)).await;
    over_both(&client, async |client| {
        let mut slow = Wire::open(&client).await;
        if client.http == Http::Two {
            slow.send(preface(&[])).await;
        }
        slow.send(post_head(&client, 1, 100_000)).await;
        slow.send(piece(&client, 1, "{", false)).await;
        let begun = Instant::now();
        honest(&client).await;
        if client.http == Http::Two {
            // The connection's other streams go on.
            slow.send(get(&client, 3)).await;
            assert!(slow.read_until(has_get_answer(&client, 3)).await);
        }
        let too_slow = says(&client, 1, "the body took too long to arrive");
        while !tokio::time::timeout(SHORT / 20, slow.read_until(&too_slow)).await.unwrap_or(false) {
            assert!(!slow.is_closed() && begun.elapsed() < PATIENCE, "{}", slow.text());
            slow.send(piece(&client, 1, " ", false)).await;
        }
        acted_at(begun, SHORT, client.http);
        if client.http == Http::One {
            assert_eq!(statuses(&slow.text()), [408]);
            slow.until_closed().await;
        }
        // Below the limit: a body in two parts.
        let mut fast = Wire::open(&client).await;
        if client.http == Http::Two {
            fast.send(preface(&[])).await;
        }
        let body = format!(r#"{{"path":"slow/{:?}","version":{{"data":{{}}}}}}"#, client.http);
        let (front, back) = body.split_at(10);
        fast.send(post_head(&client, 1, body.len())).await;
        fast.send(piece(&client, 1, front, false)).await;
        tokio::time::sleep(SHORT / 4).await;
        fast.send(piece(&client, 1, back, true)).await;
        assert!(fast.read_until(says(&client, 1, "\"currentVersion\":1")).await, "{}", fast.text());
    })
    .await;
}

/// A chunked body that never ends, one byte at a time.
#[tokio::test]
async fn a_chunked_body_takes_so_long() {
    let (_server, client) = server(|limits| limits.body_time = Span(SHORT)).await;
    let mut slow = Wire::open(&client).await;
    let path = client.url("secret");
    slow.send(format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
    ))
    .await;
    slow.trickle_until_closed(SHORT / 20, "1\r\n \r\n").await;
    assert_eq!(statuses(&slow.text()), [408]);
}

#[tokio::test]
async fn a_value_is_so_large() {
    let (_server, client) = server(|limits| limits.value_bytes = ByteSize(4 << 10)).await;
    over_both(&client, async |client| {
        let body = |bytes: usize| {
            let value = format!(r#"{{"x":"{}"}}"#, "v".repeat(bytes - 8));
            assert_eq!(value.len(), bytes);
            format!(r#"{{"path":"large/{:?}","version":{{"data":{value}}}}}"#, client.http)
        };
        client.post("secret", &body((4 << 10) + 1)).await.error(400, 50_405_377);
        client.post("secret", &body(4 << 10)).await.ok();
        let version = format!(r#"{{"data":{{"x":"{}"}}}}"#, "v".repeat(4 << 10));
        client
            .post(&format!("secret/large/{:?}/version", client.http), &version)
            .await
            .error(400, 50_405_377);
    })
    .await;
    honest(&client).await;
}

#[tokio::test]
async fn a_body_is_so_large() {
    let (_server, client) = server(|limits| limits.value_bytes = ByteSize(4 << 10)).await;
    const MAX: usize = (4 << 10) + (64 << 10);
    over_both(&client, async |client| {
        // What is told beforehand is refused before it is sent.
        let mut told = Wire::open(&client).await;
        match client.http {
            Http::One => told.send(post_head(&client, 1, MAX + 1)).await,
            Http::Two => {
                let length = (MAX + 1).to_string();
                let block = fields("POST", &client.url("secret"), &[("content-length", &length)]);
                told.send([preface(&[]), frame(HEADERS, END_HEADERS, 1, &block)].concat()).await;
            }
        }
        let too_large = says(&client, 1, "the body is larger than this server takes");
        assert!(told.read_until(&too_large).await, "{}", told.text());
        // What is not told is refused once it has come.
        let mut untold = Wire::open(&client).await;
        match client.http {
            Http::One => {
                let path = client.url("secret");
                untold
                    .send(format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"))
                    .await;
                untold.send(format!("{:x}\r\n{}", MAX + 1, "x".repeat(MAX + 1))).await;
            }
            Http::Two => {
                untold.send([preface(&[]), post_head(&client, 1, 0)].concat()).await;
                // The windows are wider than at first once the server has said so, and the client
                // has agreed.
                let widened = |bytes: &[u8]| wire::frames(bytes).iter().any(|frame| frame.kind == WINDOW_UPDATE);
                assert!(untold.read_until(widened).await);
                untold.send(frame(SETTINGS, ACK, 0, &[])).await;
                for _ in 0..=MAX / 1000 {
                    untold.send(frame(DATA, 0, 1, &[b' '; 1000])).await;
                }
            }
        }
        assert!(untold.read_until(&too_large).await, "{:?}: {}", client.http, untold.text());
        // At the limit: white space counts as body, not as value.
        let body = format!(r#"{{"path":"padded/{:?}","version":{{"data":{{}}}}}}"#, client.http);
        client.post("secret", &format!("{body}{}", " ".repeat(MAX - body.len()))).await.ok();
        client.post("secret", &" ".repeat(MAX + 1)).await.error(413, 50_405_377);
    })
    .await;
    honest(&client).await;
}

/// A client that sends everything and only then reads must find the answer, not a connection that
/// was reset.
#[tokio::test]
async fn a_body_that_is_sent_before_anything_is_read() {
    let (_server, client) = server(|limits| limits.value_bytes = ByteSize(4 << 10)).await;
    const SENT: usize = 600 << 10;
    for (round, sent) in [SENT, SENT, SENT, SENT, 5 << 20].into_iter().enumerate() {
        let mut told = Wire::open(&client).await;
        told.send(post_head(&client, 1, sent)).await;
        told.send(vec![b' '; sent]).await;
        told.read_until(is_whole).await;
        assert_eq!(statuses(&told.text()), [413], "round {round}");
        let mut chunked = Wire::open(&client).await;
        let path = client.url("secret");
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        chunked.send(format!("{head}{sent:x}\r\n{}\r\n0\r\n\r\n", " ".repeat(sent))).await;
        chunked.read_until(is_whole).await;
        assert_eq!(statuses(&chunked.text()), [413], "round {round}");
        // The same for what is refused on its head alone.
        let mut lost = Wire::open(&client).await;
        lost.send(format!(
            "POST /nowhere HTTP/1.1\r\nhost: localhost\r\ncontent-length: {sent}\r\n\r\n"
        ))
        .await;
        lost.send(vec![b' '; sent]).await;
        lost.read_until(is_whole).await;
        assert_eq!(statuses(&lost.text()), [404], "round {round}");
        // It was read on to its end, so that the connection is still good.
        lost.send(get(&client, 1)).await;
        assert!(lost.read_until(has_get_answer(&client, 1)).await, "{}", lost.text());
    }
    // Over HTTP/2 refusals do not use up the connection.
    let mut connection = client.over(Http::Two).connect().await;
    for _ in 0..50 {
        let answer =
            connection.send(Method::POST, &client.url("secret"), &[], vec![b' '; SENT]).await;
        answer.error(413, 50_405_377);
    }
    connection.send(Method::GET, &client.url("secret/kept"), &[], "").await.ok();
}

fn is_whole(bytes: &[u8]) -> bool {
    String::from_utf8_lossy(bytes).contains("\"request_id\"")
}

/// What an HTTP/1.1 client may send, and must not: the answer is one clear refusal, and nothing
/// behind it is taken for a request.
#[tokio::test]
async fn malformed_requests_smuggle_nothing() {
    let (_server, client) = server(|_| {}).await;
    let path = client.url("secret/kept");
    let smuggled = format!("GET {path}?includeData=true HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let length = smuggled.len();
    for (name, request) in [
        (
            "two lengths",
            format!(
                "POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\ncontent-length: {length}\r\n\r\n"
            ),
        ),
        (
            "a list of lengths",
            format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: 0, {length}\r\n\r\n"),
        ),
        (
            "a signed length",
            format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: +0\r\n\r\n"),
        ),
        (
            "a hexadecimal length",
            format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: 0x0\r\n\r\n"),
        ),
        (
            "a huge length",
            format!(
                "POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: 99999999999999999999\r\n\r\n"
            ),
        ),
        (
            "an unknown coding",
            format!("POST {path} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: xchunked\r\n\r\n"),
        ),
        (
            "chunked is not last",
            format!("POST {path} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked, x\r\n\r\n"),
        ),
        (
            "a coding in 1.0",
            format!(
                "POST {path} HTTP/1.0\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
        ),
        (
            "a folded line",
            format!("POST {path} HTTP/1.1\r\nhost: h\r\nx: y\r\n z\r\ncontent-length: 0\r\n\r\n"),
        ),
        (
            "a blank before the colon",
            format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length : 0\r\n\r\n"),
        ),
        (
            "a bare CR",
            format!("POST {path} HTTP/1.1\r\nhost: h\rx: y\r\ncontent-length: 0\r\n\r\n"),
        ),
        (
            "a NUL",
            format!("POST {path} HTTP/1.1\r\nhost: h\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n"),
        ),
        (
            "a broken chunk",
            format!(
                "POST {path}/version HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"
            ),
        ),
        (
            "a huge chunk",
            format!(
                "POST {path}/version HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n"
            ),
        ),
        (
            "a bare LF behind a chunk's size",
            format!(
                "POST {path}/version HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2\n{{}}\r\n0\r\n\r\n"
            ),
        ),
        ("no version", format!("GET {path}\r\n\r\n")),
        ("an HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
    ] {
        let mut wire = Wire::open(&client).await;
        wire.send(format!("{request}{smuggled}")).await;
        wire.until_closed().await;
        let text = wire.text();
        assert!(!text.contains("kept"), "{name}: {text}");
        assert!(matches!(statuses(&text).as_slice(), [] | [400 | 413]), "{name}: {text}");
    }
    // Lines that end in a bare LF are lines, as the standard allows; a body begins where it would
    // otherwise.
    let mut bare = Wire::open(&client).await;
    bare.send(format!(
        "POST {path}/version HTTP/1.1\nhost: h\ncontent-length: 11\n\n{{\"data\":{{}}}}"
    ))
    .await;
    assert!(
        bare.read_until(|bytes| String::from_utf8_lossy(bytes).contains("\"id\":2")).await,
        "{}",
        bare.text()
    );
    assert_eq!(statuses(&bare.text()), [200]);
    // Both ways of telling a length: chunked counts, and what the other one would have made a body
    // is a request of its own. There is no second reading that a proxy could have been made to
    // believe.
    let mut both = Wire::open(&client).await;
    let head = "host: h\r\ncontent-length: 5\r\ntransfer-encoding: chunked";
    both.send(format!(
        "POST {path}/version HTTP/1.1\r\n{head}\r\n\r\nb\r\n{{\"data\":{{}}}}\r\n0\r\n\r\n"
    ))
    .await;
    assert!(
        both.read_until(|bytes| String::from_utf8_lossy(bytes).contains("\"id\":3")).await,
        "{}",
        both.text()
    );
    assert_eq!(statuses(&both.text()), [200]);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (_server, client) = server(|_| {}).await;
    let mut wire = Wire::open(&client).await;
    let mut requests = Vec::new();
    for n in 0..20 {
        let path = client.url(if n % 2 == 0 { "secret/kept" } else { "secret/none" });
        requests.extend(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes());
    }
    wire.send(requests).await;
    let expected: Vec<_> = (0..20).map(|n| if n % 2 == 0 { 200 } else { 404 }).collect();
    assert!(wire.read_until(|bytes| statuses(&String::from_utf8_lossy(bytes)).len() == 20).await);
    assert_eq!(statuses(&wire.text()), expected);
}

#[tokio::test]
async fn expect_100_continue() {
    let (_server, client) = server(|limits| limits.value_bytes = ByteSize(4 << 10)).await;
    let path = client.url("secret");
    let head = |length: usize| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let body = r#"{"path":"expected","version":{"data":{}}}"#;
    let mut right = Wire::open(&client).await;
    right.send(head(body.len())).await;
    assert!(right.read_until(|bytes| bytes.ends_with(b"\r\n\r\n")).await);
    assert_eq!(statuses(&right.text()), [100]);
    right.send(body).await;
    assert!(
        right.read_until(|bytes| String::from_utf8_lossy(bytes).contains("currentVersion")).await
    );
    assert_eq!(statuses(&right.text()), [100, 200]);
    // What would be refused is refused before it is sent.
    let mut large = Wire::open(&client).await;
    large.send(head(1 << 20)).await;
    assert!(large.read_until(|bytes| String::from_utf8_lossy(bytes).contains("larger than")).await);
    assert_eq!(statuses(&large.text()), [413]);
}

/// The bytes of many GETs of a large secret, and the connection on which nobody takes the answers.
pub async fn large_answers(server: &TestServer, client: &Client) -> String {
    let body =
        format!(r#"{{"path":"large","version":{{"data":{{"x":"{}"}}}}}}"#, "v".repeat(500 << 10));
    client.post("secret", &body).await.ok();
    server.metric_reaches("okmsd_connections ", 0.0).await;
    client.url("secret/large?includeData=true")
}

#[tokio::test]
async fn an_answer_is_taken_within_a_time() {
    let (server, client) = server(|limits| {
        limits.request_time = Span(SHORT);
        limits.idle_time = Span(4 * SHORT);
    })
    .await;
    let path = large_answers(&server, &client).await;
    over_both(&client, async |client| {
        let mut stalled = Wire::open(&client).await;
        let begun = Instant::now();
        match client.http {
            Http::One => {
                // More than all buffers between the two take.
                let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
                stalled.send(request.repeat(50)).await;
            }
            Http::Two => {
                // The client's window lets nothing through.
                stalled.send(preface(&[(INITIAL_WINDOW_SIZE, 0)])).await;
                stalled.send(head(1, END_STREAM, "GET", &path)).await;
            }
        }
        let closed = async || {
            // Where the buffers happen to be full at the very end of an answer, the next one has
            // not begun.
            let (request, idle) = (closed_by("request"), closed_by("idle"));
            server.metric(&request).await + server.metric(&idle).await >= 2.0
        };
        eventually("both were closed", closed).await;
        assert!(begun.elapsed() >= SHORT * 9 / 10, "closed after {:?}", begun.elapsed());
        honest(&client).await;
        stalled.until_closed().await;
    })
    .await;
    server.metric_reaches(&closed_by("request"), 1.0).await;
    // A reader that takes what it asked for is served.
    client.call(Method::GET, &path, "").await.ok();
    client.over(Http::Two).call(Method::GET, &path, "").await.ok();
}

/// A client whose window is ever so small takes an answer byte by byte: as long as the answer is
/// not taken, the request is in progress and counts.
#[tokio::test]
async fn an_answer_that_is_taken_byte_by_byte() {
    let (server, client) = server(|limits| limits.request_time = Span(SHORT)).await;
    let path = large_answers(&server, &client).await;
    let client = client.over(Http::Two);
    let mut stalled = Wire::open(&client).await;
    stalled.send(preface(&[(INITIAL_WINDOW_SIZE, 1)])).await;
    stalled.send(head(1, END_STREAM, "GET", &path)).await;
    stalled
        .trickle_until_closed(SHORT / 20, frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes()))
        .await;
    server.metric_reaches(&closed_by("request"), 1.0).await;
    honest(&client).await;
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let (server, client) = server(|limits| limits.idle_time = Span(2 * SHORT)).await;
    over_both(&client, async |client| {
        let mut idle = Wire::open(&client).await;
        if client.http == Http::Two {
            idle.send(preface(&[])).await;
        }
        let mut begun = Instant::now();
        // Requests keep it open for longer than the limit.
        for n in 0..6 {
            let stream = 2 * n + 1;
            idle.send(get(&client, stream)).await;
            assert!(
                idle.read_until(has_get_answer(&client, stream)).await,
                "request {n}: {}",
                idle.text()
            );
            begun = Instant::now();
            tokio::time::sleep(SHORT / 2).await;
        }
        match client.http {
            Http::One => idle.until_closed().await,
            // Frames that are no requests do not.
            Http::Two => idle.trickle_until_closed(SHORT / 5, frame(PING, 0, 0, &[0; 8])).await,
        };
        acted_at(begun, 2 * SHORT, client.http);
        if client.http == Http::Two {
            assert!(
                idle.frames().iter().any(|frame| frame.kind == GOAWAY),
                "closed without a word"
            );
        }
    })
    .await;
    server.metric_reaches(&closed_by("idle"), 2.0).await;
    honest(&client).await;
}

#[tokio::test]
async fn streams_at_once() {
    let (_server, client) = server(|limits| limits.http2_streams = 3).await;
    let client = client.over(Http::Two);
    let mut wire = Wire::open(&client).await;
    wire.send(preface(&[])).await;
    for stream in [1, 3, 5, 7] {
        wire.send(post_head(&client, stream, 0)).await;
    }
    let refused = |frames: &[Frame]| {
        frames.iter().any(|frame| frame.stream == 7 && frame.error() == Some(REFUSED_STREAM))
    };
    while !refused(&wire.frames()) {
        let seen = wire.frames().len();
        assert!(wire.read_until(|bytes| frames_in(bytes) > seen).await, "{:?}", wire.frames());
    }
    let settings = wire.frames().iter().find_map(|frame| frame.setting(MAX_CONCURRENT_STREAMS));
    assert_eq!(settings, Some(3));
    for stream in [1, 3, 5] {
        wire.send(piece(
            &client,
            stream,
            &format!(r#"{{"path":"s/{stream}","version":{{"data":{{}}}}}}"#),
            true,
        ))
        .await;
    }
    for stream in [1, 3, 5] {
        assert!(wire.read_until(says(&client, stream, "\"currentVersion\":1")).await);
    }
    // A client that has heard of the limit waits its turn and sees nothing of it.
    let mut connection = client.connect().await;
    connection.send(Method::GET, &client.url("secret/kept"), &[], "").await.ok();
    let crate::harness::Sender::Two(sender) = &connection.0.sender else { unreachable!() };
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let (mut sender, path) = (sender.clone(), client.url("secret/kept"));
        all.spawn(async move {
            let request = hyper::Request::get(format!("https://localhost{path}"));
            sender.ready().await.unwrap();
            sender
                .send_request(request.body(http_body_util::Full::default()).unwrap())
                .await
                .unwrap()
                .status()
        });
    }
    assert!(
        tokio::time::timeout(PATIENCE, all.join_all())
            .await
            .unwrap()
            .iter()
            .all(|status| *status == 200)
    );
    honest(&client).await;
}

fn frames_in(bytes: &[u8]) -> usize {
    wire::frames(bytes).len()
}

#[tokio::test]
async fn rapid_resets() {
    let (_server, client) = server(|limits| limits.http2_resets = 3).await;
    let client = client.over(Http::Two);
    let pairs = |streams: std::ops::Range<u32>| {
        let streams = streams.map(|n| 2 * n + 1);
        let path = client.url("secret/kept");
        streams.flat_map(move |stream| {
            [
                head(stream, END_STREAM, "GET", &path),
                frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()),
            ]
            .concat()
        })
    };
    let mut wire = Wire::open(&client).await;
    wire.send(preface(&[])).await;
    wire.send(pairs(0..2).collect::<Vec<_>>()).await;
    wire.send(get(&client, 101)).await;
    assert!(
        wire.read_until(has_get_answer(&client, 101)).await,
        "a few resets are fine: {:?}",
        wire.frames()
    );
    wire.send(pairs(100..118).collect::<Vec<_>>()).await;
    honest(&client).await;
    wire.until_closed().await;
    assert_eq!(
        wire.frames().iter().find_map(Frame::error),
        Some(ENHANCE_YOUR_CALM),
        "{:?}",
        wire.frames()
    );
}

/// A client can also provoke resets by the server, with frames that are wrong for their stream:
/// here windows that grow beyond what there is.
#[tokio::test]
async fn resets_that_the_server_is_made_to_send() {
    let (_server, client) = server(|limits| limits.http2_resets = 5).await;
    let client = client.over(Http::Two);
    let mut wire = Wire::open(&client).await;
    wire.send(preface(&[])).await;
    let path = client.url("secret");
    // Fewer than the default allows.
    for n in 0..15 {
        let stream = 2 * n + 1;
        wire.send(
            [
                head(stream, 0, "POST", &path),
                frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]),
            ]
            .concat(),
        )
        .await;
    }
    wire.until_closed().await;
    assert!(
        wire.frames()
            .iter()
            .any(|frame| frame.kind == GOAWAY && frame.error() == Some(ENHANCE_YOUR_CALM)),
        "{:?}",
        wire.frames()
    );
    honest(&client).await;
}

/// An answer overtook the body that it refuses. Once curl 7.88 has seen the answer's head it ends
/// the body short of the length that it told; that is an error of the stream, which took the
/// answer's body with it. So the answer waits a moment for what is on its way.
#[tokio::test]
async fn an_early_answer_waits_a_moment_for_the_rest() {
    let (_server, client) = server(|_| ()).await;
    let client = client.over(Http::Two);
    let mut waited = false;
    // A machine that sleeps for longer than that moment shows nothing.
    for _ in 0..5 {
        let mut wire = Wire::open(&client).await;
        wire.send(preface(&[])).await;
        let post = fields("POST", "/nowhere", &[("content-length", "2")]);
        let begun = [frame(HEADERS, END_HEADERS, 1, &post), frame(DATA, 0, 1, b"{")];
        wire.send([begun.concat(), get(&client, 3)].concat()).await;
        assert!(wire.read_until(has_get_answer(&client, 3)).await);
        let is_answer = |frame: &Frame| frame.kind == HEADERS && frame.stream == 1;
        waited |= !wire.frames().iter().any(is_answer);
        wire.send(frame(DATA, END_STREAM, 1, b"}")).await;
        assert!(wire.read_until(|bytes| wire::body(bytes, 1).is_some()).await);
    }
    assert!(waited, "the answer came before the body's end each time");
    // One who never ends it gets the answer, too.
    let mut wire = Wire::open(&client).await;
    let post = fields("POST", "/nowhere", &[("content-length", "2")]);
    wire.send([preface(&[]), frame(HEADERS, END_HEADERS, 1, &post)].concat()).await;
    assert!(wire.read_until(|bytes| wire::body(bytes, 1).is_some()).await);
}

/// Large bodies and answers in memory at once are bounded by their bytes: what goes beyond is told
/// to come back.
#[tokio::test]
async fn large_answers_and_bodies_at_once() {
    let (server, client) = server(|limits| limits.buffer_bytes = ByteSize(2 << 20)).await;
    let path = large_answers(&server, &client).await;
    for http in BOTH {
        let client = client.over(http);
        let mut stalled = Wire::open(&client.over(Http::Two)).await;
        stalled.send(preface(&[(INITIAL_WINDOW_SIZE, 0)])).await;
        for stream in 0..4 {
            stalled.send(head(2 * stream + 1, END_STREAM, "GET", &path)).await;
        }
        eventually("429", async || client.call(Method::GET, &path, "").await.status == 429).await;
        let counted = r#"okmsd_quota_refusals_total{domain="other",reason="memory"}"#;
        let before = server.metric(counted).await;
        client.call(Method::GET, &path, "").await.error(429, 50_434_049);
        assert_eq!(server.metric(counted).await, before + 1.0, "an answer");
        let large = format!(
            r#"{{"path":"other","version":{{"data":{{"x":"{}"}}}}}}"#,
            "v".repeat(200 << 10)
        );
        client.post("secret", &large).await.error(429, 50_434_049);
        assert_eq!(server.metric(counted).await, before + 2.0, "a body");
        let unwrap = r#"{"token":"of an answer of any size"}"#;
        let unwrapped = client.call(Method::PUT, "/v1/sys/wrapping/unwrap", unwrap).await;
        unwrapped.error(429, 50_434_049);
        assert_eq!(server.metric(counted).await, before + 3.0, "an answer that comes once");
        // Small ones go on.
        honest(&client).await;
        drop(stalled);
        eventually("room", async || client.call(Method::GET, &path, "").await.status == 200).await;
    }
}

/// Pages have 10 to 100 entries, whatever is asked for.
#[tokio::test]
async fn page_sizes_are_clamped() {
    let (_server, client) = server(|_| {}).await;
    let mut connection = client.over(Http::Two).connect().await;
    for n in 0..105 {
        let body = format!(r#"{{"path":"page/{n:03}","version":{{"data":{{}}}}}}"#);
        connection.send(Method::POST, &client.url("secret"), &[], body).await.ok();
    }
    over_both(&client, async |client| {
        let mut connection = client.connect().await;
        for (size, count) in [
            ("0", 10),
            ("9", 10),
            ("10", 10),
            ("42", 42),
            ("100", 100),
            ("101", 100),
            ("99999999999999999999", 100),
        ] {
            let headers = [("x-pagination-size", size)];
            let page = connection.send(Method::GET, &client.url("secret"), &headers, "").await;
            assert_eq!(page.ok().as_array().unwrap().len(), count, "size {size}");
            assert!(page.next().is_some());
        }
        for size in ["-1", "1.5", "many"] {
            let headers = [("x-pagination-size", size)];
            connection
                .send(Method::GET, &client.url("secret"), &headers, "")
                .await
                .error(400, 50_405_377);
        }
    })
    .await;
}
