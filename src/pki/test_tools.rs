//! What the room's tests share: one moment, one region's CA.

use time::{Duration, OffsetDateTime};

use super::{CertificateAuthority, PrivateKeyPem};

pub(super) const DOMAIN: &str = "0f8b6c1e-4a55-4a7e-9d43-1c2f6a7b8c9d";

pub(super) fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap()
}

pub(super) fn region() -> (CertificateAuthority, PrivateKeyPem) {
    CertificateAuthority::create("okmsd test region CA", now(), Duration::days(3650)).unwrap()
}
