//! What the audit trail tells of the dialect: each secret by its path in the domain, however it was named.

use hyper::Method;
use serde_json::{Value, json};

use super::Uris;
use crate::{audit::record_of, harness::TestServer};

/// What a record tells besides who it was.
fn told(record: &Value) -> Value {
    json!({
        "operation": record["operation"], "effect": record["effect"], "resource": record["resource"],
        "actions": record["actions"], "version": record["version"], "also": also(record),
    })
}

/// What else it was about, without what stands for each secret.
fn also(record: &Value) -> Value {
    let mut also = record["also"].clone();
    for one in also.as_array_mut().into_iter().flatten() {
        one.as_object_mut().unwrap().remove("resource_ref");
    }
    also
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
        json!([{
            "type": "secret", "name": path, "actions": actions, "purpose": "read", "effect": "permit",
            "version": version,
        }])
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
        let announced = self::also(intent);
        assert_eq!((&intent["resource"], &announced), (&json!(path), &expected["also"]));
    }
    // Of several operations each is told with what has become of it.
    let bulk = uris
        .ask(r#"POST bulk {"operations":[{"op":"set","uri":"U f","value":{}},{"op":"delete","uri":"U nope"},{"op":"delete","uri":"U f"}]}"#)
        .await;
    bulk.ok();
    let record = record_of(&server, &bulk);
    let told: Vec<_> =
        record["also"].as_array().unwrap().iter().map(|it| (&it["name"], &it["status"])).collect();
    let (f, nope) = (json!("f"), json!("nope"));
    assert_eq!(told, [(&f, &Value::Null), (&nope, &json!(404)), (&f, &Value::Null)], "{record}");
    assert_eq!(record["changes"].as_array().unwrap().len(), 2);
}

/// What stands for a secret in a record.
fn reference(record: &Value) -> String {
    let reference = record["resource_ref"].as_str().unwrap_or_else(|| panic!("{record}"));
    let is_plain =
        reference.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    assert!(reference.len() == 43 && is_plain, "{record}");
    reference.to_owned()
}

