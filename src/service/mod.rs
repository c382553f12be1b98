//! The use cases, free of HTTP.
//!
//! Owns what happens between a permit and an outcome: read a snapshot, let [`crate::model`]
//! decide, seal, commit with preconditions, and again on a conflict. Here the store and the cipher
//! meet, and only here. Always holds: no work without a permit, whose domain is the only one
//! touched; a write is one commit. Never does: parsing or rendering a dialect, choosing status
//! codes, reading a clock.

mod access;
mod accesses;
mod announced;
mod aside;
mod audit_devices;
mod changes;
mod counts;
mod credentials;
mod cursor;
mod customer_cas;
mod endings;
mod error;
mod events;
mod follower;
mod issued;
mod judge;
mod keyring;
mod lines;
mod members;
mod mounts;
mod names;
mod opened;
mod policies;
mod quotas;
mod records;
mod region;
mod revocations;
mod rotations;
mod scope;
mod secrets;
mod settings;
mod tenants;
#[cfg(test)]
mod tests;
mod tokens;
mod trail_feed;
mod trail_watch;
mod trails;
mod tries;
mod turns;
mod unit;
mod upgrade;
mod usages;
mod users;
mod values;
mod wrapping;

use std::sync::Arc;

pub use self::{
    access::{AccessControl, ByRole, FoundPolicy, RoleCertificate},
    accesses::Accesses,
    audit_devices::AuditDevices,
    changes::ChangeName,
    credentials::{
        CredentialRequest, Credentials, IssuedCredential, KeySource, KnownCredential, Renewal,
    },
    cursor::FORGED as FORGED_CURSOR,
    customer_cas::{CaListRequest, CaRequest, CustomerAuthorities, KnownCa, KnownCaList},
    endings::{Ending, Endings},
    error::Error,
    events::{EventFeed, EventPage, Events, EventsSince, ToldEvent},
    judge::{Decided, Judge, OnDecision},
    mounts::{MountPatch, Mounts},
    policies::{
        AttachedSecret, DueSearch, KnownRotationPolicy, KnownSecretPolicy, RotationPolicies,
        SecretPolicies,
    },
    quotas::{Bounded, Quotas},
    revocations::Revocations,
    rotations::{
        DueRotation, ROTATIONS_OF_A_ROUND, Rotate, Rotated, RotationHistory, Rotations, ValueRules,
    },
    scope::{Ended, OnCommit},
    secrets::{
        Acted, ActedVersion, Adding, Browse, Changed, Described, EndingPage, Expects, History,
        Include, Leave, ListEntry, Listed, Making, MetadataWrite, OverSecret, Patched, Put,
        Relocated, Relocation, Remaining, Search, SearchPage, Secret, Secrets, Through, Transfer,
        Transferred, Update, VersionView, Versions, Way, Within, Written,
    },
    settings::Defaults,
    tenants::{Domain, DomainPatch, Tenants},
    tokens::{Accessors, FreshToken, KnownBy, KnownToken, Presented, TokenRequest, Tokens},
    trail_feed::{Followed, Since, TrailFeed},
    trails::{LookedAt, TrailBounds, TrailLine, Trails},
    upgrade::Upgrade,
    usages::Usages,
    users::{LoginSource, UserPatch, Users},
    values::Made,
    wrapping::{Unwrapped, WrapInfo, Wrapping},
};
use self::{scope::Scope, values::Values};
use crate::{
    auth::{Denied, Permit, anchors::Anchors},
    crypto::{self, RootKey},
    fair::Weights,
    model::{AuditMark, BuiltIn, Circumstances, Quota, Timestamp},
    pki::CertificateAuthority,
    store::engine::Engine,
};
pub use crate::{
    crypto::{Password, SecretValue},
    pki::{KeyKind, Serial},
    store::engine::Health,
};

