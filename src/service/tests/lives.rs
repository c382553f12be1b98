//! What belongs to secrets beside their own records goes with them.

use std::{sync::atomic::AtomicBool, time::Duration};

use tokio::sync::Notify;

use super::*;
use crate::{
    auth::System,
    model::{AboutPatch, EndPatch, LifePatch, RotationPolicyId, SecretType, Tags, VersionState},
    service::{Expects, Include, Put, Search, secrets::index},
    store::{
        engine::{
            Changes, ChangesError, CommitError, Fut, Health, Parts, Read, ReadError, Revision,
            Snapshot,
        },
        engines::memory::MemoryEngine,
        kinds::{access, leaving, leaving::Leaving, secret_index},
    },
};

async fn put(service: &Service, permit: &Permit, at: &str, tag: &str, now: Timestamp) {
    let put = Put {
        patch: MetadataPatch {
            about: AboutPatch { tags: Some(Tags::new([tag]).unwrap()), ..AboutPatch::default() },
            life: LifePatch { end: Some(EndPatch::After(600)), ..LifePatch::default() },
            ..MetadataPatch::default()
        },
        value: SecretValue::new(b"{}".to_vec()),
        expects: Expects::Anything,
        creates: true,
    };
    service.secrets.put(permit, &path(at), &put, now).await.unwrap();
}

/// The keys of a space that begin with the tenant's id, or the region's.
async fn keys(engine: &dyn Engine, space: Space) -> Vec<Vec<u8>> {
    engine.snapshot().await.unwrap().keys(space, &[], &[0xff; 17], None, 1_000).await.unwrap()
}

pub(super) async fn start() -> (tempfile::TempDir, Arc<dyn Engine>, Service, OkmsId) {
    let folder = tempfile::tempdir().unwrap();
    let options = RedbOptions::new(folder.path().join("store"));
    let engine: Arc<dyn Engine> = Arc::new(RedbEngine::open(&options, Arc::new(Silent)).unwrap());
    let (service, id, _) = service_over(Arc::clone(&engine), folder.path(), None).await;
    (folder, engine, service, id)
}

