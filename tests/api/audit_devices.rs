//! Audit devices that fail, each in its own way: what becomes of changes and reads meanwhile, and of
//! the records afterwards.
//!
//! Always holds: what is required and takes no records has changes refused, and what is not required
//! stops nobody; nothing that a client was told of is missing once the device is well again.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Read as _,
    net::SocketAddr,
    os::unix::fs::{OpenOptionsExt as _, symlink},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use okmsd::{
    app::AUDIT_PURPOSE,
    audit::{FileDevice, Proven, Verifier},
    clock::{Clock as _, SystemClock},
    config::{AuditDevice, AuditDeviceKind, AuditReads, Config, Span, SyslogAddress},
    crypto::{FileRootKey, SigningKey},
    pki::{CertificateAuthority, KeyKind, KeySource},
};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader},
    net::{TcpListener, UnixDatagram},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::harness::{Answer, Client, PATIENCE, TestServer, audit_file, eventually};

/// Where the second device writes, and what of it is read elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// EPIPE.
    ReaderGone,
    /// ENXIO, where opening the pipe would wait for ever.
    NoReader,
    /// EAGAIN, where writing would wait for ever.
    ReaderAsleep,
    /// ENOSPC.
    FullDisk,
    /// EIO.
    BrokenDisk,
    /// EACCES, to whomever.
    Forbidden,
    /// EROFS, where any file system here is mounted so.
    ReadOnly,
    /// EISDIR.
    Folder,
    /// ENOENT.
    NoFolder,
    Deleted,
    Moved,
    /// A peer that takes what the system holds for it, and reads nothing.
    PeerAsleep,
    /// ECONNREFUSED.
    PeerGone,
    /// A peer who cannot show that it is the one.
    PeerForeign,
}

const FAULTS: [Fault; 14] = [
    Fault::ReaderGone,
    Fault::NoReader,
    Fault::ReaderAsleep,
    Fault::FullDisk,
    Fault::BrokenDisk,
    Fault::Forbidden,
    Fault::ReadOnly,
    Fault::Folder,
    Fault::NoFolder,
    Fault::Deleted,
    Fault::Moved,
    Fault::PeerAsleep,
    Fault::PeerGone,
    Fault::PeerForeign,
];

impl Fault {
    /// Whether the device goes on by itself, so that nobody is refused.
    fn heals_at_once(self) -> bool {
        matches!(self, Self::Deleted | Self::Moved)
    }
}

/// A name that no file can have, as the file system is read alone.
fn read_only() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let folder = mounts.lines().find_map(|mount| {
        let mut fields = mount.split(' ').skip(1);
        let (folder, _, options) = (fields.next()?, fields.next()?, fields.next()?);
        options.split(',').any(|option| option == "ro").then(|| PathBuf::from(folder))
    });
    folder.filter(|folder| folder.is_dir()).map_or_else(
        || PathBuf::from("/sys/kernel/notes"),
        |folder| folder.join("okmsd-test-of-a-device.log"),
    )
}

/// Points a name somewhere else.
fn point(name: &Path, to: &Path) {
    let new = name.with_extension("new");
    symlink(to, &new).unwrap();
    fs::rename(new, name).unwrap();
}

fn nonblocking(options: &mut OpenOptions, path: &Path) -> File {
    options.custom_flags(OFlags::NONBLOCK.bits() as i32).open(path).unwrap()
}

/// What a device wrote to beside files: lines as they came.
type Lines = Arc<Mutex<Vec<String>>>;

/// The second device, what it writes to, and whoever collects that.
struct Place {
    fault: Fault,
    folder: PathBuf,
    lines: Lines,
    /// What was deleted, as whoever has it open sees it, or a pipe's other end.
    kept: Option<File>,
    collector: Option<JoinHandle<()>>,
    socket: Option<Arc<UnixDatagram>>,
    address: Option<SocketAddr>,
}

