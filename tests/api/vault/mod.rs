//! The Vault KV v2 dialect over real TLS, one module a theme. A comment such as 14.5 names case 5
//! of docs/COMPATIBILITY.md, where each row names the test that holds it.

use std::fmt::Display;

use hyper::Method;
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::harness::{Answer, Client, ENVELOPE, Http, Leaf, Pair, START, START_TEXT, TestServer};

mod audit_devices;
mod certs;
mod config;
mod custom_metadata;
mod data;
mod dialects;
mod expiry;
mod fields;
mod http;
mod isolation;
mod lists;
mod metadata;
mod metadata_cas;
mod metadata_patch;
mod mounts;
mod moves;
mod namespaces;
mod pages;
mod patch;
mod paths;
mod policies;
mod pruning;
mod remount;
mod scan;
mod stolen;
mod subkeys;
mod system;
mod tokens;
mod tools;
mod userpass;
mod versions;
mod visitors;
mod wrapping;

/// A mount as a Vault client sees it: every path is relative to `base`.
#[derive(Clone)]
pub struct Vault {
    pub client: Client,
    pub base: String,
    headers: Vec<(&'static str, String)>,
}

impl Vault {
    /// A server with one domain, and the mount `secret` of that domain.
    pub async fn start() -> (TestServer, Self) {
        let (server, client) = TestServer::with_tenant().await;
        (server, Self::of(&client))
    }

    /// The mount `secret` of the client's domain.
    pub fn of(client: &Client) -> Self {
        let base = format!("/api/{}/v1/secret", client.id);
        Self { client: client.clone(), base, headers: Vec::new() }
    }

    /// The same caller at another address.
    pub fn at(&self, base: impl Into<String>) -> Self {
        Self { base: base.into(), ..self.clone() }
    }

    /// Where `sys` and `auth` are, and every mount by its name.
    pub fn root(&self) -> Self {
        self.at(format!("/api/{}/v1", self.client.id))
    }

    /// Another mount of the domain.
    pub fn mount(&self, path: &str) -> Self {
        self.at(format!("/api/{}/v1/{path}", self.client.id))
    }

    /// With one more header on every request.
    pub fn with(&self, name: &'static str, value: impl Into<String>) -> Self {
        let mut with = self.clone();
        with.headers.push((name, value.into()));
        with
    }

    /// With this token, in the place of another one.
    pub fn token(&self, token: &str) -> Self {
        const TOKEN: &str = "x-vault-token";
        let mut with = self.clone();
        with.headers.retain(|(name, _)| *name != TOKEN);
        with.with(TOKEN, token)
    }

    pub async fn send(&self, method: &str, path: &str, body: impl Display) -> Answer {
        let url = if path.is_empty() { self.base.clone() } else { format!("{}/{path}", self.base) };
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (*name, &**value)).collect();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.send(method, &url, &headers, body.to_string()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "").await
    }

    pub async fn list(&self, path: &str) -> Answer {
        self.send("LIST", path, "").await
    }

    pub async fn put(&self, path: &str, body: impl Display) -> Answer {
        self.send("PUT", path, body).await
    }

    pub async fn post(&self, path: &str, body: impl Display) -> Answer {
        self.send("POST", path, body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, "").await
    }

    /// A merge patch, said to be one.
    pub async fn patch(&self, path: &str, body: impl Display) -> Answer {
        self.with("content-type", "application/merge-patch+json").send("PATCH", path, body).await
    }

    /// Writes a policy in Vault's language.
    pub async fn policy(&self, name: &str, text: &str) {
        self.put(&format!("sys/policies/acl/{name}"), json!({ "policy": text })).await.nothing();
    }

    /// Writes a version; the five keys that come back.
    pub async fn write(&self, path: &str, data: Value) -> Value {
        self.put(&format!("data/{path}"), json!({ "data": data })).await.shown()
    }

    /// What a read shows: `data` and `metadata`.
    pub async fn read(&self, path: &str) -> Value {
        self.get(&format!("data/{path}")).await.shown()
    }

