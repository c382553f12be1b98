//! Mounts: views of a part of the domain's tree, with settings of their own.

use hyper::Method;
use serde_json::{Value, json};

use super::{Vault, part};
use crate::harness::TestServer;

/// A domain with these mounts besides `secret`; the root of its paths.
async fn with_mounts(paths: &[&str]) -> (TestServer, Vault) {
    let (server, vault) = Vault::start().await;
    let root = vault.root();
    for path in paths {
        root.post(&format!("sys/mounts/{path}"), json!({"type": "kv-v2"})).await.nothing();
    }
    (server, root)
}

/// The mounts' names. Vault repeats them beside the envelope, so only `data` is looked at.
async fn mounts(root: &Vault) -> Vec<String> {
    let data = root.get("sys/mounts").await.envelope()["data"].clone();
    let entries = data.as_object().unwrap().iter();
    entries.filter(|(_, mount)| mount["type"] == "kv").map(|(path, _)| path.clone()).collect()
}

#[tokio::test]
async fn a_domain_begins_with_one_mount() {
    let (_server, root) = with_mounts(&[]).await;
    // The second name of the same, `ibmcloud/kv`, is not listed.
    assert_eq!(mounts(&root).await, ["secret/"]);
    let listed = root.get("sys/mounts").await.envelope()["data"]["secret/"].clone();
    let expected =
        json!({"type": "kv", "options": {"version": "2"}, "local": false, "seal_wrap": false});
    assert_eq!(part(&listed, &expected), expected);
    for name in ["accessor", "description", "uuid"] {
        assert!(listed[name].is_string(), "{name}: {listed}");
    }
    for name in ["default_lease_ttl", "max_lease_ttl"] {
        assert!(listed["config"][name].is_u64(), "{name}: {listed}");
    }
    assert_eq!(listed["config"]["force_no_cache"], false);
    let one = root.get("sys/mounts/secret").await.envelope()["data"].clone();
    assert_eq!((&one["type"], &one["uuid"]), (&listed["type"], &listed["uuid"]));
}

#[tokio::test]
async fn mounts_are_enabled_as_clients_do() {
    let (_server, root) = with_mounts(&[]).await;
    for (path, body) in [
        ("plain", json!({"type": "kv-v2"})),
        ("kv", json!({"type": "kv", "options": {"version": "2"}})),
        // As the CLI and as hvac send it.
        (
            "cli",
            json!({
                "type": "kv-v2", "description": "the team's", "local": false, "seal_wrap": false,
                "external_entropy_access": false, "options": null,
                "config": {"options": null, "default_lease_ttl": "0s", "max_lease_ttl": "0s", "force_no_cache": false},
            }),
        ),
        (
            "hvac",
            json!({
                "type": "kv", "description": null, "config": null, "options": {"version": 2}, "plugin_name": null,
                "local": false, "seal_wrap": false,
            }),
        ),
        ("deep/in/folders", json!({"type": "kv-v2"})),
        ("%C3%A9quipe/a%20b", json!({"type": "kv-v2"})),
    ] {
        root.post(&format!("sys/mounts/{path}"), body).await.nothing();
        assert_eq!(
            root.put(&format!("{path}/data/foo"), json!({"data": {"of": path}})).await.shown()["version"],
            1
        );
    }
    let names = ["cli/", "deep/in/folders/", "hvac/", "kv/", "plain/", "secret/", "équipe/a b/"];
    assert_eq!(mounts(&root).await, names);
    assert_eq!(
        root.get("sys/mounts").await.envelope()["data"]["cli/"]["description"],
        "the team's"
    );
}

#[tokio::test]
async fn what_is_no_mount_of_ours() {
    let (_server, root) = with_mounts(&[]).await;
    for body in [
        json!({"type": "kv"}),
        json!({"type": "kv", "options": {"version": "1"}}),
        json!({"type": "kv-v1"}),
        json!({"type": "generic"}),
        json!({"type": "database"}),
        json!({"type": "transit"}),
        json!({"type": "pki"}),
        json!({"type": ""}),
        json!({}),
    ] {
        let said = root.post("sys/mounts/team", &body).await.refused_with(400, "");
        assert!(said.len() > 10, "{body}: {said}");
    }
    let longest = "x".repeat(256);
    for path in [
        "sys",
        "sys/x",
        "auth",
        "auth/x",
        "api",
        "api/x",
        "cubbyhole",
        "identity",
        "identity/x",
        "secrets",
        "partner",
        "partner/x",
        "t",
        "t/x",
        "database",
        "team/data",
        "team/metadata/x",
        "team/delete",
        "team/undelete",
        "team/destroy",
        "team/subkeys",
        "team/config",
        "team/x/detailed-metadata",
        "..",
        "team/../x",
        "team%00",
        &longest,
    ] {
        let refused = root.post(&format!("sys/mounts/{path}"), json!({"type": "kv-v2"})).await;
        assert_eq!(refused.status, 400, "{path}: {}", refused.text());
    }
    assert_eq!(mounts(&root).await, ["secret/"]);
    // Names that only begin like those, or have them where they mean nothing.
    for path in ["system", "data", "config/x", "secret2", "tt"] {
        root.post(&format!("sys/mounts/{path}"), json!({"type": "kv-v2"})).await.nothing();
    }
}

