//! The `OpenAPI` document says what the server takes and gives: its example requests are sent, and what comes back is
//! held against its statuses, schemas and examples. Its page is there for a browser.

use std::collections::{BTreeSet, HashSet};

use hyper::{Method, StatusCode};
use okmsd::api::{Access, routes};
use serde_json::{Map, Value};

use crate::harness::{Answer, Client, TestServer};

/// The names of operations that a test has seen answered with success.
type Seen = HashSet<String>;

struct Documented {
    client: Client,
    document: Value,
    seen: Seen,
}

impl Documented {
    async fn by(client: Client) -> Self {
        let document = client.call(Method::GET, "/openapi.json", "").await.ok();
        Self { client, document, seen: Seen::new() }
    }

    /// The method, the path and the description of the operation `id`.
    fn operation(&self, id: &str) -> (Method, String, &Value) {
        let paths = self.document["paths"].as_object().unwrap();
        let mut all = paths.iter().flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |op| (path, op)));
        let (path, (method, operation)) = all.find(|(_, (_, op))| op["operationId"] == id).unwrap();
        (method.to_uppercase().parse().unwrap(), path.clone(), operation)
    }

    /// Sends the operation `id` for version 1 of `app/database`.
    async fn send(&self, id: &str, query: &str, body: &str) -> Answer {
        let (method, path, _) = self.operation(id);
        let path = path.replace("{okmsId}", &self.client.id).replace("{path}", "app%2Fdatabase");
        let path = path.replace("{version}", "1").replace("{asset}", "init.js");
        self.client.call(method, &format!("{path}{query}"), body).await
    }

    /// As [`Self::send`]; the answer fits the schema, and has the members of the example.
    async fn check(&mut self, id: &str, query: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.send(id, query, &body).await.ok();
        let content = &self.operation(id).2["responses"]["200"]["content"]["application/json"];
        self.fits(&content["schema"], &content["example"], id);
        self.fits(&content["schema"], &answer, id);
        same_names(id, &answer, &content["example"]);
        self.seen.insert(id.to_owned());
        answer
    }

    /// The example bodies of the operation `id`, each of which fits its schema.
    fn requests(&self, id: &str) -> Map<String, Value> {
        let content = &self.operation(id).2["requestBody"]["content"]["application/json"];
        let examples = content["examples"].as_object().unwrap().iter();
        let examples = examples.map(|(name, example)| (name.clone(), example["value"].clone()));
        examples.inspect(|(name, value)| self.fits(&content["schema"], value, name)).collect()
    }

    /// As much of JSON Schema as the document uses; members that it does not name do not fit.
    fn fits(&self, schema: &Value, value: &Value, place: &str) {
        let schema = match schema["$ref"].as_str() {
            Some(reference) => self.document.pointer(&reference[1..]).unwrap(),
            None => schema,
        };
        if value.is_null() && schema["nullable"] == true {
            return;
        }
        match schema["type"].as_str().unwrap() {
            "object" => {
                let members = value.as_object().unwrap_or_else(|| panic!("{place}: {value}"));
                for name in schema["required"].as_array().into_iter().flatten() {
                    assert!(members.contains_key(name.as_str().unwrap()), "{place} has no {name}");
                }
                for (name, value) in members {
                    match (schema["properties"].get(name), &schema["additionalProperties"]) {
                        (Some(schema), _) | (None, schema @ Value::Object(_)) => {
                            self.fits(schema, value, &format!("{place}.{name}"));
                        }
                        (None, free) => assert_eq!(*free, true, "{place} has {name}, which the document does not tell"),
                    }
                }
            }
            "array" => value.as_array().unwrap().iter().for_each(|item| self.fits(&schema["items"], item, place)),
            "string" => {
                let text = value.as_str().unwrap_or_else(|| panic!("{place}: {value}"));
                let allowed = schema["enum"].as_array();
                assert!(allowed.is_none_or(|allowed| allowed.iter().any(|one| one == text)), "{place}: {text}");
            }
            "integer" => {
                let number = value.as_u64().unwrap_or_else(|| panic!("{place}: {value}"));
                assert!(schema["minimum"].as_u64().is_none_or(|min| min <= number), "{place}: {number}");
                assert!(schema["maximum"].as_u64().is_none_or(|max| number <= max), "{place}: {number}");
            }
            "boolean" => assert!(value.is_boolean(), "{place}: {value}"),
            other => panic!("{place}: type {other}"),
        }
    }
}

/// That both have the same members all the way down; what clients choose is left out.
fn same_names(id: &str, answer: &Value, example: &Value) {
    fn collect(value: &Value, place: &str, names: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| {
                let place = format!("{place}.{name}");
                if name != "data" && name != "customMetadata" {
                    collect(value, &place, names);
                }
                names.insert(place);
            }),
            Value::Array(items) => items.iter().for_each(|item| collect(item, place, names)),
            _ => {}
        }
    }
    let (mut of_answer, mut of_example) = (BTreeSet::new(), BTreeSet::new());
    collect(answer, "", &mut of_answer);
    collect(example, "", &mut of_example);
    assert_eq!(of_answer, of_example, "{id}");
}

