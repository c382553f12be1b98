//! The real binary, killed at a certain point of a change: while its announcement is written, between that and
//! its commit, and between its commit and the record of how it ended. After the next start the trail says of
//! each what the store has.
//!
//! The kernel ends the process there: with a bound on how far files may be written (RLIMIT_FSIZE), whoever
//! writes beyond it gets SIGXFSZ. The change's announcement goes to the trail, its commit to the store's log, its
//! end to the trail again; which of both files lies further is for the test to say.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    time::{Duration, Instant},
};

use hyper::Method;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::{Value, json};

use crate::kill::{Access, Api, PATIENCE, Server};

/// Where the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    /// Half of the announcement is written.
    InIntent,
    /// The announcement is written, and nothing of the commit.
    BeforeCommit,
    /// The commit is durable, and half of the record of how it ended is written.
    AfterCommit,
}

/// So long nothing is written to the store's files once all is where it belongs.
const QUIET: Duration = Duration::from_millis(3500);

/// Nothing is written but what is asked for.
fn start(folder: &Path) -> Server {
    Server::start_with(
        folder,
        &[("OKMSD_AUDIT__CHECKPOINT_TIME", "60s"), ("OKMSD_AUDIT__STORE", "none")],
    )
}

/// What the trail has.
fn trail(folder: &Path) -> Vec<(String, Value)> {
    let text = fs::read_to_string(folder.join("audit.log")).unwrap();
    // The last one may be torn.
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.map(|line| (line.to_owned(), serde_json::from_str(line).unwrap())).collect()
}

/// Waits until the store has brought its database up to date and cleared its log.
async fn is_quiet(folder: &Path) {
    let files = ["okmsd.redb", "okmsd.redb-log"].map(|name| folder.join(name));
    let written = || files.clone().map(|file| fs::metadata(file).unwrap().modified().unwrap());
    let (begun, mut known, mut since) = (Instant::now(), written(), Instant::now());
    while since.elapsed() < QUIET {
        assert!(begun.elapsed() < PATIENCE * 2, "it is never quiet");
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = written();
        if now != known {
            (known, since) = (now, Instant::now());
        }
    }
}

async fn create(api: &mut Api, path: &str, value: &str) -> Option<u16> {
    let body = json!({"path": path, "version": {"data": {"value": value}}});
    api.call(Method::POST, "secret", &body).await.ok().map(|(status, _)| status)
}

/// What is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// A secret is made.
    Creation,
    /// A secret's value moves to another one.
    Move,
}

impl Cut {
    /// The secret that it is about.
    fn resource(self, number: u32) -> String {
        match self {
            Self::Creation => format!("like/{number}"),
            Self::Move => format!("moved/{number}"),
        }
    }

    /// Asks for it; the status, if it is answered.
    async fn ask(self, api: &mut Api, number: u32) -> Option<u16> {
        let resource = self.resource(number);
        match self {
            Self::Creation => create(api, &resource, "v").await,
            Self::Move => {
                let uri = |path: &str| format!("openbao+kv2://secret/{path}");
                let body = json!({"fromUri": uri(&source(number)), "toUri": uri(&resource)});
                let asked = api.at(Method::POST, "/api/secrets/move".to_owned(), &body).await;
                asked.ok().map(|(status, _)| status)
            }
        }
    }

    /// Whether it has happened: all of it, or nothing.
    async fn has_happened(self, api: &mut Api, number: u32) -> bool {
        let has_happened = can_be_read(api, &self.resource(number)).await;
        if self == Self::Move {
            assert_ne!(can_be_read(api, &source(number)).await, has_happened);
        }
        has_happened
    }
}

/// Where what is moved comes from.
fn source(number: u32) -> String {
    format!("from/{number}")
}

async fn can_be_read(api: &mut Api, path: &str) -> bool {
    let at = format!("secret/{path}?includeData=true");
    let (_, read) = api.call(Method::GET, &at, &Value::Null).await.unwrap();
    read["version"]["data"]["value"] == "v"
}

