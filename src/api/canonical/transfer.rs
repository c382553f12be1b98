//! Values that go from one place to another.

use super::{
    super::{
        Call, Context, Failed, Problem, Reply,
        json::{ObjectWriter, Writer},
    },
    fields::Fields,
    in_file::{self, InFile},
    named::{Named, settle},
    parts, relocate, values, words,
};
use crate::{
    auth::{Action, Permit, Resource, pdp::Purpose},
    model::{Cas, Fragment, Timestamp, VersionNumber, VersionState, secret_resource},
    service::{Adding, Include, Leave, Making, SecretValue, Transfer, Transferred},
};

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
    let with_history = fields.flag("history", false)?;
    fields.finish()?;
    if with_history {
        let asked = relocate::Asked { from, to, moves, overwrites, cas };
        return asked.perform(context, &permit, call.now).await;
    }
    let in_file = (InFile::of(context, &permit, &from)?, InFile::of(context, &permit, &to)?);
    if in_file.0.is_some() || in_file.1.is_some() {
        let asked = Across { moves, overwrites, cas };
        let from = End::of(context, &permit, in_file.0, &from).await?;
        let to = End::of(context, &permit, in_file.1, &to).await?;
        return asked.perform(context, &permit, (&from, &to), call.now).await;
    }
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
        placed((value, self.bytes_max), self.to.fragment(), (there, left), self.overwrites)
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

/// The value at the destination, where `there` can be read, with this in its place in `left`.
fn placed(
    (value, bytes_max): (&str, usize),
    fragment: Option<&Fragment>,
    (there, left): (Option<&SecretValue>, Option<&SecretValue>),
    overwrites: bool,
) -> Result<SecretValue, Failed> {
    let is_there = there
        .is_some_and(|there| fragment.is_none_or(|fragment| parts::get(there, fragment).is_ok()));
    if is_there && !overwrites {
        return Err(words::exists());
    }
    match fragment {
        None => parts::whole(value, bytes_max),
        Some(fragment) => parts::set(left, fragment, value, bytes_max),
    }
}

/// Where something goes from, or to, that is in a file at one of its ends.
enum End {
    InFile(InFile),
    Stored(Named),
}

impl End {
    async fn of(
        context: &Context,
        permit: &Permit,
        in_file: Option<InFile>,
        text: &str,
    ) -> Result<Self, Failed> {
        match in_file {
            Some(in_file) => Ok(Self::InFile(in_file)),
            None => Ok(Self::Stored(Named::of(context, permit, text).await?)),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::InFile(named) => named.text(),
            Self::Stored(named) => named.text(),
        }
    }

    fn fragment(&self) -> Option<&Fragment> {
        match self {
            Self::InFile(named) => named.fragment(),
            Self::Stored(named) => named.fragment(),
        }
    }
}

/// A copy or a move from a file, or into one: two steps, of which the destination is the first.
struct Across {
    moves: bool,
    overwrites: bool,
    cas: Option<Cas>,
}

impl Across {
    async fn perform(
        &self,
        context: &Context,
        permit: &Permit,
        (from, to): (&End, &End),
        now: Timestamp,
    ) -> Result<Reply, Failed> {
        let Self { moves, overwrites, cas } = *self;
        if let (End::InFile(from), End::InFile(to)) = (from, to)
            && from.is(to)
        {
            return Err(Problem::SameResource.into());
        }
        // What could not be taken away is not copied first.
        match from {
            End::InFile(named) if moves => named.may_remove(context, permit).await?,
            End::Stored(named) if moves && named.uri.version().is_some() => {
                return Err(Problem::VersionPinNotAllowed.with(&[PINNED]));
            }
            _ => {}
        }
        let (from_version, source) = match from {
            End::InFile(named) => {
                (None, named.value(context, permit, Action::VersionGetData).await?)
            }
            End::Stored(named) => {
                let (pinned, include) = (named.uri.version(), (Include::Value, now));
                let found = values::found(context, permit, named, pinned, include).await?;
                (Some(found.0), found.1)
            }
        };
        let (value, bytes_max) = (source_text(&source, from.fragment())?, context.value_bytes);
        let place = |there: Option<&SecretValue>| {
            placed((value, bytes_max), to.fragment(), (there, there), overwrites)
        };
        let (version, created) = match to {
            End::InFile(_) if cas.is_some() => return Err(in_file::not_in_files()),
            End::InFile(named) => (None, named.write(context, permit, place).await?),
            End::Stored(named) => {
                if named.uri.version().is_some() {
                    return Err(Problem::VersionPinNotAllowed.with(&[PINNED]));
                }
                let (secrets, making) =
                    (&context.service.secrets, (Making::Of(&place), Adding::Write));
                let permit = permit.of_part(named.fragment());
                let written = secrets.upsert(&permit, named.through(), making, cas, now).await;
                let written = written.map_err(words::again)?;
                (Some(written.number), written.previous.is_none())
            }
        };
        match from {
            End::InFile(named) if moves => named.remove(context, permit).await?,
            End::Stored(named) if moves => _ = values::end(context, permit, named, now).await?,
            _ => {}
        }
        let number =
            |out: &mut ObjectWriter<'_>, name: &str, number: Option<VersionNumber>| match number {
                Some(number) => out.number(name, number.get()),
                None => out.null(name),
            };
        Ok(Reply::json(Writer::object(|out| {
            out.text("fromUri", &from.text());
            out.text("toUri", &to.text());
            number(out, "from_version", from_version);
            number(out, "version", version);
            out.boolean("created", created);
            if moves {
                out.boolean("source_deleted", true);
            }
        })))
    }
}

const PINNED: &str = "the URI names a version; only reads, keys and the source of a copy take one";

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
