//! The policies in Vault's language of a tenant, put together for whoever names some of them.
//!
//! Always holds: what was put together is shared by all who name the same, and is bounded, in one and in
//! sum; who names more than that may do nothing. Never does: decide who names what.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rpds::HashTrieMapSync;

use super::{
    acl::{self, Acl, Facts, InVault, Mounts},
    cert_rule::Rule,
    rules::Rules,
};

/// So many segments of paths are kept in what is put together, for those that were asked for: some 400
/// bytes each.
const SEGMENTS_MAX: usize = 65_536;
/// The most of one: who has policies with more may do nothing.
const SEGMENTS_MAX_OF_ONE: usize = 32_768;

/// Who names policies in Vault's language.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Namer {
    /// Rules, by their places.
    Rules(Arc<[u32]>),
    /// A user, and the policies that it has.
    User(Arc<str>, Arc<[String]>),
    /// A token that is narrowed to these policies.
    Bearer(Bearer, Arc<[String]>),
}

/// Whose token it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Bearer {
    /// A user's.
    User(Arc<str>),
    /// That of a certificate which fits the rules at these places, and has the identity of each.
    Rules(Arc<[u32]>),
}

impl Bearer {
    /// One of whom nothing is known.
    pub(super) fn nobody() -> Self {
        Self::Rules(Arc::default())
    }
}

impl Namer {
    pub(super) fn nobody() -> Self {
        Self::Rules(Arc::default())
    }

    fn is_nobody(&self) -> bool {
        match self {
            Self::Rules(places) => places.is_empty(),
            Self::User(_, names) | Self::Bearer(_, names) => names.is_empty(),
        }
    }

    /// What it takes itself, in the measure of what its policies take.
    fn weight(&self) -> usize {
        16 + match self {
            Self::Rules(places) => places.len() / 64,
            Self::User(_, names) | Self::Bearer(Bearer::User(_), names) => names.len(),
            Self::Bearer(Bearer::Rules(places), names) => names.len() + places.len() / 64,
        }
    }
}

/// A user, as far as it says who may do what.
#[derive(Clone, Debug, Default)]
pub struct WrittenUser {
    /// The names of its policies.
    pub policies: Vec<String>,
    /// What else there is to know of it, for templates.
    pub metadata: BTreeMap<String, String>,
}

/// The users of a tenant, by their names.
pub(super) type Users = HashMap<Arc<str>, Arc<WrittenUser>>;

/// What a policy's template can say of whoever has the policy.
#[derive(Clone, Copy, Default)]
pub(super) struct Holder<'a> {
    name: Option<&'a str>,
    metadata: Option<&'a BTreeMap<String, String>>,
}

impl<'a> Holder<'a> {
    pub(super) fn of_rule(rule: &'a Rule) -> Self {
        Self { name: Some(&rule.identity), metadata: Some(&rule.metadata) }
    }

    /// `known` is what is kept of the user, who may be gone.
    pub(super) fn of_user(name: &'a str, known: Option<&'a WrittenUser>) -> Self {
        Self { name: Some(name), metadata: known.map(|user| &user.metadata) }
    }
}

impl Facts for Holder<'_> {
    fn name(&self) -> Option<&str> {
        self.name
    }

    fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata?.get(key).map(String::as_str)
    }
}

/// All of them, and what was put together.
#[derive(Debug)]
pub(super) struct Acls {
    policies: HashMap<Arc<str>, Arc<acl::Policy>>,
    mounts: Arc<Mounts>,
    known: ArcSwap<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// How many segments the paths in all of them have, and what else they take.
    weight: usize,
    /// By those who name them.
    of: HashTrieMapSync<Namer, Arc<InVault>>,
}

impl Acls {
    pub(super) fn new(policies: &[(Arc<str>, Arc<acl::Policy>)], mounts: &Mounts) -> Self {
        let policies = policies.iter().cloned().collect();
        Self { policies, mounts: Arc::new(mounts.clone()), known: ArcSwap::default() }
    }

    /// The mounts through which they speak of the tree.
    pub(super) fn mounts(&self) -> &Mounts {
        &self.mounts
    }

    /// Whether there is one of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.policies.contains_key(name)
    }

    /// What those say together that `namer` names, if there are any. A template has the values of the
    /// rule or the user that names its policy.
    pub(super) fn of(&self, namer: &Namer, rules: &Rules, users: &Users) -> Option<Arc<InVault>> {
        if namer.is_nobody() {
            return None;
        }
        if let Some(known) = self.known.load().of.get(namer) {
            return Some(Arc::clone(known));
        }
        let (named, segments) = self.named(namer, rules, users);
        if named.is_empty() {
            return None;
        }
        let mounts = Arc::clone(&self.mounts);
        let made = Arc::new(if segments > SEGMENTS_MAX_OF_ONE {
            InVault::closed(mounts)
        } else {
            let named = named.iter().map(|(name, policy, holder)| (*name, *policy, holder));
            InVault::new(Acl::of(named), mounts)
        });
        let weight = segments.min(SEGMENTS_MAX_OF_ONE) + namer.weight();
        self.known.rcu(|known| {
            let has_room = known.weight + weight <= SEGMENTS_MAX;
            let (kept, of) =
                if has_room { (known.weight, known.of.clone()) } else { Default::default() };
            let of = of.insert(namer.clone(), Arc::clone(&made));
            Known { weight: kept + weight, of }
        });
        Some(made)
    }

    /// Those that are named, and for whom: each once, but for those that say something else to one than
    /// to another. And how many segments they have, or at least too many.
    fn named<'a>(
        &'a self,
        namer: &'a Namer,
        rules: &'a Rules,
        users: &'a Users,
    ) -> (Vec<(&'a str, &'a acl::Policy, Holder<'a>)>, usize) {
        let (mut known, mut named, mut segments) = (HashSet::new(), Vec::new(), 0);
        let mut add = |names: &'a [String], holder: Holder<'a>, place: u32| {
            for (name, policy) in
                names.iter().filter_map(|name| self.policies.get_key_value(name.as_str()))
            {
                let whose = policy.has_templates().then_some(place);
                if known.insert((&**name, whose)) {
                    segments += policy.segments();
                    named.push((&**name, &**policy, holder));
                }
            }
            // Of many rules times many names: what is too much already needs no more.
            segments <= SEGMENTS_MAX_OF_ONE
        };
        match namer {
            Namer::Rules(places) => {
                rules
                    .all_at(places)
                    .all(|(place, rule)| add(&rule.policies, Holder::of_rule(rule), place));
            }
            Namer::User(user, names) | Namer::Bearer(Bearer::User(user), names) => {
                add(names, Holder::of_user(user, users.get(&**user).map(|user| &**user)), 0);
            }
            Namer::Bearer(Bearer::Rules(places), names) if places.is_empty() => {
                add(names, Holder::default(), 0);
            }
            Namer::Bearer(Bearer::Rules(places), names) => {
                rules.all_at(places).all(|(place, rule)| add(names, Holder::of_rule(rule), place));
            }
        }
        (named, segments)
    }
}
