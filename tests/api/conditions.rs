//! Conditions of policies on time and address, and their ends.

use std::net::IpAddr;

use hyper::Method;
use serde_json::{Value, json};

use crate::{
    access::Domain,
    harness::{Answer, BOTH, Client, Connection, Http, START_TEXT},
};

/// What a test's policy allows, of all that is below `app/`.
const READ: &str = "okms:apikms:secret/*";

fn policy(name: &str, of: &str, permissions: &Value, when: &Value) -> Value {
    let mut policy = json!({
        "name": name,
        "identities": [of],
        "resources": [{"urn": "app/*"}],
        "permissions": permissions,
    });
    for (member, value) in when.as_object().unwrap() {
        policy[member] = value.clone();
    }
    policy
}

fn allow() -> Value {
    json!({"allow": [{"action": READ}]})
}

fn matching(key: &str, value: &str) -> Value {
    json!({"operator": "MATCH", "values": {key: value}})
}

async fn put(domain: &Domain, policy: &Value) -> Value {
    let at = domain.at("policy");
    domain.admin.call(Method::POST, &at, &policy.to_string()).await.ok()
}

/// Whether a client reads a value, sees it in lists of both dialects, and is told that it may: all of
/// it, or nothing.
async fn may(client: &Client, open: &mut Connection) -> bool {
    let v1 = |rest: &str| format!("/api/{}/v1/{rest}", client.id);
    let mut ask = async |method: &str, path: String, body: String| -> Answer {
        open.send(Method::from_bytes(method.as_bytes()).unwrap(), &path, &[], body).await
    };
    let get = "GET";
    let native = ask(get, client.url("secret/app/a?includeData=true"), String::new()).await;
    let kv = ask(get, v1("secret/data/app/a"), String::new()).await;
    let native_list = ask(get, client.url("secret"), String::new()).await;
    let kv_list = ask("LIST", v1("secret/metadata/app"), String::new()).await;
    let paths = json!({"paths": ["secret/data/app/a"]}).to_string();
    let told = ask("POST", v1("sys/capabilities-self"), paths).await.ok();
    let is_told = told["data"]["secret/data/app/a"] != json!(["deny"]);
    let listed = |answer: &Answer| answer.status == 200 && answer.text().contains("\"a\"");
    let native_list = native_list.status == 200 && native_list.text().contains("app/a");
    let all = [native.status == 200, kv.status == 200, native_list, listed(&kv_list), is_told];
    assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
    all[0]
}

