//! Listeners of syslog messages, and what they get.

use std::{
    io::{self, BufRead as _, BufReader, Read as _},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixDatagram,
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::{
    clock::{Clock as _, SystemClock},
    crypto::{FileRootKey, SigningKey},
    model::Timestamp,
    pki::{CertificateAuthority, KeyKind, KeySource, pem},
};

const PATIENCE: Duration = Duration::from_secs(10);
/// 20 * 8 + 6.
const HEAD: &str = "<166>1 ";

fn key() -> SigningKey {
    SigningKey::of(&FileRootKey::from_bytes(&[1; 32]).unwrap(), "audit").unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000)
}

fn record(number: u64) -> Members {
    Members::new().time("time", now()).text("type", "request").number("n", number)
}

fn start(devices: Vec<(Box<dyn Device>, bool)>) -> Recorder {
    let fitted = |(device, is_required)| Fitted { device, is_required, form: Form::Own };
    let at = Position::before_all(ChainId::from_bytes([9; 8]));
    let fitted = devices.into_iter().map(fitted).collect();
    Recorder::start((at, &[]), key(), fitted, (PATIENCE, 100)).unwrap()
}

fn syslog(listener: Listener) -> Box<dyn Device> {
    Box::new(SyslogDevice::new(listener, 20))
}

