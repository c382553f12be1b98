//! Rotation: cases 101 to 119 and 125.

use hyper::Method;
use serde_json::{Value, json};

use super::{Paths, faulty, members, refused};
use crate::harness::{TestServer, eventually};

const ROTATION: &str = "/v1/rotation/policies";
const HOUR: i64 = 3_600;

impl Paths {
    async fn send(&self, method: Method, path: &str, body: Value) -> Value {
        let answer = self.client.call(method, path, &body.to_string()).await;
        assert!(answer.status.is_success(), "{answer:?}");
        answer.json()
    }

    /// A policy that makes new values each hour.
    async fn hourly(&self, more: Value) {
        let mut body = json!({"name": "hourly", "interval": "1h", "auto_generate": true});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.send(Method::POST, ROTATION, body).await;
    }

    async fn write(&self, path: &str, data: Value, policy: &str) {
        let body = json!({"data": data, "options": {"rotation_policy_id": policy}});
        assert_eq!(self.put(&format!("/{path}"), body).await.status, 201);
    }

    async fn rotate(&self, path: &str, body: Value) -> crate::harness::Answer {
        self.call(Method::POST, &format!("/{path}/rotate"), &body.to_string()).await
    }

    async fn status(&self, path: &str) -> u16 {
        self.get(path).await.status.as_u16()
    }

    /// The items of a policy's history.
    async fn history(&self, query: &str) -> Vec<Value> {
        let at = format!("{ROTATION}/rot_hourly/history{query}");
        let list = self.client.call(Method::GET, &at, "").await.ok();
        list["data"].as_array().unwrap().clone()
    }
}

/// Cases 101 and 102, and what all dialects say of the version before.
#[tokio::test]
async fn a_secret_is_rotated_with_a_grace() {
    let (server, paths) = Paths::start().await;
    paths.three("a").await;
    let told = paths
        .rotate(
            "a",
            json!({"reason": "credentials leaked", "new_value": {"n": 4}, "grace_period": "1h"}),
        )
        .await;
    assert!(told.headers["etag"].to_str().unwrap().starts_with("\"4-"));
    assert_eq!(
        told.ok(),
        json!({"path": "a", "version": 4, "previous_version": 3, "rotated_at": "2025-01-02T03:04:05Z",
            "grace_period_ends": "2025-01-02T04:04:05Z", "auto_generated": false,
            "rotation_policy_id": null, "next_rotation": null})
    );
    assert_eq!(paths.get("/a").await.ok()["data"], json!({"n": 4}));
    server.clock.advance(HOUR - 1);
    assert_eq!(paths.get("/a?version=3").await.ok()["data"]["n"], 3);
    assert_eq!(paths.kv(Method::GET, "data/a?version=3", "").await.status, 200);
    let versions = paths.get("/a/versions").await.ok();
    assert_eq!(versions["versions"][1]["expires_at"], "2025-01-02T04:04:05Z");
    server.clock.advance(1);
    refused(&paths.get("/a?version=3").await, 404, "version_not_found");
    assert_eq!(paths.status("/a?version=2").await, 200);
    assert_eq!(paths.kv(Method::GET, "data/a?version=3", "").await.status, 404);
    let native = paths.client.get("secret/a/version/3").await.ok();
    assert_eq!(
        (&native["state"], &native["deactivatedAt"]),
        (&json!("deactivated"), &json!("2025-01-02T04:04:05Z"))
    );
    assert_eq!(paths.get("/a/versions").await.ok()["versions"][1]["state"], "expired");
}

