//! Turns at the processors: who has much to do keeps no more of them busy than its domain may, whatever way
//! its requests come.

use std::{
    num::NonZero,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use hyper::{Method, http::request::Parts};
use okmsd::{
    api::{Call, DIALECTS, Dialect, Effect, Failed, Handler, Operation, Reply, Route},
    app::Over,
    auth::Action,
    pki::Subject,
    store::engines::memory::MemoryEngine,
};

use crate::{
    harness::{Client, Http, TestServer},
    proxies::{RFC, forwarding, forwards},
};

/// Answers after work that leaves its processor to nobody.
struct Busy;

static ROUTES: &[Route] = &[Route { methods: &["GET"], pattern: "/work", operation: &WORK }];

static WORK: Operation = Operation {
    id: "Work",
    effect: Effect::Read,
    actions: &[Action::SecretGet],
    handler: Handler::Tenant(|_, _, _| {
        Box::pin(async {
            work();
            Ok(Reply::ok("text/plain", ""))
        })
    }),
};

impl Dialect for Busy {
    fn name(&self) -> &'static str {
        "busy"
    }

    fn bases(&self) -> &'static [&'static str] {
        &["/busy"]
    }

    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    fn effect(&self, operation: &Operation, _: &Parts) -> Effect {
        operation.effect
    }

    fn render(&self, failed: Failed, call: &Call) -> Reply {
        failed.into_reply(&call.request_id)
    }
}

/// What a domain may keep busy while others are there: all processors but one.
static OF_ONE: LazyLock<usize> = LazyLock::new(|| (processors() - 1).max(1));
/// How many are at work, and how many were at most.
static AT_WORK: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Works until there are more at once than may be, or for so long that they would have come.
fn work() {
    let [now, most] = &AT_WORK;
    most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
    let begun = Instant::now();
    while most.load(SeqCst) <= *OF_ONE && begun.elapsed() < Duration::from_millis(200) {
        thread::sleep(Duration::from_millis(5));
    }
    now.fetch_sub(1, SeqCst);
}

/// Reads that came through a proxy took the proxy's turns, beside those of whom it had sent.
#[test]
fn whom_a_proxy_sends_takes_its_domains_turns() {
    let threads = 4 * processors() + 2;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    runtime.unwrap().block_on(async {
        let mut server = TestServer::start_over(
            |_| {},
            |_, metrics| {
                let dialects: Vec<_> =
                    DIALECTS.iter().copied().chain([&Busy as &'static dyn Dialect]).collect();
                Over {
                    engine: Arc::new(MemoryEngine::default()),
                    metrics,
                    weights: Arc::default(),
                    dialects: dialects.leak(),
                }
            },
        )
        .await;
        let id = server.tenant().await.id;
        let pair = server.issue(&Subject::Domain(id.parse().unwrap()), 30);
        let proxy = forwards(&mut server, None);
        let others = server.tenant().await;
        let _are_there = others.connect().await;
        let direct = server.client(Some(&pair), Some(&id), Http::One);
        let through = server.client(Some(&proxy), Some(&id), Http::One);
        let told = forwarding(RFC, &pair.certificate);
        let ask = |client: &Client, headers: Vec<(&'static str, String)>| {
            let client = client.clone();
            tokio::spawn(async move {
                let headers: Vec<_> =
                    headers.iter().map(|(name, value)| (*name, &**value)).collect();
                client.send(Method::GET, "/busy/work", &headers, "").await.status.as_u16()
            })
        };
        let both = |_| [ask(&direct, Vec::new()), ask(&through, told.clone())];
        for asked in (0..processors()).flat_map(both).collect::<Vec<_>>() {
            assert_eq!(asked.await.unwrap(), 200);
        }
    });
    let most = AT_WORK[1].load(SeqCst);
    assert!((1..=*OF_ONE).contains(&most), "{most} of {} were busy for one", processors());
}
