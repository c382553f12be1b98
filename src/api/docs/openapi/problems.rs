//! Answers that are errors: which of them a route can give, with the texts and codes of `http::error`, where a test
//! compares the two.

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::{Map, Value, json};

use super::{operations, reference};
use crate::api::{Access, Route};

/// Every problem that the document shows: name, status, published code, text.
const PROBLEMS: &[(&str, u16, u32, &str)] = &[
    ("BadId", 400, 50_405_377, "the okmsId must be a UUID such as 1b4e28ba-2fa1-41d2-883f-0016d3cca427"),
    ("BadBody", 400, 50_405_377, "the body is not well-formed JSON; check quotes, commas and brackets"),
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
        "NoCertificate",
        401,
        50_475_011,
        "no client certificate; connect with your access certificate and its private key",
    ),
    ("Forbidden", 403, 16_924_673, "your certificate does not permit this action; ask an operator of the region"),
    ("ForeignOrigin", 403, 16_924_673, "a page of another origin may not change anything here"),
    ("DomainNotFound", 404, 16_994_305, "there is no such domain for your certificate; check the okmsId"),
    ("SecretNotFound", 404, 17_125_377, "there is no such secret; check its path, or create it"),
    ("VersionNotFound", 404, 17_125_377, "the secret has no such version, or it was pruned; list its versions"),
    ("NoRoute", 404, 50_417_665, "there is nothing at this address; /openapi.json lists what is"),
    ("BodyTooSlow", 408, 50_405_377, "the body took too long to arrive; send it faster"),
    ("SecretExists", 409, 50_438_145, "a secret exists at this path; update it, or choose another path"),
    ("VersionDeleted", 409, 50_438_145, "the version is deleted, which is final; create a new version"),
    ("BodyTooLarge", 413, 50_405_377, "the body is larger than this server takes"),
    ("TooManyRequests", 429, 50_434_049, "too many requests are in progress; repeat after the time in Retry-After"),
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
    /// The error answers of a route, by status.
    pub(super) fn of(&mut self, route: &Route) -> Map<String, Value> {
        let names = names(route);
        let mut by_status = BTreeMap::<u16, Vec<_>>::new();
        for problem in PROBLEMS.iter().filter(|(name, ..)| names.contains(name)) {
            by_status.entry(problem.1).or_default().push(problem);
        }
        let responses = by_status.into_iter().map(|(status, problems)| {
            let name = problems.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join("Or");
            let examples = problems.iter().map(|(name, _, code, text)| ((*name).to_owned(), example(*code, text)));
            let response = response(status, &examples.collect());
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
fn names(route: &Route) -> Vec<&'static str> {
    let mut names = vec!["TooManyRequests", "HeadTooLarge"];
    if route.method != Method::GET {
        names.extend(["BrokenBody", "ForeignOrigin", "BodyTooSlow", "BodyTooLarge", "TooManyWrites", "OutcomeUnknown"]);
    }
    if !matches!(route.access, Access::Public(_)) {
        names.extend(["NoCertificate", "Forbidden", "Internal", "Unavailable"]);
    }
    if matches!(route.access, Access::Domain(_)) {
        names.extend(["BadId", "DomainNotFound"]);
    }
    names.extend(operations::of(route.access).problems);
    names
}

fn response(status: u16, examples: &Map<String, Value>) -> Value {
    let mut headers = json!({ "X-Request-Id": reference("headers", "X-Request-Id") });
    if let (429 | 503, Value::Object(headers)) = (status, &mut headers) {
        headers.insert("Retry-After".to_owned(), reference("headers", "Retry-After"));
    }
    json!({
        "description": description(status),
        "headers": headers,
        "content": { "application/json": { "schema": reference("schemas", "ErrorResponse"), "examples": examples } },
    })
}

fn example(code: u32, text: &str) -> Value {
    const REQUEST: &str = "79b66eba-273e-4f7a-b954-78ed7e70b85d";
    let value = json!({ "error_code": code, "error_id": REQUEST, "errors": [text], "request_id": REQUEST });
    json!({ "summary": text, "value": value })
}

const fn description(status: u16) -> &'static str {
    match status {
        400 => "The request cannot be understood, breaks a rule, or its `cas` does not fit. Nothing was changed.",
        401 => "No client certificate, or one that is not valid now.",
        403 => "The certificate does not permit this, or a page of another origin sent the request.",
        404 => "Not there, or not for this certificate.",
        408 => "The body did not arrive in time.",
        409 => "The request conflicts with what is there. Nothing was changed.",
        413 => "The body is too large.",
        429 => "Too many requests are in progress.",
        431 => "The URL and the headers are too large.",
        503 => "Not available now; the text tells whether anything was changed.",
        _ => "A fault of the server.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::routes;

    #[test]
    fn operations_name_problems_that_there_are() {
        for route in routes() {
            for name in names(&route) {
                assert!(PROBLEMS.iter().any(|(known, ..)| *known == name), "{name}");
            }
        }
    }
}
