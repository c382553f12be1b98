//! What was asked of each domain's secrets of late, in the memory of this process: for whoever develops.
//!
//! Always holds: a domain is told its own, a thousand at most; there is no value, no path and no name of a member in
//! it, only what stands for them. Never does: outlive the process, or stand in for the audit trail, from which it
//! is made.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Deserialize;
use tokio::sync::watch;

use super::{
    super::{Problem, json::Writer},
    words,
};
use crate::model::{OkmsId, Timestamp};

/// So many are kept of each domain.
const KEPT: usize = 1_000;
/// What the names of actions on secrets begin with.
const OF_SECRETS: &str = "okms:apikms:secret/";
/// Those that ask for this itself, of which nothing is kept.
const OWN: [&str; 2] = ["UriAudit", "UriEvents"];

/// What was asked of late, by domain.
pub struct Recent {
    rings: Mutex<HashMap<OkmsId, Ring>>,
    /// The number of the first one of each domain: higher than all that an earlier process has given.
    first: u64,
}

/// That of a domain.
struct Ring {
    kept: VecDeque<Arc<Entry>>,
    next: u64,
    news: watch::Sender<()>,
}

/// Something that was asked of a secret, or of many.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    /// What has happened, if anything has.
    pub(super) event: Option<&'static str>,
    /// It, as JSON.
    pub(super) text: String,
    told: Told,
}

/// What of it can be asked for.
#[derive(Debug, Default)]
struct Told {
    time: String,
    purpose: Option<String>,
    effect: String,
    subject: Option<String>,
    reference: Option<String>,
}

/// Which are asked for.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) since: Option<Timestamp>,
    pub(super) purpose: Option<String>,
    pub(super) effect: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) reference: Option<String>,
}

impl Wanted {
    fn takes(&self, told: &Told) -> bool {
        let is = |found: Option<&str>, wanted: &Option<String>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        // Moments to the millisecond sort as text.
        self.since.is_none_or(|since| *since.to_rfc3339_millis() <= *told.time)
            && is(told.purpose.as_deref(), &self.purpose)
            && is(Some(&told.effect), &self.effect)
            && is(told.subject.as_deref(), &self.subject)
            && is(told.reference.as_deref(), &self.reference)
    }
}

/// Some came that are not kept any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lost;

impl Recent {
    /// Nothing yet.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        let seconds = u64::try_from(now.unix_seconds()).unwrap_or(0);
        // As many as nobody asks in a second, and numbers that JavaScript has.
        Self { rings: Mutex::default(), first: seconds.saturating_mul(1_000_000) + 1 }
    }

    /// Keeps a record of the audit trail for a domain, if it is about secrets.
    pub fn keep(&self, domain: OkmsId, record: &str) {
        let Ok(record) = serde_json::from_str::<Record<'_>>(record) else { return };
        let all = record.parts();
        if all.is_empty() {
            return;
        }
        let mut rings = self.lock();
        let ring = rings.entry(domain).or_insert_with(|| Ring::new(self.first));
        for part in &all {
            ring.keep(|number| record.entry(part, number));
        }
        ring.news.send_replace(());
    }

    /// Those of a domain that are asked for, the newest first.
    pub(super) fn of(&self, id: OkmsId, wanted: &Wanted) -> Vec<Arc<Entry>> {
        let rings = self.lock();
        let kept = rings.get(&id).into_iter().flat_map(|ring| ring.kept.iter().rev());
        kept.filter(|entry| wanted.takes(&entry.told)).map(Arc::clone).collect()
    }

    /// Those of a domain that come behind this number.
    pub(super) fn behind(&self, id: OkmsId, number: u64) -> Result<Vec<Arc<Entry>>, Lost> {
        let rings = self.lock();
        let Some(ring) = rings.get(&id) else { return Ok(Vec::new()) };
        match ring.kept.front() {
            // What an earlier process has told is not missed, as nobody knows it any more.
            Some(oldest) if number >= self.first && number + 1 < oldest.number => Err(Lost),
            _ => {
                let behind = ring.kept.iter().filter(|entry| entry.number > number);
                Ok(behind.map(Arc::clone).collect())
            }
        }
    }

    /// The number of the last one of a domain, and what tells of the next.
    pub(super) fn listen(&self, id: OkmsId) -> (u64, watch::Receiver<()>) {
        let mut rings = self.lock();
        let ring = rings.entry(id).or_insert_with(|| Ring::new(self.first));
        (ring.next - 1, ring.news.subscribe())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OkmsId, Ring>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn new(first: u64) -> Self {
        Self { kept: VecDeque::new(), next: first, news: watch::Sender::default() }
    }

    fn keep(&mut self, make: impl FnOnce(u64) -> Entry) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(Arc::new(make(self.next)));
        self.next += 1;
    }
}

