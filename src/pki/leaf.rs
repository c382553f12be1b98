//! Issuing: server certificates, access certificates, operator certificates.
//!
//! Always holds: every leaf has a random positive 16-byte serial, CA:FALSE, one extended key usage, the key
//! identifiers of its own and its CA's key, and ends no later than its CA.
//! Never does: take a name from a signing request, or issue for a domain that is not a UUID. The text `*`, which
//! means "operator", is written for [`Subject::Operator`] only.

use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::str::FromStr;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, PublicKeyData,
    SanType,
};
use rustls_pki_types::DnsName;
use time::{Duration, OffsetDateTime, UtcOffset};
use uuid::Uuid;

use super::ca::CertificateAuthority;
use super::csr::RequestedKey;
use super::error::{Error, NameFault};
use super::key::{KeyKind, PrivateKeyPem, generate_key};

/// Whom an access certificate speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// One domain, by the text of its okmsId: a UUID with hyphens, not nil.
    Domain(String),
    /// An operator, who may name any domain.
    Operator,
}

/// Where the key of a new certificate comes from.
#[derive(Debug, Clone, Copy)]
pub enum KeySource<'a> {
    /// A key made now, which is part of the answer.
    Fresh(KeyKind),
    /// A PKCS#10 request in PEM form. Its key is used, its names are not.
    Request(&'a str),
}

/// A name under which clients reach a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerName {
    /// A DNS name, possibly with `*` as its whole first label.
    Dns(String),
    /// An IP address.
    Ip(IpAddr),
}

impl FromStr for ServerName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        let refused = || Error::ServerName;
        // A trailing dot is fine in the DNS but never matches in a certificate.
        if text.ends_with('.') || !text.is_ascii() {
            return Err(refused());
        }
        DnsName::try_from(text.strip_prefix("*.").unwrap_or(text)).map_err(|_| refused())?;
        Ok(Self::Dns(text.to_ascii_lowercase()))
    }
}

