//! The API against a model: a domain of secrets, written down here a second time and in the
//! plainest way, and the same random requests for both, in all dialects by turns. Every answer
//! must be the model's: status, code or text, metadata, states and values. So no two dialects
//! can disagree about anything either.

mod paths;
mod uris;
mod vault;

use std::collections::{BTreeMap, BTreeSet};

use hyper::Method;
use okmsd::pki::Subject;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, macros::format_description};

use crate::harness::{Answer, Connection, Http, START, TestServer, unique};

const INVALID: (u16, u64) = (400, 50_405_377);
const NOT_FOUND: (u16, u64) = (404, 17_125_377);
const CONFLICT: (u16, u64) = (409, 50_438_145);

/// A secret's settings, or a domain's, as they are shown; and changes to them, where `None` changes
/// nothing.
#[derive(Clone, Debug, Default)]
struct Settings {
    cas_required: Option<bool>,
    max_versions: Option<u64>,
    after: Option<After>,
}

/// How long a version stays active: as typed, and in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct After(&'static str, i64, &'static str);

/// As typed, in seconds, and as KV2 has it.
const AFTERS: [After; 5] = [
    After("0s", 0, "0s"),
    After("90", 90, "1m30s"),
    After("1h30m", 5400, "1h30m0s"),
    After("1d", 86_400, "24h0m0s"),
    After("2.5m", 150, "2m30s"),
];

impl Settings {
    fn apply(&mut self, patch: &Self) {
        self.cas_required = patch.cas_required.or(self.cas_required);
        self.max_versions = patch.max_versions.or(self.max_versions);
        self.after = patch.after.or(self.after);
    }

    fn is_empty(&self) -> bool {
        self.cas_required.is_none() && self.max_versions.is_none() && self.after.is_none()
    }

    fn shown(&self) -> Map<String, Value> {
        let mut shown = Map::new();
        shown.insert("casRequired".to_owned(), self.cas_required.unwrap_or(false).into());
        shown.insert("maxVersions".to_owned(), self.max_versions.unwrap_or(0).into());
        shown.insert(
            "deactivateVersionAfter".to_owned(),
            self.after.map_or("0s", |after| after.0).into(),
        );
        shown
    }

    fn sent(&self) -> Map<String, Value> {
        let mut sent = Map::new();
        sent.extend(self.cas_required.map(|cas| ("casRequired".to_owned(), cas.into())));
        sent.extend(self.max_versions.map(|max| ("maxVersions".to_owned(), max.into())));
        sent.extend(self.after.map(|after| ("deactivateVersionAfter".to_owned(), after.0.into())));
        sent
    }
}

/// Changes to a secret's metadata. A text of "" stands for null, which removes an entry.
#[derive(Clone, Debug, Default)]
struct Patch {
    settings: Settings,
    custom: Option<BTreeMap<&'static str, &'static str>>,
    /// Whether it leaves alone what it does not name, nulls or not, as KV2's patches do.
    is_merge: bool,
}

impl Patch {
    fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.custom.as_ref().is_none_or(BTreeMap::is_empty)
    }

    fn sent(&self) -> Value {
        let mut sent = self.settings.sent();
        sent.extend(self.custom.as_ref().map(|custom| {
            let entries = custom.iter().map(|(key, text)| {
                ((*key).to_owned(), if text.is_empty() { Value::Null } else { (*text).into() })
            });
            ("customMetadata".to_owned(), Value::Object(entries.collect()))
        }));
        Value::Object(sent)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Active,
    Deactivated,
    Deleted,
}

const STATES: [(State, &str); 3] =
    [(State::Active, "active"), (State::Deactivated, "deactivated"), (State::Deleted, "deleted")];

#[derive(Clone, Debug)]
struct Version {
    created: i64,
    /// From when on it is not active.
    ends: Option<i64>,
    /// Whether somebody has ended it.
    acted: bool,
    deleted: Option<i64>,
    value: Map<String, Value>,
}

