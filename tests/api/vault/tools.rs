//! What tools ask of `sys/`: random bytes, capabilities of tokens, the server's figures, one way to
//! log in.

use hyper::Method;
use serde_json::{Value, json};

use super::{UNSUPPORTED, Vault};
use crate::harness::Client;

#[tokio::test]
async fn random_bytes() {
    let (_server, vault) = Vault::start().await;
    let root = vault.root();
    let get = async |path: &str, body: Value| {
        let data = root.post(path, body).await.envelope()["data"].clone();
        data["random_bytes"].as_str().unwrap().to_owned()
    };
    for (path, body, length) in [
        ("sys/tools/random", json!({}), 44),
        ("sys/tools/random", json!({"bytes": 1}), 4),
        ("sys/tools/random", json!({"bytes": "16", "format": "hex"}), 32),
        ("sys/tools/random", json!({"bytes": 131_072, "format": "hex"}), 262_144),
        ("sys/tools/random/8", json!({"bytes": 9, "format": "hex"}), 16),
        ("sys/tools/random/platform", json!({"format": "hex", "source": "seal"}), 64),
        ("sys/tools/random/all/131072", json!({"format": "base64"}), 174_764),
    ] {
        assert_eq!(get(path, body).await.len(), length, "{path}");
    }
    assert_ne!(get("sys/tools/random", json!({})).await, get("sys/tools/random", json!({})).await);
    root.put("sys/tools/random/8", "").await.shown();
    for (path, body, text) in [
        ("sys/tools/random", json!({"bytes": 0}), "'bytes' cannot be less than 1"),
        ("sys/tools/random", json!({"bytes": null}), "'bytes' cannot be less than 1"),
        ("sys/tools/random/-1", json!({}), "'bytes' cannot be less than 1"),
        ("sys/tools/random", json!({"bytes": 131_073}), "'bytes' cannot be more than 131072"),
        ("sys/tools/random/131073", json!({}), "'bytes' cannot be more than 131072"),
        ("sys/tools/random/9223372036854775807", json!({}), "'bytes' cannot be more than 131072"),
        (
            "sys/tools/random",
            json!({"format": "hex "}),
            "unsupported encoding format; must be \"hex\" or \"base64\"",
        ),
        ("sys/tools/random/x", json!({}), "the number of bytes in the path must be a whole number"),
        (
            "sys/tools/random/moon/8",
            json!({}),
            "unsupported entropy source; must be \"platform\" or \"seal\", or \"all\"",
        ),
    ] {
        root.post(path, body).await.refused(400, text);
    }
    root.post("sys/tools/random", json!({"bytes": "x"})).await.refused_field("bytes");
    for path in ["sys/tools/random", "sys/tools/random/8"] {
        root.get(path).await.refused(405, UNSUPPORTED);
    }
}

#[tokio::test]
async fn what_a_token_may_do() {
    let (server, vault) = Vault::start().await;
    let root = vault.root();
    let auth = root.put("auth/cert/login", "{}").await.envelope()["auth"].clone();
    let own =
        root.post("sys/capabilities-self", json!({"paths": ["secret/data/a", "nowhere/x"]})).await;
    let own = own.envelope()["data"].clone();
    assert_eq!(own["nowhere/x"], json!(["deny"]));
    let paths = json!(["secret/data/a", "nowhere/x"]);
    let by_token = json!({"paths": paths, "token": auth["client_token"]});
    let by_accessor = json!({"paths": paths, "accessor": auth["accessor"]});
    for (path, body) in
        [("sys/capabilities", by_token.clone()), ("sys/capabilities-accessor", by_accessor)]
    {
        let answer = root.post(path, body).await.envelope();
        assert_eq!(
            (&answer["data"], &answer["secret/data/a"]),
            (&own, &own["secret/data/a"]),
            "{path}"
        );
    }
    let invalid = "1 error occurred:\n\t* invalid token\n\n";
    root.post("sys/capabilities", json!({"paths": paths, "token": "x"}))
        .await
        .refused(400, invalid);
    // Nobody looks at a token by its text whose key it is not bound to.
    let same_domain =
        Vault::of(&server.client_of(&vault.client.id, crate::harness::Http::One)).root();
    same_domain.post("sys/capabilities", by_token).await.refused(400, invalid);
    root.post("sys/capabilities-accessor", json!({"paths": paths, "accessor": "x"}))
        .await
        .refused(400, "invalid accessor");
    root.post("sys/capabilities", json!({"paths": paths})).await.refused_with(400, "missing token");
    for path in ["sys/capabilities", "sys/capabilities-self", "sys/capabilities-accessor"] {
        root.post(path, json!({"token": "x"})).await.refused_with(400, "paths is required");
    }
}

