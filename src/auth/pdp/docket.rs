//! What there is to be judged of one request.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    future::Future,
    hash::{Hash, Hasher},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use core::net::IpAddr;

use super::Purpose;
use crate::{
    auth::{Action, Resource},
    model::{Fragment, SecretPath, Timestamp, secret_prefix_resource, secret_resource},
};

/// What a request is, as a policy decision point is told.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its id.
    pub id: Arc<str>,
    /// Where its client is, if that is known.
    pub client: Option<IpAddr>,
    /// The dialect in which it is asked.
    pub dialect: &'static str,
    /// The moment at which it counts.
    pub now: Timestamp,
    /// The same by the machine's clock, by which certificates live.
    pub machine_now: Timestamp,
}

/// What a request holds of what others may need while it waits for somebody else's word.
pub trait Rest: Send + Sync {
    /// It waits from now on, and gives that back.
    fn begin(&self);

    /// It goes on as soon as it has that again.
    fn end(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// What is asked: whether something may be done, for a purpose.
#[derive(Clone)]
pub struct Question {
    /// What for.
    pub purpose: Purpose,
    /// Under which of the names that policies use.
    pub action: Action,
    /// The secret, where it is one and not all that begins so.
    pub path: Option<SecretPath>,
    /// The one name of what it is done to.
    pub resource: String,
}

/// Whoever may do something for a purpose may do so, by whichever of its names.
impl PartialEq for Question {
    fn eq(&self, other: &Self) -> bool {
        (self.purpose, self.path.is_some(), &self.resource)
            == (other.purpose, other.path.is_some(), &other.resource)
    }
}

impl Eq for Question {}

impl Hash for Question {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.purpose, self.path.is_some(), &self.resource).hash(state);
    }
}

impl Question {
    /// The type of what it is done to.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        if self.path.is_some() { "secret" } else { "secret_prefix" }
    }
}

/// What was said to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may be done.
    pub is_permitted: bool,
    /// By what the decision is known.
    pub id: Arc<str>,
}

/// What there is to be judged of one request, and what was. Clones have it in common.
///
/// Always holds: what was asked of the permit is open until it was judged; what is open keeps the request from
/// all keys, from each commit, and from its answer.
#[derive(Clone)]
pub struct Docket {
    case: Arc<Case>,
    open: Arc<Mutex<Vec<Question>>>,
    aim: Aim,
}

struct Case {
    request: Request,
    rest: Option<Arc<dyn Rest>>,
    judged: Mutex<Judged>,
}

#[derive(Default)]
struct Judged {
    verdicts: HashMap<Question, Verdict>,
    /// Whether nobody has answered once: the rest of the request does not wait for that again.
    is_in_vain: bool,
}

/// What is said of an operation beside its actions and paths.
#[derive(Clone, Default)]
struct Aim {
    /// Of which part of a value it is.
    part: Option<Fragment>,
    /// What begins so is looked at, of all there is.
    below: Option<Box<str>>,
}

impl Docket {
    /// One of a request of which nothing was asked yet.
    #[must_use]
    pub fn new(request: Request, rest: Option<Arc<dyn Rest>>) -> Self {
        Self {
            case: Arc::new(Case { request, rest, judged: Mutex::default() }),
            open: Arc::default(),
            aim: Aim::default(),
        }
    }

    /// One for what goes on behind the request: all of it is to be judged again.
    pub(in crate::auth) fn anew(&self) -> Self {
        Self { aim: self.aim.clone(), ..Self::new(self.case.request.clone(), None) }
    }

    /// One for a part of the request that is done, or fails, by itself.
    pub(in crate::auth) fn apart(&self) -> Self {
        Self { open: Arc::default(), ..self.clone() }
    }

    pub(in crate::auth) fn of_part(&self, part: Option<&Fragment>) -> Self {
        Self { aim: Aim { part: part.cloned(), ..self.aim.clone() }, ..self.clone() }
    }

    pub(in crate::auth) fn looking_below(&self, prefix: &str) -> Self {
        Self { aim: Aim { below: Some(prefix.into()), ..self.aim.clone() }, ..self.clone() }
    }

    /// Notes what is to be judged: for what purpose something is done to secrets. What has permitted that before,
    /// where something has.
    pub(in crate::auth) fn asks(
        &self,
        asked: (Action, Purpose),
        resource: Resource<'_>,
    ) -> Option<Verdict> {
        let question = self.question(asked, resource)?;
        let permitted = self.verdict(&question).filter(|verdict| verdict.is_permitted);
        let mut open = locked(&self.open);
        if permitted.is_none() && !open.contains(&question) {
            open.push(question);
        }
        permitted
    }

    /// What there is to be judged where that is asked.
    pub(in crate::auth) fn question(
        &self,
        (action, purpose): (Action, Purpose),
        resource: Resource<'_>,
    ) -> Option<Question> {
        let (path, resource) = match resource {
            Resource::Tenant => return None,
            Resource::Secret(path) => {
                (Some(path.clone()), secret_resource(path, self.aim.part.as_ref()))
            }
            Resource::Below("") => {
                (None, secret_prefix_resource(self.aim.below.as_deref().unwrap_or_default()))
            }
            Resource::Below(prefix) | Resource::AllBelow(prefix) => {
                (None, secret_prefix_resource(prefix))
            }
        };
        Some(Question { purpose, action, path, resource })
    }

    /// What is to be judged.
    #[must_use]
    pub fn open(&self) -> Vec<Question> {
        locked(&self.open).clone()
    }

