//! The real binary, killed while it packs files of its audit trail: none of them is lost, and none is
//! there twice.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use hyper::Method;
use okmsd::{
    audit::{FileDevice, Lines, Proven, Verifier},
    crypto::{FileRootKey, SigningKey},
};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::kill::{Access, PATIENCE, Server, spawn};

/// So many files are full before it packs any.
const FILES: usize = 8;

/// Says what becomes of files of the trail that are full.
fn configure(folder: &Path, packs: bool) {
    let path = folder.join("okmsd.toml");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("path = \"audit.log\"\n").unwrap();
    let (_, after) = rest.split_once("\n[").unwrap();
    let device = format!("path = \"audit.log\"\nrotate_bytes = \"1MiB\"\ncompress = {packs}\n\n[");
    fs::write(path, format!("{before}{device}{after}")).unwrap();
}

/// All lines of the trail, whether packed or not, and what they prove.
fn lines(folder: &Path) -> (Vec<Vec<u8>>, Proven) {
    let root = FileRootKey::load(&folder.join("root.key")).unwrap();
    let key = SigningKey::of(&root, okmsd::app::AUDIT_PURPOSE).unwrap().public();
    let (mut verifier, mut all) = (Verifier::new(key), Vec::new());
    for file in FileDevice::all(&folder.join("audit.log")).unwrap() {
        let mut lines = Lines::open(&file).unwrap();
        while let Some(line) = lines.next_line().unwrap().filter(|line| line.is_whole) {
            verifier.line(line.text).unwrap();
            all.push(line.text.to_vec());
        }
    }
    (all, verifier.finish().unwrap()[0])
}

fn ending(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_one = |path: &PathBuf| path.to_str().unwrap().ends_with(ending);
    all.filter(|path| path.to_str().unwrap().contains("audit-0")).filter(is_one).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_record_is_lost_or_doubled_when_it_is_killed_while_it_packs() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("region");
    Server::start(&dir).kill();
    configure(&dir, false);
    let server = Server::start(&dir);
    let access = Access::load(&dir);
    // Long in the records.
    let path = format!("secret/none/{}", "%C3%A9".repeat(500));
    while ending(&dir, ".log").len() < FILES {
        let mut asking = JoinSet::new();
        for _ in 0..4 {
            let (mut api, path) = (access.connect(server.address).await.unwrap(), path.clone());
            asking.spawn(async move {
                for _ in 0..100 {
                    let asked = api.call(Method::GET, &path, &Value::Null).await.unwrap();
                    assert_eq!(asked.0, 404);
                }
            });
        }
        asking.join_all().await;
    }
    server.kill();
    configure(&dir, true);
    let (whole, _) = lines(&dir);
    let (mut hits, mut rounds) = (0, 0);
    while !ending(&dir, ".log").is_empty() {
        rounds += 1;
        let mut child = spawn(&dir, Stdio::null());
        let begun = Instant::now();
        while ending(&dir, ".gz.new").is_empty() && !ending(&dir, ".log").is_empty() {
            assert!(begun.elapsed() < PATIENCE, "it packs nothing");
            std::thread::sleep(Duration::from_micros(100));
        }
        // A little later each time, so that it comes to an end.
        std::thread::sleep(Duration::from_millis(rounds * 4));
        child.kill().unwrap();
        child.wait().unwrap();
        hits += usize::from(!ending(&dir, ".gz.new").is_empty());
        let (all, proven) = lines(&dir);
        assert_eq!(proven.first, 1);
        assert!(all.starts_with(&whole), "round {rounds}: something else is there");
        assert!(rounds < 100, "it does not come to an end");
    }
    println!("{rounds} kills, {hits} of them in the middle of a file");
    assert!(hits > 2, "few kills have hit");
    let server = Server::start(&dir);
    server.ready().await;
    let begun = Instant::now();
    while !ending(&dir, ".gz.new").is_empty() {
        assert!(begun.elapsed() < PATIENCE, "what was begun stays");
        std::thread::sleep(Duration::from_millis(10));
    }
    let (all, proven) = lines(&dir);
    assert!(proven.first == 1 && all.starts_with(&whole));
    assert!(ending(&dir, ".gz").len() >= FILES);
}
