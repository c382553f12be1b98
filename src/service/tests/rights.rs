//! What a domain has, as requests are judged by it: when changes count, and what is counted of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use super::{NOW, all, holder, service, service_over};
use crate::{
    auth::{Action, Resource, directory},
    crypto::{FileRootKey, Password},
    model::{BuiltIn, CertRule, MountPath, OkmsId, Quota, SecretPath, SettingsPatch, Tally},
    pki::CertificateAuthority,
    service::{Error, Service, UserPatch, records},
    store::{
        engine::{
            Batch, Changes, ChangesError, CommitError, Engine, Fut, Health, Op, Parts, Read,
            ReadError, Revision, Snapshot,
        },
        engines::memory::MemoryEngine,
        kinds::Kind,
    },
};

/// An engine of which the next commit is stored, and nobody knows.
#[derive(Default)]
struct Unsure(MemoryEngine, AtomicBool);

impl Engine for Unsure {
    fn read<'a>(&'a self, parts: &'a [Read<'a>]) -> Fut<'a, Result<Parts, ReadError>> {
        self.0.read(parts)
    }

    fn snapshot(&self) -> Fut<'_, Result<Box<dyn Snapshot>, ReadError>> {
        self.0.snapshot()
    }

    fn commit(&self, batch: Batch) -> Fut<'_, Result<Revision, CommitError>> {
        let committed = self.0.commit(batch);
        if self.1.swap(false, SeqCst) {
            let unknown = Err(CommitError::OutcomeUnknown("the disk is gone".into()));
            return Box::pin(std::future::ready(unknown));
        }
        committed
    }

    fn changes(&self, after: Revision) -> Fut<'_, Result<Changes, ChangesError>> {
        self.0.changes(after)
    }

    fn revision(&self) -> Revision {
        self.0.revision()
    }

    fn health(&self) -> Health {
        self.0.health()
    }
}

fn password() -> Password {
    Password::new("correct horse".to_owned()).unwrap()
}

async fn put_user(service: &Service, id: OkmsId, policies: &[&str]) -> Result<(), Error> {
    let policies = Some(policies.iter().map(ToString::to_string).collect());
    let patch = UserPatch { password: Some(password()), policies, ..UserPatch::default() };
    service.users.put(&all(id), "ann", patch, NOW).await
}

#[track_caller]
fn unknown<T: std::fmt::Debug>(outcome: &Result<T, Error>) {
    assert!(matches!(outcome, Err(Error::OutcomeUnknown(_))), "{outcome:?}");
}

/// A change of users or mounts that was stored, and of which nobody knew, did not count until
/// somebody followed the feed: here nobody does.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_stored_counts() {
    let (authority, _) = CertificateAuthority::create("region CA", NOW, 100).unwrap();
    let validity = authority.validity();
    let (engine, folder) = (Arc::new(Unsure::default()), tempfile::tempdir().unwrap());
    let (service, id, _) =
        service_over(Arc::clone(&engine) as _, folder.path(), Some(authority)).await;
    let (_, peer) = holder(&service, id, validity).await;
    let access = service.access.directory();
    put_user(&service, id, &["old"]).await.unwrap();
    engine.1.store(true, SeqCst);
    unknown(&put_user(&service, id, &["new"]).await);
    assert_eq!(access.policies_of_user(id, "ann"), ["new"]);
    engine.1.store(true, SeqCst);
    unknown(&service.users.delete(&all(id), "ann").await);
    assert_eq!(access.policies_of_user(id, "ann"), [""; 0]);

    let text = r#"path "team/metadata/*" { capabilities = ["read"] }"#;
    service.access.put_vault_policy(&all(id), "team", text, NOW).await.unwrap();
    let rule = CertRule { policies: vec!["team".to_owned()], ..CertRule::default() };
    service.access.put_rule(&all(id), "rule", &rule).await.unwrap();
    let at: SecretPath = "team/a".parse().unwrap();
    let sees = || {
        let who = directory::principal(&peer, service.revocations.revoked(), NOW).unwrap();
        let permit = who.authorize(id, &[Action::SecretGet], access);
        permit.is_ok_and(|permit| permit.allows(Action::SecretGet, Resource::Secret(&at)))
    };
    let [team, other] = ["team", "other"].map(|path| path.parse::<MountPath>().unwrap());
    let none = SettingsPatch::default();
    assert!(!sees());
    engine.1.store(true, SeqCst);
    unknown(&service.mounts.enable(&all(id), &team, "", &none).await);
    assert!(sees());
    engine.1.store(true, SeqCst);
    unknown(&service.mounts.rename(&all(id), &team, &other).await);
    assert!(!sees());
    service.mounts.rename(&all(id), &other, &team).await.unwrap();
    assert!(sees());
    engine.1.store(true, SeqCst);
    unknown(&service.mounts.disable(&all(id), &team, false, (60, NOW)).await);
    assert!(!sees());
}

