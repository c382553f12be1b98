//! The issuer's public keys, as it publishes them (RFC 7517).
//!
//! Always holds: a key verifies the algorithms of its own type alone, and of these the one that it names, if it
//! names one; a key that is too weak, for something else, or of a type that is not known is none. Never does:
//! take a secret or a private key for one.

use std::fmt;

use aws_lc_rs::{
    digest,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
        RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
        VerificationAlgorithm,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::auth::object::{Object, OtherType};

/// The largest set, in bytes.
pub const SET_BYTES_MAX: usize = 256 << 10;
/// The most keys in one.
const KEYS_MAX: usize = 100;
/// An RSA key's modulus, in bytes. A larger one would make each token costly.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=512;
/// RSA's usual exponent, below which none is taken.
const EXPONENT_MIN: u32 = 65_537;

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Ps256,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    const ALL: [Self; 5] = [Self::Rs256, Self::Ps256, Self::Es256, Self::Es384, Self::EdDsa];

    const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// Why a set cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetFault {
    /// More bytes than any honest one.
    #[error("it is larger than 256 KiB")]
    TooLarge,
    /// It is none.
    #[error(
        "it is no JSON Web Key Set: an object with a list of objects called keys, of which none names anything twice"
    )]
    Malformed,
    /// More than any honest one.
    #[error("it has more than 100 keys")]
    TooMany,
    /// Whoever has it signs tokens.
    #[error("it has a private key in it; publish the public half alone, and make new keys")]
    Private,
    /// One of its keys is damaged.
    #[error("its key number {0} is none: a member of it is missing, or not as RFC 7518 has it")]
    Key(usize),
    /// There is nothing to go by.
    #[error(
        "it has no key that signs tokens: RSA of 2048 to 4096 bits, EC on P-256 or P-384, or OKP on Ed25519"
    )]
    Empty,
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// None has that name.
    Unknown,
    /// None of that name is for this, or several are.
    NotOne,
}

/// The keys of an issuer that verify tokens.
pub struct KeySet {
    keys: Vec<Key>,
    /// SHA-256 of its text.
    sha256: [u8; 32],
}

/// By their texts.
impl PartialEq for KeySet {
    fn eq(&self, other: &Self) -> bool {
        self.sha256 == other.sha256
    }
}

impl Eq for KeySet {}

/// A key.
pub(super) struct Key {
    id: Option<String>,
    /// Each algorithm that it is for: all of its type, or the one that it names.
    halves: Vec<(Algorithm, ParsedPublicKey)>,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({} keys)", self.keys.len())
    }
}

impl KeySet {
    /// The keys in a set that verify tokens. Others are left out, as issuers have them for other ends.
    ///
    /// # Errors
    /// [`KeySetFault`] says what is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, KeySetFault> {
        if text.len() > SET_BYTES_MAX {
            return Err(KeySetFault::TooLarge);
        }
        let set = Object::read(text).and_then(|set| set.objects("keys").ok().flatten());
        let all = set.ok_or(KeySetFault::Malformed)?;
        if all.len() > KEYS_MAX {
            return Err(KeySetFault::TooMany);
        }
        if all.iter().any(|key| key.has("d")) {
            return Err(KeySetFault::Private);
        }
        let read = |(at, key)| Key::read(key).map_err(|_| KeySetFault::Key(at + 1));
        let keys = all.iter().enumerate().map(read).filter_map(Result::transpose);
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(KeySetFault::Empty);
        }
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest::digest(&digest::SHA256, text).as_ref());
        Ok(Self { keys, sha256 })
    }

    /// How many keys verify tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none, which is never so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The one key that a token is signed with which names this one, or none, and that algorithm.
    pub(super) fn one(&self, id: Option<&str>, algorithm: Algorithm) -> Result<&Key, Unfit> {
        let is_named = |key: &&Key| id.is_none() || key.id.as_deref() == id;
        let mut fit = self.keys.iter().filter(is_named).filter(|key| key.is_for(algorithm));
        match (fit.next(), fit.next()) {
            (Some(key), None) => Ok(key),
            (None, _) if !self.keys.iter().any(|key| is_named(&key)) => Err(Unfit::Unknown),
            _ => Err(Unfit::NotOne),
        }
    }
}

