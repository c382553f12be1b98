//! Policies together, and what they decide.
//!
//! Of all blocks one decides. Blocks of the same path are made one first, whichever policies they
//! are of. Then the exact path comes before patterns, and of patterns the more specific one; an
//! allowing block that is more specific so overrides a denying one.

use std::collections::HashMap;

use super::{
    super::patterns::Extent,
    Capabilities, Capability, Facts, Given, Operation, Policy, Rule, Unfit,
    parameters::{Carried, Conditions},
    patterns::{Pattern, Rank, Tree},
};

/// What several policies say together, for one identity.
#[derive(Clone, Debug)]
pub struct Acl {
    /// By precedence, the last one first.
    rulings: Vec<Ruling>,
    exact: HashMap<Box<str>, Rank>,
    patterns: Tree,
    /// The block that is about every path, `*`.
    of_all: Option<Rank>,
}

/// The blocks of one path, made one.
#[derive(Clone, Debug)]
pub struct Ruling {
    pattern: Pattern,
    capabilities: Capabilities,
    conditions: Conditions,
    /// What each policy has put in.
    parts: Vec<(Box<str>, Capabilities)>,
}

impl Acl {
    /// Of policies with their names, each for whoever its facts are about.
    pub fn of<'a, F: Facts + 'a>(
        policies: impl IntoIterator<Item = (&'a str, &'a Policy, &'a F)>,
    ) -> Self {
        let (mut rulings, mut places) = (Vec::<Ruling>::new(), HashMap::new());
        for (name, policy, facts) in policies {
            for rule in policy.rules() {
                let Some(path) = rule.resolve(facts) else { continue };
                let pattern = Pattern::new(&path);
                let place = *places.entry(pattern.clone()).or_insert(rulings.len());
                match rulings.get_mut(place) {
                    Some(ruling) => ruling.merge(name, rule),
                    None => rulings.push(Ruling::new(pattern, name, rule)),
                }
            }
        }
        rulings.sort_by(|one, other| one.pattern.by_precedence(&other.pattern));
        let (mut exact, mut patterns, all) = (HashMap::new(), Tree::new(), Pattern::new("*"));
        let of_all = rulings.iter().position(|ruling| ruling.pattern == all);
        for (rank, ruling) in rulings.iter().enumerate() {
            let sure = ruling.gives(Carried::Nothing);
            patterns.insert(&ruling.pattern, rank, sure, ruling.capabilities);
            if let Some(path) = ruling.pattern.exact() {
                exact.insert(path.into(), rank);
            }
        }
        Self { rulings, exact, patterns, of_all }
    }

    /// What the block `*` says of `operation`, which is about what has no path, too.
    pub(super) fn of_all(&self, operation: Operation) -> Decision<'_> {
        Decision { operation, ruling: self.of_all.and_then(|rank| self.rulings.get(rank)) }
    }

    /// What they say about `operation` at `path`, which has no tenant, namespace or `v1/` in front.
    #[must_use]
    pub fn decide(&self, path: &str, operation: Operation) -> Decision<'_> {
        let path = path.trim_start_matches('/');
        let without_slash = path.strip_suffix('/').filter(|_| operation.is_of_folders());
        let exact = |path| self.exact.get(path).copied();
        let rank = exact(path)
            .or_else(|| without_slash.and_then(exact))
            .or_else(|| self.patterns.find(path))
            .or_else(|| without_slash.and_then(|path| self.patterns.find(path)));
        Decision { operation, ruling: rank.and_then(|rank| self.rulings.get(rank)) }
    }

    /// The words of what may be done at `path`, sorted, as `sys/capabilities` tells them: `deny`
    /// alone where there is nothing.
    #[must_use]
    pub fn capabilities(&self, path: &str) -> Vec<&'static str> {
        self.decide(path, Operation::List).capabilities().words()
    }

    /// How many of all paths that begin with `prefix`, itself among them, have `capability`, asked
    /// for by an operation of that capability. Nothing and everything are sure; some is said where it
    /// is not known, too. Of [`Capability::Deny`] it tells how much is denied in so many words. A block
    /// that asks something of a request beside its path gives what it gives to one that has what is
    /// `carried`.
    pub(in super::super) fn below(
        &self,
        prefix: &str,
        capability: Capability,
        carried: Carried,
    ) -> Extent {
        let gives = |rank: Rank| self.rulings.get(rank).map(|ruling| ruling.gives(carried));
        let gives = |rank: Rank| gives(rank).unwrap_or_default();
        let is_bare = carried == Carried::Nothing;
        self.patterns.below(prefix.trim_start_matches('/'), capability, is_bare, gives)
    }
}

