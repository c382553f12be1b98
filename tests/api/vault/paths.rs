//! Secret paths in the Vault dialect: any printable text, escaped or plain.

use serde_json::json;

use super::{NO_OPERATION, UNSUPPORTED, Vault};

const SLASH_AT_END: &str = "cannot write to a path ending in '/'";
const RELATIVE: &str = "relative paths not supported";

#[tokio::test]
async fn a_path_may_have_any_printable_character() {
    let (_server, vault) = Vault::start().await;
    for (sent, name) in [
        ("plain", "plain"),
        ("foo/bar", "foo/bar"),
        ("with%20space", "with space"),
        ("caf%C3%A9", "café"),
        ("%E6%BC%A2%E5%AD%97/%E2%82%AC", "漢字/€"),
        ("a%3Fb%23c%25d", "a?b#c%d"),
        ("%252F", "%2F"),
        ("a+b&c=d;e,f:g@h!i$j'k(l)*m~n", "a+b&c=d;e,f:g@h!i$j'k(l)*m~n"),
        ("back%5Cslash%22%3C%3E%7B%7D%7C%5E%60", "back\\slash\"<>{}|^`"),
        ("...", "..."),
        ("a.b/.c/d.", "a.b/.c/d."),
        // 14.128
        ("secret", "secret"),
        ("data/metadata/config", "data/metadata/config"),
        ("version/1", "version/1"),
    ] {
        assert_eq!(vault.write(sent, json!({ "of": name })).await["version"], 1, "{sent}");
        assert_eq!(vault.read(sent).await["data"]["of"], name, "{sent}");
        assert_eq!(vault.metadata(sent).await["current_version"], 1, "{sent}");
        let (_, last) = name.rsplit_once('/').unwrap_or(("", name));
        let (folder, _) = sent.rsplit_once('/').unwrap_or(("", sent));
        let keys = vault.keys(format!("metadata/{folder}").trim_end_matches('/')).await;
        assert!(keys.contains(&last.to_owned()), "{sent}: {keys:?}");
        vault.put(&format!("delete/{sent}"), json!({"versions": [1]})).await.nothing();
        vault.get(&format!("subkeys/{sent}")).await.gone();
    }
    assert_eq!(vault.send("SCAN", "metadata", "").await.keys().len(), 14);
}

/// The words of KV v2 mean something at one place only.
#[tokio::test]
async fn secrets_that_are_named_as_operations() {
    let (_server, vault) = Vault::start().await;
    for word in [
        "data",
        "metadata",
        "delete",
        "undelete",
        "destroy",
        "subkeys",
        "config",
        "detailed-metadata",
        "tune",
    ] {
        for path in [
            word.to_owned(),
            format!("{word}/{word}"),
            format!("x/{word}"),
            format!("{word}/data/x"),
        ] {
            assert_eq!(vault.write(&path, json!({"a": {"b": 1}})).await["version"], 1, "{path}");
            vault.patch(&format!("data/{path}"), json!({"data": {"c": 2}})).await.shown();
            assert_eq!(vault.read(&path).await["data"], json!({"a": {"b": 1}, "c": 2}), "{path}");
            let subkeys = vault.get(&format!("subkeys/{path}")).await.shown()["subkeys"].clone();
            assert_eq!(subkeys, json!({"a": {"b": null}, "c": null}), "{path}");
            vault.put(&format!("metadata/{path}"), json!({"max_versions": 3})).await.nothing();
            vault.patch(&format!("metadata/{path}"), json!({"max_versions": 4})).await.nothing();
            for end in ["delete", "undelete", "destroy"] {
                vault.put(&format!("{end}/{path}"), json!({"versions": [2]})).await.nothing();
            }
            let metadata = vault.metadata(&path).await;
            assert_eq!(
                (&metadata["max_versions"], &metadata["versions"]["2"]["destroyed"]),
                (&json!(4), &json!(true))
            );
            vault.delete(&format!("data/{path}")).await.nothing();
        }
        let mut inner = [word, "data/"];
        inner.sort_unstable();
        assert_eq!(vault.keys(&format!("metadata/{word}")).await, inner);
    }
}

