//! What servers like this one were reported for, as it would be here: one test a class, by its number.
//! Those that have tests elsewhere are in the table of docs/THREAT_MODEL.md.

mod strangers;
mod told;

use hyper::Method;
use okmsd::{config::DefaultPolicy, model::BuiltIn};
use serde_json::{Value, json};

use crate::{
    access::Domain,
    callers::{Outcome, outcome},
    harness::{Answer, BOTH, Client, Http, Leaf, Pair, TestServer},
    isolation::UNKNOWN,
    trust::{Signer, claims, leaf},
};

const CANARY: &str = "canary7f3a";

fn v1(client: &Client, rest: &str) -> String {
    format!("/api/{}/v1/{rest}", client.id)
}

fn central(client: &Client, rest: &str) -> String {
    format!("/v2/okms/resource/{}/{rest}", client.id)
}

async fn ask(client: &Client, method: &str, at: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    client.call(method.parse().unwrap(), at, &body).await
}

/// A token of the client's certificate.
async fn login(client: &Client) -> Value {
    ask(client, "PUT", &v1(client, "auth/cert/login"), &Value::Null).await.ok()["auth"].clone()
}

/// `..` in a path led to another secret than the one that the policies were asked about.
#[tokio::test]
async fn cve_2026_3605_dots_lead_to_no_other_secret() {
    let domain = Domain::new().await;
    let admin = &domain.admin;
    admin.create("pay/a", &json!({ "v": CANARY }).to_string()).await.ok();
    admin.create("app/a", r#"{"v":1}"#).await.ok();
    domain.rule("svc", &["in-vault"]).await;
    domain.policy("svc", &["app/*"], json!({"allow": ["secret/*"]})).await;
    let policy = r#"path "secret/+/app/*" { capabilities = ["create", "read", "update", "delete", "list"] }"#;
    let at = v1(admin, "sys/policies/acl/in-vault");
    assert_eq!(ask(admin, "PUT", &at, &json!({ "policy": policy })).await.status, 204);
    let seen = admin.get("secret/pay/a?includeData=true").await.likeness();
    let body = json!({"data": {"v": 2}, "version": {"data": {"v": 2}}, "versions": [1]});
    for http in BOTH {
        let svc = domain.client("svc", http);
        for at in [svc.url("secret/app/a"), v1(&svc, "secret/data/app%2Fa")] {
            ask(&svc, "GET", &at, &Value::Null).await.ok();
        }
        for at in [svc.url("secret/pay/a"), v1(&svc, "secret/data/pay/a")] {
            ask(&svc, "GET", &at, &Value::Null).await.error(403, 16_924_673);
        }
        for path in [
            "app/../pay/a",
            "app/./../pay/a",
            "app/x/../../pay/a",
            "app/..%2Fpay/a",
            "app%2F..%2Fpay%2Fa",
            "app/%2e%2e/pay/a",
            "app/%2E./pay/a",
            "app%2f%2e%2e%2fpay%2fa",
            "app/%252e%252e/pay/a",
            "app%252F..%252Fpay%252Fa",
            "app/%25252e%25252e/pay/a",
            "app\\..\\pay\\a",
            "app/..%5Cpay%5Ca",
            "app/..;/pay/a",
            "app//../pay/a",
            "app/%00/../pay/a",
            "app/%c0%ae%c0%ae/pay/a",
            "app/%EF%BC%8E%EF%BC%8E/pay/a",
        ] {
            let addresses = [
                svc.url(&format!("secret/{path}?includeData=true")),
                central(&svc, &format!("secret/{path}?includeData=true")),
                svc.url(&format!("secret/{path}/version/1?includeData=true")),
            ];
            let in_vault = ["data", "metadata", "subkeys", "destroy", "delete"].map(|part| {
                ["api/ID/v1", "v1/api/ID", "v1"]
                    .map(|base| format!("/{}/secret/{part}/{path}", base.replace("ID", &svc.id)))
            });
            for at in addresses.iter().chain(in_vault.as_flattened()) {
                for method in ["GET", "PUT", "DELETE"] {
                    let answer = ask(&svc, method, at, &body).await;
                    // What is a name of its own, odd as it is, is one below `app/`.
                    assert!(!answer.text().contains(CANARY), "{method} {at}: {answer:?}");
                }
            }
        }
    }
    assert_eq!(admin.get("secret/pay/a?includeData=true").await.likeness(), seen);
}

/// A login was prolonged with another certificate than the one that it was made with, as long as that
/// was valid and looked alike.
#[tokio::test]
async fn cve_2026_39388_a_token_goes_on_for_its_own_key_alone() {
    let domain = Domain::new().await;
    domain.rule("svc", &["admin"]).await;
    let (owner, twin) = (domain.client("svc", Http::One), domain.client("svc", Http::One));
    let auth = login(&owner).await;
    let token = auth["client_token"].as_str().unwrap();
    let ttl = async || {
        let at = v1(&owner, "auth/token/lookup-self");
        let headers = [("x-vault-token", token)];
        owner.send(Method::GET, &at, &headers, "").await.ok()["data"]["ttl"].clone()
    };
    domain.server.clock.advance(3_600);
    let before = ttl().await;
    for http in BOTH {
        let twin = twin.over(http);
        // Brought along, or named; prolonged, or looked at alone.
        for rest in ["renew-self", "lookup-self", "renew", "lookup"] {
            let at = v1(&twin, &format!("auth/token/{rest}"));
            let headers = [("x-vault-token", token)];
            let headers = if rest.ends_with("self") { &headers[..] } else { &[] };
            let body = json!({"token": token, "increment": "700h"}).to_string();
            let answer = twin.send(Method::PUT, &at, headers, body).await;
            assert_eq!(answer.status, 403, "{rest}: {answer:?}");
        }
    }
    assert_eq!(ttl().await, before);
}

/// Names of policies were folded, so that one of another spelling stood for the mighty one.
#[tokio::test]
async fn cve_2025_5999_names_of_policies_are_compared_byte_for_byte() {
    let domain = Domain::new().await;
    let admin = &domain.admin;
    let everything =
        json!({"policy": r#"path "secret/*" { capabilities = ["create", "update"] }"#});
    let at = v1(admin, "sys/policies/acl/team");
    assert_eq!(ask(admin, "PUT", &at, &everything).await.status, 204);
    let writes = async |client: &Client, token: Option<&str>| {
        let headers: Vec<_> = token.map(|token| ("x-vault-token", token)).into_iter().collect();
        let at = v1(client, "secret/data/app/a");
        let answer = client.send(Method::PUT, &at, &headers, r#"{"data":{"v":1}}"#).await;
        answer.status.as_u16()
    };
    let svc = domain.client("svc", Http::One);
    let rule = |name: &str| json!({"commonNames": ["svc"], "policies": [name]});
    for name in ["admin", "team"] {
        ask(admin, "PUT", &central(admin, "rule/svc"), &rule(name)).await.ok();
        assert_eq!(writes(&svc, None).await, 200, "{name}");
    }
    for name in
        ["Admin", "ADMIN", "admın", "ａdmin", "Team", "TEAM", "team.", "root", "Root", "ROOT"]
    {
        // Without any, and with the one.
        ask(admin, "PUT", &central(admin, "rule/svc"), &rule("nothing")).await.ok();
        let put = ask(admin, "PUT", &central(admin, "rule/svc"), &rule(name)).await;
        assert!(matches!(put.status.as_u16(), 200 | 400), "{name}: {put:?}");
        assert_eq!(writes(&svc, None).await, 403, "{name}");
        // A token that its maker narrows to it has nothing.
        let body = json!({"policies": [name]});
        let made = ask(admin, "PUT", &v1(admin, "auth/token/create"), &body).await;
        if made.status == 200 {
            let token = made.json()["auth"]["client_token"].as_str().unwrap().to_owned();
            assert_eq!(writes(admin, Some(&token)).await, 403, "{name}");
        }
    }
    // So it is with the identities that policies are about.
    ask(admin, "PUT", &central(admin, "rule/svc"), &rule("nothing")).await.ok();
    for identity in ["Svc", "SVC", "svc.", "ｓvc"] {
        domain.policy(identity, &["*"], json!({"allow": ["secret/*"]})).await;
        assert_eq!(writes(&svc, None).await, 403, "{identity}");
    }
    domain.policy("svc", &["*"], json!({"allow": ["secret/*"]})).await;
    assert_eq!(writes(&svc, None).await, 200);
}

/// Errors about what was sent repeated it, passwords and policies among it.
#[tokio::test]
async fn cve_2025_52893_errors_about_rights_do_not_repeat_the_input() {
    let domain = Domain::new().await;
    let admin = &domain.admin;
    let operator = Client { id: admin.id.clone(), ..domain.server.operator() };
    let texts = [
        format!("\"{CANARY} \\u0000\""),
        format!("[\"{CANARY}\\u0000\"]"),
        format!("{{\"{CANARY}\":\"{CANARY}\"}}"),
        format!("\"{CANARY}"),
        format!("{{\"{CANARY}\":1,\"{CANARY}\":2}}"),
        format!("[{{\"{CANARY}\":\"{CANARY}\"}}]"),
        format!("-1{CANARY}"),
        CANARY.to_owned(),
    ];
    // Words of the language itself are told where they are wrong, as in Vault; values are not.
    let hcl = [
        format!(r#"path "a" {{ allowed_parameters = {{ "password" = "{CANARY}" }} }}"#),
        format!(r#"path "a" {{ allowed_parameters = {{ "password" = ["{CANARY} }} }}"#),
        format!(r#"path "a" {{ denied_parameters = "{CANARY}" }}"#),
        format!(r#"path "a" {{ required_parameters = [["{CANARY}"]] }}"#),
        format!(r#"path "a" {{ min_wrapping_ttl = "{CANARY}" }}"#),
        format!(r#"path "a" {{ max_wrapping_ttl = ["{CANARY}"] }}"#),
        format!(r#"path "a" {{ capabilities = {{ "a" = "{CANARY}" }} }}"#),
        format!(r#"= "{CANARY}""#),
    ];
    let mut refused = 0;
    let mut check = |what: &str, answer: &Answer| {
        if answer.status.is_client_error() {
            assert!(!answer.text().contains(CANARY), "{what}: {answer:?}");
            assert_ne!(outcome(answer), Outcome::Forbidden, "{what}: it is about what is sent");
            refused += 1;
        }
        assert!(!answer.status.is_server_error(), "{what}: {answer:?}");
    };
    for text in &texts {
        for (method, at, body) in [
            ("PUT", central(admin, "rule/x"), format!(r#"{{"commonNames":{text}}}"#)),
            ("PUT", central(admin, "rule/x"), format!(r#"{{"publicKeySHA256":{text}}}"#)),
            ("PUT", central(admin, "rule/x"), format!(r#"{{"metadata":{text}}}"#)),
            ("POST", central(admin, "policy"), format!(r#"{{"name":{text}}}"#)),
            (
                "POST",
                central(admin, "policy"),
                format!(
                    r#"{{"name":"p","identities":["a"],"resources":{text},"permissions":{{}}}}"#
                ),
            ),
            (
                "POST",
                central(admin, "policy"),
                format!(r#"{{"name":"p","identities":["a"],"resources":[],"permissions":{text}}}"#),
            ),
            ("POST", central(&operator, "credential"), format!(r#"{{"name":"x","csr":{text}}}"#)),
            ("POST", "/v2/okms/revocation".to_owned(), format!(r#"{{"serial":{text}}}"#)),
            ("PUT", v1(admin, "sys/policies/acl/x"), format!(r#"{{"policy":{text}}}"#)),
            (
                "PUT",
                v1(admin, "auth/token/create"),
                format!(r#"{{"policies":{text},"num_uses":1}}"#),
            ),
            ("PUT", v1(admin, "auth/token/create"), format!(r#"{{"meta":{text},"num_uses":1}}"#)),
            (
                "PUT",
                v1(admin, "auth/userpass/users/ann"),
                format!(r#"{{"password":{text},"token_num_uses":1}}"#),
            ),
            ("PUT", v1(admin, "auth/userpass/login/ann"), format!(r#"{{"password":{text}}}"#)),
            ("PUT", v1(admin, "sys/capabilities"), format!(r#"{{"token":{text},"paths":["a"]}}"#)),
        ] {
            let answer = operator.call(method.parse().unwrap(), &at, &body).await;
            check(&format!("{method} {at} {body}"), &answer);
        }
    }
    for text in &hcl {
        let body = json!({ "policy": text });
        let answer = ask(&operator, "PUT", &v1(admin, "sys/policies/acl/x"), &body).await;
        assert_eq!(answer.status, 400, "{text}: {answer:?}");
        check(text, &answer);
    }
    assert!(refused >= 90, "{refused} were refused");
}

/// Requests in one namespace reached into another, by the ids of what is there.
#[tokio::test]
async fn cve_2026_40264_ids_of_one_domain_are_nothing_in_another() {
    let domain = Domain::new().await;
    let admin = &domain.admin;
    let stranger = domain.server.tenant().await;
    domain.rule("svc", &["read-only"]).await;
    let policy = domain.policy("svc", &["app/*"], json!({"allow": ["secret/*"]})).await;
    let operator = Client { id: admin.id.clone(), ..domain.server.operator() };
    let issued = json!({"name": "svc", "validity": 30});
    let issued = ask(&operator, "POST", &central(admin, "credential"), &issued).await.ok();
    let credential = issued["id"].as_str().unwrap().to_owned();
    let auth = login(admin).await;
    let headers = [("x-vault-wrap-ttl", "1h")];
    let wrap = v1(admin, "sys/wrapping/wrap");
    let wrapped = admin.send(Method::POST, &wrap, &headers, r#"{"a":1}"#).await.ok();
    for n in 0..12 {
        admin.create(&format!("app/{n}"), "{}").await.ok();
    }
    let page = admin.page("secret", "10", None).await;
    let cursor = page.next().unwrap();
    let seen = async || {
        let mut seen = Vec::new();
        for at in [
            central(admin, &format!("policy/{policy}")),
            central(admin, "rule"),
            central(admin, &format!("credential/{credential}")),
        ] {
            seen.push(ask(admin, "GET", &at, &Value::Null).await.ok());
        }
        seen
    };
    let before = seen().await;
    let changes = json!({
        "name": "mine", "identities": ["*"], "resources": [{"urn": "*"}],
        "permissions": {"allow": [{"action": "*"}]},
    });
    for http in BOTH {
        let thief = stranger.over(http);
        // Of the stranger's own domain, where it may do everything.
        for (rest, unknown, method) in [
            (format!("policy/{policy}"), format!("policy/{UNKNOWN}"), "GET"),
            (format!("policy/{policy}"), format!("policy/{UNKNOWN}"), "PUT"),
            (format!("policy/{policy}"), format!("policy/{UNKNOWN}"), "DELETE"),
            ("rule/svc".to_owned(), "rule/none".to_owned(), "GET"),
            ("rule/svc".to_owned(), "rule/none".to_owned(), "DELETE"),
            (format!("credential/{credential}"), format!("credential/{UNKNOWN}"), "GET"),
            (format!("credential/{credential}"), format!("credential/{UNKNOWN}"), "DELETE"),
        ] {
            let body = if method == "PUT" { &changes } else { &Value::Null };
            let theirs = ask(&thief, method, &central(&thief, &rest), body).await;
            let none = ask(&thief, method, &central(&thief, &unknown), body).await;
            assert!(theirs.status.is_client_error(), "{method} {rest}: {theirs:?}");
            assert_eq!(theirs.likeness(), none.likeness(), "{method} {rest}");
        }
        let accessor = |of: &Value| json!({"accessor": of, "paths": ["secret/a"]});
        let nobodys = json!("AAAAAAAAAAAAAAAAAAAAAAAA");
        for rest in [
            "auth/token/lookup-accessor",
            "auth/token/renew-accessor",
            "auth/token/revoke-accessor",
            "sys/capabilities-accessor",
        ] {
            for known in [&auth["accessor"], &wrapped["wrap_info"]["accessor"]] {
                let theirs = ask(&thief, "POST", &v1(&thief, rest), &accessor(known)).await;
                let none = ask(&thief, "POST", &v1(&thief, rest), &accessor(&nobodys)).await;
                assert!(theirs.status.is_client_error(), "{rest}: {theirs:?}");
                assert_eq!(theirs.likeness(), none.likeness(), "{rest}");
            }
        }
        for rest in ["unwrap", "lookup", "rewrap"] {
            let at = v1(&thief, &format!("sys/wrapping/{rest}"));
            let token = json!({"token": wrapped["wrap_info"]["token"]});
            assert!(ask(&thief, "POST", &at, &token).await.status.is_client_error(), "{rest}");
        }
        let at = v1(&thief, "auth/token/revoke");
        for text in [&auth["client_token"], &wrapped["wrap_info"]["token"]] {
            ask(&thief, "POST", &at, &json!({ "token": text })).await;
        }
        // A place in somebody else's list is none in one's own.
        let page = thief.page("secret", "10", Some(&cursor)).await;
        assert!(!page.text().contains("app/"), "{page:?}");
    }
    assert_eq!(seen().await, before);
    let headers = [("x-vault-token", auth["client_token"].as_str().unwrap())];
    let lookup = v1(admin, "auth/token/lookup-self");
    admin.send(Method::GET, &lookup, &headers, "").await.ok();
    let token = json!({"token": wrapped["wrap_info"]["token"]});
    let unwrapped = ask(admin, "POST", &v1(admin, "sys/wrapping/unwrap"), &token).await.ok();
    assert_eq!(unwrapped["data"]["a"], 1);
}

/// A certificate that was trusted as itself, and is no authority, vouched for another of any name.
#[tokio::test]
async fn cve_2025_6037_a_certificate_vouches_for_no_other() {
    let server = TestServer::start_with(|config| {
        config.access.default_policy = DefaultPolicy(BuiltIn::Nothing);
    })
    .await;
    let id = server.tenant().await.id;
    let operator = Client { id: id.clone(), ..server.operator() };
    let claim = format!("okms.domain:{id}");
    let own = rcgen::KeyPair::generate().unwrap();
    let own_pem = own.serialize_pem();
    let pinned = server.mint(&Leaf {
        common_name: "mighty",
        upns: &[&claim],
        key: Some(&own_pem),
        ..Leaf::default()
    });
    let key = {
        let der = <rustls::pki_types::CertificateDer as rustls::pki_types::pem::PemObject>::from_pem_slice(
            pinned.certificate.as_bytes(),
        )
        .unwrap();
        let read = okmsd::auth::identity::CertIdentity::from_der(&der).unwrap();
        read.public_key_sha256().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let rule = json!({"publicKeySHA256": [key], "commonNames": ["mighty"], "policies": ["admin"]});
    ask(&operator, "PUT", &central(&operator, "rule/mighty"), &rule).await.ok();
    let client = |pair: &Pair| server.client(Some(pair), Some(&id), Http::One);
    client(&pinned).create("a", "{}").await.ok();
    // Its holder signs another with its key, and shows both; or alone.
    let issuer = rcgen::Issuer::new(leaf(), own);
    let signer = Signer { pem: pinned.certificate.clone(), issuer };
    let forged = claims(leaf(), &claim);
    for shown in [&[&signer][..], &[]] {
        let pair = signer.pair(&forged, shown);
        assert!(client(&pair).is_refused_in_tls().await);
    }
    // One of the same names, which the authority has signed, is not the pinned one.
    let namesake = server.mint(&Leaf { common_name: "mighty", upns: &[&claim], ..Leaf::default() });
    client(&namesake).create("b", "{}").await.error(403, 16_924_673);
}
