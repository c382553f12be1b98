//! Nothing that is secret may leave by a side door: the log, the metrics, the disk, the audit trail.

mod everywhere;

use std::path::Path;

use hyper::Method;
use okmsd::config::{AuditDevice, AuditFormat};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::harness::{Client, Lines, TestServer, audit_file};

const VALUE: &str = "canary-value-5d41";
const VALUE_KEY: &str = "canary-key-5d41";
const METADATA: &str = "canary-metadata-5d41";
const METADATA_KEY: &str = "canary-label-5d41";
const DOMAIN_NAME: &str = "canary-domain-5d41";
const SECRET: &str = "canary-path-5d41/db";

/// What is kept of a password begins so.
const KEPT: &str = "$argon2id";

/// What must not be found anywhere but in answers.
const HIDDEN: &[&str] = &[VALUE, VALUE_KEY, METADATA, METADATA_KEY, DOMAIN_NAME, KEPT];

fn contains(bytes: &[u8], text: &str) -> bool {
    // Much faster than to look at each window.
    String::from_utf8_lossy(bytes).contains(text)
}

/// A domain whose name has the canary in it; no two have one name.
async fn domain(server: &TestServer) -> Client {
    let body = json!({ "name": crate::harness::unique(DOMAIN_NAME) }).to_string();
    let created = server.operator().call(Method::POST, "/v2/okms/resource", &body).await.ok();
    server.client_of(created["id"].as_str().unwrap(), crate::harness::Http::One)
}

/// Writes the canaries in every way there is, with right requests and wrong ones. The tokens that
/// came of it, which must not be found either.
async fn plant(client: &Client) -> Vec<String> {
    let data = json!({VALUE_KEY: VALUE, "many": VALUE.repeat(500)});
    let metadata = json!({"customMetadata": {METADATA_KEY: METADATA}});
    let create =
        json!({"path": SECRET, "metadata": metadata, "version": {"data": data}}).to_string();
    client.post("secret", &create).await.ok();
    client.post("secret", &create).await.error(409, 50_438_145);
    client.post("secret", &create[..create.len() - 1]).await.error(400, 50_405_377);
    let version = json!({"data": data}).to_string();
    client.post(&format!("secret/{SECRET}/version"), &version).await.ok();
    client.post(&format!("secret/{SECRET}/version?cas=9"), &version).await.error(400, 50_405_377);
    client
        .put(&format!("secret/{SECRET}"), &json!({"version": {"data": data}}).to_string())
        .await
        .ok();
    client.put(&format!("secret/{SECRET}/version/1"), r#"{"state":"deactivated"}"#).await.ok();
    let user = |at: &str| format!("/api/{}/v1/auth/userpass/{at}/ann", client.id);
    let password = json!({ "password": VALUE }).to_string();
    assert_eq!(client.call(Method::PUT, &user("users"), &password).await.status, 204);
    let login = client.call(Method::PUT, &user("login"), &password).await.ok();
    let token = login["auth"]["client_token"].as_str().unwrap().to_owned();
    // By a token, in Vault's words, where the names of members are asked for and patched.
    let at = |kind: &str| format!("/api/{}/v1/secret/{kind}/{SECRET}", client.id);
    let headers = [("content-type", "application/merge-patch+json")];
    let patch = json!({"data": {VALUE_KEY: VALUE}}).to_string();
    client.send(Method::PATCH, &at("data"), &headers, patch.clone()).await.ok();
    let headers = [headers[0], ("x-vault-token", &*token)];
    let denied = client.send(Method::PATCH, &at("data"), &headers, patch).await;
    assert_eq!(denied.status, 403, "the user may nothing");
    let subkeys = client.call(Method::GET, &at("subkeys"), "").await;
    assert!(subkeys.text().contains(VALUE_KEY));
    let wrapped = client.send(Method::GET, &at("data"), &[("x-vault-wrap-ttl", "60")], "").await;
    let wrapping = wrapped.ok()["wrap_info"]["token"].as_str().unwrap().to_owned();
    // By a URI, in which a member's name is.
    let uri = format!("openbao+kv2://secret/{SECRET}#{VALUE_KEY}");
    let part = json!({"uri": uri, "value": VALUE}).to_string();
    client.call(Method::POST, "/api/secrets", &part).await.ok();
    let into = json!({"fromUri": uri, "toUri": format!("{uri}2")}).to_string();
    client.call(Method::POST, "/api/secrets/copy", &into).await.ok();
    let at = |query: &str| format!("/api/secrets{query}?uri={}", uri.replace('#', "%23"));
    assert!(client.call(Method::GET, &at("/value"), "").await.text().contains(VALUE));
    let nothing =
        client.call(Method::DELETE, &format!("{}/x", at("").replace("%23", "%23/")), "").await;
    assert_eq!(nothing.status, 404, "{nothing:?}");
    let wrong = json!({ "password": format!("{VALUE}x") }).to_string();
    client.call(Method::PUT, &user("login"), &wrong).await.error(400, 50_405_377);
    let shown = client.call(Method::GET, &user("users"), "").await;
    assert!(!shown.text().contains(KEPT), "{shown:?}");
    let read = client.get(&format!("secret/{SECRET}?includeData=true")).await;
    assert!(
        HIDDEN[..4].iter().all(|canary| read.text().contains(canary)),
        "the canaries are planted"
    );
    vec![token, wrapping]
}

#[tokio::test]
async fn the_log_tells_no_secret_at_debug_level() {
    let log = Lines::default();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("debug"))
        .with_writer(log.clone())
        .with_ansi(false)
        .try_init()
        .expect("no other test of this binary starts a log");
    let server = TestServer::start().await;
    let mut tokens = Vec::new();
    for http in crate::harness::BOTH {
        let client = domain(&server).await.over(http);
        tokens.extend(plant(&client).await);
        client.delete(&format!("secret/{SECRET}")).await;
    }
    let (_, metrics) = server.admin("/metrics").await;
    let key = std::fs::read_to_string(server.path("root.key")).unwrap();
    let text = log.all().into_bytes();
    for operation in ["PostSecretV2", "GetSecretV2", "PostSecretVersionV2", "DeleteSecretV2"] {
        assert!(contains(&text, operation), "the log is at work: {operation}");
        assert!(metrics.contains(operation));
    }
    for hidden in HIDDEN.iter().copied().chain([SECRET, &SECRET.replace('/', "%2F"), key.trim()]) {
        assert!(!contains(&text, hidden), "{hidden} is in the log");
        assert!(!metrics.contains(hidden), "{hidden} is in the metrics");
    }
    assert!(tokens.iter().all(|token| !contains(&text, token) && !metrics.contains(token)));
}

