//! What names a secret, and what names none (cases 1 to 22).

use hyper::Method;
use serde_json::json;

use super::{Uris, refused};

const ONE: &str = r#"{"value":1}"#;
const ILLEGAL: &str = "400 ILLEGAL_SEGMENT";

#[tokio::test]
async fn spellings_of_one_secret() {
    let (_server, uris) = Uris::start().await;
    uris.versions("a", &[r#"{"t":1}"#]).await;
    uris.versions("a..b", &["{}"]).await;
    uris.says(&[
        ("GET value OPENBAO+KV2://secret/a#t", ONE),   // 1
        ("GET value hashicorp+kv2://secret/a#t", ONE), // 2
        ("GET value vault+kv2://secret/a#t", ONE),
        ("GET value okms+kv2://secret/a#t", ONE),
        ("GET value openbao+kv2://secret/a/#t", ONE), // 3
        ("GET value U a..b", "{}"),                   // 7
        ("GET value openbao+kv2://ibmcloud/kv/a#t", ONE), // 22
        (
            r#"POST {"uri":"U a%2Db","value":{}}"#,
            r#"{"uri":"U a-b","version":1,"created":true,"created_at":"NOW"}"#,
        ), // 20
    ])
    .await;
    // 13
    let team = uris.kv(Method::POST, "sys/mounts/team", r#"{"type":"kv-v2"}"#).await;
    assert_eq!(team.status, 204);
    uris.versions("team/a", &[r#"{"t":"team's"}"#]).await;
    let through = ["GET value openbao+kv2://team/a", "GET value U team/a"];
    for case in through {
        uris.says(&[(case, r#"{"t":"team's"}"#)]).await;
    }
    // 19
    let written = uris.kv(Method::PUT, "secret/data/my%20app/%C3%BC", r#"{"data":{"t":1}}"#).await;
    written.ok();
    let uri = "openbao+kv2://secret/my%20app/%C3%BC";
    uris.says(&[("GET value U my%20app/%C3%BC#t", ONE)]).await;
    let written = uris.ask(r#"POST {"uri":"U my%20app/%c3%bc","value":{}}"#).await.ok();
    assert_eq!(written["uri"], uri);
    // A plus is a plus, escaped or not, and a slash at the end of the address is none.
    for url in [
        "/api/secrets/value?uri=openbao+kv2://secret/a%23t",
        "/api/secrets/value?uri=openbao%2Bkv2://secret/a%23t",
        "/api/secrets/value/?uri=openbao%2bkv2://secret/a%23t&ours=not",
    ] {
        assert_eq!(uris.client.call(Method::GET, url, "").await.ok(), json!({"value": 1}));
    }
    let body = r#"{"uri":"openbao+kv2://secret/slash","value":{}}"#;
    uris.client.call(Method::POST, "/api/secrets/", body).await.ok();
}

#[tokio::test]
async fn what_is_no_uri() {
    let (_server, uris) = Uris::start().await;
    uris.versions("a", &[r#"{"t":1}"#]).await;
    uris.says(&[
        ("GET value openbao+kv2://secret//a", ILLEGAL),    // 4
        ("GET value openbao+kv2://secret/a%2Fb", ILLEGAL), // 5
        ("GET value openbao+kv2://secret/../a", ILLEGAL),  // 6
        ("GET value openbao+kv2://secret/%2e%2e/a", ILLEGAL),
        ("GET value openbao+kv2://secret/./a", ILLEGAL),
        ("GET value openbao+kv2://secret/jira/*/token", "400 INVALID_WILDCARD"), // 8
        ("GET value openbao+kv2://secret/jira/*", "400 INVALID_WILDCARD"),
        ("GET value openbao://secret/a", "400 UNSUPPORTED_ENGINE"), // 9
        ("GET value openbao+kv1://secret/a", "400 UNSUPPORTED_ENGINE"),
        ("GET value yaml+kv2://secret/a", "400 UNSUPPORTED_ENGINE"),
        ("GET value ftp://x/a", "400 UNSUPPORTED_ENGINE"),
        ("GET value db+cred://credentials/x", "501 PROVIDER_NOT_SUPPORTED"), // 10
        ("GET value file://x/y", "501 PROVIDER_NOT_SUPPORTED"),
        ("GET value azure://v/s", "501 PROVIDER_NOT_SUPPORTED"),
        ("GET value yaml://secret/a", "501 PROVIDER_NOT_SUPPORTED"), // 119, where there is no file
        ("GET value openbao+kv2://nope/a", "400 TENANT_MOUNT_MISMATCH"), // 11
        ("GET value openbao+kv2://secret", ILLEGAL),                 // 14
        ("GET value openbao+kv2://ibmcloud/kv", ILLEGAL),
        ("GET value openbao+kv2://ibmcloud/kv/", ILLEGAL),
        ("GET value secret/a", ILLEGAL), // 15
        ("GET value U a#x#y", ILLEGAL),  // 16
        ("GET value U a#", ILLEGAL),
        ("GET value U a?version=1#t", ILLEGAL),
        ("GET value U a#t?mount=x", "400 DOUBLE_MOUNT_SOURCE"), // 18
        ("GET value U a?x=1", "400 UNKNOWN_FIELD"),
        ("GET value", "400 MISSING_FIELD"), // 21
        ("GET value ?uri=U a&uri=U a", "400 AMBIGUOUS_QUERY"),
        ("GET value ?uri=U a&version=1&version=1", "400 AMBIGUOUS_QUERY"),
    ])
    .await;
    // 17: an & in the URI itself.
    let twice = "/api/secrets/value?uri=openbao+kv2://secret/a%23t%3Fversion=1%26version=2";
    refused(&uris.client.call(Method::GET, twice, "").await, 400, "AMBIGUOUS_QUERY");
    for (broken, code) in [
        ("%zz", "INVALID_FIELD"),
        ("%ff", "INVALID_FIELD"),
        ("openbao+kv2://secret/a%01", "ILLEGAL_SEGMENT"),
    ] {
        let url = format!("/api/secrets/value?uri={broken}");
        refused(&uris.client.call(Method::GET, &url, "").await, 400, code);
    }
    let long = format!("GET value U {}", "a/".repeat(1100));
    uris.says(&[(&long, ILLEGAL)]).await;
    // What is longer than a path may be.
    let long = format!("GET value U {}", "a".repeat(1200));
    uris.says(&[(&long, ILLEGAL)]).await;
}
