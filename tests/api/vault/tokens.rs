//! Tokens: from their login to their end.

use std::time::Duration;

use okmsd::{config::Span, pki::Subject};
use serde_json::{Value, json};

use super::{DENIED, Vault, after, part};
use crate::harness::{Client, Http, START, TestServer};

const MONTH: i64 = 768 * 3_600;

/// A domain whose certificate outlives its tokens; the root of its paths.
async fn lasting() -> (TestServer, Vault) {
    let (server, client) = TestServer::with_tenant().await;
    let pair = server.issue(&Subject::Domain(client.id.parse().unwrap()), 365);
    let client: Client = server.client(Some(&pair), Some(&client.id), Http::One);
    let root = Vault::of(&client).root();
    (server, root)
}

/// What a login answers with, and other calls that make or prolong a token.
async fn auth(vault: &Vault, path: &str, body: impl std::fmt::Display) -> Value {
    let envelope = vault.put(path, body).await.envelope();
    assert_eq!((&envelope["data"], &envelope["wrap_info"]), (&json!(null), &json!(null)));
    envelope["auth"].clone()
}

async fn login(root: &Vault) -> String {
    auth(root, "auth/cert/login", "{}").await["client_token"].as_str().unwrap().to_owned()
}

/// What a token says of itself.
async fn lookup(root: &Vault, token: &str) -> Value {
    root.token(token).get("auth/token/lookup-self").await.shown()
}

