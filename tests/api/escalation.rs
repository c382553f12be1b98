//! Nobody comes to more than it was given: neither by what policies say that a domain writes itself, nor by
//! changing what they speak of.

use hyper::Method;
use okmsd::auth::Action;
use serde_json::{Value, json};

use crate::{
    access::Domain,
    harness::{Answer, Client, Http},
    vault::Vault,
};

const FORBIDDEN: u32 = 16_924_673;
const EVERY: &str =
    r#"capabilities = ["create", "read", "update", "patch", "delete", "list", "scan", "sudo"]"#;

/// The domain's certificate of this name, by a policy of the same name in Vault's language.
async fn of_vault(domain: &Domain, name: &str, blocks: &str) -> Vault {
    Vault::of(&domain.admin).root().policy(name, blocks).await;
    domain.rule(name, &[name]).await;
    Vault::of(&domain.client(name, Http::One)).root()
}

/// The same, by rights of IAM's to all of the domain.
async fn of_iam(domain: &Domain, name: &str, allow: &[&str]) -> Vault {
    domain.rule(name, &[]).await;
    domain.policy(name, &["*"], json!({ "allow": allow })).await;
    Vault::of(&domain.client(name, Http::One)).root()
}

async fn capabilities(vault: &Vault, path: &str) -> Value {
    let told = vault.post("sys/capabilities-self", json!({ "paths": [path] })).await;
    told.json()["data"][path].clone()
}

/// A domain's administrator wrote a policy that allowed `*`, or the action by its name, and lifted the
/// domain's own quota; who had rights to certificates had one issued for any name, the administrator's
/// among them, for ten years; and a block of Vault's at the address gave as much.
#[tokio::test]
async fn what_is_the_operators_own_no_policy_gives() {
    let domain = Domain::new().await;
    let block = |path: &str| format!("path \"{path}\" {{ {EVERY} }}");
    let quotas = [block("sys/quotas/*"), block("sys/quotas/rate-limit/requests")].concat();
    let token = async |vault: &Vault| {
        let made = vault.post("auth/token/create", json!({"policies": ["all"]})).await;
        vault.token(made.json()["auth"]["client_token"].as_str().unwrap())
    };
    let admin = Vault::of(&domain.admin).root();
    let all = of_vault(&domain, "all", &block("*")).await;
    let narrowed = token(&admin).await;
    for (name, vault) in [
        ("the administrator", admin.clone()),
        ("IAM", of_iam(&domain, "iam", &["*"]).await),
        ("a part of it", of_iam(&domain, "part", &["okms:apiovh:resource/credential/*"]).await),
        ("Vault", all),
        ("at the address", of_vault(&domain, "quotas", &quotas).await),
        ("a token", narrowed),
    ] {
        let at = |rest: &str| domain.at(rest);
        let certificate = json!({"name": "admin", "validity": 3650}).to_string();
        let unknown = format!("credential/{}", uuid::Uuid::new_v4());
        for (method, rest, body) in [
            (Method::PUT, "quota", "{}"),
            (Method::DELETE, "quota", ""),
            (Method::POST, "credential", &certificate),
            (Method::DELETE, &unknown, ""),
        ] {
            let refused = vault.client.call(method, &at(rest), body).await;
            let said = refused.error(403, FORBIDDEN);
            assert!(said.contains("ask an operator"), "{name} {rest}: {said}");
        }
        for (method, path) in [
            ("POST", "sys/quotas/rate-limit/requests"),
            ("DELETE", "sys/quotas/rate-limit/requests"),
            ("POST", "sys/audit/more"),
        ] {
            vault.send(method, path, json!({"rate": 1})).await.error(403, FORBIDDEN);
        }
        // And it is told so.
        for action in Action::OPERATORS {
            let body = json!({ "action": action.name() }).to_string();
            let told = vault.client.call(Method::POST, &at("policy/test"), &body).await.ok();
            let expected = (&json!(false), &json!([]));
            assert_eq!((&told["isAllowed"], &told["decidedBy"]), expected, "{name} {told}");
        }
        let told = capabilities(&vault, "sys/quotas/rate-limit/requests").await;
        let told: Vec<_> = told.as_array().unwrap().iter().collect();
        for word in ["create", "update", "delete"] {
            assert!(!told.contains(&&json!(word)), "{name}: {told:?}");
        }
        assert!(told.contains(&&json!("read")), "{name}: {told:?}");
        assert_eq!(capabilities(&vault, "sys/audit/more").await, json!(["deny"]), "{name}");
    }
    // Who is bound by none may, and is told so.
    let operator = Client { id: domain.admin.id.clone(), ..domain.server.operator() };
    let told = capabilities(&Vault::of(&operator).root(), "sys/quotas/rate-limit/requests").await;
    assert_eq!(told, json!(["create", "delete", "read", "update"]));
}

