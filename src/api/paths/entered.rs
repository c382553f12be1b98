//! What comes before every operation: the bearer, and the path.

pub(super) use super::super::bearer::enter as settle;
use super::super::{Call, Failed, Problem};
use crate::model::{PUBLISHED_PATH_MAX, SecretPath};

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
