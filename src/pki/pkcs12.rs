//! PKCS#12 bundles (RFC 7292): key, certificate and CA in one file with a password, for browsers
//! and Java.
//!
//! Always holds: PBES2 (RFC 8018) with PBKDF2, HMAC-SHA256 and AES-256-CBC, and a MAC with
//! HMAC-SHA256, so that OpenSSL 3 reads the bundle without its legacy provider; the certificate
//! belongs to the key. Never does: read a bundle, or choose a password.
//!
//! Written here, on the DER writer that the certificates need anyway: a library for bundles of all
//! kinds would bring every cipher that was ever in one. The MAC is the format's own (RFC 7292,
//! appendix B): of RFC 9579's better one, OpenSSL knows nothing before 3.4, and Java before 24.

use std::num::NonZeroU32;

use aws_lc_rs::{
    cipher::{AES_256, PaddedBlockEncryptingKey, UnboundCipherKey},
    digest, hmac, pbkdf2, rand,
};
use rcgen::PublicKeyData;
use rustls_pki_types::CertificateDer;
use yasna::{DERWriter, Tag, construct_der, models::ObjectIdentifier};
use zeroize::Zeroizing;

use super::certificate::read;
use super::error::{CertificateFault, Error, NameFault};
use super::key::PrivateKeyPem;
use super::pem::exactly_one;

/// Writes a bundle of a certificate, its key and the CA's certificate.
///
/// The password is stretched deliberately slowly (some tens of milliseconds): not on an async
/// thread. It may hold any characters up to U+FFFF except control characters; Java opens the bundle
/// only where they are ASCII. An empty one is refused: OpenSSL, NSS and Java would open such a
/// bundle, but it would protect nothing. The friendly name is a label for people; characters that
/// the format cannot express become U+FFFD.
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

    let label =
        Label { name: &label(friendly_name), key_id: digest::digest(&digest::SHA256, &leaf) };
    let certificates = safe_contents(|bags| {
        certificate_bag(bags.next(), &leaf, Some(&label));
        certificate_bag(bags.next(), &ca, None);
    });
    let certificates = Sealed::new(&certificates, password)?;
    let key = Sealed::new(pair.serialized_der(), password)?;
    let keys = safe_contents(|bags| {
        bag(bags.next(), SHROUDED_KEY_BAG, |value| key.write_key_info(value), Some(&label));
    });
    let safe = construct_der(|writer| {
        writer.write_sequence(|safe| {
            content_info(safe.next(), ENCRYPTED_DATA, |content| certificates.write_data(content));
            content_info(safe.next(), DATA, |content| content.write_bytes(&keys));
        });
    });
    let mac = Mac::new(&safe, password)?;
    Ok(construct_der(|writer| {
        writer.write_sequence(|pfx| {
            pfx.next().write_u8(3);
            content_info(pfx.next(), DATA, |content| content.write_bytes(&safe));
            mac.write(pfx.next());
        });
    }))
}

/// Bytes encrypted with PBES2 (RFC 8018, 6.2).
struct Sealed {
    salt: [u8; SALT_LEN],
    iv: [u8; 16],
    ciphertext: Vec<u8>,
}

impl Sealed {
    fn new(bytes: &[u8], password: &str) -> Result<Self, Error> {
        let salt = salt()?;
        let mut key = Zeroizing::new([0; 32]);
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            ITERATIONS,
            &salt,
            password.as_bytes(),
            &mut *key,
        );
        // Encrypted in place, with room for the padding: growing would leave a copy of the clear
        // text behind.
        let mut buffer = Zeroizing::new(Vec::with_capacity(bytes.len() + 16));
        buffer.extend_from_slice(bytes);
        let sealed =
            UnboundCipherKey::new(&AES_256, &*key).and_then(PaddedBlockEncryptingKey::cbc_pkcs7);
        let context =
            sealed.and_then(|key| key.encrypt(&mut *buffer)).map_err(|_| Error::Pkcs12)?;
        let iv = <&[u8]>::try_from(&context).map_err(|_| Error::Pkcs12)?;
        let iv = iv.try_into().map_err(|_| Error::Pkcs12)?;
        Ok(Self { salt, iv, ciphertext: std::mem::take(&mut *buffer) })
    }

    /// `AlgorithmIdentifier` with `PBES2-params`.
    fn write_algorithm(&self, writer: DERWriter<'_>) {
        algorithm(writer, PBES2, |parameters| {
            parameters.write_sequence(|parameters| {
                algorithm(parameters.next(), PBKDF2, |parameters| {
                    parameters.write_sequence(|parameters| {
                        parameters.next().write_bytes(&self.salt);
                        parameters.next().write_u32(ITERATIONS.get());
                        algorithm(parameters.next(), HMAC_SHA256, null);
                    });
                });
                algorithm(parameters.next(), AES256_CBC, |iv| iv.write_bytes(&self.iv));
            });
        });
    }

    /// `EncryptedPrivateKeyInfo` (RFC 5208, 6).
    fn write_key_info(&self, writer: DERWriter<'_>) {
        writer.write_sequence(|info| {
            self.write_algorithm(info.next());
            info.next().write_bytes(&self.ciphertext);
        });
    }

    /// `EncryptedData` (RFC 2315, 13).
    fn write_data(&self, writer: DERWriter<'_>) {
        writer.write_sequence(|data| {
            data.next().write_u8(0);
            data.next().write_sequence(|content| {
                write_oid(content.next(), DATA);
                self.write_algorithm(content.next());
                content.next().write_tagged_implicit(Tag::context(0), |bytes| {
                    bytes.write_bytes(&self.ciphertext);
                });
            });
        });
    }
}

