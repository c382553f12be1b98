//! `OpenBao` itself: one node with its own storage (raft), TLS with client certificates, logins by
//! them, and KV version 2.
//!
//! Always holds: it listens on 127.0.0.1, its files go away with the region, and it ends with the
//! [`Server`] that stands for it. What is not said here is as `OpenBao` has it where nobody says.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use hyper::Method;
use serde_json::{Value, json};

use super::{
    Outcome,
    kv::{Caller, Peer},
    server::{Region, Server, free_port},
};

/// How long it may take until it does what it is asked.
const START_TIME: Duration = Duration::from_secs(60);

/// Starts it on the certificates of a region, which okmsd has made; who asks has a token.
pub(super) async fn start(binary: &Path, region: &Region) -> Outcome<(Server, Peer)> {
    let (address, cluster) = (free_port()?, free_port()?);
    let folder = region.path("bao");
    fs::create_dir(&folder)?;
    let config = json!({
        "api_addr": format!("https://{address}"),
        "cluster_addr": format!("https://{cluster}"),
        "log_level": "error",
        "storage": { "raft": { "path": folder, "node_id": "bench" } },
        "listener": { "tcp": {
            "address": address.to_string(),
            "cluster_address": cluster.to_string(),
            "tls_cert_file": region.path("server_certificate.pem"),
            "tls_key_file": region.path("server_privatekey.pem"),
            "tls_client_ca_file": region.path("region_ca.pem"),
            "tls_require_and_verify_client_cert": true,
        } },
    });
    fs::write(folder.join("bao.json"), config.to_string())?;
    let mut command = Command::new(binary);
    // Nothing of the person who runs this leaks in.
    command.env_clear().env("HOME", &folder);
    command.arg("server").arg("-config").arg(folder.join("bao.json"));
    let server = Server::other(region, &mut command, address, &folder.join("bao.log")).await?;
    let peer = Peer::openbao(region, &server)?;
    unseal(region, &peer).await.map(|peer| (server, peer))
}

/// Makes a new `OpenBao` one that answers, with what okmsd's domain has from the start.
async fn unseal(region: &Region, peer: &Peer) -> Outcome<Peer> {
    let mut caller = peer.connect().await?;
    let shares = json!({ "secret_shares": 1, "secret_threshold": 1 });
    let secrets = put(&mut caller, "sys/init", &shares).await?;
    let told = |pointer| secrets.pointer(pointer).and_then(Value::as_str).ok_or("it has no keys");
    put(&mut caller, "sys/unseal", &json!({ "key": told("/keys_base64/0")? })).await?;
    // For a moment it waits for itself to become the leader.
    let deadline = Instant::now() + START_TIME;
    while let Err(error) = caller.ask(Method::GET, "sys/health", "").await {
        later(deadline, error).await?;
    }
    let mut root = peer.with(told("/root_token")?.to_owned()).connect().await?;
    put(&mut root, "sys/mounts/secret", &json!({ "type": "kv", "options": { "version": "2" } }))
        .await?;
    put(&mut root, "sys/auth/cert", &json!({ "type": "cert" })).await?;
    let policy = r#"path "secret/*" { capabilities = ["create", "read", "update", "list"] }"#;
    put(&mut root, "sys/policies/acl/bench", &json!({ "policy": policy })).await?;
    let authority = fs::read_to_string(region.path("region_ca.pem"))?;
    let role = json!({ "certificate": authority, "token_policies": ["bench"] });
    put(&mut root, "auth/cert/certs/bench", &role).await?;
    let peer = peer.login().await?;
    // A new mount is made ready while it refuses.
    let mut caller = peer.connect().await?;
    while let Err(error) = caller.write("bench/ready", r#"{"data":{"is":"it"}}"#.into()).await {
        later(deadline, error).await?;
    }
    Ok(peer)
}

/// A change that must succeed, and what it is answered with, if anything.
async fn put(caller: &mut Caller, path: &str, body: &Value) -> Outcome<Value> {
    let answer = caller.ask(Method::PUT, path, body.to_string()).await?;
    if answer.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&answer)?) }
}

/// Waits a little before the next try, or fails with `error`.
async fn later(deadline: Instant, error: Box<dyn std::error::Error + Send + Sync>) -> Outcome<()> {
    if Instant::now() > deadline {
        return Err(error);
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(())
}