    pub async fn metadata(&self, path: &str) -> Value {
        self.get(&format!("metadata/{path}")).await.shown()
    }

    /// The names that a list shows.
    pub async fn keys(&self, path: &str) -> Vec<String> {
        self.list(path).await.keys()
    }
}

/// A domain, its administrator in Vault's dialect, and what it says of its other certificates.
struct Domain {
    server: TestServer,
    admin: Vault,
}

impl Domain {
    async fn new() -> Self {
        let (server, admin) = Vault::start().await;
        Self { server, admin }
    }

    /// A certificate of this common name, and its key.
    fn pair(&self, name: &str) -> Pair {
        let claim = format!("okms.domain:{}", self.admin.client.id);
        let dns = format!("{name}.example.org");
        let leaf = Leaf { common_name: name, upns: &[&claim], dns: &[&dns], ..Leaf::default() };
        self.server.mint(&leaf)
    }

    fn client(&self, pair: &Pair) -> Client {
        self.server.client(Some(pair), Some(&self.admin.client.id), Http::One)
    }

    /// Whoever has a certificate of this common name.
    fn certificate(&self, name: &str) -> Vault {
        Vault::of(&self.client(&self.pair(name)))
    }

    /// The same, where it stands for an identity of that name with these policies.
    async fn service(&self, name: &str, policies: &[&str]) -> Vault {
        let rule = json!({"commonNames": [name], "policies": policies}).to_string();
        let at = format!("/v2/okms/resource/{}/rule/{name}", self.admin.client.id);
        self.admin.client.call(Method::PUT, &at, &rule).await.ok();
        self.certificate(name)
    }

    async fn policy(&self, name: &str, text: &str) {
        self.admin.root().policy(name, text).await;
    }
}

/// What every error has, in any dialect.
const PROBLEM: [&str; 4] = ["error_code", "error_id", "errors", "request_id"];
/// What a path below a mount is told that is no operation of KV v2.
const NO_OPERATION: &str = "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API \
     endpoints to use. If using the Vault CLI, use 'vault kv <get|put|patch|list|delete>' for this operation.";
const UNSUPPORTED: &str = "1 error occurred:\n\t* unsupported operation\n\n";
const CAS_MISMATCH: &str = "check-and-set parameter did not match the current version";
const CAS_REQUIRED: &str = "check-and-set parameter required for this call";
const DENIED: &str = "permission denied";
const WRAPPING_TOKEN_UNKNOWN: &str = "wrapping token is not valid or does not exist";

impl Answer {
    /// The body of a 200 with the nine keys. A few answers of `sys` have more beside them, as
    /// Vault's have.
    #[track_caller]
    pub fn envelope(&self) -> Map<String, Value> {
        assert_eq!(self.status, 200, "{}", self.text());
        assert_eq!(self.headers["content-type"], "application/json");
        let body: Map<String, Value> = serde_json::from_slice(&self.body).unwrap();
        assert!(ENVELOPE.iter().all(|key| body.contains_key(*key)), "{body:?}");
        assert_eq!(body["request_id"].as_str().unwrap().len(), 36);
        assert!(body["mount_type"].is_string());
        body
    }

    /// The `data` of a 200 that has nothing to add: exactly the nine keys, all others of them as KV
    /// v2 has them.
    #[track_caller]
    pub fn shown(&self) -> Value {
        let mut body = self.envelope();
        let data = body.insert("data".into(), Value::Null).unwrap();
        assert_eq!(Value::Object(body), self.frame(), "{}", self.text());
        data
    }

    /// The nine keys around nothing.
    fn frame(&self) -> Value {
        json!({
            "request_id": self.headers["x-request-id"].to_str().unwrap(), "lease_id": "", "renewable": false,
            "lease_duration": 0, "data": null, "wrap_info": null, "warnings": null, "auth": null,
            "mount_type": self.json()["mount_type"],
        })
    }

