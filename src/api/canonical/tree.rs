//! What a file of secrets holds: maps in maps, lists, and plain values.
//!
//! Always holds: what is outermost is a map; a secret is a map that has something else than maps in it, or nothing; numbers are
//! kept as they are spelt. Never does: read or write the file, or its language.

use std::fmt;

use serde_json::value::RawValue;

use super::super::json::{self, write_text};
use crate::{model::Invalid, service::SecretValue};

/// Something in such a file. It prints what it is, and not what is in it.
#[derive(Clone, PartialEq, Eq)]
pub enum Node {
    /// Nothing.
    Null,
    /// Yes or no.
    Truth(bool),
    /// A number, as it is spelt in JSON.
    Number(String),
    /// Text.
    Text(String),
    /// One after the other.
    List(Vec<Self>),
    /// By names, in their order.
    Map(Vec<(String, Self)>),
}

/// Nodes by their names, each there once.
pub(super) type Map = Vec<(String, Node)>;

/// The way to a secret leads through what is no map.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Blocked;

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Truth(_) => "Truth(..)",
            Self::Number(_) => "Number(..)",
            Self::Text(_) => "Text(..)",
            Self::List(_) => "List(..)",
            Self::Map(_) => "Map(..)",
        })
    }
}

impl Node {
    /// What JSON says, which was looked at for whether strict readers read it.
    fn of_json(raw: &RawValue) -> Option<Self> {
        Some(match raw.get().as_bytes() {
            [b'{', ..] => {
                let object = json::object(raw, Invalid("an object")).ok()?;
                let members = object.into_members().into_iter();
                let members = members.map(|(name, raw)| Some((name, Self::of_json(raw)?)));
                Self::Map(members.collect::<Option<_>>()?)
            }
            [b'[', ..] => {
                let items: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
                Self::List(items.into_iter().map(Self::of_json).collect::<Option<_>>()?)
            }
            [b'"', ..] => Self::Text(serde_json::from_str(raw.get()).ok()?),
            b"true" => Self::Truth(true),
            b"false" => Self::Truth(false),
            b"null" => Self::Null,
            _ => Self::Number(raw.get().to_owned()),
        })
    }

