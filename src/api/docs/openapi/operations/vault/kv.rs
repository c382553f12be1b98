//! KV version 2: values, versions, metadata and what counts for a whole mount.

use serde_json::{Value, json};

use super::{Answer, CREATED, EXAMPLE_ID, Row, VaultOp, does, envelope, shows, with};

pub(super) const ROWS: &[Row] = &[
    Row {
        parameters: &["versionQuery", "wrapTtl"],
        problems: &["BadQuery", "KvNotFound", "ValueGone"],
        ..shows(
            VaultOp::ReadData,
            "Read a value",
            "The current version, or the one asked for. Of a version that is deleted or destroyed the answer is 404 \
             with the version's times and no value.",
            "GetSecretResponse",
            || kv(&json!({ "data": data(), "metadata": version() })),
        )
    },
    Row {
        body: Some((
            "PostSecretRequest",
            || json!({ "create": { "data": data(), "options": { "cas": 0 } }, "value": { "data": data() } }),
        )),
        problems: &["NoData", "KvCasMismatch", "KvCasRequired"],
        ..shows(
            VaultOp::WriteData,
            "Write a value",
            "A new version, which becomes the current one; the secret is created where there is none. With \
             `options.cas` only if that is the current version, 0 standing for none.",
            "PostSecretResponse",
            written,
        )
    },
    Row {
        body: Some((
            "PostSecretRequest",
            || json!({ "change": { "data": { "password": "another-example", "port": null } } }),
        )),
        problems: &["NoData", "KvCasMismatch", "KvCasRequired", "KvNotFound", "VersionGone", "MediaType"],
        ..shows(
            VaultOp::PatchData,
            "Change a value",
            "A new version: the current one with a JSON merge patch. Members are added or replaced, null removes one.",
            "PatchSecretResponse",
            written,
        )
    },
    does(
        VaultOp::DeleteData,
        "Delete the current version",
        "Its value cannot be read until the version is undeleted. Where there is nothing to delete, nothing happens.",
    ),
    Row {
        parameters: &["versionQuery", "depth", "wrapTtl"],
        problems: &["BadQuery", "KvNotFound", "NamesGone"],
        ..shows(
            VaultOp::ReadSubkeys,
            "Read a value's names",
            "The value with null in place of everything that is no object.",
            "GetSecretSubkeysResponse",
            || {
                let names = json!({ "host": null, "password": null, "port": null });
                kv(&json!({ "metadata": version(), "subkeys": names }))
            },
        )
    },
    Row {
        body: Some(VERSIONS),
        problems: &["NoVersions"],
        ..does(
            VaultOp::DeleteVersions,
            "Delete versions",
            "Their values cannot be read until they are undeleted. Natively: `deactivated`.",
        )
    },
    Row {
        body: Some(VERSIONS),
        problems: &["NoVersions"],
        ..does(
            VaultOp::UndeleteVersions,
            "Undelete versions",
            "Their values can be read again, and their life spans count anew. Natively: `active`.",
        )
    },
    Row {
        body: Some(VERSIONS),
        problems: &["NoVersionsToDestroy"],
        ..does(VaultOp::DestroyVersions, "Destroy versions", "Their values are erased for good. Natively: `deleted`.")
    },
    Row {
        parameters: &["list", "scan", "after", "limit", "excludeDeleted", "paginationSize", "paginationCursor"],
        problems: &["BadQuery", "BadCursor", "KvNotFound"],
        ..shows(
            VaultOp::ReadMetadata,
            "Read metadata, or list a folder",
            "A secret's metadata with all its versions. With `list=true` the names in a folder instead, in `keys`; with \
             `scan=true` those at any depth. The `X-Pagination` headers give a list by pages. An empty list is a 404.",
            "GetMetadataResponse",
            || kv(&metadata()),
        )
    },
    Row {
        parameters: &["list", "scan", "after", "limit", "excludeDeleted", "paginationSize", "paginationCursor"],
        problems: &["BadQuery", "BadCursor", "KvNotFound"],
        ..shows(
            VaultOp::ListRoot,
            "List the mount's root",
            "The names at the root, by pages: a header `X-Pagination-Cursor-Next` is in the answer while there are \
             more. With `list=true` all of them at once. An empty list is a 404.",
            "GetMetadataResponse",
            || kv(&json!({ "keys": ["app/", "session-key"] })),
        )
    },
    Row {
        parameters: &["list", "scan", "after", "limit", "excludeDeleted", "paginationSize", "paginationCursor"],
        problems: &["BadQuery", "BadCursor", "KvNotFound", "NoList"],
        ..shows(
            VaultOp::ListDetailed,
            "List a folder with metadata",
            "As other lists, with each secret's metadata. One of `list=true` and `scan=true` is needed.",
            "ListDetailedMetadataResponse",
            || kv(&json!({ "key_info": { "database": metadata() }, "keys": ["database"] })),
        )
    },
    Row {
        body: Some((
            "SecretUpdatableMetadata",
            || json!({ "all": settings_and_custom(), "maxVersions": { "max_versions": 5 } }),
        )),
        answer: Answer::Warnings(warned),
        problems: &["BadField", "MetadataCasMismatch", "MetadataCasRequired"],
        ..does(
            VaultOp::WriteMetadata,
            "Write metadata",
            "What is not named stays; `custom_metadata` is replaced as a whole. A secret that is not there is created \
             without a version, unless nothing is named.",
        )
    },
    Row {
        body: Some((
            "SecretUpdatableMetadata",
            || json!({ "custom": { "custom_metadata": { "owner": "billing", "ticket": null } } }),
        )),
        answer: Answer::Warnings(warned),
        problems: &["BadField", "MetadataCasMismatch", "MetadataCasRequired", "KvNotFound", "MediaType"],
        ..does(
            VaultOp::PatchMetadata,
            "Change metadata",
            "What is not named stays, also within `custom_metadata`, where null removes an entry.",
        )
    },
    does(
        VaultOp::DeleteMetadata,
        "Delete a secret",
        "Removes the secret with all its versions, for good. One written there later starts again at version 1.",
    ),
    shows(
        VaultOp::ReadConfig,
        "Read a mount's defaults",
        "What counts for every secret of the mount beside its own metadata. Those of `secret` are the domain's.",
        "GetConfigResponse",
        || kv(&settings()),
    ),
    Row {
        body: Some(("PostConfigRequest", || json!({ "all": settings(), "maxVersions": { "max_versions": 0 } }))),
        problems: &["BadField"],
        ..does(VaultOp::WriteConfig, "Change a mount's defaults", "What is not named stays as it is.")
    },
];

