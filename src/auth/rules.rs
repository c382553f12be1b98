//! The mapping rules of a domain, found by what a certificate has.
//!
//! Always holds: they are found that [`Rule::is_about`] finds, whatever is tried. What is tried does
//! not grow with the number of rules, but for those that have patterns with a star before their end
//! alone, and those that are about everybody.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    cert_rule::{Anchor, NameKind, Rule},
    holder::{Holder, Untraced},
    identity::CertIdentity,
    patterns::Patterns,
};
use crate::model::Facet;

/// The rules of a domain.
#[derive(Debug)]
pub(super) struct Rules {
    all: Vec<Arc<Rule>>,
    /// Each rule is in one of these, by its place among all.
    by_key: HashMap<[u8; 32], Vec<u32>>,
    by_name: Vec<(NameKind, Patterns)>,
    by_facet: HashMap<Facet, Patterns>,
    of_everybody: Vec<u32>,
    /// The kinds of what else some of them ask for.
    asked: HashSet<Facet>,
}

impl FromIterator<Arc<Rule>> for Rules {
    fn from_iter<I: IntoIterator<Item = Arc<Rule>>>(rules: I) -> Self {
        let all: Vec<_> = rules.into_iter().collect();
        let mut by_key = HashMap::<_, Vec<_>>::new();
        let mut of_everybody = Vec::new();
        let mut named = Vec::new();
        let mut by_facet = HashMap::<_, Vec<_>>::new();
        for (place, rule) in (0..).zip(&all) {
            match rule.anchor() {
                Anchor::Keys(keys) => {
                    for key in keys {
                        by_key.entry(*key).or_default().push(place);
                    }
                }
                Anchor::Names(list) => {
                    named.extend(list.iter().map(|(kind, glob)| (kind, glob, place)));
                }
                Anchor::Facet(facet, globs) => {
                    let of_kind = by_facet.entry(facet.clone()).or_default();
                    of_kind.extend(globs.iter().map(|glob| (glob, place)));
                }
                Anchor::Nothing => of_everybody.push(place),
            }
        }
        let of_kind = |kind| {
            let named = named.iter().filter(move |(other, ..)| **other == kind);
            (kind, named.map(|(_, glob, place)| (*glob, *place)).collect::<Patterns>())
        };
        let by_name = NameKind::ALL.into_iter().map(of_kind);
        let by_name = by_name.filter(|(_, patterns)| !patterns.is_empty()).collect();
        let by_facet =
            by_facet.into_iter().map(|(facet, globs)| (facet, globs.into_iter().collect()));
        let by_facet = by_facet.collect();
        let asked = all.iter().flat_map(|rule| rule.facets()).cloned().collect();
        Self { all, by_key, by_name, by_facet, of_everybody, asked }
    }
}

