//! What helps whoever develops (cases 113 to 116).

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Uris, is, refused};
use crate::{
    access::Domain,
    feeds::Events,
    harness::{BOTH, Client, Http, TestServer, eventually},
};

const EVENTS: &str = "/api/secrets/events";

/// What there is once there are so many, the oldest first.
async fn told(uris: &Uris, query: &str, number: usize) -> Vec<Value> {
    let case = format!("GET audit {query}");
    eventually(format!("{number} of {query}"), async || uris.told(&case).await["total"] == number)
        .await;
    let mut items = uris.told(&case).await["items"].as_array().unwrap().clone();
    items.reverse();
    items
}

fn all<'v>(items: &'v [Value], member: &str) -> Vec<&'v str> {
    items.iter().map(|item| item[member].as_str().unwrap_or("-")).collect()
}

/// 113: where nobody has said so there is none of it, for nobody.
#[tokio::test]
async fn they_are_hidden() {
    let server = TestServer::start_with(|config| config.dev.helpers = Some(false)).await;
    let client = server.tenant().await;
    let operator = Client { id: client.id.clone(), ..server.operator() };
    for client in [client, operator, server.anonymous()] {
        let uris = Uris { client };
        let nothing = uris.ask("GET nothing").await;
        for case in ["GET events", "GET audit", "GET audit ?limit=0"] {
            let answer = uris.ask(case).await;
            refused(&answer, 404, "NOT_FOUND");
            assert_eq!(answer.likeness(), nothing.likeness(), "{case}");
        }
        is(&uris.ask("POST audit {}").await, "404 NOT_FOUND", "another method");
    }
}

/// Whoever was answered need not wait to find there what they have done.
#[tokio::test]
async fn a_change_is_told_with_its_answer() {
    let domain = Domain::new().await;
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let uris = Uris { client: domain.client("test", Http::Two) };
        writers.spawn(async move {
            for turn in 0..20 {
                let case = format!(r#"POST {{"uri":"U app/told/{writer}#t","value":"{turn}"}}"#);
                let answer = uris.ask(&case).await;
                let own = answer.headers["x-request-id"].to_str().unwrap().to_owned();
                answer.ok();
                let told = uris.told("GET audit").await;
                assert!(
                    all(told["items"].as_array().unwrap(), "request_id").contains(&&*own),
                    "{turn}"
                );
            }
        });
    }
    writers.join_all().await;
}

