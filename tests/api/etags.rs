//! Tags of answers: whoever has one is told so, until anything about the secret is otherwise.

use hyper::Method;
use serde_json::json;

use crate::harness::{BOTH, Client, TestServer};

/// What there is at an address for one who has the answer with this tag: the status, and the tag.
async fn ask(client: &Client, path: &str, tag: &str) -> (u16, String) {
    let answer = client.send(Method::GET, path, &[("if-none-match", tag)], "").await;
    assert_eq!(answer.body.is_empty(), answer.status == 304, "{path}");
    let tag = answer.headers.get("etag").map_or("", |tag| tag.to_str().unwrap());
    (answer.status.as_u16(), tag.to_owned())
}

#[tokio::test]
async fn an_answer_that_is_known_is_not_told_again() {
    for http in BOTH {
        let server = TestServer::start().await;
        let (client, clock) = (server.tenant().await.over(http), &server.clock);
        client.create("a", r#"{"word":"canary"}"#).await.ok();
        let native = format!("/api/{}/v2/secret/a", client.id);
        let (one, first) = (format!("{native}?includeData=true"), format!("{native}/version/1"));
        let places = [&*native, &*one, &*first, "/v1/secret/data/a"];
        let change = async |method: Method, path: &str, body: &str| {
            clock.advance(1);
            let answer = client.call(method, path, body).await;
            assert!(answer.status.is_success(), "{path} {}", answer.status);
        };
        let mut tags = Vec::new();
        for place in places {
            let (status, tag) = ask(&client, place, "\"other\"").await;
            assert!(status == 200 && !tag.is_empty() && !tag.contains("canary"), "{place} {tag}");
            for known in [&*tag, &*format!("W/{tag}"), &*format!("\"x\", {tag}"), "*"] {
                assert_eq!(ask(&client, place, known).await, (304, tag.clone()), "{place} {known}");
            }
            tags.push(tag);
        }
        let metadata = json!({"metadata": {"customMetadata": {"for": "tags"}}}).to_string();
        let kv_write = r#"{"data":{"word":"another"}}"#;
        let put_state = r#"{"state":"deactivated"}"#;
        let changes = [
            (Method::PUT, &*native, &*metadata),
            (Method::POST, "/v1/secret/data/a", kv_write),
            (Method::PUT, &*first, put_state),
        ];
        for (method, path, body) in changes {
            change(method, path, body).await;
            for (place, tag) in places.iter().zip(&mut tags) {
                let (status, now) = ask(&client, place, tag).await;
                assert!(status == 200 && now != *tag, "{path}: {place}");
                *tag = now;
            }
        }
        // What ends by the clock alone is otherwise, too.
        let ends = json!({"metadata": {"deactivateVersionAfter": "60s"}}).to_string();
        change(Method::PUT, &native, &ends).await;
        change(Method::POST, "/v1/secret/data/a", kv_write).await;
        let (_, tag) = ask(&client, &one, "\"\"").await;
        assert_eq!(ask(&client, &one, &tag).await.0, 304);
        clock.advance(60);
        assert_eq!(ask(&client, &one, &tag).await.0, 200);
        // One that is wrapped is nobody's yet.
        let headers = [("if-none-match", "*"), ("x-vault-wrap-ttl", "60")];
        change(Method::POST, "/v1/secret/data/b", kv_write).await;
        let wrapped = client.send(Method::GET, "/v1/secret/data/b", &headers, "").await.ok();
        assert!(wrapped["wrap_info"]["token"].is_string());
    }
}

/// Whoever is told that he knows it has not read it.
#[tokio::test]
async fn what_is_known_does_not_count_as_read() {
    let server = TestServer::start().await;
    let client = server.tenant().await;
    client.create("a", "{}").await.ok();
    let native = format!("/api/{}/v2/secret/a?includeData=true", client.id);
    for place in [&*native, "/v1/secret/data/a"] {
        let (_, tag) = ask(&client, place, "\"\"").await;
        for _ in 0..3 {
            assert_eq!(ask(&client, place, &tag).await.0, 304);
        }
    }
    let told = client.call(Method::GET, "/v1/secrets/metadata/a", "").await.ok();
    assert_eq!(told["access_count_30d"], 2, "{told}");
}