impl Ruling {
    fn new(pattern: Pattern, name: &str, rule: &Rule) -> Self {
        Self {
            pattern,
            capabilities: rule.capabilities(),
            conditions: rule.conditions().clone(),
            parts: vec![(name.into(), rule.capabilities())],
        }
    }

    fn merge(&mut self, name: &str, rule: &Rule) {
        self.parts.push((name.into(), rule.capabilities()));
        self.capabilities = self.capabilities | rule.capabilities();
        self.conditions.merge(rule.conditions());
        if self.capabilities.contains(Capability::Deny) {
            self.capabilities = Capabilities::of(&[Capability::Deny]);
            self.conditions = Conditions::default();
        }
    }

    /// What it gives to a request that has for sure no more than this.
    fn gives(&self, carried: Carried) -> Capabilities {
        Capability::ALL
            .iter()
            .copied()
            .filter(|capability| self.conditions.hold(*capability, carried))
            .fold(Capabilities::NONE, |sure, capability| sure | Capabilities::of(&[capability]))
            & self.capabilities
    }

    /// The path, with its wildcards and with values for its templates.
    #[must_use]
    pub fn path(&self) -> String {
        self.pattern.written()
    }

    /// The names of the policies that have put it in, in their order.
    pub fn policies(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|(name, _)| &**name)
    }

    /// The names of those that give `capability` in it.
    pub fn policies_with(&self, capability: Capability) -> impl Iterator<Item = &str> {
        let with = self.parts.iter().filter(move |(_, given)| given.contains(capability));
        with.map(|(name, _)| &**name)
    }
}

/// What is said about an operation at a path.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    operation: Operation,
    ruling: Option<&'a Ruling>,
}

impl<'a> Decision<'a> {
    /// Which block decides; `None` where none fits, so that nothing is allowed.
    #[must_use]
    pub const fn ruling(&self) -> Option<&'a Ruling> {
        self.ruling
    }

    /// What that block gives.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.ruling.map(|ruling| ruling.capabilities).unwrap_or_default()
    }

    /// Whether the operation's own capability is given. What the request carries is another
    /// question: [`Decision::check`].
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.allows(self.operation.capability())
    }

    /// Whether `capability` is given.
    #[must_use]
    pub fn allows(&self, capability: Capability) -> bool {
        !self.denies_explicitly() && self.capabilities().contains(capability)
    }

    /// Whether the block says `deny`, rather than giving too little.
    #[must_use]
    pub fn denies_explicitly(&self) -> bool {
        self.capabilities().contains(Capability::Deny)
    }

    /// Whether the block asks anything of what a request carries. Where it does not, there is no need
    /// to gather it for [`Decision::check`].
    #[must_use]
    pub fn has_conditions(&self) -> bool {
        let capability = self.operation.capability();
        self.ruling.is_some_and(|ruling| ruling.conditions.are_about(capability))
    }

    /// Whether the operation's capability is given to a request that has for sure no more than this.
    pub(in super::super) fn gives_to(&self, carried: Carried) -> bool {
        let capability = self.operation.capability();
        let holds = |ruling: &Ruling| ruling.conditions.hold(capability, carried);
        self.is_allowed() && self.ruling.is_some_and(holds)
    }

    /// Goes on if what the request carries fits the block: its parameters by name, and for how many
    /// seconds its answer is to be wrapped. Whether it has the capability is another question:
    /// [`Decision::is_allowed`].
    ///
    /// # Errors
    /// `Unfit` if it does not.
    pub fn check(
        &self,
        given: &[(&str, Given<'_>)],
        wrapped_for: Option<u64>,
    ) -> Result<(), Unfit> {
        let Some(ruling) = self.ruling else { return Ok(()) };
        ruling.conditions.check(self.operation, given, wrapped_for)
    }
}
