//! Sealing and opening.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    key_wrap::{AES_256, AesKek, KeyWrap},
};
use zeroize::{Zeroize, Zeroizing};

use super::{DomainKeys, Error, Sealed, SecretValue, derive::expand, keys::Generation, random};

const FORMAT: u8 = 1;
const DATA_KEY_LEN: usize = 32;
const WRAPPED_LEN: usize = DATA_KEY_LEN + 8;
const TAG_LEN: usize = 16;
const HEAD_LEN: usize = 1 + 4;

/// What a sealed thing is bound to: the space and the key under which it lies. It opens nowhere
/// else.
pub struct Binding(Vec<u8>);

impl Binding {
    /// A place in a store; or in no store, of a name that no space has.
    #[must_use]
    pub fn to(space: &str, key: &[u8]) -> Self {
        // No space's name has a NUL.
        Self([space.as_bytes(), &[0], key].concat())
    }

    /// A place as earlier layouts of stores named it: bytes that begin with 1, which no space's
    /// name does.
    #[must_use]
    pub const fn past(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// The key of one value, wrapped by a tenant's key. It is worth nothing without that, nor for
/// another value.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedDataKey([u8; Self::LEN]);

impl WrappedDataKey {
    /// Its length in bytes.
    pub const LEN: usize = HEAD_LEN + WRAPPED_LEN;

    /// The wrapped key as it was stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Its bytes, which are no secret.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; Self::LEN] {
        self.0
    }
}

impl fmt::Debug for WrappedDataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WrappedDataKey")
    }
}

impl DomainKeys {
    /// Seals a small record, under a key derived for its place.
    ///
    /// # Errors
    /// `Error::Library` where the library fails.
    pub fn seal(&self, at: &Binding, plain: &[u8]) -> Result<Sealed, Error> {
        let generation = self.newest()?;
        let nonce = random::<NONCE_LEN>()?;
        let mut sealed = Vec::with_capacity(HEAD_LEN + NONCE_LEN + plain.len() + TAG_LEN);
        sealed.extend_from_slice(&head(generation));
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let (_, body) = sealed.split_at_mut(HEAD_LEN + NONCE_LEN);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = record_key(generation, at)?.seal_in_place_separate_tag(
            nonce,
            Aad::from(&at.0),
            body,
        )?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(Sealed::new(sealed.into()))
    }

    /// Opens what [`DomainKeys::seal`] made for the same place.
    ///
    /// # Errors
    /// `Error::DoesNotOpen` where it was made for another, with other keys, or was changed.
    pub fn open(&self, at: &Binding, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let (generation, rest) = self.parse_head(sealed)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Error::DoesNotOpen)?;
        open(&record_key(generation, at)?, Nonce::assume_unique_for_key(*nonce), at, body)
    }

    /// Seals a value under a data key of its own, which comes with it, wrapped, to be kept apart.
    ///
    /// # Errors
    /// `Error::Library` where the library fails.
    pub fn seal_value(
        &self,
        at: &Binding,
        value: &SecretValue,
    ) -> Result<(WrappedDataKey, Sealed), Error> {
        let generation = self.newest()?;
        let data_key = Zeroizing::new(random::<DATA_KEY_LEN>()?);
        let mut wrapped = [0; WrappedDataKey::LEN];
        let (first, rest) = wrapped.split_at_mut(HEAD_LEN);
        first.copy_from_slice(&head(generation));
        AesKek::new(&AES_256, generation.values.as_slice())?.wrap(data_key.as_slice(), rest)?;
        let mut sealed = Vec::with_capacity(value.len() + TAG_LEN);
        sealed.extend_from_slice(value.expose());
        let tag = value_key(&data_key)?.seal_in_place_separate_tag(
            zero_nonce(),
            Aad::from(&at.0),
            &mut sealed,
        )?;
        sealed.extend_from_slice(tag.as_ref());
        Ok((WrappedDataKey(wrapped), Sealed::new(sealed.into())))
    }

    /// Opens what [`DomainKeys::seal_value`] made for the same place, with the key that came with
    /// it.
    ///
    /// # Errors
    /// `Error::DoesNotOpen` where it was made for another, with other keys, or was changed.
    pub fn open_value(
        &self,
        at: &Binding,
        key: &WrappedDataKey,
        sealed: &[u8],
    ) -> Result<SecretValue, Error> {
        let (generation, wrapped) = self.parse_head(&key.0)?;
        let mut data_key = Zeroizing::new([0; DATA_KEY_LEN]);
        AesKek::new(&AES_256, generation.values.as_slice())?
            .unwrap(wrapped, data_key.as_mut_slice())
            .map_err(|_| Error::DoesNotOpen)?;
        Ok(SecretValue::new(open(&value_key(&data_key)?, zero_nonce(), at, sealed)?))
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

fn record_key(generation: &Generation, at: &Binding) -> Result<LessSafeKey, Error> {
    let key = Zeroizing::new(expand::<32>(&generation.records, &[b"record", &at.0])?);
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_slice())?))
}

fn value_key(data_key: &[u8; DATA_KEY_LEN]) -> Result<LessSafeKey, Error> {
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, data_key)?))
}

