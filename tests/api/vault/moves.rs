//! Secrets that move and are copied with their history: our own addition to a mount.

use serde_json::json;

use super::{Domain, NO_OPERATION, Vault};
use crate::{audit::record_of, harness::BOTH};

const FORBIDDEN: u32 = 16_924_673;

#[tokio::test]
async fn secrets_go_with_their_history() {
    let (_server, vault) = Vault::start().await;
    for http in BOTH {
        let vault = Vault { client: vault.client.over(http), ..vault.clone() };
        for n in 1..=3 {
            vault.write("app/db", json!({"n": n})).await;
        }
        vault.post("metadata/app/db", json!({"custom_metadata": {"owner": "me"}})).await.nothing();
        vault.write("app/web/key", json!({"k": 1})).await;
        let seen = async |path: &str| {
            (vault.get(&format!("data/{path}?version=1")).await.shown(), {
                let mut metadata = vault.metadata(path).await;
                metadata.as_object_mut().unwrap().remove("urn");
                metadata
            })
        };
        let before = seen("app/db").await;
        let copied = vault.post("copy", json!({"from": "app/", "to": "shop/"})).await.shown();
        assert_eq!(copied, json!({"secrets": 2, "versions": 4}));
        assert_eq!((seen("app/db").await, seen("shop/db").await), (before.clone(), before.clone()));
        let moved = vault.put("move", json!({"from": "/app//db", "to": "db"})).await.shown();
        assert_eq!(moved, json!({"secrets": 1, "versions": 3}));
        assert_eq!(seen("db").await, before);
        vault.get("metadata/app/db").await.absent();
        // What is there stays, unless it is to give way.
        let go = json!({"from": "db", "to": "shop/db"});
        vault.post("move", go).await.refused_with(409, "a secret exists at this path");
        vault.write("shop/db", json!({"n": 4})).await;
        let go = json!({"from": "db", "to": "shop/db", "overwrite": true});
        vault.post("move", go).await.shown();
        assert_eq!(seen("shop/db").await, before);
        // A form, as the CLI of some, and what nobody knows is told.
        let form = vault.with("content-type", "application/x-www-form-urlencoded");
        let told = form.post("copy", "from=shop/db&to=form&x=1").await.envelope();
        assert_eq!(told["warnings"].as_array().unwrap().len(), 1);
        for wrong in [
            json!({}),
            json!({"from": "form"}),
            json!({"from": "form", "to": ""}),
            json!({"from": "form", "to": "form"}),
            json!({"from": "shop/", "to": "form"}),
            json!({"from": "shop/", "to": "shop/in/"}),
            json!({"from": "/", "to": "in/"}),
            json!({"from": "form", "to": "../form"}),
            json!({"from": "form", "to": "other", "overwrite": "x"}),
        ] {
            assert_eq!(vault.post("move", &wrong).await.status, 400, "{wrong}");
        }
        vault.post("move", json!({"from": "none", "to": "other"})).await.absent();
        for path in ["shop/db", "shop/web/key", "app/web/key", "form"] {
            vault.delete(&format!("metadata/{path}")).await.nothing();
        }
    }
}

/// Nothing that Vault's clients ask for is there, and secrets and mounts are called as they like.
#[tokio::test]
async fn its_addresses_are_in_nobodys_way() {
    let (_server, vault) = Vault::start().await;
    let root = vault.root();
    for mount in ["team/copy", "team/move/in"] {
        root.post(&format!("sys/mounts/{mount}"), json!({"type": "kv-v2"})).await.nothing();
    }
    for name in ["move", "copy", "a/move"] {
        vault.write(name, json!({"n": name})).await;
        assert_eq!(vault.read(name).await["data"]["n"], name);
    }
    let team = vault.mount("team/copy");
    team.write("a", json!({"n": 1})).await;
    team.post("move", json!({"from": "a", "to": "b"})).await.shown();
    assert_eq!(vault.read("team/copy/b").await["data"]["n"], 1);
    // All that a mount shows, through the whole tree.
    vault.post("move", json!({"from": "team/copy/", "to": "team/move/in/"})).await.shown();
    assert_eq!(vault.mount("team/move/in").read("b").await["data"]["n"], 1);
    for method in ["GET", "LIST", "PATCH", "DELETE"] {
        for path in ["move", "copy"] {
            vault
                .with("content-type", "application/merge-patch+json")
                .send(method, path, "")
                .await
                .hints(NO_OPERATION);
        }
    }
    vault.post("move/a", json!({"from": "a", "to": "b"})).await.hints(NO_OPERATION);
    root.post("nope/move", json!({"from": "a", "to": "b"})).await.refused_with(404, "no handler");
    let slash = vault.post("move/", json!({"from": "move", "to": "b"})).await;
    assert!(slash.status.is_client_error(), "{slash:?}");
    assert_eq!(vault.read("move").await["data"]["n"], "move");
}

