//! Power cuts: at every sync, with any part of what was not synced on disk, in any order, torn or
//! whole.
//!
//! One run of the engine is recorded. Then the record is played up to each sync, the images that a
//! power cut at that moment could leave are built, and each is opened: it must hold every batch
//! that was known by then, in the order of commits, and nothing that had not begun.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use okmsd::store::{
    engine::{CommitError, Engine},
    engines::redb::RedbEngine,
};

use crate::{
    chance::Chance,
    common::*,
    storage::{Event, Fault, File, Image, Mark, SECTOR, Storage, write_at},
};

/// A disk that is played a record of events.
pub struct Disk {
    durable: Image,
    pending: Vec<Event>,
    known: usize,
    begun: usize,
    chance: Chance,
}

/// How much of what was not synced has reached the disk.
#[derive(Clone, Copy, Debug)]
pub enum Luck {
    Nothing,
    Everything,
    Some,
    Sectors,
}

impl Disk {
    pub fn new(image: Image, seed: u64) -> Self {
        Self {
            durable: image,
            pending: Vec::new(),
            known: 0,
            begun: 0,
            chance: Chance(seed * 2 + 1),
        }
    }

    pub fn play(&mut self, event: &Event) {
        match event {
            Event::Sync(file) => {
                for event in self.take(*file) {
                    redo(&mut self.durable, &event);
                }
            }
            Event::LostSync(file) => {
                for event in self.take(*file) {
                    if self.chance.below(2) == 0 {
                        redo(&mut self.durable, &event);
                    }
                }
            }
            Event::Mark(Mark::Known(known)) => self.known = *known,
            Event::Mark(Mark::Begun(begun)) => self.begun = *begun,
            Event::Write(..) | Event::SetLen(..) => self.pending.push(event.clone()),
        }
    }

    /// What was done to one file, and not synced.
    fn take(&mut self, file: File) -> Vec<Event> {
        let is_of = |event: &mut Event| match event {
            Event::Write(of, ..) | Event::SetLen(of, _) => *of == file,
            _ => false,
        };
        self.pending.extract_if(.., is_of).collect()
    }

    pub fn crash(&mut self, luck: Luck) -> Image {
        let mut image = self.durable.clone();
        let mut pending = self.pending.clone();
        match luck {
            Luck::Nothing => return image,
            Luck::Everything => {}
            Luck::Some => pending.retain(|_| self.chance.below(2) == 0),
            Luck::Sectors => {
                pending =
                    pending.iter().flat_map(sectors).filter(|_| self.chance.below(3) > 0).collect();
                // Sectors of different writes to one place keep their order; the rest is in any
                // order anyway, because only the last word on a place counts.
            }
        }
        for event in &pending {
            redo(&mut image, event);
        }
        image
    }
}

fn redo(image: &mut Image, event: &Event) {
    match event {
        Event::Write(file, offset, data) => write_at(image.of(*file), *offset, data),
        Event::SetLen(file, len) => image.of(*file).resize(usize::try_from(*len).unwrap(), 0),
        _ => {}
    }
}

fn sectors(event: &Event) -> Vec<Event> {
    let Event::Write(file, offset, data) = event else {
        return vec![event.clone()];
    };
    let pieces = data.chunks(SECTOR).enumerate();
    pieces
        .map(|(nth, piece)| Event::Write(*file, offset + (nth * SECTOR) as u64, piece.to_vec()))
        .collect()
}

/// The states that the script goes through.
fn models() -> Vec<Model> {
    let mut model = Model::new();
    let mut models = vec![model.clone()];
    for batch in script() {
        apply(&mut model, &batch);
        models.push(model.clone());
    }
    models
}

/// An image of a new store. Its making is no part of the record: until it is done, the file has
/// another name.
fn made() -> Image {
    let storage = Storage::new(Vec::new());
    drop(open(&storage));
    storage.image()
}

/// Crashes at the syncs numbered `from..to` of the record, and once at its end.
pub async fn crash_everywhere(
    made: &Image,
    log: &[Event],
    models: &[Model],
    from: usize,
    to: usize,
    seed: u64,
) -> usize {
    let mut disk = Disk::new(made.clone(), seed);
    let mut syncs = 0;
    let mut crashes = 0;
    for event in log {
        if matches!(event, Event::Sync(_) | Event::LostSync(_)) {
            syncs += 1;
            if (from..to).contains(&syncs) {
                for luck in [
                    Luck::Nothing,
                    Luck::Everything,
                    Luck::Some,
                    Luck::Sectors,
                    Luck::Some,
                    Luck::Sectors,
                ] {
                    check(&mut disk, luck, models, syncs).await;
                    crashes += 1;
                }
            }
        }
        disk.play(event);
    }
    check(&mut disk, Luck::Nothing, models, syncs).await;
    crashes + 1
}

