//! How requests are read and answers written, whatever they are about.

use hyper::Method;
use serde_json::json;

use super::{NO_OPERATION, UNSUPPORTED, Vault};
use crate::harness::BOTH;

const ROOT_IS_LISTED: &str =
    "Non-listing operations on the root of a K/V v2 mount are not supported.";

/// The three addresses of a domain's `v1`, for clients that keep a prefix, that have none, and for
/// vaultrs.
fn bases(vault: &Vault) -> [Vault; 3] {
    let id = &vault.client.id;
    [format!("/api/{id}/v1/secret"), "/v1/secret".to_owned(), format!("/v1/api/{id}/secret")]
        .map(|base| vault.at(base))
}

#[tokio::test]
async fn every_address_and_protocol_is_the_same() {
    let (_server, vault) = Vault::start().await;
    vault.write("shared/foo", json!({"a": {"b": 1}})).await;
    vault.write("dead", json!({})).await;
    vault.delete("data/dead").await.nothing();
    for (method, path, body) in [
        ("GET", "data/shared/foo", ""),
        ("GET", "data/unknown", ""),
        ("GET", "data/dead", ""),
        ("GET", "metadata/shared/foo", ""),
        ("LIST", "metadata", ""),
        ("GET", "metadata?list=true", ""),
        ("GET", "subkeys/shared/foo", ""),
        ("GET", "config", ""),
        ("PUT", "data/shared/foo", "{}"),
        ("PUT", "data/shared/foo", "not json"),
        ("PATCH", "data/shared/foo", "{}"),
        ("GET", "nothing/foo", ""),
        ("DELETE", "config", ""),
    ] {
        for http in BOTH {
            let [first, others @ ..] =
                bases(&Vault { client: vault.client.over(http), ..vault.clone() });
            let expected = first.send(method, path, body).await.likeness();
            for caller in others {
                let answer = caller.send(method, path, body).await.likeness();
                assert_eq!(answer, expected, "{http:?} {} {method} {path}", caller.base);
            }
        }
    }
    for (n, caller) in bases(&vault).into_iter().enumerate() {
        assert_eq!(caller.write("counted", json!({})).await["version"], n + 1);
    }
}

/// vaultrs doubles a slash when its address ends in one, and others when a path begins with one.
#[tokio::test]
async fn two_slashes_are_one() {
    let (_server, vault) = Vault::start().await;
    vault.write("foo/bar", json!({"a": 1})).await;
    let id = &vault.client.id;
    for path in [
        "/v1//secret/data/foo/bar".to_owned(),
        "//v1/secret/data/foo/bar".to_owned(),
        format!("/api/{id}//v1/secret/data/foo/bar"),
        format!("/v1/api/{id}//secret/data/foo/bar"),
        format!("/v1//api/{id}/secret/data/foo/bar"),
        format!("/api/{id}/v1/secret/data/foo//bar"),
        // 14.127
        format!("/api/{id}/v1/secret/data//foo/bar"),
        format!("/api/{id}/v1//secret//data///foo////bar"),
    ] {
        let read = vault.client.call(Method::GET, &path, "").await;
        assert_eq!(read.shown()["data"], json!({"a": 1}), "{path}");
    }
    assert_eq!(vault.write("foo//bar", json!({})).await["version"], 2);
}

/// vaultrs ends every read in a question mark.
#[tokio::test]
async fn a_query_without_anything() {
    let (_server, vault) = Vault::start().await;
    vault.write("foo", json!({})).await;
    for path in ["data/foo?", "metadata/foo?", "subkeys/foo?", "config?", "data/foo?&"] {
        vault.get(path).await.shown();
    }
    assert_eq!(vault.keys("metadata?").await, ["foo"]);
}

