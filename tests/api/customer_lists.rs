//! Revocation lists of customers' authorities: who is on one is refused from the next request on, a
//! list that is not the authority's own changes nothing, and where nobody knows, nobody is let in.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use hyper::Method;
use okmsd::{
    config::{CrlSource, CustomerCa, Span, StaleCrl},
    model::OkmsId,
};
use rcgen::{
    CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint,
    KeyIdMethod, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use time::OffsetDateTime;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    harness::{Answer, BOTH, Client, Http, START, TestServer, eventually},
    trust::{DAY, Signer, ca, leaf, with},
};

pub(super) const HOUR: i64 = 3600;
/// How often these servers look at their files.
const INTERVAL: Span = Span(Duration::from_millis(100));

/// An authority that may sign lists.
pub(super) fn listing_ca(name: &str) -> rcgen::CertificateParams {
    with(ca(name), |ca| ca.key_usages.push(KeyUsagePurpose::CrlSign))
}

/// What a list says; each test changes a part.
pub(super) struct List<'a> {
    pub revoked: &'a [u64],
    pub begins: i64,
    pub ends: i64,
    pub number: u64,
    pub is_part: bool,
}

impl Default for List<'_> {
    fn default() -> Self {
        Self { revoked: &[], begins: START - HOUR, ends: START + HOUR, number: 1, is_part: false }
    }
}

fn moment(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

/// A list of this authority, PEM.
pub(super) fn list(signer: &Signer, list: List<'_>) -> String {
    let part = || CrlIssuingDistributionPoint {
        distribution_point: CrlDistributionPoint { uris: vec!["http://x/1.crl".to_owned()] },
        scope: None,
    };
    let lines = list.revoked.iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: moment(START - DAY),
        reason_code: None,
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: moment(list.begins),
        next_update: moment(list.ends),
        crl_number: SerialNumber::from(list.number),
        issuing_distribution_point: list.is_part.then(part),
        revoked_certs: lines.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&signer.issuer).unwrap().pem().unwrap()
}

pub(super) fn revoking(signer: &Signer, revoked: &[u64]) -> String {
    list(signer, List { revoked, ..List::default() })
}

/// Puts a file in the place of another in one step.
pub(super) fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

/// A server with a customer's authority whose lists are at `crl`.
struct Region {
    server: TestServer,
    customer: Signer,
    domain: OkmsId,
}

impl Region {
    /// One whose list is in the file `customer.crl`, as `change` changes it.
    async fn start(change: impl FnOnce(&Signer, &TestServer, &mut CustomerCa)) -> Self {
        let (mut server, tenant) = TestServer::with_tenant().await;
        let customer = Signer::root(listing_ca("customer CA"));
        let certificate = server.path("customer_ca.pem");
        fs::write(&certificate, &customer.pem).unwrap();
        let domain = tenant.id.parse().unwrap();
        let mut entry = CustomerCa::new(certificate, domain);
        entry.crl = vec![CrlSource::File(server.path("customer.crl"))];
        change(&customer, &server, &mut entry);
        server.config.trust.customer_ca = vec![entry];
        server.config.reload.interval = INTERVAL;
        server.config.reload.crl_interval = Span(Duration::from_secs(1));
        server.restart().await;
        Self { server, customer, domain }
    }

    /// Puts a list in its place.
    fn publish(&self, text: &str) {
        replace(&self.server.path("customer.crl"), text);
    }

    /// A client with a certificate of the customer's authority, of this serial number.
    fn client(&self, serial: u64, http: Http) -> Client {
        self.client_of(&self.customer, serial, &[], http)
    }

    fn client_of(&self, signer: &Signer, serial: u64, shown: &[&Signer], http: Http) -> Client {
        let params = with(leaf(), |leaf| leaf.serial_number = Some(SerialNumber::from(serial)));
        let pair = signer.pair(&params, shown);
        self.server.client(Some(&pair), Some(&self.domain.to_string()), http)
    }

