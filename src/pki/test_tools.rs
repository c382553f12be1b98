//! What the room's tests share: one moment, one domain, one region's CA.

use super::{CertificateAuthority, PrivateKeyPem, Subject};
use crate::model::Timestamp;

pub(super) const DOMAIN: &str = "0f8b6c1e-4a55-4a7e-9d43-1c2f6a7b8c9d";

pub(super) fn subject() -> Subject {
    Subject::Domain(DOMAIN.parse().unwrap())
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_unix_seconds(1_790_000_000)
}

pub(super) fn region() -> (CertificateAuthority, PrivateKeyPem) {
    CertificateAuthority::create("okmsd test region CA", now(), 3650).unwrap()
}
