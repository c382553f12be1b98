//! Copies and moves (cases 89 to 92, and 94; the crash suite has 93).

use hyper::Method;
use serde_json::{Value, json};

use super::Uris;
use crate::audit::record_of;

#[tokio::test]
async fn copies() {
    let (_server, uris) = Uris::start().await;
    uris.client
        .post("secret", r#"{"path":"a","metadata":{"customMetadata":{"k":"v"}},"version":{"data":{ "t" : 1 }}}"#)
        .await
        .ok();
    uris.says(&[
        // 89
        (
            r#"POST copy {"fromUri":"U a","toUri":"U b"}"#,
            r#"{"fromUri":"U a","toUri":"U b","from_version":1,"version":1,"created":true}"#,
        ),
        (r#"POST copy {"fromUri":"U a","toUri":"U b"}"#, "409 DESTINATION_EXISTS"),
        (
            r#"POST copy {"fromUri":"U a","toUri":"U b","overwrite":true}"#,
            r#"{"fromUri":"U a","toUri":"U b","from_version":1,"version":2,"created":false}"#,
        ),
    ])
    .await;
    assert_eq!(uris.ask("GET value U b").await.text(), r#"{ "t" : 1 }"#);
    let native = uris.client.get("secret/b").await.ok();
    assert_eq!(native["metadata"]["customMetadata"], json!({}));
    uris.versions("a", &[r#"{"t":1}"#, r#"{"t":2,"o":{"x":1}}"#]).await;
    uris.versions("b", &[r#"{"m":1}"#]).await;
    uris.says(&[
        // 90
        (r#"POST copy {"fromUri":"U a#t","toUri":"U b#k"}"#, r#"{"fromUri":"U a#t","toUri":"U b#k","from_version":2,"version":2,"created":false}"#),
        ("GET value U b", r#"{"m":1,"k":2}"#),
        (r#"POST copy {"fromUri":"U a#t","toUri":"U b#k"}"#, "409 DESTINATION_EXISTS"),
        (r#"POST copy {"fromUri":"U a?version=1","toUri":"U c"}"#, r#"{"fromUri":"U a?version=1","toUri":"U c","from_version":1,"version":1,"created":true}"#),
        ("GET value U c", r#"{"t":1}"#),
        (r#"POST copy {"fromUri":"U a#o","toUri":"U d"}"#, "200"),
        ("GET value U d", r#"{"x":1}"#),
        (r#"POST copy {"fromUri":"U a","toUri":"U d#whole"}"#, "200"),
        ("GET value U d", r#"{"x":1,"whole":{"t":2,"o":{"x":1}}}"#),
        // 91
        (r#"POST copy {"fromUri":"U a#t","toUri":"U e"}"#, "400 VALUE_NOT_OBJECT"),
        (r#"POST copy {"fromUri":"U a","toUri":"hashicorp+kv2://secret/a"}"#, "400 SAME_RESOURCE"),
        (r#"POST copy {"fromUri":"U a?version=1","toUri":"U a"}"#, "400 SAME_RESOURCE"),
        (r#"POST copy {"fromUri":"U a#t","toUri":"U a#/t"}"#, "400 SAME_RESOURCE"),
        (r#"POST copy {"fromUri":"U nope","toUri":"U e"}"#, "404 SECRET_NOT_FOUND"),
        (r#"POST copy {"fromUri":"U a#nope","toUri":"U e#x"}"#, "404 FRAGMENT_NOT_FOUND"),
        (r#"POST copy {"fromUri":"U a?version=9","toUri":"U e"}"#, "404 VERSION_NOT_FOUND"),
        (r#"POST copy {"fromUri":"U a","toUri":"U e?version=1"}"#, "400 VERSION_PIN_NOT_ALLOWED"),
        (r#"POST copy {"fromUri":"U a#t","toUri":"U b#/m/x"}"#, "400 FRAGMENT_INVALID"),
        (r#"POST copy {"fromUri":"U a"}"#, "400 MISSING_FIELD"),
        (r#"POST copy {"fromUri":"U a","toUri":"U e","overwrite":1}"#, "400 INVALID_FIELD"),
        (r#"POST copy {"fromUri":"U a","toUri":"U e","histroy":true}"#, "400 UNKNOWN_FIELD"),
        (r#"POST copy {"fromUri":"U a","toUri":"U e","history":1}"#, "400 INVALID_FIELD"),
        ("GET metadata/detail U e", "404 SECRET_NOT_FOUND"),
        // What cannot be read does not stand in the way, and is not copied.
        ("DELETE U c", "200"),
        (r#"POST copy {"fromUri":"U c","toUri":"U e"}"#, "404 SECRET_NOT_FOUND"),
        (r#"POST copy {"fromUri":"U c?version=1","toUri":"U e"}"#, "409 VERSION_DELETED"),
        (r#"POST copy {"fromUri":"U a","toUri":"U c"}"#, r#"{"fromUri":"U a","toUri":"U c","from_version":2,"version":2,"created":false}"#),
        (r#"POST destroy-versions {"uri":"U a","versions":[1]}"#, "200"),
        (r#"POST copy {"fromUri":"U a?version=1","toUri":"U e"}"#, "409 VERSION_DESTROYED"),
    ])
    .await;
}

#[tokio::test]
async fn moves() {
    let (_server, uris) = Uris::start().await;
    uris.versions("a", &["{}", r#"{"t":1}"#]).await;
    uris.says(&[
        // 92
        (
            r#"POST move {"fromUri":"U a","toUri":"U b"}"#,
            r#"{"fromUri":"U a","toUri":"U b","from_version":2,"version":1,"created":true,"source_deleted":true}"#,
        ),
        ("GET value U b", r#"{"t":1}"#),
        ("GET value U a", "404 SECRET_NOT_FOUND"),
        ("GET value U a&version=2", "409 VERSION_DELETED"),
        ("GET value U a&version=1", "{}"),
        (r#"POST move {"fromUri":"U a","toUri":"U c"}"#, "404 SECRET_NOT_FOUND"),
        (r#"POST undelete {"uri":"U a","versions":[2]}"#, "200"),
        ("GET value U a", r#"{"t":1}"#),
        (r#"POST move {"fromUri":"U a?version=1","toUri":"U c"}"#, "400 VERSION_PIN_NOT_ALLOWED"),
        (r#"POST move {"fromUri":"U a","toUri":"U b"}"#, "409 DESTINATION_EXISTS"),
        ("GET value U a", r#"{"t":1}"#),
        (r#"POST move {"fromUri":"U a","toUri":"U b","overwrite":true}"#, "200"),
    ])
    .await;
    // A part of a value, and the last one of it.
    uris.versions("a", &[r#"{"t":1,"k":2}"#]).await;
    uris.says(&[
        (r#"POST move {"fromUri":"U a#t","toUri":"U c#t"}"#, "200"),
        ("GET value U a", r#"{"k":2}"#),
        ("GET value U a&version=1", r#"{"t":1,"k":2}"#),
        (r#"POST move {"fromUri":"U a#k","toUri":"U c#k"}"#, "200"),
        ("GET value U a", "404 SECRET_NOT_FOUND"),
        ("GET value U a&version=3", "404 VERSION_NOT_FOUND"),
        ("GET value U c", r#"{"t":1,"k":2}"#),
    ])
    .await;
}

/// Within one secret it is one write, in which what goes is gone from where it was and nothing else is.
#[tokio::test]
async fn moves_within_a_secret() {
    let (_server, uris) = Uris::start().await;
    let mut faults = Vec::new();
    for (before, from, to, overwrite, after) in [
        (r#"{"t":1,"k":2}"#, "a#t", "a#u", false, Ok(r#"{"k":2,"u":1}"#)),
        (r#"{"t":1}"#, "a#t", "a#u", false, Ok(r#"{"u":1}"#)),
        (r#"{"t":1,"k":2}"#, "a#t", "a#k", false, Err("409 DESTINATION_EXISTS")),
        (r#"{"t":1,"k":2}"#, "a#t", "a#k", true, Ok(r#"{"k":1}"#)),
        // Into itself, and out of itself.
        (r#"{"k":{"v":1},"o":1}"#, "a#k", "a#/k/sub", false, Ok(r#"{"o":1,"k":{"sub":{"v":1}}}"#)),
        (r#"{"k":{"v":1}}"#, "a#k", "a#/k/sub", false, Ok(r#"{"k":{"sub":{"v":1}}}"#)),
        (r#"{"k":{"v":{"w":1},"x":2}}"#, "a#/k/v", "a#k", true, Ok(r#"{"k":{"w":1}}"#)),
        // The whole into a part, and a part in the place of the whole.
        (r#"{"t":1}"#, "a", "a#k", false, Ok(r#"{"k":{"t":1}}"#)),
        (r#"{"k":{"k":1,"x":2},"o":1}"#, "a#k", "a", true, Ok(r#"{"k":1,"x":2}"#)),
        (r#"{"k":{"k":1,"x":2},"o":1}"#, "a#k", "a", false, Err("409 DESTINATION_EXISTS")),
        (r#"{"l":[1]}"#, "a#/l/0", "a#k", false, Err("400 FRAGMENT_INVALID")),
        (r#"{"t":1}"#, "a#nope", "a#k", false, Err("404 FRAGMENT_NOT_FOUND")),
    ] {
        uris.versions("a", &[before]).await;
        let case = format!(
            r#"POST move {{"fromUri":"U {from}","toUri":"U {to}","overwrite":{overwrite}}}"#
        );
        let answer = uris.ask(&case).await;
        let now = uris.ask("GET value U a").await;
        let (told, version) = (answer.json(), &now.headers["x-secret-version"]);
        match after {
            Ok(after) if now.text() == after && version == "2" && told["from_version"] == 1 => {}
            Err(code)
                if now.text() == before
                    && code
                        == format!(
                            "{} {}",
                            answer.status.as_u16(),
                            told["code"].as_str().unwrap_or_default()
                        ) => {}
            _ => faults.push(format!("{before} {case}: {} {told}", now.text())),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // Copies leave all where it is.
    uris.versions("a", &[r#"{"t":1}"#, r#"{"t":2}"#]).await;
    uris.says(&[
        (r#"POST copy {"fromUri":"U a#t?version=1","toUri":"U a#old"}"#, r#"{"fromUri":"U a#t?version=1","toUri":"U a#old","from_version":1,"version":3,"created":false}"#),
        ("GET value U a", r#"{"t":2,"old":1}"#),
        (r#"POST copy {"fromUri":"U a","toUri":"U a#whole"}"#, "200"),
        ("GET value U a", r#"{"t":2,"old":1,"whole":{"t":2,"old":1}}"#),
    ])
    .await;
}

/// Beyond the reference: with `history` all of it goes, of a secret or of a folder, and without nothing is otherwise.
#[tokio::test]
async fn history_goes_along() {
    let (server, uris) = Uris::start().await;
    let history = async |path: &str| {
        let mut told = uris.told(&format!("GET versions U {path}")).await;
        told.as_object_mut().unwrap().remove("uri");
        let owner = uris.told(&format!("GET metadata/detail U {path}")).await;
        (told, owner["custom_metadata"].clone())
    };
    uris.versions("app/a", &[r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#]).await;
    uris.versions("app/b/c", &["{}"]).await;
    uris.says(&[
        (r#"POST metadata/owner {"uri":"U app/a","owner":"team:x"}"#, "200"),
        (r#"POST destroy-versions {"uri":"U app/a","versions":[2]}"#, "200"),
    ])
    .await;
    let before = history("app/a").await;
    uris.says(&[
        (
            r#"POST copy {"fromUri":"U app/","toUri":"U shop/","history":true}"#,
            r#"{"fromUri":"U app/","toUri":"U shop/","secrets":2,"versions":4}"#,
        ),
        ("GET value U app/a", r#"{"n":3}"#),
        ("GET value U shop/a&version=1", r#"{"n":1}"#),
        ("GET value U shop/a&version=2", "409 VERSION_DESTROYED"),
        (r#"POST copy {"fromUri":"U app/","toUri":"U shop/","history":true}"#, "409 DESTINATION_EXISTS"),
        (
            r#"POST move {"fromUri":"HASHICORP+kv2://ibmcloud/kv/app/a","toUri":"U x","history":true}"#,
            r#"{"fromUri":"hashicorp+kv2://ibmcloud/kv/app/a","toUri":"U x","secrets":1,"versions":3,"source_deleted":true}"#,
        ),
        ("GET value U app/a", "404 SECRET_NOT_FOUND"),
        ("GET value U app/a&version=1", "404 SECRET_NOT_FOUND"),
        ("GET value U x&version=1", r#"{"n":1}"#),
    ])
    .await;
    assert_eq!(history("shop/a").await, before);
    assert_eq!(history("x").await, before, "its owner and who has made it, too");
    // What is there gives way as a whole, and is said to.
    uris.says(&[
        (r#"POST move {"fromUri":"U x","toUri":"U shop/a","history":true}"#, "409 DESTINATION_EXISTS"),
        (r#"POST {"uri":"U shop/a","value":{"n":4}}"#, "200"),
        (
            r#"POST move {"fromUri":"U x","toUri":"U shop/a","history":true,"overwrite":true}"#,
            r#"{"fromUri":"U x","toUri":"U shop/a","secrets":1,"versions":3,"source_deleted":true}"#,
        ),
        ("GET value U shop/a", r#"{"n":3}"#),
        ("GET value U shop/a&version=4", "404 VERSION_NOT_FOUND"),
        // Without it, or with false, the value alone goes.
        (
            r#"POST copy {"fromUri":"U shop/a","toUri":"U one","history":false}"#,
            r#"{"fromUri":"U shop/a","toUri":"U one","from_version":3,"version":1,"created":true}"#,
        ),
        (r#"POST copy {"fromUri":"U shop/a#n","toUri":"U y","history":true}"#, "400 FRAGMENT_NOT_ALLOWED"),
        (r#"POST copy {"fromUri":"U shop/#n","toUri":"U y/","history":true}"#, "400 FRAGMENT_NOT_ALLOWED"),
        (r#"POST copy {"fromUri":"U shop/a?version=1","toUri":"U y","history":true}"#, "400 VERSION_PIN_NOT_ALLOWED"),
        (r#"POST copy {"fromUri":"U shop/a","toUri":"U y","history":true,"cas":0}"#, "400 INVALID_FIELD"),
        (r#"POST copy {"fromUri":"U shop/a","toUri":"okms+kv2://secret/shop/a","history":true}"#, "400 SAME_RESOURCE"),
        (r#"POST copy {"fromUri":"U shop/","toUri":"U shop/","history":true}"#, "400 SAME_RESOURCE"),
        (r#"POST copy {"fromUri":"U shop/","toUri":"U shop/in/","history":true}"#, "400 INVALID_FIELD"),
        (r#"POST copy {"fromUri":"U shop/","toUri":"U y","history":true}"#, "400 INVALID_FIELD"),
        (r#"POST copy {"fromUri":"U ","toUri":"U y/","history":true}"#, "400 INVALID_FIELD"),
        (r#"POST copy {"fromUri":"U shop//","toUri":"U y/","history":true}"#, "400 ILLEGAL_SEGMENT"),
        (r#"POST copy {"fromUri":"U */","toUri":"U y/","history":true}"#, "400 INVALID_WILDCARD"),
        (r#"POST copy {"fromUri":"openbao+kv2://nope/a/","toUri":"U y/","history":true}"#, "400 TENANT_MOUNT_MISMATCH"),
        (r#"POST copy {"fromUri":"yaml://secret/a","toUri":"U y","history":true}"#, "501 PROVIDER_NOT_SUPPORTED"),
        (r#"POST move {"fromUri":"U none","toUri":"U y","history":true}"#, "404 SECRET_NOT_FOUND"),
        (r#"POST move {"fromUri":"U none/","toUri":"U y/","history":true}"#, "404 SECRET_NOT_FOUND"),
    ])
    .await;
    // Through a mount it is what that shows.
    let mounted = uris.kv(Method::POST, "sys/mounts/team", r#"{"type":"kv-v2"}"#).await;
    assert_eq!(mounted.status, 204);
    uris.says(&[(
        r#"POST move {"fromUri":"U shop/","toUri":"openbao+kv2://team/of/","history":true}"#,
        r#"{"fromUri":"U shop/","toUri":"openbao+kv2://team/of/","secrets":2,"versions":4,"source_deleted":true}"#,
    )])
    .await;
    assert_eq!(history("team/of/a").await, before);
    // Who looks at the trail finds both ends of it.
    let answer = uris
        .ask(r#"POST move {"fromUri":"openbao+kv2://team/of/a","toUri":"U back","history":true}"#)
        .await;
    answer.ok();
    let record = record_of(&server, &answer);
    let ends: Vec<_> =
        record["also"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(
        (&record["operation"], &record["resource"], ends),
        (&json!("UriMoveSecret"), &json!("team/of/a"), vec![json!("back")])
    );
}

/// What is more than goes at once is refused, and nothing has gone.
#[tokio::test]
async fn history_has_its_size() {
    let (_server, uris) = Uris::start().await;
    let large = json!({"x": "y".repeat(500 << 10)}).to_string();
    for number in 0..17 {
        uris.client.create(&format!("large/{number}"), &large).await.ok();
    }
    uris.says(&[
        (
            r#"POST move {"fromUri":"U large/","toUri":"U other/","history":true}"#,
            "400 INVALID_FIELD",
        ),
        ("GET keys U large/16", "200"),
        ("GET keys U other/0", "404 SECRET_NOT_FOUND"),
        ("DELETE U large/16&destroy=true", "200"),
        (r#"POST move {"fromUri":"U large/","toUri":"U other/","history":true}"#, "200"),
    ])
    .await;
}

/// 94: whoever writes to the source while it is moved again and again finds each of its writes either moved, or
/// there still; and never sees both places with a value, nor neither.
#[tokio::test]
async fn no_write_is_lost_to_a_move() {
    let (_server, uris) = Uris::start().await;
    uris.client.put("secretConfig", r#"{"maxVersions":1000}"#).await.ok();
    uris.versions("a", &[r#"{"n":0}"#]).await;
    let writer = {
        let uris = uris.clone();
        tokio::spawn(async move {
            for n in 1..=60 {
                uris.ask(&format!(r#"POST {{"uri":"U a#n","value":{n}}}"#)).await.ok();
            }
        })
    };
    let mut moved = Vec::new();
    while !writer.is_finished() {
        let case = r#"POST move {"fromUri":"U a","toUri":"U b","overwrite":true}"#;
        let answer = uris.ask(case).await;
        match answer.status.as_u16() {
            200 => moved.push(answer.json()),
            404 => {}
            _ => panic!("{answer:?}"),
        }
    }
    writer.await.unwrap();
    let history = async |path: &str| {
        let versions = uris.told(&format!("GET versions U {path}")).await;
        let newest = versions["current_version"].as_u64().unwrap();
        let mut states = versions["versions"].as_array().unwrap().clone();
        states.reverse();
        (newest, states)
    };
    let (written, sources) = history("a").await;
    assert_eq!(written, 61, "each write is a version, and no move adds one there");
    // What went away did so by a move, and by one alone.
    let gone: Vec<_> = sources.iter().filter(|it| it["state"] == "deactivated").collect();
    let from: Vec<_> = moved.iter().map(|it| &it["from_version"]).collect();
    assert_eq!(gone.iter().map(|it| &it["version"]).collect::<Vec<_>>(), from);
    for told in &moved {
        let case = format!("GET value U b&version={}", told["version"]);
        let n = told["from_version"].as_u64().unwrap() - 1;
        assert_eq!(uris.told(&case).await, json!({"n": n}), "{told}");
    }
    let last = uris.ask("GET value U a").await;
    let is_moved = from.last() == Some(&&json!(61));
    assert_eq!(last.status == 404, is_moved);
    let at = if is_moved { "b" } else { "a" };
    assert_eq!(uris.told(&format!("GET value U {at}")).await, json!({"n": 60}));
    assert!(moved.len() > 1, "moves came in between: {:?}", moved.len());
    let _: Vec<Value> = moved;
}
