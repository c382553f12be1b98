//! Access certificates from their first day to their last: shown, renewed by themselves, revoked.

use std::{process::Command, time::Duration};

use hyper::Method;
use okmsd::{
    config::CustomerCa,
    model::Timestamp,
    pki::{self, KeyKind, PrivateKeyPem, Subject},
    store::engine::Changes,
};
use serde_json::{Value, json};

use crate::harness::{
    Answer, BOTH, Client, Http, Pair, START, START_TEXT, TestServer, eventually, write_private,
};

const DAY: i64 = 86_400;
const UNKNOWN: &str = "01942548-e0a8-7f2a-8b11-2a1d1f1f7a10";
const UNKNOWN_CREDENTIAL: u32 = 17_059_841;
const EXPIRES: &str = "okms-certificate-expires";

/// The path of `rest` among the access certificates of the domain `id`.
fn url(id: &str, rest: &str) -> String {
    format!("/v2/okms/resource/{id}/credential{rest}")
}

pub(super) async fn issue(server: &TestServer, id: &str, body: &Value) -> Value {
    server.operator().call(Method::POST, &url(id, ""), &body.to_string()).await.ok()
}

pub(super) fn pair(issued: &Value) -> Pair {
    let text = |name: &str| issued[name].as_str().unwrap().to_owned();
    Pair {
        certificate: text("certificatePEM"),
        key: PrivateKeyPem::parse(text("privateKeyPEM")).unwrap(),
    }
}

/// A client with a certificate that was just issued for `days`, and that certificate's id.
pub(super) async fn holder(server: &TestServer, id: &str, days: u32) -> (Client, Value) {
    let issued = issue(server, id, &json!({"name": "holder", "validity": days})).await;
    (server.client(Some(&pair(&issued)), Some(id), Http::One), issued)
}

pub(super) async fn revoke(server: &TestServer, issued: &Value, id: &str, query: &str) -> Answer {
    let rest = format!("/{}{query}", issued["id"].as_str().unwrap());
    server.operator().call(Method::DELETE, &url(id, &rest), "").await
}

/// That whatever comes with the certificate is refused, and says why.
pub(super) fn is_refused(answer: &Answer) {
    let said = answer.error(401, 50_475_011);
    assert!(said.contains("revoked") && said.contains("get a new one"), "{said}");
}

