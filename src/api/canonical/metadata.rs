//! What is known of a secret beside its value.

use super::{
    super::{Call, Context, Failed, Reply, json::Writer, vault},
    fields::{Fields, needed, wrong},
    named::{Named, settle},
    words,
};
use crate::{
    auth::Permit,
    model::{AboutPatch, Header, Invalid, MetadataPatch, secret_owner},
    service::History,
};

/// What is told of who made a secret, under names that its own metadata may have as well.
fn stamps(header: &Header) -> [(&'static str, Option<String>); 3] {
    let stamp = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    let created_by = stamp(&header.created_by);
    let created_at =
        created_by.as_ref().map(|_| header.created_at.to_rfc3339_seconds().to_string());
    [("created_at", created_at), ("created_by", created_by), ("owner", stamp(&header.about.owner))]
}

pub(super) async fn detail(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let (named, history) = history(context, &permit, call).await?;
    let stamps = stamps(&history.header);
    Ok(Reply::json(Writer::object_sized(512 + 96 * history.versions.len(), |out| {
        out.text("uri", &named.text());
        vault::history(out, &history, |out| {
            out.object("custom_metadata", |out| {
                for (name, text) in history.header.custom.iter() {
                    if !stamps.iter().any(|(stamp, _)| *stamp == name) {
                        out.text(name, text);
                    }
                }
                for (name, text) in &stamps {
                    if let Some(text) = text {
                        out.text(name, text);
                    }
                }
            });
        });
    })))
}

/// The secret that the query names, with all its versions.
async fn history(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<(Named, History), Failed> {
    let uri = needed(call, "uri")?;
    let named = Named::of(context, permit, &uri).await?.unpinned()?.whole()?;
    let history = context.service.secrets.history(permit, &named.path, call.now).await;
    let (history, _turn) = history.map_err(words::of)?;
    Ok((named, history))
}

pub(super) async fn versions(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let (named, History { header, versions }) = history(context, &permit, call).await?;
    Ok(Reply::json(Writer::object_sized(128 + 96 * versions.len(), |out| {
        out.text("uri", &named.text());
        out.number("current_version", header.current_number());
        out.number("oldest_version", header.oldest);
        out.objects("versions", versions.iter().rev(), |(number, record), out| {
            out.number("version", number.get());
            out.text("created_at", &record.created_at.to_rfc3339_seconds());
            out.text("state", record.state(call.now).name());
            if let Some(at) = record.deactivated_at(call.now) {
                out.text("deactivated_at", &at.to_rfc3339_seconds());
            }
            if let Some(at) = record.deleted_at {
                out.text("deleted_at", &at.to_rfc3339_seconds());
            }
        });
    })))
}

pub(super) async fn owner(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let mut fields = Fields::of_body(&call.body)?;
    let (uri, owner) = (fields.text("uri")?, fields.text("owner")?);
    fields.finish()?;
    let owner = secret_owner(&owner).map_err(|Invalid(rule)| wrong("owner", rule))?;
    let named = Named::of(context, &permit, &uri).await?.unpinned()?.whole()?;
    let about = AboutPatch { owner: Some(Some(owner)), ..AboutPatch::default() };
    let patch = MetadataPatch { about, ..MetadataPatch::default() };
    let amended = context.service.secrets.amend(&permit, &named.path, &patch, call.now).await;
    let header = amended.map_err(words::of)?;
    Ok(Reply::json(Writer::object(|out| {
        out.text("uri", &named.text());
        out.text("owner", header.about.owner.as_deref().unwrap_or_default());
        match &header.created_by {
            Some(subject) => out.text("created_by", subject),
            None => out.null("created_by"),
        }
        out.text("created_at", &header.created_at.to_rfc3339_seconds());
    })))
}
