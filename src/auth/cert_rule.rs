//! Whether a mapping rule of a domain is about a certificate.

use std::collections::BTreeMap;

use super::{
    glob::Glob,
    holder::{Holder, Untraced},
    identity::CertIdentity,
    names::{SubjectName, fold_domain},
};
use crate::model::{CertRule, Facet, RuleIssuer};

/// Names of a certificate that are compared alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameKind {
    CommonName,
    Organization,
    OrganizationalUnit,
    /// Folded, as their patterns are.
    Dns,
    /// With an `@`: the domain is folded, as that of their patterns is.
    Email,
    PlainEmail,
    Uri,
    /// With an `@`: the domain is folded, as that of their patterns is.
    Upn,
    PlainUpn,
}

impl NameKind {
    pub(super) const ALL: [Self; 9] = [
        Self::CommonName,
        Self::Organization,
        Self::OrganizationalUnit,
        Self::Dns,
        Self::Email,
        Self::PlainEmail,
        Self::Uri,
        Self::Upn,
        Self::PlainUpn,
    ];

    /// The names of this kind in a certificate.
    pub(super) fn of(self, certificate: &CertIdentity) -> impl Iterator<Item = &str> {
        let common_name = certificate.common_name().filter(|_| self == Self::CommonName);
        let in_subject = match self {
            Self::Organization => certificate.organizations(),
            Self::OrganizationalUnit => certificate.organizational_units(),
            _ => &[],
        };
        let others = certificate.names().iter().filter_map(move |name| {
            let (kind, text) = match name {
                SubjectName::Dns(text) => (Self::Dns, text),
                SubjectName::Email(text) if text.contains('@') => (Self::Email, text),
                SubjectName::Email(text) => (Self::PlainEmail, text),
                SubjectName::Uri(text) => (Self::Uri, text),
                SubjectName::Upn(text) if text.contains('@') => (Self::Upn, text),
                SubjectName::Upn(text) => (Self::PlainUpn, text),
            };
            (kind == self).then_some(text.as_str())
        });
        common_name.into_iter().chain(in_subject.iter().map(String::as_str)).chain(others)
    }
}

/// A rule with its patterns at hand.
#[derive(Debug)]
pub struct Rule {
    pub(super) name: Box<str>,
    pub(super) identity: String,
    pub(super) policies: Vec<String>,
    /// Those that are not empty: each fits where a name of the kind fits one of its patterns.
    lists: Vec<Vec<(NameKind, Glob)>>,
    /// What else it asks for: each fits where something of the kind fits one of its patterns.
    facets: Vec<(Facet, Vec<Glob>)>,
    issuers: Vec<RuleIssuer>,
    keys: Vec<[u8; 32]>,
    pub(super) metadata: BTreeMap<String, String>,
    /// Whether it was written as a role, by whose name one logs in.
    pub(super) is_role: bool,
}