#[tokio::test]
async fn examples_are_taken_and_answers_are_as_told() {
    let server = TestServer::start().await;
    let none = &Value::Null;
    let mut seen = Seen::new();
    for suffix in ["", "Central"] {
        let id = |name: &str| format!("{name}{suffix}");
        let mut api = Documented::by(server.tenant().await).await;
        for body in api.requests(&id("PostSecretV2")).values() {
            api.check(&id("PostSecretV2"), "", body).await;
        }
        for (op, query) in [
            ("ListSecretV2", ""),
            ("GetSecretV2", "?includeData=true"),
            ("ListSecretVersionV2", ""),
            ("GetSecretVersionV2", "?includeData=true"),
        ] {
            api.check(&id(op), query, none).await;
        }
        for op in ["PostSecretVersionV2", "PutNewSecretVersionV2", "PutSecretV2"] {
            for body in api.requests(&id(op)).values() {
                let current = api.send(&id("GetSecretV2"), "", "").await.ok()["metadata"]["currentVersion"].clone();
                api.check(&id(op), &format!("?cas={current}"), body).await;
            }
        }
        let states = api.requests(&id("PutSecretVersionV2"));
        assert_eq!(states.len(), 3);
        api.check(&id("PutSecretVersionV2"), "", &states["deactivate"]).await;
        for state in ["activate", "delete"] {
            let body = states[state].to_string();
            assert!(api.send(&id("PutSecretVersionV2"), "", &body).await.ok().get("warnings").is_none());
        }
        for body in api.requests(&id("PutSecretConfigV2")).values() {
            api.check(&id("PutSecretConfigV2"), "", body).await;
        }
        api.check(&id("GetSecretConfigV2"), "", none).await;
        assert_eq!(api.send(&id("DeleteSecretV2"), "", "").await.status, StatusCode::NO_CONTENT);
        seen.extend(api.seen);
        seen.insert(id("DeleteSecretV2"));
    }
    let api = Documented::by(server.tenant().await).await;
    for body in api.requests("PostConfig").values() {
        assert_eq!(api.send("PostConfig", "", &body.to_string()).await.status, StatusCode::NO_CONTENT);
        seen.insert("PostConfig".to_owned());
    }
    let tenant = server.tenant().await.id;
    let mut api = Documented::by(Client { id: tenant, ..server.operator() }).await;
    for op in ["PostResource", "PostCredential"] {
        for (name, body) in &api.requests(op) {
            // That example is too short to be a real request.
            if name != "ownKey" {
                let example = api.check(op, "", body).await;
                assert!(example.get("warnings").is_none());
            }
        }
    }
    for op in ["ListResources", "GetResource"] {
        api.check(op, "", none).await;
    }
    seen.extend(api.seen);
    let protected = routes().into_iter().filter(|route| !matches!(route.access, Access::Public(_) | Access::Vault(_)));
    assert_eq!(seen.len(), protected.count());
}

#[tokio::test]
async fn every_operation_answers_with_statuses_that_are_told() {
    let server = TestServer::start().await;
    let id = server.tenant().await.id;
    let foreign = Client { id, ..server.tenant().await };
    for client in [foreign, server.anonymous()] {
        let api = Documented::by(client).await;
        for operation in api.document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap())
        {
            let (id, told) =
                (operation.1["operationId"].as_str().unwrap(), operation.1["responses"].as_object().unwrap());
            let status = api.send(id, "", "{}").await.status;
            assert!(told.contains_key(status.as_str()), "{id} answers {status}");
        }
    }
}

#[tokio::test]
async fn the_page_is_open_and_whole() {
    let server = TestServer::start().await;
    let browser = server.anonymous();
    for start in ["/", "/swagger"] {
        let answer = browser.call(Method::GET, start, "").await;
        assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(answer.headers["location"], "/swagger/");
    }
    let page = browser.call(Method::GET, "/swagger/", "").await;
    assert_eq!((page.status, &page.headers["content-type"] == "text/html; charset=utf-8"), (StatusCode::OK, true));
    let files: Vec<_> =
        page.text().split('"').filter(|text| text.contains('.') && !text.contains([' ', '/'])).collect();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        assert_eq!(browser.call(Method::GET, &format!("/swagger/{file}"), "").await.status, StatusCode::OK, "{file}");
    }
    browser.call(Method::GET, "/swagger/nothing.js", "").await.error(404, 50_417_665);
}

#[tokio::test]
async fn the_document_names_the_callers_own_domain() {
    let server = TestServer::start().await;
    let tenant = server.tenant().await;
    let example = |document: Value| document["components"]["parameters"]["okmsId"]["example"].clone();
    assert_eq!(example(tenant.call(Method::GET, "/openapi.json", "").await.ok()), tenant.id);
    for client in [server.anonymous(), server.operator()] {
        assert!(example(client.call(Method::GET, "/openapi.json", "").await.ok()).is_null());
    }
}
