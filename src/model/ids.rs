//! How tenants are called.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use super::Invalid;

/// A domain's id: a UUID that is not nil.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OkmsId(Uuid);

impl OkmsId {
    /// The id with these bytes; the nil UUID names no domain.
    ///
    /// # Errors
    /// `Invalid` for the nil UUID.
    pub fn from_bytes(bytes: [u8; 16]) -> Result<Self, Invalid> {
        let id = Uuid::from_bytes(bytes);
        if id.is_nil() {
            return Err(Invalid("the okmsId is the nil UUID, which names no domain"));
        }
        Ok(Self(id))
    }

    /// The id's 16 bytes, in the order in which they are written.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl FromStr for OkmsId {
    type Err = Invalid;

    /// Takes the hyphenated form alone, in either case.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        const WRONG: Invalid =
            Invalid("the okmsId must be a UUID such as 1b4e28ba-2fa1-41d2-883f-0016d3cca427");
        if text.len() != 36 {
            return Err(WRONG);
        }
        let id = Uuid::try_parse(text).map_err(|_| WRONG)?;
        Self::from_bytes(id.into_bytes())
    }
}

impl fmt::Display for OkmsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for OkmsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A name of a domain for those who call it a tenant: 1 to 64 of small letters, digits, `_` and `-`, and no
/// okmsId. No two domains of a region have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantAlias(Box<str>);

impl TenantAlias {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantAlias {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        let is_one = (1..=64).contains(&text.len()) && text.bytes().all(is_plain);
        if is_one && text.parse::<OkmsId>().is_err() {
            return Ok(Self(text.into()));
        }
        Err(Invalid(
            "tenant is a name of 1 to 64 small letters, digits, _ and -, such as tnt_acme, and no okmsId",
        ))
    }
}

impl fmt::Display for TenantAlias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_plain_and_no_id() {
        let longest = "a".repeat(64);
        for right in ["tnt_acme-dev", "0", longest.as_str(), "1b4e28ba2fa141d2883f0016d3cca427"] {
            assert_eq!(right.parse::<TenantAlias>().unwrap().as_str(), right);
        }
        let long = "a".repeat(65);
        let id = "1b4e28ba-2fa1-41d2-883f-0016d3cca427";
        for wrong in ["", "Tnt", "a b", "a/b", "é", long.as_str(), id] {
            assert!(wrong.parse::<TenantAlias>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_the_hyphenated_form_is_an_id() {
        let text = "1b4e28ba-2fa1-41d2-883f-0016d3cca427";
        assert_eq!(text.parse::<OkmsId>().unwrap().to_string(), text);
        assert_eq!(text.to_uppercase().parse::<OkmsId>().unwrap().to_string(), text);
        for wrong in [
            "",
            "1b4e28ba2fa141d2883f0016d3cca427",
            "{1b4e28ba-2fa1-41d2-883f-0016d3cca427}",
            "urn:uuid:1b4e28ba-2fa1-41d2-883f-0016d3cca427",
            "1b4e28ba-2fa1-41d2-883f-0016d3cca42g",
            "00000000-0000-0000-0000-000000000000",
        ] {
            assert!(wrong.parse::<OkmsId>().is_err(), "{wrong}");
        }
    }
}
