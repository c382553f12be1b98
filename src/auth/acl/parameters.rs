//! What a block asks of a request beyond its path: parameters and wrapping.
//!
//! Always holds: values are compared as they would be understood, so that a denied one is not let
//! in by another spelling; a bound that one of two merged blocks has, both have.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Capability, Operation};

/// A parameter of a request.
#[derive(Clone, Copy)]
pub enum Given<'a> {
    /// Text, as of a query.
    Text(&'a str),
    /// A value in JSON. Read only where a block lists values for its key.
    Json(&'a str),
    /// The same of one that is taken for a list of texts, and what it is taken for.
    List {
        /// The value.
        json: &'a str,
        /// The texts.
        parts: &'a [String],
    },
}

/// Why a request that has the capability is refused all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A required parameter is missing.
    #[error("the policy requires a parameter that is not there")]
    Required,
    /// A parameter is denied, or its value is.
    #[error("the policy denies a parameter or its value")]
    Denied,
    /// A parameter is not among the allowed ones, or its value is not.
    #[error("the policy does not allow a parameter or its value")]
    NotAllowed,
    /// The answer is not to be wrapped, or for longer or shorter than allowed.
    #[error("the policy bounds the time for which the answer is to be wrapped")]
    Wrapping,
}

/// The values listed for each parameter, under names in lower case; an empty list stands for any
/// value, and the name `*` for any parameter.
pub(super) type Listed = BTreeMap<String, Vec<Value>>;

/// What is known of a request beside its path, where it is asked what blocks give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Carried {
    /// Nothing: a block that asks for something gives nothing.
    Nothing,
    /// For how many seconds its answer is to be wrapped, and nothing of its parameters.
    Wrapping(u64),
    /// It has whatever is asked for.
    Anything,
}

/// What one block asks, or several of the same path.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Conditions {
    pub(super) allowed: Listed,
    pub(super) denied: Listed,
    /// In lower case.
    pub(super) required: BTreeSet<String>,
    /// In seconds.
    pub(super) min_wrapping: Option<u64>,
    /// In seconds.
    pub(super) max_wrapping: Option<u64>,
}

