//! Users who log in without a certificate, where the operator lets them: what that opens, and what stays
//! shut.

use hyper::Method;
use serde_json::{Value, json};

use super::{DENIED, Vault};
use crate::{
    harness::{Answer, BOTH, Client, Http, TestServer},
    isolation::UNKNOWN,
};

const WRONG: &str = "invalid username or password";
const LOCKED: &str = "too many of your logins have failed; repeat after the time in Retry-After";
const RIGHT: &str = "correct horse";
const UNAUTHENTICATED: u32 = 50_475_011;

/// A server that lets users in without a certificate, and the administrator of a domain of it.
async fn start() -> (TestServer, Vault) {
    let server =
        TestServer::start_with(|config| config.access.users_without_certificate = true).await;
    let admin = Vault::of(&server.tenant().await).root();
    for (name, policies) in [("ann", "read-only"), ("root", "admin"), ("bob", "")] {
        let user = json!({"password": RIGHT, "policies": policies, "token_ttl": "1h"});
        admin.put(&format!("auth/userpass/users/{name}"), user).await.nothing();
    }
    admin.put("secret/data/s", json!({"data": {"k": "v"}})).await.shown();
    (server, admin)
}

/// Lets them in, or not, from now on.
fn lets(server: &mut TestServer, may: bool) {
    server.config.access.users_without_certificate = may;
    server.reloader.reload(&server.config).unwrap();
}

/// Somebody without a certificate, at the addresses of the domain `id`.
fn visitor(server: &TestServer, id: &str) -> Vault {
    Vault::of(&Client { id: id.to_owned(), ..server.anonymous() }).root()
}

async fn log_in(caller: &Vault, name: &str, password: &str) -> Answer {
    caller.put(&format!("auth/userpass/login/{name}"), json!({ "password": password })).await
}

fn token(login: &Answer) -> String {
    login.envelope()["auth"]["client_token"].as_str().unwrap().to_owned()
}

/// The caller, with the token of a login that must succeed.
async fn logged_in(caller: &Vault, name: &str) -> Vault {
    let login = log_in(caller, name, RIGHT).await;
    caller.token(&token(&login))
}

/// As clients do it: at the domain's addresses, and with the domain as the namespace. The token is good
/// without a certificate, may what the user may, renews and ends itself, and makes others of its kind.
#[tokio::test]
async fn a_login_without_a_certificate() {
    let (server, admin) = start().await;
    let id = admin.client.id.clone();
    for http in BOTH {
        let at_domain = visitor(&server, &id);
        let at_domain = Vault { client: at_domain.client.over(http), ..at_domain };
        let by_namespace = at_domain.at("/v1").with("x-vault-namespace", format!("{id}/"));
        for caller in [at_domain, by_namespace] {
            let ann = logged_in(&caller, "ann").await;
            let own = ann.get("auth/token/lookup-self").await.shown();
            assert_eq!(
                (&own["display_name"], &own["ttl"], &own["policies"]),
                (&json!("userpass-ann"), &json!(3600), &json!(["default", "read-only"]))
            );
            assert_eq!(ann.get("secret/data/s").await.shown()["data"], json!({"k": "v"}));
            ann.put("secret/data/s", json!({"data": {}})).await.error(403, 16_924_673);
            ann.put("auth/token/renew-self", json!({})).await.envelope();
            let told = ann.post("sys/capabilities-self", json!({"paths": ["secret/data/s"]})).await;
            assert_eq!(told.ok()["data"]["secret/data/s"], json!(["read"]));
            let child = ann.post("auth/token/create", json!({"policies": ["read-only"]})).await;
            let child = caller.token(&token(&child));
            child.get("secret/data/s").await.shown();
            for gone in [child, ann] {
                gone.post("auth/token/revoke-self", json!({})).await.nothing();
                gone.get("secret/data/s").await.refused(403, DENIED);
            }
        }
    }
    // What may be done with a right: with a user's as with a certificate's.
    let root = logged_in(&visitor(&server, &id), "root").await;
    root.put("secret/data/s", json!({"data": {"k": "w"}})).await.shown();
    root.list("auth/token/accessors").await.keys();
}

