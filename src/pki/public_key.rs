//! Which public keys the region certifies.
//!
//! Always holds: a key that passed [`accept`] is RSA of 2048 to 8192 bits, a NIST curve point in
//! uncompressed form, or Ed25519. Everything else is refused by name. Never does: decide who the
//! key belongs to.

use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
    OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519,
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
