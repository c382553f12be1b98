//! Tags of answers, by which a client that knows one is told so in place of it (RFC 9110, 8.8.3 and 13.1.2).
//!
//! Always holds: of one address, what is told of a secret in another way has another tag, also where the clock alone
//! made it so. Never does: say anything of a value, as tags are written into logs.

use std::fmt::Write as _;

use hyper::{
    StatusCode,
    header::{ETAG, HeaderValue, IF_NONE_MATCH},
};

use super::{Call, Reply};
use crate::{
    model::{Header, Timestamp, VersionState},
    service::VersionView,
};

/// As long as a version's tag is at the most.
const TAG: usize = 50;

/// The tag of an answer about a version: which one, of which secret (each begins with version 1), since when that is
/// as it is, and the version's state by now.
pub(super) fn of_version(header: &Header, version: &VersionView, now: Timestamp) -> HeaderValue {
    let state = match version.record.state(now) {
        VersionState::Active => 'a',
        VersionState::Deactivated => 'd',
        VersionState::Deleted => 'x',
    };
    let [made, changed] = [header.created_at, header.updated_at].map(Timestamp::unix_nanos);
    let mut tag = String::with_capacity(TAG);
    let _never_fails = write!(tag, "\"{}-{made:x}-{changed:x}-{state}\"", version.number.get());
    header_value(&tag)
}

/// A tag's text, with its quotes, as a header.
pub(super) fn header_value(tag: &str) -> HeaderValue {
    // Digits, letters and quotes are a header's text.
    HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"0\""))
}

/// Whether the client has the answer about a version already. Most clients know of none.
pub(super) fn knows(call: &Call, header: &Header, version: &VersionView) -> bool {
    call.head.headers.contains_key(IF_NONE_MATCH)
        && is_known(call, &of_version(header, version, call.now))
}

/// Whether the client has the answer with this tag already: one of its list, weak or not, or any at all.
pub(super) fn is_known(call: &Call, tag: &HeaderValue) -> bool {
    let lists = call.head.headers.get_all(IF_NONE_MATCH).iter();
    let mut known = lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
    known.any(|known| {
        let known = known.trim();
        known == "*" || known.trim_start_matches("W/").as_bytes() == tag.as_bytes()
    })
}

/// The answer to a client that has it already.
pub(super) fn not_modified(tag: HeaderValue) -> Reply {
    tagged(Reply::empty(StatusCode::NOT_MODIFIED), tag)
}

/// An answer with its tag.
pub(super) fn tagged(mut reply: Reply, tag: HeaderValue) -> Reply {
    reply.headers.push((ETAG, tag));
    reply
}
