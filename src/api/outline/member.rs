//! A part of a value, by its fragment: read, set and removed.
//!
//! Of a name that is there twice the last one counts, as in every parser that clients use.
//! Always holds: what is not the part stays byte for byte as it is, blanks included; what comes in
//! goes behind the last member; what goes takes one comma along, and all members of its name, as
//! one before it would be seen in its place.

use std::{collections::BTreeSet, ops::Range};

use super::{
    super::{json, value},
    scanner::Scanner,
};
use crate::{
    model::{Fragment, Invalid},
    service::SecretValue,
};

/// What is on the way, or at its end, is no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAnObject;

/// Why a part cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unset {
    /// What is on the way is no object.
    NotAnObject,
    /// The whole would be no value.
    Invalid(Invalid),
}

/// What is left of a value when a part is gone.
#[derive(Debug)]
pub(crate) enum Removed {
    /// The value without it.
    Without(SecretValue),
    /// Nothing: it was the last one of the outermost members.
    Last,
    /// All: there is no such part.
    Missing,
}

/// The text of the part that `fragment` means, if there is one. In an array a step is an element's
/// number, as RFC 6901 spells it.
pub(crate) fn get<'v>(value: &'v SecretValue, fragment: &Fragment) -> Option<&'v str> {
    let text = text_of(value)?;
    match find(text, fragment, true) {
        Place::There(part) => text.get(part.value),
        Place::Missing(_) | Place::InArray | Place::Nowhere => None,
    }
}

/// The value with the JSON text `part` where `fragment` says. Objects that are missing on the way
/// are made.
///
/// # Errors
/// `Unset`, also where something on the way is an array.
pub(crate) fn set(
    value: &SecretValue,
    fragment: &Fragment,
    part: &str,
) -> Result<SecretValue, Unset> {
    let text = text_of(value).ok_or(Unset::Invalid(Invalid("the stored value is not text")))?;
    // All that can come in, so that nothing is moved while it is written and left behind.
    let names: usize = fragment.steps().iter().map(|step| step.len() * 6 + 5).sum();
    let mut out = Vec::with_capacity(text.len() + names + part.len());
    let copy = |out: &mut Vec<u8>, range: Range<usize>| {
        out.extend_from_slice(text.get(range).unwrap_or_default().as_bytes());
    };
    match find(text, fragment, false) {
        Place::There(before) => {
            copy(&mut out, 0..before.value.start);
            out.extend_from_slice(part.as_bytes());
            copy(&mut out, before.value.end..text.len());
        }
        Place::Missing(gap) => {
            copy(&mut out, 0..gap.end);
            let known = fragment.steps().len().saturating_sub(gap.steps);
            for (at, name) in fragment.steps().iter().skip(known).enumerate() {
                match at {
                    0 if gap.is_first => {}
                    0 => out.push(b','),
                    _ => out.push(b'{'),
                }
                json::write_text(&mut out, name);
                out.push(b':');
            }
            out.extend_from_slice(part.as_bytes());
            out.extend(std::iter::repeat_n(b'}', gap.steps.saturating_sub(1)));
            copy(&mut out, gap.end..text.len());
        }
        Place::InArray | Place::Nowhere => return Err(Unset::NotAnObject),
    }
    let whole = SecretValue::new(out);
    value::check_shape(text_of(&whole).unwrap_or_default()).map_err(Unset::Invalid)?;
    Ok(whole)
}

/// The value without the part that `fragment` means.
///
/// # Errors
/// `NotAnObject` where something on the way is an array.
pub(crate) fn remove(value: &SecretValue, fragment: &Fragment) -> Result<Removed, NotAnObject> {
    let text = text_of(value).unwrap_or_default();
    let part = match find(text, fragment, false) {
        Place::There(part) => part,
        Place::Missing(_) | Place::Nowhere => return Ok(Removed::Missing),
        Place::InArray => return Err(NotAnObject),
    };
    if part.is_last && fragment.steps().len() == 1 {
        return Ok(Removed::Last);
    }
    let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
    for cut in &part.cuts {
        out.extend_from_slice(text.get(at..cut.start).unwrap_or_default().as_bytes());
        at = cut.end;
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default().as_bytes());
    Ok(Removed::Without(SecretValue::new(out)))
}