#[tokio::test]
async fn what_is_no_operation() {
    let (_server, vault) = Vault::start().await;
    vault.write("foo", json!({})).await;
    for path in [
        "foo",
        "foo/bar",
        "datax/foo",
        "Data/foo",
        "",
        "config/x",
        "data/foo/",
        "subkeys",
        "data/",
        "subkeys/",
    ] {
        vault.get(path).await.hints(NO_OPERATION);
    }
    vault.put("foo", json!({"a": 1})).await.hints(NO_OPERATION);
    vault.delete("foo/bar").await.hints(NO_OPERATION);
    vault.list("foo").await.hints(NO_OPERATION);
    for path in ["data", "delete", "undelete", "destroy"] {
        vault.get(path).await.hints(ROOT_IS_LISTED);
    }
    for path in ["data", "metadata", "delete", "destroy"] {
        for method in ["PUT", "DELETE"] {
            vault
                .send(method, path, json!({"data": {}, "max_versions": 1, "versions": [1]}))
                .await
                .hints(ROOT_IS_LISTED);
        }
    }
    vault.delete("metadata/").await.hints(NO_OPERATION);
    assert_eq!(vault.keys("metadata").await, ["foo"]);
    let root = vault.root();
    for path in ["nowhere/data/foo", "nowhere", "secretdata/foo"] {
        let text = format!("no handler for route \"{path}\". route entry not found.");
        root.get(path).await.refused(404, &text);
        root.put(path, "{}").await.refused(404, &text);
    }
    // A folder's name is told as it was asked for.
    root.get("nowhere//a//")
        .await
        .refused(404, "no handler for route \"nowhere/a/\". route entry not found.");
}

#[tokio::test]
async fn methods_that_a_path_does_not_know() {
    let (_server, vault) = Vault::start().await;
    vault.write("foo", json!({})).await;
    for (method, path) in [
        ("DELETE", "config"),
        ("LIST", "config"),
        ("LIST", "data/foo"),
        ("SCAN", "data/foo"),
        ("LIST", "data"),
        ("SCAN", "subkeys"),
        ("GET", "delete/foo"),
        ("LIST", "destroy/foo"),
        ("DELETE", "undelete/foo"),
        ("PUT", "subkeys/foo"),
        ("DELETE", "subkeys/foo"),
    ] {
        vault.send(method, path, "{}").await.refused(405, UNSUPPORTED);
    }
    for method in ["OPTIONS", "PROPFIND", "get", "FOO"] {
        for http in BOTH {
            let caller = Vault { client: vault.client.over(http), ..vault.clone() };
            let answer = caller.send(method, "data/foo", "").await;
            assert_eq!(
                (answer.status.as_u16(), &answer.json()["errors"]),
                (405, &json!([])),
                "{method}"
            );
            assert_eq!(answer.headers["allow"], "GET, POST, PUT, PATCH, DELETE", "{method}");
        }
    }
    assert_eq!(vault.read("foo").await["metadata"]["version"], 1);
}

/// `?list=true` on a path that lists nothing showed the secret's value, to whoever may only list.
#[tokio::test]
async fn a_list_of_what_has_none_shows_nothing() {
    let (_server, vault) = Vault::start().await;
    vault.write("foo", json!({"password": "canary"})).await;
    for path in [
        "data/foo",
        "data/foo/",
        "data/unknown",
        "data",
        "subkeys/foo",
        "subkeys",
        "config",
        "delete/foo",
    ] {
        for query in [
            "list=true",
            "list=1",
            "scan=true",
            "version=1&list=T",
            "l%69st=true",
            "scan=t&list=false",
        ] {
            for caller in bases(&vault) {
                let answer = caller.get(&format!("{path}?{query}")).await;
                answer.refused(405, UNSUPPORTED);
                assert!(answer.headers.contains_key("allow"), "{path}?{query}");
            }
        }
    }
    for query in ["list=perhaps", "scan=2", "list=true&scan=true", "list=true&list=true"] {
        for path in ["data/foo", "data", "subkeys/foo", "config", "metadata/foo"] {
            assert_eq!(vault.get(&format!("{path}?{query}")).await.status, 400, "{path}?{query}");
        }
    }
    assert_eq!(
        vault.get("data/foo?list=false&scan=0&x").await.envelope()["data"]["data"]["password"],
        "canary"
    );
    // The native dialect has no such word.
    vault.client.get("secret?list=perhaps").await.ok();
}

