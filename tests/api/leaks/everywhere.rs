//! The canaries through every route, whatever becomes of the store, with all devices of the audit trail in both
//! of its forms, at the level of debug: in a process of its own, all of whose words are read.

use std::{
    env, fs, io,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use hyper::Method;
use okmsd::{
    api::{DIALECTS, ListedRoute, route_list},
    config::{AuditDevice, AuditDeviceKind, AuditFormat, SyslogAddress},
};
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

use super::{HIDDEN, METADATA, METADATA_KEY, VALUE, VALUE_KEY, contains, disk, domain, plant};
use crate::{
    failure::{Fault, Faulty},
    harness::{Client, Connection, audit_file, eventually},
    isolation::{SECRET, body, is_partners, method, url},
};

/// Where the process leaves the tokens that it was given.
const TOKENS: &str = "OKMSD_TEST_TOKENS";
const FORMATS: [AuditFormat; 2] = [AuditFormat::Okmsd, AuditFormat::Vault];
/// What no error repeats. It names members that there are not, as far as it looks for such.
const VALUES: [&str; 2] = [VALUE, METADATA];

/// What the store does while all is asked for.
const FAULTS: [Fault; 4] = [Fault::None, Fault::UnknownDone, Fault::Unreadable, Fault::Damaged];

/// What a process says on its standard output, where the trail goes, and on its standard error, where the log goes.
#[test]
fn nothing_secret_leaves_by_any_way() {
    if let Some(file) = env::var_os(TOKENS) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let tokens = runtime.block_on(asks_for_all());
        return fs::write(file, tokens.join("\n")).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    let own = "leaks::everywhere::nothing_secret_leaves_by_any_way";
    let said = Command::new(env::current_exe().unwrap())
        .args([own, "--exact", "--nocapture"])
        .env(TOKENS, &tokens)
        .output()
        .unwrap();
    let [out, log] = [&said.stdout, &said.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(said.status.success(), "{}", log.lines().rev().take(20).collect::<Vec<_>>().join("\n"));
    for word in [r#""type":"intent""#, r#""type":"response""#, SECRET] {
        assert!(out.contains(word), "the trail goes there: {word}");
    }
    for word in ["DEBUG", "PostSecretV2", "PathReadBatch", "UriMoveSecret", "request_id=", "a test"]
    {
        assert!(log.contains(word), "the log is at work: {word}");
    }
    let tokens = fs::read_to_string(tokens).unwrap();
    assert!(tokens.lines().count() > 2);
    for hidden in HIDDEN.iter().copied().chain(tokens.lines()) {
        assert!(!out.contains(hidden), "{hidden} is in the trail on the standard output");
        assert!(!log.contains(hidden), "{hidden} is in the log");
    }
}

/// What listeners of syslog were sent, each for one form.
type Heard = Arc<Mutex<Vec<u8>>>;

fn listens(path: &Path) -> Heard {
    let (socket, heard) = (UnixDatagram::bind(path).unwrap(), Heard::default());
    let hears = Arc::clone(&heard);
    thread::spawn(move || {
        let mut message = vec![0; 1 << 16];
        while let Ok(length) = socket.recv(&mut message) {
            hears.lock().unwrap().extend_from_slice(&message[..length]);
        }
    });
    heard
}

/// Devices of all kinds, in both forms, beside the one that must have all.
fn devices(folder: &Path) -> Vec<AuditDevice> {
    let mut devices = Vec::new();
    for format in FORMATS {
        let file = audit_file(folder.join(format!("{format:?}.log")));
        let other = AuditDevice { format, required: false, ..file };
        let address = Some(SyslogAddress::Unix(socket(folder, format)));
        devices.extend([
            AuditDevice { kind: AuditDeviceKind::Stdout, path: None, ..other.clone() },
            AuditDevice { kind: AuditDeviceKind::Syslog, path: None, address, ..other.clone() },
            other,
        ]);
    }
    devices
}

fn socket(folder: &Path, format: AuditFormat) -> PathBuf {
    folder.join(format!("{format:?}.socket"))
}

/// Asks for everything there is, and looks for the canaries in all that comes of it, but what the process says. The
/// tokens that it was given.
async fn asks_for_all() -> Vec<String> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("debug"))
        .with_writer(io::stderr)
        .with_ansi(false)
        .init();
    let mut heard = Vec::new();
    let (mut server, engine) = Faulty::serve(|config| {
        let folder = config.store.path.parent().unwrap().to_owned();
        heard.extend(FORMATS.map(|format| listens(&socket(&folder, format))));
        config.audit.device.extend(devices(&folder));
    })
    .await;
    let (client, mut tokens) = (domain(&server).await, Vec::new());
    // It is somebody's partner, so that there is something at those addresses.
    let at = format!("/v2/okms/resource/{}", domain(&server).await.id);
    let partner = json!({ "partner": client.id }).to_string();
    server.operator().call(Method::PUT, &at, &partner).await.ok();
    for fault in FAULTS {
        engine.fails(Fault::None);
        tokens.extend(plant(&domain(&server).await).await);
        client.create(SECRET, &json!({VALUE_KEY: VALUE}).to_string()).await;
        engine.fails(fault);
        for asking in [&client, &server.operator()] {
            asks(asking, &client.id, fault).await;
        }
    }
    let (_, metrics) = server.admin("/metrics").await;
    assert!(metrics.contains("PathReadBatch"));
    let is_heard = || heard.iter().all(|heard| contains(&heard.lock().unwrap(), "PathReadBatch"));
    eventually("syslog has heard of it", async || is_heard()).await;
    server.stop().await;
    let mut all = vec![("the metrics", metrics.into_bytes())];
    all.extend(heard.iter().map(|heard| ("syslog", heard.lock().unwrap().clone())));
    all.push(("the disk", disk(server.folder.path())));
    for format in FORMATS {
        all.push(("a trail", fs::read(server.path(&format!("{format:?}.log"))).unwrap()));
    }
    for (what, bytes) in &all {
        let text = String::from_utf8_lossy(bytes);
        for hidden in HIDDEN.iter().copied().chain(tokens.iter().map(String::as_str)) {
            assert!(!text.contains(hidden), "{hidden} is in {what}");
        }
    }
    for (what, bytes) in all.iter().skip(1) {
        assert!(contains(bytes, SECRET), "{what} tells of what was asked");
    }
    tokens
}

