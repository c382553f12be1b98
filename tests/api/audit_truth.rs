//! Whether the audit trail tells the truth, to domains as well, whatever has come in between: crashes,
//! lost power, load, other processes.

use std::{fs, time::Duration};

use hyper::Method;
use okmsd::{config::Span, durable::behind};
use serde_json::Value;

use crate::{
    audit::{heads, point, record_of, trail},
    failure::Faulty,
    feeds::Events,
    harness::{Client, Http, PATIENCE, TestServer, eventually},
};

const UNAVAILABLE: u32 = 50_425_858;

/// What is kept apart from the trail.
fn heads_file(server: &TestServer) -> std::path::PathBuf {
    behind(&server.config.store.path, "-audit")
}

/// A domain's own view.
async fn view(server: &TestServer, client: &Client, query: &str) -> Vec<Value> {
    let url = format!("/v2/okms/resource/{}/audit{query}", client.id);
    let answer = server.at(client).call(Method::GET, &url, "").await.ok();
    answer.as_array().unwrap().clone()
}

/// A server that was killed when a change was in the store, and what became of it not in the trail. It
/// does not run. What the trail has.
async fn killed_in_between() -> (TestServer, Client, Vec<u8>) {
    let (mut server, client) = TestServer::with_tenant().await;
    client.create("open", r#"{"word":"canary-of-a-value"}"#).await.ok();
    server.stop().await;
    let text = fs::read_to_string(server.path("audit.log")).unwrap();
    let is_intent =
        |line: &&str| line.contains(r#""type":"intent""#) && line.contains(r#""resource":"open""#);
    let last = text.lines().position(|line| is_intent(&line)).unwrap();
    let crashed: String = text.lines().take(last + 1).flat_map(|line| [line, "\n"]).collect();
    fs::write(server.path("audit.log"), &crashed).unwrap();
    fs::remove_file(heads_file(&server)).unwrap();
    (server, client, crashed.into_bytes())
}

/// A path of which a record is as long as may be.
fn long_path() -> String {
    format!("none/{}", "%C3%A9".repeat(500))
}

fn of_kind(records: &[Value], kind: &str) -> Vec<Value> {
    records.iter().filter(|record| record["type"] == kind).cloned().collect()
}

/// A domain saw nothing, ever, of a change that was in the store when the process was killed, nor of one
/// whose records went with the power.
#[tokio::test]
async fn a_domain_sees_what_a_crash_has_left() {
    let (mut server, client, crashed) = killed_in_between().await;
    server.start_again().await.unwrap();
    // By what it was about, as all other records.
    eventually("it is in the view", async || {
        let seen = view(&server, &client, "?resource=open&operation=PostSecretV2").await;
        of_kind(&seen, "resolved").len() == 1
    })
    .await;
    let seen = view(&server, &client, "").await;
    let resolved = of_kind(&seen, "resolved");
    assert_eq!(resolved.len(), 1, "{seen:?}");
    let change = &resolved[0]["changes"][0];
    assert_eq!((&change["happened"], &change["change"]), (&true.into(), &"secrets.create".into()));
    assert_eq!(resolved[0]["tenant"], client.id);
    assert!(resolved[0]["serial"].is_string() && resolved[0]["announced"].is_string());
    assert!(!resolved[0].to_string().contains("canary"));
    let from = format!("/v2/okms/resource/{}/audit?from=2020-01-01T00:00:00Z", client.id);
    let mut feed = Events::open(&server.at(&client), &from, &[]).await;
    let told = feed.records(seen.len()).await;
    assert!(told.iter().any(|(_, record)| *record == resolved[0]), "{told:?}");
    let other = server.tenant().await;
    server.at(&client).create("next", "{}").await.ok();
    server.stop().await;
    fs::write(server.path("audit.log"), crashed).unwrap();
    fs::remove_file(heads_file(&server)).unwrap();
    server.start_again().await.unwrap();
    eventually("what is lost is in the view", async || {
        of_kind(&view(&server, &client, "").await, "lost").len() == 1
    })
    .await;
    let others = view(&server, &other, "").await;
    assert!(of_kind(&others, "lost").is_empty() && of_kind(&others, "resolved").is_empty());
}

/// What others asked for took the room of what was to go into a domain's view: for good, as the start
/// went on behind it.
#[tokio::test]
async fn nobodys_load_takes_anything_from_anothers_view() {
    let (mut server, engine) = Faulty::serve(|_| {}).await;
    let (quiet, noisy) = (server.tenant().await, server.tenant().await);
    quiet.create("known", "{}").await.ok();
    eventually("its view is kept", async || view(&server, &quiet, "").await.len() == 1).await;
    // Nothing can be stored for a while.
    engine.hold();
    let path = long_path();
    let asks = |many: usize| {
        let (client, url) = (noisy.over(Http::Two), noisy.url(&format!("secret/{path}")));
        tokio::spawn(async move {
            let mut connection = client.connect().await;
            for _ in 0..many {
                assert_eq!(connection.send(Method::GET, &url, &[], "").await.status, 404);
            }
        })
    };
    // More than there is room for, then one, then more.
    for some in [[700, 700], [350, 350]] {
        for task in some.map(asks) {
            task.await.unwrap();
        }
        // As long, so that there is no room for it either.
        assert_eq!(quiet.get(&format!("secret/{path}")).await.status, 404);
    }
    let written = fs::metadata(server.path("audit.log")).unwrap().len();
    assert!(written > 6 << 20, "{written} bytes are no load");
    engine.let_go();
    let is_whole =
        async |server: &TestServer| view(server, &quiet, "?effect=error").await.len() == 2;
    eventually("the quiet one's refusals are in its view", async || is_whole(&server).await).await;
    let lost = r#"okmsd_audit_device_lost_records_total{device="store"}"#;
    assert_eq!(server.metric(lost).await, 0.0);
    server.stop().await;
}

/// What was on its way into views when the process was killed comes into them, however much it is.
#[tokio::test]
async fn a_view_is_whole_after_a_start_however_much_it_has_missed() {
    let (mut server, client) = TestServer::with_tenant().await;
    client.create("first", "{}").await.ok();
    eventually("its view is kept", async || view(&server, &client, "").await.len() == 1).await;
    server.stop().await;
    let missed = fs::read(server.path("audit.log")).unwrap();
    // The store as it was before all of what follows.
    let store = server.config.store.path.clone();
    let log = behind(&store, "-log");
    let files = [store, log];
    let before = files.clone().map(|file| fs::read(file).unwrap());
    server.start_again().await.unwrap();
    assert_eq!(server.at(&client).get("secret/second").await.status, 404);
    let noise = long_path();
    let mut noisy = Vec::new();
    for _ in 0..4 {
        let (client, url) =
            (server.at(&client).over(Http::Two), client.url(&format!("secret/{noise}")));
        noisy.push(tokio::spawn(async move {
            let mut connection = client.connect().await;
            for _ in 0..1300 {
                connection.send(Method::GET, &url, &[], "").await;
            }
        }));
    }
    for noise in noisy {
        noise.await.unwrap();
    }
    server.stop().await;
    let length = fs::metadata(server.path("audit.log")).unwrap().len() - missed.len() as u64;
    assert!(length > 17 << 20, "{length} bytes are not much");
    for (file, bytes) in files.iter().zip(&before) {
        fs::write(file, bytes).unwrap();
    }
    server.start_again().await.unwrap();
    eventually("what was missed first is there", async || {
        view(&server, &client, "?resource=second").await.len() == 1
    })
    .await;
}

/// The answer to a change that is stored and whose record cannot be written: nobody had asked for it, so
/// that it could have been 200.
#[tokio::test]
async fn a_change_whose_end_cannot_be_recorded_may_have_happened() {
    for http in [Http::One, Http::Two] {
        let (server, engine) = Faulty::serve(|config| {
            let folder = config.store.path.parent().unwrap().to_owned();
            point(&folder.join("audit.log"), &folder.join("disk.log"));
        })
        .await;
        let client = server.tenant().await.over(http);
        client.create("before", "{}").await.ok();
        engine.hold();
        let asked = client.clone();
        let pending = tokio::spawn(async move { asked.create("doubtful", "{}").await });
        eventually("it is announced", async || engine.commits() == 1).await;
        point(&server.path("audit.log"), "/dev/full".as_ref());
        eventually("the device is seen to fail", async || {
            client.get("secret/none").await;
            server.admin("/readyz").await.0 == 503
        })
        .await;
        assert!(!pending.is_finished());
        engine.let_go();
        let answer = pending.await.unwrap();
        let text = answer.error(503, UNAVAILABLE);
        assert!(text.contains("the change may have happened or not, read before you"), "{text}");
        assert_eq!(answer.headers["retry-after"], "5");
        assert_eq!(server.admin("/readyz").await.0, 503);
        assert_eq!(server.metric("okmsd_ready").await, 0.0);
        let counted = r#"okmsd_requests_total{operation="PostSecretV2",status="503"}"#;
        server.metric_reaches(counted, 1.0).await;
        client.get("secret/doubtful").await.ok();
        point(&server.path("audit.log"), &server.path("disk.log"));
        eventually("it works again", async || {
            client.get("secret/none").await;
            server.admin("/readyz").await.0 == 200
        })
        .await;
        client.create("later", "{}").await.ok();
        let record = record_of(&server, &answer);
        assert_eq!(record["changes"][0]["happened"], true);
        // What was answered in the end is told as well.
        let (records, _) = trail(&server);
        let told = of_kind(&records, "answered");
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(
            (&told[0]["request_id"], &told[0]["status"], &told[0]["tenant"]),
            (&record["request_id"], &503.into(), &record["tenant"])
        );
    }
}

/// What one process had kept of how far it had come was put back by another over the same store, so that
/// the end of its trail could be cut off unnoticed.
#[tokio::test]
async fn processes_keep_how_far_each_has_come() {
    let (mut server, engine) = TestServer::in_memory().await;
    let client = server.tenant().await;
    eventually("one is kept", async || heads(&server).len() == 1).await;
    let second = server.beside(&engine).await;
    client.create("more", "{}").await.ok();
    server.stop().await;
    let end = heads(&server)[0].at;
    assert!(end.seq > 5);
    let (stopper, running) = (second.stopper(), tokio::spawn(second.run()));
    eventually("the other one's is kept", async || heads(&server).len() == 2).await;
    assert!(heads(&server).iter().any(|head| head.at == end), "{:?}", heads(&server));
    stopper.stop();
    running.await.unwrap();
    let all = heads(&server);
    assert!(all.len() == 2 && all.iter().any(|head| head.at == end), "{all:?}");
}

/// How far the trail has come was kept no more once it could not be, until something else was recorded.
#[tokio::test]
async fn how_far_the_trail_has_come_is_kept_as_soon_as_it_can_be() {
    let in_the_way = |store: &std::path::Path| behind(store, "-audit.new");
    let server = TestServer::start_with(|config| {
        config.audit.checkpoint_time = Span(Duration::from_millis(100));
        fs::create_dir_all(in_the_way(&config.store.path).join("in")).unwrap();
    })
    .await;
    let client = server.tenant().await;
    client.create("one", "{}").await.ok();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(heads(&server), []);
    let (records, _) = trail(&server);
    let known = records.iter().rposition(|record| record["type"] == "request").unwrap();
    fs::remove_dir_all(in_the_way(&server.config.store.path)).unwrap();
    eventually("it is kept", async || {
        heads(&server).first().is_some_and(|head| head.at.seq > known as u64)
    })
    .await;
    // Then it is said once.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (before, _) = trail(&server);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(trail(&server).0.len(), before.len());
}

/// The power takes records that domains have seen, and their numbers are given again: whoever followed a view from one
/// of those on was told nothing until the numbers were higher.
#[tokio::test]
async fn who_follows_from_what_went_with_the_power_misses_nothing() {
    let (mut server, client) = TestServer::with_tenant().await;
    client.create("kept", "{}").await.ok();
    server.restart().await;
    let beside = okmsd::durable::behind(&server.config.store.path, "-audit");
    let files = [server.path("audit.log"), beside];
    let on_disk = files.clone().map(|file| fs::read(file).unwrap());
    let client = server.at(&client);
    // Each by itself, as what comes at once is one block.
    for number in 1..=15 {
        assert_eq!(client.get(&format!("secret/gone/{number}")).await.status, 404);
        eventually("it is seen", async || {
            view(&server, &client, "?resource=gone/").await.len() == number
        })
        .await;
    }
    let at = |rest: &str| format!("/v2/okms/resource/{}/audit{rest}", client.id);
    let from = at("?resource=gone/&from=2020-01-01T00:00:00Z");
    let seen = Events::open(&client, &from, &[]).await.records(15).await;
    let (last, _) = seen.last().unwrap();
    server.stop().await;
    for (file, bytes) in files.iter().zip(&on_disk) {
        fs::write(file, bytes).unwrap();
    }
    server.start_again().await.unwrap();
    let client = server.at(&client);
    client.create("after", "{}").await.ok();
    let headers = [("last-event-id", &**last)];
    let mut feed = Events::open(&client, &at("?resource=after"), &headers).await;
    // It shows that it lives, whatever it does not tell.
    let told = tokio::time::timeout(PATIENCE, feed.records(1)).await.expect("it tells of that");
    assert_eq!(told[0].1["operation"], "PostSecretV2");
}
