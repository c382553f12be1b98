//! Tenants and their partners: cases 131 to 147, as far as they are about those.

use hyper::Method;
use serde_json::{Value, json};

use super::{Paths, members, refused};
use crate::harness::{Answer, Client, TestServer, eventually, unique};

/// A partner, two of its tenants, and somebody else's tenant.
struct Kin {
    server: TestServer,
    operator: Client,
    partner: Client,
    tenant: Client,
    sister: Client,
    other: Client,
    alias: String,
}

impl Kin {
    async fn start() -> Self {
        let server = TestServer::start().await;
        let operator = server.operator();
        let (partner, tenant) = (server.tenant().await, server.tenant().await);
        let (sister, other) = (server.tenant().await, server.tenant().await);
        let alias = "tnt_acme_dev".to_owned();
        let kin = Self { server, operator, partner, tenant, sister, other, alias };
        kin.set(&kin.tenant, json!({"tenant": kin.alias, "partner": kin.partner.id})).await.ok();
        kin.set(&kin.sister, json!({"partner": kin.partner.id})).await.ok();
        kin
    }

    async fn set(&self, of: &Client, body: Value) -> Answer {
        let at = format!("/v2/okms/resource/{}", of.id);
        self.operator.call(Method::PUT, &at, &body.to_string()).await
    }

    /// What a path says of a secret, in a value that tells it apart.
    async fn write(by: &Client, path: &str, value: &str) -> Answer {
        let body = json!({"data": {"value": value}}).to_string();
        by.call(Method::PUT, path, &body).await
    }
}

async fn read(by: &Client, path: &str) -> Answer {
    by.call(Method::GET, path, "").await
}

async fn as_tenant(by: &Client, name: &str, path: &str) -> Answer {
    by.send(Method::GET, path, &[("x-tenant-id", name)], "").await
}

fn value(answer: &Answer) -> String {
    answer.json()["data"]["value"].as_str().unwrap().to_owned()
}