/// A policy that named such an action was taken, and its author thought that it gave something.
#[tokio::test]
async fn a_policy_that_names_what_is_the_operators_own_is_refused() {
    let domain = Domain::new().await;
    let write = async |list: &str, action: &str| -> Answer {
        let body = json!({
            "name": crate::harness::unique("p"),
            "identities": ["x"],
            "resources": [{"urn": "*"}],
            "permissions": {
                "allow": [{"action": "okms:apikms:secret/get"}],
                list: [{"action": action}],
            },
        });
        domain.admin.call(Method::POST, &domain.at("policy"), &body.to_string()).await
    };
    for list in ["allow", "except", "deny"] {
        for action in Action::OPERATORS {
            let said = write(list, action.name()).await.error(400, 50_405_377);
            assert!(said.contains("operators' alone"), "{list} {}: {said}", action.name());
        }
        for action in ["*", "okms:apiovh:resource/credential/*", "okms:apiovh:resource/quota/*"] {
            write(list, action).await.ok();
        }
    }
}

/// `secretConfig/update`, told as changing defaults, was enough to give a mount another name: what a policy
/// denied there was denied no more, in any dialect, and what one gave at another address was given of
/// what was moved there.
#[tokio::test]
async fn who_moves_mounts_edits_policies() {
    let domain = Domain::new().await;
    let admin = Vault::of(&domain.admin).root();
    for mount in ["payroll", "spare"] {
        admin.post(&format!("sys/mounts/{mount}"), json!({"type": "kv-v2"})).await.nothing();
    }
    domain.admin.create("payroll/bank", r#"{"pin":"1234"}"#).await.ok();
    let hcl = r#"
        path "payroll/data/*" { capabilities = ["deny"] }
        path "team/data/*" { capabilities = ["read"] }
    "#;
    admin.policy("bounds", hcl).await;
    let edits = "okms:apiovh:resource/policy/edit";
    let config = "secretConfig/update";
    let blocks = |more: &str| {
        let at = ["sys/remount", "sys/mounts/*"].map(|at| format!("path \"{at}\" {{ {EVERY} }}\n"));
        [&at.concat(), hcl, more].concat()
    };
    let policies = r#"
        path "sys/policies/acl/*" { capabilities = ["update"] }
        path "auth/cert/certs/*" { capabilities = ["update"] }
    "#;
    let of_iam = async |name: &str, allow: &[&str]| {
        let made = of_iam(&domain, name, allow).await;
        domain.rule(name, &["bounds"]).await;
        made
    };
    let both = of_vault(&domain, "both", &blocks("")).await;
    domain.policy("both", &["*"], json!({ "allow": [edits] })).await;
    for (name, vault, may) in [
        ("IAM", of_iam("mover", &["secret/*", config]).await, false),
        ("Vault", of_vault(&domain, "mover-of-vault", &blocks("")).await, false),
        ("an editor", of_iam("editor", &["secret/*", config, edits]).await, true),
        ("Vault's", of_vault(&domain, "editor-of-vault", &blocks(policies)).await, true),
        ("half by each", both, true),
        ("the other half", of_iam("half", &[edits]).await, false),
    ] {
        let native = vault.client.get("secret/payroll/bank?includeData=true").await;
        native.error(403, FORBIDDEN);
        let moved = json!({"from": "payroll", "to": "team"});
        let back = json!({"from": "team", "to": "payroll"});
        let made = json!({"type": "kv-v2"});
        if may {
            // It could as well write the policies.
            assert_eq!(vault.post("sys/remount", &moved).await.status, 200, "{name}");
            admin.post("sys/remount", &back).await.envelope();
            vault.post("sys/mounts/other", &made).await.nothing();
            admin.delete("sys/mounts/other").await.nothing();
            continue;
        }
        vault.post("sys/remount", &moved).await.error(403, FORBIDDEN);
        vault.post("sys/mounts/other", &made).await.error(403, FORBIDDEN);
        vault.delete("sys/mounts/spare").await.error(403, FORBIDDEN);
        vault.delete("sys/mounts/spare?force=true").await.error(403, FORBIDDEN);
        assert_eq!(capabilities(&vault, "sys/remount").await, json!(["deny"]), "{name}");
        let told = capabilities(&vault, "sys/mounts/other").await;
        assert!(!told.as_array().unwrap().contains(&json!("update")), "{name} {told}");
        let native = vault.client.get("secret/payroll/bank?includeData=true").await;
        native.error(403, FORBIDDEN);
        assert_ne!(vault.mount("team").get("data/bank").await.status, 200, "{name}");
    }
    // What says nothing of addresses takes the one right.
    let mover = Vault::of(&domain.client("mover", Http::One)).root();
    mover.post("sys/mounts/payroll/tune", json!({"description": "d"})).await.nothing();
}

/// A certificate whose policies denied it every write, and that might change the domain's defaults, said how values were
/// made and had the server rotate what it liked; one that might change tags attached a policy that did so already.
#[tokio::test]
async fn who_has_values_made_may_write_them() {
    const ROTATION: &str = "/v1/rotation/policies";
    const VALUES: &str = "/v1/secret-policies";
    let domain = Domain::new().await;
    let call = async |client: &Client, method: Method, at: &str, body: Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        client.call(method, at, &body).await
    };
    let admin = &domain.admin;
    let write = json!({"data": {"pin": "1234"}, "options": {"rotation_policy_id": "rot_monthly"}});
    let bank = "/v1/secrets/payroll/bank";
    assert_eq!(call(admin, Method::PUT, bank, write).await.status, 201);
    let of = |value: &str| {
        let config = json!({ "template": value });
        json!({"name": "mine", "fields": [{"name": "pin", "generator": "template", "config": config}]})
    };
    let theirs = json!({"name": "theirs", "fields": [{"name": "pin", "generator": "random"}]});
    assert_eq!(call(admin, Method::POST, VALUES, theirs).await.status, 201);
    let automatic =
        json!({"name": "hourly", "interval": "1h", "grace_period": "0s", "auto_generate": true});
    assert_eq!(call(admin, Method::POST, ROTATION, automatic.clone()).await.status, 201);

    let may = ["secretConfig/*", "secret/get", "secret/updateMetadata", "secret/version/create"];
    let mallory = of_iam(&domain, "mallory", &may).await.client;
    let denied = json!({"deny": ["secret/version/create", "secret/updateMetadata"]});
    domain.policy("mallory", &["payroll/*"], denied).await;
    let attach = json!({"secret_path": "payroll/bank"});
    let named = |policy: &str| json!({"options": {policy: null}});
    let by = |member: &str, id: &str| json!({"options": {member: id}});
    for (method, at, body) in [
        (Method::POST, VALUES.to_owned(), of("0000")),
        (Method::PATCH, format!("{VALUES}/sp_theirs"), json!({"description": "other"})),
        (
            Method::POST,
            ROTATION.to_owned(),
            json!({"name": "mine", "interval": "1h", "auto_generate": true}),
        ),
        (
            Method::POST,
            ROTATION.to_owned(),
            json!({"name": "mine", "interval": "1h", "secret_policy_id": "sp_theirs"}),
        ),
        (Method::PATCH, format!("{ROTATION}/rot_monthly"), json!({"auto_generate": true})),
        (
            Method::PATCH,
            format!("{ROTATION}/rot_monthly"),
            json!({"secret_policy_id": "sp_theirs"}),
        ),
        (Method::DELETE, format!("{ROTATION}/rot_monthly"), Value::Null),
        (Method::POST, format!("{ROTATION}/rot_hourly/secrets"), attach),
        (Method::PATCH, bank.to_owned(), by("rotation_policy_id", "rot_hourly")),
        (Method::PATCH, bank.to_owned(), by("secret_policy_id", "sp_theirs")),
    ] {
        let refused = call(&mallory, method.clone(), &at, body.clone()).await;
        assert_eq!(refused.status, 403, "{method} {at} {body}: {refused:?}");
    }
    // Nor by what it may say of that secret, as long as it may not write it.
    let tagger = of_iam(&domain, "tagger", &["secret/get", "secret/updateMetadata"]).await.client;
    for member in ["rotation_policy_id", "secret_policy_id"] {
        let id = if member.starts_with("rot") { "rot_hourly" } else { "sp_theirs" };
        let refused = call(&tagger, Method::PATCH, bank, by(member, id)).await;
        assert_eq!(refused.status, 403, "{member}: {refused:?}");
        // What takes one away writes nothing.
        assert_eq!(call(&tagger, Method::PATCH, bank, named(member)).await.status, 200);
    }
    // A reminder writes nothing, and is for who may change what is so for all.
    let weekly = json!({"name": "reminder", "interval": "7d"});
    assert_eq!(call(&mallory, Method::POST, ROTATION, weekly).await.status, 201);
    let app = json!({"data": {"pin": "1"}});
    assert_eq!(call(admin, Method::PUT, "/v1/secrets/app", app).await.status, 201);
    let attach = json!({"secret_path": "app"});
    let secrets = format!("{ROTATION}/rot_hourly/secrets");
    assert_eq!(call(&mallory, Method::POST, &secrets, attach).await.status, 201);
    let told = call(admin, Method::GET, "/v1/rotation/due?within_hours=1", Value::Null).await.ok();
    assert_eq!(told["data"][0]["secret_path"], "app", "{told}");
}

