//! Request fields as Vault takes them: weakly typed, so that `"5"`, `true` and `""` are numbers.
//!
//! Errors name the field and say what is expected; they never repeat the value.

use std::{borrow::Cow, collections::BTreeMap};

use hyper::Method;
use serde_json::value::RawValue;

use super::super::{
    Call, Failed, Problem,
    json::{self, Object},
    query,
};
use crate::auth::acl::Given;
use crate::model::{
    DeactivateAfter, Invalid, METADATA_ENTRIES_MAX, METADATA_KEY_MAX, METADATA_VALUE_MAX,
    MaxVersions, SettingsPatch, text,
};

/// The most entries of a list of numbers.
const NUMBERS_MAX: usize = 1000;

/// A parameter that is a list of texts, or one text with commas. Policies that speak of parameters see
/// its parts as the handler does ([`parts`]): what is not here cannot be taken as a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListField(&'static str);

macro_rules! list_fields {
    ($($field:ident = $name:literal,)*) => {
        impl ListField {
            $(pub(super) const $field: Self = Self($name);)*
            const ALL: &[Self] = &[$(Self::$field,)*];
        }
    };
}

list_fields! {
    ALLOWED_COMMON_NAMES = "allowed_common_names",
    ALLOWED_DNS_SANS = "allowed_dns_sans",
    ALLOWED_EMAIL_SANS = "allowed_email_sans",
    ALLOWED_NAMES = "allowed_names",
    ALLOWED_ORGANIZATIONAL_UNITS = "allowed_organizational_units",
    ALLOWED_URI_SANS = "allowed_uri_sans",
    BOUND_CIDRS = "bound_cidrs",
    PATH = "path",
    PATHS = "paths",
    POLICIES = "policies",
    REQUIRED_EXTENSIONS = "required_extensions",
    TOKEN_BOUND_CIDRS = "token_bound_cidrs",
    TOKEN_POLICIES = "token_policies",
}

impl ListField {
    /// What it is called.
    pub(super) const fn name(self) -> &'static str {
        self.0
    }
}

/// A request body's fields. Fields are taken one by one; what is left was not understood.
pub(super) struct Fields<'a> {
    object: Object<'a>,
}

/// The text of a request's body as JSON: an empty one is an empty object, and a form's fields are
/// texts.
pub(super) fn body(call: &Call) -> Result<Cow<'_, str>, Failed> {
    const NOT_TEXT: &str = "the body is not UTF-8 text";
    let text = std::str::from_utf8(&call.body)
        .map_err(|_| Problem::KvBadBody.with(&[NOT_TEXT]))?
        .trim_ascii();
    if text.is_empty() || text == "null" {
        return Ok(Cow::Borrowed("{}"));
    }
    let is_form = call.header("content-type").is_some_and(|kind| {
        kind.as_bytes().split(|byte| *byte == b';').next().is_some_and(|kind| {
            kind.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
        })
    });
    if !is_form || text.starts_with(['{', '[']) {
        return Ok(Cow::Borrowed(text));
    }
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |text| query::form(text).map(Cow::into_owned);
        let (name, value) = (decode(name)?, decode(value)?);
        fields.entry(name).and_modify(|known| known.extend([",", &value])).or_insert(value);
    }
    let text =
        json::Writer::object(|out| fields.iter().for_each(|(name, value)| out.text(name, value)));
    Ok(Cow::Owned(String::from_utf8(text).unwrap_or_default()))
}

