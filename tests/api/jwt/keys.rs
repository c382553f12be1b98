//! The issuer's keys: from a file that changes, and from an address over TLS that is slow, gone, or lies.

use std::{
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use okmsd::config::HttpsAddress;
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::harness::eventually;

/// What the address of the keys gives.
#[derive(Clone)]
enum Given {
    Keys(String),
    Status(u16),
    Elsewhere(&'static str),
    Huge,
    Silence,
}

/// The address of the keys.
struct KeyServer {
    given: Arc<Mutex<Given>>,
    asked: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl KeyServer {
    fn gives(&self, given: Given) {
        *self.given.lock().unwrap() = given;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Serves on this socket, with the certificate in these files.
    fn on(socket: TcpListener, config: ServerConfig, given: Given) -> Self {
        let (given, asked) = (Arc::new(Mutex::new(given)), Arc::<AtomicUsize>::default());
        let (its, count) = (Arc::clone(&given), Arc::clone(&asked));
        socket.set_nonblocking(true).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let task = tokio::spawn(async move {
            let socket = tokio::net::TcpListener::from_std(socket).unwrap();
            while let Ok((stream, _)) = socket.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (acceptor, given) = (acceptor.clone(), its.lock().unwrap().clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n")
                        && stream.read_buf(&mut head).await.unwrap_or(0) > 0
                    {}
                    let text = match given {
                        Given::Keys(text) => {
                            format!(
                                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}",
                                text.len()
                            )
                        }
                        Given::Status(status) => {
                            format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n")
                        }
                        Given::Elsewhere(to) => {
                            format!("HTTP/1.1 302 X\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
                        }
                        Given::Huge => {
                            let body = " ".repeat(300 << 10);
                            format!(
                                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                                body.len()
                            )
                        }
                        Given::Silence => return std::future::pending().await,
                    };
                    let _gone = stream.write_all(text.as_bytes()).await;
                    let _gone = stream.shutdown().await;
                });
            }
        });
        Self { given, asked, _task: AbortOnDropHandle::new(task) }
    }
}

/// A server whose issuer's keys are at an address that gives this.
async fn remote(key: Signer, given: Given, change: impl FnOnce(&mut Config)) -> (Idp, KeyServer) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}/jwks.json", socket.local_addr().unwrap());
    let mut its = None;
    let server = TestServer::start_with(|config| {
        let read = |path: &std::path::Path| std::fs::read(path).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let certificate =
            CertificateDer::from_pem_slice(&read(&config.server.certificate)).unwrap();
        let private = PrivateKeyDer::from_pem_slice(&read(&config.server.private_key)).unwrap();
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], private);
        its = Some(KeyServer::on(socket, tls.unwrap(), given));
        config.auth.jwt.issuer = Some(ISSUER.to_owned());
        config.auth.jwt.jwks_url = Some(address.parse::<HttpsAddress>().unwrap());
        config.auth.jwt.ca = Some(config.trust.region_ca.clone());
        change(config);
    })
    .await;
    (Idp::of(server, key).await, its.unwrap())
}

/// A file that changes counts at once, all of it; one that is none changes nothing.
#[tokio::test]
async fn a_file_is_read_again() {
    let idp = Idp::start(|_| {}).await;
    let text = format!(
        "[trust]\nregion_ca_key = \"region_ca_privatekey.pem\"\n[auth.jwt]\nissuer = \"{ISSUER}\"\njwks_file = \"jwks.json\"\n"
    );
    std::fs::write(idp.server.path("okmsd.toml"), text).unwrap();
    let _keeper = idp.server.keep();
    let write = |text: &str| {
        std::fs::write(idp.server.path("new"), text).unwrap();
        std::fs::rename(idp.server.path("new"), idp.server.path("jwks.json")).unwrap();
    };
    let new = Signer::rsa();
    let by_new = new.token(&json!({"alg": "PS256", "kid": "n"}), &idp.claims(json!({})));
    let by_old = idp.scoped("secrets:read");
    refused(&idp.read(&by_new).await, 401, "token_invalid");
    write(&set(&[idp.key.public("k"), new.public("n")]));
    eventually("the new key", async || idp.read(&by_new).await.status == 200).await;
    idp.read(&by_old).await.ok();
    write(&set(&[new.public("n")]));
    eventually("without the old key", async || idp.read(&by_old).await.status == 401).await;
    for bad in ["{", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","kid":"k","k":"AA","d":"AA"}]}"#] {
        let failed = idp.server.metric("okmsd_reloads_total{outcome=\"refused\"}").await;
        write(bad);
        idp.server.metric_reaches("okmsd_reloads_total{outcome=\"refused\"}", failed + 1.0).await;
        idp.read(&by_new).await.ok();
    }
    write(&set(&[idp.key.public("k")]));
    eventually("the old key again", async || idp.read(&by_old).await.status == 200).await;
}

