//! The dialect of path secrets: secrets with types, tags, ends, soft deletion and rotation, over the
//! same tree as all others.
//!
//! Always holds: what these answers have beside custom metadata is kept apart from it, so that no other
//! dialect shows or loses it; an answer has the members that are published, and more only where it has
//! more to say. Never does: mounts, namespaces.

mod entered;
mod fields;
mod lists;
mod parse;
mod render;
mod secrets;
mod words;

use std::borrow::Cow;

use hyper::{Method, Uri, http::request::Parts};

use super::{
    Address, Call, Captures, Dialect, Failed, Params, Reply, Route,
    operation::{literal, row},
    query,
};
use crate::{
    auth::Action::{
        SecretCreate, SecretDelete, SecretGet, SecretList, SecretUpdateMetadata, VersionActivate,
        VersionCreate, VersionDeactivate, VersionDelete, VersionGetData,
    },
    model::Invalid,
};

/// The dialect.
pub(super) struct Paths;

pub(super) const BASES: &[&str] = &["/v1", "/v1/t/{okmsId}"];

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    row!(&["GET"], "/secrets", "PathListSecrets", Read, &[SecretGet, SecretList], Tenant(lists::list)),
    row!(&["GET"], "/secrets/expiring", "PathExpiringSecrets", Read, &[SecretGet, SecretList], Tenant(lists::expiring)),
    row!(&["POST"], "/secrets/batch", "PathReadBatch", Read, &[VersionGetData], Tenant(lists::batch)),
    row!(&["GET"], "/secrets/metadata/{path}", "PathReadMetadata", Read, &[SecretGet], Tenant(secrets::metadata)),
    row!(&["GET"], "/secrets/{path}/versions", "PathListVersions", Read, &[SecretGet], Tenant(secrets::versions)),
    row!(&["POST"], "/secrets/{path}/restore", "PathRestoreSecret", Write, &[VersionActivate], Tenant(secrets::restore)),
    row!(&["GET"], "/secrets/{path}", "PathReadSecret", Read, &[VersionGetData], Tenant(secrets::read)),
    row!(&["PUT"], "/secrets/{path}", "PathWriteSecret", Write, &[SecretCreate, VersionCreate, SecretUpdateMetadata], Tenant(secrets::put)),
    row!(&["PATCH"], "/secrets/{path}", "PathPatchSecret", Write, &[SecretUpdateMetadata], Tenant(secrets::patch)),
    row!(&["DELETE"], "/secrets/{path}", "PathDeleteSecret", Write, &[VersionDeactivate, SecretDelete, VersionDelete], Tenant(secrets::delete)),
];

/// The answer that tells a problem.
pub(super) fn error(failed: Failed, request_id: &str) -> Reply {
    words::render(failed, request_id)
}

impl Dialect for Paths {
    fn name(&self) -> &'static str {
        "paths"
    }

    fn bases(&self) -> &'static [&'static str] {
        BASES
    }

    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    fn address<'u>(&self, method: &Method, uri: &'u Uri) -> Option<Address<'u>> {
        // HEAD asks for what GET does, and for no body.
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        literal(BASES, ROUTES, method, uri)
    }

    /// A path is read where it is asked for: what is wrong with one has a code of its own.
    fn params(&self, _: &Address<'_>, captures: &Captures<'_>) -> Result<Params, Invalid> {
        let name = captures.tail.map(|raw| query::decode(raw).map(Cow::into_owned));
        Ok(Params { name: name.transpose()?, ..Params::default() })
    }

    fn brings_token(&self, head: &Parts) -> bool {
        entered::bearer(&head.headers).is_some()
    }

    fn render(&self, failed: Failed, call: &Call) -> Reply {
        error(failed, &call.request_id)
    }
}
