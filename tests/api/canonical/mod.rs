//! The dialect of canonical URIs, by the numbers of its cases.
//!
//! A case is written as one asks: `GET value U a#t&version=1`, where `U ` stands for
//! `openbao+kv2://secret/`; and what comes back as `404 SECRET_NOT_FOUND`, or as the body of a 200.

mod audit;
mod callers;
mod deletes;
mod files;
mod helpers;
mod many;
mod metadata;
mod moves;
mod reads;
mod settings;
mod stored;
mod uris;
mod writes;

use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::harness::{Answer, Client, START_TEXT, TestServer};

/// What `U ` stands for.
const OURS: &str = "openbao+kv2://secret/";

/// A caller of the dialect.
#[derive(Clone)]
pub struct Uris {
    pub client: Client,
}

/// A request, as it is written in a case.
pub struct Asked {
    method: Method,
    url: String,
    body: String,
}

impl Asked {
    /// Reads a case: a method, a route, and a URI with more parameters, or parameters alone behind
    /// `?`, or a body.
    pub fn of(case: &str) -> Self {
        let (method, rest) = case.split_once(' ').unwrap_or((case, ""));
        let method: Method = method.parse().unwrap();
        let (rest, body) = match rest.find(['{', '[']) {
            Some(at) if method == Method::POST => rest.split_at(at),
            _ => (rest, ""),
        };
        let (route, target) = match rest.trim().split_once(' ') {
            _ if method == Method::DELETE => ("", rest),
            Some(("-", target)) => ("", target),
            Some(both) => both,
            None => (rest.trim(), ""),
        };
        let mut url = if route.is_empty() {
            "/api/secrets".to_owned()
        } else {
            format!("/api/secrets/{route}")
        };
        let pairs = match target.strip_prefix('?') {
            Some(pairs) => pairs.to_owned(),
            None if target.is_empty() => String::new(),
            None => format!("uri={target}"),
        };
        for (at, pair) in pairs.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let sign = if at == 0 { '?' } else { '&' };
            url += &format!("{sign}{name}={}", utf8_percent_encode(&full(value), NON_ALPHANUMERIC));
        }
        Self { method, url, body: body.replace("\"U ", &format!("\"{OURS}")) }
    }
}

fn full(uri: &str) -> String {
    uri.strip_prefix("U ").map_or_else(|| uri.to_owned(), |rest| format!("{OURS}{rest}"))
}

impl Uris {
    pub async fn start() -> (TestServer, Self) {
        let (server, client) = TestServer::with_tenant().await;
        (server, Self { client })
    }

    pub async fn ask(&self, case: &str) -> Answer {
        self.ask_with(case, &[]).await
    }

    pub async fn ask_with(&self, case: &str, headers: &[(&str, &str)]) -> Answer {
        let Asked { method, url, body } = Asked::of(case);
        self.client.send(method, &url, headers, body).await
    }

    /// What is answered to each of these, one after the other.
    pub async fn says(&self, cases: &[(&str, &str)]) {
        for (case, expected) in cases {
            is(&self.ask(case).await, expected, case);
        }
    }

    /// The secret is not there, then it has these versions.
    pub async fn versions(&self, path: &str, values: &[&str]) {
        self.ask(&format!("DELETE U {path}&destroy=true")).await;
        for value in values {
            let body = format!(r#"POST {{"uri":"U {path}","value":{value}}}"#);
            self.ask(&body).await.ok();
        }
    }

    /// The secret in the words of KV2.
    pub async fn kv(&self, method: Method, rest: &str, body: &str) -> Answer {
        let path = format!("/api/{}/v1/{rest}", self.client.id);
        self.client.call(method, &path, body).await
    }

    /// What a read of metadata tells.
    pub async fn told(&self, case: &str) -> Value {
        self.ask(case).await.ok()
    }
}

/// That the answer is what a case says: a status and a code, or a status alone, or the body of a 200, in
/// which `NOW` is the moment at which tests begin.
#[track_caller]
pub fn is(answer: &Answer, expected: &str, case: &str) {
    if expected.starts_with(['{', '[']) {
        let expected = expected.replace("\"U ", &format!("\"{OURS}")).replace("NOW", START_TEXT);
        let expected: Value = serde_json::from_str(&expected).unwrap();
        assert_eq!(answer.status, 200, "{case}: {}", answer.text());
        assert_eq!(answer.json(), expected, "{case}");
        return;
    }
    let (status, code) = expected.split_once(' ').unwrap_or((expected, ""));
    assert_eq!(answer.status.as_str(), status, "{case}: {}", answer.text());
    if !code.is_empty() {
        refused(answer, status.parse().unwrap(), code);
    }
}

/// That the answer is this error of the dialect; its details.
#[track_caller]
pub fn refused(answer: &Answer, status: u16, code: &str) -> Value {
    let body = answer.json();
    assert_eq!((answer.status.as_u16(), body["code"].as_str()), (status, Some(code)), "{answer:?}");
    assert_eq!(body["error"].as_str(), answer.status.canonical_reason());
    assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()), "{answer:?}");
    body["details"].clone()
}
