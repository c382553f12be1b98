//! Revocation lists that domains give for their own authorities: who is on one is refused from the next
//! request on, wherever it comes from; a list that is not the authority's, or goes back, changes nothing;
//! and where nobody knows, nobody is let in.

use std::time::{Duration, Instant};

use hyper::Method;
use okmsd::{
    crypto::Sealed,
    store::{
        engine::{Batch, Op},
        kinds::customer_ca_list,
    },
};
use rcgen::SerialNumber;
use serde_json::{Value, json};

use super::{
    customer_cas::{at, certificate, is_nobody, lists, proven, put, remove},
    customer_lists::{HOUR, List, list, listing_ca, revoking},
    harness::{Answer, BOTH, Client, Http, START, TestServer},
    trust::{DAY, Signer, ca, leaf, with},
};

const ADDRESS: &str = "/shop/crl";

async fn give(by: &Client, id: &str, body: &Value) -> Answer {
    by.call(Method::PUT, &at(id, ADDRESS), &body.to_string()).await
}

fn given(text: &str) -> Value {
    json!({ "crlPEM": text })
}

/// A client with a certificate of this serial number.
fn client(server: &TestServer, id: &str, signer: &Signer, serial: u64, http: Http) -> Client {
    let params = with(leaf(), |leaf| leaf.serial_number = Some(SerialNumber::from(serial)));
    server.client(Some(&signer.pair(&params, &[])), Some(id), http)
}

/// A domain had no way to tell which certificates of its authority are not to be let in any more, but to
/// take the authority away.
#[tokio::test]
async fn who_is_on_a_given_list_is_refused_on_open_connections_and_in_resumed_sessions() {
    let (mut server, tenant) = TestServer::with_tenant().await;
    let id = &tenant.id;
    let customer = Signer::root(listing_ca("customer CA"));
    put(&tenant, id, "shop", &proven(&customer, id)).await.ok();
    let mut open = Vec::new();
    for http in BOTH {
        let (lost, kept) =
            (client(&server, id, &customer, 7, http), client(&server, id, &customer, 8, http));
        // The first session is to be resumed.
        lost.get("secret").await.ok();
        let mut connections = (lost.connect().await, kept.connect().await);
        lists(&mut connections.0, &lost).await.ok();
        open.push((lost, kept, connections));
    }
    give(&tenant, id, &given(&revoking(&customer, &[7, 900]))).await.ok();
    let resumed = r#"okmsd_handshakes_total{result="resumed"}"#;
    for (lost, kept, (of_lost, of_kept)) in &mut open {
        is_nobody(&lists(of_lost, lost).await, "certificate was revoked");
        let before = server.metric(resumed).await;
        is_nobody(&lost.get("secret").await, "certificate was revoked");
        assert!(server.metric(resumed).await > before, "that was a resumed session");
        lists(of_kept, kept).await.ok();
        kept.get("secret").await.ok();
    }
    // A certificate of the same authority that was renewed keeps its list.
    put(&tenant, id, "shop", &certificate(&customer)).await.ok();
    let (lost, kept, (of_lost, of_kept)) = &mut open[0];
    is_nobody(&lists(of_lost, lost).await, "certificate was revoked");
    lists(of_kept, kept).await.ok();
    // What is new counts on those connections, and so does that there is none.
    let next = list(&customer, List { revoked: &[8], number: 2, ..List::default() });
    give(&tenant, id, &given(&next)).await.ok();
    lists(of_lost, lost).await.ok();
    is_nobody(&lists(of_kept, kept).await, "certificate was revoked");
    let gone = tenant.call(Method::DELETE, &at(id, ADDRESS), "").await;
    assert_eq!(gone.status, 204);
    lists(of_kept, kept).await.ok();
    // It is there after a start.
    give(&tenant, id, &given(&next)).await.ok();
    let (lost, kept) = (lost.clone(), kept.clone());
    drop(open);
    server.restart().await;
    is_nobody(&server.at(&kept).get("secret").await, "certificate was revoked");
    server.at(&lost).get("secret").await.ok();
    let freshness = "okmsd_crl_next_update_seconds";
    server.metric_reaches(freshness, (START + HOUR) as f64).await;
    let ends = r#"okmsd_certificate_not_after_seconds{certificate="managed_ca""#;
    server.metric_reaches(ends, 1.0).await;
    // Whoever takes its place is not held against it, nor is the same once it was away.
    let (tenant, next) = (server.at(&tenant), Signer::root(listing_ca("customer CA")));
    put(&tenant, id, "shop", &proven(&next, id)).await.ok();
    client(&server, id, &next, 8, Http::One).get("secret").await.ok();
    tenant.call(Method::GET, &at(id, ADDRESS), "").await.error(404, 50_417_665);
    give(&tenant, id, &given(&revoking(&next, &[8]))).await.ok();
    remove(&tenant, id, "shop").await;
    put(&tenant, id, "shop", &proven(&next, id)).await.ok();
    client(&server, id, &next, 8, Http::One).get("secret").await.ok();
}