impl Version {
    fn state(&self, now: i64) -> State {
        match (self.deleted, self.ends) {
            (Some(_), _) => State::Deleted,
            (None, Some(ends)) if ends <= now => State::Deactivated,
            _ => State::Active,
        }
    }

    fn shown(&self, id: u64, now: i64, with_data: bool) -> Value {
        let state = self.state(now);
        let mut shown = json!({"id": id, "createdAt": moment(self.created)});
        shown["state"] = STATES.iter().find(|(known, _)| *known == state).unwrap().1.into();
        if let Some(ends) = self.ends.filter(|ends| *ends <= self.deleted.unwrap_or(now)) {
            shown["deactivatedAt"] = moment(ends).into();
        }
        if with_data && state == State::Active {
            shown["data"] = Value::Object(self.value.clone());
        }
        shown
    }
}

#[derive(Clone, Debug, Default)]
struct Secret {
    created: i64,
    updated: i64,
    current: u64,
    /// Whether a version was ever pruned, or is the next time.
    is_full: bool,
    kept: BTreeMap<u64, Version>,
    settings: Settings,
    custom: BTreeMap<&'static str, &'static str>,
    /// How often the metadata was written by itself.
    metadata_version: u64,
    /// For how long it lives from each new version on.
    span: Option<i64>,
    /// When it ends as a whole.
    expires: Option<i64>,
    /// When it was removed.
    removed: Option<i64>,
}

impl Secret {
    /// A version as everybody sees it.
    fn seen(&self, version: &Version) -> Version {
        let mut seen = version.clone();
        if seen.deleted.is_none() {
            seen.ends = [seen.ends, self.expires, self.removed].into_iter().flatten().min();
            seen.acted |= self.removed.is_some();
        }
        seen
    }

    /// Lifts what has ended it as a whole, if something has.
    fn revive(&mut self, now: i64) -> bool {
        let has_ended = self.removed.is_some() || self.expires.is_some_and(|at| at <= now);
        if has_ended {
            self.lift(now);
        }
        has_ended
    }

    fn lift(&mut self, now: i64) {
        self.removed = None;
        self.expires = match self.span {
            Some(span) => Some(now + span),
            None => self.expires.filter(|at| *at > now),
        };
    }

    fn patch(&mut self, patch: &Patch, now: i64) {
        if patch.is_empty() {
            return;
        }
        self.updated = now;
        self.metadata_version += 1;
        self.settings.apply(&patch.settings);
        // A map without nulls is all there is; one without anything changes nothing.
        if let Some(custom) = &patch.custom
            && !patch.is_merge
            && !custom.is_empty()
            && custom.values().all(|text| !text.is_empty())
        {
            self.custom.clear();
        }
        for (key, text) in patch.custom.iter().flatten() {
            if text.is_empty() {
                self.custom.remove(key);
            } else {
                self.custom.insert(key, text);
            }
        }
    }

    fn add(&mut self, domain: &Settings, value: Map<String, Value>, now: i64) {
        self.add_keeping(1, domain, value, now);
    }

    /// So many versions are kept at least.
    fn add_keeping(&mut self, least: u64, domain: &Settings, value: Map<String, Value>, now: i64) {
        self.current += 1;
        self.updated = now;
        let ends = self.life(domain).map(|life| now + life);
        let version = Version { created: now, ends, acted: false, deleted: None, value };
        self.kept.insert(self.current, version);
        self.lift(now);
        let most = [self.settings.max_versions, domain.max_versions]
            .into_iter()
            .flatten()
            .find(|max| *max > 0);
        let most = most.unwrap_or(10).max(least);
        self.is_full |= self.kept.len() as u64 >= most;
        while self.kept.len() as u64 > most {
            self.kept.pop_first();
        }
    }

    /// Whether a version is in a state already: active it is where it can be read, and ended where it has
    /// ended itself.
    fn is_led(&self, version: &Version, to: State, now: i64) -> bool {
        let of = if to == State::Active { self.seen(version) } else { version.clone() };
        of.state(now) == to
    }

