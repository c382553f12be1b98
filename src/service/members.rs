//! The members of a value, which is the text of a JSON object: which there are, and some put in the place of others.
//!
//! Always holds: what is not put keeps its bytes; one pass over the text is enough, whatever is in it. Never does:
//! make a tree of it, or judge it.

use std::collections::HashMap;

use zeroize::Zeroizing;

use super::values::Made;
use crate::crypto::SecretValue;

/// The names of a value's members, in their order.
pub(super) fn names(value: &SecretValue) -> Vec<String> {
    members(value.expose()).map(|member| member.name).collect()
}

/// The value with these texts as its members: in the place of those that are so called, and the others at the end.
pub(super) fn put(value: &SecretValue, made: &Made) -> SecretValue {
    let before = value.expose();
    let added = made.iter().map(|(name, text)| 2 * (name.len() + text.len()) + 16);
    // With room for nearly all of it, so that it seldom grows and leaves a part of it behind.
    let mut out = Zeroizing::new(Vec::with_capacity(before.len() + added.sum::<usize>()));
    let mut missing: HashMap<&str, &SecretValue> =
        made.iter().map(|(name, text)| (name.as_str(), text)).collect();
    let wanted = missing.clone();
    let (mut copied, mut is_empty) = (0, true);
    for Member { name, from, to } in members(before) {
        is_empty = false;
        if let Some(text) = wanted.get(name.as_str()) {
            out.extend_from_slice(before.get(copied..from).unwrap_or_default());
            write_text(&mut out, text.expose());
            copied = to;
            missing.remove(name.as_str());
        }
    }
    let rest = before.get(copied..).unwrap_or_default();
    let end = rest.iter().rposition(|byte| *byte == b'}').unwrap_or(rest.len());
    let (inner, closing) = rest.split_at(end);
    out.extend_from_slice(inner);
    for (name, text) in made.iter().filter(|(name, _)| missing.contains_key(name.as_str())) {
        if !std::mem::take(&mut is_empty) {
            out.push(b',');
        }
        write_text(&mut out, name.as_bytes());
        out.push(b':');
        write_text(&mut out, text.expose());
    }
    out.extend_from_slice(closing);
    SecretValue::new(std::mem::take(&mut *out))
}

/// A member: its name, and where its value is.
struct Member {
    name: String,
    from: usize,
    to: usize,
}

/// The members of the object that the text is.
fn members(text: &[u8]) -> impl Iterator<Item = Member> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.skip_blanks();
    scanner.at += 1;
    std::iter::from_fn(move || {
        loop {
            scanner.skip_blanks();
            match scanner.peek()? {
                b',' => scanner.at += 1,
                b'"' => break,
                _ => return None,
            }
        }
        let name = scanner.at;
        scanner.skip_value();
        let name = unescape(text.get(name + 1..scanner.at.saturating_sub(1)).unwrap_or_default());
        scanner.skip_blanks();
        scanner.at += 1;
        scanner.skip_blanks();
        let from = scanner.at;
        scanner.skip_value();
        Some(Member { name, from, to: scanner.at.min(text.len()) })
    })
}

/// Walks over well-formed JSON text; in any other it goes somewhere, and never back.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Goes behind the value that begins here, with all that is in it.
    fn skip_value(&mut self) {
        let (mut depth, mut in_string) = (0_usize, false);
        while let Some(byte) = self.peek() {
            match byte {
                b'\\' if in_string => self.at += 1,
                b'"' => in_string = !in_string,
                _ if in_string => {}
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth > 0 => depth -= 1,
                b',' | b':' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return,
                _ => {}
            }
            self.at += 1;
            let is_whole = matches!(byte, b'"' | b'}' | b']') && !in_string && depth == 0;
            if is_whole {
                return;
            }
        }
    }
}