/// Erases what is over, as the server does.
async fn sweep(service: &Service, now: Timestamp) -> u64 {
    let (mut last, mut erased) = (None, 0);
    loop {
        let over = service.secrets.over(last.as_ref(), now).await.unwrap();
        for secret in &over {
            let principal = Principal::of_system(secret.tenant, System::Retention);
            let (actions, access) = ([Action::SecretDelete], service.access.directory());
            let permit = principal.authorize(secret.tenant, &actions, access).unwrap();
            let is_erased = service.secrets.erase_over(&permit, secret, now).await.unwrap();
            erased += u64::from(is_erased);
        }
        last = over.into_iter().last();
        if last.is_none() {
            return erased;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_is_swept_with_all_that_belongs_to_it() {
    let (_folder, engine, service, id) = start().await;
    let permit = all(id);
    for at in ["a", "b"] {
        put(&service, &permit, at, "t", NOW).await;
        service.secrets.get(&permit, &path(at), None, Include::Value, NOW).await.unwrap();
    }
    service.accesses.flush().await.unwrap();
    assert_eq!(keys(&*engine, access::SPACE).await.len(), 2);
    assert_eq!(keys(&*engine, secret_index::SPACE).await.len(), 4);
    service.secrets.remove(&permit, &path("a"), 60, NOW).await.unwrap();
    assert_eq!(sweep(&service, NOW.plus_seconds(59)).await, 0);
    assert_eq!(keys(&*engine, header::SPACE).await.len(), 2);
    // Restored, it is not swept when its time would have come.
    service.secrets.remove(&permit, &path("b"), 60, NOW).await.unwrap();
    service.secrets.restore(&permit, &path("b"), NOW).await.unwrap();
    assert_eq!(sweep(&service, NOW.plus_seconds(60)).await, 1);
    for space in [header::SPACE, kinds::version::SPACE, kinds::value::SPACE, access::SPACE] {
        assert_eq!(keys(&*engine, space).await.len(), 1, "{space:?}");
    }
    assert_eq!(keys(&*engine, secret_index::SPACE).await.len(), 2);
}

/// Removal and restoration are as small a commit for many versions as for few (case 87).
#[tokio::test(flavor = "multi_thread")]
async fn removal_is_one_small_commit_however_many_versions_there_are() {
    let (_folder, engine, service, id) = start().await;
    let permit = all(id);
    for at in ["few", "many"] {
        let versions = if at == "few" { 2 } else { 400 };
        for _ in 0..versions {
            put(&service, &permit, at, at, NOW).await;
        }
    }
    let commits = async |at: &'static str| {
        let before = engine.revision();
        service.secrets.remove(&permit, &path(at), 60, NOW).await.unwrap();
        service.secrets.restore(&permit, &path(at), NOW).await.unwrap();
        let changes = engine.changes(before).await.unwrap();
        changes.iter().map(|change| change.touched.len()).collect::<Vec<_>>()
    };
    let few = commits("few").await;
    assert_eq!(few.len(), 2);
    assert!(few.iter().all(|touched| *touched > 0 && *touched < 10), "{few:?}");
    assert_eq!(commits("many").await, few);
}

/// Processes add to each other, and what one has not added is counted by itself.
#[tokio::test(flavor = "multi_thread")]
async fn reads_are_counted_by_several_processes() {
    let (folder, engine, one, id) = start().await;
    let root = Arc::new(FileRootKey::load(&folder.path().join("root.key")).unwrap());
    let default = (BuiltIn::Admin, Quota::default(), Arc::default());
    let other = Service::open(
        Arc::clone(&engine),
        root,
        None,
        default,
        Arc::default(),
        Box::new(|_, _| {}),
    );
    let other = other.await.unwrap();
    let permit = all(id);
    put(&one, &permit, "a", "t", NOW).await;
    let at = path("a");
    let counted = async |service: &Service| {
        let header = service.secrets.look_at(&permit, &at, false, NOW).await.unwrap();
        let found =
            service.secrets.describe(&permit, vec![(path("a"), header)], NOW).await.unwrap();
        found[0].accesses.as_ref().map_or(0, |accesses| accesses.count(NOW))
    };
    let read = async |service: &Service, times: usize| {
        for _ in 0..times {
            service.secrets.read(&permit, &at, None, |_, _| true, NOW).await.unwrap();
        }
    };
    read(&one, 10).await;
    assert_eq!((counted(&one).await, counted(&other).await), (10, 0));
    read(&other, 20).await;
    let (first, second) = tokio::join!(one.accesses.flush(), other.accesses.flush());
    first.unwrap();
    second.unwrap();
    assert_eq!((counted(&one).await, counted(&other).await), (30, 30));
    // Names alone, and metadata, are no reads.
    one.secrets.get(&permit, &at, None, Include::Names, NOW).await.unwrap();
    // Nor is what another secret of the path had.
    one.secrets.delete(&permit, &at, NOW).await.unwrap();
    read_none(&one, &permit, &at).await;
    put(&one, &permit, "a", "t", NOW.plus_seconds(1)).await;
    assert_eq!(counted(&one).await, 0);
}

async fn read_none(service: &Service, permit: &Permit, at: &SecretPath) {
    assert!(service.secrets.read(permit, at, None, |_, _| true, NOW).await.is_err());
}

/// What was in a mount is removed, also where the process ended in between, but for what somebody has
/// written since, be it on a machine whose clock is behind; and also what one has written before whose clock is ahead.
#[tokio::test(flavor = "multi_thread")]
async fn a_mount_that_is_left_goes_on_leaving_after_a_start() {
    let (_folder, engine, service, id) = start().await;
    let permit = all(id);
    let many: Vec<_> = (0..150).map(|n| format!("team/{n:03}")).collect();
    for at in &many {
        create(&service, &permit, at).await.unwrap();
    }
    create(&service, &permit, "teams").await.unwrap();
    put(&service, &permit, "team/069", "t", NOW.plus_seconds(7)).await;
    let leaving = Leaving { id, folder: "team/".to_owned(), at: NOW.plus_seconds(5), seconds: 60 };
    let ops = vec![leaving.put()];
    engine.commit(Batch::of(ops)).await.unwrap();
    put(&service, &permit, "team/070", "t", NOW.plus_seconds(6)).await;
    put(&service, &permit, "team/071", "t", NOW.plus_seconds(4)).await;
    service.secrets.finish_leaving().await.unwrap();
    assert!(keys(&*engine, leaving::SPACE).await.is_empty());
    let search = Search { with_expired: true, ..Search::default() };
    let left = service.secrets.search(&permit, &search, None, 200, NOW).await.unwrap();
    let names: Vec<_> = left.found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(names, ["team/070", "team/071", "teams"]);
    for at in &many {
        service.secrets.restore(&permit, &path(at), NOW.plus_seconds(64)).await.unwrap();
    }
    assert_eq!(sweep(&service, NOW.plus_seconds(1_000)).await, 0);
}

/// Secrets of one owner, or of a type, were looked for among all others, of which a page looks at so many and no more:
/// what was behind those was not found at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_secrets_share_is_found_without_a_look_at_the_others() {
    let (_folder, engine, service, id) = start().await;
    let permit = all(id);
    let put = async |at: &str, about: AboutPatch| {
        let patch = MetadataPatch { about, ..MetadataPatch::default() };
        let value = SecretValue::new(b"{}".to_vec());
        let put = Put { patch, value, expects: Expects::Anything, creates: true };
        service.secrets.put(&permit, &path(at), &put, NOW).await.unwrap();
    };
    for n in 0..700 {
        put(&format!("many/{n:03}"), AboutPatch::default()).await;
    }
    let owner = |owner: &str| Some(Some(owner.into()));
    let api_key = Some(SecretType::ApiKey);
    put("z/1", AboutPatch { owner: owner("team:x"), ..AboutPatch::default() }).await;
    put("z/2", AboutPatch { secret_type: api_key, ..AboutPatch::default() }).await;
    put(
        "z/3",
        AboutPatch { owner: owner("team:x"), secret_type: api_key, ..AboutPatch::default() },
    )
    .await;
    let found = async |owner: Option<&str>, secret_type: Option<SecretType>| {
        let owner = owner.map(str::to_owned);
        let search = Search { secret_type, owner, ..Search::default() };
        let page = service.secrets.search(&permit, &search, None, 9, NOW).await.unwrap();
        let found = page.found.iter().map(|(path, _)| path.as_str().to_owned());
        (found.collect::<Vec<_>>().join(" "), page.is_exact && page.next.is_none())
    };
    let cases = [
        (Some("team:x"), None, "z/1 z/3"),
        (None, api_key, "z/2 z/3"),
        (Some("team:x"), api_key, "z/3"),
        (Some("team:y"), None, ""),
        (None, Some(SecretType::Json), ""),
    ];
    for (owner, secret_type, names) in cases {
        assert_eq!(found(owner, secret_type).await, (names.to_owned(), true));
    }
    // What changes hands is found where it is, and nowhere else.
    put("z/1", AboutPatch { owner: owner("team:y"), ..AboutPatch::default() }).await;
    assert_eq!(found(Some("team:x"), None).await.0, "z/3");
    assert_eq!(found(Some("team:y"), None).await.0, "z/1");
    // A store of a time when less was found so: it is not relied on until it is there.
    let ops = vec![
        Op::DeleteRange(secret_index::SPACE, secret_index::all(id).0, secret_index::all(id).1),
        Op::Delete(kinds::region::SPACE, kinds::region::index_is_complete()),
    ];
    engine.commit(Batch::of(ops)).await.unwrap();
    assert!(!found(Some("team:y"), None).await.1, "all are looked at");
    service.secrets.complete_index().await.unwrap();
    assert_eq!(found(Some("team:y"), None).await, ("z/1".to_owned(), true));
    assert_eq!(found(None, api_key).await, ("z/2 z/3".to_owned(), true));
}

/// Whatever was lost of the index or put there is found, and mended.
#[tokio::test(flavor = "multi_thread")]
async fn the_index_is_held_against_the_headers() {
    let (_folder, engine, service, id) = start().await;
    let permit = all(id);
    for n in 0..300 {
        put(&service, &permit, &format!("{n:03}"), "t", NOW).await;
    }
    let whole = keys(&*engine, secret_index::SPACE).await;
    assert_eq!(whole.len(), 600);
    let tenant = service.scope.keys(&permit).await.unwrap();
    assert_eq!(service.secrets.mend_index(&tenant, Duration::ZERO).await.unwrap(), (0, 0));
    let strange = secret_index::Part::Rotates("rot_x").key(id, NOW, &path("007"));
    let gone = secret_index::Part::Ends.key(id, NOW, &path("nothing"));
    let ops = vec![
        Op::Delete(secret_index::SPACE, whole[5].clone()),
        Op::Delete(secret_index::SPACE, whole[500].clone()),
        index::put(strange),
        index::put(gone),
    ];
    engine.commit(Batch::of(ops)).await.unwrap();
    assert_eq!(service.secrets.mend_index(&tenant, Duration::ZERO).await.unwrap(), (2, 2));
    assert_eq!(keys(&*engine, secret_index::SPACE).await, whole);
}

/// Whatever is done, what secrets are found by is what their headers say.
#[tokio::test(flavor = "multi_thread")]
async fn the_index_is_right_after_anything() {
    use proptest::{
        strategy::{Strategy, ValueTree},
        test_runner::TestRunner,
    };

    let (_folder, _engine, service, id) = start().await;
    let (permit, tenant) = (all(id), service.scope.keys(&all(id)).await.unwrap());
    let weekly = RotationPolicyId::of_name("weekly");
    let steps = proptest::collection::vec((0..4_usize, 0..11_usize, 0..3_usize), 400);
    let steps = steps.new_tree(&mut TestRunner::default()).unwrap().current();
    let first = crate::model::VersionNumber::new(1).unwrap();
    let (mut now, mut done) = (NOW, 0);
    for (at, act, more) in steps {
        now = now.plus_seconds([1, 400, 5_000][more]);
        let at = path(["a", "a/b", "b", "c"][at]);
        let secrets = &service.secrets;
        let outcome = match act {
            0..=2 => {
                let tag = ["t", "u", "v"][more];
                let life = LifePatch {
                    end: [None, Some(EndPatch::After(600)), Some(EndPatch::Never)][more],
                    rotation: [None, Some(None), Some(Some(weekly.as_str().into()))][act].clone(),
                    ..LifePatch::default()
                };
                let tags = Some(Tags::new([tag]).unwrap());
                let about = AboutPatch { tags, ..AboutPatch::default() };
                let patch = MetadataPatch { about, life, ..MetadataPatch::default() };
                if more == 0 && act == 0 {
                    secrets.amend(&permit, &at, &patch, now).await.map(drop)
                } else {
                    let value = SecretValue::new(b"{}".to_vec());
                    let expects = Expects::Anything;
                    let put = Put { patch, value, expects, creates: true };
                    secrets.put(&permit, &at, &put, now).await.map(drop)
                }
            }
            3 => secrets.remove(&permit, &at, 4_000, now).await.map(drop),
            4 => secrets.restore(&permit, &at, now).await.map(drop),
            5 => secrets.delete(&permit, &at, now).await,
            6 => {
                let to = [VersionState::Active, VersionState::Deactivated, VersionState::Deleted];
                secrets.set_state(&permit, &at, first, to[more], now).await.map(drop)
            }
            7 => {
                secrets.set_version(&permit, &at, first, VersionState::Active, now).await.map(drop)
            }
            8 => service.rotation_policies.attach(&permit, &weekly, &at, now).await.map(drop),
            9 => service.rotation_policies.delete(&permit, &weekly, now).await.map(drop),
            _ => {
                sweep(&service, now).await;
                Ok(())
            }
        };
        done += usize::from(outcome.is_ok());
        let mended = secrets.mend_index(&tenant, Duration::ZERO).await.unwrap();
        assert_eq!(mended, (0, 0), "{act} of {at}: {outcome:?}");
    }
    assert!(done > 100, "{done}");
}

/// A store of a time when nothing was known of ends: what ends by its settings is found all the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_ends_by_settings_of_before_gets_into_the_index() {
    let (_folder, engine, service, id) = start().await;
    let permit = all(id);
    let settings =
        SettingsPatch { deactivate_after: Some("1h".parse().unwrap()), ..SettingsPatch::default() };
    let patch = MetadataPatch { settings, ..MetadataPatch::default() };
    let value = SecretValue::new(b"{}".to_vec());
    for n in 0..70 {
        let at = path(&format!("{n:02}"));
        service.secrets.create(&permit, &at, &patch, &value, NOW).await.unwrap();
        // As they were.
        let tenant = service.scope.keys(&permit).await.unwrap();
        let key = Header::key(id, &at);
        let record = engine.snapshot().await.unwrap().get(header::SPACE, &key).await.unwrap();
        let header: Header = records::open(&tenant, &key, &record.unwrap().bytes).unwrap();
        let former = Header { current_deadline: None, written_at: None, ..header };
        let ops = vec![records::put(&tenant, &at, &former).unwrap()];
        engine.commit(Batch::of(ops)).await.unwrap();
    }
    let (from, to) = secret_index::all(id);
    let ops = vec![
        Op::DeleteRange(secret_index::SPACE, from, to),
        Op::Delete(kinds::region::SPACE, kinds::region::index_is_complete()),
    ];
    engine.commit(Batch::of(ops)).await.unwrap();
    for _ in 0..2 {
        service.secrets.complete_index().await.unwrap();
        let range = (None, NOW.plus_seconds(3_600));
        let ending = service.secrets.ending(&permit, range, "", None, 200).await.unwrap();
        assert_eq!(ending.found.len(), 70);
    }
}

