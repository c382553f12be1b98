//! Records as Vault's audit devices write them, for tools that read those.
//!
//! Always holds: what a record does not tell is left out; there is no value, and no token, as records
//! have none. The lines are linked to nothing, so that a trail of them alone cannot be proven; it is
//! written beside one that can.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::members::Members;
use crate::auth::Thing;

/// What of a record Vault's form has a place for.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Record {
    #[serde(rename = "type")]
    kind: String,
    time: String,
    request_id: Option<String>,
    client: Option<String>,
    common_name: Option<String>,
    serial: Option<String>,
    user: Option<String>,
    token_accessor: Option<String>,
    tenant: Option<String>,
    dialect: Option<String>,
    operation: Option<String>,
    actions: Vec<String>,
    resource_type: Option<String>,
    resource: Option<String>,
    policy: Option<String>,
    effect: Option<String>,
    problem: Option<String>,
    changes: Vec<serde::de::IgnoredAny>,
}

/// Lines of records in Vault's form. What it has no place for leaves no line: checkpoints, starts and
/// stops, connections that failed.
pub(super) fn of(lines: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(lines.len() * 2);
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Ok(record) = serde_json::from_slice::<Record>(line) else { continue };
        for kind in kinds(&record) {
            let members = record.told(kind);
            all.push(b'{');
            all.extend_from_slice(members.as_str().as_bytes());
            all.extend_from_slice(b"}\n");
        }
    }
    all
}

/// Whether a line is one of those.
pub(super) fn is_one(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Told<'a> {
        #[serde(rename = "type", borrow)]
        kind: &'a str,
        #[serde(rename = "time", borrow)]
        _time: &'a str,
        #[serde(rename = "auth", borrow)]
        _auth: &'a RawValue,
        #[serde(rename = "request", borrow)]
        _request: &'a RawValue,
    }
    serde_json::from_slice(line)
        .is_ok_and(|Told { kind, .. }| ["request", "response"].contains(&kind))
}

/// What lines a record leaves. A change was announced by a record of its own.
fn kinds(record: &Record) -> &'static [&'static str] {
    match &*record.kind {
        "intent" => &["request"],
        "request" if record.changes.is_empty() => &["request", "response"],
        "request" => &["response"],
        _ => &[],
    }
}

impl Record {
    fn told(&self, kind: &str) -> Members {
        let members = Members::new().text("time", &self.time).text("type", kind);
        let members = members.object("auth", &self.auth()).object("request", &self.request());
        match (self.effect.as_deref(), &self.problem) {
            (Some("deny"), _) => members.text("error", "permission denied"),
            (Some("error"), Some(problem)) if kind == "response" => members.text("error", problem),
            _ => members,
        }
    }

    fn auth(&self) -> Members {
        let name = self.user.as_deref().or(self.common_name.as_deref());
        let of_certificate = Members::new()
            .maybe("common_name", self.common_name.as_deref())
            .maybe("serial_number", self.serial.as_deref());
        let granting = self.policy.as_deref().filter(|_| self.is_allowed());
        let granting =
            granting.map(|policy| Members::new().text("name", policy).text("type", "acl"));
        let results = Members::new()
            .truth("allowed", self.is_allowed())
            .objects("granting_policies", granting);
        Members::new()
            .maybe("display_name", name)
            .maybe("accessor", self.token_accessor.as_deref())
            .object("metadata", &of_certificate)
            .object("policy_results", &results)
    }

    fn request(&self) -> Members {
        let members = Members::new().maybe("id", self.request_id.as_deref());
        let members = match self.asked() {
            Some((operation, path)) => members.text("operation", operation).text("path", &path),
            None => members,
        };
        let domain = Members::new().maybe("id", self.tenant.as_deref());
        members.object("namespace", &domain).maybe("remote_address", self.client.as_deref())
    }

    fn is_allowed(&self) -> bool {
        self.effect.as_deref() != Some("deny")
    }

    /// Vault's operation and path.
    fn asked(&self) -> Option<(&'static str, String)> {
        let of_secrets = ACTIONS.iter().find(|(action, ..)| {
            let is_it = |name: &String| name.strip_prefix(SECRETS) == Some(action);
            self.actions.iter().any(is_it)
        });
        match (of_secrets, &self.resource, &self.operation) {
            (Some((_, operation, below)), Some(path), _) => {
                Some((operation, format!("secret/{below}/{path}")))
            }
            (Some((_, operation, below)), None, _) => Some((operation, format!("secret/{below}"))),
            (None, _, Some(name)) => Some((of_name(name), self.elsewhere(name))),
            (None, _, None) => None,
        }
    }

    /// Where it is that an operation is about which is about no secret: at Vault's own address, where
    /// it was asked in Vault's words and that has one.
    fn elsewhere(&self, operation: &str) -> String {
        let kind =
            self.resource_type.as_deref().filter(|_| self.dialect.as_deref() == Some("vault"));
        let place = PLACES.iter().find(|(thing, _)| Some(thing.name()) == kind);
        match (place, &self.resource) {
            (Some((_, place)), Some(name)) => format!("{place}/{name}"),
            (_, Some(name)) => format!("okmsd/{operation}/{name}"),
            (_, None) => format!("okmsd/{operation}"),
        }
    }
}

