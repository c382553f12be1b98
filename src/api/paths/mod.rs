//! The dialect of path secrets: secrets with types, tags, ends, soft deletion and rotation, over the
//! same tree as all others.
//!
//! Always holds: what these answers have beside custom metadata is kept apart from it, so that no other
//! dialect shows or loses it; an answer has the members that are published, and more only where it has
//! more to say. Never does: mounts, namespaces.

mod entered;
mod fields;
mod lists;
mod paging;
mod parse;
mod render;
mod rotate;
mod rotation;
mod secret_policies;
mod secrets;
mod whoami;
mod words;

use std::borrow::Cow;

use hyper::{Method, Uri, http::request::Parts};

use super::{
    Address, Call, Captures, Context, Dialect, Failed, Jwts, Operation, Params, Reply, Route,
    TenantName, bearer,
    operation::{literal, row},
    query, vault,
};
use crate::{
    auth::Action::{
        ConfigGet, ConfigUpdate, DomainGet, SecretCreate, SecretDelete, SecretGet, SecretList,
        SecretUpdateMetadata, VersionActivate, VersionCreate, VersionDeactivate, VersionDelete,
        VersionGetData,
    },
    auth::jwt::Scope,
    model::Invalid,
};

/// The dialect, at one of the places where it is.
pub(super) struct Paths {
    bases: &'static [&'static str],
    routes: &'static [Route],
    /// Whether the tree is that of the partner.
    is_partners: bool,
}

/// The caller's own tree, or that of a tenant which is named.
pub(super) static OWN: Paths =
    Paths { bases: &["/v1", "/v1/t/{tenant}"], routes: ROUTES, is_partners: false };
/// What a partner keeps for all of its tenants: secrets, and nothing else.
pub(super) static PARTNERS: Paths =
    Paths { bases: &["/v1/partner"], routes: ROUTES.split_at(SECRETS).0, is_partners: true };

