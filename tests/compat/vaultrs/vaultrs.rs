//! Drives a running okmsd with vaultrs, which Rust programs speak to Vault through. The variables
//! of `okmsd dev`'s env.sh say where the server is and who we are.
//!
//! vaultrs puts `/v1` before the address's own path, so that with `VAULT_ADDR` it asks
//! `/v1/api/<okmsId>/…`.
#![cfg(test)]

use std::{
    collections::HashMap,
    env,
    fmt::Debug,
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use serde_json::{Value, json};
use vaultrs::{
    api::{
        AuthInfo, ResponseWrapper,
        kv2::requests::{
            ReadSecretRequest, SetConfigurationRequest, SetSecretMetadataRequest, SetSecretRequestOptions,
        },
        sys::requests::EnableEngineRequest,
        token::requests::{CreateOrphanTokenRequest, CreateTokenRequest},
    },
    auth::cert,
    client::{Client, VaultClient, VaultClientSettingsBuilder},
    error::ClientError,
    kv2, sys, token,
};

/// The mount that is always there.
const MOUNT: &str = "secret";
/// How long a token lives, at first and at most.
const LIFE: u64 = 768 * 3600;

const CAS_MISMATCH: &str = "check-and-set parameter did not match the current version";
const CAS_REQUIRED: &str = "check-and-set parameter required for this call";
const DENIED: &str = "permission denied";
const USED_UP: &str = "wrapping token is not valid or does not exist";

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: source the env.sh of okmsd dev, or start through tests/compat/run.sh")
    })
}

/// The addresses that lead to the domain: with its name, with a slash too many, and by the
/// certificate alone.
fn addresses() -> [String; 3] {
    let named = variable("VAULT_ADDR");
    [named.clone(), format!("{named}/"), variable("KMS_RESTAPI_ENDPOINT")]
}

/// The certificate comes from the environment; a token of whoever runs this must not.
fn settings(address: &str) -> VaultClientSettingsBuilder {
    let _ = (variable("VAULT_CLIENT_CERT"), variable("VAULT_CLIENT_KEY"));
    let mut settings = VaultClientSettingsBuilder::default();
    settings
        .address(address)
        .ca_certs(vec![variable("VAULT_CACERT")])
        .token("")
        .verify(true)
        .timeout(Some(Duration::from_secs(20)));
    settings
}

fn connect_to(address: &str) -> VaultClient {
    VaultClient::new(settings(address).build().unwrap()).unwrap()
}

fn connect() -> VaultClient {
    connect_to(&variable("VAULT_ADDR"))
}

fn nobody() -> VaultClient {
    VaultClient::new(settings(&variable("VAULT_ADDR")).identity(None).build().unwrap()).unwrap()
}

fn holding(token: &str) -> VaultClient {
    let mut client = connect();
    client.set_token(token);
    client
}

/// A name that no other test and no earlier run has used.
fn fresh(name: &str) -> String {
    format!("vaultrs-{:016x}{name}", RandomState::new().build_hasher().finish())
}

/// Checks that the server said no: the status, and the texts.
#[track_caller]
fn refused<T: Debug>(result: Result<T, ClientError>, status: u16, texts: &[&str]) {
    match result {
        Err(ClientError::APIError { code, errors }) => {
            assert_eq!((code, errors.as_slice()), (status, strings(texts).as_slice()))
        }
        other => panic!("want status {status}, got {other:?}"),
    }
}