async fn keep(recorder: &Recorder, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let kept = match recorder.record(&record(number), Need::Written) {
                Ok(receipt) => receipt.kept().await,
                Err(error) => Err(error),
            };
            match kept {
                Ok(()) => break,
                Err(Unrecorded) => assert!(Instant::now() < deadline, "it works again"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn stop(recorder: &Recorder) {
    recorder.stop(&Members::new().time("time", now()).text("type", "stop"), now());
}

/// The records in messages that came in this order: all that there are, and as they were written.
fn proven(messages: &[String]) -> Vec<u64> {
    let mut verifier = Verifier::new(key().public());
    let mut numbers = Vec::new();
    for message in messages {
        let rest = message.strip_prefix(HEAD).unwrap_or_else(|| panic!("{message}"));
        let (head, record) = rest.split_once(" - ").unwrap();
        let head: Vec<_> = head.split(' ').collect();
        assert_eq!(head[0], "2027-01-15T08:00:00.000Z");
        assert!(!head[1].is_empty());
        assert_eq!(
            (head[2], head[3], head[4]),
            ("okmsd", &*std::process::id().to_string(), "audit")
        );
        verifier.line(record.as_bytes()).unwrap();
        let record: serde_json::Value = serde_json::from_str(record).unwrap();
        numbers.extend(record["n"].as_u64());
    }
    assert!(verifier.finish().unwrap()[0].is_closed);
    numbers
}

/// A listener of datagrams, which ends when it is told to.
fn datagrams(path: &Path, tell: mpsc::Sender<String>) -> impl FnOnce() {
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let (end, ends) = mpsc::channel::<()>();
    let path = path.to_owned();
    let thread = thread::spawn(move || {
        let mut bytes = vec![0; 65536];
        loop {
            match socket.recv(&mut bytes) {
                Ok(length) => tell.send(text(&bytes[..length])).unwrap(),
                Err(_) if ends.try_recv().is_ok() => return,
                Err(_) => {}
            }
        }
    });
    move || {
        end.send(()).unwrap();
        thread.join().unwrap();
        std::fs::remove_file(path).unwrap();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Messages with their length in front, until the other side closes or there were so many; then this
/// side does.
fn messages(from: impl io::Read, most: usize, tell: &mpsc::Sender<String>) {
    let mut from = BufReader::new(from);
    for _ in 0..most {
        let mut length = Vec::new();
        if from.read_until(b' ', &mut length).unwrap_or(0) == 0 {
            return;
        }
        let length: usize = text(&length).trim_end().parse().unwrap();
        let mut message = vec![0; length];
        from.read_exact(&mut message).unwrap();
        tell.send(text(&message)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_come_in_order_and_go_on_when_the_listener_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let (tell, told) = mpsc::channel();
    let end = datagrams(&path, tell.clone());
    let recorder = start(vec![(syslog(Listener::Unix(path.clone())), true)]);
    keep(&recorder, 1..=50).await;
    // Another one at the same place.
    end();
    let end = datagrams(&path, tell.clone());
    keep(&recorder, 51..=60).await;
    // None for a while: what is required fails, and what is not comes later.
    end();
    let lost = recorder.record(&record(61), Need::Written).unwrap();
    assert_eq!(lost.kept().await, Err(Unrecorded));
    assert!(!recorder.is_well());
    let end = datagrams(&path, tell);
    keep(&recorder, 62..=70).await;
    stop(&recorder);
    end();
    let messages: Vec<_> = told.iter().collect();
    assert_eq!(proven(&messages), (1..=70).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_over_tcp_come_in_order_over_one_connection_after_the_other() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, told) = mpsc::channel();
    let (open, opened) = mpsc::channel();
    let listens = thread::spawn(move || {
        // It closes each connection when it has so many.
        for most in [30, 20, usize::MAX] {
            let stream = listener.accept().unwrap().0;
            open.send(()).unwrap();
            messages(stream, most, &tell);
        }
    });
    let recorder = start(vec![(syslog(Listener::Tcp(address)), true)]);
    for numbers in [1..=30, 31..=50, 51..=60] {
        // One that was closed is noticed though nothing is to be sent.
        opened.recv_timeout(PATIENCE).unwrap();
        keep(&recorder, numbers).await;
    }
    stop(&recorder);
    drop(recorder);
    listens.join().unwrap();
    let messages: Vec<_> = told.iter().collect();
    assert_eq!(proven(&messages), (1..=60).collect::<Vec<_>>());
}

fn authority() -> (CertificateAuthority, Arc<ServerConfig>) {
    let now = SystemClock.now();
    let (authority, _) = CertificateAuthority::create("logs", now, 10).unwrap();
    let names = ["localhost".parse().unwrap()];
    let issued = authority.issue_server(&names, KeySource::Fresh(KeyKind::P256), now, 5).unwrap();
    let certificate = pem::every(issued.certificate_pem.as_bytes()).unwrap();
    let key = pem::exactly_one(issued.key.unwrap().expose().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificate, key)
        .unwrap();
    (authority, Arc::new(config))
}

fn over_tls(stream: TcpStream, config: &Arc<ServerConfig>) -> impl io::Read {
    StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_over_tls_come_in_order_and_go_to_nobody_else() {
    let (authority, config) = authority();
    let (stranger, _) = self::authority();
    let roots = |of: &CertificateAuthority| pem::every(of.certificate_pem().as_bytes()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::channel();
    let (open, opened) = mpsc::channel();
    let listens = thread::spawn(move || {
        // Whoever does not believe it sends nothing to the first two.
        for most in [1, 1, 20, usize::MAX] {
            let stream = listener.accept().unwrap().0;
            open.send(()).unwrap();
            messages(over_tls(stream, &config), most, &tell);
        }
    });
    let other_name = Listener::tls(format!("127.0.0.1:{port}"), roots(&authority)).unwrap();
    let other_authority = Listener::tls(format!("localhost:{port}"), roots(&stranger)).unwrap();
    for listener in [other_name, other_authority] {
        let mut device = syslog(listener);
        let error = device.write(b"{\"secret\":1}\n").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        opened.recv_timeout(PATIENCE).unwrap();
    }
    let listener = Listener::tls(format!("localhost:{port}"), roots(&authority)).unwrap();
    let recorder = start(vec![(syslog(listener), true)]);
    for numbers in [1..=20, 21..=40] {
        opened.recv_timeout(PATIENCE).unwrap();
        keep(&recorder, numbers).await;
    }
    stop(&recorder);
    drop(recorder);
    listens.join().unwrap();
    let messages: Vec<_> = told.iter().collect();
    assert_eq!(proven(&messages), (1..=40).collect::<Vec<_>>());
}

/// A listener that takes connections and reads nothing, or does not even greet over TLS.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_is_stuck_stalls_nobody_who_does_not_need_it() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let rotation =
        Rotation { bytes: u64::MAX, age: Duration::from_secs(3600), keep: 0, packs: false };
    let file = FileDevice::open(&folder.path().join("audit.log"), rotation).unwrap();
    let (authority, _) = authority();
    let roots = pem::every(authority.certificate_pem().as_bytes()).unwrap();
    let recorder = start(vec![
        (Box::new(file), true),
        (syslog(Listener::Tcp(format!("127.0.0.1:{port}"))), false),
        (syslog(Listener::tls(format!("localhost:{port}"), roots).unwrap()), false),
    ]);
    // More than what waits for a device and what the system takes, so that some of it is lost.
    let long = "a".repeat(64 << 10);
    for number in 0..800 {
        let record = record(number).text("long", &long);
        // A slow disk has what was written before there is no room for more.
        let need = if number % 100 == 0 { Need::Durable } else { Need::Written };
        recorder.record(&record, need).unwrap().kept().await.unwrap();
    }
    assert!(recorder.is_well());
    let lost: Vec<_> = recorder.standing().devices.iter().map(|(.., lost)| *lost > 0).collect();
    assert_eq!(lost, [false, true, true]);
    drop(listener);
}

/// What the system took of a message stays, and the rest follows, when the listener reads again.
#[test]
fn a_message_goes_on_where_it_stopped() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut device = syslog(Listener::Tcp(address));
    let line =
        format!("{{\"time\":\"2027-01-15T08:00:00.000Z\",\"n\":\"{}\"}}\n", "a".repeat(16 << 20));
    let bytes = [line.as_bytes(), line.as_bytes()].concat();
    let error = device.write(&bytes).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    let (tell, told) = mpsc::channel();
    let listens = thread::spawn(move || messages(listener.accept().unwrap().0, 2, &tell));
    for _ in 0..2 {
        assert_eq!(device.write(&bytes).unwrap(), line.len());
    }
    listens.join().unwrap();
    for message in &told {
        assert!(message.starts_with(HEAD) && message.ends_with(line.trim_end()));
    }
}
