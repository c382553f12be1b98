//! What a client certificate says about its holder, read once a connection.
//!
//! Owns: the way from the leaf's DER bytes to a [`CertIdentity`]. Chain, signature, usage and revocation were the TLS
//! handshake's business before; validity against the clock is checked again by whoever uses the identity.
//!
//! Always holds: a [`CertIdentity`] came from one whole, well-formed certificate; each of its names is non-empty
//! UTF-8 without control characters; it claims at most one okms domain. What is kept of a certificate is bounded: its
//! serial number by RFC 5280's 20 octets, its names in number and length.
//!
//! Never does: read the common name (it is decoration), decide what an identity may do, or pass over what it cannot
//! read: a malformed name is an error, not an absent name. Name kinds that never identify anybody here (IP address,
//! directory name, other kinds of otherName, and so on) are passed over.

use std::fmt;

use aws_lc_rs::digest;
use uuid::Uuid;
use x509_parser::asn1_rs::{Any, Class, Oid, Tag, oid};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, SubjectAlternativeName};
use x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME;
use x509_parser::prelude::FromDer;

use crate::pki::Validity;

/// What one certificate says.
#[derive(Clone, PartialEq, Eq)]
pub struct CertIdentity {
    names: Vec<SubjectName>,
    domain: Option<DomainClaim>,
    serial: Serial,
    public_key_sha256: [u8; 32],
    validity: Validity,
}

/// A serial number: at most 20 octets, as RFC 5280 has it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Serial([u8; SERIAL_BYTES_MAX]);

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
    #[error("the certificate is larger than 32 KiB")]
    TooLarge,
    /// A serial number that RFC 5280 does not allow.
    #[error("the serial number has more than 20 octets")]
    Serial,
    /// More names than anybody needs.
    #[error("there are more than 64 subject alternative names")]
    TooManyNames,
    /// A name longer than anybody needs.
    #[error("a {0} in the subject alternative names is longer than 1024 bytes")]
    NameTooLong(NameKind),
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
        let serial = Serial::read(certificate.raw_serial())?;
        let names = read_names(&certificate)?;
        let domain = claimed_domain(&names)?;
        let validity = certificate.validity();
        let mut public_key_sha256 = [0; 32];
        public_key_sha256.copy_from_slice(digest::digest(&digest::SHA256, certificate.public_key().raw).as_ref());
        Ok(Self {
            names,
            domain,
            serial,
            public_key_sha256,
            validity: Validity {
                not_before: validity.not_before.timestamp(),
                not_after: validity.not_after.timestamp(),
            },
        })
    }

    /// The names that can identify, in the certificate's order.
    #[must_use]
    pub fn names(&self) -> &[SubjectName] {
        &self.names
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

    /// When it is valid.
    #[must_use]
    pub const fn validity(&self) -> Validity {
        self.validity
    }
}

impl Serial {
    fn read(bytes: &[u8]) -> Result<Self, IdentityError> {
        // DER puts a zero in front of a number whose first bit is set; some authorities put more.
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let number = bytes.get(zeros..).unwrap_or_default();
        let mut serial = [0; SERIAL_BYTES_MAX];
        let place = SERIAL_BYTES_MAX.checked_sub(number.len()).ok_or(IdentityError::Serial)?;
        serial.get_mut(place..).ok_or(IdentityError::Serial)?.copy_from_slice(number);
        Ok(Self(serial))
    }

    /// The number in decimal, as Vault tells it.
    #[must_use]
    pub fn to_decimal(self) -> String {
        // 2^160 has 49 digits; the least is the first.
        let mut digits = [0_u8; 49];
        for byte in self.0 {
            let mut carry = u32::from(byte);
            for digit in &mut digits {
                let number = u32::from(*digit) * 256 + carry;
                *digit = u8::try_from(number % 10).unwrap_or_default();
                carry = number / 10;
            }
        }
        let text: String = digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect();
        let significant = text.trim_start_matches('0');
        if significant.is_empty() { "0".to_owned() } else { significant.to_owned() }
    }
}

