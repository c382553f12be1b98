//! Answers that are errors: which of them a route can give, with the texts and codes of `http::error`, where a test
//! compares the two.

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::{Map, Value, json};

use super::{
    operations::{Operation, deleted, gone},
    reference,
};
use crate::api::{Access, Route, vault::VaultOp};

/// Every problem that the document shows: name, status, published code, text.
const PROBLEMS: &[(&str, u16, u32, &str)] = &[
    ("BadId", 400, 50_405_377, "the okmsId must be a UUID such as 1b4e28ba-2fa1-41d2-883f-0016d3cca427"),
    ("BadBody", 400, 50_405_377, "the body is not well-formed JSON; check quotes, commas and brackets"),
    ("BadHost", 400, 50_405_377, "the request must name one host, in one Host header"),
    ("BrokenBody", 400, 50_405_377, "the body ended before it was complete"),
    ("BadCursor", 400, 50_405_377, "the page cursor is not one of this list; repeat without X-Pagination-Cursor"),
    (
        "CasMismatch",
        400,
        50_405_377,
        "cas does not match the secret's current version; read the secret again and repeat with that version",
    ),
    (
        "CasRequired",
        400,
        50_405_377,
        "cas is required for this secret; repeat with the current version as cas in the query",
    ),
    (
        "NoAuthority",
        400,
        50_405_377,
        "this server issues no certificates; set trust.region_ca_key in its config, or ask another server",
    ),
    (
        "KvBadBody",
        400,
        50_405_377,
        "failed to decode JSON input: the body is not well-formed JSON; check quotes, commas and brackets",
    ),
    (
        "BadQuery",
        400,
        50_405_377,
        "Field validation failed: error converting input for field \"version\": expected a whole number",
    ),
    (
        "BadField",
        400,
        50_405_377,
        "Field validation failed: error converting input for field \"cas_required\": expected true or false",
    ),
    (
        "BadSpan",
        400,
        50_405_377,
        "Field validation failed: error converting input for field \"increment\": expected a duration such as 3h25m19s",
    ),
    ("NoData", 400, 50_405_377, "no data provided"),
    ("NoVersions", 400, 50_405_377, "No version number provided"),
    ("NoVersionsToDestroy", 400, 50_405_377, "no version number provided"),
    ("NoPaths", 400, 50_405_377, "paths is required: the paths to ask about, at most 1000"),
    ("KvCasMismatch", 400, 50_405_377, "check-and-set parameter did not match the current version"),
    ("KvCasRequired", 400, 50_405_377, "check-and-set parameter required for this call"),
    ("MetadataCasMismatch", 400, 50_405_377, "metadata check-and-set parameter does not match the current version"),
    ("MetadataCasRequired", 400, 50_405_377, "metadata check-and-set parameter required for this call"),
    ("MountInUse", 400, 50_405_377, "path is already in use at team/"),
    (
        "MountHoldsSecrets",
        400,
        50_405_377,
        "team/ holds secrets; delete them first, or repeat with ?force=true, which deletes them",
    ),
    ("MountForGood", 400, 50_405_377, "secret/ shows the whole domain and is there for good"),
    ("NoMountToMove", 400, 50_405_377, "no matching mount at \"team/\""),
    ("NoAuthMethod", 400, 50_405_377, "No auth engine at team/"),
    ("NoAuthMethodToTune", 400, 50_405_377, "cannot fetch sysview for path \"auth/team/\""),
    ("InvalidToken", 400, 50_405_377, "1 error occurred:\n\t* invalid token\n\n"),
    ("TooFewBytes", 400, 50_405_377, "'bytes' cannot be less than 1"),
    ("TooManyBytes", 400, 50_405_377, "'bytes' cannot be more than 131072"),
    ("BadFormat", 400, 50_405_377, "unsupported encoding format; must be \"hex\" or \"base64\""),
    (
        "OnlyPrometheus",
        400,
        50_405_377,
        "the figures are told in Prometheus' form alone: ask for them with ?format=prometheus",
    ),
    ("MountUnknown", 400, 50_405_377, "there is no such mount; list them with sys/mounts"),
    ("NoMount", 400, 50_405_377, "No secret engine mount at team/"),
    ("NoMountToTune", 400, 50_405_377, "cannot fetch sysview for path \"team/\""),
    (
        "NotKv2",
        400,
        50_405_377,
        "only secrets engines of type kv-v2 are served here; enable one with `-path=NAME kv-v2`",
    ),
    ("NoToken", 400, 50_405_377, "missing token: name the token in the field token"),
    ("BadAccessor", 400, 50_405_377, "invalid accessor"),
    ("NotRenewable", 400, 50_405_377, "lease is not renewable"),
    ("NothingWrapped", 400, 50_405_377, "wrapping token is not valid or does not exist"),
    ("NoWrapTtl", 400, 50_405_377, "endpoint requires response wrapping"),
    (
        "BadWrapTtl",
        400,
        50_405_377,
        "error parsing X-Vault-Wrap-TTL header: expected a duration such as 300 or 5m, not negative",
    ),
    (
        "NoCertificate",
        401,
        50_475_011,
        "no client certificate; connect with your access certificate and its private key",
    ),
    ("Forbidden", 403, 16_924_673, "your certificate does not permit this action; ask an operator of the region"),
    ("ForeignOrigin", 403, 16_924_673, "a page of another origin may not change anything here"),
    ("PermissionDenied", 403, 50_475_011, "permission denied"),
    ("BadToken", 403, 50_475_011, "bad token"),
    (
        "Preflight",
        403,
        16_924_673,
        "preflight capability check returned 403, please ensure client's policies grant access to path \"team/\"",
    ),
    // Vault's clients take 404 for a secret that is not there.
    ("KvDomainNotFound", 403, 16_994_305, "there is no such domain for your certificate; check the okmsId"),
    ("DomainNotFound", 404, 16_994_305, "there is no such domain for your certificate; check the okmsId"),
    ("SecretNotFound", 404, 17_125_377, "there is no such secret; check its path, or create it"),
    ("VersionNotFound", 404, 17_125_377, "the secret has no such version, or it was pruned; list its versions"),
    ("NoNamespace", 404, 50_417_665, "namespace not found"),
    ("KvNotFound", 404, 17_125_377, ""),
    ("ValueGone", 404, 17_125_377, ""),
    ("VersionGone", 404, 17_125_377, ""),
    ("NamesGone", 404, 17_125_377, ""),
    ("NoHandler", 404, 50_417_665, "no handler for route \"team/data/app/database\". route entry not found."),
    ("NoRoute", 404, 50_417_665, "there is nothing at this address; /openapi.json lists what is"),
    ("NoList", 405, 50_405_377, "1 error occurred:\n\t* unsupported operation\n\n"),
    ("BodyTooSlow", 408, 50_405_377, "the body took too long to arrive; send it faster"),
    ("SecretExists", 409, 50_438_145, "a secret exists at this path; update it, or choose another path"),
    ("DomainExists", 409, 50_438_145, "a domain of this name exists; choose another name, or list the domains"),
    ("VersionDeleted", 409, 50_438_145, "the version is deleted, which is final; create a new version"),
    ("BodyTooLarge", 413, 50_405_377, "the body is larger than this server takes"),
    ("KvBodyTooLarge", 413, 50_405_377, "http: request body too large"),
    ("MediaType", 415, 50_405_377, "PATCH requires Content-Type of application/merge-patch+json, provided text/plain"),
    ("TooManyRequests", 429, 50_434_049, "too many requests are in progress; repeat after the time in Retry-After"),
    (
        "TooManyConnections",
        429,
        50_434_049,
        "your domain has its share of this server's connections; close some, and repeat after the time in Retry-After",
    ),
    ("HeadTooLarge", 431, 50_405_377, "the URL and the headers are larger than this server takes; send fewer headers"),
    ("Internal", 500, 50_401_281, "internal error; tell the operator of the region the request_id"),
    (
        "TooManyWrites",
        503,
        50_425_858,
        "too many writes wait; nothing was changed, repeat after the time in Retry-After",
    ),
    ("Unavailable", 503, 50_425_858, "the store is not available; nothing was changed, repeat later"),
    (
        "OutcomeUnknown",
        503,
        50_425_858,
        "the store failed while it wrote; the change may have happened or not, read before you repeat it",
    ),
];

