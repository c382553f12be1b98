//! Users: who logs in with a password, and what that is worth.

use serde_json::{Value, json};

use super::Vault;
use crate::{
    audit::record_of,
    credentials::{holder, pair},
    harness::{Answer, BOTH, Http, Leaf, TestServer},
};

const FORBIDDEN: u32 = 16_924_673;
const WRONG: &str = "invalid username or password";
const LOCKED: &str = "too many of your logins have failed; repeat after the time in Retry-After";
const RIGHT: &str = "correct horse";

/// A domain; who administers it in Vault's dialect, at the root of its addresses.
async fn start() -> (TestServer, Vault) {
    let (server, admin) = Vault::start().await;
    (server, admin.root())
}

/// Another certificate of the domain, with another key.
fn another(server: &TestServer, admin: &Vault) -> Vault {
    Vault::of(&server.client_of(&admin.client.id, Http::One)).root()
}

/// A certificate of the domain that has these policies.
async fn with_policies(server: &TestServer, admin: &Vault, policies: &[&str]) -> Vault {
    let id = &admin.client.id;
    let rule = json!({"commonNames": ["svc"], "policies": policies}).to_string();
    let at = format!("/v2/okms/resource/{id}/rule/svc");
    admin.client.call(hyper::Method::PUT, &at, &rule).await.ok();
    let claim = format!("okms.domain:{id}");
    let leaf = Leaf { common_name: "svc", upns: &[&claim], ..Leaf::default() };
    Vault::of(&server.client(Some(&server.mint(&leaf)), Some(id), Http::One)).root()
}

async fn user(admin: &Vault, name: &str, policies: &str) {
    let body = json!({"password": RIGHT, "policies": policies});
    admin.put(&format!("auth/userpass/users/{name}"), body).await.nothing();
}

async fn log_in(caller: &Vault, name: &str, password: &str) -> Answer {
    caller.put(&format!("auth/userpass/login/{name}"), json!({ "password": password })).await
}

/// The caller, with the token of a login that must succeed.
async fn logged_in(caller: &Vault, name: &str, password: &str) -> Vault {
    let answer = log_in(caller, name, password).await.envelope();
    caller.token(answer["auth"]["client_token"].as_str().unwrap())
}

/// As Vault and its clients have it.
#[tokio::test]
async fn users_are_written_and_shown() {
    let (_server, admin) = start().await;
    admin.list("auth/userpass/users").await.absent();
    admin.get("auth/userpass/users/ann").await.absent();
    let at = "auth/userpass/users/ann";
    for (body, said) in [
        (json!({}), "missing password"),
        (json!({"policies": "app"}), "missing password"),
        (json!({"password": ""}), "missing password"),
        (json!({"password": "x".repeat(1025)}), "a password has 1 to 1024 bytes"),
    ] {
        admin.put(at, body).await.refused(400, said);
    }
    let written = json!({
        "password": RIGHT, "token_policies": ["b", "a", "b", ""], "token_ttl": "1h", "token_max_ttl": 7200,
        "token_type": "default", "token_num_uses": 0, "token_bound_cidrs": [], "token_period": "0", "token_explicit_max_ttl": 0,
        "token_no_default_policy": false, "password_hash": "",
    });
    admin.put(at, written).await.nothing();
    let expected = json!({
        "max_ttl": 7200, "metadata": {}, "policies": ["a", "b"], "token_bound_cidrs": [], "token_explicit_max_ttl": 0,
        "token_max_ttl": 7200, "token_no_default_policy": false, "token_num_uses": 0, "token_period": 0,
        "token_policies": ["a", "b"], "token_ttl": 3600, "token_type": "default", "ttl": 3600,
    });
    assert_eq!(admin.get(at).await.shown(), expected);
    // What is not named stays, the password among it; the older names do as well.
    admin.post(at, json!({"policies": "c,a", "ttl": 60})).await.nothing();
    let shown = admin.get(at).await.shown();
    assert_eq!(
        (&shown["policies"], &shown["token_ttl"], &shown["token_max_ttl"]),
        (&json!(["a", "c"]), &json!(60), &json!(7200))
    );
    log_in(&admin, "ann", RIGHT).await.envelope();
    admin.post(&format!("{at}/policies"), json!({"token_policies": "d"})).await.nothing();
    assert_eq!(admin.get(at).await.shown()["token_policies"], json!(["d"]));
    // Names are told apart byte for byte.
    user(&admin, "Ann", "").await;
    user(&admin, "ann%40example.org", "").await;
    assert_eq!(admin.list("auth/userpass/users").await.keys(), ["Ann", "ann", "ann@example.org"]);
    assert_eq!(admin.get("auth/userpass/users?list=true").await.keys().len(), 3);
    for (path, body) in
        [("bob/password", json!({"password": RIGHT})), ("bob/policies", json!({"policies": "a"}))]
    {
        let answer = admin.post(&format!("auth/userpass/users/{path}"), body).await;
        answer.refused(400, "username does not exist");
    }
    for name in ["ann", "ann", "nobody"] {
        admin.delete(&format!("auth/userpass/users/{name}")).await.nothing();
    }
    assert_eq!(admin.list("auth/userpass/users").await.keys(), ["Ann", "ann@example.org"]);
    log_in(&admin, "ann", RIGHT).await.refused(400, WRONG);
}

