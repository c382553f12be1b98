//! The shapes of bodies: the names and facts of the published document where it has them, and otherwise
//! what `api::okms` takes and gives; [`vault`] has those of the Vault dialect.

mod vault;

use serde_json::{Map, Value, json};

use super::reference;
use crate::domain::{
    DEFAULT_MAX_VERSIONS, METADATA_ENTRIES_MAX, METADATA_KEY_MAX, METADATA_VALUE_MAX, PATH_MAX, PUBLISHED_PATH_MAX,
    VERSION_MAX,
};

/// A domain's id, for examples.
pub(super) const EXAMPLE_ID: &str = "1b4e28ba-2fa1-41d2-883f-0016d3cca427";

const PATH_PATTERN: &str = "^[a-zA-Z0-9_.:=@-]+(/[a-zA-Z0-9_.:=@-]+)*$";
const TIME_PATTERN: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$";

/// The shapes.
pub(super) fn schemas() -> Value {
    merged([answers(), requests(), control_plane(), vault::schemas()])
}

/// The members of several objects in one.
pub(super) fn merged<const N: usize>(objects: [Value; N]) -> Value {
    let members = objects.into_iter().filter_map(|object| match object {
        Value::Object(members) => Some(members),
        _ => None,
    });
    members.flatten().collect::<Map<_, _>>().into()
}

fn answers() -> Value {
    let metadata = reference("schemas", "SecretV2Metadata");
    json!({
        "Document": { "type": "object", "description": "An OpenAPI 3.0.3 document." },
        "ErrorResponse": {
            "type": "object",
            "description": "The body of every error.",
            "required": ["error_code", "error_id", "errors", "request_id"],
            "properties": error_members(),
        },
        "WarningsList": {
            "type": "array", "items": { "type": "string" },
            "description": "What of the request had no effect, for people; absent where there is nothing to say.",
        },
        "SecretV2State": {
            "type": "string", "enum": ["active", "deactivated", "deleted"],
            "description": "Whether a version's data can be read: now, after activation, or never again.",
        },
        "SecretV2CustomMetadata": custom_metadata(false),
        "SecretV2Metadata": {
            "type": "object",
            "required": [
                "casRequired", "createdAt", "currentVersion", "customMetadata", "deactivateVersionAfter",
                "maxVersions", "oldestVersion", "updatedAt", "urn",
            ],
            "properties": {
                "casRequired": { "type": "boolean", "description": CAS_REQUIRED },
                "createdAt": time("When the secret was created."),
                "currentVersion": {
                    "type": "integer", "format": "uint32", "minimum": 0, "maximum": VERSION_MAX,
                    "description": "The newest version's number; 0 where the secret has none yet.",
                },
                "customMetadata": reference("schemas", "SecretV2CustomMetadata"),
                "deactivateVersionAfter": life("As it was typed; `0s` where there is no limit.", false),
                "maxVersions": max_versions("The secret's own number; 0 where it has none.", false),
                "oldestVersion": {
                    "type": "integer", "format": "uint32", "minimum": 0, "maximum": VERSION_MAX,
                    "description": "The oldest version that is kept; 0 until the limit takes effect for the first time.",
                },
                "updatedAt": time("When anything about the secret was last changed."),
                "urn": { "type": "string", "description": "The secret's name in policies." },
            },
        },
        "SecretV2Version": {
            "type": "object",
            "required": ["createdAt", "id", "state"],
            "properties": {
                "createdAt": time("When the version was added."),
                "data": data("The value, as it was sent; only where it was asked for and the version is active."),
                "deactivatedAt": time("When the version was deactivated; absent where it was not."),
                "id": version_number(),
                "state": reference("schemas", "SecretV2State"),
                "warnings": reference("schemas", "WarningsList"),
            },
        },
        "ListSecretV2Response": {
            "type": "array", "maxItems": 100,
            "items": {
                "type": "object",
                "required": ["metadata", "path"],
                "properties": { "metadata": metadata, "path": path() },
            },
        },
        "GetSecretV2Response": {
            "type": "object",
            "required": ["metadata", "path"],
            "properties": {
                "metadata": metadata, "path": path(), "version": reference("schemas", "SecretV2Version"),
            },
        },
        "PostSecretV2Response": changed(),
        "PutSecretV2Response": changed(),
        "ListSecretVersionV2Response": {
            "type": "array", "maxItems": 100, "items": reference("schemas", "SecretV2Version"),
        },
        "GetSecretConfigV2Response": config(false),
        "PutSecretConfigV2Response": config(true),
    })
}

