//! `delete_version_after`: versions that delete themselves.

use serde_json::{Value, json};

use super::{Vault, after, five};
use crate::harness::TestServer;

const HOUR: i64 = 3_600;

/// A version's moment of deletion, so many seconds after the test's beginning; "" for never.
fn deletion(seconds: Option<i64>) -> Value {
    json!(seconds.map(after).unwrap_or_default())
}

/// The mounts `secret` and `team` of one domain.
async fn two_mounts() -> (TestServer, [Vault; 2]) {
    let (server, secret) = Vault::start().await;
    secret.root().put("sys/mounts/team", json!({"type": "kv-v2"})).await.nothing();
    let team = secret.mount("team");
    (server, [secret, team])
}

/// 14.41 to 14.54, on `secret` and on a mount of its own.
#[tokio::test]
async fn the_shorter_of_mount_and_key_counts() {
    for (mount, key, expected) in [
        ("0s", "0s", None),
        ("0s", "3h0m0s", Some(3 * HOUR)),
        ("3h0m0s", "0s", Some(3 * HOUR)),
        ("6h0m0s", "3h0m0s", Some(3 * HOUR)),
        ("3h0m0s", "6h0m0s", Some(3 * HOUR)),
        ("3h0m0s", "3h0m0s", Some(3 * HOUR)),
        ("-1s", "0s", None),
        ("-1s", "3h0m0s", None),
    ] {
        let (server, mounts) = two_mounts().await;
        for (start, vault) in [0, 200].into_iter().zip(mounts) {
            let case = format!("{} {mount} {key}", vault.base);
            let at = |seconds: i64| deletion(expected.map(|expected| start + seconds + expected));
            vault.put("config", json!({ "delete_version_after": mount })).await.nothing();
            assert_eq!(vault.get("config").await.shown()["delete_version_after"], mount, "{case}");
            vault.put("metadata/foo", json!({ "delete_version_after": key })).await.nothing();
            assert_eq!(vault.metadata("foo").await["delete_version_after"], key, "{case}");
            assert_eq!(vault.write("foo", json!({"a": 1})).await["deletion_time"], at(0), "{case}");
            assert_eq!(vault.read("foo").await["metadata"]["deletion_time"], at(0), "{case}");
            server.clock.advance(100);
            let patched = vault.patch("data/foo", json!({"data": {}})).await.shown();
            assert_eq!(patched["deletion_time"], at(100), "{case}");
            // 14.54: counted from the undeletion, not from the creation.
            vault.put("delete/foo", json!({"versions": [1]})).await.nothing();
            assert_eq!(
                vault.metadata("foo").await["versions"]["1"]["deletion_time"],
                after(start + 100),
                "{case}"
            );
            server.clock.advance(100);
            vault.put("undelete/foo", json!({"versions": [1]})).await.nothing();
            let versions = vault.metadata("foo").await["versions"].clone();
            assert_eq!(versions["1"]["deletion_time"], at(200), "{case}");
            assert_eq!(versions["2"]["deletion_time"], at(100), "{case}");
        }
    }
}

/// A mount's own setting stands in for the domain's, even where that is shorter.
#[tokio::test]
async fn a_mounts_setting_over_the_domains() {
    let (_server, [secret, team]) = two_mounts().await;
    for (index, (domain, mount, key, expected)) in [
        ("1h", "0s", "0s", Some(HOUR)),
        ("1h", "0s", "2h", Some(HOUR)),
        ("1h", "3h", "0s", Some(3 * HOUR)),
        ("1h", "3h", "2h", Some(2 * HOUR)),
        ("1h", "-1s", "2h", None),
        ("-1s", "0s", "2h", None),
        ("-1s", "3h", "2h", Some(2 * HOUR)),
    ]
    .into_iter()
    .enumerate()
    {
        secret.put("config", json!({ "delete_version_after": domain })).await.nothing();
        team.put("config", json!({ "delete_version_after": mount })).await.nothing();
        let path = index.to_string();
        team.put(&format!("metadata/{path}"), json!({ "delete_version_after": key }))
            .await
            .nothing();
        let written = team.write(&path, json!({})).await;
        assert_eq!(written["deletion_time"], deletion(expected), "{domain} {mount} {key}");
    }
}