impl Rules {
    /// Whether there are none.
    pub(super) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Each of them, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.all.iter().map(|rule| &**rule)
    }

    /// Whether it is not known what they say of a certificate, as they ask for something that was left
    /// out of it.
    pub(super) fn miss(&self, certificate: &CertIdentity) -> bool {
        let is_asked = |facet: &Facet| self.asked.contains(facet);
        !self.is_empty()
            && (certificate.is_partly_read()
                || !self.asked.is_empty() && certificate.facets().hides(is_asked))
    }

    /// Those that are about somebody: their places, in order.
    ///
    /// # Errors
    /// `Untraced` where its line is not known, and there are rules that ask for it.
    pub(super) fn about(&self, holder: &Holder<'_>) -> Result<Vec<u32>, Untraced> {
        let mut tried = self.of_everybody.clone();
        if !self.by_key.is_empty() {
            tried.extend(holder.keys()?.iter().filter_map(|key| self.by_key.get(key)).flatten());
        }
        for (kind, patterns) in &self.by_name {
            let names = kind.of(holder.certificate());
            tried.extend(names.flat_map(|name| patterns.fitting(name)));
        }
        for (facet, text) in holder.certificate().facets().known() {
            let patterns = self.by_facet.get(facet).into_iter();
            tried.extend(patterns.flat_map(|patterns| patterns.fitting(text)));
        }
        tried.sort_unstable();
        tried.dedup();
        let mut found = Vec::new();
        for place in tried {
            if self.at(place).map_or(Ok(false), |rule| rule.is_about(holder))? {
                found.push(place);
            }
        }
        Ok(found)
    }

    /// Those at these places.
    pub(super) fn all_at<'a>(&'a self, places: &'a [u32]) -> impl Iterator<Item = (u32, &'a Rule)> {
        places.iter().filter_map(|place| Some((*place, self.at(*place)?)))
    }

    /// The one at a place.
    pub(super) fn at(&self, place: u32) -> Option<&Rule> {
        self.all.get(usize::try_from(place).ok()?).map(|rule| &**rule)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::{
        auth::{
            holder::Line,
            test_tools::{VOUCHER, certify, der, other_name, upn},
        },
        model::{CertRule, RuleIssuer},
    };

    /// A text or a pattern for one, of few enough that many fit.
    fn pattern() -> impl Strategy<Value = String> {
        select(["a", "b", "ab", "a*", "*", "*b", "A*b", "ba*", "a@B", "*@b"].as_slice())
            .prop_map(str::to_owned)
    }

    fn list() -> impl Strategy<Value = Vec<String>> {
        prop_oneof![3 => Just(Vec::new()), 2 => vec(pattern(), 1..3)]
    }

    fn rule(keys: Vec<[u8; 32]>) -> impl Strategy<Value = CertRule> {
        let keys = prop_oneof![4 => Just(Vec::new()), 1 => vec(select(keys), 1..3)];
        let lists = [list(), list(), list(), list(), list(), list(), list()];
        let (own, other) = (RuleIssuer::Region, RuleIssuer::Key([9; 32]));
        let issuers = select(vec![vec![], vec![], vec![own], vec![other], vec![other, own]]);
        (lists, keys, issuers).prop_map(|(lists, keys, issuers)| {
            let [common_names, dns_names, emails, uris, names, upns, others] = lists;
            let others = (!others.is_empty()).then(|| ("1.2.3".to_owned(), others));
            let other_names = others.into_iter().collect();
            let rule = CertRule { common_names, dns_names, emails, ..CertRule::default() };
            CertRule { uris, names, upns, other_names, issuers, keys, ..rule }
        })
    }

    fn certificates() -> Vec<CertIdentity> {
        let texts = ["a", "b", "ab", "aab", "a@b"];
        let name = |kind: usize, text: &str| match kind {
            0 => upn(text),
            1 => der(0x81, text.as_bytes()),
            2 => der(0x82, text.as_bytes()),
            3 => other_name(&der(0xa0, &der(0x0c, text.as_bytes()))),
            _ => der(0x86, text.as_bytes()),
        };
        (0..12)
            .map(|at: usize| {
                let names: Vec<_> =
                    (0..at % 4).map(|n| name((at + n) % 5, texts[(at * 3 + n) % 5])).collect();
                certify((!at.is_multiple_of(3)).then(|| texts[at % 5]), &names).unwrap()
            })
            .collect()
    }

    #[test]
    fn they_are_found_that_are_about_it() {
        let certificates = certificates();
        let keys = certificates.iter().map(|one| *one.public_key_sha256()).collect::<Vec<_>>();
        let found = Cell::new(0);
        proptest!(|(rules in vec(rule(keys.clone()), 0..12), before in vec(select(keys), 0..2))| {
            let rules: Rules = rules.iter().map(|rule| Arc::new(Rule::new("r", rule))).collect();
            for certificate in &certificates {
                let line = Line::new(certificate, before.clone(), Vec::new());
                let tried = |holder: &Holder<'_>| -> Result<Vec<u32>, Untraced> {
                    let each = (0..).zip(rules.iter()).map(|(place, rule)| {
                        Ok(rule.is_about(holder)?.then_some(place))
                    });
                    Ok(each.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
                };
                let holder = Holder::new(certificate, &VOUCHER, Some(&line));
                let places = rules.about(&holder).unwrap();
                found.set(found.get() + places.len());
                prop_assert_eq!(Ok(places), tried(&holder));
                // Who is not known well enough is not passed over.
                let untraced = Holder::new(certificate, &VOUCHER, None);
                if let Ok(places) = rules.about(&untraced) {
                    prop_assert_eq!(Ok(places), tried(&untraced));
                }
            }
        });
        assert!(found.get() > 100, "some are found");
    }
}
