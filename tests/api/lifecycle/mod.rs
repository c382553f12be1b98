//! The dialect of path secrets, by the numbers of its cases.

mod ends;
mod lists;
mod partners;
mod policies;
mod rotations;
mod settings;
mod writes;

use hyper::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Client, TestServer};

/// A caller of the dialect.
pub struct Paths {
    pub client: Client,
}

impl Paths {
    pub async fn start() -> (TestServer, Self) {
        let (server, client) = TestServer::with_tenant().await;
        (server, Self { client })
    }

    /// A request below `/v1/secrets`.
    pub async fn call(&self, method: Method, rest: &str, body: &str) -> Answer {
        self.client.call(method, &format!("/v1/secrets{rest}"), body).await
    }

    pub async fn get(&self, rest: &str) -> Answer {
        self.call(Method::GET, rest, "").await
    }

    pub async fn put(&self, rest: &str, body: Value) -> Answer {
        self.call(Method::PUT, rest, &body.to_string()).await
    }

    pub async fn patch(&self, rest: &str, body: Value) -> Answer {
        self.call(Method::PATCH, rest, &body.to_string()).await
    }

    pub async fn delete(&self, rest: &str) -> Answer {
        self.call(Method::DELETE, rest, "").await
    }

    pub async fn restore(&self, path: &str, query: &str) -> Answer {
        self.call(Method::POST, &format!("/{path}/restore{query}"), "").await
    }

    /// Three versions, whose data say which they are.
    pub async fn three(&self, path: &str) {
        for n in 1..=3 {
            let status = self.put(&format!("/{path}"), json!({"data": {"n": n}})).await.status;
            assert_eq!(status, if n == 1 { 201 } else { 200 });
        }
    }

    /// The same secret in KV2.
    pub async fn kv(&self, method: Method, rest: &str, body: &str) -> Answer {
        let path = format!("/api/{}/v1/secret/{rest}", self.client.id);
        self.client.call(method, &path, body).await
    }
}

/// That the answer is this error of the dialect; its details.
#[track_caller]
pub fn refused(answer: &Answer, status: u16, code: &str) -> Value {
    let error = &answer.json()["error"];
    assert_eq!(
        (answer.status.as_u16(), error["code"].as_str()),
        (status, Some(code)),
        "{answer:?}"
    );
    assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{answer:?}");
    assert_eq!(error["request_id"].as_str(), answer.headers["x-request-id"].to_str().ok());
    error["details"].clone()
}

/// The fields of which the answer says that they are wrong.
#[track_caller]
pub fn faulty(answer: &Answer) -> Vec<String> {
    let details = refused(answer, 422, "validation_error");
    details["fields"].as_object().unwrap().keys().cloned().collect()
}

/// The names of an object's members.
pub fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

impl Paths {
    /// Three more versions.
    pub async fn three_more(&self, path: &str) {
        for n in 1..=3 {
            assert_eq!(
                self.put(&format!("/{path}"), json!({"data": {"more": n}})).await.status,
                200
            );
        }
    }
}
