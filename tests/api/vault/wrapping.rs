//! Response wrapping.

use std::time::Duration;

use serde_json::{Value, json};

use super::{DENIED, Vault, WRAPPING_TOKEN_UNKNOWN, after, five};
use crate::{
    failure::Faulty,
    harness::{Answer, Http, START_TEXT, TestServer, eventually},
};

/// The root of a domain's paths and the same with a wrapping of a minute.
async fn wrapped() -> (TestServer, Vault, Vault) {
    let (server, vault) = Vault::start().await;
    vault.write("foo", json!({"a": 1})).await;
    let root = vault.root();
    let wrapping = root.with("x-vault-wrap-ttl", "60");
    (server, root, wrapping)
}

/// What the answer says of its wrapping.
#[track_caller]
fn info(answer: &Answer) -> Value {
    let envelope = answer.envelope();
    assert_eq!((&envelope["data"], &envelope["auth"]), (&json!(null), &json!(null)));
    envelope["wrap_info"].clone()
}

fn token(info: &Value) -> String {
    info["token"].as_str().unwrap().to_owned()
}

async fn unwrap(root: &Vault, token: &str) -> Answer {
    root.put("sys/wrapping/unwrap", json!({ "token": token })).await
}

#[tokio::test]
async fn an_answer_is_wrapped_once() {
    let (server, root, wrapping) = wrapped().await;
    server.clock.advance(5);
    let answer = wrapping.get("secret/data/foo").await;
    let info = info(&answer);
    let mut expected = json!({
        "token": info["token"], "accessor": info["accessor"], "ttl": 60, "creation_time": after(5),
        "creation_path": "secret/data/foo",
    });
    if info.get("wrapped_accessor").is_some() {
        expected["wrapped_accessor"] = json!("");
    }
    assert_eq!(info, expected);
    assert!(!answer.text().contains("\"a\""));
    let plain = root.get("secret/data/foo").await.shown();
    let inner = unwrap(&root, &token(&info)).await;
    let envelope = inner.envelope();
    assert_eq!((&envelope["data"], &envelope["wrap_info"]), (&plain, &json!(null)));
    unwrap(&root, &token(&info)).await.refused(400, WRAPPING_TOKEN_UNKNOWN);
}

/// As `vault unwrap` sends it: the wrapping token in the place of the caller's.
#[tokio::test]
async fn a_wrapping_token_in_the_header() {
    let (_server, root, wrapping) = wrapped().await;
    for method in ["PUT", "POST"] {
        let token = token(&info(&wrapping.get("secret/data/foo").await));
        let inner = root.token(&token).send(method, "sys/wrapping/unwrap", "").await;
        assert_eq!(inner.envelope()["data"]["data"], json!({"a": 1}));
        root.token(&token)
            .send(method, "sys/wrapping/unwrap", "")
            .await
            .refused(400, WRAPPING_TOKEN_UNKNOWN);
    }
    // It opens its answer and nothing else.
    let token = token(&info(&wrapping.get("secret/data/foo").await));
    root.token(&token).get("secret/data/foo").await.refused(403, DENIED);
    root.token(&token).get("auth/token/lookup-self").await.refused(403, DENIED);
    unwrap(&root, &token).await.envelope();
}

#[tokio::test]
async fn a_wrapping_is_looked_at() {
    let (server, root, wrapping) = wrapped().await;
    let wrapping_info = info(&wrapping.get("secret/data/foo").await);
    let token = token(&wrapping_info);
    server.clock.advance(10);
    for _ in 0..2 {
        let shown = root.post("sys/wrapping/lookup", json!({ "token": token })).await.shown();
        let expected = json!({"creation_path": "secret/data/foo", "creation_time": START_TEXT, "creation_ttl": 60});
        assert_eq!(shown, expected);
    }
    unwrap(&root, &token).await.envelope();
    root.post("sys/wrapping/lookup", json!({ "token": token }))
        .await
        .refused(400, WRAPPING_TOKEN_UNKNOWN);
}

