//! Every operation for every kind of caller. One table says for whom each operation is, another what
//! becomes of each caller; every row of every dialect is held to both. An operation that is in no
//! line here, or that none of the callers can do, fails.

use std::collections::BTreeSet;

use hyper::Method;
use okmsd::{
    api::{DIALECTS, Handler, ListedRoute, route_list},
    model::Timestamp,
    pki::{CertificateAuthority, PrivateKeyPem},
};
use rcgen::{ExtendedKeyUsagePurpose, KeyPair};
use serde_json::{Value, json};

use crate::{
    access::Domain,
    credentials,
    harness::{Answer, BOTH, Client, Connection, Http, Leaf, Pair, START, TestServer, mint},
    isolation::{
        SECRET, UNKNOWN, and, body, is_of_paths, is_of_uris, is_of_vault, is_partners, method,
        names_domain, url,
    },
    trust::{Signer, ca, claims, leaf, with},
};

/// For whom an operation is. A new one has to be thought about, and put in one of these lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// Everybody, certificate or not.
    All,
    /// Everybody in the domain, whatever the policies give: it is about the domain being there, about
    /// the caller's own certificate, or about what only its holder can name, as a token's text.
    Domain,
    /// The same, of tokens that the caller has made. Others' take a right.
    Own,
    /// Who brings a token.
    Bearer,
    /// Who may read the domain's secrets.
    Reader,
    /// Who may do everything in the domain.
    Admin,
    /// Who runs the region.
    Operator,
}

