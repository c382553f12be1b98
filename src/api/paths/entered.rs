//! What comes before every operation: the bearer, and the path.

use std::borrow::Cow;

use hyper::{
    HeaderMap,
    header::{AUTHORIZATION, HeaderValue},
};

use super::super::{Call, Context, Failed, Problem};
use crate::{
    auth::{Detail, Permit, identity::CertIdentity},
    model::{Bearer, PUBLISHED_PATH_MAX, SecretPath},
    service::{Error, Presented},
};

/// The token in the header that this dialect has for it.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes)?;
    let (scheme, token) = value.split_at_checked(7)?;
    let token = scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)?;
    // What is not text is no token of ours, and must not pass for none.
    Some(std::str::from_utf8(token).unwrap_or("?"))
}

/// What the bearer may do, who must be good on this connection; or the certificate's holder, where no
/// token comes along.
pub(super) async fn settle<'a>(
    context: &Context,
    permit: &'a Permit,
    call: &Call,
) -> Result<Cow<'a, Permit>, Failed> {
    let known = match bearer(&call.head.headers) {
        None => None,
        Some(text) => {
            let certificate = permit.subject().certificate();
            let presented = Presented {
                key_sha256: certificate.map(CertIdentity::public_key_sha256),
                takes_unbound: false,
            };
            match context.service.tokens.check(permit, text, presented, call.now).await {
                Ok(known) => Some(known),
                Err(Error::TokenInvalid | Error::DomainNotFound) => {
                    return Err(Problem::TokenInvalid.into());
                }
                Err(error) => return Err(error.into()),
            }
        }
    };
    let of_certificate = Bearer::default();
    if let Some(known) = &known {
        permit.learns(Detail::Token(&known.accessor));
        if let Some(user) = &known.token.bearer.user {
            permit.learns(Detail::User(user));
        }
    }
    let bearer = known.as_ref().map_or(&of_certificate, |known| &known.token.bearer);
    Ok(permit.settle(bearer, context.service.access.directory())?)
}

/// The path that the address names.
pub(super) fn path(call: &Call) -> Result<SecretPath, Failed> {
    of_text(call.params.name.as_deref().unwrap_or_default())
}

/// A path as somebody has written it.
pub(super) fn of_text(text: &str) -> Result<SecretPath, Failed> {
    text.parse().map_err(|_| Problem::BadPath.into())
}

/// Whether a new secret may have this path: at most ten segments of letters, digits, `-`, `_` and `.`,
/// so that it needs an escape nowhere.
pub(super) fn is_plain(path: &SecretPath) -> bool {
    let text = path.as_str();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    text.len() <= PUBLISHED_PATH_MAX && text.bytes().all(is_plain) && text.split('/').count() <= 10
}