/// Go reads a `+` in a query as a blank, and `bao list -after='a b'` sends one: names were skipped.
#[tokio::test]
async fn a_plus_in_a_query_is_a_blank() {
    let (_server, vault) = Vault::start().await;
    for name in ["a", "a%20b", "a%20c", "a+b", "b"] {
        vault.write(name, json!({})).await;
    }
    for (query, expected) in [
        ("after=a+b", ["a c", "a+b", "b"].as_slice()),
        ("after=a%20b", &["a c", "a+b", "b"]),
        ("after=a%2Bb", &["b"]),
        ("after=a%2bb&limit=1", &["b"]),
    ] {
        assert_eq!(
            vault.get(&format!("metadata?list=true&{query}")).await.keys(),
            expected,
            "{query}"
        );
    }
    // In a path it is itself.
    assert_eq!(vault.get("data/a+b").await.shown()["metadata"]["version"], 1);
    vault.get("data/a+c").await.absent();
    vault.get("data/a?version=+1").await.refused_field("version");
    vault.client.get("secret/a?version=+1").await.error(400, 50_405_377);
}

/// hvac and others look at the type before the status.
#[tokio::test]
async fn what_has_no_body_has_a_type_all_the_same() {
    let (_server, vault) = Vault::start().await;
    vault.write("foo", json!({})).await;
    for answer in [
        vault.put("metadata/foo", json!({"max_versions": 3})).await,
        vault.put("config", "{}").await,
        vault.post("delete/foo", json!({"versions": [1]})).await,
        vault.delete("data/foo").await,
        vault.delete("metadata/foo").await,
        vault.root().delete("sys/mounts/unknown").await,
    ] {
        answer.nothing();
        assert_eq!(answer.headers["content-type"], "application/json");
    }
}

#[tokio::test]
async fn post_is_put() {
    let (_server, vault) = Vault::start().await;
    for method in ["POST", "PUT"] {
        vault.send(method, "config", json!({"max_versions": 5})).await.nothing();
        vault.send(method, "metadata/foo", json!({"max_versions": 5})).await.nothing();
        vault.send(method, "data/foo", json!({"data": {}})).await.shown();
        for end in ["delete", "undelete", "destroy"] {
            vault.send(method, &format!("{end}/foo"), json!({"versions": [1]})).await.nothing();
        }
    }
}

#[tokio::test]
async fn bodies_that_are_no_json() {
    let (_server, vault) = Vault::start().await;
    vault.write("foo", json!({})).await;
    let root = vault.root();
    for body in
        ["not json", "{", "{\"data\":}", "[]", "[{}]", "\"text\"", "1", "true", "{'data':{}}"]
    {
        for path in [
            "secret/data/foo",
            "secret/metadata/foo",
            "secret/delete/foo",
            "secret/config",
            "auth/cert/login",
        ] {
            let said = root.put(path, body).await.refused_with(400, "");
            assert!(said.starts_with("failed to decode JSON input: "), "{path} {body}: {said}");
        }
        let said = vault.patch("data/foo", body).await.refused_with(400, "");
        assert!(said.starts_with("failed to decode JSON input: "), "PATCH {body}: {said}");
    }
    assert_eq!(vault.metadata("foo").await["current_version"], 1);
}

/// 14.118: a body is a form where the header says so and the first byte does not say otherwise.
#[tokio::test]
async fn forms() {
    let (_server, vault) = Vault::start().await;
    let form = vault.with("content-type", "application/x-www-form-urlencoded");
    form.put("metadata/foo", "max_versions=5&cas_required=true&delete_version_after=1h")
        .await
        .nothing();
    let shown = vault.metadata("foo").await;
    assert_eq!(shown["max_versions"], 5);
    assert_eq!(shown["cas_required"], true);
    assert_eq!(shown["delete_version_after"], "1h0m0s");
    form.put("data/foo", json!({"data": {"a": 1}, "options": {"cas": 0}})).await.shown();
    form.put("data/foo", "  \n{\"data\":{},\"options\":{\"cas\":1}}").await.shown();
    // Of a key that is repeated, a list is made.
    form.post("delete/foo", "versions=1&versions=2").await.nothing();
    vault.get("data/foo?version=1").await.gone();
    vault.get("data/foo?version=2").await.gone();
    form.post("undelete/foo", "versions=1%2C2").await.nothing();
    vault.get("data/foo?version=1").await.shown();
    // A text is no map.
    form.put("data/foo", "data=text").await.refused_field("data");
    // No body at all is an empty one.
    form.put("metadata/foo", "").await.nothing();
    form.put("data/foo", "").await.refused(400, "no data provided");
    // Without the header it is no form, and with JSON's neither.
    for other in [vault.clone(), vault.with("content-type", "application/json")] {
        other
            .put("metadata/foo", "max_versions=7")
            .await
            .refused_with(400, "failed to decode JSON input: ");
    }
}

