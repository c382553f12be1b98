//! The `OpenAPI` document: `src/api/openapi.yaml`, filled in.
//!
//! Owns what the file leaves to others who know it better: the actions that an operation needs,
//! from its row; the answers that are errors, from the table of problems; the crate's version; the
//! caller's own domain. Always holds: every operation that is shown is in the route table, and
//! whatever is served there is shown. Never does: fetch, or serve itself.

use std::{collections::BTreeMap, sync::LazyLock};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Map, Value};

use super::errors::{Answer, Errors, Form, Names, reference};
use crate::{
    api::{DIALECTS, ListedRoute, route_list},
    auth::{Action, pdp::Purpose},
    model::OkmsId,
};

/// The file, of which the build made JSON.
const FILE: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));
/// Stands in it for the crate's version.
const VERSION: &str = "{crate version}";
/// Stands in it for the caller's own domain.
const OWN: &str = "{own okmsId}";

/// The document's text; with the caller's own domain filled in, where that is known. Made once: a
/// domain that asked for it again and again once kept everybody else waiting.
#[must_use]
pub fn document(own: Option<OkmsId>) -> Bytes {
    static FOR_ALL: LazyLock<Bytes> = LazyLock::new(|| build(false).into());
    static FOR_ONE: LazyLock<Vec<String>> =
        LazyLock::new(|| build(true).split(OWN).map(str::to_owned).collect());
    match own {
        None => FOR_ALL.clone(),
        Some(id) => FOR_ONE.join(&id.to_string()).into(),
    }
}

fn build(is_known: bool) -> String {
    let mut document = from_file();
    document.complete(&route_list(DIALECTS));
    document.settle(is_known);
    serde_json::to_string(&document).unwrap_or_default()
}

/// As much of the document as something is added to.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Document {
    info: Adorned,
    pub(super) paths: BTreeMap<String, BTreeMap<String, Operation>>,
    components: Components,
    /// What each action is needed for.
    #[serde(rename = "x-actions", skip_serializing)]
    purposes: BTreeMap<String, String>,
    #[serde(rename = "x-errors", skip_serializing)]
    pub(super) errors: Errors,
    /// Used where it is referred to.
    #[serde(rename = "x-shared", skip_serializing)]
    _shared: IgnoredAny,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Default, Deserialize, Serialize)]
