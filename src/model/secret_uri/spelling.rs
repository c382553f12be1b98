//! Percent-escapes, read once and strictly, and written only where they are needed.

use std::fmt::Write as _;

use super::UriError;
use crate::model::text;

const BROKEN: UriError = UriError::illegal(
    "the URI has a broken percent-escape; escape each special byte as %XX, in UTF-8",
);
const RAW: UriError = UriError::illegal(
    "the URI has a character that must be escaped; escape all but letters, digits and . _ - ~ : = @ as %XX, in UTF-8",
);
const UNPRINTABLE: UriError = UriError::illegal(
    "the URI has a character that cannot be printed; use letters, digits and signs",
);

/// What stands for itself in a segment.
pub(super) fn in_segment(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-~:=@".contains(&byte)
}

/// What stands for itself in a fragment: as in RFC 3986, but `?`, which ends it here.
pub(super) fn in_fragment(byte: u8) -> bool {
    in_segment(byte) || b"/!$&'()*+,;".contains(&byte)
}

/// What a text says, of which only what `stands` may be there unescaped.
pub(super) fn read(text: &str, stands: fn(u8) -> bool) -> Result<String, UriError> {
    let (mut said, mut bytes) = (Vec::with_capacity(text.len()), text.bytes());
    while let Some(byte) = bytes.next() {
        said.push(match byte {
            b'%' => nibble(bytes.next())? << 4 | nibble(bytes.next())?,
            byte if stands(byte) => byte,
            _ => return Err(RAW),
        });
    }
    let said = String::from_utf8(said).map_err(|_| BROKEN)?;
    if text::is_printable(&said) { Ok(said) } else { Err(UNPRINTABLE) }
}

fn nibble(digit: Option<u8>) -> Result<u8, UriError> {
    let nibble = digit.and_then(|digit| char::from(digit).to_digit(16));
    nibble.and_then(|nibble| u8::try_from(nibble).ok()).ok_or(BROKEN)
}

/// Writes what `text` says.
pub(super) fn write(out: &mut String, text: &str, stands: fn(u8) -> bool) {
    for byte in text.bytes() {
        if stands(byte) {
            out.push(char::from(byte));
        } else {
            // A text takes all that is written to it.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// Writes a path, whose slashes stand between segments.
pub(super) fn write_path(out: &mut String, path: &str) {
    write(out, path, |byte| byte == b'/' || in_segment(byte));
}