/// 22, 121: whatever a secret is called by, in whichever dialect, the same stands for it; for a part of it, for another
/// one and for that of another domain something else does; and a start changes none of it.
#[tokio::test]
async fn one_thing_stands_for_a_secret() {
    let (mut server, uris) = Uris::start().await;
    let whole = async |server: &TestServer, uris: &Uris| {
        let mut all = Vec::new();
        for case in [
            "GET value U a",
            "GET value OKMS+KV2://ibmcloud/kv/a",
            "GET versions U a",
            "GET value U a&version=1",
        ] {
            all.push(reference(&record_of(server, &uris.ask(case).await)));
        }
        let native = uris.client.get("secret/a?includeData=true").await;
        let kv = uris.kv(Method::GET, "secret/data/a", "").await;
        let paths = uris.client.call(Method::GET, "/v1/secrets/a", "").await;
        all.extend([native, kv, paths].map(|answer| reference(&record_of(server, &answer))));
        all.dedup();
        let [one] = &all[..] else { panic!("{all:?}") };
        one.clone()
    };
    uris.versions("a", &[r#"{"t":1}"#]).await;
    uris.versions("b", &[r#"{"t":1}"#]).await;
    let first = whole(&server, &uris).await;
    let of = async |case: &str| reference(&record_of(&server, &uris.ask(case).await));
    let part = of("GET value U a#t").await;
    assert_eq!(of("GET value vault+kv2://ibmcloud/kv/%61#t").await, part);
    let pointer = of("GET value U a#/t").await;
    let more = [
        of("GET value U b").await,
        of("GET value U b#t").await,
        // Whether it is there or not.
        of("GET value U a#nope").await,
        part,
    ];
    let mut all = vec![first.clone(), pointer];
    all.extend(more);
    all.sort_unstable();
    let number = all.len();
    all.dedup();
    assert!(all.len() >= number - 1, "a member and a pointer to it may be one: {all:?}");
    let other = Uris { client: server.tenant().await };
    other.versions("a", &[r#"{"t":1}"#]).await;
    assert_ne!(whole(&server, &other).await, first);
    server.restart().await;
    let uris = Uris { client: server.at(&uris.client) };
    assert_eq!(whole(&server, &uris).await, first);
    // Who may not know of a domain is told nothing by what stands for its secrets.
    let id = [("x-tenant-id", &*uris.client.id)];
    let stranger = Uris { client: server.at(&other.client) };
    let refused = stranger.ask_with("GET value U a", &id).await;
    assert_eq!(record_of(&server, &refused)["resource_ref"], Value::Null);
    let url = format!("/api/{}/v2/secret/a", uris.client.id);
    let record = record_of(&server, &stranger.client.call(Method::GET, &url, "").await);
    assert_eq!((&record["resource_type"], &record["resource"]), (&json!("secret"), &json!("a")));
    assert_eq!(record["resource_ref"], Value::Null);
}

/// Of several secrets each has its own, though it be named twice; the source of a copy, too.
#[tokio::test]
async fn each_of_several_has_its_own() {
    let (server, uris) = Uris::start().await;
    uris.versions("a", &[r#"{"t":1}"#]).await;
    let of = async |case: &str| reference(&record_of(&server, &uris.ask(case).await));
    let (whole, part) = (of("GET value U a").await, of("GET value U a#t").await);
    let bulk = uris
        .ask(r#"POST bulk {"operations":[{"op":"set","uri":"U a","value":{}},{"op":"delete","uri":"U none"},{"op":"set","uri":"okms+kv2://ibmcloud/kv/a#t","value":2},{"op":"undelete","uri":"U a","versions":[9]}]}"#)
        .await;
    let record = record_of(&server, &bulk);
    let also = record["also"].as_array().unwrap();
    let told: Vec<_> =
        also.iter().map(|one| (&one["name"], &one["effect"], &one["version"])).collect();
    let (a, none) = (json!("a"), json!("none"));
    let (permit, error) = (json!("permit"), json!("error"));
    assert_eq!(
        told,
        [
            (&a, &permit, &json!(2)),
            (&none, &error, &Value::Null),
            (&a, &permit, &json!(3)),
            (&a, &error, &Value::Null),
        ]
    );
    let refs: Vec<_> = also.iter().map(reference).collect();
    assert_eq!((&refs[0], &refs[2], &refs[3]), (&whole, &part, &whole));
    assert!(![&whole, &part].contains(&&refs[1]));
    let copy = uris.ask(r#"POST copy {"fromUri":"U a#t","toUri":"U c#t"}"#).await;
    let record = record_of(&server, &copy);
    assert_eq!(reference(&record["also"][0]), part);
    assert_eq!(reference(&record), of("GET value U c#t").await);
    // The announcement of a change has it as well.
    let (records, _) = crate::audit::trail(&server);
    let id = crate::audit::request_id(&bulk);
    let intents = records.iter().filter(|one| one["type"] == "intent" && one["request_id"] == *id);
    let intents: Vec<_> = intents.map(reference).collect();
    assert_eq!(intents, [whole, part]);
}

/// Where paths are not told, that is what stands for them.
#[tokio::test]
async fn it_is_what_stands_for_a_path() {
    let server = TestServer::start_with(|config| config.audit.paths = false).await;
    let uris = Uris { client: server.tenant().await };
    uris.versions("very/private", &[r#"{"hidden":1}"#]).await;
    let whole = record_of(&server, &uris.ask("GET value U very/private").await);
    assert_eq!(whole["resource"], format!("hash:{}", reference(&whole)));
    let part = record_of(&server, &uris.ask("GET value U very/private#hidden").await);
    assert_eq!(part["resource"], whole["resource"]);
    assert_ne!(reference(&part), reference(&whole));
    let text = std::fs::read_to_string(server.path("audit.log")).unwrap();
    assert!(!text.contains("private") && !text.contains("hidden"));
}
