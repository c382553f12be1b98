//! The same model, asked and told in the words of path secrets.

use hyper::Method;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Domain, Expected, PATHS, Says, Secret, State, Version, moment};
use crate::harness::Answer;

/// What a client does in this dialect.
#[derive(Clone, Debug)]
pub enum Step {
    Put(usize, u32, End, Expects),
    Patch(usize, End),
    Read(usize, Option<u64>),
    Describe(usize, bool),
    Versions(usize),
    Remove(usize),
    Restore(usize),
    Erase(usize),
    SetVersion(usize, u64, usize),
    Rotate(usize, u32, Grace, Expects),
    List(bool, bool),
}

/// For how long the version before can still be read: as it is said, if it is, and in seconds.
type Grace = (Option<&'static str>, i64);

const GRACES: [Grace; 4] =
    [(Some("0s"), 0), (Some("1m"), 60), (Some("1h30m"), 5_400), (None, 172_800)];

/// What is said of the secret's end.
#[derive(Clone, Copy, Debug)]
pub enum End {
    Keep,
    Never,
    After(&'static str, i64),
    /// So many seconds from now.
    At(i64),
}

#[derive(Clone, Copy, Debug)]
pub enum Expects {
    Anything,
    Nothing,
    /// The current version, and so many more.
    Off(u64),
}

const STATES: [State; 3] = [State::Active, State::Deactivated, State::Deleted];
/// For how long a removal can be undone, in the server of this test.
pub const RETENTION: i64 = 86_400;

pub fn step() -> impl Strategy<Value = Step> {
    let path = || 0..PATHS.len();
    let version = || 0..9_u64;
    let end = || {
        prop::sample::select(vec![
            End::Keep,
            End::Keep,
            End::Never,
            End::After("90s", 90),
            End::After("1h30m", 5_400),
            End::At(60),
            End::At(5_400),
        ])
    };
    let expects = prop::sample::select(vec![
        Expects::Anything,
        Expects::Anything,
        Expects::Nothing,
        Expects::Off(0),
        Expects::Off(1),
    ]);
    prop_oneof![
        6 => (path(), any::<u32>(), prop::sample::select(GRACES.to_vec()), expects.clone())
            .prop_map(|(path, value, grace, expects)| Step::Rotate(path, value, grace, expects)),
        6 => (path(), any::<u32>(), end(), expects).prop_map(|(path, value, end, expects)| Step::Put(path, value, end, expects)),
        4 => (path(), end()).prop_map(|(path, end)| Step::Patch(path, end)),
        5 => (path(), prop::option::of(version())).prop_map(|(path, version)| Step::Read(path, version)),
        3 => (path(), any::<bool>()).prop_map(|(path, removed)| Step::Describe(path, removed)),
        3 => path().prop_map(Step::Versions),
        4 => path().prop_map(Step::Remove),
        3 => path().prop_map(Step::Restore),
        1 => path().prop_map(Step::Erase),
        4 => (path(), version(), 0..3_usize).prop_map(|(path, version, to)| Step::SetVersion(path, version, to)),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(expired, removed)| Step::List(expired, removed)),
    ]
}

/// What an answer tells of what is expected.
pub fn told(answer: &Answer, expected: &Value) -> Says {
    let (status, mut body) = (answer.status.as_u16(), answer.json());
    if status >= 400 {
        return Says::Paths(status, body["error"]["code"].take());
    }
    if let (Some(body), Some(expected)) = (body.as_object_mut(), expected.as_object()) {
        body.retain(|name, _| expected.contains_key(name));
    }
    Says::Paths(status, body)
}

fn error(status: u16, code: &str) -> Says {
    Says::Paths(status, code.into())
}

fn maybe(moment: Option<i64>) -> Value {
    moment.map_or(Value::Null, |at| super::moment(at).into())
}

impl End {
    fn options(self, now: i64) -> Value {
        match self {
            Self::Keep => json!({}),
            Self::Never => json!({"expires_at": null}),
            Self::After(text, _) => json!({"expires_in": text}),
            Self::At(after) => json!({"expires_at": moment(now + after)}),
        }
    }
}

impl Secret {
    fn says_end(&mut self, end: End, now: i64) {
        (self.span, self.expires) = match end {
            End::Keep => return,
            End::Never => (None, None),
            End::After(_, seconds) => (Some(seconds), Some(now + seconds)),
            End::At(after) => (None, Some(now + after)),
        };
        self.updated = now;
    }

    /// When what is current ends by itself.
    fn expires_at(&self) -> Option<i64> {
        let current = self.kept.get(&self.current);
        let own = current.filter(|it| !it.acted && it.deleted.is_none()).and_then(|it| it.ends);
        [self.expires, own].into_iter().flatten().min()
    }

    fn written(&self) -> i64 {
        self.kept.last_key_value().map_or(self.updated, |(_, newest)| newest.created)
    }

    fn is_expired(&self, now: i64) -> bool {
        self.current > 0 && self.expires.is_some_and(|at| at <= now)
    }

    fn described(&self, path: &str) -> Value {
        let mut described = json!({
            "path": path,
            "current_version": self.current,
            "version_count": self.kept.len(),
            "created_at": moment(self.created),
            "updated_at": moment(self.written()),
            "expires_at": maybe(self.expires_at()),
        });
        if let Some(at) = self.removed {
            described["deleted_at"] = moment(at).into();
            described["recoverable_until"] = moment(at + RETENTION).into();
        }
        described
    }
}

impl Version {
    fn in_paths(&self, number: u64, secret: &Secret, now: i64) -> Value {
        let mut shown = json!({"version": number, "created_at": moment(self.created), "is_current": number == secret.current});
        match self.state(now) {
            State::Active => {
                if let Some(ends) = self.ends {
                    shown["expires_at"] = moment(ends).into();
                }
            }
            State::Deactivated => {
                shown["state"] = if self.acted { "deactivated" } else { "expired" }.into();
            }
            State::Deleted => shown["state"] = "deleted".into(),
        }
        shown
    }
}

impl Domain {
    pub fn paths(&mut self, step: &Step) -> Expected {
        let now = self.now;
        let (method, rest, body, answer) = match step {
            Step::Put(path, value, end, expects) => {
                let path = PATHS[*path];
                let body = json!({"data": {"value": value}, "options": end.options(now)});
                return Expected {
                    method: Method::PUT,
                    url: self.secret_url(path, ""),
                    headers: self.expects(path, *expects),
                    body,
                    answer: self.put_path(path, *value, *end, *expects),
                };
            }
            Step::Patch(path, end) => {
                let path = PATHS[*path];
                let answer = match self.here(path) {
                    Err(says) => says,
                    Ok(secret) => {
                        secret.says_end(*end, now);
                        Says::Paths(200, secret.described(path))
                    }
                };
                (
                    Method::PATCH,
                    self.secret_url(path, ""),
                    json!({"options": end.options(now)}),
                    answer,
                )
            }
            Step::Read(path, version) => {
                let path = PATHS[*path];
                let query =
                    version.map(|version| format!("?version={version}")).unwrap_or_default();
                let answer = self.read_path(path, *version);
                (Method::GET, self.secret_url(path, &query), Value::Null, answer)
            }
            Step::Describe(path, removed) => {
                let path = PATHS[*path];
                let found =
                    self.secrets.get(path).filter(|secret| *removed || secret.removed.is_none());
                let answer = match found {
                    Some(secret) => Says::Paths(200, secret.described(path)),
                    None => error(404, "secret_not_found"),
                };
                let url =
                    format!("/v1/t/{}/secrets/metadata/{path}?include_deleted={removed}", self.id);
                (Method::GET, url, Value::Null, answer)
            }
            Step::Versions(path) => {
                let path = PATHS[*path];
                let answer = match self.here(path) {
                    Err(says) => says,
                    Ok(secret) => {
                        let versions: Vec<_> = secret
                            .kept
                            .iter()
                            .rev()
                            .map(|(number, version)| {
                                secret.seen(version).in_paths(*number, secret, now)
                            })
                            .collect();
                        Says::Paths(200, json!({"path": path, "versions": versions}))
                    }
                };
                (Method::GET, self.secret_url(path, "/versions"), Value::Null, answer)
            }
            Step::Remove(path) => {
                let path = PATHS[*path];
                let answer = match self.here(path) {
                    Err(says) => says,
                    Ok(secret) => {
                        (secret.removed, secret.updated) = (Some(now), now);
                        Says::Paths(
                            200,
                            json!({"path": path, "deleted_at": moment(now), "recoverable_until": moment(now + RETENTION)}),
                        )
                    }
                };
                (Method::DELETE, self.secret_url(path, ""), Value::Null, answer)
            }
            Step::Restore(path) => {
                let path = PATHS[*path];
                let answer = match self.secrets.get_mut(path) {
                    None => error(404, "secret_not_found"),
                    Some(secret) => {
                        if secret.removed.take().is_some() {
                            secret.updated = now;
                        }
                        Says::Paths(200, secret.described(path))
                    }
                };
                (Method::POST, self.secret_url(path, "/restore"), Value::Null, answer)
            }
            Step::Erase(path) => {
                let path = PATHS[*path];
                let answer = match self.secrets.remove(path) {
                    None => error(404, "secret_not_found"),
                    Some(_) => Says::Paths(200, json!({"path": path, "permanent": true})),
                };
                (Method::DELETE, self.secret_url(path, "?permanent=true"), Value::Null, answer)
            }
            Step::SetVersion(path, number, to) => {
                let (path, to) = (PATHS[*path], STATES[*to]);
                let (method, query) = match to {
                    State::Active => (Method::POST, format!("/restore?version={number}")),
                    State::Deactivated => (Method::DELETE, format!("?version={number}")),
                    State::Deleted => (Method::DELETE, format!("?version={number}&permanent=true")),
                };
                let answer = self.set_version(path, *number, to);
                (method, self.secret_url(path, &query), Value::Null, answer)
            }
            Step::Rotate(path, value, grace, expects) => {
                let path = PATHS[*path];
                let mut body = json!({"new_value": {"value": value}});
                if let Some(said) = grace.0 {
                    body["grace_period"] = said.into();
                }
                return Expected {
                    method: Method::POST,
                    url: self.secret_url(path, "/rotate"),
                    headers: self.expects(path, *expects),
                    body,
                    answer: self.rotate(path, *value, grace.1, *expects),
                };
            }
            Step::List(expired, removed) => {
                let is_shown = |secret: &Secret| {
                    (*removed || secret.removed.is_none())
                        && (*expired || secret.expires_at().is_none_or(|at| at > now))
                };
                let secrets = self.secrets.iter().filter(|(_, secret)| is_shown(secret));
                let secrets: Vec<_> = secrets
                    .map(|(path, secret)| {
                        let mut shown = json!({
                            "path": path, "secret_type": "kv", "version": secret.current, "tags": [],
                            "updated_at": moment(secret.written()), "expires_at": maybe(secret.expires_at()),
                        });
                        if let Some(at) = secret.removed {
                            shown["deleted_at"] = moment(at).into();
                            shown["recoverable_until"] = moment(at + RETENTION).into();
                        }
                        shown
                    })
                    .collect();
                let answer =
                    Says::Paths(200, json!({"total_count": secrets.len(), "secrets": secrets}));
                let url = format!(
                    "/v1/t/{}/secrets?include_expired={expired}&include_deleted={removed}",
                    self.id
                );
                (Method::GET, url, Value::Null, answer)
            }
        };
        Expected { method, url: rest, headers: Vec::new(), body, answer }
    }

    fn secret_url(&self, path: &str, rest: &str) -> String {
        format!("/v1/t/{}/secrets/{path}{rest}", self.id)
    }

    /// A secret that was not removed.
    fn here(&mut self, path: &str) -> Result<&mut Secret, Says> {
        let found = self.secrets.get_mut(path).filter(|secret| secret.removed.is_none());
        found.ok_or_else(|| error(404, "secret_not_found"))
    }

    fn expects(&self, path: &str, expects: Expects) -> Vec<(&'static str, String)> {
        match expects {
            Expects::Anything => Vec::new(),
            Expects::Nothing => vec![("if-none-match", "*".to_owned())],
            Expects::Off(by) => {
                let current = self.secrets.get(path).map_or(0, |secret| secret.current);
                vec![("if-match", format!("\"{}\"", current + by))]
            }
        }
    }

    fn put_path(&mut self, path: &'static str, value: u32, end: End, expects: Expects) -> Says {
        let (now, known) = (self.now, self.secrets.get(path).cloned());
        if known.as_ref().is_some_and(|secret| secret.removed.is_some()) {
            return error(409, "secret_exists");
        }
        let is_expected = match (expects, &known) {
            (Expects::Anything, Some(secret)) => secret.refuses(&self.settings, None).is_none(),
            (Expects::Anything | Expects::Nothing, None) => true,
            (Expects::Nothing, Some(_)) => false,
            (Expects::Off(by), known) => known.is_some() && by == 0,
        };
        if !is_expected {
            return error(409, "version_conflict");
        }
        if known.is_none() && path.contains('@') {
            return error(400, "invalid_path");
        }
        let previous = known.as_ref().map(|secret| secret.current);
        let fresh = Secret { created: now, updated: now, ..Secret::default() };
        let mut secret = known.unwrap_or(fresh);
        secret.says_end(end, now);
        secret.add(&self.settings, super::value(value), now);
        let (version, ends) = (secret.current, secret.expires_at());
        self.secrets.insert(path, secret);
        match previous {
            None => Says::Paths(
                201,
                json!({"path": path, "secret_type": "kv", "version": 1, "created": true, "created_at": moment(now), "expires_at": maybe(ends)}),
            ),
            Some(previous) => Says::Paths(
                200,
                json!({"path": path, "version": version, "created": false, "previous_version": previous, "updated_at": moment(now)}),
            ),
        }
    }

    fn rotate(&mut self, path: &'static str, value: u32, grace: i64, expects: Expects) -> Says {
        if matches!(expects, Expects::Nothing) {
            return error(400, "invalid_request");
        }
        let (now, settings) = (self.now, self.settings.clone());
        let secret = match self.here(path) {
            Ok(secret) => secret,
            Err(says) => return says,
        };
        let is_expected = match expects {
            Expects::Anything => secret.refuses(&settings, None).is_none(),
            Expects::Off(by) => by == 0,
            Expects::Nothing => false,
        };
        if !is_expected {
            return error(409, "version_conflict");
        }
        let (previous, expires) = (secret.current, secret.expires);
        let was_live = secret
            .kept
            .get(&previous)
            .is_some_and(|version| secret.seen(version).state(now) == State::Active);
        let mut ends = None;
        if let Some(version) =
            secret.kept.get_mut(&previous).filter(|it| !it.acted && it.deleted.is_none())
        {
            version.ends = [version.ends, expires, Some(now + grace)].into_iter().flatten().min();
            version.acted = grace == 0 && version.ends == Some(now);
            ends = version.ends.filter(|_| was_live);
        }
        secret.add_keeping(if grace > 0 { 2 } else { 1 }, &settings, super::value(value), now);
        Says::Paths(
            200,
            json!({
                "path": path, "version": previous + 1, "previous_version": previous, "rotated_at": moment(now),
                "grace_period_ends": maybe(ends), "auto_generated": false, "rotation_policy_id": null, "next_rotation": null,
            }),
        )
    }

    fn read_path(&self, path: &str, version: Option<u64>) -> Says {
        if version == Some(0) {
            return error(400, "invalid_request");
        }
        let found = self.secrets.get(path).filter(|secret| secret.removed.is_none());
        let Some(secret) = found else { return error(404, "secret_not_found") };
        if secret.is_expired(self.now) {
            return error(410, "secret_expired");
        }
        let number = version.unwrap_or(secret.current);
        let Some(found) = secret.kept.get(&number) else { return error(404, "version_not_found") };
        match secret.seen(found).state(self.now) {
            State::Active => Says::Paths(
                200,
                json!({
                    "path": path, "version": number, "data": found.value, "created_at": moment(secret.created),
                    "updated_at": moment(secret.written()), "expires_at": maybe(secret.expires_at()),
                }),
            ),
            State::Deactivated if number == secret.current && !found.acted => {
                error(410, "secret_expired")
            }
            _ => error(404, "version_not_found"),
        }
    }

    fn set_version(&mut self, path: &str, number: u64, to: State) -> Says {
        if number == 0 {
            return error(400, "invalid_request");
        }
        let (now, settings) = (self.now, self.settings.clone());
        let secret = match self.here(path) {
            Ok(secret) => secret,
            Err(says) => return says,
        };
        let Some(version) = secret.kept.get(&number) else {
            return error(404, "version_not_found");
        };
        if secret.is_led(version, to, now) || version.deleted.is_some() {
            return error(404, "version_not_found");
        }
        secret.lead(number, to, &settings, now);
        Says::Paths(200, json!({"path": path}))
    }
}
