//! Audit devices as operators see, enable and disable them.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use hyper::Method;
use okmsd::config::{AuditDevice, AuditDeviceKind, AuditFormat, SyslogAddress};
use serde_json::{Value, json};

use crate::{
    audit::{trail, trail_at},
    harness::{Answer, Client, TestServer, audit_file, eventually},
};

const FORBIDDEN: u32 = 16_924_673;

async fn listed(client: &Client) -> Value {
    client.call(Method::GET, "/v1/sys/audit", "").await.ok()["data"].clone()
}

async fn enable(client: &Client, name: &str, options: Value) -> Answer {
    let body = json!({"type": "file", "description": "for the SIEM", "options": options});
    client.call(Method::PUT, &format!("/v1/sys/audit/{name}"), &body.to_string()).await
}

async fn disable(client: &Client, name: &str) -> Answer {
    client.call(Method::DELETE, &format!("/v1/sys/audit/{name}"), "").await
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn those_of_the_config_are_listed_for_operators_and_stay() {
    let server = TestServer::start_with(|config| {
        let folder = config.store.path.parent().unwrap().to_owned();
        let device = AuditDevice {
            required: false,
            format: AuditFormat::Vault,
            ..audit_file(folder.join("in_vaults_form.log"))
        };
        config.audit.device.push(device.clone());
        config.audit.device.push(AuditDevice {
            kind: AuditDeviceKind::Syslog,
            path: None,
            address: Some(SyslogAddress::Unix(folder.join("nobody"))),
            ..device
        });
    })
    .await;
    let (operator, tenant) = (server.operator(), server.tenant().await);
    let device = |path: &str, kind: &str, options: Value| {
        json!({
            "description": "set in the server's config", "local": false, "options": options,
            "path": path, "type": kind,
        })
    };
    let required = |place: &str, to: &str, format: &str, required: &str| json!({ place: to, "format": format, "required": required });
    let path = |name: &str| server.path(name).to_str().unwrap().to_owned();
    let all = json!({
        "config-file/": device(
            "config-file/", "file", required("file_path", &path("audit.log"), "okmsd", "true")
        ),
        "config-file-2/": device(
            "config-file-2/",
            "file",
            required("file_path", &path("in_vaults_form.log"), "vault", "false")
        ),
        "config-syslog/": device(
            "config-syslog/",
            "syslog",
            required("address", &format!("unix:{}", path("nobody")), "vault", "false")
        ),
    });
    assert_eq!(listed(&operator).await, all);
    tenant.call(Method::GET, "/v1/sys/audit", "").await.error(403, FORBIDDEN);
    for name in ["config-file", "config-syslog"] {
        disable(&operator, name).await.refused_with(400, "set in the server's config");
    }
    enable(&operator, "config-more", json!({"file_path": "a.log"}))
        .await
        .refused_with(400, "devices of the config");
    assert_eq!(listed(&operator).await, all);
    // What is not required comes at once, or soon.
    eventually("the request is told in Vault's form", async || {
        lines(&server.path("in_vaults_form.log")).iter().any(|line| {
            let path = &line["request"]["path"];
            line["type"] == "response" && path == "okmsd/VaultAuditDevices"
        })
    })
    .await;
}

#[tokio::test]
async fn a_file_is_enabled_comes_back_and_is_disabled() {
    let (mut server, tenant) = TestServer::with_tenant().await;
    let operator = server.operator();
    let file = server.path("audit/vault.log");
    tenant.create("before", "{}").await.ok();
    assert_eq!(enable(&operator, "file", json!({"file_path": "vault.log"})).await.status, 204);
    let own = server.path("audit/own.log");
    let options = json!({"file_path": own, "format": "okmsd", "required": "false"});
    assert_eq!(enable(&operator, "own", options).await.status, 204);
    assert_eq!((mode(&server.path("audit")), mode(&file)), (0o700, 0o600));
    let all = listed(&operator).await;
    assert_eq!(
        all["file/"],
        json!({
            "description": "for the SIEM", "local": false, "path": "file/", "type": "file",
            "options": {"file_path": file, "format": "vault", "required": "true"},
        })
    );
    assert_eq!(all["own/"]["options"]["required"], "false");
    let again = enable(&operator, "file", json!({"file_path": "other.log"})).await;
    again.refused_with(400, "path already in use");
    let again = enable(&operator, "other", json!({"file_path": "vault.log"})).await;
    again.refused_with(400, "another audit device writes this file");

    let is_told = |path: &str| {
        let path = format!("secret/data/{path}");
        lines(&file).iter().any(|line| line["request"]["path"] == *path)
    };
    tenant.create("during", "{}").await.ok();
    assert!(is_told("during") && !is_told("before"));
    server.restart().await;
    let (operator, tenant) = (server.at(&operator), server.at(&tenant));
    assert_eq!(listed(&operator).await, all);
    tenant.create("after", "{}").await.ok();
    assert!(is_told("after"));

    // It counts as one of the config does: while it takes nothing, nothing is changed; and it can be
    // taken away all the same.
    let link = server.path("link");
    symlink("/dev/full", &link).unwrap();
    fs::rename(link, &file).unwrap();
    eventually("changes are refused", async || {
        tenant.put("secretConfig", r#"{"maxVersions":7}"#).await.status == 503
    })
    .await;
    assert_eq!(disable(&operator, "file").await.status, 204);
    tenant.create("later", "{}").await.ok();
    assert_eq!(disable(&operator, "file").await.status, 204, "as Vault has it");
    let before = lines(&own).len();
    assert_eq!(disable(&operator, "own").await.status, 204);
    let own_lines = lines(&own);
    assert!(own_lines.len() > before);
    tenant.create("last", "{}").await.ok();
    assert_eq!(lines(&own), own_lines);
    // The restart has left no gap in it.
    let (_, proven) = trail_at(&server, &own);
    assert!(proven.first > 1 && proven.signed > proven.first, "{proven:?}");
    eventually("the figures forget it", async || {
        let (_, figures) = server.admin("/metrics").await;
        !figures.contains("own.log") && figures.contains("audit.log")
    })
    .await;
    server.restart().await;
    assert_eq!(listed(&server.at(&operator)).await.as_object().unwrap().len(), 1);
    // The chain is whole, whoever else got it, and tells who did that.
    let (records, _) = trail(&server);
    for change in ["audit_devices.enable", "audit_devices.disable"] {
        assert!(records.iter().any(|record| {
            record["changes"][0]["change"] == change && record["changes"][0]["happened"] == true
        }));
    }
}

/// CVE-2025-6000: whoever could have the audit trail written where he liked, in what he liked, had it
/// run.
#[tokio::test]
async fn nothing_that_a_client_says_of_a_file_has_it_be_elsewhere_or_more() {
    let (mut server, tenant) = TestServer::with_tenant().await;
    let operator = server.operator();
    let folder = server.path("audit");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let outside = server.path("outside.log");
    fs::write(&outside, "").unwrap();
    symlink(&outside, folder.join("link.log")).unwrap();
    symlink(server.path("none.log"), folder.join("dangling.log")).unwrap();
    fs::hard_link(&outside, folder.join("hard.log")).unwrap();
    fs::create_dir(folder.join("folder.log")).unwrap();
    let write = |name: &str, text: &str, mode: u32| {
        fs::write(folder.join(name), text).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    write("other.log", "ssh-ed25519 AAAA somebody\n", 0o600);
    write("open.log", "", 0o644);
    write("run.log", "", 0o700);
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let files: Vec<(String, &str)> = vec![
        (path("../outside.log"), "plain name"),
        (outside.to_str().unwrap().to_owned(), "plain name"),
        ("/vault/logs/audit.log".to_owned(), "plain name"),
        ("../outside.log".to_owned(), "plain name"),
        ("a/b.log".to_owned(), "plain name"),
        ("a\nb.log".to_owned(), "plain name"),
        (path("a.sh"), ".log"),
        ("plugin.so".to_owned(), ".log"),
        ("stdout".to_owned(), "standard output"),
        (String::new(), "file_path is missing"),
        ("audit-00000000000000000042.log".to_owned(), "full"),
        ("link.log".to_owned(), "log says why"),
        ("dangling.log".to_owned(), "log says why"),
        ("folder.log".to_owned(), "log says why"),
        ("hard.log".to_owned(), "something else is there"),
        ("other.log".to_owned(), "something else is there"),
        ("open.log".to_owned(), "something else is there"),
        ("run.log".to_owned(), "something else is there"),
    ];
    // What the server keeps beside its store comes and goes.
    let is_others = |name: &OsString| !name.to_str().unwrap().starts_with("okmsd.redb");
    let names = |folder: &Path| {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(is_others).collect::<BTreeSet<_>>()
    };
    let before = (names(&folder), names(server.folder.path()));
    for (file, words) in &files {
        enable(&operator, "x", json!({"file_path": file})).await.refused_with(400, words);
    }
    for (option, value, words) in [
        ("log_raw", "true", "no record of okmsd has a value"),
        ("hmac_accessor", "true", "accessors"),
        ("mode", "0755", "0600"),
        ("mode", "0644", "0600"),
        ("prefix", "#!/bin/sh\n", "prefix is refused"),
        ("format", "jsonx", "format is json"),
        ("elide_list_responses", "x", "true or false"),
        ("exclude", "[]", "options of an audit device"),
    ] {
        let options = json!({"file_path": "a.log", option: value});
        enable(&operator, "x", options).await.refused_with(400, words);
    }
    let put =
        async |body: Value| operator.call(Method::POST, "/v1/sys/audit/x", &body.to_string()).await;
    for (kind, words) in [("syslog", "server's config"), ("socket", "syslog"), ("", "is file")] {
        let options = json!({"address": "169.254.169.254:80", "file_path": "a.log"});
        put(json!({"type": kind, "options": options})).await.refused_with(400, words);
    }
    let long = json!({"type": "file", "description": "a\u{7}", "options": {"file_path": "a.log"}});
    put(long).await.refused_with(400, "description");
    enable(&operator, "a/b", json!({"file_path": "a.log"})).await.refused_with(400, "letters");
    enable(&tenant, "x", json!({"file_path": "a.log"})).await.error(403, FORBIDDEN);
    disable(&tenant, "config-file").await.error(403, FORBIDDEN);
    assert_eq!((names(&folder), names(server.folder.path())), before);
    assert_eq!(fs::read(&outside).unwrap(), b"");
    // What is harmless of what Vault knows is taken.
    let options = json!({
        "path": path("a.log"), "log_raw": "false", "mode": "0600", "elide_list_responses": "true",
    });
    assert_eq!(enable(&operator, "x", options).await.status, 204);
    // A folder in which others write is none.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    enable(&operator, "y", json!({"file_path": "b.log"})).await.refused_with(400, "log says why");
    assert_eq!(disable(&operator, "x").await.status, 204);
    server.stop().await;
    server.config.audit.folder = None;
    server.start_again().await.unwrap();
    let operator = server.at(&operator);
    let refused = enable(&operator, "x", json!({"file_path": "a.log"})).await;
    refused.refused_with(400, "audit.folder");
}

#[tokio::test]
async fn what_stands_for_a_path_is_told_to_operators() {
    let server = TestServer::start_with(|config| config.audit.paths = false).await;
    let (tenant, other, operator) =
        (server.tenant().await, server.tenant().await, server.operator());
    tenant.create("very/private", "{}").await.ok();
    let hash = async |client: &Client, id: &str, name: &str| {
        let path = format!("/api/{id}/v1/sys/audit-hash/{name}");
        client.call(Method::POST, &path, r#"{"input":"very/private"}"#).await
    };
    let told = hash(&operator, &tenant.id, "config-file").await.ok()["data"]["hash"].clone();
    let (records, _) = trail(&server);
    assert!(records.iter().any(|record| record["resource"] == told), "{told}");
    assert_ne!(hash(&operator, &other.id, "config-file").await.ok()["data"]["hash"], told);
    hash(&tenant, &tenant.id, "config-file").await.error(403, FORBIDDEN);
    hash(&operator, &tenant.id, "none").await.refused_with(400, "no such audit device");
    let nowhere = "/v1/sys/audit-hash/config-file";
    let nowhere = operator.call(Method::PUT, nowhere, r#"{"input":"a"}"#).await;
    nowhere.refused_with(400, "name the domain");
}
