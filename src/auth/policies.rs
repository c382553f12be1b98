//! The policies of a domain in the words of IAM, ready to be asked.
//!
//! Owns what they say, once for all who are judged by them: an identity has some of them
//! ([`Chosen`]), which is little to remember. Always holds: the patterns of all are sorted once,
//! when the policies change, and are in memory once, and so is each condition, however many have it;
//! what is said comes from what was judged for a request ([`Policies::under`]) and for nothing else.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    action::{Action, Actions},
    chosen::{Chosen, Said, Says, Sum},
    glob::Glob,
    holder::URN,
    patterns::{Extent, Patterns, Verdict},
};
use crate::model::{Circumstances, IamPolicy, ResourcePattern, When};

/// All policies of a domain. Each is known by its place.
#[derive(Debug)]
pub(super) struct Policies {
    all: Vec<Placed>,
    by_name: HashMap<Box<str>, Vec<u32>>,
    identities: Patterns,
    /// Whether some are about identities that certificates are issued for, and not about all.
    name_issued: bool,
    /// The patterns of secrets, but for those of all secrets.
    secrets: Patterns,
    /// The conditions that they have, each once.
    whens: Vec<When>,
}

/// A policy with its patterns at hand: whom and what it is about, and what it says of that.
#[derive(Debug)]
pub struct Policy {
    name: Box<str>,
    identities: Box<[Glob]>,
    scope: Scope,
    /// The patterns of the secrets that it is about, where that is not all of them.
    secrets: Box<[Glob]>,
    says: Says,
    when: Option<When>,
}

impl Policy {
    /// Of what is written.
    #[must_use]
    pub fn new(policy: &IamPolicy) -> Self {
        let allow = among(&policy.allow).without(among(&policy.except));
        let scope = scope(policy);
        let patterns = policy.resources.iter().filter_map(|resource| match resource {
            ResourcePattern::Domain => None,
            ResourcePattern::Secrets(pattern) => Some(Glob::new(pattern)),
        });
        Self {
            name: policy.name.as_str().into(),
            identities: policy.identities.iter().map(|text| Glob::new(text)).collect(),
            scope,
            secrets: patterns.filter(|_| scope == Scope::Secrets).collect(),
            says: Says { allow, deny: among(&policy.deny) },
            when: (!policy.when.is_always()).then(|| policy.when.clone()),
        }
    }
}

/// One of a domain's, under the condition of this number.
#[derive(Debug)]
struct Placed {
    policy: Arc<Policy>,
    when: Option<u32>,
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

impl Policies {
    pub(super) fn new(policies: &[Arc<Policy>]) -> Self {
        let mut by_name = HashMap::<Box<str>, Vec<u32>>::new();
        let (mut whens, mut numbers) = (Vec::new(), HashMap::<&When, u32>::new());
        let mut all = Vec::with_capacity(policies.len());
        for (place, policy) in (0..).zip(policies) {
            by_name.entry(policy.name.clone()).or_default().push(place);
            let when = policy.when.as_ref().map(|when| {
                *numbers.entry(when).or_insert_with(|| {
                    whens.push(when.clone());
                    u32::try_from(whens.len() - 1).unwrap_or(u32::MAX)
                })
            });
            all.push(Placed { policy: Arc::clone(policy), when });
        }
        let is_of_some = |glob: &Glob| glob.meets(URN) && !glob.covers("");
        let name_issued = policies.iter().flat_map(|policy| &policy.identities).any(is_of_some);
        let patterns = |of: fn(&Policy) -> &[Glob]| -> Patterns {
            let placed = (0..).zip(policies);
            let each =
                placed.flat_map(|(place, policy)| of(policy).iter().map(move |glob| (glob, place)));
            each.collect()
        };
        let identities = patterns(|policy| &policy.identities);
        let secrets = patterns(|policy| &policy.secrets);
        Self { all, by_name, identities, name_issued, secrets, whens }
    }

