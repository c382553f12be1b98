//! What stands for a name where the name itself is not told.

use std::fmt;

use aws_lc_rs::{hkdf::Prk, hmac};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{Error, RootKey, derive::expand};
use crate::model::text::Short;

/// Makes of a name what stands for it: the same for the same name, for as long as there is the secret that
/// the salt follows from, and of no use to whoever does not have that.
pub struct Salt(hmac::Key);

impl Salt {
    /// The one that follows from a domain's first key.
    pub(super) fn of_domain(secret: &Prk) -> Result<Self, Error> {
        let key = Zeroizing::new(expand::<32>(secret, &[b"salt of names"])?);
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_slice())))
    }

    /// The region's own, for what is in no domain.
    ///
    /// # Errors
    /// `Error::Library` where the root key's provider fails.
    pub fn of_region(root: &dyn RootKey) -> Result<Self, Error> {
        let mut key = Zeroizing::new([0; 32]);
        for (half, part) in
            key.chunks_mut(16).zip([b"salt of names\0first".as_slice(), b"salt of names\0second"])
        {
            half.copy_from_slice(&root.tag(part)?);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_slice())))
    }

    /// What stands for `name`: base64url(HMAC-SHA-256(salt, name)), 43 characters.
    #[must_use]
    pub fn reference(&self, name: &str) -> Reference {
        let mut text = [0; REFERENCE];
        let tag = hmac::sign(&self.0, name.as_bytes());
        // 32 bytes are 43 characters.
        let _never_fails = URL_SAFE_NO_PAD.encode_slice(tag, &mut text);
        text.into()
    }
}

/// So many characters a reference has.
const REFERENCE: usize = 43;

/// What stands for a name, as text.
pub type Reference = Short<REFERENCE>;

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::{DomainKeys, FileRootKey},
        model::OkmsId,
    };

    /// What stands for a name is a domain's own, and stays when that gets further keys.
    #[test]
    fn a_domains_references_outlive_its_keys() {
        let root = FileRootKey::from_bytes(&[1; 32]).unwrap();
        let id = OkmsId::from_bytes([7; 16]).unwrap();
        let (keys, number, wrapped) = DomainKeys::create(&root, id).unwrap();
        let told = keys.salt().reference("openbao+kv2://secret/a");
        assert_eq!(told.len(), 43);
        assert!(told.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_ne!(told, keys.salt().reference("openbao+kv2://secret/b"));
        let second = root.wrap(id, 2, &[9; 32]).unwrap();
        let more = DomainKeys::unwrap(&root, id, vec![(number, wrapped), (2, second)]).unwrap();
        assert_eq!(told, more.salt().reference("openbao+kv2://secret/a"));
        let (other, ..) = DomainKeys::create(&root, id).unwrap();
        assert_ne!(told, other.salt().reference("openbao+kv2://secret/a"));
        let region = Salt::of_region(&root).unwrap();
        assert_ne!(told, region.reference("openbao+kv2://secret/a"));
        assert_eq!(format!("{:?}", keys.salt()), "Salt(..)");
    }

    /// RFC 4231, 4.3.
    #[test]
    fn it_is_hmac_sha_256() {
        let salt = Salt(hmac::Key::new(hmac::HMAC_SHA256, b"Jefe"));
        let told = salt.reference("what do ya want for nothing?");
        assert_eq!(&*told, "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM");
    }
}
