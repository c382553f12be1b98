//! Policies of rotation, and of how values are made.

use std::collections::HashSet;

use hyper::Method;
use serde_json::{Value, json};

use super::{Paths, faulty, members, refused};
use crate::harness::{Answer, unique};

const ROTATION: &str = "/v1/rotation/policies";
const VALUES: &str = "/v1/secret-policies";

impl Paths {
    async fn at(&self, method: Method, path: &str, body: Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.client.call(method, path, &body).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.at(Method::POST, path, body).await
    }

    async fn read(&self, path: &str) -> Value {
        self.at(Method::GET, path, Value::Null).await.ok()
    }

    /// The policy that a secret has, as it is told with the secret.
    async fn policy_of(&self, path: &str) -> Value {
        self.get(&format!("/metadata/{path}")).await.ok()["rotation_policy"].clone()
    }
}

fn ids(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect()
}

/// Case 120: four are there from the start, and can be made one's own once.
#[tokio::test]
async fn policies_are_there_from_the_start() {
    let (_server, paths) = Paths::start().await;
    let list = paths.read(ROTATION).await;
    assert_eq!(members(&list), ["cursor", "data", "has_more"]);
    assert_eq!(ids(&list), ["rot_monthly", "rot_quarterly", "rot_weekly", "rot_yearly"]);
    let quarterly = json!({"name": "quarterly", "interval": "90d"});
    let made = paths.post(ROTATION, quarterly.clone()).await;
    assert_eq!(made.status, 201);
    let made = made.json();
    assert_eq!(
        members(&made),
        [
            "auto_generate",
            "created_at",
            "description",
            "grace_period",
            "id",
            "interval",
            "interval_seconds",
            "is_active",
            "name",
            "secret_policy_id",
            "secrets_count",
            "updated_at",
            "warn_before",
        ]
    );
    assert_eq!(
        (&made["id"], &made["interval_seconds"], &made["grace_period"], &made["warn_before"]),
        (&json!("rot_quarterly"), &json!(7_776_000), &json!("48h"), &json!("7d,1d"))
    );
    refused(&paths.post(ROTATION, quarterly).await, 409, "policy_exists");
    let page = paths.read(&format!("{ROTATION}?limit=3")).await;
    assert_eq!((ids(&page).len(), &page["has_more"]), (3, &json!(true)));
    let cursor = page["cursor"].as_str().unwrap();
    let rest = paths.read(&format!("{ROTATION}?limit=3&cursor={cursor}")).await;
    assert_eq!((ids(&rest), &rest["has_more"]), (vec!["rot_yearly"], &json!(false)));
    let forged = paths.at(Method::GET, &format!("{ROTATION}?cursor=AAAA"), Value::Null).await;
    refused(&forged, 400, "invalid_cursor");
    let weekly = format!("{ROTATION}/rot_weekly");
    let off = paths.post(&format!("{weekly}/disable"), Value::Null).await.ok();
    assert_eq!(off["is_active"], false);
    assert_eq!(ids(&paths.read(&format!("{ROTATION}?active_only=true")).await).len(), 3);
    assert_eq!(paths.post(&format!("{weekly}/enable"), Value::Null).await.ok()["is_active"], true);
}

