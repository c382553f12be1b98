//! Parts of values once more, over parsed trees, to hold the real ones against; and that no byte
//! changes but those that must.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    super::value,
    member::{self, NotAnObject, Removed, Unset},
};
use crate::{model::Fragment, service::SecretValue};

/// Whether the part that `fragment` means in the object `text` is read, set to `part` and removed as
/// in a tree. Both are well-formed JSON text.
pub(crate) fn check_member(text: &str, fragment: &Fragment, part: &str) {
    let (Ok(tree), Ok(new)) = (serde_json::from_str::<Value>(text), serde_json::from_str(part))
    else {
        return;
    };
    let (value, steps) = (SecretValue::new(text.as_bytes().to_vec()), fragment.steps());
    let before = member::get(&value, fragment);
    assert_eq!(before.and_then(parsed).as_ref(), get(&tree, steps), "{text}");
    assert_eq!(before.is_some(), get(&tree, steps).is_some());
    check_names(&value, None, Some(&tree));
    check_names(&value, Some(fragment), get(&tree, steps));

    let mut after = tree.clone();
    let is_right = match (member::set(&value, fragment, part), set(&mut after, steps, new)) {
        (Ok(done), is_right) => {
            let done = std::str::from_utf8(done.expose()).unwrap_or_default();
            assert_eq!(parsed(done), Some(after), "{text}");
            match before {
                Some(before) => {
                    let start = before.as_ptr().addr() - value.expose().as_ptr().addr();
                    let (head, tail) = text.split_at(start);
                    let tail = tail.strip_prefix(before).unwrap_or_default();
                    assert_eq!(done, format!("{head}{part}{tail}"));
                }
                None => assert_eq!(kept(text, done), text.len(), "{text} {done}"),
            }
            check_others(&value, done, steps);
            is_right
        }
        (Err(Unset::NotAnObject), is_right) => !is_right,
        (Err(Unset::Invalid(_)), is_right) => is_right,
    };
    assert!(is_right, "set in {text}");

    let mut after = tree.clone();
    let is_right = match (member::remove(&value, fragment), remove(&mut after, steps)) {
        (Ok(Removed::Without(left)), done) => {
            let left = std::str::from_utf8(left.expose()).unwrap_or_default();
            assert_eq!(parsed(left), Some(after), "{text}");
            // Of a name that is there twice more than one piece goes.
            if value::check(text).is_ok() {
                assert_eq!(kept(left, text), left.len(), "{text} {left}");
            }
            check_others(&value, left, steps);
            done == Ok(true)
        }
        (Ok(Removed::Last), done) => {
            done == Ok(true) && steps.len() == 1 && after == Value::from(Map::new())
        }
        (Ok(Removed::Missing), done) => done == Ok(false),
        (Err(NotAnObject), done) => done == Err(NotAnObject),
    };
    assert!(is_right, "removed from {text}");
}

/// How many bytes of the shorter one are at the begin and at the end of the longer one.
fn kept(shorter: &str, longer: &str) -> usize {
    let (short, long) = (shorter.as_bytes(), longer.as_bytes());
    let head = short.iter().zip(long).take_while(|(a, b)| a == b).count();
    let rest = short.get(head..).unwrap_or_default();
    head + rest.iter().rev().zip(long.iter().rev()).take_while(|(a, b)| a == b).count()
}

/// That the texts of all other members are as they were.
fn check_others(before: &SecretValue, after: &str, steps: &[String]) {
    let after = SecretValue::new(after.as_bytes().to_vec());
    for name in member::names(before, None).ok().flatten().unwrap_or_default() {
        if steps.first() != Some(&name) {
            let other = Fragment::of(vec![name]);
            assert_eq!(member::get(before, &other), member::get(&after, &other));
        }
    }
}

fn check_names(value: &SecretValue, fragment: Option<&Fragment>, tree: Option<&Value>) {
    let names = match tree {
        None => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members.keys().cloned().collect::<BTreeSet<_>>())),
        Some(_) => Err(NotAnObject),
    };
    assert_eq!(member::names(value, fragment), names);
}

fn parsed(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

fn get<'v>(tree: &'v Value, steps: &[String]) -> Option<&'v Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(tree) };
    let is_index = step.parse::<usize>().is_ok_and(|index| index.to_string() == *step);
    let next = match tree {
        Value::Object(members) => members.get(step),
        Value::Array(elements) if is_index => elements.get(step.parse::<usize>().ok()?),
        _ => None,
    };
    get(next?, rest)
}

fn set(tree: &mut Value, steps: &[String], part: Value) -> bool {
    match (steps.split_first(), tree) {
        (None, place) => {
            *place = part;
            true
        }
        (Some((step, rest)), Value::Object(members)) => {
            let new = if rest.is_empty() { Value::Null } else { Map::new().into() };
            set(members.entry(step).or_insert(new), rest, part)
        }
        _ => false,
    }
}

/// Whether there was something to remove.
fn remove(tree: &mut Value, steps: &[String]) -> Result<bool, NotAnObject> {
    match (steps, tree) {
        (_, Value::Array(_)) => Err(NotAnObject),
        ([step], Value::Object(members)) => Ok(members.remove(step).is_some()),
        ([step, rest @ ..], Value::Object(members)) => {
            members.get_mut(step).map_or(Ok(false), |next| remove(next, rest))
        }
        _ => Ok(false),
    }
}
