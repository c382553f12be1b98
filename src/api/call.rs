//! A request on its way to a handler.

use std::{
    fmt::{self, Display},
    future::Future,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, atomic::AtomicBool},
};

use bytes::Bytes;
use hyper::{header::HeaderValue, http::request::Parts};

use super::{Failed, Issuer, Params, Recent, SecretFile, seats::Feeds};
use crate::{
    auth::{Party, RegionPermit},
    model::{Circumstances, DeviceName, MountPath, OkmsId, SecretPath, Timestamp, TokenLife},
    service::Service,
};

/// What all handlers share.
pub struct Context {
    /// The use cases.
    pub service: Arc<Service>,
    /// The region's name, as in URNs.
    pub region: String,
    /// Where clients reach this server, without a slash at the end.
    pub endpoint: String,
    /// The largest value, in bytes.
    pub value_bytes: usize,
    /// For how many seconds a secret that was removed can be restored.
    pub retention_seconds: u64,
    /// The largest answer that is kept for somebody else, in bytes.
    pub wrapped_bytes: usize,
    /// How long tokens live.
    pub token_life: Box<dyn Fn() -> TokenLife + Send + Sync>,
    /// Whether users log in without a certificate, too.
    pub visitors: Arc<AtomicBool>,
    /// Whose JWTs are taken, and what is asked of bearers.
    pub bearers: Bearers,
    /// What is served of the dialect of canonical URIs.
    pub uris: UriTerms,
    /// What is served of the dialect of path secrets.
    pub paths: PathTerms,
    /// The server's figures, in Prometheus' text form.
    pub figures: Box<dyn Fn() -> Vec<u8> + Send + Sync>,
    /// The places for answers that tell what happens as it happens.
    pub feeds: Arc<Feeds>,
    /// Where the records of the audit trail go.
    pub audit_devices: Arc<dyn AuditDevices>,
}

/// Whose JWTs are taken, and what is asked of bearers where a dialect goes by the configuration.
pub struct Bearers {
    /// Who signs them, where anybody does.
    pub issuer: Option<Arc<Issuer>>,
    /// Whether each request that is about URIs brings a bearer, too.
    pub are_required: bool,
    /// Whether the scopes of a JWT count beside a certificate, too.
    pub enforce_scopes: bool,
}

/// What is served of the dialect of canonical URIs.
pub struct UriTerms {
    /// Whether anything is.
    pub are_served: bool,
    /// The mounts that URIs may name; all where none is told.
    pub mounts: Vec<MountPath>,
    /// How many entries a page of a list has where nobody says.
    pub page_size: usize,
    /// What helps whoever develops, where that is served.
    pub helpers: Option<UriHelpers>,
    /// The file of secrets for whoever develops, where there is one.
    pub file: Option<Arc<dyn SecretFile>>,
}

/// What helps whoever develops.
pub struct UriHelpers {
    /// What was asked of late.
    pub recent: Arc<Recent>,
    /// The places for those who are told as it happens.
    pub feeds: Arc<Feeds>,
}

/// What is served of the dialect of path secrets.
pub struct PathTerms {
    /// Whether anything is.
    pub are_served: bool,
    /// Whether each request brings a bearer, too.
    pub need_bearer: bool,
}

impl UriTerms {
    /// Whether URIs may name this mount.
    pub(super) fn allow(&self, mount: &MountPath) -> bool {
        self.mounts.is_empty() || self.mounts.contains(mount)
    }
}

/// Something about audit devices on its way.
pub type Doing<'a> = Pin<Box<dyn Future<Output = Result<(), Failed>> + Send + 'a>>;

/// What stands for a path, on its way.
pub type Hashing<'a> = Pin<Box<dyn Future<Output = Result<String, Failed>> + Send + 'a>>;

/// What knows the audit devices, and opens and closes those that are enabled over the API.
pub trait AuditDevices: Send + Sync {
    /// All that there are.
    fn views(&self) -> Vec<AuditDeviceView>;

    /// Another one gets what is recorded from now on.
    fn enable<'a>(&'a self, permit: &'a RegionPermit, device: NewAuditDevice) -> Doing<'a>;

    /// It gets nothing any more.
    fn disable<'a>(&'a self, permit: &'a RegionPermit, name: &'a str) -> Doing<'a>;

    /// What stands for a path of a domain where records tell no paths.
    fn hashed<'a>(&'a self, id: OkmsId, path: &'a str) -> Hashing<'a>;
}

/// An audit device that is to be enabled: a file.
pub struct NewAuditDevice {
    /// Its name.
    pub name: DeviceName,
    /// Where the client wants its file.
    pub file_path: String,
    /// Whether a record that it does not take counts as none.
    pub is_required: bool,
    /// Whether it gets records as Vault writes them.
    pub has_vaults_form: bool,
    /// What people say of it.
    pub description: String,
}

/// An audit device, as it is shown.
#[derive(Clone)]
pub struct AuditDeviceView {
    /// Its name, which no other has.
    pub name: String,
    /// What it is, in Vault's words.
    pub kind: &'static str,
    /// What people say of it.
    pub description: String,
    /// How it is set.
    pub options: Vec<(&'static str, String)>,
}

impl Context {
    /// A domain's name in policies.
    pub(super) fn domain_urn(&self, id: OkmsId) -> Urn<'_> {
        Urn { region: &self.region, id, path: None }
    }

    /// A secret's name in policies.
    pub(super) fn secret_urn<'a>(&'a self, id: OkmsId, path: &'a SecretPath) -> Urn<'a> {
        Urn { region: &self.region, id, path: Some(path) }
    }
}

/// A name in policies.
pub(super) struct Urn<'a> {
    region: &'a str,
    id: OkmsId,
    path: Option<&'a SecretPath>,
}

impl Display for Urn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { region, id, path } = self;
        write!(f, "urn:v1:{region}:resource:okms:{id}")?;
        path.map_or(Ok(()), |path| write!(f, "/secret/{path}"))
    }
}

/// A request on its way.
pub struct Call {
    /// Its URL and headers, as sent, and the method that it means.
    pub head: Parts,
    /// Whether the head of the answer is asked for alone; the method is then the one that it is of.
    pub is_head: bool,
    /// The parameters in its address.
    pub params: Params,
    /// Its body; empty for methods that have none.
    pub body: Bytes,
    /// The moment at which it counts.
    pub now: Timestamp,
    /// That moment by the machine's clock, by which certificates live.
    pub machine_now: Timestamp,
    /// Where its client is, if that is known. Nothing else says so, whatever headers there are.
    pub client: Option<IpAddr>,
    /// Whose it is, where that is known.
    pub caller: Option<Party>,
    /// Its id.
    pub request_id: Arc<str>,
}

impl Call {
    /// What the conditions of policies are held against.
    #[must_use]
    pub const fn circumstances(&self) -> Circumstances {
        Circumstances::new(self.now, self.client)
    }

    /// Its query, as sent.
    #[must_use]
    pub fn query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }

    /// A header that is not empty.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&HeaderValue> {
        self.head.headers.get(name).filter(|value| !value.is_empty())
    }
}