    /// The value of a secret, of which strict readers read the text.
    pub(super) fn of_value(value: &SecretValue) -> Option<Map> {
        let raw: &RawValue = serde_json::from_slice(value.expose()).ok()?;
        match Self::of_json(raw)? {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Truth(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
            Self::Number(text) => out.extend_from_slice(text.as_bytes()),
            Self::Text(text) => write_text(out, text),
            Self::List(items) => {
                out.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Map(map) => write_map(map, out),
        }
    }

    /// The map at this path, if there is one.
    fn at(&self, path: &str) -> Option<&Map> {
        let found = path.split('/').try_fold(self, |node, name| match node {
            Self::Map(map) => map.iter().find(|(own, _)| own == name).map(|(_, node)| node),
            _ => None,
        });
        match found? {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The value of the secret at this path, if one is there.
    pub(super) fn value(&self, path: &str) -> Option<SecretValue> {
        let mut out = Vec::new();
        write_map(self.at(path)?, &mut out);
        Some(SecretValue::new(out))
    }

    /// Puts a map at this path, and maps on the way where there are none.
    pub(super) fn put(&mut self, path: &str, map: Map) -> Result<(), Blocked> {
        let mut node = self;
        for name in path.split('/') {
            let Self::Map(entries) = node else { return Err(Blocked) };
            let at = entries.iter().position(|(own, _)| own == name);
            let at = at.unwrap_or_else(|| {
                entries.push((name.to_owned(), Self::Map(Map::new())));
                entries.len() - 1
            });
            node = entries.get_mut(at).map(|(_, node)| node).ok_or(Blocked)?;
        }
        match node {
            Self::Map(entries) => *entries = map,
            _ => return Err(Blocked),
        }
        Ok(())
    }

    /// Takes away the map at this path, and all that is in it. Whether there was one.
    pub(super) fn remove(&mut self, path: &str) -> bool {
        if self.at(path).is_none() {
            return false;
        }
        let (folders, last) = path.rsplit_once('/').unwrap_or(("", path));
        let mut node = self;
        for name in folders.split('/').filter(|name| !name.is_empty()) {
            let Self::Map(entries) = node else { return false };
            match entries.iter_mut().find(|(own, _)| own == name) {
                Some((_, inner)) => node = inner,
                None => return false,
            }
        }
        let Self::Map(entries) = node else { return false };
        entries.retain(|(name, _)| name != last);
        true
    }

    /// The paths of all secrets that begin so, sorted by bytes.
    pub(super) fn secrets(&self, prefix: &str) -> Vec<String> {
        let mut found = Vec::new();
        if let Self::Map(mounts) = self {
            for (mount, node) in mounts {
                if let Self::Map(entries) = node {
                    for (name, node) in entries {
                        collect(format!("{mount}/{name}"), node, &mut found);
                    }
                }
            }
        }
        // What no URI can name is not there.
        found.retain(|path| path.starts_with(prefix) && !path.split('/').any(str::is_empty));
        found.sort_unstable();
        found
    }
}

fn collect(path: String, node: &Node, found: &mut Vec<String>) {
    let Node::Map(entries) = node else { return };
    for (name, node) in entries.iter().filter(|(name, _)| !name.contains('/')) {
        collect(format!("{path}/{name}"), node, found);
    }
    if entries.is_empty() || entries.iter().any(|(_, node)| !matches!(node, Node::Map(_))) {
        found.push(path);
    }
}

fn write_map(map: &Map, out: &mut Vec<u8>) {
    out.push(b'{');
    for (at, (name, node)) in map.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_text(out, name);
        out.push(b':');
        node.write(out);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Node {
        Node::Map(Node::of_value(&SecretValue::new(text.as_bytes().to_vec())).unwrap())
    }

    fn text(node: &Node) -> String {
        let mut out = Vec::new();
        node.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_comes_back_as_it_was_spelt() {
        for same in [
            "{}",
            r#"{"b":1.10,"a":[null,true,false,"x\n",{"y":12345678901234567890}],"c":{"d":-0e1}}"#,
        ] {
            assert_eq!(text(&tree(same)), same);
        }
    }

    #[test]
    fn secrets_are_maps_by_their_paths() {
        let mut node = tree(
            r#"{"secret":{"crud":{"K":"v"},"deep":{"er":{"K":1,"in":{"x":1}},"none":{}},"flat":1},"x":1}"#,
        );
        assert_eq!(
            node.secrets(""),
            ["secret/crud", "secret/deep/er", "secret/deep/er/in", "secret/deep/none"]
        );
        assert_eq!(node.secrets("secret/deep/e"), ["secret/deep/er", "secret/deep/er/in"]);
        let value = |node: &Node, path: &str| {
            node.value(path).map(|value| String::from_utf8(value.expose().to_vec()).unwrap())
        };
        assert_eq!(value(&node, "secret/crud").unwrap(), r#"{"K":"v"}"#);
        assert_eq!(
            value(&node, "secret/deep").unwrap(),
            r#"{"er":{"K":1,"in":{"x":1}},"none":{}}"#
        );
        for none in ["secret/flat", "secret/nope", "secret/crud/K", "x", "y/z"] {
            assert_eq!(value(&node, none), None, "{none}");
        }
        let one = || vec![("n".to_owned(), Node::Null)];
        assert_eq!(node.put("secret/crud", one()), Ok(()));
        assert_eq!(node.put("other/a/b", one()), Ok(()));
        for blocked in ["secret/flat/x", "x/y", "secret/flat"] {
            assert_eq!(node.put(blocked, one()), Err(Blocked), "{blocked}");
        }
        assert_eq!(value(&node, "secret/crud").unwrap(), r#"{"n":null}"#);
        assert_eq!(value(&node, "other/a/b").unwrap(), r#"{"n":null}"#);
        assert!(node.remove("secret/deep/er") && !node.remove("secret/deep/er"));
        assert!(!node.remove("secret/flat") && !node.remove("nope/x"));
        assert_eq!(
            text(&node),
            r#"{"secret":{"crud":{"n":null},"deep":{"none":{}},"flat":1},"x":1,"other":{"a":{"b":{"n":null}}}}"#
        );
        assert_eq!(format!("{node:?}"), "Map(..)");
    }
}
