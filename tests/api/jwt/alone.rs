//! A JWT without a certificate: only where the operator says so, for the tenant that it names, and for what
//! its scopes give.

use okmsd::config::{AddressHeader, JwtCertificate, Proxy};

use super::*;
use crate::{
    harness::BOTH,
    proxies::{RFC, list, listed, proxy_client, proxys},
};

const UNAUTHENTICATED: u32 = 50_475_011;

async fn lenient(change: impl FnOnce(&mut Config)) -> Idp {
    Idp::start(|config| {
        config.auth.jwt.certificate = JwtCertificate::Optional;
        change(config);
    })
    .await
}

#[tokio::test]
async fn it_counts_where_the_operator_says_so() {
    let strict = Idp::start(|_| {}).await;
    let text = |answer: &Answer| refused(answer, 401, "token_invalid");
    let read = async |idp: &Idp, token: &str| {
        ask(&idp.nobody(), token, Method::GET, "/v1/secrets/app/db", "").await
    };
    assert!(text(&read(&strict, &strict.scoped("admin")).await).contains("certificate"));
    let idp = lenient(|_| {}).await;
    for http in BOTH {
        let nobody = idp.nobody().over(http);
        let token = idp.scoped("secrets:read");
        let answer = ask(&nobody, &token, Method::GET, "/v1/secrets/app/db", "").await;
        assert_eq!(answer.ok()["data"], json!({"v": 1}));
        let put = ask(&nobody, &token, Method::PUT, "/v1/secrets/x", r#"{"data":{}}"#).await;
        refused(&put, 403, "insufficient_scope");
    }
    let put =
        ask(&idp.nobody(), &idp.scoped("admin"), Method::PUT, "/v1/secrets/x", r#"{"data":{}}"#)
            .await;
    assert_eq!(put.status, 201);
    assert!(text(&read(&idp, &idp.token(json!({"tenant_id": null}))).await).contains("tenant"));
    let theirs = idp.token(json!({"tenant_id": idp.server.tenant().await.id}));
    refused(&read(&idp, &theirs).await, 404, "secret_not_found");
    let nobodys = idp.token(json!({"tenant_id": "acme"}));
    refused(&read(&idp, &nobodys).await, 403, "access_denied");
    // Another tenant than its own it does not name.
    let at = format!("/v1/t/{}/secrets/app/db", idp.server.tenant().await.id);
    let answer = ask(&idp.nobody(), &idp.scoped("admin"), Method::GET, &at, "").await;
    refused(&answer, 403, "access_denied");
    // Without one there is no difference to before.
    let none = idp.nobody().call(Method::GET, "/v1/secrets/app/db", "").await;
    refused(&none, 401, "authentication_required");
}

/// Dialects that take no JWT take none: there a certificate is asked for as ever.
#[tokio::test]
async fn it_opens_no_other_dialect() {
    let idp = lenient(|config| config.access.users_without_certificate = true).await;
    let (nobody, token, id) = (idp.nobody(), idp.scoped("admin"), &idp.client.id);
    for path in [
        format!("/api/{id}/v2/secret"),
        format!("/api/{id}/v2/secret/app/db?includeData=true"),
        "/v2/okms/resource".to_owned(),
        format!("/v2/okms/resource/{id}"),
    ] {
        ask(&nobody, &token, Method::GET, &path, "").await.error(401, UNAUTHENTICATED);
    }
    for path in [format!("/api/{id}/v1/secret/data/app/db"), format!("/api/{id}/v1/sys/mounts")] {
        let answer = ask(&nobody, &token, Method::GET, &path, "").await;
        assert!(matches!(answer.status.as_u16(), 401 | 403), "{answer:?}");
    }
    // And beside a certificate they are what they were: nothing to the native one, no token to Vault's.
    let few = idp.scoped("");
    idp.client
        .send(
            Method::GET,
            &idp.client.url("secret/app/db"),
            &[("authorization", &format!("Bearer {few}"))],
            "",
        )
        .await
        .ok();
    let at = format!("/api/{id}/v1/secret/data/app/db");
    assert_eq!(ask(&idp.client, &token, Method::GET, &at, "").await.status, 403);
}

/// No rule is about whoever has no certificate: it may what the default says, within its scopes.
#[tokio::test]
async fn policies_bound_it() {
    let idp = lenient(|_| {}).await;
    let mut server = idp.server;
    server.config.access.default_policy = "nothing".parse().unwrap();
    server.restart().await;
    let client = server.at(&idp.client);
    let idp = Idp { server, client, ..idp };
    let answer =
        ask(&idp.nobody(), &idp.scoped("admin"), Method::GET, "/v1/secrets/app/db", "").await;
    refused(&answer, 403, "access_denied");
}

/// Its rate is its subject's, whichever token and connection it has.
#[tokio::test]
async fn it_is_charged() {
    let idp = lenient(|config| config.limits.subject_requests_per_second = 1).await;
    let read = async |token: &str| {
        ask(&idp.nobody(), token, Method::GET, "/v1/secrets/app/db", "").await.status.as_u16()
    };
    let alice = |n: i64| idp.token(json!({"jti": n.to_string(), "exp": START + 100 + n}));
    let mut served = 0;
    while served < 40 && read(&alice(served)).await == 200 {
        served += 1;
    }
    assert!((10..20).contains(&served), "{served}");
    assert_eq!(read(&alice(50)).await, 429);
    assert_eq!(read(&idp.token(json!({"sub": "bob"}))).await, 200);
    idp.client.call(Method::GET, "/v1/secrets/app/db", "").await.ok();
}

#[tokio::test]
async fn the_trail_tells_who_it_was() {
    let idp = lenient(|_| {}).await;
    ask(&idp.nobody(), &idp.scoped("secrets:read"), Method::GET, "/v1/secrets/app/db", "")
        .await
        .ok();
    let record = idp.records("jwt").pop().unwrap();
    assert_eq!((&record["subject"], &record["jwt"]["subject"]), (&json!("jwt"), &json!("alice")));
    assert_eq!(record["acting_tenant"], *idp.client.id);
    assert!(record.get("serial").is_none() && record.get("common_name").is_none());
}

/// A proxy that speaks for one domain brings tokens of that one alone, and none once it is not believed.
#[tokio::test]
async fn a_proxy_brings_it_for_its_own_domain() {
    let mut idp = lenient(|_| {}).await;
    let proxy = proxys(&idp.server);
    let other = idp.server.tenant().await.id;
    let own = idp.client.id.clone();
    let listed = |domain: Option<&str>| Proxy {
        address_header: Some(AddressHeader::XForwardedFor),
        domain: domain.map(|id| id.parse().unwrap()),
        ..listed(&proxy, RFC)
    };
    let read = async |idp: &Idp| {
        let client = proxy_client(&idp.server, &proxy, &idp.client.id);
        let bearer = format!("Bearer {}", idp.scoped("secrets:read"));
        let headers = [("x-forwarded-for", "192.0.2.7"), ("authorization", &*bearer)];
        client.send(Method::GET, "/v1/secrets/app/db", &headers, "").await.status.as_u16()
    };
    for (domain, status) in [(None, 200), (Some(&*own), 200), (Some(&*other), 401)] {
        list(&mut idp.server, vec![listed(domain)]);
        assert_eq!(read(&idp).await, status, "{domain:?}");
    }
}