/// `MacData` (RFC 7292, 4).
struct Mac {
    salt: [u8; SALT_LEN],
    tag: hmac::Tag,
}

impl Mac {
    fn new(safe: &[u8], password: &str) -> Result<Self, Error> {
        let salt = salt()?;
        let key = mac_key(password, &salt);
        Ok(Self { salt, tag: hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()), safe) })
    }

    fn write(&self, writer: DERWriter<'_>) {
        writer.write_sequence(|data| {
            data.next().write_sequence(|digest| {
                algorithm(digest.next(), SHA256, null);
                digest.next().write_bytes(self.tag.as_ref());
            });
            data.next().write_bytes(&self.salt);
            data.next().write_u32(ITERATIONS.get());
        });
    }
}

/// The MAC's key, by RFC 7292, appendix B.2. It is as long as one output of SHA-256, so that the
/// first round is the last, and step 6.C has nothing to do.
fn mac_key(password: &str, salt: &[u8]) -> digest::Digest {
    /// What the key is for (appendix B.3), and the block of SHA-256.
    const PURPOSE: [u8; BLOCK] = [3; BLOCK];
    const BLOCK: usize = 64;
    // Two bytes a character, and two zeros at the end (appendix B.1).
    let password = password.encode_utf16().chain([0]).flat_map(u16::to_be_bytes);
    let password = Zeroizing::new(password.collect::<Vec<u8>>());
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&PURPOSE);
    for part in [salt, &password] {
        let filled = part.len().div_ceil(BLOCK) * BLOCK;
        context.update(&Zeroizing::new(
            part.iter().copied().cycle().take(filled).collect::<Vec<u8>>(),
        ));
    }
    (1..ITERATIONS.get())
        .fold(context.finish(), |hash, _| digest::digest(&digest::SHA256, hash.as_ref()))
}

/// What ties a certificate to its key, and names both.
struct Label<'a> {
    name: &'a str,
    key_id: digest::Digest,
}

/// `SafeContents`.
fn safe_contents(write: impl FnOnce(&mut yasna::DERWriterSeq<'_>)) -> Vec<u8> {
    construct_der(|writer| writer.write_sequence(write))
}

/// `SafeBag` with its attributes (RFC 2985, 5.5).
fn bag(
    writer: DERWriter<'_>,
    kind: &[u64],
    value: impl FnOnce(DERWriter<'_>),
    label: Option<&Label<'_>>,
) {
    writer.write_sequence(|bag| {
        write_oid(bag.next(), kind);
        bag.next().write_tagged(Tag::context(0), value);
        let Some(label) = label else { return };
        let attribute = |writer: DERWriter<'_>, kind: &[u64], value: &dyn Fn(DERWriter<'_>)| {
            writer.write_sequence(|attribute| {
                write_oid(attribute.next(), kind);
                attribute.next().write_set_of(|values| value(values.next()));
            });
        };
        bag.next().write_set_of(|attributes| {
            attribute(attributes.next(), FRIENDLY_NAME, &|value| {
                value.write_bmp_string(label.name);
            });
            attribute(attributes.next(), LOCAL_KEY_ID, &|value| {
                value.write_bytes(label.key_id.as_ref());
            });
        });
    });
}

fn certificate_bag(writer: DERWriter<'_>, certificate: &[u8], label: Option<&Label<'_>>) {
    let value = |value: DERWriter<'_>| {
        value.write_sequence(|bag| {
            write_oid(bag.next(), X509_CERTIFICATE);
            bag.next().write_tagged(Tag::context(0), |bytes| bytes.write_bytes(certificate));
        });
    };
    bag(writer, CERTIFICATE_BAG, value, label);
}

