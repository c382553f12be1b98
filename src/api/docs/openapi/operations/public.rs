//! The pages that are open to everybody.

use serde_json::{Map, json};

use super::{DOCUMENTATION, Operation, answer, headers};
use crate::api::docs::{ASSETS, Page};

pub(super) fn page(page: Page) -> Operation {
    let (summary, text) = match page {
        Page::Root => ("Go to Swagger UI", "Leads from the server's root to `/swagger/`."),
        Page::Document => (
            "Read this document",
            "The OpenAPI document, with the caller's own domain filled in for an access certificate.",
        ),
        Page::Swagger => ("Go to Swagger UI", "Leads to `/swagger/`."),
        Page::SwaggerAsset => {
            ("Read a file of Swagger UI", "The page itself is at `/swagger/`; everything that it loads is served here.")
        }
    };
    let success = match page {
        Page::Root | Page::Swagger => {
            vec![("307", json!({ "description": "Swagger UI is elsewhere.", "headers": headers(&["Location"]) }))]
        }
        Page::Document => answer("The document.", "Document", &json!({ "openapi": "3.0.3" })),
        Page::SwaggerAsset => {
            let file = json!({ "schema": { "type": "string", "format": "binary" } });
            let types: Map<_, _> = ASSETS.iter().map(|(_, kind, _)| ((*kind).to_owned(), file.clone())).collect();
            vec![("200", json!({ "description": "The file.", "headers": headers(&[]), "content": types }))]
        }
    };
    let problems: &[_] = if page == Page::SwaggerAsset { &["NoRoute"] } else { &[] };
    Operation { tag: DOCUMENTATION, summary, text, parameters: &[], body: None, success, problems }
}
