//! Tokens that come along in the header that HTTP has for them or in Vault's, and what whoever brings one
//! may do.

use std::borrow::Cow;

use hyper::{
    HeaderMap,
    header::{AUTHORIZATION, HeaderName, HeaderValue},
};

use super::{Call, Context, Failed, Problem};
use crate::{
    auth::{Denied, Detail, Permit, identity::CertIdentity},
    model::{Bearer, Invalid},
    service::{Error, KnownToken, Presented},
};

/// Vault's header for a token.
pub(super) const VAULT_TOKEN: HeaderName = HeaderName::from_static("x-vault-token");

/// What follows `Bearer ` in `Authorization`, be it nothing; `None` where another scheme is there, or
/// none.
pub(super) fn in_header(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(AUTHORIZATION).and_then(bearers)
}

fn bearers(header: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = header.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

/// The token that either header names; one that is empty in Vault's is none. Whoever narrows himself by a
/// token has to find it counts, whichever header his client puts it in.
///
/// # Errors
/// `Invalid` where there are several that differ: which of them is meant is not for us to say.
pub(super) fn in_either(headers: &HeaderMap) -> Result<Option<&[u8]>, Invalid> {
    let vaults = headers.get_all(VAULT_TOKEN).iter().map(HeaderValue::as_bytes);
    let bearers = headers.get_all(AUTHORIZATION).iter().filter_map(bearers);
    let mut all = vaults.filter(|token| !token.is_empty()).chain(bearers);
    let first = all.next();
    if all.all(|other| Some(other) == first) {
        Ok(first)
    } else {
        Err(Invalid(
            "the request brings several tokens that differ; send one, in Authorization: Bearer or X-Vault-Token",
        ))
    }
}

/// Whether all that whoever asks says of himself in `Authorization` is a bearer. What is not must not pass for nothing
/// where a bearer narrows what a certificate may.
pub(crate) fn is_understood(headers: &HeaderMap) -> bool {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    all.all(|header| bearers(header).is_some_and(|token| !token.is_empty()))
}

/// What begins a token of ours.
const OWN: &[u8] = b"okms.";

/// The JWT that a request brings, if it brings one: three parts, and none of our own tokens. What is neither
/// is left to whoever looks for those.
pub(crate) fn jwt(headers: &HeaderMap) -> Option<&[u8]> {
    let token = in_either(headers).ok().flatten()?;
    let parts = token.split(|byte| *byte == b'.').count();
    (parts == 3 && !token.starts_with(OWN)).then_some(token)
}

/// Whether a request brings a bearer at all, whatever it is.
pub(crate) fn is_there(headers: &HeaderMap) -> bool {
    !matches!(in_either(headers), Ok(None))
}

/// What the bearer may do, who must be good on this connection; or the certificate's holder, where no token
/// comes along. A JWT was judged before there was a permit.
pub(super) async fn enter<'a>(
    context: &Context,
    permit: &'a Permit,
    call: &Call,
) -> Result<Cow<'a, Permit>, Failed> {
    if permit.principal().token().is_some() {
        return Ok(Cow::Borrowed(permit));
    }
    let known = match in_either(&call.head.headers)? {
        None => None,
        Some(token) => {
            let certificate = permit.subject().certificate();
            let presented = Presented {
                key_sha256: certificate.map(CertIdentity::public_key_sha256),
                takes_unbound: false,
            };
            let tokens = &context.service.tokens;
            match tokens.check(&permit.at_home(), text(token), presented, call.now).await {
                Ok(known) => Some(known),
                Err(Error::TokenInvalid | Error::DomainNotFound) => {
                    return Err(Problem::TokenInvalid.into());
                }
                Err(error) => return Err(error.into()),
            }
        }
    };
    tell(permit, known.as_ref());
    Ok(settle(context, permit, known.as_ref())?)
}

/// A token's text. What is not text is no token of ours, and must not pass for none.
pub(super) fn text(token: &[u8]) -> &str {
    std::str::from_utf8(token).unwrap_or("?")
}

/// Tells of a good token that came along, if one did.
pub(super) fn tell(permit: &Permit, own: Option<&KnownToken>) {
    if let Some(KnownToken { accessor, token }) = own {
        permit.learns(Detail::Token(accessor));
        if let Some(user) = &token.bearer.user {
            permit.learns(Detail::User(user));
        }
    }
}

/// What may be done with a good token; by the certificate's holder, where none came along.
pub(super) fn settle<'p>(
    context: &Context,
    permit: &'p Permit,
    own: Option<&KnownToken>,
) -> Result<Cow<'p, Permit>, Denied> {
    let of_certificate = Bearer::default();
    let bearer = own.map_or(&of_certificate, |own| &own.token.bearer);
    permit.settle(bearer, context.service.access.directory())
}
