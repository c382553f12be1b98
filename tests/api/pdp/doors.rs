//! Every operation on secrets in every dialect is asked for, and none is done that was not permitted: by the
//! rows of all dialects, so that one that is forgotten fails.

use hyper::StatusCode;
use okmsd::api::{Handler, ListedRoute};

use super::*;
use crate::{
    callers::{Outcome, outcome},
    harness::Http,
    isolation::{and, body, is_of_uris, method, routes, url},
};

/// Rows that have an action on secrets, and do nothing to one when they are asked like this.
const TO_NONE: &[&str] = &[
    // There is no file for development.
    "UriReadFile",
    // It begins behind nothing that there was, so that it does not go on for ever.
    "UriEvents",
    // A policy writes no secret before it is attached to one, and that is asked for.
    "PathCreateRotationPolicy",
    "PathCreateSecretPolicy",
    "PathPatchSecretPolicy",
    // What it is attached to is asked for one by one, where it makes values.
    "PathRotatePolicySecrets",
];
/// Rows that answer for each of several secrets, whatever becomes of the others.
const OF_MANY: &[&str] = &["UriBulk", "PathReadBatch"];

/// Rows on secrets.
fn rows() -> Vec<ListedRoute> {
    let is_of_secrets = |route: &ListedRoute| {
        let mut actions = route.operation.actions.iter();
        matches!(route.operation.handler, Handler::Tenant(_))
            && actions.any(|action| action.name().starts_with("okms:apikms:secret/"))
            && !TO_NONE.contains(&route.operation.id)
            && route.method != "HEAD"
    };
    let rows: Vec<_> = routes().into_iter().filter(is_of_secrets).collect();
    assert!(rows.len() > 60, "there are such: {}", rows.len());
    rows
}

/// Asks for the row's operation on a secret of its own.
async fn ask(client: &Client, route: &ListedRoute, path: &str) -> Answer {
    let at = and(&url(route, &client.id, path), "includeData=true");
    // It is a list alone, by whichever method.
    let is_list = route.pattern.contains("detailed-metadata") && route.method == "GET";
    let at = if is_list { and(&at, "list=true") } else { at };
    let media = match route.method {
        "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    };
    client.send(method(route), &at, &[("content-type", media)], body(route, path)).await
}

/// What is known of a secret by now, by the domain's own word.
async fn seen(client: &Client, path: &str) -> String {
    let path = path.replace('/', "%2F");
    let secret = client.get(&format!("secret/{path}?includeData=true")).await;
    let versions = client.get(&format!("secret/{path}/version")).await;
    secret.likeness() + &versions.likeness()
}

#[tokio::test]
async fn each_operation_on_secrets_is_asked_for() {
    let pdp = Pdp::start().await;
    let (_server, client) = pdp.server(|config| config.dev.helpers = Some(true)).await;
    let mut forgotten = Vec::new();
    for (number, route) in rows().into_iter().enumerate() {
        let path = format!("app/asked-{number}");
        client.create(&path, r#"{"v":1}"#).await.ok();
        pdp.had();
        let answer = ask(&client, &route, &path).await;
        let line = format!("{} {} {answer:?}", route.method, route.pattern);
        // Of an operator's own and of what waits for a token there is nothing to ask.
        assert!(outcome(&answer) == Outcome::LetIn, "{line}");
        if pdp.had().is_empty() {
            forgotten.push(line);
        }
    }
    assert!(forgotten.is_empty(), "nobody was asked: {forgotten:#?}");
}

#[tokio::test]
async fn what_is_denied_is_not_done_in_any_dialect() {
    let pdp = Pdp::start().await;
    let (server, client) = pdp.server(|config| config.dev.helpers = Some(true)).await;
    // What was denied to one is denied to it for a moment, and to nobody else.
    let eyes = server.client_of(&client.id, Http::One);
    for (number, route) in rows().into_iter().enumerate() {
        let path = format!("app/denied-{number}");
        pdp.judges(|_| json!({"decision": true}));
        client.create(&path, r#"{"v":1}"#).await.ok();
        let before = seen(&eyes, &path).await;
        pdp.judges(|_| denies("d-7"));
        let answer = ask(&client, &route, &path).await;
        let line = format!("{} {} {answer:?}", route.method, route.pattern);
        if OF_MANY.contains(&route.operation.id) {
            assert_eq!(answer.status, 200, "{line}");
            assert!(answer.text().contains("d-7"), "{line}");
        } else {
            assert_eq!(outcome(&answer), Outcome::Forbidden, "{line}");
            assert!(answer.text().contains("d-7"), "{line}");
        }
        if is_of_uris(&route) && !OF_MANY.contains(&route.operation.id) {
            assert_eq!(answer.json()["details"]["decision_id"], "d-7", "{line}");
        }
        pdp.judges(|_| json!({"decision": true}));
        assert_eq!(before, seen(&eyes, &path).await, "{line}");
    }
}

#[tokio::test]
async fn where_nobody_answers_nothing_is_done_in_any_dialect() {
    let pdp = Pdp::start().await;
    let (_server, client) = pdp.server(|config| config.dev.helpers = Some(true)).await;
    for (number, route) in rows().into_iter().enumerate() {
        let path = format!("app/down-{number}");
        pdp.judges(|_| json!({"decision": true}));
        client.create(&path, r#"{"v":1}"#).await.ok();
        let before = seen(&client, &path).await;
        pdp.does(Mode::Says(500, b"{\"decision\":true}".to_vec()));
        let answer = ask(&client, &route, &path).await;
        let line = format!("{} {} {answer:?}", route.method, route.pattern);
        if route.operation.id == "UriBulk" {
            assert_eq!(answer.ok()["results"][0]["code"], "PDP_UNAVAILABLE", "{line}");
        } else {
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{line}");
            assert_eq!(answer.headers["retry-after"], "5", "{line}");
            if is_of_uris(&route) {
                assert_eq!(answer.json()["code"], "PDP_UNAVAILABLE", "{line}");
            }
        }
        pdp.judges(|_| json!({"decision": true}));
        assert_eq!(before, seen(&client, &path).await, "{line}");
    }
}
