//! What is known of secrets, and lists of them (cases 72 to 85).

use hyper::Method;
use okmsd::store::engine::Batch;
use serde_json::{Value, json};

use super::{
    Uris,
    stored::{beneath, put},
};
use crate::harness::{START_TEXT, TestServer};

fn custom(detail: &Value) -> Value {
    detail["custom_metadata"].clone()
}

#[tokio::test]
async fn whose_a_secret_is() {
    let (_server, uris) = Uris::start().await;
    // 72
    uris.versions("a", &["{}"]).await;
    let detail = uris.told("GET metadata/detail U a").await;
    let me = custom(&detail)["created_by"].as_str().unwrap().to_owned();
    assert!(me.starts_with("cert:"), "{me}");
    let stamps = json!({"owner": me, "created_by": me, "created_at": START_TEXT});
    assert_eq!(custom(&detail), stamps);
    assert_eq!(
        (&detail["uri"], &detail["current_version"]),
        (&json!("openbao+kv2://secret/a"), &json!(1))
    );
    // 73
    let owned =
        format!(r#"{{"uri":"U a","owner":"team:x","created_by":"{me}","created_at":"NOW"}}"#);
    uris.says(&[(r#"POST metadata/owner {"uri":"U a","owner":"team:x"}"#, &owned)]).await;
    let detail = uris.told("GET metadata/detail U a").await;
    let stamps = json!({"owner": "team:x", "created_by": me, "created_at": START_TEXT});
    assert_eq!((custom(&detail), &detail["current_version"]), (stamps.clone(), &json!(1)));
    let paths = uris.client.call(Method::GET, "/v1/secrets/metadata/a", "").await.ok();
    assert_eq!(paths["metadata"]["owner"], "team:x");
    // 74
    let clears = uris.kv(Method::POST, "secret/metadata/a", r#"{"custom_metadata":{}}"#).await;
    assert_eq!(clears.status, 204);
    assert_eq!(custom(&uris.told("GET metadata/detail U a").await), stamps);
    let kv = uris.kv(Method::GET, "secret/metadata/a", "").await.ok();
    assert_eq!(kv["data"]["custom_metadata"], Value::Null);
    // 75
    let evil = r#"{"custom_metadata":{"owner":"evil","created_by":"evil","team":"shop"}}"#;
    assert_eq!(uris.kv(Method::POST, "secret/metadata/a", evil).await.status, 204);
    let mut with = stamps;
    with["team"] = "shop".into();
    assert_eq!(custom(&uris.told("GET metadata/detail U a").await), with);
    // 76
    let long = format!(r#"POST metadata/owner {{"uri":"U a","owner":"{}"}}"#, "x".repeat(256));
    uris.says(&[
        (r#"POST metadata/owner {"uri":"U a","owner":""}"#, "400 INVALID_FIELD"),
        (&long, "400 INVALID_FIELD"),
        (r#"POST metadata/owner {"uri":"U a","owner":"a\u0001"}"#, "400 INVALID_FIELD"),
        (r#"POST metadata/owner {"uri":"U a"}"#, "400 MISSING_FIELD"),
        (r#"POST metadata/owner {"uri":"U a#t","owner":"x"}"#, "400 FRAGMENT_NOT_ALLOWED"),
        (r#"POST metadata/owner {"uri":"U nope","owner":"x"}"#, "404 SECRET_NOT_FOUND"),
        ("GET metadata/detail U a#t", "400 FRAGMENT_NOT_ALLOWED"),
        ("GET versions U a?version=1", "400 VERSION_PIN_NOT_ALLOWED"),
        ("GET versions U nope", "404 SECRET_NOT_FOUND"),
    ])
    .await;
}

/// Through whatever dialect a secret is made, it is known who has made it, and it is that one's.
#[tokio::test]
async fn every_dialect_stamps() {
    let (_server, uris) = Uris::start().await;
    let client = &uris.client;
    client.create("native", "{}").await.ok();
    uris.kv(Method::PUT, "secret/data/kv", r#"{"data":{}}"#).await.ok();
    uris.kv(Method::POST, "secret/metadata/empty", r#"{"max_versions":3}"#).await;
    client.call(Method::PUT, "/v1/secrets/paths", r#"{"data":{}}"#).await;
    uris.versions("uris", &["{}"]).await;
    uris.ask(r#"POST copy {"fromUri":"U uris","toUri":"U copied"}"#).await.ok();
    let mut all = Vec::new();
    for path in ["native", "kv", "empty", "paths", "uris", "copied"] {
        let stamps = custom(&uris.told(&format!("GET metadata/detail U {path}")).await);
        assert_eq!(stamps["owner"], stamps["created_by"], "{path}");
        all.push(stamps["owner"].as_str().unwrap().to_owned());
    }
    all.dedup();
    assert_eq!(all.len(), 1);
    // One that says whose it is has said so.
    let owned = r#"{"data":{},"metadata":{"owner":"team:shop"}}"#;
    client.call(Method::PUT, "/v1/secrets/owned", owned).await;
    let stamps = custom(&uris.told("GET metadata/detail U owned").await);
    assert_eq!((&stamps["owner"], &stamps["created_by"]), (&json!("team:shop"), &json!(all[0])));
}

/// 77: nobody claims afterwards to have made what was there before that was kept; somebody can get it.
#[tokio::test]
async fn what_is_older_than_stamps_gets_none() {
    let (server, engine) = TestServer::in_memory().await;
    let uris = Uris { client: server.tenant().await };
    uris.versions("a", &["{}"]).await;
    let (keys, mut header) = beneath(&server, &*engine, &uris, "a").await;
    (header.created_by, header.about.owner) = (None, None);
    engine.commit(Batch::of(vec![put(&keys, "a", &header)])).await.unwrap();
    let stamps = async || custom(&uris.told("GET metadata/detail U a").await);
    assert_eq!(stamps().await, json!({}));
    for case in [
        r#"POST {"uri":"U a","value":{}}"#,
        r#"POST {"uri":"U a#t","value":1}"#,
        r#"POST rotate {"uri":"U a","value":{}}"#,
        "DELETE U a",
        r#"POST undelete {"uri":"U a","versions":[4]}"#,
    ] {
        uris.ask(case).await.ok();
        assert_eq!(stamps().await, json!({}), "{case}");
    }
    uris.kv(Method::POST, "secret/data/a", r#"{"data":{}}"#).await.ok();
    uris.client.put("secret/a", r#"{"version":{"data":{}}}"#).await.ok();
    assert_eq!(stamps().await, json!({}));
    let owned = r#"{"uri":"U a","owner":"team:x","created_by":null,"created_at":"NOW"}"#;
    uris.says(&[(r#"POST metadata/owner {"uri":"U a","owner":"team:x"}"#, owned)]).await;
    assert_eq!(stamps().await, json!({"owner": "team:x"}));
}

#[tokio::test]
async fn versions_are_listed() {
    let (server, uris) = Uris::start().await;
    // 78
    uris.versions("a", &["{}", "{}"]).await;
    server.clock.advance(1);
    uris.client.put("secret/a/version/1", r#"{"state":"deactivated"}"#).await.ok();
    let ended = "2025-01-02T03:04:06Z";
    let first = |more: Value| {
        let mut first = json!({"version": 1, "created_at": START_TEXT});
        first.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({
            "uri": "openbao+kv2://secret/a", "current_version": 2, "oldest_version": 0,
            "versions": [{"version": 2, "created_at": START_TEXT, "state": "active"}, first],
        })
    };
    let told = uris.told("GET versions U a").await;
    assert_eq!(told, first(json!({"state": "deactivated", "deactivated_at": ended})));
    uris.ask(r#"POST destroy-versions {"uri":"U a","versions":[1]}"#).await.ok();
    let told = uris.told("GET versions U a").await;
    assert_eq!(
        told,
        first(json!({"state": "deleted", "deactivated_at": ended, "deleted_at": ended}))
    );
}

fn paths(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| item["uri"].as_str().unwrap().replace(super::OURS, "")).collect()
}

#[tokio::test]
async fn lists() {
    let (_server, uris) = Uris::start().await;
    for path in ["app/1", "app/2/x", "apx", "b"] {
        uris.versions(path, &["{}"]).await;
    }
    uris.ask("DELETE U apx").await.ok();
    uris.kv(Method::POST, "secret/metadata/app/empty", r#"{"max_versions":3}"#).await;
    let all = ["app/1", "app/2/x", "app/empty", "apx", "b"];
    for (case, expected) in [
        // 80
        ("GET metadata ?prefix=U app/", &all[..3]),
        ("GET metadata ?prefix=U ap", &all[..4]),
        ("GET metadata ?prefix=openbao+kv2://secret", &all),
        ("GET metadata ?prefix=openbao+kv2://secret/", &all),
        ("GET metadata", &all),
        ("GET metadata ?mount=secret&prefix=app/", &all[..3]),
        ("GET metadata ?mount=secret/&prefix=b", &all[4..]),
        ("GET metadata ?mount=secret", &all),
        ("GET metadata ?prefix=U nothing", &[]),
        ("GET metadata ?prefix=U ap&offset=1", &all[1..4]),
        ("GET metadata ?prefix=U ap&offset=9", &[]),
        ("GET metadata ?prefix=U ap&limit=1&offset=2", &all[2..3]),
        // What was removed is left out.
    ] {
        assert_eq!(paths(&uris.told(case).await), expected, "{case}");
    }
    let page = uris.told("GET metadata ?prefix=U ap&offset=2").await;
    let owner = &page["items"][0]["owner"];
    assert_eq!(
        page["items"],
        json!([
            {"uri": "openbao+kv2://secret/app/empty", "version": 0, "state": null, "owner": owner, "created_at": START_TEXT, "updated_at": START_TEXT},
            {"uri": "openbao+kv2://secret/apx", "version": 1, "state": "deactivated", "owner": owner, "created_at": START_TEXT, "updated_at": START_TEXT},
        ])
    );
    assert_eq!(
        (&page["limit"], &page["offset"], &page["has_more"], &page["next_cursor"]),
        (&json!(100), &json!(2), &json!(false), &Value::Null)
    );
    uris.client.call(Method::DELETE, "/v1/secrets/b", "").await.ok();
    assert_eq!(paths(&uris.told("GET metadata").await), all[..4]);
    // In the words in which it was asked for.
    let made = uris.kv(Method::POST, "sys/mounts/team", r#"{"type":"kv-v2"}"#).await;
    assert_eq!(made.status, 204);
    uris.versions("team/x%20y", &["{}"]).await;
    for (case, uri) in [
        ("GET metadata ?prefix=HASHICORP+kv2://team/", "hashicorp+kv2://team/x%20y"),
        ("GET metadata ?mount=team", "openbao+kv2://team/x%20y"),
        ("GET metadata ?prefix=okms+kv2://ibmcloud/kv/team", "okms+kv2://ibmcloud/kv/team/x%20y"),
    ] {
        assert_eq!(uris.told(case).await["items"][0]["uri"], uri, "{case}");
    }
    uris.says(&[
        // 82
        ("GET metadata ?limit=0", "400 INVALID_FIELD"),
        ("GET metadata ?limit=1001", "400 INVALID_FIELD"),
        ("GET metadata ?limit=x", "400 INVALID_FIELD"),
        ("GET metadata ?limit=", "400 INVALID_FIELD"),
        ("GET metadata ?offset=", "400 INVALID_FIELD"),
        ("GET search ?q=x&in=", "400 INVALID_FIELD"),
        ("GET metadata ?offset=10001", "400 INVALID_FIELD"),
        ("GET metadata ?offset=-1", "400 INVALID_FIELD"),
        ("GET metadata ?cursor=AAAA&offset=1", "400 AMBIGUOUS_QUERY"),
        ("GET metadata ?cursor=AAAA", "400 INVALID_FIELD"),
        ("GET metadata ?cursor=!", "400 INVALID_FIELD"),
        ("GET metadata ?prefix=U a#t", "400 FRAGMENT_NOT_ALLOWED"),
        ("GET metadata ?prefix=U a?version=1", "400 VERSION_PIN_NOT_ALLOWED"),
        ("GET metadata ?prefix=openbao+kv2://nope", "400 TENANT_MOUNT_MISMATCH"),
        ("GET metadata ?mount=nope", "400 TENANT_MOUNT_MISMATCH"),
        ("GET metadata ?mount=team/x", "400 TENANT_MOUNT_MISMATCH"),
        ("GET metadata ?prefix=env", "400 ILLEGAL_SEGMENT"),
        // Which of them says where was not told, and nothing begins so.
        ("GET metadata ?mount=secret&prefix=U app/", "400 AMBIGUOUS_QUERY"),
        ("GET search ?q=x&mount=secret&prefix=U app/", "400 AMBIGUOUS_QUERY"),
        ("GET metadata ?mount=secret&prefix=yaml://secret", "400 AMBIGUOUS_QUERY"),
    ])
    .await;
}

/// 81
#[tokio::test]
async fn lists_go_on() {
    let (server, uris) = Uris::start().await;
    let other = Uris { client: server.tenant().await };
    let names: Vec<_> = (0..150).map(|n| format!("s/{n:03}")).collect();
    uris.client.create_all(&names).await;
    other.client.create_all(&names).await;
    let first = uris.told("GET metadata ?prefix=U s/&limit=100").await;
    assert_eq!((paths(&first), &first["has_more"]), (names[..100].to_vec(), &json!(true)));
    let cursor = first["next_cursor"].as_str().unwrap();
    let next = format!("GET metadata ?prefix=U s/&limit=100&cursor={cursor}");
    let second = uris.told(&next).await;
    assert_eq!((paths(&second), &second["next_cursor"]), (names[100..].to_vec(), &Value::Null));
    other.says(&[(&next, "400 INVALID_FIELD")]).await;
    // Nor does one of another list do.
    let elsewhere = format!("GET metadata ?prefix=U t/&cursor={cursor}");
    uris.says(&[(&elsewhere, "400 INVALID_FIELD")]).await;
}

#[tokio::test]
async fn searches() {
    let (_server, uris) = Uris::start().await;
    // 83, 84
    for path in ["app/TokenX", "app/other"] {
        uris.versions(path, &[r#"{"needle":"needle"}"#]).await;
    }
    let owned = r#"POST metadata/owner {"uri":"U app/other","owner":"team:Token"}"#;
    uris.ask(owned).await.ok();
    for (case, expected) in [
        ("GET search ?q=token", &[("app/TokenX", "path")][..]),
        ("GET search ?q=TOKEN&in=path", &[("app/TokenX", "path")]),
        ("GET search ?q=token&in=metadata", &[("app/other", "metadata")]),
        ("GET search ?q=token&in=all", &[("app/TokenX", "path"), ("app/other", "metadata")]),
        ("GET search ?q=token&in=all&prefix=U app/o", &[("app/other", "metadata")]),
        ("GET search ?q=needle&in=all", &[]),
    ] {
        let page = uris.told(case).await;
        let found: Vec<_> =
            paths(&page).into_iter().zip(page["items"].as_array().unwrap()).collect();
        let found: Vec<_> = found
            .iter()
            .map(|(path, item)| (path.as_str(), item["matched"].as_str().unwrap()))
            .collect();
        assert_eq!(found, expected, "{case}");
    }
    let long = format!("GET search ?q={}", "é".repeat(129));
    let most = format!("GET search ?q={}", "é".repeat(128));
    uris.says(&[
        ("GET search ?q=", "400 MISSING_FIELD"),
        ("GET search", "400 MISSING_FIELD"),
        ("GET search ?q=x&in=values", "400 INVALID_FIELD"),
        (&long, "400 INVALID_FIELD"),
        (&most, "200"),
    ])
    .await;
}

/// 85: a search looks at so many at once, and its cursor finds what lies behind.
#[tokio::test]
async fn one_of_twenty_thousand_is_found() {
    let (server, engine) = TestServer::in_memory().await;
    let uris = Uris { client: server.tenant().await };
    uris.versions("heap/19999-needle", &["{}"]).await;
    let (keys, header) = beneath(&server, &*engine, &uris, "heap/19999-needle").await;
    let straws: Vec<_> =
        (0..19_999).map(|number| put(&keys, &format!("heap/{number:05}-straw"), &header)).collect();
    for straws in straws.chunks(1_000) {
        engine.commit(Batch::of(straws.to_vec())).await.unwrap();
    }
    let first = uris.told("GET search ?q=NEEDLE").await;
    assert_eq!((&first["items"], &first["has_more"]), (&json!([]), &json!(true)), "{first}");
    let (mut page, mut pages) = (first, 1);
    while page["has_more"] == true {
        let cursor = page["next_cursor"].as_str().unwrap().to_owned();
        page = uris.told(&format!("GET search ?q=NEEDLE&cursor={cursor}")).await;
        pages += 1;
    }
    let found: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| &item["uri"]).collect();
    assert_eq!(found, ["openbao+kv2://secret/heap/19999-needle"], "{page}");
    assert!((2..=3).contains(&pages), "{pages}");
}
