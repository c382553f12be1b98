//! Certificates and keys from files: the one way in, for the server, for `serve --check` and for
//! the command line.
//!
//! Always holds: a file with a private key is closed to others; an error names the file, says what
//! to do, and has no byte of its content. Never does: decide what a certificate is good for.

use std::path::Path;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::{
    files::{self, FileError, FileName},
    pki::{
        self, PrivateKeyPem,
        pem::{self, PemFault},
    },
};

/// A file that does not give what is wanted.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// It cannot be read, or must not be.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not PEM, or holds something else.
    #[error("{0}: {1}")]
    Pem(FileName, #[source] PemFault),
    /// The key in it cannot be used.
    #[error("{0}: {1}")]
    Key(FileName, #[source] pki::Error),
    /// It should be text, and is not UTF-8.
    #[error("{0}: is not UTF-8 text")]
    Text(FileName),
}

/// The certificates in a file; at least one.
///
/// # Errors
/// `MaterialError` names the file.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    // Some keep a key and its certificates in one file.
    files::read_guarded(path, pem::has_private_key, |bytes| {
        pem::every(bytes).map_err(|fault| MaterialError::Pem(path.into(), fault))
    })
}

/// The private key in a file, in any form that TLS takes.
///
/// # Errors
/// `MaterialError` names the file.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, MaterialError> {
    files::read_private(path, |bytes| {
        pem::exactly_one(bytes).map_err(|fault| MaterialError::Pem(path.into(), fault))
    })
}

/// The private key in a file, in the form that signs certificates.
///
/// # Errors
/// `MaterialError` names the file.
pub fn signing_key(path: &Path) -> Result<PrivateKeyPem, MaterialError> {
    files::read_private(path, |bytes| {
        PrivateKeyPem::parse(utf8(path, bytes)?)
            .map_err(|error| MaterialError::Key(path.into(), error))
    })
}

/// The text of a file that anybody may read.
///
/// # Errors
/// `MaterialError` names the file.
pub fn text(path: &Path) -> Result<Zeroizing<String>, MaterialError> {
    Ok(Zeroizing::new(utf8(path, &files::read(path)?)?))
}

/// The text of a file that is nobody else's business.
///
/// # Errors
/// `MaterialError` names the file.
pub fn secret_text(path: &Path) -> Result<Zeroizing<String>, MaterialError> {
    files::read_private(path, |bytes| utf8(path, bytes).map(Zeroizing::new))
}

fn utf8(path: &Path, bytes: &[u8]) -> Result<String, MaterialError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| MaterialError::Text(path.into()))
}
