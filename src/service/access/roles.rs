//! Rules as roles of Vault's certificate method: written field by field, and logged in by.

use super::{
    AccessControl,
    counting::Counting,
    stored::{find, names},
};
use crate::{
    auth::{Action, Permit, Resource},
    model::{CertRule, Invalid, RuleIssuer, policy::name},
    pki::{Facts, key_sha256, pem},
    service::{Error, changes::ChangeName},
    store::kinds::rule,
};

/// What the name of a role says of whoever logs in by it.
#[derive(Debug)]
pub enum ByRole {
    /// This role is about its certificate.
    Fits(Box<CertRule>),
    /// There is such a role, about others.
    DoesNotFit,
    /// There are roles, and none of this name.
    Unknown,
    /// The tenant has no roles at all.
    NoRoles,
}

/// A certificate that is given for a role.
#[derive(Clone, Debug)]
pub struct RoleCertificate {
    pem: String,
    key: [u8; 32],
    is_authority: bool,
}

impl RoleCertificate {
    /// Reads PEM.
    ///
    /// # Errors
    /// `Invalid` where it is not one certificate.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        const NOT_ONE: Invalid = Invalid("the certificate must be one certificate in PEM");
        if pem::has_private_key(text.as_bytes()) {
            return Err(Invalid("a private key is never sent; send the certificate alone"));
        }
        let der = pem::one_certificate(text.as_bytes()).map_err(|_| NOT_ONE)?;
        let key = key_sha256(&der).map_err(|_| NOT_ONE)?;
        let is_authority = Facts::read(&der).map_err(|_| NOT_ONE)?.may_sign().is_ok();
        Ok(Self { pem: pem::of_certificate(&der), key, is_authority })
    }

    /// Makes a rule be about those for whom it stands: an authority for all for whom it vouches,
    /// another one for those with its key. The text to be shown.
    #[must_use]
    pub fn narrow(&self, rule: &mut CertRule) -> String {
        let (keys, issuers) = if self.is_authority {
            (Vec::new(), vec![RuleIssuer::Key(self.key)])
        } else {
            (vec![self.key], Vec::new())
        };
        (rule.keys, rule.issuers) = (keys, issuers);
        self.pem.clone()
    }
}

impl AccessControl {
    /// The names of the rules, in their order.
    ///
    /// # Errors
    /// `Error::Denied` where they may not be seen.
    pub async fn rule_names(&self, permit: &Permit) -> Result<Vec<String>, Error> {
        permit.check(Action::PolicyGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        names(&*snapshot, rule::SPACE, rule::all(keys.id()), rule::name).await
    }

    /// Makes a rule of the one that is there, or of none.
    ///
    /// # Errors
    /// `Error::Invalid` where it breaks a rule; what `decide` says.
    pub async fn change_rule(
        &self,
        permit: &Permit,
        name_of_rule: &str,
        decide: impl Fn(Option<CertRule>) -> Result<CertRule, Error> + Send + Sync,
    ) -> Result<(), Error> {
        permit.check(Action::PolicyEdit, Resource::Tenant)?;
        name(name_of_rule)?;
        let keys = self.scope.keys(permit).await?;
        let basis = Counting::of(&keys, name_of_rule);
        self.change(permit, ChangeName::PutRule, &keys, basis, |standing, draft| {
            let rule = decide(standing.found.record().cloned())?;
            rule.check()?;
            standing.put(draft, name_of_rule, &rule)
        })
        .await
    }

    /// What the name of a role says of the certificate that asks: whoever logs in by it is told no more.
    ///
    /// # Errors
    /// `Error` where the store cannot be read.
    pub async fn role(&self, permit: &Permit, name: &str) -> Result<ByRole, Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let found = find::<CertRule>(&self.scope, &keys, name).await?;
        Ok(match found.filter(|rule| rule.role.is_some()) {
            Some(rule) if permit.fits(name, &rule) => ByRole::Fits(rule.into()),
            Some(_) => ByRole::DoesNotFit,
            None if self.directory().has_roles(keys.id()) => ByRole::Unknown,
            None => ByRole::NoRoles,
        })
    }
}
