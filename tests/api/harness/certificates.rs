//! Certificates that a test wants, right or wrong.

use okmsd::{
    model::Timestamp,
    pki::{CertificateAuthority, KeyKind, KeySource, PrivateKeyPem, Subject},
};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use time::OffsetDateTime;

use super::START;

/// A certificate with its key, both PEM.
pub struct Pair {
    pub certificate: String,
    pub key: PrivateKeyPem,
}

/// An access certificate of `authority`.
pub fn issue(authority: &CertificateAuthority, subject: &Subject, days: u32) -> Pair {
    let moment = Timestamp::from_unix_seconds(START);
    let issued = authority
        .issue_access(subject, "test", KeySource::Fresh(KeyKind::P256), moment, days)
        .unwrap();
    Pair { certificate: issued.certificate_pem, key: issued.key.unwrap() }
}

/// What a hand-made certificate says. The rules of [`okmsd::pki`] do not bind it.
pub struct Leaf<'a> {
    pub common_name: &'a str,
    pub upns: &'a [&'a str],
    pub uris: &'a [&'a str],
    pub dns: &'a [&'a str],
    /// What else is in the subject.
    pub subject: &'a [(DnType, &'a str)],
    pub valid: std::ops::RangeInclusive<i64>,
    pub usage: ExtendedKeyUsagePurpose,
    pub is_ca: bool,
    /// The key that it is over, PEM; a new one where there is none.
    pub key: Option<&'a str>,
}

impl Default for Leaf<'_> {
    fn default() -> Self {
        let valid = START - 60..=START + 86_400;
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        Self {
            common_name: "hand-made",
            upns: &[],
            uris: &[],
            dns: &[],
            subject: &[],
            valid,
            usage,
            is_ca: false,
            key: None,
        }
    }
}

/// A certificate of `authority` with whatever `leaf` says.
pub fn mint(authority: &CertificateAuthority, key: &PrivateKeyPem, leaf: &Leaf<'_>) -> Pair {
    const UPN: [u64; 10] = [1, 3, 6, 1, 4, 1, 311, 20, 2, 3];
    let issuer_key = KeyPair::from_pem(key.expose()).unwrap();
    let issuer = Issuer::from_ca_cert_pem(authority.certificate_pem(), issuer_key).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, leaf.common_name);
    for (kind, text) in leaf.subject {
        params.distinguished_name.push(kind.clone(), *text);
    }
    params.not_before = OffsetDateTime::from_unix_timestamp(*leaf.valid.start()).unwrap();
    params.not_after = OffsetDateTime::from_unix_timestamp(*leaf.valid.end()).unwrap();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![leaf.usage.clone()];
    params.is_ca = if leaf.is_ca {
        IsCa::Ca(rcgen::BasicConstraints::Unconstrained)
    } else {
        IsCa::ExplicitNoCa
    };
    let names = leaf.upns.iter().map(|upn| SanType::OtherName((UPN.to_vec(), (*upn).into())));
    let uris = leaf.uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap()));
    let dns = leaf.dns.iter().map(|name| SanType::DnsName((*name).try_into().unwrap()));
    params.subject_alt_names = names.chain(uris).chain(dns).collect();
    let own_key = leaf.key.map_or_else(KeyPair::generate, KeyPair::from_pem).unwrap();
    let certificate = params.signed_by(&own_key, &issuer).unwrap();
    Pair {
        certificate: certificate.pem(),
        key: PrivateKeyPem::parse(own_key.serialize_pem()).unwrap(),
    }
}
