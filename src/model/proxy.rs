//! Proxies that end TLS for their clients, and say who those are.

use super::OkmsId;

/// A proxy whose word is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// SHA-256 of the public key of its own client certificate.
    pub key_sha256: [u8; 32],
    /// Where it says whose certificate it was shown.
    pub certificates: CertificateHeader,
    /// Where it says from where; nowhere if that is not known.
    pub addresses: Option<AddressHeader>,
    /// The only domain for whose certificates its word is taken, where there is one.
    pub domain: Option<OkmsId>,
}

/// A header that says whose certificate a proxy was shown. Of the two, one is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateHeader {
    /// `Client-Cert`, with `Client-Cert-Chain` (RFC 9440).
    ClientCert,
    /// `X-Forwarded-Client-Cert`, as Envoy has it.
    XForwardedClientCert,
}

/// A header that says where a proxy's client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressHeader {
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}
