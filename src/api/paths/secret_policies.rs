//! Secret policies: how values of secrets are made.

use hyper::StatusCode;
use serde_json::value::RawValue;

use super::{
    super::{
        Call, Context, Failed, Problem, Reply,
        json::{self, ObjectWriter, Writer},
    },
    entered::settle,
    fields::{Fields, YES_OR_NO, flag, text},
    paging::{cursor, limit, of_cursor, paging},
};
use crate::{
    auth::Permit,
    model::{
        Faults, Invalid, PolicyType, Recipe, SecretPolicy, SecretPolicyId, SecretPolicyPatch,
        recipe::{FieldSaid, GeneratorSettings, Setting},
    },
};

pub(super) async fn list(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let limit = limit(call)?;
    let policies = &context.service.secret_policies;
    let page = policies.list(&permit, cursor(call)?.as_deref(), limit).await;
    let (found, next) = page.map_err(of_cursor)?;
    Ok(Reply::json(Writer::object(|out| {
        out.objects("data", &found, |(id, policy), out| shown(out, id, policy));
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
    if let Err(others) = patch.clone().create(call.now) {
        faults.merge(others);
    }
    let patch = faults.check(patch)?;
    let (id, policy) = context.service.secret_policies.create(&permit, patch, call.now).await?;
    let body = Writer::object(|out| shown(out, &id, &policy));
    Ok(Reply { status: StatusCode::CREATED, ..Reply::json(body) })
}

pub(super) async fn get(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let id = id(call)?;
    let policy = context.service.secret_policies.get(&permit, &id).await?;
    Ok(Reply::json(Writer::object(|out| shown(out, &id, &policy))))
}

pub(super) async fn patch(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let id = id(call)?;
    let (patch, faults) = said(&call.body)?;
    let patch = faults.check(patch)?;
    let policy = context.service.secret_policies.update(&permit, &id, &patch, call.now).await?;
    Ok(Reply::json(Writer::object(|out| shown(out, &id, &policy))))
}

pub(super) async fn delete(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let (id, force) = (id(call)?, flag(call, "force")?);
    context.service.secret_policies.delete(&permit, &id, force).await?;
    Ok(Reply::json(Writer::object(|out| {
        out.text("id", id.as_str());
        out.boolean("deleted", true);
    })))
}

pub(super) async fn preview(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let made = context.service.secret_policies.preview(&permit, &id(call)?, call.now).await?;
    let length: usize = made.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
    Ok(Reply::json(Writer::object_sized(2 * length, |out| {
        out.object("data", |out| {
            for (name, value) in &made {
                // The answer to a caller who says how such values are made, and that is no secret's.
                out.text(name, std::str::from_utf8(value.expose()).unwrap_or_default());
            }
        });
    })))
}

/// The policy that the address names.
fn id(call: &Call) -> Result<SecretPolicyId, Failed> {
    let name = call.params.name.as_deref().unwrap_or_default();
    name.parse().map_err(|_| Problem::SecretPolicyNotFound.into())
}

/// What a body says of a policy, and which of it cannot be read. A null says nothing.
fn said(body: &[u8]) -> Result<(SecretPolicyPatch, Faults), Failed> {
    const KIND: Invalid = Invalid("one of password, api_key, oauth_client, ssh_key and custom");
    let (mut fields, mut faults) = (Fields::of_body(body)?, Faults::default());
    let mut given = |name: &str| json::non_null(fields.take(name));
    let mut read = |name: &'static str| given(name).and_then(|raw| faults.of(name, text(raw)));
    let (name, description) = (read("name"), read("description"));
    let policy_type = given("policy_type").and_then(|raw| {
        let kind = text(raw).ok().and_then(|name| PolicyType::named(&name));
        faults.of("policy_type", kind.ok_or(KIND))
    });
    let is_active =
        given("is_active").and_then(|raw| faults.of("is_active", json::boolean(raw, YES_OR_NO)));
    // One that cannot be read stands for one, so that it is not missed as well.
    let recipe =
        given("fields").map(|raw| recipe(raw, &mut faults).unwrap_or_else(Recipe::ssh_pair));
    fields.finish(&mut faults);
    Ok((SecretPolicyPatch { name, policy_type, recipe, description, is_active }, faults))
}

fn recipe(raw: &RawValue, faults: &mut Faults) -> Option<Recipe> {
    /// More than a recipe can have are not looked at.
    const LOOKED_AT: usize = 32;
    let Ok(raws) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
        faults.add("fields", "an array of 1 to 16 fields");
        return None;
    };
    let before = faults.iter().count();
    let said = raws.into_iter().take(LOOKED_AT).enumerate();
    let said: Vec<_> = said.map(|(number, raw)| field(raw, number, faults)).collect();
    match Recipe::new(said.into_iter().flatten().collect()) {
        Ok(recipe) => Some(recipe),
        // Where some could not be read the others have other numbers.
        Err(_) if faults.iter().count() > before => None,
        Err(others) => {
            faults.merge(others);
            None
        }
    }
}

fn field(raw: &RawValue, number: usize, faults: &mut Faults) -> Option<FieldSaid> {
    let at = format!("fields[{number}]");
    let object = json::object(raw, Invalid("an object with name, generator and config"));
    let mut object = faults.of(at.clone(), object)?;
    let mut given = |name: &str| json::non_null(object.take(&[name]).ok().flatten());
    let mut read = |name: &str| match given(name) {
        Some(raw) => faults.of(format!("{at}.{name}"), text(raw)),
        None => Some(String::new()),
    };
    let (name, generator) = (read("name"), read("generator"));
    let config = match given("config") {
        Some(raw) => faults.of(format!("{at}.config"), settings(raw)),
        None => Some(GeneratorSettings::new()),
    };
    if object.has_unknown() {
        faults.add(at, "an object with name, generator and config, and nothing else");
        return None;
    }
    Some(FieldSaid { name: name?, generator: generator?, config: config? })
}

fn settings(raw: &RawValue) -> Result<GeneratorSettings, Invalid> {
    let object = json::object(raw, Invalid("an object"))?;
    let setting = |raw: &RawValue| {
        let wrong = Invalid("");
        let json = raw.get();
        match json.as_bytes().first() {
            Some(b'"') => text(raw).map_or(Setting::Other, Setting::Text),
            Some(b'0'..=b'9') => serde_json::from_str(json).map_or(Setting::Other, Setting::Number),
            Some(b'[') => json::texts(raw, wrong).map_or(Setting::Other, Setting::Texts),
            _ => json::boolean(raw, wrong).map_or(Setting::Other, Setting::Truth),
        }
    };
    let said = object.into_members().into_iter().filter(|(_, raw)| raw.get() != "null");
    Ok(said.map(|(name, raw)| (name, setting(raw))).collect())
}

/// A policy as it is shown.
fn shown(out: &mut ObjectWriter<'_>, id: &SecretPolicyId, policy: &SecretPolicy) {
    let policy = policy.fields();
    out.text("id", id.as_str());
    out.text("name", &policy.name);
    out.text("policy_type", policy.policy_type.name());
    out.objects("fields", policy.recipe.fields(), |field, out| {
        out.text("name", field.name());
        out.text("generator", field.generator().name());
        out.object("config", |out| {
            for (name, setting) in field.generator().config() {
                match setting {
                    Setting::Number(number) => out.number(name, number),
                    Setting::Text(text) => out.text(name, &text),
                    Setting::Truth(truth) => out.boolean(name, truth),
                    Setting::Texts(texts) => out.texts(name, texts.iter().map(String::as_str)),
                    Setting::Other => out.null(name),
                }
            }
        });
    });
    out.text("description", &policy.description);
    out.boolean("is_active", policy.is_active);
    out.text("created_at", &policy.created_at.to_rfc3339_seconds());
    out.text("updated_at", &policy.updated_at.to_rfc3339_seconds());
}
