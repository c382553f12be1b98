//! Why a use case did not end as asked.

use std::sync::Arc;

use crate::{
    auth::{Denied, Unwitnessed, acl::PolicyFault, pdp::Purpose},
    crypto,
    model::{Excess, Faults, Invalid, MountError, Refused, Removal, Timestamp},
    pki,
    store::{
        engine::{CommitError, ReadError},
        kinds::Malformed,
    },
};

/// Why a use case did not end as asked. The dialects choose words and codes; this says what
/// happened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Somebody else has judged that it may not be done.
    #[error("the policy decision point does not permit this")]
    PdpDenied {
        /// What for.
        purpose: Purpose,
        /// By what the decision is known.
        id: Arc<str>,
    },
    /// Nobody has judged whether it may be done.
    #[error("the policy decision point has not decided: {0}")]
    PdpUnavailable(String),
    /// Something was to be done of which nobody was asked whether it may be.
    #[error("something was about to be done that was not judged")]
    Unjudged,
    /// There is no such domain.
    #[error("there is no such domain")]
    DomainNotFound,
    /// The domain's name is taken.
    #[error("a domain of this name exists")]
    DomainExists,
    /// The domain's alias is taken.
    #[error("a domain is called so already")]
    AliasTaken,
    /// There is no such secret.
    #[error("there is no such secret")]
    SecretNotFound,
    /// Events after that one are not kept any more.
    #[error("events after this one are not kept any more")]
    EventsGone,
    /// The secret was removed, and can be restored for a while.
    #[error("the secret was removed")]
    SecretRemoved(Removal),
    /// The secret has ended at that moment.
    #[error("the secret has ended")]
    SecretExpired(Timestamp),
    /// Another version is current than was expected: this one.
    #[error("another version is current")]
    Conflict(u32),
    /// A secret of such a name is not made.
    #[error("no secret of such a name is made")]
    PathRefused,
    /// The secret has no such version, or not any more.
    #[error("the secret has no such version, or it was pruned")]
    VersionNotFound,
    /// There is no such policy.
    #[error("there is no such policy")]
    PolicyNotFound,
    /// There is no such rotation policy.
    #[error("there is no such rotation policy")]
    RotationPolicyNotFound,
    /// There is no such secret policy.
    #[error("there is no such secret policy")]
    SecretPolicyNotFound,
    /// A policy of rotation or of values has this id.
    #[error("a policy of this name exists")]
    PolicyExists,
    /// A rotation policy names the secret policy.
    #[error("a rotation policy names this policy")]
    PolicyInUse,
    /// Fields of an input break rules.
    #[error("fields break rules: {0}")]
    Fields(#[from] Faults),
    /// There is no such rule.
    #[error("there is no such rule")]
    RuleNotFound,
    /// There is no such authority of a customer.
    #[error("there is no such authority")]
    CaNotFound,
    /// The authority was given no revocation list.
    #[error("the authority was given no revocation list")]
    CaListNotFound,
    /// There is no such user.
    #[error("there is no such user")]
    UserNotFound,
    /// A user that is to be made has no password.
    #[error("a new user has no password")]
    NoPassword,
    /// There is no such user, or it has another password.
    #[error("no user has this name and password")]
    LoginFailed,
    /// Logins have failed too often, for so many seconds more.
    #[error("too many logins have failed")]
    LockedOut(u64),
    /// The path is taken.
    #[error("a secret exists at this path")]
    SecretExists,
    /// The rules refuse the write.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// An input breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A text is no policy in Vault's language.
    #[error("the text is no policy")]
    Policy(#[source] PolicyFault),
    /// A deleted version stays deleted.
    #[error("the version is deleted, which is final")]
    VersionDeleted,
    /// There can be no such mount.
    #[error("there can be no such mount")]
    Mount(MountError),
    /// The token is none, is over, or belongs to another key.
    #[error("the token is not valid here")]
    TokenInvalid,
    /// The domain has as many tokens as it may.
    #[error("the domain has as many tokens as it may")]
    TooManyTokens,
    /// The domain has as much as it may.
    #[error("the domain has as much as it may")]
    Excess(Excess),
    /// The token is one that cannot be renewed.
    #[error("the token cannot be renewed")]
    NotRenewable,
    /// Nothing is wrapped under the token, or not any more.
    #[error("nothing is wrapped under the token")]
    NothingWrapped,
    /// A certificate request cannot be granted.
    #[error(transparent)]
    CertificateRefused(pki::Error),
    /// A revocation list cannot be taken.
    #[error("the revocation list cannot be used: {0}")]
    ListRefused(pki::ListFault),
    /// There is no such access certificate.
    #[error("there is no such access certificate")]
    CredentialNotFound,
    /// The certificate that asks is none that renews itself.
    #[error("the certificate does not renew itself")]
    NotSelfRenewing,
    /// A policy or a rule of the domain is damaged.
    #[error("a policy or rule of the domain is damaged")]
    Closed,
    /// The authority signs no lists of what was revoked.
    #[error("the authority signs no revocation lists")]
    NoList,
    /// This server has no key to issue certificates with.
    #[error("this server does not issue certificates")]
    NoAuthority,
    /// Other processes changed the record again and again.
    #[error("the record kept changing")]
    Contended,
    /// Too many long reads wait.
    #[error("too many long reads wait")]
    Busy,
    /// Too many writes wait.
    #[error("the write queue is full")]
    Overloaded,
    /// The change could not be recorded, so that it was not made.
    #[error(transparent)]
    Unwitnessed(#[from] Unwitnessed),
    /// The store does not answer.
    #[error("the store is not available")]
    Unavailable(#[source] crate::store::engine::Source),
    /// The write may have happened or not.
    #[error("the outcome of the write is not known")]
    OutcomeUnknown(#[source] crate::store::engine::Source),
    /// What is stored is damaged.
    #[error("a stored record is damaged")]
    Corrupt(#[source] crate::store::engine::Source),
    /// The cipher, or whoever holds the root key, failed.
    #[error("the cipher failed")]
    Cipher(#[source] crypto::Error),
    /// The root key is not the one that this store was made with.
    #[error("the root key is not the one that this store was made with")]
    WrongRootKey,
    /// Issuing a certificate failed on our side.
    #[error("the certificate authority failed")]
    Authority(#[source] pki::Error),
}

impl From<MountError> for Error {
    fn from(error: MountError) -> Self {
        Self::Mount(error)
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(source) => Self::Unavailable(source),
            ReadError::Corrupt(source) => Self::Corrupt(source),
        }
    }
}

impl From<crypto::Error> for Error {
    fn from(error: crypto::Error) -> Self {
        match error {
            crypto::Error::DoesNotOpen | crypto::Error::UnknownGeneration => {
                Self::Corrupt(error.into())
            }
            // Nothing is damaged by that: what was asked for may well work another time.
            crypto::Error::Library => Self::Cipher(error),
        }
    }
}

impl From<Malformed> for Error {
    fn from(error: Malformed) -> Self {
        Self::Corrupt(error.into())
    }
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict => Self::Contended,
            CommitError::Overloaded => Self::Overloaded,
            CommitError::Unavailable(source) => Self::Unavailable(source),
            CommitError::Corrupt(source) => Self::Corrupt(source),
            CommitError::OutcomeUnknown(source) => Self::OutcomeUnknown(source),
        }
    }
}