/// Whoever might add versions was told which secrets rotate, and when, though lists and looks were denied.
#[tokio::test]
async fn what_is_due_is_told_to_who_may_see_it() {
    let domain = Domain::new().await;
    let put = async |path: &str| {
        let body = json!({"data": {"k": 1}, "options": {"rotation_policy_id": "rot_weekly"}});
        let at = format!("/v1/secrets/{path}");
        assert_eq!(domain.admin.call(Method::PUT, &at, &body.to_string()).await.status, 201);
    };
    for path in ["app/a", "payroll/bank"] {
        put(path).await;
    }
    let due = async |client: &Client| {
        let at = "/v1/rotation/due?within_hours=8000";
        let told = client.call(Method::GET, at, "").await.ok();
        let paths = told["data"].as_array().unwrap().iter().map(|one| one["secret_path"].clone());
        paths.collect::<Vec<_>>()
    };
    let writer = of_iam(&domain, "writer", &["secret/version/create"]).await.client;
    assert_eq!(due(&writer).await, Vec::<Value>::new());
    let seer =
        of_iam(&domain, "seer", &["secret/get", "secret/list", "secret/version/create"]).await;
    domain.policy("seer", &["payroll/*"], json!({"deny": ["secret/get"]})).await;
    assert_eq!(due(&seer.client).await, ["app/a"]);
    assert_eq!(due(&domain.admin).await, ["app/a", "payroll/bank"]);
}

