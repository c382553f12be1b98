//! Several operations in one request (cases 86 to 88).

use serde_json::{Value, json};

use super::{Uris, refused};

const SET_A: &str = r#"{"op":"set","uri":"U a","value":{"t":1}}"#;
const SET_B: &str = r#"{"op":"set","uri":"hashicorp+kv2://secret/b#t","value":2}"#;
const NOPE: &str = r#"{"op":"delete","uri":"U nope"}"#;

fn bulk(operations: &[&str], more: &str) -> String {
    format!(r#"POST bulk {{"operations":[{}]{more}}}"#, operations.join(","))
}

/// Of each the status, the code or what is told of its version.
fn results(told: &Value) -> Vec<(u64, Value)> {
    let results = told["results"].as_array().unwrap().iter().enumerate();
    results
        .map(|(at, result)| {
            assert_eq!(
                (&result["index"], result["ok"] == true),
                (&json!(at), result["status"] == 200)
            );
            assert_eq!(result["message"].is_string(), result["ok"] == false);
            let code = [&result["code"], &result["version"]].into_iter().find(|it| !it.is_null());
            (result["status"].as_u64().unwrap(), code.cloned().unwrap_or_default())
        })
        .collect()
}

#[tokio::test]
async fn operations_one_after_the_other() {
    let (_server, uris) = Uris::start().await;
    // 86
    let told = uris.told(&bulk(&[SET_A, NOPE, SET_B], "")).await;
    let missing = (404, json!("SECRET_NOT_FOUND"));
    assert_eq!(results(&told), [(200, json!(1)), missing.clone(), (200, json!(1))]);
    assert_eq!((&told["succeeded"], &told["failed"]), (&json!(2), &json!(1)));
    assert_eq!(
        (&told["results"][0]["op"], &told["results"][2]["uri"]),
        (&json!("set"), &json!("hashicorp+kv2://secret/b#t"))
    );
    uris.says(&[("GET value U b", r#"{"t":2}"#)]).await;
    // 87
    uris.ask("DELETE U b&destroy=true").await.ok();
    let told = uris.told(&bulk(&[SET_A, NOPE, SET_B], r#","continueOnError":false"#)).await;
    let not_done = (424, json!("NOT_EXECUTED"));
    assert_eq!(results(&told), [(200, json!(2)), missing.clone(), not_done]);
    assert_eq!((&told["succeeded"], &told["failed"]), (&json!(1), &json!(2)));
    uris.says(&[("GET value U b", "404 SECRET_NOT_FOUND")]).await;
    // Each of them, in one go; what one has done the next one sees.
    let told = uris
        .told(&bulk(
            &[
                r#"{"op":"rotate","uri":"U a#u","value":3}"#,
                r#"{"op":"delete","uri":"U a#t"}"#,
                r#"{"op":"set","uri":"U a","value":{},"cas":3}"#,
                r#"{"op":"delete","uri":"U a"}"#,
                r#"{"op":"undelete","uri":"U a","versions":[4]}"#,
                r#"{"op":"delete","uri":"U a","versions":[1,2]}"#,
                r#"{"op":"destroy","uri":"U a","versions":[1,9]}"#,
                r#"{"op":"destroy","uri":"U a","versions":[9]}"#,
                r#"{"op":"set","uri":"nowhere","value":{}}"#,
                r#"{"op":"set","uri":"U a","value":[]}"#,
                r#"{"op":"delete","uri":"U a?version=1"}"#,
                r#"{"op":"destroy","uri":"U a#t"}"#,
                r#"{"op":"destroy","uri":"U a"}"#,
                r#"{"op":"undelete","uri":"U a","versions":[4]}"#,
            ],
            "",
        ))
        .await;
    assert_eq!(
        results(&told),
        [
            (200, json!(3)),
            (200, json!(4)),
            (409, json!("VERSION_CONFLICT")),
            (200, json!(4)),
            (200, Value::Null),
            (200, Value::Null),
            (200, Value::Null),
            (404, json!("VERSION_NOT_FOUND")),
            (400, json!("ILLEGAL_SEGMENT")),
            (400, json!("VALUE_NOT_OBJECT")),
            (400, json!("VERSION_PIN_NOT_ALLOWED")),
            (400, json!("FRAGMENT_NOT_ALLOWED")),
            (200, Value::Null),
            missing,
        ]
    );
}

/// 88
#[tokio::test]
async fn what_is_malformed_is_refused_before_anything_is_done() {
    let (_server, uris) = Uris::start().await;
    for (wrong, code) in [
        (r#"{"op":"zap","uri":"U b"}"#, "INVALID_FIELD"),
        (r#"{"op":7,"uri":"U b"}"#, "INVALID_FIELD"),
        (r#"{"uri":"U b"}"#, "MISSING_FIELD"),
        (r#"{"op":"set","uri":"U b"}"#, "MISSING_FIELD"),
        (r#"{"op":"delete"}"#, "MISSING_FIELD"),
        (r#"{"op":"undelete","uri":"U b"}"#, "VERSIONS_REQUIRED"),
        (r#"{"op":"destroy","uri":"U b","versions":[]}"#, "VERSIONS_REQUIRED"),
        (r#"{"op":"delete","uri":"U b","value":{}}"#, "UNKNOWN_FIELD"),
        ("7", "INVALID_FIELD"),
    ] {
        let answer = uris.ask(&bulk(&[SET_A, wrong], "")).await;
        assert_eq!(refused(&answer, 400, code), json!({"index": 1}), "{wrong}");
    }
    let many = vec![SET_A; 101];
    uris.says(&[
        (&bulk(&many, ""), "400 INVALID_FIELD"),
        (&bulk(&[], ""), "400 INVALID_FIELD"),
        (r#"POST bulk {"operations":7}"#, "400 INVALID_FIELD"),
        ("POST bulk {}", "400 MISSING_FIELD"),
        (&bulk(&[SET_A], r#","continueOnError":1"#), "400 INVALID_FIELD"),
        (&bulk(&[SET_A], r#","atomic":true"#), "400 UNKNOWN_FIELD"),
        ("GET value U a", "404 SECRET_NOT_FOUND"),
        (&bulk(&many[..100], ""), "200"),
        ("GET value U a&version=100", r#"{"t":1}"#),
    ])
    .await;
}
