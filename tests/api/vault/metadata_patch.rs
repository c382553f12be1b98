//! Merge patches of metadata.

use serde_json::{Value, json};

use super::{Vault, part};

/// A secret `foo` with every setting set.
async fn with_settings(vault: &Vault) {
    vault.write("foo", json!({"a": 1})).await;
    let body = json!({
        "max_versions": 5, "cas_required": true, "delete_version_after": "10s",
        "custom_metadata": {"foo": "abc", "bar": "def"},
    });
    vault.put("metadata/foo", body).await.nothing();
}

/// The metadata, but for the counter of its changes.
async fn shown(vault: &Vault) -> Value {
    let mut metadata = vault.metadata("foo").await;
    metadata.as_object_mut().unwrap().remove("current_metadata_version");
    metadata
}

#[tokio::test]
async fn a_patch_needs_a_secret() {
    let (_server, vault) = Vault::start().await;
    // 14.86
    vault.patch("metadata/foo", json!({"max_versions": 5})).await.absent();
    vault.get("metadata/foo").await.absent();
    // 14.78: over HTTP the slash is what is wrong.
    vault
        .patch("metadata/", json!({"max_versions": 5}))
        .await
        .refused(400, "cannot write to a path ending in '/'");
    // 14.96: nothing to do, wherever.
    vault.patch("metadata/foo", "{}").await.nothing();
    vault.patch("metadata/foo", json!({"updated_time": "x"})).await.nothing();
    vault.get("metadata/foo").await.absent();
}

#[tokio::test]
async fn patches_of_custom_metadata() {
    let (_server, vault) = Vault::start().await;
    // 14.90 to 14.94
    for (patch, expected) in [
        (json!({}), json!({"foo": "abc", "bar": "def"})),
        (json!({"baz": "ghi"}), json!({"foo": "abc", "bar": "def", "baz": "ghi"})),
        (json!({"foo": null}), json!({"bar": "def"})),
        (json!({"foo": null, "bar": null}), json!(null)),
        (json!({"foo": "ghi"}), json!({"foo": "ghi", "bar": "def"})),
        (json!({"foo": null, "bar": "jkl", "baz": "ghi"}), json!({"bar": "jkl", "baz": "ghi"})),
        (json!(null), json!(null)),
    ] {
        with_settings(&vault).await;
        vault.patch("metadata/foo", json!({ "custom_metadata": patch })).await.nothing();
        assert_eq!(vault.metadata("foo").await["custom_metadata"], expected, "{patch}");
        assert_eq!(vault.metadata("foo").await["max_versions"], 5);
        vault.delete("metadata/foo").await.nothing();
    }
}

#[tokio::test]
async fn settings_are_patched_one_by_one() {
    let (server, vault) = Vault::start().await;
    with_settings(&vault).await;
    let mut expected = shown(&vault).await;
    for (patch, change) in [
        // 14.95
        (
            json!({
                "created_time": "2020-01-01T00:00:00Z", "updated_time": "2020-01-01T00:00:00Z", "current_version": 9,
                "oldest_version": 8, "current_metadata_version": 77, "versions": {"1": {"destroyed": true}},
            }),
            json!({}),
        ),
        // 14.96
        (json!({}), json!({})),
        // 14.97
        (
            json!({"cas_required": false, "max_versions": 7}),
            json!({"cas_required": false, "max_versions": 7}),
        ),
        // 14.98
        (
            json!({"max_versions": 8, "delete_version_after": null, "updated_time": "2020-01-01T00:00:00Z"}),
            json!({"max_versions": 8}),
        ),
        (
            json!({"cas_required": true, "delete_version_after": "0s"}),
            json!({"cas_required": true, "delete_version_after": "0s"}),
        ),
        // 14.99
        (json!({"max_versions": null}), json!({"max_versions": 0})),
        (json!({"delete_version_after": "90m"}), json!({"delete_version_after": "1h30m0s"})),
    ] {
        server.clock.advance(1);
        vault.patch("metadata/foo", &patch).await.nothing();
        expected.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(shown(&vault).await, expected, "{patch}");
    }
}

#[tokio::test]
async fn patches_that_are_refused() {
    let (_server, vault) = Vault::start().await;
    with_settings(&vault).await;
    let before = vault.metadata("foo").await;
    // 14.79
    for (field, wrong) in [
        ("max_versions", json!(["x"])),
        ("max_versions", json!("x")),
        ("cas_required", json!("perhaps")),
        ("delete_version_after", json!("soon")),
        ("custom_metadata", json!("x")),
    ] {
        vault
            .patch("metadata/foo", json!({ field: wrong, "updated_time": 1 }))
            .await
            .refused_field(field);
    }
    // 14.80 to 14.85 are in custom_metadata.rs.
    let half = json!({"max_versions": 3, "custom_metadata": {"": "x"}});
    vault.patch("metadata/foo", half).await.refused_with(400, "custom_metadata validation failed");
    assert_eq!(vault.metadata("foo").await, before);
}

/// What a patch of metadata does not touch.
#[tokio::test]
async fn versions_outlive_patches() {
    let (_server, vault) = Vault::start().await;
    vault.write("foo", json!({"a": 1})).await;
    vault
        .patch("metadata/foo", json!({"max_versions": 1, "delete_version_after": "1s"}))
        .await
        .nothing();
    let expected = json!({"current_version": 1, "oldest_version": 0, "max_versions": 1, "delete_version_after": "1s"});
    assert_eq!(part(&vault.metadata("foo").await, &expected), expected);
    assert_eq!(vault.read("foo").await["metadata"]["deletion_time"], "");
    assert_eq!(vault.read("foo").await["data"], json!({"a": 1}));
}
