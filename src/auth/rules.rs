//! The mapping rules of a domain, found by what a certificate has.
//!
//! Always holds: they are found that [`Rule::is_about`] finds, whatever is tried. What is tried does
//! not grow with the number of rules, but for those that have patterns with a star before their end
//! alone, and those that are about everybody.

use std::collections::HashMap;

use super::{
    cert_rule::{Anchor, NameKind, Rule},
    holder::{Holder, Untraced},
    patterns::Patterns,
};

/// The rules of a domain.
#[derive(Debug)]
pub(super) struct Rules {
    all: Vec<Rule>,
    /// Each rule is in one of these, by its place among all.
    by_key: HashMap<[u8; 32], Vec<u32>>,
    by_name: Vec<(NameKind, Patterns)>,
    of_everybody: Vec<u32>,
}

impl FromIterator<Rule> for Rules {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        let all: Vec<_> = rules.into_iter().collect();
        let mut by_key = HashMap::<_, Vec<_>>::new();
        let mut of_everybody = Vec::new();
        let mut named = Vec::new();
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
                Anchor::Nothing => of_everybody.push(place),
            }
        }
        let of_kind = |kind| {
            let named = named.iter().filter(move |(other, ..)| **other == kind);
            (kind, named.map(|(_, glob, place)| (*glob, *place)).collect::<Patterns>())
        };
        let by_name = NameKind::ALL.into_iter().map(of_kind);
        let by_name = by_name.filter(|(_, patterns)| !patterns.is_empty()).collect();
        Self { all, by_key, by_name, of_everybody }
    }
}

impl Rules {
    /// Whether there are none.
    pub(super) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Each of them, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.all.iter()
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

    /// The one at a place.
    pub(super) fn at(&self, place: u32) -> Option<&Rule> {
        self.all.get(usize::try_from(place).ok()?)
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
            identity::CertIdentity,
            test_tools::{VOUCHER, certify, der, upn},
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
        let lists = [list(), list(), list(), list(), list(), list()];
        let (own, other) = (RuleIssuer::Region, RuleIssuer::Key([9; 32]));
        let issuers = select(vec![vec![], vec![], vec![own], vec![other], vec![other, own]]);
        (lists, keys, issuers).prop_map(|(lists, keys, issuers)| {
            let [common_names, dns_names, emails, uris, names, upns] = lists;
            let rule = CertRule { common_names, dns_names, emails, ..CertRule::default() };
            CertRule { uris, names, upns, issuers, keys, ..rule }
        })
    }

    fn certificates() -> Vec<CertIdentity> {
        let texts = ["a", "b", "ab", "aab", "a@b"];
        let name = |kind: usize, text: &str| match kind {
            0 => upn(text),
            1 => der(0x81, text.as_bytes()),
            2 => der(0x82, text.as_bytes()),
            _ => der(0x86, text.as_bytes()),
        };
        (0..12)
            .map(|at: usize| {
                let names: Vec<_> =
                    (0..at % 4).map(|n| name(at + n, texts[(at * 3 + n) % 5])).collect();
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
            let rules: Rules = rules.iter().map(|rule| Rule::new("r", rule)).collect();
            for certificate in &certificates {
                let line = Line::new(certificate, before.clone());
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
