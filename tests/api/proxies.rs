//! Client certificates in headers: taken of proxies that are listed and show their own, and judged as
//! those that are shown in a handshake. Of everybody else such a header says nothing.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::Method;
use okmsd::{
    config::{AddressHeader, CertificateHeader, KeyPin, Proxy},
    model::Timestamp,
    pki::{self, CertificateAuthority, Subject, pem},
};
use rcgen::ExtendedKeyUsagePurpose;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    audit::record_of,
    callers::{Outcome, outcome},
    credentials,
    harness::{Answer, BOTH, Client, Connection, Http, Leaf, Pair, START, TestServer, mint},
    trust::{Signer, ca, claims, leaf, trust, with},
};

const ENVOY: CertificateHeader = CertificateHeader::XForwardedClientCert;
pub const RFC: CertificateHeader = CertificateHeader::ClientCert;
const XFCC: &str = "x-forwarded-client-cert";

/// What a proxy sends of its client.
pub type Headers = Vec<(&'static str, String)>;

/// The certificates in a text.
fn der(certificates: &str) -> Vec<Vec<u8>> {
    let all = pem::every_certificate(certificates.as_bytes()).unwrap();
    all.iter().map(|certificate| certificate.to_vec()).collect()
}

fn item(der: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(der))
}

/// As in URLs.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() {
            escaped.push(byte.into());
        } else {
            write!(escaped, "%{byte:02X}").unwrap();
        }
        escaped
    })
}

/// What a proxy says that was shown these.
pub fn forwarding(header: CertificateHeader, certificates: &str) -> Headers {
    let all = der(certificates);
    let (own, above) = all.split_first().unwrap();
    if header == ENVOY {
        let own = escaped(&pem::of_certificate(own));
        let value = match above {
            [] => format!("By=spiffe://a/proxy;Cert=\"{own}\";Subject=\"CN=a,b\";URI="),
            _ => format!("Cert=\"{own}\";Chain=\"{}\"", escaped(certificates)),
        };
        return vec![(XFCC, value)];
    }
    let above: Vec<_> = above.iter().map(|der| item(der)).collect();
    let chain = (!above.is_empty()).then(|| ("client-cert-chain", above.join(", ")));
    [("client-cert", item(own))].into_iter().chain(chain).collect()
}

fn key(pair: &Pair) -> KeyPin {
    KeyPin(pki::key_sha256(&der(&pair.certificate)[0]).unwrap())
}

pub fn listed(pair: &Pair, certificate_header: CertificateHeader) -> Proxy {
    let public_key_sha256 = key(pair);
    Proxy { public_key_sha256, certificate_header, address_header: None, domain: None }
}

/// Lists these proxies, and no others.
pub fn list(server: &mut TestServer, proxies: Vec<Proxy>) {
    server.config.trust.proxy = proxies;
    server.reloader.reload(&server.config).unwrap();
}

/// Somebody of a domain: the certificate, and a client that shows it itself.
struct Member {
    pair: Pair,
    client: Client,
}

async fn member(server: &TestServer) -> Member {
    let id = server.tenant().await.id;
    member_of(server, &id)
}

fn member_of(server: &TestServer, id: &str) -> Member {
    let pair = server.issue(&Subject::Domain(id.parse().unwrap()), 30);
    let client = server.client(Some(&pair), Some(id), Http::One);
    Member { pair, client }
}

/// A certificate of the region's authority that names no domain: it is good for a proxy, and for
/// nothing else.
pub fn proxys(server: &TestServer) -> Pair {
    server.mint(&Leaf { common_name: "proxy", ..Leaf::default() })
}

/// A proxy that is listed, for one domain alone where that is said.
pub fn forwards(server: &mut TestServer, domain: Option<&str>) -> Pair {
    let pair = proxys(server);
    let domain = domain.map(|id| id.parse().unwrap());
    let proxy = Proxy { domain, ..listed(&pair, RFC) };
    list(server, vec![proxy]);
    pair
}

/// What is answered to somebody whom the proxy forwards.
pub async fn forwarded_read(server: &TestServer, proxy: &Pair, id: &str, of: &Pair) -> Answer {
    read(&proxy_client(server, proxy, id), &forwarding(RFC, &of.certificate)).await
}

/// A proxy's connection to the server; requests go to the domain `id`.
pub fn proxy_client(server: &TestServer, pair: &Pair, id: &str) -> Client {
    server.client(Some(pair), Some(id), Http::One)
}

async fn read(client: &Client, headers: &Headers) -> Answer {
    let mut connection = client.connect().await;
    read_over(&mut connection, client, headers).await
}

async fn read_over(connection: &mut Connection, client: &Client, headers: &Headers) -> Answer {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
    connection.send(Method::GET, &client.url("secret/s?includeData=true"), &headers, "").await
}

#[track_caller]
fn is_told(answer: &Answer, status: u16, words: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.text().contains(words), "{answer:?}");
}

const UNAUTHENTICATED: u32 = 50_475_011;

