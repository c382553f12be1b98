//! A token is bound to the key of the certificate that it was given to: to whoever else has it, it
//! is of no use.

use okmsd::{
    model::Timestamp,
    pki::{KeyKind, KeySource, PrivateKeyPem, Subject, generate_key, signing_request},
};
use serde_json::json;

use super::{DENIED, Vault};
use crate::harness::{BOTH, Client, Http, Pair, START, TestServer};

/// A client of the domain `id` with a new certificate over `key`.
fn client_with(server: &TestServer, id: &str, key: &PrivateKeyPem, name: &str) -> Client {
    let request = signing_request(key, "x").unwrap();
    let moment = Timestamp::from_unix_seconds(START);
    let source = KeySource::Request(&request);
    let issued = server
        .authority
        .issue_access(&Subject::Domain(id.parse().unwrap()), name, source, moment, 30)
        .unwrap();
    let key = PrivateKeyPem::parse(key.expose().to_owned()).unwrap();
    server.client(Some(&Pair { certificate: issued.certificate_pem, key }), Some(id), Http::One)
}

async fn login(root: &Vault) -> String {
    root.put("auth/cert/login", "{}").await.envelope()["auth"]["client_token"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// That nobody can do anything with `token` over this connection.
async fn is_useless(root: &Vault, token: &str) {
    for http in BOTH {
        let thief = Vault { client: root.client.over(http), ..root.clone() };
        for caller in [thief.token(token), thief.with("authorization", format!("Bearer {token}"))] {
            for (method, path, body) in [
                ("GET", "secret/data/foo", ""),
                ("GET", "secret/data/unknown", ""),
                ("LIST", "secret/metadata", ""),
                ("PUT", "secret/data/foo", r#"{"data":{"by":"thief"}}"#),
                ("DELETE", "secret/metadata/foo", ""),
                ("GET", "sys/mounts", ""),
                ("GET", "sys/internal/ui/mounts/secret/foo", ""),
                ("POST", "sys/capabilities-self", r#"{"paths":["secret/data/foo"]}"#),
                ("GET", "auth/token/lookup-self", ""),
                ("PUT", "auth/token/renew-self", "{}"),
                ("PUT", "auth/token/revoke-self", ""),
                ("POST", "auth/token/create", "{}"),
                ("POST", "sys/wrapping/wrap", "{}"),
            ] {
                caller.send(method, path, body).await.refused(403, DENIED);
            }
        }
    }
}

#[tokio::test]
async fn a_stolen_token() {
    let (server, owner) = Vault::start().await;
    let root = owner.root();
    owner.write("foo", json!({"by": "owner"})).await;
    let token = login(&root).await;
    // Another certificate of the same domain, which may do all of that without the token.
    let colleague = Vault { client: server.client_of(&owner.client.id, Http::One), ..root.clone() };
    colleague.get("secret/data/foo").await.shown();
    is_useless(&colleague, &token).await;
    // Another domain's certificate, in its own domain.
    let stranger = Vault::of(&server.tenant().await).root();
    is_useless(&stranger, &token).await;
    is_useless(&stranger.at("/v1"), &token).await;
    // An operator, who may reach every domain.
    let operator = Vault { client: server.operator(), ..root.clone() };
    is_useless(&operator, &token).await;
    // No certificate at all.
    let nobody = Vault { client: server.anonymous(), ..root.clone() };
    is_useless(&nobody, &token).await;
    is_useless(&nobody.at("/v1"), &token).await;
    // A login does not turn it into a better one.
    let nothing = nobody.token(&token).put("auth/cert/login", "{}").await;
    assert!(matches!(nothing.status.as_u16(), 401 | 403), "{}", nothing.text());
    assert_eq!(owner.token(&token).read("foo").await["data"], json!({"by": "owner"}));
}

/// By its text or its accessor, nobody of another domain learns of a token or ends it.
#[tokio::test]
async fn a_token_that_is_named_by_strangers() {
    let (server, owner) = Vault::start().await;
    let root = owner.root();
    let token = login(&root).await;
    let accessor =
        root.token(&token).get("auth/token/lookup-self").await.shown()["accessor"].clone();
    let stranger = Vault::of(&server.tenant().await).root();
    stranger.post("auth/token/lookup", json!({ "token": token })).await.refused(403, "bad token");
    let by = |accessor: &serde_json::Value| json!({ "accessor": accessor });
    for path in ["auth/token/lookup-accessor", "auth/token/revoke-accessor"] {
        let named = stranger.post(path, by(&accessor)).await;
        let unknown = stranger.post(path, by(&json!("AAAAAAAAAAAAAAAA"))).await;
        assert_eq!(named.status, unknown.status, "{path}");
        assert_eq!(named.json()["errors"], unknown.json()["errors"], "{path}");
    }
    stranger.put("auth/token/renew", json!({"token": token, "increment": 1})).await;
    stranger.put("auth/token/revoke", json!({ "token": token })).await;
    assert_eq!(root.token(&token).get("auth/token/lookup-self").await.shown()["ttl"], 768 * 3_600);
}

/// A certificate is renewed, the key stays: then so do the tokens.
#[tokio::test]
async fn a_new_certificate_over_the_same_key() {
    let (server, client) = TestServer::with_tenant().await;
    let key = generate_key(KeyKind::P256).unwrap();
    let first = Vault::of(&client_with(&server, &client.id, &key, "first")).root();
    let token = login(&first).await;
    let second = Vault::of(&client_with(&server, &client.id, &key, "second")).root();
    for caller in [&first, &second, &first.at("/v1"), &second.at("/v1")] {
        caller.token(&token).put("secret/data/foo", json!({"data": {}})).await.shown();
        caller.token(&token).get("auth/token/lookup-self").await.shown();
    }
    second.token(&token).put("auth/token/renew-self", "{}").await.envelope();
    // The same key in another domain's certificate is not the same caller.
    let other = server.tenant().await;
    let elsewhere = Vault::of(&client_with(&server, &other.id, &key, "third")).root();
    is_useless(&elsewhere, &token).await;
    is_useless(&elsewhere.at("/v1"), &token).await;
    second.token(&token).put("auth/token/revoke-self", "").await.nothing();
    first.token(&token).get("secret/data/foo").await.refused(403, DENIED);
}

/// A key for each certificate, and one that is not the token's is no help.
#[tokio::test]
async fn a_token_of_one_key_on_a_connection_of_another() {
    let (server, client) = TestServer::with_tenant().await;
    let keys = [(); 2].map(|()| generate_key(KeyKind::P256).unwrap());
    let callers = keys
        .each_ref()
        .map(|key| Vault::of(&client_with(&server, &client.id, key, "same name")).root());
    let tokens = [login(&callers[0]).await, login(&callers[1]).await];
    for (mine, caller) in callers.iter().enumerate() {
        caller.token(&tokens[mine]).get("auth/token/lookup-self").await.shown();
        is_useless(caller, &tokens[1 - mine]).await;
    }
}

/// Another certificate of the domain was told of a token by its text, and could prolong it. It may
/// end it: whoever finds a token that has leaked should.
#[tokio::test]
async fn a_token_that_a_colleague_names() {
    let (server, owner) = Vault::start().await;
    let root = owner.root();
    let token = login(&root).await;
    let colleague = Vault { client: server.client_of(&owner.client.id, Http::One), ..root.clone() };
    let named = json!({ "token": token });
    colleague.post("auth/token/lookup", &named).await.refused(403, "bad token");
    colleague.post("auth/token/renew", &named).await.refused(403, "bad token");
    root.post("auth/token/lookup", &named).await.shown();
    colleague.post("auth/token/revoke", &named).await.nothing();
    root.token(&token).get("auth/token/lookup-self").await.refused(403, DENIED);
}
