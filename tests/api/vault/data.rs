//! Writing and reading values, and check-and-set.

use serde_json::{Value, json};

use super::{CAS_MISMATCH, CAS_REQUIRED, Vault, after, five};
use crate::harness::START_TEXT;

#[tokio::test]
async fn a_write_answers_with_five_keys() {
    let (server, vault) = Vault::start().await;
    vault.put("metadata/foo", json!({"custom_metadata": {"owner": "me"}})).await.nothing();
    server.clock.advance(1);
    let written = vault.write("foo", json!({"bar": "baz1"})).await;
    // 14.1, 14.2, 14.3
    let mut expected = json!({
        "created_time": after(1), "custom_metadata": {"owner": "me"}, "deletion_time": "", "destroyed": false,
        "version": 1,
    });
    assert_eq!(written, expected);
    server.clock.advance(1);
    let written = vault
        .post("data/foo", json!({"data": {"bar": "baz2"}, "options": {"cas": 1}}))
        .await
        .shown();
    // 14.4
    expected["version"] = json!(2);
    expected["created_time"] = json!(after(2));
    assert_eq!(written, expected);
    // 14.11
    assert_eq!(vault.read("foo").await, json!({"data": {"bar": "baz2"}, "metadata": expected}));
}

#[tokio::test]
async fn a_read_shows_what_was_written() {
    let (_server, vault) = Vault::start().await;
    // 14.7, 14.120
    vault.get("data/foo").await.absent();
    let data = json!({"bar": "baz", "nested": {"list": [1, null, {"x": "ü"}]}, "": false});
    vault.write("foo", data.clone()).await;
    // 14.8, 14.9, 14.10
    assert_eq!(vault.read("foo").await, json!({"data": data, "metadata": five(1)}));
    vault.write("empty", json!({})).await;
    assert_eq!(vault.read("empty").await, json!({"data": {}, "metadata": five(1)}));
}

#[tokio::test]
async fn a_version_is_chosen_by_its_number() {
    let (_server, vault) = Vault::start().await;
    for n in 1..=3 {
        vault.write("foo", json!({ "n": n })).await;
    }
    for (query, n) in [
        ("", 3),
        ("?version=", 3),
        ("?version=0", 3),
        ("?version=-1", 3),
        ("?version=1", 1),
        ("?version=2", 2),
        ("?version=3&x=y", 3),
        ("?version=0x2", 2),
    ] {
        let answer = vault.get(&format!("data/foo{query}")).await;
        let shown = &answer.envelope()["data"];
        assert_eq!(
            (&shown["data"]["n"], &shown["metadata"]["version"]),
            (&json!(n), &json!(n)),
            "{query}"
        );
    }
    for unknown in [4, 24_000, 2_000_000_000] {
        vault.get(&format!("data/foo?version={unknown}")).await.absent();
    }
    for wrong in ["one", "1.0", "1,2", "1&version=2"] {
        vault.get(&format!("data/foo?version={wrong}")).await.refused_field("version");
    }
}

