//! The `OpenAPI` document, made from the route table.
//!
//! Owns what the document says: [`operations`] one text for each operation, [`problems`] every answer that is an
//! error, [`parameters`] and [`schemas`] the rest. Always holds: a route is in the document because it is in the table,
//! under both spellings of the domain, and is left out by the one rule of [`is_left_out`] alone; every operation has its
//! text. Never does: fetch, or serve itself.
//!
//! It is `OpenAPI` 3.0.3 and not 3.1, as the published document is 3.0: the generator that the published
//! clients come from (oapi-codegen) does not read 3.1. The price is that client certificates, which 3.0 has no security
//! scheme for, are described in words.

mod operations;
mod parameters;
mod problems;
mod schemas;

use std::sync::LazyLock;

use bytes::Bytes;
use hyper::Method;
use serde_json::{Map, Value, json};

use self::{operations::Operation, problems::Problems};
use crate::{
    api::{
        Access, Route,
        okms::DomainOp,
        routes,
        routes::{DOMAIN_SPELLINGS, VAULT_BASES},
        vault::VaultOp,
    },
    auth::Action,
    domain::OkmsId,
};

/// Stands for the caller's own domain until it is known.
const OWN: &str = "{the caller's own okmsId}";

/// The document's text; with the caller's own domain filled in, where that is known. Made once: a domain that asked for it
/// again and again once kept everybody else waiting.
#[must_use]
pub fn document(own: Option<OkmsId>) -> Bytes {
    static FOR_ALL: LazyLock<Bytes> = LazyLock::new(|| build(None).to_string().into());
    static FOR_ONE: LazyLock<Vec<String>> =
        LazyLock::new(|| build(Some(OWN)).to_string().split(OWN).map(str::to_owned).collect());
    match own {
        None => FOR_ALL.clone(),
        Some(id) => FOR_ONE.join(&id.to_string()).into(),
    }
}

