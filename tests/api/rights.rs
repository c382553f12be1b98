//! What single rights give, and what their holders are not told: certificates of a domain that
//! distrust each other.

use hyper::Method;
use serde_json::json;

use okmsd::api::ListedRoute;

use crate::{
    access::Domain,
    callers::{Outcome, outcome},
    harness::{Answer, Client, Http},
    isolation,
    vault::Vault,
};

const FORBIDDEN: u32 = 16_924_673;
const POLICY_EDIT: &str = "okms:apiovh:resource/policy/edit";

/// A domain in which certificates of this name have an identity, and these rights to all of it.
async fn with(domain: &Domain, name: &str, allow: &[&str]) -> Client {
    domain.rule(name, &[]).await;
    if !allow.is_empty() {
        domain.policy(name, &["*"], json!({ "allow": allow })).await;
    }
    domain.client(name, Http::One)
}

fn v1(client: &Client, rest: &str) -> String {
    format!("/api/{}/v1/{rest}", client.id)
}

async fn post(client: &Client, rest: &str, body: &str) -> Answer {
    client.call(Method::POST, &v1(client, rest), body).await
}

#[track_caller]
fn forbidden(answer: &Answer) -> String {
    answer.error(403, FORBIDDEN)
}

/// The Vault dialect as that certificate.
async fn vault(domain: &Domain, name: &str, allow: &[&str]) -> Vault {
    Vault::of(&with(domain, name, allow).await).root()
}