#[tokio::test]
async fn a_version_is_gone_from_its_moment_on() {
    let (server, vault) = Vault::start().await;
    vault.put("metadata/foo", json!({"delete_version_after": "10s"})).await.nothing();
    vault.write("foo", json!({"a": 1})).await;
    let mut metadata = five(1);
    metadata["deletion_time"] = json!(after(10));
    server.clock.advance(9);
    assert_eq!(vault.read("foo").await, json!({"data": {"a": 1}, "metadata": metadata}));
    vault.get("subkeys/foo").await.shown();
    server.clock.advance(1);
    assert_eq!(vault.get("data/foo").await.gone(), json!({"data": null, "metadata": metadata}));
    assert_eq!(
        vault.get("subkeys/foo").await.gone(),
        json!({"subkeys": null, "metadata": metadata})
    );
    assert_eq!(vault.patch("data/foo", json!({"data": {}})).await.gone(), metadata);
    // Nothing was swept: it can be brought back, for ten seconds more.
    vault.delete("data/foo").await.nothing();
    assert_eq!(vault.get("data/foo").await.gone()["metadata"], metadata);
    vault.put("undelete/foo", json!({"versions": [1]})).await.nothing();
    metadata["deletion_time"] = json!(after(20));
    assert_eq!(vault.read("foo").await["metadata"], metadata);
    server.clock.advance(10);
    vault.get("data/foo").await.gone();
}

#[tokio::test]
async fn a_moment_to_come_is_brought_forward() {
    let (server, vault) = Vault::start().await;
    vault.put("metadata/foo", json!({"delete_version_after": "1h"})).await.nothing();
    for n in 1..=2 {
        vault.write("foo", json!({ "n": n })).await;
    }
    server.clock.advance(60);
    vault.delete("data/foo").await.nothing();
    vault.put("delete/foo", json!({"versions": [1]})).await.nothing();
    for version in [1, 2] {
        let gone = vault.get(&format!("data/foo?version={version}")).await.gone();
        assert_eq!(gone["metadata"]["deletion_time"], after(60));
    }
    // An undeletion of what is alive starts its time anew.
    vault.put("undelete/foo", json!({"versions": [1]})).await.nothing();
    server.clock.advance(60);
    vault.put("undelete/foo", json!({"versions": [1]})).await.nothing();
    assert_eq!(vault.metadata("foo").await["versions"]["1"]["deletion_time"], after(120 + HOUR));
}

#[tokio::test]
async fn a_changed_setting_is_for_later_versions() {
    let (_server, vault) = Vault::start().await;
    vault.write("foo", json!({})).await;
    vault.put("metadata/foo", json!({"delete_version_after": "1m"})).await.nothing();
    vault.write("foo", json!({})).await;
    vault.put("config", json!({"delete_version_after": "1s"})).await.nothing();
    vault.write("foo", json!({})).await;
    vault.put("metadata/foo", json!({"delete_version_after": "0s"})).await.nothing();
    vault.put("config", json!({"delete_version_after": "0s"})).await.nothing();
    vault.write("foo", json!({})).await;
    let versions = vault.metadata("foo").await["versions"].clone();
    for (number, expected) in [("1", None), ("2", Some(60)), ("3", Some(1)), ("4", None)] {
        assert_eq!(versions[number]["deletion_time"], deletion(expected), "{number}");
    }
}

#[tokio::test]
async fn a_keys_setting_is_not_negative() {
    let (_server, vault) = Vault::start().await;
    let text = "Field validation failed: error converting input for field \"delete_version_after\": cannot provide \
                negative value '-1'";
    vault.write("bar", json!({})).await;
    for wrong in [json!("-1s"), json!(-1), json!("-1")] {
        let body = json!({ "delete_version_after": wrong });
        vault.put("metadata/foo", &body).await.refused(400, text);
        vault.patch("metadata/bar", &body).await.refused(400, text);
    }
    vault
        .put("metadata/foo", json!({"delete_version_after": "-1h"}))
        .await
        .refused_field("delete_version_after");
    vault.get("metadata/foo").await.absent();
}