/// `refused` where the text is not settled, but must be there.
#[track_caller]
fn refused_somehow<T: Debug>(result: Result<T, ClientError>, status: u16) {
    match result {
        Err(ClientError::APIError { code, errors }) => {
            assert_eq!(code, status, "{errors:?}");
            assert!(errors.iter().any(|text| text.contains(' ')), "no sentence: {errors:?}");
        }
        other => panic!("want status {status}, got {other:?}"),
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[track_caller]
fn is_about(got: u64, want: u64) {
    assert!((want.saturating_sub(30)..=want).contains(&got), "got {got}, want {want} or a little less");
}

async fn read(client: &VaultClient, mount: &str, path: &str) -> Result<Value, ClientError> {
    kv2::read(client, mount, path).await
}

/// One secret's life, by every address and every mount that shows the domain.
#[tokio::test]
async fn lifecycle() {
    let own = fresh("");
    sys::mount::enable(&connect(), &own, "kv-v2", None).await.unwrap();
    for address in addresses() {
        for mount in [MOUNT, "ibmcloud/kv", &own] {
            lifecycle_in(&connect_to(&address), mount, &fresh("/nested/secret")).await;
        }
    }
    sys::mount::disable(&connect(), &own).await.unwrap();
}

async fn lifecycle_in(client: &VaultClient, mount: &str, path: &str) {
    let (first, second) = (json!({"user": "app", "password": "one"}), json!({"user": "app", "password": "two"}));
    refused(read(client, mount, path).await, 404, &[]);
    refused(kv2::read_metadata(client, mount, path).await, 404, &[]);

    let made = kv2::set(client, mount, path, &first).await.unwrap();
    assert_eq!((made.version, made.destroyed, made.deletion_time.as_str()), (1, false, ""));
    assert_eq!(made.custom_metadata, None);
    assert!(made.created_time.ends_with('Z'));
    let options = || SetSecretRequestOptions { cas: 1 };
    assert_eq!(kv2::set_with_options(client, mount, path, &second, options()).await.unwrap().version, 2);
    refused(kv2::set_with_options(client, mount, path, &first, options()).await, 400, &[CAS_MISMATCH]);
    assert_eq!(read(client, mount, path).await.unwrap(), second);
    assert_eq!(kv2::read_version::<Value>(client, mount, path, 1).await.unwrap(), first);
    assert_eq!(kv2::read_version::<Value>(client, mount, path, 0).await.unwrap(), second);
    refused(kv2::read_version::<Value>(client, mount, path, 3).await, 404, &[]);

    kv2::delete_latest(client, mount, path).await.unwrap();
    refused(read(client, mount, path).await, 404, &[]);
    assert_eq!(kv2::read_version::<Value>(client, mount, path, 1).await.unwrap(), first);
    kv2::delete_versions(client, mount, path, vec![1, 2, 9]).await.unwrap();
    refused(kv2::read_version::<Value>(client, mount, path, 1).await, 404, &[]);
    kv2::undelete_versions(client, mount, path, vec![1, 2]).await.unwrap();
    assert_eq!(read(client, mount, path).await.unwrap(), second);
    kv2::destroy_versions(client, mount, path, vec![2]).await.unwrap();
    kv2::undelete_versions(client, mount, path, vec![2]).await.unwrap();
    refused(read(client, mount, path).await, 404, &[]);
    let metadata = kv2::read_metadata(client, mount, path).await.unwrap();
    assert_eq!((metadata.current_version, metadata.oldest_version, metadata.versions.len()), (2, 0, 2));
    assert!(metadata.versions["2"].destroyed && !metadata.versions["1"].destroyed);
    assert_eq!(metadata.versions["1"].deletion_time, "");

    let (folder, _) = path.split_once('/').unwrap();
    assert_eq!(kv2::list(client, mount, folder).await.unwrap(), ["nested/"]);
    assert_eq!(kv2::list(client, mount, &format!("{folder}/nested/")).await.unwrap(), ["secret"]);
    assert!(kv2::list(client, mount, "").await.unwrap().contains(&format!("{folder}/")));
    kv2::delete_metadata(client, mount, path).await.unwrap();
    refused(kv2::read_metadata(client, mount, path).await, 404, &[]);
    refused(kv2::list(client, mount, folder).await, 404, &[]);
    kv2::delete_metadata(client, mount, path).await.unwrap();
}

#[tokio::test]
async fn values_and_names() {
    let client = connect();
    let folder = fresh("");
    let value = json!({
        "text": "line\nbreak, \"quotes\", é, 漢字, 😀, \u{0}", "empty": "", "true": true, "null": null,
        "list": ["a", 2, {"deep": []}], "object": {"zip": {}}, "largest": u64::MAX, "least": i64::MIN, "half": 0.5,
    });
    let mut names = ["with blank", "é漢😀", "q?a=b", "h#sh", "100%", "%2F", "data", "metadata", "UPPER"];
    for name in names {
        kv2::set(&client, MOUNT, &format!("{folder}/{name}"), &value).await.unwrap();
    }
    for name in names {
        assert_eq!(read(&client, MOUNT, &format!("{folder}/{name}")).await.unwrap(), value, "{name}");
    }
    names.sort_unstable();
    assert_eq!(kv2::list(&client, MOUNT, &folder).await.unwrap(), names);
    let big = json!({"big": "x".repeat(500 * 1024)});
    kv2::set(&client, MOUNT, &format!("{folder}/data"), &big).await.unwrap();
    assert_eq!(read(&client, MOUNT, &format!("{folder}/data")).await.unwrap(), big);
    refused_somehow(kv2::set(&client, MOUNT, &format!("{folder}/data"), &"text").await, 400);
    for name in names {
        kv2::delete_metadata(&client, MOUNT, &format!("{folder}/{name}")).await.unwrap();
    }
}

#[tokio::test]
async fn metadata() {
    let client = connect();
    let path = fresh("/metadata");
    // No settings are no body at all, and no body makes no secret.
    kv2::set_metadata(&client, MOUNT, &path, None).await.unwrap();
    refused(kv2::read_metadata(&client, MOUNT, &path).await, 404, &[]);

    let owner = HashMap::from([("owner".to_owned(), "billing".to_owned())]);
    let mut all = SetSecretMetadataRequest::builder();
    all.max_versions(5u64).cas_required(true).delete_version_after("3h25m19s").custom_metadata(owner.clone());
    kv2::set_metadata(&client, MOUNT, &path, Some(&mut all)).await.unwrap();
    let got = kv2::read_metadata(&client, MOUNT, &path).await.unwrap();
    assert_eq!((got.max_versions, got.cas_required, got.delete_version_after.as_str()), (5, true, "3h25m19s"));
    assert_eq!((got.current_version, got.oldest_version, got.versions.len()), (0, 0, 0));
    assert_eq!(got.custom_metadata, Some(owner.clone()));
    assert!(got.created_time.ends_with('Z') && got.updated_time.ends_with('Z'));
    refused(read(&client, MOUNT, &path).await, 404, &[]);

    refused(kv2::set(&client, MOUNT, &path, &json!({})).await, 400, &[CAS_REQUIRED]);
    let options = SetSecretRequestOptions { cas: 0 };
    let made = kv2::set_with_options(&client, MOUNT, &path, &json!({}), options).await.unwrap();
    assert_eq!((made.version, made.custom_metadata), (1, Some(owner.clone())));
    assert_ne!(made.deletion_time, "");
    let mut one = SetSecretMetadataRequest::builder();
    kv2::set_metadata(&client, MOUNT, &path, Some(one.cas_required(false))).await.unwrap();
    let got = kv2::read_metadata(&client, MOUNT, &path).await.unwrap();
    assert_eq!((got.cas_required, got.max_versions, got.custom_metadata), (false, 5, Some(owner)));
    let mut wrong = SetSecretMetadataRequest::builder();
    refused_somehow(kv2::set_metadata(&client, MOUNT, &path, Some(wrong.delete_version_after("soon"))).await, 400);
    kv2::delete_metadata(&client, MOUNT, &path).await.unwrap();
}

/// The settings of a mount of its own, so that they bear on nobody else's secrets.
#[tokio::test]
async fn config() {
    let client = connect();
    let own = fresh("");
    sys::mount::enable(&client, &own, "kv-v2", None).await.unwrap();
    let got = kv2::config::read(&client, &own).await.unwrap();
    assert_eq!((got.max_versions, got.cas_required, got.delete_version_after.as_str()), (0, false, "0s"));
    let mut all = SetConfigurationRequest::builder();
    all.max_versions(2u64).cas_required(true).delete_version_after("5m");
    kv2::config::set(&client, &own, Some(&mut all)).await.unwrap();
    kv2::config::set(&client, &own, None).await.unwrap();
    let got = kv2::config::read(&client, &own).await.unwrap();
    assert_eq!((got.max_versions, got.cas_required, got.delete_version_after.as_str()), (2, true, "5m0s"));
    refused(kv2::set(&client, &own, "x", &json!({})).await, 400, &[CAS_REQUIRED]);
    for cas in 0..3 {
        kv2::set_with_options(&client, &own, "x", &json!({}), SetSecretRequestOptions { cas }).await.unwrap();
    }
    let got = kv2::read_metadata(&client, &own, "x").await.unwrap();
    assert_eq!((got.current_version, got.oldest_version, got.versions.len()), (3, 2, 2));
    kv2::delete_metadata(&client, &own, "x").await.unwrap();
    sys::mount::disable(&client, &own).await.unwrap();
    kv2::config::read(&client, MOUNT).await.unwrap();
}

#[tokio::test]
async fn login() {
    for address in addresses() {
        let mut client = connect_to(&address);
        let auth = cert::login(&client, "cert", "web").await.unwrap();
        assert!(auth.client_token.starts_with(&format!("okms.{}.", auth.accessor)));
        assert_eq!((&auth.policies, &auth.token_policies), (&strings(&["default"]), &strings(&["default"])));
        assert_eq!((auth.renewable, auth.orphan, auth.token_type.as_str()), (true, true, "service"));
        is_about(auth.lease_duration, LIFE);
        client.set_token(&auth.client_token);
        let found = client.lookup().await.unwrap();
        assert_eq!(
            (&found.id, &found.accessor, found.path.as_str()),
            (&auth.client_token, &auth.accessor, "auth/cert/login")
        );
        assert_eq!((&found.policies, found.orphan, found.renewable), (&strings(&["default"]), true, Some(true)));
        assert_eq!((found.num_uses, found.explicit_max_ttl, found.creation_ttl), (0, 0, LIFE));
        assert!(found.issue_time.is_some() && found.expire_time.is_some());
        is_about(found.ttl, LIFE);
        kv2::config::read(&client, MOUNT).await.unwrap();
        is_about(client.renew(Some("1h")).await.unwrap().lease_duration, 3600);
        client.revoke().await.unwrap();
        refused(client.lookup().await, 403, &[DENIED]);
        refused(kv2::config::read(&client, MOUNT).await, 403, &[DENIED]);
    }
    assert!(cert::login(&nobody(), "cert", "web").await.is_err());
}

#[tokio::test]
async fn tokens() {
    let client = connect();
    let mut request = CreateTokenRequest::builder();
    request.ttl("1h").display_name("deploy").meta(HashMap::from([("job".to_owned(), "42".to_owned())]));
    let auth = token::new(&client, Some(&mut request)).await.unwrap();
    is_about(auth.lease_duration, 3600);
    let us = holding(&auth.client_token);
    kv2::config::read(&us, MOUNT).await.unwrap();
    for found in [token::lookup_self(&us).await.unwrap(), token::lookup(&client, &auth.client_token).await.unwrap()] {
        assert_eq!(
            (&found.id, &found.accessor, found.path.as_str()),
            (&auth.client_token, &auth.accessor, "auth/token/create")
        );
        assert_eq!(found.meta.unwrap()["job"], "42");
        assert!(found.display_name.contains("deploy"));
        is_about(found.ttl, 3600);
    }
    // An accessor must not lead to the token.
    let found = token::lookup_accessor(&client, &auth.accessor).await.unwrap();
    assert_eq!((found.id.as_str(), &found.accessor), ("", &auth.accessor));

    let renewals: [AuthInfo; 4] = [
        token::renew(&client, &auth.client_token, Some("2h")).await.unwrap(),
        token::renew_self(&us, Some("2h")).await.unwrap(),
        token::renew_self(&us, None).await.unwrap(),
        token::renew_accessor(&client, &auth.accessor, Some("9000h")).await.unwrap(),
    ];
    for (renewed, life) in renewals.iter().zip([7200, 7200, 3600, LIFE]) {
        is_about(renewed.lease_duration, life);
        assert_eq!(renewed.accessor, auth.accessor);
    }
    let mut fixed = CreateTokenRequest::builder();
    let fixed = token::new(&client, Some(fixed.renewable(false))).await.unwrap();
    refused(token::renew(&client, &fixed.client_token, None).await, 400, &["lease is not renewable"]);
    let mut used = CreateTokenRequest::builder();
    refused_somehow(token::new(&client, Some(used.num_uses(3u64))).await, 400);

    let mut orphan = CreateOrphanTokenRequest::builder();
    let orphan = token::new_orphan(&us, Some(orphan.ttl("30m"))).await.unwrap();
    is_about(orphan.lease_duration, 1800);
    assert!(orphan.orphan);
    token::revoke(&client, &auth.client_token).await.unwrap();
    refused(kv2::config::read(&us, MOUNT).await, 403, &[DENIED]);
    refused(token::lookup(&client, &auth.client_token).await, 403, &["bad token"]);
    kv2::config::read(&holding(&orphan.client_token), MOUNT).await.unwrap();
    token::revoke_orphan(&client, &orphan.client_token).await.unwrap();
    refused(kv2::config::read(&holding(&orphan.client_token), MOUNT).await, 403, &[DENIED]);
    token::revoke_accessor(&client, &fixed.accessor).await.unwrap();
    refused(kv2::config::read(&holding(&fixed.client_token), MOUNT).await, 403, &[DENIED]);
}

/// A token is worth nothing without the key that it was given to.
#[tokio::test]
async fn no_certificate() {
    let auth = cert::login(&connect(), "cert", "").await.unwrap();
    let mut nobody = nobody();
    assert!(matches!(read(&nobody, MOUNT, "x").await, Err(ClientError::APIError { code: 401, .. })));
    nobody.set_token(&auth.client_token);
    refused(read(&nobody, MOUNT, "x").await, 403, &[DENIED]);
    refused(nobody.lookup().await, 403, &[DENIED]);
    refused(holding("hvs.nothing").lookup().await, 403, &[DENIED]);
    // What is open to all stays open.
    assert!(matches!(nobody.status().await, Ok(sys::ServerStatus::OK)));
    holding(&auth.client_token).revoke().await.unwrap();
}

#[tokio::test]
async fn wrapping() {
    let client = connect();
    let path = fresh("/wrapped");
    kv2::set(&client, MOUNT, &path, &json!({"k": "v"})).await.unwrap();
    let request = || ReadSecretRequest::builder().mount(MOUNT).path(path.clone()).build().unwrap();

    let wrapped = request().wrap(&client).await.unwrap();
    assert_eq!((wrapped.info.ttl, wrapped.info.creation_path.as_str()), (600, format!("secret/data/{path}").as_str()));
    assert!(!wrapped.info.token.is_empty() && !wrapped.info.accessor.is_empty());
    let looked = wrapped.lookup(&client).await.unwrap();
    assert_eq!((looked.creation_ttl, looked.creation_path), (600, wrapped.info.creation_path.clone()));
    assert_eq!(looked.creation_time, wrapped.info.creation_time);
    let got = wrapped.unwrap(&client).await.unwrap();
    assert_eq!((got.data, got.metadata.version), (json!({"k": "v"}), 1));
    refused(wrapped.unwrap(&client).await, 400, &[USED_UP]);
    assert!(matches!(wrapped.lookup(&client).await, Err(ClientError::WrapInvalidError)));

    // The token as the caller's own.
    let wrapped = request().wrap(&client).await.unwrap();
    let got: Value = sys::wrapping::unwrap(&holding(&wrapped.info.token), None).await.unwrap();
    assert_eq!(got["data"], json!({"k": "v"}));
    refused(sys::wrapping::unwrap::<Value>(&client, Some(&wrapped.info.token)).await, 400, &[USED_UP]);
    kv2::delete_metadata(&client, MOUNT, &path).await.unwrap();
}

#[tokio::test]
async fn state() {
    for client in addresses().iter().map(|address| connect_to(address)).chain([nobody()]) {
        assert!(matches!(client.status().await, Ok(sys::ServerStatus::OK)));
        let health = sys::health(&client).await.unwrap();
        assert_eq!(
            (health.initialized, health.sealed, health.standby, health.performance_standby),
            (true, false, false, false)
        );
        assert!(!health.version.is_empty() && health.cluster_name.is_some() && health.cluster_id.is_some());
    }
}

#[tokio::test]
async fn mounts() {
    for address in addresses() {
        let client = connect_to(&address);
        let own = fresh("/apps");
        let mut request = EnableEngineRequest::builder();
        request.description("ours").options(HashMap::from([("version".to_owned(), "2".to_owned())]));
        sys::mount::enable(&client, &own, "kv", Some(&mut request)).await.unwrap();
        let listed = sys::mount::list(&client).await.unwrap();
        assert!(listed.contains_key("secret/") && !listed.contains_key("ibmcloud/kv/"));
        let made = &listed[&format!("{own}/")];
        assert_eq!((made.mount_type.as_str(), made.description.as_str()), ("kv", "ours"));
        assert_eq!(made.options.as_ref().unwrap()["version"], "2");
        let one = sys::mount::get_configuration_of_a_secret_engine(&client, &own).await.unwrap();
        assert_eq!((&one.uuid, &one.accessor, one.mount_type.as_str()), (&made.uuid, &made.accessor, "kv"));

        let taken = format!("path is already in use at {own}/");
        refused(sys::mount::enable(&client, &own, "kv-v2", None).await, 400, &[&taken]);
        refused_somehow(sys::mount::enable(&client, &fresh(""), "transit", None).await, 400);
        refused_somehow(sys::mount::disable(&client, MOUNT).await, 400);
        kv2::set(&client, &own, "x", &json!({"k": "v"})).await.unwrap();
        assert_eq!(read(&client, MOUNT, &format!("{own}/x")).await.unwrap(), json!({"k": "v"}));
        sys::mount::disable(&client, &own).await.unwrap();
        assert!(!sys::mount::list(&client).await.unwrap().contains_key(&format!("{own}/")));
    }
}

#[tokio::test]
async fn auth_methods() {
    let methods = sys::auth::list(&connect()).await.unwrap();
    assert_eq!((methods["cert/"].mount_type.as_str(), methods["token/"].mount_type.as_str()), ("cert", "token"));
}

#[tokio::test]
async fn policies() {
    let client = connect();
    let (name, text) = (fresh("policy"), r#"path "secret/*" { capabilities = ["read"] }"#);
    sys::policy::set(&client, &name, text).await.unwrap();
    assert_eq!(sys::policy::read(&client, &name).await.unwrap().rules, text);
    assert!(sys::policy::list(&client).await.unwrap().policies.contains(&name));
    sys::policy::delete(&client, &name).await.unwrap();
    assert!(!sys::policy::list(&client).await.unwrap().policies.contains(&name));
}

/// What there is not is refused with a sentence.
#[tokio::test]
async fn what_there_is_not() {
    let client = connect();
    refused_somehow(sys::policy::set(&client, "p", "").await, 400);
    refused_somehow(cert::ca_cert_role::set(&client, "cert", "web", "", None).await, 400);
    refused_somehow(cert::configure_tls_certificate_method(&client, "cert", None).await, 400);
    refused_somehow(sys::seal(&client).await, 400);
    refused_somehow(sys::unseal(&client, None, Some(true), None).await, 400);
    refused_somehow(sys::start_initialization(&client, 1, 1, None).await, 400);
    refused_somehow(token::new_role(&client, "web", None).await, 400);
    refused_somehow(token::role::read(&client, "web").await, 400);
    assert!(token::tidy(&client).await.is_err());
    refused_somehow(sys::remount::remount(&client, "secret", "other").await, 400);
}

#[tokio::test]
async fn moves_of_mounts_and_random_bytes() {
    let client = connect();
    let (from, to) = (fresh("vaultrs-from"), fresh("vaultrs-to"));
    sys::mount::enable(&client, &from, "kv-v2", None).await.unwrap();
    kv2::set(&client, &from, "a", &json!({"k": "v"})).await.unwrap();
    let id = sys::remount::remount(&client, &from, &to).await.unwrap().migration_id;
    let status = sys::remount::remount_status(&client, &id).await.unwrap();
    assert_eq!((status.migration_id, status.migration_info.status.as_str()), (id, "success"));
    assert_eq!(read(&client, &to, "a").await.unwrap(), json!({"k": "v"}));
    refused_somehow(read(&client, &from, "a").await, 404);
    kv2::delete_metadata(&client, &to, "a").await.unwrap();
    sys::mount::disable(&client, &to).await.unwrap();

    // 32 bytes, in Base64.
    assert_eq!(sys::tools::random(&client, None).await.unwrap().random_bytes.len(), 44);
}