/// What a request was judged by was kept with its connection, so that office hours ended with the
/// connection and not with the day.
#[tokio::test]
async fn a_condition_on_time_counts_from_one_request_to_the_next() {
    let domain = Domain::new().await;
    domain.admin.create("app/a", r#"{"k":"v"}"#).await.ok();
    domain.rule("svc", &[]).await;
    // 2025-01-02T03:04:05Z was a Thursday.
    let thursday = json!({"operator": "AND", "conditions": [
        matching("date(-01:00).WeekDay.IN", "wednesday, Thursday"),
        {"operator": "NOT", "conditions": [matching("date(UTC).Hour.GE", "5")]},
    ]});
    put(&domain, &policy("hours", "svc", &allow(), &json!({"conditions": thursday}))).await;
    let client = domain.client("svc", Http::One);
    let mut open: Vec<_> = Vec::new();
    for http in BOTH {
        open.push((client.over(http), client.over(http).connect().await));
    }
    // 03:04:05, 04:59:59, 05:00:00 and 06:00:00, and 00:00:00 and 01:00:00 of the next day.
    let hour = 3_600;
    for (seconds, expected) in [
        (0, true),
        (hour + 55 * 60 + 54, true),
        (1, false),
        (hour, false),
        (18 * hour, true),
        (hour, false),
    ] {
        domain.server.clock.advance(seconds);
        for (client, connection) in &mut open {
            assert_eq!(may(client, connection).await, expected, "after {seconds} seconds more");
        }
    }
}

#[tokio::test]
async fn a_policy_says_nothing_from_its_end_on() {
    let domain = Domain::new().await;
    domain.admin.create("app/a", "{}").await.ok();
    domain.rule("svc", &[]).await;
    domain.rule("other", &["admin"]).await;
    let end = json!({"expiredAt": "2025-01-02T04:04:05+01:00"});
    // It is over at the moment itself, which is that of the first request.
    put(&domain, &policy("over", "svc", &allow(), &end)).await;
    let end = json!({"expiredAt": "2025-01-02T03:04:06Z"});
    let shown = put(&domain, &policy("allowed", "svc", &allow(), &end)).await;
    assert_eq!(shown["expiredAt"], "2025-01-02T03:04:06Z");
    let deny = json!({"deny": [{"action": READ}]});
    put(&domain, &policy("denied", "other", &deny, &end)).await;
    let (svc, other) = (domain.client("svc", Http::One), domain.client("other", Http::Two));
    let (mut of_svc, mut of_other) = (svc.connect().await, other.connect().await);
    for (seconds, allowed) in [(0, true), (1, false), (3_600, false)] {
        domain.server.clock.advance(seconds);
        assert_eq!(may(&svc, &mut of_svc).await, allowed);
        assert_eq!(may(&other, &mut of_other).await, !allowed);
    }
}

#[tokio::test]
async fn a_condition_on_the_address_is_about_where_the_connection_comes_from() {
    let domain = Domain::new().await;
    domain.admin.create("app/a", "{}").await.ok();
    domain.rule("svc", &[]).await;
    let client = domain.client("svc", Http::One);
    let from = |text: &str| text.parse::<IpAddr>().unwrap();
    let mut inside = client.connect_from(from("127.0.9.1")).await;
    let mut outside = client.connect_from(from("127.0.8.1")).await;
    assert!(!may(&client, &mut inside).await && !may(&client, &mut outside).await);
    // In either form.
    for range in ["127.0.9.0/24", "::ffff:127.0.9.0/120"] {
        let only = json!({"conditions": matching("request.IP.IN_RANGE", range)});
        let made = put(&domain, &policy("inside", "svc", &allow(), &only)).await;
        assert_eq!(made["conditions"], only["conditions"], "as it was written");
        assert!(may(&client, &mut inside).await);
        assert!(!may(&client, &mut outside).await);
        let id = made["id"].as_str().unwrap();
        let at = domain.at(&format!("policy/{id}"));
        assert_eq!(domain.admin.call(Method::DELETE, &at, "").await.status, 204);
    }
    put(&domain, &policy("all", "svc", &allow(), &json!({}))).await;
    let deny = json!({"deny": [{"action": READ}]});
    let elsewhere = json!({"conditions": {
        "operator": "NOT",
        "conditions": [matching("request.IP", "127.0.9.1")],
    }});
    put(&domain, &policy("not outside", "svc", &deny, &elsewhere)).await;
    assert!(may(&client, &mut inside).await);
    assert!(!may(&client, &mut outside).await);
}

/// A token and a user are judged anew for each request, too: what they have is remembered by name.
#[tokio::test]
async fn tokens_and_users_are_under_the_conditions_of_their_policies() {
    let domain = Domain::new().await;
    domain.admin.create("app/a", r#"{"k":"v"}"#).await.ok();
    let end = json!({"expiredAt": "2025-01-02T04:00:00Z"});
    put(&domain, &policy("early", "nobody", &allow(), &end)).await;
    put(&domain, &policy("of ann", "ann", &allow(), &end)).await;
    let v1 = |rest: &str| format!("/api/{}/v1/{rest}", domain.admin.id);
    let user = json!({"password": "correct horse"}).to_string();
    let at = v1("auth/userpass/users/ann");
    assert_eq!(domain.admin.call(Method::PUT, &at, &user).await.status, 204);
    let mut tokens = Vec::new();
    for (at, body) in [
        ("auth/token/create", json!({"policies": ["early"]})),
        ("auth/userpass/login/ann", json!({"password": "correct horse"})),
    ] {
        let made = domain.admin.call(Method::PUT, &v1(at), &body.to_string()).await.ok();
        tokens.push(made["auth"]["client_token"].as_str().unwrap().to_owned());
    }
    let mut open = domain.admin.connect().await;
    for (seconds, status) in [(0, 200), (0, 200), (3_600, 403), (0, 403)] {
        domain.server.clock.advance(seconds);
        for token in &tokens {
            let headers = [("x-vault-token", token.as_str())];
            let read = open.send(Method::GET, &v1("secret/data/app/a"), &headers, "").await;
            assert_eq!(read.status, status);
        }
        // The certificate is its domain's administrator.
        let read = open.send(Method::GET, &v1("secret/data/app/a"), &[], "").await;
        assert_eq!(read.status, 200);
    }
}

#[tokio::test]
async fn it_is_told_what_would_be_at_another_time_and_place() {
    let domain = Domain::new().await;
    domain.rule("svc", &[]).await;
    domain.rule("free", &["read-only"]).await;
    let both = json!({
        "conditions": matching("request.IP.IN_RANGE", "10.0.0.0/8"),
        "expiredAt": "2025-06-30T00:00:00Z",
    });
    put(&domain, &policy("office", "svc", &allow(), &both)).await;
    let deny = json!({"deny": [{"action": READ}]});
    let not_office = json!({"conditions": {
        "operator": "NOT",
        "conditions": [matching("request.IP.IN_RANGE", "10.0.0.0/8")],
    }});
    put(&domain, &policy("no other", "free", &deny, &not_office)).await;
    let ask = async |client: &Client, extra: Value| {
        let mut body = json!({"action": "okms:apikms:secret/get", "path": "app/a"});
        for (member, value) in extra.as_object().unwrap() {
            body[member] = value.clone();
        }
        client.call(Method::POST, &domain.at("policy/test"), &body.to_string()).await
    };
    let (office, later) = ("10.1.2.3", "2025-06-30T00:00:00Z");
    for (rule, at, address, is_allowed, unmet) in [
        ("svc", Some(START_TEXT), Some(office), true, json!([])),
        ("svc", None, Some(office), true, json!([])),
        ("svc", None, Some("::ffff:10.1.2.3"), true, json!([])),
        ("svc", Some(later), Some(office), false, json!(["office"])),
        ("svc", None, Some("192.0.2.1"), false, json!(["office"])),
        // Where nobody knows, what is allowed is not, and what is denied is.
        ("svc", None, None, false, json!(["office"])),
        ("free", None, Some(office), true, json!(["no other"])),
        ("free", None, Some("192.0.2.1"), false, json!([])),
        ("free", None, None, false, json!([])),
    ] {
        let told =
            ask(&domain.admin, json!({"rule": rule, "at": at, "address": address})).await.ok();
        assert_eq!(told["isAllowed"], is_allowed, "{rule} {at:?} {address:?}: {told}");
        assert_eq!(told["unmetConditions"], unmet, "{rule} {at:?} {address:?}");
    }
    // Of oneself, what this very request would find.
    let svc = domain.client("svc", Http::One);
    assert_eq!(ask(&svc, json!({})).await.ok()["isAllowed"], false);
    assert_eq!(ask(&svc, json!({"address": office})).await.ok()["isAllowed"], true);
    assert_eq!(ask(&svc, json!({"address": office, "at": later})).await.ok()["isAllowed"], false);
    for wrong in [json!({"at": "yesterday"}), json!({"address": "localhost"})] {
        ask(&svc, wrong).await.error(400, 50_405_377);
    }
}