const VERSIONS: (&str, fn() -> Value) = ("SecretVersionsRequest", || json!({ "versions": { "versions": [1, 2] } }));

fn kv(data: &Value) -> Value {
    envelope("kv", data)
}

fn written() -> Value {
    kv(&version())
}

fn warned() -> Value {
    let text = "\"cas_required\" set to false, but is mandated by backend config. This value will be ignored.";
    with(kv(&Value::Null), "warnings", &json!([text]))
}

fn data() -> Value {
    json!({ "host": "db.internal", "password": "example-only", "port": 5432 })
}

/// The five members of a version that lives.
fn version() -> Value {
    version_with("")
}

pub(super) fn version_with(deletion_time: &str) -> Value {
    json!({
        "created_time": CREATED,
        "custom_metadata": { "owner": "payments" },
        "deletion_time": deletion_time,
        "destroyed": false,
        "version": 1,
    })
}

fn settings() -> Value {
    json!({
        "cas_required": false, "delete_version_after": "720h0m0s", "max_versions": 15, "metadata_cas_required": false,
    })
}

fn settings_and_custom() -> Value {
    json!({
        "cas_required": false, "custom_metadata": { "owner": "payments" }, "delete_version_after": "30d",
        "max_versions": 15,
    })
}

fn metadata() -> Value {
    json!({
        "cas_required": false,
        "created_time": CREATED,
        "current_metadata_version": 1,
        "current_version": 1,
        "custom_metadata": { "owner": "payments" },
        "delete_version_after": "720h0m0s",
        "max_versions": 15,
        "metadata_cas_required": false,
        "oldest_version": 0,
        "updated_time": CREATED,
        "urn": format!("urn:v1:eu-west-local:resource:okms:{EXAMPLE_ID}/secret/app/database"),
        "versions": { "1": { "created_time": CREATED, "deletion_time": "", "destroyed": false } },
    })
}
