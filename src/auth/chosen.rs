//! Which of a domain's policies in the words of IAM somebody has, and what these say together.
//!
//! Always holds: what policies with a condition say is added up apart, once for all that have the same
//! condition; nobody is told any of it but by [`Said`], for which each condition was judged by what is
//! known of one request. A [`Chosen`], which is remembered, answers nothing. Never does: knowing
//! patterns.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    action::{Action, Actions},
    patterns::Verdict,
};
use crate::model::{BuiltIn, Circumstances, When};

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

    pub(super) const fn verdict(self, action: Action) -> Verdict {
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

    /// What is left of it by its condition: where nobody knows whether that holds, what is denied.
    pub(super) const fn where_it(self, holds: Option<bool>) -> Self {
        match holds {
            Some(true) => self,
            Some(false) => Self::NOTHING,
            None => Self { deny: self.deny, ..Self::NOTHING },
        }
    }
}

/// What is said of everything, by some policies together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    /// Of the domain itself.
    pub(super) domain: Says,
    /// Of all secrets.
    pub(super) secrets: Says,
    /// Of some secrets, by those that have patterns.
    pub(super) some: Says,
}

impl Sum {
    pub(super) const NOTHING: Self =
        Self { domain: Says::NOTHING, secrets: Says::NOTHING, some: Says::NOTHING };

    /// What a policy about the domain and its secrets says.
    pub(super) const fn of_domain(says: Says) -> Self {
        Self { domain: says, ..Self::of_secrets(says) }
    }

    /// What one about all secrets says.
    pub(super) const fn of_secrets(says: Says) -> Self {
        Self { secrets: says, ..Self::NOTHING }
    }

    /// What one about some secrets says.
    pub(super) const fn of_some(says: Says) -> Self {
        Self { some: says, ..Self::NOTHING }
    }

    const fn and(self, other: Self) -> Self {
        Self {
            domain: self.domain.and(other.domain),
            secrets: self.secrets.and(other.secrets),
            some: self.some.and(other.some),
        }
    }

    const fn where_it(self, holds: Option<bool>) -> Self {
        Self {
            domain: self.domain.where_it(holds),
            secrets: self.secrets.where_it(holds),
            some: self.some.where_it(holds),
        }
    }
}

/// Some of a domain's policies: those that somebody has. What each says of everything is added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// What those say that have no condition.
    always: Sum,
    /// What those say that have one, by its number.
    conditional: BTreeMap<u32, Sum>,
    /// Those with patterns.
    patterned: Places,
    /// The others.
    everywhere: Places,
    /// Those among them that are always there: a bit for each.
    built_in: u8,
}

impl Chosen {
    /// None.
    pub(super) const fn none() -> Self {
        Self {
            always: Sum::NOTHING,
            conditional: BTreeMap::new(),
            patterned: Places::NONE,
            everywhere: Places::NONE,
            built_in: 0,
        }
    }

    /// The same, which is this policy that is always there.
    pub(super) const fn named(mut self, one: BuiltIn) -> Self {
        self.built_in |= 1 << one as u8;
        self
    }

    /// With what one more says, which is no policy of the domain's own.
    pub(super) const fn also(mut self, says: Sum) -> Self {
        self.always = self.always.and(says);
        self
    }

    /// With all of `other`.
    pub(super) fn with(mut self, other: &Self) -> Self {
        for (when, says) in &other.conditional {
            self.add(Some(*when), *says);
        }
        self.patterned.add_all(&other.patterned);
        self.everywhere.add_all(&other.everywhere);
        self.built_in |= other.built_in;
        self.also(other.always)
    }

    /// With the policy at this place, which says something of everything, under this condition.
    pub(super) fn with_general(&mut self, place: u32, when: Option<u32>, says: Sum) {
        self.everywhere.add(place);
        self.add(when, says);
    }

    /// With the policy at this place, which says something of what fits its patterns.
    pub(super) fn with_patterned(&mut self, place: u32, when: Option<u32>, says: Says) {
        self.patterned.add(place);
        self.add(when, Sum::of_some(says));
    }

