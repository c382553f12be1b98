//! Scans: all secrets below a folder, with their paths from there. They are OpenBao's.

use serde_json::json;

use super::Vault;

#[tokio::test]
async fn a_scan_goes_to_all_depths() {
    let (_server, vault) = Vault::start().await;
    assert_eq!(vault.send("SCAN", "metadata", "").await.shown(), json!({}));
    for path in ["a", "a/b", "a/b/c", "b/d/e", "b-"] {
        vault.write(path, json!({})).await;
    }
    vault.delete("data/a/b").await.nothing();
    for (path, expected) in [
        ("metadata", vec!["a", "a/b", "a/b/c", "b-", "b/d/e"]),
        ("metadata/", vec!["a", "a/b", "a/b/c", "b-", "b/d/e"]),
        ("metadata/a", vec!["b", "b/c"]),
        ("metadata/b/", vec!["d/e"]),
    ] {
        assert_eq!(vault.send("SCAN", path, "").await.keys(), expected, "{path}");
        assert_eq!(vault.get(&format!("{path}?scan=true")).await.keys(), expected, "{path}");
    }
    // As OpenBao has it: what is below nothing is nothing, and no 404 as a list's.
    for path in ["metadata/a/b/c", "metadata/unknown/", "detailed-metadata/unknown"] {
        assert_eq!(vault.send("SCAN", path, "").await.shown(), json!({}), "{path}");
        assert_eq!(vault.get(&format!("{path}?scan=true")).await.shown(), json!({}), "{path}");
    }
    assert_eq!(vault.get("metadata/a?scan=false").await.envelope()["data"]["current_version"], 1);
}

#[tokio::test]
async fn a_scan_with_metadata() {
    let (_server, vault) = Vault::start().await;
    for path in ["a", "a/b", "c/d"] {
        vault.write(path, json!({})).await;
    }
    let expected = json!({
        "keys": ["a", "a/b", "c/d"],
        "key_info": {
            "a": vault.metadata("a").await, "a/b": vault.metadata("a/b").await, "c/d": vault.metadata("c/d").await,
        },
    });
    assert_eq!(vault.send("SCAN", "detailed-metadata", "").await.shown(), expected);
    assert_eq!(vault.get("detailed-metadata?scan=true").await.shown(), expected);
    let inner = vault.send("SCAN", "detailed-metadata/c", "").await.shown();
    assert_eq!(inner, json!({"keys": ["d"], "key_info": {"d": vault.metadata("c/d").await}}));
}

#[tokio::test]
async fn a_list_is_no_scan() {
    let (_server, vault) = Vault::start().await;
    vault.write("a/b", json!({})).await;
    for path in ["metadata", "detailed-metadata", "metadata/a"] {
        assert_eq!(vault.get(&format!("{path}?list=true&scan=true")).await.status, 400, "{path}");
    }
    assert_eq!(vault.get("metadata?scan=perhaps").await.status, 400);
}

/// A mount shows what is in it, and the one that it lies in shows it with the mount's name.
#[tokio::test]
async fn a_scan_of_a_mount() {
    let (_server, vault) = Vault::start().await;
    vault.root().put("sys/mounts/team/a", json!({"type": "kv-v2"})).await.nothing();
    let team = vault.mount("team/a");
    team.write("x/y", json!({})).await;
    vault.write("team/b", json!({})).await;
    assert_eq!(team.send("SCAN", "metadata", "").await.keys(), ["x/y"]);
    assert_eq!(vault.send("SCAN", "metadata", "").await.keys(), ["team/a/x/y", "team/b"]);
}
