//! Tokens that come along in the header that HTTP has for them, and what whoever brings one may do.

use std::borrow::Cow;

use hyper::{HeaderMap, header::AUTHORIZATION};

use super::Context;
use crate::{
    auth::{Denied, Detail, Permit},
    model::Bearer,
    service::KnownToken,
};

/// What follows `Bearer ` in `Authorization`, be it nothing; `None` where another scheme is there, or
/// none.
pub(super) fn in_header(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
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
