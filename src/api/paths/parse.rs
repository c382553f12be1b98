//! The bodies of writes: everything that is wrong with one is told at once.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{
    super::{Failed, Problem, json, value},
    fields::{Fields, TAGS_RULE, moment, repeated, span, text},
};
use crate::{
    model::{
        AboutPatch, CustomPatch, EndPatch, Faults, Invalid, LifePatch, MaxVersions, MetadataPatch,
        SecretType, SettingsPatch, Tags, Timestamp, check_custom_entry, secret_description,
        secret_owner,
    },
    service::SecretValue,
};

/// The longest that a secret may live from one version on, in seconds: a century.
const LIFE_MAX: u64 = 36_500 * 86_400;

/// What a write says.
pub(super) struct Write {
    pub(super) patch: MetadataPatch,
    pub(super) value: SecretValue,
}

/// The body of a PUT.
pub(super) fn put(body: &[u8], value_bytes: usize, now: Timestamp) -> Result<Write, Failed> {
    let (mut fields, mut faults) = (Fields::of_body(body)?, Faults::default());
    let secret_type = match json::non_null(fields.take("secret_type")) {
        None => None,
        Some(raw) => Some(secret_type(raw)?),
    };
    let data = fields.take("data");
    let mut patch = described(&mut fields, &mut faults, now)?;
    patch.about.secret_type = secret_type;
    fields.finish(&mut faults);
    let value = faults.of("data", value::value(data, value_bytes));
    if let (Some(kind), Some(raw)) = (secret_type, data) {
        shape(kind, raw, "data.", &mut faults);
    }
    match value {
        Some(value) => Ok(faults.check(Write { patch, value })?),
        None => Err(faults.into()),
    }
}

/// The body of a PATCH.
pub(super) fn patch(body: &[u8], now: Timestamp) -> Result<MetadataPatch, Failed> {
    let (mut fields, mut faults) = (Fields::of_body(body)?, Faults::default());
    for name in ["data", "secret_type"] {
        if fields.take(name).is_some() {
            faults.add(name, "stays as it is; write the secret anew with PUT");
        }
    }
    let patch = described(&mut fields, &mut faults, now)?;
    fields.finish(&mut faults);
    Ok(faults.check(patch)?)
}

/// `metadata` and `options`.
fn described(
    fields: &mut Fields<'_>,
    faults: &mut Faults,
    now: Timestamp,
) -> Result<MetadataPatch, Failed> {
    let mut patch = MetadataPatch::default();
    if let Some(raw) = json::non_null(fields.take("metadata"))
        && let Some(metadata) = Fields::of_member(raw, "metadata.", faults)
    {
        (patch.about, patch.custom) = about(metadata, faults);
    }
    if let Some(raw) = json::non_null(fields.take("options"))
        && let Some(options) = Fields::of_member(raw, "options.", faults)
    {
        (patch.settings, patch.life) = options_of(options, faults, now)?;
    }
    Ok(patch)
}

/// What an entry of custom metadata is to be.
const ENTRY: Invalid =
    Invalid("1 to 512 bytes of printable text under a name of 1 to 128 such bytes, or null");

fn about(mut fields: Fields<'_>, faults: &mut Faults) -> (AboutPatch, Option<CustomPatch>) {
    let about = AboutPatch {
        secret_type: None,
        description: fields.clearable("description", faults, |raw| secret_description(&text(raw)?)),
        tags: fields
            .clearable("tags", faults, |raw| {
                const RULE: Invalid = Invalid(TAGS_RULE);
                Tags::new(json::texts(raw, RULE)?).map_err(|_| RULE)
            })
            .map(Option::unwrap_or_default),
        owner: fields.clearable("owner", faults, |raw| secret_owner(&text(raw)?)),
    };
    let mut custom = BTreeMap::new();
    for (name, raw) in fields.rest() {
        let entry = (raw.get() != "null").then(|| text(raw)).transpose();
        let entry = entry.and_then(|entry| {
            check_custom_entry(&name, entry.as_deref()).map_err(|_| ENTRY).map(|()| entry)
        });
        if let Some(entry) = faults.of(format!("metadata.{}", repeated(&name)), entry) {
            custom.insert(name, entry);
        }
    }
    (about, (!custom.is_empty()).then_some(CustomPatch::Merge(custom)))
}

