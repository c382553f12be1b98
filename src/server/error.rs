//! Why TLS cannot be set up.

use crate::{files::FileName, material::MaterialError, pki::CertificateFault};

/// TLS that cannot be set up. Each names the file at fault. What a library said of a key is not
/// among them.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file does not give what is wanted.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// A certificate authority cannot be one.
    #[error("{0}: not usable as a certificate authority: {1}")]
    Authority(FileName, #[source] CertificateFault),
    /// The verifier refuses the authority.
    #[error("{0}: not usable to verify client certificates: it holds what is not understood here")]
    Unusable(FileName),
    /// Two authorities would be mistaken for each other.
    #[error("{0}: has the same subject name as another trusted authority; give each its own name")]
    SameName(FileName),
    /// Certificate and key do not fit.
    #[error("{0} with {1}: the certificate and the private key do not belong together")]
    Mismatch(FileName, FileName),
    /// The certificate is none.
    #[error("{0}: its first certificate is not one that TLS can use")]
    Certificate(FileName),
    /// The key is none.
    #[error("{0}: the private key is damaged, or of a kind that TLS does not take")]
    Key(FileName),
    /// The library lacks what is needed.
    #[error("TLS cannot be set up: {0}")]
    Library(#[source] rustls::Error),
}
