//! The dialect of canonical URIs: a secret, or a part of its value, is named by a URI in a query or a body, over
//! the same tree as all others.
//!
//! Always holds: all that begins with `/api/secrets` is this dialect's, and its errors have a code; what a URI
//! spells in several ways is one secret, and one resource for policies. Never does: call another server for what a
//! URI's scheme names.

mod bulk;
mod fields;
pub(super) mod file;
mod helpers;
mod in_file;
mod lists;
mod metadata;
mod named;
mod parts;
pub(super) mod recent;
mod relocate;
mod transfer;
pub(super) mod tree;
mod values;
mod versions;
mod words;

use hyper::http::request::Parts;

use super::{
    Call, Context, Dialect, Failed, Jwts, Operation, Reply, Route, bearer, operation::row,
    paths::tenant_named,
};
use crate::{
    auth::Action::{
        self, SecretCreate, SecretDelete, SecretGet, SecretList, SecretUpdateMetadata, SubkeysGet,
        VersionActivate, VersionCreate, VersionDeactivate, VersionDeactivateCurrent, VersionDelete,
        VersionGetData,
    },
    auth::jwt::Scope,
    model::Invalid,
};

/// The dialect.
pub(super) struct Canonical;

const BASE: &str = "/api";
/// A write, which makes the secret where there is none.
const WRITE: &[Action] = &[SecretCreate, VersionCreate];
/// What is listed is seen.
const LIST: &[Action] = &[SecretGet, SecretList];

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    row!(&["POST"], "/secrets", "UriWriteSecret", Write, WRITE, Tenant(values::write)),
    row!(&["GET", "HEAD"], "/secrets", "UriReadFile", Read, &[VersionGetData], Tenant(values::read_file)),
    row!(&["DELETE"], "/secrets", "UriDeleteSecret", Write, &[VersionDeactivateCurrent, VersionCreate, SecretDelete], Tenant(values::delete)),
    row!(&["GET", "HEAD"], "/secrets/value", "UriReadValue", Read, &[VersionGetData], Tenant(values::read)),
    row!(&["POST"], "/secrets/rotate", "UriRotateSecret", Write, WRITE, Tenant(values::rotate)),
    row!(&["GET", "HEAD"], "/secrets/metadata", "UriListMetadata", Read, LIST, Tenant(lists::list)),
    row!(&["GET", "HEAD"], "/secrets/search", "UriSearch", Read, LIST, Tenant(lists::search)),
    row!(&["GET", "HEAD"], "/secrets/keys", "UriReadKeys", Read, &[SubkeysGet], Tenant(values::keys)),
    row!(&["GET", "HEAD"], "/secrets/metadata/detail", "UriReadMetadata", Read, &[SecretGet], Tenant(metadata::detail)),
    row!(&["GET", "HEAD"], "/secrets/versions", "UriListVersions", Read, &[SecretGet], Tenant(metadata::versions)),
    row!(&["POST"], "/secrets/metadata/owner", "UriSetOwner", Write, &[SecretUpdateMetadata], Tenant(metadata::owner)),
    row!(&["POST"], "/secrets/undelete", "UriUndeleteVersions", Write, &[VersionActivate], Tenant(versions::undelete)),
    row!(&["POST"], "/secrets/destroy-versions", "UriDestroyVersions", Write, &[VersionDelete], Tenant(versions::destroy)),
    row!(&["POST"], "/secrets/bulk", "UriBulk", Write,
        &[SecretCreate, VersionCreate, VersionDeactivateCurrent, VersionDeactivate, VersionActivate, VersionDelete, SecretDelete],
        Tenant(bulk::bulk)),
    row!(&["POST"], "/secrets/copy", "UriCopySecret", Write,
        &[VersionGetData, SecretCreate, VersionCreate, SecretGet, SecretUpdateMetadata, SecretDelete], Tenant(transfer::copy)),
    row!(&["POST"], "/secrets/move", "UriMoveSecret", Write,
        &[VersionGetData, SecretCreate, VersionCreate, VersionDeactivateCurrent, SecretGet, SecretUpdateMetadata, SecretDelete],
        Tenant(transfer::relocate)),
    row!(&["GET", "HEAD"], "/secrets/audit", "UriAudit", Read, &[SecretGet], Tenant(helpers::audit)),
    row!(&["GET", "HEAD"], "/secrets/events", "UriEvents", Read, &[SecretGet], Tenant(helpers::events)),
];

/// The answer that tells a problem.
pub(super) fn error(failed: Failed, request_id: &str) -> Reply {
    words::render(failed, request_id)
}

impl Dialect for Canonical {
    fn name(&self) -> &'static str {
        "canonical"
    }

    fn bases(&self) -> &'static [&'static str] {
        &[BASE]
    }

    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    fn serves(&self, operation: &Operation, context: &Context) -> bool {
        let is_helper = matches!(operation.id, "UriAudit" | "UriEvents");
        context.uris.are_served && (!is_helper || context.uris.helpers.is_some())
    }

    fn needs_bearer(&self, context: &Context) -> bool {
        context.bearers.are_required
    }

    fn names_tenant<'h>(&self, head: &'h Parts) -> Result<Option<&'h str>, Invalid> {
        tenant_named(head)
    }

    fn brings_token(&self, head: &Parts) -> bool {
        // Several that differ are none, and refused by each operation.
        bearer::is_there(&head.headers)
    }

    fn jwts(&self, operation: &Operation, _: &Parts) -> Jwts {
        Jwts::AsConfigured(match operation.id {
            "UriReadFile" | "UriReadValue" => &[Scope::Read],
            "UriWriteSecret" => &[Scope::Write],
            "UriRotateSecret" => &[Scope::Rotate],
            "UriSetOwner" => &[Scope::SetOwner],
            "UriUndeleteVersions" => &[Scope::Delete],
            "UriDestroyVersions" => &[Scope::Destroy],
            "UriCopySecret" | "UriMoveSecret" => &[Scope::Read, Scope::Write],
            // What is done is known later, and is asked for there.
            "UriDeleteSecret" | "UriBulk" => &[],
            _ => &[Scope::ReadMetadata],
        })
    }

    fn render(&self, failed: Failed, call: &Call) -> Reply {
        error(failed, &call.request_id)
    }
}

/// Whether an address is one of this dialect.
pub(super) fn is_ours(pattern: &str) -> bool {
    let rest = pattern.strip_prefix(BASE);
    rest.is_some_and(|rest| ROUTES.iter().any(|route| route.pattern == rest))
}
