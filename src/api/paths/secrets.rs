//! One secret: read, written, described, removed and restored.

use hyper::{
    StatusCode,
    header::{HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH},
};

use super::{
    super::{Call, Context, Failed, Reply, etag, json::Writer, query},
    entered::{is_plain, path, settle},
    fields::flag,
    paging::{cursor, of_cursor, paging},
    parse, render, words,
};
use crate::{
    auth::{Permit, jwt::Scope},
    model::{Header, Invalid, SecretPath, Timestamp, VersionNumber, VersionState},
    service::{Error, Expects, Put, Secret, SecretValue, VersionView},
};

/// How many versions of a secret one answer tells of.
const VERSIONS_MAX: u32 = 1_000;

pub(super) async fn read(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let (path, number) = (path(call)?, version(call)?);
    let secrets = &context.service.secrets;
    let is_known = |header: &Header, number| etag::is_known(call, &tag(header, number));
    // Whoever knows the value, or asks for the head alone, has not read it.
    let tells = |header: &Header, number| !call.is_head && !is_known(header, number);
    let read = secrets.read(&permit, &path, number, tells, call.now).await;
    let (Secret { header, .. }, VersionView { number, value, .. }) =
        read.map_err(|error| words::of(error, &path))?;
    let tag = tag(&header, number);
    if etag::is_known(call, &tag) {
        return Ok(etag::not_modified(tag));
    }
    let value = value.as_ref().map(SecretValue::expose).unwrap_or_default();
    let body = Writer::object_sized(512 + value.len(), |out| {
        render::secret(out, &path, &header, number, value);
    });
    Ok(etag::tagged(Reply::json(body), tag))
}

pub(super) async fn put(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let path = path(call)?;
    let expects = expects(call)?;
    let parse::Write { patch, value } = parse::put(&call.body, context.value_bytes, call.now)?;
    let put = Put { patch, value, expects, creates: is_plain(&path) };
    let written = context.service.secrets.put(&permit, &path, &put, call.now).await;
    let written = written.map_err(|error| words::of_put(error, &path))?;
    let (header, number) = (&written.header, written.number.get());
    let body = Writer::object(|out| {
        out.text("path", path.as_str());
        if written.previous.is_none() {
            out.text("secret_type", header.about.secret_type.name());
        }
        out.number("version", number);
        out.boolean("created", written.previous.is_none());
        match written.previous {
            None => {
                out.text("created_at", &header.created_at.to_rfc3339_seconds());
                render::moment(out, "expires_at", header.expires_at());
            }
            Some(previous) => {
                out.number("previous_version", previous);
                out.text("updated_at", &header.changed_at().to_rfc3339_seconds());
            }
        }
    });
    let mut reply = Reply::json(body);
    if written.previous.is_none() {
        reply.status = StatusCode::CREATED;
    }
    Ok(etag::tagged(reply, tag(header, written.number)))
}

pub(super) async fn patch(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    unconditional(call)?;
    let path = path(call)?;
    let patch = parse::patch(&call.body, call.now)?;
    let header = context.service.secrets.amend(&permit, &path, &patch, call.now).await;
    let header = header.map_err(|error| words::of(error, &path))?;
    described(context, &permit, call, (path, header)).await
}

pub(super) async fn metadata(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let (path, with_removed) = (path(call)?, flag(call, "include_deleted")?);
    let header = context.service.secrets.look_at(&permit, &path, with_removed, call.now).await;
    let header = header.map_err(|error| words::of(error, &path))?;
    described(context, &permit, call, (path, header)).await
}

pub(super) async fn versions(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let path = path(call)?;
    let (secrets, cursor) = (&context.service.secrets, cursor(call)?);
    let found =
        secrets.newest_versions(&permit, &path, cursor.as_deref(), VERSIONS_MAX, call.now).await;
    let ((versions, next), header, _turn) = found.map_err(|error| match error {
        Error::Invalid(_) => of_cursor(error),
        error => words::of(error, &path),
    })?;
    if let Some(removal) = header.life.removed {
        return Err(words::of(Error::SecretRemoved(removal), &path));
    }
    Ok(Reply::json(Writer::object_sized(128 + 96 * versions.len(), |out| {
        out.text("path", path.as_str());
        out.objects("versions", &versions, |(number, record), out| {
            render::version(out, (*number, record), &header, call.now);
        });
        // Few secrets have so many that somebody has to ask again.
        if next.is_some() {
            paging(out, next.as_deref());
        }
    })))
}