#[tokio::test]
async fn a_wrapping_is_wrapped_anew() {
    let (server, root, wrapping) = wrapped().await;
    let first = token(&info(&wrapping.get("secret/data/foo").await));
    server.clock.advance(50);
    let second = info(&root.put("sys/wrapping/rewrap", json!({ "token": first })).await);
    assert_eq!((&second["ttl"], &second["creation_path"]), (&json!(60), &json!("secret/data/foo")));
    assert_eq!(second["creation_time"], after(50));
    for path in ["unwrap", "lookup", "rewrap"] {
        let old = root.put(&format!("sys/wrapping/{path}"), json!({ "token": first })).await;
        old.refused(400, WRAPPING_TOKEN_UNKNOWN);
    }
    server.clock.advance(50);
    assert_eq!(unwrap(&root, &token(&second)).await.envelope()["data"]["data"], json!({"a": 1}));
}

#[tokio::test]
async fn a_wrapping_ends() {
    let (server, root, wrapping) = wrapped().await;
    let in_time = token(&info(&wrapping.get("secret/data/foo").await));
    let late = token(&info(&wrapping.get("secret/data/foo").await));
    server.clock.advance(59);
    unwrap(&root, &in_time).await.envelope();
    server.clock.advance(2);
    for path in ["unwrap", "lookup", "rewrap"] {
        let old = root.put(&format!("sys/wrapping/{path}"), json!({ "token": late })).await;
        old.refused(400, WRAPPING_TOKEN_UNKNOWN);
    }
}

#[tokio::test]
async fn anything_can_be_wrapped() {
    let (_server, root, wrapping) = wrapped().await;
    let body = json!({"password": "x", "nested": {"n": [1, 2]}});
    let wrapped = info(&wrapping.post("sys/wrapping/wrap", &body).await);
    assert_eq!(wrapped["creation_path"], "sys/wrapping/wrap");
    assert_eq!(unwrap(&root, &token(&wrapped)).await.envelope()["data"], body);
    root.post("sys/wrapping/wrap", &body).await.refused_with(400, "");
}

