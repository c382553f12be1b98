//! What a client certificate says about its holder, read once a connection.
//!
//! Owns: the way from the leaf's DER bytes to a [`CertIdentity`]. Chain, signature, usage and
//! revocation were the TLS handshake's business before; validity against the clock is checked again
//! by whoever uses the identity.
//!
//! Always holds: a [`CertIdentity`] came from one whole, well-formed certificate; it claims at most
//! one okms domain; what is kept of a certificate is bounded.
//!
//! Never does: decide what an identity may do.

use std::fmt;

use aws_lc_rs::digest;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::x509::AttributeTypeAndValue;

use super::claim::{ClaimFault, DomainClaim};
use super::facets::{Facets, plain_text};
use super::names::{NameFault, SubjectName, read_names};
use crate::pki::{Serial, Validity};

/// What one certificate says.
#[derive(Clone, PartialEq, Eq)]
pub struct CertIdentity {
    common_name: Option<String>,
    organizations: Vec<String>,
    organizational_units: Vec<String>,
    /// Whether the subject has a name that is left out.
    is_partly_read: bool,
    names: Vec<SubjectName>,
    facets: Facets,
    domain: Option<DomainClaim>,
    serial: Serial,
    public_key_sha256: [u8; 32],
    sha256: [u8; 32],
    validity: Validity,
}

/// Why a certificate gives no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// More bytes than any honest client certificate.
    #[error("the certificate is larger than 32 KiB")]
    TooLarge,
    /// A serial number that RFC 5280 does not allow.
    #[error("the serial number has more than 20 octets")]
    Serial,
    /// Not an X.509 certificate.
    #[error("the certificate is malformed")]
    Malformed,
    /// Bytes after the certificate.
    #[error("bytes follow the end of the certificate")]
    TrailingBytes,
    /// Its names cannot be read.
    #[error(transparent)]
    Names(#[from] NameFault),
    /// What it claims cannot be believed.
    #[error(transparent)]
    Claim(#[from] ClaimFault),
}

impl CertIdentity {
    /// Reads the leaf certificate of a client.
    ///
    /// # Errors
    /// [`IdentityError`] says which input is at fault.
    pub fn from_der(leaf: &[u8]) -> Result<Self, IdentityError> {
        if leaf.len() > CERTIFICATE_BYTES_MAX {
            return Err(IdentityError::TooLarge);
        }
        let (rest, certificate) =
            X509Certificate::from_der(leaf).map_err(|_| IdentityError::Malformed)?;
        if !rest.is_empty() {
            return Err(IdentityError::TrailingBytes);
        }
        let serial =
            Serial::from_be_bytes(certificate.raw_serial()).ok_or(IdentityError::Serial)?;
        let mut facets = Facets::read(&certificate);
        let names = read_names(&certificate, &mut facets)?;
        let domain = DomainClaim::among(&names)?;
        let subject = certificate.subject();
        let common_name = texts(subject.iter_common_name(), 1);
        let organizations = texts(subject.iter_organization(), SUBJECT_NAMES_MAX);
        let units = texts(subject.iter_organizational_unit(), SUBJECT_NAMES_MAX);
        let sha256 = |bytes| {
            let mut sha256 = [0; 32];
            sha256.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
            sha256
        };
        Ok(Self {
            is_partly_read: [&common_name, &organizations, &units].contains(&&None),
            common_name: common_name.and_then(|mut names| names.pop()),
            organizations: organizations.unwrap_or_default(),
            organizational_units: units.unwrap_or_default(),
            names,
            facets,
            domain,
            serial,
            public_key_sha256: sha256(certificate.public_key().raw),
            sha256: sha256(leaf),
            validity: Validity::from(certificate.validity()),
        })
    }

    /// The subject's common name, where it has one that can be read and no more. It says who the
    /// holder is only where a rule of the domain takes it for that.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// The organizations that the subject names.
    #[must_use]
    pub fn organizations(&self) -> &[String] {
        &self.organizations
    }

    /// The organizational units that the subject names.
    #[must_use]
    pub fn organizational_units(&self) -> &[String] {
        &self.organizational_units
    }

    /// Whether the subject has a name that a rule may ask for, and that is left out, as it cannot be
    /// read or is there twice. What rules say of the certificate is not known then.
    #[must_use]
    pub const fn is_partly_read(&self) -> bool {
        self.is_partly_read
    }

    /// The names that can identify, in the certificate's order.
    #[must_use]
    pub fn names(&self) -> &[SubjectName] {
        &self.names
    }

    /// What else it says that rules can ask for.
    pub(super) const fn facets(&self) -> &Facets {
        &self.facets
    }

    /// The okms domain that the certificate claims, if it claims one.
    #[must_use]
    pub fn okms_domain(&self) -> Option<DomainClaim> {
        self.domain
    }

    /// The serial number.
    #[must_use]
    pub fn serial(&self) -> Serial {
        self.serial
    }

    /// SHA-256 of the `SubjectPublicKeyInfo`: the same for every certificate over one key.
    #[must_use]
    pub fn public_key_sha256(&self) -> &[u8; 32] {
        &self.public_key_sha256
    }

    /// SHA-256 of the certificate itself: its thumbprint.
    #[must_use]
    pub const fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// When it is valid.
    #[must_use]
    pub const fn validity(&self) -> Validity {
        self.validity
    }
}

/// What a subject has of one kind; `None` where there is more than `most`, or something that cannot
/// be read.
fn texts<'a>(
    attributes: impl Iterator<Item = &'a AttributeTypeAndValue<'a>>,
    most: usize,
) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    for attribute in attributes {
        let text = plain_text(attribute.attr_value())?;
        if texts.len() == most {
            return None;
        }
        texts.push(text);
    }
    Some(texts)
}

