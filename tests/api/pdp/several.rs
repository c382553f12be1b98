//! What one request does to several secrets, or tells of several: each is judged by itself.

use super::*;
use crate::access::Domain;

const ALL: &str = "openbao+kv2://secret/";

/// Whatever purpose is meant, nothing of a folder is permitted.
fn hides(folder: &'static str) -> impl Fn(&Value) -> Value + Send + Sync + 'static {
    move |asked| {
        let id = asked["resource"]["id"].as_str().unwrap();
        let is_hidden =
            asked["resource"]["type"] == "secret" && id.starts_with(&format!("{ALL}{folder}"));
        if is_hidden { denies("hidden") } else { json!({"decision": true}) }
    }
}

/// A folder that may be moved was moved with all that was in it: a secret that must not be read could be read at
/// its new place, and one that must not be deleted was gone.
#[tokio::test]
async fn a_folder_takes_nothing_along_that_may_not_go() {
    let pdp = Pdp::start().await;
    let (server, client) = pdp.server(|_| {}).await;
    // What was denied to one is denied to it for a moment.
    let other = server.client_of(&client.id, crate::harness::Http::One);
    for path in ["app/a", "app/team/b", "there/x"] {
        client.create(path, r#"{"t":1}"#).await.ok();
    }
    pdp.judges(hides("app/team/"));
    for (operation, body) in [
        ("copy", json!({"from": "app/", "to": "mine/"})),
        ("move", json!({"from": "app/", "to": "mine/"})),
        // Into what must not be written.
        ("copy", json!({"from": "there/", "to": "app/team/"})),
    ] {
        let url = format!("/api/{}/v2/{operation}", client.id);
        let answer = client.call(Method::POST, &url, &body.to_string()).await;
        is_denied(&answer);
    }
    pdp.judges(|_| json!({"decision": true}));
    for (path, is_there) in
        [("app/a", true), ("app/team/b", true), ("mine/a", false), ("app/team/x", false)]
    {
        let status = other.get(&format!("secret/{}", path.replace('/', "%2F"))).await.status;
        assert_eq!(status.is_success(), is_there, "{path}");
    }
    pdp.had();
    let url = format!("/api/{}/v2/move", client.id);
    let body = json!({"from": "app/", "to": "mine/"}).to_string();
    other.call(Method::POST, &url, &body).await.ok();
    let mut asked = pdp.asked();
    asked.retain(|asked| asked.contains(" secret "));
    asked.sort();
    let one = |purpose: &str, path: &str| format!("{purpose} secret {ALL}{path}");
    assert_eq!(
        asked,
        [
            one("destroy_versions", "app/a"),
            one("destroy_versions", "app/team/b"),
            one("read", "app/a"),
            one("read", "app/team/b"),
            one("write", "mine/a"),
            one("write", "mine/team/b"),
        ]
    );
}

/// Those who take fifty questions at once, as Cerbos does, were asked a hundred and more: no such request was answered, and
/// whoever followed events came past none of such a page any more.
#[tokio::test]
async fn many_are_asked_by_fifties() {
    let pdp = Pdp::start().await;
    let (_server, client) = pdp.server(|_| {}).await;
    let names: Vec<_> = (0..120).map(|number| format!("many/{number:03}")).collect();
    client.create_all(&names).await;
    let sizes = || {
        let of = |had: &Had| had.evaluations().len();
        let sizes: Vec<_> = pdp.had().iter().map(of).collect();
        assert!(sizes.iter().all(|size| *size <= 50), "{sizes:?}");
        sizes.iter().sum::<usize>()
    };
    sizes();
    let at = |rest: &str| format!("/api/{}/v2/{rest}", client.id);
    let page =
        client.call(Method::GET, &at("events?since=first&limit=1000&prefix=many/"), "").await.ok();
    assert_eq!(page["events"].as_array().unwrap().len(), 120);
    assert_eq!(sizes(), 121, "each, and the prefix");
    let set = |name: &String| json!({"op": "set", "uri": format!("{ALL}{name}"), "value": {}});
    let operations: Vec<_> = names[..100].iter().map(set).collect();
    let body = json!({ "operations": operations }).to_string();
    let told = client.call(Method::POST, "/api/secrets/bulk", &body).await.ok();
    assert_eq!((&told["succeeded"], sizes()), (&json!(100), 100), "{told}");
    let body = json!({ "paths": names[..100] }).to_string();
    let told = client.call(Method::POST, "/v1/secrets/batch", &body).await.ok();
    assert_eq!((told["secrets"].as_object().unwrap().len(), sizes()), (100, 100), "{told}");
    let body = json!({"from": "many/", "to": "more/"}).to_string();
    let told = client.call(Method::POST, &at("copy"), &body).await.ok();
    assert_eq!(told["secrets"], 120, "{told}");
    assert!(sizes() > 240);
}

/// Events were told of every secret below a prefix that may be looked at.
#[tokio::test]
async fn events_are_told_of_what_may_be_seen() {
    let pdp = Pdp::start().await;
    let (_server, client) = pdp.server(|_| {}).await;
    for path in ["ev/seen", "ev/hidden/a", "ev/seen2"] {
        client.create(path, r#"{"t":1}"#).await.ok();
    }
    pdp.judges(hides("ev/hidden/"));
    let url = format!("/api/{}/v2/events?since=first&prefix=ev/", client.id);
    let page = client.call(Method::GET, &url, "").await.ok();
    let told: Vec<_> = page["events"].as_array().unwrap().iter().map(|it| &it["path"]).collect();
    assert_eq!(told, ["ev/seen", "ev/seen2"], "{page}");
}

/// Whoever may not rotate any of a policy's secrets was told which they are, and could have the server do it.
#[tokio::test]
async fn a_rotation_policy_tells_and_does_nothing_beyond_what_is_judged() {
    let pdp = Pdp::start().await;
    let (_server, client) = pdp.server(|_| {}).await;
    let ask = async |method: Method, rest: &str, body: Value| {
        client.call(method, &format!("/v1/{rest}"), &body.to_string()).await
    };
    let policy = json!({"name": "pol", "interval": "1d", "auto_generate": true});
    assert_eq!(ask(Method::POST, "rotation/policies", policy).await.status, 201);
    for path in ["hid/one", "hid/two", "app/three"] {
        let body = json!({"data": {"key": "k"}, "options": {"rotation_policy_id": "rot_pol"}});
        assert_eq!(ask(Method::PUT, &format!("secrets/{path}"), body).await.status, 201);
    }
    pdp.judges(hides("hid/"));
    let told = ask(Method::POST, "rotation/policies/rot_pol/rotate", json!({})).await.ok();
    let paths: Vec<_> = told.as_array().unwrap().iter().map(|it| &it["secret_path"]).collect();
    assert_eq!(paths, ["app/three"], "{told}");
    // Who names one knows its name.
    let named = json!({"secret_paths": ["hid/one"]});
    let told = ask(Method::POST, "rotation/policies/rot_pol/rotate", named).await.ok();
    assert_eq!(told[0]["status"], "failed", "{told}");
    pdp.judges(|asked| {
        if asked["action"]["name"] == "rotate" { denies("no") } else { json!({"decision": true}) }
    });
    for (method, rest, body) in [
        (Method::PATCH, "rotation/policies/rot_pol", json!({"interval": "1h"})),
        (Method::POST, "rotation/policies/rot_pol/disable", Value::Null),
        (Method::POST, "rotation/policies/rot_pol/enable", Value::Null),
    ] {
        is_denied(&ask(method, rest, body).await);
    }
}

/// What was permitted for a while was permitted for all that has the same purpose, though its name was told.
#[tokio::test]
async fn a_decision_counts_for_what_was_told_of_it() {
    let pdp = Pdp::start().await;
    let (_server, client) = pdp.server(|_| {}).await;
    client.create("a", r#"{"t":1}"#).await.ok();
    pdp.judges(|_| json!({"decision": true, "context": {"obligations": [{"id": "ttl_seconds", "value": 60}]}}));
    let kv = |rest: &str| format!("/api/{}/v1/secret/{rest}", client.id);
    let metadata = json!({"custom_metadata": {"a": "b"}}).to_string();
    let answer = client.call(Method::POST, &kv("metadata/a"), &metadata).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    let answer = client.call(Method::PUT, &kv("destroy/a"), r#"{"versions":[9]}"#).await;
    assert!(answer.status.is_success(), "{answer:?}");
    pdp.judges(|_| denies("no"));
    is_denied(&client.call(Method::POST, &kv("data/a"), r#"{"data":{"t":2}}"#).await);
    is_denied(&client.delete("secret/a").await);
}

/// An owner was given where the first of two ways to write was refused by the domain's policies: what had been asked
/// before was forgotten.
#[tokio::test]
async fn what_was_asked_stays_asked_whatever_is_refused() {
    let pdp = Pdp::start().await;
    let (server, admin) = pdp.server(|_| {}).await;
    let domain = Domain { server, admin };
    let may = json!({"allow": ["secret/create", "secret/updateMetadata", "secret/get", "secret/version/getData"]});
    domain.rule("svc", &[]).await;
    domain.policy("svc", &["own/*"], may).await;
    let svc = domain.client("svc", crate::harness::Http::One);
    pdp.judges(|asked| {
        if asked["action"]["name"] == "owner_update" {
            denies("no")
        } else {
            json!({"decision": true})
        }
    });
    let body = json!({"data": {"v": 1}, "metadata": {"owner": "ceo"}}).to_string();
    is_denied(&svc.call(Method::PUT, "/v1/secrets/own/a", &body).await);
    let body = json!({"data": {"v": 1}}).to_string();
    assert_eq!(svc.call(Method::PUT, "/v1/secrets/own/a", &body).await.status, 201);
}
