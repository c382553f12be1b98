//! What the room's tests share: certificates made to measure.

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair};

use super::{
    identity::{CertIdentity, IdentityError},
    voucher::{Issuer, Voucher},
};
use crate::pki::Validity;

pub(super) const DOMAIN: &str = "0f8b6c1e-4a55-4a7e-9d43-1c2f6a7b8c9d";

/// The region's authority.
pub(super) const VOUCHER: Voucher = Voucher {
    issuer: Issuer::Region,
    authority_key: [1; 32],
    is_direct: true,
    validity: Validity { not_before: 0, not_after: i64::MAX },
};

/// The identity in a certificate with this subject.
pub(super) fn subject(parts: &[(&str, &str)]) -> CertIdentity {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (kind, text) in parts {
        let kind = match *kind {
            "O" => DnType::OrganizationName,
            "OU" => DnType::OrganizationalUnitName,
            "C" => DnType::CountryName,
            "L" => DnType::LocalityName,
            _ => DnType::CommonName,
        };
        params.distinguished_name.push(kind, *text);
    }
    let key = KeyPair::generate().unwrap();
    CertIdentity::from_der(params.self_signed(&key).unwrap().der()).unwrap()
}

/// A self-signed certificate with exactly these extensions.
pub(super) fn with_extensions(extensions: Vec<CustomExtension>) -> Vec<u8> {
    made_of(Some("test"), extensions)
}

fn made_of(common_name: Option<&str>, extensions: Vec<CustomExtension>) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.custom_extensions = extensions;
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

pub(super) fn der(tag: u8, content: &[u8]) -> Vec<u8> {
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

pub(super) fn san(content: Vec<u8>) -> CustomExtension {
    CustomExtension::from_oid_content(&[2, 5, 29, 17], content)
}

/// The identity in a certificate with these general names, each already in DER.
pub(super) fn identify(names: &[Vec<u8>]) -> Result<CertIdentity, IdentityError> {
    CertIdentity::from_der(&with_extensions(vec![san(der(0x30, &names.concat()))]))
}

/// The same, and this common name, or none.
pub(super) fn certify(
    common_name: Option<&str>,
    names: &[Vec<u8>],
) -> Result<CertIdentity, IdentityError> {
    CertIdentity::from_der(&made_of(common_name, vec![san(der(0x30, &names.concat()))]))
}

const UPN_OID_DER: [u8; 12] =
    [0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x14, 0x02, 0x03];

pub(super) fn upn_of(value: &[u8]) -> Vec<u8> {
    der(0xa0, &[UPN_OID_DER.as_slice(), value].concat())
}

pub(super) fn upn(text: &str) -> Vec<u8> {
    upn_of(&der(0xa0, &der(0x0c, text.as_bytes())))
}

/// An otherName of the kind 1.2.3.
pub(super) fn other_name(value: &[u8]) -> Vec<u8> {
    der(0xa0, &[&[0x06, 0x02, 0x2a, 0x03], value].concat())
}
