//! The control plane: domains and their access certificates.

use std::sync::Arc;

use hyper::Method;
use okmsd::{
    app::CommitMetrics,
    crypto::Sealed,
    metrics::Metrics,
    pki::{self, KeyKind, PrivateKeyPem},
    store::{
        engine::{Batch, Engine as _, Op},
        engines::redb::{RedbEngine, RedbOptions},
        kinds::region,
    },
};
use serde_json::{Value, json};

use crate::harness::{Answer, Client, Http, Leaf, Pair, START, START_TEXT, TestServer};

const RESOURCES: &str = "/v2/okms/resource";

async fn credential(client: &Client, id: &str, body: &Value) -> Answer {
    client.call(Method::POST, &format!("{RESOURCES}/{id}/credential"), &body.to_string()).await
}

fn pair(issued: &Value, key: Option<PrivateKeyPem>) -> Pair {
    let own =
        || PrivateKeyPem::parse(issued["privateKeyPEM"].as_str().unwrap().to_owned()).unwrap();
    Pair {
        certificate: issued["certificatePEM"].as_str().unwrap().to_owned(),
        key: key.unwrap_or_else(own),
    }
}

#[tokio::test]
async fn domains_are_listed_by_pages() {
    let server = TestServer::start().await;
    let operator = server.operator();
    let mut ids = Vec::new();
    for n in 0..23 {
        let created = operator
            .call(Method::POST, RESOURCES, &format!(r#"{{"name":"domain {n}"}}"#))
            .await
            .ok();
        ids.push(created["id"].as_str().unwrap().to_owned());
    }
    ids.sort();
    let page = async |cursor: Option<&str>| {
        let mut headers = vec![("x-pagination-size", "10")];
        headers.extend(cursor.map(|cursor| ("x-pagination-cursor", cursor)));
        operator.send(Method::GET, RESOURCES, &headers, "").await
    };
    let (mut seen, mut cursor) = (Vec::new(), None);
    for expected in [10, 10, 3] {
        let answer = page(cursor.as_deref()).await;
        let list = answer.ok();
        assert_eq!(list.as_array().unwrap().len(), expected);
        seen.extend(
            list.as_array().unwrap().iter().map(|domain| domain["id"].as_str().unwrap().to_owned()),
        );
        cursor = answer.next();
    }
    assert_eq!((seen, cursor), (ids, None));
    for forged in ["!", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA"] {
        page(Some(forged)).await.error(400, 50_405_377);
    }
}

#[tokio::test]
async fn domains_are_created_shown_and_listed() {
    let server = TestServer::start().await;
    let operator = server.operator();
    assert_eq!(operator.call(Method::GET, RESOURCES, "").await.text(), "[]");
    let created = operator.call(Method::POST, RESOURCES, r#"{"name":"  Payments é "}"#).await.ok();
    let id = created["id"].as_str().unwrap();
    let endpoint = format!("https://{}", server.address);
    let expected = json!({
        "createdAt": START_TEXT, "id": id, "name": "Payments é", "region": "local", "restEndpoint": endpoint,
        "swaggerEndpoint": format!("{endpoint}/swagger/"),
        "iam": {"displayName": "Payments é", "id": id, "urn": format!("urn:v1:local:resource:okms:{id}")},
    });
    assert_eq!(created, expected);
    assert_eq!(operator.call(Method::GET, &format!("{RESOURCES}/{id}"), "").await.ok(), expected);
    let second = operator
        .call(Method::POST, &format!("{RESOURCES}/"), r#"{"displayName":"second","x":1}"#)
        .await;
    assert_eq!(second.warnings().len(), 1);
    assert_ne!(second.ok()["id"], id);
    let list = operator.call(Method::GET, RESOURCES, "").await.ok();
    let mut ids: Vec<_> =
        list.as_array().unwrap().iter().map(|domain| domain["id"].clone()).collect();
    ids.sort_by_key(ToString::to_string);
    let mut both = vec![json!(id), second.ok()["id"].clone()];
    both.sort_by_key(ToString::to_string);
    assert_eq!(ids, both);
    assert!(list.as_array().unwrap().contains(&expected));
}

/// An empty id once matched `{okmsId}`: a POST to the collection with a slash at its end was
/// answered 405, and a GET told the caller that its id was no UUID.
#[tokio::test]
async fn the_collection_may_end_in_a_slash() {
    let (_server, tenant) = TestServer::with_tenant().await;
    let list = tenant.call(Method::GET, RESOURCES, "").await;
    assert_eq!(tenant.call(Method::GET, &format!("{RESOURCES}/"), "").await.ok(), list.ok());
    tenant
        .call(Method::POST, &format!("{RESOURCES}/"), r#"{"name":"x"}"#)
        .await
        .error(403, 16_924_673);
    for path in ["/api//v2/secret", "/v2/okms/resource//secret", "/v2/okms/resource//credential"] {
        tenant.call(Method::GET, path, "").await.error(404, 50_417_665);
    }
}

#[tokio::test]
async fn a_domain_needs_a_name() {
    let server = TestServer::start().await;
    let operator = server.operator();
    for name in [
        json!(null),
        json!(""),
        json!("  "),
        json!("a\nb"),
        json!("x".repeat(129)),
        json!(1),
        json!(["a"]),
    ] {
        operator
            .call(Method::POST, RESOURCES, &json!({ "name": name }).to_string())
            .await
            .error(400, 50_405_377);
    }
    for body in ["", "{}", r#"{"name":"a","displayName":"b"}"#] {
        operator.call(Method::POST, RESOURCES, body).await.error(400, 50_405_377);
    }
    assert_eq!(operator.call(Method::GET, RESOURCES, "").await.text(), "[]");
    operator
        .call(Method::POST, RESOURCES, &json!({ "name": "x".repeat(128) }).to_string())
        .await
        .ok();
}

#[tokio::test]
async fn an_issued_certificate_works() {
    let (server, tenant) = TestServer::with_tenant().await;
    tenant.create("a", r#"{"v":1}"#).await.ok();
    let operator = server.operator();
    for (body, kind, expires) in [
        (json!({"name": "default"}), "ECDSA", "2026-01-02T03:04:05Z"),
        (
            json!({"name": "short", "validity": 1, "certificateType": null}),
            "ECDSA",
            "2025-01-03T03:04:05Z",
        ),
        (
            json!({"name": "ecdsa", "certificateType": "ECDSA", "validity": 30}),
            "ECDSA",
            "2025-02-01T03:04:05Z",
        ),
        (
            json!({"name": "rsa", "certificateType": "RSA", "validity": 2}),
            "RSA",
            "2025-01-04T03:04:05Z",
        ),
    ] {
        let issued = credential(&operator, &tenant.id, &body).await.ok();
        assert_eq!(issued["name"], body["name"]);
        assert_eq!(issued["certificateType"], kind);
        assert_eq!(issued["createdAt"], START_TEXT);
        assert_eq!(issued["expiredAt"], expires);
        assert_eq!(issued["fromCSR"], false);
        assert_eq!(issued["status"], "READY");
        let client = server.client(Some(&pair(&issued, None)), Some(&tenant.id), Http::One);
        assert_eq!(client.get("secret/a?includeData=true").await.data().unwrap(), r#"{"v":1}"#);
        let other = server.tenant().await;
        Client { id: other.id, ..client }.get("secret").await.error(404, 16_994_305);
    }
}

/// The requester keeps the key: the answer has none, and what the request says about names counts
/// for nothing.
#[tokio::test]
async fn a_certificate_for_a_request() {
    let (server, tenant) = TestServer::with_tenant().await;
    let operator = server.operator();
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Rsa2048] {
        let key = pki::generate_key(kind).unwrap();
        let csr = pki::signing_request(&key, "okms.domain:*").unwrap();
        let issued =
            credential(&operator, &tenant.id, &json!({"name": "csr", "csr": csr, "validity": 5}))
                .await
                .ok();
        assert_eq!(issued["fromCSR"], true);
        assert!(issued.get("privateKeyPEM").is_none());
        let client = server.client(Some(&pair(&issued, Some(key))), Some(&tenant.id), Http::One);
        client.get("secret").await.ok();
        client.call(Method::POST, RESOURCES, r#"{"name":"x"}"#).await.error(403, 16_924_673);
    }
}

#[tokio::test]
async fn requests_for_certificates_that_are_refused() {
    let (server, tenant) = TestServer::with_tenant().await;
    let operator = server.operator();
    let csr = pki::signing_request(&pki::generate_key(KeyKind::P256).unwrap(), "x").unwrap();
    let mut lines: Vec<_> = csr.lines().collect();
    let changed = lines[2].chars().rev().collect::<String>();
    lines[2] = &changed;
    let damaged = lines.join("\n");
    for body in [
        json!({}),
        json!({"name": ""}),
        json!({"name": null}),
        json!({"name": 1}),
        json!({"name": "a\u{0}b"}),
        json!({"name": "x".repeat(65)}),
        json!({"name": "x", "validity": 0}),
        json!({"name": "x", "validity": 3651}),
        json!({"name": "x", "validity": -1}),
        json!({"name": "x", "validity": 1.5}),
        json!({"name": "x", "validity": "30"}),
        json!({"name": "x", "certificateType": "DSA"}),
        json!({"name": "x", "certificateType": "ecdsa"}),
        json!({"name": "x", "certificateType": 1}),
        json!({"name": "x", "csr": ""}),
        json!({"name": "x", "csr": "hello"}),
        json!({"name": "x", "csr": 1}),
        json!({"name": "x", "csr": csr.repeat(2)}),
        json!({"name": "x", "csr": damaged}),
        json!({"name": "x", "csr": csr, "certificateType": "ECDSA"}),
        json!({"name": "x", "csr": server.authority.certificate_pem()}),
        json!({"name": "x", "csr": "x".repeat(40_000)}),
    ] {
        let said = credential(&operator, &tenant.id, &body).await.error(400, 50_405_377);
        assert!(!said.contains("-----"), "{body}: {said}");
    }
    credential(&operator, &tenant.id, &json!({"name": "x", "validity": 3650, "csr": csr}))
        .await
        .ok();
    let nowhere = "9c4f0c2e-5d0b-4a56-8c11-2a1d1f1f7a10";
    credential(&operator, nowhere, &json!({"name": "x"})).await.error(404, 16_994_305);
}

/// No certificate outlives the authority that vouches for it.
#[tokio::test]
async fn a_certificate_ends_with_its_authority() {
    let (server, tenant) = TestServer::with_tenant().await;
    // The authority lives for 3650 days, the server's certificate for 3600.
    server.clock.advance(3_590 * 86_400);
    let valid = START..=START + 3_650 * 86_400;
    let operator = server.mint(&Leaf { upns: &["okms.domain:*"], valid, ..Leaf::default() });
    let operator = server.client(Some(&operator), None, Http::One);
    let issued =
        credential(&operator, &tenant.id, &json!({"name": "x", "validity": 365})).await.ok();
    assert_eq!(issued["expiredAt"], "2034-12-31T03:04:05Z");
}

#[tokio::test]
async fn a_domains_certificate_sees_its_domain_and_may_not_more() {
    let (server, tenant) = TestServer::with_tenant().await;
    let other = server.tenant().await;
    let list = tenant.call(Method::GET, RESOURCES, "").await.ok();
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(list[0]["id"], tenant.id.as_str());
    assert_eq!(
        tenant.call(Method::GET, &format!("{RESOURCES}/{}", tenant.id), "").await.ok(),
        list[0]
    );
    tenant.call(Method::GET, &format!("{RESOURCES}/{}", other.id), "").await.error(404, 16_994_305);
    tenant.call(Method::POST, RESOURCES, r#"{"name":"mine"}"#).await.error(403, 16_924_673);
    tenant.call(Method::POST, RESOURCES, "not json").await.error(403, 16_924_673);
    credential(&tenant, &tenant.id, &json!({"name": "mine"})).await.error(403, 16_924_673);
    credential(&tenant, &other.id, &json!({"name": "mine"})).await.error(404, 16_994_305);
    assert_eq!(
        server.operator().call(Method::GET, RESOURCES, "").await.ok().as_array().unwrap().len(),
        2
    );
}

/// A certificate for a domain that the store does not know lists nothing, and reaches nothing.
#[tokio::test]
async fn a_certificate_of_no_domain() {
    let server = TestServer::start().await;
    let client = server.client_of("9c4f0c2e-5d0b-4a56-8c11-2a1d1f1f7a10", Http::One);
    assert_eq!(client.call(Method::GET, RESOURCES, "").await.text(), "[]");
    client.get("secret").await.error(404, 16_994_305);
    client.create("a", "{}").await.error(404, 16_994_305);
    client.put("secretConfig", r#"{"maxVersions":1}"#).await.error(404, 16_994_305);
}

/// Without the authority's key, a server serves, and says that it issues nothing.
#[tokio::test]
async fn a_server_without_the_authoritys_key() {
    let server = TestServer::start_with(|config| config.trust.region_ca_key = None).await;
    let tenant = server.tenant().await;
    let said = credential(&server.operator(), &tenant.id, &json!({"name": "x"}))
        .await
        .error(400, 50_405_377);
    assert!(said.contains("region_ca_key"), "{said}");
}

/// Two domains could have one name, and then nobody could tell which was which. However many ask
/// for a name at once, one gets it.
#[tokio::test]
async fn no_two_domains_have_one_name() {
    let mut server = TestServer::start().await;
    let operator = server.operator();
    let create = async |client: &Client, name: &str| {
        client.call(Method::POST, RESOURCES, &json!({ "name": name }).to_string()).await
    };
    create(&operator, "billing").await.ok();
    for name in ["billing", "  billing "] {
        let said = create(&operator, name).await.error(409, 50_438_145);
        assert!(said.contains("another name") && !said.contains("billing"), "{said}");
    }
    create(&operator, "Billing").await.ok();
    let at_once: Vec<_> = (0..16)
        .map(|_| {
            let operator = operator.clone();
            tokio::spawn(async move { create(&operator, "payments").await.status.as_u16() })
        })
        .collect();
    let mut statuses = Vec::new();
    for task in at_once {
        statuses.push(task.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [&[200][..], &[409; 15]].concat());
    assert_eq!(operator.call(Method::GET, RESOURCES, "").await.ok().as_array().unwrap().len(), 3);
    server.restart().await;
    create(&server.at(&operator), "payments").await.error(409, 50_438_145);
}

/// A store of a time when names could be taken twice still opens, with all its domains; their names
/// are taken.
#[tokio::test]
async fn a_store_with_namesakes_opens() {
    let mut server = TestServer::start().await;
    let operator = server.operator();
    let create = async |client: &Client, name: &str| {
        client.call(Method::POST, RESOURCES, &json!({ "name": name }).to_string()).await
    };
    for n in 0..600 {
        create(&operator, &format!("domain {n}")).await.ok();
    }
    create(&operator, "twice").await.ok();
    let write = async |server: &TestServer, ops: Vec<Op>| {
        let observer = Arc::new(CommitMetrics(Arc::new(Metrics::new().unwrap())));
        let engine =
            RedbEngine::open(&RedbOptions::new(server.config.store.path.clone()), observer)
                .unwrap();
        engine.commit(Batch::of(ops)).await.unwrap();
    };
    // Without a record of any name, nor the note that there are all: as it was.
    let forgotten =
        || Op::DeleteRange(region::SPACE, region::key("domain-name"), region::key("domain-name~"));
    let noted = Op::Put(region::SPACE, region::key("domain-names"), Sealed::public(vec![1]));
    server.stop().await;
    write(&server, vec![forgotten(), noted]).await;
    server.start_again().await.unwrap();
    create(&server.at(&operator), "twice").await.ok();
    server.stop().await;
    write(&server, vec![forgotten()]).await;
    server.start_again().await.unwrap();
    let operator = server.at(&operator);
    for name in ["twice", "domain 0", "domain 599"] {
        create(&operator, name).await.error(409, 50_438_145);
    }
    create(&operator, "once").await.ok();
}
