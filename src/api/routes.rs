//! The one route table. The router, the `OpenAPI` document, the metrics and the coverage tests all read it.

use hyper::Method;

use super::{
    docs::Page,
    okms::{DomainOp, RegionOp},
};

/// One route: a method on a pattern.
///
/// Patterns are `/`-separated: literal segments, `{okmsId}`, `{version}` (digits), `{asset}` (one segment) and
/// `{path}` (one or more segments; what follows it in the pattern binds tighter).
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
}

impl Access {
    /// The operation's published name: also its label in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public(page) => page.name(),
            Self::Region(op) => op.name(),
            Self::Domain(op) => op.name(),
        }
    }
}

/// The regional and the central spelling of a domain.
pub(super) const DOMAIN_SPELLINGS: [&str; 2] = ["/api/{okmsId}/v2", "/v2/okms/resource/{okmsId}"];

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
    add(Method::POST, "/api/{okmsId}/v1/secret/config".to_owned(), Access::Domain(DomainOp::PostKvConfig));
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