const OPERATIONS: &[(For, &[&str])] = &[
    (
        For::All,
        &[
            "GetOpenApi",
            "Swagger",
            "SwaggerAsset",
            "Root",
            "GetRevocationList",
            "GetRevocation",
            "VaultHealth",
            "VaultSealStatus",
            "VaultLeader",
            "VaultInitStatus",
        ],
    ),
    (
        For::Domain,
        &[
            "GetResource",
            "PathWhoAmI",
            "GetQuota",
            "VaultRateQuotas",
            "VaultReadRateQuota",
            // Each sees its own.
            "ListResources",
            // Its own.
            "RenewCredential",
            // About itself; about others `access` asks.
            "PostPolicyTest",
            "VaultUserLogin",
            "VaultAuthMethods",
            "VaultReadAuthMethod",
            "VaultReadAuthTune",
            // That they are there already.
            "VaultEnableAuth",
            "VaultUiMounts",
            "VaultLogin",
            // With no more than its maker has.
            "VaultCreateToken",
            "VaultLookupToken",
            "VaultRenewToken",
            "VaultRevokeToken",
            "VaultCapabilities",
            "VaultCapabilitiesOfToken",
            "VaultRandom",
            "VaultWrap",
            "VaultUnwrap",
            "VaultLookupWrapped",
            "VaultRewrap",
            // That there is nothing.
            "VaultNotServed",
            "VaultUnrouted",
        ],
    ),
    (
        For::Own,
        &[
            "VaultLookupAccessor",
            "VaultRenewAccessor",
            "VaultRevokeAccessor",
            "VaultCapabilitiesOfAccessor",
        ],
    ),
    (For::Bearer, &["VaultLookupSelf", "VaultRenewSelf", "VaultRevokeSelf"]),
    (
        For::Reader,
        &[
            "GetSecretConfigV2",
            "ListSecretV2",
            "ListEventsV2",
            "GetSecretV2",
            "GetSecretVersionV2",
            "ListSecretVersionV2",
            "ListCredentials",
            "GetCredential",
            "GetSecretRequest",
            "GetSecretsMetadata",
            "ListSecretsMetadata",
            "ListDetailedMetadata",
            "GetSecretSubkeys",
            "GetSecretConfig",
            "VaultMounts",
            "VaultUiMount",
            "VaultReadMount",
            "VaultReadTune",
            "VaultRemountStatus",
            "PathListSecrets",
            "PathExpiringSecrets",
            "PathReadBatch",
            "PathReadMetadata",
            "PathListVersions",
            "PathReadSecret",
            "PathListRotationPolicies",
            "PathListRotations",
            "PathReadRotationPolicy",
            "PathListSecretPolicies",
            "PathReadSecretPolicy",
            "UriReadFile",
            "UriReadValue",
            "UriListMetadata",
            "UriSearch",
            "UriReadKeys",
            "UriReadMetadata",
            "UriListVersions",
            "UriAudit",
            "UriEvents",
        ],
    ),
    (
        For::Admin,
        &[
            "PutSecretConfigV2",
            "PostSecretV2",
            "CopySecretsV2",
            "MoveSecretsV2",
            "PutSecretV2",
            "DeleteSecretV2",
            "PostSecretVersionV2",
            "PutSecretVersionV2",
            "ListPolicies",
            "PostPolicy",
            "GetPolicy",
            "PutPolicy",
            "DeletePolicy",
            "ListAudit",
            "GetUsage",
            "ListRules",
            "GetRule",
            "PutRule",
            "DeleteRule",
            "ListCustomerCas",
            "GetCustomerCa",
            "PutCustomerCa",
            "DeleteCustomerCa",
            "GetCustomerCaList",
            "PutCustomerCaList",
            "DeleteCustomerCaList",
            "PostSecretRequest",
            "PatchSecretRequest",
            "DeleteSecretRequest",
            "PostSecretMetadata",
            "PatchSecretMetadata",
            "DeleteSecretMetadata",
            "DeleteSecretVersions",
            "PostSecretUndelete",
            "PutSecretDestroy",
            "VaultCopySecrets",
            "VaultMoveSecrets",
            "PostSecretConfig",
            "VaultEnable",
            "VaultTune",
            "VaultDisable",
            "VaultRemount",
            "VaultListAccessors",
            "VaultUsers",
            "VaultReadUser",
            "VaultWriteUser",
            "VaultSetPassword",
            "VaultSetUserPolicies",
            "VaultDeleteUser",
            "VaultPolicies",
            "VaultReadPolicy",
            "VaultPoliciesOld",
            "VaultReadPolicyOld",
            "VaultWritePolicy",
            "VaultWritePolicyOld",
            "VaultDeletePolicy",
            "VaultCertRoles",
            "VaultReadCertRole",
            "VaultWriteCertRole",
            "VaultDeleteCertRole",
            "PathWriteSecret",
            "PathPatchSecret",
            "PathDeleteSecret",
            "PathRestoreSecret",
            "PathRotateSecret",
            "PathRotatePolicySecrets",
            "PathCreateRotationPolicy",
            "PathPatchRotationPolicy",
            "PathDeleteRotationPolicy",
            "PathEnableRotationPolicy",
            "PathDisableRotationPolicy",
            "PathAttachRotationPolicy",
            "PathDetachRotationPolicy",
            "PathListDueSecrets",
            "PathCreateSecretPolicy",
            "PathPatchSecretPolicy",
            "PathDeleteSecretPolicy",
            "PathPreviewSecretPolicy",
            "UriWriteSecret",
            "UriDeleteSecret",
            "UriRotateSecret",
            "UriSetOwner",
            "UriUndeleteVersions",
            "UriDestroyVersions",
            "UriBulk",
            "UriCopySecret",
            "UriMoveSecret",
        ],
    ),
    (
        For::Operator,
        &[
            "PostResource",
            "PutResource",
            "PostCredential",
            "DeleteCredential",
            "PostRevocation",
            "PutQuota",
            "DeleteQuota",
            "VaultWriteRateQuota",
            "VaultDeleteRateQuota",
            "VaultAuditDevices",
            "VaultEnableAuditDevice",
            "VaultDisableAuditDevice",
            "VaultAuditHash",
            "VaultMetrics",
        ],
    ),
];

/// All routes; HEAD is answered as GET is, without the text that tells why.
fn routes() -> Vec<ListedRoute> {
    route_list(DIALECTS).into_iter().filter(|route| route.method != "HEAD").collect()
}

/// For whom the route's operation is.
fn whose(route: &ListedRoute) -> For {
    let id = route.operation.id;
    let mut lines = OPERATIONS.iter().filter(|(_, ids)| ids.contains(&id));
    let line =
        lines.next().unwrap_or_else(|| panic!("{id} is in no line of this table: for whom?"));
    assert!(lines.next().is_none(), "{id} is in two lines");
    line.0
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// 401: it came from nobody.
    Nobody,
    /// There is no such domain, for this caller.
    NoDomain,
    /// The policies do not allow it.
    Forbidden,
    /// A token is what it is about, and none came.
    NoToken,
    /// It was let through to the operation, whatever that made of it.
    LetIn,
}

