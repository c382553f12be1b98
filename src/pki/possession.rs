//! The proof that somebody has an authority's key: a certificate that it has signed for nothing else.
//!
//! Always holds: what proves it for one purpose proves it for no other, as the certificate's common
//! name says what for; and it ends with the certificate. Never does: read a clock.

use aws_lc_rs::signature::UnparsedPublicKey;

use super::{
    certificate::read,
    error::{CertificateFault, ProofFault},
    public_key::{accept, verification},
    validity::Validity,
};
use crate::model::Timestamp;

/// Goes on if the authority with this certificate has signed `proof` (both DER), which says
/// `purpose` and is valid at `now`.
///
/// # Errors
/// [`ProofFault`] says what it lacks.
pub fn has_signed_proof(
    authority: &[u8],
    proof: &[u8],
    purpose: &str,
    now: Timestamp,
) -> Result<(), ProofFault> {
    let unfit = |_: CertificateFault| ProofFault::Der;
    let (authority, proof) = (read(authority).map_err(unfit)?, read(proof).map_err(unfit)?);
    if proof.issuer().as_raw() != authority.subject().as_raw() {
        return Err(ProofFault::OtherIssuer);
    }
    let key = authority.public_key();
    let kind = accept(key).map_err(|_| ProofFault::Signature)?;
    let algorithm = verification(kind, &proof.signature_algorithm.algorithm);
    UnparsedPublicKey::new(algorithm.ok_or(ProofFault::Algorithm)?, &key.subject_public_key.data)
        .verify(proof.tbs_certificate.as_ref(), &proof.signature_value.data)
        .map_err(|_| ProofFault::Signature)?;
    let mut names = proof.subject().iter_common_name();
    let name = names.next().filter(|_| names.next().is_none());
    if name.and_then(|name| name.as_str().ok()) != Some(purpose) {
        return Err(ProofFault::Purpose);
    }
    let validity = Validity::from(proof.validity());
    if validity.has_expired(now) || !validity.has_begun(now) {
        return Err(ProofFault::Time);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
        date_time_ymd,
    };

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);

    fn named(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    #[test]
    fn only_the_key_proves_it_and_for_what_it_says() {
        let ca = || {
            let mut params = named("customer CA");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            (params.self_signed(&key).unwrap().der().to_vec(), Issuer::new(params, key))
        };
        let ((authority, signs), (_, impostor)) = (ca(), ca());
        let sign = |params: &CertificateParams, by| {
            params.signed_by(&KeyPair::generate().unwrap(), by).unwrap().der().to_vec()
        };
        let judge = |proof: &[u8]| has_signed_proof(&authority, proof, "for a", NOW);
        assert_eq!(judge(&sign(&named("for a"), &signs)), Ok(()));
        assert_eq!(judge(&sign(&named("for b"), &signs)), Err(ProofFault::Purpose));
        assert_eq!(judge(&sign(&named("for a"), &impostor)), Err(ProofFault::Signature));
        assert_eq!(judge(&authority), Err(ProofFault::Purpose), "everybody has that one");
        assert_eq!(judge(b"x"), Err(ProofFault::Der));
        let mut ended = named("for a");
        ended.not_after = date_time_ymd(2026, 1, 1);
        assert_eq!(judge(&sign(&ended, &signs)), Err(ProofFault::Time));
        let mut other = named("another CA");
        other.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let other = Issuer::new(other, KeyPair::generate().unwrap());
        assert_eq!(judge(&sign(&named("for a"), &other)), Err(ProofFault::OtherIssuer));
    }
}