struct Components {
    parameters: BTreeMap<String, Adorned>,
    #[serde(skip_deserializing)]
    responses: BTreeMap<String, Value>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct Operation {
    description: String,
    responses: BTreeMap<String, Value>,
    #[serde(rename = "x-problems", skip_serializing)]
    pub(super) problems: Names,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// An object that says more to callers whose domain is known.
#[derive(Default, Deserialize, Serialize)]
struct Adorned {
    /// What is added: to the end of a text that is there, or as a member.
    #[serde(rename = "x-own", default, skip_serializing)]
    own: BTreeMap<String, String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// The file as it stands. That it is one is known, as a test has read it.
pub(super) fn from_file() -> Document {
    serde_json::from_str(&FILE.replace(VERSION, env!("CARGO_PKG_VERSION"))).unwrap_or_default()
}

impl Document {
    /// Adds what the rows of the operations tell.
    fn complete(&mut self, routes: &[ListedRoute]) {
        for (path, item) in &mut self.paths {
            for (method, operation) in item {
                let is_this = |route: &&ListedRoute| {
                    route.pattern == *path && route.method.eq_ignore_ascii_case(method)
                };
                let actions = routes.iter().find(is_this).map(|route| route.operation.actions);
                if let Some(actions) = actions {
                    operation.description += &needs(actions, &self.purposes);
                }
                let of_others = judged(actions.unwrap_or_default());
                let names = operation.problems.flat().into_iter().chain(of_others);
                for Answer { status, name, value } in self.errors.answers(names, Form::of(path)) {
                    // An answer that the operation has itself counts.
                    operation
                        .responses
                        .entry(status)
                        .or_insert_with(|| reference("responses", &name));
                    self.components.responses.entry(name).or_insert(value);
                }
            }
        }
    }

    /// Says what only callers are told whose domain is known, or does not.
    fn settle(&mut self, is_known: bool) {
        for Adorned { own, rest } in self.components.parameters.values_mut().chain([&mut self.info])
        {
            for (name, text) in std::mem::take(own).into_iter().filter(|_| is_known) {
                match rest.get_mut(&name) {
                    Some(Value::String(before)) => before.push_str(&text),
                    _ => _ = rest.insert(name, text.into()),
                }
            }
        }
    }
}

/// What an operation on secrets answers where somebody else judges it.
fn judged<'n>(actions: &[Action]) -> impl Iterator<Item = &'n str> + use<'n> {
    let is_judged = actions.iter().any(|action| Purpose::of(*action).is_some());
    ["PdpDenied", "PdpUnavailable"].into_iter().filter(move |_| is_judged)
}

/// The actions that an operation takes, under the names that policies use.
fn needs(actions: &[Action], purposes: &BTreeMap<String, String>) -> String {
    if actions.is_empty() {
        return "\n\nOpen to everybody.".to_owned();
    }
    let purpose = |name| purposes.get(name).map_or("", String::as_str);
    let rows = actions
        .iter()
        .map(|action| format!("\n| `{}` | {} |", action.name(), purpose(action.name())));
    format!("\n\n| IAM action | needed to |\n| --- | --- |{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::{
        api::{Handler, docs::ASSETS},
        auth::System,
        model::{
            CREDENTIAL_DESCRIPTION_MAX, CREDENTIAL_IDENTITIES_MAX, CREDENTIAL_IDENTITY_MAX,
            DEFAULT_MAX_VERSIONS, METADATA_ENTRIES_MAX, METADATA_KEY_MAX, METADATA_VALUE_MAX,
            PATH_MAX, PUBLISHED_PATH_MAX, VERSION_MAX,
        },
    };

    const REGIONAL: &str = "/api/{okmsId}/v2";
    const CENTRAL: &str = "/v2/okms/resource/{okmsId}";
    /// The spellings of the Vault dialect's base, of which the first is shown.
    const VAULT: [&str; 3] = ["/api/{okmsId}/v1", "/v1/api/{okmsId}", "/v1"];

    fn tree(own: Option<OkmsId>) -> Value {
        serde_json::from_slice(&document(own)).unwrap()
    }

    fn operations(document: &Value) -> impl Iterator<Item = (&String, &String, &Value)> {
        let paths = document["paths"].as_object().unwrap().iter();
        paths.flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, op)| (path, method, op))
        })
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

    /// Of path secrets the caller's own domain is shown alone.
    fn is_of_named_tenant(route: &ListedRoute) -> bool {
        route.pattern.starts_with("/v1/t/") || route.pattern.starts_with("/v1/partner/")
    }

    fn in_vault(route: &ListedRoute) -> bool {
        Form::of(&route.pattern) == Form::Usual
            && VAULT.iter().any(|base| route.pattern.starts_with(base))
    }

    /// Whether the document is silent about the route: about HEAD, and of the Vault dialect it shows
    /// one of the three bases, none of the methods that say nothing new or that `OpenAPI` has no word
    /// for, and nothing that is not served.
    fn is_left_out(route: &ListedRoute) -> bool {
        let [shown, ..] = VAULT;
        is_of_named_tenant(route)
            || route.method == "HEAD"
            || in_vault(route)
                && (!route.pattern.starts_with(shown)
                    || matches!(route.method, "PUT" | "LIST" | "SCAN")
                    || !is_served(route))
    }

    fn is_served(route: &ListedRoute) -> bool {
        !matches!(route.operation.id, "VaultUnrouted" | "VaultNotServed")
    }

    fn shown_routes() -> Vec<ListedRoute> {
        route_list(DIALECTS).into_iter().filter(|route| !is_left_out(route)).collect()
    }

    /// The file is read once more here, as the server itself would show an empty document.
    #[test]
    fn the_file_is_as_the_code_reads_it() {
        serde_json::from_str::<Document>(FILE).unwrap();
        let document = tree(None);
        walk(&document, &mut |name, value| {
            assert!(!name.starts_with("x-"), "{name} is shown");
            let text = value.as_str().unwrap_or_default();
            assert!(!text.contains(VERSION) && !text.contains(OWN), "{text}");
        });
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn the_route_table_and_nothing_else() {
        let document = tree(None);
        let told: BTreeSet<_> = operations(&document)
            .map(|(path, method, _)| (method.to_uppercase(), path.clone()))
            .collect();
        let (left_out, shown): (Vec<_>, Vec<_>) =
            route_list(DIALECTS).into_iter().partition(is_left_out);
        assert_eq!(told.len(), shown.len());
        assert_eq!(
            told,
            shown.iter().map(|route| (route.method.to_owned(), route.pattern.clone())).collect()
        );
        assert_eq!((shown.len(), shown.iter().filter(|route| in_vault(route)).count()), (207, 91));
        // Whatever is served and left out is shown under its other name.
        for route in left_out {
            let ListedRoute { method, pattern, operation } = &route;
            let beside = ["/v1/t/{tenant}", "/v1/partner"];
            if let Some(rest) = beside.iter().find_map(|base| pattern.strip_prefix(base)) {
                let own = format!("/v1{rest}");
                let is_own = |other: &ListedRoute| other.pattern == own && other.method == *method;
                assert!(shown.iter().any(is_own), "{pattern}");
                continue;
            }
            let in_vault = VAULT.iter().find_map(|base| pattern.strip_prefix(base));
            let shown_as = match in_vault {
                Some(rest) => format!("{}{rest}", VAULT[0]),
                None => pattern.clone(),
            };
            let twin = match *method {
                "PUT" => "POST",
                "LIST" | "SCAN" | "HEAD" => "GET",
                other => other,
            };
            let is_shown = shown.iter().any(|other| {
                std::ptr::eq(other.operation, *operation)
                    && other.method == twin
                    && other.pattern == shown_as
            });
            assert_eq!(is_shown, is_served(&route), "{method} {pattern}");
        }
    }

    /// An operation has its row's id, which is the published one; where a row is shown more than
    /// once, the others have one that tells them apart.
    #[test]
    fn operation_ids_are_unique_and_those_of_the_rows() {
        let document = tree(None);
        let ids: BTreeSet<_> =
            operations(&document).map(|(.., op)| op["operationId"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), operations(&document).count());
        for ListedRoute { method, pattern, operation } in shown_routes() {
            let repeats = |rest| {
                shown_routes()
                    .iter()
                    .any(|other| other.pattern.strip_prefix(REGIONAL) == Some(rest))
            };
            let expected = match (operation.id, method) {
                ("PostSecretVersionV2", "PUT") => "PutNewSecretVersionV2",
                ("VaultLookupWrapped", "POST") => "VaultPostLookupWrapped",
                ("VaultLookupSelf", "POST") => "VaultPostLookupSelf",
                ("VaultLookupToken", "POST") => "VaultPostLookupToken",
                ("VaultCreateToken", _) if pattern.ends_with("-orphan") => "VaultCreateOrphanToken",
                ("VaultRevokeToken", _) if pattern.ends_with("-orphan") => "VaultRevokeOrphanToken",
                ("VaultDeletePolicy", _) if pattern.contains("/sys/policy/") => {
                    "VaultDeletePolicyOld"
                }
                ("VaultRandom", _) if pattern.ends_with('}') => "VaultRandomOfLength",
                ("ListDetailedMetadata", _) if pattern.ends_with('}') => {
                    "ListDetailedMetadataOfFolder"
                }
                (id, _) => id,
            };
            let suffix =
                if pattern.strip_prefix(CENTRAL).is_some_and(repeats) { "Central" } else { "" };
            let told = &document["paths"][&pattern][method.to_lowercase()]["operationId"];
            assert_eq!(*told, format!("{expected}{suffix}"), "{method} {pattern}");
        }
        let [vault, ..] = VAULT;
        for (path, method, expected) in [
            (format!("{REGIONAL}/secret"), "post", "PostSecretV2"),
            (format!("{CENTRAL}/secret"), "post", "PostSecretV2Central"),
            (format!("{CENTRAL}/credential"), "post", "PostCredential"),
            (format!("{vault}/{{mount}}/config"), "get", "GetSecretConfig"),
            (format!("{vault}/{{mount}}/config"), "post", "PostSecretConfig"),
            (format!("{vault}/{{mount}}/data/{{key}}"), "post", "PostSecretRequest"),
            (format!("{vault}/{{mount}}/data/{{key}}"), "get", "GetSecretRequest"),
            (format!("{vault}/{{mount}}/data/{{key}}"), "patch", "PatchSecretRequest"),
            (format!("{vault}/{{mount}}/data/{{key}}"), "delete", "DeleteSecretRequest"),
            (format!("{vault}/{{mount}}/subkeys/{{key}}"), "get", "GetSecretSubkeys"),
            (format!("{vault}/{{mount}}/delete/{{key}}"), "post", "DeleteSecretVersions"),
            (format!("{vault}/{{mount}}/undelete/{{key}}"), "post", "PostSecretUndelete"),
            (format!("{vault}/{{mount}}/destroy/{{key}}"), "post", "PutSecretDestroy"),
            (format!("{vault}/{{mount}}/metadata"), "get", "ListSecretsMetadata"),
            (format!("{vault}/{{mount}}/metadata/{{key}}"), "get", "GetSecretsMetadata"),
            (format!("{vault}/{{mount}}/metadata/{{key}}"), "post", "PostSecretMetadata"),
            (format!("{vault}/{{mount}}/metadata/{{key}}"), "patch", "PatchSecretMetadata"),
            (format!("{vault}/{{mount}}/metadata/{{key}}"), "delete", "DeleteSecretMetadata"),
        ] {
            assert_eq!(document["paths"][path][method]["operationId"], expected);
        }
    }

    #[test]
    fn references_resolve_and_components_are_used() {
        let document = tree(None);
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
                assert!(
                    used.contains(&format!("/components/{kind}/{name}")),
                    "nobody refers to {name}"
                );
            }
        }
        let tags: BTreeSet<_> =
            document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str()).collect();
        assert_eq!(
            operations(&document).map(|(.., op)| op["tags"][0].as_str()).collect::<BTreeSet<_>>(),
            tags
        );
    }

    #[test]
    fn every_operation_names_its_actions_parameters_and_answers() {
        let document = tree(None);
        for route in shown_routes() {
            let ListedRoute { method, pattern, operation: row } = &route;
            let operation = &document["paths"][pattern][method.to_lowercase()];
            let text = operation["description"].as_str().unwrap();
            let answers = operation["responses"].as_object().unwrap();
            let has = |status: &str| answers.contains_key(status);
            assert!(has("429") && has("431"), "{pattern}");
            assert_eq!(has("408") && has("413"), *method != "GET", "{pattern}");
            let is_open = matches!(row.handler, Handler::Open(_));
            assert_eq!(is_open, row.actions.is_empty(), "{pattern}");
            assert_eq!(has("401") && has("500"), !is_open, "{pattern}");
            assert!(is_open || has("403") && has("503"), "{pattern}");
            assert!(row.actions.iter().all(|action| text.contains(action.name())), "{pattern}");
            assert_eq!(text.contains("Open to everybody."), is_open, "{pattern}");
            let is_of_tenant = matches!(row.handler, Handler::Tenant(_));
            let has_id = Form::of(pattern) == Form::Usual;
            assert!(!is_of_tenant || has("400") && (has("404") || !has_id), "{pattern}");
            let refs = operation["parameters"].as_array().unwrap();
            let names: BTreeSet<_> = refs
                .iter()
                .map(|parameter| {
                    document.pointer(&parameter["$ref"].as_str().unwrap()[1..]).unwrap()
                })
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            let segments = pattern
                .split('/')
                .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
            assert_eq!(names, segments.collect(), "{pattern}");
        }
    }

    /// What the pipeline itself can answer is told by the kind of the route, so that no operation
    /// can be silent about it. Of the Vault dialect a domain that is not the caller's is 403; 404
    /// is about secrets, mounts and namespaces.
    #[test]
    fn every_operation_names_the_problems_of_its_kind() {
        let of_all = [
            "TooManyRequests",
            "BeyondRate",
            "HeadTooLarge",
            "BadHost",
            "Misforwarded",
            "Unrecorded",
        ];
        let of_bodies = [
            "BrokenBody",
            "ForeignOrigin",
            "BodyTooSlow",
            "TooManyWrites",
            "OutcomeUnknown",
            "ChangeUnrecorded",
        ];
        let of_certificates =
            ["TooManyConnections", "NoCertificate", "Forbidden", "Internal", "Unavailable"];
        let of_vault = ["PermissionDenied", "NoNamespace", "BadId", "KvDomainNotFound"];
        let file = from_file();
        for route in shown_routes() {
            let operation = &file.paths[&route.pattern][&route.method.to_lowercase()];
            let names = operation.problems.flat();
            let has = |expected: &[&str], is_expected: bool| {
                for name in expected {
                    assert_eq!(
                        names.contains(name),
                        is_expected,
                        "{name}: {} {}",
                        route.method,
                        route.pattern
                    );
                }
            };
            let (has_body, is_vault) = (route.method != "GET", in_vault(&route));
            let is_open = matches!(route.operation.handler, Handler::Open(_));
            let is_of_tenant = matches!(route.operation.handler, Handler::Tenant(_));
            has(&of_all, true);
            has(&of_bodies, has_body);
            has(&of_certificates, !is_open);
            has(&["KvBodyTooLarge"], has_body && is_vault);
            has(&["BodyTooLarge"], has_body && !is_vault);
            has(&of_vault[..2], is_of_tenant && is_vault);
            has(&["KvDomainNotFound"], is_of_tenant && is_vault);
            let form = Form::of(&route.pattern);
            let is_usual = form == Form::Usual;
            has(&["NoDomain"], form == Form::Paths);
            has(&["TenantRequired", "TenantDenied"], form == Form::Canonical);
            let of_bearers = ["TokenInvalid", "JwtInvalid", "JwtExpired", "ScopeRequired"];
            has(&of_bearers, !is_usual);
            has(&["DomainNotFound"], is_of_tenant && !is_vault && is_usual);
            has(&["BadId"], is_of_tenant && is_usual);
            has(&["NoHandler"], is_vault && route.pattern.contains("/{mount}/"));
            has(
                &["KvBadBody"],
                is_vault && is_of_tenant && operation.rest.contains_key("requestBody"),
            );
            let parameters = operation.rest["parameters"].to_string();
            has(&["BadWrapTtl"], parameters.contains("/wrapTtl"));
        }
    }

    #[test]
    fn names_are_of_what_there_is() {
        let file = from_file();
        let named = || {
            file.paths
                .values()
                .flat_map(BTreeMap::values)
                .flat_map(|operation| operation.problems.flat())
                .chain(judged(Action::ALL))
        };
        for name in file.errors.examples.keys() {
            assert!(named().any(|other| other == name), "{name} is nowhere an answer");
        }
        let statuses: BTreeSet<_> = named()
            .map(|name| file.errors.example(name).unwrap().0.problem.status().as_str().to_owned())
            .collect();
        assert_eq!(file.errors.statuses.keys().cloned().collect::<BTreeSet<_>>(), statuses);
        let actions: BTreeSet<_> = Action::ALL.iter().map(|action| action.name()).collect();
        assert_eq!(file.purposes.keys().map(String::as_str).collect::<BTreeSet<_>>(), actions);
        // Records of what the program does by itself were not as the document says.
        let record = &tree(None)["components"]["schemas"]["AuditRecord"]["properties"];
        let subjects = ["forwarded", "visitor", "jwt", "process"].into_iter();
        let subjects = subjects.chain(System::ALL.map(System::name)).collect::<Vec<_>>();
        assert_eq!(record["subject"]["enum"], json!(subjects));
    }

    /// The numbers in the file are the rules' own.
    #[test]
    fn limits_are_those_of_the_rules() {
        let file: Value = serde_json::from_str(FILE).unwrap();
        let limits = &file["x-shared"]["limits"];
        assert_eq!(
            *limits,
            json!({
                "pathMax": PATH_MAX,
                "publishedPathMax": PUBLISHED_PATH_MAX,
                "versionMax": VERSION_MAX,
                "metadataEntriesMax": METADATA_ENTRIES_MAX,
                "metadataValueMax": METADATA_VALUE_MAX,
                "credentialDescriptionMax": CREDENTIAL_DESCRIPTION_MAX,
                "credentialIdentityMax": CREDENTIAL_IDENTITY_MAX,
                "credentialIdentitiesMax": CREDENTIAL_IDENTITIES_MAX,
            })
        );
        let mut texts = String::new();
        walk(&file, &mut |name, value| {
            let of = |limit: &str| value == &limits[limit];
            match name {
                "maximum" if value.as_u64() > Some(20_000) => {
                    assert!(of("versionMax") || *value == 131_072, "{value}");
                }
                "maxLength" if value.as_u64() > Some(128) => {
                    assert!(
                        of("pathMax")
                            || of("publishedPathMax")
                            || of("metadataValueMax")
                            || of("credentialDescriptionMax")
                            || of("credentialIdentityMax"),
                        "{value}"
                    );
                }
                "maxItems" if value.as_u64() == Some(64) => {
                    assert!(of("credentialIdentitiesMax"), "{value}");
                }
                "maxProperties" => assert!(of("metadataEntriesMax"), "{value}"),
                "description" => texts.push_str(value.as_str().unwrap_or_default()),
                _ => {}
            }
        });
        for text in [
            format!("at most {PATH_MAX} bytes"),
            format!(
                "at most {METADATA_ENTRIES_MAX} entries. A key has 1 to {METADATA_KEY_MAX} characters"
            ),
            format!("a key of 1 to {METADATA_KEY_MAX} bytes, a text of 1 to {METADATA_VALUE_MAX}"),
            format!("0 stands for the default, {DEFAULT_MAX_VERSIONS}."),
            format!("the domain's number for a secret, {DEFAULT_MAX_VERSIONS} for a domain"),
        ] {
            assert!(texts.contains(&text), "{text}");
        }
        let assets: Vec<_> =
            ASSETS.iter().map(|(name, ..)| *name).filter(|name| !name.is_empty()).collect();
        assert_eq!(file["components"]["parameters"]["asset"]["schema"]["enum"], json!(assets));
    }

    #[test]
    fn the_callers_own_domain_is_filled_in() {
        let own: OkmsId = "6f4b0d1c-5f6e-4d0c-9a44-0d7a2f7a9b10".parse().unwrap();
        let parameter = |own| tree(own)["components"]["parameters"]["okmsId"].clone();
        assert_eq!(parameter(Some(own))["example"], own.to_string());
        assert!(parameter(Some(own))["description"].as_str().unwrap().contains(&own.to_string()));
        assert!(
            tree(Some(own))["info"]["description"].as_str().unwrap().contains(&own.to_string())
        );
        assert!(parameter(None).get("example").is_none());
        assert!(!String::from_utf8(document(None).to_vec()).unwrap().contains(&own.to_string()));
    }
}
