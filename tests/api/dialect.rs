//! A dialect in a few lines: rows, and what is peculiar to it. Nobody else knows it, and it has all
//! that the others have.

use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use hyper::{Method, StatusCode, http::request::Parts};
use okmsd::{
    api::{
        Call, Context, DIALECTS, Dialect, Effect, Failed, Handler, Operation, Reply, Route, Stream,
    },
    app::{CommitMetrics, Over},
    auth::{Action, Permit, Resource},
    config::{Config, Span},
    metrics::Metrics,
    service::Include,
    store::engines::redb::{RedbEngine, RedbOptions},
};

use crate::{
    harness::{BOTH, Http, TestServer, eventually},
    pdp::{Mode, Pdp},
    wire::*,
};

/// Tells secrets in capitals, and takes what is not there for gone.
struct Loud;

static ROUTES: &[Route] = &[
    Route { methods: &["GET"], pattern: "/secret/{path}", operation: &SHOUT },
    Route { methods: &["GET"], pattern: "/secret", operation: &TRICKLE },
    Route { methods: &["GET"], pattern: "/careless/{path}", operation: &CARELESS },
];

/// Asks its permit, and has that judged by nobody: what no operation of ours does.
static CARELESS: Operation = Operation {
    id: "Careless",
    effect: Effect::Read,
    actions: &[Action::SecretGet],
    handler: Handler::Tenant(|_, permit, call| {
        let path = call.params.path.as_ref().unwrap();
        let allowed = permit.check(Action::SecretGet, Resource::Secret(path));
        Box::pin(ready(allowed.map(|()| Reply::ok("text/plain", "told")).map_err(Failed::from)))
    }),
};

/// How many streams have nobody to take them any more.
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// Sends pieces: how many, how large, how far apart and for how long in all is in the query, in
/// milliseconds.
static TRICKLE: Operation = Operation {
    id: "Trickle",
    effect: Effect::Read,
    actions: &[Action::SecretGet],
    handler: Handler::Tenant(|_, _, call| {
        let numbers: Vec<usize> =
            call.query().split(',').map(|number| number.parse().unwrap()).collect();
        let [pieces, size, pause, time] = numbers[..] else { panic!("four numbers") };
        let (sender, stream) = Stream::new(Duration::from_millis(time as u64));
        tokio::spawn(async move {
            for _ in 0..pieces {
                if sender.send(Ok(vec![b'x'; size].into())).await.is_err() {
                    LEFT.fetch_add(1, SeqCst);
                    return;
                }
                tokio::time::sleep(Duration::from_millis(pause as u64)).await;
            }
        });
        Box::pin(ready(Ok(Reply { more: Some(stream), ..Reply::ok("text/plain", "begin:") })))
    }),
};

static SHOUT: Operation = Operation {
    id: "Shout",
    effect: Effect::Read,
    actions: &[Action::SecretGet, Action::VersionGetData],
    handler: Handler::Tenant(|context, permit, call| {
        Box::pin(async move { Ok(shout(context, permit, call).await?) })
    }),
};

impl Dialect for Loud {
    fn name(&self) -> &'static str {
        "loud"
    }

    fn bases(&self) -> &'static [&'static str] {
        &["/loud", "/of/{okmsId}/loud"]
    }

    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    fn effect(&self, operation: &Operation, head: &Parts) -> Effect {
        if head.headers.contains_key("x-slow") { Effect::Write } else { operation.effect }
    }

    fn render(&self, failed: Failed, call: &Call) -> Reply {
        let status = if failed.problem.status() == StatusCode::NOT_FOUND {
            StatusCode::GONE
        } else {
            failed.problem.status()
        };
        Reply { status, ..failed.into_reply(&call.request_id) }
    }
}

