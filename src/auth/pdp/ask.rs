//! What a policy decision point is told: subject, action, resource and context (`AuthZEN` Authorization API
//! 1.0, 5 to 7).
//!
//! Always holds: nothing of a value is in it; who made a secret and who owns it is what the store says, and
//! nothing that a request says. Never does: leave out whose request it is.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{Question, Request};
use crate::model::OkmsId;

/// Whoever asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asker {
    /// What is known it by: `jwt`, `user` or `certificate`.
    pub kind: &'static str,
    /// Its name in what is kept of secrets.
    pub id: String,
    /// Who has signed its token.
    pub issuer: Option<String>,
    /// The client that has got that.
    pub client_id: Option<String>,
    /// For whom it is.
    pub audience: Vec<String>,
    /// Its own id.
    pub token_id: Option<String>,
    /// The thumbprint of its certificate (SHA-256).
    pub certificate: Option<[u8; 32]>,
    /// The name in that.
    pub common_name: Option<String>,
}

impl Asker {
    fn told(&self) -> Value {
        let mut properties = serde_json::Map::new();
        let thumbprint = self.certificate.map(|thumbprint| URL_SAFE_NO_PAD.encode(thumbprint));
        for (name, text) in [
            ("issuer", &self.issuer),
            ("client_id", &self.client_id),
            ("token_jti", &self.token_id),
            ("cnf", &thumbprint),
            ("common_name", &self.common_name),
        ] {
            if let Some(text) = text {
                properties.insert(name.to_owned(), json!(text));
            }
        }
        if !self.audience.is_empty() {
            properties.insert("aud".to_owned(), json!(self.audience));
        }
        json!({"type": self.kind, "id": self.id, "properties": properties})
    }

    /// What no other has who would have to be asked about: all that is told of it.
    pub(super) fn mark(&self) -> String {
        self.told().to_string()
    }
}

/// What the store says of a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Whose it is.
    pub owner: Option<String>,
    /// Who has made it.
    pub created_by: Option<String>,
    /// When.
    pub created_at: Option<String>,
}

/// A request to a policy decision point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What follows its address.
    pub path: &'static str,
    /// JSON.
    pub body: Vec<u8>,
}

/// Asks all of these questions at once.
#[must_use]
pub fn ask(
    asker: &Asker,
    tenant: OkmsId,
    request: &Request,
    questions: &[(Question, Option<Provenance>)],
) -> Asked {
    let context = json!({
        "correlation_id": &*request.id,
        "source_ip": request.client.map(|client| client.to_string()),
        "dialect": request.dialect,
    });
    let each = questions.iter().map(|(question, of)| evaluation(tenant, question, of.as_ref()));
    let mut each: Vec<_> = each.collect();
    let (path, mut body) = match each.pop() {
        Some(one) if each.is_empty() => ("/access/v1/evaluation", one),
        last => {
            each.extend(last);
            let options = json!({"evaluations_semantic": "execute_all"});
            ("/access/v1/evaluations", json!({"evaluations": each, "options": options}))
        }
    };
    if let Some(body) = body.as_object_mut() {
        body.insert("subject".to_owned(), asker.told());
        body.insert("context".to_owned(), context);
    }
    Asked { path, body: body.to_string().into_bytes() }
}

fn evaluation(tenant: OkmsId, question: &Question, of: Option<&Provenance>) -> Value {
    let mut properties = serde_json::Map::new();
    properties.insert("tenant_id".to_owned(), json!(tenant.to_string()));
    if let Some(Provenance { owner, created_by, created_at }) = of {
        for (name, text) in
            [("owner", owner), ("created_by", created_by), ("created_at", created_at)]
        {
            if let Some(text) = text {
                properties.insert(name.to_owned(), json!(text));
            }
        }
    }
    json!({
        "action": {
            "name": question.purpose.name(),
            "properties": {"iam": question.action.name()},
        },
        "resource": {
            "type": question.kind(),
            "id": question.resource,
            "properties": properties,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::{Action, pdp::Purpose},
        model::Timestamp,
    };

    fn question(purpose: Purpose, path: Option<&str>, resource: &str) -> Question {
        Question {
            purpose,
            action: Action::VersionCreate,
            path: path.map(|path| path.parse().unwrap()),
            resource: resource.to_owned(),
        }
    }

    /// To the member.
    #[test]
    fn what_is_asked() {
        let tenant = OkmsId::from_bytes([7; 16]).unwrap();
        let asker = Asker {
            kind: "jwt",
            id: "alice".to_owned(),
            issuer: Some("i".to_owned()),
            client_id: Some("c".to_owned()),
            audience: vec!["crud.secrets".to_owned()],
            token_id: Some("j".to_owned()),
            certificate: Some([0xff; 32]),
            common_name: Some("n".to_owned()),
        };
        let request = Request {
            id: "r".into(),
            client: Some([127, 0, 0, 1].into()),
            dialect: "canonical",
            now: Timestamp::from_unix_seconds(0),
            machine_now: Timestamp::from_unix_seconds(0),
        };
        let of = Provenance {
            owner: Some("o".to_owned()),
            created_by: Some("cert:0a".to_owned()),
            created_at: Some("2026-01-01T00:00:00Z".to_owned()),
        };
        let id = "openbao+kv2://secret/app/api#token";
        let one = question(Purpose::Rotate, Some("app/api"), id);
        let asked = ask(&asker, tenant, &request, &[(one.clone(), Some(of))]);
        assert_eq!(asked.path, "/access/v1/evaluation");
        let subject = json!({
            "type": "jwt", "id": "alice",
            "properties": {
                "issuer": "i", "client_id": "c", "aud": ["crud.secrets"], "token_jti": "j",
                "cnf": URL_SAFE_NO_PAD.encode([0xff; 32]),
                "common_name": "n",
            },
        });
        let context =
            json!({"correlation_id": "r", "source_ip": "127.0.0.1", "dialect": "canonical"});
        let action =
            json!({"name": "rotate", "properties": {"iam": "okms:apikms:secret/version/create"}});
        let told: Value = serde_json::from_slice(&asked.body).unwrap();
        let tenant_id = "07070707-0707-0707-0707-070707070707";
        assert_eq!(
            told,
            json!({
                "subject": subject, "action": action, "context": context,
                "resource": {"type": "secret", "id": id, "properties": {
                    "tenant_id": tenant_id, "owner": "o", "created_by": "cert:0a",
                    "created_at": "2026-01-01T00:00:00Z",
                }},
            })
        );
        let other = question(Purpose::ReadMetadata, None, "openbao+kv2://secret/app/");
        let asked = ask(&asker, tenant, &request, &[(one, None), (other, None)]);
        assert_eq!(asked.path, "/access/v1/evaluations");
        let told: Value = serde_json::from_slice(&asked.body).unwrap();
        let properties = json!({"tenant_id": tenant_id});
        let iam = &action["properties"];
        assert_eq!(
            told,
            json!({
                "subject": subject, "context": context,
                "options": {"evaluations_semantic": "execute_all"},
                "evaluations": [
                    {"action": action, "resource": {"type": "secret", "id": id, "properties": properties}},
                    {"action": {"name": "read_metadata", "properties": iam}, "resource": {
                        "type": "secret_prefix", "id": "openbao+kv2://secret/app/", "properties": properties,
                    }},
                ],
            })
        );
    }
}
