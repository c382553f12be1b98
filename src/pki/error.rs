//! Everything that can go wrong in the `pki` room, in words that name the faulty input.
//!
//! Always holds: no variant carries key material, nor an error of a library that saw some, whatever
//! that error says today; input is not echoed beyond the name that was refused.

use super::pem::PemFault;

/// Why the `pki` room refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The CA's certificate is at fault.
    #[error("the CA certificate cannot be used: {0}")]
    CaCertificate(CertificateFault),
    /// The CA's certificate and key are each fine but are not a pair.
    #[error("the CA certificate and the CA private key do not belong together")]
    CaMismatch,
    /// The CA's certificate has expired, so nothing can be issued any more.
    #[error("the CA certificate has expired; create a new CA")]
    CaExpired,
    /// The moment of issue lies before the CA's first valid second.
    #[error("the CA certificate is not valid yet; check the clock")]
    CaNotYetValid,
    /// A certificate handed in (not the CA's) is at fault.
    #[error("the certificate cannot be used: {0}")]
    Certificate(CertificateFault),
    /// A private key is at fault.
    #[error("the private key cannot be used: {0}")]
    PrivateKey(KeyFault),
    /// A certificate and a key were to be bundled but are not a pair.
    #[error("the certificate and the private key do not belong together")]
    Mismatch,
    /// What is to prove that somebody has an authority's key does not.
    #[error("the proof that you have the authority's key cannot be used: {0}")]
    Proof(ProofFault),
    /// A signing request is at fault.
    #[error("the signing request cannot be used: {0}")]
    Request(RequestFault),
    /// The display name (common name) is at fault.
    #[error("the display name cannot be used: {0}")]
    CommonName(NameFault),
    /// A server name is neither a DNS name nor an IP address.
    #[error("a server's name must be a DNS name, or an IP address")]
    ServerName,
    /// A server certificate was asked for without any name.
    #[error("a server certificate needs at least one DNS name or IP address")]
    NoServerName,
    /// The asked period is empty or leaves the range that a certificate can express.
    #[error("the validity must be at least one day and end before the year 9999")]
    Validity,
    /// The PKCS#12 password is at fault.
    #[error("the PKCS#12 password cannot be used: {0}")]
    Password(NameFault),
    /// The bundle could not be written.
    #[error("the PKCS#12 bundle could not be written")]
    Pkcs12,
    /// The system's random source failed.
    #[error("the system's random source failed")]
    Random,
    /// Making a key failed.
    #[error("a private key could not be generated")]
    Generate,
    /// The CA may not sign lists of what was revoked.
    #[error(
        "the CA's key usage does not allow signing revocation lists (cRLSign); make it anew with cRLSign"
    )]
    CrlSign,
    /// Building or signing failed.
    #[error("a certificate or request could not be signed")]
    Sign,
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateFault {
    /// Not PEM, or not one certificate.
    #[error(transparent)]
    Pem(#[from] PemFault),
    /// The PEM body is not one X.509 certificate.
    #[error("its content is not an X.509 certificate")]
    Der,
    /// Bytes follow the certificate.
    #[error("bytes follow the end of the certificate")]
    TrailingBytes,
    /// X.509 version 1 or 2, which has no extensions.
    #[error(
        "it is an X.509 certificate of version 1, without extensions; make it anew with extensions"
    )]
    Version,
    /// basicConstraints does not say CA.
    #[error(
        "it is not a CA certificate (basicConstraints does not say CA:TRUE); give the certificate of the authority itself"
    )]
    NotCa,
    /// keyUsage forbids signing certificates.
    #[error(
        "its key usage does not allow signing certificates (keyCertSign); make it anew with keyCertSign, or without keyUsage"
    )]
    KeyUsage,
    /// keyUsage forbids signing revocation lists.
    #[error(
        "its key usage does not allow signing revocation lists (cRLSign); make it anew with cRLSign, or without keyUsage"
    )]
    ListUsage,
    /// extendedKeyUsage keeps the authority from signing clients' certificates.
    #[error(
        "its extended key usage does not allow signing clients' certificates; make it anew without extendedKeyUsage, or with clientAuth"
    )]
    Purpose,
    /// The subject name is empty, or of a form that cannot be written into a leaf byte for byte.
    #[error(
        "its subject name is empty or of an unsupported form (an attribute given twice, such as DC=, or two in one)"
    )]
    Name,
    /// The public key is refused.
    #[error("its public key is refused: {0}")]
    PublicKey(PublicKeyFault),
    /// Name constraints of a kind that is not judged.
    #[error(
        "it has name constraints on {0}, which are not judged here: every certificate below it that has such a name would be \
         refused; make it anew with constraints on DNS names and IP addresses alone, or without any"
    )]
    Constraints(&'static str),
}

