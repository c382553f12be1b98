//! Passwords: what is kept of one, and whether one fits it.
//!
//! Argon2id (RFC 9106), somewhat above what OWASP asks at least (19 MiB, 2 passes). Each takes tens
//! of milliseconds and 24 MiB, on purpose: whoever calls this bounds how many do at once.

use std::fmt;

use argon2::{
    Argon2, Params, PasswordHasher, PasswordVerifier, password_hash,
    password_hash::phc::PasswordHash as Phc,
};
use zeroize::Zeroizing;

use super::{Error, random};
use crate::model::{Invalid, PasswordHash};

const MEMORY_KIB: u32 = 24 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 1;
/// The longest password, in bytes.
const LENGTH_MAX: usize = 1024;
/// What a password is held against that nobody has: it takes as long, and nothing is known to fit it.
const OF_NOBODY: &str = "$argon2id$v=19$m=24576,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA\
    $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A password. Never printed, wiped when dropped.
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes the text over.
    ///
    /// # Errors
    /// `Invalid` where it is none, or too long.
    pub fn new(text: String) -> Result<Self, Invalid> {
        let text = Zeroizing::new(text);
        if text.is_empty() || text.len() > LENGTH_MAX {
            return Err(Invalid("a password has 1 to 1024 bytes"));
        }
        Ok(Self(text))
    }

    /// What is to be kept of it. Slow on purpose.
    ///
    /// # Errors
    /// `Error::Library` where there is no randomness, or no memory.
    pub fn hash(&self) -> Result<PasswordHash, Error> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| Error::Library)?;
        let hash: Result<Phc, _> =
            Argon2::from(params).hash_password_with_salt(self.0.as_bytes(), &random::<16>()?);
        hash.map(|hash| PasswordHash::new(hash.to_string())).map_err(|_| Error::Library)
    }

    /// Whether it is the one of which this is kept; where there is none, it takes as long to say no.
    ///
    /// # Errors
    /// `Error::DoesNotOpen` where what is kept cannot be read; `Error::Library` where there is no
    /// memory.
    pub fn fits(&self, kept: Option<&PasswordHash>) -> Result<bool, Error> {
        let known = Phc::new(kept.map_or(OF_NOBODY, PasswordHash::expose));
        let known = known.map_err(|_| Error::DoesNotOpen)?;
        match Argon2::default().verify_password(self.0.as_bytes(), &known) {
            Ok(()) => Ok(kept.is_some()),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            Err(_) => Err(Error::Library),
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.to_owned()).unwrap()
    }

    #[test]
    fn a_password_fits_what_is_kept_of_it_alone() {
        let right = password("correct horse");
        let (kept, again) = (right.hash().unwrap(), right.hash().unwrap());
        assert_ne!(kept, again, "salted");
        for kept in [&kept, &again] {
            assert!(right.fits(Some(kept)).unwrap());
            assert!(!password("correct horse ").fits(Some(kept)).unwrap());
        }
        assert!(!right.fits(None).unwrap());
        assert!(matches!(
            right.fits(Some(&PasswordHash::new("x".to_owned()))),
            Err(Error::DoesNotOpen)
        ));
        assert_eq!(format!("{right:?} {kept:?}"), "Password PasswordHash");
    }

    /// Where there is no such user, as much is done as where there is one.
    #[test]
    fn what_nobody_has_costs_the_same() {
        let kept = password("x").hash().unwrap();
        let [kept, nobodys] = [kept.expose(), OF_NOBODY].map(|text| Phc::new(text).unwrap());
        assert_eq!(kept.params, nobodys.params);
        assert_eq!((kept.algorithm, kept.version), (nobodys.algorithm, nobodys.version));
        let length = |hash: &Phc| hash.hash.unwrap().len();
        assert_eq!(length(&kept), length(&nobodys));
    }

    #[test]
    fn lengths() {
        assert!(Password::new(String::new()).is_err());
        assert!(Password::new("x".repeat(1025)).is_err());
        assert!(Password::new("x".repeat(1024)).is_ok());
    }
}
