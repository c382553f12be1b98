//! Whether a mapping rule of a domain is about a certificate.

use super::{
    acl::Facts,
    glob::Glob,
    holder::{Holder, Untraced},
    identity::CertIdentity,
    names::{SubjectName, fold_domain},
};
use crate::model::CertRule;

/// A rule with its patterns at hand.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) identity: String,
    pub(super) policies: Vec<String>,
    common_names: Vec<Glob>,
    /// Folded.
    dns_names: Vec<Glob>,
    emails: Vec<AddressGlob>,
    uris: Vec<Glob>,
    names: Vec<NameGlob>,
    upns: Vec<AddressGlob>,
    keys: Vec<[u8; 32]>,
}

/// A pattern of e-mail addresses or user principal names.
#[derive(Debug)]
struct AddressGlob {
    /// For those without a domain.
    written: Glob,
    /// For the others: what is behind the last `@` or, without one, the last star can only be of
    /// the domain, and is folded as that is.
    folded: Glob,
}

/// A pattern of names of several kinds.
#[derive(Debug)]
struct NameGlob {
    dns: Glob,
    address: AddressGlob,
}

impl AddressGlob {
    fn new(pattern: &str) -> Self {
        let mark = if pattern.contains('@') { '@' } else { '*' };
        let folded = fold_domain(pattern, &[mark]);
        Self { written: Glob::new(pattern), folded: Glob::new(&folded) }
    }

    fn fits(&self, address: &str) -> bool {
        if address.contains('@') { self.folded.fits(address) } else { self.written.fits(address) }
    }
}

fn fold_dns(pattern: &str) -> Glob {
    Glob::new(&pattern.to_ascii_lowercase())
}

/// What a policy's template can say of whoever a rule is about.
impl Facts for Rule {
    fn id(&self) -> Option<&str> {
        None
    }

    fn name(&self) -> Option<&str> {
        Some(&self.identity)
    }

    fn metadata(&self, _: &str) -> Option<&str> {
        None
    }
}

impl Rule {
    pub(super) fn new(name: &str, rule: &CertRule) -> Self {
        let globs = |texts: &[String]| texts.iter().map(|text| Glob::new(text)).collect();
        let addresses =
            |texts: &[String]| texts.iter().map(|text| AddressGlob::new(text)).collect();
        let name_of =
            |text: &String| NameGlob { dns: fold_dns(text), address: AddressGlob::new(text) };
        let identity = if rule.identity.is_empty() { name } else { &rule.identity };
        Self {
            identity: identity.to_owned(),
            policies: rule.policies.clone(),
            common_names: globs(&rule.common_names),
            dns_names: rule.dns_names.iter().map(|text| fold_dns(text)).collect(),
            emails: addresses(&rule.emails),
            uris: globs(&rule.uris),
            names: rule.names.iter().map(name_of).collect(),
            upns: addresses(&rule.upns),
            keys: rule.keys.clone(),
        }
    }

    /// Whether it is: the certificate fits every list that is not empty.
    ///
    /// # Errors
    /// `Untraced` where that takes its line.
    pub(super) fn is_about(&self, holder: &Holder<'_>) -> Result<bool, Untraced> {
        let fits_names = self.fits_names(holder.certificate());
        Ok(fits_names && (self.keys.is_empty() || holder.has_one_of(&self.keys)?))
    }

    fn fits_names(&self, certificate: &CertIdentity) -> bool {
        let common_name = || certificate.common_name().into_iter();
        let dns = || {
            of(certificate, |name| match name {
                SubjectName::Dns(text) => Some(text),
                _ => None,
            })
        };
        let emails = || {
            of(certificate, |name| match name {
                SubjectName::Email(text) => Some(text),
                _ => None,
            })
        };
        let uris = of(certificate, |name| match name {
            SubjectName::Uri(text) => Some(text),
            _ => None,
        });
        let upns = of(certificate, |name| match name {
            SubjectName::Upn(text) => Some(text),
            _ => None,
        });
        let address = |glob: &AddressGlob, name: &str| glob.fits(name);
        fits(&self.common_names, Glob::fits, common_name())
            && fits(&self.dns_names, Glob::fits, dns())
            && fits(&self.emails, address, emails())
            && fits(&self.uris, Glob::fits, uris)
            && fits(&self.upns, address, upns)
            && (fits(&self.names, |glob, name| glob.address.written.fits(name), common_name())
                || fits(&self.names, |glob, name| glob.dns.fits(name), dns())
                || fits(&self.names, |glob, name| glob.address.fits(name), emails()))
    }
}

fn of<'a>(
    certificate: &'a CertIdentity,
    kind: impl Fn(&'a SubjectName) -> Option<&'a String>,
) -> impl Iterator<Item = &'a str> {
    certificate.names().iter().filter_map(move |name| kind(name).map(String::as_str))
}

fn fits<'a, G>(
    globs: &[G],
    fits: impl Fn(&G, &str) -> bool,
    mut names: impl Iterator<Item = &'a str>,
) -> bool {
    globs.is_empty() || names.any(|name| globs.iter().any(|glob| fits(glob, name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::test_tools::{der, identify, upn};

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
            Rule::new("r", &rule).is_about(&Holder::new(&certificate, None)).unwrap()
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
}