/// Asks for each route, rightly and, where the store works, in all wrong ways. What is refused repeats nothing.
async fn asks(client: &Client, id: &str, fault: Fault) {
    let mut connection = client.connect().await;
    let (mut well, mut failed, mut of_partner) = (0, 0, 0);
    for route in route_list(DIALECTS) {
        // Some row may have deleted it.
        let kept = json!({"path": SECRET, "version": {"data": {VALUE_KEY: VALUE}}}).to_string();
        if fault == Fault::None {
            let at = format!("/api/{id}/v2/secret");
            ask(&mut connection, client, (Method::POST, &at, ""), kept).await;
        }
        let url = url(&route, id, SECRET);
        let bodies = bodies(&route).into_iter();
        for (token, body) in bodies.take(if fault == Fault::None { usize::MAX } else { 1 }) {
            let (status, text) =
                ask(&mut connection, client, (method(&route), &url, token), body).await;
            if status < 400 {
                well += 1;
                of_partner += usize::from(is_partners(&route));
                continue;
            }
            failed += 1;
            for canary in VALUES {
                assert!(!text.contains(canary), "{} {fault:?}: {text}", route.operation.id);
            }
        }
    }
    assert!(well + failed > 100, "{fault:?}: {well} {failed}");
    assert!(failed > 50 && (well > 50 || fault != Fault::None), "{fault:?}: {well} {failed}");
    let is_served = fault == Fault::None && client.id == id;
    assert!(of_partner > 5 || !is_served, "{of_partner} of what a partner keeps");
}

async fn ask(
    connection: &mut Connection,
    client: &Client,
    (method, url, token): (Method, &str, &str),
    body: String,
) -> (u16, String) {
    let mut headers = vec![("content-type", "application/json")];
    if !token.is_empty() {
        headers.push(("x-vault-token", token));
    }
    if method == Method::PATCH {
        headers[0].1 = "application/merge-patch+json";
    }
    loop {
        let asked = connection.try_send(method.clone(), url, &headers, body.clone()).await;
        match asked {
            Ok(answer) => {
                // Some are no text.
                let text = String::from_utf8_lossy(&answer.body).into_owned();
                return (answer.status.as_u16(), text);
            }
            // It was its last request.
            Err(_) => *connection = client.connect().await,
        }
    }
}

/// The bodies of a route with the canaries in them, each with a token: as it should be, with a token that is none, with
/// a member too many, of another kind, and cut short.
fn bodies(route: &ListedRoute) -> Vec<(&'static str, String)> {
    if matches!(route.method, "GET" | "HEAD") {
        return vec![("", String::new()), (VALUE, String::new())];
    }
    let mut value = serde_json::from_str(&body(route, SECRET)).unwrap_or_else(|_| json!({}));
    fill(&mut value);
    let right = value.to_string();
    value[VALUE_KEY] = json!({METADATA_KEY: VALUE});
    let more = value.to_string();
    let other = json!([VALUE, {VALUE_KEY: METADATA}]).to_string();
    let cut = more[..more.len() - 1].to_owned();
    vec![("", right.clone()), (VALUE, right), ("", more), ("", other), ("", cut)]
}

/// Puts the canaries where values are.
fn fill(value: &mut Value) {
    for (name, value) in value.as_object_mut().into_iter().flatten() {
        match name.as_str() {
            "data" | "new_value" | "value" => value[VALUE_KEY] = json!(VALUE),
            "operations" => value.as_array_mut().unwrap().iter_mut().for_each(fill),
            "metadata" => value["customMetadata"] = json!({METADATA_KEY: METADATA}),
            "password" => *value = json!(VALUE),
            _ => fill(value),
        }
    }
}
