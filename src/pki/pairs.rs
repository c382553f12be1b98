//! Key pairs and certificates that are made for somebody else, as values of secrets: in PEM, or in OpenSSH's
//! own form (its PROTOCOL.key).
//!
//! Always holds: both halves belong together; the private one is wiped when dropped, and does not print.
//! Never does: keep one, or vouch for it.

use std::fmt;

use aws_lc_rs::{
    rand,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, PublicKeyData,
};
use zeroize::Zeroizing;

use super::{
    error::{Error, KeyFault},
    key::{KeyKind, PrivateKeyPem, generate_key},
    names::ServerName,
    serial::Serial,
    validity::Validity,
};
use crate::model::{
    Timestamp,
    recipe::{Curve, RsaBits, SelfSigned, SshKind},
};

/// A private key, and what the world may know of it: its public key, or a certificate.
pub struct Pair {
    private: Zeroizing<String>,
    public: String,
}

impl Pair {
    /// Both, the private one first.
    #[must_use]
    pub fn into_parts(self) -> (Zeroizing<String>, String) {
        (self.private, self.public)
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair")
    }
}

/// An RSA key pair in PEM. Takes up to seconds: not on an async thread.
///
/// # Errors
/// `Error::Generate` where the library makes none.
pub fn rsa_pair(bits: RsaBits) -> Result<Pair, Error> {
    pem_pair(match bits {
        RsaBits::B2048 => KeyKind::Rsa2048,
        RsaBits::B4096 => KeyKind::Rsa4096,
    })
}

/// A key pair on an elliptic curve, in PEM.
///
/// # Errors
/// `Error::Generate` where the library makes none.
pub fn ec_pair(curve: Curve) -> Result<Pair, Error> {
    pem_pair(on(curve))
}

/// An SSH key pair in OpenSSH's form. Of RSA it takes up to seconds: not on an async thread.
///
/// # Errors
/// `Error::Generate` where the library makes none.
pub fn ssh_pair(kind: SshKind, comment: &str) -> Result<Pair, Error> {
    let key = match kind {
        SshKind::Ed25519 => SshKey::ed25519()?,
        SshKind::Rsa => SshKey::rsa(&generate_key(KeyKind::Rsa3072)?)?,
    };
    key.pair(comment)
}

/// A certificate that its own key has signed, for servers and clients, and that key, both in PEM. Where no DNS
/// names are given, the common name is one if it can be.
///
/// # Errors
/// [`Error`] says what cannot be in a certificate.
pub fn self_signed(wanted: &SelfSigned, now: Timestamp) -> Result<Pair, Error> {
    let key = generate_key(on(wanted.curve))?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, &*wanted.common_name);
    let names = wanted.dns.iter().map(|name| name.parse::<ServerName>());
    params.subject_alt_names = match wanted.dns.as_slice() {
        [] => wanted.common_name.parse().iter().map(ServerName::san).collect(),
        _ => names.map(|name| name.map(|name| name.san())).collect::<Result<_, _>>()?,
    };
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.serial_number = Some(Serial::random()?.significant().to_vec().into());
    (params.not_before, params.not_after) = Validity::for_days(now, wanted.days)?.dates()?;
    let certificate = params.self_signed(&key.pair()?).map_err(|_| Error::Sign)?;
    Ok(Pair { private: Zeroizing::new(key.expose().to_owned()), public: certificate.pem() })
}

const fn on(curve: Curve) -> KeyKind {
    match curve {
        Curve::P256 => KeyKind::P256,
        Curve::P384 => KeyKind::P384,
    }
}

fn pem_pair(kind: KeyKind) -> Result<Pair, Error> {
    let key = generate_key(kind)?;
    let public = key.pair()?.subject_public_key_info();
    let public = in_pem("PUBLIC KEY", &public, 64);
    Ok(Pair { private: Zeroizing::new(key.expose().to_owned()), public: String::clone(&public) })
}