/// Case 121, and all that is wrong at once.
#[tokio::test]
async fn a_policy_that_cannot_be_is_refused_by_its_fields() {
    let (_server, paths) = Paths::start().await;
    let name = || json!(unique("p"));
    for interval in [json!("90 days"), json!("soon"), json!(90), json!("")] {
        let answer = paths.post(ROTATION, json!({"name": name(), "interval": interval})).await;
        refused(&answer, 400, "invalid_duration");
    }
    for (said, field) in [
        (json!({"interval": "10m"}), "interval"),
        (json!({"interval": "3651d"}), "interval"),
        (json!({}), "interval"),
        (json!({"interval": "7d", "grace_period": "8d"}), "grace_period"),
        (json!({"interval": "7d", "warn_before": "7d"}), "warn_before"),
        (json!({"interval": "7d", "webhook_ids": ["x"]}), "webhook_ids"),
        (json!({"interval": "7d", "auto_generate": "yes"}), "auto_generate"),
        (json!({"interval": "7d", "secret_policy_id": "sp_none"}), "secret_policy_id"),
        (json!({"interval": "7d", "secret_policy_id": 5}), "secret_policy_id"),
        (json!({"interval": "7d", "colour": "red"}), "colour"),
        (json!({"interval": "7d", "name": ""}), "name"),
        (json!({"interval": "7d", "name": 5}), "name"),
    ] {
        let mut body = said;
        let named = name();
        body.as_object_mut().unwrap().entry("name").or_insert(named);
        assert_eq!(faulty(&paths.post(ROTATION, body).await), [field]);
    }
    let all = json!({"name": "", "interval": "10m", "webhook_ids": ["x"], "more": 1});
    assert_eq!(
        faulty(&paths.post(ROTATION, all).await),
        ["interval", "more", "name", "webhook_ids"]
    );
    assert_eq!(ids(&paths.read(ROTATION).await).len(), 4, "nothing was stored");
    let at = format!("{ROTATION}/rot_none");
    let missing = [
        paths.at(Method::GET, &at, Value::Null).await,
        paths.at(Method::PATCH, &at, json!({"interval": "30d"})).await,
        paths.at(Method::DELETE, &at, Value::Null).await,
        paths.at(Method::GET, &format!("{ROTATION}/90days"), Value::Null).await,
    ];
    for answer in missing {
        refused(&answer, 404, "rotation_policy_not_found");
    }
}

