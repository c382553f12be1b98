//! A request of this dialect, and what its headers say.

use std::sync::atomic::Ordering::Relaxed;

use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};

use super::super::{Address, Call, Context, Failed, Problem, Reply, bearer};
use crate::{
    auth::{Permit, identity::CertIdentity},
    model::{Invalid, MountPath, OkmsId},
    service::{KnownToken, Presented},
};

const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
const WRAP_TTL: HeaderName = HeaderName::from_static("x-vault-wrap-ttl");

/// A request of somebody who may act in a domain, and what answers it.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) context: &'a Context,
    pub(super) permit: &'a Permit,
    pub(super) call: &'a Call,
    /// The token that came along, and is good.
    pub(super) own: Option<&'a KnownToken>,
}

impl Asked<'_> {
    /// What the address names: below a mount, or whatever else is there.
    pub(super) fn name(&self) -> &str {
        self.call.params.name.as_deref().unwrap_or_default()
    }

    /// The accessor of the token that came along.
    pub(super) fn own_accessor(&self) -> Option<&str> {
        self.own.map(|own| own.accessor.as_str())
    }

    /// The mount that the address names.
    pub(super) fn mount(&self) -> Result<MountPath, Invalid> {
        self.call.params.address.mount().parse()
    }

    /// The whole address below the dialect's base, as Vault itself would see it.
    pub(super) fn path(&self) -> String {
        let Address { path, is_folder, .. } = &self.call.params.address;
        format!("{path}{}", if *is_folder { "/" } else { "" })
    }
}

/// The text of a token in the headers.
#[must_use]
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    let token = headers.get(bearer::VAULT_TOKEN).filter(|token| !token.is_empty());
    let token = token.map(HeaderValue::as_bytes).or_else(|| bearer::in_header(headers))?;
    Some(bearer::text(token)).filter(|token| !token.is_empty())
}

/// For how long the client wants the answer kept, as it says so.
pub(super) fn wrap_ttl(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(WRAP_TTL).filter(|ttl| !ttl.is_empty())
}

/// Vault's clients find it in the answer as they sent it.
pub(super) fn repeat_namespace(call: &Call, reply: &mut Reply) {
    reply
        .headers
        .extend(call.head.headers.get(&NAMESPACE).map(|namespace| (NAMESPACE, namespace.clone())));
}

/// The domain that the namespace is, where it is one.
pub(super) fn namespace(headers: &HeaderMap) -> Option<OkmsId> {
    headers.get(NAMESPACE)?.to_str().ok()?.trim().trim_matches('/').parse().ok()
}

/// Under what a token comes along: the key of a certificate, or none.
pub(super) fn presented<'a>(context: &Context, permit: &'a Permit) -> Presented<'a> {
    Presented {
        key_sha256: permit.subject().certificate().map(CertIdentity::public_key_sha256),
        takes_unbound: context.visitors.load(Relaxed),
    }
}

/// Whether the namespace that the client asks for is the one there is: the domain. Any other is
/// refused, as whoever asks for two expects two trees, and would write over the one what is in the
/// other.
pub(super) fn check_namespace(permit: &Permit, call: &Call) -> Result<(), Failed> {
    let is_own = |name: &str| {
        let name = name.trim().trim_matches('/');
        matches!(name, "" | "root") || name.parse() == Ok(permit.okms_id())
    };
    let mut names = call.head.headers.get_all(NAMESPACE).iter();
    if names.all(|name| name.to_str().is_ok_and(is_own)) {
        Ok(())
    } else {
        Err(Problem::NoNamespace.into())
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};

    use super::*;

    #[test]
    fn tokens_in_headers() {
        let of = |name: &'static str, value: &'static [u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_bytes(value).unwrap());
            token(&headers).map(str::to_owned)
        };
        assert_eq!(of("x-vault-token", b"abc").as_deref(), Some("abc"));
        assert_eq!(of(AUTHORIZATION.as_str(), b"Bearer abc").as_deref(), Some("abc"));
        assert_eq!(of(AUTHORIZATION.as_str(), b"bearer abc").as_deref(), Some("abc"));
        assert_eq!(of(AUTHORIZATION.as_str(), b"Basic abcdef"), None);
        assert_eq!(of("x-vault-token", b""), None);
        assert_eq!(of("x-vault-token", b"\xff").as_deref(), Some("?"));
    }
}
