//! Rotation policies: how often secrets get new values.

use hyper::StatusCode;
use serde_json::value::RawValue;

use super::{
    super::{
        Call, Context, Failed, Problem, Reply,
        json::{self, ObjectWriter, Writer},
    },
    entered::{of_text, settle},
    fields::{Fields, YES_OR_NO, flag, number, parameter, span, text},
    paging::{cursor, limit, of_cursor, paging},
    words,
};
use crate::{
    auth::Permit,
    model::{Faults, Invalid, RotationPatch, RotationPolicyId, SecretPolicyId},
    service::{AttachedSecret, DueSearch, KnownRotationPolicy},
};

pub(super) async fn list(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let (only_active, limit) = (flag(call, "active_only")?, limit(call)?);
    let policies = &context.service.rotation_policies;
    let page = policies.list(&permit, only_active, cursor(call)?.as_deref(), limit).await;
    let (found, next) = page.map_err(of_cursor)?;
    Ok(Reply::json(Writer::object(|out| {
        out.objects("data", &found, |policy, out| shown(out, policy));
        paging(out, next.as_deref());
    })))
}

pub(super) async fn create(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let (patch, mut faults) = said(&call.body)?;
    // Told with what cannot be read, so that all is told at once.
    if let Err(others) = patch.clone().create(call.now) {
        faults.merge(others);
    }
    let patch = faults.check(patch)?;
    let made = context.service.rotation_policies.create(&permit, patch, call.now).await?;
    let body = Writer::object(|out| shown(out, &made));
    Ok(Reply { status: StatusCode::CREATED, ..Reply::json(body) })
}

pub(super) async fn get(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let found = context.service.rotation_policies.get(&permit, &id(call)?).await?;
    Ok(Reply::json(Writer::object(|out| shown(out, &found))))
}

pub(super) async fn patch(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let (patch, faults) = said(&call.body)?;
    changed(context, &permit, call, &faults.check(patch)?).await
}

pub(super) async fn enable(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    set_active(context, permit, call, true).await
}

pub(super) async fn disable(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    set_active(context, permit, call, false).await
}

pub(super) async fn delete(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let id = id(call)?;
    let detached = context.service.rotation_policies.delete(&permit, &id, call.now).await?;
    Ok(Reply::json(Writer::object(|out| {
        out.text("id", id.as_str());
        out.boolean("deleted", true);
        out.number("detached", detached);
    })))
}

pub(super) async fn attach(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let (mut fields, mut faults) = (Fields::of_body(&call.body)?, Faults::default());
    let path = json::non_null(fields.take("secret_path"));
    let path = faults.of("secret_path", path.ok_or(Invalid("the path of a secret")).and_then(text));
    fields.finish(&mut faults);
    let path = of_text(&faults.check(path.unwrap_or_default())?)?;
    let policies = &context.service.rotation_policies;
    let attached = policies.attach(&permit, &id(call)?, &path, call.now).await;
    let AttachedSecret { policy, schedule, .. } =
        attached.map_err(|error| words::of(error, &path))?;
    let body = Writer::object(|out| {
        out.text("secret_path", path.as_str());
        out.text("policy_id", policy.as_str());
        out.text("attached_at", &schedule.anchor.to_rfc3339_seconds());
        out.text("next_rotation", &schedule.next().to_rfc3339_seconds());
    });
    Ok(Reply { status: StatusCode::CREATED, ..Reply::json(body) })
}

