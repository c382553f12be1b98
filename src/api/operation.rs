//! What a dialect is made of: rows, one for each operation, and what is peculiar to it beside them.
//!
//! Always holds: the router, authorization, metrics and the document read the rows; nobody outside
//! a dialect's folder knows its name. Never does: sockets, and the order of a request's steps (that
//! is `http`).

use std::{borrow::Cow, future::Future, pin::Pin};

use hyper::{Method, Uri, http::request::Parts};

use super::{
    Call, Context, Failed, Reply,
    address::{Address, Captures, Params, below},
};
use crate::{
    auth::{Action, Permit, RegionPermit, Thing, acl::Addressed, jwt::Scope},
    model::{Invalid, OkmsId},
};

/// An operation: one row, which all that needs to know it reads.
#[derive(Debug)]
pub struct Operation {
    /// Its published id: the label in metrics, and the name in the document.
    pub id: &'static str,
    /// What it does to what is stored.
    pub effect: Effect,
    /// The actions of which a principal needs at least one. Which of them a request takes is known
    /// once its body is read; the use cases ask the permit for each. None for what is open to
    /// everybody.
    pub actions: &'static [Action],
    /// Who may ask for it, and what answers.
    pub handler: Handler,
}

/// What an operation does to what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: whoever hangs up gives it up.
    Read,
    /// It stores something: a client that hangs up cannot cancel it half-way.
    Write,
    /// It tells what is then gone, so that there must be room for the answer before.
    Take,
}

/// What a dialect makes of JWTs (RFC 7519) in `Authorization`, which somebody else has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jwts {
    /// Nothing.
    None,
    /// They are taken, and must give each of these scopes.
    Scoped(&'static [Scope]),
    /// They are taken, and must give each of these scopes where there is no certificate, or where the
    /// configuration says so (`secrets_api.enforce_scopes`).
    AsConfigured(&'static [Scope]),
}

/// An answer on its way.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Reply, Failed>> + Send + 'a>>;

/// What answers, by who may ask.
#[derive(Clone, Copy)]
pub enum Handler {
    /// Everybody, certificate or not.
    Open(for<'a> fn(&'a Context, &'a Call) -> Answer<'a>),
    /// A principal who may act on the region as a whole.
    Region(for<'a> fn(&'a Context, &'a RegionPermit, &'a Call) -> Answer<'a>),
    /// A principal who may act in the tenant that the address names, or in its own where that names
    /// none.
    Tenant(for<'a> fn(&'a Context, &'a Permit, &'a Call) -> Answer<'a>),
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open(_) => "Open",
            Self::Region(_) => "Region",
            Self::Tenant(_) => "Tenant",
        })
    }
}

/// Where an operation is found: methods on a pattern.
///
/// Patterns are `/`-separated: literal segments, `{version}` (digits), `{asset}`, `{id}`, `{name}`,
/// `{credentialId}` and `{serial}` (one segment, empty or not), `{path}` and `{key}` (one or more segments; what follows them in the pattern
/// binds tighter), and at the beginning `{mount}` (what the address says is one).
#[derive(Debug)]
pub struct Route {
    /// The methods.
    pub methods: &'static [&'static str],
    /// The pattern, below the dialect's bases.
    pub pattern: &'static str,
    /// What is done there.
    pub operation: &'static Operation,
}

/// A row whose handler takes the context, a permit and the call, and fails as whatever [`Failed`]
/// can be made of.
macro_rules! row {
    ($methods:expr, $pattern:literal, $id:literal, $effect:ident, $actions:expr, $access:ident($handler:path)) => {
        $crate::api::Route {
            methods: $methods,
            pattern: $pattern,
            operation: &$crate::api::Operation {
                id: $id,
                effect: $crate::api::Effect::$effect,
                actions: $actions,
                handler: $crate::api::Handler::$access(|context, permit, call| {
                    Box::pin(
                        async move { $handler(context, permit, call).await.map_err(Into::into) },
                    )
                }),
            },
        }
    };
}

pub(super) use row;

/// A set of operations that speak alike.
pub trait Dialect: Send + Sync {
    /// How the audit trail calls it.
    fn name(&self) -> &'static str;

