//! Reading and writing: cases 1 to 43.

use hyper::Method;
use serde_json::json;

use super::{Paths, faulty, members, refused};
use crate::harness::START_TEXT;

#[tokio::test]
async fn a_secret_is_written_and_read() {
    let (server, paths) = Paths::start().await;
    let at = "/environments/production/salesforce/api-credentials";
    let body = json!({
        "data": {"client_id": "3MVG9...", "client_secret": "x"},
        "secret_type": "json",
        "metadata": {"description": "Salesforce OAuth credentials", "tags": ["salesforce", "oauth", "production"]},
        "options": {"max_versions": 10, "expires_in": "90d"},
    });
    // 1
    let made = paths.put(at, body).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(
        made.json(),
        json!({"path": &at[1..], "secret_type": "json", "version": 1, "created": true,
            "created_at": START_TEXT, "expires_at": "2025-04-02T03:04:05Z"})
    );
    // 2
    server.clock.advance(60);
    let again = paths.put(at, json!({"data": {"client_id": "new"}})).await.ok();
    assert_eq!(
        again,
        json!({"path": &at[1..], "version": 2, "created": false, "previous_version": 1,
            "updated_at": "2025-01-02T03:05:05Z"})
    );
    // 3, 4
    let read = paths.get(&format!("{at}?version=1")).await;
    let etag = read.headers["etag"].to_str().unwrap();
    assert!(etag.starts_with("\"1-") && etag.ends_with('"'), "{etag}");
    let read = read.ok();
    assert_eq!((&read["data"]["client_id"], &read["version"]), (&json!("3MVG9..."), &json!(1)));
    assert_eq!(read["metadata"]["tags"], json!(["salesforce", "oauth", "production"]));
    assert_eq!(
        members(&read),
        [
            "created_at",
            "data",
            "expires_at",
            "metadata",
            "path",
            "rotation_policy_id",
            "secret_type",
            "updated_at",
            "version"
        ]
    );
    assert_eq!(read["expires_at"], "2025-04-02T03:05:05Z", "each version begins it anew");
    refused(&paths.get(&format!("{at}?version=9")).await, 404, "version_not_found");
    // 5
    for version in ["0", "-1", "x"] {
        let answer = paths.get(&format!("{at}?version={version}")).await;
        refused(&answer, 400, "invalid_request");
    }
    // 6
    let details = refused(&paths.get("/none").await, 404, "secret_not_found");
    assert_eq!(details["path"], "none");
    // 7
    let exact = r#"{"data": { "n":1.0 , "m":12345678901234567890 }}"#;
    assert_eq!(paths.call(Method::PUT, "/exact", exact).await.status, 201);
    let text = paths.get("/exact").await.text().to_owned();
    assert!(text.contains(r#""data":{ "n":1.0 , "m":12345678901234567890 }"#), "{text}");
}

#[tokio::test]
async fn bad_bodies_store_nothing_and_say_all_that_is_wrong() {
    let (_server, paths) = Paths::start().await;
    // 8
    for body in ["{", "[]", ""] {
        refused(&paths.call(Method::PUT, "/a", body).await, 400, "invalid_request");
    }
    // 9
    assert_eq!(faulty(&paths.put("/a", json!({})).await), ["data"]);
    for data in [json!("x"), json!([]), json!(null)] {
        assert_eq!(faulty(&paths.put("/a", json!({"data": data})).await), ["data"]);
    }
    assert_eq!(paths.put("/empty", json!({"data": {}})).await.status, 201);
    // 11
    let body = json!({"data": {}, "secret_type": "password"});
    refused(&paths.put("/a", body).await, 400, "invalid_secret_type");
    // 12, 13
    for (kind, data, field) in [
        ("certificate", json!({"cert_pem": "..."}), None),
        ("certificate", json!({}), Some("data.cert_pem")),
        ("certificate", json!({"cert_pem": "x", "key_pem": 5}), Some("data.key_pem")),
        ("ssh_key", json!({"public_key": "x"}), Some("data.private_key")),
        ("ssh_key", json!({"private_key": "x"}), None),
        ("api_key", json!({}), Some("data")),
        ("api_key", json!({"a": 1}), Some("data")),
        ("api_key", json!({"key": "k"}), None),
        // 14
        ("json", json!({"a": {"b": 1}}), None),
        ("kv", json!({"a": {"b": 1}}), None),
    ] {
        let answer = paths.put("/typed", json!({"data": data, "secret_type": kind})).await;
        match field {
            None => assert!(answer.status.is_success(), "{answer:?}"),
            Some(field) => assert_eq!(faulty(&answer), [field]),
        }
    }
    // 15
    for wrong in [json!(0), json!(101), json!("5"), json!(1.5)] {
        let answer = paths.put("/a", json!({"data": {}, "options": {"max_versions": wrong}})).await;
        assert_eq!(faulty(&answer), ["options.max_versions"]);
    }
    for right in [1, 100] {
        let body = json!({"data": {}, "options": {"max_versions": right}});
        assert!(paths.put("/kept", body).await.status.is_success());
        let native = paths.client.get("secret/kept").await.ok();
        assert_eq!(native["metadata"]["maxVersions"], right);
    }
    // 16, 17, 18
    let body = json!({"data": {}, "foo": 1, "metadata": {"tags": "x", "env": 5}, "options": {"foo": 1, "max_versions": 0}});
    let all = ["foo", "metadata.env", "metadata.tags", "options.foo", "options.max_versions"];
    assert_eq!(faulty(&paths.put("/a", body).await), all);
    for tags in [
        json!([1]),
        json!((0..33).map(|n| n.to_string()).collect::<Vec<_>>()),
        json!(["x".repeat(65)]),
    ] {
        let body = json!({"data": {}, "metadata": {"tags": tags}});
        assert_eq!(faulty(&paths.put("/a", body).await), ["metadata.tags"]);
    }
    // Custom metadata, of which what is wrong was said without a name.
    for (name, value, told) in [
        ("env", json!("x".repeat(513)), "metadata.env"),
        ("env", json!(""), "metadata.env"),
        ("a b", json!("x\ty"), "metadata.?"),
        (&*"k".repeat(129), json!("x"), "metadata.?"),
    ] {
        let body = json!({"data": {}, "metadata": {name: value}});
        assert_eq!(faulty(&paths.put("/a", body.clone()).await), [told]);
    }
    let many: serde_json::Map<_, _> = (0..65).map(|n| (n.to_string(), json!("x"))).collect();
    assert_eq!(faulty(&paths.put("/a", json!({"data": {}, "metadata": many})).await), ["metadata"]);
    // Nothing of all that was stored.
    refused(&paths.get("/a").await, 404, "secret_not_found");
    // 40
    for (options, code) in [
        (json!({"expires_in": "soon"}), "invalid_duration"),
        (json!({"expires_in": 5}), "invalid_duration"),
    ] {
        refused(&paths.put("/a", json!({"data": {}, "options": options})).await, 400, code);
    }
    for (options, field) in [
        (json!({"expires_in": "0s"}), "options.expires_in"),
        (json!({"expires_at": "yesterday"}), "options.expires_at"),
        (json!({"expires_at": "2020-01-01T00:00:00Z"}), "options.expires_at"),
        (json!({"expires_in": "1h", "expires_at": "2030-01-01T00:00:00Z"}), "options.expires_in"),
    ] {
        let answer = paths.put("/a", json!({"data": {}, "options": options})).await;
        assert_eq!(faulty(&answer), [field]);
    }
}

#[tokio::test]
async fn what_is_said_of_a_secret_stays_until_it_is_said_otherwise() {
    let (_server, paths) = Paths::start().await;
    // 10
    paths.put("/a", json!({"data": {}})).await;
    assert_eq!(paths.get("/a").await.ok()["secret_type"], "kv");
    paths.put("/a", json!({"data": {}, "secret_type": "json"})).await;
    paths.put("/a", json!({"data": {}})).await;
    assert_eq!(paths.get("/a").await.ok()["secret_type"], "json");
    // 17
    paths.put("/a", json!({"data": {}, "metadata": {"env": "prod"}})).await;
    assert_eq!(paths.get("/a").await.ok()["metadata"]["env"], "prod");
    let native = paths.client.get("secret/a").await.ok();
    assert_eq!(native["metadata"]["customMetadata"], json!({"env": "prod"}));
    // 19, 20
    paths.put("/a", json!({"data": {}, "metadata": {"tags": ["b", "a", "b"]}})).await;
    paths.put("/a", json!({"data": {}, "metadata": {"description": "d"}})).await;
    let metadata = paths.get("/a").await.ok()["metadata"].clone();
    assert_eq!((&metadata["tags"], &metadata["description"]), (&json!(["b", "a"]), &json!("d")));
    paths.put("/a", json!({"data": {}, "metadata": {"tags": null}})).await;
    assert_eq!(paths.get("/a").await.ok()["metadata"].get("tags"), None);
    // 21
    let owner = paths.get("/a").await.ok()["metadata"]["owner"].as_str().unwrap().to_owned();
    assert!(owner.starts_with("cert:"), "{owner}");
    // 37, 39
    let before = paths.get("/a").await.ok();
    let body = json!({"metadata": {"tags": ["postgres", "critical"], "owner": null, "description": null}, "options": {"max_versions": 25}});
    let patched = paths.patch("/a", body).await.ok();
    assert_eq!(patched["metadata"]["tags"], json!(["postgres", "critical"]));
    assert_eq!(patched["options"], json!({"max_versions": 25}));
    assert_eq!(
        (patched["metadata"].get("owner"), patched["metadata"].get("description")),
        (None, None)
    );
    let after = paths.get("/a").await.ok();
    for name in ["version", "updated_at"] {
        assert_eq!(before[name], after[name], "{name}");
    }
    // 38
    assert_eq!(
        faulty(&paths.patch("/a", json!({"data": {}, "secret_type": "kv"})).await),
        ["data", "secret_type"]
    );
    refused(&paths.patch("/none", json!({})).await, 404, "secret_not_found");
    let again = paths.patch("/a", json!({})).await.ok();
    for member in ["current_version", "metadata", "updated_at", "options"] {
        assert_eq!(again[member], patched[member], "{member}");
    }
    // 41
    let custom = json!({"metadata": {"b": "2", "env": null}});
    let custom = paths.patch("/a", custom).await.ok()["metadata"].clone();
    assert_eq!((custom.get("env"), &custom["b"]), (None, &json!("2")));
    let kv = paths.kv(Method::GET, "metadata/a", "").await.ok();
    assert_eq!(kv["data"]["custom_metadata"], json!({"b": "2"}));
}

#[tokio::test]
async fn paths_and_words() {
    let (_server, paths) = Paths::start().await;
    // 22, 23
    let long = format!("/{}", "x".repeat(256));
    let deep = format!("/{}", ["a"; 11].join("/"));
    for wrong in ["/a//b", "/a/../b", "/a/", &long, &deep, "/my%20app", "/%C3%BC", "/a/%2e/b"] {
        refused(&paths.put(wrong, json!({"data": {}})).await, 400, "invalid_path");
    }
    let deep = format!("/{}", ["a"; 10].join("/"));
    for right in ["/App.v1_x-y", &deep] {
        assert_eq!(paths.put(right, json!({"data": {}})).await.status, 201, "{right}");
    }
    // 24
    let body = r#"{"data":{"n":1}}"#;
    paths.kv(Method::POST, "data/my%20app/%C3%BC", body).await.ok();
    assert_eq!(paths.get("/my%20app/%C3%BC").await.ok()["path"], "my app/ü");
    let again = paths.put("/my%20app/%C3%BC", json!({"data": {}})).await.ok();
    assert_eq!(again["version"], 2);
    // 25
    paths.put("/a", json!({"data": {}})).await;
    let made = paths.put("/a%2Fversions", json!({"data": {"own": 1}})).await;
    assert_eq!((made.status.as_u16(), &made.json()["path"]), (201, &json!("a/versions")));
    assert_eq!(paths.get("/a%2Fversions").await.ok()["data"]["own"], 1);
    assert_eq!(paths.get("/a/versions").await.ok()["path"], "a");
    // 26
    for word in ["/a/versions", "/a/restore", "/metadata/a", "/expiring"] {
        let answer = paths.put(word, json!({"data": {}})).await;
        refused(&answer, 405, "method_not_allowed");
        assert!(answer.headers.contains_key("allow"));
    }
    // 27
    paths.kv(Method::POST, "data/expiring", body).await.ok();
    assert_eq!(paths.get("/%65xpiring").await.ok()["data"]["n"], 1);
    // 36
    let head = paths.call(Method::HEAD, "/a", "").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    refused(&paths.call(Method::POST, "/a", "{}").await, 405, "method_not_allowed");
}

#[tokio::test]
async fn preconditions() {
    let (_server, paths) = Paths::start().await;
    let put = async |path: &str, name: &str, tag: &str| {
        let path = format!("/v1/secrets{path}");
        paths.client.send(Method::PUT, &path, &[(name, tag)], r#"{"data":{}}"#).await
    };
    // Whoever sends one where none is judged relies on it.
    paths.put("/c", json!({"data": {}})).await;
    for (method, path) in [
        (Method::PATCH, "/v1/secrets/c"),
        (Method::DELETE, "/v1/secrets/c"),
        (Method::POST, "/v1/secrets/c/restore"),
    ] {
        for header in ["if-match", "if-none-match"] {
            let answer = paths.client.send(method.clone(), path, &[(header, "\"9\"")], "{}").await;
            refused(&answer, 400, "invalid_request");
        }
    }
    let twice = [("if-match", "\"1\""), ("if-match", "\"2\"")];
    let twice = paths.client.send(Method::PUT, "/v1/secrets/c", &twice, r#"{"data":{}}"#).await;
    refused(&twice, 400, "invalid_request");
    refused(&put("/c", "if-match", "\"+1\"").await, 400, "invalid_request");
    assert_eq!(paths.get("/c").await.ok()["version"], 1);
    let null = json!({"data": {}, "secret_type": null});
    assert_eq!(paths.put("/d", null).await.json()["secret_type"], "kv");
    // 28
    assert_eq!(put("/a", "if-none-match", "*").await.status, 201);
    let details = refused(&put("/a", "if-none-match", "*").await, 409, "version_conflict");
    assert_eq!(details["current_version"], 1);
    // 29
    paths.three("b").await;
    assert_eq!(put("/b", "if-match", "\"3\"").await.status, 200);
    let details = refused(&put("/b", "if-match", "\"2\"").await, 409, "version_conflict");
    assert_eq!(details["current_version"], 4);
    refused(&put("/none", "if-match", "\"1\"").await, 409, "version_conflict");
    for wrong in ["3", "\"x\"", "*"] {
        refused(&put("/b", "if-match", wrong).await, 400, "invalid_request");
    }
    // 30
    paths.client.put("secret/b", r#"{"metadata":{"casRequired":true}}"#).await.ok();
    refused(&paths.put("/b", json!({"data": {}})).await, 409, "version_conflict");
    let fourth = paths.get("/b").await.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(put("/b", "if-match", &fourth).await.status, 200);
    refused(&put("/b", "if-match", &fourth).await, 409, "version_conflict");
    // A reader who has it already.
    let read = async |tag: &str| {
        paths.client.send(Method::GET, "/v1/secrets/b", &[("if-none-match", tag)], "").await
    };
    let fifth = paths.get("/b").await.headers["etag"].to_str().unwrap().to_owned();
    let known = read(&format!("W/\"1\", {fifth}")).await;
    assert_eq!((known.status.as_u16(), known.body.len()), (304, 0));
    assert_eq!(known.headers["etag"], fifth);
    assert_eq!(read(&fourth).await.status, 200);
}

/// Versions begin at 1 again when a secret was deleted for good: whoever knew the one before kept its value, and took
/// the new one for it.
#[tokio::test]
async fn a_tag_is_of_one_secret_alone() {
    let (server, paths) = Paths::start().await;
    let send = async |method, name: &str, tag: &str| {
        let body = if method == Method::PUT { r#"{"data":{"n":2}}"# } else { "" };
        paths.client.send(method, "/v1/secrets/a", &[(name, tag)], body).await
    };
    let put = async || paths.put("/a", json!({"data": {"n": 1}})).await;
    let tag = put().await.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(send(Method::GET, "if-none-match", &tag).await.status, 304);
    server.clock.advance(1);
    paths.delete("/a?permanent=true").await.ok();
    let new = put().await.headers["etag"].to_str().unwrap().to_owned();
    assert_ne!(tag, new);
    for known in [tag.as_str(), "\"1\""] {
        assert_eq!(send(Method::GET, "if-none-match", known).await.ok()["data"]["n"], 1);
    }
    refused(&send(Method::PUT, "if-match", &tag).await, 409, "version_conflict");
    let path = "/v1/secrets/a/rotate";
    let body = r#"{"new_value":{}}"#;
    let rotate = paths.client.send(Method::POST, path, &[("if-match", &tag)], body).await;
    refused(&rotate, 409, "version_conflict");
    for wrong in ["\"1-\"", "\"1-x\"", "\"-1\"", "\"1-0-0\"", "\"1-+1\""] {
        refused(&send(Method::PUT, "if-match", wrong).await, 400, "invalid_request");
    }
    assert_eq!(send(Method::PUT, "if-match", &new).await.status, 200);
    // Whoever says the number alone takes it for what it is.
    assert_eq!(send(Method::PUT, "if-match", "\"2\"").await.status, 200);
}

/// 31 and 32.
#[tokio::test(flavor = "multi_thread")]
async fn writers_of_one_secret_go_one_after_the_other() {
    let (_server, paths) = Paths::start().await;
    let together = async |path: &'static str, headers: &'static [(&'static str, &'static str)]| {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..64 {
            let client = paths.client.clone();
            tasks.spawn(
                async move { client.send(Method::PUT, path, headers, r#"{"data":{}}"#).await },
            );
        }
        tasks.join_all().await
    };
    let answers = together("/v1/secrets/a", &[]).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    let mut versions: Vec<_> = answers
        .iter()
        .map(|answer| {
            let told = answer.json();
            let version = told["version"].as_u64().unwrap();
            if version > 1 {
                assert_eq!(told["previous_version"], version - 1);
            }
            version
        })
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=64).collect::<Vec<_>>());
    paths.put("/b", json!({"data": {}})).await;
    let answers = together("/v1/secrets/b", &[("if-match", "\"1\"")]).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 409).count(), 63);
}

/// 33 to 35.
#[tokio::test]
async fn all_dialects_have_one_tree() {
    let (_server, paths) = Paths::start().await;
    paths.put("/a", json!({"data": {"n": 1}})).await;
    let large = json!({"data": {"v": "x".repeat(2 << 20)}});
    refused(&paths.put("/a", large).await, 413, "payload_too_large");
    assert_eq!(paths.get("/a").await.ok()["version"], 1);
    assert_eq!(
        paths.client.get("secret/a?includeData=true").await.ok()["version"]["data"],
        json!({"n": 1})
    );
    assert_eq!(paths.kv(Method::GET, "data/a", "").await.ok()["data"]["data"], json!({"n": 1}));
    paths.kv(Method::POST, "data/b", r#"{"data":{"k":1}}"#).await.ok();
    let read = paths.get("/b").await.ok();
    assert_eq!((&read["version"], &read["secret_type"]), (&json!(1), &json!("kv")));
    assert_eq!(members(&read["metadata"]), ["owner"]);
    let made = paths.kv(Method::POST, "metadata/c", r#"{"max_versions":3}"#).await;
    assert_eq!(made.status, 204);
    refused(&paths.get("/c").await, 404, "version_not_found");
    let first = paths.put("/c", json!({"data": {}})).await.ok();
    assert_eq!((&first["version"], &first["previous_version"]), (&json!(1), &json!(0)));
}

/// 131: a token that is none is told so, good certificate or not.
#[tokio::test]
async fn a_bearer_must_be_good() {
    let (server, paths) = Paths::start().await;
    paths.put("/a", json!({"data": {}})).await;
    let with = async |token: &str| {
        let header = format!("Bearer {token}");
        paths.client.send(Method::GET, "/v1/secrets/a", &[("authorization", &header)], "").await
    };
    refused(&with("skt_x").await, 401, "token_invalid");
    let login = format!("/api/{}/v1/auth/cert/login", paths.client.id);
    let login = paths.client.call(Method::POST, &login, "").await.ok();
    let token = login["auth"]["client_token"].as_str().unwrap();
    assert_eq!(with(token).await.status, 200);
    narrowed_in_any_header(&paths, token).await;
    let nobody = server.anonymous().call(Method::GET, "/v1/secrets/a", "").await;
    refused(&nobody, 401, "authentication_required");
    // 132
    let other = server.tenant().await;
    let read = other.call(Method::GET, "/v1/secrets/a", "").await;
    refused(&read, 404, "secret_not_found");
}

/// A client of Vault's names its token in a header of its own: that was not read here, and whoever had
/// narrowed himself by it had all that the certificate may. Two tokens that differ are refused.
async fn narrowed_in_any_header(paths: &Paths, full: &str) {
    let send = async |method: Method, headers: &[(&str, &str)]| {
        paths.client.send(method, "/v1/secrets/a", headers, r#"{"data":{"n":2}}"#).await
    };
    let policy =
        json!({"policy": r#"path "secret/data/a" { capabilities = ["read"] }"#}).to_string();
    let (at, v1) = ("sys/policies/acl/reads-a", format!("/api/{}/v1", paths.client.id));
    let put = paths.client.call(Method::PUT, &format!("{v1}/{at}"), &policy).await;
    assert_eq!(put.status, 204);
    let made = r#"{"policies":["reads-a"]}"#;
    let made = paths.client.call(Method::POST, &format!("{v1}/auth/token/create"), made).await.ok();
    let narrow = made["auth"]["client_token"].as_str().unwrap();
    let (bearer, full_bearer) = (format!("Bearer {narrow}"), format!("Bearer {full}"));
    let (bearer, full_bearer) = (("authorization", &*bearer), ("authorization", &*full_bearer));
    let (vaults, full_vaults) = (("x-vault-token", narrow), ("x-vault-token", full));
    for headers in [&[bearer][..], &[vaults], &[bearer, vaults], &[vaults, vaults]] {
        assert_eq!(send(Method::GET, headers).await.status, 200, "{headers:?}");
        refused(&send(Method::PUT, headers).await, 403, "access_denied");
    }
    for headers in [
        [bearer, full_vaults],
        [full_bearer, vaults],
        [vaults, full_vaults],
        [full_vaults, ("authorization", "Bearer x")],
    ] {
        for method in [Method::GET, Method::PUT] {
            refused(&send(method, &headers).await, 400, "invalid_request");
        }
    }
    for none in ["skt_x", "okms.no.such"] {
        let answer = send(Method::PUT, &[("x-vault-token", none)]).await;
        refused(&answer, 401, "token_invalid");
    }
    assert_eq!(paths.get("/a").await.ok()["version"], 1);
    // Empty, it is not there.
    assert_eq!(send(Method::PUT, &[("x-vault-token", "")]).await.status, 200);
}

/// 42, 111: what is attached must be there, and the seed's first example works as it stands.
#[tokio::test]
async fn policies_that_are_attached_are_there() {
    let (_server, paths) = Paths::start().await;
    let quarterly =
        json!({"options": {"rotation_policy_id": "rot_quarterly", "expires_in": "90d"}});
    let mut body = quarterly.clone();
    body["data"] = json!({});
    assert_eq!(paths.put("/a", body).await.status, 201);
    assert_eq!(paths.get("/a").await.ok()["rotation_policy_id"], "rot_quarterly");
    let policy = paths.get("/metadata/a").await.ok()["rotation_policy"].clone();
    assert_eq!(policy, json!({"id": "rot_quarterly", "next_rotation": "2025-04-03T00:00:00Z"}));
    for (name, id) in [
        ("rotation_policy_id", "rot_none"),
        ("rotation_policy_id", "x"),
        ("secret_policy_id", "sp_none"),
        ("secret_policy_id", ""),
    ] {
        let field = [format!("options.{name}")];
        let options = json!({"options": {name: id}});
        assert_eq!(faulty(&paths.patch("/a", options.clone()).await), field);
        let body = json!({"data": {}, "options": {name: id}});
        assert_eq!(faulty(&paths.put("/a", body).await), field);
    }
    assert_eq!(paths.get("/a").await.ok()["version"], 1);
    paths.patch("/a", json!({"options": {"rotation_policy_id": null}})).await.ok();
    assert_eq!(paths.get("/metadata/a").await.ok()["rotation_policy"], json!(null));
}
