//! The dialect of `HashiCorp` Vault and `OpenBao`: KV version 2, and as much of `sys/` and `auth/`
//! as its clients need.
//!
//! Always holds: the certificate alone authenticates, or, where the operator lets users in without one,
//! the token of a login; a token that comes along must be good on this very connection; every answer is one that the clients take for Vault's. `docs/COMPATIBILITY.md`
//! says where Vault, `OpenBao` and `OVHcloud` differ, and what is done here.

#![allow(clippy::unused_async, reason = "a handler is async whether it has to wait or not")]

mod address;
mod around;
mod asked;
pub(super) mod audit_devices;
mod auth;
mod auth_methods;
mod capabilities;
mod certs;
mod envelope;
mod fields;
mod kv;
mod lists;
mod mounts;
mod policies;
mod quotas;
mod routes;
mod status;
mod tools;
mod userpass;
mod words;
mod wrapping;

pub(super) use self::{address::follows_a_mount, kv::history};

use std::borrow::Cow;

use hyper::{Method, Uri, http::request::Parts};

use super::{
    Address, Call, Captures, Dialect, Effect, Failed, Operation, Params, Reply, Route, TenantName,
};
use crate::{
    auth::{Thing, acl::Addressed},
    model::{Invalid, OkmsId},
};

/// The dialect.
pub(super) struct Vault;

impl Dialect for Vault {
    fn name(&self) -> &'static str {
        "vault"
    }

    fn bases(&self) -> &'static [&'static str] {
        &address::BASES
    }

    fn routes(&self) -> &'static [Route] {
        routes::ROUTES
    }

    fn address<'u>(&self, method: &Method, uri: &'u Uri) -> Option<Address<'u>> {
        address::parse(method, uri)
    }

    fn named<'p>(
        &self,
        address: &'p Address<'_>,
        captures: &Captures<'p>,
    ) -> Option<(Thing, Cow<'p, str>)> {
        address::named(address, captures)
    }

    fn addressed(&self, address: &Address<'_>) -> Option<Addressed> {
        address::addressed(address)
    }

    fn brings_token(&self, head: &Parts) -> bool {
        asked::token(&head.headers).is_some()
    }

    fn visited(
        &self,
        operation: &Operation,
        address: &Address<'_>,
        head: &Parts,
    ) -> Option<OkmsId> {
        if operation.id != routes::USER_LOGIN && !self.brings_token(head) {
            return None;
        }
        match &address.tenant {
            Some(TenantName::Id(named)) => named.ok(),
            _ => asked::namespace(&head.headers),
        }
    }

    fn params(&self, address: &Address<'_>, captures: &Captures<'_>) -> Result<Params, Invalid> {
        Ok(address::params(address, captures))
    }

    /// An answer that the client wants kept is stored, even that of a read.
    fn effect(&self, operation: &Operation, head: &Parts) -> Effect {
        match operation.effect {
            Effect::Read if asked::wrap_ttl(&head.headers).is_some() => Effect::Write,
            effect => effect,
        }
    }

    /// LIST and SCAN are what GET is.
    fn is_safe(&self, method: &Method) -> bool {
        [Method::GET, Method::HEAD].contains(method) || ["LIST", "SCAN"].contains(&method.as_str())
    }

    fn render(&self, failed: Failed, call: &Call) -> Reply {
        let mut reply = words::of(failed, call).into_reply(&call.request_id);
        asked::repeat_namespace(call, &mut reply);
        reply
    }
}
