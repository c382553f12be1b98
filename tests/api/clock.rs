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
    let created = |answer: serde_json::Value| answer["metadata"]["createdAt"].as_str().unwrap_or_default().to_owned();
    let (first, later) = (client.get("secret/native").await.ok(), client.get("secret/later").await.ok());
    assert!(created(first) < created(later));
    // The clock is right again, and leads again.
    server.clock.advance(60);
    client.create("last", r#"{"n":1}"#).await.ok();
    assert_eq!(server.metric("okmsd_clock_behind_seconds").await, 0.0);
    assert_eq!(server.metric(STEPS_BACK).await, 1.0);
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

/// The clock jumps ahead and comes back: what was written in between does not outlive its life by the jump, as time goes
/// on meanwhile.
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
