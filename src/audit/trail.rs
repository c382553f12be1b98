//! One request's way through the audit trail.
//!
//! Always holds: each request leaves one record, whatever becomes of it and of its client; what it
//! changes is announced before it happens, and told after. Values do not come here; of the name of a
//! part of one, what stands for it is kept alone.

use std::{
    borrow::Cow,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Instant,
};

use super::{
    members::Members,
    recorder::{Need, Receipt, Recorder},
    state::Unrecorded,
    unended::Unended,
};
use crate::{
    auth::{
        Action, Announcing, Detail, Fate, Issuer, Party, Principal, Recognized, Resource, Subject,
        Thing, Unwitnessed, Voucher, Witness, Word, jwt::Token, pdp::Purpose,
    },
    clock::Clock,
    crypto::{Reference, Salt},
    model::{AuditMark, OkmsId, Timestamp, secret_prefix_resource},
};

/// So many decisions of one request are told.
const DECISIONS_MAX: usize = 16;
/// So many things that it is about; of more the last one stands in the place of the one before.
const THINGS_MAX: usize = 16;
/// So many of the many things of one request: as many as one can name.
const ITEMS_MAX: usize = 100;
/// So many numbers of versions.
const VERSIONS_MAX: usize = 100;
/// So much of a name, in bytes: as much as a secret's path has at the most.
const NAME_MAX: usize = 1_024;

/// What records tell, and what is done where there can be none.
pub struct Terms {
    /// Whether paths are told as they are.
    pub shows_paths: bool,
    /// Whether nothing is read that cannot be recorded.
    pub requires_reads: bool,
    /// What makes what stands for a path that is not told, where that is in no domain, or in one that is
    /// not known to whoever asks.
    pub salt: Salt,
}

/// Makes the records of requests.
pub struct Auditor {
    /// Where they go.
    pub recorder: Recorder,
    terms: Terms,
    clock: Arc<dyn Clock>,
}

/// A request has no record, though it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing was changed.
    OfRead,
    /// Something was, or may have been.
    OfChange,
}

impl Auditor {
    /// One over this recorder.
    #[must_use]
    pub fn new(recorder: Recorder, terms: Terms, clock: Arc<dyn Clock>) -> Self {
        Self { recorder, terms, clock }
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A record that is about no request.
    #[must_use]
    pub fn of(&self, kind: &str) -> Members {
        Members::new().time("time", self.clock.now()).text("type", kind)
    }

    /// The same about a certificate that is refused.
    #[must_use]
    pub fn of_refused(&self, kind: &str, recognized: Option<&Recognized>) -> Members {
        let members = self.of(kind);
        match recognized {
            Some(recognized) => shown(members, recognized),
            None => members,
        }
    }

    /// A request begins, at `now`.
    #[must_use]
    pub fn begin(self: &Arc<Self>, now: Timestamp, request_id: &str) -> Arc<Trail> {
        let record = Members::new().time("time", now).text("type", "request");
        let head = record.end();
        let record = record.text("request_id", request_id);
        let request = Request { record, head, ..Request::default() };
        Arc::new(Trail {
            auditor: Arc::clone(self),
            begun: Instant::now(),
            request: Mutex::new(request),
        })
    }

    /// What is told of a path of the domain that has this salt.
    fn path<'p>(&self, salt: Option<&Salt>, path: &'p str) -> Cow<'p, str> {
        if self.terms.shows_paths {
            return Cow::Borrowed(path);
        }
        Cow::Owned(hashed(salt.unwrap_or(&self.terms.salt), path))
    }
}

/// What stands for a path where paths are not told: of a secret, what stands for it elsewhere.
#[must_use]
pub fn hashed(salt: &Salt, path: &str) -> String {
    format!("hash:{}", reference(salt, path))
}

/// What stands for the secret at a path, or for what begins so.
fn reference(salt: &Salt, path: &str) -> Reference {
    salt.reference(&secret_prefix_resource(path))
}

