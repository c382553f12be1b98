//! Signatures: that something was said by whoever has the root key.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use zeroize::Zeroizing;

use super::{Error, RootKey, fingerprint};

/// How long a signature is, in bytes (RFC 8032).
pub const SIGNATURE: usize = 64;

/// An Ed25519 key that follows from the root key, so that it is nowhere kept.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: VerifyingKey,
}

impl SigningKey {
    /// The key for this purpose: always the same one for a root key.
    ///
    /// # Errors
    /// `Error::Library` where the root key's provider fails.
    pub fn of(root: &dyn RootKey, purpose: &str) -> Result<Self, Error> {
        let mut seed = Zeroizing::new([0; 32]);
        for (half, part) in seed.chunks_mut(16).zip(["first", "second"]) {
            let text = ["signing key\0", purpose, "\0", part].concat();
            half.copy_from_slice(&root.tag(text.as_bytes())?);
        }
        let pair =
            Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| Error::Library)?;
        let mut public = [0; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        Ok(Self { pair, public: VerifyingKey(public) })
    }

    /// What checks its signatures.
    #[must_use]
    pub const fn public(&self) -> VerifyingKey {
        self.public
    }

    /// Signs a message. One message has one signature.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE] {
        let mut signature = [0; SIGNATURE];
        signature.copy_from_slice(self.pair.sign(message).as_ref());
        signature
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// The public half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyingKey([u8; 32]);

impl VerifyingKey {
    /// The key with these bytes (RFC 8032, 5.1.5).
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A short name of it: the beginning of its SHA-256.
    #[must_use]
    pub fn id(&self) -> [u8; 8] {
        fingerprint(&self.0).first_chunk().copied().unwrap_or_default()
    }

    /// Whether the message was signed by the other half.
    #[must_use]
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::FileRootKey;

    #[test]
    fn a_key_is_of_one_root_key_and_one_purpose() {
        let root = |byte| FileRootKey::from_bytes(&[byte; 32]).unwrap();
        let key = |byte, purpose| SigningKey::of(&root(byte), purpose).unwrap();
        let (own, message) = (key(1, "audit"), b"so it was");
        let signature = own.sign(message);
        assert!(key(1, "audit").public().has_signed(message, &signature));
        for other in [key(2, "audit"), key(1, "backup")] {
            assert!(!other.public().has_signed(message, &signature));
            assert_ne!(other.public().id(), own.public().id());
        }
        assert!(!own.public().has_signed(b"so it was not", &signature));
        for at in 0..SIGNATURE {
            let mut edited = signature;
            edited[at] ^= 1;
            assert!(!own.public().has_signed(message, &edited), "byte {at}");
        }
    }
}