pub(super) async fn detach(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let path = call.params.path.as_ref().ok_or(Problem::BadPath)?;
    let policies = &context.service.rotation_policies;
    let detached = policies.detach(&permit, &id(call)?, path, call.now).await;
    detached.map_err(|error| words::of(error, path))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn due(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Failed> {
    const HOUR: u64 = 3_600;
    let permit = settle(context, permit, call).await?;
    let hours = number(call, "within_hours", (0, 8_760, 24), "a whole number from 0 to 8760")?;
    let policy = parameter(call, "policy_id")?;
    let policy = policy.map(|id| id.parse().map_err(|_| Problem::RotationPolicyNotFound));
    let is_said = parameter(call, "include_overdue")?.is_some();
    let search = DueSearch {
        policy: policy.transpose()?,
        within_seconds: u64::from(hours) * HOUR,
        with_overdue: !is_said || flag(call, "include_overdue")?,
    };
    let (cursor, limit) = (cursor(call)?, limit(call)?);
    let policies = &context.service.rotation_policies;
    let page = policies.due(&permit, &search, cursor.as_deref(), limit, call.now).await;
    let (found, next) = page.map_err(of_cursor)?;
    Ok(Reply::json(Writer::object_sized(64 + 160 * found.len(), |out| {
        out.objects("data", &found, |secret, out| {
            out.text("secret_path", secret.path.as_str());
            out.text("policy_id", secret.policy.as_str());
            out.text("next_rotation", &secret.schedule.next().to_rfc3339_seconds());
            out.text("status", secret.status.name());
        });
        paging(out, next.as_deref());
    })))
}

async fn set_active(
    context: &Context,
    permit: &Permit,
    call: &Call,
    is_active: bool,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let patch = RotationPatch { is_active: Some(is_active), ..RotationPatch::default() };
    changed(context, &permit, call, &patch).await
}

async fn changed(
    context: &Context,
    permit: &Permit,
    call: &Call,
    patch: &RotationPatch,
) -> Result<Reply, Failed> {
    let policies = &context.service.rotation_policies;
    let changed = policies.update(permit, &id(call)?, patch, call.now).await?;
    Ok(Reply::json(Writer::object(|out| shown(out, &changed))))
}

/// The policy that the address names.
pub(super) fn id(call: &Call) -> Result<RotationPolicyId, Failed> {
    let name = call.params.name.as_deref().unwrap_or_default();
    name.parse().map_err(|_| Problem::RotationPolicyNotFound.into())
}

/// What a body says of a policy, and which of it cannot be read. A null says nothing, but of the secret policy that
/// there is to be none.
fn said(body: &[u8]) -> Result<(RotationPatch, Faults), Failed> {
    let (mut fields, mut faults) = (Fields::of_body(body)?, Faults::default());
    let mut given = |name: &str| json::non_null(fields.take(name));
    let duration = |raw: Option<&RawValue>| raw.map(span).transpose();
    let interval = duration(given("interval"))?;
    let grace_period = duration(given("grace_period"))?;
    let warn_before = match given("warn_before") {
        None => None,
        Some(raw) => {
            let spans = text(raw).ok().and_then(|text| text.parse().ok());
            Some(spans.ok_or(Problem::BadDuration)?)
        }
    };
    let mut read = |name: &'static str| given(name).and_then(|raw| faults.of(name, text(raw)));
    let (name, description) = (read("name"), read("description"));
    let mut truth = |name: &'static str| {
        given(name).and_then(|raw| faults.of(name, json::boolean(raw, YES_OR_NO)))
    };
    let (auto_generate, is_active) = (truth("auto_generate"), truth("is_active"));
    if let Some(raw) = given("webhook_ids")
        && json::texts(raw, Invalid("")).map_or(true, |ids| !ids.is_empty())
    {
        faults.add("webhook_ids", "an empty array, or left out: no webhook would be called");
    }
    let secret_policy = fields
        .clearable("secret_policy_id", &mut faults, |raw| text(raw)?.parse::<SecretPolicyId>());
    fields.finish(&mut faults);
    let patch = RotationPatch {
        name,
        description,
        interval,
        grace_period,
        warn_before,
        auto_generate,
        secret_policy,
        is_active,
    };
    Ok((patch, faults))
}

/// A policy as it is shown.
fn shown(
    out: &mut ObjectWriter<'_>,
    KnownRotationPolicy { id, policy, secrets }: &KnownRotationPolicy,
) {
    let policy = policy.fields();
    out.text("id", id.as_str());
    out.text("name", &policy.name);
    out.text("description", &policy.description);
    out.text("interval", policy.interval.as_typed());
    out.number("interval_seconds", policy.interval.seconds());
    out.text("grace_period", policy.grace_period.as_typed());
    out.text("warn_before", policy.warn_before.as_typed());
    out.boolean("auto_generate", policy.auto_generate);
    match &policy.secret_policy {
        Some(id) => out.text("secret_policy_id", id.as_str()),
        None => out.null("secret_policy_id"),
    }
    out.boolean("is_active", policy.is_active);
    out.number("secrets_count", *secrets);
    out.text("created_at", &policy.created_at.to_rfc3339_seconds());
    out.text("updated_at", &policy.updated_at.to_rfc3339_seconds());
}
