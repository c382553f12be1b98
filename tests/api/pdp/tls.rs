//! Asked over TLS, with a certificate and a bearer token of the server's own.

use std::path::Path;

use okmsd::{
    clock::{Clock as _, SystemClock},
    model::Timestamp,
    pki::{CertificateAuthority, KeyKind, KeySource, Subject},
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use super::*;
use crate::harness::write_private;

/// An authority of now, as whoever asks goes by the machine's clock.
fn authority() -> CertificateAuthority {
    CertificateAuthority::create("a PDP's CA", now(), 30).unwrap().0
}

fn now() -> Timestamp {
    SystemClock.now()
}

/// A server's side of TLS, which wants a certificate of `clients`.
fn acceptor(own: &CertificateAuthority, clients: &CertificateAuthority) -> TlsAcceptor {
    let names = ["127.0.0.1".parse().unwrap()];
    let made = own.issue_server(&names, KeySource::Fresh(KeyKind::P256), now(), 3600).unwrap();
    let chain = CertificateDer::pem_slice_iter(made.certificate_pem.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(made.key.unwrap().expose().as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(clients.certificate_pem().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Writes the files by which the PDP is asked, and names them.
fn files(
    config: &mut Config,
    folder: &Path,
    ca: &CertificateAuthority,
    own: &CertificateAuthority,
) {
    let key = KeySource::Fresh(KeyKind::P256);
    let pair = own.issue_access(&Subject::Operator, "okmsd", key, now(), 30).unwrap();
    std::fs::write(folder.join("pdp_ca.pem"), ca.certificate_pem()).unwrap();
    std::fs::write(folder.join("pdp.pem"), &pair.certificate_pem).unwrap();
    write_private(&folder.join("pdp_key.pem"), pair.key.unwrap().expose());
    write_private(&folder.join("pdp.token"), "a-token\n");
    config.pdp.ca = Some(folder.join("pdp_ca.pem"));
    config.pdp.certificate = Some(folder.join("pdp.pem"));
    config.pdp.private_key = Some(folder.join("pdp_key.pem"));
    config.pdp.bearer_file = Some(folder.join("pdp.token"));
}

fn folder(config: &Config) -> std::path::PathBuf {
    config.store.path.parent().unwrap().to_owned()
}

async fn read(client: &Client) -> u16 {
    client.get("secret/a?includeData=true").await.status.as_u16()
}

#[tokio::test]
async fn it_is_asked_with_a_certificate_and_a_bearer() {
    let (ca, clients) = (authority(), authority());
    let pdp = Pdp::over(Some(acceptor(&ca, &clients))).await;
    let url = format!("https://{}/base/", pdp.address);
    let server = TestServer::start_with(|config| {
        let folder = folder(config);
        files(config, &folder, &ca, &clients);
        config.pdp.url = Some(url.parse().unwrap());
    })
    .await;
    let client = server.tenant().await;
    client.create("a", r#"{"t":1}"#).await.ok();
    let had = pdp.had();
    assert_eq!(had[0].path, "/base/access/v1/evaluation");
    assert_eq!((had[0].bearer.as_deref(), had[0].certificates), (Some("Bearer a-token"), 1));
    // Another token counts once the files are loaded, on new connections.
    write_private(&folder(&server.config).join("pdp.token"), "another\n");
    assert_eq!(read(&client).await, 200);
    assert_eq!(pdp.had()[0].bearer.as_deref(), Some("Bearer a-token"));
    let before = pdp.connections();
    server.reloader.reload(&server.config).unwrap();
    assert_eq!(read(&client).await, 200);
    assert_eq!(pdp.had()[0].bearer.as_deref(), Some("Bearer another"));
    assert_eq!(pdp.connections(), before + 1);
    // One that is useless is told, and the one before goes on.
    write_private(&folder(&server.config).join("pdp.token"), "a token\n");
    let told = server.reloader.reload(&server.config).unwrap_err().to_string();
    assert!(told.contains("pdp.token") && !told.contains("a token"), "{told}");
    assert_eq!(read(&client).await, 200);
}

/// Whoever cannot show whom the authorities know is nobody to ask.
#[tokio::test]
async fn somebody_else_is_not_asked() {
    let (ca, clients, stranger) = (authority(), authority(), authority());
    for (server_ca, client_ca, expected) in
        [(&ca, &clients, 200), (&stranger, &clients, 503), (&ca, &stranger, 503)]
    {
        let pdp = Pdp::over(Some(acceptor(server_ca, client_ca))).await;
        let url = format!("https://{}", pdp.address);
        let server = TestServer::start_with(|config| {
            let folder = folder(config);
            files(config, &folder, &ca, &clients);
            config.pdp.url = Some(url.parse().unwrap());
        })
        .await;
        let client = server.tenant().await;
        let made = client.create("a", r#"{"t":1}"#).await;
        assert_eq!(made.status, expected, "{made:?}");
        assert_eq!(pdp.had().len(), usize::from(expected == 200));
    }
}
