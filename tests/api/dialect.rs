//! A dialect in a few lines: rows, and what is peculiar to it. Nobody else knows it, and it has all that the others have.

use std::sync::Arc;

use hyper::{Method, StatusCode, http::request::Parts};
use okmsd::{
    api::{Call, Context, DIALECTS, Dialect, Effect, Handler, Operation, Problem, Reply, Route},
    app::{CommitMetrics, Over},
    auth::{Action, Permit},
    metrics::Metrics,
    service::Include,
    store::engines::redb::{RedbEngine, RedbOptions},
};

use crate::harness::{BOTH, TestServer};

/// Tells secrets in capitals, and takes what is not there for gone.
struct Loud;

static ROUTES: &[Route] = &[Route { methods: &["GET"], pattern: "/secret/{path}", operation: &SHOUT }];

static SHOUT: Operation = Operation {
    id: "Shout",
    effect: Effect::Read,
    actions: &[Action::SecretGet, Action::VersionGetData],
    handler: Handler::Tenant(|context, permit, call| Box::pin(async move { Ok(shout(context, permit, call).await?) })),
};

impl Dialect for Loud {
    fn bases(&self) -> &'static [&'static str] {
        &["/loud", "/of/{okmsId}/loud"]
    }

    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    fn effect(&self, operation: &Operation, head: &Parts) -> Effect {
        if head.headers.contains_key("x-slow") { Effect::Write } else { operation.effect }
    }

    fn render(&self, problem: Problem, call: &Call) -> Reply {
        let status = if problem.status() == StatusCode::NOT_FOUND { StatusCode::GONE } else { problem.status() };
        Reply { status, ..problem.into_reply(&call.request_id) }
    }
}

async fn shout(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, okmsd::service::Error> {
    let path = call.params.path.as_ref().unwrap();
    let secret = context.service.secrets.get(permit, path, None, Include::Value, call.now).await?;
    let value = secret.version.unwrap().value.unwrap();
    Ok(Reply::ok("text/plain", value.expose().to_ascii_uppercase()))
}

#[tokio::test]
async fn a_dialect_in_a_few_lines() {
    let dialects: Vec<&'static dyn Dialect> = DIALECTS.iter().copied().chain([&Loud as &dyn Dialect]).collect();
    let server = TestServer::start_over(
        |_| {},
        |config, metrics: Arc<Metrics>| {
            let options = RedbOptions::new(&config.store.path);
            let engine = Arc::new(RedbEngine::open(&options, Arc::new(CommitMetrics(Arc::clone(&metrics)))).unwrap());
            Over { engine, metrics, dialects: dialects.leak() }
        },
    )
    .await;
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
