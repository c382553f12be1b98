//! What a client certificate says about its holder, read once a connection.
//!
//! Owns: the way from the leaf's DER bytes to a [`CertIdentity`]. Chain, signature, usage and revocation were the TLS
//! handshake's business before; validity against the clock is checked again by whoever uses the identity.
//!
//! Always holds: a [`CertIdentity`] came from one whole, well-formed certificate; each of its names is non-empty
//! UTF-8 without control characters; it claims at most one okms domain.
//!
//! Never does: read the common name (it is decoration), decide what an identity may do, or pass over what it cannot
//! read: a malformed name is an error, not an absent name. Name kinds that never identify anybody here (IP address,
//! directory name, other kinds of otherName, and so on) are counted in [`CertIdentity::unused_names`].

use std::fmt::{self, Write as _};

use aws_lc_rs::digest;
use uuid::Uuid;
use x509_parser::asn1_rs::{Any, Class, Oid, Tag, oid};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, SubjectAlternativeName};
use x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME;
use x509_parser::prelude::FromDer;

/// What one certificate says.
#[derive(Clone, PartialEq, Eq)]
pub struct CertIdentity {
    names: Vec<SubjectName>,
    unused_names: usize,
    domain: Option<DomainClaim>,
    issuer_der: Vec<u8>,
    serial: String,
    public_key_sha256: [u8; 32],
    not_before: i64,
    not_after: i64,
}

/// A subject alternative name of a kind that can identify somebody.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SubjectName {
    /// A user principal name (otherName 1.3.6.1.4.1.311.20.2.3).
    Upn(String),
    /// A URI, such as a SPIFFE id.
    Uri(String),
    /// A DNS name.
    Dns(String),
    /// An e-mail address.
    Email(String),
}

/// The domain that a certificate claims. Whether the claim is believed depends on who signed the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DomainClaim {
    /// `okms.domain:*`: an operator's.
    Any,
    /// `okms.domain:<uuid>`: one domain's, by the bytes of its UUID. Never nil.
    One([u8; 16]),
}

/// Why a certificate gives no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// More bytes than any honest client certificate.
    #[error("the certificate is larger than 64 KiB")]
    TooLarge,
    /// Not an X.509 certificate.
    #[error("the certificate is malformed")]
    Malformed,
    /// Bytes after the certificate, or after its list of names.
    #[error("bytes follow the end of the certificate or of its alternative names")]
    TrailingBytes,
    /// The list of alternative names is there twice, or is not a list of names.
    #[error("the subject alternative names are malformed or repeated")]
    Names,
    /// A name that is not UTF-8, or not ASCII where X.509 allows only ASCII.
    #[error("a {0} in the subject alternative names is not valid text")]
    Encoding(NameKind),
    /// A name that contains NUL or another control character.
    #[error("a {0} in the subject alternative names contains a NUL or control character")]
    Control(NameKind),
    /// A name without any character.
    #[error("a {0} in the subject alternative names is empty")]
    Empty(NameKind),
    /// A user principal name that is not one `UTF8String`.
    #[error("the user principal name is not one UTF-8 string")]
    UpnType,
    /// `okms.domain:` followed by something that is neither `*` nor a UUID in canonical text, or by the nil UUID.
    #[error("the certificate's okms.domain is neither \"*\" nor a UUID")]
    Domain,
    /// Two user principal names that claim different domains.
    #[error("the certificate claims two different okms domains")]
    ConflictingDomains,
}