/// What somebody must have for a rule to be about it, and what the rule is looked up by.
pub(super) enum Anchor<'a> {
    /// One of these keys.
    Keys(&'a [[u8; 32]]),
    /// A name that fits one of these.
    Names(&'a [(NameKind, Glob)]),
    /// Something of this kind that fits one of these.
    Facet(&'a Facet, &'a [Glob]),
    /// Nothing at all.
    Nothing,
}

impl Rule {
    /// Of what is written under a name.
    #[must_use]
    pub fn new(name: &str, rule: &CertRule) -> Self {
        let identity = if rule.identity.is_empty() { name } else { &rule.identity };
        let lists: [(&[String], &[NameKind]); 8] = [
            (&rule.common_names, &[NameKind::CommonName]),
            (&rule.organizations, &[NameKind::Organization]),
            (&rule.organizational_units, &[NameKind::OrganizationalUnit]),
            (&rule.dns_names, &[NameKind::Dns]),
            (&rule.emails, &[NameKind::Email, NameKind::PlainEmail]),
            (&rule.uris, &[NameKind::Uri]),
            (&rule.upns, &[NameKind::Upn, NameKind::PlainUpn]),
            (
                &rule.names,
                &[NameKind::CommonName, NameKind::Dns, NameKind::Email, NameKind::PlainEmail],
            ),
        ];
        let globs = |(texts, kinds): (&[String], &[NameKind])| -> Vec<_> {
            let each = texts.iter().flat_map(|text| kinds.iter().map(move |kind| (*kind, text)));
            each.filter_map(|(kind, text)| Some((kind, glob(kind, text)?))).collect()
        };
        let globs_of = |texts: Vec<String>| texts.iter().map(|text| Glob::new(text)).collect();
        let mut lists: Vec<_> =
            lists.into_iter().filter(|(texts, _)| !texts.is_empty()).map(globs).collect();
        let facets = rule.facets().unwrap_or_else(|_| {
            // What cannot be asked for nobody has.
            lists.push(Vec::new());
            Vec::new()
        });
        let facets = facets.into_iter().map(|(facet, texts)| (facet, globs_of(texts))).collect();
        Self {
            name: name.into(),
            identity: identity.to_owned(),
            policies: rule.policies.clone(),
            lists,
            facets,
            issuers: rule.issuers.clone(),
            keys: rule.keys.clone(),
            metadata: rule.metadata.clone(),
            is_role: rule.role.is_some(),
        }
    }

    /// Whether it is: the certificate fits every list that is not empty.
    ///
    /// # Errors
    /// `Untraced` where that takes its line.
    pub(super) fn is_about(&self, holder: &Holder<'_>) -> Result<bool, Untraced> {
        let fits = |(kind, glob): &(NameKind, Glob)| {
            kind.of(holder.certificate()).any(|name| glob.fits(name))
        };
        let known = holder.certificate().facets();
        let says = |(facet, globs): &(Facet, Vec<Glob>)| {
            let mut of_kind = known.known().filter(|(known, _)| *known == facet);
            of_kind.any(|(_, text)| globs.iter().any(|glob| glob.fits(text)))
        };
        let fits = self.lists.iter().all(|list| list.iter().any(fits))
            && self.facets.iter().all(says)
            && (self.issuers.is_empty() || holder.is_of_one_of(&self.issuers));
        Ok(fits && (self.keys.is_empty() || holder.has_one_of(&self.keys)?))
    }

    /// The list that it is found by: the one that fewest certificates fit, as far as that can be
    /// told.
    pub(super) fn anchor(&self) -> Anchor<'_> {
        if !self.keys.is_empty() {
            return Anchor::Keys(&self.keys);
        }
        let is_open = |glob: &Glob| glob.as_text().is_none();
        let stars =
            |list: &&Vec<(NameKind, Glob)>| list.iter().filter(|(_, glob)| is_open(glob)).count();
        let stars_of =
            |(_, globs): &&(Facet, Vec<Glob>)| globs.iter().filter(|glob| is_open(glob)).count();
        let names = self.lists.iter().min_by_key(stars).map(|list| Anchor::Names(list));
        let facet = self.facets.iter().min_by_key(stars_of);
        let facet = facet.map(|(facet, globs)| Anchor::Facet(facet, globs));
        names.or(facet).unwrap_or(Anchor::Nothing)
    }

    /// The kinds of what else it asks for.
    pub(super) fn facets(&self) -> impl Iterator<Item = &Facet> {
        self.facets.iter().map(|(facet, _)| facet)
    }
}