/// What every error has.
fn error_members() -> Value {
    json!({
        "error_code": { "type": "integer", "format": "int32", "description": "The kind of error." },
        "error_id": { "type": "string", "description": "The error's id: that of the request." },
        "errors": {
            "type": "array", "items": { "type": "string" },
            "description": "What is wrong and what to do, for people; in Vault's words, nothing of what is not there.",
        },
        "request_id": { "type": "string", "description": "The request's id." },
    })
}

fn requests() -> Value {
    let metadata = reference("schemas", "SecretV2MetadataShort");
    let version = reference("schemas", "SecretV2VersionShort");
    let custom = json!({ "customMetadata": reference("schemas", "SecretV2CustomMetadataPatch") });
    json!({
        "SecretV2CustomMetadataPatch": custom_metadata(true),
        "SecretV2MetadataShort": {
            "type": "object",
            "description": "What is not named stays as it is.",
            "properties": merged([settings(), custom]),
        },
        "SecretV2VersionShort": {
            "type": "object",
            "required": ["data"],
            "properties": { "data": data(DATA) },
        },
        "PostSecretV2Request": {
            "type": "object",
            "required": ["path", "version"],
            "properties": { "metadata": metadata, "path": new_path(), "version": version },
        },
        "PutSecretV2Request": {
            "type": "object",
            "properties": { "metadata": metadata, "version": version },
        },
        "PostSecretVersionV2Request": {
            "type": "object",
            "required": ["data"],
            "properties": { "data": data(DATA) },
        },
        "PutSecretVersionV2Request": {
            "type": "object",
            "required": ["state"],
            "properties": { "state": reference("schemas", "SecretV2State") },
        },
        "PutSecretConfigV2Request": {
            "type": "object",
            "description": "What is not named stays as it is.",
            "properties": settings(),
        },
    })
}

fn control_plane() -> Value {
    let text = |text: &str| json!({ "type": "string", "description": text });
    let kind = json!({
        "type": "string", "enum": ["ECDSA", "RSA"],
        "description": "The kind of the key that is made: ECDSA on P-256, or RSA of 2048 bits.",
    });
    json!({
        "Resource": {
            "type": "object",
            "required": ["createdAt", "iam", "id", "name", "region", "restEndpoint", "swaggerEndpoint"],
            "properties": {
                "createdAt": time("When the domain was created."),
                "iam": {
                    "type": "object",
                    "required": ["displayName", "id", "urn"],
                    "properties": {
                        "displayName": text("The domain's name."),
                        "id": { "type": "string", "format": "uuid", "description": "The domain's id." },
                        "urn": text("The domain's name in policies."),
                    },
                },
                "id": { "type": "string", "format": "uuid", "description": "The domain's id: the okmsId of its URLs." },
                "name": text("The domain's name."),
                "region": text("The region's name."),
                "restEndpoint": text("Where the API is."),
                "swaggerEndpoint": text("Where this documentation is."),
                "warnings": reference("schemas", "WarningsList"),
            },
        },
        "ListResourcesResponse": { "type": "array", "items": reference("schemas", "Resource") },
        "PostResourceRequest": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {
                    "type": "string", "minLength": 1, "maxLength": 128,
                    "description": "The domain's name: 1 to 128 bytes without control characters.",
                },
            },
        },
        "PostCredentialRequest": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "certificateType": kind,
                "csr": text("A PKCS#10 request in PEM, which brings its own key; not together with `certificateType`. \
                             Only its key is taken."),
                "name": {
                    "type": "string", "minLength": 1, "maxLength": 64,
                    "description": "The certificate's display name, without control characters.",
                },
                "validity": {
                    "type": "integer", "format": "uint32", "minimum": 1, "maximum": 3650, "default": 365,
                    "description": "How many days it lives.",
                },
            },
        },
        "PostCredentialResponse": {
            "type": "object",
            "required": ["certificatePEM", "createdAt", "expiredAt", "fromCSR", "name", "status"],
            "properties": {
                "certificatePEM": text("The certificate."),
                "certificateType": kind,
                "createdAt": time("When it was issued."),
                "expiredAt": time("When it ends."),
                "fromCSR": { "type": "boolean", "description": "Whether the request brought its own key." },
                "name": text("The certificate's display name."),
                "privateKeyPEM": text("The private key that was made; absent with `csr`."),
                "status": { "type": "string", "enum": ["READY"] },
                "warnings": reference("schemas", "WarningsList"),
            },
        },
    })
}