impl Place {
    async fn prepare(fault: Fault, folder: &Path) -> Self {
        let mut place = Self {
            fault,
            folder: folder.to_owned(),
            lines: Lines::default(),
            kept: None,
            collector: None,
            socket: None,
            address: None,
        };
        match fault {
            Fault::Deleted | Fault::Moved => {}
            Fault::PeerAsleep => {
                let socket = UnixDatagram::bind(place.path("socket")).unwrap();
                place.socket = Some(Arc::new(socket));
                place.reads_datagrams();
            }
            Fault::PeerGone => place.listens(None).await,
            Fault::PeerForeign => {
                let own = tls(
                    &place.read("server_certificate.pem"),
                    &place.read("server_privatekey.pem"),
                );
                place.listens(Some(own)).await;
            }
            _ => point(&place.path("second.log"), &place.path("disk.log")),
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// The device that writes there.
    fn device(&self, required: bool) -> AuditDevice {
        let file = audit_file(self.path("second.log"));
        let address = match self.fault {
            Fault::PeerAsleep => SyslogAddress::Unix(self.path("socket")),
            Fault::PeerGone => SyslogAddress::Tcp(self.address.unwrap().to_string()),
            Fault::PeerForeign => {
                SyslogAddress::Tls(format!("localhost:{}", self.address.unwrap().port()))
            }
            _ => return AuditDevice { required, ..file },
        };
        let ca = matches!(address, SyslogAddress::Tls(_)).then(|| self.path("region_ca.pem"));
        let kind = AuditDeviceKind::Syslog;
        AuditDevice { kind, path: None, address: Some(address), ca, required, ..file }
    }

    /// How the figures call it.
    fn name(&self) -> String {
        match (self.fault, self.address) {
            (Fault::PeerAsleep, _) => format!("syslog unix:{}", self.path("socket").display()),
            (Fault::PeerGone, Some(address)) => format!("syslog tcp:{address}"),
            (Fault::PeerForeign, Some(address)) => {
                format!("syslog tls:localhost:{}", address.port())
            }
            _ => format!("file {}", self.path("second.log").display()),
        }
    }

    fn pipe(&self) -> PathBuf {
        let path = self.path("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        path
    }

    /// The device fails from now on. `asks` makes records.
    async fn fails(&mut self, asks: &mut impl AsyncFnMut()) {
        let link = self.path("second.log");
        match self.fault {
            Fault::ReaderGone | Fault::ReaderAsleep => {
                let pipe = self.pipe();
                let mut reader = nonblocking(OpenOptions::new().read(true), &pipe);
                point(&link, &pipe);
                if self.fault == Fault::ReaderGone {
                    let mut text = String::new();
                    while text.is_empty() {
                        asks().await;
                        drop(reader.read_to_string(&mut text));
                    }
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    drop(reader.read_to_string(&mut text));
                    self.lines.lock().unwrap().extend(text.lines().map(str::to_owned));
                } else {
                    self.kept = Some(reader);
                }
            }
            Fault::NoReader => point(&link, &self.pipe()),
            Fault::FullDisk => point(&link, Path::new("/dev/full")),
            Fault::BrokenDisk => point(&link, Path::new("/proc/version")),
            Fault::Forbidden => point(&link, Path::new("/sys/kernel/notes")),
            Fault::ReadOnly => point(&link, &read_only()),
            Fault::Folder => point(&link, &self.folder),
            Fault::NoFolder => point(&link, &self.path("none/second.log")),
            Fault::Deleted => {
                self.kept = Some(File::open(&link).unwrap());
                fs::remove_file(link).unwrap();
            }
            Fault::Moved => {
                fs::rename(link, self.path("second-00000000000000000000.log")).unwrap();
            }
            Fault::PeerAsleep => self.collector.take().unwrap().abort(),
            Fault::PeerGone => self.leaves().await,
            Fault::PeerForeign => {
                self.leaves().await;
                self.listens(Some(stranger())).await;
            }
        }
    }

    /// The peer goes, once it has read what was sent to it.
    async fn leaves(&mut self) {
        let mut before = usize::MAX;
        let now = || self.lines.lock().unwrap().len();
        while before != now() {
            before = now();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let collector = self.collector.take().unwrap();
        collector.abort();
        drop(collector.await);
    }

    async fn is_mended(&mut self) {
        match self.fault {
            Fault::Deleted | Fault::Moved => {}
            Fault::PeerAsleep => self.reads_datagrams(),
            Fault::PeerGone => self.listens(None).await,
            Fault::PeerForeign => {
                let foreign = self.collector.take().unwrap();
                foreign.abort();
                drop(foreign.await);
                let own =
                    tls(&self.read("server_certificate.pem"), &self.read("server_privatekey.pem"));
                self.listens(Some(own)).await;
            }
            _ => point(&self.path("second.log"), &self.path("disk.log")),
        }
    }

    fn reads_datagrams(&mut self) {
        let (socket, lines) = (Arc::clone(self.socket.as_ref().unwrap()), Arc::clone(&self.lines));
        self.collector = Some(tokio::spawn(async move {
            let mut bytes = vec![0; 65536];
            while let Ok(length) = socket.recv(&mut bytes).await {
                lines.lock().unwrap().push(record_in(&bytes[..length]));
            }
        }));
    }

    /// Listens for messages with their length in front, where it did before.
    async fn listens(&mut self, tls: Option<TlsAcceptor>) {
        let address = self.address.unwrap_or_else(|| "127.0.0.1:0".parse().unwrap());
        let listener = TcpListener::bind(address).await.unwrap();
        self.address = Some(listener.local_addr().unwrap());
        let lines = Arc::clone(&self.lines);
        self.collector = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                match &tls {
                    None => collect(stream, &lines).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            collect(stream, &lines).await;
                        }
                    }
                }
            }
        }));
    }

    /// All lines that the device has taken, by their numbers, and as often as it has.
    fn all(&mut self) -> Vec<String> {
        let mut lines = std::mem::take(&mut *self.lines.lock().unwrap());
        let path = self.path(if self.fault.heals_at_once() { "second.log" } else { "disk.log" });
        for file in FileDevice::all(&path).unwrap() {
            lines.extend(fs::read_to_string(file).unwrap().lines().map(str::to_owned));
        }
        if let Some(mut file) = self.kept.take() {
            let mut text = String::new();
            // Nobody writes a pipe any more.
            file.read_to_string(&mut text).unwrap();
            lines.extend(text.lines().map(str::to_owned));
        }
        lines
    }
}

