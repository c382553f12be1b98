//! The list of certificates that were revoked, signed by the authority that issued them.
//!
//! Always holds: the list names its authority's key as the authority's certificate does. Never
//! does: read a clock.

use rcgen::{
    CertificateRevocationListParams, RevocationReason as Code, RevokedCertParams, SerialNumber,
};
use time::OffsetDateTime;

use super::{ca::CertificateAuthority, error::Error, serial::Serial};
use crate::model::{RevocationReason, Timestamp};

/// One line of the list.
#[derive(Clone, Copy, Debug)]
pub struct RevokedCertificate {
    /// Its serial number.
    pub serial: Serial,
    /// When it was revoked.
    pub at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
}

impl CertificateAuthority {
    /// The list of what is `revoked`, DER, which counts from `now` on until another is made, at
    /// `next` at the latest. A later list has a greater number.
    ///
    /// # Errors
    /// [`Error::CrlSign`] where the authority's certificate does not allow it.
    pub fn revocation_list(
        &self,
        revoked: &[RevokedCertificate],
        now: Timestamp,
        next: Timestamp,
    ) -> Result<Vec<u8>, Error> {
        let lines = revoked.iter().map(|line| {
            Ok(RevokedCertParams {
                serial_number: line.serial.significant().to_vec().into(),
                revocation_time: date(line.at)?,
                reason_code: code(line.reason),
                invalidity_date: None,
            })
        });
        let millis = u64::try_from(now.unix_nanos() / 1_000_000).unwrap_or_default();
        let params = CertificateRevocationListParams {
            this_update: date(now)?,
            next_update: date(next)?,
            crl_number: SerialNumber::from(millis),
            issuing_distribution_point: None,
            revoked_certs: lines.collect::<Result<_, Error>>()?,
            key_identifier_method: self.key_id.clone(),
        };
        let list = params.signed_by(&self.issuer).map_err(|error| match error {
            rcgen::Error::IssuerNotCrlSigner => Error::CrlSign,
            _ => Error::Sign,
        })?;
        Ok(list.der().to_vec())
    }
}

fn date(moment: Timestamp) -> Result<OffsetDateTime, Error> {
    OffsetDateTime::from_unix_timestamp(moment.unix_seconds()).map_err(|_| Error::Validity)
}

/// RFC 5280, 5.3.1: a reason that nobody said is left out.
const fn code(reason: RevocationReason) -> Option<Code> {
    Some(match reason {
        RevocationReason::Unspecified => return None,
        RevocationReason::KeyCompromise => Code::KeyCompromise,
        RevocationReason::AffiliationChanged => Code::AffiliationChanged,
        RevocationReason::Superseded => Code::Superseded,
        RevocationReason::CessationOfOperation => Code::CessationOfOperation,
        RevocationReason::PrivilegeWithdrawn => Code::PrivilegeWithdrawn,
    })
}
