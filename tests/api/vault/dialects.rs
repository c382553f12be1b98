//! One model, two dialects: what is done in one is seen in the other.

use serde_json::{Value, json};

use super::{Vault, after, five, part};
use crate::harness::START_TEXT;

/// The states of a secret's versions, natively.
async fn native_states(vault: &Vault, path: &str) -> Vec<String> {
    let versions = vault.client.get(&format!("secret/{path}/version")).await.ok();
    versions
        .as_array()
        .unwrap()
        .iter()
        .map(|version| version["state"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn what_is_created_natively_reads_by_vault() {
    let (_server, vault) = Vault::start().await;
    vault.client.create("foo/bar", r#"{"n":12345678901234567890,"t":"x"}"#).await.ok();
    vault.client.post("secret/foo/bar/version", r#"{"data":{"v":2}}"#).await.ok();
    assert_eq!(vault.read("foo/bar").await, json!({"data": {"v": 2}, "metadata": five(2)}));
    let first = vault.get("data/foo/bar?version=1").await;
    assert!(first.text().contains(r#"{"n":12345678901234567890,"t":"x"}"#), "{}", first.text());
    assert_eq!(vault.keys("metadata").await, ["foo/"]);
    assert_eq!(vault.metadata("foo/bar").await["current_version"], 2);
    assert_eq!(
        vault.put("data/foo/bar", json!({"data": {}, "options": {"cas": 2}})).await.shown()["version"],
        3
    );
}

#[tokio::test]
async fn what_is_written_by_vault_reads_natively() {
    let (_server, vault) = Vault::start().await;
    let native = &vault.client;
    vault.put("data/foo/bar", r#"{"data":{"n":1.0,"t":"é"}}"#).await.shown();
    vault.write("foo/bar", json!({"v": 2})).await;
    let shown = native.get("secret/foo/bar?includeData=true").await;
    assert_eq!(shown.data().unwrap(), r#"{"v":2}"#);
    let expected = json!({"id": 2, "state": "active", "createdAt": START_TEXT});
    assert_eq!(part(&shown.ok()["version"], &expected), expected);
    assert_eq!(
        native.get("secret/foo/bar/version/1?includeData=true").await.data().unwrap(),
        r#"{"n":1.0,"t":"é"}"#
    );
    assert_eq!(native.get("secret").await.ok()[0]["path"], "foo/bar");
    native.post("secret/foo/bar/version?cas=1", r#"{"data":{}}"#).await.error(400, 50_405_377);
    native.post("secret/foo/bar/version?cas=2", r#"{"data":{}}"#).await.ok();
    native.create("foo/bar", "{}").await.error(409, 50_438_145);
    vault.delete("metadata/foo/bar").await.nothing();
    native.get("secret/foo/bar").await.error(404, 17_125_377);
}

#[tokio::test]
async fn states_agree() {
    let (server, vault) = Vault::start().await;
    let native = &vault.client;
    let set = async |version: u32, state: &str| {
        native
            .put(&format!("secret/foo/version/{version}"), &json!({ "state": state }).to_string())
            .await
            .ok()
    };
    for n in 1..=4 {
        vault.write("foo", json!({ "n": n })).await;
    }
    server.clock.advance(5);
    // Deactivated is deleted.
    set(1, "deactivated").await;
    let mut metadata = five(1);
    metadata["deletion_time"] = json!(after(5));
    assert_eq!(
        vault.get("data/foo?version=1").await.gone(),
        json!({"data": null, "metadata": metadata})
    );
    vault.put("delete/foo", json!({"versions": [2]})).await.nothing();
    let shown = native.get("secret/foo/version/2?includeData=true").await;
    assert_eq!(
        (&shown.ok()["state"], &shown.ok()["deactivatedAt"]),
        (&json!("deactivated"), &json!(after(5)))
    );
    assert_eq!(shown.data(), None);
    // Deleted is destroyed.
    set(3, "deleted").await;
    assert_eq!(vault.get("data/foo?version=3").await.gone()["metadata"]["destroyed"], true);
    vault.put("destroy/foo", json!({"versions": [4]})).await.nothing();
    assert_eq!(
        native_states(&vault, "foo").await,
        ["deactivated", "deactivated", "deleted", "deleted"]
    );
    // Activated is undeleted.
    set(2, "active").await;
    assert_eq!(vault.get("data/foo?version=2").await.shown()["data"], json!({"n": 2}));
    vault.put("undelete/foo", json!({"versions": [1, 3, 4]})).await.nothing();
    assert_eq!(native_states(&vault, "foo").await, ["active", "active", "deleted", "deleted"]);
    assert_eq!(
        native.get("secret/foo/version/1?includeData=true").await.data().unwrap(),
        r#"{"n":1}"#
    );
    native.put("secret/foo/version/4", r#"{"state":"active"}"#).await.error(409, 50_438_145);
}

#[tokio::test]
async fn metadata_agrees() {
    let (_server, vault) = Vault::start().await;
    let native = &vault.client;
    native.create("foo", "{}").await.ok();
    let body = r#"{"metadata":{"maxVersions":4,"casRequired":true,"deactivateVersionAfter":"1d","customMetadata":{"a":"b"}}}"#;
    native.put("secret/foo", body).await.ok();
    let expected = json!({
        "max_versions": 4, "cas_required": true, "delete_version_after": "24h0m0s", "custom_metadata": {"a": "b"},
    });
    assert_eq!(part(&vault.metadata("foo").await, &expected), expected);
    let body = json!({"max_versions": 5, "cas_required": false, "delete_version_after": "90m", "custom_metadata": {"c": "d"}});
    vault.put("metadata/foo", body).await.nothing();
    let shown = native.get("secret/foo").await.ok()["metadata"].clone();
    let expected = json!({"maxVersions": 5, "casRequired": false, "customMetadata": {"c": "d"}});
    assert_eq!(part(&shown, &expected), expected);
    vault.patch("metadata/foo", json!({"custom_metadata": {"c": null, "e": "f"}})).await.nothing();
    assert_eq!(
        native.get("secret/foo").await.ok()["metadata"]["customMetadata"],
        json!({"e": "f"})
    );
}

/// The mount `secret` has the domain's own settings.
#[tokio::test]
async fn settings_agree() {
    let (_server, vault) = Vault::start().await;
    let native = &vault.client;
    native
        .put(
            "secretConfig",
            r#"{"maxVersions":4,"casRequired":true,"deactivateVersionAfter":"1d"}"#,
        )
        .await
        .ok();
    let expected =
        json!({"max_versions": 4, "cas_required": true, "delete_version_after": "24h0m0s"});
    assert_eq!(part(&vault.get("config").await.shown(), &expected), expected);
    vault
        .put(
            "config",
            json!({"max_versions": 5, "cas_required": false, "delete_version_after": "0s"}),
        )
        .await
        .nothing();
    let expected = json!({"maxVersions": 5, "casRequired": false, "deactivateVersionAfter": "0s"});
    assert_eq!(native.get("secretConfig").await.ok(), expected);
    // Vault's "never" is something that the native dialect has no word for, and must not choke on.
    vault.put("config", json!({"delete_version_after": "-1s"})).await.nothing();
    native.get("secretConfig").await.ok();
    native.create("foo", "{}").await.ok();
    assert_eq!(vault.read("foo").await["metadata"]["deletion_time"], "");
}

/// A time that comes by itself comes in both.
#[tokio::test]
async fn deadlines_agree() {
    let (server, vault) = Vault::start().await;
    let native = &vault.client;
    native
        .post(
            "secret",
            r#"{"path":"foo","deactivateVersionAfter":"10s","version":{"data":{"a":1}}}"#,
        )
        .await
        .ok();
    assert_eq!(vault.read("foo").await["metadata"]["deletion_time"], after(10));
    vault.put("metadata/bar", json!({"delete_version_after": "10s"})).await.nothing();
    vault.write("bar", json!({"a": 1})).await;
    for path in ["foo", "bar"] {
        assert_eq!(native_states(&vault, path).await, ["active"]);
    }
    server.clock.advance(10);
    for path in ["foo", "bar"] {
        assert_eq!(native_states(&vault, path).await, ["deactivated"]);
        vault.get(&format!("data/{path}")).await.gone();
    }
}

/// A secret that has metadata and no version is nothing that the native dialect can make. It must
/// bear it.
#[tokio::test]
async fn a_secret_without_a_version() {
    let (_server, vault) = Vault::start().await;
    let native = &vault.client;
    vault.put("metadata/bare", json!({"custom_metadata": {"a": "b"}})).await.nothing();
    vault.write("full", json!({})).await;
    let list = native.get("secret").await.ok();
    let paths: Vec<&Value> =
        list.as_array().unwrap().iter().map(|secret| &secret["path"]).collect();
    assert!(paths.contains(&&json!("full")), "{paths:?}");
    let shown = native.get("secret/bare?includeData=true").await;
    assert!(matches!(shown.status.as_u16(), 200 | 404), "{}", shown.text());
    let versions = native.get("secret/bare/version").await;
    assert!(matches!(versions.status.as_u16(), 200 | 404), "{}", versions.text());
    vault.write("bare", json!({"v": 1})).await;
    assert_eq!(native.get("secret/bare?includeData=true").await.data().unwrap(), r#"{"v":1}"#);
}