#[tokio::test]
async fn mounts_do_not_nest() {
    let (_server, root) = with_mounts(&["team", "a/b"]).await;
    for (path, taken) in [
        ("secret", "secret/"),
        ("secret/x", "secret/"),
        ("team", "team/"),
        ("team/x/y", "team/"),
        ("a", "a/b/"),
        ("a/b", "a/b/"),
        ("ibmcloud", "ibmcloud/kv/"),
        ("ibmcloud/kv", "ibmcloud/kv/"),
        ("ibmcloud/kv/x", "ibmcloud/kv/"),
    ] {
        let refused = root.post(&format!("sys/mounts/{path}"), json!({"type": "kv-v2"})).await;
        refused.refused(400, &format!("path is already in use at {taken}"));
    }
    for path in ["a/c", "teams", "tea", "ibmcloud/kv2"] {
        root.post(&format!("sys/mounts/{path}"), json!({"type": "kv-v2"})).await.nothing();
    }
}

#[tokio::test]
async fn a_mount_is_a_view_of_the_tree() {
    let (_server, root) = with_mounts(&["team/one"]).await;
    let (team, secret, native) = (root.mount("team/one"), root.mount("secret"), &root.client);
    team.write("foo/bar", json!({"by": "team"})).await;
    assert_eq!(secret.read("team/one/foo/bar").await["data"], json!({"by": "team"}));
    assert_eq!(
        native.get("secret/team/one/foo/bar?includeData=true").await.data().unwrap(),
        r#"{"by":"team"}"#
    );
    secret.write("team/one/foo/bar", json!({"by": "secret"})).await;
    native.post("secret/team/one/foo/bar/version", r#"{"data":{"by":"native"}}"#).await.ok();
    assert_eq!(team.read("foo/bar").await["data"], json!({"by": "native"}));
    assert_eq!(team.read("foo/bar").await["metadata"]["version"], 3);
    assert_eq!(team.metadata("foo/bar").await, secret.metadata("team/one/foo/bar").await);
    native.create("team/one/native", "{}").await.ok();
    assert_eq!(team.keys("metadata").await, ["foo/", "native"]);
    assert_eq!(secret.keys("metadata/team/one").await, ["foo/", "native"]);
    assert_eq!(secret.keys("metadata").await, ["team/"]);
    // Nothing of the tree outside.
    secret.write("team/two", json!({})).await;
    team.get("data/team/two").await.absent();
    team.get("data/two").await.absent();
    team.delete("metadata/foo/bar").await.nothing();
    native.get("secret/team/one/foo/bar").await.error(404, 17_125_377);
}

#[tokio::test]
async fn a_mount_has_settings_of_its_own() {
    let (_server, root) = with_mounts(&["team"]).await;
    let (team, secret) = (root.mount("team"), root.mount("secret"));
    let fresh = secret.get("config").await.shown();
    assert_eq!(team.get("config").await.shown(), fresh);
    team.put(
        "config",
        json!({"cas_required": true, "max_versions": 3, "delete_version_after": "1h"}),
    )
    .await
    .nothing();
    assert_eq!(secret.get("config").await.shown(), fresh);
    assert_eq!(root.client.get("secretConfig").await.ok()["casRequired"], false);
    team.put("data/foo", json!({"data": {}}))
        .await
        .refused_with(400, "check-and-set parameter required");
    let written = team.put("data/foo", json!({"data": {}, "options": {"cas": 0}})).await.shown();
    assert_ne!(written["deletion_time"], "");
    assert_eq!(secret.write("foo", json!({})).await["deletion_time"], "");
    // The mount's settings hold by every name of its secrets: none is a way around another.
    secret
        .put("data/team/foo", json!({"data": {}}))
        .await
        .refused_with(400, "check-and-set parameter required");
    let native = root.client.post("secret/team/foo/version", r#"{"data":{}}"#).await;
    assert_eq!(native.status, 400, "{}", native.text());
    // What the domain requires, a mount cannot let go.
    team.put("config", json!({"cas_required": false})).await.nothing();
    secret.put("config", json!({"cas_required": true})).await.nothing();
    assert_eq!(team.get("config").await.shown()["cas_required"], false);
    team.put("data/bar", json!({"data": {}}))
        .await
        .refused_with(400, "check-and-set parameter required");
}

#[tokio::test]
async fn a_mount_is_tuned() {
    let (_server, root) = with_mounts(&["team"]).await;
    let cli = json!({
        "options": {"version": "2"}, "default_lease_ttl": "", "max_lease_ttl": "", "force_no_cache": false,
    });
    for mount in ["team", "secret"] {
        let tune = format!("sys/mounts/{mount}/tune");
        root.post(&tune, &cli).await.nothing();
        let downgrade = root.post(&tune, json!({"options": {"version": "1"}})).await;
        downgrade.refused(400, "cannot downgrade mount from version 2");
        root.post(&tune, json!({"description": "for all"})).await.nothing();
        let listed = root.get("sys/mounts").await.envelope()["data"][format!("{mount}/")].clone();
        assert_eq!(
            (&listed["description"], &listed["options"]["version"]),
            (&json!("for all"), &json!("2"))
        );
    }
    assert!(root.post("sys/mounts/unknown/tune", cli).await.status.is_client_error());
}

/// Terraform and Spring destroy mounts without force, and failed as long as a secret was left, be it
/// deleted as they delete it.
#[tokio::test]
async fn a_disabled_mount_loses_nothing() {
    let (server, root) = with_mounts(&["team", "other"]).await;
    let (team, secret) = (root.mount("team"), root.mount("secret"));
    team.write("foo", json!({"n": 1})).await;
    team.write("deleted", json!({})).await;
    secret.write("teams", json!({})).await;
    team.delete("data/deleted").await.nothing();
    root.delete("sys/mounts/team?force=false").await.nothing();
    assert_eq!(mounts(&root).await, ["other/", "secret/"]);
    let text = "no handler for route \"team/data/foo\". route entry not found.";
    team.get("data/foo").await.refused(404, text);
    // It can be restored, in all versions.
    assert_eq!(root.client.get("secret/team/foo/version/1").await.ok()["state"], "deactivated");
    let restore = root.client.call(Method::POST, "/v1/secrets/team/foo/restore", "").await;
    assert_eq!(restore.status, 200, "{restore:?}");
    let read = root.client.get("secret/team/foo?includeData=true").await;
    assert_eq!(read.data().unwrap(), r#"{"n":1}"#);
    assert_eq!(secret.get("data/teams").await.shown()["data"], json!({}));
    // Or is gone in a month.
    server.clock.advance(30 * 86_400);
    root.client.get("secret/team/deleted").await.error(404, 17_125_377);
    root.client.get("secret/team/foo").await.ok();
    // `secret/` is there for good.
    for query in ["", "?force=true"] {
        root.delete(&format!("sys/mounts/secret{query}")).await.refused_with(400, "");
    }
}

#[tokio::test]
async fn a_disabled_mount_can_take_its_secrets_along() {
    let (_server, root) = with_mounts(&["team"]).await;
    let (team, secret) = (root.mount("team"), root.mount("secret"));
    for path in ["a", "b/c", "b/d"] {
        team.write(path, json!({})).await;
    }
    team.put("config", json!({"cas_required": true})).await.nothing();
    for path in ["teams", "team-x", "z"] {
        secret.write(path, json!({})).await;
    }
    root.delete("sys/mounts/team?force=true").await.nothing();
    assert_eq!(secret.keys("metadata").await, ["team-x", "teams", "z"]);
    root.client.get("secret/team/a").await.error(404, 17_125_377);
    root.post("sys/mounts/team", json!({"type": "kv-v2"})).await.nothing();
    assert_eq!(team.get("config").await.shown()["cas_required"], false);
    assert_eq!(team.write("a", json!({})).await["version"], 1);
}

#[tokio::test]
async fn mounts_outlive_a_restart() {
    let (mut server, root) = with_mounts(&["team"]).await;
    root.mount("team").put("config", json!({"max_versions": 3})).await.nothing();
    let uuid = |data: &Value| data["team/"]["uuid"].clone();
    let before = uuid(&root.get("sys/mounts").await.envelope()["data"]);
    server.restart().await;
    let root = Vault { client: server.at(&root.client), ..root };
    assert_eq!(uuid(&root.get("sys/mounts").await.envelope()["data"]), before);
    assert_eq!(root.mount("team").get("config").await.shown()["max_versions"], 3);
}

#[tokio::test]
async fn mounts_are_one_domains() {
    let (server, root) = with_mounts(&["team"]).await;
    let other = Vault::of(&server.tenant().await).root();
    assert_eq!(mounts(&other).await, ["secret/"]);
    other
        .get("team/data/foo")
        .await
        .refused(404, "no handler for route \"team/data/foo\". route entry not found.");
    root.mount("team").write("foo", json!({"of": "root"})).await;
    other.post("sys/mounts/team", json!({"type": "kv-v2"})).await.nothing();
    other.mount("team").get("data/foo").await.absent();
    other.delete("sys/mounts/team").await.nothing();
    assert_eq!(root.mount("team").read("foo").await["data"]["of"], "root");
}

/// IBM Cloud's address of KV v2: another name of `secret`.
#[tokio::test]
async fn the_second_name_of_secret() {
    let (_server, vault) = Vault::start().await;
    let second = vault.mount("ibmcloud/kv");
    assert_eq!(second.write("foo", json!({"a": 1})).await["version"], 1);
    assert_eq!(vault.read("foo").await["data"], json!({"a": 1}));
    second.patch("data/foo", json!({"data": {"b": 2}})).await.shown();
    second.put("metadata/foo", json!({"custom_metadata": {"c": "d"}})).await.nothing();
    assert_eq!(second.read("foo").await, vault.read("foo").await);
    assert_eq!(second.metadata("foo").await, vault.metadata("foo").await);
    assert_eq!(second.get("metadata/?list=true").await.keys(), ["foo"]);
    second.put("config", json!({"max_versions": 7})).await.nothing();
    assert_eq!(vault.get("config").await.shown()["max_versions"], 7);
    second.post("delete/foo", json!({"versions": [1, 2]})).await.nothing();
    vault.get("data/foo").await.gone();
    second.post("undelete/foo", json!({"versions": [1, 2]})).await.nothing();
    second.post("destroy/foo", json!({"versions": [1]})).await.nothing();
    assert_eq!(vault.get("data/foo?version=1").await.gone()["metadata"]["destroyed"], true);
    second.delete("metadata/foo").await.nothing();
    vault.get("metadata/foo").await.absent();
    let shown =
        vault.root().get("sys/internal/ui/mounts/ibmcloud/kv/foo").await.envelope()["data"].clone();
    assert_eq!(
        (&shown["path"], &shown["options"]["version"]),
        (&json!("ibmcloud/kv/"), &json!("2"))
    );
    vault.root().delete("sys/mounts/ibmcloud/kv").await.refused_with(400, "");
}

/// A write that had looked at its mount before the mount was disabled used to be decided anew and
/// stored after all: it was acknowledged into a tree that had just been deleted for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_write_does_not_outlive_its_mount() {
    let (_server, root) = with_mounts(&["team"]).await;
    for _ in 0..5 {
        let writers = (0..16).map(|n| {
            let team = root.mount("team");
            tokio::spawn(async move {
                for round in 0..4 {
                    let answer = team.put(&format!("data/{n}-{round}"), json!({"data": {}})).await;
                    assert!(matches!(answer.status.as_u16(), 200 | 404), "{}", answer.text());
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        root.delete("sys/mounts/team?force=true").await.nothing();
        for writer in writers {
            writer.await.unwrap();
        }
        root.mount("secret").list("metadata/team").await.absent();
        root.post("sys/mounts/team", json!({"type": "kv-v2"})).await.nothing();
    }
}

#[tokio::test]
async fn leases_that_a_mount_is_tuned_to_have_no_effect_and_say_so() {
    let (_server, root) = with_mounts(&["team"]).await;
    let warned = root
        .post("sys/mounts/team/tune", json!({"max_lease_ttl": "1h", "default_lease_ttl": "0"}))
        .await;
    let text = "max_lease_ttl has no effect: secrets have no leases here";
    assert_eq!(warned.envelope()["warnings"], json!([text]));
}

/// A secret that is named like a mount lies beside it, and is not held to its settings.
#[tokio::test]
async fn a_secret_named_like_a_mount() {
    let (_server, root) = with_mounts(&["team"]).await;
    root.mount("team").put("config", json!({"cas_required": true})).await.nothing();
    let secret = root.mount("secret");
    secret.put("data/team", json!({"data": {}})).await.shown();
    secret.put("data/team/x", json!({"data": {}})).await.refused_with(400, "required");
    root.mount("team").list("metadata").await.absent();
}