/// A block that denied users said nothing natively: `policy/test` told which names are users, and what they
/// may.
#[tokio::test]
async fn users_that_are_denied_are_told_nowhere() {
    let domain = Domain::new().await;
    let admin = Vault::of(&domain.admin).root();
    let user = json!({"password": "correct horse", "policies": "admin"});
    admin.put("auth/userpass/users/ann", user).await.nothing();
    domain.rule("auditor", &["auditor", "hidden"]).await;
    let auditor = Vault::of(&domain.client("auditor", Http::One)).root();
    let ask = async |client: &Client, user: &str| {
        let body = json!({"action": "okms:apikms:secret/get", "path": "a", "user": user});
        client.call(Method::POST, &domain.at("policy/test"), &body.to_string()).await
    };
    ask(&auditor.client, "ann").await.ok();
    assert_eq!(ask(&auditor.client, "bob").await.status, 404);
    for path in ["auth/userpass/users/*", "auth/userpass/users/+", "auth/userpass/users/ann"] {
        let denies = format!("path \"{path}\" {{ capabilities = [\"deny\"] }}");
        admin.policy("hidden", &denies).await;
        let (there, missing) =
            (ask(&auditor.client, "ann").await, ask(&auditor.client, "bob").await);
        there.error(403, FORBIDDEN);
        assert_eq!(there.likeness(), missing.likeness(), "{path}");
        auditor.get("auth/userpass/users/ann").await.error(403, FORBIDDEN);
        assert_eq!(capabilities(&auditor, "auth/userpass/users/ann").await, json!(["deny"]));
    }
    // Its neighbour is not denied, and it is told so.
    admin.put("auth/userpass/users/cat", json!({"password": "correct horse"})).await.nothing();
    assert_eq!(auditor.get("auth/userpass/users/cat").await.status, 200);
    assert_eq!(capabilities(&auditor, "auth/userpass/users/cat").await, json!(["read"]));
    // And what one is given there, it is given natively.
    domain.rule("asker", &["hidden"]).await;
    let asker = domain.client("asker", Http::One);
    admin
        .policy(
            "hidden",
            r#"
        path "sys/policies/acl/*" { capabilities = ["read"] }
        path "auth/cert/certs/*" { capabilities = ["read"] }
    "#,
        )
        .await;
    ask(&asker, "ann").await.error(403, FORBIDDEN);
    admin
        .policy(
            "hidden",
            r#"
        path "sys/policies/acl/*" { capabilities = ["read"] }
        path "auth/cert/certs/*" { capabilities = ["read"] }
        path "auth/userpass/users/*" { capabilities = ["read"] }
    "#,
        )
        .await;
    ask(&asker, "ann").await.ok();
}