/// A refusal told everybody to ask an operator, who has no say in a domain's policies.
#[tokio::test]
async fn a_refusal_says_whom_to_ask() {
    let domain = Domain::new().await;
    let reader = with(&domain, "reader", &["secret/list"]).await;
    let of_domain = "ask the domain's administrator";
    assert!(forbidden(&reader.create("a", "{}").await).contains(of_domain));
    assert!(forbidden(&reader.get("secret/a").await).contains(of_domain));
    let region = reader.call(Method::POST, "/v2/okms/resource", r#"{"name":"x"}"#).await;
    assert!(forbidden(&region).contains("ask an operator"));
}

/// A write in the Vault dialect looked for the secret, and at its CAS, before it asked whether the
/// writer may write at all: a mount that was gone, or a record that was damaged, was told to
/// everybody. Who may do one of the two, adding or creating, learns which one it would be.
#[tokio::test]
async fn a_write_asks_before_it_looks() {
    let domain = Domain::new().await;
    domain.admin.create("app/a", "{}").await.ok();
    let adder = with(&domain, "adder", &["secret/version/create"]).await;
    let creator = with(&domain, "creator", &["secret/create"]).await;
    let other = with(&domain, "other", &["secretConfig/get", "secret/list"]).await;
    domain.policy("other", &["elsewhere/*"], json!({"allow": ["secret/*"]})).await;
    let plain = r#"{"data":{}}"#;
    let stale = r#"{"data":{},"options":{"cas":7}}"#;
    for (client, there, missing) in [(&adder, 200, 403), (&creator, 403, 200), (&other, 403, 403)] {
        let write = async |at: &str, body: &str| {
            post(client, &format!("secret/data/app/{at}"), body).await.status.as_u16()
        };
        let of_stale = if there == 200 { 400 } else { 403 };
        assert_eq!((write("a", stale).await, write("a", plain).await), (of_stale, there));
        assert_eq!(write("none", plain).await, missing);
        domain.admin.delete("secret/app/none").await;
    }
    // What is there and what is not are alike to who may do nothing.
    let answers = ["data", "metadata"].map(|part| {
        ["a", "none"].map(|name| {
            let (other, at) = (other.clone(), format!("secret/{part}/app/{name}"));
            async move { post(&other, &at, r#"{"data":{},"max_versions":1}"#).await.likeness() }
        })
    });
    for [there, missing] in answers {
        assert_eq!(there.await, missing.await);
    }
}

/// A secret of metadata alone took the right to change metadata too, where there was nothing yet to
/// change.
#[tokio::test]
async fn a_secret_without_versions_takes_one_right() {
    let domain = Domain::new().await;
    let maker = with(&domain, "maker", &["secret/createEmpty"]).await;
    let changer = with(&domain, "changer", &["secret/updateMetadata"]).await;
    let metadata = r#"{"custom_metadata":{"a":"b"}}"#;
    forbidden(&post(&changer, "secret/metadata/app/a", metadata).await);
    assert_eq!(post(&maker, "secret/metadata/app/a", metadata).await.status, 204);
    forbidden(&post(&maker, "secret/metadata/app/a", metadata).await);
    assert_eq!(post(&changer, "secret/metadata/app/a", metadata).await.status, 204);
}

/// Removing a mount told whether anything is in it: to who may not see that as well.
#[tokio::test]
async fn a_mount_is_removed_by_who_may_remove_what_is_in_it() {
    let domain = Domain::new().await;
    for mount in ["empty", "full"] {
        let made = post(&domain.admin, &format!("sys/mounts/{mount}"), r#"{"type":"kv-v2"}"#).await;
        assert_eq!(made.status, 204);
    }
    domain.admin.create("full/a", "{}").await.ok();
    let blind = with(&domain, "blind", &["secretConfig/update", POLICY_EDIT]).await;
    domain.policy("blind", &["full/b"], json!({"allow": ["secret/*"]})).await;
    let removing = ["secretConfig/update", POLICY_EDIT, "secret/version/deactivate"];
    let removing = with(&domain, "removing", &removing).await;
    let remove = async |client: &Client, mount: &str| {
        client.call(Method::DELETE, &v1(client, &format!("sys/mounts/{mount}")), "").await
    };
    let (empty, full) = (remove(&blind, "empty").await, remove(&blind, "full").await);
    forbidden(&empty);
    assert_eq!(empty.likeness(), full.likeness());
    // By force is what asks for more.
    forbidden(&remove(&removing, "full?force=true").await);
    for mount in ["full", "empty"] {
        assert_eq!(remove(&removing, mount).await.status, 204);
    }
    assert_eq!(domain.admin.get("secret/full/a/version/1").await.ok()["state"], "deactivated");
}

/// How many versions are kept is the configuration's: a write beyond that prunes, also of who may
/// not erase. Who wants old versions kept says so there, and lets nobody change it.
#[tokio::test]
async fn pruning_is_the_configurations() {
    let domain = Domain::new().await;
    domain.admin.create("app/a", r#"{"n":0}"#).await.ok();
    let writer = with(&domain, "writer", &["secret/*"]).await;
    let deny = json!({"deny": ["secret/version/delete", "secret/delete", "secret/updateMetadata"]});
    domain.policy("writer", &["app/*"], deny).await;
    forbidden(&writer.put("secret/app/a/version/1", r#"{"state":"deleted"}"#).await);
    forbidden(&post(&writer, "secret/destroy/app/a", r#"{"versions":[1]}"#).await);
    forbidden(&post(&writer, "secret/metadata/app/a", r#"{"max_versions":1}"#).await);
    forbidden(&writer.put("secret/app/a", r#"{"metadata":{"maxVersions":1}}"#).await);
    let first = async || writer.get("secret/app/a/version/1").await.status.as_u16();
    for n in 1..10 {
        post(&writer, "secret/data/app/a", &json!({"data": {"n": n}}).to_string()).await.ok();
    }
    assert_eq!(first().await, 200);
    post(&writer, "secret/data/app/a", r#"{"data":{}}"#).await.ok();
    assert_eq!(first().await, 404);
    // Where more are to be kept, the configuration says so.
    let kept = domain.admin.put("secret/app/a", r#"{"metadata":{"maxVersions":100}}"#).await;
    assert!(kept.status.is_success());
    post(&writer, "secret/data/app/a", r#"{"data":{}}"#).await.ok();
    assert_eq!(writer.get("secret/app/a/version/2").await.status, 200);
}

/// Who may add a version, and no more, was told the secret's metadata for it, and of the others
/// what a version's state is about: a write tells what it has done.
#[tokio::test]
async fn a_write_tells_what_it_has_done() {
    let domain = Domain::new().await;
    let secret = r#"{"path":"app/a","metadata":{"customMetadata":{"owner":"payroll"}},"version":{"data":{"k":1}}}"#;
    domain.admin.call(Method::POST, &domain.admin.url("secret"), secret).await.ok();
    let rights = ["secret/version/*", "secret/updateMetadata", "secret/create"];
    let writer = with(&domain, "writer", &rights).await;
    domain.policy("writer", &["*"], json!({"deny": ["secret/version/getData"]})).await;
    let told = async |client: &Client, body: &str| client.put("secret/app/a", body).await.ok();
    let adds = told(&writer, r#"{"version":{"data":{"k":2}}}"#).await;
    let urn = adds["metadata"]["urn"].clone();
    assert_eq!(adds["metadata"], json!({"currentVersion": 2, "urn": urn}));
    let changes = told(&writer, r#"{"metadata":{"maxVersions":5}}"#).await;
    assert_eq!((&changes["metadata"], &changes["path"]), (&json!({"urn": urn}), &json!("app/a")));
    let nothing = told(&writer, "{}").await;
    assert_eq!(nothing["metadata"], json!({"urn": urn}));
    assert!(nothing["warnings"].is_array());
    let at = writer.url("secret/app/a/version");
    let added = writer.call(Method::POST, &at, r#"{"data":{}}"#).await.ok();
    assert_eq!((&added["id"], &added["state"]), (&json!(3), &json!("active")));
    for (state, is_new) in [("deactivated", true), ("deactivated", false), ("active", true)] {
        let body = json!({ "state": state }).to_string();
        let mut set = writer.put("secret/app/a/version/1", &body).await.ok();
        assert_eq!(set["warnings"].is_null(), is_new);
        set.as_object_mut().unwrap().remove("warnings");
        assert_eq!(set, json!({"id": 1, "state": state}));
    }
    // KV2's writes tell of the version that they have made.
    let kv_at = async |client: &Client, method, name: &str, body: &str| {
        let media = [("content-type", "application/merge-patch+json")];
        let at = v1(client, &format!("secret/data/app/{name}"));
        client.send(method, &at, &media, body.to_owned()).await
    };
    let kv = async |client: &Client, method, body: &str| kv_at(client, method, "a", body).await;
    for method in [Method::POST, Method::PATCH] {
        let written = kv(&writer, method.clone(), r#"{"data":{"k":4}}"#).await.ok();
        assert_eq!(written["data"]["custom_metadata"], json!(null), "{method}");
        let written = kv(&domain.admin, method, r#"{"data":{"k":4}}"#).await.ok();
        assert_eq!(written["data"]["custom_metadata"], json!({"owner": "payroll"}));
    }
    // A patch of a version that cannot be read is like one of what is not there.
    kv(&domain.admin, Method::DELETE, "").await;
    let patch = r#"{"data":{"k":5}}"#;
    let shown = kv(&domain.admin, Method::PATCH, patch).await;
    assert_eq!(shown.json()["data"]["custom_metadata"], json!({"owner": "payroll"}));
    let hidden = kv(&writer, Method::PATCH, patch).await;
    let missing = kv_at(&writer, Method::PATCH, "none", patch).await;
    assert_eq!(hidden.likeness(), missing.likeness());
    // So it is with the domain's defaults.
    let configures = with(&domain, "configures", &["secretConfig/update"]).await;
    let set = async |client: &Client| {
        client.put("secretConfig", r#"{"maxVersions":7}"#).await.ok()["maxVersions"].clone()
    };
    assert_eq!((set(&configures).await, set(&domain.admin).await), (json!(null), json!(7)));
    // Who makes a secret has made all of it.
    let made = writer.create("app/b", "{}").await.ok();
    assert_eq!(made["metadata"]["currentVersion"], 1);
    assert!(made["metadata"]["createdAt"].is_string());
}

/// Pages of the native list were short by what may not be seen, and so counted it.
#[tokio::test]
async fn pages_are_full_of_what_may_be_seen() {
    let domain = Domain::new().await;
    let paths: Vec<_> = (0..25)
        .flat_map(|n| [format!("app/{n:02}"), format!("app/{n:02}-hidden"), format!("pay/{n:02}")])
        .collect();
    domain.admin.create_all(&paths).await;
    domain.rule("svc", &[]).await;
    domain.policy("svc", &["app/*"], json!({"allow": ["secret/get"]})).await;
    domain.policy("svc", &["*-hidden"], json!({"deny": ["secret/get"]})).await;
    let svc = domain.client("svc", Http::One);
    let (mut sizes, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut headers = vec![("x-pagination-size", "10")];
        headers.extend(cursor.as_deref().map(|cursor| ("x-pagination-cursor", cursor)));
        let page = svc.send(Method::GET, &svc.url("secret"), &headers, String::new()).await;
        sizes.push(page.ok().as_array().unwrap().len());
        cursor = page
            .headers
            .get("x-pagination-cursor-next")
            .map(|next| next.to_str().unwrap().to_owned());
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [10, 10, 5]);
}

/// Any certificate of the domain, one with no right to anything as well, listed all accessors, looked
/// at others' tokens, prolonged and ended them, and what others had wrapped: which was lost then.
#[tokio::test]
async fn tokens_of_others_take_a_right() {
    const GET: &str = "okms:apiovh:resource/token/get";
    const EDIT: &str = "okms:apiovh:resource/token/edit";
    let domain = Domain::new().await;
    let owner = vault(&domain, "owner", &["secret/get"]).await;
    let nobody = vault(&domain, "nobody", &[]).await;
    let other = vault(&domain, "other", &["secret/*"]).await;
    let viewer = vault(&domain, "viewer", &[GET]).await;
    let editor = vault(&domain, "editor", &[EDIT]).await;
    let admin = Vault::of(&domain.admin).root();
    let login = owner.put("auth/cert/login", "{}").await.envelope()["auth"].clone();
    let wrap = async || {
        let wrapping = owner.with("x-vault-wrap-ttl", "1h");
        let wrapped = wrapping.post("sys/wrapping/wrap", json!({"a": 1})).await.envelope();
        wrapped["wrap_info"].clone()
    };
    let wrapped = wrap().await;
    let (of_token, of_wrapped) = (&login["accessor"], &wrapped["accessor"]);
    let unknown = json!("AAAAAAAAAAAAAAAAAAAAAAAA");
    let by = |accessor: &serde_json::Value| json!({ "accessor": accessor, "paths": ["secret/x"] });
    // To who has no right, all accessors but its own are alike, whether there is such a one or not.
    for caller in [&nobody, &other] {
        forbidden(&caller.list("auth/token/accessors").await);
        for path in ["lookup-accessor", "renew-accessor", "revoke-accessor"] {
            let ask =
                async |accessor| caller.post(&format!("auth/token/{path}"), by(accessor)).await;
            let answers =
                [ask(of_token).await, ask(of_wrapped).await, ask(&unknown).await].map(|answer| {
                    forbidden(&answer);
                    answer.likeness()
                });
            assert_eq!((&answers[0], &answers[1]), (&answers[1], &answers[2]), "{path}");
        }
        forbidden(&caller.post("sys/capabilities-accessor", by(of_token)).await);
        let text = json!({"token": login["client_token"]});
        caller.post("auth/token/lookup", &text).await.refused(403, "bad token");
        forbidden(&caller.post("auth/token/revoke", &text).await);
        let told = caller.post("sys/capabilities-self", json!({"paths": ["auth/token/accessors"]}));
        assert_eq!(told.await.envelope()["data"]["auth/token/accessors"], json!(["deny"]));
    }
    // The owner needs none for what is its own.
    let own = owner.post("auth/token/lookup-accessor", by(of_token)).await.shown();
    assert_eq!(own["accessor"], *of_token);
    owner.post("auth/token/renew-accessor", by(of_token)).await.envelope();
    owner.post("sys/capabilities-accessor", by(of_token)).await.envelope();
    let made = owner.post("auth/token/create", "{}").await.envelope()["auth"].clone();
    owner.post("auth/token/revoke-accessor", by(&made["accessor"])).await.nothing();
    owner.post("auth/token/revoke-accessor", by(&wrap().await["accessor"])).await.nothing();
    // To see is one right, and to change another one.
    assert_eq!(viewer.list("auth/token/accessors").await.keys().len(), 2);
    viewer.post("auth/token/lookup-accessor", by(of_token)).await.shown();
    viewer.post("auth/token/lookup-accessor", by(&unknown)).await.refused(400, "invalid accessor");
    for path in ["auth/token/renew-accessor", "auth/token/revoke-accessor"] {
        forbidden(&viewer.post(path, by(of_token)).await);
    }
    forbidden(&editor.list("auth/token/accessors").await);
    forbidden(&editor.post("auth/token/lookup-accessor", by(of_token)).await);
    admin.post("auth/token/renew-accessor", by(of_token)).await.envelope();
    // What another certificate's token may do is not known, and was told of the one that asked.
    for caller in [&viewer, &admin] {
        let asked = caller.post("sys/capabilities-accessor", by(of_token)).await;
        asked.refused_with(400, "is not known here");
    }
    // Nobody has ended anything so far.
    owner
        .token(login["client_token"].as_str().unwrap())
        .get("auth/token/lookup-self")
        .await
        .shown();
    // Who has a wrapping token has what is wrapped, and may end it.
    let token = json!({"token": wrapped["token"]});
    let again = nobody.post("sys/wrapping/rewrap", &token).await.envelope()["wrap_info"].clone();
    forbidden(&nobody.post("auth/token/revoke-accessor", by(&again["accessor"])).await);
    let token = json!({"token": again["token"]});
    assert_eq!(nobody.post("sys/wrapping/unwrap", &token).await.envelope()["data"]["a"], 1);
    let token = json!({"token": wrap().await["token"]});
    nobody.post("auth/token/revoke", &token).await.nothing();
    nobody.post("sys/wrapping/unwrap", &token).await.refused_with(400, "not valid");
    // It stays its maker's, whoever wrapped it anew.
    let token = json!({"token": wrap().await["token"]});
    let again = nobody.post("sys/wrapping/rewrap", &token).await.envelope()["wrap_info"].clone();
    owner.post("auth/token/revoke-accessor", by(&again["accessor"])).await.nothing();
    // By right, others' are ended.
    let wrapped = wrap().await;
    editor.post("auth/token/revoke-accessor", by(&wrapped["accessor"])).await.nothing();
    editor.post("auth/token/revoke-accessor", by(of_token)).await.nothing();
    editor.post("auth/token/revoke-accessor", by(of_token)).await.refused(400, "invalid accessor");
    assert_eq!(
        owner.token(login["client_token"].as_str().unwrap()).get("sys/auth").await.status,
        403
    );
}

/// One certificate could have the whole domain's room for what is wrapped, for a month.
#[tokio::test]
async fn one_certificate_does_not_wrap_for_all() {
    let domain = Domain::new().await;
    let large = json!({"a": "x".repeat(500 << 10)});
    let fill = async |name: &str| {
        let caller = vault(&domain, name, &[]).await.with("x-vault-wrap-ttl", "1h");
        for n in 0..40 {
            let answer = caller.post("sys/wrapping/wrap", &large).await;
            if answer.status != 200 {
                answer.refused_with(400, "too much is wrapped in this domain");
                return n;
            }
        }
        panic!("nothing holds it back");
    };
    // Each leaves as much as it takes.
    assert_eq!([fill("one").await, fill("two").await, fill("three").await], [32, 16, 8]);
}

/// In Vault's language the right is what a policy says of the address, as in Vault.
#[tokio::test]
async fn tokens_in_vaults_language() {
    let domain = Domain::new().await;
    let admin = Vault::of(&domain.admin).root();
    let policy = r#"
        path "auth/token/accessors"       { capabilities = ["list", "sudo"] }
        path "auth/token/lookup-accessor" { capabilities = ["update"] }
        path "auth/token/revoke-self"     { capabilities = ["deny"] }
    "#;
    admin.policy("keeper", policy).await;
    domain.rule("keeper", &["keeper"]).await;
    let keeper = Vault::of(&domain.client("keeper", Http::One)).root();
    let login = admin.put("auth/cert/login", "{}").await.envelope()["auth"].clone();
    let by = json!({"accessor": login["accessor"]});
    assert_eq!(keeper.list("auth/token/accessors").await.keys().len(), 1);
    let shown = keeper.post("auth/token/lookup-accessor", &by).await.shown();
    assert_eq!(shown["accessor"], login["accessor"]);
    forbidden(&keeper.post("auth/token/revoke-accessor", &by).await);
    let told = keeper.post("sys/capabilities-self", json!({"paths": ["auth/token/accessors"]}));
    assert_eq!(told.await.envelope()["data"]["auth/token/accessors"], json!(["list", "sudo"]));
    let own = keeper.put("auth/cert/login", "{}").await.envelope()["auth"].clone();
    let own = keeper.token(own["client_token"].as_str().unwrap());
    forbidden(&own.put("auth/token/revoke-self", "").await);
}

/// Of addresses of the server's own all words were told, whatever is there: each is told to whom
/// it is let in, and no other.
#[tokio::test]
async fn capabilities_at_the_servers_own_addresses_are_true() {
    let domain = Domain::new().await;
    let nobody = with(&domain, "nobody", &[]).await;
    let rights = ["secret/*", "okms:apiovh:resource/policy/get", "okms:apiovh:resource/token/get"];
    let auditor = with(&domain, "auditor", &rights).await;
    let is_own = |route: &ListedRoute| {
        let path = route.pattern.strip_prefix("/api/{okmsId}/v1/");
        path.is_some_and(|path| path.starts_with("sys/") || path.starts_with("auth/"))
            // What comes next asks for the token that the last one ends. What the first two answer is not said by
            // their addresses alone: there is nothing, or what may be done in the mount decides.
            && !["VaultNotServed", "VaultUiMount", "VaultRevokeSelf"].contains(&route.operation.id)
            && route.method != "HEAD"
    };
    let routes: Vec<_> = isolation::routes().into_iter().filter(is_own).collect();
    let mut told = [0, 0];
    for client in [&nobody, &auditor] {
        let mut connection = client.connect().await;
        for route in &routes {
            let at = isolation::url(route, &client.id, isolation::SECRET);
            let path = at.rsplit_once("/v1/").unwrap().1.replace("%2F", "/");
            let asked = json!({ "path": path }).to_string();
            let words = post(client, "sys/capabilities-self", &asked).await.ok();
            let word = match route.method {
                "GET" => "read",
                "LIST" => "list",
                "DELETE" => "delete",
                "PATCH" => "patch",
                _ => "update",
            };
            let is_told = words["capabilities"].as_array().unwrap().contains(&json!(word));
            let body = isolation::body(route, isolation::SECRET);
            let headers = [("content-type", "application/json")];
            let method = isolation::method(route);
            let answer = match connection.try_send(method, &at, &headers, body.clone()).await {
                Ok(answer) => answer,
                Err(_) => {
                    connection = client.connect().await;
                    continue;
                }
            };
            // Accessors that others' tokens may have are refused as such.
            let is_of_accessor = body.contains("accessor") && is_told;
            let is_let_in = outcome(&answer) != Outcome::Forbidden;
            assert!(is_let_in == is_told || is_of_accessor, "{} {path}: {words}", route.method);
            told[usize::from(is_told)] += 1;
        }
        // Nor are words told of what is not there.
        for path in ["sys/nothing/here", "auth/github/login", "sys/audit/x", "sys/health/x"] {
            let asked = json!({ "path": path }).to_string();
            let words = post(client, "sys/capabilities-self", &asked).await.ok();
            assert_eq!(words["capabilities"], json!(["deny"]), "{path}");
        }
    }
    assert!(told.iter().all(|times| *times > 20), "{told:?}");
}
