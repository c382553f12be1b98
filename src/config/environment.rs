//! What the environment says.
//!
//! Any key can be set there: `OKMSD_SERVER__LISTEN` is `listen` in `[server]`, `OKMSD_REGION` is
//! `region`. Other names that begin with `OKMSD_` are not ours: Kubernetes makes such for a service
//! called okmsd. Some settings have another name, too, by which others know them.
//!
//! Always holds: a variable is text until the setting's own type reads it. Nothing is guessed from
//! what it looks like, so that a region may be called 2024. A setting that has two names is not set to two things.

use std::collections::{BTreeMap, btree_map};

use serde::{
    Deserializer,
    de::{
        self, DeserializeSeed, Error, IntoDeserializer, MapAccess, Unexpected, Visitor,
        value::SeqDeserializer,
    },
    forward_to_deserialize_any,
};

use super::fault::{Fault, Twins};

const PREFIX: &str = "OKMSD_";
/// What is a setting of its own and in no section.
const ALONE: [&str; 2] = ["region", "environment"];

/// A setting's other name.
struct Twin {
    other: &'static str,
    own: &'static str,
    /// Whether it is `true` or `false`, which others spell `True`, too.
    is_truth: bool,
}

const TWINS: [Twin; 3] = [
    Twin {
        other: "SECRETS_API_REQUIRE_AUTH",
        own: "OKMSD_SECRETS_API__REQUIRE_AUTH",
        is_truth: true,
    },
    Twin {
        other: "SECRETS_ENFORCE_SCOPES",
        own: "OKMSD_SECRETS_API__ENFORCE_SCOPES",
        is_truth: true,
    },
    Twin { other: "SECRETS_AUDIENCE", own: "OKMSD_AUTH__JWT__AUDIENCE", is_truth: false },
];

impl Twin {
    /// What `text` says for it, in one spelling.
    fn said(&self, text: &str) -> String {
        let parts: Vec<_> = text.split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
        let text = parts.join(",");
        if self.is_truth { text.to_ascii_lowercase() } else { text }
    }
}

/// The process's environment, as far as it is text.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// The file's table with what the environment says in its place.
///
/// # Errors
/// [`Twins`] of which one says another thing than the other.
pub(super) fn overlay(
    table: toml::Table,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Node, Twins> {
    let (mut own, mut others) = (BTreeMap::new(), Vec::new());
    for (name, text) in environment {
        if let Some(twin) = TWINS.iter().find(|twin| twin.other == name) {
            others.push((twin, twin.said(&text)));
        } else if let Some(name) = name.strip_prefix(PREFIX) {
            own.insert(name.to_ascii_lowercase(), text);
        }
    }
    for (twin, text) in others {
        let name = twin.own.trim_start_matches(PREFIX).to_ascii_lowercase();
        if own.get(&name).is_some_and(|own| twin.said(own) != text) {
            return Err(Twins(twin.other, twin.own));
        }
        own.insert(name, text);
    }
    let mut root = Node::from(toml::Value::Table(table));
    for (name, text) in own {
        if name.contains("__") || ALONE.contains(&&*name) {
            root.put(name.split("__"), text);
        }
    }
    Ok(root)
}

/// A part of the configuration, from the file or from the environment.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Table(BTreeMap<String, Node>),
    File(toml::Value),
    Text(String),
}

impl Node {
    /// Puts `text` where the names lead; what stands in the way gives place, and is missed by its
    /// type.
    fn put<'a>(&mut self, mut names: impl Iterator<Item = &'a str>, text: String) {
        let Some(name) = names.next() else {
            *self = Self::Text(text);
            return;
        };
        if !matches!(self, Self::Table(_)) {
            *self = Self::Table(BTreeMap::new());
        }
        if let Self::Table(entries) = self {
            entries
                .entry(name.to_owned())
                .or_insert_with(|| Self::Table(BTreeMap::new()))
                .put(names, text);
        }
    }
}

impl From<toml::Value> for Node {
    fn from(value: toml::Value) -> Self {
        match value {
            toml::Value::Table(table) => {
                Self::Table(table.into_iter().map(|(name, value)| (name, value.into())).collect())
            }
            value => Self::File(value),
        }
    }
}

