//! The dialect of `HashiCorp` Vault and `OpenBao`: KV version 2, and as much of `sys/` and `auth/` as its clients need.
//!
//! Always holds: the certificate alone authenticates; a token that comes along must be good on this very connection;
//! every answer is one that the clients take for Vault's. `docs/COMPATIBILITY.md` says where Vault, `OpenBao` and
//! `OVHcloud` differ, and what is done here.

#![allow(clippy::unused_async, reason = "a handler is async whether it has to wait or not")]

mod address;
mod auth;
mod envelope;
mod fields;
mod kv;
mod lists;
mod mounts;
mod outline;
mod routes;
mod sys;
mod tools;
mod words;
mod wrapping;

use hyper::{
    HeaderMap, Method, Uri,
    header::{AUTHORIZATION, HeaderName, HeaderValue},
    http::request::Parts,
};

use self::address::collapsed;
use super::{Address, Call, Captures, Context, Dialect, Effect, Failed, Operation, Params, Problem, Reply, Route};
use crate::{
    auth::Permit,
    domain::{Invalid, MountError, MountPath, Refused},
    service::{Error, KnownToken},
};

/// The dialect.
pub(super) struct Vault;

const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
const WRAP_TTL: HeaderName = HeaderName::from_static("x-vault-wrap-ttl");

impl Dialect for Vault {
    fn bases(&self) -> &'static [&'static str] {
        &address::BASES
    }

    fn routes(&self) -> &'static [Route] {
        routes::ROUTES
    }

    fn address<'u>(&self, method: &Method, uri: &'u Uri) -> Option<Address<'u>> {
        address::parse(method, uri)
    }

    fn params(&self, address: &Address<'_>, captures: &Captures<'_>) -> Result<Params, Invalid> {
        Ok(address::params(address, captures))
    }

    /// An answer that the client wants kept is stored, even that of a read.
    fn effect(&self, operation: &Operation, head: &Parts) -> Effect {
        if is_given(&head.headers, &WRAP_TTL) { Effect::Write } else { operation.effect }
    }

    fn render(&self, problem: Problem, call: &Call) -> Reply {
        let mut reply = words::of(problem, call).into_reply(&call.request_id);
        repeat_namespace(call, &mut reply);
        reply
    }
}

/// How an operation takes the tokens that come along.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// The token in the header must be good, and the answer can be wrapped.
    Usual,
    /// As usual, but who logs in may well bring a token that is over.
    Login,
    /// A token in the header may be one under which something is wrapped, and what comes out is not wrapped again.
    Wrapping,
    /// The answer cannot be wrapped, as it has no envelope.
    Bare,
}

/// A request of somebody who may act in a domain, once what all operations have in common is settled.
struct Entered<'a> {
    context: &'a Context,
    permit: &'a Permit,
    call: &'a Call,
    own: Option<KnownToken>,
    /// For how long the answer is to be kept, if it is, in seconds.
    ttl: Option<u64>,
}

/// Why a request did not end as asked, in this dialect.
#[derive(Debug)]
pub enum Failure {
    /// What a use case says.
    Service(Error),
    /// Bad input, in these words.
    Refused(String),
    /// No route leads where the path points.
    Unrouted,
    /// No mount is above the path.
    NoHandler(String),
    /// The path is under a mount of the server's own, which does not know it.
    UnsupportedPath,
    /// The token is missing, or not good here.
    PermissionDenied,
    /// No mount that the caller may know is above the path.
    Preflight(String),
    /// A token that was asked about is none.
    BadToken,
    /// The namespace that the header names is none of the caller's.
    NoNamespace,
    /// A body of a type that a patch cannot have.
    MediaType(String),
    /// What lists and does nothing else is not asked for a list.
    NoList,
    /// Nothing more is to be said than that.
    Silent,
}

impl Failure {
    /// The failure of what follows a change that is made already.
    fn after_the_change(self) -> Self {
        match self {
            Self::Service(error) => Self::Service(Error::OutcomeUnknown(error.into())),
            other => other,
        }
    }

    fn refused(text: &str) -> Self {
        Self::Refused(text.to_owned())
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Service(error.into())
    }
}

