//! What records tell: what an act was about, what was refused, and whose certificate it was that is
//! not taken.

use std::time::Duration;

use hyper::Method;
use okmsd::{config::ByteSize, pki::Subject};
use serde_json::{Value, json};

use crate::{
    access::Domain,
    audit::{record_of, trail},
    customer_lists::{List, list, listing_ca},
    harness::{Answer, BOTH, Client, Leaf, Pair, START, TestServer, eventually},
    isolation::UNKNOWN,
    proxies::{forwarded_read, forwards, serial},
    trust::{Signer, ca, claims, leaf},
    wire::Wire,
};

const FORBIDDEN: u32 = 16_924_673;
const UNAUTHENTICATED: u32 = 50_475_011;
const BUSY: u32 = 50_434_049;

/// The names of all that a record is about, each with its kind.
pub fn things(record: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let main = text(&record["resource_type"]).zip(text(&record["resource"]));
    let also = record["also"].as_array().into_iter().flatten();
    let also = also.map(|one| (text(&one["type"]).unwrap(), text(&one["name"]).unwrap()));
    main.into_iter().chain(also).collect()
}

/// That the record of a request says that it was about these, and so does what has announced it.
#[track_caller]
fn is_about(server: &TestServer, answer: &Answer, expected: &[(&str, &str)]) {
    assert!(answer.status.is_success(), "{answer:?}");
    let record = record_of(server, answer);
    let has_all = |record: &Value| {
        let told = things(record);
        let is_told =
            |(kind, name): &(&str, &str)| told.contains(&((*kind).to_owned(), (*name).to_owned()));
        assert!(expected.iter().all(is_told), "{expected:?} {record}");
    };
    has_all(&record);
    let changes = record["changes"].as_array().unwrap_or_else(|| panic!("changes: {record}"));
    let (records, _) = trail(server);
    for change in changes {
        has_all(records.iter().find(|one| one["seq"] == change["intent"]).unwrap());
    }
}

