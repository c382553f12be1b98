//! Policies and mapping rules of a domain, as their authors wrote them.

use std::collections::BTreeMap;

use super::{Invalid, SecretPath, Timestamp, When};

/// The name of what every certificate of a domain has, whatever else it has.
pub const DEFAULT_POLICY: &str = "default";
/// A policy that is always there, under a name that no other policy can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BuiltIn {
    /// Everything in the domain.
    #[default]
    Admin,
    /// See everything, values included, and change nothing.
    ReadOnly,
    /// See everything but values, and who may do what.
    Auditor,
    /// Nothing.
    Nothing,
}

impl BuiltIn {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Admin, Self::ReadOnly, Self::Auditor, Self::Nothing];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::ReadOnly => "read-only",
            Self::Auditor => "auditor",
            Self::Nothing => "nothing",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// The longest pattern or name in a policy or a rule, in bytes.
const TEXT_MAX: usize = 512;
/// The most patterns in one list of a policy or a rule.
const LIST_MAX: usize = 128;
/// The longest name of a policy or a rule, in bytes.
const NAME_MAX: usize = 128;
/// The longest certificate of a role, in bytes of PEM.
const CERTIFICATE_MAX: usize = 32 << 10;
/// The longest description, in bytes.
const DESCRIPTION_MAX: usize = 512;
/// The most further attributes, other names and extensions that a rule asks for.
const FACETS_MAX: usize = 32;
/// The most entries of a rule's or a user's metadata.
const METADATA_MAX: usize = 64;

/// A policy in the words of IAM: who may do what to which resources. What is allowed and not
/// excepted is allowed; what is denied in any policy is denied, whatever others say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IamPolicy {
    /// Its name.
    pub name: String,
    /// What people say of it.
    pub description: String,
    /// Whom it is about: names of identities, with `*` for any text.
    pub identities: Vec<String>,
    /// What it is about: paths of secrets, with `*` for any text, or the domain as a whole.
    pub resources: Vec<ResourcePattern>,
    /// The actions that are allowed, with `*` for any text.
    pub allow: Vec<String>,
    /// The actions that are not, of those.
    pub except: Vec<String>,
    /// The actions that are denied.
    pub deny: Vec<String>,
    /// When it says that.
    pub when: When,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A resource, or many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourcePattern {
    /// The domain with all that is in it.
    Domain,
    /// Secrets: their paths, with `*` for any text.
    Secrets(String),
}

impl ResourcePattern {
    /// Whether there can be what it stands for. A deny of what cannot be denies nothing, and its
    /// author thinks otherwise.
    fn can_be(&self) -> bool {
        match self {
            Self::Domain => true,
            // No text makes more of a path possible in a star's place than a letter does.
            Self::Secrets(pattern) => pattern.replace('*', "x").parse::<SecretPath>().is_ok(),
        }
    }
}

impl IamPolicy {
    /// Goes on if everything is within its bounds.
    ///
    /// # Errors
    /// `Invalid` says what is not.
    pub fn check(&self) -> Result<(), Invalid> {
        name(&self.name)?;
        description(&self.description)?;
        let resources = self.resources.iter().map(|resource| match resource {
            ResourcePattern::Domain => "*",
            ResourcePattern::Secrets(pattern) => pattern,
        });
        list(resources)?;
        if !self.resources.iter().all(ResourcePattern::can_be) {
            return Err(Invalid(
                "no secret can have the path of a resource, so that it would say nothing: paths have no leading, trailing or \
                 double slash and no segment . or ..; all below a folder is folder/*",
            ));
        }
        for texts in [&self.identities, &self.allow, &self.except, &self.deny] {
            list(texts.iter().map(String::as_str))?;
        }
        if self.allow.is_empty() && self.deny.is_empty() {
            return Err(Invalid("a policy allows or denies something: name actions"));
        }
        if self.identities.is_empty() || self.resources.is_empty() {
            return Err(Invalid("a policy names identities and resources; \"*\" stands for all"));
        }
        Ok(())
    }
}