impl fmt::Debug for Auditor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auditor(..)")
    }
}

/// What the records of one connection all tell of whoever asks, put into words once.
#[derive(Debug, Default)]
pub struct Whom(OnceLock<Members>);

/// A request on its way.
#[derive(Debug)]
pub struct Trail {
    auditor: Arc<Auditor>,
    begun: Instant,
    request: Mutex<Request>,
}

/// What is known of a request.
#[derive(Debug, Default)]
struct Request {
    /// What its record tells by now.
    record: Members,
    /// Where in that begins what others tell of it, too.
    head: usize,
    tenant: Option<OkmsId>,
    /// That tenant's, where whoever asks may know of it.
    salt: Option<Arc<Salt>>,
    token: Option<String>,
    user: Option<String>,
    identities: Vec<String>,
    version: Option<u32>,
    versions: Vec<u32>,
    /// How many of them are left out.
    more_versions: u64,
    /// What its address names.
    named: Option<(Thing, Arc<str>)>,
    /// What else it is about, as was found out.
    about: Vec<(Thing, Arc<str>)>,
    /// The secrets of whose values a part is meant, and what stands for that.
    parts: Vec<(String, Reference)>,
    decisions: Vec<Decision>,
    /// By what the decision is known of whoever else judges it: the one that permits nothing, or else the first.
    judged: Option<String>,
    /// The secrets that it is about, of a request about many.
    items: Vec<Told>,
    /// How many of them are left out.
    more_items: u64,
    changes: Vec<Change>,
    is_over: bool,
    /// Whether its record is on the way to the devices.
    is_linked: bool,
}

/// One of the many secrets of a request.
#[derive(Debug)]
struct Told {
    path: String,
    /// What stands for the part of its value that is meant.
    part: Option<Reference>,
    actions: Vec<Action>,
    purpose: Option<Purpose>,
    judged: Option<String>,
    version: Option<u32>,
    is_denied: bool,
    has_failed: bool,
    /// How its part of the answer says that.
    failure: Option<(u16, &'static str)>,
}

impl Told {
    /// What somebody else has said of it: what permits nothing is told, or else the first.
    fn is_judged(&mut self, id: &str, is_permitted: bool) {
        if self.judged.is_none() || !(is_permitted || self.is_denied) {
            self.judged = Some(cut(id).to_owned());
        }
        self.is_denied |= !is_permitted;
    }

    fn effect(&self) -> &'static str {
        match self.failure {
            _ if self.is_denied => DENY,
            Some((status, problem)) => effect(status, Some(problem)),
            None if self.has_failed => ERROR,
            None => PERMIT,
        }
    }

