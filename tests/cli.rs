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
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
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
