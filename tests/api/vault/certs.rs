//! Roles of certificates: the mapping rules of a domain, in Vault's words.

use hyper::Method;
use serde_json::{Value, json};

use super::{Domain, Vault};

const FORBIDDEN: u32 = 16_924_673;

/// Writes a role.
async fn role(domain: &Domain, name: &str, body: Value) {
    domain.admin.root().post(&format!("auth/cert/certs/{name}"), body).await.nothing();
}

/// A role is a rule: it counts for whoever fits it, and a login by its name gives a token of its
/// policies and its times.
#[tokio::test]
async fn a_role_is_a_rule() {
    let domain = Domain::new().await;
    domain.admin.write("app/a", json!({"k": "v"})).await;
    let text = r#"path "secret/data/app/*" { capabilities = ["read"] }"#;
    domain.policy("app", text).await;
    role(&domain, "web",
            json!({
                "allowed_common_names": "web-*,front", "token_policies": "app", "display_name": "the web",
                "token_ttl": "1h", "token_max_ttl": 7200,
            }),
        )
        .await;
    let web = domain.certificate("web-1");
    assert_eq!(web.get("data/app/a").await.status, 200, "without a login");
    web.put("data/app/a", json!({"data": {}})).await.error(403, FORBIDDEN);
    let auth =
        web.root().post("auth/cert/login", json!({"name": "web"})).await.json()["auth"].clone();
    assert_eq!(auth["policies"], json!(["app", "default"]));
    assert_eq!((&auth["lease_duration"], &auth["renewable"]), (&json!(3600), &json!(true)));
    let token = web.token(auth["client_token"].as_str().unwrap());
    assert_eq!(token.get("data/app/a").await.status, 200);
    let looked_up = token.root().get("auth/token/lookup-self").await.json();
    assert_eq!(looked_up["data"]["display_name"], "cert-the web");
    // Who does not fit a role cannot log in by it.
    let other = domain.certificate("other");
    let by_web = other.root().post("auth/cert/login", json!({"name": "web"})).await;
    by_web.refused_with(400, "does not fit");
    // The native address shows the same rule, and what is taken away there is away here.
    let at = format!("/v2/okms/resource/{}/rule/web", domain.admin.client.id);
    let rule = domain.admin.client.call(Method::GET, &at, "").await.ok();
    assert_eq!(
        (&rule["commonNames"], &rule["policies"]),
        (&json!(["web-*", "front"]), &json!(["app"]))
    );
    domain.admin.root().delete("auth/cert/certs/web").await.nothing();
    domain.admin.client.call(Method::GET, &at, "").await.error(404, 50_417_665);
    assert_eq!(web.put("data/app/a", json!({"data": {}})).await.status, 200, "no rule is left");
}

/// A name that was mistyped, or of a role that was gone, gave a token of all that the certificate may do,
/// where the role would have given less. Some clients cannot but send one: where there are no roles, it
/// counts for nothing, and that is said.
#[tokio::test]
async fn a_name_that_is_no_roles_gives_nothing() {
    let domain = Domain::new().await;
    let (admin, log_in) = (domain.admin.root(), "auth/cert/login");
    // A rule that is no role.
    let web = domain.service("web", &["admin"]).await.root();
    let named = [json!({"name": "less"}), json!({"cert_name": "less"}), json!({"name": "web"})];
    let unnamed = [json!({}), json!({"name": ""}), json!({"name": null}), Value::Null];
    let no_roles = async || {
        for body in &named {
            let answer = web.post(log_in, body.clone()).await.envelope();
            assert!(answer["warnings"][0].as_str().unwrap().contains("has no roles"), "{answer:?}");
        }
        for body in &unnamed {
            assert_eq!(web.post(log_in, body.clone()).await.envelope()["warnings"], json!(null));
        }
    };
    no_roles().await;
    role(&domain, "less", json!({"allowed_common_names": "web", "token_policies": "read-only"}))
        .await;
    for body in &named[..2] {
        let answer = web.post(log_in, body.clone()).await.envelope();
        assert_eq!(answer["auth"]["policies"], json!(["default", "read-only"]));
        assert_eq!(answer["warnings"], json!(null));
    }
    for name in ["les", "Less", "less ", "web"] {
        for field in ["name", "cert_name"] {
            let answer = web.post(log_in, json!({ field: name })).await;
            answer.refused_with(400, "there is no role of this name");
        }
    }
    for body in &unnamed {
        assert_eq!(web.post(log_in, body.clone()).await.envelope()["warnings"], json!(null));
    }
    role(&domain, "more", json!({"allowed_common_names": "other", "token_policies": "admin"}))
        .await;
    admin.delete("auth/cert/certs/less").await.nothing();
    let gone = web.post(log_in, json!({"name": "less"})).await;
    gone.refused_with(400, "there is no role of this name");
    admin.delete("auth/cert/certs/more").await.nothing();
    no_roles().await;
}

