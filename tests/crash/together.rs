//! What many clients see of secrets, tokens, mounts and policies through several processes is what one process would have shown
//! them: the whole history is written down, and judged afterwards.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hyper::Method;
use serde_json::{Value, json};

use crate::{
    chance::Chance,
    kill::{Access, Api, Gone},
    linear::{Call, Model, check},
    processes::Region,
};

const CLIENTS: usize = 9;
const TIME: Duration = Duration::from_secs(12);
/// What one process takes as a policy counts in all within this.
const LATE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Active,
    Deactivated,
    Deleted,
}

impl State {
    const ALL: [Self; 3] = [Self::Active, Self::Deactivated, Self::Deleted];

    const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deactivated => "deactivated",
            Self::Deleted => "deleted",
        }
    }
}

/// A secret with its versions.
struct Secret;

#[derive(Clone, Copy, Debug)]
enum OfSecret {
    Create(u64),
    Add { cas: usize, value: u64 },
    Get,
    Version(usize),
    Lead(usize, State),
    Remove,
}

#[derive(Debug, PartialEq)]
enum Told {
    Done,
    /// It is this version now.
    Written(usize),
    Seen(usize, State, Option<u64>),
    Absent,
    /// It is there already, or deleted for good, or the condition does not hold.
    Refused,
}

impl Model for Secret {
    type State = Option<Vec<(u64, State)>>;
    type Ask = OfSecret;
    type Told = Told;

    fn does(state: &Self::State, ask: &OfSecret) -> (Self::State, Told) {
        let Some(versions) = state else {
            return match *ask {
                OfSecret::Create(value) => (Some(vec![(value, State::Active)]), Told::Written(1)),
                _ => (None, Told::Absent),
            };
        };
        let seen = |number: usize| match versions.get(number.wrapping_sub(1)) {
            None => Told::Absent,
            Some((value, State::Active)) => Told::Seen(number, State::Active, Some(*value)),
            Some((_, other)) => Told::Seen(number, *other, None),
        };
        let mut after = versions.clone();
        let told = match *ask {
            OfSecret::Create(_) => Told::Refused,
            OfSecret::Add { cas, .. } if cas != versions.len() => Told::Refused,
            OfSecret::Add { value, .. } => {
                after.push((value, State::Active));
                Told::Written(after.len())
            }
            OfSecret::Get => seen(versions.len()),
            OfSecret::Version(number) => seen(number),
            OfSecret::Lead(number, to) => match after.get_mut(number.wrapping_sub(1)) {
                None => Told::Absent,
                Some((_, State::Deleted)) if to != State::Deleted => Told::Refused,
                Some((_, state)) => {
                    *state = to;
                    Told::Done
                }
            },
            OfSecret::Remove => return (None, Told::Done),
        };
        (Some(after), told)
    }
}

/// A token that is revoked, or a policy that permits or does not.
struct Gate;

#[derive(Debug)]
enum OfGate {
    Open,
    Close,
    Pass,
}

impl Model for Gate {
    type State = bool;
    type Ask = OfGate;
    type Told = Result<(), ()>;

    fn does(state: &bool, ask: &OfGate) -> (bool, Self::Told) {
        match ask {
            OfGate::Open => (true, Ok(())),
            OfGate::Close => (false, Ok(())),
            OfGate::Pass => (*state, state.then_some(()).ok_or(())),
        }
    }
}

/// A mount with one secret.
struct Mount;

#[derive(Clone, Copy, Debug)]
enum OfMount {
    Enable,
    Disable,
    Put(u64),
    Get,
}

impl Model for Mount {
    type State = Option<Option<u64>>;
    type Ask = OfMount;
    type Told = Result<Option<u64>, ()>;

    fn does(state: &Self::State, ask: &OfMount) -> (Self::State, Self::Told) {
        match (*ask, *state) {
            (OfMount::Enable, None) => (Some(None), Ok(None)),
            (OfMount::Enable, there) => (there, Err(())),
            (OfMount::Disable, _) => (None, Ok(None)),
            (OfMount::Put(value), Some(_)) => (Some(Some(value)), Ok(None)),
            (OfMount::Get, Some(Some(value))) => (*state, Ok(Some(value))),
            (_, there) => (there, Err(())),
        }
    }
}

/// What was asked of things of one kind, and told.
struct Log<M: Model>(Mutex<BTreeMap<String, Vec<Call<M>>>>);

impl<M: Model> Default for Log<M> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<M: Model> Log<M> {
    fn add(&self, key: &str, call: Call<M>) {
        self.0.lock().unwrap().entry(key.to_owned()).or_default().push(call);
    }