fn tls(certificate: &[u8], key: &[u8]) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>().unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(key).unwrap())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// One whom another authority vouches for.
fn stranger() -> TlsAcceptor {
    let now = SystemClock.now();
    let (authority, _) = CertificateAuthority::create("others", now, 10).unwrap();
    let names = ["localhost".parse().unwrap()];
    let issued = authority.issue_server(&names, KeySource::Fresh(KeyKind::P256), now, 5).unwrap();
    tls(issued.certificate_pem.as_bytes(), issued.key.unwrap().expose().as_bytes())
}

fn record_in(message: &[u8]) -> String {
    let text = String::from_utf8(message.to_vec()).unwrap();
    text.split_once(" audit - ").unwrap().1.to_owned()
}

async fn collect(from: impl AsyncRead + Unpin, lines: &Lines) {
    let mut from = BufReader::new(from);
    loop {
        let mut length = Vec::new();
        if from.read_until(b' ', &mut length).await.unwrap_or(0) == 0 {
            return;
        }
        let Ok(length) = String::from_utf8(length).unwrap().trim_end().parse() else { return };
        let mut message = vec![0; length];
        if from.read_exact(&mut message).await.is_err() {
            return;
        }
        lines.lock().unwrap().push(record_in(&message));
    }
}

/// What these lines prove, and the requests that are in them. Of a line that was begun in one place
/// and came again in another, the beginning is passed over.
fn proven(server: &TestServer, lines: &[String]) -> (Proven, Vec<String>) {
    let root = FileRootKey::load(&server.config.keys.root_key).unwrap();
    let mut verifier = Verifier::new(SigningKey::of(&root, AUDIT_PURPOSE).unwrap().public());
    let mut by_number: BTreeMap<u64, &String> = BTreeMap::new();
    let mut requests = Vec::new();
    for line in lines {
        let Ok(record) = serde_json::from_str::<Value>(line) else { continue };
        let before = by_number.insert(record["seq"].as_u64().unwrap(), line);
        assert!(before.is_none(), "it came twice: {line}");
        if record["type"] == "request" {
            requests.push(record["request_id"].as_str().unwrap().to_owned());
        }
    }
    for line in by_number.values() {
        verifier.line(line.as_bytes()).unwrap();
    }
    let proven = verifier.finish().unwrap();
    assert_eq!(proven.len(), 1);
    (proven[0], requests)
}

/// A client that asks, and remembers what it was told.
struct Asking<'a> {
    client: &'a Client,
    number: u32,
    acknowledged: Vec<String>,
    refused: Vec<String>,
}

