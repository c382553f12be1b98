//! What the server answers, checked for what every answer must have.

use bytes::Bytes;
use hyper::{Method, Response, StatusCode, header::HeaderMap};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// An answer, checked for what every answer must have.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The answer to a request with this method, which has what every answer must have.
    pub fn checked(response: Response<Bytes>, method: &Method) -> Self {
        let (head, body) = response.into_parts();
        let answer = Self { status: head.status, headers: head.headers, body };
        check(&answer, method);
        answer
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The JSON of an answer that must be 200.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        self.json()
    }

    /// That the answer is this error; its text.
    #[track_caller]
    pub fn error(&self, status: u16, code: u32) -> String {
        assert_eq!(
            (self.status.as_u16(), self.json()["error_code"].as_u64()),
            (status, Some(code.into())),
            "{self:?}"
        );
        self.json()["errors"][0].as_str().unwrap().to_owned()
    }

    /// The value in a secret or a version, as it was written on the wire.
    pub fn data(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Shown {
            data: Option<Box<RawValue>>,
            version: Option<Box<Shown>>,
        }
        let shown: Shown = serde_json::from_slice(&self.body).unwrap();
        let data = shown.data.or_else(|| shown.version?.data);
        data.map(|data| data.get().to_owned())
    }

    /// The warnings; none where there is no such field.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.ok()["warnings"].as_array().cloned().unwrap_or_default();
        warnings.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    /// Everything that a caller can see of the answer, apart from what must differ: the request's
    /// id and the date.
    pub fn likeness(&self) -> String {
        let id = self.headers["x-request-id"].to_str().unwrap();
        let mut headers: Vec<_> = self.headers.iter().filter(|(name, _)| *name != "date").collect();
        headers.sort_by_key(|(name, _)| name.as_str());
        format!("{} {headers:?} {}", self.status, self.text()).replace(id, "ID")
    }

    /// The cursor of the next page.
    pub fn next(&self) -> Option<String> {
        self.headers.get("x-pagination-cursor-next").map(|next| next.to_str().unwrap().to_owned())
    }
}

/// Headers that an answer may have. One that is not here is a leak until somebody says why not.
const KNOWN_HEADERS: &[&str] = &[
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "etag",
    "location",
    "okms-certificate-expires",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "transfer-encoding",
    "www-authenticate",
    "x-content-type-options",
    "x-frame-options",
    "x-pagination-cursor-next",
    "x-request-id",
    "x-secret-version",
    "x-vault-namespace",
];

/// The members of Vault's envelope.
pub const ENVELOPE: [&str; 9] = [
    "auth",
    "data",
    "lease_duration",
    "lease_id",
    "mount_type",
    "renewable",
    "request_id",
    "warnings",
    "wrap_info",
];

/// What every answer must have.
fn check(answer: &Answer, method: &Method) {
    let header = |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap());
    for name in answer.headers.keys() {
        assert!(KNOWN_HEADERS.contains(&name.as_str()), "an unknown header {name}");
    }
    let id = header("x-request-id").expect("a request id");
    assert_eq!(id.len(), 36, "{id}");
    assert_eq!(header("cache-control"), Some("no-store"));
    assert_eq!(header("x-content-type-options"), Some("nosniff"));
    if method == Method::HEAD {
        assert!(answer.body.is_empty());
        return;
    }
    if answer.status.is_client_error() || answer.status.is_server_error() {
        assert_eq!(header("content-type"), Some("application/json"), "{answer:?}");
        let body = answer.json();
        // Vault's health is told by a status and is no error.
        if body.get("server_time_utc").is_some() {
            return;
        }
        if let Some(error) = body.get("error") {
            // The form of the dialect of path secrets, or of that of URIs.
            let error = if error.is_object() { error } else { &body };
            assert_eq!(error["request_id"], id);
            assert!(error["code"].is_string() && error["message"].is_string(), "{answer:?}");
            let later = matches!(answer.status.as_u16(), 429 | 503);
            assert_eq!(header("retry-after").is_some(), later, "{answer:?}");
            return;
        }
        let mut keys: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        if keys.len() > 4 {
            // What is there and cannot be read: an error and an envelope in one.
            assert!(ENVELOPE.iter().all(|key| keys.contains(key)), "{answer:?}");
            keys.retain(|key| *key == "request_id" || !ENVELOPE.contains(key));
        } else {
            assert_eq!(body["request_id"], id);
        }
        keys.sort_unstable();
        assert_eq!(keys, ["error_code", "error_id", "errors", "request_id"]);
        assert!(body["error_code"].as_i64().is_some_and(|code| i32::try_from(code).is_ok()));
        assert!(
            body["errors"]
                .as_array()
                .unwrap()
                .iter()
                .all(|text| !text.as_str().unwrap().is_empty())
        );
        let later = matches!(answer.status.as_u16(), 429 | 503);
        assert_eq!(header("retry-after").is_some(), later, "{answer:?}");
    }
    if answer.status == StatusCode::NO_CONTENT {
        assert!(answer.body.is_empty());
    }
}