/// A certificate that was stolen once let its thief in until it ended. It is refused on the next
/// request of each open connection, on each session that is resumed, and after a restart; the
/// domain's other certificates, and the same connection's public pages, go on.
#[tokio::test]
async fn a_revoked_certificate_is_refused_wherever_it_comes() {
    let (mut server, tenant) = TestServer::with_tenant().await;
    let (thief, issued) = holder(&server, &tenant.id, 30).await;
    let other = holder(&server, &tenant.id, 30).await.0;
    let (secrets, health) = (thief.url("secret"), format!("/api/{}/v1/sys/health", tenant.id));
    let mut open = Vec::new();
    for http in BOTH {
        let client = thief.over(http);
        client.get("secret").await.ok();
        let mut connection = client.connect().await;
        connection.send(Method::GET, &secrets, &[], "").await.ok();
        open.push((client, connection));
    }
    let resumed = server.metric(r#"okmsd_handshakes_total{result="resumed"}"#).await;
    assert!(resumed >= 2.0, "there are sessions to resume");
    assert_eq!(revoke(&server, &issued, &tenant.id, "?reason=keyCompromise").await.status, 204);
    let kv = format!("/api/{}/v1/secret/data/a", tenant.id);
    for (client, connection) in &mut open {
        for path in [&*secrets, "/v2/okms/resource", &kv, &url(&tenant.id, "")] {
            is_refused(&connection.send(Method::GET, path, &[], "").await);
        }
        connection.send(Method::GET, &health, &[], "").await.ok();
        is_refused(&client.get("secret").await);
    }
    let again = server.metric(r#"okmsd_handshakes_total{result="resumed"}"#).await;
    assert_eq!(again, resumed + 2.0, "those were resumed sessions");
    // Nor does it renew itself, and be let in that way.
    is_refused(&thief.call(Method::POST, &url(&tenant.id, "/renew"), "").await);
    for http in BOTH {
        other.over(http).get("secret").await.ok();
        tenant.over(http).get("secret").await.ok();
    }
    server.restart().await;
    is_refused(&server.at(&thief).get("secret").await);
    server.at(&other).get("secret").await.ok();
}

/// A token is bound to a certificate's key, and is worth nothing on a connection that is refused.
#[tokio::test]
async fn a_token_does_not_outlive_its_certificate() {
    let (server, tenant) = TestServer::with_tenant().await;
    let (client, issued) = holder(&server, &tenant.id, 30).await;
    let answer = client.call(Method::POST, "/v1/auth/cert/login", "").await.ok();
    let token = answer["auth"]["client_token"].as_str().unwrap();
    let headers = [("x-vault-token", token)];
    client.send(Method::GET, "/v1/auth/token/lookup-self", &headers, "").await.ok();
    revoke(&server, &issued, &tenant.id, "").await;
    let answer = client.send(Method::GET, "/v1/auth/token/lookup-self", &headers, "").await;
    assert!(answer.error(403, 50_475_011).contains("permission denied"));
}

/// Another process over the same store learns of it by the feed, and within a second.
#[tokio::test]
async fn another_process_learns_of_it() {
    let (server, engine) = TestServer::in_memory().await;
    let tenant = server.tenant().await;
    let second = server.beside(&engine).await;
    let (address, stopper) = (second.address(), second.stopper());
    let running = tokio::spawn(second.run());
    let (client, issued) = holder(&server, &tenant.id, 30).await;
    let elsewhere = Client { address, ..client.clone() };
    let mut connection = elsewhere.connect().await;
    connection.send(Method::GET, &client.url("secret"), &[], "").await.ok();
    let began = engine.revision();
    assert_eq!(revoke(&server, &issued, &tenant.id, "").await.status, 204);
    let told: Changes = engine.changes(began).await.unwrap();
    assert_eq!(told.len(), 1, "one commit");
    let revoked = std::time::Instant::now();
    while connection.send(Method::GET, &client.url("secret"), &[], "").await.status != 401 {
        assert!(revoked.elapsed() < Duration::from_secs(1), "within a second");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    is_refused(&elsewhere.get("secret").await);
    stopper.stop();
    running.await.unwrap();
}

/// What there is of revocations is known before the first request is served, however many they are.
#[tokio::test]
async fn many_revocations_are_known_after_a_restart() {
    let (mut server, tenant) = TestServer::with_tenant().await;
    let (client, issued) = holder(&server, &tenant.id, 30).await;
    let operator = server.operator();
    let mut connection = operator.connect().await;
    for number in 1..1500 {
        let body = json!({"serial": format!("{number:x}")}).to_string();
        connection.send(Method::POST, "/v2/okms/revocation", &[], body).await.ok();
    }
    revoke(&server, &issued, &tenant.id, "").await;
    server.restart().await;
    is_refused(&server.at(&client).get("secret").await);
    let anonymous = server.anonymous();
    for (serial, status) in [("1", "REVOKED"), ("05:DB", "REVOKED"), ("5dc", "NOT_REVOKED")] {
        let path = format!("/v2/okms/revocation/{serial}");
        assert_eq!(anonymous.call(Method::GET, &path, "").await.ok()["status"], status, "{serial}");
    }
}

/// Any certificate of the region's authority can be revoked by its serial number: an operator's,
/// that no list shows. Another authority's certificate may bear the same number.
#[tokio::test]
async fn a_certificate_is_revoked_by_its_serial_number() {
    let mut server = TestServer::start().await;
    let tenant = server.tenant().await;
    let moment = Timestamp::from_unix_seconds(START);
    let kept = server.operator();
    let issued = server
        .authority
        .issue_access(&Subject::Operator, "lost", pki::KeySource::Fresh(KeyKind::P256), moment, 30)
        .unwrap();
    let (hexadecimal, bytes) = (issued.serial.to_string(), issued.serial.significant().to_vec());
    let of_lost = Pair { certificate: issued.certificate_pem, key: issued.key.unwrap() };
    let lost = server.client(Some(&of_lost), None, Http::One);
    lost.call(Method::GET, "/v2/okms/resource", "").await.ok();
    // The same number of a customer's own authority.
    let own_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "customer CA");
    let date = |at: i64| time::OffsetDateTime::from_unix_timestamp(at).unwrap();
    (params.not_before, params.not_after) = (date(START - DAY), date(START + 9 * DAY));
    let root = params.self_signed(&own_key).unwrap();
    let customer = rcgen::Issuer::new(params, own_key);
    let path = server.path("customer_ca.pem");
    write_private(&path, &root.pem());
    let domain = tenant.id.parse().unwrap();
    server.config.trust.customer_ca = vec![CustomerCa::new(path, domain)];
    server.reloader.reload(&server.config).unwrap();
    let mut leaf = rcgen::CertificateParams::default();
    leaf.serial_number = Some(bytes.into());
    leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    (leaf.not_before, leaf.not_after) = (date(START - DAY), date(START + DAY));
    let leaf_key = rcgen::KeyPair::generate().unwrap();
    let namesake = Pair {
        certificate: leaf.signed_by(&leaf_key, &customer).unwrap().pem(),
        key: PrivateKeyPem::parse(leaf_key.serialize_pem()).unwrap(),
    };
    let namesake = server.client(Some(&namesake), Some(&tenant.id), Http::One);
    namesake.get("secret").await.ok();
    let revoke = async |client: &Client, body: Value| {
        client.call(Method::POST, "/v2/okms/revocation", &body.to_string()).await
    };
    let body = json!({"serial": hexadecimal.to_uppercase(), "reason": "superseded"});
    revoke(&tenant, body.clone()).await.error(403, 16_924_673);
    server.anonymous().call(Method::POST, "/v2/okms/revocation", "").await.error(401, 50_475_011);
    for wrong in [
        json!({}),
        json!({"serial": 5}),
        json!({"serial": "x"}),
        json!({"serial": "1".repeat(41)}),
        json!({"serial": "1", "reason": "x"}),
        json!({"serial": "1", "reason": 1}),
    ] {
        revoke(&kept, wrong).await.error(400, 50_405_377);
    }
    let status = json!({
        "serial": hexadecimal, "status": "REVOKED", "reason": "superseded", "revokedAt": START_TEXT,
    });
    assert_eq!(revoke(&kept, body).await.ok(), status);
    is_refused(&lost.call(Method::GET, "/v2/okms/resource", "").await);
    kept.call(Method::GET, "/v2/okms/resource", "").await.ok();
    namesake.get("secret").await.ok();
    // Once is for good.
    server.clock.advance(60);
    let again = revoke(&kept, json!({"serial": hexadecimal, "reason": "keyCompromise"})).await;
    assert_eq!(again.ok(), status);
    let path = format!("/v2/okms/revocation/{hexadecimal}");
    assert_eq!(server.anonymous().call(Method::GET, &path, "").await.ok(), status);
    let said = server.anonymous().call(Method::GET, "/v2/okms/revocation/xyz", "").await;
    assert!(said.error(400, 50_405_377).contains("hexadecimal"));
}

#[tokio::test]
async fn certificates_are_listed_and_shown() {
    let (server, tenant) = TestServer::with_tenant().await;
    let operator = server.operator();
    assert_eq!(tenant.call(Method::GET, &url(&tenant.id, ""), "").await.text(), "[]");
    let mut ids = Vec::new();
    for n in 0..23 {
        let body = json!({
            "name": format!("n{n}"), "validity": 1 + n, "description": "what é is for",
            "identityURNs": ["urn:v1:eu:identity:account:xx1111-ovh", "b"],
        });
        let mut issued = issue(&server, &tenant.id, &body).await;
        let members = issued.as_object_mut().unwrap();
        for once in ["privateKeyPEM", "certificateType"] {
            assert!(members.remove(once).is_some());
        }
        assert_eq!(members["identityURNs"], body["identityURNs"]);
        let id = issued["id"].as_str().unwrap().to_owned();
        for client in [&tenant, &operator] {
            let shown = client.call(Method::GET, &url(&tenant.id, &format!("/{id}")), "").await;
            assert_eq!(shown.ok(), issued);
        }
        ids.push(id);
        server.clock.advance(1);
    }
    let page = async |cursor: Option<&str>| {
        let mut headers = vec![("x-pagination-size", "10")];
        headers.extend(cursor.map(|cursor| ("x-pagination-cursor", cursor)));
        tenant.send(Method::GET, &url(&tenant.id, ""), &headers, "").await
    };
    let (mut seen, mut cursor) = (Vec::new(), None);
    for expected in [10, 10, 3] {
        let answer = page(cursor.as_deref()).await;
        let list = answer.ok();
        assert_eq!(list.as_array().unwrap().len(), expected);
        for one in list.as_array().unwrap() {
            assert!(one.get("certificatePEM").is_none());
            seen.push(one["id"].as_str().unwrap().to_owned());
        }
        cursor = answer.next();
    }
    assert_eq!((seen, cursor), (ids.clone(), None));
    let of_secrets = tenant.page("secret", "10", None).await.next();
    for forged in ["!", "AAAA"].into_iter().chain(of_secrets.as_deref()) {
        page(Some(forged)).await.error(400, 50_405_377);
    }
    server.clock.advance(2 * DAY);
    revoke(&server, &json!({"id": ids[0]}), &tenant.id, "").await;
    revoke(&server, &json!({"id": ids[2]}), &tenant.id, "?reason=superseded").await;
    let list = page(None).await.ok();
    let statuses: Vec<_> = (0..4).map(|n| list[n]["status"].as_str().unwrap().to_owned()).collect();
    assert_eq!(statuses, ["REVOKED", "EXPIRED", "REVOKED", "READY"]);
    assert_eq!(list[2]["revocationReason"], "superseded");
    assert_eq!(list[2]["revokedAt"], "2025-01-04T03:04:28Z");
}

/// How soon certificates end is told in numbers, without what somebody has seen to already; which
/// they are is asked of the list. A domain is shown its own.
#[tokio::test]
async fn what_ends_soon_is_told_in_numbers_and_listed() {
    let (mut server, tenant) = TestServer::with_tenant().await;
    let other = server.tenant().await;
    let (renewing, _) = holder(&server, &tenant.id, 10).await;
    let (_, revoked) = holder(&server, &tenant.id, 11).await;
    let (_, last) = holder(&server, &tenant.id, 13).await;
    let (_, foreign) = holder(&server, &other.id, 12).await;
    let (_, late) = holder(&server, &tenant.id, 20).await;
    let soon = r#"okmsd_access_certificates_ending{within="14d"}"#;
    let earliest = "okmsd_access_certificate_earliest_end_seconds";
    let listed = async |server: &TestServer, who: &Client, within: &str| {
        let path = url(&tenant.id, &format!("?endingWithin={within}"));
        let list = server.at(who).call(Method::GET, &path, "").await.ok();
        let ids = list.as_array().unwrap().iter().map(|one| one["id"].clone());
        ids.collect::<Vec<_>>()
    };
    revoke(&server, &revoked, &tenant.id, "").await;
    // The figures are those of a start, and then told twice a minute.
    server.restart().await;
    eventually("three end", async || server.metric(soon).await == 3.0).await;
    assert_eq!(server.metric(earliest).await, (START + 10 * DAY) as f64);
    let renewed = server.at(&renewing).call(Method::POST, &url(&tenant.id, "/renew"), "").await;
    let renewed = renewed.ok();
    server.clock.advance(8 * DAY);
    server.restart().await;
    eventually("four end", async || server.metric(soon).await == 4.0).await;
    assert_eq!(server.metric(earliest).await, (START + 10 * DAY) as f64);
    for who in [&tenant, &server.operator()] {
        assert_eq!(
            listed(&server, who, "7d").await,
            [&renewed, &last].map(|one| one["id"].clone())
        );
        assert_eq!(listed(&server, who, "86400").await, [""; 0]);
        assert_eq!(
            listed(&server, who, "12d").await,
            [&renewed, &last, &late].map(|one| one["id"].clone())
        );
    }
    let path = url(&other.id, "?endingWithin=7d");
    let list = server.at(&other).call(Method::GET, &path, "").await.ok();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["id"]), (1, &foreign["id"]));
    for wrong in ["soon", "0", "0s", "-1s", "1000000d"] {
        let path = url(&tenant.id, &format!("?endingWithin={wrong}"));
        let said = server.at(&tenant).call(Method::GET, &path, "").await.error(400, 50_405_377);
        assert!(said.contains("endingWithin"), "{said}");
    }
    // The cursor of one list is none of the other.
    let forged = [("x-pagination-cursor", "AAAA")];
    let path = url(&tenant.id, "?endingWithin=7d");
    let answer = server.at(&tenant).send(Method::GET, &path, &forged, "").await;
    answer.error(400, 50_405_377);
    // None is left in the end.
    server.clock.advance(30 * DAY);
    server.restart().await;
    let none = format!("\n{soon} 0\n");
    eventually("none ends", async || server.admin("/metrics").await.1.contains(&none)).await;
    let (_, text) = server.admin("/metrics").await;
    assert!(!text.lines().any(|line| line.starts_with(earliest)), "{text}");
}

