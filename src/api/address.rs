//! Where a request goes, and the parameters in that.
//!
//! An address is read once, by its dialect: what is asked for, of which tenant, and what is left
//! for the patterns.

use std::borrow::Cow;

use hyper::Method;

use super::{named, query};
use crate::{
    auth::Thing,
    model::{Invalid, OkmsId, SecretPath, VersionNumber},
};

/// How an address names a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantName<'u> {
    /// By its id.
    Id(Result<OkmsId, Invalid>),
    /// By its id, or its alias: also one of which the caller's own is the partner.
    Called(Cow<'u, str>),
    /// As the partner of the caller's own, or of the one that a header names.
    Partner,
}

impl TenantName<'_> {
    pub(super) fn into_owned(self) -> TenantName<'static> {
        match self {
            Self::Id(id) => TenantName::Id(id),
            Self::Called(name) => TenantName::Called(Cow::Owned(name.into_owned())),
            Self::Partner => TenantName::Partner,
        }
    }
}

/// A request's address, as its dialect reads it.
#[derive(Clone, Debug, Default)]
pub struct Address<'u> {
    /// What is asked for, which the method alone need not tell.
    pub method: Method,
    /// The tenant, where one is named.
    pub tenant: Option<TenantName<'u>>,
    /// The path below the dialect's base, without the slash before it.
    pub path: Cow<'u, str>,
    /// How many bytes of `path` name a mount: none where none does.
    pub mount: usize,
    /// The path ends in a slash, which `path` has no more.
    pub is_folder: bool,
    /// What is wrong with it. Whoever may not ask is not told.
    pub fault: Option<Invalid>,
}

impl Address<'_> {
    /// The mount that is named; empty where none is.
    #[must_use]
    pub fn mount(&self) -> &str {
        self.path.get(..self.mount).unwrap_or_default()
    }

    /// What follows the mount.
    #[must_use]
    pub fn rest(&self) -> &str {
        self.path.get(self.mount..).unwrap_or_default().trim_start_matches('/')
    }

    /// The address with a path of its own.
    #[must_use]
    pub fn into_owned(self) -> Address<'static> {
        let Self { method, tenant, path, mount, is_folder, fault } = self;
        let tenant = tenant.map(TenantName::into_owned);
        Address { method, tenant, path: Cow::Owned(path.into_owned()), mount, is_folder, fault }
    }
}

/// The tenant that `base` finds in `path`, and what follows it there, without the slash between.
pub(super) fn below<'p>(base: &str, path: &'p str) -> Option<(Option<TenantName<'p>>, &'p str)> {
    let (mut tenant, mut rest) = (None, path.strip_prefix('/')?);
    for expected in base.split('/').skip(1) {
        let (segment, tail) = rest.split_once('/').unwrap_or((rest, ""));
        match expected {
            "{okmsId}" if !segment.is_empty() => tenant = Some(TenantName::Id(segment.parse())),
            "{tenant}" if !segment.is_empty() => {
                tenant = Some(TenantName::Called(Cow::Borrowed(segment)));
            }
            literal if literal == segment => {}
            _ => return None,
        }
        rest = tail;
    }
    Some((tenant, rest))
}

/// What a pattern captured, as the address has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captures<'p> {
    /// `{path}` or `{key}`.
    pub tail: Option<&'p str>,
    /// `{version}`.
    pub version: Option<&'p str>,
    /// `{asset}`.
    pub asset: Option<&'p str>,
    /// What it is that the tail or the asset names.
    pub of: Option<Thing>,
}

/// What the parameter of a pattern names.
#[must_use]
pub fn thing(pattern: &str) -> Option<Thing> {
    named::of(pattern)
}

impl<'p> Captures<'p> {
    /// What is named, and how, decoded once; as it is where it cannot be.
    #[must_use]
    pub fn named(&self) -> Option<(Thing, Cow<'p, str>)> {
        let name = match (self.tail, self.asset) {
            (Some(raw), _) => query::decode(raw).unwrap_or(Cow::Borrowed(raw)),
            (None, Some(raw)) => Cow::Borrowed(raw),
            (None, None) => return None,
        };
        Some((self.of?, name))
    }
}

impl Captures<'_> {
    /// The parameters, each decoded once: the tail is a secret's path.
    ///
    /// # Errors
    /// `Invalid` where one is not what its name says.
    pub fn decode(&self) -> Result<Params, Invalid> {
        Ok(Params {
            path: self.tail.map(secret_path).transpose()?,
            version: self.version.map(str::parse).transpose()?,
            name: self.asset.map(str::to_owned),
            address: Address::default(),
        })
    }
}

fn secret_path(raw: &str) -> Result<SecretPath, Invalid> {
    // Nobody escapes a dot but to hide it.
    if raw.as_bytes().windows(3).any(|window| window.eq_ignore_ascii_case(b"%2e")) {
        return Err(Invalid("the secret path has an escaped dot; write dots as they are"));
    }
    query::decode(raw)?.parse()
}

/// The parameters in a request's address.
#[derive(Debug, Default)]
pub struct Params {
    /// A secret's path.
    pub path: Option<SecretPath>,
    /// A version's number.
    pub version: Option<VersionNumber>,
    /// Whatever else is named, unchecked.
    pub name: Option<String>,
    /// The address itself, where a dialect goes on with it.
    pub address: Address<'static>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_a_base() {
        for (base, path, expected) in [
            ("/v1/t/{tenant}", "/v1/t/x/secrets", Some((Some("x"), "secrets"))),
            ("/v1/t/{tenant}", "/v1/t/x", Some((Some("x"), ""))),
            ("/v1/t/{tenant}", "/v1/t/x/", Some((Some("x"), ""))),
            ("/v1/t/{tenant}", "/v1/t//secrets", None),
            ("/api/{okmsId}/v2", "/api//v2/secret", None),
            ("/api/{okmsId}/v2", "/api/x/v3/secret", None),
            ("/api/{okmsId}/v2", "/api", None),
            ("", "/swagger/", Some((None, "swagger/"))),
            ("", "/", Some((None, ""))),
        ] {
            let called = |name: &'static str| TenantName::Called(Cow::Borrowed(name));
            let expected = expected.map(|(name, rest)| (name.map(called), rest));
            assert_eq!(below(base, path), expected, "{base} {path}");
        }
        let id = "1b4e28ba-2fa1-41d2-883f-0016d3cca427";
        let path = format!("/api/{id}/v2/secret");
        let expected = Some((Some(TenantName::Id(id.parse())), "secret"));
        assert_eq!(below("/api/{okmsId}/v2", &path), expected);
    }
}
