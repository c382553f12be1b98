//! Reads of values (cases 34, 35, 46 to 56, and 79).

use hyper::Method;

use super::{Uris, refused};

#[tokio::test]
async fn values_are_read() {
    let (_server, uris) = Uris::start().await;
    // 46
    uris.client.create("a", r#"{ "t" : 1 }"#).await.ok();
    let read = uris.ask("GET value U a").await;
    assert_eq!(
        (read.text(), &read.headers["x-secret-version"]),
        (r#"{ "t" : 1 }"#, &"1".parse().unwrap())
    );
    uris.versions("a", &[r#"{"t":"x"}"#, r#"{"t":"y"}"#]).await;
    uris.versions("l", &[r#"{"l":[1,{"k":2}]}"#]).await;
    uris.versions("s", &[r##"{"a.b":1,"a":{"b":2},"*":3,"#":4}"##]).await;
    uris.says(&[
        // 47
        ("GET value U a#t", r#"{"value":"y"}"#),
        ("GET value U a#t&version=1", r#"{"value":"x"}"#),
        ("GET value U a#t?version=1", r#"{"value":"x"}"#),
        ("GET value U a#t?version=1&version=1", r#"{"value":"x"}"#),
        ("GET value U a#t?version=1&version=2", "400 AMBIGUOUS_QUERY"),
        // 48
        ("GET value U a&version=0", "400 INVALID_VERSION"),
        // A variable of a script that is empty was the current version.
        ("GET value U a&version=", "400 INVALID_VERSION"),
        ("HEAD value U a&version=", "400"),
        ("GET keys U a&version=", "400 INVALID_VERSION"),
        ("GET value U a&version=-1", "400 INVALID_VERSION"),
        ("GET value U a&version=x", "400 INVALID_VERSION"),
        ("GET value U a&version=24001", "400 INVALID_VERSION"),
        ("GET value U a&version=1.0", "400 INVALID_VERSION"),
        ("GET value U a?version=+1", "400 INVALID_VERSION"),
        ("GET value U a?version=0", "400 INVALID_VERSION"),
        // 49
        ("GET value U nope", "404 SECRET_NOT_FOUND"),
        ("GET value U nope&version=1", "404 SECRET_NOT_FOUND"),
        ("GET value U a#nope", "404 FRAGMENT_NOT_FOUND"),
        ("GET value U a&version=9", "404 VERSION_NOT_FOUND"),
        // 34
        ("GET value U l#/l/0", r#"{"value":1}"#),
        ("GET value U l#/l/1/k", r#"{"value":2}"#),
        ("GET value U l#/l/2", "404 FRAGMENT_NOT_FOUND"),
        // 35
        ("GET value U s#a.b", r#"{"value":1}"#),
        ("GET value U s#/a/b", r#"{"value":2}"#),
        ("GET value U s#*", r#"{"value":3}"#),
        ("GET value U s#%23", r#"{"value":4}"#),
        // 79
        ("GET keys U s", r##"{"uri":"U s","version":1,"keys":["#","*","a","a.b"]}"##),
        ("GET keys U s#a", r#"{"uri":"U s#a","version":1,"keys":["b"]}"#),
        ("GET keys U s#a.b", "400 FRAGMENT_INVALID"),
        ("GET keys U s#nope", "404 FRAGMENT_NOT_FOUND"),
        ("GET keys U a?version=1", r#"{"uri":"U a?version=1","version":1,"keys":["t"]}"#),
        ("GET keys U nope", "404 SECRET_NOT_FOUND"),
    ])
    .await;
}

#[tokio::test]
async fn what_has_ended_is_not_read() {
    let (server, uris) = Uris::start().await;
    // 50, 51
    uris.versions("a", &["{}", "{}"]).await;
    uris.says(&[
        ("DELETE U a", "200"),
        ("GET value U a", "404 SECRET_NOT_FOUND"),
        ("GET keys U a", "404 SECRET_NOT_FOUND"),
        ("GET value U a&version=2", "409 VERSION_DELETED"),
        (r#"POST destroy-versions {"uri":"U a","versions":[1]}"#, "200"),
        ("GET value U a&version=1", "409 VERSION_DESTROYED"),
        ("GET keys U a&version=1", "409 VERSION_DESTROYED"),
    ])
    .await;
    // 52
    uris.client.put("secret/a", r#"{"metadata":{"maxVersions":1}}"#).await.ok();
    uris.says(&[
        (r#"POST {"uri":"U a","value":{}}"#, "200"),
        ("GET value U a&version=1", "404 VERSION_NOT_FOUND"),
    ])
    .await;
    // 53
    let lives = r#"{"path":"b","metadata":{"deactivateVersionAfter":"90s"},"version":{"data":{}}}"#;
    uris.client.post("secret", lives).await.ok();
    server.clock.advance(90);
    uris.says(&[
        ("GET value U b", "404 SECRET_NOT_FOUND"),
        ("GET value U b&version=1", "409 VERSION_DELETED"),
    ])
    .await;
    // What path secrets have removed, and what has ended there.
    uris.versions("c", &["{}"]).await;
    uris.client.call(Method::DELETE, "/v1/secrets/c", "").await.ok();
    let ends = r#"{"data":{},"options":{"expires_in":"60s"}}"#;
    assert_eq!(uris.client.call(Method::PUT, "/v1/secrets/d", ends).await.status, 201);
    server.clock.advance(60);
    for path in ["c", "d"] {
        uris.says(&[
            (&format!("GET value U {path}"), "404 SECRET_NOT_FOUND"),
            (&format!("GET value U {path}&version=1"), "409 VERSION_DELETED"),
            (&format!(r#"POST {{"uri":"U {path}","value":{{"n":1}}}}"#), "200"),
            (&format!("GET value U {path}"), r#"{"n":1}"#),
        ])
        .await;
    }
    // A secret of metadata alone.
    uris.kv(Method::POST, "secret/metadata/e", r#"{"max_versions":3}"#).await;
    uris.says(&[("GET value U e", "404 SECRET_NOT_FOUND")]).await;
}

#[tokio::test]
async fn addresses_of_the_dialect() {
    let (_server, uris) = Uris::start().await;
    uris.versions("a", &["{}"]).await;
    // 54
    let file = uris.ask("GET - U a").await;
    refused(&file, 501, "OPERATION_NOT_SUPPORTED");
    assert!(file.json()["message"].as_str().unwrap().contains("/api/secrets/value"));
    // 55
    let head = uris.ask("HEAD value U a").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(uris.ask("HEAD value U nope").await.status, 404);
    let put = uris.ask("PUT").await;
    refused(&put, 405, "METHOD_NOT_ALLOWED");
    let allow = put.headers["allow"].to_str().unwrap();
    let mut allowed: Vec<_> = allow.split(", ").collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD", "POST"]);
    // 56, and what no tenant's address means any more.
    for path in ["/nothing", "/v2/secret/x", "/value/x", "/v1/secret/data/a"] {
        let answer = uris.client.call(Method::GET, &format!("/api/secrets{path}"), "").await;
        refused(&answer, 404, "NOT_FOUND");
    }
}
