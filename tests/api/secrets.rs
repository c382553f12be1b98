//! Secrets and their versions, from creation to deletion.

use serde_json::json;

use crate::harness::{START_TEXT, TestServer};

#[tokio::test]
async fn a_secret_lives() {
    let server = TestServer::start().await;
    let client = server.tenant().await;
    let created =
        client.post("secret", r#"{"path":"foo/bar","version":{"data":{"n":12345678901234567890}}}"#).await.ok();
    assert_eq!(created["metadata"]["createdAt"], START_TEXT);
    assert_eq!(created["metadata"]["currentVersion"], 1);
    let read = client.get("secret/foo%2Fbar?includeData=true").await;
    assert!(read.text().contains(r#""data":{"n":12345678901234567890}"#));
    let version = client.post("secret/foo/bar/version?cas=1", r#"{"data":{}}"#).await.ok();
    assert_eq!(version, json!({"id": 2, "state": "active", "createdAt": START_TEXT}));
    assert_eq!(client.delete("secret/foo/bar").await.status, 204);
    client.get("secret/foo/bar").await.error(404, 17_125_377);
}