pub(super) fn outcome(answer: &Answer) -> Outcome {
    let is_served = answer.status != 501;
    assert!(!is_served || !answer.status.is_server_error(), "a failure of our own: {answer:?}");
    let is_refusal = matches!(answer.status.as_u16(), 401 | 403);
    assert!(!is_refusal || !answer.body.is_empty(), "a refusal that says nothing: {answer:?}");
    if !answer.status.is_client_error() || answer.body.is_empty() {
        return Outcome::LetIn;
    }
    if let Some(code) = answer.json()["code"].as_str() {
        return match (answer.status.as_u16(), code) {
            (401, "UNAUTHENTICATED") => Outcome::Nobody,
            (403, "TENANT_ACCESS_DENIED") => Outcome::NoDomain,
            (403, "SECRET_AUTHZ_FAILED") => Outcome::Forbidden,
            (401 | 403, _) => panic!("a refusal of a kind that is not known: {answer:?}"),
            _ => Outcome::LetIn,
        };
    }
    if let Some(code) = answer.json()["error"]["code"].as_str() {
        let text = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        return match (answer.status.as_u16(), code) {
            (401, "authentication_required") => Outcome::Nobody,
            (403, "access_denied") if text.contains("no such domain") => Outcome::NoDomain,
            (403, "access_denied") => Outcome::Forbidden,
            (401 | 403, _) => panic!("a refusal of a kind that is not known: {answer:?}"),
            _ => Outcome::LetIn,
        };
    }
    match (answer.status.as_u16(), answer.json()["error_code"].as_u64().unwrap_or_default()) {
        (401, 50_475_011) => Outcome::Nobody,
        (403 | 404, 16_994_305) => Outcome::NoDomain,
        (403, 16_924_673) => Outcome::Forbidden,
        (403, 50_475_011) => Outcome::NoToken,
        (401 | 403, _) => panic!("a refusal of a kind that is not known: {answer:?}"),
        _ => Outcome::LetIn,
    }
}

/// Somebody who asks, over one connection as long as that is open.
struct Caller {
    name: &'static str,
    client: Client,
    token: Option<String>,
    connection: Option<Connection>,
}

impl Caller {
    fn new(name: &'static str, client: Client) -> Self {
        Self { name, client, token: None, connection: None }
    }

    /// The same certificate with a token that a login gives.
    async fn with_token(name: &'static str, client: &Client, at: &str, body: &Value) -> Self {
        let at = format!("/api/{}/v1/{at}", client.id);
        let made = client.call(Method::POST, &at, &body.to_string()).await.ok();
        let token = made["auth"]["client_token"].as_str().unwrap().to_owned();
        Self { token: Some(token), ..Self::new(name, client.clone()) }
    }

    /// Asks for the route in the domain `id`, with a body with which it would go on.
    async fn ask(&mut self, route: &ListedRoute, id: &str) -> Answer {
        let of_secret = SECRET;
        let at = and(&url(route, id, of_secret), "includeData=true");
        let media = match route.method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let mut headers = vec![("content-type", media)];
        // Either header will do there.
        let takes_bearers = |route| is_of_paths(route) || is_of_uris(route);
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        headers.extend(match (&self.token, &bearer) {
            (Some(_), Some(bearer)) if takes_bearers(route) && self.client.http == Http::One => {
                Some(("authorization", &**bearer))
            }
            (token, _) => token.as_deref().map(|token| ("x-vault-token", token)),
        });
        let mut connection = match self.connection.take() {
            Some(open) => open,
            None => self.client.connect().await,
        };
        let answer = connection.send(method(route), &at, &headers, body(route, of_secret)).await;
        let ends = answer.headers.get("connection").is_some_and(|value| value == "close");
        self.connection = (!ends).then_some(connection);
        answer
    }

    /// What becomes of the route in the domain `id`.
    async fn tries(&mut self, route: &ListedRoute, id: &str, expected: Outcome) -> Answer {
        let answer = self.ask(route, id).await;
        assert_eq!(
            outcome(&answer),
            expected,
            "{} over {:?}: {} {}: {answer:?}",
            self.name,
            self.client.http,
            route.method,
            route.pattern
        );
        answer
    }
}

