//! The one route table. The router, the `OpenAPI` document, the metrics and the coverage tests all read it.

use hyper::Method;

use super::{
    docs::Page,
    okms::{DomainOp, RegionOp},
    vault::VaultOp,
};

/// One route: a method on a pattern.
///
/// Patterns are `/`-separated: literal segments, `{okmsId}`, `{version}` (digits), `{asset}` (one segment) and
/// `{path}` and `{key}` (one or more segments; what follows them in the pattern binds tighter), and `{mount}` (all
/// segments before the first word of KV2, and at least one).
#[derive(Clone, Debug)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The pattern.
    pub pattern: String,
    /// What it does, and for whom.
    pub access: Access,
}

/// What a route does, and what one needs for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Open to everybody.
    Public(Page),
    /// For a principal who may act on the region.
    Region(RegionOp),
    /// For a principal who may act in the domain that the pattern names.
    Domain(DomainOp),
    /// For a principal who may act in the domain that the pattern names, or in its own where it names none; a few for
    /// everybody.
    Vault(VaultOp),
}

impl Access {
    /// The operation's published name: also its label in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public(page) => page.name(),
            Self::Region(op) => op.name(),
            Self::Domain(op) => op.name(),
            Self::Vault(op) => op.name(),
        }
    }
}

/// The regional and the central spelling of a domain.
pub(super) const DOMAIN_SPELLINGS: [&str; 2] = ["/api/{okmsId}/v2", "/v2/okms/resource/{okmsId}"];

/// The spellings of the Vault dialect's base: with the domain, as vaultrs makes it of that, and in the caller's own.
pub(super) const VAULT_BASES: [&str; 3] = ["/api/{okmsId}/v1", "/v1/api/{okmsId}", "/v1"];

/// The routes of the Vault dialect below its base.
fn vault() -> impl Iterator<Item = (Vec<Method>, &'static str, VaultOp)> {
    use VaultOp as Op;
    const READS: &[&str] = &["GET", "LIST", "SCAN"];
    const WRITES: &[&str] = &["POST", "PUT"];
    // Vault answers LIST and SCAN of these with 405.
    const NO_LISTS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE"];
    const ALL: &[&str] = &["GET", "LIST", "SCAN", "POST", "PUT", "PATCH", "DELETE"];
    let table: [(&[&str], &str, Op); 81] = [
        (&["GET"], "/{mount}/data/{key}", Op::ReadData),
        (WRITES, "/{mount}/data/{key}", Op::WriteData),
        (&["PATCH"], "/{mount}/data/{key}", Op::PatchData),
        (&["DELETE"], "/{mount}/data/{key}", Op::DeleteData),
        (NO_LISTS, "/{mount}/data", Op::Unrouted),
        (&["GET"], "/{mount}/metadata/{key}", Op::ReadMetadata),
        (&["LIST", "SCAN"], "/{mount}/metadata/{key}", Op::ReadMetadata),
        (WRITES, "/{mount}/metadata/{key}", Op::WriteMetadata),
        (&["PATCH"], "/{mount}/metadata/{key}", Op::PatchMetadata),
        (&["DELETE"], "/{mount}/metadata/{key}", Op::DeleteMetadata),
        (READS, "/{mount}/metadata", Op::ListRoot),
        (&["POST", "PUT", "PATCH", "DELETE"], "/{mount}/metadata", Op::Unrouted),
        (READS, "/{mount}/detailed-metadata/{key}", Op::ListDetailed),
        (READS, "/{mount}/detailed-metadata", Op::ListDetailed),
        (&["GET"], "/{mount}/subkeys/{key}", Op::ReadSubkeys),
        (NO_LISTS, "/{mount}/subkeys", Op::Unrouted),
        (WRITES, "/{mount}/delete/{key}", Op::DeleteVersions),
        (WRITES, "/{mount}/undelete/{key}", Op::UndeleteVersions),
        (WRITES, "/{mount}/destroy/{key}", Op::DestroyVersions),
        (NO_LISTS, "/{mount}/delete", Op::Unrouted),
        (NO_LISTS, "/{mount}/undelete", Op::Unrouted),
        (NO_LISTS, "/{mount}/destroy", Op::Unrouted),
        (&["GET"], "/{mount}/config", Op::ReadConfig),
        (WRITES, "/{mount}/config", Op::WriteConfig),
        (&["GET", "HEAD"], "/sys/health", Op::Health),
        (&["GET"], "/sys/seal-status", Op::SealStatus),
        (&["GET"], "/sys/leader", Op::Leader),
        (&["GET"], "/sys/init", Op::InitStatus),
        (WRITES, "/sys/init", Op::NotServed),
        (&["GET"], "/sys/mounts", Op::Mounts),
        (&["GET"], "/sys/mounts/{key}/tune", Op::ReadTune),
        (WRITES, "/sys/mounts/{key}/tune", Op::Tune),
        (&["GET"], "/sys/mounts/{key}", Op::ReadMount),
        (WRITES, "/sys/mounts/{key}", Op::Enable),
        (&["DELETE"], "/sys/mounts/{key}", Op::Disable),
        (&["GET"], "/sys/internal/ui/mounts", Op::UiMounts),
        (&["GET"], "/sys/internal/ui/mounts/{key}", Op::UiMount),
        (WRITES, "/sys/remount", Op::Remount),
        (&["GET"], "/sys/remount/status/{key}", Op::RemountStatus),
        (&["GET"], "/sys/auth", Op::AuthMethods),
        (&["GET"], "/sys/auth/{key}/tune", Op::ReadAuthTune),
        (WRITES, "/sys/auth/{key}/tune", Op::NotServed),
        (&["GET"], "/sys/auth/{key}", Op::ReadAuthMethod),
        (&["LIST", "SCAN", "POST", "PUT", "PATCH", "DELETE"], "/sys/auth/{key}", Op::NotServed),
        (WRITES, "/sys/capabilities-self", Op::Capabilities),
        (WRITES, "/sys/capabilities", Op::CapabilitiesOfToken),
        (WRITES, "/sys/capabilities-accessor", Op::CapabilitiesOfAccessor),
        (WRITES, "/sys/tools/random", Op::Random),
        (WRITES, "/sys/tools/random/{key}", Op::Random),
        (&["GET"], "/sys/metrics", Op::Metrics),
        (WRITES, "/sys/wrapping/wrap", Op::Wrap),
        (WRITES, "/sys/wrapping/unwrap", Op::Unwrap),
        (&["GET", "POST", "PUT"], "/sys/wrapping/lookup", Op::LookupWrapped),
        (WRITES, "/sys/wrapping/rewrap", Op::Rewrap),
        (WRITES, "/auth/cert/login", Op::Login),
        (WRITES, "/auth/token/create", Op::CreateToken),
        (WRITES, "/auth/token/create-orphan", Op::CreateToken),
        (&["GET", "POST", "PUT"], "/auth/token/lookup-self", Op::LookupSelf),
        (&["GET", "POST", "PUT"], "/auth/token/lookup", Op::LookupToken),
        (&["GET", "LIST"], "/auth/token/accessors", Op::ListAccessors),
        (WRITES, "/auth/token/lookup-accessor", Op::LookupAccessor),
        (WRITES, "/auth/token/renew-self", Op::RenewSelf),
        (WRITES, "/auth/token/renew", Op::RenewToken),
        (WRITES, "/auth/token/renew-accessor", Op::RenewAccessor),
        (WRITES, "/auth/token/revoke-self", Op::RevokeSelf),
        (WRITES, "/auth/token/revoke", Op::RevokeToken),
        (WRITES, "/auth/token/revoke-orphan", Op::RevokeToken),
        (WRITES, "/auth/token/revoke-accessor", Op::RevokeAccessor),
        (ALL, "/auth/cert/{key}", Op::NotServed),
        (ALL, "/auth/{key}", Op::NotServed),
        (ALL, "/sys/policy", Op::NotServed),
        (ALL, "/sys/policy/{key}", Op::NotServed),
        (ALL, "/sys/policies/{key}", Op::NotServed),
        (ALL, "/sys/audit", Op::NotServed),
        (ALL, "/sys/audit/{key}", Op::NotServed),
        (ALL, "/sys/audit-hash/{key}", Op::NotServed),
        (ALL, "/sys/leases/{key}", Op::NotServed),
        (WRITES, "/sys/seal", Op::NotServed),
        (WRITES, "/sys/unseal", Op::NotServed),
        (ALL, "/database/{key}", Op::NotServed),
        (ALL, "/{key}", Op::Unrouted),
    ];
    let method = |name: &&str| Method::from_bytes(name.as_bytes()).ok();
    table.into_iter().map(move |(methods, rest, op)| (methods.iter().filter_map(method).collect(), rest, op))
}

