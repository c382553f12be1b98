//! Reading at one moment.
//!
//! Owns the way of a read: from memory if the answer is there, else on a thread that may wait for
//! the disk. Always holds: an async worker never waits for the disk here; a read of what is damaged
//! fails alone. If the database under a snapshot was given up after a failure, the snapshot goes on
//! with the next opening of it as long as that has the very same commits, and is refused
//! afterwards: it never shows another moment.

use std::{future, sync::Arc, thread, time::Duration};

use redb::StorageError;
use tokio::runtime::Handle;

use super::{
    cache::Answer,
    guard::{Panicked, guarded},
    readers::Readers,
    shared::Shared,
    view::{Under, View},
};
use crate::store::engine::{
    Cut, Entry, Found, Fut, Parts, Read, ReadError, Revision, Snapshot, Space,
};

/// How often and how long a read waits for the database to be replaced after a failure.
const ATTEMPTS: u32 = 50;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(10);
/// How many databases a read asks, one after the other.
const DATABASES: usize = 3;

/// A view, and the way to the newest one.
pub(super) struct RedbSnapshot {
    pub(super) view: Arc<View>,
    pub(super) shared: Arc<Shared>,
}

impl Snapshot for RedbSnapshot {
    fn revision(&self) -> Revision {
        self.view.revision
    }

    fn read<'a>(&'a self, parts: &'a [Read<'a>]) -> Fut<'a, Result<Parts, ReadError>> {
        read_parts(&self.shared, &self.view, parts)
    }

    fn scan<'a>(
        &'a self,
        space: Space,
        from: &'a [u8],
        to: &'a [u8],
        limit: usize,
    ) -> Fut<'a, Result<Vec<Entry>, ReadError>> {
        let (view, shared) = (Arc::clone(&self.view), Arc::clone(&self.shared));
        let (from, to) = (from.to_vec(), to.to_vec());
        Box::pin(blocking(&self.shared.readers, from.clone(), move || {
            read(&shared, &view, |view| view.scan(space, &from, &to, limit))
        }))
    }

    fn keys<'a>(
        &'a self,
        space: Space,
        from: &'a [u8],
        to: &'a [u8],
        cut: Option<Cut>,
        limit: usize,
    ) -> Fut<'a, Result<Vec<Vec<u8>>, ReadError>> {
        let (view, shared) = (Arc::clone(&self.view), Arc::clone(&self.shared));
        let (from, to) = (from.to_vec(), to.to_vec());
        Box::pin(blocking(&self.shared.readers, from.clone(), move || {
            read(&shared, &view, |view| view.keys(space, &from, &to, cut, limit))
        }))
    }
}

/// Reads all parts: from memory where it has them, the others in one go where that may wait.
pub(super) fn read_parts<'a>(
    shared: &'a Arc<Shared>,
    view: &Arc<View>,
    parts: &[Read<'_>],
) -> Fut<'a, Result<Parts, ReadError>> {
    let (mut found, mut missing): (Parts, Vec<(usize, Missing)>) =
        (Vec::with_capacity(parts.len()), Vec::new());
    for (at, part) in parts.iter().enumerate() {
        let known = match *part {
            // What is new is in memory as well, and needs no thread that may wait for the disk.
            Read::Key(space, key) => shared
                .cache
                .get(space, key, view.revision)
                .or_else(|| view.recall(space, key).map(|known| Answer(known.0.cloned()))),
            Read::Last(..) => None,
        };
        let known = known.unwrap_or_else(|| {
            missing.push((at, Missing::of(part)));
            Answer(None)
        });
        found.push(Ok(known.0.map(|record| Found { key: None, record })));
    }
    let Some((_, first)) = missing.first() else { return Box::pin(future::ready(Ok(found))) };
    let (key, view) = (first.key().to_vec(), Arc::clone(view));
    Box::pin(async move {
        let reader = Arc::clone(shared);
        let read = move || {
            Ok(missing
                .into_iter()
                .map(|(at, part)| (at, part.read(&reader, &view)))
                .collect::<Vec<_>>())
        };
        for (at, part) in blocking(&shared.readers, key, read).await? {
            match (part, found.get_mut(at)) {
                (Err(error @ ReadError::Unavailable(_)), _) => return Err(error),
                (part, Some(slot)) => *slot = part,
                (_, None) => {}
            }
        }
        Ok(found)
    })
}

/// A part that memory does not have.
enum Missing {
    Key(Space, Vec<u8>),
    Last(Space, Vec<u8>, Vec<u8>),
}

