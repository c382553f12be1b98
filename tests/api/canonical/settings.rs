//! What the configuration says of the dialect.

use hyper::Method;
use okmsd::config::MountName;
use serde_json::json;

use super::{Uris, is};
use crate::harness::TestServer;

fn mounts(names: &[&str]) -> Vec<MountName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// 12: which mounts URIs name is for the configuration to say; other dialects see them all.
#[tokio::test]
async fn mounts_that_are_allowed() {
    let allowed = |names: &[&str]| {
        let names = mounts(names);
        TestServer::start_with(move |config| config.secrets_api.allowed_mounts = names)
    };
    let server = allowed(&["secret/"]).await;
    let uris = Uris { client: server.tenant().await };
    let made = uris.kv(Method::POST, "sys/mounts/team", r#"{"type":"kv-v2"}"#).await;
    assert_eq!(made.status, 204);
    let not_here = "400 TENANT_MOUNT_MISMATCH";
    uris.says(&[
        (r#"POST {"uri":"U team/a","value":{"t":1}}"#, "200"),
        ("GET value openbao+kv2://team/a", not_here),
        ("GET value openbao+kv2://ibmcloud/kv/team/a", not_here),
        (r#"POST {"uri":"openbao+kv2://team/a","value":{}}"#, not_here),
        ("DELETE openbao+kv2://team/a", not_here),
        ("GET metadata ?prefix=openbao+kv2://team/", not_here),
        ("GET metadata ?mount=team", not_here),
        (r#"POST copy {"fromUri":"U team/a","toUri":"vault+kv2://team/b"}"#, not_here),
        ("GET value U team/a", r#"{"t":1}"#),
    ])
    .await;
    let kv = uris.kv(Method::GET, "team/data/a", "").await.ok();
    assert_eq!(kv["data"]["data"], json!({"t": 1}));
    let server = allowed(&["team", "ibmcloud/kv"]).await;
    let uris = Uris { client: server.tenant().await };
    uris.kv(Method::POST, "sys/mounts/team", r#"{"type":"kv-v2"}"#).await;
    uris.says(&[
        (r#"POST {"uri":"okms+kv2://team/a","value":{}}"#, "200"),
        ("GET value U team/a", not_here),
        ("GET metadata", not_here),
        ("GET value openbao+kv2://ibmcloud/kv/team/a", "200"),
    ])
    .await;
}

/// 81: how long a page is where nobody says.
#[tokio::test]
async fn pages_are_as_long_as_is_set() {
    let server = TestServer::start_with(|config| config.secrets_api.page_size = 2).await;
    let uris = Uris { client: server.tenant().await };
    uris.client.create_all(&["a", "b", "c"].map(str::to_owned)).await;
    for (case, limit, found) in
        [("GET metadata", 2, 2), ("GET search ?q=zz&in=all", 2, 0), ("GET metadata ?limit=3", 3, 3)]
    {
        let page = uris.told(case).await;
        assert_eq!(
            (&page["limit"], page["items"].as_array().unwrap().len()),
            (&json!(limit), found)
        );
    }
}

/// Where it is turned off there is nothing, for nobody, and no other dialect is touched.
#[tokio::test]
async fn it_can_be_turned_off() {
    let server = TestServer::start_with(|config| config.secrets_api.enabled = false).await;
    let uris = Uris { client: server.tenant().await };
    for case in [
        "GET value U a",
        "GET - U a",
        r#"POST {"uri":"U a","value":{}}"#,
        "DELETE U a",
        r#"POST bulk {"operations":[]}"#,
        "GET metadata",
        "GET nothing",
    ] {
        is(&uris.ask(case).await, "404 NOT_FOUND", case);
        let nobody = Uris { client: server.anonymous() };
        is(&nobody.ask(case).await, "404 NOT_FOUND", case);
    }
    uris.client.create("a", "{}").await.ok();
}
