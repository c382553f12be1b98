//! How many versions are kept.

use serde_json::{Value, json};

use super::Vault;

/// Writes until the secret has this version, and says which is the oldest then.
async fn oldest_at(vault: &Vault, path: &str, version: u32) -> Value {
    while vault.write(path, json!({})).await["version"] != version {}
    vault.metadata(path).await["oldest_version"].clone()
}

async fn kept(vault: &Vault, path: &str) -> Vec<u32> {
    let metadata = vault.metadata(path).await;
    let mut numbers: Vec<u32> = metadata["versions"]
        .as_object()
        .unwrap()
        .keys()
        .map(|number| number.parse().unwrap())
        .collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn a_lowered_limit_counts_from_the_next_version_on() {
    let (_server, vault) = Vault::start().await;
    // 14.14
    for n in 1..=10 {
        assert_eq!(vault.write("put", json!({ "n": n })).await["version"], n);
        assert_eq!(vault.write("patch", json!({ "n": n })).await["version"], n);
    }
    for path in ["put", "patch"] {
        // 14.15
        vault.put(&format!("metadata/{path}"), json!({"max_versions": 2})).await.nothing();
        assert_eq!(kept(&vault, path).await, (1..=10).collect::<Vec<_>>());
    }
    // 14.16
    assert_eq!(vault.write("put", json!({"n": 11})).await["version"], 11);
    // 14.17
    assert_eq!(vault.patch("data/patch", json!({"data": {"n": 11}})).await.shown()["version"], 11);
    for path in ["put", "patch"] {
        assert_eq!(kept(&vault, path).await, [10, 11]);
        for n in 1..=9 {
            vault.get(&format!("data/{path}?version={n}")).await.absent();
        }
        for n in [10, 11] {
            assert_eq!(
                vault.get(&format!("data/{path}?version={n}")).await.shown()["data"],
                json!({ "n": n })
            );
        }
        assert_eq!(vault.metadata(path).await["oldest_version"], 10);
    }
    // A raised one brings nothing back.
    vault.put("metadata/put", json!({"max_versions": 4})).await.nothing();
    vault.write("put", json!({})).await;
    assert_eq!(kept(&vault, "put").await, [10, 11, 12]);
}

#[tokio::test]
async fn the_oldest_version_reads_0_until_the_limit_is_reached() {
    let (_server, vault) = Vault::start().await;
    for (path, limit, steps) in [
        ("one", 1, vec![(1, 1), (2, 2), (3, 3)]),
        ("two", 2, vec![(1, 0), (2, 1), (3, 2), (4, 3)]),
        ("default", 0, vec![(9, 0), (10, 1), (11, 2)]),
    ] {
        vault.put(&format!("metadata/{path}"), json!({ "max_versions": limit })).await.nothing();
        assert_eq!(vault.metadata(path).await["oldest_version"], 0);
        for (version, oldest) in steps {
            assert_eq!(oldest_at(&vault, path, version).await, oldest, "{path} at {version}");
        }
    }
}

/// The first that is not 0 of the secret's, the mount's and the domain's own limit; else 10. Vault
/// takes the larger of secret and mount, whatever its documentation says.
#[tokio::test]
async fn whose_limit_counts() {
    let (_server, vault) = Vault::start().await;
    vault.root().put("sys/mounts/team", json!({"type": "kv-v2"})).await.nothing();
    let team = vault.mount("team");
    for (index, (domain, mount, secret, effective)) in [
        (0, 0, 0, 10),
        (3, 0, 0, 3),
        (3, 2, 0, 2),
        (2, 3, 0, 3),
        (5, 3, 2, 2),
        (2, 3, 5, 5),
        (0, 0, 1, 1),
        (0, 4, 0, 4),
    ]
    .into_iter()
    .enumerate()
    {
        vault.put("config", json!({ "max_versions": domain })).await.nothing();
        team.put("config", json!({ "max_versions": mount })).await.nothing();
        let path = format!("secret{index}");
        team.put(&format!("metadata/{path}"), json!({ "max_versions": secret })).await.nothing();
        oldest_at(&team, &path, 12).await;
        assert_eq!(kept(&team, &path).await.len(), effective, "{domain} {mount} {secret}");
    }
}

/// Deleted and destroyed versions take their places like others, and their going is no event.
#[tokio::test]
async fn dead_versions_count() {
    let (_server, vault) = Vault::start().await;
    vault.put("metadata/foo", json!({"max_versions": 3})).await.nothing();
    oldest_at(&vault, "foo", 3).await;
    vault.put("delete/foo", json!({"versions": [2]})).await.nothing();
    vault.put("destroy/foo", json!({"versions": [3]})).await.nothing();
    assert_eq!(oldest_at(&vault, "foo", 4).await, 2);
    assert_eq!(kept(&vault, "foo").await, [2, 3, 4]);
    assert_eq!(oldest_at(&vault, "foo", 6).await, 4);
    // What was pruned can be neither seen nor changed.
    for end in ["delete", "undelete", "destroy"] {
        vault.put(&format!("{end}/foo"), json!({"versions": [1, 2, 3]})).await.nothing();
    }
    assert_eq!(kept(&vault, "foo").await, [4, 5, 6]);
    for version in [1, 2, 3] {
        vault.get(&format!("data/foo?version={version}")).await.absent();
        vault.get(&format!("subkeys/foo?version={version}")).await.absent();
    }
}

#[tokio::test]
async fn a_limit_is_0_to_24000() {
    let (_server, vault) = Vault::start().await;
    for wrong in [-1, 24_001, 4_294_967_296_i64] {
        for path in ["config", "metadata/foo"] {
            vault.put(path, json!({ "max_versions": wrong })).await.refused_with(400, "");
        }
    }
    vault.get("metadata/foo").await.absent();
    for right in [24_000, 1, 0] {
        vault.put("config", json!({ "max_versions": right })).await.nothing();
        assert_eq!(vault.get("config").await.shown()["max_versions"], right);
    }
}
