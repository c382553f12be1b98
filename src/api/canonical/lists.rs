//! Lists of secrets, and what is found among them.

use super::{
    super::{Call, Context, Failed, Problem, Reply, json::Writer, page},
    fields::{Paging, given, needed, parameter, wrong, wrong_cursor},
    in_file,
    named::{Below, settle},
    words,
};
use crate::{
    auth::Permit,
    model::{Scheme, SecretUriPrefix},
    service::{Error, Search, SearchPage, Within},
};

/// The longest text that is looked for, in characters.
const TEXT_MAX: usize = 128;
const BOTH: &str = "prefix is a URI, which names its mount; leave out mount, or give as prefix what follows the mount";

pub(super) async fn list(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    if let Some(prefix) = of_file(call)? {
        return in_file::list(context, &permit, call, (&prefix, None)).await;
    }
    let below = below(context, &permit, call).await?;
    found(context, &permit, call, (&below, None)).await
}

/// What is asked about, if that is in a file.
fn of_file(call: &Call) -> Result<Option<SecretUriPrefix>, Failed> {
    match (parameter(call, "mount")?, parameter(call, "prefix")?) {
        (None, Some(uri)) => {
            let prefix: SecretUriPrefix = uri.parse()?;
            Ok(Some(prefix).filter(|prefix| prefix.scheme() == Scheme::Yaml))
        }
        _ => Ok(None),
    }
}

pub(super) async fn search(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let text = needed(call, "q")?;
    if text.chars().count() > TEXT_MAX {
        return Err(wrong("q", "1 to 128 characters"));
    }
    let within = match given(call, "in")?.as_deref() {
        None | Some("path") => Within::Path,
        Some("metadata") => Within::Metadata,
        Some("all") => Within::Both,
        Some(_) => return Err(wrong("in", "path, metadata or all")),
    };
    let text = text.to_lowercase();
    if let Some(prefix) = of_file(call)? {
        // Nothing is said of what is in a file, so that nothing is found there.
        let in_path = (within != Within::Metadata).then_some(&*text);
        return in_file::list(context, &permit, call, (&prefix, Some(in_path.unwrap_or("\0"))))
            .await;
    }
    let below = below(context, &permit, call).await?;
    found(context, &permit, call, (&below, Some((text, within)))).await
}

/// What is asked about: what begins so, or all of a mount.
async fn below(context: &Context, permit: &Permit, call: &Call) -> Result<Below, Failed> {
    let (mount, prefix) = (parameter(call, "mount")?, parameter(call, "prefix")?);
    match (mount, prefix) {
        (Some(_), Some(uri)) if uri.contains("://") => Err(Problem::AmbiguousQuery.with(&[BOTH])),
        (Some(mount), name) => {
            Below::in_mount(context, permit, &mount, name.as_deref().unwrap_or_default()).await
        }
        (None, Some(uri)) => Below::of(context, permit, &uri).await,
        (None, None) => Below::of(context, permit, "openbao+kv2://secret/").await,
    }
}

/// A page of what is there, or of what is found among it.
async fn found(
    context: &Context,
    permit: &Permit,
    call: &Call,
    (below, wanted): (&Below, Option<(String, Within)>),
) -> Result<Reply, Failed> {
    let Paging { limit, offset, cursor } = Paging::of(context, call)?;
    let (text, within) = wanted.clone().unzip();
    let within = within.unwrap_or_default();
    let search = Search {
        prefix: below.prefix.clone(),
        text,
        within,
        with_expired: true,
        ..Search::default()
    };
    let secrets = &context.service.secrets;
    let found = secrets.search(permit, &search, cursor, offset + limit, call.now).await;
    let found = found.map_err(|error| match error {
        Error::Invalid(_) => wrong_cursor(),
        error => words::of(error),
    })?;
    let SearchPage { mut found, next, damaged, .. } = found;
    found.drain(..offset.min(found.len()));
    let states = secrets.states(permit, &found, call.now).await.map_err(words::of)?;
    let body = Writer::object_sized(128 + 192 * found.len(), |out| {
        out.objects("items", found.iter().zip(states), |((path, header), state), out| {
            // What is listed lies below the mount, so that it has a name there.
            out.text("uri", &below.uri(path).unwrap_or_default());
            out.number("version", header.current_number());
            match state {
                Some(state) => out.text("state", state.name()),
                None => out.null("state"),
            }
            match &header.about.owner {
                Some(owner) => out.text("owner", owner),
                None => out.null("owner"),
            }
            out.text("created_at", &header.created_at.to_rfc3339_seconds());
            out.text("updated_at", &header.updated_at.to_rfc3339_seconds());
            if let Some((text, within)) = &wanted {
                let is_named =
                    *within != Within::Metadata && path.as_str().to_lowercase().contains(text);
                out.text("matched", if is_named { "path" } else { "metadata" });
            }
        });
        out.number("limit", limit as u64);
        out.number("offset", offset as u64);
        out.boolean("has_more", next.is_some());
        match &next {
            Some(next) => out.text("next_cursor", &page::text(next)),
            None => out.null("next_cursor"),
        }
    });
    Ok(Reply { damaged, ..Reply::json(body) })
}