/// The names in the object that `fragment` means, or in the outermost one, each once and in the
/// order of their bytes; `None` where nothing is there.
///
/// # Errors
/// `NotAnObject` where something else is there.
pub(crate) fn names(
    value: &SecretValue,
    fragment: Option<&Fragment>,
) -> Result<Option<BTreeSet<String>>, NotAnObject> {
    let part = match fragment {
        None => text_of(value),
        Some(fragment) => get(value, fragment),
    };
    let Some(part) = part else { return Ok(None) };
    let mut scanner = Scanner::new(part);
    if !scanner.enter(b'{') {
        return Err(NotAnObject);
    }
    let mut names = BTreeSet::new();
    while let Some(name) = scanner.name() {
        names.insert(name.said.into_owned());
        scanner.value();
    }
    Ok(Some(names))
}

/// A stored value is text, as it was text when it was taken.
fn text_of(value: &SecretValue) -> Option<&str> {
    std::str::from_utf8(value.expose()).ok()
}

/// Where a fragment leads.
enum Place {
    /// To a part of the value.
    There(Part),
    /// To an object that has no member of the name.
    Missing(Gap),
    /// Through an array, which was not gone into.
    InArray,
    /// Through something that has no parts, or no such one.
    Nowhere,
}

struct Part {
    value: Range<usize>,
    /// What goes where the member is removed.
    cuts: Vec<Range<usize>>,
    /// Whether it is the only one where it is.
    is_last: bool,
}

struct Gap {
    /// Where the next member would go.
    end: usize,
    /// Whether that would be the first one.
    is_first: bool,
    /// How many steps lead on from there.
    steps: usize,
}

fn find(text: &str, fragment: &Fragment, into_arrays: bool) -> Place {
    walk(&mut Scanner::new(text), fragment.steps(), into_arrays)
}

/// Walks over the value that comes next, whatever it is, and tells where `steps` lead in it.
///
/// Each byte is looked at once, however the steps and names repeat themselves: what has the name of
/// a step is searched while it is walked over.
fn walk(scanner: &mut Scanner<'_>, steps: &[String], into_arrays: bool) -> Place {
    let first = scanner.next();
    let Some((step, rest)) = steps.split_first() else {
        let start = scanner.at();
        scanner.value();
        return Place::There(Part { value: start..scanner.at(), cuts: Vec::new(), is_last: false });
    };
    if scanner.enter(b'{') {
        return walk_object(scanner, step, rest, into_arrays);
    }
    if into_arrays && scanner.enter(b'[') {
        let (index, mut place) = (index(step), Place::Nowhere);
        for at in 0usize.. {
            if !scanner.element() {
                break;
            }
            if index == Some(at) {
                place = walk(scanner, rest, into_arrays);
            } else {
                scanner.value();
            }
        }
        return place;
    }
    scanner.value();
    if first == Some(b'[') { Place::InArray } else { Place::Nowhere }
}

/// The same, of an object that was entered.
fn walk_object(scanner: &mut Scanner<'_>, step: &str, rest: &[String], into_arrays: bool) -> Place {
    let (mut found, mut cuts, mut others) = (None, Vec::new(), 0usize);
    // Where the last member ends, and where one begins that goes with the comma behind it.
    let (mut end, mut open) = (scanner.at(), None);
    while let Some(name) = scanner.name() {
        let (start, before) = (name.start, end);
        cuts.extend(open.take().map(|open| open..start));
        if name.said != step {
            scanner.value();
            (end, others) = (scanner.at(), others + 1);
            continue;
        }
        found = Some(walk(scanner, rest, into_arrays));
        end = scanner.at();
        if others == 0 {
            open = Some(start);
        } else {
            cuts.push(before..end);
        }
    }
    cuts.extend(open.map(|open| open..end));
    match found {
        None => Place::Missing(Gap { end, is_first: others == 0, steps: rest.len() + 1 }),
        Some(Place::There(part)) if rest.is_empty() => {
            Place::There(Part { cuts, is_last: others == 0, ..part })
        }
        Some(place) => place,
    }
}

