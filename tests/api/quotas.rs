//! What a domain may take: rates of requests and changes, and a number of tokens. Who takes more is
//! refused, and nobody else. Rates are so slow here that nothing comes back while a test runs.

use std::time::{Duration, Instant};

use hyper::Method;
use okmsd::config::{ByteSize, Span};
use serde_json::{Value, json};

use crate::{
    harness::{Answer, Client, Connection, Http, TestServer, eventually},
    limits::{piece, post_head, says},
    wire::Wire,
};

const BUSY: u32 = 50_434_049;
const FORBIDDEN: u32 = 16_924_673;
const BAD: u32 = 50_405_377;

fn at(client: &Client) -> String {
    format!("/v2/okms/resource/{}/quota", client.id)
}

async fn set(server: &TestServer, client: &Client, quota: Value) -> Value {
    server.operator().call(Method::PUT, &at(client), &quota.to_string()).await.ok()
}

async fn forget(server: &TestServer, client: &Client) {
    let gone = server.operator().call(Method::DELETE, &at(client), "").await;
    assert_eq!(gone.status, 204, "{gone:?}");
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers[name].to_str().unwrap()
}

/// A domain that asks too fast is refused, on all its connections, by all its keys and in every
/// dialect, and told when to come back; another one and operators are not. It counts for what comes
/// after the answer, for more and for less.
#[tokio::test]
async fn a_noisy_domain_is_refused_and_a_quiet_one_is_not() {
    let (server, noisy) = TestServer::with_tenant().await;
    let quiet = server.tenant().await;
    noisy.create("kept", r#"{"word":"kept"}"#).await.ok();
    let mut connection = noisy.connect().await;
    let told = set(&server, &noisy, json!({"requestsPerSecond": 0.001, "requestsBurst": 3})).await;
    assert_eq!(
        told,
        json!({
            "own": ["requestsPerSecond"], "requestsPerSecond": 0.001, "requestsBurst": 3,
            "writesPerSecond": null, "writesBurst": null, "subjectRequestsPerSecond": null,
            "subjectRequestsBurst": null, "subjectWritesPerSecond": null, "subjectWritesBurst": null, "tokens": 100_000, "secrets": 10_000_000,
            "versionBytes": 107_374_182_400_u64, "weight": 1,
        })
    );
    for _ in 0..3 {
        connection.send(Method::GET, &noisy.url("secret/kept"), &[], "").await.ok();
    }
    let refused = connection.send(Method::GET, &noisy.url("secret/kept"), &[], "").await;
    let text = refused.error(429, BUSY);
    assert!(text.contains("the rate of requests is used up"), "{text}");
    let wait: u64 = header(&refused, "retry-after").parse().unwrap();
    assert!((900..=1000).contains(&wait), "{wait}");
    assert_eq!(header(&refused, "ratelimit"), format!(r#""requests";r=0;t={wait}"#));
    assert_eq!(header(&refused, "ratelimit-policy"), r#""requests";q=3;w=3000"#);
    // Neither a new connection, nor another key, nor another dialect is a way around.
    noisy.get("secret/kept").await.error(429, BUSY);
    let other_key = server.client_of(&noisy.id, noisy.http);
    other_key.get("secret/kept").await.error(429, BUSY);
    let kv = format!("/api/{}/v1/secret/data/kept", noisy.id);
    let in_vault = other_key.call(Method::GET, &kv, "").await;
    assert!(in_vault.error(429, BUSY).contains("used up"));
    assert!(in_vault.headers.contains_key("retry-after"));
    for _ in 0..10 {
        quiet.get("secretConfig").await.ok();
        server.operator().call(Method::GET, &noisy.url("secretConfig"), "").await.ok();
    }
    let figure = |domain: &str| {
        format!("okmsd_quota_refusals_total{{domain=\"{domain}\",reason=\"requests\"}}")
    };
    assert!(server.metric(&figure(&noisy.id)).await >= 4.0);
    // A wider one counts at once on a connection that was refused, and so does none at all.
    set(&server, &noisy, json!({"requestsPerSecond": 1000})).await;
    connection.send(Method::GET, &noisy.url("secret/kept"), &[], "").await.ok();
    set(&server, &noisy, json!({"requestsPerSecond": 0.001, "requestsBurst": 1})).await;
    while noisy.get("secretConfig").await.status != 429 {}
    forget(&server, &noisy).await;
    connection.send(Method::GET, &noisy.url("secret/kept"), &[], "").await.ok();
}

/// Changes have a rate of their own: what is refused is refused before its body is read, and stores
/// nothing, while reads go on.
#[tokio::test]
async fn a_refused_change_stores_nothing() {
    let (server, client) = TestServer::with_tenant().await;
    set(&server, &client, json!({"writesPerSecond": 0.001, "writesBurst": 2})).await;
    client.create("one", "{}").await.ok();
    client.put("secret/one", r#"{"version":{"data":{"v":2}}}"#).await.ok();
    let refused = client.create("two", "{}").await;
    assert!(refused.error(429, BUSY).contains("the rate of writes"));
    assert_eq!(header(&refused, "ratelimit-policy"), r#""writes";q=2;w=2000"#);
    client.delete("secret/one").await.error(429, BUSY);
    let mut wire = Wire::open(&client).await;
    wire.send(post_head(&client, 1, 100)).await;
    assert!(wire.read_until(says(&client, 1, "used up")).await, "{}", wire.text());
    wire.send(piece(&client, 1, &" ".repeat(100), true)).await;
    assert_eq!(client.get("secret/two").await.status, 404);
    assert_eq!(client.get("secret/one").await.ok()["version"]["id"], 2);
    forget(&server, &client).await;
    client.create("two", "{}").await.ok();
}

/// One key that asks too fast leaves its domain's others what is theirs.
#[tokio::test]
async fn a_key_has_a_rate_of_its_own() {
    let (server, noisy) = TestServer::with_tenant().await;
    let quiet = server.client_of(&noisy.id, noisy.http);
    let quota = json!({
        "subjectRequestsPerSecond": 0.001, "subjectRequestsBurst": 2,
        "requestsPerSecond": 0.001, "requestsBurst": 4,
    });
    set(&server, &noisy, quota).await;
    for _ in 0..2 {
        noisy.get("secretConfig").await.ok();
    }
    for _ in 0..10 {
        let refused = noisy.get("secretConfig").await;
        assert!(refused.error(429, BUSY).contains("the rate of subject"), "{refused:?}");
    }
    for _ in 0..2 {
        quiet.get("secretConfig").await.ok();
    }
    let third = server.client_of(&noisy.id, noisy.http);
    assert!(third.get("secretConfig").await.error(429, BUSY).contains("the rate of requests"));
}

/// What counts for everybody is set in the config, and what is set for one domain counts for that,
/// also after a restart.
#[tokio::test]
async fn a_quota_is_kept_and_the_config_counts_for_others() {
    let mut server =
        TestServer::start_with(|config| config.limits.subject_requests_per_second = 1).await;
    let (own, other) = (server.tenant().await, server.tenant().await);
    set(&server, &own, json!({"subjectRequestsPerSecond": 100_000, "tokens": 7})).await;
    server.restart().await;
    let (own, other) = (server.at(&own), server.at(&other));
    let operator = server.operator();
    let shown = operator.call(Method::GET, &at(&own), "").await.ok();
    assert_eq!(shown["own"], json!(["subjectRequestsPerSecond", "tokens"]));
    assert_eq!((&shown["tokens"], &shown["subjectRequestsBurst"]), (&json!(7), &json!(1_000_000)));
    let shown = operator.call(Method::GET, &at(&other), "").await.ok();
    assert_eq!(shown["own"], json!([]));
    assert_eq!(
        (&shown["subjectRequestsPerSecond"], &shown["subjectRequestsBurst"]),
        (&json!(1), &json!(10))
    );
    for _ in 0..30 {
        own.get("secretConfig").await.ok();
    }
    while other.get("secretConfig").await.status != 429 {}
    let other_figure = "okmsd_quota_refusals_total{domain=\"other\",reason=\"subject\"}";
    assert!(server.metric(other_figure).await >= 1.0);
}

/// The other rates of the config: whoever asks on is refused some time.
#[tokio::test]
async fn rates_of_the_config_count_for_everybody() {
    let server = TestServer::start_with(|config| {
        config.limits.domain_requests_per_second = 2;
        config.limits.domain_writes_per_second = 1;
    })
    .await;
    let client = server.tenant().await;
    let mut connection = client.connect().await;
    let refused = async |connection: &mut Connection, method: &Method, at: &str| {
        loop {
            let answer = connection
                .send(method.clone(), &client.url(at), &[], r#"{"max_versions":3}"#)
                .await;
            if answer.status == 429 {
                break answer.error(429, BUSY);
            }
        }
    };
    let told = refused(&mut connection, &Method::PUT, "secretConfig").await;
    assert!(told.contains("the rate of writes"), "{told}");
    let told = refused(&mut connection, &Method::GET, "secretConfig").await;
    assert!(told.contains("the rate of requests"), "{told}");
    let server = TestServer::start_with(|config| config.limits.subject_writes_per_second = 1).await;
    let client = server.tenant().await;
    let mut connection = client.connect().await;
    let told = refused(&mut connection, &Method::PUT, "secretConfig").await;
    assert!(told.contains("the rate of subject-writes"), "{told}");
    client.get("secretConfig").await.ok();
}

/// Another process over the same store refuses within a second.
#[tokio::test]
async fn another_process_learns_of_it() {
    let (server, _, second) = TestServer::two_processes().await;
    let tenant = server.tenant().await;
    let (address, stopper) = (second.address(), second.stopper());
    let running = tokio::spawn(second.run());
    let elsewhere = Client { address, ..tenant.clone() };
    let mut connection = elsewhere.connect().await;
    connection.send(Method::GET, &tenant.url("secretConfig"), &[], "").await.ok();
    set(&server, &tenant, json!({"requestsPerSecond": 0.001, "requestsBurst": 1})).await;
    let mut told = Instant::now();
    while connection.send(Method::GET, &tenant.url("secretConfig"), &[], "").await.status != 429 {
        assert!(told.elapsed() < Duration::from_secs(1), "within a second");
    }
    forget(&server, &tenant).await;
    told = Instant::now();
    while connection.send(Method::GET, &tenant.url("secretConfig"), &[], "").await.status != 200 {
        assert!(told.elapsed() < Duration::from_secs(1), "within a second");
    }
    stopper.stop();
    running.await.unwrap();
}

/// Operators set quotas; a domain sees its own, and changes nothing.
#[tokio::test]
async fn operators_alone_set_quotas() {
    let (server, client) = TestServer::with_tenant().await;
    let other = server.tenant().await;
    client.call(Method::GET, &at(&client), "").await.ok();
    assert_eq!(other.call(Method::GET, &at(&client), "").await.status, 404);
    for method in [Method::PUT, Method::DELETE] {
        let refused = client.call(method, &at(&client), r#"{"tokens":1}"#).await;
        refused.error(403, FORBIDDEN);
    }
    let operator = server.operator();
    for body in [
        r#"{"requestsPerSecond":0}"#,
        r#"{"requestsPerSecond":-1}"#,
        r#"{"requestsPerSecond":"10"}"#,
        r#"{"requestsPerSecond":1e3}"#,
        r#"{"requestsPerSecond":0.0001}"#,
        r#"{"writesPerSecond":1,"writesBurst":0}"#,
        r#"{"writesBurst":5}"#,
        r#"{"tokens":0}"#,
        r#"{"tokens":1.5}"#,
        r#"{"secrets":0}"#,
        r#"{"versionBytes":"1 GiB"}"#,
        r#"{"versionBytes":1125899906842625}"#,
        r#"{"request_per_second":1}"#,
        "[]",
    ] {
        operator.call(Method::PUT, &at(&client), body).await.error(400, BAD);
    }
    assert_eq!(operator.call(Method::GET, &at(&client), "").await.ok()["own"], json!([]));
}

fn login(client: &Client) -> String {
    format!("/api/{}/v1/auth/cert/login", client.id)
}

/// A domain could fill the store with tokens. Those that were ended and those that are over leave
/// room for others, and another domain has its own.
#[tokio::test]
async fn tokens_are_bounded() {
    let server = TestServer::start_with(|config| {
        config.tokens.default_ttl = Span(Duration::from_secs(3600));
        config.limits.domain_tokens = 5;
    })
    .await;
    let (client, other) = (server.tenant().await, server.tenant().await);
    let make = async |client: &Client| client.call(Method::POST, &login(client), "{}").await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let made = make(&client).await.ok();
        tokens.push(made["auth"]["client_token"].as_str().unwrap().to_owned());
    }
    // One key took all that the domain may have: it leaves as much free as it has, about.
    let refused = make(&client).await;
    assert!(refused.error(429, BUSY).contains("your key as many as it leaves"), "{refused:?}");
    let [second, third, fourth] = [(); 3].map(|()| server.client_of(&client.id, Http::One));
    make(&second).await.ok();
    make(&second).await.error(429, BUSY);
    make(&third).await.ok();
    // What was counted anew says the same.
    server.clock.advance(61);
    make(&client).await.error(429, BUSY);
    let refused = make(&fourth).await;
    assert!(refused.error(429, BUSY).contains("as many tokens as it may"), "{refused:?}");
    assert_eq!(header(&refused, "retry-after"), "60");
    let users = format!("/api/{}/v1/auth/token/create", client.id);
    client
        .send(Method::POST, &users, &[("x-vault-token", &tokens[0])], "{}")
        .await
        .error(429, BUSY);
    make(&other).await.ok();
    let figure = "okmsd_quota_refusals_total{domain=\"other\",reason=\"tokens\"}";
    assert!(server.metric(figure).await >= 2.0);
    // Ended, and another one at once.
    let own = format!("/api/{}/v1/auth/token/revoke-self", client.id);
    let gone = client.send(Method::POST, &own, &[("x-vault-token", &tokens[0])], "").await;
    assert_eq!(gone.status, 204);
    make(&fourth).await.ok();
    make(&client).await.error(429, BUSY);
    // Over, and all of them are free.
    server.clock.advance(3602);
    for _ in 0..3 {
        make(&client).await.ok();
    }
    make(&client).await.error(429, BUSY);
    set(&server, &client, json!({"tokens": 7})).await;
    make(&client).await.ok();
    make(&client).await.error(429, BUSY);
    set(&server, &other, json!({"tokens": 1})).await;
    server.clock.advance(3602);
    make(&other).await.ok();
    make(&other).await.error(429, BUSY);
}

/// What others' processes have made counts, after a minute at the latest.
#[tokio::test]
async fn tokens_of_another_process_count() {
    let (server, _, second) = TestServer::two_processes().await;
    let tenant = server.tenant().await;
    let (address, stopper) = (second.address(), second.stopper());
    let running = tokio::spawn(second.run());
    let elsewhere = Client { address, ..tenant.clone() };
    set(&server, &tenant, json!({"tokens": 10})).await;
    let make = async |client: &Client| client.call(Method::POST, &login(client), "{}").await;
    make(&tenant).await.ok();
    for _ in 0..4 {
        make(&elsewhere).await.ok();
    }
    make(&elsewhere).await.error(429, BUSY);
    server.clock.advance(61);
    make(&tenant).await.error(429, BUSY);
    stopper.stop();
    running.await.unwrap();
}

async fn usage(client: &Client) -> Value {
    client.call(Method::GET, &at(client).replace("quota", "usage"), "").await.ok()
}

/// What a domain has is told to itself and to operators, exactly and in whichever dialect it was
/// written, also after a restart; and by metrics of those that have quotas of their own.
#[tokio::test]
async fn usage_is_told() {
    let (mut server, client) = TestServer::with_tenant().await;
    let other = server.tenant().await;
    let nothing = json!({"requests": 1, "secrets": 0, "tokens": 0, "versionBytes": 0});
    assert_eq!(usage(&client).await, nothing);
    client.create("one", r#"{"a":1}"#).await.ok();
    client.create("two", r#"{"b":22}"#).await.ok();
    let kv = format!("/api/{}/v1/secret/data/one", client.id);
    client.call(Method::POST, &kv, r#"{"data":{"c":333}}"#).await.ok();
    client.call(Method::POST, &login(&client), "{}").await.ok();
    let told = usage(&client).await;
    // Seven bytes, eight, and nine.
    assert_eq!((&told["secrets"], &told["versionBytes"]), (&json!(2), &json!(24)));
    assert_eq!((&told["tokens"], &told["requests"]), (&json!(1), &json!(6)));
    // A version that is destroyed, and a secret with all that it had.
    client.put("secret/one/version/1", r#"{"state":"deleted"}"#).await.ok();
    assert_eq!(usage(&client).await["versionBytes"], 17);
    assert_eq!(client.delete("secret/two").await.status, 204);
    let by_operator = at(&client).replace("quota", "usage");
    let told = server.operator().call(Method::GET, &by_operator, "").await.ok();
    assert_eq!((&told["secrets"], &told["versionBytes"]), (&json!(1), &json!(9)));
    assert_eq!(usage(&other).await, nothing);
    assert_eq!(
        other.call(Method::GET, &at(&client).replace("quota", "usage"), "").await.status,
        404
    );
    set(&server, &client, json!({"tokens": 7})).await;
    let figure = |name: &str| format!("okmsd_domain_{name}{{domain=\"{}\"}}", client.id);
    for (name, number) in [("secrets", 1.0), ("version_bytes", 9.0), ("tokens", 1.0)] {
        assert!((server.metric(&figure(name)).await - number).abs() < 0.1, "{name}");
    }
    assert!(server.metric(&figure("requests_total")).await >= 8.0);
    assert!(!server.admin("/metrics").await.1.contains(&other.id), "it has no quota of its own");
    server.restart().await;
    let client = server.at(&client);
    let told = usage(&client).await;
    assert_eq!(
        (&told["secrets"], &told["versionBytes"], &told["requests"]),
        (&json!(1), &json!(9), &json!(1))
    );
}

/// A domain could fill the store. What would be more than it may have is refused in every dialect, whoever
/// asks and as a mistake that is not repeated; what makes it less never is, and another domain has its own.
#[tokio::test]
async fn secrets_and_their_values_are_bounded() {
    let mut server = TestServer::start_with(|config| {
        config.limits.domain_secrets = 3;
        config.limits.domain_version_bytes = ByteSize(100);
    })
    .await;
    let (client, other) = (server.tenant().await, server.tenant().await);
    usage(&client).await;
    for path in ["one", "two", "three"] {
        client.create(path, r#"{"a":1}"#).await.ok();
    }
    let kv = |client: &Client, rest: &str| format!("/api/{}/v1/secret/{rest}", client.id);
    let put = |client: &Client, path: &str, text: &str| {
        let (client, at) = (client.clone(), kv(client, &format!("data/{path}")));
        let body = json!({"data": {"a": text}}).to_string();
        async move { client.call(Method::POST, &at, &body).await }
    };
    let many = |refused: &Answer| {
        assert!(refused.error(400, BAD).contains("as many secrets as it may"), "{refused:?}")
    };
    let much = |refused: &Answer| {
        assert!(refused.error(400, BAD).contains("take as much as they may"), "{refused:?}")
    };
    many(&client.create("four", "{}").await);
    many(&put(&client, "four", "").await);
    many(&client.call(Method::POST, &kv(&client, "metadata/four"), r#"{"max_versions":3}"#).await);
    many(
        &server
            .operator()
            .call(Method::POST, &client.url("secret"), r#"{"path":"four","version":{"data":{}}}"#)
            .await,
    );
    assert_eq!(client.get("secret/four").await.status, 404);
    other.create("four", "{}").await.ok();
    // Twenty-one bytes are taken; seventy more fit, and ten not.
    put(&client, "one", &"x".repeat(62)).await.ok();
    much(&put(&client, "one", "xx").await);
    much(
        &client
            .put("secret/two", r#"{"version":{"data":{"a":12345}},"metadata":{"maxVersions":9}}"#)
            .await,
    );
    let merged = client
        .send(
            Method::PATCH,
            &kv(&client, "data/two"),
            &[("content-type", "application/merge-patch+json")],
            r#"{"data":{"bbb":1}}"#,
        )
        .await;
    much(&merged);
    assert_eq!(client.get("secret/two").await.ok()["metadata"]["maxVersions"], 0);
    // As much in the place of more.
    client
        .put("secret/one", r#"{"version":{"data":{"a":12}},"metadata":{"maxVersions":1}}"#)
        .await
        .ok();
    let told = usage(&client).await;
    assert_eq!((&told["secrets"], &told["versionBytes"]), (&json!(3), &json!(22)));
    put(&client, "two", &"x".repeat(60)).await.ok();
    much(&put(&client, "two", "xxxxxx").await);
    // What makes it less goes, and leaves room.
    let destroyed =
        client.call(Method::POST, &kv(&client, "destroy/two"), r#"{"versions":[2]}"#).await;
    assert_eq!(destroyed.status, 204);
    put(&client, "two", "xxxxxx").await.ok();
    assert_eq!(client.delete("secret/one").await.status, 204);
    client.create("four", "{}").await.ok();
    many(&client.create("five", "{}").await);
    let figure = |reason: &str| {
        format!("okmsd_quota_refusals_total{{domain=\"other\",reason=\"{reason}\"}}")
    };
    assert!(server.metric(&figure("secrets")).await >= 4.0);
    assert!(server.metric(&figure("bytes")).await >= 4.0);
    // It counts after a restart as soon as the domain was counted, and a larger one counts at once.
    server.restart().await;
    let client = server.at(&client);
    usage(&client).await;
    many(&client.create("five", "{}").await);
    set(&server, &client, json!({"secrets": 4})).await;
    client.create("five", "{}").await.ok();
    many(&client.create("six", "{}").await);
    // Less than there is: nothing more, and less of what there is.
    set(&server, &client, json!({"secrets": 1, "versionBytes": 1})).await;
    much(&put(&client, "two", "y").await);
    assert_eq!(client.delete("secret/five").await.status, 204);
    many(&client.create("five", "{}").await);
}

/// What another process writes counts here, once the feed has told it.
#[tokio::test]
async fn secrets_of_another_process_count() {
    let (server, _, second) = TestServer::two_processes().await;
    let tenant = server.tenant().await;
    let (address, stopper) = (second.address(), second.stopper());
    let running = tokio::spawn(second.run());
    let elsewhere = Client { address, ..tenant.clone() };
    set(&server, &tenant, json!({"secrets": 2})).await;
    usage(&tenant).await;
    usage(&elsewhere).await;
    tenant.create("one", "{}").await.ok();
    elsewhere.create("two", "{}").await.ok();
    eventually("both know", async || {
        let told = [usage(&tenant).await, usage(&elsewhere).await];
        told.iter().all(|told| told["secrets"] == 2)
    })
    .await;
    for client in [&tenant, &elsewhere] {
        client.create("three", "{}").await.error(400, BAD);
    }
    stopper.stop();
    running.await.unwrap();
}

/// A weight is told as it was set, and what is none is refused: it stays as it was.
#[tokio::test]
async fn a_domain_weighs_what_an_operator_says() {
    let (server, client) = TestServer::with_tenant().await;
    let told = set(&server, &client, json!({"weight": 5})).await;
    assert_eq!((&told["weight"], &told["own"]), (&json!(5), &json!(["weight"])));
    for wrong in [json!(0), json!(101), json!(1.5), json!(-1), json!("3"), json!(true)] {
        let body = json!({ "weight": wrong }).to_string();
        let refused = server.operator().call(Method::PUT, &at(&client), &body).await;
        let text = refused.error(400, BAD);
        assert!(text.contains("weight"), "{text}");
    }
    assert_eq!(client.call(Method::GET, &at(&client), "").await.ok()["weight"], 5);
    forget(&server, &client).await;
    assert_eq!(client.call(Method::GET, &at(&client), "").await.ok()["weight"], 1);
}

/// Where rates are set, every answer tells how one stands with them, in every dialect and whatever it is; where
/// none are, none does.
#[tokio::test]
async fn answers_tell_how_one_stands() {
    let (server, client) = TestServer::with_tenant().await;
    let other = server.tenant().await;
    let quota = json!({
        "requestsPerSecond": 0.001, "requestsBurst": 5, "subjectWritesPerSecond": 0.001, "subjectWritesBurst": 9,
    });
    set(&server, &client, quota).await;
    let told = client.get("secretConfig").await;
    assert_eq!(
        (told.status.as_u16(), header(&told, "ratelimit-policy")),
        (200, r#""requests";q=5;w=5000"#)
    );
    let standing = |answer: &Answer, name: &str, left: u64| {
        let told = header(answer, "ratelimit").to_owned();
        assert!(told.contains(&format!(r#""{name}";r={left};t="#)), "{told}");
    };
    standing(&told, "requests", 4);
    let missing = client.get("secret/nothing").await;
    assert_eq!(missing.status, 404);
    standing(&missing, "requests", 3);
    let written = client.create("one", "{}").await;
    written.ok();
    standing(&written, "requests", 2);
    standing(&written, "subject-writes", 8);
    assert_eq!(
        header(&written, "ratelimit-policy"),
        r#""subject-writes";q=9;w=9000, "requests";q=5;w=5000"#
    );
    let in_vault =
        client.call(Method::GET, &format!("/api/{}/v1/secret/data/one", client.id), "").await;
    in_vault.ok();
    standing(&in_vault, "requests", 1);
    let last = client.get("secretConfig").await;
    standing(&last, "requests", 0);
    let refused = client.get("secretConfig").await;
    refused.error(429, BUSY);
    assert_eq!(refused.headers.get_all("ratelimit").iter().count(), 1);
    for client in [&other, &server.operator()] {
        let told = client.call(Method::GET, &other.url("secretConfig"), "").await;
        told.ok();
        assert!(
            !told.headers.contains_key("ratelimit")
                && !told.headers.contains_key("ratelimit-policy")
        );
    }
}

/// `sys/quotas/rate-limit` is another spelling of the same record: each rate by its name, and nothing else of
/// it is touched. What it cannot say is refused with a sentence.
#[tokio::test]
async fn vaults_spelling_of_rates() {
    let (server, client) = TestServer::with_tenant().await;
    let operator = server.operator();
    let rate = |name: &str| format!("/api/{}/v1/sys/quotas/rate-limit/{name}", client.id);
    let list = format!("/api/{}/v1/sys/quotas/rate-limit", client.id);
    assert_eq!(operator.call(Method::GET, &list, "").await.status, 404);
    set(&server, &client, json!({"tokens": 7, "writesPerSecond": 5})).await;
    let body = r#"{"name":"requests","path":"","rate":"3000","interval":"1m","block_interval":0,"type":"rate-limit"}"#;
    assert_eq!(operator.call(Method::POST, &rate("requests"), body).await.status, 204);
    let shown = operator.call(Method::GET, &at(&client), "").await.ok();
    assert_eq!(shown["own"], json!(["requestsPerSecond", "writesPerSecond", "tokens"]));
    assert_eq!((&shown["requestsPerSecond"], &shown["requestsBurst"]), (&json!(50), &json!(3000)));
    let shown = operator.call(Method::GET, &rate("requests"), "").await.ok();
    let expected = json!({
        "block_interval": 0, "group_by": "none", "inheritable": true, "interval": 60, "name": "requests", "path": "",
        "rate": 3000, "role": "", "type": "rate-limit",
    });
    assert_eq!(shown["data"], expected);
    let listed = client.call("LIST".parse().unwrap(), &list, "").await.ok();
    assert_eq!(listed["data"]["keys"], json!(["requests", "writes"]));
    assert_eq!(operator.call(Method::GET, &rate("subject"), "").await.status, 404);
    // It counts.
    assert_eq!(
        operator.call(Method::PUT, &rate("subject"), r#"{"rate":2,"interval":2000}"#).await.status,
        204
    );
    for _ in 0..2 {
        client.get("secretConfig").await.ok();
    }
    client.get("secretConfig").await.error(429, BUSY);
    assert_eq!(operator.call(Method::DELETE, &rate("subject"), "").await.status, 204);
    client.get("secretConfig").await.ok();
    for (name, body, why) in [
        ("all", r#"{"rate":1}"#, "these names"),
        ("requests", r#"{"rate":1,"path":"secret/"}"#, "leave path empty"),
        ("requests", r#"{"rate":1,"block_interval":"10s"}"#, "block_interval"),
        ("requests", r#"{"rate":1,"role":"app"}"#, "role"),
        ("requests", r#"{"rate":1,"group_by":"ip"}"#, "group_by"),
        ("requests", r#"{"rate":0}"#, "a rate is"),
        ("requests", r#"{}"#, "rate is"),
        ("requests", r#"{"rate":1,"interval":"0s"}"#, "interval"),
    ] {
        let refused = operator.call(Method::POST, &rate(name), body).await;
        let text = refused.error(400, BAD);
        assert!(text.contains(why), "{text}");
    }
    for (method, body) in [(Method::POST, r#"{"rate":1}"#), (Method::DELETE, "")] {
        client.call(method, &rate("requests"), body).await.error(403, FORBIDDEN);
    }
    let counts = format!("/api/{}/v1/sys/quotas/lease-count/x", client.id);
    let refused = operator.call(Method::POST, &counts, r#"{"max_leases":1}"#).await;
    assert!(refused.error(400, BAD).contains("rate-limit"), "{refused:?}");
    // The last of what was set takes the record along.
    for name in ["requests", "writes"] {
        assert_eq!(operator.call(Method::DELETE, &rate(name), "").await.status, 204);
    }
    let shown = operator.call(Method::GET, &at(&client), "").await.ok();
    assert_eq!(shown["own"], json!(["tokens"]));
}