    async fn failures(&self) -> f64 {
        self.server.metric("okmsd_crl_failures_total").await
    }

    async fn next_update(&self) -> f64 {
        self.server.metric("okmsd_crl_next_update_seconds").await
    }
}

/// That the answer refuses the certificate, and says this.
#[track_caller]
fn is_refused(answer: &Answer, words: &str) {
    let said = answer.error(401, 50_475_011);
    assert!(said.contains(words), "{said}");
}

async fn becomes_refused(client: &Client, words: &str) {
    eventually(words, async || client.get("secret").await.status == 401).await;
    is_refused(&client.get("secret").await, words);
}

async fn becomes_let_in(client: &Client) {
    eventually("it is let in", async || client.get("secret").await.status == 200).await;
}

/// A certificate that its authority had revoked was let in until it ended: nobody asked. Now whoever
/// is on the list is refused on the connection that is open, and on a session that is resumed.
#[tokio::test]
async fn who_is_on_a_list_is_refused_on_open_connections() {
    let region = Region::start(|customer, server, _| {
        fs::write(server.path("customer.crl"), revoking(customer, &[])).unwrap();
    })
    .await;
    let mut open = Vec::new();
    for http in BOTH {
        let (lost, kept) = (region.client(7, http), region.client(8, http));
        let connections = (lost.connect().await, kept.connect().await);
        open.push((lost, kept, connections));
    }
    for (lost, _, (connection, _)) in &mut open {
        connection.send(Method::GET, &lost.url("secret"), &[], "").await.ok();
    }
    let resumed = region.server.metric(r#"okmsd_handshakes_total{result="resumed"}"#).await;
    region.publish(&revoking(&region.customer, &[7, 900]));
    for (lost, kept, (of_lost, of_kept)) in &mut open {
        becomes_refused(lost, "certificate was revoked").await;
        let answer = of_lost.send(Method::GET, &lost.url("secret"), &[], "").await;
        is_refused(&answer, "certificate was revoked");
        of_kept.send(Method::GET, &kept.url("secret"), &[], "").await.ok();
    }
    let again = region.server.metric(r#"okmsd_handshakes_total{result="resumed"}"#).await;
    assert!(again > resumed, "sessions were resumed");
    // The same serial number of the region's own authority is another certificate.
    region.server.client_of(&region.domain.to_string(), Http::One).get("secret").await.ok();
}

/// Each of these lists is somebody's, and none is the authority's latest word. The one that is in
/// place goes on, the failure is counted, and what is right afterwards is taken.
#[tokio::test]
async fn a_list_that_is_not_the_authoritys_changes_nothing() {
    let region = Region::start(|customer, server, _| {
        let newest = List { revoked: &[7], number: 5, ..List::default() };
        fs::write(server.path("customer.crl"), list(customer, newest)).unwrap();
    })
    .await;
    let (lost, kept) = (region.client(7, Http::One), region.client(8, Http::One));
    let namesake = Signer::root(listing_ca("customer CA"));
    let stranger = Signer::root(listing_ca("nobody's CA"));
    let of = |revoked: &'static [u64], begins, number, is_part| {
        list(&region.customer, List { revoked, begins, number, is_part, ..List::default() })
    };
    let right = of(&[8], START, 6, false);
    let half = right[..right.len() / 2].to_owned();
    for (what, text) in [
        ("of another authority", revoking(&stranger, &[8])),
        ("signed by a namesake", revoking(&namesake, &[8])),
        ("half written", half),
        ("no list", region.customer.pem.clone()),
        ("empty", String::new()),
        ("a part", of(&[8], START, 6, true)),
        ("an earlier one", of(&[], START, 4, false)),
        ("one of before", of(&[], START - DAY, 6, false)),
        ("too large", "x".repeat((16 << 20) + 1)),
        // Tried again with each look, as time makes it fit.
        ("one of tomorrow", of(&[8], START + HOUR / 2, 6, false)),
    ] {
        let before = region.failures().await;
        region.publish(&text);
        eventually(what, async || region.failures().await > before).await;
        is_refused(&lost.get("secret").await, "certificate was revoked");
        assert_eq!(kept.get("secret").await.status, 200, "{what}");
    }
    fs::remove_file(region.server.path("customer.crl")).unwrap();
    region.publish(&right);
    becomes_refused(&kept, "certificate was revoked").await;
    becomes_let_in(&lost).await;
}

/// Where a list is asked for and was never read, nobody can say who is on it.
#[tokio::test]
async fn without_a_list_nobody_is_let_in() {
    let region = Region::start(|_, _, _| {}).await;
    for http in BOTH {
        is_refused(&region.client(7, http).get("secret").await, "could not be read yet");
    }
    assert_eq!(region.next_update().await, 0.0);
    assert!(region.failures().await >= 1.0);
    region.publish(&revoking(&region.customer, &[]));
    becomes_let_in(&region.client(7, Http::One)).await;
    assert_eq!(region.next_update().await, (START + HOUR) as f64);
}

/// `serve --check` says what a start would only log, and an authority that may not sign lists can
/// have none.
#[tokio::test]
async fn a_check_finds_lists_that_cannot_be_used() {
    let mut region = Region::start(|_, _, _| {}).await;
    let check = async |region: &Region| {
        let clock = Arc::clone(&region.server.clock) as Arc<dyn okmsd::clock::Clock>;
        okmsd::app::check(&region.server.config, &clock).await
    };
    let said = check(&region).await.unwrap_err().to_string();
    assert!(said.contains("customer.crl"), "{said}");
    region.publish(&revoking(&Signer::root(listing_ca("nobody's CA")), &[]));
    let said = check(&region).await.unwrap_err().to_string();
    assert!(said.contains("customer.crl") && said.contains("another authority"), "{said}");
    region.publish(&revoking(&region.customer, &[]));
    check(&region).await.unwrap();
    fs::write(region.server.path("customer_ca.pem"), Signer::root(ca("customer CA")).pem).unwrap();
    let said = check(&region).await.unwrap_err().to_string();
    assert!(said.contains("customer_ca.pem") && said.contains("cRLSign"), "{said}");
    let config = region.server.config.clone();
    assert!(region.server.reloader.reload(&config).is_err());
    region.server.config.trust.customer_ca[0].crl.clear();
    check(&region).await.unwrap();
}

/// A list that is past its `nextUpdate`: the operator has said what is worse.
#[tokio::test]
async fn a_list_that_is_past_its_end_goes_on_only_where_it_may() {
    for stale in [None, Some(StaleCrl::Refuse), Some(StaleCrl::Accept)] {
        let region = Region::start(|customer, server, entry| {
            fs::write(server.path("customer.crl"), revoking(customer, &[7])).unwrap();
            entry.crl_stale = stale;
        })
        .await;
        let (lost, kept) = (region.client(7, Http::One), region.client(8, Http::Two));
        let mut open = kept.connect().await;
        region.server.clock.advance(HOUR);
        open.send(Method::GET, &kept.url("secret"), &[], "").await.ok();
        region.server.clock.advance(1);
        let answer = open.send(Method::GET, &kept.url("secret"), &[], "").await;
        if stale == Some(StaleCrl::Accept) {
            answer.ok();
        } else {
            is_refused(&answer, "past its end");
        }
        // Its word about those that it names does not end.
        is_refused(&lost.get("secret").await, "certificate was revoked");
        assert_eq!(region.next_update().await, (START + HOUR) as f64);
    }
}

/// A serial number is its authority's alone: each certificate on the way is held against the list of
/// the one that has signed it, and no other.
#[tokio::test]
async fn every_link_is_held_against_the_list_of_its_issuer() {
    let region = Region::start(|customer, server, _| {
        fs::write(server.path("customer.crl"), revoking(customer, &[7])).unwrap();
    })
    .await;
    let key = rcgen::KeyPair::generate().unwrap();
    let params = with(listing_ca("between"), |ca| ca.serial_number = Some(SerialNumber::from(50)));
    let pem = params.signed_by(&key, &region.customer.issuer).unwrap().pem();
    let between = Signer { pem, issuer: rcgen::Issuer::new(params, key) };
    let [seven, eight] =
        [7, 8].map(|serial| region.client_of(&between, serial, &[&between], Http::One));
    // Of what the authority between has revoked, nothing is known.
    is_refused(&seven.get("secret").await, "no revocation list here of the authority that");
    let mut config = region.server.config.clone();
    let issuers = region.server.path("between.pem");
    fs::write(&issuers, &between.pem).unwrap();
    config.trust.customer_ca[0].crl_issuers = Some(issuers);
    region.server.reloader.reload(&config).unwrap();
    region.client(8, Http::One).get("secret").await.ok();
    is_refused(&seven.get("secret").await, "could not be read yet");
    let both = |of_root: &[u64], of_between: &[u64]| {
        revoking(&region.customer, of_root) + &revoking(&between, of_between)
    };
    region.publish(&both(&[7], &[8]));
    becomes_let_in(&seven).await;
    is_refused(&eight.get("secret").await, "certificate was revoked");
    is_refused(&region.client(7, Http::One).get("secret").await, "certificate was revoked");
    region.publish(&both(&[50], &[8]));
    becomes_refused(&seven, "an authority of the client certificate was revoked").await;
    region.client(7, Http::One).get("secret").await.ok();
}

/// Kubernetes' way: a new folder, and a link to it that takes the place of `..data` in one step.
#[tokio::test]
async fn a_list_swapped_beneath_links_is_read() {
    let mount = |server: &TestServer, version: u32, text: &str| {
        let (volume, version) = (server.path("crl"), format!("..{version}"));
        fs::create_dir_all(volume.join(&version)).unwrap();
        fs::write(volume.join(&version).join("ca.crl"), text).unwrap();
        std::os::unix::fs::symlink(version, volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    };
    let region = Region::start(|customer, server, entry| {
        mount(server, 1, &revoking(customer, &[]));
        std::os::unix::fs::symlink("..data/ca.crl", server.path("crl/ca.crl")).unwrap();
        entry.crl = vec![CrlSource::File(server.path("crl/ca.crl"))];
    })
    .await;
    let client = region.client(7, Http::One);
    client.get("secret").await.ok();
    mount(&region.server, 2, &revoking(&region.customer, &[7]));
    becomes_refused(&client, "certificate was revoked").await;
}

/// An entry that names a list from now on counts for connections that are open, too; and a reload
/// that is about something else keeps the lists that are there.
#[tokio::test]
async fn a_reload_asks_those_who_are_there() {
    let region = Region::start(|customer, server, entry| {
        fs::write(server.path("customer.crl"), revoking(customer, &[7])).unwrap();
        entry.crl.clear();
    })
    .await;
    let (lost, kept) = (region.client(7, Http::One), region.client(8, Http::One));
    let mut open = lost.connect().await;
    open.send(Method::GET, &lost.url("secret"), &[], "").await.ok();
    let mut config = region.server.config.clone();
    config.trust.customer_ca[0].crl = vec![CrlSource::File(region.server.path("customer.crl"))];
    region.server.reloader.reload(&config).unwrap();
    eventually("the connection ends", async || {
        region.server.metric("okmsd_connections ").await < 1.0
    })
    .await;
    assert!(open.try_send(Method::GET, &lost.url("secret"), &[], "").await.is_err());
    is_refused(&lost.get("secret").await, "certificate was revoked");
    fs::remove_file(region.server.path("customer.crl")).unwrap();
    let mut open = kept.connect().await;
    config.limits.idle_time = Span(Duration::from_secs(50));
    region.server.reloader.reload(&config).unwrap();
    open.send(Method::GET, &kept.url("secret"), &[], "").await.ok();
    is_refused(&lost.get("secret").await, "certificate was revoked");
}

/// What a host of lists does with a request.
#[derive(Clone, Copy)]
enum Mood {
    Serves = 0,
    Hangs,
    Floods,
    Refuses,
}

/// Somebody's web server with a list.
struct Host {
    address: String,
    mood: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Host {
    /// Serves what is in the file at `path`.
    async fn start(path: &Path, mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/ca.crl", listener.local_addr().unwrap());
        let (mood, asked) =
            (Arc::new(AtomicUsize::new(mood as usize)), Arc::new(AtomicUsize::new(0)));
        let (of_task, count, path) = (Arc::clone(&mood), Arc::clone(&asked), path.to_owned());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mood, path) = (of_task.load(SeqCst), path.clone());
                let count = Arc::clone(&count);
                tokio::spawn(async move {
                    // Whoever gives up goes; that is no fault.
                    let _gone = Self::answer(stream, mood, &path, &count).await;
                });
            }
        });
        Self { address, mood, asked, _task: AbortOnDropHandle::new(task) }
    }

    async fn answer(
        mut stream: TcpStream,
        mood: usize,
        path: &Path,
        asked: &AtomicUsize,
    ) -> std::io::Result<()> {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        asked.fetch_add(1, SeqCst);
        if mood == Mood::Hangs as usize {
            stream.read_to_end(&mut request).await?;
        } else if mood == Mood::Floods as usize {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            let chunk = [b"100000\r\n", &[b'x'; 1 << 20][..], b"\r\n"].concat();
            for _ in 0..1024 {
                stream.write_all(&chunk).await?;
            }
        } else if mood == Mood::Refuses as usize {
            stream.write_all(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await?;
        } else {
            let body = fs::read(path)?;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), &body].concat()).await?;
        }
        stream.shutdown().await
    }

    fn becomes(&self, mood: Mood) {
        self.mood.store(mood as usize, SeqCst);
    }

    /// Waits until it was asked again.
    async fn is_asked(&self) {
        let before = self.asked.load(SeqCst);
        eventually("it is asked", async || self.asked.load(SeqCst) > before).await;
    }
}

