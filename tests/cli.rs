//! The command line against a running server: the same steps as `okmsd dev`, one by one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::pedantic,
    reason = "a test fails by panicking"
)]

use std::{
    ffi::OsStr,
    fmt::Debug,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// A server's process, ended with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn okmsd<A: AsRef<OsStr>>(arguments: &[A]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_okmsd")).args(arguments).output().unwrap()
}

#[track_caller]
fn succeeds<A: AsRef<OsStr> + Debug>(arguments: &[A]) -> String {
    let output = okmsd(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// That a command fails, and says `what`.
#[track_caller]
fn fails<A: AsRef<OsStr> + Debug>(arguments: &[A], what: &str) {
    let output = okmsd(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(what), "{arguments:?}: {said}");
}

/// Serves the folder on free ports; the endpoint.
fn serve(folder: &Path) -> (Server, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_okmsd"))
        .args(["serve", "--config", folder.join("okmsd.toml").to_str().unwrap()])
        .envs([("OKMSD_SERVER__LISTEN", "127.0.0.1:0"), ("OKMSD_SERVER__ADMIN_LISTEN", "127.0.0.1:0")])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("okmsd serves"))).unwrap().unwrap();
    let address = line.split("listen=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    (Server(child), format!("https://{address}"))
}

#[test]
fn a_region_from_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("region");
    let dir = folder.to_str().unwrap();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    succeeds(&["init", "--dir", dir, "--region", "test-1", "--listen", "0.0.0.0:8443"]);
    let config = fs::read_to_string(folder.join("okmsd.toml")).unwrap();
    assert!(config.contains("endpoint = \"https://localhost:8443\""), "{config}");
    for private in ["root.key", "region_ca_privatekey.pem", "server_privatekey.pem", "operator_privatekey.pem"] {
        assert_eq!(fs::metadata(folder.join(private)).unwrap().permissions().mode() & 0o777, 0o600, "{private}");
    }
    let before = fs::read(folder.join("root.key")).unwrap();
    succeeds(&["init", "--dir", dir]);
    assert_eq!(fs::read(folder.join("root.key")).unwrap(), before, "a second init keeps what is there");
    assert_eq!(succeeds(&["serve", "--config", &file("okmsd.toml"), "--check"]).trim(), "ok");

    let (_server, endpoint) = serve(&folder);
    let with = |arguments: &[&str]| -> Vec<String> {
        arguments.iter().chain(&["--dir", dir, "--endpoint", &endpoint]).map(|text| (*text).to_owned()).collect()
    };
    let id = succeeds(&with(&["domain", "create", "billing"])).trim().to_owned();
    assert_eq!(succeeds(&with(&["domain", "list"])).trim(), format!("{id}  billing"));
    assert!(succeeds(&with(&["domain", "show", &id])).contains("\"name\": \"billing\""));
    // More than a page of them.
    for n in 0..100 {
        succeeds(&with(&["domain", "create", &format!("domain {n}")]));
    }
    assert_eq!(succeeds(&with(&["domain", "list"])).lines().count(), 101);

    let (out, password, bundle) = (file("out"), file("password"), file("client.p12"));
    fs::write(&password, "pass phrase\n").unwrap();
    let issue = ["cert", "issue", "--domain", &id, "--name", "billing-1", "--out", &out];
    succeeds(&with(&[&issue[..], &["--pkcs12", &bundle, "--pkcs12-password-file", &password]].concat()));
    let key = format!("{out}/{id}_privatekey.pem");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    // The key of a certificate that is in use is not lost to a second call.
    let kept = fs::read(&key).unwrap();
    fails(&with(&issue), "exists");
    assert_eq!(fs::read(&key).unwrap(), kept);

    // A request made by somebody else.
    let (csr, own_key, other) = (file("own.csr"), file("own.pem"), file("other"));
    let request =
        ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=own", "-keyout", &own_key, "-out", &csr];
    assert!(Command::new("openssl").args(request).output().unwrap().status.success());
    succeeds(&with(&["cert", "issue", "--domain", &id, "--csr", &csr, "--days", "7", "--out", &other]));
    assert!(!Path::new(&format!("{other}/{id}_privatekey.pem")).exists());
    for certificate in [format!("{out}/{id}_certificate.pem"), format!("{other}/{id}_certificate.pem")] {
        let verify = ["verify", "-purpose", "sslclient", "-CAfile", &file("region_ca.pem"), &certificate];
        assert!(Command::new("openssl").args(verify).output().unwrap().status.success(), "{certificate}");
    }
    let open = ["pkcs12", "-in", &bundle, "-passin", &format!("file:{password}"), "-nodes", "-noout"];
    assert!(Command::new("openssl").args(open).output().unwrap().status.success());

    fails(&with(&["domain", "show", "1b4e28ba-2fa1-41d2-883f-0016d3cca427"]), "404");
    let foreign = ["--cert", &format!("{out}/{id}_certificate.pem"), "--key", &key].map(str::to_owned);
    fails(&with(&["domain", "create", "x", &foreign[0], &foreign[1], &foreign[2], &foreign[3]]), "403");
}