fn content_info(writer: DERWriter<'_>, kind: &[u64], content: impl FnOnce(DERWriter<'_>)) {
    writer.write_sequence(|info| {
        write_oid(info.next(), kind);
        info.next().write_tagged(Tag::context(0), content);
    });
}

fn algorithm(writer: DERWriter<'_>, kind: &[u64], parameters: impl FnOnce(DERWriter<'_>)) {
    writer.write_sequence(|algorithm| {
        write_oid(algorithm.next(), kind);
        parameters(algorithm.next());
    });
}

fn null(writer: DERWriter<'_>) {
    writer.write_null();
}

fn write_oid(writer: DERWriter<'_>, oid: &[u64]) {
    writer.write_oid(&ObjectIdentifier::from_slice(oid));
}

fn salt() -> Result<[u8; SALT_LEN], Error> {
    let mut salt = [0; SALT_LEN];
    rand::fill(&mut salt).map_err(|_| Error::Random)?;
    Ok(salt)
}

fn one_certificate(text: &str) -> Result<CertificateDer<'static>, CertificateFault> {
    Ok(exactly_one(text.as_bytes())?)
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
    text.chars()
        .map(|c| if beyond_bmp(c) || c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

fn beyond_bmp(c: char) -> bool {
    u32::from(c) > 0xffff
}

/// Slow enough to make guessing expensive, fast enough not to be noticed; well below the limits of
/// NSS and Java.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(100_000).unwrap();
const PASSWORD_MAX: usize = 256;
const SALT_LEN: usize = 16;

const DATA: &[u64] = &[1, 2, 840, 113_549, 1, 7, 1];
const ENCRYPTED_DATA: &[u64] = &[1, 2, 840, 113_549, 1, 7, 6];
const SHROUDED_KEY_BAG: &[u64] = &[1, 2, 840, 113_549, 1, 12, 10, 1, 2];
const CERTIFICATE_BAG: &[u64] = &[1, 2, 840, 113_549, 1, 12, 10, 1, 3];
const X509_CERTIFICATE: &[u64] = &[1, 2, 840, 113_549, 1, 9, 22, 1];
const FRIENDLY_NAME: &[u64] = &[1, 2, 840, 113_549, 1, 9, 20];
const LOCAL_KEY_ID: &[u64] = &[1, 2, 840, 113_549, 1, 9, 21];
const PBES2: &[u64] = &[1, 2, 840, 113_549, 1, 5, 13];
const PBKDF2: &[u64] = &[1, 2, 840, 113_549, 1, 5, 12];
const HMAC_SHA256: &[u64] = &[1, 2, 840, 113_549, 2, 9];
const SHA256: &[u64] = &[2, 16, 840, 1, 101, 3, 4, 2, 1];
const AES256_CBC: &[u64] = &[2, 16, 840, 1, 101, 3, 4, 1, 42];

#[cfg(test)]
mod tests {
    use super::super::test_tools::{now, region, subject};
    use super::*;
    use crate::pki::{KeyKind, KeySource, generate_key};

    #[test]
    fn faults_are_named() {
        let (ca, _) = region();
        let leaf = ca
            .issue_access(&subject(), "billing", KeySource::Fresh(KeyKind::P256), now(), 1)
            .unwrap();
        let key = leaf.key.as_ref().unwrap();
        let bundle = |certificate: &str, key, ca: &str, password: &str| {
            pkcs12(certificate, key, ca, "billing", password).expect_err("the bundle is refused")
        };
        let (pem, root) = (leaf.certificate_pem.as_str(), ca.certificate_pem());
        assert!(matches!(bundle(pem, key, root, ""), Error::Password(NameFault::Empty)));
        assert!(matches!(bundle(pem, key, root, "a\0"), Error::Password(NameFault::Control)));
        assert!(matches!(bundle(pem, key, root, "🔑"), Error::Password(NameFault::BeyondBmp)));
        assert!(matches!(
            bundle(pem, key, root, &"a".repeat(257)),
            Error::Password(NameFault::TooLong { .. })
        ));
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