impl Key {
    /// One that verifies tokens; nothing where it is for something else.
    fn read(key: &Object) -> Result<Option<Self>, OtherType> {
        let kind = key.text("kty")?.ok_or(OtherType)?;
        let is_to_sign = key.text("use")?.is_none_or(|word| word == "sig");
        let verifies = |words: Vec<String>| words.iter().any(|word| word == "verify");
        let is_to_verify = key.texts("key_ops")?.is_none_or(verifies);
        let (only, names_one) = match key.text("alg")? {
            Some(name) => (Algorithm::named(&name), true),
            None => (None, false),
        };
        if !is_to_sign || !is_to_verify || (names_one && only.is_none()) {
            return Ok(None);
        }
        let curve = key.text("crv")?.unwrap_or_default();
        let mut halves = match (&*kind, &*curve) {
            ("RSA", _) => rsa(key)?,
            ("EC", "P-256") => point(key, 32, (Algorithm::Es256, &ECDSA_P256_SHA256_FIXED))?,
            ("EC", "P-384") => point(key, 48, (Algorithm::Es384, &ECDSA_P384_SHA384_FIXED))?,
            ("OKP", "Ed25519") => {
                let half = parsed(&ED25519, &bytes(key, "x")?)?;
                vec![(Algorithm::EdDsa, half)]
            }
            _ => return Ok(None),
        };
        halves.retain(|(algorithm, _)| only.is_none_or(|only| only == *algorithm));
        let id = key.text("kid")?;
        Ok((!halves.is_empty()).then_some(Self { id, halves }))
    }

    fn is_for(&self, algorithm: Algorithm) -> bool {
        self.halves.iter().any(|(of, _)| *of == algorithm)
    }

    pub(super) fn has_signed(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        let mut halves = self.halves.iter().filter(|(of, _)| *of == algorithm);
        halves.any(|(_, half)| half.verify_sig(signed, signature).is_ok())
    }
}

/// An RSA key; nothing where it is too weak, or too large.
fn rsa(key: &Object) -> Result<Vec<(Algorithm, ParsedPublicKey)>, OtherType> {
    let (n, e) = (bytes(key, "n")?, bytes(key, "e")?);
    let exponent = e.iter().try_fold(0_u32, |all, byte| {
        all.checked_mul(256).and_then(|all| all.checked_add(u32::from(*byte)))
    });
    let is_usual = exponent.is_some_and(|exponent| exponent >= EXPONENT_MIN && exponent % 2 == 1);
    if !MODULUS_BYTES.contains(&n.len()) || !is_usual {
        return Ok(Vec::new());
    }
    let components = RsaPublicKeyComponents { n, e };
    [(Algorithm::Rs256, &RSA_PKCS1_2048_8192_SHA256), (Algorithm::Ps256, &RSA_PSS_2048_8192_SHA256)]
        .into_iter()
        .map(|(algorithm, by)| {
            let half = components.to_parsed_public_key(by).map_err(|_| OtherType)?;
            Ok((algorithm, half))
        })
        .collect()
}

/// A point of a curve whose coordinates are so long (RFC 7518, 6.2.1.2).
fn point(
    key: &Object,
    length: usize,
    (algorithm, by): (Algorithm, &'static dyn VerificationAlgorithm),
) -> Result<Vec<(Algorithm, ParsedPublicKey)>, OtherType> {
    let (x, y) = (bytes(key, "x")?, bytes(key, "y")?);
    if x.len() != length || y.len() != length {
        return Err(OtherType);
    }
    let half = parsed(by, &[&[4], &x[..], &y[..]].concat())?;
    Ok(vec![(algorithm, half)])
}

fn parsed(
    by: &'static dyn VerificationAlgorithm,
    bytes: &[u8],
) -> Result<ParsedPublicKey, OtherType> {
    ParsedPublicKey::new(by, bytes).map_err(|_| OtherType)
}

fn bytes(key: &Object, name: &str) -> Result<Vec<u8>, OtherType> {
    let text = key.text(name)?.ok_or(OtherType)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| OtherType)
}