/// A pattern, as names of a kind are compared with it; `None` where none of them could fit.
fn glob(kind: NameKind, pattern: &str) -> Option<Glob> {
    let (has_mark, has_star) = (pattern.contains('@'), pattern.contains('*'));
    match kind {
        NameKind::CommonName
        | NameKind::Organization
        | NameKind::OrganizationalUnit
        | NameKind::Uri => Some(Glob::new(pattern)),
        NameKind::Dns => Some(Glob::new(&pattern.to_ascii_lowercase())),
        NameKind::Email | NameKind::Upn => (has_mark || has_star).then(|| {
            // What is behind the last `@` or, without one, the last star can only be of the domain.
            let mark = if has_mark { '@' } else { '*' };
            Glob::new(&fold_domain(pattern, &[mark]))
        }),
        NameKind::PlainEmail | NameKind::PlainUpn => (!has_mark).then(|| Glob::new(pattern)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::auth::{
        rules::Rules,
        test_tools::{VOUCHER, der, identify, subject, upn},
        voucher::{Issuer, Voucher},
    };
    use crate::model::OkmsId;

    /// Whoever wrote a name in capitals, in the rule or in the certificate, came out of the rule.
    #[test]
    fn case_counts_where_it_says_something() {
        let certificate = identify(&[
            der(0x82, b"Web.Example.COM"),
            der(0x81, b"Ann@Mail.Example.COM"),
            upn("Bob@Example.COM"),
            upn("DOM Carol"),
        ])
        .unwrap();
        let is_about = |texts: &str, set: fn(&mut CertRule, Vec<String>)| {
            let mut rule = CertRule::default();
            set(&mut rule, vec![texts.to_owned()]);
            Rule::new("r", &rule).is_about(&Holder::new(&certificate, &VOUCHER, None)).unwrap()
        };
        let dns = |text: &str| is_about(text, |rule, texts| rule.dns_names = texts);
        for yes in ["web.example.com", "WEB.example.com", "*.EXAMPLE.com", "Web*"] {
            assert!(dns(yes), "{yes}");
        }
        assert!(!dns("web.example.org"));
        let emails = |text: &str| is_about(text, |rule, texts| rule.emails = texts);
        for yes in
            ["Ann@mail.example.com", "*@MAIL.example.com", "Ann@*.Example.Com", "*Example.com"]
        {
            assert!(emails(yes), "{yes}");
        }
        for no in ["ann@mail.example.com", "ANN@*", "*@example.com"] {
            assert!(!emails(no), "{no}");
        }
        let upns = |text: &str| is_about(text, |rule, texts| rule.upns = texts);
        for yes in ["Bob@EXAMPLE.com", "*Example.COM", "DOM Carol", "*Carol", "DOM*"] {
            assert!(upns(yes), "{yes}");
        }
        for no in ["bob@example.com", "DOM carol", "*carol", "dom*"] {
            assert!(!upns(no), "{no}");
        }
        let names = |text: &str| is_about(text, |rule, texts| rule.names = texts);
        for yes in ["web.EXAMPLE.com", "Ann@mail.EXAMPLE.com", "test", "te*"] {
            assert!(names(yes), "{yes}");
        }
        for no in ["Test", "ann@mail.example.com", "Bob@example.com"] {
            assert!(!names(no), "{no}");
        }
    }

    /// Of one of the organizations, one of the units, and one of the authorities.
    #[test]
    fn subjects_and_issuers_are_asked_for() {
        let certificate = subject(&[("O", "Acme"), ("OU", "Billing")]);
        let customer = OkmsId::from_bytes([1; 16]).unwrap();
        let theirs =
            Voucher { issuer: Issuer::Customer(customer), authority_key: [2; 32], ..VOUCHER };
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let is_about = |lists: [&[&str]; 2], issuers: &[RuleIssuer], voucher: &Voucher| {
            let rule = CertRule {
                organizations: texts(lists[0]),
                organizational_units: texts(lists[1]),
                issuers: issuers.to_vec(),
                ..CertRule::default()
            };
            Rule::new("r", &rule).is_about(&Holder::new(&certificate, voucher, None)).unwrap()
        };
        for (lists, fits) in [
            ([&["Acme"] as &[_], &["Billing"] as &[_]], true),
            ([&["Ac*"], &[]], true),
            ([&[], &["x", "*"]], true),
            ([&["acme"], &[]], false),
            ([&["Billing"], &[]], false),
            ([&["Acme"], &["Acme"]], false),
        ] {
            assert_eq!(is_about(lists, &[], &VOUCHER), fits, "{lists:?}");
        }
        let (region, key) = (RuleIssuer::Region, |byte| RuleIssuer::Key([byte; 32]));
        let own = VOUCHER.authority_key;
        assert!(is_about([&[], &[]], &[region], &VOUCHER));
        assert!(is_about([&[], &[]], &[key(2), RuleIssuer::Key(own)], &VOUCHER));
        assert!(!is_about([&[], &[]], &[key(2)], &VOUCHER));
        assert!(is_about([&[], &[]], &[key(2)], &theirs));
        assert!(!is_about([&[], &[]], &[region, key(3)], &theirs));
        assert!(!is_about([&["Other"], &[]], &[key(2)], &theirs));
    }
    /// Each kind that a rule asks for fits by itself, and each extension.
    #[test]
    fn what_else_is_asked_for_is_all_there() {
        let holder = subject(&[("C", "FR"), ("L", "Roubaix")]);
        let is_about = |lists: &[(&str, &str)], extensions: &[&str]| {
            let list = |(name, patterns): &(&str, &str)| {
                let patterns = patterns.split(' ').map(str::to_owned).collect();
                ((*name).to_owned(), patterns)
            };
            let rule = CertRule {
                subject: lists.iter().map(list).collect(),
                required_extensions: extensions.iter().map(ToString::to_string).collect(),
                ..CertRule::default()
            };
            let holder = Holder::new(&holder, &VOUCHER, None);
            let rules: Rules = [Arc::new(Rule::new("r", &rule))].into_iter().collect();
            let is_about = Rule::new("r", &rule).is_about(&holder).unwrap();
            assert_eq!(!rules.about(&holder).unwrap().is_empty(), is_about);
            is_about
        };
        for (lists, fits) in [
            (&[("C", "FR")] as &[_], true),
            (&[("2.5.4.6", "DE F*")], true),
            (&[("C", "fr")], false),
            (&[("C", "FR"), ("L", "R*")], true),
            (&[("C", "FR"), ("L", "Paris")], false),
            (&[("C", "FR"), ("ST", "*")], false),
            // What no rule can ask for is nobody's.
            (&[("CN", "*")], false),
        ] {
            assert_eq!(is_about(lists, &[]), fits, "{lists:?}");
        }
        assert!(!is_about(&[("C", "FR")], &["1.2.3:*"]));
    }
}
