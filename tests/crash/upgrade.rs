//! Stores of earlier layouts: brought up whole, or as they were, whatever happens on the way.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::Command,
    sync::Arc,
};

use okmsd::{
    crypto::{Binding, DomainKeys, FileRootKey, WrappedDataKey},
    model::{DomainConfig, Header, OkmsId, Token},
    service::Upgrade,
    store::{
        engine::Space,
        engines::redb::{OpenError, RedbEngine, RedbOptions},
        kinds::{
            Kind, region, tenant::DomainInfo, tenant::DomainRecord, version::Version,
            wrapped::WrappedResponse,
        },
    },
};
use redb::{Database, TableDefinition};

use crate::{
    common::*,
    power::{Disk, Luck},
    storage::{Event, Fault, Image, Storage},
};

const LAYOUTS: [u64; 2] = [1, 2];

/// A store as a program of that layout left it.
fn fixture(layout: u64) -> Image {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("tests/fixtures/layout{layout}.redb.gz"));
    let unpacked = Command::new("gzip").arg("-dc").arg(packed).output().unwrap();
    assert!(unpacked.status.success());
    unpacked.stdout.into()
}

/// The root key of 32 times this byte. That of every fixture is 7.
fn root(byte: u8) -> Arc<FileRootKey> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.key");
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
    file.write_all(format!("{byte:02x}").repeat(32).as_bytes()).unwrap();
    Arc::new(FileRootKey::load(&path).unwrap())
}

fn upgrading(byte: u8) -> RedbOptions {
    RedbOptions { upgrade: Some(Arc::new(Upgrade::new(root(byte)))), ..options() }
}

fn open_with(storage: &Storage, options: &RedbOptions) -> Result<RedbEngine, OpenError> {
    RedbEngine::open_backend(storage.clone(), storage.beside(), options, blind())
}

/// The layout that the image has, if it is not today's.
fn layout(image: &Image) -> Option<u64> {
    match open_with(&Storage::new(image.clone()), &options()) {
        Ok(_) => None,
        Err(OpenError::Layout(layout)) => Some(layout),
        Err(other) => panic!("{other}"),
    }
}

/// The keys of all records, each of which opens as what it has to be; those that do not are told
/// apart.
#[derive(Debug, Default, PartialEq)]
struct Whole {
    keys: BTreeSet<(Space, Vec<u8>)>,
    closed: BTreeSet<(Space, Vec<u8>)>,
}

/// What is in the image when it is brought up, or was already.
async fn whole(image: Image) -> Whole {
    let engine = open_with(&Storage::new(image), &upgrading(7)).unwrap();
    let model = dump(&*view(&engine).await).await;
    let root = root(7);
    let (mut keyrings, mut named) = (BTreeMap::new(), BTreeSet::new());
    for ((_, key), bytes) in model.range((TENANT, vec![])..(TENANT, vec![0xff; 17])) {
        let id = OkmsId::from_bytes(key.as_slice().try_into().unwrap()).unwrap();
        let record = DomainRecord::decode(bytes).unwrap();
        let keys = DomainKeys::unwrap(&*root, id, record.keys).unwrap();
        if keys.open(&Binding::to("domain", key), record.info.as_ref()).is_ok_and(|info| {
            DomainInfo::decode(&info).unwrap();
            true
        }) {
            named.insert(key.clone());
        }
        keyrings.insert(key.clone(), keys);
    }
    assert_eq!(keyrings.len(), 2);
    let mut whole = Whole::default();
    for ((space, key), bytes) in &model {
        whole.keys.insert((*space, key.clone()));
        let Some(keys) = keyrings.get(&key[..16]) else {
            assert_eq!(*space, REGION);
            continue;
        };
        let at = Binding::to(space.name(), key);
        let plain = || keys.open(&at, bytes).ok();
        let value_opens = |data_key: &WrappedDataKey| keys.open_value(&at, data_key, bytes).is_ok();
        let opens = match (*space, key.get(16)) {
            (TENANT, _) => named.contains(key),
            (TOKEN, Some(1)) => true,
            (CONFIG, _) => plain().is_some_and(|plain| DomainConfig::decode(&plain).is_ok()),
            (HEADER, _) => plain().is_some_and(|plain| Header::decode(&plain).is_ok()),
            (VERSION, _) => plain().is_some_and(|plain| Version::decode(&plain).is_ok()),
            (VALUE, _) => {
                let version = keys
                    .open(&Binding::to("version", key), &model[&(VERSION, key.clone())])
                    .unwrap();
                Version::decode(&version)
                    .unwrap()
                    .data_key
                    .is_some_and(|data_key| value_opens(&data_key))
            }
            (TOKEN, Some(0)) => plain().is_some_and(|plain| Token::decode(&plain).is_ok()),
            (TOKEN, Some(3)) => {
                plain().is_some_and(|plain| WrappedResponse::decode(&plain).is_ok())
            }
            (TOKEN, Some(2)) => {
                let told = [&key[..16], &[3], &key[17..]].concat();
                let answer = keys
                    .open(&Binding::to("token", &told), &model[&(TOKEN, told.clone())])
                    .unwrap();
                value_opens(&WrappedResponse::decode(&answer).unwrap().data_key)
            }
            other => panic!("{other:?}"),
        };
        if !opens {
            whole.closed.insert((*space, key.clone()));
        }
    }
    whole
}