/// Cases 122 to 124: attached, counted, due by another interval at once, detached.
#[tokio::test]
async fn a_policy_is_attached_and_detached() {
    let (_server, paths) = Paths::start().await;
    let at = format!("{ROTATION}/rot_quarterly");
    let attach =
        async |path: &str| paths.post(&format!("{at}/secrets"), json!({"secret_path": path})).await;
    for path in ["a", "b/c", "d"] {
        paths.put(&format!("/{path}"), json!({"data": {"password": "p"}})).await;
        let attached = attach(path).await;
        assert_eq!(attached.status, 201);
        let told = attached.json();
        assert_eq!(members(&told), ["attached_at", "next_rotation", "policy_id", "secret_path"]);
        assert!(told["next_rotation"].as_str().unwrap().ends_with("T00:00:00Z"), "{told}");
    }
    assert_eq!(attach("a").await.status, 201, "twice");
    assert_eq!(paths.read(&at).await["secrets_count"], 3);
    assert_eq!(paths.policy_of("b/c").await["id"], "rot_quarterly");
    refused(&attach("none").await, 404, "secret_not_found");
    refused(&attach("a//b").await, 400, "invalid_path");
    assert_eq!(faulty(&paths.post(&format!("{at}/secrets"), json!({})).await), ["secret_path"]);
    // Another policy's place is taken over.
    let weekly = format!("{ROTATION}/rot_weekly");
    assert_eq!(
        paths.post(&format!("{weekly}/secrets"), json!({"secret_path": "d"})).await.status,
        201
    );
    assert_eq!(paths.read(&at).await["secrets_count"], 2);

    let due = async |query: &str| {
        let list = paths.read(&format!("/v1/rotation/due{query}")).await;
        let due = list["data"].as_array().unwrap().iter();
        due.map(|one| (one["secret_path"].clone(), one["status"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(due("").await, []);
    assert_eq!(due("?within_hours=240").await, [(json!("d"), json!("scheduled"))]);
    let shorter = json!({"interval": "5d", "warn_before": "1d"});
    let changed = paths.at(Method::PATCH, &at, shorter).await.ok();
    assert_eq!((&changed["interval"], &changed["name"]), (&json!("5d"), &json!("quarterly")));
    assert_eq!(due("?within_hours=150").await.len(), 2);
    assert_eq!(due("?within_hours=240&policy_id=rot_weekly").await.len(), 1);

    let path = format!("{at}/secrets/b%2Fc");
    assert_eq!(paths.at(Method::DELETE, &path, Value::Null).await.status, 204);
    refused(&paths.at(Method::DELETE, &path, Value::Null).await, 404, "secret_not_found");
    assert_eq!(paths.policy_of("b/c").await, Value::Null);
    assert_eq!(paths.post(&format!("{at}/secrets"), json!({"secret_path": "d"})).await.status, 201);
    let gone = paths.at(Method::DELETE, &at, Value::Null).await.ok();
    assert_eq!(gone, json!({"id": "rot_quarterly", "deleted": true, "detached": 2}));
    assert_eq!(paths.policy_of("a").await, Value::Null);
    // What it was from the start is there again.
    let back = paths.read(&at).await;
    assert_eq!((&back["interval"], &back["secrets_count"]), (&json!("90d"), &json!(0)));
}

/// Case 126: due and overdue, of those that are there and count.
#[tokio::test]
async fn what_is_due_is_listed() {
    let (server, paths) = Paths::start().await;
    let hourly =
        json!({"name": "hourly", "interval": "2h", "grace_period": "30m", "warn_before": "1h"});
    paths.post(ROTATION, hourly).await;
    let at = format!("{ROTATION}/rot_hourly");
    for path in ["a", "b", "c", "d"] {
        paths.put(&format!("/{path}"), json!({"data": {}})).await;
        assert_eq!(
            paths.post(&format!("{at}/secrets"), json!({"secret_path": path})).await.status,
            201
        );
    }
    let due = async |query: &str| {
        let list = paths.read(&format!("/v1/rotation/due{query}")).await;
        let due = list["data"].as_array().unwrap().iter();
        let mut due: Vec<_> = due
            .map(|one| format!("{} {}", one["secret_path"], one["status"]).replace('"', ""))
            .collect();
        due.sort_unstable();
        due
    };
    server.clock.advance(3_600);
    assert_eq!(due("?within_hours=0").await, [""; 0]);
    assert_eq!(due("").await, ["a warning", "b warning", "c warning", "d warning"]);
    server.clock.advance(3_600);
    // A new version of whatever dialect, a removal, and a detached one.
    paths.kv(Method::POST, "data/b", r#"{"data":{}}"#).await.ok();
    paths.delete("/c").await.ok();
    assert_eq!(due("?within_hours=0").await, ["a due", "d due"]);
    server.clock.advance(1_800);
    assert_eq!(due("?within_hours=0").await, ["a overdue", "d overdue"]);
    assert_eq!(due("?within_hours=0&include_overdue=false").await, [""; 0]);
    assert_eq!(due("?within_hours=24&include_overdue=false").await, ["b scheduled"]);
    let first = paths.read("/v1/rotation/due?within_hours=0&limit=1").await;
    let cursor = first["cursor"].as_str().unwrap();
    let next =
        paths.read(&format!("/v1/rotation/due?within_hours=0&limit=5&cursor={cursor}")).await;
    assert_eq!(first["data"][0]["secret_path"], "a");
    assert_eq!((&next["data"][0]["secret_path"], &next["has_more"]), (&json!("d"), &json!(false)));
    paths.post(&format!("{at}/disable"), Value::Null).await.ok();
    assert_eq!(due("").await, [""; 0], "paused");
    let unknown = paths.at(Method::GET, "/v1/rotation/due?policy_id=rot_x", Value::Null).await;
    refused(&unknown, 404, "rotation_policy_not_found");
    let hours = paths.at(Method::GET, "/v1/rotation/due?within_hours=x", Value::Null).await;
    assert_eq!(faulty(&hours), ["within_hours"]);
}

fn random(config: &Value) -> Value {
    json!({"name": unique("p"), "fields": [{"name": "password", "generator": "random", "config": config}]})
}

/// Case 127: what is required is there, each time; what cannot be is refused.
#[tokio::test]
async fn values_have_what_their_policy_requires() {
    let (_server, paths) = Paths::start().await;
    let all = json!({"length": 16, "require_upper": true, "require_lower": true, "require_digit": true, "require_symbol": true});
    let made = paths.post(VALUES, random(&all)).await;
    assert_eq!(made.status, 201);
    let made = made.json();
    assert_eq!(
        members(&made),
        [
            "created_at",
            "description",
            "fields",
            "id",
            "is_active",
            "name",
            "policy_type",
            "updated_at"
        ]
    );
    let at = format!("{VALUES}/{}", made["id"].as_str().unwrap());
    assert_eq!(paths.read(&at).await, made);
    let mut seen = HashSet::new();
    for _ in 0..100 {
        let made = paths.post(&format!("{at}/preview"), Value::Null).await.ok();
        assert_eq!(members(&made), ["data"]);
        let text = made["data"]["password"].as_str().unwrap().to_owned();
        assert_eq!(text.len(), 16);
        let has = |is: fn(&u8) -> bool| text.bytes().any(|byte| is(&byte));
        assert!(has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase), "{text}");
        assert!(has(u8::is_ascii_digit) && has(u8::is_ascii_punctuation), "{text}");
        seen.insert(text);
    }
    assert_eq!(seen.len(), 100);
    let listed = paths.get("").await.ok();
    assert_eq!(listed["total_count"], 0, "nothing is stored");

    let mut short = all;
    short["length"] = json!(3);
    assert_eq!(faulty(&paths.post(VALUES, random(&short)).await), ["fields[0].config.length"]);
    for (config, field) in [
        (json!({"length": 0}), "length"),
        (json!({"length": 1.5}), "length"),
        (json!({"charset": ["a"]}), "charset"),
        (json!({"charset": "alpha", "require_digit": true}), "charset"),
        (json!({"size": 5}), "size"),
    ] {
        let answer = paths.post(VALUES, random(&config)).await;
        assert_eq!(faulty(&answer), [format!("fields[0].config.{field}")]);
    }
    for (fields, wrong) in [
        (json!([]), vec!["fields"]),
        (json!("x"), vec!["fields"]),
        (json!([5]), vec!["fields[0]"]),
        (json!([{"name": "a", "generator": "dice"}]), vec!["fields[0].generator"]),
        (json!([{"name": 5, "generator": "hex"}]), vec!["fields[0].name"]),
        (json!([{"name": "a", "generator": "hex", "config": []}]), vec!["fields[0].config"]),
        (json!([{"name": "a", "generator": "hex", "more": 1}]), vec!["fields[0]"]),
        (
            json!([{"name": "a", "generator": "hex"}, {"name": "a", "generator": "hex"}]),
            vec!["fields[1].name"],
        ),
    ] {
        let answer = paths.post(VALUES, json!({"name": unique("p"), "fields": fields})).await;
        assert_eq!(faulty(&answer), wrong);
    }
    let several = json!({"name": "", "policy_type": "poem", "fields": [{"name": "", "generator": "hex"}], "x": 1});
    assert_eq!(
        faulty(&paths.post(VALUES, several).await),
        ["fields[0].name", "name", "policy_type", "x"]
    );
}

/// Case 128: what is made is what it says; foreign programs read it in the room that makes it.
#[tokio::test]
async fn keys_and_certificates_are_made() {
    let (_server, paths) = Paths::start().await;
    let fields = json!([
        {"name": "ssh", "generator": "ssh_keypair", "config": {"comment": "me"}},
        {"name": "rsa", "generator": "rsa_keypair", "config": {"bits": 2048}},
        {"name": "ec", "generator": "ec_keypair", "config": {"curve": "P-384"}},
        {"name": "tls", "generator": "certificate", "config": {"common_name": "x.example", "dns": ["x.example"]}},
        {"name": "id", "generator": "uuid", "config": {"version": 7}},
        {"name": "key", "generator": "template", "config": {"template": "k_{{hex:8}}"}},
        {"name": "login", "generator": "bcrypt_hash", "config": {"rounds": 10}},
        {"name": "fixed", "generator": "static", "config": {"value": "v"}},
    ]);
    let body = json!({"name": "all of them", "policy_type": "custom", "fields": fields});
    let made = paths.post(VALUES, body).await.json();
    assert_eq!(made["id"], "sp_all_of_them");
    let data = paths.post(&format!("{VALUES}/sp_all_of_them/preview"), Value::Null).await.ok();
    let data = &data["data"];
    for (name, begins) in [
        ("ssh_private_key", "-----BEGIN OPENSSH PRIVATE KEY-----\n"),
        ("ssh_public_key", "ssh-ed25519 "),
        ("rsa_private_key", "-----BEGIN PRIVATE KEY-----\n"),
        ("rsa_public_key", "-----BEGIN PUBLIC KEY-----\n"),
        ("ec_private_key", "-----BEGIN PRIVATE KEY-----\n"),
        ("ec_public_key", "-----BEGIN PUBLIC KEY-----\n"),
        ("tls_cert_pem", "-----BEGIN CERTIFICATE-----\n"),
        ("tls_key_pem", "-----BEGIN PRIVATE KEY-----\n"),
        ("key", "k_"),
        ("login_hash", "$2b$10$"),
        ("fixed", "v"),
    ] {
        assert!(data[name].as_str().unwrap().starts_with(begins), "{name}");
    }
    let id: uuid::Uuid = data["id"].as_str().unwrap().parse().unwrap();
    assert_eq!((id.get_version_num(), data.as_object().unwrap().len()), (7, 13));
}

/// Case 129, as far as there is nothing to rotate.
#[tokio::test]
async fn a_policy_in_use_stays() {
    let (_server, paths) = Paths::start().await;
    paths.post(VALUES, json!({"name": "db", "fields": [{"name": "a", "generator": "hex"}]})).await;
    let (values, rotation) = (format!("{VALUES}/sp_db"), format!("{ROTATION}/rot_weekly"));
    let naming = json!({"secret_policy_id": "sp_db", "auto_generate": true});
    let changed = paths.at(Method::PATCH, &rotation, naming).await.ok();
    assert_eq!(changed["secret_policy_id"], "sp_db");
    let again = json!({"name": "DB", "fields": [{"name": "a", "generator": "hex"}]});
    refused(&paths.post(VALUES, again).await, 409, "policy_exists");
    refused(&paths.at(Method::DELETE, &values, Value::Null).await, 409, "policy_in_use");
    let gone = paths.at(Method::DELETE, &format!("{values}?force=true"), Value::Null).await.ok();
    assert_eq!(gone, json!({"id": "sp_db", "deleted": true}));
    for (method, path) in [
        (Method::GET, values.clone()),
        (Method::DELETE, values.clone()),
        (Method::POST, format!("{values}/preview")),
    ] {
        let answer = paths.at(method, &path, Value::Null).await;
        refused(&answer, 404, "secret_policy_not_found");
    }
    // Null lets go, and a change of something else says nothing of it.
    let on = paths.at(Method::PATCH, &rotation, json!({"description": "d"})).await.ok();
    assert_eq!(on["secret_policy_id"], "sp_db");
    let off = paths.at(Method::PATCH, &rotation, json!({"secret_policy_id": null})).await.ok();
    assert_eq!(off["secret_policy_id"], Value::Null);
    refused(&paths.at(Method::PUT, &rotation, json!({})).await, 405, "method_not_allowed");
}

/// Case 130, of new mounts: those names are the server's by now.
#[tokio::test]
async fn no_mount_gets_the_name_of_a_policy() {
    let (_server, paths) = Paths::start().await;
    let mount = async |name: &str| {
        let at = format!("/api/{}/v1/sys/mounts/{name}", paths.client.id);
        paths.client.call(Method::POST, &at, r#"{"type":"kv-v2"}"#).await.status.as_u16()
    };
    for name in ["rotation", "rotation/a", "secret-policies"] {
        assert_eq!(mount(name).await, 400, "{name}");
    }
    assert_eq!(mount("rotations").await, 204);
}
