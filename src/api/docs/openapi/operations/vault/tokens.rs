//! Tokens, for clients that insist on one.

use serde_json::{Value, json};

use super::{CREATED, Row, VaultOp, does, envelope, shows, with};

pub(super) const ROWS: &[Row] = &[
    Row {
        parameters: &["wrapTtl"],
        body: Some(("LoginRequest", || json!({ "anyName": { "name": "backend" }, "noName": {} }))),
        ..shows(
            VaultOp::Login,
            "Log in",
            "A token for the connection's certificate, and good only with that. Nobody needs one: the certificate alone \
             does as much.",
            "AuthResponse",
            made,
        )
    },
    Row {
        parameters: &["wrapTtl"],
        body: Some((
            "CreateTokenRequest",
            || json!({ "short": { "display_name": "job", "meta": { "pipeline": "nightly" }, "ttl": "1h" } }),
        )),
        problems: &["BadSpan"],
        ..shows(
            VaultOp::CreateToken,
            "Make a token",
            "A further token for the certificate. It hangs on no other token; policies and numbers of uses are not \
             served.",
            "AuthResponse",
            made,
        )
    },
    Row {
        parameters: &["token"],
        ..shows(
            VaultOp::LookupSelf,
            "Look up the token in use",
            "The token in the header.",
            "LookupTokenResponse",
            shown,
        )
    },
    Row {
        parameters: &["token"],
        body: Some(TOKEN),
        problems: &["NoToken", "BadToken"],
        ..shows(
            VaultOp::LookupToken,
            "Look up a token",
            "The token in the body. GET has none and is about the token in the header.",
            "LookupTokenResponse",
            shown,
        )
    },
    Row {
        parameters: &["list", "limit", "paginationSize", "paginationCursor"],
        problems: &["BadCursor", "KvNotFound", "NoList"],
        ..shows(
            VaultOp::ListAccessors,
            "List the accessors of tokens",
            "Those of all the domain's tokens, and of what is wrapped, in the order in which they end. The `X-Pagination` \
             headers give them by pages. `list=true` is needed. None at all is a 404.",
            "ListAccessorsResponse",
            || envelope("token", &json!({ "keys": [ACCESSOR_TEXT] })),
        )
    },
    Row {
        body: Some(ACCESSOR),
        problems: &["BadAccessor"],
        ..shows(
            VaultOp::LookupAccessor,
            "Look up a token by its accessor",
            "What is known of the token, without its text.",
            "LookupTokenResponse",
            || {
                let mut answer = shown();
                if let Some(id) = answer.pointer_mut("/data/id") {
                    *id = "".into();
                }
                answer
            },
        )
    },
    Row {
        parameters: &["token"],
        body: Some(("RenewSelfRequest", || json!({ "again": {}, "increment": { "increment": "12h" } }))),
        problems: &["BadSpan", "NotRenewable"],
        ..shows(
            VaultOp::RenewSelf,
            "Renew the token in use",
            "More time for the token in the header, up to `tokens.max_ttl` from its beginning.",
            "AuthResponse",
            made,
        )
    },
    Row {
        body: Some(("RenewTokenRequest", || json!({ "token": { "token": TOKEN_TEXT, "increment": "12h" } }))),
        problems: &["BadSpan", "NoToken", "NotRenewable", "BadToken"],
        ..shows(VaultOp::RenewToken, "Renew a token", "More time for the token in the body.", "AuthResponse", made)
    },
    Row {
        body: Some((
            "RenewAccessorRequest",
            || json!({ "accessor": { "accessor": ACCESSOR_TEXT, "increment": "12h" } }),
        )),
        problems: &["BadSpan", "NotRenewable", "BadAccessor"],
        ..shows(
            VaultOp::RenewAccessor,
            "Renew a token by its accessor",
            "More time for the token, whose text is not told.",
            "AuthResponse",
            made,
        )
    },
    Row {
        parameters: &["token"],
        ..does(VaultOp::RevokeSelf, "Revoke the token in use", "Ends the token in the header.")
    },
    Row {
        body: Some(TOKEN),
        problems: &["NoToken"],
        ..does(VaultOp::RevokeToken, "Revoke a token", "Ends the token in the body. What is none is ended already.")
    },
    Row {
        body: Some(ACCESSOR),
        problems: &["BadAccessor"],
        ..does(VaultOp::RevokeAccessor, "Revoke a token by its accessor", "Ends the token that has the accessor.")
    },
];

const ACCESSOR_TEXT: &str = "Qm3xT8s1Zr0d";
const TOKEN_TEXT: &str = "okms.Qm3xT8s1Zr0d.9eYwZ1f8T3kQ";
const TOKEN: (&str, fn() -> Value) = ("TokenRequest", || json!({ "token": { "token": TOKEN_TEXT } }));
const ACCESSOR: (&str, fn() -> Value) = ("AccessorRequest", || json!({ "accessor": { "accessor": ACCESSOR_TEXT } }));
const LIFE: u32 = 768 * 3_600;

fn made() -> Value {
    let auth = json!({
        "accessor": ACCESSOR_TEXT, "client_token": TOKEN_TEXT, "entity_id": "", "identity_policies": [],
        "lease_duration": LIFE, "metadata": { "cert_name": "backend", "serial_number": "4711" },
        "mfa_requirement": null, "num_uses": 0, "orphan": true, "policies": ["default"], "renewable": true,
        "token_policies": ["default"], "token_type": "service",
    });
    with(envelope("token", &Value::Null), "auth", &auth)
}

fn shown() -> Value {
    envelope(
        "token",
        &json!({
            "accessor": ACCESSOR_TEXT, "creation_time": 1_735_787_045, "creation_ttl": LIFE,
            "display_name": "cert-backend", "entity_id": "", "expire_time": "2025-02-03T03:04:05Z",
            "explicit_max_ttl": 0, "id": TOKEN_TEXT, "issue_time": CREATED,
            "meta": { "cert_name": "backend", "serial_number": "4711" }, "num_uses": 0, "orphan": true,
            "path": "auth/cert/login", "policies": ["default"], "renewable": true, "ttl": LIFE, "type": "service",
        }),
    )
}