/// Lower-case hexadecimal without leading zero bytes.
impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (last, before) = self.0.split_last().map_or((0, &[][..]), |(last, before)| (*last, before));
        before.iter().skip_while(|byte| **byte == 0).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "{last:02x}")
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
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

fn read_names(certificate: &X509Certificate<'_>) -> Result<Vec<SubjectName>, IdentityError> {
    let extension =
        certificate.get_extension_unique(&OID_X509_EXT_SUBJECT_ALT_NAME).map_err(|_| IdentityError::Names)?;
    let Some(extension) = extension else {
        return Ok(Vec::new());
    };
    // Read again from the extension's bytes: the parser's own pass drops what follows the list.
    let (rest, list) = SubjectAlternativeName::from_der(extension.value).map_err(|_| IdentityError::Names)?;
    if !rest.is_empty() {
        return Err(IdentityError::TrailingBytes);
    }
    if list.general_names.len() > NAMES_MAX {
        return Err(IdentityError::TooManyNames);
    }
    list.general_names.iter().filter_map(|name| read_name(name).transpose()).collect()
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
    if text.len() > NAME_BYTES_MAX {
        return Err(IdentityError::NameTooLong(kind));
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

const OID_UPN: Oid<'static> = oid!(1.3.6.1.4.1.311.20.2.3);
const OKMS_DOMAIN_PREFIX: &str = "okms.domain:";
const UUID_TEXT_LEN: usize = 36;
const CERTIFICATE_BYTES_MAX: usize = super::chain::CHAIN_BYTES_MAX;
const SERIAL_BYTES_MAX: usize = 20;
const NAMES_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 1024;
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
        assert_eq!(identity.okms_domain(), Some(DomainClaim::One(*Uuid::try_parse(DOMAIN).unwrap().as_bytes())));
        assert_eq!(identity.serial().to_string(), leaf.serial);
        assert_eq!(identity.validity().not_before, leaf.not_before.unix_timestamp());
        assert_eq!(identity.validity().not_after, leaf.not_after.unix_timestamp());
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

    /// A serial number of 60 KB, turned into decimal, once took 14 s of a worker for each login.
    #[test]
    fn serials_are_bounded_and_have_one_text_form() {
        let serial = |bytes: &[u8]| Serial::read(bytes).unwrap();
        for (bytes, hexadecimal, decimal) in [
            (&[][..], "00", "0"),
            (&[0, 0], "00", "0"),
            (&[0x0a], "0a", "10"),
            (&[0, 0x80, 0x01], "8001", "32769"),
            (&[0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01], "0123456789abcdef01", "20988295479420645121"),
        ] {
            assert_eq!((&*serial(bytes).to_string(), &*serial(bytes).to_decimal()), (hexadecimal, decimal));
        }
        // A leading zero of DER does not count.
        let most = [&[0][..], &[0xff; 20]].concat();
        assert_eq!(serial(&most).to_string(), "ff".repeat(20));
        assert_eq!(serial(&most).to_decimal(), "1461501637330902918203684832716283019655932542975");
        assert_eq!(Serial::read(&[1; 21]).unwrap_err(), IdentityError::Serial);
        assert_eq!(Serial::read(&vec![1; 60_000]).unwrap_err(), IdentityError::Serial);
    }

    #[test]
    fn names_are_bounded_in_number_and_length() {
        let name = |len: usize| der(0x82, &vec![b'a'; len]);
        assert_eq!(named(&[name(1024)]).unwrap().names().len(), 1);
        assert_eq!(fault(&[name(1025)]), IdentityError::NameTooLong(NameKind::Dns));
        assert!(named(&vec![name(1); 64]).is_ok());
        assert_eq!(fault(&vec![name(1); 65]), IdentityError::TooManyNames);
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
