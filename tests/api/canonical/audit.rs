//! What the audit trail tells of the dialect: each secret by its path in the domain, however it was named.

use serde_json::{Value, json};

use super::Uris;
use crate::audit::record_of;

/// What a record tells besides who it was.
fn told(record: &Value) -> Value {
    json!({
        "operation": record["operation"], "effect": record["effect"], "resource": record["resource"],
        "actions": record["actions"], "version": record["version"], "also": record["also"],
    })
}

#[tokio::test]
async fn records_tell_of_each_secret() {
    let (server, uris) = Uris::start().await;
    uris.versions("a", &[r#"{"t":1}"#, r#"{"t":2,"k":1}"#]).await;
    let action = |name: &str| format!("okms:apikms:secret/{name}");
    let one = |operation: &str, path: &str, actions: &[&str], version: Value| {
        let actions: Vec<_> = actions.iter().map(|name| action(name)).collect();
        json!({
            "operation": operation, "effect": "permit", "resource": path, "actions": actions,
            "version": version, "also": null,
        })
    };
    let also = |path: &str, actions: &[&str], version: u32| {
        let actions: Vec<_> = actions.iter().map(|name| action(name)).collect();
        json!([{"type": "secret", "name": path, "actions": actions, "effect": "permit", "version": version}])
    };
    // 22: whatever it is called by, it is the same.
    for case in ["GET value U a", "GET value OKMS+KV2://ibmcloud/kv/a#t"] {
        let read = uris.ask(case).await;
        assert_eq!(
            told(&record_of(&server, &read)),
            one("UriReadValue", "a", &["version/getData"], json!(2)),
            "{case}"
        );
    }
    let written = uris.ask(r#"POST {"uri":"U b#t","value":1}"#).await;
    let writes = ["version/create", "create"];
    assert_eq!(told(&record_of(&server, &written)), one("UriWriteSecret", "b", &writes, json!(1)));
    // Both secrets of a copy and of a move, with the actions on each.
    for (case, operation, path, version, of_source) in [
        (
            r#"POST copy {"fromUri":"U a","toUri":"U c"}"#,
            "UriCopySecret",
            "c",
            1,
            &["version/getData"][..],
        ),
        (
            r#"POST move {"fromUri":"U a#k","toUri":"U d#k"}"#,
            "UriMoveSecret",
            "d",
            1,
            &["version/getData", "version/create"],
        ),
        (
            r#"POST move {"fromUri":"U a","toUri":"U e"}"#,
            "UriMoveSecret",
            "e",
            1,
            &["version/getData", "version/deactivateCurrent"],
        ),
    ] {
        let answer = uris.ask(case).await;
        let from = u32::try_from(answer.ok()["from_version"].as_u64().unwrap()).unwrap();
        let mut expected = one(operation, path, &writes, json!(version));
        expected["also"] = also("a", of_source, from);
        let record = record_of(&server, &answer);
        assert_eq!(told(&record), expected, "{case}");
        // As it was announced, in one change.
        let changes = record["changes"].as_array().unwrap();
        assert_eq!(changes.len(), 1);
        let records = crate::audit::trail(&server).0;
        let intent = records.iter().find(|it| it["seq"] == changes[0]["intent"]).unwrap();
        assert_eq!((&intent["resource"], &intent["also"]), (&json!(path), &expected["also"]));
    }
    // Of several operations each is told with what has become of it.
    let bulk = uris
        .ask(r#"POST bulk {"operations":[{"op":"set","uri":"U f","value":{}},{"op":"delete","uri":"U nope"},{"op":"delete","uri":"U f"}]}"#)
        .await;
    bulk.ok();
    let record = record_of(&server, &bulk);
    let told: Vec<_> =
        record["also"].as_array().unwrap().iter().map(|it| (&it["name"], &it["status"])).collect();
    assert_eq!(told, [(&json!("f"), &Value::Null), (&json!("nope"), &json!(404))], "{record}");
    assert_eq!(record["changes"].as_array().unwrap().len(), 2);
}