const DATA: &str = "The value: a JSON object of at most 512 KiB, unless the server's config says otherwise, and 100 \
                    levels. It is stored and returned as the text that it is, so that numbers keep their spelling. No \
                    object in it names a member twice, and no text has half of a surrogate pair, and no number is \
                    beyond a double.";
const CAS_REQUIRED: &str = "Whether each write that adds a version must bring `cas`.";

fn data(text: &str) -> Value {
    json!({ "type": "object", "additionalProperties": true, "description": text })
}

/// A secret's path: whatever the Vault dialect named as well.
fn path() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": PATH_MAX,
        "description": format!("The secret's path: at most {PATH_MAX} bytes."),
    })
}

fn new_path() -> Value {
    json!({
        "type": "string", "minLength": 1, "maxLength": PUBLISHED_PATH_MAX, "pattern": PATH_PATTERN,
        "description": "The secret's path; no segment is empty, `.` or `..`.",
    })
}

pub(super) fn version_number() -> Value {
    json!({ "type": "integer", "format": "uint32", "minimum": 1, "maximum": VERSION_MAX })
}

fn time(text: &str) -> Value {
    json!({ "type": "string", "format": "date-time", "pattern": TIME_PATTERN, "description": text })
}

fn life(text: &str, nullable: bool) -> Value {
    let text = format!("How long a version stays active, counted from its creation or activation. {text}");
    json!({ "type": "string", "minLength": 1, "maxLength": 64, "nullable": nullable, "description": text })
}

fn max_versions(text: &str, nullable: bool) -> Value {
    let text = format!("How many versions are kept. {text}");
    json!({
        "type": "integer", "format": "uint32", "minimum": 0, "maximum": VERSION_MAX, "nullable": nullable,
        "description": text,
    })
}

/// The three knobs in a request.
fn settings() -> Value {
    let life_text = "A Go duration, days, or seconds: `10h30m10s`, `1d`, `90` (also as a number). `0s` puts it back \
                     to no limit, null leaves it as it is.";
    let max_text = format!(
        "0 puts it back to the default: the domain's number for a secret, {DEFAULT_MAX_VERSIONS} for a domain. null leaves \
         it as it is."
    );
    json!({
        "casRequired": {
            "type": "boolean", "nullable": true,
            "description": format!("{CAS_REQUIRED} null leaves it as it is."),
        },
        "deactivateVersionAfter": life(life_text, true),
        "maxVersions": max_versions(&max_text, true),
    })
}

fn custom_metadata(is_patch: bool) -> Value {
    let rules = format!("Text by name: at most {METADATA_ENTRIES_MAX} entries.");
    let more = format!(
        " A key has 1 to {METADATA_KEY_MAX} characters of `a-zA-Z0-9_.:/=@%-`. The map replaces what is there. One with \
         nulls in it is a patch: null removes an entry, and what is not named stays. An empty map, and null in its place, \
         change nothing."
    );
    // A patch may name more than 64, as it may remove some; and what KV2 wrote has a wider alphabet.
    let (bound, alphabet) = if is_patch {
        (json!({}), json!({ "pattern": "^[a-zA-Z0-9_.:/=@%-]+$" }))
    } else {
        (json!({ "maxProperties": METADATA_ENTRIES_MAX }), json!({}))
    };
    let text = json!({ "type": "string", "nullable": is_patch, "minLength": 1, "maxLength": METADATA_VALUE_MAX });
    merged([
        bound,
        json!({
            "type": "object",
            "nullable": is_patch,
            "additionalProperties": merged([text, alphabet]),
            "description": format!("{rules}{}", if is_patch { &more } else { "" }),
        }),
    ])
}

fn changed() -> Value {
    json!({
        "type": "object",
        "required": ["metadata", "path"],
        "properties": {
            "metadata": reference("schemas", "SecretV2Metadata"),
            "path": path(),
            "warnings": reference("schemas", "WarningsList"),
        },
    })
}

fn config(has_warnings: bool) -> Value {
    let warnings = if has_warnings { json!({ "warnings": reference("schemas", "WarningsList") }) } else { json!({}) };
    let properties = json!({
        "casRequired": { "type": "boolean", "description": CAS_REQUIRED },
        "deactivateVersionAfter": life("As it was typed; `0s` where there is no limit.", false),
        "maxVersions": max_versions(&format!("0 stands for the default, {DEFAULT_MAX_VERSIONS}."), false),
    });
    json!({
        "type": "object",
        "required": ["casRequired", "deactivateVersionAfter", "maxVersions"],
        "properties": merged([properties, warnings]),
    })
}
