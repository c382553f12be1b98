//! Deleting, bringing back and destroying versions.

use serde_json::{Value, json};

use super::{UNSUPPORTED, Vault, after, five, part};
use crate::harness::START_TEXT;

/// A secret `foo` with so many versions.
async fn with_versions(vault: &Vault, count: u32) {
    for n in 1..=count {
        vault.write("foo", json!({ "n": n })).await;
    }
}

/// Deletion time and destruction of each version of `foo`.
async fn states(vault: &Vault) -> Vec<(String, bool)> {
    let metadata = vault.metadata("foo").await;
    let versions = metadata["versions"].as_object().unwrap();
    let state = |version: &Value| {
        (
            version["deletion_time"].as_str().unwrap().to_owned(),
            version["destroyed"].as_bool().unwrap(),
        )
    };
    versions.values().map(state).collect()
}

fn live() -> (String, bool) {
    (String::new(), false)
}

#[tokio::test]
async fn the_latest_version_is_deleted() {
    let (server, vault) = Vault::start().await;
    with_versions(&vault, 2).await;
    server.clock.advance(7);
    vault.delete("data/foo").await.nothing();
    // 14.12, 14.13, 14.119
    let mut expected = five(2);
    expected["deletion_time"] = json!(after(7));
    assert_eq!(vault.get("data/foo").await.gone(), json!({"data": null, "metadata": expected}));
    assert_eq!(vault.get("data/foo?version=2").await.gone()["metadata"], expected);
    assert_eq!(vault.get("data/foo?version=1").await.shown()["data"], json!({"n": 1}));
    // 14.39: again changes nothing, and there is always nothing to say.
    server.clock.advance(7);
    vault.delete("data/foo").await.nothing();
    vault.put("delete/foo", json!({"versions": [2]})).await.nothing();
    assert_eq!(states(&vault).await, [live(), (after(7), false)]);
    vault.delete("data/unknown").await.nothing();
    vault.get("metadata/unknown").await.absent();
    vault.put("metadata/bare", json!({"max_versions": 3})).await.nothing();
    vault.delete("data/bare").await.nothing();
    assert_eq!(vault.metadata("foo").await["updated_time"], START_TEXT);
}

#[tokio::test]
async fn versions_are_deleted_undeleted_and_destroyed_by_number() {
    let (server, vault) = Vault::start().await;
    with_versions(&vault, 3).await;
    server.clock.advance(3);
    // 14.33
    vault.put("delete/foo", json!({"versions": "1,2"})).await.nothing();
    assert_eq!(states(&vault).await, [(after(3), false), (after(3), false), live()]);
    vault.get("data/foo?version=1").await.gone();
    assert_eq!(vault.read("foo").await["data"]["n"], 3);
    // 14.34
    vault.post("undelete/foo", json!({"versions": "1,2"})).await.nothing();
    assert_eq!(states(&vault).await, [live(), live(), live()]);
    assert_eq!(vault.get("data/foo?version=1").await.shown()["data"]["n"], 1);
    // 14.35
    vault.put("destroy/foo", json!({"versions": "1,2"})).await.nothing();
    assert_eq!(states(&vault).await, [(String::new(), true), (String::new(), true), live()]);
    let gone = vault.get("data/foo?version=2").await.gone();
    let mut expected = five(2);
    expected["destroyed"] = json!(true);
    assert_eq!(gone, json!({"data": null, "metadata": expected}));
    assert_eq!(
        part(&vault.metadata("foo").await, &json!({"updated_time": 0, "current_version": 0})),
        json!({
            "updated_time": START_TEXT, "current_version": 3,
        })
    );
}

#[tokio::test]
async fn what_is_destroyed_stays_destroyed() {
    let (server, vault) = Vault::start().await;
    with_versions(&vault, 2).await;
    vault.put("delete/foo", json!({"versions": [1]})).await.nothing();
    server.clock.advance(1);
    // A deleted version keeps its time.
    vault.put("destroy/foo", json!({"versions": [1, 2]})).await.nothing();
    let destroyed = [(START_TEXT.to_owned(), true), (String::new(), true)];
    assert_eq!(states(&vault).await, destroyed);
    // 14.38, 14.40
    vault.put("undelete/foo", json!({"versions": [1, 2]})).await.nothing();
    vault.put("delete/foo", json!({"versions": [1, 2]})).await.nothing();
    vault.delete("data/foo").await.nothing();
    vault.put("destroy/foo", json!({"versions": [1, 2]})).await.nothing();
    assert_eq!(states(&vault).await, destroyed);
    vault.get("data/foo?version=1").await.gone();
}

#[tokio::test]
async fn unknown_versions_are_passed_over() {
    let (_server, vault) = Vault::start().await;
    with_versions(&vault, 2).await;
    for end in ["delete", "undelete", "destroy"] {
        // 14.36
        vault.put(&format!("{end}/unknown"), json!({"versions": [1]})).await.nothing();
        vault
            .put(&format!("{end}/foo"), json!({"versions": [0, 3, 24000, 100_000, -1]}))
            .await
            .nothing();
    }
    assert_eq!(states(&vault).await, [live(), live()]);
    vault.get("metadata/unknown").await.absent();
    // Those that there are count all the same.
    vault.put("delete/foo", json!({"versions": [7, 2, 2, -5]})).await.nothing();
    assert_eq!(states(&vault).await[1], (START_TEXT.to_owned(), false));
    assert_eq!(states(&vault).await[0], live());
}

#[tokio::test]
async fn a_list_of_versions_must_not_be_empty() {
    let (_server, vault) = Vault::start().await;
    with_versions(&vault, 1).await;
    // 14.37: the capital is Vault's.
    for (end, text) in [
        ("delete", "No version number provided"),
        ("undelete", "No version number provided"),
        ("destroy", "no version number provided"),
    ] {
        for path in ["foo", "unknown"] {
            for body in
                ["", "{}", r#"{"versions":[]}"#, r#"{"versions":""}"#, r#"{"versions":null}"#]
            {
                vault.put(&format!("{end}/{path}"), body).await.refused(400, text);
            }
        }
    }
}

#[tokio::test]
async fn only_writes_end_a_version() {
    let (_server, vault) = Vault::start().await;
    with_versions(&vault, 1).await;
    for end in ["delete", "undelete", "destroy"] {
        for method in ["GET", "DELETE", "LIST"] {
            let answer = vault.send(method, &format!("{end}/foo"), "").await;
            answer.refused(405, UNSUPPORTED);
        }
        vault
            .patch(&format!("{end}/foo"), json!({"versions": [1]}))
            .await
            .refused(405, UNSUPPORTED);
    }
    assert_eq!(states(&vault).await, [live()]);
}

/// Of a list in a text only the first 24,000 counted, without a word.
#[tokio::test]
async fn a_list_of_versions_is_not_cut() {
    let (_server, vault) = Vault::start().await;
    vault.write("foo", json!({})).await;
    let many = vec!["9"; 1000].join(",");
    vault
        .put("delete/foo", json!({"versions": format!("{many},1")}))
        .await
        .refused_field("versions");
    vault.put("delete/foo", json!({"versions": vec![9; 1001]})).await.refused_field("versions");
    assert_eq!(vault.metadata("foo").await["versions"]["1"]["deletion_time"], "");
}
