//! The same model, asked and told in the words of KV2.

use std::collections::BTreeMap;

use hyper::Method;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{
    Domain, Expected, PATHS, Patch, Says, Secret, Settings, State, Version, moment, valid,
};
use crate::harness::Answer;

/// What a client does in this dialect.
#[derive(Clone, Debug)]
pub enum Step {
    Put(usize, u32, Cas),
    Patch(usize, Change, Cas),
    Read(usize, Option<u64>),
    Subkeys(usize, Option<u64>),
    DeleteLatest(usize),
    Act(usize, Act, Vec<u64>),
    WriteMetadata(usize, Patch, bool),
    Metadata(usize),
    DeleteMetadata(usize),
    List(bool),
    Config(Settings),
    GetConfig,
}

#[derive(Clone, Copy, Debug)]
pub enum Cas {
    None,
    /// The current version, and so many more.
    Off(i64),
}

/// A member of the value that a patch sets, or removes.
#[derive(Clone, Copy, Debug)]
pub struct Change(&'static str, Option<u32>);

#[derive(Clone, Copy, Debug)]
pub enum Act {
    Delete,
    Undelete,
    Destroy,
}

pub fn step() -> impl Strategy<Value = Step> {
    let path = || 0..PATHS.len();
    let cas = || prop_oneof![3 => Just(Cas::None), 5 => Just(Cas::Off(0)), 1 => Just(Cas::Off(1)), 1 => Just(Cas::Off(-1))];
    let version = || prop::option::of(0..9_u64);
    let act = prop::sample::select(vec![Act::Delete, Act::Undelete, Act::Destroy]);
    let change = (prop::sample::select(vec!["value", "more"]), any::<Option<u32>>())
        .prop_map(|(name, value)| Change(name, value));
    prop_oneof![
        6 => (path(), any::<u32>(), cas()).prop_map(|(path, value, cas)| Step::Put(path, value, cas)),
        4 => (path(), change, cas()).prop_map(|(path, change, cas)| Step::Patch(path, change, cas)),
        4 => (path(), version()).prop_map(|(path, version)| Step::Read(path, version)),
        1 => (path(), version()).prop_map(|(path, version)| Step::Subkeys(path, version)),
        3 => path().prop_map(Step::DeleteLatest),
        6 => (path(), act, prop::collection::vec(0..9_u64, 0..4)).prop_map(|(path, act, list)| Step::Act(path, act, list)),
        5 => (path(), super::patch(), any::<bool>()).prop_map(|(path, patch, is_patch)| Step::WriteMetadata(path, patch, is_patch)),
        4 => path().prop_map(Step::Metadata),
        1 => path().prop_map(Step::DeleteMetadata),
        2 => any::<bool>().prop_map(Step::List),
        2 => super::settings().prop_map(Step::Config),
        1 => Just(Step::GetConfig),
    ]
}

/// What an answer tells.
pub fn told(answer: &Answer) -> Says {
    let status = answer.status.as_u16();
    if status == 204 {
        return Says::Vault(status, Ok(Value::Null));
    }
    let body = answer.json();
    Says::Vault(
        status,
        match body.get("data") {
            Some(data) => Ok(data.clone()),
            None => Err(body["errors"][0].as_str().unwrap_or_default().to_owned()),
        },
    )
}

const NOTHING: Says = Says::Vault(204, Ok(Value::Null));

fn absent() -> Says {
    Says::Vault(404, Err(String::new()))
}

fn refused(text: &str) -> Says {
    Says::Vault(400, Err(text.to_owned()))
}

impl Settings {
    fn in_kv(&self) -> Map<String, Value> {
        let mut shown = Map::new();
        shown.insert("cas_required".to_owned(), self.cas_required.unwrap_or(false).into());
        shown.insert("max_versions".to_owned(), self.max_versions.unwrap_or(0).into());
        shown.insert(
            "delete_version_after".to_owned(),
            self.after.map_or("0s", |after| after.2).into(),
        );
        shown.insert("metadata_cas_required".to_owned(), false.into());
        shown
    }

    fn sent_in_kv(&self) -> Map<String, Value> {
        let mut sent = Map::new();
        sent.extend(self.cas_required.map(|cas| ("cas_required".to_owned(), cas.into())));
        sent.extend(self.max_versions.map(|max| ("max_versions".to_owned(), max.into())));
        sent.extend(self.after.map(|after| ("delete_version_after".to_owned(), after.0.into())));
        sent
    }
}

impl Version {
    fn times(&self) -> Map<String, Value> {
        let ends = self.ends.map(moment).unwrap_or_default();
        let times = json!({"created_time": moment(self.created), "deletion_time": ends, "destroyed": self.deleted.is_some()});
        times.as_object().unwrap().clone()
    }
}

impl Secret {
    fn custom_in_kv(&self) -> Value {
        if self.custom.is_empty() { Value::Null } else { json!(self.custom) }
    }

    /// The five members of a version.
    fn five(&self, number: u64) -> Value {
        let mut five = self.seen(&self.kept[&number]).times();
        five.insert("version".to_owned(), number.into());
        five.insert("custom_metadata".to_owned(), self.custom_in_kv());
        Value::Object(five)
    }

    fn in_kv(&self, path: &str, id: &str) -> Value {
        let mut shown = self.settings.in_kv();
        let updated = self.kept.last_key_value().map_or(self.created, |(_, newest)| newest.created);
        let versions: BTreeMap<_, _> = self
            .kept
            .iter()
            .map(|(number, version)| (number.to_string(), self.seen(version).times()))
            .collect();
        let rest = json!({
            "created_time": moment(self.created),
            "updated_time": moment(updated),
            "current_version": self.current,
            "current_metadata_version": self.metadata_version,
            "oldest_version": self.oldest(),
            "custom_metadata": self.custom_in_kv(),
            "urn": format!("urn:v1:local:resource:okms:{id}/secret/{path}"),
            "versions": versions,
        });
        shown.extend(rest.as_object().unwrap().clone());
        Value::Object(shown)
    }

    pub(super) fn act(&mut self, act: Act, numbers: &[u64], domain: &Settings, now: i64) {
        let life = self.life(domain);
        for number in numbers {
            let found = self.kept.get(number).filter(|version| version.deleted.is_none());
            let Some(before) = found.cloned() else { continue };
            let is_active = before.state(now) == State::Active;
            let version = self.kept.get_mut(number).unwrap();
            match act {
                Act::Delete if is_active => (version.ends, version.acted) = (Some(now), true),
                Act::Delete => {}
                Act::Undelete => {
                    (version.ends, version.acted) = (life.map(|life| now + life), false);
                }
                Act::Destroy => version.deleted = Some(now),
            }
            let is_other = (before.ends, before.deleted) != (version.ends, version.deleted);
            if matches!(act, Act::Undelete) && self.revive(now) || is_other {
                self.updated = now;
            }
        }
    }
}

impl Domain {
    pub fn kv(&mut self, step: &Step) -> Expected {
        let now = self.now;
        let (method, rest, body, answer) = match step {
            Step::Put(path, value, cas) => {
                let path = PATHS[*path];
                let data = super::value(*value);
                let (cas, body) = self.with_cas(path, *cas, json!({ "data": data }));
                (Method::PUT, format!("data/{path}"), body, self.put(path, data, cas))
            }
            Step::Patch(path, Change(name, value), cas) => {
                let path = PATHS[*path];
                let (cas, body) = self.with_cas(path, *cas, json!({"data": {*name: value}}));
                (Method::PATCH, format!("data/{path}"), body, self.merge(path, name, *value, cas))
            }
            Step::Read(path, version) => {
                let path = PATHS[*path];
                let answer = self.told_of(path, *version, "data", |version| {
                    Value::Object(version.value.clone())
                });
                (Method::GET, format!("data/{path}{}", query(*version)), Value::Null, answer)
            }
            Step::Subkeys(path, version) => {
                let path = PATHS[*path];
                let names = |version: &Version| {
                    version.value.keys().map(|name| (name.clone(), Value::Null)).collect()
                };
                let answer = self
                    .told_of(path, *version, "subkeys", |version| Value::Object(names(version)));
                (Method::GET, format!("subkeys/{path}{}", query(*version)), Value::Null, answer)
            }
            Step::DeleteLatest(path) => {
                let path = PATHS[*path];
                if let Some(secret) = self.secrets.get_mut(path) {
                    secret.act(Act::Delete, &[secret.current], &self.settings, now);
                }
                (Method::DELETE, format!("data/{path}"), Value::Null, NOTHING)
            }
            Step::Act(path, act, numbers) => {
                let path = PATHS[*path];
                let (name, no_number) = match act {
                    Act::Delete => ("delete", "No version number provided"),
                    Act::Undelete => ("undelete", "No version number provided"),
                    Act::Destroy => ("destroy", "no version number provided"),
                };
                let answer = if numbers.is_empty() { refused(no_number) } else { NOTHING };
                if let Some(secret) = self.secrets.get_mut(path) {
                    secret.act(*act, numbers, &self.settings, now);
                }
                (Method::POST, format!("{name}/{path}"), json!({ "versions": numbers }), answer)
            }
            Step::WriteMetadata(path, patch, is_patch) => {
                let path = PATHS[*path];
                let mut body = patch.settings.sent_in_kv();
                body.extend(
                    patch
                        .custom
                        .as_ref()
                        .map(|custom| ("custom_metadata".to_owned(), sent(custom, *is_patch))),
                );
                let method = if *is_patch { Method::PATCH } else { Method::POST };
                (
                    method,
                    format!("metadata/{path}"),
                    Value::Object(body),
                    self.write_metadata(path, patch, *is_patch),
                )
            }
            Step::Metadata(path) => {
                let path = PATHS[*path];
                let found = self.secrets.get(path);
                let answer = found.map_or_else(absent, |secret| {
                    Says::Vault(200, Ok(secret.in_kv(path, &self.id)))
                });
                (Method::GET, format!("metadata/{path}"), Value::Null, answer)
            }
            Step::DeleteMetadata(path) => {
                self.secrets.remove(PATHS[*path]);
                (Method::DELETE, format!("metadata/{}", PATHS[*path]), Value::Null, NOTHING)
            }
            Step::List(excludes_deleted) => {
                let is_shown = |secret: &Secret| {
                    let current = secret.kept.get(&secret.current);
                    let ends = current.and_then(|version| secret.seen(version).ends);
                    !excludes_deleted || ends.is_none()
                };
                let shown = self.secrets.iter().filter(|(_, secret)| is_shown(secret));
                let keys: Vec<_> = shown.map(|(path, _)| path).collect();
                // A scan of nothing has no names, and is there.
                let shown = if keys.is_empty() { json!({}) } else { json!({ "keys": keys }) };
                let answer = Says::Vault(200, Ok(shown));
                let rest = format!("metadata?scan=true&exclude_deleted={excludes_deleted}");
                (Method::GET, rest, Value::Null, answer)
            }
            Step::Config(patch) => {
                let answer = match valid(patch) {
                    Ok(()) => {
                        self.settings.apply(patch);
                        NOTHING
                    }
                    Err(_) => refused(TOO_MANY),
                };
                (Method::POST, "config".to_owned(), Value::Object(patch.sent_in_kv()), answer)
            }
            Step::GetConfig => {
                let answer = Says::Vault(200, Ok(Value::Object(self.settings.in_kv())));
                (Method::GET, "config".to_owned(), Value::Null, answer)
            }
        };
        let url = format!("/api/{}/v1/secret/{rest}", self.id);
        Expected { method, url, headers: Vec::new(), body, answer }
    }

    fn with_cas(&self, path: &str, cas: Cas, mut body: Value) -> (Option<u64>, Value) {
        let Cas::Off(by) = cas else { return (None, body) };
        let current = self.secrets.get(path).map_or(0, |secret| secret.current);
        let cas = current.checked_add_signed(by);
        body["options"] = json!({"cas": i64::try_from(current).unwrap() + by});
        // A number below nothing matches nothing.
        (Some(cas.unwrap_or(u64::MAX)), body)
    }

    fn put(&mut self, path: &'static str, data: Map<String, Value>, cas: Option<u64>) -> Says {
        let fresh = Secret { created: self.now, updated: self.now, ..Secret::default() };
        let mut secret = self.secrets.get(path).cloned().unwrap_or(fresh);
        if let Some(why) = secret.refuses(&self.settings, cas) {
            return refused(why);
        }
        secret.add(&self.settings, data, self.now);
        let answer = Says::Vault(200, Ok(secret.five(secret.current)));
        self.secrets.insert(path, secret);
        answer
    }

    fn merge(
        &mut self,
        path: &'static str,
        name: &str,
        value: Option<u32>,
        cas: Option<u64>,
    ) -> Says {
        let Some(secret) = self.secrets.get_mut(path) else { return absent() };
        if let Some(why) = secret.refuses(&self.settings, cas) {
            return refused(why);
        }
        let Some(current) = secret.kept.get(&secret.current) else { return absent() };
        if secret.seen(current).state(self.now) != State::Active {
            return Says::Vault(404, Ok(secret.five(secret.current)));
        }
        let mut data = current.value.clone();
        match value {
            Some(value) => drop(data.insert(name.to_owned(), value.into())),
            None => drop(data.remove(name)),
        }
        secret.add(&self.settings, data, self.now);
        Says::Vault(200, Ok(secret.five(secret.current)))
    }

    fn write_metadata(&mut self, path: &'static str, patch: &Patch, is_patch: bool) -> Says {
        if valid(&patch.settings).is_err() {
            return refused(TOO_MANY);
        }
        if patch.settings.is_empty() && patch.custom.is_none() {
            return NOTHING;
        }
        let mut secret = match self.secrets.get(path) {
            Some(secret) => secret.clone(),
            None if is_patch => return absent(),
            None => Secret { created: self.now, updated: self.now, ..Secret::default() },
        };
        let overruled =
            patch.settings.cas_required == Some(false) && self.settings.cas_required == Some(true);
        let mut patch = Patch { is_merge: true, ..patch.clone() };
        if let Some(custom) = &mut patch.custom
            && !is_patch
        {
            secret.custom.clear();
            custom.retain(|_, text| !text.is_empty());
        }
        let is_nothing =
            patch.settings.is_empty() && patch.custom.as_ref().is_some_and(BTreeMap::is_empty);
        if is_nothing {
            secret.updated = self.now;
            secret.metadata_version += 1;
        }
        secret.patch(&patch, self.now);
        self.secrets.insert(path, secret);
        // What has no effect is stored all the same, and said.
        if overruled { Says::Vault(200, Ok(Value::Null)) } else { NOTHING }
    }

    /// A version with what `tell` makes of its value, under `name`.
    fn told_of(
        &self,
        path: &str,
        number: Option<u64>,
        name: &str,
        tell: impl Fn(&Version) -> Value,
    ) -> Says {
        let Some(secret) = self.secrets.get(path) else { return absent() };
        let number = number.filter(|number| *number > 0).unwrap_or(secret.current);
        let Some(version) = secret.kept.get(&number) else { return absent() };
        let is_active = secret.seen(version).state(self.now) == State::Active;
        let value = if is_active { tell(version) } else { Value::Null };
        Says::Vault(
            if is_active { 200 } else { 404 },
            Ok(json!({name: value, "metadata": secret.five(number)})),
        )
    }
}

const TOO_MANY: &str = "Field validation failed: error converting input for field \"max_versions\": expected a whole \
                        number from 0 to 24000";

fn query(version: Option<u64>) -> String {
    version.map(|version| format!("?version={version}")).unwrap_or_default()
}

/// Custom metadata as it is sent: in a patch "" stands for null; a write has no such entries.
fn sent(custom: &BTreeMap<&'static str, &'static str>, is_patch: bool) -> Value {
    let entries = custom.iter().filter(|(_, text)| is_patch || !text.is_empty());
    let entries = entries.map(|(key, text)| {
        ((*key).to_owned(), if text.is_empty() { Value::Null } else { (*text).into() })
    });
    Value::Object(entries.collect())
}