/// What is not named stays; what Vault shows is shown; what would have narrowed it is refused.
#[tokio::test]
async fn a_role_is_written_field_by_field() {
    let domain = Domain::new().await;
    let root = domain.admin.root();
    assert_eq!(root.list("auth/cert/certs").await.status, 404);
    role(&domain, "r", json!({"allowed_dns_sans": ["*.example.org"], "policies": ["read-only"]}))
        .await;
    role(&domain, "r", json!({"ttl": 60})).await;
    role(&domain, "r", json!({"allowed_uri_sans": ["spiffe://x/*"], "allowed_dns_sans": []})).await;
    let shown = root.get("auth/cert/certs/r").await.json()["data"].clone();
    for (member, expected) in [
        ("allowed_dns_sans", json!([])),
        ("allowed_uri_sans", json!(["spiffe://x/*"])),
        ("token_policies", json!(["read-only"])),
        ("token_ttl", json!(60)),
        ("certificate", json!("")),
    ] {
        assert_eq!(shown[member], expected, "{member}");
    }
    assert_eq!(root.list("auth/cert/certs").await.json()["data"]["keys"], json!(["r"]));
    for wrong in [
        json!({"required_extensions": ["1.2.3"]}),
        json!({"required_extensions": ["hex:1.2.3:app"]}),
        json!({"required_extensions": ["2.5.29.17:*"]}),
        json!({"token_bound_cidrs": ["10.0.0.0/8"]}),
        json!({"token_num_uses": 2}),
        json!({"ocsp_enabled": true}),
        json!({"ocsp_enabled": "true"}),
        json!({"token_explicit_max_ttl": 60}),
        json!({"token_period": "1h"}),
        json!({"certificate": "no PEM"}),
        json!({"certificate": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}),
        json!({"allowed_names": ["x".repeat(600)]}),
    ] {
        let answer = root.post("auth/cert/certs/r", &wrong).await;
        assert_eq!(answer.status, 400, "{wrong}: {answer:?}");
    }
    root.post("auth/cert/certs/r", json!({"ocsp_enabled": true})).await.refused_with(400, "OCSP");
    // What would let in nobody else is warned of, by its name, and nothing where it is as without it.
    let of_no_effect = json!({
        "allowed_metadata_extensions": ["1.2.3"], "ocsp_ca_certificates": "PEM", "ocsp_fail_open": true,
        "ocsp_max_retries": 4, "ocsp_query_all_servers": "true", "ocsp_servers_override": "http://x",
        "ocsp_this_update_max_age": "1h", "token_no_default_policy": true,
    });
    let warned = root.post("auth/cert/certs/r", &of_no_effect).await.envelope();
    let warnings = warned["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 8, "{warnings:?}");
    for (warning, name) in warnings.iter().zip(of_no_effect.as_object().unwrap().keys()) {
        let warning = warning.as_str().unwrap();
        assert!(warning.starts_with(&format!("{name} has no effect: ")), "{warning}");
    }
    root.post(
        "auth/cert/certs/r",
        json!({
            "ocsp_enabled": "false", "ocsp_fail_open": false, "ocsp_max_retries": 0,
            "ocsp_servers_override": [], "token_no_default_policy": "false", "token_period": "0s",
        }),
    )
    .await
    .nothing();
    assert_eq!(root.get("auth/cert/certs/r").await.json()["data"], shown, "nothing is stored");
    root.post("auth/cert/certs/r", json!({"required_extensions": "", "token_bound_cidrs": []}))
        .await
        .nothing();
    // A role that asks for nothing would be everybody's, and take from all what it does not give.
    root.post("auth/cert/certs/all", json!({"certificate": ""}))
        .await
        .refused_with(400, "everybody");
    // Lists that have no word here are kept, and told of.
    let at = format!("/v2/okms/resource/{}/rule/native", domain.admin.client.id);
    let rule = r#"{"userPrincipalNames": ["someone@example.org"], "policies": ["auditor"]}"#;
    domain.admin.client.call(Method::PUT, &at, rule).await.ok();
    let shown = root.get("auth/cert/certs/native").await.json();
    assert!(shown["warnings"][0].as_str().unwrap().contains("more"), "{shown}");
    role(&domain, "native", json!({"policies": ["read-only"]})).await;
    let rule = domain.admin.client.call(Method::GET, &at, "").await.ok();
    assert_eq!(rule["userPrincipalNames"], json!(["someone@example.org"]));
    let auditor = domain.certificate("auditor");
    let rule = json!({"commonNames": ["auditor"], "policies": ["auditor"]}).to_string();
    let at = format!("/v2/okms/resource/{}/rule/auditor", domain.admin.client.id);
    domain.admin.client.call(Method::PUT, &at, &rule).await.ok();
    auditor.root().get("auth/cert/certs/r").await.envelope();
    auditor.root().post("auth/cert/certs/r", json!({})).await.error(403, FORBIDDEN);
}

/// A certificate narrows a role to its key, an authority to those for whom it vouches.
#[tokio::test]
async fn a_role_of_one_certificate() {
    let domain = Domain::new().await;
    domain.admin.write("app/a", json!({"k": "v"})).await;
    let (one, other) = (domain.pair("one"), domain.pair("one"));
    role(&domain, "nobody", json!({"allowed_common_names": ["one"], "policies": ["nothing"]}))
        .await;
    role(&domain, "pinned", json!({"certificate": one.certificate, "policies": ["read-only"]}))
        .await;
    let (one, other) = (Vault::of(&domain.client(&one)), Vault::of(&domain.client(&other)));
    assert_eq!(one.get("data/app/a").await.status, 200);
    other.get("data/app/a").await.error(403, FORBIDDEN);
    let shown = domain.admin.root().get("auth/cert/certs/pinned").await.json();
    let shown = shown["data"]["certificate"].as_str().unwrap();
    assert!(shown.starts_with("-----BEGIN CERTIFICATE-----"));
    let region = domain.server.authority.certificate_pem().to_owned();
    role(&domain, "region", json!({"certificate": region, "policies": ["read-only"]})).await;
    assert_eq!(other.get("data/app/a").await.status, 200);
    // The administrator's is one of them.
    domain.admin.root().get("auth/cert/certs/region").await.error(403, FORBIDDEN);
}
