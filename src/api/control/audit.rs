//! A domain's own view of the audit trail.

use std::borrow::Cow;

use serde::Deserialize;

use super::super::{Call, Context, Reply, json::Writer, page, query};
use crate::{
    auth::Permit,
    model::{Invalid, Timestamp},
    service::Error,
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
    identities: Vec<Cow<'a, str>>,
}

/// Which records are asked for.
struct Filter<'a> {
    from: String,
    to: String,
    effect: Option<Cow<'a, str>>,
    operation: Option<Cow<'a, str>>,
    request_id: Option<Cow<'a, str>>,
    subject: Option<Cow<'a, str>>,
    resource: Option<Cow<'a, str>>,
}

impl Filter<'_> {
    fn takes(&self, line: &str) -> bool {
        let Ok(record) = serde_json::from_str::<Record<'_>>(line) else { return false };
        let is = |found: Option<&str>, wanted: &Option<Cow<'_, str>>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        let subjects = [record.common_name.as_deref(), record.serial, record.user.as_deref()];
        let is_of = |wanted: &str| {
            subjects.contains(&Some(wanted)) || record.identities.iter().any(|one| one == wanted)
        };
        // Moments to the millisecond sort as text.
        self.from.as_str() <= record.time
            && record.time < self.to.as_str()
            && is(record.effect, &self.effect)
            && is(record.operation, &self.operation)
            && is(record.request_id, &self.request_id)
            && self.subject.as_deref().is_none_or(is_of)
            && self.resource.as_deref().is_none_or(|prefix| {
                record.resource.as_deref().is_some_and(|path| path.starts_with(prefix))
            })
    }
}

pub(super) async fn list(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Error> {
    const FROM: Invalid = Invalid("from must be a moment such as 2026-11-29T10:00:00Z");
    const TO: Invalid = Invalid("to must be a moment such as 2026-11-29T10:00:00Z");
    const EFFECT: Invalid = Invalid("effect must be permit, deny or error");
    let (cursor, size) = (page::cursor(call)?, page::size(call)?);
    let of = |name| query::parameter(call.query(), name);
    let moment = |name, wrong: Invalid| -> Result<Option<Timestamp>, Invalid> {
        of(name)?.map(|text| Timestamp::from_rfc3339(&text).ok_or(wrong)).transpose()
    };
    let day_ago = Timestamp::from_unix_seconds(call.now.unix_seconds() - SPAN_SECONDS);
    let from = moment("from", FROM)?.unwrap_or(day_ago);
    // Nothing is of the future, and the clocks of several servers differ.
    let to = moment("to", TO)?.unwrap_or_else(|| call.now.plus_seconds(3600));
    let effect = of("effect")?;
    if effect.as_deref().is_some_and(|effect| !["permit", "deny", "error"].contains(&effect)) {
        return Err(EFFECT.into());
    }
    let filter = Filter {
        from: from.to_rfc3339_millis(),
        to: to.to_rfc3339_millis(),
        effect,
        operation: of("operation")?,
        request_id: of("requestId")?,
        subject: of("subject")?,
        resource: of("resource")?,
    };
    let takes = |line: &str| filter.takes(line);
    let (found, next) =
        context.service.trails.list(permit, (from, to), cursor, size, takes).await?;
    let body = Writer::raw_array(&found);
    Ok(page::with_next(Reply::json(body), next))
}
