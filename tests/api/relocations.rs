//! Secrets that move and are copied with their history, over real connections.

use hyper::Method;
use serde_json::json;

use crate::harness::{BOTH, Client, TestServer};

async fn versions(client: &Client, path: &str) -> Option<Vec<String>> {
    let answer = client.get(&format!("secret/{path}/version")).await;
    let listed = (answer.status == 200).then(|| answer.ok())?;
    let text = |version: &serde_json::Value| {
        format!("{} {} {}", version["id"], version["state"], version["createdAt"])
    };
    Some(listed.as_array().unwrap().iter().map(text).collect())
}

#[tokio::test]
async fn a_folder_moves_and_all_dialects_see_it_there() {
    for http in BOTH {
        let server = TestServer::start().await;
        let client = server.tenant().await.over(http);
        for value in [1, 2, 3] {
            let body = json!({"data": {"n": value}, "options": {}}).to_string();
            client.call(Method::POST, "/v1/secret/data/app/db", &body).await.ok();
            server.clock.advance(1);
        }
        client.call(Method::DELETE, "/v1/secret/data/app/db", "").await;
        client.create("app/web/key", r#"{"k":1}"#).await.ok();
        let before = versions(&client, "app/db").await.unwrap();
        let go =
            async |what: &str, body: serde_json::Value| client.post(what, &body.to_string()).await;
        let moved = go("move", json!({"from": "app/", "to": "shop/"})).await.ok();
        assert_eq!(moved, json!({"from": "app/", "to": "shop/", "secrets": 2, "versions": 4}));
        assert_eq!(versions(&client, "shop/db").await.unwrap(), before);
        assert_eq!(versions(&client, "app/db").await, None);
        let first = client.call(Method::GET, "/v1/secret/data/shop/db?version=1", "").await.ok();
        assert_eq!(first["data"]["data"], json!({"n": 1}));
        assert_eq!(client.call(Method::GET, "/v1/secret/data/shop/db", "").await.status, 404);
        let copied = go("copy", json!({"from": "shop/web/key", "to": "key", "x": 1})).await.ok();
        assert_eq!(
            (&copied["secrets"], copied["warnings"].as_array().unwrap().len()),
            (&json!(1), 1)
        );
        assert_eq!(go("copy", json!({"from": "shop/web/key", "to": "key"})).await.status, 409);
        let again = json!({"from": "shop/web/key", "to": "key", "overwrite": true});
        assert_eq!(go("copy", again).await.status, 200);
        assert_eq!(go("move", json!({"from": "none", "to": "some"})).await.status, 404);
        for wrong in [
            json!({}),
            json!({"from": "key"}),
            json!({"from": "key", "to": "key"}),
            json!({"from": "shop/", "to": "key"}),
            json!({"from": "shop/", "to": "shop/in/"}),
            json!({"from": "key", "to": "../key"}),
            json!({"from": "key", "to": "other", "overwrite": "yes"}),
        ] {
            assert_eq!(go("move", wrong.clone()).await.status, 400, "{wrong}");
        }
    }
}

/// What is more than goes at once is refused, and nothing has moved.
#[tokio::test]
async fn too_much_at_once_stays_where_it_is() {
    let server = TestServer::start().await;
    let client = server.tenant().await;
    let large = json!({"x": "y".repeat(500 << 10)}).to_string();
    for number in 0..17 {
        client.create(&format!("large/{number}"), &large).await.ok();
    }
    let refused = client.post("move", r#"{"from":"large/","to":"other/"}"#).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(versions(&client, "large/16").await.is_some());
    assert!(versions(&client, "other/0").await.is_none());
    client.delete("secret/large/16").await;
    let moved = client.post("move", r#"{"from":"large/","to":"other/"}"#).await.ok();
    assert_eq!(moved["secrets"], 16);
}