async fn shout(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, okmsd::service::Error> {
    let path = call.params.path.as_ref().unwrap();
    let secret = context.service.secrets.get(permit, path, None, Include::Value, call.now).await?;
    let value = secret.version.unwrap().value.unwrap();
    Ok(Reply::ok("text/plain", value.expose().to_ascii_uppercase()))
}

async fn loud(change: impl FnOnce(&mut Config)) -> TestServer {
    let dialects: Vec<&'static dyn Dialect> =
        DIALECTS.iter().copied().chain([&Loud as &dyn Dialect]).collect();
    TestServer::start_over(change, |config, metrics: Arc<Metrics>| {
        let options = RedbOptions::new(&config.store.path);
        let engine = Arc::new(
            RedbEngine::open(&options, Arc::new(CommitMetrics(Arc::clone(&metrics)))).unwrap(),
        );
        Over { engine, metrics, weights: Arc::default(), dialects: dialects.leak() }
    })
    .await
}

#[tokio::test]
async fn a_dialect_in_a_few_lines() {
    let server = loud(|_| {}).await;
    let tenant = server.tenant().await;
    tenant.create("a/b", r#"{"k":"v"}"#).await.ok();
    let of_nobody = server.tenant().await;
    for http in BOTH {
        let client = tenant.over(http);
        let own = client.call(Method::GET, "/loud/secret/a/b", "").await;
        assert_eq!((own.status.as_u16(), own.text()), (200, r#"{"K":"V"}"#));
        let url = format!("/of/{}/loud/secret/a%2Fb", tenant.id);
        let named = client.send(Method::GET, &url, &[("x-slow", "1")], "").await;
        assert_eq!((named.status.as_u16(), named.text()), (200, r#"{"K":"V"}"#));
        let refusals = [
            client.call(Method::GET, "/loud/secret/a", "").await,
            client.call(Method::POST, "/loud/secret/a/b", "{}").await,
            client.call(Method::GET, "/loud/secret/a//b", "").await,
            of_nobody.over(http).call(Method::GET, &url, "").await,
            server.anonymous().over(http).call(Method::GET, &url, "").await,
        ];
        let statuses: Vec<_> = refusals.iter().map(|answer| answer.status.as_u16()).collect();
        assert_eq!(statuses, [410, 405, 400, 410, 401]);
        // What is none of its addresses is as before.
        client.call(Method::GET, "/loud/nothing", "").await.error(404, 50_417_665);
        tenant.over(http).get("secret/a/b").await.ok();
    }
    let (_, figures) = server.admin("/metrics").await;
    assert!(figures.contains(r#"operation="Shout""#), "{figures}");
}

/// An operation that forgets to have judged what it was allowed tells nothing that is not: before an answer leaves, the
/// edge has judged what is open.
#[tokio::test]
async fn what_nobody_has_judged_does_not_leave() {
    let pdp = Pdp::start().await;
    let url = format!("http://{}", pdp.address);
    let server = loud(|config| config.pdp.url = Some(url.parse().unwrap())).await;
    let client = server.tenant().await;
    let ask =
        async |path: &str| client.call(Method::GET, &format!("/loud/careless/{path}"), "").await;
    let told = ask("a").await;
    assert_eq!((told.status.as_u16(), told.text()), (200, "told"));
    assert_eq!(pdp.asked(), ["read_metadata secret openbao+kv2://secret/a"]);
    pdp.judges(|_| serde_json::json!({"decision": false}));
    assert_eq!(ask("b").await.status, 403);
    pdp.does(Mode::Says(500, Vec::new()));
    assert_eq!(ask("c").await.status, 503);
}

/// An answer that comes as it is made: no deadline of requests ends it, its own does; who takes
/// nothing of it is cut off, and whoever makes it learns that nobody takes it any more.
#[tokio::test]
async fn answers_that_come_piece_by_piece() {
    let server = loud(|config| {
        config.limits.request_time = Span(Duration::from_millis(300));
        config.limits.stall_time = Span(Duration::from_millis(500));
    })
    .await;
    let tenant = server.tenant().await;
    for http in BOTH {
        let client = tenant.over(http);
        let left = LEFT.load(SeqCst);
        let long = client.call(Method::GET, "/loud/secret?6,100000,300,20000", "").await;
        assert_eq!((long.status.as_u16(), long.body.len()), (200, 6 + 6 * 100_000));
        assert!(long.text().starts_with("begin:xxx"));
        let mut connection = client.connect().await;
        let cut = connection.try_send(Method::GET, "/loud/secret?1000,3,50,700", &[], "").await;
        assert!(cut.is_err(), "{http:?}: its time is over before its end");
        eventually("its sender learns of it", async || LEFT.load(SeqCst) == left + 1).await;
        let stalls = server.metric(r#"okmsd_connections_closed_total{deadline="stall"}"#).await;
        let mut wire = Wire::open(&client).await;
        let path = "/loud/secret?100000,60000,0,60000";
        wire.send(match http {
            Http::One => format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes(),
            Http::Two => [preface(&[]), head(1, END_STREAM, "GET", path)].concat(),
        })
        .await;
        server
            .metric_reaches(r#"okmsd_connections_closed_total{deadline="stall"}"#, stalls + 1.0)
            .await;
        eventually("its sender learns of that", async || LEFT.load(SeqCst) == left + 2).await;
        drop(wire);
    }
    server.metric_reaches("okmsd_connections ", 0.0).await;
}
