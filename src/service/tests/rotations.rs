//! Rotation by the server itself: what is due is rotated once, by whichever process, and nothing else is.

use super::*;
use crate::{
    auth::System,
    model::{
        AboutPatch, EndPatch, Faults, LifePatch, ROTATION_EVENTS_MAX, Recipe, RotationEvent,
        RotationOutcome, RotationPatch, RotationPolicyId, SecretPolicyPatch, SecretType,
        VersionAct,
        recipe::{FieldSaid, Setting},
    },
    service::{DueRotation, Expects, Include, Put, Rotate, RotationHistory, ValueRules, Versions},
};

const HOUR: u64 = 3_600;
const RULES: ValueRules = ValueRules { bytes_max: 4_096, fits: |_, _| Ok(()) };

/// Some processes over one store.
struct Processes {
    _folder: tempfile::TempDir,
    id: OkmsId,
    services: Vec<Arc<Service>>,
}

impl Processes {
    async fn start(number: usize) -> Self {
        let (folder, engine, service, id) = super::lives::start().await;
        let root = Arc::new(FileRootKey::load(&folder.path().join("root.key")).unwrap());
        let mut services = vec![Arc::new(service)];
        for _ in 1..number {
            let default = (BuiltIn::Admin, Quota::default(), Arc::default());
            let opened = Service::open(
                Arc::clone(&engine),
                root.clone(),
                None,
                default,
                Arc::default(),
                Box::new(|_, _| {}),
            );
            services.push(Arc::new(opened.await.unwrap()));
        }
        Self { _folder: folder, id, services }
    }

    fn one(&self) -> &Service {
        &self.services[0]
    }

    /// A policy that rotates each hour.
    async fn policy(&self, name: &str) -> RotationPolicyId {
        let patch = RotationPatch {
            name: Some(name.to_owned()),
            interval: Some("1h".parse().unwrap()),
            auto_generate: Some(true),
            ..RotationPatch::default()
        };
        self.one().rotation_policies.create(&all(self.id), patch, NOW).await.unwrap().id
    }

    async fn put(&self, at: &str, value: &str, policy: &RotationPolicyId, now: Timestamp) {
        put(self.one(), self.id, at, value, LifePatch::default(), policy, now).await;
    }

    /// What is rotated when each process looks once, at the same time.
    async fn tick(&self, now: Timestamp) -> Vec<String> {
        let mut ticks = tokio::task::JoinSet::new();
        for service in &self.services {
            let service = Arc::clone(service);
            ticks.spawn(async move { tick(&service, now).await });
        }
        let mut all: Vec<_> = ticks.join_all().await.into_iter().flatten().collect();
        all.sort();
        all
    }

    async fn current(&self, at: &str, now: Timestamp) -> (u32, Option<String>) {
        let secrets = &self.one().secrets;
        let found = secrets.get(&all(self.id), &path(at), None, Include::Value, now).await.unwrap();
        let version = found.version.unwrap();
        let text = |value: &SecretValue| String::from_utf8(value.expose().to_vec()).unwrap();
        (version.number.get(), version.value.as_ref().map(text))
    }

    async fn history(&self, policy: &RotationPolicyId) -> Vec<RotationEvent> {
        let of = RotationHistory::Everything;
        let rotations = &self.one().rotations;
        rotations.history(&all(self.id), policy, of, None, 200).await.unwrap().0
    }
}

async fn put(
    service: &Service,
    id: OkmsId,
    at: &str,
    value: &str,
    life: LifePatch,
    policy: &RotationPolicyId,
    now: Timestamp,
) {
    let life = LifePatch { rotation: Some(Some(policy.as_str().into())), ..life };
    let put = Put {
        patch: MetadataPatch { life, ..MetadataPatch::default() },
        value: SecretValue::new(value.as_bytes().to_vec()),
        expects: Expects::Anything,
        creates: true,
    };
    service.secrets.put(&all(id), &path(at), &put, now).await.unwrap();
}

