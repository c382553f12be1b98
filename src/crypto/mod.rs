//! Encryption at rest.
//!
//! Owns key material and every use of the cipher: the root key wraps a domain's keys, a domain's
//! key wraps one fresh data key per value and derives one key per record; and what is
//! kept of a user's password; what stands for a name that is not told; and text that is made at random, for values of secrets. Always holds: what is sealed is bound to its space and key, so that a record moved, swapped or edited does not open;
//! key material and plaintext never print and are wiped when dropped. Never does: I/O beyond
//! reading a key file at start, knowing what is inside a record.
//!
//! Forms on disk (all integers big-endian, the tag is GCM's 16 bytes at the end):
//!
//! | what | bytes |
//! | --- | --- |
//! | record | `01`, generation (4), nonce (12), ciphertext, tag |
//! | value | ciphertext, tag |
//! | a value's key, kept apart from it | `01`, generation (4), wrapped data key (40, AES-KW) |
//! | domain key | `01`, nonce (12), ciphertext (32), tag |

mod derive;
mod envelope;
mod keys;
mod making;
mod password;
mod root;
mod salt;
mod sealed;
mod signing;
mod value;

pub use self::{
    envelope::{Binding, WrappedDataKey},
    keys::DomainKeys,
    making::{bcrypt, filled, hex, random_text, uuid},
    password::Password,
    root::{FileRootKey, RootKey, RootKeyError, WrappedKey},
    salt::{Reference, Salt},
    sealed::Sealed,
    signing::{SIGNATURE, SigningKey, VerifyingKey},
    value::SecretValue,
};

/// Why something could not be sealed or opened. Nothing more is told on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are not what was sealed for this place with these keys.
    #[error("a sealed record does not open in its place")]
    DoesNotOpen,
    /// The record names a key generation that the domain does not have.
    #[error("a sealed record names an unknown key generation")]
    UnknownGeneration,
    /// The cryptographic library refused to work.
    #[error("the cryptographic library failed")]
    Library,
}

impl From<aws_lc_rs::error::Unspecified> for Error {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Library
    }
}

/// Random bytes from the library's generator.
///
/// # Errors
/// `Error::Library` where there are none to be had.
pub fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(bytes)
}

/// So many random bytes.
///
/// # Errors
/// `Error` where the system has no randomness.
pub fn random_bytes(number: usize) -> Result<SecretValue, Error> {
    let mut bytes = zeroize::Zeroizing::new(vec![0; number]);
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(SecretValue::new(std::mem::take(&mut *bytes)))
}

/// SHA-256 of `bytes`: under which a token is known without being kept.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    out
}

/// Whether two fingerprints are the same; takes the same time whether they are or not.
#[must_use]
pub fn is_same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}
