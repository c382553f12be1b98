//! The parameters of requests and the headers of answers.

use serde_json::{Value, json};

use super::schemas::{PATH_PATTERN, merged, version_number};
use crate::{
    api::docs::ASSETS,
    domain::{OkmsId, PATH_MAX, VERSION_MAX},
};

/// The parameters, by the names that the operations and the route patterns call them.
pub(super) fn parameters(own: Option<OkmsId>) -> Value {
    // Swagger UI fills in the example: somebody else's id would only answer 404.
    let (own_text, own) = match own {
        Some(own) => (format!(" Your certificate's domain is `{own}`."), json!({ "example": own.to_string() })),
        None => (String::new(), json!({})),
    };
    let okms_id = json!({
        "name": "okmsId", "in": "path", "required": true,
        "description": format!("The domain's id, as a UUID with hyphens.{own_text}"),
        "schema": { "type": "string", "format": "uuid" },
    });
    let okms_id = merged([okms_id, own]);
    let files: Vec<_> = ASSETS.iter().map(|(name, ..)| name).filter(|name| !name.is_empty()).collect();
    json!({
        "okmsId": okms_id,
        "path": {
            "name": "path", "in": "path", "required": true,
            "description": "The secret's path. It may be escaped as one segment (`app%2Fdatabase`) or written with \
                            plain slashes; no segment is empty, `.` or `..`.",
            "schema": { "type": "string", "minLength": 1, "maxLength": PATH_MAX, "pattern": PATH_PATTERN },
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
