//! What changes while a policy decision point is asked.

use std::future::Future;

use okmsd::config::Span;

use super::*;
use crate::{
    access::Domain,
    feeds::Events,
    harness::{Http, eventually},
};

/// However busy the machine is, what changes meanwhile changes in time.
fn patient(config: &mut Config) {
    config.pdp.timeout = Span(Duration::from_secs(15));
}

/// What is answered to whoever waits for the point's word, while this changes.
async fn while_asked(
    pdp: &Pdp,
    asked: impl Future<Output = Answer> + Send + 'static,
    change: impl AsyncFnOnce(),
) -> Answer {
    pdp.had();
    pdp.thinks(Duration::from_millis(800));
    let asked = tokio::spawn(asked);
    while pdp.state.had.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    change().await;
    assert!(!asked.is_finished(), "it waits still");
    let answer = asked.await.unwrap();
    pdp.thinks(Duration::ZERO);
    answer
}

/// A right that was taken back while the point was asked counted until the answer was there: up to two seconds.
#[tokio::test]
async fn a_right_that_is_taken_back_meanwhile_counts_no_more() {
    let pdp = Pdp::start().await;
    let (server, admin) = pdp.server(patient).await;
    let domain = Domain { server, admin };
    domain.admin.create("app/a", r#"{"word":"canary-of-a-value"}"#).await.ok();
    domain.rule("svc", &[]).await;
    let may = || json!({"allow": ["secret/*"]});
    let id = domain.admin.id.clone();
    for (number, (method, at, body)) in [
        (Method::GET, "/api/secrets/value?uri=openbao%2Bkv2://secret/app/a".to_owned(), ""),
        (Method::GET, format!("/api/{id}/v2/secret/app%2Fa?includeData=true"), ""),
        (Method::GET, format!("/api/{id}/v1/secret/data/app/a"), ""),
        (Method::GET, "/v1/secrets/app/a".to_owned(), ""),
        (Method::GET, format!("/api/{id}/v2/secret"), ""),
        (Method::GET, format!("/api/{id}/v2/events?since=first"), ""),
        (Method::PUT, "/v1/secrets/app/a".to_owned(), r#"{"data":{"word":"other"}}"#),
        (Method::POST, format!("/api/{id}/v2/move"), r#"{"from":"app/","to":"b/"}"#),
        (Method::DELETE, format!("/api/{id}/v2/secret/app%2Fa"), ""),
    ]
    .into_iter()
    .enumerate()
    {
        let policy = domain.policy("svc", &["*"], may()).await;
        let svc = domain.client("svc", if number % 2 == 0 { Http::One } else { Http::Two });
        let line = format!("{method} {at}");
        let (asker, url) = (svc.clone(), at.clone());
        let asked = async move { asker.call(method, &url, body).await };
        let gone = domain.at(&format!("policy/{policy}"));
        let answer = while_asked(&pdp, asked, async || {
            assert_eq!(domain.admin.call(Method::DELETE, &gone, "").await.status, 204);
        })
        .await;
        assert_eq!(answer.status, 403, "{line}: {answer:?}");
        assert!(!answer.text().contains("canary") && !answer.text().contains("app/a"), "{line}");
        assert!(!answer.text().contains("policy decision point"), "{line}: it has permitted it");
    }
    let there = domain.admin.get("secret/app%2Fa?includeData=true").await.ok();
    assert_eq!(there["version"]["data"]["word"], "canary-of-a-value");
}

/// Of several operations each that is allowed still is done; and who may as much as before is not disturbed.
#[tokio::test]
async fn what_is_allowed_still_is_done() {
    let pdp = Pdp::start().await;
    let (server, admin) = pdp.server(patient).await;
    let domain = Domain { server, admin };
    domain.rule("svc", &["in-vault"]).await;
    let policies = format!("/api/{}/v1/sys/policies/acl/", domain.admin.id);
    let write = async |name: &str, text: &str| {
        let body = json!({ "policy": text }).to_string();
        domain.admin.call(Method::PUT, &format!("{policies}{name}"), &body).await
    };
    let whole = r#"path "secret/+/app/*" { capabilities = ["read", "create", "update", "list"] }"#;
    write("in-vault", whole).await;
    domain.admin.create("app/a", r#"{"t":1}"#).await.ok();
    let svc = domain.client("svc", Http::One);
    let read = |client: &Client| {
        let client = client.clone();
        async move {
            let at = format!("/api/{}/v1/secret/data/app/a", client.id);
            client.call(Method::GET, &at, "").await
        }
    };
    // Another policy of the domain, of nobody's here.
    let answer = while_asked(&pdp, read(&svc), async || {
        write("other", r#"path "secret/data/x" { capabilities = ["deny"] }"#).await;
    })
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // One that denies one of several.
    let asker = svc.clone();
    let bulk = async move {
        let set = |path: &str| json!({"op": "set", "uri": format!("openbao+kv2://secret/app/{path}"), "value": {"v": 1}});
        let body = json!({"operations": [set("one"), set("two"), set("three")]}).to_string();
        asker.call(Method::POST, "/api/secrets/bulk", &body).await
    };
    let answer = while_asked(&pdp, bulk, async || {
        let denies = r#"path "secret/data/app/two" { capabilities = ["deny"] }"#;
        write("in-vault", &format!("{whole}\n{denies}")).await;
    })
    .await;
    let told = answer.ok();
    let of = |at: usize| told["results"][at]["status"].clone();
    assert_eq!([of(0), of(1), of(2)], [json!(200), json!(403), json!(200)], "{told}");
    // A list leaves out what may not be seen any more.
    let asker = svc.clone();
    let list = async move { asker.get("secret").await };
    let answer = while_asked(&pdp, list, async || {
        let denies = r#"path "secret/metadata/app/one" { capabilities = ["deny"] }"#;
        write("in-vault", &format!("{whole}\n{denies}")).await;
    })
    .await;
    let told = answer.ok().to_string();
    assert!(!told.contains("app/one") && told.contains("app/three"), "{told}");
}

/// A user's token, and one that is narrowed, go by what the policies say meanwhile.
#[tokio::test]
async fn tokens_go_by_what_policies_say_by_then() {
    let pdp = Pdp::start().await;
    let (server, admin) = pdp.server(patient).await;
    let domain = Domain { server, admin };
    domain.admin.create("app/a", r#"{"t":1}"#).await.ok();
    let at = |rest: &str| format!("/api/{}/v1/{rest}", domain.admin.id);
    let write = async |text: &str| {
        let body = json!({ "policy": text }).to_string();
        let at = at("sys/policies/acl/p");
        assert_eq!(domain.admin.call(Method::PUT, &at, &body).await.status, 204);
    };
    let reads = r#"path "secret/data/app/*" { capabilities = ["read"] }"#;
    write(reads).await;
    let user = json!({"password": "correct horse battery", "policies": ["p"]}).to_string();
    let made = domain.admin.call(Method::PUT, &at("auth/userpass/users/bob"), &user).await;
    assert_eq!(made.status, 204, "{made:?}");
    let login = json!({"password": "correct horse battery"}).to_string();
    let logged = domain.admin.call(Method::POST, &at("auth/userpass/login/bob"), &login).await.ok();
    let narrowed = domain
        .admin
        .call(Method::POST, &at("auth/token/create"), &json!({"policies": ["p"]}).to_string())
        .await
        .ok();
    for token in [logged, narrowed] {
        let token = token["auth"]["client_token"].as_str().unwrap().to_owned();
        for (takes_back, expected) in [(false, 200), (true, 403)] {
            write(reads).await;
            let (asker, url, token) =
                (domain.admin.clone(), at("secret/data/app/a"), token.clone());
            let read = async move {
                asker.send(Method::GET, &url, &[("x-vault-token", &token)], "").await
            };
            let answer = while_asked(&pdp, read, async || {
                let other = r#"path "secret/data/b" { capabilities = ["read"] }"#;
                let both = format!("{reads}\n{other}");
                write(if takes_back { other } else { &both }).await;
            })
            .await;
            assert_eq!(answer.status, expected, "{answer:?}");
        }
    }
}

/// A certificate that is revoked meanwhile does nothing any more.
#[tokio::test]
async fn a_certificate_that_is_revoked_meanwhile_counts_no_more() {
    let pdp = Pdp::start().await;
    let (server, client) = pdp.server(patient).await;
    client.create("a", r#"{"t":1}"#).await.ok();
    let other = server.client_of(&client.id, Http::One);
    let text = std::fs::read_to_string(server.path("audit.log")).unwrap();
    let mut records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let serial =
        records.find(|record| record["operation"] == "PostSecretV2").unwrap()["serial"].clone();
    let body = json!({"serial": serial, "reason": "keyCompromise"}).to_string();
    let operator = server.operator();
    let asker = client.clone();
    let asked = async move { asker.put("secret/a", r#"{"version":{"data":{"t":2}}}"#).await };
    let answer = while_asked(&pdp, asked, async || {
        let revoked = operator.call(Method::POST, "/v2/okms/revocation", &body).await;
        assert!(revoked.status.is_success(), "{revoked:?}");
    })
    .await;
    assert_eq!(answer.status, 403, "{answer:?}");
    let there = other.get("secret/a?includeData=true").await.ok();
    assert_eq!(there["version"]["data"]["t"], 1);
}

/// A mount goes as a whole, whatever it holds: the point is asked once, by what the paths in it begin with.
#[tokio::test]
async fn a_mounts_removal_is_asked_for_once() {
    let pdp = Pdp::start().await;
    let (server, client) = pdp.server(patient).await;
    let other = server.client_of(&client.id, Http::One);
    for (mount, rest, purpose) in
        [("soft", "", "delete"), ("hard", "?force=true", "destroy_versions")]
    {
        let at = |rest: &str| format!("/api/{}/v1/sys/mounts/{mount}{rest}", client.id);
        let made = client.call(Method::POST, &at(""), r#"{"type":"kv-v2"}"#).await;
        assert_eq!(made.status, 204, "{made:?}");
        for path in ["a", "b/c"] {
            client.create(&format!("{mount}/{path}"), "{}").await.ok();
        }
        let value = format!("/api/secrets/value?uri=openbao%2Bkv2://secret/{mount}/a");
        pdp.had();
        pdp.judges(|asked| {
            let is_of_prefix = asked["resource"]["type"] == "secret_prefix";
            if is_of_prefix { denies("kept") } else { json!({"decision": true}) }
        });
        is_denied(&client.call(Method::DELETE, &at(rest), "").await);
        let question = format!("{purpose} secret_prefix openbao+kv2://secret/{mount}/");
        assert_eq!(pdp.asked(), [question]);
        pdp.judges(|_| json!({"decision": true}));
        assert_eq!(other.call(Method::GET, &value, "").await.status, 200, "it is there");
        // Whose own denial is not remembered.
        assert_eq!(other.call(Method::DELETE, &at(rest), "").await.status, 204);
        eventually("it is gone", async || other.call(Method::GET, &value, "").await.status == 404)
            .await;
    }
}

/// The helper's feed is judged when it begins and as long as it goes on, as the one that lasts.
#[tokio::test]
async fn the_helpers_feed_ends_with_the_permission() {
    let pdp = Pdp::start().await;
    let (server, client) = pdp.server(|config| config.dev.helpers = Some(true)).await;
    let other = server.client_of(&client.id, Http::One);
    let at = "/api/secrets/events";
    pdp.had();
    let mut feed = Events::open(&client, at, &[]).await;
    assert_eq!(feed.status(), 200);
    assert_eq!(pdp.asked()[0], "read_metadata secret_prefix openbao+kv2://secret/");
    other.create("before", "{}").await.ok();
    feed.records(1).await;
    pdp.judges(|asked| json!({"decision": asked["resource"]["type"] != "secret_prefix"}));
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    other.create("behind", "{}").await.ok();
    let told = feed.whole().await;
    assert!(told.contains("you may not see it any more"), "{told}");
    assert_eq!(told.matches("event: secret.updated").count(), 1, "{told}");
    // And none begins.
    pdp.judges(|_| denies("no"));
    let third = server.client_of(&client.id, Http::Two);
    let refused = third.send(Method::GET, at, &[("accept", "text/event-stream")], "").await;
    is_denied(&refused);
    // Where nobody answers there is none, either.
    pdp.does(Mode::Says(500, Vec::new()));
    let fourth = server.client_of(&client.id, Http::One);
    let refused = fourth.send(Method::GET, at, &[("accept", "text/event-stream")], "").await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["code"]),
        (503, &json!("PDP_UNAVAILABLE"))
    );
}
