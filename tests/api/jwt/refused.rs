//! Tokens that do not count: each over real TLS, beside a good certificate, and none gets anything.

use tracing::Level;

use super::{tokens::with_secret, *};
use crate::harness::{BOTH, Lines};

/// A token, and what is said of it.
pub(super) type Bad = (&'static str, String, &'static str);

/// Each is one step away from a good one.
pub(super) fn table(idp: &Idp) -> Vec<Bad> {
    let (other, ed, rsa) = (Signer::p256(), Signer::ed(), Signer::rsa());
    let claims = idp.claims(json!({"scope": "admin"}));
    let header = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid});
    let token = |others: Value| idp.token(others);
    let good = idp.scoped("admin");
    let parts: Vec<_> = good.split('.').map(str::to_owned).collect();
    let public = idp.key.public("k");
    let x = public["x"].as_str().unwrap().as_bytes().to_vec();
    let by_header = |key: &Signer, name: &str, value: Value| {
        let mut header = header("ES256", "k");
        header[name] = value;
        key.token(&header, &claims)
    };
    let none = encoded(r#"{"alg":"none","kid":"k"}"#);
    let twice = claims.to_string().replacen('{', r#"{"sub":"bob","#, 1);
    let huge =
        (5000..9000).map(|n| token(json!({ "x": "y".repeat(n) }))).find(|it| it.len() > 8192);
    let of = |text: &str, part: &str| format!("{text}.{part}");
    vec![
        ("alg none", format!("{none}.{}.{}", parts[1], parts[2]), "algorithm"),
        ("alg none, unsigned", format!("{none}.{}.", parts[1]), "no signed JWT"),
        ("HMAC with the public key", with_secret(&x, &header("HS256", "k"), &claims), "algorithm"),
        ("HMAC called ES256", with_secret(&x, &header("ES256", "k"), &claims), "signature"),
        (
            "HMAC with the set",
            with_secret(set(&[public]).as_bytes(), &header("HS256", "k"), &claims),
            "algorithm",
        ),
        ("a key of another type of the same kid", ed.token(&header("EdDSA", "k"), &claims), "kid"),
        ("RSA of the same kid", rsa.token(&header("RS256", "k"), &claims), "kid"),
        ("an unknown kid", other.token(&header("ES256", "x"), &claims), "no key of this kid"),
        ("another key", other.token(&header("ES256", "k"), &claims), "signature"),
        ("no kid, another key", other.token(&json!({"alg": "ES256"}), &claims), "signature"),
        ("its own key in jwk", by_header(&other, "jwk", other.public("k")), "signature"),
        ("jku", by_header(&other, "jku", json!("https://127.0.0.1:1/")), "signature"),
        ("x5u", by_header(&other, "x5u", json!("https://127.0.0.1:1/")), "signature"),
        ("x5c", by_header(&other, "x5c", json!(["AA=="])), "signature"),
        ("crit", by_header(&idp.key, "crit", json!(["exp"])), "crit"),
        ("another typ", by_header(&idp.key, "typ", json!("dpop+jwt")), "typ"),
        (
            "other claims",
            format!(
                "{}.{}.{}",
                parts[0],
                encoded(idp.claims(json!({"sub": "bob"})).to_string()),
                parts[2]
            ),
            "signature",
        ),
        // Whole bytes are left: bits that belong to none are no base64 of ours.
        ("half a signature", good[..good.len() - 46].to_owned(), "signature"),
        ("no signature", of(&of(&parts[0], &parts[1]), ""), "no signed JWT"),
        ("padding", format!("{good}=="), "no signed JWT"),
        ("claims twice", idp.key.signed(&header("ES256", "k"), &twice), "no signed JWT"),
        ("8 KiB and one", huge.unwrap(), "8 KiB"),
        ("no exp", token(json!({"exp": null})), "exp"),
        ("nbf ahead", token(json!({"nbf": START + 61})), "nbf"),
        ("iat ahead", token(json!({"iat": START + 61})), "nbf"),
        ("another issuer", token(json!({"iss": "https://idp.example.org"})), "issuer"),
        ("another audience", token(json!({"aud": "other"})), "audience"),
        ("no subject", token(json!({"sub": null})), "subject"),
        ("a certificate's subject", token(json!({"sub": "cert:0a"})), "subject"),
        (
            "of another certificate",
            token(json!({"cnf": {"x5t#S256": encoded([1; 32])}})),
            "another certificate",
        ),
        ("bound otherwise", token(json!({"cnf": {"jkt": encoded([1; 32])}})), "another way"),
    ]
}

#[tokio::test]
async fn none_of_these_counts() {
    let (lines, _listening) = Lines::listen(Level::TRACE);
    let idp = Idp::start(|_| {}).await;
    let table = table(&idp);
    for http in BOTH {
        let client = idp.client.over(http);
        let mut connection = client.connect().await;
        for (name, token, words) in &table {
            let bearer = format!("Bearer {token}");
            let headers = [("authorization", &*bearer)];
            for path in ["/v1/secrets/app/db", "/v1/auth/whoami", "/v1/partner/secrets/x"] {
                let answer = connection.send(Method::GET, path, &headers, "").await;
                assert_eq!(answer.status, 401, "{name}: {path}");
                let text = refused(&answer, 401, "token_invalid");
                assert!(text.contains(words), "{name}: {text}");
                let part = token.rsplit('.').find(|it| it.len() > 20).unwrap_or(token);
                assert!(!answer.text().contains(part), "{name}");
            }
        }
        // One that is good goes on over the same connection.
        let good = format!("Bearer {}", idp.scoped("secrets:read"));
        let headers = [("authorization", &*good)];
        connection.send(Method::GET, "/v1/secrets/app/db", &headers, "").await.ok();
        let expired = format!("Bearer {}", idp.token(json!({"exp": START - 60})));
        let headers = [("authorization", &*expired)];
        let answer = connection.send(Method::GET, "/v1/secrets/app/db", &headers, "").await;
        refused(&answer, 401, "token_expired");
    }
    let trail = std::fs::read_to_string(idp.server.path("audit.log")).unwrap();
    for (name, token, _) in &table {
        let parts = token.split('.').filter(|part| part.len() > 40);
        for part in parts {
            assert!(!lines.all().contains(part) && !trail.contains(part), "{name}");
        }
    }
}

/// A token that is bound counts on connections of its certificate alone, also where there is none.
#[tokio::test]
async fn a_bound_token_is_worth_nothing_without_its_certificate() {
    let idp = Idp::start(|config| {
        config.auth.jwt.certificate = okmsd::config::JwtCertificate::Optional;
    })
    .await;
    let bound = idp.token(json!({"cnf": {"x5t#S256": thumbprint(&idp.pair)}}));
    idp.read(&bound).await.ok();
    let thief = idp.server.client_of(&idp.client.id, Http::One);
    for client in [&thief, &idp.nobody()] {
        let answer = ask(client, &bound, Method::GET, "/v1/secrets/app/db", "").await;
        refused(&answer, 401, "token_invalid");
    }
    let strict = Idp::start(|config| {
        config.auth.jwt.binding = okmsd::config::JwtBinding::Required;
        config.auth.jwt.require_audience = true;
    })
    .await;
    let bound = json!({"x5t#S256": thumbprint(&strict.pair)});
    for (others, words) in
        [(json!({"aud": "crud.secrets"}), "not bound"), (json!({"cnf": bound}), "audience")]
    {
        let text = refused(&strict.read(&strict.token(others)).await, 401, "token_invalid");
        assert!(text.contains(words), "{text}");
    }
    let whole = json!({"cnf": bound, "aud": ["other", "crud.secrets"]});
    strict.read(&strict.token(whole)).await.ok();
}

/// A token for one tenant does nothing beside a certificate of another; a tenant that is none is told apart
/// from one that is somebody else's by nothing.
#[tokio::test]
async fn tenants_must_agree() {
    let idp = Idp::start(|_| {}).await;
    let other = idp.server.tenant().await;
    let theirs = idp.token(json!({"tenant_id": other.id}));
    let nobodys = idp.token(json!({"tenant_id": "9c4f0c2e-5d0b-4a56-8c11-2a1d1f1f7a10"}));
    let no_name = idp.token(json!({"tenant_id": "acme"}));
    let mut told = Vec::new();
    for token in [theirs, nobodys, no_name] {
        let answer = idp.read(&token).await;
        refused(&answer, 403, "access_denied");
        told.push(answer.likeness());
    }
    assert!(told.iter().all(|one| *one == told[0]), "{told:#?}");
    idp.read(&idp.token(json!({"tenant_id": null}))).await.ok();
    // An operator's certificate is for all, and the token for one.
    let operator = idp.server.operator();
    let at = |id: &str| format!("/v1/t/{id}/secrets/app/db");
    let token = idp.scoped("secrets:read");
    ask(&operator, &token, Method::GET, &at(&idp.client.id), "").await.ok();
    let answer = ask(&operator, &token, Method::GET, &at(&other.id), "").await;
    refused(&answer, 403, "access_denied");
    ask(&operator, &token, Method::GET, "/v1/secrets/app/db", "").await.ok();
    let answer = ask(&operator, &token, Method::PUT, "/v1/secrets/x", r#"{"data":{}}"#).await;
    refused(&answer, 403, "insufficient_scope");
}

/// What is over is so to the second, the leeway included.
#[tokio::test]
async fn a_token_ends() {
    let idp = Idp::start(|_| {}).await;
    let token = idp.token(json!({"scope": "secrets:write", "exp": START + 100}));
    idp.server.clock.advance(159);
    let put = ask(&idp.client, &token, Method::PUT, "/v1/secrets/x", r#"{"data":{}}"#).await;
    assert_eq!(put.status, 201);
    idp.server.clock.advance(1);
    let put = ask(&idp.client, &token, Method::PUT, "/v1/secrets/x", r#"{"data":{}}"#).await;
    refused(&put, 401, "token_expired");
}