/// What was counted of a secret, and not added to the store yet, went to the one that came after it.
#[tokio::test(flavor = "multi_thread")]
async fn counts_are_of_the_secret_that_was_read() {
    let (_folder, _engine, service, id) = start().await;
    let permit = all(id);
    let count = async |now| {
        let header = service.secrets.look_at(&permit, &path("a"), false, now).await.unwrap();
        let told = service.secrets.describe(&permit, vec![(path("a"), header)], now).await.unwrap();
        told[0].accesses.as_ref().map(|accesses| accesses.count(now))
    };
    let later = NOW.plus_seconds(5);
    for flush in [false, true] {
        put(&service, &permit, "a", "t", NOW).await;
        for _ in 0..2 {
            service.secrets.read(&permit, &path("a"), None, |_, _| true, NOW).await.unwrap();
        }
        assert_eq!(count(NOW).await, Some(2));
        service.secrets.delete(&permit, &path("a"), NOW).await.unwrap();
        put(&service, &permit, "a", "t", later).await;
        if flush {
            service.accesses.flush().await.unwrap();
        }
        assert_eq!(count(later).await, None);
        service.secrets.read(&permit, &path("a"), None, |_, _| true, later).await.unwrap();
        assert_eq!(count(later).await, Some(1));
        service.accesses.flush().await.unwrap();
        assert_eq!(count(later).await, Some(1));
        service.secrets.delete(&permit, &path("a"), later).await.unwrap();
    }
}

