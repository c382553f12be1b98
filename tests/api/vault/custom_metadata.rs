//! The limits of custom metadata.

use serde_json::{Map, Value, json};

use super::{Vault, part};

const PREFIX: &str = "custom_metadata validation failed: ";

/// The faults in an error of several, sorted, each without the common beginning.
fn faults(text: &str) -> Vec<String> {
    let (head, list) = text.split_once(" occurred:\n").unwrap();
    let list = list.strip_suffix("\n\n").unwrap();
    let faults = list
        .split('\n')
        .map(|line| line.strip_prefix("\t* ").unwrap().strip_prefix(PREFIX).unwrap().to_owned());
    let mut faults: Vec<_> = faults.collect();
    faults.sort();
    let noun = if faults.len() == 1 { "error" } else { "errors" };
    assert_eq!(head, format!("{} {noun}", faults.len()));
    faults
}

fn members(count: usize) -> Value {
    (0..count).map(|n| (format!("key{n}"), json!("v"))).collect()
}

/// 14.71, and 14.80 to 14.84 for a patch.
#[tokio::test]
async fn all_violations_are_told_at_once() {
    let (_server, vault) = Vault::start().await;
    let (long_key, long_value) = ("k".repeat(129), "v".repeat(513));
    let custom = json!({
        "": "v", &*long_key: "v", "a\u{200b}b": "v", "empty": "", "long": long_value, "hidden": "a\u{0}b", "fine": "v",
    });
    vault.write("old", json!({})).await;
    for (method, path) in
        [("PUT", "metadata/foo"), ("POST", "metadata/old"), ("PATCH", "metadata/old")]
    {
        let vault = vault.with("content-type", "application/merge-patch+json");
        let refused =
            vault.send(method, path, json!({"custom_metadata": custom, "max_versions": 4})).await;
        let mut faults = faults(&refused.refused_with(400, "6 errors occurred"));
        let unprintable = faults.iter().position(|fault| fault.starts_with("key \"")).unwrap();
        assert!(faults.remove(unprintable).ends_with(" contains unprintable characters"));
        assert_eq!(
            faults,
            [
                "length of key \"\" is 0 but must be 0 < len(key) <= 128".to_owned(),
                format!("length of key \"{long_key}\" is 129 but must be 0 < len(key) <= 128"),
                "length of value for key \"empty\" is 0 but must be 0 < len(value) <= 512"
                    .to_owned(),
                "length of value for key \"long\" is 513 but must be 0 < len(value) <= 512"
                    .to_owned(),
                "value for key \"hidden\" contains unprintable characters".to_owned(),
            ]
        );
    }
    // 14.72: nothing was stored.
    vault.get("metadata/foo").await.absent();
    let kept = json!({"custom_metadata": null, "max_versions": 0});
    assert_eq!(part(&vault.metadata("old").await, &kept), kept);
}

#[tokio::test]
async fn one_violation() {
    let (_server, vault) = Vault::start().await;
    vault.write("old", json!({})).await;
    for (custom, fault) in [
        (json!({"": "v"}), "length of key \"\" is 0 but must be 0 < len(key) <= 128"),
        (json!({"a": ""}), "length of value for key \"a\" is 0 but must be 0 < len(value) <= 512"),
        (json!({"a": "\n"}), "value for key \"a\" contains unprintable characters"),
        // Bytes are counted, not characters.
        (
            json!({"a": "é".repeat(257)}),
            "length of value for key \"a\" is 514 but must be 0 < len(value) <= 512",
        ),
    ] {
        let body = json!({ "custom_metadata": custom });
        let text = format!("1 error occurred:\n\t* {PREFIX}{fault}\n\n");
        vault.put("metadata/foo", &body).await.refused(400, &text);
        vault.patch("metadata/old", &body).await.refused(400, &text);
    }
    // A null is an empty text for a write, and a removal for a patch.
    let body = json!({"custom_metadata": {"a": null}});
    vault.put("metadata/foo", &body).await.refused_with(400, "length of value for key \"a\" is 0");
    vault.patch("metadata/old", &body).await.nothing();
    vault.get("metadata/foo").await.absent();
}

#[tokio::test]
async fn so_many_entries() {
    let (_server, vault) = Vault::start().await;
    // 14.74
    let text = format!(
        "1 error occurred:\n\t* {PREFIX}payload must contain at most 64 keys, provided 65\n\n"
    );
    vault.put("metadata/foo", json!({"custom_metadata": members(65)})).await.refused(400, &text);
    vault.get("metadata/foo").await.absent();
    vault.put("metadata/foo", json!({"custom_metadata": members(64)})).await.nothing();
    assert_eq!(vault.metadata("foo").await["custom_metadata"], members(64));
    vault.patch("metadata/foo", json!({"custom_metadata": members(65)})).await.refused(400, &text);
    // Vault looks at the patch alone, so that patches can add up to any number.
    vault
        .patch("metadata/foo", json!({"custom_metadata": {"more": "v"}}))
        .await
        .refused(400, &text);
    vault
        .patch("metadata/foo", json!({"custom_metadata": {"more": "v", "key0": null}}))
        .await
        .nothing();
    assert_eq!(vault.metadata("foo").await["custom_metadata"].as_object().map(Map::len), Some(64));
}

#[tokio::test]
async fn what_is_just_allowed() {
    let (_server, vault) = Vault::start().await;
    let custom = json!({
        "k".repeat(128): "v".repeat(512), "é".repeat(64): "é".repeat(256), "with space /:=@": "a b\"\\<&> ü 漢字 €",
    });
    vault.put("metadata/foo", json!({ "custom_metadata": custom })).await.nothing();
    assert_eq!(vault.metadata("foo").await["custom_metadata"], custom);
    // 14.75
    vault.put("metadata/foo", json!({"custom_metadata": {}})).await.nothing();
    assert_eq!(vault.metadata("foo").await["custom_metadata"], json!(null));
}

#[tokio::test]
async fn values_become_texts() {
    let (_server, vault) = Vault::start().await;
    vault
        .put("metadata/foo", json!({"custom_metadata": {"n": 1, "t": true, "f": false}}))
        .await
        .nothing();
    assert_eq!(
        vault.metadata("foo").await["custom_metadata"],
        json!({"n": "1", "t": "1", "f": "0"})
    );
    vault.write("old", json!({})).await;
    // 14.73, 14.85
    for wrong in [json!({"nested": "x"}), json!(["a"])] {
        let body = json!({"custom_metadata": {"a": wrong}});
        vault.put("metadata/bar", &body).await.refused_with(400, "got unconvertible type");
        vault.patch("metadata/old", &body).await.refused_with(400, "got unconvertible type");
    }
    vault.get("metadata/bar").await.absent();
}
