//! What happens to secrets, page by page, awaited, or as it happens.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hyper::header::HeaderValue;

use super::super::{
    Call, Context, Failed, Problem, Reply,
    feed::{self, Source},
    json::{ObjectWriter, Writer},
    query,
};
use crate::{
    auth::{Action, Permit, Resource},
    model::Invalid,
    service::{Error, EventFeed, EventPage, EventsSince, Service, ToldEvent},
};

/// The most events of a page, and how many there are where nobody says.
const LIMIT_MAX: usize = 1_000;
const LIMIT: usize = 100;
/// The longest that a client waits for an answer, in seconds.
const WAIT_MAX: u64 = 60;
/// What says where a feed goes on.
const LAST: &str = "last-event-id";

/// Which events are asked for.
struct Asked {
    since: EventsSince,
    prefix: String,
    limit: usize,
    wait: Option<Duration>,
}

impl Asked {
    fn parse(call: &Call) -> Result<Self, Invalid> {
        const SINCE: Invalid =
            Invalid("since is the next of an answer, the id of an event, now, or first");
        const LIMITS: Invalid = Invalid("limit must be a whole number from 1 to 1000");
        const WAIT: Invalid = Invalid("wait must be a whole number of seconds from 0 to 60");
        let of = |name| query::parameter(call.query(), name);
        let decode = |id: &[u8]| URL_SAFE_NO_PAD.decode(id).map_err(|_| SINCE);
        let last = call.header(LAST).map(HeaderValue::as_bytes);
        // An empty one is no place: whoever has lost his would not see that he misses something.
        let since = match (last, query::given(call.query(), "since")?.as_deref()) {
            (Some(id), _) => EventsSince::Behind(decode(id)?),
            (None, None | Some("now")) => EventsSince::Now,
            (None, Some("first")) => EventsSince::First,
            (None, Some(id)) => EventsSince::Behind(decode(id.as_bytes())?),
        };
        let limit = of("limit")?.map(|text| text.parse().map_err(|_| LIMITS)).transpose()?;
        let limit = limit.unwrap_or(LIMIT);
        let wait: Option<u64> =
            of("wait")?.map(|text| text.parse().map_err(|_| WAIT)).transpose()?;
        let wait = wait.unwrap_or(0);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(LIMITS);
        }
        if wait > WAIT_MAX {
            return Err(WAIT);
        }
        let prefix = of("prefix")?.unwrap_or_default().into_owned();
        let wait = (wait > 0).then(|| Duration::from_secs(wait));
        Ok(Self { since, prefix, limit, wait })
    }
}

pub(super) async fn list(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Failed> {
    let Asked { since, prefix, limit, wait } = Asked::parse(call)?;
    let events = &context.service.events;
    if feed::is_asked_for(call) {
        let seat = context.feeds.seat(permit.okms_id()).ok_or(Problem::TooManyFeeds)?;
        let followed = events.follow(permit, &since, prefix).await?;
        let (service, limit) = (Arc::clone(&context.service), limit.min(feed::AT_ONCE));
        let source = Told { service, followed, limit, form: Form::Stream };
        return Ok(feed::open(context, seat, permit, call, source));
    }
    let page = events.page(permit, &since, &prefix, limit).await?;
    let Some(wait) = wait.filter(|_| page.events.is_empty()) else {
        return Ok(Reply::json(Writer::object_sized(256, |out| tell(out, &page))));
    };
    let seat = context.feeds.seat(permit.okms_id()).ok_or(Problem::TooManyFeeds)?;
    let followed = events.follow(permit, &EventsSince::Behind(page.next), prefix).await?;
    let source = Told { service: Arc::clone(&context.service), followed, limit, form: Form::Page };
    Ok(feed::wait(context, seat, permit, call, (source, wait)))
}

fn tell(out: &mut ObjectWriter<'_>, page: &EventPage) {
    out.objects("events", &page.events, |event, out| members(out, event));
    out.text("next", &URL_SAFE_NO_PAD.encode(&page.next));
    out.boolean("hasMore", page.has_more);
}

fn members(out: &mut ObjectWriter<'_>, ToldEvent { id, event }: &ToldEvent) {
    out.text("id", &URL_SAFE_NO_PAD.encode(id));
    out.text("type", event.happening.name());
    out.text("path", &event.path);
    out.number("version", event.version);
    out.text("at", &event.at.to_rfc3339_nanos());
}

/// How events are told.
#[derive(Clone, Copy)]
enum Form {
    /// Each by itself, as they come.
    Stream,
    /// As the page that somebody waits for.
    Page,
}

/// Events that are being told.
struct Told {
    service: Arc<Service>,
    followed: EventFeed,
    limit: usize,
    form: Form,
}

impl Source for Told {
    fn is_allowed(&self, permit: &Permit) -> bool {
        let below = |action| permit.allows(action, Resource::Below(""));
        below(Action::SecretGet) && below(Action::SecretList)
    }

    async fn grows(&mut self) -> Result<(), Error> {
        self.followed.grows().await;
        Ok(())
    }

    async fn next(&mut self, permit: &Permit) -> Result<Option<Vec<u8>>, Error> {
        let page = self.service.events.next(permit, &mut self.followed, self.limit).await?;
        if page.events.is_empty() {
            return Ok(None);
        }
        Ok(Some(match self.form {
            Form::Page => Writer::object_sized(256, |out| tell(out, &page)),
            Form::Stream => {
                let mut events = Vec::new();
                for event in &page.events {
                    let line = Writer::object(|out| members(out, event));
                    let line = String::from_utf8(line).unwrap_or_default();
                    feed::event(&mut events, &URL_SAFE_NO_PAD.encode(&event.id), &line);
                }
                events
            }
        }))
    }

    fn nothing(&self) -> Vec<u8> {
        let next = self.followed.behind().to_vec();
        let page = EventPage { events: Vec::new(), next, has_more: false };
        Writer::object_sized(256, |out| tell(out, &page))
    }
}
