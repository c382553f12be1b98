//! Files that change while the server runs: what is new counts, what is wrong changes nothing, and
//! nobody who is honest notices.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use hyper::{Method, StatusCode};
use okmsd::{
    app::{Files, Keeper},
    config::{ClientAuth, Config, CustomerCa, Span},
    model::Timestamp,
    pki::{KeyKind, KeySource, PrivateKeyPem},
};
use rcgen::{ExtendedKeyUsagePurpose, GeneralSubtree, NameConstraints, SanType};
use rustls::client::Resumption;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    credentials,
    customer_lists::{self, List, list, listing_ca},
    harness::{
        BOTH, Client, Http, Leaf, Lines, PATIENCE, START, TestServer, eventually, write_private,
    },
    trust::{DAY, Signer, ca, leaf, with},
};

/// How often these servers look at their files.
const INTERVAL: Duration = Duration::from_millis(100);
/// What a config file of these tests says at least.
const CONFIG: &str =
    "[reload]\ninterval = \"100ms\"\n[trust]\nregion_ca_key = \"region_ca_privatekey.pem\"\n";

/// A customer's authority.
const CUSTOMER: &str = "[[trust.customer_ca]]\ncertificate = \"customer_ca.pem\"\ndomain = \"5b1d7c3e-2f5a-4c57-9b3e-0d8f6a1c2e44\"\n";

const GENERATION: &str = "okmsd_reload_generation";
const FAILED: &str = "okmsd_reload_failed";

/// A server that looks at its files often, and what looks. `okmsd.toml` says what `more` says, of
/// files that `prepare` makes.
async fn watching(
    more: &str,
    prepare: impl FnOnce(&TestServer),
) -> (TestServer, AbortOnDropHandle<()>) {
    let mut server = TestServer::start().await;
    server.stop().await;
    prepare(&server);
    configure(&server, more);
    let ours = server.config.clone();
    server.config = Config::load(&server.path("okmsd.toml"), std::iter::empty()).unwrap();
    server.config.server.listen = ours.server.listen;
    server.config.server.admin_listen = ours.server.admin_listen;
    server.config.store = ours.store;
    server.start_again().await.unwrap();
    let keeper = server.keep();
    // So the first load, which finds nothing new, is over.
    server.metric_reaches(r#"okmsd_reloads_total{outcome="unchanged"}"#, 1.0).await;
    (server, keeper)
}

fn configure(server: &TestServer, more: &str) {
    replace(&server.path("okmsd.toml"), &format!("{CONFIG}{more}"));
}

/// Puts a file in the place of another in one step.
fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    write_private(&beside, text);
    fs::rename(beside, path).unwrap();
}

/// Another certificate of the server's, and its key.
fn server_pair(server: &TestServer, days: u32) -> (String, PrivateKeyPem) {
    let names = ["localhost".parse().unwrap(), "127.0.0.1".parse().unwrap()];
    let moment = Timestamp::from_unix_seconds(START);
    let issued = server
        .authority
        .issue_server(&names, KeySource::Fresh(KeyKind::P256), moment, days)
        .unwrap();
    (issued.certificate_pem, issued.key.unwrap())
}

