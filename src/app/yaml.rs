//! Plain YAML: maps, lists and scalars, read and written.
//!
//! Always holds: what is written is read back as what it was. Anchors, aliases, tags and merge keys are refused, and so is
//! what is too deep or too much. Never does: repeat anything of the text in an error.

use std::fmt::{self, Write as _};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{
    DuplicateKeyPolicy, Error, MergeKeyPolicy, Tagged, budget::BudgetBreach, from_str_with_options,
};

use crate::{api::Node, model::Invalid};

/// So deep maps and lists may be within each other: each level takes its part of a thread's stack.
const DEPTH_MAX: usize = 24;
/// The most scalars, maps and lists.
const NODES_MAX: usize = 65_536;

/// What is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no plain YAML ({why}), at line {line}")]
pub(super) struct NotPlain {
    why: &'static str,
    line: u64,
}

/// What a text says; one that is empty says nothing, in a map.
pub(super) fn read(text: &str) -> Result<Node, NotPlain> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_anchors: 0,
            max_aliases: 0,
            max_merge_keys: 0,
            max_documents: 1,
            max_depth: DEPTH_MAX,
            max_nodes: NODES_MAX,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        reject_unsupported_tags: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        strict_booleans: true,
        with_snippet: false,
    };
    let not_plain = |why| {
        move |error: &Error| NotPlain { why, line: error.location().map_or(0, |at| at.line()) }
    };
    let read = from_str_with_options::<Option<Read>>(text, options);
    let read = read.map_err(|error| not_plain(kind(&error))(&error))?;
    match read {
        None => Ok(Node::Map(Vec::new())),
        Some(Read(node @ Node::Map(_))) => Ok(node),
        Some(Read(_)) => Err(NotPlain { why: "what is outermost is no map", line: 1 }),
    }
}

/// What is wrong, in our own words.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::Budget {
            breach: BudgetBreach::Anchors { .. } | BudgetBreach::Aliases { .. },
            ..
        } => "it has anchors or aliases",
        Error::Budget { breach: BudgetBreach::MergeKeys { .. }, .. } => "it has merge keys",
        Error::Budget { .. } => "it is too deep, or has too much in it",
        _ => {
            "it does not read as maps, lists and scalars, each name of a map once and none of them with a tag"
        }
    }
}

/// A node that is read.
struct Read(Node);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Tagged(plain, tag) = Tagged::<Plain>::deserialize(deserializer)?;
        match tag {
            None => Ok(Self(plain.0)),
            Some(_) => Err(serde::de::Error::custom("a tag")),
        }
    }
}

/// What it is without its tag.
struct Plain(Node);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Nodes).map(Self)
    }
}

struct Nodes;

macro_rules! numbers {
    ($($visit:ident: $type:ty),*) => {$(
        fn $visit<E>(self, value: $type) -> Result<Node, E> {
            Ok(Node::Number(value.to_string()))
        }
    )*};
}