/// The error answers that the operations refer to: one component for each set of problems under one status.
#[derive(Default)]
pub(super) struct Problems {
    components: Map<String, Value>,
}

impl Problems {
    /// The error answers of a route that does `operation`, by status.
    pub(super) fn of(&mut self, route: &Route, operation: &Operation) -> Map<String, Value> {
        let names = names(route, operation);
        let mut by_status = BTreeMap::<u16, Vec<_>>::new();
        for problem in PROBLEMS.iter().filter(|(name, ..)| names.contains(name)) {
            by_status.entry(problem.1).or_default().push(problem);
        }
        let responses = by_status.into_iter().map(|(status, problems)| {
            let name = problems.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join("Or");
            let schema = problems.iter().find_map(|(name, ..)| Some(version_gone(name)?.0)).unwrap_or("ErrorResponse");
            let examples =
                problems.iter().map(|(name, _, code, text)| ((*name).to_owned(), example(name, *code, text)));
            let response = response(status, schema, &examples.collect());
            let refers = reference("responses", &name);
            self.components.entry(name).or_insert(response);
            (status.to_string(), refers)
        });
        responses.collect()
    }

    /// The components.
    pub(super) fn into_components(self) -> Map<String, Value> {
        self.components
    }
}

/// What can go wrong on a route: the edge's part by its kind, the rest by its operation.
fn names(route: &Route, operation: &Operation) -> Vec<&'static str> {
    let mut names = vec!["TooManyRequests", "HeadTooLarge", "BadHost"];
    let has_body = route.method != Method::GET;
    if has_body {
        names.extend(["BrokenBody", "ForeignOrigin", "BodyTooSlow", "TooManyWrites", "OutcomeUnknown"]);
    }
    let is_open =
        matches!(route.access, Access::Public(_)) || matches!(route.access, Access::Vault(op) if op.is_open());
    if !is_open {
        names.extend(["TooManyConnections", "NoCertificate", "Forbidden", "Internal", "Unavailable"]);
    }
    match route.access {
        // Of the region.
        Access::Vault(VaultOp::Metrics) => {}
        Access::Vault(op) if !op.is_open() => {
            names.extend(["PermissionDenied", "NoNamespace"]);
            names.extend(["BadId", "KvDomainNotFound"]);
            names.extend(route.pattern.contains("/{mount}/").then_some("NoHandler"));
            names.extend(operation.parameters.contains(&"wrapTtl").then_some("BadWrapTtl"));
            names.extend((has_body && operation.body.is_some()).then_some("KvBadBody"));
        }
        Access::Domain(_) => names.extend(["BadId", "DomainNotFound"]),
        _ => {}
    }
    let too_large = if matches!(route.access, Access::Vault(_)) { "KvBodyTooLarge" } else { "BodyTooLarge" };
    names.extend(has_body.then_some(too_large));
    names.extend(operation.problems);
    names
}