#[tokio::test]
async fn an_escaped_slash_is_a_slash() {
    let (_server, vault) = Vault::start().await;
    vault.write("foo/bar/baz", json!({"a": 1})).await;
    for path in ["foo%2Fbar%2Fbaz", "foo%2fbar/baz", "%66oo/bar%2Fbaz", "foo/b%61r/baz"] {
        assert_eq!(vault.read(path).await["data"], json!({"a": 1}), "{path}");
    }
    assert_eq!(vault.keys("metadata/foo%2Fbar").await, ["baz"]);
    assert_eq!(vault.write("foo%2Fbar%2Fbaz", json!({})).await["version"], 2);
    assert_eq!(vault.get("data%2Ffoo%2Fbar%2Fbaz").await.shown()["metadata"]["version"], 2);
}

/// 14.19.
#[tokio::test]
async fn what_is_a_secrets_path() {
    let (_server, vault) = Vault::start().await;
    vault.write("foo", json!({})).await;
    vault.write("foo/bar", json!({})).await;
    vault.get("data/foo").await.shown();
    vault.get("data/foo/bar").await.shown();
    for path in ["data/foo/", "data/foo/bar/", "foo", "foo/"] {
        vault.get(path).await.hints(NO_OPERATION);
    }
    // Upper and lower case are two.
    vault.get("data/Foo").await.absent();
    vault.get("DATA/foo").await.hints(NO_OPERATION);
}

#[tokio::test]
async fn a_folder_is_not_written() {
    let (_server, vault) = Vault::start().await;
    let body = json!({"data": {}, "versions": [1], "max_versions": 3});
    for path in [
        "data/foo/",
        "metadata/foo/",
        "delete/foo/",
        "undelete/foo/",
        "destroy/foo/",
        "data/",
        "metadata/",
    ] {
        for method in ["PUT", "POST"] {
            vault.send(method, path, &body).await.refused(400, SLASH_AT_END);
        }
    }
    vault.patch("data/foo/", &body).await.refused(400, SLASH_AT_END);
    vault.patch("metadata/foo/", &body).await.refused(400, SLASH_AT_END);
    // The slash goes before the body.
    vault.put("data/foo/", "{}").await.refused(400, SLASH_AT_END);
    vault.list("metadata").await.absent();
}

#[tokio::test]
async fn no_path_leads_up() {
    let (server, vault) = Vault::start().await;
    let other = Vault::of(&server.tenant().await);
    other.write("foo", json!({})).await;
    vault.write("foo", json!({})).await;
    for path in [
        "data/.",
        "data/..",
        "data/foo/.",
        "data/foo/..",
        "data/foo/../foo",
        "data/./foo",
        "data/%2e%2e",
        "data/%2e",
        "data/foo%2F..%2Ffoo",
        "data/a/%2E%2E/foo",
        "data/.%2e/foo",
        "metadata/..",
        "metadata/../foo",
        "data/../data/foo",
    ] {
        vault.get(path).await.refused(400, RELATIVE);
        vault.put(path, json!({"data": {}})).await.refused(400, RELATIVE);
        vault.delete(path).await.refused(400, RELATIVE);
        match path.split_once('/') {
            Some(("metadata", _)) => vault.list(path).await.refused(400, RELATIVE),
            // There is no list of values at all.
            _ => vault.list(path).await.refused(405, UNSUPPORTED),
        }
    }
    for path in [
        format!("../../../{}/v1/secret/data/foo", other.client.id),
        format!("..%2F..%2F..%2F{}%2Fv1%2Fsecret%2Fdata%2Ffoo", other.client.id),
    ] {
        vault.get(&path).await.refused(400, RELATIVE);
    }
    assert_eq!(vault.read("foo").await["metadata"]["version"], 1);
    assert_eq!(other.read("foo").await["metadata"]["version"], 1);
}

