//! What clients ask of `sys` and `auth` besides secrets.

use serde_json::{Value, json};

use super::{DENIED, Vault, part};
use crate::{
    harness::{BOTH, START_TEXT, TestServer},
    wire::{self, Wire},
};

/// The status of a HEAD, which has no body to look at.
async fn head(vault: &Vault, path: &str) -> u16 {
    let mut wire = Wire::open(&vault.client).await;
    let url = format!("{}/{path}", vault.base);
    wire.send(format!("HEAD {url} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")).await;
    wire.until_closed().await;
    let text = wire.text();
    assert!(text.ends_with("\r\n\r\n"), "a HEAD has no body: {text}");
    wire::statuses(&text)[0]
}

#[tokio::test]
async fn a_server_that_is_up() {
    let (server, vault) = Vault::start().await;
    let root = vault.root();
    let nobody = Vault { client: server.anonymous(), ..root.clone() };
    for caller in [root.clone(), root.at("/v1"), nobody.clone(), nobody.at("/v1")] {
        // Bare objects, as of Vault: no envelope.
        let health = caller.get("sys/health").await.ok();
        let expected = json!({
            "initialized": true, "sealed": false, "standby": false, "performance_standby": false,
            "server_time_utc": crate::harness::START,
        });
        assert_eq!(part(&health, &expected), expected);
        for name in [
            "version",
            "cluster_name",
            "cluster_id",
            "replication_performance_mode",
            "replication_dr_mode",
        ] {
            assert!(health[name].is_string(), "{name}: {health}");
        }
        let seal = caller.get("sys/seal-status").await.ok();
        let expected = json!({"initialized": true, "sealed": false, "progress": 0, "nonce": "", "migration": false});
        assert_eq!(part(&seal, &expected), expected);
        for name in ["type", "version", "build_date", "storage_type", "cluster_name", "cluster_id"]
        {
            assert!(seal[name].is_string(), "{name}: {seal}");
        }
        assert!(
            seal["t"].is_u64() && seal["n"].is_u64() && seal["recovery_seal"].is_boolean(),
            "{seal}"
        );
        assert_eq!(caller.get("sys/leader").await.ok()["ha_enabled"], false);
        assert_eq!(caller.get("sys/init").await.ok(), json!({"initialized": true}));
        assert_eq!(caller.get("sys/health?standbyok=true").await.status, 200);
        // The codes can be chosen, those of other states too.
        assert_eq!(
            caller.get("sys/health?activecode=299&standbycode=200&sealedcode=200").await.status,
            299
        );
        assert_eq!(head(&caller, "sys/health?activecode=204").await, 204);
        caller.get("sys/health?activecode=fine").await.refused_with(400, "");
        // hvac asks so.
        assert_eq!(head(&caller, "sys/health").await, 200);
    }
}

#[tokio::test]
async fn a_head_is_for_health_only() {
    let (server, vault) = Vault::start().await;
    vault.write("foo", json!({})).await;
    for path in ["data/foo", "metadata/foo", "data/unknown", "config"] {
        assert_eq!(head(&vault, path).await, 405, "{path}");
    }
    let nobody = Vault { client: server.anonymous(), ..vault.clone() };
    assert_eq!(head(&nobody, "data/foo").await, head(&nobody, "data/unknown").await);
}

/// What the CLI asks before each `kv` command. A version that is no text makes it crash; a 404
/// makes it speak KV 1.
#[tokio::test]
async fn the_mount_of_a_path() {
    let (_server, vault) = Vault::start().await;
    let root = vault.root();
    root.post("sys/mounts/team/one", json!({"type": "kv-v2"})).await.nothing();
    for caller in [root.clone(), root.at("/v1")] {
        for (path, mount) in [
            ("secret", "secret/"),
            ("secret/", "secret/"),
            ("secret/foo", "secret/"),
            ("secret/foo/bar", "secret/"),
            // 14.128
            ("secret/secret", "secret/"),
            ("team/one", "team/one/"),
            ("team/one/foo", "team/one/"),
            ("ibmcloud/kv", "ibmcloud/kv/"),
            ("ibmcloud/kv/foo/bar", "ibmcloud/kv/"),
        ] {
            let shown =
                caller.get(&format!("sys/internal/ui/mounts/{path}")).await.envelope()["data"]
                    .clone();
            let expected = json!({"path": mount, "type": "kv", "options": {"version": "2"}});
            assert_eq!(part(&shown, &expected), expected, "{path}");
        }
        for (path, shown) in
            [("nowhere/foo", "nowhere/foo/"), ("team", "team/"), ("secrets/x", "secrets/x/")]
        {
            let text = format!(
                "preflight capability check returned 403, please ensure client's policies grant access to path \
                 \"{shown}\""
            );
            caller.get(&format!("sys/internal/ui/mounts/{path}")).await.refused(403, &text);
        }
    }
    let all = root.get("sys/internal/ui/mounts").await.envelope()["data"].clone();
    assert_eq!(all["secret"]["secret/"]["options"]["version"], "2");
    assert!(all["secret"]["team/one/"].is_object() && all["auth"].is_object(), "{all}");
}