    /// Whether there is nothing to be judged.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        locked(&self.open).is_empty()
    }

    /// What was said to a question of this request.
    #[must_use]
    pub fn verdict(&self, question: &Question) -> Option<Verdict> {
        locked(&self.case.judged).verdicts.get(question).cloned()
    }

    /// This was said.
    pub fn says(&self, question: Question, verdict: Verdict) {
        locked(&self.case.judged).verdicts.insert(question, verdict);
    }

    /// These have been judged.
    pub fn close(&self, questions: &[Question]) {
        locked(&self.open).retain(|open| !questions.contains(open));
    }

    /// Nobody answers.
    pub fn gives_up(&self) {
        locked(&self.case.judged).is_in_vain = true;
    }

    /// Whether nobody has answered.
    #[must_use]
    pub fn has_given_up(&self) -> bool {
        locked(&self.case.judged).is_in_vain
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.case.request
    }

    /// Waits for `word`, and holds nothing meanwhile that others may need.
    pub async fn resting<T>(&self, word: impl Future<Output = T>) -> T {
        let Some(rest) = &self.case.rest else { return word.await };
        rest.begin();
        let said = word.await;
        rest.end().await;
        said
    }
}

/// Names of secrets are sensitive.
impl fmt::Debug for Docket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Docket").field("request", &self.case.request.id).finish_non_exhaustive()
    }
}

/// The same where nothing is judged, without a copy.
pub(in crate::auth) fn aimed<'p, P: Clone>(
    permit: &'p P,
    docket: Option<&Docket>,
    aim: impl FnOnce(&Docket) -> Docket,
    with: impl FnOnce(P, Docket) -> P,
) -> Cow<'p, P> {
    match docket {
        None => Cow::Borrowed(permit),
        Some(docket) => Cow::Owned(with(permit.clone(), aim(docket))),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is one call, so a poisoned lock loses nothing.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docket() -> Docket {
        let now = Timestamp::from_unix_seconds(0);
        let request = Request { id: "r".into(), client: None, dialect: "d", now, machine_now: now };
        Docket::new(request, None)
    }

    fn asked(action: Action) -> (Action, Purpose) {
        (action, Purpose::of(action).unwrap())
    }

    fn path(text: &str) -> SecretPath {
        text.parse().unwrap()
    }

    fn told(docket: &Docket) -> Vec<(&'static str, &'static str, String)> {
        let told =
            |question: Question| (question.purpose.name(), question.kind(), question.resource);
        docket.open().into_iter().map(told).collect()
    }

    fn verdict(is_permitted: bool) -> Verdict {
        Verdict { is_permitted, id: "v".into() }
    }

    #[test]
    fn what_is_asked_is_open_until_it_was_judged() {
        let docket = docket();
        docket.asks((Action::SecretGet, Purpose::ReadMetadata), Resource::Tenant);
        assert!(docket.is_settled(), "only secrets are asked about");
        let a = path("a/b");
        docket.asks(asked(Action::SecretGet), Resource::Secret(&a));
        docket.asks(asked(Action::VersionGetData), Resource::Secret(&a));
        // For the same purpose, by another name.
        docket.asks(asked(Action::SubkeysGet), Resource::Secret(&a));
        let id = "openbao+kv2://secret/a/b".to_owned();
        let both = [("read_metadata", "secret", id.clone()), ("read", "secret", id)];
        assert_eq!(told(&docket), both);
        let open = docket.open();
        docket.says(open[0].clone(), verdict(true));
        docket.says(open[1].clone(), verdict(false));
        assert!(!docket.is_settled(), "somebody has to look at what was said");
        docket.close(&open);
        assert!(docket.is_settled());
        // What was permitted is not asked again; what was not, is.
        docket.asks(asked(Action::SecretGet), Resource::Secret(&a));
        docket.asks(asked(Action::VersionGetData), Resource::Secret(&a));
        assert_eq!(told(&docket), both[1..]);
    }

    #[test]
    fn an_operation_says_what_its_writes_are_for_and_of_what() {
        let docket = docket();
        let a = path("a");
        let part: Fragment = "openbao+kv2://m/s#x"
            .parse::<crate::model::SecretUri>()
            .unwrap()
            .fragment()
            .unwrap()
            .clone();
        let aimed = docket.of_part(Some(&part));
        aimed.asks((Action::VersionCreate, Purpose::Rotate), Resource::Secret(&a));
        aimed.asks(asked(Action::VersionGetData), Resource::Secret(&a));
        docket.looking_below("a/").asks(asked(Action::SecretList), Resource::Below(""));
        docket.asks(asked(Action::SecretList), Resource::Below(""));
        docket.asks(asked(Action::SecretDelete), Resource::AllBelow("ü/"));
        let id = "openbao+kv2://secret/";
        assert_eq!(
            told(&docket),
            [
                ("rotate", "secret", format!("{id}a#x")),
                ("read", "secret", format!("{id}a#x")),
                ("read_metadata", "secret_prefix", format!("{id}a/")),
                ("read_metadata", "secret_prefix", id.to_owned()),
                ("destroy_versions", "secret_prefix", format!("{id}%C3%BC/")),
            ]
        );
    }

    /// A feed goes on for hours, and one of many items fails by itself.
    #[test]
    fn what_goes_on_is_judged_again() {
        let docket = docket();
        let a = path("a");
        docket.asks(asked(Action::SecretGet), Resource::Secret(&a));
        let open = docket.open();
        docket.says(open[0].clone(), verdict(true));
        docket.close(&open);
        let (apart, anew) = (docket.apart(), docket.anew());
        for docket in [&apart, &anew] {
            docket.asks(asked(Action::SecretGet), Resource::Secret(&a));
        }
        assert!(apart.is_settled());
        assert!(!anew.is_settled());
        apart.asks(asked(Action::SecretDelete), Resource::Secret(&a));
        assert!(docket.is_settled() && !apart.is_settled());
    }
}