#[tokio::test]
async fn the_kind_of_a_json_body_need_not_be_told() {
    let (_server, vault) = Vault::start().await;
    for kind in [
        "application/json",
        "application/json; charset=utf-8",
        "text/plain",
        "application/octet-stream",
    ] {
        vault.with("content-type", kind).put("data/foo", json!({"data": {}})).await.shown();
    }
}

#[tokio::test]
async fn fields_that_are_unknown() {
    let (_server, vault) = Vault::start().await;
    let warnings = |answer: &crate::harness::Answer| answer.envelope()["warnings"].clone();
    let answer = vault.put("data/foo", json!({"data": {}, "b": 1, "a": [2], "Options": {}})).await;
    assert_eq!(
        warnings(&answer),
        json!(["Endpoint ignored these unrecognized parameters: [Options a b]"])
    );
    assert_eq!(answer.envelope()["data"]["version"], 1);
    let answer = vault.put("data/foo", json!({"data": {}, "path": "elsewhere"})).await;
    let replaced = "Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [path]";
    assert_eq!(warnings(&answer), json!([replaced]));
    vault.get("data/elsewhere").await.absent();
    let answer = vault.get("data/foo?unknown=1").await;
    assert_eq!(
        warnings(&answer),
        json!(["Endpoint ignored these unrecognized parameters: [unknown]"])
    );
    // Where there is nothing to say, nothing is said.
    vault.put("metadata/foo", json!({"max_versions": 3, "unknown": 1})).await.nothing();
    vault.put("delete/foo", json!({"versions": [1], "unknown": 1})).await.nothing();
    vault.put("config", json!({"unknown": 1})).await.nothing();
    // A write has no query.
    let written = vault.put("data/foo?version=7&unknown=1&data=x", json!({"data": {}})).await;
    assert_eq!(written.shown()["version"], 3);
}

/// 14.117.
#[tokio::test]
async fn a_body_that_is_too_large() {
    let (_server, vault) = Vault::start().await;
    for http in BOTH {
        let vault = Vault { client: vault.client.over(http), ..vault.clone() };
        let body = json!({"data": {"a": "x".repeat(1 << 20)}});
        vault.put("data/foo", &body).await.refused(413, "http: request body too large");
        vault.patch("data/foo", &body).await.refused(413, "http: request body too large");
        vault.get("metadata/foo").await.absent();
        // Just below what a value may have.
        vault.write("large", json!({"a": "x".repeat(500 << 10)})).await;
    }
}