/// The text of a token in the headers.
#[must_use]
fn token(headers: &HeaderMap) -> Option<&str> {
    let token = headers.get("x-vault-token").filter(|token| !token.is_empty());
    let token = token.map(HeaderValue::as_bytes).or_else(|| {
        let bearer = headers.get(AUTHORIZATION)?.as_bytes();
        let (scheme, token) = bearer.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
    })?;
    // What is not text is no token of ours, and must not pass for none.
    Some(std::str::from_utf8(token).unwrap_or("?")).filter(|token| !token.is_empty())
}

/// A request of somebody who may act in a domain, and what answers it.
#[derive(Clone, Copy)]
struct Asked<'a> {
    context: &'a Context,
    permit: &'a Permit,
    call: &'a Call,
    /// The token that came along, and is good.
    own: Option<&'a KnownToken>,
}

impl Entered<'_> {
    const fn asked(&self) -> Asked<'_> {
        let Self { context, permit, call, own, .. } = self;
        Asked { context, permit, call, own: own.as_ref() }
    }
}

impl Asked<'_> {
    /// What the address names: below a mount, or whatever else is there.
    fn name(&self) -> &str {
        self.call.params.name.as_deref().unwrap_or_default()
    }

    /// The mount that the address names.
    fn mount(&self) -> Result<MountPath, Invalid> {
        self.call.params.address.mount().parse()
    }

    /// The whole address below the dialect's base, as Vault itself would see it.
    fn path(&self) -> String {
        let Address { path, is_folder, .. } = &self.call.params.address;
        format!("{path}{}", if *is_folder { "/" } else { "" })
    }
}

/// What comes before every operation in a domain.
async fn enter<'a>(
    context: &'a Context,
    permit: &'a Permit,
    call: &'a Call,
    manner: Manner,
) -> Result<Entered<'a>, Failure> {
    check_namespace(permit, call)?;
    if call.head.method == Method::PATCH {
        kv::check_media_type(call)?;
    }
    let own = check_token(context, permit, call, manner).await?;
    let is_wrappable = matches!(manner, Manner::Usual | Manner::Login);
    let ttl = if is_wrappable { wrapping::ttl(call)? } else { None };
    Ok(Entered { context, permit, call, own, ttl })
}

/// What comes after it.
async fn leave(entered: &Entered<'_>, outcome: Result<Reply, Failure>, effect: Effect) -> Result<Reply, Failure> {
    let asked = &entered.asked();
    let mut reply = match outcome {
        // A mount can go while a write through it is on its way.
        Err(Failure::Unrouted | Failure::Service(Error::Mount(MountError::NotFound))) => unrouted_hint(asked).await?,
        done => done?,
    };
    // As Vault has it, and as some of its clients look at the type before the status.
    reply.content_type = reply.content_type.or(Some("application/json"));
    if let Some(ttl) = entered.ttl.filter(|_| !reply.body.is_empty()) {
        let wrapped = wrapping::wrap(asked, reply, ttl).await;
        // What was asked for is done, and must not pass for undone.
        reply = wrapped.map_err(|failure| match effect {
            Effect::Read => failure,
            Effect::Write | Effect::Take => failure.after_the_change(),
        })?;
    }
    repeat_namespace(entered.call, &mut reply);
    Ok(reply)
}

/// The same for what is about no domain.
fn with_namespace(call: &Call, outcome: Result<Reply, Failure>) -> Result<Reply, Failed> {
    let mut reply = outcome?;
    repeat_namespace(call, &mut reply);
    Ok(reply)
}

/// Vault's clients find it in the answer as they sent it.
fn repeat_namespace(call: &Call, reply: &mut Reply) {
    reply.headers.extend(call.head.headers.get(&NAMESPACE).map(|namespace| (NAMESPACE, namespace.clone())));
}

fn is_given(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get(name).is_some_and(|value| !value.is_empty())
}