/// 114: what was done, and what was refused, by what stands for the secret and without its path.
#[tokio::test]
async fn what_was_asked_of_late() {
    let domain = Domain::new().await;
    let server = &domain.server;
    domain.rule("writer", &[]).await;
    domain
        .policy("writer", &["other/*"], json!({"allow": ["secret/version/getData", "secret/get"]}))
        .await;
    let admin = Uris { client: domain.admin.clone() };
    let writer = Uris { client: domain.client("writer", Http::One) };
    admin.versions("app/canary", &[r#"{"t":"canary-of-a-value"}"#]).await;
    let before = told(&admin, "", 2).await.len();
    let read = admin.ask("GET value U app/canary#t").await;
    is(
        &writer.ask("GET value U app/canary#t").await,
        "403 SECRET_AUTHZ_FAILED",
        "who may read others",
    );
    admin.ask(r#"POST {"uri":"U app/canary#t","value":"canary-of-another"}"#).await.ok();
    let items = told(&admin, "", before + 3).await;
    let items = &items[before..];
    assert_eq!(all(items, "effect"), ["permit", "deny", "permit"]);
    assert_eq!(all(items, "purpose"), ["read", "read", "write"]);
    assert_eq!(all(items, "code"), ["-", "SECRET_AUTHZ_FAILED", "-"]);
    assert_eq!(all(items, "common_name"), ["test", "writer", "test"]);
    let refs = all(items, "resource_ref");
    assert!(refs[0].len() == 43 && refs.iter().all(|one| *one == refs[0]), "{refs:?}");
    let first = &items[0];
    assert_eq!(first["status"], 200);
    assert_eq!(first["version"], 1);
    assert_eq!(first["dialect"], "canonical");
    assert_eq!(first["iam"], "okms:apikms:secret/version/getData");
    assert_eq!(first["request_id"], read.headers["x-request-id"].to_str().unwrap());
    assert!(first["decision_id"].is_string());
    for member in ["acting_tenant", "tenant_id"] {
        assert_eq!(first[member], *domain.admin.id, "{member}");
    }
    assert!(first["subject"].as_str().unwrap().starts_with("cert:"));
    // Through another dialect it is the secret as a whole.
    domain.admin.get("secret/app/canary?includeData=true").await.ok();
    let items = told(&admin, "", before + 4).await;
    let native = items.last().unwrap();
    assert_eq!(
        (&native["dialect"], &native["resource_ref"]),
        (&json!("okms"), &items[0]["resource_ref"])
    );
    let text = admin.ask("GET audit").await.text().to_owned();
    assert!(!text.contains("canary"), "{text}");
    // What is asked for, of all that there is.
    let subject = first["subject"].as_str().unwrap();
    for (query, number) in [
        ("?effect=deny", 1),
        ("?purpose=write", 2),
        ("?purpose=rotate", 0),
        ("?effect=error", 1),
        ("?effect=deny&resource_ref=none", 0),
        (&*format!("?resource_ref={}", refs[0]), 3),
        (&*format!("?subject={subject}"), before + 3),
        ("?since=2020-01-01T00:00:00Z", before + 4),
        ("?since=2030-01-01T00:00:00Z", 0),
    ] {
        assert_eq!(told(&admin, query, number).await.len(), number, "{query}");
    }
    let page = admin.told("GET audit ?limit=2&offset=1").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    assert_eq!(page["items"][1]["effect"], "deny");
    assert_eq!(
        (&page["limit"], &page["offset"], &page["total"], &page["has_more"]),
        (&json!(2), &json!(1), &json!(before + 4), &json!(true))
    );
    admin
        .says(&[
            ("GET audit ?limit=0", "400 INVALID_FIELD"),
            ("GET audit ?effect=maybe", "400 INVALID_FIELD"),
            ("GET audit ?since=yesterday", "400 INVALID_FIELD"),
            ("GET audit ?limit=1&limit=1", "400 AMBIGUOUS_QUERY"),
            ("POST audit {}", "405 METHOD_NOT_ALLOWED"),
        ])
        .await;
    // Who may not see each secret is not told who has asked for any.
    for case in ["GET audit", "GET events"] {
        is(&writer.ask(case).await, "403 SECRET_AUTHZ_FAILED", case);
    }
    // 116: nor is another domain told of this one.
    let other = Uris { client: server.tenant().await };
    assert_eq!(other.told("GET audit").await["total"], 0);
    other.ask_with("GET value U app/canary", &[("x-tenant-id", &*domain.admin.id)]).await;
    other.ask("GET value U own").await;
    let items = told(&other, "", 1).await;
    assert_eq!(
        (&items[0]["code"], &items[0]["tenant_id"]),
        (&json!("SECRET_NOT_FOUND"), &json!(other.client.id))
    );
    assert_eq!(admin.told("GET audit").await["total"], before + 4);
}

/// Each of several by itself.
#[tokio::test]
async fn each_of_several_is_told() {
    let (_server, uris) = Uris::start().await;
    uris.ask(
        r#"POST bulk {"operations":[{"op":"set","uri":"U a","value":{}},{"op":"delete","uri":"U none"},{"op":"set","uri":"U a","value":{}}]}"#,
    )
    .await
    .ok();
    let items = told(&uris, "", 3).await;
    assert_eq!(all(&items, "effect"), ["permit", "error", "permit"]);
    assert_eq!(all(&items, "purpose"), ["write", "delete", "write"]);
    assert_eq!(all(&items, "code"), ["-", "SECRET_NOT_FOUND", "-"]);
    let statuses: Vec<_> = items.iter().map(|item| item["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 404, 200]);
    assert_eq!(items[0]["resource_ref"], items[2]["resource_ref"]);
    assert_ne!(items[0]["resource_ref"], items[1]["resource_ref"]);
}

/// The kinds of events that were told.
fn kinds(feed: &Events) -> Vec<String> {
    let lines = feed.text().lines().filter_map(|line| line.strip_prefix("event: secret."));
    lines.map(str::to_owned).collect()
}

/// 115: as it happens, and behind what was told before.
#[tokio::test]
async fn events_as_they_happen() {
    for http in BOTH {
        let (server, uris) = Uris::start().await;
        let client = uris.client.over(http);
        let mut feed = Events::open(&client, EVENTS, &[]).await;
        assert_eq!(feed.status(), 200);
        let begun = Instant::now();
        uris.ask(r#"POST {"uri":"U a","value":{"t":1}}"#).await.ok();
        let first = feed.records(1).await;
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(
            (kinds(&feed), &first[0].1["effect"]),
            (vec!["updated".to_owned()], &json!("permit"))
        );
        let numbers: u64 = first[0].0.parse().unwrap();
        for case in [
            "GET value U a",
            r#"POST rotate {"uri":"U a","value":{"t":2}}"#,
            "DELETE U a",
            r#"POST undelete {"uri":"U a","versions":[2]}"#,
            r#"POST destroy-versions {"uri":"U a","versions":[1]}"#,
            r#"POST move {"fromUri":"U a","toUri":"U b"}"#,
            "DELETE U b&destroy=true",
            // Nothing has happened.
            "GET value U b",
            "GET metadata",
            "GET versions U a",
        ] {
            uris.ask(case).await;
        }
        let told = feed.records(8).await;
        let expected = [
            "updated",
            "read",
            "rotated",
            "deleted",
            "undeleted",
            "destroyed",
            "moved",
            "destroyed",
        ];
        assert_eq!(kinds(&feed), expected);
        assert!(!feed.text().contains("secret/a") && told.is_sorted_by_key(|(id, _)| id.clone()));
        // Whoever comes back misses none.
        drop(feed);
        uris.ask(r#"POST {"uri":"U c","value":{}}"#).await.ok();
        let at = format!("{EVENTS}?since={numbers}");
        for (path, headers) in [(EVENTS, vec![("last-event-id", &*first[0].0)]), (&*at, vec![])] {
            let mut again = Events::open(&client, path, &headers).await;
            again.records(8).await;
            assert_eq!(kinds(&again)[..7], expected[1..]);
            assert_eq!(kinds(&again)[7], "updated");
        }
        // Who asks for its head alone has no feed by that.
        for _ in 0..6 {
            let head = client.call(Method::HEAD, EVENTS, "").await;
            let kind = head.headers["content-type"].to_str().unwrap();
            assert_eq!((head.status.as_u16(), kind), (200, "text/event-stream"));
            assert!(head.body.is_empty());
        }
        let wrong = uris.client.send(Method::GET, EVENTS, &[("last-event-id", "x")], "").await;
        refused(&wrong, 400, "INVALID_FIELD");
        let wrong = uris.client.call(Method::GET, &format!("{EVENTS}?since="), "").await;
        refused(&wrong, 400, "INVALID_FIELD");
        drop(server);
    }
}

/// 115: four of a domain, sixteen in all, and each place is free again when its feed has ended.
#[tokio::test]
async fn places_are_counted() {
    let (server, uris) = Uris::start().await;
    let mut feeds = Vec::new();
    for _ in 0..4 {
        feeds.push(Events::open(&uris.client, EVENTS, &[]).await);
    }
    assert!(feeds.iter().all(|feed| feed.status() == 200));
    let refuse = async |client: &Client| {
        let answer = client.call(Method::GET, EVENTS, "").await;
        refused(&answer, 429, "TOO_MANY_REQUESTS");
        assert!(answer.headers.contains_key("retry-after"));
    };
    refuse(&uris.client).await;
    for _ in 0..3 {
        let other = server.tenant().await;
        for _ in 0..4 {
            feeds.push(Events::open(&other, EVENTS, &[]).await);
        }
    }
    assert!(feeds.len() == 16 && feeds.iter().all(|feed| feed.status() == 200));
    let late = server.tenant().await;
    refuse(&late).await;
    // They take nothing from other feeds, nor from requests.
    uris.ask(r#"POST {"uri":"U a","value":{}}"#).await.ok();
    assert_eq!(Events::open(&uris.client, &uris.client.url("events"), &[]).await.status(), 200);
    feeds.truncate(15);
    eventually("a place is free", async || Events::open(&late, EVENTS, &[]).await.status() == 200)
        .await;
}

/// A feed ends with the right to it, and with the server.
#[tokio::test]
async fn feeds_end() {
    let domain = Domain::new().await;
    domain.rule("reader", &["read-only"]).await;
    let reader = domain.client("reader", Http::One);
    let feed = Events::open(&reader, EVENTS, &[]).await;
    assert_eq!(feed.status(), 200);
    domain.rule("reader", &[]).await;
    assert!(feed.whole().await.contains("you may not see it any more"));
    let feed = Events::open(&domain.admin, EVENTS, &[]).await;
    domain.server.begin_stop();
    feed.whole().await;
}
