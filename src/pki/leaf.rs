//! Issuing: server certificates, access certificates, operator certificates.
//!
//! Always holds: every leaf has a random positive 16-byte serial, CA:FALSE, one extended key usage,
//! the key identifiers of its own and its CA's key, and ends no later than its CA. Never does: take
//! a name from a signing request. The text `*`, which means "operator", is written for
//! [`Subject::Operator`] only.

use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    PublicKeyData, SanType,
};

use super::ca::CertificateAuthority;
use super::csr::RequestedKey;
use super::error::Error;
use super::key::{KeyKind, PrivateKeyPem, generate_key};
use super::names::{ServerName, subject};
use super::serial::Serial;
use super::validity::Validity;
use crate::model::{OkmsId, Timestamp};

/// Whom an access certificate speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// One domain.
    Domain(OkmsId),
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

/// A certificate just issued. The leaf stands alone: its issuer is the root that both sides already
/// trust.
#[derive(Debug)]
pub struct Issued {
    /// The certificate as PEM.
    pub certificate_pem: String,
    /// The certificate as DER.
    pub certificate_der: Vec<u8>,
    /// The private key, if it was made here.
    pub key: Option<PrivateKeyPem>,
    /// The serial number.
    pub serial: Serial,
    /// When it is valid; it ends earlier than asked for when the CA itself does.
    pub validity: Validity,
}

impl CertificateAuthority {
    /// Issues a server certificate for the given names, valid from a few minutes before `now` for
    /// `days`.
    ///
    /// # Errors
    /// [`Error`] says which input is at fault.
    pub fn issue_server(
        &self,
        names: &[ServerName],
        key: KeySource<'_>,
        now: Timestamp,
        days: u32,
    ) -> Result<Issued, Error> {
        let first = names.first().ok_or(Error::NoServerName)?;
        // Only people read this name. A DNS name too long for it stands in the alternative names
        // all the same.
        let name = subject(&first.to_string()).or_else(|_| subject("okmsd server"))?;
        let mut params = leaf_params(name, ExtendedKeyUsagePurpose::ServerAuth);
        params.subject_alt_names = names.iter().map(ServerName::san).collect();
        self.issue(params, key, self.leaf_validity(now, days)?)
    }

    /// Issues an access certificate (a domain's or an operator's), valid from a few minutes before
    /// `now` for `days`. The display name becomes the common name, for people to read: nothing is
    /// ever decided by it.
    ///
    /// # Errors
    /// [`Error`] says which input is at fault.
    pub fn issue_access(
        &self,
        holder: &Subject,
        display_name: &str,
        key: KeySource<'_>,
        now: Timestamp,
        days: u32,
    ) -> Result<Issued, Error> {
        let validity = self.leaf_validity(now, days)?;
        let mut params = leaf_params(subject(display_name)?, ExtendedKeyUsagePurpose::ClientAuth);
        let upn = match holder {
            Subject::Domain(id) => format!("{OKMS_DOMAIN_PREFIX}{id}"),
            Subject::Operator => format!("{OKMS_DOMAIN_PREFIX}*"),
        };
        params.subject_alt_names = vec![SanType::OtherName((UPN_OID.to_vec(), upn.into()))];
        self.issue(params, key, validity)
    }

    fn leaf_validity(&self, now: Timestamp, days: u32) -> Result<Validity, Error> {
        // At its last second nothing could begin any more.
        if now.unix_seconds() >= self.validity().not_after {
            return Err(Error::CaExpired);
        }
        if !self.validity().has_begun(now) {
            return Err(Error::CaNotYetValid);
        }
        Ok(Validity::for_days(now, days)?.and(self.validity()))
    }

    fn issue(
        &self,
        params: CertificateParams,
        key: KeySource<'_>,
        validity: Validity,
    ) -> Result<Issued, Error> {
        match key {
            KeySource::Fresh(kind) => {
                let key = generate_key(kind)?;
                let pair = key.pair()?;
                self.sign(params, &pair, Some(key), validity)
            }
            KeySource::Request(text) => {
                let requested = RequestedKey::from_pem(text).map_err(Error::Request)?;
                self.sign(params, requested.public_key(), None, validity)
            }
        }
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        public_key: &impl PublicKeyData,
        key: Option<PrivateKeyPem>,
        validity: Validity,
    ) -> Result<Issued, Error> {
        let serial = Serial::random()?;
        params.serial_number = Some(serial.significant().to_vec().into());
        (params.not_before, params.not_after) = validity.dates()?;
        let certificate = params.signed_by(public_key, &self.issuer).map_err(|_| Error::Sign)?;
        let (certificate_pem, certificate_der) = (certificate.pem(), certificate.der().to_vec());
        Ok(Issued { certificate_pem, certificate_der, key, serial, validity })
    }
}