/// A data key seals one message in its life, so that its nonce may be fixed.
fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// Opens a ciphertext with its tag at the end, and copies nothing on the way.
fn open(key: &LessSafeKey, nonce: Nonce, at: &Binding, body: &[u8]) -> Result<Vec<u8>, Error> {
    let (ciphertext, tag) = body.split_last_chunk::<TAG_LEN>().ok_or(Error::DoesNotOpen)?;
    let mut plain = vec![0; ciphertext.len()];
    if key.open_separate_gather(nonce, Aad::from(&at.0), ciphertext, tag, &mut plain).is_err() {
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
        model::OkmsId,
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
        fn unwrap(
            &self,
            _: OkmsId,
            _: u32,
            key: &WrappedKey,
        ) -> Result<Zeroizing<[u8; 32]>, Error> {
            Ok(Zeroizing::new(key.0.as_slice().try_into().unwrap()))
        }
    }

    fn keys(id: u8, generations: &[(u32, u8)]) -> DomainKeys {
        let wrapped = generations
            .iter()
            .map(|(number, byte)| (*number, WrappedKey(vec![*byte; 32])))
            .collect();
        DomainKeys::unwrap(&Fixed, OkmsId::from_bytes([id; 16]).unwrap(), wrapped).unwrap()
    }

    fn value(text: &[u8]) -> SecretValue {
        SecretValue::new(text.to_vec())
    }

    #[test]
    fn opens_in_its_place_only() {
        let (home, abroad) = (keys(1, &[(1, 5)]), keys(2, &[(1, 6)]));
        let places = || {
            [("a", &b"k"[..]), ("a", b"l"), ("b", b"k"), ("ak", b""), ("a", b"")]
                .map(|(space, key)| Binding::to(space, key))
        };
        for (i, made) in places().iter().enumerate() {
            let sealed = home.seal(made, b"plain").unwrap();
            let (key, body) = home.seal_value(made, &value(b"plain")).unwrap();
            let (other, _) = home.seal_value(made, &value(b"plain")).unwrap();
            for (j, opened) in places().iter().enumerate() {
                assert_eq!(home.open(opened, sealed.as_ref()).is_ok(), i == j, "{i} {j}");
                assert_eq!(home.open_value(opened, &key, body.as_ref()).is_ok(), i == j, "{i} {j}");
            }
            assert!(home.open_value(made, &other, body.as_ref()).is_err(), "another value's key");
            assert!(abroad.open(made, sealed.as_ref()).is_err());
            assert!(abroad.open_value(made, &key, body.as_ref()).is_err());
        }
    }

    #[test]
    fn every_bit_counts() {
        let keys = keys(1, &[(1, 5)]);
        let place = Binding::to("headers", b"a/b");
        let record = keys.seal(&place, b"plain").unwrap();
        let (key, body) = keys.seal_value(&place, &value(b"plain")).unwrap();
        let flips = |bytes: &[u8]| {
            let bytes = bytes.to_vec();
            (0..bytes.len() * 8).map(move |at| {
                let mut edited = bytes.clone();
                edited[at / 8] ^= 1 << (at % 8);
                edited
            })
        };
        assert!(flips(record.as_ref()).all(|edited| keys.open(&place, &edited).is_err()));
        assert!(flips(body.as_ref()).all(|edited| keys.open_value(&place, &key, &edited).is_err()));
        let mut wrong = flips(&key.to_bytes())
            .map(|edited| WrappedDataKey::from_bytes(edited.try_into().unwrap()));
        assert!(wrong.all(|key| keys.open_value(&place, &key, body.as_ref()).is_err()));
        for sealed in [record.as_ref(), body.as_ref()] {
            assert!(!sealed.windows(5).any(|window| window == b"plain"));
        }
    }

    #[test]
    fn old_generations_still_open_and_new_ones_seal() {
        let (old, both, new) = (keys(1, &[(1, 5)]), keys(1, &[(1, 5), (2, 6)]), keys(1, &[(2, 6)]));
        let place = Binding::to("headers", b"a");
        let sealed = old.seal(&place, b"x").unwrap();
        assert_eq!(both.open(&place, sealed.as_ref()).unwrap(), b"x");
        assert_eq!(new.open(&place, sealed.as_ref()), Err(Error::UnknownGeneration));
        let sealed = both.seal(&place, b"x").unwrap();
        assert_eq!(old.open(&place, sealed.as_ref()), Err(Error::UnknownGeneration));
        let (key, body) = old.seal_value(&place, &value(b"x")).unwrap();
        assert_eq!(both.open_value(&place, &key, body.as_ref()).unwrap().expose(), b"x");
        assert!(new.open_value(&place, &key, body.as_ref()).is_err());
    }

    #[test]
    fn nothing_prints_a_secret() {
        let keys = keys(1, &[(1, 5)]);
        let value = value(b"canary");
        let root = FileRootKey::generate().unwrap();
        let sealed = keys.seal_value(&Binding::to("values", b"a"), &value).unwrap();
        let shown = format!("{value:?} {keys:?} {sealed:?} {:?}", Sealed::public("canary"));
        assert!(
            !shown.contains("canary") && !shown.contains(root.trim()) && !shown.contains("5, 5")
        );
    }

    proptest! {
        #[test]
        fn round_trips(plain in prop::collection::vec(any::<u8>(), 0..300), at in prop::collection::vec(any::<u8>(), 0..40)) {
            let keys = keys(1, &[(1, 5)]);
            let place = Binding::to("versions", &at);
            let sealed = keys.seal(&place, &plain).unwrap();
            prop_assert_eq!(keys.open(&place, sealed.as_ref()).unwrap(), plain.clone());
            let (key, sealed) = keys.seal_value(&place, &value(&plain)).unwrap();
            let opened = keys.open_value(&place, &key, sealed.as_ref()).unwrap();
            prop_assert_eq!(opened.expose(), plain);
        }

        #[test]
        fn arbitrary_bytes_do_not_open(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let keys = keys(1, &[(1, 5)]);
            let place = Binding::to("configs", b"");
            let (key, _) = keys.seal_value(&place, &value(b"x")).unwrap();
            prop_assert!(keys.open(&place, &bytes).is_err());
            prop_assert!(keys.open_value(&place, &key, &bytes).is_err());
        }
    }
}
