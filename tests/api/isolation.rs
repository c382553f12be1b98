//! Who reaches what: every route of the table, for strangers, for nobody, for other domains and for
//! the operator.

use std::sync::LazyLock;

use hyper::Method;
use okmsd::{
    api::{DIALECTS, Handler, ListedRoute, route_list},
    config::{ClientAuth, CustomerCa},
    model::Timestamp,
    pki::{CertificateAuthority, PrivateKeyPem, Subject},
};
use rcgen::ExtendedKeyUsagePurpose;
use serde_json::json;

use crate::{
    customer_lists::{List, list, listing_ca},
    harness::{Answer, BOTH, Client, Http, Leaf, START, TestServer, issue, mint, unique},
    trust::Signer,
};

/// The routes that answer without a certificate. This list may shrink; a line more needs a reason.
const PUBLIC: &[(&str, &str)] = &[
    ("GET", "/openapi.json"), // what can be asked, for those who have no certificate yet
    ("GET", "/swagger"),      // the same, for people
    ("GET", "/swagger/{asset}"),
    ("GET", "/"),            // the way there
    ("GET", "/v2/okms/crl"), // what was revoked, for whoever is shown a certificate
    ("GET", "/v2/okms/revocation/{serial}"),
];

/// What answers without a certificate in the Vault dialect, under each of its bases: probes and
/// clients ask it first.
const OPEN: &[&str] = &["VaultHealth", "VaultSealStatus", "VaultLeader", "VaultInitStatus"];

pub(super) const SECRET: &str = "app/database";
pub(super) const UNKNOWN: &str = "9c4f0c2e-5d0b-4a56-8c11-2a1d1f1f7a10";

/// All routes; what partners keep for their tenants has tests of its own (`lifecycle::partners`).
pub(super) fn routes() -> Vec<ListedRoute> {
    route_list(DIALECTS).into_iter().filter(|route| !is_partners(route)).collect()
}

/// Whether the route is about what a partner keeps for its tenants.
pub(super) fn is_partners(route: &ListedRoute) -> bool {
    route.pattern.starts_with("/v1/partner/")
}

/// Whether a route's address names a domain.
pub(super) fn names_domain(route: &ListedRoute) -> bool {
    route.pattern.contains("{okmsId}") || route.pattern.contains("{tenant}")
}

fn is_public(route: &ListedRoute) -> bool {
    OPEN.contains(&route.operation.id) || PUBLIC.contains(&(route.method, &*route.pattern))
}

/// Whether the route is of the dialect of path secrets.
pub(super) fn is_of_paths(route: &ListedRoute) -> bool {
    let ours = [
        "/v1/secrets",
        "/v1/rotation/",
        "/v1/secret-policies",
        "/v1/auth/whoami",
        "/v1/partner/",
        "/v1/t/",
    ];
    ours.iter().any(|base| route.pattern.starts_with(base))
}

/// Whether the route is of the dialect of URIs.
pub(super) fn is_of_uris(route: &ListedRoute) -> bool {
    route.pattern.starts_with("/api/secrets")
}

pub(super) fn is_of_vault(route: &ListedRoute) -> bool {
    route.pattern.starts_with("/v1") && !is_of_paths(route)
        || route.pattern.starts_with("/api/{okmsId}/v1")
}

/// The route's path for the domain `id` and the secret at `path`.
pub(super) fn url(route: &ListedRoute, id: &str, path: &str) -> String {
    let path = path.replace('/', "%2F");
    let url = route
        .pattern
        .replace("{okmsId}", id)
        .replace("{tenant}", id)
        .replace("{path}", &path)
        .replace("{version}", "1");
    let url = url + &query(route, &path);
    url.replace("{asset}", "index.html")
        .replace("{name}", "app")
        .replace("{credentialId}", UNKNOWN)
        .replace("{serial}", "0a")
        .replace("{id}", of_policy(route))
        .replace("{mount}", "secret")
        .replace("{key}", &key(route, &path))
}

/// The address with another parameter.
pub(super) fn and(url: &str, parameter: &str) -> String {
    let sign = if url.contains('?') { '&' } else { '?' };
    format!("{url}{sign}{parameter}")
}

/// The query without which the route's operation does not go on.
fn query(route: &ListedRoute, path: &str) -> String {
    match route.operation.id {
        "UriReadFile" | "UriDeleteSecret" | "UriReadValue" | "UriReadKeys" | "UriReadMetadata"
        | "UriListVersions" => format!("?uri={}", uri(path)),
        "UriSearch" => "?q=a".to_owned(),
        // Which would not end.
        "UriEvents" => "?since=none".to_owned(),
        _ => String::new(),
    }
}