impl Asking<'_> {
    async fn creates(&mut self) -> Answer {
        self.number += 1;
        let path = format!("a/{}", self.number);
        let answer = self.client.create(&path, "{}").await;
        if answer.status == 200 {
            self.acknowledged.push(answer.headers["x-request-id"].to_str().unwrap().to_owned());
        } else {
            assert_eq!(answer.status, 503, "{}", answer.text());
            if answer.text().contains("nothing was changed") {
                self.refused.push(path);
            }
        }
        answer
    }

    /// Until it is answered so.
    async fn until(&mut self, what: &str, status: u16) {
        let end = std::time::Instant::now() + PATIENCE;
        while self.creates().await.status != status {
            assert!(std::time::Instant::now() < end, "never: {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn is_up(server: &TestServer, device: &str) -> bool {
    server.metric(&format!("okmsd_audit_device_up{{device=\"{device}\"}}")).await == 1.0
}

fn change(config: &mut Config, reads: AuditReads) {
    config.audit.reads = reads;
    config.audit.patience = Span(Duration::from_secs(1));
    // Nothing is recorded but what is asked.
    config.audit.checkpoint_time = Span(Duration::from_secs(60));
}

async fn a_device_fails(fault: Fault, required: bool, reads: AuditReads) {
    let what = format!("{fault:?}, required: {required}, {reads:?}");
    let (told, tells) = mpsc::channel();
    let folder = |config: &Config| config.store.path.parent().unwrap().to_owned();
    // The place must be there before the config can name it.
    let mut server = TestServer::start_with(|config| {
        change(config, reads);
        let folder = folder(config);
        let place = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(Place::prepare(fault, &folder))
        });
        config.audit.device.push(place.device(required));
        told.send(place).unwrap();
    })
    .await;
    let mut place = tells.recv().unwrap();
    let device = place.name();
    let client = server.tenant().await;
    let mut asking =
        Asking { client: &client, number: 0, acknowledged: Vec::new(), refused: Vec::new() };
    asking.creates().await.ok();
    place.fails(&mut async || drop(asking.creates().await)).await;

    if fault.heals_at_once() {
        asking.creates().await.ok();
        let path = place.path("second.log");
        eventually(format!("{what}: another file"), async || path.exists()).await;
        for _ in 0..5 {
            asking.creates().await.ok();
        }
        assert_eq!(server.admin("/readyz").await.0, 200, "{what}");
    } else if required {
        asking.until(&format!("{what}: refused"), 503).await;
        assert!(asking.creates().await.text().contains("nothing was changed or told"), "{what}");
        assert_eq!(server.admin("/readyz").await.0, 503, "{what}");
        assert_eq!(server.metric("okmsd_ready").await, 0.0, "{what}");
        let read = client.get("secret/a/1").await.status;
        assert_eq!(read, if reads == AuditReads::Required { 503 } else { 200 }, "{what}");
        eventually(format!("{what}: down"), async || !is_up(&server, &device).await).await;
    } else {
        let end = std::time::Instant::now() + PATIENCE;
        while is_up(&server, &device).await {
            assert!(std::time::Instant::now() < end, "never: {what}: down");
            asking.creates().await.ok();
        }
        asking.creates().await.ok();
        assert_eq!(client.get("secret/a/1").await.status, 200, "{what}");
        assert_eq!(server.admin("/readyz").await.0, 200, "{what}");
    }
    let own = format!("file {}", server.path("audit.log").display());
    assert!(is_up(&server, &own).await, "{what}");

    place.is_mended().await;
    eventually(format!("{what}: up again"), async || is_up(&server, &device).await).await;
    asking.until(&format!("{what}: takes changes"), 200).await;
    assert_eq!(server.admin("/readyz").await.0, 200, "{what}");
    for path in &asking.refused {
        assert_eq!(client.get(&format!("secret/{path}")).await.status, 404, "{what}: {path}");
    }
    let lost = format!("okmsd_audit_device_lost_records_total{{device=\"{device}\"}}");
    assert_eq!(server.metric(&lost).await, 0.0, "{what}");
    server.stop().await;
    tokio::time::sleep(Duration::from_millis(200)).await;

    let of_first = fs::read_to_string(server.path("audit.log")).unwrap();
    let of_first: Vec<_> = of_first.lines().map(str::to_owned).collect();
    for (lines, of) in [(of_first, "the first"), (place.all(), "the second")] {
        let (proven, requests) = proven(&server, &lines);
        assert!(proven.is_closed && proven.first == 1, "{what}: {of}: {proven:?}");
        for id in &asking.acknowledged {
            assert!(requests.contains(id), "{what}: {of} has not {id}");
        }
    }
}

/// Whatever becomes of a device: if it is required, changes are refused until it is well, and reads if
/// they must be recorded; if it is not, nobody is refused. Then it has all that was acknowledged.
#[test]
fn devices_fail_in_many_ways_and_lose_nothing() {
    let mut cases = Vec::new();
    for (at, fault) in FAULTS.into_iter().enumerate() {
        let reads = if at % 2 == 0 { AuditReads::Required } else { AuditReads::Recorded };
        cases.push((fault, true, reads));
        cases.push((fault, false, AuditReads::Required));
    }
    // As many at once as take their turns in time, each on its own.
    for some in cases.chunks(6) {
        std::thread::scope(|scope| {
            for (fault, required, reads) in some {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_multi_thread();
                    let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
                    runtime.block_on(a_device_fails(*fault, *required, *reads));
                });
            }
        });
    }
}
