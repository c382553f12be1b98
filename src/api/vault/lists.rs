//! Metadata and lists: one route in KV2, as a query tells them apart.

use super::{
    super::{Call, Context, Failed, Reply, json::ObjectWriter, page, query},
    asked::Asked,
    envelope,
    envelope::{KV, Parts},
    fields, kv,
};
use crate::{
    auth::Permit,
    model::View,
    service::{Browse, Error, FORGED_CURSOR, ListEntry},
};

/// What a request for metadata is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// A secret.
    Secret,
    /// A folder's entries.
    List,
    /// All that is below a folder.
    Scan,
}

/// What a list tells of each secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// Its name.
    Name,
    /// Its metadata as well.
    Metadata,
}

/// Whether a list comes in pages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Paging {
    /// If a header asks for that.
    WhereAsked,
    /// In any case.
    Always,
}

impl Wanted {
    fn of(call: &Call) -> Self {
        match call.head.method.as_str() {
            "LIST" => Self::List,
            "SCAN" => Self::Scan,
            _ => Self::Secret,
        }
    }
}

/// `metadata/…`: a secret's metadata, or a list.
pub(super) async fn read_or_list(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let wanted = Wanted::of(call);
    // A slash at the end does no harm, to a secret's name either.
    let name = asked.name();
    let view = kv::view(asked).await?;
    match wanted {
        // `OVHcloud`'s way of listing a mount's root.
        Wanted::Secret if name.is_empty() => {
            list(asked, &view, "", wanted, Detail::Name, Paging::Always).await
        }
        Wanted::Secret => {
            let path = view.secret(name)?;
            let (history, _turn) = context.service.secrets.history(permit, &path, call.now).await?;
            let warnings = fields::warn_of_ignored(call, &["list", "scan"]);
            let parts = Parts { bytes: 768 + 128 * history.versions.len(), warnings: &warnings };
            Ok(envelope::data(call, KV, &parts, |out| {
                kv::metadata(out, context, permit, &path, &history);
            }))
        }
        Wanted::List | Wanted::Scan => {
            list(asked, &view, name, wanted, Detail::Name, Paging::WhereAsked).await
        }
    }
}

/// `detailed-metadata/…`: lists that tell each secret's metadata.
pub(super) async fn list_metadata(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { call, .. } = *asked;
    let wanted = match Wanted::of(call) {
        Wanted::Secret => return Err(Failed::unknown_method(&["LIST"])),
        wanted => wanted,
    };
    let view = kv::view(asked).await?;
    list(asked, &view, asked.name(), wanted, Detail::Metadata, Paging::WhereAsked).await
}

async fn list(
    asked: &Asked<'_>,
    view: &View,
    folder: &str,
    wanted: Wanted,
    detail: Detail,
    paging: Paging,
) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let limit = fields::query_int(call, "limit")?
        .and_then(|limit| usize::try_from(limit).ok())
        .filter(|n| *n > 0);
    let after = query::parameter(call.query(), "after")?.map(std::borrow::Cow::into_owned);
    let has = |name| call.head.headers.contains_key(name);
    let is_detailed = detail == Detail::Metadata;
    let is_page =
        paging == Paging::Always || has("x-pagination-size") || has("x-pagination-cursor");
    let page_after =
        page::cursor(call)?.map(String::from_utf8).transpose().map_err(|_| FORGED_CURSOR)?;
    if page_after.as_deref().is_some_and(|name| !crate::model::text::is_printable(name)) {
        return Err(FORGED_CURSOR.into());
    }
    let browse = Browse {
        prefix: view.folder(folder),
        is_recursive: wanted == Wanted::Scan,
        after: page_after.or(after),
        limit: if is_page {
            Some(limit.unwrap_or(usize::MAX).min(page::size(call)?))
        } else {
            limit
        },
        excludes_deleted: fields::query_flag(call, "exclude_deleted")?,
        is_detailed,
    };
    let warnings =
        fields::warn_of_ignored(call, &["list", "scan", "after", "limit", "exclude_deleted"]);
    let listed = context.service.secrets.browse(permit, &browse, call.now).await?;
    let Some(last) = listed.entries.last() else {
        // As OpenBao has it: a list of nothing is not there, a scan of nothing has nothing in it.
        return match wanted {
            Wanted::Scan => {
                Ok(envelope::data(call, KV, &Parts { warnings: &warnings, bytes: 0 }, |_| {}))
            }
            _ => Err(Error::SecretNotFound.into()),
        };
    };
    let bytes = listed
        .entries
        .iter()
        .map(|entry| entry.name.len() + if is_detailed { 512 } else { 4 })
        .sum();
    let reply = envelope::data(call, KV, &Parts { bytes, warnings: &warnings }, |out| {
        if is_detailed {
            out.object("key_info", |out| {
                for entry in &listed.entries {
                    out.object(&entry.name, |out| {
                        info(out, context, permit, &browse.prefix, entry);
                    });
                }
            });
        }
        out.texts("keys", listed.entries.iter().map(|entry| entry.name.as_str()));
    });
    let next = (is_page && listed.has_more).then(|| last.name.as_bytes().to_vec());
    Ok(page::with_next(reply, next))
}

/// What a detailed list tells of an entry: nothing of a folder.
fn info(
    out: &mut ObjectWriter<'_>,
    context: &Context,
    permit: &Permit,
    prefix: &str,
    entry: &ListEntry,
) {
    let path = format!("{prefix}{}", entry.name).parse();
    if let (Some(history), Ok(path)) = (&entry.history, path) {
        kv::metadata(out, context, permit, &path, history);
    }
}
