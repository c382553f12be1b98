//! How often memory is asked for in a request, counted: okmsd beside a bare hyper and rustls
//! server.
//!
//! Always holds: both run in this one process with the same client, one request at a time over one
//! connection, so that what is counted for the client is the same in both and goes out in the
//! difference. A program of its own, as counting would slow down what `budgets` measures.
//! `scripts/bench.sh` runs both.

#[allow(dead_code, reason = "the budgets need all of it")]
#[path = "../budgets/client.rs"]
mod client;
#[allow(dead_code, reason = "the budgets need all of it")]
#[path = "../budgets/reference.rs"]
mod reference;
#[allow(dead_code, reason = "the budgets need all of it")]
#[path = "../budgets/server.rs"]
mod server;
#[allow(dead_code, reason = "the budgets need all of it")]
#[path = "../budgets/table.rs"]
mod table;

use std::{alloc::System, fs, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::Method;
use okmsd::{app::App, clock::SystemClock, config::Config};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use self::{
    client::{Client, Connection, Dialect},
    server::{Region, Server, free_port},
    table::{Budget, Rounds},
};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SECRET: &str = "bench/allocations";
const ROUNDS: usize = 3;
/// Requests before those that count: what is made once is made by then.
const WARM: u32 = 200;
const REQUESTS: u32 = 1000;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().collect();
    let only = arguments
        .iter()
        .position(|argument| argument == "--only")
        .and_then(|at| arguments.get(at + 1));
    if only.is_some_and(|only| !only.split(',').any(|only| only == "allocations")) {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(report())) {
        Ok(text) => {
            say(text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(format_args!("allocations: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// What is asked for, over and over.
struct Request {
    method: Method,
    url: String,
    body: Bytes,
}

async fn report() -> Outcome<String> {
    let region = Region::create()?;
    let okmsd = Server::okmsd(&region, &[]).await?;
    let id = region.id()?;
    let read = Request {
        method: Method::GET,
        url: Dialect::Native.secret_url(&id, SECRET),
        body: Bytes::new(),
    };
    let body = Dialect::Native.update(&client::value(1024));
    let write = Request { method: Method::PUT, url: Dialect::Native.update_url(&id, SECRET), body };
    let mut connection = region.client(&okmsd)?.connect().await?;
    connection.create(&id, SECRET, &client::value(1024)).await?;
    for Request { method, url, body } in [&read, &write] {
        let answer = connection.call(method.clone(), url, &[], body.clone()).await?;
        fs::write(region.path(method.as_str()), answer.into_body())?;
    }
    // Again, in this process.
    drop(okmsd);
    let mut config = Config::load(&region.path("okmsd.toml"), std::iter::empty())?;
    (config.server.listen, config.server.admin_listen) = (free_port()?, free_port()?);
    let app = App::start(&config, Arc::new(SystemClock)).await?;
    let (address, stopper) = (app.address(), app.stopper());
    let running = tokio::spawn(app.run());
    let mut rows = Vec::new();
    for (request, what, budget) in
        [(&read, "read", Budget::AtMost(24.0)), (&write, "durable write", Budget::None)]
    {
        let listen = free_port()?;
        let (config, answer) = (region.path("okmsd.toml"), region.path(request.method.as_str()));
        let bare = tokio::spawn(async move { reference::http(&config, &answer, listen).await });
        let mut counts = Rounds::default();
        for _ in 0..ROUNDS {
            counts.push(
                count(&region, address, request).await?,
                count(&region, listen, request).await?,
            );
        }
        bare.abort();
        rows.push(counts.beyond(
            format!("allocations of a native {what} of 1 KiB, the client's among them"),
            budget,
        ));
    }
    stopper.stop();
    running.await?;
    Ok(table::markdown(&rows))
}

/// How often memory is asked for in one such request.
async fn count(region: &Region, address: SocketAddr, request: &Request) -> Outcome<f64> {
    let (certificate, key) = region.access()?;
    let client = Client::new(address, &region.path("region_ca.pem"), &certificate, &key)?;
    let mut connection = connect(&client).await?;
    ask(&mut connection, request, WARM).await?;
    let before = allocations();
    ask(&mut connection, request, REQUESTS).await?;
    Ok(f64::from(u32::try_from(allocations() - before)?) / f64::from(REQUESTS))
}

/// A connection, once the server is there.
async fn connect(client: &Client) -> Outcome<Connection> {
    for _ in 0..500 {
        if let Ok(connection) = client.connect().await {
            return Ok(connection);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    client.connect().await
}

async fn ask(connection: &mut Connection, request: &Request, times: u32) -> Outcome<()> {
    for _ in 0..times {
        connection.call(request.method.clone(), &request.url, &[], request.body.clone()).await?;
    }
    Ok(())
}

fn allocations() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}

/// Writes the report.
#[expect(clippy::print_stdout, reason = "the report")]
fn say(text: impl std::fmt::Display) {
    println!("{text}");
}
