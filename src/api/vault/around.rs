//! What is around every operation in a domain: namespace, token, and what is said of what no route
//! is for.

use std::borrow::Cow;

use hyper::Method;

use super::{
    super::{Address, Call, Context, Effect, Failed, Problem, Reply, bearer},
    address::is_of_server,
    asked::{Asked, check_namespace, presented, repeat_namespace, token},
    envelope, fields, kv, wrapping,
};
use crate::{
    auth::Permit,
    model::{Invalid, MountError},
    service::{Error, KnownToken},
};

/// How an operation takes the tokens that come along.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// The token in the header must be good, and the answer can be wrapped.
    Usual,
    /// As usual, but who logs in may well bring a token that is over.
    Login,
    /// A token in the header may be one under which something is wrapped, and what comes out is not
    /// wrapped again.
    Wrapping,
    /// The answer cannot be wrapped, as it has no envelope.
    Bare,
}

/// A request of somebody who may act in a domain, once what all operations have in common is
/// settled.
pub(super) struct Entered<'a> {
    context: &'a Context,
    permit: Cow<'a, Permit>,
    call: &'a Call,
    own: Option<KnownToken>,
    /// For how long the answer is to be kept, if it is, in seconds.
    ttl: Option<u64>,
}

impl Entered<'_> {
    pub(super) fn request(&self) -> Asked<'_> {
        let Self { context, permit, call, own, .. } = self;
        Asked { context, permit, call, own: own.as_ref() }
    }
}

/// What comes before every operation in a domain.
pub(super) async fn enter<'a>(
    context: &'a Context,
    permit: &'a Permit,
    call: &'a Call,
    manner: Manner,
) -> Result<Entered<'a>, Failed> {
    check_namespace(permit, call)?;
    if call.head.method == Method::PATCH {
        kv::check_media_type(call)?;
    }
    let own = check_token(context, permit, call, manner).await?;
    let is_wrappable = matches!(manner, Manner::Usual | Manner::Login);
    let ttl = if is_wrappable { wrapping::ttl(call)? } else { None };
    bearer::tell(permit, own.as_ref());
    // A visitor who logs in has nothing yet that could be settled.
    let mut permit = if permit.is_visitors() && manner == Manner::Login {
        Cow::Borrowed(permit)
    } else {
        bearer::settle(context, permit, own.as_ref())?
    };
    if permit.asks() {
        let whole = permit.into_owned();
        permit = Cow::Owned(fields::with_parameters(call, |given| whole.carrying(given, ttl))?);
    } else if ttl.is_some() {
        // Of a folder's names blocks at other addresses may ask it.
        permit = Cow::Owned(permit.into_owned().carrying(&[], ttl));
    }
    Ok(Entered { context, permit, call, own, ttl })
}

/// What comes after it.
pub(super) async fn leave(
    entered: &Entered<'_>,
    outcome: Result<Reply, Failed>,
    effect: Effect,
) -> Result<Reply, Failed> {
    let asked = &entered.request();
    let mut reply = match outcome {
        Err(failed) if is_unrouted(&failed) => unrouted_hint(asked).await?,
        done => done?,
    };
    // As Vault has it, and as some of its clients look at the type before the status.
    reply.content_type = reply.content_type.or(Some("application/json"));
    if let Some(ttl) = entered.ttl.filter(|_| !reply.body.is_empty()) {
        let wrapped = wrapping::wrap(asked, reply, ttl).await;
        // What was asked for is done, and must not pass for undone.
        reply = wrapped.map_err(|failed| match effect {
            Effect::Read => failed,
            Effect::Write | Effect::Take => after_the_change(failed),
        })?;
    }
    repeat_namespace(entered.call, &mut reply);
    Ok(reply)
}

/// What comes after an operation that is about no domain.
pub(super) fn with_namespace(call: &Call, outcome: Result<Reply, Failed>) -> Result<Reply, Failed> {
    let mut reply = outcome?;
    repeat_namespace(call, &mut reply);
    Ok(reply)
}

/// The token that comes along, which must be good on this connection.
async fn check_token(
    context: &Context,
    permit: &Permit,
    call: &Call,
    manner: Manner,
) -> Result<Option<KnownToken>, Failed> {
    let Some(text) = token(&call.head.headers).filter(|_| manner != Manner::Login) else {
        return Ok(None);
    };
    let presented = presented(context, permit);
    match context.service.tokens.check(permit, text, presented, call.now).await {
        Ok(known) => Ok(Some(known)),
        // Who has no certificate is not told whether there is such a domain, either.
        Err(Error::TokenInvalid | Error::DomainNotFound) if permit.is_visitors() => {
            Err(Problem::PermissionDenied.into())
        }
        Err(Error::TokenInvalid) if manner == Manner::Wrapping => Ok(None),
        Err(Error::TokenInvalid) => Err(Problem::PermissionDenied.into()),
        Err(error) => Err(error.into()),
    }
}

/// What is told where the change is made, and what follows it failed.
fn after_the_change(failed: Failed) -> Failed {
    let source = failed.cause.map_or_else(|| failed.text.into_owned().into(), Into::into);
    Error::OutcomeUnknown(source).into()
}

/// Whether no route leads where the path points. A mount can go while a write through it is on its
/// way.
fn is_unrouted(failed: &Failed) -> bool {
    let went = matches!(failed.cause.as_deref(), Some(Error::Mount(MountError::NotFound)));
    failed.problem == Problem::NoRoute || went
}

/// Whatever else is asked for: how that is told is found out once it is over.
pub(super) async fn no_route(_: &Asked<'_>) -> Result<Reply, Failed> {
    Err(Problem::NoRoute.into())
}

/// What is said of a path that no route is for: a hint where a mount is above it, as people forget
/// `data/`.
async fn unrouted_hint(asked: &Asked<'_>) -> Result<Reply, Failed> {
    const HINT: &str = "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API \
        endpoints to use. If using the Vault CLI, use 'vault kv <get|put|patch|list|delete>' for this operation.";
    const ROOT: &str = "Non-listing operations on the root of a K/V v2 mount are not supported.";
    let Asked { context, permit, call, .. } = *asked;
    let Address { path, is_folder, .. } = &call.params.address;
    if *is_folder && matches!(call.head.method, Method::POST | Method::PUT | Method::PATCH) {
        return Err(Invalid("cannot write to a path ending in '/'").into());
    }
    let config = context.service.mounts.config(permit).await?;
    let Some(mount) = config.mount_above(path) else {
        return Err(if is_of_server(path) {
            Problem::UnsupportedPath.into()
        } else {
            Problem::NoHandler.with(&[&asked.path()])
        });
    };
    let name = mount.name_below(path).unwrap_or_default();
    let is_root =
        !is_folder && ["data", "metadata", "delete", "undelete", "destroy"].contains(&name);
    Ok(envelope::not_found_hint(call, if is_root { ROOT } else { HINT }))
}
