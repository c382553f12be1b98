//! Values: written, read, removed, rotated, and the names in them.

use hyper::header::{HeaderName, HeaderValue};
use serde_json::value::RawValue;

use super::{
    super::{Call, Context, Failed, Problem, Reply, json::Writer},
    fields::{Fields, flag, needed, version},
    in_file::{self, InFile},
    named::{Named, settle},
    parts, words,
};
use crate::{
    auth::{Action, Permit, jwt::Scope},
    model::{Cas, Timestamp, VersionAct, VersionNumber, VersionState},
    service::{Adding, Include, Making, Remaining, SecretValue, VersionView, Versions, Written},
};

/// Which version a value is.
const VERSION: HeaderName = HeaderName::from_static("x-secret-version");

/// A value to be written, as a body has it.
pub(super) struct NewValue<'a> {
    pub(super) uri: String,
    pub(super) value: &'a RawValue,
    pub(super) cas: Option<Cas>,
}

impl<'a> NewValue<'a> {
    pub(super) fn of(fields: &mut Fields<'a>) -> Result<Self, Failed> {
        let uri = fields.text("uri")?;
        // Null is a value.
        let value = fields.take("value").ok_or_else(|| super::fields::missing("value"))?;
        Ok(Self { uri, value, cas: fields.cas()? })
    }

    /// Writes it to where its URI says.
    pub(super) async fn write(
        &self,
        context: &Context,
        permit: &Permit,
        (named, adding): (&Named, Adding),
        now: Timestamp,
    ) -> Result<Written, Failed> {
        let (secrets, at) = (&context.service.secrets, named.through());
        let permit = &permit.of_part(named.fragment());
        let written = match named.fragment() {
            None => {
                let value = parts::whole(self.value.get(), context.value_bytes)?;
                secrets.upsert(permit, at, (Making::Whole(&value), adding), self.cas, now).await
            }
            Some(fragment) => {
                let part = parts::part(self.value, fragment)?;
                let make = |before: Option<&SecretValue>| {
                    parts::set(before, fragment, part.get(), context.value_bytes)
                };
                secrets.upsert(permit, at, (Making::Of(&make), adding), self.cas, now).await
            }
        };
        written.map_err(words::again)
    }
}

/// What was written, and where.
#[expect(clippy::large_enum_variant, reason = "a request has one")]
enum Done {
    Stored(Named, Written),
    /// Whether it was not there before.
    InFile(String, bool),
}

/// Writes what a body says to where it says, for this purpose.
async fn written(
    context: &Context,
    permit: &Permit,
    call: &Call,
    adding: Adding,
) -> Result<Done, Failed> {
    let permit = settle(context, permit, call).await?;
    let mut fields = Fields::of_body(&call.body)?;
    let value = NewValue::of(&mut fields)?;
    fields.finish()?;
    if let Some(named) = InFile::of(context, &permit, &value.uri)? {
        return Ok(Done::InFile(
            named.text(),
            named.set(context, &permit, (value.value, value.cas), adding).await?,
        ));
    }
    let named = Named::of(context, &permit, &value.uri).await?.unpinned()?;
    let written = value.write(context, &permit, (&named, adding), call.now).await?;
    Ok(Done::Stored(named, written))
}

pub(super) async fn write(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let (named, written) = match written(context, permit, call, Adding::Write).await? {
        Done::Stored(named, written) => (named, written),
        Done::InFile(uri, is_new) => return Ok(in_file::written(&uri, is_new, call.now)),
    };
    Ok(Reply::json(Writer::object(|out| {
        out.text("uri", &named.text());
        out.number("version", written.number.get());
        out.boolean("created", written.previous.is_none());
        out.text("created_at", &written.header.changed_at().to_rfc3339_seconds());
    })))
}

pub(super) async fn rotate(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let (named, written) = match written(context, permit, call, Adding::Rotation).await? {
        Done::Stored(named, written) => (named, written),
        Done::InFile(uri, _) => return Ok(in_file::rotated(&uri, call.now)),
    };
    Ok(Reply::json(Writer::object(|out| {
        out.text("uri", &named.text());
        out.number("version", written.number.get());
        match written.previous.filter(|number| *number > 0) {
            Some(previous) => out.number("previous_version", previous),
            None => out.null("previous_version"),
        }
        out.text("rotated_at", &written.header.changed_at().to_rfc3339_seconds());
    })))
}

/// A version that can be read, and its value.
pub(super) async fn found(
    context: &Context,
    permit: &Permit,
    named: &Named,
    pinned: Option<VersionNumber>,
    (include, now): (Include, Timestamp),
) -> Result<(VersionNumber, SecretValue), Failed> {
    let secrets = &context.service.secrets;
    let permit = &permit.of_part(named.fragment());
    let secret = secrets.get(permit, &named.path, pinned, include, now).await.map_err(words::of)?;
    match secret.version {
        Some(VersionView { number, value: Some(value), .. }) => Ok((number, value)),
        Some(VersionView { record, .. }) if pinned.is_some() => Err(ended(record.state(now))),
        _ => Err(Problem::SecretNotFound.into()),
    }
}