/// Forged by whoever is no proxy, in each form and spelling, the headers say nothing: the
/// certificate of the connection counts, or that there is none.
#[tokio::test]
async fn a_forged_header_says_nothing() {
    let mut server = TestServer::start().await;
    let (victim, thief) = (member(&server).await, member(&server).await);
    for one in [&victim, &thief] {
        one.client.create("s", r#"{"v":1}"#).await.ok();
    }
    let proxy = proxys(&server);
    list(&mut server, vec![listed(&proxy, RFC)]);
    let id = &victim.client.id;
    let at = |pair: Option<&Pair>| server.client(pair, Some(id), Http::One);
    let operator = server.issue(&Subject::Operator, 9);
    let nobody = server.mint(&Leaf { common_name: "of no domain", ..Leaf::default() });
    // The name of a proxy, the listed key's fingerprint: neither is the key.
    let alike = server.mint(&Leaf { common_name: "proxy", ..Leaf::default() });
    let base64 = STANDARD.encode(&der(&victim.pair.certificate)[0]);
    let mut forged: Vec<Headers> = vec![
        forwarding(RFC, &victim.pair.certificate),
        forwarding(ENVOY, &victim.pair.certificate),
        vec![("Client-Cert", format!(":{base64}:")), ("CLIENT-CERT", format!(":{base64}:"))],
        vec![("client-cert", "garbage".to_owned()), (XFCC, "garbage".to_owned())],
        vec![("client_cert", format!(":{base64}:"))],
        vec![("x-ssl-client-cert", escaped(&victim.pair.certificate))],
        vec![("ssl-client-cert", escaped(&victim.pair.certificate))],
        vec![("x-forwarded-tls-client-cert", base64.clone())],
    ];
    forged.push(
        [forwarding(RFC, &operator.certificate), forwarding(ENVOY, &operator.certificate)].concat(),
    );
    for http in BOTH {
        for headers in &forged {
            let headers: Headers = match http {
                Http::One => headers.clone(),
                // Names are in lower case there.
                Http::Two => headers
                    .iter()
                    .map(|(name, value)| {
                        let known = ["client-cert", "client_cert"].into_iter();
                        let lower = known.clone().find(|lower| lower.eq_ignore_ascii_case(name));
                        (lower.unwrap_or(name), value.clone())
                    })
                    .collect(),
            };
            let of = async |client: Client| outcome(&read(&client.over(http), &headers).await);
            assert_eq!(of(at(Some(&victim.pair))).await, Outcome::LetIn, "{headers:?}");
            assert_eq!(of(at(Some(&thief.pair))).await, Outcome::NoDomain, "{headers:?}");
            assert_eq!(of(at(None)).await, Outcome::Nobody, "{headers:?}");
            assert_eq!(of(at(Some(&nobody))).await, Outcome::Nobody, "{headers:?}");
            assert_eq!(of(at(Some(&alike))).await, Outcome::Nobody, "{headers:?}");
            // What is its own stays its own.
            let own = thief.client.over(http);
            assert_eq!(read(&own, &headers).await.status, 200, "{headers:?}");
        }
    }
}

/// The proxy's certificate opens the way for those that it forwards, each on its own, over one
/// connection; it is nobody itself, whatever domain it names, be it all of them.
#[tokio::test]
async fn each_request_is_of_whom_the_proxy_says() {
    let mut server = TestServer::start().await;
    let (one, other) = (member(&server).await, member(&server).await);
    for member in [&one, &other] {
        member.client.create("s", r#"{"v":1}"#).await.ok();
    }
    let id = &one.client.id;
    let upn = format!("okms.domain:{id}");
    let of = |upns: &[&str]| server.mint(&Leaf { upns, ..Leaf::default() });
    let proxies = [of(&[]), of(&[&upn]), of(&["okms.domain:*"])];
    for header in [RFC, ENVOY] {
        let all = proxies.iter().map(|pair| listed(pair, header)).collect();
        list(&mut server, all);
        for (pair, http) in proxies.iter().zip([Http::One, Http::Two, Http::Two]) {
            let client = proxy_client(&server, pair, id).over(http);
            let mut connection = client.connect().await;
            let mut ask = async |of: Option<&Member>| {
                let headers = of.map(|of| forwarding(header, &of.pair.certificate));
                read_over(&mut connection, &client, &headers.unwrap_or_default()).await
            };
            for _ in 0..2 {
                assert_eq!(ask(Some(&one)).await.status, 200);
                assert_eq!(outcome(&ask(Some(&other)).await), Outcome::NoDomain);
                let told = ask(None).await;
                is_told(&told, 401, "the proxy has forwarded no client certificate");
            }
            let open = connection.send(Method::GET, "/openapi.json", &[], "").await;
            assert_eq!(open.status, 200, "what is open to everybody is so behind a proxy");
        }
    }
}

/// Whatever could be read in two ways, or not at all, is refused, and says what to change at the
/// proxy. What was meant for the other form is, too, as a client may have sent it.
#[tokio::test]
async fn what_a_proxy_says_is_read_in_one_way() {
    let mut server = TestServer::start().await;
    let (one, other) = (member(&server).await, member(&server).await);
    one.client.create("s", r#"{"v":1}"#).await.ok();
    let pairs = [proxys(&server), proxys(&server)];
    list(&mut server, vec![listed(&pairs[0], RFC), listed(&pairs[1], ENVOY)]);
    let (mine, theirs) = (&one.pair.certificate, &other.pair.certificate);
    let rfc = |certificate: &str| forwarding(RFC, certificate);
    let envoy = |certificate: &str| forwarding(ENVOY, certificate);
    let mine_item = item(&der(mine)[0]);
    let (mine_escaped, theirs_escaped) = (escaped(mine), escaped(theirs));
    let client_cert = |value: &str| vec![("client-cert", value.to_owned())];
    let xfcc = |value: String| vec![(XFCC, value)];
    let empty = |name| vec![(name, String::new())];
    for (header, headers, words) in [
        (RFC, [rfc(mine), rfc(mine)].concat(), "twice"),
        (RFC, [rfc(mine), rfc(theirs)].concat(), "twice"),
        (RFC, [empty("client-cert"), rfc(mine)].concat(), "twice"),
        (RFC, [rfc(mine), envoy(mine)].concat(), "is not read of this proxy"),
        (RFC, envoy(mine), "is not read of this proxy"),
        (RFC, vec![("client-cert-chain", mine_item.clone())], "without Client-Cert"),
        (RFC, client_cert(&format!("{mine_item}, {mine_item}")), "two colons"),
        (RFC, client_cert("garbage"), "two colons"),
        (RFC, client_cert(&mine_escaped), "two colons"),
        (RFC, [rfc(mine), vec![("client-cert-chain", "garbage".to_owned())]].concat(), "is a list"),
        (ENVOY, [envoy(mine), envoy(theirs)].concat(), "twice"),
        (ENVOY, [rfc(mine), envoy(mine)].concat(), "is not read of this proxy"),
        (ENVOY, rfc(mine), "is not read of this proxy"),
        (ENVOY, xfcc(format!("{},{}", envoy(theirs)[0].1, envoy(mine)[0].1)), "several elements"),
        (
            ENVOY,
            xfcc(format!("Cert=\"{mine_escaped}\";Cert=\"{theirs_escaped}\"")),
            "each name once",
        ),
        (
            ENVOY,
            xfcc(format!("Cert=\"{mine_escaped}\";Chain=\"{theirs_escaped}\"")),
            "of different",
        ),
        (ENVOY, xfcc(format!("Cert=\"{mine_escaped}{theirs_escaped}\"")), "of different"),
        (ENVOY, xfcc(format!("Hash={};Cert=\"{mine_escaped}\"", "00".repeat(32))), "of different"),
        (ENVOY, xfcc("Hash=a;URI=spiffe://a/b".to_owned()), "neither Cert nor Chain"),
        (ENVOY, xfcc("Cert=\"garbage\"".to_owned()), "PEM"),
        (ENVOY, xfcc(format!("Cert=\"{mine_escaped}")), "names and values"),
        (ENVOY, xfcc("garbage".to_owned()), "names and values"),
    ] {
        let pair = &pairs[usize::from(header == ENVOY)];
        for http in BOTH {
            let client = proxy_client(&server, pair, &one.client.id).over(http);
            let answer = read(&client, &headers).await;
            is_told(&answer, 400, "the proxy does not say in the way that was agreed");
            is_told(&answer, 400, words);
            // Not even what is open to everybody is told.
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
            let open = client.send(Method::GET, "/openapi.json", &headers, "").await;
            assert_eq!(open.status, 400);
            assert!(!answer.text().contains("garbage") && !answer.text().contains("MII"));
        }
    }
    // An empty certificate is how some proxies say that they were shown none.
    for (header, headers) in [
        (RFC, client_cert("::")),
        (RFC, client_cert("")),
        (ENVOY, xfcc("Cert=\"\"".to_owned())),
        (ENVOY, xfcc(String::new())),
    ] {
        let pair = &pairs[usize::from(header == ENVOY)];
        let answer = read(&proxy_client(&server, pair, &one.client.id), &headers).await;
        is_told(&answer, 401, "the proxy has forwarded no client certificate");
    }
    // What is not a certificate is none that is trusted.
    for (header, headers) in [
        (RFC, client_cert(":AAAA:")),
        (RFC, client_cert(&item(&[0x30; 20_000]))),
        (ENVOY, xfcc(format!("Cert=\"{}\"", escaped(&pem::of_certificate(b"garbage"))))),
    ] {
        let pair = &pairs[usize::from(header == ENVOY)];
        let client = proxy_client(&server, pair, &one.client.id);
        let answer = read(&client, &headers).await;
        if headers[0].1.len() > 16 << 10 {
            assert_eq!(answer.status, 431, "{answer:?}");
        } else {
            is_told(&answer, 401, "is not taken here");
        }
    }
}

/// Two lines of one name, in whatever spelling, are two; what hides a line from one of two readers is
/// no HTTP.
#[tokio::test]
async fn smuggled_lines_are_seen() {
    let mut server = TestServer::start().await;
    let (one, other) = (member(&server).await, member(&server).await);
    one.client.create("s", r#"{"v":1}"#).await.ok();
    let proxy = proxys(&server);
    list(&mut server, vec![listed(&proxy, RFC)]);
    let client = proxy_client(&server, &proxy, &one.client.id);
    let (mine, theirs) =
        (item(&der(&one.pair.certificate)[0]), item(&der(&other.pair.certificate)[0]));
    for (lines, status) in [
        (format!("Client-Cert: {mine}\r\n"), 200),
        (format!("cLiEnT-cErT:{mine}\r\n"), 200),
        (format!("Client-Cert: {theirs}\r\nclient-cert: {mine}\r\n"), 400),
        (format!("Client-Cert: {theirs}\r\nX: y\r\nCLIENT-CERT: {mine}\r\n"), 400),
        (format!("Client-Cert: {theirs},{mine}\r\n"), 400),
        (format!("Client-Cert: {theirs}\r\n {mine}\r\n"), 400),
        (format!("Client-Cert : {mine}\r\n"), 400),
        (format!("Client-Cert\t: {mine}\r\n"), 400),
        (format!("X: y\rClient-Cert: {mine}\r\n"), 400),
        (format!("X: y\0\r\nClient-Cert: {mine}\r\n"), 400),
        (format!("Client_Cert: {mine}\r\n"), 401),
        (format!("Client-Cert: {mine}\r\nContent-Length: 0\r\nContent-Length: 9\r\n"), 400),
    ] {
        let mut stream = client.tls().await.unwrap();
        let path = client.url("secret/s");
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{lines}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _closed = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{lines:?}: {answer}");
    }
}

/// The same is asked of a certificate in a header as of one in a handshake, and it is revoked as
/// soon.
#[tokio::test]
async fn it_is_judged_as_in_a_handshake() {
    let mut server = TestServer::start().await;
    let tenant = server.tenant().await;
    tenant.create("s", r#"{"v":1}"#).await.ok();
    let id = tenant.id.clone();
    let customer = Signer::root(ca("customer CA"));
    trust(&mut server, &customer.pem, &id);
    let proxies = [proxys(&server), proxys(&server)];
    list(&mut server, vec![listed(&proxies[0], RFC), listed(&proxies[1], ENVOY)]);
    let upn = format!("okms.domain:{id}");
    let upns = [&*upn];
    let right = || Leaf { upns: &upns, ..Leaf::default() };
    let moment = Timestamp::from_unix_seconds(START);
    let (twin, twin_key) = CertificateAuthority::create("test region CA", moment, 9).unwrap();
    let region = Signer::region(&server);
    let (below, theirs) = (region.below(ca("below")), customer.below(ca("below the customer's")));
    let usage = ExtendedKeyUsagePurpose::ServerAuth;
    let untrusted = "is not taken here";
    for (what, pair, words) in [
        ("right", server.mint(&right()), ""),
        ("of a customer's authority", customer.pair(&leaf(), &[]), ""),
        ("of one below it", theirs.pair(&leaf(), &[&theirs]), ""),
        ("of one below it that is not shown", theirs.pair(&leaf(), &[]), untrusted),
        (
            "expired",
            server.mint(&Leaf { valid: START - 100..=START - 1, ..right() }),
            "has expired",
        ),
        (
            "not yet valid",
            server.mint(&Leaf { valid: START + 1..=START + 100, ..right() }),
            "not valid yet",
        ),
        ("of an authority of the same name", mint(&twin, &twin_key, &right()), untrusted),
        ("for servers", server.mint(&Leaf { usage, ..right() }), untrusted),
        ("an authority's", server.mint(&Leaf { is_ca: true, ..right() }), untrusted),
        ("of one below the region's", below.pair(&claims(leaf(), &upn), &[&below]), untrusted),
        ("of no domain", server.mint(&Leaf::default()), "names no okms.domain"),
        (
            "of two",
            server.mint(&Leaf { upns: &[&upn, "okms.domain:*"], ..right() }),
            "cannot be read",
        ),
        (
            "with a NUL",
            server.mint(&Leaf { upns: &[&format!("{upn}\0")], ..right() }),
            "cannot be read",
        ),
        ("an operator's", server.issue(&Subject::Operator, 9), "on a connection of its own alone"),
        (
            "too many",
            customer.pair(&leaf(), &[&customer, &theirs, &below, &region, &customer, &theirs]),
            untrusted,
        ),
        (
            "an authority that may not sign",
            {
                let unfit = customer.below(with(ca("unfit"), |ca| {
                    ca.key_usages = vec![rcgen::KeyUsagePurpose::CrlSign];
                }));
                unfit.pair(&leaf(), &[&unfit])
            },
            untrusted,
        ),
    ] {
        for (proxy, header) in proxies.iter().zip([RFC, ENVOY]) {
            let client = proxy_client(&server, proxy, &id);
            let headers = forwarding(header, &pair.certificate);
            for _ in 0..2 {
                let answer = read(&client, &headers).await;
                if words.is_empty() {
                    assert_eq!(answer.status, 200, "{what}: {answer:?}");
                } else if what == "too many" && answer.status == 431 {
                    continue;
                } else {
                    answer.error(401, UNAUTHENTICATED);
                    is_told(&answer, 401, words);
                }
            }
        }
    }
}

/// One that was taken is asked each time whether it still counts.
#[tokio::test]
async fn it_ends_at_the_next_request() {
    let mut server = TestServer::start().await;
    let tenant = server.tenant().await;
    tenant.create("s", r#"{"v":1}"#).await.ok();
    let id = tenant.id.clone();
    let customer = Signer::root(ca("customer CA"));
    trust(&mut server, &customer.pem, &id);
    let proxy = proxys(&server);
    list(&mut server, vec![listed(&proxy, RFC)]);
    let client = proxy_client(&server, &proxy, &id).over(Http::Two);
    let mut connection = client.connect().await;
    let issued = server
        .operator()
        .call(Method::POST, &format!("/v2/okms/resource/{id}/credential"), r#"{"name":"x"}"#)
        .await
        .ok();
    let revocable = forwarding(RFC, issued["certificatePEM"].as_str().unwrap());
    let of_customer = forwarding(RFC, &customer.pair(&leaf(), &[]).certificate);
    let short = server.mint(&Leaf {
        upns: &[&format!("okms.domain:{id}")],
        valid: START - 9..=START + 100,
        ..Leaf::default()
    });
    let short = forwarding(RFC, &short.certificate);
    for headers in [&revocable, &of_customer, &short] {
        assert_eq!(read_over(&mut connection, &client, headers).await.status, 200);
    }
    assert_eq!(credentials::revoke(&server, &issued, &id, "").await.status, 204);
    is_told(&read_over(&mut connection, &client, &revocable).await, 401, "was revoked");
    server.clock.advance(101);
    is_told(&read_over(&mut connection, &client, &short).await, 401, "has expired");
    // Their authority is believed no more, and the proxy's connection is as good as before.
    server.config.trust.customer_ca.clear();
    server.reloader.reload(&server.config).unwrap();
    is_told(&read_over(&mut connection, &client, &of_customer).await, 401, "is not taken here");
    let fresh =
        forwarding(RFC, &server.issue(&Subject::Domain(id.parse().unwrap()), 9).certificate);
    assert_eq!(read_over(&mut connection, &client, &fresh).await.status, 200);
}

/// An authority that is managed over the API comes and goes at once for those whom a proxy shows, too,
/// whatever is remembered of them.
#[tokio::test]
async fn authorities_come_and_go_behind_a_proxy() {
    let mut server = TestServer::start().await;
    let tenant = server.tenant().await;
    tenant.create("s", r#"{"v":1}"#).await.ok();
    let proxy = proxys(&server);
    list(&mut server, vec![listed(&proxy, RFC)]);
    let client = proxy_client(&server, &proxy, &tenant.id);
    let mut connection = client.connect().await;
    let customer = Signer::root(ca("customer CA"));
    let shown = forwarding(RFC, &customer.pair(&leaf(), &[]).certificate);
    let at = format!("/v2/okms/resource/{}/ca/shop", tenant.id);
    let body = serde_json::json!({ "certificatePEM": customer.pem }).to_string();
    for _ in 0..2 {
        is_told(&read_over(&mut connection, &client, &shown).await, 401, "is not taken here");
        server.operator().call(Method::PUT, &at, &body).await.ok();
        assert_eq!(read_over(&mut connection, &client, &shown).await.status, 200);
        assert_eq!(server.operator().call(Method::DELETE, &at, "").await.status, 204);
    }
}

/// A condition on the address is about where the proxy says that its client is, and nobody else's word
/// of that counts; and the trail tells of the client, wherever the connection is from.
#[tokio::test]
async fn conditions_and_the_trail_are_of_who_is_forwarded() {
    let mut server = TestServer::start().await;
    let one = member(&server).await;
    one.client.create("s", r#"{"v":1}"#).await.ok();
    let (proxy, id) = (proxys(&server), one.client.id.clone());
    let forwards =
        Proxy { address_header: Some(AddressHeader::XForwardedFor), ..listed(&proxy, RFC) };
    list(&mut server, vec![forwards]);
    let of = format!("/v2/okms/resource/{id}");
    let operator = server.operator();
    let app = server.mint(&Leaf {
        common_name: "app",
        upns: &[&format!("okms.domain:{id}")],
        ..Leaf::default()
    });
    let rule = r#"{"commonNames":["app"],"policies":["nothing"]}"#;
    operator.call(Method::PUT, &format!("{of}/rule/app"), rule).await.ok();
    let inside = json!({"operator": "MATCH", "values": {"request.IP.IN_RANGE": "192.0.2.0/24"}});
    let policy = json!({
        "name": "inside",
        "identities": ["app"],
        "resources": [{"urn": "s"}],
        "permissions": {"allow": [{"action": "okms:apikms:secret/*"}]},
        "conditions": inside,
    });
    operator.call(Method::POST, &format!("{of}/policy"), &policy.to_string()).await.ok();
    let client = proxy_client(&server, &proxy, &id);
    let mut connection = client.connect().await;
    let from = |address: &str| {
        let mut headers = forwarding(RFC, &app.certificate);
        headers.push(("x-forwarded-for", address.to_owned()));
        headers
    };
    for (address, status) in [
        ("192.0.2.7", 200),
        ("203.0.113.9", 403),
        ("192.0.2.7", 200),
        ("203.0.113.9, 192.0.2.8", 200),
    ] {
        let answer = read_over(&mut connection, &client, &from(address)).await;
        assert_eq!(answer.status, status, "{address}: {answer:?}");
        let record = record_of(&server, &answer);
        let told = |name: &str| record[name].clone();
        assert_eq!(told("common_name"), json!("app"));
        // Who is refused before anything is judged has none.
        assert_eq!(told("identities"), if status == 200 { json!(["app"]) } else { json!(null) });
        assert_eq!(told("serial"), json!(serial(&app)));
        assert_eq!(told("client"), json!(address.rsplit(' ').next()), "{record}");
        assert_ne!(told("serial"), json!(serial(&proxy)));
    }
    // Where the proxy says nothing nobody knows, and from who is none it says nothing.
    let silent = forwarding(RFC, &app.certificate);
    assert_eq!(read_over(&mut connection, &client, &silent).await.status, 403);
    let itself = server.client(Some(&app), Some(&id), Http::One);
    assert_eq!(read(&itself, &from("192.0.2.7")).await.status, 403);
}

/// The one domain of a proxy bounded for whose certificates it speaks, and not for whose users.
#[tokio::test]
async fn a_domains_proxy_brings_users_of_that_domain_alone() {
    let mut server =
        TestServer::start_with(|config| config.access.users_without_certificate = true).await;
    let (one, other) = (member(&server).await, member(&server).await);
    let user = json!({"password": "correct horse", "policies": "admin"}).to_string();
    for member in [&one, &other] {
        let at = format!("/api/{}/v1/auth/userpass/users/ann", member.client.id);
        assert_eq!(member.client.call(Method::POST, &at, &user).await.status, 204);
    }
    let proxy = proxys(&server);
    let (mine, theirs) = (one.client.id.clone(), other.client.id.clone());
    let listed = |domain: Option<&str>| Proxy {
        address_header: Some(AddressHeader::XForwardedFor),
        domain: domain.map(|id| id.parse().unwrap()),
        ..listed(&proxy, RFC)
    };
    let ask = async |server: &TestServer, id: &str, token: Option<&str>| {
        let client = proxy_client(server, &proxy, id);
        let mut headers = vec![("x-forwarded-for", "192.0.2.7")];
        headers.extend(token.map(|token| ("x-vault-token", token)));
        let (method, at) = match token {
            Some(_) => (Method::GET, format!("/api/{id}/v1/auth/token/lookup-self")),
            None => (Method::POST, format!("/api/{id}/v1/auth/userpass/login/ann")),
        };
        client.send(method, &at, &headers, r#"{"password": "correct horse"}"#).await
    };
    let token = async |server: &TestServer, id: &str| {
        let made = ask(server, id, None).await.ok();
        made["auth"]["client_token"].as_str().unwrap().to_owned()
    };
    list(&mut server, vec![listed(None)]);
    let tokens = [token(&server, &mine).await, token(&server, &theirs).await];
    list(&mut server, vec![listed(Some(&mine))]);
    token(&server, &mine).await;
    assert_eq!(ask(&server, &mine, Some(&tokens[0])).await.status, 200);
    ask(&server, &theirs, None).await.error(401, UNAUTHENTICATED);
    assert_eq!(ask(&server, &theirs, Some(&tokens[1])).await.status, 403);
    list(&mut server, vec![listed(Some(&theirs))]);
    assert_eq!(ask(&server, &theirs, Some(&tokens[1])).await.status, 200);
    assert_eq!(ask(&server, &mine, Some(&tokens[0])).await.status, 403);
}

pub fn serial(pair: &Pair) -> String {
    pki::Serial::of_certificate(&der(&pair.certificate)[0]).unwrap().to_string()
}

/// Chains are looked at once, and not for each request; what is refused is remembered for less time.
#[tokio::test]
async fn a_chain_is_judged_once_in_a_while() {
    let mut server = TestServer::start().await;
    let one = member(&server).await;
    one.client.create("s", r#"{"v":1}"#).await.ok();
    let proxy = proxys(&server);
    list(&mut server, vec![listed(&proxy, RFC)]);
    let client = proxy_client(&server, &proxy, &one.client.id);
    let good = forwarding(RFC, &one.pair.certificate);
    let expired = server.mint(&Leaf { valid: START - 9..=START - 1, ..Leaf::default() });
    let bad = forwarding(RFC, &expired.certificate);
    let judged = async |result: &str| {
        server.metric(&format!("okmsd_forwarded_certificates_total{{result=\"{result}\"}}")).await
    };
    for _ in 0..5 {
        assert_eq!(read(&client, &good).await.status, 200);
        assert_eq!(read(&client, &bad).await.status, 401);
    }
    assert_eq!((judged("taken").await, judged("refused").await), (1.0, 1.0));
    server.clock.advance(10);
    assert_eq!(
        (read(&client, &good).await.status, read(&client, &bad).await.status),
        (200.try_into().unwrap(), 401.try_into().unwrap())
    );
    assert_eq!((judged("taken").await, judged("refused").await), (1.0, 2.0));
    server.clock.advance(60);
    assert_eq!(read(&client, &good).await.status, 200);
    assert_eq!(judged("taken").await, 2.0);
}

/// Who is listed, and for what, is read again while the server runs.
#[tokio::test]
async fn the_list_of_proxies_is_live() {
    let mut server = TestServer::start().await;
    let (one, other) = (member(&server).await, member(&server).await);
    for member in [&one, &other] {
        member.client.create("s", r#"{"v":1}"#).await.ok();
    }
    // With a certificate of a domain, so that something would be opened by it.
    let id = one.client.id.clone();
    let Member { pair: proxy, .. } = member_of(&server, &id);
    let client = proxy_client(&server, &proxy, &id);
    let mine = forwarding(RFC, &one.pair.certificate);
    let theirs = forwarding(RFC, &other.pair.certificate);
    let mut before = client.connect().await;
    assert_eq!(read_over(&mut before, &client, &theirs).await.status, 200, "its own, as anybody's");
    list(&mut server, vec![listed(&proxy, RFC)]);
    crate::harness::eventually("the connection of before ends", async || {
        before.0.driver.is_finished()
    })
    .await;
    let mut connection = client.connect().await;
    assert_eq!(outcome(&read_over(&mut connection, &client, &theirs).await), Outcome::NoDomain);
    assert_eq!(read_over(&mut connection, &client, &mine).await.status, 200);
    assert_eq!(outcome(&read_over(&mut connection, &client, &Vec::new()).await), Outcome::Nobody);
    // What is the same stays.
    server.config.limits.idle_time = okmsd::config::Span(std::time::Duration::from_secs(50));
    let again = server.config.trust.proxy.clone();
    list(&mut server, again);
    assert_eq!(read_over(&mut connection, &client, &mine).await.status, 200);
    // For one domain alone.
    let of_one = Proxy { domain: Some(id.parse().unwrap()), ..listed(&proxy, RFC) };
    list(&mut server, vec![of_one]);
    crate::harness::eventually("it ends", async || connection.0.driver.is_finished()).await;
    let at_other = proxy_client(&server, &proxy, &other.client.id);
    assert_eq!(read(&client, &mine).await.status, 200);
    is_told(&read(&at_other, &theirs).await, 401, "may not forward certificates of your domain");
    list(&mut server, Vec::new());
    assert_eq!(outcome(&read(&at_other, &theirs).await), Outcome::NoDomain);
}

/// A proxy that is revoked, or has a certificate of somebody else's authority, opens nothing; nor
/// does one behind another.
#[tokio::test]
async fn a_proxy_must_be_good_itself() {
    let mut server = TestServer::start().await;
    let one = member(&server).await;
    one.client.create("s", r#"{"v":1}"#).await.ok();
    let id = one.client.id.clone();
    let customer = Signer::root(ca("customer CA"));
    trust(&mut server, &customer.pem, &id);
    let path = format!("/v2/okms/resource/{id}/credential");
    let issued = server.operator().call(Method::POST, &path, r#"{"name":"proxy"}"#).await.ok();
    let text = |member: &str| issued[member].as_str().unwrap().to_owned();
    let revocable = Pair {
        certificate: text("certificatePEM"),
        key: pki::PrivateKeyPem::parse(text("privateKeyPEM")).unwrap(),
    };
    let (foreign, inner) = (customer.pair(&leaf(), &[]), proxys(&server));
    list(&mut server, [&revocable, &foreign, &inner].map(|pair| listed(pair, RFC)).to_vec());
    let mine = forwarding(RFC, &one.pair.certificate);
    let client = proxy_client(&server, &revocable, &id);
    let mut connection = client.connect().await;
    assert_eq!(read_over(&mut connection, &client, &mine).await.status, 200);
    let inners = forwarding(RFC, &inner.certificate);
    is_told(&read_over(&mut connection, &client, &inners).await, 401, "another proxy's own");
    assert_eq!(credentials::revoke(&server, &issued, &id, "").await.status, 204);
    let answer = read_over(&mut connection, &client, &mine).await;
    is_told(
        &answer,
        401,
        "the proxy's own certificate is refused: the client certificate was revoked",
    );
    // Of the customer's authority it is a member of the domain, and no proxy.
    let theirs = forwarding(RFC, &member(&server).await.pair.certificate);
    assert_eq!(read(&proxy_client(&server, &foreign, &id), &theirs).await.status, 200);
}

/// Tokens are bound to the key of the certificate that is forwarded, and not to the proxy's; nobody
/// renews a certificate by a proxy's word.
#[tokio::test]
async fn tokens_are_bound_to_the_key_that_is_forwarded() {
    let mut server = TestServer::start().await;
    let one = member(&server).await;
    let id = one.client.id.clone();
    let colleague = member_of(&server, &id);
    one.client.create("s", r#"{"v":1}"#).await.ok();
    let proxy = proxys(&server);
    list(&mut server, vec![listed(&proxy, RFC)]);
    let client = proxy_client(&server, &proxy, &id);
    let v1 = |rest: &str| format!("/api/{id}/v1/{rest}");
    let through = async |member: &Member, method: Method, at: &str, token: &str, body: &str| {
        let headers = forwarding(RFC, &member.pair.certificate);
        let mut headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        headers.extend((!token.is_empty()).then_some(("x-vault-token", token)));
        client.send(method, at, &headers, body.to_owned()).await
    };
    let login = through(&one, Method::POST, &v1("auth/cert/login"), "", "{}").await.ok();
    let token = login["auth"]["client_token"].as_str().unwrap();
    let data = v1("secret/data/s");
    assert_eq!(through(&one, Method::GET, &data, token, "").await.status, 200);
    assert_eq!(through(&colleague, Method::GET, &data, token, "").await.status, 403);
    let direct = async |member: &Member, token: &str| {
        member.client.send(Method::GET, &data, &[("x-vault-token", token)], "").await.status
    };
    assert_eq!(direct(&one, token).await, 200, "with the same key, without the proxy");
    assert_eq!(direct(&colleague, token).await, 403);
    let user = json!({"password": "correct horse", "policies": "read-only"}).to_string();
    let put = one.client.call(Method::PUT, &v1("auth/userpass/users/ann"), &user).await;
    assert_eq!(put.status, 204);
    let password = json!({"password": "correct horse"}).to_string();
    let login = v1("auth/userpass/login/ann");
    let login = through(&colleague, Method::PUT, &login, "", &password).await.ok();
    let token = login["auth"]["client_token"].as_str().unwrap();
    assert_eq!(through(&colleague, Method::GET, &data, token, "").await.status, 200);
    assert_eq!(through(&one, Method::GET, &data, token, "").await.status, 403);
    // Of those that were issued over the API one renews itself, over a connection of its own.
    let (holder, issued) = credentials::holder(&server, &id, 30).await;
    let renewal = format!("/v2/okms/resource/{id}/credential/renew");
    let headers = forwarding(RFC, issued["certificatePEM"].as_str().unwrap());
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
    let answer = client.send(Method::POST, &renewal, &headers, "").await;
    is_told(&answer, 400, "over a connection of its own");
    holder.call(Method::POST, &renewal, "").await.ok();
}

/// The end of a certificate is told to whom it is, and not the proxy's.
#[tokio::test]
async fn the_end_that_is_told_is_that_of_the_client() {
    let mut server = TestServer::start().await;
    let id = server.tenant().await.id;
    let (soon, late) =
        [9, 90].map(|days| server.issue(&Subject::Domain(id.parse().unwrap()), days)).into();
    // Ends in a day.
    let proxy = proxys(&server);
    list(&mut server, vec![listed(&proxy, RFC)]);
    let client = proxy_client(&server, &proxy, &id);
    for (headers, is_told) in [
        (forwarding(RFC, &soon.certificate), true),
        (forwarding(RFC, &late.certificate), false),
        (Vec::new(), false),
    ] {
        let answer = read(&client, &headers).await;
        assert_eq!(answer.headers.contains_key("okms-certificate-expires"), is_told, "{answer:?}");
    }
}

/// An address that cannot be read is a fault of the proxy's; one of which nothing is said is not.
#[tokio::test]
async fn where_the_client_is() {
    let mut server = TestServer::start().await;
    let one = member(&server).await;
    one.client.create("s", r#"{"v":1}"#).await.ok();
    let proxy = proxys(&server);
    for (header, name, values) in [
        (AddressHeader::XForwardedFor, "x-forwarded-for", ["192.0.2.1", "192.0.2."]),
        (AddressHeader::Forwarded, "forwarded", ["for=192.0.2.1", "192.0.2.1"]),
    ] {
        let listed = Proxy { address_header: Some(header), ..listed(&proxy, RFC) };
        list(&mut server, vec![listed]);
        let client = proxy_client(&server, &proxy, &one.client.id);
        for (value, status) in [(None, 200), (Some(values[0]), 200), (Some(values[1]), 400)] {
            let mut headers = forwarding(RFC, &one.pair.certificate);
            headers.extend(value.map(|value| (name, value.to_owned())));
            assert_eq!(read(&client, &headers).await.status, status, "{value:?}");
        }
        // Of nobody else it is read.
        let headers = vec![(name, values[1].to_owned())];
        assert_eq!(read(&one.client, &headers).await.status, 200);
    }
}
