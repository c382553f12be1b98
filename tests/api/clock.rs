//! The machine's clock steps, and the store's time does not run backwards.

use std::time::Duration;

use hyper::Method;

use crate::harness::{TestServer, eventually};

const STEPS_BACK: &str = "okmsd_clock_steps_total{direction=\"back\"}";

/// The clock stepped back ten seconds, and a version that was deleted before was readable again.
#[tokio::test]
async fn what_was_deleted_stays_deleted_when_the_clock_steps_back() {
    let (server, client) = TestServer::with_tenant().await;
    for path in ["native", "vault"] {
        client.create(path, r#"{"n":1}"#).await.ok();
    }
    server.clock.advance(60);
    client.put("secret/native/version/1", r#"{"state":"deactivated"}"#).await.ok();
    let kv = format!("/api/{}/v1/secret/data/vault", client.id);
    assert_eq!(client.call(Method::DELETE, &kv, "").await.status, 204);
    server.clock.advance(-10);
    assert_eq!(client.get("secret/native/version/1").await.ok()["state"], "deactivated");
    assert_eq!(client.get("secret/vault/version/1").await.ok()["state"], "deactivated");
    assert_eq!(client.call(Method::GET, &kv, "").await.status, 404);
    assert_eq!(server.metric(STEPS_BACK).await, 1.0);
    assert!(server.metric("okmsd_clock_behind_seconds").await > 9.0);
    // What is written now is not older than what was written before.
    client.create("later", r#"{"n":1}"#).await.ok();
    let created = |answer: serde_json::Value| {
        answer["metadata"]["createdAt"].as_str().unwrap_or_default().to_owned()
    };
    let (first, later) =
        (client.get("secret/native").await.ok(), client.get("secret/later").await.ok());
    assert!(created(first) < created(later));
    // The clock is right again, and leads again.
    server.clock.advance(60);
    client.create("last", r#"{"n":1}"#).await.ok();
    assert_eq!(server.metric("okmsd_clock_behind_seconds").await, 0.0);
    assert_eq!(server.metric(STEPS_BACK).await, 1.0);
}

/// Certificates live by the machine's clock, as TLS does: a clock that was years ahead for a moment
/// once had every client refused from then on, as the store's time stays ahead.
#[tokio::test]
async fn certificates_live_by_the_machines_clock() {
    let (server, client) = TestServer::with_tenant().await;
    let short = server.operator();
    // Beyond the end of every certificate.
    let years = 3 * 366 * 86_400;
    let mut open = client.connect().await;
    open.send(Method::GET, &client.url("secret/none"), &[], "").await.error(404, 17_125_377);
    server.clock.advance(years);
    open.send(Method::GET, &client.url("secret/none"), &[], "").await.error(401, 50_475_011);
    let long = server.client(
        Some(&server.issue(&okmsd::pki::Subject::Operator, 3000)),
        None,
        crate::harness::Http::One,
    );
    let ahead = long.call(Method::POST, "/v2/okms/resource", r#"{"name":"ahead"}"#).await.ok();
    server.clock.advance(-years);
    assert!(server.metric("okmsd_clock_behind_seconds").await > 86_400.0);
    client.create("back", r#"{"n":1}"#).await.ok();
    // What is issued now can be used now.
    let id = ahead["id"].as_str().unwrap();
    let path = format!("/v2/okms/resource/{id}/credential");
    let issued = short.call(Method::POST, &path, r#"{"name":"new","validity":30}"#).await.ok();
    let pair = crate::harness::Pair {
        certificate: issued["certificatePEM"].as_str().unwrap().to_owned(),
        key: okmsd::pki::PrivateKeyPem::parse(issued["privateKeyPEM"].as_str().unwrap().to_owned())
            .unwrap(),
    };
    let fresh = server.client(Some(&pair), Some(id), crate::harness::Http::Two);
    fresh.create("now", r#"{"n":1}"#).await.ok();
}

/// The latest moment is in the store: a start with a clock that is behind goes on from there.
#[tokio::test]
async fn a_start_with_a_clock_far_behind_goes_on_from_the_latest_write() {
    let (mut server, client) = TestServer::with_tenant().await;
    server.clock.advance(5 * 86_400);
    client.create("limited", r#"{"n":1}"#).await.ok();
    let metadata = r#"{"metadata":{"deactivateVersionAfter":"1h"},"version":{"data":{"n":2}}}"#;
    client.put("secret/limited", metadata).await.ok();
    server.clock.advance(2 * 3_600);
    client.create("last", r#"{"n":1}"#).await.ok();
    assert_eq!(client.get("secret/limited/version/2").await.ok()["state"], "deactivated");
    server.stop().await;
    server.clock.advance(-5 * 86_400);
    server.start_again().await.unwrap();
    let client = server.at(&client);
    assert_eq!(client.get("secret/limited/version/2").await.ok()["state"], "deactivated");
    assert_eq!(server.metric(STEPS_BACK).await, 1.0);
    assert!(server.metric("okmsd_clock_behind_seconds").await > 4.0 * 86_400.0);
}

/// The clock jumps ahead and comes back: what was written in between does not outlive its life by
/// the jump, as time goes on meanwhile.
#[tokio::test]
async fn a_jump_ahead_does_not_prolong_a_life() {
    let (server, client) = TestServer::with_tenant().await;
    server.clock.advance(20 * 86_400);
    client.create("limited", r#"{"n":1}"#).await.ok();
    let metadata = r#"{"metadata":{"deactivateVersionAfter":"2s"},"version":{"data":{"n":2}}}"#;
    client.put("secret/limited", metadata).await.ok();
    assert_eq!(server.metric("okmsd_clock_steps_total{direction=\"ahead\"}").await, 1.0);
    server.clock.advance(-20 * 86_400);
    assert_eq!(client.get("secret/limited/version/2").await.ok()["state"], "active");
    tokio::time::sleep(Duration::from_secs(2)).await;
    eventually("the life is over", async || {
        client.get("secret/limited/version/2").await.ok()["state"] == "deactivated"
    })
    .await;
}
