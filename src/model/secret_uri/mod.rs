//! URIs of secrets: `openbao+kv2://secret/app/api#token?version=3`.
//!
//! Owns their grammar, their canonical form, and the one name of a secret or a part of one that
//! policies and the audit trail see ([`resource`]). Always holds: a URI that was read has a segment
//! for the mount at the least and one for the secret, none of them empty, `.` or `..`, all of it
//! printable UTF-8; equal URIs have the same canonical form, and different ones different forms;
//! an escape never changes what is meant, as `%2F` in a path, the one that could, is refused. Never
//! does: find the mount, which depends on the domain's ([`SecretUri::path`] has it in front);
//! repeat the input in an error.

mod error;
mod fragment;
#[cfg(any(test, feature = "fuzzing"))]
mod naive;
mod scheme;
mod spelling;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    fmt::{self, Write as _},
    str::FromStr,
};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::naive::check_uri;
pub use self::{error::UriError, fragment::Fragment, scheme::Scheme};
use super::{MountPath, SecretPath, VersionNumber};

/// The longest URI that is read, in bytes.
const BYTES_MAX: usize = 2048;
/// What the resource of each secret begins with: one scheme, and the view on the whole tree.
const RESOURCE: &str = "openbao+kv2://secret/";

const TOO_LONG: UriError =
    UriError::illegal("the URI is longer than 2048 bytes; name the secret by a shorter one");
const NO_SCHEME: UriError =
    UriError::illegal("the URI has no ://; write it as openbao+kv2://mount/path");
const NO_SECRET: UriError =
    UriError::illegal("the URI names a mount and no secret; write it as openbao+kv2://mount/path");
const EMPTY: UriError = UriError::illegal(
    "the URI has an empty segment; write no leading or double slash in its path, and at most one at its end",
);
const DOTS: UriError =
    UriError::illegal("the URI has a segment . or ..; paths are taken as written, name them fully");
const SLASH: UriError =
    UriError::illegal("the URI has an escaped slash (%2F) in its path; no name has a slash in it");
const TWO_FRAGMENTS: UriError = UriError::illegal(
    "the URI has a # too many; there is one fragment, it stands before ?, and a # in a name is written %23",
);

/// The URI of a secret, or of a part of its value, as it is meant: two spellings of one are equal.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUri {
    scheme: Scheme,
    path: String,
    fragment: Option<Fragment>,
    version: Option<VersionNumber>,
}

impl SecretUri {
    /// The URI of the secret that goes by `name` in the view `mount`. That of a very long name may be
    /// longer than what is read.
    #[must_use]
    pub fn of(scheme: Scheme, mount: &MountPath, name: &SecretPath) -> Self {
        Self { scheme, path: format!("{mount}/{name}"), fragment: None, version: None }
    }

    /// The URI of what is at `path` in a file of secrets.
    #[must_use]
    pub fn in_file(path: &str) -> Self {
        Self { scheme: Scheme::Yaml, path: path.to_owned(), fragment: None, version: None }
    }

    /// The name of the provider by which it was asked for.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// What follows `://`, unescaped: the mount, a slash, and the secret's name in it. The mount is the
    /// one of the domain's that covers it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What of the value is meant; all of it where there is none.
    #[must_use]
    pub fn fragment(&self) -> Option<&Fragment> {
        self.fragment.as_ref()
    }

    /// The version that is meant; the current one where there is none.
    #[must_use]
    pub fn version(&self) -> Option<VersionNumber> {
        self.version
    }

    /// The version that is meant where `beside` was asked for outside of the URI.
    ///
    /// # Errors
    /// `UriError::AmbiguousQuery` where both name one, and not the same.
    pub fn version_with(
        &self,
        beside: Option<VersionNumber>,
    ) -> Result<Option<VersionNumber>, UriError> {
        match (self.version, beside) {
            (Some(inside), Some(beside)) if inside != beside => Err(UriError::AmbiguousQuery),
            (inside, beside) => Ok(inside.or(beside)),
        }
    }

    /// The one text of all its spellings: nothing is escaped without need, hexadecimal digits are in
    /// upper case, no slash is at the end; the fragment, then the version.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut text = format!("{}://", self.scheme.as_str());
        spelling::write_path(&mut text, &self.path);
        if let Some(fragment) = &self.fragment {
            fragment.write(&mut text);
        }
        if let Some(version) = self.version {
            // A text takes all that is written to it.
            let _ = write!(text, "?version={}", version.get());
        }
        text
    }
}

impl FromStr for SecretUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let parts = Parts::of(text)?;
        let path = parts.path.strip_suffix('/').unwrap_or(parts.path);
        let path = path_of(path, false)?;
        if !path.contains('/') {
            return Err(NO_SECRET);
        }
        Ok(Self {
            scheme: parts.scheme,
            path,
            fragment: parts.fragment.map(Fragment::read).transpose()?,
            version: parts.query.map(version_of).transpose()?,
        })
    }
}

