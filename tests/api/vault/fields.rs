//! What a field may be written as: Vault's weak typing, kind by kind.

use serde_json::{Value, json};

use super::Vault;

#[tokio::test]
async fn numbers() {
    let (_server, vault) = Vault::start().await;
    for (typed, number) in [
        ("1", 1),
        ("\"1\"", 1),
        ("\"0x10\"", 16),
        ("true", 1),
        ("false", 0),
        ("null", 0),
        ("\"\"", 0),
        ("24000", 24_000),
    ] {
        for path in ["config", "metadata/foo"] {
            vault.put(path, json!({"max_versions": 7})).await.nothing();
            vault.put(path, format!(r#"{{"max_versions":{typed}}}"#)).await.nothing();
            assert_eq!(vault.get(path).await.shown()["max_versions"], number, "{path} {typed}");
        }
        vault.patch("metadata/foo", json!({"max_versions": 7})).await.nothing();
        vault.patch("metadata/foo", format!(r#"{{"max_versions":{typed}}}"#)).await.nothing();
        assert_eq!(vault.metadata("foo").await["max_versions"], number, "PATCH {typed}");
    }
    for wrong in ["1.0", "1.5", "\"abc\"", "[1]", "{}", "\"1.0\"", "\" 1\""] {
        for path in ["config", "metadata/foo"] {
            vault
                .put(path, format!(r#"{{"max_versions":{wrong}}}"#))
                .await
                .refused_field("max_versions");
        }
    }
}

#[tokio::test]
async fn yes_and_no() {
    let (_server, vault) = Vault::start().await;
    for (typed, expected) in [
        ("true", true),
        ("\"true\"", true),
        ("\"T\"", true),
        ("\"1\"", true),
        ("1", true),
        ("0", false),
        ("false", false),
        ("\"F\"", false),
        ("\"\"", false),
        ("null", false),
    ] {
        for path in ["config", "metadata/foo"] {
            vault.put("config", json!({"cas_required": false})).await.nothing();
            vault.put(path, json!({"cas_required": !expected})).await.nothing();
            let answer = vault.put(path, format!(r#"{{"cas_required":{typed}}}"#)).await;
            assert!(answer.status.is_success(), "{path} {typed}: {}", answer.text());
            assert_eq!(vault.get(path).await.shown()["cas_required"], expected, "{path} {typed}");
        }
    }
    // Of numbers 0 and 1 alone, as they are written.
    for wrong in [
        "\"yes\"", "[]", "{}", "\"tRUE\"", "\"null\"", "2", "-1", "10", "1.0", "1e0", "\"2\"",
        "\" \"",
    ] {
        for path in ["config", "metadata/foo"] {
            vault
                .put(path, format!(r#"{{"cas_required":{wrong}}}"#))
                .await
                .refused_field("cas_required");
        }
    }
}

/// A write knows the field `version`, as the read of the same path does: it means nothing, but it
/// must be a number.
#[tokio::test]
async fn a_version_in_a_write() {
    let (_server, vault) = Vault::start().await;
    let mut number = 0;
    for typed in ["1", "\"1\"", "true", "null", "7"] {
        let body = format!(r#"{{"data":{{}},"version":{typed}}}"#);
        for answer in [vault.put("data/foo", &body).await, vault.patch("data/foo", &body).await] {
            number += 1;
            assert_eq!(answer.shown()["version"], number, "{typed}");
        }
    }
    for wrong in ["\"x\"", "1.5", "[]", "{}"] {
        let body = format!(r#"{{"data":{{}},"version":{wrong}}}"#);
        vault.put("data/foo", &body).await.refused_field("version");
        vault.patch("data/foo", &body).await.refused_field("version");
        // Elsewhere it is not known.
        vault
            .put("metadata/foo", format!(r#"{{"max_versions":20,"version":{wrong}}}"#))
            .await
            .nothing();
        vault
            .put("delete/foo", format!(r#"{{"versions":[99],"version":{wrong}}}"#))
            .await
            .nothing();
    }
    assert_eq!(vault.metadata("foo").await["current_version"], number);
}

#[tokio::test]
async fn maps() {
    let (_server, vault) = Vault::start().await;
    for (typed, expected) in [
        (r#"{"a":"1"}"#, json!({"a": "1"})),
        ("null", json!(null)),
        ("[]", json!(null)),
        (r#"[{"a":"1"},{"b":"2"}]"#, json!({"a": "1", "b": "2"})),
    ] {
        vault.put("metadata/foo", json!({"custom_metadata": {"old": "x"}})).await.nothing();
        vault.put("metadata/foo", format!(r#"{{"custom_metadata":{typed}}}"#)).await.nothing();
        assert_eq!(vault.metadata("foo").await["custom_metadata"], expected, "{typed}");
    }
    for wrong in ["\"text\"", "1", "true", "[1]"] {
        vault
            .put("metadata/foo", format!(r#"{{"custom_metadata":{wrong}}}"#))
            .await
            .refused_field("custom_metadata");
    }
    vault.put("data/foo", r#"{"data":[{"a":1},{"b":{"c":2}}]}"#).await.shown();
    assert_eq!(vault.read("foo").await["data"], json!({"a": 1, "b": {"c": 2}}));
}

/// A list of maps may be long: all of it counts, or nothing.
#[tokio::test]
async fn long_lists_of_maps() {
    let (_server, vault) = Vault::start().await;
    let list = |count: usize| (0..count).map(|n| json!({format!("k{n}"): "v"})).collect::<Vec<_>>();
    vault.put("data/foo", json!({"data": list(70)})).await.shown();
    assert_eq!(vault.read("foo").await["data"].as_object().unwrap().len(), 70);
    vault.put("metadata/foo", json!({"custom_metadata": list(64)})).await.nothing();
    let text = "at most 64 keys, provided 65";
    vault.put("metadata/foo", json!({"custom_metadata": list(65)})).await.refused_with(400, text);
    vault.patch("metadata/foo", json!({"custom_metadata": list(65)})).await.refused_with(400, text);
    assert_eq!(vault.metadata("foo").await["custom_metadata"].as_object().unwrap().len(), 64);
}

#[tokio::test]
async fn lists_of_numbers() {
    let (_server, vault) = Vault::start().await;
    for _ in 1..=3 {
        vault.write("foo", json!({})).await;
    }
    let deleted = async || {
        let versions = vault.metadata("foo").await["versions"].clone();
        let is_deleted = |version: &&str| versions[*version]["deletion_time"] != "";
        ["1", "2", "3"].into_iter().filter(is_deleted).collect::<Vec<_>>().join("")
    };
    for (typed, expected) in [
        ("[1,2]", "12"),
        (r#"["1","2"]"#, "12"),
        (r#"[1,"3"]"#, "13"),
        (r#""1,2""#, "12"),
        (r#""1""#, "1"),
        ("1", "1"),
        ("[-1,2]", "2"),
        ("[3,3,3]", "3"),
        ("-1", ""),
    ] {
        vault.put("undelete/foo", json!({"versions": [1, 2, 3]})).await.nothing();
        vault.put("delete/foo", format!(r#"{{"versions":{typed}}}"#)).await.nothing();
        assert_eq!(deleted().await, expected, "{typed}");
    }
    vault.put("undelete/foo", json!({"versions": [1, 2, 3]})).await.nothing();
    for (end, text) in
        [("delete", "No version number provided"), ("destroy", "no version number provided")]
    {
        for empty in [r#""""#, "[]", "null"] {
            vault
                .put(&format!("{end}/foo"), format!(r#"{{"versions":{empty}}}"#))
                .await
                .refused(400, text);
        }
        for wrong in [r#""1, 2""#, r#"["a"]"#, "[1.0]", r#""one""#] {
            let refused =
                vault.put(&format!("{end}/foo"), format!(r#"{{"versions":{wrong}}}"#)).await;
            refused.refused_field("versions");
        }
    }
    assert_eq!(deleted().await, "");
}

#[tokio::test]
async fn life_spans() {
    let (_server, vault) = Vault::start().await;
    for (typed, shown) in [
        ("90", "1m30s"),
        ("\"90\"", "1m30s"),
        ("0", "0s"),
        ("\"\"", "0s"),
        ("\"0\"", "0s"),
        ("\"1d\"", "24h0m0s"),
        ("\"30d\"", "720h0m0s"),
        ("\"3h25m19s\"", "3h25m19s"),
        ("\"1.5h\"", "1h30m0s"),
        ("\"90m\"", "1h30m0s"),
        ("\"1h\"", "1h0m0s"),
        ("\"59s\"", "59s"),
        // What is below a second is cut off.
        ("\"100ms\"", "0s"),
        ("\"500ms\"", "0s"),
        ("\"1500ms\"", "1s"),
    ] {
        for path in ["config", "metadata/foo"] {
            vault.put(path, json!({"delete_version_after": "7s"})).await.nothing();
            vault.put(path, format!(r#"{{"delete_version_after":{typed}}}"#)).await.nothing();
            assert_eq!(
                vault.get(path).await.shown()["delete_version_after"],
                shown,
                "{path} {typed}"
            );
        }
    }
    for path in ["config", "metadata/foo"] {
        vault.put(path, json!({"delete_version_after": "7s"})).await.nothing();
        // A null is as if it were not there.
        vault.put(path, json!({"delete_version_after": null})).await.nothing();
        for wrong in
            [json!("soon"), json!("1w"), json!("1h 30m"), json!([1]), json!({}), json!("h")]
        {
            let refused = vault.put(path, json!({ "delete_version_after": wrong })).await;
            refused.refused_field("delete_version_after");
        }
        let kept: Value = vault.get(path).await.shown()["delete_version_after"].clone();
        assert_eq!(kept, "7s");
    }
}
