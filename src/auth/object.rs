//! JSON objects that name nothing twice: of two members of one name, others might read the other one.
//!
//! Always holds: what is nested is read only where it is asked for, by the same rule. Never does: quote what
//! is there.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

/// The members of an object, by their names.
pub(super) struct Object(BTreeMap<String, Box<RawValue>>);

/// A member has another type than it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OtherType;

impl Object {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// What each member but that of this name is; nothing of one that is too deep to be read.
    pub(super) fn beside(&self, name: &str) -> impl Iterator<Item = (&str, Option<Value>)> {
        let members = self.0.iter().filter(move |(member, _)| *member != name);
        members.map(|(member, raw)| (member.as_str(), serde_json::from_str(raw.get()).ok()))
    }

    fn member<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, OtherType> {
        let Some(raw) = self.0.get(name) else { return Ok(None) };
        serde_json::from_str(raw.get()).map(Some).map_err(|_| OtherType)
    }

    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, OtherType> {
        self.member(name)
    }

    /// Whatever is there; of what stands twice within it, the last counts.
    pub(super) fn value(&self, name: &str) -> Result<Option<Value>, OtherType> {
        self.member(name)
    }

    /// An object, or none.
    pub(super) fn object_or_null(&self, name: &str) -> Result<Option<Self>, OtherType> {
        self.member::<Option<Self>>(name).map(Option::flatten)
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, OtherType> {
        self.member(name)
    }

    /// A text, or a list of such.
    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, OtherType> {
        match self.text(name) {
            Ok(one) => Ok(one.map(|one| vec![one])),
            Err(OtherType) => self.member(name),
        }
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, OtherType> {
        self.member(name)
    }

    pub(super) fn objects(&self, name: &str) -> Result<Option<Vec<Self>>, OtherType> {
        self.member(name)
    }

    /// A number of seconds (RFC 7519, 2), what is behind the point left out.
    pub(super) fn moment(&self, name: &str) -> Result<Option<i64>, OtherType> {
        let Some(raw) = self.0.get(name) else { return Ok(None) };
        let (whole, part) = raw.get().split_once('.').unwrap_or((raw.get(), ""));
        let is_plain = part.bytes().all(|byte| byte.is_ascii_digit());
        whole.parse().ok().filter(|_| is_plain).map(Some).ok_or(OtherType)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object that names nothing twice")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name stands twice"));
                    }
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}