/// Case 65: however often a secret is read, nothing is written for that.
#[tokio::test(flavor = "multi_thread")]
async fn reads_are_counted_without_a_write() {
    let (_folder, engine, service, id) = start().await;
    let permit = all(id);
    put(&service, &permit, "a", "t", NOW).await;
    let before = engine.revision();
    for _ in 0..10_000 {
        service.secrets.read(&permit, &path("a"), None, |_, _| true, NOW).await.unwrap();
    }
    assert_eq!(engine.revision(), before);
    service.accesses.flush().await.unwrap();
    assert_eq!(engine.revision().0, before.0 + 1);
}

/// An engine of which the next commit waits until it may go on.
#[derive(Default)]
struct Holding {
    inner: MemoryEngine,
    holds: AtomicBool,
    held: Notify,
    go: Notify,
}

impl Engine for Holding {
    fn read<'a>(&'a self, parts: &'a [Read<'a>]) -> Fut<'a, Result<Parts, ReadError>> {
        self.inner.read(parts)
    }

    fn snapshot(&self) -> Fut<'_, Result<Box<dyn Snapshot>, ReadError>> {
        self.inner.snapshot()
    }

    fn commit(&self, batch: Batch) -> Fut<'_, Result<Revision, CommitError>> {
        if !self.holds.swap(false, SeqCst) {
            return self.inner.commit(batch);
        }
        Box::pin(async move {
            self.held.notify_one();
            self.go.notified().await;
            self.inner.commit(batch).await
        })
    }

    fn changes(&self, after: Revision) -> Fut<'_, Result<Changes, ChangesError>> {
        self.inner.changes(after)
    }

    fn revision(&self) -> Revision {
        self.inner.revision()
    }

    fn health(&self) -> Health {
        self.inner.health()
    }
}

