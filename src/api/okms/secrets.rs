//! Secrets, versions and the domain's defaults.

use std::borrow::Cow;

use hyper::StatusCode;

use super::{
    super::{
        Call, Context, Reply, etag,
        json::Writer,
        page,
        query::{flag, parameter, parameters},
    },
    parse, render,
};
use crate::{
    auth::Permit,
    model::{
        Cas, Header, Invalid, MetadataPatch, SecretPath, SecretType, Settings, Tags, VersionNumber,
    },
    service::{Changed, Error, Include, Search, Secret, Update, VersionView},
};

pub(super) async fn list(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Error> {
    let (size, cursor) = (page::size(call)?, page::cursor(call)?);
    let secrets = &context.service.secrets;
    let (secrets, next, damaged) = match search(call)? {
        None => {
            let (secrets, next) = secrets.list(permit, cursor, size, call.now).await?;
            (secrets, next, 0)
        }
        Some(search) => {
            let page = secrets.search(permit, &search, cursor, size, call.now).await?;
            let found = page.found.into_iter().map(|(path, header)| (path, Some(header)));
            (found.collect(), page.next, page.damaged)
        }
    };
    let body = Writer::array(&secrets, |(path, header), out| {
        out.text("path", path.as_str());
        out.object("metadata", |out| match header {
            Some(header) => render::metadata(out, context, permit.okms_id(), path, header),
            None => render::urn(out, context, permit.okms_id(), path),
        });
    });
    let damaged = damaged + secrets.iter().filter(|(_, header)| header.is_none()).count();
    Ok(page::with_next(Reply { damaged, ..Reply::json(body) }, next))
}

/// What the query looks for, if it does: an addition of ours, which no published client sends.
fn search(call: &Call) -> Result<Option<Search>, Invalid> {
    const TAGS: Invalid =
        Invalid("tag names up to 32 tags, each of 1 to 64 bytes of printable text");
    const KIND: Invalid = Invalid("type is kv, json, certificate, ssh_key or api_key");
    let text = |name| Ok(parameter(call.query(), name)?.map(Cow::into_owned));
    let (prefix, owner, words) = (text("prefix")?, text("owner")?, text("text")?);
    let tags = Tags::new(parameters(call.query(), "tag")?).map_err(|_| TAGS)?;
    let kind = text("type")?.map(|name| SecretType::of(&name).ok_or(KIND)).transpose()?;
    let is_one = prefix.is_some() || owner.is_some() || words.is_some() || kind.is_some();
    Ok((is_one || tags.iter().len() > 0).then(|| Search {
        prefix: prefix.unwrap_or_default(),
        tags,
        secret_type: kind,
        owner,
        text: words.map(|text| text.to_lowercase()),
        // As lists here show them: with their versions' states.
        with_expired: true,
        with_removed: true,
        ..Search::default()
    }))
}

pub(super) async fn create(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    const CAS_IGNORED: &str = "cas has no effect when a secret is created: there is no version yet";
    let cas = cas(call)?;
    let parsed = parse::create(&call.body, context.value_bytes)?;
    let parse::Create { path, patch, value } = parsed.body;
    let created = context.service.secrets.create(permit, &path, &patch, &value, call.now).await?;
    let mut warnings = warnings(parsed.has_unknown, &patch, &created.defaults);
    warnings.extend(cas.map(|_| CAS_IGNORED));
    Ok(change_reply(context, permit, &path, &created, &warnings))
}

pub(super) async fn get(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Error> {
    let path = path(call)?;
    let version = parameter(call.query(), "version")?
        .map(|text| text.parse::<VersionNumber>())
        .transpose()?;
    let include = include(call)?;
    let secret = known_or_read(context, permit, call, (path, version, include)).await?;
    let tag = secret.version.as_ref().map(|it| etag::of_version(&secret.header, it, call.now));
    if let Some(tag) = tag.as_ref().filter(|tag| etag::is_known(call, tag)) {
        return Ok(etag::not_modified(tag.clone()));
    }
    let body = Writer::object_sized(512 + value_len(secret.version.as_ref()), |out| {
        out.object("metadata", |out| {
            render::metadata(out, context, permit.okms_id(), path, &secret.header);
        });
        out.text("path", path.as_str());
        if let Some(version) = &secret.version {
            out.object("version", |out| render::version(out, version, call.now));
        }
    });
    Ok(match tag {
        Some(tag) => etag::tagged(Reply::json(body), tag),
        None => Reply::json(body),
    })
}

pub(super) async fn update(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    const NOTHING: &str = "the request names nothing to change";
    let path = path(call)?;
    let cas = cas(call)?;
    let parsed = parse::update(&call.body, context.value_bytes)?;
    let update = Update { patch: parsed.body.patch, value: parsed.body.value, cas };
    let updated = context.service.secrets.update(permit, path, &update, call.now).await?;
    let mut warnings = warnings(parsed.has_unknown, &update.patch, &updated.defaults);
    if update.value.is_none() && update.patch.is_empty() {
        warnings.push(NOTHING);
    }
    Ok(change_reply(context, permit, path, &updated, &warnings))
}

pub(super) async fn delete(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    context.service.secrets.delete(permit, path(call)?, call.now).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn list_versions(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    let (size, cursor) = (page::size(call)?, page::cursor(call)?);
    let (versions, next) =
        context.service.secrets.versions(permit, path(call)?, cursor, size, call.now).await?;
    let body = Writer::array(&versions, |version, out| render::version(out, version, call.now));
    Ok(page::with_next(Reply::json(body), next))
}

pub(super) async fn create_version(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    let path = path(call)?;
    let cas = cas(call)?;
    let parsed = parse::version(&call.body, context.value_bytes)?;
    let update = Update { patch: MetadataPatch::default(), value: Some(parsed.body), cas };
    let Changed { added, .. } =
        context.service.secrets.update(permit, path, &update, call.now).await?;
    let (number, record) = added.ok_or(Error::VersionNotFound)?;
    let warnings = warnings(parsed.has_unknown, &update.patch, &Settings::default());
    Ok(version(&VersionView { number, record, value: None }, call, &warnings))
}

pub(super) async fn get_version(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    let include = include(call)?;
    let number = number(call)?;
    let wanted = (path(call)?, Some(number), include);
    let Secret { header, version: found } = known_or_read(context, permit, call, wanted).await?;
    let found = found.ok_or(Error::VersionNotFound)?;
    let tag = etag::of_version(&header, &found, call.now);
    if etag::is_known(call, &tag) {
        return Ok(etag::not_modified(tag));
    }
    Ok(etag::tagged(version(&found, call, &[]), tag))
}

/// A secret, which does not count as read where the client knows the answer.
async fn known_or_read(
    context: &Context,
    permit: &Permit,
    call: &Call,
    (path, version, include): (&SecretPath, Option<VersionNumber>, Include),
) -> Result<Secret, Error> {
    let is_known = |header: &Header, version: &VersionView| etag::knows(call, header, version);
    let secrets = &context.service.secrets;
    secrets.get_unless(permit, path, version, include, is_known, call.now).await
}

pub(super) async fn set_state(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    let parsed = parse::state(&call.body)?;
    let (state, number, secrets) = (parsed.body, number(call)?, &context.service.secrets);
    let (view, did_change) =
        secrets.set_state(permit, path(call)?, number, state, call.now).await?;
    let mut warnings =
        warnings(parsed.has_unknown, &MetadataPatch::default(), &Settings::default());
    warnings.extend((!did_change).then(|| render::warn_of_unchanged(state)));
    Ok(match view {
        Some(view) => version(&view, call, &warnings),
        None => Reply::json(Writer::object(|out| {
            out.number("id", number.get());
            out.text("state", state.name());
            render::warnings(out, &warnings);
        })),
    })
}

pub(super) async fn get_config(
    context: &Context,
    permit: &Permit,
    _: &Call,
) -> Result<Reply, Error> {
    let settings = context.service.defaults.get(permit).await?;
    Ok(Reply::json(Writer::object(|out| render::settings(out, &settings))))
}

pub(super) async fn put_config(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    let parsed = parse::config(&call.body)?;
    let settings = context.service.defaults.update(permit, &parsed.body).await?;
    let warnings = warnings(parsed.has_unknown, &MetadataPatch::default(), &Settings::default());
    Ok(Reply::json(Writer::object(|out| {
        if let Some(settings) = &settings {
            render::settings(out, settings);
        }
        render::warnings(out, &warnings);
    })))
}

/// The answer to a secret's creation or change: its metadata, or what the change itself has done.
fn change_reply(
    context: &Context,
    permit: &Permit,
    path: &SecretPath,
    changed: &Changed,
    warnings: &[&str],
) -> Reply {
    let id = permit.okms_id();
    Reply::json(Writer::object(|out| {
        out.object("metadata", |out| match (&changed.header, &changed.added) {
            (Some(header), _) => render::metadata(out, context, id, path, header),
            (None, added) => {
                if let Some((number, _)) = added {
                    out.number("currentVersion", number.get());
                }
                render::urn(out, context, id, path);
            }
        });
        out.text("path", path.as_str());
        render::warnings(out, warnings);
    }))
}

fn version(view: &VersionView, call: &Call, warnings: &[&str]) -> Reply {
    Reply::json(Writer::object_sized(256 + value_len(Some(view)), |out| {
        render::version(out, view, call.now);
        render::warnings(out, warnings);
    }))
}

fn value_len(version: Option<&VersionView>) -> usize {
    version.and_then(|version| version.value.as_ref()).map_or(0, crate::service::SecretValue::len)
}

fn warnings(has_unknown: bool, patch: &MetadataPatch, domain: &Settings) -> Vec<&'static str> {
    let ignored = has_unknown.then_some(render::IGNORED_FIELDS);
    ignored.into_iter().chain(render::warn_of_overruled(&patch.settings, domain)).collect()
}

fn include(call: &Call) -> Result<Include, Invalid> {
    Ok(if flag(call.query(), "includeData")? { Include::Everything } else { Include::Metadata })
}

fn cas(call: &Call) -> Result<Option<Cas>, Invalid> {
    parameter(call.query(), "cas")?.map(|text| text.parse()).transpose()
}

fn path(call: &Call) -> Result<&SecretPath, Invalid> {
    call.params.path.as_ref().ok_or(Invalid("the URL names no secret"))
}

fn number(call: &Call) -> Result<VersionNumber, Invalid> {
    call.params.version.ok_or(Invalid("the URL names no version"))
}
