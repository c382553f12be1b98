//! What tenants have, as it is told, is what a look at all that there is finds.

use std::{collections::BTreeMap, sync::Arc};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::*;
use crate::{
    model::{MaxVersions, Usage, VersionAct, VersionNumber, VersionState},
    service::{Versions, records::open},
    store::kinds::{
        value,
        version::{self, Version},
    },
};

/// Secrets, some of them below a mount.
const PATHS: [&str; 4] = ["a", "b", "team/a", "team/b/c"];

#[derive(Clone, Debug)]
enum Step {
    Write(usize, usize),
    Patch(usize, usize),
    /// So many writers at once.
    Together(usize, usize),
    Update(usize, u32, Option<usize>),
    Act(usize, VersionAct, Vec<u32>),
    SetState(usize, u32, VersionState),
    Delete(usize),
    Metadata(usize),
    /// Makes the mount, or removes it with all that is in it.
    Mount(bool),
    /// Damages a header, which can then be removed.
    Damage(usize),
    Restart,
    Ask,
}

fn step() -> impl Strategy<Value = Step> {
    let path = || 0..PATHS.len();
    let act =
        prop::sample::select(vec![VersionAct::Delete, VersionAct::Undelete, VersionAct::Destroy]);
    let state = prop::sample::select(vec![
        VersionState::Active,
        VersionState::Deactivated,
        VersionState::Deleted,
    ]);
    prop_oneof![
        8 => (path(), 0..300_usize).prop_map(|(path, bytes)| Step::Write(path, bytes)),
        3 => (path(), 0..300_usize).prop_map(|(path, bytes)| Step::Patch(path, bytes)),
        2 => (path(), 1..8_usize).prop_map(|(path, writers)| Step::Together(path, writers)),
        4 => (path(), 0..5_u32, prop::option::of(0..300_usize)).prop_map(|(path, keep, bytes)| Step::Update(path, keep, bytes)),
        4 => (path(), act, prop::collection::vec(1..9_u32, 0..4)).prop_map(|(path, act, numbers)| Step::Act(path, act, numbers)),
        2 => (path(), 1..9_u32, state).prop_map(|(path, number, state)| Step::SetState(path, number, state)),
        2 => path().prop_map(Step::Delete),
        1 => path().prop_map(Step::Metadata),
        2 => any::<bool>().prop_map(Step::Mount),
        1 => path().prop_map(Step::Damage),
        1 => Just(Step::Restart),
        4 => Just(Step::Ask),
    ]
}

/// Two processes over one store.
struct Two {
    folder: tempfile::TempDir,
    id: OkmsId,
    /// Each with what follows the store for it.
    services: Vec<(Arc<Service>, tokio::task::JoinHandle<()>)>,
}

impl Two {
    async fn start() -> Self {
        let (folder, service, id, _) = service().await;
        drop(service);
        let mut two = Self { folder, id, services: Vec::new() };
        two.open().await;
        two
    }

    async fn open(&mut self) {
        let options = RedbOptions::new(self.folder.path().join("store"));
        let engine = Arc::new(RedbEngine::open(&options, Arc::new(Silent)).unwrap());
        let root = Arc::new(FileRootKey::load(&self.folder.path().join("root.key")).unwrap());
        for _ in 0..2 {
            let default = (BuiltIn::Admin, Quota::default(), Arc::default());
            let on_commit = Box::new(|_, _| {});
            let opened = Service::open(
                engine.clone(),
                root.clone(),
                None,
                default,
                Arc::default(),
                on_commit,
            );
            let service = Arc::new(opened.await.unwrap());
            let follows = Arc::clone(&service);
            let running = tokio::spawn(async move { match follows.usages.run().await {} });
            self.services.push((service, running));
        }
    }

    async fn close(&mut self) {
        for (service, running) in self.services.drain(..) {
            running.abort();
            let _aborted = running.await;
            drop(service);
        }
    }

