//! Private keys: making them, and carrying them as PEM.
//!
//! Always holds: a [`PrivateKeyPem`] is one readable, unencrypted PKCS#8 key of an accepted kind;
//! its text is wiped when dropped and leaves only through [`PrivateKeyPem::expose`]. Never does:
//! print a key, write it anywhere, or clone it.

use std::fmt;

use rcgen::{KeyPair, RsaKeySize};
use rustls_pki_types::PrivateKeyDer;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::Zeroizing;

use super::error::{Error, KeyFault};
use super::pem::exactly_one;
use super::public_key::accept;

/// The kinds of key that can be generated. Requests may carry further kinds (P-521, Ed25519).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyKind {
    /// ECDSA on P-256: small, fast, understood everywhere.
    #[default]
    P256,
    /// ECDSA on P-384.
    P384,
    /// RSA with 2048 bits, for clients that know nothing else.
    Rsa2048,
    /// RSA with 3072 bits.
    Rsa3072,
    /// RSA with 4096 bits. Generating one can take seconds.
    Rsa4096,
}

/// A private key as PEM text in PKCS#8 form.
pub struct PrivateKeyPem(Zeroizing<String>);

impl PrivateKeyPem {
    /// Takes over PEM text that holds exactly one PKCS#8 key, and wipes the text, also when it is
    /// refused.
    ///
    /// # Errors
    /// [`Error`] says which input is at fault.
    pub fn parse(text: String) -> Result<Self, Error> {
        let text = Zeroizing::new(text);
        let der: PrivateKeyDer<'static> =
            exactly_one(text.as_bytes()).map_err(|fault| Error::PrivateKey(fault.into()))?;
        if !matches!(der, PrivateKeyDer::Pkcs8(_)) {
            return Err(Error::PrivateKey(KeyFault::NotPkcs8));
        }
        // Written anew, so that what stood around the key (a certificate, comments) does not travel
        // with it.
        let pair = KeyPair::try_from(&der).map_err(|_| Error::PrivateKey(KeyFault::Unsupported))?;
        let key = Self(Zeroizing::new(pair.serialize_pem()));
        key.pair()?;
        Ok(key)
    }

    /// The PEM text, for whoever writes it to a file or hands it to its owner. Search for this name
    /// in a review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The key in the form that signing takes.
    pub(super) fn pair(&self) -> Result<KeyPair, Error> {
        let unsupported = || Error::PrivateKey(KeyFault::Unsupported);
        let pair = KeyPair::from_pem(&self.0).map_err(|_| unsupported())?;
        let spki = rcgen::PublicKeyData::subject_public_key_info(&pair);
        let (_, spki) = SubjectPublicKeyInfo::from_der(&spki).map_err(|_| unsupported())?;
        accept(&spki).map_err(|_| unsupported())?;
        Ok(pair)
    }
}

impl fmt::Debug for PrivateKeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKeyPem(..)")
    }
}

/// Generates a private key. RSA takes up to seconds of CPU: not on an async thread.
///
/// # Errors
/// [`Error`] says which input is at fault.
pub fn generate_key(kind: KeyKind) -> Result<PrivateKeyPem, Error> {
    let pair = match kind {
        KeyKind::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        KeyKind::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        KeyKind::Rsa2048 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
        KeyKind::Rsa3072 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_3072),
        KeyKind::Rsa4096 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_4096),
    }
    .map_err(|_| Error::Generate)?;
    Ok(PrivateKeyPem(Zeroizing::new(pair.serialize_pem())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::PemFault;

    fn fault(text: &str) -> KeyFault {
        match PrivateKeyPem::parse(text.to_owned()) {
            Err(Error::PrivateKey(fault)) => fault,
            other => panic!("expected a key fault, got {other:?}"),
        }
    }

    #[test]
    fn keys_of_every_kind_round_trip() {
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Rsa2048, KeyKind::Rsa3072] {
            let key = generate_key(kind).unwrap();
            assert!(key.expose().starts_with("-----BEGIN PRIVATE KEY-----"), "{kind:?}");
            assert!(PrivateKeyPem::parse(key.expose().to_owned()).is_ok(), "{kind:?}");
        }
    }

    #[test]
    fn what_stands_around_a_key_is_left_behind() {
        let key = generate_key(KeyKind::P256).unwrap();
        let certificate = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        let parsed =
            PrivateKeyPem::parse(format!("a note\n{certificate}{}", key.expose())).unwrap();
        assert_eq!(parsed.expose(), key.expose());
    }

    #[test]
    fn a_key_never_prints() {
        let key = generate_key(KeyKind::P256).unwrap();
        let body = key.expose().lines().nth(1).unwrap();
        assert_eq!(format!("{key:?}"), "PrivateKeyPem(..)");
        assert!(!format!("{key:#?}").contains(body));
    }

    #[test]
    fn a_refused_key_names_its_fault() {
        let key = generate_key(KeyKind::P256).unwrap();
        assert_eq!(fault(""), KeyFault::Pem(PemFault::Empty));
        let encrypted = key.expose().replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        assert_eq!(fault(&encrypted), KeyFault::Pem(PemFault::Encrypted));
        assert_eq!(
            fault(&key.expose().replace("PRIVATE KEY", "EC PRIVATE KEY")),
            KeyFault::NotPkcs8
        );
        assert_eq!(fault(&format!("{0}{0}", key.expose())), KeyFault::Pem(PemFault::Several));
        assert_eq!(
            fault("-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n"),
            KeyFault::Unsupported
        );
    }
}