#[test]
fn errors_name_the_file_or_the_key() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().to_str().unwrap();
    let config = format!("{dir}/okmsd.toml");
    fails(&["serve", "--config", &config], "okmsd.toml");
    succeeds(&["init", "--dir", dir]);
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}\nlisten = 1\n")).unwrap();
    fails(&["serve", "--config", &config], "listen");
    fs::write(&config, &text).unwrap();
    let check = ["serve", "--config", &config, "--check"];
    for (name, says) in [
        ("server_privatekey.pem", "server_privatekey.pem"),
        ("region_ca.pem", "region_ca.pem"),
        ("region_ca_privatekey.pem", "region_ca_privatekey.pem"),
        ("root.key", "root.key"),
    ] {
        let path = format!("{dir}/{name}");
        let kept = fs::read(&path).unwrap();
        fs::write(&path, "nonsense").unwrap();
        fails(&check, says);
        fs::remove_file(&path).unwrap();
        fails(&check, says);
        fs::write(&path, kept).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    fs::set_permissions(format!("{dir}/root.key"), fs::Permissions::from_mode(0o644)).unwrap();
    fails(&check, "chmod 600");
    fs::set_permissions(format!("{dir}/root.key"), fs::Permissions::from_mode(0o600)).unwrap();
    succeeds(&check);
    fails(&["init", "--dir", dir, "--region", "a\"b"], "letters, digits");
    fails(&["domain", "list", "--dir", dir, "--endpoint", "https://127.0.0.1:1"], "127.0.0.1:1");
}

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Serves the folder at a port that is known before a line is read.
fn serve_at(folder: &Path, port: u16, stderr: Stdio) -> Server {
    let child = Command::new(env!("CARGO_BIN_EXE_okmsd"))
        .args(["serve", "--config", folder.join("okmsd.toml").to_str().unwrap()])
        .env("OKMSD_SERVER__LISTEN", format!("127.0.0.1:{port}"))
        .envs([("OKMSD_SERVER__ADMIN_LISTEN", "127.0.0.1:0"), ("OKMSD_LOG__FILTER", "trace")])
        .stderr(stderr)
        .spawn()
        .unwrap();
    Server(child)
}

/// Asks the server for its domains, until it answers.
#[track_caller]
fn answers(folder: &Path, port: u16) {
    let end = Instant::now() + PATIENCE;
    let endpoint = format!("https://127.0.0.1:{port}");
    loop {
        let output = okmsd(&["domain", "list", "--dir", folder.to_str().unwrap(), "--endpoint", &endpoint]);
        if output.status.success() {
            return;
        }
        assert!(Instant::now() < end, "{}", String::from_utf8_lossy(&output.stderr));
        thread::sleep(Duration::from_millis(50));
    }
}

fn send(server: &Server, signal: &str) {
    assert!(Command::new("kill").args([signal, &server.0.id().to_string()]).status().unwrap().success());
}

#[track_caller]
fn ends(server: &mut Server) -> ExitStatus {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = server.0.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < end, "the server does not end");
        thread::sleep(Duration::from_millis(20));
    }
}

fn region(temporary: &tempfile::TempDir) -> std::path::PathBuf {
    let folder = temporary.path().join("region");
    succeeds(&["init", "--dir", folder.to_str().unwrap(), "--region", "test-1"]);
    folder
}