    /// Leads a version to another state.
    fn lead(&mut self, number: u64, to: State, domain: &Settings, now: i64) {
        let life = self.life(domain);
        let version = self.kept.get_mut(&number).unwrap();
        match to {
            State::Active => {
                if version.state(now) != State::Active {
                    (version.ends, version.acted) = (life.map(|life| now + life), false);
                }
                self.revive(now);
            }
            State::Deactivated => (version.ends, version.acted) = (Some(now), true),
            State::Deleted => version.deleted = Some(now),
        }
        self.updated = now;
    }

    /// The shorter of both lives.
    fn life(&self, domain: &Settings) -> Option<i64> {
        [self.settings.after, domain.after]
            .into_iter()
            .flatten()
            .map(|after| after.1)
            .filter(|life| *life > 0)
            .min()
    }

    fn oldest(&self) -> u64 {
        if self.is_full { *self.kept.first_key_value().unwrap().0 } else { 0 }
    }

    /// Whether a new version must name the current one, and why the writer's `cas` does not do.
    fn refuses(&self, domain: &Settings, cas: Option<u64>) -> Option<&'static str> {
        let demanded =
            self.settings.cas_required == Some(true) || domain.cas_required == Some(true);
        match cas {
            Some(cas) if cas != self.current => {
                Some("check-and-set parameter did not match the current version")
            }
            None if demanded => Some("check-and-set parameter required for this call"),
            _ => None,
        }
    }

    fn shown(&self, path: &str, id: &str) -> Value {
        let mut shown = self.settings.shown();
        shown.insert("createdAt".to_owned(), moment(self.created).into());
        shown.insert("updatedAt".to_owned(), moment(self.updated).into());
        shown.insert("currentVersion".to_owned(), self.current.into());
        shown.insert("oldestVersion".to_owned(), self.oldest().into());
        let custom = self.custom.iter().map(|(key, text)| ((*key).to_owned(), (*text).into()));
        shown.insert("customMetadata".to_owned(), Value::Object(custom.collect()));
        shown.insert(
            "urn".to_owned(),
            format!("urn:v1:local:resource:okms:{id}/secret/{path}").into(),
        );
        Value::Object(shown)
    }
}

fn moment(seconds: i64) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    OffsetDateTime::from_unix_timestamp(seconds).unwrap().format(format).unwrap()
}

/// What a client does, or time does.
#[derive(Clone, Debug)]
enum Step {
    Wait(i64),
    Create(usize, Patch, u32),
    Update(usize, Patch, Option<u32>, Cas),
    Add(usize, u32, Cas),
    SetState(usize, u64, usize),
    Delete(usize),
    Get(usize, Option<u64>, bool),
    GetVersion(usize, u64, bool),
    Versions(usize),
    List,
    Config(Settings),
    GetConfig,
    Usage,
    Kv(vault::Step),
    Paths(paths::Step),
    Uris(uris::Step),
}

fn value(value: u32) -> Map<String, Value> {
    Map::from_iter([("value".to_owned(), value.into())])
}

#[derive(Clone, Copy, Debug)]
enum Cas {
    None,
    /// The current version, and so many more.
    Off(u64),
    Zero,
}

const PATHS: [&str; 2] = ["a/b", "c.d@e/version2"];

/// Moves of the clock, to just before, at and after the ends of lives.
const WAITS: [i64; 8] = [0, 1, 89, 60, 100, 5300, 80_000, paths::RETENTION];

fn settings() -> impl Strategy<Value = Settings> {
    let max = prop::option::weighted(0.4, prop_oneof![3 => 0..5_u64, 1 => Just(24_001)]);
    let after = prop::option::weighted(0.6, prop::sample::select(AFTERS.to_vec()));
    (prop::option::weighted(0.3, any::<bool>()), max, after).prop_map(
        |(cas_required, max_versions, after)| Settings { cas_required, max_versions, after },
    )
}

