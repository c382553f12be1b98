//! The shape of a value without its content.

use serde_json::json;

use super::{UNSUPPORTED, Vault, after, five};

#[tokio::test]
async fn leaves_are_nulls() {
    let (_server, vault) = Vault::start().await;
    // 14.103, 14.111
    vault.get("subkeys/foo").await.absent();
    vault.put("metadata/foo", json!({"custom_metadata": {"a": "b"}})).await.nothing();
    vault.get("subkeys/foo").await.absent();
    vault
        .write(
            "foo",
            json!({
                "text": "x", "number": 1, "null": null, "list": [{"a": 1}], "empty": {}, "none": [],
                "deep": {"a": {"b": {"c": true}}, "d": "e"},
            }),
        )
        .await;
    // 14.104, 14.114
    let mut metadata = five(1);
    metadata["custom_metadata"] = json!({"a": "b"});
    let subkeys = json!({
        "text": null, "number": null, "null": null, "list": null, "empty": null, "none": null,
        "deep": {"a": {"b": {"c": null}}, "d": null},
    });
    assert_eq!(
        vault.get("subkeys/foo").await.shown(),
        json!({"subkeys": subkeys, "metadata": metadata})
    );
    // 14.108
    vault.write("empty", json!({})).await;
    assert_eq!(
        vault.get("subkeys/empty").await.shown(),
        json!({"subkeys": {}, "metadata": five(1)})
    );
}

#[tokio::test]
async fn subkeys_of_a_version() {
    let (_server, vault) = Vault::start().await;
    vault.write("foo", json!({"one": 1})).await;
    vault.write("foo", json!({"two": 2})).await;
    // 14.105
    for (query, version, name) in [
        ("", 2, "two"),
        ("?version=0", 2, "two"),
        ("?version=2", 2, "two"),
        ("?version=1", 1, "one"),
    ] {
        let shown = vault.get(&format!("subkeys/foo{query}")).await.shown();
        assert_eq!(shown, json!({"subkeys": {name: null}, "metadata": five(version)}), "{query}");
    }
    // 14.106
    vault.get("subkeys/foo?version=3").await.absent();
    vault.get("subkeys/foo?version=one").await.refused_field("version");
}

#[tokio::test]
async fn subkeys_to_a_depth() {
    let (_server, vault) = Vault::start().await;
    vault.write("foo", json!({"a": {"b": {"c": {"d": 1}}, "x": 1}, "y": 1})).await;
    // 14.107
    vault.get("subkeys/foo?depth=not-an-integer").await.refused_field("depth");
    let whole = json!({"a": {"b": {"c": {"d": null}}, "x": null}, "y": null});
    for (depth, expected) in [
        ("", &whole),
        ("?depth=", &whole),
        ("?depth=0", &whole),
        ("?depth=1", &json!({"a": null, "y": null})),
        // As OpenBao has it: less than nothing is the least there is.
        ("?depth=-1", &json!({"a": null, "y": null})),
        ("?depth=-99", &json!({"a": null, "y": null})),
        ("?depth=2", &json!({"a": {"b": null, "x": null}, "y": null})),
        ("?depth=3&version=1", &json!({"a": {"b": {"c": null}, "x": null}, "y": null})),
        ("?depth=4", &whole),
        ("?depth=100", &whole),
    ] {
        assert_eq!(
            vault.get(&format!("subkeys/foo{depth}")).await.shown()["subkeys"],
            *expected,
            "{depth}"
        );
    }
}

#[tokio::test]
async fn subkeys_of_a_dead_version() {
    let (server, vault) = Vault::start().await;
    vault.write("foo", json!({"a": 1})).await;
    server.clock.advance(3);
    vault.delete("data/foo").await.nothing();
    // 14.109, 14.112
    let mut metadata = five(1);
    metadata["deletion_time"] = json!(after(3));
    assert_eq!(
        vault.get("subkeys/foo").await.gone(),
        json!({"subkeys": null, "metadata": metadata})
    );
    vault.put("destroy/foo", json!({"versions": [1]})).await.nothing();
    // 14.110, 14.113
    metadata["destroyed"] = json!(true);
    for query in ["", "?version=1", "?depth=1"] {
        let gone = vault.get(&format!("subkeys/foo{query}")).await.gone();
        assert_eq!(gone, json!({"subkeys": null, "metadata": metadata}), "{query}");
    }
}

#[tokio::test]
async fn subkeys_are_only_read() {
    let (_server, vault) = Vault::start().await;
    vault.write("foo", json!({"a": 1})).await;
    for method in ["PUT", "POST", "DELETE"] {
        vault.send(method, "subkeys/foo", "{}").await.refused(405, UNSUPPORTED);
    }
    vault.patch("subkeys/foo", "{}").await.refused(405, UNSUPPORTED);
}
