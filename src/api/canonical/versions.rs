//! Versions, by their numbers: brought back, and destroyed.

use serde_json::value::RawValue;

use super::{
    super::{Call, Context, Failed, Problem, Reply, json::ObjectWriter, json::Writer},
    fields::{Fields, wrong},
    named::{Named, settle},
    words,
};
use crate::{
    auth::Permit,
    model::{Timestamp, VersionAct, VersionNumber, VersionState},
    service::{Acted, ActedVersion, Versions},
};

/// The most versions at once.
const VERSIONS_MAX: usize = 1_000;

/// The numbers of versions in a member of a body.
pub(super) fn numbers(raw: Option<&RawValue>) -> Result<Vec<VersionNumber>, Failed> {
    const RULE: &str = "1 to 1000 whole numbers from 1 to 24000, none twice";
    let raw = super::super::json::non_null(raw).ok_or(Problem::VersionsRequired)?;
    let numbers: Vec<u32> = serde_json::from_str(raw.get()).map_err(|_| wrong("versions", RULE))?;
    if numbers.is_empty() {
        return Err(Problem::VersionsRequired.into());
    }
    let mut seen = std::collections::HashSet::new();
    if numbers.len() > VERSIONS_MAX || !numbers.iter().all(|number| seen.insert(*number)) {
        return Err(wrong("versions", RULE));
    }
    let numbers = numbers.into_iter().map(VersionNumber::new);
    numbers.collect::<Result<_, _>>().map_err(|_| wrong("versions", RULE))
}

/// Does `act` to versions of a secret.
pub(super) async fn act(
    context: &Context,
    permit: &Permit,
    (named, numbers): (&Named, &[VersionNumber]),
    act: VersionAct,
    now: Timestamp,
) -> Result<Vec<ActedVersion>, Failed> {
    let which = Versions::Numbers(numbers);
    let acted = context.service.secrets.act(permit, named.through(), which, act, now).await;
    let Acted { is_there, versions } = acted.map_err(words::of)?;
    if !is_there {
        return Err(Problem::SecretNotFound.into());
    }
    if versions.is_empty() {
        return Err(Problem::VersionNotFound.into());
    }
    Ok(versions)
}

pub(super) async fn undelete(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    asked(context, permit, call, VersionAct::Undelete).await
}

pub(super) async fn destroy(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    asked(context, permit, call, VersionAct::Destroy).await
}

async fn asked(
    context: &Context,
    permit: &Permit,
    call: &Call,
    what: VersionAct,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let mut fields = Fields::of_body(&call.body)?;
    let (uri, numbers) = (fields.text("uri")?, numbers(fields.take("versions"))?);
    fields.finish()?;
    let named = Named::of(context, &permit, &uri).await?.unpinned()?.whole()?;
    let acted = act(context, &permit, (&named, &numbers), what, call.now).await?;
    Ok(Reply::json(Writer::object(|out| {
        out.text("uri", &named.text());
        results(out, &numbers, &acted, what, call.now);
    })))
}

/// What has become of each version that was named.
fn results(
    out: &mut ObjectWriter<'_>,
    numbers: &[VersionNumber],
    acted: &[ActedVersion],
    what: VersionAct,
    now: Timestamp,
) {
    out.objects("results", numbers, |number, out| {
        out.number("version", number.get());
        let Some(version) = acted.iter().find(|version| version.number == *number) else {
            return out.text("code", words::code(Problem::VersionNotFound));
        };
        let state = version.record.state(now);
        out.text("state", state.name());
        out.boolean("changed", version.is_changed);
        if what == VersionAct::Undelete && state == VersionState::Deleted {
            out.text("code", words::code(Problem::VersionDestroyed));
        }
    });
}
