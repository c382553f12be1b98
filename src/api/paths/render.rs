//! Answers of this dialect.

use super::super::json::ObjectWriter;
use crate::{
    model::{
        About, Header, RotationStatus, SecretPath, SeenVersion, Timestamp, VersionNumber,
        VersionState,
    },
    service::Described,
};

/// A moment, or null.
pub(super) fn moment(out: &mut ObjectWriter<'_>, name: &str, moment: Option<Timestamp>) {
    match moment {
        Some(moment) => out.text(name, &moment.to_rfc3339_seconds()),
        None => out.null(name),
    }
}

/// A text, or null.
pub(super) fn text(out: &mut ObjectWriter<'_>, name: &str, text: Option<&str>) {
    match text {
        Some(text) => out.text(name, text),
        None => out.null(name),
    }
}

/// What is said of a secret: what is set, and its custom metadata but for what would go by the same
/// names.
pub(super) fn metadata(out: &mut ObjectWriter<'_>, header: &Header) {
    out.object("metadata", |out| {
        let About { description, tags, owner, .. } = &header.about;
        if let Some(description) = description {
            out.text("description", description);
        }
        if tags.iter().len() > 0 {
            out.texts("tags", tags.iter());
        }
        if let Some(owner) = owner {
            out.text("owner", owner);
        }
        for (key, value) in header.custom.iter() {
            if !OWN.contains(&key) {
                out.text(key, value);
            }
        }
    });
}

/// The members of `metadata` that are kept apart from custom metadata.
pub(super) const OWN: [&str; 3] = ["description", "tags", "owner"];

/// A secret with its value.
pub(super) fn secret(
    out: &mut ObjectWriter<'_>,
    path: &SecretPath,
    header: &Header,
    number: VersionNumber,
    value: &[u8],
) {
    out.text("path", path.as_str());
    out.text("secret_type", header.about.secret_type.name());
    out.number("version", number.get());
    // The answer to a caller whose permit covers getData.
    out.raw("data", value);
    metadata(out, header);
    out.text("created_at", &header.created_at.to_rfc3339_seconds());
    out.text("updated_at", &header.changed_at().to_rfc3339_seconds());
    moment(out, "expires_at", header.expires_at());
    text(out, "rotation_policy_id", header.life.rotation.as_ref().map(|one| &*one.policy));
    if let Some(policy) = &header.life.secret_policy {
        out.text("secret_policy_id", policy);
    }
}

/// A secret without its value.
pub(super) fn described(out: &mut ObjectWriter<'_>, secret: &Described, now: Timestamp) {
    out.text("path", secret.path.as_str());
    out.number("current_version", secret.header.current_number());
    out.number("version_count", secret.header.version_count());
    let Described { header, defaults, accesses, rotation: stands, .. } = secret;
    metadata(out, header);
    out.text("created_at", &header.created_at.to_rfc3339_seconds());
    out.text("updated_at", &header.changed_at().to_rfc3339_seconds());
    moment(out, "last_accessed_at", accesses.as_ref().map(|accesses| accesses.last));
    out.number("access_count_30d", accesses.as_ref().map_or(0, |accesses| accesses.count(now)));
    match &header.life.rotation {
        Some(rotation) => out.object("rotation_policy", |out| {
            out.text("id", &rotation.policy);
            moment(out, "next_rotation", stands.map(|(next, _)| next));
            if let Some((_, status)) = stands.filter(|(_, it)| *it != RotationStatus::Scheduled) {
                out.text("status", status.name());
            }
        }),
        None => out.null("rotation_policy"),
    }
    out.text("secret_type", header.about.secret_type.name());
    moment(out, "expires_at", header.expires_at());
    out.object("options", |out| out.number("max_versions", header.settings.keeps(defaults)));
    if let Some(policy) = &header.life.secret_policy {
        out.text("secret_policy_id", policy);
    }
    removal(out, header);
}

/// When it was removed, and until when that can be undone, where it was.
pub(super) fn removal(out: &mut ObjectWriter<'_>, header: &Header) {
    if let Some(removal) = header.life.removed {
        out.text("deleted_at", &removal.at.to_rfc3339_seconds());
        out.text("recoverable_until", &removal.until.to_rfc3339_seconds());
    }
}

/// An entry of a secret's versions.
pub(super) fn version(
    out: &mut ObjectWriter<'_>,
    (number, record): (VersionNumber, &SeenVersion),
    header: &Header,
    now: Timestamp,
) {
    out.number("version", number.get());
    out.text("created_at", &record.created_at.to_rfc3339_seconds());
    out.boolean("is_current", header.current == Some(number));
    match record.state(now) {
        VersionState::Active => {
            if let Some(at) = record.deactivate_at {
                out.text("expires_at", &at.to_rfc3339_seconds());
            }
        }
        VersionState::Deactivated if record.is_deactivated => out.text("state", "deactivated"),
        VersionState::Deactivated => out.text("state", "expired"),
        VersionState::Deleted => out.text("state", "deleted"),
    }
}
