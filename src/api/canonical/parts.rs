//! Parts of values: what a fragment means, on the text of the value.
//!
//! Always holds: what is written leaves all else as it is spelt. Never does: repeat a name or a value in an error.

use std::{collections::BTreeSet, str::from_utf8};

use serde_json::value::RawValue;

use super::{
    super::{
        Failed, Problem, json,
        outline::member::{self, NotAnObject, Removed, Unset},
        value,
    },
    fields::wrong,
};
use crate::{
    model::{Fragment, Invalid},
    service::SecretValue,
};

const TOO_LARGE: &str = "the value is larger than this server takes; split it into several secrets";

/// The value of a whole secret.
pub(super) fn whole(text: &str, bytes_max: usize) -> Result<SecretValue, Failed> {
    if !text.starts_with('{') {
        return Err(Problem::ValueNotObject.into());
    }
    bounded(text.len(), bytes_max)?;
    check(text)?;
    Ok(SecretValue::new(text.as_bytes().to_vec()))
}

fn check(text: &str) -> Result<(), Failed> {
    value::check(text).map_err(unfit)
}

/// What is wrong with a value, which others call data.
fn unfit(Invalid(fault): Invalid) -> Failed {
    let fault = fault.strip_prefix("data ").unwrap_or(fault);
    wrong("value", &format!("what all readers understand; it {fault}"))
}

fn bounded(bytes: usize, bytes_max: usize) -> Result<(), Failed> {
    if bytes > bytes_max { Err(Problem::ValueTooLarge.with(&[TOO_LARGE])) } else { Ok(()) }
}

/// The value of a part: of an object that has nothing but the name by which the part goes, what is there.
pub(super) fn part<'a>(raw: &'a RawValue, fragment: &Fragment) -> Result<&'a RawValue, Failed> {
    check(raw.get())?;
    let object = json::object(raw, Invalid("an object"));
    let members = object.map(json::Object::into_members).unwrap_or_default();
    Ok(match members.as_slice() {
        [(name, inner)] if name == fragment.last() => inner,
        _ => raw,
    })
}

pub(super) fn text(value: &SecretValue) -> &str {
    // A stored value is text; it was text when it was taken.
    from_utf8(value.expose()).unwrap_or("{}")
}

/// The part that is meant.
pub(super) fn get<'v>(value: &'v SecretValue, fragment: &Fragment) -> Result<&'v str, Failed> {
    Ok(member::get(value, fragment).ok_or(Problem::FragmentNotFound)?)
}

/// The value with this part, or a value of nothing else where there is none yet.
pub(super) fn set(
    before: Option<&SecretValue>,
    fragment: &Fragment,
    part: &str,
    bytes_max: usize,
) -> Result<SecretValue, Failed> {
    let none = SecretValue::new(b"{}".to_vec());
    let value =
        member::set(before.unwrap_or(&none), fragment, part).map_err(|unset| match unset {
            Unset::NotAnObject => no_object(),
            Unset::Invalid(invalid) => unfit(invalid),
        })?;
    bounded(value.len(), bytes_max)?;
    Ok(value)
}

/// What is said where something else than an object is in the way.
pub(super) fn no_object() -> Failed {
    const RULE: &str = "the fragment leads through, or to, what is no object";
    Problem::FragmentInvalid.with(&[RULE])
}

/// The value without this part; nothing where that was all of it.
pub(super) fn without(
    value: &SecretValue,
    fragment: &Fragment,
) -> Result<Option<SecretValue>, Failed> {
    match member::remove(value, fragment).map_err(|NotAnObject| no_object())? {
        Removed::Without(left) => Ok(Some(left)),
        Removed::Last => Ok(None),
        Removed::Missing => Err(Problem::FragmentNotFound.into()),
    }
}

/// The names in the value, or in the part of it that is an object.
pub(super) fn names(
    value: &SecretValue,
    fragment: Option<&Fragment>,
) -> Result<BTreeSet<String>, Failed> {
    let names = member::names(value, fragment).map_err(|NotAnObject| no_object())?;
    Ok(names.ok_or(Problem::FragmentNotFound)?)
}