/// What is looked at of a record.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    time: &'a str,
    #[serde(borrow, rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    effect: &'a str,
    status: u16,
    #[serde(borrow, default)]
    problem: Option<&'a str>,
    #[serde(borrow, default)]
    request_id: Option<&'a str>,
    #[serde(borrow, default)]
    decision_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    purpose: Option<&'a str>,
    #[serde(borrow, default)]
    client: Option<&'a str>,
    #[serde(borrow, default)]
    dialect: Option<&'a str>,
    #[serde(borrow, default)]
    operation: Option<&'a str>,
    #[serde(borrow, default)]
    subject: Option<&'a str>,
    #[serde(borrow, default)]
    common_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    serial: Option<&'a str>,
    #[serde(borrow, default)]
    user: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    jwt: Option<Jwt<'a>>,
    #[serde(borrow, default)]
    acting_tenant: Option<&'a str>,
    #[serde(borrow, default)]
    tenant: Option<&'a str>,
    #[serde(borrow, default)]
    resource_type: Option<&'a str>,
    #[serde(borrow, default)]
    resource_ref: Option<&'a str>,
    #[serde(borrow, default)]
    actions: Vec<&'a str>,
    #[serde(default)]
    version: Option<u32>,
    #[serde(borrow, default)]
    also: Vec<Also<'a>>,
    #[serde(borrow, default)]
    changes: Vec<Change<'a>>,
}

/// Whom a JWT was about.
#[derive(Deserialize)]
struct Jwt<'a> {
    #[serde(borrow)]
    subject: Cow<'a, str>,
}

/// What else a record is about.
#[derive(Deserialize)]
struct Also<'a> {
    #[serde(borrow, rename = "type")]
    kind: &'a str,
    #[serde(borrow, default)]
    resource_ref: Option<&'a str>,
    #[serde(borrow, default)]
    actions: Vec<&'a str>,
    #[serde(borrow, default)]
    purpose: Option<&'a str>,
    #[serde(borrow, default)]
    decision_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    effect: Option<&'a str>,
    #[serde(default)]
    version: Option<u32>,
    #[serde(default)]
    status: Option<u16>,
    #[serde(borrow, default)]
    problem: Option<&'a str>,
}

/// What was changed.
#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow)]
    change: &'a str,
}

/// What is told by itself of a record: its request, or one of the many things that this was about.
struct Part<'a> {
    purpose: Option<&'a str>,
    effect: &'a str,
    reference: Option<&'a str>,
    decision: Option<&'a str>,
    action: Option<&'a str>,
    status: u16,
    problem: Option<&'a str>,
    version: Option<u32>,
    event: Option<&'static str>,
}