#[tokio::test]
async fn a_list_is_shown_as_it_was_given() {
    let (server, tenant) = TestServer::with_tenant().await;
    let id = &tenant.id;
    let customer = Signer::root(listing_ca("customer CA"));
    put(&server.operator(), id, "shop", &certificate(&customer)).await.ok();
    let text = list(&customer, List { revoked: &[7, 8], number: 300, ..List::default() });
    let put = give(&tenant, id, &json!({"crlPEM": text, "stale": "accept"})).await.ok();
    let got = tenant.call(Method::GET, &at(id, ADDRESS), "").await.ok();
    assert_eq!(put, got);
    for (member, is) in [
        ("crlPEM", json!(text.replace('\r', ""))),
        ("number", json!("300")),
        ("revoked", json!(2)),
        ("stale", json!("accept")),
        ("status", json!("READY")),
    ] {
        assert_eq!(got[member], is, "{member}");
    }
    // What is shown can be sent again; and DER can.
    give(&tenant, id, &got).await.ok();
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let again = give(&tenant, id, &given(&body)).await.ok();
    assert_eq!((&again["crlPEM"], &again["stale"]), (&got["crlPEM"], &json!("refuse")));
    for answer in [
        tenant.call(Method::GET, &at(id, "/other/crl"), "").await,
        tenant.call(Method::DELETE, &at(id, "/other/crl"), "").await,
        tenant.call(Method::PUT, &at(id, "/other/crl"), &given(&text).to_string()).await,
    ] {
        assert!(answer.error(404, 50_417_665).contains("no such authority"));
    }
    // Others do not even learn that there is such a domain.
    let other = server.tenant().await;
    give(&other, id, &given(&text)).await.error(404, 16_994_305);
}

/// Each of these is somebody's list, and none is the authority's latest word.
#[tokio::test]
async fn a_list_that_is_not_the_authoritys_latest_is_refused() {
    let (server, tenant) = TestServer::with_tenant().await;
    let id = &tenant.id;
    let customer = Signer::root(listing_ca("customer CA"));
    put(&tenant, id, "shop", &proven(&customer, id)).await.ok();
    let newest = List { revoked: &[7], number: 5, ..List::default() };
    give(&tenant, id, &given(&list(&customer, newest))).await.ok();
    let namesake = Signer::root(listing_ca("customer CA"));
    let stranger = Signer::root(listing_ca("nobody's CA"));
    let of = |begins, number, is_part| {
        let ends = begins + 2 * HOUR;
        list(&customer, List { begins, ends, number, is_part, ..List::default() })
    };
    let right = of(START, 6, false);
    let ended = list(
        &customer,
        List { begins: START - HOUR, ends: START - 1, number: 6, ..List::default() },
    );
    let many: Vec<u64> = (1 << 40..(1 << 40) + 12_000).collect();
    let large = list(&customer, List { revoked: &many, number: 6, ..List::default() });
    let key = customer.issuer.key().serialize_pem();
    for (body, words) in [
        (given(&revoking(&stranger, &[])), "another authority's"),
        (given(&revoking(&namesake, &[])), "signature"),
        (given(&right[..right.len() / 2]), "cut off"),
        (given(&customer.pem), "BEGIN CERTIFICATE"),
        (given(&format!("{right}{right}")), "more than one"),
        (given("x"), "not a revocation list"),
        (given("eA=="), "not a revocation list"),
        (given(""), "not a revocation list"),
        (given(&of(START, 6, true)), "not the whole list"),
        (given(&of(START, 4, false)), "older"),
        (given(&of(START - DAY, 6, false)), "older"),
        (given(&of(START + DAY, 6, false)), "not valid yet"),
        (given(&ended), "past its end"),
        (given(&large), "256 KiB"),
        (given(&format!("{right}{key}")), "never sent"),
        (json!({}), "crlPEM is required"),
        (json!({"crlPEM": 1}), "texts"),
        (json!({"crlPEM": right, "stale": "maybe"}), "refuse, or accept"),
        (json!({"crlPEM": right, "url": "http://169.254.169.254/"}), "has a member"),
    ] {
        let said = give(&tenant, id, &body).await;
        assert!(said.error(400, 50_405_377).contains(words), "{words}: {said:?}");
        is_nobody(
            &client(&server, id, &customer, 7, Http::One).get("secret").await,
            "certificate was revoked",
        );
    }
    client(&server, id, &customer, 8, Http::One).get("secret").await.ok();
    // Who may not sign lists is told so.
    let silent = Signer::root(with(ca("silent CA"), |ca| {
        ca.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    }));
    put(&tenant, id, "shop", &proven(&silent, id)).await.ok();
    let said = give(&tenant, id, &given(&right)).await;
    assert!(said.error(400, 50_405_377).contains("cRLSign"), "{said:?}");
}