/// Each path was looked for among all before it.
#[tokio::test]
async fn many_paths_are_asked_about_at_once() {
    let (_server, vault) = Vault::start().await;
    for n in 0..20 {
        vault.root().post(&format!("sys/mounts/m{n}"), json!({"type": "kv-v2"})).await.nothing();
    }
    let paths: Vec<_> = (0..1000).map(|n| format!("m{}/data/{}", n % 40, n / 2)).collect();
    let answer = vault
        .root()
        .post("sys/capabilities-self", json!({ "paths": paths }))
        .await
        .envelope()["data"]
        .clone();
    let told = answer.as_object().unwrap();
    let denied = told.values().filter(|may| **may == json!(["deny"])).count();
    assert_eq!((told.len(), denied), (1000, 500));
    let repeated = vec!["secret/x"; 1000];
    let answer = vault.root().post("sys/capabilities-self", json!({ "paths": repeated })).await;
    assert_eq!(
        answer.envelope()["data"].as_object().unwrap().len(),
        2,
        "the path, and capabilities"
    );
}

/// They tell of all domains, so that no domain may see them.
#[tokio::test]
async fn the_servers_figures_are_for_operators() {
    let (server, vault) = Vault::start().await;
    let operator = server.operator();
    let ask = async |client: &Client, path: &str| client.call(Method::GET, path, "").await;
    let of_domain = format!("/api/{}/v1/sys/metrics", vault.client.id);
    let of_unknown = "/api/9c4f0c2e-5d0b-4a56-8c11-2a1d1f1f7a10/v1/sys/metrics".to_owned();
    for base in ["/v1/sys/metrics".to_owned(), of_domain, of_unknown] {
        let path = format!("{base}?format=prometheus");
        let answer = ask(&operator, &path).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["content-type"]),
            (200, &"text/plain; version=0.0.4; charset=utf-8".parse().unwrap())
        );
        assert!(
            answer.text().contains("okmsd_requests_total")
                && !answer.text().contains(&vault.client.id)
        );
        for query in ["", "?format=", "?format=json"] {
            ask(&operator, &format!("{base}{query}")).await.refused_with(400, "?format=prometheus");
        }
        ask(&vault.client, &path).await.error(403, 16_924_673);
        ask(&server.tenant().await, &path).await.error(403, 16_924_673);
        ask(&server.anonymous(), &path).await.error(401, 50_475_011);
    }
}

#[tokio::test]
async fn a_way_to_log_in() {
    let (_server, vault) = Vault::start().await;
    let root = vault.root();
    let all = root.get("sys/auth").await.envelope()["data"].clone();
    for name in ["cert", "token", "token/", "userpass"] {
        let answer = root.get(&format!("sys/auth/{name}")).await.envelope();
        assert_eq!(answer["data"], all[format!("{}/", name.trim_end_matches('/'))]);
        // Clients of old look beside the envelope's members.
        assert_eq!(answer["data"]["type"], answer["type"]);
    }
    for path in ["sys/auth/token/tune", "sys/auth/cert/tune"] {
        let answer = root.get(path).await.envelope();
        assert_eq!(
            (&answer["default_lease_ttl"], &answer["data"]["max_lease_ttl"]),
            (&json!(2_764_800), &json!(2_764_800))
        );
    }
    root.get("sys/auth/ldap").await.refused(400, "No auth engine at ldap/");
    root.get("sys/auth/ldap/tune")
        .await
        .refused(400, "cannot fetch sysview for path \"auth/ldap/\"");
    root.post("sys/auth/ldap", json!({"type": "ldap"})).await.refused_with(400, "served");
    root.post("sys/auth/token/tune", json!({"max_lease_ttl": "1h"}))
        .await
        .refused_with(400, "not served");
}

/// Terraform's provider reads them there.
#[tokio::test]
async fn a_mount_is_told_beside_the_envelopes_members_too() {
    let (_server, vault) = Vault::start().await;
    for path in ["sys/mounts/secret", "sys/mounts/secret/tune"] {
        let answer = vault.root().get(path).await.envelope();
        for (name, value) in answer["data"].as_object().unwrap() {
            assert_eq!(answer[name], *value, "{path} {name}");
        }
    }
}
