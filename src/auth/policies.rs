//! The policies of a domain in the words of IAM, ready to be asked.
//!
//! Owns what they say, once for all who are judged by them: an identity has some of them
//! ([`Chosen`]), which is little to remember. Always holds: the patterns of all are sorted once,
//! when the policies change, and are in memory once.

use std::collections::{HashMap, HashSet};

use super::{
    action::{Action, Actions},
    glob::Glob,
    patterns::{Extent, Patterns, Verdict},
};
use crate::model::{IamPolicy, ResourcePattern};

/// All policies of a domain. Each is known by its place.
#[derive(Debug)]
pub(super) struct Policies {
    all: Vec<Policy>,
    by_name: HashMap<Box<str>, Vec<u32>>,
    identities: Patterns,
    /// The patterns of secrets, but for those of all secrets.
    secrets: Patterns,
}

/// What a policy is about, and what it says of that.
#[derive(Debug)]
struct Policy {
    scope: Scope,
    says: Says,
}

#[derive(Debug)]
enum Scope {
    /// The domain as a whole.
    Domain,
    /// All secrets, and not the domain.
    AllSecrets,
    /// The secrets that its patterns fit.
    Secrets,
}

/// What is allowed and denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Says {
    pub(super) allow: Actions,
    pub(super) deny: Actions,
}

impl Says {
    const NOTHING: Self = Self { allow: Actions::of(&[]), deny: Actions::of(&[]) };

    /// Allows these, and denies nothing.
    pub(super) const fn only(allow: Actions) -> Self {
        Self { allow, ..Self::NOTHING }
    }

    const fn verdict(self, action: Action) -> Verdict {
        if self.deny.contains(action) {
            Verdict::Denied
        } else if self.allow.contains(action) {
            Verdict::Allowed
        } else {
            Verdict::Silent
        }
    }

    const fn and(self, other: Self) -> Self {
        Self { allow: self.allow.or(other.allow), deny: self.deny.or(other.deny) }
    }
}

/// Some of a domain's policies: those that somebody has. What each says of everything is added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// What is said of the domain itself.
    domain: Says,
    /// What is said of all secrets.
    secrets: Says,
    /// What is said of some secrets by those that have patterns.
    some: Says,
    /// Those: a bit for each policy of the domain, up to the last of them.
    patterned: Vec<u64>,
}

impl Chosen {
    /// None.
    pub(super) const fn none() -> Self {
        let nothing = Says::NOTHING;
        Self { domain: nothing, secrets: nothing, some: nothing, patterned: Vec::new() }
    }

    /// With one more that says this of the domain itself, and this of its secrets.
    pub(super) const fn also(mut self, of_domain: Says, of_secrets: Says) -> Self {
        self.domain = self.domain.and(of_domain);
        self.secrets = self.secrets.and(of_secrets);
        self
    }

    /// With all of `other`.
    pub(super) fn with(mut self, other: &Self) -> Self {
        self.some = self.some.and(other.some);
        if self.patterned.len() < other.patterned.len() {
            self.patterned.resize(other.patterned.len(), 0);
        }
        for (own, others) in self.patterned.iter_mut().zip(&other.patterned) {
            *own |= *others;
        }
        self.also(other.domain, other.secrets)
    }

    fn add(&mut self, place: u32, says: Says) {
        self.some = self.some.and(says);
        let (word, bit) = bit(place);
        if self.patterned.len() <= word {
            self.patterned.resize(word + 1, 0);
        }
        if let Some(word) = self.patterned.get_mut(word) {
            *word |= bit;
        }
    }

    fn has(&self, place: u32) -> bool {
        let (word, bit) = bit(place);
        self.patterned.get(word).is_some_and(|word| word & bit != 0)
    }
}

fn bit(place: u32) -> (usize, u64) {
    (usize::try_from(place / 64).unwrap_or(usize::MAX), 1 << (place % 64))
}

impl Policies {
    pub(super) fn new(policies: &[IamPolicy]) -> Self {
        let (mut all, mut identities, mut secrets) = (Vec::new(), Vec::new(), Vec::new());
        let mut by_name = HashMap::<Box<str>, Vec<u32>>::new();
        for (place, policy) in (0..).zip(policies) {
            by_name.entry(policy.name.as_str().into()).or_default().push(place);
            identities.extend(policy.identities.iter().map(|text| (Glob::new(text), place)));
            let deny = among(&policy.deny);
            let says = Says { allow: among(&policy.allow).without(among(&policy.except)), deny };
            let scope = scope(policy);
            if matches!(scope, Scope::Secrets) {
                secrets.extend(policy.resources.iter().filter_map(|resource| match resource {
                    ResourcePattern::Domain => None,
                    ResourcePattern::Secrets(pattern) => Some((Glob::new(pattern), place)),
                }));
            }
            all.push(Policy { scope, says });
        }
        let patterns = |globs: &[(Glob, u32)]| globs.iter().map(|(glob, of)| (glob, *of)).collect();
        Self { all, by_name, identities: patterns(&identities), secrets: patterns(&secrets) }
    }