/// What there has to be of a fixture afterwards.
async fn reference(layout: u64) -> Whole {
    let reference = whole(fixture(layout)).await;
    assert!(reference.closed.is_empty() && reference.keys.len() > 30, "{reference:?}");
    let has = |space, part| {
        reference.keys.iter().any(|(other, key)| *other == space && key.get(16) == Some(&part))
    };
    assert_eq!(
        (has(TOKEN, 0), has(TOKEN, 2), has(TOKEN, 3)),
        (layout == 2, layout == 2, layout == 2)
    );
    reference
}

#[tokio::test]
async fn a_power_cut_leaves_a_store_of_one_layout_or_the_other() {
    for before in LAYOUTS {
        let reference = reference(before).await;
        // Without a cache, what was written in the very transaction comes back from the storage.
        for cache_bytes in [0, 8 << 20] {
            let storage = Storage::new(fixture(before));
            drop(open_with(&storage, &RedbOptions { cache_bytes, ..upgrading(7) }).unwrap());
            let mut disk = Disk::new(fixture(before), before);
            let (mut old, mut new) = (0, 0);
            for event in storage.log() {
                if matches!(event, Event::Sync(_)) {
                    for luck in
                        [Luck::Nothing, Luck::Everything, Luck::Some, Luck::Sectors, Luck::Sectors]
                    {
                        let image = disk.crash(luck);
                        match layout(&image) {
                            Some(found) if found == before => old += 1,
                            None => new += 1,
                            other => panic!("{other:?}"),
                        }
                        assert_eq!(whole(image).await, reference, "{luck:?}");
                    }
                }
                disk.play(&event);
            }
            assert_eq!(layout(&disk.crash(Luck::Nothing)), None);
            assert!(old > 2 && new > 0, "{old} old ones, {new} new ones");
        }
    }
}

#[tokio::test]
async fn storage_that_fails_leaves_a_store_of_one_layout_or_the_other() {
    let reference = reference(2).await;
    for fault in [Fault::Broken as fn(u64) -> Fault, Fault::Full] {
        let (mut failed, mut at) = (0, 0);
        loop {
            let storage = Storage::new(fixture(2));
            storage.fail(fault(at));
            let opened = open_with(&storage, &upgrading(7));
            let was_enough = opened.is_ok() && storage.counts().0 <= at;
            failed += usize::from(opened.is_err());
            drop(opened);
            // Whoever starts again finds it as it was, or brought up.
            assert_eq!(whole(storage.image()).await, reference, "after {at} operations");
            if was_enough {
                break;
            }
            at += 1 + at / 16;
        }
        assert!(failed > 10, "{failed}");
    }
}

#[tokio::test]
async fn another_root_key_changes_nothing() {
    let storage = Storage::new(fixture(2));
    let Err(error) = open_with(&storage, &upgrading(8)) else { panic!("it opened") };
    assert!(
        matches!(error, OpenError::Upgrade(2, _)) && error.to_string().contains("root key"),
        "{error}"
    );
    assert_eq!(layout(&storage.image()), Some(2));
    assert_eq!(whole(storage.image()).await, reference(2).await);
}

/// A store that does not even say which root key it was made with is not taken for one whose
/// tenants are all damaged.
#[tokio::test]
async fn another_root_key_is_not_taken_for_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    std::fs::write(&path, fixture(2).database).unwrap();
    {
        let database = Database::open(&path).unwrap();
        let writing = database.begin_write().unwrap();
        let table: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(REGION.name());
        writing.open_table(table).unwrap().remove(&*region::root_key()).unwrap().unwrap();
        writing.commit().unwrap();
    }
    let image = std::fs::read(&path).unwrap();
    let opened = open_with(&Storage::new(image.clone()), &upgrading(8));
    assert!(matches!(opened, Err(OpenError::Upgrade(2, _))));
    assert!(open_with(&Storage::new(image), &upgrading(7)).is_ok());
}

/// A page that is damaged costs its values, or stops the upgrade in words; the file is as it was
/// then, for the program that wrote it.
#[tokio::test]
async fn a_damaged_page_changes_nothing_else() {
    let reference = reference(2).await;
    let (mut stopped, mut opened) = (0, 0);
    let bits = fixture(2).database.len() * 8;
    for bit in (4096 * 8..bits).step_by(bits / 300) {
        let storage = Storage::new(fixture(2));
        storage.flip(bit);
        match open_with(&storage, &upgrading(7)) {
            Ok(_) => opened += 1,
            Err(error) => {
                stopped += 1;
                assert!(!error.to_string().is_empty());
                storage.flip_back();
                assert_eq!(whole(storage.image()).await, reference, "bit {bit}");
            }
        }
    }
    assert!(stopped > 3 && opened > 100, "{stopped} stopped, {opened} opened");
}

/// Damage stays where it was, and hides nothing else.
#[tokio::test]
async fn a_damaged_record_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    std::fs::write(&path, fixture(2).database).unwrap();
    let mut damaged = BTreeSet::new();
    {
        let database = Database::open(&path).unwrap();
        let writing = database.begin_write().unwrap();
        for space in [TENANT, CONFIG, HEADER, VALUE] {
            let table: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(space.name());
            let mut table = writing.open_table(table).unwrap();
            let (key, mut bytes) = {
                let (key, bytes) = redb::ReadableTable::last(&table).unwrap().unwrap();
                (key.value().to_vec(), bytes.value().to_vec())
            };
            *bytes.last_mut().unwrap() ^= 1;
            table.insert(&*key, &*bytes).unwrap();
            damaged.insert((space, key));
        }
        writing.commit().unwrap();
    }
    let found = whole(std::fs::read(&path).unwrap().into()).await;
    assert_eq!(found.closed, damaged);
    assert_eq!(found.keys, reference(2).await.keys);
}
