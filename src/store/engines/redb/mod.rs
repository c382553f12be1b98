//! The engine on one machine: redb, one writer, many readers.
//!
//! Owns the database file. Always holds: what was acknowledged is on disk; a reader never waits for
//! the writer; a failed write leaves the last durable state readable, and its writers know that the
//! outcome is unknown. Never does: encryption, key layout, retries of a batch.
//!
//! The way of a batch: `queue` takes it in or refuses it, `writer` takes what waits as one group.
//! What it removes is looked at (`look`), and `apart` where that is much. The group is judged
//! (`judge`) and becomes one durable `frame` of the `log`. Then the `cache` follows, the new view is
//! published, and the callers are answered. The `keeper` brings the database up to date with many
//! changes at once (`checkpoint`); until then they are in memory (`recent`), and what cannot be
//! written is kept `aside`. The way of a read: `snapshot` asks the cache, then the view. Under redb
//! lies `backend`, which lets the database be replaced while the `file` stays open; while writes
//! fail, reads go through an `overlay`, and so does whoever takes a `peek`.
//!
//! A page that is damaged costs what lies in it, and nothing else: `backend` compares each page
//! that is read with what `pages` knows of it, and leaves redb altogether (`guard`) where it
//! differs. A read is refused alone, a batch is refused alone while its group goes on. So it is
//! with a page that the disk cannot read, while it can read others. Any other error of the storage
//! is another matter: then the database is given up and opened anew.

mod apart;
mod aside;
mod backend;
mod cache;
mod checkpoint;
mod file;
mod fill;
mod frame;
mod guard;
mod judge;
mod keeper;
mod layout;
mod log;
mod look;
mod overlay;
mod pace;
mod pages;
mod peek;
mod queue;
mod readers;
mod recent;
mod shared;
mod snapshot;
mod stored;
mod tables;
mod view;
mod writer;