    /// Judges all; says how many there were.
    fn check(&self, what: &str) -> usize {
        let mut count = 0;
        for (key, calls) in std::mem::take(&mut *self.0.lock().unwrap()) {
            count += calls.len();
            if let Err(why) = check(calls) {
                panic!("{what} {key}: {why}");
            }
        }
        count
    }
}

impl Log<Gate> {
    /// Looks whether each change counts everywhere [`LATE`] after it was acknowledged; until then each process may go by the one
    /// before. Says how many calls there were.
    fn check_late(&self) -> usize {
        let calls = self.0.lock().unwrap().remove("guarded").unwrap();
        let changes: Vec<_> =
            calls.iter().filter(|call| !matches!(call.ask, OfGate::Pass)).collect();
        for pass in calls.iter().filter(|call| matches!(call.ask, OfGate::Pass)) {
            let is_over = |before: Instant| {
                let counts =
                    |later: &&Call<Gate>| later.told.is_some() && later.ended + LATE < pass.began;
                changes.iter().copied().filter(counts).any(|later| later.began > before)
            };
            let says = |change: &Call<Gate>| {
                matches!(change.ask, OfGate::Open) == (pass.told == Some(Ok(())))
            };
            let fits = changes
                .iter()
                .any(|change| says(change) && change.began < pass.ended && !is_over(change.ended));
            assert!(fits, "a policy counts too late, or too early: {pass:?}");
        }
        calls.len()
    }
}

/// What all have seen.
#[derive(Default)]
struct History {
    secrets: Log<Secret>,
    tokens: Log<Gate>,
    mounts: Log<Mount>,
    policies: Log<Gate>,
    /// Some tokens that may still be good.
    alive: Mutex<Vec<(String, String)>>,
    unknown: AtomicU64,
    is_over: AtomicBool,
}

/// How a request has ended.
enum Ended {
    Answered(u16, Value),
    /// Nothing was changed, and nothing was told.
    Not,
    Unknown,
}

/// A client of one process, for as long as that is there.
struct Client<'a> {
    history: &'a History,
    access: &'a Access,
    api: Api,
    chance: Chance,
    number: u64,
}

