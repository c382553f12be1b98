//! TLS of a client of somebody else's store.
//!
//! Always holds: the server's certificate has to be of an authority that is named, and for the server's name; files are
//! read anew for each connection, so that what is renewed needs no restart.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use zeroize::Zeroizing;

/// What is in a file, or which one cannot be read, and why.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| unusable(file, &error))
}

fn unusable(file: &Path, why: &dyn fmt::Display) -> String {
    format!("{}: {why}", file.display())
}

/// A client that trusts these authorities, and is known by a certificate and its key, if it has them. Says which file cannot
/// be used, and why.
pub(super) fn client(
    ca: &Path,
    access: Option<&(PathBuf, PathBuf)>,
) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&read(ca)?) {
        let certificate = certificate.map_err(|error| unusable(ca, &error))?;
        roots.add(certificate).map_err(|error| unusable(ca, &error))?;
    }
    if roots.is_empty() {
        return Err(unusable(ca, &"there is no certificate in it"));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .map_err(|error| error.to_string())?
    .with_root_certificates(roots);
    let config = match access {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain: Result<Vec<_>, _> =
                CertificateDer::pem_slice_iter(&read(certificate)?).collect();
            let chain = chain.map_err(|error| unusable(certificate, &error))?;
            let text = Zeroizing::new(read(key)?);
            let secret = PrivateKeyDer::from_pem_slice(&text)
                .map_err(|_| unusable(key, &"it is not a private key in PEM"))?;
            config
                .with_client_auth_cert(chain, secret)
                .map_err(|error| unusable(certificate, &error))?
        }
    };
    Ok(config)
}
