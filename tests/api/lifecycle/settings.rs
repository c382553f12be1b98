//! What the configuration says of the dialect.

use hyper::Method;
use serde_json::json;

use super::Paths;
use crate::harness::{Answer, TestServer};

fn code(answer: &Answer) -> String {
    let told: serde_json::Value = serde_json::from_str(answer.text()).unwrap_or_default();
    format!("{} {}", answer.status.as_u16(), told["error"]["code"].as_str().unwrap_or_default())
}

/// A certificate alone does not do where a bearer is asked for, and other dialects do not ask.
#[tokio::test]
async fn a_bearer_may_be_asked_for() {
    let server = TestServer::start_with(|config| config.path_secrets.require_auth = true).await;
    let paths = Paths { client: server.tenant().await };
    let at = format!("/api/{}/v1/auth/cert/login", paths.client.id);
    let login = paths.client.call(Method::POST, &at, "{}").await.ok();
    let token = login["auth"]["client_token"].as_str().unwrap().to_owned();
    for (method, path, body) in [
        (Method::PUT, "/v1/secrets/a", r#"{"data":{"a":1}}"#),
        (Method::GET, "/v1/secrets/a", ""),
        (Method::GET, "/v1/secrets", ""),
        (Method::GET, "/v1/partner/secrets", ""),
        (Method::GET, "/v1/rotation/policies", ""),
        (Method::GET, "/v1/auth/whoami", ""),
    ] {
        let client = &paths.client;
        assert_eq!(client.call(method.clone(), path, body).await.status, 401, "{path}");
        for (name, value) in
            [("authorization", format!("Bearer {token}")), ("x-vault-token", token.clone())]
        {
            let answer = client.send(method.clone(), path, &[(name, &*value)], body).await;
            let is_there = path != "/v1/partner/secrets";
            assert_eq!(answer.status.is_success(), is_there, "{path}: {answer:?}");
        }
        let forged = [("authorization", "Bearer okms.x")];
        let refused = client.send(method, path, &forged, body).await.status;
        assert_eq!(refused, if path.contains("partner") { 404 } else { 401 }, "{path}");
    }
    paths.client.get("secret/a").await.ok();
}

/// What is not served is not there, and the tree is as it was.
#[tokio::test]
async fn it_can_be_turned_off() {
    let server = TestServer::start_with(|config| config.path_secrets.enabled = false).await;
    let paths = Paths { client: server.tenant().await };
    paths.client.create("a", r#"{"t":1}"#).await.ok();
    let nowhere = paths.client.call(Method::GET, "/v1/nowhere", "").await;
    assert_eq!(nowhere.status, 404);
    for (method, path) in [
        (Method::GET, "/v1/secrets/a"),
        (Method::PUT, "/v1/secrets/a"),
        (Method::GET, "/v1/secrets"),
        (Method::GET, "/v1/partner/secrets"),
        (Method::GET, "/v1/t/x/secrets"),
        (Method::POST, "/v1/rotation/policies"),
        (Method::GET, "/v1/auth/whoami"),
    ] {
        let answer = paths.client.call(method, path, r#"{"data":{}}"#).await;
        assert_eq!(answer.status, 404, "{path}: {}", code(&answer));
    }
    assert_eq!(paths.client.get("secret/a?includeData=true").await.ok()["version"]["data"]["t"], 1);
}

/// Reads are counted, unless they are not to be.
#[tokio::test]
async fn reads_need_not_be_counted() {
    for (enabled, counted) in [(true, 2), (false, 0)] {
        let server = TestServer::start_with(|config| config.usage.enabled = enabled).await;
        let paths = Paths { client: server.tenant().await };
        assert_eq!(paths.put("/a", json!({"data": {}})).await.status, 201);
        for _ in 0..2 {
            paths.get("/a").await.ok();
        }
        let told = paths.get("/metadata/a").await.ok();
        assert_eq!(told["access_count_30d"], counted, "{told}");
        assert_eq!(
            told.get("last_accessed_at").is_some_and(|at| at.is_string()),
            enabled,
            "{told}"
        );
    }
}