/// CVE-2025-4166: an error that repeats its input puts secrets into the logs of clients. Names may
/// be told, for they are in the path or are what is wrong; values and tokens may not.
#[tokio::test]
async fn errors_do_not_repeat_values() {
    const CANARY: &str = "canary7f3a";
    let (_server, vault) = Vault::start().await;
    vault.write("foo", json!({})).await;
    let root = vault.root();
    let long = CANARY.repeat(60);
    let mut refused = 0;
    for (path, body) in [
        ("secret/data/foo", CANARY.to_owned()),
        ("secret/data/foo", format!(r#"{{"data":{{"a":"{CANARY}""#)),
        ("secret/data/foo", format!(r#"{{"data":"{CANARY}"}}"#)),
        ("secret/data/foo", format!(r#"{{"data":["{CANARY}"]}}"#)),
        ("secret/data/foo", format!(r#"{{"data":{{"a":"{CANARY}"}},"options":{{"cas":9}}}}"#)),
        ("secret/data/foo", format!(r#"{{"data":{{}},"options":{{"cas":"{CANARY}"}}}}"#)),
        ("secret/data/foo", format!(r#"{{"data":{{}},"options":"{CANARY}"}}"#)),
        (
            "secret/data/foo",
            format!(r#"{{"data":{{"a":"{CANARY}","b":{}1{}}}}}"#, "[".repeat(200), "]".repeat(200)),
        ),
        ("secret/metadata/foo", format!(r#"{{"max_versions":"{CANARY}"}}"#)),
        ("secret/metadata/foo", format!(r#"{{"cas_required":"{CANARY}"}}"#)),
        ("secret/metadata/foo", format!(r#"{{"delete_version_after":"{CANARY}"}}"#)),
        ("secret/metadata/foo", format!(r#"{{"custom_metadata":"{CANARY}"}}"#)),
        ("secret/metadata/foo", format!(r#"{{"custom_metadata":{{"a":"{long}"}}}}"#)),
        ("secret/metadata/foo", format!(r#"{{"custom_metadata":{{"a":"{CANARY}\u0000"}}}}"#)),
        ("secret/metadata/foo", format!(r#"{{"custom_metadata":{{"a":["{CANARY}"]}}}}"#)),
        ("secret/delete/foo", format!(r#"{{"versions":"{CANARY}"}}"#)),
        ("secret/config", format!(r#"{{"max_versions":"{CANARY}"}}"#)),
        ("sys/wrapping/unwrap", format!(r#"{{"token":"{CANARY}"}}"#)),
        ("auth/token/lookup", format!(r#"{{"token":"{CANARY}"}}"#)),
        ("auth/token/renew", format!(r#"{{"token":"{CANARY}","increment":"{CANARY}"}}"#)),
        ("auth/token/create", format!(r#"{{"ttl":"{CANARY}"}}"#)),
    ] {
        for method in ["PUT", "PATCH"] {
            let caller = root.with("content-type", "application/merge-patch+json");
            let answer = caller.send(method, path, &body).await;
            assert!(!answer.text().contains(CANARY), "{method} {path} {body}: {}", answer.text());
            refused += usize::from(answer.status == 400 || answer.status == 403);
        }
    }
    assert!(refused >= 30, "{refused}");
    for caller in [root.token(CANARY), root.with("authorization", format!("Bearer {CANARY}"))] {
        assert!(!caller.get("secret/data/foo").await.text().contains(CANARY));
    }
    assert!(
        !root.with("x-vault-wrap-ttl", CANARY).get("secret/data/foo").await.text().contains(CANARY)
    );
    assert_eq!(vault.metadata("foo").await["current_version"], 1);
}

/// A page of another site can make a browser send the user's certificate along, so it may change
/// nothing here either.
#[tokio::test]
async fn pages_of_other_origins() {
    let (_server, vault) = Vault::start().await;
    vault.write("foo", json!({"a": 1})).await;
    for origin in ["https://evil.example", "null", "http://localhost"] {
        let page = vault.with("origin", origin);
        for (method, path) in [
            ("PUT", "data/foo"),
            ("POST", "data/new"),
            ("PATCH", "data/foo"),
            ("DELETE", "data/foo"),
            ("POST", "destroy/foo"),
            ("DELETE", "metadata/foo"),
            ("POST", "config"),
        ] {
            let body = json!({"data": {}, "versions": [1], "max_versions": 1});
            page.send(method, path, body).await.error(403, 16_924_673);
        }
        let form = page.root().with("content-type", "application/x-www-form-urlencoded");
        for path in ["auth/cert/login", "auth/token/create", "sys/mounts/team", "sys/wrapping/wrap"]
        {
            form.post(path, "").await.error(403, 16_924_673);
        }
    }
    assert_eq!(vault.read("foo").await["metadata"]["version"], 1);
    assert_eq!(vault.keys("metadata").await, ["foo"]);
    vault.with("origin", "https://localhost").write("foo", json!({})).await;
}

/// Clients of namespaces find theirs in the answer, right or wrong; there is nothing else to it.
#[tokio::test]
async fn a_namespace_comes_back() {
    let (_server, vault) = Vault::start().await;
    let caller = vault.with("x-vault-namespace", "team/a/");
    for answer in
        [caller.put("data/foo", json!({"data": {}})).await, caller.get("data/unknown").await]
    {
        assert_eq!(answer.headers["x-vault-namespace"], "team/a/");
    }
    assert!(!vault.get("data/foo").await.headers.contains_key("x-vault-namespace"));
}
