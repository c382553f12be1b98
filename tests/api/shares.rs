//! What is shared: places, memory and turns. One peer, one domain, and all peers without a
//! certificate together take their share of it, and never what the others need.

use std::time::{Duration, Instant};

use hyper::Method;
use okmsd::{
    config::{ByteSize, Span},
    pki::Subject,
};

use crate::{
    failure::Faulty,
    harness::{BOTH, Client, Http, eventually},
    limits::{
        SHORT, acted_at, closed_by, get, has_get_answer, honest, large_answers, over_both, piece,
        post_head, says, server,
    },
    proxies::{forwarded_read, forwards},
    wire::{self, *},
};

/// A place is held while work is done, be it that a domain has taken all it may, and free
/// afterwards.
#[tokio::test]
async fn requests_in_progress() {
    let (server, engine) = Faulty::serve(|config| config.limits.in_flight = 4).await;
    let (client, other) = (server.tenant().await, server.tenant().await);
    for (client, path) in [(&client, "kept"), (&other, "kept")] {
        client.create(path, r#"{"word":"kept"}"#).await.ok();
    }
    for http in BOTH {
        let client = client.over(http);
        engine.hold();
        let writers: Vec<_> = (0..2)
            .map(|n| {
                let client = client.clone();
                tokio::spawn(
                    async move { client.create(&format!("held/{http:?}/{n}"), "{}").await },
                )
            })
            .collect();
        eventually("both work", async || engine.commits() == 2).await;
        for own in BOTH {
            // The harness checks Retry-After.
            client.over(own).get("secret/kept").await.error(429, 50_434_049);
            client.over(own).post("secret", "{}").await.error(429, 50_434_049);
            assert!(
                server
                    .metric(r#"okmsd_quota_refusals_total{domain="other",reason="places"}"#)
                    .await
                    > 0.0
            );
            // Half of all places are a domain's at most.
            honest(&other.over(own)).await;
        }
        assert_eq!(server.admin("/readyz").await.0, 200, "a busy server is not a broken one");
        engine.let_go();
        for writer in writers {
            writer.await.unwrap().ok();
        }
        eventually("room", async || client.get("secret/kept").await.status == 200).await;
    }
}

/// One key has all that is its domain's while it is alone there, and leaves the others room when it is not.
#[tokio::test]
async fn one_key_leaves_its_domain_room() {
    let (server, engine) = Faulty::serve(|config| config.limits.in_flight = 16).await;
    let greedy = server.tenant().await;
    greedy.create("kept", r#"{"word":"kept"}"#).await.ok();
    let modest = server.client_of(&greedy.id, Http::One);
    for (round, is_alone, most) in [(1, true, 8), (2, false, 6), (3, true, 8)] {
        let mut other = if is_alone { None } else { Some(modest.connect().await) };
        if let Some(other) = &mut other {
            other.send(Method::GET, &greedy.url("secret/kept"), &[], "").await.ok();
        }
        engine.hold();
        let writers: Vec<_> = (0..most)
            .map(|n| {
                let client = greedy.clone();
                tokio::spawn(async move { client.create(&format!("{round}/{n}"), "{}").await })
            })
            .collect();
        eventually("all work", async || engine.commits() == most).await;
        // The harness checks Retry-After.
        greedy.get("secret/kept").await.error(429, 50_434_049);
        if let Some(other) = &mut other {
            for _ in 0..3 {
                other.send(Method::GET, &greedy.url("secret/kept"), &[], "").await.ok();
            }
        }
        engine.let_go();
        for writer in writers {
            writer.await.unwrap().ok();
        }
        drop(other);
        eventually("all have gone", async || server.metric("okmsd_connections ").await < 1.0).await;
    }
}

/// A body that takes its time holds no place: eleven connections with a hundred such bodies each
/// once kept everybody else out for as long as they liked.
#[tokio::test]
async fn slow_bodies_hold_no_place() {
    let (server, client) = server(|limits| limits.in_flight = 8).await;
    let other = server.tenant().await;
    other.create("kept", r#"{"word":"kept"}"#).await.ok();
    let mut holders = Vec::new();
    for _ in 0..3 {
        let mut two = Wire::open(&client.over(Http::Two)).await;
        two.send(preface(&[])).await;
        for stream in 0..40 {
            let client = client.over(Http::Two);
            let post = [
                post_head(&client, 2 * stream + 1, 100),
                piece(&client, 2 * stream + 1, "{", false),
            ];
            two.send(post.concat()).await;
        }
        holders.push(two);
        for _ in 0..20 {
            let mut one = Wire::open(&client).await;
            one.send([post_head(&client, 1, 100), piece(&client, 1, "{", false)].concat()).await;
            holders.push(one);
        }
    }
    honest(&client).await;
    honest(&other).await;
    let body = r#"{"path":"late","version":{"data":{"word":"kept"}}}"#;
    other.post("secret", body).await.ok();
    // Nor are the slow ones forgotten.
    let rest = format!("{}}}", " ".repeat(98));
    let last = holders.last_mut().unwrap();
    last.send(piece(&client, 1, &rest, true)).await;
    assert!(last.read_until(says(&client, 1, "error_code")).await, "{}", last.text());
}

/// The body of a GET is not kept while the request waits for its turn. 400 connections with a MiB
/// of it each once took 490 MiB, which nobody had counted.
#[tokio::test]
async fn the_bodies_of_reads_are_not_kept() {
    let (server, engine) = Faulty::serve(|_| {}).await;
    let client = server.tenant().await;
    client.create("kept", r#"{"word":"kept"}"#).await.ok();
    engine.hold_reads();
    let mut two = Wire::open(&client.over(Http::Two)).await;
    two.send([preface(&[]), head(1, 0, "GET", &client.url("secret/kept"))].concat()).await;
    let is_open = |frames: &[Frame]| {
        frames.iter().any(|frame| frame.kind == WINDOW_UPDATE && frame.stream == 0)
    };
    assert!(two.read_until(|bytes| is_open(&wire::frames(bytes))).await, "{:?}", two.frames());
    two.send(frame(SETTINGS, ACK, 0, &[])).await;
    for _ in 0..60 {
        two.send(frame(DATA, 0, 1, &[b'x'; 16 << 10])).await;
    }
    // The window opens again as what was sent is taken.
    let opened = |frames: &[Frame]| {
        frames.iter().filter(|frame| frame.kind == WINDOW_UPDATE && frame.stream == 1).count()
    };
    assert!(two.read_until(|bytes| opened(&wire::frames(bytes)) > 0).await, "{:?}", two.frames());
    assert!(two.frames().iter().all(|frame| frame.kind != HEADERS), "there is no answer yet");
    engine.let_go();
    assert!(two.read_until(|bytes| wire::body(bytes, 1).is_some()).await);
}

/// A connection that sends its body in small pieces was ended without an answer, as if they were a
/// flood.
#[tokio::test]
async fn a_body_in_small_pieces() {
    let (_server, client) = server(|_| {}).await;
    let body =
        format!(r#"{{"path":"crumbs","version":{{"data":{{"x":"{}"}}}}}}"#, "v".repeat(200 << 10));
    let mut two = Wire::open(&client.over(Http::Two)).await;
    two.send([preface(&[]), head(1, 0, "POST", &client.url("secret"))].concat()).await;
    let begun = Instant::now();
    for piece in body.as_bytes().chunks(50) {
        two.send(frame(DATA, 0, 1, piece)).await;
    }
    two.send(frame(DATA, END_STREAM, 1, b"")).await;
    assert!(two.read_until(|bytes| wire::body(bytes, 1).is_some()).await, "{:?}", two.frames());
    // They are taken at a pace.
    assert!(begun.elapsed() > Duration::from_millis(250), "{:?}", begun.elapsed());
    client.get("secret/crumbs?includeData=true").await.ok();
}

/// The place of a request in progress is free once its work is done: a peer that takes no answers,
/// and needs no certificate for that, once held them all.
#[tokio::test]
async fn answers_that_nobody_takes_hold_no_place() {
    let (server, client) = server(|limits| limits.in_flight = 32).await;
    let anonymous = server.anonymous().over(Http::Two);
    let mut stalled = [Wire::open(&anonymous).await, Wire::open(&client.over(Http::Two)).await];
    let path = client.url("secret/kept");
    for wire in &mut stalled {
        wire.send(preface(&[(INITIAL_WINDOW_SIZE, 0)])).await;
        for stream in 0..16 {
            wire.send(head(2 * stream + 1, END_STREAM, "GET", &path)).await;
        }
    }
    for status in ["401", "200"] {
        let counted =
            format!("okmsd_requests_total{{operation=\"GetSecretV2\",status=\"{status}\"}}");
        server.metric_reaches(&counted, 16.0).await;
    }
    honest(&client).await;
}

/// Twelve connections that took no answers once had all memory for bodies and answers, and
/// everybody else was told to come back for two minutes.
#[tokio::test]
async fn one_domain_leaves_memory_for_the_others() {
    let (server, client) = server(|limits| limits.buffer_bytes = ByteSize(8 << 20)).await;
    let other = server.tenant().await;
    let large = format!(r#"{{"x":"{}"}}"#, "v".repeat(500 << 10));
    other.create("large", &large).await.ok();
    let path = large_answers(&server, &client).await;
    let mut stalled = Vec::new();
    for _ in 0..6 {
        let client = client.over(Http::Two);
        let mut wire = Wire::open(&client).await;
        wire.send(preface(&[(INITIAL_WINDOW_SIZE, 0)])).await;
        for stream in 0..8 {
            wire.send(head(2 * stream + 1, END_STREAM, "GET", &path)).await;
        }
        stalled.push(wire);
    }
    eventually("429", async || client.call(Method::GET, &path, "").await.status == 429).await;
    for http in BOTH {
        let other = other.over(http);
        other.get("secret/large?includeData=true").await.ok();
        other.post("secret/large/version", &format!(r#"{{"data":{large}}}"#)).await.ok();
    }
}

/// Of what a peer has asked for it must take something now and then. One that takes nothing once
/// kept up to 3.7 MiB a connection for two minutes, and needed no certificate for it.
#[tokio::test]
async fn a_peer_that_takes_nothing() {
    let (server, client) = server(|limits| limits.stall_time = Span(2 * SHORT)).await;
    let path = large_answers(&server, &client).await;
    let anonymous = server.anonymous().over(Http::Two);
    let mut closings = Vec::new();
    for (client, path, window) in [
        (client.over(Http::Two), path.as_str(), 0),
        (anonymous.clone(), "/openapi.json", 0),
        (anonymous.clone(), "/openapi.json", 1),
    ] {
        let mut wire = Wire::open(&client).await;
        let begun = Instant::now();
        wire.send(preface(&[(INITIAL_WINDOW_SIZE, window)])).await;
        for stream in 0..10 {
            wire.send(head(2 * stream + 1, END_STREAM, "GET", path)).await;
        }
        closings.push(tokio::spawn(async move {
            // Pings are answered, and are no progress.
            wire.trickle_until_closed(SHORT / 5, frame(PING, 0, 0, &[0; 8])).await;
            acted_at(begun, 2 * SHORT, window);
        }));
    }
    // Who takes what it asks for, however slowly, is served.
    let mut slow = Wire::open(&client.over(Http::Two)).await;
    slow.send(preface(&[(INITIAL_WINDOW_SIZE, 20_000)])).await;
    slow.send(head(1, END_STREAM, "GET", &path)).await;
    for _ in 0..12 {
        tokio::time::sleep(SHORT / 2).await;
        for stream in [0, 1] {
            slow.send(frame(WINDOW_UPDATE, 0, stream, &20_000_u32.to_be_bytes())).await;
        }
    }
    for stream in [0, 1] {
        slow.send(frame(WINDOW_UPDATE, 0, stream, &1_000_000_u32.to_be_bytes())).await;
    }
    assert!(
        slow.read_until(|bytes| wire::body(bytes, 1).is_some()).await,
        "cut while it took something"
    );
    for closing in closings {
        closing.await.unwrap();
    }
    server.metric_reaches(&closed_by("stall"), 3.0).await;
    honest(&client).await;
}

/// What waits for a stranger is little, whatever it asks for: streams beyond a few are refused.
#[tokio::test]
async fn a_stranger_has_few_streams() {
    let (server, client) = server(|_| {}).await;
    let mut wire = Wire::open(&server.anonymous().over(Http::Two)).await;
    wire.send(preface(&[(INITIAL_WINDOW_SIZE, 0)])).await;
    for stream in 0..20 {
        wire.send(head(2 * stream + 1, END_STREAM, "GET", "/openapi.json")).await;
    }
    let refused = |frames: &[Frame]| {
        frames.iter().filter(|frame| frame.error() == Some(REFUSED_STREAM)).count()
    };
    assert!(wire.read_until(|bytes| refused(&wire::frames(bytes)) == 4).await);
    assert_eq!(
        wire.frames().iter().find_map(|frame| frame.setting(MAX_CONCURRENT_STREAMS)),
        Some(16)
    );
    honest(&client).await;
}

/// Frames that ask for nothing end the connection: seventeen million of them a second once took a
/// core, and no certificate was needed.
#[tokio::test]
async fn frames_that_ask_for_nothing() {
    let (server, client) = server(|_| {}).await;
    let floods: [(&str, Vec<u8>); 6] = [
        ("PRIORITY", frame(2, 0, 1, &[0, 0, 0, 0, 10])),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())),
        ("unknown", frame(0xbb, 0, 0, b"x")),
        ("GOAWAY", frame(GOAWAY, 0, 0, &[0; 8])),
        ("PING", frame(PING, ACK, 0, &[0; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
    ];
    let count = floods.len();
    for (name, flood) in floods {
        for peer in [server.anonymous().over(Http::Two), client.over(Http::Two)] {
            let mut wire = Wire::open(&peer).await;
            let begun = Instant::now();
            wire.send(preface(&[])).await;
            // Nobody would notice these.
            wire.send(flood.repeat(100)).await;
            if name != "GOAWAY" {
                wire.send(head(1, END_STREAM, "GET", "/")).await;
                assert!(
                    wire.read_until(|bytes| wire::frames(bytes)
                        .iter()
                        .any(|frame| frame.kind == HEADERS))
                        .await
                );
            }
            wire.send(flood.repeat(20_000)).await;
            wire.until_closed().await;
            assert!(begun.elapsed() < 4 * SHORT, "{name}: after {:?}", begun.elapsed());
        }
    }
    // The HTTP library has its own words for some.
    let closed = server.metric(&closed_by("flood")).await;
    assert!(closed >= count as f64, "{closed}");
    honest(&client).await;
}

/// Peers without a certificate, however many and however busy, leave room for those that have one.
#[tokio::test]
async fn strangers_give_way() {
    let (server, client) = server(|limits| {
        limits.connections = 16;
        limits.anonymous_connections = 3;
    })
    .await;
    let mut strangers = Vec::new();
    for n in 0..12 {
        let anonymous = server.anonymous().over(if n % 2 == 0 { Http::One } else { Http::Two });
        let opened = tokio::time::timeout(10 * SHORT, Wire::open(&anonymous)).await;
        let mut stranger = opened.expect("a stranger that comes later finds room too");
        if n % 2 == 0 {
            stranger.send("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        }
        strangers.push(stranger);
    }
    let mut silent = Vec::new();
    for _ in 0..12 {
        silent.push(tokio::net::TcpStream::connect(client.address).await.unwrap());
    }
    let begun = Instant::now();
    honest(&client).await;
    assert!(begun.elapsed() < 8 * SHORT, "{:?}", begun.elapsed());
    server.metric_reaches(&closed_by("wanted"), 9.0).await;
    // Those that came with a certificate give way to nobody.
    let mut known = Wire::open(&client).await;
    for _ in 0..6 {
        strangers.push(Wire::open(&server.anonymous()).await);
    }
    known.send(get(&client, 1)).await;
    assert!(known.read_until(has_get_answer(&client, 1)).await);
}

/// One domain with a certificate once held all connections, and everybody else waited for its
/// deadlines.
#[tokio::test]
async fn one_domain_leaves_connections_for_the_others() {
    let (mut server, client) = server(|limits| limits.connections = 12).await;
    let proxy = forwards(&mut server, None);
    let pair = server.issue(&Subject::Domain(client.id.parse().unwrap()), 30);
    let other = server.tenant().await;
    other.create("kept", r#"{"word":"kept"}"#).await.ok();
    server.metric_reaches("okmsd_connections ", 0.0).await;
    // One key has three quarters of the nine that are its domain's.
    let other_key = server.client_of(&client.id, Http::One);
    let mut greedy = Vec::new();
    for client in [&client; 7].into_iter().chain([&other_key; 2]) {
        let mut wire = Wire::open(client).await;
        wire.send(get(client, 1)).await;
        assert!(wire.read_until(has_get_answer(client, 1)).await);
        greedy.push(wire);
    }
    // One that comes beyond was once closed without a word.
    for http in BOTH {
        client.over(http).get("secret/kept").await.error(429, 50_434_049);
        let vault = client.over(http);
        vault.call(Method::GET, "/v1/secret/data/kept", "").await.error(429, 50_434_049);
        let counted = r#"okmsd_quota_refusals_total{domain="other",reason="connections"}"#;
        let before = server.metric(counted).await;
        assert!(before > 0.0);
        // Through a proxy, too.
        forwarded_read(&server, &proxy, &client.id, &pair).await.error(429, 50_434_049);
        assert_eq!(server.metric(counted).await, before + 1.0);
    }
    let mut beyond = Wire::open(&client).await;
    beyond.send(get(&client, 1)).await;
    beyond.until_closed().await;
    assert_eq!(statuses(&beyond.text()), [429]);
    server.metric_reaches(&closed_by("share"), 5.0).await;
    honest(&other).await;
    greedy.remove(0);
    eventually("a place that is left is free again", async || {
        let mut again = Wire::open(&client).await;
        again.send(get(&client, 1)).await;
        again.read_until(has_get_answer(&client, 1)).await
    })
    .await;
}

/// A certificate that says nothing to us is worth as much as none: its holder gives way as
/// strangers do.
#[tokio::test]
async fn who_is_nobody_is_a_stranger() {
    let (server, client) = server(|limits| {
        limits.connections = 16;
        limits.anonymous_connections = 3;
    })
    .await;
    let nobody =
        server.client(Some(&server.mint(&crate::harness::Leaf::default())), None, Http::One);
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut wire = Wire::open(&nobody).await;
        wire.send("GET /v2/okms/resource HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert!(wire.read_until(|bytes| statuses(&String::from_utf8_lossy(bytes)) == [401]).await);
        held.push(wire);
    }
    server.metric_reaches(&closed_by("wanted"), 5.0).await;
    honest(&client).await;
}

/// Refusals that nobody takes once grew by thousands. Who asks again and again, and takes none, is
/// cut.
#[tokio::test]
async fn refusals_that_nobody_takes() {
    let (server, client) = server(|limits| {
        limits.value_bytes = ByteSize(16 << 10);
        limits.buffer_bytes = ByteSize(8 << 20);
    })
    .await;
    let other = server.tenant().await;
    other.create("kept", r#"{"word":"kept"}"#).await.ok();
    let path = client.url("secret/none");
    let mut greedy = Vec::new();
    for _ in 0..3 {
        let mut wire = Wire::open(&client.over(Http::Two)).await;
        wire.send(preface(&[(INITIAL_WINDOW_SIZE, 0)])).await;
        wire.send(
            (0..100).flat_map(|n| head(2 * n + 1, END_STREAM, "GET", &path)).collect::<Vec<_>>(),
        )
        .await;
        greedy.push(wire);
    }
    server.metric_reaches(&closed_by("refusals"), 1.0).await;
    honest(&other).await;
    drop(greedy);
    eventually("the domain is served again", async || {
        client.get("secret/kept").await.status == 200
    })
    .await;
}

#[tokio::test]
async fn a_stranger_is_idle() {
    let (server, client) = server(|limits| limits.anonymous_idle_time = Span(2 * SHORT)).await;
    let mut known = Wire::open(&client).await;
    known.send(get(&client, 1)).await;
    assert!(known.read_until(has_get_answer(&client, 1)).await);
    over_both(&server.anonymous(), async |client: Client| {
        let mut idle = Wire::open(&client).await;
        let begun = Instant::now();
        match client.http {
            Http::One => idle.send("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await,
            Http::Two => idle.send([preface(&[]), head(1, END_STREAM, "GET", "/")].concat()).await,
        }
        idle.until_closed().await;
        acted_at(begun, 2 * SHORT, client.http);
    })
    .await;
    server.metric_reaches(&closed_by("idle"), 2.0).await;
    assert!(!known.is_closed());
    known.send(get(&client, 1)).await;
    assert!(known.read_until(|bytes| statuses(&String::from_utf8_lossy(bytes)).len() == 2).await);
}