pub(super) async fn delete(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    unconditional(call)?;
    let (path, number, permanent) = (path(call)?, version(call)?, flag(call, "permanent")?);
    if permanent {
        permit.check_scope(Scope::Admin)?;
    }
    let (secrets, now) = (&context.service.secrets, call.now);
    let failed = |error| words::of(error, &path);
    let mut removal = None;
    match (number, permanent) {
        (None, true) => secrets.delete(&permit, &path, now).await.map_err(failed)?,
        (None, false) => {
            let seconds = context.retention_seconds;
            removal = Some(secrets.remove(&permit, &path, seconds, now).await.map_err(failed)?);
        }
        (Some(number), permanent) => {
            let to = if permanent { VersionState::Deleted } else { VersionState::Deactivated };
            secrets.set_version(&permit, &path, number, to, now).await.map_err(failed)?;
        }
    }
    Ok(Reply::json(Writer::object(|out| {
        out.text("path", path.as_str());
        if let Some(number) = number {
            out.number("version", number.get());
        }
        out.boolean("deleted", true);
        out.boolean("permanent", permanent);
        if let Some(removal) = removal {
            out.text("deleted_at", &removal.at.to_rfc3339_seconds());
            out.text("recoverable_until", &removal.until.to_rfc3339_seconds());
        }
    })))
}

pub(super) async fn restore(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    unconditional(call)?;
    let (path, number, secrets) = (path(call)?, version(call)?, &context.service.secrets);
    let header = match number {
        None => secrets.restore(&permit, &path, call.now).await,
        Some(number) => {
            secrets.set_version(&permit, &path, number, VersionState::Active, call.now).await
        }
    };
    let header = header.map_err(|error| words::of(error, &path))?;
    described(context, &permit, call, (path, header)).await
}

/// The answer that tells a secret without its value.
async fn described(
    context: &Context,
    permit: &Permit,
    call: &Call,
    secret: (SecretPath, Header),
) -> Result<Reply, Failed> {
    let path = secret.0.clone();
    let described = context.service.secrets.describe(permit, vec![secret], call.now).await?;
    Ok(Reply::json(Writer::object_sized(768, |out| match described.first() {
        Some(secret) => render::described(out, secret, call.now),
        // Who may change it, and not see it, learns that it is done.
        None => out.text("path", path.as_str()),
    })))
}

/// The version that the query asks for. Whoever names an empty one, as a script does whose variable is not set, means one
/// version, and not the secret.
pub(super) fn version(call: &Call) -> Result<Option<VersionNumber>, Failed> {
    let text = query::given(call.query(), "version")?;
    Ok(text.map(|text| text.parse::<VersionNumber>()).transpose()?)
}

/// That no precondition is sent where none is judged: whoever sends one relies on it.
fn unconditional(call: &Call) -> Result<(), Failed> {
    const NONE: Invalid = Invalid(
        "If-Match and If-None-Match count for writes of a value (PUT, rotate) and for reads alone; leave them out here",
    );
    let is_there = |name: &HeaderName| call.head.headers.contains_key(name);
    if is_there(&IF_MATCH) || is_there(&IF_NONE_MATCH) { Err(NONE.into()) } else { Ok(()) }
}

/// What the headers of a write say must be there.
pub(super) fn expects(call: &Call) -> Result<Expects, Failed> {
    const WRONG: Invalid = Invalid(
        "a write takes If-None-Match: * where there must be no secret, or If-Match with its current version in \
        quotes, such as \"3\", or the ETag of an answer; one of them",
    );
    let text = |name| {
        let mut all = call.head.headers.get_all(name).iter();
        let first = all.next().map(HeaderValue::as_bytes);
        if all.next().is_some() { Err(WRONG) } else { Ok(first) }
    };
    match (text(IF_MATCH)?, text(IF_NONE_MATCH)?) {
        (None, None) => Ok(Expects::Anything),
        (None, Some(b"*")) => Ok(Expects::Nothing),
        (Some(tag), None) => {
            let tag = tag.strip_prefix(b"\"").and_then(|tag| tag.strip_suffix(b"\""));
            let tag = tag.and_then(|tag| std::str::from_utf8(tag).ok());
            Ok(tag.and_then(expected).ok_or(WRONG)?)
        }
        _ => Err(WRONG.into()),
    }
}

/// What a tag says, without its quotes: a version, and when its secret was created, if it says that.
fn expected(tag: &str) -> Option<Expects> {
    let (number, of) = match tag.split_once('-') {
        Some((number, of)) => (number, Some(of)),
        None => (tag, None),
    };
    let number = Some(number).filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
    let of = match of {
        None => None,
        Some(of) if of.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            let nanos = u64::from_str_radix(of, 16).ok()?;
            Some(Timestamp::from_unix_nanos(nanos.cast_signed()))
        }
        Some(_) => return None,
    };
    Some(Expects::Version(number?.parse().ok()?, of))
}

/// The tag of a version: its number, and which of the secrets that were ever under the path it is of, as each
/// begins with version 1.
pub(super) fn tag(header: &Header, number: VersionNumber) -> HeaderValue {
    etag::header_value(&format!("\"{}-{:x}\"", number.get(), header.created_at.unix_nanos()))
}

/// What is said of a problem in a list of several.
pub(super) fn told(failed: &Failed) -> (&'static str, &str) {
    (words::word(failed.problem), &failed.text)
}
