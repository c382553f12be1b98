//! Merge patches of data.

use serde_json::{Value, json};

use super::{CAS_MISMATCH, CAS_REQUIRED, Vault, after, five};

#[tokio::test]
async fn a_patch_makes_a_version() {
    let (server, vault) = Vault::start().await;
    let data = json!({"bar": "baz", "quux": {"zip": {"a": 1, "b": 2}, "zap": "y"}, "list": [1, 2, 3], "foo": "x"});
    vault.write("foo", data).await;
    server.clock.advance(1);
    let patch = json!({"quux": {"zip": {"b": 3, "c": {"d": 4}}}, "list": [4], "new": true});
    let patched =
        vault.patch("data/foo", json!({"data": patch, "options": {"cas": 1}})).await.shown();
    // 14.26
    let mut expected = five(2);
    expected["created_time"] = json!(after(1));
    assert_eq!(patched, expected);
    // 14.27
    let merged = json!({
        "bar": "baz", "quux": {"zip": {"a": 1, "b": 3, "c": {"d": 4}}, "zap": "y"}, "list": [4], "foo": "x",
        "new": true,
    });
    assert_eq!(vault.read("foo").await, json!({"data": merged, "metadata": expected}));
    // 14.32
    vault
        .patch("data/foo", json!({"data": {"foo": null, "bar": "new", "unknown": null}}))
        .await
        .shown();
    let data = vault.read("foo").await["data"].clone();
    assert_eq!((&data["bar"], data.get("foo"), data.get("unknown")), (&json!("new"), None, None));
    assert_eq!(vault.get("data/foo?version=1").await.shown()["data"]["foo"], "x");
}

/// The rules of RFC 7396 for what is merged and what is replaced.
#[tokio::test]
async fn what_is_merged_and_what_is_replaced() {
    let (_server, vault) = Vault::start().await;
    for (index, (before, patch, merged)) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!({"a": {"b": "c"}}), json!({"a": [1]}), json!({"a": [1]})),
        (json!({"a": "text"}), json!({"a": {"b": 1, "c": null}}), json!({"a": {"b": 1}})),
        (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        (json!({"a": 1}), json!({}), json!({"a": 1})),
    ]
    .into_iter()
    .enumerate()
    {
        let path = index.to_string();
        vault.write(&path, before).await;
        assert_eq!(
            vault.patch(&format!("data/{path}"), json!({ "data": patch })).await.shown()["version"],
            2
        );
        assert_eq!(vault.read(&path).await["data"], merged, "{patch}");
    }
}

#[tokio::test]
async fn a_patch_needs_a_secret() {
    let (_server, vault) = Vault::start().await;
    let patch = json!({"data": {"a": 1}});
    // 14.20
    vault.patch("data/foo", &patch).await.absent();
    // 14.21
    vault.put("metadata/foo", json!({"max_versions": 5})).await.nothing();
    vault.patch("data/foo", &patch).await.absent();
    assert_eq!(vault.metadata("foo").await["current_version"], 0);
}