/// Cases 133 to 135: a partner's tree is read by all of its tenants, and written by itself and operators alone.
#[tokio::test]
async fn what_a_partner_keeps_is_read_by_its_tenants() {
    let kin = Kin::start().await;
    let anchor = "/v1/partner/secrets/shared/trust-anchor";
    let written = Kin::write(&kin.partner, anchor, "ca").await;
    assert_eq!(written.status, 201);
    assert_eq!(value(&read(&kin.partner, "/v1/secrets/shared/trust-anchor").await), "ca");
    for tenant in [&kin.tenant, &kin.sister] {
        assert_eq!(value(&read(tenant, anchor).await), "ca");
        let versions = read(tenant, &format!("{anchor}/versions")).await.ok();
        assert_eq!(versions["versions"][0]["is_current"], true);
        let told = read(tenant, "/v1/partner/secrets/metadata/shared/trust-anchor").await.ok();
        assert_eq!(told["access_count_30d"], json!(2 + 2 * u32::from(tenant.id == kin.sister.id)));
        let list = read(tenant, "/v1/partner/secrets?prefix=shared/").await.ok();
        assert_eq!(list["total_count"], 1);
        let batch = json!({"paths": ["shared/trust-anchor", "none"]}).to_string();
        let batch = tenant.call(Method::POST, "/v1/partner/secrets/batch", &batch).await.ok();
        assert_eq!(batch["secrets"]["shared/trust-anchor"]["data"]["value"], "ca");
        for (method, path, body) in [
            (Method::PUT, anchor.to_owned(), r#"{"data":{}}"#),
            (Method::PATCH, anchor.to_owned(), "{}"),
            (Method::DELETE, anchor.to_owned(), ""),
            (Method::DELETE, format!("{anchor}?permanent=true"), ""),
            (Method::POST, format!("{anchor}/rotate"), r#"{"new_value":{}}"#),
            (Method::POST, format!("{anchor}/restore"), ""),
        ] {
            refused(&tenant.call(method, &path, body).await, 403, "access_denied");
        }
        // Their own trees are theirs.
        refused(&read(tenant, "/v1/secrets/shared/trust-anchor").await, 404, "secret_not_found");
    }
    let count = read(&kin.tenant, "/v1/partner/secrets/metadata/shared/trust-anchor").await.ok();
    assert_eq!(count["current_version"], 1);
    // No other dialect leads there.
    let native = format!("/api/{}/v2/secret/shared%2Ftrust-anchor", kin.partner.id);
    assert_eq!(read(&kin.tenant, &native).await.status, 404);
    let policies = read(&kin.tenant, "/v1/partner/rotation/policies").await;
    assert_eq!(policies.status, 404);

    refused(&read(&kin.other, anchor).await, 404, "secret_not_found");
    refused(&read(&kin.other, "/v1/partner/secrets").await, 404, "secret_not_found");
    // Whoever runs the region says whose partner is meant.
    assert_eq!(read(&kin.operator, anchor).await.status, 400);
    assert_eq!(value(&as_tenant(&kin.operator, &kin.alias, anchor).await), "ca");
    let of_partner = as_tenant(&kin.operator, &kin.partner.id, anchor).await;
    assert_eq!(value(&of_partner), "ca");
}

/// Whoever may read little at home may read as little of what the partner keeps.
#[tokio::test]
async fn policies_of_the_own_domain_count_in_the_partners_tree() {
    let kin = Kin::start().await;
    for path in ["app/a", "shared/b"] {
        Kin::write(&kin.partner, &format!("/v1/secrets/{path}"), "v").await;
    }
    let of = format!("/v2/okms/resource/{}", kin.tenant.id);
    let policy = json!({"name": "app", "identities": ["app"], "resources": [{"urn": "app/*"}],
        "permissions": {"allow": [{"action": "okms:apikms:secret/*"}]}});
    kin.operator.call(Method::POST, &format!("{of}/policy"), &policy.to_string()).await.ok();
    let rule = json!({"identity": "app"}).to_string();
    kin.operator.call(Method::PUT, &format!("{of}/rule/all"), &rule).await.ok();
    assert_eq!(value(&read(&kin.tenant, "/v1/partner/secrets/app/a").await), "v");
    refused(&read(&kin.tenant, "/v1/partner/secrets/shared/b").await, 403, "access_denied");
    let list = read(&kin.tenant, "/v1/partner/secrets").await.ok();
    assert_eq!(list["total_count"], 1);
}

/// Cases 132 and 136 to 138: a partner acts for its tenants, by whatever name; for others nobody does.
#[tokio::test]
async fn a_partner_acts_for_its_tenants_alone() {
    let kin = Kin::start().await;
    Kin::write(&kin.tenant, "/v1/secrets/app/db", "theirs").await;
    Kin::write(&kin.partner, "/v1/secrets/app/db", "own").await;
    Kin::write(&kin.other, "/v1/secrets/app/db", "foreign").await;
    let (alias, id) = (&*kin.alias, &*kin.tenant.id);
    for path in [format!("/v1/t/{alias}/secrets/app/db"), format!("/v1/t/{id}/secrets/app/db")] {
        assert_eq!(value(&read(&kin.partner, &path).await), "theirs", "{path}");
        assert_eq!(value(&read(&kin.operator, &path).await), "theirs", "{path}");
        assert_eq!(value(&read(&kin.tenant, &path).await), "theirs", "{path}");
    }
    for name in [alias, id] {
        assert_eq!(value(&as_tenant(&kin.partner, name, "/v1/secrets/app/db").await), "theirs");
        let both = format!("/v1/t/{alias}/secrets/app/db");
        assert_eq!(value(&as_tenant(&kin.partner, name, &both).await), "theirs");
    }
    assert_eq!(value(&read(&kin.partner, "/v1/secrets/app/db").await), "own");
    let at = format!("/v1/t/{alias}/secrets/app/db");
    for (by, other) in [(&kin.partner, &kin.sister), (&kin.tenant, &kin.partner)] {
        refused(&as_tenant(by, &other.id, &at).await, 400, "invalid_request");
    }
    let twice = [("x-tenant-id", alias), ("x-tenant-id", id)];
    let twice = kin.partner.send(Method::GET, "/v1/secrets/app/db", &twice, "").await;
    refused(&twice, 400, "invalid_request");

    // A token that is good at home is good for that, and no other is.
    let token = async |of: &Client| {
        let login = of.call(Method::POST, "/v1/auth/cert/login", "{}").await.ok();
        format!("Bearer {}", login["auth"]["client_token"].as_str().unwrap())
    };
    let path = format!("/v1/t/{alias}/secrets/app/db");
    for (by, whose, status) in [
        (&kin.partner, &kin.partner, 200),
        (&kin.partner, &kin.tenant, 401),
        (&kin.tenant, &kin.tenant, 200),
        (&kin.tenant, &kin.partner, 401),
    ] {
        let bearer = token(whose).await;
        let answer = by.send(Method::GET, &path, &[("authorization", &bearer)], "").await;
        assert_eq!(answer.status, status, "{answer:?}");
    }

    // All that the dialect does, it does there; what is kept of the tenant is the tenant's.
    let at = format!("/v1/t/{alias}");
    let own = Kin::write(&kin.partner, &format!("{at}/secrets/new"), "made").await;
    assert_eq!(own.status, 201);
    assert_eq!(value(&read(&kin.tenant, "/v1/secrets/new").await), "made");
    let policy = r#"{"name":"theirs","interval":"7d"}"#;
    let made = kin.partner.call(Method::POST, &format!("{at}/rotation/policies"), policy).await;
    assert_eq!(made.status, 201);
    assert_eq!(read(&kin.tenant, "/v1/rotation/policies/rot_theirs").await.status, 200);
    assert_eq!(read(&kin.partner, "/v1/rotation/policies/rot_theirs").await.status, 404);

    // 137: foreign or not there, nobody can tell.
    let nobody = "0e4f0c2e-5d0b-4a56-8c11-2a1d1f1f7a10";
    let mut bodies = Vec::new();
    for (by, name) in [
        (&kin.tenant, &*kin.sister.id),
        (&kin.tenant, &*kin.partner.id),
        (&kin.partner, &*kin.other.id),
        (&kin.partner, nobody),
        (&kin.partner, "tnt_nobody"),
        (&kin.partner, "No Alias"),
        (&kin.other, alias),
    ] {
        let escaped = name.replace(' ', "%20");
        let address = read(by, &format!("/v1/t/{escaped}/secrets/app/db")).await;
        let header = as_tenant(by, name, "/v1/secrets/app/db").await;
        for answer in [address, header] {
            refused(&answer, 403, "access_denied");
            let mut body = answer.json();
            body["error"].as_object_mut().unwrap().remove("request_id");
            bodies.push(body);
        }
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    // 138
    for unknown in [nobody, "tnt_nobody"] {
        let answer = read(&kin.operator, &format!("/v1/t/{unknown}/secrets/app/db")).await;
        refused(&answer, 404, "tenant_not_found");
    }
    let unnamed = read(&kin.operator, "/v1/secrets/app/db").await;
    refused(&unnamed, 400, "invalid_request");
    assert!(unnamed.text().contains("X-Tenant-ID"), "{unnamed:?}");
    // In all other dialects an id is a domain's own.
    for path in [
        format!("/api/{id}/v2/secret/app%2Fdb"),
        format!("/api/{id}/v1/secret/data/app/db"),
        format!("/v2/okms/resource/{id}"),
    ] {
        let answer = kin.partner.send(Method::GET, &path, &[("x-tenant-id", id)], "").await;
        assert!([403, 404].contains(&answer.status.as_u16()), "{path}: {answer:?}");
    }
}

/// Case 139: who it was, and for whom; told to both.
#[tokio::test]
async fn both_are_told_who_acted_for_whom() {
    let kin = Kin::start().await;
    let path = format!("/v1/t/{}/secrets/app/db", kin.alias);
    Kin::write(&kin.partner, &path, "v").await;
    let trail = std::fs::read_to_string(kin.server.path("audit.log")).unwrap();
    let record = trail
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .rfind(|record| record["operation"] == "PathWriteSecret" && record["type"] == "request")
        .unwrap();
    assert_eq!(
        (&record["acting_tenant"], &record["tenant"], &record["resource"]),
        (&json!(kin.partner.id), &json!(kin.tenant.id), &json!("app/db"))
    );
    for of in [&kin.partner, &kin.tenant] {
        eventually("told", async || {
            let seen = read(of, &format!("/v2/okms/resource/{}/audit", of.id)).await.ok();
            let mut records = seen.as_array().unwrap().iter();
            records.any(|one| one["request_id"] == record["request_id"])
        })
        .await;
    }
}

/// Case 140: what is said of kin counts with the next request, on open connections, too.
#[tokio::test]
async fn a_tenant_changes_its_partner() {
    let kin = Kin::start().await;
    let path = format!("/v1/t/{}/secrets/app/db", kin.alias);
    Kin::write(&kin.tenant, "/v1/secrets/app/db", "v").await;
    Kin::write(&kin.partner, "/v1/secrets/shared", "before").await;
    Kin::write(&kin.other, "/v1/secrets/shared", "after").await;
    let mut partner = kin.partner.connect().await;
    let mut tenant = kin.tenant.connect().await;
    let shared = "/v1/partner/secrets/shared";
    assert_eq!(partner.send(Method::GET, &path, &[], "").await.status, 200);
    assert_eq!(value(&tenant.send(Method::GET, shared, &[], "").await), "before");
    kin.set(&kin.tenant, json!({"partner": kin.other.id})).await.ok();
    refused(&partner.send(Method::GET, &path, &[], "").await, 403, "access_denied");
    assert_eq!(value(&tenant.send(Method::GET, shared, &[], "").await), "after");
    assert_eq!(read(&kin.other, &path).await.status, 200);
    kin.set(&kin.tenant, json!({"partner": null, "tenant": null})).await.ok();
    refused(&read(&kin.other, &path).await, 403, "access_denied");
    refused(&read(&kin.tenant, shared).await, 404, "secret_not_found");
}

/// Case 144: one name for one domain, and no chains.
#[tokio::test]
async fn who_can_be_whose_partner() {
    let kin = Kin::start().await;
    let taken = kin.set(&kin.other, json!({"tenant": kin.alias})).await;
    assert_eq!(taken.status, 409, "{taken:?}");
    for (of, body) in [
        (&kin.other, json!({"tenant": "Tnt A"})),
        (&kin.other, json!({"tenant": ""})),
        (&kin.other, json!({"tenant": kin.partner.id})),
        (&kin.other, json!({"tenant": 5})),
        (&kin.other, json!({"partner": 5})),
        (&kin.other, json!({"partner": "tnt_nobody"})),
        (&kin.other, json!({"partner": "0e4f0c2e-5d0b-4a56-8c11-2a1d1f1f7a10"})),
        (&kin.other, json!({"partner": kin.other.id})),
        // One that has a partner is none, and one that is a partner gets none.
        (&kin.other, json!({"partner": kin.tenant.id})),
        (&kin.other, json!({"partner": kin.alias})),
        (&kin.partner, json!({"partner": kin.other.id})),
    ] {
        assert_eq!(kin.set(of, body.clone()).await.status, 400, "{body}");
    }
    let at = format!("/v2/okms/resource/{}", kin.tenant.id);
    let own = kin.tenant.call(Method::PUT, &at, r#"{"partner":null}"#).await;
    assert_eq!(own.status, 403);
    let own = kin.partner.call(Method::PUT, &at, r#"{"partner":null}"#).await;
    assert_eq!(own.status, 404);

    // Nothing said changes nothing; a name is free once it was given up.
    let shown = kin.set(&kin.tenant, json!({})).await.ok();
    assert_eq!((&shown["tenant"], &shown["partner"]), (&json!(kin.alias), &json!(kin.partner.id)));
    assert_eq!(read(&kin.tenant, &at).await.ok()["tenant"], json!(kin.alias));
    kin.set(&kin.tenant, json!({"tenant": "tnt_renamed"})).await.ok();
    kin.set(&kin.other, json!({"tenant": kin.alias})).await.ok();
    assert_eq!(read(&kin.other, &format!("/v1/t/{}/secrets", kin.alias)).await.status, 200);
    refused(
        &read(&kin.partner, &format!("/v1/t/{}/secrets", kin.alias)).await,
        403,
        "access_denied",
    );

    // All at once, or nothing.
    let make = async |body: Value| {
        kin.operator.call(Method::POST, "/v2/okms/resource", &body.to_string()).await
    };
    let name = unique("domain");
    let taken = make(json!({"name": name, "tenant": kin.alias, "partner": kin.partner.id})).await;
    assert_eq!(taken.status, 409);
    assert_eq!(make(json!({"name": name, "partner": kin.tenant.id})).await.status, 400);
    let made = make(json!({"name": name, "tenant": "tnt_new", "partner": "tnt_renamed"})).await;
    assert_eq!(made.status, 400, "a partner has none itself");
    let made = make(json!({"name": name, "tenant": "tnt_new", "partner": kin.alias})).await;
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(
        (&made.json()["tenant"], &made.json()["partner"]),
        (&json!("tnt_new"), &json!(kin.other.id))
    );
}

/// Of two that would make each other their partner at the same time one does.
#[tokio::test]
async fn no_two_become_each_others_partner() {
    let kin = Kin::start().await;
    for _ in 0..8 {
        let (one, other) = (kin.server.tenant().await, kin.server.tenant().await);
        let (first, second) = tokio::join!(
            kin.set(&one, json!({"partner": other.id})),
            kin.set(&other, json!({"partner": one.id})),
        );
        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400]);
    }
}

/// Cases 131 and 142.
#[tokio::test]
async fn who_somebody_is() {
    let kin = Kin::start().await;
    let own = read(&kin.tenant, "/v1/auth/whoami").await.ok();
    assert_eq!(
        members(&own),
        ["identity_id", "identity_type", "partner_id", "roles", "scopes", "tenant_id"]
    );
    assert!(own["identity_id"].as_str().unwrap().starts_with("cert:"));
    assert_eq!(
        (&own["identity_type"], &own["tenant_id"], &own["partner_id"], &own["roles"]),
        (&json!("service_account"), &json!(kin.alias), &json!(kin.partner.id), &json!([]))
    );
    let all = [
        "secrets:read",
        "secrets:list",
        "secrets:write",
        "secrets:delete",
        "secrets:rotate",
        "admin",
    ];
    assert_eq!(own["scopes"], json!(all));
    let partner = read(&kin.partner, "/v1/auth/whoami").await.ok();
    assert_eq!(
        (&partner["tenant_id"], &partner["partner_id"], &partner["roles"]),
        (&json!(kin.partner.id), &Value::Null, &json!(["partner_admin"]))
    );
    let acting = as_tenant(&kin.partner, &kin.alias, "/v1/auth/whoami").await.ok();
    assert_eq!(
        (&acting["tenant_id"], &acting["roles"], &acting["identity_id"]),
        (&json!(kin.alias), &json!(["partner_admin"]), &partner["identity_id"])
    );
    let operator = as_tenant(&kin.operator, &kin.alias, "/v1/auth/whoami").await.ok();
    assert_eq!(operator["roles"], json!(["operator"]));
    // Vault's addresses around it are Vault's.
    assert_eq!(read(&kin.tenant, "/v1/auth/token/lookup-self").await.status, 403);

    let anonymous = kin.server.anonymous();
    for path in ["/v1/secrets/nothing/at/all", "/v1/partner/secrets/x", "/v1/t/tnt/secrets/x"] {
        refused(&read(&anonymous, path).await, 401, "authentication_required");
    }
    let paths = Paths { client: kin.tenant.clone() };
    let foreign = [("origin", "https://elsewhere.example"), ("content-type", "application/json")];
    let put = paths.client.send(Method::PUT, "/v1/secrets/a", &foreign, r#"{"data":{}}"#).await;
    refused(&put, 403, "foreign_origin");
}
