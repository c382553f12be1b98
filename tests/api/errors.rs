//! Every way of asking wrongly, and the one shape of what is answered. That shape itself (keys,
//! request id, headers) is checked by the harness on every answer of every test.

use hyper::Method;
use serde_json::json;

use crate::harness::{BOTH, Http, TestServer};

const CANARY: &str = "canary7f3a";

#[tokio::test]
async fn unknown_routes() {
    let (server, tenant) = TestServer::with_tenant().await;
    for client in [&tenant, &server.anonymous(), &server.operator()] {
        for path in [
            "/api",
            "/api/",
            "/nothing",
            "/v2",
            "/v2/okms",
            "/secret",
            "/metrics",
            "/livez",
            "/readyz",
            "/openapi.json/x",
            "/swaggerx",
            "/swagger/../openapi.json",
            "/swagger/..%2Fopenapi.json",
            "/swagger/nothing.js",
            "/%00",
            "/.git/config",
            "/favicon.ico",
            "/api/x/v2",
            "/api/x/v3/secret",
            "/api/x/v2/Secret",
            "/a//b",
            "/api/x/v2/secretConfig/x",
            "/v2/okms/resource/x/credential/y/z",
            "/v2/okms/crl/x",
        ] {
            let answer = client.call(Method::GET, path, "").await;
            assert_eq!(answer.status, 404, "{path}");
            answer.error(404, 50_417_665);
        }
    }
}

#[tokio::test]
async fn methods_that_an_address_does_not_know() {
    let (server, tenant) = TestServer::with_tenant().await;
    tenant.create("a", "{}").await.ok();
    for http in BOTH {
        for (path, allow) in [
            (tenant.url("secret"), "GET, POST"),
            (tenant.url("secret/a"), "GET, PUT, DELETE"),
            (tenant.url("secret/a/version"), "GET, POST, PUT"),
            (tenant.url("secret/a/version/1"), "GET, PUT"),
            (tenant.url("secretConfig"), "GET, PUT"),
            ("/v2/okms/resource".to_owned(), "GET, POST"),
            (format!("/v2/okms/resource/{}", tenant.id), "GET, PUT"),
            (format!("/v2/okms/resource/{}/credential", tenant.id), "GET, POST"),
            (format!("/v2/okms/resource/{}/credential/renew", tenant.id), "POST"),
            (format!("/v2/okms/resource/{}/credential/x", tenant.id), "GET, DELETE"),
            ("/v2/okms/crl".to_owned(), "GET"),
            ("/v2/okms/revocation".to_owned(), "POST"),
            ("/v2/okms/revocation/0a".to_owned(), "GET"),
            ("/openapi.json".to_owned(), "GET"),
            ("/swagger/".to_owned(), "GET"),
            ("/".to_owned(), "GET"),
        ] {
            let known: Vec<_> = allow.split(", ").collect();
            for method in
                ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "LIST", "SCAN", "get"]
            {
                if known.contains(&method) {
                    continue;
                }
                for client in [tenant.over(http), server.anonymous().over(http)] {
                    let answer = client.call(method.parse().unwrap(), &path, "").await;
                    answer.error(405, 50_405_377);
                    assert_eq!(answer.headers["allow"], allow, "{method} {path}");
                }
            }
        }
    }
}

#[tokio::test]
async fn bodies_that_are_no_json_object() {
    let (_server, client) = TestServer::with_tenant().await;
    client.create("a", "{}").await.ok();
    let before = client.get("secret/a").await.ok();
    for wrong in [
        &b""[..],
        b" ",
        b"\0",
        b"null",
        b"true",
        b"1",
        b"\"text\"",
        b"[]",
        b"[{}]",
        b"{",
        b"}",
        b"{}x",
        b"{}{}",
        b"{},",
        b"{\"path\"}",
        b"{\"path\":}",
        b"{\"path\":\"b\",}",
        b"{path:\"b\"}",
        b"{'path':'b'}",
        b"{\"path\":\"b\"",
        b"{\"path\":\"b",
        b"{\"path\":\"\\x\"}",
        b"{\"path\":\"\\u12\"}",
        b"{\"a\":01}",
        b"{\"a\":.5}",
        b"{\"a\":1.}",
        b"{\"a\":+1}",
        b"{\"a\":NaN}",
        b"{\"a\":tru}",
        b"{\"a\":\"\n\"}",
        b"{\"a\":1 /* no */}",
        b"\xef\xbb\xbf{}",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"\xc0\xae\"}",
        b"{\"a\":\"\xed\xa0\x80\"}",
        b"\xff\xfe{\0}\0",
    ] {
        for (method, rest) in [
            (Method::POST, "secret"),
            (Method::PUT, "secret/a"),
            (Method::POST, "secret/a/version"),
            (Method::PUT, "secret/a/version/1"),
            (Method::PUT, "secretConfig"),
        ] {
            let answer = client.send(method, &client.url(rest), &[], wrong.to_vec()).await;
            answer.error(400, 50_405_377);
        }
    }
    assert_eq!(client.get("secret/a").await.ok(), before);
    assert_eq!(client.get("secret").await.ok().as_array().unwrap().len(), 1);
}

