//! Secret paths: one canonical form, reached escaped or plain, and everything else refused.

use hyper::Method;
use serde_json::json;

use crate::harness::{Client, TestServer};

/// The path as the Go SDK and `encodeURIComponent` send it: one segment.
fn escaped(path: &str) -> String {
    path.replace('/', "%2F").replace(':', "%3A").replace('=', "%3D").replace('@', "%40")
}

async fn value_at(client: &Client, rest: &str) -> String {
    client.get(&format!("secret/{rest}?includeData=true")).await.ok()["version"]["data"]["of"]
        .to_string()
}

#[tokio::test]
async fn escaped_and_plain_name_the_same_secret() {
    let (_server, client) = TestServer::with_tenant().await;
    let longest = format!("{}/{}", "x".repeat(127), "y".repeat(127));
    for path in
        ["a", "foo/bar", "a.b:c=d@e-f_g/9", "...", "a/.b/c..", "0", "-", &longest, &"z".repeat(255)]
    {
        let created = client.create(path, &json!({"of": path}).to_string()).await.ok();
        assert_eq!(created["path"], path);
        for rest in
            [path.to_owned(), escaped(path), path.replace('/', "%2f"), path.replace('a', "%61")]
        {
            assert_eq!(value_at(&client, &rest).await, json!(path).to_string(), "{rest}");
        }
        assert_eq!(
            client.put(&format!("secret/{}", escaped(path)), r#"{"maxVersions":3}"#).await.ok()["path"],
            path
        );
        for (rest, id) in [(path.to_owned(), 2), (escaped(path), 3)] {
            assert_eq!(
                client.post(&format!("secret/{rest}/version"), r#"{"data":{}}"#).await.ok()["id"],
                id
            );
            assert_eq!(client.get(&format!("secret/{rest}/version/{id}")).await.ok()["id"], id);
        }
        assert_eq!(client.delete(&format!("secret/{}", escaped(path))).await.status, 204);
        client.get(&format!("secret/{path}")).await.error(404, 17_125_377);
    }
}

/// With plain slashes a last `/version` or `/version/N` is the sub-resource; escaped, it is part of
/// the name.
#[tokio::test]
async fn version_at_the_end_of_a_name() {
    let (_server, client) = TestServer::with_tenant().await;
    for path in ["foo", "foo/version", "foo/version/1", "version", "version/1"] {
        client.create(path, &json!({"of": path}).to_string()).await.ok();
    }
    for (rest, path) in [
        ("foo", "foo"),
        ("foo%2Fversion", "foo/version"),
        ("foo%2Fversion%2F1", "foo/version/1"),
        ("foo%2Fversion/version%2F1", ""),
        ("version", "version"),
        ("version/1", "version/1"),
    ] {
        if path.is_empty() {
            client.get(&format!("secret/{rest}")).await.error(404, 17_125_377);
        } else {
            assert_eq!(value_at(&client, rest).await, json!(path).to_string(), "{rest}");
        }
    }
    for (rest, of) in [
        ("foo/version/1", "foo"),
        ("foo%2Fversion/version/1", "foo/version"),
        ("foo/version/version/1", "foo/version"),
        ("foo/version/1/version/1", "foo/version/1"),
        ("version/version/1", "version"),
    ] {
        let version = client.get(&format!("secret/{rest}?includeData=true")).await.ok();
        assert_eq!(version["data"]["of"], of, "{rest}");
        assert_eq!(version["id"], 1);
    }
    assert!(client.get("secret/foo/version").await.ok().is_array());
    // Nothing was deleted by a name that is not a secret's.
    let refused = client.delete("secret/foo/version").await;
    refused.error(405, 50_405_377);
    assert_eq!(client.get("secret").await.ok().as_array().unwrap().len(), 5);
}

/// Paths that are refused in a URL: what would be normalized, what hides something, what cannot be
/// printed.
const WRONG_IN_URL: &[&str] = &[
    ".",
    "..",
    "a/.",
    "a/..",
    "a/../b",
    "../a",
    "./a",
    "a/./b",
    "..%2Fa",
    "a%2F..%2Fb",
    "a%2F.",
    "%2E",
    "%2e",
    "%2e%2e",
    "a/%2e%2e/b",
    "a%2F%2E%2E%2Fb",
    ".%2e",
    "a%2eb",
    "a//b",
    "/a",
    "//",
    "a/",
    "a%2F",
    "%2Fa",
    "a%2F%2Fb",
    "%2F",
    "%",
    "a%",
    "a%2",
    "a%zz",
    "a%2Fb%",
    "a%00",
    "%00",
    "a%0Ab",
    "a%0D%0Ab",
    "a%09",
    "a%1F",
    "a%7F",
    "%C0%AE%C0%AE",
    "a%C0%AFb",
    "%FF",
    "%ED%A0%80",
    "%E2%80%AE",
];

/// Names that the native dialect does not give and KV2 does: here they are like any other that is
/// not there.
const WIDER_IN_URL: &[&str] = &[
    "%252e%252e",
    "a%252Fb",
    "a%25",
    "a%20b",
    "a+b",
    "a;b",
    "a;b=c/d",
    "a\\b",
    "a%5Cb",
    "a%5C..%5Cb",
    "a,b",
    "a*",
    "a~",
    "a!",
    "a(b)",
    "a'",
    "a%22",
    "a%3Cb%3E",
    "a%3Fb",
    "a%23b",
    "caf%C3%A9",
    "%EF%BC%8E%EF%BC%8E",
    "%EF%BC%8Fa",
    "%D0%B0",
];

#[tokio::test]
async fn what_is_no_path_is_refused_in_every_place() {
    let (_server, client) = TestServer::with_tenant().await;
    client.create("a", "{}").await.ok();
    client.create("b", "{}").await.ok();
    let long = "x".repeat(1025);
    let mut connection = client.connect().await;
    let wrong = WRONG_IN_URL.iter().copied().chain([&*long]).map(|wrong| (wrong, 400, 50_405_377));
    let wider = WIDER_IN_URL.iter().map(|wider| (*wider, 404, 17_125_377));
    for (wrong, status, code) in wrong.chain(wider) {
        for (method, rest, body) in [
            (Method::GET, format!("secret/{wrong}"), ""),
            (Method::GET, format!("secret/{wrong}?includeData=true"), ""),
            (Method::PUT, format!("secret/{wrong}"), r#"{"version":{"data":{}}}"#),
            (Method::DELETE, format!("secret/{wrong}"), ""),
            (Method::POST, format!("secret/{wrong}/version"), r#"{"data":{}}"#),
            (Method::PUT, format!("secret/{wrong}/version/1"), r#"{"state":"deleted"}"#),
            (Method::GET, format!("secret/{wrong}/version/1"), ""),
        ] {
            let answer = connection.send(method.clone(), &client.url(&rest), &[], body).await;
            assert_eq!(answer.json()["error_code"], code, "{method} {rest} {answer:?}");
            assert_eq!(answer.status, status, "{method} {rest}");
        }
    }
    let left: Vec<_> = client
        .get("secret")
        .await
        .ok()
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["path"].clone())
        .collect();
    assert_eq!(left, ["a", "b"]);
    assert_eq!(client.get("secret/a").await.ok()["version"]["state"], "active");
}

#[tokio::test]
async fn what_is_no_path_is_refused_in_a_body() {
    let (_server, client) = TestServer::with_tenant().await;
    let long = "x".repeat(256);
    let texts = [
        "",
        "/",
        ".",
        "..",
        "/a",
        "a/",
        "a//b",
        "a/./b",
        "a/../b",
        "../a",
        "a/..",
        "%2e%2e",
        "a%2Fb",
        "a%",
        "a\0",
        "a\nb",
        "\u{7f}",
        "a b",
        " a",
        "a ",
        "a\\b",
        "a?b",
        "a#b",
        "a;b",
        "a*b",
        "é",
        "а",
        "\u{202e}a",
        "．．",
        "a\u{200d}",
        &long,
    ];
    for text in texts {
        let body = json!({"path": text, "version": {"data": {}}}).to_string();
        let said = client.post("secret", &body).await.error(400, 50_405_377);
        assert!(said.contains("path"), "{text:?}: {said}");
    }
    for path in ["1", "[\"a\"]", "{}", "true", r#""\ud800""#] {
        client
            .post("secret", &format!(r#"{{"path":{path},"version":{{"data":{{}}}}}}"#))
            .await
            .error(400, 50_405_377);
    }
    assert_eq!(client.get("secret").await.text(), "[]");
    // An escape of JSON is not one of the URL: this is the plain text a/b.
    assert_eq!(
        client.post("secret", r#"{"path":"a\/\u0062","version":{"data":{}}}"#).await.ok()["path"],
        "a/b"
    );
}

/// Dots in front of the secret do not lead out of the domain, and nothing normalizes them away.
#[tokio::test]
async fn no_path_leads_elsewhere() {
    let (server, client) = TestServer::with_tenant().await;
    let other = server.tenant().await;
    other.create("a", r#"{"of":"other"}"#).await.ok();
    let (own, foreign) = (&client.id, &other.id);
    for (path, statuses) in [
        (format!("/api/{own}/v2/secret/../../../{foreign}/v2/secret/a"), [400, 400]),
        (format!("/api/{own}/v2/secret/..%2F..%2F..%2F{foreign}%2Fv2%2Fsecret%2Fa"), [400, 400]),
        (format!("/api/{own}/../{foreign}/v2/secret/a"), [404, 404]),
        (format!("/api/{own}%2F..%2F{foreign}/v2/secret/a"), [400, 400]),
        (format!("/api/{own}/v2/../../{foreign}/v2/secret/a"), [404, 404]),
        (format!("//api/{foreign}/v2/secret/a"), [404, 404]),
        (format!("/api//{foreign}/v2/secret/a"), [404, 404]),
        (format!("/API/{own}/v2/secret/a"), [404, 404]),
        (format!("/api/{own}/v2/%73ecret/a"), [404, 404]),
        (format!("/api/{own}/v2//secret/a"), [404, 404]),
    ] {
        for (method, status) in [Method::GET, Method::DELETE].into_iter().zip(statuses) {
            let answer = client.call(method, &path, "").await;
            assert_eq!(answer.status, status, "{path}");
        }
    }
    assert_eq!(value_at(&other, "a").await, r#""other""#);
}