/// The URI of the secret at `path`.
fn uri(path: &str) -> String {
    format!("openbao+kv2://secret/{path}")
}

/// What the route's `{id}` is, where that is the id of a policy of path secrets.
fn of_policy(route: &ListedRoute) -> &'static str {
    match route.pattern.as_str() {
        pattern if pattern.contains("/rotation/") => "rot_weekly",
        pattern if pattern.contains("/secret-policies/") => "sp_none",
        _ => "{id}",
    }
}

/// What the route's `{key}` is: a mount's path, or a secret's.
pub(super) fn key(route: &ListedRoute, path: &str) -> String {
    match route.operation.id {
        "VaultEnable" => format!("mount-{}", path.len()),
        "VaultDisable" | "VaultReadMount" | "VaultReadTune" | "VaultTune" | "VaultUiMount" => {
            "secret".to_owned()
        }
        "VaultReadAuthMethod" | "VaultReadAuthTune" | "VaultEnableAuth" => "token".to_owned(),
        "VaultReadUser"
        | "VaultWriteUser"
        | "VaultDeleteUser"
        | "VaultSetPassword"
        | "VaultSetUserPolicies"
        | "VaultUserLogin" => "bob".to_owned(),
        "VaultRandom" => "8".to_owned(),
        _ => path.to_owned(),
    }
}

/// A policy that is like no other.
fn a_policy() -> String {
    json!({
        "name": unique("policy"), "identities": ["app"], "resources": [{"urn": "app/*"}],
        "permissions": {"allow": [{"action": "okms:apikms:secret/get"}]},
    })
    .to_string()
}

/// An authority that is like no other.
/// An authority that may sign lists.
static AN_AUTHORITY: LazyLock<Signer> = LazyLock::new(|| Signer::root(listing_ca("an authority")));

fn an_authority() -> String {
    json!({ "certificatePEM": AN_AUTHORITY.pem }).to_string()
}

fn its_list() -> String {
    json!({ "crlPEM": list(&AN_AUTHORITY, List::default()) }).to_string()
}

