//! A patch of an object, and the names in one.

use std::{borrow::Cow, collections::HashMap};

use super::{
    super::{json, value},
    scanner::Scanner,
};
use crate::{model::Invalid, service::SecretValue};

/// An object's members, or anything else as its text.
enum Node<'a> {
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
    Leaf(&'a str),
}

/// What a patch makes of a value, by RFC 7396. Both are texts of JSON objects.
/// What the patch does not touch stays as it was, also where it would not be taken today.
///
/// # Errors
/// `Invalid` where the result would be nested too deeply or have too many entries.
pub(crate) fn merge(before: &SecretValue, patch: &str) -> Result<SecretValue, Invalid> {
    // A stored value is text; it was text when it was taken.
    let before = std::str::from_utf8(before.expose())
        .map_err(|_| Invalid("the stored value is not text"))?;
    let mut out = Vec::with_capacity(before.len() + patch.len());
    write_merged(Some(&Node::parse(before)), &Node::parse(patch), &mut out);
    let merged = SecretValue::new(out);
    value::check_shape(std::str::from_utf8(merged.expose()).unwrap_or_default())?;
    Ok(merged)
}

/// The names in a value, nested as they are, down to `depth` levels; null stands where more would
/// be.
pub(crate) fn subkeys(value: &SecretValue, depth: Option<usize>) -> Vec<u8> {
    let mut out = Vec::new();
    let text = std::str::from_utf8(value.expose()).unwrap_or("{}");
    write_names(&Node::parse(text), depth.unwrap_or(usize::MAX), true, &mut out);
    out
}

fn write_merged(target: Option<&Node<'_>>, patch: &Node<'_>, out: &mut Vec<u8>) {
    let Node::Object(changes) = patch else { return write_node(patch, out) };
    let none = Vec::new();
    let members = match target {
        Some(Node::Object(members)) => members,
        _ => &none,
    };
    let (known, changed) = (places(members), places(changes));
    let mut object = ObjectText::begin(out);
    for (at, (name, member)) in members.iter().enumerate() {
        if known.get(&**name) != Some(&at) {
            continue;
        }
        match changed.get(&**name).and_then(|at| changes.get(*at)) {
            None => write_node(member, object.name(name)),
            Some((_, change)) if change.is_null() => {}
            Some((_, change)) => write_merged(Some(member), change, object.name(name)),
        }
    }
    for (at, (name, change)) in changes.iter().enumerate() {
        let is_new = !known.contains_key(&**name) && changed.get(&**name) == Some(&at);
        if is_new && !change.is_null() {
            write_merged(None, change, object.name(name));
        }
    }
    object.end();
}

/// Where each name is. Of one that is there twice the last place counts, as in every parser that
/// clients use.
fn places<'m>(members: &'m [(Cow<'_, str>, Node<'_>)]) -> HashMap<&'m str, usize> {
    members.iter().enumerate().map(|(at, (name, _))| (&**name, at)).collect()
}

fn write_node(node: &Node<'_>, out: &mut Vec<u8>) {
    match node {
        Node::Leaf(text) => out.extend_from_slice(text.as_bytes()),
        Node::Object(members) => {
            let mut object = ObjectText::begin(out);
            for (name, member) in members {
                write_node(member, object.name(name));
            }
            object.end();
        }
    }
}

fn write_names(node: &Node<'_>, depth: usize, is_top: bool, out: &mut Vec<u8>) {
    match node {
        Node::Object(members) if depth > 0 && (is_top || !members.is_empty()) => {
            let mut object = ObjectText::begin(out);
            for (name, member) in members {
                write_names(member, depth - 1, false, object.name(name));
            }
            object.end();
        }
        _ => out.extend_from_slice(b"null"),
    }
}

/// An object that is being written.
struct ObjectText<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

impl<'o> ObjectText<'o> {
    fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_first: true }
    }

    /// Where the member of this name goes.
    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(b',');
        }
        json::write_text(self.out, name);
        self.out.push(b':');
        self.out
    }

    fn end(self) {
        self.out.push(b'}');
    }
}

impl<'a> Node<'a> {
    /// The outline of well-formed JSON text.
    fn parse(text: &'a str) -> Self {
        Self::next(&mut Scanner::new(text))
    }