/// A certificate just issued. The leaf stands alone: its issuer is the root that both sides already trust.
pub struct Issued {
    /// The certificate as PEM.
    pub certificate_pem: String,
    /// The certificate as DER.
    pub certificate_der: Vec<u8>,
    /// The private key, if it was made here.
    pub key: Option<PrivateKeyPem>,
    /// The serial number in lower-case hexadecimal.
    pub serial: String,
    /// The first valid second.
    pub not_before: OffsetDateTime,
    /// The last valid second; earlier than asked for when the CA itself ends earlier.
    pub not_after: OffsetDateTime,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("serial", &self.serial)
            .field("not_after", &self.not_after)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl CertificateAuthority {
    /// Issues a server certificate for the given names, valid for `days` from `not_before`.
    ///
    /// # Errors
    /// [`Error`] says which input is at fault.
    pub fn issue_server(
        &self,
        names: &[ServerName],
        key: KeySource<'_>,
        not_before: OffsetDateTime,
        days: u32,
    ) -> Result<Issued, Error> {
        let mut params = self.leaf_params(not_before, days, ExtendedKeyUsagePurpose::ServerAuth)?;
        for name in names {
            params.subject_alt_names.push(match name {
                // The variants are open to all, so the text is judged again here.
                ServerName::Dns(text) => match text.parse()? {
                    ServerName::Dns(name) => SanType::DnsName(name.try_into().map_err(|_| Error::Sign)?),
                    ServerName::Ip(address) => SanType::IpAddress(address),
                },
                ServerName::Ip(address) => SanType::IpAddress(*address),
            });
        }
        let first = match names.first() {
            None => return Err(Error::NoServerName),
            Some(ServerName::Dns(name)) => name.clone(),
            Some(ServerName::Ip(address)) => address.to_string(),
        };
        // Only people read this name. A DNS name too long for it stands in the alternative names all the same.
        let shown = common_name(&first).unwrap_or_else(|_| "okmsd server".to_owned());
        params.distinguished_name.push(DnType::CommonName, shown);
        self.issue(params, key)
    }

    /// Issues an access certificate (a domain's or an operator's), valid for `days` from `not_before`. The display
    /// name becomes the common name, for people to read: nothing is ever decided by it.
    ///
    /// # Errors
    /// [`Error`] says which input is at fault.
    pub fn issue_access(
        &self,
        subject: &Subject,
        display_name: &str,
        key: KeySource<'_>,
        not_before: OffsetDateTime,
        days: u32,
    ) -> Result<Issued, Error> {
        let mut params = self.leaf_params(not_before, days, ExtendedKeyUsagePurpose::ClientAuth)?;
        let upn = format!("{OKMS_DOMAIN_PREFIX}{}", subject.claim()?);
        params.subject_alt_names.push(SanType::OtherName((UPN_OID.to_vec(), upn.into())));
        params.distinguished_name.push(DnType::CommonName, common_name(display_name)?);
        self.issue(params, key)
    }

    fn leaf_params(
        &self,
        not_before: OffsetDateTime,
        days: u32,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<CertificateParams, Error> {
        if not_before >= self.not_after {
            return Err(Error::CaExpired);
        }
        if not_before < self.not_before {
            return Err(Error::CaNotYetValid);
        }
        // The library's default subject is a name of its own.
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.not_before = backdated(not_before)?.max(self.not_before);
        params.not_after = ending(not_before, Duration::days(i64::from(days)))?.min(self.not_after);
        // Saying CA:FALSE, rather than nothing, also makes rcgen write the subject key identifier.
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }

    fn issue(&self, params: CertificateParams, key: KeySource<'_>) -> Result<Issued, Error> {
        match key {
            KeySource::Fresh(kind) => {
                let key = generate_key(kind)?;
                let pair = key.pair()?;
                self.sign(params, &pair, Some(key))
            }
            KeySource::Request(text) => {
                let requested = RequestedKey::from_pem(text).map_err(Error::Request)?;
                self.sign(params, requested.public_key(), None)
            }
        }
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        public_key: &impl PublicKeyData,
        key: Option<PrivateKeyPem>,
    ) -> Result<Issued, Error> {
        let serial = random_serial()?;
        params.serial_number = Some(serial.clone().into());
        let certificate = params.signed_by(public_key, &self.issuer).map_err(|_| Error::Sign)?;
        Ok(Issued {
            certificate_pem: certificate.pem(),
            certificate_der: certificate.der().to_vec(),
            key,
            serial: hexadecimal(&serial),
            not_before: params.not_before,
            not_after: params.not_after,
        })
    }
}

impl Subject {
    /// What follows the prefix in the certificate.
    fn claim(&self) -> Result<String, Error> {
        match self {
            Self::Operator => Ok("*".to_owned()),
            Self::Domain(text) => {
                // Only the form with hyphens has this length; the parser takes three others.
                let id = Uuid::try_parse(text).ok().filter(|id| text.len() == UUID_TEXT_LEN && !id.is_nil());
                id.map(|id| id.hyphenated().to_string()).ok_or(Error::Subject)
            }
        }
    }
}

/// A text fit to be a common name.
pub(super) fn common_name(text: &str) -> Result<String, Error> {
    if text.trim().is_empty() {
        return Err(Error::CommonName(NameFault::Empty));
    }
    if text.chars().count() > COMMON_NAME_MAX {
        return Err(Error::CommonName(NameFault::TooLong { max: COMMON_NAME_MAX }));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::CommonName(NameFault::Control));
    }
    Ok(text.to_owned())
}

/// The first valid second for something issued now: a little earlier, for peers whose clock is late.
pub(super) fn backdated(moment: OffsetDateTime) -> Result<OffsetDateTime, Error> {
    let start = moment.checked_sub(SKEW).and_then(whole_utc_seconds);
    // Below 1950 the two date forms of X.509 stop being well defined.
    start.filter(|start| start.year() >= 1950).ok_or(Error::Validity)
}

/// The last valid second of a period that starts at `moment`.
pub(super) fn ending(moment: OffsetDateTime, validity: Duration) -> Result<OffsetDateTime, Error> {
    if validity < Duration::DAY {
        return Err(Error::Validity);
    }
    let end = moment.checked_add(validity).and_then(whole_utc_seconds);
    // 9999-12-31 means "never ends" in X.509, which nothing here should.
    end.filter(|end| end.year() < 9999).ok_or(Error::Validity)
}

fn whole_utc_seconds(moment: OffsetDateTime) -> Option<OffsetDateTime> {
    moment.checked_to_offset(UtcOffset::UTC)?.replace_nanosecond(0).ok()
}

/// 16 random bytes, read as a positive number that never starts with a zero byte, so that its text form is unique.
pub(super) fn random_serial() -> Result<Vec<u8>, Error> {
    let mut serial = vec![0_u8; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| Error::Random)?;
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(serial)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// How the alternative name of an access certificate begins: okms-cli reads its domain from there.
const OKMS_DOMAIN_PREFIX: &str = "okms.domain:";
/// The user principal name, 1.3.6.1.4.1.311.20.2.3.
const UPN_OID: [u64; 10] = [1, 3, 6, 1, 4, 1, 311, 20, 2, 3];
/// X.520's upper bound for a common name.
const COMMON_NAME_MAX: usize = 64;
const UUID_TEXT_LEN: usize = 36;
const SKEW: Duration = Duration::minutes(5);

#[cfg(test)]
mod tests {
    use super::super::test_tools::{DOMAIN, now, region};
    use super::*;
    use crate::pki::certificate::read;
    use crate::pki::{RequestFault, signing_request};

    fn access(ca: &CertificateAuthority, subject: &Subject, name: &str) -> Result<Issued, Error> {
        ca.issue_access(subject, name, KeySource::Fresh(KeyKind::P256), now(), 30)
    }

    #[test]
    fn only_a_uuid_names_a_domain() {
        let (ca, _) = region();
        let nil = "00000000-0000-0000-0000-000000000000";
        let simple = DOMAIN.replace('-', "");
        for text in ["", "*", nil, "okms.domain:x", &simple, &format!("{{{DOMAIN}}}"), &format!("{DOMAIN} ")] {
            let refused = access(&ca, &Subject::Domain(text.to_owned()), "billing");
            assert!(matches!(refused, Err(Error::Subject)), "{text:?}");
        }
        assert!(access(&ca, &Subject::Domain(DOMAIN.to_uppercase()), "billing").is_ok());
    }

    #[test]
    fn display_names_are_bounded() {
        let (ca, _) = region();
        let refused = |name: &str| access(&ca, &Subject::Operator, name).expect_err("refused");
        assert!(matches!(refused(" "), Error::CommonName(NameFault::Empty)));
        assert!(matches!(refused("a\0b"), Error::CommonName(NameFault::Control)));
        assert!(matches!(refused(&"é".repeat(65)), Error::CommonName(NameFault::TooLong { max: 64 })));
        assert!(access(&ca, &Subject::Operator, &"é".repeat(64)).is_ok());
    }

    #[test]
    fn a_leaf_never_outlives_its_ca_and_starts_a_little_early() {
        let (ca, _) = region();
        let issue =
            |moment, days| ca.issue_access(&Subject::Operator, "op", KeySource::Fresh(KeyKind::P256), moment, days);
        let leaf = issue(now() + Duration::DAY, 10).unwrap();
        assert_eq!(leaf.not_before, now() + Duration::DAY - SKEW);
        assert_eq!(leaf.not_after, now() + Duration::days(11));
        assert_eq!(issue(now(), u32::MAX).err().map(|error| error.to_string()), Some(Error::Validity.to_string()));
        assert_eq!(issue(now(), 100_000).unwrap().not_after, ca.not_after());
        assert_eq!(issue(now(), 10).unwrap().not_before, ca.not_before);
        assert!(matches!(issue(now(), 0), Err(Error::Validity)));
        assert!(matches!(issue(ca.not_after(), 1), Err(Error::CaExpired)));
        assert!(matches!(issue(now() - Duration::DAY, 1), Err(Error::CaNotYetValid)));
    }

    #[test]
    fn serials_are_positive_and_differ() {
        let serials: std::collections::HashSet<_> = (0..200).map(|_| random_serial().unwrap()).collect();
        assert_eq!(serials.len(), 200);
        assert!(serials.iter().all(|serial| serial.len() == 16 && (0x40..0x80).contains(&serial[0])));
    }

    #[test]
    fn server_names_are_judged() {
        let dns = |text: &str| Ok(ServerName::Dns(text.to_owned()));
        assert_eq!("KMS.example.com".parse().map_err(|_: Error| ()), dns("kms.example.com"));
        assert_eq!("*.example.com".parse().map_err(|_: Error| ()), dns("*.example.com"));
        assert!(matches!("127.0.0.1".parse(), Ok(ServerName::Ip(_))));
        assert!(matches!("::1".parse(), Ok(ServerName::Ip(_))));
        for text in ["", ".", "a b", "example.com.", "*", "*.*.com", "a\0b", "exämple.com", "http://x"] {
            assert!(text.parse::<ServerName>().is_err(), "{text:?}");
        }
        let (ca, _) = region();
        let issue = |names: &[ServerName]| ca.issue_server(names, KeySource::Fresh(KeyKind::P256), now(), 1);
        assert!(matches!(issue(&[]), Err(Error::NoServerName)));
        assert!(matches!(issue(&[ServerName::Dns("a b".to_owned())]), Err(Error::ServerName)));
        let long = format!("{}.{}.example", "a".repeat(60), "b".repeat(60));
        assert!(issue(&[ServerName::Dns(long)]).is_ok());
    }

    #[test]
    fn a_request_gives_its_key_and_nothing_else() {
        let (ca, _) = region();
        let key = generate_key(KeyKind::P256).unwrap();
        let request = signing_request(&key, "i-am-the-operator").unwrap();
        let subject = Subject::Domain(DOMAIN.to_owned());
        let leaf = ca.issue_access(&subject, "billing", KeySource::Request(&request), now(), 1).unwrap();
        assert!(leaf.key.is_none());
        let read = read(&leaf.certificate_der).unwrap();
        assert_eq!(read.subject().to_string(), "CN=billing");
        assert_eq!(read.public_key().subject_public_key.data, key.pair().unwrap().der_bytes());
        let refused = ca.issue_access(&subject, "billing", KeySource::Request("nonsense"), now(), 1);
        assert!(matches!(refused, Err(Error::Request(RequestFault::Pem(_)))));
    }

    #[test]
    fn an_issued_key_does_not_print() {
        let (ca, _) = region();
        let leaf = access(&ca, &Subject::Operator, "op").unwrap();
        let body = leaf.key.as_ref().unwrap().expose().lines().nth(1).unwrap().to_owned();
        assert!(!format!("{leaf:?}").contains(&body));
    }
}
