//! Users of a domain: who logs in with a name and a password, and what they then have.

use std::{collections::BTreeMap, fmt};

use super::{Invalid, Timestamp, policy, text};

/// The longest name of a user, in bytes.
const NAME_MAX: usize = 128;

/// A user, apart from its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// What its password is held against.
    pub password: PasswordHash,
    /// The policies that it has: names.
    pub policies: Vec<String>,
    /// What else there is to know of it, for the templates of policies.
    pub metadata: BTreeMap<String, String>,
    /// How long its tokens live, in seconds; 0 for as long as any.
    pub token_ttl: u64,
    /// How long they live at most, in seconds; 0 for as long as any.
    pub token_max_ttl: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// The most policies of a user: every process has the names of all.
const POLICIES_MAX: usize = 32;

impl User {
    /// Goes on if everything is within its bounds.
    ///
    /// # Errors
    /// `Invalid` says what is not.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.policies.len() > POLICIES_MAX {
            return Err(Invalid("a user has at most 32 policies"));
        }
        self.policies.iter().try_for_each(|name| policy::name(name))?;
        policy::metadata(&self.metadata)?;
        if self.token_max_ttl > 0 && self.token_ttl > self.token_max_ttl {
            return Err(Invalid("'token_ttl' cannot be greater than 'token_max_ttl'"));
        }
        Ok(())
    }
}

/// What is kept of a password: a PHC string, which says how it was made. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// The one with this text.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// Its text. Whoever has it can try passwords against it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

/// Goes on with a name that a user can have: one segment of an address.
///
/// # Errors
/// `Invalid` with what it must be.
pub fn user_name(name: &str) -> Result<(), Invalid> {
    let is_segment = !name.is_empty() && !matches!(name, "." | "..") && !name.contains('/');
    if !is_segment || name.len() > NAME_MAX || !text::is_printable(name) {
        return Err(Invalid("a user's name is printable text of 1 to 128 bytes without a slash"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_segments_of_addresses() {
        for name in ["a", "Ann.Other@example.org", "é 漢", "...", &"x".repeat(128)] {
            assert_eq!(user_name(name), Ok(()), "{name}");
        }
        for name in ["", ".", "..", "a/b", "/", "a\n", "a\u{200b}", &"x".repeat(129)] {
            assert!(user_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_kept_of_a_password_is_not_printed() {
        let moment = Timestamp::from_unix_seconds(0);
        let user = User {
            password: PasswordHash::new("$argon2id$kept".to_owned()),
            policies: vec!["app".to_owned()],
            metadata: BTreeMap::from([("team".to_owned(), "red".to_owned())]),
            token_ttl: 60,
            token_max_ttl: 0,
            created_at: moment,
            updated_at: moment,
        };
        assert!(!format!("{user:?}").contains("kept"));
        assert_eq!(user.check(), Ok(()));
        assert!(User { token_max_ttl: 59, ..user.clone() }.check().is_err());
        assert!(User { policies: vec![String::new()], ..user.clone() }.check().is_err());
        let long = BTreeMap::from([("team".to_owned(), "x".repeat(513))]);
        assert!(User { metadata: long, ..user.clone() }.check().is_err());
        assert!(User { policies: vec!["p".to_owned(); 129], ..user }.check().is_err());
    }
}
