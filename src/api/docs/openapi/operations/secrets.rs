//! Secrets, their versions and a domain's defaults.

use serde_json::{Value, json};

use super::{CONFIG, CREATED, Operation, SECRETS, VERSIONS, answer, body, nothing, page, urn};

const PATH: &str = "app/database";
const UPDATED: &str = "2025-01-03T04:05:06Z";

pub(super) fn list_secrets() -> Operation {
    Operation {
        tag: SECRETS,
        summary: "List secrets",
        text: "A page of the domain's secrets with their metadata, by path. `X-Pagination-Cursor-Next` is in the \
               answer while there are more; send it back as `X-Pagination-Cursor`.",
        parameters: &["paginationSize", "paginationCursor"],
        body: None,
        success: page("A page of secrets.", "ListSecretV2Response", &json!([listed()])),
        problems: &["BadCursor"],
    }
}

pub(super) fn create_secret() -> Operation {
    Operation {
        tag: SECRETS,
        summary: "Create a secret",
        text: "A new secret with its first version. The metadata's fields are also taken beside `path`, outside \
               of `metadata`, but not in both places. A path that is taken answers 409.",
        parameters: &[],
        body: Some(body(
            "PostSecretV2Request",
            &[
                ("value", json!({ "path": "app/database", "version": { "data": data() } })),
                (
                    "valueAndMetadata",
                    json!({
                        "path": "app/session-key",
                        "metadata": metadata_short(),
                        "version": { "data": { "key": "c2Vzc2lvbg==", "rounds": 12 } },
                    }),
                ),
            ],
        )),
        success: answer("The new secret's metadata.", "PostSecretV2Response", &listed()),
        problems: &["BadBody", "SecretExists"],
    }
}

pub(super) fn get_secret() -> Operation {
    Operation {
        tag: SECRETS,
        summary: "Read a secret",
        text: "The secret's metadata with one version: the current one, or the one asked for. Its `data` comes \
               only with `includeData=true`, and only while the version is active; otherwise the answer is 200 \
               with the version's state and no `data`.",
        parameters: &["versionQuery", "includeData"],
        body: None,
        success: answer(
            "The secret.",
            "GetSecretV2Response",
            &json!({ "metadata": metadata(), "path": PATH, "version": with_data() }),
        ),
        problems: &["SecretNotFound", "VersionNotFound"],
    }
}

pub(super) fn put_secret() -> Operation {
    Operation {
        tag: SECRETS,
        summary: "Change a secret",
        text: "New metadata, a new version, or both; all of it is stored or nothing. Metadata alone adds no \
               version. Metadata that is not named stays; new metadata counts before `cas` is checked. The \
               metadata's fields are also taken outside of `metadata`, but not in both places.",
        parameters: &["cas"],
        body: Some(body(
            "PutSecretV2Request",
            &[
                ("addVersion", json!({ "version": { "data": data() } })),
                ("metadata", json!({ "metadata": metadata_short() })),
                (
                    "metadataToDefaults",
                    json!({ "metadata": {
                        "casRequired": false,
                        "customMetadata": { "owner": null },
                        "deactivateVersionAfter": null,
                        "maxVersions": null,
                    } }),
                ),
            ],
        )),
        success: answer("The secret's metadata after the change.", "PutSecretV2Response", &listed()),
        problems: &["BadBody", "CasMismatch", "CasRequired", "SecretNotFound"],
    }
}

pub(super) fn delete_secret() -> Operation {
    Operation {
        tag: SECRETS,
        summary: "Delete a secret",
        text: "Removes the secret with all its versions, for good. A secret created there later starts again at \
               version 1.",
        parameters: &[],
        body: None,
        success: nothing(),
        problems: &["SecretNotFound"],
    }
}

pub(super) fn list_versions() -> Operation {
    Operation {
        tag: VERSIONS,
        summary: "List a secret's versions",
        text: "A page of the versions that are kept, oldest first, without data. `X-Pagination-Cursor-Next` is in \
               the answer while there are more; send it back as `X-Pagination-Cursor`.",
        parameters: &["paginationSize", "paginationCursor"],
        body: None,
        success: page("A page of versions.", "ListSecretVersionV2Response", &json!([version()])),
        problems: &["BadCursor", "SecretNotFound"],
    }
}

