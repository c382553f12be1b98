//! A secret's metadata.

use serde_json::{Value, json};

use super::{CAS_MISMATCH, Vault, after, part};
use crate::harness::START_TEXT;

#[tokio::test]
async fn metadata_of_a_secret_that_was_only_written() {
    let (_server, vault) = Vault::start().await;
    vault.get("metadata/foo").await.absent();
    vault.write("foo", json!({})).await;
    let expected = json!({
        "cas_required": false, "created_time": START_TEXT, "current_metadata_version": 0, "current_version": 1,
        "custom_metadata": null, "delete_version_after": "0s", "max_versions": 0, "metadata_cas_required": false,
        "oldest_version": 0, "updated_time": START_TEXT,
        "versions": {"1": {"created_time": START_TEXT, "deletion_time": "", "destroyed": false}},
    });
    let shown = vault.metadata("foo").await;
    let mut versions = shown["versions"].clone();
    versions["1"] = part(&versions["1"], &expected["versions"]["1"]);
    let mut shown = part(&shown, &expected);
    shown["versions"] = versions;
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn metadata_comes_first() {
    let (server, vault) = Vault::start().await;
    let mut expected = json!({
        "max_versions": 2, "cas_required": true, "delete_version_after": "5m0s",
        "custom_metadata": {"owner": "me", "rank": "1"},
    });
    vault.put("metadata/foo", &expected).await.nothing();
    // 14.63
    assert_eq!(part(&vault.metadata("foo").await, &expected), expected);
    let bare = json!({
        "versions": {}, "current_version": 0, "oldest_version": 0, "created_time": START_TEXT,
        "updated_time": START_TEXT,
    });
    assert_eq!(part(&vault.metadata("foo").await, &bare), bare);
    assert_eq!(vault.keys("metadata").await, ["foo"]);
    vault.get("data/foo").await.absent();
    vault.get("subkeys/foo").await.absent();
    // 14.65
    server.clock.advance(1);
    let with_cas = |cas: u32| json!({"data": {}, "options": {"cas": cas}});
    for cas in 0..3 {
        assert_eq!(vault.put("data/foo", with_cas(cas)).await.shown()["version"], cas + 1);
    }
    vault.put("data/foo", with_cas(2)).await.refused(400, CAS_MISMATCH);
    // 14.66
    let shown = vault.metadata("foo").await;
    assert_eq!((&shown["current_version"], &shown["oldest_version"]), (&json!(3), &json!(2)));
    assert_eq!(shown["versions"].as_object().unwrap().keys().collect::<Vec<_>>(), ["2", "3"]);
    // 14.67
    vault.put("metadata/foo", json!({"max_versions": 1, "cas_required": false})).await.nothing();
    assert_eq!(vault.write("foo", json!({})).await["version"], 4);
    let shown = vault.metadata("foo").await;
    assert_eq!((&shown["current_version"], &shown["oldest_version"]), (&json!(4), &json!(4)));
    assert_eq!(shown["versions"].as_object().unwrap().keys().collect::<Vec<_>>(), ["4"]);
    expected["max_versions"] = json!(1);
    expected["cas_required"] = json!(false);
    assert_eq!(part(&shown, &expected), expected);
}

#[tokio::test]
async fn a_write_of_nothing_makes_nothing() {
    let (_server, vault) = Vault::start().await;
    for body in ["", "null", "{}", r#"{"unknown":1,"updated_time":"x"}"#] {
        vault.put("metadata/foo", body).await.nothing();
    }
    vault.get("metadata/foo").await.absent();
    for (index, body) in [
        json!({"max_versions": 0}),
        json!({"cas_required": false}),
        json!({"delete_version_after": "0s"}),
        json!({"custom_metadata": {}}),
        json!({"custom_metadata": null}),
        json!({"metadata_cas_required": false}),
    ]
    .into_iter()
    .enumerate()
    {
        vault.put(&format!("metadata/{index}"), body).await.nothing();
        assert_eq!(vault.metadata(&index.to_string()).await["current_version"], 0);
    }
}

#[tokio::test]
async fn fields_that_are_not_named_stay() {
    let (_server, vault) = Vault::start().await;
    let mut expected = json!({
        "max_versions": 5, "cas_required": false, "delete_version_after": "0s", "custom_metadata": null,
    });
    // 14.76, 14.77
    for (body, change) in [
        (json!({"max_versions": 5}), json!({})),
        (json!({"cas_required": true}), json!({"cas_required": true})),
        (json!({"delete_version_after": "1h"}), json!({"delete_version_after": "1h0m0s"})),
        (
            json!({"custom_metadata": {"a": "1", "b": "2"}}),
            json!({"custom_metadata": {"a": "1", "b": "2"}}),
        ),
        (json!({"max_versions": 6}), json!({"max_versions": 6})),
        (json!({"custom_metadata": {"c": "3"}}), json!({"custom_metadata": {"c": "3"}})),
        (json!({"delete_version_after": null}), json!({})),
        (json!({"delete_version_after": ""}), json!({"delete_version_after": "0s"})),
        (json!({"custom_metadata": null}), json!({"custom_metadata": null})),
    ] {
        vault.put("metadata/foo", &body).await.nothing();
        expected.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(part(&vault.metadata("foo").await, &expected), expected, "{body}");
    }
}

#[tokio::test]
async fn a_secret_is_deleted_with_everything() {
    let (server, vault) = Vault::start().await;
    for n in 1..=6 {
        vault.write("foo", json!({ "n": n })).await;
    }
    vault
        .put("metadata/foo", json!({"custom_metadata": {"a": "b"}, "max_versions": 20}))
        .await
        .nothing();
    vault.delete("metadata/foo").await.nothing();
    // 14.70
    vault.get("data/foo").await.absent();
    vault.get("metadata/foo").await.absent();
    for version in 1..=6 {
        vault.get(&format!("data/foo?version={version}")).await.absent();
    }
    vault.list("metadata").await.absent();
    for path in ["foo", "unknown"] {
        vault.delete(&format!("metadata/{path}")).await.nothing();
    }
    // What comes later is another secret of the same name.
    server.clock.advance(60);
    assert_eq!(vault.write("foo", json!({})).await["version"], 1);
    let expected = json!({"created_time": after(60), "max_versions": 0, "custom_metadata": null});
    assert_eq!(part(&vault.metadata("foo").await, &expected), expected);
}

/// Vault's rule: creation, and every added version. OpenBao counts a change of metadata too.
#[tokio::test]
async fn what_counts_as_an_update() {
    let (server, vault) = Vault::start().await;
    let times = async || {
        let shown = vault.metadata("foo").await;
        [&shown["created_time"], &shown["updated_time"]]
            .map(|time: &Value| time.as_str().unwrap().to_owned())
    };
    vault.put("metadata/foo", json!({"max_versions": 5})).await.nothing();
    assert_eq!(times().await, [after(0), after(0)]);
    server.clock.advance(10);
    vault.write("foo", json!({})).await;
    assert_eq!(times().await, [after(0), after(10)]);
    server.clock.advance(10);
    vault.put("metadata/foo", json!({"max_versions": 6})).await.nothing();
    vault.patch("metadata/foo", json!({"custom_metadata": {"a": "b"}})).await.nothing();
    vault.put("delete/foo", json!({"versions": [1]})).await.nothing();
    vault.put("undelete/foo", json!({"versions": [1]})).await.nothing();
    assert_eq!(times().await, [after(0), after(10)]);
    vault.patch("data/foo", json!({"data": {}})).await.shown();
    assert_eq!(times().await, [after(0), after(20)]);
    server.clock.advance(10);
    vault.put("destroy/foo", json!({"versions": [1, 2]})).await.nothing();
    assert_eq!(times().await, [after(0), after(20)]);
}

/// The mount's word counts, and the secret's own is kept for the day on which the mount has none.
#[tokio::test]
async fn a_setting_that_the_mount_overrules_is_warned_of() {
    let (_server, vault) = Vault::start().await;
    let warning = r#""cas_required" set to false, but is mandated by backend config. This value will be ignored."#;
    vault.put("metadata/foo", json!({"cas_required": true})).await.nothing();
    vault.put("config", json!({"cas_required": true})).await.nothing();
    vault.put("metadata/foo", json!({"max_versions": 3})).await.nothing();
    vault.put("metadata/foo", json!({"cas_required": true})).await.nothing();
    let warned = vault.put("metadata/foo", json!({"cas_required": false})).await.envelope();
    assert_eq!((&warned["data"], &warned["warnings"]), (&json!(null), &json!([warning])));
    assert_eq!(vault.metadata("foo").await["cas_required"], false);
    // 14.87
    vault.put("metadata/bar", json!({"cas_required": true})).await.nothing();
    let warned = vault.patch("metadata/bar", json!({"cas_required": false})).await.envelope();
    assert_eq!((&warned["data"], &warned["warnings"]), (&json!(null), &json!([warning])));
    assert_eq!(vault.metadata("bar").await["cas_required"], false);
}

#[tokio::test]
async fn metadata_has_no_version() {
    let (_server, vault) = Vault::start().await;
    vault.write("foo", json!({})).await;
    vault.delete("data/foo").await.nothing();
    // A deleted version takes nothing from the metadata.
    assert_eq!(vault.metadata("foo").await["versions"]["1"]["deletion_time"], START_TEXT);
    for version in ["1", "7"] {
        let warned = vault.get(&format!("metadata/foo?version={version}")).await.envelope();
        assert_eq!(warned["data"]["current_version"], 1);
        assert_eq!(
            warned["warnings"],
            json!(["Endpoint ignored these unrecognized parameters: [version]"])
        );
    }
}

/// As OpenBao has it: a slash at the end of a secret's name does no harm where its metadata is read
/// or deleted.
#[tokio::test]
async fn metadata_of_a_name_with_a_slash_at_its_end() {
    let (_server, vault) = Vault::start().await;
    for path in ["foo", "foo/bar"] {
        vault.write(path, json!({})).await;
        assert_eq!(
            vault.get(&format!("metadata/{path}/")).await.shown(),
            vault.metadata(path).await
        );
        let text = "cannot write to a path ending in '/'";
        vault
            .put(&format!("metadata/{path}/"), json!({"max_versions": 3}))
            .await
            .refused(400, text);
        vault
            .patch(&format!("metadata/{path}/"), json!({"max_versions": 3}))
            .await
            .refused(400, text);
    }
    vault.get("metadata/unknown/").await.absent();
    vault.delete("metadata/unknown/").await.nothing();
    vault.delete("metadata/foo/").await.nothing();
    vault.get("metadata/foo").await.absent();
    assert_eq!(vault.keys("metadata/foo/").await, ["bar"]);
}