fn leaf_params(subject: DistinguishedName, usage: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    // Saying CA:FALSE, rather than nothing, also makes rcgen write the subject key identifier.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    params
}

/// How the alternative name of an access certificate begins: okms-cli reads its domain from there.
const OKMS_DOMAIN_PREFIX: &str = "okms.domain:";
/// The user principal name, 1.3.6.1.4.1.311.20.2.3.
const UPN_OID: [u64; 10] = [1, 3, 6, 1, 4, 1, 311, 20, 2, 3];

#[cfg(test)]
mod tests {
    use super::super::test_tools::{now, region, subject};
    use super::{Error, Issued, KeyKind, KeySource, PublicKeyData, ServerName, Subject};
    use crate::model::Timestamp;
    use crate::pki::certificate::read;
    use crate::pki::{
        CertificateAuthority, NameFault, RequestFault, generate_key, signing_request,
    };

    fn access(ca: &CertificateAuthority, subject: &Subject, name: &str) -> Result<Issued, Error> {
        ca.issue_access(subject, name, KeySource::Fresh(KeyKind::P256), now(), 30)
    }

    #[test]
    fn a_display_name_is_judged() {
        let (ca, _) = region();
        assert!(matches!(
            access(&ca, &Subject::Operator, ""),
            Err(Error::CommonName(NameFault::Empty))
        ));
        assert!(access(&ca, &subject(), "Facturation é").is_ok());
    }

    #[test]
    fn a_leaf_never_outlives_its_ca_and_starts_a_little_early() {
        const DAY: i64 = 86_400;
        let (ca, _) = region();
        let now = now().unix_seconds();
        let issue = |second, days| {
            let moment = Timestamp::from_unix_seconds(second);
            ca.issue_access(&Subject::Operator, "op", KeySource::Fresh(KeyKind::P256), moment, days)
        };
        let leaf = issue(now + DAY, 10).unwrap().validity;
        assert_eq!((leaf.not_before, leaf.not_after), (now + DAY - 300, now + 11 * DAY));
        assert!(matches!(issue(now, u32::MAX), Err(Error::Validity)));
        assert_eq!(issue(now, 100_000).unwrap().validity.not_after, ca.validity().not_after);
        assert_eq!(issue(now, 10).unwrap().validity.not_before, ca.validity().not_before);
        assert!(matches!(issue(now, 0), Err(Error::Validity)));
        assert!(matches!(issue(ca.validity().not_after, 1), Err(Error::CaExpired)));
        assert!(matches!(issue(now - DAY, 1), Err(Error::CaNotYetValid)));
    }

    #[test]
    fn a_server_has_a_name() {
        let (ca, _) = region();
        let issue = |names: &[ServerName]| {
            ca.issue_server(names, KeySource::Fresh(KeyKind::P256), now(), 1)
        };
        assert!(matches!(issue(&[]), Err(Error::NoServerName)));
        let long = format!("{}.{}.example", "a".repeat(60), "b".repeat(60));
        assert!(issue(&[long.parse().unwrap()]).is_ok());
    }

    #[test]
    fn a_request_gives_its_key_and_nothing_else() {
        let (ca, _) = region();
        let key = generate_key(KeyKind::P256).unwrap();
        let request = signing_request(&key, "i-am-the-operator").unwrap();
        let leaf =
            ca.issue_access(&subject(), "billing", KeySource::Request(&request), now(), 1).unwrap();
        assert!(leaf.key.is_none());
        let read = read(&leaf.certificate_der).unwrap();
        assert_eq!(read.subject().to_string(), "CN=billing");
        assert_eq!(read.public_key().subject_public_key.data, key.pair().unwrap().der_bytes());
        let refused =
            ca.issue_access(&subject(), "billing", KeySource::Request("nonsense"), now(), 1);
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
