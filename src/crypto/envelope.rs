//! Sealing and opening.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    key_wrap::{AES_256, AesKek, KeyWrap},
};
use zeroize::{Zeroize, Zeroizing};

use super::{
    DomainKeys, Error, SecretValue,
    keys::{Generation, expand},
    random,
};
use crate::domain::SecretPath;

const FORMAT: u8 = 1;
const DATA_KEY_LEN: usize = 32;
const WRAPPED_LEN: usize = DATA_KEY_LEN + 8;
const TAG_LEN: usize = 16;
const HEAD_LEN: usize = 1 + 4;

/// Where a sealed thing belongs within its domain. It opens nowhere else.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    /// The domain's own info.
    Domain,
    /// The domain's defaults.
    Config,
    /// A secret's header.
    Header(&'a SecretPath),
    /// A version's record.
    Version(&'a SecretPath, u32),
    /// A version's value.
    Value(&'a SecretPath, u32),
    /// A cursor of the listing with this name.
    Cursor(&'a str),
    /// The token of this id.
    Token(&'a str),
    /// What is told of the answer that is wrapped under the token of this id.
    WrapInfo(&'a str),
    /// The body of the answer that is wrapped under the token of this id.
    Wrapped(&'a str),
}

impl Place<'_> {
    /// The place, unmistakably: kind, domain, length of the name, name, version.
    fn bytes(self, keys: &DomainKeys) -> Vec<u8> {
        let (kind, name, version) = match self {
            Self::Domain => (1, "", 0),
            Self::Config => (2, "", 0),
            Self::Header(path) => (3, path.as_str(), 0),
            Self::Version(path, version) => (4, path.as_str(), version),
            Self::Value(path, version) => (5, path.as_str(), version),
            Self::Cursor(listing) => (6, listing, 0),
            Self::Token(id) => (7, id, 0),
            Self::Wrapped(id) => (8, id, 0),
            Self::WrapInfo(id) => (9, id, 0),
        };
        let mut out = Vec::with_capacity(32 + name.len());
        out.extend_from_slice(&[FORMAT, kind]);
        out.extend_from_slice(keys.id().as_bytes());
        out.extend_from_slice(&u32::try_from(name.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&version.to_be_bytes());
        out
    }
}

/// A value fit for the store: made by [`DomainKeys::seal_value`] only.
pub struct SealedValue(Vec<u8>);

impl SealedValue {
    /// The bytes to store.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl fmt::Debug for SealedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedValue({} bytes)", self.0.len())
    }
}

impl DomainKeys {
    /// Seals a small record for `place`, under a key derived for that place.
    ///
    /// # Errors
    /// `Error::Library` where the library fails.
    pub fn seal_record(&self, place: Place<'_>, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let generation = self.newest()?;
        let place = place.bytes(self);
        let nonce = random::<NONCE_LEN>()?;
        let mut sealed = Vec::with_capacity(HEAD_LEN + NONCE_LEN + plain.len() + TAG_LEN);
        sealed.extend_from_slice(&head(generation));
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let (_, body) = sealed.split_at_mut(HEAD_LEN + NONCE_LEN);
        let tag = record_key(generation, &place)?.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(&place),
            body,
        )?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens what [`DomainKeys::seal_record`] made for the same place.
    ///
    /// # Errors
    /// `Error::DoesNotOpen` where it was made for another, with other keys, or was changed.
    pub fn open_record(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let (generation, rest) = self.parse_head(sealed)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Error::DoesNotOpen)?;
        let place = place.bytes(self);
        open_body(&record_key(generation, &place)?, Nonce::assume_unique_for_key(*nonce), &place, body)
    }

    /// Seals a value for version `version` of the secret at `path`, under a data key of its own.
    ///
    /// # Errors
    /// `Error::Library` where the library fails.
    pub fn seal_value(&self, path: &SecretPath, version: u32, value: &SecretValue) -> Result<SealedValue, Error> {
        self.seal_apart(Place::Value(path, version), value)
    }

    /// Seals the body of an answer that is wrapped under the token of this id, under a data key of its own.
    ///
    /// # Errors
    /// `Error::Library` where the library fails.
    pub fn seal_wrapped(&self, id: &str, body: &SecretValue) -> Result<SealedValue, Error> {
        self.seal_apart(Place::Wrapped(id), body)
    }

    fn seal_apart(&self, place: Place<'_>, value: &SecretValue) -> Result<SealedValue, Error> {
        let generation = self.newest()?;
        let place = place.bytes(self);
        let data_key = Zeroizing::new(random::<DATA_KEY_LEN>()?);
        let mut wrapped = [0; WRAPPED_LEN];
        AesKek::new(&AES_256, generation.values.as_slice())?.wrap(data_key.as_slice(), &mut wrapped)?;
        let mut sealed = Vec::with_capacity(HEAD_LEN + WRAPPED_LEN + value.len() + TAG_LEN);
        sealed.extend_from_slice(&head(generation));
        sealed.extend_from_slice(&wrapped);
        sealed.extend_from_slice(value.expose());
        let (_, body) = sealed.split_at_mut(HEAD_LEN + WRAPPED_LEN);
        let tag = value_key(&data_key)?.seal_in_place_separate_tag(zero_nonce(), Aad::from(&place), body)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(SealedValue(sealed))
    }

    /// Opens what [`DomainKeys::seal_value`] made for the same path and version.
    ///
    /// # Errors
    /// `Error::DoesNotOpen` where it was made for another, with other keys, or was changed.
    pub fn open_value(&self, path: &SecretPath, version: u32, sealed: &[u8]) -> Result<SecretValue, Error> {
        self.open_apart(Place::Value(path, version), sealed)
    }

    /// Opens what [`DomainKeys::seal_wrapped`] made for the same token.
    ///
    /// # Errors
    /// `Error::DoesNotOpen` where it was made for another, with other keys, or was changed.
    pub fn open_wrapped(&self, id: &str, sealed: &[u8]) -> Result<SecretValue, Error> {
        self.open_apart(Place::Wrapped(id), sealed)
    }

    fn open_apart(&self, place: Place<'_>, sealed: &[u8]) -> Result<SecretValue, Error> {
        let (generation, rest) = self.parse_head(sealed)?;
        let (wrapped, body) = rest.split_first_chunk::<WRAPPED_LEN>().ok_or(Error::DoesNotOpen)?;
        let mut data_key = Zeroizing::new([0; DATA_KEY_LEN]);
        AesKek::new(&AES_256, generation.values.as_slice())?
            .unwrap(wrapped, data_key.as_mut_slice())
            .map_err(|_| Error::DoesNotOpen)?;
        let place = place.bytes(self);
        open_body(&value_key(&data_key)?, zero_nonce(), &place, body).map(SecretValue::new)
    }

    fn parse_head<'a>(&self, sealed: &'a [u8]) -> Result<(&Generation, &'a [u8]), Error> {
        let (head, rest) = sealed.split_first_chunk::<HEAD_LEN>().ok_or(Error::DoesNotOpen)?;
        let [FORMAT, number @ ..] = *head else { return Err(Error::DoesNotOpen) };
        Ok((self.generation(u32::from_be_bytes(number))?, rest))
    }
}

fn head(generation: &Generation) -> [u8; HEAD_LEN] {
    let [a, b, c, d] = generation.number.to_be_bytes();
    [FORMAT, a, b, c, d]
}

fn record_key(generation: &Generation, place: &[u8]) -> Result<LessSafeKey, Error> {
    let key = Zeroizing::new(expand::<32>(&generation.records, &[b"record", place])?);
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_slice())?))
}