/// PEM text, with lines of so many characters.
fn in_pem(label: &str, bytes: &[u8], width: usize) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(bytes));
    // With room for all of it, so that no part of it is left behind.
    let room = body.len() + body.len() / width + 2 * (label.len() + 20);
    let mut text = Zeroizing::new(String::with_capacity(room));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    for (number, digit) in body.chars().enumerate() {
        if number > 0 && number % width == 0 {
            text.push('\n');
        }
        text.push(digit);
    }
    text.push_str("\n-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// An SSH key: its two forms, as sequences of strings.
struct SshKey {
    kind: &'static str,
    public: Wire,
    private: Wire,
}

/// Bytes as RFC 4251 has them.
#[derive(Default)]
struct Wire(Zeroizing<Vec<u8>>);

impl Wire {
    /// One in which so many bytes have room, so that none are left behind when it grows.
    fn with_room(bytes: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(bytes)))
    }

    fn number(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// A string, and a positive number as well, if its first bit is not set.
    fn string(self, bytes: &[u8]) -> Result<Self, Error> {
        let length = u32::try_from(bytes.len()).map_err(|_| Error::Generate)?;
        let mut this = self.number(length);
        this.0.extend_from_slice(bytes);
        Ok(this)
    }

    fn strings(self, all: &[&[u8]]) -> Result<Self, Error> {
        all.iter().try_fold(self, |this, bytes| this.string(bytes))
    }
}

impl SshKey {
    fn ed25519() -> Result<Self, Error> {
        const KIND: &str = "ssh-ed25519";
        let mut seed = Zeroizing::new([0; 32]);
        rand::fill(&mut *seed).map_err(|_| Error::Random)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| Error::Generate)?;
        let public = pair.public_key().as_ref();
        let mut both = Zeroizing::new([0; 64]);
        let (first, second) = both.split_at_mut(32);
        first.copy_from_slice(&*seed);
        second.copy_from_slice(public.get(..32).ok_or(Error::Generate)?);
        Ok(Self {
            kind: KIND,
            public: Wire::default().strings(&[KIND.as_bytes(), public])?,
            private: Wire::with_room(256).strings(&[KIND.as_bytes(), public, &*both])?,
        })
    }

    /// The same key as an RSA key of PKCS#8.
    fn rsa(key: &PrivateKeyPem) -> Result<Self, Error> {
        const KIND: &str = "ssh-rsa";
        let pair = key.pair()?;
        let [modulus, exponent, secret, prime, other, _, _, inverse] =
            &rsa_numbers(pair.serialized_der())?;
        Ok(Self {
            kind: KIND,
            public: Wire::default().strings(&[KIND.as_bytes(), exponent, modulus])?,
            private: Wire::with_room(4096).strings(&[
                KIND.as_bytes(),
                modulus,
                exponent,
                secret,
                inverse,
                prime,
                other,
            ])?,
        })
    }

    fn pair(&self, comment: &str) -> Result<Pair, Error> {
        const BLOCK: usize = 8;
        let mut check = [0; 4];
        rand::fill(&mut check).map_err(|_| Error::Random)?;
        let check = u32::from_be_bytes(check);
        let mut private = Wire::with_room(self.private.0.len() + comment.len() + 64);
        private = private.number(check).number(check);
        private.0.extend_from_slice(&self.private.0);
        private = private.string(comment.as_bytes())?;
        let padding = 1..=u8::MAX;
        let missing = private.0.len().next_multiple_of(BLOCK) - private.0.len();
        private.0.extend(padding.take(missing));

        let room = private.0.len() + self.public.0.len() + 128;
        let mut file = Wire::with_room(room);
        file.0.extend_from_slice(b"openssh-key-v1\0");
        let file = file
            .strings(&[b"none", b"none", b""])?
            .number(1)
            .strings(&[&self.public.0, &private.0])?;
        let private = in_pem("OPENSSH PRIVATE KEY", &file.0, 70);
        let public = format!("{} {} {comment}", self.kind, STANDARD.encode(&*self.public.0));
        Ok(Pair { private, public: public.trim_end().to_owned() })
    }
}

/// The numbers of an RSA key (RFC 8017 A.1.2) in PKCS#8, as DER has them: positive, and shortest, which is how SSH
/// wants them.
fn rsa_numbers(pkcs8: &[u8]) -> Result<[Zeroizing<Vec<u8>>; 8], Error> {
    let unsupported = |_| Error::PrivateKey(KeyFault::Unsupported);
    let inner = yasna::parse_der(pkcs8, |reader| {
        reader.read_sequence(|reader| {
            reader.next().read_u8()?;
            reader.next().read_der()?;
            reader.next().read_bytes().map(Zeroizing::new)
        })
    })
    .map_err(unsupported)?;
    yasna::parse_der(&inner, |reader| {
        reader.read_sequence(|reader| {
            reader.next().read_u8()?;
            let mut numbers: [Zeroizing<Vec<u8>>; 8] = Default::default();
            for number in &mut numbers {
                *number = Zeroizing::new(reader.next().read_bigint_bytes()?.0);
            }
            Ok(numbers)
        })
    })
    .map_err(unsupported)
}