impl Record<'_> {
    fn parts(&self) -> Vec<Part<'_>> {
        let is_of_secrets = self.resource_type == Some("secret")
            || self.actions.iter().any(|action| action.starts_with(OF_SECRETS));
        let is_own = self.operation.is_some_and(|operation| OWN.contains(&operation));
        if self.kind != "request" || !is_of_secrets || is_own {
            return Vec::new();
        }
        // A request about many is told one by one; what is beside one secret belongs to that.
        let is_of_one = self.resource_type == Some("secret");
        let many = self.also.iter().filter(|one| one.kind == "secret" && one.effect.is_some());
        let many: Vec<_> = many.filter(|_| !is_of_one).map(|one| self.part_of(one)).collect();
        if many.is_empty() { vec![self.whole()] } else { many }
    }

    fn whole(&self) -> Part<'_> {
        let changes: Vec<_> = self.changes.iter().map(|change| change.change).collect();
        // What was denied of the other end of a transfer denies all of it.
        let mut others = self.also.iter().filter(|one| one.effect == Some("deny"));
        let denial = if self.effect == "deny" { others.next() } else { None };
        let denial = denial.and_then(|one| one.decision_id.as_deref());
        Part {
            purpose: self.purpose,
            effect: self.effect,
            reference: self.resource_ref,
            decision: denial.or(self.decision_id.as_deref()),
            action: self.actions.first().copied(),
            status: self.status,
            problem: self.problem,
            version: self.version,
            event: event(self.effect, &self.actions, self.purpose, &changes),
        }
    }

    fn part_of<'a>(&'a self, one: &'a Also<'_>) -> Part<'a> {
        let effect = one.effect.unwrap_or(self.effect);
        Part {
            purpose: one.purpose.or(self.purpose),
            effect,
            reference: one.resource_ref,
            decision: one.decision_id.as_deref().or(self.decision_id.as_deref()),
            action: one.actions.first().copied(),
            status: one.status.unwrap_or(self.status),
            problem: one.problem,
            version: one.version,
            event: event(effect, &one.actions, one.purpose, &[]),
        }
    }

    /// Whose the request is, as secrets have it that are made by it.
    fn who(&self) -> Option<String> {
        if let Some(jwt) = &self.jwt {
            return Some(jwt.subject.to_string());
        }
        if let Some(user) = &self.user {
            return Some(format!("user:{user}"));
        }
        self.serial
            .map(|serial| format!("cert:{serial}"))
            .or_else(|| Some(self.subject?.to_owned()))
    }

    fn entry(&self, part: &Part<'_>, number: u64) -> Entry {
        let (subject, decision) = (self.who(), part.decision.or(self.request_id));
        let problem = part.problem.map(|id| Problem::ALL.iter().find(|one| one.id() == id));
        let code = problem.flatten().map(|problem| words::code(*problem));
        let text = Writer::object_sized(512, |out| {
            let mut maybe = |name: &str, text: Option<&str>| match text {
                Some(text) => out.text(name, text),
                None => out.null(name),
            };
            maybe("timestamp", Some(self.time));
            maybe("subject", subject.as_deref());
            maybe("purpose", part.purpose);
            maybe("effect", Some(part.effect));
            maybe("resource_ref", part.reference);
            maybe("decision_id", decision);
            maybe("common_name", self.common_name.as_deref());
            maybe("acting_tenant", self.acting_tenant);
            maybe("tenant_id", self.tenant);
            maybe("iam", part.action);
            maybe("dialect", self.dialect);
            maybe("code", code);
            maybe("request_id", self.request_id);
            maybe("source_ip", self.client);
            out.number("status", part.status);
            match part.version {
                Some(version) => out.number("version", version),
                None => out.null("version"),
            }
        });
        let text = String::from_utf8(text).unwrap_or_default();
        let told = Told {
            time: self.time.to_owned(),
            purpose: part.purpose.map(str::to_owned),
            effect: part.effect.to_owned(),
            subject,
            reference: part.reference.map(str::to_owned),
        };
        Entry { number, event: part.event, text, told }
    }
}

