//! Check-and-set: the current version that a write expects.

use hyper::Method;
use serde_json::json;

use crate::harness::{Answer, Client, TestServer};

const VALUE: &str = r#"{"data":{"v":"new"}}"#;

/// The three ways of adding a version, with this query.
async fn writes(client: &Client, query: &str) -> [Answer; 3] {
    [
        client.post(&format!("secret/a/version{query}"), VALUE).await,
        client.put(&format!("secret/a/version{query}"), VALUE).await,
        client.put(&format!("secret/a{query}"), &format!(r#"{{"version":{VALUE}}}"#)).await,
    ]
}

async fn current(client: &Client) -> u64 {
    client.get("secret/a").await.ok()["metadata"]["currentVersion"].as_u64().unwrap()
}

#[tokio::test]
async fn a_cas_that_matches_goes_on_and_any_other_is_refused() {
    let (_server, client) = TestServer::with_tenant().await;
    client.create("a", r#"{"v":1}"#).await.ok();
    for query in ["?cas=0", "?cas=2", "?cas=24000"] {
        for answer in writes(&client, query).await {
            assert!(answer.error(400, 50_405_377).contains("cas"), "{query}");
        }
    }
    assert_eq!(client.get("secret/a?includeData=true").await.data().unwrap(), r#"{"v":1}"#);
    for (number, answer) in [(2, "?cas=1"), (3, "?c%61s=2")] {
        client.post(&format!("secret/a/version{answer}"), VALUE).await.ok();
        assert_eq!(current(&client).await, number);
    }
    client.put("secret/a?cas=3", &format!(r#"{{"version":{VALUE}}}"#)).await.ok();
    assert_eq!(current(&client).await, 4);
    writes(&client, "").await.iter().for_each(|answer| drop(answer.ok()));
    assert_eq!(current(&client).await, 7);
}

#[tokio::test]
async fn what_is_no_cas_is_refused() {
    let (_server, client) = TestServer::with_tenant().await;
    client.create("a", "{}").await.ok();
    for wrong in
        ["-1", "+1", "1.0", "one", "24001", "99999999999", "1&cas=1", "1&c%61s=1", "%zz", "1%20"]
    {
        for answer in writes(&client, &format!("?cas={wrong}")).await {
            answer.error(400, 50_405_377);
        }
    }
    assert_eq!(current(&client).await, 1);
    // An empty one is none.
    writes(&client, "?cas=").await.iter().for_each(|answer| drop(answer.ok()));
}

/// Either level demands it, and neither setting lifts the other.
#[tokio::test]
async fn a_required_cas_must_be_there() {
    for (own, domain) in [(false, false), (true, false), (false, true), (true, true)] {
        let (_server, client) = TestServer::with_tenant().await;
        client.put("secretConfig", &json!({ "casRequired": domain }).to_string()).await.ok();
        let create = json!({"path": "a", "casRequired": own, "version": {"data": {}}});
        client.post("secret", &create.to_string()).await.ok();
        for answer in writes(&client, "").await {
            if own || domain {
                assert!(answer.error(400, 50_405_377).contains("cas"), "{own} {domain}");
            } else {
                answer.ok();
            }
        }
        let current = current(&client).await;
        assert_eq!(current, if own || domain { 1 } else { 4 });
        client.post(&format!("secret/a/version?cas={current}"), VALUE).await.ok();
    }
}

/// What okms-cli's own suite asserts of the real service: new metadata applies before the CAS
/// check.
#[tokio::test]
async fn new_metadata_counts_before_the_check() {
    let (_server, client) = TestServer::with_tenant().await;
    client
        .post("secret", r#"{"path":"a","metadata":{"casRequired":true},"version":{"data":{}}}"#)
        .await
        .ok();
    let both = |required: bool| {
        format!(r#"{{"metadata":{{"casRequired":{required}}},"version":{VALUE}}}"#)
    };
    let updated = client.put("secret/a", &both(false)).await.ok();
    assert_eq!(updated["metadata"]["currentVersion"], 2);
    assert_eq!(updated["metadata"]["casRequired"], false);
    assert!(client.put("secret/a", &both(true)).await.error(400, 50_405_377).contains("cas"));
    assert_eq!(client.get("secret/a").await.ok()["metadata"]["casRequired"], false);
    assert_eq!(
        client.put("secret/a?cas=2", &both(true)).await.ok()["metadata"]["currentVersion"],
        3
    );
    // What the domain demands is not lifted by a secret.
    client.put("secretConfig", r#"{"casRequired":true}"#).await.ok();
    client.put("secret/a", &both(false)).await.error(400, 50_405_377);
}

#[tokio::test]
async fn a_mismatch_stores_neither_value_nor_metadata() {
    let (server, client) = TestServer::with_tenant().await;
    client
        .post("secret", r#"{"path":"a","customMetadata":{"k":"v"},"version":{"data":{}}}"#)
        .await
        .ok();
    let before = client.get("secret/a?includeData=true").await.ok();
    server.clock.advance(10);
    for body in [
        r#"{"metadata":{"customMetadata":{"k":"other"},"maxVersions":3},"version":{"data":{"v":2}}}"#,
        r#"{"metadata":{"customMetadata":null,"casRequired":true}}"#,
        r#"{"version":{"data":{"v":2}}}"#,
        "{}",
    ] {
        for query in ["?cas=0", "?cas=2"] {
            let said = client.put(&format!("secret/a{query}"), body).await.error(400, 50_405_377);
            assert!(said.contains("cas"), "{said}");
        }
    }
    assert_eq!(client.get("secret/a?includeData=true").await.ok(), before);
}

/// Metadata alone makes no version, so no demand for a CAS holds it up: or a demand could never be
/// lifted.
#[tokio::test]
async fn metadata_alone_needs_no_cas() {
    let (_server, client) = TestServer::with_tenant().await;
    client.post("secret", r#"{"path":"a","casRequired":true,"version":{"data":{}}}"#).await.ok();
    client.put("secret/a", r#"{"metadata":{"customMetadata":{"k":"v"}}}"#).await.ok();
    client.put("secret/a?cas=1", r#"{"metadata":{"maxVersions":3}}"#).await.ok();
    assert_eq!(
        client.put("secret/a", r#"{"metadata":{"casRequired":false}}"#).await.ok()["metadata"]["casRequired"],
        false
    );
    writes(&client, "").await[0].ok();
}

/// A deactivated or deleted version is still the current one.
#[tokio::test]
async fn cas_counts_versions_in_every_state() {
    let (_server, client) = TestServer::with_tenant().await;
    client.create("a", "{}").await.ok();
    for (version, state) in [(1, "deactivated"), (2, "deleted")] {
        client
            .put(&format!("secret/a/version/{version}"), &json!({ "state": state }).to_string())
            .await
            .ok();
        client.post("secret/a/version?cas=0", VALUE).await.error(400, 50_405_377);
        client.post(&format!("secret/a/version?cas={version}"), VALUE).await.ok();
    }
    assert_eq!(current(&client).await, 3);
}

/// Of many who create the same secret at once, one does; of many who delete it, one does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_creators_have_one_winner() {
    let (_server, client) = TestServer::with_tenant().await;
    let race = async |method: Method, rest: &'static str, body: &'static str| {
        let racers = (0..8).map(|_| {
            let (client, method) = (client.clone(), method.clone());
            tokio::spawn(async move {
                client.call(method, &client.url(rest), body).await.status.as_u16()
            })
        });
        let mut statuses = Vec::new();
        for racer in racers.collect::<Vec<_>>() {
            statuses.push(racer.await.unwrap());
        }
        statuses.sort_unstable();
        statuses
    };
    for _ in 0..3 {
        let created = race(Method::POST, "secret", r#"{"path":"a","version":{"data":{}}}"#).await;
        assert_eq!(created, [200, 409, 409, 409, 409, 409, 409, 409]);
        assert_eq!(current(&client).await, 1);
        let deleted = race(Method::DELETE, "secret/a", "").await;
        assert_eq!(deleted, [204, 404, 404, 404, 404, 404, 404, 404]);
    }
}

/// Writers that race with CAS: each version is written by exactly one of them, and holds what that
/// one sent. The history of each writer shows no version older than what it had seen before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_writers_lose_nothing() {
    const WRITERS: usize = 6;
    const ROUNDS: usize = 12;
    let (_server, client) = TestServer::with_tenant().await;
    let body =
        r#"{"path":"a","casRequired":true,"maxVersions":1000,"version":{"data":{"by":"nobody"}}}"#;
    client.post("secret", body).await.ok();
    let writers = (0..WRITERS).map(|writer| {
        let client = client.clone();
        tokio::spawn(async move {
            let (mut connection, mut won, mut seen) = (client.connect().await, Vec::new(), 0);
            for round in 0..ROUNDS {
                let read =
                    connection.send(Method::GET, &client.url("secret/a"), &[], "").await.ok();
                let current = read["metadata"]["currentVersion"].as_u64().unwrap();
                assert!(current >= seen, "a read went back in time");
                let by = format!("{writer}.{round}");
                let url = client.url(&format!("secret/a/version?cas={current}"));
                let answer = connection
                    .send(Method::POST, &url, &[], format!(r#"{{"data":{{"by":"{by}"}}}}"#))
                    .await;
                seen = current;
                if answer.status == 200 {
                    seen = answer.json()["id"].as_u64().unwrap();
                    assert_eq!(seen, current + 1);
                    won.push((seen, by));
                } else {
                    answer.error(400, 50_405_377);
                }
            }
            won
        })
    });
    let mut history = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        history.extend(writer.await.unwrap());
    }
    history.sort();
    let numbers: Vec<_> = history.iter().map(|(number, _)| *number).collect();
    assert_eq!(
        numbers,
        (2..2 + numbers.len() as u64).collect::<Vec<_>>(),
        "no number twice, none missing"
    );
    assert!(numbers.len() >= ROUNDS, "in every round somebody wins");
    assert_eq!(current(&client).await, *numbers.last().unwrap());
    for (number, by) in history {
        let read = client.get(&format!("secret/a/version/{number}?includeData=true")).await.ok();
        assert_eq!(read["data"]["by"], by);
    }
}

/// A CAS on create is told to be of no effect, as there is nothing to compare it with.
#[tokio::test]
async fn create_ignores_cas_and_says_so() {
    let (_server, client) = TestServer::with_tenant().await;
    let body = r#"{"path":"foo","version":{"data":{}}}"#;
    client.post("secret?cas=x", body).await.error(400, 50_405_377);
    let created = client.post("secret?cas=7", body).await.ok();
    assert_eq!(created["metadata"]["currentVersion"], 1);
    assert!(created["warnings"][0].as_str().unwrap().contains("cas"));
    assert!(
        client.post("secret", &body.replace("foo", "bar")).await.ok().get("warnings").is_none()
    );
}