/// What was on its way into the store was neither there nor in memory, so that counts were missing for a moment.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_added_to_the_store_is_counted_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Arc::new(Holding::default());
    let over = Arc::clone(&engine) as Arc<dyn Engine>;
    let (service, id, _) = service_over(over, folder.path(), None).await;
    let (service, permit) = (Arc::new(service), all(id));
    put(&service, &permit, "a", "t", NOW).await;
    let count = async || {
        let header = service.secrets.look_at(&permit, &path("a"), false, NOW).await.unwrap();
        let told = service.secrets.describe(&permit, vec![(path("a"), header)], NOW).await.unwrap();
        told[0].accesses.as_ref().map_or(0, |accesses| accesses.count(NOW))
    };
    let read = async || {
        service.secrets.read(&permit, &path("a"), None, |_, _| true, NOW).await.unwrap();
    };
    read().await;
    engine.holds.store(true, SeqCst);
    let flushing = Arc::clone(&service);
    let flush = tokio::spawn(async move { flushing.accesses.flush().await });
    engine.held.notified().await;
    assert_eq!(count().await, 1);
    read().await;
    assert_eq!(count().await, 2);
    engine.go.notify_one();
    flush.await.unwrap().unwrap();
    assert_eq!(count().await, 2);
    service.accesses.flush().await.unwrap();
    assert_eq!(count().await, 2);
}