/// What `then` makes of the parameters of a request, by their names: those in its body, or of one that has
/// none in its query. What no handler reads is no parameter, as in Vault.
pub(super) fn with_parameters<T>(
    call: &Call,
    then: impl FnOnce(&[(&str, Given<'_>)]) -> T,
) -> Result<T, Failed> {
    if [Method::POST, Method::PUT, Method::PATCH].contains(&call.head.method) {
        let body = body(call)?;
        let members = Fields::parse(&body)?.object.into_members();
        let is_list = |name: &str| ListField::ALL.iter().any(|field| field.0 == name);
        let lists: Vec<_> = members
            .iter()
            .map(|(name, raw)| if is_list(name) { parts(raw) } else { None })
            .collect();
        let given = members.iter().zip(&lists).map(|((name, raw), parts)| {
            let json = raw.get();
            let given = parts.as_deref().map(|parts| Given::List { json, parts });
            (&**name, given.unwrap_or(Given::Json(json)))
        });
        return Ok(then(&given.collect::<Vec<_>>()));
    }
    let decode = |text| query::form(text).map(Cow::into_owned);
    let pairs = call.query().split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok::<_, Invalid>((decode(name)?, decode(value)?))
    });
    let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
    let given = pairs.iter().map(|(name, value)| (&**name, Given::Text(value)));
    Ok(then(&given.collect::<Vec<_>>()))
}

impl<'a> Fields<'a> {
    /// The fields in the text of [`body`].
    pub(super) fn parse(body: &'a str) -> Result<Self, Failed> {
        let object = Object::from_body(body.as_bytes());
        let object = object.map_err(|Invalid(why)| Problem::KvBadBody.with(&[why]))?;
        Ok(Self { object })
    }

    /// Takes a field that is there and not null.
    pub(super) fn take(&mut self, name: &str) -> Result<Option<&'a RawValue>, Failed> {
        Ok(json::non_null(self.raw(name)?))
    }

    /// Takes a field that may be null.
    pub(super) fn raw(&mut self, name: &str) -> Result<Option<&'a RawValue>, Failed> {
        Ok(self.object.take(&[name])?)
    }

    /// Whether all fields were taken.
    pub(super) const fn is_empty(&self) -> bool {
        !self.object.has_unknown()
    }

    /// Takes a field of text.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, Failed> {
        self.take(name)?
            .map(|raw| weak_text(raw).ok_or_else(|| wrong(name, "expected text")))
            .transpose()
    }

    /// Takes a field with a truth value.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Failed> {
        self.raw(name)?
            .map(|raw| flag(raw).ok_or_else(|| wrong(name, "expected true or false")))
            .transpose()
    }

    /// Takes a field with a whole number.
    pub(super) fn int(&mut self, name: &'static str) -> Result<Option<i64>, Failed> {
        self.raw(name)?
            .map(|raw| int(raw).ok_or_else(|| wrong(name, "expected a whole number")))
            .transpose()
    }

    /// Takes a field with a span of time, in seconds; negative ones are cut to -1.
    pub(super) fn seconds(&mut self, name: &'static str) -> Result<Option<i64>, Failed> {
        Ok(self.span(name)?.map(|span| match span {
            Span::Negative => -1,
            Span::After(after) => {
                i64::try_from(after.limit_seconds().unwrap_or(0)).unwrap_or(i64::MAX)
            }
        }))
    }

    fn span(&mut self, name: &'static str) -> Result<Option<Span>, Failed> {
        self.take(name)?
            .map(|raw| span(raw).ok_or_else(|| wrong(name, "expected a duration such as 3h25m19s")))
            .transpose()
    }

    /// Takes a list of whole numbers.
    pub(super) fn ints(&mut self, name: &'static str) -> Result<Vec<i64>, Failed> {
        let Some(raw) = self.take(name)? else { return Ok(Vec::new()) };
        ints(raw).ok_or_else(|| wrong(name, "expected a list of at most 1000 whole numbers"))
    }

    /// Takes a list of texts, or one text with commas; none where there is no such field.
    pub(super) fn texts(&mut self, field: ListField) -> Result<Vec<String>, Failed> {
        Ok(self.list(field)?.unwrap_or_default())
    }

    /// The same, if there is such a field.
    pub(super) fn list(&mut self, field: ListField) -> Result<Option<Vec<String>>, Failed> {
        let Some(raw) = self.take(field.0)? else { return Ok(None) };
        parts(raw).map(Some).ok_or_else(|| wrong(field.0, "expected a list of texts"))
    }

    /// Takes the three settings of secrets, and the fourth of metadata. `allows_never`: whether a
    /// negative life span is one, as in a mount's config.
    pub(super) fn settings(&mut self, allows_never: bool) -> Result<SettingsPatch, Failed> {
        const AFTER: &str = "delete_version_after";
        const NEGATIVE: &str = "cannot provide negative value '-1'";
        let max_versions = self.int("max_versions")?.map(|number| {
            let number =
                u32::try_from(number).ok().and_then(|number| MaxVersions::new(number).ok());
            number.ok_or_else(|| wrong("max_versions", "expected a whole number from 0 to 24000"))
        });
        let deactivate_after = match self.span(AFTER)? {
            Some(Span::Negative) if allows_never => Some(DeactivateAfter::never()),
            Some(Span::Negative) => return Err(wrong(AFTER, NEGATIVE)),
            Some(Span::After(after)) => Some(after),
            None => None,
        };
        Ok(SettingsPatch {
            cas_required: self.flag("cas_required")?,
            max_versions: max_versions.transpose()?,
            deactivate_after,
            metadata_cas_required: self.flag("metadata_cas_required")?,
        })
    }

    /// The warnings about what nobody took.
    pub(super) fn warnings(self) -> Vec<String> {
        let mut names: Vec<_> =
            self.object.into_members().into_iter().map(|(name, _)| name).collect();
        let replaced = names.iter().any(|name| name == "path").then(|| {
            "Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [path]"
                .to_owned()
        });
        names.retain(|name| name != "path");
        warn_of_unrecognized(names).into_iter().chain(replaced).collect()
    }
}

