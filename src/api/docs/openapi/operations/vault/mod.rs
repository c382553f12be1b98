//! The Vault dialect: a table for each of its parts, with a row for each operation.

mod kv;
mod system;
mod tokens;

use serde_json::{Value, json};

use super::{
    CREATED, EXAMPLE_ID, KV, Operation, SYSTEM, TOKENS, answer, body, headers, merged, nothing, page, reference,
};
use crate::api::vault::VaultOp;

/// What the document says of an operation.
struct Row {
    op: VaultOp,
    summary: &'static str,
    text: &'static str,
    /// The parameters that are not in the pattern, by the names of their components.
    parameters: &'static [&'static str],
    /// The request body's schema and examples by name, where there is one.
    body: Option<(&'static str, Examples)>,
    answer: Answer,
    /// The problems that the route does not tell of already.
    problems: &'static [&'static str],
}

type Examples = fn() -> Value;

/// The answer of success.
enum Answer {
    /// 200 with this schema and example.
    Shown(&'static str, Examples),
    /// 204.
    Nothing,
    /// 204, or 200 with warnings alone.
    Warnings(Examples),
    /// 200 with text.
    Text(&'static str),
    /// The same body under several statuses.
    Health(Examples),
}

/// The row of an operation that shows something.
const fn shows(op: VaultOp, summary: &'static str, text: &'static str, schema: &'static str, example: Examples) -> Row {
    Row { answer: Answer::Shown(schema, example), ..does(op, summary, text) }
}

/// The row of an operation that ends without a word.
const fn does(op: VaultOp, summary: &'static str, text: &'static str) -> Row {
    Row { op, summary, text, parameters: &[], body: None, answer: Answer::Nothing, problems: &[] }
}

const TABLES: [(&str, &[Row]); 3] = [(KV, kv::ROWS), (SYSTEM, system::ROWS), (TOKENS, tokens::ROWS)];

/// What the document says of `op`; `None` for what is not served.
pub(super) fn of(op: VaultOp) -> Option<Operation> {
    let mut rows = TABLES.iter().flat_map(|(tag, rows)| rows.iter().map(move |row| (*tag, row)));
    let (tag, row) = rows.find(|(_, row)| row.op == op)?;
    Some(Operation {
        tag,
        summary: row.summary,
        text: row.text,
        parameters: row.parameters,
        body: row.body.map(|(schema, examples)| request(op, schema, examples())),
        success: match row.answer {
            Answer::Shown(schema, example) if row.parameters.contains(&"paginationCursor") => {
                page("The answer, or a page of a list.", schema, &example())
            }
            Answer::Shown(schema, example) => answer("The answer.", schema, &example()),
            Answer::Nothing => nothing(),
            Answer::Warnings(example) => {
                [nothing(), answer("Done, but for what the warnings tell.", "Warnings", &example())].concat()
            }
            Answer::Text(example) => text(example),
            Answer::Health(example) => health(&example()),
        },
        problems: row.problems,
    })
}

/// A request body; a patch may say of itself that it is one, or that it is JSON.
fn request(op: VaultOp, schema: &str, examples: Value) -> Value {
    let Value::Object(examples) = examples else { return Value::Null };
    let examples: Vec<_> = examples.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let mut body = body(schema, &examples);
    if matches!(op, VaultOp::PatchData | VaultOp::PatchMetadata)
        && let Some(Value::Object(types)) = body.get_mut("content")
        && let Some(json) = types.get("application/json").cloned()
    {
        types.insert("application/merge-patch+json".to_owned(), json);
    }
    body
}

fn text(example: &str) -> Vec<(&'static str, Value)> {
    let content = json!({ "text/plain": { "schema": { "type": "string" }, "example": example } });
    vec![("200", json!({ "description": "The answer.", "headers": headers(&[]), "content": content }))]
}

fn health(example: &Value) -> Vec<(&'static str, Value)> {
    let schema = reference("schemas", "HealthResponse");
    let either = json!({ "oneOf": [schema, reference("schemas", "ErrorResponse")] });
    let of = |text: &str, schema: &Value, name: &str, value: bool| {
        let example = merged([example.clone(), json!({ name: value })]);
        let content = json!({ "application/json": { "schema": schema, "example": example } });
        json!({ "description": text, "headers": headers(&[]), "content": content })
    };
    vec![
        ("200", of("All is well.", &schema, "sealed", false)),
        (
            "429",
            of("There are only reads; or, as an error, too many requests are in progress.", &either, "standby", true),
        ),
        ("503", of("The store does not answer.", &schema, "sealed", true)),
    ]
}

/// Vault's envelope around `data`, from a mount of the type `mount`.
fn envelope(mount: &str, data: &Value) -> Value {
    json!({
        "auth": null,
        "data": data,
        "lease_duration": 0,
        "lease_id": "",
        "mount_type": mount,
        "renewable": false,
        "request_id": "79b66eba-273e-4f7a-b954-78ed7e70b85d",
        "warnings": null,
        "wrap_info": null,
    })
}

/// `envelope` with `member` in place of null.
fn with(envelope: Value, name: &str, member: &Value) -> Value {
    merged([envelope, json!({ name: member })])
}

/// An envelope that has its data beside its members as well.
fn repeated(data: Value) -> Value {
    merged([envelope("system", &data), data])
}

/// A 404 of a version that cannot be read: the error and the envelope in one.
pub(in super::super) fn gone(error: Value, data: &Value) -> Value {
    merged([envelope("kv", data), error])
}

/// The five members of a version that is deleted.
pub(in super::super) fn deleted() -> Value {
    kv::version_with("2025-01-04T05:06:07Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_each_operation_that_is_served() {
        let rows = |op: VaultOp| TABLES.iter().flat_map(|(_, rows)| *rows).filter(|row| row.op == op).count();
        for op in VaultOp::ALL {
            let is_served = !matches!(op, VaultOp::Unrouted | VaultOp::NotServed);
            assert_eq!(rows(*op), usize::from(is_served), "{op:?}");
            assert_eq!(of(*op).is_some(), is_served);
        }
    }
}