async fn check(disk: &mut Disk, luck: Luck, models: &[Model], syncs: usize) {
    let found = dump_image(disk.crash(luck)).await;
    let allowed = &models[disk.known..=disk.begun];
    assert!(
        allowed.contains(&found),
        "sync {syncs}, {luck:?}: the image holds {:?}, and {} to {} batches were due",
        models.iter().position(|model| *model == found),
        disk.known,
        disk.begun
    );
}

/// Reads one by one say the same as a scan, also about what is absent.
async fn gets_agree(engine: &dyn Engine, models: &[Model], expected: &Model) {
    for place in models.iter().flat_map(Model::keys).collect::<BTreeSet<_>>() {
        let found = get(engine, place.0, &place.1).await.map(|record| record.bytes.to_vec());
        assert_eq!(found.as_ref(), expected.get(place), "{place:?}");
    }
}

#[tokio::test]
async fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let models = models();
    // How many batches are on their way at once.
    for width in [1, 4] {
        let made = made();
        let storage = Storage::new(made.clone());
        let engine = open(&storage);
        let mut done = 0;
        for group in script().chunks(width) {
            storage.mark(Mark::Begun(done + group.len()));
            let answers: Vec<_> = group.iter().map(|batch| engine.commit(batch.clone())).collect();
            for answer in answers {
                answer.await.unwrap();
                done += 1;
                storage.mark(Mark::Known(done));
            }
        }
        drop(engine);
        let crashes =
            crash_everywhere(&made, &storage.log(), &models, 0, usize::MAX, width as u64).await;
        assert!(crashes > 60, "only {crashes} crashes");
    }
}

/// The operating system may forget what a failed sync should have saved, and still show it to
/// readers. Nothing that the engine shows after such a failure may be lost by a power cut.
#[tokio::test]
async fn a_power_cut_after_a_failed_sync_loses_nothing_that_was_shown() {
    let models = models();
    let (mut unknown, mut looked, mut beneath) = (0, 0, 0);
    let mut options = options();
    options.pause_min = Duration::from_millis(100);
    options.pause_max = options.pause_min;
    for nth in 1..40 {
        let made = made();
        let storage = Storage::new(made.clone());
        let engine =
            RedbEngine::open_backend(storage.clone(), storage.beside(), &options, blind()).unwrap();
        let before = storage.log().iter().filter(|event| matches!(event, Event::Sync(_))).count();
        storage.fail(Fault::OneSync(nth));
        let mut failed_at = None;
        let script = script();
        let mut done = 0;
        while done < script.len() {
            storage.mark(Mark::Begun(done + 1));
            // Now the record cache knows the state before the batch.
            gets_agree(&engine, &models, &models[done]).await;
            match engine.commit(script[done].clone()).await {
                Ok(_) => done += 1,
                Err(CommitError::OutcomeUnknown(_)) => {
                    unknown += 1;
                    failed_at = Some(done);
                    let (begun, found) = (Instant::now(), try_dump(&*view(&engine).await).await);
                    // Afterwards the engine opens the database anew, and knows.
                    if begun.elapsed() < options.pause_min / 2 {
                        looked += 1;
                        assert_eq!(found.unwrap(), models[done], "what is not known is not shown");
                    }
                    ready(&engine).await;
                    // What the engine shows now decides.
                    let shown = dump(&*view(&engine).await).await;
                    gets_agree(&engine, &models, &shown).await;
                    done +=
                        models[done..=done + 1].iter().position(|model| *model == shown).unwrap();
                }
                Err(other) => panic!("{other}"),
            }
            storage.mark(Mark::Known(done));
            if failed_at.is_some_and(|at| done > at + 1) {
                break;
            }
        }
        if storage.counts().1 < nth {
            break;
        }
        beneath += usize::from(failed_at.is_none());
        let from = before + usize::try_from(nth).unwrap();
        crash_everywhere(&made, &storage.log(), &models, from, from + 6, nth).await;
        drop(engine);
    }
    assert!(
        unknown > 10 && looked > 0 && beneath > 0,
        "{unknown} syncs of the log failed and {beneath} of the database; {looked} looked at at once"
    );
}