#[tokio::test]
async fn a_patch_needs_data() {
    let (_server, vault) = Vault::start().await;
    vault.write("foo", json!({})).await;
    // 14.25
    for path in ["data/foo", "data/unknown"] {
        for body in ["", "{}", r#"{"data":null}"#, r#"{"data":[]}"#, r#"{"options":{"cas":1}}"#] {
            vault.patch(path, body).await.refused(400, "no data provided");
        }
        vault.patch(path, r#"{"data":"text"}"#).await.refused_field("data");
    }
    assert_eq!(vault.metadata("foo").await["current_version"], 1);
}

#[tokio::test]
async fn a_patch_may_expect_a_version() {
    let (_server, vault) = Vault::start().await;
    vault.put("config", json!({"cas_required": true})).await.nothing();
    let with =
        |cas: Option<u32>| json!({"data": {}, "options": cas.map(|cas| json!({ "cas": cas }))});
    // 14.22
    vault.put("data/foo", with(Some(0))).await.shown();
    // 14.23
    vault.patch("data/foo", with(None)).await.refused(400, CAS_REQUIRED);
    // 14.24
    vault.patch("data/foo", with(Some(2))).await.refused(400, CAS_MISMATCH);
    vault.patch("data/foo", with(Some(0))).await.refused(400, CAS_MISMATCH);
    assert_eq!(vault.patch("data/foo", with(Some(1))).await.shown()["version"], 2);
    // What is not there is said first, what is dead last.
    vault.patch("data/unknown", with(None)).await.absent();
    vault.put("metadata/bare", json!({"max_versions": 5})).await.nothing();
    vault.patch("data/bare", with(None)).await.refused(400, CAS_REQUIRED);
    vault.patch("data/bare", with(Some(0))).await.absent();
    vault.delete("data/foo").await.nothing();
    vault.patch("data/foo", with(None)).await.refused(400, CAS_REQUIRED);
    vault.patch("data/foo", with(Some(1))).await.refused(400, CAS_MISMATCH);
    vault.patch("data/foo", with(Some(2))).await.gone();
}

#[tokio::test]
async fn a_dead_version_is_not_patched() {
    let (server, vault) = Vault::start().await;
    vault.write("foo", json!({"a": 1})).await;
    server.clock.advance(5);
    vault.delete("data/foo").await.nothing();
    // 14.28: the five keys are at the top.
    let mut expected = five(1);
    expected["deletion_time"] = json!(after(5));
    assert_eq!(vault.patch("data/foo", json!({"data": {}})).await.gone(), expected);
    vault.put("destroy/foo", json!({"versions": [1]})).await.nothing();
    // 14.29
    expected["destroyed"] = json!(true);
    assert_eq!(vault.get("data/foo").await.gone(), json!({"data": null, "metadata": expected}));
    assert_eq!(vault.patch("data/foo", json!({"data": {}})).await.gone(), expected);
    assert_eq!(vault.metadata("foo").await["current_version"], 1);
}

/// OVHcloud's SDK says `application/json`, all others what Vault insists on.
#[tokio::test]
async fn media_types_of_a_patch() {
    let (_server, vault) = Vault::start().await;
    vault.write("foo", json!({})).await;
    let body = json!({"data": {}, "custom_metadata": {}});
    for path in ["data/foo", "metadata/foo"] {
        // 14.30 is refused by Vault and OpenBao.
        for taken in [
            "application/merge-patch+json",
            "application/merge-patch+json; charset=utf-8",
            "Application/Merge-Patch+JSON",
            "application/json",
            "application/json;charset=UTF-8",
        ] {
            let answer = vault.with("content-type", taken).send("PATCH", path, &body).await;
            assert!(answer.status.is_success(), "{taken}: {}", answer.text());
        }
        for (wrong, shown) in [
            ("text/plain", "text/plain"),
            ("application/json-patch+json", "application/json-patch+json"),
            ("application/x-www-form-urlencoded", "application/x-www-form-urlencoded"),
        ] {
            let text = format!(
                "PATCH requires Content-Type of application/merge-patch+json, provided {shown}"
            );
            vault.with("content-type", wrong).send("PATCH", path, &body).await.refused(415, &text);
        }
        vault.send("PATCH", path, &body).await.refused(400, "mime: no media type");
    }
}

/// The order in which OpenBao finds fault: type of the body, body, fields, data, secret, CAS.
#[tokio::test]
async fn what_of_several_faults_is_told() {
    let (_server, vault) = Vault::start().await;
    vault.put("metadata/bare", json!({"max_versions": 5})).await.nothing();
    vault.write("foo", json!({})).await;
    let plain = vault.with("content-type", "text/plain");
    for path in ["data/unknown", "data/foo/", "metadata/unknown", "nothing/here", "data"] {
        plain.send("PATCH", path, "not json").await.refused_with(415, "provided text/plain");
        vault.send("PATCH", path, "not json").await.refused(400, "mime: no media type");
    }
    let elsewhere = vault.root().with("content-type", "text/plain");
    elsewhere.send("PATCH", "nowhere/foo", "{}").await.refused_with(415, "text/plain");
    for path in ["data/unknown", "data/bare", "metadata/unknown"] {
        vault.patch(path, "not json").await.refused_with(400, "failed to decode JSON input");
    }
    for path in ["data/unknown", "data/foo"] {
        for (body, field) in [
            (r#"{"options":"x"}"#, "options"),
            (r#"{"options":"x","data":"x"}"#, "options"),
            (r#"{"version":"x"}"#, "version"),
            (r#"{"data":"x","options":{"cas":"x"}}"#, "data"),
        ] {
            vault.patch(path, body).await.refused_field(field);
        }
        vault.patch(path, r#"{"options":{"cas":"x"}}"#).await.refused(400, "no data provided");
    }
    let (unread, wrong) =
        (json!({"data": {}, "options": {"cas": "x"}}), json!({"data": {}, "options": {"cas": 7}}));
    vault.patch("data/unknown", &unread).await.absent();
    vault.patch("data/unknown", &wrong).await.absent();
    for path in ["data/foo", "data/bare"] {
        vault.patch(path, &unread).await.refused(400, "error parsing check-and-set parameter");
        vault.patch(path, &wrong).await.refused(400, CAS_MISMATCH);
    }
    vault
        .patch("metadata/unknown", json!({"max_versions": "x"}))
        .await
        .refused_field("max_versions");
    vault.patch("metadata/unknown", json!({"max_versions": 1})).await.absent();
    assert_eq!(vault.metadata("foo").await["current_version"], 1);
}

/// A patch that would make a value larger than any write may is refused like one.
#[tokio::test]
async fn a_patch_cannot_outgrow_the_limit() {
    let (_server, vault) = Vault::start().await;
    let half = "x".repeat(300 << 10);
    vault.write("foo", json!({"a": half})).await;
    let patched = vault.patch("data/foo", json!({"data": {"b": half}})).await;
    assert!(matches!(patched.status.as_u16(), 400 | 413), "{}", patched.status);
    let shown = vault.read("foo").await;
    assert_eq!(
        (&shown["metadata"]["version"], shown["data"].get("b")),
        (&json!(1), None::<&Value>)
    );
}
