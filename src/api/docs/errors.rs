//! Answers that are errors, as the document shows them: an example for each, one component for each
//! set of them under one status.
//!
//! Always holds: status, code and text are those of the table of problems.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::{Dialect, Failed, Problem, Reply, canonical, paths};

/// A reference to a component.
pub(super) fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

/// What the file says of errors.
#[derive(Default, Deserialize)]
pub(super) struct Errors {
    /// What an answer of each status is about.
    pub(super) statuses: BTreeMap<String, String>,
    /// The examples that are not just a problem, under its own name.
    pub(super) examples: BTreeMap<String, Example>,
}

/// An example of an error.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Example {
    /// The problem, where that has another name.
    pub(super) of: Option<Problem>,
    /// What is in the places that its text leaves open.
    #[serde(default)]
    with: Vec<String>,
    /// In place of the text.
    summary: Option<String>,
    /// The name of the whole answer's shape, where that is more than an error.
    schema: Option<String>,
    /// Every other member of the example, as it stands.
    #[serde(default)]
    value: Map<String, Value>,
}

/// Names of examples; lists in lists count as their members.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Names {
    One(String),
    Some(Vec<Self>),
}

/// The form of an error, which some dialects have for themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Usual,
    Paths,
    Canonical,
}

impl Form {
    /// That of the operations at an address.
    pub(super) fn of(path: &str) -> Self {
        let is_below = |base| path.strip_prefix(base).is_some_and(paths::begins_ours);
        let mut bases =
            [&paths::OWN, &paths::PARTNERS].into_iter().flat_map(Dialect::bases).copied();
        if canonical::is_ours(path) {
            Self::Canonical
        } else if bases.any(is_below) {
            Self::Paths
        } else {
            Self::Usual
        }
    }

    /// What the names of its components begin with.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Usual => "",
            Self::Paths => "Path",
            Self::Canonical => "Uri",
        }
    }

    fn schema(self) -> String {
        format!("{}ErrorResponse", self.prefix())
    }

    fn name(self, name: &str) -> String {
        format!("{}{name}", self.prefix())
    }

    /// What the dialect makes of an error that has a form of its own.
    fn render(self) -> Option<fn(Failed, &str) -> Reply> {
        match self {
            Self::Usual => None,
            Self::Paths => Some(paths::error),
            Self::Canonical => Some(canonical::error),
        }
    }
}

/// A component: an answer that is one of some errors.
pub(super) struct Answer {
    pub(super) status: String,
    /// Which says what it can be.
    pub(super) name: String,
    pub(super) value: Value,
}

impl Errors {
    /// The answers that are these errors: one for each status.
    pub(super) fn answers<'n>(
        &self,
        names: impl Iterator<Item = &'n str>,
        form: Form,
    ) -> Vec<Answer> {
        let mut by_status = BTreeMap::<_, Vec<_>>::new();
        for name in names {
            let Some((failed, example)) = self.example(name) else { continue };
            by_status.entry(failed.problem.status()).or_default().push((name, failed, example));
        }
        by_status
            .into_iter()
            .map(|(status, errors)| self.answer(status.as_str(), &errors, form))
            .collect()
    }

    /// What the example of this name shows.
    pub(super) fn example(&self, name: &str) -> Option<(Failed, Example)> {
        let example = self.examples.get(name).cloned().unwrap_or_default();
        let problem = example
            .of
            .or_else(|| Problem::ALL.iter().copied().find(|problem| problem.id() == name))?;
        let parts: Vec<_> = example.with.iter().map(String::as_str).collect();
        Some((problem.with(&parts), example))
    }

    fn answer(&self, status: &str, errors: &[(&str, Failed, Example)], form: Form) -> Answer {
        let names: Vec<_> = errors.iter().map(|(name, ..)| *name).collect();
        let headers = ["X-Request-Id"]
            .into_iter()
            .chain(matches!(status, "429" | "503").then_some("Retry-After"))
            .chain(["RateLimit", "RateLimit-Policy"].into_iter().filter(|_| status == "429"));
        let headers: Map<_, _> =
            headers.map(|name| (name.to_owned(), reference("headers", name))).collect();
        let schema = errors
            .iter()
            .find_map(|(.., example)| example.schema.clone())
            .unwrap_or_else(|| form.schema());
        let examples: Map<_, _> = errors
            .iter()
            .map(|(name, failed, example)| ((*name).to_owned(), example.example_of(failed, form)))
            .collect();
        let value = json!({
            "description": self.statuses.get(status),
            "headers": headers,
            "content": { "application/json": { "schema": reference("schemas", &schema), "examples": examples } },
        });
        Answer { status: status.to_owned(), name: form.name(&names.join("Or")), value }
    }
}