/// Past its end, a list lets nobody in, unless it was given to go on; and of an authority below there is
/// none.
#[tokio::test]
async fn where_nobody_knows_nobody_is_let_in() {
    let (server, tenant) = TestServer::with_tenant().await;
    let id = &tenant.id;
    let customer = Signer::root(listing_ca("customer CA"));
    put(&tenant, id, "shop", &proven(&customer, id)).await.ok();
    let middle = customer.below(listing_ca("middle CA"));
    let below = server.client(Some(&middle.pair(&leaf(), &[&middle])), Some(id), Http::One);
    let mut of_below = below.connect().await;
    lists(&mut of_below, &below).await.ok();
    let whole = client(&server, id, &customer, 8, Http::Two);
    let lost = client(&server, id, &customer, 7, Http::Two);
    let mut connection = whole.connect().await;
    let text = revoking(&customer, &[7]);
    give(&tenant, id, &given(&text)).await.ok();
    is_nobody(&lists(&mut of_below, &below).await, "no revocation list here");
    // One below that has been added itself is held against its own.
    put(&tenant, id, "middle", &proven(&middle, id)).await.ok();
    below.get("secret").await.ok();
    server.clock.advance(HOUR + 1);
    is_nobody(&lists(&mut connection, &whole).await, "past its end");
    let got = tenant.call(Method::GET, &at(id, ADDRESS), "").await.ok();
    assert_eq!(got["status"], "EXPIRED");
    give(&tenant, id, &json!({"crlPEM": text, "stale": "accept"})).await.ok();
    lists(&mut connection, &whole).await.ok();
    is_nobody(&lost.get("secret").await, "certificate was revoked");
}

/// Another process over the same store learns of it, and within a second; and what that one cannot read
/// closes that authority alone.
#[tokio::test]
async fn another_process_learns_of_a_list_and_a_damaged_one_closes_its_authority_alone() {
    let (server, engine) = TestServer::in_memory().await;
    let tenant = server.tenant().await;
    let id = &tenant.id;
    let (customer, other) =
        (Signer::root(listing_ca("customer CA")), Signer::root(listing_ca("other CA")));
    put(&tenant, id, "shop", &proven(&customer, id)).await.ok();
    put(&tenant, id, "other", &proven(&other, id)).await.ok();
    let start = async || {
        let second = server.beside(&engine).await;
        let (address, stopper) = (second.address(), second.stopper());
        (address, stopper, tokio::spawn(second.run()))
    };
    let (address, stopper, running) = start().await;
    let elsewhere = |signer: &Signer, serial| Client {
        address,
        ..client(&server, id, signer, serial, Http::One)
    };
    let lost = elsewhere(&customer, 7);
    let mut connection = lost.connect().await;
    lists(&mut connection, &lost).await.ok();
    give(&tenant, id, &given(&revoking(&customer, &[7]))).await.ok();
    let changed = Instant::now();
    while lists(&mut connection, &lost).await.status != 401 {
        assert!(changed.elapsed() < Duration::from_secs(1), "within a second");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    elsewhere(&customer, 8).get("secret").await.ok();
    stopper.stop();
    running.await.unwrap();
    let snapshot = engine.snapshot().await.unwrap();
    let all = (vec![0; 16], vec![0xff; 33]);
    let found = snapshot.scan(customer_ca_list::SPACE, &all.0, &all.1, 9).await.unwrap();
    let [(key, _)] = &found[..] else { panic!("one list") };
    for damage in [
        Op::Put(customer_ca_list::SPACE, key.clone(), Sealed::public(vec![1; 60])),
        Op::Delete(customer_ca_list::SPACE, key.clone()),
    ] {
        engine.commit(Batch::of(vec![damage])).await.unwrap();
        let (address, stopper, running) = start().await;
        let elsewhere = |signer: &Signer, serial| Client {
            address,
            ..client(&server, id, signer, serial, Http::One)
        };
        is_nobody(&elsewhere(&customer, 8).get("secret").await, "could not be read");
        elsewhere(&other, 8).get("secret").await.ok();
        let shown = Client { address, ..tenant.clone() };
        assert_eq!(shown.call(Method::GET, &at(id, ADDRESS), "").await.status, 500);
        stopper.stop();
        running.await.unwrap();
    }
    // One that is given again is read again.
    give(&tenant, id, &given(&revoking(&customer, &[7]))).await.ok();
    client(&server, id, &customer, 8, Http::One).get("secret").await.ok();
}