/// The kind of a name, for errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A user principal name.
    Upn,
    /// A URI.
    Uri,
    /// A DNS name.
    Dns,
    /// An e-mail address.
    Email,
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
        let (rest, certificate) = X509Certificate::from_der(leaf).map_err(|_| IdentityError::Malformed)?;
        if !rest.is_empty() {
            return Err(IdentityError::TrailingBytes);
        }
        let (names, unused_names) = read_names(&certificate)?;
        let domain = claimed_domain(&names)?;
        let validity = certificate.validity();
        let mut public_key_sha256 = [0; 32];
        public_key_sha256.copy_from_slice(digest::digest(&digest::SHA256, certificate.public_key().raw).as_ref());
        Ok(Self {
            names,
            unused_names,
            domain,
            issuer_der: certificate.issuer().as_raw().to_vec(),
            serial: serial_text(certificate.raw_serial()),
            public_key_sha256,
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        })
    }

    /// The names that can identify, in the certificate's order.
    #[must_use]
    pub fn names(&self) -> &[SubjectName] {
        &self.names
    }

    /// How many further alternative names there are, of kinds that never identify anybody here.
    #[must_use]
    pub fn unused_names(&self) -> usize {
        self.unused_names
    }

    /// The okms domain that the certificate claims, if it claims one.
    #[must_use]
    pub fn okms_domain(&self) -> Option<DomainClaim> {
        self.domain
    }

    /// The issuer's name, DER-encoded as it stands in the certificate.
    #[must_use]
    pub fn issuer_der(&self) -> &[u8] {
        &self.issuer_der
    }

    /// The serial number in lower-case hexadecimal without leading zero bytes.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// SHA-256 of the `SubjectPublicKeyInfo`: the same for every certificate over one key.
    #[must_use]
    pub fn public_key_sha256(&self) -> &[u8; 32] {
        &self.public_key_sha256
    }

    /// The first valid second, in Unix time.
    #[must_use]
    pub fn not_before(&self) -> i64 {
        self.not_before
    }

    /// The last valid second, in Unix time.
    #[must_use]
    pub fn not_after(&self) -> i64 {
        self.not_after
    }
}

/// Names of customers' machines and people are not for logs: the serial finds the certificate again.
impl fmt::Debug for CertIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertIdentity")
            .field("serial", &self.serial)
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upn => "user principal name",
            Self::Uri => "URI",
            Self::Dns => "DNS name",
            Self::Email => "e-mail address",
        })
    }
}

/// Whom a certificate that was refused was issued to, for whoever looks for the reason: one short line of text.
#[must_use]
pub fn subject_text(leaf: &[u8]) -> Option<String> {
    let leaf = (leaf.len() <= CERTIFICATE_BYTES_MAX).then_some(leaf)?;
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let subject = certificate.subject().to_string();
    let plain = subject.chars().take(SUBJECT_TEXT_MAX).map(|c| if c.is_control() { '?' } else { c });
    Some(plain.collect())
}

fn read_names(certificate: &X509Certificate<'_>) -> Result<(Vec<SubjectName>, usize), IdentityError> {
    let extension =
        certificate.get_extension_unique(&OID_X509_EXT_SUBJECT_ALT_NAME).map_err(|_| IdentityError::Names)?;
    let Some(extension) = extension else {
        return Ok((Vec::new(), 0));
    };
    // Read again from the extension's bytes: the parser's own pass drops what follows the list.
    let (rest, list) = SubjectAlternativeName::from_der(extension.value).map_err(|_| IdentityError::Names)?;
    if !rest.is_empty() {
        return Err(IdentityError::TrailingBytes);
    }
    let mut names = Vec::with_capacity(list.general_names.len());
    let mut unused = 0;
    for name in &list.general_names {
        match read_name(name)? {
            Some(name) => names.push(name),
            None => unused += 1,
        }
    }
    Ok((names, unused))
}

fn read_name(name: &GeneralName<'_>) -> Result<Option<SubjectName>, IdentityError> {
    Ok(Some(match name {
        GeneralName::OtherName(kind, value) if *kind == OID_UPN => SubjectName::Upn(utf8_string(value)?),
        GeneralName::URI(text) => SubjectName::Uri(ia5(text, NameKind::Uri)?),
        GeneralName::DNSName(text) => SubjectName::Dns(ia5(text, NameKind::Dns)?),
        GeneralName::RFC822Name(text) => SubjectName::Email(ia5(text, NameKind::Email)?),
        // What the parser could not read: only the tag tells what it should have been.
        GeneralName::Invalid(tag, _) => {
            return Err(match tag.0 {
                1 => IdentityError::Encoding(NameKind::Email),
                2 => IdentityError::Encoding(NameKind::Dns),
                6 => IdentityError::Encoding(NameKind::Uri),
                _ => IdentityError::Names,
            });
        }
        _ => return Ok(None),
    }))
}