/// Everything that can be seen in the domain.
async fn contents(admin: &Client) -> Vec<String> {
    let (v1, central) =
        (format!("/api/{}/v1", admin.id), format!("/v2/okms/resource/{}", admin.id));
    let mut connection = admin.connect().await;
    let mut seen = Vec::new();
    for (method, at) in [
        ("GET", admin.url("secret")),
        ("GET", admin.url("secretConfig")),
        ("GET", admin.url(&format!("secret/{SECRET}?includeData=true"))),
        ("GET", admin.url(&format!("secret/{SECRET}/version"))),
        ("GET", central.clone()),
        ("GET", format!("{central}/policy")),
        ("GET", format!("{central}/rule")),
        ("GET", format!("{central}/ca")),
        ("GET", format!("{central}/credential")),
        ("GET", format!("{v1}/sys/mounts")),
        ("GET", format!("{v1}/secret/config")),
        ("LIST", format!("{v1}/sys/policies/acl")),
        ("LIST", format!("{v1}/auth/token/accessors")),
        ("LIST", format!("{v1}/auth/userpass/users")),
        ("GET", format!("{v1}/auth/userpass/users/ann")),
    ] {
        let answer = connection.send(method.parse().unwrap(), &at, &[], "").await;
        assert_eq!(outcome(&answer), Outcome::LetIn, "{at}");
        seen.push(answer.likeness());
    }
    seen
}

/// What a domain has at the beginning, and who is in it.
async fn domain() -> Domain {
    let domain = Domain::new().await;
    domain.admin.create(SECRET, r#"{"v":1}"#).await.ok();
    for (name, policy) in [("nothing", "nothing"), ("reader", "read-only"), ("keeper", "admin")] {
        domain.rule(name, &[policy]).await;
    }
    domain
}

/// Certificates that TLS itself turns away: their holders cannot ask for any operation, so one try of
/// each is for all.
fn turned_away(domain: &Domain, upn: &str) -> Vec<(&'static str, Pair)> {
    let server = &domain.server;
    let upns = [upn];
    let right = || Leaf { upns: &upns, ..Leaf::default() };
    let moment = Timestamp::from_unix_seconds(START);
    let (other, other_key) = CertificateAuthority::create("other CA", moment, 9).unwrap();
    let (twin, twin_key) = CertificateAuthority::create("test region CA", moment, 9).unwrap();
    let own_key = KeyPair::generate().unwrap();
    let certificate = claims(leaf(), upn).self_signed(&own_key).unwrap().pem();
    let own_key = PrivateKeyPem::parse(own_key.serialize_pem()).unwrap();
    let usage = ExtendedKeyUsagePurpose::ServerAuth;
    // The region's authority bears none below it. Where one does, `trust` tells what they are told.
    let below = Signer::region(server).below(ca("an authority below"));
    vec![
        ("expired", server.mint(&Leaf { valid: START - 100..=START - 1, ..right() })),
        ("not yet valid", server.mint(&Leaf { valid: START + 1..=START + 100, ..right() })),
        ("self-signed", Pair { certificate, key: own_key }),
        ("of another authority", mint(&other, &other_key, &right())),
        ("of an authority of the same name", mint(&twin, &twin_key, &right())),
        ("for servers", server.mint(&Leaf { usage, ..right() })),
        ("of an authority below", below.pair(&claims(leaf(), upn), &[&below])),
        ("an authority's", server.mint(&Leaf { is_ca: true, ..right() })),
    ]
}

/// A certificate that an authority below the region's has signed, which TLS lets pass: the region's name and
/// key are certified anew, and the path may be longer.
fn indirect(server: &TestServer, upn: &str) -> Pair {
    let region = Signer::region(server);
    let again = with(ca("test region CA"), |ca| ca.not_after += time::Duration::days(3650));
    let again = again.self_signed(region.issuer.key()).unwrap().pem();
    std::fs::write(server.path("region_ca.pem"), again).unwrap();
    server.reloader.reload(&server.config).unwrap();
    let below = region.below(ca("an authority below"));
    below.pair(&claims(leaf(), upn), &[&below])
}

/// Those whom TLS lets in and who are nobody, and what each is told.
async fn nobodies(domain: &Domain, upn: &str) -> Vec<(&'static str, Client, &'static str)> {
    let server = &domain.server;
    let id = &domain.admin.id;
    let client = |pair: &Pair| server.client(Some(pair), Some(id), Http::One);
    let named = |upns: &[&str]| client(&server.mint(&Leaf { upns, ..Leaf::default() }));
    let foreign = format!("okms.domain:{UNKNOWN}");
    let (revoked, issued) = credentials::holder(server, id, 30).await;
    assert_eq!(credentials::revoke(server, &issued, id, "").await.status, 204);
    let anonymous = Client { id: id.clone(), ..server.anonymous() };
    vec![
        ("no certificate", anonymous, "no client certificate"),
        ("two domains", named(&[upn, &foreign]), "cannot be read"),
        ("a NUL", named(&[&format!("{upn}\0")]), "cannot be read"),
        ("revoked", revoked, "was revoked"),
        ("of an authority below", client(&indirect(server, upn)), "of one below it"),
    ]
}

/// What has no place in Vault's dialect, so that no policy in its language gives it.
const NOT_OF_VAULT: &[&str] = &[
    "ListCredentials",
    "GetCredential",
    "ListAudit",
    "GetUsage",
    "ListCustomerCas",
    "GetCustomerCa",
    "PutCustomerCa",
    "DeleteCustomerCa",
    "GetCustomerCaList",
    "PutCustomerCaList",
    "DeleteCustomerCaList",
];

/// What the policy `narrow` gives: a secret's data.
const OF_NARROW: &[&str] = &[
    "GetSecretRequest",
    "VaultUiMount",
    "PathReadSecret",
    "PathReadBatch",
    "UriReadValue",
    "UriReadFile",
];

/// Somebody of the domain itself, for whom what is for these is, or these operations are, and all the same
/// not those.
struct Member {
    caller: Caller,
    kinds: Vec<For>,
    also: &'static [&'static str],
    but: &'static [&'static str],
}