impl Conditions {
    /// Takes in those of another block with the same path.
    pub(super) fn merge(&mut self, other: &Self) {
        merge_listed(&mut self.allowed, &other.allowed);
        merge_listed(&mut self.denied, &other.denied);
        self.required.extend(other.required.iter().cloned());
        for (bound, others) in [
            (&mut self.min_wrapping, other.min_wrapping),
            (&mut self.max_wrapping, other.max_wrapping),
        ] {
            *bound = match (*bound, others) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
    }

    /// Whether they ask anything of what takes `capability`.
    pub(super) fn are_about(&self, capability: Capability) -> bool {
        let bounds_wrapping = self.min_wrapping.is_some() || self.max_wrapping.is_some();
        capability != Capability::Deny && bounds_wrapping || self.ask_parameters_of(capability)
    }

    /// Whether a request that takes `capability` has for sure what they ask of it.
    pub(super) fn hold(&self, capability: Capability, carried: Carried) -> bool {
        match carried {
            Carried::Nothing => !self.are_about(capability),
            Carried::Wrapping(seconds) => {
                capability == Capability::Deny
                    || !self.ask_parameters_of(capability)
                        && self.check_wrapping(Some(seconds)).is_ok()
            }
            Carried::Anything => true,
        }
    }

    /// Whether they ask for parameters of what takes `capability`.
    fn ask_parameters_of(&self, capability: Capability) -> bool {
        let is_free = self.allowed.is_empty() && self.denied.is_empty() && self.required.is_empty();
        let has_parameters = !matches!(
            capability,
            Capability::List
                | Capability::Scan
                | Capability::Delete
                | Capability::Sudo
                | Capability::Deny
        );
        has_parameters && !is_free
    }

    /// Whether a request fits that has these parameters, and whose answer is to be wrapped for so
    /// many seconds.
    pub(super) fn check(
        &self,
        operation: Operation,
        given: &[(&str, Given<'_>)],
        wrapped_for: Option<u64>,
    ) -> Result<(), Unfit> {
        self.check_wrapping(wrapped_for)?;
        if !operation.has_parameters() {
            return Ok(());
        }
        if !self.required.iter().all(|name| given.iter().any(|(given, _)| given == name)) {
            return Err(Unfit::Required);
        }
        if given.is_empty() {
            return Ok(());
        }
        if self.denied.contains_key("*") {
            return Err(Unfit::Denied);
        }
        for (name, value) in given {
            let values = self.denied.get(&name.to_lowercase());
            if values.is_some_and(|values| values.is_empty() || value.may_be_among(values)) {
                return Err(Unfit::Denied);
            }
        }
        let any = self.allowed.contains_key("*");
        if self.allowed.is_empty() || any && self.allowed.len() == 1 {
            return Ok(());
        }
        for (name, value) in given {
            let fits = match self.allowed.get(&name.to_lowercase()) {
                Some(values) => values.is_empty() || value.is_among(values),
                None => any,
            };
            if !fits {
                return Err(Unfit::NotAllowed);
            }
        }
        Ok(())
    }

    /// Bounds that exclude each other, as blocks may have that were merged, refuse everything.
    fn check_wrapping(&self, wrapped_for: Option<u64>) -> Result<(), Unfit> {
        let within = |seconds| {
            self.min_wrapping.is_none_or(|min| min <= seconds)
                && self.max_wrapping.is_none_or(|max| seconds <= max)
        };
        let is_free = self.min_wrapping.is_none() && self.max_wrapping.is_none();
        if is_free || wrapped_for.is_some_and(within) { Ok(()) } else { Err(Unfit::Wrapping) }
    }
}

fn merge_listed(listed: &mut Listed, others: &Listed) {
    for (name, values) in others {
        match listed.get_mut(name) {
            None => {
                listed.insert(name.clone(), values.clone());
            }
            // Any value stays any value.
            Some(listed) if listed.is_empty() || values.is_empty() => listed.clear(),
            Some(listed) => listed.extend(values.iter().cloned()),
        }
    }
}

impl Given<'_> {
    /// Whether it is one of `values` for sure. Where it is a text with commas that is not listed as it
    /// is, each part is one of them, too: `a*` does not stand for `a,b`.
    fn is_among(self, values: &[Value]) -> bool {
        let Some(given) = self.read() else { return false };
        let is_listed = |given: &Value| values.iter().any(|listed| matches(listed, given));
        let each_is_listed = || match (self, &given) {
            (Self::List { parts, .. }, Value::String(_)) => {
                let listed_as_it_is = values.contains(&given);
                listed_as_it_is || parts.iter().all(|part| is_listed(&Value::String(part.clone())))
            }
            _ => true,
        };
        is_listed(&given) && each_is_listed()
    }

    /// Whether it is one of `values`, or might be taken for one: `"1"` for `1`; or one of its parts is.
    fn may_be_among(self, values: &[Value]) -> bool {
        if let Self::List { parts, .. } = self
            && parts.iter().any(|part| Self::Text(part).may_be_among(values))
        {
            return true;
        }
        let Some(given) = self.read() else { return true };
        values.iter().any(|listed| {
            let spelled_alike =
                || spelled(listed).is_some_and(|text| spelled(&given) == Some(text));
            matches(listed, &given) || spelled_alike()
        })
    }

    fn read(self) -> Option<Value> {
        match self {
            Self::Text(text) => Some(Value::String(text.to_owned())),
            Self::Json(text) | Self::List { json: text, .. } => serde_json::from_str(text).ok(),
        }
    }
}

/// Text may have `*` at either end of what is listed; all else is equal or not.
fn matches(listed: &Value, given: &Value) -> bool {
    match (listed, given) {
        (Value::String(pattern), Value::String(text)) => is_like(pattern, text),
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64().is_some_and(|one| other.as_f64() == Some(one))
        }
        (Value::Array(some), Value::Array(others)) => {
            some.len() == others.len()
                && some.iter().zip(others).all(|(one, other)| is_equal(one, other))
        }
        (Value::Object(some), Value::Object(others)) => {
            some.len() == others.len()
                && some
                    .iter()
                    .all(|(name, one)| others.get(name).is_some_and(|other| is_equal(one, other)))
        }
        _ => listed == given,
    }
}

/// Within lists and objects `*` is a character like others.
fn is_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::String(one), Value::String(other)) => one == other,
        _ => matches(one, other),
    }
}

fn is_like(pattern: &str, text: &str) -> bool {
    if pattern == "*" {
        return text == pattern;
    }
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), Some(_)) => text.contains(end.strip_suffix('*').unwrap_or(end)),
        (Some(end), None) => text.ends_with(end),
        (None, Some(start)) => text.starts_with(start),
        (None, None) => text == pattern,
    }
}

fn spelled(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("null".to_owned()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}
