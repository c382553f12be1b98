//! Access certificates: issued by the region's authority to an operator who asks.

use std::{fmt, sync::Arc};

use super::{
    Error,
    changes::ChangeName,
    scope::Scope,
    unit::{Change, OneRecord},
};
use crate::{
    auth::{Action, Permit, Resource, identity::CertIdentity},
    crypto::{self, DomainKeys},
    model::{Credential, Invalid, Timestamp},
    pki::{self, CertificateAuthority, Issued, KeyKind, PrivateKeyPem, Subject},
};

/// The longest life of an access certificate, in days.
const DAYS_MAX: u32 = 3650;

/// Whose key is certified.
#[derive(Debug)]
pub enum KeySource {
    /// A new one, which the answer brings along and nobody keeps.
    Fresh(KeyKind),
    /// The requester's own, from a PKCS#10 request in PEM.
    Request(String),
}

/// What an operator asks for.
#[derive(Debug)]
pub struct CredentialRequest {
    /// The certificate's display name.
    pub name: String,
    /// Whose key.
    pub key: KeySource,
    /// How many days it lives.
    pub days: u32,
}

/// A certificate just issued. Certificate and key are shown this once.
pub struct IssuedCredential {
    /// The certificate.
    pub certificate_pem: String,
    /// Its private key, where it was made here.
    pub key: Option<PrivateKeyPem>,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl fmt::Debug for IssuedCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuedCredential(until {})", self.expires_at.to_rfc3339_seconds())
    }
}

/// The use cases on access certificates.
pub struct Credentials {
    scope: Scope,
    authority: Option<Arc<CertificateAuthority>>,
}

impl Credentials {
    pub(super) fn new(scope: Scope, authority: Option<CertificateAuthority>) -> Self {
        Self { scope, authority: authority.map(Arc::new) }
    }

    /// Issues an access certificate for the permit's domain. It is remembered before anybody gets
    /// it.
    ///
    /// # Errors
    /// `Error::DomainNotFound`; `Error::CertificateRefused` where name, key or request cannot be
    /// taken; `Error::NoAuthority` where this server has no authority.
    pub async fn issue(
        &self,
        permit: &Permit,
        request: CredentialRequest,
        now: Timestamp,
    ) -> Result<IssuedCredential, Error> {
        permit.check(Action::CredentialCreate, Resource::Tenant)?;
        if request.days == 0 || request.days > DAYS_MAX {
            return Err(Invalid("the validity must be from 1 to 3650 days").into());
        }
        let authority = Arc::clone(self.authority.as_ref().ok_or(Error::NoAuthority)?);
        // Only a domain that exists gets certificates.
        let keys = self.scope.keys(permit).await?;
        let (domain, name) = (keys.id(), request.name.clone());
        let issue = move || {
            let key = match &request.key {
                KeySource::Fresh(kind) => pki::KeySource::Fresh(*kind),
                KeySource::Request(csr) => pki::KeySource::Request(csr),
            };
            authority.issue_access(&Subject::Domain(domain), &request.name, key, now, request.days)
        };
        // RSA keys take seconds to find.
        let issued = tokio::task::spawn_blocking(issue)
            .await
            .map_err(|_| Error::Authority(pki::Error::Random))?;
        let issued = issued.map_err(|error| match error {
            pki::Error::Request(_) | pki::Error::CommonName(_) | pki::Error::Validity => {
                Error::CertificateRefused(error)
            }
            ours => Error::Authority(ours),
        })?;
        self.remember(&keys, name, &issued, now).await?;
        Ok(IssuedCredential {
            certificate_pem: issued.certificate_pem,
            key: issued.key,
            expires_at: Timestamp::from_unix_seconds(issued.validity.not_after),
        })
    }

    async fn remember(
        &self,
        keys: &DomainKeys,
        name: String,
        issued: &Issued,
        now: Timestamp,
    ) -> Result<(), Error> {
        // As it will be read when it is shown.
        let identity = CertIdentity::from_der(&issued.certificate_der)
            .map_err(|_| Error::Authority(pki::Error::Sign))?;
        let validity = identity.validity();
        let credential = Credential {
            name,
            serial: identity.serial().significant().to_vec(),
            key_sha256: *identity.public_key_sha256(),
            issued_at: now,
            begins_at: Timestamp::from_unix_seconds(validity.not_before),
            ends_at: Timestamp::from_unix_seconds(validity.not_after),
            is_from_request: issued.key.is_none(),
        };
        let millis = u64::try_from(now.unix_nanos() / 1_000_000).unwrap_or_default();
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &crypto::random()?)
            .into_uuid()
            .into_bytes();
        let change = Change { name: ChangeName::IssueCredential, turns: &[] };
        self.scope
            .unit(change, keys, OneRecord::of::<Credential>(keys, &id), |_, draft| {
                draft.put(&id, &credential)
            })
            .await
    }
}