/// Which certificates of a domain stand for an identity, and what that may do. A certificate fits if
/// it fits every list that is not empty; of a list, one pattern is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertRule {
    /// The identity's name; that of the rule where it is empty.
    pub identity: String,
    /// The policies that it has.
    pub policies: Vec<String>,
    /// Common names.
    pub common_names: Vec<String>,
    /// DNS names among the alternative names.
    pub dns_names: Vec<String>,
    /// E-mail addresses among the alternative names.
    pub emails: Vec<String>,
    /// URIs among the alternative names, such as SPIFFE ids.
    pub uris: Vec<String>,
    /// Common names, DNS names or e-mail addresses.
    pub names: Vec<String>,
    /// User principal names among the alternative names.
    pub upns: Vec<String>,
    /// Organizations in the subject.
    pub organizations: Vec<String>,
    /// Organizational units in the subject.
    pub organizational_units: Vec<String>,
    /// Further attributes of the subject, by name or object identifier: each list fits by itself.
    pub subject: BTreeMap<String, Vec<String>>,
    /// Alternative names of other kinds, by object identifier: each list fits by itself.
    pub other_names: BTreeMap<String, Vec<String>>,
    /// Extensions, in Vault's words: all of them.
    pub required_extensions: Vec<String>,
    /// The authorities that vouch for it.
    pub issuers: Vec<RuleIssuer>,
    /// SHA-256 of the `SubjectPublicKeyInfo`: the certificate has one of these keys.
    pub keys: Vec<[u8; 32]>,
    /// What else there is to know of the identity.
    pub metadata: BTreeMap<String, String>,
    /// Where it was written in Vault's words: what those have beside all that.
    pub role: Option<CertRole>,
}

/// What a role of Vault's certificate method has that a rule has not: who logs in by its name has a
/// token with the rule's policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertRole {
    /// The certificate that was given for it, in PEM; empty where none was. What it stands for is
    /// among the rule's keys or issuers.
    pub certificate: String,
    /// What shows who has a token.
    pub display_name: String,
    /// How long tokens live, in seconds; 0 where the server says it.
    pub ttl_seconds: u64,
    /// How long at most, renewed or not, in seconds; 0 where the server says it.
    pub max_ttl_seconds: u64,
}

/// An authority, as a rule names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleIssuer {
    /// The region's own.
    Region,
    /// The one whose key this is: SHA-256 of the `SubjectPublicKeyInfo`.
    Key([u8; 32]),
}

impl CertRule {
    /// Goes on if everything is within its bounds.
    ///
    /// # Errors
    /// `Invalid` says what is not.
    pub fn check(&self) -> Result<(), Invalid> {
        if !self.identity.is_empty() {
            name(&self.identity)?;
        }
        for texts in std::iter::once(&self.policies).chain(self.lists()) {
            list(texts.iter().map(String::as_str))?;
        }
        if self.policies.iter().any(|name| name.trim() != name) {
            return Err(EDGES);
        }
        let further = || self.subject.values().chain(self.other_names.values());
        list(self.required_extensions.iter().map(String::as_str))?;
        for texts in further() {
            list(texts.iter().map(String::as_str))?;
        }
        if further().any(Vec::is_empty) {
            return Err(Invalid(
                "each member of subject and otherNames lists something; an empty list would ask for nothing",
            ));
        }
        if self.facets()?.len() > FACETS_MAX {
            return Err(Invalid(
                "a rule asks for at most 32 further attributes, other names and extensions",
            ));
        }
        if let Some(role) = &self.role {
            role.check()?;
        }
        if self.keys.len() > LIST_MAX || self.issuers.len() > LIST_MAX {
            return Err(TOO_MANY);
        }
        metadata(&self.metadata)
    }

    /// The lists of patterns for names.
    const fn lists(&self) -> [&Vec<String>; 8] {
        [
            &self.common_names,
            &self.dns_names,
            &self.emails,
            &self.uris,
            &self.names,
            &self.upns,
            &self.organizations,
            &self.organizational_units,
        ]
    }

    /// The patterns for names in all lists.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &str> {
        let further = self.subject.values().chain(self.other_names.values());
        let lists = self.lists().into_iter().chain(further);
        lists.chain([&self.required_extensions]).flatten().map(String::as_str)
    }

    /// By which kinds of further names it asks.
    pub(super) fn further(&self) -> impl Iterator<Item = &str> {
        self.subject.keys().chain(self.other_names.keys()).map(String::as_str)
    }
}

