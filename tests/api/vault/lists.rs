//! Lists of names.

use serde_json::json;

use super::Vault;

/// A few secrets, of which some are folders as well.
async fn with_secrets(paths: &[&str]) -> (crate::harness::TestServer, Vault) {
    let (server, vault) = Vault::start().await;
    for path in paths {
        vault.write(path, json!({})).await;
    }
    (server, vault)
}

const TREE: &[&str] = &["a", "a/b", "a/b/c", "B", "b-", "b/x", "z/1", "z/2/3", "ü"];

#[tokio::test]
async fn a_list_has_the_children_of_a_folder() {
    let (_server, vault) = with_secrets(TREE).await;
    for (path, expected) in [
        ("metadata", vec!["B", "a", "a/", "b-", "b/", "z/", "ü"]),
        ("metadata/", vec!["B", "a", "a/", "b-", "b/", "z/", "ü"]),
        ("metadata/a", vec!["b", "b/"]),
        ("metadata/a/", vec!["b", "b/"]),
        ("metadata/a/b", vec!["c"]),
        ("metadata/z", vec!["1", "2/"]),
        ("metadata/z/2/", vec!["3"]),
    ] {
        // 14.115
        assert_eq!(vault.keys(path).await, expected, "{path}");
        assert_eq!(vault.get(&format!("{path}?list=true")).await.keys(), expected, "{path}");
    }
    // 14.129: a secret is no folder, and a name that begins like a folder's is not in it.
    for path in [
        "metadata/B",
        "metadata/a/b/c",
        "metadata/unknown",
        "metadata/b-",
        "metadata/A",
        "metadata/z/2/3",
    ] {
        vault.list(path).await.absent();
        vault.get(&format!("{path}?list=true")).await.absent();
    }
    // 14.115: without list, a GET reads.
    assert_eq!(vault.metadata("a").await["current_version"], 1);
}

#[tokio::test]
async fn an_empty_mount_lists_nothing() {
    let (_server, vault) = Vault::start().await;
    // 14.102
    vault.list("metadata").await.absent();
    vault.list("metadata?exclude_deleted=true").await.absent();
    vault.list("detailed-metadata").await.absent();
}

#[tokio::test]
async fn spellings_of_list() {
    let (_server, vault) = with_secrets(&["a", "a/b"]).await;
    for yes in ["1", "t", "T", "true", "TRUE", "True"] {
        assert_eq!(vault.get(&format!("metadata/a?list={yes}")).await.keys(), ["b"], "{yes}");
    }
    for no in ["0", "f", "F", "false", "FALSE", "False", ""] {
        let shown = vault.get(&format!("metadata/a?list={no}")).await.envelope();
        assert_eq!(shown["data"]["current_version"], 1, "{no}");
    }
    for wrong in ["yes", "2", "tRUE"] {
        let refused = vault.get(&format!("metadata/a?list={wrong}")).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["errors"]),
            (400, &json!([])),
            "{wrong}"
        );
    }
    // 14.116
    for query in ["list=true&limit=1", "limit=1&list=true", "after=A&list=true&limit=1"] {
        assert_eq!(vault.get(&format!("metadata?{query}")).await.keys(), ["a"], "{query}");
    }
    assert_eq!(vault.keys("metadata?limit=1").await, ["a"]);
    assert_eq!(vault.keys("metadata?list=true&limit=1").await, ["a"]);
}

/// What OpenBao pages by: the name after which to begin, which need not exist, and a number.
#[tokio::test]
async fn lists_after_a_name() {
    let (_server, vault) = with_secrets(TREE).await;
    for (query, expected) in [
        ("limit=0", vec!["B", "a", "a/", "b-", "b/", "z/", "ü"]),
        ("limit=-1", vec!["B", "a", "a/", "b-", "b/", "z/", "ü"]),
        ("limit=2", vec!["B", "a"]),
        ("limit=100", vec!["B", "a", "a/", "b-", "b/", "z/", "ü"]),
        ("after=a", vec!["a/", "b-", "b/", "z/", "ü"]),
        ("after=a/", vec!["b-", "b/", "z/", "ü"]),
        ("after=aa", vec!["b-", "b/", "z/", "ü"]),
        ("after=b/&limit=1", vec!["z/"]),
        ("after=", vec!["B", "a", "a/", "b-", "b/", "z/", "ü"]),
        ("after=a&limit=2", vec!["a/", "b-"]),
    ] {
        assert_eq!(vault.keys(&format!("metadata?{query}")).await, expected, "{query}");
        assert_eq!(
            vault.get(&format!("metadata?list=true&{query}")).await.keys(),
            expected,
            "{query}"
        );
    }
    vault.list("metadata?after=%C3%BC").await.absent();
    vault.list("metadata?limit=many").await.refused_field("limit");
}