/// A server does not start on keys that are none, and says in which file.
#[tokio::test]
async fn a_start_needs_good_keys() {
    let mut idp = Idp::start(|_| {}).await;
    let mut private = idp.key.public("k");
    private["d"] = json!("AA");
    for (text, words) in [(set(&[]), "no key that signs"), (set(&[private]), "private key")] {
        idp.server.stop().await;
        std::fs::write(idp.server.path("jwks.json"), text).unwrap();
        let error = idp.server.start_again().await.unwrap_err().to_string();
        assert!(error.contains("jwks.json") && error.contains(words), "{error}");
        std::fs::write(idp.server.path("jwks.json"), set(&[idp.key.public("k")])).unwrap();
        idp.server.start_again().await.unwrap();
    }
}

/// A new key counts with the first token that names it; one that nobody has is asked for once.
#[tokio::test]
async fn keys_are_rotated_at_their_address() {
    let (old, new, stranger) = (Signer::p256(), Signer::ed(), Signer::ed());
    let first = set(&[old.public("k")]);
    let both = set(&[old.public("k"), new.public("n")]);
    let (idp, source) = remote(old, Given::Keys(first), |_| {}).await;
    idp.read(&idp.scoped("secrets:read")).await.ok();
    assert_eq!(source.asked(), 1);
    source.gives(Given::Keys(both));
    let by_new = new.token(&json!({"alg": "EdDSA", "kid": "n"}), &idp.claims(json!({})));
    idp.read(&by_new).await.ok();
    idp.read(&idp.scoped("secrets:read")).await.ok();
    assert_eq!(source.asked(), 2);
    let unknown = stranger.token(&json!({"alg": "EdDSA", "kid": "x"}), &idp.claims(json!({})));
    for _ in 0..5 {
        refused(&idp.read(&unknown).await, 401, "token_invalid");
    }
    assert_eq!(source.asked(), 2, "within half a minute nobody asks again");
}

/// Whatever the address gives in the place of keys, the server serves who has a certificate, tells others
/// that it does not know, and takes tokens once there are keys.
#[tokio::test]
async fn an_address_without_keys_is_waited_for() {
    let key = Signer::p256();
    let good = set(&[key.public("k")]);
    let (idp, source) = remote(key, Given::Status(500), |_| {}).await;
    let asked = Arc::<Notify>::default();
    let _keeper = idp.server.keep_asked(Arc::clone(&asked));
    let token = idp.scoped("secrets:read");
    for given in [
        Given::Status(404),
        Given::Huge,
        Given::Keys("{}".to_owned()),
        Given::Elsewhere("http://127.0.0.1:1/"),
        Given::Elsewhere("/"),
    ] {
        let before = source.asked();
        source.gives(given);
        asked.notify_one();
        eventually("another try", async || source.asked() > before).await;
        refused(&idp.read(&token).await, 503, "service_unavailable");
        idp.client.call(Method::GET, "/v1/secrets/app/db", "").await.ok();
    }
    source.gives(Given::Keys(good));
    asked.notify_one();
    eventually("keys", async || idp.read(&token).await.status == 200).await;
}

/// Those that were had last go on for a day while the address says nothing, and then no token counts.
#[tokio::test]
async fn the_last_keys_count_for_a_day() {
    let key = Signer::p256();
    let good = set(&[key.public("k")]);
    let (idp, source) = remote(key, Given::Keys(good.clone()), |_| {}).await;
    let token = idp.token(json!({"exp": START + 1_000_000}));
    source.gives(Given::Silence);
    idp.server.clock.advance(86_399);
    idp.read(&token).await.ok();
    idp.server.clock.advance(1);
    refused(&idp.read(&token).await, 503, "service_unavailable");
    idp.client.call(Method::GET, "/v1/secrets/app/db", "").await.ok();
    source.gives(Given::Keys(good));
    let asked = Arc::<Notify>::default();
    let _keeper = idp.server.keep_asked(Arc::clone(&asked));
    asked.notify_one();
    eventually("keys", async || idp.read(&token).await.status == 200).await;
}

/// Whoever is at the address and cannot show a certificate of the right authority gives no keys.
#[tokio::test]
async fn another_authoritys_address_gives_no_keys() {
    let key = Signer::p256();
    let good = set(&[key.public("k")]);
    let (idp, source) = remote(key, Given::Keys(good), |config| {
        let moment = okmsd::model::Timestamp::from_unix_seconds(START);
        let (other, _) = okmsd::pki::CertificateAuthority::create("other", moment, 3650).unwrap();
        let file = config.store.path.with_file_name("other_ca.pem");
        std::fs::write(&file, other.certificate_pem()).unwrap();
        config.auth.jwt.ca = Some(file);
    })
    .await;
    eventually("a try", async || source.asked() > 0).await;
    refused(&idp.read(&idp.scoped("secrets:read")).await, 503, "service_unavailable");
}