/// Whether the namespace that the client asks for is the one there is: the domain. Any other is refused, as whoever asks
/// for two expects two trees, and would write over the one what is in the other.
fn check_namespace(permit: &Permit, call: &Call) -> Result<(), Failure> {
    let is_own = |name: &str| {
        let name = name.trim().trim_matches('/');
        matches!(name, "" | "root") || name.parse() == Ok(permit.okms_id())
    };
    let mut names = call.head.headers.get_all(NAMESPACE).iter();
    if names.all(|name| name.to_str().is_ok_and(is_own)) { Ok(()) } else { Err(Failure::NoNamespace) }
}

/// The token that comes along, which must be good on this connection.
async fn check_token(
    context: &Context,
    permit: &Permit,
    call: &Call,
    manner: Manner,
) -> Result<Option<KnownToken>, Failure> {
    let Some(text) = token(&call.head.headers).filter(|_| manner != Manner::Login) else { return Ok(None) };
    let key = permit.subject().certificate().ok_or(Failure::PermissionDenied)?.public_key_sha256();
    match context.service.tokens.check(permit, text, key, call.now).await {
        Ok(known) => Ok(Some(known)),
        Err(Error::TokenInvalid) if manner == Manner::Wrapping => Ok(None),
        Err(Error::TokenInvalid) => Err(Failure::PermissionDenied),
        Err(error) => Err(error.into()),
    }
}

/// Whatever else is asked for: how that is told is found out once it is over.
async fn unrouted(_: &Asked<'_>) -> Result<Reply, Failure> {
    Err(Failure::Unrouted)
}

/// What is said of a path that no route is for: a hint where a mount is above it, as people forget `data/`.
async fn unrouted_hint(asked: &Asked<'_>) -> Result<Reply, Failure> {
    const HINT: &str = "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API \
        endpoints to use. If using the Vault CLI, use 'vault kv <get|put|patch|list|delete>' for this operation.";
    const ROOT: &str = "Non-listing operations on the root of a K/V v2 mount are not supported.";
    let Asked { context, permit, call, .. } = *asked;
    let path = asked.path();
    if path.ends_with('/') && matches!(call.head.method, Method::POST | Method::PUT | Method::PATCH) {
        return Err(Failure::refused("cannot write to a path ending in '/'"));
    }
    let config = context.service.domains.config_for_all(permit).await?;
    let Some(mount) = config.mount_above(&path) else {
        let first = path.split('/').next().unwrap_or_default();
        let is_ours = matches!(first, "sys" | "auth");
        return Err(if is_ours { Failure::UnsupportedPath } else { Failure::NoHandler(path) });
    };
    let rest = path.get(mount.as_str().len()..).unwrap_or_default().trim_start_matches('/');
    let is_root = ["data", "metadata", "delete", "undelete", "destroy"].contains(&rest.trim_end_matches('/'));
    Ok(envelope::hint(call, if is_root && !rest.ends_with('/') { ROOT } else { HINT }))
}

impl Failure {
    /// The text of a refusal by the rules, in this dialect's words.
    #[must_use]
    pub fn text_of(refused: &Refused) -> String {
        match refused {
            Refused::CasMismatch => "check-and-set parameter did not match the current version".to_owned(),
            Refused::CasRequired => "check-and-set parameter required for this call".to_owned(),
            Refused::TooManyEntries(number) => fields::too_many_entries(*number),
            other => other.to_string(),
        }
    }
}

/// What is wrong with an input, as an error of this dialect.
const fn invalid(text: &'static str) -> Failure {
    Failure::Service(Error::Invalid(Invalid(text)))
}

#[cfg(test)]
mod tests {
    use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};

    use super::*;

    #[test]
    fn tokens_in_headers() {
        let of = |name: &'static str, value: &'static [u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_bytes(value).unwrap());
            token(&headers).map(str::to_owned)
        };
        assert_eq!(of("x-vault-token", b"abc").as_deref(), Some("abc"));
        assert_eq!(of(AUTHORIZATION.as_str(), b"Bearer abc").as_deref(), Some("abc"));
        assert_eq!(of(AUTHORIZATION.as_str(), b"bearer abc").as_deref(), Some("abc"));
        assert_eq!(of(AUTHORIZATION.as_str(), b"Basic abcdef"), None);
        assert_eq!(of("x-vault-token", b""), None);
        assert_eq!(of("x-vault-token", b"\xff").as_deref(), Some("?"));
    }
}