fn patch() -> impl Strategy<Value = Patch> {
    let entries = prop::collection::btree_map(
        prop::sample::select(vec!["x", "y", "z"]),
        prop::sample::select(vec!["", "1", "two"]),
        0..3,
    );
    prop_oneof![
        1 => Just(Patch::default()),
        2 => (settings(), prop::option::of(entries)).prop_map(|(settings, custom)| Patch { settings, custom, is_merge: false }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let path = || 0..PATHS.len();
    let cas = || prop_oneof![3 => Just(Cas::None), 5 => Just(Cas::Off(0)), 1 => Just(Cas::Off(1)), 1 => Just(Cas::Zero)];
    let version = || 0..9_u64;
    prop_oneof![
        5 => prop::sample::select(WAITS.to_vec()).prop_map(Step::Wait),
        4 => (path(), patch(), any::<u32>()).prop_map(|(path, patch, value)| Step::Create(path, patch, value)),
        4 => (path(), patch(), any::<Option<u32>>(), cas())
            .prop_map(|(path, patch, value, cas)| Step::Update(path, patch, value, cas)),
        6 => (path(), any::<u32>(), cas()).prop_map(|(path, value, cas)| Step::Add(path, value, cas)),
        5 => (path(), version(), 0..3_usize).prop_map(|(path, version, to)| Step::SetState(path, version, to)),
        1 => path().prop_map(Step::Delete),
        4 => (path(), prop::option::of(version()), any::<bool>())
            .prop_map(|(path, version, with_data)| Step::Get(path, version, with_data)),
        2 => (path(), version(), any::<bool>())
            .prop_map(|(path, version, with_data)| Step::GetVersion(path, version, with_data)),
        3 => path().prop_map(Step::Versions),
        1 => Just(Step::List),
        2 => settings().prop_map(Step::Config),
        1 => Just(Step::GetConfig),
        3 => Just(Step::Usage),
        40 => vault::step().prop_map(Step::Kv),
        25 => paths::step().prop_map(Step::Paths),
        30 => uris::step().prop_map(Step::Uris),
    ]
}

/// A request, and what the model says to it.
struct Expected {
    method: Method,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: Value,
    answer: Says,
}

#[derive(Debug, PartialEq)]
enum Says {
    /// The body of a 200, nothing for a 204, or status and code.
    Native(Result<Option<Value>, (u16, u64)>),
    /// The status, and the data of an envelope or else the first error, which may be none.
    Vault(u16, Result<Value, String>),
    /// The status, and of the body what the model knows; the code of an error.
    Paths(u16, Value),
    /// The status and the body; the code of an error.
    Uris(u16, Value),
}

/// The model of a domain.
struct Domain {
    id: String,
    now: i64,
    secrets: BTreeMap<&'static str, Secret>,
    settings: Settings,
    /// What was removed and can be restored no longer: nobody finds it, and its name and its bytes stay until
    /// somebody writes there, or the server erases it.
    over: BTreeSet<&'static str>,
}

impl Domain {
    fn step(&mut self, step: &Step) -> Option<Expected> {
        let (method, rest, body, answer) = match step {
            Step::Wait(seconds) => {
                self.now += seconds;
                let now = self.now;
                let is_over =
                    |secret: &Secret| secret.removed.is_some_and(|at| at + paths::RETENTION <= now);
                let over = self.secrets.iter().filter(|(_, secret)| is_over(secret));
                self.over.extend(over.map(|(path, _)| *path));
                self.secrets.retain(|_, secret| !is_over(secret));
                return None;
            }
            Step::Usage => return None,
            Step::Kv(step) => return Some(self.kv(step)),
            Step::Paths(step) => return Some(self.paths(step)),
            Step::Uris(step) => return Some(self.uris(step)),
            Step::Create(path, patch, value) => {
                let path = PATHS[*path];
                let body = json!({"path": path, "metadata": patch.sent(), "version": {"data": {"value": value}}});
                (Method::POST, "secret".to_owned(), body, self.create(path, patch, *value))
            }
            Step::Update(path, patch, value, cas) => {
                let path = PATHS[*path];
                let mut body = json!({"metadata": patch.sent()});
                if let Some(value) = value {
                    body["version"] = json!({"data": {"value": value}});
                }
                let (cas, query) = self.cas(path, *cas);
                (
                    Method::PUT,
                    format!("secret/{path}{query}"),
                    body,
                    self.update(path, patch, *value, cas),
                )
            }
            Step::Add(path, value, cas) => {
                let path = PATHS[*path];
                let (cas, query) = self.cas(path, *cas);
                let answer = self.update(path, &Patch::default(), Some(*value), cas).map(|_| {
                    let secret = &self.secrets[path];
                    let added = secret.seen(&secret.kept[&secret.current]);
                    Some(added.shown(secret.current, self.now, false))
                });
                (
                    Method::POST,
                    format!("secret/{path}/version{query}"),
                    json!({"data": {"value": value}}),
                    answer,
                )
            }
            Step::SetState(path, version, to) => {
                let (path, (to, name)) = (PATHS[*path], STATES[*to]);
                let rest = format!("secret/{path}/version/{version}");
                (Method::PUT, rest, json!({"state": name}), self.set_state(path, *version, to))
            }
            Step::Delete(path) => {
                let answer = self.secrets.remove(PATHS[*path]).map(|_| None).ok_or(NOT_FOUND);
                (Method::DELETE, format!("secret/{}", PATHS[*path]), Value::Null, answer)
            }
            Step::Get(path, version, with_data) => {
                let path = PATHS[*path];
                let query =
                    version.map(|version| format!("&version={version}")).unwrap_or_default();
                let answer = match self.secrets.get(path) {
                    // KV2 can make a secret that has no version yet.
                    Some(secret) if secret.current == 0 && version.is_none() => {
                        Ok(Some(json!({"path": path, "metadata": secret.shown(path, &self.id)})))
                    }
                    _ => self.version(path, *version).map(|(secret, id, found)| {
                        let version = secret.seen(found).shown(id, self.now, *with_data);
                        Some(json!({"path": path, "metadata": secret.shown(path, &self.id), "version": version}))
                    }),
                };
                (
                    Method::GET,
                    format!("secret/{path}?includeData={with_data}{query}"),
                    Value::Null,
                    answer,
                )
            }
            Step::GetVersion(path, version, with_data) => {
                let path = PATHS[*path];
                let found = self.version(path, Some(*version));
                let answer = found.map(|(secret, id, found)| {
                    Some(secret.seen(found).shown(id, self.now, *with_data))
                });
                let rest = format!("secret/{path}/version/{version}?includeData={with_data}");
                (Method::GET, rest, Value::Null, answer)
            }
            Step::Versions(path) => {
                let path = PATHS[*path];
                let answer = self.secrets.get(path).ok_or(NOT_FOUND).map(|secret| {
                    Some(
                        secret
                            .kept
                            .iter()
                            .map(|(id, version)| secret.seen(version).shown(*id, self.now, false))
                            .collect(),
                    )
                });
                (Method::GET, format!("secret/{path}/version"), Value::Null, answer)
            }
            Step::List => {
                let secrets = self.secrets.iter();
                let shown =
                    secrets.map(|(path, secret)| json!({"path": path, "metadata": secret.shown(path, &self.id)}));
                (Method::GET, "secret".to_owned(), Value::Null, Ok(Some(shown.collect())))
            }
            Step::Config(patch) => {
                let body = Value::Object(patch.sent());
                let answer = valid(patch).map(|()| {
                    self.settings.apply(patch);
                    Some(Value::Object(self.settings.shown()))
                });
                (Method::PUT, "secretConfig".to_owned(), body, answer)
            }
            Step::GetConfig => {
                let shown = Value::Object(self.settings.shown());
                (Method::GET, "secretConfig".to_owned(), Value::Null, Ok(Some(shown)))
            }
        };
        Some(Expected {
            method,
            url: format!("/api/{}/v2/{rest}", self.id),
            headers: Vec::new(),
            body,
            answer: Says::Native(answer),
        })
    }

    /// How many secrets there are, and what the values take of which there is anything left.
    fn usage(&self) -> (u64, u64) {
        let versions = self.secrets.values().flat_map(|secret| secret.kept.values());
        let values = versions.filter(|version| version.deleted.is_none()).map(|it| &it.value);
        let bytes = values.map(|value| Value::Object(value.clone()).to_string().len() as u64);
        (self.secrets.len() as u64, bytes.sum())
    }

    fn cas(&self, path: &str, cas: Cas) -> (Option<u64>, String) {
        let current = self.secrets.get(path).map_or(0, |secret| secret.current);
        let cas = match cas {
            Cas::None => return (None, String::new()),
            Cas::Off(by) => current + by,
            Cas::Zero => 0,
        };
        (Some(cas), format!("?cas={cas}"))
    }

    fn changed(&self, path: &str) -> Option<Value> {
        Some(json!({"path": path, "metadata": self.secrets[path].shown(path, &self.id)}))
    }

    fn create(
        &mut self,
        path: &'static str,
        patch: &Patch,
        value: u32,
    ) -> Result<Option<Value>, (u16, u64)> {
        valid(&patch.settings)?;
        if self.secrets.contains_key(path) {
            return Err(CONFLICT);
        }
        let mut secret = Secret { created: self.now, ..Secret::default() };
        secret.updated = self.now;
        secret.patch(patch, self.now);
        secret.add(&self.settings, self::value(value), self.now);
        self.secrets.insert(path, secret);
        Ok(self.changed(path))
    }

    /// New metadata counts before the CAS is checked; on a refusal nothing is changed.
    fn update(
        &mut self,
        path: &'static str,
        patch: &Patch,
        value: Option<u32>,
        cas: Option<u64>,
    ) -> Result<Option<Value>, (u16, u64)> {
        valid(&patch.settings)?;
        let mut secret = self.secrets.get(path).cloned().ok_or(NOT_FOUND)?;
        secret.patch(patch, self.now);
        // Without a new version a CAS can be wrong, but is not demanded.
        if (value.is_some() || cas.is_some()) && secret.refuses(&self.settings, cas).is_some() {
            return Err(INVALID);
        }
        if let Some(value) = value {
            secret.add(&self.settings, self::value(value), self.now);
        }
        self.secrets.insert(path, secret);
        Ok(self.changed(path))
    }

    fn set_state(
        &mut self,
        path: &str,
        number: u64,
        to: State,
    ) -> Result<Option<Value>, (u16, u64)> {
        if number == 0 {
            return Err(INVALID);
        }
        let now = self.now;
        let secret = self.secrets.get_mut(path).ok_or(NOT_FOUND)?;
        let version = secret.kept.get(&number).ok_or(NOT_FOUND)?;
        if secret.is_led(version, to, now) {
            return Ok(Some(secret.seen(version).shown(number, now, false)));
        }
        if version.deleted.is_some() {
            return Err(CONFLICT);
        }
        secret.lead(number, to, &self.settings, now);
        Ok(Some(secret.seen(&secret.kept[&number]).shown(number, now, false)))
    }

    fn version(
        &self,
        path: &str,
        number: Option<u64>,
    ) -> Result<(&Secret, u64, &Version), (u16, u64)> {
        if number == Some(0) {
            return Err(INVALID);
        }
        let secret = self.secrets.get(path).ok_or(NOT_FOUND)?;
        let number = number.unwrap_or(secret.current);
        Ok((secret, number, secret.kept.get(&number).ok_or(NOT_FOUND)?))
    }
}

fn valid(settings: &Settings) -> Result<(), (u16, u64)> {
    if settings.max_versions.is_some_and(|max| max > 24_000) { Err(INVALID) } else { Ok(()) }
}

fn native(answer: &Answer) -> Result<Option<Value>, (u16, u64)> {
    match answer.status.as_u16() {
        204 => Ok(None),
        200 => {
            let mut body = answer.json();
            if let Some(body) = body.as_object_mut() {
                // Advice, which other tests read.
                body.remove("warnings");
            }
            Ok(Some(body))
        }
        status => Err((status, answer.json()["error_code"].as_u64().unwrap())),
    }
}

async fn run(server: &TestServer, steps: &[Step], http: Http) -> Result<(), TestCaseError> {
    let operator = server.client(Some(&server.issue(&Subject::Operator, 3000)), None, Http::One);
    let body = format!(r#"{{"name":"{}"}}"#, unique("model"));
    let created = operator.call(Method::POST, "/v2/okms/resource", &body).await;
    let id = created.ok()["id"].as_str().unwrap().to_owned();
    let client = server.client(
        Some(&server.issue(&Subject::Domain(id.parse().unwrap()), 3000)),
        Some(&id),
        http,
    );
    let mut connection: Connection = client.connect().await;
    let now = okmsd::clock::Clock::now(&*server.clock).unix_seconds();
    let (secrets, over) = (BTreeMap::new(), BTreeSet::new());
    let mut domain = Domain { id, now, secrets, settings: Settings::default(), over };
    // At the end both dialects tell all there is.
    let last = (0..PATHS.len()).flat_map(|path| {
        let described = Step::Paths(paths::Step::Describe(path, true));
        [Step::Versions(path), Step::Kv(vault::Step::Metadata(path)), described, Step::Usage]
    });
    for (n, step) in steps.iter().cloned().chain(last).enumerate() {
        if let Step::Wait(seconds) = step {
            server.clock.advance(seconds);
        }
        domain.over.retain(|path| !domain.secrets.contains_key(path));
        // What is erased by and by may be in both until then.
        if !domain.over.is_empty() && matches!(step, Step::Usage | Step::Kv(vault::Step::List(_))) {
            continue;
        }
        if let Step::Usage = step {
            let url = format!("/v2/okms/resource/{}/usage", domain.id);
            let told = connection.send(Method::GET, &url, &[], "").await.ok();
            let told = (told["secrets"].as_u64(), told["versionBytes"].as_u64());
            let (secrets, bytes) = domain.usage();
            prop_assert_eq!(told, (Some(secrets), Some(bytes)), "step {}", n);
            continue;
        }
        let Some(expected) = domain.step(&step) else { continue };
        let body = if expected.body.is_null() { String::new() } else { expected.body.to_string() };
        let headers = expected.headers.iter().map(|(name, text)| (*name, text.as_str()));
        let json: Vec<_> =
            [("content-type", "application/json")].into_iter().chain(headers).collect();
        let answer = connection.send(expected.method.clone(), &expected.url, &json, body).await;
        let told = match &expected.answer {
            Says::Native(_) => Says::Native(native(&answer)),
            Says::Vault(..) => vault::told(&answer),
            Says::Paths(_, expected) => paths::told(&answer, expected),
            Says::Uris(..) => uris::told(&answer),
        };
        prop_assert_eq!(
            told,
            expected.answer,
            "step {}: {} {} {}",
            n,
            expected.method,
            expected.url,
            expected.body
        );
    }
    Ok(())
}

#[test]
fn the_api_does_what_the_model_does() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = runtime.block_on(TestServer::start_with(|config| {
        let seconds = paths::RETENTION.unsigned_abs();
        config.secrets.retention = okmsd::config::Span(std::time::Duration::from_secs(seconds));
    }));
    assert!(okmsd::clock::Clock::now(&*server.clock).unix_seconds() == START);
    let config =
        Config { cases: 96, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let cases =
        (prop::collection::vec(step(), 1..100), prop::sample::select(vec![Http::One, Http::Two]));
    let outcome = TestRunner::new(config)
        .run(&cases, |(steps, http)| runtime.block_on(run(&server, &steps, http)));
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
