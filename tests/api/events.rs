//! What happens to secrets, as whoever keeps up with that is told over real connections.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};

use crate::{
    access::Domain,
    feeds::Events,
    harness::{BOTH, Client, TestServer},
};

const FORBIDDEN: u32 = 16_924_673;

async fn page(client: &Client, query: &str) -> Value {
    client.call(Method::GET, &at(client, query), "").await.ok()
}

fn at(client: &Client, query: &str) -> String {
    format!("/api/{}/v2/events{query}", client.id)
}

fn told(page: &Value) -> Vec<(String, String, u64)> {
    let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    let of = |event: &Value| {
        (text(event, "type"), text(event, "path"), event["version"].as_u64().unwrap())
    };
    page["events"].as_array().unwrap().iter().map(of).collect()
}

fn created(path: &str) -> (String, String, u64) {
    ("created".to_owned(), path.to_owned(), 1)
}

#[tokio::test]
async fn every_dialect_is_told_and_a_restart_loses_nothing() {
    let mut server = TestServer::start().await;
    let client = server.tenant().await;
    let next = page(&client, "").await["next"].as_str().unwrap().to_owned();
    client.create("a", r#"{"word":"canary-of-a-value"}"#).await.ok();
    let kv = |rest: &str| format!("/v1/secret/{rest}");
    client.call(Method::POST, &kv("data/b"), r#"{"data":{"word":"canary-of-a-value"}}"#).await.ok();
    client.call(Method::DELETE, &kv("data/b"), "").await;
    let put = r#"{"data":{"word":"canary-of-a-value"}}"#;
    assert_eq!(client.call(Method::PUT, "/v1/secrets/c", put).await.status, 201);
    let rotate = r#"{"new_value":{"word":"canary-of-a-value"}}"#;
    assert_eq!(client.call(Method::POST, "/v1/secrets/c/rotate", rotate).await.status, 200);
    let expected = [
        created("a"),
        created("b"),
        ("deleted".to_owned(), "b".to_owned(), 1),
        created("c"),
        ("rotated".to_owned(), "c".to_owned(), 2),
    ];
    let found = page(&client, &format!("?since={next}")).await;
    assert_eq!((told(&found), &found["hasMore"]), (expected.to_vec(), &json!(false)));
    assert!(!found.to_string().contains("canary"));
    // Behind each event come those behind it, and again after a restart.
    let ids: Vec<_> =
        found["events"].as_array().unwrap().iter().map(|it| it["id"].clone()).collect();
    server.restart().await;
    let client = server.at(&client);
    for (told_before, id) in ids.iter().enumerate() {
        let query = format!("?since={}&limit=2", id.as_str().unwrap());
        let found = page(&client, &query).await;
        let rest = &expected[told_before + 1..];
        assert_eq!(told(&found), rest[..rest.len().min(2)]);
        assert_eq!(found["hasMore"], json!(rest.len() > 2));
    }
    let query = format!("?since={next}&prefix=c");
    assert_eq!(told(&page(&client, &query).await), expected[3..]);
}

#[tokio::test]
async fn an_answer_is_waited_for() {
    for http in BOTH {
        let server = TestServer::start().await;
        let client = server.tenant().await.over(http);
        let next = page(&client, "").await["next"].as_str().unwrap().to_owned();
        // It comes as soon as there is something, and not before.
        let query = format!("?since={next}&wait=30&prefix=wanted/");
        let (waited, ()) = tokio::join!(page(&client, &query), async {
            client.create("other/a", "{}").await.ok();
            tokio::time::sleep(Duration::from_millis(300)).await;
            client.create("wanted/a", "{}").await.ok();
        });
        assert_eq!(told(&waited), [created("wanted/a")]);
        // Or with none, and goes on from there.
        let next = waited["next"].as_str().unwrap();
        let begun = Instant::now();
        let nothing = page(&client, &format!("?since={next}&wait=1&prefix=wanted/")).await;
        assert!(begun.elapsed() >= Duration::from_secs(1) && told(&nothing).is_empty());
        client.create("wanted/b", "{}").await.ok();
        let next = nothing["next"].as_str().unwrap();
        let at_once = page(&client, &format!("?since={next}&wait=30&prefix=wanted/")).await;
        assert_eq!(told(&at_once), [created("wanted/b")]);
        for wrong in ["?wait=61", "?wait=x", "?limit=0", "?limit=1001", "?since=!", "?since=AAAA"] {
            let answer = client.call(Method::GET, &at(&client, wrong), "").await;
            assert_eq!(answer.status, 400, "{wrong}");
        }
    }
}

#[tokio::test]
async fn a_feed_goes_on_behind_the_last_event() {
    for http in BOTH {
        let server = TestServer::start().await;
        let client = server.tenant().await.over(http);
        let mut feed = Events::open(&client, &at(&client, ""), &[]).await;
        for name in ["a", "b", "c"] {
            client.create(name, "{}").await.ok();
        }
        let first = feed.records(3).await;
        assert_eq!(first[0].1["path"], "a");
        drop(feed);
        client.create("d", "{}").await.ok();
        let last = [("last-event-id", &*first[1].0)];
        let mut again = Events::open(&client, &at(&client, ""), &last).await;
        client.create("e", "{}").await.ok();
        let paths: Vec<_> =
            again.records(3).await.iter().map(|(_, event)| event["path"].clone()).collect();
        assert_eq!(paths, ["c", "d", "e"]);
    }
}

/// Whoever may see some of it is told of that alone, also while it comes.
#[tokio::test]
async fn events_are_told_to_those_who_may_see_the_secret() {
    let domain = Domain::new().await;
    domain.policy("some", &["mine/*"], json!({"allow": ["secret/get", "secret/list"]})).await;
    domain.rule("some", &[]).await;
    domain.rule("nobody", &[]).await;
    let some = domain.client("some", BOTH[0]);
    let mut feed = Events::open(&some, &at(&some, "?since=first"), &[]).await;
    for name in ["other/a", "mine/a", "other/b", "mine/b"] {
        domain.admin.create(name, "{}").await.ok();
    }
    let paths = |events: Vec<(String, Value)>| {
        events.into_iter().map(|(_, event)| event["path"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(paths(feed.records(2).await), ["mine/a", "mine/b"]);
    assert_eq!(told(&page(&some, "?since=first").await).len(), 2);
    assert_eq!(told(&page(&domain.admin, "?since=first").await).len(), 4);
    let nobody = domain.client("nobody", BOTH[0]);
    nobody.call(Method::GET, &at(&nobody, ""), "").await.error(403, FORBIDDEN);
    let stranger = domain.server.tenant().await;
    let answer = stranger.call(Method::GET, &at(&some, "?since=first"), "").await;
    assert_eq!(answer.status, 404);
}
