//! Moving mounts: `bao secrets move`.

use serde_json::{Value, json};

use super::{Vault, part};

async fn moved(root: &Vault, from: &str, to: &str) -> String {
    let answer = root.post("sys/remount", json!({"from": from, "to": to})).await.envelope();
    assert_eq!(answer["data"]["migration_id"], answer["migration_id"]);
    answer["data"]["migration_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn all_secrets_of_a_mount_are_under_its_new_name() {
    let (mut server, vault) = Vault::start().await;
    let root = vault.root();
    root.post("sys/mounts/team", json!({"type": "kv-v2", "description": "a team's"}))
        .await
        .nothing();
    let team = vault.mount("team");
    team.put("config", json!({"max_versions": 2})).await.nothing();
    for n in 0..3 {
        team.write("app/web", json!({"n": n})).await;
    }
    team.put("metadata/bare", json!({"custom_metadata": {"owner": "me"}})).await.nothing();
    team.write("gone", json!({})).await;
    team.delete("data/gone").await.nothing();
    let seen = async |mount: &Vault| {
        let mut seen = vec![
            mount.send("SCAN", "detailed-metadata", "").await.shown(),
            mount.read("app/web").await,
        ];
        seen.extend([mount.get("data/gone").await.gone(), mount.get("config").await.shown()]);
        seen
    };
    let (before, about) =
        (seen(&team).await, root.get("sys/mounts/team").await.envelope()["data"].clone());

    let id = moved(&root, "team", "crew/web").await;
    let crew = vault.mount("crew/web");
    assert_eq!(seen(&crew).await, before);
    assert_eq!(root.get("sys/mounts/crew/web").await.envelope()["data"], about);
    // Nothing is left under the old name.
    root.get("sys/mounts/team").await.refused(400, "No secret engine mount at team/");
    root.get("team/data/app/web").await.refused_with(404, "no handler for route");
    root.put("team/data/app/web", json!({"data": {}}))
        .await
        .refused_with(404, "no handler for route");
    // The tree is as it was: what a move costs does not depend on what is moved.
    assert_eq!(vault.read("team/app/web").await, before[1]);
    vault.client.get("secret/team/app/web").await.ok();
    // The mount's own defaults go along, whichever way a secret is written.
    assert_eq!(crew.write("app/web", json!({})).await["version"], 4);
    vault.write("team/app/web", json!({})).await;
    assert_eq!(crew.metadata("app/web").await["oldest_version"], 4);

    let status = json!({
        "migration_id": id,
        "migration_info": {"source_mount": "team/", "status": "success", "target_mount": "crew/web/"},
    });
    assert_eq!(root.get(&format!("sys/remount/status/{id}")).await.shown(), status);
    server.restart().await;
    let caller = Vault { client: server.at(&vault.client), ..root.clone() };
    assert_eq!(caller.get(&format!("sys/remount/status/{id}")).await.shown(), status);
    assert_eq!(caller.mount("crew/web").read("app/web").await["metadata"]["version"], 5);
    // And back.
    moved(&caller, "crew/web/", "/team/").await;
    assert_eq!(caller.mount("team").read("app/web").await["metadata"]["version"], 5);
    caller.get(&format!("sys/remount/status/{id}")).await.absent();
}

#[tokio::test]
async fn moves_that_are_refused_move_nothing() {
    let (_server, vault) = Vault::start().await;
    let root = vault.root();
    for path in ["team", "other"] {
        root.post(&format!("sys/mounts/{path}"), json!({"type": "kv-v2"})).await.nothing();
        vault.mount(path).write("foo", json!({"of": path})).await;
    }
    let mounts = root.get("sys/mounts").await.envelope()["data"].clone();
    let both = "both 'from' and 'to' path must be specified as a string";
    for body in
        [json!({}), json!({"from": "team"}), json!({"to": "x"}), json!({"from": "team", "to": ""})]
    {
        root.post("sys/remount", body).await.refused(400, both);
    }
    for (from, to, text) in [
        ("nowhere", "x", "no matching mount at \"nowhere/\""),
        ("sys", "x", "no matching mount at \"sys/\""),
        ("team/x", "x", "no matching mount at \"team/x/\""),
        ("secret", "x", "secret/ shows the whole domain and is there for good"),
        ("team", "other", "path is already in use at other/"),
        ("team", "other/x", "path is already in use at other/"),
        ("team", "team", "path is already in use at team/"),
        ("team", "team/x", "path is already in use at team/"),
        ("team", "secret", "path is already in use at secret/"),
        ("team", "secret/x", "path is already in use at secret/"),
        ("team", "a/../b", "relative paths not supported"),
    ] {
        root.post("sys/remount", json!({"from": from, "to": to})).await.refused(400, text);
    }
    for to in ["sys/x", "auth/x", "a/data/b", &"x".repeat(129), "cubbyhole"] {
        assert_eq!(
            root.post("sys/remount", json!({"from": "team", "to": to})).await.status,
            400,
            "{to}"
        );
    }
    root.get("sys/remount").await.refused(405, super::UNSUPPORTED);
    for id in ["x", "9c4f0c2e-5d0b-4a56-8c11-2a1d1f1f7a10"] {
        root.get(&format!("sys/remount/status/{id}")).await.absent();
    }
    assert_eq!(root.get("sys/mounts").await.envelope()["data"], mounts);
}

/// What a mount that was moved shows is its own: a second mount on it would be two sets of defaults
/// for one secret.
#[tokio::test]
async fn nobody_else_shows_what_a_moved_mount_shows() {
    let (_server, vault) = Vault::start().await;
    let root = vault.root();
    root.post("sys/mounts/team", json!({"type": "kv-v2"})).await.nothing();
    vault.mount("team").write("foo", json!({"a": 1})).await;
    moved(&root, "team", "crew").await;
    for path in ["team", "team/x"] {
        let refused = root.post(&format!("sys/mounts/{path}"), json!({"type": "kv-v2"})).await;
        refused.refused_with(400, "are in the mount crew/, which was moved");
    }
    // Its end is the end of what it shows, and of nothing that is named like it.
    vault.write("crew/foo", json!({"b": 1})).await;
    root.delete("sys/mounts/crew?force=true").await.nothing();
    vault.get("data/team/foo").await.absent();
    assert_eq!(vault.read("crew/foo").await["data"], json!({"b": 1}));
    root.post("sys/mounts/team", json!({"type": "kv-v2"})).await.nothing();
}

/// Writes through the old name while it goes are stored under it before, or refused: none is lost.
#[tokio::test]
async fn a_write_on_its_way_through_the_old_name() {
    let (_server, vault) = Vault::start().await;
    let root = vault.root();
    root.post("sys/mounts/a", json!({"type": "kv-v2"})).await.nothing();
    let writer = async {
        let mut written = 0;
        for n in 0..200 {
            let mount = vault.mount(["a", "b"][n % 2]);
            let answer = mount.put(&format!("data/x{n}"), json!({"data": {"n": n}})).await;
            assert!(matches!(answer.status.as_u16(), 200 | 404), "{}", answer.text());
            written += usize::from(answer.status == 200);
        }
        written
    };
    let mover = async {
        for n in 0..20 {
            let (from, to) = if n % 2 == 0 { ("a", "b") } else { ("b", "a") };
            moved(&root, from, to).await;
        }
    };
    let (written, ()) = tokio::join!(writer, mover);
    let kept: Value = vault.mount("a").list("metadata").await.json();
    assert_eq!(kept["data"]["keys"].as_array().unwrap().len(), written);
    assert!(written > 0);
    assert_eq!(part(&vault.get("metadata/a?list=true").await.shown(), &kept["data"]), kept["data"]);
}