    /// Those that an identity has: they are about it, or have one of these names.
    pub(super) fn of(&self, identity: &str, names: &[String]) -> Chosen {
        self.choose(self.identities.fitting(identity)).with(&self.named(names))
    }

    /// Those that have one of these names.
    pub(super) fn named(&self, names: &[String]) -> Chosen {
        let places = names.iter().filter_map(|name| self.by_name.get(name.as_str())).flatten();
        self.choose(places.copied())
    }

    /// What those say of an action that an identity has, on the secret at a path or on the domain: by
    /// their names.
    pub(super) fn told(
        &self,
        identity: Option<&str>,
        names: &[String],
        action: Action,
        path: Option<&str>,
    ) -> Vec<(&str, Verdict)> {
        let about: HashSet<_> = identity
            .map(|identity| self.identities.fitting(identity).collect())
            .unwrap_or_default();
        let fitting: HashSet<_> =
            path.map(|path| self.secrets.fitting(path).collect()).unwrap_or_default();
        let is_known = |name: &str| names.iter().any(|known| known == name);
        let mut told = Vec::new();
        for (name, places) in &self.by_name {
            for place in places {
                let Some(policy) = self.at(*place) else { continue };
                let is_asked = match policy.scope {
                    Scope::Domain => true,
                    Scope::AllSecrets => path.is_some(),
                    Scope::Secrets => fitting.contains(place),
                };
                let verdict = policy.says.verdict(action);
                let is_theirs = || about.contains(place) || is_known(name);
                if verdict != Verdict::Silent && is_asked && is_theirs() {
                    told.push((&**name, verdict));
                }
            }
        }
        told
    }

    fn choose(&self, places: impl Iterator<Item = u32>) -> Chosen {
        let mut chosen = Chosen::none();
        for place in places {
            let Some(policy) = self.at(place) else { continue };
            match policy.scope {
                Scope::Domain => chosen = chosen.also(policy.says, policy.says),
                Scope::AllSecrets => chosen = chosen.also(Says::NOTHING, policy.says),
                Scope::Secrets => chosen.add(place, policy.says),
            }
        }
        chosen
    }

    /// What some of them say of an action on the domain itself.
    pub(super) const fn says_of_domain(chosen: &Chosen, action: Action) -> Verdict {
        chosen.domain.verdict(action)
    }

    /// What some of them say of an action on the secret at a path.
    pub(super) fn says(&self, chosen: &Chosen, action: Action, path: &str) -> Verdict {
        let Chosen { secrets, some, .. } = chosen;
        let of_all = secrets.verdict(action);
        // Nobody is asked who could say nothing new.
        if some.verdict(action) <= of_all {
            return of_all;
        }
        let of_some = self.said(chosen, self.secrets.fitting(path));
        of_some.map(|says| says.verdict(action)).fold(of_all, Verdict::max)
    }

    /// To how much of what lies below `prefix` some of them allow an action, and for how much they
    /// deny it.
    pub(super) fn extents(
        &self,
        chosen: &Chosen,
        action: Action,
        prefix: &str,
    ) -> (Extent, Extent) {
        let of = |is: fn(&Says) -> Actions| {
            let says = |says: &Says| is(says).contains(action);
            let chosen_says = |says_it: Says| says(&says_it);
            if says(&chosen.secrets) {
                Extent::Everything
            } else if !says(&chosen.some) {
                Extent::Nothing
            } else if self.said(chosen, self.secrets.covering(prefix)).any(chosen_says) {
                Extent::Everything
            } else if prefix.is_empty()
                // Each pattern may fit something, and this is asked often.
                || self.said(chosen, self.secrets.meeting(prefix)).any(chosen_says)
            {
                Extent::Some
            } else {
                Extent::Nothing
            }
        };
        (of(|says| says.allow), of(|says| says.deny))
    }

    /// What those of the places say that are chosen.
    fn said(
        &self,
        chosen: &Chosen,
        places: impl Iterator<Item = u32>,
    ) -> impl Iterator<Item = Says> {
        places.filter(|place| chosen.has(*place)).filter_map(|place| Some(self.at(place)?.says))
    }

    fn at(&self, place: u32) -> Option<&Policy> {
        self.all.get(usize::try_from(place).ok()?)
    }
}

fn scope(policy: &IamPolicy) -> Scope {
    let is_all = |resource: &ResourcePattern| matches!(resource, ResourcePattern::Secrets(pattern) if pattern == "*");
    if policy.resources.contains(&ResourcePattern::Domain) {
        Scope::Domain
    } else if policy.resources.iter().any(is_all) {
        Scope::AllSecrets
    } else {
        Scope::Secrets
    }
}

/// The actions that patterns name.
fn among(patterns: &[String]) -> Actions {
    let globs: Vec<_> = patterns.iter().map(|text| Glob::new(text)).collect();
    let is_named = |action: &Action| {
        action.names().iter().any(|name| globs.iter().any(|glob| glob.fits(name)))
    };
    Action::ALL.iter().copied().filter(is_named).collect()
}