/// The text of `[0] EXPLICIT UTF8String`, with nothing after it on either level.
fn utf8_string(value: &[u8]) -> Result<String, IdentityError> {
    let (rest, outer) = Any::from_der(value).map_err(|_| IdentityError::UpnType)?;
    let wrapped = outer.class() == Class::ContextSpecific && outer.tag() == Tag(0) && outer.header.is_constructed();
    if !wrapped || !rest.is_empty() {
        return Err(IdentityError::UpnType);
    }
    let (rest, text) = Any::from_der(outer.data).map_err(|_| IdentityError::UpnType)?;
    let is_text = text.class() == Class::Universal && text.tag() == Tag::Utf8String && !text.header.is_constructed();
    if !is_text || !rest.is_empty() {
        return Err(IdentityError::UpnType);
    }
    let text = std::str::from_utf8(text.data).map_err(|_| IdentityError::Encoding(NameKind::Upn))?;
    plain(text, NameKind::Upn)
}

/// `IA5String` is ASCII. The parser lets any UTF-8 through, under which two different names can look the same.
fn ia5(text: &str, kind: NameKind) -> Result<String, IdentityError> {
    if text.is_ascii() { plain(text, kind) } else { Err(IdentityError::Encoding(kind)) }
}

fn plain(text: &str, kind: NameKind) -> Result<String, IdentityError> {
    if text.is_empty() {
        return Err(IdentityError::Empty(kind));
    }
    // A NUL would end the name early for a peer that is written in C.
    if text.chars().any(char::is_control) {
        return Err(IdentityError::Control(kind));
    }
    Ok(text.to_owned())
}

fn claimed_domain(names: &[SubjectName]) -> Result<Option<DomainClaim>, IdentityError> {
    let mut found = None;
    for name in names {
        let SubjectName::Upn(upn) = name else { continue };
        let Some(claim) = parse_claim(upn)? else { continue };
        if found.is_some_and(|earlier| earlier != claim) {
            return Err(IdentityError::ConflictingDomains);
        }
        found = Some(claim);
    }
    Ok(found)
}

/// The claim in one user principal name. A name without the exact prefix claims nothing; one with it must be right.
fn parse_claim(upn: &str) -> Result<Option<DomainClaim>, IdentityError> {
    let Some(text) = upn.strip_prefix(OKMS_DOMAIN_PREFIX) else {
        return Ok(None);
    };
    if text == "*" {
        return Ok(Some(DomainClaim::Any));
    }
    // Only the form with hyphens has this length; the parser takes three others.
    let id = Uuid::try_parse(text).ok().filter(|id| text.len() == UUID_TEXT_LEN && !id.is_nil());
    id.map(|id| Some(DomainClaim::One(id.into_bytes()))).ok_or(IdentityError::Domain)
}

fn serial_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes.iter().skip_while(|byte| **byte == 0) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    if text.is_empty() { "00".to_owned() } else { text }
}