/// More secrets than can be counted at a time are told by a number.
#[tokio::test(flavor = "multi_thread")]
async fn reads_that_are_not_counted_are() {
    let (_folder, _engine, service, id) = start().await;
    let permit = all(id);
    for n in 0..53 {
        let at = format!("{n}");
        put(&service, &permit, &at, "t", NOW).await;
        for _ in 0..2 {
            service.secrets.read(&permit, &path(&at), None, |_, _| true, NOW).await.unwrap();
        }
    }
    assert_eq!(service.accesses.dropped(), 6);
    service.accesses.flush().await.unwrap();
    service.secrets.read(&permit, &path("52"), None, |_, _| true, NOW).await.unwrap();
    assert_eq!(service.accesses.dropped(), 6);
}

/// Cases 58 and 87: a list opens no value, and what is done to a whole secret is one commit, however many versions it has.
#[tokio::test(flavor = "multi_thread")]
async fn whole_secrets_are_as_cheap_as_their_headers() {
    let (_folder, engine, service, id) = start().await;
    let permit = all(id);
    for _ in 0..10 {
        put(&service, &permit, "a", "t", NOW).await;
    }
    for number in 1..=10 {
        let key = kinds::version::key(id, &path("a"), number);
        damage(&service, kinds::value::SPACE, key.clone()).await;
        damage(&service, kinds::version::SPACE, key).await;
    }
    let search = Search::default();
    let found = service.secrets.search(&permit, &search, None, 9, NOW).await.unwrap();
    assert_eq!((found.found.len(), found.damaged), (1, 0));
    let before = engine.revision();
    service.secrets.remove(&permit, &path("a"), 60, NOW).await.unwrap();
    assert_eq!(engine.revision().0, before.0 + 1);
    service.secrets.restore(&permit, &path("a"), NOW).await.unwrap();
    assert_eq!(engine.revision().0, before.0 + 2);
}

