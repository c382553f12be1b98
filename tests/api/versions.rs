//! Versions: states and their transitions, pruning, and the deadline that deactivates them.

use serde_json::{Value, json};

use crate::harness::{Client, START_TEXT, TestServer};

async fn add_versions(client: &Client, path: &str, count: usize) {
    let mut connection = client.connect().await;
    for _ in 0..count {
        let url = client.url(&format!("secret/{path}/version"));
        connection.send(hyper::Method::POST, &url, &[], r#"{"data":{}}"#).await.ok();
    }
}

async fn set_state(
    client: &Client,
    path: &str,
    version: u32,
    state: &str,
) -> crate::harness::Answer {
    client
        .put(&format!("secret/{path}/version/{version}"), &json!({ "state": state }).to_string())
        .await
}

async fn states(client: &Client, path: &str) -> Vec<String> {
    let versions = client.get(&format!("secret/{path}/version")).await.ok();
    versions
        .as_array()
        .unwrap()
        .iter()
        .map(|v| format!("{} {}", v["id"], v["state"].as_str().unwrap()))
        .collect()
}

async fn state(client: &Client, path: &str) -> Value {
    client.get(&format!("secret/{path}")).await.ok()["version"]["state"].clone()
}

#[tokio::test]
async fn the_table_of_states() {
    let (_server, client) = TestServer::with_tenant().await;
    for (from, to, ends, warns) in [
        ("active", "active", Some("active"), true),
        ("active", "deactivated", Some("deactivated"), false),
        ("active", "deleted", Some("deleted"), false),
        ("deactivated", "active", Some("active"), false),
        ("deactivated", "deactivated", Some("deactivated"), true),
        ("deactivated", "deleted", Some("deleted"), false),
        ("deleted", "active", None, false),
        ("deleted", "deactivated", None, false),
        ("deleted", "deleted", Some("deleted"), true),
    ] {
        let path = format!("{from}/{to}");
        client.create(&path, r#"{"v":1}"#).await.ok();
        set_state(&client, &path, 1, from).await.ok();
        let answer = set_state(&client, &path, 1, to).await;
        let after = match ends {
            Some(ends) => {
                assert_eq!(answer.ok()["state"], ends, "{path}");
                assert_eq!(answer.ok()["id"], 1);
                assert_eq!(answer.ok()["createdAt"], START_TEXT);
                assert_eq!(answer.warnings().len(), usize::from(warns), "{path}");
                assert!(answer.data().is_none());
                ends
            }
            None => {
                answer.error(409, 50_438_145);
                from
            }
        };
        assert_eq!(states(&client, &path).await, [format!("1 {after}")]);
        let expected = (after == "active").then(|| r#"{"v":1}"#.to_owned());
        for rest in
            ["?includeData=true", "?version=1&includeData=true", "/version/1?includeData=true"]
        {
            let read = client.get(&format!("secret/{path}{rest}")).await;
            read.ok();
            assert_eq!(read.data(), expected, "{path}{rest}");
            assert!(read.text().contains(&format!(r#""state":"{after}""#)));
        }
    }
}

#[tokio::test]
async fn what_is_no_state_is_refused() {
    let (_server, client) = TestServer::with_tenant().await;
    client.create("a", "{}").await.ok();
    for body in [
        "",
        "{}",
        r#"{"state":null}"#,
        r#"{"state":"activated"}"#,
        r#"{"state":"ACTIVE"}"#,
        r#"{"state":""}"#,
        r#"{"state":1}"#,
        r#"{"state":["deleted"]}"#,
        r#"{"State":"deleted"}"#,
        r#"{"state":"deleted","state":"active"}"#,
    ] {
        client.put("secret/a/version/1", body).await.error(400, 50_405_377);
    }
    assert_eq!(states(&client, "a").await, ["1 active"]);
}

/// One version's state is its own: neighbours stay, and the secret goes on.
#[tokio::test]
async fn a_deactivated_version_can_be_followed() {
    let (server, client) = TestServer::with_tenant().await;
    client.create("a", r#"{"v":1}"#).await.ok();
    client.post("secret/a/version?cas=1", r#"{"data":{"v":2}}"#).await.ok();
    server.clock.advance(5);
    let deactivated = set_state(&client, "a", 2, "deactivated").await.ok();
    assert_eq!(deactivated["deactivatedAt"], "2025-01-02T03:04:10Z");
    let read = client.get("secret/a?includeData=true").await;
    assert_eq!(read.ok()["metadata"]["currentVersion"], 2);
    assert_eq!(read.ok()["metadata"]["updatedAt"], "2025-01-02T03:04:10Z");
    assert_eq!(read.data(), None);
    assert_eq!(
        client.get("secret/a?version=1&includeData=true").await.data().unwrap(),
        r#"{"v":1}"#
    );
    client.post("secret/a/version?cas=2", r#"{"data":{"v":3}}"#).await.ok();
    set_state(&client, "a", 1, "deleted").await.ok();
    assert_eq!(states(&client, "a").await, ["1 deleted", "2 deactivated", "3 active"]);
    let activated = set_state(&client, "a", 2, "active").await.ok();
    assert_eq!(activated, json!({"id": 2, "state": "active", "createdAt": START_TEXT}));
    assert_eq!(
        client.get("secret/a/version/2?includeData=true").await.data().unwrap(),
        r#"{"v":2}"#
    );
}

#[tokio::test]
async fn a_deleted_version_keeps_its_number() {
    let (_server, client) = TestServer::with_tenant().await;
    client.create("a", r#"{"v":1}"#).await.ok();
    set_state(&client, "a", 1, "deleted").await.ok();
    client.create("a", "{}").await.error(409, 50_438_145);
    assert_eq!(client.post("secret/a/version?cas=1", r#"{"data":{"v":2}}"#).await.ok()["id"], 2);
    assert_eq!(states(&client, "a").await, ["1 deleted", "2 active"]);
}

#[tokio::test]
async fn version_numbers_are_1_to_24000() {
    let (_server, client) = TestServer::with_tenant().await;
    client.create("a", "{}").await.ok();
    for number in ["0", "00", "24001", "4294967297", "99999999999999999999"] {
        client.get(&format!("secret/a/version/{number}")).await.error(400, 50_405_377);
        set_state(&client, "a", 1, "active").await.ok();
        client
            .put(&format!("secret/a/version/{number}"), r#"{"state":"deleted"}"#)
            .await
            .error(400, 50_405_377);
    }
    for number in [
        "0",
        "24001",
        "-1",
        "+1",
        "1.0",
        "one",
        "0x1",
        "1%00",
        "%201",
        "1&version=1",
        "1&v%65rsion=1",
    ] {
        client.get(&format!("secret/a?version={number}")).await.error(400, 50_405_377);
    }
    client.get("secret/a/version/24000").await.error(404, 17_125_377);
    client.get("secret/a?version=24000").await.error(404, 17_125_377);
    // Not a number: then it is part of a name, of which there is no secret.
    client.get("secret/a/version/latest").await.error(404, 17_125_377);
    assert_eq!(client.get("secret/a?version=").await.ok()["version"]["id"], 1);
    assert_eq!(client.get("secret/a/version/1").await.ok()["id"], 1);
}

/// The spellings of Go's `strconv.ParseBool`, which the SDK and Vault use.
#[tokio::test]
async fn spellings_of_include_data() {
    let (_server, client) = TestServer::with_tenant().await;
    client.create("a", "{}").await.ok();
    for rest in ["secret/a", "secret/a/version/1"] {
        for yes in ["1", "t", "T", "true", "TRUE", "True"] {
            assert!(
                client.get(&format!("{rest}?includeData={yes}")).await.data().is_some(),
                "{yes}"
            );
        }
        for no in ["0", "f", "F", "false", "FALSE", "False", ""] {
            assert!(client.get(&format!("{rest}?includeData={no}")).await.data().is_none(), "{no}");
        }
        for wrong in ["yes", "2", "tRUE", "true&includeData=true", "true%00", "%zz"] {
            client.get(&format!("{rest}?includeData={wrong}")).await.error(400, 50_405_377);
        }
        assert!(client.get(&format!("{rest}?includedata=true")).await.data().is_none());
    }
}

/// A version that falls off the end is gone with its value, and `oldestVersion` reads 0 until the
/// number of versions reaches the limit.
#[tokio::test]
async fn the_oldest_versions_are_pruned() {
    let (_server, client) = TestServer::with_tenant().await;
    let config = client.put("secretConfig", r#"{"maxVersions":4}"#).await.ok();
    assert_eq!(config["maxVersions"], 4);
    client
        .post("secret", r#"{"path":"own","maxVersions":2,"version":{"data":{"n":1}}}"#)
        .await
        .ok();
    client.create("domain", "{}").await.ok();
    let oldest = async |path: &str| {
        client.get(&format!("secret/{path}")).await.ok()["metadata"]["oldestVersion"].clone()
    };
    assert_eq!((oldest("own").await, oldest("domain").await), (json!(0), json!(0)));
    add_versions(&client, "own", 1).await;
    assert_eq!(
        client.get("secret/own/version/1?includeData=true").await.data().unwrap(),
        r#"{"n":1}"#
    );
    add_versions(&client, "own", 1).await;
    add_versions(&client, "domain", 2).await;
    assert_eq!((oldest("own").await, oldest("domain").await), (json!(2), json!(0)));
    assert_eq!(states(&client, "own").await, ["2 active", "3 active"]);
    for rest in ["secret/own/version/1", "secret/own?version=1&includeData=true"] {
        client.get(rest).await.error(404, 17_125_377);
    }
    set_state(&client, "own", 1, "active").await.error(404, 17_125_377);
    add_versions(&client, "domain", 3).await;
    assert_eq!(oldest("domain").await, json!(3));
    assert_eq!(states(&client, "domain").await.len(), 4);
}

#[tokio::test]
async fn ten_versions_are_kept_where_nobody_says_otherwise() {
    let (_server, client) = TestServer::with_tenant().await;
    client.create("a", "{}").await.ok();
    add_versions(&client, "a", 8).await;
    assert_eq!(client.get("secret/a").await.ok()["metadata"]["oldestVersion"], 0);
    add_versions(&client, "a", 2).await;
    let metadata = client.get("secret/a").await.ok()["metadata"].clone();
    assert_eq!((&metadata["oldestVersion"], &metadata["currentVersion"]), (&json!(2), &json!(11)));
    assert_eq!(states(&client, "a").await.len(), 10);
}

/// A lowered limit bites with the next version; a raised one brings nothing back; 0 is the default
/// again.
#[tokio::test]
async fn a_changed_limit_counts_from_the_next_version_on() {
    let (_server, client) = TestServer::with_tenant().await;
    client.create("a", "{}").await.ok();
    add_versions(&client, "a", 5).await;
    client.put("secret/a", r#"{"maxVersions":2}"#).await.ok();
    assert_eq!(states(&client, "a").await.len(), 6);
    add_versions(&client, "a", 1).await;
    assert_eq!(states(&client, "a").await, ["6 active", "7 active"]);
    client.put("secret/a", r#"{"maxVersions":4}"#).await.ok();
    add_versions(&client, "a", 1).await;
    assert_eq!(states(&client, "a").await, ["6 active", "7 active", "8 active"]);
    // With the same request that adds a version.
    client.put("secret/a", r#"{"metadata":{"maxVersions":1},"version":{"data":{}}}"#).await.ok();
    assert_eq!(states(&client, "a").await, ["9 active"]);
    client.put("secret/a", r#"{"maxVersions":0}"#).await.ok();
    add_versions(&client, "a", 3).await;
    assert_eq!(states(&client, "a").await.len(), 4);
}

#[tokio::test]
async fn max_versions_is_0_to_24000() {
    let (_server, client) = TestServer::with_tenant().await;
    client.create("a", "{}").await.ok();
    for wrong in ["-1", "24001", "1.0", "1e3", "\"1\"", "true", "4294967296", "[]"] {
        for rest in ["secret/a", "secretConfig"] {
            client
                .put(rest, &format!(r#"{{"maxVersions":{wrong},"casRequired":true}}"#))
                .await
                .error(400, 50_405_377);
        }
    }
    assert_eq!(client.get("secretConfig").await.ok()["casRequired"], false);
    for right in [24_000, 1, 0] {
        let shown = client.put("secret/a", &json!({ "maxVersions": right }).to_string()).await.ok();
        assert_eq!(shown["metadata"]["maxVersions"], right);
    }
}

/// The deadline takes effect to the second, without a job in the background, and is told as it was
/// typed.
#[tokio::test]
async fn versions_deactivate_on_time() {
    for (typed, echoed, seconds) in [
        ("\"1d\"", "1d", 86_400),
        ("\"10h30m10s\"", "10h30m10s", 37_810),
        ("\"90\"", "90", 90),
        ("90", "90", 90),
        ("\"1.5h\"", "1.5h", 5_400),
        ("\"1d12h\"", "1d12h", 129_600),
    ] {
        let (server, client) = TestServer::with_tenant().await;
        let body = format!(
            r#"{{"path":"a","deactivateVersionAfter":{typed},"version":{{"data":{{"v":1}}}}}}"#
        );
        let created = client.post("secret", &body).await.ok();
        assert_eq!(created["metadata"]["deactivateVersionAfter"], echoed);
        server.clock.advance(seconds - 1);
        let read = client.get("secret/a?includeData=true").await;
        assert_eq!(read.ok()["version"]["state"], "active", "{typed}");
        assert!(read.json()["version"]["deactivatedAt"].is_null());
        assert_eq!(read.data().unwrap(), r#"{"v":1}"#);
        server.clock.advance(1);
        for rest in ["secret/a?includeData=true", "secret/a/version/1?includeData=true"] {
            let read = client.get(rest).await;
            read.ok();
            assert!(read.text().contains(r#""state":"deactivated""#), "{typed}");
            assert_eq!(read.data(), None, "{typed}");
        }
        let listed = client.get("secret/a/version").await.ok();
        assert_eq!(listed[0]["state"], "deactivated");
        assert!(listed[0]["deactivatedAt"].is_string());
        assert_eq!(client.get("secret/a").await.ok()["metadata"]["updatedAt"], START_TEXT);
    }
}

#[tokio::test]
async fn no_limit_of_time() {
    let (server, client) = TestServer::with_tenant().await;
    for (path, after) in [("a", "\"0s\""), ("b", "0"), ("c", "null"), ("d", "\"0\"")] {
        let body = format!(
            r#"{{"path":"{path}","deactivateVersionAfter":{after},"version":{{"data":{{}}}}}}"#
        );
        let echoed =
            client.post("secret", &body).await.ok()["metadata"]["deactivateVersionAfter"].clone();
        assert_eq!(echoed, if after == "null" { "0s" } else { after.trim_matches('"') });
    }
    // The longest span there is ends beyond what a moment can express.
    let longest = r#"{"path":"e","deactivateVersionAfter":"106751d","version":{"data":{}}}"#;
    client.post("secret", longest).await.ok();
    server.clock.advance(25 * 86_400);
    for path in ["a", "b", "c", "d", "e"] {
        assert_eq!(state(&client, path).await, "active");
    }
}

#[tokio::test]
async fn what_is_no_duration_is_refused() {
    let (_server, client) = TestServer::with_tenant().await;
    client.create("a", "{}").await.ok();
    for wrong in [
        "\"\"",
        "\"1\\u0000\"",
        "\"-5m\"",
        "-1",
        "\"1w\"",
        "\"1h 30m\"",
        "\"1 d\"",
        "1.5",
        "1e3",
        "true",
        "{}",
        "[1]",
        "\"300ms\"",
        "\"200000d\"",
        "\"99999999999999999999\"",
        "4294967296000",
    ] {
        for rest in ["secret/a", "secretConfig"] {
            let body = format!(r#"{{"casRequired":true,"deactivateVersionAfter":{wrong}}}"#);
            client.put(rest, &body).await.error(400, 50_405_377);
        }
    }
    assert_eq!(client.get("secret/a").await.ok()["metadata"]["casRequired"], false);
}

/// Where secret and domain both set a life span, the shorter one counts, whichever that is.
#[tokio::test]
async fn the_shorter_life_span_counts() {
    for (own, domain, seconds) in
        [("1h", "1m", 60), ("1m", "1h", 60), ("0s", "1m", 60), ("1m", "0s", 60)]
    {
        let (server, client) = TestServer::with_tenant().await;
        client
            .put("secretConfig", &json!({ "deactivateVersionAfter": domain }).to_string())
            .await
            .ok();
        let body = json!({"path": "a", "deactivateVersionAfter": own, "version": {"data": {}}});
        let created = client.post("secret", &body.to_string()).await.ok();
        assert_eq!(
            created["metadata"]["deactivateVersionAfter"], own,
            "told as typed all the same"
        );
        server.clock.advance(seconds - 1);
        assert_eq!(state(&client, "a").await, "active", "{own} {domain}");
        server.clock.advance(1);
        assert_eq!(state(&client, "a").await, "deactivated", "{own} {domain}");
    }
}

/// The deadline belongs to the version: it counts from its creation, and a later setting leaves it
/// alone.
#[tokio::test]
async fn each_version_has_its_own_deadline() {
    let (server, client) = TestServer::with_tenant().await;
    client
        .post("secret", r#"{"path":"a","deactivateVersionAfter":"100s","version":{"data":{}}}"#)
        .await
        .ok();
    server.clock.advance(50);
    add_versions(&client, "a", 1).await;
    client.put("secret/a", r#"{"deactivateVersionAfter":"10s"}"#).await.ok();
    add_versions(&client, "a", 1).await;
    server.clock.advance(10);
    assert_eq!(states(&client, "a").await, ["1 active", "2 active", "3 deactivated"]);
    server.clock.advance(40);
    assert_eq!(states(&client, "a").await, ["1 deactivated", "2 active", "3 deactivated"]);
    server.clock.advance(50);
    assert_eq!(states(&client, "a").await, ["1 deactivated", "2 deactivated", "3 deactivated"]);
}

#[tokio::test]
async fn reactivation_restarts_the_life_span() {
    let (server, client) = TestServer::with_tenant().await;
    let body = r#"{"path":"a","deactivateVersionAfter":"100s","version":{"data":{"v":1}}}"#;
    client.post("secret", body).await.ok();
    server.clock.advance(1_000);
    assert_eq!(state(&client, "a").await, "deactivated");
    let activated = set_state(&client, "a", 1, "active").await.ok();
    assert!(activated["deactivatedAt"].is_null());
    server.clock.advance(99);
    assert_eq!(client.get("secret/a?includeData=true").await.data().unwrap(), r#"{"v":1}"#);
    server.clock.advance(1);
    let again = client.get("secret/a?includeData=true").await;
    assert_eq!(again.ok()["version"]["deactivatedAt"], "2025-01-02T03:22:25Z");
    assert_eq!(again.data(), None);
    // A version that its deadline deactivated can be deleted, and then stays so.
    set_state(&client, "a", 1, "deleted").await.ok();
    set_state(&client, "a", 1, "active").await.error(409, 50_438_145);
}
