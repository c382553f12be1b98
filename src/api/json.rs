//! JSON at the edge: request bodies as maps of raw members, answers written straight into bytes.
//!
//! Members stay the text that they are until somebody asks for more. Errors name fields, never
//! values.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    io::Write as _,
};

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::model::{CustomPatch, DeactivateAfter, Invalid};

/// The most members of a request's objects, apart from values.
const MEMBERS_MAX: usize = 4096;

/// A JSON object whose members are not parsed yet. Members are taken one by one; what is left was
/// not understood.
pub(crate) struct Object<'a> {
    members: Vec<(String, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// The object in a request body.
    ///
    /// # Errors
    /// `Invalid` where the bytes are not a JSON object, or name a member twice.
    pub(crate) fn from_body(body: &'a [u8]) -> Result<Self, Invalid> {
        if body.trim_ascii().is_empty() {
            return Err(Invalid("the body is empty; send a JSON object"));
        }
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(Invalid("the body must be a JSON object"));
        }
        let text = std::str::from_utf8(body).map_err(|_| Invalid("the body is not UTF-8 text"))?;
        Self::parse(text)
    }

    /// The object in this text.
    ///
    /// # Errors
    /// As [`Object::from_body`].
    pub(crate) fn parse(text: &'a str) -> Result<Self, Invalid> {
        let mut parser = serde_json::Deserializer::from_str(text);
        let object = parser.deserialize_map(Members).map_err(|error| {
            // The library's own text would quote what it found.
            if error.is_data() {
                Invalid(
                    "a JSON object of the request names a member twice, or has too many members",
                )
            } else {
                Invalid("the body is not well-formed JSON; check quotes, commas and brackets")
            }
        })?;
        parser.end().map_err(|_| Invalid("the body has text after its JSON object"))?;
        Ok(object)
    }

    /// Takes the member that goes by any of these spellings.
    ///
    /// # Errors
    /// `Invalid` where it is there in two spellings.
    pub(crate) fn take(&mut self, spellings: &[&str]) -> Result<Option<&'a RawValue>, Invalid> {
        let mut found = None;
        let mut twice = false;
        self.members.retain(|(name, value)| {
            let taken = spellings.contains(&name.as_str());
            twice |= taken && found.replace(*value).is_some();
            !taken
        });
        if twice {
            return Err(Invalid("a field is given in two spellings; give it once"));
        }
        Ok(found)
    }

    /// Whether members are left that nobody took.
    #[must_use]
    pub(crate) const fn has_unknown(&self) -> bool {
        !self.members.is_empty()
    }

    /// The members that nobody took.
    #[must_use]
    pub(crate) fn into_members(self) -> Vec<(String, &'a RawValue)> {
        self.members
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        use serde::de::Error;
        let (mut members, mut names) = (Vec::<(String, &RawValue)>::new(), HashSet::new());
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            if members.len() == MEMBERS_MAX || !names.insert(name.clone()) {
                return Err(A::Error::custom("members"));
            }
            members.push((name, value));
        }
        Ok(Object { members })
    }
}

/// Whether a member is there and not null: null means "not given" wherever nothing can be cleared.
#[must_use]
pub(crate) fn non_null(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| raw.get() != "null")
}

/// The truth value of a member; `wrong` where it is none.
pub(crate) fn boolean(raw: &RawValue, wrong: Invalid) -> Result<bool, Invalid> {
    match raw.get() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(wrong),
    }
}

/// The whole number of a member; `wrong` where it is none.
pub(crate) fn number(raw: &RawValue, wrong: Invalid) -> Result<u32, Invalid> {
    serde_json::from_str(raw.get()).map_err(|_| wrong)
}

/// The text of a member; `wrong` where it is none.
pub(crate) fn text(raw: &RawValue, wrong: Invalid) -> Result<String, Invalid> {
    serde_json::from_str(raw.get()).map_err(|_| wrong)
}

/// The texts in the array of a member; `wrong` where it is none.
pub(crate) fn texts(raw: &RawValue, wrong: Invalid) -> Result<Vec<String>, Invalid> {
    serde_json::from_str(raw.get()).map_err(|_| wrong)
}

/// The object of a member; `wrong` where it is none.
pub(crate) fn object(raw: &RawValue, wrong: Invalid) -> Result<Object<'_>, Invalid> {
    if raw.get().starts_with('{') { Object::parse(raw.get()) } else { Err(wrong) }
}

