//! A policy decision point that is down, slow, wrong, or asked too much.

use std::time::Instant;

use okmsd::config::Span;

use super::*;
use crate::{feeds::Events, harness::Http};

async fn read(client: &Client) -> Answer {
    client.call(Method::GET, "/api/secrets/value?uri=openbao+kv2://secret/a", "").await
}

#[track_caller]
fn is_unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json()["code"], "PDP_UNAVAILABLE", "{answer:?}");
    assert_eq!(answer.headers["retry-after"], "5");
}

/// Case 109: whatever is no answer permits nothing.
#[tokio::test]
async fn case_109_what_is_no_answer() {
    let pdp = Pdp::start().await;
    let other = Pdp::start().await;
    let (server, client) =
        pdp.server(|config| config.pdp.timeout = Span(Duration::from_millis(300))).await;
    client.create("a", r#"{"t":1}"#).await.ok();
    let mut huge = br#"{"decision":true,"x":""#.to_vec();
    huge.resize(1 << 20, b'x');
    huge.extend(br#""}"#);
    for (mode, words) in [
        (Mode::Says(200, b"{}".to_vec()), "it is no answer"),
        (Mode::Says(200, Vec::new()), "it is no answer"),
        (Mode::Says(200, br#"{"decision":"true"}"#.to_vec()), "it is no answer"),
        (Mode::Says(200, br#"{"evaluations":[{"decision":true}]}"#.to_vec()), "it is no answer"),
        (Mode::Says(200, huge), "larger than"),
        (Mode::Says(201, br#"{"decision":true}"#.to_vec()), "status 201"),
        (Mode::Says(403, br#"{"decision":true}"#.to_vec()), "status 403"),
        (Mode::Says(500, br#"{"decision":true}"#.to_vec()), "status 500"),
        (Mode::Leads(format!("http://{}/access/v1/evaluation", other.address)), "status 307"),
        (Mode::Stops, "did not answer within"),
        (Mode::Silence, "did not answer within"),
    ] {
        pdp.does(mode);
        let (begun, answer) = (Instant::now(), read(&client).await);
        is_unavailable(&answer);
        assert!(begun.elapsed() < Duration::from_secs(5), "{words}");
        let body = json!({"uri": "openbao+kv2://secret/a", "value": {"t": 2}}).to_string();
        is_unavailable(&client.call(Method::POST, "/api/secrets", &body).await);
    }
    assert!(other.had().is_empty(), "nobody follows it elsewhere");
    assert!(server.metric("okmsd_pdp_decisions_total{outcome=\"unanswered\"}").await >= 22.0);
    pdp.judges(|_| json!({"decision": true}));
    let answer = read(&client).await;
    assert_eq!(
        (answer.headers["x-secret-version"].to_str().unwrap(), answer.text()),
        ("1", "{\"t\":1}")
    );
    pdp.leaves();
    // Its connections are still there; none is new.
    pdp.does(Mode::Says(503, Vec::new()));
    is_unavailable(&read(&client).await);
}

/// One that was never there.
#[tokio::test]
async fn a_server_starts_without_it() {
    let pdp = Pdp::start().await;
    pdp.leaves();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (_server, client) = pdp.server(|_| {}).await;
    is_unavailable(&read(&client).await);
    // What is no operation on secrets goes on.
    client.get("secretConfig").await.ok();
}

/// Requests that waited for an answer held the turns of their domain: eight reads of secrets, and nobody could read what
/// has nothing to do with that.
#[tokio::test]
async fn a_stuck_one_keeps_nobody_else() {
    let pdp = Pdp::start().await;
    let (server, client) =
        pdp.server(|config| config.pdp.timeout = Span(Duration::from_secs(4))).await;
    // Where one key is alone, it has all turns.
    let beside = server.client_of(&client.id, Http::One);
    let _there = beside.connect().await;
    client.create("a", r#"{"t":1}"#).await.ok();
    pdp.had();
    pdp.does(Mode::Silence);
    let stuck: Vec<_> = (0..40)
        .map(|_| {
            let client = client.over(Http::Two);
            AbortOnDropHandle::new(tokio::spawn(async move { read(&client).await }))
        })
        .collect();
    let begun = Instant::now();
    while pdp.state.had.lock().unwrap().len() < 40 {
        assert!(begun.elapsed() < Duration::from_secs(3), "{}", pdp.had().len());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let begun = Instant::now();
    for _ in 0..4 {
        client.get("secretConfig").await.ok();
        beside.get("secretConfig").await.ok();
        let mounts = format!("/api/{}/v1/sys/mounts", client.id);
        client.call(Method::GET, &mounts, "").await.ok();
        let policy =
            client.call(Method::GET, &format!("/v2/okms/resource/{}/policy", client.id), "").await;
        assert_eq!(policy.status, 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    for stuck in stuck {
        is_unavailable(&stuck.await.unwrap());
    }
}

/// However many ask, so many wait, and the rest is told to come back at once.
#[tokio::test]
async fn calls_are_bounded() {
    let pdp = Pdp::start().await;
    let (_server, client) =
        pdp.server(|config| config.pdp.timeout = Span(Duration::from_secs(3))).await;
    pdp.does(Mode::Silence);
    let many: Vec<_> = (0..160)
        .map(|_| {
            let client = client.over(Http::Two);
            AbortOnDropHandle::new(tokio::spawn(async move { read(&client).await }))
        })
        .collect();
    for one in many {
        is_unavailable(&one.await.unwrap());
    }
    assert!(pdp.connections() <= 128, "{}", pdp.connections());
}

/// One connection is enough for requests that come one after the other.
#[tokio::test]
async fn connections_stay() {
    let pdp = Pdp::start().await;
    let (_server, client) = pdp.server(|_| {}).await;
    client.create("a", r#"{"t":1}"#).await.ok();
    for _ in 0..10 {
        read(&client).await.ok();
    }
    assert_eq!((pdp.had().len(), pdp.connections()), (11, 1));
}

/// One that took longer for each answer than a feed waits between two judgements kept it from telling anything: its next
/// judgement was always due before its next word.
#[tokio::test]
async fn a_slow_one_does_not_silence_feeds() {
    let pdp = Pdp::start().await;
    let (_server, client) = pdp.server(|_| {}).await;
    let paths = ["/api/secrets/events".to_owned(), client.url("events")];
    pdp.thinks(Duration::from_millis(700));
    for path in paths {
        let mut feed = Events::open(&client, &path, &[]).await;
        assert_eq!(feed.status(), 200);
        client.create(&format!("a{}", path.len()), r#"{"t":1}"#).await.ok();
        let told = tokio::time::timeout(Duration::from_secs(8), feed.records(1)).await;
        assert!(told.is_ok(), "{path}: nothing was told");
        assert!(!pdp.had().is_empty(), "its right is asked for");
    }
}
