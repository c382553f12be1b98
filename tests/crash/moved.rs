//! A store that is moved: out of a file, into PostgreSQL, and back into a file, by the real program.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use hyper::Method;
use serde_json::{Value, json};

use crate::{
    cluster::{self, Node},
    kill::{Access, Api, Server},
};

const SECRETS: usize = 40;

/// Where the store is, in the environment of a program.
enum Place<'a> {
    File(&'a Path),
    Postgres(&'a Node),
}

impl Place<'_> {
    fn environment(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::File(path) => vec![("OKMSD_STORE__PATH", path.to_str().unwrap().to_owned())],
            Self::Postgres(node) => vec![
                ("OKMSD_STORE__ENGINE", "postgres".to_owned()),
                ("OKMSD_STORE__POSTGRES__HOSTS", format!("127.0.0.1:{}", node.port)),
                ("OKMSD_STORE__POSTGRES__USER", "owner".to_owned()),
                ("OKMSD_STORE__POSTGRES__REQUIRE_SYNC", "false".to_owned()),
                ("OKMSD_STORE__POSTGRES__CONNECT_TIME", "5s".to_owned()),
            ],
        }
    }

    fn serve(&self, folder: &Path) -> Server {
        let environment = self.environment();
        let environment: Vec<_> = environment.iter().map(|(name, to)| (*name, &**to)).collect();
        Server::start_with(folder, &environment)
    }

    /// What `okmsd store` says, with these arguments: all is well, or not.
    fn store(&self, folder: &Path, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_okmsd"));
        command.arg("store").arg(arguments[0]).arg("--config").arg(folder.join("okmsd.toml"));
        let out = command.args(&arguments[1..]).envs(self.environment()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if out.status.success() { Ok(text(out.stdout)) } else { Err(text(out.stderr)) }
    }
}

/// All that can be read of the domain.
async fn told(api: &mut Api) -> Vec<Value> {
    let mut told = Vec::new();
    for at in 0..SECRETS {
        for what in ["?includeData=true", "/version?pageSize=100", "/version/1?includeData=true"] {
            let (status, mut body) = api
                .call(Method::GET, &format!("secret/moved/{at}{what}"), &Value::Null)
                .await
                .unwrap();
            // It is another request's.
            for its_own in ["error_id", "request_id"] {
                body.as_object_mut().map(|members| members.remove(its_own));
            }
            told.push(json!([status, body]));
        }
    }
    told
}

async fn events(api: &mut Api, since: &str) -> (u16, Value) {
    api.call(Method::GET, &format!("events?limit=1000&since={since}"), &Value::Null).await.unwrap()
}

/// All events that are kept, but for their ids, which are sealed anew each time they are told; and where they go on.
async fn kept(api: &mut Api) -> (Vec<Value>, String) {
    let (_, mut told) = events(api, "first").await;
    let next = told["next"].as_str().unwrap().to_owned();
    let Value::Array(mut kept) = told["events"].take() else { panic!("{told}") };
    kept.iter_mut().for_each(|event| drop(event.as_object_mut().unwrap().remove("id").unwrap()));
    (kept, next)
}

async fn write(api: &mut Api, path: &str) {
    let body = json!({"path": path, "version": {"data": {"of": path}}});
    assert_eq!(api.call(Method::POST, "secret", &body).await.unwrap().0, 200, "{path}");
}

/// Secrets with versions, of which some were removed.
async fn fill(api: &mut Api) {
    for at in 0..SECRETS {
        write(api, &format!("moved/{at}")).await;
        for version in 0..at % 4 {
            let body = json!({"version": {"data": {"long": "x".repeat(at * 300), "n": version}}});
            let put = format!("secret/moved/{at}");
            assert_eq!(api.call(Method::PUT, &put, &body).await.unwrap().0, 200);
        }
        if at % 9 == 0 {
            let gone = format!("secret/moved/{at}");
            api.call(Method::DELETE, &gone, &Value::Null).await.unwrap();
        }
    }
}

