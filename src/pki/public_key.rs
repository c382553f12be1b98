//! Which public keys the region certifies, and whose signatures of which kind it believes.
//!
//! Always holds: a key that passed [`accept`] is RSA of 2048 to 8192 bits, a NIST curve point in
//! uncompressed form, or Ed25519. Everything else is refused by name. Never does: decide who the
//! key belongs to.

use aws_lc_rs::signature::{self, VerificationAlgorithm};
use x509_parser::asn1_rs::Oid;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
    OID_PKCS1_RSAENCRYPTION, OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA,
    OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384,
    OID_SIG_ECDSA_WITH_SHA512, OID_SIG_ED25519,
};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::error::PublicKeyFault;

/// The kinds of key that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepted {
    Rsa,
    P256,
    P384,
    P521,
    Ed25519,
}

/// Accepts or refuses the key of a certificate or request.
pub(super) fn accept(spki: &SubjectPublicKeyInfo<'_>) -> Result<Accepted, PublicKeyFault> {
    let algorithm = &spki.algorithm.algorithm;
    let key = &spki.subject_public_key;
    if key.unused_bits != 0 {
        return Err(PublicKeyFault::Damaged);
    }
    if *algorithm == OID_PKCS1_RSAENCRYPTION {
        let Ok(PublicKey::RSA(rsa)) = spki.parsed() else {
            return Err(PublicKeyFault::Damaged);
        };
        return match modulus_bits(rsa.modulus) {
            2048..=8192 => Ok(Accepted::Rsa),
            bits => Err(PublicKeyFault::RsaSize { bits }),
        };
    }
    if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve =
            spki.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
        let (accepted, point_len) = match curve {
            Some(oid) if oid == OID_EC_P256 => (Accepted::P256, 65),
            Some(oid) if oid == OID_NIST_EC_P384 => (Accepted::P384, 97),
            Some(oid) if oid == OID_NIST_EC_P521 => (Accepted::P521, 133),
            _ => return Err(PublicKeyFault::Curve),
        };
        if key.data.first() != Some(&0x04) || key.data.len() != point_len {
            return Err(PublicKeyFault::PointForm);
        }
        return Ok(accepted);
    }
    if *algorithm == OID_SIG_ED25519 {
        return if key.data.len() == 32 {
            Ok(Accepted::Ed25519)
        } else {
            Err(PublicKeyFault::Damaged)
        };
    }
    Err(PublicKeyFault::Algorithm)
}

/// How to verify a signature of this algorithm by a key of this kind. SHA-1 is not among the
/// answers, and the kind of the key and of the signature must agree, or a key could be judged as
/// one kind and verified as another.
pub(super) fn verification(
    key: Accepted,
    algorithm: &Oid<'_>,
) -> Option<&'static dyn VerificationAlgorithm> {
    let is = |oid: &Oid<'_>| *algorithm == *oid;
    Some(match key {
        Accepted::Rsa if is(&OID_PKCS1_SHA256WITHRSA) => &signature::RSA_PKCS1_2048_8192_SHA256,
        Accepted::Rsa if is(&OID_PKCS1_SHA384WITHRSA) => &signature::RSA_PKCS1_2048_8192_SHA384,
        Accepted::Rsa if is(&OID_PKCS1_SHA512WITHRSA) => &signature::RSA_PKCS1_2048_8192_SHA512,
        Accepted::P256 if is(&OID_SIG_ECDSA_WITH_SHA256) => &signature::ECDSA_P256_SHA256_ASN1,
        Accepted::P256 if is(&OID_SIG_ECDSA_WITH_SHA384) => &signature::ECDSA_P256_SHA384_ASN1,
        Accepted::P256 if is(&OID_SIG_ECDSA_WITH_SHA512) => &signature::ECDSA_P256_SHA512_ASN1,
        Accepted::P384 if is(&OID_SIG_ECDSA_WITH_SHA256) => &signature::ECDSA_P384_SHA256_ASN1,
        Accepted::P384 if is(&OID_SIG_ECDSA_WITH_SHA384) => &signature::ECDSA_P384_SHA384_ASN1,
        Accepted::P384 if is(&OID_SIG_ECDSA_WITH_SHA512) => &signature::ECDSA_P384_SHA512_ASN1,
        Accepted::P521 if is(&OID_SIG_ECDSA_WITH_SHA256) => &signature::ECDSA_P521_SHA256_ASN1,
        Accepted::P521 if is(&OID_SIG_ECDSA_WITH_SHA384) => &signature::ECDSA_P521_SHA384_ASN1,
        Accepted::P521 if is(&OID_SIG_ECDSA_WITH_SHA512) => &signature::ECDSA_P521_SHA512_ASN1,
        Accepted::Ed25519 if is(&OID_SIG_ED25519) => &signature::ED25519,
        _ => return None,
    })
}

fn modulus_bits(modulus: &[u8]) -> usize {
    let significant = modulus.iter().skip_while(|byte| **byte == 0);
    let bytes = significant.clone().count();
    let leading_zeros = significant.clone().next().map_or(0, |byte| byte.leading_zeros() as usize);
    (bytes * 8).saturating_sub(leading_zeros)
}

#[cfg(test)]
mod tests {
    use super::modulus_bits;

    #[test]
    fn modulus_bits_ignore_leading_zeros() {
        assert_eq!(modulus_bits(&[]), 0);
        assert_eq!(modulus_bits(&[0, 0]), 0);
        assert_eq!(modulus_bits(&[0, 0x80, 0]), 16);
        assert_eq!(modulus_bits(&[0x01, 0]), 9);
    }
}