/// In Vault's policies it takes what is said of both ends, and nothing at the address itself; what is denied there is.
#[tokio::test]
async fn policies_speak_of_both_ends() {
    let domain = Domain::new().await;
    let whole: [(&str, &[&str]); 4] = [
        ("secret/data/app/*", &["read"]),
        ("secret/metadata/app/*", &["read", "delete"]),
        ("secret/data/shop/*", &["create", "update"]),
        ("secret/metadata/shop/*", &["update"]),
    ];
    let text = |blocks: &[(&str, &[&str])]| -> String {
        let block = |(path, words): &(&str, &[&str])| {
            format!("path \"{path}\" {{ capabilities = {} }}\n", json!(words))
        };
        blocks.iter().map(block).collect()
    };
    let svc = domain.service("svc", &["mover"]).await;
    let go = async |operation: &str, from: &str, to: &str| {
        svc.post(operation, json!({"from": from, "to": to})).await
    };
    domain.admin.write("app/a", json!({"n": 1})).await;
    domain.admin.write("app/b", json!({"n": 2})).await;
    // Each word is needed.
    for (at, (path, words)) in whole.iter().enumerate() {
        for word in *words {
            let rest: Vec<_> = words.iter().copied().filter(|other| other != word).collect();
            let mut lacking = whole;
            lacking[at] = (path, &rest);
            domain.policy("mover", &text(&lacking)).await;
            for (from, to) in [("app/a", "shop/a"), ("app/", "shop/")] {
                go("move", from, to).await.error(403, FORBIDDEN);
            }
            // Of a copy all but what takes it away.
            let copied = go("copy", "app/a", "shop/a").await;
            assert_eq!(copied.status == 200, *word == "delete", "{path} {word} {copied:?}");
            domain.admin.delete("metadata/shop/a").await.nothing();
        }
    }
    domain.policy("mover", &text(&whole)).await;
    go("move", "app/a", "other/a").await.error(403, FORBIDDEN);
    go("move", "other/a", "shop/a").await.error(403, FORBIDDEN);
    let overwrites = json!({"from": "app/a", "to": "shop/a", "overwrite": true});
    svc.post("copy", overwrites).await.error(403, FORBIDDEN);
    go("move", "app/a", "shop/a").await.shown();
    let moved = go("move", "app/", "shop/").await;
    assert_eq!(moved.shown(), json!({"secrets": 1, "versions": 1}));
    let record = record_of(&domain.server, &moved);
    let ends: Vec<_> =
        record["also"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(
        (&record["operation"], &record["resource"], ends),
        (&json!("VaultMoveSecrets"), &json!("app/"), vec![json!("shop/")]),
        "{record}"
    );
    assert_eq!(domain.admin.read("shop/b").await["data"]["n"], 2);
    // A block at the address gives nothing, and can deny.
    domain.policy("mover", r#"path "secret/move" { capabilities = ["update", "create"] }"#).await;
    go("move", "shop/a", "app/a").await.error(403, FORBIDDEN);
    domain
        .policy("mover", r#"path "secret/*" { capabilities = ["read", "create", "update", "delete"] } path "secret/move" { capabilities = ["deny"] }"#)
        .await;
    go("move", "shop/a", "app/a").await.error(403, FORBIDDEN);
    go("copy", "shop/a", "app/a").await.shown();
    let told = svc
        .root()
        .post("sys/capabilities-self", json!({"paths": ["secret/move", "secret/copy"]}))
        .await;
    let told = told.envelope();
    assert_eq!(
        (&told["secret/move"], &told["secret/copy"]),
        (&json!(["deny"]), &json!(["update"]))
    );
}