/// A list at an address is fetched again and again. A host that refuses, or sends a gigabyte, leaves
/// the last list in its place; one that hangs holds up nobody.
#[tokio::test]
async fn a_list_at_an_address_is_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.crl");
    let host = Host::start(&path, Mood::Serves).await;
    let region = Region::start(|customer, _, entry| {
        fs::write(&path, revoking(customer, &[7])).unwrap();
        entry.crl = vec![CrlSource::Http(host.address.clone())];
    })
    .await;
    let (lost, kept) = (region.client(7, Http::One), region.client(8, Http::Two));
    // It was there before anybody was served.
    is_refused(&lost.get("secret").await, "certificate was revoked");
    kept.get("secret").await.ok();
    for mood in [Mood::Refuses, Mood::Floods] {
        let before = region.failures().await;
        host.becomes(mood);
        eventually("it fails", async || region.failures().await > before).await;
        is_refused(&lost.get("secret").await, "certificate was revoked");
        kept.get("secret").await.ok();
    }
    host.becomes(Mood::Serves);
    replace(&path, &list(&region.customer, List { revoked: &[8], number: 2, ..List::default() }));
    becomes_refused(&kept, "certificate was revoked").await;
    lost.get("secret").await.ok();
    host.becomes(Mood::Hangs);
    host.is_asked().await;
    lost.get("secret").await.ok();
    is_refused(&kept.get("secret").await, "certificate was revoked");
}

/// A host that never answers does not keep a server from serving everybody else.
#[tokio::test]
async fn a_host_that_hangs_keeps_no_server_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(folder.path(), Mood::Hangs).await;
    let region = Region::start(|_, _, entry| {
        entry.crl = vec![CrlSource::Http(host.address.clone())];
    })
    .await;
    region.server.client_of(&region.domain.to_string(), Http::One).get("secret").await.ok();
    is_refused(&region.client(7, Http::One).get("secret").await, "could not be read yet");
}
