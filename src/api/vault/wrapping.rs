//! Response wrapping: an answer is kept, and the client gets a token that fetches it once.

use hyper::StatusCode;

use super::{
    super::{
        Call, Failed, Problem, Reply, json,
        json::{Object, ObjectWriter},
        value,
    },
    asked::{self, Asked, wrap_ttl},
    envelope,
    envelope::{Parts, SYSTEM},
    fields::{self, Fields},
};
use crate::{
    model::{DeactivateAfter, Invalid, WRAPPING_LIFE_SECONDS},
    service::{SecretValue, Unwrapped, WrapInfo},
};

/// For how long the client wants the answer kept; `None` where it wants it at once.
pub(super) fn ttl(call: &Call) -> Result<Option<u64>, Failed> {
    let Some(header) = wrap_ttl(&call.head.headers) else { return Ok(None) };
    let seconds =
        header.to_str().ok().and_then(|text| DeactivateAfter::seconds_rounded_up(text).ok());
    let seconds = seconds.ok_or(Problem::BadWrapTtl)?;
    Ok(Some(seconds.min(WRAPPING_LIFE_SECONDS)).filter(|seconds| *seconds > 0))
}

/// Keeps `reply`.
pub(super) async fn wrap(asked: &Asked<'_>, reply: Reply, ttl: u64) -> Result<Reply, Failed> {
    const TOO_LARGE: Invalid = Invalid(
        "the answer is too large to be wrapped; read it without X-Vault-Wrap-TTL, or in parts",
    );
    let Asked { context, permit, call, .. } = *asked;
    if reply.body.len() > context.wrapped_bytes {
        return Err(TOO_LARGE.into());
    }
    let accessor = accessor(&reply.body);
    let answer =
        Unwrapped { status: reply.status.as_u16(), body: SecretValue::new(reply.body.to_vec()) };
    let info = context.service.wrapping.wrap(permit, answer, &asked.path(), ttl, call.now).await?;
    Ok(wrap_reply(call, &info, accessor.as_deref()))
}

/// The accessor of the token in an answer, if there is one: who wraps it may know that much of it.
fn accessor(body: &[u8]) -> Option<String> {
    let auth = json::non_null(Object::from_body(body).ok()?.take(&["auth"]).ok()?)?;
    let accessor = Object::parse(auth.get()).ok()?.take(&["accessor"]).ok()??;
    json::text(accessor, crate::model::Invalid("not a text")).ok()
}

/// Keeps the body of the request itself.
pub(super) async fn wrap_body(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let call = asked.call;
    let body = fields::body(call)?;
    value::check(&body)?;
    Fields::parse(&body)?;
    let reply = envelope::with_raw_data(call, SYSTEM, body.as_bytes());
    // With a time in the header the answer is wrapped as any other is.
    if ttl(call)?.is_some() { Ok(reply) } else { Err(Problem::NoWrapTtl.into()) }
}

pub(super) async fn unwrap(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let token = token(asked)?;
    let Unwrapped { status, body } =
        context.service.wrapping.unwrap(permit, &token, call.now).await?;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    // The answer that was kept, to whoever brought its token.
    Ok(Reply { status, ..Reply::json(body.expose().to_vec()) })
}

pub(super) async fn lookup(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let token = token(asked)?;
    let wrapped = context.service.wrapping.lookup(permit, &token, call.now).await?;
    Ok(envelope::data(call, SYSTEM, &Parts::default(), |out| {
        out.text("creation_path", &wrapped.path);
        out.text("creation_time", &wrapped.created_at.to_rfc3339_nanos());
        out.number("creation_ttl", wrapped.ttl_seconds);
    }))
}

pub(super) async fn rewrap(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let token = token(asked)?;
    let info = context.service.wrapping.rewrap(permit, &token, call.now).await?;
    Ok(wrap_reply(call, &info, None))
}

/// The wrapping token: in the body, or in the header of a client that has no other.
fn token(asked: &Asked<'_>) -> Result<String, Failed> {
    let Asked { call, own, .. } = *asked;
    let body = fields::body(call)?;
    let named = Fields::parse(&body)?.text("token")?.filter(|token| !token.is_empty());
    // A token in the header that is no login's is the one that wraps, unless the body names
    // another.
    let header = asked::token(&call.head.headers).filter(|_| own.is_none());
    match (named, header) {
        (Some(named), Some(header)) if named != header => Err(Problem::PermissionDenied.into()),
        (Some(token), _) => Ok(token),
        (None, Some(token)) => Ok(token.to_owned()),
        (None, None) => Err(Problem::NothingWrapped.into()),
    }
}

fn wrap_reply(call: &Call, info: &WrapInfo, accessor: Option<&str>) -> Reply {
    envelope::wrap_info(call, |out: &mut ObjectWriter<'_>| {
        out.text("accessor", &info.accessor);
        out.text("creation_path", &info.wrapped.path);
        out.text("creation_time", &info.wrapped.created_at.to_rfc3339_nanos());
        out.text("token", &info.token);
        out.number("ttl", info.wrapped.ttl_seconds);
        if let Some(accessor) = accessor {
            out.text("wrapped_accessor", accessor);
        }
    })
}
