//! The members of a record, as JSON text.
//!
//! Always holds: the text is ASCII without control characters, whatever was put in. What is not, is
//! escaped, so that no name or path starts a line, moves a terminal's cursor or turns the direction
//! of what is read.

use std::fmt::{Display, Write as _};

use serde_json::value::RawValue;

use crate::model::{Timestamp, text::hex_digits};

/// As long as most records are, in bytes, so that few are moved while they are made.
const ROOM: usize = 1_024;

/// Members of a JSON object, without its braces: `"name":"value",…`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members(String);

impl Members {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self(String::with_capacity(ROOM))
    }

    /// A text.
    #[must_use]
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        quote(&mut self.0, value);
        self
    }

    /// What prints as plain text, without quotation marks, such as a number or an address.
    #[must_use]
    pub(super) fn shown(mut self, name: &str, value: impl Display) -> Self {
        self.name(name);
        let _never_fails = write!(self.0, "\"{value}\"");
        self
    }

    /// A text, if there is one.
    #[must_use]
    pub fn maybe(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// A number.
    #[must_use]
    pub fn number(mut self, name: &str, value: u64) -> Self {
        self.name(name);
        let _never_fails = write!(self.0, "{value}");
        self
    }

    /// Whether something is so.
    #[must_use]
    pub fn truth(mut self, name: &str, value: bool) -> Self {
        self.name(name);
        self.0.push_str(if value { "true" } else { "false" });
        self
    }

    /// Bytes, in lower case hexadecimal.
    #[must_use]
    pub fn hex(mut self, name: &str, bytes: &[u8]) -> Self {
        self.name(name);
        self.0.push('"');
        self.0.extend(hex_digits(bytes).map(char::from));
        self.0.push('"');
        self
    }

    /// A moment, to the millisecond (RFC 3339).
    #[must_use]
    pub fn time(self, name: &str, moment: Timestamp) -> Self {
        self.text(name, &moment.to_rfc3339_millis())
    }

    /// A value as it is in another record: it must be as plain as all that is told.
    #[must_use]
    pub(super) fn verbatim(mut self, name: &str, value: &RawValue) -> Self {
        self.name(name);
        self.0.push_str(value.get());
        self
    }

    /// Texts; none where there are none.
    #[must_use]
    pub fn texts<'a>(mut self, name: &str, values: impl IntoIterator<Item = &'a str>) -> Self {
        self.list(name, values, quote);
        self
    }

    /// Numbers; none where there are none.
    #[must_use]
    pub fn numbers(mut self, name: &str, values: impl IntoIterator<Item = u64>) -> Self {
        self.list(name, values, |text, value| {
            let _never_fails = write!(text, "{value}");
        });
        self
    }

    /// An object; none where it would be empty.
    #[must_use]
    pub fn object(mut self, name: &str, value: &Self) -> Self {
        if !value.0.is_empty() {
            self.name(name);
            self.0.push('{');
            self.0.push_str(&value.0);
            self.0.push('}');
        }
        self
    }

    /// Objects; none where there are none.
    #[must_use]
    pub fn objects(mut self, name: &str, values: impl IntoIterator<Item = Self>) -> Self {
        self.list(name, values, |text, value| {
            text.push('{');
            text.push_str(&value.0);
            text.push('}');
        });
        self
    }

    /// Values, each as `tell` does; no member where there are none.
    fn list<T>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = T>,
        mut tell: impl FnMut(&mut String, T),
    ) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return;
        }
        self.name(name);
        let mut separator = '[';
        for value in values {
            self.0.push(separator);
            tell(&mut self.0, value);
            separator = ',';
        }
        self.0.push(']');
    }

    /// All of `others` as well.
    #[must_use]
    pub fn with(self, others: &Self) -> Self {
        self.with_text(&others.0)
    }

    /// All of those whose text this is.
    pub(super) fn with_text(mut self, others: &str) -> Self {
        if !others.is_empty() {
            self.comma();
            self.0.push_str(others);
        }
        self
    }

    /// Where what comes next begins.
    pub(super) const fn end(&self) -> usize {
        self.0.len()
    }

    /// What was put in from there on.
    pub(super) fn since(&self, begin: usize) -> &str {
        self.0.get(begin..).unwrap_or_default().trim_start_matches(',')
    }

    /// Takes away what was put in from there on.
    pub(super) fn cut(&mut self, end: usize) {
        self.0.truncate(end);
    }

    /// Their text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[cfg(test)]
    pub(super) fn of_test(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// `name` is one of ours, and plain.
    fn name(&mut self, name: &str) {
        self.comma();
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    fn comma(&mut self) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
    }
}

/// A JSON string of plain characters alone.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'"' && *byte != b'\\';
    if text.as_bytes().iter().all(is_plain) {
        out.push_str(text);
    } else {
        for one in text.chars() {
            match one {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                ' '..='~' => out.push(one),
                _ => {
                    for unit in one.encode_utf16(&mut [0; 2]) {
                        let _never_fails = write!(out, "\\u{unit:04x}");
                    }
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_come_back_and_are_plain(text in any::<String>(), other in "[\\PC\\pC]{0,20}") {
            let members = Members::new().text("a", &text).texts("b", [&*other, &text]);
            let line = format!("{{{}}}", members.as_str());
            prop_assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(&read["a"], &serde_json::json!(text));
            prop_assert_eq!(&read["b"], &serde_json::json!([other, text]));
        }
    }

    #[test]
    fn members_are_an_object() {
        let members = Members::new()
            .number("n", 7)
            .truth("t", true)
            .hex("h", &[0, 0xab])
            .objects("m", [Members::new().number("x", 1), Members::new().truth("y", false)])
            .objects("n", [])
            .numbers("v", [3, 12])
            .numbers("w", [])
            .object("o", &Members::new().number("x", 1))
            .object("p", &Members::new())
            .maybe("none", None)
            .texts("no", [])
            .with(&Members::new())
            .with(&Members::new().time("at", Timestamp::from_unix_nanos(1_234_567_891)));
        assert_eq!(
            members.as_str(),
            r#""n":7,"t":true,"h":"00ab","m":[{"x":1},{"y":false}],"v":[3,12],"o":{"x":1},"at":"1970-01-01T00:00:01.234Z""#
        );
    }
}
