//! Secrets, from creation to deletion: values, metadata, and every spelling of a body.

use hyper::Method;
use serde_json::{Value, json};

use crate::harness::{BOTH, Http, START_TEXT, TestServer};

const MIB: usize = 1 << 20;

/// A value that is exactly so many bytes long.
fn value_of(bytes: usize) -> String {
    let frame = r#"{"v":""}"#.len();
    format!(r#"{{"v":"{}"}}"#, "x".repeat(bytes - frame))
}

#[tokio::test]
async fn a_secret_lives() {
    for http in BOTH {
        lives(http).await;
    }
}

async fn lives(http: Http) {
    let (server, client) = TestServer::with_tenant().await;
    let client = client.over(http);
    let created = client.create("foo/bar", r#"{"n":1}"#).await.ok();
    let metadata = json!({
        "casRequired": false, "createdAt": START_TEXT, "currentVersion": 1, "customMetadata": {},
        "deactivateVersionAfter": "0s", "maxVersions": 0, "oldestVersion": 0, "updatedAt": START_TEXT,
        "urn": format!("urn:v1:local:resource:okms:{}/secret/foo/bar", client.id),
    });
    assert_eq!(created, json!({"path": "foo/bar", "metadata": metadata}));
    server.clock.advance(60);
    let version = client.post("secret/foo/bar/version?cas=1", r#"{"data":{"n":2}}"#).await.ok();
    assert_eq!(version, json!({"id": 2, "state": "active", "createdAt": "2025-01-02T03:05:05Z"}));
    let read = client.get("secret/foo%2Fbar").await.ok();
    assert_eq!(read["version"], version);
    assert_eq!(read["metadata"]["createdAt"], START_TEXT);
    assert_eq!(read["metadata"]["updatedAt"], "2025-01-02T03:05:05Z");
    assert_eq!(client.get("secret/foo/bar?includeData=true").await.data().unwrap(), r#"{"n":2}"#);
    assert_eq!(client.delete("secret/foo/bar").await.status, 204);
    for rest in
        ["secret/foo/bar", "secret/foo/bar/version", "secret/foo/bar/version/1?includeData=true"]
    {
        client.get(rest).await.error(404, 17_125_377);
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let (_server, client) = TestServer::with_tenant().await;
    client.get("secret/nothing").await.error(404, 17_125_377);
    client.get("secret/nothing?version=3&includeData=true").await.error(404, 17_125_377);
    client.put("secret/nothing", r#"{"version":{"data":{}}}"#).await.error(404, 17_125_377);
    client
        .put("secret/nothing", r#"{"metadata":{"casRequired":true}}"#)
        .await
        .error(404, 17_125_377);
    client.put("secret/nothing", "{}").await.error(404, 17_125_377);
    client.delete("secret/nothing").await.error(404, 17_125_377);
    client.get("secret/nothing/version").await.error(404, 17_125_377);
    client.post("secret/nothing/version", r#"{"data":{}}"#).await.error(404, 17_125_377);
    client.put("secret/nothing/version/1", r#"{"state":"active"}"#).await.error(404, 17_125_377);
    client.create("thing", "{}").await.ok();
    client.get("secret/thing/version/2").await.error(404, 17_125_377);
    client.get("secret/thing?version=2").await.error(404, 17_125_377);
    client.put("secret/thing/version/2", r#"{"state":"deactivated"}"#).await.error(404, 17_125_377);
}

/// A folder is no secret: paths above and below a secret stay unknown.
#[tokio::test]
async fn a_path_names_one_secret_alone() {
    let (_server, client) = TestServer::with_tenant().await;
    for path in ["app/db", "app", "app/db/main"] {
        client.create(path, &format!(r#"{{"at":"{path}"}}"#)).await.ok();
    }
    assert_eq!(client.delete("secret/app").await.status, 204);
    for path in ["app/db", "app/db/main"] {
        let read = client.get(&format!("secret/{path}?includeData=true")).await;
        assert_eq!(read.ok()["version"]["data"]["at"], path);
    }
    for path in ["app", "ap", "app/d", "app/db/mai", "app/db/main/x", "APP/db"] {
        client.get(&format!("secret/{path}")).await.error(404, 17_125_377);
    }
}

/// Numbers, escapes and blanks of a value are the caller's text, and come back as that text,
/// however they came in.
#[tokio::test]
async fn a_value_comes_back_byte_for_byte() {
    let (_server, client) = TestServer::with_tenant().await;
    for (index, value) in [
        "{}",
        r#"{"n":12345678901234567890,"m":-0,"big":123456789012345678901234567890}"#,
        r#"{"f":1.0,"g":1.10,"h":0.1e-7,"e":1e308,"E":1E+2}"#,
        r#"{"u":"\u00e9é\uD83D\uDE00😀","slash":"\/","nul":"\u0000"}"#,
        "{ \"a\" : [ 1 ,\n\t2,\r\n {} ] }",
        r#"{"b":2,"a":1,"nested":{"data":{"version":{"data":null}}},"":""}"#,
        r#"{"quote":"\"data\":{\"x\":1}","html":"</script>"}"#,
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("value/{index}");
        client.create(&path, value).await.ok();
        client
            .post(&format!("secret/{path}/version"), &format!(r#"{{"data":{value}}}"#))
            .await
            .ok();
        client
            .put(&format!("secret/{path}"), &format!(r#"{{"version":{{"data":{value}}}}}"#))
            .await
            .ok();
        client.put(&format!("secret/{path}/version"), &format!(r#"{{"data":{value}}}"#)).await.ok();
        for version in 1..=4 {
            for rest in [
                format!("?version={version}&includeData=1"),
                format!("/version/{version}?includeData=true"),
            ] {
                let read = client.get(&format!("secret/{path}{rest}")).await;
                assert_eq!(read.data().as_deref(), Some(value), "{rest}");
            }
        }
        client.get(&format!("secret/{path}/version/5")).await.error(404, 17_125_377);
    }
}

#[tokio::test]
async fn without_include_data_there_is_none() {
    let (_server, client) = TestServer::with_tenant().await;
    client.create("a", r#"{"canary":"value"}"#).await.ok();
    for rest in
        ["secret/a", "secret/a?version=1", "secret/a/version/1", "secret/a/version", "secret"]
    {
        let read = client.get(rest).await;
        read.ok();
        assert!(!read.text().contains("canary"), "{rest}");
    }
}

#[tokio::test]
async fn a_value_has_at_most_512_kib() {
    let (_server, client) = TestServer::with_tenant().await;
    let (largest, larger) = (value_of(MIB / 2), value_of(MIB / 2 + 1));
    client.create("large", &larger).await.error(400, 50_405_377);
    client.create("large", &value_of(MIB)).await.error(413, 50_405_377);
    assert_eq!(client.get("secret").await.text(), "[]");
    client.create("large", &largest).await.ok();
    for value in [&larger, &value_of(MIB)] {
        for answer in [
            client.post("secret/large/version", &format!(r#"{{"data":{value}}}"#)).await,
            client
                .put(
                    "secret/large",
                    &format!(
                        r#"{{"metadata":{{"casRequired":true}},"version":{{"data":{value}}}}}"#
                    ),
                )
                .await,
        ] {
            assert!(matches!(answer.status.as_u16(), 400 | 413), "{}", answer.status);
        }
    }
    let read = client.get("secret/large?includeData=true").await;
    assert_eq!(read.ok()["metadata"]["currentVersion"], 1);
    assert_eq!(read.json()["metadata"]["casRequired"], false);
    assert!(read.data().unwrap() == largest);
}

#[tokio::test]
async fn the_size_limit_is_configurable() {
    let server = TestServer::start_with(|config| config.limits.value_bytes.0 = 100).await;
    let client = server.tenant().await;
    client.create("a", &value_of(101)).await.error(400, 50_405_377);
    client.create("a", &value_of(100)).await.ok();
}

/// The published body, the guide's `snake_case`, and its flat body say the same.
#[tokio::test]
async fn spellings_of_create() {
    let (_server, client) = TestServer::with_tenant().await;
    let camel = r#""casRequired":true,"customMetadata":{"k":"v"},"deactivateVersionAfter":"1d","maxVersions":3"#;
    let snake = r#""cas_required":true,"custom_metadata":{"k":"v"},"deactivate_version_after":"1d","max_versions":3"#;
    for (index, metadata) in [
        format!(r#""metadata":{{{camel}}}"#),
        format!(r#""metadata":{{{snake}}}"#),
        camel.to_owned(),
        snake.to_owned(),
        format!(r#""metadata":null,{snake}"#),
    ]
    .iter()
    .enumerate()
    {
        for (collection, path) in
            [("secret", format!("plain/{index}")), ("secret/", format!("slash/{index}"))]
        {
            let body = format!(r#"{{"path":"{path}",{metadata},"version":{{"data":{{}}}}}}"#);
            let created = client.post(collection, &body).await;
            let shown = &created.ok()["metadata"];
            assert_eq!(shown["casRequired"], true, "{metadata}");
            assert_eq!(shown["customMetadata"], json!({"k": "v"}));
            assert_eq!(shown["deactivateVersionAfter"], "1d");
            assert_eq!(shown["maxVersions"], 3);
            assert!(created.warnings().is_empty());
        }
    }
}

#[tokio::test]
async fn spellings_of_update() {
    let (_server, client) = TestServer::with_tenant().await;
    for (index, body) in [
        r#"{"metadata":{"casRequired":true,"maxVersions":4}}"#,
        r#"{"metadata":{"cas_required":true,"max_versions":4}}"#,
        r#"{"cas_required":true,"max_versions":4}"#,
        r#"{"casRequired":true,"max_versions":4}"#,
    ]
    .into_iter()
    .enumerate()
    {
        client.create(&index.to_string(), "{}").await.ok();
        let updated = client.put(&format!("secret/{index}"), body).await.ok();
        assert_eq!(updated["metadata"]["casRequired"], true, "{body}");
        assert_eq!(updated["metadata"]["maxVersions"], 4, "{body}");
        assert_eq!(updated["metadata"]["currentVersion"], 1, "{body}");
    }
}

/// A body that could be read in two ways is refused, and stores nothing.
#[tokio::test]
async fn ambiguous_metadata_is_refused() {
    let (_server, client) = TestServer::with_tenant().await;
    client.create("there", "{}").await.ok();
    let before = client.get("secret/there").await.ok();
    for metadata in [
        r#""metadata":{"casRequired":true},"casRequired":true"#,
        r#""metadata":{"casRequired":true},"max_versions":3"#,
        r#""metadata":{},"customMetadata":{"k":"v"}"#,
        r#""metadata":{"casRequired":true,"cas_required":true}"#,
        r#""maxVersions":1,"max_versions":1"#,
    ] {
        let create = format!(r#"{{"path":"new","version":{{"data":{{}}}},{metadata}}}"#);
        client.post("secret", &create).await.error(400, 50_405_377);
        client.put("secret/there", &format!("{{{metadata}}}")).await.error(400, 50_405_377);
    }
    assert_eq!(client.get("secret/there").await.ok(), before);
    client.get("secret/new").await.error(404, 17_125_377);
}

/// Entries were merged, so that Terraform's provider of OVHcloud, which sends the map as it shall
/// be, could not remove one. okms-cli sends `customMetadata: {}` with every update: it must not
/// wipe what is there.
#[tokio::test]
async fn custom_metadata_is_replaced() {
    let (_server, client) = TestServer::with_tenant().await;
    client
        .post(
            "secret",
            r#"{"path":"a","customMetadata":{"one":"1","two":"2"},"version":{"data":{}}}"#,
        )
        .await
        .ok();
    for (custom, expected) in [
        ("{}", json!({"one": "1", "two": "2"})),
        (r#"{"two":"zwei","three":"3"}"#, json!({"two": "zwei", "three": "3"})),
        ("{}", json!({"two": "zwei", "three": "3"})),
        // Null is what clients write that leave a field alone.
        ("null", json!({"two": "zwei", "three": "3"})),
        // A map that has nulls says what to remove: it is a patch.
        (r#"{"two":null,"absent":null,"four":"4"}"#, json!({"three": "3", "four": "4"})),
        (r#"{"four":null}"#, json!({"three": "3"})),
        (r#"{"five":"5"}"#, json!({"five": "5"})),
        (r#"{"five":null}"#, json!({})),
    ] {
        let updated = client
            .put("secret/a", &format!(r#"{{"metadata":{{"customMetadata":{custom}}}}}"#))
            .await
            .ok();
        assert_eq!(updated["metadata"]["customMetadata"], expected, "{custom}");
        assert_eq!(
            client.get("secret/a").await.ok()["metadata"]["customMetadata"],
            expected,
            "{custom}"
        );
    }
}

/// Values were taken that readers then refuse, or read each in its own way: Python stops at half of
/// a surrogate pair, Go at 1e999, and of a name that is there twice JavaScript keeps the last and
/// jq the first. What was stored so could not be read back.
#[tokio::test]
async fn a_value_is_one_that_strict_readers_read() {
    let (_server, client) = TestServer::with_tenant().await;
    let vault = format!("/api/{}/v1/secret/data/a", client.id);
    let kv = async |method: Method, body: &str| {
        client
            .send(
                method,
                &vault,
                &[("content-type", "application/merge-patch+json")],
                body.to_owned(),
            )
            .await
    };
    client.create("a", r#"{"v":1}"#).await.ok();
    let many = (0..30_000).map(|n| format!(r#""{n}":1,"#)).collect::<Vec<_>>().concat();
    for (value, word) in [
        (r#"{"a":1,"a":2}"#, "twice"),
        (r#"{"a":1,"\u0061":2}"#, "twice"),
        (r#"{"x":[1,{"y":{"a":1,"b":[],"a":{}}}]}"#, "twice"),
        (&*format!("{{{many}\"0\":2}}"), "twice"),
        (r#"{"a":"\ud800"}"#, "surrogate"),
        (r#"{"a":[{"b":"x\udc00\ud800"}]}"#, "surrogate"),
        (r#"{"\udfff":1}"#, "surrogate"),
        (r#"{"a":1e999}"#, "double"),
        (r#"{"a":[{"b":-1E+400}]}"#, "double"),
        (&format!(r#"{{"a":1{}}}"#, "0".repeat(400)), "double"),
    ] {
        let bare = format!(r#"{{"data":{value}}}"#);
        for answer in [
            client.create("new", value).await,
            client.put("secret/a", &format!(r#"{{"version":{bare}}}"#)).await,
            client.post("secret/a/version", &bare).await,
            kv(Method::PUT, &bare).await,
            kv(Method::PATCH, &bare).await,
            kv(Method::PATCH, &bare.replace("{\"data\":", "{\"options\":{\"cas\":1},\"data\":"))
                .await,
        ] {
            let text = answer.error(400, 50_405_377);
            assert!(text.contains(word), "{text}");
        }
    }
    client.get("secret/new").await.error(404, 17_125_377);
    assert_eq!(client.get("secret/a").await.ok()["metadata"]["currentVersion"], 1);
    // Digits and zeros are nobody's business.
    let exact = r#"{"n":123456789012345678901234567890,"f":1.0,"pair":"\ud83d\ude00","a":{"a":{"a":[{"a":1},{"a":1}]}}}"#;
    client.create("exact", exact).await.ok();
    assert_eq!(client.get("secret/exact?includeData=true").await.data().unwrap(), exact);
}

#[tokio::test]
async fn custom_metadata_is_bounded() {
    let (_server, client) = TestServer::with_tenant().await;
    let entries = |range: std::ops::Range<usize>| {
        let entries: serde_json::Map<_, _> =
            range.map(|n| (n.to_string(), Value::from("x"))).collect();
        json!({"metadata": {"customMetadata": entries}}).to_string()
    };
    client.create("a", "{}").await.ok();
    client.put("secret/a", &entries(0..65)).await.error(400, 50_405_377);
    assert_eq!(
        client.put("secret/a", &entries(0..64)).await.ok()["metadata"]["customMetadata"]
            .as_object()
            .unwrap()
            .len(),
        64
    );
    let more = json!({"metadata": {"customMetadata": {"64": "x", "absent": null}}});
    client.put("secret/a", &more.to_string()).await.error(400, 50_405_377);
    for (key, value) in [
        ("", "x".to_owned()),
        ("k", String::new()),
        ("k", "x".repeat(513)),
        ("k", "a b".to_owned()),
        ("k", "é".to_owned()),
        ("k\n", "x".to_owned()),
        (&*"k".repeat(129), "x".to_owned()),
    ] {
        let body =
            json!({"metadata": {"casRequired": true, "customMetadata": {key: value, "0": null}}});
        client.put("secret/a", &body.to_string()).await.error(400, 50_405_377);
    }
    let read = client.get("secret/a").await.ok();
    assert_eq!(read["metadata"]["customMetadata"].as_object().unwrap().len(), 64);
    assert_eq!(read["metadata"]["casRequired"], false, "a refused body stores nothing of itself");
    let largest =
        json!({"customMetadata": {"0": "v".repeat(512), "a_.:/=@%-": "a_.:/=@%-", "1": null}});
    client.put("secret/a", &largest.to_string()).await.ok();
}

#[tokio::test]
async fn metadata_alone_makes_no_version() {
    let (server, client) = TestServer::with_tenant().await;
    client.create("a", r#"{"v":1}"#).await.ok();
    server.clock.advance(10);
    let updated =
        client.put("secret/a?cas=1", r#"{"metadata":{"customMetadata":{"k":"v"}}}"#).await.ok();
    assert_eq!(updated["metadata"]["currentVersion"], 1);
    assert_eq!(updated["metadata"]["updatedAt"], "2025-01-02T03:04:15Z");
    assert_eq!(client.get("secret/a/version").await.ok().as_array().unwrap().len(), 1);
    assert_eq!(client.get("secret/a?includeData=true").await.data().unwrap(), r#"{"v":1}"#);
}

#[tokio::test]
async fn an_update_without_a_change_changes_nothing_and_says_so() {
    let (server, client) = TestServer::with_tenant().await;
    client.create("a", "{}").await.ok();
    server.clock.advance(10);
    for body in ["{}", r#"{"metadata":{}}"#, r#"{"metadata":{"customMetadata":{}},"version":null}"#]
    {
        let updated = client.put("secret/a", body).await;
        assert_eq!(updated.warnings().len(), 1, "{body}");
        assert_eq!(updated.ok()["metadata"]["updatedAt"], START_TEXT, "{body}");
    }
}

#[tokio::test]
async fn unknown_fields_are_warned_of() {
    let (_server, client) = TestServer::with_tenant().await;
    for (index, body) in [
        r#"{"path":"0","version":{"data":{}},"owner":"me"}"#,
        r#"{"path":"1","version":{"data":{},"state":"active"}}"#,
        r#"{"path":"2","version":{"data":{}},"metadata":{"owner":"me"}}"#,
        r#"{"path":"3","version":{"data":{}},"metadata":{"version":{"data":{}}},"CasRequired":true}"#,
    ]
    .into_iter()
    .enumerate()
    {
        let created = client.post("secret", body).await;
        assert_eq!(created.warnings().len(), 1, "{body}");
        assert_eq!(created.ok()["metadata"]["casRequired"], false);
        let updated = client.put(&format!("secret/{index}"), r#"{"maxVersions":2,"unknown":1}"#).await;
        assert_eq!(updated.warnings().len(), 1);
    }
    assert_eq!(client.post("secret/0/version", r#"{"data":{},"cas":1}"#).await.warnings().len(), 1);
    assert_eq!(
        client.put("secret/0/version/1", r#"{"state":"deactivated","x":1}"#).await.warnings().len(),
        1
    );
    assert_eq!(
        client.put("secretConfig", r#"{"casRequired":false,"x":1}"#).await.warnings().len(),
        1
    );
}

#[tokio::test]
async fn create_needs_a_path_and_a_value() {
    let (_server, client) = TestServer::with_tenant().await;
    for body in [
        "",
        "{}",
        r#"{"path":"a"}"#,
        r#"{"path":"a","version":null}"#,
        r#"{"path":"a","version":{}}"#,
        r#"{"path":"a","version":{"data":null}}"#,
        r#"{"path":"a","data":{}}"#,
        r#"{"version":{"data":{}}}"#,
        r#"{"path":null,"version":{"data":{}}}"#,
        r#"{"path":"","version":{"data":{}}}"#,
    ] {
        client.post("secret", body).await.error(400, 50_405_377);
    }
    assert_eq!(client.get("secret").await.text(), "[]");
}

#[tokio::test]
async fn create_on_a_taken_path_is_a_conflict() {
    let (_server, client) = TestServer::with_tenant().await;
    client.create("a/b", r#"{"v":1}"#).await.ok();
    let before = client.get("secret/a/b?includeData=true").await.ok();
    for body in [
        r#"{"path":"a/b","version":{"data":{"v":1}}}"#,
        r#"{"path":"a/b","version":{"data":{"v":2}},"metadata":{"casRequired":true}}"#,
    ] {
        client.post("secret", body).await.error(409, 50_438_145);
    }
    assert_eq!(client.get("secret/a/b?includeData=true").await.ok(), before);
}

#[tokio::test]
async fn a_secret_created_anew_has_no_past() {
    let (server, client) = TestServer::with_tenant().await;
    let body = r#"{"path":"a","metadata":{"maxVersions":5,"customMetadata":{"k":"v"}},"version":{"data":{"old":1}}}"#;
    client.post("secret", body).await.ok();
    client.post("secret/a/version", r#"{"data":{"old":2}}"#).await.ok();
    client.delete("secret/a").await;
    server.clock.advance(100);
    let created = client.create("a", r#"{"new":1}"#).await.ok();
    assert_eq!(created["metadata"]["currentVersion"], 1);
    assert_eq!(created["metadata"]["createdAt"], "2025-01-02T03:05:45Z");
    assert_eq!(created["metadata"]["customMetadata"], json!({}));
    assert_eq!(created["metadata"]["maxVersions"], 0);
    assert_eq!(
        client.get("secret/a/version/1?includeData=true").await.data().unwrap(),
        r#"{"new":1}"#
    );
    client.get("secret/a/version/2").await.error(404, 17_125_377);
}

/// Each commit is counted under the name of what it changed, and how it ended.
#[tokio::test]
async fn commits_are_counted_by_what_they_change() {
    let (server, client) = TestServer::with_tenant().await;
    client.create("a", "{}").await.ok();
    client.post("secret/a/version", r#"{"data":{}}"#).await.ok();
    client.post("secret/a/version", r#"{"data":{}}"#).await.ok();
    assert_eq!(client.delete("secret/a").await.status, 204);
    let (_, text) = server.admin("/metrics").await;
    let counted: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("okmsd_changes_total")).collect();
    assert_eq!(
        counted,
        [
            r#"{change="secrets.create",outcome="committed"} 1"#,
            r#"{change="secrets.delete",outcome="committed"} 1"#,
            r#"{change="secrets.update",outcome="committed"} 2"#,
            r#"{change="tenants.create",outcome="committed"} 1"#,
        ]
    );
}