#[tokio::test]
async fn what_cannot_be_printed_is_no_path() {
    let (_server, vault) = Vault::start().await;
    for path in [
        "%00",
        "a%00b",
        "a%0Ab",
        "a%0D%0Ab",
        "a%09b",
        "a%1Bb",
        "a%7Fb",
        "a%C2%85b",
        "a%E2%80%8Bb",
        "a%E2%80%AEb",
        "a%C2%A0b",
        "a%EF%BB%BFb",
        "%FF",
        "a%C0%AFb",
        "%ED%A0%80",
        "a%zzb",
        "a%",
        "a%2",
    ] {
        for (method, kind) in [
            ("GET", "data"),
            ("PUT", "data"),
            ("PUT", "metadata"),
            ("DELETE", "metadata"),
            ("LIST", "metadata"),
        ] {
            let refused = vault
                .send(method, &format!("{kind}/{path}"), json!({"data": {}, "max_versions": 1}))
                .await;
            assert_eq!(refused.status, 400, "{method} {kind}/{path}: {}", refused.text());
        }
    }
    vault.list("metadata").await.absent();
}

/// The mount's own name counts, as the secret has one name in the domain's tree.
#[tokio::test]
async fn a_path_has_at_most_1024_bytes() {
    let (_server, vault) = Vault::start().await;
    vault.root().post("sys/mounts/team", json!({"type": "kv-v2"})).await.nothing();
    let team = vault.mount("team");
    for (vault, longest) in [(&vault, 1024), (&team, 1019)] {
        let (right, wrong) = ("x".repeat(longest), "y".repeat(longest + 1));
        assert_eq!(vault.write(&right, json!({})).await["version"], 1);
        vault
            .put(&format!("data/{wrong}"), json!({"data": {}}))
            .await
            .refused_with(400, "1024 bytes");
        vault
            .put(&format!("metadata/{wrong}"), json!({"max_versions": 1}))
            .await
            .refused_with(400, "1024 bytes");
        // Bytes are counted, not characters.
        let accents = "%C3%A9".repeat(longest / 2 + 1);
        vault
            .put(&format!("data/{accents}"), json!({"data": {}}))
            .await
            .refused_with(400, "1024 bytes");
        assert!(vault.get(&format!("data/{wrong}")).await.status.is_client_error());
    }
    // Natively such a secret is read, listed by pages and deleted as any other; new ones have
    // OVHcloud's bound.
    let (longest, client) = ("x".repeat(1024), &vault.client);
    assert_eq!(
        client.get(&format!("secret/{longest}?includeData=true")).await.data().unwrap(),
        "{}"
    );
    for n in 0..10 {
        vault.write(&format!("{}{n}", "w".repeat(1023)), json!({})).await;
    }
    let first = client.page("secret", "10", None).await;
    let second = client.page("secret", "10", first.next().as_deref()).await;
    assert_eq!(
        (first.ok().as_array().unwrap().len(), second.ok().as_array().unwrap().len()),
        (10, 2)
    );
    let listed = vault.with("x-pagination-size", "10").list("metadata").await;
    let rest = vault.with("x-pagination-cursor", listed.next().unwrap()).list("metadata").await;
    assert_eq!((listed.keys().len(), rest.keys().len()), (10, 2));
    client.put(&format!("secret/{longest}"), r#"{"version":{"data":{"v":2}}}"#).await.ok();
    client.delete(&format!("secret/{longest}")).await;
    client.get(&format!("secret/{longest}")).await.error(404, 17_125_377);
    client.create(&"n".repeat(255), "{}").await.ok();
    assert!(
        client.create(&"n".repeat(256), "{}").await.error(400, 50_405_377).contains("255 bytes")
    );
}
