//! Fields of bodies, all of whose faults are told at once, and parameters of queries.

use serde_json::value::RawValue;

use super::super::{
    Call, Failed, Problem,
    json::{self, Object},
    query,
};
use crate::model::{Faults, Invalid, Span, Timestamp};

/// The members of an object, each taken once; what is left was not understood.
pub(super) struct Fields<'a> {
    object: Object<'a>,
    /// What their names begin with where they are told: `options.`.
    prefix: &'static str,
}

impl<'a> Fields<'a> {
    /// Those of a body.
    pub(super) fn of_body(body: &'a [u8]) -> Result<Self, Failed> {
        Ok(Self { object: Object::from_body(body)?, prefix: "" })
    }

    /// Those of a member that is an object.
    pub(super) fn of_member(
        raw: &'a RawValue,
        prefix: &'static str,
        faults: &mut Faults,
    ) -> Option<Self> {
        let name = prefix.trim_end_matches('.');
        let object = faults.of(name, json::object(raw, Invalid("an object")))?;
        Some(Self { object, prefix })
    }

    /// The member `name`, be it null.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        // One spelling cannot be there twice.
        self.object.take(&[name]).ok().flatten()
    }

    /// The full name of a member.
    pub(super) fn named(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A member that may be null, which clears: nothing where it is not there.
    #[expect(clippy::option_option, reason = "it is not there, it is null, or it says something")]
    pub(super) fn clearable<T>(
        &mut self,
        name: &'static str,
        faults: &mut Faults,
        read: impl FnOnce(&RawValue) -> Result<T, Invalid>,
    ) -> Option<Option<T>> {
        let raw = self.take(name)?;
        if raw.get() == "null" {
            return Some(None);
        }
        faults.of(self.named(name), read(raw)).map(Some)
    }

    /// Says of all that is left that it is not known.
    pub(super) fn finish(self, faults: &mut Faults) {
        for (name, _) in self.object.into_members() {
            faults.add(format!("{}{}", self.prefix, repeated(&name)), "no such field");
        }
    }

    /// All that is left, by name.
    pub(super) fn rest(self) -> Vec<(String, &'a RawValue)> {
        self.object.into_members()
    }
}

/// A name that somebody has sent, as it is repeated: if it is one that people type.
pub(in super::super) fn repeated(name: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if name.len() <= 64 && name.bytes().all(is_plain) { name } else { "?" }
}

/// What a truth value is to be.
pub(super) const YES_OR_NO: Invalid = Invalid("true or false");

/// What tags are to be.
pub(super) const TAGS_RULE: &str = "at most 32 texts of 1 to 64 printable bytes";

/// A text.
pub(super) fn text(raw: &RawValue) -> Result<String, Invalid> {
    json::text(raw, Invalid("a text"))
}

/// A span of time, whose text has a code of its own where it is none.
pub(super) fn span(raw: &RawValue) -> Result<Span, Failed> {
    let text = json::text(raw, Invalid("")).map_err(|_| Problem::BadDuration)?;
    Ok(text.parse().map_err(|_| Problem::BadDuration)?)
}

/// A moment.
pub(super) fn moment(raw: &RawValue) -> Result<Timestamp, Invalid> {
    const WRONG: Invalid = Invalid("a moment such as 2026-12-31T00:00:00Z");
    Timestamp::from_rfc3339(&json::text(raw, WRONG)?).ok_or(WRONG)
}

/// The one value of a query's parameter.
pub(super) fn parameter(call: &Call, name: &str) -> Result<Option<String>, Failed> {
    Ok(query::parameter(call.query(), name)?.map(Into::into))
}

/// A yes or no in a query.
pub(super) fn flag(call: &Call, name: &str) -> Result<bool, Failed> {
    Ok(query::flag(call.query(), name)?)
}

/// A moment in a query.
pub(super) fn query_moment(call: &Call, name: &str) -> Result<Option<Timestamp>, Failed> {
    const WRONG: Invalid =
        Invalid("a parameter must be a moment such as 2026-12-31T00:00:00Z, escaped for a URL");
    let text = parameter(call, name)?;
    Ok(text.map(|text| Timestamp::from_rfc3339(&text).ok_or(WRONG)).transpose()?)
}

/// A whole number in a query that lies in a range.
pub(super) fn number(
    call: &Call,
    name: &'static str,
    (least, most, default): (u32, u32, u32),
    rule: &'static str,
) -> Result<u32, Failed> {
    let Some(text) = parameter(call, name)? else { return Ok(default) };
    query::whole(&text, least..=most).ok_or_else(|| Faults::one(name, rule).into())
}