    /// The names in a list.
    #[track_caller]
    pub fn keys(&self) -> Vec<String> {
        let data = self.shown();
        data["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key.as_str().unwrap().to_owned())
            .collect()
    }

    /// That it is a 204; the harness sees to the empty body.
    #[track_caller]
    pub fn nothing(&self) {
        assert_eq!(self.status, 204, "{}", self.text());
    }

    /// That it is the 404 of what is not there: an error without any text.
    #[track_caller]
    pub fn absent(&self) {
        assert_eq!(
            (self.status.as_u16(), &self.json()["errors"]),
            (404, &json!([])),
            "{}",
            self.text()
        );
        assert_eq!(self.key_names(), PROBLEM, "{}", self.text());
    }

    /// The body of a 404 that is an envelope and an error in one. Clients of Vault look at its
    /// `data` and `warnings`.
    #[track_caller]
    fn gone_envelope(&self) -> Value {
        assert_eq!(
            (self.status.as_u16(), &self.json()["errors"]),
            (404, &json!([])),
            "{}",
            self.text()
        );
        let mut keys = [&ENVELOPE[..], &PROBLEM[..]].concat();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(self.key_names(), keys, "{}", self.text());
        let body = self.json();
        for (key, expected) in self.frame().as_object().unwrap() {
            assert!(
                matches!(&**key, "data" | "warnings") || body[key] == *expected,
                "{key}: {}",
                self.text()
            );
        }
        body
    }

    /// The `data` of the 404 of a version that was deleted or destroyed.
    #[track_caller]
    pub fn gone(&self) -> Value {
        let body = self.gone_envelope();
        assert!(body["warnings"].is_null());
        body["data"].clone()
    }

    /// That it is the 404 of a path that is nothing in KV v2, with this hint.
    #[track_caller]
    pub fn hints(&self, text: &str) {
        let body = self.gone_envelope();
        assert!(body["data"].is_null());
        assert_eq!(body["warnings"], json!([text]));
    }

    /// That it is an error with this one text.
    #[track_caller]
    pub fn refused(&self, status: u16, text: &str) {
        assert_eq!(
            (self.status.as_u16(), &self.json()["errors"]),
            (status, &json!([text])),
            "{}",
            self.text()
        );
        assert_eq!(self.key_names(), PROBLEM, "{}", self.text());
    }

    /// That it is an error of which the one text has this part; the text.
    #[track_caller]
    pub fn refused_with(&self, status: u16, part: &str) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.key_names(), PROBLEM, "{}", self.text());
        assert_eq!(self.json()["errors"].as_array().unwrap().len(), 1, "{}", self.text());
        let text = self.json()["errors"][0].as_str().unwrap().to_owned();
        assert!(text.contains(part), "{text:?} has no {part:?}");
        text
    }

    /// That a field of the request could not be read.
    #[track_caller]
    pub fn refused_field(&self, name: &str) {
        let text = self.refused_with(400, name);
        let start =
            format!("Field validation failed: error converting input for field \"{name}\": ");
        assert!(text.starts_with(&start) && text.len() > start.len(), "{text:?}");
    }

    #[track_caller]
    fn key_names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.json().as_object().unwrap().keys().cloned().collect();
        names.sort_unstable();
        names
    }
}

/// The moment that is so many seconds after the test's beginning.
pub fn after(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(START + seconds).unwrap().format(&Rfc3339).unwrap()
}

/// The five keys of a live version without custom metadata that was written at the test's
/// beginning.
pub fn five(version: u32) -> Value {
    json!({
        "created_time": START_TEXT, "custom_metadata": null, "deletion_time": "", "destroyed": false,
        "version": version,
    })
}

/// Those members of `value` that `expected` has.
pub fn part(value: &Value, expected: &Value) -> Value {
    let names = expected.as_object().unwrap().keys();
    names.map(|name| (name.clone(), value.get(name).cloned().unwrap_or(json!("missing")))).collect()
}