    /// What its addresses begin with: literal segments and `{okmsId}`. The first one that fits
    /// counts.
    fn bases(&self) -> &'static [&'static str];

    /// What there is below each base. Of several patterns that fit an address, the first one
    /// counts.
    fn routes(&self) -> &'static [Route];

    /// Whether an operation is there at all. One that is not is told from an address that nobody has by nothing.
    fn serves(&self, operation: &Operation, context: &Context) -> bool {
        let _ = (operation, context);
        true
    }

    /// Where a request goes; `None` where that is none of this dialect's addresses. The first
    /// dialect whose address it is answers it.
    fn address<'u>(&self, method: &Method, uri: &'u Uri) -> Option<Address<'u>> {
        literal(self.bases(), self.routes(), method, uri)
    }

    /// The parameters in an address.
    ///
    /// # Errors
    /// `Invalid` where one is not what its name says.
    fn params(&self, address: &Address<'_>, captures: &Captures<'_>) -> Result<Params, Invalid> {
        let _ = address;
        captures.decode()
    }

    /// What an address names, and how: for the audit trail, before anybody has judged it. A secret
    /// below a mount that somebody made has the mount's name before its own.
    fn named<'p>(
        &self,
        address: &'p Address<'_>,
        captures: &Captures<'p>,
    ) -> Option<(Thing, Cow<'p, str>)> {
        let _ = address;
        captures.named()
    }

    /// What a request asks for in the words of Vault's policies, where this dialect has those.
    fn addressed(&self, address: &Address<'_>) -> Option<Addressed> {
        let _ = address;
        None
    }

    /// The tenant that a request names beside its address, by its id or its alias, where this dialect has that.
    ///
    /// # Errors
    /// `Invalid` where it names none, or several.
    fn names_tenant<'h>(&self, head: &'h Parts) -> Result<Option<&'h str>, Invalid> {
        let _ = head;
        Ok(None)
    }

    /// Whether a request brings a token, which may say that it is somebody else's than the
    /// certificate's holder's: what it may do is settled by the operation then.
    fn brings_token(&self, head: &Parts) -> bool {
        let _ = head;
        false
    }

    /// What becomes of a JWT that a request brings, and which scopes it must give for that.
    fn jwts(&self, operation: &Operation, head: &Parts) -> Jwts {
        let _ = (operation, head);
        Jwts::None
    }

    /// Whether each request for something that takes JWTs brings a bearer, be it one of those or a token of ours.
    fn needs_bearer(&self, context: &Context) -> bool {
        let _ = context;
        false
    }

    /// The tenant that somebody without a certificate comes to with this request as one of its users,
    /// logging in or with the token of a login; none where there are no users in this dialect.
    fn visited(
        &self,
        operation: &Operation,
        address: &Address<'_>,
        head: &Parts,
    ) -> Option<OkmsId> {
        let _ = (operation, address, head);
        None
    }

    /// What a request for `operation` does to what is stored.
    fn effect(&self, operation: &Operation, head: &Parts) -> Effect {
        let _ = head;
        operation.effect
    }

    /// Whether a request with this method has no body that counts, and asks for no change (RFC 9110,
    /// 9.2.1).
    fn is_safe(&self, method: &Method) -> bool {
        *method == Method::GET || *method == Method::HEAD
    }

    /// The answer to a request that did not end as asked.
    fn render(&self, failed: Failed, call: &Call) -> Reply {
        failed.into_reply(&call.request_id)
    }
}

/// The address below the first of `bases` that the path, as sent, begins with, if one of `routes`
/// begins with what is first there.
pub(super) fn literal<'u>(
    bases: &[&str],
    routes: &[Route],
    method: &Method,
    uri: &'u Uri,
) -> Option<Address<'u>> {
    let first = |path: &str| path.split('/').next().unwrap_or_default().len();
    let is_ours = |path: &str| {
        let head = path.get(..first(path));
        routes
            .iter()
            .map(|route| route.pattern.trim_start_matches('/'))
            .any(|own| own.get(..first(own)) == head)
    };
    let mut found = bases.iter().filter_map(|base| below(base, uri.path()));
    let (tenant, path) = found.find(|(_, path)| is_ours(path))?;
    Some(Address {
        method: method.clone(),
        tenant,
        path: Cow::Borrowed(path),
        ..Address::default()
    })
}

/// A dialect that is its rows, and nothing else.
#[derive(Debug)]
pub struct Rows {
    /// How the audit trail calls them.
    pub name: &'static str,
    /// What its addresses begin with.
    pub bases: &'static [&'static str],
    /// What there is below each base.
    pub routes: &'static [Route],
}

impl Dialect for Rows {
    fn name(&self) -> &'static str {
        self.name
    }

    fn bases(&self) -> &'static [&'static str] {
        self.bases
    }

    fn routes(&self) -> &'static [Route] {
        self.routes
    }
}

/// A route as people read it: in full, with one method.
#[derive(Clone, Debug)]
pub struct ListedRoute {
    /// The method.
    pub method: &'static str,
    /// The pattern with its base.
    pub pattern: String,
    /// What is done there.
    pub operation: &'static Operation,
}

/// Every route of `dialects`, in the order in which they count.
pub fn route_list(dialects: &[&'static dyn Dialect]) -> Vec<ListedRoute> {
    let of = |dialect: &&'static dyn Dialect| {
        dialect.bases().iter().flat_map({
            let routes = dialect.routes();
            move |base| {
                routes.iter().flat_map(move |route| {
                    let pattern = format!("{base}{}", route.pattern);
                    let of = move |method: &&'static str| ListedRoute {
                        method,
                        pattern: pattern.clone(),
                        operation: route.operation,
                    };
                    route.methods.iter().map(of)
                })
            }
        })
    };
    dialects.iter().flat_map(of).collect()
}