/// Each of these reads text as its type, and leaves what has a type to it.
macro_rules! read_text {
    ($($method:ident, $visit:ident, $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            match self {
                Self::Text(text) => match text.trim().parse::<$type>() {
                    Ok(value) => visitor.$visit(value),
                    Err(_) => Err(Fault::invalid_type(Unexpected::Other("text"), &visitor)),
                },
                node => node.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Table(entries) => {
                visitor.visit_map(Entries { rest: entries.into_iter(), value: None })
            }
            Self::File(value) => {
                value.deserialize_any(visitor).map_err(|error| Fault::custom(error.message()))
            }
            Self::Text(text) => visitor.visit_string(text),
        }
    }

    read_text! {
        deserialize_bool, visit_bool, bool;
        deserialize_i8, visit_i8, i8;
        deserialize_i16, visit_i16, i16;
        deserialize_i32, visit_i32, i32;
        deserialize_i64, visit_i64, i64;
        deserialize_u8, visit_u8, u8;
        deserialize_u16, visit_u16, u16;
        deserialize_u32, visit_u32, u32;
        deserialize_u64, visit_u64, u64;
        deserialize_f32, visit_f32, f32;
        deserialize_f64, visit_f64, f64;
    }

    /// A setting that is there is given.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    /// Text is a list of what stands between its commas.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Text(text) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                visitor
                    .visit_seq(SeqDeserializer::new(parts.map(|part| Self::Text(part.to_owned()))))
            }
            node => node.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self {
            Self::Text(text) => visitor.visit_enum(text.into_deserializer()),
            Self::File(value) => value
                .deserialize_enum(name, variants, visitor)
                .map_err(|error| Fault::custom(error.message())),
            Self::Table(_) => Err(Fault::invalid_type(Unexpected::Map, &visitor)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

impl IntoDeserializer<'_, Fault> for Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The entries of a table. An error learns here where it is.
struct Entries {
    rest: btree_map::IntoIter<String, Node>,
    value: Option<(String, Node)>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some((name, node)) = self.rest.next() else { return Ok(None) };
        let key = seed.deserialize(name.clone().into_deserializer())?;
        self.value = Some((name, node));
        Ok(Some(key))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        let (name, node) =
            self.value.take().ok_or_else(|| de::Error::custom("a value without a key"))?;
        seed.deserialize(node).map_err(|fault| fault.within(&name))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::Deserialize;

    use super::*;
    use crate::config::units::{ByteSize, Region, Span};

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct All {
        region: String,
        section: Section,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Section {
        name: Option<Region>,
        text: String,
        number: Option<u16>,
        whether: bool,
        time: Option<Span>,
        size: Option<ByteSize>,
        list: Vec<String>,
        numbers: Vec<u8>,
        kind: Option<Kind>,
        deeper: Option<Box<Section>>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        One,
    }

    fn read(file: &str, environment: &[(&str, &str)]) -> Result<All, String> {
        let variables =
            environment.iter().map(|(name, text)| (format!("OKMSD_{name}"), (*text).to_owned()));
        let table = toml::from_str(file).unwrap();
        All::deserialize(overlay(table, variables).unwrap()).map_err(|fault| fault.to_string())
    }

    /// What looked like a number or a truth value was made one, so that a region called 2024, or a
    /// file called true, kept a server from starting.
    #[test]
    fn the_settings_type_reads_the_text() {
        for text in ["2024", "true", "1e3", "1.5", "'a'", "[1]", "2024-01-01", " a ", ""] {
            assert_eq!(read("", &[("REGION", text)]).unwrap().region, text);
            assert_eq!(read("", &[("SECTION__TEXT", text)]).unwrap().section.text, text);
        }
        assert_eq!(
            read("", &[("SECTION__NAME", "2024")]).unwrap().section.name,
            Some("2024".parse().unwrap())
        );
        let all = read(
            "[section]\ntext = 'of the file'\nnumber = 1\nwhether = false\nlist = ['x']\n[section.deeper]\nnumber = 5",
            &[
                ("SECTION__NUMBER", "65535"),
                ("SECTION__WHETHER", "true"),
                ("SECTION__TIME", "500ms"),
                ("SECTION__SIZE", "1048576"),
                ("SECTION__LIST", "a, 2,true"),
                ("SECTION__NUMBERS", "1,2"),
                ("SECTION__KIND", "one"),
                ("SECTION__DEEPER__TEXT", "7"),
                ("SECTION__DEEPER__SIZE", "2KiB"),
            ],
        );
        let deeper = Section {
            text: "7".to_owned(),
            number: Some(5),
            size: Some(ByteSize(2048)),
            ..Section::default()
        };
        let section = Section {
            text: "of the file".to_owned(),
            number: Some(65_535),
            whether: true,
            time: Some(Span(Duration::from_millis(500))),
            size: Some(ByteSize(1 << 20)),
            list: ["a", "2", "true"].map(str::to_owned).to_vec(),
            numbers: vec![1, 2],
            kind: Some(Kind::One),
            deeper: Some(Box::new(deeper)),
            ..Section::default()
        };
        assert_eq!(all, Ok(All { region: String::new(), section }));
    }

    #[test]
    fn faults_name_the_key_and_quote_nothing() {
        for (name, text, expected) in [
            (
                "SECTION__NUMBER",
                "65536",
                "section.number: this value does not fit here, expected u16",
            ),
            (
                "SECTION__DEEPER__WHETHER",
                "yes",
                "section.deeper.whether: this value does not fit here, expected a boolean",
            ),
            ("SECTION__KIND", "two", "section.kind: this value does not fit here, expected `one`"),
            (
                "SECTION__NUMBERS",
                "1,x",
                "section.numbers: this value does not fit here, expected u8",
            ),
            (
                "SECTION__TIME",
                "5",
                "section.time: a time is a whole number and ms, s, m, h or d, such as \"10s\"",
            ),
            ("SECTION__NAME", "a b", "section.name: a region's name is letters, digits and - only"),
            ("SECTION__TEXTS", "x", "section: unknown field `texts`"),
            (
                "SECTION__TEXT__X",
                "x",
                "section.text: this value does not fit here, expected a string",
            ),
            ("REGION__X", "x", "region: this value does not fit here, expected a string"),
        ] {
            let said = read("", &[(name, text)]).unwrap_err();
            assert!(said.starts_with(expected), "{said}");
        }
        // Of a service called okmsd.
        assert_eq!(
            read("", &[("PORT", "tcp://10.0.0.1:8443"), ("SERVICE_HOST", "10.0.0.1")]),
            Ok(All::default())
        );
    }
}