/// Every use case.
pub struct Service {
    /// Tenants.
    pub tenants: Tenants,
    /// Defaults of tenants.
    pub defaults: Defaults,
    /// Mounts of tenants.
    pub mounts: Mounts,
    /// Secrets and their versions.
    pub secrets: Arc<Secrets>,
    /// How often they are read.
    pub accesses: Arc<Accesses>,
    /// Access certificates.
    pub credentials: Credentials,
    /// Policies, and the rules that give them to certificates.
    pub access: Arc<AccessControl>,
    /// Authorities of customers.
    pub customer_cas: CustomerAuthorities,
    /// Certificates that were taken back.
    pub revocations: Arc<Revocations>,
    /// What tenants may take.
    pub quotas: Arc<Quotas>,
    /// What they have.
    pub usages: Arc<Usages>,
    /// The order in which access certificates end.
    pub endings: Endings,
    /// Users, who log in with a password.
    pub users: Users,
    /// Tokens, for clients that insist on one.
    pub tokens: Arc<Tokens>,
    /// Answers that wait for whoever brings their token.
    pub wrapping: Wrapping,
    /// Domains' own views of the audit trail.
    pub trails: Trails,
    /// How often secrets are rotated.
    pub rotation_policies: RotationPolicies,
    /// How values of secrets are made.
    pub secret_policies: SecretPolicies,
    /// Secrets get new values.
    pub rotations: Rotations,
    /// Audit devices that are enabled over the API.
    pub audit_devices: AuditDevices,
    /// What happens to secrets.
    pub events: Arc<Events>,
    scope: Scope,
}

impl Service {
    /// The use cases over these parts. Without a certificate authority, none are issued; a
    /// certificate that no rule is about has the policy `default`, and a tenant that no operator has
    /// set bounds for those of `bounds`. Customers' authorities are told to the `anchors`.
    ///
    /// # Errors
    /// `Error::WrongRootKey` where the store was made with another root key; `Error` where it
    /// cannot be read.
    pub async fn open(
        engine: Arc<dyn Engine>,
        root: Arc<dyn RootKey>,
        authority: Option<CertificateAuthority>,
        (default, bounds, weights): (BuiltIn, Quota, Arc<Weights>),
        anchors: Arc<Anchors>,
        on_commit: OnCommit,
    ) -> Result<Self, Error> {
        region::open(&*engine, &*root).await?;
        let scope = Scope::new(engine, root, weights, on_commit);
        let authority = authority.map(Arc::new);
        let revocations = Revocations::open(scope.clone(), authority.clone()).await?;
        let revocations = Arc::new(revocations);
        let quotas = Arc::new(Quotas::open(scope.clone(), bounds).await?);
        let tokens = Arc::new(Tokens::new(scope.clone(), Arc::clone(&quotas)));
        let usages = Arc::new(Usages::new(scope.clone(), Arc::clone(&quotas)));
        let accesses = Arc::new(Accesses::new(scope.clone()));
        let secrets = Secrets::new(scope.clone(), Arc::clone(&usages), Arc::clone(&accesses));
        let secrets = Arc::new(secrets);
        let access = Arc::new(AccessControl::open(scope.clone(), default).await?);
        let values = Arc::new(Values::new(scope.weights()));
        let rotations = Rotations::new(scope.clone(), Arc::clone(&secrets), Arc::clone(&values));
        Ok(Self {
            tenants: Tenants::new(scope.clone()),
            defaults: Defaults::new(scope.clone()),
            mounts: Mounts::new(scope.clone(), Arc::clone(&access), Arc::clone(&secrets)),
            secrets,
            accesses,
            credentials: Credentials::new(
                scope.clone(),
                authority,
                Arc::clone(&revocations),
                Arc::clone(access.directory()),
                Arc::clone(&tokens),
            ),
            endings: Endings::new(scope.clone(), Arc::clone(&revocations)),
            customer_cas: CustomerAuthorities::open(scope.clone(), anchors).await?,
            revocations,
            users: Users::new(scope.clone(), Arc::clone(&access)),
            access,
            tokens,
            quotas,
            audit_devices: AuditDevices::new(scope.clone()),
            events: Arc::new(Events::new(scope.clone())),
            rotation_policies: RotationPolicies::new(scope.clone()),
            secret_policies: SecretPolicies::new(scope.clone(), values),
            rotations,
            usages,
            wrapping: Wrapping::new(scope.clone()),
            trails: Trails::new(scope.clone()),
            scope,
        })
    }

