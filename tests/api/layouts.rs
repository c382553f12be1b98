//! Stores that programs of some time ago have written are opened with everything in them.
//!
//! `tests/fixtures/make.sh` made each of them and kept what the program of that time answered. A
//! member that answers have got since is no difference.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use hyper::Method;
use okmsd::pki::Subject;
use serde_json::{Value, json};

use crate::harness::{Client, Http, START, TestServer, write_private};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A store as it was, served by this program, at the moment when its answers were kept.
struct Old {
    server: TestServer,
    answers: Value,
}

impl Old {
    async fn open(layout: u32) -> Self {
        let answers = std::fs::read(fixture(&format!("layout{layout}.answers.json"))).unwrap();
        let answers: Value = serde_json::from_slice(&answers).unwrap();
        let server = TestServer::start_with(|config| {
            // The root key of every fixture, known to all.
            write_private(&config.keys.root_key, &"07".repeat(32));
            let store = std::fs::File::create(&config.store.path).unwrap();
            let mut unpack = Command::new("gzip");
            unpack
                .arg("-dc")
                .arg(fixture(&format!("layout{layout}.redb.gz")))
                .stdout(Stdio::from(store));
            assert!(unpack.status().unwrap().success());
        })
        .await;
        server.clock.advance(answers["moment"].as_i64().unwrap() - START);
        Self { server, answers }
    }

    /// A client of the domain with this name, which the operator finds.
    async fn client(&self, name: &str) -> Client {
        let operator =
            self.server.client(Some(&self.server.issue(&Subject::Operator, 3000)), None, Http::One);
        let domains = operator.call(Method::GET, "/v2/okms/resource", "").await.ok();
        let domains = domains.as_array().unwrap();
        let found = domains.iter().find(|domain| domain["name"] == name).expect("the domain");
        let id = found["id"].as_str().unwrap();
        let pair = self.server.issue(&Subject::Domain(id.parse().unwrap()), 3000);
        self.server.client(Some(&pair), Some(id), Http::One)
    }

    /// Every kept answer is given again.
    async fn answers_as_it_did(&self) {
        for (name, answers) in self.answers["domains"].as_object().unwrap() {
            let client = self.client(name).await;
            for (path, before) in answers.as_object().unwrap() {
                let now =
                    client.call(Method::GET, &format!("/api/{}/{path}", client.id), "").await.ok();
                assert_part(before, &now, &format!("{name}: {path}"));
            }
        }
    }
}

/// That all of `before` is in `now`.
#[track_caller]
fn assert_part(before: &Value, now: &Value, at: &str) {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            for (name, value) in before {
                assert_part(value, now.get(name).unwrap_or(&Value::Null), &format!("{at}: {name}"));
            }
        }
        (Value::Array(before), Value::Array(now)) if before.len() == now.len() => {
            before.iter().zip(now).for_each(|(before, now)| assert_part(before, now, at));
        }
        _ => assert_eq!(before, now, "{at}"),
    }
}

async fn state(client: &Client, path: &str, version: u32) -> Value {
    client.get(&format!("secret/{path}/version/{version}")).await.ok()["state"].clone()
}

/// What the script wrote, said once more: the kept answers alone could be wrong in the same way.
async fn holds_what_was_written(old: &Old) {
    let first = old.client("first").await;
    for (path, data) in [
        ("app/states", r#"{"n":4}"#),
        ("app/states/version/3", r#"{"n":3}"#),
        ("pruned", r#"{"n":5}"#),
        ("pruned/version/4", r#"{"n":4}"#),
        ("lasting", r#"{"n":1}"#),
        ("odd%2Fa.b:c%2Fd=e@f-g_h", r#"{"ключ":"значение"}"#),
        ("numbers", r#"{"big":12345678901234567890123,"one":1.0}"#),
        ("large", &format!(r#"{{"text":"{}"}}"#, "okmsd".repeat(16_000))),
    ] {
        assert_eq!(
            first.get(&format!("secret/{path}?includeData=true")).await.data().as_deref(),
            Some(data),
            "{path}"
        );
    }
    for (version, expected) in [(1, "deleted"), (2, "deactivated"), (3, "active"), (4, "active")] {
        assert_eq!(state(&first, "app/states", version).await, expected, "{version}");
    }
    assert_eq!(
        (state(&first, "over", 1).await, state(&first, "lasting", 1).await),
        ("deactivated".into(), "active".into())
    );
    assert_eq!(first.get("secret/pruned/version/3").await.status, 404);
    assert_eq!(first.get("secret/gone").await.status, 404);
    let second = old.client("second").await;
    let data = second.get("secret/app/states?includeData=true").await.data();
    assert_eq!(data.as_deref(), Some(r#"{"of":"the second"}"#));
}

/// It is opened, read, written, and found again with what is new.
async fn lives_on(layout: u32) -> Old {
    let mut old = Old::open(layout).await;
    for _ in 0..2 {
        old.answers_as_it_did().await;
        holds_what_was_written(&old).await;
        old.server.restart().await;
    }
    let first = old.client("first").await;
    first.post("secret/numbers/version?cas=1", r#"{"data":{"n":2}}"#).await.ok();
    // Who has made what is older is not known, and a later write does not claim it (`canonical`, 77).
    let detail = "/api/secrets/metadata/detail?uri=openbao+kv2://secret/numbers";
    let known = first.call(Method::GET, detail, "").await.ok()["custom_metadata"].clone();
    assert!(["created_by", "created_at"].iter().all(|stamp| known.get(stamp).is_none()), "{known}");
    assert!(!known.to_string().contains("cert:"), "{known}");
    first.put("secret/app/states/version/2", r#"{"state":"active"}"#).await.ok();
    old.client("second").await.create("new", r#"{"n":1}"#).await.ok();
    old.server.restart().await;
    let first = old.client("first").await;
    assert_eq!(
        first.get("secret/numbers?includeData=true").await.data().as_deref(),
        Some(r#"{"n":2}"#)
    );
    let brought_back = first.get("secret/app/states/version/2?includeData=true").await;
    assert_eq!(brought_back.data().as_deref(), Some(r#"{"n":2}"#));
    assert_eq!(state(&old.client("second").await, "new", 1).await, "active");
    // Deadlines that were set then still come.
    old.server.clock.advance(31 * 86_400);
    assert_eq!(state(&first, "lasting", 1).await, "deactivated");
    old
}

#[tokio::test]
async fn a_store_of_layout_1_is_opened_with_everything_in_it() {
    lives_on(1).await;
}

#[tokio::test]
async fn a_store_of_layout_2_is_opened_with_everything_in_it() {
    lives_on(2).await;
}

/// Layout 3 had no log.
#[tokio::test]
async fn a_store_of_layout_3_is_opened_with_everything_in_it() {
    lives_on(3).await;
}

#[tokio::test]
async fn an_answer_that_was_wrapped_in_layout_2_is_unwrapped() {
    unwraps_once(2).await;
}

#[tokio::test]
async fn an_answer_that_was_wrapped_in_layout_3_is_unwrapped() {
    unwraps_once(3).await;
}

/// What was wrapped is unwrapped, once.
async fn unwraps_once(layout: u32) {
    let old = Old::open(layout).await;
    let first = old.client("first").await;
    let body = json!({ "token": old.answers["wrapped"] }).to_string();
    let unwrap = format!("/api/{}/v1/sys/wrapping/unwrap", first.id);
    assert_eq!(first.call(Method::POST, &unwrap, &body).await.ok()["data"], json!({"n": 1}));
    assert_eq!(first.call(Method::POST, &unwrap, &body).await.status, 400);
}