/// The certificate that the server shows.
async fn shown(client: &Client) -> Vec<u8> {
    let stream = client.tls().await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn der(pem: &str) -> Vec<u8> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

/// cert-manager's and the kubelet's way: a new folder, and a link to it that takes the place of
/// `..data` in one step. Nothing is sent to the server. It had to be told by SIGHUP.
#[tokio::test]
async fn a_folder_swapped_beneath_links_is_loaded() {
    let mount =
        |server: &TestServer, version: u32, (certificate, key): &(String, PrivateKeyPem)| {
            let (volume, version) = (server.path("tls"), format!("..{version}"));
            let folder = volume.join(&version);
            fs::create_dir_all(&folder).unwrap();
            write_private(&folder.join("tls.crt"), certificate);
            write_private(&folder.join("tls.key"), key.expose());
            symlink(version, volume.join("..data_tmp")).unwrap();
            fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
        };
    let files = "[server]\ncertificate = \"tls/tls.crt\"\nprivate_key = \"tls/tls.key\"\n";
    let (server, _keeper) = watching(files, |server| {
        mount(server, 0, &server_pair(server, 100));
        for name in ["tls.crt", "tls.key"] {
            symlink(format!("..data/{name}"), server.path("tls").join(name)).unwrap();
        }
    })
    .await;
    let (client, mut open) = (server.anonymous(), server.operator().connect().await);
    for version in 1..3 {
        let days = 100 + version;
        let pair = server_pair(&server, days);
        assert_ne!(shown(&client).await, der(&pair.0));
        mount(&server, version, &pair);
        fs::remove_dir_all(server.path(&format!("tls/..{}", version - 1))).unwrap();
        server.metric_reaches(GENERATION, f64::from(version + 1)).await;
        assert_eq!(shown(&client).await, der(&pair.0));
        // Whoever is there need not come back.
        open.send(Method::GET, "/v2/okms/resource", &[], "").await.ok();
        let line = r#"okmsd_certificate_not_after_seconds{certificate="server",domain=""}"#;
        let end = START + i64::from(days) * DAY;
        assert_eq!(server.metric(line).await, end as f64, "not the end of one that is gone");
    }
    assert_eq!(server.metric(FAILED).await, 0.0);
    let succeeded = server.metric("okmsd_reload_last_success_timestamp_seconds").await;
    assert_eq!(succeeded, START as f64);
}

/// What cannot be used changes nothing, is told once and by its file, raises the gauge, and heals as
/// soon as it can be used.
#[tokio::test]
async fn files_that_cannot_be_used_change_nothing_and_heal() {
    let customer = Signer::root(ca("customer CA")).pem;
    let (server, _keeper) =
        watching(CUSTOMER, |server| write_private(&server.path("customer_ca.pem"), &customer))
            .await;
    let (lines, _listening) = Lines::listen(tracing::Level::INFO);
    let client = server.anonymous();
    let before = shown(&client).await;
    let (certificate, key) = server_pair(&server, 100);
    let (_, other_key) = server_pair(&server, 100);
    // Of the key that is served: two files would be two changes, and there may be a look between.
    let served = fs::read_to_string(server.path("server_privatekey.pem")).unwrap();
    let expired = server.mint(&Leaf {
        valid: START - DAY..=START - 1,
        usage: ExtendedKeyUsagePurpose::ServerAuth,
        key: Some(&served),
        ..Leaf::default()
    });
    let a_leaf = Signer::root(leaf()).pem;
    let half = |text: &str| text[..text.len() / 2].to_owned();
    let cases = [
        (
            "cut",
            vec![("server_certificate.pem", half(&certificate))],
            "server_certificate.pem",
            "cut off",
        ),
        (
            "empty",
            vec![("server_certificate.pem", String::new())],
            "server_certificate.pem",
            "empty",
        ),
        (
            "another's key",
            vec![("server_privatekey.pem", other_key.expose().to_owned())],
            "server_privatekey.pem",
            "do not belong together",
        ),
        (
            "a key cut",
            vec![("server_privatekey.pem", half(key.expose()))],
            "server_privatekey.pem",
            "cut off",
        ),
        ("no CA", vec![("customer_ca.pem", a_leaf)], "customer_ca.pem", "CA:TRUE"),
        (
            "a CA cut",
            vec![("customer_ca.pem", format!("{customer}{}", half(&customer)))],
            "customer_ca.pem",
            "cut off",
        ),
        (
            "expired",
            vec![("server_certificate.pem", expired.certificate)],
            "server_certificate.pem",
            "has expired",
        ),
        (
            "no such key",
            vec![("okmsd.toml", format!("{CONFIG}[limits]\nidle_tim = \"1s\"\n"))],
            "okmsd.toml",
            "idle_tim",
        ),
        (
            "no filter",
            vec![("okmsd.toml", format!("{CONFIG}[log]\nfilter = \"=,=\"\n"))],
            "log.filter",
            "no filter",
        ),
    ];
    let secret = key.expose().lines().nth(1).unwrap().to_owned();
    let mut refused = 0.0;
    for (what, files, name, says) in cases {
        let good: Vec<_> = files
            .iter()
            .map(|(name, _)| (*name, fs::read_to_string(server.path(name)).unwrap()))
            .collect();
        // In one step: who looks at the right moment sees a file that is written, too.
        for (name, text) in &files {
            replace(&server.path(name), text);
        }
        server.metric_reaches(FAILED, 1.0).await;
        refused += 1.0;
        // It is tried again with each look, and told once.
        sleep(INTERVAL * 4).await;
        assert_eq!(
            lines.with(&["could not be loaded again", name, says]),
            1,
            "{what}: {}",
            lines.all()
        );
        assert_eq!(
            server.metric(r#"okmsd_reloads_total{outcome="refused"}"#).await,
            refused,
            "{what}"
        );
        assert_eq!(shown(&client).await, before, "{what}");
        for (name, text) in good {
            replace(&server.path(name), &text);
        }
        eventually(what, async || server.metric(FAILED).await == 0.0).await;
    }
    // A mode is healed by itself.
    let key_file = server.path("server_privatekey.pem");
    fs::set_permissions(&key_file, fs::Permissions::from_mode(0o644)).unwrap();
    server.metric_reaches(FAILED, 1.0).await;
    fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).unwrap();
    eventually("the mode", async || server.metric(FAILED).await == 0.0).await;
    assert_eq!(server.metric(GENERATION).await, 1.0, "nothing was ever new");
    assert!(!lines.all().contains(&secret), "a byte of a key");
    // What was half is whole.
    write_private(&server.path("server_certificate.pem"), &certificate);
    server.metric_reaches(FAILED, 1.0).await;
    write_private(&server.path("server_privatekey.pem"), key.expose());
    server.metric_reaches(GENERATION, 2.0).await;
    assert_eq!(shown(&client).await, der(&certificate));
    assert_eq!(server.metric(FAILED).await, 0.0);
}

/// Settings count without a restart where they can. Those that cannot are told by name: once they
/// were passed over in silence.
#[tokio::test]
async fn settings_change_while_the_server_runs() {
    let (server, _keeper) = watching("", |_| {}).await;
    let (lines, _listening) = Lines::listen(tracing::Level::INFO);
    let tenant = server.tenant().await;
    let long = "x".repeat(2000);
    let ask = async || tenant.send(Method::GET, &tenant.url("secret"), &[("x", &long)], "").await;
    let login = async || tenant.call(Method::POST, "/v1/auth/cert/login", "").await.ok();
    ask().await.ok();
    assert_eq!(login().await["auth"]["lease_duration"], 768 * 3600);
    let mut open = tenant.connect().await;
    open.send(Method::GET, &tenant.url("secret"), &[], "").await.ok();
    configure(
        &server,
        "[limits]\nhead_bytes = \"1KiB\"\nin_flight = 7\n[tokens]\nmax_ttl = \"2h\"\ndefault_ttl = \"1h\"\n",
    );
    server.metric_reaches(GENERATION, 2.0).await;
    assert_eq!(ask().await.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(login().await["auth"]["lease_duration"], 3600);
    // Who was there stays, with the limits that he began with, and sessions go on.
    open.send(Method::GET, &tenant.url("secret"), &[("x", &long)], "").await.ok();
    assert!(server.metric(r#"okmsd_handshakes_total{result="resumed"}"#).await >= 1.0);
    eventually("it is told", async || lines.with(&["need a restart", "limits.in_flight"]) == 1)
        .await;
    let live = ["are loaded again", "\"tokens.default_ttl tokens.max_ttl limits.head_bytes\""];
    assert_eq!(lines.with(&live), 1, "{}", lines.all());
    configure(&server, "[server]\nclient_auth = \"required\"\n");
    server.metric_reaches(GENERATION, 3.0).await;
    assert!(server.anonymous().is_refused_in_tls().await);
    ask().await.ok();
}

/// A config that was written between a look at it and its reading was read half, and told as wrong.
#[tokio::test]
async fn a_config_that_is_written_while_it_is_read_is_read_again() {
    let (server, keeper) = watching("", |_| {}).await;
    drop(keeper);
    let (lines, _listening) = Lines::listen(tracing::Level::INFO);
    let (file, ours, reads) = (server.path("okmsd.toml"), server.config.clone(), AtomicU64::new(0));
    let config = file.clone();
    let load = Box::new(move || {
        if reads.fetch_add(1, SeqCst) == 0 {
            // Somebody who is half-way when it is read, and done right after.
            std::fs::write(&file, format!("{CONFIG}[limits]\nhead_bytes = \"")).unwrap();
            let half = Config::load(&file, std::iter::empty());
            std::fs::write(&file, format!("{CONFIG}[limits]\nhead_bytes = \"9KiB\"\n")).unwrap();
            assert!(half.is_err());
            return half;
        }
        let mut config = Config::load(&file, std::iter::empty())?;
        config.server.listen = ours.server.listen;
        config.server.admin_listen = ours.server.admin_listen;
        config.store = ours.store.clone();
        Ok(config)
    });
    let keeper = Keeper::new(server.reloader.clone(), Files { config, load });
    let _keeping = AbortOnDropHandle::new(tokio::spawn(keeper.run(Arc::default())));
    server.metric_reaches(GENERATION, 2.0).await;
    assert_eq!(lines.with(&["could not be loaded again"]), 0, "{}", lines.all());
    assert_eq!(server.metric(r#"okmsd_reloads_total{outcome="refused"}"#).await, 0.0);
}

/// A config that was cut at the end of a line was as good as any other: a customer's authority was believed
/// without the list that revokes, and an empty file meant all that is there without being said.
#[tokio::test]
async fn a_file_that_has_lost_its_end_changes_nothing() {
    let authority = Signer::root(listing_ca("customer CA"));
    let customer = &authority.pem;
    let more = format!("[limits]\nidle_time = \"50s\"\n{CUSTOMER}crl = [\"customer.crl\"]\n");
    let (server, keeper) = watching(&more, |server| {
        // Two certificates, so that half of the bundle is one.
        write_private(&server.path("customer_ca.pem"), &customer.repeat(2));
        write_private(&server.path("customer.crl"), &list(&authority, List::default()));
    })
    .await;
    drop(keeper);
    let (lines, _listening) = Lines::listen(tracing::Level::INFO);
    let asked = Arc::new(Notify::new());
    let _keeper = server.keep_asked(Arc::clone(&asked));
    eventually("the files are known", async || {
        server.metric(r#"okmsd_reloads_total{outcome="unchanged"}"#).await == 2.0
    })
    .await;
    let whole = fs::read_to_string(server.path("okmsd.toml")).unwrap();
    let ends = whole.match_indices('\n').map(|(at, _)| at + 1).filter(|end| *end < whole.len());
    let mut cuts: Vec<_> = ends.map(|end| ("okmsd.toml", whole.clone(), end)).collect();
    cuts.push(("okmsd.toml", whole.clone(), 0));
    cuts.push(("customer_ca.pem", customer.repeat(2), customer.len()));
    for (name, whole, end) in &cuts {
        fs::write(server.path(name), &whole[..*end]).unwrap();
        server.metric_reaches(FAILED, 1.0).await;
        fs::write(server.path(name), whole).unwrap();
        eventually("it is whole", async || server.metric(FAILED).await == 0.0).await;
    }
    assert_eq!(server.metric(GENERATION).await, 1.0, "{}", lines.all());
    assert!(lines.with(&["okmsd.toml", "has lost its end"]) > 0, "{}", lines.all());
    assert_eq!(lines.with(&["customer_ca.pem", "has lost its end"]), 1, "{}", lines.all());
    // What is put in its place in one step is whole, and so is what somebody says is.
    replace(&server.path("okmsd.toml"), &format!("{CONFIG}{CUSTOMER}"));
    server.metric_reaches(GENERATION, 2.0).await;
    fs::write(server.path("okmsd.toml"), CONFIG).unwrap();
    server.metric_reaches(FAILED, 1.0).await;
    asked.notify_one();
    server.metric_reaches(GENERATION, 3.0).await;
    assert_eq!(server.metric(FAILED).await, 0.0);
}

/// A region whose server issues certificates goes on to issue them by the authority of its start.
/// That has to be said: nobody would let them in.
#[tokio::test]
async fn who_issues_certificates_is_told_to_need_a_restart() {
    let (server, _keeper) = watching("", |_| {}).await;
    let (lines, _listening) = Lines::listen(tracing::Level::INFO);
    let (authority, key) = okmsd::pki::CertificateAuthority::create(
        "another region CA",
        Timestamp::from_unix_seconds(START),
        3650,
    )
    .unwrap();
    // The one without the other is refused.
    replace(&server.path("region_ca.pem"), authority.certificate_pem());
    server.metric_reaches(FAILED, 1.0).await;
    assert_eq!(lines.with(&["could not be loaded again", "region_ca.pem"]), 1, "{}", lines.all());
    replace(&server.path("region_ca_privatekey.pem"), key.expose());
    server.metric_reaches(GENERATION, 2.0).await;
    eventually("it is told", async || lines.with(&["need a restart", "trust.region_ca_key"]) == 1)
        .await;
    assert!(server.operator().is_refused_in_tls().await);
}

/// The honest, and those who are let in only half of the time.
struct Crowd {
    stop: AtomicBool,
    answers: AtomicU64,
    failures: Mutex<Vec<String>>,
    /// Answers to those who are let in half of the time.
    let_in: AtomicU64,
}

impl Crowd {
    /// Asks again and again, over one connection after another, and takes no failure.
    async fn honest(self: Arc<Self>, client: Client, requests: usize) {
        let url = client.url("secret/known");
        while !self.stop.load(SeqCst) {
            let failed = match client.try_connect().await {
                Err(error) => Some(format!("a handshake: {error}")),
                Ok(mut connection) => {
                    let mut failed = None;
                    for n in 0..requests {
                        match connection.try_send(Method::GET, &url, &[], "").await {
                            Ok(answer) if answer.status == 200 => {
                                self.answers.fetch_add(1, SeqCst);
                            }
                            Ok(answer) => failed = Some(format!("request {n}: {answer:?}")),
                            Err(error) => failed = Some(format!("request {n}: {error}")),
                        }
                        if failed.is_some() || self.stop.load(SeqCst) {
                            break;
                        }
                        sleep(Duration::from_millis(25)).await;
                    }
                    failed
                }
            };
            self.failures.lock().unwrap().extend(failed);
        }
    }

    /// Asks again and again, and counts answers.
    async fn other(self: Arc<Self>, client: Client) {
        let url = client.url("secret/known");
        while !self.stop.load(SeqCst) {
            if let Ok(mut connection) = client.try_connect().await {
                while let Ok(answer) = connection.try_send(Method::GET, &url, &[], "").await
                    && !self.stop.load(SeqCst)
                {
                    self.let_in.fetch_add(u64::from(answer.status == 200), SeqCst);
                    sleep(Duration::from_millis(25)).await;
                }
            }
            sleep(Duration::from_millis(25)).await;
        }
    }
}

/// Rotation under load: the server's certificate, an authority that is renewed, one that comes and
/// goes, and a revocation list that a certificate comes onto and goes from, under 200 connections over
/// both protocols, with sessions and without. No request of the honest fails; once, each rotation
/// ended all connections, and a request that was on its way to one of them was lost. Who is not let
/// in any more by the files is out within two looks at them and a second; who is revoked over the API
/// meanwhile, on the next request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_under_load_fails_nobody_who_is_honest() {
    let stays = Signer::root(listing_ca("an authority that stays"));
    let goes = Signer::root(ca("an authority that goes"));
    let other = Signer::root(ca("another authority"));
    let (mut server, tenant) = TestServer::with_tenant().await;
    tenant.create("known", "{}").await.ok();
    let customer = |name: &str| {
        format!("[[trust.customer_ca]]\ncertificate = \"{name}\"\ndomain = \"{}\"\n", tenant.id)
    };
    write_private(&server.path("stays.pem"), &stays.pem);
    write_private(&server.path("goes.pem"), &goes.pem);
    let place = server.path("stays.crl");
    let publish = |number: u64, revoked: &[u64]| {
        let ends = START + DAY + i64::try_from(number).unwrap();
        let text = list(&stays, List { revoked, number, ends, ..List::default() });
        customer_lists::replace(&place, &text);
        ends as f64
    };
    publish(1, &[]);
    let crl = "crl = [\"stays.crl\"]\n";
    configure(&server, &format!("{}{crl}{}", customer("stays.pem"), customer("goes.pem")));
    server.config.trust =
        Config::load(&server.path("okmsd.toml"), std::iter::empty()).unwrap().trust;
    server.config.reload.interval = Span(INTERVAL);
    server.restart().await;
    let _keeper = server.keep();
    let crowd = Arc::new(Crowd {
        stop: false.into(),
        answers: 0.into(),
        failures: Mutex::default(),
        let_in: 0.into(),
    });
    let pairs = [
        server.issue(&okmsd::pki::Subject::Domain(tenant.id.parse().unwrap()), 30),
        stays.pair(&leaf(), &[]),
        goes.pair(&leaf(), &[]),
        stays.pair(&with(leaf(), |leaf| leaf.serial_number = Some(99_u64.into())), &[]),
    ];
    let mut tasks = Vec::new();
    for n in 0..200 {
        let kind = [0, 1, 0, 1, 2 + n / 40 % 2][n % 5];
        let mut client = server.client(Some(&pairs[kind]), Some(&tenant.id), BOTH[n / 5 % 2]);
        if n / 10 % 2 == 0 {
            let mut tls = (*client.tls).clone();
            tls.resumption = Resumption::disabled();
            client.tls = Arc::new(tls);
        }
        let crowd = Arc::clone(&crowd);
        // Some stay for all of the test, some come back often.
        let requests = if n / 20 % 2 == 0 { usize::MAX } else { 8 };
        tasks.push(match kind {
            2 | 3 => tokio::spawn(crowd.other(client)),
            _ => tokio::spawn(crowd.honest(client, requests)),
        });
    }
    eventually("all are there", async || server.metric("okmsd_connections ").await >= 200.0).await;
    for round in 0..4_u32 {
        let generation = server.metric(GENERATION).await;
        let is_out = round % 2 == 0;
        let (holder, issued) = credentials::holder(&server, &tenant.id, 30).await;
        let mut held = Vec::new();
        for http in BOTH {
            let mut connection = holder.over(http).connect().await;
            let url = holder.url("secret/known");
            connection.send(Method::GET, &url, &[], "").await.ok();
            held.push((holder.over(http), connection));
        }
        let (certificate, key) = server_pair(&server, 100 + round);
        let renewed = with(listing_ca("an authority that stays"), |ca| {
            ca.not_after += time::Duration::days(i64::from(round + 1));
        });
        // One after the other, as they come: what fits together is found out by the server.
        write_private(&server.path("server_certificate.pem"), &certificate);
        sleep(Duration::from_millis(30)).await;
        write_private(&server.path("server_privatekey.pem"), key.expose());
        let renewed = renewed.self_signed(stays.issuer.key()).unwrap().pem();
        write_private(&server.path("stays.pem"), &renewed);
        write_private(&server.path("goes.pem"), if is_out { &other.pem } else { &goes.pem });
        let ends = publish(u64::from(round) + 2, if is_out { &[99] } else { &[] });
        let swapped = Instant::now();
        assert_eq!(credentials::revoke(&server, &issued, &tenant.id, "").await.status, 204);
        for (holder, mut connection) in held {
            let url = holder.url("secret/known");
            credentials::is_refused(&connection.send(Method::GET, &url, &[], "").await);
            credentials::is_refused(&holder.get("secret/known").await);
        }
        server.metric_reaches(GENERATION, generation + 1.0).await;
        server.metric_reaches("okmsd_crl_next_update_seconds", ends).await;
        if is_out {
            sleep_until(swapped + 2 * INTERVAL + Duration::from_secs(1)).await;
            let before = crowd.let_in.load(SeqCst);
            sleep(Duration::from_millis(300)).await;
            assert_eq!(crowd.let_in.load(SeqCst), before, "round {round}: they are out");
        } else {
            let before = crowd.let_in.load(SeqCst);
            eventually("they are in again", async || crowd.let_in.load(SeqCst) > before + 40).await;
        }
        assert!(swapped.elapsed() < PATIENCE);
        assert_eq!(*crowd.failures.lock().unwrap(), [""; 0], "round {round}");
    }
    // On a machine with much to do they come back late.
    let resumed =
        async || server.metric(r#"okmsd_handshakes_total{result="resumed"}"#).await > 10.0;
    eventually("some sessions are resumed", resumed).await;
    crowd.stop.store(true, SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*crowd.failures.lock().unwrap(), [""; 0]);
    assert!(crowd.answers.load(SeqCst) > 1_000, "{} answers", crowd.answers.load(SeqCst));
}

/// Whoever is refused in TLS learns little, and the operator nothing at all in some cases: the line
/// said what a library calls it, or that a certificate was bad. One line has to do: who, why, and
/// what to do.
#[tokio::test]
async fn one_line_tells_why_a_handshake_failed() {
    let root = Signer::root(with(ca("customer CA"), |ca| {
        let names = |name: &str| vec![GeneralSubtree::DnsName(name.to_owned())];
        ca.name_constraints = Some(NameConstraints {
            permitted_subtrees: names("customer.example"),
            excluded_subtrees: Vec::new(),
        });
    }));
    let server = TestServer::start_with(|config| {
        config.server.client_auth = ClientAuth::Required;
        config.limits.handshake_time = Span(Duration::from_millis(1500));
        let certificate = config.trust.region_ca.with_file_name("customer_ca.pem");
        write_private(&certificate, &root.pem);
        let domain = "5b1d7c3e-2f5a-4c57-9b3e-0d8f6a1c2e44".parse().unwrap();
        config.trust.customer_ca = vec![CustomerCa::new(certificate, domain)];
    })
    .await;
    let (lines, _listening) = Lines::listen(tracing::Level::INFO);
    let named = |name: &str| {
        let name = SanType::DnsName(name.try_into().unwrap());
        root.pair(&with(leaf(), |leaf| leaf.subject_alt_names = vec![name]), &[])
    };
    let stranger = Signer::root(ca("nobody's CA"));
    let impostor = Signer::root(ca("customer CA"));
    let usage = ExtendedKeyUsagePurpose::ServerAuth;
    let cases = [
        (
            "expired",
            server.mint(&Leaf { valid: START - DAY..=START - 1, ..Leaf::default() }),
            "has expired (2025-01-02T03:04:04Z)",
        ),
        (
            "not_yet_valid",
            server.mint(&Leaf { valid: START + 60..=START + DAY, ..Leaf::default() }),
            "clocks",
        ),
        ("unknown_issuer", stranger.pair(&leaf(), &[]), "[trust]"),
        ("bad_signature", impostor.pair(&leaf(), &[]), "same name"),
        ("wrong_usage", server.mint(&Leaf { usage, ..Leaf::default() }), "clientAuth"),
        ("is_authority", server.mint(&Leaf { is_ca: true, ..Leaf::default() }), "CA:TRUE"),
        ("name_constraints", named("elsewhere.example"), "may not sign for these names"),
    ];
    for (reason, pair, says) in cases {
        let client = server.client(Some(&pair), None, Http::One);
        assert!(client.is_refused_in_tls().await, "{reason}");
        let whose = match reason {
            "unknown_issuer" | "bad_signature" | "name_constraints" => "CN=a client",
            _ => "CN=hand-made",
        };
        told(&server, &lines, reason, &[whose, says]).await;
    }
    // The same authority lets in whom it may.
    assert!(
        !server
            .client(Some(&named("a.customer.example")), None, Http::One)
            .is_refused_in_tls()
            .await
    );
    assert!(server.anonymous().is_refused_in_tls().await);
    told(&server, &lines, "no_certificate", &["client_auth"]).await;
    let other = TestServer::start().await;
    let distrusting = Client { address: server.address, ..other.anonymous() };
    assert!(distrusting.tls().await.is_err());
    told(&server, &lines, "by_peer", &["does not take the server's certificate"]).await;
    for (reason, bytes, says) in [
        (
            "not_tls",
            b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
            "plain HTTP; use https://",
        ),
        ("protocol_version", hello(0x0302, 0xc02b), "TLS 1.2 or 1.3"),
        ("nothing_in_common", hello(0x0303, 0x0005), "cipher suite"),
        ("protocol", b"\x16\x03\x01\x00\x05\xff\xff\xff\xff\xff".to_vec(), "breaks TLS"),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let peer = stream.local_addr().unwrap().to_string();
        told(&server, &lines, reason, &[says, &peer]).await;
    }
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&hello(0x0303, 0xc02b)[..20]).await.unwrap();
    drop(stream);
    told(&server, &lines, "gone", &["gave up"]).await;
    let _waits = TcpStream::connect(server.address).await.unwrap();
    told(&server, &lines, "too_slow", &["limits.handshake_time"]).await;
    // A probe of the port is counted, and no line.
    drop(TcpStream::connect(server.address).await.unwrap());
    server.metric_reaches(r#"okmsd_handshakes_refused_total{reason="silent"}"#, 1.0).await;
    assert_eq!(lines.with(&["silent"]), 0, "{}", lines.all());
    // A flood is a line a second, and hides none of another reason.
    let before = lines.with(&["a handshake failed"]);
    for _ in 0..200 {
        TcpStream::connect(server.address)
            .await
            .unwrap()
            .write_all(b"SSH-2.0-x\r\n")
            .await
            .unwrap();
    }
    server.metric_reaches(r#"okmsd_handshakes_refused_total{reason="not_tls"}"#, 201.0).await;
    assert!(lines.with(&["a handshake failed"]) - before < 10);
}

/// Waits for the one line about this reason, which says these things, and its count.
async fn told(server: &TestServer, lines: &Lines, reason: &str, says: &[&str]) {
    let label = format!("reason=\"{reason}\"");
    let line = ["a handshake failed", &label, "peer=127.0.0.1:"];
    let failed = format!("okmsd_handshakes_refused_total{{{label}}}");
    server.metric_reaches(&failed, 1.0).await;
    assert_eq!(server.metric(&failed).await, 1.0, "{reason}");
    assert_eq!(lines.with(&[&line, says].concat()), 1, "{reason} {says:?}: {}", lines.all());
}

/// A client's beginning, as an old one has it: this version, and one cipher suite.
fn hello(version: u16, suite: u16) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend([7; 32]);
    body.extend([0, 0, 2]);
    body.extend(suite.to_be_bytes());
    body.extend([1, 0]);
    // Groups, forms of points, signatures.
    let extensions =
        [&[0, 10, 0, 4, 0, 2, 0, 23][..], &[0, 11, 0, 2, 1, 0], &[0, 13, 0, 4, 0, 2, 4, 3]]
            .concat();
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let length = u8::try_from(body.len()).unwrap();
    [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat()
}