impl Missing {
    fn of(part: &Read<'_>) -> Self {
        match *part {
            Read::Key(space, key) => Self::Key(space, key.to_vec()),
            Read::Last(space, from, to) => Self::Last(space, from.to_vec(), to.to_vec()),
        }
    }

    fn key(&self) -> &[u8] {
        match self {
            Self::Key(_, key) | Self::Last(_, key, _) => key,
        }
    }

    fn read(self, shared: &Shared, view: &Arc<View>) -> Result<Option<Found>, ReadError> {
        match self {
            Self::Key(space, key) => {
                let found = read(shared, view, |view| view.get(space, &key))?;
                shared.cache.fill(space, &key, view.revision, found.as_ref());
                Ok(found.map(|record| Found { key: None, record }))
            }
            Self::Last(space, from, to) => {
                let Some((key, record)) = read(shared, view, |view| view.last(space, &from, &to))?
                else {
                    return Ok(None);
                };
                shared.cache.fill(space, &key, view.revision, Some(&record));
                Ok(Some(Found { key: Some(key), record }))
            }
        }
    }
}

/// Runs a read of `key` and its like where it may wait.
async fn blocking<T: Send + 'static>(
    readers: &Readers,
    key: Vec<u8>,
    read: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    let Ok(runtime) = Handle::try_current() else {
        // Nobody else runs on this thread.
        return read();
    };
    let place = readers.place(&key).await.map_err(|error| ReadError::Unavailable(error.into()))?;
    let read = move || {
        let _place = place;
        read()
    };
    match runtime.spawn_blocking(read).await {
        Ok(answer) => answer,
        Err(error) => Err(ReadError::Unavailable(error.into())),
    }
}

fn read<T>(
    shared: &Shared,
    view: &Arc<View>,
    read: impl Fn(&View) -> Result<T, StorageError>,
) -> Result<T, ReadError> {
    let mut view = Arc::clone(view);
    let mut asked = 0;
    loop {
        asked += 1;
        let error = match attempt(&view, &read) {
            Ok(found) => return Ok(found),
            Err(ReadFailure::Damaged(error)) => return Err(error),
            Err(ReadFailure::Broken(error)) if asked == DATABASES => return Err(error),
            Err(ReadFailure::Broken(error)) => error,
        };
        match successor(shared, &view) {
            Some(next) => view = next,
            None => return Err(error),
        }
    }
}

enum ReadFailure {
    /// This read only.
    Damaged(ReadError),
    /// The database as a whole, perhaps.
    Broken(ReadError),
}

fn attempt<T>(
    view: &View,
    read: &impl Fn(&View) -> Result<T, StorageError>,
) -> Result<T, ReadFailure> {
    // A view is only read, so a panic leaves nothing behind in it.
    match guarded(|| read(view)) {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error @ StorageError::Corrupted(_))) => {
            Err(ReadFailure::Damaged(ReadError::Corrupt(error.into())))
        }
        Ok(Err(error)) => Err(ReadFailure::Broken(ReadError::Unavailable(error.into()))),
        Err(panicked @ Panicked::Damaged(_)) => {
            Err(ReadFailure::Damaged(ReadError::Corrupt(panicked.into())))
        }
        Err(panicked @ Panicked::Code) => {
            let error = ReadError::Corrupt(panicked.into());
            // A database that still answers others has fallen over what this read alone touches.
            Err(if view.under.base.lives() {
                ReadFailure::Damaged(error)
            } else {
                ReadFailure::Broken(error)
            })
        }
    }
}

/// The same moment over another opening of the database, if there is one, or soon will be.
fn successor(shared: &Shared, view: &View) -> Option<Arc<View>> {
    let base = &view.under.base;
    for attempt in 0..ATTEMPTS {
        let newest = shared.view.load_full();
        let next = &newest.under.base;
        let frozen = view.under.frozen.clone();
        let has = |revision| next.standing.revision == revision;
        let is_in_it = frozen.as_ref().is_some_and(|frozen| has(frozen.revision));
        if !has(base.standing.revision) && !is_in_it {
            return None;
        }
        if next.generation != base.generation {
            let under = Arc::new(Under { frozen, base: Arc::clone(next) });
            let recent = view.recent.clone();
            return Some(Arc::new(View { revision: view.revision, recent, under }));
        }
        if attempt == 0 {
            shared.report_broken(base.generation);
        }
        if shared.stopped() {
            return None;
        }
        thread::sleep(ATTEMPT_PAUSE);
    }
    None
}