impl Member {
    fn new(caller: Caller, kinds: &[For]) -> Self {
        let kinds = [&[For::All, For::Domain], kinds].concat();
        Self { caller, kinds, also: &[], but: &[] }
    }
}

/// Those of the domain itself.
async fn members(domain: &Domain) -> Vec<Member> {
    let admin = &domain.admin;
    let at = |rest: &str| format!("/api/{}/v1/{rest}", admin.id);
    let put = async |rest: &str, body: Value| {
        let answer = admin.call(Method::PUT, &at(rest), &body.to_string()).await;
        assert_eq!(answer.status, 204, "{rest}: {answer:?}");
    };
    let narrow = r#"path "secret/data/app/*" { capabilities = ["read"] }"#;
    put("sys/policies/acl/narrow", json!({ "policy": narrow })).await;
    let everything = r#"path "*" {
        capabilities = ["create", "read", "update", "patch", "delete", "list", "scan", "sudo"]
    }"#;
    put("sys/policies/acl/everything", json!({ "policy": everything })).await;
    domain.rule("of-vault", &["everything"]).await;
    domain.rule("of-iam", &[]).await;
    domain.policy("of-iam", &["*"], json!({"allow": ["*"]})).await;
    let [nothing, reader, keeper, of_vault, of_iam] =
        ["nothing", "reader", "keeper", "of-vault", "of-iam"]
            .map(|name| domain.client(name, Http::One));
    let user = json!({"password": "correct horse", "policies": "read-only"});
    put("auth/userpass/users/ann", user).await;
    // Of whom the certificate makes nothing.
    let (at_login, password) = ("auth/userpass/login/ann", json!({"password": "correct horse"}));
    let user = Caller::with_token("a user's token", &nothing, at_login, &password).await;
    let less = json!({"policies": ["narrow"]});
    let less = Caller::with_token("a token with less", &keeper, "auth/token/create", &less).await;
    let all = [For::Own, For::Reader, For::Admin];
    vec![
        Member::new(Caller::new("a certificate without rights", nothing), &[]),
        Member::new(Caller::new("a certificate that may read", reader), &[For::Reader]),
        Member::new(user, &[For::Bearer, For::Reader]),
        Member { also: OF_NARROW, ..Member::new(less, &[For::Bearer]) },
        Member::new(Caller::new("a certificate with all rights", keeper), &all),
        Member::new(Caller::new("a certificate with all that IAM's words give", of_iam), &all),
        Member {
            but: NOT_OF_VAULT,
            ..Member::new(Caller::new("a certificate with all of Vault's paths", of_vault), &all)
        },
    ]
}