/// The warning about query parameters that an endpoint does not know.
pub(super) fn warn_of_ignored(call: &Call, known: &[&str]) -> Vec<String> {
    let names =
        call.query().split('&').filter_map(|pair| query::form(pair.split('=').next()?).ok());
    let unknown = names.filter(|name| !name.is_empty() && !known.contains(&&**name));
    warn_of_unrecognized(unknown.map(Cow::into_owned).collect()).into_iter().collect()
}

fn warn_of_unrecognized(mut names: Vec<String>) -> Option<String> {
    names.sort_unstable();
    names.dedup();
    (!names.is_empty())
        .then(|| format!("Endpoint ignored these unrecognized parameters: [{}]", names.join(" ")))
}

/// A span of time.
enum Span {
    Negative,
    After(DeactivateAfter),
}

/// The error of a field that could not be converted.
pub(super) fn wrong(name: &str, reason: &str) -> Failed {
    Problem::WrongField.with(&[name, reason])
}

/// The whole number in a query parameter; `None` where it is absent or empty.
pub(super) fn query_int(call: &Call, name: &'static str) -> Result<Option<i64>, Failed> {
    let found = query::parameter(call.query(), name)
        .map_err(|_| wrong(name, "expected one whole number"))?;
    found
        .map(|text| go_int(&text).ok_or_else(|| wrong(name, "expected a whole number")))
        .transpose()
}

/// The truth value in a query parameter.
pub(super) fn query_flag(call: &Call, name: &'static str) -> Result<bool, Failed> {
    query::flag(call.query(), name).map_err(|_| wrong(name, "expected true or false"))
}

/// A whole number as Go reads it: decimal, or by its prefix.
fn go_int(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, radix) = match lower.get(..2) {
        Some("0x") => (lower.get(2..)?, 16),
        Some("0b") => (lower.get(2..)?, 2),
        Some("0o") => (lower.get(2..)?, 8),
        Some(_) if lower.starts_with('0') => (lower.get(1..)?, 8),
        _ => (lower.as_str(), 10),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let number = i64::from_str_radix(digits, radix).ok()?;
    Some(if is_negative { -number } else { number })
}

pub(super) fn int(raw: &RawValue) -> Option<i64> {
    match raw.get() {
        "null" | "false" | "\"\"" => Some(0),
        "true" => Some(1),
        text if text.starts_with('"') => go_int(&string(raw)?),
        text => text.parse().ok(),
    }
}

fn flag(raw: &RawValue) -> Option<bool> {
    match raw.get() {
        "true" => Some(true),
        "false" | "null" => Some(false),
        text if text.starts_with('"') => match string(raw)?.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            _ => None,
        },
        // Of numbers these two alone, as Go's ParseBool has it.
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

fn ints(raw: &RawValue) -> Option<Vec<i64>> {
    match raw.get().as_bytes().first()? {
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
            (items.len() <= NUMBERS_MAX).then(|| items.into_iter().map(int).collect())?
        }
        b'"' => {
            let text = string(raw)?;
            if text.is_empty() {
                return Some(Vec::new());
            }
            (text.split(',').count() <= NUMBERS_MAX)
                .then(|| text.split(',').map(go_int).collect())?
        }
        _ => Some(vec![int(raw)?]),
    }
}