pub(super) fn create_version() -> Operation {
    Operation {
        tag: VERSIONS,
        summary: "Add a version",
        text: "A new value under the next number; it becomes the current version. The oldest version goes once \
               there are more than `maxVersions`. PUT does the same as POST.",
        parameters: &["cas"],
        body: Some(body("PostSecretVersionV2Request", &[("value", json!({ "data": data() }))])),
        success: answer("The new version, without its data.", "SecretV2Version", &version()),
        problems: &["BadBody", "CasMismatch", "CasRequired", "SecretNotFound"],
    }
}

pub(super) fn get_version() -> Operation {
    Operation {
        tag: VERSIONS,
        summary: "Read a version",
        text: "One version. Its `data` comes only with `includeData=true`, and only while the version is active; \
               otherwise the answer is 200 with the version's state and no `data`.",
        parameters: &["includeData"],
        body: None,
        success: answer("The version.", "SecretV2Version", &with_data()),
        problems: &["SecretNotFound", "VersionNotFound"],
    }
}

pub(super) fn put_version() -> Operation {
    Operation {
        tag: VERSIONS,
        summary: "Change a version's state",
        text: "`deactivated` keeps the value but makes it unreadable until the version is `active` again, whose \
               life span then counts anew. `deleted` erases the value for good: from there, every other state \
               answers 409. The state that the version is in already changes nothing, with a warning.",
        parameters: &[],
        body: Some(body(
            "PutSecretVersionV2Request",
            &[
                ("deactivate", json!({ "state": "deactivated" })),
                ("activate", json!({ "state": "active" })),
                ("delete", json!({ "state": "deleted" })),
            ],
        )),
        success: answer("The version after the change.", "SecretV2Version", &deactivated()),
        problems: &["BadBody", "SecretNotFound", "VersionNotFound", "VersionDeleted"],
    }
}

pub(super) fn get_config() -> Operation {
    Operation {
        tag: CONFIG,
        summary: "Read the domain's defaults",
        text: "What counts for every secret of the domain beside the secret's own metadata.",
        parameters: &[],
        body: None,
        success: answer("The defaults.", "GetSecretConfigV2Response", &config()),
        problems: &[],
    }
}

pub(super) fn put_config() -> Operation {
    Operation {
        tag: CONFIG,
        summary: "Change the domain's defaults",
        text: "What is not named stays as it is. `casRequired` counts if the domain or the secret demands it, of \
               two `deactivateVersionAfter` the shorter one, and the secret's `maxVersions` before the domain's.",
        parameters: &[],
        body: Some(body(
            "PutSecretConfigV2Request",
            &[
                ("all", config()),
                ("toDefaults", json!({ "casRequired": false, "deactivateVersionAfter": null, "maxVersions": 0 })),
            ],
        )),
        success: answer("The defaults after the change.", "PutSecretConfigV2Response", &config()),
        problems: &["BadBody"],
    }
}

fn data() -> Value {
    json!({ "host": "db.internal", "password": "example-only", "port": 5432 })
}

fn metadata() -> Value {
    json!({
        "casRequired": true,
        "createdAt": CREATED,
        "currentVersion": 3,
        "customMetadata": { "owner": "payments" },
        "deactivateVersionAfter": "30d",
        "maxVersions": 15,
        "oldestVersion": 0,
        "updatedAt": UPDATED,
        "urn": urn(&format!("/secret/{PATH}")),
    })
}

fn metadata_short() -> Value {
    json!({
        "casRequired": true,
        "customMetadata": { "owner": "payments" },
        "deactivateVersionAfter": "30d",
        "maxVersions": 15,
    })
}

fn listed() -> Value {
    json!({ "metadata": metadata(), "path": PATH })
}

fn version() -> Value {
    json!({ "createdAt": UPDATED, "id": 3, "state": "active" })
}

fn with_data() -> Value {
    json!({ "createdAt": UPDATED, "data": data(), "id": 3, "state": "active" })
}

fn deactivated() -> Value {
    json!({ "createdAt": UPDATED, "deactivatedAt": "2025-01-04T05:06:07Z", "id": 3, "state": "deactivated" })
}

fn config() -> Value {
    json!({ "casRequired": false, "deactivateVersionAfter": "90d", "maxVersions": 25 })
}
