//! Who is told what a permit was asked, and what was done by it: the audit trail.
//!
//! Always holds: what a permit has decided is told before anything is done by it; a change is
//! announced before it happens. Never does: decide.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use super::{
    action::{Action, Resource},
    pdp::Purpose,
    word::Word,
};
use crate::model::{AuditMark, VersionNumber};

/// A change could not be announced, so that it must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the change could not be recorded, so that it was not made")]
pub struct Unwitnessed;

/// What has become of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is stored.
    Happened,
    /// It is not, and will not be.
    DidNotHappen,
    /// Nobody knows yet.
    Unknown,
}

/// An announcement on its way.
pub type Announcing<'a> = Pin<Box<dyn Future<Output = Result<AuditMark, Unwitnessed>> + Send + 'a>>;

/// Something of a request that is known only once it is worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail<'a> {
    /// The accessor of the token that it brings.
    Token(&'a str),
    /// The user for whom that stands, or who wants to log in.
    User(&'a str),
    /// An identity that the rules give.
    Identity(&'a str),
    /// The number of the version that was read or added.
    Version(u32),
    /// The numbers of versions that were asked for; in their place, of those that are changed.
    Versions(&'a [VersionNumber]),
    /// Something that it is about.
    About(Thing, &'a str),
    /// The part of a secret's value that it is about: the secret's path, and the part's own name, of which
    /// nothing is told but what stands for it.
    Part(&'a str, &'a str),
    /// Why it is asked for, in the words of whoever asks.
    Reason(&'a str),
    /// What whoever else judges it has said.
    Judged {
        /// By what the decision is known.
        id: &'a str,
        /// Whether it permits it.
        is_permitted: bool,
        /// The path of the secret that it is about, if it is about one.
        path: Option<&'a str>,
    },
    /// One of the many things that it is about failed: with which status and problem its answer says so, if it
    /// says that.
    Failed(Option<(u16, &'static str)>),
}

/// What a request can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A secret, by its path.
    Secret,
    /// A folder of secrets, by what their paths begin with.
    Folder,
    /// A domain, by its id.
    Domain,
    /// A policy, by its name, or its id.
    Policy,
    /// A rule that maps certificates, or a role of Vault's certificate method, by its name.
    Rule,
    /// A user, by its name.
    User,
    /// An access certificate, by its id.
    Credential,
    /// A certificate, by its serial number.
    Certificate,
    /// Whom a certificate is for, by its common name.
    Subject,
    /// A token, by its accessor.
    Token,
    /// A customer's authority, by its name.
    Ca,
    /// A mount, by its path.
    Mount,
    /// A method of authentication, by its path.
    AuthMethod,
    /// A quota, by its name.
    Quota,
    /// An audit device, by its name.
    AuditDevice,
}

impl Thing {
    /// How records call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Folder => "folder",
            Self::Domain => "domain",
            Self::Policy => "policy",
            Self::Rule => "rule",
            Self::User => "user",
            Self::Credential => "credential",
            Self::Certificate => "certificate",
            Self::Subject => "subject",
            Self::Token => "token",
            Self::Ca => "ca",
            Self::Mount => "mount",
            Self::AuthMethod => "auth_method",
            Self::Quota => "quota",
            Self::AuditDevice => "audit_device",
        }
    }

    /// Whether it is in the tree of secrets.
    #[must_use]
    pub const fn is_in_tree(self) -> bool {
        matches!(self, Self::Secret | Self::Folder)
    }

    /// Whether its name is a path in that tree, or the beginning of some.
    #[must_use]
    pub const fn is_path(self) -> bool {
        matches!(self, Self::Secret | Self::Folder | Self::Mount)
    }
}

/// Sees what is done in one request.
pub trait Witness: Send + Sync + fmt::Debug {
    /// Something was found out.
    fn learns(&self, detail: Detail<'_>);

    /// A permit was asked, and has answered, by the word of that policy, if it is one that decides.
    /// It was asked for that purpose, where it is of secrets.
    fn decided(
        &self,
        asked: (Action, Option<Purpose>),
        resource: Resource<'_>,
        is_allowed: bool,
        by: Option<Word>,
    );

    /// The change of this name is about to happen. Its mark is to be stored with it.
    fn announce(&self, change: &'static str) -> Announcing<'_>;

    /// What has become of a change that was announced.
    fn ended(&self, mark: AuditMark, fate: Fate);

    /// Who sees what becomes of one of the many secrets that the request is about, by its path.
    fn item(self: Arc<Self>, path: &str) -> Arc<dyn Witness>;
}