/// Where Vault has what is no secret.
const PLACES: [(Thing, &str); 7] = [
    (Thing::Policy, "sys/policies/acl"),
    (Thing::Rule, "auth/cert/certs"),
    (Thing::User, "auth/userpass/users"),
    (Thing::Mount, "sys/mounts"),
    (Thing::AuthMethod, "sys/auth"),
    (Thing::Quota, "sys/quotas/rate-limit"),
    (Thing::AuditDevice, "sys/audit"),
];
const SECRETS: &str = "okms:apikms:";
/// Actions, each with Vault's operation, and where below a mount that is; what tells most comes first.
const ACTIONS: [(&str, &str, &str); 16] = [
    ("secret/create", "create", "data"),
    ("secret/version/create", "update", "data"),
    ("secret/version/patch", "patch", "data"),
    ("secret/version/deactivateCurrent", "delete", "data"),
    ("secret/version/deactivate", "update", "delete"),
    ("secret/version/activate", "update", "undelete"),
    ("secret/version/delete", "update", "destroy"),
    ("secret/delete", "delete", "metadata"),
    ("secret/createEmpty", "create", "metadata"),
    ("secret/updateMetadata", "update", "metadata"),
    ("secret/patchMetadata", "patch", "metadata"),
    ("secretConfig/update", "update", "config"),
    ("secret/version/getData", "read", "data"),
    ("secret/subKeys/get", "read", "subkeys"),
    ("secret/list", "list", "metadata"),
    ("secret/get", "read", "metadata"),
];

/// What an operation does, by the beginning of its name.
fn of_name(name: &str) -> &'static str {
    let name = name.strip_prefix("Vault").unwrap_or(name);
    match name {
        _ if name.starts_with("List") => "list",
        _ if name.starts_with("Delete") || name.starts_with("Disable") => "delete",
        _ if name.starts_with("Get") || name.starts_with("Read") => "read",
        _ => "update",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn lines(records: &[Value]) -> Vec<Value> {
        let text: String =
            records.iter().fold(String::new(), |text, record| text + &record.to_string() + "\n");
        let told = of(text.as_bytes());
        assert!(told.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n')));
        let told = String::from_utf8(told).unwrap();
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_read_leaves_a_request_and_a_response() {
        let read = json!({
            "chain": "09", "seq": 4, "prev": "ab", "time": "2027-01-15T08:00:00.000Z",
            "type": "request", "request_id": "r-1", "client": "10.0.0.1", "common_name": "b\u{e9}la",
            "serial": "0a", "user": "anna", "token_accessor": "acc", "tenant": "t",
            "dialect": "okms", "operation": "GetSecretV2", "policy": "readers",
            "actions": ["okms:apikms:secret/get", "okms:apikms:secret/version/getData"],
            "resource_type": "secret", "resource": "app/db", "effect": "permit", "status": 200,
            "micros": 17,
        });
        let told = |kind: &str| {
            json!({
                "time": "2027-01-15T08:00:00.000Z", "type": kind,
                "auth": {
                    "display_name": "anna", "accessor": "acc",
                    "metadata": {"common_name": "b\u{e9}la", "serial_number": "0a"},
                    "policy_results": {
                        "allowed": true, "granting_policies": [{"name": "readers", "type": "acl"}],
                    },
                },
                "request": {
                    "id": "r-1", "operation": "read", "path": "secret/data/app/db",
                    "namespace": {"id": "t"}, "remote_address": "10.0.0.1",
                },
            })
        };
        assert_eq!(lines(&[read]), [told("request"), told("response")]);
    }

    #[test]
    fn a_change_is_a_request_when_it_is_announced_and_a_response_when_it_has_ended() {
        let intent = json!({
            "type": "intent", "request_id": "r", "actions": ["okms:apikms:secret/version/create"],
            "resource": "a", "change": "secrets.add", "mark": 7,
        });
        let ended = json!({
            "type": "request", "request_id": "r", "actions": ["okms:apikms:secret/version/create"],
            "resource": "a", "effect": "error", "problem": "CasMismatch",
            "changes": [{"change": "secrets.add", "intent": 1, "happened": false}],
        });
        let told = lines(&[intent, ended]);
        let of: Vec<_> = told
            .iter()
            .map(|line| {
                (line["type"].clone(), line["request"]["operation"].clone(), &line["error"])
            })
            .collect();
        let update = json!("update");
        assert_eq!(
            of,
            [
                (json!("request"), update.clone(), &Value::Null),
                (json!("response"), update, &json!("CasMismatch")),
            ]
        );
    }

    #[test]
    fn what_is_refused_is_denied_and_what_is_no_request_leaves_nothing() {
        let refused = json!({
            "type": "request", "request_id": "r", "operation": "VaultDeletePolicy",
            "policy": "none", "effect": "deny", "problem": "Forbidden",
        });
        let named = json!({"dialect": "vault", "resource_type": "policy", "resource": "a b"});
        let mut in_vaults_words = refused.clone();
        in_vaults_words.as_object_mut().unwrap().extend(named.as_object().unwrap().clone());
        let mut in_ours = in_vaults_words.clone();
        in_ours["dialect"] = json!("control");
        let path = |record| lines(&[record])[0]["request"]["path"].clone();
        assert_eq!(path(in_vaults_words), "sys/policies/acl/a b");
        assert_eq!(path(in_ours), "okmsd/VaultDeletePolicy/a b");
        let other = ["checkpoint", "start", "stop", "resolved", "handshake"];
        let other = other.map(|kind| json!({"type": kind, "chain": "09", "seq": 1}));
        let told = lines(&[&other[..], &[refused]].concat());
        assert_eq!(told.len(), 2);
        for line in told {
            assert_eq!(line["error"], "permission denied");
            assert_eq!(line["auth"]["policy_results"], json!({"allowed": false}));
            assert_eq!(line["request"]["operation"], "delete");
            assert_eq!(line["request"]["path"], "okmsd/VaultDeletePolicy");
        }
    }
}