/// A domain whose partner is this one: it reads what that one keeps.
async fn tenant_of(domain: &Domain) -> Client {
    let tenant = domain.server.tenant().await;
    let partner = json!({"partner": domain.admin.id}).to_string();
    let at = format!("/v2/okms/resource/{}", tenant.id);
    domain.server.operator().call(Method::PUT, &at, &partner).await.ok();
    tenant
}

#[tokio::test]
async fn every_operation_for_every_caller() {
    let domain = domain().await;
    let (server, id) = (&domain.server, &domain.admin.id);
    let upn = format!("okms.domain:{id}");
    // It is a partner, so that what partners keep is its own.
    let tenant = tenant_of(&domain).await;
    let routes = routes();
    let ids: BTreeSet<_> = routes.iter().map(|route| route.operation.id).collect();
    for id in OPERATIONS.iter().flat_map(|(_, ids)| *ids) {
        assert!(ids.contains(id), "there is no operation {id} any more");
    }
    let mut reached = BTreeSet::new();
    let before = contents(&domain.admin).await;

    for (name, pair) in turned_away(&domain, &upn) {
        for http in BOTH {
            let client = server.client(Some(&pair), Some(id), http);
            assert!(client.is_refused_in_tls().await, "{name} {http:?}");
        }
    }
    assert_eq!(contents(&domain.admin).await, before);

    for (name, client, words) in nobodies(&domain, &upn).await {
        let before = contents(&domain.admin).await;
        for http in BOTH {
            let mut caller = Caller::new(name, client.over(http));
            for route in &routes {
                if whose(route) == For::All {
                    caller.tries(route, id, Outcome::LetIn).await;
                    reached.insert(route.operation.id);
                    continue;
                }
                let answer = caller.tries(route, id, Outcome::Nobody).await;
                assert!(answer.text().contains(words), "{name}: {answer:?}");
            }
        }
        assert_eq!(contents(&domain.admin).await, before, "{name}");
    }

    let before = contents(&domain.admin).await;
    let stranger = server.tenant().await;
    for http in BOTH {
        let mut caller = Caller::new("a certificate of another domain", stranger.over(http));
        for route in &routes {
            let is_of_domain = matches!(route.operation.handler, Handler::Tenant(_));
            if is_of_domain && names_domain(route) {
                let foreign = caller.tries(route, id, Outcome::NoDomain).await;
                let unknown = caller.tries(route, UNKNOWN, Outcome::NoDomain).await;
                assert_eq!(foreign.likeness(), unknown.likeness(), "{}", route.pattern);
                continue;
            }
            if is_partners(route) {
                // It has none, and learns nothing of others'.
                let answer = caller.ask(route, id).await;
                crate::lifecycle::refused(&answer, 404, "secret_not_found");
                continue;
            }
            // What names no domain is its own's, where it may do everything.
            let expected = match whose(route) {
                For::Bearer => Outcome::NoToken,
                For::Operator => Outcome::Forbidden,
                _ => Outcome::LetIn,
            };
            let answer = caller.tries(route, id, expected).await;
            let told = String::from_utf8_lossy(&answer.body);
            assert!(!told.contains(id.as_str()), "{}: {answer:?}", route.pattern);
        }
    }
    assert_eq!(contents(&domain.admin).await, before, "a certificate of another domain");

    for http in BOTH {
        let mut caller = Caller::new("a tenant of the partner's", tenant.over(http));
        for route in routes.iter().filter(|route| is_partners(route)) {
            let reads = whose(route) == For::Reader;
            let expected = if reads { Outcome::LetIn } else { Outcome::Forbidden };
            let answer = caller.tries(route, id, expected).await;
            assert_eq!(answer.status == 200, reads, "{}: {answer:?}", route.pattern);
        }
    }
    assert_eq!(contents(&domain.admin).await, before, "a tenant of the partner's");

    for Member { mut caller, kinds, also, but } in members(&domain).await {
        let is_bearer = caller.token.is_some();
        // The others have no tokens: there the certificate counts, as without one.
        let has_tokens =
            |route: &ListedRoute| is_of_vault(route) || is_of_paths(route) || is_of_uris(route);
        let asked = |route: &&ListedRoute| !is_bearer || has_tokens(route);
        let expected = |route: &ListedRoute| match whose(route) {
            _ if but.contains(&route.operation.id) => Outcome::Forbidden,
            kind if kinds.contains(&kind) || also.contains(&route.operation.id) => Outcome::LetIn,
            For::Bearer => Outcome::NoToken,
            _ => Outcome::Forbidden,
        };
        // First what is refused, which changes nothing.
        let (allowed, refused): (Vec<_>, Vec<_>) =
            routes.iter().filter(asked).partition(|route| expected(route) == Outcome::LetIn);
        let before = contents(&domain.admin).await;
        for http in BOTH {
            caller = Caller { client: caller.client.over(http), connection: None, ..caller };
            for route in &refused {
                caller.tries(route, id, expected(route)).await;
            }
        }
        assert_eq!(contents(&domain.admin).await, before, "{}", caller.name);
        // The end of the token last.
        let ends = |route: &&&ListedRoute| route.operation.id == "VaultRevokeSelf";
        let others = allowed.iter().filter(|route| !ends(route));
        for http in BOTH {
            caller = Caller { client: caller.client.over(http), connection: None, ..caller };
            for route in others.clone() {
                if whose(route) == For::Admin {
                    domain.admin.create(SECRET, r#"{"v":1}"#).await;
                }
                caller.tries(route, id, Outcome::LetIn).await;
                reached.insert(route.operation.id);
            }
        }
        if let Some(end) = allowed.iter().find(ends) {
            caller.tries(end, id, Outcome::LetIn).await;
            reached.insert(end.operation.id);
            caller.tries(end, id, Outcome::NoToken).await;
        }
    }

    let mut operator = Caller::new("an operator", Client { id: id.clone(), ..server.operator() });
    for route in routes.iter().filter(|route| whose(route) == For::Operator) {
        operator.tries(route, id, Outcome::LetIn).await;
        reached.insert(route.operation.id);
    }
    let missed: Vec<_> = ids.difference(&reached).collect();
    assert!(missed.is_empty(), "nobody can do {missed:?}");
}

/// Where the operator lets users in without a certificate, the login is open to who has none, and to who
/// brings the token of one what the user may, in Vault's dialect; everything else is as shut as before.
#[tokio::test]
async fn every_operation_without_a_certificate() {
    let mut domain = domain().await;
    domain.server.config.access.users_without_certificate = true;
    domain.server.reloader.reload(&domain.server.config).unwrap();
    let (server, id) = (&domain.server, &domain.admin.id);
    let user = json!({"password": "correct horse", "policies": "read-only"}).to_string();
    let at = format!("/api/{id}/v1/auth/userpass/users/ann");
    assert_eq!(domain.admin.call(Method::PUT, &at, &user).await.status, 204);
    let nobody = Client { id: id.clone(), ..server.anonymous() };
    let (login, password) = ("auth/userpass/login/ann", json!({"password": "correct horse"}));
    let visitor = Caller::with_token("a visitor's token", &nobody, login, &password).await;
    let before = contents(&domain.admin).await;
    for caller in [Caller::new("nobody", nobody), visitor] {
        let is_bearer = caller.token.is_some();
        let expected = |route: &ListedRoute| match (route.operation.id, whose(route)) {
            (_, For::All) => Outcome::LetIn,
            ("VaultUserLogin", _) if names_domain(route) => Outcome::LetIn,
            _ if !is_bearer || !is_of_vault(route) => Outcome::Nobody,
            // As Vault says of a token that is worth nothing there.
            _ if !names_domain(route) => Outcome::NoToken,
            // It asks for a certificate's key.
            ("VaultLogin", _) => Outcome::NoToken,
            (_, For::Domain | For::Bearer | For::Reader) => Outcome::LetIn,
            (_, For::Own | For::Admin) => Outcome::Forbidden,
            // Of the domain, and not of the region.
            ("VaultWriteRateQuota" | "VaultDeleteRateQuota", _) => Outcome::Forbidden,
            (_, For::Operator) => Outcome::NoToken,
        };
        let mut caller = caller;
        for http in BOTH {
            caller = Caller { client: caller.client.over(http), connection: None, ..caller };
            for route in &routes() {
                // The first of these ends the token.
                let ends = route.operation.id == "VaultRevokeSelf";
                if !(is_bearer && ends) {
                    caller.tries(route, id, expected(route)).await;
                }
            }
        }
    }
    // What it stores is its own: tokens, and what it has wrapped.
    let after = contents(&domain.admin).await;
    let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    assert!(changed <= 1, "accessors alone: {before:#?} {after:#?}");
}
