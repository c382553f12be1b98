//! The `OpenAPI` document says what the server takes and gives: its example requests are sent, and
//! what comes back is held against its statuses, schemas and examples. Its page is there for a
//! browser.

use std::collections::{BTreeMap, HashSet};

use hyper::{Method, StatusCode};
use okmsd::{
    api::{DIALECTS, Handler, route_list},
    pki::PrivateKeyPem,
};
use serde_json::{Map, Value, json};

use crate::{
    customer_lists::{List, list, listing_ca},
    harness::{Answer, Client, Http, Pair, TestServer},
    trust::Signer,
};

/// The names of operations that a test has seen answered with success.
type Seen = HashSet<String>;

struct Documented {
    client: Client,
    document: Value,
    seen: Seen,
    /// What headers hold, by the names of their components: they go along wherever the document has
    /// them.
    headers: BTreeMap<&'static str, String>,
    /// The accessor of the token in there.
    accessor: String,
    /// The id of the last move of a mount.
    moved: String,
    /// The id of a policy.
    policy: String,
    /// The id of an access certificate.
    credential: String,
}

impl Documented {
    async fn by(client: Client) -> Self {
        let document = client.call(Method::GET, "/openapi.json", "").await.ok();
        Self {
            client,
            document,
            seen: Seen::new(),
            headers: BTreeMap::new(),
            accessor: String::new(),
            moved: String::new(),
            policy: "0195f1c2-0f2e-7c3a-9d2b-5f6a7b8c9d0e".to_owned(),
            // Nobody's.
            credential: "01942548-e0a8-7f2a-8b11-2a1d1f1f7a10".to_owned(),
        }
    }

