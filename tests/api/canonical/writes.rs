//! Writes of values and of parts of them (cases 23 to 45, and 70, 71).

use hyper::Method;
use okmsd::{model::VersionNumber, store::engine::Batch};
use serde_json::{Value, json};

use super::{
    Uris, refused,
    stored::{beneath, put},
};
use crate::harness::{BOTH, TestServer};

#[tokio::test]
async fn values_are_written() {
    let (_server, uris) = Uris::start().await;
    uris.says(&[
        // 23
        (
            r#"POST {"uri":"U a","value":{"t":"x"}}"#,
            r#"{"uri":"U a","version":1,"created":true,"created_at":"NOW"}"#,
        ),
    ])
    .await;
    // 45
    let native = uris.client.get("secret/a?includeData=true").await;
    let kv = uris.kv(Method::GET, "secret/data/a", "").await.ok();
    assert_eq!(
        (native.ok()["version"]["id"].as_u64(), native.data().unwrap()),
        (Some(1), r#"{"t":"x"}"#.to_owned())
    );
    assert_eq!(
        (&kv["data"]["data"], &kv["data"]["metadata"]["version"]),
        (&json!({"t":"x"}), &json!(1))
    );
    uris.says(&[
        // 24
        (
            r#"POST {"uri":"U a","value":{"u":1}}"#,
            r#"{"uri":"U a","version":2,"created":false,"created_at":"NOW"}"#,
        ),
        ("GET value U a", r#"{"u":1}"#),
        // 26 to 29
        (
            r#"POST {"uri":"U b#token","value":"s"}"#,
            r#"{"uri":"U b#token","version":1,"created":true,"created_at":"NOW"}"#,
        ),
        ("GET value U b", r#"{"token":"s"}"#),
        (r#"POST {"uri":"U b#token","value":{"token":"s3cr3t"}}"#, "200"),
        ("GET value U b#token", r#"{"value":"s3cr3t"}"#),
        (r#"POST {"uri":"U b#token","value":{"token":{"token":1}}}"#, "200"),
        ("GET value U b#token", r#"{"value":{"token":1}}"#),
        (r#"POST {"uri":"U b#token","value":{"token":1,"x":2}}"#, "200"),
        ("GET value U b#token", r#"{"value":{"token":1,"x":2}}"#),
        (r#"POST {"uri":"U b#/a/token","value":{"token":7}}"#, "200"),
        ("GET value U b#/a", r#"{"value":{"token":7}}"#),
        // 30
        (r#"POST {"uri":"U c","value":"x"}"#, "400 VALUE_NOT_OBJECT"),
        (r#"POST {"uri":"U c","value":[1]}"#, "400 VALUE_NOT_OBJECT"),
        (r#"POST {"uri":"U c","value":null}"#, "400 VALUE_NOT_OBJECT"),
        (r#"POST {"uri":"U c","value":3}"#, "400 VALUE_NOT_OBJECT"),
        ("GET metadata/detail U c", "404 SECRET_NOT_FOUND"),
        // 31
        (r#"POST {"uri":"U c#t","value":null}"#, "200"),
        ("GET value U c#t", r#"{"value":null}"#),
        // 39
        (r#"POST {"uri":"U a?version=1","value":{}}"#, "400 VERSION_PIN_NOT_ALLOWED"),
    ])
    .await;
}

#[tokio::test]
async fn parts_are_written() {
    let (_server, uris) = Uris::start().await;
    for (before, uri, value, after) in [
        (r#"{"t":1,"k":2}"#, "U a#t", "9", r#"{"t":9,"k":2}"#), // 25
        (r#"{"db":{"user":"u"}}"#, "U a#/db/pass", r#""p""#, r#"{"db":{"user":"u","pass":"p"}}"#), // 32
        // 36: byte for byte.
        (
            r#"{ "f": 1.0, "t" :0 , "n":12345678901234567890 }"#,
            "U a#t",
            "[ 2 ]",
            r#"{ "f": 1.0, "t" :[ 2 ] , "n":12345678901234567890 }"#,
        ),
    ] {
        uris.versions("a", &[before]).await;
        let case = format!(r#"POST {{"uri":"{uri}","value":{value}}}"#);
        assert_eq!(uris.ask(&case).await.ok()["version"], 2, "{case}");
        assert_eq!(uris.ask("GET value U a").await.text(), after);
    }
    for (before, case, code) in [
        (r#"{"db":1}"#, r#"POST {"uri":"U a#/db/x","value":1}"#, "400 FRAGMENT_INVALID"), // 33
        (r#"{"l":[1,2]}"#, r#"POST {"uri":"U a#/l/1","value":1}"#, "400 FRAGMENT_INVALID"), // 34
        (r#"{"t":1}"#, r#"POST {"uri":"U a#u","value":{"x":1,"x":2}}"#, "400 INVALID_FIELD"),
        (r#"{"t":1}"#, r#"POST {"uri":"U a","value":{"x":1,"x":2}}"#, "400 INVALID_FIELD"),
    ] {
        uris.versions("a", &[before]).await;
        uris.says(&[(case, code), ("GET value U a&version=2", "404 VERSION_NOT_FOUND")]).await;
    }
    // What is called data elsewhere is a value here.
    let told = uris.ask(r#"POST {"uri":"U a#u","value":{"x":1,"x":2}}"#).await.json();
    let text = "value must be: what all readers understand; it has an object that names a member twice; readers would keep only one of the two";
    assert_eq!(told["message"], text);
    // 40
    uris.versions("a", &[r#"{"k":1}"#, r#"{"k":2}"#]).await;
    uris.says(&[
        ("DELETE U a", "200"),
        (
            r#"POST {"uri":"U a#t","value":1}"#,
            r#"{"uri":"U a#t","version":3,"created":false,"created_at":"NOW"}"#,
        ),
        ("GET value U a", r#"{"t":1}"#),
    ])
    .await;
}

#[tokio::test]
async fn what_is_no_write() {
    let (_server, uris) = Uris::start().await;
    uris.says(&[
        // 37
        (r#"POST {"uri":"U a"}"#, "400 MISSING_FIELD"),
        (r#"POST {"value":{}}"#, "400 MISSING_FIELD"),
        (r#"POST {"uri":7,"value":{}}"#, "400 INVALID_FIELD"),
        (r#"POST {"uri":"U a","value":{},"cas":-1}"#, "400 INVALID_FIELD"),
        (r#"POST {"uri":"U a","value":{},"cas":24001}"#, "400 INVALID_FIELD"),
        // 38
        ("POST {", "400 INVALID_JSON"),
        ("POST []", "400 INVALID_JSON"),
        (r#"POST {"uri":"U a","uri":"U a","value":{}}"#, "400 INVALID_JSON"),
    ])
    .await;
    let unknown = uris.ask(r#"POST {"uri":"U a","value":{},"overwite":1}"#).await;
    refused(&unknown, 400, "UNKNOWN_FIELD");
    assert!(unknown.text().contains("overwite"));
    let odd = uris.ask(r#"POST {"uri":"U a","value":{},"canary 7f3a":1}"#).await;
    refused(&odd, 400, "UNKNOWN_FIELD");
    assert!(!odd.text().contains("canary"), "{odd:?}");
    // 42: the value's limit, and the body's.
    for bytes in [513 << 10, 700 << 10] {
        let case = format!(r#"POST {{"uri":"U a","value":{{"t":"{}"}}}}"#, "x".repeat(bytes));
        uris.says(&[(&case, "413 PAYLOAD_TOO_LARGE")]).await;
    }
    let most = format!(r#"POST {{"uri":"U a#t","value":"{}"}}"#, "x".repeat(511 << 10));
    let more = format!(r#"POST {{"uri":"U a#u","value":"{}"}}"#, "x".repeat(2 << 10));
    uris.says(&[
        ("GET metadata/detail U a", "404 SECRET_NOT_FOUND"),
        (&most, "200"),
        (&more, "413 PAYLOAD_TOO_LARGE"),
        ("GET value U a&version=2", "404 VERSION_NOT_FOUND"),
    ])
    .await;
}

/// 41
#[tokio::test]
async fn a_write_names_the_version_that_it_expects() {
    let (_server, uris) = Uris::start().await;
    uris.versions("a", &["{}"]).await;
    let conflict = uris.ask(r#"POST {"uri":"U a","value":{},"cas":0}"#).await;
    assert_eq!(refused(&conflict, 409, "VERSION_CONFLICT"), json!({"current_version": 1}));
    let none = uris.ask(r#"POST {"uri":"U b","value":{},"cas":3}"#).await;
    assert_eq!(refused(&none, 409, "VERSION_CONFLICT"), json!({"current_version": 0}));
    uris.client.put("secretConfig", r#"{"casRequired":true}"#).await.ok();
    uris.says(&[
        (r#"POST {"uri":"U a","value":{}}"#, "409 CAS_REQUIRED"),
        (r#"POST {"uri":"U a#t","value":1}"#, "409 CAS_REQUIRED"),
        (r#"POST rotate {"uri":"U a","value":{}}"#, "409 CAS_REQUIRED"),
        (r#"POST {"uri":"U a#t","value":1,"cas":1}"#, "200"),
        (r#"POST rotate {"uri":"U a#u","value":1,"cas":2}"#, "200"),
        (r#"POST {"uri":"U b","value":{},"cas":0}"#, "200"),
        (r#"POST copy {"fromUri":"U a","toUri":"U c"}"#, "409 CAS_REQUIRED"),
        (r#"POST copy {"fromUri":"U a","toUri":"U c","cas":0}"#, "200"),
        (r#"POST copy {"fromUri":"U a#t","toUri":"U b#t","cas":7}"#, "409 VERSION_CONFLICT"),
        // Deleting takes none.
        ("DELETE U a#t", "200"),
        (r#"POST move {"fromUri":"U a#u","toUri":"U b#u","cas":1}"#, "200"),
        ("DELETE U a", "200"),
    ])
    .await;
}

/// 44
#[tokio::test]
async fn writers_of_different_parts_lose_none() {
    let (_server, uris) = Uris::start().await;
    uris.client.put("secretConfig", r#"{"maxVersions":100}"#).await.ok();
    let writers = (0..50).map(|n| {
        let uris = Uris { client: uris.client.over(BOTH[n % 2]) };
        tokio::spawn(async move {
            let case = format!(r#"POST {{"uri":"U a#k{n}","value":{n}}}"#);
            uris.ask(&case).await.ok()["version"].as_u64().unwrap()
        })
    });
    let mut versions = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        versions.push(writer.await.unwrap());
    }
    versions.sort_unstable();
    assert_eq!(versions, (1..=50).collect::<Vec<_>>());
    let all = uris.told("GET value U a").await;
    let expected: Value =
        (0..50).map(|n| (format!("k{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into();
    assert_eq!(all, expected);
}

#[tokio::test]
async fn rotations() {
    let (_server, uris) = Uris::start().await;
    uris.versions("a", &[r#"{"t":"o","k":1}"#]).await;
    uris.says(&[
        // 70
        (
            r#"POST rotate {"uri":"U a#t","value":"n"}"#,
            r#"{"uri":"U a#t","version":2,"previous_version":1,"rotated_at":"NOW"}"#,
        ),
        ("GET value U a", r#"{"t":"n","k":1}"#),
        ("GET value U a&version=1", r#"{"t":"o","k":1}"#),
        // 71
        (
            r#"POST rotate {"uri":"U b","value":{"x":1}}"#,
            r#"{"uri":"U b","version":1,"previous_version":null,"rotated_at":"NOW"}"#,
        ),
        (r#"POST rotate {"uri":"U b?version=1","value":{}}"#, "400 VERSION_PIN_NOT_ALLOWED"),
        (r#"POST rotate {"uri":"U b","value":1}"#, "400 VALUE_NOT_OBJECT"),
    ])
    .await;
    let detail = uris.told("GET metadata/detail U b").await;
    assert_eq!(detail["custom_metadata"]["owner"], detail["custom_metadata"]["created_by"]);
    assert!(detail["custom_metadata"]["owner"].as_str().unwrap().starts_with("cert:"));
    // A secret of metadata alone has none before.
    uris.kv(Method::POST, "secret/metadata/c", r#"{"max_versions":3}"#).await;
    uris.says(&[(
        r#"POST rotate {"uri":"U c","value":{}}"#,
        r#"{"uri":"U c","version":1,"previous_version":null,"rotated_at":"NOW"}"#,
    )])
    .await;
}

/// 43
#[tokio::test]
async fn numbers_are_used_up() {
    let (server, engine) = TestServer::in_memory().await;
    let uris = Uris { client: server.tenant().await };
    uris.versions("a", &[r#"{"t":0}"#]).await;
    // All but one of its numbers are used, and those versions pruned.
    let (keys, mut header) = beneath(&server, &*engine, &uris, "a").await;
    header.current = Some(VersionNumber::new(23_999).unwrap());
    header.oldest = 23_999;
    engine.commit(Batch::of(vec![put(&keys, "a", &header)])).await.unwrap();
    uris.says(&[
        (
            r#"POST {"uri":"U a","value":{"t":1}}"#,
            r#"{"uri":"U a","version":24000,"created":false,"created_at":"NOW"}"#,
        ),
        (r#"POST {"uri":"U a","value":{"t":2}}"#, "400 VERSIONS_USED_UP"),
        (r#"POST {"uri":"U a#t","value":3}"#, "400 VERSIONS_USED_UP"),
        (r#"POST rotate {"uri":"U a","value":{}}"#, "400 VERSIONS_USED_UP"),
        ("GET value U a", r#"{"t":1}"#),
        // Another one goes on, as its words say.
        (r#"POST copy {"fromUri":"U a","toUri":"U b"}"#, "200"),
        (r#"POST copy {"fromUri":"U b","toUri":"U a","overwrite":true}"#, "400 VERSIONS_USED_UP"),
        ("DELETE U a&destroy=true", "200"),
        (r#"POST {"uri":"U a","value":{}}"#, "200"),
    ])
    .await;
}
