//! How secrets end, and come back: cases 66 to 100.

use std::time::Duration;

use hyper::Method;
use okmsd::config::Span;
use serde_json::{Value, json};

use super::{Paths, faulty, members, refused};
use crate::harness::{TestServer, eventually};

const DAY: i64 = 86_400;

#[tokio::test]
async fn a_removed_secret_is_gone_and_can_be_restored() {
    let (server, paths) = Paths::start().await;
    paths.three("a").await;
    paths.patch("/a", json!({"metadata": {"tags": ["t"]}})).await.ok();
    // 73
    paths.client.put("secret/a/version/1", r#"{"state":"deactivated"}"#).await.ok();
    // 69
    let told = paths.delete("/a").await.ok();
    assert_eq!(
        told,
        json!({"path": "a", "deleted": true, "permanent": false,
            "deleted_at": "2025-01-02T03:04:05Z", "recoverable_until": "2025-02-01T03:04:05Z"})
    );
    for rest in ["/a", "/a?version=1", "/a/versions", "/metadata/a"] {
        let details = refused(&paths.get(rest).await, 404, "secret_not_found");
        assert_eq!(details["recoverable_until"], "2025-02-01T03:04:05Z");
    }
    refused(&paths.patch("/a", json!({})).await, 404, "secret_not_found");
    // 68
    let metadata = paths.get("/metadata/a?include_deleted=true").await.ok();
    assert_eq!(metadata["recoverable_until"], "2025-02-01T03:04:05Z");
    // 70
    let details = refused(&paths.put("/a", json!({"data": {}})).await, 409, "secret_exists");
    assert_eq!(members(&details), ["deleted_at", "path", "recoverable_until"]);
    // 71
    for version in paths.client.get("secret/a/version").await.ok().as_array().unwrap() {
        assert_eq!(version["state"], "deactivated");
    }
    let kv = paths.kv(Method::GET, "data/a?version=2", "").await;
    assert_eq!(kv.status, 404);
    assert_eq!(kv.json()["data"]["metadata"]["deletion_time"], "2025-01-02T03:04:05Z");
    assert_eq!(
        paths.kv(Method::GET, "metadata?list=true", "").await.ok()["data"]["keys"],
        json!(["a"])
    );
    // 72, 73
    refused(&paths.delete("/a").await, 404, "secret_not_found");
    server.clock.advance(DAY);
    let restored = paths.restore("a", "").await.ok();
    assert_eq!(
        (&restored["current_version"], &restored["metadata"]["tags"]),
        (&json!(3), &json!(["t"]))
    );
    for (version, status) in [(1, 404), (2, 200), (3, 200)] {
        assert_eq!(paths.get(&format!("/a?version={version}")).await.status, status, "{version}");
    }
    // 86
    let again = paths.restore("a", "").await.ok();
    for member in ["current_version", "metadata", "updated_at", "options"] {
        assert_eq!(again[member], restored[member], "{member}");
    }
    refused(&paths.restore("none", "").await, 404, "secret_not_found");
}

#[tokio::test]
async fn whoever_writes_in_another_dialect_revives() {
    let (_server, paths) = Paths::start().await;
    // 74
    paths.three("kv").await;
    paths.delete("/kv").await.ok();
    let put = paths.kv(Method::POST, "data/kv", r#"{"data":{"n":4}}"#).await.ok();
    assert_eq!((&put["data"]["version"], &put["data"]["deletion_time"]), (&json!(4), &json!("")));
    for version in 1..=4 {
        assert_eq!(paths.get(&format!("/kv?version={version}")).await.ok()["data"]["n"], version);
    }
    // 75
    paths.three("undeleted").await;
    paths.delete("/undeleted").await.ok();
    let undelete = paths.kv(Method::POST, "undelete/undeleted", r#"{"versions":[3]}"#).await;
    assert_eq!(undelete.status, 204);
    assert_eq!(paths.get("/undeleted").await.ok()["version"], 3);
    assert_eq!(paths.kv(Method::GET, "data/undeleted", "").await.status, 200);
    // 76
    paths.three("native").await;
    paths.delete("/native").await.ok();
    let create = r#"{"path":"native","version":{"data":{}}}"#;
    paths.client.post("secret", create).await.error(409, 50_438_145);
    paths.client.put("secret/native", r#"{"version":{"data":{"n":4}}}"#).await.ok();
    assert_eq!(paths.get("/native").await.ok()["version"], 4);
    // By its state.
    paths.three("state").await;
    paths.delete("/state").await.ok();
    let state = paths.client.put("secret/state/version/2", r#"{"state":"active"}"#).await.ok();
    assert_eq!((&state["state"], state.get("warnings")), (&json!("active"), None));
    assert_eq!(paths.get("/state").await.ok()["version"], 3);
}

#[tokio::test]
async fn after_its_retention_there_is_no_such_secret() {
    let (server, paths) = Paths::start().await;
    for path in ["a", "b", "c", "d"] {
        paths.three(path).await;
        paths.delete(&format!("/{path}")).await.ok();
    }
    // 77
    server.clock.advance(30 * DAY - 1);
    assert_eq!(paths.restore("a", "").await.status, 200);
    paths.delete("/a").await.ok();
    server.clock.advance(1);
    refused(&paths.restore("b", "").await, 404, "secret_not_found");
    refused(&paths.get("/metadata/b?include_deleted=true").await, 404, "secret_not_found");
    paths.client.get("secret/b").await.error(404, 17_125_377);
    assert_eq!(paths.kv(Method::GET, "metadata/b", "").await.json()["errors"], json!([]));
    let made = paths.put("/b", json!({"data": {"n": 9}})).await;
    assert_eq!((made.status.as_u16(), &made.json()["version"]), (201, &json!(1)));
    refused(&paths.get("/b?version=2").await, 404, "version_not_found");
    assert_eq!(paths.kv(Method::GET, "data/b?version=3", "").await.status, 404);
    // In KV2 and natively as well.
    let put = paths.kv(Method::POST, "data/c", r#"{"data":{}}"#).await.ok();
    assert_eq!(put["data"]["version"], 1);
    let made = paths.client.post("secret", r#"{"path":"d","version":{"data":{}}}"#).await.ok();
    assert_eq!(made["metadata"]["currentVersion"], 1);
    assert_eq!(paths.restore("a", "").await.status, 200, "it counts from the last removal");
}

#[tokio::test]
async fn what_is_removed_for_good_and_single_versions() {
    let (_server, paths) = Paths::start().await;
    // 80
    paths.three("a").await;
    paths.delete("/a").await.ok();
    let told = paths.delete("/a?permanent=true").await.ok();
    assert_eq!(told, json!({"path": "a", "deleted": true, "permanent": true}));
    refused(&paths.restore("a", "").await, 404, "secret_not_found");
    assert_eq!(paths.put("/a", json!({"data": {}})).await.json()["version"], 1);
    // 82
    paths.three("b").await;
    let told = paths.delete("/b?version=2").await.ok();
    assert_eq!(told, json!({"path": "b", "version": 2, "deleted": true, "permanent": false}));
    refused(&paths.get("/b?version=2").await, 404, "version_not_found");
    assert_eq!(paths.kv(Method::GET, "data/b?version=2", "").await.status, 404);
    refused(&paths.delete("/b?version=2").await, 404, "version_not_found");
    paths.restore("b", "?version=2").await.ok();
    assert_eq!(paths.get("/b?version=2").await.ok()["data"]["n"], 2);
    // 83
    paths.delete("/b?version=3").await.ok();
    refused(&paths.get("/b").await, 404, "version_not_found");
    // 67
    let versions = paths.get("/b/versions").await.ok();
    assert_eq!(versions["versions"][0]["state"], "deactivated");
    assert_eq!(members(&versions["versions"][1]), ["created_at", "is_current", "version"]);
    // 84
    paths.delete("/b?version=2&permanent=true").await.ok();
    assert_eq!(paths.client.get("secret/b/version/2").await.ok()["state"], "deleted");
    refused(&paths.restore("b", "?version=2").await, 404, "version_not_found");
    // 85
    refused(&paths.delete("/b?version=9").await, 404, "version_not_found");
    // An empty version was the whole secret, for good as well.
    for query in ["version=x", "permanent=maybe", "version=", "version", "version=&permanent=true"]
    {
        refused(&paths.delete(&format!("/b?{query}")).await, 400, "invalid_request");
    }
    refused(&paths.restore("b", "?version=").await, 400, "invalid_request");
    refused(&paths.get("/b?version=").await, 400, "invalid_request");
    assert_eq!(paths.get("/b?version=1").await.ok()["data"]["n"], 1);
    // 66
    paths.put("/c", json!({"data": {}, "options": {"max_versions": 2}})).await;
    paths.three_more("c").await;
    let versions = paths.get("/c/versions").await.ok();
    let told: Vec<_> = versions["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["version"], &one["is_current"]))
        .collect();
    assert_eq!(json!(told), json!([[4, true], [3, false]]));
    assert_eq!(paths.get("/metadata/c").await.ok()["version_count"], 2);
}

#[tokio::test]
async fn a_secret_expires_in_every_dialect() {
    let (server, paths) = Paths::start().await;
    let hour = 3_600;
    paths.put("/a", json!({"data": {"n": 1}, "options": {"expires_in": "24h"}})).await;
    // 88, 90
    server.clock.advance(DAY - 1);
    assert_eq!(paths.get("/a").await.status, 200);
    let kv = paths.kv(Method::GET, "data/a", "").await.ok();
    assert_eq!(kv["data"]["metadata"]["deletion_time"], "2025-01-03T03:04:05Z");
    server.clock.advance(1);
    for rest in ["/a", "/a?version=1", "/a?version=9"] {
        refused(&paths.get(rest).await, 410, "secret_expired");
    }
    assert_eq!(paths.get("/metadata/a").await.ok()["expires_at"], "2025-01-03T03:04:05Z");
    // 89
    let kv = paths.kv(Method::GET, "data/a", "").await;
    assert_eq!(kv.status, 404);
    assert_eq!(kv.json()["data"]["metadata"]["deletion_time"], "2025-01-03T03:04:05Z");
    let native = paths.client.get("secret/a/version/1").await.ok();
    assert_eq!(
        (&native["state"], &native["deactivatedAt"]),
        (&json!("deactivated"), &json!("2025-01-03T03:04:05Z"))
    );
    // 91
    let put = paths.put("/a", json!({"data": {"n": 2}})).await.ok();
    assert_eq!(put["version"], 2);
    for version in 1..=2 {
        let read = paths.get(&format!("/a?version={version}")).await.ok();
        assert_eq!(read["expires_at"], "2025-01-04T03:04:05Z");
    }
    // 93, 94
    server.clock.advance(DAY);
    refused(&paths.get("/a").await, 410, "secret_expired");
    paths.kv(Method::POST, "data/a", r#"{"data":{"n":3}}"#).await.ok();
    assert_eq!(paths.kv(Method::GET, "data/a", "").await.status, 200);
    server.clock.advance(DAY);
    let undelete = paths.kv(Method::POST, "undelete/a", r#"{"versions":[1]}"#).await;
    assert_eq!(undelete.status, 204);
    let read = paths.get("/a?version=1").await.ok();
    assert_eq!(read["expires_at"], "2025-01-06T03:04:05Z");
    // 92
    let at = |days: i64| {
        okmsd::model::Timestamp::from_unix_seconds(crate::harness::START + 3 * DAY + days * DAY)
            .to_rfc3339_seconds()
            .to_string()
    };
    paths.put("/b", json!({"data": {}, "options": {"expires_at": at(1)}})).await;
    assert_eq!(paths.put("/b", json!({"data": {}})).await.status, 200);
    assert_eq!(paths.get("/b").await.ok()["expires_at"], json!(at(1)), "kept, as it is to come");
    server.clock.advance(2 * DAY);
    paths.put("/b", json!({"data": {}})).await.ok();
    assert_eq!(paths.get("/b").await.ok()["expires_at"], json!(null));
    // 95
    paths.put("/c", json!({"data": {}, "options": {"expires_in": "1h"}})).await;
    server.clock.advance(hour);
    refused(&paths.get("/c").await, 410, "secret_expired");
    paths.patch("/c", json!({"options": {"expires_at": at(9)}})).await.ok();
    assert_eq!(paths.get("/c").await.status, 200);
    paths.patch("/c", json!({"options": {"expires_at": null}})).await.ok();
    server.clock.advance(10 * DAY);
    assert_eq!(paths.get("/c").await.ok()["expires_at"], json!(null));
    // 96
    let settings =
        r#"{"path":"d","metadata":{"deactivateVersionAfter":"1h"},"version":{"data":{}}}"#;
    paths.client.post("secret", settings).await.ok();
    let read = paths.get("/d").await.ok();
    let ends = read["expires_at"].as_str().unwrap().to_owned();
    assert_eq!(
        paths.get("/expiring?days=1").await.ok()["secrets"][0],
        json!({"path": "d", "expires_at": ends, "days_remaining": 1})
    );
    server.clock.advance(hour);
    refused(&paths.get("/d").await, 410, "secret_expired");
}

/// A version that was ended on its own while its secret had ended was readable again with the secret, though the
/// deletion was acknowledged.
#[tokio::test]
async fn what_was_ended_on_its_own_stays_so() {
    let (server, paths) = Paths::start().await;
    for path in ["/kv", "/native", "/own", "/removed"] {
        let body = json!({"data": {"n": "leaked"}, "options": {"expires_in": "1h"}});
        paths.put(path, body).await;
    }
    server.clock.advance(3_600);
    let numbers = r#"{"versions":[1]}"#;
    assert_eq!(paths.kv(Method::POST, "delete/kv", numbers).await.status, 204);
    let state = r#"{"state":"deactivated"}"#;
    paths.client.put("secret/native/version/1", state).await.ok();
    paths.delete("/own?version=1").await.ok();
    refused(&paths.delete("/own?version=1").await, 404, "version_not_found");
    for path in ["kv", "native", "own"] {
        assert_eq!(paths.put(&format!("/{path}"), json!({"data": {}})).await.status, 200);
        let read = paths.get(&format!("/{path}?version=1")).await;
        refused(&read, 404, "version_not_found");
        assert_eq!(paths.get(&format!("/{path}")).await.status, 200);
    }
    paths.put("/removed", json!({"data": {}})).await.ok();
    paths.delete("/removed").await.ok();
    assert_eq!(paths.kv(Method::POST, "delete/removed", numbers).await.status, 204);
    assert_eq!(paths.kv(Method::DELETE, "data/removed", "").await.status, 204);
    paths.restore("removed", "").await.ok();
    for version in 1..=2 {
        let read = paths.get(&format!("/removed?version={version}")).await;
        refused(&read, 404, "version_not_found");
    }
}

#[tokio::test]
async fn what_expires_soon() {
    let (server, paths) = Paths::start().await;
    let put = async |path: &str, after: &str| {
        paths.put(path, json!({"data": {}, "options": {"expires_in": after}})).await;
    };
    put("/soon", "202h").await;
    put("/late", "31d").await;
    put("/first", "2h").await;
    paths.put("/never", json!({"data": {}})).await;
    let names = async |query: &str| {
        let told = paths.get(&format!("/expiring{query}")).await.ok();
        let secrets = told["secrets"].as_array().unwrap().clone();
        secrets.iter().map(|one| one["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // 97: 8 days and 10 hours are 9.
    let told = paths.get("/expiring?days=30").await.ok();
    assert_eq!(
        told,
        json!({"secrets": [
            {"path": "first", "expires_at": "2025-01-02T05:04:05Z", "days_remaining": 1},
            {"path": "soon", "expires_at": "2025-01-10T13:04:05Z", "days_remaining": 9},
        ]})
    );
    // 98
    for query in ["days=0", "days=3651", "days=x", "limit=0", "limit=201"] {
        assert_eq!(
            faulty(&paths.get(&format!("/expiring?{query}")).await),
            [query.split('=').next().unwrap()]
        );
    }
    assert_eq!(names("").await, ["first", "soon"]);
    assert_eq!(names("?days=40").await, ["first", "soon", "late"]);
    assert_eq!(names("?prefix=so").await, ["soon"]);
    server.clock.advance(3 * 3_600);
    assert_eq!(names("").await, ["soon"]);
    assert_eq!(names("?include_expired=true").await, ["first", "soon"]);
    let first = paths.get("/expiring?include_expired=true").await.ok()["secrets"][0].clone();
    assert_eq!(first["days_remaining"], 0);
    // 100
    paths.patch("/soon", json!({"options": {"expires_in": "1h"}})).await.ok();
    assert_eq!(names("?include_expired=true").await, ["first", "soon"]);
    paths.delete("/first").await.ok();
    assert_eq!(names("?include_expired=true").await, ["soon"]);
    paths.patch("/soon", json!({"options": {"expires_at": null}})).await.ok();
    assert!(names("?include_expired=true").await.is_empty());
    // 99
    for n in 0..70 {
        put(&format!("/many/{n:02}"), "5d").await;
    }
    let page = paths.get("/expiring?limit=40").await.ok();
    assert_eq!((page["secrets"].as_array().unwrap().len(), &page["has_more"]), (40, &json!(true)));
    let cursor = page["cursor"].as_str().unwrap();
    let rest = paths.get(&format!("/expiring?limit=40&cursor={cursor}")).await.ok();
    assert_eq!(rest["secrets"].as_array().unwrap().len(), 30);
    refused(&paths.get("/expiring?cursor=AAAA").await, 400, "invalid_cursor");
}

/// Cases 78 and 43: what has passed while the server was down is judged by the clock; and two who change different
/// things at once both do.
#[tokio::test]
async fn time_passes_while_the_server_is_down() {
    let mut server = TestServer::start_with(|config| {
        config.secrets.retention = Span(Duration::from_secs(24 * 3_600));
    })
    .await;
    let paths = Paths { client: server.tenant().await };
    paths.three("a").await;
    paths.three("over").await;
    paths.delete("/over").await.ok();
    let (one, other) = tokio::join!(
        paths.patch("/a", json!({"metadata": {"owner": "team:x"}})),
        paths.patch("/a", json!({"metadata": {"tags": ["t"]}})),
    );
    let (_, _) = (one.ok(), other.ok());
    let told = paths.get("/metadata/a").await.ok();
    assert_eq!(told["metadata"], json!({"owner": "team:x", "tags": ["t"]}));
    paths.delete("/a").await.ok();
    server.clock.advance(DAY - 3_600);
    assert!(paths.get("/metadata/a?include_deleted=true").await.status.is_success());
    server.stop().await;
    server.clock.advance(2 * 3_600);
    server.start_again().await.unwrap();
    let paths = Paths { client: server.at(&paths.client) };
    for rest in ["/a", "/a?version=1", "/metadata/a?include_deleted=true"] {
        refused(&paths.get(rest).await, 404, "secret_not_found");
    }
    refused(&paths.restore("a", "").await, 404, "secret_not_found");
    assert_eq!(paths.put("/a", json!({"data": {}})).await.json()["version"], 1);
    assert_eq!(paths.kv(Method::GET, "data/a?version=3", "").await.status, 404);
    // Whoever looks for what has become of a secret finds who has erased it.
    let erased = || {
        let trail = std::fs::read_to_string(server.path("audit.log")).unwrap();
        let records = trail.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let is_one = |one: &Value| {
            one["operation"] == "EraseRemovedSecret"
                && one["type"] == "request"
                && one["resource"] == "over"
        };
        records.filter(is_one).collect::<Vec<_>>()
    };
    eventually("erased", async || !erased().is_empty()).await;
    let [record] = erased().try_into().unwrap();
    assert_eq!(
        (&record["subject"], &record["effect"], &record["status"]),
        (&json!("system:retention"), &json!("permit"), &json!(200))
    );
    assert_eq!(record["changes"][0]["change"], "secrets.sweep");
    assert_eq!(record["tenant"].as_str().unwrap(), paths.client.id);
}
