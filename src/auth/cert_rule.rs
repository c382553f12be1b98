//! Whether a mapping rule of a domain is about a certificate.

use super::{
    glob::Glob,
    holder::{Holder, Untraced},
    identity::CertIdentity,
    names::SubjectName,
};
use crate::model::CertRule;

/// A rule with its patterns at hand.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) identity: String,
    pub(super) policies: Vec<String>,
    common_names: Vec<Glob>,
    dns_names: Vec<Glob>,
    emails: Vec<Glob>,
    uris: Vec<Glob>,
    names: Vec<Glob>,
    upns: Vec<Glob>,
    keys: Vec<[u8; 32]>,
}

impl Rule {
    pub(super) fn new(name: &str, rule: &CertRule) -> Self {
        let globs = |texts: &[String]| texts.iter().map(|text| Glob::new(text)).collect();
        let identity = if rule.identity.is_empty() { name } else { &rule.identity };
        Self {
            identity: identity.to_owned(),
            policies: rule.policies.clone(),
            common_names: globs(&rule.common_names),
            dns_names: globs(&rule.dns_names),
            emails: globs(&rule.emails),
            uris: globs(&rule.uris),
            names: globs(&rule.names),
            upns: globs(&rule.upns),
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
        fits(&self.common_names, common_name())
            && fits(&self.dns_names, dns())
            && fits(&self.emails, emails())
            && fits(&self.uris, uris)
            && fits(&self.upns, upns)
            && fits(&self.names, common_name().chain(dns()).chain(emails()))
    }
}

fn of<'a>(
    certificate: &'a CertIdentity,
    kind: impl Fn(&'a SubjectName) -> Option<&'a String>,
) -> impl Iterator<Item = &'a str> {
    certificate.names().iter().filter_map(move |name| kind(name).map(String::as_str))
}

fn fits<'a>(globs: &[Glob], mut names: impl Iterator<Item = &'a str>) -> bool {
    globs.is_empty() || names.any(|name| globs.iter().any(|glob| glob.fits(name)))
}
