//! Policies in Vault's language: written, read, and what they are worth in every dialect.

use hyper::Method;
use serde_json::{Value, json};

use super::{Domain, Vault};
use crate::harness::{Client, Http};

const FORBIDDEN: u32 = 16_924_673;

async fn reads_natively(client: &Client, path: &str) -> u16 {
    client.get(&format!("secret/{path}?includeData=true")).await.status.as_u16()
}

/// Whatever door a request takes, what a policy says of Vault's addresses is said of the secrets there.
#[tokio::test]
async fn a_policy_counts_in_every_dialect() {
    let domain = Domain::new().await;
    for path in ["app/a", "app/b", "other/c"] {
        domain.admin.write(path, json!({"k": "v"})).await;
    }
    let svc = domain.service("svc", &["app"]).await;
    assert_eq!(reads_natively(&svc.client, "app/a").await, 403, "the policy is not there yet");
    domain
        .policy(
            "app",
            r#"
            path "secret/data/app/*" { capabilities = ["read", "update"] }
            path "secret/metadata/app/*" { capabilities = ["read", "list"] }
            path "secret/data/app/b" { capabilities = ["deny"] }
            "#,
        )
        .await;
    for http in [Http::One, Http::Two] {
        let client = svc.client.over(http);
        assert_eq!(reads_natively(&client, "app/a").await, 200);
        assert_eq!(reads_natively(&client, "app/b").await, 403);
        assert_eq!(reads_natively(&client, "other/c").await, 403);
        assert_eq!(client.get("secret/app/b").await.status, 200, "its metadata is not denied");
    }
    assert_eq!(svc.read("app/a").await["data"]["k"], "v");
    assert_eq!(svc.mount("ibmcloud/kv").get("data/app/a").await.status, 200, "the same secret");
    svc.get("data/app/b").await.error(403, FORBIDDEN);
    svc.get("data/other/c").await.error(403, FORBIDDEN);
    // Update is no create, in either dialect.
    svc.write("app/a", json!({"k": "w"})).await;
    svc.put("data/app/new", json!({"data": {}})).await.error(403, FORBIDDEN);
    let new = r#"{"path": "app/new", "version": {"data": {}}}"#;
    svc.client.post("secret", new).await.error(403, FORBIDDEN);
    let version = json!({"data": {"k": "x"}}).to_string();
    let added = svc.client.post("secret/app/a/version?cas=2", &version).await;
    assert!(added.status.is_success(), "{added:?}");
    svc.client.delete("secret/app/a").await.error(403, FORBIDDEN);
    // Lists show what is below app/ alone: folders through which one comes there are there.
    assert_eq!(svc.keys("metadata/").await, ["app/"]);
    assert_eq!(svc.keys("metadata/app/").await, ["a", "b"]);
    let native = svc.client.get("secret").await.ok();
    let paths: Vec<_> = native.as_array().unwrap().iter().map(|one| &one["path"]).collect();
    assert_eq!(paths, ["app/a", "app/b"]);
    // And what is gone counts no more, on the connection that is open.
    domain.admin.root().delete("sys/policies/acl/app").await.nothing();
    svc.get("data/app/a").await.error(403, FORBIDDEN);
}

