//! Who may do what within a domain: policies, and the rules that give them to certificates.

use std::time::Duration;

use hyper::Method;
use okmsd::{
    crypto::Sealed,
    model::{BuiltIn, CertRule, IamPolicy, OkmsId, text},
    pki::PrivateKeyPem,
    store::{
        engine::{Batch, Op},
        kinds::Kind,
    },
};
use rcgen::{CustomExtension, DnType, SanType};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};

use crate::{
    harness::{Answer, Client, Http, Leaf, Pair, TestServer},
    trust::{Signer, ca, leaf, trust, with},
};

const FORBIDDEN: u32 = 16_924_673;

/// A domain with its administrator, and what it says of its other certificates.
pub struct Domain {
    pub server: TestServer,
    pub admin: Client,
}

impl Domain {
    pub async fn new() -> Self {
        let (server, admin) = TestServer::with_tenant().await;
        Self { server, admin }
    }

    /// A certificate of the domain with this common name and URI.
    pub fn client(&self, name: &str, http: Http) -> Client {
        let claim = format!("okms.domain:{}", self.admin.id);
        let uri = format!("spiffe://example.org/{name}");
        let leaf = Leaf { common_name: name, upns: &[&claim], uris: &[&uri], ..Leaf::default() };
        self.server.client(Some(&self.server.mint(&leaf)), Some(&self.admin.id), http)
    }

    pub fn at(&self, rest: &str) -> String {
        format!("/v2/okms/resource/{}/{rest}", self.admin.id)
    }

    async fn put_rule(&self, name: &str, rule: &Value) -> Answer {
        let at = self.at(&format!("rule/{name}"));
        self.admin.call(Method::PUT, &at, &rule.to_string()).await
    }

    /// A rule: certificates of this common name stand for an identity of the same name.
    pub async fn rule(&self, name: &str, policies: &[&str]) {
        self.put_rule(name, &json!({"commonNames": [name], "policies": policies})).await.ok();
    }

    /// A policy for one identity; gives back its id. Actions are named without `okms:apikms:`, or
    /// in full.
    pub async fn policy(&self, of: &str, resources: &[&str], permissions: Value) -> String {
        let resources: Vec<_> = resources.iter().map(|urn| json!({"urn": urn})).collect();
        let actions = |kind: &str| -> Vec<_> {
            let of_kind = permissions[kind].as_array().into_iter().flatten();
            let named = |name: &str| match name {
                full if full == "*" || full.starts_with("okms:") => full.to_owned(),
                short => format!("okms:apikms:{short}"),
            };
            of_kind.map(|name| json!({"action": named(name.as_str().unwrap())})).collect()
        };
        let body = json!({
            "name": crate::harness::unique(of),
            "identities": [of],
            "resources": resources,
            "permissions": {"allow": actions("allow"), "except": actions("except"), "deny": actions("deny")},
        });
        let made = self.admin.call(Method::POST, &self.at("policy"), &body.to_string()).await.ok();
        made["id"].as_str().unwrap().to_owned()
    }
}

fn is_forbidden(answer: &Answer) -> bool {
    answer.status == 403
}

fn v1(client: &Client, rest: &str) -> String {
    format!("/api/{}/v1/secret/{rest}", client.id)
}

/// What a client sees of a folder in the Vault dialect, and of all that is there natively.
async fn seen(client: &Client, folder: &str) -> Vec<String> {
    let list = client
        .call(Method::from_bytes(b"LIST").unwrap(), &v1(client, &format!("metadata/{folder}")), "")
        .await;
    if list.status == 404 || list.status == 403 {
        return Vec::new();
    }
    let keys = list.ok()["data"]["keys"].clone();
    keys.as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect()
}