#[tokio::test]
async fn a_login_as_clients_do_it() {
    let (_server, root) = lasting().await;
    let mut tokens = Vec::new();
    for (headers, body) in [
        // The CLI, hvac, External Secrets Operator, vaultrs.
        ([("x-vault-request", "true")], r#"{"name":""}"#),
        ([("content-type", "application/json")], r#"{"name":"any"}"#),
        ([("x-vault-request", "true")], "null"),
        ([("x-vault-request", "true")], r#"{"cert_name":"any"}"#),
        // node-vault.
        ([("content-type", "application/x-www-form-urlencoded")], ""),
    ] {
        for method in ["PUT", "POST"] {
            let caller = headers
                .into_iter()
                .fold(root.clone(), |vault, (name, value)| vault.with(name, value));
            let envelope = caller.send(method, "auth/cert/login", body).await.envelope();
            let auth = &envelope["auth"];
            let expected = json!({
                "policies": ["default"], "token_policies": ["default"], "lease_duration": MONTH, "renewable": true,
                "entity_id": "", "token_type": "service", "orphan": true, "mfa_requirement": null, "num_uses": 0,
            });
            assert_eq!(part(auth, &expected), expected, "{body}");
            assert!(auth["metadata"].is_object() || auth["metadata"].is_null());
            assert_eq!((&envelope["data"], &envelope["lease_duration"]), (&json!(null), &json!(0)));
            let (token, accessor) =
                (auth["client_token"].as_str().unwrap(), auth["accessor"].as_str().unwrap());
            let secret = token.strip_prefix("okms.").unwrap().strip_prefix(accessor).unwrap();
            assert!(secret.strip_prefix('.').unwrap().len() >= 20);
            tokens.push(token.to_owned());
        }
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 10);
}

#[tokio::test]
async fn a_token_is_as_good_as_none() {
    let (_server, root) = lasting().await;
    let token = login(&root).await;
    let bearer = root.with("authorization", format!("Bearer {token}"));
    for caller in [root.token(&token), bearer.clone(), root.clone(), bearer.token(&token)] {
        caller.put("secret/data/foo", json!({"data": {}})).await.shown();
        caller.get("secret/data/foo").await.shown();
        caller.list("secret/metadata").await.shown();
    }
    // Vault's own header goes first.
    let both = root.with("authorization", "Bearer okms.no.such").token(&token);
    both.get("secret/data/foo").await.shown();
    assert_eq!(root.get("secret/data/foo").await.shown()["metadata"]["version"], 4);
    // The native dialect knows no tokens.
    root.client.get("secret/foo").await.ok();
}

#[tokio::test]
async fn what_is_no_token() {
    let (_server, root) = lasting().await;
    let token = login(&root).await;
    let mut longer = token.clone();
    longer.push('A');
    let (other, accessor) = (login(&root).await, lookup(&root, &token).await["accessor"].clone());
    let (_, other_secret) = other.rsplit_once('.').unwrap();
    let mixed = format!("okms.{}.{other_secret}", accessor.as_str().unwrap());
    for wrong in [
        "x",
        "root",
        "okms",
        "okms.",
        "okms..",
        "okms.a.b",
        "hvs.CAESIJ",
        &longer,
        &token[..token.len() - 1],
        &mixed,
        &token.to_uppercase(),
        &format!("{token} {token}"),
        &"x".repeat(5_000),
    ] {
        for caller in [root.token(wrong), root.with("authorization", format!("Bearer {wrong}"))] {
            caller.get("secret/data/foo").await.refused(403, DENIED);
            caller.put("secret/data/foo", json!({"data": {}})).await.refused(403, DENIED);
            caller.get("auth/token/lookup-self").await.refused(403, DENIED);
            caller.get("nowhere/data/foo").await.refused(403, DENIED);
        }
        root.post("auth/token/lookup", json!({ "token": wrong })).await.refused(403, "bad token");
    }
    root.get("secret/data/foo").await.absent();
    lookup(&root, &token).await;
}

#[tokio::test]
async fn what_a_token_says_of_itself() {
    let (server, root) = lasting().await;
    server.clock.advance(100);
    let token = login(&root).await;
    server.clock.advance(50);
    let shown = lookup(&root, &token).await;
    let mut expected = json!({
        "id": token, "policies": ["default"], "path": "auth/cert/login", "num_uses": 0, "orphan": true,
        "creation_time": START + 100, "creation_ttl": MONTH, "expire_time": after(100 + MONTH), "ttl": MONTH - 50,
        "entity_id": "", "type": "service", "renewable": true, "issue_time": after(100),
    });
    assert_eq!(part(&shown, &expected), expected);
    assert!(shown["explicit_max_ttl"].is_u64() && shown["display_name"].is_string(), "{shown}");
    assert!(shown["meta"].is_object() || shown["meta"].is_null(), "{shown}");
    // By its text, from a caller without a token.
    let by_text = root.post("auth/token/lookup", json!({ "token": token })).await.shown();
    assert_eq!(by_text, shown);
    // By its accessor, which does not lead to the token.
    let accessor = json!({"accessor": shown["accessor"]});
    let answer = root.post("auth/token/lookup-accessor", accessor).await;
    expected["id"] = json!("");
    assert_eq!(part(&answer.shown(), &expected), expected);
    assert!(!answer.text().contains(&token));
    let unknown = root.post("auth/token/lookup-accessor", json!({"accessor": "AAAAAAAA"})).await;
    assert!(unknown.status.is_client_error(), "{}", unknown.text());
}

#[tokio::test]
async fn a_token_ends() {
    let (server, root) = lasting().await;
    let token = login(&root).await;
    let short = auth(&root, "auth/token/create", json!({"ttl": "1h"})).await;
    assert_eq!(short["lease_duration"], 3_600);
    let short = short["client_token"].as_str().unwrap().to_owned();
    root.token(&short).put("secret/data/foo", json!({"data": {}})).await.shown();
    server.clock.advance(3_599);
    assert_eq!(lookup(&root, &short).await["ttl"], 1);
    server.clock.advance(2);
    root.token(&short).get("secret/data/foo").await.refused(403, DENIED);
    root.token(&short).put("auth/token/renew-self", "{}").await.refused(403, DENIED);
    root.post("auth/token/lookup", json!({ "token": short })).await.refused(403, "bad token");
    lookup(&root, &token).await;
    server.clock.advance(MONTH);
    root.token(&token).get("secret/data/foo").await.refused(403, DENIED);
    // The certificate alone still does.
    root.get("secret/data/foo").await.shown();
    lookup(&root, &login(&root).await).await;
}

#[tokio::test]
async fn a_token_is_renewed_within_its_month() {
    let (server, root) = lasting().await;
    let token = login(&root).await;
    let own = root.token(&token);
    server.clock.advance(36_000);
    for body in ["", "{}", r#"{"increment":0}"#, r#"{"increment":"9999h"}"#] {
        let renewed = auth(&own, "auth/token/renew-self", body).await;
        assert_eq!(renewed["client_token"], token.as_str());
        assert_eq!(renewed["lease_duration"], MONTH - 36_000, "{body}");
        assert_eq!(renewed["renewable"], true);
    }
    let renewed = auth(&own, "auth/token/renew-self", json!({"increment": "1h"})).await;
    assert_eq!(renewed["lease_duration"], 3_600);
    let renewed =
        auth(&root, "auth/token/renew", json!({"token": token, "increment": 7_200})).await;
    assert_eq!(renewed["lease_duration"], 7_200);
    assert_eq!(lookup(&root, &token).await["ttl"], 7_200);
    assert_eq!(lookup(&root, &token).await["expire_time"], after(36_000 + 7_200));
    // A short one can be stretched to a month from its making, and no further.
    let made = auth(&root, "auth/token/create", json!({"ttl": "1h"})).await;
    let short = root.token(made["client_token"].as_str().unwrap());
    server.clock.advance(3_000);
    let renewed = auth(&short, "auth/token/renew-self", json!({"increment": "768h"})).await;
    assert_eq!(renewed["lease_duration"], MONTH - 3_000);
    // By the accessor, which does not lead to the token.
    let by_accessor = json!({"accessor": made["accessor"], "increment": 60});
    let answer = root.put("auth/token/renew-accessor", by_accessor).await;
    let renewed = answer.envelope()["auth"].clone();
    assert_eq!((&renewed["lease_duration"], &renewed["client_token"]), (&json!(60), &json!("")));
}

/// A token can be given an end of its own that no renewal leads beyond.
#[tokio::test]
async fn a_token_with_an_end_of_its_own() {
    let (server, root) = lasting().await;
    let made = auth(&root, "auth/token/create", json!({"explicit_max_ttl": "1h"})).await;
    assert_eq!(made["lease_duration"], 3_600);
    let token = made["client_token"].as_str().unwrap();
    server.clock.advance(600);
    let renewed =
        auth(&root.token(token), "auth/token/renew-self", json!({"increment": "5h"})).await;
    assert_eq!(renewed["lease_duration"], 3_000);
    assert_eq!(lookup(&root, token).await["explicit_max_ttl"], 3_600);
    server.clock.advance(3_001);
    root.token(token).get("secret/data/foo").await.refused(403, DENIED);
}

#[tokio::test]
async fn a_token_that_is_not_renewable() {
    let (_server, root) = lasting().await;
    let made = auth(&root, "auth/token/create", json!({"renewable": false, "ttl": "1h"})).await;
    assert_eq!(made["renewable"], false);
    let token = made["client_token"].as_str().unwrap();
    assert_eq!(lookup(&root, token).await["renewable"], false);
    let text = "lease is not renewable";
    root.token(token)
        .put("auth/token/renew-self", json!({"increment": 0}))
        .await
        .refused(400, text);
    root.put("auth/token/renew", json!({ "token": token })).await.refused(400, text);
    assert_eq!(lookup(&root, token).await["ttl"], 3_600);
}

#[tokio::test]
async fn a_token_makes_tokens_that_are_not_its_children() {
    let (_server, root) = lasting().await;
    let parent = login(&root).await;
    let body = json!({"display_name": "job", "meta": {"for": "ci"}, "policies": ["default"], "ttl": "9999h"});
    let made = auth(&root.token(&parent), "auth/token/create", body).await;
    let expected = json!({
        "policies": ["default"], "token_policies": ["default"], "lease_duration": MONTH, "token_type": "service",
        "orphan": true, "num_uses": 0,
    });
    assert_eq!(part(&made, &expected), expected);
    let child = made["client_token"].as_str().unwrap();
    let shown = lookup(&root, child).await;
    assert_eq!(
        (&shown["meta"], &shown["path"]),
        (&json!({"for": "ci"}), &json!("auth/token/create"))
    );
    assert!(shown["display_name"].as_str().unwrap().contains("job"), "{shown}");
    root.token(&parent).put("auth/token/revoke-self", "").await.nothing();
    lookup(&root, child).await;
    root.post("auth/token/create", json!({"num_uses": 1})).await.refused_with(400, "num_uses");
}

#[tokio::test]
async fn a_token_is_revoked() {
    let (_server, root) = lasting().await;
    let kept = login(&root).await;
    for way in ["self", "text", "orphan", "accessor"] {
        let token = login(&root).await;
        let accessor = lookup(&root, &token).await["accessor"].clone();
        match way {
            "self" => root.token(&token).put("auth/token/revoke-self", "").await.nothing(),
            "text" => root.put("auth/token/revoke", json!({ "token": token })).await.nothing(),
            "orphan" => {
                root.put("auth/token/revoke-orphan", json!({ "token": token })).await.nothing()
            }
            _ => root
                .post("auth/token/revoke-accessor", json!({ "accessor": accessor }))
                .await
                .nothing(),
        }
        root.token(&token).get("secret/data/foo").await.refused(403, DENIED);
        root.token(&token).put("auth/token/revoke-self", "").await.refused(403, DENIED);
        root.token(&token).put("auth/token/renew-self", "").await.refused(403, DENIED);
        root.post("auth/token/lookup", json!({ "token": token })).await.refused(403, "bad token");
        let gone = root.post("auth/token/lookup-accessor", json!({ "accessor": accessor })).await;
        assert!(gone.status.is_client_error(), "{way}: {}", gone.text());
    }
    lookup(&root, &kept).await;
}

/// A client that has kept a dead token sends it along when it logs in for another, and when it asks
/// for the server's state. Neither asks for a token.
#[tokio::test]
async fn where_a_token_does_not_matter() {
    let (_server, root) = lasting().await;
    let token = login(&root).await;
    root.token(&token).put("auth/token/revoke-self", "").await.nothing();
    for dead in [&token, "x"] {
        let caller = root.token(dead);
        lookup(&root, &login(&caller).await).await;
        for path in ["sys/health", "sys/seal-status", "sys/leader", "sys/init"] {
            caller.get(path).await.ok();
        }
    }
}

#[tokio::test]
async fn tokens_outlive_a_restart() {
    let (mut server, root) = lasting().await;
    let (kept, revoked) = (login(&root).await, login(&root).await);
    root.token(&revoked).put("auth/token/revoke-self", "").await.nothing();
    let before = lookup(&root, &kept).await;
    server.restart().await;
    let root = Vault { client: server.at(&root.client), ..root };
    assert_eq!(lookup(&root, &kept).await, before);
    root.token(&revoked).get("secret/data/foo").await.refused(403, DENIED);
    // What is in the store is no token.
    server.stop().await;
    let store = std::fs::read(&server.config.store.path).unwrap();
    for token in [&kept, &revoked] {
        let (_, secret) = token.rsplit_once('.').unwrap();
        assert!(!store.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()));
    }
}

/// What `vault token create` and `bao token create` send: a period of nothing was refused as if it
/// were one.
#[tokio::test]
async fn a_token_as_the_cli_creates_it() {
    let (_server, root) = lasting().await;
    let body = json!({
        "ttl": "0s", "explicit_max_ttl": "0s", "period": "0s", "display_name": "", "num_uses": 0, "renewable": true,
        "type": "service", "entity_alias": "", "id": "", "policies": ["default"],
    });
    let made = auth(&root, "auth/token/create", body).await;
    assert_eq!((&made["lease_duration"], &made["renewable"]), (&json!(MONTH), &json!(true)));
    for wrong in [json!({"period": "1h"}), json!({"id": "mine"}), json!({"num_uses": 3})] {
        root.put("auth/token/create", wrong).await.refused_with(400, "not served");
    }
}

/// Tokens that are over go with the next ones, also where many are made at once: nothing piles up.
#[tokio::test]
async fn tokens_that_are_over_are_cleared_away() {
    let (mut server, root) = lasting().await;
    let mut last = String::new();
    for _ in 0..150 {
        last = login(&root).await;
    }
    server.clock.advance(MONTH + 1);
    let logins = (0..8).map(|_| {
        let root = root.clone();
        tokio::spawn(async move { login(&root).await })
    });
    for task in logins.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    root.token(&last).get("auth/token/lookup-self").await.refused(403, DENIED);
    server.stop().await;
    let database = redb::Database::open(server.path("okmsd.redb")).unwrap();
    let reading = redb::ReadableDatabase::begin_read(&database).unwrap();
    let table = reading.open_table(redb::TableDefinition::<&[u8], &[u8]>::new("token")).unwrap();
    // Each of the eight is a record and an end.
    assert_eq!(redb::ReadableTableMetadata::len(&table).unwrap(), 16);
}

/// A token costs its login one write, and nothing ever after; without one there is none.
#[tokio::test]
async fn only_a_login_writes_a_token() {
    let (server, root) = lasting().await;
    root.put("secret/data/foo", json!({"data": {}})).await.shown();
    let before = server.metric("okmsd_commits_total").await;
    let token = login(&root).await;
    assert!((server.metric("okmsd_commits_total").await - before - 1.0).abs() < 0.1);
    for caller in [&root, &root.token(&token)] {
        caller.get("secret/data/foo").await.shown();
        caller.list("secret/metadata").await.keys();
        caller.get("sys/mounts").await.envelope();
    }
    root.token(&token).get("auth/token/lookup-self").await.shown();
    root.token("okms.no.token").get("secret/data/foo").await.refused(403, DENIED);
    assert!((server.metric("okmsd_commits_total").await - before - 1.0).abs() < 0.1);
}

/// How long tokens live was fixed. It is the operator's to set, and the client's to ask for less.
#[tokio::test]
async fn the_life_of_tokens_is_a_setting() {
    const HOUR: i64 = 3_600;
    let server = TestServer::start_with(|config| {
        config.tokens.default_ttl = Span(Duration::from_secs(2 * 3_600));
        config.tokens.max_ttl = Span(Duration::from_secs(5 * 3_600));
    })
    .await;
    let root = Vault::of(&server.tenant().await).root();
    let made = async |body: Value| {
        let envelope = root.post("auth/token/create", body).await.envelope();
        (envelope["auth"].clone(), envelope["warnings"].clone())
    };
    assert_eq!(auth(&root, "auth/cert/login", "{}").await["lease_duration"], 2 * HOUR);
    let cut = |wished: &str, most: &str| {
        json!([format!(
            "TTL of \"{wished}\" exceeded the effective max_ttl of \"{most}\"; TTL value is capped accordingly"
        )])
    };
    for (body, life, limit, warnings) in [
        (json!({}), 2 * HOUR, 0, json!(null)),
        (json!({"ttl": "0"}), 2 * HOUR, 0, json!(null)),
        (json!({"ttl": "90m"}), 5_400, 0, json!(null)),
        (json!({"ttl": 60}), 60, 0, json!(null)),
        (json!({"ttl": "9h"}), 5 * HOUR, 0, cut("9h", "5h")),
        (json!({"explicit_max_ttl": "30m"}), 1_800, 1_800, json!(null)),
        (json!({"ttl": "1h30m", "explicit_max_ttl": "30m"}), 1_800, 1_800, cut("1h30m", "30m")),
        (json!({"ttl": "1h", "explicit_max_ttl": "100h"}), HOUR, 0, json!(null)),
    ] {
        let (auth, told) = made(body.clone()).await;
        assert_eq!((&auth["lease_duration"], told), (&json!(life), warnings), "{body}");
        let shown = lookup(&root, auth["client_token"].as_str().unwrap()).await;
        assert_eq!(
            (&shown["creation_ttl"], &shown["explicit_max_ttl"]),
            (&json!(life), &json!(limit)),
            "{body}"
        );
    }
    root.post("auth/token/create", json!({"ttl": "-1h"})).await.refused_with(400, "not negative");
    let (token, _) = made(json!({"ttl": "1h"})).await;
    let renew = async |body: Value| {
        let root = root.token(token["client_token"].as_str().unwrap());
        let envelope = root.post("auth/token/renew-self", body).await.envelope();
        (envelope["auth"]["lease_duration"].clone(), envelope["warnings"].clone())
    };
    assert_eq!(renew(json!({"increment": "10m"})).await, (json!(600), json!(null)));
    assert_eq!(renew(json!({})).await, (json!(HOUR), json!(null)));
    server.clock.advance(1_800);
    assert_eq!(renew(json!({"increment": "4h"})).await, (json!(4 * HOUR), json!(null)));
    assert_eq!(
        renew(json!({"increment": "9h"})).await,
        (json!(5 * HOUR - 1_800), cut("9h", "4h30m"))
    );
    server.clock.advance(5 * HOUR - 1_801);
    assert_eq!(renew(json!({})).await.0, 1);
    server.clock.advance(1);
    root.token(token["client_token"].as_str().unwrap())
        .get("sys/mounts")
        .await
        .refused(403, DENIED);
}

/// The list that operators go through to end what they do not know.
#[tokio::test]
async fn accessors_are_listed() {
    let (server, root) = lasting().await;
    root.list("auth/token/accessors").await.absent();
    let mut made = Vec::new();
    for n in 0..25 {
        let auth = auth(&root, "auth/token/create", json!({"ttl": 100 + 10 * n})).await;
        made.push(auth["accessor"].as_str().unwrap().to_owned());
    }
    let wrapped =
        root.with("x-vault-wrap-ttl", "1h").post("sys/wrapping/wrap", json!({"a": 1})).await.json();
    made.push(wrapped["wrap_info"]["accessor"].as_str().unwrap().to_owned());
    let keys = async |method: &str, path: &str| root.send(method, path, "").await.keys();
    for (method, path) in [
        ("LIST", "auth/token/accessors"),
        ("LIST", "auth/token/accessors/"),
        ("GET", "auth/token/accessors?list=true"),
    ] {
        assert_eq!(keys(method, path).await, made, "{method} {path}");
    }
    for method in ["SCAN", "GET", "DELETE"] {
        root.send(method, "auth/token/accessors", "").await.refused(405, super::UNSUPPORTED);
    }
    assert_eq!(keys("LIST", "auth/token/accessors?limit=3").await, made[..3]);
    // By pages.
    let (mut paged, mut caller) = (Vec::new(), root.with("x-pagination-size", "10"));
    loop {
        let answer = caller.list("auth/token/accessors").await;
        paged.push(answer.keys().len());
        let Some(next) = answer.next() else { break };
        caller = root.with("x-pagination-size", "10").with("x-pagination-cursor", next);
    }
    assert_eq!(paged, [10, 10, 6]);
    // A cursor that nobody gave leads nowhere else.
    let forged = root.with("x-pagination-cursor", "____").list("auth/token/accessors").await;
    assert!(matches!(forged.status.as_u16(), 200 | 400 | 404), "{}", forged.text());
    // What is over, revoked, or another domain's is not in it.
    server.clock.advance(120);
    assert_eq!(keys("LIST", "auth/token/accessors").await, made[3..]);
    root.post("auth/token/revoke-accessor", json!({"accessor": made[4]})).await.nothing();
    assert_eq!(keys("LIST", "auth/token/accessors").await.len(), made.len() - 4);
    Vault::of(&server.tenant().await).root().list("auth/token/accessors").await.absent();
}
