//! A secret's name.

use std::{fmt, str::FromStr};

use super::{Invalid, text};

/// The longest path, in bytes. Where people come from there may be no such bound, and their paths
/// are long.
pub const PATH_MAX: usize = 1024;
/// The longest path as published, in bytes: clients check it.
pub const PUBLISHED_PATH_MAX: usize = 255;

/// A secret's path: `/`-separated segments of printable text, at most [`PATH_MAX`] bytes in all; no
/// segment is empty, `.` or `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretPath(Box<str>);

impl SecretPath {
    /// The path's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path, if it is one as published: letters, digits and `_ . : / = @
    /// -`, and at most [`PUBLISHED_PATH_MAX`] of them.
    ///
    /// # Errors
    /// `Invalid` for any other path. Others know no such rule, and what they name can be read all
    /// the same.
    pub fn check_published(self) -> Result<Self, Invalid> {
        if self.0.contains('%') || !text::is_plain(&self.0) {
            return Err(Invalid(
                "the secret path has a character that is not allowed; use letters, digits and _ . : / = @ -",
            ));
        }
        if self.0.len() > PUBLISHED_PATH_MAX {
            return Err(Invalid("the secret path is longer than 255 bytes; choose a shorter one"));
        }
        Ok(self)
    }
}

impl FromStr for SecretPath {
    type Err = Invalid;

    fn from_str(path: &str) -> Result<Self, Invalid> {
        if path.is_empty() {
            return Err(Invalid(
                "the secret path is empty; name the secret, for instance app/database",
            ));
        }
        if path.len() > PATH_MAX {
            return Err(Invalid("the secret path is longer than 1024 bytes; choose a shorter one"));
        }
        if !text::is_printable(path) {
            return Err(Invalid(
                "the secret path has a character that cannot be printed; use letters, digits and signs",
            ));
        }
        for segment in path.as_bytes().split(|byte| *byte == b'/') {
            match segment {
                b"" => {
                    return Err(Invalid(
                        "the secret path has an empty segment; write no leading, trailing or double slash",
                    ));
                }
                b"." | b".." => {
                    return Err(Invalid(
                        "the secret path has a segment . or ..; paths are taken as written, name them fully",
                    ));
                }
                _ => {}
            }
        }
        Ok(Self(path.into()))
    }
}

impl fmt::Display for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names of secrets are sensitive; only audit and answers show them.
        write!(f, "SecretPath({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        for right in
            ["a", "foo/bar", "a.b:c=d@e-f_g/9", "...", "a/.b/c..", &"x".repeat(PUBLISHED_PATH_MAX)]
        {
            assert_eq!(
                right.parse::<SecretPath>().unwrap().check_published().unwrap().as_str(),
                right
            );
        }
        for wider in [
            &*"x".repeat(PUBLISHED_PATH_MAX + 1),
            &"x".repeat(PATH_MAX),
            &"é".repeat(PATH_MAX / 2),
            "a b",
            "a%2fb",
            "%",
            "é/漢字",
            "a\\b",
            "a?b",
            "a#b",
            "a;b",
        ] {
            let path: SecretPath = wider.parse().unwrap();
            assert_eq!(path.as_str(), wider);
            assert!(path.check_published().is_err());
        }
        for wrong in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/./b",
            "a/..",
            "a\0",
            "a\nb",
            "a\u{200b}",
            &"x".repeat(PATH_MAX + 1),
            &"é".repeat(PATH_MAX / 2 + 1),
        ] {
            assert!(wrong.parse::<SecretPath>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn debug_does_not_tell_the_name() {
        assert!(!format!("{:?}", "canary/name".parse::<SecretPath>().unwrap()).contains("canary"));
    }
}