/// What is wrong with a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFault {
    /// Not PEM, encrypted, or not one key.
    #[error(transparent)]
    Pem(#[from] PemFault),
    /// An older container than PKCS#8.
    #[error(
        "it is not PKCS#8; convert it (openssl pkcs8 -topk8 -nocrypt -in key.pem -out pkcs8.pem)"
    )]
    NotPkcs8,
    /// The body is not a key, or of a kind that is not supported.
    #[error(
        "it is damaged or of an unsupported kind (supported: P-256, P-384, P-521, RSA from 2048 bits, Ed25519)"
    )]
    Unsupported,
}

/// What is wrong with a PKCS#10 signing request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestFault {
    /// More text than any honest request needs.
    #[error("it is larger than 32 KiB")]
    TooLarge,
    /// Not PEM, or not one request.
    #[error(transparent)]
    Pem(#[from] PemFault),
    /// The PEM body is not one PKCS#10 request.
    #[error("its content is not a PKCS#10 request")]
    Der,
    /// The key is refused.
    #[error("its key is refused: {0}")]
    PublicKey(PublicKeyFault),
    /// The signature uses an algorithm that is not accepted for this key.
    #[error(
        "its signature algorithm is not accepted for its key; sign it with SHA-256, SHA-384 or SHA-512"
    )]
    SignatureAlgorithm,
    /// The proof of possession failed: the requester may not hold the key.
    #[error("its signature does not verify, so it does not prove possession of the key")]
    Signature,
}

/// What is wrong with the proof that somebody has an authority's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofFault {
    /// There is none.
    #[error(
        "there is none; have the authority sign a certificate with the common name okms.ca: followed by the domain's \
         okmsId, and give it as proofPEM"
    )]
    Missing,
    /// Not PEM, or not one certificate.
    #[error(transparent)]
    Pem(#[from] PemFault),
    /// The PEM body is not one X.509 certificate.
    #[error("its content is not an X.509 certificate")]
    Der,
    /// Another authority's.
    #[error(
        "it names another issuer than the authority itself, which must have signed it without one between"
    )]
    OtherIssuer,
    /// A signature that is not believed.
    #[error("its signature algorithm is not accepted; sign it with SHA-256, SHA-384 or SHA-512")]
    Algorithm,
    /// The key has not signed it.
    #[error("the authority's key has not signed it")]
    Signature,
    /// It says something else.
    #[error(
        "its subject has not the one common name that it must have, okms.ca: followed by the okmsId of this domain"
    )]
    Purpose,
    /// It does not count now.
    #[error("its time is over, or has not come; have a new one signed")]
    Time,
}

/// What is wrong with a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublicKeyFault {
    /// An RSA modulus outside the accepted range.
    #[error("an RSA key must have 2048 to 8192 bits, this one has {bits}")]
    RsaSize {
        /// The modulus length found.
        bits: usize,
    },
    /// An elliptic curve other than the three NIST ones.
    #[error("the curve is not accepted; use P-256, P-384 or P-521")]
    Curve,
    /// An elliptic curve point that is not in uncompressed form, which TLS peers do not take.
    #[error("the curve point must be in uncompressed form")]
    PointForm,
    /// Another algorithm altogether.
    #[error("the algorithm is not accepted; use P-256, P-384, P-521, RSA or Ed25519")]
    Algorithm,
    /// The bytes are no such key.
    #[error("the key is damaged")]
    Damaged,
}

/// What is wrong with a text that goes into a certificate or protects a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameFault {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// Too long.
    #[error("it has more than {max} characters")]
    TooLong {
        /// The longest accepted length in characters.
        max: usize,
    },
    /// A control character, NUL among them.
    #[error("it contains a control character")]
    Control,
    /// A character beyond U+FFFF, which PKCS#12 cannot express.
    #[error("it contains a character beyond U+FFFF, which PKCS#12 cannot express")]
    BeyondBmp,
}