/// Case 79: a write at the moment of the sweep makes a new secret, whole, with nothing of the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn who_writes_beside_the_sweep_begins_anew() {
    let (_folder, engine, service, id) = start().await;
    let (permit, service) = (all(id), Arc::new(service));
    for round in 0..20 {
        let at = format!("a{round}");
        for _ in 0..3 {
            put(&service, &permit, &at, "t", NOW).await;
        }
        service.secrets.remove(&permit, &path(&at), 60, NOW).await.unwrap();
        let over = NOW.plus_seconds(60);
        let sweeping = Arc::clone(&service);
        let erasing = tokio::spawn(async move { sweep(&sweeping, over).await });
        put(&service, &permit, &at, "t", over).await;
        erasing.await.unwrap();
        let versions = service.secrets.history(&permit, &path(&at), over).await.unwrap().0.versions;
        assert_eq!(versions.len(), 1, "round {round}");
        let (_, view) =
            service.secrets.read(&permit, &path(&at), None, |_, _| true, over).await.unwrap();
        assert_eq!((view.number.get(), view.record.created_at), (1, over));
        sweep(&service, over).await;
    }
    for space in [header::SPACE, kinds::version::SPACE, kinds::value::SPACE] {
        assert_eq!(keys(&*engine, space).await.len(), 20, "{space:?}");
    }
}

/// Versions are told newest first, so many at once, and each once, also where some are gone meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn versions_are_told_newest_first_in_pages() {
    let (_folder, service, id, _) = service().await;
    let (permit, at) = (all(id), path("many"));
    let write = async || {
        let put = Put {
            patch: MetadataPatch::default(),
            value: SecretValue::new(b"{}".to_vec()),
            expects: Expects::Anything,
            creates: true,
        };
        service.secrets.put(&permit, &at, &put, NOW).await.unwrap();
    };
    for _ in 0..7 {
        write().await;
    }
    let page = async |cursor: Option<&[u8]>, limit: u32| {
        let found = service.secrets.newest_versions(&permit, &at, cursor, limit, NOW).await;
        let ((versions, next), ..) = found.unwrap();
        (versions.into_iter().map(|(number, _)| number.get()).collect::<Vec<_>>(), next)
    };
    assert_eq!(page(None, 7).await, (vec![7, 6, 5, 4, 3, 2, 1], None));
    let (first, next) = page(None, 3).await;
    assert_eq!(first, [7, 6, 5]);
    // What is written meanwhile moves nothing.
    write().await;
    let (second, next) = page(next.as_deref(), 3).await;
    assert_eq!(second, [4, 3, 2]);
    assert_eq!(page(next.as_deref(), 3).await, (vec![1], None));
    let forged = service.secrets.newest_versions(&permit, &at, Some(b"x"), 3, NOW).await;
    assert!(matches!(forged, Err(Error::Invalid(_))));
    let other = path("other");
    create(&service, &permit, "other").await.unwrap();
    let cursor = service.secrets.newest_versions(&permit, &at, None, 3, NOW).await.unwrap().0.1;
    let foreign = service.secrets.newest_versions(&permit, &other, cursor.as_deref(), 3, NOW).await;
    assert!(matches!(foreign, Err(Error::Invalid(_))), "a cursor of another secret");
}
