//! The documentation that the server itself serves: the `OpenAPI` document and Swagger UI.
//!
//! Always holds: nothing is fetched from elsewhere; the document is made from the route table.

mod openapi;

use bytes::Bytes;
use hyper::{
    StatusCode,
    header::{CONTENT_SECURITY_POLICY, HeaderValue, LOCATION, X_FRAME_OPTIONS},
};

pub use self::openapi::document;
use super::{Call, Reply};
use crate::auth::Principal;

/// A page that is open to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Page {
    /// The way to Swagger UI.
    Root,
    /// The `OpenAPI` document.
    Document,
    /// Swagger UI's address without its slash.
    Swagger,
    /// A file of Swagger UI.
    SwaggerAsset,
}

impl Page {
    /// The page's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "Root",
            Self::Document => "GetOpenApi",
            Self::Swagger => "Swagger",
            Self::SwaggerAsset => "SwaggerAsset",
        }
    }
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
    ("swagger-ui.css", "text/css; charset=utf-8", include_bytes!("../../../web/swagger/swagger-ui.css")),
    (
        "swagger-ui-bundle.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../../../web/swagger/swagger-ui-bundle.js"),
    ),
    ("favicon-32x32.png", "image/png", include_bytes!("../../../web/swagger/favicon-32x32.png")),
];

/// Shows `page`; `None` where there is no such file.
#[must_use]
pub fn show(page: Page, call: &Call) -> Option<Reply> {
    Some(match page {
        Page::Root | Page::Swagger => redirect("/swagger/"),
        Page::Document => {
            let own = match call.principal {
                Some(Principal::Domain(id)) => Some(id),
                Some(Principal::Operator) | None => None,
            };
            Reply::ok("application/json", document(own))
        }
        Page::SwaggerAsset => {
            let name = call.params.asset.as_deref().unwrap_or_default();
            let (_, content_type, body) = ASSETS.iter().find(|(asset, ..)| *asset == name)?;
            Reply {
                headers: vec![(CONTENT_SECURITY_POLICY, POLICY), (X_FRAME_OPTIONS, HeaderValue::from_static("DENY"))],
                ..Reply::ok(content_type, Bytes::from_static(body))
            }
        }
    })
}

fn redirect(to: &'static str) -> Reply {
    Reply { headers: vec![(LOCATION, HeaderValue::from_static(to))], ..Reply::empty(StatusCode::TEMPORARY_REDIRECT) }
}
