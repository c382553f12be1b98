//! Authorities of customers that are managed over the API: who may add one, for whom it stands, and
//! that what was taken away counts no more, on any connection.

use std::{
    ops::RangeInclusive,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use hyper::Method;
use okmsd::{
    crypto::Sealed,
    model::{CustomerCas, OkmsId},
    store::{
        engine::{Batch, Op},
        kinds::Kind,
    },
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::{SignatureScheme, client::ResolvesClientCert, sign::CertifiedKey};
use serde_json::{Value, json};

use super::{
    harness::{Answer, BOTH, Client, Connection, Http, Pair, START, TestServer},
    trust::{DAY, Signer, ca, leaf, params, permits, trust, with},
};

const NOBODY: u32 = 50_475_011;

pub(super) fn at(id: &str, rest: &str) -> String {
    format!("/v2/okms/resource/{id}/ca{rest}")
}

pub(super) async fn put(by: &Client, id: &str, name: &str, body: &Value) -> Answer {
    by.call(Method::PUT, &at(id, &format!("/{name}")), &body.to_string()).await
}

pub(super) async fn remove(by: &Client, id: &str, name: &str) -> Answer {
    by.call(Method::DELETE, &at(id, &format!("/{name}")), "").await
}

pub(super) fn certificate(signer: &Signer) -> Value {
    json!({ "certificatePEM": signer.pem })
}

/// What an authority has signed to prove that whoever shows it has its key.
fn proof(signer: &Signer, says: &str, valid: RangeInclusive<i64>) -> String {
    let params = params(says, valid);
    params.signed_by(&KeyPair::generate().unwrap(), &signer.issuer).unwrap().pem()
}

pub(super) fn proven(signer: &Signer, id: &str) -> Value {
    let proof = proof(signer, &format!("okms.ca:{id}"), START - DAY..=START + DAY);
    json!({ "certificatePEM": signer.pem, "proofPEM": proof })
}

/// The same authority with another certificate.
pub(super) fn again(signer: &Signer, params: CertificateParams) -> Signer {
    let key = KeyPair::from_pem(&signer.issuer.key().serialize_pem()).unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    Signer { pem, issuer: Issuer::new(params, key) }
}

pub(super) fn client(server: &TestServer, id: &str, pair: &Pair) -> Client {
    server.client(Some(pair), Some(id), Http::One)
}

fn ca_valid_to(name: &str, end: i64) -> CertificateParams {
    let end = time::OffsetDateTime::from_unix_timestamp(end).unwrap();
    with(ca(name), |ca| ca.not_after = end)
}

pub(super) async fn lists(connection: &mut Connection, client: &Client) -> Answer {
    connection.send(Method::GET, &client.url("secret"), &[], "").await
}

pub(super) fn is_nobody(answer: &Answer, words: &str) {
    let said = answer.error(401, NOBODY);
    assert!(said.contains(words), "{said}");
}

/// An authority could be named in the configuration alone, and taken away there alone.
#[tokio::test]
async fn an_authority_comes_and_goes_with_its_certificates() {
    let (server, tenant) = TestServer::with_tenant().await;
    let (operator, id) = (server.operator(), &tenant.id);
    let customer = Signer::root(ca("customer CA"));
    let middle = customer.below(ca("middle CA"));
    for pair in [customer.pair(&leaf(), &[]), middle.pair(&leaf(), &[&middle])] {
        for http in BOTH {
            let client = client(&server, id, &pair).over(http);
            assert!(client.is_refused_in_tls().await, "{http:?}");
            put(&operator, id, "shop", &certificate(&customer)).await.ok();
            // The first session is to be resumed.
            client.get("secret").await.ok();
            let mut connection = client.connect().await;
            lists(&mut connection, &client).await.ok();
            assert_eq!(remove(&operator, id, "shop").await.status, 204);
            is_nobody(&lists(&mut connection, &client).await, "not trusted any more");
            let resumed = r#"okmsd_handshakes_total{result="resumed"}"#;
            let before = server.metric(resumed).await;
            is_nobody(&client.get("secret").await, "not trusted any more");
            assert!(server.metric(resumed).await > before, "that was a resumed session");
            // Whoever has no session is not let in at all, and comes back with the authority.
            let fresh = self::client(&server, id, &pair).over(http);
            assert!(fresh.is_refused_in_tls().await);
            put(&operator, id, "shop", &certificate(&customer)).await.ok();
            fresh.get("secret").await.ok();
            is_nobody(&lists(&mut connection, &client).await, "not trusted any more");
            remove(&operator, id, "shop").await;
        }
    }
    tenant.get("secret").await.ok();
}

/// What an authority constrains and nobody judges would keep out whoever has such a name, or everybody, and no
/// answer would say why.
#[tokio::test]
async fn an_authority_constrains_what_is_judged() {
    let (server, tenant) = TestServer::with_tenant().await;
    let (operator, id) = (server.operator(), &tenant.id);
    let constraining = |tag, base: &[u8]| {
        let extension = permits(tag, base);
        Signer::root(with(ca("customer CA"), |ca| ca.custom_extensions.push(extension)))
    };
    for (tag, base, says) in [
        (0x86, &b".example"[..], "URIs"),
        (0x81, b"customer.example", "e-mail addresses"),
        (0xa0, &[], "names"),
        (0xa4, &[0x30, 0x00], "directory names"),
    ] {
        let said = put(&operator, id, "shop", &certificate(&constraining(tag, base))).await;
        let said = said.error(400, 50_405_377);
        assert!(said.contains("name constraints on") && said.contains(says), "{said}");
    }
    let listed = operator.call(Method::GET, &at(id, ""), "").await.ok();
    assert_eq!(listed, json!([]), "none was added");
    for (tag, base) in [(0x82, &b"customer.example"[..]), (0x87, &[192, 0, 2, 0, 255, 255, 255, 0])]
    {
        put(&operator, id, "shop", &certificate(&constraining(tag, base))).await.ok();
    }
}

#[tokio::test]
async fn an_authority_is_shown_with_whom_it_is_of() {
    let (mut server, tenant) = TestServer::with_tenant().await;
    let (customer, configured) = (Signer::root(ca("a CA")), Signer::root(ca("configured CA")));
    trust(&mut server, &configured.pem, &tenant.id);
    server.restart().await;
    let (tenant, operator, id) = (server.at(&tenant), server.operator(), &tenant.id);
    let mut body = proven(&customer, id);
    body["description"] = "the shop".into();
    let made = put(&tenant, id, "a%20CA", &body).await.ok();
    let got = tenant.call(Method::GET, &at(id, "/a%20CA"), "").await.ok();
    assert_eq!(made, got);
    for (member, is) in [
        ("name", "a CA"),
        ("subject", "CN=a CA"),
        ("description", "the shop"),
        ("managedBy", "domain"),
        ("status", "READY"),
        ("certificatePEM", &customer.pem.replace('\r', "")),
    ] {
        assert_eq!(got[member], is);
    }
    // What is shown can be sent again, and rules know the key by what is shown.
    put(&tenant, id, "a%20CA", &got).await.ok();
    let rule = json!({"issuers": [got["publicKeySHA256"]], "policies": ["nothing"]});
    let rule_at = format!("/v2/okms/resource/{id}/rule/r");
    tenant.call(Method::PUT, &rule_at, &rule.to_string()).await.ok();
    let client = client(&server, id, &customer.pair(&leaf(), &[]));
    assert_eq!(client.get("secret").await.status, 403);
    tenant.get("secret").await.ok();
    put(&operator, id, "b", &certificate(&Signer::root(ca("b")))).await.ok();
    let listed = tenant.call(Method::GET, &at(id, ""), "").await.ok();
    let shown = |one: &Value| {
        [&one["name"], &one["managedBy"]].map(|text| text.as_str().map(str::to_owned))
    };
    let some = |name: Option<&str>, by: &str| [name.map(str::to_owned), Some(by.to_owned())];
    assert_eq!(
        listed.as_array().unwrap().iter().map(shown).collect::<Vec<_>>(),
        [some(Some("a CA"), "domain"), some(Some("b"), "operator"), some(None, "configuration")]
    );
    // What an operator has added, the domain takes away.
    assert_eq!(remove(&tenant, id, "b").await.status, 204);
    for answer in
        [remove(&tenant, id, "b").await, tenant.call(Method::GET, &at(id, "/b"), "").await]
    {
        assert!(answer.error(404, 50_417_665).contains("no such authority"));
    }
}

/// Pages are whole, and a domain has no more than it may.
#[tokio::test]
async fn they_are_bounded_and_listed_by_pages() {
    let (server, tenant) = TestServer::with_tenant().await;
    let (operator, id) = (server.operator(), &tenant.id);
    for number in 0..16 {
        let one = Signer::root(ca(&format!("CA {number}")));
        put(&operator, id, &format!("n{number:02}"), &certificate(&one)).await.ok();
    }
    let more = put(&operator, id, "more", &certificate(&Signer::root(ca("more")))).await;
    assert!(more.error(400, 50_405_377).contains("at most 16"));
    let page = async |cursor: Option<&str>| {
        let mut headers = vec![("x-pagination-size", "10")];
        headers.extend(cursor.map(|cursor| ("x-pagination-cursor", cursor)));
        tenant.send(Method::GET, &at(id, ""), &headers, "").await
    };
    let first = page(None).await;
    let cursor = first.headers["x-pagination-cursor-next"].to_str().unwrap().to_owned();
    let second = page(Some(&cursor)).await;
    assert!(second.headers.get("x-pagination-cursor-next").is_none());
    let names: Vec<_> = [first.ok(), second.ok()]
        .iter()
        .flat_map(|page| page.as_array().unwrap().clone())
        .map(|one| one["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, (0..16).map(|number| format!("n{number:02}")).collect::<Vec<_>>());
}

/// Whoever has an authority's certificate, which is public, could have taken it for his own.
#[tokio::test]
async fn a_domains_administrator_proves_to_have_the_key() {
    let (server, tenant) = TestServer::with_tenant().await;
    let (other, id) = (server.tenant().await, &tenant.id);
    let (customer, impostor) = (Signer::root(ca("customer CA")), Signer::root(ca("customer CA")));
    let valid = START - DAY..=START + DAY;
    let own = format!("okms.ca:{id}");
    let with_proof = |text: String| json!({"certificatePEM": customer.pem, "proofPEM": text});
    let below = customer.below(ca("below"));
    for (body, words) in [
        (certificate(&customer), "there is none"),
        (with_proof("x".to_owned()), "the proof"),
        (with_proof(customer.pem.clone()), "okms.ca:"),
        (with_proof(proof(&customer, &format!("okms.ca:{}", other.id), valid.clone())), "okms.ca:"),
        (with_proof(proof(&impostor, &own, valid.clone())), "has not signed it"),
        (with_proof(proof(&below, &own, valid.clone())), "another issuer"),
        (with_proof(proof(&customer, &own, START - DAY..=START - 1)), "its time is over"),
    ] {
        let answer = put(&tenant, id, "shop", &body).await;
        assert!(answer.error(400, 50_405_377).contains(words), "{answer:?}");
    }
    // Others do not even learn that there is such a domain.
    put(&other, id, "shop", &proven(&customer, id)).await.error(404, 16_994_305);
    put(&tenant, id, "shop", &proven(&customer, id)).await.ok();
    // What is proven stays so: for other words, and for a renewed certificate.
    let mut body = certificate(&customer);
    body["description"] = "the shop".into();
    put(&tenant, id, "shop", &body).await.ok();
    let renewed = again(&customer, ca_valid_to("customer CA", START + 9 * DAY));
    put(&tenant, id, "shop", &certificate(&renewed)).await.ok();
    let answer = put(&tenant, id, "shop", &certificate(&impostor)).await;
    assert!(answer.error(400, 50_405_377).contains("there is none"));
    client(&server, id, &customer.pair(&leaf(), &[])).get("secret").await.ok();
}

/// Of two domains that name one authority, only the first has it, whoever the second is; who has it is
/// not told, and nothing at all to who has not its key.
#[tokio::test]
async fn an_authority_stands_for_one_domain() {
    let (server, one) = TestServer::with_tenant().await;
    let (other, operator) = (server.tenant().await, server.operator());
    let (customer, free) = (Signer::root(ca("customer CA")), Signer::root(ca("free CA")));
    put(&one, &one.id, "shop", &proven(&customer, &one.id)).await.ok();
    let unproven = put(&other, &other.id, "mine", &certificate(&customer)).await;
    let unknown = put(&other, &other.id, "mine", &certificate(&free)).await;
    assert_eq!(unproven.likeness(), unknown.likeness());
    for (by, body) in [(&other, proven(&customer, &other.id)), (&operator, certificate(&customer))]
    {
        let said = put(by, &other.id, "mine", &body).await;
        assert!(!said.text().contains(&one.id));
        assert!(said.error(400, 50_405_377).contains("another domain"));
    }
    let pair = customer.pair(&leaf(), &[]);
    client(&server, &one.id, &pair).get("secret").await.ok();
    client(&server, &other.id, &pair).get("secret").await.error(404, 16_994_305);
    // Twice in one domain neither; another key in its place lets go of it.
    let twice = put(&one, &one.id, "again", &certificate(&customer)).await;
    assert_eq!(twice.status, 400);
    let next = Signer::root(ca("customer CA"));
    put(&one, &one.id, "shop", &proven(&next, &one.id)).await.ok();
    put(&other, &other.id, "mine", &proven(&customer, &other.id)).await.ok();
    let moved = client(&server, &other.id, &pair);
    moved.get("secret").await.ok();
    assert_eq!(remove(&other, &other.id, "mine").await.status, 204);
    put(&one, &one.id, "old", &proven(&customer, &one.id)).await.ok();
    client(&server, &one.id, &pair).get("secret").await.ok();
}

/// Two authorities of one name, or one that is called like another's intermediate, do not stand for
/// each other, and neither keeps the other's clients out.
#[tokio::test]
async fn namesakes_are_told_apart_by_their_keys() {
    let (mut server, one) = TestServer::with_tenant().await;
    let other = server.tenant().await;
    let configured = Signer::root(ca("configured CA"));
    trust(&mut server, &configured.pem, &one.id);
    server.restart().await;
    let (one, other) = (server.at(&one), server.at(&other));
    let namesake = || Signer::root(ca("customer CA"));
    let (first, second, third) = (namesake(), namesake(), namesake());
    put(&one, &one.id, "a", &proven(&first, &one.id)).await.ok();
    put(&other, &other.id, "a", &proven(&second, &other.id)).await.ok();
    // What lies between the configured one and its clients has a namesake as well.
    let between = configured.below(ca("issuing CA"));
    put(&other, &other.id, "b", &proven(&Signer::root(ca("issuing CA")), &other.id)).await.ok();
    for names_the_key in [false, true] {
        let leaf = with(leaf(), |leaf| leaf.use_authority_key_identifier_extension = names_the_key);
        for (pair, reaches, not) in [
            (first.pair(&leaf, &[]), &one, &other),
            (second.pair(&leaf, &[]), &other, &one),
            (between.pair(&leaf, &[&between]), &one, &other),
        ] {
            client(&server, &reaches.id, &pair).get("secret").await.ok();
            client(&server, &not.id, &pair).get("secret").await.error(404, 16_994_305);
        }
        for pair in [third.pair(&leaf, &[]), third.pair(&leaf, &[&first])] {
            assert!(client(&server, &one.id, &pair).is_refused_in_tls().await);
        }
    }
    // A domain has two of one name, for the time in which one follows the other.
    put(&one, &one.id, "next", &proven(&third, &one.id)).await.ok();
    let fourth = put(&one, &one.id, "more", &proven(&namesake(), &one.id)).await;
    assert!(fourth.error(400, 50_405_377).contains("two authorities"));
}

/// A session keeps the certificates of its first handshake, whoever vouched then. Once that authority
/// was gone, certificates that nobody had checked could have led to another.
#[tokio::test]
async fn a_session_leads_to_no_authority_that_has_not_signed() {
    let (mut server, thief) = TestServer::with_tenant().await;
    let victim = server.tenant().await;
    let configured = Signer::root(ca("configured CA"));
    trust(&mut server, &configured.pem, &victim.id);
    server.restart().await;
    let (thief, operator) = (server.at(&thief), server.operator());
    let own = Signer::root(ca("issuing CA"));
    // Called like his own, and said to be of the other; signed by nobody who may.
    let forged = Signer::root(ca("configured CA")).below(ca("issuing CA"));
    let pair = own.pair(&leaf(), &[&forged]);
    for http in BOTH {
        put(&thief, &thief.id, "mine", &proven(&own, &thief.id)).await.ok();
        let client = client(&server, &victim.id, &pair).over(http);
        client.get("secret").await.error(404, 16_994_305);
        assert_eq!(remove(&operator, &thief.id, "mine").await.status, 204);
        let resumed = r#"okmsd_handshakes_total{result="resumed"}"#;
        let before = server.metric(resumed).await;
        is_nobody(&client.get("secret").await, "not trusted any more");
        assert!(server.metric(resumed).await > before, "that was a resumed session");
    }
}

/// A renewed certificate of an authority is the same authority; one that may sign for less is not.
#[tokio::test]
async fn connections_stay_while_their_authority_does() {
    let (server, tenant) = TestServer::with_tenant().await;
    let (operator, id) = (server.operator(), &tenant.id);
    let customer = Signer::root(ca("customer CA"));
    put(&operator, id, "shop", &certificate(&customer)).await.ok();
    let client = client(&server, id, &customer.pair(&leaf(), &[]));
    let mut connection = client.connect().await;
    lists(&mut connection, &client).await.ok();
    let renewed = again(&customer, ca_valid_to("customer CA", START + 9 * DAY));
    put(&operator, id, "shop", &certificate(&renewed)).await.ok();
    put(&operator, id, "other", &certificate(&Signer::root(ca("other CA")))).await.ok();
    lists(&mut connection, &client).await.ok();
    let narrower = again(
        &customer,
        with(ca("customer CA"), |ca| {
            ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        }),
    );
    put(&operator, id, "shop", &certificate(&narrower)).await.ok();
    is_nobody(&lists(&mut connection, &client).await, "not trusted any more");
    let middle = customer.below(ca("middle CA"));
    let below = self::client(&server, id, &middle.pair(&leaf(), &[&middle]));
    assert!(below.is_refused_in_tls().await, "pathlen counts");
    // It ends as others do, on a connection that is open as well.
    let short = again(&customer, ca_valid_to("customer CA", START + 100));
    put(&operator, id, "shop", &certificate(&short)).await.ok();
    let fresh = self::client(&server, id, &customer.pair(&leaf(), &[]));
    let mut connection = fresh.connect().await;
    lists(&mut connection, &fresh).await.ok();
    server.clock.advance(101);
    is_nobody(&lists(&mut connection, &fresh).await, "has expired");
    is_nobody(&fresh.get("secret").await, "has expired");
}

/// What is not fit to be an authority here is refused in words that say why.
#[tokio::test]
async fn what_is_no_authority_is_refused() {
    let (mut server, tenant) = TestServer::with_tenant().await;
    let configured = Signer::root(ca("configured CA"));
    trust(&mut server, &configured.pem, &tenant.id);
    server.restart().await;
    let (tenant, operator, id) = (server.at(&tenant), server.operator(), &tenant.id);
    let spoilt = |spoil: &dyn Fn(&mut CertificateParams)| {
        Signer::root(with(ca("customer CA"), |params| spoil(params)))
    };
    let until = |begin: i64, end: i64| {
        let mut params = params("customer CA", begin..=end);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Signer::root(params)
    };
    let region = Signer::region(&server);
    let fine = Signer::root(ca("customer CA"));
    let refused = async |body: Value, words: &str| {
        let said = put(&operator, id, "shop", &body).await;
        assert!(said.error(400, 50_405_377).contains(words), "{words}: {said:?}");
    };
    for (signer, words) in [
        (spoilt(&|params| params.is_ca = IsCa::ExplicitNoCa), "CA:TRUE"),
        (spoilt(&|params| params.is_ca = IsCa::NoCa), "CA:TRUE"),
        (spoilt(&|params| params.key_usages = vec![KeyUsagePurpose::CrlSign]), "keyCertSign"),
        (
            spoilt(&|params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]
            }),
            "extended key usage",
        ),
        (spoilt(&|params| params.distinguished_name = DistinguishedName::new()), "subject name"),
        (until(START - DAY, START - 1), "has expired"),
        (until(START + 1, START + DAY), "not valid yet"),
        (Signer::root(ca("configured CA")), "ask the operator"),
        (Signer::root(ca("test region CA")), "ask the operator"),
        (again(&configured, ca("another name")), "ask the operator"),
        (again(&region, ca("another name")), "ask the operator"),
        (region, "ask the operator"),
    ] {
        refused(certificate(&signer), words).await;
    }
    let key = fine.issuer.key().serialize_pem();
    for (body, words) in [
        (json!({"certificatePEM": format!("{}{key}", fine.pem)}), "never sent"),
        (json!({"certificatePEM": fine.pem, "proofPEM": key}), "never sent"),
        (json!({"certificatePEM": format!("{0}{0}", fine.pem)}), "certificate"),
        (json!({"certificatePEM": "x"}), "certificate"),
        (json!({"certificatePEM": 1}), "texts"),
        (json!({}), "certificatePEM is required"),
        (json!({"certificatePEM": fine.pem, "key": key}), "has a member"),
        (json!({"certificatePEM": fine.pem, "description": "a\nb"}), "description"),
    ] {
        refused(body, words).await;
    }
    assert!(tenant.call(Method::GET, &at(id, ""), "").await.ok().as_array().unwrap().len() == 1);
}

/// What TLS tells of authorities that it knows.
#[derive(Debug, Default)]
struct Hints(Mutex<Option<usize>>);

impl ResolvesClientCert for Hints {
    fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.0.lock().unwrap() = Some(hints.len());
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// How many authorities the server names in a handshake.
async fn hints(client: &Client) -> usize {
    let hints = Arc::new(Hints::default());
    let mut tls = (*client.tls).clone();
    tls.client_auth_cert_resolver = Arc::clone(&hints) as Arc<dyn ResolvesClientCert>;
    tls.resumption = rustls::client::Resumption::disabled();
    let client = Client { tls: Arc::new(tls), ..client.clone() };
    assert_eq!(client.get("secret").await.status, 401, "it shows no certificate");
    let told = *hints.0.lock().unwrap();
    told.unwrap()
}

/// A client that is told of some authorities shows no certificate of another: while there is one that is
/// managed over the API, none is named, whose name would be its domain's business as well.
#[tokio::test]
async fn tls_names_authorities_only_while_all_are_the_configurations() {
    let (mut server, tenant) = TestServer::with_tenant().await;
    trust(&mut server, &Signer::root(ca("configured CA")).pem, &tenant.id);
    server.restart().await;
    let (tenant, operator, id) = (server.at(&tenant), server.operator(), &tenant.id);
    assert_eq!(hints(&tenant).await, 2);
    put(&operator, id, "shop", &certificate(&Signer::root(ca("customer CA")))).await.ok();
    assert_eq!(hints(&tenant).await, 0);
    remove(&operator, id, "shop").await;
    assert_eq!(hints(&tenant).await, 2);
}

/// Another process over the same store learns of both, and within a second.
#[tokio::test]
async fn another_process_learns_of_it() {
    let (server, engine) = TestServer::in_memory().await;
    let tenant = server.tenant().await;
    let (operator, id) = (server.operator(), &tenant.id);
    let second = server.beside(&engine).await;
    let (address, stopper) = (second.address(), second.stopper());
    let running = tokio::spawn(second.run());
    let customer = Signer::root(ca("customer CA"));
    let elsewhere = Client { address, ..client(&server, id, &customer.pair(&leaf(), &[])) };
    assert!(elsewhere.is_refused_in_tls().await);
    put(&operator, id, "shop", &certificate(&customer)).await.ok();
    let changed = Instant::now();
    while elsewhere.is_refused_in_tls().await {
        assert!(changed.elapsed() < Duration::from_secs(1), "within a second");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut connection = elsewhere.connect().await;
    lists(&mut connection, &elsewhere).await.ok();
    remove(&operator, id, "shop").await;
    let changed = Instant::now();
    while lists(&mut connection, &elsewhere).await.status != 401 {
        assert!(changed.elapsed() < Duration::from_secs(1), "within a second");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stopper.stop();
    running.await.unwrap();
}

/// They are known before the first request is served after a start.
#[tokio::test]
async fn they_are_there_after_a_restart() {
    let (mut server, tenant) = TestServer::with_tenant().await;
    let customer = Signer::root(ca("customer CA"));
    put(&tenant, &tenant.id, "shop", &proven(&customer, &tenant.id)).await.ok();
    let client = client(&server, &tenant.id, &customer.pair(&leaf(), &[]));
    server.restart().await;
    server.at(&client).get("secret").await.ok();
}

/// Those of a domain that cannot be read are trusted for nobody, until they are added again; others'
/// go on.
#[tokio::test]
async fn what_cannot_be_read_is_not_trusted() {
    let (server, engine) = TestServer::in_memory().await;
    let (one, other) = (server.tenant().await, server.tenant().await);
    let (first, second) = (Signer::root(ca("first CA")), Signer::root(ca("second CA")));
    put(&one, &one.id, "shop", &proven(&first, &one.id)).await.ok();
    put(&other, &other.id, "shop", &proven(&second, &other.id)).await.ok();
    let of_first = client(&server, &one.id, &first.pair(&leaf(), &[]));
    let of_second = client(&server, &other.id, &second.pair(&leaf(), &[]));
    let (mut connection, mut others) = (of_first.connect().await, of_second.connect().await);
    lists(&mut connection, &of_first).await.ok();
    let id: OkmsId = one.id.parse().unwrap();
    let damage = Op::Put(CustomerCas::SPACE, CustomerCas::key(id, ()), Sealed::public(vec![1; 60]));
    engine.commit(Batch::of(vec![damage])).await.unwrap();
    let changed = Instant::now();
    while lists(&mut connection, &of_first).await.status != 401 {
        assert!(changed.elapsed() < Duration::from_secs(1), "within a second");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    lists(&mut others, &of_second).await.ok();
    assert_eq!(one.call(Method::GET, &at(&one.id, ""), "").await.status, 500);
    put(&one, &one.id, "shop", &proven(&first, &one.id)).await.ok();
    client(&server, &one.id, &first.pair(&leaf(), &[])).get("secret").await.ok();
}