/// Names of customers' machines and people are not for logs: the serial finds the certificate
/// again.
impl fmt::Debug for CertIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertIdentity")
            .field("serial", &self.serial)
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

/// Whom a certificate that was refused was issued to, for whoever looks for the reason: one short
/// line of text.
#[must_use]
pub fn subject_text(leaf: &[u8]) -> Option<String> {
    let leaf = (leaf.len() <= CERTIFICATE_BYTES_MAX).then_some(leaf)?;
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let subject = certificate.subject().to_string();
    let plain =
        subject.chars().take(SUBJECT_TEXT_MAX).map(|c| if c.is_control() { '?' } else { c });
    Some(plain.collect())
}

/// More than any honest client certificate has.
pub(super) const CERTIFICATE_BYTES_MAX: usize = 32 << 10;
/// How many organizations, and how many units, a subject may name.
const SUBJECT_NAMES_MAX: usize = 64;
/// How much of a subject is shown, in characters.
const SUBJECT_TEXT_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};

    use super::super::test_tools::{DOMAIN, der, identify, san, upn, with_extensions};
    use super::*;
    use crate::model::Timestamp;
    use crate::pki::{CertificateAuthority, Issued, KeyKind, KeySource, Subject};

    fn issue(subject: &Subject) -> Issued {
        let now = Timestamp::from_unix_seconds(1_790_000_000);
        let (ca, _) = CertificateAuthority::create("region CA", now, 100).unwrap();
        ca.issue_access(subject, "billing", KeySource::Fresh(KeyKind::P256), now, 10).unwrap()
    }

    #[test]
    fn what_the_region_issues_is_read_back() {
        let domain = DOMAIN.parse().unwrap();
        let leaf = issue(&Subject::Domain(domain));
        let identity = CertIdentity::from_der(&leaf.certificate_der).unwrap();
        assert_eq!(identity.names(), [SubjectName::Upn(format!("okms.domain:{DOMAIN}"))]);
        assert_eq!(identity.okms_domain(), Some(DomainClaim::One(domain)));
        assert_eq!((identity.serial(), identity.validity()), (leaf.serial, leaf.validity));
        let operator = issue(&Subject::Operator);
        assert_eq!(
            CertIdentity::from_der(&operator.certificate_der).unwrap().okms_domain(),
            Some(DomainClaim::Any)
        );
    }

    #[test]
    fn the_key_fingerprint_is_that_of_the_key() {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
        let identity = CertIdentity::from_der(certificate.der()).unwrap();
        assert_eq!(identity.public_key_sha256(), digest::digest(&digest::SHA256, &spki).as_ref());
        assert_eq!(identity.names(), []);
        assert_eq!(identity.okms_domain(), None);
    }

    #[test]
    fn a_certificate_is_read_whole_or_refused() {
        let mut longer = issue(&Subject::Operator).certificate_der;
        longer.push(0);
        assert_eq!(CertIdentity::from_der(&longer), Err(IdentityError::TrailingBytes));
        assert_eq!(CertIdentity::from_der(&[]), Err(IdentityError::Malformed));
        assert_eq!(
            CertIdentity::from_der(&vec![0; CERTIFICATE_BYTES_MAX + 1]),
            Err(IdentityError::TooLarge)
        );
    }

    /// A claim that cannot be read is refused, and not passed over.
    #[test]
    fn a_faulty_claim_gives_no_identity() {
        assert_eq!(
            identify(&[upn("okms.domain:x")]),
            Err(IdentityError::Claim(ClaimFault::Domain))
        );
    }

    /// A common name that is there twice, or too long, was none, and its holder fitted no rule.
    #[test]
    fn what_is_left_out_of_a_subject_is_told() {
        use rcgen::DnValue::{BmpString, TeletexString, Utf8String};
        let read = |values: &[(DnType, DnValue)]| {
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            for (kind, value) in values {
                params.distinguished_name.push(kind.clone(), value.clone());
            }
            let key = KeyPair::generate().unwrap();
            let mut der = params.self_signed(&key).unwrap().der().to_vec();
            // The library writes each kind once: what is meant to be a second one is written as a
            // title, and renamed.
            for at in 0..der.len() - 3 {
                if der[at..at + 3] == [0x55, 4, 12] {
                    der[at + 2] = 3;
                }
            }
            CertIdentity::from_der(&der).unwrap()
        };
        let title = || DnType::CustomDnType(vec![2, 5, 4, 12]);
        let utf8 = |text: &str| Utf8String(text.to_owned());
        let whole = read(&[(DnType::CommonName, utf8("a"))]);
        assert_eq!((whole.common_name(), whole.is_partly_read()), (Some("a"), false));
        let bmp = BmpString("ü".try_into().unwrap());
        let whole = read(&[(DnType::CommonName, bmp)]);
        assert_eq!((whole.common_name(), whole.is_partly_read()), (Some("ü"), false));
        assert!(!read(&[]).is_partly_read());
        let whole = read(&[
            (DnType::OrganizationName, utf8("o")),
            (DnType::OrganizationalUnitName, utf8("u")),
        ]);
        assert_eq!(whole.organizations(), ["o"]);
        assert_eq!(whole.organizational_units(), ["u"]);
        assert!(!whole.is_partly_read());
        assert!(read(&[(DnType::OrganizationName, utf8(""))]).is_partly_read());
        assert!(read(&[(DnType::OrganizationalUnitName, utf8("a\nb"))]).is_partly_read());
        for values in [
            vec![(DnType::CommonName, utf8("a")), (title(), utf8("b"))],
            vec![(DnType::CommonName, utf8(&"a".repeat(257)))],
            vec![(DnType::CommonName, utf8(""))],
            vec![(DnType::CommonName, utf8("a\0b"))],
            vec![(DnType::CommonName, TeletexString("a".try_into().unwrap()))],
        ] {
            let part = read(&values);
            assert_eq!((part.common_name(), part.is_partly_read()), (None, true), "{values:?}");
        }
    }

    #[test]
    fn an_identity_does_not_print_names() {
        let identity = identify(&[der(0x81, b"someone@example.com")]).unwrap();
        assert!(!format!("{identity:?}").contains("someone"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1024)) {
            prop_assert!(CertIdentity::from_der(&bytes).is_err());
        }

        #[test]
        fn arbitrary_name_lists_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256), whole: bool) {
            let content = if whole { der(0x30, &bytes) } else { bytes };
            let _ = CertIdentity::from_der(&with_extensions(vec![san(content)]));
        }

        #[test]
        fn arbitrary_upns_never_panic(text: String) {
            let _ = identify(&[upn(&text), upn(&format!("okms.domain:{text}"))]);
        }
    }

    #[test]
    fn no_mutation_panics() {
        let leaf = issue(&Subject::Domain(DOMAIN.parse().unwrap()));
        for at in 0..leaf.certificate_der.len() {
            let _ = CertIdentity::from_der(&leaf.certificate_der[..at]);
            for value in 0..=u8::MAX {
                let mut changed = leaf.certificate_der.clone();
                changed[at] = value;
                let _ = CertIdentity::from_der(&changed);
            }
        }
    }
}