    /// The method, the path and the description of the operation `id`.
    fn operation(&self, id: &str) -> (Method, String, &Value) {
        let paths = self.document["paths"].as_object().unwrap();
        let mut all = paths
            .iter()
            .flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |op| (path, op)));
        let (path, (method, operation)) = all.find(|(_, (_, op))| op["operationId"] == id).unwrap();
        (method.to_uppercase().parse().unwrap(), path.clone(), operation)
    }

    /// Sends the operation `id` for version 1 of `app/database`, or for the mount `team`.
    async fn send(&self, id: &str, query: &str, body: &str) -> Answer {
        let (method, path, operation) = self.operation(id);
        let key = match id {
            "VaultReadAuthMethod" | "VaultReadAuthTune"
                if self.seen.contains("VaultAuthMethods") =>
            {
                "token"
            }
            "VaultEnableAuth" if self.seen.contains("VaultAuthMethods") => "userpass",
            "VaultRandomOfLength" => "8",
            "VaultReadRateQuota" | "VaultWriteRateQuota" | "VaultDeleteRateQuota" => "requests",
            "VaultRemountStatus" => &*self.moved,
            _ if path.contains("{mount}") => "app%2Fdatabase",
            _ => "team",
        };
        let path = path.replace("{okmsId}", &self.client.id).replace("{path}", "app%2Fdatabase");
        let path = path.replace("{version}", "1").replace("{asset}", "init.js");
        let of = match () {
            () if path.contains("/rotation/") => "rot_quarterly",
            () if path.contains("/secret-policies/") => "sp_db_passwords",
            () => &self.policy,
        };
        let path = path.replace("{id}", of).replace("{name}", "app");
        let path = path.replace("{mount}", "secret").replace("{key}", key);
        let path = path.replace("{credentialId}", &self.credential).replace("{serial}", "4f1a2b");
        let mut headers = Vec::new();
        // A patch says that it is one.
        if let Some((media, _)) = operation["requestBody"]["content"]
            .as_object()
            .and_then(|types| types.iter().next_back())
        {
            headers.push(("content-type", media.as_str()));
        }
        for parameter in operation["parameters"].as_array().unwrap() {
            let (_, component) = parameter["$ref"].as_str().unwrap().rsplit_once('/').unwrap();
            // A token in the body goes alone.
            if let Some(text) = self.headers.get(component).filter(|_| !body.contains("\"token\":"))
            {
                headers.push((
                    self.document["components"]["parameters"][component]["name"].as_str().unwrap(),
                    text,
                ));
            }
        }
        self.client.send(method, &format!("{path}{query}"), &headers, body.to_owned()).await
    }

    /// As [`Self::send`]; the answer fits the schema, and has the members of the example.
    async fn check(&mut self, id: &str, query: &str, body: &Value) -> Value {
        self.check_named(id, query, ("", body)).await
    }

    /// The same of an example of this name, whose answer has the members of that of its name, where there are several.
    async fn check_named(&mut self, id: &str, query: &str, (name, body): (&str, &Value)) -> Value {
        let body = if body.is_null() { String::new() } else { self.real(body).to_string() };
        let answer = self.send(id, query, &body).await;
        assert!(answer.status.is_success(), "{id}: {answer:?}");
        self.seen.insert(id.to_owned());
        let told = &self.operation(id).2["responses"][answer.status.as_str()];
        assert!(told.is_object(), "{id} answers {}", answer.status);
        if answer.body.is_empty() {
            assert!(told.get("content").is_none(), "{id} has no body");
            return Value::Null;
        }
        let (content, answer) = (&told["content"]["application/json"], answer.json());
        let several = content["examples"].as_object();
        let named = several.and_then(|all| all.get(name).or_else(|| all.values().next_back()));
        let example = named.map_or(&content["example"], |named| &named["value"]);
        self.fits(&content["schema"], example, id);
        self.fits(&content["schema"], &answer, id);
        self.alike(&content["schema"], &answer, example, id);
        answer
    }

    /// As [`Self::check`], with each of the operation's examples, or with nothing where it has
    /// none.
    async fn check_each(&mut self, id: &str, query: &str) -> Value {
        let examples = self.requests(id);
        if examples.is_empty() {
            return self.check(id, query, &Value::Null).await;
        }
        let mut answer = Value::Null;
        for (name, body) in examples {
            answer = self.check_named(id, query, (&name, &body)).await;
        }
        answer
    }

    /// That the answer is the `problem` that the document shows for the operation `id`.
    fn is_told(&self, id: &str, answer: &Answer, problem: &str) {
        let reference = &self.operation(id).2["responses"][answer.status.as_str()]["$ref"];
        let reference = reference.as_str().unwrap_or_else(|| panic!("{id} answers {answer:?}"));
        let content =
            &self.document.pointer(&reference[1..]).unwrap()["content"]["application/json"];
        let (example, answer) = (&content["examples"][problem]["value"], answer.json());
        assert_eq!(
            (&answer["errors"], &answer["error_code"]),
            (&example["errors"], &example["error_code"]),
            "{id}"
        );
        self.fits(&content["schema"], example, problem);
        self.fits(&content["schema"], &answer, problem);
        self.alike(&content["schema"], &answer, example, problem);
    }

    /// A token to use: from a login, or under which something is wrapped.
    async fn take_token(&mut self, id: &str) {
        let answer = self.check_each(id, "").await;
        let (from, name) =
            if id == "VaultWrap" { ("wrap_info", "token") } else { ("auth", "client_token") };
        let text = |name: &str| answer[from][name].as_str().unwrap().to_owned();
        self.headers.extend([("token", text(name)), ("wrappingToken", text(name))]);
        self.accessor = text("accessor");
    }

    /// The example with a token and an accessor that there are.
    fn real(&self, example: &Value) -> Value {
        let mut body = example.clone();
        for (name, real) in
            [("token", self.headers.get("token")), ("accessor", Some(&self.accessor))]
        {
            if let (Some(member), Some(real)) = (body.get_mut(name), real) {
                *member = real.clone().into();
            }
        }
        body
    }

    /// The example bodies of the operation `id`, each of which fits its schema.
    fn requests(&self, id: &str) -> Map<String, Value> {
        let content = &self.operation(id).2["requestBody"]["content"]["application/json"];
        let examples = content["examples"].as_object().into_iter().flatten();
        let examples = examples.map(|(name, example)| (name.clone(), example["value"].clone()));
        examples.inspect(|(name, value)| self.fits(&content["schema"], value, name)).collect()
    }

    /// The schema, or that which it refers to.
    fn resolved<'s>(&'s self, schema: &'s Value) -> &'s Value {
        schema["$ref"]
            .as_str()
            .map_or(schema, |reference| self.document.pointer(&reference[1..]).unwrap())
    }

    /// As much of JSON Schema as the document uses; members that it does not name do not fit.
    fn fits(&self, schema: &Value, value: &Value, place: &str) {
        let schema = self.resolved(schema);
        if value.is_null() && schema["nullable"] == true {
            return;
        }
        // Where no type is told, any JSON will do.
        let Some(kind) = schema["type"].as_str() else { return };
        match kind {
            "object" => {
                let members = value.as_object().unwrap_or_else(|| panic!("{place}: {value}"));
                for name in schema["required"].as_array().into_iter().flatten() {
                    assert!(members.contains_key(name.as_str().unwrap()), "{place} has no {name}");
                }
                for (name, value) in members {
                    match (schema["properties"].get(name), &schema["additionalProperties"]) {
                        (Some(schema), _) | (None, schema @ Value::Object(_)) => {
                            self.fits(schema, value, &format!("{place}.{name}"));
                        }
                        (None, free) => assert_eq!(
                            *free, true,
                            "{place} has {name}, which the document does not tell"
                        ),
                    }
                }
            }
            "array" => value
                .as_array()
                .unwrap()
                .iter()
                .for_each(|item| self.fits(&schema["items"], item, place)),
            "string" => {
                let text = value.as_str().unwrap_or_else(|| panic!("{place}: {value}"));
                let allowed = schema["enum"].as_array();
                assert!(
                    allowed.is_none_or(|allowed| allowed.iter().any(|one| one == text)),
                    "{place}: {text}"
                );
            }
            "integer" => {
                let number = value.as_u64().unwrap_or_else(|| panic!("{place}: {value}"));
                assert!(
                    schema["minimum"].as_u64().is_none_or(|min| min <= number),
                    "{place}: {number}"
                );
                assert!(
                    schema["maximum"].as_u64().is_none_or(|max| number <= max),
                    "{place}: {number}"
                );
            }
            "number" => assert!(value.is_number(), "{place}: {value}"),
            "boolean" => assert!(value.is_boolean(), "{place}: {value}"),
            other => panic!("{place}: type {other}"),
        }
    }

    /// That both have the same members all the way down, and are null in the same places; of names
    /// that clients choose, the first counts.
    fn alike(&self, schema: &Value, answer: &Value, example: &Value, place: &str) {
        let schema = self.resolved(schema);
        assert_eq!(answer.is_null(), example.is_null(), "{place}: {answer}");
        if let (Value::Array(answer), Value::Array(example)) = (answer, example)
            && let (Some(answer), Some(example)) = (answer.first(), example.first())
        {
            self.alike(&schema["items"], answer, example, place);
        }
        let (Value::Object(answer), Value::Object(example)) = (answer, example) else { return };
        let known = schema["properties"].as_object();
        for (name, schema) in known.into_iter().flatten() {
            let place = format!("{place}.{name}");
            assert_eq!(answer.contains_key(name), example.contains_key(name), "{place}");
            if let (Some(answer), Some(example)) = (answer.get(name), example.get(name)) {
                self.alike(schema, answer, example, &place);
            }
        }
        let chosen = |members: &Map<String, Value>| {
            members
                .iter()
                .find(|(name, _)| known.is_none_or(|known| !known.contains_key(*name)))
                .map(|(_, one)| one.clone())
        };
        if let (each @ Value::Object(_), Some(answer), Some(example)) =
            (&schema["additionalProperties"], chosen(answer), chosen(example))
        {
            self.alike(each, &answer, &example, &format!("{place}.*"));
        }
    }
}