/// What is broken inside of a value is refused too: what is stored can be read again.
#[tokio::test]
async fn values_that_are_no_json_object() {
    let (_server, client) = TestServer::with_tenant().await;
    client.create("a", "{}").await.ok();
    for wrong in [
        "null",
        "[]",
        "\"text\"",
        "1",
        "true",
        "[{}]",
        "{",
        "{\"a\":}",
        "{\"a\":01}",
        "{\"a\":1e}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\t\"}",
        "{\"a\" 1}",
        "{1:2}",
        "{\"a\":nul}",
        "{\"a\":1,}",
    ] {
        client.create("b", wrong).await.error(400, 50_405_377);
        client
            .post("secret/a/version", &format!(r#"{{"data":{wrong}}}"#))
            .await
            .error(400, 50_405_377);
        client
            .put("secret/a", &format!(r#"{{"version":{{"data":{wrong}}}}}"#))
            .await
            .error(400, 50_405_377);
    }
    client.get("secret/b").await.error(404, 17_125_377);
    assert_eq!(client.get("secret/a").await.ok()["metadata"]["currentVersion"], 1);
}

/// CVE-2025-6203: nesting must cost the client, not the server. 100 levels are taken, deeper ones
/// are refused at any place of a body.
#[tokio::test]
async fn deep_nesting() {
    let (_server, client) = TestServer::with_tenant().await;
    let nested = |levels: usize| {
        format!("{}{}{}", r#"{"a":"#.repeat(levels - 1), "{}", "}".repeat(levels - 1))
    };
    client.create("deepest", &nested(100)).await.ok();
    assert_eq!(client.get("secret/deepest?includeData=true").await.data().unwrap(), nested(100));
    let arrays = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    for body in [
        format!(r#"{{"path":"a","version":{{"data":{}}}}}"#, nested(101)),
        format!(r#"{{"path":"a","version":{{"data":{}}}}}"#, nested(50_000)),
        format!(r#"{{"path":"a","version":{{"data":{{"x":{}}}}}}}"#, arrays(200_000)),
        format!(r#"{{"path":{},"version":{{"data":{{}}}}}}"#, arrays(100_000)),
        format!(r#"{{"path":"a","version":{}}}"#, arrays(100_000)),
        format!(
            r#"{{"path":"a","version":{{"data":{{}}}},"customMetadata":{{"k":{}}}}}"#,
            arrays(100_000)
        ),
        format!(r#"{{"path":"a","version":{{"data":{{}}}},"metadata":{}}}"#, arrays(100_000)),
        arrays(100_000),
        "[".repeat(250_000),
        r#"{"a":"#.repeat(90_000),
    ] {
        client.post("secret", &body).await.error(400, 50_405_377);
    }
    client.get("secret/a").await.error(404, 17_125_377);
    // Wide is as bad as deep.
    let members: Vec<_> = (0..40_000).map(|n| format!(r#""{n}":1"#)).collect();
    client.post("secret", &format!("{{{}}}", members.join(","))).await.error(400, 50_405_377);
    client.create("wide", &format!("{{{}}}", members.join(","))).await.ok();
}

#[tokio::test]
async fn fields_that_are_given_twice() {
    let (_server, client) = TestServer::with_tenant().await;
    for body in [
        r#"{"path":"a","path":"b","version":{"data":{}}}"#,
        r#"{"path":"a","p\u0061th":"b","version":{"data":{}}}"#,
        r#"{"path":"a","version":{"data":{}},"version":{"data":{}}}"#,
        r#"{"path":"a","version":{"data":{},"data":{}}}"#,
        r#"{"path":"a","version":{"data":{}},"metadata":{},"metadata":{}}"#,
        r#"{"path":"a","version":{"data":{}},"customMetadata":{"k":"1","k":"2"}}"#,
        r#"{"path":"a","version":{"data":{}},"x":1,"x":2}"#,
    ] {
        client.post("secret", body).await.error(400, 50_405_377);
    }
    assert_eq!(client.get("secret").await.text(), "[]");
}

/// CVE-2025-4166, CVE-2025-52893: an error that repeats its input puts secrets into the logs of
/// clients. A canary stands in every field, query parameter and header in turn; no answer may have
/// it.
#[tokio::test]
async fn errors_do_not_repeat_the_input() {
    let (server, tenant) = TestServer::with_tenant().await;
    tenant.create("a", "{}").await.ok();
    let operator = server.operator();
    let texts = [
        format!("\"{CANARY} \""),
        format!("[\"{CANARY}\"]"),
        format!("{{\"{CANARY}\":\"{CANARY}\"}}"),
        format!("\"{CANARY}\\u0000\""),
        format!("\"{}\"", CANARY.repeat(100)),
        CANARY.to_owned(),
        format!("\"{CANARY}"),
        format!("{{\"{CANARY}\":1,\"{CANARY}\":2}}"),
        format!("-1{CANARY}"),
    ];
    let mut refused = 0;
    for text in &texts {
        let bodies = [
            ("secret", Method::POST, format!(r#"{{"path":{text},"version":{{"data":{{}}}}}}"#)),
            ("secret", Method::POST, format!(r#"{{"path":"new","version":{text}}}"#)),
            ("secret", Method::POST, format!(r#"{{"path":"/","version":{{"data":{text}}}}}"#)),
            (
                "secret",
                Method::POST,
                format!(r#"{{"path":"a","version":{{"data":{{"v":{text}}}}}}}"#),
            ),
            (
                "secret",
                Method::POST,
                format!(r#"{{"path":"new","version":{{"data":{{}}}},"metadata":{text}}}"#),
            ),
            ("secret/a", Method::PUT, format!(r#"{{"metadata":{{"casRequired":{text}}}}}"#)),
            ("secret/a", Method::PUT, format!(r#"{{"max_versions":{text}}}"#)),
            ("secret/a", Method::PUT, format!(r#"{{"deactivateVersionAfter":{text}}}"#)),
            ("secret/a", Method::PUT, format!(r#"{{"customMetadata":{text}}}"#)),
            ("secret/a", Method::PUT, format!(r#"{{"customMetadata":{{"k":{text}}}}}"#)),
            ("secret/a", Method::PUT, format!(r#"{{"maxVersions":-1,{CANARY}:{text}}}"#)),
            ("secret/a?cas=9", Method::PUT, format!(r#"{{"version":{{"data":{{"v":{text}}}}}}}"#)),
            ("secret/a/version", Method::POST, format!(r#"{{"data":{text}}}"#)),
            ("secret/a/version/1", Method::PUT, format!(r#"{{"state":{text}}}"#)),
            ("secretConfig", Method::PUT, format!(r#"{{"casRequired":{text}}}"#)),
            ("secretConfig", Method::PUT, text.clone()),
        ];
        for (rest, method, body) in bodies {
            let answer = tenant.send(method, &tenant.url(rest), &[], body.clone()).await;
            if !answer.status.is_success() {
                refused += 1;
                assert!(!answer.text().contains(CANARY), "{body}: {answer:?}");
            }
        }
        for field in ["name", "csr", "certificateType", "validity"] {
            let rest = if field == "name" { String::new() } else { r#""name":"x","#.to_owned() };
            let body = format!(r#"{{{rest}"{field}":{text}}}"#);
            let url = format!("/v2/okms/resource/{}/credential", tenant.id);
            for url in ["/v2/okms/resource", &url] {
                let answer = operator.call(Method::POST, url, &body).await;
                assert!(
                    answer.status.is_success() || !answer.text().contains(CANARY),
                    "{body}: {answer:?}"
                );
            }
        }
    }
    assert!(refused > 120, "{refused}");
    for rest in [
        CANARY.to_owned(),
        format!("secret/{CANARY}"),
        format!("secret/{CANARY}%00"),
        format!("secret/a/version/{CANARY}"),
        format!("secret/a?version={CANARY}"),
        format!("secret/a?includeData={CANARY}"),
        format!("secret/a?%zz{CANARY}=1"),
        format!("secret/a?version=1&version={CANARY}"),
    ] {
        let answer = tenant.get(&rest).await;
        assert!(
            answer.status.is_client_error() && !answer.text().contains(CANARY),
            "{rest}: {answer:?}"
        );
    }
    for header in ["x-pagination-size", "x-pagination-cursor"] {
        let answer = tenant.send(Method::GET, &tenant.url("secret"), &[(header, CANARY)], "").await;
        assert!(!answer.error(400, 50_405_377).contains(CANARY));
    }
    let url = format!("/api/{CANARY}/v2/secret");
    assert!(!tenant.call(Method::GET, &url, "").await.error(400, 50_405_377).contains(CANARY));
}

/// A page of another site can make the browser send the user's certificate along, so it may change
/// nothing.
#[tokio::test]
async fn foreign_origins() {
    let (server, tenant) = TestServer::with_tenant().await;
    tenant.create("a", r#"{"v":1}"#).await.ok();
    let before = tenant.get("secret/a?includeData=true").await.ok();
    for http in BOTH {
        let client = tenant.over(http);
        for origin in [
            "https://evil.example",
            "http://localhost",
            "https://localhost:8443",
            "https://localhost.evil.example",
            "https://evil.example/https://localhost",
            "null",
            "",
            "localhost",
            "https://",
            "HTTPS://evil.example",
        ] {
            for (method, rest, body) in [
                (Method::POST, "secret", r#"{"path":"b","version":{"data":{}}}"#),
                (Method::PUT, "secret/a", r#"{"version":{"data":{}}}"#),
                (Method::DELETE, "secret/a", ""),
                (Method::POST, "secret/a/version", r#"{"data":{}}"#),
                (Method::PUT, "secret/a/version/1", r#"{"state":"deleted"}"#),
                (Method::PUT, "secretConfig", r#"{"maxVersions":1}"#),
            ] {
                let answer =
                    client.send(method, &client.url(rest), &[("origin", origin)], body).await;
                answer.error(403, 16_924_673);
            }
            let create = client
                .send(Method::POST, "/v2/okms/resource", &[("origin", origin)], r#"{"name":"x"}"#)
                .await;
            create.error(403, 16_924_673);
        }
        assert_eq!(tenant.get("secret/a?includeData=true").await.ok(), before);
        for own in ["https://localhost", "https://LOCALHOST"] {
            client.send(Method::PUT, &client.url("secret/a"), &[("origin", own)], "{}").await.ok();
        }
        let read = client
            .send(Method::GET, &client.url("secret"), &[("origin", "https://evil.example")], "")
            .await;
        read.ok();
        assert!(!read.headers.keys().any(|name| name.as_str().starts_with("access-control")));
    }
    assert_eq!(server.tenant().await.get("secret").await.text(), "[]");
}

/// The codes that clients know, each from a request that leads to it.
#[tokio::test]
async fn published_codes() {
    let (server, tenant) = TestServer::with_tenant().await;
    tenant.create("a", "{}").await.ok();
    let unknown = tenant.url("secret").replace(&tenant.id, "9c4f0c2e-5d0b-4a56-8c11-2a1d1f1f7a10");
    for http in BOTH {
        let (client, anonymous) = (tenant.over(http), server.anonymous().over(http));
        client.get("secret/b").await.error(404, 17_125_377);
        client.call(Method::GET, &unknown, "").await.error(404, 16_994_305);
        anonymous.call(Method::GET, &tenant.url("secret"), "").await.error(401, 50_475_011);
        client.create("a", "{}").await.error(409, 50_438_145);
        client.put("secret/a?cas=9", "{}").await.error(400, 50_405_377);
        client
            .call(Method::POST, "/v2/okms/resource", r#"{"name":"x"}"#)
            .await
            .error(403, 16_924_673);
        client.call(Method::GET, "/nothing", "").await.error(404, 50_417_665);
        client.post("secret", &"x".repeat(1 << 20)).await.error(413, 50_405_377);
        let headers = [("x-filler", &*"x".repeat(17 << 10))];
        client.send(Method::GET, &tenant.url("secret"), &headers, "").await.error(431, 50_405_377);
    }
    // Every error has an id of its own.
    let ids = [tenant.get("secret/b").await, tenant.get("secret/b").await]
        .map(|answer| answer.json()["error_id"].clone());
    assert_ne!(ids[0], ids[1]);
}

/// The statuses that clients repeat by themselves are not for a client's mistake; 412 is never
/// used.
#[tokio::test]
async fn a_busy_server_says_when_to_come_back() {
    let server = TestServer::start_with(|config| config.limits.in_flight = 1).await;
    let client = server.tenant().await;
    // The harness' own check demands Retry-After on 429 and 503, and forbids it elsewhere.
    let slow = client.over(Http::Two);
    let calls = (0..20).map(|n| {
        let client = slow.clone();
        tokio::spawn(async move { client.create(&format!("s/{n}"), "{}").await })
    });
    let mut statuses = std::collections::BTreeMap::new();
    for call in calls.collect::<Vec<_>>() {
        let answer = call.await.unwrap();
        if answer.status != 200 {
            answer.error(429, 50_434_049);
        }
        *statuses.entry(answer.status.as_u16()).or_insert(0) += 1;
    }
    let stored = client.get("secret").await.ok().as_array().unwrap().len();
    assert_eq!(Some(&stored), statuses.get(&200), "{statuses:?}");
    assert_eq!(json!(stored <= 20), true);
}
