//! What helps whoever develops: what was asked of the domain's secrets of late, page by page or as it happens.
//!
//! Always holds: there is none of it where the configuration does not say so.

use std::sync::Arc;

use tokio::sync::watch;

use super::{
    super::{
        Call, Context, Failed, Problem, Reply,
        feed::{self, Source},
        json::Writer,
    },
    fields::{given, number, parameter, wrong},
    named::settle,
    recent::{Lost, Recent, Wanted},
};
use crate::{
    auth::{Action, Permit, Resource},
    model::{OkmsId, Timestamp},
    service::Error,
};

/// The most entries of a page, and how many there are where nobody says.
const LIMIT_MAX: u32 = 1_000;
const LIMIT: usize = 100;
/// The most entries that are passed over.
const OFFSET_MAX: u32 = 10_000;
/// What says where a feed goes on.
const LAST: &str = "last-event-id";
/// Whoever may see each secret is told what was asked of any.
const OF_ALL: Resource<'static> = Resource::AllBelow("");

pub(super) async fn audit(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    permit.check(Action::SecretGet, OF_ALL)?;
    context.service.settles(&permit).await?;
    let helpers = context.uris.helpers.as_ref().ok_or(Problem::NoRoute)?;
    let limit = number(call, "limit", 1..=LIMIT_MAX, "a whole number from 1 to 1000")?;
    let offset = number(call, "offset", 0..=OFFSET_MAX, "a whole number from 0 to 10000")?;
    let (limit, offset) = (limit.unwrap_or(LIMIT), offset.unwrap_or(0));
    let since = parameter(call, "since")?.map(|text| {
        Timestamp::from_rfc3339(&text)
            .ok_or_else(|| wrong("since", "a moment such as 2026-11-29T10:00:00Z"))
    });
    let effect = parameter(call, "effect")?;
    if effect.as_deref().is_some_and(|effect| !["permit", "deny", "error"].contains(&effect)) {
        return Err(wrong("effect", "permit, deny or error"));
    }
    let wanted = Wanted {
        since: since.transpose()?,
        purpose: parameter(call, "purpose")?,
        effect,
        subject: parameter(call, "subject")?,
        reference: parameter(call, "resource_ref")?,
    };
    let found = helpers.recent.of(permit.okms_id(), &wanted);
    let page = found.iter().skip(offset).take(limit);
    let items: Vec<_> = page.map(|entry| entry.text.clone()).collect();
    Ok(Reply::json(Writer::object_sized(128, |out| {
        out.raw("items", &Writer::raw_array(&items));
        out.number("limit", limit as u64);
        out.number("offset", offset as u64);
        out.number("total", found.len() as u64);
        out.boolean("has_more", offset + items.len() < found.len());
    })))
}

pub(super) async fn events(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    const NUMBER: &str = "the id of an event";
    let permit = settle(context, permit, call).await?;
    permit.check(Action::SecretGet, OF_ALL)?;
    context.service.settles(&permit).await?;
    let helpers = context.uris.helpers.as_ref().ok_or(Problem::NoRoute)?;
    let last = if let Some(id) = call.header(LAST) {
        let id = id.to_str().ok().and_then(number_of);
        Some(id.ok_or_else(|| wrong("Last-Event-ID", NUMBER))?)
    } else {
        let since = given(call, "since")?;
        since.map(|id| number_of(&id).ok_or_else(|| wrong("since", NUMBER))).transpose()?
    };
    let id = permit.okms_id();
    let seat = helpers.feeds.seat(id).ok_or(Problem::TooManyFeeds)?;
    let (newest, news) = helpers.recent.listen(id);
    let recent = Arc::clone(&helpers.recent);
    let source = Told { recent, id, news, behind: last.unwrap_or(newest) };
    Ok(feed::open(context, seat, &permit, call, source))
}

fn number_of(id: &str) -> Option<u64> {
    id.parse().ok()
}

/// What is being told as it happens.
struct Told {
    recent: Arc<Recent>,
    id: OkmsId,
    news: watch::Receiver<()>,
    behind: u64,
}

impl Source for Told {
    fn is_allowed(&self, permit: &Permit) -> bool {
        permit.lists(Action::SecretGet, "");
        permit.allows(Action::SecretGet, OF_ALL)
    }

    async fn grows(&mut self) -> Result<(), Error> {
        self.news.changed().await.map_err(|_| Error::Overloaded)
    }

    async fn next(&mut self, permit: &Permit) -> Result<Option<Vec<u8>>, Error> {
        self.news.mark_unchanged();
        if permit.okms_id() != self.id {
            return Ok(None);
        }
        let found = self.recent.behind(self.id, self.behind).map_err(|Lost| Error::Overloaded)?;
        let found = found.get(..feed::AT_ONCE).unwrap_or(&found);
        let Some(last) = found.last() else { return Ok(None) };
        self.behind = last.number;
        let mut events = Vec::new();
        for entry in found {
            if let Some(kind) = entry.event {
                feed::event_of(&mut events, &entry.number.to_string(), kind, &entry.text);
            }
        }
        Ok(Some(events))
    }
}