/// The number of an element, by RFC 6901: no sign, and no zero before it.
fn index(step: &str) -> Option<usize> {
    let is_one = step == "0" || !step.starts_with('0') && step.bytes().all(|b| b.is_ascii_digit());
    is_one.then(|| step.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::{super::check_member, *};
    use crate::model::SecretUri;

    fn value(text: &str) -> SecretValue {
        SecretValue::new(text.as_bytes().to_vec())
    }

    fn fragment(text: &str) -> Fragment {
        let uri: SecretUri = format!("openbao+kv2://secret/a#{text}").parse().unwrap();
        uri.fragment().unwrap().clone()
    }

    fn text(value: &SecretValue) -> &str {
        text_of(value).unwrap()
    }

    #[test]
    fn parts_are_read() {
        let whole = r#"{ "t" : 1 ,"a.b":2,"a":{"b":3},"l":[1, {"x":[ ]} ],"":{"":4},"t":"last","\u00e9":5}"#;
        for (at, part) in [
            ("t", Some(r#""last""#)),
            ("a.b", Some("2")),
            ("/a/b", Some("3")),
            ("a", Some(r#"{"b":3}"#)),
            ("/l/0", Some("1")),
            ("/l/1", Some(r#"{"x":[ ]}"#)),
            ("/l/1/x", Some("[ ]")),
            ("/", Some(r#"{"":4}"#)),
            ("//", Some("4")),
            ("%C3%A9", Some("5")),
            ("nope", None),
            ("/t/x", None),
            ("/l/2", None),
            ("/l/-", None),
            ("/l/00", None),
            ("/l/01", None),
            ("/l/+1", None),
            ("/l/", None),
            ("/l/99999999999999999999", None),
            ("/l/x", None),
            ("/l/1/x/0", None),
        ] {
            assert_eq!(get(&value(whole), &fragment(at)), part, "{at}");
        }
    }

    #[test]
    fn parts_are_set() {
        for (before, at, part, after) in [
            (r#"{"t":1,"k":2}"#, "t", "9", Ok(r#"{"t":9,"k":2}"#)),
            ("{}", "token", r#""s""#, Ok(r#"{"token":"s"}"#)),
            ("{ }", "a", "null", Ok(r#"{"a":null }"#)),
            ("{\n \"a\": 1.0\n}\n", "b", "[1]", Ok("{\n \"a\": 1.0,\"b\":[1]\n}\n")),
            (
                r#"{"db":{"user":"u"}}"#,
                "/db/pass",
                r#""p""#,
                Ok(r#"{"db":{"user":"u","pass":"p"}}"#),
            ),
            (r#"{"a":{ }}"#, "/a/b/c/d", "1", Ok(r#"{"a":{"b":{"c":{"d":1}} }}"#)),
            (
                r#"{"n": 12345678901234567890, "\u0074" : 1.0}"#,
                "t",
                "2",
                Ok(r#"{"n": 12345678901234567890, "\u0074" : 2}"#),
            ),
            (r#"{"t":1,"t":2}"#, "t", "3", Ok(r#"{"t":1,"t":3}"#)),
            ("{}", "a%22%5C", "1", Ok(r#"{"a\"\\":1}"#)),
            (r#"{"a":1,"a":{}}"#, "/a/b", "1", Ok(r#"{"a":1,"a":{"b":1}}"#)),
            (r#"{"a":{},"a":1}"#, "/a/b", "1", Err(Unset::NotAnObject)),
            (r#"{"db":1}"#, "/db/x", "1", Err(Unset::NotAnObject)),
            (r#"{"db":null}"#, "/db/x", "1", Err(Unset::NotAnObject)),
            (r#"{"l":[1,2]}"#, "/l/1", "1", Err(Unset::NotAnObject)),
            (r#"{"l":[{}]}"#, "/l/0/x", "1", Err(Unset::NotAnObject)),
        ] {
            let done = set(&value(before), &fragment(at), part);
            assert_eq!(done.as_ref().map(text).map_err(|error| *error), after, "{before} {at}");
        }
        // A hundred levels are the most.
        let deep = |steps: usize| set(&value("{}"), &fragment(&"/a".repeat(steps)), "1");
        assert!(deep(100).is_ok() && matches!(deep(101), Err(Unset::Invalid(_))));
        assert!(matches!(deep(1_000), Err(Unset::Invalid(_))));
    }

    #[test]
    fn parts_are_removed() {
        for (before, at, after) in [
            (r#"{"t":1,"k":2}"#, "t", r#"{"k":2}"#),
            (r#"{"k":2,"t":1}"#, "t", r#"{"k":2}"#),
            (r#"{ "a" : 1 , "b" : 2 , "c" : 3 }"#, "a", r#"{ "b" : 2 , "c" : 3 }"#),
            (r#"{ "a" : 1 , "b" : 2 , "c" : 3 }"#, "b", r#"{ "a" : 1 , "c" : 3 }"#),
            (r#"{ "a" : 1 , "b" : 2 , "c" : 3 }"#, "c", r#"{ "a" : 1 , "b" : 2 }"#),
            (r#"{"a":{ "b":1 },"c":2}"#, "/a/b", r#"{"a":{  },"c":2}"#),
            (r#"{"t":1,"t":2,"k":3,"t":4,"t":5,"l":6,"t":7}"#, "t", r#"{"k":3,"l":6}"#),
            (r#"{"a":{"b":1},"a":{"b":2,"c":3}}"#, "/a/b", r#"{"a":{"b":1},"a":{"c":3}}"#),
        ] {
            let Ok(Removed::Without(left)) = remove(&value(before), &fragment(at)) else {
                panic!("{before} {at}")
            };
            assert_eq!(text(&left), after);
        }
        for (before, at) in [(r#"{"t":1}"#, "t"), (r#"{"t":1,"t":2}"#, "/t")] {
            assert!(matches!(remove(&value(before), &fragment(at)), Ok(Removed::Last)), "{before}");
        }
        for at in ["nope", "/t/x", "/o/x"] {
            let done = remove(&value(r#"{"t":1,"o":{}}"#), &fragment(at));
            assert!(matches!(done, Ok(Removed::Missing)), "{at}");
        }
        for at in ["/l/0", "/l/9", "/l/0/x"] {
            let done = remove(&value(r#"{"l":[{"x":1}]}"#), &fragment(at));
            assert!(matches!(done, Err(NotAnObject)), "{at}");
        }
    }

    #[test]
    fn names_are_sorted() {
        let whole = value(r#"{"b":1,"a":{"z":1,"y":{},"z":2},"é":1,"Z":[{"x":1}]}"#);
        let of = |at: Option<&str>| {
            let at = at.map(fragment);
            names(&whole, at.as_ref())
                .map(|names| names.map(|names| names.into_iter().collect::<Vec<_>>().join(" ")))
        };
        assert_eq!(of(None), Ok(Some("Z a b é".to_owned())));
        assert_eq!(of(Some("a")), Ok(Some("y z".to_owned())));
        assert_eq!(of(Some("/a/y")), Ok(Some(String::new())));
        assert_eq!(of(Some("/Z/0")), Ok(Some("x".to_owned())));
        assert_eq!(of(Some("nope")), Ok(None));
        assert_eq!((of(Some("b")), of(Some("Z"))), (Err(NotAnObject), Err(NotAnObject)));
    }

    const STEPS: &[&str] = &["a", "b", "", "é", "a/b", "~", "0", "1", "-", "01", "\""];

    fn pointer() -> impl Strategy<Value = Fragment> {
        vec(select(STEPS).prop_map(str::to_owned), 1..4).prop_map(Fragment::of)
    }

    /// JSON text with any blanks, names in any spelling, and names twice.
    fn json_text() -> impl Strategy<Value = String> {
        let name = || {
            select(
                &[
                    "\"a\"",
                    "\"b\"",
                    "\"\"",
                    "\"\\u0061\"",
                    "\"é\"",
                    "\"\\u00e9\"",
                    "\"a/b\"",
                    "\"~\"",
                    "\"0\"",
                    "\"\\\"\"",
                ][..],
            )
        };
        let blank = || select(&["", "", " ", "\n\t"][..]);
        let leaf = select(
            &[
                "1",
                "1.0",
                "12345678901234567890",
                "null",
                "true",
                "\"}],{\\\"\"",
                "\"\\\\\"",
                "{}",
                "[ ]",
                "{ }",
            ][..],
        );
        let any = leaf.prop_map(str::to_owned).prop_recursive(4, 24, 4, move |inner| {
            let member = (blank(), name(), blank(), inner.clone(), blank());
            let member = member.prop_map(|(b, name, c, value, d)| format!("{b}{name}{c}:{b}{value}{d}"));
            prop_oneof![
                2 => vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
                1 => (vec(inner, 0..3), blank()).prop_map(|(values, b)| format!("[{b}{}{b}]", values.join(&format!("{b},")))),
            ]
        });
        (vec((name(), blank(), any), 0..4), blank()).prop_map(|(members, end)| {
            let members: Vec<_> = members
                .into_iter()
                .map(|(name, b, value)| format!("{b}{name}:{b}{value}"))
                .collect();
            format!("{{{}{end}}}", members.join(","))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn as_of_a_tree(value in json_text(), at in pointer(), part in json_text()) {
            check_member(&value, &at, &part);
            check_member(&value, &at, "1.0");
        }

        #[test]
        fn never_panics(text in "[{}\\[\\]\",:a1\\\\ é]{0,40}", at in pointer()) {
            let value = value(&text);
            let _ = (get(&value, &at), set(&value, &at, "1"), remove(&value, &at), names(&value, Some(&at)), names(&value, None));
        }
    }
}
