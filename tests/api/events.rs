//! What happens to secrets, as whoever keeps up with that is told over real connections.

use std::time::{Duration, Instant};

use hyper::Method;
use okmsd::config::Span;
use serde_json::{Value, json};

use crate::{
    access::Domain,
    feeds::Events,
    harness::{BOTH, Client, Http, TestServer, eventually},
    wire::*,
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
        // Whose note of where he was is empty has not begun now: he would miss what came since.
        let empty = ["?since=", "?since", "?since=&wait=1"];
        let wrong = ["?wait=61", "?wait=x", "?limit=0", "?limit=1001", "?since=!", "?since=AAAA"];
        for wrong in wrong.into_iter().chain(empty) {
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

/// Whoever follows them goes on behind what he has had, whichever server there was meanwhile: none is missed, and none
/// told twice.
#[tokio::test]
async fn a_feed_goes_on_across_a_restart() {
    for http in BOTH {
        let mut server = TestServer::start().await;
        let client = server.tenant().await.over(http);
        let mut feed = Events::open(&client, &at(&client, ""), &[]).await;
        for name in ["a", "b", "c"] {
            client.create(name, "{}").await.ok();
        }
        let had = feed.records(2).await;
        assert_eq!((&had[0].1["path"], &had[1].1["path"]), (&json!("a"), &json!("b")));
        server.restart().await;
        feed.whole().await;
        let client = server.at(&client);
        client.create("d", "{}").await.ok();
        let last = [("last-event-id", &*had[1].0)];
        let mut again = Events::open(&client, &at(&client, ""), &last).await;
        client.create("e", "{}").await.ok();
        let told = again.records(3).await;
        assert_eq!(paths(&told), ["c", "d", "e"]);
        // One that was open when it stopped again goes on behind its last one.
        server.restart().await;
        let client = server.at(&client);
        let last = [("last-event-id", &*told[2].0)];
        let mut again = Events::open(&client, &at(&client, "?since=first"), &last).await;
        client.create("f", "{}").await.ok();
        assert_eq!(paths(&again.records(1).await), ["f"]);
    }
}

fn paths(told: &[(String, Value)]) -> Vec<&str> {
    told.iter().map(|(_, event)| event["path"].as_str().unwrap()).collect()
}

fn names(of: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{of}/{number:03}")).collect()
}

/// 64 of one domain at once, as many as it has places for, of which 16 take nothing: those who write and those who take
/// what they are told are not held up, nobody else gets a place, and whoever was left for being slow goes on where he
/// was.
#[tokio::test]
async fn feeds_that_nobody_takes_hold_up_nobody() {
    let server = TestServer::start_with(|config| {
        config.limits.stall_time = Span(Duration::from_secs(2));
    })
    .await;
    let client = server.tenant().await;
    let old = names("old", 0..400);
    client.create_all(&old).await;
    let found = page(&client, "?since=first&limit=1000").await;
    let all = told(&found).into_iter().map(|(_, path, _)| path).collect::<Vec<_>>();
    assert_eq!(all.len(), 400);
    let (now, since) = (at(&client, ""), at(&client, "?since=first&limit=1000"));
    // Each takes what HTTP/2 lets be sent, and gives nothing back.
    let mut slow = Vec::new();
    for _ in 0..16 {
        let mut wire = Wire::open(&client.over(Http::Two)).await;
        let fields = fields("GET", &since, &[("accept", "text/event-stream")]);
        wire.send([preface(&[]), frame(HEADERS, END_STREAM | 4, 1, &fields)].concat()).await;
        slow.push(wire);
    }
    server.metric_reaches("okmsd_audit_feeds", 16.0).await;
    let mut quick = Vec::new();
    for number in 0..48 {
        let feed = Events::open(&client.over(BOTH[number % 2]), &now, &[]).await;
        assert_eq!(feed.status(), 200, "{number}");
        quick.push(feed);
    }
    for (rest, accept) in [("", "text/event-stream"), ("?wait=30", "application/json")] {
        let url = at(&client, rest);
        let refused = client.send(Method::GET, &url, &[("accept", accept)], "").await;
        assert_eq!(
            (refused.status.as_u16(), &refused.headers["retry-after"]),
            (429, &"5".parse().unwrap())
        );
    }
    // Others have theirs.
    let other = server.tenant().await;
    assert_eq!(Events::open(&other, &at(&other, ""), &[]).await.status(), 200);
    let new = names("new", 0..100);
    let mut longest = Duration::ZERO;
    for name in &new {
        let begun = Instant::now();
        client.create(name, "{}").await.ok();
        longest = longest.max(begun.elapsed());
    }
    assert!(longest < Duration::from_secs(2), "a write took {longest:?}");
    for feed in &mut quick {
        assert_eq!(paths(&feed.records(100).await), new);
    }
    // Those who take nothing are left, and their places are free.
    let stalls = r#"okmsd_connections_closed_total{deadline="stall"}"#;
    server.metric_reaches(stalls, 16.0).await;
    drop(quick);
    let mut wire = slow.pop().unwrap();
    wire.until_closed().await;
    let had = wire.text();
    assert!(had.len() > 60_000 && had.len() < 200_000, "{}", had.len());
    let (id, event) = last_whole(&had);
    let behind = all.iter().position(|path| *path == event["path"]).unwrap() + 1;
    assert!(behind > 50 && behind < 400, "{behind}");
    let mut rest = all[behind..].to_vec();
    rest.extend(new);
    eventually("its place is free", async || {
        Events::open(&client, &now, &[]).await.status() == 200
    })
    .await;
    let mut again = Events::open(&client, &now, &[("last-event-id", &id)]).await;
    assert_eq!(paths(&again.records(rest.len()).await), rest);
}

/// The last event that is whole in what came in frames, whose heads are between its bytes.
fn last_whole(text: &str) -> (String, Value) {
    let of = |event: &str| {
        let (id, data) = event.rsplit_once("id: ")?.1.split_once("\ndata: ")?;
        Some((id.to_owned(), serde_json::from_str(data).ok()?))
    };
    let (whole, _) = text.rsplit_once("\n\n").unwrap();
    whole.split("\n\n").filter_map(of).last().unwrap()
}
