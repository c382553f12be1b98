//! Vault's rules of precedence once more, as simply as they can be said, to hold the real ones
//! against.

use std::{cmp::Ordering, collections::BTreeMap};

use proptest::prelude::*;

use super::{Acl, Capabilities, Capability, Nobody, Operation, Policy};
use crate::auth::Extent;

/// Blocks of policies: their paths and what they give.
type Blocks = Vec<Vec<(String, Vec<Capability>)>>;

/// All blocks, those of the same path made one: deny wins, else what any gives is given.
struct Naive(BTreeMap<String, Capabilities>);

impl Naive {
    fn of(policies: &Blocks) -> Self {
        let mut all = BTreeMap::<String, Capabilities>::new();
        for (path, given) in policies.iter().flatten() {
            let path = path.strip_prefix('/').unwrap_or(path);
            let merged = all.entry(path.to_owned()).or_default();
            *merged = *merged | Capabilities::of(given);
        }
        for merged in all.values_mut() {
            if merged.contains(Capability::Deny) {
                *merged = Capabilities::of(&[Capability::Deny]);
            }
        }
        Self(all)
    }

    fn decide(&self, path: &str, operation: Operation) -> Option<(&str, Capabilities)> {
        let path = path.trim_start_matches('/');
        let is_list = matches!(operation, Operation::List | Operation::Scan);
        // 1 and 2.
        if let Some(found) = self.exact(path) {
            return Some(found);
        }
        if is_list && let Some(found) = self.exact(path.strip_suffix('/').unwrap_or(path)) {
            return Some(found);
        }
        // 3 and 4.
        self.wild(path).or_else(|| {
            is_list.then(|| path.strip_suffix('/').and_then(|p| self.wild(p))).flatten()
        })
    }

    fn exact(&self, path: &str) -> Option<(&str, Capabilities)> {
        let (pattern, given) = self.0.get_key_value(path)?;
        let is_exact = !has_plus(pattern) && !pattern.ends_with('*');
        is_exact.then_some((pattern, *given))
    }

    fn wild(&self, path: &str) -> Option<(&str, Capabilities)> {
        let fits = |pattern: &str| match (has_plus(pattern), pattern.strip_suffix('*')) {
            (false, None) => false,
            (false, Some(prefix)) => path.starts_with(prefix),
            (true, _) => fits_segments(pattern, path),
        };
        let mut fitting: Vec<_> = self.0.iter().filter(|(pattern, _)| fits(pattern)).collect();
        fitting.sort_by(|(one, _), (other, _)| precedence(one, other));
        fitting.last().map(|(pattern, given)| (pattern.as_str(), **given))
    }
}

fn has_plus(pattern: &str) -> bool {
    pattern == "+" || pattern.starts_with("+/") || pattern.contains("/+")
}

fn fits_segments(pattern: &str, path: &str) -> bool {
    let prefix = pattern.strip_suffix('*');
    let wanted: Vec<_> = prefix.unwrap_or(pattern).split('/').collect();
    let there: Vec<_> = path.split('/').collect();
    let (last, before) = wanted.split_last().unwrap();
    if there.len() < wanted.len() || prefix.is_none() && there.len() > wanted.len() {
        return false;
    }
    let is_before =
        before.iter().zip(&there).all(|(wanted, there)| *wanted == "+" || wanted == there);
    let there = there[wanted.len() - 1];
    is_before
        && if prefix.is_some() { there.starts_with(last) } else { *last == "+" || *last == there }
}

/// The greater one decides.
fn precedence(one: &str, other: &str) -> Ordering {
    let first = |pattern: &str| {
        let stripped = pattern.strip_suffix('*').unwrap_or(pattern);
        if has_plus(pattern) { stripped.find('+').unwrap() } else { stripped.len() }
    };
    if first(one) != first(other) {
        return first(one).cmp(&first(other));
    }
    match (one.strip_suffix('*'), other.strip_suffix('*')) {
        (Some(_), None) => return Ordering::Less,
        (None, Some(_)) => return Ordering::Greater,
        _ => {}
    }
    let pluses = |pattern: &str| pattern.split('/').filter(|segment| *segment == "+").count();
    if pluses(one) != pluses(other) {
        return pluses(other).cmp(&pluses(one));
    }
    if one.len() != other.len() {
        return one.len().cmp(&other.len());
    }
    one.cmp(other)
}

fn hcl(blocks: &[(String, Vec<Capability>)]) -> String {
    let block = |(path, given): &(String, Vec<Capability>)| {
        let words: Vec<_> = given.iter().map(|capability| capability.word()).collect();
        format!("path {path:?} {{ capabilities = {words:?} }}")
    };
    blocks.iter().map(block).collect::<Vec<_>>().join("\n")
}