/// Cases 103 to 105.
#[tokio::test]
async fn a_grace_is_the_callers_or_the_policys_or_two_days() {
    let (_server, paths) = Paths::start().await;
    let rotate = async |path: &str, body: Value| {
        let mut body = body;
        body["new_value"] = json!({"password": "q"});
        paths.rotate(path, body).await
    };
    paths.three("a").await;
    let at_once = rotate("a", json!({"grace_period": "0s"})).await.ok();
    assert_eq!(at_once["grace_period_ends"], at_once["rotated_at"]);
    refused(&paths.get("/a?version=3").await, 404, "version_not_found");
    assert_eq!(paths.get("/a/versions").await.ok()["versions"][1]["state"], "deactivated");
    let default = rotate("a", json!({})).await.ok();
    assert_eq!(default["grace_period_ends"], "2025-01-04T03:04:05Z");

    paths.hourly(json!({"grace_period": "10m"})).await;
    paths.write("b", json!({"password": "p"}), "rot_hourly").await;
    let of_policy = rotate("b", json!({})).await.ok();
    assert_eq!(of_policy["grace_period_ends"], "2025-01-02T03:14:05Z");
    assert_eq!(
        (&of_policy["rotation_policy_id"], &of_policy["next_rotation"]),
        (&json!("rot_hourly"), &json!("2025-01-02T04:04:05Z"))
    );
    refused(&rotate("a", json!({"grace_period": "x"})).await, 400, "invalid_duration");
    refused(&rotate("a", json!({"grace_period": 5})).await, 400, "invalid_duration");
    assert_eq!(faulty(&rotate("a", json!({"grace_period": "366d"})).await), ["grace_period"]);

    // 104
    paths.put("/c", json!({"data": {}, "options": {"expires_in": "30m"}})).await;
    let short = rotate("c", json!({"grace_period": "1h"})).await.ok();
    assert_eq!(short["grace_period_ends"], "2025-01-02T03:34:05Z");
    // 105
    paths.put("/d", json!({"data": {"n": 1}, "options": {"max_versions": 1}})).await;
    rotate("d", json!({"grace_period": "1h"})).await.ok();
    assert_eq!(paths.get("/d?version=1").await.ok()["data"]["n"], 1);
    paths.put("/d", json!({"data": {"n": 3}})).await.ok();
    for (version, status) in [(1, 404), (2, 404), (3, 200)] {
        assert_eq!(paths.status(&format!("/d?version={version}")).await, status, "{version}");
    }
}

