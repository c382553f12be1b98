//! What a JWT gives beside a certificate: what both give.

use super::*;

/// Each operation takes one scope, however it is spelled; `admin` gives all, and others nothing.
#[tokio::test]
async fn each_operation_takes_its_scope() {
    let idp = Idp::start(|_| {}).await;
    let get = Method::GET;
    let of_reads = [
        (get.clone(), "/v1/secrets/app/db", "", "secrets:read"),
        (Method::POST, "/v1/secrets/batch", r#"{"paths":["app/db"]}"#, "secrets:read"),
        (get.clone(), "/v1/secrets", "", "secrets:list"),
        (get.clone(), "/v1/secrets/expiring", "", "secrets:list"),
        (get.clone(), "/v1/secrets/metadata/app/db", "", "secrets:list"),
        (get.clone(), "/v1/secrets/app/db/versions", "", "secrets:list"),
        (Method::PUT, "/v1/secrets/app/db", r#"{"data":{"v":2}}"#, "secrets:write"),
        (Method::PATCH, "/v1/secrets/app/db", r#"{"metadata":{"a":"b"}}"#, "secrets:write"),
        (Method::POST, "/v1/secrets/app/db/rotate", r#"{"new_value":{"v":3}}"#, "secrets:rotate"),
        (get.clone(), "/v1/rotation/due", "", "secrets:rotate"),
        (Method::DELETE, "/v1/secrets/app/db", "", "secrets:delete"),
        (Method::POST, "/v1/secrets/app/db/restore", "", "secrets:delete"),
        (get.clone(), "/v1/rotation/policies", "", "admin"),
        (get.clone(), "/v1/secret-policies", "", "admin"),
        (Method::POST, "/v1/rotation/policies", r#"{"name":"n","interval":"1d"}"#, "admin"),
    ];
    let all = [
        "secrets:read",
        "secrets:list",
        "secrets:write",
        "secrets:rotate",
        "secrets:delete",
        "admin",
    ];
    for (method, path, body, needed) in &of_reads {
        for scope in all {
            // In the order of the table each is done once by its own scope, and nothing by another.
            if scope == *needed || scope == "admin" {
                continue;
            }
            let answer = ask(&idp.client, &idp.scoped(scope), method.clone(), path, body).await;
            let text = refused(&answer, 403, "insufficient_scope");
            assert!(text.contains(needed), "{text}");
            assert_eq!(answer.json()["error"]["details"], json!({ "scope": needed }));
        }
        let spelled = needed.replace(':', ".");
        let answer =
            ask(&idp.client, &idp.scoped(&format!("x {spelled}")), method.clone(), path, body)
                .await;
        assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
    }
    // In a list, and of Azure's name.
    let listed = idp.token(json!({"scope": null, "scp": ["openid", "secrets.read"]}));
    idp.read(&listed).await.ok();
    refused(&idp.read(&idp.token(json!({"scope": null}))).await, 403, "insufficient_scope");
    idp.read(&idp.scoped("admin")).await.ok();
}

/// Case 81 of path secrets: what cannot be taken back takes `admin`.
#[tokio::test]
async fn erasing_takes_admin() {
    let idp = Idp::start(|_| {}).await;
    for query in ["permanent=true", "%70ermanent=true", "version=1&permanent=true"] {
        let path = format!("/v1/secrets/app/db?{query}");
        let few = ask(&idp.client, &idp.scoped("secrets:delete"), Method::DELETE, &path, "").await;
        refused(&few, 403, "insufficient_scope");
    }
    idp.read(&idp.scoped("secrets:read")).await.ok();
    let path = "/v1/secrets/app/db?permanent=true";
    let all = ask(&idp.client, &idp.scoped("admin"), Method::DELETE, path, "").await;
    assert_eq!(all.ok()["permanent"], true);
    refused(&idp.read(&idp.scoped("admin")).await, 404, "secret_not_found");
}

/// Case 109: a rotation takes its own scope; why is in the trail and in the history.
#[tokio::test]
async fn rotating_takes_its_scope() {
    let idp = Idp::start(|_| {}).await;
    let body = r#"{"new_value":{"v":2},"reason":"leaked"}"#;
    let rotate = async |scope: &str, path: &str| {
        let path = format!("/v1/secrets/{path}/rotate");
        ask(&idp.client, &idp.scoped(scope), Method::POST, &path, body).await
    };
    refused(&rotate("secrets:rotate", "none").await, 404, "secret_not_found");
    refused(&rotate("secrets:write", "app/db").await, 403, "insufficient_scope");
    assert_eq!(rotate("secrets:rotate", "app/db").await.ok()["version"], 2);
    let told: Vec<_> = idp.records("reason").into_iter().filter(|it| it["status"] == 200).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0]["reason"], &told[0]["jwt"]["subject"]),
        (&json!("leaked"), &json!("alice"))
    );
}

/// The certificate's policies count beside: what one of the two does not give is not given.
#[tokio::test]
async fn rights_are_what_both_give() {
    let key = Signer::p256();
    let server = TestServer::start_with(|config| {
        let file = config.store.path.with_file_name("jwks.json");
        std::fs::write(&file, set(&[key.public("k")])).unwrap();
        config.auth.jwt.issuer = Some(ISSUER.to_owned());
        config.auth.jwt.jwks_file = Some(file);
        config.access.default_policy = "read-only".parse().unwrap();
    })
    .await;
    let client = server.tenant().await;
    let pair = server.issue(&Subject::Domain(client.id.parse().unwrap()), 30);
    let idp = Idp { server, key, client, pair };
    let at = "/v1/secrets/a";
    let put = ask(&idp.client, &idp.scoped("admin"), Method::PUT, at, r#"{"data":{}}"#).await;
    refused(&put, 403, "access_denied");
    let get = ask(&idp.client, &idp.scoped("admin"), Method::GET, at, "").await;
    refused(&get, 404, "secret_not_found");
    let get = ask(&idp.client, &idp.scoped("secrets:write"), Method::GET, at, "").await;
    refused(&get, 403, "insufficient_scope");
}

/// Whom the token is about has made what it makes, and the trail has both.
#[tokio::test]
async fn the_subject_is_the_tokens() {
    let idp = Idp::start(|_| {}).await;
    let token = idp.token(json!({"scope": "secrets:write", "client_id": "bff", "jti": "j-1"}));
    let put = ask(&idp.client, &token, Method::PUT, "/v1/secrets/mine", r#"{"data":{}}"#).await;
    assert_eq!(put.status, 201);
    let shown = idp.client.call(Method::GET, "/v1/secrets/metadata/mine", "").await.ok();
    assert_eq!(shown["metadata"]["owner"], "alice");
    let records = idp.records("jwt");
    let record = records.last().unwrap();
    let jwt = json!({"subject": "alice", "issuer": ISSUER, "client_id": "bff", "id": "j-1"});
    assert_eq!(record["jwt"], jwt);
    assert_eq!(record["common_name"], "test", "the certificate's stands beside");
    assert!(record["serial"].is_string() && record.get("subject").is_none());
    assert_eq!(record["acting_tenant"], *idp.client.id);
    let whoami =
        async |token: &str| ask(&idp.client, token, Method::GET, "/v1/auth/whoami", "").await.ok();
    let told = whoami(&idp.scoped("secrets:read secrets:list")).await;
    assert_eq!(
        (&told["identity_id"], &told["identity_type"], &told["scopes"]),
        (&json!("alice"), &json!("user"), &json!(["secrets:read", "secrets:list"]))
    );
    let service = idp.token(json!({"sub": "bff", "client_id": "bff", "scope": "admin"}));
    let told = whoami(&service).await;
    assert_eq!(
        (&told["identity_type"], told["scopes"].as_array().unwrap().len()),
        (&json!("service_account"), 6)
    );
}

/// Tokens of the server's own stay as they are, and without a bearer a certificate does.
#[tokio::test]
async fn other_bearers_stay_as_they_are() {
    let idp = Idp::start(|_| {}).await;
    let at = format!("/api/{}/v1/auth/cert/login", idp.client.id);
    let login = idp.client.call(Method::POST, &at, "{}").await.ok();
    let own = login["auth"]["client_token"].as_str().unwrap();
    idp.read(own).await.ok();
    idp.client.call(Method::GET, "/v1/secrets/app/db", "").await.ok();
    for none in ["x", "a.b", "okms.a.b", "hvs.x.y.z", "a.b.c.d.e"] {
        refused(&idp.read(none).await, 401, "token_invalid");
    }
    let jwt = idp.scoped("");
    for header in super::uris::NOT_UNDERSTOOD.map(|header| header.replace("JWT", &jwt)) {
        for path in ["/v1/secrets/app/db", "/v1/secrets", "/v1/auth/whoami"] {
            let headers = [("authorization", &*header)];
            refused(&idp.client.send(Method::GET, path, &headers, "").await, 401, "token_invalid");
        }
    }
    // Two that differ are none, whatever each of them is.
    let bearer = format!("Bearer {}", idp.scoped("admin"));
    let both = [("authorization", &*bearer), ("x-vault-token", own)];
    let answer = idp.client.send(Method::GET, "/v1/secrets/app/db", &both, "").await;
    refused(&answer, 400, "invalid_request");
    // Where no issuer is set, no JWT counts.
    let (server, client) = TestServer::with_tenant().await;
    let answer = ask(&client, &idp.scoped("admin"), Method::GET, "/v1/secrets", "").await;
    refused(&answer, 401, "token_invalid");
    drop(server);
}