impl fmt::Debug for SecretUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As of a path: names of secrets are sensitive.
        write!(f, "SecretUri({}, {} bytes)", self.scheme.as_str(), self.path.len())
    }
}

/// What the URIs of several secrets begin with: a mount at the least, and its last segment may be a
/// part of a name.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUriPrefix {
    scheme: Scheme,
    path: String,
}

impl SecretUriPrefix {
    /// The name of the provider by which it was asked for.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// What follows `://`, unescaped: `secret`, `secret/`, `secret/app/`, or `secret/ap`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The one text of all its spellings. A slash at the end stays, as it says that the segment before
    /// it is whole.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut text = format!("{}://", self.scheme.as_str());
        spelling::write_path(&mut text, &self.path);
        text
    }
}

impl FromStr for SecretUriPrefix {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let parts = Parts::of(text)?;
        let path = path_of(parts.path, true)?;
        if parts.fragment.is_some() {
            return Err(UriError::FragmentNotAllowed);
        }
        match parts.query.map(version_of).transpose()? {
            Some(_) => Err(UriError::VersionPinNotAllowed),
            None => Ok(Self { scheme: parts.scheme, path }),
        }
    }
}

impl fmt::Debug for SecretUriPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretUriPrefix({}, {} bytes)", self.scheme.as_str(), self.path.len())
    }
}

/// The one name of the secret at `path` in the domain, or of the part of its value that `fragment`
/// means, through whichever scheme and mount it was asked for, and in whichever spelling.
///
/// It is the canonical form of a URI without a version, for a secret of any name.
#[must_use]
pub fn resource(path: &SecretPath, fragment: Option<&Fragment>) -> String {
    let mut text = begun(path.as_str());
    spelling::write_path(&mut text, path.as_str());
    if let Some(fragment) = fragment {
        fragment.write(&mut text);
    }
    text
}

/// The one name of what begins with `prefix` in the domain, which may end within a segment.
#[must_use]
pub fn resource_below(prefix: &str) -> String {
    let mut text = begun(prefix);
    spelling::write_path(&mut text, prefix);
    text
}

/// What all names begin with, with room for a path of which nothing is escaped: there is one in each record.
fn begun(path: &str) -> String {
    let mut text = String::with_capacity(RESOURCE.len() + path.len());
    text.push_str(RESOURCE);
    text
}

/// The parts of a URI, the latter ones as they are written.
struct Parts<'t> {
    scheme: Scheme,
    path: &'t str,
    fragment: Option<&'t str>,
    query: Option<&'t str>,
}

impl<'t> Parts<'t> {
    fn of(text: &'t str) -> Result<Self, UriError> {
        if text.len() > BYTES_MAX {
            return Err(TOO_LONG);
        }
        let (scheme, rest) = text.split_once("://").ok_or(NO_SCHEME)?;
        let scheme = scheme.parse()?;
        let (rest, query) = split(rest, '?');
        let (path, fragment) = split(rest, '#');
        if [fragment, query].into_iter().flatten().any(|part| part.contains('#')) {
            return Err(TWO_FRAGMENTS);
        }
        Ok(Self { scheme, path, fragment, query })
    }
}

/// What is before the first `sign`, and what is after it.
fn split(text: &str, sign: char) -> (&str, Option<&str>) {
    text.split_once(sign).map_or((text, None), |(before, after)| (before, Some(after)))
}

/// A path, unescaped. The last segment of one that others begin with may be empty, but not the first.
fn path_of(text: &str, is_prefix: bool) -> Result<String, UriError> {
    if text.contains('*') {
        return Err(UriError::InvalidWildcard);
    }
    let mut path = String::with_capacity(text.len());
    let mut segments = text.split('/').peekable();
    while let Some(segment) = segments.next() {
        let segment = spelling::read(segment, spelling::in_segment)?;
        if !path.is_empty() {
            path.push('/');
        }
        let may_be_empty = is_prefix && !path.is_empty() && segments.peek().is_none();
        match &*segment {
            "" if !may_be_empty => return Err(EMPTY),
            "." | ".." => return Err(DOTS),
            name if name.contains('/') => return Err(SLASH),
            name => path.push_str(name),
        }
    }
    Ok(path)
}

/// The version that a query names.
fn version_of(query: &str) -> Result<VersionNumber, UriError> {
    let pairs = || query.split('&').map(|pair| split(pair, '='));
    let mut seen = HashSet::new();
    if !pairs().all(|(key, _)| seen.insert(key)) {
        return Err(UriError::AmbiguousQuery);
    }
    if seen.contains("mount") {
        return Err(UriError::DoubleMountSource);
    }
    if seen.iter().any(|key| *key != "version") {
        return Err(UriError::UnknownField);
    }
    let number = pairs().find_map(|(_, value)| value).unwrap_or_default();
    number.parse().map_err(|_| UriError::InvalidVersion)
}