fn acl(policies: &Blocks) -> Acl {
    let parsed: Vec<_> =
        policies.iter().map(|blocks| Policy::parse(&hcl(blocks)).unwrap()).collect();
    Acl::of(parsed.iter().map(|policy| ("p", policy)), &Nobody)
}

/// Patterns that often fit the same paths, with and without a slash at either end.
fn pattern() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        5 => Just("a"), 1 => Just("b"), 2 => Just("ab"), 1 => Just("("), 8 => Just("+"),
        1 => Just("+a"), 1 => Just("a+"), 1 => Just(""),
    ];
    let segments = prop_oneof![
        1 => prop::collection::vec(segment.clone(), 1..3),
        2 => prop::collection::vec(segment, 3..=3),
    ];
    let end = prop_oneof![4 => Just(""), 2 => Just("*"), 2 => Just("/*"), 1 => Just("/")];
    let start = prop_oneof![9 => Just(""), 1 => Just("/")];
    let long = (start, segments, end)
        .prop_map(|(start, segments, end)| format!("{start}{}{end}", segments.join("/")))
        .prop_map(|pattern| pattern.replace("+*", "+/*"));
    prop_oneof![12 => long, 1 => Just("*".to_owned()), 1 => Just("a*".to_owned())]
}

fn policies() -> impl Strategy<Value = Blocks> {
    let capability = prop_oneof![
        3 => Just(Capability::Read), 3 => Just(Capability::List), 1 => Just(Capability::Update),
        1 => Just(Capability::Scan), 1 => Just(Capability::Deny),
    ];
    let given = prop::collection::vec(capability, 0..3);
    prop::collection::vec(prop::collection::vec((pattern(), given), 0..10), 1..4)
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        6 => Just("a"), 1 => Just("b"), 3 => Just("ab"), 1 => Just("("), 1 => Just("+a"),
        1 => Just(""),
    ];
    let segments = prop_oneof![
        1 => prop::collection::vec(segment.clone(), 1..5),
        2 => prop::collection::vec(segment, 3..=3),
    ];
    segments.prop_map(|segments| segments.join("/"))
}

const OPERATIONS: [Operation; 4] =
    [Operation::Read, Operation::List, Operation::Scan, Operation::Update];

/// All texts of at most so many characters of those that the patterns are made of.
fn continuations(most: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut from = 0;
    for _ in 0..most {
        let to = all.len();
        for at in from..to {
            for c in ['a', 'b', '/', '+'] {
                let longer = format!("{}{c}", all[at]);
                all.push(longer);
            }
        }
        from = to;
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// The table of patterns decides as the rules say, and by the same block.
    #[test]
    fn decides_as_the_rules_say(policies in policies(), paths in prop::collection::vec(path(), 8)) {
        let (naive, acl) = (Naive::of(&policies), acl(&policies));
        for path in paths {
            for operation in OPERATIONS {
                let decision = acl.decide(&path, operation);
                let found = decision.ruling().map(super::Ruling::path);
                let expected = naive.decide(&path, operation);
                prop_assert_eq!(
                    found.as_deref(), expected.map(|(pattern, _)| pattern),
                    "{:?} {:?}", path, operation
                );
                let given = expected.map(|(_, given)| given).unwrap_or_default();
                prop_assert_eq!(decision.capabilities(), given);
                prop_assert_eq!(decision.is_allowed(), given.contains(operation.capability()));
                prop_assert_eq!(decision.denies_explicitly(), given.contains(Capability::Deny));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Of nothing and of everything there is no exception.
    #[test]
    fn folders_are_skipped_and_taken_whole_without_exception(
        policies in policies(),
        path in path(),
        cut in 0..9_usize,
    ) {
        let prefix = path.get(..cut.min(path.len())).unwrap();
        let (naive, acl) = (Naive::of(&policies), acl(&policies));
        for operation in OPERATIONS {
            let capability = operation.capability();
            let (extent, denied) = (acl.below(prefix, capability), acl.below(prefix, Capability::Deny));
            for continuation in continuations(4) {
                let path = format!("{prefix}{continuation}");
                let decided = naive.decide(&path, operation);
                let given = decided.map(|(_, given)| given).unwrap_or_default();
                for (extent, has) in [
                    (extent, given.contains(capability)),
                    (denied, given.contains(Capability::Deny)),
                ] {
                    match extent {
                        Extent::Nothing => prop_assert!(!has, "{path:?} {operation:?} {decided:?}"),
                        Extent::Everything => prop_assert!(has, "{path:?} {operation:?} {decided:?}"),
                        Extent::Some => {}
                    }
                }
            }
        }
    }
}