fn options_of(
    mut fields: Fields<'_>,
    faults: &mut Faults,
    now: Timestamp,
) -> Result<(SettingsPatch, LifePatch), Failed> {
    let max_versions = fields.clearable("max_versions", faults, |raw| {
        const RULE: Invalid = Invalid("a whole number from 1 to 100");
        let number = json::number(raw, RULE)?;
        if (1..=100).contains(&number) { MaxVersions::new(number) } else { Err(RULE) }
    });
    let settings = SettingsPatch {
        max_versions: max_versions.map(Option::unwrap_or_default),
        ..SettingsPatch::default()
    };
    let (after, at) = (fields.take("expires_in"), fields.take("expires_at"));
    let given = |raw: Option<&RawValue>| json::non_null(raw).is_some();
    if given(after) && given(at) {
        faults.add("options.expires_in", "either this or expires_at");
    }
    let mut end = (after.is_some() || at.is_some()).then_some(EndPatch::Never);
    if let Some(raw) = json::non_null(after) {
        match span(raw)?.seconds() {
            seconds @ 1..=LIFE_MAX => end = Some(EndPatch::After(seconds)),
            _ => faults.add("options.expires_in", "a duration from 1s to 36500d"),
        }
    }
    if let Some(raw) = json::non_null(at) {
        match moment(raw) {
            Ok(moment) if moment > now => end = Some(EndPatch::At(moment)),
            _ => faults.add("options.expires_at", "a moment to come, such as 2026-12-31T00:00:00Z"),
        }
    }
    let policy = |raw: &RawValue| text(raw).map(String::into_boxed_str);
    let life = LifePatch {
        end,
        rotation: fields.clearable("rotation_policy_id", faults, policy),
        secret_policy: fields.clearable("secret_policy_id", faults, policy),
    };
    fields.finish(faults);
    Ok((settings, life))
}

/// A secret's type.
fn secret_type(raw: &RawValue) -> Result<SecretType, Failed> {
    let name = text(raw).map_err(|_| Problem::BadSecretType)?;
    Ok(SecretType::of(&name).ok_or(Problem::BadSecretType)?)
}

/// Whether data has what its type has: its shape, not what it says.
pub(super) fn shape(kind: SecretType, data: &RawValue, prefix: &str, faults: &mut Faults) {
    /// A text that must be there, one that may, and the rest.
    fn is_text(raw: &RawValue) -> bool {
        raw.get().starts_with('"')
    }
    let (needed, may_be): (&[&str], &[&str]) = match kind {
        SecretType::Kv | SecretType::Json => return,
        SecretType::Certificate => (&["cert_pem"], &["key_pem", "chain_pem"]),
        SecretType::SshKey => (&["private_key"], &["public_key"]),
        SecretType::ApiKey => (&[], &[]),
    };
    // What is no object is told elsewhere.
    let Ok(mut members) = json::object(data, Invalid("an object")) else { return };
    for name in needed {
        let found = members.take(&[name]).ok().flatten();
        if !found.is_some_and(|raw| is_text(raw) && raw.get() != "\"\"") {
            faults.add(format!("{prefix}{name}"), "a text that is not empty, as the type has it");
        }
    }
    for name in may_be {
        if members.take(&[name]).ok().flatten().is_some_and(|raw| !is_text(raw)) {
            faults.add(format!("{prefix}{name}"), "a text, as the type has it");
        }
    }
    if kind == SecretType::ApiKey {
        let mut members = members.into_members().into_iter();
        if !members.any(|(_, raw)| is_text(raw) && raw.get() != "\"\"") {
            let data = prefix.trim_end_matches('.').to_owned();
            faults.add(data, "an object with a text that is not empty, as the type has it");
        }
    }
}