/// Cases 106 and 109, and what a body cannot say.
#[tokio::test]
async fn a_new_value_is_needed_and_fits_its_type() {
    let (_server, paths) = Paths::start().await;
    paths.three("a").await;
    let pem = json!({"data": {"cert_pem": "..."}, "secret_type": "certificate"});
    paths.put("/cert", pem).await;
    let new = |value: Value| json!({"new_value": value});
    for (path, body, field) in [
        ("a", json!({}), "new_value"),
        ("a", new(json!("x")), "new_value"),
        ("a", new(json!([])), "new_value"),
        ("cert", new(json!({"key": "k"})), "new_value.cert_pem"),
        ("cert", json!({"auto_generate": true}), "new_value"),
        ("a", json!({"new_value": {}, "auto_generate": true}), "auto_generate"),
        ("a", json!({"new_value": {}, "auto_generate": "yes"}), "auto_generate"),
        ("a", json!({"new_value": {}, "reason": 5}), "reason"),
        ("a", json!({"new_value": {}, "reason": "a\nb"}), "reason"),
        ("a", json!({"new_value": {}, "reason": "r".repeat(513)}), "reason"),
        ("a", json!({"new_value": {}, "because": "x"}), "because"),
    ] {
        assert_eq!(faulty(&paths.rotate(path, body.clone()).await), [field], "{body}");
    }
    // No body is one that says nothing.
    let nothing = paths.call(Method::POST, "/a/rotate", "").await;
    assert_eq!(faulty(&nothing), ["new_value"]);
    refused(&paths.call(Method::POST, "/a/rotate", "[]").await, 400, "invalid_request");
    refused(&paths.call(Method::GET, "/a/rotate", "").await, 405, "method_not_allowed");
    refused(&paths.rotate("none", new(json!({}))).await, 404, "secret_not_found");
    refused(&paths.rotate("a//b", new(json!({}))).await, 400, "invalid_path");
    paths.delete("/cert").await.ok();
    refused(&paths.rotate("cert", new(json!({"cert_pem": "."}))).await, 404, "secret_not_found");
    assert_eq!(paths.get("/a").await.ok()["version"], 3, "nothing was written");

    let expecting = async |tag: &str, path: &str| {
        let at = format!("/v1/secrets/{path}/rotate");
        let body = new(json!({})).to_string();
        paths.client.send(Method::POST, &at, &[("if-match", tag)], body).await
    };
    let details = refused(&expecting("\"2\"", "a").await, 409, "version_conflict");
    assert_eq!(details["current_version"], 3);
    assert_eq!(expecting("\"3\"", "a").await.ok()["version"], 4);
    // A secret that ended is renewed; one without versions gets its first.
    paths.kv(Method::POST, "metadata/empty", r#"{"max_versions":5}"#).await;
    let first = paths.rotate("empty", new(json!({"k": 1}))).await.ok();
    assert_eq!(
        (&first["version"], &first["previous_version"], &first["grace_period_ends"]),
        (&json!(1), &json!(0), &Value::Null)
    );
}

#[tokio::test]
async fn what_has_ended_is_renewed() {
    let (server, paths) = Paths::start().await;
    paths.put("/a", json!({"data": {"token": "t"}, "options": {"expires_in": "1h"}})).await;
    server.clock.advance(HOUR);
    refused(&paths.get("/a").await, 410, "secret_expired");
    let renewed = paths.rotate("a", json!({"auto_generate": true})).await.ok();
    assert_eq!((&renewed["version"], &renewed["auto_generated"]), (&json!(2), &json!(true)));
    assert_eq!(paths.get("/a").await.ok()["expires_at"], "2025-01-02T05:04:05Z");
    // What had ended is not brought back.
    refused(&paths.get("/a?version=1").await, 404, "version_not_found");
}

/// Cases 107, 108 and 129.
#[tokio::test]
async fn a_value_is_made_and_not_told() {
    let (_server, paths) = Paths::start().await;
    paths.hourly(json!({})).await;
    paths.write("a", json!({"user": "u", "password": "p"}), "rot_hourly").await;
    let told = paths.rotate("a", json!({})).await;
    let data = paths.get("/a").await.ok()["data"].clone();
    let made = data["password"].as_str().unwrap();
    assert_eq!((made.len(), &data["user"]), (32, &json!("u")));
    assert!(
        made.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~!@%^*+=".contains(&byte))
    );
    assert!(!told.text().contains(made));
    assert_eq!(
        members(&told.ok()),
        [
            "auto_generated",
            "grace_period_ends",
            "next_rotation",
            "path",
            "previous_version",
            "rotated_at",
            "rotation_policy_id",
            "version"
        ]
    );

    paths.put("/one", json!({"data": {"value": "v"}})).await;
    paths.rotate("one", json!({"auto_generate": true})).await.ok();
    assert_eq!(paths.get("/one").await.ok()["data"]["value"].as_str().unwrap().len(), 32);
    paths.put("/two", json!({"data": {"a": 1, "b": 2}})).await;
    let unclear = paths.rotate("two", json!({"auto_generate": true})).await;
    assert_eq!(faulty(&unclear), ["new_value"]);

    let field = json!([{"name": "pin", "generator": "random", "config": {"length": 6, "charset": "numeric"}}]);
    paths.send(Method::POST, "/v1/secret-policies", json!({"name": "pins", "fields": field})).await;
    paths.patch("/two", json!({"options": {"secret_policy_id": "sp_pins"}})).await.ok();
    paths.rotate("two", json!({"auto_generate": true})).await.ok();
    let data = paths.get("/two").await.ok()["data"].clone();
    assert_eq!((&data["a"], data["pin"].as_str().unwrap().len()), (&json!(1), 6));
    paths.send(Method::DELETE, "/v1/secret-policies/sp_pins?force=true", json!({})).await;
    let gone = paths.rotate("two", json!({"auto_generate": true})).await;
    let told = refused(&gone, 422, "validation_error");
    assert!(told["fields"]["new_value"].as_str().unwrap().contains("not there"), "{told}");
}

/// Case 112: the server does it, says who did, and goes on; case 117 beside it.
#[tokio::test]
async fn what_is_due_is_rotated_by_the_server() {
    let (server, paths) = ticking().await;
    paths.hourly(json!({"grace_period": "10m"})).await;
    paths.write("app/db", json!({"user": "u", "password": "p"}), "rot_hourly").await;
    paths.write("app/unclear", json!({"one": 1, "two": 2}), "rot_hourly").await;
    paths.write("manual", json!({"password": "p"}), "rot_weekly").await;
    server.clock.advance(HOUR);
    eventually("rotated", async || paths.get("/app/db").await.ok()["version"] == 2).await;
    let told = paths.get("/metadata/app/db").await.ok();
    assert_eq!(
        told["rotation_policy"],
        json!({"id": "rot_hourly", "next_rotation": "2025-01-02T05:04:05Z"})
    );
    assert_eq!(paths.get("/app/db?version=1").await.ok()["data"]["password"], "p");
    eventually("told", async || paths.history("").await.len() == 2).await;
    let success = paths.history("?status=success").await;
    assert_eq!(
        success,
        [json!({"secret_path": "app/db", "status": "success", "old_version": 1, "new_version": 2,
            "rotated_at": "2025-01-02T04:04:05Z", "error": null})]
    );
    let failed = paths.history("?status=failed").await;
    assert_eq!((failed.len(), &failed[0]["new_version"]), (1, &Value::Null));
    assert!(failed[0]["error"].as_str().unwrap().contains("attach a secret policy"));
    assert_eq!(server.metric("okmsd_rotations_total{outcome=\"rotated\"}").await, 1.0);
    assert_eq!(server.metric("okmsd_rotations_total{outcome=\"failed\"}").await, 1.0);

    // Where the server makes no values, it tells what is due.
    server.clock.advance(8 * 24 * HOUR);
    let due =
        paths.client.call(Method::GET, "/v1/rotation/due?policy_id=rot_weekly", "").await.ok();
    assert_eq!(due["data"][0]["secret_path"], "manual");
    assert_eq!(paths.get("/manual").await.ok()["version"], 1);
    paths.kv(Method::POST, "data/manual", r#"{"data":{"password":"q"}}"#).await.ok();
    let stands = paths.get("/metadata/manual").await.ok()["rotation_policy"].clone();
    assert_eq!(stands["status"], Value::Null, "{stands}");
    eventually("once after a long time", async || paths.get("/app/db").await.ok()["version"] == 3)
        .await;
}

/// Case 109: why is told by the trail and the history; and by whom.
#[tokio::test]
async fn who_rotated_and_why_is_told() {
    let (server, paths) = ticking().await;
    paths.hourly(json!({})).await;
    paths.write("a", json!({"password": "p"}), "rot_hourly").await;
    paths.rotate("a", json!({"reason": "it \"leaked\""})).await.ok();
    assert_eq!(paths.history("").await[0]["reason"], "it \"leaked\"");
    server.clock.advance(HOUR);
    eventually("rotated", async || paths.get("/a").await.ok()["version"] == 3).await;
    let trail = std::fs::read_to_string(server.path("audit.log")).unwrap();
    let records: Vec<Value> =
        trail.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |operation: &str| {
        let found =
            records.iter().filter(|one| one["operation"] == operation && one["type"] == "request");
        let found: Vec<_> = found.collect();
        assert_eq!(found.len(), 1, "{operation}");
        found[0].clone()
    };
    let asked = of("PathRotateSecret");
    assert_eq!((&asked["reason"], &asked["version"]), (&json!("it \"leaked\""), &json!(2)));
    let own = of("RotateDueSecret");
    assert_eq!(
        (&own["subject"], &own["resource"], &own["version"], &own["effect"]),
        (&json!("system:rotation"), &json!("a"), &json!(3), &json!("permit"))
    );
    assert_eq!(own["changes"][0]["change"], "secrets.rotate");
    assert_eq!(own["tenant"].as_str().unwrap(), paths.client.id);
}

/// Case 125.
#[tokio::test]
async fn all_that_a_policy_is_attached_to_is_rotated() {
    let (_server, paths) = Paths::start().await;
    let at = format!("{ROTATION}/rot_hourly/rotate");
    let rotate = async |body: Value| paths.client.call(Method::POST, &at, &body.to_string()).await;
    refused(&rotate(json!({})).await, 404, "rotation_policy_not_found");
    paths.hourly(json!({"auto_generate": false})).await;
    assert_eq!(faulty(&rotate(json!({})).await), ["auto_generate"]);
    paths
        .send(Method::PATCH, &format!("{ROTATION}/rot_hourly"), json!({"auto_generate": true}))
        .await;
    assert_eq!(rotate(json!({})).await.ok(), json!([]));
    paths.write("a", json!({"password": "p"}), "rot_hourly").await;
    paths.write("b", json!({"password": "p"}), "rot_hourly").await;
    paths.write("c", json!({"password": "p"}), "rot_weekly").await;
    let told = rotate(json!({"secret_paths": ["a", "none", "c"]})).await.ok();
    assert_eq!(
        told[0],
        json!({"secret_path": "a", "status": "success", "old_version": 1, "new_version": 2,
            "rotated_at": "2025-01-02T03:04:05Z", "error": null})
    );
    for failed in [&told[1], &told[2]] {
        assert_eq!((&failed["status"], &failed["new_version"]), (&json!("failed"), &Value::Null));
        assert_eq!(failed["error"], "there is no such secret with this policy");
    }
    let all = rotate(json!({})).await.ok();
    let told: Vec<_> =
        all.as_array().unwrap().iter().map(|one| one["new_version"].clone()).collect();
    assert_eq!(
        told,
        [3, 2],
        "in the order of the minutes in which they got their values, and of their paths"
    );
    for wrong in [json!([]), json!("a"), json!(["a", "a"]), json!([1]), json!(vec!["x"; 101])] {
        assert_eq!(faulty(&rotate(json!({"secret_paths": wrong})).await), ["secret_paths"]);
    }
    refused(&rotate(json!({"secret_paths": ["a//b"]})).await, 400, "invalid_path");

    // The newest first, in pages; only what was rotated, or could not be for its own sake.
    let history = paths.history("").await;
    assert_eq!(history.len(), 3);
    let page = paths
        .client
        .call(Method::GET, &format!("{ROTATION}/rot_hourly/history?limit=2"), "")
        .await
        .ok();
    assert_eq!((&page["data"][1], &page["has_more"]), (&history[1], &json!(true)));
    let rest =
        paths.history(&format!("?limit=2&cursor={}", page["cursor"].as_str().unwrap())).await;
    assert_eq!(rest, [history[2].clone()]);
    let at = format!("{ROTATION}/rot_hourly/history");
    let forged = paths.client.call(Method::GET, &format!("{at}?cursor=AAAA"), "").await;
    refused(&forged, 400, "invalid_cursor");
    let unknown = paths.client.call(Method::GET, &format!("{at}?status=maybe"), "").await;
    assert_eq!(faulty(&unknown), ["status"]);
}

/// Of many secrets the trail names each, and whether it was denied; each change is announced by its own name.
#[tokio::test]
async fn each_of_many_is_told() {
    let (server, paths) = Paths::start().await;
    paths.hourly(json!({})).await;
    for path in ["app/a", "app/b", "other"] {
        paths.write(path, json!({"password": "p"}), "rot_hourly").await;
    }
    let operator = server.operator();
    let of = format!("/v2/okms/resource/{}", paths.client.id);
    let policy = json!({"name": "app", "identities": ["app"], "resources": [{"urn": "app/*"}],
        "permissions": {"allow": [{"action": "okms:apikms:secret/*"}]}});
    operator.call(Method::POST, &format!("{of}/policy"), &policy.to_string()).await.ok();
    operator.call(Method::PUT, &format!("{of}/rule/all"), r#"{"identity":"app"}"#).await.ok();
    let batch = json!({"paths": ["app/a", "other", "app/b", "app/none"]}).to_string();
    paths.client.call(Method::POST, "/v1/secrets/batch", &batch).await.ok();
    let all = json!({"secret_paths": ["app/b", "other", "app/a"]}).to_string();
    let at = format!("{ROTATION}/rot_hourly/rotate");
    let told = paths.client.call(Method::POST, &at, &all).await.ok();
    let told: Vec<_> = told.as_array().unwrap().iter().map(|one| one["status"].clone()).collect();
    assert_eq!(told, ["success", "failed", "success"]);

    let trail = std::fs::read_to_string(server.path("audit.log")).unwrap();
    let records: Vec<Value> =
        trail.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let also = |operation: &str| {
        let record =
            records.iter().rfind(|one| one["operation"] == operation && one["type"] == "request");
        let secrets = record.unwrap()["also"].as_array().unwrap().iter();
        let secrets = secrets.filter(|one| one["type"] == "secret");
        secrets
            .map(|one| format!("{} {}", one["name"], one["effect"]).replace('"', ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        also("PathReadBatch"),
        ["app/a permit", "other deny", "app/b permit", "app/none error"]
    );
    assert_eq!(also("PathRotatePolicySecrets"), ["app/b permit", "other deny", "app/a permit"]);
    let intents =
        records.iter().filter(|one| one["type"] == "intent" && one["change"] == "secrets.rotate");
    let intents: Vec<_> = intents.map(|one| one["resource"].clone()).collect();
    assert_eq!(intents, ["app/b", "app/a"]);
}

/// What is refused of many secrets is found by whoever looks for refusals, however the whole request ended.
#[tokio::test]
async fn what_is_refused_of_many_is_in_the_view() {
    let (server, paths) = Paths::start().await;
    for path in ["app/a", "other"] {
        let put = paths.put(&format!("/{path}"), json!({"data": {"v": 1}})).await;
        assert_eq!(put.status, 201);
    }
    let operator = server.operator();
    let of = format!("/v2/okms/resource/{}", paths.client.id);
    let policy = json!({"name": "app", "identities": ["app"], "resources": [{"urn": "app/*"}],
        "permissions": {"allow": [{"action": "okms:apikms:secret/*"}]}});
    operator.call(Method::POST, &format!("{of}/policy"), &policy.to_string()).await.ok();
    let rule = format!("{of}/rule/all");
    operator.call(Method::PUT, &rule, r#"{"identity":"app"}"#).await.ok();
    let batch = async |paths_asked: Value, fails_fast: bool| {
        let body = json!({"paths": paths_asked, "options": {"fail_fast": fails_fast}});
        paths.call(Method::POST, "/batch", &body.to_string()).await
    };
    batch(json!(["app/a", "app/a/none"]), false).await.ok();
    batch(json!(["app/a", "other"]), false).await.ok();
    assert_eq!(batch(json!(["app/a", "other"]), true).await.status, 403);
    batch(json!(["app/a"]), false).await.ok();
    assert!(operator.call(Method::DELETE, &rule, "").await.status.is_success());
    let seen = async |query: &str| -> Vec<Value> {
        let url = format!("{of}/audit?operation=PathReadBatch{query}");
        paths.client.call(Method::GET, &url, "").await.ok().as_array().unwrap().clone()
    };
    eventually("they are in the view", async || seen("").await.len() == 3).await;
    let of_effect = async |effect: &str| -> Vec<Value> {
        let found = seen(&format!("&effect={effect}")).await;
        found.iter().map(|one| one["status"].clone()).collect()
    };
    assert_eq!(of_effect("deny").await, [200, 403]);
    assert_eq!(of_effect("error").await, [200]);
    let told = seen("").await;
    let get = "okms:apikms:secret/version/getData";
    assert_eq!(told[1]["also"][0]["version"], 1);
    assert!(told[1]["also"][0]["actions"].as_array().unwrap().contains(&json!(get)));
    let denied = &told[1]["also"][1];
    assert_eq!(
        (&denied["name"], &denied["effect"], &denied["status"], &denied["problem"]),
        (&json!("other"), &json!("deny"), &json!(403), &json!("Forbidden"))
    );
    assert!(denied["actions"].as_array().unwrap().len() == 1 && denied["version"].is_null());
    assert_eq!(told[0]["also"][1]["problem"], "SecretNotFound");
    let show = std::process::Command::new(env!("CARGO_BIN_EXE_okmsd"))
        .args(["audit", "show", "--json", "--effect", "deny", "--operation", "PathReadBatch"])
        .arg(server.path("audit.log"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(show.stdout).unwrap().lines().count(), 2);
}

/// A server that looks for what is due each second.
async fn ticking() -> (TestServer, Paths) {
    let server = TestServer::start_with(|config| {
        config.rotation.tick = okmsd::config::Span(std::time::Duration::from_secs(1));
    })
    .await;
    let client = server.tenant().await;
    (server, Paths { client })
}