/// What would narrow a user and is not served is refused, and nothing is stored.
#[tokio::test]
async fn what_narrows_a_user_and_is_not_served() {
    let (_server, admin) = start().await;
    let at = "auth/userpass/users/ann";
    for (field, value) in [
        ("token_num_uses", json!(1)),
        ("token_period", json!("1h")),
        ("token_explicit_max_ttl", json!("1h")),
        ("token_bound_cidrs", json!("10.0.0.0/8")),
        ("bound_cidrs", json!(["10.0.0.0/8"])),
        ("password_hash", json!("$2a$10$x")),
        ("token_type", json!("batch")),
        ("token_ttl", json!("-1s")),
    ] {
        let mut body = json!({ "password": RIGHT });
        body[field] = value;
        admin.put(at, body).await.refused_with(400, "");
        admin.get(at).await.absent();
    }
    let longer = json!({"password": RIGHT, "token_ttl": 3600, "token_max_ttl": 60});
    admin.put(at, longer).await.refused_with(400, "token_max_ttl");
    for name in ["a/b", "%20%0A", &"x".repeat(129)] {
        let body = json!({ "password": RIGHT });
        admin.put(&format!("auth/userpass/users/{name}"), body).await.refused_with(400, "");
    }
    let without = json!({"password": RIGHT, "token_no_default_policy": true, "no_such": 1});
    let warned = admin.put(at, without).await.envelope();
    let warnings = warned["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}

#[tokio::test]
async fn a_login_as_clients_do_it() {
    let (_server, admin) = start().await;
    let body = json!({"password": RIGHT, "policies": "app", "ttl": "1h", "max_ttl": "2h"});
    admin.put("auth/userpass/users/ann", body).await.nothing();
    for http in BOTH {
        let caller = Vault { client: admin.client.over(http), ..admin.clone() };
        for method in ["PUT", "POST"] {
            // A token that is over does no harm to who logs in.
            let caller = caller.token("okms.a.b");
            let body = json!({ "password": RIGHT });
            let answer = caller.send(method, "auth/userpass/login/ann", body).await.envelope();
            let auth = &answer["auth"];
            assert_eq!(auth["metadata"], json!({"username": "ann"}));
            assert_eq!((&auth["lease_duration"], &auth["renewable"]), (&json!(3600), &json!(true)));
            assert_eq!(
                (&auth["policies"], &auth["token_policies"]),
                (&json!(["app", "default"]), &json!(["app", "default"]))
            );
            let own = admin.token(auth["client_token"].as_str().unwrap());
            let own = own.get("auth/token/lookup-self").await.shown();
            assert_eq!(own["display_name"], "userpass-ann");
            assert_eq!(own["path"], "auth/userpass/login/ann");
            assert_eq!(
                (&own["meta"], &own["explicit_max_ttl"]),
                (&json!({"username": "ann"}), &json!(7200))
            );
            assert_eq!(own["policies"], json!(["app", "default"]));
        }
    }
    for body in [json!({}), json!({"password": ""}), json!(null)] {
        admin.put("auth/userpass/login/ann", body).await.refused(400, "missing password");
    }
}

/// Whoever tries names learns nothing of who is a user: neither by what is said, nor by when there is a
/// wait.
#[tokio::test]
async fn who_is_a_user_is_not_told() {
    let (server, admin) = start().await;
    user(&admin, "ann", "").await;
    let names = ["ann", "bob", "no%20one/at%20all", "%20"];
    for _ in 0..5 {
        let mut alike = Vec::new();
        for name in names {
            let answer = log_in(&admin, name, "wrong").await;
            answer.refused(400, WRONG);
            alike.push(answer.likeness());
        }
        alike.dedup();
        assert_eq!(alike.len(), 1, "{alike:?}");
    }
    let waits = async |seconds: &str| {
        let mut alike = Vec::new();
        for name in names {
            for password in ["wrong", RIGHT] {
                let answer = log_in(&admin, name, password).await;
                answer.refused(429, LOCKED);
                assert_eq!(answer.headers["retry-after"], seconds, "{name}");
                alike.push(answer.likeness());
            }
        }
        alike.dedup();
        assert_eq!(alike.len(), 1, "{alike:?}");
    };
    waits("30").await;
    server.clock.advance(29);
    waits("1").await;
    // The next failure doubles the wait.
    server.clock.advance(1);
    for name in names {
        log_in(&admin, name, "wrong").await.refused(400, WRONG);
    }
    waits("60").await;
    // Whoever has another certificate does not wait, and takes nothing back.
    log_in(&another(&server, &admin), "ann", RIGHT).await.envelope();
    waits("60").await;
    server.clock.advance(60);
    log_in(&admin, "ann", RIGHT).await.envelope();
    for _ in 0..4 {
        log_in(&admin, "ann", "wrong").await.refused(400, WRONG);
    }
    log_in(&admin, "ann", RIGHT).await.envelope();
}

/// A certificate that tries one name after the other waits, too.
#[tokio::test]
async fn many_names_are_tried_no_better_than_one() {
    let (server, admin) = start().await;
    user(&admin, "ann", "").await;
    for number in 0..50 {
        log_in(&admin, &format!("user{number}"), "wrong").await.refused(400, WRONG);
    }
    let locked = log_in(&admin, "ann", RIGHT).await;
    locked.refused(429, LOCKED);
    // Somebody was not let in, as with a wrong password.
    let record = record_of(&server, &locked);
    assert_eq!((&record["effect"], &record["problem"]), (&json!("deny"), &json!("LockedOut")));
    log_in(&another(&server, &admin), "ann", RIGHT).await.envelope();
    server.clock.advance(30);
    log_in(&admin, "ann", RIGHT).await.envelope();
}

/// Each renewal brings a key of its own, and brought five guesses with it: thirty in eight seconds, without
/// a wait. All that come of one certificate count as that one, together, with one name and with all.
#[tokio::test]
async fn a_renewal_takes_no_failure_back() {
    let (server, admin) = start().await;
    user(&admin, "ann", "").await;
    let id = admin.client.id.clone();
    let renewed = async |of: &Vault| {
        let at = format!("/v2/okms/resource/{id}/credential/renew");
        let issued = of.client.call(hyper::Method::POST, &at, "").await.ok();
        Vault::of(&server.client(Some(&pair(&issued)), Some(&id), Http::One)).root()
    };
    let of_line = async || Vault::of(&holder(&server, &id, 30).await.0).root();
    let (first, other) = (of_line().await, of_line().await);
    let second = renewed(&first).await;
    let line = [&first, &second, &renewed(&first).await, &renewed(&second).await, &second];
    for one in line {
        log_in(one, "ann", "wrong").await.refused(400, WRONG);
    }
    let newest = renewed(line[3]).await;
    for one in [&first, &second, line[2], line[3], &newest] {
        log_in(one, "ann", RIGHT).await.refused(429, LOCKED);
    }
    for number in 0..45 {
        log_in(line[number % 4], &format!("user{number}"), "wrong").await.refused(400, WRONG);
    }
    log_in(&newest, "another", "wrong").await.refused(429, LOCKED);
    // What an operator has issued by itself is somebody else, and whoever has waited goes on.
    log_in(&other, "ann", RIGHT).await.envelope();
    server.clock.advance(30);
    log_in(&newest, "ann", RIGHT).await.envelope();
}

/// A password without a certificate of the domain is worth nothing.
#[tokio::test]
async fn a_certificate_is_asked_for_as_well() {
    let (server, admin) = start().await;
    user(&admin, "ann", "").await;
    let nobody = Vault { client: server.anonymous(), ..admin.clone() };
    log_in(&nobody, "ann", RIGHT).await.error(401, 50_475_011);
    let stranger = Vault { client: server.tenant().await, ..admin.clone() };
    log_in(&stranger, "ann", RIGHT).await.error(403, 16_994_305);
    log_in(&Vault::of(&server.tenant().await).root(), "ann", RIGHT).await.refused(400, WRONG);
}

#[tokio::test]
async fn rights_to_users() {
    let (server, admin) = start().await;
    user(&admin, "ann", "").await;
    admin
        .policy(
            "helpdesk",
            r#"
        path "auth/userpass/users" { capabilities = ["list"] }
        path "auth/userpass/users/+/password" { capabilities = ["update"] }
        path "auth/userpass/users/root/password" { capabilities = ["deny"] }
        "#,
        )
        .await;
    let new = json!({"password": "battery staple"});
    // (policy, list, read, write, a password)
    for (policies, list, read, write, password) in [
        ("nothing", 403, 403, 403, 403),
        ("read-only", 403, 403, 403, 403),
        ("auditor", 200, 200, 403, 403),
        ("helpdesk", 200, 403, 403, 204),
        ("admin", 200, 200, 204, 204),
    ] {
        let svc = with_policies(&server, &admin, &[policies]).await;
        let at = "auth/userpass/users/ann";
        assert_eq!(svc.list("auth/userpass/users").await.status, list, "{policies}");
        assert_eq!(svc.get(at).await.status, read, "{policies}");
        assert_eq!(svc.put(at, json!({"policies": "x"})).await.status, write, "{policies}");
        assert_eq!(svc.put(&format!("{at}/password"), &new).await.status, password, "{policies}");
        assert_eq!(svc.put(&format!("{at}/policies"), json!({})).await.status, write, "{policies}");
        assert_eq!(svc.delete("auth/userpass/users/none").await.status, write, "{policies}");
    }
    let svc = with_policies(&server, &admin, &["helpdesk"]).await;
    svc.put("auth/userpass/users/root/password", &new).await.error(403, FORBIDDEN);
    for (path, expected) in [
        ("auth/userpass/users/ann/password", json!(["update"])),
        ("auth/userpass/users/ann", json!(["deny"])),
    ] {
        let told = svc.post("sys/capabilities-self", json!({ "paths": [path] })).await.json();
        assert_eq!(told["data"][path], expected, "{path}");
    }
}

/// A user's token may do what the user's policies say, whatever the certificate may: as they are now.
#[tokio::test]
async fn a_token_may_what_the_users_policies_say() {
    let (server, admin) = start().await;
    for name in ["ann", "bob"] {
        admin.put(&format!("secret/data/{name}/x"), json!({"data": {"k": "v"}})).await.shown();
    }
    let own = r#"path "secret/data/{{identity.entity.name}}/*" { capabilities = ["read"] }"#;
    admin.policy("own", own).await;
    user(&admin, "ann", "own").await;
    let svc = with_policies(&server, &admin, &["nothing"]).await;
    // Of an administrator's certificate, and of one that may do nothing.
    for caller in [&admin, &svc] {
        let ann = logged_in(caller, "ann", RIGHT).await;
        ann.get("secret/data/ann/x").await.shown();
        ann.get("secret/data/bob/x").await.error(403, FORBIDDEN);
        ann.get("auth/userpass/users/ann").await.error(403, FORBIDDEN);
        ann.list("sys/policies/acl").await.error(403, FORBIDDEN);
        // In IAM's words, built in, and gone: from the next request on.
        let at = "auth/userpass/users/ann";
        admin.post(&format!("{at}/policies"), json!({"policies": "read-only"})).await.nothing();
        ann.get("secret/data/bob/x").await.shown();
        ann.put("secret/data/bob/x", json!({"data": {}})).await.error(403, FORBIDDEN);
        admin.post(at, json!({"policies": []})).await.nothing();
        ann.get("secret/data/ann/x").await.error(403, FORBIDDEN);
        admin.post(at, json!({"policies": "own"})).await.nothing();
        ann.get("secret/data/ann/x").await.shown();
    }
}

/// A policy about identities is about users as well: what is denied to everybody once was not denied to
/// them.
#[tokio::test]
async fn what_is_denied_to_all_is_denied_to_users() {
    let (_server, admin) = start().await;
    for path in ["secret/data/a", "secret/data/b"] {
        admin.put(path, json!({"data": {"k": "v"}})).await.envelope();
    }
    user(&admin, "ann", "read-only").await;
    let ann = logged_in(&admin, "ann", RIGHT).await;
    let at = format!("/v2/okms/resource/{}/policy", admin.client.id);
    for (name, who, path) in [("all", "*", "a"), ("hers", "ann", "b")] {
        assert_eq!(ann.get(&format!("secret/data/{path}")).await.status, 200);
        let body = json!({
            "name": name, "identities": [who], "resources": [{"urn": path}],
            "permissions": {"deny": [{"action": "okms:apikms:secret/version/getData"}]},
        });
        admin.client.call(hyper::Method::POST, &at, &body.to_string()).await.ok();
        ann.get(&format!("secret/data/{path}")).await.error(403, FORBIDDEN);
    }
    let asked = json!({"action": "okms:apikms:secret/version/getData", "path": "a", "user": "ann"});
    let told =
        admin.client.call(hyper::Method::POST, &format!("{at}/test"), &asked.to_string()).await;
    assert_eq!(told.ok()["decidedBy"], json!([{"policy": "all", "says": "deny"}]));
}

/// A policy with a template of metadata fitted no user, and where it denied something, it did not: users
/// had none.
#[tokio::test]
async fn templates_have_the_metadata_of_the_user() {
    let (mut server, admin) = start().await;
    for path in ["red/x", "blue/x"] {
        admin.put(&format!("secret/data/{path}"), json!({"data": {"k": "v"}})).await.shown();
    }
    let text = r#"
        path "secret/data/{{identity.entity.metadata.team}}/*" { capabilities = ["read"] }
        path "secret/data/{{identity.entity.metadata.not}}/*" { capabilities = ["deny"] }"#;
    admin.policy("team", text).await;
    admin.policy("all", r#"path "secret/data/*" { capabilities = ["read"] }"#).await;
    user(&admin, "ann", "team").await;
    let at = "auth/userpass/users/ann";
    let ann = logged_in(&admin, "ann", RIGHT).await;
    let made = ann.post("auth/token/create", json!({"policies": ["team"]})).await.envelope();
    let narrow = admin.token(made["auth"]["client_token"].as_str().unwrap());
    let sees = async |red: u16, blue: u16| {
        for caller in [&ann, &narrow] {
            assert_eq!(caller.get("secret/data/red/x").await.status, red);
            assert_eq!(caller.get("secret/data/blue/x").await.status, blue);
        }
    };
    sees(403, 403).await;
    admin.put(at, json!({"metadata": {"team": "red"}})).await.nothing();
    sees(200, 403).await;
    // All of it at once; what is not named stays.
    admin.put(at, json!({"metadata": {"team": "blue", "n": 7}})).await.nothing();
    admin.put(at, json!({"token_ttl": "1h"})).await.nothing();
    let shown = admin.get(at).await.shown();
    assert_eq!(shown["metadata"], json!({"n": "7", "team": "blue"}));
    sees(403, 200).await;
    // It is the user's and no token's, as with rules.
    let told = ann.get("auth/token/lookup-self").await.shown();
    assert_eq!(told["meta"], json!({"username": "ann"}));
    // A deny is one for whoever has the value that it asks for.
    admin.post(&format!("{at}/policies"), json!({"policies": "all,team"})).await.nothing();
    assert_eq!(ann.get("secret/data/red/x").await.status, 200);
    admin.put(at, json!({"metadata": {"not": "red"}})).await.nothing();
    ann.get("secret/data/red/x").await.error(403, FORBIDDEN);
    ann.get("secret/data/blue/x").await.shown();
    server.restart().await;
    let admin = Vault { client: server.at(&admin.client), ..admin };
    assert_eq!(admin.get(at).await.shown()["metadata"], json!({"not": "red"}));
    let ann = logged_in(&admin, "ann", RIGHT).await;
    ann.get("secret/data/red/x").await.error(403, FORBIDDEN);
    admin.put(at, json!({"metadata": {}})).await.nothing();
    ann.get("secret/data/red/x").await.shown();
    let many: serde_json::Map<_, _> = (0..65).map(|n| (format!("k{n}"), json!("v"))).collect();
    for wrong in
        [json!({"k": {}}), json!("x"), json!({"k": "x".repeat(513)}), json!({"": "x"}), json!(many)]
    {
        let answer = admin.put(at, json!({ "metadata": wrong })).await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
}

/// Each may change its own password where a policy says so, and nobody else's.
#[tokio::test]
async fn one_changes_ones_own_password() {
    let (server, admin) = start().await;
    user(&admin, "ann", "own").await;
    user(&admin, "bob", "own").await;
    let own = r#"path "auth/userpass/users/{{identity.entity.name}}/password" { capabilities = ["update"] }"#;
    admin.policy("own", own).await;
    let svc = with_policies(&server, &admin, &["nothing"]).await;
    let ann = logged_in(&svc, "ann", RIGHT).await;
    let new = json!({"password": "battery staple"});
    ann.put("auth/userpass/users/ann/password", &new).await.nothing();
    ann.put("auth/userpass/users/bob/password", &new).await.error(403, FORBIDDEN);
    ann.put("auth/userpass/users/ann/policies", json!({"policies": "admin"}))
        .await
        .error(403, FORBIDDEN);
    ann.put("auth/userpass/users/ann", json!({"policies": "admin"})).await.error(403, FORBIDDEN);
    log_in(&svc, "ann", RIGHT).await.refused(400, WRONG);
    logged_in(&svc, "ann", "battery staple").await;
    logged_in(&svc, "bob", RIGHT).await;
}

/// What a user had ends with it; another one of the same name does not get it back.
#[tokio::test]
async fn tokens_of_a_user_that_is_gone_may_do_nothing() {
    let (server, admin) = start().await;
    admin.put("secret/data/x", json!({"data": {"k": "v"}})).await.shown();
    user(&admin, "ann", "read-only").await;
    let ann = logged_in(&admin, "ann", RIGHT).await;
    ann.get("secret/data/x").await.shown();
    admin.delete("auth/userpass/users/ann").await.nothing();
    for (method, path) in
        [("GET", "secret/data/x"), ("LIST", "secret/metadata"), ("GET", "sys/mounts")]
    {
        assert_eq!(ann.send(method, path, "").await.status, 403, "{method} {path}");
    }
    server.clock.advance(1);
    user(&admin, "ann", "read-only").await;
    assert_eq!(ann.get("secret/data/x").await.status, 403);
    logged_in(&admin, "ann", RIGHT).await.get("secret/data/x").await.shown();
}

/// Users who share a certificate could end each other's tokens, whose accessors are no secret.
#[tokio::test]
async fn users_of_one_certificate_leave_each_others_tokens_alone() {
    let (server, admin) = start().await;
    let shared = with_policies(&server, &admin, &["nothing"]).await;
    for name in ["ann", "bob"] {
        user(&admin, name, "default").await;
    }
    let [ann, bob] =
        [logged_in(&shared, "ann", RIGHT).await, logged_in(&shared, "bob", RIGHT).await];
    let accessor =
        async |of: &Vault| of.get("auth/token/lookup-self").await.shown()["accessor"].clone();
    let of_ann = json!({"accessor": accessor(&ann).await, "paths": ["secret/a"]});
    let unknown = json!({"accessor": "AAAAAAAAAAAAAAAAAAAAAAAA", "paths": ["secret/a"]});
    // Not by the other's token, nor by none; whether there is such a token is not told either.
    for caller in [&bob, &shared] {
        for at in [
            "auth/token/lookup-accessor",
            "auth/token/renew-accessor",
            "auth/token/revoke-accessor",
            "sys/capabilities-accessor",
        ] {
            let told = caller.post(at, &of_ann).await;
            told.error(403, FORBIDDEN);
            assert_eq!(told.likeness(), caller.post(at, &unknown).await.likeness(), "{at}");
        }
    }
    // Its own each may end, and those that come of it; whoever has a token's text needs no more.
    ann.post("auth/token/renew-accessor", &of_ann).await.envelope();
    let child = ann.post("auth/token/create", "{}").await.envelope()["auth"]["accessor"].clone();
    ann.post("auth/token/revoke-accessor", json!({ "accessor": child })).await.nothing();
    let text = log_in(&shared, "bob", RIGHT).await.envelope()["auth"]["client_token"].clone();
    shared.post("auth/token/revoke", json!({ "token": text })).await.nothing();
    ann.post("auth/token/revoke-accessor", &of_ann).await.nothing();
    ann.get("auth/token/lookup-self").await.error(403, 50_475_011);
    bob.get("auth/token/lookup-self").await.shown();
}

/// A restart keeps users, and nobody's waits.
#[tokio::test]
async fn a_restart_keeps_users() {
    let (mut server, admin) = start().await;
    admin
        .put("auth/userpass/users/ann", json!({"password": RIGHT, "policies": "app", "ttl": 60}))
        .await
        .nothing();
    let before = admin.get("auth/userpass/users/ann").await.shown();
    server.restart().await;
    let admin = Vault { client: server.at(&admin.client), ..admin };
    assert_eq!(admin.get("auth/userpass/users/ann").await.shown(), before);
    log_in(&admin, "ann", RIGHT).await.envelope();
    log_in(&admin, "ann", "wrong").await.refused(400, WRONG);
}

/// Scripts that turn it on, as one does in Vault, go on.
#[tokio::test]
async fn it_is_always_on() {
    let (_server, admin) = start().await;
    for kind in ["userpass", "cert", "token"] {
        let body = json!({"type": kind, "description": "x", "config": {"default_lease_ttl": "0s"}});
        admin.post(&format!("sys/auth/{kind}"), body).await.nothing();
        assert_eq!(admin.get("sys/auth").await.json()["data"][format!("{kind}/")]["type"], kind);
    }
    for (path, kind) in
        [("people", "userpass"), ("userpass", "ldap"), ("ldap", "ldap"), ("cert", "userpass")]
    {
        let answer = admin.post(&format!("sys/auth/{path}"), json!({ "type": kind })).await;
        answer.refused_with(400, "always on");
    }
    admin.post("sys/auth/userpass", json!({})).await.refused_with(400, "always on");
    admin.delete("sys/auth/userpass").await.refused_with(400, "not served");
    assert_eq!(admin.get("sys/auth/userpass").await.json()["type"], Value::from("userpass"));
}
