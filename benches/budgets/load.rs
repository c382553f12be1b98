//! `oha`, the load generator.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use super::{
    Outcome,
    server::{Region, Server},
};

/// How the load is carried.
#[derive(Clone, Copy)]
pub(super) enum Protocol {
    /// HTTP/1.1 over so many connections that stay open.
    Http1(usize),
    /// HTTP/2 over so many connections, with so many streams each.
    Http2(usize, usize),
    /// HTTP/1.1, by so many clients, over a new connection for each request.
    Connect(usize),
}

/// A load, and where it goes.
pub(super) struct Load<'a> {
    pub(super) oha: &'a Path,
    pub(super) region: &'a Region,
    pub(super) server: &'a Server,
    pub(super) protocol: Protocol,
    /// What each request has, as `name: value`. It is seen in the list of processes.
    pub(super) headers: &'a [String],
}

/// What was done: every request of it was answered 200.
pub(super) struct Done {
    pub(super) requests: f64,
    pub(super) rate: f64,
}

impl Load<'_> {
    /// Reads `url` for so long.
    pub(super) async fn run(&self, url: &str, time: Duration) -> Outcome<Done> {
        let (certificate, key) = self.region.access()?;
        let mut command = Command::new(self.oha);
        command.args([
            "--no-tui",
            "--output-format",
            "json",
            "-z",
            &format!("{}ms", time.as_millis()),
        ]);
        command
            .arg("--cacert")
            .arg(self.region.path("region_ca.pem"))
            .arg("--cert")
            .arg(certificate);
        command.arg("--key").arg(key);
        match self.protocol {
            Protocol::Http1(connections) => command.args(["-c", &connections.to_string()]),
            Protocol::Http2(connections, streams) => command.args([
                "--http2",
                "-c",
                &connections.to_string(),
                "-p",
                &streams.to_string(),
            ]),
            Protocol::Connect(clients) => {
                command.args(["--disable-keepalive", "-c", &clients.to_string()])
            }
        };
        for header in self.headers {
            command.args(["-H", header]);
        }
        command.arg(format!("https://{}{url}", self.server.address));
        command.stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        if !output.status.success() {
            return Err(format!("oha: {}", output.status).into());
        }
        parse(&serde_json::from_slice(&output.stdout)?)
    }
}

fn parse(report: &Value) -> Outcome<Done> {
    let strange = || format!("oha reports something unexpected: {report}");
    let counts = |name: &str| report.get(name).and_then(Value::as_object);
    let statuses = counts("statusCodeDistribution").ok_or_else(strange)?;
    let errors = counts("errorDistribution").ok_or_else(strange)?;
    let requests = statuses.get("200").and_then(Value::as_f64).ok_or_else(strange)?;
    // What is under way when the time is over is given up.
    if statuses.len() != 1 || errors.keys().any(|error| error != "aborted due to deadline") {
        return Err(strange().into());
    }
    let seconds = report.pointer("/summary/total").and_then(Value::as_f64).ok_or_else(strange)?;
    Ok(Done { requests, rate: requests / seconds })
}