/// A duration: text, or a number of seconds; or, where it may be, the one that rules out any.
pub(crate) fn duration(raw: &RawValue, allows_never: bool) -> Result<DeactivateAfter, Invalid> {
    const WRONG: Invalid =
        Invalid("deactivateVersionAfter must be text such as 10h30m10s, 1d or 90");
    match raw.get().as_bytes().first() {
        Some(b'"') if allows_never => DeactivateAfter::from_stored(&text(raw, WRONG)?),
        Some(b'"') => text(raw, WRONG)?.parse(),
        Some(b'0'..=b'9') => number(raw, WRONG)?.to_string().parse(),
        _ => Err(WRONG),
    }
}

/// A change of custom metadata: an object of texts, which replaces what is there. One that has
/// nulls is a patch: they remove their entries, and what is not named stays. An empty one changes
/// nothing, as there are clients that always send one.
pub(crate) fn custom_metadata(raw: &RawValue) -> Result<CustomPatch, Invalid> {
    const WRONG: Invalid = Invalid("customMetadata must be an object whose values are texts");
    let entries = object(raw, WRONG)?.members.into_iter();
    let entries = entries
        .map(|(key, raw)| Ok((key, non_null(Some(raw)).map(|raw| text(raw, WRONG)).transpose()?)));
    let entries: BTreeMap<_, _> = entries.collect::<Result<_, Invalid>>()?;
    let whole: Option<BTreeMap<_, _>> =
        entries.iter().map(|(key, text)| Some((key.clone(), text.clone()?))).collect();
    let patch = match whole.filter(|whole| !whole.is_empty()) {
        Some(whole) => CustomPatch::Replace(whole),
        None => CustomPatch::Merge(entries),
    };
    patch.check_published()
}

/// Writes JSON text.
pub(crate) struct Writer;

impl Writer {
    /// The text of one object.
    pub(crate) fn object(members: impl FnOnce(&mut ObjectWriter<'_>)) -> Vec<u8> {
        Self::object_sized(256, members)
    }

    /// The text of an array with one object for each item.
    pub(crate) fn array<T>(
        items: impl IntoIterator<Item = T>,
        mut members: impl FnMut(T, &mut ObjectWriter<'_>),
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        write_array(&mut out, items, |out, item| write_object(out, |o| members(item, o)));
        out
    }

    /// The text of an array of texts that are JSON already.
    pub(crate) fn raw_array(items: &[String]) -> Vec<u8> {
        [b"[".as_slice(), items.join(",").as_bytes(), b"]"].concat()
    }

    /// The text of one object, with room for `bytes`.
    pub(crate) fn object_sized(
        bytes: usize,
        members: impl FnOnce(&mut ObjectWriter<'_>),
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes);
        write_object(&mut out, members);
        out
    }
}

fn write_object(out: &mut Vec<u8>, members: impl FnOnce(&mut ObjectWriter<'_>)) {
    out.push(b'{');
    members(&mut ObjectWriter { out, first: true });
    out.push(b'}');
}

fn write_array<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// The members of an object that is being written.
pub(crate) struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl ObjectWriter<'_> {
    /// A member with ready-made JSON text.
    pub(crate) fn raw(&mut self, name: &str, json: &[u8]) {
        self.name(name);
        self.out.extend_from_slice(json);
    }

    /// A member with text.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        write_text(self.out, text);
    }

    /// A member with a number.
    pub(crate) fn number(&mut self, name: &str, number: impl Into<u64>) {
        self.name(name);
        // Writing into memory cannot fail.
        let _infallible = write!(self.out, "{}", number.into());
    }

    /// A member with text that is put together as it is written.
    pub(crate) fn display(&mut self, name: &str, text: impl fmt::Display) {
        self.name(name);
        self.out.push(b'"');
        let _infallible = fmt::Write::write_fmt(&mut Escaped(self.out), format_args!("{text}"));
        self.out.push(b'"');
    }

    /// A member with null.
    pub(crate) fn null(&mut self, name: &str) {
        self.raw(name, b"null");
    }

    /// A member with a truth value.
    pub(crate) fn boolean(&mut self, name: &str, value: bool) {
        self.raw(name, if value { b"true" } else { b"false" });
    }

    /// A member with an object.
    pub(crate) fn object(&mut self, name: &str, members: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.name(name);
        write_object(self.out, members);
    }

    /// A member with an array of one object for each item.
    pub(crate) fn objects<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut members: impl FnMut(T, &mut ObjectWriter<'_>),
    ) {
        self.name(name);
        write_array(self.out, items, |out, item| write_object(out, |out| members(item, out)));
    }

    /// A member with an array of texts.
    pub(crate) fn texts<'t>(&mut self, name: &str, texts: impl IntoIterator<Item = &'t str>) {
        self.name(name);
        write_array(self.out, texts, write_text);
    }

    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        write_text(self.out, name);
        self.out.push(b':');
    }
}

