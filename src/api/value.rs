//! Secrets' values: JSON objects that go in and out as the text that they are.
//!
//! Always holds: what is taken can be read back by every strict JSON reader. Each check is one pass
//! over the text, and makes no tree of it. Never does: repeat a value in an error.

use std::{borrow::Cow, collections::HashSet};

use serde_json::value::RawValue;

use super::json;
use crate::{model::Invalid, service::SecretValue};

/// The deepest nesting that a value may have.
const DEPTH_MAX: usize = 100;
/// The most members and elements of a value, on all levels together.
const ENTRIES_MAX: usize = 65_536;
/// The longest number that cannot be beyond a double unless it has an exponent.
const DIGITS_MAX: usize = 308;

const TWICE: Invalid =
    Invalid("data has an object that names a member twice; readers would keep only one of the two");
const SURROGATE: Invalid = Invalid(
    "data has a text with half of a surrogate pair, such as \\ud800 alone; it stands for no character",
);
const TOO_GREAT: Invalid =
    Invalid("data has a number beyond what a double can hold, such as 1e999; send it as text");

/// The value in a request's member: the text of a JSON object, as it was sent.
pub(crate) fn value(raw: Option<&RawValue>, bytes_max: usize) -> Result<SecretValue, Invalid> {
    let raw = json::non_null(raw)
        .ok_or(Invalid("no data: give the secret's value as a JSON object in the field data"))?;
    value_of(raw.get(), bytes_max)
}

/// Whether strict readers will read this well-formed JSON text back.
pub(crate) fn value_of(text: &str, bytes_max: usize) -> Result<SecretValue, Invalid> {
    if !text.starts_with('{') {
        return Err(Invalid("data must be a JSON object, for instance {\"password\": \"…\"}"));
    }
    if text.len() > bytes_max {
        return Err(Invalid(
            "data is larger than this server takes; split it into several secrets",
        ));
    }
    check(text)?;
    Ok(SecretValue::new(text.as_bytes().to_vec()))
}

/// Whether well-formed JSON text can be a value, or a part of one.
///
/// # Errors
/// As [`check_shape`]; and where strict readers would refuse it, or not all read the same: a name
/// twice in an object, half of a surrogate pair, a number that is no double's.
pub(crate) fn check(text: &str) -> Result<(), Invalid> {
    check_shape(text)?;
    // The objects and arrays around the place, of objects their number.
    let (mut around, mut objects) = (Vec::<Option<usize>>::new(), 0);
    // One set for all objects: a name costs the same however many there are, and in however deep an
    // object.
    let mut names = HashSet::new();
    let (mut rest, mut is_name) = (text, false);
    while let Some(first) = rest.bytes().next() {
        let mut token = 1;
        match first {
            b'{' => {
                around.push(Some(objects));
                objects += 1;
                is_name = true;
            }
            b'[' => {
                around.push(None);
                is_name = false;
            }
            b'}' | b']' => {
                around.pop();
                is_name = false;
            }
            b',' => is_name = matches!(around.last(), Some(Some(_))),
            b'"' => {
                token = string_len(rest);
                let string = unescape(rest.get(..token).unwrap_or_default())?;
                if std::mem::take(&mut is_name)
                    && !names.insert((around.last().copied().flatten(), string))
                {
                    return Err(TWICE);
                }
            }
            b'-' | b'0'..=b'9' => {
                token = rest.find([',', '}', ']', ' ', '\t', '\n', '\r']).unwrap_or(rest.len());
                check_number(rest.get(..token).unwrap_or_default())?;
            }
            _ => {}
        }
        // All tokens but strings are ASCII, and so is a string's last byte.
        rest = rest.get(token..).unwrap_or_default();
    }
    Ok(())
}

/// How long the string is with which `text` begins, its quotes included.
fn string_len(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|byte| match byte {
        _ if is_escaped => {
            is_escaped = false;
            false
        }
        b'\\' => {
            is_escaped = true;
            false
        }
        byte => byte == b'"',
    });
    end.map_or(text.len(), |end| end + 2)
}

/// What a string with its quotes says.
fn unescape(string: &str) -> Result<Cow<'_, str>, Invalid> {
    if string.contains('\\') {
        // The text is well-formed, so that nothing else can be wrong with it.
        return serde_json::from_str(string).map(Cow::Owned).map_err(|_| SURROGATE);
    }
    Ok(Cow::Borrowed(string.get(1..string.len().saturating_sub(1)).unwrap_or_default()))
}

fn check_number(number: &str) -> Result<(), Invalid> {
    let is_plain = number.len() <= DIGITS_MAX && !number.contains(['e', 'E']);
    if is_plain || number.parse::<f64>().is_ok_and(f64::is_finite) {
        Ok(())
    } else {
        Err(TOO_GREAT)
    }
}

/// Whether well-formed JSON text is not nested too deeply, and has not too many entries: before
/// anything is made of it.
///
/// # Errors
/// `Invalid` where it is, or has.
pub(crate) fn check_shape(text: &str) -> Result<(), Invalid> {
    let (depth, entries) = shape(text);
    if depth > DEPTH_MAX {
        return Err(Invalid("data is nested too deeply; the most is 100 levels"));
    }
    if entries > ENTRIES_MAX {
        return Err(Invalid("data has too many members and elements; the most is 65536"));
    }
    Ok(())
}

