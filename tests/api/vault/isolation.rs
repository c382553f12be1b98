//! Who reaches what by Vault's paths: another domain's is as good as none.

use serde_json::json;

use super::Vault;
use crate::harness::{BOTH, Http};

const UNKNOWN: &str = "9c4f0c2e-5d0b-4a56-8c11-2a1d1f1f7a10";

/// Every kind of request, by its path below `v1`.
const REQUESTS: &[(&str, &str, &str)] = &[
    ("GET", "secret/data/foo", ""),
    ("GET", "secret/data/foo?version=1", ""),
    ("GET", "secret/data/missing", ""),
    ("GET", "secret/data/..", ""),
    ("GET", "secret/data/%00", ""),
    ("PUT", "secret/data/foo", r#"{"data":{"by":"stranger"}}"#),
    ("PUT", "secret/data/foo", "not json"),
    ("PUT", "secret/data/foo/", "{}"),
    ("PATCH", "secret/data/foo", r#"{"data":{"by":"stranger"}}"#),
    ("DELETE", "secret/data/foo", ""),
    ("POST", "secret/delete/foo", r#"{"versions":[1]}"#),
    ("POST", "secret/undelete/foo", r#"{"versions":[1]}"#),
    ("POST", "secret/destroy/foo", r#"{"versions":[1]}"#),
    ("GET", "secret/subkeys/foo", ""),
    ("GET", "secret/metadata/foo", ""),
    ("GET", "secret/metadata", ""),
    ("GET", "secret/metadata?list=true", ""),
    ("LIST", "secret/metadata", ""),
    ("LIST", "secret/detailed-metadata", ""),
    ("SCAN", "secret/metadata", ""),
    ("PUT", "secret/metadata/foo", r#"{"max_versions":1}"#),
    ("PATCH", "secret/metadata/foo", r#"{"max_versions":1}"#),
    ("DELETE", "secret/metadata/foo", ""),
    ("GET", "secret/config", ""),
    ("PUT", "secret/config", r#"{"max_versions":1}"#),
    ("GET", "ibmcloud/kv/data/foo", ""),
    ("GET", "team/data/foo", ""),
    ("GET", "nowhere/data/foo", ""),
    ("GET", "sys/mounts", ""),
    ("POST", "sys/mounts/mine", r#"{"type":"kv-v2"}"#),
    ("DELETE", "sys/mounts/team?force=true", ""),
    ("POST", "sys/mounts/team/tune", r#"{"description":"mine"}"#),
    ("GET", "sys/internal/ui/mounts/secret/foo", ""),
    ("GET", "sys/auth", ""),
    ("GET", "sys/auth/token", ""),
    ("GET", "sys/auth/cert/tune", ""),
    ("POST", "sys/remount", r#"{"from":"team","to":"crew"}"#),
    ("GET", "sys/remount/status/9c4f0c2e-5d0b-4a56-8c11-2a1d1f1f7a10", ""),
    ("POST", "sys/tools/random/8", ""),
    ("POST", "sys/capabilities", r#"{"paths":["secret/data/foo"],"token":"x"}"#),
    ("POST", "sys/capabilities-accessor", r#"{"paths":["secret/data/foo"],"accessor":"x"}"#),
    ("LIST", "auth/token/accessors", ""),
    ("POST", "sys/capabilities-self", r#"{"paths":["secret/data/foo"]}"#),
    ("PUT", "auth/cert/login", "{}"),
    ("PUT", "auth/userpass/login/ann", r#"{"password":"x"}"#),
    ("LIST", "auth/userpass/users", ""),
    ("PUT", "auth/userpass/users/ann", r#"{"password":"x"}"#),
    ("POST", "auth/token/create", "{}"),
    ("POST", "auth/token/lookup", r#"{"token":"x"}"#),
    ("PUT", "sys/wrapping/unwrap", r#"{"token":"x"}"#),
];

#[tokio::test]
async fn a_foreign_domain_is_as_good_as_none() {
    let (server, owner) = Vault::start().await;
    owner.write("foo", json!({"by": "owner"})).await;
    owner.root().post("sys/mounts/team", json!({"type": "kv-v2"})).await.nothing();
    owner.mount("team").write("foo", json!({"by": "owner"})).await;
    let before =
        (owner.read("foo").await, owner.metadata("foo").await, owner.get("config").await.shown());
    let stranger = server.tenant().await;
    for http in BOTH {
        let caller =
            Vault::of(&stranger.over(http)).with("content-type", "application/merge-patch+json");
        for (method, path, body) in REQUESTS {
            let mut answers = Vec::new();
            for id in [UNKNOWN, &*owner.client.id] {
                for base in [format!("/api/{id}/v1"), format!("/v1/api/{id}")] {
                    let answer = caller.at(base).send(method, path, body).await;
                    // Clients take 404 for a secret that is not there, and some delete their copies
                    // then.
                    answer.error(403, 16_994_305);
                    answers.push(answer.likeness());
                }
            }
            answers.dedup();
            assert_eq!(answers.len(), 1, "{http:?} {method} {path}: {answers:?}");
        }
    }
    let now =
        (owner.read("foo").await, owner.metadata("foo").await, owner.get("config").await.shown());
    assert_eq!(now, before);
    assert_eq!(owner.mount("team").read("foo").await["data"], json!({"by": "owner"}));
}

/// A token changes nothing in that: neither an own one, nor one of the domain that is not there for
/// its holder.
#[tokio::test]
async fn a_token_opens_no_other_domain() {
    let (server, owner) = Vault::start().await;
    owner.write("foo", json!({"by": "owner"})).await;
    let stranger = Vault::of(&server.tenant().await);
    let login = async |vault: &Vault| {
        let auth = vault.root().put("auth/cert/login", "{}").await.envelope()["auth"].clone();
        auth["client_token"].as_str().unwrap().to_owned()
    };
    for token in [login(&owner).await, login(&stranger).await, "okms.a.b".to_owned()] {
        let caller = stranger.token(&token);
        for (method, path, body) in [
            ("GET", "secret/data/foo", ""),
            ("GET", "secret/data/missing", ""),
            ("PUT", "secret/data/foo", r#"{"data":{}}"#),
            ("GET", "auth/token/lookup-self", ""),
        ] {
            let [foreign, unknown] =
                [&*owner.client.id, UNKNOWN].map(|id| caller.at(format!("/api/{id}/v1")));
            let (foreign, unknown) =
                (foreign.send(method, path, body).await, unknown.send(method, path, body).await);
            assert!(foreign.status.is_client_error(), "{method} {path}: {}", foreign.text());
            assert_eq!(foreign.likeness(), unknown.likeness(), "{method} {path}");
        }
    }
    assert_eq!(owner.read("foo").await["metadata"]["version"], 1);
}

/// A certificate of a domain that the store does not know has no secrets by any address.
#[tokio::test]
async fn a_certificate_of_no_domain() {
    let (server, _vault) = Vault::start().await;
    let caller = Vault::of(&server.client_of(UNKNOWN, Http::One));
    for base in ["/v1/secret".to_owned(), caller.base.clone(), format!("/v1/api/{UNKNOWN}/secret")]
    {
        let caller = caller.at(base);
        caller.put("data/foo", json!({"data": {}})).await.error(403, 16_994_305);
        caller.get("data/foo").await.error(403, 16_994_305);
        caller.get("config").await.error(403, 16_994_305);
    }
    caller.root().put("auth/cert/login", "{}").await.error(403, 16_994_305);
}