/// Writes a JSON string.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let _infallible = fmt::Write::write_str(&mut Escaped(out), text);
    out.push(b'"');
}

/// Writes what is within the quotes of a JSON string.
struct Escaped<'a>(&'a mut Vec<u8>);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Nearly all text here needs no escapes.
        if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
            self.0.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        let quoted = serde_json::to_string(text).map_err(|_| fmt::Error)?;
        let within =
            quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).ok_or(fmt::Error)?;
        self.0.extend_from_slice(within.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn bodies() {
        let mut object =
            Object::from_body(br#" {"a":1,"b_c":{"x":[1.0, 1e400]},"z":null} "#).unwrap();
        assert_eq!(object.take(&["bC", "b_c"]).unwrap().unwrap().get(), r#"{"x":[1.0, 1e400]}"#);
        assert!(object.take(&["bC", "b_c"]).unwrap().is_none());
        assert!(non_null(object.take(&["z"]).unwrap()).is_none() && object.has_unknown());
        object.take(&["a"]).unwrap();
        assert!(!object.has_unknown());
        for wrong in [
            "",
            "  ",
            "[]",
            "1",
            "{",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1}x",
            "{\"a\":1,\"a\":2}",
            "{a:1}",
            "null",
            "{\"a\":1}{\"b\":2}",
            "{\"\\u0061\":1,\"a\":2}",
            "{\"a\":01}",
            "{\"a\":\"\\x\"}",
        ] {
            assert!(Object::from_body(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(Object::from_body(b"{\"a\":\"\xff\"}").is_err());
        assert!(Object::from_body(br#"{"aB":1,"a_b":2}"#).unwrap().take(&["aB", "a_b"]).is_err());
    }

    #[test]
    fn fields() {
        const WRONG: Invalid = Invalid("wrong");
        assert_eq!(number(&raw("24000"), WRONG), Ok(24_000));
        for wrong in ["1.0", "-1", "\"1\"", "1e3", "true", "4294967296"] {
            assert_eq!(number(&raw(wrong), WRONG), Err(WRONG), "{wrong}");
        }
        assert_eq!(duration(&raw("90"), false).unwrap().as_typed(), "90");
        assert_eq!(duration(&raw("\"1d\""), false).unwrap().as_typed(), "1d");
        assert!(duration(&raw("-1"), true).is_err() && duration(&raw("{}"), true).is_err());
        assert!(
            duration(&raw("\"-1s\""), true).unwrap().is_never()
                && duration(&raw("\"-1s\""), false).is_err()
        );
        assert!(custom_metadata(&raw("{}")).unwrap().is_empty());
        assert!(matches!(custom_metadata(&raw(r#"{"a":"1"}"#)).unwrap(), CustomPatch::Replace(_)));
        for patch in [r#"{"a":"1","b":null}"#, r#"{"b":null}"#] {
            assert!(
                matches!(custom_metadata(&raw(patch)).unwrap(), CustomPatch::Merge(_)),
                "{patch}"
            );
        }
        assert!(
            custom_metadata(&raw("{\"a\":1}")).is_err() && custom_metadata(&raw("null")).is_err()
        );
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(text in "\\PC*", number in any::<u32>(), yes in any::<bool>()) {
            let bytes = Writer::object(|o| {
                o.text("t", &text);
                o.number("n", number);
                o.boolean("b", yes);
                o.object("o", |o| o.texts("list", [text.as_str(), "x"]));
                o.raw("r", b"1.0");
            });
            let parsed: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            let expected = serde_json::json!({"t": text, "n": number, "b": yes, "o": {"list": [text, "x"]}, "r": 1.0});
            prop_assert_eq!(parsed, expected);
        }

        #[test]
        fn bodies_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Object::from_body(&bytes);
        }
    }
}
