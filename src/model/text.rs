//! Which text people can read, and short text that takes no memory of its own.

use std::{fmt, ops::Deref};

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// Whether `text` is printable: letters, marks, numbers, punctuation, symbols and the blank, as
/// Go's `unicode.IsPrint` has it.
#[must_use]
pub fn is_printable(text: &str) -> bool {
    let is_plain = text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'));
    is_plain
        || text.chars().all(|c| match c {
            ' '..='~' => true,
            _ if c.is_ascii() => false,
            _ => !matches!(
                c.general_category_group(),
                GeneralCategoryGroup::Other | GeneralCategoryGroup::Separator
            ),
        })
}

/// Whether `text` has letters, digits and `_.:/=@%-` alone: the alphabet of what is published for
/// the native dialect.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:/=@%-".contains(&byte))
}

/// At most `N` bytes of ASCII, which are where it is: it takes no memory of its own.
#[derive(Clone, Copy)]
pub struct Short<const N: usize> {
    text: [u8; N],
    length: usize,
}

impl<const N: usize> Short<N> {
    /// Adds a character, if there is room.
    pub(super) fn push(&mut self, byte: u8) {
        if let Some(place) = self.text.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    /// Leaves so many at the most.
    pub(super) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

impl<const N: usize> Default for Short<N> {
    fn default() -> Self {
        Self { text: [0; N], length: 0 }
    }
}

impl<const N: usize> From<[u8; N]> for Short<N> {
    fn from(text: [u8; N]) -> Self {
        Self { text, length: N }
    }
}

impl<const N: usize> Deref for Short<N> {
    type Target = str;

    fn deref(&self) -> &str {
        let text = self.text.get(..self.length).unwrap_or_default();
        str::from_utf8(text).unwrap_or_default()
    }
}

impl<const N: usize> AsRef<str> for Short<N> {
    fn as_ref(&self) -> &str {
        self
    }
}

impl<T: AsRef<str> + ?Sized, const N: usize> PartialEq<T> for Short<N> {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

impl<const N: usize> fmt::Display for Short<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl<const N: usize> fmt::Debug for Short<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bytes as hexadecimal digits, in lower case.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    String::from_utf8(hex_digits(bytes).collect()).unwrap_or_default()
}

/// The same, digit for digit.
pub fn hex_digits(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    bytes.iter().flat_map(move |byte| [digit(byte >> 4), digit(byte & 15)])
}

/// A SHA-256 in hexadecimal digits, with or without colons between the bytes.
#[must_use]
pub fn sha256(text: &str) -> Option<[u8; 32]> {
    unhex(&text.replace(':', ""))
}

/// So many bytes, of which these are the hexadecimal digits.
#[must_use]
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let nibble = |digit: u8| u8::try_from(char::from(digit).to_digit(16)?).ok();
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; N];
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_prints() {
        for yes in ["", "a b~", "é漢字", "e\u{301}", "½ € 🦀", "\u{a1}"] {
            assert!(is_printable(yes), "{yes}");
        }
        // Tab, NUL, DEL, no-break space, zero-width space, line separator, soft hyphen, private
        // use, byte order mark.
        for no in [
            "\t", "\0", "\u{7f}", "\u{a0}", "\u{200b}", "\u{2028}", "\u{ad}", "\u{e000}",
            "\u{feff}", "a\nb",
        ] {
            assert!(!is_printable(no), "{no:?}");
        }
        let all: Vec<u8> = (0..=u8::MAX).collect();
        assert!(all.iter().all(|byte| hex(&[*byte]) == format!("{byte:02x}")));
        assert_eq!(unhex::<256>(&hex(&all)).unwrap().as_slice(), all);
        let key = "0aF1".repeat(16);
        let bytes = [0x0a, 0xf1].repeat(16);
        assert_eq!(sha256(&key).unwrap().as_slice(), bytes);
        assert_eq!(sha256(&["0a:f1"; 16].join(":")).unwrap().as_slice(), bytes);
        for wrong in [
            "",
            &key[1..],
            &key[2..],
            &format!("{key}0"),
            &key.replace('F', "+"),
            &key.replace('F', "é"),
        ] {
            assert_eq!(sha256(wrong), None, "{wrong}");
        }
        assert!(is_plain("a_.:/=@%-Z9") && !is_plain("a b") && !is_plain("é"));
    }
}