/// What a 404 shows of a version that cannot be read: its schema, and the data beside the error.
fn version_gone(name: &str) -> Option<(&'static str, Value)> {
    Some(match name {
        "ValueGone" => ("GetErrorResponseWithMetadata", json!({ "data": null, "metadata": deleted() })),
        "VersionGone" => ("PatchErrorResponseWithMetadata", deleted()),
        "NamesGone" => ("GetSubkeysErrorResponseWithMetadata", json!({ "metadata": deleted(), "subkeys": null })),
        _ => return None,
    })
}

fn response(status: u16, schema: &str, examples: &Map<String, Value>) -> Value {
    let mut headers = json!({ "X-Request-Id": reference("headers", "X-Request-Id") });
    if let (429 | 503, Value::Object(headers)) = (status, &mut headers) {
        headers.insert("Retry-After".to_owned(), reference("headers", "Retry-After"));
    }
    json!({
        "description": description(status),
        "headers": headers,
        "content": { "application/json": { "schema": reference("schemas", schema), "examples": examples } },
    })
}

fn example(name: &str, code: u32, text: &str) -> Value {
    const REQUEST: &str = "79b66eba-273e-4f7a-b954-78ed7e70b85d";
    // Vault's word for what is not there is none.
    let texts: &[_] = if text.is_empty() { &[] } else { &[text] };
    let error = json!({ "error_code": code, "error_id": REQUEST, "errors": texts, "request_id": REQUEST });
    let summary = match name {
        "KvNotFound" => "there is no such secret or version",
        _ if text.is_empty() => "the version is deleted or destroyed",
        _ => text,
    };
    let value = match version_gone(name) {
        Some((_, data)) => gone(error, &data),
        None => error,
    };
    json!({ "summary": summary, "value": value })
}

const fn description(status: u16) -> &'static str {
    match status {
        400 => "The request cannot be understood, breaks a rule, or its `cas` does not fit. Nothing was changed.",
        401 => "No client certificate, or one that is not valid now.",
        403 => "Not permitted; the text tells why.",
        404 => "Not there, or not for this certificate.",
        405 => "The path lists, and does nothing else.",
        408 => "The body did not arrive in time.",
        409 => "The request conflicts with what is there. Nothing was changed.",
        413 => "The body is too large.",
        415 => "A patch must be sent as one.",
        429 => "Too many requests are in progress.",
        431 => "The URL and the headers are too large.",
        503 => "Not available now; the text tells whether anything was changed.",
        _ => "A fault of the server.",
    }
}

#[cfg(test)]
mod tests {
    use super::{super::operations::of, *};
    use crate::api::routes;

    #[test]
    fn operations_name_problems_that_there_are() {
        for route in routes() {
            let Some(operation) = of(route.access) else { continue };
            for name in names(&route, &operation) {
                assert!(PROBLEMS.iter().any(|(known, ..)| *known == name), "{name}");
            }
        }
    }
}