use std::{
    future,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::oneshot;

use self::{
    backend::Disk,
    cache::Cache,
    file::{LockedFile, Unnamed},
    guard::{Panicked, guarded},
    keeper::Keeper,
    log::Log,
    queue::{Job, NotTaken, Queue},
    recent::Recent,
    shared::Shared,
    snapshot::{RedbSnapshot, read_parts},
    tables::{Generation, LayoutError, Standing},
    view::{Under, View},
    writer::Writer,
};
use crate::{
    durable::behind,
    fair::Weights,
    store::{
        engine::{
            Batch, Changes, ChangesError, CommitError, Engine, Fut, Health, Observer, Parts, Read,
            ReadError, Revision, Snapshot, Source, Space,
        },
        engines::lanes::Limits,
        feed::Feed,
        kinds,
        past::Upgrade,
    },
};

pub use self::{file::FileError, fill::FillError, log::LogError};
/// The storage that [`RedbEngine::open_backend`] takes.
pub use redb::StorageBackend;

/// How the engine is set up. Every number is a bound.
#[derive(Clone, Debug)]
pub struct RedbOptions {
    /// The database file. Made if it does not exist.
    pub path: PathBuf,
    /// Pages that redb keeps in memory, in bytes.
    pub cache_bytes: usize,
    /// Records that are answered without asking redb, in bytes. 0 for none.
    pub record_cache_bytes: usize,
    /// The log, in bytes: so much can be durable and not in the database. A batch that is heavier
    /// than 3/4 of it never fits.
    pub log_bytes: u64,
    /// Batches that may wait for the writer.
    pub queue_batches: usize,
    /// Bytes that may wait for the writer. A batch that is heavier never fits.
    pub queue_bytes: usize,
    /// Batches that become durable together.
    pub group_batches: usize,
    /// The most bytes that become durable together, unless one batch alone is heavier. Fewer on a
    /// slow disk.
    pub group_bytes: usize,
    /// How long after a failed commit the engine first tries to write again.
    pub pause_min: Duration,
    /// The longest time between two tries.
    pub pause_max: Duration,
    /// What turns of each tenant are worth, at the writer and among those who read.
    pub weights: Arc<Weights>,
    /// The spaces that there are. The file gets those that it lacks.
    pub spaces: Vec<Space>,
    /// Who brings a file of an earlier layout up to this one's. Without it such a file is refused.
    pub upgrade: Option<Arc<dyn Upgrade>>,
}

impl RedbOptions {
    /// Bounds that suit a small server.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            cache_bytes: 128 << 20,
            record_cache_bytes: 64 << 20,
            log_bytes: 64 << 20,
            queue_batches: 1024,
            queue_bytes: 32 << 20,
            group_batches: 64,
            group_bytes: 8 << 20,
            pause_min: Duration::from_secs(1),
            pause_max: Duration::from_secs(30),
            weights: Arc::default(),
            spaces: kinds::SPACES.to_vec(),
            upgrade: None,
        }
    }
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file itself.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is in the file.
    #[error("the database cannot be opened: {0}")]
    Database(#[source] Box<redb::Error>),
    /// What opening needs is damaged, though the rest may be whole.
    #[error(
        "the database cannot be opened: {0}, and nothing can be read without it; put a copy of the file in its place"
    )]
    Damaged(#[source] Source),
    /// The file was written by another version of this program.
    #[error("the database file has layout {0}, which this program does not know")]
    Layout(u64),
    /// The file was written by an earlier version, and is as it was.
    #[error(
        "the database file has layout {0}, and could not be brought up to this program's: {1}; it is as it was, and the program that wrote it \
         opens it"
    )]
    Upgrade(u64, #[source] Source),
    /// The log beside it.
    #[error(transparent)]
    Log(#[from] LogError),
    /// No thread could be had.
    #[error("the writer could not be started: {0}")]
    Thread(#[source] std::io::Error),
}

impl From<LayoutError> for OpenError {
    fn from(error: LayoutError) -> Self {
        match error {
            LayoutError::Redb(error) => Self::Database(Box::new(error)),
            LayoutError::Format(found) => Self::Layout(found),
            LayoutError::Upgrade(found, source) => Self::Upgrade(found, source),
            LayoutError::Panicked(panicked) => Self::Damaged(panicked.into()),
        }
    }
}

/// A store in one file, with a log beside it. Dropping it writes what waits, brings the file up to
/// date, closes both and ends the threads.
pub struct RedbEngine {
    shared: Arc<Shared>,
    writer: Arc<Writer>,
    writers: Vec<JoinHandle<()>>,
    keeper: Option<JoinHandle<()>>,
}

/// So many threads write: one judges a group while the other waits for the disk.
const WRITERS: usize = 2;

/// Where the log of the database at `path` lies.
fn log_path(path: &Path) -> PathBuf {
    behind(path, "-log")
}

impl RedbEngine {
    /// Opens the store, or makes a new one. Waits for the disk.
    ///
    /// # Errors
    /// If the file is in use, damaged, or of another version; if the disk fails.
    pub fn open(options: &RedbOptions, observer: Arc<dyn Observer>) -> Result<Self, OpenError> {
        let (file, unnamed) = LockedFile::open(&options.path)?;
        let log = || LockedFile::open_log(&log_path(&options.path));
        Self::start(file, log, options, observer, || unnamed.map_or(Ok(()), Unnamed::name))
    }

    /// Opens the store on any storage, and its log on another; the path is not used. Waits for the
    /// storage.
    ///
    /// # Errors
    /// If what is there is damaged, or of another version; if the storage fails.
    pub fn open_backend(
        storage: impl StorageBackend,
        log: impl StorageBackend,
        options: &RedbOptions,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, OpenError> {
        Self::start(storage, || Ok(log), options, observer, || Ok(()))
    }

    /// `made` is called when the database is whole, and before anything is written to it; then the
    /// log is opened.
    fn start<L: StorageBackend>(
        storage: impl StorageBackend,
        log: impl FnOnce() -> Result<L, FileError>,
        options: &RedbOptions,
        observer: Arc<dyn Observer>,
        made: impl FnOnce() -> Result<(), FileError>,
    ) -> Result<Self, OpenError> {
        let disk = Disk::new(Box::new(storage)).map_err(FileError::Io)?;
        let (lease, fence) = disk.lease();
        let damaged = |panicked: Panicked| OpenError::Damaged(panicked.into());
        let open = || Generation::open(lease, fence, options.cache_bytes, 0, &options.spaces);
        let database = guarded(open).map_err(damaged)??;
        guarded(|| database.prepare(options.upgrade.as_deref())).map_err(damaged)??;
        disk.mark_durable();
        made()?;
        let base = guarded(|| database.base()).map_err(damaged)??;
        let standing = base.standing;
        // The log's header first: whichever of the two is old is found out.
        let opening = standing.next();
        let opened =
            Log::open(Box::new(log()?), &standing, &opening, options.log_bytes, &options.spaces)?;
        let opening = Standing { tail: opened.log.tail(), ..opening };
        checkpoint::bring_up(&database, &base, &Recent::default(), &opening).map_err(|source| {
            match source.downcast() {
                Ok(error) => OpenError::Database(error),
                Err(damaged) => OpenError::Damaged(damaged),
            }
        })?;
        disk.mark_durable();
        let base = guarded(|| database.base()).map_err(damaged)??;
        let (mut recent, mut revision, mut latest) =
            (Recent::default(), standing.revision, standing.moment);
        let feed = Feed::after(revision);
        for group in opened.groups {
            group.tell(&feed);
            (revision, latest) = (group.last(), latest.max(group.moment));
            recent.add(group);
        }
        let under = Arc::new(Under { frozen: None, base: Arc::new(base) });
        let view = View { revision, recent, under };
        let queue = Queue::new(
            Limits { batches: options.queue_batches, bytes: options.queue_bytes },
            &options.weights,
        );
        let shared = Arc::new(Shared::new(
            view,
            Cache::new(options.record_cache_bytes),
            queue,
            feed,
            (latest, &options.weights),
        ));
        let keeper =
            Keeper::new(Arc::clone(&shared), disk, Arc::clone(&observer), options.into(), database);
        let writer = Writer::new(Arc::clone(&shared), observer, options.into(), opened.log);
        let mut engine =
            Self { shared, writer: Arc::new(writer), writers: Vec::new(), keeper: None };
        let thread = |name: &str| thread::Builder::new().name(name.to_owned());
        let keeper = thread("store-keeper").spawn(move || keeper.run());
        engine.keeper = Some(keeper.map_err(OpenError::Thread)?);
        for _ in 0..WRITERS {
            let writer = Arc::clone(&engine.writer);
            let thread = thread("store-writer").spawn(move || writer.run());
            engine.writers.push(thread.map_err(OpenError::Thread)?);
        }
        Ok(engine)
    }
}

impl From<&RedbOptions> for keeper::Settings {
    fn from(options: &RedbOptions) -> Self {
        Self {
            cache_bytes: options.cache_bytes,
            spaces: options.spaces.clone(),
            pause_min: options.pause_min,
            pause_max: options.pause_max,
        }
    }
}

impl From<&RedbOptions> for writer::Settings {
    fn from(options: &RedbOptions) -> Self {
        Self {
            group: Limits { batches: options.group_batches, bytes: options.group_bytes },
            pause_min: options.pause_min,
            pause_max: options.pause_max,
        }
    }
}

impl Engine for RedbEngine {
    fn read<'a>(&'a self, parts: &'a [Read<'a>]) -> Fut<'a, Result<Parts, ReadError>> {
        read_parts(&self.shared, &self.shared.view.load(), parts)
    }

    fn snapshot(&self) -> Fut<'_, Result<Box<dyn Snapshot>, ReadError>> {
        let snapshot =
            RedbSnapshot { view: self.shared.view.load_full(), shared: Arc::clone(&self.shared) };
        Box::pin(future::ready(Ok(Box::new(snapshot) as Box<dyn Snapshot>)))
    }

    fn commit(&self, batch: Batch) -> Fut<'_, Result<Revision, CommitError>> {
        // The batch is queued here and not when the future is first asked, so that a caller who
        // gives up at once is treated like one who gives up late.
        let (reply, answer) = oneshot::channel();
        let refused = if self.health() == Health::Ready {
            match self.shared.queue.push(Job::new(batch, reply)) {
                Ok(()) => None,
                Err(NotTaken::Full) => Some(CommitError::Overloaded),
                Err(NotTaken::Closed) => {
                    Some(CommitError::Unavailable("the store has stopped".into()))
                }
            }
        } else {
            let why = if self.shared.is_full() { writer::FULL } else { writer::SOON };
            Some(CommitError::Unavailable(why.into()))
        };
        Box::pin(async move {
            match refused {
                Some(error) => Err(error),
                None => answer
                    .await
                    .unwrap_or_else(|gone| Err(CommitError::OutcomeUnknown(gone.into()))),
            }
        })
    }

    fn changes(&self, after: Revision) -> Fut<'_, Result<Changes, ChangesError>> {
        Box::pin(self.shared.feed.changes(after))
    }

    fn revision(&self) -> Revision {
        self.shared.feed.last()
    }

    fn health(&self) -> Health {
        self.shared.health()
    }

    fn latest(&self) -> Option<u64> {
        self.shared.latest
    }
}

impl Drop for RedbEngine {
    fn drop(&mut self) {
        self.shared.queue.close();
        // The threads need no async runtime, so waiting for them here cannot deadlock. Only one of
        // them itself, if its observer owned the engine, must not wait for its own end.
        let join = |thread: JoinHandle<()>| {
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the store had panicked");
            }
        };
        self.writers.drain(..).for_each(join);
        let end = self.writer.finish();
        self.shared.ask(|work| work.closing = Some(end));
        self.keeper.take().into_iter().for_each(join);
        self.writer.close();
    }
}
