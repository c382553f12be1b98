//! The documentation that the server itself serves: the `OpenAPI` document and Swagger UI.
//!
//! Always holds: nothing is fetched from elsewhere; the document is held against the route table by
//! tests.

mod errors;
mod openapi;

use std::future::ready;

use bytes::Bytes;
use hyper::{
    StatusCode,
    header::{CONTENT_SECURITY_POLICY, HeaderValue, LOCATION, X_FRAME_OPTIONS},
};

pub use self::openapi::document;
use super::{
    Answer, Call, Context, Effect, Failed, Handler, Operation, Problem, Reply, Route, Rows,
};
use crate::auth::Party;

/// What everybody may read.
pub static PAGES: Rows = Rows {
    name: "pages",
    bases: &[""],
    routes: &[
        page("/openapi.json", &open("GetOpenApi", |_, call| Box::pin(ready(Ok(openapi(call)))))),
        // Before `/swagger`, which takes a trailing slash as well: `/swagger/` is the page, not the
        // way to it.
        page("/swagger/{asset}", &open("SwaggerAsset", |_, call| Box::pin(ready(asset(call))))),
        page("/swagger", &open("Swagger", |_, _| Box::pin(ready(Ok(redirect("/swagger/")))))),
        page("/", &open("Root", |_, _| Box::pin(ready(Ok(redirect("/swagger/")))))),
    ],
};

const fn page(pattern: &'static str, operation: &'static Operation) -> Route {
    Route { methods: &["GET"], pattern, operation }
}

const fn open(
    id: &'static str,
    handler: for<'a> fn(&'a Context, &'a Call) -> Answer<'a>,
) -> Operation {
    Operation { id, effect: Effect::Read, actions: &[], handler: Handler::Open(handler) }
}

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The files of Swagger UI: name, type, content.
const ASSETS: &[(&str, &str, &[u8])] = &[
    ("", "text/html; charset=utf-8", include_bytes!("../../../web/swagger/index.html")),
    ("index.html", "text/html; charset=utf-8", include_bytes!("../../../web/swagger/index.html")),
    ("init.js", "text/javascript; charset=utf-8", include_bytes!("../../../web/swagger/init.js")),
    (
        "swagger-ui.css",
        "text/css; charset=utf-8",
        include_bytes!("../../../web/swagger/swagger-ui.css"),
    ),
    (
        "swagger-ui-bundle.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../../../web/swagger/swagger-ui-bundle.js"),
    ),
    ("favicon-32x32.png", "image/png", include_bytes!("../../../web/swagger/favicon-32x32.png")),
];

/// The document, for the caller.
fn openapi(call: &Call) -> Reply {
    let own = match call.caller {
        Some(Party::Tenant(id)) => Some(id),
        Some(Party::Operator) | None => None,
    };
    Reply::ok("application/json", document(own))
}

fn asset(call: &Call) -> Result<Reply, Failed> {
    let name = call.params.name.as_deref().unwrap_or_default();
    let (_, content_type, body) =
        ASSETS.iter().find(|(asset, ..)| *asset == name).ok_or(Problem::NoRoute)?;
    Ok(Reply {
        headers: vec![
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        ],
        ..Reply::ok(content_type, Bytes::from_static(body))
    })
}

fn redirect(to: &'static str) -> Reply {
    Reply {
        headers: vec![(LOCATION, HeaderValue::from_static(to))],
        ..Reply::empty(StatusCode::TEMPORARY_REDIRECT)
    }
}