    fn add(&mut self, when: Option<u32>, says: Sum) {
        let sum = match when {
            None => &mut self.always,
            Some(when) => self.conditional.entry(when).or_insert(Sum::NOTHING),
        };
        *sum = sum.and(says);
    }

    /// Whether some of them have a condition.
    pub(super) fn is_conditional(&self) -> bool {
        !self.conditional.is_empty()
    }
}

/// What somebody's policies say in one request, for which their conditions were judged, each once.
#[derive(Clone, Debug)]
pub(super) struct Said {
    chosen: Arc<Chosen>,
    sum: Sum,
    /// The conditions that hold.
    holding: Places,
    /// Those of which nobody knows.
    unknown: Places,
}

impl Said {
    /// What is said whatever the circumstances are: by those without a condition.
    pub(super) fn always(chosen: Arc<Chosen>) -> Self {
        let sum = chosen.always;
        Self { chosen, sum, holding: Places::NONE, unknown: Places::NONE }
    }

    /// What is said under these circumstances; conditions have their numbers by their order in `whens`.
    pub(super) fn under(
        chosen: Arc<Chosen>,
        whens: &[When],
        circumstances: &Circumstances,
    ) -> Self {
        let (mut sum, mut holding, mut unknown) = (chosen.always, Places::NONE, Places::NONE);
        for (number, says) in &chosen.conditional {
            let when = usize::try_from(*number).ok().and_then(|number| whens.get(number));
            let holds = when.and_then(|when| when.is_now(circumstances));
            match holds {
                Some(true) => holding.add(*number),
                Some(false) => {}
                None => unknown.add(*number),
            }
            sum = sum.and(says.where_it(holds));
        }
        Self { chosen, sum, holding, unknown }
    }

    /// What is said of everything.
    pub(super) const fn sum(&self) -> &Sum {
        &self.sum
    }

    /// What a policy says that says this under the condition of this number.
    pub(super) fn as_judged(&self, says: Says, when: Option<u32>) -> Says {
        let Some(when) = when else { return says };
        let holds = if self.unknown.has(when) { None } else { Some(self.holding.has(when)) };
        says.where_it(holds)
    }

    /// Whether the policy at this place is one of them, and has patterns.
    pub(super) fn has_patterned(&self, place: u32) -> bool {
        self.chosen.patterned.has(place)
    }

    /// The places of those that say something of everything.
    pub(super) fn everywhere(&self) -> impl Iterator<Item = u32> {
        self.chosen.everywhere.iter()
    }

    /// Whether this policy, which is always there, is among them.
    pub(super) fn has_built_in(&self, one: BuiltIn) -> bool {
        self.chosen.built_in & 1 << one as u8 != 0
    }
}

/// A bit for each of some numbers, up to the last of them; the first ones are there without an
/// allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Places {
    first: u64,
    more: Vec<u64>,
}

impl Places {
    const NONE: Self = Self { first: 0, more: Vec::new() };

    fn add(&mut self, place: u32) {
        let (word, bit) = bit(place);
        match word.checked_sub(1) {
            None => self.first |= bit,
            Some(word) => {
                if self.more.len() <= word {
                    self.more.resize(word + 1, 0);
                }
                if let Some(word) = self.more.get_mut(word) {
                    *word |= bit;
                }
            }
        }
    }

    fn add_all(&mut self, other: &Self) {
        self.first |= other.first;
        if self.more.len() < other.more.len() {
            self.more.resize(other.more.len(), 0);
        }
        for (own, others) in self.more.iter_mut().zip(&other.more) {
            *own |= *others;
        }
    }

    fn has(&self, place: u32) -> bool {
        let (word, bit) = bit(place);
        let word = match word.checked_sub(1) {
            None => Some(&self.first),
            Some(word) => self.more.get(word),
        };
        word.is_some_and(|word| word & bit != 0)
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        let words = (0..).zip(std::iter::once(&self.first).chain(&self.more));
        words.flat_map(|(at, word)| {
            (0..64).filter(move |bit| word >> bit & 1 != 0).map(move |bit| at * 64 + bit)
        })
    }
}

fn bit(place: u32) -> (usize, u64) {
    (usize::try_from(place / 64).unwrap_or(usize::MAX), 1 << (place % 64))
}
