//! Values that go from one place to another.

use super::{
    super::{Call, Context, Failed, Problem, Reply, json::Writer},
    fields::Fields,
    named::{Named, settle},
    parts, values, words,
};
use crate::{
    auth::{Action, Permit, Resource, pdp::Purpose},
    model::{Cas, Fragment, Timestamp, VersionNumber, VersionState, secret_resource},
    service::{Adding, Include, Leave, Making, SecretValue, Transfer, Transferred},
};

const EXISTS: &str =
    "there is something at toUri already; choose another place, or send overwrite: true";

pub(super) async fn copy(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Failed> {
    answer(context, permit, call, false).await
}

pub(super) async fn relocate(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    answer(context, permit, call, true).await
}

async fn answer(
    context: &Context,
    permit: &Permit,
    call: &Call,
    moves: bool,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let mut fields = Fields::of_body(&call.body)?;
    let (from, to) = (fields.text("fromUri")?, fields.text("toUri")?);
    let (overwrites, cas) = (fields.flag("overwrite", false)?, fields.cas()?);
    fields.finish()?;
    let from = Named::of(context, &permit, &from).await?;
    let from = if moves { from.unpinned()? } else { from };
    let to = Named::of(context, &permit, &to).await?.unpinned()?;
    let resource = |named: &Named| secret_resource(&named.path, named.fragment());
    if resource(&from) == resource(&to) {
        return Err(Problem::SameResource.into());
    }
    let bytes_max = context.value_bytes;
    let asked = Asked { from: &from, to: &to, overwrites, moves, cas, bytes_max };
    let Transferred { from_version, written } = asked.perform(context, &permit, call.now).await?;
    Ok(Reply::json(Writer::object(|out| {
        out.text("fromUri", &from.text());
        out.text("toUri", &to.text());
        out.number("from_version", from_version.get());
        out.number("version", written.number.get());
        out.boolean("created", written.previous.is_none());
        if moves {
            out.boolean("source_deleted", true);
        }
    })))
}

/// A copy or a move that was asked for.
struct Asked<'a> {
    from: &'a Named,
    to: &'a Named,
    overwrites: bool,
    moves: bool,
    cas: Option<Cas>,
    bytes_max: usize,
}

impl Asked<'_> {
    async fn perform(
        &self,
        context: &Context,
        permit: &Permit,
        now: Timestamp,
    ) -> Result<Transferred, Failed> {
        let Self { from, to, .. } = self;
        if from.path == to.path {
            return self.within(context, permit, now).await;
        }
        let pinned = from.uri.version();
        let take = |source: Result<&SecretValue, VersionState>, there: Option<&SecretValue>| {
            let source = source.map_err(|state| match pinned {
                Some(_) => values::ended(state),
                None => Problem::SecretNotFound.into(),
            })?;
            self.next(source, there, there)
        };
        let without = |value: &SecretValue| match from.fragment() {
            Some(fragment) => parts::without(value, fragment),
            None => Ok(None),
        };
        let transfer = Transfer {
            from: from.through(),
            from_part: from.fragment(),
            version: pinned,
            to: to.through(),
            to_part: to.fragment(),
            cas: self.cas,
            take: &take,
            leave: match (self.moves, from.fragment()) {
                (false, _) => Leave::Stay,
                (true, None) => Leave::End,
                (true, Some(_)) => Leave::Without(&without),
            },
        };
        context.service.secrets.transfer(permit, &transfer, now).await.map_err(words::again)
    }

    /// The next value at the destination, where `there` can be read, made of `left`.
    fn next(
        &self,
        source: &SecretValue,
        there: Option<&SecretValue>,
        left: Option<&SecretValue>,
    ) -> Result<SecretValue, Failed> {
        let value = source_text(source, self.from.fragment())?;
        let fragment = self.to.fragment();
        let is_there = there.is_some_and(|there| {
            fragment.is_none_or(|fragment| parts::get(there, fragment).is_ok())
        });
        if is_there && !self.overwrites {
            return Err(Problem::DestinationExists.with(&[EXISTS]));
        }
        match fragment {
            None => parts::whole(value, self.bytes_max),
            Some(fragment) => parts::set(left, fragment, value, self.bytes_max),
        }
    }

    /// Within one secret it is one write. What goes is gone before it comes, so that it may go into what was around it, or take the place of that.
    async fn within(
        &self,
        context: &Context,
        permit: &Permit,
        now: Timestamp,
    ) -> Result<Transferred, Failed> {
        let Self { from, to, .. } = self;
        let (pinned, include) = (from.uri.version(), (Include::Value, now));
        if self.moves {
            let may_leave = permit.of_part(from.fragment());
            let may_leave = may_leave.meant_for(Purpose::Delete);
            may_leave.check(Action::VersionCreate, Resource::Secret(&from.path))?;
        }
        let (read, source) = values::found(context, permit, from, pinned, include).await?;
        let make = |before: Option<&SecretValue>| {
            // Of what is current, what the write stands on counts.
            let source = match pinned {
                Some(_) => &source,
                None => before.ok_or(Problem::SecretNotFound)?,
            };
            if !self.moves {
                return self.next(source, before, before);
            }
            let left = from.fragment().map(|fragment| parts::without(source, fragment));
            self.next(source, before, left.transpose()?.flatten().as_ref())
        };
        let (secrets, making) = (&context.service.secrets, (Making::Of(&make), Adding::Write));
        let may_write = permit.of_part(to.fragment());
        let written = secrets.upsert(&may_write, to.through(), making, self.cas, now).await;
        let written = written.map_err(words::again)?;
        let current = written.previous.and_then(|number| VersionNumber::new(number).ok());
        Ok(Transferred { from_version: pinned.or(current).unwrap_or(read), written })
    }
}

/// The text at the source.
fn source_text<'v>(
    source: &'v SecretValue,
    fragment: Option<&Fragment>,
) -> Result<&'v str, Failed> {
    match fragment {
        Some(fragment) => parts::get(source, fragment),
        None => Ok(parts::text(source)),
    }
}