/// How deep well-formed JSON text is nested, and how many members and elements it has at most.
fn shape(text: &str) -> (usize, usize) {
    let (mut depth, mut deepest, mut entries, mut in_string, mut escaped) =
        (0usize, 0, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                entries += 1;
                deepest = deepest.max(depth);
            }
            b',' if !in_string => entries += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    (deepest, entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn values_keep_their_text_and_are_bounded() {
        let exact = r#"{"n":12345678901234567890,"f":1.0,"e":-1e308, "s":"é\u00e9\ud83d\ude00"}"#;
        assert_eq!(value(Some(&raw(exact)), 1000).unwrap().expose(), exact.as_bytes());
        assert!(value(Some(&raw("{}")), 2).is_ok() && value(Some(&raw(exact)), 10).is_err());
        for wrong in ["null", "[]", "\"x\"", "1", "true"] {
            assert!(value(Some(&raw(wrong)), 100).is_err(), "{wrong}");
        }
        let nested =
            |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(value(Some(&raw(&nested(99))), 10_000).is_ok());
        assert!(value(Some(&raw(&nested(100))), 10_000).is_err());
        assert_eq!(shape(r#"{"[[[":"\"{{{,","b":[1,2]}"#), (2, 4));
        let wide = |members: usize| format!("{{\"a\":[{}1]}}", "1,".repeat(members));
        assert!(check(&wide(60_000)).is_ok() && check_shape(&wide(65_536)).is_err());
    }

    /// Values were taken that Python, Go and JavaScript then read each in its own way, or not at
    /// all.
    #[test]
    fn what_strict_readers_refuse_is_refused() {
        let zeros = "0".repeat(400);
        for right in [
            "{}",
            "[[]]",
            r#"{"a":{"a":{"a":1}},"b":{"a":2}}"#,
            r#"[{"a":1},{"a":1},"a","a",["a","a"]]"#,
            r#"{"a":"a","b":"b","c":["c",{"c":"c"}]}"#,
            r#"{"a\"":1,"a\\":2,"a":[{},{}],"":3}"#,
            r#"{"a":"\ud83d\ude00","b":"\\ud800","c":"\\\\ud800"}"#,
            r#"{"n":[1e308,-1.7976931348623157e308,1e-999,0.1E+2,12345678901234567890,1.0,-0.0]}"#,
            &format!("[0.{zeros}1,1{}]", "0".repeat(308)),
            "[1 ,\t2\n,3\r]",
        ] {
            assert_eq!(check(right), Ok(()), "{right}");
        }
        for (wrong, why) in [
            (r#"{"a":1,"a":1}"#, TWICE),
            (r#"{"a":1,"\u0061":1}"#, TWICE),
            (r#"{"x":[{"y":{"a":1,"b":{"a":2},"a":3}}]}"#, TWICE),
            (r#"{"":1,"":2}"#, TWICE),
            (r#"{"a":"\ud800"}"#, SURROGATE),
            (r#"{"a":["x\udc00y"]}"#, SURROGATE),
            (r#"{"\ud800":1}"#, SURROGATE),
            (r#"{"a":"\ud83d\u0041"}"#, SURROGATE),
            (r#"{"a":"\udc00\ud800"}"#, SURROGATE),
            (r#"{"a":1e999}"#, TOO_GREAT),
            (r#"{"a":[0,-1E309 ]}"#, TOO_GREAT),
            (&format!("{{\"a\":1{zeros}}}"), TOO_GREAT),
            (&format!("{{\"a\":1{zeros}.5}}"), TOO_GREAT),
        ] {
            assert_eq!(check(wrong), Err(why), "{wrong}");
        }
    }

    /// As many names as there may be, in one object and in many, take no time to speak of.
    #[test]
    fn many_names_cost_no_more_each_than_a_few() {
        let flat = (0..60_000).map(|n| format!("\"{n}\":1,")).collect::<Vec<_>>().concat();
        let deep = "{\"a\":1},".repeat(30_000);
        let began = std::time::Instant::now();
        assert_eq!(check(&format!("{{{flat}\"x\":1}}")), Ok(()));
        assert_eq!(check(&format!("[{deep}1]")), Ok(()));
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }

    proptest! {
        /// Against a reader that keeps what it reads.
        #[test]
        fn judged_as_a_tree_would_be(names in prop::collection::vec("[ab\\\\\"é]{0,1}", 0..6), inner in 0..3_usize) {
            let member = |name: &String| format!("{}:1", serde_json::to_string(name).unwrap());
            let (outer, nested) = names.split_at(inner.min(names.len()));
            let list = |names: &[String]| names.iter().map(member).collect::<Vec<_>>().join(",");
            let text = format!("[{{{}}},{{{}}}]", list(outer), list(nested));
            let is_unique = |names: &[String]| names.iter().collect::<HashSet<_>>().len() == names.len();
            prop_assert_eq!(check(&text).is_ok(), is_unique(outer) && is_unique(nested));
        }

        #[test]
        fn never_panics(text in "[{}\\[\\]\",:a1e\\\\ é]{0,40}") {
            let _ = check(&text);
        }
    }
}
