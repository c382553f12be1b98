//! PKCS#12 bundles: key, certificate and CA in one file with a password, for browsers and Java.
//!
//! Always holds: PBES2 with AES-256 and a MAC with HMAC-SHA256, so that OpenSSL 3 reads the bundle without its legacy
//! provider; the certificate belongs to the key.
//! Never does: read a bundle, or choose a password.

use p12_keystore::{
    Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, PrivateKey, PrivateKeyChain,
};
use rcgen::PublicKeyData;

use super::ca::one_certificate;
use super::certificate::read;
use super::error::{Error, NameFault};
use super::key::PrivateKeyPem;

/// Writes a bundle of a certificate, its key and the CA's certificate.
///
/// The password is stretched deliberately slowly (some tens of milliseconds): not on an async thread. It may hold any
/// characters up to U+FFFF except control characters. An empty one is refused: OpenSSL, NSS and Java would open such
/// a bundle, but it would protect nothing. The friendly name is a label for people; characters that the format cannot
/// express become U+FFFD.
///
/// # Errors
/// [`Error`] says which input is at fault.
pub fn pkcs12(
    certificate_pem: &str,
    key: &PrivateKeyPem,
    ca_pem: &str,
    friendly_name: &str,
    password: &str,
) -> Result<Vec<u8>, Error> {
    judge_password(password)?;
    let leaf = one_certificate(certificate_pem).map_err(Error::Certificate)?;
    let ca = one_certificate(ca_pem).map_err(Error::CaCertificate)?;
    let pair = key.pair()?;
    let leaf_key = &read(&leaf).map_err(Error::Certificate)?.tbs_certificate.subject_pki;
    if *leaf_key.subject_public_key.data != *pair.der_bytes() {
        return Err(Error::Mismatch);
    }
    read(&ca).map_err(Error::CaCertificate)?;

    let chain = PrivateKeyChain::new(
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &leaf).as_ref(),
        PrivateKey::from_der(pair.serialized_der()).map_err(|_| Error::Pkcs12)?,
        [
            Certificate::from_der(&leaf).map_err(|_| Error::Pkcs12)?,
            Certificate::from_der(&ca).map_err(|_| Error::Pkcs12)?,
        ],
    );
    let mut store = KeyStore::new();
    store.add_entry(&label(friendly_name), KeyStoreEntry::PrivateKeyChain(chain));
    store
        .writer(password)
        .encryption_algorithm(EncryptionAlgorithm::PbeWithHmacSha256AndAes256)
        .encryption_iterations(ITERATIONS)
        .mac_algorithm(MacAlgorithm::HmacSha256)
        .mac_iterations(ITERATIONS)
        .write()
        .map_err(|_| Error::Pkcs12)
}

fn judge_password(password: &str) -> Result<(), Error> {
    let fault = if password.is_empty() {
        NameFault::Empty
    } else if password.chars().count() > PASSWORD_MAX {
        NameFault::TooLong { max: PASSWORD_MAX }
    } else if password.chars().any(char::is_control) {
        NameFault::Control
    } else if password.chars().any(beyond_bmp) {
        NameFault::BeyondBmp
    } else {
        return Ok(());
    };
    Err(Error::Password(fault))
}

fn label(text: &str) -> String {
    text.chars().map(|c| if beyond_bmp(c) || c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn beyond_bmp(c: char) -> bool {
    u32::from(c) > 0xffff
}

/// Slow enough to make guessing expensive, fast enough not to be noticed; well below the limits of NSS and Java.
const ITERATIONS: u32 = 100_000;
const PASSWORD_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::super::test_tools::{DOMAIN, now, region};
    use super::*;
    use crate::pki::{KeyKind, KeySource, Subject, generate_key};

    #[test]
    fn faults_are_named() {
        let (ca, _) = region();
        let subject = Subject::Domain(DOMAIN.to_owned());
        let leaf = ca.issue_access(&subject, "billing", KeySource::Fresh(KeyKind::P256), now(), 1).unwrap();
        let key = leaf.key.as_ref().unwrap();
        let bundle = |certificate: &str, key, ca: &str, password: &str| {
            pkcs12(certificate, key, ca, "billing", password).expect_err("the bundle is refused")
        };
        let (pem, root) = (leaf.certificate_pem.as_str(), ca.certificate_pem());
        assert!(matches!(bundle(pem, key, root, ""), Error::Password(NameFault::Empty)));
        assert!(matches!(bundle(pem, key, root, "a\0"), Error::Password(NameFault::Control)));
        assert!(matches!(bundle(pem, key, root, "🔑"), Error::Password(NameFault::BeyondBmp)));
        assert!(matches!(bundle(pem, key, root, &"a".repeat(257)), Error::Password(NameFault::TooLong { .. })));
        assert!(matches!(bundle("", key, root, "pw"), Error::Certificate(_)));
        assert!(matches!(bundle(pem, key, "", "pw"), Error::CaCertificate(_)));
        let other = generate_key(KeyKind::P256).unwrap();
        assert!(matches!(bundle(pem, &other, root, "pw"), Error::Mismatch));
    }

    #[test]
    fn any_label_is_taken() {
        assert_eq!(label("billing 🔑"), "billing \u{fffd}");
        assert_eq!(label(""), "");
    }
}
