//! Percent-decoding, once, and query parameters.
//!
//! In a query, as in a form, `+` is a blank: what Go, Python and browsers send and read. A path has
//! no such rule. Nothing that the native dialect takes in a query has a blank or a `+` in it, so
//! that one rule does for both.

use std::{borrow::Cow, ops::RangeInclusive};

use percent_encoding::percent_decode_str;

use crate::model::Invalid;

/// `text` with its percent-escapes resolved, once.
///
/// # Errors
/// `Invalid` for a broken escape, or where the bytes are not UTF-8.
pub(crate) fn decode(text: &str) -> Result<Cow<'_, str>, Invalid> {
    const BROKEN: Invalid =
        Invalid("the URL has a broken percent-escape; escape each special byte as %XX, in UTF-8");
    // The library leaves a broken escape as it is, under which two names can mean one thing.
    let is_escape = |rest: &str| matches!(rest.as_bytes(), [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(is_escape) {
        return Err(BROKEN);
    }
    percent_decode_str(text).decode_utf8().map_err(|_| BROKEN)
}

/// `text` of a query or a form, decoded.
///
/// # Errors
/// As [`decode`].
pub(crate) fn form(text: &str) -> Result<Cow<'_, str>, Invalid> {
    if text.contains('+') {
        return decode(&text.replace('+', " ")).map(|text| Cow::Owned(text.into_owned()));
    }
    decode(text)
}

/// The value of the query parameter `name`; `None` where it is absent or empty.
///
/// # Errors
/// `Invalid` where it is given twice, or badly escaped.
pub(crate) fn parameter<'a>(query: &'a str, name: &str) -> Result<Option<Cow<'a, str>>, Invalid> {
    Ok(given(query, name)?.filter(|value| !value.is_empty()))
}

/// The same, be it empty: of what chooses among others, nothing is none of them.
///
/// # Errors
/// As [`parameter`].
pub(crate) fn given<'a>(query: &'a str, name: &str) -> Result<Option<Cow<'a, str>>, Invalid> {
    match *written(query, name)? {
        [] => Ok(None),
        [value] => form(value).map(Some),
        _ => Err(TWICE),
    }
}

/// What is wrong with a parameter that there may be once.
pub(crate) const TWICE: Invalid = Invalid("a query parameter is given twice; give each one once");

/// All values of the query parameter `name` as they are written, in their order.
///
/// # Errors
/// `Invalid` where a name is badly escaped.
pub(crate) fn written<'a>(query: &'a str, name: &str) -> Result<Vec<&'a str>, Invalid> {
    let mut found = Vec::new();
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if form(key)? == name {
            found.push(value);
        }
    }
    Ok(found)
}

/// The whole number that a text is, in digits alone, where it lies within bounds.
#[must_use]
pub(crate) fn whole(text: &str, bounds: RangeInclusive<u32>) -> Option<u32> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_digits && bounds.contains(number))
}

/// All values of the query parameter `name` that are not empty, in their order.
///
/// # Errors
/// `Invalid` where one is badly escaped.
pub(crate) fn parameters(query: &str, name: &str) -> Result<Vec<String>, Invalid> {
    let values = written(query, name)?.into_iter().filter(|value| !value.is_empty());
    values.map(|value| Ok(form(value)?.into_owned())).collect()
}

/// The truth value of the query parameter `name`, by Go's spellings; false where it is absent.
///
/// # Errors
/// `Invalid` for any other text.
pub(crate) fn flag(query: &str, name: &str) -> Result<bool, Invalid> {
    match parameter(query, name)?.as_deref() {
        None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some(_) => Err(Invalid("a yes/no query parameter must be true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_once() {
        assert_eq!(decode("foo%2Fbar%252F").unwrap(), "foo/bar%2F");
        assert!(
            matches!(decode("foo").unwrap(), Cow::Borrowed(_)),
            "no copy where nothing is escaped"
        );
        for broken in ["%", "%2", "%zz", "%ff", "a%+1", "%2%41", "%é", "%%41", "%4\u{ff11}"] {
            assert!(decode(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn parameters() {
        let query = "includeData=true&version=3&empty=&c%61s=1";
        assert_eq!(parameter(query, "version").unwrap().as_deref(), Some("3"));
        assert_eq!(parameter(query, "cas").unwrap().as_deref(), Some("1"));
        assert_eq!(parameter(query, "empty").unwrap(), None);
        assert_eq!(given(query, "empty").unwrap().as_deref(), Some(""));
        assert_eq!(given(query, "other").unwrap(), None);
        assert_eq!(parameter("", "x").unwrap(), None);
        assert_eq!(parameter("after=a+b%2Bc%20d", "after").unwrap().as_deref(), Some("a b+c d"));
        assert_eq!(decode("a+b").unwrap(), "a+b");
        assert!(parameter("a=1&a=2", "a").is_err() && parameter("a&%61=2", "a").is_err());
        assert!(flag(query, "includeData").unwrap() && !flag(query, "other").unwrap());
        assert!(flag("list=yes", "list").is_err());
    }
}
