//! Request bodies of the native dialect.
//!
//! A null member means "not given", as some clients write out what they leave alone. A setting goes
//! back to its default by that default: false, 0, "0s".

use super::super::{
    json::{self, Object},
    value,
};
use crate::{
    model::{Invalid, MaxVersions, MetadataPatch, SecretPath, SettingsPatch, VersionState},
    service::SecretValue,
};

const CAS_REQUIRED: &[&str] = &["casRequired", "cas_required"];
const MAX_VERSIONS: &[&str] = &["maxVersions", "max_versions"];
// The last one is KV2's.
const DEACTIVATE_AFTER: &[&str] =
    &["deactivateVersionAfter", "deactivate_version_after", "delete_version_after"];
const CUSTOM_METADATA: &[&str] = &["customMetadata", "custom_metadata"];

/// A parsed body, and whether all of it was understood.
pub(super) struct Parsed<T> {
    pub body: T,
    pub has_unknown: bool,
}

/// The body of create.
pub(super) struct Create {
    pub path: SecretPath,
    pub patch: MetadataPatch,
    pub value: SecretValue,
}

/// The body of an update.
pub(super) struct Update {
    pub patch: MetadataPatch,
    pub value: Option<SecretValue>,
}

pub(super) fn create(body: &[u8], value_bytes: usize) -> Result<Parsed<Create>, Invalid> {
    const NO_PATH: Invalid =
        Invalid("path is required: the secret's name as text, for instance app/database");
    const NO_VERSION: Invalid =
        Invalid("version is required: an object with the secret's value in data");
    let mut object = Object::from_body(body)?;
    let path = json::text(json::non_null(object.take(&["path"])?).ok_or(NO_PATH)?, NO_PATH)?;
    let path = path.parse::<SecretPath>()?.check_published()?;
    let mut version =
        json::object(json::non_null(object.take(&["version"])?).ok_or(NO_VERSION)?, NO_VERSION)?;
    let value = value::value(version.take(&["data"])?, value_bytes)?;
    let (patch, has_unknown) = metadata(&mut object)?;
    let has_unknown = has_unknown || object.has_unknown() || version.has_unknown();
    Ok(Parsed { body: Create { path, patch, value }, has_unknown })
}

pub(super) fn update(body: &[u8], value_bytes: usize) -> Result<Parsed<Update>, Invalid> {
    const WRONG: Invalid = Invalid("version must be an object with the secret's new value in data");
    let mut object = Object::from_body(body)?;
    let mut version = json::non_null(object.take(&["version"])?)
        .map(|raw| json::object(raw, WRONG))
        .transpose()?;
    let value = match &mut version {
        Some(version) => Some(value::value(version.take(&["data"])?, value_bytes)?),
        None => None,
    };
    let (patch, has_unknown) = metadata(&mut object)?;
    let has_unknown =
        has_unknown || object.has_unknown() || version.is_some_and(|version| version.has_unknown());
    Ok(Parsed { body: Update { patch, value }, has_unknown })
}

pub(super) fn version(body: &[u8], value_bytes: usize) -> Result<Parsed<SecretValue>, Invalid> {
    let mut object = Object::from_body(body)?;
    let value = value::value(object.take(&["data"])?, value_bytes)?;
    Ok(Parsed { body: value, has_unknown: object.has_unknown() })
}

pub(super) fn state(body: &[u8]) -> Result<Parsed<VersionState>, Invalid> {
    const WRONG: Invalid = Invalid("state is required: active, deactivated or deleted");
    let mut object = Object::from_body(body)?;
    let state =
        json::text(json::non_null(object.take(&["state"])?).ok_or(WRONG)?, WRONG)?.parse()?;
    Ok(Parsed { body: state, has_unknown: object.has_unknown() })
}

pub(super) fn config(body: &[u8]) -> Result<Parsed<SettingsPatch>, Invalid> {
    let mut object = Object::from_body(body)?;
    // A domain's default can rule out any end, as KV2's mounts have it: it is told here, and so it
    // is taken.
    let patch = settings(&mut object, true)?;
    Ok(Parsed { body: patch, has_unknown: object.has_unknown() })
}

/// The metadata of a body: in `metadata` as published, or flat beside it as in the guide.
fn metadata(object: &mut Object<'_>) -> Result<(MetadataPatch, bool), Invalid> {
    const WRONG: Invalid = Invalid("metadata must be an object");
    const BOTH: Invalid =
        Invalid("metadata fields stand both inside and outside of metadata; put them all inside");
    let flat = patch(object)?;
    let Some(raw) = json::non_null(object.take(&["metadata"])?) else { return Ok((flat, false)) };
    if !flat.settings.is_empty() || flat.custom.is_some() {
        return Err(BOTH);
    }
    let mut inner = json::object(raw, WRONG)?;
    let patch = patch(&mut inner)?;
    Ok((patch, inner.has_unknown()))
}

fn patch(object: &mut Object<'_>) -> Result<MetadataPatch, Invalid> {
    let custom =
        json::non_null(object.take(CUSTOM_METADATA)?).map(json::custom_metadata).transpose()?;
    Ok(MetadataPatch { settings: settings(object, false)?, custom, ..MetadataPatch::default() })
}

fn settings(object: &mut Object<'_>, allows_never: bool) -> Result<SettingsPatch, Invalid> {
    const CAS_WRONG: Invalid = Invalid("casRequired must be true or false");
    const MAX_WRONG: Invalid =
        Invalid("maxVersions must be a whole number from 0 (the default) to 24000");
    let cas = json::non_null(object.take(CAS_REQUIRED)?);
    let max = json::non_null(object.take(MAX_VERSIONS)?);
    let after = json::non_null(object.take(DEACTIVATE_AFTER)?);
    Ok(SettingsPatch {
        cas_required: cas.map(|raw| json::boolean(raw, CAS_WRONG)).transpose()?,
        max_versions: max.map(|raw| MaxVersions::new(json::number(raw, MAX_WRONG)?)).transpose()?,
        deactivate_after: after.map(|raw| json::duration(raw, allows_never)).transpose()?,
        metadata_cas_required: None,
    })
}
