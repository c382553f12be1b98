//! What ties a change to its record in the audit trail, and devices that are enabled over the API.
//!
//! Always holds: the name of such a device's file is a plain one, whatever asked for it.

use std::fmt;

use super::{Invalid, OkmsId};

/// Names the record of a change that is about to happen. It is stored with the change, so that the
/// store can tell whether that has happened: under its chain and slot lies the mark of the last one
/// that did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditMark {
    /// The chain that the record is in.
    pub chain: [u8; 8],
    /// A place that no other change under way has.
    pub slot: u16,
    /// The record's number.
    pub seq: u64,
    /// Its hash.
    pub hash: [u8; 32],
    /// In which domain the change was asked for, so that it can be told there if the record is lost.
    pub tenant: Option<OkmsId>,
}

/// The most letters of a device's name.
const NAME_MAX: usize = 64;
/// The most bytes of a description.
const DESCRIPTION_MAX: usize = 256;
/// With what the name of a file of records ends: none of it is run, or read as settings, by anything.
const ENDINGS: [&str; 3] = [".log", ".json", ".jsonl"];
/// How many digits stand behind the names of files that are full.
const DIGITS: usize = 20;

/// The name of an audit device that is enabled over the API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceName(String);

impl DeviceName {
    /// The one with this text.
    ///
    /// # Errors
    /// `Invalid` where that is none.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(is_plain) {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid("the name of an audit device has letters, digits, - and _ alone, at most 64"))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a file of records, in the one folder in which such files may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailFileName(String);

impl TrailFileName {
    /// The one with this text.
    ///
    /// # Errors
    /// `Invalid` where that is none.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !(1..=NAME_MAX).contains(&text.len())
            || !text.bytes().all(is_plain)
            || !text.starts_with(|c: char| c.is_ascii_alphanumeric())
        {
            return Err(Invalid(
                "file_path must be a plain name, of letters, digits, -, _ and . alone, at most 64, or such a name in the folder that audit.folder of the server's config names",
            ));
        }
        let stem = ENDINGS.iter().find_map(|ending| text.strip_suffix(ending));
        let stem = stem.filter(|stem| !stem.contains('.')).ok_or(Invalid(
            "file_path must end in .log, .json or .jsonl, with no other dot in its name",
        ))?;
        let number = stem.rsplit_once('-').map_or("", |(_, number)| number);
        if number.len() == DIGITS && number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Invalid("file_path must not look like the name of a file that is full"));
        }
        Ok(Self(text.to_owned()))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An audit device that is enabled over the API: a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnabledDevice {
    /// Its file.
    pub file: TrailFileName,
    /// Whether a record that it does not take counts as none.
    pub is_required: bool,
    /// Whether it gets records as Vault writes them.
    pub has_vaults_form: bool,
    /// What people say of it.
    pub description: String,
}

impl EnabledDevice {
    /// It, if it can be stored and shown.
    ///
    /// # Errors
    /// `Invalid` where its description cannot.
    pub fn check(self) -> Result<Self, Invalid> {
        if self.description.len() > DESCRIPTION_MAX || self.description.contains(char::is_control) {
            return Err(Invalid(
                "the description has at most 256 bytes, and no control characters",
            ));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_plain_names() {
        for name in ["audit.log", "a.json", "A-1_b.jsonl", "audit-42.log"] {
            assert_eq!(TrailFileName::parse(name).unwrap().as_str(), name);
        }
        let long = format!("{}.log", "a".repeat(61));
        for name in [
            "",
            ".log",
            "..",
            "../a.log",
            "a/b.log",
            "/etc/a.log",
            "a.log.sh",
            "a.sh",
            "a.so",
            "a",
            "a b.log",
            "a\n.log",
            "a\0.log",
            "-a.log",
            ".a.log",
            "\u{e9}.log",
            "a.b.log",
            "a.log.gz",
            "a.LOG",
            "audit-00000000000000000042.log",
            "stdout",
            "discard",
            &long,
        ] {
            assert!(TrailFileName::parse(name).is_err(), "{name:?}");
        }
        for name in ["", "a/b", "a.b", "\u{e9}", &"a".repeat(65)] {
            assert!(DeviceName::parse(name).is_err(), "{name:?}");
        }
        assert_eq!(DeviceName::parse("file-2").unwrap().to_string(), "file-2");
    }
}
