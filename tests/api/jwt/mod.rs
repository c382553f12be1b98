//! JWTs of an identity provider, as the dialects take them that do: beside a certificate and alone.

mod alone;
mod keys;
mod refused;
mod scopes;
mod uris;

use aws_lc_rs::digest;
use hyper::Method;
use okmsd::{config::Config, pki::Subject};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};

use crate::harness::{Answer, Client, Http, Pair, START, TestServer};

#[path = "../../support/tokens.rs"]
mod tokens;

use tokens::{Signer, encoded, set};

const ISSUER: &str = "https://idp.example.com";

/// An identity provider, and a server that takes its tokens.
pub struct Idp {
    pub server: TestServer,
    pub key: Signer,
    /// A client of a domain, with its certificate.
    pub client: Client,
    pub pair: Pair,
}

impl Idp {
    /// With its keys in a file, and what `change` has changed.
    async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let key = Signer::p256();
        let text = set(&[key.public("k")]);
        let server = TestServer::start_with(|config| {
            let file = config.store.path.with_file_name("jwks.json");
            std::fs::write(&file, text).unwrap();
            config.auth.jwt.issuer = Some(ISSUER.to_owned());
            config.auth.jwt.jwks_file = Some(file);
            change(config);
        })
        .await;
        Self::of(server, key).await
    }

    async fn of(server: TestServer, key: Signer) -> Self {
        let id = server.tenant().await.id;
        let pair = server.issue(&Subject::Domain(id.parse().unwrap()), 30);
        let client = server.client(Some(&pair), Some(&id), Http::One);
        let idp = Self { server, key, client, pair };
        let put = idp.client.call(Method::PUT, "/v1/secrets/app/db", r#"{"data":{"v":1}}"#).await;
        assert_eq!(put.status, 201);
        idp
    }

    /// Good claims, with these in the place of what is there; `null` takes one away.
    fn claims(&self, others: Value) -> Value {
        let mut all = json!({
            "iss": ISSUER, "sub": "alice", "exp": START + 3600, "iat": START, "nbf": START,
            "tenant_id": self.client.id, "scope": "secrets:read",
        });
        for (name, value) in others.as_object().unwrap() {
            match value {
                Value::Null => drop(all.as_object_mut().unwrap().remove(name)),
                value => all[name] = value.clone(),
            }
        }
        all
    }

    /// A good token, but for these claims.
    fn token(&self, others: Value) -> String {
        self.key.token(&json!({"alg": "ES256", "kid": "k", "typ": "at+jwt"}), &self.claims(others))
    }

    fn scoped(&self, scope: &str) -> String {
        self.token(json!({ "scope": scope }))
    }

    /// Somebody without a certificate.
    fn nobody(&self) -> Client {
        Client { id: self.client.id.clone(), ..self.server.anonymous() }
    }

    async fn read(&self, token: &str) -> Answer {
        ask(&self.client, token, Method::GET, "/v1/secrets/app/db", "").await
    }

    /// Records of the audit trail that have this member.
    fn records(&self, member: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.server.path("audit.log")).unwrap();
        let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.filter(|record| record.get(member).is_some()).collect()
    }
}

async fn ask(client: &Client, token: &str, method: Method, path: &str, body: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    client.send(method, path, &[("authorization", &bearer)], body.to_owned()).await
}

/// That the answer is this error of the dialect of path secrets; its message.
#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) -> String {
    let error = &answer.json()["error"];
    let is = (answer.status.as_u16(), error["code"].as_str());
    assert_eq!(is, (status, Some(code)), "{answer:?}");
    let told = answer.headers.get("www-authenticate").map(|told| told.to_str().unwrap());
    let is_of_bearer = code.starts_with("token_");
    assert_eq!(told, is_of_bearer.then_some("Bearer error=\"invalid_token\""), "{answer:?}");
    error["message"].as_str().unwrap().to_owned()
}

/// What a token is bound to (RFC 8705).
fn thumbprint(pair: &Pair) -> String {
    let der = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
    encoded(digest::digest(&digest::SHA256, &der))
}