const OID_UPN: Oid<'static> = oid!(1.3.6.1.4.1.311.20.2.3);
const OKMS_DOMAIN_PREFIX: &str = "okms.domain:";
const UUID_TEXT_LEN: usize = 36;
const CERTIFICATE_BYTES_MAX: usize = 64 * 1024;
/// What is told of a subject, in characters.
const SUBJECT_TEXT_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair, SanType};

    use super::*;
    use crate::pki::{CertificateAuthority, Issued, KeyKind, KeySource, Subject};

    const DOMAIN: &str = "0f8b6c1e-4a55-4a7e-9d43-1c2f6a7b8c9d";

    fn issued(subject: &Subject) -> (CertificateAuthority, Issued) {
        let now = time::OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap();
        let (ca, _) = CertificateAuthority::create("region CA", now, time::Duration::days(100)).unwrap();
        let leaf = ca.issue_access(subject, "billing", KeySource::Fresh(KeyKind::P256), now, 10).unwrap();
        (ca, leaf)
    }

    /// A self-signed certificate with exactly these extensions.
    fn with_extensions(extensions: Vec<CustomExtension>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "test");
        params.custom_extensions = extensions;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        match content.len() {
            len @ 0..=127 => out.push(u8::try_from(len).unwrap()),
            len => {
                out.push(0x82);
                out.extend(u16::try_from(len).unwrap().to_be_bytes());
            }
        }
        out.extend(content);
        out
    }

    fn san(content: Vec<u8>) -> CustomExtension {
        CustomExtension::from_oid_content(&[2, 5, 29, 17], content)
    }

    /// The identity in a certificate with these general names, each already in DER.
    fn named(names: &[Vec<u8>]) -> Result<CertIdentity, IdentityError> {
        CertIdentity::from_der(&with_extensions(vec![san(der(0x30, &names.concat()))]))
    }

    const UPN_OID_DER: [u8; 12] = [0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x14, 0x02, 0x03];

    fn upn_of(value: &[u8]) -> Vec<u8> {
        der(0xa0, &[UPN_OID_DER.as_slice(), value].concat())
    }

    fn upn(text: &str) -> Vec<u8> {
        upn_of(&der(0xa0, &der(0x0c, text.as_bytes())))
    }

    fn fault(names: &[Vec<u8>]) -> IdentityError {
        named(names).expect_err("the certificate is refused")
    }

    #[test]
    fn what_the_region_issues_is_read_back() {
        let (ca, leaf) = issued(&Subject::Domain(DOMAIN.to_owned()));
        let identity = CertIdentity::from_der(&leaf.certificate_der).unwrap();
        assert_eq!(identity.names(), [SubjectName::Upn(format!("okms.domain:{DOMAIN}"))]);
        assert_eq!(identity.unused_names(), 0);
        assert_eq!(identity.okms_domain(), Some(DomainClaim::One(*Uuid::try_parse(DOMAIN).unwrap().as_bytes())));
        assert_eq!(identity.serial(), leaf.serial);
        assert_eq!(identity.not_before(), leaf.not_before.unix_timestamp());
        assert_eq!(identity.not_after(), leaf.not_after.unix_timestamp());
        assert!(identity.issuer_der().windows(9).any(|window| window == b"region CA"));
        assert!(ca.certificate_pem().contains("CERTIFICATE"));
        let (_, operator) = issued(&Subject::Operator);
        assert_eq!(CertIdentity::from_der(&operator.certificate_der).unwrap().okms_domain(), Some(DomainClaim::Any));
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
    fn every_identifying_kind_is_listed_in_order() {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![
            SanType::URI("spiffe://example.com/billing".try_into().unwrap()),
            SanType::IpAddress("127.0.0.1".parse().unwrap()),
            SanType::DnsName("billing.example.com".try_into().unwrap()),
            SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], "someone@example.com".into())),
            SanType::OtherName((vec![1, 2, 3, 4], "another kind".into())),
            SanType::Rfc822Name("billing@example.com".try_into().unwrap()),
        ];
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let identity = CertIdentity::from_der(certificate.der()).unwrap();
        assert_eq!(
            identity.names(),
            [
                SubjectName::Uri("spiffe://example.com/billing".to_owned()),
                SubjectName::Dns("billing.example.com".to_owned()),
                SubjectName::Upn("someone@example.com".to_owned()),
                SubjectName::Email("billing@example.com".to_owned()),
            ]
        );
        assert_eq!(identity.unused_names(), 2);
        assert_eq!(identity.okms_domain(), None);
    }

    #[test]
    fn domain_claims_are_exact() {
        let claim = |text: &str| named(&[upn(text)]).map(|identity| identity.okms_domain());
        let one = Some(DomainClaim::One(*Uuid::try_parse(DOMAIN).unwrap().as_bytes()));
        assert_eq!(claim(&format!("okms.domain:{DOMAIN}")), Ok(one));
        assert_eq!(claim(&format!("okms.domain:{}", DOMAIN.to_uppercase())), Ok(one));
        assert_eq!(claim("okms.domain:*"), Ok(Some(DomainClaim::Any)));
        for other in [&format!("OKMS.domain:{DOMAIN}"), &format!(" okms.domain:{DOMAIN}"), "okms.domain", "me@x"] {
            assert_eq!(claim(other), Ok(None), "{other:?}");
        }
        let simple = DOMAIN.replace('-', "");
        let nil = "00000000-0000-0000-0000-000000000000";
        for bad in ["", "**", " *", nil, &simple, &format!("{{{DOMAIN}}}"), &format!("urn:uuid:{DOMAIN}"), "x"] {
            assert_eq!(claim(&format!("okms.domain:{bad}")), Err(IdentityError::Domain), "{bad:?}");
        }
    }

    #[test]
    fn two_claims_must_agree() {
        let lower = upn(&format!("okms.domain:{DOMAIN}"));
        let upper = upn(&format!("okms.domain:{}", DOMAIN.to_uppercase()));
        let other = upn("okms.domain:1f8b6c1e-4a55-4a7e-9d43-1c2f6a7b8c9d");
        assert!(named(&[lower.clone(), upper, upn("someone@example.com")]).is_ok());
        assert_eq!(fault(&[lower.clone(), other]), IdentityError::ConflictingDomains);
        assert_eq!(fault(&[lower, upn("okms.domain:*")]), IdentityError::ConflictingDomains);
    }

    #[test]
    fn faulty_names_are_refused_by_kind() {
        assert_eq!(fault(&[der(0x82, b"a\0b")]), IdentityError::Control(NameKind::Dns));
        assert_eq!(fault(&[der(0x86, b"a\nb")]), IdentityError::Control(NameKind::Uri));
        assert_eq!(fault(&[upn("okms.domain:*\0")]), IdentityError::Control(NameKind::Upn));
        assert_eq!(fault(&[der(0x81, b"")]), IdentityError::Empty(NameKind::Email));
        assert_eq!(fault(&[upn("")]), IdentityError::Empty(NameKind::Upn));
        assert_eq!(fault(&[der(0x82, b"\xff")]), IdentityError::Encoding(NameKind::Dns));
        assert_eq!(fault(&[der(0x86, "é".as_bytes())]), IdentityError::Encoding(NameKind::Uri));
        assert_eq!(fault(&[upn_of(&der(0xa0, &der(0x0c, b"\xff")))]), IdentityError::Encoding(NameKind::Upn));
    }

    #[test]
    fn a_upn_is_one_utf8_string() {
        let text = der(0x0c, b"okms.domain:*");
        let wrapped = der(0xa0, &text);
        let doubled = [wrapped.clone(), wrapped.clone()].concat();
        let not_text = [
            upn_of(&[]),
            upn_of(&text),
            upn_of(&der(0xa0, &der(0x16, b"okms.domain:*"))),
            upn_of(&der(0xa1, &text)),
            upn_of(&der(0x80, &text)),
            upn_of(&doubled),
            upn_of(&der(0xa0, &[text.clone(), text.clone()].concat())),
            upn_of(&der(0xa0, &[])),
        ];
        for (number, name) in not_text.into_iter().enumerate() {
            assert_eq!(fault(&[name]), IdentityError::UpnType, "case {number}");
        }
    }

    #[test]
    fn nothing_is_passed_over() {
        let (_, leaf) = issued(&Subject::Operator);
        let mut longer = leaf.certificate_der.clone();
        longer.push(0);
        assert_eq!(CertIdentity::from_der(&longer), Err(IdentityError::TrailingBytes));
        assert_eq!(CertIdentity::from_der(&[]), Err(IdentityError::Malformed));
        assert_eq!(CertIdentity::from_der(&vec![0; CERTIFICATE_BYTES_MAX + 1]), Err(IdentityError::TooLarge));

        let list = der(0x30, &upn("okms.domain:*"));
        let twice = with_extensions(vec![san(list.clone()), san(list.clone())]);
        assert_eq!(CertIdentity::from_der(&twice), Err(IdentityError::Names));
        let not_a_list = with_extensions(vec![san(der(0x04, b"x"))]);
        assert_eq!(CertIdentity::from_der(&not_a_list), Err(IdentityError::Names));
        let followed = with_extensions(vec![san([list.clone(), list].concat())]);
        assert_eq!(CertIdentity::from_der(&followed), Err(IdentityError::TrailingBytes));
        assert_eq!(fault(&[der(0x89, b"x")]), IdentityError::Names);
    }

    #[test]
    fn serials_have_one_text_form() {
        assert_eq!(serial_text(&[]), "00");
        assert_eq!(serial_text(&[0, 0]), "00");
        assert_eq!(serial_text(&[0, 0x80, 0x01]), "8001");
    }

    #[test]
    fn an_identity_does_not_print_names() {
        let identity = named(&[der(0x81, b"someone@example.com")]).unwrap();
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
            let _ = named(&[upn(&text), upn(&format!("okms.domain:{text}"))]);
        }
    }

    #[test]
    fn no_mutation_panics() {
        let (_, leaf) = issued(&Subject::Domain(DOMAIN.to_owned()));
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