/// A domain's certificate was let in to everything, for ever, and nothing could be taken back.
#[tokio::test]
async fn a_rule_takes_what_it_does_not_give() {
    let domain = Domain::new().await;
    domain.admin.create("app/a", r#"{"k":"v"}"#).await.ok();
    let reader = domain.client("reader", Http::One);
    let mut open = reader.connect().await;
    let write = json!({"version": {"data": {"k": "w"}}}).to_string();
    let put = |client: &Client| client.url("secret/app/a?cas=1");
    assert!(open.send(Method::PUT, &put(&reader), &[], write.clone()).await.status.is_success());

    domain.rule("reader", &["read-only"]).await;
    // On the connection that is open, from the next request on, in each dialect.
    for _ in 0..2 {
        let read =
            open.send(Method::GET, &reader.url("secret/app/a?includeData=true"), &[], "").await;
        assert_eq!(read.ok()["version"]["data"]["k"], "w");
        let refused = open.send(Method::PUT, &put(&reader), &[], write.clone()).await;
        refused.error(403, FORBIDDEN);
    }
    let central = domain.at("secret/app/a?cas=2");
    assert!(is_forbidden(&open.send(Method::PUT, &central, &[], write.clone()).await));
    let kv = json!({"data": {"k": "x"}}).to_string();
    assert_eq!(
        open.send(Method::GET, &v1(&reader, "data/app/a"), &[], "").await.ok()["data"]["data"]["k"],
        "w"
    );
    for (method, rest) in [
        (Method::POST, "data/app/a"),
        (Method::POST, "data/app/new"),
        (Method::DELETE, "data/app/a"),
        (Method::DELETE, "metadata/app/a"),
        (Method::POST, "metadata/app/a"),
        (Method::POST, "config"),
    ] {
        let answer = open.send(method.clone(), &v1(&reader, rest), &[], kv.clone()).await;
        assert!(is_forbidden(&answer), "{method} {rest}: {answer:?}");
    }
    // Nor can it give itself more, or see who has what.
    for (method, rest) in [
        (Method::PUT, "rule/reader"),
        (Method::DELETE, "rule/reader"),
        (Method::GET, "rule"),
        (Method::POST, "policy"),
    ] {
        let answer = open.send(method, &domain.at(rest), &[], "{}").await;
        assert!(is_forbidden(&answer), "{answer:?}");
    }
    // The others are as they were, and when the rule is gone, so is it.
    assert!(domain.admin.put("secret/app/a?cas=2", &write).await.status.is_success());
    domain.admin.call(Method::DELETE, &domain.at("rule/reader"), "").await;
    let again = open.send(Method::PUT, &reader.url("secret/app/a?cas=3"), &[], write).await;
    assert!(again.status.is_success(), "{again:?}");
}

#[tokio::test]
async fn a_deny_wins_and_an_exception_is_none() {
    let domain = Domain::new().await;
    for path in ["app/a", "app/b", "other/c"] {
        domain.admin.create(path, r#"{"k":"v"}"#).await.ok();
    }
    domain.rule("svc", &[]).await;
    let svc = domain.client("svc", Http::Two);
    let data = |path: &str| svc.url(&format!("secret/{path}?includeData=true"));
    let read = async |path: &str| svc.call(Method::GET, &data(path), "").await.status.as_u16();
    assert_eq!(read("app/a").await, 403, "a rule without policies gives nothing");
    let allow = domain
        .policy("svc", &["app/*"], json!({"allow": ["secret/*"], "except": ["secret/delete"]}))
        .await;
    assert_eq!((read("app/a").await, read("other/c").await), (200, 403));
    assert!(is_forbidden(&svc.delete("secret/app/a").await));
    let deny = domain.policy("s*c", &["*/b"], json!({"deny": ["secret/version/getData"]})).await;
    assert_eq!((read("app/a").await, read("app/b").await), (200, 403));
    // Its metadata is not denied, and a deny is about nobody else.
    assert_eq!(svc.get("secret/app/b").await.status, 200);
    assert_eq!(domain.admin.get("secret/app/b?includeData=true").await.status, 200);
    // What is forbidden answers like what is not there to one who may not.
    let (there, missing) = (svc.get("secret/other/c").await, svc.get("secret/other/none").await);
    assert_eq!(there.likeness(), missing.likeness());
    for id in [&deny, &allow] {
        domain.admin.call(Method::DELETE, &domain.at(&format!("policy/{id}")), "").await;
    }
    assert_eq!(read("app/a").await, 403);
}

/// One branch that may not be seen once spoilt the whole list elsewhere; a list that shows a folder
/// in which there is nothing to see tells that there is one.
#[tokio::test]
async fn lists_show_what_may_be_seen() {
    let domain = Domain::new().await;
    let paths = ["a/x", "a/y", "b/deep/down/z", "b/w", "c/secret", "d", "e/only/here", "f/y"];
    for path in paths {
        domain.admin.create(path, "{}").await.ok();
    }
    domain.rule("svc", &[]).await;
    domain
        .policy("svc", &["a/x", "b/*/z", "d", "e*", "f/x*"], json!({"allow": ["secret/get"]}))
        .await;
    domain.policy("svc", &["e/*"], json!({"deny": ["secret/get"]})).await;
    let svc = domain.client("svc", Http::One);
    assert_eq!(seen(&svc, "").await, ["a/", "b/", "d"]);
    assert_eq!(seen(&svc, "a/").await, ["x"]);
    assert_eq!(seen(&svc, "b/").await, ["deep/"]);
    assert_eq!(seen(&svc, "c/").await, [""; 0]);
    assert_eq!(seen(&domain.admin, "").await, ["a/", "b/", "c/", "d", "e/", "f/"]);
    let native = svc.get("secret").await.ok();
    let names: Vec<_> =
        native.as_array().unwrap().iter().map(|entry| entry["path"].as_str().unwrap()).collect();
    assert_eq!(names, ["a/x", "b/deep/down/z", "d"]);
}

/// Names without values, and lists without reading.
#[tokio::test]
async fn rights_that_are_only_parts() {
    let domain = Domain::new().await;
    domain.admin.create("app/a", r#"{"k":"v"}"#).await.ok();
    for name in ["lister", "namer", "patcher"] {
        domain.rule(name, &[]).await;
    }
    domain.policy("lister", &["*"], json!({"allow": ["secret/list"]})).await;
    domain.policy("namer", &["app/*"], json!({"allow": ["secret/subKeys/get"]})).await;
    domain.policy("patcher", &["app/*"], json!({"allow": ["secret/version/patch"]})).await;
    let [lister, namer, patcher] =
        ["lister", "namer", "patcher"].map(|name| domain.client(name, Http::One));
    assert_eq!(seen(&lister, "app/").await, ["a"]);
    assert!(is_forbidden(&lister.get("secret/app/a").await));
    assert!(is_forbidden(&lister.call(Method::GET, &v1(&lister, "data/app/a"), "").await));
    let names = namer.call(Method::GET, &v1(&namer, "subkeys/app/a"), "").await.ok();
    assert_eq!(names["data"]["subkeys"], json!({"k": null}));
    assert!(is_forbidden(&namer.call(Method::GET, &v1(&namer, "data/app/a"), "").await));
    let patch = json!({"data": {"more": 1}}).to_string();
    let media = [("content-type", "application/merge-patch+json")];
    let at = v1(&patcher, "data/app/a");
    let patched = patcher.send(Method::PATCH, &at, &media, patch).await;
    assert_eq!(patched.ok()["data"]["version"], 2);
    for method in [Method::GET, Method::POST] {
        assert!(is_forbidden(&patcher.call(method, &at, r#"{"data":{}}"#).await));
    }
    let whole = domain.admin.get("secret/app/a?includeData=true").await.ok();
    assert_eq!(whole["version"]["data"], json!({"k": "v", "more": 1}));
}

/// What one may do is told in Vault's words, and is so.
#[tokio::test]
async fn capabilities_are_told() {
    let domain = Domain::new().await;
    domain.rule("svc", &[]).await;
    domain
        .policy("svc", &["app/*"], json!({"allow": ["secret/get", "secret/version/*"], "except": ["secret/version/delete"]}))
        .await;
    let svc = domain.client("svc", Http::One);
    let paths = [
        "secret/data/app/a",
        "secret/metadata/app/a",
        "secret/metadata/app/",
        "secret/metadata/",
        "secret/subkeys/app/a",
        "secret/destroy/app/a",
        "secret/undelete/app/a",
        "secret/data/other",
        "secret/metadata/other/",
        "sys/mounts/x",
        "nowhere/x",
    ];
    let told = async |client: &Client| {
        let at = format!("/api/{}/v1/sys/capabilities-self", client.id);
        let body = json!({ "paths": paths }).to_string();
        let answer = client.call(Method::POST, &at, &body).await.ok()["data"].clone();
        paths.map(|path| {
            answer[path]
                .as_array()
                .unwrap()
                .iter()
                .map(|word| word.as_str().unwrap())
                .collect::<Vec<_>>()
                .join(",")
        })
    };
    let few = [
        "delete,patch,read,update",
        "list,read",
        "list",
        "list,read",
        "",
        "",
        "update",
        "",
        "",
        "",
        "",
    ];
    let few = few.map(|words| if words.is_empty() { "deny".to_owned() } else { words.to_owned() });
    assert_eq!(told(&svc).await, few);
    let all = told(&domain.admin).await;
    assert_eq!(all[0], "create,delete,patch,read,update");
    assert_eq!(all[9], "create,delete,read,update");
    assert_eq!(all[10], "deny");
}

/// Rules by the names in certificates, and what is left where none fits.
#[tokio::test]
async fn rules_find_certificates() {
    let mut domain = Domain::new().await;
    domain.admin.create("app/a", "{}").await.ok();
    domain
        .put_rule(
            "by-uri",
            &json!({"uris": ["spiffe://example.org/web-*"], "policies": ["auditor"]}),
        )
        .await
        .ok();
    domain
        .put_rule(
            "both",
            &json!({"names": ["both"], "uris": ["spiffe://other/*"], "policies": ["nothing"]}),
        )
        .await
        .ok();
    let level = async |domain: &Domain, name: &str| {
        let client = domain.client(name, Http::One);
        let read = client.get("secret/app/a").await.status.is_success();
        let value = client.get("secret/app/a?includeData=true").await.status.is_success();
        let write =
            client.put("secret/app/a", r#"{"version":{"data":{}}}"#).await.status.is_success();
        (read, value, write)
    };
    assert_eq!(level(&domain, "web-1").await, (true, false, false));
    assert_eq!(level(&domain, "web").await, (true, true, true), "no rule is about it");
    assert_eq!(level(&domain, "both").await, (true, true, true), "every list has to fit");
    // The rules are as they were after a start.
    domain.server.restart().await;
    domain.admin = domain.server.at(&domain.admin);
    assert_eq!(level(&domain, "web-1").await, (true, false, false));
    let rules = domain.admin.call(Method::GET, &domain.at("rule"), "").await.ok();
    let names: Vec<_> = rules.as_array().unwrap().iter().map(|rule| rule["name"].clone()).collect();
    assert_eq!(names, ["both", "by-uri"]);
}

/// Rules can ask which authority vouches, and for organization and unit; what they say of an identity
/// besides is kept.
#[tokio::test]
async fn rules_ask_for_issuers_and_subjects() {
    let (mut server, admin) = TestServer::with_tenant().await;
    let authority = Signer::root(ca("customer CA"));
    trust(&mut server, &authority.pem, &admin.id);
    server.restart().await;
    let domain = Domain { admin: server.at(&admin), server };
    domain.admin.create("app/a", "{}").await.ok();
    let of_subject = |organization: &'static str, unit: &'static str| {
        let subject =
            [(DnType::OrganizationName, organization), (DnType::OrganizationalUnitName, unit)];
        let params = with(leaf(), |params| {
            for (kind, text) in &subject {
                params.distinguished_name.push(kind.clone(), *text);
            }
        });
        let claim = format!("okms.domain:{}", domain.admin.id);
        let leaf = Leaf { upns: &[&claim], subject: &subject, ..Leaf::default() };
        [authority.pair(&params, &[]), domain.server.mint(&leaf)]
            .map(|pair| domain.server.client(Some(&pair), Some(&domain.admin.id), Http::One))
    };
    let level = async |client: &Client| {
        let read = client.get("secret/app/a").await.status.is_success();
        let value = client.get("secret/app/a?includeData=true").await.status.is_success();
        let write =
            client.put("secret/app/a", r#"{"version":{"data":{}}}"#).await.status.is_success();
        (read, value, write)
    };
    let (admin, reader, auditor, nothing) =
        ((true, true, true), (true, true, false), (true, false, false), (false, false, false));
    let certificate = CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap();
    let key = text::hex(&okmsd::pki::key_sha256(&certificate).unwrap());
    let [theirs, own] = of_subject("Acme", "ops");
    let [other, _] = of_subject("Acme", "sales");
    domain.put_rule("theirs", &json!({"issuers": [key], "policies": ["nothing"]})).await.ok();
    let rule = json!({
        "issuers": [key.to_uppercase(), "00".repeat(32)],
        "organizations": ["Ac*"],
        "organizationalUnits": ["ops", "dev"],
        "policies": ["read-only"],
        "metadata": {"team": "a", "stage\"": "é"},
    });
    domain.put_rule("ops", &rule).await.ok();
    assert_eq!(level(&theirs).await, reader);
    assert_eq!(level(&other).await, nothing);
    assert_eq!(level(&own).await, admin, "of another authority");
    let told = domain.admin.call(Method::GET, &domain.at("rule/ops"), "").await.ok();
    assert_eq!(told["issuers"], json!([key, "00".repeat(32)]));
    for same in ["organizations", "organizationalUnits", "metadata"] {
        assert_eq!(told[same], rule[same]);
    }
    for wrong in [
        json!({"issuers": ["Region"]}),
        json!({"issuers": [key[1..]]}),
        json!({"metadata": {"team": 1}}),
        json!({"metadata": ["team"]}),
        json!({"metadata": {"team": "x".repeat(513)}}),
        json!({"metadata": {"": "x"}}),
        json!({"metadata": (0..65).map(|n| (n.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>()}),
        json!({"organizations": [""]}),
        json!({"countries": ["FR"]}),
    ] {
        assert_eq!(domain.put_rule("wrong", &wrong).await.status, 400, "{wrong}");
    }
    domain.put_rule("own", &json!({"issuers": ["region"], "policies": ["auditor"]})).await.ok();
    assert_eq!(level(&own).await, auditor);
    assert_eq!(level(&theirs).await, reader);
}

/// What a rule would say of a name that cannot be read, nobody knows: its holder fitted no rule, and
/// was an administrator. So did whoever had a DNS name in capitals.
#[tokio::test]
async fn names_that_rules_cannot_see_open_nothing() {
    let domain = Domain::new().await;
    domain.admin.create("app/a", "{}").await.ok();
    let claim = format!("okms.domain:{}", domain.admin.id);
    let client = |common_name: &str, dns: &[&str]| {
        let leaf = Leaf { common_name, dns, upns: &[&claim], ..Leaf::default() };
        domain.server.client(Some(&domain.server.mint(&leaf)), Some(&domain.admin.id), Http::One)
    };
    let long = "x".repeat(257);
    let (long, capitals) = (client(&long, &[]), client("web", &["WEB.Example.COM"]));
    for client in [&long, &capitals] {
        client.put("secret/app/a", r#"{"version":{"data":{}}}"#).await.ok();
    }
    let rule = json!({"dnsNames": ["web.example.com"], "policies": ["read-only"]});
    domain.put_rule("web", &rule).await.ok();
    capitals.get("secret/app/a").await.ok();
    assert!(is_forbidden(&capitals.put("secret/app/a", r#"{"version":{"data":{}}}"#).await));
    assert!(is_forbidden(&long.get("secret/app/a").await));
    // Not even where a rule would be about it.
    domain.put_rule("all", &json!({"policies": ["admin"]})).await.ok();
    capitals.put("secret/app/a", r#"{"version":{"data":{}}}"#).await.ok();
    assert!(is_forbidden(&long.get("secret/app/a").await));
}

/// Another process over the same store judges by what this one was told, soon after.
#[tokio::test]
async fn another_process_judges_alike() {
    let (server, _, second) = TestServer::two_processes().await;
    let tenant = server.tenant().await;
    let (address, stopper) = (second.address(), second.stopper());
    let running = tokio::spawn(second.run());
    let elsewhere = Client { address, ..tenant.clone() };
    let mut connection = elsewhere.connect().await;
    connection.send(Method::GET, &tenant.url("secret"), &[], "").await.ok();
    let at = format!("/v2/okms/resource/{}/rule/all", tenant.id);
    let operator = server.operator();
    for (rule, status) in [(Some(r#"{"policies":["nothing"]}"#), 403), (None, 200)] {
        match rule {
            Some(rule) => drop(operator.call(Method::PUT, &at, rule).await.ok()),
            None => drop(operator.call(Method::DELETE, &at, "").await),
        }
        let told = std::time::Instant::now();
        while connection.send(Method::GET, &tenant.url("secret"), &[], "").await.status != status {
            assert!(told.elapsed() < Duration::from_secs(1), "within a second");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    stopper.stop();
    running.await.unwrap();
}

/// A rule that pins a key, and certificates that renewed themselves under another one: they came out
/// of the rule, and were administrators; those from before the rule had never been under it.
#[tokio::test]
async fn a_renewal_stays_under_its_rules() {
    let domain = Domain::new().await;
    let operator = Client { id: domain.admin.id.clone(), ..domain.server.operator() };
    let of = |issued: &Value| {
        let text = |member: &str| issued[member].as_str().unwrap().to_owned();
        let key = PrivateKeyPem::parse(text("privateKeyPEM")).unwrap();
        let pair = Pair { certificate: text("certificatePEM"), key };
        domain.server.client(Some(&pair), Some(&domain.admin.id), Http::One)
    };
    let issue = async |name: &str| {
        let body = json!({"name": name, "validity": 30}).to_string();
        of(&operator.call(Method::POST, &domain.at("credential"), &body).await.ok())
    };
    let renew = async |client: &Client| {
        let renewed = client.call(Method::POST, &domain.at("credential/renew"), "").await.ok();
        domain.server.clock.advance(1);
        of(&renewed)
    };
    let key = |client: &Client| {
        let schemes = [rustls::SignatureScheme::ECDSA_NISTP256_SHA256];
        let chain = client.tls.client_auth_cert_resolver.resolve(&[], &schemes).unwrap();
        let leaf = okmsd::auth::identity::CertIdentity::from_der(&chain.cert[0]).unwrap();
        leaf.public_key_sha256().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let (first, other) = (issue("pinned").await, issue("pinned").await);
    // Two from before the rule, one of them on a connection that is open, and a later one of each.
    let second = renew(&first).await;
    let mut open = second.connect().await;
    let count = std::sync::atomic::AtomicUsize::new(0);
    let create = async |client: &Client| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        client.create(&format!("s{number}"), "{}").await.status.as_u16()
    };
    assert_eq!(open.send(Method::GET, &second.url("secret"), &[], "").await.status, 200);
    assert_eq!((create(&first).await, create(&second).await), (200, 200));
    let rule = json!({"publicKeySHA256": [key(&first)], "policies": ["read-only"]});
    domain.put_rule("by-key", &rule).await.ok();
    let body = json!({"path": "x", "version": {"data": {}}}).to_string();
    let refused = open.send(Method::POST, &second.url("secret"), &[], body).await;
    refused.error(403, FORBIDDEN);
    let (third, twin) = (renew(&second).await, renew(&first).await);
    for client in [&first, &second, &third, &twin, &renew(&third).await] {
        assert_eq!(create(client).await, 403);
        client.get("secret").await.ok();
    }
    // Of the same name, and of another key.
    assert_eq!((create(&other).await, create(&renew(&other).await).await), (200, 200));
    // A rule for a key in the middle is not about those before it.
    domain.admin.call(Method::DELETE, &domain.at("rule/by-key"), "").await;
    let rule = json!({"publicKeySHA256": [key(&second)], "policies": ["read-only"]});
    domain.put_rule("by-key", &rule).await.ok();
    assert_eq!((create(&first).await, create(&twin).await), (200, 200));
    assert_eq!((create(&second).await, create(&third).await), (403, 403));
    domain.rule("pinned", &["read-only"]).await;
    assert_eq!(create(&renew(&twin).await).await, 403);
}

/// `access.default_policy`: who has no rule has what the operator says.
#[tokio::test]
async fn who_has_no_rule_may_have_nothing() {
    let server = TestServer::start_with(|config| {
        config.access.default_policy = okmsd::config::DefaultPolicy(BuiltIn::Nothing);
    })
    .await;
    let client = server.tenant().await;
    assert!(is_forbidden(&client.create("a", "{}").await));
    assert!(is_forbidden(&client.get("secret").await));
    let operator = Client { id: client.id.clone(), ..server.operator() };
    operator.create("a", "{}").await.ok();
    let at = format!("/v2/okms/resource/{}/rule/all", client.id);
    operator.call(Method::PUT, &at, r#"{"policies":["read-only"]}"#).await.ok();
    assert_eq!(client.get("secret/a").await.status, 200);
    assert!(is_forbidden(&client.create("b", "{}").await));
    // Of another domain it is as before: there is none.
    let other = server.tenant().await;
    let foreign = format!("/v2/okms/resource/{}/rule", other.id);
    assert_eq!(client.call(Method::GET, &foreign, "").await.status, 404);
}

/// A policy that says less than its author thinks is refused whole.
#[tokio::test]
async fn what_is_not_understood_is_refused() {
    let domain = Domain::new().await;
    let good = json!({
        "name": "p", "identities": ["x"], "resources": [{"urn": "app/*"}],
        "permissions": {"deny": [{"action": "okms:apikms:secret/delete"}]},
    });
    let post = async |policy: &Value| {
        domain.admin.call(Method::POST, &domain.at("policy"), &policy.to_string()).await
    };
    assert!(post(&good).await.status.is_success());
    let with = |pointer: &str, value: Value| {
        let mut policy = good.clone();
        policy["name"] = json!("q");
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        policy.pointer_mut(parent).unwrap()[name] = value;
        policy
    };
    let other = "urn:v1:eu-west-local:resource:okms:00000000-0000-4000-8000-000000000000";
    for policy in [
        with("/conditions", json!({"date.before": "2030-01-01"})),
        with("/conditions", json!([])),
        with("/conditions", json!({"operator": "MATCH"})),
        with("/conditions", json!({"values": {"request.IP": "::1"}})),
        with("/conditions", json!({"operator": "match", "values": {"request.IP": "::1"}})),
        with("/conditions", json!({"operator": "MATCH", "values": {"request.IP": ["::1"]}})),
        with("/conditions", json!({"operator": "MATCH", "values": {"request.IP": "::1"}, "x": 1})),
        with("/conditions", json!({"operator": "MATCH", "values": {"resource.Tag(a)": "b"}})),
        with(
            "/conditions",
            json!({"operator": "MATCH", "values": {"date(Europe/Paris).Hour": "7"}}),
        ),
        with("/expiredAt", json!("2030-01-01")),
        with("/expiredAt", json!(1_893_456_000)),
        with("/expiresAt", json!("2030-01-01T00:00:00Z")),
        with("/permissions/denied", json!([])),
        with("/permissions/deny", json!([{"action": "okms:apikms:secret/delette"}])),
        with("/permissions/deny", json!([])),
        with("/permissions/deny", json!([{"action": "a", "when": 1}])),
        with("/resources", json!([{"urn": other}])),
        with("/resources", json!([])),
        with("/resources", json!([{"urn": "/payroll/*"}])),
        with("/resources", json!([{"urn": "payroll//x"}, {"urn": "app/*"}])),
        with("/identities", json!([""])),
        with("/identities", json!("x")),
        with("/name", json!("admin")),
        with("/name", json!("p")),
    ] {
        let answer = post(&policy).await;
        assert_eq!(answer.status, 400, "{policy}: {answer:?}");
    }
    for (name, rule) in
        [("r", json!({"dnsNaems": ["x"]})), ("r", json!({"publicKeySHA256": ["ab"]}))]
    {
        assert_eq!(domain.put_rule(name, &rule).await.status, 400, "{rule}");
    }
    let policies = domain.admin.call(Method::GET, &domain.at("policy"), "").await.ok();
    assert_eq!(policies.as_array().unwrap().len(), 1);
}

/// What a customer's certificates say beside their names was for nobody to ask.
#[tokio::test]
async fn rules_ask_for_what_else_a_certificate_says() {
    let (mut server, admin) = TestServer::with_tenant().await;
    let authority = Signer::root(ca("customer CA"));
    trust(&mut server, &authority.pem, &admin.id);
    server.restart().await;
    let domain = Domain { admin: server.at(&admin), server };
    domain.admin.create("app/a", "{}").await.ok();
    let utf8 = |text: &str| [&[0x0c, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let client = |country: &str, other: &str, extension: Vec<u8>| {
        let params = with(leaf(), |params| {
            params.distinguished_name.push(DnType::CountryName, country);
            params.subject_alt_names.push(SanType::OtherName((vec![1, 2, 3, 4], other.into())));
            params.custom_extensions =
                vec![CustomExtension::from_oid_content(&[1, 2, 3, 5], extension)];
        });
        domain.server.client(Some(&authority.pair(&params, &[])), Some(&domain.admin.id), Http::One)
    };
    let (french, german) =
        (client("FR", "web-1", utf8("app-1")), client("DE", "web-2", utf8("app-2")));
    let unread = client("FR", "web-3", vec![0x02, 0x01, 0x05]);
    let level = async |client: &Client| {
        let value = client.get("secret/app/a?includeData=true").await.status.is_success();
        let write = client.put("secret/app/a", r#"{"version":{"data":{}}}"#).await.status;
        (value, write.is_success())
    };
    let put = async |rule: Value| domain.put_rule("r", &rule).await.ok();
    // Whom the rule is not about has everything.
    let (reader, free, nothing) = ((true, false), (true, true), (false, false));
    for (rule, of_french, of_german, of_unread) in [
        (json!({"subject": {"C": ["FR"]}}), reader, free, reader),
        (json!({"subject": {"2.5.4.6": ["D*"]}}), free, reader, free),
        (json!({"otherNames": {"1.2.3.4": ["web-1", "web-3"]}}), reader, free, reader),
        (
            json!({"otherNames": {"1.2.3.4": ["web-*"]}, "subject": {"C": ["DE"]}}),
            free,
            reader,
            free,
        ),
        // What cannot be read of a certificate gives it nothing where it is asked for.
        (json!({"requiredExtensions": ["1.2.3.5:app-*"]}), reader, reader, nothing),
        (json!({"requiredExtensions": ["1.2.3.5:app-*", "1.2.3.5:*-1"]}), reader, free, nothing),
        (json!({"requiredExtensions": ["hex:1.2.3.5:020105"]}), free, free, reader),
        (json!({"requiredExtensions": ["hex:1.2.3.5:0C05*"]}), reader, reader, free),
        (json!({"requiredExtensions": ["1.2.3.6:*"]}), free, free, free),
    ] {
        let mut written = rule.clone();
        written["policies"] = json!(["read-only"]);
        let shown = put(written).await;
        for (member, value) in rule.as_object().unwrap() {
            assert_eq!(shown[member], *value, "as it was written");
        }
        let found = (level(&french).await, level(&german).await, level(&unread).await);
        assert_eq!(found, (of_french, of_german, of_unread), "{rule}");
    }
    // In Vault's words it is the same rule.
    let at = format!("/api/{}/v1/auth/cert/certs/r", domain.admin.id);
    let role = json!({"required_extensions": "1.2.3.5:app-2"}).to_string();
    assert_eq!(domain.admin.call(Method::POST, &at, &role).await.status, 204);
    let role = domain.admin.call(Method::GET, &at, "").await.ok();
    assert_eq!(role["data"]["required_extensions"], json!(["1.2.3.5:app-2"]));
    assert_eq!((level(&french).await, level(&german).await), (free, reader));
    for wrong in [
        json!({"subject": {"CN": ["x"]}}),
        json!({"subject": {"country": ["x"]}}),
        json!({"subject": {"C": []}}),
        json!({"subject": {"C": "FR"}}),
        json!({"subject": ["FR"]}),
        json!({"otherNames": {"1.3.6.1.4.1.311.20.2.3": ["x"]}}),
        json!({"otherNames": {"upn": ["x"]}}),
        json!({"requiredExtensions": ["1.2.3"]}),
        json!({"requiredExtensions": ["2.5.29.37:*"]}),
        json!({"required_extensions": ["1.2.3:x"]}),
        json!({"requiredExtensions": (0..33).map(|n| format!("1.2.{n}:x")).collect::<Vec<_>>()}),
    ] {
        assert_eq!(domain.put_rule("w", &wrong).await.status, 400, "{wrong}");
    }
}

/// A domain's administrator could take up the server's memory and time with patterns.
#[tokio::test]
async fn what_a_domain_says_is_bounded() {
    let domain = Domain::new().await;
    let stars = |from: usize, count: usize| {
        let names: Vec<_> = (from..from + count).map(|n| format!("a*{n}")).collect();
        json!({"commonNames": names, "policies": ["nothing"]})
    };
    for (name, from) in [("one", 0), ("two", 128)] {
        domain.put_rule(name, &stars(from, 128)).await.ok();
    }
    let refused = domain.put_rule("three", &stars(256, 1)).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("at most 256 patterns"), "{refused:?}");
    // What is put in the place of another one is not one more, and room is made by removing.
    domain.put_rule("two", &stars(300, 128)).await.ok();
    let at_the_end = json!({"commonNames": ["b*"], "policies": ["nothing"]});
    domain.put_rule("three", &at_the_end).await.ok();
    domain.put_rule("one", &stars(0, 127)).await.ok();
    domain.put_rule("four", &stars(500, 1)).await.ok();
    assert_eq!(domain.put_rule("five", &stars(501, 1)).await.status, 400);
    domain.admin.call(Method::DELETE, &domain.at("rule/four"), "").await;
    domain.put_rule("five", &stars(501, 1)).await.ok();
    // And all together are bounded in bytes, in whichever language.
    let long =
        |n: usize| -> Vec<_> { (0..128).map(|m| format!("{n}/{m}/{}", "x".repeat(480))).collect() };
    let mut made = 0;
    let refused = loop {
        let resources: Vec<_> = long(made).iter().map(|path| json!({ "urn": path })).collect();
        let body = json!({
            "name": format!("policy {made}"), "identities": ["x"], "resources": resources,
            "permissions": {"allow": [{"action": "okms:apikms:secret/get"}]},
        });
        let answer = domain.admin.call(Method::POST, &domain.at("policy"), &body.to_string()).await;
        if !answer.status.is_success() {
            break answer;
        }
        made += 1;
    };
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("at most 8 MiB"), "{refused:?}");
    assert!((100..128).contains(&made), "{made}");
    let text =
        format!("path \"{}\" {{ capabilities = [\"read\"] }}\n", "y".repeat(1_000)).repeat(60);
    let body = json!({ "policy": text }).to_string();
    let at = format!("/api/{}/v1/sys/policies/acl/long", domain.admin.id);
    let refused = domain.admin.call(Method::PUT, &at, &body).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("at most 8 MiB"), "{refused:?}");
}

/// Two processes that gave one name at once both did.
#[tokio::test]
async fn a_name_is_given_once() {
    let (server, _, second) = TestServer::two_processes().await;
    let one = server.tenant().await;
    let (address, stopper) = (second.address(), second.stopper());
    let running = tokio::spawn(second.run());
    let other = Client { address, ..one.clone() };
    let at = format!("/v2/okms/resource/{}/policy", one.id);
    for n in 0..20 {
        let body = json!({
            "name": format!("n{n}"), "identities": ["x"], "resources": [{"urn": "*"}],
            "permissions": {"allow": [{"action": "okms:apikms:secret/get"}]},
        });
        let body = body.to_string();
        let (a, b) =
            tokio::join!(one.call(Method::POST, &at, &body), other.call(Method::POST, &at, &body));
        let made = [a, b].iter().filter(|answer| answer.status.is_success()).count();
        assert_eq!(made, 1);
    }
    stopper.stop();
    running.await.unwrap();
}

/// A record that was damaged could not be told, nor replaced, and a key that is none stopped the
/// start.
#[tokio::test]
async fn damage_is_told_by_name_and_mended_over_the_api() {
    let (server, engine, second) = TestServer::two_processes().await;
    drop(second);
    let (tenant, other) = (server.tenant().await, server.tenant().await);
    let operator = server.operator();
    let at = |rest: &str| format!("/v2/okms/resource/{}/{rest}", tenant.id);
    let rule = r#"{"policies":["read-only"]}"#;
    operator.call(Method::PUT, &at("rule/all"), rule).await.ok();
    let policy = json!({
        "name": "p", "identities": ["x"], "resources": [{"urn": "*"}],
        "permissions": {"allow": [{"action": "okms:apikms:secret/get"}]},
    });
    let policy = policy.to_string();
    let made = operator.call(Method::POST, &at("policy"), &policy).await.ok();
    let id = made["id"].as_str().unwrap().to_owned();
    let domain: OkmsId = tenant.id.parse().unwrap();
    let uuid = uuid::Uuid::parse_str(&id).unwrap().into_bytes();
    let damage = |space, key| Op::Put(space, key, Sealed::public(vec![1, 2, 3]));
    let ops = vec![
        damage(CertRule::SPACE, CertRule::key(domain, "all")),
        damage(IamPolicy::SPACE, IamPolicy::key(domain, &uuid)),
        // No domain's, and no policy's.
        damage(CertRule::SPACE, vec![7]),
        damage(IamPolicy::SPACE, vec![0; 16]),
    ];
    engine.commit(Batch::of(ops)).await.unwrap();
    let until = async |client: &Client, status: u16| {
        let begun = std::time::Instant::now();
        while client.get("secret").await.status != status {
            assert!(begun.elapsed() < crate::harness::PATIENCE);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    until(&tenant, 403).await;
    assert_eq!(other.get("secret").await.status, 200);
    let third = server.beside(&engine).await;
    let (address, stopper) = (third.address(), third.stopper());
    let running = tokio::spawn(third.run());
    let elsewhere = Client { address, ..tenant.clone() };
    assert_eq!(elsewhere.get("secret").await.status, 403, "closed from the start");
    let rules = operator.call(Method::GET, &at("rule"), "").await.ok();
    assert_eq!(rules, json!([{"isDamaged": true, "name": "all"}]));
    let policies = operator.call(Method::GET, &at("policy"), "").await.ok();
    assert_eq!(policies, json!([{"id": id, "isDamaged": true}]));
    operator.call(Method::PUT, &at(&format!("policy/{id}")), &policy).await.ok();
    assert_eq!(tenant.get("secret").await.status, 403, "the rule is damaged still");
    operator.call(Method::PUT, &at("rule/all"), rule).await.ok();
    assert_eq!(tenant.get("secret").await.status, 200, "at once");
    assert!(is_forbidden(&tenant.create("a", "{}").await));
    until(&elsewhere, 200).await;
    stopper.stop();
    running.await.unwrap();
}

/// Whether somebody may do something, and who says so: what the administrator asks before somebody
/// is let in, and the service when it is not.
#[tokio::test]
async fn it_is_told_which_policy_decides() {
    let domain = Domain::new().await;
    domain.admin.create("app/a", "{}").await.ok();
    domain.rule("svc", &["blocks", "auditor"]).await;
    domain.policy("svc", &["app/*"], json!({"allow": ["secret/version/getData"]})).await;
    let text = r#"
        path "secret/data/app/*" { capabilities = ["read", "update"] }
        path "secret/metadata/app/no" { capabilities = ["deny"] }
    "#;
    let at = format!("/api/{}/v1/sys/policies/acl/blocks", domain.admin.id);
    let written = json!({ "policy": text }).to_string();
    assert_eq!(domain.admin.call(Method::PUT, &at, &written).await.status, 204);
    let svc = domain.client("svc", Http::One);
    let ask = async |client: &Client, action: &str, path: Value, rule: Value| {
        let action = format!("okms:apikms:secret/{action}");
        let body = json!({ "action": action, "path": path, "rule": rule }).to_string();
        client.call(Method::POST, &domain.at("policy/test"), &body).await
    };
    let by = |told: &Value| -> Vec<(String, String, String)> {
        let text = |word: &Value, name: &str| word[name].as_str().unwrap_or_default().to_owned();
        let words = told["decidedBy"].as_array().unwrap().iter();
        words.map(|word| (text(word, "policy"), text(word, "says"), text(word, "block"))).collect()
    };
    let word = |policy: &str, says: &str, block: &str| {
        (policy.to_owned(), says.to_owned(), block.to_owned())
    };
    for (client, rule) in [(&domain.admin, json!("svc")), (&svc, Value::Null)] {
        let told = ask(client, "version/getData", json!("app/a"), rule.clone()).await.ok();
        assert_eq!((&told["isAllowed"], &told["rules"]), (&json!(true), &json!(["svc"])));
        let words = by(&told);
        assert!(words.contains(&word("blocks", "allow", "secret/data/app/*")), "{words:?}");
        assert!(words.iter().any(|(policy, ..)| policy.starts_with("svc")), "{words:?}");
        let told = ask(client, "get", json!("app/a"), rule.clone()).await.ok();
        assert_eq!(by(&told), [word("auditor", "allow", "")]);
        let told = ask(client, "get", json!("app/no"), rule.clone()).await.ok();
        assert_eq!(told["isAllowed"], false);
        assert_eq!(by(&told), [word("blocks", "deny", "secret/metadata/app/no")]);
        let told = ask(client, "delete", json!("app/a"), rule.clone()).await.ok();
        assert_eq!((&told["isAllowed"], by(&told)), (&json!(false), Vec::new()));
    }
    // What is told is what happens.
    assert_eq!(svc.get("secret/app/a?includeData=true").await.status, 200);
    svc.get("secret/app/no").await.error(403, FORBIDDEN);
    assert!(is_forbidden(&svc.delete("secret/app/a").await));
    // Of others it is told to those who may see policies: of whom there is nothing, nobody is told more.
    domain.rule("none", &["nothing"]).await;
    let none = domain.client("none", Http::One);
    assert!(is_forbidden(&ask(&none, "get", json!("app/a"), json!("svc")).await));
    assert_eq!(ask(&none, "get", json!("app/a"), Value::Null).await.ok()["isAllowed"], false);
    ask(&domain.admin, "get", json!("app/a"), json!("missing")).await.error(404, 50_417_665);
    ask(&domain.admin, "*", json!("app/a"), json!("svc")).await.error(400, 50_405_377);
    // An operator is bound by no policy.
    let body = r#"{"action": "okms:apikms:secret/delete"}"#;
    let told =
        domain.server.operator().call(Method::POST, &domain.at("policy/test"), body).await.ok();
    assert_eq!(by(&told), [word("root", "allow", "")]);
}
