//! Answers of the native dialect.

use super::super::{Context, json::ObjectWriter};
use crate::{
    model::{
        DeactivateAfter, Header, OkmsId, SecretPath, Settings, SettingsPatch, Timestamp,
        VersionState,
    },
    service::VersionView,
};

pub(crate) const IGNORED_FIELDS: &str = "the request has fields that are not known here and were ignored; /openapi.json lists the known ones";

pub(super) fn metadata(
    out: &mut ObjectWriter<'_>,
    context: &Context,
    id: OkmsId,
    path: &SecretPath,
    header: &Header,
) {
    settings(out, &header.settings);
    out.text("createdAt", &header.created_at.to_rfc3339_seconds());
    out.number("currentVersion", header.current_number());
    out.object("customMetadata", |out| {
        for (key, value) in header.custom.iter() {
            out.text(key, value);
        }
    });
    out.number("oldestVersion", header.oldest);
    out.text("updatedAt", &header.updated_at.to_rfc3339_seconds());
    urn(out, context, id, path);
}

pub(super) fn urn(out: &mut ObjectWriter<'_>, context: &Context, id: OkmsId, path: &SecretPath) {
    out.display("urn", context.secret_urn(id, path));
}

pub(super) fn settings(out: &mut ObjectWriter<'_>, settings: &Settings) {
    out.boolean("casRequired", settings.cas_required);
    let after = settings.deactivate_after.as_ref().map_or("0s", DeactivateAfter::as_typed);
    out.text("deactivateVersionAfter", after);
    out.number("maxVersions", settings.max_versions.get());
}

pub(super) fn version(out: &mut ObjectWriter<'_>, version: &VersionView, now: Timestamp) {
    out.text("createdAt", &version.record.created_at.to_rfc3339_seconds());
    if let Some(at) = version.record.deactivated_at(now) {
        out.text("deactivatedAt", &at.to_rfc3339_seconds());
    }
    out.number("id", version.number.get());
    out.text("state", version.record.state(now).name());
    if let Some(value) = &version.value {
        // The answer to a caller whose permit covers getData.
        out.raw("data", value.expose());
    }
}

/// Writes the warnings, if there are any.
pub(crate) fn warnings(out: &mut ObjectWriter<'_>, warnings: &[&str]) {
    if !warnings.is_empty() {
        out.texts("warnings", warnings.iter().copied());
    }
}

/// What of a secret's new settings has no effect, because the domain's defaults are stricter.
pub(super) fn warn_of_overruled(
    patch: &SettingsPatch,
    domain: &Settings,
) -> impl Iterator<Item = &'static str> {
    let cas = (patch.cas_required == Some(false) && domain.cas_required)
        .then_some("casRequired false has no effect while the domain's secretConfig requires cas");
    let after = patch.deactivate_after.as_ref().and_then(|after| {
        let own = after.limit_seconds().unwrap_or(u64::MAX);
        let default = domain.deactivate_after.as_ref().and_then(DeactivateAfter::limit_seconds)?;
        (own > default).then_some(
            "the domain's deactivateVersionAfter is shorter than the secret's, and applies",
        )
    });
    cas.into_iter().chain(after)
}

pub(super) const fn warn_of_unchanged(state: VersionState) -> &'static str {
    match state {
        VersionState::Active => "the version was active already; nothing was changed",
        VersionState::Deactivated => "the version was deactivated already; nothing was changed",
        VersionState::Deleted => "the version was deleted already; nothing was changed",
    }
}
