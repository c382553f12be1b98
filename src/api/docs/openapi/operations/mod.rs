//! What the document says of each operation. The matches name every one, and a test the rows of the Vault dialect: a
//! new operation needs its text.

mod control;
mod public;
mod secrets;
mod vault;

use serde_json::{Map, Value, json};

use super::{
    reference,
    schemas::{EXAMPLE_ID, merged},
};
use crate::api::{
    Access,
    okms::{DomainOp, RegionOp},
};

pub(super) use self::vault::{deleted, gone};

/// Answers by status.
type Answers = Vec<(&'static str, Value)>;

/// An operation in the document, apart from what its route tells.
pub(super) struct Operation {
    pub tag: &'static str,
    pub summary: &'static str,
    pub text: &'static str,
    /// The parameters that are not in the pattern, by the names of their components.
    pub parameters: &'static [&'static str],
    /// The request body, where there is one.
    pub body: Option<Value>,
    /// The statuses and answers of success.
    pub success: Answers,
    /// The problems that the route does not tell of already.
    pub problems: &'static [&'static str],
}

const SECRETS: &str = "Secrets";
const VERSIONS: &str = "Secret versions";
const CONFIG: &str = "Secret configuration";
const KV: &str = "Vault KV2";
const SYSTEM: &str = "Vault system";
const TOKENS: &str = "Vault tokens";
const CONTROL: &str = "Domains and access certificates";
const DOCUMENTATION: &str = "Documentation";
/// The tag of operations that are described under their regional spelling.
pub(super) const CENTRAL: &str = "Secrets under the central spelling";

/// The tags, in the order in which they are shown.
pub(super) fn tags() -> Value {
    let tag = |name: &str, text: &str| json!({ "name": name, "description": text });
    json!([
        tag(SECRETS, "Named values with metadata."),
        tag(VERSIONS, "A secret's numbered values and their states."),
        tag(CONFIG, "The defaults that a domain gives to its secrets."),
        tag(KV, "The same secrets in the words of HashiCorp Vault and OpenBao: KV version 2."),
        tag(SYSTEM, "As much of `sys/` as Vault's clients need: mounts, the server's state, wrapping."),
        tag(TOKENS, "Tokens, for clients that insist on one. They add nothing to the certificate."),
        tag(CONTROL, "The control plane. Whatever changes something is for operators."),
        tag(CENTRAL, "The same operations under the URL of the domain's resource."),
        tag(DOCUMENTATION, "This page and its document."),
    ])
}

/// What the document says of an operation; `None` for what is not served.
pub(super) fn of(access: Access) -> Option<Operation> {
    match access {
        Access::Domain(op) => Some(domain(op)),
        Access::Region(op) => Some(region(op)),
        Access::Public(page) => Some(public::page(page)),
        Access::Vault(op) => vault::of(op),
    }
}

fn domain(op: DomainOp) -> Operation {
    match op {
        DomainOp::ListSecrets => secrets::list_secrets(),
        DomainOp::CreateSecret => secrets::create_secret(),
        DomainOp::GetSecret => secrets::get_secret(),
        DomainOp::PutSecret => secrets::put_secret(),
        DomainOp::DeleteSecret => secrets::delete_secret(),
        DomainOp::ListVersions => secrets::list_versions(),
        DomainOp::CreateVersion => secrets::create_version(),
        DomainOp::GetVersion => secrets::get_version(),
        DomainOp::PutVersion => secrets::put_version(),
        DomainOp::GetConfig => secrets::get_config(),
        DomainOp::PutConfig => secrets::put_config(),
        DomainOp::GetDomain => control::get_domain(),
        DomainOp::CreateCredential => control::create_credential(),
    }
}

fn region(op: RegionOp) -> Operation {
    match op {
        RegionOp::ListDomains => control::list_domains(),
        RegionOp::CreateDomain => control::create_domain(),
    }
}

/// A request body with its examples.
fn body(schema: &str, examples: &[(&str, Value)]) -> Value {
    let examples = examples.iter().map(|(name, value)| ((*name).to_owned(), json!({ "value": value })));
    let content = json!({ "schema": reference("schemas", schema), "examples": examples.collect::<Map<_, _>>() });
    json!({ "required": true, "content": { "application/json": content } })
}

/// A 200 with a body.
fn answer(text: &str, schema: &str, example: &Value) -> Answers {
    response(text, schema, example, &[])
}

/// A 200 with a page of a list.
fn page(text: &str, schema: &str, example: &Value) -> Answers {
    response(text, schema, example, &["X-Pagination-Cursor-Next"])
}

fn response(text: &str, schema: &str, example: &Value, more: &[&str]) -> Answers {
    let content = json!({ "schema": reference("schemas", schema), "example": example });
    vec![("200", json!({ "description": text, "headers": headers(more), "content": { "application/json": content } }))]
}

/// A 204.
fn nothing() -> Answers {
    vec![("204", json!({ "description": "Done; there is no body.", "headers": headers(&[]) }))]
}

/// The header of every answer, and these.
fn headers(more: &[&str]) -> Value {
    let names = ["X-Request-Id"].into_iter().chain(more.iter().copied());
    names.map(|name| (name.to_owned(), reference("headers", name))).collect::<Map<_, _>>().into()
}

/// A moment, for examples.
const CREATED: &str = "2025-01-02T03:04:05Z";

/// The name of the examples' domain, or of something in it, in policies.
fn urn(rest: &str) -> String {
    format!("urn:v1:eu-west-local:resource:okms:{EXAMPLE_ID}{rest}")
}