/// How many of the routes, the first ones, are about secrets.
const SECRETS: usize = 11;
/// The header that names a tenant as the address does.
const TENANT: &str = "x-tenant-id";

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    row!(&["GET"], "/secrets", "PathListSecrets", Read, &[SecretGet, SecretList], Tenant(lists::list)),
    row!(&["GET"], "/secrets/expiring", "PathExpiringSecrets", Read, &[SecretGet, SecretList], Tenant(lists::expiring)),
    row!(&["POST"], "/secrets/batch", "PathReadBatch", Read, &[VersionGetData], Tenant(lists::batch)),
    row!(&["GET"], "/secrets/metadata/{path}", "PathReadMetadata", Read, &[SecretGet], Tenant(secrets::metadata)),
    row!(&["GET"], "/secrets/{path}/versions", "PathListVersions", Read, &[SecretGet], Tenant(secrets::versions)),
    row!(&["POST"], "/secrets/{path}/restore", "PathRestoreSecret", Write, &[VersionActivate], Tenant(secrets::restore)),
    row!(&["POST"], "/secrets/{path}/rotate", "PathRotateSecret", Write, &[VersionCreate], Tenant(rotate::rotate)),
    row!(&["GET"], "/secrets/{path}", "PathReadSecret", Read, &[VersionGetData], Tenant(secrets::read)),
    row!(&["PUT"], "/secrets/{path}", "PathWriteSecret", Write, &[SecretCreate, VersionCreate, SecretUpdateMetadata], Tenant(secrets::put)),
    row!(&["PATCH"], "/secrets/{path}", "PathPatchSecret", Write, &[SecretUpdateMetadata, VersionCreate], Tenant(secrets::patch)),
    row!(&["DELETE"], "/secrets/{path}", "PathDeleteSecret", Write, &[VersionDeactivate, SecretDelete, VersionDelete], Tenant(secrets::delete)),
    row!(&["GET"], "/rotation/policies", "PathListRotationPolicies", Read, &[ConfigGet], Tenant(rotation::list)),
    row!(&["POST"], "/rotation/policies", "PathCreateRotationPolicy", Write, &[ConfigUpdate, VersionCreate], Tenant(rotation::create)),
    row!(&["GET"], "/rotation/policies/{id}", "PathReadRotationPolicy", Read, &[ConfigGet], Tenant(rotation::get)),
    row!(&["PATCH"], "/rotation/policies/{id}", "PathPatchRotationPolicy", Write, &[ConfigUpdate, VersionCreate], Tenant(rotation::patch)),
    row!(&["DELETE"], "/rotation/policies/{id}", "PathDeleteRotationPolicy", Write, &[ConfigUpdate, SecretUpdateMetadata], Tenant(rotation::delete)),
    row!(&["POST"], "/rotation/policies/{id}/enable", "PathEnableRotationPolicy", Write, &[ConfigUpdate, VersionCreate], Tenant(rotation::enable)),
    row!(&["POST"], "/rotation/policies/{id}/disable", "PathDisableRotationPolicy", Write, &[ConfigUpdate, VersionCreate], Tenant(rotation::disable)),
    row!(&["POST"], "/rotation/policies/{id}/secrets", "PathAttachRotationPolicy", Write, &[ConfigUpdate, SecretUpdateMetadata, VersionCreate], Tenant(rotation::attach)),
    row!(&["DELETE"], "/rotation/policies/{id}/secrets/{path}", "PathDetachRotationPolicy", Write, &[ConfigUpdate, SecretUpdateMetadata], Tenant(rotation::detach)),
    row!(&["POST"], "/rotation/policies/{id}/rotate", "PathRotatePolicySecrets", Write, &[VersionCreate], Tenant(rotate::rotate_all)),
    row!(&["GET"], "/rotation/policies/{id}/history", "PathListRotations", Read, &[ConfigGet, SecretGet, SecretList], Tenant(rotate::history)),
    row!(&["GET"], "/rotation/due", "PathListDueSecrets", Read, &[VersionCreate, SecretGet, SecretList], Tenant(rotation::due)),
    row!(&["GET"], "/secret-policies", "PathListSecretPolicies", Read, &[ConfigGet], Tenant(secret_policies::list)),
    row!(&["POST"], "/secret-policies", "PathCreateSecretPolicy", Write, &[ConfigUpdate, VersionCreate], Tenant(secret_policies::create)),
    row!(&["GET"], "/secret-policies/{id}", "PathReadSecretPolicy", Read, &[ConfigGet], Tenant(secret_policies::get)),
    row!(&["PATCH"], "/secret-policies/{id}", "PathPatchSecretPolicy", Write, &[ConfigUpdate, VersionCreate], Tenant(secret_policies::patch)),
    row!(&["DELETE"], "/secret-policies/{id}", "PathDeleteSecretPolicy", Write, &[ConfigUpdate], Tenant(secret_policies::delete)),
    row!(&["POST"], "/secret-policies/{id}/preview", "PathPreviewSecretPolicy", Read, &[ConfigUpdate], Tenant(secret_policies::preview)),
    row!(&["GET"], "/auth/whoami", "PathWhoAmI", Read, &[DomainGet], Tenant(whoami::get)),
];

pub(super) use self::fields::repeated;
pub(crate) use self::rotate::rules as value_rules;

/// The answer that tells a problem.
pub(super) fn error(failed: Failed, request_id: &str) -> Reply {
    words::render(failed, request_id)
}