/// Why a version that was asked for by its number cannot be read.
pub(super) fn ended(state: VersionState) -> Failed {
    match state {
        VersionState::Deleted => Problem::VersionDestroyed.into(),
        VersionState::Active | VersionState::Deactivated => Problem::VersionEnded.into(),
    }
}

pub(super) async fn read(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let (uri, beside) = (needed(call, "uri")?, version(call)?);
    if let Some(named) = in_file(context, &permit, &uri, beside)? {
        let value = named.value(context, &permit, Action::VersionGetData).await?;
        return in_file::told(&value, named.fragment());
    }
    let named = Named::of(context, &permit, &uri).await?;
    let pinned = named.uri.version_with(beside)?;
    let include = (Include::Value, call.now);
    let (number, value) = found(context, &permit, &named, pinned, include).await?;
    let body = match named.fragment() {
        None => value.expose().to_vec(),
        Some(fragment) => {
            let part = parts::get(&value, fragment)?;
            Writer::object_sized(16 + part.len(), |out| out.raw("value", part.as_bytes()))
        }
    };
    let mut reply = Reply::json(body);
    reply.headers.push((VERSION, HeaderValue::from(number.get())));
    Ok(reply)
}

/// What this URI names in the domain's file; nothing where it names something else.
fn in_file(
    context: &Context,
    permit: &Permit,
    uri: &str,
    beside: Option<VersionNumber>,
) -> Result<Option<InFile>, Failed> {
    let named = InFile::of(context, permit, uri)?;
    if named.is_some() && beside.is_some() {
        return Err(in_file::not_in_files());
    }
    Ok(named)
}

/// What is in the file for development.
pub(super) async fn read_file(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let uri = needed(call, "uri")?;
    if let Some(named) = in_file(context, &permit, &uri, version(call)?)? {
        let value = named.value(context, &permit, Action::VersionGetData).await?;
        return in_file::told(&value, named.fragment());
    }
    let _ = Named::of(context, &permit, &uri).await?;
    let text =
        "this address reads files for development; read a secret with GET /api/secrets/value";
    Err(Problem::OperationNotSupported.with(&[text]))
}

pub(super) async fn keys(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let (uri, beside) = (needed(call, "uri")?, version(call)?);
    if let Some(named) = in_file(context, &permit, &uri, beside)? {
        return in_file::keys(context, &permit, &named).await;
    }
    let named = Named::of(context, &permit, &uri).await?;
    let pinned = named.uri.version_with(beside)?;
    let include = (Include::Names, call.now);
    let (number, value) = found(context, &permit, &named, pinned, include).await?;
    let names = parts::names(&value, named.fragment())?;
    Ok(Reply::json(Writer::object(|out| {
        out.text("uri", &named.text());
        out.number("version", number.get());
        out.texts("keys", names.iter().map(String::as_str));
    })))
}

/// Deletes what is named, so that it can be undone: a secret, or a part of its value.
pub(super) async fn end(
    context: &Context,
    permit: &Permit,
    named: &Named,
    now: Timestamp,
) -> Result<Remaining, Failed> {
    let (secrets, at) = (&context.service.secrets, named.through());
    let permit = &permit.of_part(named.fragment());
    match named.fragment() {
        None => {
            let acted = secrets.act(permit, at, Versions::Current, VersionAct::Delete, now).await;
            let ended = acted.map_err(words::of)?.versions.pop().ok_or(Problem::SecretNotFound)?;
            Ok(Remaining { number: ended.number, is_changed: ended.is_changed })
        }
        Some(fragment) => {
            let without = |value: &SecretValue| parts::without(value, fragment);
            secrets.remove_member(permit, at, &without, now).await.map_err(words::again)
        }
    }
}

/// Removes a whole secret for good.
pub(super) async fn destroy(
    context: &Context,
    permit: &Permit,
    named: Named,
    now: Timestamp,
) -> Result<(), Failed> {
    let path = named.whole()?.path;
    context.service.secrets.delete(permit, &path, now).await.map_err(words::of)
}

pub(super) async fn delete(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let (uri, destroys) = (needed(call, "uri")?, flag(call, "destroy")?);
    permit.check_scope(if destroys { Scope::Destroy } else { Scope::Delete })?;
    if let Some(named) = InFile::of(context, &permit, &uri)? {
        named.remove(context, &permit).await?;
        // Nothing brings it back.
        return Ok(deleted(&named.text(), true, None));
    }
    let named = Named::of(context, &permit, &uri).await?.unpinned()?;
    let uri = named.text();
    let ended = if destroys {
        destroy(context, &permit, named, call.now).await?;
        None
    } else {
        Some(end(context, &permit, &named, call.now).await?)
    };
    Ok(deleted(&uri, destroys, ended))
}

/// The answer to a deletion.
fn deleted(uri: &str, destroys: bool, ended: Option<Remaining>) -> Reply {
    Reply::json(Writer::object(|out| {
        out.text("uri", uri);
        out.boolean("deleted", true);
        out.boolean("destroyed", destroys);
        match &ended {
            Some(ended) => out.number("version", ended.number.get()),
            None => out.null("version"),
        }
        out.boolean("changed", ended.is_none_or(|ended| ended.is_changed));
    }))
}
