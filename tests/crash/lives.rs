//! What the server does by itself, under kill -9: secrets that are rotated, removed ones that are swept, counts of
//! reads that are added up. The clock of the real binary is set on from start to start (libfaketime), so that each of
//! them finds all of it due.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hyper::Method;
use serde_json::{Value, json};

use crate::kill::{Access, Api, PATIENCE, Server};

const ROUNDS: u32 = 6;
const SECRETS: usize = 80;
const READS: u64 = 5;
/// The kill comes so many rotations later in each round.
const STEP: usize = 9;

/// The library that sets a program's clock on, where it is installed.
///
/// # Panics
/// Where it is not, and has to be.
pub fn faketime() -> Option<PathBuf> {
    let library = fs::read_dir("/usr/lib")
        .ok()?
        .flatten()
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.exists());
    if library.is_none() {
        assert!(std::env::var_os("COMPAT_STRICT").is_none(), "libfaketime is not installed");
        println!("skipped: libfaketime is not installed, so that no clock can be set on");
    }
    library
}

/// The environment of a server whose clock is so many hours ahead.
pub fn ahead(library: &Path, hours: u32) -> [(&'static str, String); 4] {
    [
        ("LD_PRELOAD", library.to_str().unwrap().to_owned()),
        ("FAKETIME", format!("+{hours}h")),
        // What waits goes on waiting as long as it does.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("OKMSD_ROTATION__TICK", "1s".to_owned()),
    ]
}

/// A server whose clock is so many hours ahead.
fn start(folder: &Path, library: &Path, hours: u32) -> Server {
    let ahead = ahead(library, hours);
    let mut environment: Vec<_> = ahead.iter().map(|(name, value)| (*name, &**value)).collect();
    environment.push(("OKMSD_SECRETS__RETENTION", "1d"));
    Server::start_with(folder, &environment)
}

pub async fn ask(api: &mut Api, method: Method, path: &str, body: Value) -> (u16, Value) {
    api.at(method, format!("/v1/{path}"), &body).await.unwrap()
}

pub async fn get(api: &mut Api, path: &str) -> Value {
    let (status, body) = ask(api, Method::GET, path, Value::Null).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

/// How many rotations were announced so far.
fn rotations(folder: &Path) -> usize {
    let trail = fs::read(folder.join("audit.log")).unwrap();
    let word = b"\"change\":\"secrets.rotate\"";
    trail.windows(word.len()).filter(|window| window == word).count()
}

fn seconds(moment: &Value) -> i64 {
    okmsd::model::Timestamp::from_rfc3339(moment.as_str().unwrap()).unwrap().unix_seconds()
}

/// Of a rotation all is there, or nothing: the version, its value, the end of the one before, and from when on the
/// next one counts. The current version.
async fn is_whole(api: &mut Api, path: &str) -> u64 {
    let metadata = format!("secrets/metadata/{path}");
    let mut told = get(api, &metadata).await;
    // Three requests are no snapshot: what was rotated between them is read anew.
    let (list, read) = loop {
        let list = get(api, &format!("secrets/{path}/versions")).await;
        let read = get(api, &format!("secrets/{path}")).await;
        let after = get(api, &metadata).await;
        if after["current_version"] == told["current_version"] {
            break (list, read);
        }
        told = after;
    };
    let current = told["current_version"].as_u64().unwrap();
    let written = seconds(&told["updated_at"]);
    assert_eq!(seconds(&told["rotation_policy"]["next_rotation"]), written + 3_600, "{told}");
    let versions = list["versions"].as_array().unwrap();
    assert_eq!(versions.len() as u64, current, "{list}");
    assert_eq!(seconds(&versions[0]["created_at"]), written);
    for pair in versions.windows(2) {
        let (after, before) = (&pair[0], &pair[1]);
        if before["state"] == "expired" {
            continue;
        }
        assert_eq!(seconds(&before["expires_at"]), seconds(&after["created_at"]) + 600, "{list}");
    }
    assert_eq!((&read["version"], &read["data"]["user"]), (&json!(current), &json!("u")));
    let length = if current == 1 { 1 } else { 32 };
    assert_eq!(read["data"]["key"].as_str().unwrap().len(), length);
    current
}

/// How many secrets there are, those that were removed among them.
async fn secrets(api: &mut Api, id: &str) -> u64 {
    let path = format!("/v2/okms/resource/{id}/usage");
    let begun = Instant::now();
    loop {
        let (_, told) = api.at(Method::GET, path.clone(), &Value::Null).await.unwrap();
        if let Some(secrets) = told["secrets"].as_u64() {
            return secrets;
        }
        assert!(begun.elapsed() < PATIENCE, "{told}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_does_by_itself_is_whole_under_kill_9() {
    let Some(library) = faketime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("region");
    let server = start(&dir, &library, 0);
    server.ready().await;
    let access = Access::load(&dir);
    let mut api = access.connect(server.address).await.unwrap();
    let policy =
        json!({"name": "hourly", "interval": "1h", "grace_period": "10m", "auto_generate": true});
    assert_eq!(ask(&mut api, Method::POST, "rotation/policies", policy).await.0, 201);
    let paths: Vec<_> = (0..SECRETS).map(|n| format!("life/{n:02}")).collect();
    for path in &paths {
        let body = json!({"data": {"user": "u", "key": "k"}, "options": {"rotation_policy_id": "rot_hourly", "max_versions": 100}});
        assert_eq!(ask(&mut api, Method::PUT, &format!("secrets/{path}"), body).await.0, 201);
        let gone = format!("secrets/gone/{path}");
        assert_eq!(ask(&mut api, Method::PUT, &gone, json!({"data": {}})).await.0, 201);
        assert_eq!(ask(&mut api, Method::DELETE, &gone, Value::Null).await.0, 200);
    }
    assert_eq!(secrets(&mut api, &access.id).await, 2 * SECRETS as u64);
    server.kill();

    // Each start finds all of it due, is killed while it is at it, and the next one does the rest.
    let mut half_done = 0;
    for round in 1..=ROUNDS {
        let hours = 2 * round;
        let seen = rotations(&dir);
        let server = start(&dir, &library, hours);
        let begun = Instant::now();
        while rotations(&dir) < seen + STEP * round as usize {
            assert!(begun.elapsed() < PATIENCE, "nothing is rotated");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.kill();
        half_done += u32::from(rotations(&dir) < seen + SECRETS);
        let server = start(&dir, &library, hours);
        server.ready().await;
        let mut api = access.connect(server.address).await.unwrap();
        for path in &paths {
            let current = is_whole(&mut api, path).await;
            assert!([round, round + 1].map(u64::from).contains(&current), "{path}: {current}");
        }
        let begun = Instant::now();
        for path in &paths {
            while is_whole(&mut api, path).await != u64::from(round) + 1 {
                assert!(begun.elapsed() < PATIENCE, "{path} is not rotated");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        // Some more ticks make no more of it.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        for path in &paths {
            assert_eq!(is_whole(&mut api, path).await, u64::from(round) + 1, "{path}");
        }
        server.kill();
    }
    println!("{half_done} of {ROUNDS} kills left some secrets rotated and others not");
    assert!(half_done > 1, "few kills have hit");

    // The time of what was removed is over: none of it is there, swept or not, and what comes after it is new.
    for round in 0..3_u32 {
        let server = start(&dir, &library, 40);
        tokio::time::sleep(Duration::from_millis(30) * round).await;
        server.kill();
    }
    let server = start(&dir, &library, 40);
    server.ready().await;
    let mut api = access.connect(server.address).await.unwrap();
    let (revived, rest) = paths.split_first().unwrap();
    let body = json!({"data": {"new": true}});
    let (status, told) = ask(&mut api, Method::PUT, &format!("secrets/gone/{revived}"), body).await;
    assert_eq!((status, &told["version"]), (201, &json!(1)));
    for path in rest {
        let (status, _) =
            ask(&mut api, Method::POST, &format!("secrets/gone/{path}/restore"), Value::Null).await;
        assert_eq!(status, 404);
    }
    let begun = Instant::now();
    while secrets(&mut api, &access.id).await != SECRETS as u64 + 1 {
        assert!(begun.elapsed() < PATIENCE, "it is not swept");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // A kill loses what was counted since it was added up, and nothing else; a stop loses none.
    let count = async |api: &mut Api| {
        let told = get(api, &format!("secrets/metadata/gone/{revived}")).await;
        told["access_count_30d"].as_u64().unwrap()
    };
    for _ in 0..READS {
        get(&mut api, &format!("secrets/gone/{revived}")).await;
    }
    assert_eq!(count(&mut api).await, READS);
    server.kill();
    let server = start(&dir, &library, 40);
    server.ready().await;
    let mut api = access.connect(server.address).await.unwrap();
    assert!(count(&mut api).await <= READS);
    assert_eq!(get(&mut api, &format!("secrets/gone/{revived}")).await["data"]["new"], true);
}

/// Reads are counted in memory and added up each second: whenever the server is killed, in the middle of that, too, no read
/// counts twice, what was added up stays, and what is lost is of the last second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_counts_twice_under_kill_9() {
    const FLUSH: Duration = Duration::from_secs(1);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("region");
    let start = || Server::start_with(&dir, &[("OKMSD_USAGE__FLUSH", "1s")]);
    let paths: Vec<_> = (0..SECRETS).map(|n| format!("read/{n:02}")).collect();
    let mut server = start();
    server.ready().await;
    let access = Access::load(&dir);
    let mut api = access.connect(server.address).await.unwrap();
    for path in &paths {
        let at = format!("secrets/{path}");
        assert_eq!(ask(&mut api, Method::PUT, &at, json!({"data": {}})).await.0, 201);
    }
    let counts = async |api: &mut Api| {
        let mut counts = Vec::new();
        for path in &paths {
            let told = get(api, &format!("secrets/metadata/{path}")).await;
            counts.push(told["access_count_30d"].as_u64().unwrap());
        }
        counts
    };
    let mut before = vec![0; SECRETS];
    let mut lost = 0;
    for round in 0..=ROUNDS {
        for path in &paths {
            for _ in 0..READS {
                get(&mut api, &format!("secrets/{path}")).await;
            }
        }
        let told = counts(&mut api).await;
        assert!(told.iter().zip(&before).all(|(now, before)| *now == before + READS), "{told:?}");
        let is_last = round == ROUNDS;
        // About when it is added up; in the last round, once it surely was.
        let wait = if is_last { 3 * FLUSH } else { FLUSH * round / ROUNDS };
        tokio::time::sleep(wait).await;
        server.kill();
        server = start();
        server.ready().await;
        api = access.connect(server.address).await.unwrap();
        let kept = counts(&mut api).await;
        for (kept, (before, told)) in kept.iter().zip(before.iter().zip(&told)) {
            assert!(
                (before..=told).contains(&kept),
                "{before} were kept, {told} told, {kept} left"
            );
            lost += told - kept;
        }
        assert!(!is_last || kept == told, "all was added up long ago: {kept:?} of {told:?}");
        before = kept;
    }
    server.kill();
    println!("{lost} reads were not added up yet");
    assert!(lost > 0, "no kill has hit what was not added up");
}
