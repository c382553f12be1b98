//! The parameters of requests and the headers of answers.

use serde_json::{Value, json};

use super::schemas::{merged, version_number};
use crate::{
    api::docs::ASSETS,
    domain::{PATH_MAX, VERSION_MAX},
};

/// The parameters, by the names that the operations and the route patterns call them.
pub(super) fn parameters(own: Option<&str>) -> Value {
    // Swagger UI fills in the example: somebody else's id would only answer 404.
    let (own_text, own) = match own {
        Some(own) => (format!(" Your certificate's domain is `{own}`."), json!({ "example": own })),
        None => (String::new(), json!({})),
    };
    let okms_id = json!({
        "name": "okmsId", "in": "path", "required": true,
        "description": format!("The domain's id, as a UUID with hyphens.{own_text}"),
        "schema": { "type": "string", "format": "uuid" },
    });
    merged([native(&merged([okms_id, own])), vault()])
}

fn native(okms_id: &Value) -> Value {
    let files: Vec<_> = ASSETS.iter().map(|(name, ..)| name).filter(|name| !name.is_empty()).collect();
    json!({
        "okmsId": okms_id,
        "path": {
            "name": "path", "in": "path", "required": true,
            "description": "The secret's path. It may be escaped as one segment (`app%2Fdatabase`) or written with \
                            plain slashes; at most 1024 bytes, and no segment is empty, `.` or `..`.",
            "schema": { "type": "string", "minLength": 1, "maxLength": PATH_MAX },
            "example": "app/database",
        },
        "version": {
            "name": "version", "in": "path", "required": true,
            "description": "The version's number.",
            "schema": version_number(),
            "example": 1,
        },
        "versionQuery": {
            "name": "version", "in": "query",
            "description": "The version's number; without it, the current version.",
            "schema": version_number(),
        },
        "includeData": {
            "name": "includeData", "in": "query",
            "description": "Whether the answer has the version's data.",
            "schema": { "type": "boolean", "default": false },
        },
        "cas": {
            "name": "cas", "in": "query",
            "description": "The secret's current version, which must still be the current one for the write to \
                            happen (check and set). Without it the write happens, unless the secret or the domain \
                            has `casRequired` and a version would be added.",
            "schema": { "type": "integer", "format": "uint32", "minimum": 0, "maximum": VERSION_MAX },
        },
        "paginationSize": {
            "name": "X-Pagination-Size", "in": "header",
            "description": "The most entries of a page. Numbers outside of the bounds count as the nearest bound.",
            "schema": { "type": "integer", "format": "uint32", "minimum": 10, "maximum": 100, "default": 100 },
        },
        "paginationCursor": {
            "name": "X-Pagination-Cursor", "in": "header",
            "description": "Where the page begins: `X-Pagination-Cursor-Next` of the answer before, as it is.",
            "schema": { "type": "string", "format": "base64url" },
        },
        "asset": {
            "name": "asset", "in": "path", "required": true,
            "description": "The file's name.",
            "schema": { "type": "string", "enum": files },
        },
    })
}

/// Those of the Vault dialect. `{key}` is a mount where the route is about mounts.
fn vault() -> Value {
    let path = |name: &str, text: &str, example: &str| {
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": PATH_MAX });
        json!({
            "name": name, "in": "path", "required": true, "description": text, "schema": schema, "example": example,
        })
    };
    let parameter = |place: &str, name: &str, kind: &str, text: &str| {
        let schema = json!({ "type": kind });
        json!({ "name": name, "in": place, "description": text, "schema": schema })
    };
    let query = |name: &str, kind: &str, text: &str| parameter("query", name, kind, text);
    let header = |name: &str, text: &str| parameter("header", name, "string", text);
    json!({
        "mount": path("mount", "The mount. `secret` shows the whole domain; others can be made.", "secret"),
        "key": path(
            "key",
            "A secret's path below the mount, or in lists a folder's; escaped as one segment (`app%2Fdatabase`) or \
             written with plain slashes. With the mount's own at most 1024 bytes.",
            "app/database",
        ),
        "methodPath": path("key", "The way to log in: `cert` or `token`.", "token"),
        "moveId": path("key", "The move's id.", "1b4e28ba-2fa1-41d2-883f-0016d3cca427"),
        "bytesInPath": path("key", "How many bytes; or their source, which means nothing here; or both.", "32"),
        "format": {
            "name": "format", "in": "query", "required": true, "description": "The form, of which there is one.",
            "schema": { "type": "string", "enum": ["prometheus"] },
        },
        "mountPath": path("key", "The mount's path, or where the mount above a path is asked for, that path.", "team"),
        "depth": query("depth", "integer", "How many levels of names are shown; 0: all; less: one."),
        "list": query("list", "boolean", "Whether to list the folder instead."),
        "scan": query("scan", "boolean", "Whether to list all secrets below the folder, at any depth, instead."),
        "after": query("after", "string", "The name after which a list begins."),
        "limit": query("limit", "integer", "The most names in a list; 0: all."),
        "excludeDeleted": query(
            "exclude_deleted",
            "boolean",
            "Whether a list leaves out secrets whose current version is deleted, or will be at a set time.",
        ),
        "force": query("force", "boolean", "Whether the mount's secrets are deleted with it, for good."),
        "standbyOk": query("standbyok", "boolean", "Whether a server that only reads is answered as a healthy one."),
        "activeCode": query("activecode", "integer", "The status for healthy instead of 200."),
        "standbyCode": query("standbycode", "integer", "The status for a server that only reads instead of 429."),
        "sealedCode": query("sealedcode", "integer", "The status for a store that does not answer instead of 503."),
        "token": header("X-Vault-Token", "The token that this is about."),
        "wrappingToken": header("X-Vault-Token", "The wrapping token, where the body does not name it."),
        "wrapTtl": header(
            "X-Vault-Wrap-TTL",
            "For how long to keep the answer: a Go duration, or seconds. What comes is `wrap_info`, with a token that \
             fetches the answer once.",
        ),
    })
}

/// The headers of answers.
pub(super) fn headers() -> Value {
    json!({
        "X-Request-Id": {
            "description": "The request's id, for questions to the operator. Errors repeat it in their body.",
            "schema": { "type": "string", "format": "uuid" },
        },
        "X-Pagination-Cursor-Next": {
            "description": "Where the next page begins; absent on the last one.",
            "schema": { "type": "string", "format": "base64url" },
        },
        "Retry-After": {
            "description": "In how many seconds to repeat the request.",
            "schema": { "type": "integer", "minimum": 1 },
        },
        "Location": { "description": "Where to go.", "schema": { "type": "string", "format": "uri-reference" } },
    })
}