fn span(raw: &RawValue) -> Option<Span> {
    let text = match raw.get() {
        "\"\"" => "0".to_owned(),
        text if text.starts_with('"') => string(raw)?,
        text if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => text.to_owned(),
        _ => return None,
    };
    if let Some(positive) = text.strip_prefix('-') {
        let after = DeactivateAfter::cut(positive).ok()?;
        // Minus nothing is nothing.
        return Some(if after.limit_seconds().is_some() {
            Span::Negative
        } else {
            Span::After(after)
        });
    }
    DeactivateAfter::cut(&text).ok().map(Span::After)
}

/// So many seconds as Vault tells them to people: Go's text, without what is 0 at its end.
pub(super) fn go_seconds(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes, seconds) {
        (0, 0, _) => format!("{seconds}s"),
        (0, _, 0) => format!("{minutes}m"),
        (0, ..) => format!("{minutes}m{seconds}s"),
        (_, 0, 0) => format!("{hours}h"),
        (_, _, 0) => format!("{hours}h{minutes}m"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

fn string(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// Text, or what else can be taken for it.
pub(super) fn weak_text(raw: &RawValue) -> Option<String> {
    match raw.get() {
        "null" => Some(String::new()),
        "true" => Some("1".to_owned()),
        "false" => Some("0".to_owned()),
        text if text.starts_with(['{', '[']) => None,
        text if text.starts_with('"') => string(raw),
        number => Some(number.to_owned()),
    }
}

/// The texts of a list, or the parts of a text with commas, without those that are empty. Of a text
/// blanks around the commas are no part, as in Vault; what stands in a list is taken byte for byte.
fn parts(raw: &RawValue) -> Option<Vec<String>> {
    let mut parts: Vec<String> = if raw.get().starts_with('[') {
        serde_json::from_str(raw.get()).ok()?
    } else {
        weak_text(raw)?.split(',').map(|part| part.trim().to_owned()).collect()
    };
    parts.retain(|part| !part.is_empty());
    Some(parts)
}

/// A map: an object; null and `[]` are an empty one, and a list of objects is merged.
pub(super) fn map<'a>(
    raw: &'a RawValue,
    name: &str,
) -> Result<Vec<(String, &'a RawValue)>, Failed> {
    let not_a_map = || wrong(name, "expected a map");
    match raw.get().as_bytes().first() {
        Some(b'{') => Ok(Object::parse(raw.get())?.into_members()),
        Some(b'n') => Ok(Vec::new()),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| not_a_map())?;
            let mut merged = BTreeMap::new();
            for item in items {
                if !item.get().starts_with('{') {
                    return Err(not_a_map());
                }
                merged.extend(Object::parse(item.get())?.into_members());
            }
            Ok(merged.into_iter().collect())
        }
        _ => Err(not_a_map()),
    }
}

/// Custom metadata in a write; `None` for an entry to remove, where `allows_null`.
pub(super) fn custom_metadata(
    raw: &RawValue,
    allows_null: bool,
) -> Result<BTreeMap<String, Option<String>>, Failed> {
    let members = map(raw, "custom_metadata")?;
    if members.len() > METADATA_ENTRIES_MAX {
        return Err(too_many_entries(members.len()));
    }
    let (mut entries, mut wrong) = (BTreeMap::new(), Vec::new());
    for (key, raw) in members {
        if key.is_empty() || key.len() > METADATA_KEY_MAX {
            wrong.push(format!(
                "length of key {key:?} is {} but must be 0 < len(key) <= {METADATA_KEY_MAX}",
                key.len()
            ));
        }
        if !text::is_printable(&key) {
            wrong.push(format!("key {key:?} ({key}) contains unprintable characters"));
        }
        if allows_null && raw.get() == "null" {
            entries.insert(key, None);
            continue;
        }
        let Some(value) = weak_text(raw) else {
            wrong.push(format!(
                "error decoding custom_metadata[{key}]: got unconvertible type, expected text"
            ));
            continue;
        };
        if value.is_empty() || value.len() > METADATA_VALUE_MAX {
            wrong.push(format!(
                "length of value for key {key:?} is {} but must be 0 < len(value) <= {METADATA_VALUE_MAX}",
                value.len()
            ));
        }
        if !text::is_printable(&value) {
            wrong.push(format!("value for key {key:?} contains unprintable characters"));
        }
        entries.insert(key, Some(value));
    }
    if wrong.is_empty() { Ok(entries) } else { Err(violations(&wrong)) }
}