    fn members(&self, auditor: &Auditor, request: &Request) -> Members {
        let Self { path, part, actions, purpose, judged, version, failure, .. } = self;
        let members = Members::new().text("type", Thing::Secret.name());
        let members = members.text("name", &request.path(auditor, path));
        let part = part.or_else(|| request.reference(path));
        let members = members.maybe(REFERENCE, part.as_deref());
        let members = members.texts("actions", actions.iter().map(|action| action.name()));
        let members = members.maybe("purpose", purpose.map(Purpose::name));
        let members = members.maybe("decision_id", judged.as_deref());
        let members = members.text("effect", self.effect());
        let members = match version {
            Some(version) => members.number("version", (*version).into()),
            None => members,
        };
        match failure {
            Some((status, problem)) => {
                members.number("status", (*status).into()).text("problem", problem)
            }
            None => members,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Decision {
    action: Action,
    purpose: Option<Purpose>,
    kind: &'static str,
    path: Option<Arc<str>>,
    is_allowed: bool,
    by: Option<Word>,
}

#[derive(Debug)]
struct Change {
    name: &'static str,
    mark: AuditMark,
    fate: Fate,
}

impl Trail {
    fn request(&self) -> MutexGuard<'_, Request> {
        self.request.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn more(&self, more: impl FnOnce(Members) -> Members) {
        self.request().more(more);
    }

    /// Where its client is.
    pub fn is_from(&self, client: Option<IpAddr>) {
        self.more(|head| match client {
            Some(client) => head.shown("client", client),
            None => head,
        });
    }

    /// What is asked for.
    pub fn asks(&self, dialect: &str, operation: &str) {
        self.more(|head| head.text("dialect", dialect).text("operation", operation));
    }

    /// What its address names, whatever becomes of it.
    pub fn names(&self, thing: Thing, name: &str) {
        let mut request = self.request();
        request.named = Some((thing, request.kept(name)));
    }

    /// Who asks.
    pub fn is_of(&self, principal: &Principal) {
        self.more(|head| who(head, principal));
    }

    /// The same of whoever asks by the certificate of a connection alone.
    pub fn is_of_peer(&self, principal: &Principal, whom: &Whom) {
        let told = whom.0.get_or_init(|| who(Members::default(), principal));
        self.more(|head| head.with(told));
    }

    /// Which JWT counts beside the certificate.
    pub fn brings(&self, token: &Token) {
        self.more(|head| jwt(head, token));
    }

    /// Whose certificate was shown, and is refused.
    pub fn is_shown(&self, recognized: &Recognized) {
        self.more(|head| shown(head, recognized));
    }

    /// In which tenant, and what makes what stands for its names, where whoever asks may know of it.
    pub fn is_in(&self, tenant: OkmsId, salt: Option<Arc<Salt>>) {
        let mut request = self.request();
        (request.tenant, request.salt) = (Some(tenant), salt);
        request.more(|head| head.shown("tenant", tenant));
    }

    /// Nothing of it may be done to anything.
    pub fn may_none_of(&self, actions: &[Action]) {
        for action in actions {
            self.decided((*action, Purpose::of(*action)), Resource::Tenant, false, None);
        }
    }

    /// The request has ended so, with that problem, if it is one. Goes on when that is recorded.
    ///
    /// # Errors
    /// `Missing` where it is not, and the answer must not be told.
    pub async fn ends(
        &self,
        status: u16,
        problem: Option<(&'static str, u32)>,
    ) -> Result<(), Missing> {
        let missing = {
            let request = self.request();
            if request.changes.iter().any(|change| change.fate != Fate::DidNotHappen) {
                Some(Missing::OfChange)
            } else {
                let is_told = problem.is_none() && self.auditor.terms.requires_reads;
                is_told.then_some(Missing::OfRead)
            }
        };
        let kept = match self.record(status, problem, missing.is_none()) {
            Ok(receipt) => receipt.kept().await,
            Err(error) => Err(error),
        };
        match (kept, missing) {
            (Err(Unrecorded), Some(missing)) => Err(missing),
            _ => Ok(()),
        }
    }

    /// This is what is answered in place of how it has ended, as that could not be recorded: it is, as soon as it can
    /// be.
    pub fn answers_instead(&self, status: u16, problem: (&'static str, u32)) {
        if !self.request().is_linked {
            return self.is_refused(status, problem);
        }
        let members = {
            let request = self.request();
            self.auditor.of("answered").with_text(request.head())
        };
        let members = members.text("effect", ERROR).number("status", status.into());
        let members = members.number("code", problem.1.into()).text("problem", problem.0);
        let _nobody_waits = self.auditor.recorder.record(&members, Need::Nothing);
    }

    /// Nothing was to be done after all: there is no record, unless a change was announced. Says whether it has
    /// ended so.
    pub fn ends_idle(&self) -> bool {
        let mut request = self.request();
        request.is_over |= request.changes.is_empty();
        request.is_over
    }

    /// It was refused so before anything was known of it. Nobody waits until that is recorded.
    pub fn is_refused(&self, status: u16, problem: (&'static str, u32)) {
        let _nobody_waits = self.record(status, Some(problem), true);
    }

    /// Nobody waits for the answer any more, or there will be none. Tells it, if nothing was told.
    pub fn is_left(&self, status: u16) {
        if !self.request().is_over {
            let _nobody_waits = self.record(status, None, true);
        }
    }

    fn record(
        &self,
        status: u16,
        problem: Option<(&'static str, u32)>,
        is_optional: bool,
    ) -> Result<Receipt, Unrecorded> {
        let mut request = self.request();
        request.is_over = true;
        let doubts = request.doubts(&self.auditor);
        let head = request.record.end();
        let (mut members, ended) = request.told(self, status, problem);
        let recorder = &self.auditor.recorder;
        // Those are linked whether anybody can rely on that or not.
        let has_changes = !ended.is_empty();
        let receipt = if ended.is_empty() {
            match recorder.record(&members, Need::Written) {
                // It may find a place later.
                Err(Unrecorded) if is_optional => recorder.record(&members, Need::Nothing),
                receipt => receipt,
            }
        } else {
            recorder.ended(&members, ended)
        };
        request.is_linked = receipt.is_ok() || has_changes;
        members.cut(head);
        request.record = members;
        drop(request);
        if !doubts.is_empty() {
            recorder.doubt(doubts);
        }
        receipt
    }
}

impl Request {
    fn more(&mut self, more: impl FnOnce(Members) -> Members) {
        self.record = more(std::mem::take(&mut self.record));
    }

    /// What all records tell of it.
    fn head(&self) -> &str {
        self.record.since(self.head)
    }

    /// The record, and the changes that it ends. What it was by then is taken away.
    fn told(
        &mut self,
        trail: &Trail,
        status: u16,
        problem: Option<(&'static str, u32)>,
    ) -> (Members, Vec<u64>) {
        let effect = effect(status, problem.map(|(id, _)| id));
        let micros = u64::try_from(trail.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut members = std::mem::take(&mut self.record);
        members = self.decided(&trail.auditor, self.learned(members), effect == DENY);
        members = members.text("effect", effect).number("status", status.into());
        if let Some((id, code)) = problem {
            members = members.number("code", code.into()).text("problem", id);
        }
        let change = |change: &Change| {
            let told = Members::new().text("change", change.name).number("intent", change.mark.seq);
            match change.fate {
                Fate::Happened => told.truth("happened", true),
                Fate::DidNotHappen => told.truth("happened", false),
                Fate::Unknown => told,
            }
        };
        let known = self.changes.iter().filter(|change| change.fate != Fate::Unknown);
        let ended = known.map(|change| change.mark.seq).collect();
        let changes = self.changes.iter().map(change);
        (members.objects("changes", changes).number("micros", micros), ended)
    }

    /// The changes of which nobody knows how they ended.
    fn doubts(&self, auditor: &Auditor) -> Vec<Unended> {
        let unknown = self.changes.iter().filter(|change| change.fate == Fate::Unknown);
        let doubt = |change: &Change| Unended {
            mark: change.mark,
            change: change.name.to_owned(),
            about: self.decided(auditor, self.known(Members::new()), false),
        };
        unknown.map(doubt).collect()
    }

    /// All that is known of it but for its end.
    fn known(&self, members: Members) -> Members {
        self.learned(members.with_text(self.head()))
    }

    /// What was found out on the way.
    fn learned(&self, members: Members) -> Members {
        let members = members.texts("identities", self.identities.iter().map(String::as_str));
        let members = members.maybe("user", self.user.as_deref());
        let members = members.maybe("token_accessor", self.token.as_deref());
        let members = match self.version {
            Some(version) => members.number("version", version.into()),
            None => members,
        };
        let versions = self.versions.iter().map(|version| u64::from(*version));
        let members = members.numbers("versions", versions);
        match self.more_versions {
            0 => members,
            more => members.number("versions_left_out", more),
        }
    }

    /// What was decided: what was denied, where that is how it ended, and else what was allowed; and
    /// what it is about.
    fn decided(&self, auditor: &Auditor, members: Members, is_denied: bool) -> Members {
        // Where it was somebody else's word that denied it, all was allowed here.
        let is_denied = is_denied && self.decisions.iter().any(|one| !one.is_allowed);
        let told = || self.decisions.iter().filter(|one| one.is_allowed != is_denied);
        // That the domain is there at all is asked on the way to what is in it.
        let main = told().find(|one| one.kind != DOMAIN).or_else(|| told().next());
        let in_tree = main.filter(|main| main.kind != DOMAIN);
        // What was decided about says more than how the address names it.
        let named = self.named.iter().filter(|(thing, _)| in_tree.is_none() || !thing.is_in_tree());
        let mut things: Vec<_> = named.collect();
        for thing in &self.about {
            if !things.contains(&thing) {
                things.push(thing);
            }
        }
        let mut things = things.into_iter();
        let reference = |kind: &str, path: &str| {
            (kind == Thing::Secret.name()).then(|| self.reference(path)).flatten()
        };
        let (kind, resource, stands) = if let Some(main) = in_tree {
            let path = main.path.as_deref();
            let told = path.map(|path| self.path(auditor, path));
            (Some(main.kind), told, path.and_then(|path| reference(main.kind, path)))
        } else if let Some(thing) = things.next() {
            let kind = thing.0.name();
            (Some(kind), Some(self.name(auditor, thing)), reference(kind, &thing.1))
        } else {
            (self.tenant.map(|_| DOMAIN).or(main.map(|main| main.kind)), None, None)
        };
        let members = members.maybe("resource_type", kind).maybe("resource", resource.as_deref());
        let members = members.maybe(REFERENCE, stands.as_deref());
        let also = |thing: &(Thing, Arc<str>)| {
            let kind = thing.0.name();
            let members =
                Members::new().text("type", kind).text("name", &self.name(auditor, thing));
            members.maybe(REFERENCE, reference(kind, &thing.1).as_deref())
        };
        let items = self.items.iter().map(|item| item.members(auditor, self));
        let members = members.objects("also", things.map(also).chain(items));
        let members = match self.more_items {
            0 => members,
            more => members.number("also_left_out", more),
        };
        let Some(main) = main else { return members };
        let of_it = told().filter(|one| (one.kind, &one.path) == (main.kind, &main.path));
        let members = members.texts("actions", of_it.map(|one| one.action.name()));
        let members = members.maybe("purpose", main.purpose.map(Purpose::name));
        let members = members.maybe("decision_id", self.judged.as_deref());
        match &main.by {
            Some(Word { policy, block, .. }) => {
                let block = block.as_deref().map(|block| self.path(auditor, block));
                members.text("policy", policy).maybe("block", block.as_deref())
            }
            None => members,
        }
    }
}

impl Request {
    /// As much of a name as is told. What is known already is kept once.
    fn kept(&self, name: &str) -> Arc<str> {
        let name = cut(name);
        let decided = self.decisions.iter().rev().filter_map(|one| one.path.as_ref());
        let mut known = self.named.iter().map(|(_, name)| name).chain(decided);
        known.find(|known| ***known == *name).map_or_else(|| Arc::from(name), Arc::clone)
    }

    /// What is told of the name of something.
    fn name<'n>(&self, auditor: &Auditor, (thing, name): &'n (Thing, Arc<str>)) -> Cow<'n, str> {
        if thing.is_path() { self.path(auditor, name) } else { Cow::Borrowed(name) }
    }

    /// What is told of a path.
    fn path<'p>(&self, auditor: &Auditor, path: &'p str) -> Cow<'p, str> {
        auditor.path(self.salt.as_deref(), path)
    }

    /// What stands for the secret at a path, or for the part of its value that is meant.
    fn reference(&self, path: &str) -> Option<Reference> {
        let part = self.parts.iter().rev().find(|(of, _)| of == path);
        part.map(|(_, part)| *part).or_else(|| Some(reference(self.salt.as_deref()?, path)))
    }

    /// What stands for a part of a value.
    fn part(&self, name: &str) -> Option<Reference> {
        self.salt.as_deref().map(|salt| salt.reference(name))
    }
}

/// How records call what stands for a secret.
const REFERENCE: &str = "resource_ref";
/// How records call a domain.
const DOMAIN: &str = Thing::Domain.name();

/// As much of a name as is told.
fn cut(name: &str) -> &str {
    let end = (0..=name.len().min(NAME_MAX)).rev().find(|at| name.is_char_boundary(*at));
    name.get(..end.unwrap_or_default()).unwrap_or_default()
}

// As records of access decisions have it.
const PERMIT: &str = "permit";
const DENY: &str = "deny";
const ERROR: &str = "error";

/// What problems say, of which the status does not, that somebody was not let in: Vault's clients are told of a
/// login that fails as of a fault, who has tried too often to wait, and strangers that there is no such domain.
const KEPT_OUT: [&str; 3] = ["DomainNotFound", "LoginFailed", "LockedOut"];

fn effect(status: u16, problem: Option<&str>) -> &'static str {
    let is_kept_out =
        problem.is_some_and(|problem| KEPT_OUT.iter().any(|end| problem.ends_with(end)));
    match status {
        401 | 403 => DENY,
        400 | 404 | 429 if is_kept_out => DENY,
        400.. => ERROR,
        _ => PERMIT,
    }
}

fn who(head: Members, principal: &Principal) -> Members {
    let head = match principal.subject() {
        Subject::Process => head.text("subject", "process"),
        Subject::System(system) => head.text("subject", system.name()),
        Subject::Visitor => head.text("subject", "visitor"),
        Subject::Bearer => head.text("subject", "jwt"),
        Subject::Certificate(peer) => {
            let identity = peer.identity();
            let names = (identity.common_name(), identity.serial());
            certificate(head, names, peer.voucher(), peer.is_forwarded())
        }
    };
    let head = of_party(head, principal.party());
    match principal.token() {
        Some(token) => jwt(head, token),
        None => head,
    }
}

/// What a JWT says of who asks.
fn jwt(head: Members, token: &Token) -> Members {
    let claims = token.claims();
    let told = Members::new()
        .text("subject", &claims.subject)
        .text("issuer", token.issuer())
        .maybe("client_id", claims.client_id.as_deref())
        .maybe("id", claims.id.as_deref());
    head.object("jwt", &told)
}

/// Whose certificate was shown that is refused.
fn shown(head: Members, recognized: &Recognized) -> Members {
    let Recognized { common_name, serial, voucher, party, is_forwarded } = recognized;
    let head = certificate(head, (common_name.as_deref(), *serial), voucher, *is_forwarded);
    match party {
        Some(party) => of_party(head, *party),
        None => head,
    }
}

fn certificate(
    head: Members,
    (common_name, serial): (Option<&str>, impl fmt::Display),
    voucher: &Voucher,
    is_forwarded: bool,
) -> Members {
    let head = if is_forwarded { head.text("subject", "forwarded") } else { head };
    let head = head.maybe("common_name", common_name).shown("serial", serial);
    match voucher.issuer {
        Issuer::Region => head.text("issuer", "region"),
        Issuer::Customer(_) => head.hex("issuer", &voucher.authority_key),
    }
}

fn of_party(head: Members, party: Party) -> Members {
    match party {
        Party::Operator => head.text("acting_tenant", "operator"),
        Party::Tenant(tenant) => head.shown("acting_tenant", tenant),
    }
}

impl Witness for Trail {
    fn learns(&self, detail: Detail<'_>) {
        let mut request = self.request();
        match detail {
            Detail::Token(accessor) => request.token = Some(accessor.to_owned()),
            Detail::User(name) => request.user = Some(name.to_owned()),
            // Whoever has waited is judged again.
            Detail::Identity(name) => {
                if !request.identities.iter().any(|known| known == name) {
                    request.identities.push(name.to_owned());
                }
            }
            Detail::Version(number) => request.version = Some(number),
            Detail::Versions(numbers) => {
                let some = numbers.iter().take(VERSIONS_MAX);
                request.versions = some.map(|number| number.get()).collect();
                request.more_versions = numbers.len().saturating_sub(VERSIONS_MAX) as u64;
            }
            Detail::Reason(text) => {
                request.more(|head| head.text("reason", cut(text)));
            }
            // Its own status says so.
            Detail::Failed(_) => {}
            Detail::Judged { id, is_permitted, path } => {
                // What was said of another secret than the one that it is about is told with that.
                let mut items = request.items.iter_mut();
                if let Some(told) = items.find(|told| path.map(cut) == Some(&told.path)) {
                    told.is_judged(id, is_permitted);
                } else if !is_permitted || request.judged.is_none() {
                    request.judged = Some(cut(id).to_owned());
                }
            }
            Detail::Part(path, name) => {
                if let Some(part) = request.part(name) {
                    request.parts.truncate(THINGS_MAX - 1);
                    request.parts.push((cut(path).to_owned(), part));
                }
            }
            Detail::About(thing, name) => {
                let thing = (thing, request.kept(name));
                if !request.about.contains(&thing) {
                    request.about.truncate(THINGS_MAX - 1);
                    request.about.push(thing);
                }
            }
        }
    }

    fn decided(
        &self,
        (action, purpose): (Action, Option<Purpose>),
        resource: Resource<'_>,
        is_allowed: bool,
        by: Option<Word>,
    ) {
        let mut request = self.request();
        if request.decisions.len() == DECISIONS_MAX {
            return;
        }
        let (kind, path) = match resource {
            Resource::Tenant => (DOMAIN, None),
            Resource::Secret(path) => (Thing::Secret.name(), Some(path.as_str())),
            Resource::Below(path) | Resource::AllBelow(path) => (Thing::Folder.name(), Some(path)),
        };
        let path = path.map(|path| request.kept(path));
        let decision = Decision { action, purpose, kind, path, is_allowed, by };
        if !request.decisions.contains(&decision) {
            request.decisions.push(decision);
        }
    }

    fn announce(&self, change: &'static str) -> Announcing<'_> {
        let about = |request: &Request, members| request.decided(&self.auditor, members, false);
        self.announced(change, about)
    }

    fn ended(&self, mark: AuditMark, fate: Fate) {
        let mut request = self.request();
        let mut changes = request.changes.iter_mut();
        if let Some(change) = changes.find(|change| change.mark.seq == mark.seq) {
            change.fate = fate;
        }
    }

    fn item(self: Arc<Self>, path: &str) -> Arc<dyn Witness> {
        let (place, own) = {
            let mut request = self.request();
            let own = Request { salt: request.salt.clone(), ..Request::default() };
            (request.is_about_many(cut(path).to_owned()), Mutex::new(own))
        };
        Arc::new(Item { trail: self, place, own })
    }
}

impl Trail {
    /// Announces a change, which is about what `about` adds to what is known of the request.
    fn announced(
        &self,
        change: &'static str,
        about: impl FnOnce(&Request, Members) -> Members,
    ) -> Announcing<'_> {
        let announced = {
            let mut request = self.request();
            let members = request.known(self.auditor.of("intent"));
            let members = about(&request, members).text("change", change);
            let announced = self.auditor.recorder.intend(members, request.tenant);
            if let Ok((mark, _)) = &announced {
                // Where it is not kept, the change will not happen, and that is told.
                let change = Change { name: change, mark: *mark, fate: Fate::DidNotHappen };
                request.changes.push(change);
            }
            announced
        };
        Box::pin(async move {
            let (mark, receipt) = announced.map_err(|Unrecorded| Unwitnessed)?;
            receipt.kept().await.map_err(|Unrecorded| Unwitnessed)?;
            Ok(mark)
        })
    }
}

impl Request {
    /// One more of the many secrets that it is about; its place among those that are told.
    fn is_about_many(&mut self, path: String) -> Option<usize> {
        if self.items.len() == ITEMS_MAX {
            self.more_items += 1;
            return None;
        }
        self.items.push(Told {
            path,
            part: None,
            actions: Vec::new(),
            purpose: None,
            judged: None,
            version: None,
            is_denied: false,
            has_failed: false,
            failure: None,
        });
        Some(self.items.len() - 1)
    }
}

/// One of the many things that a request is about: its announcements tell of it alone, and the request's record of all
/// of them.
#[derive(Debug)]
struct Item {
    trail: Arc<Trail>,
    /// Its place among those that the request's record tells.
    place: Option<usize>,
    /// What was decided of it.
    own: Mutex<Request>,
}

impl Item {
    fn own(&self) -> MutexGuard<'_, Request> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_told(&self, tell: impl FnOnce(&mut Told)) {
        let mut request = self.trail.request();
        if let Some(told) = self.place.and_then(|at| request.items.get_mut(at)) {
            tell(told);
        }
    }
}

impl Witness for Item {
    fn learns(&self, detail: Detail<'_>) {
        match detail {
            Detail::Version(number) => {
                self.own().version = Some(number);
                self.is_told(|told| told.version = Some(number));
            }
            Detail::Part(path, name) => {
                let mut own = self.own();
                let part = own.part(name);
                own.parts.extend(part.map(|part| (cut(path).to_owned(), part)));
                drop(own);
                self.is_told(|told| told.part = part);
            }
            Detail::Failed(how) => {
                self.is_told(|told| (told.has_failed, told.failure) = (true, how));
            }
            Detail::Judged { id, is_permitted, path: _ } => {
                self.own().judged = Some(cut(id).to_owned());
                self.is_told(|told| told.is_judged(id, is_permitted));
            }
            detail => self.trail.learns(detail),
        }
    }

    fn decided(
        &self,
        (action, purpose): (Action, Option<Purpose>),
        resource: Resource<'_>,
        is_allowed: bool,
        by: Option<Word>,
    ) {
        let Resource::Secret(path) = resource else {
            return self.trail.decided((action, purpose), resource, is_allowed, by);
        };
        self.is_told(|told| {
            told.is_denied |= !is_allowed;
            if !told.actions.contains(&action) {
                told.actions.push(action);
            }
            told.purpose = told.purpose.or(purpose);
        });
        // What was asked of all of them is told once.
        self.trail.decided((action, purpose), Resource::Below(""), is_allowed, by.clone());
        let kind = Thing::Secret.name();
        let path = Some(Arc::from(path.as_str()));
        let decision = Decision { action, purpose, kind, path, is_allowed, by };
        let mut own = self.own();
        if own.decisions.len() < DECISIONS_MAX && !own.decisions.contains(&decision) {
            own.decisions.push(decision);
        }
    }

    fn announce(&self, change: &'static str) -> Announcing<'_> {
        let own = self.own();
        let announced = self.trail.announced(change, |_, members| {
            let members = own.decided(&self.trail.auditor, members, false);
            match own.version {
                Some(version) => members.number("version", version.into()),
                None => members,
            }
        });
        drop(own);
        announced
    }

    fn ended(&self, mark: AuditMark, fate: Fate) {
        self.trail.ended(mark, fate);
    }

    fn item(self: Arc<Self>, _path: &str) -> Arc<dyn Witness> {
        self
    }
}
