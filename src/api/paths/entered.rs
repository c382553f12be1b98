//! What comes before every operation: the bearer, and the path.

use std::borrow::Cow;

use super::super::{Call, Context, Failed, Problem, bearer};
use crate::{
    auth::{Permit, identity::CertIdentity},
    model::{PUBLISHED_PATH_MAX, SecretPath},
    service::{Error, Presented},
};

/// What the bearer may do, who must be good on this connection; or the certificate's holder, where no
/// token comes along.
pub(super) async fn settle<'a>(
    context: &Context,
    permit: &'a Permit,
    call: &Call,
) -> Result<Cow<'a, Permit>, Failed> {
    let known = match bearer::in_either(&call.head.headers)? {
        None => None,
        Some(token) => {
            let certificate = permit.subject().certificate();
            let presented = Presented {
                key_sha256: certificate.map(CertIdentity::public_key_sha256),
                takes_unbound: false,
            };
            match context
                .service
                .tokens
                .check(&permit.at_home(), bearer::text(token), presented, call.now)
                .await
            {
                Ok(known) => Some(known),
                Err(Error::TokenInvalid | Error::DomainNotFound) => {
                    return Err(Problem::TokenInvalid.into());
                }
                Err(error) => return Err(error.into()),
            }
        }
    };
    bearer::tell(permit, known.as_ref());
    Ok(bearer::settle(context, permit, known.as_ref())?)
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
