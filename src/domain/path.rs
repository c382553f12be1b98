//! A secret's name.

use std::{fmt, str::FromStr};

use super::Invalid;

/// The longest path, in bytes, as published.
pub const PATH_MAX: usize = 255;

/// A secret's path: `/`-separated segments of letters, digits and `_.:=@-`; no segment is empty, `.` or `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretPath(Box<str>);

impl SecretPath {
    /// The path's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretPath {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid("the secret path is empty; name the secret, for instance app/database"));
        }
        if text.len() > PATH_MAX {
            return Err(Invalid("the secret path is longer than 255 characters; choose a shorter one"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:/=@-".contains(&byte)) {
            return Err(Invalid(
                "the secret path has a character that is not allowed; use letters, digits and _ . : / = @ - \
                 (in a URL, escape the path once)",
            ));
        }
        if text.split('/').any(str::is_empty) {
            return Err(Invalid("the secret path has an empty segment; write no leading, trailing or double slash"));
        }
        if text.split('/').any(|segment| segment == "." || segment == "..") {
            return Err(Invalid("the secret path has a segment . or ..; paths are taken as written, name them fully"));
        }
        Ok(Self(text.into()))
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
        for right in ["a", "foo/bar", "a.b:c=d@e-f_g/9", "...", "a/.b/c..", &"x".repeat(PATH_MAX)] {
            assert_eq!(right.parse::<SecretPath>().unwrap().as_str(), right);
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
            "a b",
            "a%2fb",
            "%",
            "é",
            "a\0",
            "a\nb",
            "a\\b",
            "a?b",
            "a#b",
            "a;b",
            &"x".repeat(PATH_MAX + 1),
        ] {
            assert!(wrong.parse::<SecretPath>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn debug_does_not_tell_the_name() {
        assert!(!format!("{:?}", "canary/name".parse::<SecretPath>().unwrap()).contains("canary"));
    }
}