    /// Whoever is refused has changed nothing.
    async fn take(&mut self, step: &Step, at: usize) {
        let permit = all(self.id);
        if matches!(step, Step::Restart) {
            self.close().await;
            return self.open().await;
        }
        let service = &self.services[at % 2].0;
        let now = NOW.plus_seconds(at as u64);
        let view = mount("secret").built_in().unwrap();
        let value =
            |bytes: usize| SecretValue::new(format!("\"{}\"", "x".repeat(bytes)).into_bytes());
        match step {
            Step::Write(at, bytes) => {
                write(service, &permit, PATHS[*at], &value(*bytes), now).await;
            }
            Step::Patch(at, bytes) => {
                let path = path(PATHS[*at]);
                let through = Through { path: &path, view: &view };
                let merge = |_: &SecretValue| Ok(value(*bytes));
                let _may_be = service.secrets.patch(&permit, through, merge, None, now).await;
            }
            Step::Together(at, writers) => {
                let both = [&self.services[0].0, &self.services[1].0];
                let writers: Vec<_> = (0..*writers)
                    .map(|n| {
                        let (service, permit) = (Arc::clone(both[n % 2]), all(self.id));
                        let (at, value) = (PATHS[(at + n / 2) % PATHS.len()], value(n * 10));
                        tokio::spawn(async move { write(&service, &permit, at, &value, now).await })
                    })
                    .collect();
                for writer in writers {
                    writer.await.unwrap();
                }
            }
            Step::Update(at, keep, bytes) => {
                let mut patch = MetadataPatch::default();
                patch.settings.max_versions = Some(MaxVersions::new(*keep).unwrap());
                let update = Update { patch, value: bytes.map(value), cas: None };
                let _may_be =
                    service.secrets.update(&permit, &path(PATHS[*at]), &update, now).await;
            }
            Step::Act(at, act, numbers) => {
                let path = path(PATHS[*at]);
                let through = Through { path: &path, view: &view };
                let numbers: Vec<_> =
                    numbers.iter().map(|number| VersionNumber::new(*number).unwrap()).collect();
                let which = Versions::Numbers(&numbers);
                let _may_be = service.secrets.act(&permit, through, which, *act, now).await;
            }
            Step::SetState(at, number, to) => {
                let number = VersionNumber::new(*number).unwrap();
                let _may_be =
                    service.secrets.set_state(&permit, &path(PATHS[*at]), number, *to, now).await;
            }
            Step::Delete(at) => {
                let _may_be = service.secrets.delete(&permit, &path(PATHS[*at]), NOW).await;
            }
            Step::Metadata(at) => {
                let path = path(PATHS[*at]);
                let through = Through { path: &path, view: &view };
                let write =
                    MetadataWrite { patch: MetadataPatch::default(), cas: None, creates: true };
                let _may_be = service.secrets.write_metadata(&permit, through, &write, now).await;
            }
            Step::Mount(true) => {
                let _may_be = service
                    .mounts
                    .enable(&permit, &mount("team"), "", &SettingsPatch::default())
                    .await;
            }
            Step::Mount(false) => {
                let _may_be =
                    service.mounts.disable(&permit, &mount("team"), true, (60, NOW)).await;
            }
            Step::Damage(at) => {
                let key = header::key(self.id, &path(PATHS[*at]));
                let snapshot = service.scope.engine().snapshot().await.unwrap();
                if snapshot.get(header::SPACE, &key).await.unwrap().is_some() {
                    damage(service, header::SPACE, key).await;
                    service.secrets.delete(&permit, &path(PATHS[*at]), NOW).await.unwrap();
                }
            }
            Step::Restart | Step::Ask => {}
        }
    }

    /// What both say.
    async fn told(&self) -> [Usage; 2] {
        let mut told = [Usage::default(); 2];
        for (told, (service, _)) in told.iter_mut().zip(&self.services) {
            let last = service.scope.engine().revision();
            while service.scope.counts().followed() < last {
                tokio::task::yield_now().await;
            }
            *told = service.usages.get(&all(self.id)).await.unwrap().unwrap();
        }
        told
    }

