//! The same model, asked and told in the words of canonical URIs.

use hyper::Method;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{
    Domain, Expected, PATHS, STATES, Says, Secret, Settings, State, moment,
    vault::{Act, Cas},
};
use crate::harness::Answer;

/// What a client does in this dialect.
#[derive(Clone, Debug)]
pub enum Step {
    Write(usize, u32, Cas, Purpose),
    Set(usize, &'static str, u32, Cas),
    Read(usize, Option<u64>, Option<&'static str>),
    Remove(usize, &'static str),
    Delete(usize),
    Destroy(usize),
    Act(usize, Act, Vec<u64>),
    Transfer(Transfer),
    Versions(usize),
}

#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    Write,
    Rotate,
}

/// A copy or a move from one of the secrets to the other, of the whole or of a member.
#[derive(Clone, Debug)]
pub struct Transfer {
    from: usize,
    version: Option<u64>,
    members: Option<(&'static str, &'static str)>,
    overwrites: bool,
    moves: bool,
}

pub fn step() -> impl Strategy<Value = Step> {
    let path = || 0..PATHS.len();
    let cas = || prop_oneof![4 => Just(Cas::None), 5 => Just(Cas::Off(0)), 1 => Just(Cas::Off(1))];
    let member = || prop::sample::select(vec!["value", "more"]);
    let act = prop::sample::select(vec![Act::Delete, Act::Undelete, Act::Destroy]);
    let purpose = prop::sample::select(vec![Purpose::Write, Purpose::Rotate]);
    let transfer = (
        path(),
        prop::option::weighted(0.2, 1..9_u64),
        prop::option::of((member(), member())),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(from, version, members, overwrites, moves)| {
            let version = version.filter(|_| !moves);
            Transfer { from, version, members, overwrites, moves }
        });
    prop_oneof![
        5 => (path(), any::<u32>(), cas(), purpose).prop_map(|(path, value, cas, purpose)| Step::Write(path, value, cas, purpose)),
        5 => (path(), member(), any::<u32>(), cas()).prop_map(|(path, member, value, cas)| Step::Set(path, member, value, cas)),
        4 => (path(), prop::option::of(0..9_u64), prop::option::of(member()))
            .prop_map(|(path, version, member)| Step::Read(path, version, member)),
        3 => (path(), member()).prop_map(|(path, member)| Step::Remove(path, member)),
        2 => path().prop_map(Step::Delete),
        1 => path().prop_map(Step::Destroy),
        5 => (path(), act, prop::collection::vec(0..9_u64, 0..4)).prop_map(|(path, act, list)| Step::Act(path, act, list)),
        8 => transfer.prop_map(Step::Transfer),
        2 => path().prop_map(Step::Versions),
    ]
}

/// What an answer tells.
pub fn told(answer: &Answer) -> Says {
    let (status, mut body) = (answer.status.as_u16(), answer.json());
    Says::Uris(status, if status < 400 { body } else { body["code"].take() })
}

/// A status and a code.
type Refusal = (u16, &'static str);
/// What is told.
type Told = Result<Value, Refusal>;

const NO_SECRET: Refusal = (404, "SECRET_NOT_FOUND");
const NO_MEMBER: Refusal = (404, "FRAGMENT_NOT_FOUND");

fn uri(path: &str) -> String {
    format!("openbao+kv2://secret/{path}")
}

fn uri_of(path: &str, member: Option<&str>) -> String {
    member.map_or_else(|| uri(path), |member| format!("{}#{member}", uri(path)))
}

/// A URI in a query.
fn query(path: &str, member: Option<&str>) -> String {
    format!("?uri={}", uri_of(path, member).replace('#', "%23"))
}

impl Secret {
    /// The current version's value, where it can be read.
    fn readable(&self, now: i64) -> Option<&Map<String, Value>> {
        let current = self.kept.get(&self.current)?;
        (self.seen(current).state(now) == State::Active).then_some(&current.value)
    }

    /// Why a write that adds a version is refused.
    fn refuses_uri(&self, domain: &Settings, cas: Option<u64>) -> Result<(), Refusal> {
        match self.refuses(domain, cas) {
            None => Ok(()),
            Some(_) if cas.is_some() => Err((409, "VERSION_CONFLICT")),
            Some(_) => Err((409, "CAS_REQUIRED")),
        }
    }

    /// Does `act` to a version; whether anything was otherwise before.
    fn acts(&mut self, act: Act, number: u64, domain: &Settings, now: i64) -> bool {
        let state = |secret: &Self| {
            let version = secret.kept.get(&number).map(|it| (it.ends, it.deleted));
            (version, secret.removed, secret.expires)
        };
        let before = state(self);
        self.act(act, &[number], domain, now);
        state(self) != before
    }
}

impl Domain {
    pub fn uris(&mut self, step: &Step) -> Expected {
        let (method, rest, body, answer) = match step {
            Step::Write(path, value, cas, purpose) => {
                let (path, value) = (PATHS[*path], super::value(*value));
                let body = json!({"uri": uri(path), "value": value});
                let (cas, body) = self.with_uri_cas(path, *cas, body);
                let rest = match purpose {
                    Purpose::Write => "",
                    Purpose::Rotate => "/rotate",
                };
                let told = self.write_uri(path, None, cas, *purpose, |_| value);
                (Method::POST, rest.to_owned(), body, told)
            }
            Step::Set(path, member, value, cas) => {
                let path = PATHS[*path];
                let body = json!({"uri": uri_of(path, Some(member)), "value": value});
                let (cas, body) = self.with_uri_cas(path, *cas, body);
                let set = |mut before: Map<String, Value>| {
                    before.insert((*member).to_owned(), (*value).into());
                    before
                };
                let told = self.write_uri(path, Some(member), cas, Purpose::Write, set);
                (Method::POST, String::new(), body, told)
            }
            Step::Read(path, version, member) => {
                let path = PATHS[*path];
                let pin = version.map(|number| format!("&version={number}")).unwrap_or_default();
                let rest = format!("/value{}{pin}", query(path, *member));
                (Method::GET, rest, Value::Null, self.read_uri(path, *version, *member))
            }
            Step::Remove(path, member) => {
                let path = PATHS[*path];
                let told = self.remove_uri(path, Some(member));
                (Method::DELETE, query(path, Some(member)), Value::Null, told)
            }
            Step::Delete(path) => {
                let path = PATHS[*path];
                (Method::DELETE, query(path, None), Value::Null, self.remove_uri(path, None))
            }
            Step::Destroy(path) => {
                let path = PATHS[*path];
                let gone = json!({"uri": uri(path), "deleted": true, "destroyed": true, "version": null, "changed": true});
                let told = self.secrets.remove(path).map(|_| gone).ok_or(NO_SECRET);
                (Method::DELETE, format!("{}&destroy=true", query(path, None)), Value::Null, told)
            }
            Step::Act(path, act, numbers) => {
                let path = PATHS[*path];
                let told = self.act_uri(path, *act, numbers);
                let mut body = json!({"uri": uri(path), "versions": numbers});
                let rest = match act {
                    Act::Undelete => "/undelete",
                    Act::Destroy => "/destroy-versions",
                    Act::Delete => {
                        body["op"] = "delete".into();
                        body = json!({"operations": [body]});
                        "/bulk"
                    }
                };
                (Method::POST, rest.to_owned(), body, told)
            }
            Step::Transfer(transfer) => {
                let [from, to] = [transfer.from, 1 - transfer.from].map(|at| PATHS[at]);
                let (source, target) = transfer.members.unzip();
                let mut from_uri = uri_of(from, source);
                if let Some(version) = transfer.version {
                    from_uri += &format!("?version={version}");
                }
                let body = json!({"fromUri": from_uri, "toUri": uri_of(to, target), "overwrite": transfer.overwrites});
                let told = self.transfer_uri(transfer, &body);
                let rest = if transfer.moves { "/move" } else { "/copy" };
                (Method::POST, rest.to_owned(), body, told)
            }
            Step::Versions(path) => {
                let path = PATHS[*path];
                (
                    Method::GET,
                    format!("/versions{}", query(path, None)),
                    Value::Null,
                    self.versions_uri(path),
                )
            }
        };
        let answer = match answer {
            Ok(told) => Says::Uris(200, told),
            Err((status, code)) => Says::Uris(status, code.into()),
        };
        let url = format!("/api/secrets{rest}");
        Expected { method, url, headers: Vec::new(), body, answer }
    }

    fn with_uri_cas(&self, path: &str, cas: Cas, mut body: Value) -> (Option<u64>, Value) {
        let Cas::Off(by) = cas else { return (None, body) };
        let current = self.secrets.get(path).map_or(0, |secret| secret.current);
        let cas = current.checked_add_signed(by).unwrap();
        body["cas"] = cas.into();
        (Some(cas), body)
    }

    /// The secret, which may be one that is to be made, and whether it is.
    fn secret_or_new(&self, path: &str) -> (Secret, bool) {
        match self.secrets.get(path) {
            Some(secret) => (secret.clone(), false),
            None => (Secret { created: self.now, updated: self.now, ..Secret::default() }, true),
        }
    }

    fn write_uri(
        &mut self,
        path: &'static str,
        member: Option<&str>,
        cas: Option<u64>,
        purpose: Purpose,
        make: impl FnOnce(Map<String, Value>) -> Map<String, Value>,
    ) -> Told {
        let now = self.now;
        let (mut secret, is_new) = self.secret_or_new(path);
        secret.refuses_uri(&self.settings, cas)?;
        let (before, previous) =
            (secret.readable(now).cloned().unwrap_or_default(), secret.current);
        secret.add(&self.settings, make(before), now);
        let version = secret.current;
        self.secrets.insert(path, secret);
        let uri = uri_of(path, member);
        Ok(match purpose {
            Purpose::Write => {
                json!({"uri": uri, "version": version, "created": is_new, "created_at": moment(now)})
            }
            Purpose::Rotate => {
                let previous = Some(previous).filter(|number| *number > 0);
                json!({"uri": uri, "version": version, "previous_version": previous, "rotated_at": moment(now)})
            }
        })
    }

    /// A version's value, as far as it can be read.
    fn value_at(
        &self,
        path: &str,
        version: Option<u64>,
    ) -> Result<(u64, &Map<String, Value>), Refusal> {
        let secret = self.secrets.get(path).ok_or(NO_SECRET)?;
        let Some(number) = version else {
            return Ok((secret.current, secret.readable(self.now).ok_or(NO_SECRET)?));
        };
        let found = secret.kept.get(&number).ok_or((404, "VERSION_NOT_FOUND"))?;
        match secret.seen(found).state(self.now) {
            State::Active => Ok((number, &found.value)),
            State::Deactivated => Err((409, "VERSION_DELETED")),
            State::Deleted => Err((409, "VERSION_DESTROYED")),
        }
    }

    fn read_uri(&self, path: &str, version: Option<u64>, member: Option<&str>) -> Told {
        if version == Some(0) {
            return Err((400, "INVALID_VERSION"));
        }
        let (_, value) = self.value_at(path, version)?;
        match member {
            None => Ok(Value::Object(value.clone())),
            Some(member) => Ok(json!({"value": value.get(member).ok_or(NO_MEMBER)?})),
        }
    }

    /// Deletes what is current, or a member of it.
    fn remove_uri(&mut self, path: &str, member: Option<&str>) -> Told {
        let (now, settings) = (self.now, self.settings.clone());
        let secret = self.secrets.get_mut(path).filter(|secret| secret.current > 0);
        let secret = secret.ok_or(NO_SECRET)?;
        let left = match member {
            None => Map::new(),
            Some(member) => {
                let mut left = secret.readable(now).ok_or(NO_SECRET)?.clone();
                left.remove(member).ok_or(NO_MEMBER)?;
                left
            }
        };
        let is_changed = if left.is_empty() {
            secret.acts(Act::Delete, secret.current, &settings, now)
        } else {
            secret.add(&settings, left, now);
            true
        };
        Ok(json!({
            "uri": uri_of(path, member), "deleted": true, "destroyed": false, "version": secret.current,
            "changed": is_changed,
        }))
    }

    fn act_uri(&mut self, path: &str, act: Act, numbers: &[u64]) -> Told {
        let (now, settings) = (self.now, self.settings.clone());
        let is_twice = (1..numbers.len()).any(|at| numbers[at..].contains(&numbers[at - 1]));
        if numbers.is_empty() {
            return Err((400, "VERSIONS_REQUIRED"));
        }
        if is_twice || numbers.contains(&0) {
            return Err((400, "INVALID_FIELD"));
        }
        let done = self.secrets.get_mut(path).ok_or(NO_SECRET).and_then(|secret| {
            if !numbers.iter().any(|number| secret.kept.contains_key(number)) {
                return Err((404, "VERSION_NOT_FOUND"));
            }
            // As they are stored.
            let mut sorted = numbers.to_vec();
            sorted.sort_unstable();
            let changed: Vec<_> = sorted
                .into_iter()
                .filter(|number| secret.acts(act, *number, &settings, now))
                .collect();
            let results = numbers.iter().map(|number| {
                let Some(version) = secret.kept.get(number) else {
                    return json!({"version": number, "code": "VERSION_NOT_FOUND"});
                };
                let state = secret.seen(version).state(now);
                let name = STATES.iter().find(|(known, _)| *known == state).unwrap().1;
                let mut told =
                    json!({"version": number, "state": name, "changed": changed.contains(number)});
                if matches!(act, Act::Undelete) && state == State::Deleted {
                    told["code"] = "VERSION_DESTROYED".into();
                }
                told
            });
            Ok(results.collect::<Value>())
        });
        if !matches!(act, Act::Delete) {
            return done.map(|results| json!({"uri": uri(path), "results": results}));
        }
        let result = match done {
            Ok(_) => {
                json!({"index": 0, "op": "delete", "uri": uri(path), "ok": true, "status": 200})
            }
            Err((status, code)) => {
                let message = match code {
                    "SECRET_NOT_FOUND" => "there is no such secret; check its path, or create it",
                    _ => "the secret has no such version, or it was pruned; list its versions",
                };
                json!({"index": 0, "op": "delete", "uri": uri(path), "ok": false, "status": status, "code": code, "message": message})
            }
        };
        let succeeded = u32::from(done.is_ok());
        Ok(json!({"results": [result], "succeeded": succeeded, "failed": 1 - succeeded}))
    }

    fn transfer_uri(&mut self, transfer: &Transfer, body: &Value) -> Told {
        let (now, settings) = (self.now, self.settings.clone());
        let [from, to] = [transfer.from, 1 - transfer.from].map(|at| PATHS[at]);
        let (source, target) = transfer.members.unzip();
        let (from_version, value) = self.value_at(from, transfer.version)?;
        let moved = match source {
            None => Value::Object(value.clone()),
            Some(member) => value.get(member).ok_or(NO_MEMBER)?.clone(),
        };
        let (mut secret, is_new) = self.secret_or_new(to);
        let there = secret.readable(now).cloned();
        let is_there =
            there.as_ref().is_some_and(|there| target.is_none_or(|name| there.contains_key(name)));
        if is_there && !transfer.overwrites {
            return Err((409, "DESTINATION_EXISTS"));
        }
        let next = match (target, moved) {
            (None, Value::Object(whole)) => whole,
            (None, _) => return Err((400, "VALUE_NOT_OBJECT")),
            (Some(name), part) => {
                let mut next = there.unwrap_or_default();
                next.insert(name.to_owned(), part);
                next
            }
        };
        secret.refuses_uri(&settings, None)?;
        secret.add(&settings, next, now);
        let version = secret.current;
        self.secrets.insert(to, secret);
        let mut told = json!({
            "fromUri": body["fromUri"], "toUri": body["toUri"], "from_version": from_version, "version": version,
            "created": is_new,
        });
        if transfer.moves {
            self.remove_uri(from, source)?;
            told["source_deleted"] = true.into();
        }
        Ok(told)
    }

    fn versions_uri(&self, path: &str) -> Told {
        let secret = self.secrets.get(path).ok_or(NO_SECRET)?;
        let versions: Vec<_> = secret
            .kept
            .iter()
            .rev()
            .map(|(number, version)| {
                let shown = secret.seen(version).shown(*number, self.now, false);
                let mut told = json!({"version": number, "created_at": shown["createdAt"], "state": shown["state"]});
                if let Some(at) = shown.get("deactivatedAt") {
                    told["deactivated_at"] = at.clone();
                }
                if let Some(at) = version.deleted {
                    told["deleted_at"] = moment(at).into();
                }
                told
            })
            .collect();
        Ok(json!({
            "uri": uri(path), "current_version": secret.current, "oldest_version": secret.oldest(),
            "versions": versions,
        }))
    }
}