#[tokio::test]
async fn dead_secrets_are_listed_and_deleted_ones_are_not() {
    let (_server, vault) = with_secrets(&["deleted", "destroyed", "folder/only", "gone"]).await;
    vault.put("metadata/bare", json!({"max_versions": 1})).await.nothing();
    vault.delete("data/deleted").await.nothing();
    vault.put("destroy/destroyed", json!({"versions": [1]})).await.nothing();
    vault.delete("metadata/gone").await.nothing();
    assert_eq!(vault.keys("metadata").await, ["bare", "deleted", "destroyed", "folder/"]);
    // A folder goes with its last secret.
    vault.delete("metadata/folder/only").await.nothing();
    assert_eq!(vault.keys("metadata").await, ["bare", "deleted", "destroyed"]);
    vault.list("metadata/folder").await.absent();
}

/// 14.101, 14.102.
#[tokio::test]
async fn deleted_secrets_can_be_left_out() {
    let (server, vault) = with_secrets(&["dead", "folder/dead", "live"]).await;
    vault.put("metadata/later", json!({"delete_version_after": "1h"})).await.nothing();
    vault.write("later", json!({})).await;
    vault.delete("data/dead").await.nothing();
    vault.delete("data/folder/dead").await.nothing();
    let all = ["dead", "folder/", "later", "live"];
    for query in ["", "?exclude_deleted=false", "?exclude_deleted="] {
        assert_eq!(vault.keys(&format!("metadata{query}")).await, all, "{query}");
    }
    // A deletion that is to come counts too; a folder stays, whatever is in it.
    assert_eq!(vault.keys("metadata?exclude_deleted=true").await, ["folder/", "live"]);
    assert_eq!(
        vault.get("metadata?list=true&exclude_deleted=true").await.keys(),
        ["folder/", "live"]
    );
    vault.list("metadata/folder?exclude_deleted=true").await.absent();
    // It is back with an undeletion, and with a new version.
    vault.put("undelete/dead", json!({"versions": [1]})).await.nothing();
    assert_eq!(vault.keys("metadata?exclude_deleted=true").await, ["dead", "folder/", "live"]);
    vault.delete("data/dead").await.nothing();
    server.clock.advance(1);
    vault.write("dead", json!({})).await;
    assert_eq!(vault.keys("metadata?exclude_deleted=true").await, ["dead", "folder/", "live"]);
    // It says nothing to a read.
    assert_eq!(
        vault.get("metadata/dead?exclude_deleted=true").await.envelope()["data"]["current_version"],
        2
    );
    vault.list("metadata?exclude_deleted=perhaps").await.refused_field("exclude_deleted");
}

#[tokio::test]
async fn a_list_with_metadata() {
    let (_server, vault) = with_secrets(&["foo", "folder/bar", "foo/bar"]).await;
    vault
        .put("metadata/foo", json!({"custom_metadata": {"a": "b"}, "max_versions": 3}))
        .await
        .nothing();
    // 14.69, 14.100
    let shown = vault.list("detailed-metadata").await.shown();
    let metadata = vault.metadata("foo").await;
    let expected = json!({"keys": ["folder/", "foo", "foo/"], "key_info": {"folder/": {}, "foo": metadata, "foo/": {}}});
    assert_eq!(shown, expected);
    assert_eq!(vault.get("detailed-metadata?list=true").await.shown(), expected);
    let inner = vault.list("detailed-metadata/folder").await.shown();
    assert_eq!(
        inner,
        json!({"keys": ["bar"], "key_info": {"bar": vault.metadata("folder/bar").await}})
    );
    let page = vault.list("detailed-metadata?after=folder/&limit=1").await.shown();
    assert_eq!(page, json!({"keys": ["foo"], "key_info": {"foo": metadata}}));
    vault.list("detailed-metadata/unknown").await.absent();
}

/// Long lists take turns, so that any number of them at once takes bounded memory; all are answered
/// in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_lists_at_once() {
    let (_server, vault) = Vault::start().await;
    let paths: Vec<_> = (0..300).map(|n| format!("many/{n:03}")).collect();
    vault.client.create_all(&paths).await;
    let lists = (0..100).map(|n| {
        let vault = vault.clone();
        tokio::spawn(async move {
            let path = if n % 2 == 0 { "metadata/many" } else { "detailed-metadata/many" };
            vault.list(path).await.keys().len()
        })
    });
    for list in lists.collect::<Vec<_>>() {
        assert_eq!(list.await.unwrap(), 300);
    }
}