    /// That of the value that comes next.
    fn next(scanner: &mut Scanner<'a>) -> Self {
        if !scanner.enter(b'{') {
            return Self::Leaf(scanner.value());
        }
        let mut members = Vec::new();
        while let Some(name) = scanner.name() {
            members.push((name.said, Self::next(scanner)));
        }
        Self::Object(members)
    }

    fn is_null(&self) -> bool {
        matches!(self, Self::Leaf("null"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn merge_texts(value: &str, patch: &str) -> String {
        let merged = merge(&SecretValue::new(value.as_bytes().to_vec()), patch).unwrap();
        String::from_utf8(merged.expose().to_vec()).unwrap()
    }

    fn names(value: &str, depth: Option<usize>) -> Value {
        serde_json::from_slice(&subkeys(&SecretValue::new(value.as_bytes().to_vec()), depth))
            .unwrap()
    }

    /// The examples of RFC 7396, appendix A, whose target and patch are objects.
    #[test]
    fn as_the_rfc_shows() {
        for (value, patch, expected) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
            (r#"{"a":1}"#, "{}", r#"{"a":1}"#),
        ] {
            assert_eq!(merge_texts(value, patch), expected, "{value} {patch}");
        }
    }

    #[test]
    fn what_is_not_touched_keeps_its_spelling() {
        let value = r#"{ "n" : 12345678901234567890, "f":1.0 ,"s":"\u00e9\"}", "deep":{"e":1e400,"list":[1.50, {"x":null}]} }"#;
        assert_eq!(
            merge_texts(value, r#"{"new":-0.0,"deep":{"more":{"z":null,"y":2.0}}}"#),
            r#"{"n":12345678901234567890,"f":1.0,"s":"\u00e9\"}","deep":{"e":1e400,"list":[1.50, {"x":null}],"more":{"y":2.0}},"new":-0.0}"#
        );
        // A name is the same however it is escaped; of two the last one counts.
        assert_eq!(merge_texts(r#"{"\u0061":1,"b":2}"#, r#"{"a":3}"#), r#"{"a":3,"b":2}"#);
        assert_eq!(merge_texts(r#"{"a":1,"a":2}"#, r#"{"b":3,"b":4}"#), r#"{"a":2,"b":4}"#);
    }

    #[test]
    fn names_alone() {
        let value = r#"{"foo":"a","bar":{"baz":{"x":1}},"list":[{"y":1}],"empty":{},"none":null}"#;
        let all = json!({"foo": null, "bar": {"baz": {"x": null}}, "list": null, "empty": null, "none": null});
        assert_eq!(names(value, None), all);
        assert_eq!(
            names(value, Some(1)),
            json!({"foo": null, "bar": null, "list": null, "empty": null, "none": null})
        );
        assert_eq!(names(value, Some(2))["bar"], json!({"baz": null}));
        assert_eq!(names("{}", None), json!({}));
    }

    fn plain(value: &Value, patch: &Value) -> Value {
        let Value::Object(changes) = patch else { return patch.clone() };
        let mut members = value.as_object().cloned().unwrap_or_default();
        for (name, change) in changes {
            if change.is_null() {
                members.remove(name);
            } else {
                let before = members.remove(name).unwrap_or(Value::Null);
                members.insert(name.clone(), plain(&before, change));
            }
        }
        Value::Object(members)
    }

    fn object() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c\"\\\\{}\\[\\],: é\n]{0,6}".prop_map(Value::from),
        ];
        let value = leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c\"\\\\é]{0,2}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        });
        prop::collection::btree_map("[a-c\"\\\\é]{0,2}", value, 0..5)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    }

    proptest! {
        /// Against the rule written down over parsed trees.
        #[test]
        fn merges_like_a_tree(value in object(), patch in object(), pretty in any::<bool>()) {
            let text = |tree: &Value| if pretty { serde_json::to_string_pretty(tree) } else { serde_json::to_string(tree) };
            let merged: Value = serde_json::from_str(&merge_texts(&text(&value).unwrap(), &text(&patch).unwrap())).unwrap();
            prop_assert_eq!(merged, plain(&value, &patch));
        }

        #[test]
        fn never_panics(text in "[{}\\[\\]\",:a1\\\\ é]{0,40}") {
            let mut out = Vec::new();
            write_node(&Node::parse(&text), &mut out);
        }
    }
}
