//! Paging by headers, and how cursors are written.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hyper::header::{HeaderName, HeaderValue};

use super::{Call, Reply};
use crate::{model::Invalid, service::FORGED_CURSOR};

/// The fewest entries of a page, as published.
const SIZE_MIN: u64 = 10;
/// The most, and the default.
const SIZE_MAX: u64 = 100;
const NEXT: HeaderName = HeaderName::from_static("x-pagination-cursor-next");

/// How many entries the caller wants: clamped to what is published, as clients ask for more.
pub(crate) fn size(call: &Call) -> Result<usize, Invalid> {
    const WRONG: Invalid = Invalid("X-Pagination-Size must be a whole number from 10 to 100");
    let Some(size) = call.head.headers.get("x-pagination-size") else { return Ok(100) };
    let size = size
        .to_str()
        .ok()
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    let size = size.ok_or(WRONG)?.parse::<u64>().unwrap_or(u64::MAX).clamp(SIZE_MIN, SIZE_MAX);
    usize::try_from(size).map_err(|_| WRONG)
}

/// The cursor that the caller brings.
pub(crate) fn cursor(call: &Call) -> Result<Option<Vec<u8>>, Invalid> {
    let Some(cursor) = call.header("x-pagination-cursor") else { return Ok(None) };
    read(cursor).map(Some)
}

/// What a cursor says.
///
/// # Errors
/// `Invalid` where it is none.
pub(crate) fn read(cursor: impl AsRef<[u8]>) -> Result<Vec<u8>, Invalid> {
    URL_SAFE_NO_PAD.decode(cursor).map_err(|_| FORGED_CURSOR)
}

/// The text of a cursor.
#[must_use]
pub(crate) fn text(next: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(next)
}

/// `reply` with the cursor of the next page, if there is one.
pub(crate) fn with_next(mut reply: Reply, next: Option<Vec<u8>>) -> Reply {
    let next = next.and_then(|next| HeaderValue::try_from(text(&next)).ok());
    reply.headers.extend(next.map(|next| (NEXT, next)));
    reply
}
