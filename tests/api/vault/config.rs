//! A mount's settings.

use serde_json::json;

use super::{NO_OPERATION, UNSUPPORTED, Vault};

#[tokio::test]
async fn settings_are_written_and_read_back() {
    let (_server, vault) = Vault::start().await;
    let fresh = json!({"max_versions": 0, "cas_required": false, "delete_version_after": "0s", "metadata_cas_required": false});
    assert_eq!(vault.get("config").await.shown(), fresh);
    // 14.55
    let body = json!({"max_versions": 4, "cas_required": true, "delete_version_after": "5m", "metadata_cas_required": true});
    vault.put("config", &body).await.nothing();
    let mut expected = body;
    expected["delete_version_after"] = json!("5m0s");
    assert_eq!(vault.get("config").await.shown(), expected);
    // What is not named stays.
    for (body, name, value) in [
        (json!({"max_versions": 7}), "max_versions", json!(7)),
        (json!({"cas_required": false}), "cas_required", json!(false)),
        (json!({"delete_version_after": 90}), "delete_version_after", json!("1m30s")),
        (json!({"metadata_cas_required": false}), "metadata_cas_required", json!(false)),
    ] {
        vault.post("config", body).await.nothing();
        expected[name] = value;
        assert_eq!(vault.get("config").await.shown(), expected);
    }
    for body in ["", "null", "{}", r#"{"unknown":1}"#] {
        vault.put("config", body).await.nothing();
        assert_eq!(vault.get("config").await.shown(), expected);
    }
}

/// 14.56 to 14.62.
#[tokio::test]
async fn the_last_life_span_counts() {
    for (first, second, last) in [
        ("0s", "0s", "0s"),
        ("10s", "0s", "0s"),
        ("10s", "20s", "20s"),
        ("10s", "-1h", "-1s"),
        ("-1h", "3h", "3h0m0s"),
        ("-1h", "-1h", "-1s"),
        ("-1h", "0h", "0s"),
    ] {
        let (_server, vault) = Vault::start().await;
        assert_eq!(vault.get("config").await.shown()["delete_version_after"], "0s");
        for span in [first, second] {
            vault.put("config", json!({ "delete_version_after": span })).await.nothing();
        }
        assert_eq!(
            vault.get("config").await.shown()["delete_version_after"],
            last,
            "{first} {second}"
        );
    }
}

#[tokio::test]
async fn a_refused_change_changes_nothing() {
    let (_server, vault) = Vault::start().await;
    for (body, field) in [
        (json!({"max_versions": 5, "cas_required": "perhaps"}), "cas_required"),
        (json!({"cas_required": true, "max_versions": "five"}), "max_versions"),
        (json!({"cas_required": true, "delete_version_after": "soon"}), "delete_version_after"),
    ] {
        vault.put("config", body).await.refused_field(field);
    }
    let shown = vault.get("config").await.shown();
    assert_eq!((&shown["max_versions"], &shown["cas_required"]), (&json!(0), &json!(false)));
}

#[tokio::test]
async fn what_cannot_be_done_to_settings() {
    let (_server, vault) = Vault::start().await;
    for method in ["DELETE", "LIST"] {
        vault.send(method, "config", "").await.refused(405, UNSUPPORTED);
    }
    vault.patch("config", "{}").await.refused(405, UNSUPPORTED);
    vault.get("config/").await.hints(NO_OPERATION);
    // They are no secret's settings.
    vault
        .put(
            "config",
            json!({"max_versions": 3, "cas_required": true, "delete_version_after": "1h"}),
        )
        .await
        .nothing();
    vault.put("metadata/foo", json!({"custom_metadata": {"a": "b"}})).await.nothing();
    let metadata = vault.metadata("foo").await;
    assert_eq!(metadata["max_versions"], 0);
    assert_eq!(metadata["cas_required"], false);
    assert_eq!(metadata["delete_version_after"], "0s");
}

/// What one dialect tells of the defaults it takes as well: a negative life span was told natively
/// and refused there.
#[tokio::test]
async fn defaults_that_rule_out_any_end_go_both_ways() {
    let (_server, vault) = Vault::start().await;
    vault.put("config", json!({"delete_version_after": "-1h"})).await.nothing();
    let told = vault.client.get("secretConfig").await.ok();
    assert_eq!(told["deactivateVersionAfter"], "-1s");
    assert_eq!(vault.client.put("secretConfig", &told.to_string()).await.ok(), told);
    assert_eq!(vault.get("config").await.shown()["delete_version_after"], "-1s");
    // A secret of its own is not told so, and cannot have it.
    let body = r#"{"path":"a","metadata":{"deactivateVersionAfter":"-1s"},"version":{"data":{}}}"#;
    vault.client.post("secret", body).await.error(400, 50_405_377);
}