#[tokio::test]
async fn examples_are_taken_and_answers_are_as_told() {
    let server = TestServer::start().await;
    let none = &Value::Null;
    let mut seen = Seen::new();
    for suffix in ["", "Central"] {
        let id = |name: &str| format!("{name}{suffix}");
        let mut api = Documented::by(server.tenant().await).await;
        for body in api.requests(&id("PostSecretV2")).values() {
            api.check(&id("PostSecretV2"), "", body).await;
        }
        for (op, query) in [
            ("ListSecretV2", ""),
            ("ListEventsV2", "?since=first"),
            ("GetSecretV2", "?includeData=true"),
            ("ListSecretVersionV2", ""),
            ("GetSecretVersionV2", "?includeData=true"),
        ] {
            api.check(&id(op), query, none).await;
        }
        for op in ["CopySecretsV2", "MoveSecretsV2"] {
            api.check(&id(op), "", &api.requests(&id(op))["one"]).await;
        }
        for op in ["PostSecretVersionV2", "PutNewSecretVersionV2", "PutSecretV2"] {
            for body in api.requests(&id(op)).values() {
                let current =
                    api.send(&id("GetSecretV2"), "", "").await.ok()["metadata"]["currentVersion"]
                        .clone();
                api.check(&id(op), &format!("?cas={current}"), body).await;
            }
        }
        let states = api.requests(&id("PutSecretVersionV2"));
        assert_eq!(states.len(), 3);
        api.check(&id("PutSecretVersionV2"), "", &states["deactivate"]).await;
        for state in ["activate", "delete"] {
            let body = states[state].to_string();
            assert!(
                api.send(&id("PutSecretVersionV2"), "", &body).await.ok().get("warnings").is_none()
            );
        }
        for body in api.requests(&id("PutSecretConfigV2")).values() {
            api.check(&id("PutSecretConfigV2"), "", body).await;
        }
        api.check(&id("GetSecretConfigV2"), "", none).await;
        api.check(&id("DeleteSecretV2"), "", none).await;
        seen.extend(api.seen);
    }
    let tenant = server.tenant().await.id;
    let mut api = Documented::by(Client { id: tenant, ..server.operator() }).await;
    for op in ["PostResource", "PostCredential"] {
        for (name, body) in &api.requests(op) {
            // That example is too short to be a real request.
            if name != "ownKey" {
                let example = api.check(op, "", body).await;
                assert!(example.get("warnings").is_none());
                api.credential = example["id"].as_str().unwrap().to_owned();
            }
        }
    }
    for op in ["ListResources", "GetResource", "ListCredentials", "GetCredential"] {
        api.check(op, "", none).await;
    }
    api.check_each("PutResource", "").await;
    let policy = api.requests("PostPolicy")["policy"].clone();
    let made = api.check("PostPolicy", "", &policy).await;
    api.policy = made["id"].as_str().unwrap().to_owned();
    for op in ["PutPolicy", "PutRule"] {
        api.check_each(op, "").await;
    }
    api.check_each("PostPolicyTest", "").await;
    api.check_each("PutQuota", "").await;
    for op in ["GetQuota", "DeleteQuota", "GetUsage"] {
        api.check(op, "", none).await;
    }
    for op in ["GetPolicy", "ListPolicies", "GetRule", "ListRules", "DeletePolicy", "DeleteRule"] {
        api.check(op, "", none).await;
    }
    let authority = Signer::root(listing_ca("shop CA"));
    let request =
        json!({"certificatePEM": authority.pem, "description": "the machines in the shop"});
    api.check("PutCustomerCa", "", &request).await;
    let request = json!({"crlPEM": list(&authority, List::default()), "stale": "refuse"});
    api.check("PutCustomerCaList", "", &request).await;
    for op in [
        "GetCustomerCaList",
        "DeleteCustomerCaList",
        "GetCustomerCa",
        "ListCustomerCas",
        "DeleteCustomerCa",
    ] {
        api.check(op, "", none).await;
    }
    let made = "?operation=PutRule&effect=permit";
    crate::harness::eventually("there are records", async || {
        api.send("ListAudit", made, "").await.ok() != serde_json::json!([])
    })
    .await;
    api.check("ListAudit", made, none).await;
    for op in ["DeleteCredential", "PostRevocation", "GetRevocation"] {
        api.check_each(op, "").await;
    }
    let body = r#"{"name":"x","validity":30}"#;
    let issued = api.send("PostCredential", "", body).await.ok();
    let text = |name: &str| issued[name].as_str().unwrap().to_owned();
    let pair = Pair {
        certificate: text("certificatePEM"),
        key: PrivateKeyPem::parse(text("privateKeyPEM")).unwrap(),
    };
    let own = server.client(Some(&pair), Some(&api.client.id), Http::One);
    let mut own = Documented::by(own).await;
    for (name, body) in &own.requests("RenewCredential") {
        if name != "ownKey" {
            own.check("RenewCredential", "", body).await;
        }
    }
    for op in
        ["VaultWriteRateQuota", "VaultRateQuotas", "VaultReadRateQuota", "VaultDeleteRateQuota"]
    {
        api.check_each(op, "").await;
    }
    api.is_told("VaultReadRateQuota", &api.send("VaultReadRateQuota", "", "").await, "KvNotFound");
    api.check("VaultAuditDevices", "", none).await;
    for op in ["VaultEnableAuditDevice", "VaultAuditHash", "VaultDisableAuditDevice"] {
        api.check_each(op, "").await;
    }
    for (id, problem) in
        [("VaultEnableAuditDevice", "BadAuditDevice"), ("VaultAuditHash", "BadAuditInput")]
    {
        api.is_told(id, &api.send(id, "", r#"{"type":"file"}"#).await, problem);
    }
    seen.extend(own.seen);
    seen.extend(std::mem::take(&mut api.seen));
    seen.extend(vault(server.tenant().await).await);
    seen.extend(path_secrets(server.tenant().await).await);
    seen.extend(by_uri(server.tenant().await).await);
    let figures = api.send("VaultMetrics", "?format=prometheus", "").await;
    assert_eq!(
        (
            figures.status,
            &figures.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        ),
        (StatusCode::OK, true)
    );
    seen.insert("VaultMetrics".to_owned());
    // Everything but the documentation itself.
    let told = operations(&api.document)
        .map(|operation| operation["operationId"].as_str().unwrap().to_owned());
    let mut unseen: Seen = told.collect();
    assert_eq!(unseen.len(), 207);
    unseen.retain(|id| !seen.contains(id));
    let public: Seen = route_list(DIALECTS)
        .into_iter()
        .filter(|route| {
            matches!(route.operation.handler, Handler::Open(_))
                && !route.pattern.contains("v1")
                && !seen.contains(route.operation.id)
        })
        .map(|route| route.operation.id.to_owned())
        .collect();
    assert_eq!(unseen, public);
}

/// The part of path secrets: what it has seen.
async fn path_secrets(client: Client) -> Seen {
    let mut api = Documented::by(client).await;
    let missing = api.send("PathReadSecret", "", "").await;
    let is_told = |api: &Documented, id: &str, answer: &Answer, problem: &str| {
        let reference = &api.operation(id).2["responses"][answer.status.as_str()]["$ref"];
        let content = &api.document.pointer(&reference.as_str().unwrap()[1..]).unwrap()["content"];
        let content = &content["application/json"];
        let (example, answer) = (&content["examples"][problem]["value"], answer.json());
        for member in ["code", "message"] {
            assert_eq!(answer["error"][member], example["error"][member], "{id}");
        }
        api.fits(&content["schema"], example, problem);
        api.fits(&content["schema"], &answer, problem);
    };
    is_told(&api, "PathReadSecret", &missing, "SecretNotFound");
    api.check_each("PathWriteSecret", "").await;
    let again = api.requests("PathWriteSecret")["everything"].clone();
    api.check("PathWriteSecret", "", &again).await;
    for (id, query) in [
        ("PathReadSecret", "?version=1"),
        ("PathReadMetadata", ""),
        ("PathListVersions", ""),
        ("PathListSecrets", "?tag=production&limit=1"),
        ("PathReadBatch", ""),
        ("PathWhoAmI", ""),
        ("PathPatchSecret", ""),
        ("PathExpiringSecrets", "?days=90"),
        ("PathCreateRotationPolicy", ""),
        ("PathListRotationPolicies", "?active_only=true"),
        ("PathReadRotationPolicy", ""),
        ("PathPatchRotationPolicy", ""),
        ("PathAttachRotationPolicy", ""),
        ("PathRotatePolicySecrets", ""),
        ("PathDisableRotationPolicy", ""),
        ("PathEnableRotationPolicy", ""),
        ("PathListDueSecrets", "?within_hours=8760"),
        ("PathListRotations", ""),
        ("PathRotateSecret", ""),
        ("PathDetachRotationPolicy", ""),
        ("PathDeleteRotationPolicy", ""),
        ("PathCreateSecretPolicy", ""),
        ("PathListSecretPolicies", ""),
        ("PathReadSecretPolicy", ""),
        ("PathPatchSecretPolicy", ""),
        ("PathPreviewSecretPolicy", ""),
        ("PathDeleteSecretPolicy", "?force=true"),
        ("PathDeleteSecret", ""),
    ] {
        api.check_each(id, query).await;
    }
    let gone = api.send("PathReadSecretPolicy", "", "").await;
    is_told(&api, "PathReadSecretPolicy", &gone, "SecretPolicyNotFound");
    let removed = api.send("PathWriteSecret", "", &again.to_string()).await;
    is_told(&api, "PathWriteSecret", &removed, "RemovedExists");
    let bad = r#"{"data":{},"options":{"max_versions":0}}"#;
    let bad = api.send("PathWriteSecret", "", bad).await;
    is_told(&api, "PathWriteSecret", &bad, "Unprocessable");
    api.check_each("PathRestoreSecret", "").await;
    api.seen
}

/// The part of secrets by URI: what it has seen.
async fn by_uri(client: Client) -> Seen {
    let mut api = Documented::by(client).await;
    let at = |rest: &str| format!("?uri=openbao%2Bkv2://secret/app/database{rest}");
    let is_told = |api: &Documented, id: &str, answer: &Answer, problem: &str| {
        let reference = &api.operation(id).2["responses"][answer.status.as_str()]["$ref"];
        let content = &api.document.pointer(&reference.as_str().unwrap()[1..]).unwrap()["content"];
        let content = &content["application/json"];
        let (example, answer) = (&content["examples"][problem]["value"], answer.json());
        for member in ["error", "code", "message"] {
            assert_eq!(answer[member], example[member], "{id}");
        }
        api.fits(&content["schema"], example, problem);
        api.fits(&content["schema"], &answer, problem);
    };
    let missing = api.send("UriReadValue", &at(""), "").await;
    is_told(&api, "UriReadValue", &missing, "SecretNotFound");
    // It answers nothing else.
    let elsewhere = api.send("UriReadFile", &at(""), "").await;
    is_told(&api, "UriReadFile", &elsewhere, "OperationNotSupported");
    api.seen.insert("UriReadFile".to_owned());
    api.check("UriWriteSecret", "", &api.requests("UriWriteSecret")["secret"].clone()).await;
    // Those who follow it have tests of their own.
    api.seen.insert("UriEvents".to_owned());
    for (id, query) in [
        ("UriAudit", String::new()),
        ("UriReadMetadata", at("")),
        ("UriWriteSecret", String::new()),
        ("UriReadValue", at("%23password&version=1")),
        ("UriReadKeys", at("?version=1")),
        ("UriListVersions", at("")),
        ("UriRotateSecret", String::new()),
        ("UriListMetadata", "?prefix=openbao%2Bkv2://secret/app/&limit=1".to_owned()),
        ("UriSearch", "?q=data&in=all".to_owned()),
        ("UriSetOwner", String::new()),
        ("UriBulk", String::new()),
        ("UriCopySecret", String::new()),
        ("UriMoveSecret", String::new()),
        ("UriUndeleteVersions", String::new()),
        ("UriDestroyVersions", String::new()),
        ("UriDeleteSecret", at("")),
    ] {
        api.check_each(id, &query).await;
    }
    for (id, body, problem) in [
        ("UriWriteSecret", "{", "InvalidJson"),
        ("UriWriteSecret", "{}", "MissingField"),
        ("UriCopySecret", r#"{"fromUri":"a","toUri":"b","overwrite":1}"#, "InvalidField"),
    ] {
        is_told(&api, id, &api.send(id, "", body).await, problem);
    }
    api.seen
}

/// The Vault dialect's part: what it has seen.
async fn vault(client: Client) -> Seen {
    let mut api = Documented::by(client).await;
    // Something below `app/database` to list.
    let below = r#"{"path":"app/database/replica","metadata":{"customMetadata":{"owner":"payments"}},"version":{"data":{}}}"#;
    api.client.post("secret", below).await.ok();
    for (id, query) in [
        ("PostSecretConfig", ""),
        ("GetSecretConfig", ""),
        ("PostSecretMetadata", ""),
        ("PostSecretRequest", ""),
        ("GetSecretRequest", "?version=1"),
        ("GetSecretSubkeys", "?depth=1"),
        ("GetSecretsMetadata", ""),
        ("ListSecretsMetadata", "?limit=1"),
        ("ListDetailedMetadata", "?scan=true"),
        ("ListDetailedMetadataOfFolder", "?list=true"),
        ("PatchSecretRequest", ""),
        ("PatchSecretMetadata", ""),
        ("VaultCopySecrets", ""),
        ("VaultMoveSecrets", ""),
        ("DeleteSecretVersions", ""),
    ] {
        api.check_each(id, query).await;
    }
    let listed = api.send("GetSecretsMetadata", "?list=true", "").await.ok();
    api.fits(
        &api.operation("GetSecretsMetadata").2["responses"]["200"]["content"]["application/json"]["schema"],
        &listed,
        "list",
    );
    for (id, problem) in [("GetSecretRequest", "ValueGone"), ("GetSecretSubkeys", "NamesGone")] {
        api.is_told(id, &api.send(id, "?version=1", "").await, problem);
    }
    for id in ["PostSecretUndelete", "PutSecretDestroy", "DeleteSecretRequest"] {
        api.check_each(id, "").await;
    }
    let patch = api.requests("PatchSecretRequest")["change"].to_string();
    api.is_told(
        "PatchSecretRequest",
        &api.send("PatchSecretRequest", "", &patch).await,
        "VersionGone",
    );
    // What the mount demands is only told where a secret would do without.
    api.check("PostSecretConfig", "", &json!({ "cas_required": true })).await;
    for id in ["PostSecretMetadata", "PatchSecretMetadata"] {
        assert!(api.check(id, "", &json!({ "cas_required": false })).await["warnings"].is_array());
    }
    api.check_each("DeleteSecretMetadata", "").await;
    for body in api.requests("VaultEnable").values() {
        api.check("VaultDisable", "", &Value::Null).await;
        api.check("VaultEnable", "", body).await;
    }
    for id in [
        "VaultWritePolicy",
        "VaultWritePolicyOld",
        "VaultPolicies",
        "VaultPoliciesOld",
        "VaultReadPolicy",
        "VaultReadPolicyOld",
        "VaultDeletePolicy",
        "VaultDeletePolicyOld",
        "VaultWriteCertRole",
        "VaultCertRoles",
        "VaultReadCertRole",
        "VaultDeleteCertRole",
        "VaultTune",
        "VaultReadTune",
        "VaultReadMount",
        "VaultMounts",
        "VaultUiMounts",
        "VaultUiMount",
        "VaultAuthMethods",
        "VaultReadAuthMethod",
        "VaultReadAuthTune",
        "VaultEnableAuth",
        "VaultWriteUser",
        "VaultUsers",
        "VaultReadUser",
        "VaultSetUserPolicies",
        "VaultSetPassword",
        "VaultUserLogin",
        "VaultDeleteUser",
        "VaultCapabilities",
        "VaultRandom",
        "VaultRandomOfLength",
        "VaultHealth",
        "VaultSealStatus",
        "VaultLeader",
        "VaultInitStatus",
    ] {
        api.check_each(id, "").await;
    }
    api.moved = api.check_each("VaultRemount", "").await["data"]["migration_id"]
        .as_str()
        .unwrap()
        .to_owned();
    api.check_each("VaultRemountStatus", "").await;
    api.take_token("VaultLogin").await;
    api.check_each("VaultListAccessors", "?list=true").await;
    for id in [
        "VaultCapabilitiesOfToken",
        "VaultCapabilitiesOfAccessor",
        "VaultCreateToken",
        "VaultCreateOrphanToken",
        "VaultLookupSelf",
        "VaultPostLookupSelf",
        "VaultLookupToken",
        "VaultPostLookupToken",
        "VaultLookupAccessor",
        "VaultRenewSelf",
        "VaultRenewToken",
        "VaultRenewAccessor",
        "VaultRevokeSelf",
        "VaultRevokeToken",
        "VaultRevokeOrphanToken",
        "VaultRevokeAccessor",
    ] {
        api.take_token("VaultLogin").await;
        api.check_each(id, "").await;
    }
    api.headers.clear();
    for id in ["VaultLookupWrapped", "VaultPostLookupWrapped", "VaultRewrap", "VaultUnwrap"] {
        api.headers = [("wrapTtl", "5m".to_owned())].into();
        api.take_token("VaultWrap").await;
        api.check_each(id, "").await;
    }
    api.seen
}

#[tokio::test]
async fn vaults_refusals_are_as_told() {
    let (_server, client) = TestServer::with_tenant().await;
    let mut api = Documented::by(client).await;
    api.moved = "9c4f0c2e-5d0b-4a56-8c11-2a1d1f1f7a10".to_owned();
    for (id, query, body, problem) in [
        ("GetSecretRequest", "", "", "KvNotFound"),
        ("GetSecretRequest", "?version=x", "", "BadQuery"),
        ("PostSecretRequest", "", "{", "KvBadBody"),
        ("PostSecretRequest", "", "{}", "NoData"),
        ("PostSecretRequest", "", r#"{"data":{},"options":{"cas":7}}"#, "KvCasMismatch"),
        ("PatchSecretRequest", "", r#"{"data":{}}"#, "KvNotFound"),
        ("PostSecretMetadata", "", r#"{"cas_required":"x"}"#, "BadField"),
        ("DeleteSecretVersions", "", "{}", "NoVersions"),
        ("PutSecretDestroy", "", "{}", "NoVersionsToDestroy"),
        ("VaultMoveSecrets", "", r#"{"from":"a","to":"b"}"#, "KvNotFound"),
        ("VaultCopySecrets", "", "{", "KvBadBody"),
        ("ListSecretsMetadata", "", "", "KvNotFound"),
        ("VaultCapabilities", "", "{}", "NoPaths"),
        ("VaultCapabilitiesOfToken", "", r#"{"paths":["x"],"token":"x"}"#, "InvalidToken"),
        ("VaultCapabilitiesOfAccessor", "", r#"{"paths":["x"],"accessor":"x"}"#, "BadAccessor"),
        ("VaultRemount", "", r#"{"from":"team","to":"crew"}"#, "NoMountToMove"),
        ("VaultRemountStatus", "", "", "KvNotFound"),
        ("VaultReadAuthMethod", "", "", "NoAuthMethod"),
        ("VaultReadAuthTune", "", "", "NoAuthMethodToTune"),
        ("VaultRandom", "", r#"{"bytes":0}"#, "TooFewBytes"),
        ("VaultRandom", "", r#"{"bytes":131073}"#, "TooManyBytes"),
        ("VaultRandom", "", r#"{"format":"x"}"#, "BadFormat"),
        ("VaultListAccessors", "?list=true", "", "KvNotFound"),
        ("VaultReadMount", "", "", "NoMount"),
        ("VaultReadTune", "", "", "NoMountToTune"),
        ("VaultTune", "", r#"{"description":"x"}"#, "MountUnknown"),
        ("VaultEnable", "", r#"{"type":"transit"}"#, "NotKv2"),
        ("VaultUiMount", "", "", "Preflight"),
        ("VaultReadPolicy", "", "", "KvNotFound"),
        ("VaultReadCertRole", "", "", "KvNotFound"),
        ("VaultWritePolicy", "", r#"{"policy":"path"}"#, "BadPolicy"),
        ("VaultEnableAuth", "", r#"{"type":"ldap"}"#, "LoginElsewhere"),
        ("VaultUsers", "", "", "KvNotFound"),
        ("VaultReadUser", "", "", "KvNotFound"),
        ("VaultWriteUser", "", "{}", "NoPassword"),
        ("VaultSetPassword", "", r#"{"password":"x"}"#, "NoUser"),
        ("VaultSetUserPolicies", "", "{}", "NoUser"),
        ("VaultUserLogin", "", "{}", "NoPassword"),
        ("VaultUserLogin", "", r#"{"password":"x"}"#, "LoginFailed"),
        ("VaultLookupSelf", "", "", "PermissionDenied"),
        ("VaultLookupToken", "", "", "NoToken"),
        ("VaultPostLookupToken", "", r#"{"token":"x"}"#, "BadToken"),
        ("VaultLookupAccessor", "", r#"{"accessor":"x"}"#, "BadAccessor"),
        ("VaultRenewToken", "", r#"{"token":"x","increment":"x"}"#, "BadSpan"),
        ("VaultUnwrap", "", r#"{"token":"x"}"#, "NothingWrapped"),
        ("VaultWrap", "", "{}", "NoWrapTtl"),
    ] {
        api.is_told(id, &api.send(id, query, body).await, problem);
    }
    api.headers = [("wrapTtl", "x".to_owned())].into();
    api.is_told("VaultWrap", &api.send("VaultWrap", "", "{}").await, "BadWrapTtl");
    let send = async |method, path: &str, body: &str| {
        let path = format!("/api/{}/v1/{path}", api.client.id);
        api.client.send(method, &path, &[("content-type", "text/plain")], body.to_owned()).await
    };
    let path = format!("/api/{}/v1/secret/data/app", api.client.id);
    let elsewhere = api.client.send(Method::GET, &path, &[("x-vault-namespace", "team")], "").await;
    api.is_told("GetSecretRequest", &elsewhere, "NoNamespace");
    let nowhere = send(Method::GET, "team/data/app/database", "").await;
    api.is_told("GetSecretRequest", &nowhere, "NoHandler");
    api.is_told(
        "PatchSecretRequest",
        &send(Method::PATCH, "secret/data/app", "{}").await,
        "MediaType",
    );
}

/// What the document says of each operation.
fn operations(document: &Value) -> impl Iterator<Item = &Value> {
    let paths = document["paths"].as_object().unwrap().values();
    paths.flat_map(|item| item.as_object().unwrap().values())
}

#[tokio::test]
async fn every_operation_answers_with_statuses_that_are_told() {
    let server = TestServer::start().await;
    let id = server.tenant().await.id;
    let foreign = Client { id: id.clone(), ..server.tenant().await };
    let nobody = Client { id, ..server.anonymous() };
    for client in [foreign, nobody, server.tenant().await] {
        let api = Documented::by(client).await;
        for operation in operations(&api.document) {
            let (id, told) = (
                operation["operationId"].as_str().unwrap(),
                operation["responses"].as_object().unwrap(),
            );
            // A feed would not end.
            let query = if id == "UriEvents" { "?since=none" } else { "" };
            let answer = api.send(id, query, "{}").await;
            assert!(told.contains_key(answer.status.as_str()), "{id} answers {answer:?}");
        }
    }
}

#[tokio::test]
async fn the_page_is_open_and_whole() {
    let server = TestServer::start().await;
    let browser = server.anonymous();
    for start in ["/", "/swagger"] {
        let answer = browser.call(Method::GET, start, "").await;
        assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(answer.headers["location"], "/swagger/");
    }
    let page = browser.call(Method::GET, "/swagger/", "").await;
    assert_eq!(
        (page.status, &page.headers["content-type"] == "text/html; charset=utf-8"),
        (StatusCode::OK, true)
    );
    let files: Vec<_> = page
        .text()
        .split('"')
        .filter(|text| text.contains('.') && !text.contains([' ', '/']))
        .collect();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        assert_eq!(
            browser.call(Method::GET, &format!("/swagger/{file}"), "").await.status,
            StatusCode::OK,
            "{file}"
        );
    }
    browser.call(Method::GET, "/swagger/nothing.js", "").await.error(404, 50_417_665);
}

#[tokio::test]
async fn the_document_names_the_callers_own_domain() {
    let server = TestServer::start().await;
    let tenant = server.tenant().await;
    let example =
        |document: Value| document["components"]["parameters"]["okmsId"]["example"].clone();
    assert_eq!(example(tenant.call(Method::GET, "/openapi.json", "").await.ok()), tenant.id);
    for client in [server.anonymous(), server.operator()] {
        assert!(example(client.call(Method::GET, "/openapi.json", "").await.ok()).is_null());
    }
}
