//! Parameters of queries and members of bodies. What is not known is refused, so that nothing that is misspelt
//! passes in silence.

use std::ops::RangeInclusive;

use serde_json::value::RawValue;

use super::super::{
    Call, Context, Failed, Problem,
    json::{self, Object},
    page, paths, query,
};
use crate::model::{Cas, Invalid, VersionNumber};

/// The most entries of a page.
const LIMIT_MAX: u32 = 1_000;
/// The most entries that are passed over by number.
const OFFSET_MAX: u32 = 10_000;

/// The one value of a query's parameter, where it has one. A plus is a plus.
///
/// # Errors
/// `AmbiguousQuery` where it is given twice.
pub(super) fn parameter(call: &Call, name: &str) -> Result<Option<String>, Failed> {
    Ok(given(call, name)?.filter(|value| !value.is_empty()))
}

/// The same, be it empty: of what chooses among others, nothing is none of them.
pub(super) fn given(call: &Call, name: &str) -> Result<Option<String>, Failed> {
    let found = match *query::written(call.query(), name)? {
        [] => None,
        [value] => Some(value),
        _ => return Err(Problem::AmbiguousQuery.with(&[query::TWICE.0])),
    };
    Ok(found.map(query::decode).transpose()?.map(Into::into))
}

/// A parameter that there must be.
pub(super) fn needed(call: &Call, name: &str) -> Result<String, Failed> {
    parameter(call, name)?.ok_or_else(|| missing(name))
}

pub(super) fn missing(name: &str) -> Failed {
    Problem::MissingField.with(&[name])
}

pub(super) fn wrong(name: &str, rule: &str) -> Failed {
    Problem::InvalidField.with(&[name, rule])
}

/// Yes or no, in no other words than these.
pub(super) fn flag(call: &Call, name: &str) -> Result<bool, Failed> {
    match given(call, name)?.as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(wrong(name, "true or false")),
    }
}

/// A whole number within bounds.
pub(super) fn number(
    call: &Call,
    name: &str,
    bounds: RangeInclusive<u32>,
    rule: &str,
) -> Result<Option<usize>, Failed> {
    let Some(text) = given(call, name)? else { return Ok(None) };
    match query::whole(&text, bounds) {
        Some(number) => Ok(Some(number as usize)),
        None => Err(wrong(name, rule)),
    }
}

/// The version that the query asks for.
pub(super) fn version(call: &Call) -> Result<Option<VersionNumber>, Failed> {
    const RULE: &str = "a version is a whole number from 1 to 24000";
    let Some(text) = given(call, "version")? else { return Ok(None) };
    let number = text.parse().map_err(|_| Problem::InvalidVersion.with(&[RULE]))?;
    Ok(Some(number))
}

/// Where a list goes on.
fn cursor(call: &Call) -> Result<Option<Vec<u8>>, Failed> {
    let text = parameter(call, "cursor")?;
    text.map(page::read).transpose().map_err(|_| wrong_cursor())
}

pub(super) fn wrong_cursor() -> Failed {
    wrong("cursor", "the next_cursor of an answer to the same list; repeat without it")
}

/// Which page is asked for.
pub(super) struct Paging {
    pub(super) limit: usize,
    pub(super) offset: usize,
    pub(super) cursor: Option<Vec<u8>>,
}

impl Paging {
    pub(super) fn of(context: &Context, call: &Call) -> Result<Self, Failed> {
        let limit = number(call, "limit", 1..=LIMIT_MAX, "a whole number from 1 to 1000")?;
        let limit = limit.unwrap_or(context.uris.page_size);
        let offset = number(call, "offset", 0..=OFFSET_MAX, "a whole number from 0 to 10000")?;
        let cursor = cursor(call)?;
        if cursor.is_some() && offset.is_some() {
            let text = "a list goes on by cursor or by offset; give one of them";
            return Err(Problem::AmbiguousQuery.with(&[text]));
        }
        Ok(Self { limit, offset: offset.unwrap_or(0), cursor })
    }
}

/// The members of an object of a body, each taken once.
pub(super) struct Fields<'a>(Object<'a>);

impl<'a> Fields<'a> {
    /// Those of a body.
    pub(super) fn of_body(body: &'a [u8]) -> Result<Self, Failed> {
        let object = Object::from_body(body);
        object.map(Self).map_err(|Invalid(text)| Problem::InvalidJson.with(&[text]))
    }

    /// Those of an object within one.
    pub(super) fn of_raw(raw: &'a RawValue, name: &str) -> Result<Self, Failed> {
        let object = json::object(raw, Invalid("an object"));
        object.map(Self).map_err(|Invalid(rule)| wrong(name, rule))
    }

    /// A member, be it null.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        // One spelling cannot be there twice.
        self.0.take(&[name]).ok().flatten()
    }

    /// A member that is not null, which there must be.
    pub(super) fn needed(&mut self, name: &str) -> Result<&'a RawValue, Failed> {
        json::non_null(self.take(name)).ok_or_else(|| missing(name))
    }

    /// A text that there must be.
    pub(super) fn text(&mut self, name: &str) -> Result<String, Failed> {
        let raw = self.needed(name)?;
        json::text(raw, Invalid("a text")).map_err(|Invalid(rule)| wrong(name, rule))
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, name: &str, default: bool) -> Result<bool, Failed> {
        match json::non_null(self.take(name)) {
            None => Ok(default),
            Some(raw) => json::boolean(raw, Invalid("true or false"))
                .map_err(|Invalid(rule)| wrong(name, rule)),
        }
    }

    /// The version that a writer expects to be current.
    pub(super) fn cas(&mut self) -> Result<Option<Cas>, Failed> {
        const RULE: Invalid =
            Invalid("the current version, a whole number from 0, which is none, to 24000");
        let raw = json::non_null(self.take("cas"));
        let cas = raw.map(|raw| Cas::new(json::number(raw, RULE)?).map_err(|_| RULE)).transpose();
        cas.map_err(|Invalid(rule)| wrong("cas", rule))
    }

    /// Says of what is left that it is not known.
    pub(super) fn finish(self) -> Result<(), Failed> {
        let left = self.0.into_members();
        let Some((name, _)) = left.first() else { return Ok(()) };
        let text = format!("there is no such field here: {}", paths::repeated(name));
        Err(Problem::UnknownField.with(&[&text]))
    }
}
