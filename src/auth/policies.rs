//! The policies of a domain in the words of IAM, ready to be asked.
//!
//! Owns what they say, once for all who are judged by them: an identity has some of them
//! ([`Chosen`]), which is little to remember. Always holds: the patterns of all are sorted once,
//! when the policies change, and are in memory once; what has a condition is said by nobody before it
//! was judged for a request ([`Policies::under`]), and what is judged is kept for that request alone.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    action::{Action, Actions},
    glob::Glob,
    patterns::{Extent, Patterns, Verdict},
};
use crate::model::{BuiltIn, Circumstances, IamPolicy, ResourcePattern, When};

/// All policies of a domain. Each is known by its place.
#[derive(Debug)]
pub(super) struct Policies {
    all: Vec<Policy>,
    by_name: HashMap<Box<str>, Vec<u32>>,
    identities: Patterns,
    /// The patterns of secrets, but for those of all secrets.
    secrets: Patterns,
}

/// What a policy is about, and what it says of that. One with a condition is two of them, what it
/// allows and what it denies: where nobody knows whether the condition holds, the one is not said, and
/// the other is.
#[derive(Debug)]
struct Policy {
    name: Arc<str>,
    scope: Scope,
    says: Says,
    when: Arc<When>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// What is allowed, and what is denied, as far as there is something.
    fn apart(self) -> Vec<Self> {
        let both = [Self::only(self.allow), Self { deny: self.deny, ..Self::NOTHING }];
        both.into_iter().filter(|says| *says != Self::NOTHING).collect()
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
    /// Those.
    patterned: Places,
    /// Those with a condition, of which nothing is said above.
    conditional: Places,
    /// Those that say something of everything.
    everywhere: Places,
    /// Those among them that are always there: a bit for each.
    built_in: u8,
}

/// Some of a domain's policies: a bit for each, up to the last of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Places(Vec<u64>);

impl Places {
    const fn none() -> Self {
        Self(Vec::new())
    }

    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, place: u32) {
        let (word, bit) = bit(place);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    fn add_all(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (own, others) in self.0.iter_mut().zip(&other.0) {
            *own |= *others;
        }
    }

    fn has(&self, place: u32) -> bool {
        let (word, bit) = bit(place);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        let words = (0..).zip(&self.0);
        words.flat_map(|(at, word)| {
            (0..64).filter(move |bit| word >> bit & 1 != 0).map(move |bit| at * 64 + bit)
        })
    }
}

impl Chosen {
    /// None.
    pub(super) const fn none() -> Self {
        Self {
            domain: Says::NOTHING,
            secrets: Says::NOTHING,
            some: Says::NOTHING,
            patterned: Places::none(),
            conditional: Places::none(),
            everywhere: Places::none(),
            built_in: 0,
        }
    }

    /// The same, which is this policy that is always there.
    pub(super) const fn named(mut self, one: BuiltIn) -> Self {
        self.built_in |= 1 << one as u8;
        self
    }

    /// Whether that policy is among them.
    pub(super) const fn has_built_in(&self, one: BuiltIn) -> bool {
        self.built_in & 1 << one as u8 != 0
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
        self.patterned.add_all(&other.patterned);
        self.conditional.add_all(&other.conditional);
        self.everywhere.add_all(&other.everywhere);
        self.built_in |= other.built_in;
        self.also(other.domain, other.secrets)
    }

    /// With what this policy says, which is known by its place.
    fn saying(mut self, place: u32, policy: &Policy) -> Self {
        if policy.scope != Scope::Secrets {
            self.everywhere.add(place);
        }
        match policy.scope {
            Scope::Domain => self.also(policy.says, policy.says),
            Scope::AllSecrets => self.also(Says::NOTHING, policy.says),
            Scope::Secrets => {
                self.some = self.some.and(policy.says);
                self.patterned.add(place);
                self
            }
        }
    }