/// A deny in either language wins over an allow in the other; an allow in either is enough.
#[tokio::test]
async fn a_deny_in_either_language_wins() {
    let domain = Domain::new().await;
    for path in ["a", "b", "c"] {
        domain.admin.write(path, json!({"k": "v"})).await;
    }
    let svc = domain.service("svc", &["vault", "read-only"]).await;
    domain.policy("vault", r#"path "secret/data/a" { capabilities = ["deny"] }"#).await;
    let read = async |path: &str| reads_natively(&svc.client, path).await;
    assert_eq!((read("a").await, read("b").await), (403, 200));
    let svc = domain.service("svc", &["vault"]).await;
    domain.policy("vault", r#"path "secret/+/+" { capabilities = ["read"] }"#).await;
    let iam = json!({
        "name": "iam", "identities": ["svc"], "resources": [{"urn": "b"}],
        "permissions": {"deny": [{"action": "okms:apikms:secret/version/getData"}]},
    });
    let at = format!("/v2/okms/resource/{}/policy", svc.client.id);
    domain.admin.client.call(Method::POST, &at, &iam.to_string()).await.ok();
    let read = async |path: &str| reads_natively(&svc.client, path).await;
    assert_eq!((read("a").await, read("b").await), (200, 403));
    let kv = async |path: &str| svc.get(&format!("data/{path}")).await.status.as_u16();
    assert_eq!((kv("a").await, kv("b").await), (200, 403));
    // No two policies have one name.
    for (method, at, body) in [
        ("PUT", "sys/policies/acl/iam".to_owned(), json!({"policy": "path \"a\" {}"})),
        ("PUT", "sys/policies/acl/admin".to_owned(), json!({"policy": "path \"a\" {}"})),
        ("PUT", "sys/policies/acl/root".to_owned(), json!({"policy": "path \"a\" {}"})),
        ("DELETE", "sys/policies/acl/default".to_owned(), Value::Null),
    ] {
        let said = domain.admin.root().send(method, &at, body).await.error(400, 50_405_377);
        assert!(said.contains("name"), "{said}");
    }
    let mut vault = iam;
    vault["name"] = json!("vault");
    domain.admin.client.call(Method::POST, &at, &vault.to_string()).await.error(400, 50_405_377);
}

/// What a block asks of a request beside its path is looked at where there are such requests.
#[tokio::test]
async fn parameters_and_wrapping_are_held_against_the_block() {
    let domain = Domain::new().await;
    domain.admin.write("a", json!({"k": "v"})).await;
    domain.admin.write("wrapped", json!({"k": "v"})).await;
    let svc = domain.service("svc", &["narrow"]).await;
    domain
        .policy(
            "narrow",
            r#"
            path "secret/metadata/a" {
                capabilities = ["update"]
                allowed_parameters = { "max_versions" = ["3", 3], "cas_required" = [] }
            }
            path "secret/data/wrapped" { capabilities = ["read"] min_wrapping_ttl = "10s" max_wrapping_ttl = "60s" }
            "#,
        )
        .await;
    svc.post("metadata/a", json!({"max_versions": 3})).await.nothing();
    svc.post("metadata/a", json!({"max_versions": 4})).await.error(403, FORBIDDEN);
    svc.post("metadata/a", json!({"custom_metadata": {"a": "b"}})).await.error(403, FORBIDDEN);
    // Another door has no such parameters: the block gives nothing there.
    let patch = r#"{"metadata": {"maxVersions": 3}}"#;
    svc.client.put("secret/a", patch).await.error(403, FORBIDDEN);
    svc.get("data/wrapped").await.error(403, FORBIDDEN);
    svc.with("x-vault-wrap-ttl", "300").get("data/wrapped").await.error(403, FORBIDDEN);
    let wrapped = svc.with("x-vault-wrap-ttl", "30").get("data/wrapped").await;
    assert!(wrapped.json()["wrap_info"]["token"].is_string(), "{wrapped:?}");
    assert_eq!(reads_natively(&svc.client, "wrapped").await, 403);
}

/// A block that denies `admin` let `" admin"` by, and what was stored was `admin`: what is given to users and
/// roles is what is looked at, byte for byte, or part for part where commas separate it (CVE-2025-5999's kind).
#[tokio::test]
async fn names_that_are_stored_are_those_that_were_looked_at() {
    let domain = Domain::new().await;
    let (admin, edges) = (domain.admin.root(), "blanks at their edges");
    domain
        .policy(
            "helpdesk",
            r#"
            path "auth/userpass/users/*" { capabilities = ["create", "update"] denied_parameters = { "policies" = ["admin"] "token_policies" = ["admin"] } }
            path "auth/cert/certs/*" { capabilities = ["create", "update"] denied_parameters = { "policies" = ["admin"] "token_policies" = ["admin"] } }
            path "auth/userpass/users/dev-*" { capabilities = ["create", "update"] allowed_parameters = { "policies" = ["dev*"] "password" = [] } }
            "#,
        )
        .await;
    let svc = domain.service("svc", &["helpdesk"]).await.root();
    let (user, role) = ("auth/userpass/users/ann", "auth/cert/certs/web");
    for field in ["policies", "token_policies"] {
        for given in [
            json!("admin"),
            json!(" admin"),
            json!("admin "),
            json!("dev, admin"),
            json!("dev,\u{a0}admin,"),
            json!(["dev", "admin"]),
        ] {
            let body = json!({"password": "correct horse", field: &given});
            svc.post(user, body).await.error(403, FORBIDDEN);
            let body = json!({"allowed_common_names": "web", field: &given});
            svc.post(role, body).await.error(403, FORBIDDEN);
        }
        // What no policy can be called is refused, by whomever it is said.
        for given in [json!(["dev", " admin"]), json!(["admin\u{a0}"])] {
            let body = json!({"password": "correct horse", field: &given});
            svc.post(user, body).await.refused_with(400, edges);
            let body = json!({"allowed_common_names": "web", field: &given});
            svc.post(role, body).await.refused_with(400, edges);
        }
    }
    admin.get(user).await.absent();
    admin.get(role).await.absent();
    for given in [json!("dev, admin"), json!("dev,admin"), json!("admin")] {
        let body = json!({"password": "correct horse", "policies": given});
        svc.post("auth/userpass/users/dev-1", body).await.error(403, FORBIDDEN);
    }
    let body = json!({"password": "correct horse", "policies": "dev, dev-2 ,"});
    svc.post("auth/userpass/users/dev-1", body).await.nothing();
    let shown = admin.get("auth/userpass/users/dev-1").await.envelope();
    assert_eq!(shown["data"]["policies"], json!(["dev", "dev-2"]));
    let body = json!({"allowed_common_names": "web, front", "policies": " dev ,dev-2"});
    svc.post(role, body).await.nothing();
    let shown = admin.get(role).await.envelope();
    assert_eq!(shown["data"]["policies"], json!(["dev", "dev-2"]));
    assert_eq!(shown["data"]["allowed_common_names"], json!(["web", "front"]));
    // Nor is anything called so.
    let text = json!({"policy": r#"path "secret/*" { capabilities = ["deny"] }"#});
    for name in ["%20admin", "admin%20"] {
        admin.put(&format!("sys/policies/acl/{name}"), &text).await.refused_with(400, edges);
        admin
            .post(&format!("auth/cert/certs/{name}"), json!({"allowed_common_names": "x"}))
            .await
            .refused_with(400, edges);
        admin.delete(&format!("sys/policies/acl/{name}")).await.nothing();
    }
    let at = |rest: &str| format!("/v2/okms/resource/{}/{rest}", admin.client.id);
    let rule = json!({"commonNames": ["x"], "policies": [" admin"]}).to_string();
    let put = admin.client.call(Method::PUT, &at("rule/x"), &rule).await;
    assert!(put.status == 400 && put.text().contains(edges), "{put:?}");
    let policy =
        json!({"name": "team ", "identities": [{"urn": "*"}], "resources": [{"urn": "*"}]});
    let made = admin.client.call(Method::POST, &at("policy"), &policy.to_string()).await;
    assert_eq!(made.status, 400, "{made:?}");
}

/// A parameter in the query of a write, which nobody reads, passed for one: a required one was there and had no
/// effect. What a block denies by name had a second name.
#[tokio::test]
async fn parameters_are_what_is_read() {
    let domain = Domain::new().await;
    domain.admin.write("a", json!({"k": "v"})).await;
    let svc = domain.service("svc", &["narrow"]).await;
    domain
        .policy(
            "narrow",
            r#"
            path "secret/data/a" {
                capabilities = ["update", "patch", "read"]
                required_parameters = ["options"]
                denied_parameters = { "version" = ["7"] }
            }
            path "secret/metadata/a" { capabilities = ["update"] denied_parameters = { "max_versions" = [] } }
            path "sys/policies/acl/mine" { capabilities = ["update"] denied_parameters = { "policy" = [] } }
            path "sys/policy/mine" { capabilities = ["update"] denied_parameters = { "policy" = [] "rules" = [] } }
            "#,
        )
        .await;
    let (blind, sure) =
        (json!({"data": {"k": "w"}}), json!({"data": {"k": "w"}, "options": {"cas": 1}}));
    for method in ["POST", "PUT"] {
        svc.send(method, "data/a?options=1", &blind).await.error(403, FORBIDDEN);
    }
    svc.patch("data/a?options=1", &blind).await.error(403, FORBIDDEN);
    assert_eq!(domain.admin.metadata("a").await["current_version"], 1, "nothing was written");
    // Of a read the query counts, and its body does not.
    svc.get("data/a").await.error(403, FORBIDDEN);
    svc.send("GET", "data/a", json!({"options": 1})).await.error(403, FORBIDDEN);
    assert_eq!(svc.get("data/a?options=1").await.status, 200);
    svc.get("data/a?options=1&version=7").await.error(403, FORBIDDEN);
    svc.put("data/a?version=7", &sure).await.envelope();
    // What is denied is, whatever else is in the query; what is there has no effect, and denies nothing.
    svc.post("metadata/a?x=1", json!({"max_versions": 3})).await.error(403, FORBIDDEN);
    svc.post("metadata/a?max_versions=3", json!({"cas_required": false})).await.nothing();
    let text = "path \"a\" { policy = \"deny\" }";
    for at in ["sys/policies/acl/mine", "sys/policy/mine"] {
        svc.root().put(at, json!({ "policy": text })).await.error(403, FORBIDDEN);
        svc.root().put("sys/policy/mine", json!({ "rules": text })).await.error(403, FORBIDDEN);
    }
    let said = svc.root().put("sys/policies/acl/mine", json!({ "rules": text })).await;
    said.refused(400, "'policy' parameter not supplied or empty");
}

/// A list that was to be wrapped was refused, or lacked folders, where a block says for how long: what is
/// asked is looked at where the folders are as well.
#[tokio::test]
async fn lists_are_shown_within_the_bounds_of_wrapping() {
    let domain = Domain::new().await;
    for path in ["app/a", "app/deep/b", "other/c"] {
        domain.admin.write(path, json!({"k": "v"})).await;
    }
    let svc = domain.service("svc", &["lists"]).await;
    let lists = async |path: &str, wrap: &str| {
        let listed = svc.with("x-vault-wrap-ttl", wrap).list(path).await;
        if listed.status != 200 {
            return (listed.status.as_u16(), Vec::new());
        }
        let token = listed.json()["wrap_info"]["token"].clone();
        let held = svc.root().put("sys/wrapping/unwrap", json!({ "token": token })).await;
        (200, serde_json::from_value(held.json()["data"]["keys"].clone()).unwrap())
    };
    let bounded = r#"capabilities = ["list"] min_wrapping_ttl = "10s" max_wrapping_ttl = "60s""#;
    domain.policy("lists", &format!(r#"path "secret/metadata/*" {{ {bounded} }}"#)).await;
    for (path, names) in [("metadata", ["app/", "other/"]), ("metadata/app", ["a", "deep/"])] {
        svc.list(path).await.error(403, FORBIDDEN);
        assert_eq!(lists(path, "300").await.0, 403, "{path}");
        assert_eq!(lists(path, "30").await, (200, names.map(str::to_owned).to_vec()), "{path}");
    }
    svc.client.get("secret").await.error(403, FORBIDDEN);
    let told = json!({"paths": ["secret/metadata/app/"]});
    let told = svc.root().post("sys/capabilities-self", told).await.json();
    assert_eq!(told["capabilities"], json!(["list"]), "as Vault tells it");
    // The folder above is anybody's, and what is below it is not.
    let below = format!(
        r#"path "secret/metadata" {{ capabilities = ["list"] }}
        path "secret/metadata/other/*" {{ capabilities = ["list"] }}
        path "secret/metadata/app/*" {{ {bounded} }}"#
    );
    domain.policy("lists", &below).await;
    assert_eq!(svc.keys("metadata").await, ["other/"]);
    for (wrap, names) in [("300", &["other/"][..]), ("30", &["app/", "other/"])] {
        let names = names.iter().map(ToString::to_string).collect();
        assert_eq!(lists("metadata", wrap).await, (200, names), "{wrap}");
    }
}

/// Who may see a secret's metadata in a wrapped answer alone was told of it after each write; and the
/// question who may do what was answered with yes where the request was refused.
#[tokio::test]
async fn what_is_to_be_wrapped_is_told_nowhere_else() {
    let domain = Domain::new().await;
    domain.admin.write("a", json!({"k": "v"})).await;
    let svc = domain.service("svc", &["wrapped"]).await;
    let policy = async |bound: &str| {
        let text = format!(
            r#"path "secret/data/a" {{ capabilities = ["read", "update"] {bound} }}
            path "secret/metadata/a" {{ capabilities = ["read"] }}
            path "secret/data/free" {{ capabilities = ["create", "update"] }}
            path "secret/undelete/free" {{ capabilities = ["update"] }}
            path "secret/metadata/free" {{ capabilities = ["read"] {bound} }}"#
        );
        domain.policy("wrapped", &text).await;
    };
    let at = format!("/v2/okms/resource/{}/policy/test", domain.admin.client.id);
    let ask = async |client: &Client, whom: Value| {
        let mut asked = json!({"action": "okms:apikms:secret/version/getData", "path": "a"});
        asked.as_object_mut().unwrap().extend(whom.as_object().unwrap().clone());
        client.call(Method::POST, &at, &asked.to_string()).await.ok()
    };
    domain.admin.write("free", json!({"k": 1})).await;
    for (bound, may) in [
        ("", true),
        ("max_wrapping_ttl = \"60s\"", false),
        ("required_parameters = [\"x\"]", false),
    ] {
        policy(bound).await;
        assert_eq!(reads_natively(&svc.client, "a").await == 200, may, "{bound}");
        let asked = [(&svc.client, json!({})), (&domain.admin.client, json!({"rule": "svc"}))];
        for (client, whom) in asked {
            let told = ask(client, whom).await;
            assert_eq!(told["isAllowed"], may, "{bound}: {told}");
            assert_eq!(told["decidedBy"].as_array().unwrap().is_empty(), !may, "{bound}");
            let unmet = if may { json!([]) } else { json!(["wrapped"]) };
            assert_eq!(told["unmetConditions"], unmet, "{bound}");
        }
        assert_eq!(svc.client.get("secret/free").await.status == 200, may, "{bound}");
        let added = svc.client.put("secret/free", r#"{"version": {"data": {}}}"#).await.ok();
        assert_eq!(added["metadata"]["createdAt"].is_string(), may, "{bound}: {added}");
        let state = svc.client.put("secret/free/version/1", r#"{"state": "active"}"#).await;
        assert_eq!(state.json()["createdAt"].is_string(), may, "{bound}: {state:?}");
    }
}

/// Who was denied to list was shown the native list all the same, as that asked for the right to see metadata
/// alone.
#[tokio::test]
async fn lists_take_the_right_to_list_in_every_dialect() {
    let domain = Domain::new().await;
    for path in ["app/a", "app/deep/b", "other/c"] {
        domain.admin.write(path, json!({"k": "v"})).await;
    }
    let listed = async |svc: &Vault| -> Vec<String> {
        let listed = svc.client.get("secret").await.ok();
        let paths = listed.as_array().unwrap().iter();
        paths.map(|one| one["path"].as_str().unwrap().to_owned()).collect()
    };
    let svc = domain.service("svc", &["reads"]).await;
    let reads = r#"path "secret/metadata/*" { capabilities = ["read"] }"#;
    domain.policy("reads", reads).await;
    assert_eq!(svc.client.get("secret/app/a").await.status, 200);
    svc.list("metadata/app").await.error(403, FORBIDDEN);
    svc.client.get("secret").await.error(403, FORBIDDEN);
    let lists = r#"path "secret/metadata/app/" { capabilities = ["list"] }"#;
    domain.policy("reads", &format!("{reads}\n{lists}")).await;
    assert_eq!(listed(&svc).await, ["app/a"]);
    let svc = domain.service("svc", &["read-only"]).await;
    let iam = json!({
        "name": "iam", "identities": ["svc"], "resources": [{"urn": "app/*"}],
        "permissions": {"deny": [{"action": "okms:apikms:secret/list"}]},
    });
    let at = format!("/v2/okms/resource/{}/policy", svc.client.id);
    domain.admin.client.call(Method::POST, &at, &iam.to_string()).await.ok();
    assert_eq!(svc.keys("metadata").await, ["other/"]);
    assert_eq!(listed(&svc).await, ["other/c"]);
    assert_eq!(svc.client.get("secret/app/a").await.status, 200);
}

/// Where mounts are and what they are for was told to whoever may nothing, though `sys/mounts` asks for a right.
#[tokio::test]
async fn mounts_are_shown_to_who_may_do_something_there() {
    let domain = Domain::new().await;
    let root = domain.admin.root();
    for name in ["team", "other"] {
        let mount = json!({"type": "kv-v2", "description": format!("what {name} does")});
        root.post(&format!("sys/mounts/{name}"), mount).await.nothing();
    }
    let svc = domain.service("svc", &["some"]).await;
    for (text, shown, known) in [
        (
            r#"path "secret/data/app/*" { capabilities = ["read"] }"#,
            vec!["secret/"],
            vec!["secret", "ibmcloud/kv"],
        ),
        // Whoever may write and nothing else is told of it, as the CLI asks before it writes.
        (
            r#"path "team/data/*" { capabilities = ["create"] }"#,
            vec!["secret/", "team/"],
            vec!["secret", "ibmcloud/kv", "team"],
        ),
        (
            r#"path "team/data/*" { capabilities = ["read"] required_parameters = ["version"] }"#,
            vec!["secret/", "team/"],
            vec!["secret", "ibmcloud/kv", "team"],
        ),
        (
            r#"path "secret/config" { capabilities = ["read"] }"#,
            vec!["other/", "secret/", "team/"],
            vec!["secret", "ibmcloud/kv", "team", "other"],
        ),
        (r#"path "sys/internal/ui/mounts" { capabilities = ["read"] }"#, vec![], vec![]),
    ] {
        domain.policy("some", text).await;
        let told = svc.root().get("sys/internal/ui/mounts").await.json()["data"]["secret"].clone();
        let names: Vec<_> = told.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, shown, "{text}");
        for mount in ["secret", "ibmcloud/kv", "team", "other", "none"] {
            let told = svc.root().get(&format!("sys/internal/ui/mounts/{mount}/x")).await;
            if known.contains(&mount) {
                assert_eq!(told.envelope()["data"]["path"], format!("{mount}/"), "{text}");
            } else {
                told.refused_with(403, "preflight capability check returned 403");
            }
        }
    }
    let all = root.get("sys/internal/ui/mounts").await.json()["data"]["secret"].clone();
    assert_eq!(all["team/"]["description"], "what team does");
}

/// Who was denied everything in Vault's language still added authorities to the domain, saw its audit trail, and
/// renewed itself: for none of it there is an address in Vault.
#[tokio::test]
async fn a_deny_of_everything_is_one_of_what_vault_has_not() {
    let domain = Domain::new().await;
    domain.admin.write("app/a", json!({"k": "v"})).await;
    let svc = domain.service("svc", &["admin", "lockdown"]).await;
    let of_domain = format!("/v2/okms/resource/{}", svc.client.id);
    let are_forbidden = async |are: bool| {
        for (method, rest) in [
            ("GET", ""),
            ("GET", "/quota"),
            ("GET", "/ca"),
            ("PUT", "/ca/x"),
            ("GET", "/audit"),
            ("GET", "/usage"),
            ("GET", "/credential"),
            ("POST", "/credential/renew"),
        ] {
            let (method, at) = (method.parse().unwrap(), format!("{of_domain}{rest}"));
            let answer = svc.client.call(method, &at, "{}").await;
            let is = answer.status == 403 && answer.json()["error_code"] == FORBIDDEN;
            assert_eq!(is, are, "{at}: {answer:?}");
        }
        let all = svc.client.call(Method::GET, "/v2/okms/resource", "").await;
        assert_eq!(all.status == 403, are, "{all:?}");
    };
    are_forbidden(false).await;
    let app = ["secret/data", "secret/metadata", "ibmcloud/kv/data", "ibmcloud/kv/metadata"];
    let app =
        app.map(|at| format!("path \"{at}/app/*\" {{ capabilities = [\"read\"] }}")).join("\n");
    domain
        .policy("lockdown", &format!(r#"path "*" {{ capabilities = ["read", "deny"] }} {app}"#))
        .await;
    are_forbidden(true).await;
    // What a more specific block gives, it gives.
    assert_eq!(svc.read("app/a").await["data"]["k"], "v");
    assert_eq!(reads_natively(&svc.client, "app/a").await, 200);
    let asked = json!({"action": "okms:apiovh:resource/ca/edit", "rule": "svc"}).to_string();
    let at = format!("{of_domain}/policy/test");
    let told = domain.admin.client.call(Method::POST, &at, &asked).await.ok();
    let by = json!([{"policy": "lockdown", "block": "*", "says": "deny"}]);
    assert_eq!((&told["isAllowed"], &told["decidedBy"]), (&json!(false), &by));
    // One that does not deny says nothing of it, and neither does one for less than everything.
    for text in
        [r#"path "*" { capabilities = ["read"] }"#, r#"path "secret/*" { policy = "deny" }"#]
    {
        domain.policy("lockdown", text).await;
        are_forbidden(false).await;
    }
}

/// A mount that is made, moved or removed changes what addresses stand for, at once.
#[tokio::test]
async fn mounts_say_what_addresses_stand_for() {
    let domain = Domain::new().await;
    domain.admin.write("team/x", json!({"k": "v"})).await;
    let svc = domain.service("svc", &["team"]).await;
    domain.policy("team", r#"path "team/+/*" { capabilities = ["read"] }"#).await;
    let root = domain.admin.root();
    assert_eq!(reads_natively(&svc.client, "team/x").await, 403);
    root.post("sys/mounts/team", json!({"type": "kv-v2"})).await.nothing();
    assert_eq!(reads_natively(&svc.client, "team/x").await, 200);
    assert_eq!(svc.mount("team").get("data/x").await.status, 200);
    assert_eq!(svc.get("data/team/x").await.status, 200, "the same secret");
    root.post("sys/remount", json!({"from": "team", "to": "crew"})).await.envelope();
    assert_eq!(reads_natively(&svc.client, "team/x").await, 403);
    domain.policy("team", r#"path "crew/+/x" { capabilities = ["read"] }"#).await;
    assert_eq!(reads_natively(&svc.client, "team/x").await, 200);
    root.delete("sys/mounts/crew?force=true").await.nothing();
    domain.admin.write("team/x", json!({"k": "v"})).await;
    assert_eq!(reads_natively(&svc.client, "team/x").await, 403);
}

/// A policy can let somebody write some policies, and no others; what it says of the server's own
/// addresses counts at those.
#[tokio::test]
async fn policies_are_held_at_their_own_addresses() {
    let domain = Domain::new().await;
    let svc = domain.service("svc", &["delegate"]).await;
    domain
        .policy(
            "delegate",
            r#"
            path "sys/policies/acl/mine-*" { capabilities = ["read", "update", "delete"] }
            path "sys/policies/acl/mine-not" { capabilities = ["deny"] }
            path "sys/mounts" { capabilities = ["read"] }
            path "sys/remount" { capabilities = ["update"] }
            "#,
        )
        .await;
    let root = svc.root();
    let body = json!({"policy": "path \"secret/data/x\" { policy = \"read\" }"});
    root.put("sys/policies/acl/mine-a", &body).await.nothing();
    assert_eq!(root.get("sys/policies/acl/mine-a").await.json()["data"]["name"], "mine-a");
    for (method, path) in [
        ("PUT", "sys/policies/acl/other"),
        ("PUT", "sys/policies/acl/mine-not"),
        // A slash at its end makes no other address of it, nor do two, nor an escaped one.
        ("PUT", "sys/policies/acl/mine-not/"),
        ("PUT", "sys/policies/acl/mine-not//"),
        ("PUT", "sys/policies/acl/mine-not%2F"),
        ("GET", "sys/policies/acl/delegate/"),
        ("PUT", "sys/policy/mine-a"),
        ("LIST", "sys/policies/acl"),
        ("GET", "sys/policies/acl/delegate"),
        ("POST", "sys/mounts/x"),
        // It takes sudo.
        ("POST", "sys/remount"),
    ] {
        root.send(method, path, &body).await.error(403, FORBIDDEN);
    }
    root.get("sys/mounts").await.envelope();
    root.delete("sys/policies/acl/mine-a").await.nothing();
    let native = format!("/v2/okms/resource/{}/policy", svc.client.id);
    svc.client.call(Method::GET, &native, "").await.error(403, FORBIDDEN);
}

/// What two addresses have in common is denied at both, and natively, where it is denied at one.
#[tokio::test]
async fn a_deny_counts_at_each_spelling() {
    let domain = Domain::new().await;
    let svc = domain.service("svc", &["admin", "denies"]).await;
    let deny = |path: &str| format!("path {path:?} {{ capabilities = [\"deny\"] }}");
    let body = json!({"policy": "path \"a\" { policy = \"read\" }"});
    for (denied, at) in [
        ("sys/policies/acl/prod", "sys/policy/prod"),
        ("sys/policy/prod", "sys/policies/acl/prod"),
        ("sys/policies/acl/+", "sys/policy/prod"),
        ("secret/config", "ibmcloud/kv/config"),
        ("ibmcloud/kv/config", "secret/config"),
    ] {
        domain.policy("denies", &deny(denied)).await;
        for at in [denied.replace('+', "prod"), at.to_owned()] {
            svc.root().put(&at, &body).await.error(403, FORBIDDEN);
        }
        if denied.ends_with("config") {
            let native = svc.client.put("secretConfig", r#"{"max_versions": 3}"#).await;
            native.error(403, FORBIDDEN);
        } else {
            let native = format!("/v2/okms/resource/{}/rule/x", svc.client.id);
            svc.client.call(Method::DELETE, &native, "").await.error(403, FORBIDDEN);
        }
    }
}

/// What takes more of memory than of text is counted for what it takes, and who has more policies
/// than can be asked may do nothing.
#[tokio::test]
async fn policies_are_bounded_by_what_they_take() {
    let domain = Domain::new().await;
    let many = format!("path \"x{}\" {{ policy = \"read\" }}", "/".repeat(65_400));
    let answer = domain.admin.root().put("sys/policies/acl/deep", json!({"policy": many})).await;
    assert!(answer.error(400, 50_405_377).contains("8 MiB"));
    let path = format!("path \"secret/data/{}x\" {{ policy = \"read\" }}", "y/".repeat(9_000));
    for name in ["one", "two", "three", "four"] {
        domain
            .policy(name, &format!("{path}\npath \"secret/data/{name}\" {{ policy = \"read\" }}"))
            .await;
    }
    domain.admin.write("one", json!({"k": "v"})).await;
    let svc = domain.service("svc", &["one", "two", "three"]).await;
    assert_eq!(svc.get("data/one").await.status, 200, "some are asked");
    let svc = domain.service("svc", &["one", "two", "three", "four"]).await;
    svc.get("data/one").await.error(403, FORBIDDEN);
}

/// One policy serves many: what it says depends on who has it.
#[tokio::test]
async fn templates_have_the_values_of_the_rule() {
    let domain = Domain::new().await;
    domain.admin.write("one/x", json!({"k": "v"})).await;
    domain.admin.write("two/x", json!({"k": "v"})).await;
    let own = r#"path "secret/data/{{identity.entity.name}}/*" { capabilities = ["read"] }"#;
    domain.policy("own", own).await;
    for (who, one, two) in [("one", 200, 403), ("two", 403, 200)] {
        let svc = domain.service(who, &["own"]).await;
        assert_eq!(svc.get("data/one/x").await.status, one, "{who}");
        assert_eq!(svc.get("data/two/x").await.status, two, "{who}");
        // A token that names the policy is the same one's.
        let made = svc.root().post("auth/token/create", json!({"policies": ["own"]})).await.json();
        let narrow = svc.token(made["auth"]["client_token"].as_str().unwrap());
        assert_eq!(narrow.get("data/one/x").await.status, one, "{who}");
    }
    let team =
        r#"path "secret/data/{{identity.entity.metadata.team}}/*" { capabilities = ["read"] }"#;
    domain.policy("team", team).await;
    let svc = domain.service("three", &["team"]).await;
    assert_eq!(svc.get("data/one/x").await.status, 403);
    let id = &domain.admin.client.id;
    for (value, one) in [("one", 200), ("two", 403), ("*", 403)] {
        let rule =
            json!({"commonNames": ["three"], "policies": ["team"], "metadata": {"team": value}});
        let at = format!("/v2/okms/resource/{id}/rule/three");
        domain.admin.client.call(Method::PUT, &at, &rule.to_string()).await.ok();
        assert_eq!(svc.get("data/one/x").await.status, one, "{value}");
    }
}

/// A token that was narrowed lost every block with a template, those that deny among them, where its
/// certificate fits more than one rule.
#[tokio::test]
async fn templates_have_the_values_of_each_rule() {
    let domain = Domain::new().await;
    for path in ["one/x", "two/x", "three/x"] {
        domain.admin.write(path, json!({"k": "v"})).await;
    }
    let but_own = r#"
        path "secret/data/*" { capabilities = ["read"] }
        path "secret/data/{{identity.entity.name}}/*" { capabilities = ["deny"] }"#;
    domain.policy("but-own", but_own).await;
    let svc = domain.service("one", &["admin"]).await;
    let made = svc.root().post("auth/token/create", json!({"policies": ["but-own"]})).await.json();
    let narrow = svc.token(made["auth"]["client_token"].as_str().unwrap());
    let sees = async |one: u16, two: u16| {
        for (path, expected) in [("one/x", one), ("two/x", two), ("three/x", 200)] {
            assert_eq!(narrow.get(&format!("data/{path}")).await.status, expected, "{path}");
            svc.read(path).await;
        }
    };
    sees(403, 200).await;
    let rule = json!({"identity": "two", "dnsNames": ["one.example.org"]}).to_string();
    let at = format!("/v2/okms/resource/{}/rule/more", domain.admin.client.id);
    domain.admin.client.call(Method::PUT, &at, &rule).await.ok();
    sees(403, 403).await;
}

/// As Vault and its clients have it.
#[tokio::test]
async fn policies_are_written_and_shown() {
    let domain = Domain::new().await;
    let root = domain.admin.root();
    let text = "path \"secret/*\" {\n  capabilities = [\"read\"] # so\n}\n";
    domain.policy("App", text).await;
    let base64 = "cGF0aCAiYSIgeyBwb2xpY3kgPSAiZGVueSIgfQ==";
    domain.policy("encoded", base64).await;
    root.put("sys/policy/old", json!({"rules": r#"{"path": {"a": {"policy": "read"}}}"#}))
        .await
        .nothing();
    let listed = root.list("sys/policies/acl").await.json();
    let names = json!(["App", "default", "encoded", "old", "root"]);
    assert_eq!((&listed["data"]["keys"], &listed["keys"]), (&names, &names));
    let listed = root.get("sys/policy").await.json();
    assert_eq!((&listed["data"]["policies"], &listed["policies"]), (&names, &names));
    let read = root.get("sys/policies/acl/App").await.json();
    assert_eq!(read["data"], json!({"name": "App", "policy": text}));
    assert_eq!(root.get("sys/policy/App").await.json()["rules"], text);
    let read = root.get("sys/policies/acl/encoded").await.json();
    assert_eq!(read["policy"], "path \"a\" { policy = \"deny\" }");
    let default = root.get("sys/policies/acl/default").await.json();
    assert!(default["data"]["policy"].as_str().unwrap().contains("auth/token/lookup-self"));
    // Names are told apart byte for byte (CVE-2025-5999).
    assert_eq!(root.get("sys/policies/acl/app").await.status, 404);
    for (text, fault) in [
        ("path \"a\" {", "failed to parse policy"),
        ("path \"a\" { capabilities = [\"raed\"] }", "path \"a\""),
        ("path \"a\" { expire = 1 }", "path \"a\""),
        ("path \"a/{{identity.entity.id}}\" { policy = \"deny\" }", "identities here have no id"),
        ("path \"a/{{identity.entity.id}}\" { policy = \"read\" }", "identities here have no id"),
        ("", "policy"),
    ] {
        let answer = root.put("sys/policies/acl/bad", json!({"policy": text})).await;
        let said = answer.error(400, 50_405_377);
        assert!(said.contains(fault), "{text}: {said}");
    }
    assert_eq!(root.get("sys/policies/acl/bad").await.status, 404, "nothing is stored");
    for name in ["root", "default", "admin", "response-wrapping"] {
        let answer = root.put(&format!("sys/policies/acl/{name}"), json!({"policy": text})).await;
        assert!(answer.error(400, 50_405_377).contains("always there"), "{name}: {answer:?}");
    }
    root.delete("sys/policies/acl/bad").await.nothing();
}

/// What may be done is told as it is decided, policies in Vault's language among it.
#[tokio::test]
async fn capabilities_are_told() {
    let domain = Domain::new().await;
    domain.admin.write("app/a", json!({"k": "v"})).await;
    let svc = domain.service("svc", &["caps"]).await;
    domain
        .policy(
            "caps",
            r#"
            path "secret/data/app/*" { capabilities = ["create", "read", "sudo"] }
            path "secret/data/app/no" { capabilities = ["deny"] }
            path "secret/metadata/app/*" { capabilities = ["list"] }
            path "sys/policies/acl/x" { capabilities = ["read"] }
            "#,
        )
        .await;
    for (path, expected) in [
        ("secret/data/app/a", json!(["create", "read", "sudo"])),
        ("secret/data/app/no", json!(["deny"])),
        ("secret/data/other", json!(["deny"])),
        ("secret/metadata/app/", json!(["list"])),
        ("sys/policies/acl/x", json!(["read"])),
        ("sys/policies/acl/y", json!(["deny"])),
        ("sys/mounts", json!(["deny"])),
    ] {
        let told = svc.root().post("sys/capabilities-self", json!({"paths": [path]})).await.json();
        assert_eq!(told["data"][path], expected, "{path}");
    }
}

/// A token that names policies may do what those allow and what its maker may, and its children no
/// more than that.
#[tokio::test]
async fn a_token_is_narrowed_to_its_policies() {
    let domain = Domain::new().await;
    for path in ["app/a", "app/b", "other/c"] {
        domain.admin.write(path, json!({"k": "v"})).await;
    }
    domain.policy("app", r#"path "secret/data/app/*" { capabilities = ["read", "update"] }"#).await;
    domain.policy("one", r#"path "secret/data/app/a" { capabilities = ["read"] }"#).await;
    domain
        .policy("all", r#"path "*" { capabilities = ["read", "update", "create", "sudo"] }"#)
        .await;
    let make = async |vault: &Vault, policies: &[&str]| {
        let made = vault.root().post("auth/token/create", json!({ "policies": policies })).await;
        made.json()["auth"].clone()
    };
    let token = |vault: &Vault, auth: &Value| vault.token(auth["client_token"].as_str().unwrap());
    let auth = make(&domain.admin, &["app"]).await;
    assert_eq!(auth["policies"], json!(["app", "default"]));
    let app = token(&domain.admin, &auth);
    assert_eq!(app.get("data/app/a").await.status, 200);
    app.write("app/a", json!({"k": "w"})).await;
    for (method, path) in [
        ("GET", "data/other/c"),
        ("DELETE", "data/app/a"),
        ("GET", "metadata/app/a"),
        ("LIST", "metadata/app"),
    ] {
        app.send(method, path, "").await.error(403, FORBIDDEN);
    }
    app.root().list("sys/policies/acl").await.error(403, FORBIDDEN);
    let told =
        app.root().post("sys/capabilities-self", json!({"paths": ["secret/data/app/a"]})).await;
    assert_eq!(told.json()["capabilities"], json!(["read", "update"]));
    // The certificate may ask about any token of its own key, and is told of that one.
    let text = auth["client_token"].as_str().unwrap();
    let asked = json!({"paths": ["secret/data/app/a", "secret/data/other/c"], "token": text});
    let told = domain.admin.root().post("sys/capabilities", asked).await.json();
    assert_eq!(told["data"]["secret/data/app/a"], json!(["read", "update"]));
    assert_eq!(told["data"]["secret/data/other/c"], json!(["deny"]));
    let looked_up = app.root().get("auth/token/lookup-self").await.json();
    assert_eq!(looked_up["data"]["policies"], json!(["app", "default"]));
    // A child has what its parent has, or less; it cannot name more.
    let heir = token(&app, &make(&app, &[]).await);
    assert_eq!(heir.get("data/app/b").await.status, 200);
    heir.get("data/other/c").await.error(403, FORBIDDEN);
    let beyond = app.root().post("auth/token/create", json!({"policies": ["all"]})).await;
    assert_eq!(beyond.error(400, 50_405_377), "child policies must be subset of parent");
    // Nor does it live longer: the end of a narrowed token would mean nothing.
    let short = json!({"policies": ["app"], "explicit_max_ttl": "1h"});
    let short = domain.admin.root().post("auth/token/create", short).await.json()["auth"].clone();
    let short = token(&domain.admin, &short);
    let child = short.root().post("auth/token/create", json!({"ttl": "9h"})).await.json();
    assert_eq!(child["auth"]["lease_duration"], 3_600);
    // Nobody makes of a token more than the certificate may.
    let svc = domain.service("svc", &["one"]).await;
    let wide = make(&svc, &["all"]).await;
    let wide = token(&svc, &wide);
    assert_eq!(wide.get("data/app/a").await.status, 200);
    wide.get("data/app/b").await.error(403, FORBIDDEN);
    wide.put("data/app/a", json!({"data": {}})).await.error(403, FORBIDDEN);
    let told =
        wide.root().post("sys/capabilities-self", json!({"paths": ["secret/data/app/a"]})).await;
    assert_eq!(told.json()["capabilities"], json!(["read"]));
    // Built-in policies have names as well, and one that there is not gives nothing.
    let reader = token(&domain.admin, &make(&domain.admin, &["read-only"]).await);
    assert_eq!(reader.get("data/other/c").await.status, 200);
    reader.put("data/other/c", json!({"data": {}})).await.error(403, FORBIDDEN);
    let nothing = token(&domain.admin, &make(&domain.admin, &["missing"]).await);
    nothing.get("data/other/c").await.error(403, FORBIDDEN);
    nothing.root().get("auth/token/lookup-self").await.envelope();
    // What a policy comes to say, a token that has it may do from then on.
    domain.policy("app", r#"path "secret/data/other/*" { capabilities = ["read"] }"#).await;
    assert_eq!(app.get("data/other/c").await.status, 200);
    app.get("data/app/a").await.error(403, FORBIDDEN);
}