    /// Has what permits allow judged by this one, too, from now on.
    pub fn is_judged_by(&self, judge: Judge) {
        let (revocations, access) =
            (Arc::clone(&self.revocations), Arc::clone(self.access.directory()));
        let standing = move |permit: &Permit, now: Timestamp| {
            permit.stands(revocations.revoked(), now, &access)
        };
        self.scope.is_judged_by(judge.held_against(Box::new(standing)));
    }

    /// Whether somebody judges what permits allow, so that each permit needs a docket.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        self.scope.is_judged()
    }

    /// Has all judged at once that the permit says is to be asked by and by ([`Permit::ahead`]).
    ///
    /// # Errors
    /// `Error::DomainNotFound`; `Error` where the store cannot be read.
    pub async fn foresees(&self, permit: &Permit) -> Result<(), Error> {
        self.scope.foresee(permit).await
    }

    /// Goes on if all that the permit was asked may be done.
    ///
    /// # Errors
    /// `Error::PdpDenied` where it may not; `Error::PdpUnavailable` where nobody knows.
    pub async fn settles(&self, permit: &Permit) -> Result<(), Error> {
        if permit.is_open() { self.scope.keys(permit).await.map(drop) } else { Ok(()) }
    }

    /// So many random bytes, for whoever wants some.
    ///
    /// # Errors
    /// `Error` where there is no randomness.
    pub fn random(&self, bytes: usize) -> Result<SecretValue, Error> {
        Ok(crypto::random_bytes(bytes)?)
    }

    /// The permit that whoever has this one would be given by now, by the certificate alone: for what
    /// goes on after a request was answered. None where it would be given none.
    pub async fn renewed(
        &self,
        permit: Permit,
        machine_now: Timestamp,
        circumstances: Circumstances,
    ) -> Option<Permit> {
        let renewed = || {
            let (revoked, access) = (self.revocations.revoked(), self.access.directory());
            permit.renewed(revoked, machine_now, access, circumstances)
        };
        match renewed() {
            Err(Denied::Untraced) => {
                self.credentials.trace(permit.principal()).await.ok()?;
                renewed().ok()
            }
            renewed => renewed.ok(),
        }
    }

    /// Whether the change has happened that the audit trail has announced with this mark.
    ///
    /// # Errors
    /// `Error` where the store cannot be read.
    pub async fn has_happened(&self, mark: &AuditMark) -> Result<bool, Error> {
        self.scope.has_happened(mark).await
    }

    /// Whether these changes have happened of which the store did not know when they were made, in their
    /// order.
    ///
    /// # Errors
    /// `Error` where it does not know yet.
    pub async fn settle(&self, marks: &[AuditMark]) -> Result<Vec<bool>, Error> {
        self.scope.settle(marks).await
    }

    /// Changes that have happened, and that a trail has announced behind its record of this number:
    /// a trail that ends with that has lost their records.
    ///
    /// # Errors
    /// `Error` where the store cannot be read.
    pub async fn announced_behind(
        &self,
        chain: [u8; 8],
        seq: u64,
    ) -> Result<Vec<AuditMark>, Error> {
        self.scope.announced_behind(chain, seq).await
    }

    /// Forgets that these were announced, once that is told otherwise.
    ///
    /// # Errors
    /// `Error` where the store takes no change.
    pub async fn forget_marks(&self, marks: &[AuditMark]) -> Result<(), Error> {
        self.scope.forget_marks(marks).await
    }

    /// How the store feels.
    #[must_use]
    pub fn health(&self) -> Health {
        self.scope.engine().health()
    }
}
