//! Vault's rules of precedence once more, as simply as they can be said, to hold the real ones
//! against. Lists are held against them, too (`service::tests::lists`).

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::{
    Acl, Addressed, Capabilities, Capability, Carried, Door, InVault, Mounts, Nobody, Operation,
    Policy,
};
use crate::{
    auth::{Action, Extent, Resource, patterns::Verdict},
    model::{DomainConfig, SecretPath, Settings},
};

/// For how many seconds an answer is to be wrapped at least, and at most.
pub(crate) type Bounds = (Option<u64>, Option<u64>);
/// A block of a policy: its path, what it gives, and what it asks of wrapping.
pub(crate) type Block = (String, Vec<Capability>, Bounds);
/// Blocks of policies.
pub(crate) type Blocks = Vec<Vec<Block>>;

/// All blocks, those of the same path made one: deny wins, else what any gives is given, and the least
/// of each bound is its.
pub(crate) struct Naive(BTreeMap<String, (Capabilities, Bounds)>);

impl Naive {
    pub(crate) fn of(policies: &Blocks) -> Self {
        let mut all = BTreeMap::<String, (Capabilities, Bounds)>::new();
        let least = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
        for (path, given, bounds) in policies.iter().flatten() {
            let path = path.strip_prefix('/').unwrap_or(path);
            let (merged, merged_bounds) = all.entry(path.to_owned()).or_default();
            *merged = *merged | Capabilities::of(given);
            if !given.contains(&Capability::Deny) {
                let (min, max) = *merged_bounds;
                *merged_bounds = (least(min, bounds.0), least(max, bounds.1));
            }
        }
        for (merged, bounds) in all.values_mut() {
            if merged.contains(Capability::Deny) {
                *merged = Capabilities::of(&[Capability::Deny]);
                *bounds = (None, None);
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
        let (pattern, (given, _)) = self.0.get_key_value(path)?;
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
        fitting.last().map(|(pattern, (given, _))| (pattern.as_str(), *given))
    }

    /// Whether an operation has its capability at a path, where the answer is to be wrapped for so long.
    fn gives(&self, path: &str, operation: Operation, wrapped_for: Option<u64>) -> bool {
        self.decide(path, operation).is_some_and(|(pattern, given)| {
            given.contains(operation.capability()) && is_within(self.0[pattern].1, wrapped_for)
        })
    }
}

fn is_within(bounds: Bounds, wrapped_for: Option<u64>) -> bool {
    match (bounds, wrapped_for) {
        ((None, None), _) => true,
        (_, None) => false,
        ((min, max), Some(seconds)) => {
            min.unwrap_or(0) <= seconds && seconds <= max.unwrap_or(u64::MAX)
        }
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

/// The text of a policy of these blocks.
pub(crate) fn hcl(blocks: &[Block]) -> String {
    let block = |(path, given, (min, max)): &Block| {
        let words: Vec<_> = given.iter().map(|capability| capability.word()).collect();
        let bound = |name: &str, bound: &Option<u64>| {
            bound.map(|seconds| format!(" {name}_wrapping_ttl = {seconds}")).unwrap_or_default()
        };
        let (min, max) = (bound("min", min), bound("max", max));
        format!("path {path:?} {{ capabilities = {words:?}{min}{max} }}")
    };
    blocks.iter().map(block).collect::<Vec<_>>().join("\n")
}

fn acl(policies: &Blocks) -> Acl {
    let parsed: Vec<_> =
        policies.iter().map(|blocks| Policy::parse(&hcl(blocks)).unwrap()).collect();
    Acl::of(parsed.iter().map(|policy| ("p", policy, &Nobody)))
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

/// What few blocks ask of wrapping, and most do not.
pub(crate) fn bounds() -> impl Strategy<Value = Bounds> {
    prop_oneof![
        8 => Just((None, None)), 1 => Just((Some(10), Some(60))), 1 => Just((None, Some(60))),
        1 => Just((Some(100), None)),
    ]
}

/// For how long answers are asked to be wrapped: not at all, and within some bounds and others.
pub(crate) const WRAPPED: [Option<u64>; 3] = [None, Some(30), Some(300)];

fn carried(wrapped_for: Option<u64>) -> Carried {
    wrapped_for.map_or(Carried::Nothing, Carried::Wrapping)
}

fn policies() -> impl Strategy<Value = Blocks> {
    let capability = prop_oneof![
        3 => Just(Capability::Read), 3 => Just(Capability::List), 1 => Just(Capability::Update),
        1 => Just(Capability::Scan), 1 => Just(Capability::Deny),
    ];
    let given = prop::collection::vec(capability, 0..3);
    let block = (pattern(), given, bounds());
    prop::collection::vec(prop::collection::vec(block, 0..10), 1..4)
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
        for (operation, wrapped_for) in
            OPERATIONS.iter().flat_map(|one| WRAPPED.map(|wrapped_for| (*one, wrapped_for)))
        {
            let below = |capability| acl.below(prefix, capability, carried(wrapped_for));
            let (extent, denied) = (below(operation.capability()), below(Capability::Deny));
            let at_best = acl.below(prefix, operation.capability(), Carried::Anything);
            for continuation in continuations(4) {
                let path = format!("{prefix}{continuation}");
                let decided = naive.decide(&path, operation);
                let has = naive.gives(&path, operation, wrapped_for);
                prop_assert!(!has || at_best != Extent::Nothing, "{path:?} {operation:?}");
                for (extent, has) in [
                    (extent, has),
                    (denied, naive.denies(&path, operation)),
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

/// Patterns of a tenant's mounts: `secret`, `ibmcloud/kv`, and `m`, which shows what is below `a/`.
fn mounted_pattern() -> impl Strategy<Value = String> {
    let mount =
        prop_oneof![4 => Just("secret"), 1 => Just("ibmcloud/kv"), 4 => Just("m"), 1 => Just("+")];
    let word = prop_oneof![4 => Just("metadata"), 4 => Just("data"), 1 => Just("+")];
    let segment = prop_oneof![4 => Just("a"), 3 => Just("b"), 2 => Just("+")];
    let end = prop_oneof![3 => Just(""), 3 => Just("/*"), 1 => Just("/")];
    let long = (mount, word, prop::collection::vec(segment, 0..3), end).prop_map(
        |(mount, word, segments, end)| {
            let segments: String = segments.iter().flat_map(|segment| ["/", segment]).collect();
            format!("{mount}/{word}{segments}{end}")
        },
    );
    prop_oneof![9 => long, 1 => Just("*".to_owned()), 1 => Just("m/*".to_owned())]
}

/// At most so many policies that speak of the same secrets.
pub(crate) fn mounted_policies(most: usize) -> impl Strategy<Value = Blocks> {
    let capability = prop_oneof![
        3 => Just(Capability::Read), 3 => Just(Capability::List), 1 => Just(Capability::Scan),
        1 => Just(Capability::Delete), 2 => Just(Capability::Deny),
    ];
    let given = prop::collection::vec(capability, 1..3);
    let block = (mounted_pattern(), given, bounds());
    prop::collection::vec(prop::collection::vec(block, 0..8), 1..=most)
}

/// Mounts: their names, and what the paths of all that they show begin with.
pub(crate) type Shown = Vec<(String, String)>;

impl Naive {
    /// What each address of a secret says of an action, one after the other: whether it is allowed,
    /// where any of them says so. What a list shows is asked for with its wrapping, and all else
    /// elsewhere, where there is none.
    pub(crate) fn says(
        &self,
        mounts: &Shown,
        action: Action,
        path: &str,
        wrapped_for: Option<u64>,
    ) -> Option<bool> {
        let wrapped_for = wrapped_for.filter(|_| action == Action::SecretList);
        let (word, operations): (_, &[Operation]) = match action {
            Action::SecretList => ("metadata", &[Operation::List, Operation::Scan]),
            Action::SecretGet => ("metadata", &[Operation::Read]),
            Action::SecretDelete => ("metadata", &[Operation::Delete]),
            Action::VersionCreate => ("data", &[Operation::Update]),
            _ => ("data", &[Operation::Read]),
        };
        let mut is_allowed = None;
        for (mount, shown) in mounts {
            let Some(name) = path.strip_prefix(&**shown) else { continue };
            let name = match (action, name.rsplit_once('/')) {
                (Action::SecretList, Some((folder, _))) => format!("{folder}/"),
                (Action::SecretList, None) => String::new(),
                _ => name.to_owned(),
            };
            for operation in operations {
                let address = format!("{mount}/{word}/{name}");
                if self.denies(&address, *operation) {
                    return Some(false);
                }
                if self.gives(&address, *operation, wrapped_for) {
                    is_allowed = Some(true);
                }
            }
        }
        is_allowed
    }

    /// Whether an operation is denied at an address, in so many words.
    pub(crate) fn denies(&self, address: &str, operation: Operation) -> bool {
        let given = self.decide(address, operation).map(|(_, given)| given);
        given.unwrap_or_default().contains(Capability::Deny)
    }
}

fn verdict(is_allowed: Option<bool>) -> Verdict {
    match is_allowed {
        None => Verdict::Silent,
        Some(true) => Verdict::Allowed,
        Some(false) => Verdict::Denied,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// All addresses of a secret speak of it; what is said of folders of the tree has no exception.
    #[test]
    fn the_tree_is_judged_through_its_mounts(
        policies in mounted_policies(2),
        prefix in "([ab]/){0,2}[ab]?",
        wrapped_for in prop::sample::select(WRAPPED.to_vec()),
    ) {
        let (naive, acl) = (Naive::of(&policies), acl(&policies));
        let shown = shown();
        let mounts = Arc::new(Mounts::of(&mounts()));
        let in_vault = InVault::new(acl, mounts);
        // At an address of which no block speaks.
        let elsewhere = Addressed {
            path: String::new(), operation: Operation::List, is_put: false, needs_sudo: false, wrapped_for,
        };
        let door = match wrapped_for {
            None => Door::Other,
            Some(_) => Door::Vault { asked: &elsewhere, is_fit: false },
        };
        let actions =
            [Action::SecretList, Action::SecretGet, Action::SecretDelete, Action::VersionGetData];
        for action in actions {
            let (allowed, denied) = in_vault.extents(action, &prefix, door);
            for continuation in continuations(4) {
                let Ok(path) = format!("{prefix}{continuation}").parse::<SecretPath>() else {
                    continue;
                };
                let expected = verdict(naive.says(&shown, action, path.as_str(), wrapped_for));
                let says = in_vault.says(action, Resource::Secret(&path), door);
                prop_assert_eq!(says, expected, "{:?} {}", action, path.as_str());
                for (extent, has) in [
                    (denied, expected == Verdict::Denied),
                    (allowed, expected == Verdict::Allowed),
                ] {
                    match extent {
                        // Where something is denied as well, what is allowed is not.
                        Extent::Everything if expected != Verdict::Denied => {
                            prop_assert!(has, "{action:?} {path:?} of {prefix:?}");
                        }
                        Extent::Nothing => prop_assert!(!has, "{action:?} {path:?} of {prefix:?}"),
                        _ => {}
                    }
                }
            }
        }
    }
}

/// What the mounts of [`mounts`] show, and those that are always there.
pub(crate) fn shown() -> Shown {
    let shown = [("secret", ""), ("ibmcloud/kv", ""), ("m", "a/")];
    shown.map(|(mount, shown)| (mount.to_owned(), shown.to_owned())).to_vec()
}

/// A domain with a mount `m`, which shows what is below `a/`.
pub(crate) fn mounts() -> DomainConfig {
    let mount = crate::model::Mount {
        path: "m".parse().unwrap(),
        below: "a".parse().unwrap(),
        moved: None,
        description: String::new(),
        uuid: [0; 16],
        settings: Settings::default(),
    };
    DomainConfig::from_stored(Settings::default(), String::new(), vec![mount]).unwrap()
}
