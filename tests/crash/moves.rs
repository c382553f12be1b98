//! Moves under power cuts: whatever is cut off, a store has what it had before a move, or what it has after it, and
//! nothing between.
//!
//! The use cases run over a disk that is recorded. What they leave in the store, record by record, are the states
//! that every image may hold which a power cut could leave, by [`crate::power`]'s rules.

use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path, sync::Arc};

use okmsd::{
    auth::{Action, Permit, Principal},
    crypto::FileRootKey,
    model::{BuiltIn, MetadataPatch, MountPath, OkmsId, Quota, SecretPath, Timestamp},
    service::{Leave, Relocation, SecretValue, Service, Through, Transfer, Update, Way},
};

use crate::{
    common::*,
    power::crash_everywhere,
    storage::{Mark, Storage},
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

async fn open_service(
    storage: &Storage,
    root: &Path,
) -> (Arc<dyn okmsd::store::engine::Engine>, Service) {
    let engine: Arc<dyn okmsd::store::engine::Engine> = Arc::new(open(storage));
    let root = Arc::new(FileRootKey::load(root).unwrap());
    let terms = (BuiltIn::Admin, Quota::default(), Arc::default());
    let opened =
        Service::open(Arc::clone(&engine), root, None, terms, Arc::default(), Box::new(|_, _| ()));
    (engine, opened.await.unwrap())
}

fn permit(service: &Service, id: OkmsId) -> Permit {
    Principal::of_process().authorize(id, Action::ALL, service.access.directory()).unwrap()
}

fn value(text: &str) -> SecretValue {
    SecretValue::new(format!(r#"{{"word":"{text}"}}"#).into_bytes())
}

fn path(text: &str) -> SecretPath {
    text.parse().unwrap()
}

/// What is done, one after the other, each in one commit.
const MOVES: usize = 6;

async fn moves(service: &Service, permit: &Permit, number: usize) {
    let secrets = &service.secrets;
    let relocate = async |way: Way, moves: bool, overwrites: bool| {
        let how = Relocation { moves, overwrites, through: &[] };
        secrets.relocate(permit, &way, how, NOW).await.unwrap();
    };
    let way = |from: &str, to: &str| Way::between(from, to).unwrap();
    let config = service.mounts.config(permit).await.unwrap();
    let view = config.view(&"secret".parse::<MountPath>().unwrap()).unwrap();
    let transfer = async |from: &str, to: &str, leave: Leave<'_, okmsd::service::Error>| {
        let (from, to) = (path(from), path(to));
        let take = |source: Result<&SecretValue, _>, _: Option<&SecretValue>| {
            Ok(SecretValue::new(source.unwrap().expose().to_vec()))
        };
        let transfer = Transfer {
            from_part: None,
            to_part: None,
            from: Through { path: &from, view: &view },
            version: None,
            to: Through { path: &to, view: &view },
            cas: None,
            take: &take,
            leave,
        };
        secrets.transfer(permit, &transfer, NOW).await.unwrap();
    };
    match number {
        0 => relocate(way("app/", "moved/"), true, false).await,
        1 => relocate(way("moved/a", "one"), true, false).await,
        2 => relocate(way("moved/b", "one"), true, true).await,
        3 => transfer("one", "value", Leave::End).await,
        4 => transfer("value", "other", Leave::Without(&|_| Ok(Some(value("rest"))))).await,
        _ => relocate(way("moved/", "app/"), false, false).await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_is_whole_at_every_sync() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.key");
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&root).unwrap();
    file.write_all(FileRootKey::generate().unwrap().as_bytes()).unwrap();
    let begun = Storage::new(Vec::new());
    let (engine, service) = open_service(&begun, &root).await;
    let region = Principal::of_process().authorize_region(&[Action::DomainCreate], None).unwrap();
    let id = service.tenants.create(&region, "tenant", NOW).await.unwrap().id;
    let all = permit(&service, id);
    for name in ["app/a", "app/b", "app/deep/c"] {
        let patch = MetadataPatch::default();
        service.secrets.create(&all, &path(name), &patch, &value(name), NOW).await.unwrap();
        for _ in 0..3 {
            let update =
                Update { patch: MetadataPatch::default(), value: Some(value(name)), cas: None };
            service.secrets.update(&all, &path(name), &update, NOW).await.unwrap();
        }
    }
    drop((engine, service));
    let made = begun.image();
    let storage = Storage::new(made.clone());
    let (engine, service) = open_service(&storage, &root).await;
    let all = permit(&service, id);
    let mut models = vec![dump(&*view(&*engine).await).await];
    for number in 0..MOVES {
        storage.mark(Mark::Begun(number + 1));
        moves(&service, &all, number).await;
        storage.mark(Mark::Known(number + 1));
        models.push(dump(&*view(&*engine).await).await);
    }
    for pair in models.windows(2) {
        assert!(pair[0] != pair[1], "each changes something");
    }
    drop((engine, service));
    let crashes = crash_everywhere(&made, &storage.log(), &models, 0, usize::MAX, 3).await;
    assert!(crashes > 6 * MOVES, "only {crashes} crashes");
}
