//! Who may ask, and for which tenant (cases 96, 97 and 112).

use serde_json::json;

use super::{Uris, refused};
use crate::{
    access::Domain,
    harness::{BOTH, Client, Http, TestServer},
    isolation::UNKNOWN,
};

#[tokio::test]
async fn tenants() {
    let (server, owner) = Uris::start().await;
    let other = Uris { client: server.tenant().await };
    owner.versions("a", &[r#"{"t":1}"#]).await;
    let id = owner.client.id.clone();
    for http in BOTH {
        // 96
        let other = Uris { client: other.client.over(http) };
        other.says(&[("GET value U a", "404 SECRET_NOT_FOUND")]).await;
        let [foreign, unknown] = [&*id, UNKNOWN].map(|id| {
            let (other, id) = (other.clone(), id.to_owned());
            async move { other.ask_with("GET value U a", &[("x-tenant-id", &id)]).await }
        });
        let (foreign, unknown) = (foreign.await, unknown.await);
        refused(&foreign, 403, "TENANT_ACCESS_DENIED");
        assert_eq!(foreign.likeness(), unknown.likeness());
        let own = owner.ask_with("GET value U a", &[("x-tenant-id", &id)]).await;
        assert_eq!(own.ok(), json!({"t": 1}));
        // 97
        let operator = Uris { client: server.operator().over(http) };
        operator.says(&[("GET value U a", "400 TENANT_REQUIRED")]).await;
        let named = operator.ask_with("GET value U a", &[("x-tenant-id", &id)]).await;
        assert_eq!(named.ok(), json!({"t": 1}));
        let nowhere = operator.ask_with("GET value U a", &[("x-tenant-id", UNKNOWN)]).await;
        refused(&nowhere, 403, "TENANT_ACCESS_DENIED");
    }
    let twice = [("x-tenant-id", &*id), ("x-tenant-id", &*id)];
    refused(&owner.ask_with("GET value U a", &twice).await, 400, "INVALID_FIELD");
    // 112
    let page = [("origin", "https://elsewhere.example"), ("sec-fetch-site", "cross-site")];
    let posted = owner.ask_with(r#"POST {"uri":"U a","value":{}}"#, &page).await;
    refused(&posted, 403, "FOREIGN_ORIGIN");
    let nobody = Uris { client: Client { id, ..server.anonymous() } };
    nobody
        .says(&[("GET value U a", "401 UNAUTHENTICATED"), ("POST {", "401 UNAUTHENTICATED")])
        .await;
}

/// A token is worth what it is natively, and a bad one is told before anything else.
#[tokio::test]
async fn tokens() {
    let (_server, uris) = Uris::start().await;
    uris.versions("a", &["{}"]).await;
    let login = format!("/api/{}/v1/auth/cert/login", uris.client.id);
    let login = uris.client.call(hyper::Method::POST, &login, "{}").await.ok();
    let token = login["auth"]["client_token"].as_str().unwrap();
    let bearer = format!("Bearer {token}");
    for header in [("authorization", &*bearer), ("x-vault-token", token)] {
        assert_eq!(uris.ask_with("GET value U a", &[header]).await.status, 200);
    }
    for header in [("authorization", "Bearer okms.none"), ("x-vault-token", "okms.none")] {
        let answer = uris.ask_with("GET value U nope", &[header]).await;
        refused(&answer, 401, "TOKEN_INVALID");
    }
}

/// Each operation takes the rights that it says, on each secret that it is about.
#[tokio::test]
async fn rights() {
    let domain = Domain::new().await;
    let admin = Uris { client: domain.admin.clone() };
    admin.versions("app/a", &[r#"{"t":1}"#, r#"{"t":2,"k":1}"#]).await;
    let who = async |name: &str, rights: &[(&[&str], &[&str])]| {
        domain.rule(name, &[]).await;
        for (allow, of) in rights {
            domain.policy(name, of, json!({"allow": allow})).await;
        }
        Uris { client: domain.client(name, Http::One) }
    };
    let denied = "403 SECRET_AUTHZ_FAILED";
    let reader = who("reader", &[(&["secret/version/getData"], &["app/*"])]).await;
    reader
        .says(&[
            ("GET value U app/a#t", r#"{"value":2}"#),
            ("GET value U other", denied),
            // Who may not is not told what there is.
            ("GET value U other/nope#x", denied),
            ("GET keys U app/a", denied),
            ("GET metadata/detail U app/a", denied),
            (r#"POST {"uri":"U app/a","value":{}}"#, denied),
            (r#"POST copy {"fromUri":"U app/a","toUri":"U app/b"}"#, denied),
            (r#"POST move {"fromUri":"U app/a","toUri":"U app/b"}"#, denied),
            (r#"POST bulk {"operations":[{"op":"delete","uri":"U app/a"}]}"#, denied),
            ("DELETE U app/a", denied),
        ])
        .await;
    let writer = &["secret/version/getData", "secret/create", "secret/version/create"];
    let copier = who("copier", &[(writer, &["app/*"])]).await;
    copier
        .says(&[
            (r#"POST copy {"fromUri":"U app/a","toUri":"U elsewhere"}"#, denied),
            (r#"POST copy {"fromUri":"U elsewhere","toUri":"U app/b"}"#, denied),
            (r#"POST move {"fromUri":"U app/a","toUri":"U app/b"}"#, denied),
            (r#"POST copy {"fromUri":"U app/a","toUri":"U app/b"}"#, "200"),
            // To take a part away is another version, unless nothing is left.
            (r#"POST move {"fromUri":"U app/a#k","toUri":"U app/c#k"}"#, "200"),
            ("DELETE U app/b#k", "200"),
            ("DELETE U app/b#t", denied),
            ("DELETE U app/b", denied),
            ("DELETE U app/b&destroy=true", denied),
            (r#"POST move {"fromUri":"U app/a#t","toUri":"U app/c#t"}"#, denied),
            ("GET value U app/c", r#"{"k":1}"#),
            ("GET value U app/a", r#"{"t":2}"#),
        ])
        .await;
    // Of several operations each is judged for itself.
    let told = copier
        .told(
            r#"POST bulk {"operations":[{"op":"set","uri":"U app/d","value":{}},{"op":"delete","uri":"U app/d"},{"op":"set","uri":"U d","value":{}}]}"#,
        )
        .await;
    let codes: Vec<_> = told["results"].as_array().unwrap().iter().map(|it| &it["code"]).collect();
    assert_eq!(codes, [&json!(null), &json!("SECRET_AUTHZ_FAILED"), &json!("SECRET_AUTHZ_FAILED")]);
    // One who may create alone cannot write over what is there, and learns no more than that.
    let creator = who("creator", &[(&["secret/create"], &["app/*"])]).await;
    creator
        .says(&[
            (r#"POST {"uri":"U app/a#t","value":1}"#, denied),
            (r#"POST {"uri":"U app/new#t","value":1}"#, "200"),
        ])
        .await;
}

/// 121: what was answered is there after the power was cut, which the crash suite does to the store; here, after a start.
#[tokio::test]
async fn a_restart_keeps_all() {
    let mut server = TestServer::start().await;
    let client = server.tenant().await;
    let uris = Uris { client: client.clone() };
    uris.versions("a", &["{}", r#"{"t":1}"#]).await;
    let cases = ["GET value U a", "GET versions U a", "GET metadata/detail U a"];
    let mut before = Vec::new();
    for case in cases {
        before.push(uris.told(case).await);
    }
    server.restart().await;
    let uris = Uris { client: server.at(&client) };
    for (case, before) in cases.iter().zip(before) {
        assert_eq!(uris.told(case).await, before, "{case}");
    }
}