    /// The secrets, and their current versions.
    async fn current(&self) -> BTreeMap<String, u32> {
        let scope = &self.services[0].0.scope;
        let keys = scope.keys(&all(self.id)).await.unwrap();
        let snapshot = scope.engine().snapshot().await.unwrap();
        let (from, to) = (header::first(self.id), header::end(self.id));
        let headers = snapshot.scan(header::SPACE, &from, &to, usize::MAX).await.unwrap();
        let current = headers.iter().map(|(key, record)| {
            let header: Header = open(&keys, key, &record.bytes).unwrap();
            let path = header::parse(self.id, key).unwrap();
            (path.as_str().to_owned(), header.current_number())
        });
        current.collect()
    }

    /// What there is: each value is opened and measured.
    async fn found(&self) -> Usage {
        let scope = &self.services[0].0.scope;
        let keys = scope.keys(&all(self.id)).await.unwrap();
        let snapshot = scope.engine().snapshot().await.unwrap();
        let (from, to) = (header::first(self.id), header::end(self.id));
        let headers = snapshot.scan(header::SPACE, &from, &to, usize::MAX).await.unwrap();
        let mut bytes = 0;
        for (key, value) in snapshot.scan(value::SPACE, &from, &to, usize::MAX).await.unwrap() {
            let record = snapshot.get(version::SPACE, &key).await.unwrap().unwrap();
            let version: Version = open(&keys, &key, &record.bytes).unwrap();
            bytes += records::open_value(&keys, &key, &version, &value.bytes).unwrap().len() as u64;
        }
        Usage { secrets: headers.len() as u64, bytes }
    }
}

fn mount(text: &str) -> MountPath {
    text.parse().unwrap()
}

async fn write(service: &Service, permit: &Permit, at: &str, value: &SecretValue, now: Timestamp) {
    let (path, view) = (path(at), mount("secret").built_in().unwrap());
    let through = Through { path: &path, view: &view };
    service.secrets.write(permit, through, value, None, now).await.unwrap();
}

/// Whatever was done, by whichever of two processes, through restarts, damage and folders that went as a
/// whole: both tell what there is.
#[test]
fn what_is_told_is_what_there_is() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config =
        Config { cases: 24, failure_persistence: None, max_shrink_iters: 60, ..Config::default() };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(step(), 1..60), |steps| {
        runtime.block_on(async {
            let mut two = Two::start().await;
            for (at, step) in steps.iter().chain([&Step::Ask]).enumerate() {
                two.take(step, at).await;
                if matches!(step, Step::Ask) {
                    let found = two.found().await;
                    prop_assert_eq!(two.told().await, [found; 2], "after step {}", at);
                    let (service, permit) = (&two.services[0].0, all(two.id));
                    let replica = super::events::replica(service, &permit).await;
                    prop_assert_eq!(replica, two.current().await, "after step {}", at);
                }
            }
            two.close().await;
            Ok(())
        })
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// A count that goes on while others write tells of all of them, each once.
#[tokio::test(flavor = "multi_thread")]
async fn a_count_misses_nobody_who_writes_meanwhile() {
    let mut two = Two::start().await;
    for _ in 0..3 {
        let writers: Vec<_> = (0..4)
            .map(|n| {
                let (service, id) = (Arc::clone(&two.services[n % 2].0), two.id);
                tokio::spawn(async move {
                    for round in 0..60 {
                        let value = SecretValue::new(vec![b'1'; round + 1]);
                        write(&service, &all(id), &format!("{n}/{}", round % 20), &value, NOW)
                            .await;
                    }
                })
            })
            .collect();
        let asked = [
            two.services[0].0.usages.get(&all(two.id)).await,
            two.services[1].0.usages.get(&all(two.id)).await,
        ];
        assert!(asked.iter().all(|asked| asked.as_ref().unwrap().is_some()));
        for writer in writers {
            writer.await.unwrap();
        }
        assert_eq!(two.told().await, [two.found().await; 2]);
        two.close().await;
        two.open().await;
    }
    two.close().await;
}