#[tokio::test]
async fn what_a_caller_may() {
    let (_server, vault) = Vault::start().await;
    let root = vault.root();
    let paths = ["secret/data/foo", "secret/metadata/"];
    let shown =
        root.post("sys/capabilities-self", json!({ "paths": paths })).await.envelope()["data"]
            .clone();
    for path in paths {
        let allowed: Vec<_> =
            shown[path].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        assert!(!allowed.is_empty() && !allowed.contains(&"deny"), "{path}: {allowed:?}");
    }
    let one = root
        .post("sys/capabilities-self", json!({"path": "secret/data/foo"}))
        .await
        .envelope()["data"]
        .clone();
    assert_eq!(one["capabilities"], one["secret/data/foo"]);
    assert!(one["capabilities"].is_array(), "{one}");
}

#[tokio::test]
async fn ways_to_log_in() {
    let (_server, vault) = Vault::start().await;
    let methods = vault.root().get("sys/auth").await.envelope()["data"].clone();
    assert_eq!(
        [&methods["cert/"]["type"], &methods["token/"]["type"], &methods["userpass/"]["type"]],
        [&json!("cert"), &json!("token"), &json!("userpass")]
    );
}

/// Left for later, and said so.
#[tokio::test]
async fn what_is_not_there_yet() {
    let (_server, vault) = Vault::start().await;
    let root = vault.root();
    for (method, path) in [
        ("PUT", "auth/ldap/login/me"),
        ("PUT", "auth/approle/login"),
        ("PUT", "database/config/x"),
        ("GET", "database/creds/x"),
    ] {
        let said = root.send(method, path, "").await.refused_with(400, " ");
        assert!(said.len() > 15, "{method} {path}: {said}");
    }
}

/// Who has no certificate sees the state of the server and nothing else, and learns nothing of what
/// there is.
#[tokio::test]
async fn without_a_certificate() {
    let (server, vault) = Vault::start().await;
    vault.write("foo", json!({})).await;
    let nobody = Vault { client: server.anonymous(), ..vault.root() };
    for http in BOTH {
        let nobody = Vault { client: nobody.client.over(http), ..nobody.clone() };
        for base in [
            nobody.base.clone(),
            "/v1".to_owned(),
            format!("/v1{}", nobody.base.trim_end_matches("/v1")),
        ] {
            let caller = nobody.at(base);
            for (method, path, body) in [
                ("GET", "secret/data/foo", ""),
                ("GET", "secret/data/unknown", ""),
                ("GET", "secret/data/..", ""),
                ("PUT", "secret/data/foo", "not json"),
                ("LIST", "secret/metadata", ""),
                ("GET", "secret/metadata?list=perhaps", ""),
                ("GET", "secret/config", ""),
                ("GET", "nowhere/data/foo", ""),
                ("GET", "sys/mounts", ""),
                ("POST", "sys/mounts/team", r#"{"type":"kv-v2"}"#),
                ("GET", "sys/internal/ui/mounts/secret", ""),
                ("GET", "sys/auth", ""),
                ("POST", "sys/capabilities-self", "{}"),
                ("PUT", "auth/cert/login", "{}"),
                ("POST", "auth/token/create", "{}"),
                ("GET", "auth/token/lookup-self", ""),
                ("PUT", "sys/wrapping/unwrap", r#"{"token":"x"}"#),
            ] {
                let answer = caller.send(method, path, body).await;
                answer.error(401, 50_475_011);
            }
            caller.token("okms.a.b").get("secret/data/foo").await.refused(403, DENIED);
        }
    }
    // As for a domain that there is not.
    let unknown = nobody.at("/api/9c4f0c2e-5d0b-4a56-8c11-2a1d1f1f7a10/v1");
    let (known, unknown) =
        (nobody.get("secret/data/foo").await, unknown.get("secret/data/foo").await);
    assert_eq!(known.likeness(), unknown.likeness());
}

/// A stranger to the domain, but not to the server: `/v1` is where its own secrets are.
#[tokio::test]
async fn each_certificate_has_its_own_v1() {
    let server = TestServer::start().await;
    let domains = [Vault::of(&server.tenant().await), Vault::of(&server.tenant().await)];
    for vault in &domains {
        vault.at("/v1/secret").write("whose", json!({"of": vault.client.id})).await;
    }
    for vault in &domains {
        for base in ["/v1/secret".to_owned(), vault.base.clone()] {
            let shown = vault.at(base).read("whose").await;
            assert_eq!(shown["data"]["of"], Value::from(vault.client.id.clone()));
            assert_eq!(shown["metadata"]["created_time"], START_TEXT);
            assert_eq!(shown["metadata"]["version"], 1);
        }
    }
}

/// A status that has no body came with one, which breaks HTTP/2.
#[tokio::test]
async fn a_chosen_status_without_a_body() {
    let (_server, vault) = Vault::start().await;
    for http in crate::harness::BOTH {
        let root = Vault { client: vault.client.over(http), ..vault.root() };
        for code in [204, 205, 304] {
            let answer = root.get(&format!("sys/health?activecode={code}")).await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (code, 0), "{http:?}");
        }
    }
}

/// Paths that are named like the envelope's members must not stand in their place.
#[tokio::test]
async fn capabilities_of_paths_with_unlucky_names() {
    let (_server, vault) = Vault::start().await;
    let paths = ["data", "request_id", "auth", "capabilities", "secret/x"];
    let answer = vault.root().post("sys/capabilities-self", json!({ "paths": paths })).await;
    let names = answer.text().matches("\"request_id\":").count();
    assert_eq!(names, 2, "one of the envelope, one within data: {}", answer.text());
    let body = answer.json();
    assert!(
        body["request_id"].is_string() && body["data"].is_object() && body["auth"].is_null(),
        "{body}"
    );
    assert!(body["secret/x"].is_array() && body["data"]["request_id"].is_array());
}