/// What is kept is the answer as it was, to the last digit.
#[tokio::test]
async fn a_wrapping_keeps_bytes() {
    let (_server, root, wrapping) = wrapped().await;
    let data = r#"{"n":12345678901234567890,"f":1.0,"e":1e308}"#;
    root.put("secret/data/bytes", format!(r#"{{"data":{data}}}"#)).await.shown();
    let token = token(&info(&wrapping.get("secret/data/bytes").await));
    let inner = unwrap(&root, &token).await;
    assert_eq!(inner.status, 200);
    assert!(inner.text().contains(data), "{}", inner.text());
}

/// A login that passes through other hands: who opens it first has the token, which is of use to
/// the key that logged in and to nobody else.
#[tokio::test]
async fn a_wrapped_login() {
    let (_server, root, wrapping) = wrapped().await;
    let wrapped = info(&wrapping.put("auth/cert/login", "{}").await);
    let auth = unwrap(&root, &token(&wrapped)).await.envelope()["auth"].clone();
    assert_eq!(auth["accessor"], wrapped["wrapped_accessor"]);
    assert_eq!(wrapped["creation_path"], "auth/cert/login");
    root.token(auth["client_token"].as_str().unwrap()).get("secret/data/foo").await.shown();
}

/// The 404 of a dead version has a body, which is worth wrapping.
#[tokio::test]
async fn a_dead_version_is_wrapped() {
    let (_server, root, wrapping) = wrapped().await;
    root.delete("secret/data/foo").await.nothing();
    let wrapped = info(&wrapping.get("secret/data/foo").await);
    let mut expected = five(1);
    expected["deletion_time"] = json!(START_TEXT);
    let inner = unwrap(&root, &token(&wrapped)).await;
    assert_eq!(inner.status, 404);
    assert_eq!(inner.json()["data"], json!({"data": null, "metadata": expected}));
}

#[tokio::test]
async fn what_is_not_wrapped() {
    let (_server, _root, wrapping) = wrapped().await;
    wrapping.get("secret/data/unknown").await.absent();
    wrapping.put("secret/data/foo", "{}").await.refused(400, "no data provided");
    wrapping.get("nowhere/data/foo").await.refused_with(404, "no handler for route");
    wrapping.put("secret/metadata/foo", json!({"max_versions": 3})).await.nothing();
    wrapping.delete("secret/data/foo").await.nothing();
    // The CLI's first question, whatever it has to wrap afterwards.
    let shown = wrapping.get("sys/internal/ui/mounts/secret/foo").await.envelope();
    assert_eq!((&shown["data"]["path"], &shown["wrap_info"]), (&json!("secret/"), &json!(null)));
    for raw in ["sys/health", "sys/seal-status", "sys/leader", "sys/init"] {
        assert!(wrapping.get(raw).await.ok().get("wrap_info").is_none(), "{raw}");
    }
}

#[tokio::test]
async fn spellings_of_a_life_span() {
    let (_server, root, _wrapping) = wrapped().await;
    for (text, seconds) in
        [("60", 60), ("5m", 300), ("5m0s", 300), ("1h30m", 5_400), ("1d", 86_400)]
    {
        let answer = root.with("x-vault-wrap-ttl", text).get("secret/data/foo").await;
        assert_eq!(info(&answer)["ttl"], seconds, "{text}");
    }
    // No time at all is no wrapping.
    assert_eq!(
        root.with("x-vault-wrap-ttl", "0").get("secret/data/foo").await.shown()["data"],
        json!({"a": 1})
    );
    for wrong in ["-5", "-1h", "soon", "1w", "5 m"] {
        let refused = root.with("x-vault-wrap-ttl", wrong).get("secret/data/foo").await;
        let said = refused.refused_with(400, "");
        assert!(said.starts_with("error parsing X-Vault-Wrap-TTL header: "), "{wrong}: {said}");
    }
    // A request that is refused for it has done nothing.
    root.with("x-vault-wrap-ttl", "-5")
        .put("secret/data/foo", json!({"data": {}}))
        .await
        .refused_with(400, "");
    assert_eq!(root.get("secret/data/foo").await.shown()["metadata"]["version"], 1);
}

/// 14.121, but for the audit: what is no wrapping token.
#[tokio::test]
async fn what_is_no_wrapping_token() {
    let (server, root, wrapping) = wrapped().await;
    let login = root.put("auth/cert/login", "{}").await.envelope()["auth"]["client_token"].clone();
    for wrong in [json!("x"), json!(""), json!("okms.a.b"), login] {
        for path in ["unwrap", "lookup", "rewrap"] {
            let refused =
                root.put(&format!("sys/wrapping/{path}"), json!({ "token": wrong })).await;
            assert_eq!(refused.status, 400, "{path} {wrong}: {}", refused.text());
        }
    }
    root.put("sys/wrapping/unwrap", json!({"token": "okms.a.b"}))
        .await
        .refused(400, WRAPPING_TOKEN_UNKNOWN);
    // Any certificate of the domain may open it, no other, and nobody without one.
    let token = token(&info(&wrapping.get("secret/data/foo").await));
    let stranger = Vault::of(&server.tenant().await).root();
    unwrap(&stranger, &token).await.refused(400, WRAPPING_TOKEN_UNKNOWN);
    stranger
        .post("sys/wrapping/lookup", json!({ "token": token }))
        .await
        .refused(400, WRAPPING_TOKEN_UNKNOWN);
    stranger
        .put("sys/wrapping/rewrap", json!({ "token": token }))
        .await
        .refused(400, WRAPPING_TOKEN_UNKNOWN);
    assert!(stranger.token(&token).put("sys/wrapping/unwrap", "").await.status.is_client_error());
    let nobody = Vault { client: server.anonymous(), ..root.clone() };
    for caller in [nobody.clone(), nobody.token(&token), nobody.at("/v1").token(&token)] {
        assert!(unwrap(&caller, &token).await.status.is_client_error());
    }
    let colleague = Vault { client: server.client_of(&root.client.id, Http::Two), ..root };
    assert_eq!(unwrap(&colleague, &token).await.envelope()["data"]["data"], json!({"a": 1}));
}

/// Of many that open it at once, one gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_to_unwrap() {
    let (_server, root, wrapping) = wrapped().await;
    for _ in 0..5 {
        let token = token(&info(&wrapping.get("secret/data/foo").await));
        let openers = (0..8).map(|_| {
            let (root, token) = (root.clone(), token.clone());
            tokio::spawn(async move { unwrap(&root, &token).await.status.as_u16() })
        });
        let mut statuses = Vec::new();
        for opener in openers.collect::<Vec<_>>() {
            statuses.push(opener.await.unwrap());
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400, 400, 400, 400, 400, 400, 400]);
    }
}