impl Client<'_> {
    /// Asks, and writes down when; what the answer was is for `told`. An answer of which nobody knows ends the connection.
    async fn ask<M: Model>(
        &mut self,
        (log, key): (&Log<M>, &str),
        ask: M::Ask,
        (method, url, body): (Method, String, Value),
        headers: &[(&str, &str)],
        told: impl FnOnce(u16, &Value) -> M::Told,
    ) -> Result<Option<Value>, Gone> {
        let began = Instant::now();
        let is_read = method == Method::GET;
        let answer = self.api.with(method, url, headers, &body).await;
        let ended = Instant::now();
        let outcome = match &answer {
            Ok((503, said)) if said.to_string().contains("may have happened") => Ended::Unknown,
            Ok((503, _)) => Ended::Not,
            Ok((status, said)) => Ended::Answered(*status, said.clone()),
            Err(_) if is_read => Ended::Not,
            Err(_) => Ended::Unknown,
        };
        match outcome {
            Ended::Answered(status, said) => {
                log.add(key, Call { began, ended, ask, told: Some(told(status, &said)) });
                return Ok((status < 300).then_some(said));
            }
            Ended::Unknown => {
                self.history.unknown.fetch_add(1, Ordering::Relaxed);
                log.add(key, Call { began, ended, ask, told: None });
            }
            Ended::Not => {}
        }
        answer.map(|_| None)
    }

    async fn secret(&mut self) -> Result<(), Gone> {
        let key = format!("s{}", self.chance.below(6));
        let base = format!("/api/{}/v2/secret", self.access.id);
        let url = format!("{base}/{key}");
        self.number += 1;
        let value = self.number;
        let version = json!({"data": {"n": value}});
        let metadata = json!({"maxVersions": 24_000});
        // Mostly a version that there is: what was read just now.
        let history = self.history;
        let seen = |status: u16, said: &Value| match status {
            404 => Told::Absent,
            _ => {
                let version = if said["version"].is_object() { &said["version"] } else { said };
                let state = version["state"].as_str().unwrap_or("active");
                let state = State::ALL.into_iter().find(|one| one.name() == state).unwrap();
                let number = version["id"].as_u64().unwrap_or_else(|| panic!("{status} {said}"));
                Told::Seen(number as usize, state, version["data"]["n"].as_u64())
            }
        };
        let written = |status: u16, said: &Value| match status {
            200 => Told::Written(said["metadata"]["currentVersion"].as_u64().unwrap() as usize),
            404 => Told::Absent,
            400 | 409 => Told::Refused,
            _ => panic!("{status} {said}"),
        };
        let done = |status: u16, said: &Value| match status {
            200 | 204 => Told::Done,
            404 => Told::Absent,
            409 => Told::Refused,
            _ => panic!("{status} {said}"),
        };
        let get = (Method::GET, format!("{url}?includeData=true"), Value::Null);
        let at = (&history.secrets, &*key);
        let found = self.ask(at, OfSecret::Get, get, &[], seen).await?;
        let current = found.and_then(|said| said["version"]["id"].as_u64()).unwrap_or(0) as usize;
        let (ask, request) = match self.chance.below(12) {
            _ if current == 0 => {
                let body = json!({"path": key, "metadata": metadata, "version": version});
                (OfSecret::Create(value), (Method::POST, base, body))
            }
            0..=5 => {
                let body = json!({"version": version});
                let put = (Method::PUT, format!("{url}?cas={current}"), body);
                (OfSecret::Add { cas: current, value }, put)
            }
            6 | 7 => {
                let number = 1 + self.chance.below(current);
                let url = format!("{url}/version/{number}?includeData=true");
                (OfSecret::Version(number), (Method::GET, url, Value::Null))
            }
            8..=10 => {
                let number = current - self.chance.below(current.min(2));
                let to = State::ALL[[0, 0, 1, 1, 1, 2][self.chance.below(6)]];
                let body = json!({"state": to.name()});
                (OfSecret::Lead(number, to), (Method::PUT, format!("{url}/version/{number}"), body))
            }
            _ => (OfSecret::Remove, (Method::DELETE, url, Value::Null)),
        };
        let told = |status: u16, said: &Value| match ask {
            OfSecret::Create(_) | OfSecret::Add { .. } => written(status, said),
            OfSecret::Get | OfSecret::Version(_) => seen(status, said),
            OfSecret::Lead(..) | OfSecret::Remove => done(status, said),
        };
        self.ask(at, ask, request, &[], told).await?;
        Ok(())
    }

    fn vault(&self, path: &str) -> String {
        format!("/api/{}/v1/{path}", self.access.id)
    }

    async fn token(&mut self) -> Result<(), Gone> {
        let history = self.history;
        let alive = history.alive.lock().unwrap().clone();
        if alive.len() < 6 {
            let make = self.vault("auth/token/create");
            let began = Instant::now();
            let (status, said) = self.api.with(Method::POST, make, &[], &json!({})).await?;
            let ended = Instant::now();
            if status == 200 {
                let text = said["auth"]["client_token"].as_str().unwrap().to_owned();
                let key = said["auth"]["accessor"].as_str().unwrap().to_owned();
                let told = Some(Ok(()));
                history.tokens.add(&key, Call { began, ended, ask: OfGate::Open, told });
                history.alive.lock().unwrap().push((key, text));
            }
            return Ok(());
        }
        let (key, text) = &alive[self.chance.below(alive.len())];
        let at = (&history.tokens, &**key);
        if self.chance.below(8) == 0 {
            history.alive.lock().unwrap().retain(|one| one.0 != *key);
            let revoke = (Method::PUT, self.vault("auth/token/revoke"), json!({"token": text}));
            // One that was revoked before is revoked.
            let told = |status: u16, said: &Value| {
                assert!(status < 500, "{status} {said}");
                Ok(())
            };
            self.ask(at, OfGate::Close, revoke, &[], told).await?;
        }
        let look = (Method::GET, self.vault("auth/token/lookup-self"), Value::Null);
        let headers = [("x-vault-token", &**text)];
        self.ask(at, OfGate::Pass, look, &headers, passed).await?;
        Ok(())
    }

    async fn mount(&mut self) -> Result<(), Gone> {
        let key = format!("m{}", self.chance.below(2));
        self.number += 1;
        let mount = self.vault(&format!("sys/mounts/{key}"));
        let secret = self.vault(&format!("{key}/data/s"));
        let (ask, request) = match self.chance.below(10) {
            0 => (OfMount::Disable, (Method::DELETE, format!("{mount}?force=true"), Value::Null)),
            1 | 2 => (OfMount::Enable, (Method::POST, mount, json!({"type": "kv-v2"}))),
            3..=5 => {
                let body = json!({"data": {"n": self.number}});
                (OfMount::Put(self.number), (Method::POST, secret, body))
            }
            _ => (OfMount::Get, (Method::GET, secret, Value::Null)),
        };
        let told = |status: u16, said: &Value| match status {
            200 | 204 => Ok(said["data"]["data"]["n"].as_u64()),
            400 | 404 => Err(()),
            _ => panic!("{status} {said}"),
        };
        let at = (&self.history.mounts, &*key);
        self.ask(at, ask, request, &[], told).await?;
        Ok(())
    }

    async fn policy(&mut self, token: &str) -> Result<(), Gone> {
        let at = (&self.history.policies, "guarded");
        let change = self.chance.below(12);
        if change < 2 {
            let (ask, allowed) =
                if change == 0 { (OfGate::Open, "read") } else { (OfGate::Close, "deny") };
            let request = policy(self.vault("sys/policies/acl/guarded"), allowed);
            let told = |status: u16, said: &Value| {
                assert!(status == 200 || status == 204, "{status} {said}");
                Ok(())
            };
            self.ask(at, ask, request, &[], told).await?;
        } else {
            let read = (Method::GET, self.vault("secret/data/guarded"), Value::Null);
            let headers = [("x-vault-token", token)];
            self.ask(at, OfGate::Pass, read, &headers, passed).await?;
        }
        Ok(())
    }
}