impl<'de> Visitor<'de> for Nodes {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map, a list or a scalar")
    }

    numbers! { visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128 }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        if !value.is_finite() {
            return Err(E::custom("a number that JSON has not"));
        }
        // With a point, so that it is none of the whole ones.
        Ok(Node::Number(format!("{value:?}")))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Truth(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(Read(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(Tagged(name, tag)) = entries.next_key::<Tagged<String>>()? {
            if tag.is_some() {
                return Err(serde::de::Error::custom("a tag"));
            }
            let Read(node) = entries.next_value()?;
            map.push((name, node));
        }
        Ok(Node::Map(map))
    }
}

/// The text that says so.
pub(super) fn write(node: &Node) -> Result<String, Invalid> {
    const RULE: Invalid = Invalid(
        "what a file of secrets keeps: finite numbers, names of up to 1024 characters, at most 24 levels and 1 MiB in all",
    );
    let mut text = String::new();
    match node {
        Node::Map(map) if !map.is_empty() => entries(&mut text, map, 0),
        node => {
            scalar(&mut text, node);
            text.push('\n');
        }
    }
    // What would be read otherwise, or not at all, is not written.
    match read(&text) {
        Ok(again) if text.len() <= 1 << 20 && is_same(node, &again) => Ok(text),
        _ => Err(RULE),
    }
}

/// Whether both are the same but for how numbers are spelt.
fn is_same(one: &Node, other: &Node) -> bool {
    match (one, other) {
        (Node::Number(_), Node::Number(_)) => true,
        (Node::List(one), Node::List(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Node::Map(one), Node::Map(other)) => {
            let pairs = || one.iter().zip(other);
            one.len() == other.len()
                && pairs().all(|((name, one), (other_name, other))| {
                    name == other_name && is_same(one, other)
                })
        }
        _ => one == other,
    }
}

fn entries(out: &mut String, map: &[(String, Node)], depth: usize) {
    for (name, node) in map {
        indent(out, depth);
        quoted(out, name);
        out.push(':');
        below(out, node, depth);
    }
}

/// What follows a name, or a dash.
fn below(out: &mut String, node: &Node, depth: usize) {
    match node {
        Node::Map(map) if !map.is_empty() => {
            out.push('\n');
            entries(out, map, depth + 1);
        }
        Node::List(items) if !items.is_empty() => {
            out.push('\n');
            for item in items {
                indent(out, depth + 1);
                out.push('-');
                below(out, item, depth + 1);
            }
        }
        node => {
            out.push(' ');
            scalar(out, node);
            out.push('\n');
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

/// What stands on its line.
fn scalar(out: &mut String, node: &Node) {
    match node {
        Node::Null => out.push_str("null"),
        Node::Truth(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Node::Number(text) => out.push_str(text),
        Node::Text(text) => quoted(out, text),
        Node::List(_) => out.push_str("[]"),
        Node::Map(_) => out.push_str("{}"),
    }
}

/// Words that are no text, in this version of YAML or in an earlier one.
const WORDS: [&str; 11] =
    ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"];

/// A text, in quotes unless it can be nothing else.
fn quoted(out: &mut String, text: &str) {
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte))
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_plain {
        out.push_str(text);
        return;
    }
    out.push('"');
    for one in text.chars() {
        match one {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // What readers take for the end of a line, or leave out.
            one if one.is_control() || matches!(one, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _never_fails = write!(out, "\\u{:04x}", u32::from(one));
            }
            one => out.push(one),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Node {
        Node::Text(text.to_owned())
    }

    #[test]
    fn what_is_read() {
        let node = read(
            "# a comment\nsecret:\n  crud: {DB_PASS: s3cr3t, n: 1.50, list: [1, -2, null, yes]}\n  \"odd name\": |\n    two\n    lines\n",
        );
        let number = |text: &str| Node::Number(text.to_owned());
        let crud = Node::Map(vec![
            ("DB_PASS".to_owned(), text("s3cr3t")),
            ("n".to_owned(), number("1.5")),
            (
                "list".to_owned(),
                Node::List(vec![number("1"), number("-2"), Node::Null, text("yes")]),
            ),
        ]);
        let secret = Node::Map(vec![
            ("crud".to_owned(), crud),
            ("odd name".to_owned(), text("two\nlines\n")),
        ]);
        assert_eq!(node, Ok(Node::Map(vec![("secret".to_owned(), secret)])));
        for empty in ["", "# nothing\n", "---\n", "{}"] {
            assert_eq!(read(empty), Ok(Node::Map(Vec::new())), "{empty:?}");
        }
    }

    #[test]
    fn what_is_refused_and_never_repeated() {
        let deep = format!("{}canary{}", "{a: ".repeat(5_000), "}".repeat(5_000));
        let many = format!("a: [{}canary]", "1, ".repeat(70_000));
        for wrong in [
            "a: &x canary\n",
            "a: *canary\n",
            "a: &x {b: canary}\nc: *x\n",
            "a: {b: 1}\nc:\n  <<: {canary: 2}\n",
            "a: !!str canary\n",
            "a: !canary b\n",
            "a: !!binary Y2FuYXJ5\n",
            "!!str canary: 1\n",
            "a: canary\na: 2\n",
            "a: 1\n---\nb: canary\n",
            "- canary\n",
            "canary\n",
            "a: [canary\n",
            "a: .inf # canary\n",
            "a: .nan # canary\n",
            "{a: canary}: 1\n",
            "[canary]: 1\n",
            "~: canary\n",
            "a: \"canary\\q\"\n",
            &deep,
            &many,
        ] {
            let told = read(wrong).map(drop).expect_err(wrong.get(..40).unwrap_or(wrong));
            assert!(!format!("{told} {told:?}").contains("canary"), "{told}");
        }
        assert!(read("a: &x 1\n").unwrap_err().to_string().contains("anchors"));
        let third = read("a: 1\nb: 2\nc: {d: }}\n").unwrap_err();
        assert_eq!(third.line, 3, "{third}");
    }

    /// What is as deep as may be is read and written by a thread whose stack is half as large as those of the server's are.
    #[test]
    fn what_is_deep_fits_a_stack() {
        let work = || {
            let deep = (0..DEPTH_MAX - 2).fold(Node::Null, |node, _| Node::List(vec![node]));
            let node = Node::Map(vec![("a".to_owned(), deep)]);
            read(&write(&node).unwrap()).unwrap() == node
        };
        let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(work).unwrap();
        assert!(thread.join().unwrap());
    }

    #[test]
    fn odd_texts_come_back() {
        for odd in [
            "",
            " ",
            "yes",
            "No",
            "~",
            "null",
            "1",
            "1.0",
            "0x1f",
            "0o17",
            "1_000",
            "007",
            "-",
            "- a",
            "a: b",
            "a:",
            ":",
            "#",
            "a #b",
            "'",
            "\"",
            "\\",
            "\t",
            "\n",
            "\r\n",
            " lead",
            "trail ",
            "%",
            "@",
            "`",
            "!x",
            "&a",
            "*a",
            "<<",
            "=",
            "?",
            "|",
            ">",
            "{",
            "[",
            ".",
            "..",
            "---",
            "...",
            "2026-11-30",
            "1e3",
            ".inf",
            "NaN",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "\u{7f}",
            "\0",
            "ü",
            "😀",
            "a\u{0}b",
            "/x",
            "a/b",
        ] {
            let node = Node::Map(vec![
                (odd.to_owned(), text(odd)),
                (
                    "in".to_owned(),
                    Node::List(vec![text(odd), Node::Map(vec![(odd.to_owned(), Node::Null)])]),
                ),
            ]);
            let written = write(&node).unwrap_or_else(|_| panic!("{odd:?}"));
            assert_eq!(read(&written).as_ref(), Ok(&node), "{written}");
        }
        let not_kept = |node: Node| write(&Node::Map(vec![("a".to_owned(), node)])).is_err();
        assert!(not_kept(Node::Number("1e999".to_owned())));
        assert!(not_kept(text(&"x".repeat(1 << 20))));
        assert!(not_kept((0..95).fold(Node::Null, |node, _| Node::List(vec![node]))));
        assert!(write(&Node::Map(vec![("n".repeat(2000), Node::Null)])).is_err());
    }

    fn nodes() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![
            Just(Node::Null),
            any::<bool>().prop_map(Node::Truth),
            any::<i64>().prop_map(|number| Node::Number(number.to_string())),
            any::<String>().prop_map(Node::Text),
            "[ -~]{0,12}".prop_map(Node::Text),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Node::List),
                prop::collection::btree_map("[ -~ü\n]{0,8}", inner, 0..5)
                    .prop_map(|map| Node::Map(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(map in prop::collection::btree_map("\\PC{0,8}", nodes(), 0..5)) {
            let node = Node::Map(map.into_iter().collect());
            let written = write(&node);
            prop_assert!(written.is_ok(), "{node:?}");
            prop_assert_eq!(read(&written.unwrap()), Ok(node));
        }

        #[test]
        fn no_text_is_too_odd(text in any::<String>()) {
            let _either = read(&text);
        }
    }
}
