//! JWTs where secrets are named by URIs, by the numbers of that dialect's cases.

use okmsd::config::{JwtBinding, JwtCertificate};

use super::*;
use crate::{
    audit::record_of,
    canonical::{Uris, is, refused},
    harness::BOTH,
};

/// Each operation, as it is asked for, and the scope that it takes of a JWT.
const OPERATIONS: [(&str, &str); 22] = [
    (r#"POST {"uri":"U x","value":{}}"#, "secrets.write"),
    ("GET - U app/db", "secrets.read"),
    ("GET value U app/db", "secrets.read"),
    ("DELETE U x", "secrets.delete"),
    ("DELETE U x&destroy=false", "secrets.delete"),
    ("DELETE U x&destroy=true", "secrets.destroy"),
    (r#"POST rotate {"uri":"U x","value":{}}"#, "secrets.rotate"),
    ("GET metadata", "secrets.read_metadata"),
    ("GET search ?q=x", "secrets.read_metadata"),
    ("GET keys U app/db", "secrets.read_metadata"),
    ("GET metadata/detail U app/db", "secrets.read_metadata"),
    ("GET versions U app/db", "secrets.read_metadata"),
    (r#"POST undelete {"uri":"U app/db","versions":[1]}"#, "secrets.delete"),
    (r#"POST destroy-versions {"uri":"U app/db","versions":[9]}"#, "secrets.destroy"),
    (r#"POST metadata/owner {"uri":"U app/db","owner":"x"}"#, "secrets.set_owner"),
    (r#"POST copy {"fromUri":"U app/db","toUri":"U x"}"#, "secrets.read secrets.write"),
    (
        r#"POST copy {"fromUri":"U app/db","toUri":"U x","overwrite":true}"#,
        "secrets.write secrets.read",
    ),
    (r#"POST move {"fromUri":"U app/none","toUri":"U y"}"#, "secrets.read secrets.write"),
    (r#"POST move {"fromUri":"U app/none","toUri":"U z"}"#, "secrets.write secrets.read"),
    // With its history, what is gone from where it was takes the scope of that.
    (
        r#"POST copy {"fromUri":"U app/","toUri":"U copy/","history":true}"#,
        "secrets.read secrets.write",
    ),
    (
        r#"POST copy {"fromUri":"U app/","toUri":"U z/","history":true,"overwrite":true}"#,
        "secrets.read secrets.write secrets.destroy",
    ),
    (
        r#"POST move {"fromUri":"U app/none","toUri":"U z","history":true}"#,
        "secrets.read secrets.write secrets.destroy",
    ),
];

/// The operations of a request for several, and the scope that each takes.
const ITEMS: [(&str, &str); 7] = [
    (r#"{"op":"set","uri":"U x","value":{}}"#, "secrets.write"),
    (r#"{"op":"rotate","uri":"U x","value":{}}"#, "secrets.rotate"),
    (r#"{"op":"delete","uri":"U x"}"#, "secrets.delete"),
    (r#"{"op":"delete","uri":"U x","versions":[1]}"#, "secrets.delete"),
    (r#"{"op":"undelete","uri":"U x","versions":[1]}"#, "secrets.delete"),
    (r#"{"op":"destroy","uri":"U x","versions":[1]}"#, "secrets.destroy"),
    (r#"{"op":"destroy","uri":"U x"}"#, "secrets.destroy"),
];

async fn says(client: &Client, token: &str, case: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    Uris { client: client.clone() }.ask_with(case, &[("authorization", &bearer)]).await
}

/// That a case is answered so where this token comes along.
async fn expect(client: &Client, token: &str, case: &str, expected: &str) {
    let answer = says(client, token, case).await;
    is(&answer, expected, case);
    let told = answer.headers.get("www-authenticate").map(|told| told.to_str().unwrap());
    let is_of_bearer = expected.contains(" TOKEN_");
    assert_eq!(told, is_of_bearer.then_some("Bearer error=\"invalid_token\""), "{case}");
}

/// The token of a login with this client's certificate.
async fn own_token(client: &Client) -> String {
    let at = format!("/api/{}/v1/auth/cert/login", client.id);
    let login = client.call(Method::POST, &at, "{}").await.ok();
    login["auth"]["client_token"].as_str().unwrap().to_owned()
}

const READ: &str = "GET value U app/db";
const POST: &str = r#"POST {"uri":"U x","value":{}}"#;

/// 95: nobody gets anything, wherever.
#[tokio::test]
async fn nobody_gets_anything() {
    let (server, client) = TestServer::with_tenant().await;
    let nobody = Uris { client: Client { id: client.id, ..server.anonymous() } };
    let bulk = format!(r#"POST bulk {{"operations":[{}]}}"#, ITEMS[0].0);
    for http in BOTH {
        let nobody = Uris { client: nobody.client.over(http) };
        for case in OPERATIONS.iter().map(|(case, _)| *case).chain([&*bulk]) {
            nobody.says(&[(case, "401 UNAUTHENTICATED")]).await;
        }
    }
}

/// 98: a certificate alone does not do where a bearer is asked for.
#[tokio::test]
async fn a_bearer_may_be_asked_for() {
    let idp = Idp::start(|config| config.secrets_api.require_auth = true).await;
    let uris = Uris { client: idp.client.clone() };
    for (case, _) in OPERATIONS {
        uris.says(&[(case, "401 UNAUTHENTICATED")]).await;
    }
    let own = own_token(&idp.client).await;
    expect(&idp.client, &own, READ, r#"{"v":1}"#).await;
    let another = idp.server.client_of(&idp.client.id, Http::One);
    expect(&another, &own, READ, "401 TOKEN_INVALID").await;
    expect(&idp.client, &own_token(&another).await, READ, "401 TOKEN_INVALID").await;
    expect(&idp.client, &idp.scoped(""), READ, r#"{"v":1}"#).await;
    // An operator is asked, too, and other dialects do not ask.
    let operator = Uris { client: idp.server.operator() };
    let named = operator.ask_with(READ, &[("x-tenant-id", &idp.client.id)]).await;
    refused(&named, 401, "UNAUTHENTICATED");
    idp.client.get("secret/app/db").await.ok();
}

/// 99, and what each operation takes: scopes bound what a certificate may do where they are asked for.
#[tokio::test]
async fn each_operation_takes_its_scope() {
    let idp = Idp::start(|config| config.secrets_api.enforce_scopes = true).await;
    let all = [
        "secrets.read",
        "secrets.write",
        "secrets.delete",
        "secrets.destroy",
        "secrets.rotate",
        "secrets.read_metadata",
        "secrets.set_owner",
        "secrets.list",
    ];
    for (case, scopes) in OPERATIONS {
        // The last one that it takes is missing.
        let (needed, rest) = match scopes.rsplit_once(' ') {
            Some((rest, needed)) => (needed, rest),
            None => (scopes, ""),
        };
        let others = all.into_iter().filter(|scope| *scope != needed);
        for given in [rest.to_owned(), others.collect::<Vec<_>>().join(" ")] {
            let answer = says(&idp.client, &idp.scoped(&given), case).await;
            let details = refused(&answer, 403, "SCOPE_REQUIRED");
            assert_eq!(details, json!({ "scope": needed }), "{case}");
        }
        for given in [scopes.to_owned(), scopes.replace('.', ":"), "admin".to_owned()] {
            let answer = says(&idp.client, &idp.scoped(&given), case).await;
            assert!(!matches!(answer.status.as_u16(), 401 | 403), "{case}: {answer:?}");
        }
    }
    // A certificate without a token is as it was.
    Uris { client: idp.client.clone() }.says(&[(READ, r#"{"v":1}"#), (POST, "200")]).await;
}

/// Where they are not asked for, a certificate's holder may what it may, whatever a token beside it says.
#[tokio::test]
async fn scopes_do_not_bound_where_they_are_not_asked_for() {
    let idp = Idp::start(|_| {}).await;
    expect(&idp.client, &idp.scoped(""), READ, r#"{"v":1}"#).await;
    expect(&idp.client, &idp.scoped("secrets.read"), POST, "200").await;
    // Who has made it is whom the token is about.
    let detail = Uris { client: idp.client.clone() }.told("GET metadata/detail U x").await;
    assert_eq!(detail["custom_metadata"]["created_by"], "alice");
}

/// 100: scopes come from nowhere but a JWT.
#[tokio::test]
async fn a_token_of_ours_has_no_scopes() {
    let idp = Idp::start(|config| {
        config.secrets_api.require_auth = true;
        config.secrets_api.enforce_scopes = true;
    })
    .await;
    let own = own_token(&idp.client).await;
    for (case, scopes) in OPERATIONS {
        let answer = says(&idp.client, &own, case).await;
        let details = refused(&answer, 403, "SCOPE_REQUIRED");
        // What the row says comes before what the body does.
        let of_row = scopes.split(' ').filter(|scope| *scope != "secrets.destroy").min();
        let first = of_row.unwrap_or(scopes);
        assert_eq!(details, json!({ "scope": first }), "{case}");
    }
    expect(&idp.client, &idp.scoped("secrets.read"), READ, r#"{"v":1}"#).await;
    Uris { client: idp.client.clone() }.says(&[(READ, "401 UNAUTHENTICATED")]).await;
}

/// 101
#[tokio::test]
async fn audiences() {
    let idp = Idp::start(|_| {}).await;
    let read = async |idp: &Idp, aud: Value, expected: &str| {
        expect(&idp.client, &idp.token(json!({ "aud": aud })), READ, expected).await;
    };
    read(&idp, json!("other"), "401 TOKEN_INVALID").await;
    read(&idp, json!(["other"]), "401 TOKEN_INVALID").await;
    read(&idp, json!(["other", "crud.secrets"]), "200").await;
    read(&idp, Value::Null, "200").await;
    let strict = Idp::start(|config| config.auth.jwt.require_audience = true).await;
    read(&strict, Value::Null, "401 TOKEN_INVALID").await;
    read(&strict, json!("crud.secrets"), "200").await;
}

/// 102: each is one step away from a good one; nothing is done for it, and nothing of it is told.
#[tokio::test]
async fn none_of_these_counts() {
    let idp = Idp::start(|config| config.auth.jwt.certificate = JwtCertificate::Optional).await;
    let table = super::refused::table(&idp);
    for http in BOTH {
        for client in [idp.client.over(http), idp.nobody().over(http)] {
            for (name, token, words) in &table {
                for case in [READ, POST] {
                    let answer = says(&client, token, case).await;
                    is(&answer, "401 TOKEN_INVALID", name);
                    let text = answer.json()["message"].as_str().unwrap().to_owned();
                    assert!(text.contains(words), "{name}: {text}");
                    let part = token.rsplit('.').find(|it| it.len() > 20).unwrap_or(token);
                    assert!(!answer.text().contains(part), "{name}");
                }
            }
            let expired = idp.token(json!({"exp": START - 60}));
            expect(&client, &expired, READ, "401 TOKEN_EXPIRED").await;
        }
    }
    Uris { client: idp.client.clone() }.says(&[("GET value U x", "404 SECRET_NOT_FOUND")]).await;
}

/// 103: a bound token is worth nothing without its certificate.
#[tokio::test]
async fn bound_tokens() {
    let idp = Idp::start(|config| config.auth.jwt.certificate = JwtCertificate::Optional).await;
    let to = |pair: &Pair| idp.token(json!({"cnf": {"x5t#S256": thumbprint(pair)}}));
    let other = idp.server.issue(&Subject::Domain(idp.client.id.parse().unwrap()), 30);
    expect(&idp.client, &to(&other), READ, "401 TOKEN_INVALID").await;
    expect(&idp.client, &to(&idp.pair), READ, r#"{"v":1}"#).await;
    // Whoever has stolen it has another certificate, or none.
    let thief = idp.server.client_of(&idp.client.id, Http::One);
    expect(&thief, &to(&idp.pair), READ, "401 TOKEN_INVALID").await;
    expect(&idp.nobody(), &to(&idp.pair), READ, "401 TOKEN_INVALID").await;
    let strict = Idp::start(|config| config.auth.jwt.binding = JwtBinding::Required).await;
    expect(&strict.client, &strict.scoped("admin"), READ, "401 TOKEN_INVALID").await;
    let bound = strict.token(json!({"cnf": {"x5t#S256": thumbprint(&strict.pair)}}));
    expect(&strict.client, &bound, READ, r#"{"v":1}"#).await;
}

/// 104: certificate, token and header are of one tenant, and which other there is, is told by nothing.
#[tokio::test]
async fn tenants_must_agree() {
    let idp = Idp::start(|_| {}).await;
    let other = idp.server.tenant().await;
    let mut told = Vec::new();
    for tenant in [&*other.id, "9c4f0c2e-5d0b-4a56-8c11-2a1d1f1f7a10", "acme"] {
        let answer = says(&idp.client, &idp.token(json!({"tenant_id": tenant})), READ).await;
        refused(&answer, 403, "TENANT_ACCESS_DENIED");
        told.push(answer.likeness());
    }
    assert!(told.iter().all(|one| *one == told[0]), "{told:#?}");
    expect(&idp.client, &idp.token(json!({"tenant_id": null})), READ, r#"{"v":1}"#).await;
    // An operator's certificate is for all, and the token for one; the header must be of that one.
    let operator = Uris { client: idp.server.operator() };
    let bearer = format!("Bearer {}", idp.scoped("secrets.read"));
    let ask = async |named: Option<&str>| {
        let mut headers = vec![("authorization", &*bearer)];
        headers.extend(named.map(|id| ("x-tenant-id", id)));
        operator.ask_with(READ, &headers).await
    };
    assert_eq!(ask(None).await.ok(), json!({"v": 1}));
    let own = ask(Some(&idp.client.id)).await;
    assert_eq!(own.ok(), json!({"v": 1}));
    // 97: whose it is, and who has asked.
    let record = record_of(&idp.server, &own);
    let (acting, tenant) = (&record["acting_tenant"], &record["tenant"]);
    assert_eq!((acting, tenant), (&json!("operator"), &json!(idp.client.id)));
    refused(&ask(Some(&other.id)).await, 403, "TENANT_ACCESS_DENIED");
}

/// 105: without a certificate a token must name its tenant, and gives what its scopes give, whether they are
/// asked for beside a certificate or not.
#[tokio::test]
async fn a_token_alone() {
    let strict = Idp::start(|_| {}).await;
    expect(&strict.nobody(), &strict.scoped("admin"), READ, "401 TOKEN_INVALID").await;
    let idp = Idp::start(|config| config.auth.jwt.certificate = JwtCertificate::Optional).await;
    for http in BOTH {
        let nobody = idp.nobody().over(http);
        let token = idp.scoped("secrets.read");
        expect(&nobody, &token, READ, r#"{"v":1}"#).await;
        let details = refused(&says(&nobody, &token, POST).await, 403, "SCOPE_REQUIRED");
        assert_eq!(details, json!({"scope": "secrets.write"}));
        expect(&nobody, &idp.token(json!({"tenant_id": null})), READ, "401 TOKEN_INVALID").await;
    }
    expect(&idp.nobody(), &idp.scoped("secrets.write"), POST, "200").await;
    let other = idp.server.tenant().await;
    let theirs = idp.token(json!({"tenant_id": other.id}));
    expect(&idp.nobody(), &theirs, READ, "404 SECRET_NOT_FOUND").await;
    // Beside it the header names no other tenant.
    let bearer = format!("Bearer {}", idp.scoped("admin"));
    let headers = [("authorization", &*bearer), ("x-tenant-id", &*other.id)];
    let answer = Uris { client: idp.nobody() }.ask_with(READ, &headers).await;
    refused(&answer, 403, "TENANT_ACCESS_DENIED");
    Uris { client: idp.nobody() }.says(&[(READ, "401 UNAUTHENTICATED")]).await;
}

/// 106: a copy and a move take both scopes, and of several operations each takes its own.
#[tokio::test]
async fn of_several_each_takes_its_own() {
    let idp = Idp::start(|config| config.secrets_api.enforce_scopes = true).await;
    let both = idp.scoped("secrets.read secrets.write");
    let copy = r#"POST copy {"fromUri":"U app/db","toUri":"U b"}"#;
    expect(&idp.client, &both, copy, "200").await;
    expect(&idp.client, &both, r#"POST move {"fromUri":"U b","toUri":"U c"}"#, "200").await;
    let bulk = async |scopes: &str, items: &[&str]| {
        let case = format!(r#"POST bulk {{"operations":[{}]}}"#, items.join(","));
        let told = says(&idp.client, &idp.scoped(scopes), &case).await.ok();
        told["results"].as_array().unwrap().clone()
    };
    let set_delete =
        [r#"{"op":"set","uri":"U c","value":{"a":1}}"#, r#"{"op":"delete","uri":"U c"}"#];
    let results = bulk("secrets.read secrets.write", &set_delete).await;
    assert_eq!(results[0]["ok"], true);
    assert_eq!(
        (&results[1]["status"], &results[1]["code"]),
        (&json!(403), &json!("SCOPE_REQUIRED"))
    );
    expect(&idp.client, &both, "GET value U c", r#"{"a":1}"#).await;
    for (item, needed) in ITEMS {
        let all = ["read", "write", "delete", "destroy", "rotate", "read_metadata", "set_owner"];
        let others = all.into_iter().map(|name| format!("secrets.{name}"));
        let others: Vec<_> = others.filter(|scope| scope != needed).collect();
        let [refused] = &bulk(&others.join(" "), &[item]).await[..] else { panic!("one") };
        assert_eq!(refused["code"], "SCOPE_REQUIRED", "{item}");
        assert!(refused["message"].as_str().unwrap().contains(needed), "{item}: {refused}");
        let [given] = &bulk(needed, &[item]).await[..] else { panic!("one") };
        assert_ne!(given["status"], 403, "{item}: {given}");
    }
}

/// Who may is asked of policies as well: what one of the two does not give is not given.
#[tokio::test]
async fn rights_are_what_both_give() {
    let idp = Idp::start(|config| {
        config.auth.jwt.certificate = JwtCertificate::Optional;
        config.secrets_api.enforce_scopes = true;
    })
    .await;
    let mut server = idp.server;
    server.config.access.default_policy = "read-only".parse().unwrap();
    server.restart().await;
    let client = server.at(&idp.client);
    let idp = Idp { server, client, ..idp };
    for client in [idp.client.clone(), idp.nobody()] {
        expect(&client, &idp.scoped("admin"), POST, "403 SECRET_AUTHZ_FAILED").await;
        expect(&client, &idp.scoped("admin"), READ, r#"{"v":1}"#).await;
        expect(&client, &idp.scoped("secrets.write"), READ, "403 SCOPE_REQUIRED").await;
    }
}

/// Headers for those who authenticate themselves in which there is no bearer; the JWT is put in place of `JWT`.
pub(super) const NOT_UNDERSTOOD: [&str; 9] = [
    // HTTP trims the blank.
    "Bearer ",
    "Bearer",
    "",
    "Bearer\tJWT",
    "DPoP JWT",
    "Token JWT",
    "JWT",
    "Basic dXNlcjpwYXNz",
    "BearerJWT",
];

/// A certificate's holder whose client spelt the bearer otherwise had all that the certificate has, in place of what the
/// token's scopes give.
#[tokio::test]
async fn what_is_not_understood_is_no_bearer() {
    for require_auth in [false, true] {
        let idp = Idp::start(|config| {
            config.secrets_api.enforce_scopes = true;
            config.secrets_api.require_auth = require_auth;
        })
        .await;
        let jwt = idp.scoped("secrets.list");
        for http in BOTH {
            let uris = Uris { client: idp.client.over(http) };
            for header in NOT_UNDERSTOOD.map(|header| header.replace("JWT", &jwt)) {
                for case in [READ, POST, "GET nothing"] {
                    let answer = uris.ask_with(case, &[("authorization", &header)]).await;
                    let expected = match case {
                        "GET nothing" => "404 NOT_FOUND",
                        _ => "401 TOKEN_INVALID",
                    };
                    is(&answer, expected, &format!("{case} {}", header.replace(&jwt, "JWT")));
                    assert!(!answer.text().contains(&jwt));
                }
            }
            // Nor beside one that is.
            let good = format!("Bearer {}", idp.scoped("admin"));
            let both = [("authorization", &*good), ("authorization", "Basic dXNlcjpwYXNz")];
            is(&uris.ask_with(READ, &both).await, "401 TOKEN_INVALID", "both");
            is(&uris.ask_with(READ, &both[..1]).await, r#"{"v":1}"#, "the good one");
        }
        // Other dialects look at no such header, as proxies send what is theirs.
        let basic = [("authorization", "Basic dXNlcjpwYXNz")];
        let native = idp.client.url("secret/app/db?includeData=true");
        idp.client.send(Method::GET, &native, &basic, "").await.ok();
        let vaults = format!("/api/{}/v1/secret/data/app/db", idp.client.id);
        idp.client.send(Method::GET, &vaults, &basic, "").await.ok();
        // Who is nobody is told that, as ever.
        let nobody = Uris { client: idp.nobody() };
        is(&nobody.ask_with(READ, &basic).await, "401 UNAUTHENTICATED", "nobody");
    }
}

/// Two bearers that differ are none, and what is neither a JWT nor a token of ours is no reason to go on.
#[tokio::test]
async fn other_bearers() {
    let idp = Idp::start(|_| {}).await;
    for none in ["x", "a.b", "okms.a.b", "hvs.x.y.z", "a.b.c.d.e"] {
        expect(&idp.client, none, READ, "401 TOKEN_INVALID").await;
    }
    let bearer = format!("Bearer {}", idp.scoped("admin"));
    let own = own_token(&idp.client).await;
    let both = [("authorization", &*bearer), ("x-vault-token", &*own)];
    let answer = Uris { client: idp.client.clone() }.ask_with(READ, &both).await;
    refused(&answer, 400, "INVALID_FIELD");
    // Where no issuer is set, no JWT counts.
    let (_server, client) = TestServer::with_tenant().await;
    expect(&client, &idp.scoped("admin"), READ, "401 TOKEN_INVALID").await;
}