fn passed(status: u16, said: &Value) -> Result<(), ()> {
    match status {
        200 => Ok(()),
        403 => Err(()),
        _ => panic!("{status} {said}"),
    }
}

fn policy(url: String, capability: &str) -> (Method, String, Value) {
    let text = format!(r#"path "secret/data/guarded" {{ capabilities = ["{capability}"] }}"#);
    (Method::PUT, url, json!({ "policy": text }))
}

/// Asks one process until all is over, whether it is there or not.
async fn client(
    history: &History,
    access: &Access,
    addresses: &Mutex<Vec<SocketAddr>>,
    nth: usize,
    guarded: &str,
) {
    let mut number = (nth as u64 + 1) << 32;
    let mut lives = 0;
    while !history.is_over.load(Ordering::Relaxed) {
        let address = addresses.lock().unwrap()[nth % 3];
        let Ok(api) = access.connect(address).await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        lives += 1;
        let chance = Chance(0x9E37_79B9_7F4A_7C15 ^ (nth as u64 * 64 + lives));
        let mut one = Client { history, access, api, chance, number };
        while !history.is_over.load(Ordering::Relaxed) {
            let went = match one.chance.below(10) {
                0..=5 => one.secret().await,
                6 | 7 => one.token().await,
                8 => one.mount().await,
                _ => one.policy(guarded).await,
            };
            if went.is_err() {
                break;
            }
        }
        number = one.number;
    }
}

/// Three processes, nine clients, and one of the processes is killed and comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_history_makes_sense() {
    let Some(region) = Region::new().await else { return };
    let mut servers: Vec<_> = (0..3).map(|at| Some(region.start(at, &[]))).collect();
    let addresses: Vec<_> = servers.iter().flatten().map(|server| server.address).collect();
    let access = Arc::new(region.access());
    let mut api = access.connect(addresses[0]).await.unwrap();
    let vault = |path: &str| format!("/api/{}/v1/{path}", access.id);
    let history = Arc::new(History::default());
    let (method, url, body) = policy(vault("sys/policies/acl/guarded"), "deny");
    let began = Instant::now();
    assert_eq!(api.with(method, url, &[], &body).await.unwrap().0, 204);
    let first = Call { began, ended: Instant::now(), ask: OfGate::Close, told: Some(Ok(())) };
    history.policies.add("guarded", first);
    let body = json!({"data": {"n": 1}});
    let url = vault("secret/data/guarded");
    assert_eq!(api.with(Method::POST, url, &[], &body).await.unwrap().0, 200);
    let body = json!({"policies": ["guarded"]});
    let made = api.with(Method::POST, vault("auth/token/create"), &[], &body).await.unwrap();
    let guarded: Arc<str> = made.1["auth"]["client_token"].as_str().unwrap().into();

    let addresses = Arc::new(Mutex::new(addresses));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|nth| {
            let (history, access, addresses, guarded) = (
                Arc::clone(&history),
                Arc::clone(&access),
                Arc::clone(&addresses),
                Arc::clone(&guarded),
            );
            tokio::spawn(async move { client(&history, &access, &addresses, nth, &guarded).await })
        })
        .collect();
    tokio::time::sleep(TIME / 3).await;
    servers[1].take().unwrap().kill();
    tokio::time::sleep(TIME / 3).await;
    let again = region.start(1, &[]);
    addresses.lock().unwrap()[1] = again.address;
    servers[1] = Some(again);
    tokio::time::sleep(TIME / 3).await;
    history.is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let began = Instant::now();
    let counts = [
        history.secrets.check("secret"),
        history.tokens.check("token"),
        history.mounts.check("mount"),
        history.policies.check_late(),
    ];
    println!(
        "calls about secrets, tokens, mounts and policies: {counts:?}, {} of unknown outcome; judged in {:?}",
        history.unknown.load(Ordering::Relaxed),
        began.elapsed()
    );
    assert!(counts.iter().all(|count| *count > 40), "{counts:?}");
}
