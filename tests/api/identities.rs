//! The identities that access certificates are issued for, and the policies about them.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use crate::{
    access::Domain,
    audit::record_of,
    credentials::{issue, pair},
    harness::{Answer, Client, Http, TestServer},
    vault::Vault,
};

const FORBIDDEN: u32 = 16_924_673;
const ANN: &str = "urn:v1:eu:identity:account:ann";
const BOB: &str = "urn:v1:eu:identity:account:bob";

/// A certificate that was issued for these identities, and what a rule about its name gives: nothing.
async fn holder(server: &TestServer, id: &str, identities: &[&str]) -> Client {
    let body = json!({"name": "holder", "validity": 30, "identityURNs": identities});
    let issued = issue(server, id, &body).await;
    server.client(Some(&pair(&issued)), Some(id), Http::One)
}

/// One in which certificates of that name may do nothing by their rule, and there is a secret.
async fn domain() -> Domain {
    let domain = Domain::new().await;
    domain.rule("holder", &[]).await;
    domain.admin.create("app/a", r#"{"k":"v"}"#).await.ok();
    domain
}

async fn policy(domain: &Domain, identities: &[&str], permissions: Value) -> String {
    let body = json!({
        "name": crate::harness::unique("of-identities"),
        "identities": identities,
        "resources": [{"urn": "app/*"}],
        "permissions": permissions,
    });
    let made = domain.admin.call(Method::POST, &domain.at("policy"), &body.to_string()).await.ok();
    domain.at(&format!("policy/{}", made["id"].as_str().unwrap()))
}

fn read() -> Value {
    json!({"allow": [{"action": "okms:apikms:secret/version/getData"}, {"action": "okms:apikms:secret/get"}]})
}

const AT: &str = "secret/app/a?includeData=true";

/// OVHcloud's certificates are issued for identities, and its policies name those. Here they were stored, and
/// decided nothing.
#[tokio::test]
async fn a_policy_is_about_whom_a_certificate_was_issued_for() {
    let domain = domain().await;
    let (server, id) = (&domain.server, &domain.admin.id);
    let ann = holder(server, id, &["a note", ANN]).await;
    let (bob, nobody) = (holder(server, id, &[BOB]).await, holder(server, id, &[]).await);
    let mut open = ann.connect().await;
    let reads = async |client: &Client| {
        let native = client.get(AT).await.status.as_u16();
        let vault = Vault::of(client).get("data/app/a").await.status.as_u16();
        assert_eq!(native, vault);
        native
    };
    open.send(Method::GET, &ann.url(AT), &[], "").await.error(403, FORBIDDEN);
    let allow = policy(&domain, &[ANN], read()).await;
    // On the connection that is open, from the next request on.
    open.send(Method::GET, &ann.url(AT), &[], "").await.ok();
    assert_eq!((reads(&ann).await, reads(&bob).await, reads(&nobody).await), (200, 403, 403));
    // It is no more than that.
    ann.put("secret/app/a?cas=1", r#"{"version":{"data":{}}}"#).await.error(403, FORBIDDEN);
    // A renewal is issued for the same, whatever it asks for.
    let renewal = json!({"identityURNs": [BOB]}).to_string();
    let renewed = ann.call(Method::POST, &domain.at("credential/renew"), &renewal).await.ok();
    assert_eq!(renewed["identityURNs"], json!(["a note", ANN]));
    let renewed = server.client(Some(&pair(&renewed)), Some(id), Http::Two);
    assert_eq!(reads(&renewed).await, 200);

    // It is told who says so, and in the audit trail.
    let body = json!({"action": "okms:apikms:secret/version/getData", "path": "app/a"}).to_string();
    let told = async |client: &Client| -> Value {
        client.call(Method::POST, &domain.at("policy/test"), &body).await.ok()
    };
    let of_ann = told(&ann).await;
    assert_eq!((&of_ann["isAllowed"], &of_ann["identities"]), (&json!(true), &json!([ANN])));
    assert_eq!(of_ann["rules"], json!(["holder"]));
    let decided = of_ann["decidedBy"][0]["policy"].as_str().unwrap();
    assert!(decided.starts_with("of-identities"), "{of_ann}");
    let of_bob = told(&bob).await;
    assert_eq!((&of_bob["isAllowed"], &of_bob["identities"]), (&json!(false), &json!([BOB])));
    let answer = ann.get(AT).await;
    assert_eq!(record_of(server, &answer)["identities"], json!(["holder", ANN]));

    // Patterns are about them, too, and what is denied to one is denied.
    let everybody = policy(&domain, &["urn:v1:*:identity:account:*"], read()).await;
    assert_eq!((reads(&ann).await, reads(&bob).await, reads(&nobody).await), (200, 200, 403));
    let deny = json!({"deny": [{"action": "okms:apikms:secret/*"}]});
    let denied = policy(&domain, &["*:bob"], deny).await;
    assert_eq!((reads(&ann).await, reads(&bob).await), (200, 403));
    for policy in [allow, everybody, denied] {
        domain.admin.call(Method::DELETE, &policy, "").await;
    }
    open.send(Method::GET, &ann.url(AT), &[], "").await.error(403, FORBIDDEN);
    assert_eq!(told(&ann).await["identities"], json!([]), "nobody speaks of any");
}

/// Whoever names rules and users names none of an operator's identities, and the other way round: what an
/// operator notes is no name of the domain's.
#[tokio::test]
async fn a_note_is_no_identity() {
    let domain = domain().await;
    let noted = holder(&domain.server, &domain.admin.id, &["svc", "URN:v1:x", " urn:v1:x"]).await;
    policy(&domain, &["svc", "URN:v1:x", " urn:v1:x", "urn:v1:*", "urn:v1:x"], read()).await;
    noted.get(AT).await.error(403, FORBIDDEN);
}

/// A certificate of another domain for the same identity, and one that was not issued here.
#[tokio::test]
async fn it_is_the_domains_record_that_counts() {
    let domain = domain().await;
    policy(&domain, &["urn:*", ANN], read()).await;
    let stranger = domain.server.tenant().await;
    let elsewhere = holder(&domain.server, &stranger.id, &[ANN]).await;
    let at = format!("/api/{}/v2/{AT}", domain.admin.id);
    assert_eq!(elsewhere.call(Method::GET, &at, "").await.status, 404);
    // Of its authority, with that very name in it, and in no record.
    let uris = [ANN];
    let claim = format!("okms.domain:{}", domain.admin.id);
    let leaf = crate::harness::Leaf {
        common_name: "holder",
        upns: &[&claim],
        uris: &uris,
        ..Default::default()
    };
    let minted = domain.server.mint(&leaf);
    let minted = domain.server.client(Some(&minted), Some(&domain.admin.id), Http::One);
    minted.get(AT).await.error(403, FORBIDDEN);
}

/// In another process over the same store, and after its certificates were issued.
#[tokio::test]
async fn it_counts_in_every_process() {
    let (server, _, second) = TestServer::two_processes().await;
    let admin = server.tenant().await;
    let domain = Domain { server, admin };
    domain.rule("holder", &[]).await;
    domain.admin.create("app/a", r#"{"k":"v"}"#).await.ok();
    let (address, stopper) = (second.address(), second.stopper());
    let running = tokio::spawn(second.run());
    let ann = holder(&domain.server, &domain.admin.id, &[ANN]).await;
    let elsewhere = Client { address, ..ann.clone() };
    let mut connection = elsewhere.connect().await;
    let mut ask = async || -> Answer { connection.send(Method::GET, &ann.url(AT), &[], "").await };
    let made = std::time::Instant::now();
    let given = policy(&domain, &[ANN], read()).await;
    while ask().await.status != 200 {
        assert!(made.elapsed() < Duration::from_secs(5), "soon");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    domain.admin.call(Method::DELETE, &given, "").await;
    let taken = std::time::Instant::now();
    while ask().await.status != 403 {
        assert!(taken.elapsed() < Duration::from_secs(5), "soon");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stopper.stop();
    running.await.unwrap();
}