/// A wrapped response waits in the store, which a restart keeps, and not in clear.
#[tokio::test]
async fn a_wrapping_outlives_a_restart() {
    let (mut server, root, wrapping) = wrapped().await;
    root.put("secret/data/foo", json!({"data": {"v": "canary-in-a-wrapping"}})).await.shown();
    let token = token(&info(&wrapping.get("secret/data/foo").await));
    server.stop().await;
    let store = std::fs::read(&server.config.store.path).unwrap();
    let (_, secret) = token.rsplit_once('.').unwrap();
    for hidden in ["canary-in-a-wrapping", secret] {
        assert!(!store.windows(hidden.len()).any(|bytes| bytes == hidden.as_bytes()), "{hidden}");
    }
    server.start_again().await.unwrap();
    let root = Vault { client: server.at(&root.client), ..root };
    assert_eq!(unwrap(&root, &token).await.envelope()["data"]["data"]["v"], "canary-in-a-wrapping");
}

/// A time below a second was cut to none, and none means not wrapped: the value came in clear.
#[tokio::test]
async fn a_short_time_is_a_time() {
    let (_server, root, _wrapping) = wrapped().await;
    for short in ["1ms", "500ms"] {
        let answer = root.with("x-vault-wrap-ttl", short).get("secret/data/foo").await;
        assert_eq!(info(&answer)["ttl"], 1, "{}", answer.text());
    }
}

#[tokio::test]
async fn a_large_body_is_wrapped() {
    let (_server, root, wrapping) = wrapped().await;
    let body: serde_json::Map<_, _> = (0..3000).map(|n| (format!("k{n}"), json!(n))).collect();
    let wrapped =
        info(&wrapping.post("sys/wrapping/wrap", serde_json::Value::Object(body.clone())).await);
    assert_eq!(
        unwrap(&root, &token(&wrapped)).await.envelope()["data"],
        serde_json::Value::Object(body)
    );
}

/// Revoking a wrapping token said yes and did nothing: who had a leaked one could still unwrap it.
#[tokio::test]
async fn a_wrapping_is_revoked() {
    let (server, root, wrapping) = wrapped().await;
    let colleague = Vault {
        client: server.client_of(&root.client.id, crate::harness::Http::One),
        ..root.clone()
    };
    for by_accessor in [false, true] {
        let wrapped = info(&wrapping.get("secret/data/foo").await);
        if by_accessor {
            let accessor = json!({ "accessor": wrapped["accessor"] });
            colleague.post("auth/token/revoke-accessor", &accessor).await.nothing();
            colleague
                .post("auth/token/revoke-accessor", &accessor)
                .await
                .refused(400, "invalid accessor");
        } else {
            colleague
                .post("auth/token/revoke", json!({ "token": token(&wrapped) }))
                .await
                .nothing();
        }
        unwrap(&root, &token(&wrapped)).await.refused(400, WRAPPING_TOKEN_UNKNOWN);
    }
}