    /// Whether some of them have a condition, which is to be judged first.
    pub(super) const fn is_conditional(&self) -> bool {
        !self.conditional.is_empty()
    }
}

fn bit(place: u32) -> (usize, u64) {
    (usize::try_from(place / 64).unwrap_or(usize::MAX), 1 << (place % 64))
}

impl Policy {
    /// Whether it says what it says: where nobody knows, it denies, and does not allow.
    fn is_said(&self, circumstances: &Circumstances) -> bool {
        self.when.is_now(circumstances).unwrap_or(!self.says.deny.is_empty())
    }
}

impl Policies {
    pub(super) fn new(policies: &[IamPolicy]) -> Self {
        let (mut all, mut identities, mut secrets) = (Vec::new(), Vec::new(), Vec::new());
        let mut by_name = HashMap::<Box<str>, Vec<u32>>::new();
        for policy in policies {
            let deny = among(&policy.deny);
            let says = Says { allow: among(&policy.allow).without(among(&policy.except)), deny };
            let (name, scope) = (Arc::<str>::from(policy.name.as_str()), scope(policy));
            let when = Arc::new(policy.when.clone());
            let parts = if when.is_always() { vec![says] } else { says.apart() };
            for (place, says) in (u32::try_from(all.len()).unwrap_or(u32::MAX)..).zip(parts) {
                by_name.entry(policy.name.as_str().into()).or_default().push(place);
                identities.extend(policy.identities.iter().map(|text| (Glob::new(text), place)));
                if scope == Scope::Secrets {
                    secrets.extend(policy.resources.iter().filter_map(|resource| match resource {
                        ResourcePattern::Domain => None,
                        ResourcePattern::Secrets(pattern) => Some((Glob::new(pattern), place)),
                    }));
                }
                all.push(Policy { name: Arc::clone(&name), scope, says, when: Arc::clone(&when) });
            }
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
    /// their names, and whether they do under these circumstances.
    pub(super) fn told(
        &self,
        identity: Option<&str>,
        names: &[String],
        (action, path): (Action, Option<&str>),
        circumstances: &Circumstances,
    ) -> Vec<(&str, Verdict, bool)> {
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
                    told.push((&**name, verdict, policy.is_said(circumstances)));
                }
            }
        }
        told
    }

    fn choose(&self, places: impl Iterator<Item = u32>) -> Chosen {
        let mut chosen = Chosen::none();
        for place in places {
            match self.at(place) {
                Some(policy) if policy.when.is_always() => chosen = chosen.saying(place, policy),
                Some(_) => chosen.conditional.add(place),
                None => {}
            }
        }
        chosen
    }

    /// The same policies as they are under these circumstances, in which those with a condition say what
    /// they say, or nothing.
    pub(super) fn under(&self, chosen: &Arc<Chosen>, circumstances: &Circumstances) -> Arc<Chosen> {
        if !chosen.is_conditional() {
            return Arc::clone(chosen);
        }
        let always = Chosen { conditional: Places::none(), ..Chosen::clone(chosen) };
        let said = chosen.conditional.iter().filter_map(|place| Some((place, self.at(place)?)));
        let said = said.filter(|(_, policy)| policy.is_said(circumstances));
        Arc::new(said.fold(always, |all, (place, policy)| all.saying(place, policy)))
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

    /// The name of one that says this of an action on the secret at a path, or on the domain.
    pub(super) fn by<'a>(
        &'a self,
        chosen: &'a Chosen,
        (action, path): (Action, Option<&'a str>),
        verdict: Verdict,
    ) -> Option<&'a str> {
        let some = path.into_iter().flat_map(|path| self.secrets.fitting(path));
        let some = some.filter(|place| chosen.patterned.has(*place));
        let everywhere = chosen.everywhere.iter();
        let mut policies = some.chain(everywhere).filter_map(|place| self.at(place));
        let is_it = |policy: &&Policy| {
            let is_asked = path.is_some() || policy.scope == Scope::Domain;
            is_asked && policy.says.verdict(action) == verdict
        };
        policies.find(is_it).map(|policy| &*policy.name)
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
        places
            .filter(|place| chosen.patterned.has(*place))
            .filter_map(|place| Some(self.at(place)?.says))
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