/// What a string says that is between these quotes.
fn unescape(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    if !text.contains('\\') {
        return text.into_owned();
    }
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let c = match c {
            '\\' => match rest.next() {
                Some('u') => {
                    let digits: String = rest.by_ref().take(4).collect();
                    units.push(u16::from_str_radix(&digits, 16).unwrap_or(0xfffd));
                    continue;
                }
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(c) => c,
                None => break,
            },
            c => c,
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16_lossy(&units)
}

/// Writes text as a JSON string.
fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                let [high, low] = [byte >> 4, byte & 15].map(usize::from);
                out.extend_from_slice(b"\\u00");
                out.extend([high, low].iter().filter_map(|nibble| DIGITS.get(*nibble)));
            }
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn value(text: &str) -> SecretValue {
        SecretValue::new(text.as_bytes().to_vec())
    }

    fn put_in(before: &str, made: &[(&str, &str)]) -> String {
        let made = made.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect();
        String::from_utf8(put(&value(before), &made).expose().to_vec()).unwrap()
    }

    #[test]
    fn what_is_not_put_keeps_its_bytes() {
        let before = "{ \"user\" : \"u\\u00e9\", \"n\":12345678901234567890 ,\n\"password\": \"old\\\"}\" , \"deep\":{\"password\":[1.0, \"x\"]}}";
        assert_eq!(
            put_in(before, &[("password", "n\"e\\w\n\u{1}é"), ("more", "m")]),
            "{ \"user\" : \"u\\u00e9\", \"n\":12345678901234567890 ,\n\"password\": \"n\\\"e\\\\w\\n\\u0001é\" , \"deep\":{\"password\":[1.0, \"x\"]},\"more\":\"m\"}"
        );
        // A name is the same however it is escaped; of one that is there twice, both are put.
        assert_eq!(put_in(r#"{"\u0061":1,"b":2}"#, &[("a", "x")]), r#"{"\u0061":"x","b":2}"#);
        assert_eq!(put_in(r#"{"a":1,"a":{}}"#, &[("a", "x")]), r#"{"a":"x","a":"x"}"#);
        assert_eq!(put_in("{}", &[("a", "x"), ("b", "y")]), r#"{"a":"x","b":"y"}"#);
        assert_eq!(put_in(" { } ", &[("a", "x")]), " { \"a\":\"x\"} ");
        assert_eq!(
            put_in(r#"{"a":[1,{"b":2}],"c":true}"#, &[("c", "x")]),
            r#"{"a":[1,{"b":2}],"c":"x"}"#
        );
        assert_eq!(put_in(r#"{"a":1}"#, &[]), r#"{"a":1}"#);
    }

    #[test]
    fn names_of_members() {
        let names = |text: &str| names(&value(text));
        assert_eq!(
            names(r#"{"a":{"b":1},"\ud83e\udd80\n":[{"c":2}] , "d\\":"x"}"#),
            ["a", "🦀\n", "d\\"]
        );
        assert!(names("{}").is_empty() && names("").is_empty());
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "[a-c\"\\\\{}\\[\\],: é\n]{0,6}".prop_map(Value::from),
        ];
        let inner = leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c\"\\\\é]{0,2}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        });
        prop::collection::btree_map("[a-c\"\\\\é]{0,2}", inner, 0..5)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    }

    proptest! {
        /// Against the rule written down over parsed trees.
        #[test]
        fn puts_like_a_tree(before in json(), name in "[a-c\"\\\\é]{0,2}", text in "\\PC{0,9}|[\n\r\t\u{1}\"\\\\]{0,3}", pretty in any::<bool>()) {
            let written = if pretty { serde_json::to_string_pretty(&before) } else { serde_json::to_string(&before) };
            let after: Value = serde_json::from_str(&put_in(&written.unwrap(), &[(&name, &text), ("z", "1")])).unwrap();
            let mut expected = before;
            let members = expected.as_object_mut().unwrap();
            members.insert(name, text.into());
            members.insert("z".to_owned(), "1".into());
            prop_assert_eq!(after, expected);
        }

        #[test]
        fn never_panics(text in "[{}\\[\\]\",:a1\\\\ é]{0,40}") {
            put_in(&text, &[("a", "b")]);
        }
    }
}
