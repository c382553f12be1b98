//! The certificate authority: making one, loading one.
//!
//! Always holds: a [`CertificateAuthority`] has a CA certificate that may sign, and the private key
//! that belongs to it; the CA's name goes into leaves byte for byte. A CA made here may sign leaves
//! only (path length 0). Never does: print or hand out its key again after `create`.

use std::fmt;

use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PublicKeyData,
};
use rustls_pki_types::CertificateDer;

use super::certificate::{Facts, key_sha256, read};
use super::error::{CertificateFault, Error};
use super::key::{KeyKind, PrivateKeyPem, generate_key};
use super::names::subject;
use super::pem::exactly_one;
use super::serial::Serial;
use super::validity::Validity;
use crate::model::Timestamp;

/// A CA certificate together with its private key, ready to issue.
pub struct CertificateAuthority {
    pub(super) issuer: Issuer<'static, KeyPair>,
    pub(super) key_id: KeyIdMethod,
    validity: Validity,
    certificate_pem: String,
    key_sha256: [u8; 32],
}

impl CertificateAuthority {
    /// Makes a self-signed P-256 CA, valid from a few minutes before `now` for `days`. The key is
    /// for the caller to store; the certificate is [`Self::certificate_pem`].
    ///
    /// # Errors
    /// [`Error`] says which input is at fault.
    pub fn create(name: &str, now: Timestamp, days: u32) -> Result<(Self, PrivateKeyPem), Error> {
        let key = generate_key(KeyKind::P256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(name)?;
        (params.not_before, params.not_after) = Validity::for_days(now, days)?.dates()?;
        params.serial_number = Some(Serial::random()?.significant().to_vec().into());
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key.pair()?).map_err(|_| Error::Sign)?;
        let ca = Self::load(&certificate.pem(), &key)?;
        Ok((ca, key))
    }

    /// Takes a CA certificate (PEM, exactly one) and its key. The error says which of the two is at
    /// fault, or that they are not a pair.
    ///
    /// # Errors
    /// [`Error`] says which input is at fault.
    pub fn load(certificate_pem: &str, key: &PrivateKeyPem) -> Result<Self, Error> {
        let der: CertificateDer<'_> = exactly_one(certificate_pem.as_bytes())
            .map_err(|fault| Error::CaCertificate(fault.into()))?;
        let facts = Facts::of_authority(&der).map_err(Error::CaCertificate)?;
        let pair = key.pair()?;
        if pair.der_bytes() != facts.public_key() {
            return Err(Error::CaMismatch);
        }
        let issuer = Issuer::from_ca_cert_der(&der, pair)
            .map_err(|_| Error::CaCertificate(CertificateFault::Name))?;
        let ca = Self {
            issuer,
            key_id: facts.key_id.map_or(KeyIdMethod::Sha256, KeyIdMethod::PreSpecified),
            validity: facts.validity,
            certificate_pem: certificate_pem.to_owned(),
            key_sha256: key_sha256(&der).map_err(Error::CaCertificate)?,
        };
        if ca.issuer_as_written()? == facts.subject {
            Ok(ca)
        } else {
            Err(Error::CaCertificate(CertificateFault::Name))
        }
    }

    /// The CA's name as rcgen writes it into leaves. It keeps one attribute of each type, so that a
    /// name such as `DC=example, DC=com` comes out shortened: such leaves fail at every verifier,
    /// and only there would anybody notice.
    fn issuer_as_written(&self) -> Result<Vec<u8>, Error> {
        let probe = CertificateParams::default()
            .signed_by(self.issuer.key(), &self.issuer)
            .map_err(|_| Error::Sign)?;
        let read = read(probe.der()).map_err(Error::CaCertificate)?;
        Ok(read.issuer().as_raw().to_vec())
    }

    /// The CA's certificate as PEM: what servers and clients trust.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// SHA-256 of its `SubjectPublicKeyInfo`.
    #[must_use]
    pub const fn key_sha256(&self) -> [u8; 32] {
        self.key_sha256
    }

    /// When it is valid, and with it anything that it has issued.
    #[must_use]
    pub const fn validity(&self) -> Validity {
        self.validity
    }
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority")
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_tools::{now, region};
    use super::*;
    use crate::pki::{KeyFault, KeySource, PemFault, Subject};

    fn fault(certificate: &str, key: &PrivateKeyPem) -> Error {
        CertificateAuthority::load(certificate, key).expect_err("the CA is refused")
    }

    #[test]
    fn a_created_ca_loads_again() {
        let (ca, key) = region();
        let again = CertificateAuthority::load(ca.certificate_pem(), &key).unwrap();
        assert_eq!(again.validity(), ca.validity());
        assert_eq!(again.certificate_pem(), ca.certificate_pem());
    }

    #[test]
    fn loading_names_what_is_at_fault() {
        let (ca, key) = region();
        let (_, other_key) = region();
        let pem = ca.certificate_pem();
        let of_pem = |fault| CertificateFault::Pem(fault);
        assert!(
            matches!(fault("", &key), Error::CaCertificate(fault) if fault == of_pem(PemFault::Empty))
        );
        let twice = fault(&format!("{pem}{pem}"), &key);
        assert!(matches!(twice, Error::CaCertificate(fault) if fault == of_pem(PemFault::Several)));
        let damaged = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        assert!(matches!(fault(damaged, &key), Error::CaCertificate(CertificateFault::Der)));
        assert!(matches!(fault(pem, &other_key), Error::CaMismatch));
        assert!(matches!(
            PrivateKeyPem::parse(pem.to_owned()),
            Err(Error::PrivateKey(KeyFault::Pem(_)))
        ));
        let leaf = ca
            .issue_access(&Subject::Operator, "op", KeySource::Fresh(KeyKind::P256), now(), 1)
            .unwrap();
        assert!(matches!(
            fault(&leaf.certificate_pem, leaf.key.as_ref().unwrap()),
            Error::CaCertificate(CertificateFault::NotCa)
        ));
    }

    #[test]
    fn a_ca_does_not_print_its_key() {
        let (ca, key) = region();
        let shown = format!("{ca:?}");
        assert!(shown.starts_with("CertificateAuthority"));
        assert!(!shown.contains(key.expose().lines().nth(1).unwrap()));
    }

    #[test]
    fn impossible_periods_are_refused() {
        for days in [0, u32::MAX] {
            assert!(matches!(CertificateAuthority::create("x", now(), days), Err(Error::Validity)));
        }
    }
}
