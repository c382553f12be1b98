//! A domain's own view of the audit trail.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hyper::header::HeaderValue;
use serde::Deserialize;

use super::super::{
    Call, Context, Failed, Problem, Reply,
    feed::{self, Source},
    json::Writer,
    page, query,
};
use crate::{
    auth::{Action, Permit, Resource},
    model::{Invalid, Timestamp},
    service::{Error, Since, TrailFeed},
};

/// How far back it is looked where nobody says.
const SPAN_SECONDS: i64 = 24 * 3600;

/// What is looked at of a record.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    time: &'a str,
    #[serde(borrow, default)]
    effect: Option<&'a str>,
    #[serde(borrow, default)]
    operation: Option<&'a str>,
    #[serde(borrow, default)]
    request_id: Option<&'a str>,
    #[serde(borrow, default)]
    resource: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    common_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    serial: Option<&'a str>,
    #[serde(borrow, default)]
    user: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    jwt: Option<Jwt<'a>>,
    #[serde(borrow, default)]
    identities: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    also: Vec<Also<'a>>,
}

/// Whom a JWT was about.
#[derive(Deserialize)]
struct Jwt<'a> {
    #[serde(borrow)]
    subject: Cow<'a, str>,
}

/// What else a record is about.
#[derive(Deserialize)]
struct Also<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    effect: Option<&'a str>,
}

/// What says where a feed goes on.
const LAST: &str = "last-event-id";

/// Which records are asked for.
struct Filter {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    effect: Option<String>,
    operation: Option<String>,
    request_id: Option<String>,
    subject: Option<String>,
    resource: Option<String>,
}

impl Filter {
    fn parse(call: &Call) -> Result<Self, Invalid> {
        const FROM: Invalid = Invalid("from must be a moment such as 2026-11-29T10:00:00Z");
        const TO: Invalid = Invalid("to must be a moment such as 2026-11-29T10:00:00Z");
        const EFFECT: Invalid = Invalid("effect must be permit, deny or error");
        let of = |name| Ok(query::parameter(call.query(), name)?.map(Cow::into_owned));
        let moment = |name, wrong: Invalid| -> Result<Option<Timestamp>, Invalid> {
            of(name)?.map(|text: String| Timestamp::from_rfc3339(&text).ok_or(wrong)).transpose()
        };
        let filter = Self {
            from: moment("from", FROM)?,
            to: moment("to", TO)?,
            effect: of("effect")?,
            operation: of("operation")?,
            request_id: of("requestId")?,
            subject: of("subject")?,
            resource: of("resource")?,
        };
        let is_effect = |effect: &str| ["permit", "deny", "error"].contains(&effect);
        match &filter.effect {
            Some(effect) if !is_effect(effect) => Err(EFFECT),
            _ => Ok(filter),
        }
    }

    /// What tells whether a record is asked for.
    fn takes(self) -> impl Fn(&str) -> bool + Send + Sync {
        // Moments to the millisecond sort as text.
        let (from, to) = [self.from, self.to].map(|at| at.map(Timestamp::to_rfc3339_millis)).into();
        move |line| {
            let Ok(record) = serde_json::from_str::<Record<'_>>(line) else { return false };
            let is = |found: Option<&str>, wanted: &Option<String>| {
                wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
            };
            let jwt = record.jwt.as_ref().map(|jwt| &*jwt.subject);
            let subjects =
                [record.common_name.as_deref(), record.serial, record.user.as_deref(), jwt];
            let is_of = |wanted: &str| {
                subjects.contains(&Some(wanted))
                    || record.identities.iter().any(|one| one == wanted)
            };
            // Of many things some may have been refused.
            let has_effect = |wanted: &str| {
                let also = record.also.iter().map(|also| also.effect);
                [record.effect].into_iter().chain(also).any(|effect| effect == Some(wanted))
            };
            from.as_deref().is_none_or(|from| from <= record.time)
                && to.as_deref().is_none_or(|to| record.time < to)
                && self.effect.as_deref().is_none_or(has_effect)
                && is(record.operation, &self.operation)
                && is(record.request_id, &self.request_id)
                && self.subject.as_deref().is_none_or(is_of)
                && self.resource.as_deref().is_none_or(|prefix| {
                    let also = record.also.iter().map(|also| &*also.name);
                    record
                        .resource
                        .as_deref()
                        .into_iter()
                        .chain(also)
                        .any(|name| name.starts_with(prefix))
                })
        }
    }
}

pub(super) async fn list(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Failed> {
    let mut filter = Filter::parse(call)?;
    if feed::is_asked_for(call) {
        return tell(context, permit, call, filter).await;
    }
    let (cursor, size) = (page::cursor(call)?, page::size(call)?);
    let day_ago = Timestamp::from_unix_seconds(call.now.unix_seconds() - SPAN_SECONDS);
    let from = *filter.from.get_or_insert(day_ago);
    // Nothing is of the future, and the clocks of several servers differ.
    let to = *filter.to.get_or_insert_with(|| call.now.plus_seconds(3600));
    let takes = filter.takes();
    let (found, next) =
        context.service.trails.list(permit, (from, to), cursor, size, takes).await?;
    let body = Writer::raw_array(&found);
    Ok(page::with_next(Reply::json(body), next))
}

/// The records as they come.
async fn tell(
    context: &Context,
    permit: &Permit,
    call: &Call,
    filter: Filter,
) -> Result<Reply, Failed> {
    const TO: Invalid = Invalid("a feed has no end; ask for it without to");
    const LAST_ID: Invalid =
        Invalid("Last-Event-ID is not one of this feed; connect again without it");
    if filter.to.is_some() {
        return Err(TO.into());
    }
    let decode = |id: &HeaderValue| URL_SAFE_NO_PAD.decode(id).map_err(|_| LAST_ID);
    let since = match (call.header(LAST).map(decode).transpose()?, filter.from) {
        (Some(id), _) => Since::Behind(id),
        (None, Some(from)) => Since::Moment(from),
        (None, None) => Since::Now,
    };
    let seat = context.feeds.seat(permit.okms_id()).ok_or(Problem::TooManyFeeds)?;
    let records = context.service.trails.follow(permit, since).await?;
    let records = Records { records, takes: filter.takes() };
    Ok(feed::open(context, seat, permit, call, records))
}

/// Records of a domain's view, one an event.
struct Records<F> {
    records: TrailFeed,
    takes: F,
}

impl<F: Fn(&str) -> bool + Send + Sync + 'static> Source for Records<F> {
    fn is_allowed(&self, permit: &Permit) -> bool {
        permit.allows(Action::AuditGet, Resource::Tenant)
    }

    async fn grows(&mut self) -> Result<(), Error> {
        self.records.grows().await
    }

    async fn next(&mut self, permit: &Permit) -> Result<Option<Vec<u8>>, Error> {
        let found = self.records.next(permit, &self.takes).await?;
        Ok(found.map(|found| {
            let mut events = Vec::new();
            for record in &found {
                feed::event(&mut events, &URL_SAFE_NO_PAD.encode(&record.id), &record.text);
            }
            events
        }))
    }
}