    /// Whether some say something of identities that certificates are issued for, and not of
    /// everybody: else nobody has to know those.
    pub(super) const fn name_issued(&self) -> bool {
        self.name_issued
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
                let Some(Placed { policy, when }) = self.at(*place) else { continue };
                let is_asked = match policy.scope {
                    Scope::Domain => true,
                    Scope::AllSecrets => path.is_some(),
                    Scope::Secrets => fitting.contains(place),
                };
                let verdict = policy.says.verdict(action);
                let is_theirs = || about.contains(place) || is_known(name);
                if verdict != Verdict::Silent && is_asked && is_theirs() {
                    let holds = match self.when(*when) {
                        None => Some(true),
                        Some(when) => when.is_now(circumstances),
                    };
                    let is_said = policy.says.where_it(holds).verdict(action) == verdict;
                    told.push((&**name, verdict, is_said));
                }
            }
        }
        told
    }

    fn choose(&self, places: impl Iterator<Item = u32>) -> Chosen {
        let mut chosen = Chosen::none();
        for place in places {
            let Some(Placed { policy, when }) = self.at(place) else { continue };
            let says = policy.says;
            match policy.scope {
                Scope::Domain => chosen.with_general(place, *when, Sum::of_domain(says)),
                Scope::AllSecrets => chosen.with_general(place, *when, Sum::of_secrets(says)),
                Scope::Secrets => chosen.with_patterned(place, *when, says),
            }
        }
        chosen
    }

    /// What some of them say under these circumstances.
    pub(super) fn under(&self, chosen: &Arc<Chosen>, circumstances: &Circumstances) -> Said {
        Said::under(Arc::clone(chosen), &self.whens, circumstances)
    }

    /// What some of them say of an action on the secret at a path.
    pub(super) fn says(&self, said: &Said, action: Action, path: &str) -> Verdict {
        let Sum { secrets, some, .. } = said.sum();
        let of_all = secrets.verdict(action);
        // Nobody is asked who could say nothing new.
        if some.verdict(action) <= of_all {
            return of_all;
        }
        let of_some = self.said(said, self.secrets.fitting(path));
        of_some.map(|says| says.verdict(action)).fold(of_all, Verdict::max)
    }

    /// The name of one that says this of an action on the secret at a path, or on the domain.
    pub(super) fn by<'a>(
        &'a self,
        said: &'a Said,
        (action, path): (Action, Option<&'a str>),
        verdict: Verdict,
    ) -> Option<&'a str> {
        let some = path.into_iter().flat_map(|path| self.secrets.fitting(path));
        let some = some.filter(|place| said.has_patterned(*place));
        let mut policies = some.chain(said.everywhere()).filter_map(|place| self.at(place));
        let is_it = |Placed { policy, when }: &&Placed| {
            let is_asked = path.is_some() || policy.scope == Scope::Domain;
            is_asked && said.as_judged(policy.says, *when).verdict(action) == verdict
        };
        policies.find(is_it).map(|placed| &*placed.policy.name)
    }

    /// To how much of what lies below `prefix` some of them allow an action, and for how much they
    /// deny it.
    pub(super) fn extents(&self, said: &Said, action: Action, prefix: &str) -> (Extent, Extent) {
        let of = |is: fn(&Says) -> Actions| {
            let says = |says: &Says| is(says).contains(action);
            let one_says = |says_it: Says| says(&says_it);
            let Sum { secrets, some, .. } = said.sum();
            if says(secrets) {
                Extent::Everything
            } else if !says(some) {
                Extent::Nothing
            } else if self.said(said, self.secrets.covering(prefix)).any(one_says) {
                Extent::Everything
            } else if prefix.is_empty()
                // Each pattern may fit something, and this is asked often.
                || self.said(said, self.secrets.meeting(prefix)).any(one_says)
            {
                Extent::Some
            } else {
                Extent::Nothing
            }
        };
        (of(|says| says.allow), of(|says| says.deny))
    }

    /// What those of the places say that somebody has.
    fn said(&self, said: &Said, places: impl Iterator<Item = u32>) -> impl Iterator<Item = Says> {
        let policies = places.filter(|place| said.has_patterned(*place));
        let policies = policies.filter_map(|place| self.at(place));
        policies.map(|Placed { policy, when }| said.as_judged(policy.says, *when))
    }

    /// The condition of this number.
    fn when(&self, number: Option<u32>) -> Option<&When> {
        self.whens.get(usize::try_from(number?).ok()?)
    }

    fn at(&self, place: u32) -> Option<&Placed> {
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