/// A body with which the route's operation would go on.
pub(super) fn body(route: &ListedRoute, path: &str) -> String {
    let body = match route.operation.id {
        "PostResource" => r#"{"name":"a domain"}"#,
        "PutResource" => r#"{"partner":null}"#,
        "PostSecretV2" => return format!(r#"{{"path":"{path}","version":{{"data":{{"v":2}}}}}}"#),
        "CopySecretsV2" | "MoveSecretsV2" | "VaultCopySecrets" | "VaultMoveSecrets" => {
            return json!({ "from": path, "to": unique("there"), "overwrite": true }).to_string();
        }
        "PathWriteSecret" => r#"{"data":{"v":2}}"#,
        "PathPatchSecret" => r#"{"options":{"max_versions":5}}"#,
        "UriWriteSecret" | "UriRotateSecret" => {
            return json!({ "uri": uri(path), "value": {"v": 2} }).to_string();
        }
        "UriUndeleteVersions" | "UriDestroyVersions" => {
            return json!({ "uri": uri(path), "versions": [1] }).to_string();
        }
        "UriSetOwner" => return json!({ "uri": uri(path), "owner": "team:shop" }).to_string(),
        "UriBulk" => {
            let set = json!({ "op": "set", "uri": uri(path), "value": {"v": 2} });
            return json!({ "operations": [set] }).to_string();
        }
        "UriCopySecret" | "UriMoveSecret" => {
            let to = uri(&format!("{path}/moved"));
            return json!({ "fromUri": uri(path), "toUri": to, "overwrite": true }).to_string();
        }
        "PathRotateSecret" => r#"{"new_value":{"v":3}}"#,
        "PathRotatePolicySecrets" => return json!({ "secret_paths": [path] }).to_string(),
        "PathReadBatch" => return json!({ "paths": [path] }).to_string(),
        "PathCreateRotationPolicy" => {
            return json!({ "name": unique("policy"), "interval": "90d" }).to_string();
        }
        "PathPatchRotationPolicy" => r#"{"interval":"30d"}"#,
        "PathAttachRotationPolicy" => return json!({ "secret_path": path }).to_string(),
        "PathCreateSecretPolicy" => {
            let field = json!({ "name": "password", "generator": "random" });
            return json!({ "name": unique("policy"), "fields": [field] }).to_string();
        }
        "PathPatchSecretPolicy" => r#"{"description":"other"}"#,
        "PutSecretV2" => r#"{"metadata":{"maxVersions":5},"version":{"data":{"v":2}}}"#,
        "PutSecretVersionV2" => r#"{"state":"deleted"}"#,
        "PutSecretConfigV2" => r#"{"max_versions":3}"#,
        "PostCredential" => r#"{"name":"intruder"}"#,
        "PostPolicy" | "PutPolicy" => return a_policy(),
        "VaultWriteRateQuota" => r#"{"rate":1000000}"#,
        "PutQuota" => r#"{"requestsPerSecond":1000000}"#,
        "PutRule" => r#"{"commonNames":["app"]}"#,
        // An operator's would go on; a domain's own lacks the proof alone.
        "PutCustomerCa" => return an_authority(),
        "PutCustomerCaList" => return its_list(),
        "PostPolicyTest" => r#"{"action":"okms:apikms:secret/get"}"#,
        "PostRevocation" => r#"{"serial":"0a"}"#,
        "PostSecretVersionV2" | "PostSecretRequest" | "PatchSecretRequest" => r#"{"data":{"v":2}}"#,
        "DeleteSecretVersions" | "PostSecretUndelete" | "PutSecretDestroy" => r#"{"versions":[1]}"#,
        "PostSecretMetadata" | "PatchSecretMetadata" | "PostSecretConfig" => {
            r#"{"max_versions":3}"#
        }
        "VaultEnable" => r#"{"type":"kv-v2"}"#,
        "VaultEnableAuditDevice" => r#"{"type":"file","options":{"file_path":"more.log"}}"#,
        "VaultAuditHash" => r#"{"input":"a"}"#,
        "VaultWriteCertRole" => r#"{"allowed_names":["app"]}"#,
        "VaultWritePolicy" | "VaultWritePolicyOld" => {
            r#"{"policy":"path \"a\" { policy = \"deny\" }"}"#
        }
        "VaultWriteUser" => r#"{"password":"correct horse","policies":"admin"}"#,
        "VaultSetPassword" | "VaultUserLogin" => r#"{"password":"correct horse"}"#,
        "VaultEnableAuth" => r#"{"type":"token"}"#,
        "VaultCapabilities" => r#"{"paths":["secret/data/a"]}"#,
        // One that nobody has made.
        "VaultLookupAccessor" | "VaultRenewAccessor" | "VaultRevokeAccessor" => {
            r#"{"accessor":"AAAAAAAAAAAAAAAAAAAAAAAA"}"#
        }
        "VaultCapabilitiesOfAccessor" => {
            r#"{"accessor":"AAAAAAAAAAAAAAAAAAAAAAAA","paths":["secret/data/a"]}"#
        }
        "VaultRemount" => r#"{"from":"mount-1","to":"mount-2"}"#,
        _ => "",
    };
    body.to_owned()
}

pub(super) fn method(route: &ListedRoute) -> Method {
    route.method.parse().unwrap()
}

/// That the answer is this error of the dialect of path secrets; its text.
#[track_caller]
fn refused_in_paths(answer: &Answer, status: u16, code: &str) -> String {
    crate::lifecycle::refused(answer, status, code);
    answer.json()["error"]["message"].as_str().unwrap().to_owned()
}

/// Asks for `route` in the domain `id`, for data where there is any.
async fn ask(client: &Client, route: &ListedRoute, id: &str, path: &str) -> Answer {
    let url = and(&url(route, id, path), "includeData=true");
    client
        .send(method(route), &url, &[("content-type", "application/json")], body(route, path))
        .await
}

/// The routes that name a domain, and are for those who may act in it.
fn domain_routes() -> impl Iterator<Item = ListedRoute> {
    // The figures are the region's, whatever the path names: `vault::tools` holds who sees them.
    let is_of_one = |route: &ListedRoute| matches!(route.operation.handler, Handler::Tenant(_));
    routes().into_iter().filter(move |route| is_of_one(route) && names_domain(route))
}

/// Everything that a domain's own certificate can see in it.
async fn contents(client: &Client) -> Vec<String> {
    let mut seen = Vec::new();
    for rest in [
        "secret".to_owned(),
        "secretConfig".to_owned(),
        format!("secret/{SECRET}?includeData=true"),
        format!("secret/{SECRET}/version"),
    ] {
        let answer = client.get(&rest).await;
        answer.ok();
        seen.push(answer.text().to_owned());
    }
    seen
}

#[test]
fn the_table_says_what_is_public() {
    for route in routes() {
        let public = matches!(route.operation.handler, Handler::Open(_));
        assert_eq!(route.operation.actions.is_empty(), public, "{route:?}");
        assert_eq!(is_public(&route), public, "{} {}", route.method, route.pattern);
    }
    let is_there = |(method, pattern): &(&str, &str)| {
        routes().iter().any(|route| route.method == *method && route.pattern == *pattern)
    };
    assert!(PUBLIC.iter().all(is_there));
}

#[tokio::test]
async fn nobody_reaches_nothing() {
    let (server, tenant) = TestServer::with_tenant().await;
    tenant.create(SECRET, "{}").await.ok();
    let before = contents(&tenant).await;
    let nameless = server.mint(&Leaf::default());
    for http in BOTH {
        for client in [server.anonymous().over(http), server.client(Some(&nameless), None, http)] {
            for route in routes() {
                let answer = ask(&client, &route, &tenant.id, SECRET).await;
                if is_public(&route) {
                    assert!(matches!(answer.status.as_u16(), 200 | 307), "{}", route.pattern);
                    continue;
                }
                if route.method == "HEAD" {
                    assert_eq!(answer.status, 401);
                    continue;
                }
                let said = if is_of_uris(&route) {
                    crate::canonical::refused(&answer, 401, "UNAUTHENTICATED");
                    answer.json()["message"].as_str().unwrap().to_owned()
                } else if is_of_paths(&route) {
                    refused_in_paths(&answer, 401, "authentication_required")
                } else {
                    answer.error(401, 50_475_011)
                };
                assert!(said.contains("certificate"), "{said}");
                // As for a domain or a secret that is not there: who is nobody learns nothing.
                for (id, path) in [
                    (UNKNOWN, SECRET),
                    (&*tenant.id, "missing"),
                    ("no-id", SECRET),
                    (UNKNOWN, ".."),
                ] {
                    let other = ask(&client, &route, id, path).await;
                    assert_eq!(
                        other.likeness(),
                        answer.likeness(),
                        "{} {}",
                        route.method,
                        route.pattern
                    );
                }
            }
        }
    }
    assert_eq!(contents(&tenant).await, before);
}

/// For a stranger, a domain that exists answers as one that does not: on every route, in both
/// spellings, whether the secret is there or not, whether the request would make sense or not.
#[tokio::test]
async fn a_foreign_domain_is_as_good_as_none() {
    let (server, owner) = TestServer::with_tenant().await;
    let stranger = server.tenant().await;
    owner.create(SECRET, r#"{"v":1}"#).await.ok();
    stranger.create(SECRET, r#"{"v":"own"}"#).await.ok();
    let before = (contents(&owner).await, contents(&stranger).await);
    let mut spellings = std::collections::HashSet::new();
    for http in BOTH {
        let client = stranger.over(http);
        for route in domain_routes() {
            spellings.insert(route.pattern.starts_with("/api/"));
            let unknown = ask(&client, &route, UNKNOWN, SECRET).await;
            // Vault's clients take 404 for a secret that is not there, and some delete their copies
            // then.
            if is_of_paths(&route) {
                refused_in_paths(&unknown, 403, "access_denied");
            } else {
                unknown.error(if is_of_vault(&route) { 403 } else { 404 }, 16_994_305);
            }
            for path in [SECRET, "missing", "..", "new/secret", &"x".repeat(256)] {
                let foreign = ask(&client, &route, &owner.id, path).await;
                assert_eq!(
                    foreign.likeness(),
                    unknown.likeness(),
                    "{} {} {path}",
                    route.method,
                    route.pattern
                );
            }
            for (query, headers, body) in [
                ("?cas=nonsense&version=0", [("x-pagination-size", "nonsense")], "not json"),
                ("?cas=1&version=1", [("x-pagination-cursor", "AAAA")], ""),
            ] {
                let url = url(&route, &owner.id, SECRET) + query;
                let answer = client.send(method(&route), &url, &headers, body).await;
                assert_eq!(
                    answer.likeness(),
                    unknown.likeness(),
                    "{} {}",
                    route.method,
                    route.pattern
                );
            }
        }
    }
    assert_eq!(spellings.len(), 2);
    assert_eq!((contents(&owner).await, contents(&stranger).await), before);
}

/// The same id in another spelling is the same domain, or none: never somebody else's.
#[tokio::test]
async fn spellings_of_an_id() {
    let (_server, client) = TestServer::with_tenant().await;
    client.create(SECRET, "{}").await.ok();
    let id = &client.id;
    for (spelling, status) in [
        (id.to_uppercase(), 200),
        (id.replace('-', ""), 400),
        (format!("{{{id}}}").replace('{', "%7B").replace('}', "%7D"), 400),
        (format!("urn:uuid:{id}"), 400),
        (format!("{id}%00"), 400),
        (format!("%{:02x}{}", id.as_bytes()[0], &id[1..]), 400),
        ("00000000-0000-0000-0000-000000000000".to_owned(), 400),
        ("*".to_owned(), 400),
        ("%2A".to_owned(), 400),
    ] {
        for path in [
            format!("/api/{spelling}/v2/secret/{SECRET}"),
            format!("/v2/okms/resource/{spelling}/secret/{SECRET}"),
        ] {
            let answer = client.call(Method::GET, &path, "").await;
            assert_eq!(answer.status, status, "{path} {answer:?}");
        }
    }
}

#[tokio::test]
async fn an_operator_reaches_every_domain() {
    let (server, tenant) = TestServer::with_tenant().await;
    let operator = server.operator();
    // What the Vault dialect says to an operator has tests of its own.
    // And of path secrets and URIs they have to name the domain.
    let is_nobodys =
        |route: &ListedRoute| (is_of_paths(route) || is_of_uris(route)) && !names_domain(route);
    let native =
        |route: &&ListedRoute| !is_public(route) && !is_of_vault(route) && !is_nobodys(route);
    // Nor are there operators' certificates to renew, or any to show: those tests are in `credentials`.
    let needs_one = |route: &ListedRoute| {
        route.pattern.contains("{credentialId}") || route.operation.id == "RenewCredential"
    };
    for route in routes().iter().filter(native) {
        tenant.delete(&format!("secret/{SECRET}")).await;
        if route.operation.id != "PostSecretV2" {
            tenant.create(SECRET, "{}").await.ok();
        }
        let of = format!("/v2/okms/resource/{}", tenant.id);
        operator
            .call(Method::PUT, &format!("{of}/rule/app"), r#"{"commonNames":["app"]}"#)
            .await
            .ok();
        operator.call(Method::PUT, &format!("{of}/ca/app"), &an_authority()).await.ok();
        operator.call(Method::PUT, &format!("{of}/ca/app/crl"), &its_list()).await.ok();
        let made = operator.call(Method::POST, &format!("{of}/policy"), &a_policy()).await;
        let made = made.ok();
        let id = match of_policy(route) {
            "{id}" => made["id"].as_str().unwrap(),
            id => id,
        };
        if is_of_paths(route) {
            let of = format!("/v1/t/{}", tenant.id);
            let policy = r#"{"name":"none","fields":[{"name":"a","generator":"hex"}]}"#;
            operator.call(Method::POST, &format!("{of}/secret-policies"), policy).await;
            let weekly = format!("{of}/rotation/policies/rot_weekly");
            operator.call(Method::PATCH, &weekly, r#"{"auto_generate":true}"#).await.ok();
            let attach = format!("{weekly}/secrets");
            let secret = json!({ "secret_path": SECRET }).to_string();
            operator.call(Method::POST, &attach, &secret).await;
        }
        let pattern = route.pattern.replace("{id}", id);
        let answer =
            ask(&operator, &ListedRoute { pattern, ..route.clone() }, &tenant.id, SECRET).await;
        assert!(
            answer.status.is_success() || needs_one(route),
            "{} {} {answer:?}",
            route.method,
            route.pattern
        );
        if matches!(route.operation.handler, Handler::Tenant(_)) {
            tenant.create(SECRET, "{}").await;
            let unknown = ask(&operator, route, UNKNOWN, SECRET).await;
            if is_of_paths(route) {
                refused_in_paths(&unknown, 404, "tenant_not_found");
            } else {
                unknown.error(404, 16_994_305);
            }
        }
    }
}

#[tokio::test]
async fn both_spellings_are_one_domain() {
    let (_server, tenant) = TestServer::with_tenant().await;
    let central = |rest: &str| format!("/v2/okms/resource/{}/{rest}", tenant.id);
    let body = r#"{"path":"a/b","version":{"data":{"v":1}}}"#;
    tenant.call(Method::POST, &central("secret"), body).await.ok();
    for rest in [
        "secret",
        "secret/a%2Fb?includeData=true",
        "secret/a/b/version",
        "secret/a/b/version/1",
        "secretConfig",
    ] {
        let (regional, central) =
            (tenant.get(rest).await, tenant.call(Method::GET, &central(rest), "").await);
        regional.ok();
        assert_eq!(regional.likeness(), central.likeness(), "{rest}");
    }
    assert_eq!(tenant.call(Method::DELETE, &central("secret/a/b"), "").await.status, 204);
    tenant.get("secret/a/b").await.error(404, 17_125_377);
}

/// Certificates of the region that are refused in the handshake, because TLS itself can tell.
#[tokio::test]
async fn tls_refuses_what_no_client_may_show() {
    let (server, tenant) = TestServer::with_tenant().await;
    let upn = format!("okms.domain:{}", tenant.id);
    let upns = [&*upn];
    let right = || Leaf { upns: &upns, ..Leaf::default() };
    let moment = Timestamp::from_unix_seconds(START);
    let (other, other_key) = CertificateAuthority::create("other CA", moment, 9).unwrap();
    let (twin, twin_key) = CertificateAuthority::create("test region CA", moment, 9).unwrap();
    let fine = server.client(Some(&server.mint(&right())), Some(&tenant.id), Http::One);
    fine.get("secret").await.ok();
    assert!(!fine.is_refused_in_tls().await);
    for (what, pair) in [
        ("expired", server.mint(&Leaf { valid: START - 100..=START - 1, ..right() })),
        ("not yet valid", server.mint(&Leaf { valid: START + 1..=START + 100, ..right() })),
        (
            "a server's",
            server.mint(&Leaf { usage: ExtendedKeyUsagePurpose::ServerAuth, ..right() }),
        ),
        ("an authority's", server.mint(&Leaf { is_ca: true, ..right() })),
        ("another authority's", mint(&other, &other_key, &right())),
        ("an authority's of the same name", mint(&twin, &twin_key, &right())),
    ] {
        for http in BOTH {
            let client = server.client(Some(&pair), Some(&tenant.id), http);
            assert!(client.is_refused_in_tls().await, "{what} {http:?}");
        }
    }
    // One is counted once its alert is told.
    let failed = r#"okmsd_handshakes_total{result="failed"}"#;
    server.metric_reaches(failed, 12.0).await;
    assert_eq!(server.metric(failed).await, 12.0);
}

/// Certificates that TLS takes, and that name no domain: 401 on every request, whatever they look
/// like.
#[tokio::test]
async fn a_certificate_must_name_one_domain() {
    let (server, tenant) = TestServer::with_tenant().await;
    let other = server.tenant().await;
    let claim = |text: &str| format!("okms.domain:{text}");
    let (own, foreign, operator) = (claim(&tenant.id), claim(&other.id), claim("*"));
    let nul = format!("{own}\0");
    let (upper, nil) = (own.to_uppercase(), claim("00000000-0000-0000-0000-000000000000"));
    let (blank, simple) = (format!(" {own}"), claim(&tenant.id.replace('-', "")));
    for (what, upns) in [
        ("a common name alone", vec![]),
        ("two domains", vec![&*own, &*foreign]),
        ("a domain and all", vec![&*own, &*operator]),
        ("another prefix", vec![&*upper]),
        ("a blank in front", vec![&*blank]),
        ("a NUL at the end", vec![&*nul]),
        ("the nil id", vec![&*nil]),
        ("an id without hyphens", vec![&*simple]),
        ("an empty id", vec!["okms.domain:"]),
        ("a pattern", vec!["okms.domain:**"]),
        ("an id alone", vec![&*tenant.id]),
        ("a user", vec!["somebody@example.com"]),
    ] {
        let pair = server.mint(&Leaf { upns: &upns, ..Leaf::default() });
        let client = server.client(Some(&pair), Some(&tenant.id), Http::One);
        for path in [client.url("secret"), "/v2/okms/resource".to_owned()] {
            let said = client.call(Method::GET, &path, "").await.error(401, 50_475_011);
            assert!(!said.contains(&tenant.id), "{what}: {said}");
        }
    }
    let twice =
        server.mint(&Leaf { upns: &[&own, &own, "somebody@example.com"], ..Leaf::default() });
    server.client(Some(&twice), Some(&tenant.id), Http::One).get("secret").await.ok();
}

/// A connection does not outlive its certificate: the same keep-alive connection that was served is
/// refused from the second on at which the certificate ends, and on every protocol.
#[tokio::test]
async fn a_certificate_can_expire_on_an_open_connection() {
    for http in BOTH {
        let (server, tenant) = TestServer::with_tenant().await;
        let upn = format!("okms.domain:{}", tenant.id);
        let pair = server.mint(&Leaf {
            upns: &[&upn],
            valid: START - 10..=START + 100,
            ..Leaf::default()
        });
        let client = server.client(Some(&pair), Some(&tenant.id), http);
        let mut connection = client.connect().await;
        let url = client.url("secret");
        server.clock.advance(100);
        connection.send(Method::GET, &url, &[], "").await.ok();
        server.clock.advance(1);
        let said = connection.send(Method::GET, &url, &[], "").await.error(401, 50_475_011);
        assert!(said.contains("expired"), "{said}");
        let body = r#"{"path":"a","version":{"data":{}}}"#;
        connection.send(Method::POST, &url, &[], body).await.error(401, 50_475_011);
        // What is public stays so, also for one whose certificate is over.
        assert_eq!(connection.send(Method::GET, "/openapi.json", &[], "").await.status, 200);
        assert_eq!(tenant.get("secret").await.text(), "[]");
    }
}

/// A resumed session skips the verification of its certificate, so the request has to judge it
/// again.
#[tokio::test]
async fn a_session_resumed_after_expiry_is_nobodys() {
    let (server, tenant) = TestServer::with_tenant().await;
    let upn = format!("okms.domain:{}", tenant.id);
    let pair =
        server.mint(&Leaf { upns: &[&upn], valid: START - 10..=START + 100, ..Leaf::default() });
    let client = server.client(Some(&pair), Some(&tenant.id), Http::One);
    client.get("secret").await.ok();
    client.get("secret").await.ok();
    let resumed = r#"okmsd_handshakes_total{result="resumed"}"#;
    assert_eq!(server.metric(resumed).await, 1.0, "the test is about resumption");
    server.clock.advance(101);
    let said = client.get("secret").await.error(401, 50_475_011);
    assert!(said.contains("expired"), "{said}");
    assert_eq!(server.metric(resumed).await, 2.0);
}

/// A session belongs to the certificate that made it: resumed, it is the same principal, whatever
/// the URL names.
#[tokio::test]
async fn a_resumed_session_keeps_its_principal() {
    let (server, tenant) = TestServer::with_tenant().await;
    let other = server.tenant().await;
    tenant.get("secret").await.ok();
    let intruder = Client { id: other.id.clone(), ..tenant.clone() };
    intruder.get("secret").await.error(404, 16_994_305);
    tenant.get("secret").await.ok();
    assert!(server.metric(r#"okmsd_handshakes_total{result="resumed"}"#).await >= 2.0);
}

#[tokio::test]
async fn required_mode_refuses_in_tls() {
    let server =
        TestServer::start_with(|config| config.server.client_auth = ClientAuth::Required).await;
    for http in BOTH {
        assert!(server.anonymous().over(http).is_refused_in_tls().await);
        assert!(!server.operator().over(http).is_refused_in_tls().await);
    }
}

/// Where several authorities are trusted, the server looks for the one that vouches for a peer. It
/// once did so at the present moment, found none for a certificate that had ended, and told its
/// holder to get one that names a domain.
#[tokio::test]
async fn an_expired_certificate_is_told_so_among_several_authorities() {
    let (mut server, tenant) = TestServer::with_tenant().await;
    trust_customer(&mut server, "customer CA", &tenant.id).await;
    let upn = format!("okms.domain:{}", tenant.id);
    let pair =
        server.mint(&Leaf { upns: &[&upn], valid: START - 10..=START + 100, ..Leaf::default() });
    let client = server.client(Some(&pair), Some(&tenant.id), Http::One);
    client.get("secret").await.ok();
    server.clock.advance(101);
    let said = client.get("secret").await.error(401, 50_475_011);
    assert_eq!(server.metric(r#"okmsd_handshakes_total{result="resumed"}"#).await, 1.0);
    assert!(said.contains("expired"), "{said}");
}

/// What a proxy would say about a client counts for nothing here: there is no proxy.
#[tokio::test]
async fn headers_are_no_identity() {
    let (server, tenant) = TestServer::with_tenant().await;
    let other = server.tenant().await;
    let certificate = server.issue(&Subject::Operator, 5).certificate.replace('\n', "%0A");
    for name in [
        "x-forwarded-client-cert",
        "x-ssl-client-cert",
        "x-client-cert",
        "client-cert",
        "ssl-client-cert",
        "authorization",
        "x-vault-token",
        "x-okms-id",
        "x-forwarded-for",
        "forwarded",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "cookie",
    ] {
        for value in [&*certificate, "okms.domain:*", "127.0.0.1", &other.url("secret")] {
            let headers = [(name, value)];
            let ask = async |client: &Client, id: &str| {
                client.send(Method::GET, &format!("/api/{id}/v2/secret"), &headers, "").await
            };
            ask(&server.anonymous(), &tenant.id).await.error(401, 50_475_011);
            ask(&tenant, &other.id).await.error(404, 16_994_305);
            assert_eq!(ask(&tenant, &tenant.id).await.text(), "[]");
        }
    }
}

/// Two authorities of one name could not be told apart, so the second is refused by its file.
#[tokio::test]
async fn a_customers_authority_needs_a_name_of_its_own() {
    let (mut server, tenant) = TestServer::with_tenant().await;
    server.stop().await;
    configure_customer(&mut server, "test region CA", &tenant.id);
    let said = server.start_again().await.err().unwrap().to_string();
    assert!(said.contains("customer_ca.pem"), "{said}");
}

/// A customer's authority with this name, configured for the domain `id`.
fn configure_customer(
    server: &mut TestServer,
    name: &str,
    id: &str,
) -> (CertificateAuthority, PrivateKeyPem) {
    let moment = Timestamp::from_unix_seconds(START);
    let created = CertificateAuthority::create(name, moment, 9).unwrap();
    let certificate = server.path("customer_ca.pem");
    std::fs::write(&certificate, created.0.certificate_pem()).unwrap();
    server.config.trust.customer_ca.push(CustomerCa::new(certificate, id.parse().unwrap()));
    created
}

/// The same, and in force.
async fn trust_customer(
    server: &mut TestServer,
    name: &str,
    id: &str,
) -> (CertificateAuthority, PrivateKeyPem) {
    let created = configure_customer(server, name, id);
    server.restart().await;
    created
}

/// Another authority's certificates reach the domain that the mapping names, and no other, whatever
/// they claim.
#[tokio::test]
async fn a_customers_authority_reaches_its_domain_alone() {
    let (mut server, mapped) = TestServer::with_tenant().await;
    let other = server.tenant().await;
    mapped.create("mapped", r#"{"v":1}"#).await.ok();
    other.create("other", r#"{"v":1}"#).await.ok();
    let (customer, key) = trust_customer(&mut server, "customer CA", &mapped.id).await;
    let foreign = format!("okms.domain:{}", other.id);
    let hand_made = |upns: &[&str]| mint(&customer, &key, &Leaf { upns, ..Leaf::default() });
    for pair in [
        hand_made(&[]),
        hand_made(&["okms.domain:*"]),
        hand_made(&[&foreign]),
        hand_made(&["somebody@example.com"]),
        issue(&customer, &Subject::Operator, 5),
    ] {
        let client = server.client(Some(&pair), Some(&mapped.id), Http::One);
        assert_eq!(
            client.get("secret/mapped?includeData=true").await.data().unwrap(),
            r#"{"v":1}"#
        );
        let unknown = Client { id: UNKNOWN.to_owned(), ..client.clone() }.get("secret/other").await;
        unknown.error(404, 16_994_305);
        let elsewhere = Client { id: other.id.clone(), ..client.clone() };
        assert_eq!(elsewhere.get("secret/other").await.likeness(), unknown.likeness());
        client
            .call(Method::POST, "/v2/okms/resource", r#"{"name":"x"}"#)
            .await
            .error(403, 16_924_673);
        let seen = client.call(Method::GET, "/v2/okms/resource", "").await.ok();
        assert_eq!(seen.as_array().unwrap().len(), 1);
        assert_eq!(seen[0]["id"], mapped.id.as_str());
    }
    // What cannot be read is nobody's, also where no name would be needed.
    let unreadable =
        server.client(Some(&hand_made(&["okms.domain:x"])), Some(&mapped.id), Http::One);
    unreadable.get("secret").await.error(401, 50_475_011);
    // The region's own certificates count as before.
    server.client_of(&other.id, Http::One).get("secret/other").await.ok();
    server.operator().call(Method::GET, "/v2/okms/resource", "").await.ok();
}