impl CertRole {
    fn check(&self) -> Result<(), Invalid> {
        if self.certificate.len() > CERTIFICATE_MAX {
            return Err(Invalid("a role's certificate is PEM of at most 32 KiB"));
        }
        if self.display_name.len() > NAME_MAX || self.display_name.chars().any(char::is_control) {
            return Err(Invalid("a display name has at most 128 bytes and no control characters"));
        }
        Ok(())
    }
}

const EDGES: Invalid = Invalid(
    "names of policies, rules and identities have no blanks at their edges; leave them out",
);
const TOO_MANY: Invalid = Invalid("a list in a policy, a rule or a user has at most 128 entries");

/// Goes on with a name that a policy, a rule or an identity can be given. Names are told apart byte for
/// byte; one with blanks at its edges would be another one to whoever reads it.
///
/// # Errors
/// `Invalid` with what it must be.
pub fn name(text: &str) -> Result<(), Invalid> {
    known_name(text)?;
    if text.trim() != text {
        return Err(EDGES);
    }
    Ok(())
}

/// Goes on with a name that something may have which is there: some were given when blanks at their
/// edges were taken.
///
/// # Errors
/// `Invalid` with what it must be.
pub fn known_name(text: &str) -> Result<(), Invalid> {
    if text.is_empty() || text.len() > NAME_MAX || text.chars().any(char::is_control) {
        return Err(Invalid("a name is text of 1 to 128 bytes without control characters"));
    }
    Ok(())
}

/// Goes on with what a rule or a user can have of metadata.
///
/// # Errors
/// `Invalid` with what it must be.
pub fn metadata(metadata: &BTreeMap<String, String>) -> Result<(), Invalid> {
    let is_fine = |(key, value): (&String, &String)| {
        known_name(key).is_ok() && value.len() <= TEXT_MAX && !value.chars().any(char::is_control)
    };
    if metadata.len() > METADATA_MAX || !metadata.iter().all(is_fine) {
        return Err(Invalid(
            "metadata has at most 64 entries: names of 1 to 128 bytes and texts of at most 512, without control characters",
        ));
    }
    Ok(())
}

fn description(text: &str) -> Result<(), Invalid> {
    if text.len() > DESCRIPTION_MAX || text.chars().any(char::is_control) {
        return Err(Invalid("a description has at most 512 bytes and no control characters"));
    }
    Ok(())
}

/// Goes on with a list that a policy, a rule or a user can have.
///
/// # Errors
/// `Invalid` with what it must be.
pub fn list<'a>(texts: impl Iterator<Item = &'a str>) -> Result<(), Invalid> {
    let mut count = 0;
    for text in texts {
        count += 1;
        if text.is_empty() || text.len() > TEXT_MAX || text.chars().any(char::is_control) {
            return Err(Invalid(
                "what a policy, a rule or a user lists is text of 1 to 512 bytes without control characters",
            ));
        }
    }
    if count > LIST_MAX { Err(TOO_MANY) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A deny of `/payroll/*` or `a//b` was taken, and denied nothing: no secret has such a path.
    #[test]
    fn a_path_that_cannot_be_is_refused() {
        let check = |path: &str| {
            let moment = Timestamp::from_unix_seconds(0);
            let policy = IamPolicy {
                name: "p".to_owned(),
                description: String::new(),
                identities: vec!["*".to_owned()],
                resources: vec![ResourcePattern::Secrets(path.to_owned())],
                allow: Vec::new(),
                except: Vec::new(),
                deny: vec!["*".to_owned()],
                when: When::default(),
                created_at: moment,
                updated_at: moment,
            };
            policy.check()
        };
        for path in
            ["a", "*", "a/*", "*/b", "a/*/b", "a*/*b", "**", ".*", "*..", "a/.*/b", "a/...", "é b"]
        {
            assert!(check(path).is_ok(), "{path}");
        }
        for path in [
            "/payroll/*",
            "/",
            "/*",
            "*/",
            "payroll/",
            "a//b",
            "a/*//b",
            "..",
            ".",
            "a/../b",
            "a/*/.",
            "./*",
            "a\u{200b}",
        ] {
            assert!(check(path).is_err(), "{path}");
        }
    }
}