fn build(own: Option<&str>) -> Value {
    let mut paths = Map::new();
    let mut problems = Problems::default();
    for route in routes().into_iter().filter(|route| !is_left_out(route)) {
        let Some(said) = operations::of(route.access) else { continue };
        let operation = operation(&route, said, &mut problems);
        let item = paths.entry(route.pattern).or_insert_with(|| json!({}));
        if let Value::Object(item) = item {
            item.insert(route.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "okmsd",
            "version": env!("CARGO_PKG_VERSION"),
            "description": introduction(own),
            "license": { "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
        },
        "servers": [{ "url": "/", "description": "The server that this document came from." }],
        "tags": operations::tags(),
        "paths": paths,
        "components": {
            "parameters": parameters::parameters(own),
            "headers": parameters::headers(),
            "schemas": schemas::schemas(),
            "responses": problems.into_components(),
        },
    })
}

fn introduction(own: Option<&str>) -> String {
    let reach = own.map_or_else(String::new, |id| {
        format!("\n\nYour certificate reaches the domain `{id}`, which is filled in below.")
    });
    format!("{}{reach}", include_str!("introduction.md").trim_end())
}

/// Whether the document is silent about the route: of the Vault dialect it shows one of the three bases, none of the
/// methods that say nothing new or that `OpenAPI` has no word for, and nothing that is not served.
fn is_left_out(route: &Route) -> bool {
    let Access::Vault(op) = route.access else { return false };
    let [shown, ..] = VAULT_BASES;
    !route.pattern.starts_with(shown)
        || matches!(route.method.as_str(), "PUT" | "LIST" | "SCAN" | "HEAD")
        || matches!(op, VaultOp::Unrouted | VaultOp::NotServed)
}

/// What the document says of one route.
fn operation(route: &Route, said: Operation, problems: &mut Problems) -> Value {
    let mut responses = problems.of(route, &said);
    let Operation { tag, summary, text, parameters, body, success, .. } = said;
    let is_central = is_central(route);
    let tag = if is_central { operations::CENTRAL } else { tag };
    let in_pattern = route.pattern.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    // Under `sys` the key is a mount, or what else there is.
    let in_pattern = in_pattern.map(|name| match (name, route.access) {
        ("key", Access::Vault(VaultOp::ReadAuthMethod | VaultOp::ReadAuthTune)) => "methodPath",
        ("key", Access::Vault(VaultOp::RemountStatus)) => "moveId",
        ("key", Access::Vault(VaultOp::Random)) => "bytesInPath",
        ("key", _) if !route.pattern.contains("/{mount}/") => "mountPath",
        (name, _) => name,
    });
    let parameters = in_pattern.chain(parameters.iter().copied());
    responses.extend(success.into_iter().map(|(status, answer)| (status.to_owned(), answer)));
    let mut operation = json!({
        "tags": [tag],
        "operationId": operation_id(route, is_central),
        "summary": summary,
        "description": format!("{text}{}", actions(route.access)),
        "parameters": parameters.map(|name| reference("parameters", name)).collect::<Vec<_>>(),
        "responses": responses,
    });
    if let (Value::Object(operation), Some(body)) = (&mut operation, body)
        && route.method != Method::GET
    {
        operation.insert("requestBody".to_owned(), body);
    }
    operation
}

/// Whether the route repeats a published one under the central spelling; the control plane has that one only.
fn is_central(route: &Route) -> bool {
    let [regional, central] = DOMAIN_SPELLINGS;
    let rest = route.pattern.strip_prefix(central);
    rest.is_some_and(|rest| routes().iter().any(|other| other.pattern.strip_prefix(regional) == Some(rest)))
}

/// The published operation id; what has none of its own gets one that tells it apart.
fn operation_id(route: &Route, is_central: bool) -> String {
    let is_orphan = route.pattern.ends_with("-orphan");
    let name = match (route.access, &route.method) {
        (Access::Domain(DomainOp::CreateVersion), &Method::PUT) => "PutNewSecretVersionV2",
        (Access::Vault(VaultOp::LookupWrapped), &Method::POST) => "VaultPostLookupWrapped",
        (Access::Vault(VaultOp::LookupSelf), &Method::POST) => "VaultPostLookupSelf",
        (Access::Vault(VaultOp::LookupToken), &Method::POST) => "VaultPostLookupToken",
        (Access::Vault(VaultOp::CreateToken), _) if is_orphan => "VaultCreateOrphanToken",
        (Access::Vault(VaultOp::RevokeToken), _) if is_orphan => "VaultRevokeOrphanToken",
        (Access::Vault(VaultOp::Random), _) if route.pattern.ends_with('}') => "VaultRandomOfLength",
        (Access::Vault(VaultOp::ListDetailed), _) if route.pattern.ends_with('}') => "ListDetailedMetadataOfFolder",
        (access, _) => access.name(),
    };
    if is_central { format!("{name}Central") } else { name.to_owned() }
}

/// The actions that an operation takes, under the names that policies use.
fn actions(access: Access) -> String {
    let actions = match access {
        Access::Public(_) => Vec::new(),
        Access::Region(op) => vec![op.action()],
        Access::Domain(op) => op.action_list().to_vec(),
        Access::Vault(op) => op.action_list().to_vec(),
    };
    if actions.is_empty() {
        return "\n\nOpen to everybody.".to_owned();
    }
    let rows = actions.iter().map(|action| format!("\n| `{}` | {} |", action.name(), purpose(*action)));
    format!("\n\n| IAM action | needed to |\n| --- | --- |{}", rows.collect::<String>())
}

const fn purpose(action: Action) -> &'static str {
    match action {
        Action::SecretGet => "see metadata and states",
        Action::SecretCreate => "create a secret",
        Action::SecretDelete => "delete a secret",
        Action::SecretUpdateMetadata => "change metadata",
        Action::VersionGetData => "read data",
        Action::SubkeysGet => "see the names in a version's data",
        Action::VersionCreate => "add a version",
        Action::VersionActivate => "set the state `active`",
        Action::VersionDeactivate => "set the state `deactivated`",
        Action::VersionDelete => "set the state `deleted`",
        Action::ConfigGet => "read the domain's defaults",
        Action::ConfigUpdate => "change the domain's defaults",
        Action::DomainGet => "see a domain",
        Action::DomainCreate => "create a domain (operators only)",
        Action::CredentialCreate => "issue an access certificate (operators only)",
        Action::MetricsGet => "see the server's figures (operators only)",
    }
}