/// Every route. Of several patterns that fit a path, the first one counts.
#[must_use]
pub fn routes() -> Vec<Route> {
    let mut routes = Vec::new();
    let mut add = |method: Method, pattern: String, access| routes.push(Route { method, pattern, access });
    for domain in DOMAIN_SPELLINGS {
        for (method, rest, op) in [
            (Method::GET, "/secretConfig", DomainOp::GetConfig),
            (Method::PUT, "/secretConfig", DomainOp::PutConfig),
            (Method::GET, "/secret", DomainOp::ListSecrets),
            (Method::POST, "/secret", DomainOp::CreateSecret),
            (Method::GET, "/secret/{path}/version/{version}", DomainOp::GetVersion),
            (Method::PUT, "/secret/{path}/version/{version}", DomainOp::PutVersion),
            (Method::GET, "/secret/{path}/version", DomainOp::ListVersions),
            (Method::POST, "/secret/{path}/version", DomainOp::CreateVersion),
            (Method::PUT, "/secret/{path}/version", DomainOp::CreateVersion),
            (Method::GET, "/secret/{path}", DomainOp::GetSecret),
            (Method::PUT, "/secret/{path}", DomainOp::PutSecret),
            (Method::DELETE, "/secret/{path}", DomainOp::DeleteSecret),
        ] {
            add(method, format!("{domain}{rest}"), Access::Domain(op));
        }
    }
    for base in VAULT_BASES {
        for (methods, rest, op) in vault() {
            for method in methods {
                add(method, format!("{base}{rest}"), Access::Vault(op));
            }
        }
    }
    let domain = "/v2/okms/resource/{okmsId}";
    add(Method::POST, format!("{domain}/credential"), Access::Domain(DomainOp::CreateCredential));
    add(Method::GET, domain.to_owned(), Access::Domain(DomainOp::GetDomain));
    add(Method::GET, "/v2/okms/resource".to_owned(), Access::Region(RegionOp::ListDomains));
    add(Method::POST, "/v2/okms/resource".to_owned(), Access::Region(RegionOp::CreateDomain));
    add(Method::GET, "/openapi.json".to_owned(), Access::Public(Page::Document));
    // Before `/swagger`, which takes a trailing slash as well: `/swagger/` is the page, not the way to it.
    add(Method::GET, "/swagger/{asset}".to_owned(), Access::Public(Page::SwaggerAsset));
    add(Method::GET, "/swagger".to_owned(), Access::Public(Page::Swagger));
    add(Method::GET, "/".to_owned(), Access::Public(Page::Root));
    routes
}
