//! Check-and-set on metadata, which is OpenBao's.

use serde_json::{Value, json};

use super::Vault;

const REQUIRED: &str = "metadata check-and-set parameter required for this call";
const MISMATCH: &str = "metadata check-and-set parameter does not match the current version";
const NOT_ZERO: &str = "metadata_cas must be 0 when creating new metadata";

async fn counter(vault: &Vault, path: &str) -> Value {
    vault.metadata(path).await["current_metadata_version"].clone()
}

#[tokio::test]
async fn changes_of_metadata_are_counted() {
    let (_server, vault) = Vault::start().await;
    vault.write("data", json!({})).await;
    assert_eq!(counter(&vault, "data").await, 0);
    vault.put("metadata/put", json!({"max_versions": 5})).await.nothing();
    assert_eq!(counter(&vault, "put").await, 1);
    for path in ["data", "put"] {
        let before = counter(&vault, path).await.as_u64().unwrap();
        vault.put(&format!("metadata/{path}"), json!({"max_versions": 6})).await.nothing();
        vault
            .patch(&format!("metadata/{path}"), json!({"custom_metadata": {"a": "b"}}))
            .await
            .nothing();
        vault.write(path, json!({})).await;
        vault.delete(&format!("data/{path}")).await.nothing();
        assert_eq!(counter(&vault, path).await, before + 2);
    }
}

#[tokio::test]
async fn a_change_may_expect_a_count() {
    let (_server, vault) = Vault::start().await;
    // 14.89
    for wrong in [1, 5] {
        vault
            .put("metadata/foo", json!({"max_versions": 2, "metadata_cas": wrong}))
            .await
            .refused(400, NOT_ZERO);
    }
    vault.get("metadata/foo").await.absent();
    vault.put("metadata/foo", json!({"max_versions": 2, "metadata_cas": 0})).await.nothing();
    assert_eq!(counter(&vault, "foo").await, 1);
    for wrong in [0, 2] {
        let body = json!({"max_versions": 3, "metadata_cas": wrong});
        vault.put("metadata/foo", &body).await.refused(400, MISMATCH);
        vault.patch("metadata/foo", &body).await.refused(400, MISMATCH);
    }
    vault.put("metadata/foo", json!({"max_versions": 3, "metadata_cas": 1})).await.nothing();
    vault.patch("metadata/foo", json!({"max_versions": 4, "metadata_cas": 2})).await.nothing();
    assert_eq!(counter(&vault, "foo").await, 3);
    assert_eq!(vault.metadata("foo").await["max_versions"], 4);
    // One that does not ask is not asked.
    vault.put("metadata/foo", json!({"max_versions": 5})).await.nothing();
}

/// 14.68.
#[tokio::test]
async fn a_change_must_expect_a_count_where_that_is_required() {
    let (_server, vault) = Vault::start().await;
    vault
        .put("metadata/foo", json!({"metadata_cas_required": true, "metadata_cas": 0}))
        .await
        .nothing();
    assert_eq!(counter(&vault, "foo").await, 1);
    vault.put("metadata/foo", json!({"max_versions": 3})).await.refused(400, REQUIRED);
    vault.patch("metadata/foo", json!({"max_versions": 3})).await.refused(400, REQUIRED);
    vault
        .put("metadata/foo", json!({"max_versions": 3, "metadata_cas": 7}))
        .await
        .refused(400, MISMATCH);
    vault.put("metadata/foo", json!({"max_versions": 3, "metadata_cas": 1})).await.nothing();
    assert_eq!(counter(&vault, "foo").await, 2);
    let off = json!({"metadata_cas_required": false, "metadata_cas": 2});
    vault.put("metadata/foo", off).await.nothing();
    assert_eq!(counter(&vault, "foo").await, 3);
    vault.put("metadata/foo", json!({"max_versions": 4})).await.nothing();
    assert_eq!(counter(&vault, "foo").await, 4);
    // Values are written without it.
    vault.write("foo", json!({})).await;
}

#[tokio::test]
async fn a_mount_can_require_it_of_all() {
    let (_server, vault) = Vault::start().await;
    vault.put("config", json!({"metadata_cas_required": true})).await.nothing();
    vault.put("metadata/foo", json!({"max_versions": 3})).await.refused(400, REQUIRED);
    vault.get("metadata/foo").await.absent();
    vault.put("metadata/foo", json!({"max_versions": 3, "metadata_cas": 0})).await.nothing();
    vault.patch("metadata/foo", json!({"max_versions": 4})).await.refused(400, REQUIRED);
    // 14.88
    let body = json!({"metadata_cas_required": false, "metadata_cas": 1});
    let warned = vault.patch("metadata/foo", body).await.envelope();
    let warning = r#""metadata_cas_required" set to false, but is mandated by backend config. This value will be ignored."#;
    assert_eq!((&warned["data"], &warned["warnings"]), (&json!(null), &json!([warning])));
    assert_eq!(vault.metadata("foo").await["metadata_cas_required"], false);
}