impl Example {
    fn example_of(&self, failed: &Failed, form: Form) -> Value {
        const REQUEST: &str = "79b66eba-273e-4f7a-b954-78ed7e70b85d";
        let Failed { problem, text, .. } = failed;
        if let Some(render) = form.render() {
            let reply = render(failed.clone(), REQUEST);
            let value = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
            return json!({ "summary": self.summary.as_deref().unwrap_or(text), "value": value });
        }
        let mut value = self.value.clone();
        value.insert("error_code".to_owned(), problem.code().into());
        value.insert("error_id".to_owned(), REQUEST.into());
        // Vault's word for what is not there is none.
        value.insert(
            "errors".to_owned(),
            Some(&**text).filter(|text| !text.is_empty()).into_iter().collect(),
        );
        value.insert("request_id".to_owned(), REQUEST.into());
        json!({ "summary": self.summary.as_deref().unwrap_or(text), "value": value })
    }
}

impl Names {
    pub(super) fn flat(&self) -> BTreeSet<&str> {
        match self {
            Self::One(name) => [name.as_str()].into(),
            Self::Some(lists) => lists.iter().flat_map(Self::flat).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::openapi::from_file, *};
    use crate::{
        api::{
            json::Object,
            query,
            vault::audit_devices::{NO_FILE_PATH, NO_INPUT},
        },
        auth::{Denied, Unauthenticated, acl::Policy},
        model::{Invalid, OkmsId},
        service::Error,
    };

    /// Whatever a rule says of itself is repeated in the document, and is the same there.
    #[test]
    fn the_document_repeats_the_rules_sentences() {
        let file = from_file();
        let by_rules = [
            ("BadId", Failed::from("x".parse::<OkmsId>().unwrap_err())),
            ("BadQueryText", Failed::from(query::flag("x=y", "x").unwrap_err())),
            ("BadBody", Failed::from(Object::from_body(b"{").err().unwrap())),
            (
                "BadCursor",
                Failed::from(Invalid(
                    "the page cursor is not one of this list; repeat without X-Pagination-Cursor",
                )),
            ),
            (
                "BadSince",
                Failed::from(Invalid(
                    "since is not what an answer has said; leave it out to begin now",
                )),
            ),
            ("BadSerial", Failed::from("x".parse::<crate::service::Serial>().unwrap_err())),
            ("KvBadBody", Problem::KvBadBody.with(&[Object::from_body(b"{").err().unwrap().0])),
            ("BadPolicy", Failed::from(Error::Policy(Policy::parse("path").unwrap_err()))),
            ("BadAuditDevice", Failed::from(Invalid(NO_FILE_PATH))),
            ("BadAuditInput", Failed::from(Invalid(NO_INPUT))),
            ("NoCertificate", Failed::from(Unauthenticated::NoCertificate)),
            ("Forbidden", Failed::from(Denied::Forbidden)),
        ];
        for (name, failed) in &by_rules {
            let (shown, _) = file.errors.example(name).unwrap();
            assert_eq!(
                (shown.problem, shown.text),
                (failed.problem, failed.text.clone()),
                "{name}"
            );
        }
        // And of nothing else is the whole text another's.
        let repeats = |problem: &Problem| problem.with(&["{}"]).text == "{}";
        for (name, Example { of, .. }) in &file.errors.examples {
            let is_known = by_rules.iter().any(|(known, _)| known == name);
            assert!(
                is_known || !of.as_ref().is_some_and(repeats),
                "{name} is held against no rule"
            );
        }
    }

    /// An example leaves nothing open that its problem does.
    #[test]
    fn examples_are_whole() {
        let file = from_file();
        for problem in Problem::ALL {
            let Some((shown, example)) = file.errors.example(problem.id()) else {
                panic!("{problem:?}")
            };
            assert!(
                example.of.is_none() && shown.problem == *problem,
                "{problem:?} is the name of another's example"
            );
        }
        for name in file
            .paths
            .values()
            .flat_map(BTreeMap::values)
            .flat_map(|operation| operation.problems.flat())
        {
            let (shown, example) = file.errors.example(name).unwrap_or_else(|| panic!("{name}"));
            let places = shown.problem.with(&["{}"; 8]).text.matches("{}").count();
            assert_eq!(example.with.len(), places, "{name}: {}", shown.text);
        }
    }
}