/// That a domain has all that it had, that its events go on where they were, and that it goes on.
async fn is_moved(
    folder: &Path,
    server: &Server,
    before: &[Value],
    events_before: &[Value],
    next: &str,
) {
    let mut api = Access::load(folder).connect(server.address).await.unwrap();
    let now = told(&mut api).await;
    assert!(now == before, "{:?}", now.iter().zip(before).find(|(now, before)| now != before));
    assert_eq!(kept(&mut api).await.0, events_before);
    assert_eq!(events(&mut api, next).await.1["events"], json!([]), "nothing is told twice");
    write(&mut api, &format!("after/{next}")).await;
    let (_, after) = events(&mut api, next).await;
    assert_eq!(after["events"][0]["path"], format!("after/{next}"), "and nothing is missed");
    assert_eq!(after["events"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn out_of_a_file_into_postgres_and_back() {
    let Some((_cluster, node)) = cluster::single("fsync = off") else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = |name: &str| folder.join(name);
    let name = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let first = Place::File(&folder.join("okmsd.redb"));
    let server = first.serve(folder);
    let mut api = Access::load(folder).connect(server.address).await.unwrap();
    fill(&mut api).await;
    let before = told(&mut api).await;
    let (all, next) = kept(&mut api).await;
    assert!(all.len() > SECRETS);
    drop(api);

    let exported = name(&file("store.okmsd"));
    let said = first.store(folder, &["export", &exported]).unwrap_err();
    assert!(said.contains("another process has the database file open"), "{said}");
    assert!(!file("store.okmsd").exists());
    // Killed: what the log has and the database has not is exported as well.
    server.kill();
    let said = first.store(folder, &["export", &exported]).unwrap();
    assert!(said.contains("records to"), "{said}");
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&exported).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let said = first.store(folder, &["export", &exported]).unwrap_err();
    assert!(said.contains("File exists"), "{said}");

    let second = Place::Postgres(&node);
    node.sql("postgres", "create database okmsd");
    let said = second.store(folder, &["import", &exported]).unwrap_err();
    assert!(said.contains("run `okmsd store init`"), "{said}");
    second.store(folder, &["init"]).unwrap();
    // What is no whole export leaves nothing behind.
    let whole = fs::read(&exported).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for (bytes, why) in [
        (&whole[..whole.len() / 2], "cut off or damaged"),
        (&whole[..whole.len() - 1], "cut off or damaged"),
        (&flipped, "cut off or damaged"),
        (b"something else, and long enough for a head", "no export of okmsd"),
        (b"", "no export of okmsd"),
    ] {
        fs::write(file("broken"), bytes).unwrap();
        let said = second.store(folder, &["import", &name(&file("broken"))]).unwrap_err();
        assert!(said.contains(why), "{said}");
        assert_eq!(node.sql("okmsd", "select count(*) from okms.record"), "0");
    }
    // Nor does what another region has exported.
    let key = fs::read(file("root.key")).unwrap();
    fs::write(file("root.key"), "ab".repeat(32)).unwrap();
    let said = second.store(folder, &["import", &exported]).unwrap_err();
    assert!(said.contains("root key"), "{said}");
    assert_eq!(node.sql("okmsd", "select count(*) from okms.record"), "0");
    fs::write(file("root.key"), key).unwrap();

    second.store(folder, &["import", &exported]).unwrap();
    let said = second.store(folder, &["import", &exported]).unwrap_err();
    assert!(said.contains("not empty"), "{said}");
    let server = second.serve(folder);
    is_moved(folder, &server, &before, &all, &next).await;

    // Back again, while it is served.
    let mut api = Access::load(folder).connect(server.address).await.unwrap();
    let (all, next) = kept(&mut api).await;
    second.store(folder, &["export", &name(&file("again.okmsd"))]).unwrap();
    server.kill();
    let said = first.store(folder, &["import", &name(&file("again.okmsd"))]).unwrap_err();
    assert!(said.contains("there is a store already"), "{said}");
    let place = file("third.redb");
    let third = Place::File(&place);
    fs::write(file("broken"), &whole[..whole.len() - 1]).unwrap();
    let said = third.store(folder, &["import", &name(&file("broken"))]).unwrap_err();
    assert!(said.contains("cut off or damaged") && !place.exists(), "{said}");
    third.store(folder, &["import", &name(&file("again.okmsd"))]).unwrap();
    let server = third.serve(folder);
    is_moved(folder, &server, &before, &all, &next).await;
}