/// Vault reads numbers through 64-bit floats, so that 12345678901234567890 comes back as another
/// number. Here every number and every text comes back as it was written.
#[tokio::test]
async fn values_come_back_byte_for_byte() {
    let (_server, vault) = Vault::start().await;
    let numbers = r#""big":12345678901234567890,"one":1.0,"huge":1e308,"tiny":-0.10E-0400,"odd":9007199254740993"#;
    let data = format!(r#"{{{numbers},"html":"<&>\u003c\/\u00e9é"}}"#);
    vault.put("data/foo", format!(r#"{{"data":{data}}}"#)).await.shown();
    let read = vault.get("data/foo").await;
    assert_eq!(read.status, 200);
    assert!(read.text().contains(&data), "{}", read.text());
    assert_eq!(vault.client.get("secret/foo?includeData=true").await.data().unwrap(), data);
    // A patch leaves alone what it does not name.
    assert_eq!(vault.patch("data/foo", r#"{"data":{"more":2.50}}"#).await.status, 200);
    let patched = vault.get("data/foo").await;
    for kept in data.trim_matches(['{', '}']).split(',').chain([r#""more":2.50"#]) {
        assert!(patched.text().contains(kept), "{kept}: {}", patched.text());
    }
}

#[tokio::test]
async fn data_must_be_an_object() {
    let (_server, vault) = Vault::start().await;
    for body in [
        "",
        "null",
        "{}",
        r#"{"data":null}"#,
        r#"{"data":[]}"#,
        r#"{"options":{"cas":0}}"#,
        r#"{"Data":{}}"#,
    ] {
        vault.put("data/foo", body).await.refused(400, "no data provided");
    }
    for wrong in ["\"text\"", "1", "true", "[1]", "[\"a\"]"] {
        vault.put("data/foo", format!(r#"{{"data":{wrong}}}"#)).await.refused_field("data");
    }
    for wrong in ["\"text\"", "1", "true"] {
        vault
            .put("data/foo", format!(r#"{{"data":{{}},"options":{wrong}}}"#))
            .await
            .refused_field("options");
    }
    vault.get("metadata/foo").await.absent();
    vault.put("data/foo", r#"{"data":{},"options":null}"#).await.shown();
}

#[tokio::test]
async fn a_write_may_expect_a_version() {
    let (_server, vault) = Vault::start().await;
    let write = async |path: &str, cas: Value| {
        vault
            .put(&format!("data/{path}"), json!({"data": {}, "options": {"cas": cas, "other": 1}}))
            .await
    };
    write("foo", json!(1)).await.refused(400, CAS_MISMATCH);
    vault.get("metadata/foo").await.absent();
    // 14.5, 14.123
    assert_eq!(write("foo", json!(0)).await.shown()["version"], 1);
    // 14.6
    write("foo", json!(0)).await.refused(400, CAS_MISMATCH);
    assert_eq!(write("foo", json!("1")).await.shown()["version"], 2);
    for wrong in [json!(1), json!("1"), json!(3), json!(-1), json!(-2)] {
        write("foo", wrong).await.refused(400, CAS_MISMATCH);
    }
    for wrong in [json!("one"), json!([2]), json!({}), json!(2.5)] {
        write("foo", wrong).await.refused(400, "error parsing check-and-set parameter");
    }
    // A secret that has nothing but metadata has no version, which is number 0.
    vault.put("metadata/bare", json!({"max_versions": 5})).await.nothing();
    write("bare", json!(1)).await.refused(400, CAS_MISMATCH);
    assert_eq!(write("bare", json!(0)).await.shown()["version"], 1);
    assert_eq!(vault.metadata("foo").await["current_version"], 2);
}

#[tokio::test]
async fn a_write_must_expect_a_version_where_that_is_required() {
    let (_server, vault) = Vault::start().await;
    vault.put("metadata/key", json!({"cas_required": true})).await.nothing();
    // 14.64
    vault.put("data/key", json!({"data": {}})).await.refused(400, CAS_REQUIRED);
    vault.put("data/key", json!({"data": {}, "options": {}})).await.refused(400, CAS_REQUIRED);
    vault.write("free", json!({})).await;
    vault.put("config", json!({"cas_required": true})).await.nothing();
    vault.put("metadata/free", json!({"max_versions": 3})).await.nothing();
    vault.put("data/free", json!({"data": {}})).await.refused(400, CAS_REQUIRED);
    vault.put("data/new", json!({"data": {}})).await.refused(400, CAS_REQUIRED);
    assert_eq!(
        vault.put("data/new", json!({"data": {}, "options": {"cas": 0}})).await.shown()["version"],
        1
    );
    vault.put("config", json!({"cas_required": false})).await.nothing();
    vault.put("data/key", json!({"data": {}})).await.refused(400, CAS_REQUIRED);
    assert_eq!(vault.write("free", json!({})).await["version"], 2);
}

/// The numbering goes on over a version that was deleted or destroyed, and nothing must be
/// undeleted for that.
#[tokio::test]
async fn a_write_over_a_dead_version() {
    let (_server, vault) = Vault::start().await;
    for (path, end) in [("deleted", "delete"), ("destroyed", "destroy")] {
        vault.write(path, json!({"n": 1})).await;
        vault.put(&format!("{end}/{path}"), json!({"versions": [1]})).await.nothing();
        let again = json!({"data": {"n": 2}, "options": {"cas": 0}});
        vault.put(&format!("data/{path}"), again).await.refused(400, CAS_MISMATCH);
        assert_eq!(vault.write(path, json!({"n": 2})).await["version"], 2);
        assert_eq!(vault.read(path).await["data"], json!({"n": 2}));
        vault.get(&format!("data/{path}?version=1")).await.gone();
    }
    vault.write("same", json!({"n": 1})).await;
    assert_eq!(vault.write("same", json!({"n": 1})).await["version"], 2);
}

/// Ten secrets outlive the process that wrote them.
#[tokio::test]
async fn a_restart_keeps_everything() {
    let (mut server, vault) = Vault::start().await;
    for n in 0..10 {
        vault.write(&format!("foo/{n}"), json!({ "n": n })).await;
    }
    vault
        .put(
            "metadata/foo/0",
            json!({"metadata_cas_required": true, "custom_metadata": {"a": "b"}}),
        )
        .await
        .nothing();
    server.restart().await;
    let vault = Vault { client: server.at(&vault.client), ..vault };
    // 14.18
    for n in 0..10 {
        assert_eq!(vault.read(&format!("foo/{n}")).await["data"], json!({ "n": n }));
    }
    let metadata = vault.metadata("foo/0").await;
    assert_eq!(metadata["custom_metadata"], json!({"a": "b"}));
    assert_eq!(metadata["metadata_cas_required"], true);
    assert_eq!(metadata["created_time"], START_TEXT);
}

/// A body is no heavier on the server than it looks.
#[tokio::test]
async fn deep_and_wide_values() {
    let (_server, vault) = Vault::start().await;
    let nested = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let deep = nested(90);
    assert_eq!(vault.put("data/deep", format!(r#"{{"data":{deep}}}"#)).await.status, 200);
    assert!(vault.get("data/deep").await.text().contains(&deep));
    for levels in [120, 20_000] {
        vault
            .put("data/too-deep", format!(r#"{{"data":{}}}"#, nested(levels)))
            .await
            .refused_with(400, "");
        vault
            .patch("data/deep", format!(r#"{{"data":{}}}"#, nested(levels)))
            .await
            .refused_with(400, "");
    }
    let wide = |count: usize| format!(r#"{{"data":{{"a":[{}0]}}}}"#, "0,".repeat(count));
    vault.put("data/wide", wide(60_000)).await.shown();
    vault.put("data/too-wide", wide(70_000)).await.refused_with(400, "");
    vault.get("data/too-deep").await.absent();
    vault.get("data/too-wide").await.absent();
}

/// A cas of null is one of 0, as the weak types have it: it makes a secret, and is refused on one
/// that is there.
#[tokio::test]
async fn a_cas_of_null_is_zero() {
    let (_server, vault) = Vault::start().await;
    let body = json!({"data": {}, "options": {"cas": null}});
    vault.put("data/foo", &body).await.shown();
    vault
        .put("data/foo", &body)
        .await
        .refused(400, "check-and-set parameter did not match the current version");
}
