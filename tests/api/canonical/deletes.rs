//! Deletes, undeletes and destruction (cases 57 to 69).

use hyper::Method;
use serde_json::json;

use super::Uris;

#[tokio::test]
async fn secrets_are_deleted() {
    let (server, uris) = Uris::start().await;
    uris.versions("a", &["{}"]).await;
    let gone = r#"{"uri":"U a","deleted":true,"destroyed":false,"version":1,"changed":true}"#;
    // 57
    uris.says(&[("DELETE U a", gone)]).await;
    let read = uris.kv(Method::GET, "secret/data/a", "").await;
    let at = read.json()["data"]["metadata"]["deletion_time"].clone();
    assert_eq!(read.status, 404);
    assert_ne!(at, "");
    // 58
    server.clock.advance(10);
    uris.says(&[
        ("DELETE U a", &gone.replace("\"changed\":true", "\"changed\":false")),
        ("DELETE U nope", "404 SECRET_NOT_FOUND"),
    ])
    .await;
    let read = uris.kv(Method::GET, "secret/data/a", "").await;
    assert_eq!(read.json()["data"]["metadata"]["deletion_time"], at);
    // 59
    uris.says(&[
        (
            r#"POST undelete {"uri":"U a","versions":[1]}"#,
            r#"{"uri":"U a","results":[{"version":1,"state":"active","changed":true}]}"#,
        ),
        ("GET value U a", "{}"),
        (
            r#"POST undelete {"uri":"U a","versions":[1]}"#,
            r#"{"uri":"U a","results":[{"version":1,"state":"active","changed":false}]}"#,
        ),
    ])
    .await;
    // 63
    uris.versions("a", &["{}", "{}", "{}"]).await;
    uris.says(&[
        (
            "DELETE U a&destroy=true",
            r#"{"uri":"U a","deleted":true,"destroyed":true,"version":null,"changed":true}"#,
        ),
        ("DELETE U a&destroy=true", "404 SECRET_NOT_FOUND"),
    ])
    .await;
    uris.client.get("secret/a").await.error(404, 17_125_377);
    let again = uris.ask(r#"POST {"uri":"U a","value":{}}"#).await.ok();
    assert_eq!((&again["version"], &again["created"]), (&json!(1), &json!(true)));
}

#[tokio::test]
async fn parts_are_deleted() {
    let (_server, uris) = Uris::start().await;
    // 60
    uris.versions("a", &[r#"{"t":1,"k":2}"#]).await;
    uris.says(&[
        (
            "DELETE U a#t",
            r#"{"uri":"U a#t","deleted":true,"destroyed":false,"version":2,"changed":true}"#,
        ),
        ("GET value U a", r#"{"k":2}"#),
        ("GET value U a&version=1", r#"{"t":1,"k":2}"#),
        // 61
        (
            "DELETE U a#k",
            r#"{"uri":"U a#k","deleted":true,"destroyed":false,"version":2,"changed":true}"#,
        ),
        ("GET value U a", "404 SECRET_NOT_FOUND"),
        ("GET value U a&version=3", "404 VERSION_NOT_FOUND"),
        ("DELETE U a#k", "404 SECRET_NOT_FOUND"),
    ])
    .await;
    uris.versions("b", &[r#"{"t":{"u":1},"l":[{"m":1}]}"#]).await;
    uris.says(&[
        // 62
        ("DELETE U b#nope", "404 FRAGMENT_NOT_FOUND"),
        ("DELETE U b#/t/nope", "404 FRAGMENT_NOT_FOUND"),
        ("DELETE U nope#t", "404 SECRET_NOT_FOUND"),
        ("DELETE U b#/l/0", "400 FRAGMENT_INVALID"),
        ("DELETE U b#/l/0/m", "400 FRAGMENT_INVALID"),
        // 64
        ("DELETE U b#t&destroy=true", "400 FRAGMENT_NOT_ALLOWED"),
        // 65
        ("DELETE U b&destroy=yes", "400 INVALID_FIELD"),
        ("DELETE U b&destroy=", "400 INVALID_FIELD"),
        ("DELETE U b?version=1", "400 VERSION_PIN_NOT_ALLOWED"),
        ("GET value U b&version=2", "404 VERSION_NOT_FOUND"),
        ("GET value U b", r#"{"t":{"u":1},"l":[{"m":1}]}"#),
        // What is inside goes without what is around it.
        ("DELETE U b#/t/u", "200"),
        ("GET value U b", r#"{"t":{},"l":[{"m":1}]}"#),
    ])
    .await;
}

#[tokio::test]
async fn versions_by_their_numbers() {
    let (_server, uris) = Uris::start().await;
    uris.versions("a", &["{}", "{}", "{}"]).await;
    uris.says(&[
        // 66
        (r#"POST undelete {"uri":"U a","versions":[]}"#, "400 VERSIONS_REQUIRED"),
        (r#"POST undelete {"uri":"U a"}"#, "400 VERSIONS_REQUIRED"),
        (r#"POST destroy-versions {"uri":"U a","versions":[]}"#, "400 VERSIONS_REQUIRED"),
        (r#"POST destroy-versions {"uri":"U a","versions":null}"#, "400 VERSIONS_REQUIRED"),
        // 67
        (
            r#"POST destroy-versions {"uri":"U a","versions":[1,2,9]}"#,
            r#"{"uri":"U a","results":[{"version":1,"state":"deleted","changed":true},{"version":2,"state":"deleted","changed":true},{"version":9,"code":"VERSION_NOT_FOUND"}]}"#,
        ),
        // 68
        (
            r#"POST undelete {"uri":"U a","versions":[1]}"#,
            r#"{"uri":"U a","results":[{"version":1,"state":"deleted","changed":false,"code":"VERSION_DESTROYED"}]}"#,
        ),
        (r#"POST undelete {"uri":"U a","versions":[9]}"#, "404 VERSION_NOT_FOUND"),
        (r#"POST undelete {"uri":"U nope","versions":[1]}"#, "404 SECRET_NOT_FOUND"),
        // 69
        (r#"POST undelete {"uri":"U a#t","versions":[1]}"#, "400 FRAGMENT_NOT_ALLOWED"),
        (r#"POST undelete {"uri":"U a?version=1","versions":[1]}"#, "400 VERSION_PIN_NOT_ALLOWED"),
        (r#"POST undelete {"uri":"U a","versions":["1"]}"#, "400 INVALID_FIELD"),
        (r#"POST undelete {"uri":"U a","versions":[0]}"#, "400 INVALID_FIELD"),
        (r#"POST undelete {"uri":"U a","versions":[1,1]}"#, "400 INVALID_FIELD"),
        (r#"POST undelete {"uri":"U a","versions":[24001]}"#, "400 INVALID_FIELD"),
        (r#"POST undelete {"uri":"U a","versions":7}"#, "400 INVALID_FIELD"),
    ])
    .await;
    let native = uris.client.get("secret/a/version").await.ok();
    let states: Vec<_> = native.as_array().unwrap().iter().map(|it| it["state"].clone()).collect();
    assert_eq!(states, ["deleted", "deleted", "active"]);
    // What path secrets have removed comes back with a version.
    uris.client.call(Method::DELETE, "/v1/secrets/a", "").await.ok();
    uris.says(&[
        ("GET value U a", "404 SECRET_NOT_FOUND"),
        (
            r#"POST undelete {"uri":"U a","versions":[3]}"#,
            r#"{"uri":"U a","results":[{"version":3,"state":"active","changed":true}]}"#,
        ),
        ("GET value U a", "{}"),
    ])
    .await;
}

/// 70, 71: a rotation is told as one, to whoever follows and in the trail; one of what is not there makes it.
#[tokio::test]
async fn rotations_are_told() {
    let (server, uris) = Uris::start().await;
    uris.versions("a", &[r#"{"t":1}"#]).await;
    let first =
        uris.client.get("events?since=first").await.ok()["next"].as_str().unwrap().to_owned();
    let bulk = r#"POST bulk {"operations":[{"op":"rotate","uri":"U a#t","value":3},{"op":"set","uri":"U a#t","value":4},{"op":"rotate","uri":"U c","value":{}}]}"#;
    for case in [
        r#"POST rotate {"uri":"U a","value":{"t":2}}"#,
        r#"POST rotate {"uri":"U a#k","value":2}"#,
        r#"POST rotate {"uri":"U b","value":{}}"#,
        r#"POST {"uri":"U b","value":{}}"#,
        bulk,
    ] {
        uris.ask(case).await.ok();
    }
    let page = uris.client.get(&format!("events?since={first}")).await.ok();
    let told: Vec<_> = page["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (event["path"].as_str().unwrap(), event["type"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("a", "rotated"),
            ("a", "rotated"),
            ("b", "created"),
            ("b", "updated"),
            ("a", "rotated"),
            ("a", "updated"),
            ("c", "created"),
        ]
    );
    let (records, _) = crate::audit::trail(&server);
    let changes = records.iter().filter(|record| record["type"] == "intent");
    let changes: Vec<_> = changes
        .filter(|record| record["dialect"] == "canonical")
        .map(|one| one["change"].as_str().unwrap())
        .collect();
    let rotates = changes.iter().filter(|change| **change == "secrets.rotate").count();
    assert_eq!(rotates, 5, "{changes:?}");
    assert_eq!(
        server.metric("okmsd_changes_total{change=\"secrets.rotate\",outcome=\"committed\"}").await,
        5.0
    );
}
