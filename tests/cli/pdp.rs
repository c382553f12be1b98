//! A policy decision point that is known by a token, which is changed while the server runs.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    process::Stdio,
    sync::mpsc,
    thread,
};

use super::{PATIENCE, answers, free_port, log_of, region, send, serve_at, succeeds, wait_for};

/// Who permits everything, and tells by which token it was asked.
fn permitting() -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, asked) = mpsc::channel();
    thread::spawn(move || {
        listener.incoming().try_for_each(|one| sender.send(answer(one.unwrap())))
    });
    (port, asked)
}

fn answer(mut stream: TcpStream) -> String {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut token, mut length, mut line) = (String::new(), 0, String::new());
    while reader.read_line(&mut line).unwrap() > 2 {
        let (name, value) = line.trim_end().split_once(' ').unwrap_or_default();
        match &*name.to_ascii_lowercase() {
            "authorization:" => token = value.to_owned(),
            "content-length:" => length = value.parse().unwrap(),
            _ => {}
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let yes = serde_json::json!({"decision": true});
    let said = match body["evaluations"].as_array() {
        Some(all) => serde_json::json!({"evaluations": vec![yes; all.len()]}),
        None => yes,
    };
    let said = said.to_string();
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", said.len());
    stream.write_all((head + &said).as_bytes()).unwrap();
    token
}

/// A token that was changed counts with the signal, where nobody looks at files by himself; one that cannot be read changes
/// nothing.
#[test]
fn its_token_counts_with_sighup() {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, port) = (region(&temporary), free_port());
    let (pdp, asked) = permitting();
    let token = folder.join("pdp.token");
    fs::write(&token, "the-first\n").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let mut config = OpenOptions::new().append(true).open(folder.join("okmsd.toml")).unwrap();
    let pdp = format!("\n[pdp]\nurl = \"http://127.0.0.1:{pdp}\"\nbearer_file = \"pdp.token\"\n");
    config.write_all((pdp + "[reload]\ninterval = \"0s\"\n").as_bytes()).unwrap();
    let mut server = serve_at(&folder, port, Stdio::piped());
    let said = log_of(&mut server);
    wait_for(&said, "okmsd serves");
    answers(&folder, port);
    let (folder, endpoint) = (folder.to_str().unwrap(), format!("https://127.0.0.1:{port}"));
    let client = ["--dir", folder, "--endpoint", &endpoint];
    let domain = succeeds(&[&["domain", "create", "shop"], &client[..]].concat());
    let domain = ["--domain", domain.trim()];
    // There is none, which whoever decides does not know.
    let by = || {
        let copy = super::okmsd(&[&["secret", "cp", "a", "b"], &domain[..], &client].concat());
        assert!(String::from_utf8_lossy(&copy.stderr).contains("no such secret"), "{copy:?}");
        let first = asked.recv_timeout(PATIENCE).unwrap();
        asked.try_iter().for_each(|other| assert_eq!(other, first));
        first
    };
    assert_eq!(by(), "Bearer the-first");
    fs::write(&token, "the-second\n").unwrap();
    assert_eq!(by(), "Bearer the-first", "nobody has said so");
    send(&server, "-HUP");
    wait_for(&said, "the files are loaded again");
    assert_eq!(by(), "Bearer the-second");
    fs::write(&token, "two\nlines\n").unwrap();
    send(&server, "-HUP");
    wait_for(&said, "the files could not be loaded again; nothing changes");
    assert_eq!(by(), "Bearer the-second");
}