/// What a domain's own certificate may: see, and renew itself. Another domain's certificate is none.
#[tokio::test]
async fn who_may_what_with_certificates() {
    let (server, tenant) = TestServer::with_tenant().await;
    let other = server.tenant().await;
    let (_, mine) = holder(&server, &tenant.id, 30).await;
    let (_, foreign) = holder(&server, &other.id, 30).await;
    let path = |issued: &Value| format!("/{}", issued["id"].as_str().unwrap());
    let (mine, foreign) = (path(&mine), path(&foreign));
    tenant.call(Method::DELETE, &url(&tenant.id, &mine), "").await.error(403, 16_924_673);
    let unknown = format!("/{UNKNOWN}");
    for client in [&tenant, &server.operator()] {
        let none = client.call(Method::GET, &url(&tenant.id, &unknown), "").await;
        none.error(404, UNKNOWN_CREDENTIAL);
        for rest in [&*foreign, "/x", "/..", &mine.to_uppercase().replace('-', "")] {
            let answer = client.call(Method::GET, &url(&tenant.id, rest), "").await;
            assert_eq!(answer.likeness(), none.likeness(), "{rest}");
        }
    }
    for rest in [&foreign, &unknown] {
        let answer = server.operator().call(Method::DELETE, &url(&tenant.id, rest), "").await;
        answer.error(404, UNKNOWN_CREDENTIAL);
    }
    for rest in ["", &*foreign, &*unknown] {
        tenant.call(Method::GET, &url(&other.id, rest), "").await.error(404, 16_994_305);
    }
    for (query, body) in [
        ("?reason=x", ""),
        ("?reason=certificateHold", ""),
        ("", "x"),
        ("", r#"{"reason":"x"}"#),
        ("", r#"{"reason":1}"#),
        ("?reason=superseded", r#"{"reason":"superseded"}"#),
    ] {
        let path = url(&tenant.id, &format!("{mine}{query}"));
        server.operator().call(Method::DELETE, &path, body).await.error(400, 50_405_377);
    }
    let shown = tenant.call(Method::GET, &url(&tenant.id, &mine), "").await.ok();
    assert_eq!(shown["status"], "READY", "nothing was revoked by mistake");
    let delete = async |body: &str| {
        let path = url(&tenant.id, &mine);
        server.operator().call(Method::DELETE, &path, body).await.status.as_u16()
    };
    assert_eq!(delete(r#"{"reason":"privilegeWithdrawn"}"#).await, 204);
    // Twice is once.
    assert_eq!(delete(r#"{"reason":"superseded"}"#).await, 204);
    let shown = tenant.call(Method::GET, &url(&tenant.id, &mine), "").await.ok();
    assert_eq!(shown["revocationReason"], "privilegeWithdrawn");
}

#[tokio::test]
async fn what_is_said_of_a_certificate_is_bounded() {
    let (server, tenant) = TestServer::with_tenant().await;
    for wrong in [
        json!({"description": 1}),
        json!({"description": "x".repeat(513)}),
        json!({"description": "a\u{0}b"}),
        json!({"identityURNs": "x"}),
        json!({"identityURNs": [1]}),
        json!({"identityURNs": [""]}),
        json!({"identityURNs": ["x".repeat(257)]}),
        json!({"identityURNs": ["a\nb"]}),
        json!({"identityURNs": vec!["x"; 65]}),
        json!({"identityURNs": [], "identityUrns": []}),
    ] {
        let mut body = wrong;
        body["name"] = "x".into();
        let path = url(&tenant.id, "");
        let answer = server.operator().call(Method::POST, &path, &body.to_string()).await;
        answer.error(400, 50_405_377);
    }
    let most = json!({"name": "x", "description": "x".repeat(512), "identityURNs": vec!["x".repeat(256); 64]});
    issue(&server, &tenant.id, &most).await;
    let list = tenant.call(Method::GET, &url(&tenant.id, ""), "").await.ok();
    assert_eq!(list.as_array().unwrap().len(), 1);
}

/// A certificate gets another one in its place before it ends, and that one the next, without an
/// operator: what it is and whom it speaks for stays, its key does not.
#[tokio::test]
async fn a_certificate_renews_itself() {
    let (server, tenant) = TestServer::with_tenant().await;
    tenant.create("a", "{}").await.ok();
    let body =
        json!({"name": "backend", "validity": 30, "description": "d", "identityURNs": ["i"]});
    let first = issue(&server, &tenant.id, &body).await;
    let (mut current, mut client) =
        (first.clone(), server.client(Some(&pair(&first)), Some(&tenant.id), Http::One));
    for round in 1..4_i64 {
        server.clock.advance(20 * DAY);
        let renewed = client.call(Method::POST, &url(&tenant.id, "/renew"), "").await.ok();
        for same in ["name", "description", "identityURNs"] {
            assert_eq!(renewed[same], first[same], "{same}");
        }
        assert_eq!(renewed["renewedFrom"], current["id"]);
        let end = Timestamp::from_unix_seconds(START + (20 * round + 30) * DAY);
        assert_eq!(renewed["expiredAt"], end.to_rfc3339_seconds().to_string());
        assert_ne!(renewed["privateKeyPEM"], current["privateKeyPEM"]);
        let next = server.client(Some(&pair(&renewed)), Some(&tenant.id), Http::One);
        next.get("secret/a").await.ok();
        // The one before is good until its own end.
        client.get("secret/a").await.ok();
        (current, client) = (renewed, next);
    }
    // With a key that never was here, for fewer days, and in the other's place at once.
    let key = pki::generate_key(KeyKind::P384).unwrap();
    let csr = pki::signing_request(&key, "okms.domain:*").unwrap();
    let body = json!({"csr": csr, "validity": 3, "revokeOld": true}).to_string();
    let mut connection = client.connect().await;
    let renew = url(&tenant.id, "/renew");
    let renewed = connection.send(Method::POST, &renew, &[], body).await.ok();
    assert!(renewed.get("privateKeyPEM").is_none() && renewed["fromCSR"] == true);
    is_refused(&connection.send(Method::GET, &client.url("secret"), &[], "").await);
    let certificate = renewed["certificatePEM"].as_str().unwrap().to_owned();
    let last = server.client(Some(&Pair { certificate, key }), Some(&tenant.id), Http::One);
    last.get("secret/a").await.ok();
    last.call(Method::GET, "/v2/okms/resource", "").await.ok();
    let old = url(&tenant.id, &format!("/{}", current["id"].as_str().unwrap()));
    assert_eq!(last.call(Method::GET, &old, "").await.ok()["revocationReason"], "superseded");
    // Not for longer than it has itself.
    let long = last.call(Method::POST, &renew, r#"{"validity":4}"#).await;
    assert!(long.error(400, 50_405_377).contains("validity"));
    for wrong in [r#"{"validity":0}"#, r#"{"revokeOld":1}"#, r#"{"csr":"x"}"#, "x"] {
        last.call(Method::POST, &renew, wrong).await.error(400, 50_405_377);
    }
    last.call(Method::POST, &renew, "{}").await.ok();
}

/// A thief who renewed a stolen certificate had one of his own, which the revocation of the stolen
/// one did not touch. What renewed itself by a certificate goes with it, and with that what came
/// after; not where the certificate was superseded.
#[tokio::test]
async fn what_a_thief_has_renewed_is_revoked_as_well() {
    let (server, tenant) = TestServer::with_tenant().await;
    let (_, bystander) = holder(&server, &tenant.id, 30).await;
    for (query, is_refused_too) in
        [("?reason=superseded", false), ("", true), ("?reason=keyCompromise", true)]
    {
        let (client, issued) = holder(&server, &tenant.id, 30).await;
        let mut clients = vec![client];
        for round in 0..6 {
            // Some by the first, some by the last.
            let asking = if round % 2 == 0 { &clients[0] } else { clients.last().unwrap() };
            let renewed = asking.call(Method::POST, &url(&tenant.id, "/renew"), "").await.ok();
            clients.push(server.client(Some(&pair(&renewed)), Some(&tenant.id), Http::One));
        }
        assert_eq!(revoke(&server, &issued, &tenant.id, query).await.status, 204);
        is_refused(&clients[0].get("secret").await);
        for client in &clients[1..] {
            let answer = client.get("secret").await;
            assert_eq!(answer.status == 401, is_refused_too, "{query} {answer:?}");
        }
    }
    let path = url(&tenant.id, &format!("/{}", bystander["id"].as_str().unwrap()));
    assert_eq!(tenant.call(Method::GET, &path, "").await.ok()["status"], "READY");
}

/// However many renewals are under way when a certificate is revoked, none of them is left.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_under_way_does_not_outrun_the_revocation() {
    let (server, tenant) = TestServer::with_tenant().await;
    for _ in 0..4 {
        let (client, issued) = holder(&server, &tenant.id, 30).await;
        let renewals: Vec<_> = (0..12)
            .map(|_| {
                let (client, path) = (client.clone(), url(&tenant.id, "/renew"));
                tokio::spawn(async move { client.call(Method::POST, &path, "").await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(15)).await;
        assert_eq!(revoke(&server, &issued, &tenant.id, "").await.status, 204);
        for renewal in renewals {
            let answer = renewal.await.unwrap();
            if answer.status == 200 {
                let renewed = answer.ok();
                let client = server.client(Some(&pair(&renewed)), Some(&tenant.id), Http::One);
                is_refused(&client.get("secret").await);
            }
        }
    }
}

/// Who is no access certificate of the domain that was issued here has nothing to renew: not an
/// operator, not one that is not remembered, not one of a customer's authority.
#[tokio::test]
async fn nobody_else_renews() {
    let (server, tenant) = TestServer::with_tenant().await;
    let renew = url(&tenant.id, "/renew");
    for client in [&server.operator(), &tenant] {
        let said = client.call(Method::POST, &renew, "").await.error(400, 50_405_377);
        assert!(said.contains("renews itself"), "{said}");
    }
    let (client, _) = holder(&server, &tenant.id, 30).await;
    let other = server.tenant().await;
    client.call(Method::POST, &url(&other.id, "/renew"), "").await.error(404, 16_994_305);
    server.clock.advance(30 * DAY + 1);
    assert!(client.is_refused_in_tls().await, "it has ended");
}

/// Who does not look at its certificate's end is told of it by each answer, from two weeks before.
#[tokio::test]
async fn answers_say_when_the_certificate_ends_soon() {
    let (server, tenant) = TestServer::with_tenant().await;
    let (client, issued) = holder(&server, &tenant.id, 20).await;
    let told =
        |answer: &Answer| answer.headers.get(EXPIRES).map(|end| end.to_str().unwrap().to_owned());
    let end = issued["expiredAt"].as_str().unwrap().to_owned();
    let kv = format!("/api/{}/v1/secret/data/none", tenant.id);
    for (advance, expected) in [(6 * DAY - 1, None), (1, Some(end.clone())), (14 * DAY, Some(end))]
    {
        // Before the last second of all, a session has to be there.
        let mut open = Vec::new();
        for http in BOTH {
            open.push(client.over(http).connect().await);
        }
        server.clock.advance(advance);
        for connection in &mut open {
            for path in [&*client.url("secret"), &kv, "/nothing", "/openapi.json"] {
                let answer = connection.send(Method::GET, path, &[], "").await;
                assert_eq!(told(&answer), expected, "{path}");
            }
        }
    }
    assert_eq!(told(&server.anonymous().call(Method::GET, "/openapi.json", "").await), None);
}

/// The revocation list is one that OpenSSL reads, trusts, and refuses certificates by; it is made
/// anew when something is revoked, and when its time comes.
#[tokio::test]
async fn the_revocation_list_is_taken_by_openssl() {
    if Command::new("openssl").arg("version").output().is_err() {
        assert!(std::env::var_os("COMPAT_STRICT").is_none(), "openssl is not installed");
        println!("skipped: openssl is not installed");
        return;
    }
    let (server, tenant) = TestServer::with_tenant().await;
    let (_, good) = holder(&server, &tenant.id, 300).await;
    let (_, bad) = holder(&server, &tenant.id, 300).await;
    let (_, short) = holder(&server, &tenant.id, 1).await;
    let list = async || {
        let answer = server.anonymous().call(Method::GET, "/v2/okms/crl", "").await;
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["content-type"]),
            (200, &"application/pkix-crl".parse().unwrap())
        );
        answer.body
    };
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(server.folder.path())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    let write = |name: &str, bytes: &[u8]| std::fs::write(server.path(name), bytes).unwrap();
    for (name, issued) in [("good.pem", &good), ("bad.pem", &bad)] {
        write(name, issued["certificatePEM"].as_str().unwrap().as_bytes());
    }
    let verify = |name: &str, after: i64| {
        let at = (START + after).to_string();
        openssl(&[
            "verify",
            "-x509_strict",
            "-crl_check",
            "-CRLfile",
            "list.crl",
            "-attime",
            &at,
            "-CAfile",
            "region_ca.pem",
            name,
        ])
    };
    let empty = list().await;
    write("list.crl", &empty);
    assert!(verify("good.pem", 1).0 && verify("bad.pem", 1).0, "{:?}", verify("good.pem", 1));
    server.clock.advance(60);
    assert_eq!(list().await, empty, "it is kept");
    revoke(&server, &bad, &tenant.id, "?reason=keyCompromise").await;
    revoke(&server, &short, &tenant.id, "").await;
    let told = list().await;
    write("list.crl", &told);
    assert!(verify("good.pem", 61).0, "{:?}", verify("good.pem", 61));
    let (is_fine, said) = verify("bad.pem", 61);
    assert!(!is_fine && said.contains("revoked"), "{said}");
    let (is_fine, shown) =
        openssl(&["crl", "-in", "list.crl", "-CAfile", "region_ca.pem", "-text", "-noout"]);
    assert!(is_fine && shown.contains("verify OK"), "{shown}");
    for text in [
        "Key Compromise",
        &bad["serial"].as_str().unwrap().to_uppercase(),
        "Next Update: Jan  3 03:05:05 2025",
        "CRL Number",
    ] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    assert_eq!(list().await, told);
    server.clock.advance(DAY / 2);
    assert_ne!(list().await, told, "before it ends, there is another");
    // One that ended is told a while longer, and then no more.
    let holds = |list: &[u8], issued: &Value| {
        let serial = issued["serial"].as_str().unwrap();
        let serial: Vec<u8> = (0..serial.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&serial[at..at + 2], 16).unwrap())
            .collect();
        list.windows(serial.len()).any(|window| window == serial)
    };
    server.clock.advance(2 * DAY);
    let list_now = list().await;
    assert!(holds(&list_now, &short) && holds(&list_now, &bad));
    server.clock.advance(DAY);
    let list_now = list().await;
    assert!(!holds(&list_now, &short) && holds(&list_now, &bad));
}

/// A server that cannot sign says so.
#[tokio::test]
async fn a_server_that_signs_no_list() {
    let server = TestServer::start_with(|config| config.trust.region_ca_key = None).await;
    let said = server.anonymous().call(Method::GET, "/v2/okms/crl", "").await;
    assert!(said.error(400, 50_405_377).contains("region_ca_key"));
    // It revokes all the same.
    let tenant = server.tenant().await;
    let body = r#"{"serial":"0a"}"#;
    server.operator().call(Method::POST, "/v2/okms/revocation", body).await.ok();
    tenant.get("secret").await.ok();
    eventually("the change is counted", async || {
        server
            .metric(r#"okmsd_changes_total{change="credentials.revoke",outcome="committed"}"#)
            .await
            == 1.0
    })
    .await;
}