fn value_key(data_key: &[u8; DATA_KEY_LEN]) -> Result<LessSafeKey, Error> {
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, data_key)?))
}

/// A data key seals one message in its life, so that its nonce may be fixed.
fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// The plaintext of a body and its tag.
fn open_body(key: &LessSafeKey, nonce: Nonce, place: &[u8], body: &[u8]) -> Result<Vec<u8>, Error> {
    let (body, tag) = body.split_last_chunk::<TAG_LEN>().ok_or(Error::DoesNotOpen)?;
    let mut plain = vec![0; body.len()];
    if key.open_separate_gather(nonce, Aad::from(place), body, tag, &mut plain).is_err() {
        // Nobody is to see what was not proven to be right.
        plain.zeroize();
        return Err(Error::DoesNotOpen);
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        crypto::{FileRootKey, RootKey, WrappedKey},
        domain::OkmsId,
    };

    struct Fixed;

    impl RootKey for Fixed {
        fn id(&self) -> [u8; 16] {
            [0; 16]
        }
        fn tag(&self, _: &[u8]) -> Result<[u8; 16], Error> {
            Ok([0; 16])
        }
        fn wrap(&self, _: OkmsId, _: u32, key: &[u8; 32]) -> Result<WrappedKey, Error> {
            Ok(WrappedKey(key.to_vec()))
        }
        fn unwrap(&self, _: OkmsId, _: u32, key: &WrappedKey) -> Result<Zeroizing<[u8; 32]>, Error> {
            Ok(Zeroizing::new(key.0.as_slice().try_into().unwrap()))
        }
    }

    fn keys(id: u8, generations: &[(u32, u8)]) -> DomainKeys {
        let wrapped = generations.iter().map(|(number, byte)| (*number, vec![*byte; 32])).collect();
        DomainKeys::unwrap(&Fixed, OkmsId::from_bytes([id; 16]).unwrap(), wrapped).unwrap()
    }

    fn path(text: &str) -> SecretPath {
        text.parse().unwrap()
    }

    #[test]
    fn opens_in_its_place_only() {
        let (home, abroad) = (keys(1, &[(1, 5)]), keys(2, &[(1, 5)]));
        let (a, b) = (path("a"), path("b"));
        let sealed = home.seal_value(&a, 1, &SecretValue::new(b"{\"k\":1}".to_vec())).unwrap().into_bytes();
        assert_eq!(home.open_value(&a, 1, &sealed).unwrap().expose(), b"{\"k\":1}");
        for (keys, path, version) in [(&abroad, &a, 1), (&home, &b, 1), (&home, &a, 2)] {
            assert_eq!(keys.open_value(path, version, &sealed).unwrap_err(), Error::DoesNotOpen);
        }
        assert!(home.open_wrapped("a", &sealed).is_err());
        let sealed = home.seal_wrapped("x", &SecretValue::new(b"body".to_vec())).unwrap().into_bytes();
        assert!(home.open_wrapped("y", &sealed).is_err() && home.open_value(&a, 1, &sealed).is_err());
        assert_eq!(home.open_wrapped("x", &sealed).unwrap().expose(), b"body");
        let places = [
            Place::Domain,
            Place::Config,
            Place::Header(&a),
            Place::Header(&b),
            Place::Version(&a, 1),
            Place::Version(&a, 2),
            Place::Value(&a, 1),
            Place::Cursor("a"),
            Place::Cursor("b"),
            Place::Token("a"),
            Place::Wrapped("a"),
            Place::WrapInfo("a"),
        ];
        for (i, made) in places.into_iter().enumerate() {
            let sealed = home.seal_record(made, b"plain").unwrap();
            for (j, opened) in places.into_iter().enumerate() {
                assert_eq!(home.open_record(opened, &sealed).is_ok(), i == j, "{i} {j}");
            }
            assert!(abroad.open_record(made, &sealed).is_err());
        }
    }

    #[test]
    fn every_bit_counts() {
        let keys = keys(1, &[(1, 5)]);
        let place = path("a/b");
        let record = keys.seal_record(Place::Header(&place), b"plain").unwrap();
        let value = keys.seal_value(&place, 3, &SecretValue::new(b"plain".to_vec())).unwrap().into_bytes();
        for at in 0..record.len() * 8 {
            let mut edited = record.clone();
            edited[at / 8] ^= 1 << (at % 8);
            assert!(keys.open_record(Place::Header(&place), &edited).is_err(), "bit {at}");
        }
        for at in 0..value.len() * 8 {
            let mut edited = value.clone();
            edited[at / 8] ^= 1 << (at % 8);
            assert!(keys.open_value(&place, 3, &edited).is_err(), "bit {at}");
        }
        assert!(!record.windows(5).any(|window| window == b"plain"));
        assert!(!value.windows(5).any(|window| window == b"plain"));
    }

    #[test]
    fn old_generations_still_open_and_new_ones_seal() {
        let (old, both, new) = (keys(1, &[(1, 5)]), keys(1, &[(1, 5), (2, 6)]), keys(1, &[(2, 6)]));
        let place = path("a");
        let sealed = old.seal_record(Place::Header(&place), b"x").unwrap();
        assert_eq!(both.open_record(Place::Header(&place), &sealed).unwrap(), b"x");
        assert_eq!(new.open_record(Place::Header(&place), &sealed), Err(Error::UnknownGeneration));
        let sealed = both.seal_record(Place::Header(&place), b"x").unwrap();
        assert_eq!(old.open_record(Place::Header(&place), &sealed), Err(Error::UnknownGeneration));
    }

    #[test]
    fn nothing_prints_a_secret() {
        let keys = keys(1, &[(1, 5)]);
        let value = SecretValue::new(b"canary".to_vec());
        let root = FileRootKey::generate().unwrap();
        let shown = format!("{value:?} {keys:?} {:?}", keys.seal_value(&path("a"), 1, &value).unwrap());
        assert!(!shown.contains("canary") && !shown.contains(root.trim()) && !shown.contains("5, 5"));
    }

    proptest! {
        #[test]
        fn round_trips(plain in prop::collection::vec(any::<u8>(), 0..300), version in 1u32..24_000) {
            let keys = keys(1, &[(1, 5)]);
            let place = path("a/b");
            let sealed = keys.seal_record(Place::Version(&place, version), &plain).unwrap();
            prop_assert_eq!(keys.open_record(Place::Version(&place, version), &sealed).unwrap(), plain.clone());
            let sealed = keys.seal_value(&place, version, &SecretValue::new(plain.clone())).unwrap().into_bytes();
            let opened = keys.open_value(&place, version, &sealed).unwrap();
            prop_assert_eq!(opened.expose(), plain);
        }

        #[test]
        fn arbitrary_bytes_do_not_open(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let keys = keys(1, &[(1, 5)]);
            prop_assert!(keys.open_record(Place::Config, &bytes).is_err());
            prop_assert!(keys.open_value(&path("a"), 1, &bytes).is_err());
        }
    }
}
