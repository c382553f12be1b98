//! The region's certificate authority: it makes keys, certificates and PKCS#12 bundles. And what others
//! say: their certificates, and their revocation lists.
//!
//! Owns: the CA's key while it is loaded, the shape of every certificate that the region issues,
//! the rules for the keys that it will certify, and whether a list is its authority's.
//!
//! Always holds:
//! - A subject is decided by the caller alone. From a signing request only the public key is taken, after its proof
//!   of possession was verified; names and extensions in a request never reach a certificate.
//! - A leaf never outlives its CA and never is a CA itself.
//! - A private key leaves only as a [`PrivateKeyPem`] or a [`Pair`], which do not print and are wiped when dropped.
//!
//! Never does: read a file, read the clock (the moment of issue is a parameter), speak HTTP, or
//! keep a key that it made for somebody else.
//!
//! What it cannot promise: the libraries below hold short-lived copies of key bytes that they do
//! not wipe. Whoever can read this process's memory can have the CA's key anyway.

mod ca;
mod certificate;
mod crl;
mod csr;
mod error;
mod key;
mod leaf;
mod names;
mod pairs;
pub mod pem;
mod pkcs12;
mod possession;
mod public_key;
mod revocation_list;
mod serial;
mod validity;

pub use ca::CertificateAuthority;
pub use certificate::{
    Bounds, Facts, certificate_sha256, hashed_key_id, key_sha256, unjudged_constraints,
};
pub use crl::RevokedCertificate;
pub use csr::{request_alone, signing_request};
pub use error::{
    CertificateFault, Error, KeyFault, NameFault, ProofFault, PublicKeyFault, RequestFault,
};
pub use key::{KeyKind, PrivateKeyPem, generate_key};
pub use leaf::{Issued, KeySource, Subject};
pub use names::ServerName;
pub use pairs::{Pair, ec_pair, rsa_pair, self_signed, ssh_pair};
pub use pem::{PemFault, PemKind};
pub use pkcs12::pkcs12;
pub use possession::has_signed_proof;
pub use revocation_list::{
    LIST_BYTES_MAX, ListFault, ListOrder, ListSigner, RevocationList, list_in_text, lists_in,
};
pub use serial::Serial;
pub use validity::Validity;

#[cfg(test)]
mod openssl_tests;
#[cfg(test)]
mod pairs_tests;
#[cfg(test)]
mod test_tools;
