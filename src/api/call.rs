//! A request on its way to a handler.

use std::{
    fmt::{self, Display},
    net::IpAddr,
    sync::{Arc, atomic::AtomicBool},
};

use bytes::Bytes;
use hyper::{header::HeaderValue, http::request::Parts};

use super::Params;
use crate::{
    auth::Party,
    model::{Circumstances, OkmsId, SecretPath, Timestamp, TokenLife},
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
    /// The largest answer that is kept for somebody else, in bytes.
    pub wrapped_bytes: usize,
    /// How long tokens live.
    pub token_life: Box<dyn Fn() -> TokenLife + Send + Sync>,
    /// Whether users log in without a certificate, too.
    pub visitors: Arc<AtomicBool>,
    /// The server's figures, in Prometheus' text form.
    pub figures: Box<dyn Fn() -> Vec<u8> + Send + Sync>,
    /// Where the records of the audit trail go.
    pub audit_devices: Vec<AuditDeviceView>,
}

/// An audit device, as it is shown.
pub struct AuditDeviceView {
    /// Its name, which no other has.
    pub name: String,
    /// What it is, in Vault's words.
    pub kind: &'static str,
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