/// What is told of so many entries of custom metadata.
pub(super) fn too_many_entries(number: usize) -> Failed {
    violations(&[format!(
        "payload must contain at most {METADATA_ENTRIES_MAX} keys, provided {number}"
    )])
}

/// Several texts in Vault's layout of errors, each with the prefix that says what they are about.
fn violations(texts: &[String]) -> Failed {
    let items = texts.iter().map(|text| format!("\t* custom_metadata validation failed: {text}\n"));
    let count =
        if texts.len() == 1 { "1 error".to_owned() } else { format!("{} errors", texts.len()) };
    Problem::BadInput.with(&[&format!("{count} occurred:\n{}\n", items.collect::<String>())])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    /// The table of weak types.
    #[test]
    fn weak_types() {
        for (text, number) in [
            ("1", 1),
            ("\"1\"", 1),
            ("\"0x10\"", 16),
            ("true", 1),
            ("null", 0),
            ("\"\"", 0),
            ("-3", -3),
            ("\"010\"", 8),
        ] {
            assert_eq!(int(&raw(text)), Some(number), "{text}");
        }
        for wrong in ["1.0", "1.5", "\"abc\"", "[1]", "{}", "\"--1\"", "\"0x\"", "\"1 \"", "1e3"] {
            assert_eq!(int(&raw(wrong)), None, "{wrong}");
        }
        for (text, value) in [
            ("true", true),
            ("\"true\"", true),
            ("\"T\"", true),
            ("\"1\"", true),
            ("1", true),
            ("0", false),
            ("\"\"", false),
            ("null", false),
        ] {
            assert_eq!(flag(&raw(text)), Some(value), "{text}");
        }
        for wrong in
            ["\"yes\"", "[]", "{}", "1.5", "2", "-1", "1.0", "1e0", "10", "-0", "\"true \""]
        {
            assert_eq!(flag(&raw(wrong)), None, "{wrong}");
        }
        for (text, numbers) in [
            ("[1,2]", vec![1, 2]),
            ("[\"1\",\"2\"]", vec![1, 2]),
            ("\"1,2\"", vec![1, 2]),
            ("\"1\"", vec![1]),
            ("1", vec![1]),
            ("\"\"", vec![]),
            ("[]", vec![]),
            ("[-5]", vec![-5]),
        ] {
            assert_eq!(ints(&raw(text)), Some(numbers), "{text}");
        }
        for wrong in ["\"1, 2\"", "[\"a\"]", "[1.0]", "{}"] {
            assert_eq!(ints(&raw(wrong)), None, "{wrong}");
        }
        assert!(
            map(&raw("null"), "x").unwrap().is_empty() && map(&raw("[]"), "x").unwrap().is_empty()
        );
        assert_eq!(map(&raw(r#"[{"a":1},{"b":2},{"a":3}]"#), "x").unwrap().len(), 2);
        for wrong in ["1", "\"x\"", "true", "[1]"] {
            assert!(map(&raw(wrong), "x").is_err(), "{wrong}");
        }
    }

    #[test]
    fn seconds_for_people() {
        for (seconds, text) in [
            (0, "0s"),
            (90, "1m30s"),
            (1_800, "30m"),
            (9_000 * 3_600, "9000h"),
            (5_400, "1h30m"),
            (17_999, "4h59m59s"),
            (3_601, "1h0m1s"),
        ] {
            assert_eq!(go_seconds(seconds), text);
        }
    }

    #[test]
    fn spans() {
        let seconds = |text: &str| match span(&raw(text)) {
            Some(Span::After(after)) => Some(after.limit_seconds().unwrap_or(0)),
            _ => None,
        };
        for (text, expected) in [
            ("5", 5),
            ("\"5\"", 5),
            ("\"\"", 0),
            ("\"1d\"", 86_400),
            ("\"3h25m19s\"", 12_319),
            ("\"500ms\"", 0),
            ("\"-0s\"", 0),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        assert!(
            matches!(span(&raw("\"-1h\"")), Some(Span::Negative))
                && matches!(span(&raw("-1")), Some(Span::Negative))
        );
        for wrong in ["\"x\"", "[]", "{}", "true", "1.5x"] {
            assert!(
                RawValue::from_string(wrong.to_owned()).is_err() || span(&raw(wrong)).is_none(),
                "{wrong}"
            );
        }
    }
}