/// All files of the store, in one.
fn disk(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).flat_map(|path| std::fs::read(path).unwrap()).collect()
}

#[tokio::test]
async fn the_disk_shows_paths_and_nothing_else() {
    // The audit trail is there, too, in both of its forms.
    let mut server = TestServer::start_with(|config| {
        let path = config.store.path.with_file_name("vault.log");
        let format = AuditFormat::Vault;
        config.audit.device.push(AuditDevice { format, required: false, ..audit_file(path) });
    })
    .await;
    let client = domain(&server).await;
    let tokens = plant(&client).await;
    let assert_hidden = |when: &str| {
        let bytes = disk(server.folder.path());
        for hidden in HIDDEN {
            assert!(!contains(&bytes, hidden), "{hidden} is on the disk {when}");
        }
        for token in &tokens {
            assert!(!contains(&bytes, token), "a token is on the disk {when}");
        }
        bytes
    };
    let in_vaults_form = std::fs::read(server.path("vault.log")).unwrap();
    assert!(contains(&in_vaults_form, SECRET) && contains(&in_vaults_form, "okmsd/"));
    // The search finds what is there.
    assert!(contains(&assert_hidden("while the server runs"), SECRET));
    client.put(&format!("secret/{SECRET}/version/1"), r#"{"state":"deleted"}"#).await.ok();
    assert_hidden("after a version was deleted");
    client.delete(&format!("secret/{SECRET}")).await;
    assert_hidden("after the secret was deleted");
    client.create("another", "{}").await.ok();
    let folder = server.folder.path().to_owned();
    server.stop().await;
    let bytes = disk(&folder);
    assert!(HIDDEN.iter().all(|hidden| !contains(&bytes, hidden)), "after the server has stopped");
}

/// What Debug shows of a request's parts is what a careless log line would show.
#[test]
fn secrets_do_not_print() {
    let value = okmsd::crypto::SecretValue::new(VALUE.as_bytes().to_vec());
    assert!(!format!("{value:?} {value:#?}").contains(VALUE));
    let path: okmsd::model::SecretPath = SECRET.parse().unwrap();
    assert!(!format!("{path:?} {path:#?}").contains("canary"));
    let entries = [(METADATA_KEY.to_owned(), METADATA.to_owned())];
    let metadata = okmsd::model::CustomMetadata::from_entries(entries).unwrap();
    assert!(!format!("{metadata:?} {metadata:#?}").contains("canary"));
}