/// The process is killed at that point of a change.
async fn is_killed(cut: Cut, point: Point) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("region");
    let server = start(&dir);
    server.ready().await;
    let access = Access::load(&dir);
    let mut api = access.connect(server.address).await.unwrap();
    if point == Point::AfterCommit {
        // The trail lies further than the log: of many reads.
        let path = format!("none/{}", "%C3%A9".repeat(500));
        for _ in 0..60 {
            let read = api.call(Method::GET, &format!("secret/{path}"), &Value::Null).await;
            assert_eq!(read.unwrap().0, 404);
        }
    } else {
        // The log lies further than the trail: of large values.
        for number in 0..4 {
            let created = create(&mut api, &format!("large/{number}"), &"x".repeat(400_000)).await;
            assert_eq!(created, Some(200));
        }
    }
    if cut == Cut::Move {
        for number in [1, 2] {
            assert_eq!(create(&mut api, &source(number), "v").await, Some(200));
        }
    }
    let [like, it] = [1, 2].map(|number| cut.resource(number));
    assert_eq!(cut.ask(&mut api, 1).await, Some(200));
    is_quiet(&dir).await;
    // One like it tells how long its records are.
    let records = trail(&dir);
    let length = |kind: &str| {
        let is_it = |record: &Value| record["type"] == kind && record["resource"] == *like;
        let found = records.iter().find(|(_, record)| is_it(record));
        found.unwrap_or_else(|| panic!("no {kind}")).0.len() as u64
    };
    let end = fs::metadata(dir.join("audit.log")).unwrap().len();
    let bound = end
        + match point {
            Point::InIntent => length("intent") / 2,
            Point::BeforeCommit => 64 << 10,
            Point::AfterCommit => length("intent") + length("request") / 2,
        };
    server.may_write(bound);
    assert_eq!(cut.ask(&mut api, 2).await, None, "{point:?}: it is answered");
    assert_eq!(server.ended().await, Some(Signal::XFSZ.as_raw()), "{point:?}");

    // What it has left.
    let left = trail(&dir);
    let of_it: Vec<_> = left.iter().filter(|(_, record)| record["resource"] == *it).collect();
    let length = fs::metadata(dir.join("audit.log")).unwrap().len();
    let torn = length - left.iter().map(|(line, _)| line.len() as u64).sum::<u64>();
    let kinds: Vec<_> = of_it.iter().map(|(_, record)| &record["type"]).collect();
    match point {
        Point::InIntent => assert!(kinds.is_empty() && torn > 0, "{of_it:?} {torn}"),
        Point::BeforeCommit => assert!(kinds == ["intent"] && torn == 0, "{of_it:?} {torn}"),
        Point::AfterCommit => assert!(kinds == ["intent"] && torn > 0, "{of_it:?} {torn}"),
    }
    let intent = of_it.first().map(|(_, record)| record["seq"].clone());

    let server = start(&dir);
    server.ready().await;
    let mut api = access.connect(server.address).await.unwrap();
    let has_happened = cut.has_happened(&mut api, 2).await;
    let told = trail(&dir).split_off(left.len());
    assert_eq!(told[0].1["type"], "start", "{point:?}");
    assert_eq!(told[0].1["torn_bytes"], torn, "{point:?}");
    let fates =
        told.iter().flat_map(|(_, record)| record["changes"].as_array().into_iter().flatten());
    let fates: Vec<_> =
        fates.map(|change| (Some(change["intent"].clone()), &change["happened"])).collect();
    match point {
        Point::InIntent => assert!(!has_happened && fates.is_empty(), "{fates:?}"),
        Point::BeforeCommit => {
            assert!(!has_happened && fates == [(intent, &json!(false))], "{fates:?}");
        }
        Point::AfterCommit => {
            assert!(has_happened && fates == [(intent, &json!(true))], "{fates:?}");
        }
    }
    assert!(told.iter().all(|(_, record)| record["type"] != "lost"), "{point:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trail_says_what_the_store_has_wherever_a_change_is_cut() {
    for cut in [Cut::Creation, Cut::Move] {
        let points = [Point::InIntent, Point::BeforeCommit, Point::AfterCommit];
        for killed in points.map(|point| tokio::spawn(is_killed(cut, point))) {
            killed.await.unwrap();
        }
    }
}

impl Server {
    /// Files may be written up to there, and no further.
    fn may_write(&self, bytes: u64) {
        let bound = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Fsize, bound).unwrap();
    }

    /// Waits until the process has ended by itself. By which signal.
    async fn ended(mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.signal();
            }
            assert!(begun.elapsed() < PATIENCE, "it goes on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