fn permit(due: &DueRotation, service: &Service) -> Permit {
    let principal = Principal::of_system(due.tenant, System::Rotation);
    let actions = [Action::VersionCreate];
    principal.authorize(due.tenant, &actions, service.access.directory()).unwrap()
}

async fn tick(service: &Service, now: Timestamp) -> Vec<String> {
    let mut rotated = Vec::new();
    for due in service.rotations.due(now).await.unwrap() {
        let permit = permit(&due, service);
        if let Ok(Some(_)) = service.rotations.rotate_due(&permit, &due, RULES, now).await {
            rotated.push(due.path.to_string());
        }
    }
    rotated
}

/// Cases 112 to 114: when it is time, not a moment earlier; once, whichever of three processes does it, and once
/// after ten intervals in which nobody was there.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_is_due_is_rotated_once() {
    let all_of = Processes::start(3).await;
    let policy = all_of.policy("hourly").await;
    let paths: Vec<_> = (0..20).map(|n| format!("app/{n:02}")).collect();
    for at in &paths {
        all_of.put(at, r#"{"user":"u","password":"p"}"#, &policy, NOW).await;
    }
    let hour = NOW.plus_seconds(HOUR);
    let early = Timestamp::from_unix_nanos(hour.unix_nanos() - 1);
    assert!(all_of.tick(early).await.is_empty());
    assert_eq!(all_of.tick(hour).await, paths);
    let (number, value) = all_of.current("app/07", hour).await;
    let value = value.unwrap();
    let made = value.strip_prefix(r#"{"user":"u","password":""#).unwrap();
    assert_eq!((number, made.len()), (2, 32 + 2), "{value}");
    assert!(all_of.tick(hour).await.is_empty());
    let events = all_of.history(&policy).await;
    assert_eq!(events.len(), 20);
    assert!(events.iter().all(|event| event.old_version == 1
        && matches!(event.outcome, RotationOutcome::Rotated(number) if number.get() == 2)));

    let late = hour.plus_seconds(10 * HOUR + 5);
    assert_eq!(all_of.tick(late).await, paths);
    assert_eq!(all_of.current("app/19", late).await.0, 3);
    assert!(all_of.tick(late.plus_seconds(HOUR - 1)).await.is_empty());
    assert_eq!(all_of.tick(late.plus_seconds(HOUR)).await, paths);
}

/// The version before can be read for the policy's grace, and is gone after it; who made the new one is told.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_before_can_be_read_for_the_policys_grace() {
    let all_of = Processes::start(1).await;
    let policy = all_of.policy("hourly").await;
    let grace =
        RotationPatch { grace_period: Some("10m".parse().unwrap()), ..RotationPatch::default() };
    all_of.one().rotation_policies.update(&all(all_of.id), &policy, &grace, NOW).await.unwrap();
    all_of.put("a", r#"{"key":"k"}"#, &policy, NOW).await;
    let hour = NOW.plus_seconds(HOUR);
    assert_eq!(all_of.tick(hour).await, ["a"]);
    let first = async |now| {
        let (secrets, number) = (&all_of.one().secrets, "1".parse().unwrap());
        let read = secrets.read(&all(all_of.id), &path("a"), Some(number), |_, _| true, now).await;
        read.map(|(_, view)| view.value.unwrap().expose().to_vec())
    };
    let over = hour.plus_seconds(600);
    let before = Timestamp::from_unix_nanos(over.unix_nanos() - 1);
    assert_eq!(first(before).await.unwrap(), br#"{"key":"k"}"#);
    assert!(matches!(first(over).await, Err(Error::VersionNotFound)));
}

/// Cases 117 and 118: nothing is written of what was removed, has ended, or was put an end to, nor by a policy that
/// does not count or makes no values; and it goes on once that is over.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_to_be_kept_fresh_is_passed_over() {
    let all_of = Processes::start(1).await;
    let (id, service) = (all_of.id, all_of.one());
    let (policy, permit) = (all_of.policy("hourly").await, all(id));
    let hour = NOW.plus_seconds(HOUR);
    for at in ["removed", "dead", "live"] {
        all_of.put(at, r#"{"key":"k"}"#, &policy, NOW).await;
    }
    let ends = LifePatch { end: Some(EndPatch::After(60)), ..LifePatch::default() };
    put(service, id, "ended", "{}", ends, &policy, NOW).await;
    service.secrets.remove(&permit, &path("removed"), 10 * HOUR, NOW).await.unwrap();
    let view = "secret".parse::<MountPath>().unwrap().built_in().unwrap();
    let at = path("dead");
    let through = Through { path: &at, view: &view };
    let act = async |act, now| {
        service.secrets.act(&permit, through, Versions::Current, act, now).await.unwrap();
    };
    act(VersionAct::Delete, NOW).await;

    let change = async |patch| {
        service.rotation_policies.update(&permit, &policy, &patch, NOW).await.unwrap();
    };
    let active = |is_active| RotationPatch { is_active: Some(is_active), ..Default::default() };
    let makes = |makes| RotationPatch { auto_generate: Some(makes), ..Default::default() };
    for (off, on) in [(active(false), active(true)), (makes(false), makes(true))] {
        change(off).await;
        assert!(all_of.tick(hour).await.is_empty());
        change(on).await;
    }
    let before = service.scope.engine().revision();
    assert_eq!(all_of.tick(hour).await, ["live"]);
    assert_eq!(service.scope.engine().revision().0, before.0 + 1, "nothing else was written");

    service.secrets.restore(&permit, &path("removed"), hour).await.unwrap();
    assert_eq!(all_of.tick(hour).await, ["removed"]);
    service.rotation_policies.delete(&permit, &policy, hour).await.unwrap();
    assert!(all_of.tick(hour.plus_seconds(HOUR)).await.is_empty());
    assert!(matches!(
        service.rotations.history(&permit, &policy, RotationHistory::Everything, None, 9).await,
        Err(Error::RotationPolicyNotFound)
    ));
}

/// Case 119: what cannot be rotated keeps no other, is told, and is tried again after one, two, four minutes.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_rotated_is_told_and_tried_again() {
    let all_of = Processes::start(1).await;
    let policy = all_of.policy("hourly").await;
    all_of.put("a/unclear", r#"{"one":1,"two":2}"#, &policy, NOW).await;
    all_of.put("b/clear", r#"{"token":"t"}"#, &policy, NOW).await;
    let hour = NOW.plus_seconds(HOUR);
    let failures = async || {
        let events = all_of.history(&policy).await;
        events.iter().filter(|one| matches!(one.outcome, RotationOutcome::Failed(_))).count()
    };
    assert_eq!(all_of.tick(hour).await, ["b/clear"]);
    assert_eq!(all_of.current("a/unclear", hour).await.0, 1);
    let mut expected = 1;
    let mut at = 0;
    for pause in [60, 120, 240, 480, 960, 1920, 3600, 3600] {
        at += pause;
        for (seconds, more) in [(at - 1, 0), (at, 1)] {
            all_of.tick(hour.plus_seconds(seconds)).await;
            expected += more;
            assert_eq!(failures().await, expected, "after {seconds} s");
        }
    }
    let told = all_of.history(&policy).await;
    let told = told.iter().find(|event| event.path == path("a/unclear")).unwrap();
    let RotationOutcome::Failed(why) = &told.outcome else { panic!("{told:?}") };
    assert!(why.contains("attach a secret policy"), "{why}");
    // Once it can be, it is; and counts from there.
    let now = hour.plus_seconds(at + HOUR);
    put(all_of.one(), all_of.id, "a/unclear", r#"{"key":1}"#, LifePatch::default(), &policy, now)
        .await;
    let next = now.plus_seconds(HOUR);
    assert!(all_of.tick(next).await.contains(&"a/unclear".to_owned()));
}

/// However much of one policy is due, others have their turns; and a history keeps the newest.
#[tokio::test(flavor = "multi_thread")]
async fn rounds_are_shared_and_histories_bounded() {
    let all_of = Processes::start(1).await;
    let (many, few) = (all_of.policy("a many").await, all_of.policy("b few").await);
    for n in 0..130 {
        all_of.put(&format!("many/{n:03}"), r#"{"key":"k"}"#, &many, NOW).await;
    }
    for n in 0..3 {
        all_of.put(&format!("few/{n}"), r#"{"key":"k"}"#, &few, NOW).await;
    }
    let hour = NOW.plus_seconds(HOUR);
    let first = all_of.one().rotations.due(hour).await.unwrap();
    let paths: Vec<_> = first.iter().take(6).map(|due| due.path.as_str()).collect();
    assert_eq!(paths, ["many/000", "few/0", "many/001", "few/1", "many/002", "few/2"]);
    assert_eq!(first.len(), 133);
    assert_eq!(all_of.tick(hour).await.len(), 133);
    assert!(all_of.tick(hour).await.is_empty());
    let events = all_of.history(&many).await;
    assert_eq!(events.len(), ROTATION_EVENTS_MAX);
    assert_eq!(events.first().unwrap().path, path("many/129"));
    assert_eq!(events.last().unwrap().path, path("many/030"));
    assert_eq!(all_of.history(&few).await.len(), 3);
}

/// However much of one domain's is due and fails, what is behind it has its turn; and domains come before policies.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_hides_nothing_behind_it() {
    let all_of = Processes::start(1).await;
    let policy = all_of.policy("hourly").await;
    for n in 0..1_100 {
        all_of.put(&format!("bad/{n:04}"), r#"{"a":1,"b":2}"#, &policy, NOW).await;
    }
    all_of.put("good", r#"{"key":"k"}"#, &policy, NOW.plus_seconds(120)).await;
    let mut rotated = Vec::new();
    for round in 0..30 {
        rotated.extend(all_of.tick(NOW.plus_seconds(HOUR + 120 + 15 * round)).await);
    }
    assert_eq!(rotated, ["good"]);
}

/// A value that is made is no larger than others may be, and has what its type asks for; else nothing is stored.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_keeps_the_rules() {
    let all_of = Processes::start(1).await;
    let policy = all_of.policy("hourly").await;
    let value = format!(r#"{{"key":"k","rest":"{}"}}"#, "x".repeat(4_050));
    all_of.put("large", &value, &policy, NOW).await;
    all_of.put("small", r#"{"key":"k"}"#, &policy, NOW).await;
    assert_eq!(all_of.tick(NOW.plus_seconds(HOUR)).await, ["small"]);
    assert_eq!(all_of.current("large", NOW).await.0, 1);
    let told = all_of.history(&policy).await;
    let told = told.iter().find(|event| event.path == path("large")).unwrap();
    assert!(matches!(&told.outcome, RotationOutcome::Failed(why) if why.contains("no larger")));

    let refuses = |_: SecretType, value: &[u8]| {
        assert!(!value.is_empty());
        Err(Faults::one("new_value.cert_pem", "a text"))
    };
    let rules = ValueRules { bytes_max: 4_096, fits: refuses };
    for value in [None, Some(SecretValue::new(b"{}".to_vec()))] {
        let rotate = Rotate { value, generates: true, ..Rotate::by_policy(rules) };
        let at = path("small");
        let refused = all_of.one().rotations.rotate(&all(all_of.id), &at, &rotate, NOW).await;
        assert!(matches!(refused, Err(Error::Fields(_))), "{refused:?}");
    }
    assert_eq!(all_of.current("small", NOW).await.0, 2);
}

/// Whoever attaches a policy that is being deleted either finds none or is detached with the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_secret_keeps_a_policy_that_is_gone() {
    let all_of = Processes::start(2).await;
    for round in 0..4 {
        let policy = all_of.policy(&format!("p{round}")).await;
        let mut writers = tokio::task::JoinSet::new();
        for n in 0..40 {
            let (service, id) = (Arc::clone(&all_of.services[n % 2]), all_of.id);
            let policy = policy.clone();
            writers.spawn(async move {
                let life = LifePatch {
                    rotation: Some(Some(policy.as_str().into())),
                    ..LifePatch::default()
                };
                let put = Put {
                    patch: MetadataPatch { life, ..MetadataPatch::default() },
                    value: SecretValue::new(b"{}".to_vec()),
                    expects: Expects::Anything,
                    creates: true,
                };
                let at = path(&format!("{round}/{n}"));
                match service.secrets.put(&all(id), &at, &put, NOW).await {
                    Ok(_) | Err(Error::Fields(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            });
        }
        tokio::task::yield_now().await;
        all_of.one().rotation_policies.delete(&all(all_of.id), &policy, NOW).await.unwrap();
        writers.join_all().await;
        let again = all_of.policy(&format!("p{round}")).await;
        let known = all_of.one().rotation_policies.get(&all(all_of.id), &again).await.unwrap();
        assert_eq!(known.secrets, 0, "round {round}");
    }
}

/// A policy whose mark is missing is found again.
#[tokio::test(flavor = "multi_thread")]
async fn what_says_where_to_look_is_mended() {
    let all_of = Processes::start(1).await;
    let policy = all_of.policy("hourly").await;
    all_of.put("a", r#"{"key":"k"}"#, &policy, NOW).await;
    let service = all_of.one();
    let mark = crate::store::kinds::secret_index::automatic(all_of.id, &policy);
    let ops = vec![Op::Delete(crate::store::kinds::secret_index::SPACE, mark)];
    let batch = Batch::of(ops);
    service.scope.engine().commit(batch).await.unwrap();
    let hour = NOW.plus_seconds(HOUR);
    assert!(all_of.tick(hour).await.is_empty());
    assert_eq!(service.rotation_policies.mend_marks(all_of.id).await.unwrap(), 1);
    assert_eq!(all_of.tick(hour).await, ["a"]);
    assert_eq!(service.rotation_policies.mend_marks(all_of.id).await.unwrap(), 0);
    service.rotation_policies.check_marks().await.unwrap();
    service.secrets.check_index(std::time::Duration::ZERO).await.unwrap();
}

/// A thousand that have ended, at the front of the index, do not keep those behind them.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_passed_over_hides_nothing_behind_it() {
    let all_of = Processes::start(1).await;
    let policy = all_of.policy("hourly").await;
    for n in 0..1_100 {
        let ends = LifePatch { end: Some(EndPatch::After(60)), ..LifePatch::default() };
        put(all_of.one(), all_of.id, &format!("old/{n:04}"), "{}", ends, &policy, NOW).await;
    }
    all_of.put("new", r#"{"key":"k"}"#, &policy, NOW.plus_seconds(120)).await;
    let now = NOW.plus_seconds(HOUR + 120);
    let mut rotated = Vec::new();
    for _ in 0..3 {
        rotated.extend(all_of.tick(now).await);
    }
    assert_eq!(rotated, ["new"]);
}

/// Cases 107 and 108: what is made anew is in its place, all else as it was; where nobody knows what to make, the
/// value is to be given, and what is given fits the type.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_made_anew_in_its_place() {
    let (_folder, service, id, _) = service().await;
    let permit = all(id);
    let rotate = async |kind: SecretType, by: Option<&str>, before: &str| {
        let at = path(&format!("x/{}", Uuid::new_v4()));
        let life = LifePatch { secret_policy: Some(by.map(Into::into)), ..LifePatch::default() };
        let about = AboutPatch { secret_type: Some(kind), ..AboutPatch::default() };
        let put = Put {
            patch: MetadataPatch { about, life, ..MetadataPatch::default() },
            value: SecretValue::new(before.as_bytes().to_vec()),
            expects: Expects::Anything,
            creates: true,
        };
        service.secrets.put(&permit, &at, &put, NOW).await.unwrap();
        let rotate = Rotate { generates: true, ..Rotate::by_policy(RULES) };
        service.rotations.rotate(&permit, &at, &rotate, NOW).await?;
        let (_, view) = service.secrets.read(&permit, &at, None, |_, _| true, NOW).await.unwrap();
        Ok::<_, Error>(String::from_utf8(view.value.unwrap().expose().to_vec()).unwrap())
    };
    let made = rotate(SecretType::Kv, None, r#"{ "user": "u", "password":"p" }"#).await.unwrap();
    let rest = made.strip_prefix(r#"{ "user": "u", "password":""#).unwrap();
    assert_eq!(rest.strip_suffix("\" }").unwrap().len(), 32, "{made}");
    let pair = rotate(SecretType::SshKey, None, r#"{"private_key":"x","note":1}"#).await.unwrap();
    assert!(pair.contains(r#""note":1,"public_key":"ssh-ed25519 "#), "{pair}");

    let field = FieldSaid {
        name: "password".to_owned(),
        generator: "random".to_owned(),
        config: [("length".to_owned(), Setting::Number(5))].into(),
    };
    let patch = SecretPolicyPatch {
        name: Some("p".to_owned()),
        recipe: Some(Recipe::new(vec![field]).unwrap()),
        ..SecretPolicyPatch::default()
    };
    let (short, _) = service.secret_policies.create(&permit, patch, NOW).await.unwrap();
    let by = rotate(SecretType::Certificate, Some("sp_p"), r#"{"a":1.0}"#).await.unwrap();
    assert!(by.starts_with(r#"{"a":1.0,"password":""#) && by.len() == 28, "{by}");
    for kind in [SecretType::Certificate, SecretType::Json] {
        let unclear = rotate(kind, None, r#"{"a":1,"b":2}"#).await;
        assert!(matches!(unclear, Err(Error::Fields(_))), "{unclear:?}");
    }
    let off = SecretPolicyPatch { is_active: Some(false), ..SecretPolicyPatch::default() };
    service.secret_policies.update(&permit, &short, &off, NOW).await.unwrap();
    let off = rotate(SecretType::Kv, Some("sp_p"), "{}").await.unwrap_err().to_string();
    assert!(off.contains("new_value") && off.contains("not active"), "{off}");
}

/// What is made is made of the version that it takes the place of: a write in between is not lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_is_made_loses_no_write_in_between() {
    let all_of = Processes::start(2).await;
    let (id, permit) = (all_of.id, all(all_of.id));
    let policy = all_of.policy("hourly").await;
    all_of.put("a", r#"{"key":"k","n":0}"#, &policy, NOW).await;
    let writes = async |service: &Service| {
        for n in 1..=40 {
            let value = format!(r#"{{"key":"k","n":{n}}}"#);
            put(service, id, "a", &value, LifePatch::default(), &policy, NOW).await;
        }
    };
    let rotates = async |service: &Service| {
        let mut numbers = Vec::new();
        for _ in 0..20 {
            let rotate = Rotate { generates: true, ..Rotate::by_policy(RULES) };
            match service.rotations.rotate(&permit, &path("a"), &rotate, NOW).await {
                Ok(rotated) => numbers.push((rotated.number.get(), rotated.previous)),
                Err(Error::Contended) => {}
                Err(error) => panic!("{error}"),
            }
        }
        numbers
    };
    let ((), numbers) = tokio::join!(writes(&all_of.services[0]), rotates(&all_of.services[1]));
    assert!(!numbers.is_empty());
    for (number, previous) in numbers {
        assert_eq!(previous + 1, number);
    }
    let given = Some(SecretValue::new(b"{}".to_vec()));
    let expects = Expects::Version(1, None);
    let stale = Rotate { value: given, expects, ..Rotate::by_policy(RULES) };
    let refused = all_of.one().rotations.rotate(&permit, &path("a"), &stale, NOW).await;
    assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
}