/// After a restart a record named a secret by the name of a mount that was moved, in place of where it is,
/// where the domain had neither a policy nor a rule nor a user.
#[tokio::test]
async fn a_moved_mount_is_known_after_a_restart() {
    let (mut server, admin) = TestServer::with_tenant().await;
    let vault = |rest: &str| format!("/api/{}/v1/{rest}", admin.id);
    let about = async |server: &TestServer| {
        let headers = [("x-vault-token", "okms.no.such")];
        let at = vault("crew/data/api");
        let refused = server.at(&admin).send(Method::GET, &at, &headers, "").await;
        assert_eq!(refused.status, 403);
        record_of(server, &refused)["resource"].clone()
    };
    admin.call(Method::PUT, &vault("sys/mounts/team"), r#"{"type":"kv-v2"}"#).await;
    admin.call(Method::PUT, &vault("sys/remount"), r#"{"from":"team","to":"crew"}"#).await;
    assert_eq!(about(&server).await, json!("team/api"));
    server.restart().await;
    assert_eq!(about(&server).await, json!("team/api"));
}

/// Which policy was changed, which certificate was revoked, and so on: by name, number or id.
#[tokio::test]
async fn acts_of_administration_say_what_they_are_about() {
    let (server, admin) = TestServer::with_tenant().await;
    let operator = server.operator();
    let domain = |rest: &str| format!("/v2/okms/resource/{}/{rest}", admin.id);
    let vault = |rest: &str| format!("/api/{}/v1/{rest}", admin.id);
    let send = async |who: &Client, method: Method, url: &str, body: Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        who.call(method, url, &body).await
    };
    let about = |answer: &Answer, expected: &[(&str, &str)]| is_about(&server, answer, expected);

    let policy = |name: &str| {
        json!({
            "name": name, "identities": ["app"], "resources": [{"urn": "app/*"}],
            "permissions": {"allow": [{"action": "okms:apikms:secret/get"}]},
        })
    };
    let made = send(&admin, Method::POST, &domain("policy"), policy("readers")).await;
    let id = made.ok()["id"].as_str().unwrap().to_owned();
    about(&made, &[("policy", &id), ("policy", "readers")]);
    let at = domain(&format!("policy/{id}"));
    let renamed = send(&admin, Method::PUT, &at, policy("viewers")).await;
    about(&renamed, &[("policy", &id), ("policy", "readers"), ("policy", "viewers")]);
    let gone = send(&admin, Method::DELETE, &at, Value::Null).await;
    about(&gone, &[("policy", &id), ("policy", "viewers")]);
    let text = json!({"policy": "path \"secret/data/app/*\" { capabilities = [\"read\"] }"});
    for (method, body) in [(Method::PUT, text), (Method::DELETE, Value::Null)] {
        let at = vault("sys/policies/acl/in-vault");
        about(&send(&admin, method, &at, body).await, &[("policy", "in-vault")]);
    }
    for (method, body) in
        [(Method::PUT, json!({"commonNames": ["app"]})), (Method::DELETE, Value::Null)]
    {
        about(&send(&admin, method, &domain("rule/of-app"), body).await, &[("rule", "of-app")]);
    }
    let role = json!({"allowed_names": ["app"]});
    let role = send(&admin, Method::PUT, &vault("auth/cert/certs/role"), role).await;
    about(&role, &[("rule", "role")]);

    // A user, and the token of a login.
    let user = json!({"password": "a-canary-of-a-password", "policies": "admin"});
    let user = send(&admin, Method::PUT, &vault("auth/userpass/users/ann"), user).await;
    about(&user, &[("user", "ann")]);
    let login = json!({"password": "a-canary-of-a-password"});
    let login = send(&admin, Method::PUT, &vault("auth/userpass/login/ann"), login).await;
    let accessor = login.ok()["auth"]["accessor"].as_str().unwrap().to_owned();
    about(&login, &[("user", "ann"), ("token", &accessor)]);
    let by_accessor = json!({"accessor": accessor});
    for end in ["renew-accessor", "revoke-accessor"] {
        let at = vault(&format!("auth/token/{end}"));
        about(&send(&admin, Method::PUT, &at, by_accessor.clone()).await, &[("token", &accessor)]);
    }
    let made = send(&admin, Method::PUT, &vault("auth/token/create"), json!({})).await.ok();
    let auth = &made["auth"];
    let text = json!({"token": auth["client_token"]});
    let revoked = send(&admin, Method::PUT, &vault("auth/token/revoke"), text).await;
    about(&revoked, &[("token", auth["accessor"].as_str().unwrap())]);
    // What is sent as an accessor and is none may be a token.
    let mistaken = json!({"accessor": "okms.a-canary-of-a-token"});
    for end in ["lookup-accessor", "revoke-accessor"] {
        let at = vault(&format!("auth/token/{end}"));
        assert!(!send(&admin, Method::PUT, &at, mistaken.clone()).await.status.is_success());
    }

    // A certificate: its id, its number, and whom it is for.
    let issued =
        send(&operator, Method::POST, &domain("credential"), json!({"name": "billing"})).await;
    let certificate = issued.ok();
    let [id, serial] = ["id", "serial"].map(|name| certificate[name].as_str().unwrap().to_owned());
    let all = [("credential", &*id), ("certificate", &*serial), ("subject", "billing")];
    about(&issued, &all);
    let at = domain(&format!("credential/{id}"));
    about(&send(&operator, Method::DELETE, &at, Value::Null).await, &all);
    let number = json!({"serial": "0a0b0c"});
    let number = send(&operator, Method::POST, "/v2/okms/revocation", number).await;
    about(&number, &[("certificate", "0a0b0c")]);

    let authority = Signer::root(listing_ca("an authority"));
    let pem = json!({"certificatePEM": authority.pem});
    about(&send(&operator, Method::PUT, &domain("ca/shop"), pem).await, &[("ca", "shop")]);
    let revoked = json!({"crlPEM": list(&authority, List::default())});
    about(&send(&operator, Method::PUT, &domain("ca/shop/crl"), revoked).await, &[("ca", "shop")]);
    for rest in ["ca/shop/crl", "ca/shop"] {
        let gone = send(&operator, Method::DELETE, &domain(rest), Value::Null).await;
        about(&gone, &[("ca", "shop")]);
    }

    let kv = json!({"type": "kv-v2"});
    about(&send(&admin, Method::PUT, &vault("sys/mounts/team"), kv).await, &[("mount", "team")]);
    let tune = json!({"description": "the team's"});
    let tuned = send(&admin, Method::PUT, &vault("sys/mounts/team/tune"), tune).await;
    about(&tuned, &[("mount", "team")]);
    let config = json!({"max_versions": 3});
    let config = send(&admin, Method::PUT, &vault("team/config"), config).await;
    about(&config, &[("mount", "team")]);
    let moved = json!({"from": "team", "to": "crew"});
    let moved = send(&admin, Method::PUT, &vault("sys/remount"), moved).await;
    about(&moved, &[("mount", "team"), ("mount", "crew")]);
    let gone = send(&admin, Method::DELETE, &vault("sys/mounts/crew"), Value::Null).await;
    about(&gone, &[("mount", "crew")]);

    let quota = json!({"requestsPerSecond": 1_000_000});
    let quota = send(&operator, Method::PUT, &domain("quota"), quota).await;
    about(&quota, &[("quota", &admin.id)]);
    let rate = json!({"rate": 1_000_000});
    let at = vault("sys/quotas/rate-limit/writes");
    about(&send(&operator, Method::PUT, &at, rate).await, &[("quota", "writes")]);
    let device = json!({"type": "file", "options": {"file_path": "more.log"}});
    let device = send(&operator, Method::PUT, "/v1/sys/audit/siem", device).await;
    about(&device, &[("audit_device", "siem")]);
    let made =
        send(&operator, Method::POST, "/v2/okms/resource", json!({"name": "a new one"})).await;
    let id = made.ok()["id"].as_str().unwrap().to_owned();
    about(&made, &[("domain", &id)]);

    // The domain's auditor finds it by that.
    let seen = async |name: &str| {
        let found = admin.call(Method::GET, &domain(&format!("audit?resource={name}")), "").await;
        let operations = found.ok();
        let operations = operations.as_array().unwrap().iter();
        operations.map(|one| one["operation"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    eventually("all is there", async || seen("writes").await.len() == 1).await;
    assert_eq!(seen("viewers").await, ["PutPolicy", "DeletePolicy"]);
    assert_eq!(seen(&serial).await, ["PostCredential", "DeleteCredential"]);
    assert_eq!(seen("crew").await, ["VaultRemount", "VaultDisable"]);
    let text = std::fs::read_to_string(server.path("audit.log")).unwrap();
    assert!(!text.contains("canary") && !text.contains("PRIVATE KEY"));
}

/// Names of what lies in the tree are told as paths are: the others are told wherever somebody has
/// them.
#[tokio::test]
async fn mounts_are_no_more_told_than_paths() {
    let server = TestServer::start_with(|config| config.audit.paths = false).await;
    let client = server.tenant().await;
    let vault = |rest: &str| format!("/api/{}/v1/{rest}", client.id);
    let mount = client.call(Method::PUT, &vault("sys/mounts/private"), r#"{"type":"kv-v2"}"#).await;
    let record = record_of(&server, &mount);
    assert_eq!(record["resource_type"], "mount");
    assert!(record["resource"].as_str().unwrap().starts_with("hash:"), "{record}");
    let policy = json!({"policy": "path \"secret/data/private/*\" { capabilities = [\"read\"] }"})
        .to_string();
    client.call(Method::PUT, &vault("sys/policies/acl/readers"), &policy).await;
    // A policy's block is a path, too.
    let user = r#"{"password":"correct horse","policies":"readers"}"#;
    client.call(Method::PUT, &vault("auth/userpass/users/ann"), user).await;
    let login = r#"{"password":"correct horse"}"#;
    let login = client.call(Method::PUT, &vault("auth/userpass/login/ann"), login).await.ok();
    let token = [("x-vault-token", login["auth"]["client_token"].as_str().unwrap())];
    client.create("private/a", "{}").await.ok();
    let read = client.send(Method::GET, &vault("secret/data/private/a"), &token, "").await;
    read.ok();
    let record = record_of(&server, &read);
    assert_eq!(record["policy"], "readers");
    assert!(record["block"].as_str().unwrap().starts_with("hash:"), "{record}");
    client.send(Method::DELETE, &vault("secret/data/private/a"), &token, "").await;
    let text = std::fs::read_to_string(server.path("audit.log")).unwrap();
    assert!(!text.contains("private") && text.contains("readers"));
}

/// A refusal says of what, wherever on its way a request is refused.
#[tokio::test]
async fn refusals_say_of_what() {
    for http in BOTH {
        let mut domain = Domain::new().await;
        domain.rule("reader", &["read-only"]).await;
        domain.rule("auditor", &["auditor"]).await;
        domain.admin.create("app/database", r#"{"v":1}"#).await.ok();
        let (reader, auditor) = (domain.client("reader", http), domain.client("auditor", http));
        let vault = |rest: &str| format!("/api/{}/v1/{rest}", reader.id);
        let resource = |server: &TestServer, answer: &Answer| {
            let record = record_of(server, answer);
            (record["resource_type"].clone(), record["resource"].clone())
        };
        let secret = |path: &str| (json!("secret"), json!(path));
        let server = &domain.server;
        // Who has no such right at all.
        let refused = reader.delete("secret/app%2Fdatabase").await;
        refused.error(403, FORBIDDEN);
        assert_eq!(resource(server, &refused), secret("app/database"));
        let refused = reader.call(Method::DELETE, &vault("secret/metadata/app/database"), "").await;
        assert_eq!(refused.status, 403);
        assert_eq!(resource(server, &refused), secret("app/database"));
        let refused = reader.call(Method::DELETE, &vault("sys/policies/acl/admins"), "").await;
        assert_eq!(refused.status, 403);
        assert_eq!(resource(server, &refused), (json!("policy"), json!("admins")));
        let refused = reader.call(Method::PUT, "/v1/sys/audit/siem", "{}").await;
        assert_eq!(resource(server, &refused), (json!("audit_device"), json!("siem")));
        // A mount that was moved shows the same part of the tree.
        let admin = |method, rest: &str, body: &'static str| {
            let (admin, url) = (domain.admin.clone(), vault(rest));
            async move { assert!(admin.call(method, &url, body).await.status.is_success()) }
        };
        admin(Method::PUT, "sys/mounts/team", r#"{"type":"kv-v2"}"#).await;
        admin(Method::PUT, "sys/remount", r#"{"from":"team","to":"crew"}"#).await;
        let refused = reader.call(Method::DELETE, &vault("crew/metadata/app/x"), "").await;
        assert_eq!(refused.status, 403);
        assert_eq!(resource(server, &refused), secret("team/app/x"));
        // An address with a fault, and one of nobody.
        let fault = reader.call(Method::GET, &vault("secret/data/app/../b"), "").await;
        assert_eq!(fault.status, 400);
        assert_eq!(resource(server, &fault), secret("app/../b"));
        let nobody = server.client(None, Some(&reader.id), http).get("secret/app/database").await;
        nobody.error(401, UNAUTHENTICATED);
        assert_eq!(resource(server, &nobody), secret("app/database"));
        // The rate.
        let quota = r#"{"requestsPerSecond":0.001,"requestsBurst":1}"#;
        server.operator().call(Method::PUT, &domain.at("quota"), quota).await.ok();
        reader.get("secret/app/database").await.ok();
        let busy = reader.get("secret/app/database").await;
        busy.error(429, BUSY);
        assert_eq!(resource(server, &busy), secret("app/database"));
        server.operator().call(Method::DELETE, &domain.at("quota"), "").await;
        // The auditor finds each by that.
        let seen = async || {
            let at = domain.at("audit?resource=app/&subject=reader");
            let found = auditor.call(Method::GET, &at, "").await.ok();
            found.as_array().unwrap().iter().map(|one| one["status"].clone()).collect::<Vec<_>>()
        };
        eventually("all is there", async || seen().await.len() == 4).await;
        assert_eq!(seen().await, [403, 403, 400, 429].map(|status| json!(status)));
        domain.server.stop().await;
    }
}

/// A certificate that counts no more is known by its number, to the domain that it was of, too.
#[tokio::test]
async fn who_is_refused_is_known_by_a_certificate_that_was_good() {
    for http in BOTH {
        let domain = Domain::new().await;
        let (server, admin) = (&domain.server, &domain.admin);
        let claim = format!("okms.domain:{}", admin.id);
        let upns = [&*claim];
        let of = |name: &'static str, valid| Leaf {
            common_name: name,
            upns: &upns,
            valid,
            ..Leaf::default()
        };
        let always = START - 60..=START + 86_400;
        let lost = server.mint(&of("lost", always));
        let short = server.mint(&of("short", START - 60..=START + 100));
        let client = |pair| server.client(Some(pair), Some(&admin.id), http);
        let is_of = |answer: &Answer, pair: &Pair, name: &str| {
            answer.error(401, UNAUTHENTICATED);
            let record = record_of(server, answer);
            assert_eq!(
                (&record["common_name"], &record["serial"], &record["issuer"]),
                (&json!(name), &json!(serial(pair)), &json!("region")),
                "{record}"
            );
            assert_eq!(record["acting_tenant"], *admin.id);
        };
        let (one, other) = (client(&lost), client(&short));
        let (mut open, mut ends) = (one.connect().await, other.connect().await);
        for (connection, client) in [(&mut open, &one), (&mut ends, &other)] {
            connection.send(Method::GET, &client.url("secret"), &[], "").await.ok();
        }
        let body = json!({"serial": serial(&lost)}).to_string();
        server.operator().call(Method::POST, "/v2/okms/revocation", &body).await.ok();
        // On a connection that is open, and on another one, be it resumed.
        let refused = open.send(Method::GET, &one.url("secret/a"), &[], "").await;
        is_of(&refused, &lost, "lost");
        is_of(&one.get("secret/a").await, &lost, "lost");
        server.clock.advance(101);
        let refused = ends.send(Method::GET, &other.url("secret/a"), &[], "").await;
        is_of(&refused, &short, "short");
        // A handshake, of which the certificate says whose it was.
        assert!(client(&short).is_refused_in_tls().await);
        let at = |rest: &str| format!("/v2/okms/resource/{}/audit{rest}", admin.id);
        let seen = async |rest: &str| -> Vec<Value> {
            let found = admin.call(Method::GET, &at(rest), "").await.ok();
            found.as_array().unwrap().clone()
        };
        let rest = format!("?subject={}", serial(&short));
        eventually("both are there", async || seen(&rest).await.len() == 2).await;
        let found = seen(&rest).await;
        assert_eq!(found[1]["type"], "handshake");
        assert_eq!(found[1]["problem"], "expired");
        assert_eq!(found[1]["left_out"], 0);
        assert_eq!(seen("?subject=lost").await.len(), 2);
        // Another's certificate that says the same is nobody's.
        let twin = Signer::root(ca("test region CA"));
        let forged = twin.pair(&claims(leaf(), &claim), &[]);
        assert!(client(&forged).is_refused_in_tls().await);
        eventually("it is recorded", async || {
            let (records, _) = trail(server);
            let shakes = records.iter().filter(|record| record["type"] == "handshake");
            let serials: Vec<_> = shakes.map(|record| record["serial"].clone()).collect();
            serials == [json!(serial(&short)), Value::Null]
        })
        .await;
    }
}

/// Whoever had a certificate that is over, and not its key, filled its domain's view.
#[tokio::test]
async fn refused_handshakes_take_a_part_of_a_view() {
    let server = TestServer::start_with(|config| {
        // A sixteenth of it is some ten records.
        config.audit.store_bytes = ByteSize(64 << 10);
    })
    .await;
    let admin = server.tenant().await;
    let claim = format!("okms.domain:{}", admin.id);
    let valid = START - 100..=START - 1;
    let late = Leaf { common_name: "late", upns: &[&claim], valid, ..Leaf::default() };
    let late = server.mint(&late);
    let client = server.client(Some(&late), Some(&admin.id), BOTH[0]);
    for _ in 0..24 {
        assert!(client.is_refused_in_tls().await);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let is_one =
        |record: &Value| record["type"] == "handshake" && record["serial"] == serial(&late);
    eventually("all are in the file", async || {
        trail(&server).0.iter().filter(|record| is_one(record)).count() == 24
    })
    .await;
    admin.create("after", "{}").await.ok();
    let at = format!("/v2/okms/resource/{}/audit", admin.id);
    let seen = async || admin.call(Method::GET, &at, "").await.ok().as_array().unwrap().clone();
    eventually("what came after is there", async || {
        seen().await.iter().any(|record| record["resource"] == "after")
    })
    .await;
    let handshakes = seen().await.iter().filter(|record| is_one(record)).count();
    assert!((5..=15).contains(&handshakes), "{handshakes}");
}

/// Behind a proxy, too.
#[tokio::test]
async fn who_is_refused_behind_a_proxy_is_known() {
    let mut server = TestServer::start().await;
    let tenant = server.tenant().await;
    let claim = format!("okms.domain:{}", tenant.id);
    let upns = [&*claim];
    let valid = START - 100..=START - 1;
    let late = Leaf { common_name: "late", upns: &upns, valid, ..Leaf::default() };
    let late = server.mint(&late);
    let stranger = server.issue(&Subject::Domain(UNKNOWN.parse().unwrap()), 9);
    let proxy = forwards(&mut server, Some(&tenant.id));
    for (pair, of) in [(&late, &*tenant.id), (&stranger, UNKNOWN)] {
        let refused = forwarded_read(&server, &proxy, &tenant.id, pair).await;
        refused.error(401, UNAUTHENTICATED);
        let record = record_of(&server, &refused);
        assert_eq!(record["serial"], serial(pair), "{record}");
        assert_eq!(
            (&record["subject"], &record["acting_tenant"]),
            (&json!("forwarded"), &json!(of))
        );
    }
}

/// A user who comes without a certificate.
#[tokio::test]
async fn visitors_are_told() {
    let server = TestServer::start_with(|config| {
        config.access.users_without_certificate = true;
    })
    .await;
    let tenant = server.tenant().await;
    let at = format!("/api/{}/v1/auth/userpass/login/ann", tenant.id);
    let nobody = server.anonymous();
    let refused = nobody.call(Method::PUT, &at, r#"{"password":"a"}"#).await;
    let record = record_of(&server, &refused);
    assert_eq!((&record["subject"], &record["user"]), (&json!("visitor"), &json!("ann")));
    assert_eq!(record["acting_tenant"], *tenant.id);
}

/// Which versions were destroyed is told, and which were asked for where none was.
#[tokio::test]
async fn versions_are_told_by_number() {
    let (server, client) = TestServer::with_tenant().await;
    let at = |rest: &str| format!("/api/{}/v1/secret/{rest}", client.id);
    for _ in 0..4 {
        let put = client.call(Method::PUT, &at("data/a"), r#"{"data":{"v":1}}"#).await;
        put.ok();
    }
    let act = async |rest: &str, numbers: Value| {
        client.call(Method::PUT, &at(rest), &json!({"versions": numbers}).to_string()).await
    };
    let versions = |answer: &Answer| {
        let record = record_of(&server, answer);
        let (records, _) = trail(&server);
        for change in record["changes"].as_array().into_iter().flatten() {
            let intent = records.iter().find(|one| one["seq"] == change["intent"]).unwrap();
            assert_eq!(intent["versions"], record["versions"]);
        }
        record["versions"].clone()
    };
    let destroyed = act("destroy/a", json!([1, 3, 9])).await;
    assert_eq!(versions(&destroyed), json!([1, 3]));
    assert_eq!(versions(&act("destroy/a", json!([1, 3])).await), json!([1, 3]), "asked for");
    assert_eq!(versions(&act("delete/a", json!([2, 3])).await), json!([2]));
    assert_eq!(versions(&act("undelete/a", json!([2])).await), json!([2]));
    let current = client.call(Method::DELETE, &at("data/a"), "").await;
    assert_eq!(versions(&current), json!([4]));
    let all: Vec<_> = (1..=150).collect();
    let many = act("destroy/none", json!(all)).await;
    let record = record_of(&server, &many);
    assert_eq!(record["versions"].as_array().unwrap().len(), 100);
    assert_eq!(record["versions_left_out"], 50);
    let native = client.put("secret/a/version/2", r#"{"state":"deleted"}"#).await;
    native.ok();
    assert_eq!(record_of(&server, &native)["version"], 2);
}

/// What the HTTP library refuses before it is a request is told as well: by the id of its answer, and of whom.
#[tokio::test]
async fn what_never_became_a_request_is_recorded() {
    let (server, client) = TestServer::with_tenant().await;
    for head in [
        "GET / HTTP/1.1\r\nx y\r\n\r\n",
        "G@T / HTTP/1.1\r\nx: y\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
    ] {
        let mut wire = Wire::open(&client).await;
        wire.send(head.to_owned()).await;
        wire.until_closed().await;
        let answer = wire.text();
        let id = answer.split("x-request-id: ").nth(1).unwrap().split("\r\n").next().unwrap();
        let find = || trail(&server).0.into_iter().find(|record| record["request_id"] == id);
        // Nobody waits for it.
        eventually("it is recorded", async || find().is_some()).await;
        let record = find().unwrap();
        assert_eq!(
            (&record["status"], &record["problem"]),
            (&json!(400), &json!("Unreadable")),
            "{record}"
        );
        assert_eq!(
            (&record["type"], &record["common_name"]),
            (&json!("request"), &json!("test")),
            "{record}"
        );
        assert!(record["client"] == "127.0.0.1" && record.get("operation").is_none(), "{record}");
    }
    // Its answer may be lost with the connection.
    let mut wire = Wire::open(&client).await;
    wire.send(format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(1 << 20))).await;
    let is_told = || trail(&server).0.iter().any(|record| record["problem"] == "HeadTooLarge");
    eventually("a head is too large", async || is_told()).await;
}