impl Dialect for Paths {
    fn name(&self) -> &'static str {
        "paths"
    }

    fn bases(&self) -> &'static [&'static str] {
        self.bases
    }

    fn routes(&self) -> &'static [Route] {
        self.routes
    }

    fn address<'u>(&self, method: &Method, uri: &'u Uri) -> Option<Address<'u>> {
        // HEAD asks for what GET does, and for no body.
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let address = literal(self.bases, self.routes, method, uri)?;
        let tenant = if self.is_partners { Some(TenantName::Partner) } else { address.tenant };
        Some(Address { tenant, ..address }).filter(|address| is_ours(&address.path))
    }

    fn serves(&self, _: &Operation, context: &Context) -> bool {
        context.paths.are_served
    }

    fn needs_bearer(&self, context: &Context) -> bool {
        context.paths.need_bearer
    }

    fn names_tenant<'h>(&self, head: &'h Parts) -> Result<Option<&'h str>, Invalid> {
        tenant_named(head)
    }

    /// A path is read where it is asked for: what is wrong with one has a code of its own.
    fn params(&self, _: &Address<'_>, captures: &Captures<'_>) -> Result<Params, Invalid> {
        let tail = captures.tail.map(query::decode).transpose()?.map(Cow::into_owned);
        // What has both is a policy's, with a secret behind it.
        let (name, tail) = match captures.asset {
            Some(id) => (Some(id.to_owned()), tail),
            None => (tail, None),
        };
        let path = tail.map(|path| path.parse()).transpose()?;
        Ok(Params { path, name, ..Params::default() })
    }

    fn brings_token(&self, head: &Parts) -> bool {
        // Several that differ are none, and refused by each operation.
        bearer::is_there(&head.headers)
    }

    fn jwts(&self, operation: &Operation, _: &Parts) -> Jwts {
        Jwts::Scoped(match operation.id {
            "PathWhoAmI" => &[],
            "PathListSecrets" | "PathExpiringSecrets" | "PathReadMetadata" | "PathListVersions" => {
                &[Scope::List]
            }
            "PathReadSecret" | "PathReadBatch" => &[Scope::Read],
            "PathWriteSecret" | "PathPatchSecret" => &[Scope::Write],
            // What cannot be taken back needs more, and is asked for where that is known.
            "PathDeleteSecret" | "PathRestoreSecret" => &[Scope::Delete],
            "PathRotateSecret" | "PathRotatePolicySecrets" | "PathListDueSecrets" => {
                &[Scope::Rotate]
            }
            _ => &[Scope::Admin],
        })
    }

    fn render(&self, failed: Failed, call: &Call) -> Reply {
        error(failed, &call.request_id)
    }
}

/// The tenant that a header names.
///
/// # Errors
/// `Invalid` where there are several.
pub(super) fn tenant_named(head: &Parts) -> Result<Option<&str>, Invalid> {
    let mut named = head.headers.get_all(TENANT).iter();
    match (named.next(), named.next()) {
        (None, _) => Ok(None),
        (Some(one), None) => Ok(Some(one.to_str().unwrap_or_default())),
        _ => Err(Invalid("there are several headers X-Tenant-ID; send one")),
    }
}

/// Mounts were made that have names which are ours by now; what is asked for below those is theirs.
fn is_ours(path: &str) -> bool {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let second = rest.split('/').next().unwrap_or_default();
    match first {
        "rotation" => ["", "policies", "due"].contains(&second),
        "secret-policies" => !vault::follows_a_mount(second),
        "auth" => rest == "whoami",
        _ => true,
    }
}

/// Whether a route's pattern, below a base, is one of this dialect.
pub(super) fn begins_ours(pattern: &str) -> bool {
    ["/secrets", "/rotation/", "/secret-policies", "/auth/whoami", "/partner/"]
        .iter()
        .any(|own| pattern.starts_with(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first half of case 130: mounts from before keep what is below them.
    #[test]
    fn what_is_below_a_mount_of_before_is_the_mounts() {
        let is_own =
            |path: &'static str| OWN.address(&Method::GET, &Uri::from_static(path)).is_some();
        for theirs in [
            "/v1/rotation/data/x",
            "/v1/rotation/metadata/x",
            "/v1/secret-policies/data/x",
            "/v1/secret-policies/config",
        ] {
            assert!(!is_own(theirs), "{theirs}");
        }
        for own in [
            "/v1/rotation/policies",
            "/v1/rotation/policies/rot_weekly",
            "/v1/rotation/due",
            "/v1/secret-policies",
            "/v1/secret-policies/sp_db",
        ] {
            assert!(is_own(own), "{own}");
        }
    }

    #[test]
    fn a_partner_keeps_secrets_alone() {
        let (own, partners) = (OWN.routes, PARTNERS.routes);
        let is_of_secrets = |route: &Route| route.pattern.starts_with("/secrets");
        assert!(partners.iter().all(is_of_secrets));
        assert_eq!(partners.len(), own.iter().filter(|route| is_of_secrets(route)).count());
    }
}
