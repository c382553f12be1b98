//! Secrets and their versions.
//!
//! Reading is in [`read`], lists by folders in [`browse`], and writing, which always goes the same
//! way, in [`write`].

mod browse;
mod checking;
pub(super) mod index;
mod leaving;
mod lifecycle;
mod read;
mod relocate;
mod search;
mod transfer;
mod upsert;
mod write;

use std::sync::Arc;

#[cfg(test)]
pub(super) use self::search::LOOKED_AT;
pub use self::{
    browse::{Browse, ListEntry, Listed},
    lifecycle::{Described, Expects, OverSecret, Put, Written},
    read::{History, Include},
    relocate::{Relocated, Relocation, Way},
    search::{EndingPage, Search, SearchPage, Within},
    transfer::{Leave, Transfer, Transferred},
    upsert::{Adding, Making, Remaining},
    write::{Acted, ActedVersion, MetadataWrite, Patched, Through, Versions},
};
pub(super) use self::{
    checking::domains,
    read::may_see,
    write::{Existing, More, SecretBasis, draft_added},
};
use super::{accesses::Accesses, opened::Opened, scope::Scope, usages::Usages};
use crate::{
    crypto::SecretValue,
    model::{Cas, Header, MetadataPatch, SeenVersion, Settings, VersionNumber},
};

/// A secret as it is shown.
#[derive(Debug)]
pub struct Secret {
    /// Its header.
    pub header: Arc<Header>,
    /// The version asked for; `None` where the secret has none yet.
    pub version: Option<VersionView>,
}

/// A version as it is shown.
#[derive(Debug)]
pub struct VersionView {
    /// Its number.
    pub number: VersionNumber,
    /// Its record: the state follows from it and from now.
    pub record: SeenVersion,
    /// Its value, where it was asked for and may be read.
    pub value: Option<SecretValue>,
}

/// A secret that was just created or changed.
#[derive(Debug)]
pub struct Changed {
    /// Its header after the change, for who may see a secret's metadata or has made all of it:
    /// others are told of what they have done alone.
    pub header: Option<Header>,
    /// The defaults of its domain and mount, which were in force.
    pub defaults: Settings,
    /// The version that was added, if one was.
    pub added: Option<(VersionNumber, SeenVersion)>,
}

/// A change to a secret: metadata, a new version, or both in one.
#[derive(Debug)]
pub struct Update {
    /// Changes to the metadata.
    pub patch: MetadataPatch,
    /// The new version's value.
    pub value: Option<SecretValue>,
    /// The current version that the writer expects.
    pub cas: Option<Cas>,
}

/// The use cases on secrets.
pub struct Secrets {
    scope: Scope,
    usages: Arc<Usages>,
    accesses: Arc<Accesses>,
    opened: Opened,
}

impl Secrets {
    pub(super) fn new(scope: Scope, usages: Arc<Usages>, accesses: Arc<Accesses>) -> Self {
        Self { scope, usages, accesses, opened: Opened::new() }
    }
}
