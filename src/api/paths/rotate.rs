//! Rotating secrets, and what has become of it.

use hyper::header::ETAG;
use serde_json::value::RawValue;

use super::{
    super::{
        Call, Context, Failed, Reply,
        json::{self, ObjectWriter, Writer},
        value,
    },
    entered::{of_text, path, settle},
    fields::{Fields, YES_OR_NO, parameter, span, text},
    paging::{cursor, limit, of_cursor, paging},
    parse::shape,
    render,
    rotation::id,
    secrets::{expects, tag},
    words,
};
use crate::{
    auth::Permit,
    model::{Faults, Invalid, RotationEvent, RotationOutcome, SecretType, rotation_reason},
    service::{Expects, Rotate, RotationHistory, ValueRules},
};

/// The longest grace, in seconds: a year.
const GRACE_MAX: u64 = 365 * 86_400;
/// The most secrets that are named at once.
const PATHS_MAX: usize = 100;

pub(super) async fn rotate(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let (path, expects) = (path(call)?, expects(call)?);
    if expects == Expects::Nothing {
        return Err(
            Invalid("a rotation takes If-Match alone: what is not there is not rotated").into()
        );
    }
    let (mut fields, mut faults) = (Fields::of_body(body(call))?, Faults::default());
    let mut given = |name: &str| json::non_null(fields.take(name));
    let grace = given("grace_period").map(span).transpose()?.map(|span| span.seconds());
    if grace.is_some_and(|grace| grace > GRACE_MAX) {
        faults.add("grace_period", "a duration from 0s to 365d");
    }
    let reason = given("reason");
    let reason = reason.map(|raw| text(raw).and_then(|text| rotation_reason(&text)));
    let reason = reason.and_then(|reason| faults.of("reason", reason));
    let generates = given("auto_generate").map(|raw| json::boolean(raw, YES_OR_NO));
    let generates = generates.and_then(|said| faults.of("auto_generate", said));
    let new = given("new_value");
    let new_value = new.map(|raw| value::value(Some(raw), context.value_bytes));
    let new_value = new_value.and_then(|value| faults.of("new_value", value));
    if new.is_some() && generates == Some(true) {
        faults.add("auto_generate", "left out, or false, where the new value is given");
    }
    fields.finish(&mut faults);
    let rotate = Rotate {
        value: faults.check(new_value)?,
        rules: rules(context.value_bytes),
        generates: generates.unwrap_or_default(),
        grace,
        expects,
        reason,
    };
    let rotated = context.service.rotations.rotate(&permit, &path, &rotate, call.now).await;
    let rotated = rotated.map_err(|error| words::of(error, &path))?;
    let (header, number) = (&rotated.header, rotated.number.get());
    let mut reply = Reply::json(Writer::object(|out| {
        out.text("path", path.as_str());
        out.number("version", number);
        out.number("previous_version", rotated.previous);
        out.text("rotated_at", &header.changed_at().to_rfc3339_seconds());
        render::moment(out, "grace_period_ends", rotated.grace_ends);
        out.boolean("auto_generated", rotated.is_generated);
        let policy = header.life.rotation.as_ref().map(|rotation| &*rotation.policy);
        render::text(out, "rotation_policy_id", policy);
        render::moment(out, "next_rotation", rotated.next);
    }));
    reply.headers.push((ETAG, tag(header, rotated.number)));
    Ok(reply)
}

pub(super) async fn rotate_all(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let id = id(call)?;
    let (mut fields, mut faults) = (Fields::of_body(body(call))?, Faults::default());
    let paths = json::non_null(fields.take("secret_paths"));
    let paths = paths.and_then(|raw| faults.of("secret_paths", paths_of(raw)));
    fields.finish(&mut faults);
    let paths = faults.check(paths)?;
    let paths = paths.map(|paths| paths.iter().map(|path| of_text(path)).collect()).transpose()?;
    let rules = rules(context.value_bytes);
    let rotations = &context.service.rotations;
    let events = rotations.rotate_all(&permit, &id, paths, rules, call.now).await?;
    Ok(Reply::json(Writer::array(&events, event)))
}

pub(super) async fn history(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let which = match parameter(call, "status")?.as_deref() {
        None => RotationHistory::Everything,
        Some("success") => RotationHistory::Rotated,
        Some("failed") => RotationHistory::Failed,
        Some(_) => return Err(Faults::one("status", "success or failed").into()),
    };
    let (cursor, limit) = (cursor(call)?, limit(call)?);
    let rotations = &context.service.rotations;
    let page = rotations.history(&permit, &id(call)?, which, cursor.as_deref(), limit).await;
    let (events, next) = page.map_err(of_cursor)?;
    Ok(Reply::json(Writer::object_sized(64 + 192 * events.len(), |out| {
        out.objects("data", &events, event);
        paging(out, next.as_deref());
    })))
}

/// All that these bodies have may be left out, and so may they.
fn body(call: &Call) -> &[u8] {
    if call.body.is_empty() { b"{}" } else { &call.body }
}

/// What new values must be, given or made.
pub(crate) fn rules(bytes_max: usize) -> ValueRules {
    ValueRules { bytes_max, fits }
}

/// Whether a new value has what its secret's type asks for.
fn fits(kind: SecretType, value: &[u8]) -> Result<(), Faults> {
    let mut faults = Faults::default();
    match serde_json::from_slice::<&RawValue>(value) {
        Ok(raw) => shape(kind, raw, "new_value.", &mut faults),
        Err(_) => faults.add("new_value", "an object"),
    }
    faults.check(())
}

fn paths_of(raw: &RawValue) -> Result<Vec<String>, Invalid> {
    const RULE: Invalid = Invalid("the paths of 1 to 100 secrets, each once");
    let paths: Vec<String> = json::texts(raw, RULE)?;
    let mut sorted: Vec<_> = paths.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    let is_right = (1..=PATHS_MAX).contains(&paths.len()) && sorted.len() == paths.len();
    if is_right { Ok(paths) } else { Err(RULE) }
}

/// What has become of a rotation.
fn event(event: &RotationEvent, out: &mut ObjectWriter<'_>) {
    out.text("secret_path", event.path.as_str());
    out.text("status", event.outcome.name());
    let (new, error) = match &event.outcome {
        RotationOutcome::Rotated(number) => (Some(number.get()), None),
        RotationOutcome::Failed(error) => (None, Some(&**error)),
    };
    let mut version = |name, number: Option<u32>| match number.filter(|number| *number > 0) {
        Some(number) => out.number(name, number),
        None => out.null(name),
    };
    version("old_version", Some(event.old_version));
    version("new_version", new);
    out.text("rotated_at", &event.at.to_rfc3339_seconds());
    render::text(out, "error", error);
    if let Some(reason) = &event.reason {
        out.text("reason", reason);
    }
}