/// SIGHUP, which `systemctl reload`, log rotation and renewal hooks send, ended the server at once and without a drain.
#[test]
fn signals_that_mean_no_end_change_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, port) = (region(&temporary), free_port());
    let mut server = serve_at(&folder, port, Stdio::piped());
    let lines = BufReader::new(server.0.stderr.take().unwrap()).lines();
    let (sender, said) = mpsc::channel();
    thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let says = |what: &str| {
        let end = Instant::now() + PATIENCE;
        while !said.recv_timeout(end.saturating_duration_since(Instant::now())).unwrap().contains(what) {}
    };
    says("okmsd serves");
    for signal in ["HUP", "USR1", "USR2", "ALRM"] {
        send(&server, &format!("-{signal}"));
        says(&format!("this signal changes nothing signal=\"SIG{signal}\""));
        answers(&folder, port);
    }
    send(&server, "-TERM");
    assert_eq!(ends(&mut server).code(), Some(0), "the first drains");
}

/// The first signal drains, and waits for a request that is under way; the second one ends the process at once.
#[test]
fn a_second_signal_ends_at_once() {
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let temporary = tempfile::tempdir().unwrap();
        let (folder, port) = (region(&temporary), free_port());
        let mut server = serve_at(&folder, port, Stdio::null());
        answers(&folder, port);
        let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let mut peer = Command::new("openssl")
            .args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{port}")])
            .args(["-cert", &file("operator_certificate.pem"), "-key", &file("operator_privatekey.pem")])
            .args(["-CAfile", &file("region_ca.pem")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let head = "POST /v2/okms/resource HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{";
        peer.stdin.as_mut().unwrap().write_all(head.as_bytes()).unwrap();
        thread::sleep(Duration::from_secs(1));
        send(&server, signal);
        thread::sleep(Duration::from_millis(500));
        assert!(server.0.try_wait().unwrap().is_none(), "the server waits for the request");
        send(&server, signal);
        let asked = Instant::now();
        assert_eq!(ends(&mut server).code(), Some(code));
        assert!(asked.elapsed() < Duration::from_secs(4));
        let _peer = Server(peer);
    }
}

/// A log stream that cannot be written ended the process, or left the store's writer dead: a full disk, a pipe whose
/// reader has gone, and one whose reader has stopped reading.
#[test]
fn a_log_that_cannot_be_written_harms_nobody() {
    for case in ["full", "gone", "stuck"] {
        let temporary = tempfile::tempdir().unwrap();
        let (folder, port) = (region(&temporary), free_port());
        let stderr =
            if case == "full" { File::options().write(true).open("/dev/full").unwrap().into() } else { Stdio::piped() };
        let mut server = serve_at(&folder, port, stderr);
        let reader = server.0.stderr.take().filter(|_| case == "stuck");
        answers(&folder, port);
        let (dir, endpoint) = (folder.to_str().unwrap().to_owned(), format!("https://127.0.0.1:{port}"));
        // Everything is logged, and each of these is several pages of it.
        for n in 0..12 {
            succeeds(&["domain", "create", &format!("{case} {n}"), "--dir", &dir, "--endpoint", &endpoint]);
        }
        let said = succeeds(&["domain", "list", "--dir", &dir, "--endpoint", &endpoint]);
        assert_eq!(said.lines().count(), 12, "{case}");
        send(&server, "-TERM");
        assert_eq!(ends(&mut server).code(), Some(0), "{case}");
        drop(reader);
    }
}

/// `okmsd dev | true` panicked. Whoever does not read what it says gets a server all the same.
#[test]
fn a_server_whose_words_nobody_reads_serves() {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, port) = (temporary.path().join("dev"), free_port());
    let mut child = Command::new(env!("CARGO_BIN_EXE_okmsd"))
        .args(["dev", "--dir", folder.to_str().unwrap(), "--listen", &format!("127.0.0.1:{port}")])
        .args(["--admin-listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    let mut server = Server(child);
    let end = Instant::now() + PATIENCE;
    while !folder.join("env.sh").exists() {
        assert!(Instant::now() < end && server.0.try_wait().unwrap().is_none());
        thread::sleep(Duration::from_millis(20));
    }
    answers(&folder, port);
    send(&server, "-INT");
    assert_eq!(ends(&mut server).code(), Some(0));
}