/// What has happened by a request with these actions and changes, if anything has.
fn event(
    effect: &str,
    actions: &[&str],
    purpose: Option<&str>,
    changes: &[&str],
) -> Option<&'static str> {
    match effect {
        "permit" => {}
        "deny" => return Some("secret.denied"),
        _ => return None,
    }
    let has_changed = |names: &[&str]| changes.iter().any(|change| names.contains(change));
    let did = |names: &[&str]| {
        let name = |action: &&str| action.strip_prefix(OF_SECRETS).map(str::to_owned);
        actions.iter().filter_map(name).any(|action| names.contains(&&*action))
    };
    if has_changed(&["secrets.move", "secrets.move_all"]) {
        return Some("secret.moved");
    }
    if purpose == Some("rotate") || has_changed(&["secrets.rotate"]) {
        return Some("secret.rotated");
    }
    let kinds: [(&str, &[&str]); 5] = [
        ("secret.destroyed", &["delete", "version/delete"]),
        ("secret.undeleted", &["version/activate"]),
        ("secret.deleted", &["version/deactivate", "version/deactivateCurrent"]),
        (
            "secret.updated",
            &[
                "create",
                "createEmpty",
                "version/create",
                "version/patch",
                "updateMetadata",
                "patchMetadata",
            ],
        ),
        ("secret.read", &["version/getData"]),
    ];
    kinds.into_iter().find(|(_, names)| did(names)).map(|(kind, _)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> OkmsId {
        OkmsId::from_bytes([byte; 16]).unwrap()
    }

    fn record(n: usize) -> String {
        format!(
            r#"{{"time":"2026-11-30T10:00:00.{n:03}Z","type":"request","effect":"permit","status":200,"serial":"0a","resource_type":"secret","resource":"a","resource_ref":"r{n}","actions":["okms:apikms:secret/version/getData"],"request_id":"q{n}","dialect":"okms","operation":"GetSecretV2"}}"#
        )
    }

    #[test]
    fn each_domain_has_its_own_thousand() {
        let recent = Recent::new(Timestamp::from_unix_seconds(1));
        let (last, mut news) = recent.listen(id(1));
        assert_eq!(last, 1_000_000);
        for n in 0..KEPT + 3 {
            recent.keep(id(1), &record(n % 1000));
        }
        recent.keep(id(2), &record(7));
        assert!(news.has_changed().unwrap());
        news.mark_unchanged();
        let all = recent.of(id(1), &Wanted::default());
        assert_eq!((all.len(), all[0].number), (KEPT, last + KEPT as u64 + 3));
        assert!(all.is_sorted_by_key(|entry| std::cmp::Reverse(entry.number)));
        assert_eq!(recent.behind(id(1), last + 1).unwrap_err(), Lost);
        assert_eq!(recent.behind(id(1), last + 3).unwrap().len(), KEPT);
        // An id of an earlier process is behind nothing that is known.
        assert_eq!(recent.behind(id(1), 17).unwrap().len(), KEPT);
        assert!(recent.behind(id(1), all[0].number).unwrap().is_empty());
        assert_eq!(recent.of(id(2), &Wanted::default()).len(), 1);
        assert!(recent.of(id(3), &Wanted::default()).is_empty());
        let of =
            |reference: &str| Wanted { reference: Some(reference.to_owned()), ..Wanted::default() };
        assert_eq!(recent.of(id(2), &of("r7"))[0].event, Some("secret.read"));
        assert!(recent.of(id(2), &of("r8")).is_empty());
    }

    #[test]
    fn what_is_told_of_a_record() {
        let recent = Recent::new(Timestamp::from_unix_seconds(1));
        recent.keep(id(1), &record(5));
        let told: serde_json::Value =
            serde_json::from_str(&recent.of(id(1), &Wanted::default())[0].text).unwrap();
        assert_eq!(
            told,
            serde_json::json!({
                "timestamp": "2026-11-30T10:00:00.005Z", "subject": "cert:0a", "purpose": null, "effect": "permit",
                "resource_ref": "r5", "decision_id": "q5", "common_name": null, "acting_tenant": null,
                "tenant_id": null, "iam": "okms:apikms:secret/version/getData", "dialect": "okms", "code": null,
                "request_id": "q5", "source_ip": null, "status": 200, "version": null,
            })
        );
        // What is not about secrets, or asks for this itself, is left out.
        for (from, to) in [
            (r#""resource_type":"secret""#, r#""resource_type":"policy""#),
            (r#""type":"request""#, r#""type":"intent""#),
            ("GetSecretV2", "UriAudit"),
            ("{", "["),
        ] {
            let other =
                record(6).replace("apikms:secret/version/getData", "apiovh:resource/policy/get");
            recent.keep(id(1), &other.replacen(from, to, 1));
        }
        assert_eq!(recent.of(id(1), &Wanted::default()).len(), 1);
    }

    #[test]
    fn what_has_happened_follows_from_what_was_done() {
        for (effect, actions, purpose, changes, expected) in [
            ("deny", &["version/getData"][..], None, &[][..], Some("secret.denied")),
            ("error", &["version/getData"], None, &[], None),
            ("permit", &["get", "list"], None, &[], None),
            ("permit", &["version/getData"], None, &[], Some("secret.read")),
            (
                "permit",
                &["version/create", "create"],
                None,
                &["secrets.write"],
                Some("secret.updated"),
            ),
            (
                "permit",
                &["version/create", "create"],
                None,
                &["secrets.rotate"],
                Some("secret.rotated"),
            ),
            ("permit", &["version/create"], Some("rotate"), &[], Some("secret.rotated")),
            ("permit", &["version/create"], None, &["secrets.move"], Some("secret.moved")),
            (
                "permit",
                &["version/create", "version/deactivateCurrent"],
                None,
                &[],
                Some("secret.deleted"),
            ),
            ("permit", &["version/activate"], None, &[], Some("secret.undeleted")),
            ("permit", &["delete"], None, &[], Some("secret.destroyed")),
            ("permit", &["version/delete"], None, &[], Some("secret.destroyed")),
            ("permit", &["updateMetadata"], None, &[], Some("secret.updated")),
        ] {
            let actions: Vec<_> =
                actions.iter().map(|name| format!("okms:apikms:secret/{name}")).collect();
            let actions: Vec<_> = actions.iter().map(String::as_str).collect();
            assert_eq!(event(effect, &actions, purpose, changes), expected, "{actions:?}");
        }
    }
}
