//! A domain's defaults.

use hyper::Method;
use serde_json::json;

use crate::harness::TestServer;

#[tokio::test]
async fn defaults_are_set_in_part_and_null_leaves_them_alone() {
    let (_server, client) = TestServer::with_tenant().await;
    let shown = |cas: bool, after: &str, max: u32| json!({"casRequired": cas, "deactivateVersionAfter": after, "maxVersions": max});
    assert_eq!(client.get("secretConfig").await.ok(), shown(false, "0s", 0));
    for (body, expected) in [
        (r#"{"maxVersions":24}"#, shown(false, "0s", 24)),
        (r#"{"deactivateVersionAfter":"1d"}"#, shown(false, "1d", 24)),
        (r#"{"cas_required":true,"deactivate_version_after":90}"#, shown(true, "90", 24)),
        ("{}", shown(true, "90", 24)),
        (r#"{"casRequired":null,"max_versions":24000}"#, shown(true, "90", 24_000)),
        (r#"{"deactivateVersionAfter":null,"maxVersions":null}"#, shown(true, "90", 24_000)),
        (r#"{"deactivateVersionAfter":"0s"}"#, shown(true, "0s", 24_000)),
        (r#"{"maxVersions":0,"casRequired":false}"#, shown(false, "0s", 0)),
    ] {
        assert_eq!(client.put("secretConfig", body).await.ok(), expected, "{body}");
        assert_eq!(client.get("secretConfig").await.ok(), expected, "{body}");
        assert_eq!(client.get("secretConfig/").await.ok(), expected, "{body}");
    }
}

/// okms-cli changes the defaults through the KV2 route.
#[tokio::test]
async fn defaults_are_set_as_okms_cli_does() {
    let (_server, client) = TestServer::with_tenant().await;
    let path = format!("/api/{}/v1/secret/config", client.id);
    let body = r#"{"cas_required":true,"delete_version_after":"1d","max_versions":24}"#;
    assert_eq!(client.call(Method::POST, &path, body).await.status, 204);
    let expected = json!({"casRequired": true, "deactivateVersionAfter": "1d", "maxVersions": 24});
    assert_eq!(client.get("secretConfig").await.ok(), expected);
    client.call(Method::POST, &path, r#"{"max_versions":24001}"#).await.error(400, 50_405_377);
    assert_eq!(client.get("secretConfig").await.ok(), expected);
}

#[tokio::test]
async fn what_cannot_be_a_default_is_refused_as_a_whole() {
    let (_server, client) = TestServer::with_tenant().await;
    for body in [
        "",
        "[]",
        r#"{"maxVersions":5,"casRequired":"true"}"#,
        r#"{"maxVersions":5,"casRequired":1}"#,
        r#"{"maxVersions":5,"deactivateVersionAfter":"soon"}"#,
        r#"{"casRequired":true,"maxVersions":24001}"#,
        r#"{"casRequired":true,"maxVersions":5,"max_versions":5}"#,
        r#"{"casRequired":true,"casRequired":true}"#,
    ] {
        client.put("secretConfig", body).await.error(400, 50_405_377);
    }
    assert_eq!(client.get("secretConfig").await.ok()["maxVersions"], 0);
    assert_eq!(client.get("secretConfig").await.ok()["casRequired"], false);
}

/// The defaults of one domain are nobody else's, and are no setting of a secret.
#[tokio::test]
async fn defaults_are_one_domains() {
    let (server, client) = TestServer::with_tenant().await;
    let other = server.tenant().await;
    client
        .put(
            "secretConfig",
            r#"{"casRequired":true,"maxVersions":1,"deactivateVersionAfter":"1s"}"#,
        )
        .await
        .ok();
    for client in [&client, &other] {
        client.create("a", "{}").await.ok();
        let metadata = client.get("secret/a").await.ok()["metadata"].clone();
        assert_eq!(metadata["casRequired"], false);
        assert_eq!(metadata["maxVersions"], 0);
        assert_eq!(metadata["deactivateVersionAfter"], "0s");
    }
    server.clock.advance(1);
    other.post("secret/a/version", r#"{"data":{}}"#).await.ok();
    assert_eq!(other.get("secret/a/version").await.ok().as_array().unwrap().len(), 2);
    assert_eq!(other.get("secret/a?version=1").await.ok()["version"]["state"], "active");
    assert_eq!(client.get("secret/a").await.ok()["version"]["state"], "deactivated");
    assert_eq!(other.get("secretConfig").await.ok()["maxVersions"], 0);
}

/// A secret's setting that the domain's default overrules is stored, and the answer says that it
/// has no effect.
#[tokio::test]
async fn overruled_settings_are_warned_of() {
    let (_server, client) = TestServer::with_tenant().await;
    client.put("secretConfig", r#"{"casRequired":true,"deactivateVersionAfter":"1h"}"#).await.ok();
    for (index, (settings, warns)) in [
        (r#""casRequired":false"#, vec!["casRequired"]),
        (r#""casRequired":true"#, vec![]),
        (r#""deactivateVersionAfter":"2h""#, vec!["deactivateVersionAfter"]),
        (r#""deactivateVersionAfter":"0s""#, vec!["deactivateVersionAfter"]),
        (r#""deactivateVersionAfter":"1h""#, vec![]),
        (r#""deactivateVersionAfter":"1m""#, vec![]),
        (r#""maxVersions":100"#, vec![]),
        (
            r#""casRequired":false,"deactivateVersionAfter":"2h""#,
            vec!["casRequired", "deactivateVersionAfter"],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let path = index.to_string();
        let created = client
            .post("secret", &format!(r#"{{"path":"{path}",{settings},"version":{{"data":{{}}}}}}"#))
            .await;
        let updated = client.put(&format!("secret/{path}"), &format!("{{{settings}}}")).await;
        for warnings in [created.warnings(), updated.warnings()] {
            assert_eq!(warnings.len(), warns.len(), "{settings}: {warnings:?}");
            assert!(
                warns.iter().zip(warnings).all(|(expected, text)| text.contains(expected)),
                "{settings}"
            );
        }
    }
}