/// A reference to a component.
fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn parsed(own: Option<OkmsId>) -> Value {
        serde_json::from_slice(&document(own)).unwrap()
    }

    fn operations(document: &Value) -> impl Iterator<Item = (&String, &String, &Value)> {
        let paths = document["paths"].as_object().unwrap().iter();
        paths.flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |(method, op)| (path, method, op)))
    }

    fn walk(value: &Value, see: &mut impl FnMut(&str, &Value)) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| {
                see(name, value);
                walk(value, see);
            }),
            Value::Array(items) => items.iter().for_each(|item| walk(item, see)),
            _ => {}
        }
    }

    #[test]
    fn the_route_table_and_nothing_else() {
        let document = parsed(None);
        let told: BTreeSet<_> =
            operations(&document).map(|(path, method, _)| (method.to_uppercase(), path.clone())).collect();
        let (left_out, shown): (Vec<_>, Vec<_>) = routes().into_iter().partition(is_left_out);
        assert_eq!(told.len(), shown.len());
        assert_eq!(told, shown.iter().map(|route| (route.method.to_string(), route.pattern.clone())).collect());
        let of_vault = shown.iter().filter(|route| matches!(route.access, Access::Vault(_)));
        assert_eq!((shown.len(), of_vault.count()), (93, 61));
        // Whatever is served and left out is shown under its other name.
        for Route { method, pattern, access } in left_out {
            let Access::Vault(op) = access else { panic!("{method} {pattern}") };
            let rest = VAULT_BASES.iter().find_map(|base| pattern.strip_prefix(base)).unwrap();
            let twin = match method.as_str() {
                "PUT" => "POST",
                "LIST" | "SCAN" | "HEAD" => "GET",
                other => other,
            };
            let is_shown = shown.iter().any(|other| {
                other.access == access && other.method == twin && other.pattern == format!("{}{rest}", VAULT_BASES[0])
            });
            assert_eq!(is_shown, !matches!(op, VaultOp::Unrouted | VaultOp::NotServed), "{method} {pattern}");
        }
    }

    #[test]
    fn operation_ids_are_unique_and_the_published_ones_regional() {
        let document = parsed(None);
        let ids: BTreeSet<_> = operations(&document).map(|(.., op)| op["operationId"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), operations(&document).count());
        let [regional, central] = DOMAIN_SPELLINGS;
        let id = |path: &str, method: &str| document["paths"][path][method]["operationId"].as_str().unwrap();
        assert_eq!(id(&format!("{regional}/secret"), "post"), "PostSecretV2");
        assert_eq!(id(&format!("{central}/secret"), "post"), "PostSecretV2Central");
        assert_eq!(id(&format!("{central}/credential"), "post"), "PostCredential");
        let [vault, ..] = VAULT_BASES;
        for (method, rest, expected) in [
            ("get", "config", "GetSecretConfig"),
            ("post", "config", "PostSecretConfig"),
            ("post", "data/{key}", "PostSecretRequest"),
            ("get", "data/{key}", "GetSecretRequest"),
            ("patch", "data/{key}", "PatchSecretRequest"),
            ("delete", "data/{key}", "DeleteSecretRequest"),
            ("get", "subkeys/{key}", "GetSecretSubkeys"),
            ("post", "delete/{key}", "DeleteSecretVersions"),
            ("post", "undelete/{key}", "PostSecretUndelete"),
            ("post", "destroy/{key}", "PutSecretDestroy"),
            ("get", "metadata", "ListSecretsMetadata"),
            ("get", "metadata/{key}", "GetSecretsMetadata"),
            ("post", "metadata/{key}", "PostSecretMetadata"),
            ("patch", "metadata/{key}", "PatchSecretMetadata"),
            ("delete", "metadata/{key}", "DeleteSecretMetadata"),
        ] {
            assert_eq!(id(&format!("{vault}/{{mount}}/{rest}"), method), expected);
        }
    }

    #[test]
    fn references_resolve_and_components_are_used() {
        let document = parsed(None);
        let mut used = BTreeSet::new();
        walk(&document, &mut |name, value| {
            if name == "$ref" {
                let pointer = value.as_str().unwrap().strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{pointer}");
                used.insert(pointer.to_owned());
            }
        });
        for (kind, components) in document["components"].as_object().unwrap() {
            for name in components.as_object().unwrap().keys() {
                assert!(used.contains(&format!("/components/{kind}/{name}")), "nobody refers to {name}");
            }
        }
        let tags: BTreeSet<_> = document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str()).collect();
        assert_eq!(operations(&document).map(|(.., op)| op["tags"][0].as_str()).collect::<BTreeSet<_>>(), tags);
    }

    #[test]
    fn every_operation_names_its_actions_parameters_and_answers() {
        let document = parsed(None);
        for route in routes().into_iter().filter(|route| !is_left_out(route)) {
            let operation = &document["paths"][&route.pattern][route.method.as_str().to_lowercase()];
            let (text, pattern) = (operation["description"].as_str().unwrap(), &route.pattern);
            let answers = operation["responses"].as_object().unwrap();
            let has = |status: &str| answers.contains_key(status);
            assert!(has("429") && has("431"), "{pattern}");
            assert_eq!(has("408") && has("413"), route.method != Method::GET, "{pattern}");
            let actions = match route.access {
                Access::Public(_) => Vec::new(),
                Access::Region(op) => vec![op.action()],
                Access::Domain(op) => op.action_list().to_vec(),
                Access::Vault(op) => op.action_list().to_vec(),
            };
            assert_eq!(has("401") && has("500"), !actions.is_empty(), "{pattern}");
            assert!(actions.is_empty() || has("403") && has("503"), "{pattern}");
            assert!(actions.iter().all(|action| text.contains(action.name())), "{pattern}");
            assert_eq!(text.contains("Open to everybody."), actions.is_empty(), "{pattern}");
            match route.access {
                Access::Domain(_) => assert!(has("400") && has("404"), "{pattern}"),
                // A domain that is not the caller's is 403 here; 404 is about secrets, mounts and namespaces.
                Access::Vault(op) if !op.is_open() => {
                    assert!(has("400"), "{pattern}");
                    assert_eq!(has("404"), op != VaultOp::Metrics, "{pattern}");
                }
                _ => {}
            }
            let refs = operation["parameters"].as_array().unwrap();
            let names: Vec<_> = refs
                .iter()
                .map(|parameter| &document.pointer(&parameter["$ref"].as_str().unwrap()[1..]).unwrap()["name"])
                .collect();
            for segment in pattern.split('/').filter_map(|segment| segment.strip_prefix('{')) {
                assert!(names.iter().any(|name| *name == segment.trim_end_matches('}')), "{pattern}");
            }
        }
    }

    #[test]
    fn the_callers_own_domain_is_filled_in() {
        let own: OkmsId = "6f4b0d1c-5f6e-4d0c-9a44-0d7a2f7a9b10".parse().unwrap();
        let parameter = |own| parsed(own)["components"]["parameters"]["okmsId"].clone();
        assert_eq!(parameter(Some(own))["example"], own.to_string());
        assert!(parameter(Some(own))["description"].as_str().unwrap().contains(&own.to_string()));
        assert!(parameter(None).get("example").is_none());
        assert!(!String::from_utf8(document(None).to_vec()).unwrap().contains(&own.to_string()));
    }
}