/// A job's token was made with one that is denied something, and named all but the policy that denies
/// it: so the job could read it. What is denied to the maker of a token is denied to the token.
#[tokio::test]
async fn a_token_is_denied_what_its_makers_are_denied() {
    let (server, admin) = start().await;
    for path in ["prod/db", "test/db"] {
        admin.put(&format!("secret/data/{path}"), json!({"data": {"k": "v"}})).await.shown();
    }
    let policy = async |name: &str, text: &str| {
        let at = format!("sys/policies/acl/{name}");
        admin.put(&at, json!({ "policy": text })).await.nothing();
    };
    let team = r#"
        path "secret/data/*" { capabilities = ["read"] }
        path "secret/metadata/*" { capabilities = ["read", "list"] }"#;
    policy("team", team).await;
    let no_prod = r#"
        path "secret/data/prod/*" { capabilities = ["deny"] }
        path "secret/metadata/prod/*" { capabilities = ["deny"] }
        path "secret/metadata/test/*" { capabilities = ["list"] }"#;
    policy("no-prod", no_prod).await;
    let nobody = visitor(&server, &admin.client.id);
    let made = async |with: &Vault, policies: &[&str]| {
        let made = with.post("auth/token/create", json!({ "policies": policies })).await;
        nobody.token(&token(&made))
    };
    let ann = logged_in(&nobody, "ann").await;
    ann.get("secret/data/prod/db").await.shown();
    let both = made(&ann, &["team", "no-prod"]).await;
    let team = made(&both, &["team"]).await;
    let [heir, same, least] =
        [made(&team, &[]).await, made(&team, &["team"]).await, made(&team, &["default"]).await];
    least.get("secret/data/test/db").await.error(403, 16_924_673);
    let sees = async |job: &Vault, prod: u16, metadata: u16| {
        job.get("secret/data/test/db").await.shown();
        assert_eq!(job.get("secret/data/prod/db").await.status, prod);
        // What a more specific block gives less of, too.
        assert_eq!(job.get("secret/metadata/test/db").await.status, metadata);
        let told = ["secret/data/prod/db", "secret/metadata/test/db"];
        let told = job.post("sys/capabilities-self", json!({ "paths": told })).await.ok();
        let words = if prod == 200 { json!(["read"]) } else { json!(["deny"]) };
        assert_eq!(told["data"]["secret/data/prod/db"], words);
        let words = if metadata == 200 { json!(["list", "read"]) } else { json!(["list"]) };
        assert_eq!(told["data"]["secret/metadata/test/db"], words);
        let listed = job.list("secret/metadata").await.keys();
        assert_eq!(listed.contains(&"prod/".to_owned()), prod == 200, "{listed:?}");
    };
    for job in [&team, &heir, &same] {
        assert_eq!(
            job.get("auth/token/lookup-self").await.shown()["policies"],
            json!(["default", "team"])
        );
        sees(job, 403, 403).await;
    }
    // As the policies are now.
    policy("no-prod", r#"path "secret/*" { capabilities = ["read", "list"] }"#).await;
    for job in [&both, &team, &heir, &same] {
        sees(job, 200, 200).await;
    }
    policy("no-prod", no_prod).await;
    sees(&same, 403, 403).await;
    // Each is kept that says something else, and so there is an end to it.
    let all: Vec<_> = (0..9).map(|n| format!("p{n}")).collect();
    let some = |n: usize| all[..n].iter().map(String::as_str).collect::<Vec<_>>();
    let mut deep = ann;
    for n in (2..=9).rev() {
        deep = made(&deep, &some(n)).await;
    }
    let beyond = deep.post("auth/token/create", json!({"policies": some(1)})).await;
    assert!(beyond.error(400, 50_405_377).contains("at most 8 times"), "{beyond:?}");
    made(&deep, &[]).await;
}

/// A certificate is as good as before with such a token, and others' tokens as bad as before without
/// one.
#[tokio::test]
async fn tokens_stay_where_they_belong() {
    let (server, admin) = start().await;
    let id = &admin.client.id;
    let nobody = visitor(&server, id);
    let bound = admin.post("auth/cert/login", json!({})).await;
    let of_ann = log_in(&admin, "ann", RIGHT).await;
    for login in [&bound, &of_ann] {
        nobody.token(&token(login)).get("secret/data/s").await.refused(403, DENIED);
        nobody.token(&token(login)).get("auth/token/lookup-self").await.refused(403, DENIED);
    }
    // One that is bound to none may what its user may, whatever certificate it comes with.
    let unbound = token(&log_in(&nobody, "bob", RIGHT).await);
    admin.token(&unbound).get("secret/data/s").await.error(403, 16_924_673);
    // In its own domain alone.
    let other = server.tenant().await;
    Vault::of(&other).root().token(&unbound).get("secret/data/s").await.refused(403, DENIED);
    visitor(&server, &other.id).token(&unbound).get("secret/data/s").await.refused(403, DENIED);
    // It ends with its user, and with a right.
    let ann = logged_in(&nobody, "ann").await;
    let accessor = ann.get("auth/token/lookup-self").await.shown()["accessor"].clone();
    let bob = nobody.token(&unbound);
    bob.post("auth/token/revoke-accessor", json!({ "accessor": accessor }))
        .await
        .error(403, 16_924_673);
    admin.post("auth/token/revoke-accessor", json!({ "accessor": accessor })).await.nothing();
    ann.get("secret/data/s").await.refused(403, DENIED);
    let ann = logged_in(&nobody, "ann").await;
    admin.delete("auth/userpass/users/ann").await.nothing();
    ann.get("secret/data/s").await.refused(403, DENIED);
}

/// Who has no certificate learns nothing of which domains and users there are, neither by what is said
/// nor by when there is a wait; and keeps nobody waiting that has one.
#[tokio::test]
async fn which_domains_and_users_there_are_is_not_told() {
    let (server, admin) = start().await;
    let id = &admin.client.id;
    let at = |id: &str| visitor(&server, id);
    let tries = [(at(id), "ann"), (at(id), "nobody"), (at(UNKNOWN), "ann"), (at(UNKNOWN), "x%20y")];
    let alike = |all: &[Answer]| {
        let mut all: Vec<_> = all.iter().map(Answer::likeness).collect();
        all.dedup();
        assert_eq!(all.len(), 1, "{all:?}");
    };
    for round in 0..6 {
        let mut all = Vec::new();
        for (caller, name) in &tries {
            let password = if round < 5 { "wrong" } else { RIGHT };
            let answer = log_in(caller, name, password).await;
            if round < 5 {
                answer.refused(400, WRONG);
            } else {
                answer.refused(429, LOCKED);
                assert_eq!(answer.headers["retry-after"], "30");
            }
            all.push(answer);
        }
        alike(&all);
    }
    log_in(&admin, "ann", RIGHT).await.envelope();
    // Nor by a token that is none.
    let good = token(&log_in(&at(id), "bob", RIGHT).await);
    let (broken, elsewhere) = (format!("{good}x"), "okms.a.b".to_owned());
    for path in
        ["secret/data/s", "auth/token/lookup-self", "sys/wrapping/lookup", "auth/userpass/users"]
    {
        let mut all = Vec::new();
        for token in [&broken, &elsewhere] {
            for caller in [at(id), at(UNKNOWN)] {
                all.push(caller.token(token).get(path).await);
            }
        }
        all.push(at(UNKNOWN).token(&good).get(path).await);
        all[0].refused(403, DENIED);
        alike(&all);
    }
    server.clock.advance(30);
    log_in(&at(id), "ann", RIGHT).await.envelope();
}

/// Failures with many names count together.
#[tokio::test]
async fn an_address_that_tries_many_names_waits() {
    let (server, admin) = start().await;
    let nobody = visitor(&server, &admin.client.id);
    for number in 0..50 {
        log_in(&nobody, &format!("user{number}"), "wrong").await.refused(400, WRONG);
    }
    log_in(&nobody, "ann", RIGHT).await.refused(429, LOCKED);
    log_in(&admin, "ann", RIGHT).await.envelope();
}

/// Everything else is as it was: the login, and what a user's token opens in Vault's dialect, and no
/// more.
#[tokio::test]
async fn everything_else_takes_a_certificate() {
    let (mut server, admin) = start().await;
    let id = admin.client.id.clone();
    let nobody = visitor(&server, &id);
    let unauthenticated = async |caller: &Vault, method: &str, path: &str, body: Value| {
        let answer = caller.send(method, path, body).await;
        let told = answer.error(401, UNAUTHENTICATED);
        assert!(told.contains("no client certificate"), "{method} {path}: {told}");
    };
    for (method, path) in [
        ("GET", "secret/data/s"),
        ("PUT", "secret/data/s"),
        ("POST", "auth/cert/login"),
        ("POST", "auth/token/create"),
        ("GET", "auth/userpass/users/ann"),
        ("PUT", "auth/userpass/users/ann"),
        ("GET", "sys/mounts"),
        ("GET", "sys/internal/ui/mounts"),
        ("POST", "sys/wrapping/unwrap"),
    ] {
        unauthenticated(&nobody, method, path, json!({})).await;
    }
    let token = token(&log_in(&nobody, "root", RIGHT).await);
    let with_token = nobody.token(&token);
    // The native dialects have no tokens, nor is a domain to be found where none is named.
    for (method, at) in [
        (Method::GET, format!("/api/{id}/v2/secret")),
        (Method::GET, format!("/v2/okms/resource/{id}/policy")),
        (Method::POST, format!("/v2/okms/resource/{id}/credential/renew")),
        (Method::GET, "/v2/okms/resource".to_owned()),
        (Method::GET, "/v1/secret/data/s".to_owned()),
        (Method::GET, "/v1/sys/metrics".to_owned()),
    ] {
        let headers = [("x-vault-token", &*token)];
        let answer = nobody.client.send(method, &at, &headers, "").await;
        // Vault says so of a token that is worth nothing here.
        let status = if at.starts_with("/v1/") { 403 } else { 401 };
        answer.error(status, UNAUTHENTICATED);
    }
    let by_namespace = |name: &str| nobody.at("/v1").with("x-vault-namespace", name);
    for name in ["root", "", "team", "not-a-uuid"] {
        log_in(&by_namespace(name), "ann", RIGHT).await.error(401, UNAUTHENTICATED);
    }
    let two = by_namespace(&id).with("x-vault-namespace", UNKNOWN);
    assert_eq!(log_in(&two, "ann", RIGHT).await.status, 404);
    // A token opens no login that asks for a certificate.
    with_token.post("auth/cert/login", json!({})).await.refused(403, DENIED);
    // A certificate that is refused is not as good as none.
    let expired = server.mint(&crate::harness::Leaf {
        upns: &[&format!("okms.domain:{id}")],
        ..crate::harness::Leaf::default()
    });
    let expired = Vault::of(&server.client(Some(&expired), Some(&id), Http::One)).root();
    let mut connection = expired.client.connect().await;
    let at = format!("/api/{id}/v1/secret/data/s");
    let headers = [("x-vault-token", &*token)];
    assert_eq!(connection.send(Method::GET, &at, &headers, "").await.status, 200);
    server.clock.advance(86_401);
    connection.send(Method::GET, &at, &headers, "").await.refused(403, DENIED);
    // Where the operator says otherwise again, that counts at once.
    let again = log_in(&nobody, "root", RIGHT).await.envelope();
    let token = again["auth"]["client_token"].as_str().unwrap();
    let with_token = nobody.token(token);
    with_token.get("secret/data/s").await.shown();
    admin.token(token).get("secret/data/s").await.shown();
    lets(&mut server, false);
    with_token.get("secret/data/s").await.refused(403, DENIED);
    unauthenticated(&nobody, "PUT", "auth/userpass/login/ann", json!({"password": RIGHT})).await;
    admin.token(token).get("secret/data/s").await.refused(403, DENIED);
    lets(&mut server, true);
    with_token.get("secret/data/s").await.shown();
}