/// Ten thousand users of 32 policies each were counted nowhere, and two changes at once could both
/// make the last one.
#[tokio::test(flavor = "multi_thread")]
async fn users_are_counted() {
    let (_folder, service, id, _) = service().await;
    let keys = service.scope.keys(&all(id)).await.unwrap();
    let key = Tally::key(id, ());
    let tally = async || {
        let snapshot = service.scope.engine().snapshot().await.unwrap();
        let record = snapshot.get(Tally::SPACE, &key).await.unwrap().unwrap();
        records::open::<Tally>(&keys, &key, &record.bytes).unwrap()
    };
    put_user(&service, id, &["app"]).await.unwrap();
    let one = tally().await;
    assert_eq!((one.users, one.bytes), (1, 2 * 32 + "ann".len() as u64 + "app".len() as u64));
    put_user(&service, id, &["app", "web"]).await.unwrap();
    let more = tally().await;
    assert_eq!((more.users, more.bytes), (1, one.bytes + 32 + 3));
    service.users.delete(&all(id), "ann").await.unwrap();
    assert_eq!(tally().await, Tally::default());

    // A store that is full of them takes no more, and goes on with those that it has.
    put_user(&service, id, &["app"]).await.unwrap();
    let full = Tally { users: 10_000, ..tally().await };
    let ops = vec![records::put(&keys, (), &full).unwrap()];
    service.scope.engine().commit(Batch::of(ops)).await.unwrap();
    put_user(&service, id, &["web"]).await.unwrap();
    let patch = UserPatch { password: Some(password()), ..UserPatch::default() };
    let refused = service.users.put(&all(id), "bob", patch, NOW).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");

    // Of the time before they were counted: they are counted anew.
    assert!(Tally::decode(&[1, 0xa5, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0]).is_err());
    assert!(Tally::decode(&[1, 0xa6, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 6, 0]).is_ok());
    let gone = vec![Op::Delete(Tally::SPACE, key.clone())];
    service.scope.engine().commit(Batch::of(gone)).await.unwrap();
    put_user(&service, id, &["app"]).await.unwrap();
    assert_eq!(tally().await, one);
}

/// Who has fallen behind reads everything anew, and was to know by what counts them of domains that have
/// lost the last of their policies, rules and users meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn who_fell_behind_learns_of_what_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
    let (service, id, _) = service_over(Arc::clone(&engine), folder.path(), None).await;
    put_user(&service, id, &["admin"]).await.unwrap();
    let root = Arc::new(FileRootKey::load(&folder.path().join("root.key")).unwrap());
    let default = (BuiltIn::Admin, Quota::default(), Arc::default());
    let other = Service::open(engine, root, None, default, Arc::default(), Box::new(|_, _| ()));
    let other = other.await.unwrap();
    let has = || other.access.directory().policies_of_user(id, "ann");
    assert_eq!(has(), ["admin"]);
    service.users.delete(&all(id), "ann").await.unwrap();
    // What counts them stays, and is not relied on.
    let ops = vec![Op::Delete(Tally::SPACE, Tally::key(id, ()))];
    service.scope.engine().commit(Batch::of(ops)).await.unwrap();
    assert_eq!(has(), ["admin"], "nothing follows the store here");
    other.access.read_all().await.unwrap();
    assert!(has().is_empty());
}

/// What a turn of a domain is worth counts from its answer on, after a restart, and no more once it is forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn a_weight_counts_where_turns_are_taken() {
    let (folder, engine) = (tempfile::tempdir().unwrap(), Arc::new(MemoryEngine::default()));
    let (service, id, _) = service_over(engine.clone(), folder.path(), None).await;
    let weight = |service: &Service| service.quotas.weights().of(id.as_bytes());
    assert_eq!(weight(&service), 1);
    let quota = Quota { weight: Some(3), ..Quota::default() };
    service.quotas.put(&all(id), quota).await.unwrap();
    assert_eq!(weight(&service), 3);
    let root = Arc::new(FileRootKey::load(&folder.path().join("root.key")).unwrap());
    let default = (BuiltIn::Admin, Quota::default(), Arc::default());
    let other =
        Service::open(engine, root, None, default, Arc::default(), Box::new(|_, _| ())).await;
    assert_eq!(weight(&other.unwrap()), 3);
    service.quotas.delete(&all(id)).await.unwrap();
    assert_eq!(weight(&service), 1);
}
