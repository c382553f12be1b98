//! Vault's namespaces: there is one, which is the domain.

use serde_json::json;

use super::Vault;
use crate::harness::BOTH;

const NOT_FOUND: &str = "namespace not found";

/// Any namespace was taken for the one there is: two teams that told theirs apart by it wrote over
/// each other's secrets.
#[tokio::test]
async fn another_namespace_is_refused_and_shares_nothing() {
    let (server, vault) = Vault::start().await;
    let stranger = server.tenant().await;
    vault.write("foo", json!({"by": "root"})).await;
    let before = vault.metadata("foo").await;
    for http in BOTH {
        let caller = Vault { client: vault.client.over(http), ..vault.root() };
        for name in
            ["team", "team/", "/team", "admin/team", "root/team", "..", "Root", "0", &*stranger.id]
        {
            let other = caller.with("x-vault-namespace", name);
            for (method, path, body) in [
                ("GET", "secret/data/foo", json!(null)),
                ("PUT", "secret/data/foo", json!({"data": {"by": "team"}})),
                ("DELETE", "secret/metadata/foo", json!(null)),
                ("LIST", "secret/metadata", json!(null)),
                ("GET", "secret/metadata?list=true", json!(null)),
                ("GET", "secret/nothing", json!(null)),
                ("GET", "sys/mounts", json!(null)),
                ("POST", "sys/mounts/team", json!({"type": "kv-v2"})),
                ("POST", "sys/wrapping/unwrap", json!({"token": "x"})),
                ("GET", "sys/internal/ui/mounts/secret", json!(null)),
                ("PUT", "auth/cert/login", json!({})),
                ("GET", "auth/token/lookup-self", json!(null)),
            ] {
                let answer = other.send(method, path, body).await;
                answer.refused(404, NOT_FOUND);
                assert_eq!(answer.headers["x-vault-namespace"], name, "{method} {path}");
            }
        }
        // The one there is has several names.
        let id = &vault.client.id;
        for name in ["", "/", "root", "root/", "/root/", &**id, &format!("{id}/")] {
            caller.with("x-vault-namespace", name).get("secret/data/foo").await.shown();
        }
        let two = caller.with("x-vault-namespace", "root").with("x-vault-namespace", "team");
        two.get("secret/data/foo").await.refused(404, NOT_FOUND);
    }
    assert_eq!(vault.metadata("foo").await, before);
}

/// A namespace in front of the mount is a mount that there is not, as in OpenBao.
#[tokio::test]
async fn a_namespace_in_the_path_is_no_mount() {
    let (_server, vault) = Vault::start().await;
    vault.write("foo", json!({})).await;
    let root = vault.root();
    for name in ["team", "root", &*vault.client.id] {
        let path = format!("{name}/secret/data/foo");
        root.get(&path)
            .await
            .refused(404, &format!("no handler for route \"{path}\". route entry not found."));
    }
}

/// What is about no domain is the same in every namespace: probes ask with whatever their
/// environment says.
#[tokio::test]
async fn the_servers_state_is_in_all_of_them() {
    let (_server, vault) = Vault::start().await;
    for path in ["sys/health", "sys/seal-status", "sys/leader", "sys/init"] {
        assert_eq!(
            vault.root().with("x-vault-namespace", "team").get(path).await.status,
            200,
            "{path}"
        );
    }
    // Nor has the native dialect any.
    vault.client.call(hyper::Method::GET, &vault.client.url("secret"), "").await.ok();
}