/// A long list could be kept again and again by small requests, and unwrapped into unbounded
/// memory.
#[tokio::test]
async fn what_is_too_large_is_not_wrapped() {
    let (_server, root, wrapping) = wrapped().await;
    let large = json!({"data": {"a": "x".repeat(500 << 10)}});
    root.put("secret/data/large", &large).await.shown();
    let wrapped = info(&wrapping.get("secret/data/large").await);
    assert_eq!(unwrap(&root, &token(&wrapped)).await.envelope()["data"]["data"], large["data"]);
    let names: Vec<_> = (0..3000).map(|n| format!("many/{}{n:04}", "n".repeat(236))).collect();
    root.client.create_all(&names).await;
    assert_eq!(root.mount("secret").keys("metadata/many").await.len(), 3000);
    wrapping.list("secret/metadata/many").await.refused_with(400, "too large to be wrapped");
}

/// What is on its way to the store counts as well: where it was counted anew meanwhile, it was
/// forgotten.
#[tokio::test]
async fn what_is_being_wrapped_counts() {
    let (server, engine) = Faulty::serve(|_| {}).await;
    let root = Vault::of(&server.tenant().await).root();
    let wrapping = root.with("x-vault-wrap-ttl", "60");
    let large = json!({"a": "x".repeat(500 << 10)});
    engine.hold();
    let held: Vec<_> = (0..32)
        .map(|_| {
            let (wrapping, large) = (wrapping.clone(), large.clone());
            tokio::spawn(async move { wrapping.post("sys/wrapping/wrap", large).await })
        })
        .collect();
    eventually("all are on their way", async || engine.commits() == 32).await;
    // It is not counted more often.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    wrapping
        .post("sys/wrapping/wrap", large)
        .await
        .refused_with(400, "too much is wrapped in this domain");
    engine.let_go();
    for answer in held {
        info(&answer.await.unwrap());
    }
}

/// One connection that wrapped half a megabyte again and again, for a month each time, made the
/// store grow without bound. A domain may have 16 MiB wrapped; who unwraps, or waits until
/// something is over, has room again.
#[tokio::test]
async fn what_is_wrapped_in_a_domain_is_bounded() {
    let (mut server, root, wrapping) = wrapped().await;
    let pause = Duration::from_millis(1100);
    root.put("secret/data/large", &json!({"data": {"a": "x".repeat(500 << 10)}})).await.shown();
    let mut tokens = Vec::new();
    let full = loop {
        let answer = wrapping.get("secret/data/large").await;
        if answer.status != 200 {
            break answer;
        }
        tokens.push(token(&info(&answer)));
        assert!(tokens.len() < 40, "{} are wrapped", tokens.len());
    };
    assert!(tokens.len() > 30, "{} are wrapped", tokens.len());
    full.refused_with(400, "too much is wrapped in this domain");
    // The count is right after a start, and another domain has room of its own.
    server.restart().await;
    let [root, wrapping] =
        [root, wrapping].map(|vault| Vault { client: server.at(&vault.client), ..vault });
    wrapping.get("secret/data/large").await.refused_with(400, "too much is wrapped in this domain");
    let other = Vault::of(&server.tenant().await).root().with("x-vault-wrap-ttl", "60");
    info(&other.post("sys/wrapping/wrap", json!({"a": "b"})).await);
    assert_eq!(unwrap(&root, &tokens[0]).await.status, 200);
    tokio::time::sleep(pause).await;
    info(&wrapping.get("secret/data/large").await);
    wrapping.get("secret/data/large").await.refused_with(400, "too much is wrapped in this domain");
    server.clock.advance(3600);
    tokio::time::sleep(pause).await;
    for _ in 0..5 {
        info(&wrapping.get("secret/data/large").await);
    }
}
