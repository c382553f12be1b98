//! PKCS#10 signing requests: making one, and taking the public key out of one after the proof that
//! the requester holds its private half.
//!
//! Always holds: a [`RequestedKey`] was accepted by the key rules and its request's signature
//! verified. Never does: hand out the names, alternative names or extensions of a request. They are
//! read past, whatever they are: a request made by `openssl req` for another purpose works too.
//! That is why the request is read with x509-parser here; rcgen refuses a request whose extensions
//! it does not know, and verifies no P-521 request.

use aws_lc_rs::signature::UnparsedPublicKey;
use rustls_pki_types::CertificateSigningRequestDer;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use super::error::{Error, PublicKeyFault, RequestFault};
use super::key::PrivateKeyPem;
use super::names::subject;
use super::pem::{self, exactly_one};
use super::public_key::{accept, verification};

/// A public key whose holder proved to hold the private half.
pub(super) struct RequestedKey(rcgen::SubjectPublicKeyInfo);

impl RequestedKey {
    /// Reads a PEM request, judges its key and verifies its signature.
    pub(super) fn from_pem(text: &str) -> Result<Self, RequestFault> {
        if text.len() > REQUEST_BYTES_MAX {
            return Err(RequestFault::TooLarge);
        }
        Self::from_der(&request_in(text)?)
    }

    fn from_der(der: &[u8]) -> Result<Self, RequestFault> {
        let (rest, request) =
            X509CertificationRequest::from_der(der).map_err(|_| RequestFault::Der)?;
        if !rest.is_empty() {
            return Err(RequestFault::Der);
        }
        let info = &request.certification_request_info;
        let key = accept(&info.subject_pki).map_err(RequestFault::PublicKey)?;

        let algorithm = verification(key, &request.signature_algorithm.algorithm)
            .ok_or(RequestFault::SignatureAlgorithm)?;
        UnparsedPublicKey::new(algorithm, &info.subject_pki.subject_public_key.data)
            .verify(info.raw, &request.signature_value.data)
            .map_err(|_| RequestFault::Signature)?;

        rcgen::SubjectPublicKeyInfo::from_der(info.subject_pki.raw)
            .map(Self)
            .map_err(|_| RequestFault::PublicKey(PublicKeyFault::Damaged))
    }

    /// The key in the form that signing takes.
    pub(super) fn public_key(&self) -> &rcgen::SubjectPublicKeyInfo {
        &self.0
    }
}

/// A PKCS#10 request (PEM) for the key, so that its owner need not send the key. The name is a
/// courtesy to people who read the request: the server decides what the certificate says.
///
/// # Errors
/// [`Error`] says which input is at fault.
pub fn signing_request(key: &PrivateKeyPem, name: &str) -> Result<String, Error> {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = subject(name)?;
    params
        .serialize_request(&key.pair()?)
        .and_then(|request| request.pem())
        .map_err(|_| Error::Sign)
}

/// The signing request in `text`, alone: what stands around it, a private key perhaps, is left
/// behind. It is judged as it will be where the certificate is issued.
///
/// # Errors
/// [`Error::Request`] says what is wrong with it.
pub fn request_alone(text: &str) -> Result<String, Error> {
    RequestedKey::from_pem(text).map_err(Error::Request)?;
    let der = request_in(text).map_err(Error::Request)?;
    Ok(pem::text("CERTIFICATE REQUEST", &der))
}

fn request_in(text: &str) -> Result<CertificateSigningRequestDer<'static>, RequestFault> {
    // The older label is still written by `openssl req -newhdr` and by some appliances.
    let text = text.replace(" NEW CERTIFICATE REQUEST-----", " CERTIFICATE REQUEST-----");
    Ok(exactly_one(text.as_bytes())?)
}

const REQUEST_BYTES_MAX: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pki::{KeyKind, PemFault, PemKind, generate_key};

    fn request() -> String {
        signing_request(&generate_key(KeyKind::P256).unwrap(), "billing").unwrap()
    }

    fn fault(text: &str) -> RequestFault {
        RequestedKey::from_pem(text).err().expect("the request is refused")
    }

    #[test]
    fn a_request_gives_its_key() {
        assert!(RequestedKey::from_pem(&request()).is_ok());
        let older = request().replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST");
        assert!(RequestedKey::from_pem(&older).is_ok());
    }

    #[test]
    fn a_request_leaves_alone() {
        let key = generate_key(KeyKind::P256).unwrap();
        let request = signing_request(&key, "billing").unwrap();
        let alone = request_alone(&format!("{}\nnote\n{request}", key.expose())).unwrap();
        assert!(!alone.contains("PRIVATE") && RequestedKey::from_pem(&alone).is_ok());
        assert_eq!(alone.trim(), request.replace('\r', "").trim());
        let refused = request_alone(key.expose()).unwrap_err().to_string();
        assert!(
            refused.contains("private key")
                && !refused.contains(key.expose().lines().nth(1).unwrap()),
            "{refused}"
        );
    }

    #[test]
    fn text_that_is_not_one_request_is_refused_by_name() {
        assert_eq!(fault(""), RequestFault::Pem(PemFault::Empty));
        assert_eq!(fault("hello"), RequestFault::Pem(PemFault::NotPem(PemKind::Request)));
        assert_eq!(
            fault(&format!("{}{}", request(), request())),
            RequestFault::Pem(PemFault::Several)
        );
        assert_eq!(fault(&"x".repeat(REQUEST_BYTES_MAX + 1)), RequestFault::TooLarge);
        assert_eq!(
            fault(
                "-----BEGIN CERTIFICATE REQUEST-----\naGVsbG8=\n-----END CERTIFICATE REQUEST-----\n"
            ),
            RequestFault::Der
        );
    }

    #[test]
    fn a_changed_request_no_longer_proves_possession() {
        let der: CertificateSigningRequestDer<'static> = exactly_one(request().as_bytes()).unwrap();
        let at = der.windows(7).position(|window| window == b"billing").unwrap();
        let mut changed = der.to_vec();
        changed[at] = b'B';
        assert_eq!(RequestedKey::from_der(&changed).err(), Some(RequestFault::Signature));
        let mut longer = der.to_vec();
        longer.push(0);
        assert_eq!(RequestedKey::from_der(&longer).err(), Some(RequestFault::Der));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            prop_assert!(RequestedKey::from_der(&bytes).is_err());
        }
    }

    /// The parser is lax about some tags outside the signed part. That may make a damaged request
    /// pass, but never with another key than the one whose possession was proven.
    #[test]
    fn no_flipped_bit_panics_or_changes_the_key() {
        let der: CertificateSigningRequestDer<'static> = exactly_one(request().as_bytes()).unwrap();
        let honest = RequestedKey::from_der(&der).ok().unwrap();
        for at in 0..der.len() {
            assert!(RequestedKey::from_der(&der[..at]).is_err());
            for bit in 0..8 {
                let mut bytes = der.to_vec();
                bytes[at] ^= 1 << bit;
                if let Ok(read) = RequestedKey::from_der(&bytes) {
                    assert_eq!(read.0, honest.0, "byte {at} bit {bit}");
                }
            }
        }
    }
}
